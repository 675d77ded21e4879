//! What an erase does behind Begin: takes away, strips, and ends.
//!
//! One at a time, of all processes: who is at it holds `erase.lock`. The lock of who removes files is taken for a moment, when
//! a sealed file that was written anew is removed; uploads, backups and collections go on in between.
//! Promises: one that can't end, since what may be the scope's can't be read or written, or somebody copies files, keeps no other from ending, and is
//! tried again by the next.
//! Must never: wait for the writer while it keeps others from the files.

use std::path::Path;
use std::time::{Duration, Instant};

use ulid::Ulid;

use super::EmbeddedStore;
use super::directory::{ERASE_LOCK, FILES_LOCK};
use super::erasure_rows::Erasing;
use super::files_lock::{FilesLock, LongFilesLock, may_remove_files};
use super::remains::{Page, Place, without_scope};
use super::sealed_files::remove_sealed;
use super::sqlite_error::io_error;
use super::stray_files::settling;
use crate::commit::Durability;
use crate::erasure::ERASE_ROWS_MAX;
use crate::error::{Result, StoreError};
use crate::sealed::SealedFile;

/// Who waits for a lock looks this often.
const RETRY: Duration = Duration::from_millis(5);

/// An erase that can't end yet.
pub(super) struct Stuck {
    pub(super) id: Ulid,
    pub(super) scope: String,
    /// What is in the way: what can't be read or written, who copies files.
    pub(super) error: StoreError,
}

impl Stuck {
    /// Errors: those of the store as a whole, which no other erase would escape.
    fn by(erasing: &Erasing, error: StoreError) -> Result<Self> {
        match error {
            StoreError::Corrupt { .. }
            | StoreError::DiskFull
            | StoreError::Io { .. }
            | StoreError::LockTimeout { .. } => {}
            error => return Err(error),
        }
        tracing::warn!(%error, "an erased scope can't be stripped yet; if it is damage, verify --repair comes first");
        Ok(Self {
            id: erasing.id,
            scope: erasing.scope.clone(),
            error,
        })
    }
}

/// How long all of one call waits for locks.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    began: Instant,
    limit: Duration,
}

impl Patience {
    pub(super) fn of(limit: Duration) -> Self {
        Self {
            began: Instant::now(),
            limit,
        }
    }
}

impl EmbeddedStore {
    /// Takes away what erases have begun on, this handle's or others'. Those that can't be ended are given back. Errors: `LockTimeout`
    /// while somebody else is at it, or writes; those of a commit. What is left then is not seen by anybody, and the next one goes on.
    pub(super) fn finish_erasing(&self, wait: Duration) -> Result<Vec<Stuck>> {
        self.finish_in_pieces(Patience::of(wait), ERASE_ROWS_MAX)
    }

    /// The same; `rows`: so many at most are taken away by a transaction.
    pub(super) fn finish_in_pieces(&self, wait: Patience, rows: usize) -> Result<Vec<Stuck>> {
        let mut stuck = Vec::new();
        if self.reading(|session| session.erasing())?.is_empty() {
            return Ok(stuck);
        }
        let _alone = self.alone_with_others(wait)?;
        // What needs nobody's leave first, of all.
        let mut left = Vec::new();
        for erasing in self.reading(|session| session.erasing())? {
            match self.finish_rows(&erasing, rows) {
                Ok(()) => left.push(erasing),
                Err(error @ StoreError::LockTimeout { .. }) => return Err(error),
                Err(error) => stuck.push(Stuck::by(&erasing, error)?),
            }
        }
        for erasing in left {
            if let Err(error) = self.finish_files(&erasing, wait) {
                stuck.push(Stuck::by(&erasing, error)?);
            }
        }
        Ok(stuck)
    }

    /// When the store is opened: what a process that died has left, unless somebody is at it.
    pub(super) fn finish_left(&self) {
        match self.finish_erasing(Duration::ZERO) {
            Ok(_) | Err(StoreError::LockTimeout { .. }) => {}
            Err(error) => {
                tracing::warn!(%error, "an erased scope is not stripped yet; erase or vacuum goes on");
            }
        }
    }

    /// Nobody else finishes an erase, or seals. Errors: `LockTimeout`, `Io`.
    pub(super) fn alone_with_erases(&self, wait: Duration) -> Result<LongFilesLock> {
        self.alone_with_others(Patience::of(wait))
    }

    fn alone_with_others(&self, wait: Patience) -> Result<LongFilesLock> {
        let path = self.writable()?.shared.root.join(ERASE_LOCK);
        let alone = self.alone_with(&path, wait, "another erase, or who seals the journal")?;
        Ok(alone.for_long())
    }

    /// Nobody copies files, or removes them. Errors: `LockTimeout`, `Io`.
    fn alone_with_files(&self, wait: Patience) -> Result<FilesLock> {
        let path = self.writable()?.shared.root.join(FILES_LOCK);
        let holder = "a backup that copies the store's files, or who removes some";
        self.alone_with(&path, wait, holder)
    }

