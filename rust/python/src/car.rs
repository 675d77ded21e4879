//! `export_car`, `export_scope`, `import_car`: threads or a whole scope into a CAR file, and what there is in one out of it.
//!
//! Promises: the work runs without the GIL, on a thread that asks the caller's to tell how far it is and to write to his file;
//! Ctrl-C, or an exception of his file or callback, ends the work and is raised as it is.
//! Never: a rule of what may be exported or imported.

use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use treering_actor::archive::{self, ImportOptions, ScopeExported, ScopeImported};
use treering_store::archive::ArchiveError;
use treering_store::scope::LandOptions;
use treering_thread::Threads;
use treering_thread::car::{CarError, Exported, OnConflict, Watcher, export, export_to};

use crate::cid::PyCid;
use crate::convert::Text;
use crate::error::{CoreError, Result};
use crate::hearing::{Asked, heard_asking};
use crate::stores::StoresCore;
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
    let threads = threads.threads();
    let exported = written(py, target, progress, |target, watcher| match target {
        Target::Path(path) => export_to(threads, ids.as_deref(), path, watcher),
        Target::Output(output) => export(threads, ids.as_deref(), output, watcher),
    })?;
    exported_object(py, exported)
}

/// Writes a whole scope to a path, or to an object with `write`.
#[pyfunction]
#[pyo3(signature = (stores, target, progress))]
pub fn export_scope<'py>(
    py: Python<'py>,
    stores: &StoresCore,
    target: &Bound<'py, PyAny>,
    progress: Option<Py<PyAny>>,
) -> Result<Bound<'py, PyDict>> {
    let stores = stores.stores();
    let store = Arc::clone(stores.reader().store());
    let exported = written(py, target, progress, |target, watcher| match target {
        Target::Path(path) => archive::export_scope_to(&*store, stores.scope(), path, watcher),
        Target::Output(output) => archive::export_scope(&*store, stores.scope(), output, watcher),
    })?;
    scope_object(py, exported)
}

/// Where an export goes.
enum Target<'t> {
    Path(&'t Path),
    Output(&'t mut dyn Write),
}

/// Writes to a path or to an object with `write`, without the GIL.
fn written<T: Send>(
    py: Python<'_>,
    target: &Bound<'_, PyAny>,
    progress: Option<Py<PyAny>>,
    write: impl FnOnce(Target<'_>, Watcher<'_>) -> std::result::Result<T, CarError> + Send,
) -> Result<T> {
    let path: Option<String> = match target.cast::<PyString>() {
        Ok(path) => Some(path.to_str()?.to_owned()),
        Err(_) => None,
    };
    let file = Arc::new(target.clone().unbind());
    let listener = Listener::new(progress);
    let written = heard_asking(py, |asked| {
        let watcher: Watcher<'_> = &mut |done, total| listener.tell(asked, done, total);
        match path {
            Some(path) => write(Target::Path(Path::new(&path)), watcher),
            None => {
                let mut output = BufWriter::with_capacity(BUFFER, PyFile { file, asked });
                let answer = write(Target::Output(&mut output), watcher).and_then(|exported| {
                    output.flush().map_err(ArchiveError::writing)?;
                    Ok(exported)
                });
                // What is left in the buffer is not to be written any more.
                drop(output.into_parts());
                answer
            }
        }
    })?;
    Ok(written?)
}

/// Makes what a CAR file holds.
#[pyfunction]
#[pyo3(signature = (stores, path, on_conflict, progress))]
pub fn import_car<'py>(
    py: Python<'py>,
    stores: &StoresCore,
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
    let listener = Listener::new(progress);
    let stores = stores.stores();
    let options = ImportOptions {
        on_conflict,
        durability: stores.durability(),
        land: LandOptions::default(),
    };
    let imported = heard_asking(py, |asked| {
        let here = stores.reader();
        let threads = Threads::new(
            Arc::clone(here.store()),
            stores.scope(),
            stores.durability(),
        )?;
        archive::import_any_from(
            &threads,
            &here,
            Path::new(&*path),
            &options,
            &mut |done, total| listener.tell(asked, done, total),
        )
    })?;
    imported_object(py, imported?)
}

fn exported_object(py: Python<'_>, exported: Exported) -> Result<Bound<'_, PyDict>> {
    let object = PyDict::new(py);
    object.set_item("root", PyCid::ours(exported.root))?;
    object.set_item("threads", exported.threads)?;
    for none in ["actors", "projections", "pins"] {
        object.set_item(none, 0)?;
    }
    object.set_item("receipts", exported.receipts)?;
    object.set_item("receipts_left", exported.receipts_left)?;
    object.set_item("blocks", exported.blocks)?;
    object.set_item("bytes", exported.bytes)?;
    Ok(object)
}

fn scope_object(py: Python<'_>, exported: ScopeExported) -> Result<Bound<'_, PyDict>> {
    let object = PyDict::new(py);
    object.set_item("root", PyCid::ours(exported.root))?;
    object.set_item("threads", exported.threads)?;
    object.set_item("actors", exported.actors)?;
    object.set_item("projections", exported.projections)?;
    object.set_item("pins", exported.pins)?;
    object.set_item("receipts", exported.receipts)?;
    object.set_item("receipts_left", exported.receipts_left)?;
    object.set_item("blocks", exported.blocks)?;
    object.set_item("bytes", exported.bytes)?;
    Ok(object)
}

fn imported_object(py: Python<'_>, did: ScopeImported) -> Result<Bound<'_, PyDict>> {
    let object = PyDict::new(py);
    let imported = did.all;
    object.set_item("advanced", did.advanced)?;
    object.set_item("actors", did.actors)?;
    object.set_item("projections", did.projections)?;
    object.set_item("pins", did.pins)?;
    object.set_item("others_there", did.others_there)?;
    object.set_item("pins_skipped", did.pins_skipped)?;
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

/// Who is told how far the work is: the caller's function, if there is one.
struct Listener(Option<Arc<Py<PyAny>>>);

impl Listener {
    fn new(callback: Option<Py<PyAny>>) -> Self {
        Self(callback.map(Arc::new))
    }

    fn tell(&self, asked: &Asked<'_>, done: u64, total: Option<u64>) -> ControlFlow<()> {
        let Some(callback) = self.0.clone() else {
            return ControlFlow::Continue(());
        };
        match asked.ask(move |py| callback.call1(py, (done, total)).map(drop)) {
            Some(()) => ControlFlow::Continue(()),
            None => ControlFlow::Break(()),
        }
    }
}

/// A Python object with `write`.
struct PyFile<'a> {
    file: Arc<Py<PyAny>>,
    asked: &'a Asked<'a>,
}

impl Write for PyFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (file, some) = (Arc::clone(&self.file), bytes.to_vec());
        let written = self.asked.ask(move |py| {
            let taken = file.call_method1(py, "write", (PyBytes::new(py, &some),))?;
            // An unbuffered file may take a part; one that says nothing took all.
            Ok(taken
                .extract::<Option<usize>>(py)?
                .map_or(some.len(), |taken| taken.min(some.len())))
        });
        written.ok_or_else(|| io::Error::other("the file raised an exception"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
