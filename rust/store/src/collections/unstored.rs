//! Blocks that versions of collections share until a store has them, and the stores that have the others.
//!
//! Promises: what was made is readable from here, or from a store that acknowledged it; versions that nobody
//! has any more leave no more than as much again behind.
//! Never: a block is dropped on the word of somebody who did not ask the store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use treering_block::collection::children_first;
use treering_block::{Block, Cid};

use crate::error::{Result, StoreError};
use crate::store::Store;

/// So many blocks may lie about before somebody looks which of them are still wanted.
const SLACK: usize = 1_024;

/// Blocks that no store has yet. Versions that came of one another share one.
#[derive(Default)]
pub struct Unstored(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    new: HashMap<Cid, Block>,
    /// In the order in which they are asked.
    stores: Vec<Arc<dyn Store>>,
    /// Blocks that were wanted when somebody last looked.
    wanted: usize,
}

impl Unstored {
    /// Everything is in `store`.
    #[must_use]
    pub fn in_store(store: Arc<dyn Store>) -> Self {
        Self(Mutex::new(Inner {
            stores: vec![store],
            ..Inner::default()
        }))
    }

    /// A block's bytes: a new one's, or those of the first store that has it.
    ///
    /// Errors: `BlockNotFound` when none has; those of reading.
    pub fn get(&self, cid: &Cid) -> Result<Arc<[u8]>> {
        let stores = {
            let inner = self.lock();
            if let Some(block) = inner.new.get(cid) {
                return Ok(Arc::clone(&block.bytes));
            }
            inner.stores.clone()
        };
        for store in stores {
            match store.get(cid) {
                Err(StoreError::BlockNotFound(_)) => {}
                answer => return answer,
            }
        }
        Err(StoreError::BlockNotFound(*cid))
    }

    /// The new blocks that these links reach, children first.
    #[must_use]
    pub fn new_blocks(&self, links: &[Cid]) -> Vec<Block> {
        self.lock().reached(links)
    }

    /// Takes in the blocks of a change that led to `links`, and answers where its version finds its blocks: here,
    /// or, where most of what is here serves no version like it, in a place of its own. O(blocks), amortised.
    #[must_use]
    pub fn with(self: &Arc<Self>, blocks: Vec<Block>, links: &[Cid]) -> Arc<Self> {
        let mut inner = self.lock();
        let named = blocks.into_iter().map(|block| (block.cid, block));
        inner.new.extend(named);
        let count = inner.new.len();
        if count <= inner.wanted.saturating_mul(2).saturating_add(SLACK) {
            return Arc::clone(self);
        }
        let wanted = inner.reached(links);
        if wanted.len() > count / 2 {
            inner.wanted = count;
            return Arc::clone(self);
        }
        Arc::new(Self(Mutex::new(Inner {
            wanted: wanted.len(),
            new: wanted.into_iter().map(|block| (block.cid, block)).collect(),
            stores: inner.stores.clone(),
        })))
    }

    /// Takes in what `other` has new below `links`, and where it reads the rest: a collection inside of another.
    pub fn adopt(&self, other: &Self, links: &[Cid]) {
        // One lock at a time: two that adopt each other would wait for ever.
        let (blocks, stores) = {
            let other = other.lock();
            (other.reached(links), other.stores.clone())
        };
        let mut inner = self.lock();
        inner
            .new
            .extend(blocks.into_iter().map(|block| (block.cid, block)));
        stores.iter().for_each(|store| inner.note(store));
    }

    /// The blocks below `links` that a commit to `store` has to bring, children first.
    ///
    /// Those that are new here; and where blocks are in another store, all that this one lacks.
    ///
    /// Errors: those of reading.
    pub fn missing_in(&self, store: &Arc<dyn Store>, links: &[Cid]) -> Result<Vec<Block>> {
        {
            let inner = self.lock();
            if inner.stores.iter().all(|known| Arc::ptr_eq(known, store)) {
                return Ok(inner.reached(links));
            }
        }
        children_first(links, |cid| {
            let new = self.lock().new.get(cid).cloned();
            if new.is_some() || store.has_many(&[*cid])?.first() == Some(&true) {
                return Ok(new);
            }
            match self.get(cid) {
                Ok(bytes) => Ok(Some(Block::stored(*cid, bytes)?)),
                // A link of the user's own: whether it may be missing is for the store to say.
                Err(StoreError::BlockNotFound(_)) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    /// Forgets those of `blocks` that `store` has; they are read from there. A commit's answer does not tell: a
    /// repeated command wrote nothing, and what it once wrote may be collected.
    pub fn landed(&self, store: &Arc<dyn Store>, blocks: &[Cid]) {
        if blocks.is_empty() {
            return;
        }
        let ours = {
            let inner = self.lock();
            let stores = &inner.stores;
            stores.is_empty() || stores.iter().any(|known| Arc::ptr_eq(known, store))
        };
        let Some(Ok(there)) = ours.then(|| store.has_many(blocks)) else {
            return;
        };
        let mut inner = self.lock();
        inner.note(store);
        for (cid, _) in blocks.iter().zip(there).filter(|(_, there)| *there) {
            inner.new.remove(cid);
        }
        inner.wanted = inner.wanted.min(inner.new.len());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change of it is one step, so a panic can not have left it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn reached(&self, links: &[Cid]) -> Vec<Block> {
        let take = |cid: &Cid| Ok::<_, std::convert::Infallible>(self.new.get(cid).cloned());
        match children_first(links, take) {
            Ok(blocks) => blocks,
            Err(never) => match never {},
        }
    }

    fn note(&mut self, store: &Arc<dyn Store>) {
        if !self.stores.iter().any(|known| Arc::ptr_eq(known, store)) {
            self.stores.push(Arc::clone(store));
        }
    }
}

impl std::fmt::Debug for Unstored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inner = self.lock();
        write!(
            f,
            "Unstored({} new, {} stores)",
            inner.new.len(),
            inner.stores.len()
        )
    }
}
