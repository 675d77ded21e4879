//! Large blocks: one file each, with its BLAKE3 tree beside it.
//!
//! Promises: a file is on disk, with its directory entry, before its name leaves this module; a name is never used
//! twice; reads are checked, of the whole file against the digest, of a range against the tree.
//! Never: a file that a row names is changed or removed.
//!
//! What a store keeps elsewhere than in its directory has its seam here: nothing else knows of paths of large blocks, or
//! whether they are objects ([`super::objects`]).

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use treering_block::limits::NODE_BYTES_MAX;
use treering_block::{Block, Cid, Codec};
use ulid::Ulid;

use super::blob_file::BlobFile;
use super::block_rows::{BlockRow, broken_bytes};
use super::disk::{Disk, parent};
use super::objects::{ObjectFile, Objects};
use super::open_blob::OpenBlob;
use super::sqlite_error::io_error;
use super::tally::Tally;
use crate::blob_tree::{GROUP, Groups};
use crate::commit::BLOB_BYTES_MIN;
use crate::error::Result;

/// Where uploads under way lie, below `blobs/`.
pub(super) const UPLOADS: &str = "uploads";
/// Ends the name of a file's tree.
const TREE_SUFFIX: &str = ".obao";

/// The folder `blobs/` of one store.
#[derive(Clone)]
pub(super) struct BlobFiles {
    root: PathBuf,
    tally: Arc<Tally>,
    disk: Disk,
    /// Folders whose entry in the root is known to be on disk. That one is there tells nothing: whoever
    /// made it may have died, or failed, before its entry was synced.
    synced: Arc<Mutex<HashSet<PathBuf>>>,
    /// Where they are instead, if not here. Set once the store's rows were read.
    objects: Arc<OnceLock<Arc<Objects>>>,
}

impl BlobFiles {
    pub(super) fn new(root: PathBuf, tally: Arc<Tally>, disk: Disk) -> Self {
        Self {
            root,
            tally,
            disk,
            synced: Arc::default(),
            objects: Arc::default(),
        }
    }

    /// They are objects from now on.
    pub(super) fn set_objects(&self, objects: Objects) {
        drop(self.objects.set(Arc::new(objects)));
    }

    pub(super) fn objects(&self) -> Option<&Arc<Objects>> {
        self.objects.get()
    }

    /// Whether a block that a commit brings is stored apart from its row.
    pub(super) fn is_apart(&self, block: &Block) -> bool {
        block.bytes.len() >= BLOB_BYTES_MIN && self.takes(&block.cid)
    }

    /// Whether a large block is stored here. Nodes go to no bucket: what is read link by link, and what is decided under the
    /// write lock, must not wait for the network.
    pub(super) fn takes(&self, cid: &Cid) -> bool {
        self.objects().is_none() || cid.codec() == Codec::Raw
    }

    /// A row names the file, or another one its block. Touches the directory at most.
    pub(super) fn settle(&self, name: &str) {
        if let Some(objects) = self.objects() {
            objects.settle(name);
        }
    }

    /// Writes a block's bytes and tree, and returns the name for its row. Errors: `DiskFull`, `Io`;
    /// nothing is left behind then. `Bucket`. Where there is a bucket, not to be called under the write lock.
    pub(super) fn write(&self, block: &Block) -> Result<String> {
        if let Some(objects) = self.objects() {
            return objects.write(block);
        }
        let name = new_name(block.cid.digest());
        let path = self.root.join(&name);
        let written = self.write_files(&path, &block.bytes);
        if written.is_err() {
            self.remove(&name);
        }
        written.map_err(|error| io_error("write", &path, error))?;
        Ok(name)
    }

