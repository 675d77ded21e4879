//! Holding a thread while working on it.

use treering_store::{Lease, LeaseState};

use crate::error::{Result, ThreadError};
use crate::thread::Thread;

/// A lease that is held until it is released or dropped. Every append through its handle expects its
/// token: once somebody took the lease over, they fail with `LeaseLost`.
#[derive(Debug)]
pub struct LeaseGuard {
    thread: Thread,
    lease: Option<Lease>,
    token: u64,
}

impl Thread {
    /// Takes the thread's lease; `owner` is a label, who holds it is told by the process.
    ///
    /// # Errors
    /// `LeaseHeld` (of the store) while somebody alive has it, another handle of this process too;
    /// `NotFound` when the thread was removed.
    pub fn lease(&self, owner: &str) -> Result<LeaseGuard> {
        self.expect_there()?;
        let lease = self.store().lease_acquire(self.name(), owner)?;
        // Removed before it was granted: there is nothing to work on.
        if let Err(error) = self.expect_there() {
            self.store().lease_release(&lease)?;
            return Err(error);
        }
        self.set_lease(Some(lease.token), Some(owner.to_owned()));
        Ok(LeaseGuard {
            thread: self.clone(),
            token: lease.token,
            lease: Some(lease),
        })
    }

    fn expect_there(&self) -> Result<()> {
        match self.store().read_ref(self.name())? {
            Some(_) => Ok(()),
            None => Err(ThreadError::NotFound {
                id: self.id().to_owned(),
            }),
        }
    }

    /// The lease as it stands now; `held` says whether somebody alive has it.
    ///
    /// # Errors
    /// `Store`.
    pub fn lease_state(&self) -> Result<Option<LeaseState>> {
        Ok(self.store().lease_state(self.name())?)
    }
}

impl LeaseGuard {
    /// Grows with every lease of this thread.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// Gives the lease back; nothing happens if it was lost meanwhile.
    ///
    /// # Errors
    /// `Store`; the lease then ends with the process, or by time-out.
    pub fn release(mut self) -> Result<()> {
        self.give_back()
    }

    fn give_back(&mut self) -> Result<()> {
        let Some(lease) = self.lease.take() else {
            return Ok(());
        };
        // A newer lease of the same handle is not this one's to forget.
        if self.thread.lease_token() == Some(self.token) {
            self.thread.set_lease(None, None);
        }
        Ok(self.thread.store().lease_release(&lease)?)
    }
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        if let Err(error) = self.give_back() {
            tracing::warn!(thread = self.thread.id(), %error, "a lease could not be given back");
        }
    }
}
