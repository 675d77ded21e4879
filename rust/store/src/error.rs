//! What can go wrong in a store. Every variant says what happened, to which, and carries what a caller
//! needs to act on it; none is answered after anything of the failing commit was written.

use std::sync::Arc;

use treering_block::{BlockError, Cid};

use crate::commit::{Expect, RefValue};
use crate::name::RefName;

pub type Result<T, E = StoreError> = std::result::Result<T, E>;

#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    #[error("no block {0} in this store")]
    BlockNotFound(Cid),
    #[error("no ref {0} in this store")]
    RefNotFound(RefName),
    /// A compare-and-swap lost.
    #[error("ref {name} is not as expected ({expected:?})")]
    RefMoved {
        name: RefName,
        expected: Expect,
        actual: Option<RefValue>,
    },
    #[error(
        "command id {id:?} was used before with another payload; use a new id for a new command"
    )]
    CommandMismatch { id: String },
    /// The lease is held by somebody who is alive.
    #[error("the lease of {name} is held by {holder}")]
    LeaseHeld { name: RefName, holder: String },
    #[error("lease {token} of {name} is lost: {now}; take a new lease")]
    LeaseLost {
        name: RefName,
        token: u64,
        now: String,
    },
    /// A block or ref would point at what is not there.
    #[error("{from} links to {link}, which is not in this store; put it first")]
    LinkMissing { from: String, link: Cid },
    #[error("{what}: {actual} exceeds the limit of {limit}")]
    LimitExceeded {
        what: &'static str,
        limit: u64,
        actual: u64,
    },
    #[error("{what} {value:?} is not valid: {rule}")]
    Invalid {
        what: &'static str,
        value: String,
        rule: String,
    },
    #[error("{prefix} is the start of {} CIDs; type more of it", candidates.len())]
    Ambiguous {
        prefix: String,
        candidates: Vec<Cid>,
    },
    /// Stored bytes are not what was written.
    #[error("{what} {which} is corrupt: {detail}; run `treering verify`")]
    Corrupt {
        what: &'static str,
        which: String,
        detail: String,
    },
    #[error("{path} has format {found}, this version reads up to {supported}; upgrade treering")]
    NewerFormat {
        path: String,
        found: u64,
        supported: u64,
    },
    #[error("{path} is not a treering store: {why}")]
    NotAStore { path: String, why: String },
    #[error("cursor {0} is not one of this store")]
    CursorLost(String),
    #[error("cursor {0} is older than the journal that is kept")]
    CursorExpired(String),
    /// A commit failed half-way: what is on disk is only known after reopening.
    #[error("the store refuses to write since a commit failed ({why}); reopen it")]
    Poisoned { why: String },
    #[error(
        "this commit may or may not have happened ({why}); reopen the store and repeat it with its command id"
    )]
    CommitUnknown { why: String },
    #[error("the store is open for reading only")]
    ReadOnly,
    #[error("the disk is full; nothing of this commit was written")]
    DiskFull,
    #[error("waited {waited_ms} ms for the write lock, held by {holder}; nothing was written")]
    LockTimeout { waited_ms: u64, holder: String },
    #[error("the store is closed")]
    Closed,
    #[error("the store was opened before fork(); open it again in the child process")]
    ForkedProcess,
    #[error("{action} {path}: {source}")]
    Io {
        action: &'static str,
        path: String,
        source: Arc<std::io::Error>,
    },
    /// Invalid bytes given by the caller.
    #[error(transparent)]
    Block(#[from] BlockError),
}
