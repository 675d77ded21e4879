//! The answer to a submitted commit, when it comes. Sync callers wait on it, async callers are called.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::Duration;

use crate::caller;
use crate::commit::Committed;
use crate::error::Result;

type Callback = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    answer: Option<Result<Committed>>,
    callback: Option<Callback>,
    /// Somebody sleeps until the answer is there. Waking nobody would be a system call, too.
    waited_for: bool,
}

/// Somebody who can bring answers about on the thread of who waits for them.
pub(crate) trait Helper: Send + Sync {
    /// Does what can be done quickly, if anything; the answer may or may not be there then. Nothing is begun if the
    /// like of it took longer than `patience` the last time.
    fn help(&self, patience: Duration);
    /// Has somebody else do it.
    fn announce(&self);
}

struct Shared {
    state: Mutex<State>,
    ready: Condvar,
    helper: Option<Weak<dyn Helper>>,
}

/// After work that took longer, callers who wait leave it to others, since waiting can be interrupted.
pub(crate) const PATIENCE: Duration = Duration::from_millis(20);

/// A commit on its way. Dropping it changes nothing: the commit lands or not.
#[derive(Clone)]
pub struct Ticket(Arc<Shared>);

impl Default for Ticket {
    fn default() -> Self {
        Self::with_helper(None)
    }
}

impl Ticket {
    /// A ticket that nobody has answered yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that `helper` may be able to have answered.
    pub(crate) fn helped_by<H: Helper + 'static>(helper: Weak<H>) -> Self {
        Self::with_helper(Some(helper))
    }

    fn with_helper(helper: Option<Weak<dyn Helper>>) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            ready: Condvar::new(),
            helper,
        }))
    }

    /// One that is answered already.
    pub fn answered(answer: Result<Committed>) -> Self {
        let ticket = Self::new();
        ticket.answer(answer);
        ticket
    }

    /// Gives the answer: wakes who waits and calls who asked to be called. Only the first counts.
    pub fn answer(&self, answer: Result<Committed>) {
        let (callback, waited_for) = {
            let mut state = self.state();
            if state.answer.is_some() {
                return;
            }
            state.answer = Some(answer);
            (state.callback.take(), state.waited_for)
        };
        if waited_for {
            self.0.ready.notify_all();
        }
        // Whoever answers goes on: a caller's panic must not take a store's writer along.
        if let Some(callback) = callback
            && catch_unwind(AssertUnwindSafe(callback)).is_err()
        {
            tracing::error!("the callback of a ticket panicked");
        }
    }

    /// The answer, if it is there.
    pub fn poll(&self) -> Option<Result<Committed>> {
        self.state().answer.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0
            .state
            .lock()
            .unwrap_or_else(|broken| broken.into_inner())
    }

    /// Waits for the answer. The calling thread may commit what is queued meanwhile, others' commits too.
    ///
    /// Errors: the commit's; `Cancelled` where this thread works for a caller who has gone (see [`caller::unless`]): the
    /// commit lands or not.
    pub fn wait(&self) -> Result<Committed> {
        loop {
            if let Some(answer) = self.wait_for(caller::look_after()) {
                return answer;
            }
            caller::still_waits()?;
        }
    }

    /// Waits at most so long. A commit that the calling thread does itself is done to its end.
    pub fn wait_for(&self, timeout: Duration) -> Option<Result<Committed>> {
        if let Some(helper) = self.helper()
            && self.state().answer.is_none()
        {
            helper.help(PATIENCE);
        }
        let mut state = self.state();
        state.waited_for |= state.answer.is_none();
        let (state, _) = self
            .0
            .ready
            .wait_timeout_while(state, timeout, |state| state.answer.is_none())
            .unwrap_or_else(|broken| broken.into_inner());
        state.answer.clone()
    }

    /// Calls `callback` once the answer is there: now if it is, else from the thread that answers
    /// (so it must be short and must not block). Only one callback is kept.
    pub fn on_answer(&self, callback: impl FnOnce() + Send + 'static) {
        if !self.note(callback) {
            self.announce();
        }
    }

    /// The same, of who will call [`Ticket::help`] or [`Ticket::announce`] soon. Whether the answer is there.
    pub fn note(&self, callback: impl FnOnce() + Send + 'static) -> bool {
        {
            let mut state = self.state();
            if state.answer.is_none() {
                state.callback = Some(Box::new(callback));
                return false;
            }
        }
        callback();
        true
    }

    /// Commits what is queued on this thread, others' commits too, if it took no longer than `patience` the last time;
    /// else, and if somebody is at it already, others do.
    pub fn help(&self, patience: Duration) {
        if self.state().answer.is_some() {
            return;
        }
        if let Some(helper) = self.helper() {
            helper.help(patience);
        }
    }

    /// Lets the commit go on without anybody waiting for it. Needed where the store was told that callers
    /// wait; else every commit goes on by itself.
    pub fn announce(&self) {
        if let Some(helper) = self.helper() {
            helper.announce();
        }
    }

    fn helper(&self) -> Option<Arc<dyn Helper>> {
        self.0.helper.as_ref().and_then(Weak::upgrade)
    }
}
