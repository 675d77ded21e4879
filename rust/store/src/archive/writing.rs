//! The sections of an archive, written: the manifest, then what is reached, each block once and behind what it links to.
//!
//! Promises: of a large block only a part is in memory at a time; what is written is what was checked.

use std::cell::Cell;
use std::io::Write;
use std::sync::Arc;

use treering_block::car::{CarFault, Section, encode_header, encode_section_head};
use treering_block::{Block, Cid, Codec, check_node};

use super::error::ArchiveError;
use super::walk::post_order;
use super::{Pace, Watcher, tell};
use crate::caller;
use crate::commit::BLOB_BYTES_MIN;
use crate::error::StoreError;
use crate::store::Store;

/// Bytes of a large block that are read at once.
const RANGE: u64 = 1 << 20;
/// Bytes of nodes on the way down that are kept until they are written, rather than read twice.
const KEPT_BYTES_MAX: usize = 8 << 20;

/// What was written.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// Root 0.
    pub root: Cid,
    /// Blocks behind the manifest's.
    pub blocks: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Writes a whole archive: `manifest`, whose first block is the root, then what `roots` reach.
///
/// Errors: those of reading; `Io`; `Stopped`.
pub fn write(
    store: &dyn Store,
    manifest: &[Block],
    roots: impl IntoIterator<Item = Cid>,
    output: &mut dyn Write,
    mut watcher: Watcher<'_>,
) -> Result<Written, ArchiveError> {
    let root = manifest.first().map_or(Cid::of_node(b""), |root| root.cid);
    let mut out = Output { output, bytes: 0 };
    out.write(&encode_header(&[root]).map_err(at(0))?)?;
    for block in manifest {
        out.block(block)?;
    }
    let (mut blocks, mut pace) = (0, Pace::default());
    write_reached(store, roots, |cid, bytes| {
        let before = out.bytes;
        out.stored(store, cid, bytes)?;
        blocks += 1;
        if pace.block(out.bytes - before)? {
            tell(&mut watcher, blocks, None)?;
        }
        Ok(())
    })?;
    tell(&mut watcher, blocks, Some(blocks))?;
    Ok(Written {
        root,
        blocks,
        bytes: out.bytes,
    })
}

/// Hands over each block that the roots reach, with its bytes where they are at hand.
fn write_reached(
    store: &dyn Store,
    roots: impl IntoIterator<Item = Cid>,
    mut write: impl FnMut(&Cid, Option<Arc<[u8]>>) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let kept = Cell::new(0);
    post_order(
        roots,
        |_, cid| {
            if cid.codec() == Codec::Raw {
                return Ok((Vec::new(), None));
            }
            caller::still_waits()?;
            let bytes = store.get(cid)?;
            let links =
                check_node(&bytes).map_err(|error| StoreError::Block(error.stored_in(*cid)))?;
            let size = kept.get() + bytes.len();
            if size > KEPT_BYTES_MAX {
                return Ok((links, None));
            }
            kept.set(size);
            Ok((links, Some(bytes)))
        },
        |cid, bytes| {
            kept.set(kept.get() - bytes.as_ref().map_or(0, |bytes: &Arc<[u8]>| bytes.len()));
            write(&cid, bytes)
        },
    )
}

fn at(offset: u64) -> impl Fn(CarFault) -> ArchiveError {
    move |fault| ArchiveError::File { offset, fault }
}

/// The file, and how long it is.
pub struct Output<'a> {
    output: &'a mut dyn Write,
    bytes: u64,
}

impl Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.output
            .write_all(bytes)
            .map_err(ArchiveError::writing)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn head(&mut self, cid: &Cid, size: u64) -> Result<(), ArchiveError> {
        let head = encode_section_head(&Section { cid: *cid, size }).map_err(at(self.bytes))?;
        self.write(&head)
    }

    fn block(&mut self, block: &Block) -> Result<(), ArchiveError> {
        self.head(&block.cid, block.bytes.len() as u64)?;
        self.write(&block.bytes)
    }

    /// A block of the store; a large one range by range.
    fn stored(
        &mut self,
        store: &dyn Store,
        cid: &Cid,
        bytes: Option<Arc<[u8]>>,
    ) -> Result<(), ArchiveError> {
        if bytes.is_none() && cid.codec() == Codec::Raw {
            let size = store.size(cid)?;
            if size >= BLOB_BYTES_MIN as u64 {
                self.head(cid, size)?;
                let mut at = 0;
                while at < size {
                    caller::still_waits()?;
                    let part = store.range(cid, at, RANGE.min(size - at))?;
                    if part.is_empty() {
                        return Err(StoreError::Corrupt {
                            what: "block",
                            which: cid.to_string(),
                            detail: format!("it ends after {at} of {size} bytes"),
                        }
                        .into());
                    }
                    self.write(&part)?;
                    at += part.len() as u64;
                }
                return Ok(());
            }
        }
        let bytes = match bytes {
            Some(bytes) => bytes,
            None => store.get(cid)?,
        };
        self.head(cid, bytes.len() as u64)?;
        self.write(&bytes)
    }
}
