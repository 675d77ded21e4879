//! The one door between the store and its files: every open, write, fsync, rename and removal passes here
//! or through the shim under SQLite, and a test may stand in the door.
//!
//! Promises: with no layer the calls are the system's own; a layer is asked before each operation and told
//! after it, in an order in which they could have happened one by one; it sees the bytes of each read before
//! anybody else does.
//! Never: a layer is asked about what no promise rests on (the bell's and the lock's text, the log's index,
//! temporary files).

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One change to the store's files, as the system is asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOp<'a> {
    /// A file is opened; made, empty, if it is absent and `create` is set.
    Open {
        /// Which.
        path: &'a Path,
        /// Whether it may be made.
        create: bool,
    },
    /// Bytes are written.
    Write {
        /// Into which file.
        path: &'a Path,
        /// Where.
        offset: u64,
        /// What.
        bytes: &'a [u8],
    },
    /// A file is cut or made longer.
    SetLength {
        /// Which.
        path: &'a Path,
        /// Its length then.
        length: u64,
    },
    /// fsync or fdatasync of a file.
    Sync {
        /// Which.
        path: &'a Path,
    },
    /// fsync of a directory: its entries, not what they name.
    SyncDirectory {
        /// Which.
        path: &'a Path,
    },
    /// A directory is made.
    MakeDirectory {
        /// Which.
        path: &'a Path,
    },
    /// A file gets another name, over whatever had that name.
    Rename {
        /// Its name before.
        from: &'a Path,
        /// Its name then.
        to: &'a Path,
    },
    /// A file is removed.
    Remove {
        /// Which.
        path: &'a Path,
    },
}

/// What a layer makes of an operation.
#[derive(Debug)]
pub enum Verdict {
    /// It happens.
    Do,
    /// A sync is answered as done and left out. Any other operation happens.
    Pretend,
    /// It does not happen, and this is the answer.
    Fail(io::Error),
    /// The first half of a write happens, and this is the answer. Any other operation does not happen.
    Half(io::Error),
}

