//! fsync of files and of the directories that name them.

use std::fs::File;
use std::io;
use std::path::Path;

/// Waits until the file's bytes are on disk.
pub(super) fn file(path: &Path) -> io::Result<()> {
    File::options()
        .read(true)
        .write(true)
        .open(path)?
        .sync_all()
}

/// Waits until the bytes of an existing file, and its length, are on disk. A file that is absent has none.
///
/// Closing the descriptor drops the POSIX locks that this process has on the file.
pub(super) fn data(path: &Path) -> io::Result<()> {
    match File::options().write(true).open(path) {
        Ok(file) => file.sync_data(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Waits until the directory's entries are on disk.
#[cfg(unix)]
pub(super) fn directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Windows writes entries with their file.
#[cfg(not(unix))]
pub(super) fn directory(_path: &Path) -> io::Result<()> {
    Ok(())
}
