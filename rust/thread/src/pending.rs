//! A commit on its way, and what it will answer.
//!
//! Sync callers `wait`. Async callers ask the ticket to call them, then `resolve`, which may say
//! [`Outcome::Again`]: the commit was planned anew on a record that somebody had changed meanwhile.
//! Dropping it changes nothing: the commit lands or not.

use std::time::{Duration, Instant};

use treering_store::{Committed, StoreError, Ticket};

use crate::error::ThreadError;

type Then<T, E> = Box<dyn FnOnce(Result<Committed, StoreError>) -> Outcome<T, E> + Send>;

/// What a commit came to.
pub enum Outcome<T, E = ThreadError> {
    /// The end.
    Done(Result<T, E>),
    /// It was submitted anew.
    Again(Pending<T, E>),
}

/// The answer to a change, when it comes.
#[must_use = "the change is on its way, but whether it failed is only known from its answer"]
pub struct Pending<T, E = ThreadError> {
    ticket: Ticket,
    then: Then<T, E>,
}

impl<T: Send + 'static, E: Send + 'static> Pending<T, E> {
    /// What waits for `ticket`, and makes of its answer what the caller wants to know.
    pub fn new(
        ticket: Ticket,
        then: impl FnOnce(Result<Committed, StoreError>) -> Outcome<T, E> + Send + 'static,
    ) -> Self {
        Self {
            ticket,
            then: Box::new(then),
        }
    }

    /// One that is answered already.
    pub fn done(answer: Result<T, E>) -> Self {
        Self::new(Ticket::answered(Ok(Committed::default())), |_| {
            Outcome::Done(answer)
        })
    }

    /// The commit that is waited for; `on_answer` of it tells when to call [`Pending::resolve`].
    pub fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// What the answered commit came to. Waits if it is not answered yet.
    pub fn resolve(self) -> Outcome<T, E> {
        let answer = self.ticket.wait();
        (self.then)(answer)
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// Those of the call that gave this.
    pub fn wait(self) -> Result<T, E> {
        let mut pending = self;
        loop {
            match pending.resolve() {
                Outcome::Done(result) => return result,
                Outcome::Again(next) => pending = next,
            }
        }
    }

    /// Waits at most so long; gives itself back if that was too short.
    ///
    /// # Errors
    /// `Err(self)` when time was up.
    pub fn wait_for(self, timeout: Duration) -> Result<Result<T, E>, Self> {
        let Some(until) = Instant::now().checked_add(timeout) else {
            return Ok(self.wait());
        };
        let mut pending = self;
        loop {
            if pending
                .ticket
                .wait_for(until.saturating_duration_since(Instant::now()))
                .is_none()
            {
                return Err(pending);
            }
            match pending.resolve() {
                Outcome::Done(result) => return Ok(result),
                Outcome::Again(next) => pending = next,
            }
        }
    }

    /// The same commit, its end put through `next`, which may go on.
    pub fn then<U: Send + 'static, F: Send + 'static>(
        self,
        next: impl FnOnce(Result<T, E>) -> Outcome<U, F> + Send + 'static,
    ) -> Pending<U, F> {
        let then = self.then;
        Pending::new(self.ticket, move |answer| match then(answer) {
            Outcome::Done(result) => next(result),
            Outcome::Again(again) => Outcome::Again(again.then(next)),
        })
    }

    /// The same commit, its answer put through `change`.
    pub fn map<U: Send + 'static>(
        self,
        change: impl FnOnce(T) -> Result<U, E> + Send + 'static,
    ) -> Pending<U, E> {
        self.then(|result| Outcome::Done(result.and_then(change)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_ever_is_waiting() {
        let pending = Pending::<_>::done(Ok(7)).wait_for(Duration::MAX);
        assert!(matches!(pending, Ok(Ok(7))));
    }
}
