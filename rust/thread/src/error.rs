//! What can go wrong with threads. Each variant carries what a caller needs to act on it; none is
//! answered after anything of the failing call was written.

use treering_block::{BlockError, Cid, CodecError};
use treering_store::StoreError;

use crate::info::Status;

/// A result of this crate.
pub type Result<T, E = ThreadError> = std::result::Result<T, E>;

/// Why a call on a thread failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ThreadError {
    /// No thread under this id, prefix or key (any more).
    #[error("no thread {id:?} in this scope")]
    NotFound {
        /// What was asked for.
        id: String,
    },
    /// Somebody else has moved the head since this handle last saw it.
    #[error(
        "thread {thread} is at step {at_step} ({}), you expected {expected_step} ({}); call refresh() or fork(at={expected_step})",
        at.short(), expected.short()
    )]
    HeadMoved {
        /// Key or id of the thread.
        thread: String,
        /// Step number of the head.
        at_step: u64,
        /// The head.
        at: Cid,
        /// Step number that this handle built on.
        expected_step: u64,
        /// The head that this handle built on.
        expected: Cid,
    },
    /// The key is taken.
    #[error("key {key:?} is taken by thread {thread}; get it, or use get_or_start")]
    AlreadyExists {
        /// The key.
        key: String,
        /// Id of the thread that has it.
        thread: String,
    },
    /// The thread is in no state for this.
    #[error("thread {thread} is {status}: {verb} is not possible")]
    WrongStatus {
        /// Key or id of the thread.
        thread: String,
        /// What it is.
        status: Status,
        /// What was asked of it.
        verb: &'static str,
    },
    /// `fork(before=…)` of a role that has not spoken.
    #[error("no {role:?} in this thread; its roles are {}", on_one_line(roles))]
    UnknownRole {
        /// What was asked for.
        role: String,
        /// Roles of the thread, in order of their first step.
        roles: Vec<String>,
    },
    /// A step number beyond the thread.
    #[error("thread {thread} has no step {asked}: its last is {len}")]
    NoSuchStep {
        /// Key or id of the thread.
        thread: String,
        /// What was asked for.
        asked: u64,
        /// Number of the last step that could have been asked for.
        len: u64,
    },
    /// A prefix of several ids.
    #[error("{prefix:?} is the start of several thread ids; type more of it: {}", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// Ids that start so; at most 16.
        candidates: Vec<String>,
    },
    /// An argument that breaks a rule.
    #[error("{field} {value:?} is not valid: {rule}")]
    Invalid {
        /// Which argument.
        field: &'static str,
        /// What it was, cut short.
        value: String,
        /// The rule.
        rule: String,
    },
    /// More than is allowed; nothing was written.
    #[error("{what}: {actual} exceeds the limit of {limit}")]
    LimitExceeded {
        /// What there is too much of, with its unit.
        what: &'static str,
        /// What is allowed.
        limit: u64,
        /// What was given.
        actual: u64,
    },
    /// A stored record or chain that does not make sense.
    #[error(
        "{what} {which} is corrupt: {detail}; run `treering verify`, which mends what can be proved with `--repair`"
    )]
    Corrupt {
        /// What kind of thing.
        what: &'static str,
        /// Which one.
        which: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The store's own error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<BlockError> for ThreadError {
    fn from(error: BlockError) -> Self {
        Self::Store(StoreError::Block(error))
    }
}

impl From<CodecError> for ThreadError {
    fn from(error: CodecError) -> Self {
        Self::from(BlockError::Codec(error))
    }
}

impl ThreadError {
    pub(crate) fn invalid(field: &'static str, value: &str, rule: impl Into<String>) -> Self {
        const SHOWN_CHARS: usize = 80;
        Self::Invalid {
            field,
            value: value.chars().take(SHOWN_CHARS).collect(),
            rule: rule.into(),
        }
    }

    pub(crate) fn corrupt(
        what: &'static str,
        which: impl ToString,
        detail: impl Into<String>,
    ) -> Self {
        Self::Corrupt {
            what,
            which: which.to_string(),
            detail: detail.into(),
        }
    }
}

/// Refuses more than `limit`.
pub(crate) fn within(what: &'static str, limit: usize, actual: usize) -> Result<()> {
    if actual > limit {
        return Err(ThreadError::LimitExceeded {
            what,
            limit: limit as u64,
            actual: actual as u64,
        });
    }
    Ok(())
}

/// Names of somebody else's, which may hold anything, for a message.
fn on_one_line(names: &[String]) -> String {
    let names: Vec<String> = names
        .iter()
        .map(|name| name.escape_debug().to_string())
        .collect();
    names.join(", ")
}
