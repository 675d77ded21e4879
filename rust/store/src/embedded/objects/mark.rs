//! Marks of objects that are being read: `blobs/reading/<digest>-<ULID>`, locked shared by each reader.
//!
//! A file can be read on when its name is gone, an object can't: who collects leaves those that are marked to the next
//! collection. A reader marks first and looks then whether the row is still there; a collection deletes the row first and
//! looks for marks then: one of the two sees the other.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::embedded::directory::{identity_of, leads_elsewhere};
use crate::embedded::disk::Disk;
use crate::embedded::fork;

/// Who looks for a mark, or removes it, has it for less.
const RETRY: Duration = Duration::from_millis(1);

/// One reader's. Dropping it removes it, if nobody else reads.
pub(super) struct Mark {
    path: PathBuf,
    file: File,
    generation: u64,
}

impl Mark {
    /// Errors: the system's.
    pub(super) fn set(folder: &Path, name: &str) -> io::Result<Self> {
        // No layer is asked: no promise rests on a mark when its process is gone.
        Disk::system().make_directories(folder)?;
        let path = folder.join(name);
        let mut how = File::options();
        how.read(true).write(true).create(true).truncate(false);
        loop {
            let file = how.open(&path)?;
            match file.try_lock_shared() {
                Ok(()) if !leads_elsewhere(&path, identity_of(&path, &file.metadata()?)) => {
                    return Ok(Self {
                        path,
                        file,
                        generation: fork::generation(),
                    });
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => std::thread::sleep(RETRY),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        if self.generation == fork::generation() && self.file.unlock().is_ok() {
            drop(remove(&self.path, &self.file));
        }
    }
}

/// Removes a mark that nobody has. False: somebody has it. Errors: the system's.
fn remove(path: &Path, file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(error)) => return Err(error),
        Ok(()) => {}
    }
    // Another one may have that name by now.
    if !leads_elsewhere(path, identity_of(path, &file.metadata()?)) {
        std::fs::remove_file(path)?;
    }
    file.unlock()?;
    Ok(true)
}

/// Whether somebody reads the object. What can't be told is taken for a reader.
pub(super) fn is_read(folder: &Path, name: &str) -> bool {
    let path = folder.join(name);
    match File::options().read(true).write(true).open(&path) {
        Err(error) => error.kind() != io::ErrorKind::NotFound,
        Ok(file) => !remove(&path, &file).unwrap_or(false),
    }
}
