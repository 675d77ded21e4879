//! `Pending`: a commit on its way, for callers that wait and for callers that are called.
//!
//! Promises: waiting releases the GIL and honours signals every 50 ms; an interrupted wait undoes
//! nothing and can be repeated; the answer is given out once; dropped, the commit goes on.
//! Never: a callback runs Python on the thread that answers (that is the notifier's).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use treering_store::{Committed, Landing, StoreError, Ticket};
use treering_thread::{Outcome, Pending, ThreadError};

use crate::error::{CoreError, Result};
use crate::notifier;

/// How long a wait goes on before signals are looked at.
const SLICE: Duration = Duration::from_millis(50);

/// What an answer becomes in Python.
pub type Shape<T> = Box<dyn FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send>;

/// A commit whose answer has some type, and how that becomes an object.
trait Awaited: Send {
    fn ticket(&self) -> Ticket;
    /// Waits for the answer if it is not there; called without the GIL.
    fn settle(self: Box<Self>) -> Settled;
}

/// Makes the object, or raises, once the GIL is held again.
type Finish = Box<dyn FnOnce(Python<'_>) -> Result<Py<PyAny>> + Send>;

enum Settled {
    Done(Finish),
    Again(Box<dyn Awaited>),
}

enum Answered {
    Done(Finish),
    Again(Slot),
}

struct Planned<T, E> {
    pending: Pending<T, E>,
    shape: Shape<T>,
}

impl<T: Send + 'static, E: Into<CoreError> + Send + 'static> Awaited for Planned<T, E> {
    fn ticket(&self) -> Ticket {
        self.pending.ticket().clone()
    }

    fn settle(self: Box<Self>) -> Settled {
        let Self { pending, shape } = *self;
        match pending.resolve() {
            Outcome::Done(answer) => Settled::Done(Box::new(move |py| {
                Ok(shape(py, answer.map_err(Into::into)?)?)
            })),
            Outcome::Again(pending) => Settled::Again(Box::new(Self { pending, shape })),
        }
    }
}

struct OfStore {
    ticket: Ticket,
    shape: Shape<Committed>,
}

impl Awaited for OfStore {
    fn ticket(&self) -> Ticket {
        self.ticket.clone()
    }

    fn settle(self: Box<Self>) -> Settled {
        let Self { ticket, shape } = *self;
        let answer: std::result::Result<Committed, StoreError> = ticket.wait();
        Settled::Done(Box::new(move |py| Ok(shape(py, answer?)?)))
    }
}

/// A commit on its way; dropping it changes nothing: the commit lands or not.
#[pyclass(frozen, generic, name = "Pending", module = "treering._core")]
pub struct PyPending(Mutex<Option<Slot>>);

/// What is awaited, and what is to be told once it has landed.
struct Slot {
    awaited: Box<dyn Awaited>,
    landing: Option<Landing>,
}

impl PyPending {
    /// A change of a thread or an actor.
    pub fn of<T: Send + 'static, E: Into<CoreError> + Send + 'static>(
        pending: Pending<T, E>,
        shape: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> Self {
        Self::new(Planned {
            pending,
            shape: Box::new(shape),
        })
    }

    /// A change without an answer of its own.
    pub fn of_nothing(pending: Pending<()>) -> Self {
        Self::of(pending, |py, ()| Ok(py.None()))
    }

    /// A commit that was submitted to the store itself.
    pub fn of_store(
        ticket: Ticket,
        shape: impl FnOnce(Python<'_>, Committed) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> Self {
        Self::new(OfStore {
            ticket,
            shape: Box::new(shape),
        })
    }

    fn new(awaited: impl Awaited + 'static) -> Self {
        Self(Mutex::new(Some(Slot {
            awaited: Box::new(awaited),
            landing: None,
        })))
    }

    /// The same, of a commit that brings collections along.
    pub fn carrying(self, landing: Landing) -> Self {
        if let Some(slot) = &mut *self.slot() {
            slot.landing = Some(landing);
        }
        self
    }

    fn slot(&self) -> MutexGuard<'_, Option<Slot>> {
        // Held for a move only, so a panic can not have left it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ticket(&self) -> Result<Ticket> {
        self.slot()
            .as_ref()
            .map(|slot| slot.awaited.ticket())
            .ok_or_else(given_out)
    }

    /// The answer, or what to wait for instead.
    fn settle(&self, py: Python<'_>) -> Result<Answered> {
        let Slot { awaited, landing } = self.slot().take().ok_or_else(given_out)?;
        Ok(py.detach(|| match awaited.settle() {
            Settled::Again(awaited) => Answered::Again(Slot { awaited, landing }),
            Settled::Done(finish) => {
                // It asks the store itself, so it need not know how this ended.
                if let Some(landing) = landing {
                    landing.landed();
                }
                Answered::Done(finish)
            }
        }))
    }
}

#[pymethods]
impl PyPending {
    /// Waits for the answer and returns it, or raises what the commit failed with.
    fn wait(&self, py: Python<'_>) -> Result<Py<PyAny>> {
        loop {
            let ticket = self.ticket()?;
            while !py.detach(|| ticket.wait_for(SLICE).is_some()) {
                py.check_signals()?;
            }
            match self.settle(py)? {
                Answered::Done(finish) => return finish(py),
                Answered::Again(next) => *self.slot() = Some(next),
            }
        }
    }

    /// Sets the result of `future` to None, in `loop`, which runs on this thread, once the answer is there.
    #[pyo3(signature = (r#loop, future, /))]
    fn notify(&self, py: Python<'_>, r#loop: Py<PyAny>, future: Py<PyAny>) -> Result<()> {
        notifier::notify(py, &self.ticket()?, r#loop, future)
    }

    /// The answer, once it is there: (True, answer), or (False, what to wait for instead).
    fn resolve(&self, py: Python<'_>) -> Result<(bool, Py<PyAny>)> {
        match self.settle(py)? {
            Answered::Done(finish) => Ok((true, finish(py)?)),
            Answered::Again(next) => {
                let again = Py::new(py, Self(Mutex::new(Some(next))))?;
                Ok((false, again.into_any()))
            }
        }
    }
}

impl Drop for PyPending {
    /// Nobody waits for it any more: an interrupted caller, say. It goes on all the same.
    fn drop(&mut self) {
        if let Some(slot) = &*self.slot() {
            slot.awaited.ticket().announce();
        }
    }
}

fn given_out() -> CoreError {
    CoreError::Thread(ThreadError::Invalid {
        field: "Pending",
        value: "answered".to_owned(),
        rule: "its answer was given out before; it is given once".to_owned(),
    })
}
