//! Large blocks: one file each, with its BLAKE3 tree beside it.
//!
//! Promises: a file is on disk, with its directory entry, before its name leaves [`BlobFiles::write`]; a
//! name is never used twice; reads are checked, of the whole file against the digest, of a range against
//! the tree.
//! Never: a file that a row names is changed or removed.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use treering_block::Block;
use ulid::Ulid;

use super::block_rows::{BlockRow, broken_bytes};
use super::disk::Disk;
use super::sqlite_error::io_error;
use super::tally::Tally;
use crate::error::Result;

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
    synced: Arc<Mutex<HashSet<String>>>,
}

impl BlobFiles {
    pub(super) fn new(root: PathBuf, tally: Arc<Tally>, disk: Disk) -> Self {
        Self {
            root,
            tally,
            disk,
            synced: Arc::default(),
        }
    }

    /// Writes a block's bytes and tree, and returns the name for its row. Errors: `DiskFull`, `Io`;
    /// nothing is left behind then.
    pub(super) fn write(&self, block: &Block) -> Result<String> {
        let hex = hex(block.cid.digest());
        let folder = hex.get(..2).unwrap_or_default();
        let name = format!("{folder}/{hex}-{}", Ulid::generate());
        let path = self.root.join(&name);
        let written = self.write_files(folder, &path, &block.bytes);
        if written.is_err() {
            self.remove(&name);
        }
        written.map_err(|error| io_error("write", &path, error))?;
        Ok(name)
    }

    fn write_files(&self, folder: &str, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (tree, _) = bao::encode::outboard(bytes);
        let directory = self.root.join(folder);
        if !self.folders_synced().contains(folder) {
            self.disk.make_directory(&directory)?;
            self.counted(self.disk.sync_directory(&self.root))?;
            self.folders_synced().insert(folder.to_owned());
        }
        for (path, content) in [(path.to_owned(), bytes), (tree_path(path), &tree)] {
            self.counted(self.disk.write_new(&path, content))?;
        }
        self.counted(self.disk.sync_directory(&directory))
    }

    fn folders_synced(&self) -> MutexGuard<'_, HashSet<String>> {
        self.synced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counted(&self, synced: io::Result<()>) -> io::Result<()> {
        self.tally.blob_syncs.fetch_add(1, Relaxed);
        synced
    }

