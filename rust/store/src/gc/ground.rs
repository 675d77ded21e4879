//! What a backend offers to a collection: a view to read, and few changes to make under the write lock.
//!
//! Promises (of a backend): a view shows one moment; a change is a part of one commit, after all before it
//! and before all after it.
//! Must never: read a payload.

use std::ops::{ControlFlow, Range};

use treering_block::Cid;

use super::bitmap::Bitmap;
use super::learned::Learned;
use super::mark::GraphPage;
use crate::commit::Durability;
use crate::error::{Result, StoreError};

/// Sums over blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Blocks.
    pub blocks: u64,
    /// Of them, nodes.
    pub nodes: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their links.
    pub links: u64,
}

impl Figures {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            blocks: self.blocks.saturating_add(other.blocks),
            nodes: self.nodes.saturating_add(other.nodes),
            bytes: self.bytes.saturating_add(other.bytes),
            links: self.links.saturating_add(other.links),
        }
    }

    /// Without the other.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            blocks: self.blocks.saturating_sub(other.blocks),
            nodes: self.nodes.saturating_sub(other.nodes),
            bytes: self.bytes.saturating_sub(other.bytes),
            links: self.links.saturating_sub(other.links),
        }
    }
}

/// A store at one moment. A row that does not match its check is `Corrupt`.
pub trait View {
    /// How many collections have buried blocks.
    fn generation(&mut self) -> Result<u64>;
    /// The ordinal that the next new block gets.
    fn next_ordinal(&mut self) -> Result<u64>;
    /// Blocks that are there.
    fn blocks(&mut self) -> Result<u64>;
    /// Number of the newest commit.
    fn position(&mut self) -> Result<u64>;
    /// The ordinals that are dead.
    fn dead(&mut self) -> Result<Bitmap>;
    /// Every ref: its name, its target.
    fn refs(&mut self, visit: &mut dyn FnMut(&str, Cid) -> Result<()>) -> Result<()>;
    /// Each commit after `position`: its number, the targets of its ref moves.
    fn targets_after(
        &mut self,
        position: u64,
        visit: &mut dyn FnMut(u64, Cid) -> Result<()>,
    ) -> Result<()>;
    /// Every hold on these ordinals, ended ones too, by growing ordinal, until `visit` breaks off: the
    /// ordinal, when it ends.
    fn holds(
        &mut self,
        ordinals: Range<u64>,
        visit: &mut dyn FnMut(u64, i64) -> ControlFlow<()>,
    ) -> Result<()>;
    /// The smallest ordinal so that there are at most `count` holds from there up to `below`.
    fn hold_floor(&mut self, below: u64, count: usize) -> Result<u64>;
    /// The live ordinal of a block.
    fn ordinal(&mut self, cid: &Cid) -> Result<Option<u64>>;
    /// At most `limit` graph rows below `below`, falling. `dead`: those whose links do not count.
    fn graph_down(&mut self, below: u64, limit: usize, dead: &Bitmap) -> Result<GraphPage>;
    /// Every graph row from `from` on: ordinal, links.
    fn graph_from(
        &mut self,
        from: u64,
        visit: &mut dyn FnMut(u64, &[u64]) -> Result<()>,
    ) -> Result<()>;
    /// What a block links to. Errors: `Corrupt` when it has no row.
    fn links(&mut self, ordinal: u64) -> Result<Vec<u64>>;
    /// The figures of a block, dead or not; None when it has no row.
    fn figures(&mut self, ordinal: u64) -> Result<Option<Figures>>;
    /// Every block in another tier: ordinal, links.
    fn elsewhere(&mut self, visit: &mut dyn FnMut(u64, &[u64])) -> Result<()>;
}

/// What a small transaction took away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// How many of the ordinals it was given are done with.
    pub done: usize,
    /// Rows that it deleted.
    pub blocks: u64,
    /// The bytes of these blocks.
    pub bytes: u64,
    /// Files that no row names any more.
    pub files: Vec<String>,
}

/// Files that no row seems to need, and that stay all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// How many.
    pub files: u64,
    /// The damage that leaves it open whether they are needed, or what the bucket said where they are.
    pub why: Option<String>,
}

impl Kept {
    /// So many stay because of this.
    pub fn because(files: u64, why: &StoreError) -> Self {
        Self {
            files,
            why: Some(why.to_string()),
        }
    }

    /// These stay, too.
    pub fn add(&mut self, other: Self) {
        self.files = self.files.saturating_add(other.files);
        self.why = self.why.take().or(other.why);
    }
}

/// What a collection changes, under the write lock.
pub trait Changes {
    /// Reads what all commits before left.
    fn view(&mut self, work: &mut dyn FnMut(&mut dyn View) -> Result<()>) -> Result<()>;
    /// From now on these are absent. `gone`: their figures. Returns the new generation.
    fn bury(&mut self, garbage: &Bitmap, gone: Figures) -> Result<u64>;
    /// Deletes rows of dead ordinals, in this order, until time is up; at least one.
    fn purge(&mut self, ordinals: &[u64]) -> Result<Purged>;
    /// Removes holds on these ordinals that ended at `until_ms` or before.
    fn drop_holds(&mut self, ordinals: Range<u64>, until_ms: i64) -> Result<()>;
    /// Writes down what a collection found.
    fn learn(&mut self, learned: &Learned) -> Result<()>;
}

/// One change, made under the write lock.
pub type Change = Box<dyn FnOnce(&mut dyn Changes) -> Result<()> + Send>;

/// A store that can be collected.
pub trait Ground: Sync {
    /// The store's clock.
    fn now_ms(&self) -> i64;
    /// Reads outside the write lock.
    fn read(&self, work: &mut dyn FnMut(&mut dyn View) -> Result<()>) -> Result<()>;
    /// Makes a change under the write lock; Ok once it is committed.
    fn change(&self, durability: Durability, work: Change) -> Result<()>;
    /// The same for what gives no room back: on a full disk it answers `DiskFull` rather than take what is
    /// reserved for deletions.
    fn note(&self, durability: Durability, work: Change) -> Result<()> {
        self.change(durability, work)
    }
    /// Removes files whose rows are gone. False: where they are does not answer, so that asking again would take as long for each;
    /// what stays is found by the next collection.
    fn remove_files(&self, names: &[String]) -> bool;
    /// Removes files without a row that no commit can name any more. Where rows are damaged they stay, and are told of.
    fn remove_stray_files(&self) -> Result<Kept>;
    /// Gives a little of the room that deleted rows left back to the system. False: nothing is left to give.
    fn shrink(&self) -> Result<bool> {
        Ok(false)
    }
}
