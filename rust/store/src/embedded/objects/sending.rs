//! Sends objects: small ones in one request, others in parts, which the next one who sends the same bytes goes on with.
//!
//! Promises: one part is in memory at a time; what is sent was compared with what arrived; an upload is noted on disk before
//! it is begun, each part after it is there. A server that forgets an upload in the middle, since it was started anew, is given
//! the whole once more.
//! Must never: take a part, or an object, for one of these bytes that no note says so of.

use std::io;
use std::path::PathBuf;

use treering_block::Cid;
use ulid::Ulid;

use super::note::{Note, Taken};
use super::{Objects, form, last_segment, locked};
use crate::blob_tree::{GROUP, Groups};
use crate::bucket::PART_BYTES;
use crate::embedded::blob::named;
use crate::embedded::sqlite_error::io_error;
use crate::error::{Result, StoreError};

/// How often an upload is begun for one call: a server that forgets each is not waited for without end.
const BEGINS: usize = 2;

/// Fills the buffer with the content from an offset on.
type Read<'r> = &'r mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>;

/// What is to be sent.
struct Cargo<'c> {
    groups: &'c Groups,
    read: Read<'c>,
    which: String,
}

impl Objects {
    /// Sends content that hashes to `cid` and returns the object's name. It is held until [`Objects::settle`] or a removal.
    ///
    /// Errors: `Bucket`; what arrived by then is gone on with by the next one who sends the same. `Corrupt` where `read` gives
    /// other bytes than arrived; `Io`.
    pub(in crate::embedded) fn send(
        &self,
        cid: &Cid,
        groups: &Groups,
        read: Read<'_>,
    ) -> Result<String> {
        self.claim()?;
        let mut cargo = Cargo {
            groups,
            read,
            which: cid.to_string(),
        };
        if form::object_bytes(groups.length()) <= PART_BYTES {
            return self.send_whole(cid, &mut cargo);
        }
        if let Some(name) = self.go_on(cid, &mut cargo)? {
            return Ok(name);
        }
        for _ in 0..BEGINS {
            if let Some(name) = self.send_in_parts(cid, &mut cargo)? {
                return Ok(name);
            }
        }
        Err(StoreError::Bucket {
            action: "upload",
            object: cargo.which,
            bucket: self.bucket.url().to_owned(),
            why: format!(
                "the server forgot the upload before it was whole, {BEGINS} times in this call; nothing is lost: see that it goes on running, and repeat it later"
            ),
        })
    }

    /// None: the server does not know the upload any more; nothing is left of it.
    fn send_in_parts(&self, cid: &Cid, cargo: &mut Cargo<'_>) -> Result<Option<String>> {
        let (name, mut note) = self.new_note(cid)?;
        note.intend().map_err(|error| self.not_noted(error))?;
        let upload = self.bucket.begin(&name)?;
        note.begun(&upload).map_err(|error| self.not_noted(error))?;
        if self.send_parts(&name, &mut note, cargo)? && self.complete(&name, &note, cargo)? {
            self.hold(&name, note);
            return Ok(Some(name));
        }
        tracing::info!(object = name, "the server forgot an upload");
        self.abandon(&name, note)?;
        Ok(None)
    }

    /// Nothing is left of an upload. Errors: `Bucket`; its note is kept then.
    fn abandon(&self, name: &str, note: Note) -> Result<()> {
        self.bucket
            .abort(name, note.upload.as_deref().unwrap_or_default())?;
        note.remove();
        Ok(())
    }

    fn send_whole(&self, cid: &Cid, cargo: &mut Cargo<'_>) -> Result<String> {
        let bytes = cargo.part(0)?;
        let (name, note) = self.new_note(cid)?;
        if let Err(error) = self.bucket.put(&name, &bytes) {
            // It may be there all the same: without a row, and without who holds it, it goes with a collection.
            note.remove();
            return Err(error);
        }
        self.hold(&name, note);
        Ok(name)
    }

    fn hold(&self, name: &str, note: Note) {
        locked(&self.held).insert(name.to_owned(), note);
    }

    fn new_note(&self, cid: &Cid) -> Result<(String, Note)> {
        let now_ms = u64::try_from(self.clock.now_ms()).unwrap_or(0);
        let unique = Ulid::from_parts(now_ms, Ulid::generate().random());
        let name = named(cid.digest(), unique);
        let note = Note::make(&self.notes(), last_segment(&name), &self.disk);
        Ok((name, note.map_err(|error| self.not_noted(error))?))
    }

    fn not_noted(&self, error: io::Error) -> StoreError {
        io_error("write a note in", &self.notes(), error)
    }

