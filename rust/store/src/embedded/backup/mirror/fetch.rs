//! Fetching a backup from a bucket into a directory, from which it is restored like any other.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::manifest::{MirroredFile, Piece};
use super::place::Place;
use crate::bucket::Bucket;
use crate::embedded::directory::DATABASE;
use crate::embedded::sqlite_error::io_error;
use crate::error::{Result, StoreError};
use crate::progress::{Progress, Stage};

/// Makes the backup in the bucket a backup in the directory `into`, which is absent or empty. Returns its bytes. Each piece is
/// checked as it comes; wrong bytes are asked for again once. Nothing is synced: what came is read again, and checked, by
/// [`restore`](crate::restore). What fails leaves files of its own behind. O(backup); memory: one piece, and the manifest.
///
/// Errors: `NotAStore` where there is no backup; `Invalid` where other objects lie, a directory with anything in it, or when a
/// newer backup took its place meanwhile; `Corrupt` naming the object; `Bucket`, `DiskFull`, `Io`, `Cancelled`.
pub fn fetch_backup(
    bucket: &dyn Bucket,
    into: impl AsRef<Path>,
    progress: &Progress,
) -> Result<u64> {
    let into = into.as_ref();
    let place = Place::look(bucket)?;
    let Some((generation, manifest)) = place.newest(bucket)? else {
        return Err(StoreError::NotAStore {
            path: bucket.url().to_owned(),
            why: "there is no backup below this prefix".into(),
        });
    };
    fs::create_dir_all(into).map_err(|error| io_error("make", into, error))?;
    let mut there = fs::read_dir(into).map_err(|error| io_error("list", into, error))?;
    if there.next().is_some() {
        return Err(StoreError::Invalid {
            what: "directory for a fetched backup",
            value: into.display().to_string(),
            rule: "it is not empty; give an absent or empty one".into(),
        });
    }
    let total = manifest.files.iter().map(|file| file.size).sum();
    progress.enter(Stage::Fetch, total)?;
    let fetching = Fetching {
        bucket,
        generation,
        progress,
    };
    let mut folders = BTreeSet::from([into.join("blobs")]);
    folders.extend(manifest.files.iter().filter_map(|file| {
        let path = into.join(&file.path);
        path.parent().map(Path::to_owned)
    }));
    for folder in &folders {
        fs::create_dir_all(folder).map_err(|error| io_error("make", folder, error))?;
    }
    // The database last: without it the directory is no backup.
    let (database, others): (Vec<_>, Vec<_>) =
        (manifest.files.iter()).partition(|file| file.path == DATABASE);
    for file in others.into_iter().chain(database) {
        fetching.fetch(file, &into.join(&file.path))?;
    }
    Ok(total)
}

struct Fetching<'f> {
    bucket: &'f dyn Bucket,
    generation: u64,
    progress: &'f Progress,
}

impl Fetching<'_> {
    fn fetch(&self, file: &MirroredFile, to: &Path) -> Result<()> {
        let failed = |error| io_error("write", to, error);
        let mut made = File::create_new(to).map_err(failed)?;
        for (piece, size) in file.sized() {
            let bytes = self.piece(&piece, size)?;
            made.write_all(&bytes).map_err(failed)?;
            self.progress.add(size)?;
        }
        Ok(())
    }

    fn piece(&self, piece: &Piece, size: u64) -> Result<Vec<u8>> {
        let name = piece.name();
        let mut detail = "its bytes are others than were sent";
        for _ in 0..2 {
            match self.bucket.read(&name, 0, size)? {
                Some(bytes) if *blake3::hash(&bytes).as_bytes() == piece.digest => {
                    return Ok(bytes);
                }
                Some(_) => detail = "its bytes are others than were sent",
                None => {
                    Place::expect_newest(self.bucket, self.generation)?;
                    detail = "it is gone";
                }
            }
        }
        Err(StoreError::Corrupt {
            what: "piece of a backup",
            which: format!("{name} in {}", self.bucket.url()),
            detail: detail.into(),
        })
    }
}
