//! Large blocks, from the store's `blobs/` to the backup's: read, hashed on the way, written, synced.
//!
//! Promises: each file and its tree are on disk, with their names, before the rows that name them are
//! committed. A file that is there already is believed only if it hashes to its CID.
//! Never: links or reflinks. A copy that shares the store's sectors is lost with them.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::target::Target;
use super::{Moment, broken_file};
use crate::blob_tree::{GROUP, Groups, tree_bytes};
use crate::embedded::blob::tree_path;
use crate::embedded::block_rows::BlockRow;
use crate::embedded::disk::Disk;
use crate::embedded::objects::Objects;
use crate::embedded::open_blob::{OpenBlob, collected_meanwhile};
use crate::embedded::session::Session;
use crate::embedded::sqlite_error::io_error;
use crate::error::{Result, StoreError};
use crate::progress::{Progress, Stage};

/// Rows looked at at a time.
const PAGE: usize = 512;

/// How much was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CopiedFiles {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Copies the files that rows of `copy` behind the ordinal `after` name. Errors: `Corrupt` naming the
/// block, `DiskFull`, `Io`, `Cancelled`.
pub(super) fn copy_new(
    moment: &Moment<'_>,
    copy: Session<'_>,
    target: &Target,
    after: u64,
    progress: &Progress,
) -> Result<CopiedFiles> {
    let disk = target.disk();
    let root = target.directory().blobs();
    let mut copied = CopiedFiles::default();
    let mut folders = BTreeSet::new();
    progress.enter(Stage::Files, 0)?;
    let mut place = after;
    loop {
        let page = copy.blocks_after(place, PAGE)?;
        let Some((last, _)) = page.last() else { break };
        place = *last;
        progress.go_on()?;
        for (_, row) in page {
            let row = row?;
            let Some(name) = &row.file else { continue };
            let from = moment.blobs.path_of(&row)?;
            if let Some(objects) = target.blobs().objects() {
                copied.bytes += if target.blobs().takes(&row.cid) {
                    send(moment, copy, objects, &row, progress)?
                } else {
                    take_in(moment, copy, &row, progress)?
                };
                copied.files += 1;
                continue;
            }
            let to = root.join(name);
            if let Some(folder) = to.parent()
                && folders.insert(folder.to_owned())
            {
                make_folder(&root, folder, disk)?;
            }
            let files = FilePair {
                row: &row,
                from,
                to,
            };
            copied.bytes += files.copy(moment, target, progress)?;
            copied.files += 1;
        }
    }
    if !folders.is_empty() {
        folders.insert(root);
    }
    for folder in folders {
        disk.sync_directory(&folder)
            .map_err(|error| io_error("sync", &folder, error))?;
    }
    Ok(copied)
}

/// Sends a file to the bucket of a store that is being restored; the row names the object then. Bytes that are sent.
fn send(
    moment: &Moment<'_>,
    copy: Session<'_>,
    objects: &Arc<Objects>,
    row: &BlockRow,
    progress: &Progress,
) -> Result<u64> {
    let file = moment.blobs.open(row)?;
    let read = |offset: u64, length: u64| {
        let bytes = file.read(offset, length);
        let bytes = bytes.map_err(|error| unread(&file, moment, error))?;
        progress.go_on().map(|()| bytes)
    };
    let mut groups = Groups::default();
    while groups.length() < row.size {
        groups.push(&read(groups.length(), GROUP as u64)?);
    }
    let mut refused = None;
    let sent = objects.send(&row.cid, &groups, &mut |offset, into| match read(
        offset,
        into.len() as u64,
    ) {
        Ok(bytes) if bytes.len() == into.len() => {
            into.copy_from_slice(&bytes);
            Ok(())
        }
        Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(error) => {
            refused = Some(error);
            Err(io::Error::other("refused"))
        }
    });
    let name = match (sent, refused) {
        (_, Some(error)) => return Err(error),
        (sent, None) => sent?,
    };
    copy.replace_file(row, &name)?;
    // Nobody else is at the place, and a lock for each of them would be an open file for each.
    objects.let_go(&name);
    progress.add(row.size)?;
    Ok(row.size)
}

/// Puts the bytes of a file that goes to no bucket into its row. Bytes that are copied.
fn take_in(
    moment: &Moment<'_>,
    copy: Session<'_>,
    row: &BlockRow,
    progress: &Progress,
) -> Result<u64> {
    let bytes = moment.blobs.read(row)?;
    copy.replace_file_by_payload(row, &bytes)?;
    progress.add(row.size)?;
    Ok(row.size)
}

