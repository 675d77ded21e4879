//! The answer to a submitted commit, when it comes. Sync callers wait on it, async callers are called.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::commit::Committed;
use crate::error::Result;

type Callback = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    answer: Option<Result<Committed>>,
    callback: Option<Callback>,
}

/// A commit on its way. Dropping it changes nothing: the commit lands or not.
#[derive(Clone, Default)]
pub struct Ticket(Arc<(Mutex<State>, Condvar)>);

impl Ticket {
    /// A ticket that nobody has answered yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that is answered already.
    pub fn answered(answer: Result<Committed>) -> Self {
        let ticket = Self::new();
        ticket.answer(answer);
        ticket
    }

    /// Gives the answer: wakes who waits and calls who asked to be called. Only the first counts.
    pub fn answer(&self, answer: Result<Committed>) {
        let (lock, ready) = &*self.0;
        let callback = {
            let mut state = lock.lock().unwrap_or_else(|broken| broken.into_inner());
            if state.answer.is_some() {
                return;
            }
            state.answer = Some(answer);
            state.callback.take()
        };
        ready.notify_all();
        // Whoever answers goes on: a caller's panic must not take a store's writer along.
        if let Some(callback) = callback
            && catch_unwind(AssertUnwindSafe(callback)).is_err()
        {
            tracing::error!("the callback of a ticket panicked");
        }
    }

    /// The answer, if it is there.
    pub fn poll(&self) -> Option<Result<Committed>> {
        let (lock, _) = &*self.0;
        lock.lock()
            .unwrap_or_else(|broken| broken.into_inner())
            .answer
            .clone()
    }

    /// Waits for the answer.
    pub fn wait(&self) -> Result<Committed> {
        loop {
            if let Some(answer) = self.wait_for(Duration::from_secs(3600)) {
                return answer;
            }
        }
    }

    /// Waits at most so long.
    pub fn wait_for(&self, timeout: Duration) -> Option<Result<Committed>> {
        let (lock, ready) = &*self.0;
        let state = lock.lock().unwrap_or_else(|broken| broken.into_inner());
        let (state, _) = ready
            .wait_timeout_while(state, timeout, |state| state.answer.is_none())
            .unwrap_or_else(|broken| broken.into_inner());
        state.answer.clone()
    }

    /// Calls `callback` once the answer is there: now if it is, else from the thread that answers
    /// (so it must be short and must not block). Only one callback is kept.
    pub fn on_answer(&self, callback: impl FnOnce() + Send + 'static) {
        let (lock, _) = &*self.0;
        {
            let mut state = lock.lock().unwrap_or_else(|broken| broken.into_inner());
            if state.answer.is_none() {
                state.callback = Some(Box::new(callback));
                return;
            }
        }
        callback();
    }
}
