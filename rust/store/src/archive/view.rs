//! An archive as a store that can be read: its refs under the names that they are to have, and its blocks.
//!
//! Promises: whatever is written against [`crate::Store`] checks a file before a byte of it is taken; what the file does not have
//! is absent, whatever the store has that it is imported into.
//! Must never: be written, or be asked for what a file has not (journal, leases, clock).

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use treering_block::Cid;

use super::error::ArchiveError;
use super::index::Index;
use super::scan::shrunk;
use crate::commit::RefValue;
use crate::error::{Result, StoreError};
use crate::name::RefName;
use crate::read_only::{ReadOnly, Shown};

/// See the top of this file.
pub struct View<R> {
    file: Mutex<Index<R>>,
    shown: Shown,
}

impl<R: Read + Seek> View<R> {
    /// A file whose blocks were checked, with these refs of one scope.
    pub fn new(file: Index<R>, scope: &str, refs: BTreeMap<RefName, RefValue>) -> Self {
        Self {
            file: Mutex::new(file),
            shown: Shown {
                scope: scope.to_owned(),
                refs,
            },
        }
    }

    /// Its refs, by name.
    pub fn refs(&self) -> &BTreeMap<RefName, RefValue> {
        &self.shown.refs
    }

    /// The file. Nothing can be read of the view while it is held.
    pub fn lock(&self) -> MutexGuard<'_, Index<R>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told(error: ArchiveError) -> StoreError {
    match error {
        ArchiveError::Store(error) => error,
        other => StoreError::Corrupt {
            what: "file",
            which: "that is imported".into(),
            detail: other.to_string(),
        },
    }
}

impl<R: Read + Seek + Send> ReadOnly for View<R> {
    fn shown(&self) -> &Shown {
        &self.shown
    }

    fn get(&self, cid: &Cid) -> Result<Arc<[u8]>> {
        match self.lock().read(cid) {
            Ok(Some(bytes)) if cid.matches(&bytes) => Ok(bytes.into()),
            Ok(Some(_)) => Err(told(shrunk())),
            Ok(None) => Err(StoreError::BlockNotFound(*cid)),
            Err(error) => Err(told(error)),
        }
    }

    fn size(&self, cid: &Cid) -> Result<u64> {
        let size = self.lock().size_of(cid);
        size.ok_or(StoreError::BlockNotFound(*cid))
    }

    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>> {
        let file = self.lock();
        Ok(cids.iter().map(|cid| file.has(cid)).collect())
    }

    fn location(&self) -> String {
        "the file".to_owned()
    }
}
