//! The seam for colder places than the hot tables: asked in order, after them.
//!
//! Promises: a tier's ordinals are of the same store-wide numbering, so links into it resolve to numbers
//! smaller than any that is given later.
//! Must never: take writes from a commit; what goes into a tier is moved there by the store itself.

use std::sync::Arc;

use treering_block::{Cid, CidPrefix};

use crate::error::Result;
use crate::store::BlockInfo;

/// A place that holds blocks and is only read.
pub trait Tier: Send + Sync {
    /// The live ordinal of a block; None if it is not here (dead ones are not).
    fn ordinal(&self, cid: &Cid) -> Result<Option<u64>>;
    /// The block's bytes, checked against `cid`; None if it is not here.
    ///
    /// Errors: `Corrupt` if the bytes are not those.
    fn get(&self, cid: &Cid) -> Result<Option<Arc<[u8]>>>;
    /// CIDs here that start so, in CID order, at most `limit`.
    fn prefix(&self, prefix: &CidPrefix, limit: usize) -> Result<Vec<Cid>>;
    /// Ordinals that the block with this ordinal links to; None if it is not here.
    fn links(&self, ordinal: u64) -> Result<Option<Vec<u64>>>;
    /// Blocks here with a greater ordinal than `after`, in ordinal order, at most `limit`.
    fn blocks(&self, after: u64, limit: usize) -> Result<Vec<BlockInfo>>;
}
