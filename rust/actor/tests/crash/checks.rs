//! What must hold of a store of actors after a failure.

use std::fmt::Debug;

use treering_actor::messages::{Conversation, Message, Script, Workflow};
use treering_actor::stores::agents::AgentsKind;
use treering_actor::stores::chats::{ChatIndexKind, ChatKind};
use treering_actor::stores::connectors::ConnectorsKind;
use treering_actor::stores::files::FilesKind;
use treering_actor::stores::look;
use treering_actor::stores::memory::MemoryKind;
use treering_actor::stores::participants::ParticipantsKind;
use treering_actor::stores::retention::RetentionKind;
use treering_actor::stores::roles::RolesKind;
use treering_actor::stores::sources::{ScriptsKind, WorkflowsKind};
use treering_actor::stores::user_config::UserConfigKind;
use treering_actor::{Blocks, Kind, Receipt, Result};
use treering_store::{GcOptions, reachable};

use crate::life::{Act, LIFE, Living, SCOPE};
use crate::projecting::TEAM;

const CHATS: [&str; 3] = ["a", "b", "c"];

/// One actor: where it stands, what it is, what happened to it, random ids aside. Its whole log is checked, and its
/// snapshot is what the events make.
pub fn actor<K: Kind, T: Debug>(
    living: &Living,
    parts: &[&str],
    show: impl Fn(&K::State, &Blocks<'_>) -> Result<T>,
) -> Result<String> {
    let reader = living.stores.reader();
    let address = living.stores.address::<K>(parts)?;
    reader.verify::<K>(&address)?;
    let now = reader.now::<K>(&address)?;
    let state = look(&*living.store, |blocks| show(&now.state, blocks))?;
    let mut text = format!(
        "{} {parts:?} {}.. {} {:?} {state:?}",
        K::NAME,
        now.place.base,
        now.place.version,
        now.place.deleted_at_ms
    );
    let mut next = now.place.base + 1;
    loop {
        let events = reader.events::<K>(&address, next, None)?;
        let Some((_, last)) = events.last() else {
            break;
        };
        next = last.version + 1;
        for (_, event) in &events {
            text += &format!(
                " {} {} {:?}",
                event.version, event.typed.type_name, event.command_id
            );
        }
    }
    Ok(text)
}

/// All that a user can see, as text: two stores with the same picture are the same to whoever uses them. Errors: what
/// is broken.
pub fn picture(living: &Living) -> Result<String> {
    let mut out = vec![
        actor::<UserConfigKind, _>(living, &[], |state, _| Ok(state.clone()))?,
        actor::<AgentsKind, _>(living, &[], |state, blocks| state.groups(blocks))?,
        actor::<ParticipantsKind, _>(living, &[], |state, blocks| {
            state.participants("room", blocks)
        })?,
        actor::<MemoryKind, _>(living, &[], |state, _| Ok(state.entries.clone()))?,
        actor::<WorkflowsKind, _>(living, &[], |state, blocks| state.all::<Workflow>(blocks))?,
        actor::<ScriptsKind, _>(living, &[], |state, blocks| state.all::<Script>(blocks))?,
        actor::<ConnectorsKind, _>(living, &[], |state, _| Ok(state.clone()))?,
        actor::<RolesKind, _>(living, &[], |state, _| Ok(state.clone()))?,
        actor::<RetentionKind, _>(living, &[], |state, _| Ok(*state))?,
        // Their bytes are read: a file that is listed is there.
        actor::<FilesKind, _>(living, &[], |state, blocks| {
            let mut files = Vec::new();
            for file in state.all("", blocks)? {
                let bytes = blocks.get(&file.content)?;
                files.push((file.info, file.content, bytes.len()));
            }
            Ok(files)
        })?,
        actor::<ChatIndexKind, _>(living, &[], |state, blocks| state.conversations(blocks))?,
    ];
    for chat in CHATS {
        out.push(actor::<ChatKind, _>(living, &[chat], |state, blocks| {
            let said = state.messages(blocks)?;
            let content = |(message, _): (Message, _)| message.content;
            Ok((
                state.conversation.clone(),
                said.into_iter().map(content).collect::<Vec<_>>(),
            ))
        })?);
    }
    for key in ["t4", "t99"] {
        if let Some(thread) = living.threads().by_key(key)? {
            out.push(format!("{key} of {} steps", thread.info().steps));
        }
    }
    out.push(living.projected()?);
    Ok(out.join("\n"))
}

/// That each conversation has its row, and each row its conversation.
fn rows_are_chats(living: &Living) -> Result<(), String> {
    let said = |error: treering_actor::ActorError| error.to_string();
    let reader = living.stores.reader();
    let index = living.stores.address::<ChatIndexKind>(&[]).map_err(said)?;
    let index = reader.now::<ChatIndexKind>(&index).map_err(said)?;
    let mut rows =
        look(&*living.store, |blocks| index.state.conversations(blocks)).map_err(said)?;
    rows.sort_by(|one, other| one.id.cmp(&other.id));
    let mut chats: Vec<Conversation> = Vec::new();
    for chat in CHATS {
        let address = living.stores.address::<ChatKind>(&[chat]).map_err(said)?;
        let chat = reader.now::<ChatKind>(&address).map_err(said)?;
        if chat.exists() {
            chats.push(chat.state.conversation.clone());
        }
    }
    if rows == chats {
        return Ok(());
    }
    Err(format!("rows {rows:#?}\nof conversations {chats:#?}"))
}

/// That the store is sound, and in one of these states; which one.
pub fn is_one_of(living: &Living, allowed: &[&str]) -> Result<usize, String> {
    let report = living.store.verify(None);
    let report = report.map_err(|error| format!("verify: {error}"))?;
    if !report.findings.is_empty() {
        return Err(format!("verify: {:#?}", report.findings));
    }
    rows_are_chats(living)?;
    living.view_is_what_was_seen()?;
    let found = picture(living).map_err(|error| format!("it can not be read: {error}"))?;
    if let Some(at) = allowed.iter().position(|picture| *picture == found) {
        return Ok(at);
    }
    let least = allowed.first().copied().unwrap_or_default();
    let differing = |of: &str, other: &str, sign: &str| -> Vec<String> {
        let new = |line: &&str| !other.lines().any(|one| one == *line);
        let cut = |line: &str| format!("{sign} {line}").chars().take(300).collect();
        of.lines().filter(new).map(cut).take(4).collect()
    };
    let mut shown = differing(least, &found, "-");
    shown.extend(differing(&found, least, "+"));
    Err(format!(
        "it is in none of {} states; against the least:\n{}",
        allowed.len(),
        shown.join("\n")
    ))
}

/// That it goes on: what was answered is answered again as it was and changes nothing, garbage can be collected to the
/// last block, and more can be done. `receipts`: of the acts that were answered; `before`: its picture.
pub fn goes_on(living: &Living, receipts: &[Vec<Receipt>], before: &str) -> Result<(), String> {
    for (at, (act, first)) in LIFE.iter().zip(receipts).enumerate() {
        if act.command_id(at).is_none() {
            continue;
        }
        let again = living.act(at, *act);
        let again = again.map_err(|error| format!("{act:?} again: {error}"))?;
        let replayed = |receipt: &Receipt| Receipt {
            replayed: true,
            ..receipt.clone()
        };
        if again != first.iter().map(replayed).collect::<Vec<_>>() {
            return Err(format!("{act:?} again: {again:?}, it was {first:?}"));
        }
    }
    let real = GcOptions { dry_run: false };
    living.store.gc(&real).map_err(|error| error.to_string())?;
    if picture(living).map_err(|error| error.to_string())? != before {
        return Err("repeated commands, or a collection, changed something".into());
    }
    let kept = kept(living).map_err(|error| error.to_string())?;
    let blocks = living
        .store
        .stats()
        .map_err(|error| error.to_string())?
        .blocks;
    if blocks != kept {
        return Err(format!("{blocks} blocks are left, {kept} are reached"));
    }
    for act in [Act::Config(99), Act::Say("a", 99), Act::Together(99)] {
        let done = living.act(LIFE.len(), act);
        done.map_err(|error| format!("{act:?} after it: {error}"))?;
    }
    rows_are_chats(living)?;
    // And so does the projection, up to the last event.
    for _ in 0..2 {
        let done = living.project(10_000);
        done.map_err(|error| format!("projecting after it: {error}"))?;
        living.view_is_what_was_seen()?;
    }
    living.everything_is_seen()?;
    picture(living).map(drop).map_err(|error| error.to_string())
}

/// Blocks that refs and holds reach.
fn kept(living: &Living) -> Result<u64> {
    let store = &*living.store;
    let mut roots = Vec::new();
    for entry in store.journal(None, usize::MAX)? {
        for change in entry.moves {
            roots.extend(store.read_ref(&change.name)?.map(|value| value.target));
        }
    }
    for scope in [SCOPE, TEAM] {
        for hold in store.holds(scope, 0, usize::MAX)? {
            roots.push(hold.cid);
        }
    }
    Ok(reachable(store, &roots)?.blocks.len() as u64)
}
