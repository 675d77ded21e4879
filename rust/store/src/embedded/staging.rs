//! Uploads under way: large blocks that arrive in pieces, in files that no row names yet.
//!
//! `blobs/uploads/<ULID>`, locked by its writer, until all is here; then it is synced, its tree is written, and it
//! gets the name that a row will have. A commit that takes it keeps it; else dropping it removes it.
//! Promises: at most two groups are in memory; the file, its tree and its name are on disk before
//! [`Upload::finish`] answers; what a killed process leaves is told apart by its lock, which the kernel frees.
//! (A child of a fork holds it on until it ends.)
//! Must never: remove a file that a row may name, or one of its parent's in a forked child.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use treering_block::{Block, Cid, Codec};
use ulid::Ulid;

use super::blob::{UPLOADS, new_name};
use super::core::Shared;
use super::directory::FILES_LOCK;
use super::files_lock::{FilesLock, keep_files};
use super::fork;
use super::sqlite_error::io_error;
use crate::blob_tree::{GROUP, Groups};
use crate::commit::{BLOB_BYTES_MIN, Commit};
use crate::error::{Result, StoreError};
use crate::upload::{Content, Upload, Uploaded, check_size};

/// A collection that removes files lets others wait no longer.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// Bytes that arrive.
pub(super) struct Staging {
    shared: Arc<Shared>,
    generation: u64,
    /// The group that is not full yet.
    group: Vec<u8>,
    groups: Groups,
    /// None as long as all of it may fit into a row.
    file: Option<Opened>,
    failed: Option<StoreError>,
}

struct Opened {
    path: PathBuf,
    file: File,
}

impl Staging {
    pub(super) fn begin(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            generation: fork::generation(),
            group: Vec::new(),
            groups: Groups::default(),
            file: None,
            failed: None,
        }
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<()> {
        let size = self.groups.length().saturating_add(self.group.len() as u64);
        check_size(size.saturating_add(bytes.len() as u64))?;
        while !bytes.is_empty() {
            // A full one goes when more comes: the last one may be the only one.
            if self.group.len() == GROUP {
                self.put_group()?;
            }
            let room = GROUP.saturating_sub(self.group.len()).min(bytes.len());
            let (now, rest) = bytes.split_at(room);
            self.group.extend_from_slice(now);
            bytes = rest;
        }
        Ok(())
    }

    /// Writes the group that has come together.
    fn put_group(&mut self) -> Result<()> {
        if self.shared.closed.load(SeqCst) {
            return Err(StoreError::Closed);
        }
        let offset = self.groups.length();
        let shared = Arc::clone(&self.shared);
        let opened = match &mut self.file {
            Some(opened) => opened,
            file => file.insert(Opened::new(&shared)?),
        };
        let Opened { path, file } = opened;
        let write = |bytes: &[u8]| file.write_all(bytes);
        let written = shared
            .disk
            .write(Some(path), offset, &self.group, write, |error| error);
        written.map_err(|error| io_error("write", path, error))?;
        self.groups.push(&self.group);
        self.group.clear();
        Ok(())
    }

    fn settle(&mut self) -> Result<Arc<Uploaded>> {
        if self.file.is_none() && self.group.len() < BLOB_BYTES_MIN {
            let block = Block::raw(std::mem::take(&mut self.group));
            return Ok(Arc::new(Uploaded::of(block)));
        }
        self.put_group()?;
        let cid = Cid::new(Codec::Raw, self.groups.digest());
        if self.shared.blobs.objects().is_some() {
            return self.send(cid);
        }
        let name = new_name(cid.digest());
        let (disk, blobs) = (&self.shared.disk, &self.shared.blobs);
        let Some(opened) = &self.file else {
            return Err(StoreError::Closed);
        };
        let path = blobs.place(&name);
        let moved = blobs
            .counted(disk.sync_opened(&opened.path, &opened.file))
            .and_then(|()| {
                let directory = blobs.make_folder(&path)?;
                let written = disk.open_to_read(&opened.path)?;
                blobs.write_tree(&path, &self.groups, &mut |offset, into| {
                    written.read_exact_at(offset, into)
                })?;
                disk.rename(&opened.path, &path)?;
                blobs.counted(disk.sync_directory(&directory))
            });
        if let Err(error) = moved {
            // The file under its old name goes with the upload.
            blobs.remove(&name);
            return Err(match error.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => StoreError::Corrupt {
                    what: "upload",
                    which: path.display().to_string(),
                    detail: error.to_string(),
                },
                _ => io_error("write", &path, error),
            });
        }
        let size = self.groups.length();
        let file = StagedFile {
            shared: Arc::clone(&self.shared),
            generation: self.generation,
            name: OnceLock::from(name),
            kept: AtomicBool::new(false),
            lock: Mutex::new(self.file.take().map(|opened| opened.file)),
            unsent: Mutex::default(),
        };
        Ok(Arc::new(Uploaded::staged(cid, size, file)))
    }

    /// All is here: it goes to the bucket, unless it is there.
    fn send(&mut self, cid: Cid) -> Result<Arc<Uploaded>> {
        let size = self.groups.length();
        let unsent = self.file.take().map(|opened| Unsent {
            opened,
            groups: std::mem::take(&mut self.groups),
        });
        let file = StagedFile {
            shared: Arc::clone(&self.shared),
            generation: self.generation,
            name: OnceLock::new(),
            kept: AtomicBool::new(false),
            lock: Mutex::default(),
            unsent: Mutex::new(unsent),
        };
        let row = self
            .shared
            .connections
            .reading(|session| session.find_block(&cid))?;
        let is_there =
            row.is_some_and(|row| row.file.is_none() || self.shared.blobs.has_length_of(&row));
        if !is_there {
            file.send(&cid)?;
        }
        Ok(Arc::new(Uploaded::staged(cid, size, file)))
    }

    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.generation != fork::generation() {
            return Err(StoreError::ForkedProcess);
        }
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let done = work(self);
        self.failed = done.as_ref().err().cloned();
        done
    }
}

