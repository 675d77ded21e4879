//! Garbage collection: blocks that no ref and no hold reaches become absent, then their bytes go.
//!
//! Promises: nothing reachable or held is ever deleted, whatever others do meanwhile; any doubt ends a
//! collection before its first change; stopping anywhere leaves a store that is whole.
//! Must never: read a payload, bring a dead block back, or keep a writer waiting for the whole of it.

mod bitmap;
mod collection;
mod ground;
mod learned;
mod mark;
mod trace;

pub use bitmap::{Bitmap, PAGE_BYTES, PAGE_ORDINALS, page_contains, page_of};
pub use collection::{Collection, Phase};
pub use ground::{Change, Changes, Figures, Ground, Kept, Purged, View};
pub use learned::{Figured, Learned, SHARE_PERCENT, is_much};
pub use mark::{GraphPage, mark, missing};
pub use trace::garbage;

/// How to collect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcOptions {
    /// Only find out what would go.
    pub dry_run: bool,
}

/// What a collection found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Refs and holds that it started from.
    pub roots: u64,
    /// Of them, holds that had not ended.
    pub held: u64,
    /// Blocks that stay: those reached from a root, and those stored while it ran.
    pub reachable: u64,
    /// Blocks that became absent.
    pub dead: u64,
    /// Of them, nodes.
    pub dead_nodes: u64,
    /// Links of these nodes.
    pub dead_links: u64,
    /// Bytes of the blocks that became absent.
    pub dead_bytes: u64,
    /// Blocks whose row was deleted: the dead, and what an interrupted collection left of its own.
    pub deleted: u64,
    /// The bytes of the deleted blocks, exactly.
    pub freed_bytes: u64,
    /// How often blocks were made absent in this store, this collection included. One that finds very much
    /// does it in several pieces.
    pub generation: u64,
    /// How long it took.
    pub duration_ms: u64,
    /// Files and objects that no row names, and that stay: rows are damaged, and one of them may be theirs, which a repair
    /// settles; or the bucket does not answer: then at least so many. The next collection removes what is left.
    pub kept_files: u64,
    /// That damage, or what the bucket said; None where there is none.
    pub kept_because: Option<String>,
    /// Nothing was changed; the figures say what would have gone.
    pub dry_run: bool,
}
