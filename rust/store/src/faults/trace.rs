//! What happened to a store's files, in order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::embedded::FileOp;

/// One thing that happened. Paths are relative to the recorder's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A file was opened, and made if it was absent.
    Open(PathBuf),
    /// Bytes were written.
    Write {
        /// Into which file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What.
        bytes: Arc<[u8]>,
    },
    /// A file was cut or made longer.
    SetLength {
        /// Which.
        path: PathBuf,
        /// Its length since.
        length: u64,
    },
    /// A file was synced.
    Sync(PathBuf),
    /// A sync failed: what it was to write may be lost, and no later sync brings it back, since the
    /// kernel takes those pages for clean.
    SyncFailed(PathBuf),
    /// A directory was synced.
    SyncDirectory(PathBuf),
    /// A directory was made.
    MakeDirectory(PathBuf),
    /// A file got another name.
    Rename {
        /// The one before.
        from: PathBuf,
        /// The one since.
        to: PathBuf,
    },
    /// A file was removed.
    Remove(PathBuf),
    /// The test said something: what the number means is its own.
    Mark(u64),
}

/// Everything that happened, in order.
pub type Trace = Vec<Event>;

impl Event {
    /// What an operation that happened (or a sync that failed) leaves in the trace; None for nothing, or
    /// for a file outside `root`.
    pub(super) fn of(op: &FileOp<'_>, done: bool, root: &Path) -> Option<Self> {
        let inside = |path: &Path| path.strip_prefix(root).ok().map(Path::to_owned);
        if !done {
            return match op {
                FileOp::Sync { path } => inside(path).map(Self::SyncFailed),
                _ => None,
            };
        }
        Some(match op {
            FileOp::Open { create: false, .. } => return None,
            FileOp::Open { path, .. } => Self::Open(inside(path)?),
            FileOp::Write {
                path,
                offset,
                bytes,
            } => Self::Write {
                path: inside(path)?,
                offset: *offset,
                bytes: (*bytes).into(),
            },
            FileOp::SetLength { path, length } => Self::SetLength {
                path: inside(path)?,
                length: *length,
            },
            FileOp::Sync { path } => Self::Sync(inside(path)?),
            FileOp::SyncDirectory { path } => Self::SyncDirectory(inside(path)?),
            FileOp::MakeDirectory { path } => Self::MakeDirectory(inside(path)?),
            FileOp::Rename { from, to } => Self::Rename {
                from: inside(from)?,
                to: inside(to)?,
            },
            FileOp::Remove { path } => Self::Remove(inside(path)?),
        })
    }

    /// Whether the disk promises something by it.
    pub fn is_sync(&self) -> bool {
        matches!(self, Self::Sync(_) | Self::SyncDirectory(_))
    }
}
