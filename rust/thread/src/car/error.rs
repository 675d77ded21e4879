//! What can go wrong with an export or an import. After any of these no ref has moved; an import may
//! leave blocks that nothing points at, which are held for a day and then collected.

use std::io;

use treering_block::Cid;
use treering_block::car::CarFault;
use treering_store::StoreError;

use crate::error::ThreadError;

/// Why a CAR file was not written or not read.
#[derive(Debug, thiserror::Error)]
pub enum CarError {
    /// The file is no CAR file of version 1, or holds what a store does not.
    #[error("not a file that can be imported: {fault} (at byte {offset})")]
    File {
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        fault: CarFault,
    },
    /// A block of the file is not what its CID says, or no node that a store may hold.
    #[error("block {cid} of the file (at byte {offset}) is refused: {detail}")]
    Block {
        /// The block.
        cid: Cid,
        /// Where its bytes stand.
        offset: u64,
        /// What is wrong with it.
        detail: String,
    },
    /// The file lacks a block.
    #[error("the file is not whole: {from} links to {link}, which is not in it; export again")]
    MissingLink {
        /// What holds the link.
        from: String,
        /// What is absent.
        link: Cid,
    },
    /// The file has no manifest of ours, or one that does not fit its blocks.
    #[error("the file's manifest is refused: {detail}")]
    Manifest {
        /// What is wrong with it.
        detail: String,
    },
    /// A thread of the file has the id of another one that is here.
    #[error(
        "thread {thread} is here with other steps or another record; import with on_conflict rename or skip"
    )]
    ThreadExists {
        /// The id.
        thread: String,
    },
    /// A thread of the file has the key of another one that is here.
    #[error(
        "key {key:?} of thread {thread} is taken by thread {holder}; import with on_conflict rename or skip"
    )]
    KeyExists {
        /// The key.
        key: String,
        /// The thread of the file.
        thread: String,
        /// The thread that has it here.
        holder: String,
    },
    /// The watcher ended it.
    #[error("stopped half-way; nothing was imported")]
    Stopped,
    /// The operating system refused.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried, as a verb: `write`.
        action: &'static str,
        /// On which file; `the file` where it has no name.
        path: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The thread layer's or the store's own error.
    #[error(transparent)]
    Thread(#[from] ThreadError),
}

impl From<StoreError> for CarError {
    fn from(error: StoreError) -> Self {
        Self::Thread(error.into())
    }
}

impl CarError {
    pub(super) fn manifest(detail: impl Into<String>) -> Self {
        Self::Manifest {
            detail: detail.into(),
        }
    }

    pub(super) fn reading(source: io::Error) -> Self {
        Self::Io {
            action: "read",
            path: "the file".into(),
            source,
        }
    }

    pub(super) fn writing(source: io::Error) -> Self {
        Self::Io {
            action: "write",
            path: "the file".into(),
            source,
        }
    }

    /// The same, with the file's name in it.
    pub(super) fn named(self, name: &str) -> Self {
        match self {
            Self::Io { action, source, .. } => Self::Io {
                action,
                path: name.to_owned(),
                source,
            },
            other => other,
        }
    }
}
