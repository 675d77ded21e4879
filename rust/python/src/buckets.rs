//! Buckets of S3-compatible servers: URLs become `treering-objects`' buckets, and, for tests, a handle on one.
//!
//! Never: a secret is in anything that is shown.

use std::sync::Arc;

use pyo3::prelude::*;
use treering_store::bucket::{Bucket, PART_BYTES};

use crate::convert::{ByteString, Count, Text};
use crate::error::Result;

/// The options of a bucket's URL, with what each means.
#[pyfunction]
pub fn bucket_url_options() -> Vec<(&'static str, &'static str)> {
    treering_objects::OPTIONS.to_vec()
}

/// The bucket of a URL, if one is given.
pub fn given(url: Option<&str>) -> Result<Option<Arc<dyn Bucket>>> {
    Ok(url.map(treering_objects::open).transpose()?)
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
        Ok(Self(treering_objects::open(&url)?))
    }

    #[getter]
    fn url(&self) -> String {
        self.0.url().to_owned()
    }

    #[pyo3(signature = (name, data))]
    fn put(&self, py: Python<'_>, name: Text, data: ByteString) -> Result<()> {
        Ok(py.detach(|| self.0.put(&name, &data))?)
    }

    #[pyo3(signature = (name, data))]
    fn create(&self, py: Python<'_>, name: Text, data: ByteString) -> Result<bool> {
        Ok(py.detach(|| self.0.create(&name, &data))?)
    }

    #[pyo3(signature = (name))]
    fn begin(&self, py: Python<'_>, name: Text) -> Result<String> {
        Ok(py.detach(|| self.0.begin(&name))?)
    }

    #[pyo3(signature = (name, upload, number, data))]
    fn put_part(
        &self,
        py: Python<'_>,
        name: Text,
        upload: Text,
        number: u32,
        data: ByteString,
    ) -> Result<String> {
        Ok(py.detach(|| self.0.put_part(&name, &upload, number, &data))?)
    }

    #[pyo3(signature = (name, upload, parts))]
    fn complete(&self, py: Python<'_>, name: Text, upload: Text, parts: Vec<String>) -> Result<()> {
        Ok(py.detach(|| self.0.complete(&name, &upload, &parts))?)
    }

    #[pyo3(signature = (name, upload))]
    fn abort(&self, py: Python<'_>, name: Text, upload: Text) -> Result<()> {
        Ok(py.detach(|| self.0.abort(&name, &upload))?)
    }

    #[pyo3(signature = (name))]
    fn uploads(&self, py: Python<'_>, name: Text) -> Result<Vec<String>> {
        Ok(py.detach(|| self.0.uploads(&name))?)
    }

    #[pyo3(signature = (name))]
    fn size(&self, py: Python<'_>, name: Text) -> Result<Option<u64>> {
        Ok(py.detach(|| self.0.size(&name))?)
    }

    #[pyo3(signature = (name, offset, length))]
    fn read(
        &self,
        py: Python<'_>,
        name: Text,
        offset: Count,
        length: Count,
    ) -> Result<Option<Vec<u8>>> {
        Ok(py.detach(|| self.0.read(&name, offset.0, length.0))?)
    }

    /// (name, bytes, Unix milliseconds of its writing) of all whose names begin so.
    #[pyo3(signature = (prefix))]
    fn listed(&self, py: Python<'_>, prefix: Text) -> Result<Vec<(String, u64, i64)>> {
        let mut found = Vec::new();
        py.detach(|| {
            self.0.list(&prefix, &mut |object| {
                found.push((object.name, object.size, object.written_ms));
                Ok(())
            })
        })?;
        Ok(found)
    }

    #[pyo3(signature = (name))]
    fn remove(&self, py: Python<'_>, name: Text) -> Result<()> {
        Ok(py.detach(|| self.0.remove(&name))?)
    }
}
