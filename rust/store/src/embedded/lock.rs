//! The write lock between processes: an OS lock on the file `lock`, queued by the kernel. SQLite's own
//! busy handler polls and starved writers for seconds.
//!
//! The holder writes its process into the file, for other processes' messages; nothing rests on that text.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::fork::{self, LockFilePlace};
use super::sqlite_error::io_error;
use crate::error::Result;

/// Longest text in a lock file.
const HOLDER_BYTES_MAX: usize = 96;

/// One process's grip on the lock file. Dropping it unlocks.
pub(super) struct WriteLock {
    path: PathBuf,
    _place: LockFilePlace,
    file: File,
    /// What this process writes into the file.
    own: String,
}

impl WriteLock {
    /// Opens the lock file, making it if absent. Errors: `Io`.
    pub(super) fn open(path: &Path, disk: &Disk) -> Result<Self> {
        let mut how = File::options();
        how.read(true).write(true).create(true).truncate(false);
        let file = disk
            .open(path, &how)
            .map_err(|error| io_error("open", path, error))?;
        let own = format!("process {}\n", std::process::id());
        Ok(Self {
            path: path.to_owned(),
            _place: fork::register_lock_file(descriptor(&file)),
            file,
            own,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the lock if it is free.
    pub(super) fn try_lock(&self) -> io::Result<bool> {
        match self.file.try_lock() {
            Ok(()) => {
                self.sign();
                Ok(true)
            }
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Waits for the lock, however long.
    pub(super) fn lock(&self) -> io::Result<()> {
        self.file.lock()?;
        self.sign();
        Ok(())
    }

    pub(super) fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }

    /// Who holds or held it last.
    pub(super) fn holder(&self) -> String {
        let text = self.read();
        let text = text.trim();
        if text.is_empty() {
            "another process".to_owned()
        } else {
            text.to_owned()
        }
    }

    fn sign(&self) {
        // Only a courtesy: a message without the holder is still true.
        if self.read() != self.own {
            let written = self
                .file
                .set_len(0)
                .and_then(|()| write_at(&self.file, self.own.as_bytes()));
            if let Err(error) = written {
                tracing::debug!(%error, "cannot sign the lock file");
            }
        }
    }

    fn read(&self) -> String {
        let mut text = [0; HOLDER_BYTES_MAX];
        let length = read_at(&self.file, &mut text).unwrap_or(0);
        String::from_utf8_lossy(text.get(..length).unwrap_or(&[])).into_owned()
    }
}

#[cfg(unix)]
fn descriptor(file: &File) -> i32 {
    std::os::fd::AsRawFd::as_raw_fd(file)
}

#[cfg(not(unix))]
fn descriptor(_file: &File) -> i32 {
    -1
}

#[cfg(unix)]
fn read_at(file: &File, into: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, into, 0)
}

#[cfg(unix)]
pub(super) fn write_at(file: &File, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, 0)
}

#[cfg(windows)]
fn read_at(file: &File, into: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, into, 0)
}

#[cfg(windows)]
pub(super) fn write_at(file: &File, bytes: &[u8]) -> io::Result<()> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, 0).map(drop)
}
