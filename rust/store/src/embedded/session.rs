//! A connection in use: what the row modules hang their statements on.
//!
//! Promises: every SQLite error names what was done and to which file; statements are prepared once per
//! connection.

use std::path::Path;

use rusqlite::CachedStatement;

use super::disk::Disk;
use super::sqlite_error::map;
use super::statements::{Prepared, Running};
use crate::error::{Result, StoreError};

/// One connection, for as long as one piece of work needs it.
#[derive(Clone, Copy)]
pub(super) struct Session<'c> {
    pub(super) conn: &'c Prepared,
    path: &'c Path,
    disk: &'c Disk,
}

impl<'c> Session<'c> {
    /// `path`: of the database, for messages and for the files beside it, which are read through `disk`.
    pub(super) fn new(conn: &'c Prepared, path: &'c Path, disk: &'c Disk) -> Self {
        Self { conn, path, disk }
    }

    /// Turns SQLite's error into the store's.
    pub(super) fn failed(
        self,
        action: &'static str,
    ) -> impl Fn(rusqlite::Error) -> StoreError + use<'c> {
        move |error| map(&error, action, self.path)
    }

    /// Turns SQLite's error while reading into the store's.
    pub(super) fn unread(self, error: rusqlite::Error) -> StoreError {
        map(&error, "read", self.path)
    }

    /// Turns SQLite's error while writing into the store's.
    pub(super) fn unwritten(self, error: rusqlite::Error) -> StoreError {
        map(&error, "write", self.path)
    }

    /// Of the database.
    pub(super) fn path(self) -> &'c Path {
        self.path
    }

    /// For the files beside the database.
    pub(super) fn disk(self) -> &'c Disk {
        self.disk
    }

    pub(super) fn prepared(self, sql: &str) -> Result<CachedStatement<'c>> {
        self.conn
            .prepare_cached(sql)
            .map_err(|error| self.unread(error))
    }

    /// One of the statements that run again and again: kept by the connection.
    pub(super) fn kept(self, sql: &'static str) -> Result<Running<'c>> {
        self.conn.statement(sql).map_err(|error| self.unread(error))
    }

    /// Runs statements without parameters or answers.
    pub(super) fn run(self, sql: &str, action: &'static str) -> Result<()> {
        self.conn.execute_batch(sql).map_err(self.failed(action))
    }

    /// Runs one statement without parameters or answers, prepared once per connection.
    pub(super) fn run_prepared(self, sql: &'static str, action: &'static str) -> Result<()> {
        self.conn
            .statement(sql)
            .and_then(|mut statement| statement.execute([]))
            .map(drop)
            .map_err(self.failed(action))
    }

    /// Runs several reads on one moment. Must not be inside of another one.
    pub(super) fn in_one_read<T>(self, work: impl FnOnce(Self) -> Result<T>) -> Result<T> {
        self.run_prepared("BEGIN", "read")?;
        let read = work(self);
        // Ends a read; if it fails, the connection is not used again.
        drop(self.run_prepared("ROLLBACK", "read"));
        read
    }

    /// The first column of the only row. Errors: as SQLite's.
    pub(super) fn number(self, sql: &str) -> Result<i64> {
        self.prepared(sql)?
            .query_row([], |row| row.get(0))
            .map_err(|error| self.unread(error))
    }
}
