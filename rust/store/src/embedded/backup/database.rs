//! The first copy of the database: all its pages, by SQLite's online backup, from one read transaction.
//!
//! Promises: until [`NewDatabase::finish`] the file has a name that nobody opens.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, params};

use super::Moment;
use super::target::Target;
use crate::embedded::block_rows::to_sql;
use crate::embedded::connections::BUSY_WAIT;
use crate::embedded::dead_rows;
use crate::embedded::fork::{self, Inside};
use crate::embedded::objects::Owner;
use crate::embedded::schema::{FORMAT, FORMAT_BUCKET, enter_log_mode};
use crate::embedded::session::Session;
use crate::embedded::sqlite_error::{io_error, map};
use crate::embedded::statements::Prepared;
use crate::embedded::vfs::Shim;
use crate::error::{Result, StoreError};
use crate::gc::{Bitmap, PAGE_ORDINALS};
use crate::progress::{Progress, Stage};

/// Pages of a step: 4 MiB, a few milliseconds.
const STEP_PAGES: i32 = 1024;
const PAGE_BYTES: u64 = 4096;

/// A database that has no name yet.
pub(super) struct NewDatabase {
    // The connection first: it is dropped before what it uses.
    conn: Prepared,
    path: PathBuf,
    pub(super) bytes: u64,
    shim: Shim,
    _inside: Inside,
}

/// Copies every page of the moment's database. Errors: `DiskFull`, `Io`, `Corrupt`, `Cancelled`.
pub(super) fn copy_pages(
    moment: &Moment<'_>,
    target: &Target,
    progress: &Progress,
) -> Result<NewDatabase> {
    let inside = fork::enter();
    let path = target.new_database();
    let failed = |error: rusqlite::Error| map(&error, "write", &path);
    let shim = Shim::register(Arc::default(), target.disk().clone())
        .map_err(|error| io_error("make", &path, error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn =
        Connection::open_with_flags_and_vfs(&path, flags, shim.name()).map_err(failed)?;
    conn.busy_timeout(BUSY_WAIT).map_err(failed)?;
    conn.pragma_update(None, "synchronous", "FULL")
        .map_err(failed)?;
    progress.enter(Stage::Database, 0)?;
    let copying = Backup::new(moment.session.conn, &mut conn).map_err(failed)?;
    let pages = loop {
        let step = copying.step(STEP_PAGES).map_err(failed)?;
        let at = copying.progress();
        let pages = u64::from(at.pagecount.unsigned_abs());
        let done = pages.saturating_sub(u64::from(at.remaining.unsigned_abs()));
        progress.of(
            done.saturating_mul(PAGE_BYTES),
            pages.saturating_mul(PAGE_BYTES),
        )?;
        match step {
            StepResult::Done => break pages,
            StepResult::More => {}
            other => {
                return Err(StoreError::Io {
                    action: "copy the pages of",
                    path: path.display().to_string(),
                    source: Arc::new(std::io::Error::other(format!("{other:?}"))),
                });
            }
        }
    };
    drop(copying);
    Ok(NewDatabase {
        conn: Prepared::new(conn),
        path,
        bytes: pages.saturating_mul(PAGE_BYTES),
        shim,
        _inside: inside,
    })
}

impl NewDatabase {
    pub(super) fn session(&self) -> Session<'_> {
        Session::new(&self.conn, &self.path, self.shim.disk())
    }

    /// Takes out what is not of the history: leases, whose holders hold them in the store, the rows of blocks that are dead
    /// already, and where the store keeps its large blocks: a backup has them itself.
    pub(super) fn make_bare(&self) -> Result<()> {
        let session = self.session();
        let failed = |error: rusqlite::Error| map(&error, "write", &self.path);
        // Its header says write-ahead logging, like the store's. That is set again at the end, so that
        // what is done until then is in the one file.
        let mode: String = self
            .conn
            .query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))
            .map_err(failed)?;
        if mode != "delete" {
            return Err(self.refused(format!("the journal mode stays {mode}")));
        }
        self.conn
            .pragma_update(None, "secure_delete", true)
            .map_err(failed)?;
        session.run("BEGIN IMMEDIATE", "write")?;
        session.run(dead_rows::CREATE, "write")?;
        session.run("DELETE FROM lease", "write")?;
        drop_dead(session, &session.dead_ordinals()?)?;
        session.run("COMMIT", "write")?;
        match session.owner()? {
            Some(_) => self.write_place(None),
            None => Ok(()),
        }
    }

    /// Its large blocks are in a bucket.
    pub(super) fn keep_large_blocks_in(&self, owner: &Owner) -> Result<()> {
        self.write_place(Some(owner))
    }

    fn write_place(&self, owner: Option<&Owner>) -> Result<()> {
        let session = self.session();
        session.run("BEGIN IMMEDIATE", "write")?;
        session.write_place(owner)?;
        let format = if owner.is_some() {
            FORMAT_BUCKET
        } else {
            FORMAT
        };
        self.conn
            .pragma_update(None, "user_version", format.cast_signed())
            .map_err(|error| map(&error, "write", &self.path))?;
        session.run("COMMIT", "write")
    }

    fn refused(&self, why: String) -> StoreError {
        StoreError::Io {
            action: "set up",
            path: self.path.display().to_string(),
            source: Arc::new(std::io::Error::other(why)),
        }
    }

    /// Everything is in the one file, and on disk.
    pub(super) fn finish(self) -> Result<()> {
        let failed = |error: rusqlite::Error| map(&error, "write", &self.path);
        enter_log_mode(&self.conn).map_err(failed)?;
        self.conn.close().map_err(failed)
    }
}

/// Deletes the rows of these ordinals that are there; returns how many blocks went.
pub(super) fn drop_dead(session: Session<'_>, dead: &Bitmap) -> Result<u64> {
    let mut dropped = 0;
    for (page, _) in dead.pages() {
        let first = page.saturating_mul(PAGE_ORDINALS);
        let last = first.saturating_add(PAGE_ORDINALS - 1);
        let ordinals: Vec<i64> = session
            .prepared("SELECT ordinal FROM graph WHERE ordinal BETWEEN ?1 AND ?2")?
            .query_map(params![to_sql(first), to_sql(last)], |row| row.get(0))
            .and_then(Iterator::collect)
            .map_err(|error| session.unread(error))?;
        for ordinal in ordinals {
            let ordinal = ordinal.cast_unsigned();
            if dead.contains(ordinal) {
                dropped += u64::from(session.delete_block_rows(ordinal)?);
            }
        }
    }
    Ok(dropped)
}
