//! Tells event loops that commits are answered: one thread a process, one call a loop for all that
//! was answered meanwhile.
//!
//! Promises: the thread that answers only pushes to a queue, it never waits for the GIL; a future
//! that is done or cancelled is left alone; a closed loop is ignored. A child of fork() starts a
//! thread of its own when it first needs one.
//! Never: the lock below is taken without the GIL, so no fork can catch it taken.

use std::process;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyList;

use crate::error::{CoreError, Result};

/// A future to complete, and the loop that it belongs to.
struct Delivery {
    event_loop: Py<PyAny>,
    future: Py<PyAny>,
}

struct Notifier {
    pid: u32,
    queue: Sender<Delivery>,
}

static NOTIFIER: Mutex<Option<Notifier>> = Mutex::new(None);

/// What to call, from any thread, to have `future` completed in its loop.
pub fn deliver(
    _attached: Python<'_>,
    event_loop: Py<PyAny>,
    future: Py<PyAny>,
) -> Result<impl FnOnce() + Send + 'static> {
    let queue = queue()?;
    Ok(move || {
        // The other end is gone when the interpreter is: then nobody waits.
        let _ = queue.send(Delivery { event_loop, future });
    })
}

fn queue() -> Result<Sender<Delivery>> {
    let mut current = NOTIFIER.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = process::id();
    if let Some(notifier) = current.as_ref().filter(|notifier| notifier.pid == pid) {
        return Ok(notifier.queue.clone());
    }
    let (queue, deliveries) = channel();
    std::thread::Builder::new()
        .name("treering-notify".to_owned())
        .spawn(move || run(&deliveries))
        .map_err(|error| CoreError::Python(error.into()))?;
    // A parent's queue is forgotten, not dropped: its thread may have been inside when we forked.
    std::mem::forget(current.replace(Notifier {
        pid,
        queue: queue.clone(),
    }));
    Ok(queue)
}

fn run(deliveries: &Receiver<Delivery>) {
    while let Ok(first) = deliveries.recv() {
        let delivered = Python::try_attach(|py| {
            // Whatever came while we waited for the GIL goes with it.
            let mut batches: Vec<(Py<PyAny>, Vec<Py<PyAny>>)> = Vec::new();
            for Delivery { event_loop, future } in
                std::iter::once(first).chain(deliveries.try_iter())
            {
                match batches.iter_mut().find(|(known, _)| known.is(&event_loop)) {
                    Some((_, futures)) => futures.push(future),
                    None => batches.push((event_loop, vec![future])),
                }
            }
            for (event_loop, futures) in batches {
                let event_loop = event_loop.into_bound(py);
                if let Err(error) = tell(&event_loop, futures) {
                    error.write_unraisable(py, Some(&event_loop));
                }
            }
        });
        // The interpreter is shutting down.
        if delivered.is_none() {
            return;
        }
    }
}

fn tell(event_loop: &Bound<'_, PyAny>, futures: Vec<Py<PyAny>>) -> PyResult<()> {
    static COMPLETE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = event_loop.py();
    let complete = COMPLETE.get_or_try_init(py, || {
        Ok::<_, PyErr>(wrap_pyfunction!(complete_futures, py)?.into_any().unbind())
    })?;
    let told = event_loop.call_method1(
        "call_soon_threadsafe",
        (complete, PyList::new(py, futures)?),
    );
    match told {
        Err(_) if event_loop.call_method0("is_closed")?.is_truthy()? => Ok(()),
        told => told.map(drop),
    }
}

/// Completes the futures that are not done; called by their loop.
#[pyfunction]
fn complete_futures(futures: &Bound<'_, PyList>) -> PyResult<()> {
    for future in futures {
        if !future.call_method0("done")?.is_truthy()? {
            future.call_method1("set_result", (future.py().None(),))?;
        }
    }
    Ok(())
}
