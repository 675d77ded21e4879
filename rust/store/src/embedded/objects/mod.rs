//! Large blocks of a store in an object store ([`Bucket`]), in the place of the directory's `blobs/`.
//!
//! One object each: the block's bytes, and behind those of more than one group the chaining value of each, so that two
//! requests prove any range. Its name is that of a file: never used twice.
//! Promises: an object is whole before its name leaves [`Objects::send`]; who sends one is known by a lock until a row names
//! it, so nothing that is on its way is collected, and what a killed process left is known at once; what an upload in
//! parts has sent is gone on with; nobody waits for the network under the write lock.
//! Never: a request before the place is known to be ours; an object that a row names is changed or removed.
//!
//! Who may do what with an object: its *note* (`blobs/sending/<digest>-<ULID>`, locked) is held by who sends it, until its row
//! is committed, and by who removes it while no row names it. Who removes it removes the note first: an object whose removal
//! was ever tried is never taken for whole again. A *mark* (`blobs/reading/…`, locked shared) is held by
//! who reads it in pieces.

mod above;
mod claim;
mod form;
mod mark;
mod note;
mod object;
mod removal;
mod sending;
mod strays;

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use treering_block::{Block, Cid};

pub(super) use self::above::expect_not_inside;
pub(super) use self::claim::{Owner, bucket_of, expect_free, expect_same};
use self::note::{Note, Taken};
pub(super) use self::object::ObjectFile;
use self::removal::Removal;
pub(super) use self::strays::{Outside, Strays};
use super::block_rows::{BlockRow, broken_bytes};
use super::disk::Disk;
use crate::blob_tree::{GROUP, Groups};
use crate::bucket::Bucket;
use crate::clock::Clock;
use crate::error::{Result, StoreError};

/// Notes of what is being sent, below `blobs/`.
const SENDING: &str = "sending";
/// Marks of what is being read.
const READING: &str = "reading";
/// Bytes that are read or sent in one request.
const PIECE: u64 = crate::bucket::PART_BYTES;

