//! Writing a whole scope into an archive.

use std::io::Write;
use std::path::Path;

use treering_block::Cid;
use treering_store::archive::path::write_to;
use treering_store::archive::writing::write;
use treering_store::archive::{ScopeManifest, Watcher, snapshot};
use treering_store::quarantine::QUARANTINE;
use treering_store::scope::FORKING;
use treering_store::{RefName, Store};
use treering_thread::car::{CarError, is_made};
use treering_thread::ident::THREAD;
use treering_thread::pins::PIN;

use super::check::is_own_model;
use super::named_in;
use crate::projection::PROJECTION;
use crate::stores::is_kind;

/// What the archive of a scope holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeExported {
    /// Root 0, the manifest: it stands for the whole of the archive.
    pub root: Cid,
    /// Ids of the threads, growing.
    pub threads: Vec<String>,
    /// Actors, deleted ones too.
    pub actors: u64,
    /// Projections.
    pub projections: u64,
    /// Pins.
    pub pins: u64,
    /// Receipts of commands.
    pub receipts: u64,
    /// Those of which nobody can say whether they were there: as [`Store::receipts_unsettled`].
    pub receipts_left: u64,
    /// Blocks that the refs reach; those of the manifest are not counted.
    pub blocks: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Writes a scope to `output`, which is not flushed. The watcher is told how many blocks are written.
/// O(blocks reached); holds a CID for each in memory, and every ref and receipt.
///
/// # Errors
/// `Corrupt` for a ref or block that can't be read (a part of the file may be written then); `BeingForked` for a scope that
/// is being made; `LimitExceeded` for what no import would take; `Io`.
pub fn export_scope(
    store: &dyn Store,
    scope: &str,
    output: &mut dyn Write,
    watcher: Watcher<'_>,
) -> Result<ScopeExported, CarError> {
    let taken = snapshot(store, scope, None, goes_along)?;
    let receipts_left = taken.receipts_unsettled;
    let manifest = ScopeManifest {
        scope: scope.to_owned(),
        refs: taken.refs,
        // What stands among them and is no command's is this store's alone.
        receipts: taken
            .receipts
            .into_values()
            .filter(|command| named_in(&command.receipt).is_some())
            .collect(),
    };
    let blocks = manifest.encode()?;
    let mut roots: Vec<(&RefName, Cid)> = manifest
        .refs
        .iter()
        .map(|(name, value)| (name, value.target))
        .collect();
    // As they stand in the manifest, whatever the scope is called.
    roots.sort_unstable_by_key(|(name, _)| name.unscoped());
    let roots = roots.into_iter().map(|(_, target)| target);
    let written = write(store, &blocks, roots, output, watcher)?;
    let of = |is: &dyn Fn(&str) -> bool| {
        let names = manifest.refs.keys();
        names.filter(|name| is(name.kind())).count() as u64
    };
    let threads = manifest.refs.keys().filter(|name| name.kind() == THREAD);
    Ok(ScopeExported {
        root: written.root,
        threads: threads.map(|name| name.parts().join("/")).collect(),
        actors: of(&is_kind),
        projections: of(&|kind| kind == PROJECTION),
        pins: of(&|kind| kind == PIN),
        receipts: manifest.receipts.len() as u64,
        receipts_left,
        blocks: written.blocks,
        bytes: written.bytes,
    })
}

/// As [`export_scope`], to a new file that appears under its name when all of it is on disk.
///
/// # Errors
/// As for [`export_scope`]; `Io` (`AlreadyExists`) where there is something of that name.
pub fn export_scope_to(
    store: &dyn Store,
    scope: &str,
    path: &Path,
    watcher: Watcher<'_>,
) -> Result<ScopeExported, CarError> {
    let written = write_to(path, |output| export_scope(store, scope, output, watcher));
    written.map_err(|error: CarError| error.named(&path.display().to_string()))
}

/// What is made of the rest, or is this store's alone, stays behind.
fn goes_along(name: &RefName) -> bool {
    !matches!(name.kind(), FORKING | QUARANTINE) && !is_made(name) && !is_own_model(name)
}
