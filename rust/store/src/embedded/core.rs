//! What all handles on one directory share in a process: connections, files, the writer thread.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::automatic::Automatic;
use super::bell::Bell;
use super::blob::BlobFiles;
use super::committer::Committer;
use super::connections::{BUSY_WAIT, Connections, Mode};
use super::directory::{self, Directory, FILES_LOCK, LOG};
use super::disk::Disk;
use super::fork::{self, Inside};
use super::lock::WriteLock;
use super::objects::{self, Objects};
use super::options::OpenOptions;
use super::queue::{BATCH_BYTES_MAX, Queue};
use super::repair;
use super::reserve::Reserve;
use super::sqlite_error::io_error;
use super::tally::{Phase, Tally};
use super::vfs::Shim;
use super::writer::WriterThread;
use crate::clock::Clock;
use crate::commit::{BLOB_BYTES_MIN, Commit, Durability};
use crate::error::{Result, StoreError};
use crate::repair::Repair;
use crate::tier::Tier;
use crate::upload::Content;

/// What the writer thread and the readers use.
pub(super) struct Shared {
    pub(super) root: PathBuf,
    pub(super) database: directory::Identity,
    pub(super) connections: Connections,
    pub(super) blobs: BlobFiles,
    pub(super) bell: Bell,
    pub(super) tally: Arc<Tally>,
    pub(super) clock: Clock,
    pub(super) tiers: Vec<Arc<dyn Tier>>,
    pub(super) checkpoint_log_bytes: u64,
    pub(super) reserve: Arc<Reserve>,
    /// The log is to go into the database whatever its length, and to give its room back.
    pub(super) checkpoint_due: AtomicBool,
    pub(super) disk: Disk,
    poisoned: OnceLock<String>,
    pub(super) closed: AtomicBool,
    /// What had to be mended to open it, until a repair says so.
    mended_at_open: Mutex<Vec<Repair>>,
}

impl Shared {
    /// A large commit stands in the log first and in the database then: without room for both it could be
    /// written and never leave the log. Smaller ones fit into what is reserved. Where that is given up, only
    /// deletions go on. Errors: `DiskFull`.
    pub(super) fn refuse_without_room(&self, commit: &Commit) -> Result<()> {
        if !commit.is_deletion() {
            self.keep_room_for_deletions()?;
        }
        let sizes = commit.blocks.iter().map(|block| block.bytes.len() as u64);
        let bytes: u64 = sizes.filter(|size| *size < BLOB_BYTES_MIN as u64).sum();
        if bytes > BATCH_BYTES_MAX && !self.reserve.has_room(bytes.saturating_mul(2)) {
            return Err(StoreError::DiskFull);
        }
        Ok(())
    }

    /// Errors: `Invalid` for uploads that another store has taken.
    pub(super) fn expect_own_uploads(self: &Arc<Self>, commit: &Commit) -> Result<()> {
        for upload in &commit.uploads {
            let own = match &upload.content {
                Content::Here(block) => block.bytes.len() < BLOB_BYTES_MIN,
                Content::Staged(file) => file.is_of(self),
            };
            if !own {
                return Err(StoreError::Invalid {
                    what: "upload",
                    value: upload.cid().to_string(),
                    rule: "another store has taken it, or this one before it was closed".into(),
                });
            }
        }
        Ok(())
    }

    /// Errors: `DiskFull` while what is left is for deletions.
    pub(super) fn keep_room_for_deletions(&self) -> Result<()> {
        if self.reserve.is_owed() {
            return Err(StoreError::DiskFull);
        }
        Ok(())
    }

    /// Why nothing may be written any more.
    pub(super) fn poisoned(&self) -> Option<String> {
        self.poisoned.get().cloned()
    }

    /// A commit ended in the unknown: no more writes through this core. The first reason counts.
    pub(super) fn poison(&self, why: &str) {
        tracing::error!(why, "the store refuses writes until it is reopened");
        self.poisoned.get_or_init(|| why.to_owned());
    }

    /// What had to be mended to open it; nothing from then on.
    pub(super) fn take_mended_at_open(&self) -> Vec<Repair> {
        let mended = self.mended_at_open.lock();
        std::mem::take(&mut *mended.unwrap_or_else(PoisonError::into_inner))
    }

    /// Mends the store's own rows if they are broken, alone on the store. Errors: `LockTimeout`; the system's.
    fn mend_own_rows(&self, lock: &WriteLock, options: &OpenOptions) -> Result<()> {
        if self
            .connections
            .reading(|session| session.check_manifest())
            .is_ok()
        {
            return Ok(());
        }
        self.redo_log_left(lock)?;
        let failed = |error| io_error("lock", lock.path(), error);
        lock.lock_within(options.lock_wait)?;
        let inside = fork::enter();
        let mended = self
            .mend_log(lock, &inside)
            .and_then(|()| self.connections.writer(&inside, Durability::Durable))
            .and_then(|writer| {
                let session = self.connections.session(&writer.conn);
                repair::mend_own_rows(&writer.conn, session)
            });
        lock.unlock().map_err(failed)?;
        let noted = self.mended_at_open.lock();
        *noted.unwrap_or_else(PoisonError::into_inner) = mended?;
        Ok(())
    }

