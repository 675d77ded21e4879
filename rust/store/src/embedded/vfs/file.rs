//! What SQLite sees as an open file: every write, read, sync and truncation of it, on its way to the default VFS's file.
//!
//! Promises and what it must never do: those of the shim (`mod.rs`), which are kept here.

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ffi;

use super::Context;
use super::gathered::Gathered;
use super::lengthen::lengthen;
use crate::embedded::disk::{FileOp, parent};
use crate::embedded::page_gaps;
use crate::embedded::tally::FileKind;
use crate::embedded::unread;

/// What SQLite sees as an open file; the default VFS's own file object follows at [`FILE_BYTES`].
#[repr(C)]
pub(super) struct ShimFile {
    base: ffi::sqlite3_file,
    context: &'static Context,
    kind: FileKind,
    gathered: Gathered,
    /// Our own descriptor of the log, for `fdatasync`: SQLite is built to call `fsync`, which writes the
    /// file's times to the disk too, at the price of a second flush. None where there is none, and before
    /// the first sync, which has a new log's directory entry to write as well.
    ///
    /// Closing it drops the process's POSIX locks on the log; SQLite takes none there (its locks are on
    /// the database and on the log's index). It is the same file: SQLite's open database keeps everybody
    /// from removing the log.
    data_sync: Option<File>,
    data_sync_due: bool,
    /// Where the last write ended.
    written_to: u64,
    /// A journal whose name may not be on disk yet.
    names_due: bool,
    /// None of a temporary file.
    path: Option<PathBuf>,
    /// The database is, or will be with what is written next, as long as this.
    database_bytes: u64,
}

impl ShimFile {
    /// A file that the default VFS has opened. `path`: None of a temporary one.
    pub(super) fn new(
        context: &'static Context,
        kind: FileKind,
        path: Option<PathBuf>,
        names_due: bool,
    ) -> Self {
        Self {
            base: ffi::sqlite3_file {
                pMethods: &raw const METHODS,
            },
            context,
            kind,
            gathered: Gathered::default(),
            data_sync: None,
            written_to: 0,
            path,
            database_bytes: 0,
            names_due,
            data_sync_due: kind == FileKind::Log && cfg!(target_os = "linux"),
        }
    }
}

/// SQLite's own writes are at most one page of 64 KiB; its VFS takes a length modulo 128 KiB.
const PIECE_BYTES_MAX: usize = 64 << 10;

/// Size of [`ShimFile`], rounded up so that what follows is aligned for anything (SQLite allocates the
/// whole object at 8 bytes' alignment).
pub(super) const FILE_BYTES: usize = size_of::<ShimFile>().next_multiple_of(16);

/// The default VFS's file behind a shim file.
///
/// # Safety
/// `file` was given by SQLite with our `szOsFile`, so that [`FILE_BYTES`] and the real object lie in it.
pub(super) unsafe fn real_file(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: inside the allocation by the contract.
    unsafe {
        file.cast::<u8>()
            .add(FILE_BYTES)
            .cast::<ffi::sqlite3_file>()
    }
}

/// The shim file that SQLite calls a method of.
///
/// # Safety
/// `open` succeeded on `file`, and it is not closed.
unsafe fn shim_file<'a>(file: *mut ffi::sqlite3_file) -> &'a mut ShimFile {
    // SAFETY: `open` wrote a `ShimFile` there; SQLite does not use a file after closing it, and a
    // connection (so each of its files) is used by one thread at a time. The reference ends with the
    // method that asked for it.
    unsafe { &mut *file.cast::<ShimFile>() }
}

/// Writes what is gathered. Whatever comes of it, nothing is gathered then: after an error SQLite rolls
/// the transaction back and will write those frames anew.
///
/// # Safety
/// As for [`shim_file`].
unsafe fn flush(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: by the contract.
    let shim = unsafe { shim_file(file) };
    let gathered = &mut shim.gathered;
    if gathered.bytes.is_empty() {
        return ffi::SQLITE_OK;
    }
    gathered.ends_commit = false;
    let mut offset = gathered.offset;
    let mut code = ffi::SQLITE_OK;
    for piece in gathered.bytes.chunks(PIECE_BYTES_MAX) {
        // SAFETY: by the contract.
        code = unsafe { write_through(file, shim.context, shim.path.as_deref(), piece, offset) };
        if code != ffi::SQLITE_OK {
            break;
        }
        offset = offset.saturating_add(i64::try_from(piece.len()).unwrap_or(i64::MAX));
    }
    gathered.bytes.clear();
    shim.written_to = u64::try_from(offset).unwrap_or(0);
    code
}

