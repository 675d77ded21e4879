//! A large block that is read in pieces, wherever its bytes are. Nobody else asks whether it is a file or an object.

use super::blob_file::BlobFile;
use super::objects::ObjectFile;
use crate::error::{Result, StoreError};

/// See the top of this file.
pub(super) enum OpenBlob {
    File(BlobFile),
    Object(ObjectFile),
}

impl OpenBlob {
    /// Bytes of the block, as its row says.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::File(file) => file.size(),
            Self::Object(object) => object.size(),
        }
    }

    /// Bytes `offset .. offset + length` as far as there are, checked. Errors: `Corrupt`, `Io`, `Bucket`.
    pub(super) fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        match self {
            Self::File(file) => file.read(offset, length),
            Self::Object(object) => object.read(offset, length),
        }
    }

    /// Whether it is an object that is not there, and nothing kept a collection from taking it: where nothing may be written.
    /// One request then.
    pub(super) fn may_be_collected(&self) -> bool {
        match self {
            Self::File(_) => false,
            Self::Object(object) => object.may_be_collected(),
        }
    }

    /// Whether all of it is what it should be. Errors: as above.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::File(file) => file.check(),
            Self::Object(object) => object.check(),
        }
    }
}

/// What is missing was there when it was looked for, by its row.
pub(super) fn collected_meanwhile(location: String) -> StoreError {
    StoreError::Invalid {
        what: "store directory",
        value: location,
        rule: "it is read-only for this process, and a garbage collection of another one removed files meanwhile; run it again".into(),
    }
}
