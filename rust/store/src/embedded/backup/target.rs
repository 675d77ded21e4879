//! The directory that a backup or a restore goes into.
//!
//! A marker is written first, and is on disk before anything else is made: a directory with a marker and
//! without a database is unfinished, and refused by whoever opens it. A backup keeps its marker, which makes
//! it read-only; a restore removes it at the end.
//! Must never: change a directory that has no marker and anything in it.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::bucket::Bucket;
use crate::clock::Clock;
use crate::embedded::blob::{BlobFiles, without_tree_suffix};
use crate::embedded::connections::set_up;
use crate::embedded::dead_rows;
use crate::embedded::directory::{BACKUP, DATABASE_NEW, Directory, FILES_LOCK, RESTORE};
use crate::embedded::disk::Disk;
use crate::embedded::file_system;
use crate::embedded::files_lock::may_remove_files;
use crate::embedded::fork::{self, Inside};
use crate::embedded::lock::WriteLock;
use crate::embedded::objects::{self, Objects, Owner};
use crate::embedded::registry::{self, BareUse};
use crate::embedded::session::Session;
use crate::embedded::sqlite_error::{io_error, map};
use crate::embedded::statements::Prepared;
use crate::embedded::vfs::Shim;
use crate::error::{Result, StoreError};
use rusqlite::{Connection, OpenFlags};

const MARKER_TEXT_BACKUP: &str = "A backup of a treering store. Open it for reading, or make a store of it with `treering restore`.\n";
const MARKER_TEXT_RESTORE: &str = "A treering store that is being restored from a backup.\n";
/// Before the directory of the store that a backup is of, in its marker.
const MARKER_SOURCE: &str = "of ";
/// KiB, negative by SQLite's rule.
const CACHE_KIB: i64 = -32_768;

/// What a directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing that counts: it was empty, or is unfinished.
    Nothing,
    /// A backup.
    Store,
}

/// A directory that is ours to write, until this is dropped.
pub(super) struct Target {
    directory: Directory,
    marker: &'static str,
    found: Found,
    disk: Disk,
    blobs: BlobFiles,
    lock: WriteLock,
}

impl Target {
    /// Makes the directory if it is absent, marks it, and takes its lock. `source`: the store's directory.
    ///
    /// Errors: `Invalid` for a directory that has something else in it, lies in the store or on a network
    /// file system; `LockTimeout`, `Io`.
    pub(super) fn claim(
        path: &Path,
        marker: &'static str,
        source: &Path,
        disk: &Disk,
        wait: Duration,
    ) -> Result<Self> {
        let inside = "it is the store's own directory, or inside it";
        let above = path.ancestors().find(|above| above.exists());
        let above = above.map(fs::canonicalize).transpose();
        if above.is_ok_and(|above| above.is_some_and(|above| above.starts_with(source))) {
            return Err(refused(marker, path, inside));
        }
        if !path.exists() {
            disk.make_directories(path)
                .map_err(|error| io_error("make", path, error))?;
        }
        let root = fs::canonicalize(path).map_err(|error| io_error("open", path, error))?;
        if root.starts_with(source) {
            return Err(refused(marker, &root, inside));
        }
        file_system::refuse_network(&root)?;
        let directory = Directory::at(root);
        if !directory.root().join(marker).exists() {
            refuse_used(&directory, marker)?;
            mark(&directory, marker, source, disk)?;
        }
        let lock = WriteLock::open(&directory.lock(), disk)?;
        wait_for(&lock, wait)?;
        let found = if directory.database().exists() {
            Found::Store
        } else {
            Found::Nothing
        };
        if marker == RESTORE && found == Found::Store {
            return Err(refused(marker, directory.root(), "there is a store in it"));
        }
        let blobs = BlobFiles::new(directory.blobs(), Arc::default(), disk.clone());
        Ok(Self {
            directory,
            marker,
            found,
            disk: disk.clone(),
            blobs,
            lock,
        })
    }

