//! Reading actors: as they are, as they were, and what happened to them. Never by way of a writer.
//!
//! Promises: an actor that was never written is told apart from an error; what a writer was answered is seen at once.
//! Must never: write.

use std::sync::Arc;

use treering_block::Cid;
use treering_block::node::{Entry, EventNode, event_jump};
use treering_store::commit::COMMIT_BYTES_MAX;
use treering_store::{RefName, Store};

use crate::address::Address;
use crate::cache::Cache;
use crate::dispatch::Answer;
use crate::error::{ActorError, Result};
use crate::kind::Kind;
use crate::loaded::{Loaded, fold, load};
use crate::receipt::{self, Receipt};
use crate::source::{Committed, read_entry};
use crate::tail::Tail;
use crate::turn::cuttable;

/// Entries of a log that are read at once.
const CHUNK: u64 = 256;

/// Times that a read is tried which meets what others cut off, or collected, meanwhile.
const TRIES: u32 = 8;

/// Reads a few refs and blocks, each at its own moment. What is not there, or looks broken, may only be gone since the
/// ref that led to it was read: then all of it is read again, some times. `cause`: what of ours an error is.
///
/// # Errors
/// Those of `read`.
pub fn steadily<T, E>(
    read: impl Fn() -> std::result::Result<T, E>,
    cause: impl Fn(&E) -> Option<&ActorError>,
) -> std::result::Result<T, E> {
    let mut left = TRIES;
    loop {
        left -= 1;
        match read() {
            Err(error) if left > 0 && cause(&error).is_some_and(ActorError::may_pass) => {}
            answer => return answer,
        }
    }
}

/// See the top of this file.
#[derive(Clone)]
pub struct Reader {
    store: Arc<dyn Store>,
    cache: Arc<Cache>,
}

impl Reader {
    pub(crate) fn new(store: Arc<dyn Store>, cache: Arc<Cache>) -> Self {
        Self { store, cache }
    }

    pub(crate) fn committed(&self) -> Committed<'_> {
        Committed(&*self.store)
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The newest erasure of a scope: versions before it and after it are of two lives of the name. None: there was none.
    /// O(notes of erasures).
    ///
    /// # Errors
    /// The store's.
    pub fn life(&self, scope: &str) -> Result<Option<[u8; 16]>> {
        let erasures = self.store.erasures()?;
        let newest = erasures.of(scope).last();
        Ok(newest.map(|note| note.id.to_bytes()))
    }

    /// The actor as it is. One look-up if it was read before, else at most [`Kind::SNAPSHOT_EVENTS`] reads more.
    ///
    /// # Errors
    /// `Corrupt`, naming actor, version and block; the store's.
    pub fn now<K: Kind>(&self, address: &Address) -> Result<Arc<Loaded<K>>> {
        load(&self.committed(), &self.cache, address, true)
    }

    /// The actor as it was at a version; 0 is before anything was written.
    ///
    /// # Errors
    /// `NoSuchVersion` for one that is not there yet, `HistoryTrimmed` for one from before what is kept; as for
    /// [`Reader::now`].
    pub fn at<K: Kind>(&self, address: &Address, version: u64) -> Result<Arc<Loaded<K>>> {
        let now = self.now::<K>(address)?;
        if now.place.version == version {
            return Ok(now);
        }
        if version > now.place.version {
            return Err(ActorError::NoSuchVersion {
                actor: address.log().encoded().to_owned(),
                asked: version,
                version: now.place.version,
            });
        }
        if version == 0 && now.place.base == 0 {
            return Ok(Arc::default());
        }
        let entry = now
            .place
            .head()
            .map(|head| self.find(address.log(), &head, version));
        let Some((cid, _)) = entry.transpose()?.flatten() else {
            return Err(trimmed(address, version, now.place.base));
        };
        Ok(Arc::new(fold(&self.committed(), address, &cid)?))
    }

    /// The actor as it was at a moment, Unix milliseconds: its last version that is not later. O(log n) reads.
    ///
    /// # Errors
    /// `HistoryTrimmed` for a moment from before what is kept; as for [`Reader::at`].
    pub fn at_time<K: Kind>(&self, address: &Address, at_ms: i64) -> Result<Arc<Loaded<K>>> {
        let now = self.now::<K>(address)?;
        let Some(head) = now.place.head() else {
            return Ok(now);
        };
        let (base, newest) = (now.place.base, now.place.version);
        let time = |version| {
            let entry = self.find(address.log(), &head, version)?;
            Ok::<_, ActorError>(entry.and_then(|(_, entry)| entry.at_ms()))
        };
        // The times of a log never fall, so halving finds the place.
        let (mut known, mut beyond) = (base, newest + 1);
        while beyond - known > 1 {
            let middle = known + (beyond - known) / 2;
            if time(middle)?.is_some_and(|was| was <= at_ms) {
                known = middle;
            } else {
                beyond = middle;
            }
        }
        if known == base && base > 0 {
            // A base that tells no time is what there was if nothing happened since.
            let was = time(base)?.map_or(base == newest, |began| began <= at_ms);
            if !was {
                return Err(trimmed(address, base, base));
            }
        }
        self.at(address, known)
    }

