//! Read models that are made anew from events alone.
//!
//! Promises: one is put in the place of another only if its log still ends as it did when it was read: what was deleted
//! or cut off meanwhile does not come back. Must never: write to a log.

use std::sync::Arc;

use treering_block::{Block, Cid};
use treering_store::{
    Change, Commit, Decide, Decided, Durability, Expect, RefMove, RefValue, StoreError, View,
};

use crate::address::Address;
use crate::error::{ActorError, Result};
use crate::kind::{Blocks, Kind};
use crate::loaded::{Loaded, replay};
use crate::read::Reader;
use crate::turn::{expect_known_schema, snapshot};

impl Reader {
    pub(crate) fn make_snapshot<K: Kind>(
        &self,
        mut loaded: Loaded<K>,
        head: &Cid,
        schema: u64,
    ) -> Result<(Cid, Vec<Block>)> {
        let read = |cid: &Cid| self.store().get(cid).map_err(ActorError::from);
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
            let Some(head) = self.store().read_ref(address.log())? else {
                return Ok(0);
            };
            let folded = replay::<K>(&self.committed(), address.log(), &head.target, None)?;
            if !folded.exists() {
                return Ok(folded.place.version);
            }
            expect_known_schema::<K>(address, &folded)?;
            let version = folded.place.version;
            let (target, blocks) = self.make_snapshot(folded, &head.target, K::SCHEMA)?;
            if self.put_model(address, head, target, blocks, durability)? {
                return Ok(version);
            }
        }
    }

    /// Puts a read model in the place of another. False: something happened since the log ended with `head`; what was
    /// made is of the past, or of what was deleted.
    pub(crate) fn put_model(
        &self,
        address: &Address,
        head: RefValue,
        target: Cid,
        blocks: Vec<Block>,
        durability: Durability,
    ) -> Result<bool> {
        let ticket = self.store().submit(Commit {
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
            Err(StoreError::Refused) => Ok(false),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(true),
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
            ..Decided::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use treering_store::{MemoryStore, Store};

    use super::*;
    use crate::dispatch::Dispatcher;
    use crate::stores::memory::{self, MemoryKind};
    use crate::stores::{Options, Stores};

    #[test]
    fn a_read_model_of_the_past_takes_nobodys_place() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let dispatcher = Dispatcher::new(Arc::clone(&store));
        let stores = Stores::new(dispatcher, "alice", Durability::Relaxed).unwrap();
        let address = stores.address::<MemoryKind>(&[]).unwrap();
        let remember = |content: &str| {
            let entry = crate::messages::MemoryEntry {
                id: memory::new_id(),
                content: content.to_owned(),
                ..Default::default()
            };
            let verb = memory::add(&stores, entry, 50).unwrap();
            let answer = stores.submit::<MemoryKind>(verb, Options::default());
            answer.unwrap().wait().unwrap();
        };
        remember("first");
        let reader = stores.reader();
        let head = store.read_ref(address.log()).unwrap().unwrap();
        let folded = reader.now::<MemoryKind>(&address).unwrap();
        let (target, blocks) = reader
            .make_snapshot((*folded).clone(), &head.target, MemoryKind::SCHEMA)
            .unwrap();
        let made = || Commit {
            scope: "alice".to_owned(),
            decide: Some(Arc::new(Anew {
                address: address.clone(),
                head: head.clone(),
                target,
                blocks: blocks.clone(),
            })),
            ..Commit::default()
        };
        store.submit(made()).wait().unwrap();
        assert_eq!(
            store
                .read_ref(address.read_model())
                .unwrap()
                .unwrap()
                .target,
            target
        );
        // Something happens between reading and writing: what was made is refused, and made anew.
        remember("second");
        let late = store.submit(made()).wait();
        assert!(matches!(late, Err(StoreError::Refused)), "{late:?}");
        assert_eq!(
            reader
                .rebuild::<MemoryKind>(&address, Durability::Relaxed)
                .unwrap(),
            2
        );
    }
}
