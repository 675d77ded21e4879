//! One version of a list or map: its root, and where the blocks below are.

use std::cell::RefCell;
use std::sync::Arc;

use treering_block::collection::{Draft, Map, Vector};
use treering_block::{Block, BlockError, Cid};

use crate::collections::Unstored;
use crate::error::{Result, StoreError};
use crate::store::Store;

/// A collection that shares structure.
pub trait Large: Clone + Default + PartialEq {
    /// The `kind` of its root.
    const KIND: &'static str;

    /// Its root.
    fn encode(&self) -> Result<Block, BlockError>;

    /// That of a root.
    fn decode(cid: &Cid, bytes: &[u8]) -> Result<Self, BlockError>;

    /// Reads all that it holds.
    fn walk(&self, draft: &Draft<'_, StoreError>) -> Result<()>;
}

impl Large for Vector {
    const KIND: &'static str = "vector";

    fn encode(&self) -> Result<Block, BlockError> {
        Self::encode(self)
    }

    fn decode(cid: &Cid, bytes: &[u8]) -> Result<Self, BlockError> {
        Self::decode(cid, bytes)
    }

    fn walk(&self, draft: &Draft<'_, StoreError>) -> Result<()> {
        self.each(0, draft, &mut |_| Ok(true))
    }
}

impl Large for Map {
    const KIND: &'static str = "map";

    fn encode(&self) -> Result<Block, BlockError> {
        Self::encode(self)
    }

    fn decode(cid: &Cid, bytes: &[u8]) -> Result<Self, BlockError> {
        Self::decode(cid, bytes)
    }

    fn walk(&self, draft: &Draft<'_, StoreError>) -> Result<()> {
        self.each(draft, &mut |_, _| Ok(true))
    }
}

/// The root of a version, and where the blocks below are. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rooted {
    /// The root.
    pub root: Block,
    /// What it reaches.
    pub unstored: Arc<Unstored>,
}

/// One version of a list or map. Cheap to clone; a change makes another one.
#[derive(Clone, Debug)]
pub struct Version<C> {
    collection: C,
    rooted: Rooted,
}

impl<C: Large> Version<C> {
    /// An empty one, of no store.
    ///
    /// Errors: none that happen.
    pub fn new() -> Result<Self> {
        Self::of(C::default(), Arc::default())
    }

    /// The one whose root is `cid`. Reads that block.
    ///
    /// Errors: `BlockNotFound`; `Invalid` for a block of another kind; `Corrupt` and `Block` for a broken one.
    pub fn load(store: &Arc<dyn Store>, cid: &Cid) -> Result<Self> {
        let bytes = store.get(cid)?;
        let collection = C::decode(cid, &bytes).map_err(|error| match error {
            // No node with a kind, or with another one.
            BlockError::IllTyped { field, .. } if field == "node" || field == "kind" => {
                StoreError::Invalid {
                    what: "block",
                    value: cid.to_string(),
                    rule: format!("it is not the root of a {}", C::KIND),
                }
            }
            error => error.into(),
        })?;
        Self::of(collection, Arc::new(Unstored::in_store(Arc::clone(store))))
    }

    /// The one of a root and blocks below it, as [`Self::blocks`] gave them.
    ///
    /// Errors: `Block` for what is no root, or no node.
    pub fn from_blocks(root: Vec<u8>, blocks: Vec<Vec<u8>>) -> Result<Self> {
        let root = Block::node(root)?;
        let collection = C::decode(&root.cid, &root.bytes)?;
        let blocks = blocks
            .into_iter()
            .map(Block::node)
            .collect::<Result<Vec<_>, BlockError>>()?;
        let unstored = Arc::<Unstored>::default().with(blocks, &root.links);
        let rooted = Rooted { root, unstored };
        Ok(Self { collection, rooted })
    }

    fn of(collection: C, unstored: Arc<Unstored>) -> Result<Self> {
        let root = collection.encode()?;
        let rooted = Rooted { root, unstored };
        Ok(Self { collection, rooted })
    }

    /// The collection itself.
    pub fn collection(&self) -> &C {
        &self.collection
    }

    /// Root and blocks, to be carried by a commit.
    pub fn rooted(&self) -> &Rooted {
        &self.rooted
    }

    /// Looks something up.
    ///
    /// Errors: those of `look`, which are those of reading.
    pub fn look<T>(&self, look: impl FnOnce(&C, &Draft<'_, StoreError>) -> Result<T>) -> Result<T> {
        let read = |cid: &Cid| self.rooted.unstored.get(cid);
        look(&self.collection, &Draft::new(&read))
    }

    /// The version after a change; this one stays. `inside`: collections that the change links to.
    ///
    /// Errors: those of `change`; then there is no other version.
    pub fn change(
        &self,
        inside: &[Rooted],
        change: impl FnOnce(&mut C, &mut Draft<'_, StoreError>) -> Result<()>,
    ) -> Result<Self> {
        let unstored = &self.rooted.unstored;
        let read = |cid: &Cid| unstored.get(cid);
        let mut draft = Draft::new(&read);
        let mut collection = self.collection.clone();
        change(&mut collection, &mut draft)?;
        let root = collection.encode()?;
        for part in inside {
            unstored.adopt(&part.unstored, &part.root.links);
        }
        let mut blocks = draft.into_blocks(&root.links);
        blocks.extend(inside.iter().map(|part| part.root.clone()));
        let unstored = unstored.with(blocks, &root.links);
        let rooted = Rooted { root, unstored };
        Ok(Self { collection, rooted })
    }

    /// The bytes of all blocks below the root that are the collection's own, and of those that are new; all are
    /// nodes. Reads each once, O(n).
    ///
    /// Errors: those of reading.
    pub fn blocks(&self) -> Result<Vec<Vec<u8>>> {
        let found = RefCell::new(Vec::new());
        let read = |cid: &Cid| {
            let bytes = self.rooted.unstored.get(cid)?;
            found.borrow_mut().push((*cid, Arc::clone(&bytes)));
            Ok(bytes)
        };
        self.collection.walk(&Draft::new(&read))?;
        let mut found = found.into_inner();
        let new = self.rooted.unstored.new_blocks(&self.rooted.root.links);
        found.extend(new.into_iter().map(|block| (block.cid, block.bytes)));
        found.sort_unstable();
        found.dedup();
        Ok(found.into_iter().map(|(_, bytes)| bytes.to_vec()).collect())
    }
}