    /// Large blocks go to that bucket, where nothing else may lie. What an unfinished restore into this directory has made
    /// there is gone on with: its marker says which place was its own. Errors: `Invalid`, `Bucket`, `Io`.
    pub(super) fn put_large_blocks_in(
        &self,
        bucket: &Arc<dyn Bucket>,
        store_id: String,
    ) -> Result<()> {
        let path = self.root().join(self.marker);
        let text = fs::read_to_string(&path).map_err(|error| io_error("read", &path, error))?;
        // One for each place that was tried.
        let mut noted = text.lines().filter_map(Owner::from_line);
        let owner = match noted.find(|owner| bucket.is_at(&owner.url)) {
            Some(owner) => owner,
            None => {
                objects::expect_free(&**bucket)?;
                let owner = Owner::new(&**bucket);
                self.note(&owner.to_line())?;
                owner
            }
        };
        let objects = Objects::new(
            Arc::clone(bucket),
            (owner, store_id),
            self.directory.blobs(),
            &self.disk,
            &Clock::system(),
        );
        objects.claim()?;
        self.blobs.set_objects(objects);
        Ok(())
    }

    /// Puts a line into the marker. Errors: `Io`, `DiskFull`.
    pub(super) fn note(&self, line: &str) -> Result<()> {
        let path = self.root().join(self.marker);
        let noted = || {
            let mut file = self.disk.open(&path, File::options().append(true))?;
            let at = file.metadata()?.len();
            let line = format!("{line}\n");
            let write = |bytes: &[u8]| file.write_all(bytes);
            self.disk
                .write(Some(&path), at, line.as_bytes(), write, |error| error)?;
            self.disk.sync_file(&path)
        };
        noted().map_err(|error: io::Error| io_error("write", &path, error))
    }

    pub(super) fn found(&self) -> Found {
        self.found
    }

    pub(super) fn root(&self) -> &Path {
        self.directory.root()
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(super) fn blobs(&self) -> BlobFiles {
        self.blobs.clone()
    }

    pub(super) fn new_database(&self) -> PathBuf {
        self.root().join(DATABASE_NEW)
    }

    /// Makes room for a first copy. Large blocks that an unfinished one left are used again.
    pub(super) fn clear(&self) -> Result<()> {
        self.directory.remove_leftovers(&self.disk)
    }

    /// The copied database is whole and on disk: it gets its name.
    pub(super) fn name_database(&self) -> Result<()> {
        self.directory.name_database(&self.disk)
    }

    /// A restored store is one like any other. Errors: `Io`.
    pub(super) fn drop_marker(&self) -> Result<()> {
        let path = self.root().join(self.marker);
        self.disk
            .remove(&path)
            .and_then(|()| self.disk.sync_directory(self.root()))
            .map_err(|error| io_error("remove", &path, error))
    }

    /// The database of a backup that is there, to be changed.
    pub(super) fn open_database(&self) -> Result<Open> {
        let path = self.directory.database();
        let log = self.directory.log();
        // As when a store is opened: a log whose fsync failed once is not to be trusted before it was
        // written anew.
        if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
            self.disk
                .write_anew(&log)
                .map_err(|error| io_error("write anew", &log, error))?;
        }
        self.disk
            .sync_directory(self.root())
            .map_err(|error| io_error("sync", self.root(), error))?;
        let inside = fork::enter();
        let bare = registry::use_bare(&self.directory)?;
        let shim = Shim::register(Arc::default(), self.disk.clone())
            .map_err(|error| io_error("open", &path, error))?;
        let failed = |error: rusqlite::Error| map(&error, "open", &path);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn =
            Connection::open_with_flags_and_vfs(&path, flags, shim.name()).map_err(failed)?;
        set_up(&conn, CACHE_KIB).map_err(failed)?;
        conn.pragma_update(None, "synchronous", "FULL")
            .map_err(failed)?;
        conn.pragma_update(None, "secure_delete", true)
            .map_err(failed)?;
        conn.execute_batch(dead_rows::CREATE).map_err(failed)?;
        Ok(Open {
            conn: Prepared::new(conn),
            path,
            shim,
            _bare: bare,
            _inside: inside,
        })
    }

    /// Removes large blocks that no row names: of blocks that are gone, and of backups that ended early.
    /// What can't be removed stays until the next backup.
    pub(super) fn remove_unnamed_files(&self, session: Session<'_>) {
        if let Err(error) = self.try_remove_unnamed_files(session) {
            tracing::warn!(%error, path = %self.root().display(), "files without a row stay behind");
        }
    }

