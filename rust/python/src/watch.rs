//! `Watch`: waiting for commits of any process, for callers that wait and for callers that are called.
//!
//! Promises: a commit after the last wait ended is not missed; nothing wakes while nothing happens; waiting
//! releases the GIL, and a signal ends it at once, so that Ctrl-C gets through.
//! Never: Python runs on the thread that rings (that is the notifier's).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use treering_store::{Listening, Store, StoreError};

use crate::error::Result;
use crate::notifier;

type Call = Box<dyn FnOnce() + Send>;

/// What the store's ring sets off.
#[derive(Default)]
struct Alarm(Mutex<State>);

#[derive(Default)]
struct State {
    /// It rang, and nobody was called for it yet.
    rung: bool,
    call: Option<Call>,
}

impl Alarm {
    fn state(&self) -> MutexGuard<'_, State> {
        // Held for a move only.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        let mut state = self.state();
        let call = state.call.take();
        state.rung = call.is_none();
        drop(state);
        if let Some(call) = call {
            call();
        }
    }

    /// Has `call` called with the next ring: now, if it rang since the last time. Only one is kept.
    fn on_ring(&self, call: Call) {
        let mut state = self.state();
        if std::mem::take(&mut state.rung) {
            drop(state);
            call();
        } else {
            let before = state.call.replace(call);
            drop(state);
            drop(before);
        }
    }
}

/// One watcher of a store.
#[pyclass(frozen, name = "Watch", module = "treering._core")]
pub struct PyWatch {
    alarm: Arc<Alarm>,
    _listening: Listening,
}

impl PyWatch {
    pub fn on(store: &dyn Store) -> std::result::Result<Self, StoreError> {
        let alarm = Arc::<Alarm>::default();
        let ringing = Arc::clone(&alarm);
        let listening = store.listen(Arc::new(move || ringing.ring()))?;
        Ok(Self {
            alarm,
            _listening: listening,
        })
    }
}

#[pymethods]
impl PyWatch {
    /// Waits until the journal may have grown, or the store was closed, since it last returned.
    fn wait(&self, py: Python<'_>) -> Result<()> {
        let mut rest = Rest::begin(&self.alarm)?;
        while !py.detach(|| rest.ended())? {
            py.check_signals()?;
        }
        Ok(())
    }

    /// Sets the result of `future` to None, in `loop`, once that is so.
    #[pyo3(signature = (r#loop, future, /))]
    fn notify(&self, py: Python<'_>, r#loop: Py<PyAny>, future: Py<PyAny>) -> Result<()> {
        self.alarm
            .on_ring(Box::new(notifier::deliver(py, r#loop, future)?));
        Ok(())
    }
}

/// A wait that a signal interrupts. Python's handler only notes the signal, on whatever thread it comes;
/// the system gives it to the main thread, whose poll(2) it ends. One that comes between a look at the
/// signals and the poll is acted upon at the next ring: Python's own waits have the same gap.
#[cfg(unix)]
struct Rest(std::io::PipeReader);

#[cfg(unix)]
impl Rest {
    fn begin(alarm: &Alarm) -> PyResult<Self> {
        let (reader, mut writer) = std::io::pipe()?;
        alarm.on_ring(Box::new(move || {
            // Who rings closes the pipe by that, too: either ends the poll.
            let _ = std::io::Write::write(&mut writer, &[1]);
        }));
        Ok(Self(reader))
    }

    /// False: look at the signals, then go on.
    fn ended(&mut self) -> PyResult<bool> {
        use rustix::event::{PollFd, PollFlags, poll};
        let mut pipe = [PollFd::new(&self.0, PollFlags::IN)];
        match poll(&mut pipe, None) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(std::io::Error::from(error).into()),
        }
    }
}

/// Elsewhere nothing interrupts a wait, so that it ends every 50 ms.
#[cfg(not(unix))]
struct Rest(std::sync::mpsc::Receiver<()>);

#[cfg(not(unix))]
impl Rest {
    fn begin(alarm: &Alarm) -> PyResult<Self> {
        let (sender, receiver) = std::sync::mpsc::channel();
        alarm.on_ring(Box::new(move || {
            // Who stopped waiting wants no answer.
            let _ = sender.send(());
        }));
        Ok(Self(receiver))
    }

    fn ended(&mut self) -> PyResult<bool> {
        use std::sync::mpsc::RecvTimeoutError::Timeout;
        let waited = self.0.recv_timeout(std::time::Duration::from_millis(50));
        Ok(waited != Err(Timeout))
    }
}
