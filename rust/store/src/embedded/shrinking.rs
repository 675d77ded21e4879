//! Giving the room of deleted rows back to the system.
//!
//! SQLite keeps the pages of deleted rows for later ones. After a collection the pages at the file's end are
//! moved into those holes, a few milliseconds at a time, and the file is cut at the next checkpoint. A vacuum does so
//! until no page is free, takes away the leases that nobody has any more first, and sees to it that the log is empty.
//! Must never: hold the write lock for longer than a small transaction.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::EmbeddedStore;
use super::blob::{digest_and_time, without_tree_suffix};
use super::core::Shared;
use super::directory::LOG;
use super::gc::TransactionWork;
use super::session::Session;
use super::sqlite_error::io_error;
use crate::commit::Durability;
use crate::error::Result;
use crate::vacuum::Vacuumed;

/// One transaction moves pages for no longer than this …
const TIME_MAX: Duration = Duration::from_millis(2);
/// … and asks for so many at a time.
const PAGES_MAX: i64 = 1024;
/// So many free pages are left for the rows to come: 1 MiB …
const FREE_PAGES_MIN: i64 = 256;
/// … or this part of the database, if that is more.
const FREE_PART: i64 = 16;
/// See `docs/format.md`.
const PAGE_BYTES: u64 = 4096;

impl Shared {
    /// One small transaction, which `in_transaction` has done. False: what is free now is what is left for
    /// the rows to come, and the rest is the system's.
    pub(super) fn shrink_a_little(
        self: &Arc<Self>,
        in_transaction: impl Fn(TransactionWork) -> Result<()>,
    ) -> Result<bool> {
        if self.connections.reading(spare_pages)? == 0 {
            // The writer checkpoints behind a transaction's answer, and before the next one.
            in_transaction(Box::new(|_| Ok(())))?;
            self.reserve.make_again();
            return Ok(false);
        }
        let shared = Arc::clone(self);
        in_transaction(Box::new(move |transaction| {
            let spare = spare_pages(transaction.session())?;
            let mut left = 0;
            transaction.writing(|session| {
                give_back(session, spare.min(PAGES_MAX))?;
                left = spare_pages(session)?;
                Ok(())
            })?;
            if left == 0 {
                // The file is cut when the log has gone into it.
                shared.checkpoint_due.store(true, Relaxed);
            }
            Ok(())
        }))?;
        Ok(true)
    }
}

/// Who waits until nobody reads from the log looks this often …
const LOG_RETRY: Duration = Duration::from_millis(10);
/// … for no longer than this, or than the handle waits for locks.
const LOG_WAIT_MAX: Duration = Duration::from_secs(2);

impl EmbeddedStore {
    /// See [`crate::store::Store::vacuum`].
    pub(super) fn give_all_back(&self) -> Result<Vacuumed> {
        let shared = &self.writable()?.shared;
        self.finish_erasing(self.lock_wait)?;
        let before = self.file_bytes();
        self.remove_unused_leases()?;
        // What others free meanwhile is theirs to give back: it ends.
        let mut pages = self.reading(free_pages)?;
        while pages > 0 {
            let left = self.in_freeing_transaction(Durability::Relaxed, |transaction| {
                let mut left = 0;
                transaction.writing(|session| {
                    give_back(session, PAGES_MAX)?;
                    left = free_pages(session)?;
                    Ok(())
                })?;
                Ok(left)
            })?;
            pages = left.min(pages - 1);
        }
        self.remove_stray_sealed_files()?;
        let (started, wait) = (Instant::now(), self.lock_wait.min(LOG_WAIT_MAX));
        loop {
            shared.checkpoint_due.store(true, Relaxed);
            // The log is moved behind the answer of the first, and before the second.
            for _ in 0..2 {
                self.in_freeing_transaction(Durability::Relaxed, |_| Ok(()))?;
            }
            if self.log_bytes() == 0 || started.elapsed() >= wait {
                break;
            }
            std::thread::sleep(LOG_RETRY);
        }
        // A power failure brings back neither what stood in the log, nor a file.
        let log = shared.root.join(LOG);
        shared
            .sync_log()
            .map_err(|error| io_error("sync", &log, error))?;
        shared.blobs.sync_folders()?;
        shared.reserve.make_again();
        let (database_bytes, log_bytes) = (self.database_bytes(), self.log_bytes());
        Ok(Vacuumed {
            freed_bytes: before.saturating_sub(self.file_bytes()),
            database_bytes,
            free_bytes: self
                .reading(free_pages)?
                .cast_unsigned()
                .saturating_mul(PAGE_BYTES),
            log_bytes,
            files_left: self.unnamed_files()?,
            unfinished_erases: self.reading(|session| session.erasing())?.len() as u64,
            dead_blocks: self.reading(|session| {
                let rows = session
                    .number("SELECT count(*) FROM graph")?
                    .cast_unsigned();
                Ok(rows.saturating_sub(session.totals()?.blocks))
            })?,
        })
    }

    fn database_bytes(&self) -> u64 {
        bytes_of(self.core.shared.connections.database())
    }

    fn log_bytes(&self) -> u64 {
        bytes_of(&self.core.shared.root.join(LOG))
    }

    fn file_bytes(&self) -> u64 {
        self.database_bytes().saturating_add(self.log_bytes())
    }

    /// Files of large blocks and of the journal without a row, and of uploads that no living process is at; while somebody
    /// copies files nobody can tell, and all uploads count.
    fn unnamed_files(&self) -> Result<u64> {
        let shared = &self.core.shared;
        let listed = shared.blobs.list();
        let mut unnamed = match shared.may_remove_files() {
            Some(alone) => {
                shared.remove_dead_uploads(&alone)?;
                shared.uploads(Some(&alone))?
            }
            None => shared.uploads(None)?,
        }
        .len() as u64;
        unnamed += shared.unnamed_sealed_files()?.len() as u64;
        for (file, _) in listed? {
            let name = without_tree_suffix(&file);
            if name != file {
                continue;
            }
            // What has no name of ours is none of ours.
            let Some((digest, _)) = digest_and_time(name) else {
                continue;
            };
            let named = self.reading(|session| session.names_file(&digest, name))?;
            unnamed += u64::from(!named);
        }
        Ok(unnamed)
    }
}

fn bytes_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |about| about.len())
}

/// Free pages beyond those that are kept.
fn spare_pages(session: Session<'_>) -> Result<i64> {
    let free = free_pages(session)?;
    let pages = session.number("PRAGMA page_count")?;
    let kept = FREE_PAGES_MIN.max(pages / FREE_PART);
    Ok(free.saturating_sub(kept).max(0))
}

fn free_pages(session: Session<'_>) -> Result<i64> {
    session.number("PRAGMA freelist_count")
}

/// SQLite moves one page with each row that this statement gives.
fn give_back(session: Session<'_>, pages: i64) -> Result<()> {
    let started = Instant::now();
    let sql = format!("PRAGMA incremental_vacuum({pages})");
    let mut statement = session
        .conn
        .prepare(&sql)
        .map_err(|error| session.unwritten(error))?;
    let mut rows = statement
        .query([])
        .map_err(|error| session.unwritten(error))?;
    while rows
        .next()
        .map_err(|error| session.unwritten(error))?
        .is_some()
    {
        if started.elapsed() >= TIME_MAX {
            break;
        }
    }
    Ok(())
}