/// Writes bytes to the real file, if the disk's layer lets them through; a deletion's once more, into
/// what is reserved for it, if there is no room.
///
/// # Safety
/// As for [`shim_file`].
unsafe fn write_through(
    file: *mut ffi::sqlite3_file,
    context: &Context,
    path: Option<&Path>,
    bytes: &[u8],
    offset: i64,
) -> c_int {
    let write = |bytes: &[u8]| {
        // SAFETY: the pointer and length are of `bytes`; the real file does not keep them.
        let code = unsafe {
            real_write(
                file,
                bytes.as_ptr().cast::<c_void>(),
                c_int::try_from(bytes.len()).unwrap_or(c_int::MAX),
                offset,
            )
        };
        if code == ffi::SQLITE_OK {
            Ok(())
        } else {
            Err(code)
        }
    };
    let place = u64::try_from(offset).unwrap_or(0);
    let attempt = || {
        let refused = |error: io::Error| write_code(&error);
        context.disk.write(path, place, bytes, write, refused)
    };
    match attempt() {
        Err(ffi::SQLITE_FULL) if context.tally.make_room() => attempt(),
        written => written,
    }
    .map_or_else(|code| code, |()| ffi::SQLITE_OK)
}

/// What SQLite is told of a write that failed.
fn write_code(error: &io::Error) -> c_int {
    if error.kind() == io::ErrorKind::StorageFull {
        ffi::SQLITE_FULL
    } else {
        ffi::SQLITE_IOERR_WRITE
    }
}

/// Passes a call of a file method on to the real file.
macro_rules! pass_file {
    ($name:ident, $method:ident, ($($arg:ident: $type:ty),*) -> $ret:ty, $absent:expr) => {
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file, $($arg: $type),*) -> $ret {
            // SAFETY: SQLite calls on a file that `open` opened; its real part has methods, or `open`
            // had not set ours.
            unsafe {
                let real = real_file(file);
                match (*(*real).pMethods).$method {
                    Some(method) => method(real, $($arg),*),
                    None => $absent,
                }
            }
        }
    };
}

