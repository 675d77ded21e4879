//! Removes objects that turned out not to be needed, from a thread of its own: who finds that out may have the write lock, or
//! others waiting behind him.
//!
//! The thread lives as long as there is something to remove. Promises: closing waits until what is under way is removed,
//! the first removal failed, or two seconds are over: whoever closes a store does not wait for a server that is away. What is
//! left, no row names and nobody holds: it goes with a collection. From before the first try nobody goes on with the
//! object: one that failed may happen later.

use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::note::Note;
use super::{Objects, locked};
use crate::caller;

/// How long a closing store waits for the bucket.
const CLOSING_WAIT: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Removal {
    state: Mutex<State>,
    /// Since when the store is about to be closed.
    closing: Arc<OnceLock<Instant>>,
}

#[derive(Default)]
struct State {
    /// Each with the note that holds it until it is gone.
    queue: Vec<(String, Option<Note>)>,
    works: bool,
    thread: Option<JoinHandle<()>>,
}

impl Objects {
    /// Removes an object that no row names. Returns at once.
    pub(in crate::embedded) fn remove_later(self: &Arc<Self>, name: &str) {
        let note = locked(&self.held).remove(name);
        let mut state = locked(&self.removal.state);
        state.queue.push((name.to_owned(), note));
        if state.works {
            return;
        }
        let objects = Arc::clone(self);
        let started = std::thread::Builder::new()
            .name("treering-objects".into())
            .spawn(move || objects.unless_closing(|| objects.remove_queued()));
        match started {
            Ok(thread) => {
                state.works = true;
                // The one before has ended, or is about to.
                state.thread = Some(thread);
            }
            Err(error) => {
                tracing::warn!(%error, object = name, "an object without a row stays until a collection");
                state.queue.clear();
            }
        }
    }

    fn remove_queued(&self) {
        loop {
            let next = {
                let mut state = locked(&self.removal.state);
                match state.queue.pop() {
                    Some(next) => next,
                    None => {
                        state.works = false;
                        return;
                    }
                }
            };
            let (name, note) = next;
            let removed = match self.release(&name, note) {
                Ok(true) => self
                    .forget_released()
                    .and_then(|()| self.bucket.remove(&name)),
                Ok(false) => Ok(()),
                Err(error) => Err(error),
            };
            match removed {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(%error, object = name, "an object without a row stays until a collection");
                    if self.is_closing() {
                        locked(&self.removal.state).queue.clear();
                    }
                }
            }
        }
    }

    /// The store is about to be closed: a collection leaves the rest to the next one.
    pub(in crate::embedded) fn begin_closing(&self) {
        self.removal.closing.get_or_init(Instant::now);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.removal.closing.get().is_some()
    }

    /// Runs what nobody waits for, or only who closes the store: of requests it has no more once that took too long.
    pub(super) fn unless_closing<T>(&self, work: impl FnOnce() -> T) -> T {
        let closing = Arc::clone(&self.removal.closing);
        let is_over = move || {
            closing
                .get()
                .is_some_and(|since| since.elapsed() > CLOSING_WAIT)
        };
        caller::unless(Arc::new(is_over), work)
    }

    /// Waits for removals that are under way.
    pub(in crate::embedded) fn close(&self) {
        self.begin_closing();
        let thread = locked(&self.removal.state).thread.take();
        if let Some(thread) = thread {
            drop(thread.join());
        }
    }
}
