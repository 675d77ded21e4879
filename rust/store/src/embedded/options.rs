//! How a store's directory is opened.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::disk::Disk;
use crate::bucket::Bucket;
use crate::clock::Clock;
use crate::error::Result;
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
    /// Callers wait for each ticket right away (or ask it to call them, or [`Ticket::announce`] it), and
    /// commit on their own thread when nobody else does: the writer's thread isn't woken for it. Saves a
    /// small commit a fifth of its time; a ticket that is only polled may stay unanswered.
    ///
    /// [`Ticket::announce`]: crate::Ticket::announce
    pub callers_wait: bool,
    /// Where commits and leases take their time from. The first to open a directory in a process decides
    /// for all.
    pub clock: Clock,
    /// Places that are asked for blocks after the hot tables, in order. The first to open a directory in
    /// a process decides for all.
    pub tiers: Vec<Arc<dyn Tier>>,
    /// A checkpoint follows the batch that makes the log longer than this. Longer logs write each index
    /// page less often into the database; shorter ones are read faster after a crash.
    pub checkpoint_log_bytes: u64,
    /// Mend the store's own rows (format, totals …) first, where what they were can be proved: a store in
    /// which one of them is broken is refused otherwise. For opening a store to repair it.
    pub mend: bool,
    /// Collect garbage by itself, from a thread of its own, when there may be much (see
    /// [`crate::gc::Learned`]) and at most hourly. Off here, since a library does nothing of its own accord;
    /// the first to open a directory in a process decides for all.
    pub automatic_gc: bool,
    /// Bytes of the file that is kept so that deletions succeed on a full disk; 0 for none. The first to open
    /// a directory in a process decides for all.
    pub reserve_bytes: u64,
    /// What stands between the store and its files: nothing, or a test's layer. The first to open a
    /// directory in a process decides for all.
    pub disk: Disk,
    /// Where the store keeps its large blocks, if not in its directory. Fixed when it is made: it is opened with that URL from
    /// then on, and without one if it was made without. Nothing else may lie there. The first to open a directory in a process
    /// decides which connection is used.
    pub blobs: Option<Arc<dyn Bucket>>,
    /// Makes the bucket of the URL that a store was made with, where `blobs` is None: such a store opens as any other then.
    pub connect: Option<Connect>,
}

/// A bucket of its URL.
pub type Connect = fn(&str) -> Result<Arc<dyn Bucket>>;

/// 32 MiB.
const CHECKPOINT_LOG_BYTES: u64 = 32 << 20;
/// 16 MiB.
const RESERVE_BYTES: u64 = 16 << 20;

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            create: true,
            read_only: false,
            lock_wait: Duration::from_secs(30),
            callers_wait: false,
            clock: Clock::system(),
            tiers: Vec::new(),
            checkpoint_log_bytes: CHECKPOINT_LOG_BYTES,
            mend: false,
            automatic_gc: false,
            reserve_bytes: RESERVE_BYTES,
            disk: Disk::system(),
            connect: None,
            blobs: None,
        }
    }
}

impl fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenOptions")
            .field("create", &self.create)
            .field("read_only", &self.read_only)
            .field("lock_wait", &self.lock_wait)
            .field("callers_wait", &self.callers_wait)
            .field("clock", &self.clock)
            .field("tiers", &self.tiers.len())
            .field("checkpoint_log_bytes", &self.checkpoint_log_bytes)
            .field("mend", &self.mend)
            .field("automatic_gc", &self.automatic_gc)
            .field("reserve_bytes", &self.reserve_bytes)
            .field("blobs", &self.blobs.as_ref().map(|bucket| bucket.url()))
            .finish_non_exhaustive()
    }
}
