//! What can go wrong in a store. Every variant says what happened, to which, and carries what a caller
//! needs to act on it; none is answered after anything of the failing commit was written, but
//! `CommitUnknown`, which says so.

use std::sync::Arc;

use treering_block::{BlockError, Cid};

use crate::commit::{Expect, RefValue};
use crate::name::RefName;

/// What a store's methods return.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// A block was asked for that is not there (any more).
    #[error("no block {0} in this store")]
    BlockNotFound(Cid),
    /// A ref was asked for that is not there (any more).
    #[error("no ref {0} in this store")]
    RefNotFound(RefName),
    /// A compare-and-swap lost.
    #[error("ref {name} is not as expected ({expected:?})")]
    RefMoved {
        /// The ref.
        name: RefName,
        /// What the commit expected of it.
        expected: Expect,
        /// What it is; None if it is absent.
        actual: Option<RefValue>,
    },
    /// A command id came again with other content.
    #[error(
        "command id {id:?} was used before with another payload; use a new id for a new command"
    )]
    CommandMismatch {
        /// The command id.
        id: String,
    },
    /// The lease is held by somebody who is alive.
    #[error("the lease of {name} is held by {holder}")]
    LeaseHeld {
        /// The leased ref.
        name: RefName,
        /// Its owner's label and process.
        holder: String,
    },
    /// The lease that a commit rests on is not held any more.
    #[error("lease {token} of {name} is lost: {now}; take a new lease")]
    LeaseLost {
        /// The leased ref.
        name: RefName,
        /// The token that was shown.
        token: u64,
        /// What became of it.
        now: String,
    },
    /// A block, ref or hold would point at what is not there.
    #[error("{from} links to {link}, which is not in this store; put it first")]
    LinkMissing {
        /// What holds the link.
        from: String,
        /// What is absent.
        link: Cid,
    },
    /// More than is allowed.
    #[error("{what}: {actual} exceeds the limit of {limit}")]
    LimitExceeded {
        /// What is limited, with its unit.
        what: &'static str,
        /// The most that is allowed.
        limit: u64,
        /// What was given.
        actual: u64,
    },
    /// Something given that can not be.
    #[error("{what} {value:?} is not valid: {rule}")]
    Invalid {
        /// What it should have been.
        what: &'static str,
        /// What was given.
        value: String,
        /// The rule that it breaks.
        rule: String,
    },
    /// A prefix that more than one CID starts with.
    #[error("{prefix} is the start of several CIDs; type more of it")]
    Ambiguous {
        /// The prefix.
        prefix: String,
        /// CIDs that start so; not necessarily all.
        candidates: Vec<Cid>,
    },
    /// Stored bytes are not what was written.
    #[error("{what} {which} is corrupt: {detail}; {}", advice(what))]
    Corrupt {
        /// What sort of thing: `block`, `ref`, `journal commit`.
        what: &'static str,
        /// Which one.
        which: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The store was written by a later version.
    #[error("{path} has format {found}, this version reads up to {supported}; upgrade treering")]
    NewerFormat {
        /// The store.
        path: String,
        /// The format that it has.
        found: u64,
        /// The newest format that this version reads.
        supported: u64,
    },
    /// A directory that is something else, or nothing.
    #[error("{path} is not a treering store: {why}")]
    NotAStore {
        /// The directory.
        path: String,
        /// What makes it none.
        why: String,
    },
    /// A cursor from another store, or from a tail that a power failure took.
    #[error("cursor {0} is not one of this store")]
    CursorLost(String),
    /// A cursor from before what is kept.
    #[error("cursor {0} is older than the journal that is kept")]
    CursorExpired(String),
    /// A commit failed half-way, so that what is on disk is only known after reopening; or the store's directory was
    /// moved, so that its path leads to nothing or to another one.
    #[error("this handle of the store takes no more commits ({why}); reopen it")]
    Poisoned {
        /// How it failed.
        why: String,
    },
    /// This very commit failed half-way.
    #[error(
        "this commit may or may not have happened ({why}); reopen the store and repeat it with its command id"
    )]
    CommitUnknown {
        /// How it failed.
        why: String,
    },
    /// A decision came to nothing; who made it knows why.
    #[error("the command was refused; nothing was written")]
    Refused,
    /// A write through a handle that only reads.
    #[error("this is for reading only: a store that was opened so, or a scope as it was")]
    ReadOnly,
    /// No room for the commit.
    #[error("the disk is full; nothing of this commit was written: make room and repeat it")]
    DiskFull,
    /// Somebody kept the write lock, or that of files or erases, for too long.
    #[error(
        "waited {waited_ms} ms for a lock, held by {holder}; nothing was written: repeat it later"
    )]
    LockTimeout {
        /// How long, in milliseconds.
        waited_ms: u64,
        /// Who holds it.
        holder: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// Two histories that had to be one.
    #[error("{path} holds another history: {why}")]
    Diverged {
        /// Where the other history is.
        path: String,
        /// How it differs, and what to do.
        why: String,
    },
    /// Refs of two stores that had to be the same, or absent in one.
    #[error(
        "refs that mean something else in the target: {count}, {} among them; nothing was written: give their scopes other names there, or erase a scope that is to follow another and bring it whole",
        names.join(", ")
    )]
    RefsTaken {
        /// How many.
        count: u64,
        /// The first of them.
        names: Vec<String>,
    },
    /// A scope was asked for that has no ref.
    #[error(
        "no scope {scope:?} in this store: nothing has been written to a scope of this name, or all of it is gone; check the name in the list of scopes"
    )]
    ScopeNotFound {
        /// The scope.
        scope: String,
    },
    /// A scope that was to be made, and that there is.
    #[error("scope {scope:?} is taken: {why}; nothing was written: choose another name")]
    ScopeTaken {
        /// The scope.
        scope: String,
        /// What it has.
        why: &'static str,
    },
    /// A commit to a scope that a fork makes just now, or was to make when it was cut short.
    #[error(
        "scope {scope:?} is being made by a fork, which is not finished; wait for it, finish it (the same fork again) or discard it"
    )]
    BeingForked {
        /// The scope.
        scope: String,
    },
    /// A moment from before what the journal keeps.
    #[error(
        "scope {scope:?} can't be shown as it was then: the journal is kept from {oldest_ms} ms on; ask for a later moment, or restore a backup of that time"
    )]
    MomentExpired {
        /// The scope.
        scope: String,
        /// The earliest moment that can be asked for, Unix milliseconds.
        oldest_ms: i64,
    },
    /// Something of a past moment that is not kept any more.
    #[error("{what} of scope {scope:?} as it was then is not kept any more: {why}")]
    CollectedSince {
        /// The scope.
        scope: String,
        /// What is gone.
        what: String,
        /// What became of it.
        why: &'static str,
    },
    /// A write to a scope whose erase has begun and not ended.
    #[error(
        "scope {scope:?} is being erased; nothing was written: wait for the erase, or finish one that was cut short (erase, vacuum)"
    )]
    BeingErased {
        /// The scope.
        scope: String,
    },
    /// A scope is gone for every reader, and what its commits said could not be stripped yet.
    #[error(
        "scope {scope:?} is erased and gone, but what it said still stands in files: {why}; do not erase it again: vacuum, the next erase of any scope, or opening the store finishes it"
    )]
    EraseUnfinished {
        /// The scope.
        scope: String,
        /// What is in the way.
        why: String,
        /// What it said, which is of what is left to be done, and not of the erase.
        cause: Box<StoreError>,
    },
    /// The caller did not want it any more.
    #[error("cancelled before it was done")]
    Cancelled,
    /// A handle used in a child process.
    #[error("the store was opened before fork(); open it again in the child process")]
    ForkedProcess,
    /// The operating system refused.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried, as a verb: `writing`.
        action: &'static str,
        /// On which file.
        path: String,
        /// The system's answer.
        source: Arc<std::io::Error>,
    },
    /// An object store did not do what it was asked, as often as it was asked.
    #[error("{action} {object:?} in {bucket}: {why}")]
    Bucket {
        /// What was tried, as a verb: `read`.
        action: &'static str,
        /// The object, or what its name begins with.
        object: String,
        /// The bucket's URL.
        bucket: String,
        /// The last answer, or that there was none; and what to do.
        why: String,
    },
    /// Invalid bytes given by the caller.
    #[error(transparent)]
    Block(#[from] BlockError),
}

/// What to do about corruption.
fn advice(what: &str) -> &'static str {
    match what {
        // SQLite can't read it: nothing looks any deeper.
        "database" => {
            "`treering verify --repair` mends what can be proved; if that fails, restore a backup"
        }
        "bucket" => "nothing is read or written there until then",
        _ => "run `treering verify`, which mends what can be proved with `--repair`",
    }
}
