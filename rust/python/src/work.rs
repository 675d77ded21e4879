//! `Work`: something that takes long (a backup, a restore, a copy, a fork of a scope), on a thread of its own.
//!
//! Promises: that thread never attaches to Python, so it waits for nobody who waits for it (a fork holds
//! the GIL until it ends); waiting releases the GIL and honours signals every 50 ms; work that nobody waits
//! for any more is cancelled.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use treering_store::caller;
use treering_store::scope::Forked;
use treering_store::{BackupReport, CopyReport, Progress, StoreError};

use crate::convert::Count;
use crate::error::{CoreError, Result};
use crate::head;

/// How long a wait goes on before signals are looked at.
const SLICE: Duration = Duration::from_millis(50);

/// What the work came to.
pub enum Answer {
    Backup(BackupReport),
    Copy(CopyReport),
    /// Bytes that were fetched.
    Fetched(u64),
    Fork(Forked),
}

/// Work that goes on elsewhere.
#[pyclass(frozen, name = "Work", module = "treering._core")]
pub struct PyWork {
    progress: Arc<Progress>,
    answer: Mutex<Receiver<Result<Answer, StoreError>>>,
    pid: u32,
}

impl PyWork {
    /// Starts it.
    pub fn start(
        work: impl FnOnce(&Progress) -> Result<Answer, StoreError> + Send + 'static,
    ) -> Result<Self> {
        let progress = Arc::<Progress>::default();
        let (send, answer) = channel();
        let shared = Arc::clone(&progress);
        let watched = Arc::clone(&progress);
        // Nobody listens any more: then nobody wants it.
        let gave_up = caller::or_here(Arc::new(move || watched.is_cancelled()));
        std::thread::Builder::new()
            .name("treering-work".to_owned())
            .spawn(move || {
                let _ = send.send(caller::unless(gave_up, || work(&shared)));
            })
            .map_err(|error| CoreError::Python(error.into()))?;
        Ok(Self {
            progress,
            answer: Mutex::new(answer),
            pid: std::process::id(),
        })
    }
}

impl Drop for PyWork {
    fn drop(&mut self) {
        self.progress.cancel();
    }
}

#[pymethods]
impl PyWork {
    /// What it came to, given out once; None if it is not done within the time.
    #[pyo3(signature = (timeout_ms))]
    fn wait<'py>(&self, py: Python<'py>, timeout_ms: Count) -> Result<Option<Bound<'py, PyDict>>> {
        if self.pid != std::process::id() {
            return Err(StoreError::ForkedProcess.into());
        }
        let timeout = Duration::from_millis(timeout_ms.0).min(SLICE);
        let answered = py.detach(|| {
            let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
            answer.recv_timeout(timeout)
        });
        match answered {
            Ok(answer) => Ok(Some(report(py, &answer?)?)),
            Err(RecvTimeoutError::Timeout) => {
                py.check_signals()?;
                Ok(None)
            }
            Err(RecvTimeoutError::Disconnected) => Err(CoreError::Invalid {
                what: "Work",
                value: "done".to_owned(),
                rule: "its answer was given out before; it is given once",
            }),
        }
    }

    /// (stage, how much of it is done, of how much; 0: not known).
    fn progress(&self) -> (&'static str, u64, u64) {
        let (stage, done, total) = self.progress.now();
        (stage.name(), done, total)
    }

    /// Asks it to end soon; it is still to be waited for.
    fn cancel(&self) {
        self.progress.cancel();
    }
}

fn report<'py>(py: Python<'py>, answer: &Answer) -> PyResult<Bound<'py, PyDict>> {
    let object = PyDict::new(py);
    match answer {
        Answer::Backup(report) => {
            let BackupReport {
                incremental,
                head,
                commits,
                blocks,
                removed_blocks,
                files,
                copied_bytes,
                erased_scopes,
                checked_blocks,
                sent_bytes,
                objects_left,
                duration_ms,
            } = report;
            object.set_item("incremental", incremental)?;
            object.set_item("position", head.position)?;
            object.set_item("head", head::text(head))?;
            for (name, figure) in [
                ("commits", commits),
                ("blocks", blocks),
                ("removed_blocks", removed_blocks),
                ("files", files),
                ("copied_bytes", copied_bytes),
                ("erased_scopes", erased_scopes),
                ("checked_blocks", checked_blocks),
                ("sent_bytes", sent_bytes),
                ("objects_left", objects_left),
                ("duration_ms", duration_ms),
            ] {
                object.set_item(name, figure)?;
            }
        }
        Answer::Copy(report) => {
            let CopyReport {
                scopes,
                refs_new,
                refs_moved,
                refs_there,
                blocks,
                bytes,
                receipts_left,
            } = report;
            for (name, figure) in [
                ("scopes", scopes),
                ("refs_new", refs_new),
                ("refs_moved", refs_moved),
                ("refs_there", refs_there),
                ("blocks", blocks),
                ("bytes", bytes),
                ("receipts_left", receipts_left),
            ] {
                object.set_item(name, figure)?;
            }
        }
        Answer::Fetched(bytes) => object.set_item("bytes", bytes)?,
        Answer::Fork(forked) => {
            object.set_item("refs", forked.refs)?;
            object.set_item("position", forked.position)?;
            object.set_item("replayed", forked.replayed)?;
        }
    }
    Ok(object)
}
