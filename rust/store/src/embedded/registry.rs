//! Which directories are open in this process: a second handle on one shares its core, since a second
//! set of locks on the same files would only look like one.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::connections::Mode;
use super::core::{Core, Shared};
use super::directory::{self, Directory};
use super::disk::Disk;
use super::fork;
use super::lock::WriteLock;
use super::options::OpenOptions;
use crate::error::Result;

/// Device, inode, and whether it may write.
type Key = (u64, u64, bool);

struct Entry {
    key: Key,
    core: Arc<Core>,
    /// Apart from the core, so that the fork handler never becomes its last owner.
    shared: Weak<Shared>,
    /// 0 while it is being closed. It stands here until its files are closed: before that nobody may open
    /// and close the database by other means, and a fork must close its connections.
    handles: usize,
}

/// Only touched inside (see [`fork::enter`]), so that it is free at a fork.
static OPEN: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

/// Databases that are in use without a core, by device and inode. Changed while [`OPEN`] is locked.
static BARE: Mutex<Vec<(u64, u64)>> = Mutex::new(Vec::new());

fn bare_uses() -> MutexGuard<'static, Vec<(u64, u64)>> {
    BARE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A database is used by a connection of its own, without a core: nobody may look at its file by other
/// means meanwhile.
pub(super) struct BareUse((u64, u64));

/// To be kept for longer than the connection. The caller is inside (see [`fork::enter`]).
pub(super) fn use_bare(directory: &Directory) -> Result<BareUse> {
    let key = directory::identity(&directory.database())?;
    let entries = open_entries();
    bare_uses().push(key);
    drop(entries);
    Ok(BareUse(key))
}

/// The same for who reads the file itself; None where this process has the store open.
pub(super) fn use_bare_alone(directory: &Directory) -> Result<Option<BareUse>> {
    let _inside = fork::enter();
    let key = directory::identity(&directory.database())?;
    let entries = open_entries();
    let is_open = |entry: &Entry| (entry.key.0, entry.key.1) == key;
    if entries.iter().any(is_open) {
        return Ok(None);
    }
    bare_uses().push(key);
    Ok(Some(BareUse(key)))
}

impl Drop for BareUse {
    fn drop(&mut self) {
        let mut uses = bare_uses();
        if let Some(at) = uses.iter().position(|key| *key == self.0) {
            uses.swap_remove(at);
        }
    }
}

fn open_entries() -> MutexGuard<'static, Vec<Entry>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The core of the store at `path`: the one that is open, or a new one.
pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<Arc<Core>> {
    fork::install();
    let _inside = fork::enter();
    let directory = Directory::find_or_make(path, options)?;
    let (device, inode) = directory::identity(&directory.database())?;
    let mut entries = open_entries();
    let here = |entry: &Entry| entry.core.generation == fork::generation();
    if !entries
        .iter()
        .any(|entry| here(entry) && (entry.key.0, entry.key.1) == (device, inode))
        && !bare_uses().contains(&(device, inode))
    {
        directory.check_header()?;
    }
    let lock = if options.read_only || directory.is_backup() {
        None
    } else {
        writable(&directory, &options.disk)?
    };
    let key = (device, inode, lock.is_some());
    // What a parent had open is left alone: dropping it would close the parent's files.
    let ours = entries
        .iter_mut()
        .find(|entry| entry.key == key && here(entry) && entry.is_sound());
    if let Some(entry) = ours {
        entry.handles += 1;
        return Ok(Arc::clone(&entry.core));
    }
    let core = Arc::new(Core::open(&directory, lock, options)?);
    entries.push(Entry {
        key,
        core: Arc::clone(&core),
        shared: Arc::downgrade(&core.shared),
        handles: 1,
    });
    Ok(core)
}

impl Entry {
    /// A core that is being closed is not handed out again, nor a poisoned one: opening anew is how a
    /// caller gets out of it; nor one whose directory was renamed, since its paths lead elsewhere.
    fn is_sound(&self) -> bool {
        let shared = &self.core.shared;
        self.handles > 0
            && shared.poisoned().is_none()
            && shared.connections.expect_in_place().is_ok()
    }
}

/// One handle less; the last one closes the core and waits for its writer.
pub(super) fn release(core: &Arc<Core>) {
    let last = {
        let _inside = fork::enter();
        let mut entries = open_entries();
        let Some(at) = entries
            .iter()
            .position(|entry| Arc::ptr_eq(&entry.core, core))
        else {
            return;
        };
        entries.get_mut(at).is_some_and(|entry| {
            entry.handles = entry.handles.saturating_sub(1);
            entry.handles == 0
        })
    };
    if last {
        core.close();
        let _inside = fork::enter();
        open_entries().retain(|entry| !Arc::ptr_eq(&entry.core, core));
    }
}

/// The write lock's file, or None where this process may not write. Errors: `Io`.
fn writable(directory: &Directory, disk: &Disk) -> Result<Option<WriteLock>> {
    if !directory::may_write_database(directory) {
        return Ok(None);
    }
    match WriteLock::open(&directory.lock(), disk) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if directory::is_read_only(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Before a fork, with nobody inside: no mutex below is held.
pub(super) fn close_connections() {
    for entry in open_entries().iter() {
        if entry.core.generation == fork::generation()
            && let Some(shared) = entry.shared.upgrade()
        {
            shared.connections.close_for_fork();
        }
    }
}

impl Core {
    /// Whether commits are taken at all.
    pub(super) fn may_write(&self) -> bool {
        self.mode == Mode::Write
    }
}
