//! How much of the journal is kept, and where: what the verbs about it are asked and answer.
//!
//! The default keeps all. *Sealing* moves old commits out of the tables into immutable files and loses
//! nothing; *expiring* deletes the oldest of those files for good. What is left starts from a head that is
//! written down and checked, so that the chain is proved from there on.
//! Must never: let a commit be expired that was not sealed and synced before, in a store with files.

use crate::cursor::{Cursor, Head};
use crate::ledger::Tip;
use crate::sealed::SealedFile;

/// What a seal did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealReport {
    /// Files that were written.
    pub files: u64,
    /// Commits that they hold.
    pub commits: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Up to where the journal is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpireBefore {
    /// Commits that are older than this moment of the store's clock (Unix milliseconds).
    Time(i64),
    /// Commits up to this place: a reader who stands there, or later, loses nothing.
    Cursor(Cursor),
}

/// What an expiry deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpireReport {
    /// Files.
    pub files: u64,
    /// Commits.
    pub commits: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

/// What of the journal there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalExtent {
    /// The commit before the oldest that is kept, and its time; the default where all are.
    pub start: Tip,
    /// Sealed files, the oldest first; each begins where the one before ends, the first at `start`.
    pub sealed: Vec<SealedFile>,
    /// The newest commit.
    pub head: Head,
}

impl JournalExtent {
    /// Commits that can be read.
    pub fn commits(&self) -> u64 {
        self.head.position.saturating_sub(self.start.head.position)
    }

    /// Those of them that stand in sealed files.
    pub fn sealed_commits(&self) -> u64 {
        self.sealed.iter().map(SealedFile::commits).sum()
    }
}
