//! Collecting garbage for a caller who may press Ctrl-C, and holds.
//!
//! Promises: waiting releases the GIL and honours signals every 50 ms; an interrupted collection stops after
//! the step that it is at and leaves a whole store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use treering_store::caller;
use treering_store::gc::Phase;
use treering_store::{GcOptions, GcReport, Store, StoreError};

use crate::error::Result;

/// How long a wait goes on before signals are looked at.
const SLICE: Duration = Duration::from_millis(50);

/// Runs `work`, which may wait for other processes, on a thread of its own; an interrupted caller leaves it
/// behind, told so by the flag.
pub fn interruptible<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce(&AtomicBool) -> treering_store::Result<T> + Send + 'static,
) -> Result<T> {
    let (sender, mut receiver) = sync_channel(1);
    let left = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&left);
    let asked = Arc::clone(&left);
    let gave_up = caller::or_here(Arc::new(move || asked.load(Relaxed)));
    let started = std::thread::Builder::new()
        .name("treering-call".into())
        .spawn(move || {
            // A caller that was interrupted wants no answer.
            drop(sender.send(caller::unless(gave_up, || work(&flag))));
        });
    started.map_err(PyErr::from)?;
    loop {
        let answer = &mut receiver;
        match py.detach(move || answer.recv_timeout(SLICE)) {
            Ok(answer) => return Ok(answer?),
            Err(RecvTimeoutError::Timeout) => {
                if let Err(interrupted) = py.check_signals() {
                    left.store(true, Relaxed);
                    return Err(interrupted.into());
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                let why = "the thread of the call stopped".into();
                return Err(StoreError::CommitUnknown { why }.into());
            }
        }
    }
}

/// A collection to its end.
pub fn collect(py: Python<'_>, store: &Arc<dyn Store>, dry_run: bool) -> Result<GcReport> {
    let store = Arc::clone(store);
    interruptible(py, move |left| {
        let mut collection = store.collection(&GcOptions { dry_run })?;
        while collection.phase() != Phase::Done && !left.load(Relaxed) {
            collection.step()?;
        }
        Ok(collection.report())
    })
}

/// The report by name.
pub fn report_object<'py>(py: Python<'py>, report: &GcReport) -> PyResult<Bound<'py, PyDict>> {
    let GcReport {
        roots,
        held,
        reachable,
        dead,
        dead_nodes,
        dead_links,
        dead_bytes,
        deleted,
        freed_bytes,
        generation,
        duration_ms,
        kept_files,
        kept_because,
        dry_run,
    } = report;
    let object = PyDict::new(py);
    object.set_item("dry_run", dry_run)?;
    for (name, figure) in [
        ("roots", roots),
        ("held", held),
        ("reachable", reachable),
        ("dead", dead),
        ("dead_nodes", dead_nodes),
        ("dead_links", dead_links),
        ("dead_bytes", dead_bytes),
        ("deleted", deleted),
        ("freed_bytes", freed_bytes),
        ("generation", generation),
        ("duration_ms", duration_ms),
        ("kept_files", kept_files),
    ] {
        object.set_item(name, figure)?;
    }
    object.set_item("kept_because", kept_because)?;
    Ok(object)
}
