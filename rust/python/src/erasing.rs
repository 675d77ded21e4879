//! Erasing a scope, the notes of that, and giving back what deletions left.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use treering_store::{
    EmbeddedStore, EraseOptions, ErasedFigures, Erasures, OpenOptions, Store, StoreError, Vacuumed,
    erased_since,
};

use crate::collect::interruptible;
use crate::convert::Text;
use crate::error::Result;
use crate::store::Core;

/// Erases a scope: what went, who holds what is left, the commit, its time, whether it was done before.
#[pyfunction]
#[pyo3(signature = (core, scope, command_id, dry_run, /))]
pub fn erase_scope<'py>(
    py: Python<'py>,
    core: &Core,
    scope: Text,
    command_id: Option<Text>,
    dry_run: bool,
) -> Result<Bound<'py, PyDict>> {
    let store = Arc::clone(core.store());
    let options = EraseOptions {
        command_id: command_id.map(|id| id.to_string()),
        dry_run,
        ..EraseOptions::default()
    };
    let erased = interruptible(py, move |_| store.erase(&scope, &options))?;
    let object = figures_object(py, &erased.figures)?;
    object.set_item("held_by", &erased.held_by)?;
    object.set_item("position", erased.position)?;
    object.set_item("at_ms", erased.at_ms)?;
    object.set_item("replayed", erased.replayed)?;
    Ok(object)
}

/// The notes of erasures, the oldest first; of a scope alone, if it is given.
#[pyfunction]
#[pyo3(signature = (core, scope, /))]
pub fn erasures<'py>(
    py: Python<'py>,
    core: &Core,
    scope: Option<Text>,
) -> Result<Bound<'py, PyList>> {
    let all = py.detach(|| core.store().erasures())?;
    let notes: Vec<_> = match &scope {
        Some(scope) => all.of(scope).copied().collect(),
        None => all.notes,
    };
    let objects = PyList::empty(py);
    for note in notes {
        let object = figures_object(py, &note.figures)?;
        object.set_item("id", note.id.to_string())?;
        object.set_item("position", note.position)?;
        object.set_item("at_ms", note.at_ms)?;
        object.set_item("scope", PyBytes::new(py, &note.scope))?;
        objects.append(object)?;
    }
    Ok(objects)
}

/// All notes, as the bytes of a file that a restore takes.
#[pyfunction]
#[pyo3(signature = (core, /))]
pub fn erasures_file<'py>(py: Python<'py>, core: &Core) -> Result<Bound<'py, PyBytes>> {
    let all = py.detach(|| core.store().erasures())?;
    Ok(PyBytes::new(py, &all.to_bytes()))
}

/// Gives back what deletions left: what was done, and what could not be.
#[pyfunction]
#[pyo3(signature = (core, /))]
pub fn vacuum<'py>(py: Python<'py>, core: &Core) -> Result<Bound<'py, PyDict>> {
    let store = Arc::clone(core.store());
    let done = interruptible(py, move |_| store.vacuum())?;
    let Vacuumed {
        freed_bytes,
        database_bytes,
        free_bytes,
        log_bytes,
        files_left,
        dead_blocks,
        unfinished_erases,
    } = done;
    let object = PyDict::new(py);
    for (name, figure) in [
        ("freed_bytes", freed_bytes),
        ("database_bytes", database_bytes),
        ("free_bytes", free_bytes),
        ("log_bytes", log_bytes),
        ("files_left", files_left),
        ("dead_blocks", dead_blocks),
        ("unfinished_erases", unfinished_erases),
    ] {
        object.set_item(name, figure)?;
    }
    object.set_item("complete", done.is_complete())?;
    Ok(object)
}

/// What a restore leaves out: by a store's directory or a file of its notes, else by the store that the backup is of.
///
/// # Errors
/// `Invalid` for what is neither, and where nobody says what was erased, unless the backup is wanted as it is.
pub fn erased(
    backup: &str,
    options: &OpenOptions,
    by: Option<&str>,
    as_it_is: bool,
) -> treering_store::Result<Option<Erasures>> {
    match by {
        Some(path) => read(path, options).map(Some),
        None if as_it_is => Ok(None),
        None => erased_since(backup, options)?.map(Some).ok_or_else(|| StoreError::Invalid {
            what: "restore of",
            value: backup.to_owned(),
            rule: "its store is not where it was, so nobody says which scopes were erased since; give erasures= (a \
                   store's directory, or a file of its notes), or as_it_is=True to have back what the backup has"
                .into(),
        }),
    }
}

fn read(path: &str, options: &OpenOptions) -> treering_store::Result<Erasures> {
    if std::path::Path::new(path).is_dir() {
        let options = OpenOptions {
            create: false,
            read_only: true,
            ..options.clone()
        };
        return EmbeddedStore::open(path, &options)?.erasures();
    }
    let refused = |rule: String| StoreError::Invalid {
        what: "notes of erasures",
        value: path.to_owned(),
        rule,
    };
    let bytes = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
    Erasures::from_bytes(&bytes)
        .ok_or_else(|| refused("it is no file of such notes, or not whole".into()))
}

fn figures_object<'py>(py: Python<'py>, figures: &ErasedFigures) -> PyResult<Bound<'py, PyDict>> {
    let ErasedFigures {
        refs,
        receipts,
        holds,
        leases,
        commits,
        blocks,
        held_blocks,
    } = figures;
    let object = PyDict::new(py);
    for (name, figure) in [
        ("refs", refs),
        ("receipts", receipts),
        ("holds", holds),
        ("leases", leases),
        ("commits", commits),
        ("blocks", blocks),
        ("held_blocks", held_blocks),
    ] {
        object.set_item(name, figure)?;
    }
    Ok(object)
}
