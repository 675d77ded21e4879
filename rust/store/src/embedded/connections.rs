//! The SQLite connections of one open store: one that writes, a few that read.
//!
//! Promises: a connection is only used, opened or closed while its holder keeps forks waiting; settings
//! that durability rests on are checked, not assumed.
//! Never: closing a connection checkpoints or removes the log (another process may be reading it).

use std::cell::Cell;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, FileControl, MAIN_DB, OpenFlags};

use super::dead_rows;
use super::directory::{Identity, identity, leads_elsewhere};
use super::fork::{self, Inside};
use super::manifest_rows::Totals;
use super::recent_blocks::RecentBlocks;
use super::session::Session;
use super::sqlite_error::map;
use super::statements::Prepared;
use super::vfs::Shim;
use crate::commit::Durability;
use crate::error::{Result, StoreError};
use crate::ledger::Tip;

/// SQLite before this one had bugs in write-ahead logging that lose commits.
const SQLITE_MIN: (i32, &str) = (3_051_003, "3.51.3");
/// Pages that the writer keeps: the digest index of about 3 million blocks (KiB, negative by SQLite's rule).
const WRITER_CACHE_KIB: i64 = -98_304;
/// A log that one huge commit made longer is cut to this when it starts anew. Not shorter: writing over
/// a file is cheaper than making it grow.
const LOG_FILE_BYTES_MAX: i64 = 192 << 20;
const READER_CACHE_KIB: i64 = -8_192;
/// Idle readers that are kept open.
const READERS_IDLE_MAX: usize = 8;
/// Nobody but us holds SQLite's own locks for long; a foreign SQLite on our file may.
pub(super) const BUSY_WAIT: Duration = Duration::from_secs(10);

/// How the database may be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Write,
    /// Nothing may be written, and the log is read where there is one.
    ReadOnly,
}

pub(super) struct Connections {
    // Connections first: they are dropped before what they use.
    readers: Mutex<Vec<Reader>>,
    /// The store is closed: a reader that is still out is not kept when it comes back.
    closed: AtomicBool,
    writer: Mutex<Option<Writer>>,
    database: PathBuf,
    /// Of the file that is open: another one may come to stand at its path.
    identity: Identity,
    log: PathBuf,
    mode: Mode,
    shim: Shim,
}

/// Why a store whose path leads elsewhere by now is not used any more.
pub(super) const MOVED: &str = "the store's directory, or its lock file, was removed or renamed";

/// The connection that writes.
pub(super) struct Writer {
    pub(super) conn: Prepared,
    durability: Durability,
    /// What the newest transaction of this connection left, if it is still the newest of all.
    known: Cell<Option<(u32, Known)>>,
}

/// What each transaction starts from; read once, then carried on.
pub(super) struct Known {
    pub(super) totals: Totals,
    /// None: it can not be read.
    pub(super) tip: Option<Tip>,
    /// Blocks that were stored or looked up lately.
    pub(super) recent: RecentBlocks,
    /// Scopes that are being erased.
    pub(super) erasing: Vec<String>,
    /// Nothing of it can be lost to a power failure any more.
    pub(super) on_disk: bool,
}

impl Writer {
    /// What is known of the database inside a transaction; None when somebody else wrote since.
    pub(super) fn known(&self) -> Option<Known> {
        self.known
            .take()
            .filter(|(version, _)| self.data_version() == Some(*version))
            .map(|(_, known)| known)
    }

    /// After COMMIT, before the connection looks at the database again.
    pub(super) fn keep(&self, known: Known) {
        self.known
            .set(self.data_version().map(|version| (version, known)));
    }

    /// SQLite's number for what this connection sees: another one whenever anybody commits.
    fn data_version(&self) -> Option<u32> {
        let mut version = 0;
        let asked = FileControl::DataVersion(&mut version);
        self.conn.file_control(Some(MAIN_DB), asked).ok()?;
        Some(version)
    }
}

/// A connection that reads.
struct Reader {
    conn: Prepared,
    /// Set on one that was opened without locks, because nothing can be written beside a database on a
    /// read-only disk: what the database looked like then.
    unlocked: Option<FileLook>,
    /// Set on one that was opened before the store had the table of the dead.
    knows_no_dead: bool,
}

impl Reader {
    /// Whether it sees all that there is: the table of the dead may have been made since.
    fn is_current(&self) -> bool {
        !self.knows_no_dead || matches!(dead_rows::exist(&self.conn), Ok(false))
    }
}

/// Tells whether a file was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileLook {
    modified: Option<std::time::SystemTime>,
    bytes: u64,
}

impl Connections {
    pub(super) fn new(database: PathBuf, log: PathBuf, mode: Mode, shim: Shim) -> Result<Self> {
        if rusqlite::version_number() < SQLITE_MIN.0 {
            return Err(StoreError::Invalid {
                what: "SQLite",
                value: rusqlite::version().to_owned(),
                rule: format!("{} or newer is needed", SQLITE_MIN.1),
            });
        }
        Ok(Self {
            readers: Mutex::default(),
            closed: AtomicBool::new(false),
            writer: Mutex::default(),
            identity: identity(&database)?,
            database,
            log,
            mode,
            shim,
        })
    }

