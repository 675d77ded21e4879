//! When the log is moved into the database, and how far: as soon as it is long, deletions want room, or nobody is left.
//!
//! Promises: readers without a pause don't make the log grow without end; no writer waits for them for long.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::Committer;
use crate::commit::Durability;
use crate::embedded::fork;
use crate::embedded::reserve::EARLY_LOG_BYTES;

/// A relaxed batch may make the log this many times longer before it is checkpointed: a bulk load wants
/// throughput, and nobody waits for its fsync.
const RELAXED_LOG_FACTOR: u64 = 4;
/// While readers keep the log from starting anew, the next checkpoint is tried after this much more of it, or
/// after a quarter more.
const CHECKPOINT_RETRY_BYTES: u64 = 8 << 20;
/// Then, or when the log is twice as long as it should be, it waits so long for those who read from the log, and
/// whoever wants to write waits with it; who comes to read meanwhile reads from the database. Readers without a
/// pause make the log grow without end otherwise.
const READERS_WAIT: Duration = Duration::from_millis(50);

impl Committer {
    /// Whether the log is to be moved into the database before the next batch.
    pub(super) fn log_is_long(&self, durability: Durability, deletes: bool) -> bool {
        if self.shared.poisoned().is_some() {
            // What the log holds on disk is in doubt: the next session moves it, with an fsync of its own.
            return false;
        }
        let log_bytes = self.shared.tally.log_bytes();
        let normal = self.shared.checkpoint_log_bytes;
        let due = self.shared.checkpoint_due.swap(false, Relaxed);
        let low = log_bytes >= EARLY_LOG_BYTES && self.room_is_low(log_bytes);
        let long = match durability {
            _ if low => EARLY_LOG_BYTES,
            Durability::Durable => normal,
            Durability::Relaxed => normal.saturating_mul(RELAXED_LOG_FACTOR),
        };
        let mut last = self.checkpointed_at.load(Relaxed);
        if log_bytes < last {
            last = 0;
            self.checkpointed_at.store(0, Relaxed);
        }
        let more = if low {
            CHECKPOINT_RETRY_BYTES
        } else {
            CHECKPOINT_RETRY_BYTES.max(last / 4)
        };
        let tried = last > 0 && log_bytes.saturating_sub(last) < more;
        let is_long = due || (log_bytes >= long && !tried);
        if is_long {
            self.cut.store(due || low, Relaxed);
            self.for_deletion.store(deletes, Relaxed);
        }
        is_long
    }

    /// Asks the system once for each MiB of the log: it is a call of its own in every commit otherwise.
    fn room_is_low(&self, log_bytes: u64) -> bool {
        let piece = log_bytes >> 20;
        self.room_asked_at.swap(piece, Relaxed) != piece && self.shared.reserve.is_low(log_bytes)
    }

    /// Moves the log into the database as far as readers let it.
    pub(in crate::embedded) fn checkpoint(&self) {
        let inside = fork::enter();
        let log_bytes = self.shared.tally.log_bytes();
        let reserve = &self.shared.reserve;
        reserve.allow(self.for_deletion.swap(false, Relaxed));
        let checkpoint = |mode, wait| {
            let moved = self.shared.checkpoint(&inside, mode, wait);
            moved.unwrap_or_else(|error| {
                tracing::warn!(%error, "checkpoint failed; the log keeps everything");
                false
            })
        };
        // Where room is wanted the log's own is given back.
        let cut = self.cut.swap(false, Relaxed);
        let held_up = self.checkpointed_at.swap(log_bytes, Relaxed) > 0
            || log_bytes >= self.shared.checkpoint_log_bytes.saturating_mul(2);
        let mut whole = false;
        if !cut || held_up {
            // In nobody's way: little is left to move for what follows, which keeps others from writing.
            whole = checkpoint("PASSIVE", Duration::ZERO);
        }
        if (cut || held_up) && self.shared.poisoned().is_none() {
            let mode = if cut { "TRUNCATE" } else { "RESTART" };
            let wait = if held_up {
                READERS_WAIT
            } else {
                Duration::ZERO
            };
            whole = checkpoint(mode, wait);
        }
        self.tell_of_doubt();
        reserve.allow(false);
        if whole {
            reserve.make_again();
        }
    }

    /// Leaves the database without a log if nobody else is in the way, so that it can be opened quickly
    /// and from read-only disks. The caller has the turn.
    pub(in crate::embedded) fn leave_clean(&self) {
        if self.committed.load(Relaxed)
            && self.shared.poisoned().is_none()
            && self.lock.try_lock().unwrap_or(false)
        {
            let inside = fork::enter();
            if let Err(error) = self.shared.checkpoint(&inside, "TRUNCATE", Duration::ZERO) {
                tracing::debug!(%error, "the log stays");
            }
            drop(inside);
            self.tell_of_doubt();
            self.unlock();
        }
    }
}
