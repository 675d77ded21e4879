//! What can go wrong with an export or an import. After any of these no ref has moved; an import may
//! leave blocks that nothing points at, which are held for a day and then collected.

use treering_store::StoreError;
use treering_store::archive::ArchiveError;

use crate::error::ThreadError;

/// Why a CAR file was not written or not read.
#[derive(Debug, thiserror::Error)]
pub enum CarError {
    /// What is wrong with the file itself, whatever it holds.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
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
        ArchiveError::manifest(detail).into()
    }

    /// The same, with the file's name in it.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        match self {
            Self::Archive(error) => Self::Archive(error.named(name)),
            other => other,
        }
    }
}
