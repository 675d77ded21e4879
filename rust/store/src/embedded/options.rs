//! How a store's directory is opened.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::tier::Tier;

/// How a store's directory is opened. The default makes it if absent and opens it for writing.
#[derive(Clone)]
pub struct OpenOptions {
    /// Make the directory and the store if absent.
    pub create: bool,
    /// Refuse every write with `ReadOnly`.
    pub read_only: bool,
    /// How long a commit waits for other processes' commits before it is answered with `LockTimeout`.
    pub lock_wait: Duration,
    /// Where commits and leases take their time from. The first to open a directory in a process decides
    /// for all.
    pub clock: Clock,
    /// Places that are asked for blocks after the hot tables, in order. The first to open a directory in
    /// a process decides for all.
    pub tiers: Vec<Arc<dyn Tier>>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            create: true,
            read_only: false,
            lock_wait: Duration::from_secs(30),
            clock: Clock::system(),
            tiers: Vec::new(),
        }
    }
}

impl fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenOptions")
            .field("create", &self.create)
            .field("read_only", &self.read_only)
            .field("lock_wait", &self.lock_wait)
            .field("clock", &self.clock)
            .field("tiers", &self.tiers.len())
            .finish()
    }
}
