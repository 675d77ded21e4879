//! `files_*`: files of a scope, streamed in and out.
//!
//! Promises: bytes are hashed, written and read without the GIL. Never: a rule of files is decided here.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyList};
use treering_actor::stores::files::{
    self, Content, Explorer, FilesKind, Grep, Incoming, Search, Shown,
};
use treering_actor::{ActorError, Blocks, Loaded, Reader, Receipt};
use treering_store::Uploaded;

use crate::buckets::attended;
use crate::convert::{ByteString, Count, Text, bytes_object};
use crate::error::{CoreError, Result};
use crate::messages::PyMessage;
use crate::reading::steadily;
use crate::stores::StoresCore;
use crate::values::{found, no_value};
use crate::verb::VerbCore;

/// Bytes of a file on their way in. Dropping it removes them.
#[pyclass(frozen, name = "IncomingCore", module = "treering._core")]
pub struct IncomingCore(Mutex<Option<Incoming>>);

impl IncomingCore {
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Option<Incoming>) -> Result<T> + Send,
    ) -> Result<T> {
        attended(py, || {
            work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
        })?
    }
}

fn over() -> CoreError {
    CoreError::Invalid {
        what: "upload",
        value: "finished".to_owned(),
        rule: "it is finished once",
    }
}

#[pymethods]
impl IncomingCore {
    #[pyo3(signature = (data))]
    fn write(&self, py: Python<'_>, data: ByteString) -> Result<()> {
        let bytes: &[u8] = &data;
        self.with(py, |incoming| {
            Ok(incoming.as_mut().ok_or_else(over)?.write(bytes)?)
        })
    }

    fn finish(&self, py: Python<'_>) -> Result<UploadedCore> {
        let upload = self.with(py, |incoming| {
            Ok(incoming.take().ok_or_else(over)?.finish()?)
        })?;
        Ok(UploadedCore(upload))
    }

    /// Gives it up: what has arrived is removed.
    fn drop(&self, py: Python<'_>) -> Result<()> {
        self.with(py, |incoming| {
            *incoming = None;
            Ok(())
        })
    }
}

/// Bytes that have arrived, for a path.
#[pyclass(frozen, name = "UploadedCore", module = "treering._core")]
pub struct UploadedCore(Arc<Uploaded>);

/// Begins to take a file of at most `size_max` bytes for a path; both are checked now.
#[pyfunction]
#[pyo3(signature = (stores, path, content_type, size_max))]
pub fn files_begin(
    py: Python<'_>,
    stores: &StoresCore,
    path: Text,
    content_type: Option<Text>,
    size_max: Count,
) -> Result<IncomingCore> {
    files::check_put(&path, content_type.as_deref())?;
    let reader = stores.stores().reader();
    let incoming = py.detach(|| Incoming::begin(&**reader.store(), size_max.0))?;
    Ok(IncomingCore(Mutex::new(Some(incoming))))
}

#[pyfunction]
#[pyo3(signature = (stores, path, upload, content_type))]
pub fn files_put(
    stores: &StoresCore,
    path: Text,
    upload: &UploadedCore,
    content_type: Option<Text>,
) -> Result<VerbCore> {
    let bytes = Arc::clone(&upload.0);
    let verb = files::put(stores.stores(), &path, bytes, content_type.as_deref())?;
    Ok(VerbCore::new::<FilesKind>(verb, file_value, vec![path.0]))
}

#[pyfunction]
#[pyo3(signature = (stores, path))]
pub fn files_delete(stores: &StoresCore, path: Text) -> Result<VerbCore> {
    let verb = files::delete(stores.stores(), &path)?;
    Ok(VerbCore::new::<FilesKind>(verb, no_value, Vec::new()))
}

fn file_value(
    py: Python<'_>,
    reader: &Reader,
    _: &Receipt,
    after: &Arc<Loaded<FilesKind>>,
    keys: &[String],
) -> Result<Option<Py<PyAny>>> {
    let [path] = keys else {
        return Ok(None);
    };
    let look = |blocks: &Blocks<'_>| after.state.get(path, blocks);
    let file = found(py, reader, look)?;
    file.map(|file| Ok(file.info.object(py, &[file.content])?.unbind()))
        .transpose()
}

fn explored<T: Send>(
    py: Python<'_>,
    stores: &StoresCore,
    version: Option<Count>,
    look: impl Fn(&Explorer) -> treering_actor::Result<T> + Send + Sync,
) -> Result<(T, u64)> {
    let version = version.map(|Count(version)| version);
    steadily(py, || {
        let explorer = Explorer::of(stores.stores(), version)?;
        Ok((look(&explorer)?, explorer.version()))
    })
}

