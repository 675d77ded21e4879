//! Writing threads into a CAR file.
//!
//! Promises: what is written is the state at one position of the journal, the manifest first, then every
//! block once, behind those that it links to; the same state gives the same bytes (no time of writing and
//! no path stands in them). Of a large block only a part is in memory at a time.
//! Must never: write a file that an import would refuse.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use treering_block::Cid;
use treering_store::archive::Watcher;
use treering_store::archive::path::write_to;
use treering_store::archive::writing::write;

use super::error::CarError;
use super::manifest::{Entry, Manifest};
use super::snapshot::{Snapshot, take};
use crate::threads::Threads;

/// What an export holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Root 0, the manifest: it stands for the whole of the export.
    pub root: Cid,
    /// Ids of the threads, growing.
    pub threads: Vec<String>,
    /// Receipts of commands.
    pub receipts: u64,
    /// Those of the scope of which nobody can say whether they were there: as [`treering_store::Store::receipts_unsettled`].
    pub receipts_left: u64,
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
    watcher: Watcher<'_>,
) -> Result<Exported, CarError> {
    let store = &**threads.store();
    let wanted: Option<BTreeSet<String>> = ids.map(|ids| ids.iter().cloned().collect());
    let Snapshot {
        threads: taken,
        receipts,
        receipts_left,
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
    let roots = manifest
        .threads
        .iter()
        .flat_map(|entry| std::iter::once(entry.head).chain(entry.failed));
    let written = write(store, &manifest.encode()?, roots, output, watcher)?;
    Ok(Exported {
        root: written.root,
        threads: manifest.threads.into_iter().map(|entry| entry.id).collect(),
        receipts: manifest.receipts.len() as u64,
        receipts_left,
        blocks: written.blocks,
        bytes: written.bytes,
    })
}

/// As [`export`], to a new file that appears under its name when all of it is on disk.
///
/// # Errors
/// As for [`export`]; `Io` (`AlreadyExists`) where there is something of that name.
pub fn export_to(
    threads: &Threads,
    ids: Option<&[String]>,
    path: &Path,
    watcher: Watcher<'_>,
) -> Result<Exported, CarError> {
    let written = write_to(path, |output| export(threads, ids, output, watcher));
    written.map_err(|error: CarError| error.named(&path.display().to_string()))
}
