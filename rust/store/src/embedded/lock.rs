//! The write lock between processes: an OS lock on the file `lock`, queued by the kernel. SQLite's own
//! busy handler polls and starved writers for seconds.
//!
//! The file has 64 bytes of text, the holder's process for other processes' messages (nothing rests on
//! it), two marks of 8 bytes about the log, and a count of turns (see `turn.rs`). A process whose sync of the log failed sets the first to a
//! number of its own; the log is *in doubt* while the two differ, and whoever has the lock next writes the
//! log anew, and sets the second to the first. Setting needs no lock.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ulid::Ulid;

use super::directory::{Identity, identity_of, leads_elsewhere};
use super::disk::Disk;
use super::fork::{self, LockFilePlace};
use super::sqlite_error::io_error;
use super::turn::Turns;
use crate::caller;
use crate::error::{Result, StoreError};

/// The text of a lock file, filled up with line ends.
const HOLDER_BYTES: usize = 64;
/// After a sync of the log that failed: which one.
const DOUBTED_AT: u64 = 64;
/// The newest failure after which the log was written anew.
const REDONE_AT: u64 = 72;
const FILE_BYTES: usize = 80;
/// Who waits with an end tries this often.
const RETRY: Duration = Duration::from_millis(20);

/// One process's grip on the lock file. Dropping it unlocks.
pub(super) struct WriteLock {
    path: PathBuf,
    identity: Identity,
    _place: LockFilePlace,
    file: File,
    /// The failure that the log is in doubt after, as of when the lock was taken.
    doubt: Mutex<Option<[u8; 8]>>,
    turns: Turns,
    /// What this process writes into the file.
    own: [u8; HOLDER_BYTES],
}