fn object<'py>(py: Python<'py>, shown: &Shown) -> Result<Bound<'py, PyAny>> {
    shown.file.info.object(py, &[shown.file.content])
}

/// (files whose paths begin so, in the order of the paths, version).
#[pyfunction]
#[pyo3(signature = (stores, prefix, version))]
pub fn files_list<'py>(
    py: Python<'py>,
    stores: &StoresCore,
    prefix: Text,
    version: Option<Count>,
) -> Result<(Bound<'py, PyList>, u64)> {
    let (all, version) = explored(py, stores, version, |explorer| explorer.list(&prefix))?;
    let all = all.iter().map(|shown| object(py, shown));
    Ok((PyList::new(py, all.collect::<Result<Vec<_>>>()?)?, version))
}

/// What is known of a file; None if there is none.
#[pyfunction]
#[pyo3(signature = (stores, path, version))]
pub fn files_stat<'py>(
    py: Python<'py>,
    stores: &StoresCore,
    path: Text,
    version: Option<Count>,
) -> Result<Option<Bound<'py, PyAny>>> {
    let (shown, _) = explored(py, stores, version, |explorer| explorer.get(&path))?;
    shown.map(|shown| object(py, &shown)).transpose()
}

/// (what is known of a file, its bytes).
#[pyfunction]
#[pyo3(signature = (stores, path, version))]
pub fn files_open<'py>(
    py: Python<'py>,
    stores: &StoresCore,
    path: Text,
    version: Option<Count>,
) -> Result<(Bound<'py, PyAny>, ContentCore)> {
    let look = |explorer: &Explorer| match explorer.get(&path)? {
        Some(shown) => {
            let content = explorer.open(&shown)?;
            Ok(Some((shown, content)))
        }
        None => Ok(None),
    };
    let (opened, _) = explored(py, stores, version, look)?;
    let Some((shown, content)) = opened else {
        return Err(CoreError::NotFound {
            what: "file",
            which: path.0,
        });
    };
    Ok((object(py, &shown)?, ContentCore(Mutex::new(content))))
}

/// Path, number of the line, its text.
type Line = (String, u64, String);

/// A search that goes on, until it is done.
#[pyclass(frozen, name = "GrepCore", module = "treering._core")]
pub struct GrepCore(Mutex<Option<Grep>>);

#[pymethods]
impl GrepCore {
    /// Makes the next slice: (lines that were found, version) if that was the last, else None.
    fn go_on(&self, py: Python<'_>) -> Result<Option<(Vec<Line>, u64)>> {
        let done = attended(py, || {
            let mut grep = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match grep.as_mut() {
                Some(going) => Ok(going.go_on()?.then(|| grep.take()).flatten()),
                None => Err(CoreError::Invalid {
                    what: "search",
                    value: "done".to_owned(),
                    rule: "it answers once",
                }),
            }
        })??;
        Ok(done.map(|grep| {
            let (found, version) = grep.found();
            let lines = found.into_iter();
            let lines = lines.map(|one| (one.path, one.line, one.text)).collect();
            (lines, version)
        }))
    }
}

/// Begins to look for a pattern in the files as they are.
#[pyfunction]
#[pyo3(signature = (stores, pattern, glob, max_results))]
pub fn files_grep(
    py: Python<'_>,
    stores: &StoresCore,
    pattern: Text,
    glob: Text,
    max_results: &Bound<'_, PyInt>,
) -> Result<GrepCore> {
    // Larger or smaller than any number of ours is out of range all the same; True is no number.
    let refused = || files::refused_results(&max_results.to_string());
    if max_results.is_instance_of::<PyBool>() {
        return Err(refused().into());
    }
    let count = max_results.extract().map_err(|_| refused())?;
    // Compiled before anything is read.
    Search::new(&pattern, &glob, count)?;
    let (grep, _) = explored(py, stores, None, |explorer| {
        explorer.grep(Search::new(&pattern, &glob, count)?)
    })?;
    Ok(GrepCore(Mutex::new(Some(grep))))
}

/// The bytes of a file, as long as this is kept.
#[pyclass(frozen, name = "ContentCore", module = "treering._core")]
pub struct ContentCore(Mutex<Content>);

#[pymethods]
impl ContentCore {
    /// Bytes `offset .. offset + length` as far as there are, checked.
    #[pyo3(signature = (offset, length))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        offset: Count,
        length: Count,
    ) -> Result<Bound<'py, PyAny>> {
        let bytes = attended(py, || {
            let content = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            content
                .read_at(offset.0, length.0)
                .map_err(ActorError::from)
        })??;
        Ok(bytes_object(py, &bytes))
    }
}
