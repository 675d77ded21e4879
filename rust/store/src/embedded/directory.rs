//! The directory of a store: what lies in it, how it is made, and when it is refused.
//!
//! Promises: a refused directory is left as it was; a store that was made half-way (power failure) is
//! made again, and is never opened half.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};

use super::disk::Disk;
use super::file_system;
use super::lock::WriteLock;
use super::objects::Owner;
use super::options::OpenOptions;
use super::schema::{self, APPLICATION_ID, FORMAT, FORMAT_BUCKET};
use super::session::Session;
use super::sqlite_error::{io_error, map};
use super::statements::Prepared;
use super::vfs::Shim;
use crate::error::{Result, StoreError};

pub(super) const DATABASE: &str = "store.db";
pub(super) const LOG: &str = "store.db-wal";
pub(super) const DATABASE_NEW: &str = "store.db.new";
/// See [`super::files_lock`].
pub(super) const FILES_LOCK: &str = "blobs.lock";
/// See [`super::stripping`].
pub(super) const ERASE_LOCK: &str = "erase.lock";
/// Marks a directory as a backup: it is opened for reading only.
pub(super) const BACKUP: &str = "treering-backup";
/// Marks one into which a backup is being restored.
pub(super) const RESTORE: &str = "treering-restore";
const LOCK: &str = "lock";
const BELL: &str = "bell";
const BLOBS: &str = "blobs";

/// The paths of one store.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    root: PathBuf,
}

