//! Where each block of a CAR file stands, and its bytes when they are wanted.
//!
//! Promises: 64 to 128 bytes of memory for each block, whatever its size; the bytes that are handed out are
//! those that were checked, even if the file has changed since.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use treering_block::{AnyCid, Block, Cid, Codec};

use super::error::ArchiveError;
use super::scan::{Scan, shrunk};
use super::{Pace, Watcher, tell};
use crate::caller;
use crate::commit::BLOB_BYTES_MIN;
use crate::store::Store;
use crate::upload::Uploaded;

/// Bytes of a large block that are read at once.
const PIECE: u64 = 1 << 20;

/// Where the bytes of a block stand.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u64,
    size: u64,
}

/// A file whose blocks were all checked.
pub struct Index<R> {
    input: R,
    places: HashMap<Cid, Place>,
    /// Bytes of the file.
    pub size: u64,
}

impl<R: Read + Seek> Index<R> {
    /// Reads the whole file once; its root 0 too.
    ///
    /// Errors: `File`, `Block`: it is refused; `Manifest` where it has no root of ours; `Io`; `Stopped`.
    pub fn of(input: R, watcher: &mut Watcher<'_>) -> Result<(Cid, Self), ArchiveError> {
        let (roots, index) = Self::build(input, watcher)?;
        match roots.first().map(Cid::try_from) {
            Some(Ok(root)) => Ok((root, index)),
            _ => Err(ArchiveError::manifest(
                "the file has no root of ours; only what treering exported can be imported",
            )),
        }
    }

    /// Reads the whole file once; its roots too.
    fn build(mut input: R, watcher: &mut Watcher<'_>) -> Result<(Vec<AnyCid>, Self), ArchiveError> {
        let mut scan = Scan::new(&mut input)?;
        let roots = scan.header()?;
        let mut places = HashMap::new();
        let mut bytes = Vec::new();
        let mut pace = Pace::default();
        while let Some(found) = scan.next(&mut bytes)? {
            let place = Place {
                offset: found.offset,
                size: found.size,
            };
            places.entry(found.cid).or_insert(place);
            if pace.block(found.size)? {
                let (done, size) = scan.progress();
                tell(watcher, done, Some(size.saturating_mul(2)))?;
            }
        }
        let (_, size) = scan.progress();
        drop(scan);
        let index = Self {
            input,
            places,
            size,
        };
        Ok((roots, index))
    }

    /// Whether the file has that block.
    pub fn has(&self, cid: &Cid) -> bool {
        self.places.contains_key(cid)
    }

    /// The bytes of a block that is in the file; None if it is not. All that is checked of a file comes through here.
    ///
    /// Errors: `Io`; `Cancelled`.
    pub fn read(&mut self, cid: &Cid) -> Result<Option<Vec<u8>>, ArchiveError> {
        caller::still_waits()?;
        let Some(place) = self.places.get(cid) else {
            return Ok(None);
        };
        self.input
            .seek(SeekFrom::Start(place.offset))
            .map_err(ArchiveError::reading)?;
        // The scan has seen that the file is that long.
        let mut bytes = Vec::with_capacity(usize::try_from(place.size).unwrap_or(0));
        let read = (&mut self.input)
            .take(place.size)
            .read_to_end(&mut bytes)
            .map_err(ArchiveError::reading)?;
        if read as u64 != place.size {
            return Err(shrunk());
        }
        Ok(Some(bytes))
    }

    /// The bytes of a block that has to be in the file.
    ///
    /// Errors: `MissingLink`, from what is told; `Io`.
    pub fn need(&mut self, from: &str, cid: &Cid) -> Result<Vec<u8>, ArchiveError> {
        self.read(cid)?.ok_or_else(|| ArchiveError::MissingLink {
            from: from.to_owned(),
            link: *cid,
        })
    }

    /// How many bytes a block has that is in the file.
    pub fn size_of(&self, cid: &Cid) -> Option<u64> {
        self.places.get(cid).map(|place| place.size)
    }

    /// Whether it is a block that is better not held in memory.
    pub fn is_large(&self, cid: &Cid) -> bool {
        let size = self.places.get(cid).map_or(0, |place| place.size);
        cid.codec() == Codec::Raw && size >= BLOB_BYTES_MIN as u64
    }

    /// Such a block, uploaded in pieces and hashed again.
    pub fn upload(&mut self, cid: &Cid, store: &dyn Store) -> Result<Arc<Uploaded>, ArchiveError> {
        let place = *self.places.get(cid).ok_or_else(shrunk)?;
        self.input
            .seek(SeekFrom::Start(place.offset))
            .map_err(ArchiveError::reading)?;
        let mut upload = store.upload()?;
        let mut piece = Vec::new();
        let mut left = place.size;
        while left > 0 {
            caller::still_waits()?;
            piece.clear();
            let wanted = (&mut self.input).take(left.min(PIECE));
            let read = { wanted }.read_to_end(&mut piece);
            match read.map_err(ArchiveError::reading)? as u64 {
                0 => return Err(shrunk()),
                read => left = left.saturating_sub(read),
            }
            upload.write(&piece)?;
        }
        let uploaded = upload.finish()?;
        if uploaded.cid() == *cid {
            Ok(uploaded)
        } else {
            Err(shrunk())
        }
    }

    /// A block of the file, hashed again.
    pub fn block(&mut self, cid: &Cid) -> Result<Block, ArchiveError> {
        let bytes = self.read(cid)?.ok_or_else(shrunk)?;
        let block = match cid.codec() {
            Codec::Raw => Ok(Block::raw(bytes)),
            Codec::DagCbor => Block::node(bytes),
        };
        match block {
            Ok(block) if block.cid == *cid => Ok(block),
            _ => Err(shrunk()),
        }
    }
}