fn make_folder(root: &Path, folder: &Path, disk: &Disk) -> Result<()> {
    for folder in [root, folder] {
        disk.make_directory(folder)
            .map_err(|error| io_error("make", folder, error))?;
    }
    Ok(())
}

/// A large block's file, and where its copy goes.
struct FilePair<'r> {
    row: &'r BlockRow,
    from: PathBuf,
    to: PathBuf,
}

impl FilePair<'_> {
    /// Bytes that are copied: of the file, and of its tree.
    fn copy(&self, moment: &Moment<'_>, target: &Target, progress: &Progress) -> Result<u64> {
        let disk = target.disk();
        for path in [&self.to, &tree_path(&self.to)] {
            // Left by a backup that ended early, or lost its row since.
            match disk.remove(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error("remove", path, error));
                }
                _ => {}
            }
        }
        if moment.blobs.objects().is_some() {
            return self.fetch(moment, target, progress);
        }
        let mut hasher = blake3::Hasher::new();
        let bytes = self.pour(&self.from, &self.to, moment, disk, &mut |piece| {
            hasher.update(piece);
            progress.add(piece.len() as u64)
        })?;
        if bytes != self.row.size || hasher.finalize().as_bytes() != self.row.cid.digest() {
            return Err(broken_file(
                &self.row.cid,
                &format!("its file {} does not hash to it", self.from.display()),
            ));
        }
        let trees = (tree_path(&self.from), tree_path(&self.to));
        let tree = self.pour(&trees.0, &trees.1, moment, disk, &mut |_| progress.go_on())?;
        Ok(bytes.saturating_add(tree))
    }

    /// Makes a file and its tree of an object, piece by piece.
    fn fetch(&self, moment: &Moment<'_>, target: &Target, progress: &Progress) -> Result<u64> {
        let object = moment.blobs.open(self.row)?;
        let mut groups = Groups::default();
        let mut refused = None;
        let written = target.disk().write_pieces(&self.to, |piece| {
            let wanted = piece.len().min(GROUP) as u64;
            let read = object
                .read(groups.length(), wanted)
                .map_err(|error| unread(&object, moment, error))
                .and_then(|bytes| progress.add(bytes.len() as u64).map(|()| bytes));
            match read {
                Ok(bytes) => {
                    // No more than asked for is given.
                    for (to, from) in piece.iter_mut().zip(&bytes) {
                        *to = *from;
                    }
                    groups.push(&bytes);
                    Ok(bytes.len())
                }
                Err(error) => {
                    refused = Some(error);
                    Err(io::Error::other("refused"))
                }
            }
        });
        if let Some(error) = refused {
            return Err(error);
        }
        let failed = |error| io_error("write", &self.to, error);
        written.map_err(failed)?;
        let copy = target.disk().open_to_read(&self.to).map_err(failed)?;
        let tree = target
            .blobs()
            .write_tree(&self.to, &groups, &mut |offset, into| {
                copy.read_exact_at(offset, into)
            });
        tree.map_err(failed)?;
        Ok(groups.length().saturating_add(tree_bytes(groups.length())))
    }

    /// Copies one file and waits until it is on disk.
    fn pour(
        &self,
        from: &Path,
        to: &Path,
        moment: &Moment<'_>,
        disk: &Disk,
        seen: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<u64> {
        let opened = moment.session.disk().open_to_read(from);
        let mut source = opened.map_err(|error| self.unread(from, moment, error))?;
        let mut bytes: u64 = 0;
        let mut refused = None;
        let written = disk.write_pieces(to, |piece| {
            let length = source.read(piece)?;
            bytes = bytes.saturating_add(length as u64);
            if let Err(error) = seen(piece.get(..length).unwrap_or_default()) {
                refused = Some(error);
                return Err(io::Error::other("refused"));
            }
            Ok(length)
        });
        match (written, refused) {
            (_, Some(error)) => Err(error),
            (Err(error), None) => Err(io_error("copy to", to, error)),
            (Ok(()), None) => Ok(bytes),
        }
    }

    fn unread(&self, path: &Path, moment: &Moment<'_>, error: io::Error) -> StoreError {
        if error.kind() != io::ErrorKind::NotFound {
            return io_error("read", path, error);
        }
        if moment.files_stay {
            let detail = format!("its file {} is missing", path.display());
            return broken_file(&self.row.cid, &detail);
        }
        collected_meanwhile(moment.location.clone())
    }
}

/// What an error of reading a large block means.
fn unread(blob: &OpenBlob, moment: &Moment<'_>, error: StoreError) -> StoreError {
    if matches!(error, StoreError::Corrupt { .. }) && !moment.files_stay && blob.may_be_collected()
    {
        return collected_meanwhile(moment.location.clone());
    }
    error
}