impl WriteLock {
    /// Opens the lock file, making it if absent. Errors: `Io`.
    pub(super) fn open(path: &Path, disk: &Disk) -> Result<Self> {
        let mut how = File::options();
        how.read(true).write(true).create(true).truncate(false);
        let file = disk
            .open(path, &how)
            .map_err(|error| io_error("open", path, error))?;
        let about = file
            .metadata()
            .map_err(|error| io_error("read", path, error))?;
        let mut own = [b'\n'; HOLDER_BYTES];
        let text = format!("process {}", std::process::id());
        for (into, from) in own.iter_mut().zip(text.bytes()) {
            *into = from;
        }
        Ok(Self {
            path: path.to_owned(),
            identity: identity_of(path, &about),
            _place: fork::register_lock_file(descriptor(&file)),
            file,
            doubt: Mutex::default(),
            turns: Turns::default(),
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

    /// Takes the lock if it is free and nobody waits for it.
    pub(super) fn try_lock_in_turn(&self) -> io::Result<bool> {
        if self.turns.others_wait(&self.file) {
            return Ok(false);
        }
        self.try_lock()
    }

    /// Waits for the lock at most so long. Errors: `LockTimeout`, which names its holder; `Cancelled`; the system's.
    pub(super) fn lock_within(&self, wait: Duration) -> Result<()> {
        let started = Instant::now();
        let failed = |error| io_error("lock", &self.path, error);
        while !self.try_lock().map_err(failed)? {
            if started.elapsed() >= wait {
                return Err(StoreError::LockTimeout {
                    waited_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                    holder: self.holder(),
                });
            }
            caller::still_waits()?;
            std::thread::sleep(RETRY);
        }
        Ok(())
    }

    /// Whether its path does not lead to its file any more, as when the store's directory was removed or renamed:
    /// what is written from now on is lost with the last handle, or not all in one place.
    pub(super) fn is_elsewhere(&self) -> bool {
        leads_elsewhere(&self.path, self.identity)
    }

    /// Waits for the lock, however long.
    pub(super) fn lock(&self) -> io::Result<()> {
        self.turns.in_turn(&self.file, || self.file.lock())?;
        self.sign();
        Ok(())
    }

    pub(super) fn unlock(&self) -> io::Result<()> {
        self.turns.ends(&self.file);
        self.file.unlock()
    }

    /// Who holds or held it last.
    pub(super) fn holder(&self) -> String {
        let (text, _) = self.read();
        let text = String::from_utf8_lossy(&text);
        let text = text.trim_matches(['\0', '\n']);
        if text.is_empty() {
            "another process".to_owned()
        } else {
            text.to_owned()
        }
    }

    fn sign(&self) {
        // Only a courtesy: a message without the holder is still true.
        let (text, marks) = self.read();
        let doubt = (marks.doubted != marks.redone).then_some(marks.doubted);
        *self.doubt.lock().unwrap_or_else(PoisonError::into_inner) = doubt;
        if text != self.own
            && let Err(error) = write_at(&self.file, &self.own, 0)
        {
            tracing::debug!(%error, "cannot sign the lock file");
        }
    }

    /// Whether the log is in doubt, as of when the lock was taken: which failure to redo it after.
    pub(super) fn log_doubt(&self) -> Option<[u8; 8]> {
        *self.doubt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sync of the log failed: says so to all processes. With the lock or without.
    pub(super) fn doubt_log(&self) {
        let random = Ulid::generate().random() as u64;
        if let Err(error) = write_at(&self.file, &random.to_le_bytes(), DOUBTED_AT) {
            tracing::error!(%error, "cannot tell other processes that a sync of the log failed");
        }
    }

    /// The log was written anew after that failure. With the lock only. Errors: the system's.
    pub(super) fn trust_log(&self, doubt: [u8; 8]) -> io::Result<()> {
        write_at(&self.file, &doubt, REDONE_AT)
    }

    fn read(&self) -> ([u8; HOLDER_BYTES], Marks) {
        let mut file = [0; FILE_BYTES];
        // What is not there yet is zero.
        read_at(&self.file, &mut file, 0).unwrap_or(0);
        let (mut text, mut marks) = ([0; HOLDER_BYTES], Marks::default());
        let (first, rest) = file.split_at(HOLDER_BYTES);
        let (doubted, redone) = rest.split_at(marks.doubted.len());
        text.copy_from_slice(first);
        marks.doubted.copy_from_slice(doubted);
        marks.redone.copy_from_slice(redone);
        (text, marks)
    }
}

/// What the file says about the log.
#[derive(Default)]
struct Marks {
    doubted: [u8; 8],
    redone: [u8; 8],
}

#[cfg(unix)]
pub(super) fn descriptor(file: &File) -> i32 {
    std::os::fd::AsRawFd::as_raw_fd(file)
}

#[cfg(not(unix))]
fn descriptor(_file: &File) -> i32 {
    -1
}

#[cfg(unix)]
pub(super) fn read_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, into, offset)
}

#[cfg(unix)]
pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
pub(super) fn read_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, into, offset)
}

#[cfg(windows)]
pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, offset).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(directory: &Path) -> WriteLock {
        let lock = WriteLock::open(&directory.join("lock"), &Disk::system()).unwrap();
        assert!(lock.try_lock().unwrap());
        lock
    }

    #[test]
    fn the_holder_is_named_whatever_stood_there() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("lock"), "process 4711 of before\n").unwrap();
        let lock = lock(directory.path());
        assert_eq!(lock.holder(), format!("process {}", std::process::id()));
        lock.doubt_log();
        assert_eq!(lock.holder(), format!("process {}", std::process::id()));
    }

    #[test]
    fn a_doubt_stays_until_the_log_was_redone_after_it() {
        let directory = tempfile::tempdir().unwrap();
        let ours = lock(directory.path());
        assert_eq!(ours.log_doubt(), None);
        ours.doubt_log();
        ours.unlock().unwrap();
        let theirs = lock(directory.path());
        let doubt = theirs.log_doubt().unwrap();
        // The next failure comes while the first is being mended: it is not forgotten.
        ours.doubt_log();
        theirs.trust_log(doubt).unwrap();
        theirs.unlock().unwrap();
        let theirs = lock(directory.path());
        let newer = theirs.log_doubt().unwrap();
        assert_ne!(newer, doubt);
        theirs.trust_log(newer).unwrap();
        theirs.unlock().unwrap();
        assert_eq!(lock(directory.path()).log_doubt(), None);
    }
}