    fn write_files(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut groups = Groups::default();
        bytes.chunks(GROUP).for_each(|group| groups.push(group));
        let directory = self.make_folder(path)?;
        self.counted(self.disk.write_new(path, bytes))?;
        self.write_tree(path, &groups, &mut |offset, into| {
            let place = usize::try_from(offset).unwrap_or(usize::MAX);
            let content = bytes.get(place..place.saturating_add(into.len()));
            into.copy_from_slice(content.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })?;
        self.counted(self.disk.sync_directory(&directory))
    }

    /// The folder of a file that is to be written, its own entry on disk.
    pub(super) fn make_folder(&self, path: &Path) -> io::Result<PathBuf> {
        let directory = parent(path).to_owned();
        if !self.folders_synced().contains(&directory) {
            if !self.root.is_dir() {
                // Somebody removed it. What is missing in it is told elsewhere; new files have a place again.
                self.disk.make_directory(&self.root)?;
                self.counted(self.disk.sync_directory(parent(&self.root)))?;
            }
            self.disk.make_directory(&directory)?;
            self.counted(self.disk.sync_directory(&self.root))?;
            self.folders_synced().insert(directory.clone());
        }
        Ok(directory)
    }

    /// Writes the tree of a file that is there; `read` gives its content. On disk then, but for its name.
    pub(super) fn write_tree(
        &self,
        path: &Path,
        groups: &Groups,
        read: &mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let path = tree_path(path);
        let mut file = self
            .disk
            .open(&path, File::options().write(true).create_new(true))?;
        let mut at: u64 = 0;
        // The upper nodes are many and small.
        let mut together = Vec::new();
        let mut put = |bytes: &mut Vec<u8>| {
            let write = |bytes: &[u8]| file.write_all(bytes);
            self.disk
                .write(Some(&path), at, bytes, write, |error| error)?;
            at = at.saturating_add(bytes.len() as u64);
            bytes.clear();
            Ok::<_, io::Error>(())
        };
        groups.tree(read, &mut |piece| {
            together.extend_from_slice(piece);
            if together.len() >= GROUP {
                put(&mut together)?;
            }
            Ok(())
        })?;
        put(&mut together)?;
        self.counted(self.disk.sync_opened(&path, &file))
    }

    /// Where a name below `blobs/` is.
    pub(super) fn place(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn folders_synced(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.synced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counted(&self, synced: io::Result<()>) -> io::Result<()> {
        self.tally.blob_syncs.fetch_add(1, Relaxed);
        synced
    }

    /// Removes a file that no row names: its block turned out to be there, or its commit was refused. An object goes
    /// behind the caller's back, since he may have the write lock.
    pub(super) fn remove(&self, name: &str) {
        if let Some(objects) = self.objects() {
            return objects.remove_later(name);
        }
        let path = self.root.join(name);
        for path in [tree_path(&path), path] {
            match self.disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, path = %path.display(), "a file without a row stays behind");
                }
                _ => {}
            }
        }
    }

