//! Giving the room of deleted rows back to the system.
//!
//! SQLite keeps the pages of deleted rows for later ones. After a collection the pages at the file's end are
//! moved into those holes, a few milliseconds at a time, and the file is cut at the next checkpoint.
//! Must never: hold the write lock for longer than a small transaction.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::core::Shared;
use super::gc::TransactionWork;
use super::session::Session;
use crate::error::Result;

/// One transaction moves pages for no longer than this …
const TIME_MAX: Duration = Duration::from_millis(2);
/// … and asks for so many at a time.
const PAGES_MAX: i64 = 1024;
/// So many free pages are left for the rows to come: 1 MiB …
const FREE_PAGES_MIN: i64 = 256;
/// … or this part of the database, if that is more.
const FREE_PART: i64 = 16;

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

/// Free pages beyond those that are kept.
fn spare_pages(session: Session<'_>) -> Result<i64> {
    let free = session.number("PRAGMA freelist_count")?;
    let pages = session.number("PRAGMA page_count")?;
    let kept = FREE_PAGES_MIN.max(pages / FREE_PART);
    Ok(free.saturating_sub(kept).max(0))
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