    fn alone_with(&self, path: &Path, wait: Patience, holder: &str) -> Result<FilesLock> {
        let disk = &self.writable()?.shared.disk;
        loop {
            let alone = may_remove_files(path, disk);
            if let Some(alone) = alone.map_err(|error| io_error("lock", path, error))? {
                return Ok(alone);
            }
            if wait.began.elapsed() >= wait.limit {
                return Err(StoreError::LockTimeout {
                    waited_ms: u64::try_from(wait.limit.as_millis()).unwrap_or(u64::MAX),
                    holder: holder.into(),
                });
            }
            std::thread::sleep(RETRY);
        }
    }

    fn finish_rows(&self, erasing: &Erasing, rows: usize) -> Result<()> {
        self.take_refs(erasing, rows)?;
        self.strip_rows(erasing, rows)
    }

    fn finish_files(&self, erasing: &Erasing, wait: Patience) -> Result<()> {
        let id = erasing.id;
        let mut replaced = Vec::new();
        let files = self.reading(|session| session.sealed_files())?;
        // A broken row is as one that is gone: a repair that takes its file back strips it.
        for file in files.into_iter().flatten() {
            if self.strip_sealed(erasing, &file)? {
                replaced.push(file);
            }
        }
        if !replaced.is_empty() {
            let _alone = self.alone_with_files(wait)?;
            for file in &replaced {
                remove_sealed(self.writable()?, file);
            }
        }
        self.remove_replaced(wait)?;
        self.in_freeing_transaction(Durability::Durable, move |transaction| {
            transaction.end_erasing(id)
        })
    }

    /// Receipts, holds, and what commits in the table say.
    fn strip_rows(&self, erasing: &Erasing, rows: usize) -> Result<()> {
        let (id, scope) = (erasing.id, erasing.scope.as_str());
        let note = self.reading(|session| session.erasure(id))?;
        // Without its note nothing says where the scope's new life would begin; it has none as long as this is here.
        let until = note.map_or(u64::MAX, |note| note.position);
        let mut place = Place::FIRST;
        while !matches!(place, Place::End) {
            let (page, next) = self.reading(|session| session.remains(scope, place, until))?;
            place = next;
            match page {
                Page::Receipts(keys) => {
                    self.in_pieces(erasing, rows, keys, |session, scope, key, figures| {
                        figures.receipts += session.delete_receipt_row(key, scope)?;
                        Ok(1)
                    })?;
                }
                Page::Holds(ordinals) => {
                    self.in_pieces(
                        erasing,
                        rows,
                        ordinals,
                        |session, scope, ordinal, figures| {
                            figures.holds += u64::from(session.delete_hold(*ordinal, scope)?);
                            Ok(1)
                        },
                    )?;
                }
                Page::Commits(positions) => {
                    self.in_pieces(erasing, rows, positions, |session, scope, at, figures| {
                        let (commits, room) = session.strip_body(*at, scope)?;
                        figures.commits += commits;
                        Ok(room)
                    })?;
                }
            }
        }
        Ok(())
    }

    /// Writes a sealed file anew without what the scope's commits said. False: they said nothing, or somebody gave it up.
    fn strip_sealed(&self, erasing: &Erasing, file: &SealedFile) -> Result<bool> {
        let (id, scope) = (erasing.id, erasing.scope.as_str());
        let core = self.writable()?;
        let rows = match self.reading(|session| session.sealed_commits(file)) {
            // Expired since the files were listed.
            Err(StoreError::Corrupt { .. })
                if self
                    .reading(|session| session.sealed_file_with(file.first))?
                    .as_ref()
                    != Some(file) =>
            {
                return Ok(false);
            }
            rows => rows?,
        };
        let (rows, count) = without_scope(rows, scope)?;
        if count == 0 {
            return Ok(false);
        }
        let Some((new, bytes)) = SealedFile::seal(&file.head_before(), &rows)? else {
            return Ok(false);
        };
        let held = self.hold_sealed(&new)?;
        held.write(&bytes)?;
        let (before, after) = (file.clone(), new.clone());
        let replaced = self.in_freeing_transaction(Durability::Durable, move |transaction| {
            transaction.replace_stripped(id, &before, &after, count)
        });
        drop(held);
        match replaced {
            Ok(true) | Err(StoreError::CommitUnknown { .. }) => {}
            // Expired meanwhile, or nothing was written.
            Ok(false) | Err(_) => remove_sealed(core, &new),
        }
        replaced
    }

