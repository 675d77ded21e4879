//! The database's tables, and what marks it as ours. `docs/format.md` says why each column is there.

use rusqlite::Connection;

use super::dead_rows;

/// `application_id` in the database's header: the ASCII bytes `ring`.
pub(super) const APPLICATION_ID: u32 = 0x7269_6e67;
/// The format that this version writes; also the header's `user_version`.
pub const FORMAT: u64 = 1;
/// That of a store whose large blocks are in a bucket, and the newest that this version reads.
pub(super) const FORMAT_BUCKET: u64 = 2;

/// Wide columns stand last in their row, so that reading the narrow ones touches no overflow page.
const TABLES: &str = "
CREATE TABLE manifest(
  key TEXT PRIMARY KEY, value BLOB NOT NULL, chk BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE block(
  ordinal INTEGER PRIMARY KEY, key8 INTEGER NOT NULL, codec INTEGER NOT NULL, digest BLOB NOT NULL,
  size INTEGER NOT NULL, file TEXT, chk BLOB NOT NULL, payload BLOB
) STRICT;
CREATE INDEX block_key8 ON block(key8);
CREATE TABLE graph(
  ordinal INTEGER PRIMARY KEY, links BLOB NOT NULL, chk BLOB NOT NULL
) STRICT;
CREATE TABLE ref(
  name TEXT PRIMARY KEY, version INTEGER NOT NULL, target BLOB NOT NULL, position INTEGER NOT NULL,
  chk BLOB NOT NULL, record BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE journal(
  position INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, digest BLOB NOT NULL, chain BLOB NOT NULL, body BLOB
) STRICT;
CREATE TABLE receipt(
  key BLOB PRIMARY KEY, scope TEXT NOT NULL, payload BLOB NOT NULL, receipt BLOB NOT NULL, chk BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE hold(
  ordinal INTEGER NOT NULL, scope TEXT NOT NULL, expires_at_ms INTEGER NOT NULL, chk BLOB NOT NULL,
  PRIMARY KEY(ordinal, scope)
) STRICT, WITHOUT ROWID;
CREATE TABLE lease(
  name TEXT PRIMARY KEY, token INTEGER NOT NULL, owner TEXT NOT NULL, boot_id TEXT NOT NULL,
  pid_namespace INTEGER NOT NULL, pid INTEGER NOT NULL, start_time INTEGER NOT NULL,
  expires_at_ms INTEGER NOT NULL, held INTEGER NOT NULL, chk BLOB NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Makes the tables in an empty database. What can only be set before the first table is set here;
/// write-ahead logging comes last, so that the header is in the database file itself.
pub(super) fn create(
    conn: &Connection,
    format: u64,
    fill: impl FnOnce() -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    conn.pragma_update(None, "page_size", 4096)?;
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    conn.pragma_update(None, "secure_delete", true)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.pragma_update(None, "user_version", format.cast_signed())?;
    conn.execute_batch("BEGIN IMMEDIATE")?;
    conn.execute_batch(TABLES)?;
    conn.execute_batch(dead_rows::CREATE)?;
    fill()?;
    conn.execute_batch("COMMIT")?;
    enter_log_mode(conn)
}

/// Sets write-ahead logging, in the database file itself.
pub(super) fn enter_log_mode(conn: &Connection) -> rusqlite::Result<()> {
    // SQLite keeps the old mode, and answers it, when it can't change it. That the change was not written
    // it only says after that answer, so the statement is run to its end.
    let mut statement = conn.prepare("PRAGMA journal_mode = WAL")?;
    let mut rows = statement.query([])?;
    let mut mode = String::new();
    while let Some(row) = rows.next()? {
        mode = row.get(0)?;
    }
    if mode == "wal" {
        Ok(())
    } else {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR);
        let why = format!("the journal mode stays {mode}");
        Err(rusqlite::Error::SqliteFailure(code, Some(why)))
    }
}