/// What stands between a store and the disk, for tests. Called from the writer's and the callers' threads;
/// it must not call into the store.
pub trait DiskLayer: Send + Sync {
    /// Before an operation.
    fn before(&self, op: &FileOp<'_>) -> Verdict;
    /// After it: `done` says whether it happened. Not called for a sync that was only pretended, unless
    /// the layer's own verdict was to do it.
    fn after(&self, op: &FileOp<'_>, done: bool);
    /// After bytes of the database, its log, a large block or a sealed file were read, and before they are looked at: may
    /// change them, or fail the read. A layer that does not care leaves them alone.
    fn read(&self, _path: &Path, _offset: u64, _bytes: &mut [u8]) -> io::Result<()> {
        Ok(())
    }
}

/// The system's files, or those behind a layer. Clones share it.
#[derive(Clone, Default)]
pub struct Disk(Option<Arc<dyn DiskLayer>>);

impl Disk {
    /// The system's own.
    pub fn system() -> Self {
        Self(None)
    }

    /// With a layer in between.
    pub fn behind(layer: Arc<dyn DiskLayer>) -> Self {
        Self(Some(layer))
    }

    /// Asks before `op`. True: it is to be done. False: a sync that is to be left out. The caller tells
    /// [`Disk::tell`] what came of it. Errors: the layer's.
    pub(super) fn ask(&self, op: &FileOp<'_>) -> io::Result<bool> {
        let Some(layer) = &self.0 else {
            return Ok(true);
        };
        match layer.before(op) {
            Verdict::Do => Ok(true),
            Verdict::Pretend => Ok(!matches!(
                op,
                FileOp::Sync { .. } | FileOp::SyncDirectory { .. }
            )),
            Verdict::Fail(error) | Verdict::Half(error) => {
                layer.after(op, false);
                Err(error)
            }
        }
    }

    /// Shows bytes that were read. `path`: None of a temporary file. Errors: the layer's.
    pub(super) fn show(
        &self,
        path: Option<&Path>,
        offset: u64,
        bytes: &mut [u8],
    ) -> io::Result<()> {
        match (&self.0, path) {
            (Some(layer), Some(path)) => layer.read(path, offset, bytes),
            _ => Ok(()),
        }
    }

    /// Whether it is the same: the system's own, or behind the same layer.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// Tells what came of `op`.
    pub(super) fn tell(&self, op: &FileOp<'_>, done: bool) {
        if let Some(layer) = &self.0 {
            layer.after(op, done);
        }
    }

    /// Writes through `write`, which is given an offset and the bytes for it: all, or what a layer leaves.
    /// `refused` turns the layer's error into one of `write`'s kind.
    pub(super) fn write<E>(
        &self,
        path: Option<&Path>,
        offset: u64,
        bytes: &[u8],
        write: impl FnOnce(&[u8]) -> Result<(), E>,
        refused: impl FnOnce(io::Error) -> E,
    ) -> Result<(), E> {
        let (Some(layer), Some(path)) = (&self.0, path) else {
            return write(bytes);
        };
        let op = FileOp::Write {
            path,
            offset,
            bytes,
        };
        match layer.before(&op) {
            Verdict::Do | Verdict::Pretend => {
                let written = write(bytes);
                layer.after(&op, written.is_ok());
                written
            }
            Verdict::Fail(error) => {
                layer.after(&op, false);
                Err(refused(error))
            }
            Verdict::Half(error) => {
                let (bytes, _) = bytes.split_at(bytes.len() / 2);
                let half = FileOp::Write {
                    path,
                    offset,
                    bytes,
                };
                let written = write(bytes);
                layer.after(&half, written.is_ok());
                written.and_then(|()| Err(refused(error)))
            }
        }
    }

    fn run<T>(&self, op: &FileOp<'_>, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.ask(op)?;
        let done = act();
        self.tell(op, done.is_ok());
        done
    }

    fn sync(&self, op: &FileOp<'_>, act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if !self.ask(op)? {
            return Ok(());
        }
        let done = act();
        self.tell(op, done.is_ok());
        done
    }

    /// Opens a file as `how` says, which makes it if absent.
    pub(super) fn open(&self, path: &Path, how: &fs::OpenOptions) -> io::Result<File> {
        self.run(&FileOp::Open { path, create: true }, || how.open(path))
    }

    /// Opens a file whose bytes a layer sees as they are read.
    pub(super) fn open_to_read(&self, path: &Path) -> io::Result<Shown> {
        let create = false;
        let file = self.run(&FileOp::Open { path, create }, || File::open(path))?;
        Ok(Shown {
            disk: self.clone(),
            path: path.to_owned(),
            file,
            at: 0,
        })
    }

    /// Waits until the bytes of a file that is open are on disk.
    pub(super) fn sync_opened(&self, path: &Path, file: &File) -> io::Result<()> {
        self.sync(&FileOp::Sync { path }, || file.sync_all())
    }

    /// Makes a file with these bytes and waits until they are on disk; its name is not yet.
    /// Errors: also if the name is taken.
    pub(super) fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.open(path, File::options().write(true).create_new(true))?;
        self.write(
            Some(path),
            0,
            bytes,
            |bytes| file.write_all(bytes),
            |error| error,
        )?;
        self.sync(&FileOp::Sync { path }, || file.sync_all())
    }

    /// Makes a file of what `next` gives, piece after piece until an empty one, and waits until it is on disk;
    /// its name is not yet. Errors: also if the name is taken.
    pub(super) fn write_pieces(
        &self,
        path: &Path,
        mut next: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        let mut file = self.open(path, File::options().write(true).create_new(true))?;
        let mut piece = vec![0; 1 << 20];
        let mut offset = 0;
        loop {
            let length = next(&mut piece)?;
            let Some(bytes) = piece.get(..length).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            let write = |bytes: &[u8]| file.write_all(bytes);
            self.write(Some(path), offset, bytes, write, |error| error)?;
            offset = offset.saturating_add(length as u64);
        }
        self.sync(&FileOp::Sync { path }, || file.sync_all())
    }