impl Directory {
    /// The directory at `root`, whatever is in it.
    pub(super) fn at(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn database(&self) -> PathBuf {
        self.root.join(DATABASE)
    }

    pub(super) fn log(&self) -> PathBuf {
        self.root.join(LOG)
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.root.join(LOCK)
    }

    pub(super) fn bell(&self) -> PathBuf {
        self.root.join(BELL)
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.root.join(BLOBS)
    }

    /// Finds the store at `path`, or makes it. Errors: `NotAStore`, `Invalid` (network file system), `Io`.
    pub(super) fn find_or_make(path: &Path, options: &OpenOptions) -> Result<Self> {
        let create = options.create && !options.read_only;
        if !path.exists() {
            if !create {
                return Err(not_a_store(path, "there is no such directory"));
            }
            options
                .disk
                .make_directories(path)
                .map_err(|error| io_error("make", path, error))?;
        }
        if !path.is_dir() {
            return Err(not_a_store(path, "it is a file, not a directory"));
        }
        let root = fs::canonicalize(path).map_err(|error| io_error("open", path, error))?;
        file_system::refuse_network(&root)?;
        let directory = Self { root };
        if !directory.database().exists() {
            directory.refuse_unfinished()?;
            directory.refuse_foreign()?;
            if !create {
                return Err(not_a_store(path, "it is empty"));
            }
            directory.make(options)?;
        }
        Ok(directory)
    }

    /// Whether this is a backup, which only another backup may change.
    pub(super) fn is_backup(&self) -> bool {
        self.root.join(BACKUP).exists()
    }

    /// A backup or restore that never ended has no database: it must not become an empty store.
    fn refuse_unfinished(&self) -> Result<()> {
        for (marker, what) in [(BACKUP, "backup"), (RESTORE, "restore")] {
            if self.root.join(marker).exists() {
                return Err(not_a_store(
                    &self.root,
                    &format!(
                        "its {what} was not finished; run that again, or remove the directory"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// A directory with anything in it that an unfinished store has not is somebody else's.
    fn refuse_foreign(&self) -> Result<()> {
        let entries =
            fs::read_dir(&self.root).map_err(|error| io_error("list", &self.root, error))?;
        for entry in entries {
            let name = entry
                .map_err(|error| io_error("list", &self.root, error))?
                .file_name();
            let name = name.to_string_lossy();
            let ours = [LOCK, BELL, BLOBS].contains(&&*name) || name.starts_with(DATABASE_NEW);
            if !ours {
                return Err(not_a_store(
                    &self.root,
                    &format!("it has other files in it ({name:?})"),
                ));
            }
        }
        Ok(())
    }

    /// Whether the database is ours and of a format that we know. Errors: `NotAStore`, `NewerFormat`, `Io`.
    ///
    /// Not to be called while this process has the database open: closing any descriptor of a file drops
    /// all POSIX locks that the process has on it, SQLite's too.
    pub(super) fn check_header(&self) -> Result<()> {
        let path = self.database();
        let mut header = Vec::with_capacity(100);
        File::open(&path)
            .and_then(|file| file.take(100).read_to_end(&mut header))
            .map_err(|error| io_error("read", &path, error))?;
        if !header.starts_with(b"SQLite format 3\0")
            || big_endian(&header, 68) != Some(APPLICATION_ID)
        {
            return Err(not_a_store(
                &self.root,
                &format!("its {DATABASE} is not one of treering"),
            ));
        }
        match big_endian(&header, 60).map(u64::from) {
            Some(found) if found > FORMAT_BUCKET => Err(StoreError::NewerFormat {
                path: self.root.display().to_string(),
                found,
                supported: FORMAT_BUCKET,
            }),
            Some(FORMAT | FORMAT_BUCKET) => Ok(()),
            _ => Err(not_a_store(
                &self.root,
                &format!("its {DATABASE} names no format"),
            )),
        }
    }

    /// Makes the store under the write lock: everything is on disk before `store.db` has its name.
    fn make(&self, options: &OpenOptions) -> Result<()> {
        let (disk, lock_wait) = (&options.disk, options.lock_wait);
        let owner = options.blobs.as_deref().map(Owner::new);
        let format = if owner.is_some() {
            FORMAT_BUCKET
        } else {
            FORMAT
        };
        let io = |action: &'static str, path: &Path| {
            let path = path.to_owned();
            move |error: io::Error| io_error(action, &path, error)
        };
        let lock = WriteLock::open(&self.lock(), disk)?;
        lock.lock_within(lock_wait)?;
        if self.database().exists() {
            return Ok(()); // Another process was first.
        }
        self.remove_leftovers(disk)?;
        let new = self.root.join(DATABASE_NEW);
        let failed = |error: rusqlite::Error| map(&error, "make", &new);
        let shim = Shim::register(Arc::default(), disk.clone()).map_err(io("make", &new))?;
        let conn = Connection::open_with_flags_and_vfs(&new, OpenFlags::default(), shim.name())
            .map_err(failed)?;
        let now_ms = crate::clock::Clock::system().now_ms();
        let conn = Prepared::new(conn);
        schema::create(&conn, format, || {
            let session = Session::new(&conn, &new, disk);
            session
                .write_first_manifest(now_ms, owner.as_ref())
                .map_err(|refused| {
                    rusqlite::Error::ToSqlConversionFailure(Box::new(io::Error::other(
                        refused.to_string(),
                    )))
                })
        })
        .map_err(failed)?;
        conn.close().map_err(failed)?;
        self.name_database(disk)
    }

    /// Removes a database that never got its name.
    pub(super) fn remove_leftovers(&self, disk: &Disk) -> Result<()> {
        for leftover in ["", "-journal", "-wal", "-shm"] {
            let path = self.root.join(format!("{DATABASE_NEW}{leftover}"));
            match disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error("remove", &path, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Gives the new database its name, once it and all that belongs to a store is on disk.
    pub(super) fn name_database(&self, disk: &Disk) -> Result<()> {
        let io = |action: &'static str, path: &Path| {
            let path = path.to_owned();
            move |error: io::Error| io_error(action, &path, error)
        };
        let new = self.root.join(DATABASE_NEW);
        disk.make_directory(&self.blobs())
            .map_err(io("make", &self.blobs()))?;
        let mut bell = File::options();
        bell.write(true).create(true).truncate(true);
        disk.open(&self.bell(), &bell)
            .map_err(io("make", &self.bell()))?;
        disk.sync_file(&new).map_err(io("sync", &new))?;
        sync_above(&self.root, disk)?;
        // What a store has beside its database is there before the database has its name.
        disk.sync_directory(&self.root)
            .map_err(io("sync", &self.root))?;
        disk.rename(&new, &self.database())
            .map_err(io("rename", &new))?;
        disk.sync_directory(&self.root)
            .map_err(io("sync", &self.root))
    }
}

/// Waits until the names of a directory and of those above it are on disk, up to where its file system
/// ends. That they are there tells nothing: whoever made them may have died, or failed, before their sync.
/// One that may not be read was there before. Errors: `Io`.
fn sync_above(root: &Path, disk: &Disk) -> Result<()> {
    let Some(device) = device_of(root) else {
        return Ok(());
    };
    for above in root.ancestors().skip(1) {
        if device_of(above) != Some(device) {
            break;
        }
        match disk.sync_directory(above) {
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {
                return Err(io_error("sync", above, error));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(unix)]
fn device_of(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|found| found.dev())
}

/// Windows writes entries with their directory.
#[cfg(not(unix))]
fn device_of(_path: &Path) -> Option<u64> {
    None
}

fn not_a_store(path: &Path, why: &str) -> StoreError {
    StoreError::NotAStore {
        path: path.display().to_string(),
        why: why.to_owned(),
    }
}

fn big_endian(header: &[u8], at: usize) -> Option<u32> {
    header
        .get(at..at.checked_add(4)?)?
        .try_into()
        .ok()
        .map(u32::from_be_bytes)
}

/// What makes two paths the same file.
pub(super) type Identity = (u64, u64);

/// Errors: `Io`.
pub(super) fn identity(path: &Path) -> Result<Identity> {
    let about = fs::metadata(path).map_err(|error| io_error("read", path, error))?;
    Ok(identity_of(path, &about))
}

/// Whether `path` does not lead to that file any more: it was removed or renamed, or another one stands there.
/// Where a path stands for its file ([`identity_of`]) only a removal is seen.
pub(super) fn leads_elsewhere(path: &Path, file: Identity) -> bool {
    match fs::metadata(path) {
        Ok(about) => identity_of(path, &about) != file,
        // Another kind of file may stand in the way by now. Who may not look there does not know.
        Err(error) => error.kind() != io::ErrorKind::PermissionDenied,
    }
}

/// Of a file that `path` led to: device and inode.
#[cfg(unix)]
pub(super) fn identity_of(_path: &Path, about: &fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (about.dev(), about.ino())
}

/// Elsewhere the canonical path stands for it.
#[cfg(not(unix))]
pub(super) fn identity_of(path: &Path, _about: &fs::Metadata) -> Identity {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    (0, hasher.finish())
}

/// Whether this process may write the database, asked without opening it (see [`Directory::check_header`]).
#[cfg(unix)]
pub(super) fn may_write_database(directory: &Directory) -> bool {
    rustix::fs::access(directory.database(), rustix::fs::Access::WRITE_OK).is_ok()
}

/// Elsewhere the file's attribute tells.
#[cfg(not(unix))]
pub(super) fn may_write_database(directory: &Directory) -> bool {
    fs::metadata(directory.database()).is_ok_and(|about| !about.permissions().readonly())
}

/// An error that says the directory may not be written.
pub(super) fn is_read_only(error: &StoreError) -> bool {
    match error {
        StoreError::Io { source, .. } => {
            let source: &Arc<io::Error> = source;
            matches!(
                source.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            )
        }
        StoreError::ReadOnly => true,
        _ => false,
    }
}
