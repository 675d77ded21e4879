//! Bytes on their way into a store, in pieces, whatever they come to; and blocks on their way out in pieces.
//!
//! An upload becomes a block when a commit brings it ([`Commit::uploads`](crate::Commit::uploads)) and links to it,
//! sets a ref to it or holds it. Until then nothing but this process knows it, and dropping it removes it.
//! Promises: a backend with files holds no more than two MiB of one in memory, and 32 bytes for each MiB; the bytes
//! are on disk before [`Upload::finish`] answers.

use std::fmt;
use std::sync::Arc;

use treering_block::{Block, Cid};

use crate::embedded::StagedFile;
use crate::error::{Result, StoreError};

/// At most this many bytes in one block that is not a node (64 GiB). What is kept in memory of one that is stored or
/// checked, 32 bytes for each MiB, stays below 3 MiB.
pub const BLOB_BYTES_MAX: u64 = treering_block::car::RAW_BYTES_MAX;

/// An upload under way. Dropping it removes what has arrived.
pub trait Upload: Send {
    /// Takes the next bytes.
    ///
    /// Errors: `LimitExceeded` over [`BLOB_BYTES_MAX`]; `DiskFull`, `Io`. After an error it is good for nothing.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;
    /// What all of it is, durable, to be brought by a commit.
    ///
    /// Errors: as for [`Upload::write`]; `Corrupt` where the disk gives back other bytes than it was given.
    fn finish(self: Box<Self>) -> Result<Arc<Uploaded>>;
}

/// Bytes that have arrived, and are no block yet.
pub struct Uploaded {
    cid: Cid,
    size: u64,
    pub(crate) content: Content,
}

/// Where they are.
pub(crate) enum Content {
    Here(Block),
    Staged(StagedFile),
}

impl Uploaded {
    /// Bytes that are in memory.
    pub fn of(block: Block) -> Self {
        Self {
            cid: block.cid,
            size: block.bytes.len() as u64,
            content: Content::Here(block),
        }
    }

    pub(crate) fn staged(cid: Cid, size: u64, file: StagedFile) -> Self {
        Self {
            cid,
            size,
            content: Content::Staged(file),
        }
    }

    /// The CID of the block that they will be.
    pub fn cid(&self) -> Cid {
        self.cid
    }

    /// How many there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Errors: `Invalid` for one whose file is a block's already: a second block needs a second file.
    pub(crate) fn expect_unused(&self) -> Result<()> {
        match &self.content {
            Content::Staged(file) if file.is_kept() => Err(StoreError::Invalid {
                what: "upload",
                value: self.cid.to_string(),
                rule: "it was stored by an earlier commit, and collected since; upload it again"
                    .into(),
            }),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Uploaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uploaded({}, {} bytes)", self.cid, self.size)
    }
}

/// An upload into memory.
#[derive(Default)]
pub(crate) struct Buffer(Vec<u8>);

impl Upload for Buffer {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        check_size((self.0.len() as u64).saturating_add(bytes.len() as u64))?;
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Arc<Uploaded>> {
        Ok(Arc::new(Uploaded::of(Block::raw(self.0))))
    }
}

/// Errors: `LimitExceeded` over [`BLOB_BYTES_MAX`].
pub(crate) fn check_size(size: u64) -> Result<()> {
    if size <= BLOB_BYTES_MAX {
        return Ok(());
    }
    Err(StoreError::LimitExceeded {
        what: "bytes of one block",
        limit: BLOB_BYTES_MAX,
        actual: size,
    })
}

/// A block that is read in pieces. As long as this is kept it can be read, whatever a collection does meanwhile.
pub trait BlockReader: Send {
    /// Bytes of the block.
    fn size(&self) -> u64;
    /// Bytes `offset .. offset + length` as far as there are, checked. O(length + log size).
    ///
    /// Errors: `Corrupt`, `Io`; `Closed` and `ForkedProcess` as for the store.
    fn read_at(&self, offset: u64, length: u64) -> Result<Vec<u8>>;
}

/// Bytes in memory, to be read as a block is.
pub struct Held(pub Arc<[u8]>);

impl BlockReader for Held {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(self.0.len());
        let range = place(offset)..place(offset.saturating_add(length));
        Ok(self.0.get(range).unwrap_or_default().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_that_one_block_has() {
        check_size(BLOB_BYTES_MAX).unwrap();
        let refused = check_size(BLOB_BYTES_MAX + 1).unwrap_err();
        assert!(matches!(
            refused,
            StoreError::LimitExceeded {
                limit: BLOB_BYTES_MAX,
                ..
            }
        ));
        // What the settings of an application may say, too.
        assert_eq!(BLOB_BYTES_MAX, 64 << 30);
    }
}