    /// Removes sealed files that no row names: in whose place there is another one, or none any more, or that somebody left
    /// who was killed. One that is being sealed now is of somebody who finds that he came second. One that may be of a row
    /// that is missing stays, and a vacuum counts it: a repair that takes it back strips it.
    fn remove_replaced(&self, wait: Patience) -> Result<()> {
        let shared = &self.writable()?.shared;
        let unnamed = shared.unnamed_sealed_files()?;
        if !unnamed.is_empty() {
            self.ask_writer(settling)?;
            let _alone = self.alone_with_files(wait)?;
            match shared.remove_dead_sealed_files(&unnamed) {
                Err(error @ StoreError::Corrupt { .. }) => {
                    tracing::warn!(%error, "sealed files without a row stay: one may be the missing row's");
                }
                removed => removed?,
            }
        }
        // Of those, too, that went as soon as another one took their place.
        shared.sync_sealed_files()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use super::*;
    use crate::embedded::OpenOptions;
    use crate::embedded::disk::{Disk, DiskLayer, FileOp, Verdict};
    use crate::embedded::retention::tests::act;
    use crate::erasure::EraseOptions;
    use crate::store::Store;

    /// At each write and each removal of a file: whether an upload could begin.
    struct Uploader {
        lock: PathBuf,
        free: AtomicU64,
        locked: AtomicU64,
        locked_at_removals: AtomicU64,
    }

    impl DiskLayer for Uploader {
        fn before(&self, op: &FileOp<'_>) -> Verdict {
            let Ok(file) = File::open(&self.lock) else {
                return Verdict::Do;
            };
            let is_free = file.try_lock_shared().is_ok();
            match op {
                FileOp::Write { .. } if is_free => self.free.fetch_add(1, SeqCst),
                FileOp::Write { .. } => self.locked.fetch_add(1, SeqCst),
                FileOp::Remove { .. } if !is_free => self.locked_at_removals.fetch_add(1, SeqCst),
                _ => 0,
            };
            Verdict::Do
        }

        fn after(&self, _: &FileOp<'_>, _: bool) {}
    }

    #[test]
    fn who_copies_files_is_waited_for_once_and_each_file_is_stripped_before() {
        let home = tempfile::tempdir().unwrap();
        let options = OpenOptions {
            lock_wait: Duration::from_millis(70),
            automatic_gc: false,
            ..OpenOptions::default()
        };
        let store = EmbeddedStore::open(home.path(), &options).unwrap();
        for scope in ["alice", "bob", "eve"] {
            act(&store, scope, 1);
            act(&store, scope, 2);
            act(&store, "kept", 3);
        }
        for keep in [6, 3, 1] {
            store.seal_journal(keep).unwrap();
        }
        let copies = File::open(home.path().join(FILES_LOCK)).unwrap();
        copies.lock_shared().unwrap();
        for scope in ["alice", "bob", "eve"] {
            let unfinished = store.erase(scope, &EraseOptions::default());
            let Err(StoreError::EraseUnfinished { why, .. }) = &unfinished else {
                panic!("{unfinished:?}");
            };
            assert!(why.contains("waited 70 ms"), "{why}");
        }
        let sealed = store.extent().unwrap().sealed;
        assert_eq!(sealed.len(), 3);
        for file in &sealed {
            for row in store
                .reading(|session| session.sealed_commits(file))
                .unwrap()
            {
                let entry = row.entry().unwrap();
                assert!(entry.blank || entry.scope == "kept", "{entry:?}");
            }
        }
        copies.unlock().unwrap();
        store.vacuum().unwrap();
        assert!(
            store
                .reading(|session| session.erasing())
                .unwrap()
                .is_empty()
        );
        let folder = std::fs::read_dir(home.path().join("journal")).unwrap();
        assert_eq!(folder.count(), 3);
        assert_eq!(store.verify(None).unwrap().findings, []);
    }

    #[test]
    fn uploads_go_on_but_for_the_moment_of_a_removal() {
        let home = tempfile::tempdir().unwrap();
        let uploader = Arc::new(Uploader {
            lock: home.path().join(FILES_LOCK),
            free: AtomicU64::new(0),
            locked: AtomicU64::new(0),
            locked_at_removals: AtomicU64::new(0),
        });
        let options = OpenOptions {
            disk: Disk::behind(Arc::clone(&uploader) as _),
            automatic_gc: false,
            ..OpenOptions::default()
        };
        let store = EmbeddedStore::open(home.path(), &options).unwrap();
        for number in 0..30 {
            act(&store, "alice", number);
        }
        store.seal_journal(10).unwrap();
        for counter in [
            &uploader.free,
            &uploader.locked,
            &uploader.locked_at_removals,
        ] {
            counter.store(0, SeqCst);
        }
        let options = EraseOptions {
            rows_at_a_time: 1,
            ..EraseOptions::default()
        };
        assert_eq!(store.erase("alice", &options).unwrap().figures.commits, 30);
        // The writer may write something of its own in the moment of the removal.
        let (free, locked) = (uploader.free.load(SeqCst), uploader.locked.load(SeqCst));
        assert!(free > 10 && locked < free / 4, "{locked} of {free}");
        assert_eq!(uploader.locked_at_removals.load(SeqCst), 1);
    }
}
