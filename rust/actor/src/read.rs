//! Reading actors: as they are, as they were, and what happened to them. Never by way of a writer.
//!
//! Promises: an actor that was never written is told apart from an error; what a writer was answered is seen at once.
//! Must never: write, but for [`Reader::rebuild`]'s snapshot.

use std::sync::Arc;

use treering_block::node::{Entry, EventNode, event_jump};
use treering_block::{Block, Cid};
use treering_store::{
    Change, Commit, Decide, Decided, Durability, Expect, RefMove, RefName, RefValue, Store,
    StoreError, View,
};

use crate::address::Address;
use crate::cache::Cache;
use crate::dispatch::Answer;
use crate::error::{ActorError, Result};
use crate::kind::{Blocks, Kind};
use crate::loaded::{Loaded, fold, load, read_event, replay};
use crate::receipt::Receipt;
use crate::source::{Committed, Source, read_entry, read_snapshot};
use crate::tail::Tail;
use crate::turn::{cuttable, expect_known_schema, snapshot};

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

    fn committed(&self) -> Committed<'_> {
        Committed(&*self.store)
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
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
    /// As for [`Reader::at`].
    pub fn at_time<K: Kind>(&self, address: &Address, at_ms: i64) -> Result<Arc<Loaded<K>>> {
        let now = self.now::<K>(address)?;
        // The times of a log never fall, so halving finds the place.
        let (mut known, mut beyond) = (now.place.base, now.place.version + 1);
        let Some(head) = now.place.head() else {
            return Ok(now);
        };
        while beyond - known > 1 {
            let middle = known + (beyond - known) / 2;
            let Some((_, event)) = self.find(address.log(), &head, middle)? else {
                break;
            };
            let was = match &event {
                Entry::Event(event) => event.at_ms,
                Entry::Tombstone(node) => node.deleted_at_ms,
                Entry::Base(_) => i64::MIN,
            };
            if was <= at_ms {
                known = middle;
            } else {
                beyond = middle;
            }
        }
        if known == now.place.base && known > 0 {
            let was = match self.find(address.log(), &head, known)? {
                Some((_, Entry::Tombstone(node))) => node.deleted_at_ms <= at_ms,
                // A base has no time: it is what there was if nothing happened since.
                _ => known == now.place.version,
            };
            if !was {
                return Err(trimmed(address, known, known + 1));
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

    /// The entry of `version` of the log that ends with `head`; None for one from before its beginning. O(log n) reads.
    fn find(&self, actor: &RefName, head: &Cid, version: u64) -> Result<Option<(Cid, Entry)>> {
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
        head.map(|head| Tail::read(&self.committed(), address, &head, base, None))
            .transpose()
    }

    /// Reads an actor's whole log, and says how many events it has: each entry is checked against its CID, its place, its
    /// jump and its type; the snapshot against what the events make. O(events).
    ///
    /// # Errors
    /// `Corrupt`, naming actor, version and block; the store's.
    pub fn verify<K: Kind>(&self, address: &Address) -> Result<u64> {
        let source = &self.committed();
        let actor = address.log();
        // First: what is written meanwhile is then behind it.
        let model = source.read_ref(address.read_model())?;
        let Some(head) = source.read_ref(actor)? else {
            return Ok(0);
        };
        let mut chain: Vec<(u64, Cid, Option<Cid>, u64)> = Vec::new();
        let mut next = Some((head.target, None));
        while let Some((cid, version)) = next {
            let entry = read_entry(source, actor, &cid, version)?;
            let begins_after = match &entry {
                Entry::Event(event) => event.base,
                Entry::Base(_) | Entry::Tombstone(_) => entry.version(),
            };
            if let Some((version, cid, _, base)) = chain.last()
                && *base != begins_after
            {
                let detail = format!("its log does not begin after version {base}");
                return Err(ActorError::corrupt(actor, *version, Some(*cid), detail));
            }
            let Entry::Event(event) = entry else {
                // What it begins with can be read.
                replay::<K>(source, actor, &cid, None)?;
                break;
            };
            read_event::<K>(actor, &cid, &event)?;
            chain.push((event.version, cid, event.jump, event.base));
            next = event.parent.map(|parent| (parent, Some(event.version - 1)));
        }
        for (version, cid, jump, base) in &chain {
            let (Some(number), Some(jump)) = (event_jump(*version, *base), jump) else {
                continue;
            };
            let newest = chain.first().map_or(0, |(newest, ..)| *newest);
            let there = usize::try_from(newest.saturating_sub(number)).unwrap_or(usize::MAX);
            if chain.get(there).is_none_or(|(_, there, ..)| there != jump) {
                let detail = format!("its jump does not lead to version {number}");
                return Err(ActorError::corrupt(actor, *version, Some(*cid), detail));
            }
        }
        if let Some(value) = model {
            self.verify_snapshot::<K>(address, &head.target, &value.target)?;
        }
        Ok(chain.len() as u64)
    }

    fn verify_snapshot<K: Kind>(&self, address: &Address, head: &Cid, cid: &Cid) -> Result<()> {
        let source = &self.committed();
        let node = read_snapshot(source, address.read_model(), cid)?;
        // What other rules made, or who knows later events, is not what these rules make.
        if node.fold != K::FOLD || node.typed.schema > K::SCHEMA {
            return Ok(());
        }
        let wrong = |detail: &str| {
            let actor = address.read_model();
            Err(ActorError::corrupt(actor, node.version, Some(*cid), detail))
        };
        let Some((entry, _)) = self.find(address.log(), head, node.version)? else {
            return wrong("its log has no such version");
        };
        let folded = replay::<K>(source, address.log(), &entry, None)?;
        let (made, _) = self.make_snapshot(folded, &entry, node.typed.schema)?;
        if made != *cid && entry.to_bytes().as_slice() == node.entry.as_slice() {
            return wrong("it is not what the events make");
        }
        Ok(())
    }

    fn make_snapshot<K: Kind>(
        &self,
        mut loaded: Loaded<K>,
        head: &Cid,
        schema: u64,
    ) -> Result<(Cid, Vec<Block>)> {
        let read = |cid: &Cid| self.store.get(cid).map_err(ActorError::from);
        let mut blocks = Blocks::new(&read);
        let cid = snapshot(&mut blocks, &mut loaded, head, schema)?;
        Ok((cid, blocks.into_blocks(&[cid])))
    }

    /// Makes the read model anew from the events alone. Returns the version that it is of.
    ///
    /// # Errors
    /// `NewerSchema`: who does not know all events would lose what they did; as for [`Reader::verify`]; those of a commit.
    pub fn rebuild<K: Kind>(&self, address: &Address, durability: Durability) -> Result<u64> {
        loop {
            let Some(head) = self.store.read_ref(address.log())? else {
                return Ok(0);
            };
            let folded = replay::<K>(&self.committed(), address.log(), &head.target, None)?;
            if !folded.exists() {
                return Ok(folded.place.version);
            }
            expect_known_schema::<K>(address, &folded)?;
            let version = folded.place.version;
            let (target, blocks) = self.make_snapshot(folded, &head.target, K::SCHEMA)?;
            let ticket = self.store.submit(Commit {
                scope: address.scope().to_owned(),
                decide: Some(Arc::new(Anew {
                    address: address.clone(),
                    head,
                    target,
                    blocks,
                })),
                durability,
                ..Commit::default()
            });
            match ticket.wait() {
                // Something happened meanwhile: what was made is of the past, or of what was deleted.
                Err(StoreError::Refused) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => return Ok(version),
            }
        }
    }
}

/// A read model that takes the place of another, if the log still ends as it did.
#[derive(Debug)]
struct Anew {
    address: Address,
    head: RefValue,
    target: Cid,
    blocks: Vec<Block>,
}

impl Decide for Anew {
    fn decide(&self, view: &mut dyn View, _: i64) -> Result<Decided, StoreError> {
        if view.read_ref(self.address.log())?.as_ref() != Some(&self.head) {
            return Err(StoreError::Refused);
        }
        Ok(Decided {
            blocks: self.blocks.clone(),
            moves: vec![RefMove {
                name: self.address.read_model().clone(),
                expect: Expect::Any,
                change: Change::Set {
                    target: self.target,
                    record: Vec::new(),
                },
            }],
            receipt: None,
        })
    }
}

fn trimmed(address: &Address, asked: u64, oldest: u64) -> ActorError {
    ActorError::HistoryTrimmed {
        actor: address.log().encoded().to_owned(),
        asked,
        oldest,
    }
}
