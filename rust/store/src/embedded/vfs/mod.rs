//! A shim between SQLite and the file system: tells [`Tally`] of every write and fsync of this store's
//! files, asks [`Disk`] before each, and gathers a commit's frames into one write of the log.
//!
//! Promises: the bytes are those that SQLite wrote, in its order, but for what no row has in a page of the database
//! ([`super::page_gaps`]); whatever else it does with the log finds them there; an error of a late write is answered by the
//! call that needed it done.
//! Never: it keeps bytes back across an fsync or past the end of a commit.

mod file;
mod gathered;
mod lengthen;

use std::ffi::{CString, c_char, c_int, c_void};
use std::io;
use std::path::PathBuf;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::ffi;

use self::file::{FILE_BYTES, ShimFile, real_file};
use super::disk::{Disk, FileOp, parent};
use super::tally::{FileKind, Tally};

/// One registered VFS. SQLite may use it as long as the process lives (a connection that fails to close
/// keeps pointing at it), so its few hundred bytes are never given back: every pointer below stays valid.
pub(super) struct Shim {
    name: String,
    vfs: *mut ffi::sqlite3_vfs,
    context: &'static Context,
}

struct Context {
    tally: Arc<Tally>,
    disk: Disk,
    real: *mut ffi::sqlite3_vfs,
}

// SAFETY: `vfs` and `real` point at memory that lives as long as the process and that SQLite itself
// guards by its global mutex; `Tally` is `Sync`.
unsafe impl Send for Shim {}
// SAFETY: as for `Send`; `&Shim` only gives out the name.
unsafe impl Sync for Shim {}

impl Shim {
    /// Registers a VFS of its own for one open store.
    pub(super) fn register(tally: Arc<Tally>, disk: Disk) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let name = format!("treering-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        // SAFETY: initialises SQLite's globals; a null name asks for the default VFS, which lives as
        // long as the process.
        // Statistics of memory are nobody's here, and cost a mutex around every allocation; the setting is
        // refused, which does no harm, once SQLite has started.
        let real = unsafe {
            ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, 0 as c_int);
            if ffi::sqlite3_initialize() != ffi::SQLITE_OK {
                return Err(io::Error::other("SQLite does not start"));
            }
            ffi::sqlite3_vfs_find(ptr::null())
        };
        if real.is_null() {
            return Err(io::Error::other("SQLite has no default file system"));
        }
        let c_name = CString::new(name.as_str()).map_err(io::Error::other)?;
        let context: &'static Context = Box::leak(Box::new(Context { tally, disk, real }));
        // SAFETY: `real` is a valid VFS, see above.
        let (os_file, path_max) = unsafe { ((*real).szOsFile, (*real).mxPathname) };
        let shim_size = c_int::try_from(FILE_BYTES).map_err(io::Error::other)?;
        let vfs = Box::leak(Box::new(ffi::sqlite3_vfs {
            iVersion: 2,
            szOsFile: shim_size + os_file,
            mxPathname: path_max,
            pNext: ptr::null_mut(),
            zName: c_name.into_raw(),
            pAppData: ptr::from_ref(context).cast_mut().cast::<c_void>(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            // Extensions are not loaded.
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: Some(get_last_error),
            xCurrentTimeInt64: Some(current_time_int64),
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        }));
        // SAFETY: `vfs` is complete and leaked, as SQLite asks of a registered VFS; 0 = not the default.
        let code = unsafe { ffi::sqlite3_vfs_register(vfs, 0) };
        if code != ffi::SQLITE_OK {
            return Err(io::Error::other(format!(
                "SQLite refuses the file system shim: code {code}"
            )));
        }
        Ok(Self { name, vfs, context })
    }

    /// What its files are read and written through.
    pub(super) fn disk(&self) -> &Disk {
        &self.context.disk
    }

    /// What a connection is opened with.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        self.context.tally.set_commit_sync_hook(None);
        self.context.tally.set_log_write_hook(None);
        // SAFETY: registered in `register`; unregistering only takes it off SQLite's list. Its memory
        // stays, so that a connection still open (there should be none) goes on working.
        unsafe { ffi::sqlite3_vfs_unregister(self.vfs) };
    }
}

