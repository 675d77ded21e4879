//! What is remembered about a user: `user-memory`.

use std::sync::Arc;

use treering_block::Cid;
use treering_thread::command::Payload;

use super::{NAME_BYTES_MAX, Stores, Verb, check_length, check_text};
use crate::address::Address;
use crate::dispatch::Done;
use crate::error::{ActorError, Result, within};
use crate::kind::{Blocks, Happened, Kind, State, Unreadable, events};
use crate::messages::{
    Encoding, MemoryCleared, MemoryEntry, MemoryEntryAdded, MemoryEntryRemoved, MemoryState, Name,
};
use crate::turn::Turn;

/// Entries that are kept.
pub const ENTRIES_MAX: u32 = 50;
/// UTF-8 bytes of one entry's content.
pub const CONTENT_BYTES_MAX: usize = 8192;
/// Entries that [`save`] takes.
pub const SAVE_ENTRIES_MAX: usize = 1000;
/// Characters of an entry's id.
const ID_CHARS: usize = 12;

events! {
    /// What happens to it.
    MemoryEvent: MemoryEntryAdded, MemoryEntryRemoved, MemoryCleared
}

/// See the top of this file.
#[derive(Debug)]
pub struct MemoryKind;

/// All that is remembered, in the order in which it was added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// The entries.
    pub entries: Vec<Arc<MemoryEntry>>,
}

impl Memory {
    /// The entry of this id.
    pub fn entry(&self, id: &str) -> Option<&Arc<MemoryEntry>> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    /// Adds an entry and evicts what is too much: of its own category the oldest, else the oldest of all; never itself.
    fn add(&mut self, entry: &MemoryEntry, cap: u32) -> Vec<String> {
        self.entries.push(Arc::new(entry.clone()));
        let mut evicted = Vec::new();
        while self.entries.len() > cap as usize && self.entries.len() > 1 {
            let others = self.entries.len() - 1;
            let oldest = |same: bool| {
                let mine = self.entries.iter().take(others).enumerate();
                mine.filter(|(_, other)| !same || other.category == entry.category)
                    .min_by_key(|(_, other)| other.created_at_ms)
                    .map(|(place, _)| place)
            };
            let Some(place) = oldest(true).or_else(|| oldest(false)) else {
                break;
            };
            evicted.push(self.entries.remove(place).id.clone());
        }
        evicted
    }
}

impl Kind for MemoryKind {
    const NAME: &'static str = "user-memory";
    type State = Memory;
    type Event = MemoryEvent;

    fn evolve(state: &mut Memory, happened: &Happened<MemoryEvent>) {
        match &happened.event {
            MemoryEvent::MemoryEntryAdded(added) => {
                if let Some(entry) = &added.entry {
                    state.add(entry, added.cap);
                }
            }
            MemoryEvent::MemoryEntryRemoved(removed) => {
                state.entries.retain(|entry| entry.id != removed.id);
            }
            MemoryEvent::MemoryCleared(_) => state.entries.clear(),
        }
    }
}

impl State for Memory {
    const IN_BLOCKS: bool = false;

    fn type_name() -> String {
        MemoryState::full_name()
    }

    fn save(&mut self, _: &mut Blocks<'_>) -> Result<(Vec<u8>, Vec<Cid>)> {
        let entries = self.entries.iter().map(|entry| (**entry).clone()).collect();
        Ok((MemoryState { entries }.encode_to_vec(), Vec::new()))
    }

    fn load(message: &[u8], _: &[Cid]) -> Result<Self, Unreadable> {
        let mut entries = MemoryState::decode(message)?.entries;
        // Of many small ones half of the room may be spare, and each is about to be stored once more.
        entries.shrink_to_fit();
        Ok(Self {
            entries: entries.into_iter().map(Arc::new).collect(),
        })
    }

    fn weight(&self) -> usize {
        let bytes = |entry: &Arc<MemoryEntry>| size_of::<MemoryEntry>() + entry.encoded_len();
        self.entries.iter().map(bytes).sum()
    }
}

/// An id that is as good as no other's: 48 bits of chance.
pub fn new_id() -> String {
    let random = treering_thread::ident::random() & ((1 << (4 * ID_CHARS)) - 1);
    format!("{random:0ID_CHARS$x}")
}

fn normal_category(category: &str) -> String {
    match category.trim().to_lowercase() {
        blank if blank.is_empty() => "context".to_owned(),
        category => category,
    }
}

