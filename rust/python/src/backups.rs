//! Stores out of backups.

use std::time::Duration;

use pyo3::prelude::*;
use treering_store::{OpenOptions, restore_erased};

use crate::buckets;
use crate::convert::{Count, Text};
use crate::erasing::erased;
use crate::error::Result;
use crate::work::{Answer, PyWork};

/// Makes a store of a backup, in a directory that is absent or empty.
#[pyfunction]
#[pyo3(signature = (backup, path, lock_wait_ms, erasures, as_it_is, blobs))]
pub fn restore(
    backup: Text,
    path: Text,
    lock_wait_ms: Count,
    erasures: Option<Text>,
    as_it_is: bool,
    blobs: Option<Text>,
) -> Result<PyWork> {
    let options = OpenOptions {
        blobs: buckets::given(blobs.as_deref())?,
        lock_wait: Duration::from_millis(lock_wait_ms.0),
        connect: Some(buckets::open),
        ..OpenOptions::default()
    };
    PyWork::start(move |progress| {
        let plain = OpenOptions {
            blobs: None,
            ..options.clone()
        };
        let erased = erased(&backup, &plain, erasures.as_deref(), as_it_is)?;
        let report = restore_erased(&*backup, &*path, &options, erased.as_ref(), progress)?;
        Ok(Answer::Backup(report))
    })
}

/// Fetches a backup from a bucket into a directory, which is absent or empty.
#[pyfunction]
#[pyo3(signature = (url, into))]
pub fn fetch_backup(url: Text, into: Text) -> Result<PyWork> {
    let bucket = buckets::open(&url)?;
    PyWork::start(move |progress| {
        let bytes = treering_store::fetch_backup(&*bucket, &*into, progress)?;
        Ok(Answer::Fetched(bytes))
    })
}
