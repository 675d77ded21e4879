//! Buckets of S3-compatible servers: URLs become `treering-objects`' buckets, and, for tests, a handle on one.
//!
//! Promises: a caller who waits for a server is heard when he presses Ctrl-C.
//! Never: a secret is in anything that is shown.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use treering_store::bucket::{Bucket, PART_BYTES};
use treering_store::{Store, caller};

use crate::convert::{ByteString, Count, Text};
use crate::error::Result;

/// The options of a bucket's URL, with what each means.
#[pyfunction]
pub fn bucket_url_options() -> Vec<(&'static str, &'static str)> {
    treering_objects::OPTIONS.to_vec()
}

/// How long a wait goes on before signals are looked at.
const SLICE: Duration = Duration::from_millis(50);

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

/// Runs what may wait for a server: on a thread of its own, which never attaches to Python, while this one waits without the
/// GIL and looks at signals. One of them ends the work, and is raised when that has ended: soon, except for a commit that is
/// queued already, which lands or not.
pub fn attended<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    if in_use().is_empty() {
        return Ok(py.detach(work));
    }
    let left = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&left);
    let gave_up = caller::or_here(Arc::new(move || asked.load(Relaxed)));
    let (sender, mut receiver) = sync_channel(1);
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("treering-call".into())
            .spawn_scoped(scope, move || {
                // The caller listens until it is there.
                drop(sender.send(caller::unless(gave_up, work)));
            })?;
        loop {
            let answer = &mut receiver;
            match py.detach(move || answer.recv_timeout(SLICE)) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(interrupted) = py.check_signals() {
                        left.store(true, Relaxed);
                        let answer = &mut receiver;
                        drop(py.detach(move || answer.recv()));
                        return Err(interrupted);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(PyRuntimeError::new_err("the thread of the call stopped"));
                }
            }
        }
    })
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
    ) -> Result<String> {
        Ok(attended(py, || {
            self.0.put_part(&name, &upload, number, &data)
        })??)
    }

    #[pyo3(signature = (name, upload, parts))]
    fn complete(&self, py: Python<'_>, name: Text, upload: Text, parts: Vec<String>) -> Result<()> {
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
