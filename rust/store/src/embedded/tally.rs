//! What one open store has done: exact counts, and the hooks that tests hang on the log's fsync.
//!
//! The writer says in which phase it is; since nothing but the writer syncs, the phase tells what an
//! fsync was for.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

use super::reserve::Reserve;
use crate::stats::Counters;

/// What SQLite's next fsync is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Opening, closing, recovery.
    Other = 0,
    /// Between BEGIN and the end of COMMIT.
    Commit = 1,
    Checkpoint = 2,
}

/// A file of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Main,
    Log,
    /// Temporary files, rollback journals.
    Other,
}

/// Called before something happens to the log; an error makes it fail.
pub(super) type Hook = Arc<dyn Fn() -> io::Result<()> + Send + Sync>;

#[derive(Default)]
pub(super) struct Tally {
    phase: AtomicU8,
    /// The newest write to the log was its header.
    header_written: AtomicBool,
    /// No fsync yet in this commit.
    before_first_sync: AtomicBool,
    /// This commit's frames have reached their fsync.
    frames_synced: AtomicBool,
    /// An fsync of the log failed: later ones do not write what that one should have.
    log_sync_failed: AtomicBool,
    commit_sync_hook: RwLock<Option<Hook>>,
    log_write_hook: RwLock<Option<Hook>>,
    reserve: OnceLock<Arc<Reserve>>,
    pub(super) blocks_read: AtomicU64,
    pub(super) blocks_written: AtomicU64,
    pub(super) block_bytes_written: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) requests: AtomicU64,
    commit_syncs: AtomicU64,
    header_syncs: AtomicU64,
    checkpoint_syncs: AtomicU64,
    pub(super) blob_syncs: AtomicU64,
    wal_bytes_written: AtomicU64,
    housekeeping_lock_us_max: AtomicU64,
    pub(super) automatic_gc_checks: AtomicU64,
    pub(super) automatic_gc_marks: AtomicU64,
    pub(super) automatic_gc_collections: AtomicU64,
    pub(super) automatic_gc_deleted: AtomicU64,
    pub(super) automatic_gc_freed_bytes: AtomicU64,
    /// Where the newest write to the log ended.
    log_end: AtomicU64,
}

impl Tally {
    /// Length of the log that is in use (its file may be longer), as of this store's newest commit.
    pub(super) fn log_bytes(&self) -> u64 {
        self.log_end.load(Relaxed)
    }

    /// A commit with housekeeping in it kept the write lock so long.
    pub(super) fn held_for_housekeeping(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.housekeeping_lock_us_max.fetch_max(micros, Relaxed);
    }

    /// An fsync of the log failed.
    pub(super) fn log_sync_fails(&self) {
        self.log_sync_failed.store(true, Relaxed);
    }

    /// Whether any fsync of the log has failed so far.
    pub(super) fn log_sync_failed(&self) -> bool {
        self.log_sync_failed.load(Relaxed)
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.frames_synced.store(false, Relaxed);
        self.before_first_sync
            .store(phase == Phase::Commit, Relaxed);
        self.phase.store(phase as u8, Relaxed);
    }

    fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            1 => Phase::Commit,
            2 => Phase::Checkpoint,
            _ => Phase::Other,
        }
    }

    /// Between BEGIN and the end of COMMIT.
    pub(super) fn is_committing(&self) -> bool {
        self.phase() == Phase::Commit
    }

    /// Whether this commit has reached the fsync of its frames, so that they may be on disk.
    pub(super) fn sync_reached(&self) -> bool {
        self.frames_synced.load(Relaxed)
    }

    /// Before each fsync of a commit's log, the first one only.
    pub(super) fn set_commit_sync_hook(&self, hook: Option<Hook>) {
        *self
            .commit_sync_hook
            .write()
            .unwrap_or_else(|broken| broken.into_inner()) = hook;
    }

    /// Before each write of a commit to the log.
    pub(super) fn set_log_write_hook(&self, hook: Option<Hook>) {
        *self
            .log_write_hook
            .write()
            .unwrap_or_else(|broken| broken.into_inner()) = hook;
    }

    /// What a write that finds no room may ask for.
    pub(super) fn set_reserve(&self, reserve: &Arc<Reserve>) {
        self.reserve.get_or_init(|| Arc::clone(reserve));
    }

    /// A write of SQLite's found no room. True: it is worth doing again.
    pub(super) fn make_room(&self) -> bool {
        self.reserve.get().is_some_and(|reserve| reserve.give_up())
    }

    /// SQLite is about to write.
    pub(super) fn before_write(&self, kind: FileKind, offset: i64, bytes: u64) -> io::Result<()> {
        if kind != FileKind::Log {
            return Ok(());
        }
        // The header is the only write of 32 bytes, and the only one at 0.
        self.header_written
            .store(offset == 0 && bytes == 32, Relaxed);
        self.log_end.store(
            u64::try_from(offset).unwrap_or(0).saturating_add(bytes),
            Relaxed,
        );
        if self.phase() == Phase::Commit {
            run(&self.log_write_hook)?;
            self.wal_bytes_written.fetch_add(bytes, Relaxed);
        }
        Ok(())
    }

    /// SQLite is about to fsync.
    pub(super) fn before_sync(&self, kind: FileKind) -> io::Result<()> {
        match (self.phase(), kind) {
            (Phase::Commit, FileKind::Log) => {
                let header = self.header_written.load(Relaxed);
                self.frames_synced.fetch_or(!header, Relaxed);
                if self.before_first_sync.swap(false, Relaxed) {
                    run(&self.commit_sync_hook)?;
                }
                if header {
                    &self.header_syncs
                } else {
                    &self.commit_syncs
                }
            }
            (Phase::Checkpoint, FileKind::Main | FileKind::Log) => &self.checkpoint_syncs,
            _ => return Ok(()),
        }
        .fetch_add(1, Relaxed);
        Ok(())
    }

    /// The writer is about to fsync the log itself: a commit that wrote nothing answers for those before.
    pub(super) fn before_own_sync(&self) -> io::Result<()> {
        self.header_written.store(false, Relaxed);
        self.before_sync(FileKind::Log)
    }

    pub(super) fn counters(&self) -> Counters {
        Counters {
            blocks_read: self.blocks_read.load(Relaxed),
            blocks_written: self.blocks_written.load(Relaxed),
            block_bytes_written: self.block_bytes_written.load(Relaxed),
            batches: self.batches.load(Relaxed),
            requests: self.requests.load(Relaxed),
            commit_syncs: self.commit_syncs.load(Relaxed),
            header_syncs: self.header_syncs.load(Relaxed),
            checkpoint_syncs: self.checkpoint_syncs.load(Relaxed),
            blob_syncs: self.blob_syncs.load(Relaxed),
            wal_bytes_written: self.wal_bytes_written.load(Relaxed),
            housekeeping_lock_us_max: self.housekeeping_lock_us_max.load(Relaxed),
            automatic_gc_checks: self.automatic_gc_checks.load(Relaxed),
            automatic_gc_marks: self.automatic_gc_marks.load(Relaxed),
            automatic_gc_collections: self.automatic_gc_collections.load(Relaxed),
            automatic_gc_deleted: self.automatic_gc_deleted.load(Relaxed),
            automatic_gc_freed_bytes: self.automatic_gc_freed_bytes.load(Relaxed),
        }
    }
}

fn run(slot: &RwLock<Option<Hook>>) -> io::Result<()> {
    let hook = slot
        .read()
        .unwrap_or_else(|broken| broken.into_inner())
        .clone();
    match hook {
        None => Ok(()),
        // A panic must not cross SQLite's C frames.
        Some(hook) => catch_unwind(AssertUnwindSafe(|| hook()))
            .unwrap_or_else(|_| Err(io::Error::other("the hook panicked"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_fsync_is_counted_for_what_it_is() {
        let tally = Tally::default();
        tally.before_sync(FileKind::Log).unwrap();
        tally.enter(Phase::Commit);
        tally.before_write(FileKind::Log, 0, 32).unwrap();
        tally.before_sync(FileKind::Log).unwrap();
        tally.before_write(FileKind::Log, 32, 24).unwrap();
        tally.before_write(FileKind::Log, 56, 4096).unwrap();
        tally.before_sync(FileKind::Log).unwrap();
        tally.enter(Phase::Checkpoint);
        tally.before_sync(FileKind::Log).unwrap();
        tally.before_write(FileKind::Main, 0, 4096).unwrap();
        tally.before_sync(FileKind::Main).unwrap();
        let counted = tally.counters();
        assert_eq!(
            (
                counted.header_syncs,
                counted.commit_syncs,
                counted.checkpoint_syncs
            ),
            (1, 1, 2)
        );
        assert_eq!(counted.wal_bytes_written, 32 + 24 + 4096);
    }

    #[test]
    fn a_hook_that_fails_or_panics_fails_the_sync() {
        let tally = Tally::default();
        tally.set_commit_sync_hook(Some(Arc::new(|| panic!("as planned"))));
        tally.enter(Phase::Commit);
        assert!(!tally.sync_reached());
        assert!(tally.before_sync(FileKind::Log).is_err());
        assert!(tally.sync_reached());
        assert_eq!(tally.counters().commit_syncs, 0);
    }
}
