//! Reading blocks, whole or in pieces, while collections take some and somebody puts them again.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use treering_block::Cid;

use super::block_rows::{BlockRow, Bytes, broken_bytes};
use super::core::Shared;
use super::open_blob::{OpenBlob, collected_meanwhile};
use super::{EmbeddedStore, fork};
use crate::error::{Result, StoreError};
use crate::upload::{BlockReader, Held};

impl EmbeddedStore {
    /// See [`Store::get`].
    pub(super) fn load(&self, cid: &Cid) -> Result<Arc<[u8]>> {
        let shared = &self.usable()?.shared;
        let found = match shared
            .connections
            .reading(|session| session.load_block(cid))?
        {
            Some(Bytes::Here(bytes)) => Some(bytes),
            Some(Bytes::File(row)) => self.read_file(cid, row, |row| shared.blobs.read(row))?,
            None => None,
        };
        let mut tiers = shared.tiers.iter();
        let bytes = match found {
            Some(bytes) => bytes,
            None => loop {
                let Some(tier) = tiers.next() else {
                    return Err(StoreError::BlockNotFound(*cid));
                };
                if let Some(bytes) = tier.get(cid)? {
                    if !cid.matches(&bytes) {
                        return Err(broken_bytes(cid, "a colder tier gave other bytes"));
                    }
                    break bytes;
                }
            },
        };
        shared.tally.blocks_read.fetch_add(1, Relaxed);
        Ok(bytes)
    }

    /// See [`Store::reader`].
    pub(super) fn open_block(&self, cid: &Cid) -> Result<Box<dyn BlockReader>> {
        let shared = &self.usable()?.shared;
        let found = self.reading(|session| session.find_block(cid))?;
        if let Some(row) = found.filter(|row| row.file.is_some()) {
            let opened = self.read_file(cid, row, |row| {
                let opened = shared.blobs.open(row)?;
                // What is marked is not removed any more, if its row was there after it was marked.
                if matches!(opened, OpenBlob::Object(_))
                    && self.reading(|session| session.find_block(cid))?.as_ref() != Some(row)
                {
                    return Err(broken_bytes(cid, "it was collected"));
                }
                Ok((row.clone(), opened))
            })?;
            let (row, file) = opened.ok_or(StoreError::BlockNotFound(*cid))?;
            shared.tally.blocks_read.fetch_add(1, Relaxed);
            return Ok(Box::new(FileReader {
                row,
                file,
                shared: Arc::clone(shared),
                generation: fork::generation(),
            }));
        }
        Ok(Box::new(Held(self.load(cid)?)))
    }

    /// Reads a block's file. Between its row and its file a collection may have taken both, and somebody
    /// may have put the block again since: then there is another row, or none.
    fn read_file<T>(
        &self,
        cid: &Cid,
        row: BlockRow,
        read: impl Fn(&BlockRow) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut row = row;
        loop {
            let error = match read(&row) {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(error) => error,
            };
            match self.reading(|session| session.find_block(cid))? {
                Some(now) if now.ordinal > row.ordinal && now.file.is_some() => row = now,
                Some(_) => return Err(self.core.shared.connections.explain(error)),
                None => return Ok(None),
            }
        }
    }
}

/// A large block that is read in pieces.
struct FileReader {
    row: BlockRow,
    file: OpenBlob,
    shared: Arc<Shared>,
    generation: u64,
}

impl BlockReader for FileReader {
    fn size(&self) -> u64 {
        self.file.size()
    }

    fn read_at(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        if self.generation != fork::generation() {
            return Err(StoreError::ForkedProcess);
        }
        if self.shared.closed.load(SeqCst) {
            return Err(StoreError::Closed);
        }
        self.file
            .read(offset, length)
            .map_err(|error| self.explain(error))
    }
}

impl FileReader {
    /// Damage is told of while the row is there.
    fn explain(&self, error: StoreError) -> StoreError {
        let is_gone = || {
            let connections = &self.shared.connections;
            let found = connections.reading(|session| session.find_block(&self.row.cid));
            found.is_ok_and(|found| found.as_ref() != Some(&self.row))
        };
        if matches!(error, StoreError::Corrupt { .. }) && self.file.may_be_collected() && is_gone()
        {
            return collected_meanwhile(self.shared.root.display().to_string());
        }
        error
    }
}
