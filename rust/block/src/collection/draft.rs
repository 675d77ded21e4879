//! Blocks that were made and not stored yet, in front of those that are stored.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::error::BlockError;
use crate::{Block, Cid};

/// How stored blocks are read: gives bytes whose hash was checked.
pub type Read<'r, E> = dyn Fn(&Cid) -> Result<Arc<[u8]>, E> + 'r;

/// Where collections read blocks, and where they put new ones. `E`: how reading fails.
///
/// Many changes may share a draft: what an earlier one made and a later one dropped is never stored.
pub struct Draft<'r, E> {
    read: &'r Read<'r, E>,
    new: HashMap<Cid, Block>,
}

impl<'r, E: From<BlockError>> Draft<'r, E> {
    /// Nothing is new yet.
    pub fn new(read: &'r Read<'r, E>) -> Self {
        Self {
            read,
            new: HashMap::new(),
        }
    }

    /// A block's bytes, new or stored.
    ///
    /// # Errors
    /// Those of reading.
    pub fn get(&self, cid: &Cid) -> Result<Arc<[u8]>, E> {
        match self.new.get(cid) {
            Some(block) => Ok(Arc::clone(&block.bytes)),
            None => (self.read)(cid),
        }
    }

    /// Notes a new block.
    pub fn put(&mut self, block: Block) -> Cid {
        let cid = block.cid;
        self.new.insert(cid, block);
        cid
    }

    /// The new blocks that these roots reach, each after those that it links to: what is to be stored.
    #[must_use]
    pub fn into_blocks(mut self, roots: &[Cid]) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut seen: HashSet<Cid> = HashSet::new();
        // A block is met twice: on the way down, and again (true) when all below it was.
        let mut way: Vec<(Cid, bool)> = roots.iter().rev().map(|root| (*root, false)).collect();
        while let Some((cid, done)) = way.pop() {
            if done {
                blocks.extend(self.new.remove(&cid));
            } else if let Some(block) = self.new.get(&cid)
                && seen.insert(cid)
            {
                way.push((cid, true));
                way.extend(block.links.iter().rev().map(|link| (*link, false)));
            }
        }
        blocks
    }
}
