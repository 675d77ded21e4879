//! SQLite's errors as the store's: the one mapping.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::error::StoreError;

/// What SQLite said, while doing `action` on the database at `path`.
pub(super) fn map(error: &rusqlite::Error, action: &'static str, path: &Path) -> StoreError {
    let which = path.display().to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::DiskFull,
        Some(ErrorCode::ReadOnly) => StoreError::ReadOnly,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt {
            what: "database",
            which,
            detail: error.to_string(),
        },
        _ => match error {
            // A column that holds another type or an impossible number: our own rows never do.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..) => StoreError::Corrupt {
                what: "database",
                which,
                detail: error.to_string(),
            },
            _ => StoreError::Io {
                action,
                path: which,
                source: Arc::new(io::Error::other(error.to_string())),
            },
        },
    }
}

/// An error of the file system.
pub(super) fn io_error(action: &'static str, path: &Path, error: io::Error) -> StoreError {
    if error.kind() == io::ErrorKind::StorageFull {
        return StoreError::DiskFull;
    }
    StoreError::Io {
        action,
        path: path.display().to_string(),
        source: Arc::new(error),
    }
}