/// See the top of this file.
pub(super) struct Objects {
    bucket: Arc<dyn Bucket>,
    owner: Owner,
    store_id: String,
    /// `blobs/`.
    folder: PathBuf,
    disk: Disk,
    clock: Clock,
    /// The place is known to be ours.
    ours: Mutex<bool>,
    /// Notes of objects that are sent and that no row names yet.
    held: Mutex<HashMap<String, Note>>,
    /// Those of uploads in parts whose notes are still there, and locked by nobody: see [`Objects::let_go`].
    let_go: Mutex<Vec<String>>,
    /// Objects that a row names and that were missing, or of another length, when somebody looked.
    broken: Mutex<HashSet<String>>,
    removal: Removal,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Objects {
    pub(super) fn new(
        bucket: Arc<dyn Bucket>,
        (owner, store_id): (Owner, String),
        folder: PathBuf,
        disk: &Disk,
        clock: &Clock,
    ) -> Self {
        Self {
            bucket,
            owner,
            store_id,
            folder,
            disk: disk.clone(),
            clock: clock.clone(),
            ours: Mutex::default(),
            held: Mutex::default(),
            let_go: Mutex::default(),
            broken: Mutex::default(),
            removal: Removal::default(),
        }
    }

    pub(super) fn url(&self) -> &str {
        self.bucket.url()
    }

    /// The bucket, once the place is known to be ours. Errors: those of [`Objects::claim`].
    fn bucket(&self) -> Result<&dyn Bucket> {
        self.claim()?;
        Ok(&*self.bucket)
    }

    /// Sends a block that is in memory, and holds its object until [`Objects::settle`] or a removal. Errors: `Bucket`, `Io`.
    pub(super) fn write(&self, block: &Block) -> Result<String> {
        let mut groups = Groups::default();
        block
            .bytes
            .chunks(GROUP)
            .for_each(|group| groups.push(group));
        self.send(&block.cid, &groups, &mut |offset, into| {
            let place = usize::try_from(offset).unwrap_or(usize::MAX);
            let content = block.bytes.get(place..place.saturating_add(into.len()));
            into.copy_from_slice(content.ok_or(std::io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    /// A row names the object, or another one its block: it needs nobody who holds it.
    pub(super) fn settle(&self, name: &str) {
        let note = locked(&self.held).remove(name);
        if let Some(note) = note {
            note.remove();
        }
    }

    /// A row names the object, and may be gone again before [`Objects::settle_all`]: of an upload in parts the note stays
    /// till then, for who sends the same bytes again. Nothing stays open. To be called where nobody collects.
    pub(in crate::embedded) fn let_go(&self, name: &str) {
        let Some(note) = locked(&self.held).remove(name) else {
            return;
        };
        if note.is_of_parts() {
            // Its lock goes with it.
            drop(note);
            locked(&self.let_go).push(name.to_owned());
        } else {
            note.remove();
        }
    }

    /// The rows of all that were let go of stay.
    pub(super) fn settle_all(&self) {
        for name in std::mem::take(&mut *locked(&self.let_go)) {
            let path = self.notes().join(last_segment(&name));
            match Note::take(&path, &self.disk) {
                Ok(Taken::Ours(note)) => note.remove(),
                Ok(Taken::Held | Taken::Absent) => {}
                Err(error) => {
                    tracing::warn!(%error, object = name, "its note stays until a collection");
                }
            }
        }
    }

    /// Whether the row's object is there, as long as it has to be. One request. A bucket that doesn't answer says
    /// nothing against it.
    pub(super) fn has_length_of(&self, row: &BlockRow) -> bool {
        let Some(name) = row.file.as_deref() else {
            return true;
        };
        let expected = form::object_bytes(row.size);
        let whole = match self.bucket().and_then(|bucket| bucket.size(name)) {
            Ok(found) => found == Some(expected),
            Err(error) => {
                tracing::warn!(%error, object = name, "can't be looked at; its row vouches for it");
                return true;
            }
        };
        let mut broken = locked(&self.broken);
        if whole {
            broken.remove(name);
        } else {
            broken.insert(name.to_owned());
        }
        whole
    }

    /// What [`Objects::has_length_of`] found last, in this process: no request.
    pub(super) fn was_broken(&self, row: &BlockRow) -> bool {
        let name = row.file.as_deref().unwrap_or_default();
        locked(&self.broken).contains(name)
    }

    /// Every object below the place, in no order: name, bytes. Errors: `Bucket`.
    pub(super) fn each(&self, each: &mut dyn FnMut(String, u64) -> Result<()>) -> Result<()> {
        self.bucket()?
            .list("", &mut |object| each(object.name, object.size))
    }

    /// An object of ours, whoever names it, for who takes its bytes as they are; None if it can't be one.
    fn content_bytes(&self, name: &str) -> Option<u64> {
        super::blob::digest_and_time(name)?;
        let size = self.bucket().ok()?.size(name).ok()??;
        form::content_bytes(size)
    }

    /// Digest and length of the content of an object of ours, read piece by piece; None if it can't be read.
    pub(super) fn hash(&self, name: &str) -> Option<([u8; 32], u64)> {
        let size = self.content_bytes(name)?;
        let mut groups = Groups::default();
        self.each_piece(name, size, &mut |piece| {
            piece.chunks(GROUP).for_each(|group| groups.push(group));
        })?;
        Some((groups.digest(), size))
    }

    /// Its content, if it has at most so many bytes; not checked.
    pub(super) fn read_named(&self, name: &str, limit: u64) -> Option<Vec<u8>> {
        let size = self.content_bytes(name).filter(|size| *size <= limit)?;
        let mut bytes = Vec::new();
        self.each_piece(name, size, &mut |piece| bytes.extend_from_slice(piece))?;
        Some(bytes)
    }

    /// The content of an object of ours, piece by piece, not checked; false if there is none of that length. Errors: `Bucket`,
    /// those of `each`.
    pub(super) fn read_pieces(
        &self,
        name: &str,
        each: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<bool> {
        let bucket = self.bucket()?;
        let Some(size) = bucket.size(name)?.and_then(form::content_bytes) else {
            return Ok(false);
        };
        let mut at = 0;
        while at < size {
            let length = PIECE.min(size - at);
            match bucket.read(name, at, length)? {
                Some(piece) if piece.len() as u64 == length => each(&piece)?,
                _ => return Ok(false),
            }
            at = at.saturating_add(length);
        }
        Ok(true)
    }

    fn each_piece(&self, name: &str, size: u64, each: &mut dyn FnMut(&[u8])) -> Option<()> {
        let mut at = 0;
        while at < size {
            let length = PIECE.min(size - at);
            let piece = self.bucket().ok()?.read(name, at, length).ok()??;
            if piece.len() as u64 != length {
                return None;
            }
            each(&piece);
            at = at.saturating_add(length);
        }
        Some(())
    }

    /// A copy of an object under a new name, read twice and never whole in memory. Errors: `Corrupt` unless its content is the
    /// block; `Bucket`.
    pub(super) fn copy(&self, from: &str, cid: &Cid) -> Result<String> {
        let mut groups = Groups::default();
        let size = self.content_bytes(from);
        let read = size.and_then(|size| {
            self.each_piece(from, size, &mut |piece| {
                piece.chunks(GROUP).for_each(|group| groups.push(group));
            })
        });
        if read.is_none() || groups.digest() != *cid.digest() {
            return Err(self.broken(cid, from, "does not hash to it"));
        }
        self.send(cid, &groups, &mut |offset, into| {
            let read = self
                .bucket()
                .and_then(|bucket| bucket.read(from, offset, into.len() as u64));
            match read {
                Ok(Some(bytes)) if bytes.len() == into.len() => {
                    into.copy_from_slice(&bytes);
                    Ok(())
                }
                Ok(_) => Err(std::io::ErrorKind::UnexpectedEof.into()),
                Err(error) => Err(std::io::Error::other(error.to_string())),
            }
        })
    }

    /// Of a block whose object is not what its CID says.
    fn broken(&self, cid: &Cid, name: &str, how: impl Display) -> StoreError {
        broken_bytes(cid, &format!("its object {name} in {} {how}", self.url()))
    }

    fn notes(&self) -> PathBuf {
        self.folder.join(SENDING)
    }

    fn marks(&self) -> PathBuf {
        self.folder.join(READING)
    }
}

/// The part of an object's name that is unique: what its note and its mark are called.
fn last_segment(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, last)| last)
}
