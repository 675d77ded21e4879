//! The newest part of a log, read to be put behind a new beginning.
//!
//! Promises: what was read before the lock was taken is used under it only as far as the log still leads there.
//! Must never: write.

use treering_block::Cid;
use treering_block::node::{Entry, EventNode};

use crate::address::Address;
use crate::error::{ActorError, Result};
use crate::kind::Kind;
use crate::loaded::{Loaded, fold};
use crate::source::{Source, read_entry};

/// Events that one commit puts behind a new beginning.
pub const TRIM_EVENTS_MAX: u64 = 10_000;

/// The events after one version, and what the actor was at that version.
pub(crate) struct Tail<K: Kind> {
    /// The newest event.
    head: Cid,
    /// The actor at the version before the first event.
    pub start: Loaded<K>,
    /// The entry of that version.
    pub replaced: Cid,
    /// Oldest first.
    pub events: Vec<EventNode>,
}

impl<K: Kind> Tail<K> {
    /// Of the log that ends with `head`, from after version `base`, one that it has; `known`: the same, read before.
    pub(crate) fn read(
        source: &dyn Source,
        address: &Address,
        head: &Cid,
        base: u64,
        known: Option<&Self>,
    ) -> Result<Self> {
        let actor = address.log();
        let (mut newer, mut cid, mut version) = (Vec::new(), *head, None);
        let (start, replaced, mut events) = loop {
            if let Some(known) = known.filter(|known| known.head == cid) {
                break (known.start.clone(), known.replaced, known.events.clone());
            }
            let entry = read_entry(source, actor, &cid, version)?;
            if entry.version() == base {
                break (fold(source, address, &cid)?, cid, Vec::new());
            }
            match entry {
                Entry::Event(event) if event.version > base => {
                    let (parent, before) = (event.parent, event.version.checked_sub(1));
                    newer.push(*event);
                    cid = parent.ok_or_else(|| missing(address, base))?;
                    version = before;
                }
                _ => return Err(missing(address, base)),
            }
        };
        events.extend(newer.into_iter().rev());
        Ok(Self {
            head: *head,
            start,
            replaced,
            events,
        })
    }
}

fn missing(address: &Address, version: u64) -> ActorError {
    ActorError::corrupt(address.log(), version, None, "its log has no such version")
}
