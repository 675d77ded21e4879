//! The store in a directory: SQLite in front, files of their own for large blocks.
//!
//! Promises: all of [`Store`], for several processes at once; every row, file and page of blocks that is
//! read is checked; one fsync for all commits that wait together. `docs/format.md` states every byte.
//! Must never: write to a directory that it refused, touch SQLite in a forked child, run a caller's code
//! under the write lock.

mod automatic;
mod backup;
mod bell;
mod blob;
mod blob_file;
mod block_reading;
mod block_rows;
mod committer;
mod connections;
mod contract;
mod core;
mod dead_rows;
mod directory;
mod disk;
mod erasing;
mod erasing_steps;
mod erasure_rows;
mod evidence;
mod file_system;
mod files_lock;
pub(crate) mod fork;
#[cfg(test)]
mod fuzz;
mod gc;
mod graph_rows;
mod housekeeping_rows;
mod journal_reading;
mod journal_rows;
mod learned_rows;
mod links_codec;
mod lock;
mod manifest_rows;
mod objects;
mod open_blob;
mod options;
mod orphaned_leases;
mod page_gaps;
mod queue;
mod recent_blocks;
mod ref_rows;
mod registry;
mod remains;
mod repair;
mod reply;
mod reserve;
mod retention;
mod row_check;
mod row_order;
mod schema;
mod sealed_files;
mod sealed_gaps;
mod sealed_rows;
mod session;
mod shrinking;
mod space;
mod sqlite_error;
mod staging;
mod statements;
mod stray_files;
mod stripping;
mod structure;
mod submitting;
mod tally;
mod transaction;
mod turn;
mod unread;
mod unused_leases;
mod vfs;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use std::{fmt, io};

use self::core::Core;
use self::session::Session;
use crate::clock::Clock;
use crate::commit::Durability;
use crate::error::{Result, StoreError};
use crate::store::Store;
pub use backup::{
    BackupOptions, BackupReport, erased_since, fetch_backup, restore, restore_erased,
};
pub use disk::{Disk, DiskLayer, FileOp, Verdict};
pub use options::OpenOptions;
pub use schema::FORMAT;
pub use staging::StagedFile;

/// A handle on a store in a directory. Handles of one process on one directory share connections and
/// writer; the last one that is closed or dropped ends them, after answering what is queued.
pub struct EmbeddedStore {
    core: Arc<Core>,
    lock_wait: Duration,
    callers_wait: bool,
    closed: AtomicBool,
}

impl EmbeddedStore {
    /// Opens the store in the directory at `path`, or makes one (see [`OpenOptions`]).
    ///
    /// A directory that this process may not write is opened for reading; commits answer `ReadOnly`.
    /// Errors: `NotAStore` (nothing is written then), `NewerFormat`, `Invalid` for a network file system,
    /// `Corrupt`, `DiskFull`, `Io`.
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self> {
        let path = path.as_ref();
        // Before anything is made. Whoever is second all the same finds out below.
        if let Some(bucket) = options.blobs.as_deref()
            && options.create
            && !options.read_only
            && !path.join(directory::DATABASE).exists()
        {
            objects::expect_free(bucket)?;
        }
        let core = registry::open(path, options)?;
        let store = Self {
            core,
            lock_wait: options.lock_wait,
            callers_wait: options.callers_wait,
            closed: AtomicBool::new(false),
        };
        store.claim(options)?;
        if store.may_write() {
            store.finish_left();
            store.clear_left();
        }
        Ok(store)
    }

