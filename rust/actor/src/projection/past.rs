//! What happened to a source since a version: events, a deletion, or history that was cut off.
//!
//! Promises: in the order of versions, and none left out without a word. No state is folded.

use treering_block::Cid;
use treering_block::node::{Entry, EventNode};
use treering_store::RefName;

use super::Projection;
use crate::error::{ActorError, Result};
use crate::read::{Reader, steadily};
use crate::source::read_entry;

/// What happened, one thing after another.
#[derive(Clone, Debug, PartialEq)]
pub enum Past {
    /// An event, and the node that holds it.
    Event(Cid, Box<EventNode>),
    /// It was deleted: whatever happened before is gone.
    Deleted {
        /// Its version from then on.
        version: u64,
        /// When, Unix milliseconds.
        at_ms: i64,
        /// The tombstone.
        cid: Cid,
    },
    /// What happened up to here was cut off; what it was then is kept.
    Trimmed {
        /// The version that its history begins after.
        version: u64,
        /// The base.
        cid: Cid,
    },
}

impl Past {
    /// The source's version after it.
    pub fn version(&self) -> u64 {
        match self {
            Self::Event(_, event) => event.version,
            Self::Deleted { version, .. } | Self::Trimmed { version, .. } => *version,
        }
    }
}

impl Projection {
    /// What happened to a source behind version `seen`, up to `upto`, at most `limit` (≥ 1) things: ask again from
    /// where they end. Nothing for a source whose history begins behind `upto`. O(log n + limit) reads.
    ///
    /// # Errors
    /// `Corrupt`, naming actor and version; the store's.
    pub fn past(&self, log: &RefName, seen: u64, upto: u64, limit: u64) -> Result<Vec<Past>> {
        steadily(
            || past(&self.reader, log, seen, upto, limit),
            |error| Some(error),
        )
    }
}

fn past(reader: &Reader, log: &RefName, seen: u64, upto: u64, limit: u64) -> Result<Vec<Past>> {
    let Some(value) = reader.store().read_ref(log)? else {
        return Ok(Vec::new());
    };
    let head = value.target;
    let standing = reader.standing(log, head)?;
    let last = upto.min(standing.version);
    if upto < standing.base || last <= seen {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    if seen < standing.base {
        found.push(beginning(reader, log, &head, standing.base)?);
    }
    let first = seen.max(standing.base) + 1;
    let room = limit.saturating_sub(found.len() as u64);
    let last = last.min(first.saturating_add(room).saturating_sub(1));
    if first > last {
        return Ok(found);
    }
    let source = &reader.committed();
    let mut at = reader.find(log, &head, last)?;
    let mut events = Vec::new();
    while let Some((cid, Entry::Event(event))) = at {
        let (parent, version) = (event.parent, event.version);
        events.push(Past::Event(cid, event));
        at = match parent {
            Some(parent) if version > first => {
                Some((parent, read_entry(source, log, &parent, Some(version - 1))?))
            }
            _ => None,
        };
    }
    if events.len() as u64 != last - first + 1 {
        let detail = format!("versions {first} to {last} are not all there");
        return Err(ActorError::corrupt(log, first, Some(head), detail));
    }
    events.reverse();
    found.append(&mut events);
    Ok(found)
}

/// What a log begins with.
fn beginning(reader: &Reader, log: &RefName, head: &Cid, base: u64) -> Result<Past> {
    match reader.find(log, head, base)? {
        Some((cid, Entry::Tombstone(tombstone))) => Ok(Past::Deleted {
            version: tombstone.version,
            at_ms: tombstone.deleted_at_ms,
            cid,
        }),
        Some((cid, Entry::Base(base))) => Ok(Past::Trimmed {
            version: base.version,
            cid,
        }),
        _ => {
            let detail = "its log does not begin as it says";
            Err(ActorError::corrupt(log, base, Some(*head), detail))
        }
    }
}