    /// Sends the parts that the server has not; false: it does not know the upload. Errors: as for [`Objects::send`].
    fn send_parts(&self, name: &str, note: &mut Note, cargo: &mut Cargo<'_>) -> Result<bool> {
        let upload = note.upload.clone().unwrap_or_default();
        for number in 0..cargo.parts() {
            if note.parts.get(number as usize).is_some_and(Option::is_some) {
                continue;
            }
            let bytes = cargo.part(number)?;
            let Some(part) = self.bucket.put_part(name, &upload, number, &bytes)? else {
                return Ok(false);
            };
            note.has(number, part)
                .map_err(|error| self.not_noted(error))?;
        }
        Ok(true)
    }

    /// False: the server does not know the upload.
    fn complete(&self, name: &str, note: &Note, cargo: &Cargo<'_>) -> Result<bool> {
        let upload = note.upload.clone().unwrap_or_default();
        let parts: Vec<String> = note.parts.iter().flatten().cloned().collect();
        match self.bucket.complete(name, &upload, &parts) {
            Ok(true) => Ok(true),
            // The answer may have been lost, and not what was asked.
            other => match self.bucket.size(name) {
                Ok(Some(size)) if size == form::object_bytes(cargo.groups.length()) => Ok(true),
                _ => other,
            },
        }
    }

    /// Goes on with what a killed process, or a bucket that failed for long, left of the same bytes. None: there is nothing
    /// that can be gone on with.
    fn go_on(&self, cid: &Cid, cargo: &mut Cargo<'_>) -> Result<Option<String>> {
        let Some(mut note) = self.left(cid) else {
            return Ok(None);
        };
        let folder = note.file_name().chars().take(2).collect::<String>();
        let name = format!("{folder}/{}", note.file_name());
        let missing = (0..cargo.parts())
            .filter(|number| {
                !note
                    .parts
                    .get(*number as usize)
                    .is_some_and(Option::is_some)
            })
            .count();
        tracing::info!(object = name, missing, "an upload is gone on with");
        let is_there = || {
            let found = self.bucket.size(&name)?;
            Ok::<_, StoreError>(found == Some(form::object_bytes(cargo.groups.length())))
        };
        if missing == 0 && is_there()? {
            self.hold(&name, *note);
            return Ok(Some(name));
        }
        // The bucket's failure is not the upload's: it is kept for the next one.
        if self.send_parts(&name, &mut note, cargo)?
            && matches!(self.complete(&name, &note, cargo), Ok(true))
        {
            self.hold(&name, *note);
            return Ok(Some(name));
        }
        // The server does not know it any more, or does not take its parts for whole.
        self.abandon(&name, *note)?;
        Ok(None)
    }

    /// A note of an upload of these bytes that nobody holds.
    fn left(&self, cid: &Cid) -> Option<Box<Note>> {
        let name = named(cid.digest(), Ulid::nil());
        let start = last_segment(&name).split_once('-')?.0.to_owned();
        let mut found: Vec<PathBuf> = std::fs::read_dir(self.notes())
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with(&start))
            })
            .collect();
        found.sort();
        found
            .iter()
            .find_map(|path| match Note::take(path, &self.disk) {
                Ok(Taken::Ours(note)) if note.upload.is_some() => Some(note),
                _ => None,
            })
    }
}

impl Cargo<'_> {
    fn parts(&self) -> u32 {
        let parts = form::object_bytes(self.groups.length()).div_ceil(PART_BYTES);
        u32::try_from(parts).unwrap_or(u32::MAX)
    }

    /// The bytes of a part, read and compared.
    fn part(&mut self, number: u32) -> Result<Vec<u8>> {
        let content = self.groups.length();
        let from = u64::from(number).saturating_mul(PART_BYTES);
        let to = from
            .saturating_add(PART_BYTES)
            .min(form::object_bytes(content));
        let mut bytes = Vec::with_capacity(usize::try_from(to.saturating_sub(from)).unwrap_or(0));
        let mut group = Vec::new();
        let mut at = from;
        while at < to.min(content) {
            let length = to.min(content).saturating_sub(at).min(GROUP as u64);
            group.resize(usize::try_from(length).unwrap_or(GROUP), 0);
            (self.read)(at, &mut group).map_err(|error| self.unread(&error))?;
            if !self.groups.has_group(at, &group) {
                let other = io::Error::new(
                    io::ErrorKind::InvalidData,
                    "what was written reads back as something else",
                );
                return Err(self.unread(&other));
            }
            bytes.extend_from_slice(&group);
            at = at.saturating_add(length);
        }
        if to > content && form::values_bytes(content) > 0 {
            let place = |at: u64| usize::try_from(at.saturating_sub(content)).unwrap_or(usize::MAX);
            let values = self
                .groups
                .values()
                .get(place(from.max(content))..place(to));
            bytes.extend_from_slice(values.unwrap_or_default());
        }
        Ok(bytes)
    }

    fn unread(&self, error: &io::Error) -> StoreError {
        StoreError::Corrupt {
            what: "upload",
            which: self.which.clone(),
            detail: error.to_string(),
        }
    }
}
