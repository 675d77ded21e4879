//! The newest part of a log, read to be put behind a new beginning.
//!
//! Promises: what was read before the lock was taken is used under it only as far as the log still leads there; no more
//! is read than may be written. Must never: write.

use treering_block::Cid;
use treering_block::node::{Entry, EventNode};

use crate::address::Address;
use crate::error::{ActorError, Result};
use crate::kind::Kind;
use crate::loaded::{Loaded, fold};
use crate::source::{Source, read_sized_entry};

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
    /// `room`: bytes that the events may take.
    pub(crate) fn read(
        source: &dyn Source,
        address: &Address,
        head: &Cid,
        base: u64,
        known: Option<&Self>,
        room: u64,
    ) -> Result<Self> {
        let is_known = |cid: &Cid| known.is_some_and(|known| known.head == *cid);
        let (end, newer, _) = read_until(source, address, head, base, room, is_known)?;
        let (start, replaced, mut events) = match known.filter(|known| known.head == end) {
            Some(known) => (known.start.clone(), known.replaced, known.events.clone()),
            None => (fold(source, address, &end)?, end, Vec::new()),
        };
        events.extend(newer);
        Ok(Self {
            head: *head,
            start,
            replaced,
            events,
        })
    }
}

/// The entry of version `base`, the events behind it, oldest first, and how many bytes they take.
///
/// # Errors
/// `LimitExceeded` for more than `room`; `Corrupt` if the log has no such version; the store's.
pub(crate) fn read_events(
    source: &dyn Source,
    address: &Address,
    head: &Cid,
    base: u64,
    room: u64,
) -> Result<(Cid, Vec<EventNode>, u64)> {
    read_until(source, address, head, base, room, |_| false)
}

/// The events of a log from its newest back to version `base`, which is not among them, or to where `is_end` says so.
fn read_until(
    source: &dyn Source,
    address: &Address,
    head: &Cid,
    base: u64,
    room: u64,
    is_end: impl Fn(&Cid) -> bool,
) -> Result<(Cid, Vec<EventNode>, u64)> {
    let actor = address.log();
    let (mut events, mut bytes) = (Vec::new(), 0_u64);
    let (mut cid, mut version) = (*head, None);
    while !is_end(&cid) {
        let (entry, size) = read_sized_entry(source, actor, &cid, version)?;
        if entry.version() == base {
            break;
        }
        let Entry::Event(event) = entry else {
            return Err(missing(address, base));
        };
        bytes = bytes.saturating_add(size as u64);
        if bytes > room {
            return Err(ActorError::LimitExceeded {
                what: "bytes of events that are kept",
                limit: room,
                actual: bytes,
            });
        }
        version = event.version.checked_sub(1);
        cid = match event.parent {
            Some(parent) if event.version > base => parent,
            _ => return Err(missing(address, base)),
        };
        events.push(*event);
    }
    events.reverse();
    Ok((cid, events, bytes))
}

fn missing(address: &Address, version: u64) -> ActorError {
    ActorError::corrupt(address.log(), version, None, "its log has no such version")
}
