//! Blocks that were made and not stored yet, in front of those that are stored.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
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
        let take = |cid: &Cid| Ok::<_, Infallible>(self.new.remove(cid));
        match children_first(roots, take) {
            Ok(blocks) => blocks,
            Err(never) => match never {},
        }
    }
}

/// The blocks that `take` has and these roots reach through such, each once and after those that it links to.
///
/// # Errors
/// Those of `take`.
pub fn children_first<E>(
    roots: &[Cid],
    mut take: impl FnMut(&Cid) -> Result<Option<Block>, E>,
) -> Result<Vec<Block>, E> {
    enum Way {
        Down(Cid),
        /// All below it was met.
        Up(Block),
    }
    let mut blocks = Vec::new();
    let mut seen: HashSet<Cid> = HashSet::new();
    let mut way: Vec<Way> = roots.iter().rev().copied().map(Way::Down).collect();
    while let Some(next) = way.pop() {
        match next {
            Way::Up(block) => blocks.push(block),
            Way::Down(cid) if seen.insert(cid) => {
                if let Some(block) = take(&cid)? {
                    let links: Vec<Cid> = block.links.clone();
                    way.push(Way::Up(block));
                    way.extend(links.into_iter().rev().map(Way::Down));
                }
            }
            Way::Down(_) => {}
        }
    }
    Ok(blocks)
}
