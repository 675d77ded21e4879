//! What can go wrong with actors. Each variant carries what a caller needs to act on it; none is answered after
//! anything of the failing call was written.

use std::borrow::Cow;

use treering_block::{BlockError, Cid, CodecError};
use treering_store::{RefName, StoreError};
use treering_thread::ThreadError;

/// A result of this crate.
pub type Result<T, E = ActorError> = std::result::Result<T, E>;

/// Why a call on an actor failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ActorError {
    /// The actor is at another version than the caller expects.
    #[error(
        "{actor} is at version {actual}, you expected {expected}; read it again and decide anew"
    )]
    VersionConflict {
        /// The actor's address.
        actor: String,
        /// What the caller gave.
        expected: u64,
        /// What it is.
        actual: u64,
    },
    /// A command that breaks a rule.
    #[error("{field} {value:?} is not valid: {rule}")]
    InvalidCommand {
        /// Which field of the command.
        field: Cow<'static, str>,
        /// What it was, cut short.
        value: String,
        /// The rule.
        rule: String,
    },
    /// More than is allowed.
    #[error("{what}: {actual} exceeds the limit of {limit}")]
    LimitExceeded {
        /// What there is too much of, with its unit.
        what: &'static str,
        /// What is allowed.
        limit: u64,
        /// What was given.
        actual: u64,
    },
    /// The log holds what a later version of treering wrote.
    #[error(
        "{actor} was written with schema {found}, this version writes up to {supported}; it can be read: upgrade treering to change it"
    )]
    NewerSchema {
        /// The actor's address.
        actor: String,
        /// The greatest number that was found.
        found: u64,
        /// The greatest number that this version knows.
        supported: u64,
    },
    /// A version from before what is kept.
    #[error("{actor} keeps its history from version {oldest} on; version {asked} was trimmed")]
    HistoryTrimmed {
        /// The actor's address.
        actor: String,
        /// What was asked for.
        asked: u64,
        /// The first version that is left.
        oldest: u64,
    },
    /// A version that is not there yet.
    #[error("{actor} has no version {asked}: it is at {version}")]
    NoSuchVersion {
        /// The actor's address.
        actor: String,
        /// What was asked for.
        asked: u64,
        /// Where it is.
        version: u64,
    },
    /// A log that does not make sense.
    #[error(
        "{actor} is corrupt at version {version} ({}): {detail}; run `treering verify`, which mends what can be proved with `--repair`",
        block.map_or_else(|| "no block".to_owned(), |cid| cid.short())
    )]
    Corrupt {
        /// The actor's address.
        actor: String,
        /// Where in its log; 0 where that is not known.
        version: u64,
        /// The entry or snapshot.
        block: Option<Cid>,
        /// What is wrong with it.
        detail: String,
    },
    /// What was decided was decided on something else than what there is now.
    #[error(
        "{actor} was changed while its command was decided: it is at version {version} now; send it again"
    )]
    Overtaken {
        /// The actor's address.
        actor: String,
        /// Where it is.
        version: u64,
    },
    /// Who decided said no, on what there is.
    #[error("{actor} rejected the command")]
    Rejected {
        /// The actor's address.
        actor: String,
    },
    /// What goes with it in one commit was refused.
    #[error(transparent)]
    Thread(#[from] ThreadError),
    /// The store's own error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ActorError {
    pub(crate) fn corrupt(
        actor: &RefName,
        version: u64,
        block: Option<Cid>,
        detail: impl Into<String>,
    ) -> Self {
        Self::Corrupt {
            actor: actor.encoded().to_owned(),
            version,
            block,
            detail: detail.into(),
        }
    }

    /// Whether reading again may help: something is not there, or is not what its place asks for.
    pub(crate) fn may_pass(&self) -> bool {
        let gone = |error: &StoreError| matches!(error, StoreError::BlockNotFound(_));
        match self {
            Self::Corrupt { .. } => true,
            Self::Store(error) => gone(error),
            _ => false,
        }
    }

    /// A field that breaks a rule; its value is cut short.
    pub fn invalid(
        field: impl Into<Cow<'static, str>>,
        value: &str,
        rule: impl Into<String>,
    ) -> Self {
        Self::InvalidCommand {
            field: field.into(),
            value: value.chars().take(64).collect(),
            rule: rule.into(),
        }
    }
}

impl From<BlockError> for ActorError {
    fn from(error: BlockError) -> Self {
        Self::Store(error.into())
    }
}

impl From<CodecError> for ActorError {
    fn from(error: CodecError) -> Self {
        Self::Store(BlockError::from(error).into())
    }
}

/// Refuses more bytes than a field may have.
pub(crate) fn within(what: &'static str, limit: usize, actual: usize) -> Result<()> {
    if actual <= limit {
        return Ok(());
    }
    Err(ActorError::LimitExceeded {
        what,
        limit: limit as u64,
        actual: actual as u64,
    })
}