    /// Errors: `Poisoned` once the path leads elsewhere: what is opened or read by path is another store's.
    pub(super) fn expect_in_place(&self) -> Result<()> {
        if leads_elsewhere(&self.database, self.identity) {
            return Err(StoreError::Poisoned { why: MOVED.into() });
        }
        Ok(())
    }

    /// What an error of reading by path means.
    pub(super) fn explain(&self, error: StoreError) -> StoreError {
        self.expect_in_place().err().unwrap_or(error)
    }

    pub(super) fn database(&self) -> &Path {
        &self.database
    }

    /// One of these connections, for one piece of work.
    pub(super) fn session<'c>(&'c self, conn: &'c Prepared) -> Session<'c> {
        Session::new(conn, &self.database, self.shim.disk())
    }

    /// A reader for one piece of work. Errors: `Corrupt`, `Io`.
    pub(super) fn read(&self) -> Result<ReadSession<'_>> {
        let inside = fork::enter();
        let idle = lock(&self.readers).pop();
        let reader = match idle {
            Some(reader)
                if (reader.unlocked.is_none() || reader.unlocked == self.unlocked_look())
                    && reader.is_current() =>
            {
                reader
            }
            _ => self.open_reader()?,
        };
        Ok(ReadSession {
            reader: Some(reader),
            connections: self,
            _inside: inside,
        })
    }

    /// Reads once, and once more when the database was changed under a reader without locks.
    pub(super) fn reading<T>(&self, work: impl Fn(Session<'_>) -> Result<T>) -> Result<T> {
        for _ in 0..3 {
            let session = self.read()?;
            let answer = work(session.session());
            if session.is_still_true() {
                return answer;
            }
        }
        Err(StoreError::Invalid {
            what: "store directory",
            value: self.database.display().to_string(),
            rule: "it is read-only for this process and written by another one; make the directory writable".into(),
        })
    }

    /// The writer, with the setting that this durability needs. Only the writer thread asks.
    pub(super) fn writer(
        &self,
        _inside: &Inside,
        durability: Durability,
    ) -> Result<WriterGuard<'_>> {
        let mut slot = lock(&self.writer);
        let mut writer = match slot.take() {
            Some(writer) => writer,
            None => self.open_writer()?,
        };
        if writer.durability != durability {
            // NORMAL leaves out the fsync at COMMIT and nothing else. It only changes outside a transaction.
            let level = match durability {
                Durability::Durable => "FULL",
                Durability::Relaxed => "NORMAL",
            };
            writer
                .conn
                .pragma_update(None, "synchronous", level)
                .map_err(|error| self.map(&error, "set up"))?;
            writer.durability = durability;
        }
        *slot = Some(writer);
        Ok(WriterGuard(slot))
    }

    /// Closes everything for good: what is still in use goes when it is given back.
    pub(super) fn close_all(&self, _inside: &Inside) {
        let mut readers = lock(&self.readers);
        self.closed.store(true, SeqCst);
        readers.clear();
        drop(readers);
        *lock(&self.writer) = None;
    }

    /// Before a fork: nobody is inside, so no mutex is held. What is used next is opened again.
    pub(super) fn close_for_fork(&self) {
        lock(&self.readers).clear();
        *lock(&self.writer) = None;
    }

    fn map(&self, error: &rusqlite::Error, action: &'static str) -> StoreError {
        map(error, action, &self.database)
    }

    fn open_writer(&self) -> Result<Writer> {
        let failed = |error: rusqlite::Error| self.map(&error, "open");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags_and_vfs(&self.database, flags, self.shim.name())
            .map_err(failed)?;
        self.expect_in_place()?;
        set_up(&conn, WRITER_CACHE_KIB).map_err(failed)?;
        conn.pragma_update(None, "journal_size_limit", LOG_FILE_BYTES_MAX)
            .map_err(failed)?;
        conn.pragma_update(None, "secure_delete", true)
            .map_err(failed)?;
        conn.pragma_update(None, "synchronous", "FULL")
            .map_err(failed)?;
        if !dead_rows::exist(&conn).map_err(failed)? {
            conn.execute_batch(dead_rows::CREATE).map_err(failed)?;
        }
        let mode: String = conn
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .map_err(failed)?;
        let level: i64 = conn
            .pragma_query_value(None, "synchronous", |row| row.get(0))
            .map_err(failed)?;
        if mode != "wal" || level != 2 {
            return Err(StoreError::Corrupt {
                what: "database",
                which: self.database.display().to_string(),
                detail: format!(
                    "it is set to journal mode {mode}, synchronous {level}; another program changed it"
                ),
            });
        }
        Ok(Writer {
            conn: Prepared::new(conn),
            durability: Durability::Durable,
            known: Cell::new(None),
        })
    }

    fn open_reader(&self) -> Result<Reader> {
        let failed = |error: rusqlite::Error| self.map(&error, "open");
        let access = match self.mode {
            Mode::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
            Mode::ReadOnly => OpenFlags::SQLITE_OPEN_READ_ONLY,
        };
        let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags_and_vfs(&self.database, flags, self.shim.name())
            .and_then(|conn| {
                set_up(&conn, READER_CACHE_KIB)?;
                // The first read is what finds out whether the log and its index can be opened.
                conn.query_row("SELECT count(*) FROM manifest", [], |_| Ok(()))?;
                let knows_no_dead = without_dead(&conn)?;
                conn.pragma_update(None, "query_only", true)?;
                Ok((conn, knows_no_dead))
            });
        self.expect_in_place()?;
        match opened {
            Ok((conn, knows_no_dead)) => Ok(Reader {
                conn: Prepared::new(conn),
                unlocked: None,
                knows_no_dead,
            }),
            Err(error) if self.mode == Mode::ReadOnly => match self.unlocked_look() {
                Some(look) => self.open_unlocked(look).map_err(failed),
                None => Err(failed(error)),
            },
            Err(error) => Err(failed(error)),
        }
    }

    /// A reader without locks and log, for a read-only disk where SQLite can't make the log's index.
    fn open_unlocked(&self, look: FileLook) -> rusqlite::Result<Reader> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        let uri = format!("file:{}?immutable=1", uri_path(&self.database));
        let conn = Connection::open_with_flags_and_vfs(uri, flags, self.shim.name())?;
        set_up(&conn, READER_CACHE_KIB)?;
        let knows_no_dead = without_dead(&conn)?;
        conn.pragma_update(None, "query_only", true)?;
        Ok(Reader {
            conn: Prepared::new(conn),
            unlocked: Some(look),
            knows_no_dead,
        })
    }

    /// What the database looks like; None when there is a log with something in it, so that reading
    /// without it would be wrong.
    fn unlocked_look(&self) -> Option<FileLook> {
        if fs::metadata(&self.log).is_ok_and(|log| log.len() > 0) {
            return None;
        }
        let about = fs::metadata(&self.database).ok()?;
        Some(FileLook {
            modified: about.modified().ok(),
            bytes: about.len(),
        })
    }
}

