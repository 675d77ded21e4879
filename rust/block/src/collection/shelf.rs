//! Where the tests of collections keep blocks.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use super::Draft;
use crate::error::BlockError;
use crate::{Block, Cid};

/// Blocks that were stored, and how many were read and written.
#[derive(Default)]
pub(super) struct Shelf {
    pub(super) blocks: HashMap<Cid, Arc<[u8]>>,
    pub(super) reads: Cell<u64>,
    pub(super) writes: u64,
    pub(super) bytes: u64,
}

impl Shelf {
    fn read(&self, cid: &Cid) -> Result<Arc<[u8]>, BlockError> {
        self.reads.set(self.reads.get() + 1);
        let absent = || BlockError::IllTyped {
            cid: *cid,
            field: "block".into(),
            expected: "there".into(),
        };
        self.blocks.get(cid).cloned().ok_or_else(absent)
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&Draft<'_, BlockError>) -> T) -> T {
        let read = |cid: &Cid| self.read(cid);
        look(&Draft::new(&read))
    }

    /// Makes a change, and stores what the new version needs: its root, and what that reaches.
    pub(super) fn change<C, T>(
        &mut self,
        collection: &mut C,
        encode: impl Fn(&C) -> Result<Block, BlockError>,
        change: impl FnOnce(&mut C, &mut Draft<'_, BlockError>) -> Result<T, BlockError>,
    ) -> (T, Cid) {
        let read = |cid: &Cid| self.read(cid);
        let mut draft = Draft::new(&read);
        let answer = change(collection, &mut draft).unwrap();
        let root = draft.put(encode(collection).unwrap());
        for block in draft.into_blocks(&[root]) {
            let known = |link: &Cid| self.blocks.contains_key(link);
            assert!(block.links.iter().all(known), "children come first");
            self.writes += 1;
            self.bytes += block.bytes.len() as u64;
            self.blocks.insert(block.cid, block.bytes);
        }
        (answer, root)
    }
}
