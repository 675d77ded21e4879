//! Quarantine: refs that are broken, moved out of the way so that everything else goes on, with all that is
//! left of them.
//!
//! A quarantined ref has become an entry: a ref (scope, `quarantine`, number of the commit) to a node that
//! says where it stood and links to what is whole. Blocks that can be read while something below them is
//! gone can be linked by nobody (a present node's links are present): their bytes are kept as raw blocks.
//! Promises: nothing that could be read before is gone after; one commit moves the ref.
//! Must never: be read by anybody who did not ask for the quarantine.

mod entry;
pub(crate) mod salvage;

use std::sync::Arc;

use treering_block::limits::NODE_BYTES_MAX;
use treering_block::{Block, Cid, Codec};

pub use entry::{Entry, EntryRef, Part};

use crate::commit::{Change, Commit, Expect, RefMove, RefValue};
use crate::error::{Result, StoreError};
use crate::gc::GcOptions;
use crate::name::RefName;
use crate::reachable::reachable;
use crate::store::Store;
use crate::upload::Uploaded;
use salvage::Salvage;

/// The kind of ref that an entry is under.
pub const QUARANTINE: &str = "quarantine";
/// Why a ref is not put into quarantine.
pub(crate) const NOTHING_WRONG: &str =
    "nothing is wrong with it: its row is sound and all that it reaches can be read";
/// At most this many refs go together.
pub const REFS_MAX: usize = 64;
/// Copies are put in commits of about this many bytes.
const COPY_BYTES: usize = 4 << 20;
const PAGE: usize = 1000;

/// An entry in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The ref that the entry is under.
    pub name: RefName,
    /// What it says.
    pub entry: Entry,
}

/// The name of the entry that the commit at `position` makes.
pub(crate) fn entry_name(scope: &str, position: u64) -> Result<RefName> {
    RefName::new(scope, QUARANTINE, [position.to_string()])
}

/// The entries of a scope, oldest first; one that can't be read stands in its place as its error.
pub fn list(store: &dyn Store, scope: &str) -> Result<Vec<(RefName, Result<Entry>)>> {
    let mut found = Vec::new();
    let mut after: Option<RefName> = None;
    loop {
        let page = store.list_refs(scope, QUARANTINE, after.as_ref(), PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        for (name, value) in page {
            let entry = value.and_then(|value| read_entry(store, &value.target));
            found.push((name, entry));
        }
    }
    let number = |name: &RefName| {
        let part = name.parts().first().map_or("", String::as_str);
        part.parse::<u64>().unwrap_or(u64::MAX)
    };
    found.sort_by_key(|(name, _)| number(name));
    Ok(found)
}

fn read_entry(store: &dyn Store, target: &Cid) -> Result<Entry> {
    Entry::decode(target, &store.get(target)?)
}

/// Where a restored ref goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Where it stood. Everything that it reaches has to be there again.
    Last,
    /// The newest earlier state of the journal that is whole, for those that have one; the entry stays, with
    /// the others and with what came later. If what was asked for has none, nothing that came along goes back.
    Whole,
}

/// Puts the refs of an entry back, in one commit. Blocks whose bytes the entry holds are stored again first.
/// Returns their names.
///
/// Errors: `RefNotFound` for an entry that is not there; `LinkMissing` naming a block that still is missing;
/// `Invalid` when nothing says where one of them stood, or what was asked for was never whole; `RefMoved` when there is such a ref again.
pub fn restore(store: &dyn Store, name: &RefName, to: To) -> Result<Vec<RefName>> {
    let (value, entry) = entry_at(store, name)?;
    let mut moves = Vec::new();
    for (place, one) in entry.refs.iter().enumerate() {
        let back = match (to, &one.whole) {
            (To::Whole, Some(whole)) => Some(whole),
            // What was broken and was never whole stays where it is. The first is what was asked for: the others are
            // nothing without it.
            (To::Whole, None) if !one.why.is_empty() && place == 0 => break,
            (To::Whole, None) if !one.why.is_empty() => continue,
            _ => one.stood.as_ref(),
        };
        let back = back.ok_or_else(|| StoreError::Invalid {
            what: "quarantined ref",
            value: one.name.clone(),
            rule: "neither its row nor the journal says where it stood".into(),
        })?;
        moves.push((RefName::parse(&one.name)?, back.clone()));
    }
    if moves.is_empty() {
        return Err(StoreError::Invalid {
            what: "quarantine entry",
            value: name.to_string(),
            rule: "no earlier version of what is in it is whole".into(),
        });
    }
    if to == To::Last && !entry.parts.is_empty() {
        put_copies_back(store, name, &entry)?;
    }
    for (name, back) in &moves {
        let reached = reachable(store, &[back.target])?;
        if let Some((_, missing)) = reached.missing.first() {
            return Err(StoreError::LinkMissing {
                from: format!("ref {name}"),
                link: *missing,
            });
        }
    }
    let names = moves.iter().map(|(name, _)| name.clone()).collect();
    let mut all: Vec<RefMove> = moves
        .into_iter()
        .map(|(name, RefValue { target, record, .. })| RefMove {
            name,
            expect: Expect::Absent,
            change: Change::Set { target, record },
        })
        .collect();
    if to == To::Last || entry.lost.is_empty() {
        all.push(RefMove {
            name: name.clone(),
            expect: Expect::Version(value.version),
            change: Change::Delete,
        });
    }
    store
        .submit(Commit {
            scope: name.scope().to_owned(),
            moves: all,
            ..Commit::default()
        })
        .wait()?;
    Ok(names)
}

