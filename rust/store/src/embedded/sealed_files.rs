//! The journal's sealed files: written, held, and removed when no row names them.
//!
//! Promises: a file is locked by who writes it until its row is committed; one that nobody has, and no row names, is what a
//! crash left, and goes with the next collection, seal, expiry, erase or vacuum. What stays is counted.
//! Must never: write over a file, or remove one as long as a row that may name it is missing.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ulid::Ulid;

use super::EmbeddedStore;
use super::core::{Core, Shared};
use super::directory::FILES_LOCK;
use super::disk::{Disk, parent};
use super::files_lock::keep_files;
use super::sealed_rows::FOLDER;
use super::sqlite_error::io_error;
use super::staging::is_in_use;
use super::stray_files::{Settle, settling};
use crate::error::{Result, StoreError};
use crate::gc::Kept;
use crate::sealed::SealedFile;

impl EmbeddedStore {
    /// Makes the file that is to be sealed, empty, and locked so that nobody takes it for a dead one's. Errors: `LockTimeout`
    /// while files are removed, `DiskFull`, `Io`.
    pub(super) fn hold_sealed(&self, file: &SealedFile) -> Result<HeldFile> {
        let shared = &self.writable()?.shared;
        // Who removes files sees it locked, or not at all.
        let _kept = keep_files(&shared.root.join(FILES_LOCK), &shared.disk, self.lock_wait)?;
        HeldFile::make(&shared.root, &shared.disk, file)
    }

    /// See [`Shared::remove_stray_sealed_files`]. What stays because rows are damaged is told of by a collection.
    pub(super) fn remove_stray_sealed_files(&self) -> Result<()> {
        let settle = || self.ask_writer(settling);
        let shared = &self.writable()?.shared;
        shared.remove_stray_sealed_files(&settle).map(drop)
    }
}

impl Shared {
    /// Sealed files that no row names: what is being sealed now, and what a crash left. Errors: `Io`.
    pub(super) fn unnamed_sealed_files(&self) -> Result<Vec<String>> {
        let folder = self.root.join(FOLDER);
        let failed = |error| io_error("list", &folder, error);
        let listed = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed.map_err(failed)?,
        };
        let mut unnamed = Vec::new();
        for entry in listed {
            let name = entry.map_err(failed)?.file_name();
            let name = name.to_string_lossy().into_owned();
            if is_sealed_name(&name) && !self.names_sealed(&name)? {
                unnamed.push(name);
            }
        }
        Ok(unnamed)
    }

    fn names_sealed(&self, name: &str) -> Result<bool> {
        let named = self
            .connections
            .reading(|session| session.names_sealed_file(name));
        match named {
            // No sound row does. That it is damaged shows when all of them are looked at.
            Err(StoreError::Corrupt { .. }) => Ok(false),
            named => named,
        }
    }

    /// Removes those that nobody holds, unless somebody copies files: the next collection does then. Where the rows don't
    /// follow one another all of them stay: one may be the missing row's. Errors: `Io`, those of a commit.
    pub(super) fn remove_stray_sealed_files(&self, settle: Settle<'_>) -> Result<Kept> {
        let unnamed = self.unnamed_sealed_files()?;
        if unnamed.is_empty() {
            return Ok(Kept::default());
        }
        settle()?;
        let Some(_alone) = self.may_remove_files() else {
            return Ok(Kept::default());
        };
        match self.remove_dead_sealed_files(&unnamed) {
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::warn!(%error, "sealed files without a row stay: one may be the missing row's");
                Ok(Kept::because(unnamed.len() as u64, &error))
            }
            removed => removed.map(|()| Kept::default()),
        }
    }

    /// The same for who is alone with the files, and has committed since they were listed. What was removed stays so,
    /// whatever fails. Errors: `Corrupt`, `Io`.
    pub(super) fn remove_dead_sealed_files(&self, unnamed: &[String]) -> Result<()> {
        if unnamed.is_empty() {
            return Ok(());
        }
        self.connections.reading(|session| {
            session.run("BEGIN", "read")?;
            let whole = session.expect_whole_journal();
            // Ends a read; if it fails, the connection is not used again.
            drop(session.run("ROLLBACK", "read"));
            whole
        })?;
        let folder = self.root.join(FOLDER);
        for name in unnamed {
            let path = folder.join(name);
            // Who held it may have committed its row since.
            if is_in_use(&path) || self.names_sealed(name)? {
                continue;
            }
            match self.disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error("remove", &path, error));
                }
                _ => {}
            }
        }
        self.sync_sealed_files()
    }

    /// What was removed does not come back with a power failure: no row would tell of it. Errors: `Io`.
    pub(super) fn sync_sealed_files(&self) -> Result<()> {
        let folder = self.root.join(FOLDER);
        match self.disk.sync_directory(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            synced => synced.map_err(|error| io_error("sync", &folder, error)),
        }
    }
}