pub(super) fn set_up(conn: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY_WAIT)?;
    conn.set_prepared_statement_cache_capacity(64);
    // Closing must neither wait for the last reader nor remove a log that a forked or other process uses;
    // the store checkpoints on its own.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // A plan never depends on bound values: otherwise binding anew has a join parsed anew on every call.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", cache_kib)
}

/// On a store that was made before there was a table of the dead, an empty one takes its place for this
/// connection. True: it did.
fn without_dead(conn: &Connection) -> rusqlite::Result<bool> {
    let absent = !dead_rows::exist(conn)?;
    if absent {
        conn.execute_batch(dead_rows::CREATE_NONE)?;
    }
    Ok(absent)
}

/// A path in an SQLite URI.
fn uri_path(path: &Path) -> String {
    let mut out = String::new();
    for character in path.to_string_lossy().chars() {
        match character {
            '?' => out.push_str("%3f"),
            '#' => out.push_str("%23"),
            '%' => out.push_str("%25"),
            other => out.push(other),
        }
    }
    out
}

/// A panic under one of these mutexes leaves a list of connections, each of them whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A reader in use; it goes back to the idle ones.
pub(super) struct ReadSession<'c> {
    reader: Option<Reader>,
    connections: &'c Connections,
    _inside: Inside,
}

impl ReadSession<'_> {
    pub(super) fn session(&self) -> Session<'_> {
        match &self.reader {
            Some(reader) => self.connections.session(&reader.conn),
            // `reader` is only taken by drop.
            None => unreachable!("a read session without its connection"),
        }
    }

    /// Whether what was read is the store's: always, but for a reader without locks.
    pub(super) fn is_still_true(&self) -> bool {
        let look = self.reader.as_ref().and_then(|reader| reader.unlocked);
        look.is_none() || look == self.connections.unlocked_look()
    }
}

impl Drop for ReadSession<'_> {
    fn drop(&mut self) {
        let Some(reader) = self.reader.take() else {
            return;
        };
        // A connection left inside a transaction (an error in between) is not for the next one.
        if reader.conn.is_autocommit() {
            let mut idle = lock(&self.connections.readers);
            if idle.len() < READERS_IDLE_MAX && !self.connections.closed.load(SeqCst) {
                idle.push(reader);
            }
        }
    }
}

/// The writer in use.
pub(super) struct WriterGuard<'c>(MutexGuard<'c, Option<Writer>>);

impl WriterGuard<'_> {
    /// Closes it: after a failed COMMIT nothing in its memory is to be trusted.
    pub(super) fn discard(mut self) {
        *self.0 = None;
    }
}

impl Deref for WriterGuard<'_> {
    type Target = Writer;

    fn deref(&self) -> &Writer {
        match &*self.0 {
            Some(writer) => writer,
            // `writer()` fills the slot and `discard` ends the guard.
            None => unreachable!("a writer guard without its connection"),
        }
    }
}
