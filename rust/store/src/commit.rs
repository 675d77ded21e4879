//! The one way to change a store: new blocks, ref moves and what they expect, all or nothing.

use treering_block::{Block, Cid};

use crate::name::RefName;

/// At most this many bytes of blocks in one commit (64 MiB); files of their own do not count.
pub const COMMIT_BYTES_MAX: u64 = 64 << 20;
/// At most this many ref moves in one commit.
pub const COMMIT_MOVES_MAX: usize = 20_000;
/// At most this many bytes of record on one ref.
pub const RECORD_BYTES_MAX: usize = 4096;

/// How much of a failure an acknowledged commit outlives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A power failure: answered after the log has reached the disk.
    #[default]
    Durable,
    /// A killed process, not a power failure: answered before the log is synced.
    Relaxed,
}

/// What a ref must be before a commit may move it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It does not exist.
    Absent,
    /// It stands at this version.
    Version(u64),
    /// Nothing: whatever it is (absent too), it is moved.
    Any,
}

/// What becomes of a ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It points at `target`, with `record` (≤ [`RECORD_BYTES_MAX`] bytes, without links) beside it.
    Set { target: Cid, record: Vec<u8> },
    /// It is removed.
    Delete,
}

/// One compare-and-swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefMove {
    pub name: RefName,
    pub expect: Expect,
    pub change: Change,
}

/// A ref as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefValue {
    /// Counts from 1, grows by one with each move.
    pub version: u64,
    pub target: Cid,
    pub record: Vec<u8>,
}

/// The lease that must be held on `name` for the commit to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseToken {
    pub name: RefName,
    pub token: u64,
}

/// What makes a retry safe: the first commit under (`address`, `id`) leaves `receipt`; a later one with
/// the same `payload` gets that receipt back and writes nothing, one with another payload is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The addressed ref; for start, fork and a whole scope's commit: the scope itself.
    pub address: Address,
    /// The caller's command id, at most 256 bytes; only its digest is stored.
    pub id: String,
    /// Digest of what the caller gave: never of clock or random ids.
    pub payload: [u8; 32],
    /// Versions and ids, no content (DAG-CBOR, at most 4096 bytes).
    pub receipt: Vec<u8>,
}

/// What a command id is unique within.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Ref(RefName),
    Scope(String),
}

/// New blocks and ref moves with their expectations.
///
/// Blocks stand children first: every link of a block is present in the store or earlier in `blocks`.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// The scope on whose behalf; holds are booked on it.
    pub scope: String,
    pub blocks: Vec<Block>,
    pub moves: Vec<RefMove>,
    pub leases: Vec<LeaseToken>,
    pub command: Option<Command>,
    /// CIDs handed to the caller that no move of this commit reaches (new or already there): kept from
    /// garbage collection for [`crate::store::HOLD_MS`].
    pub holds: Vec<Cid>,
    pub durability: Durability,
}

/// What a commit did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Its place in the journal. Unchanged when nothing had to be written (`replay`, or a put of what
    /// is already there).
    pub position: u64,
    /// The store's clock at the commit, Unix milliseconds.
    pub at_ms: i64,
    /// Blocks that were not there before, and their bytes.
    pub new_blocks: u64,
    pub new_bytes: u64,
    /// Version of each moved ref after the commit, in the order of `moves` (0 for a delete).
    pub versions: Vec<u64>,
    /// The receipt of the first commit under this command id: nothing was written now.
    pub replay: Option<Vec<u8>>,
}
