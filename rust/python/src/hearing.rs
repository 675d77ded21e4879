//! Calls that may wait long, for a caller who may press Ctrl-C.
//!
//! Promises: such a call runs on a thread of its own, which never attaches to Python: a fork that holds the GIL waits for no
//! lock that this thread has. The caller's waits without the GIL, looks at signals each 50 ms, and runs what the other asks of
//! Python, an exception of which counts as a signal.
//! Never: it goes on behind. What was raised is raised when the work has ended, soon: it is told (`treering_store::caller`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use treering_store::caller;

/// How long a wait goes on before signals are looked at.
const SLICE: Duration = Duration::from_millis(50);

/// What is to be done with the GIL.
type Question = Box<dyn FnOnce(Python<'_>) -> PyResult<()> + Send>;

enum Said<T> {
    Question(Question),
    Answer(T),
}

/// The caller's thread, as the work sees it.
pub struct Asked<'a>(&'a dyn Fn(Question) -> bool);

impl Asked<'_> {
    /// What `question` gives, which runs on the caller's thread. None: it raised, or he listens to nothing any more.
    pub fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(Python<'_>) -> PyResult<R> + Send + 'static,
    ) -> Option<R> {
        let (sender, answer) = sync_channel(1);
        let asked = (self.0)(Box::new(move |py| {
            drop(sender.send(question(py)?));
            Ok(())
        }));
        if asked { answer.recv().ok() } else { None }
    }
}

/// Runs `work`, which asks nothing of Python.
pub fn heard<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    heard_asking(py, |_| work())
}

/// Runs `work`, which may ask the caller's thread.
pub fn heard_asking<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&Asked<'_>) -> T + Send,
) -> PyResult<T> {
    let left = Arc::new(AtomicBool::new(false));
    let gone = Arc::clone(&left);
    let gave_up = caller::or_here(Arc::new(move || gone.load(Relaxed)));
    let (sender, mut receiver) = sync_channel(1);
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("treering-call".into())
            .spawn_scoped(scope, move || {
                let questions: SyncSender<Said<T>> = sender.clone();
                let ask = move |question| questions.send(Said::Question(question)).is_ok();
                let answer = caller::unless(gave_up, || work(&Asked(&ask)));
                // The caller listens until it is there.
                drop(sender.send(Said::Answer(answer)));
            })?;
        let mut raised = None;
        loop {
            let said = &mut receiver;
            let looked = match py.detach(move || said.recv_timeout(SLICE)) {
                Ok(Said::Answer(answer)) => return raised.map_or(Ok(answer), Err),
                // Who asks is told by its end that nobody listens.
                Ok(Said::Question(_)) if raised.is_some() => Ok(()),
                Ok(Said::Question(question)) => py.check_signals().and_then(|()| question(py)),
                Err(RecvTimeoutError::Timeout) if raised.is_some() => Ok(()),
                Err(RecvTimeoutError::Timeout) => py.check_signals(),
                Err(RecvTimeoutError::Disconnected) => {
                    let stopped = || PyRuntimeError::new_err("the thread of the call stopped");
                    return Err(raised.unwrap_or_else(stopped));
                }
            };
            if let Err(error) = looked {
                left.store(true, Relaxed);
                raised = Some(error);
            }
        }
    })
}
