//! The writer thread: takes what waits and has it committed; waits for the lock between processes;
//! checkpoints the log when it is long.
//!
//! Promises: every request is answered, also when its time is over or the thread dies.

use std::io;
use std::sync::Arc;

use super::committer::{Committer, PoisonOnPanic};
use super::queue::{LockWait, Wake};
use super::sqlite_error::io_error;
use crate::error::StoreError;

pub(super) struct WriterThread(Arc<Committer>);

impl WriterThread {
    pub(super) fn new(committer: Arc<Committer>) -> Self {
        Self(committer)
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(self) {
        let committer = &*self.0;
        let _poisons = PoisonOnPanic(&committer.shared);
        loop {
            match committer.queue.wait_for_work() {
                Wake::Work(_turn) => {
                    if self.take_lock() {
                        committer.commit(committer.queue.take_batch());
                    }
                }
                Wake::Checkpoint(_turn) => committer.checkpoint(),
                Wake::Grant(granted) => {
                    if granted.is_ok() {
                        committer.unlock();
                    }
                }
                Wake::Closed(_turn) => {
                    if !committer.queue.is_lock_awaited() {
                        committer.leave_clean();
                    }
                    break;
                }
            }
        }
    }

    /// True: this process holds the lock. False: who waited for it has been answered.
    fn take_lock(&self) -> bool {
        let Committer { queue, lock, .. } = &*self.0;
        if !queue.is_lock_awaited() {
            match lock.try_lock_in_turn() {
                Ok(true) => return true,
                Ok(false) => {}
                Err(error) => return self.lock_failed(error),
            }
            if let Err(error) = self.wait_in_background() {
                return self.lock_failed(error);
            }
        }
        match queue.wait_for_grant() {
            LockWait::Granted(granted) => {
                granted.map_or_else(|error| self.lock_failed(error), |()| true)
            }
            LockWait::Expired(requests) => {
                let holder = lock.holder();
                for request in requests {
                    let waited_ms = u64::try_from(request.waited().as_millis()).unwrap_or(u64::MAX);
                    self.0.discard_files(&request);
                    request.refuse(StoreError::LockTimeout {
                        waited_ms,
                        holder: holder.clone(),
                    });
                }
                false
            }
        }
    }

    /// The kernel queues processes on the lock; a thread of its own waits there, so that this one can
    /// answer requests whose time is over.
    fn wait_in_background(&self) -> io::Result<()> {
        let committer = Arc::clone(&self.0);
        let wait = move || {
            let granted = committer.lock.lock();
            let held = granted.is_ok();
            if !committer.queue.grant(granted) && held {
                drop(committer.lock.unlock());
            }
        };
        std::thread::Builder::new()
            .name("treering-lock".into())
            .spawn(wait)?;
        self.0.queue.await_lock();
        Ok(())
    }

    fn lock_failed(&self, error: io::Error) -> bool {
        let error = io_error("lock", self.0.lock.path(), error);
        for request in self.0.queue.take_all() {
            self.0.discard_files(&request);
            request.refuse(error.clone());
        }
        false
    }
}

impl Drop for WriterThread {
    /// Also when it panicked: nobody waits in vain.
    fn drop(&mut self) {
        for request in self.0.queue.abandon() {
            request.refuse(StoreError::Closed);
        }
    }
}