    /// Removes a file that no row names: its block turned out to be there, or its commit was refused.
    pub(super) fn remove(&self, name: &str) {
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
        for folder in fs::read_dir(&self.root).map_err(failed)? {
            let folder = folder.map_err(failed)?;
            if folder.file_type().map_err(failed)?.is_dir() {
                self.disk.sync_directory(&folder.path()).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// The whole block, checked. Errors: `Corrupt`, `Io`.
    pub(super) fn read(&self, row: &BlockRow) -> Result<Arc<[u8]>> {
        let bytes = self.read_unchecked(row)?;
        if !row.cid.matches(&bytes) {
            return Err(broken_bytes(&row.cid, "its file does not hash to it"));
        }
        Ok(bytes)
    }

    /// The whole file as it is.
    pub(super) fn read_unchecked(&self, row: &BlockRow) -> Result<Arc<[u8]>> {
        let path = self.path_of(row)?;
        // The row's size bounds what is read: a file that grew is corrupt, not a way to take all memory.
        let mut bytes = Vec::new();
        let limit = row.size.saturating_add(1);
        let opened = self.disk.open_to_read(&path);
        match opened.and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
            Ok(_) if bytes.len() as u64 == row.size => Ok(bytes.into()),
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

    /// Whether the block's file is there, as long as it has to be: what can be told without reading it.
    pub(super) fn has_length_of(&self, row: &BlockRow) -> bool {
        let about = self.path_of(row).map(std::fs::metadata);
        about.is_ok_and(|about| about.is_ok_and(|about| about.len() == row.size))
    }

    /// Bytes `offset..offset + length` as far as there are, checked against the tree; the rest of the
    /// file is not read. O(length + log size). Errors: `Corrupt`, `Io`.
    pub(super) fn read_range(&self, row: &BlockRow, offset: u64, length: u64) -> Result<Vec<u8>> {
        let end = offset.saturating_add(length).min(row.size);
        let length = end.saturating_sub(offset);
        if length == 0 {
            return Ok(Vec::new());
        }
        let path = self.path_of(row)?;
        let tree_path = tree_path(&path);
        let open = |path| {
            let opened = self.disk.open_to_read(path);
            opened.map_err(|error| io_error("open", path, error))
        };
        let (file, tree) = (open(&path)?, open(&tree_path)?);
        let slice = bao::encode::SliceExtractor::new_outboard(file, tree, offset, length);
        let root = bao::Hash::from(*row.cid.digest());
        let mut bytes = Vec::new();
        bao::decode::SliceDecoder::new(slice, &root, offset, length)
            .read_to_end(&mut bytes)
            .map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => broken_bytes(
                    &row.cid,
                    &format!("its file does not match its tree: {error}"),
                ),
                // The device's failure is not the file's.
                _ => io_error("read", &path, error),
            })?;
        if bytes.len() as u64 != length {
            return Err(broken_bytes(&row.cid, "its file ends early"));
        }
        Ok(bytes)
    }

    /// The bytes of a file of ours, whoever names it; None if it can't be read. Not checked.
    pub(super) fn read_named(&self, name: &str) -> Option<Vec<u8>> {
        digest_and_time(name)?;
        fs::read(self.root.join(name)).ok()
    }

    /// Whether the tree of a block whose bytes are right is theirs. Errors: `Corrupt`, `Io`.
    pub(super) fn check_tree(&self, row: &BlockRow, bytes: &[u8]) -> Result<()> {
        let path = tree_path(&self.path_of(row)?);
        let tree = bao::encode::outboard(bytes).0;
        let mut stored = Vec::new();
        // No more than shows that it is longer.
        let limit = (tree.len() as u64).saturating_add(1);
        let opened = self.disk.open_to_read(&path);
        match opened.and_then(|file| file.take(limit).read_to_end(&mut stored)) {
            Ok(_) if stored == tree => Ok(()),
            Ok(_) => Err(broken_bytes(
                &row.cid,
                &format!("the tree {} is not that of its file", path.display()),
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(broken_bytes(
                &row.cid,
                &format!("the tree {} is missing", path.display()),
            )),
            Err(error) => Err(io_error("read", &path, error)),
        }
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

    /// Every file below `blobs/` (trees too): name as in the rows, size.
    pub(super) fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        for folder in fs::read_dir(&self.root)? {
            let folder = folder?;
            if !folder.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(folder.path())? {
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

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use treering_block::Cid;

    use super::*;
    use crate::error::StoreError;

    /// A block's row for a file that [`BlobFiles::write`] made.
    fn row_of(cid: Cid, size: usize, file: String) -> BlockRow {
        BlockRow {
            ordinal: 1,
            cid,
            size: size as u64,
            file: Some(file),
        }
    }

    fn sample() -> (tempfile::TempDir, BlobFiles, Block, BlockRow) {
        let root = tempfile::tempdir().unwrap();
        let files = BlobFiles::new(root.path().to_owned(), Arc::default(), Disk::system());
        let bytes: Vec<u8> = (0..300_000u32).map(|place| (place % 251) as u8).collect();
        let block = Block::raw(bytes);
        let name = files.write(&block).unwrap();
        let row = row_of(block.cid, block.bytes.len(), name);
        (root, files, block, row)
    }

    #[test]
    fn whole_files_and_ranges_read_back() {
        let (_root, files, block, row) = sample();
        assert_eq!(files.read(&row).unwrap(), block.bytes);
        files.check_tree(&row, &block.bytes).unwrap();
        for (offset, length) in [
            (0, 1),
            (0, 300_000),
            (1023, 2),
            (150_000, 70_000),
            (299_999, 10),
            (300_000, 5),
            (7, 0),
        ] {
            let end = (offset + length).min(300_000);
            let expected = &block.bytes[offset.min(300_000)..end.max(offset.min(300_000))];
            assert_eq!(
                files
                    .read_range(&row, offset as u64, length as u64)
                    .unwrap(),
                expected,
                "{offset}+{length}"
            );
        }
        assert!(
            files
                .read_range(&row, u64::MAX, u64::MAX)
                .unwrap()
                .is_empty()
        );
        // File, tree, their folder, and its own entry in `blobs`.
        assert_eq!(files.tally.counters().blob_syncs, 4);
    }

    #[test]
    fn a_flipped_byte_is_seen_where_it_is_read() {
        let (root, files, block, row) = sample();
        let path = root.path().join(row.file.as_deref().unwrap());
        let mut broken = block.bytes.to_vec();
        broken[200_000] ^= 1;
        fs::write(&path, &broken).unwrap();
        assert!(matches!(files.read(&row), Err(StoreError::Corrupt { .. })));
        assert!(matches!(
            files.read_range(&row, 199_990, 20),
            Err(StoreError::Corrupt { .. })
        ));
        assert_eq!(
            files.read_range(&row, 0, 100).unwrap(),
            &block.bytes[..100],
            "the rest is not touched"
        );
        fs::write(&path, &block.bytes[..1000]).unwrap();
        assert!(matches!(files.read(&row), Err(StoreError::Corrupt { .. })));
        fs::remove_file(&path).unwrap();
        assert!(
            files
                .read(&row)
                .unwrap_err()
                .to_string()
                .contains("missing")
        );
    }

    #[test]
    fn a_row_can_not_name_a_file_elsewhere() {
        let (_root, files, block, row) = sample();
        for name in [
            "../../etc/passwd",
            "",
            "ab",
            row.file.as_deref().unwrap().split_once('/').unwrap().1,
        ] {
            let row = row_of(block.cid, 300_000, name.to_owned());
            assert!(
                matches!(files.read(&row), Err(StoreError::Corrupt { .. })),
                "{name}"
            );
        }
    }

    #[test]
    fn removed_files_leave_nothing() {
        let (_root, files, _block, row) = sample();
        assert_eq!(files.list().unwrap().len(), 2);
        files.remove(row.file.as_deref().unwrap());
        assert!(files.list().unwrap().is_empty());
    }
}