pass_file!(real_close, xClose, () -> c_int, ffi::SQLITE_OK);
pass_file!(real_read, xRead, (out: *mut c_void, bytes: c_int, offset: ffi::sqlite3_int64) -> c_int, ffi::SQLITE_IOERR_READ);
pass_file!(real_write, xWrite, (from: *const c_void, bytes: c_int, offset: ffi::sqlite3_int64) -> c_int, ffi::SQLITE_IOERR_WRITE);
pass_file!(real_truncate, xTruncate, (size: ffi::sqlite3_int64) -> c_int, ffi::SQLITE_IOERR_TRUNCATE);
pass_file!(real_sync, xSync, (flags: c_int) -> c_int, ffi::SQLITE_IOERR_FSYNC);
pass_file!(real_file_size, xFileSize, (out: *mut ffi::sqlite3_int64) -> c_int, ffi::SQLITE_IOERR_FSTAT);
pass_file!(lock, xLock, (level: c_int) -> c_int, ffi::SQLITE_IOERR_LOCK);
pass_file!(unlock, xUnlock, (level: c_int) -> c_int, ffi::SQLITE_IOERR_UNLOCK);
pass_file!(check_reserved_lock, xCheckReservedLock, (out: *mut c_int) -> c_int, ffi::SQLITE_IOERR_CHECKRESERVEDLOCK);
pass_file!(real_file_control, xFileControl, (op: c_int, arg: *mut c_void) -> c_int, ffi::SQLITE_NOTFOUND);
pass_file!(sector_size, xSectorSize, () -> c_int, 4096);
pass_file!(device_characteristics, xDeviceCharacteristics, () -> c_int, 0);
pass_file!(real_shm_map, xShmMap, (page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void) -> c_int, ffi::SQLITE_IOERR_SHMMAP);
pass_file!(shm_lock, xShmLock, (offset: c_int, count: c_int, flags: c_int) -> c_int, ffi::SQLITE_IOERR_SHMLOCK);
pass_file!(shm_barrier, xShmBarrier, () -> (), ());
pass_file!(shm_unmap, xShmUnmap, (delete: c_int) -> c_int, ffi::SQLITE_OK);

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    bytes: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite calls on a file that `open` opened.
    let shim = unsafe { shim_file(file) };
    let length = usize::try_from(bytes).unwrap_or(0);
    let counted = shim
        .context
        .tally
        .before_write(shim.kind, offset, length as u64);
    if let Err(error) = counted {
        return write_code(&error);
    }
    // SAFETY: SQLite gives `bytes` bytes at `from`.
    let written = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), length) };
    if shim.kind != FileKind::Log {
        let place = u64::try_from(offset).unwrap_or(0);
        if shim.database_bytes == 0 {
            let mut there = 0;
            // SAFETY: as above; the real file is asked, which knows nothing of `shim`.
            let code = unsafe { real_file_size(file, &raw mut there) };
            if code != ffi::SQLITE_OK {
                return code;
            }
            shim.database_bytes = u64::try_from(there).unwrap_or(u64::MAX);
        }
        let end = place.saturating_add(length as u64);
        shim.database_bytes = shim.database_bytes.max(end);
        let can_tell =
            shim.kind == FileKind::Main && shim.database_bytes < page_gaps::DATABASE_BYTES_MAX;
        let clean = if can_tell {
            page_gaps::cleaned(written, place)
        } else {
            None
        };
        let (context, path) = (shim.context, shim.path.as_deref());
        let written = clean.as_deref().unwrap_or(written);
        // SAFETY: the same call, passed on, with as many bytes.
        return unsafe { write_through(file, context, path, written, offset) };
    }
    if !shim.gathered.continues_at(offset) {
        // SAFETY: as above.
        let code = unsafe { flush(file) };
        if code != ffi::SQLITE_OK {
            return code;
        }
    }
    // SAFETY: as above; `shim` of before is not used any more.
    let shim = unsafe { shim_file(file) };
    if shim.gathered.take(written, offset) {
        // SAFETY: as above.
        unsafe { flush(file) }
    } else {
        ffi::SQLITE_OK
    }
}

/// A checkpoint says how long the database will be before it writes the first page of it.
unsafe extern "C" fn file_control(
    file: *mut ffi::sqlite3_file,
    op: c_int,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: SQLite calls on a file that `open` opened, and gives an i64 with this operation; the same call, passed on.
    unsafe {
        if op == ffi::SQLITE_FCNTL_SIZE_HINT && !arg.is_null() {
            let hint = u64::try_from(*arg.cast::<ffi::sqlite3_int64>()).unwrap_or(0);
            let shim = shim_file(file);
            if shim.database_bytes > 0 || hint >= page_gaps::DATABASE_BYTES_MAX {
                shim.database_bytes = shim.database_bytes.max(hint);
            }
        }
        real_file_control(file, op, arg)
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: SQLite calls on a file that `open` opened.
    let code = unsafe { flush(file) };
    if code != ffi::SQLITE_OK {
        return code;
    }
    // SAFETY: as above.
    let shim = unsafe { shim_file(file) };
    if shim.context.tally.before_sync(shim.kind).is_err() {
        return ffi::SQLITE_IOERR_FSYNC;
    }
    let op = shim.path.as_deref().map(|path| FileOp::Sync { path });
    let disk = &shim.context.disk;
    let code = match op.map_or(Ok(true), |op| disk.ask(&op)) {
        Ok(true) => {
            let code = match &shim.data_sync {
                Some(log) => {
                    // Only who has the write lock may: while a checkpoint syncs, others append to the log.
                    if shim.context.tally.is_committing() {
                        lengthen(log, disk, shim.path.as_deref(), shim.written_to);
                    }
                    match log.sync_data() {
                        Ok(()) => ffi::SQLITE_OK,
                        Err(_) => ffi::SQLITE_IOERR_FSYNC,
                    }
                }
                // SAFETY: the same call, passed on.
                None => unsafe { real_sync(file, flags) },
            };
            if let Some(op) = op {
                disk.tell(&op, code == ffi::SQLITE_OK);
            }
            code
        }
        Ok(false) => ffi::SQLITE_OK,
        Err(_) => ffi::SQLITE_IOERR_FSYNC,
    };
    if code != ffi::SQLITE_OK && shim.kind == FileKind::Log {
        shim.context.tally.log_sync_fails();
    }
    // The default VFS syncs a journal's directory with its first sync, but hides what comes of it.
    if code == ffi::SQLITE_OK && shim.names_due {
        if shim
            .path
            .as_deref()
            .is_some_and(|path| disk.sync_directory(parent(path)).is_err())
        {
            return ffi::SQLITE_IOERR_DIR_FSYNC;
        }
        shim.names_due = false;
    }
    if code == ffi::SQLITE_OK && std::mem::take(&mut shim.data_sync_due) {
        shim.data_sync = shim
            .path
            .as_deref()
            .and_then(|path| File::options().write(true).open(path).ok());
    }
    code
}

/// A call that must find the file as SQLite wrote it.
macro_rules! after_flush {
    ($name:ident, $real:ident, ($($arg:ident: $type:ty),*)) => {
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file, $($arg: $type),*) -> c_int {
            // SAFETY: SQLite calls on a file that `open` opened; the same call, passed on.
            unsafe {
                match flush(file) {
                    ffi::SQLITE_OK => $real(file, $($arg),*),
                    code => code,
                }
            }
        }
    };
}

