//! What can go wrong with an archive, whatever it holds. After any of these no ref has moved; an import may leave blocks
//! that nothing points at, which are held for a day and then collected.

use std::io;

use treering_block::Cid;
use treering_block::car::CarFault;

use crate::error::StoreError;

/// Why an archive was not written or not read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
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
    /// The store's own error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ArchiveError {
    /// What is wrong with a manifest.
    pub fn manifest(detail: impl Into<String>) -> Self {
        Self::Manifest {
            detail: detail.into(),
        }
    }

    /// The file can't be read.
    pub fn reading(source: io::Error) -> Self {
        Self::Io {
            action: "read",
            path: "the file".into(),
            source,
        }
    }

    /// The file can't be written.
    pub fn writing(source: io::Error) -> Self {
        Self::Io {
            action: "write",
            path: "the file".into(),
            source,
        }
    }

    /// The same, with the file's name in it.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
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