    /// Waits until the log is on disk, whoever wrote it, and its name too. Errors: the system's.
    pub(super) fn sync_log(&self) -> io::Result<()> {
        self.tally.before_own_sync()?;
        match self.disk.sync_file(&self.root.join(LOG)) {
            // Everything is in the database, and was synced there before the log went.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.disk.sync_directory(&self.root),
        }
    }

    /// After a failed fsync the kernel calls pages clean that never reached the disk, and the log reads
    /// back well from memory. Commits behind such a gap would be lost with it, and a checkpoint would put
    /// pages into the database that an older part of the log then undoes, each by itself. So the log is
    /// written anew first, with an fsync that can fail anew. Under the write lock. Errors: `DiskFull`, `Io`.
    fn redo_log(&self, inside: &Inside) -> Result<()> {
        let writer = self.connections.writer(inside, Durability::Durable)?;
        let session = self.connections.session(&writer.conn);
        // Keeps everybody's checkpoints from cutting the log meanwhile.
        session.run("BEGIN IMMEDIATE", "write anew")?;
        let log = self.root.join(LOG);
        let written = match self.disk.write_anew(&log) {
            // It was moved into the database, and synced there, since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            written => written.map_err(|error| io_error("write anew", &log, error)),
        };
        written.and(session.run("ROLLBACK", "write anew"))
    }

    /// Another process's sync of the log failed: what it should have written, ours too, may not be on
    /// disk, and no sync of ours would write it. Under the write lock, before anything is committed.
    /// Errors: `DiskFull`, `Io`; nothing may be committed then.
    pub(super) fn mend_log(&self, lock: &WriteLock, inside: &Inside) -> Result<()> {
        let Some(doubt) = lock.log_doubt() else {
            return Ok(());
        };
        tracing::warn!("a sync of the log failed in another process; the log is written anew");
        self.redo_log(inside)?;
        let trusted = lock.trust_log(doubt);
        trusted.map_err(|error| io_error("write", lock.path(), error))
    }

    /// A log left by a process that died may end in a failed sync, which died with it: it is written anew
    /// first. One left by a living process is that one's to care for; it tells of its failures (see
    /// [`WriteLock`]). Errors: `DiskFull`, `Io`.
    fn redo_log_left(&self, lock: &WriteLock) -> Result<()> {
        if !std::fs::metadata(self.root.join(LOG)).is_ok_and(|log| log.len() > 0)
            || !lock.try_lock().unwrap_or(false)
        {
            return Ok(());
        }
        let inside = fork::enter();
        let written = self.redo_log(&inside);
        drop(inside);
        drop(lock.unlock());
        written
    }

    /// Moves the log into the database. True: all of it. Waits no longer than that for who reads or writes:
    /// then it moves what it can.
    pub(super) fn checkpoint(&self, inside: &Inside, mode: &str, wait: Duration) -> Result<bool> {
        let writer = self.connections.writer(inside, Durability::Durable)?;
        let session = self.connections.session(&writer.conn);
        let busy_wait = |wait| {
            session
                .conn
                .busy_timeout(wait)
                .map_err(session.failed("set up"))
        };
        busy_wait(wait)?;
        self.tally.enter(Phase::Checkpoint);
        let ended = session
            .conn
            .query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
                let (busy, log, moved): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(busy == 0 && log == moved)
            });
        self.tally.enter(Phase::Other);
        if ended.is_err() && self.tally.log_sync_failed() {
            self.poison(
                "a sync of the log failed in a checkpoint: relaxed commits may not be on disk",
            );
        }
        busy_wait(BUSY_WAIT)?;
        ended.map_err(session.failed("checkpoint"))
    }
}

/// One open directory.
pub(super) struct Core {
    pub(super) shared: Arc<Shared>,
    pub(super) queue: Arc<Queue>,
    pub(super) mode: Mode,
    /// The generation of processes that opened it.
    pub(super) generation: u64,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Who commits; gone with the writer.
    pub(super) committer: Weak<Committer>,
    automatic: Arc<Automatic>,
}

