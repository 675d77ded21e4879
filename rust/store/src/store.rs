//! The contract that every backend keeps; `conformance` proves it.

use std::time::Duration;

use treering_block::{Cid, CidPrefix};

use crate::commit::{Address, Commit, RefValue};
use crate::cursor::{Cursor, Head};
use crate::error::Result;
use crate::findings::VerifyReport;
use crate::journal::JournalEntry;
use crate::lease::{Lease, LeaseState};
use crate::name::RefName;
use crate::stats::{Counters, StoreStats};
use crate::ticket::Ticket;

/// How long a put that nothing links to yet is kept from garbage collection (24 h).
pub const HOLD_MS: i64 = 24 * 60 * 60 * 1000;

/// A block's place and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockInfo {
    /// Grows with every new block of the store; a block's links have smaller ones.
    pub ordinal: u64,
    pub cid: Cid,
    /// Bytes of the block.
    pub size: u64,
}

/// Blocks, refs and the journal.
///
/// All methods may be called from any thread. Reads see every commit whose ticket was answered.
pub trait Store: Send + Sync {
    /// Queues a commit and returns at once (blocks of 256 KiB and more are first written to files of
    /// their own). Requests are answered in order; one that fails is answered alone.
    fn submit(&self, commit: Commit) -> Ticket;

    /// The block's bytes, checked against `cid` when they come from a file.
    fn get(&self, cid: &Cid) -> Result<std::sync::Arc<[u8]>>;
    /// Which of `cids` are present, in their order.
    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>>;
    /// Present CIDs that start so, in CID order, at most `limit`.
    fn prefix(&self, prefix: &CidPrefix, limit: usize) -> Result<Vec<Cid>>;
    /// Blocks after that ordinal (0: from the first), in order.
    fn blocks(&self, after: u64, limit: usize) -> Result<Vec<BlockInfo>>;

    fn read_ref(&self, name: &RefName) -> Result<Option<RefValue>>;
    /// Refs of one kind of a scope in name order, after `after`. A broken row is an `Err` in its place
    /// and hides no other.
    fn list_refs(
        &self,
        scope: &str,
        kind: &str,
        after: Option<&RefName>,
        limit: usize,
    ) -> Result<Vec<(RefName, Result<RefValue>)>>;
    /// Scopes that have refs, in name order.
    fn scopes(&self) -> Result<Vec<String>>;

    /// The receipt stored under a command id: (payload digest, receipt).
    fn receipt(&self, address: &Address, command_id: &str) -> Result<Option<([u8; 32], Vec<u8>)>>;

    /// Commits after `after` (None: from the first kept), oldest first.
    fn journal(&self, after: Option<&Cursor>, limit: usize) -> Result<Vec<JournalEntry>>;
    fn head(&self) -> Result<Head>;
    /// Waits until the journal is longer than `position` or time is up; returns its length.
    fn watch(&self, position: u64, timeout: Duration) -> Result<u64>;

    /// Takes the lease of a ref that nobody alive holds; a killed holder's is taken over.
    fn lease_acquire(&self, name: &RefName, owner: &str) -> Result<Lease>;
    /// Gives it back; nothing happens if it was lost meanwhile.
    fn lease_release(&self, lease: &Lease) -> Result<()>;
    fn lease_state(&self, name: &RefName) -> Result<Option<LeaseState>>;

    /// Re-hashes every block and checks links, ordinals, rows, refs, receipts and the journal chain.
    /// `since`: also proves that the journal up to there is what it was.
    fn verify(&self, since: Option<&Head>) -> Result<VerifyReport>;

    fn stats(&self) -> Result<StoreStats>;
    /// What this handle has read and written so far.
    fn counters(&self) -> Counters;
    /// The store's clock, Unix milliseconds.
    fn now_ms(&self) -> i64;
    /// A short name for messages: the path, or `memory`.
    fn location(&self) -> String;
    /// Answers what is queued, then refuses everything with `Closed`.
    fn close(&self) -> Result<()>;
}