/// A file that is sealed now. Dropped when its row is committed: until then it is locked.
#[must_use]
pub(super) struct HeldFile {
    path: PathBuf,
    file: File,
    disk: Disk,
}

impl HeldFile {
    /// Makes it, empty, in a folder that is on disk; by who keeps those away who remove files. Errors: `DiskFull`, `Io`.
    pub(super) fn make(root: &Path, disk: &Disk, file: &SealedFile) -> Result<Self> {
        let folder = root.join(FOLDER);
        let path = folder.join(file.name());
        let made = disk
            .make_directory(&folder)
            // That it is there tells nothing of its name being on disk.
            .and_then(|()| disk.sync_directory(root))
            .and_then(|()| disk.open(&path, File::options().write(true).create_new(true)))
            .and_then(|file| file.try_lock().map_err(io::Error::from).map(|()| file));
        match made {
            Ok(file) => Ok(Self {
                path,
                file,
                disk: disk.clone(),
            }),
            Err(error) => {
                left_behind(disk, &path);
                Err(io_error("write", &path, error))
            }
        }
    }

    /// Its bytes and its name are on disk. Errors: `DiskFull`, `Io`; nothing is left behind then.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<()> {
        let Self { path, file, disk } = self;
        let write = |bytes: &[u8]| (&mut &*file).write_all(bytes);
        let written = disk
            .write(Some(path), 0, bytes, write, |error| error)
            .and_then(|()| disk.sync_opened(path, file))
            .and_then(|()| disk.sync_directory(parent(path)));
        written.map_err(|error| {
            left_behind(disk, path);
            io_error("write", path, error)
        })
    }
}

fn left_behind(disk: &Disk, path: &Path) {
    if path.exists()
        && let Err(error) = disk.remove(path)
    {
        tracing::warn!(%error, path = %path.display(), "a file without a row stays behind");
    }
}

/// Both, for who is alone with the directory, or with its files. Errors: as [`HeldFile::write`].
pub(super) fn write_sealed(
    root: &Path,
    disk: &Disk,
    file: &SealedFile,
    bytes: &[u8],
) -> Result<HeldFile> {
    let held = HeldFile::make(root, disk, file)?;
    held.write(bytes)?;
    Ok(held)
}

pub(super) fn remove_sealed(core: &Core, file: &SealedFile) {
    let path = core.shared.root.join(FOLDER).join(file.name());
    if let Err(error) = core.shared.disk.remove(&path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %path.display(), "a file without a row stays behind");
    }
}