    fn try_remove_unnamed_files(&self, session: Session<'_>) -> Result<()> {
        let blobs = self.blobs();
        let listed = blobs.list()?;
        if listed.is_empty() {
            return Ok(());
        }
        let lock = self.root().join(FILES_LOCK);
        let alone =
            may_remove_files(&lock, &self.disk).map_err(|error| io_error("lock", &lock, error))?;
        if alone.is_none() {
            // A store is being restored from here.
            return Ok(());
        }
        let named = named_files(session)?;
        for (file, _) in listed {
            let name = without_tree_suffix(&file);
            if !named.contains(name) {
                blobs.remove(name);
            }
        }
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(objects) = self.blobs.objects() {
            objects.close();
        }
        // Closing the file unlocks, too.
        drop(self.lock.unlock());
    }
}

/// A backup's database, without a core: nobody else writes to it while its lock is held.
pub(super) struct Open {
    // The connection first: it is dropped before what it uses.
    conn: Prepared,
    path: PathBuf,
    shim: Shim,
    _bare: BareUse,
    _inside: Inside,
}

impl Open {
    pub(super) fn session(&self) -> Session<'_> {
        Session::new(&self.conn, &self.path, self.shim.disk())
    }
}

/// The store that a backup was first made of, by its marker; None where there is none, or it does not say so.
pub(super) fn source_of(backup: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(backup.join(BACKUP)).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(MARKER_SOURCE));
    line.map(PathBuf::from)
}

/// Files of large blocks that rows name. O(large blocks), in memory.
pub(super) fn named_files(session: Session<'_>) -> Result<HashSet<String>> {
    session
        .prepared("SELECT file FROM block WHERE file IS NOT NULL")?
        .query_map([], |row| row.get(0))
        .and_then(Iterator::collect)
        .map_err(|error| session.unread(error))
}

/// Errors: `Invalid` for a directory with anything in it.
fn refuse_used(directory: &Directory, marker: &str) -> Result<()> {
    let root = directory.root();
    if directory.database().exists() {
        return Err(refused(marker, root, "there is a store in it"));
    }
    let mut entries = fs::read_dir(root).map_err(|error| io_error("list", root, error))?;
    match entries.next() {
        None => Ok(()),
        Some(entry) => {
            let entry = entry.map_err(|error| io_error("list", root, error))?;
            let why = format!("there are other files in it ({:?})", entry.file_name());
            Err(refused(marker, root, &why))
        }
    }
}

fn refused(marker: &str, root: &Path, why: &str) -> StoreError {
    StoreError::Invalid {
        what: if marker == BACKUP {
            "directory for a backup"
        } else {
            "directory for a restored store"
        },
        value: root.display().to_string(),
        rule: format!("{why}; give an absent or empty one"),
    }
}

/// From here on an unfinished directory is told from an empty one.
fn mark(directory: &Directory, marker: &str, source: &Path, disk: &Disk) -> Result<()> {
    let path = directory.root().join(marker);
    let text = if marker == BACKUP {
        format!("{MARKER_TEXT_BACKUP}{MARKER_SOURCE}{}\n", source.display())
    } else {
        MARKER_TEXT_RESTORE.to_owned()
    };
    let mut how = File::options();
    how.write(true).create(true).truncate(true);
    let written = disk.open(&path, &how).and_then(|mut file| {
        let bytes = text.as_bytes();
        disk.write(
            Some(&path),
            0,
            bytes,
            |bytes| file.write_all(bytes),
            |error| error,
        )?;
        disk.sync_file(&path)?;
        disk.sync_directory(directory.root())
    });
    written.map_err(|error: io::Error| io_error("write", &path, error))
}

/// Only backups into one directory meet here.
fn wait_for(lock: &WriteLock, wait: Duration) -> Result<()> {
    lock.lock_within(wait).map_err(|error| match error {
        StoreError::LockTimeout { waited_ms, holder } => StoreError::LockTimeout {
            waited_ms,
            holder: format!("another backup there, by {holder}"),
        },
        error => error,
    })
}
