//! Tells event loops that commits are answered: one thread a process, one call a loop for all that
//! was answered meanwhile.
//!
//! Promises: the thread that answers only pushes to a queue, it never waits for the GIL; a future
//! that is done or cancelled is left alone; a closed loop is ignored. A child of fork() starts a
//! thread of its own when it first needs one.
//! Never: the lock below is taken without the GIL, so no fork can catch it taken.

use std::cell::RefCell;
use std::process;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyList;
use treering_store::Ticket;

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

thread_local! {
    /// Deliveries of commits that this thread does itself, for the loop that runs on it.
    static OWN: RefCell<Option<Own>> = const { RefCell::new(None) };
    /// What the loop of this thread commits once all that is ready has run.
    static SOON: RefCell<Option<Soon>> = const { RefCell::new(None) };
}

/// What a loop completes itself, at the end of a commit that it does.
struct Own {
    /// Which loop: others' futures are not for this thread.
    event_loop: *const pyo3::ffi::PyObject,
    deliveries: Vec<Delivery>,
}

/// Commits that a loop will do.
struct Soon {
    event_loop: Py<PyAny>,
    tickets: Vec<Ticket>,
}

/// A loop blocks for a commit if the last one took no longer; else another thread does it.
const PATIENCE: Duration = Duration::from_millis(2);

/// Has `future` completed in its loop, which runs on this thread, once the ticket is answered. Whoever is ready to run
/// on the loop runs first, so that what is queued by many tasks is one commit; that commit the loop does itself.
pub fn notify(
    py: Python<'_>,
    ticket: &Ticket,
    event_loop: Py<PyAny>,
    future: Py<PyAny>,
) -> Result<()> {
    let deliver = deliver(py, event_loop.clone_ref(py), future)?;
    if ticket.note(deliver) {
        return Ok(());
    }
    let before = SOON.with_borrow_mut(|soon| match soon {
        Some(soon) if soon.event_loop.is(&event_loop) => {
            soon.tickets.push(ticket.clone());
            None
        }
        _ => Some(soon.replace(Soon {
            event_loop: event_loop.clone_ref(py),
            tickets: vec![ticket.clone()],
        })),
    });
    let Some(before) = before else {
        return Ok(());
    };
    // Of a loop that was closed before it came to it.
    for ticket in before.into_iter().flat_map(|soon| soon.tickets) {
        ticket.announce();
    }
    static COMMIT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let commit = COMMIT.get_or_try_init(py, || {
        Ok::<_, PyErr>(wrap_pyfunction!(commit_soon, py)?.into_any().unbind())
    })?;
    event_loop.call_method1(py, "call_soon", (commit,))?;
    Ok(())
}

/// Commits what the tasks of this thread's loop have queued; called by the loop.
#[pyfunction]
fn commit_soon(py: Python<'_>) -> PyResult<()> {
    let Some(Soon {
        event_loop,
        tickets,
    }) = SOON.with_borrow_mut(Option::take)
    else {
        return Ok(());
    };
    let own = Collecting::begin(&event_loop);
    py.detach(|| {
        for ticket in &tickets {
            ticket.help(PATIENCE);
        }
    });
    let done = own.end();
    done.iter()
        .try_for_each(|delivery| complete(delivery.future.bind(py)))
}

/// As long as it lives, this thread's deliveries to its own loop are collected.
struct Collecting;

impl Collecting {
    fn begin(event_loop: &Py<PyAny>) -> Self {
        OWN.set(Some(Own {
            event_loop: event_loop.as_ptr(),
            deliveries: Vec::new(),
        }));
        Self
    }

    fn end(self) -> Vec<Delivery> {
        OWN.take().map_or_else(Vec::new, |own| own.deliveries)
    }
}

impl Drop for Collecting {
    /// After a panic: the futures that are to be completed still are, by the other thread.
    fn drop(&mut self) {
        let left = OWN.take().map_or_else(Vec::new, |own| own.deliveries);
        if !left.is_empty()
            && let Ok(queue) = queue()
        {
            left.into_iter()
                .for_each(|delivery| drop(queue.send(delivery)));
        }
    }
}

/// What to call, from any thread, to have `future` completed in its loop.
pub fn deliver(
    _attached: Python<'_>,
    event_loop: Py<PyAny>,
    future: Py<PyAny>,
) -> Result<impl FnOnce() + Send + 'static> {
    let queue = queue()?;
    Ok(move || {
        let mut delivery = Some(Delivery { event_loop, future });
        OWN.with_borrow_mut(|own| {
            if let (Some(own), Some(of)) = (own, &delivery)
                && of.event_loop.as_ptr().cast_const() == own.event_loop
            {
                own.deliveries.extend(delivery.take());
            }
        });
        if let Some(delivery) = delivery {
            // The other end is gone when the interpreter is: then nobody waits.
            let _ = queue.send(delivery);
        }
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
    futures.iter().try_for_each(|future| complete(&future))
}

fn complete(future: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = future.py();
    if !future.call_method0(intern!(py, "done"))?.is_truthy()? {
        future.call_method1(intern!(py, "set_result"), (py.None(),))?;
    }
    Ok(())
}