impl Upload for Staging {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.guarded(|staging| staging.take(bytes))
    }

    fn finish(mut self: Box<Self>) -> Result<Arc<Uploaded>> {
        self.guarded(Self::settle)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Some(opened) = self.file.take()
            && self.generation == fork::generation()
        {
            remove(&self.shared, &opened.path);
        }
    }
}

impl Opened {
    /// A new file, which nobody else has. Made under the lock of who removes files: between its name and its own
    /// lock it looks like a dead one.
    fn new(shared: &Shared) -> Result<Self> {
        let lock = shared.root.join(FILES_LOCK);
        let _kept = keep_files(&lock, &shared.disk, LOCK_WAIT)?;
        let path = shared
            .blobs
            .place(&format!("{UPLOADS}/{}", Ulid::generate()));
        let failed = |error| io_error("make", &path, error);
        shared.blobs.make_folder(&path).map_err(failed)?;
        let how = File::options().write(true).create_new(true).clone();
        let file = shared.disk.open(&path, &how).map_err(failed)?;
        let locked = file.try_lock().map_err(io::Error::from);
        if let Err(error) = locked {
            remove(shared, &path);
            return Err(failed(error));
        }
        Ok(Self { path, file })
    }
}

fn remove(shared: &Shared, path: &Path) {
    match shared.disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %path.display(), "an upload that was given up stays until a collection");
        }
        _ => {}
    }
}

/// A file that is whole and that no row names yet.
pub struct StagedFile {
    shared: Arc<Shared>,
    generation: u64,
    /// None as long as it is not sent: its block is there, for all that is known.
    name: OnceLock<String>,
    /// A row names it, or may.
    kept: AtomicBool,
    /// What tells others that somebody cares for it; gone once a row names it.
    lock: Mutex<Option<File>>,
    /// What may have to be sent yet.
    unsent: Mutex<Option<Unsent>>,
}

/// Bytes that are in the directory, and have to be in a bucket.
struct Unsent {
    opened: Opened,
    groups: Groups,
}

impl StagedFile {
    pub(super) fn name(&self) -> Option<String> {
        self.name.get().cloned()
    }

    /// Sends it, if that is not done. Errors: `Bucket`, `Corrupt`, `Io`; it can be tried again.
    fn send(&self, cid: &Cid) -> Result<()> {
        let mut kept = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(unsent), Some(objects)) = (&*kept, self.shared.blobs.objects()) else {
            return Ok(());
        };
        let path = &unsent.opened.path;
        let opened = self.shared.disk.open_to_read(path);
        let file = opened.map_err(|error| io_error("read", path, error))?;
        let name = objects.send(cid, &unsent.groups, &mut |offset, into| {
            file.read_exact_at(offset, into)
        })?;
        remove(&self.shared, path);
        drop(self.name.set(name));
        *kept = None;
        Ok(())
    }

    pub(super) fn is_of(&self, shared: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.shared, shared)
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.kept.load(SeqCst)
    }

    /// A row may name it from now on, whatever comes.
    pub(super) fn keep(&self) {
        self.kept.store(true, SeqCst);
    }

    /// The row is committed: nobody has to hold the file any more.
    pub(super) fn settle(&self) {
        drop(
            self.lock
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        if let Some(name) = self.name.get() {
            self.shared.blobs.settle(name);
        }
    }

    /// The row was not committed.
    pub(super) fn give_back(&self) {
        self.kept.store(false, SeqCst);
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if self.generation != fork::generation() {
            return;
        }
        if let Some(name) = self.name.get().filter(|_| !self.is_kept()) {
            self.shared.blobs.remove(name);
        }
        let unsent = self
            .unsent
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(unsent) = unsent.take() {
            remove(&self.shared, &unsent.opened.path);
        }
    }
}

/// Sends uploads whose block was there when all of it had arrived, and is gone since. On the caller's thread: the writer must
/// not wait for them.
pub(super) fn send_uploads(shared: &Shared, commit: &Commit) -> Result<()> {
    for upload in &commit.uploads {
        if let Content::Staged(file) = &upload.content
            && file.name().is_none()
            && shared
                .connections
                .reading(|session| session.find_block(&upload.cid()))?
                .is_none()
        {
            file.send(&upload.cid())?;
        }
    }
    Ok(())
}

/// Whether somebody alive holds the file: an upload that is not committed yet.
pub(super) fn is_in_use(path: &Path) -> bool {
    let opened = File::options().write(true).open(path);
    opened.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

impl Shared {
    /// Files of uploads that are not ended: of all, or, for who holds the lock of who removes files, of processes that
    /// died.
    pub(super) fn uploads(&self, dead: Option<&FilesLock>) -> Result<Vec<PathBuf>> {
        let folder = self.blobs.place(UPLOADS);
        let failed = |error| io_error("list", &folder, error);
        let listed = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed.map_err(failed)?,
        };
        let mut found = Vec::new();
        for file in listed {
            let path = file.map_err(failed)?.path();
            if dead.is_none() || !is_in_use(&path) {
                found.push(path);
            }
        }
        Ok(found)
    }

    /// Removes uploads whose process died.
    pub(super) fn remove_dead_uploads(&self, alone: &FilesLock) -> Result<()> {
        for path in self.uploads(Some(alone))? {
            remove(self, &path);
        }
        Ok(())
    }
}