fn normal(entry: MemoryEntry) -> Result<MemoryEntry> {
    let content = check_text("content", &entry.content, CONTENT_BYTES_MAX)?
        .trim()
        .to_owned();
    check_length("bytes of category", &entry.category, NAME_BYTES_MAX)?;
    Ok(MemoryEntry {
        category: normal_category(&entry.category),
        content,
        ..entry
    })
}

/// Adds an entry; times that are 0 are those of the commit. `cap`: entries that are kept.
///
/// # Errors
/// `InvalidCommand` for blank content; `LimitExceeded`.
pub fn add(stores: &Stores, entry: MemoryEntry, cap: u32) -> Result<Verb> {
    let mut payload = Payload::new("memory add");
    payload
        .text(&entry.category)
        .text(&entry.content)
        .number(u64::from(entry.source.unsigned_abs()));
    let entry = normal(entry)?;
    let address = stores.address::<MemoryKind>(&[])?;
    Ok(Verb::new::<MemoryKind>(
        address,
        payload,
        move |turn, address| {
            let mut entry = entry.clone();
            if entry.created_at_ms == 0 {
                entry.created_at_ms = turn.at_ms();
            }
            if entry.updated_at_ms == 0 {
                entry.updated_at_ms = entry.created_at_ms;
            }
            let evicted = {
                let before = turn.load::<MemoryKind>(address)?;
                before.state.clone().add(&entry, cap)
            };
            let id = entry.id.clone();
            let added = MemoryEntryAdded {
                entry: Some(entry),
                cap,
            };
            turn.append::<MemoryKind>(address, [added.into()])?;
            Ok(Done {
                value: Some(id),
                dropped: evicted.len() as u64,
                dropped_ids: evicted,
                ..Done::default()
            })
        },
    ))
}

/// Removes an entry, if it is there. `purge`: the history goes with it, so that nothing says any more what it was.
///
/// # Errors
/// None that an id can have.
pub fn remove(stores: &Stores, id: &str, purge: bool) -> Result<Verb> {
    let mut payload = Payload::new("memory remove");
    payload.text(id);
    let id = id.to_owned();
    leave(stores, payload, purge, move |turn, address| {
        if turn.load::<MemoryKind>(address)?.state.entry(&id).is_some() {
            let removed = MemoryEntryRemoved { id: id.clone() };
            turn.append::<MemoryKind>(address, [removed.into()])?;
        }
        Ok(Done::default())
    })
}

/// Removes all entries; `purge` as in [`remove`].
///
/// # Errors
/// None.
pub fn clear(stores: &Stores, purge: bool) -> Result<Verb> {
    let payload = Payload::new("memory clear");
    leave(stores, payload, purge, |turn, address| {
        let before = turn.load::<MemoryKind>(address)?;
        if !before.state.entries.is_empty() {
            turn.append::<MemoryKind>(address, [MemoryCleared {}.into()])?;
        }
        Ok(Done {
            dropped: before.state.entries.len() as u64,
            ..Done::default()
        })
    })
}

/// A verb that lets something go, and its history too if told so.
fn leave(
    stores: &Stores,
    mut payload: Payload,
    purge: bool,
    act: impl Fn(&mut Turn<'_>, &Address) -> Result<Done> + Send + Sync + 'static,
) -> Result<Verb> {
    let address = stores.address::<MemoryKind>(&[])?;
    if !purge {
        return Ok(Verb::new::<MemoryKind>(address, payload, act));
    }
    payload.text("purge");
    let purging = move |turn: &mut Turn<'_>, address: &Address| {
        let done = act(turn, address)?;
        turn.rebase::<MemoryKind>(address)?;
        Ok(done)
    };
    Ok(Verb::new::<MemoryKind>(address, payload, purging).freeing())
}