    /// What was removed stays so, whatever fails. At most 256 folders. Errors: `Io`.
    pub(super) fn sync_folders(&self) -> Result<()> {
        let failed = |error| io_error("sync", &self.root, error);
        let folders = unless_missing(fs::read_dir(&self.root)).map_err(failed)?;
        for folder in folders.into_iter().flatten() {
            let folder = folder.map_err(failed)?;
            if folder.file_type().map_err(failed)?.is_dir() {
                self.disk.sync_directory(&folder.path()).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// The whole block in memory, checked. Errors: `Corrupt`, `Io`, `Bucket`.
    pub(super) fn read(&self, row: &BlockRow) -> Result<Arc<[u8]>> {
        // Read whole, a file needs no tree.
        if self.objects().is_some()
            && let OpenBlob::Object(object) = self.open(row)?
        {
            return object.read_whole();
        }
        let path = self.path_of(row)?;
        // The row's size bounds what is read: a file that grew is corrupt, not a way to take all memory.
        let mut bytes = Vec::new();
        let limit = row.size.saturating_add(1);
        let opened = self.disk.open_to_read(&path);
        match opened.and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
            Ok(_) if row.cid.matches(&bytes) => Ok(bytes.into()),
            Ok(_) if bytes.len() as u64 == row.size => {
                Err(broken_bytes(&row.cid, "its file does not hash to it"))
            }
            Ok(_) => Err(broken_bytes(
                &row.cid,
                &format!("its file {} has not its {} bytes", path.display(), row.size),
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(broken_bytes(
                &row.cid,
                &format!("its file {} is missing", path.display()),
            )),
            Err(error) => Err(io_error("read", &path, error)),
        }
    }

    /// Whether the block's file is there, as long as it has to be: what can be told without reading it. Where there is a
    /// bucket, not to be called under the write lock.
    pub(super) fn has_length_of(&self, row: &BlockRow) -> bool {
        if let Some(objects) = self.objects() {
            return objects.has_length_of(row);
        }
        self.is_as_long(row)
    }

    /// The same under the write lock: of an object it says what who brings the block found before.
    pub(super) fn had_length_of(&self, row: &BlockRow) -> bool {
        match self.objects() {
            Some(objects) => !objects.was_broken(row),
            None => self.is_as_long(row),
        }
    }

    fn is_as_long(&self, row: &BlockRow) -> bool {
        let about = self.path_of(row).map(std::fs::metadata);
        about.is_ok_and(|about| about.is_ok_and(|about| about.len() == row.size))
    }

    /// The block's file, to be read in pieces. Errors: `Corrupt`, `Io`.
    pub(super) fn open(&self, row: &BlockRow) -> Result<OpenBlob> {
        let path = self.path_of(row)?;
        match self.objects() {
            Some(objects) => ObjectFile::open(objects, row).map(OpenBlob::Object),
            None => BlobFile::open(&self.disk, path, row).map(OpenBlob::File),
        }
    }

    /// The bytes of a file of ours, whoever names it, if they could be a node's; None if it can't be read, or has
    /// more. Not checked.
    pub(super) fn read_small(&self, name: &str) -> Option<Vec<u8>> {
        digest_and_time(name)?;
        if let Some(objects) = self.objects() {
            return objects.read_named(name, NODE_BYTES_MAX as u64);
        }
        let mut bytes = Vec::new();
        let limit = NODE_BYTES_MAX as u64 + 1;
        let file = File::open(self.root.join(name)).ok()?;
        file.take(limit).read_to_end(&mut bytes).ok()?;
        (bytes.len() <= NODE_BYTES_MAX).then_some(bytes)
    }

    /// The bytes of a file of ours, whoever names it, piece by piece, not checked; false if it can't be read to its end.
    /// Errors: `Bucket`, those of `each`.
    pub(super) fn each_piece(
        &self,
        name: &str,
        each: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<bool> {
        if digest_and_time(name).is_none() {
            return Ok(false);
        }
        if let Some(objects) = self.objects() {
            return objects.read_pieces(name, each);
        }
        let Ok(mut file) = self.disk.open_to_read(&self.root.join(name)) else {
            return Ok(false);
        };
        let mut piece = vec![0; GROUP];
        loop {
            match fill(&mut file, &mut piece) {
                Ok(0) => return Ok(true),
                Ok(length) => each(piece.get(..length).unwrap_or_default())?,
                Err(_) => return Ok(false),
            }
        }
    }

    /// Digest and length of a file of ours, whoever names it, read piece by piece; None if it can't be read.
    pub(super) fn hash(&self, name: &str) -> Option<([u8; 32], u64)> {
        digest_and_time(name)?;
        if let Some(objects) = self.objects() {
            return objects.hash(name);
        }
        let mut file = self.disk.open_to_read(&self.root.join(name)).ok()?;
        let mut hasher = blake3::Hasher::new();
        let length = io::copy(&mut file, &mut hasher).ok()?;
        Some((*hasher.finalize().as_bytes(), length))
    }

    /// Whether the row's file is its block, read piece by piece.
    pub(super) fn is_whole(&self, row: &BlockRow) -> bool {
        let hashed = row.file.as_deref().and_then(|name| self.hash(name));
        hashed == Some((*row.cid.digest(), row.size))
    }

    /// A copy of a file of ours under a new name, with its tree. Errors: `Corrupt` unless it hashes to that digest;
    /// `DiskFull`, `Io`; nothing is left behind then.
    pub(super) fn copy(&self, from: &str, cid: &Cid) -> Result<String> {
        if let Some(objects) = self.objects() {
            return objects.copy(from, cid);
        }
        let name = new_name(cid.digest());
        let (source, path) = (self.root.join(from), self.root.join(&name));
        let copied = self.copy_files(&source, &path);
        match copied {
            Ok(digest) if digest == *cid.digest() => return Ok(name),
            _ => self.remove(&name),
        }
        Err(match copied {
            Ok(_) => broken_bytes(cid, "its file does not hash to it"),
            Err(error) => io_error("copy", &source, error),
        })
    }

    fn copy_files(&self, from: &Path, path: &Path) -> io::Result<[u8; 32]> {
        let directory = self.make_folder(path)?;
        let mut file = self.disk.open_to_read(from)?;
        let mut groups = Groups::default();
        let written = self.disk.write_pieces(path, |piece| {
            let length = fill(&mut file, piece)?;
            groups.push(piece.get(..length).unwrap_or_default());
            Ok(length)
        });
        self.counted(written)?;
        let copy = self.disk.open_to_read(path)?;
        self.write_tree(path, &groups, &mut |offset, into| {
            copy.read_exact_at(offset, into)
        })?;
        self.counted(self.disk.sync_directory(&directory))?;
        Ok(groups.digest())
    }

    /// Where the row's file is. Errors: `Corrupt` for a name that is not of this block.
    pub(super) fn path_of(&self, row: &BlockRow) -> Result<PathBuf> {
        let hex = hex(row.cid.digest());
        let name = row.file.as_deref().unwrap_or_default();
        let upload = name
            .split_once('/')
            .filter(|(folder, _)| Some(*folder) == hex.get(..2))
            .and_then(|(_, rest)| rest.strip_prefix(hex.as_str()))
            .and_then(|rest| rest.strip_prefix('-'));
        match upload {
            Some(upload)
                if upload.len() == 26
                    && upload.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
            {
                Ok(self.root.join(name))
            }
            _ => Err(broken_bytes(
                &row.cid,
                &format!("its row names the file {name:?}"),
            )),
        }
    }

    /// Every file below `blobs/` (trees too) but for uploads under way, or every object: name as in the rows, size. None
    /// where there is no such folder: what rows miss then is told by who reads or verifies them. Errors: `Io`, `Bucket`.
    pub(super) fn list(&self) -> Result<Vec<(String, u64)>> {
        let Some(objects) = self.objects() else {
            return self
                .list_files()
                .map_err(|error| io_error("list", &self.root, error));
        };
        let mut found = Vec::new();
        objects.each(&mut |name, size| {
            // What bears another name is none of ours: the marker.
            if digest_and_time(&name).is_some() {
                found.push((name, size));
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn list_files(&self) -> io::Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        let Some(folders) = unless_missing(fs::read_dir(&self.root))? else {
            return Ok(found);
        };
        for folder in folders {
            let folder = folder?;
            if !folder.file_type()?.is_dir() || folder.file_name() == UPLOADS {
                continue;
            }
            let Some(files) = unless_missing(fs::read_dir(folder.path()))? else {
                continue;
            };
            for file in files {
                let file = file?;
                let name = format!(
                    "{}/{}",
                    folder.file_name().to_string_lossy(),
                    file.file_name().to_string_lossy()
                );
                // A file may go while it is listed: a refused commit's.
                if let Ok(about) = file.metadata() {
                    found.push((name, about.len()));
                }
            }
        }
        Ok(found)
    }
}

fn unless_missing<T>(listed: io::Result<T>) -> io::Result<Option<T>> {
    match listed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        listed => listed.map(Some),
    }
}

/// The file that a tree belongs to; the name itself if it is not a tree's.
pub(super) fn without_tree_suffix(name: &str) -> &str {
    name.strip_suffix(TREE_SUFFIX).unwrap_or(name)
}

/// What the name of one of our files says: the digest, and when it was written (Unix milliseconds).
pub(super) fn digest_and_time(name: &str) -> Option<([u8; 32], i64)> {
    let (folder, rest) = name.split_once('/')?;
    let (hex, upload) = rest.split_once('-')?;
    let digest = blake3::Hash::from_hex(hex).ok()?;
    let written: Ulid = upload.parse().ok()?;
    let ours = hex.get(..2) == Some(folder);
    let written_ms = i64::try_from(written.timestamp_ms()).ok()?;
    ours.then_some((*digest.as_bytes(), written_ms))
}

pub(super) fn tree_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TREE_SUFFIX);
    name.into()
}

/// A name for a new file of that digest.
pub(super) fn new_name(digest: &[u8; 32]) -> String {
    named(digest, Ulid::generate())
}

/// The name of a file of that digest.
pub(super) fn named(digest: &[u8; 32], unique: Ulid) -> String {
    let hex = hex(digest);
    let folder = hex.get(..2).unwrap_or_default();
    format!("{folder}/{hex}-{unique}")
}

/// Fills `piece` as far as there is anything to read; how far.
fn fill(file: &mut impl Read, piece: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = piece.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => length = length.saturating_add(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
