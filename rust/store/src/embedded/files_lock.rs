//! Keeps who copies the files of a snapshot apart from who removes files: an OS lock on `blobs.lock`.
//!
//! A snapshot of the database names files; a collection that ends later may delete their rows and then the
//! files. So a copier holds this lock, shared, from before its snapshot until its last file is read, and
//! files are only removed by who holds it alone. Who can't have it leaves the files: no row names them, so
//! the next collection finds and removes them. The kernel frees the lock when its holder dies.
//!
//! Must never: be held by a child (it would go on holding it), or keep a collection waiting.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::directory::is_read_only;
use super::disk::Disk;
use super::fork::{self, Inside, LockFilePlace};
use super::lock::descriptor;
use super::sqlite_error::io_error;
use crate::caller;
use crate::error::{Result, StoreError};

/// Removing a few files takes no longer than a few of these.
const RETRY: Duration = Duration::from_millis(2);

/// The lock, and the proof that no fork happens meanwhile.
pub(super) struct FilesLock {
    // Closed before forks may go on.
    _file: File,
    _inside: Inside,
}

/// No file that a snapshot taken from now on names is removed while this is kept. None: this process may
/// not write to the directory and nobody has made the lock yet. Errors: `LockTimeout`, `Cancelled`, `Io`.
pub(super) fn keep_files(path: &Path, disk: &Disk, wait: Duration) -> Result<Option<FilesLock>> {
    let started = Instant::now();
    loop {
        let inside = fork::enter();
        let Some(file) = open(path, disk)? else {
            return Ok(None);
        };
        match file.try_lock_shared() {
            Ok(()) => {
                return Ok(Some(FilesLock {
                    _file: file,
                    _inside: inside,
                }));
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(io_error("lock", path, error)),
        }
        // Forks need not wait while we do.
        drop((file, inside));
        if started.elapsed() >= wait {
            return Err(StoreError::LockTimeout {
                waited_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                holder: "a garbage collection that removes files".into(),
            });
        }
        caller::still_waits()?;
        std::thread::sleep(RETRY);
    }
}

/// The same for work that waits for the writer in between: forks go on meanwhile, and a child closes its copy.
pub(super) struct LongFilesLock {
    // No child closes a descriptor that is somebody else's by then: its place is given back first.
    place: Option<LockFilePlace>,
    file: Option<File>,
}

impl FilesLock {
    /// Errors: none; a process with more locks than places (256) may have a child that keeps this one.
    pub(super) fn for_long(self) -> LongFilesLock {
        let Self {
            _file: file,
            _inside,
        } = self;
        LongFilesLock {
            place: Some(fork::register_lock_file(descriptor(&file))),
            file: Some(file),
        }
    }
}

impl Drop for LongFilesLock {
    fn drop(&mut self) {
        let _inside = fork::enter();
        drop(self.place.take());
        drop(self.file.take());
    }
}

/// Files may be removed while this is kept. None: somebody copies files. Errors: the system's.
pub(super) fn may_remove_files(path: &Path, disk: &Disk) -> io::Result<Option<FilesLock>> {
    let inside = fork::enter();
    let mut how = File::options();
    how.read(true).write(true).create(true).truncate(false);
    let file = disk.open(path, &how)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(FilesLock {
            _file: file,
            _inside: inside,
        })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether nobody copies the files of a snapshot that was taken before this call: rows that went before it are gone for
/// whoever copies from now on, and their files may be removed without the lock. Waits for who copies, no longer than `wait`; not
/// for who removes files: as long as he is at it, nobody copies. Errors: the system's.
pub(super) fn nobody_copies_older(path: &Path, disk: &Disk, wait: Duration) -> io::Result<bool> {
    let started = Instant::now();
    loop {
        if may_remove_files(path, disk)?.is_some() {
            return Ok(true);
        }
        let inside = fork::enter();
        let mut how = File::options();
        how.read(true).write(true);
        let shared = disk.open(path, &how)?.try_lock_shared();
        drop(inside);
        match shared {
            Err(TryLockError::WouldBlock) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) if started.elapsed() >= wait => return Ok(false),
            // Perhaps an upload that begins: it has the lock for a moment.
            Ok(()) => std::thread::sleep(RETRY),
        }
    }
}

fn open(path: &Path, disk: &Disk) -> Result<Option<File>> {
    let mut how = File::options();
    how.read(true).write(true).create(true).truncate(false);
    let error = match disk.open(path, &how) {
        Ok(file) => return Ok(Some(file)),
        Err(error) => io_error("open", path, error),
    };
    if !is_read_only(&error) {
        return Err(error);
    }
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(_) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_copies_and_who_removes_exclude_each_other() {
        let home = tempfile::tempdir().unwrap();
        let (path, disk) = (home.path().join("blobs.lock"), Disk::system());
        let keep = || keep_files(&path, &disk, Duration::ZERO);
        let one = keep().unwrap().unwrap();
        let two = keep().unwrap().unwrap();
        assert!(may_remove_files(&path, &disk).unwrap().is_none());
        drop(one);
        assert!(may_remove_files(&path, &disk).unwrap().is_none());
        drop(two);
        let removing = may_remove_files(&path, &disk).unwrap().unwrap();
        assert!(matches!(keep(), Err(StoreError::LockTimeout { .. })));
        assert!(may_remove_files(&path, &disk).unwrap().is_none());
        drop(removing);
        assert!(keep().unwrap().is_some());
    }

    #[test]
    fn who_removes_files_copies_none_and_who_copies_is_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let (path, disk) = (home.path().join("blobs.lock"), Disk::system());
        let none_copies = |wait| nobody_copies_older(&path, &disk, wait).unwrap();
        assert!(none_copies(Duration::ZERO));
        let removing = may_remove_files(&path, &disk).unwrap().unwrap();
        assert!(none_copies(Duration::ZERO));
        drop(removing);
        let copying = File::open(&path).unwrap();
        copying.lock_shared().unwrap();
        assert!(!none_copies(Duration::ZERO));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| none_copies(Duration::from_secs(600)));
            copying.unlock().unwrap();
            assert!(waits.join().unwrap());
        });
    }
}