/// Removes what `entries` lacks, then adds what is not there yet; those in both stay as they are.
///
/// # Errors
/// `InvalidCommand` for an id that is none or comes twice, and blank content; `LimitExceeded` for more than
/// [`SAVE_ENTRIES_MAX`].
pub fn save(stores: &Stores, entries: Vec<MemoryEntry>, cap: u32) -> Result<Verb> {
    within("entries of one save", SAVE_ENTRIES_MAX, entries.len())?;
    let mut payload = Payload::new("memory save");
    let mut target: Vec<MemoryEntry> = Vec::with_capacity(entries.len());
    for entry in entries {
        payload.bytes(&entry.encode_to_vec());
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if entry.id.len() != ID_CHARS || !entry.id.bytes().all(is_hex) {
            return Err(ActorError::invalid(
                "id",
                &entry.id,
                "twelve lower-case hexadecimal digits",
            ));
        }
        if target.iter().any(|other| other.id == entry.id) {
            return Err(ActorError::invalid("id", &entry.id, "it comes twice"));
        }
        target.push(normal(entry)?);
    }
    let address = stores.address::<MemoryKind>(&[])?;
    Ok(Verb::new::<MemoryKind>(
        address,
        payload,
        move |turn, address| {
            let before = turn.load::<MemoryKind>(address)?;
            let mut events: Vec<Happened<MemoryEvent>> = Vec::new();
            let mut after = before.state.clone();
            for entry in &before.state.entries {
                if !target.iter().any(|wanted| wanted.id == entry.id) {
                    let id = entry.id.clone();
                    after.entries.retain(|kept| kept.id != id);
                    events.push(MemoryEntryRemoved { id }.into());
                }
            }
            let mut evicted = Vec::new();
            for wanted in target
                .iter()
                .filter(|wanted| before.state.entry(&wanted.id).is_none())
            {
                let mut entry = wanted.clone();
                if entry.created_at_ms == 0 {
                    entry.created_at_ms = turn.at_ms();
                }
                if entry.updated_at_ms == 0 {
                    entry.updated_at_ms = entry.created_at_ms;
                }
                evicted.extend(after.add(&entry, cap));
                events.push(
                    MemoryEntryAdded {
                        entry: Some(entry),
                        cap,
                    }
                    .into(),
                );
            }
            turn.append::<MemoryKind>(address, events)?;
            Ok(Done {
                dropped: evicted.len() as u64,
                dropped_ids: evicted,
                ..Done::default()
            })
        },
    ))
}

/// What ends a line, for whoever reads a prompt line by line.
const LINE_ENDS: [char; 7] = [
    '\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}',
];

/// What the section of a prompt stands in.
const TAG: &str = "user-memory";

/// The entries as a section of a prompt; "" for none. Never longer than `max_chars`, cut at a line's end, always closed.
/// What an entry says can't end the section or begin another.
pub fn prompt_section(memory: &Memory, max_chars: usize) -> String {
    const OPEN: &str = "<user-memory>\n";
    const CLOSE: &str = "</user-memory>";
    let room = max_chars.saturating_sub(OPEN.len() + CLOSE.len());
    if memory.entries.is_empty() || max_chars < OPEN.len() + CLOSE.len() {
        return String::new();
    }
    let mut categories = vec!["preference", "instruction", "context"];
    for entry in &memory.entries {
        if !categories.contains(&entry.category.as_str()) {
            categories.push(&entry.category);
        }
    }
    let mut body = String::new();
    let mut used = 0;
    let mut put = |line: &str| {
        let chars = line.chars().count() + 1;
        let fits = used + chars <= room;
        if fits {
            body.push_str(line);
            body.push('\n');
            used += chars;
        }
        fits
    };
    'groups: for category in categories {
        let mut entries: Vec<_> = memory
            .entries
            .iter()
            .filter(|entry| entry.category == category)
            .collect();
        if entries.is_empty() {
            continue;
        }
        // The newest first; of equals the one that came last.
        entries.reverse();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.updated_at_ms));
        if !put(&one_line(&heading(category))) {
            break;
        }
        for entry in entries {
            if !put(&one_line(&format!("- {}", entry.content))) {
                break 'groups;
            }
        }
        if !put("") {
            break;
        }
    }
    format!("{OPEN}{body}{CLOSE}")
}

/// A text as one line that has no tag of the section: its `<` is written `&lt;`. Any other text stays as it is.
fn one_line(text: &str) -> String {
    let text = text.replace(LINE_ENDS, " ");
    let mut line = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        let inside =
            tag.trim_start_matches(|char: char| char == '<' || char == '/' || char.is_whitespace());
        let name = inside.get(..TAG.len()).unwrap_or_default();
        let (run, after) = tag.split_at(tag.len() - inside.len());
        line.push_str(before);
        if name.eq_ignore_ascii_case(TAG) {
            line.push_str(&run.replace('<', "&lt;"));
        } else {
            line.push_str(run);
        }
        rest = after;
    }
    line.push_str(rest);
    line
}

fn heading(category: &str) -> String {
    match category {
        "preference" => "## Preferences".to_owned(),
        "instruction" => "## Instructions".to_owned(),
        "context" => "## Context".to_owned(),
        other => {
            let mut chars = other.chars();
            let first: String = chars
                .next()
                .into_iter()
                .flat_map(char::to_uppercase)
                .collect();
            format!("## {first}{}", chars.as_str())
        }
    }
}
