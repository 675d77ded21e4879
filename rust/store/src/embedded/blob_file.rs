//! One large block's file, open with its tree: read in pieces, each checked.
//!
//! Promises: what a read costs is what it asks for and the nodes on the way there; an open file can be read to its
//! end, whatever a collection removes meanwhile.
//! Never: a byte is given that the block's CID does not vouch for.

use std::io;
use std::path::{Path, PathBuf};

use treering_block::Cid;

use super::blob::tree_path;
use super::block_rows::{BlockRow, broken_bytes};
use super::disk::{Disk, Shown};
use super::sqlite_error::io_error;
use crate::blob_tree::{self, GROUP, Groups, Source, tree_bytes};
use crate::error::{Result, StoreError};

/// See the top of this file.
pub(super) struct BlobFile {
    cid: Cid,
    size: u64,
    path: PathBuf,
    file: Shown,
    tree: Shown,
}

impl BlobFile {
    /// Errors: `Corrupt` for a file or tree that is missing; `Io`.
    pub(super) fn open(disk: &Disk, path: PathBuf, row: &BlockRow) -> Result<Self> {
        let open = |what: &str, path: &Path| {
            disk.open_to_read(path).map_err(|error| {
                if error.kind() == io::ErrorKind::NotFound {
                    broken_bytes(&row.cid, &format!("{what} {} is missing", path.display()))
                } else {
                    io_error("open", path, error)
                }
            })
        };
        let file = open("its file", &path)?;
        let tree = open("its tree", &tree_path(&path))?;
        Ok(Self {
            cid: row.cid,
            size: row.size,
            path,
            file,
            tree,
        })
    }

    /// Bytes of the block, as its row says.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes `offset .. offset + length` as far as there are. O(length + log size). Errors: `Corrupt`, `Io`.
    pub(super) fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        blob_tree::read_range(&mut { self }, self.cid.digest(), self.size, offset, length)
            .map_err(|error| self.unread(error))
    }

    /// Whether file and tree are whole. Reads the file twice, a group at a time. Errors: `Corrupt`, `Io`.
    pub(super) fn check(&self) -> Result<()> {
        let length = self.file.length().map_err(|error| self.unread(error))?;
        if length != self.size {
            let path = self.path.display();
            let detail = format!("its file {path} has not its {} bytes", self.size);
            return Err(broken_bytes(&self.cid, &detail));
        }
        let mut groups = Groups::default();
        let mut group = Vec::new();
        while groups.length() < self.size {
            let length = self.size.saturating_sub(groups.length()).min(GROUP as u64);
            group.resize(usize::try_from(length).unwrap_or(GROUP), 0);
            let read = self.file.read_exact_at(groups.length(), &mut group);
            read.map_err(|error| self.unread(error))?;
            groups.push(&group);
        }
        if groups.digest() != *self.cid.digest() {
            return Err(broken_bytes(&self.cid, "its file does not hash to it"));
        }
        self.check_tree(&groups)
    }

    fn check_tree(&self, groups: &Groups) -> Result<()> {
        let other = || {
            let path = tree_path(&self.path);
            let detail = format!("the tree {} is not that of its file", path.display());
            broken_bytes(&self.cid, &detail)
        };
        let length = self.tree.length().map_err(|error| self.unread(error))?;
        if length != tree_bytes(self.size) {
            return Err(other());
        }
        let mut stored = Vec::new();
        let mut at: u64 = 0;
        let mut same = true;
        let compared = groups.tree(
            &mut |offset, into| self.file.read_exact_at(offset, into),
            &mut |piece| {
                stored.resize(piece.len(), 0);
                self.tree.read_exact_at(at, &mut stored)?;
                at = at.saturating_add(piece.len() as u64);
                same &= stored == piece;
                Ok(())
            },
        );
        compared.map_err(|error| self.unread(error))?;
        if same { Ok(()) } else { Err(other()) }
    }

    fn unread(&self, error: io::Error) -> StoreError {
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => broken_bytes(
                &self.cid,
                &format!("its file does not match its tree: {error}"),
            ),
            // The device's failure is not the file's.
            _ => io_error("read", &self.path, error),
        }
    }
}

impl Source for &BlobFile {
    fn content(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(offset, into)
    }

    fn tree(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.tree.read_exact_at(offset, into)
    }
}
