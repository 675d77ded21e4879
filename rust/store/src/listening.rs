//! Who is called when the journal may have grown, instead of waiting on a thread of his own.
//!
//! Promises: a listener that is dropped is not called afterwards; a commit between two looks of a listener
//! is never missed; one that panics takes nobody along.
//! Never: a listener is called under a lock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Called from the store's own threads: short, it never waits and never calls the store.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Somebody listens. Dropping it ends that.
pub struct Listening(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Listening {
    /// `end` is run when it is dropped.
    pub fn new(end: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(end)))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

/// Those who listen.
#[derive(Default)]
pub(crate) struct Listeners(Mutex<Known>);

#[derive(Default)]
struct Known {
    next: u64,
    wakes: Vec<(u64, Wake)>,
}

impl Listeners {
    fn lock(&self) -> MutexGuard<'_, Known> {
        // Held for a push or a removal, which leave it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more; what to remove it by.
    pub(crate) fn add(&self, wake: Wake) -> u64 {
        let mut known = self.lock();
        known.next = known.next.saturating_add(1);
        let id = known.next;
        known.wakes.push((id, wake));
        id
    }

    pub(crate) fn remove(&self, id: u64) {
        let mut known = self.lock();
        let at = known.wakes.iter().position(|(known, _)| *known == id);
        let removed = at.map(|at| known.wakes.swap_remove(at));
        drop(known);
        // What it holds may itself listen: dropped outside.
        drop(removed);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().wakes.is_empty()
    }

    pub(crate) fn wake_all(&self) {
        let wakes: Vec<Wake> = {
            let known = self.lock();
            known
                .wakes
                .iter()
                .map(|(_, wake)| Arc::clone(wake))
                .collect()
        };
        for wake in wakes {
            if catch_unwind(AssertUnwindSafe(|| wake())).is_err() {
                tracing::error!("a listener panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use super::*;

    #[test]
    fn each_is_called_until_it_is_dropped() {
        let listeners = Arc::<Listeners>::default();
        let called = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let listen = |at: usize| {
            let called = Arc::clone(&called);
            let wake = move || {
                called[at].fetch_add(1, SeqCst);
                assert!(at == 1, "as planned");
            };
            let id = listeners.add(Arc::new(wake));
            let listeners = Arc::clone(&listeners);
            Listening::new(move || listeners.remove(id))
        };
        let (first, second) = (listen(0), listen(1));
        listeners.wake_all();
        drop(first);
        listeners.wake_all();
        drop(second);
        assert!(listeners.is_empty());
        listeners.wake_all();
        assert_eq!((called[0].load(SeqCst), called[1].load(SeqCst)), (1, 2));
    }
}