    /// Sees to it that the place of the large blocks is the one that the store was made with, and its own. A bucket that does
    /// not answer is asked again before it is used: all but large blocks goes on without.
    fn claim(&self, options: &OpenOptions) -> Result<()> {
        let shared = &self.core.shared;
        let owner = self.reading(|session| session.owner())?;
        // Opened before with the place that its row says, so without one it is that.
        if options.blobs.is_some() || options.connect.is_none() {
            objects::expect_same(&self.location(), owner.as_ref(), options.blobs.as_ref())?;
        }
        let Some(objects) = shared.blobs.objects() else {
            return Ok(());
        };
        match objects.claim() {
            Err(error @ StoreError::Bucket { .. }) => {
                tracing::warn!(%error, "large blocks can't be read or written yet");
                return Ok(());
            }
            claimed => claimed?,
        }
        if owner.is_some_and(|owner| !owner.marked) && self.may_write() {
            let marked = objects.marked_owner();
            self.in_transaction(Durability::Relaxed, move |transaction| {
                transaction.writing(|session| session.write_place(Some(&marked)))
            })?;
        }
        Ok(())
    }

    /// Where large blocks are, if not in the store's directory: the URL of a bucket.
    pub fn blobs_url(&self) -> Option<String> {
        let objects = self.core.shared.blobs.objects();
        objects.map(|objects| objects.url().to_owned())
    }

    /// Whether large blocks are in a bucket: a commit that brings some of 256 KiB and more, and the end of an upload, speak to
    /// it on the caller's thread.
    pub fn has_bucket(&self) -> bool {
        self.core.shared.blobs.objects().is_some()
    }

    /// For tests: the disk is taken for slow until a commit was quick, so that nobody waits for it who need not.
    pub fn expect_slow_commits(&self) {
        if let Some(committer) = self.core.committer.upgrade() {
            committer.expect_slow();
        }
    }

    /// Before the first fsync of each commit, on the writer's thread: `hook` may hold it up, and an error
    /// makes the fsync fail. For tests; replaces the one before.
    pub fn on_commit_sync(&self, hook: impl Fn() -> io::Result<()> + Send + Sync + 'static) {
        self.core
            .shared
            .tally
            .set_commit_sync_hook(Some(Arc::new(hook)));
    }

    /// Before each write of a commit to the log: an error makes it fail, `StorageFull` as a full disk
    /// does. For tests; replaces the one before.
    pub fn on_log_write(&self, hook: impl Fn() -> io::Result<()> + Send + Sync + 'static) {
        self.core
            .shared
            .tally
            .set_log_write_hook(Some(Arc::new(hook)));
    }

    /// Whether it stands on this clock and this disk: whoever opened the directory first in this process
    /// decided.
    pub fn stands_on(&self, clock: &Clock, disk: &Disk) -> bool {
        let shared = &self.core.shared;
        shared.clock.is(clock) && shared.disk.is(disk)
    }

    /// Whether commits are taken: false for a handle that only reads.
    pub fn may_write(&self) -> bool {
        self.core.may_write()
    }

    /// What is shared, if this handle may use it.
    fn usable(&self) -> Result<&Core> {
        if self.core.generation != fork::generation() {
            Err(StoreError::ForkedProcess)
        } else if self.closed.load(SeqCst) {
            Err(StoreError::Closed)
        } else {
            Ok(&self.core)
        }
    }

    fn reading<T>(&self, work: impl Fn(Session<'_>) -> Result<T>) -> Result<T> {
        self.usable()?.shared.connections.reading(work)
    }

    /// The same for several reads that are to be of one moment.
    fn in_one_read<T>(&self, work: impl Fn(Session<'_>) -> Result<T>) -> Result<T> {
        self.reading(|session| session.in_one_read(&work))
    }

    /// What may write, if it may.
    fn writable(&self) -> Result<&Core> {
        let core = self.usable()?;
        if !core.may_write() {
            return Err(StoreError::ReadOnly);
        }
        match core.shared.poisoned() {
            Some(why) => Err(StoreError::Poisoned { why }),
            None => Ok(core),
        }
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        // In a forked child the core belongs to the parent; the registry keeps it from being dropped.
        drop(self.close());
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmbeddedStore({})", self.core.shared.root.display())
    }
}