fn is_sealed_name(name: &str) -> bool {
    let mut parts = name.split('-');
    let digits = |part: &str| part.len() == 20 && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.next().is_some_and(digits)
        && parts.next().is_some_and(digits)
        && parts.next().is_some_and(|id| id.parse::<Ulid>().is_ok())
        && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::Durability;
    use crate::embedded::OpenOptions;
    use crate::embedded::retention::tests::act;
    use crate::embedded::retention::{expire_rows, next_piece};
    use crate::erasure::EraseOptions;
    use crate::gc::GcOptions;
    use crate::retention::ExpireBefore;
    use crate::store::Store;

    fn sealed_names(path: &Path) -> Vec<String> {
        match fs::read_dir(path.join(FOLDER)) {
            Ok(found) => found
                .map(|file| file.unwrap().file_name().to_string_lossy().into_owned())
                .collect(),
            Err(_) => Vec::new(),
        }
    }

    /// A file that is whole and has no row: between the two somebody was killed, or is on his way.
    fn write_without_row(store: &EmbeddedStore) -> HeldFile {
        let piece = store.reading(|session| next_piece(session, 1)).unwrap();
        let (file, bytes) = SealedFile::seal(&piece.before, &piece.rows)
            .unwrap()
            .unwrap();
        let held = store.hold_sealed(&file).unwrap();
        held.write(&bytes).unwrap();
        held
    }

    fn with_commits(path: &Path) -> EmbeddedStore {
        let store = EmbeddedStore::open(path, &OpenOptions::default()).unwrap();
        for number in 0..10 {
            let scope = if number % 2 == 0 { "alice" } else { "bob" };
            act(&store, scope, number);
        }
        store
    }

    type Verb = fn(&EmbeddedStore);

    /// What takes away what the dead left, and says so if it could not.
    const VERBS: [(&str, Verb); 5] = [
        ("gc", |store| {
            store.gc(&GcOptions::default()).unwrap();
        }),
        ("vacuum", |store| {
            store.vacuum().unwrap();
        }),
        ("erase", |store| {
            store.erase("alice", &EraseOptions::default()).unwrap();
        }),
        ("seal", |store| {
            store.seal_journal(20).unwrap();
        }),
        ("expire", |store| {
            store.expire_journal(&ExpireBefore::Time(0)).unwrap();
        }),
    ];

    #[test]
    fn a_sealed_file_of_who_was_killed_goes_at_once() {
        for (name, verb) in VERBS {
            let home = tempfile::tempdir().unwrap();
            let store = with_commits(home.path());
            drop(write_without_row(&store));
            assert_eq!(sealed_names(home.path()).len(), 1);
            verb(&store);
            assert_eq!(sealed_names(home.path()), [""; 0], "{name}");
            assert_eq!(store.verify(None).unwrap().findings, []);
            assert!(store.vacuum().unwrap().is_complete(), "{name}");
        }
    }

    #[test]
    fn a_sealed_file_on_its_way_stays_and_is_counted() {
        for (name, verb) in VERBS {
            let home = tempfile::tempdir().unwrap();
            let store = with_commits(home.path());
            let held = write_without_row(&store);
            verb(&store);
            assert_eq!(sealed_names(home.path()).len(), 1, "{name}");
            let vacuumed = store.vacuum().unwrap();
            assert_eq!((vacuumed.files_left, vacuumed.is_complete()), (1, false));
            drop(held);
            assert!(store.vacuum().unwrap().is_complete(), "{name}");
        }
    }

    #[test]
    fn an_expired_file_of_who_was_killed_goes_at_once() {
        for (name, verb) in VERBS {
            let home = tempfile::tempdir().unwrap();
            let store = with_commits(home.path());
            store.seal_journal(2).unwrap();
            let before = ExpireBefore::Time(i64::MAX);
            let expired = store.in_freeing_transaction(Durability::Durable, move |transaction| {
                expire_rows(transaction, &before).map(|expired| expired.files)
            });
            assert_eq!(expired.unwrap().len(), 1);
            assert_eq!(sealed_names(home.path()).len(), 1);
            verb(&store);
            assert_eq!(sealed_names(home.path()), [""; 0], "{name}");
            assert!(store.vacuum().unwrap().is_complete(), "{name}");
        }
    }

    #[test]
    fn a_sealed_file_stays_while_its_row_may_be_the_one_that_is_missing() {
        for sql in [
            "DELETE FROM manifest WHERE key LIKE 'journal/%'",
            "UPDATE manifest SET key = 'journbl/' || substr(key, 9) WHERE key LIKE 'journal/%'",
            "UPDATE manifest SET value = zeroblob(8) WHERE key LIKE 'journal/%'",
        ] {
            let home = tempfile::tempdir().unwrap();
            let store = with_commits(home.path());
            store.seal_journal(2).unwrap();
            drop(store);
            let conn = rusqlite::Connection::open(home.path().join("store.db")).unwrap();
            conn.execute_batch(sql).unwrap();
            drop(conn);
            let store = EmbeddedStore::open(home.path(), &OpenOptions::default()).unwrap();
            let report = store.remove_stray_sealed_files();
            assert!(report.is_ok());
            let kept = store
                .core
                .shared
                .remove_stray_sealed_files(&|| store.ask_writer(settling))
                .unwrap();
            assert_eq!(kept.files, 1, "{sql}");
            assert!(kept.why.is_some());
            assert_eq!(sealed_names(home.path()).len(), 1, "{sql}");
        }
    }
}