/// # Safety
/// `vfs` is one that [`Shim::register`] made.
unsafe fn context_of(vfs: *mut ffi::sqlite3_vfs) -> &'static Context {
    // SAFETY: `pAppData` was set to a leaked `Context`.
    unsafe { &*(*vfs).pAppData.cast::<Context>() }
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite calls with our VFS and with a file object of our `szOsFile`; the real VFS gets its
    // own part of it and the arguments unchanged (`name` may be null: a temporary file).
    unsafe {
        let context = context_of(vfs);
        (*file).pMethods = ptr::null();
        let real = real_file(file);
        (*real).pMethods = ptr::null();
        // What SQLite removes on closing is temporary.
        let path = if flags & ffi::SQLITE_OPEN_DELETEONCLOSE == 0 {
            path_of(name)
        } else {
            None
        };
        let create = flags & ffi::SQLITE_OPEN_CREATE != 0;
        let op = path.as_deref().map(|path| FileOp::Open { path, create });
        if op.is_some_and(|op| context.disk.ask(&op).is_err()) {
            return ffi::SQLITE_CANTOPEN;
        }
        let Some(real_open) = (*context.real).xOpen else {
            return ffi::SQLITE_CANTOPEN;
        };
        let code = real_open(context.real, name, real, flags, out_flags);
        if let Some(op) = op {
            context.disk.tell(&op, code == ffi::SQLITE_OK);
        }
        // By SQLite's contract xClose is due iff pMethods was set, even when xOpen failed.
        if (*real).pMethods.is_null() {
            return code;
        }
        let kind = if flags & ffi::SQLITE_OPEN_MAIN_DB != 0 {
            FileKind::Main
        } else if flags & ffi::SQLITE_OPEN_WAL != 0 {
            FileKind::Log
        } else {
            FileKind::Other
        };
        let names_due =
            create && (kind == FileKind::Log || flags & ffi::SQLITE_OPEN_MAIN_JOURNAL != 0);
        let opened = ShimFile::new(context, kind, path, names_due);
        file.cast::<ShimFile>().write(opened);
        code
    }
}

/// The name of a file that SQLite opens; None for a temporary one.
///
/// # Safety
/// `name` is null or a text that ends with NUL.
unsafe fn path_of(name: *const c_char) -> Option<PathBuf> {
    if name.is_null() {
        return None;
    }
    // SAFETY: by the contract.
    let name = unsafe { std::ffi::CStr::from_ptr(name) };
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        Some(std::ffi::OsStr::from_bytes(name.to_bytes()).into())
    }
    #[cfg(not(unix))]
    {
        name.to_str().ok().map(PathBuf::from)
    }
}

/// Passes a call of a VFS method on to the real VFS.
macro_rules! pass_vfs {
    ($name:ident, $method:ident, ($($arg:ident: $type:ty),*) -> $ret:ty, $absent:expr) => {
        unsafe extern "C" fn $name(vfs: *mut ffi::sqlite3_vfs, $($arg: $type),*) -> $ret {
            // SAFETY: SQLite calls with our VFS; the real VFS gets the arguments unchanged.
            unsafe {
                let real = context_of(vfs).real;
                match (*real).$method {
                    Some(method) => method(real, $($arg),*),
                    None => $absent,
                }
            }
        }
    };
}

pass_vfs!(real_delete, xDelete, (name: *const c_char, sync_dir: c_int) -> c_int, ffi::SQLITE_IOERR_DELETE);
pass_vfs!(access, xAccess, (name: *const c_char, flags: c_int, out: *mut c_int) -> c_int, ffi::SQLITE_IOERR_ACCESS);
pass_vfs!(full_pathname, xFullPathname, (name: *const c_char, length: c_int, out: *mut c_char) -> c_int, ffi::SQLITE_CANTOPEN);
pass_vfs!(randomness, xRandomness, (length: c_int, out: *mut c_char) -> c_int, 0);
pass_vfs!(sleep, xSleep, (microseconds: c_int) -> c_int, 0);
pass_vfs!(current_time, xCurrentTime, (out: *mut f64) -> c_int, ffi::SQLITE_ERROR);
pass_vfs!(get_last_error, xGetLastError, (length: c_int, out: *mut c_char) -> c_int, 0);
pass_vfs!(current_time_int64, xCurrentTimeInt64, (out: *mut ffi::sqlite3_int64) -> c_int, ffi::SQLITE_ERROR);

unsafe extern "C" fn delete(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_directory: c_int,
) -> c_int {
    // SAFETY: SQLite calls with our VFS and a text that ends with NUL; the same call, passed on.
    unsafe {
        let disk = &context_of(vfs).disk;
        let Some(path) = path_of(name) else {
            return real_delete(vfs, name, sync_directory);
        };
        let op = FileOp::Remove { path: &path };
        if disk.ask(&op).is_err() {
            return ffi::SQLITE_IOERR_DELETE;
        }
        let code = real_delete(vfs, name, sync_directory);
        disk.tell(&op, code == ffi::SQLITE_OK);
        if code == ffi::SQLITE_OK && sync_directory != 0 {
            let path = parent(&path);
            disk.tell(&FileOp::SyncDirectory { path }, true);
        }
        code
    }
}