    /// The answer to a command that was done before: what it was about is read at that version.
    ///
    /// # Errors
    /// As for [`Reader::at`]; a version that is not kept any more is none.
    pub fn answer<K: Kind>(&self, receipt: Receipt, address: &Address) -> Result<Answer<K>> {
        let after = match self.at::<K>(address, receipt.version) {
            Ok(loaded) => Some(loaded),
            Err(ActorError::HistoryTrimmed { .. } | ActorError::NoSuchVersion { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Answer { receipt, after })
    }

    /// The same, of what the command left.
    ///
    /// # Errors
    /// `Corrupt` for what is no receipt; as for [`Reader::at`].
    pub fn answer_again<K: Kind>(&self, receipt: &[u8], address: &Address) -> Result<Answer<K>> {
        let receipt = receipt::decode(receipt).and_then(|mut all| all.pop());
        let broken = || ActorError::corrupt(address.log(), 0, None, "its receipt is none");
        self.answer(receipt.ok_or_else(broken)?, address)
    }

    /// The entry of `version` of the log that ends with `head`; None for one from before its beginning. O(log n) reads.
    pub(crate) fn find(
        &self,
        actor: &RefName,
        head: &Cid,
        version: u64,
    ) -> Result<Option<(Cid, Entry)>> {
        let source = &self.committed();
        let mut cid = *head;
        let mut entry = read_entry(source, actor, &cid, None)?;
        while entry.version() > version {
            let Entry::Event(event) = &entry else {
                return Ok(None);
            };
            let (next, number) = match (event_jump(event.version, event.base), event.jump) {
                (Some(number), Some(jump)) if number >= version => (Some(jump), number),
                _ => (event.parent, event.version.saturating_sub(1)),
            };
            let Some(next) = next else {
                return Ok(None);
            };
            cid = next;
            entry = read_entry(source, actor, &cid, Some(number))?;
        }
        Ok((entry.version() == version).then_some((cid, entry)))
    }

    /// Events of versions `first` to `last` (both included; None: the newest), oldest first, at most some hundred: ask
    /// again from where it ends.
    ///
    /// # Errors
    /// `HistoryTrimmed` for versions from before what is kept; as for [`Reader::now`].
    pub fn events<K: Kind>(
        &self,
        address: &Address,
        first: u64,
        last: Option<u64>,
    ) -> Result<Vec<(Cid, EventNode)>> {
        let now = self.now::<K>(address)?;
        let place = &now.place;
        let first = first.max(1);
        let last = last.unwrap_or(place.version).min(place.version);
        let last = last.min(first.saturating_add(CHUNK - 1));
        let (Some(head), true) = (place.head(), first <= last) else {
            return Ok(Vec::new());
        };
        if first <= place.base {
            return Err(trimmed(address, first, place.base + 1));
        }
        let source = &self.committed();
        let mut at = self.find(address.log(), &head, last)?;
        let mut events = Vec::new();
        while let Some((cid, Entry::Event(event))) = at {
            let (parent, version) = (event.parent, event.version);
            events.push((cid, *event));
            at = match parent {
                Some(parent) if version > first => Some((
                    parent,
                    read_entry(source, address.log(), &parent, Some(version - 1))?,
                )),
                _ => None,
            };
        }
        events.reverse();
        Ok(events)
    }

    /// What has to be read to cut off what happened to an actor before version `keep_from`; None if that is nothing.
    pub(crate) fn tail<K: Kind>(
        &self,
        address: &Address,
        keep_from: u64,
    ) -> Result<Option<Tail<K>>> {
        let base = keep_from.saturating_sub(1);
        let head = cuttable(address, &*self.now::<K>(address)?, base)?;
        head.map(|head| {
            Tail::read(
                &self.committed(),
                address,
                &head,
                base,
                None,
                COMMIT_BYTES_MAX,
            )
        })
        .transpose()
    }
}

fn trimmed(address: &Address, asked: u64, oldest: u64) -> ActorError {
    ActorError::HistoryTrimmed {
        actor: address.log().encoded().to_owned(),
        asked,
        oldest,
    }
}

#[cfg(test)]
mod tests {
    use treering_store::StoreError;

    use super::*;

    #[test]
    fn what_may_pass_is_read_again_and_nothing_else() {
        let tries = std::cell::Cell::new(0);
        let read = |error: ActorError, enough: u32| {
            tries.set(0);
            let answer: Result<u32> = steadily(
                || {
                    tries.set(tries.get() + 1);
                    if tries.get() == enough {
                        Ok(7)
                    } else {
                        Err(error.clone())
                    }
                },
                |error| Some(error),
            );
            (answer.ok(), tries.get())
        };
        let gone = ActorError::from(StoreError::BlockNotFound(Cid::of_node(b"x")));
        assert_eq!(read(gone.clone(), 3), (Some(7), 3));
        assert_eq!(read(gone, u32::MAX), (None, TRIES));
        assert_eq!(read(StoreError::Closed.into(), 3), (None, 1));
    }
}