/// Gives an entry up: what only it kept goes with the next collection.
///
/// Errors: `RefNotFound`.
pub fn discard(store: &dyn Store, name: &RefName) -> Result<Entry> {
    let (value, entry) = entry_at(store, name)?;
    store
        .submit(Commit {
            scope: name.scope().to_owned(),
            moves: vec![RefMove {
                name: name.clone(),
                expect: Expect::Version(value.version),
                change: Change::Delete,
            }],
            ..Commit::default()
        })
        .wait()?;
    Ok(entry)
}

fn entry_at(store: &dyn Store, name: &RefName) -> Result<(RefValue, Entry)> {
    let value = match store.read_ref(name)? {
        Some(value) if name.kind() == QUARANTINE => value,
        _ => return Err(StoreError::RefNotFound(name.clone())),
    };
    let entry = read_entry(store, &value.target)?;
    Ok((value, entry))
}

/// Stores the blocks of an entry's copies again under their own names, children first.
///
/// The rows that they were copied from may still be there, as garbage, with what was wrong with them: they
/// are collected first, since a block that is there is not stored again.
fn put_copies_back(store: &dyn Store, name: &RefName, entry: &Entry) -> Result<()> {
    let parts: Vec<Part> = entry
        .parts
        .iter()
        .map(|part| Part::decode(part, &store.get(part)?))
        .collect::<Result<_>>()?;
    if parts.iter().any(|part| !part.copies.is_empty()) {
        store.gc(&GcOptions::default())?;
    }
    for part in parts {
        let mut blocks = Vec::new();
        let mut bytes = 0;
        for (cid, copy) in &part.copies {
            // Damaged bytes are kept too; they are nobody's block. Of one without links the copy is the block, or damaged.
            if cid.codec() == Codec::Raw || store.reader(copy)?.size() > NODE_BYTES_MAX as u64 {
                continue;
            }
            let content = store.get(copy)?;
            let Ok(block) = Block::stored(*cid, content) else {
                continue;
            };
            bytes += block.bytes.len();
            blocks.push(block);
            if bytes >= COPY_BYTES {
                put(store, name.scope(), std::mem::take(&mut blocks))?;
                bytes = 0;
            }
        }
        put(store, name.scope(), blocks)?;
    }
    Ok(())
}

/// Puts blocks, held for a day.
pub(crate) fn put(store: &dyn Store, scope: &str, blocks: Vec<Block>) -> Result<()> {
    if blocks.is_empty() {
        return Ok(());
    }
    let holds = blocks.iter().map(|block| block.cid).collect();
    let commit = Commit {
        scope: scope.to_owned(),
        blocks,
        holds,
        ..Commit::default()
    };
    store.submit(commit).wait().map(drop)
}

/// A part that keeps one block.
pub(crate) fn part_of(cid: Cid) -> Result<Block> {
    Part {
        keep: vec![cid],
        copies: Vec::new(),
    }
    .encode()
}

/// Bytes that were copied out of a block's place.
pub(crate) enum Copied {
    /// Of a row.
    Bytes(Arc<[u8]>),
    /// Of a file, piece by piece.
    Sent(Arc<Uploaded>),
}

/// Stores what was salvaged, as blocks that are held for a day, and returns the CIDs of the parts. `load`:
/// what stands in the place of a block that hangs or is damaged; None if it is gone. Memory: some MiB.
pub(crate) fn put_parts(
    store: &dyn Store,
    scope: &str,
    found: &Salvage,
    load: &dyn Fn(&Cid) -> Result<Option<Copied>>,
) -> Result<Vec<Cid>> {
    let mut copies: Vec<(Cid, Cid)> = Vec::new();
    let mut blocks = Vec::new();
    let mut bytes = 0;
    for cid in found.remains.iter().chain(&found.hanging) {
        let content = match load(cid)? {
            None => continue,
            Some(Copied::Bytes(content)) => content,
            Some(Copied::Sent(upload)) => {
                copies.push((*cid, upload.cid()));
                let commit = Commit {
                    scope: scope.to_owned(),
                    holds: vec![upload.cid()],
                    uploads: vec![upload],
                    ..Commit::default()
                };
                store.submit(commit).wait()?;
                continue;
            }
        };
        bytes += content.len();
        let copy = Block::raw(content);
        copies.push((*cid, copy.cid));
        blocks.push(copy);
        if bytes >= COPY_BYTES {
            put(store, scope, std::mem::take(&mut blocks))?;
            bytes = 0;
        }
    }
    put(store, scope, blocks)?;
    let keep = &found.keep;
    let mut parts = Vec::new();
    let size = entry::PART_ITEMS_MAX;
    let count = keep.len().div_ceil(size).max(copies.len().div_ceil(size));
    for index in 0..count {
        let slice =
            |from: usize, length: usize| (from * size).min(length)..((from + 1) * size).min(length);
        let part = Part {
            keep: keep
                .get(slice(index, keep.len()))
                .unwrap_or_default()
                .to_vec(),
            copies: copies
                .get(slice(index, copies.len()))
                .unwrap_or_default()
                .to_vec(),
        };
        let block = part.encode()?;
        parts.push(block.cid);
        put(store, scope, vec![block])?;
    }
    Ok(parts)
}
