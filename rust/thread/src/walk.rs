//! Walking a chain: forward in chunks, back by parents.

use std::sync::Arc;

use treering_block::Cid;
use treering_store::Store;

use crate::chain::{find, parent, read_step};
use crate::error::{Result, ThreadError};
use crate::step::Step;

/// Steps that a forward walk holds at once.
const CHUNK_STEPS: u64 = 512;

/// Steps in order. The chain only knows the way back, so a chunk is found from its end (by jumps),
/// walked back and given out; memory is one chunk, reads one a step and O(log n) a chunk.
///
/// After an `Err` it is at its end.
pub struct Steps {
    store: Arc<dyn Store>,
    head: Cid,
    next: u64,
    last: u64,
    /// The chunk at hand, last step first.
    chunk: Vec<Step>,
}

impl Steps {
    pub(crate) fn new(store: Arc<dyn Store>, head: Cid, first: u64, last: u64) -> Self {
        Self {
            store,
            head,
            next: first,
            last,
            chunk: Vec::new(),
        }
    }

    fn load(&mut self) -> Result<()> {
        let end = self.last.min(self.next.saturating_add(CHUNK_STEPS - 1));
        let missing =
            || ThreadError::corrupt("thread head", self.head, format!("it has no step {end}"));
        let mut at =
            find(&*self.store, read_step(&*self.store, &self.head)?, end)?.ok_or_else(missing)?;
        let mut chunk = Vec::with_capacity((end - self.next + 1) as usize);
        while at.number > self.next {
            let before = parent(&*self.store, &at)?;
            chunk.push(at);
            at = before.ok_or_else(missing)?;
        }
        chunk.push(at);
        self.chunk = chunk;
        Ok(())
    }
}

impl Iterator for Steps {
    type Item = Result<Step>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.chunk.is_empty() {
            if self.next > self.last {
                return None;
            }
            if let Err(error) = self.load() {
                self.next = self.last.saturating_add(1);
                return Some(Err(error));
            }
        }
        let step = self.chunk.pop()?;
        self.next = step.number + 1;
        Some(Ok(step))
    }
}

/// Steps backwards; O(log n) reads to the first one, then one a step. After an `Err` it is at its end.
pub struct Back {
    store: Arc<dyn Store>,
    /// The last step that is given.
    first: u64,
    from: From,
}

enum From {
    /// That step of the chain that ends there.
    Chain(Cid, u64),
    /// The one before this.
    Step(Box<Step>),
    End,
}

impl Back {
    pub(crate) fn new(store: Arc<dyn Store>, head: Cid, first: u64, last: u64) -> Self {
        let from = if last < first {
            From::End
        } else {
            From::Chain(head, last)
        };
        Self { store, first, from }
    }
}

impl Iterator for Back {
    type Item = Result<Step>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = match std::mem::replace(&mut self.from, From::End) {
            From::Chain(head, number) => {
                read_step(&*self.store, &head).and_then(|step| find(&*self.store, step, number))
            }
            From::Step(step) => parent(&*self.store, &step),
            From::End => Ok(None),
        };
        if let Ok(Some(step)) = &step
            && step.number > self.first
        {
            self.from = From::Step(Box::new(step.clone()));
        }
        step.transpose()
    }
}
