//! A disk of so many bytes: what would take more fails with "no room".
//!
//! Promises: what counts is what the files below the root really are at that moment, so that removing one
//! gives its room back; reading and removing never fail.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::embedded::{DiskLayer, FileOp, Verdict};

/// Room is given in pieces of this many bytes.
const PIECE_BYTES: u64 = 4096;

/// A layer under a store whose files together take at most so many bytes.
pub struct SmallDisk {
    root: PathBuf,
    capacity: u64,
    /// What the file that is kept for deletions takes when it is made.
    reserve_bytes: u64,
}

impl SmallDisk {
    /// Over an existing directory. Errors: the system's, if there is none.
    pub fn new(root: &Path, capacity: u64, reserve_bytes: u64) -> io::Result<Self> {
        Ok(Self {
            root: root.canonicalize()?,
            capacity,
            reserve_bytes,
        })
    }

    /// Bytes that the files take now, but for those that no promise rests on.
    pub fn used(&self) -> u64 {
        let mut used = 0;
        let mut open = vec![self.root.clone()];
        while let Some(directory) = open.pop() {
            for found in fs::read_dir(&directory).into_iter().flatten().flatten() {
                let path = found.path();
                match found.metadata() {
                    Ok(about) if about.is_dir() => open.push(path),
                    Ok(about) if !path.to_string_lossy().ends_with("-shm") => {
                        used += about.len().next_multiple_of(PIECE_BYTES);
                    }
                    _ => {}
                }
            }
        }
        used
    }

    /// Bytes that are left.
    pub fn free(&self) -> u64 {
        self.capacity.saturating_sub(self.used())
    }

    /// What an operation would take in addition.
    fn wanted(&self, op: &FileOp<'_>) -> u64 {
        let length = |path: &Path| {
            fs::metadata(path).map_or(0, |about| about.len().next_multiple_of(PIECE_BYTES))
        };
        match op {
            FileOp::Write {
                path,
                offset,
                bytes,
            } => offset
                .saturating_add(bytes.len() as u64)
                .next_multiple_of(PIECE_BYTES)
                .saturating_sub(length(path)),
            FileOp::Open { path, create: true } if path.ends_with("reserve") => {
                self.reserve_bytes.saturating_sub(length(path))
            }
            FileOp::Open { path, create: true } if !path.exists() => PIECE_BYTES,
            FileOp::MakeDirectory { .. } => PIECE_BYTES,
            _ => 0,
        }
    }
}

impl DiskLayer for SmallDisk {
    fn before(&self, op: &FileOp<'_>) -> Verdict {
        let wanted = self.wanted(op);
        if wanted > self.free() {
            return Verdict::Fail(io::ErrorKind::StorageFull.into());
        }
        Verdict::Do
    }

    fn after(&self, _: &FileOp<'_>, _: bool) {}
}
