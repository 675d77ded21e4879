//! One large block's object, read in pieces.
//!
//! Promises: opening costs no request; the first read one for the chaining values, if the block has more than one group, and
//! each read one for each 8 MiB that it touches. Who reads on where he stopped gets 8 MiB at a time, and no request for what is in
//! memory. That is 8 MiB, and 32 bytes for each MiB of the block. As long as it is open no collection removes it.
//! Never: a byte is given that the block's CID does not vouch for. What does not fit is read once more first: the wire may
//! have done it.

use std::sync::{Arc, Mutex};

use treering_block::Cid;

use super::mark::Mark;
use super::{Objects, PIECE, form, last_segment, locked};
use crate::blob_tree::{GROUP, Groups};
use crate::embedded::block_rows::BlockRow;
use crate::embedded::sqlite_error::io_error;
use crate::error::{Result, StoreError};

const GROUP_BYTES: u64 = GROUP as u64;

/// See the top of this file.
pub(in crate::embedded) struct ObjectFile {
    objects: Arc<Objects>,
    cid: Cid,
    size: u64,
    name: String,
    state: Mutex<State>,
    /// None where nothing may be written: a collection of another process may take the object then.
    mark: Option<Mark>,
}

#[derive(Default)]
struct State {
    /// What proves each group.
    groups: Option<Groups>,
    /// Where the newest piece begins, and its bytes.
    piece: (u64, Vec<u8>),
    /// Where the newest read ended.
    ended: u64,
}

impl ObjectFile {
    /// Marks the object; the caller looks then whether the row is still there. Errors: `Corrupt`, `Io`.
    pub(in crate::embedded) fn open(objects: &Arc<Objects>, row: &BlockRow) -> Result<Self> {
        let name = row.file.clone().unwrap_or_default();
        let mark = match Mark::set(&objects.marks(), last_segment(&name)) {
            Ok(mark) => Some(mark),
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                None
            }
            Err(error) => return Err(io_error("lock", &objects.marks(), error)),
        };
        Ok(Self {
            objects: Arc::clone(objects),
            cid: row.cid,
            size: row.size,
            name,
            state: Mutex::default(),
            mark,
        })
    }

    /// See [`OpenBlob`](crate::embedded::open_blob::OpenBlob).
    pub(in crate::embedded) fn may_be_collected(&self) -> bool {
        let size = || self.objects.bucket()?.size(&self.name);
        self.mark.is_none() && matches!(size(), Ok(None))
    }

    /// Bytes of the block, as its row says.
    pub(in crate::embedded) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes `offset .. offset + length` as far as there are. Errors: `Corrupt`, `Bucket`.
    pub(in crate::embedded) fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        let end = offset.saturating_add(length).min(self.size);
        let mut out = Vec::new();
        if offset >= end {
            return Ok(out);
        }
        let mut state = locked(&self.state);
        let goes_on = offset > 0 && state.ended == offset;
        let mut at = offset;
        while at < end {
            let (from, piece) = &state.piece;
            let here = at
                .checked_sub(*from)
                .and_then(|skip| piece.get(usize::try_from(skip).ok()?..));
            if let Some(here) = here.filter(|here| !here.is_empty()) {
                let wanted = usize::try_from(end - at)
                    .unwrap_or(usize::MAX)
                    .min(here.len());
                out.extend_from_slice(here.get(..wanted).unwrap_or_default());
                at = at.saturating_add(wanted as u64);
                continue;
            }
            let from = at / GROUP_BYTES * GROUP_BYTES;
            let to = if goes_on {
                from.saturating_add(PIECE)
            } else {
                end
            };
            self.fetch(&mut state, from, to.min(from.saturating_add(PIECE)))?;
        }
        state.ended = end;
        Ok(out)
    }

    /// Makes the groups from `from` to the one of `to` the newest piece.
    fn fetch(&self, state: &mut State, from: u64, to: u64) -> Result<()> {
        // Its room is given back first: there is one piece at a time.
        state.piece = (0, Vec::new());
        let end = to
            .div_ceil(GROUP_BYTES)
            .saturating_mul(GROUP_BYTES)
            .min(self.size);
        if state.groups.is_none() && self.size > GROUP_BYTES {
            let values = form::values_bytes(self.size);
            let read = self.read_twice(self.size, values, |bytes| {
                let groups = Groups::from_values(bytes, self.size)?;
                (groups.digest() == *self.cid.digest()).then_some(groups)
            })?;
            state.groups = Some(read);
        }
        let groups = state.groups.as_ref();
        let bytes = self.read_twice(from, end.saturating_sub(from), |bytes| {
            let places = (from..).step_by(GROUP);
            let sound = bytes
                .chunks(GROUP)
                .zip(places)
                .all(|(group, place)| match groups {
                    Some(groups) => groups.has_group(place, group),
                    None => self.cid.matches(group),
                });
            sound.then(|| bytes.to_vec())
        })?;
        state.piece = (from, bytes);
        Ok(())
    }

    /// Reads what has to pass `sound`; once more if it doesn't.
    fn read_twice<T>(
        &self,
        offset: u64,
        length: u64,
        sound: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T> {
        let mut found = self.missing();
        for _ in 0..2 {
            match self.objects.bucket()?.read(&self.name, offset, length)? {
                None => found = self.missing(),
                Some(bytes) if bytes.len() as u64 != length => found = self.wrong("is too short"),
                Some(bytes) => match sound(&bytes) {
                    Some(read) => return Ok(read),
                    None => found = self.wrong("gives other bytes than were stored"),
                },
            }
        }
        Err(found)
    }

    fn missing(&self) -> StoreError {
        self.wrong("is missing")
    }

    fn wrong(&self, how: &str) -> StoreError {
        self.objects.broken(&self.cid, &self.name, how)
    }

    /// The whole block in memory, checked. Errors: `Corrupt`, `Bucket`.
    pub(in crate::embedded) fn read_whole(&self) -> Result<Arc<[u8]>> {
        if self.size <= PIECE {
            // In one request, without the values.
            let read = self.read_twice(0, self.size, |bytes| {
                self.cid.matches(bytes).then(|| Arc::from(bytes))
            });
            return read;
        }
        let mut out = Vec::new();
        while (out.len() as u64) < self.size {
            out.extend_from_slice(&self.read(out.len() as u64, PIECE)?);
        }
        Ok(out.into())
    }

    /// Whether all of the object is what it should be, to its last byte. 8 MiB at a time. Errors: `Corrupt`, `Bucket`.
    pub(in crate::embedded) fn check(&self) -> Result<()> {
        let whole = form::object_bytes(self.size);
        let found = self.objects.bucket()?.size(&self.name)?;
        match found {
            None => return Err(self.missing()),
            Some(found) if found != whole => {
                return Err(self.wrong(&format!("has {found} bytes and not {whole}")));
            }
            Some(_) => {}
        }
        let mut at = 0;
        while at < self.size {
            at = at.saturating_add(self.read(at, PIECE)?.len() as u64);
        }
        Ok(())
    }
}