    /// Waits until a file's bytes are on disk.
    pub(super) fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.sync(&FileOp::Sync { path }, || {
            let mut how = File::options();
            how.read(true).write(true).open(path)?.sync_all()
        })
    }

    /// Writes a file's bytes over themselves, and waits until they are on disk: after a failed sync the
    /// kernel takes its pages for clean, and a sync alone would write nothing.
    pub(super) fn write_anew(&self, path: &Path) -> io::Result<()> {
        let mut file = File::options().read(true).write(true).open(path)?;
        let mut piece = vec![0; 1 << 20];
        let mut offset = 0;
        loop {
            file.seek(SeekFrom::Start(offset))?;
            let length = file.read(&mut piece)?;
            let Some(bytes) = piece.get(..length).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            let write = |bytes: &[u8]| {
                file.seek(SeekFrom::Start(offset))?;
                file.write_all(bytes)
            };
            self.write(Some(path), offset, bytes, write, |error| error)?;
            offset = offset.saturating_add(length as u64);
        }
        self.sync(&FileOp::Sync { path }, || file.sync_all())
    }

    /// Waits until a directory's entries are on disk. Windows writes entries with their file.
    pub(super) fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.sync(&FileOp::SyncDirectory { path }, || {
            if cfg!(unix) {
                File::open(path)?.sync_all()
            } else {
                Ok(())
            }
        })
    }

    /// Makes a directory and those above it that are absent; each one's entry is on disk then. One that
    /// is there is left alone.
    pub(super) fn make_directories(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let parent = parent(path);
        if parent != path {
            self.make_directories(parent)?;
        }
        self.make_directory(path)?;
        self.sync_directory(parent)
    }

    /// Makes one directory unless it is there. Either way its entry may not be on disk yet.
    pub(super) fn make_directory(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        match self.run(&FileOp::MakeDirectory { path }, || fs::create_dir(path)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run(&FileOp::Rename { from, to }, || fs::rename(from, to))
    }

    /// Cuts a file to nothing; its name stays.
    pub(super) fn empty(&self, path: &Path) -> io::Result<()> {
        self.run(&FileOp::SetLength { path, length: 0 }, || {
            File::options().write(true).open(path)?.set_len(0)
        })
    }

    /// Removes a file. One that is absent is an error of that kind, and no layer is asked.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        fs::symlink_metadata(path)?;
        self.run(&FileOp::Remove { path }, || fs::remove_file(path))
    }
}

/// A file whose bytes a layer sees as they are read.
pub(super) struct Shown {
    disk: Disk,
    path: PathBuf,
    file: File,
    at: u64,
}

impl Shown {
    /// Fills `into` from an offset on. Errors: `UnexpectedEof` where the file is too short.
    pub(super) fn read_exact_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        #[cfg(unix)]
        std::os::unix::fs::FileExt::read_exact_at(&self.file, into, offset)?;
        #[cfg(not(unix))]
        {
            let mut file = &self.file;
            file.seek(SeekFrom::Start(offset))?;
            file.read_exact(into)?;
        }
        self.disk.show(Some(&self.path), offset, into)
    }

    /// How long the file is.
    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

impl Read for Shown {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(into)?;
        if let Some(bytes) = into.get_mut(..length).filter(|bytes| !bytes.is_empty()) {
            self.disk.show(Some(&self.path), self.at, bytes)?;
        }
        self.at = self.at.saturating_add(length as u64);
        Ok(length)
    }
}

impl Seek for Shown {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = self.file.seek(to)?;
        Ok(self.at)
    }
}

/// The directory that names `path`: of a bare name the one that we are in.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}
