//! Writing threads into a CAR file.
//!
//! Promises: what is written is the state at one position of the journal, the manifest first, then every
//! block once, behind those that it links to; the same state gives the same bytes (no time of writing and
//! no path stands in them). Of a large block only a part is in memory at a time.
//! Must never: write a file that an import would refuse.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use treering_block::car::{Section, encode_header, encode_section_head};
use treering_block::{Block, Cid, Codec, check_node};
use treering_store::Store;
use treering_store::commit::BLOB_BYTES_MIN;

use super::error::CarError;
use super::manifest::{Entry, Manifest};
use super::snapshot::{Snapshot, take};
use super::walk::post_order;
use super::{WATCHED_BLOCKS, Watcher, tell};
use crate::threads::Threads;

/// Bytes of a large block that are read at once.
const RANGE: u64 = 1 << 20;
/// Bytes of nodes on the way down that are kept until they are written, rather than read twice.
const KEPT_BYTES_MAX: usize = 8 << 20;

/// What an export holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Root 0, the manifest: it stands for the whole of the export.
    pub root: Cid,
    /// Ids of the threads, growing.
    pub threads: Vec<String>,
    /// Receipts of commands.
    pub receipts: u64,
    /// Blocks of the threads; those of the manifest are not counted.
    pub blocks: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Writes the threads with these ids (None: all of the scope) to `output`, which is not flushed.
///
/// The watcher is told how many blocks are written. O(blocks reached); holds one CID for each in memory.
///
/// # Errors
/// `NotFound` for an id that no thread has; `Corrupt` for a record or block that can't be read (a part of
/// the file may be written then); `LimitExceeded` for what no import would take; `Io`.
pub fn export(
    threads: &Threads,
    ids: Option<&[String]>,
    output: &mut dyn Write,
    mut watcher: Watcher<'_>,
) -> Result<Exported, CarError> {
    let store = &**threads.store();
    let wanted: Option<BTreeSet<String>> = ids.map(|ids| ids.iter().cloned().collect());
    let Snapshot {
        threads: taken,
        receipts,
    } = take(store, threads.scope(), wanted.as_ref())?;
    let entries = taken.into_iter().map(|taken| Entry {
        id: taken.id,
        head: taken.head.target,
        version: taken.head.version,
        record: taken.head.record,
        failed: taken.failed,
    });
    let manifest = Manifest {
        scope: threads.scope().to_owned(),
        threads: entries.collect(),
        receipts,
    };
    let blocks = manifest.encode()?;
    let root = blocks.first().map_or(Cid::of_node(b""), |root| root.cid);
    let mut out = Output { output, bytes: 0 };
    out.write(&encode_header(&[root]).map_err(at(0))?)?;
    for block in &blocks {
        out.block(block)?;
    }
    let mut written = 0;
    write_reached(store, &manifest, |cid, bytes| {
        out.stored(store, cid, bytes)?;
        written += 1;
        if written % WATCHED_BLOCKS == 0 {
            tell(&mut watcher, written, None)?;
        }
        Ok(())
    })?;
    tell(&mut watcher, written, Some(written))?;
    Ok(Exported {
        root,
        threads: manifest.threads.into_iter().map(|entry| entry.id).collect(),
        receipts: manifest.receipts.len() as u64,
        blocks: written,
        bytes: out.bytes,
    })
}

/// Hands over each block that the threads reach, with its bytes where they are at hand.
fn write_reached(
    store: &dyn Store,
    manifest: &Manifest,
    mut write: impl FnMut(&Cid, Option<Arc<[u8]>>) -> Result<(), CarError>,
) -> Result<(), CarError> {
    let roots = manifest
        .threads
        .iter()
        .flat_map(|entry| std::iter::once(entry.head).chain(entry.failed));
    let kept = Cell::new(0);
    post_order(
        roots,
        |_, cid| {
            if cid.codec() == Codec::Raw {
                return Ok((Vec::new(), None));
            }
            let bytes = store.get(cid)?;
            let links = check_node(&bytes)
                .map_err(|error| treering_store::StoreError::Block(error.stored_in(*cid)))?;
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

fn at(offset: u64) -> impl Fn(treering_block::car::CarFault) -> CarError {
    move |fault| CarError::File { offset, fault }
}

/// The file, and how long it is.
struct Output<'a> {
    output: &'a mut dyn Write,
    bytes: u64,
}

impl Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), CarError> {
        self.output.write_all(bytes).map_err(CarError::writing)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn head(&mut self, cid: &Cid, size: u64) -> Result<(), CarError> {
        let head = encode_section_head(&Section { cid: *cid, size }).map_err(at(self.bytes))?;
        self.write(&head)
    }

    fn block(&mut self, block: &Block) -> Result<(), CarError> {
        self.head(&block.cid, block.bytes.len() as u64)?;
        self.write(&block.bytes)
    }

    /// A block of the store; a large one range by range.
    fn stored(
        &mut self,
        store: &dyn Store,
        cid: &Cid,
        bytes: Option<Arc<[u8]>>,
    ) -> Result<(), CarError> {
        if bytes.is_none() && cid.codec() == Codec::Raw {
            let size = store.size(cid)?;
            if size >= BLOB_BYTES_MIN as u64 {
                self.head(cid, size)?;
                let mut at = 0;
                while at < size {
                    let part = store.range(cid, at, RANGE.min(size - at))?;
                    if part.is_empty() {
                        return Err(treering_store::StoreError::Corrupt {
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
