//! Notes of objects that are on their way: `blobs/sending/<digest>-<ULID>`, locked by who sends or removes the object.
//!
//! Empty for what goes in one request. For an upload in parts: lines that say how long the parts are, what the server calls
//! the upload, and what it calls each part that it has.
//! Promises: a note is on disk before its upload is begun, and again with the upload's name before its first part; a line that
//! is torn, or that the disk lost, is as if it had not been written. A note that is there, and has all parts, is of an object
//! whose removal was never tried: whoever removes one removes its note first, for good ([`forgotten`]).
//! Must never: be removed by who has not locked it.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::bucket::PART_BYTES;
use crate::embedded::directory::{identity_of, leads_elsewhere};
use crate::embedded::disk::{Disk, parent};

const FIRST: &str = "treering upload";
/// Longer notes are none of ours: 10,000 parts, each with a name of some 100 bytes.
const BYTES_MAX: u64 = 16 << 20;

/// A note that is locked.
pub(super) struct Note {
    path: PathBuf,
    file: File,
    disk: Disk,
    length: u64,
    /// What the server calls the upload in parts.
    pub(super) upload: Option<String>,
    /// What it calls the parts, as far as it has them.
    pub(super) parts: Vec<Option<String>>,
}

/// What became of an attempt to lock one.
pub(super) enum Taken {
    Ours(Box<Note>),
    Held,
    Absent,
}

impl Note {
    /// A new one. Errors: the system's.
    pub(super) fn make(folder: &Path, name: &str, disk: &Disk) -> io::Result<Self> {
        disk.make_directories(folder)?;
        let path = folder.join(name);
        let file = disk.open(
            &path,
            File::options().read(true).write(true).create_new(true),
        )?;
        file.try_lock().map_err(io::Error::from)?;
        Ok(Self {
            path,
            file,
            disk: disk.clone(),
            length: 0,
            upload: None,
            parts: Vec::new(),
        })
    }

    /// One that is there, unless somebody has it. Errors: the system's.
    pub(super) fn take(path: &Path, disk: &Disk) -> io::Result<Taken> {
        let file = match File::options().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Taken::Absent),
            opened => opened?,
        };
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(Taken::Held),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => {}
        }
        // Whoever had it may have removed it.
        let found = file.metadata()?;
        if leads_elsewhere(path, identity_of(path, &found)) {
            return Ok(Taken::Absent);
        }
        let mut note = Self {
            path: path.to_owned(),
            file,
            disk: disk.clone(),
            length: found.len(),
            upload: None,
            parts: Vec::new(),
        };
        if found.len() <= BYTES_MAX {
            // Through the handle that has the lock: elsewhere than on Unix no other may.
            let mut text = Vec::new();
            note.file.read_to_end(&mut text)?;
            note.understand(&String::from_utf8_lossy(&text));
            // What is torn is not gone on with.
            note.length = text
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at as u64 + 1);
        }
        Ok(Taken::Ours(Box::new(note)))
    }

    fn understand(&mut self, text: &str) {
        let mut lines = text
            .split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n'));
        if lines.next() != Some(&*first_line()) {
            return;
        }
        for line in lines {
            if let Some(upload) = line.strip_prefix("id ") {
                self.upload = Some(upload.to_owned());
            } else if let Some((number, part)) = line
                .strip_prefix("part ")
                .and_then(|rest| rest.split_once(' '))
                && let Ok(number) = number.parse::<u32>()
            {
                self.set(number, part.to_owned());
            }
        }
    }

    fn set(&mut self, number: u32, part: String) {
        // Far below what a note may have.
        let place = number as usize;
        if place >= self.parts.len() && number < 10_000 {
            self.parts.resize(place + 1, None);
        }
        if let Some(slot) = self.parts.get_mut(place) {
            *slot = Some(part);
        }
    }

    /// An upload in parts is about to begin. On disk then. Errors: the system's.
    pub(super) fn intend(&mut self) -> io::Result<()> {
        self.append(&first_line())?;
        self.sync()?;
        self.disk.sync_directory(parent(&self.path))
    }

    /// It has begun. On disk then. Errors: the system's; `InvalidData` for a name that can't be noted.
    pub(super) fn begun(&mut self, upload: &str) -> io::Result<()> {
        self.append(&format!("id {}", noted(upload)?))?;
        self.sync()?;
        self.upload = Some(upload.to_owned());
        Ok(())
    }

    /// The server has this part. A line that is lost costs a part. Errors: the system's; `InvalidData` as above.
    pub(super) fn has(&mut self, number: u32, part: String) -> io::Result<()> {
        self.append(&format!("part {number} {}", noted(&part)?))?;
        self.set(number, part);
        Ok(())
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        let bytes = format!("{line}\n").into_bytes();
        let (file, at) = (&mut self.file, self.length);
        let write = |bytes: &[u8]| {
            io::Seek::seek(file, io::SeekFrom::Start(at))?;
            file.write_all(bytes)
        };
        self.disk
            .write(Some(&self.path), at, &bytes, write, |error| error)?;
        self.length = at.saturating_add(bytes.len() as u64);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync_opened(&self.path, &self.file)
    }

    /// Nothing is left that it would tell of. One that can't be removed, or that comes back with a power failure, is empty of
    /// meaning, and goes with a collection.
    pub(super) fn remove(self) {
        if let Err(error) = self.disk.remove(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "a note of an object stays until a collection");
        }
    }

    /// Removes it; nobody takes its object for whole any more once [`forgotten`] has answered, too. Errors: the system's.
    pub(super) fn forget(self) -> io::Result<()> {
        self.disk.remove(&self.path)
    }

    /// Whether an upload in parts was, or was to be, begun. A torn first line says so, too.
    pub(super) fn is_of_parts(&self) -> bool {
        self.file.metadata().is_ok_and(|found| found.len() > 0)
    }

    pub(super) fn file_name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}

/// Notes of that folder that were removed stay so, whatever fails. Errors: the system's.
pub(super) fn forgotten(folder: &Path, disk: &Disk) -> io::Result<()> {
    match disk.sync_directory(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        synced => synced,
    }
}

fn first_line() -> String {
    format!("{FIRST} {PART_BYTES}")
}

fn noted(word: &str) -> io::Result<&str> {
    if word.contains('\n') {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the server's answer has a line end in it",
        ));
    }
    Ok(word)
}
