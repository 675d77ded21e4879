//! How a commit is judged and booked: the same for every backend.
//!
//! [`apply`] evaluates ALL expectations of a commit against the ledger (which already shows the earlier
//! requests of the batch) before it writes anything of it. A refused commit therefore leaves no trace.

use treering_block::{Block, Cid};

use crate::commit::{Address, Change, RefValue};
use crate::error::Result;
use crate::lease::LeaseState;
use crate::name::RefName;

/// What a backend offers to [`apply`] inside one transaction.
pub trait Ledger {
    /// The live ordinal of a block.
    fn ordinal(&mut self, cid: &Cid) -> Result<Option<u64>>;
    fn read_ref(&mut self, name: &RefName) -> Result<Option<RefValue>>;
    fn lease(&mut self, name: &RefName) -> Result<Option<LeaseState>>;
    fn receipt(&mut self, address: &Address, command_id: &str) -> Result<Option<([u8; 32], Vec<u8>)>>;

    /// Stores a new block and returns its ordinal, which is greater than every one before.
    fn insert_block(&mut self, block: &Block, links: &[u64]) -> Result<u64>;
    fn change_ref(&mut self, name: &RefName, version: u64, change: &Change) -> Result<()>;
    fn touch_lease(&mut self, name: &RefName, now_ms: i64) -> Result<()>;
    fn insert_receipt(&mut self, address: &Address, command_id: &str, payload: &[u8; 32], receipt: &[u8]) -> Result<()>;
    fn insert_hold(&mut self, scope: &str, ordinal: u64, expires_at_ms: i64) -> Result<()>;
    /// Appends to the journal: `body` is the encoded moves. Returns the position.
    fn append_journal(&mut self, at_ms: i64, body: &[u8]) -> Result<u64>;
    /// Position of the newest commit.
    fn position(&mut self) -> Result<u64>;
}
