//! `export_car`, `import_car`: threads into a CAR file and out of one.
//!
//! Promises: the work runs without the GIL, which is taken for a moment now and then to tell how far it is and
//! to look for signals; an exception of the caller's file or callback ends the work and is raised as it is.
//! Never: a rule of what may be exported or imported.

use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::Path;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use treering_thread::car::{
    CarError, Exported, Imported, OnConflict, export, export_to, import_from,
};

use crate::cid::PyCid;
use crate::convert::Text;
use crate::error::{CoreError, Result};
use crate::threads::ThreadsCore;

/// Bytes that are handed to a Python file at once.
const BUFFER: usize = 1 << 20;

/// Writes threads (None: all of the scope) to a path, or to an object with `write`.
#[pyfunction]
#[pyo3(signature = (threads, ids, target, progress))]
pub fn export_car<'py>(
    py: Python<'py>,
    threads: &ThreadsCore,
    ids: Option<Vec<Text>>,
    target: &Bound<'py, PyAny>,
    progress: Option<Py<PyAny>>,
) -> Result<Bound<'py, PyDict>> {
    let ids: Option<Vec<String>> = ids.map(|ids| ids.into_iter().map(|Text(id)| id).collect());
    let path: Option<String> = match target.cast::<PyString>() {
        Ok(path) => Some(path.to_str()?.to_owned()),
        Err(_) => None,
    };
    let file = target.clone().unbind();
    let mut listener = Listener::new(progress);
    let threads = threads.threads();
    let exported = py.detach(|| match path {
        Some(path) => listener.raise(|listener| {
            export_to(
                threads,
                ids.as_deref(),
                Path::new(&path),
                &mut |done, total| listener.tell(done, total),
            )
        }),
        None => {
            let mut output = BufWriter::with_capacity(BUFFER, PyFile { file, raised: None });
            let answer = listener.raise(|listener| {
                let exported = export(threads, ids.as_deref(), &mut output, &mut |done, total| {
                    listener.tell(done, total)
                })?;
                output.flush().map_err(|source| CarError::Io {
                    action: "write",
                    path: "the file".to_owned(),
                    source,
                })?;
                Ok(exported)
            });
            let raised = output.get_mut().raised.take();
            // What is left in the buffer is not to be written any more.
            drop(output.into_parts());
            raised.map_or(answer, |raised| Err(raised.into()))
        }
    })?;
    exported_object(py, exported)
}

/// Makes the threads of a CAR file.
#[pyfunction]
#[pyo3(signature = (threads, path, on_conflict, progress))]
pub fn import_car<'py>(
    py: Python<'py>,
    threads: &ThreadsCore,
    path: Text,
    on_conflict: Text,
    progress: Option<Py<PyAny>>,
) -> Result<Bound<'py, PyDict>> {
    let on_conflict = match &*on_conflict {
        "refuse" => OnConflict::Refuse,
        "rename" => OnConflict::Rename,
        "skip" => OnConflict::Skip,
        other => {
            return Err(CoreError::Invalid {
                what: "on_conflict",
                value: other.to_owned(),
                rule: "it is one of refuse, rename, skip",
            });
        }
    };
    let mut listener = Listener::new(progress);
    let threads = threads.threads();
    let imported = py.detach(|| {
        listener.raise(|listener| {
            import_from(
                threads,
                Path::new(&*path),
                on_conflict,
                &mut |done, total| listener.tell(done, total),
            )
        })
    })?;
    imported_object(py, imported)
}

fn exported_object(py: Python<'_>, exported: Exported) -> Result<Bound<'_, PyDict>> {
    let object = PyDict::new(py);
    object.set_item("root", PyCid::ours(exported.root))?;
    object.set_item("threads", exported.threads)?;
    object.set_item("receipts", exported.receipts)?;
    object.set_item("blocks", exported.blocks)?;
    object.set_item("bytes", exported.bytes)?;
    Ok(object)
}

fn imported_object(py: Python<'_>, imported: Imported) -> Result<Bound<'_, PyDict>> {
    let object = PyDict::new(py);
    object.set_item("scope", imported.scope)?;
    object.set_item("threads", imported.threads)?;
    object.set_item("there", imported.there)?;
    object.set_item("skipped", imported.skipped)?;
    object.set_item("renamed", imported.renamed)?;
    object.set_item("blocks", imported.blocks)?;
    object.set_item("new_blocks", imported.new_blocks)?;
    object.set_item("new_bytes", imported.new_bytes)?;
    object.set_item("new_receipts", imported.new_receipts)?;
    object.set_item("receipts_left", imported.receipts_left)?;
    Ok(object)
}

/// Who is told how far the work is: the caller's function, and Python about signals.
struct Listener {
    callback: Option<Py<PyAny>>,
    raised: Option<PyErr>,
}

impl Listener {
    fn new(callback: Option<Py<PyAny>>) -> Self {
        Self {
            callback,
            raised: None,
        }
    }

    fn tell(&mut self, done: u64, total: Option<u64>) -> ControlFlow<()> {
        let told = Python::attach(|py| {
            py.check_signals()?;
            if let Some(callback) = &self.callback {
                callback.call1(py, (done, total))?;
            }
            Ok(())
        });
        match told {
            Ok(()) => ControlFlow::Continue(()),
            Err(raised) => {
                self.raised = Some(raised);
                ControlFlow::Break(())
            }
        }
    }

    /// Does the work; what was raised meanwhile is its error.
    fn raise<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> std::result::Result<T, CarError>,
    ) -> Result<T> {
        match (work(self), self.raised.take()) {
            (Ok(done), None) => Ok(done),
            (_, Some(raised)) => Err(raised.into()),
            (Err(error), None) => Err(error.into()),
        }
    }
}

/// A Python object with `write`.
struct PyFile {
    file: Py<PyAny>,
    raised: Option<PyErr>,
}

impl Write for PyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = Python::attach(|py| {
            let taken = self
                .file
                .call_method1(py, "write", (PyBytes::new(py, bytes),))?;
            // An unbuffered file may take a part; one that says nothing took all.
            Ok(taken
                .extract::<Option<usize>>(py)?
                .map_or(bytes.len(), |taken| taken.min(bytes.len())))
        });
        written.map_err(|raised: PyErr| {
            self.raised = Some(raised);
            io::Error::other("the file raised an exception")
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
