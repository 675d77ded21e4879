//! Buckets of S3-compatible servers: URLs become `treering-objects`' buckets, and, for tests, a handle on one.
//!
//! Promises: a caller who waits for a server is heard when he presses Ctrl-C.
//! Never: a secret is in anything that is shown.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pyo3::prelude::*;
use treering_store::Store;
use treering_store::bucket::{Bucket, PART_BYTES};

use crate::convert::{ByteString, Count, Text};
use crate::error::Result;
use crate::hearing::heard;

/// The options of a bucket's URL, with what each means.
#[pyfunction]
pub fn bucket_url_options() -> Vec<(&'static str, &'static str)> {
    treering_objects::OPTIONS.to_vec()
}

/// The buckets that are in use: without one no call waits for a server, and none has a thread of its own.
static OPEN: Mutex<Vec<Weak<dyn Bucket>>> = Mutex::new(Vec::new());

fn in_use() -> MutexGuard<'static, Vec<Weak<dyn Bucket>>> {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.retain(|bucket| bucket.strong_count() > 0);
    open
}

/// The bucket of a URL. Errors: `Invalid`.
pub fn open(url: &str) -> treering_store::Result<Arc<dyn Bucket>> {
    let bucket = treering_objects::open(url)?;
    in_use().push(Arc::downgrade(&bucket));
    Ok(bucket)
}

/// The same, if one is given.
pub fn given(url: Option<&str>) -> Result<Option<Arc<dyn Bucket>>> {
    Ok(url.map(open).transpose()?)
}

/// As [`attended`], for a call of one store: if its blocks are all in the directory, it waits for no server.
pub fn attended_by<T: Send>(
    py: Python<'_>,
    store: &dyn Store,
    work: impl FnOnce() -> T + Send,
) -> PyResult<T> {
    if store.asks_a_server() {
        attended(py, work)
    } else {
        Ok(py.detach(work))
    }
}

/// Runs what may wait for a server as [`heard`] does, where there is any.
pub fn attended<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    if in_use().is_empty() {
        Ok(py.detach(work))
    } else {
        heard(py, work)
    }
}

/// A place in a bucket, as tests see it.
#[pyclass(frozen, name = "BucketCore", module = "treering._core")]
pub struct BucketCore(Arc<dyn Bucket>);

#[pymethods]
impl BucketCore {
    /// Bytes of a part of an upload.
    #[classattr]
    const PART_BYTES: u64 = PART_BYTES;

    #[new]
    #[pyo3(signature = (url, /))]
    fn new(url: Text) -> Result<Self> {
        Ok(Self(open(&url)?))
    }

    #[getter]
    fn url(&self) -> String {
        self.0.url().to_owned()
    }

    #[pyo3(signature = (name, data))]
    fn put(&self, py: Python<'_>, name: Text, data: ByteString) -> Result<()> {
        Ok(attended(py, || self.0.put(&name, &data))??)
    }

    #[pyo3(signature = (name, data))]
    fn create(&self, py: Python<'_>, name: Text, data: ByteString) -> Result<bool> {
        Ok(attended(py, || self.0.create(&name, &data))??)
    }

    #[pyo3(signature = (name))]
    fn begin(&self, py: Python<'_>, name: Text) -> Result<String> {
        Ok(attended(py, || self.0.begin(&name))??)
    }

    #[pyo3(signature = (name, upload, number, data))]
    fn put_part(
        &self,
        py: Python<'_>,
        name: Text,
        upload: Text,
        number: u32,
        data: ByteString,
    ) -> Result<Option<String>> {
        Ok(attended(py, || {
            self.0.put_part(&name, &upload, number, &data)
        })??)
    }

    #[pyo3(signature = (name, upload, parts))]
    fn complete(
        &self,
        py: Python<'_>,
        name: Text,
        upload: Text,
        parts: Vec<String>,
    ) -> Result<bool> {
        Ok(attended(py, || self.0.complete(&name, &upload, &parts))??)
    }

    #[pyo3(signature = (name, upload))]
    fn abort(&self, py: Python<'_>, name: Text, upload: Text) -> Result<()> {
        Ok(attended(py, || self.0.abort(&name, &upload))??)
    }

    #[pyo3(signature = (name))]
    fn uploads(&self, py: Python<'_>, name: Text) -> Result<Vec<String>> {
        Ok(attended(py, || self.0.uploads(&name))??)
    }

    #[pyo3(signature = (name))]
    fn size(&self, py: Python<'_>, name: Text) -> Result<Option<u64>> {
        Ok(attended(py, || self.0.size(&name))??)
    }

    #[pyo3(signature = (name, offset, length))]
    fn read(
        &self,
        py: Python<'_>,
        name: Text,
        offset: Count,
        length: Count,
    ) -> Result<Option<Vec<u8>>> {
        Ok(attended(py, || self.0.read(&name, offset.0, length.0))??)
    }

    /// (name, bytes, Unix milliseconds of its writing) of all whose names begin so.
    #[pyo3(signature = (prefix))]
    fn listed(&self, py: Python<'_>, prefix: Text) -> Result<Vec<(String, u64, i64)>> {
        let mut found = Vec::new();
        attended(py, || {
            self.0.list(&prefix, &mut |object| {
                found.push((object.name, object.size, object.written_ms));
                Ok(())
            })
        })??;
        Ok(found)
    }

    #[pyo3(signature = (name))]
    fn remove(&self, py: Python<'_>, name: Text) -> Result<()> {
        Ok(attended(py, || self.0.remove(&name))??)
    }
}
