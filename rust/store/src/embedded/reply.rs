//! The way back from the writer to a caller who waits, and who may go before he is answered.
//!
//! Promises: who answers knows whether the answer was taken, so that nothing is granted to nobody.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::caller;
use crate::error::Result;

/// Whether the caller has gone. Held for a moment only.
#[derive(Clone, Default)]
struct Left(Arc<Mutex<bool>>);

impl Left {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who answers.
pub(super) struct Reply<T> {
    sender: SyncSender<Result<T>>,
    left: Left,
}

/// Who waits.
pub(super) struct Awaited<T> {
    receiver: Receiver<Result<T>>,
    left: Left,
}

impl<T> Reply<T> {
    pub(super) fn new() -> (Self, Awaited<T>) {
        let (sender, receiver) = sync_channel(1);
        let left = Left::default();
        let awaited = Awaited {
            receiver,
            left: left.clone(),
        };
        (Self { sender, left }, awaited)
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_left(&self) -> bool {
        *self.left.lock()
    }

    /// Whether somebody has the answer.
    pub(super) fn answer(self, answer: Result<T>) -> bool {
        let left = self.left.lock();
        !*left && self.sender.send(answer).is_ok()
    }
}

impl<T> Awaited<T> {
    /// The answer; None if nobody can give it any more.
    pub(super) fn wait(self) -> Option<Result<T>> {
        self.receiver.recv().ok()
    }

    /// The same; `Cancelled` if this thread's own caller has gone. What was asked for is done all the same, or not.
    pub(super) fn wait_while_wanted(self) -> Option<Result<T>> {
        loop {
            match self.receiver.recv_timeout(caller::look_after()) {
                Ok(answer) => return Some(answer),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Err(cancelled) = caller::still_waits() {
                let mut left = self.left.lock();
                // What was answered meanwhile is taken: who answered believes so.
                return Some(self.receiver.try_recv().unwrap_or_else(|_| {
                    *left = true;
                    Err(cancelled)
                }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::StoreError;

    #[test]
    fn who_answers_knows_whether_it_was_taken() {
        let (reply, awaited) = Reply::new();
        assert!(reply.answer(Ok(1)));
        let gone = Arc::new(|| true);
        // What came before he went is his.
        let taken = caller::unless(gone.clone(), || awaited.wait_while_wanted());
        assert!(matches!(taken, Some(Ok(1))));
        let (reply, awaited) = Reply::<u8>::new();
        assert!(!reply.is_left());
        let left = caller::unless(gone, || awaited.wait_while_wanted());
        assert!(matches!(left, Some(Err(StoreError::Cancelled))));
        assert!(reply.is_left());
        assert!(!reply.answer(Ok(1)));
        let (reply, awaited) = Reply::<u8>::new();
        drop(reply);
        assert!(awaited.wait().is_none());
    }
}