impl Core {
    /// Opens the database and starts the writer. `lock`: None where nothing may be written.
    pub(super) fn open(
        directory: &Directory,
        lock: Option<WriteLock>,
        options: &OpenOptions,
    ) -> Result<Self> {
        let mode = if lock.is_some() {
            Mode::Write
        } else {
            Mode::ReadOnly
        };
        if mode == Mode::Write {
            // Before a log stands beside the database: that the database is there tells nothing of its
            // name being on disk. Whoever made it may have died, or failed, before that.
            let root = directory.root();
            let synced = options.disk.sync_directory(root);
            synced.map_err(|error| io_error("sync", root, error))?;
        }
        let tally = Arc::<Tally>::default();
        let database = directory.database();
        let shim = Shim::register(Arc::clone(&tally), options.disk.clone())
            .map_err(|error| io_error("open", &database, error))?;
        let reserve = Reserve::new(directory.root(), options.reserve_bytes, &options.disk);
        let reserve = Arc::new(reserve);
        tally.set_reserve(&reserve);
        let shared = Arc::new(Shared {
            root: directory.root().to_owned(),
            database: directory::identity(&database)?,
            connections: Connections::new(database, directory.log(), mode, shim)?,
            blobs: BlobFiles::new(directory.blobs(), Arc::clone(&tally), options.disk.clone()),
            bell: Bell::new(&directory.bell(), mode == Mode::Write, &options.disk),
            tally,
            clock: options.clock.clone(),
            tiers: options.tiers.clone(),
            checkpoint_log_bytes: options.checkpoint_log_bytes,
            reserve,
            checkpoint_due: AtomicBool::new(false),
            disk: options.disk.clone(),
            poisoned: OnceLock::new(),
            closed: AtomicBool::new(false),
            mended_at_open: Mutex::default(),
        });
        if let Some(lock) = lock.as_ref().filter(|_| options.mend) {
            shared.mend_own_rows(lock, options)?;
        }
        // A store that can't be read is refused now, not at the first get.
        shared
            .connections
            .reading(|session| session.check_manifest())?;
        let (owner, store_id) = shared
            .connections
            .reading(|session| Ok((session.owner()?, session.store_id_text()?)))?;
        let place = directory.root().display().to_string();
        let bucket = objects::bucket_of(owner.as_ref(), options)?;
        objects::expect_same(&place, owner.as_ref(), bucket.as_ref())?;
        if let (Some(owner), Some(bucket)) = (owner, bucket) {
            shared.blobs.set_objects(Objects::new(
                bucket,
                (owner, store_id),
                directory.blobs(),
                &options.disk,
                &options.clock,
            ));
        }
        let automatic = Automatic::new(&shared, mode == Mode::Write && options.automatic_gc);
        let queue = Arc::<Queue>::default();
        let mut core = Self {
            shared,
            queue,
            mode,
            generation: fork::generation(),
            writer: Mutex::default(),
            committer: Weak::new(),
            automatic: Arc::new(automatic),
        };
        if let Some(lock) = lock {
            core.shared.redo_log_left(&lock)?;
            // While there is room: a collection on a full disk takes it before it removes files.
            let mut how = std::fs::File::options();
            how.write(true).create(true).truncate(false);
            let files_lock = directory.root().join(FILES_LOCK);
            if !files_lock.exists() {
                drop(options.disk.open(&files_lock, &how));
            }
            core.shared.reserve.make();
            let (shared, queue) = (Arc::clone(&core.shared), Arc::clone(&core.queue));
            let committer = Arc::new(Committer::new(shared, queue, lock));
            core.committer = Arc::downgrade(&committer);
            let thread = WriterThread::new(committer);
            let handle = std::thread::Builder::new()
                .name("treering-writer".into())
                .spawn(move || thread.run())
                .map_err(|error| io_error("start the writer of", directory.root(), error))?;
            core.writer = Mutex::new(Some(handle));
        }
        Ok(core)
    }

    /// Starts a collection in the background if it may be time for one. Costs a look at the clock.
    pub(super) fn collect_if_due(&self) {
        Automatic::start_if_due(&self.automatic, &self.shared, &self.queue);
    }

    /// Answers what is queued, then stops. Called once, by the last handle.
    pub(super) fn close(&self) {
        if let Some(objects) = self.shared.blobs.objects() {
            objects.begin_closing();
        }
        // Who commits can't wait for a collection that waits for him.
        self.automatic.stop(!self.queue.has_turn());
        self.queue.close();
        let handle = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // A ticket's callback may drop the last handle: who commits can't wait for himself.
        if let Some(handle) = handle
            && !self.queue.has_turn()
            && handle.join().is_err()
        {
            tracing::error!("the writer thread panicked");
        }
        self.shared.closed.store(true, SeqCst);
        self.shared.bell.wake();
        if let Some(objects) = self.shared.blobs.objects() {
            objects.close();
        }
        let inside = fork::enter();
        self.shared.connections.close_all(&inside);
    }
}
