//! The journal's sealed files, from the store's `journal/` to the backup's: read, checked, written, synced.
//!
//! Promises: a file is on disk, with its name, before the row that names it is committed; what was there and
//! named before is left as it is, and checked with everything else.

use std::fs;
use std::io;

use super::Moment;
use super::target::Target;
use crate::embedded::directory::FILES_LOCK;
use crate::embedded::files_lock::may_remove_files;
use crate::embedded::sealed_rows::FOLDER;
use crate::embedded::session::Session;
use crate::embedded::sqlite_error::io_error;
use crate::error::Result;
use crate::progress::Progress;
use crate::sealed::SealedFile;

/// Copies the files that the moment names, but those that the backup has named before. Returns their bytes.
/// Errors: `Corrupt` naming the file, `DiskFull`, `Io`, `Cancelled`.
pub(super) fn copy(
    moment: &Moment<'_>,
    target: &Target,
    there: &[SealedFile],
    progress: &Progress,
) -> Result<u64> {
    let to = target.root().join(FOLDER);
    let disk = target.disk();
    let mut copied = 0;
    for file in moment.session.sealed_files()? {
        let file = file?;
        if there.contains(&file) {
            continue;
        }
        let bytes = moment.session.sealed_bytes(&file)?;
        file.open(&bytes)?;
        let path = to.join(file.name());
        let written = disk
            .make_directory(&to)
            .and_then(|()| match disk.remove(&path) {
                // Left by a backup that ended early.
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => disk.write_new(&path, &bytes),
            });
        written.map_err(|error| io_error("copy to", &path, error))?;
        copied += file.bytes;
        progress.add(file.bytes)?;
    }
    if copied > 0 {
        for folder in [to.as_path(), target.root()] {
            disk.sync_directory(folder)
                .map_err(|error| io_error("sync", folder, error))?;
        }
    }
    Ok(copied)
}

/// Brings the backup's rows up to date: which files there are, from where on the journal is kept, and no row of
/// a commit that stands in a file, or was expired.
pub(super) fn name(moment: &Moment<'_>, copy: Session<'_>) -> Result<()> {
    let named = moment.session.sealed_files()?;
    copy.delete_sealed_files(None)?;
    let start = moment.session.journal_start()?;
    let mut last = start.head.position;
    for file in named {
        let file = file?;
        copy.write_sealed_file(&file)?;
        last = last.max(file.last);
    }
    if start.head.position > 0 {
        copy.write_journal_start(&start)?;
    }
    copy.delete_journal_rows(0, last).map(drop)
}

/// Removes files that no row names. What can't be removed stays until the next backup.
pub(super) fn remove_unnamed(copy: Session<'_>, target: &Target) {
    let folder = target.root().join(FOLDER);
    let lock = target.root().join(FILES_LOCK);
    let Ok(listed) = fs::read_dir(&folder) else {
        return;
    };
    let Ok(Some(_alone)) = may_remove_files(&lock, target.disk()) else {
        return;
    };
    for entry in listed.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if matches!(copy.names_sealed_file(&name), Ok(false))
            && let Err(error) = target.disk().remove(&entry.path())
        {
            tracing::warn!(%error, name, "a sealed file without a row stays behind");
        }
    }
}