after_flush!(read_file, real_read, (out: *mut c_void, bytes: c_int, offset: ffi::sqlite3_int64));
after_flush!(cut, real_truncate, (size: ffi::sqlite3_int64));
after_flush!(file_size, real_file_size, (out: *mut ffi::sqlite3_int64));

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    out: *mut c_void,
    bytes: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite calls on a file that `open` opened; the same call, passed on.
    let code = unsafe {
        shim_file(file).gathered.read_at = Some(offset);
        read_file(file, out, bytes, offset)
    };
    if code != ffi::SQLITE_OK {
        // Behind a file's end there are zeros, which is no failure.
        if code != ffi::SQLITE_IOERR_SHORT_READ {
            unread::read_fails();
        }
        return code;
    }
    // SAFETY: as above; `out` has room for `bytes` bytes, and they were all written just now.
    let shown = unsafe {
        let shim = shim_file(file);
        let read = std::slice::from_raw_parts_mut(
            out.cast::<u8>(),
            usize::try_from(bytes).unwrap_or_default(),
        );
        let place = u64::try_from(offset).unwrap_or_default();
        shim.context.disk.show(shim.path.as_deref(), place, read)
    };
    shown.map_or_else(
        |_| {
            unread::read_fails();
            ffi::SQLITE_IOERR_READ
        },
        |()| ffi::SQLITE_OK,
    )
}

/// The log's index grows with the log; it takes room, too.
unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: SQLite calls on a file that `open` opened; the same call, passed on, at most twice.
    unsafe {
        match real_shm_map(file, page, size, extend, out) {
            ffi::SQLITE_IOERR_SHMSIZE if shim_file(file).context.tally.make_room() => {
                real_shm_map(file, page, size, extend, out)
            }
            code => code,
        }
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite calls on a file that `open` opened. The borrow ends before `cut`.
    let shim = unsafe { shim_file(file) };
    let length = u64::try_from(size).unwrap_or(0);
    let (context, path) = (shim.context, shim.path.clone());
    let disk = &context.disk;
    let op = path
        .as_deref()
        .map(|path| FileOp::SetLength { path, length });
    if op.is_some_and(|op| disk.ask(&op).is_err()) {
        return ffi::SQLITE_IOERR_TRUNCATE;
    }
    // SAFETY: as above.
    let code = unsafe { cut(file, size) };
    if let Some(op) = op {
        disk.tell(&op, code == ffi::SQLITE_OK);
    }
    code
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite calls on a file that `open` opened, for the last time: the buffer is dropped here.
    unsafe {
        // What is still gathered belongs to a transaction that never ended: nobody needs it.
        let shim = shim_file(file);
        drop(std::mem::take(&mut shim.gathered));
        drop(shim.data_sync.take());
        drop(shim.path.take());
        real_close(file)
    }
}

/// Version 2: no memory-mapped reads (a failing disk would be a signal instead of an error).
static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
