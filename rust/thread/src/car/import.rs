//! Reading threads from a CAR file.
//!
//! The file is read once to check and index every block; then the manifest, the threads that are here and
//! the links from each head decide what is to be written; only then the first block is.
//!
//! Promises: a refused file has written nothing; one that fails later (a full disk, a killed process) leaves
//! blocks that are held, and no thread without all its steps and receipts. The same file again writes nothing.
//! Must never: take a block from the store that the file does not have: who knows only a hash gets no bytes.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Seek};
use std::path::Path;

use treering_block::Cid;
use treering_store::archive::path::open;
use treering_store::archive::{Index, Loading, Watcher, form_of, tell};
use treering_store::scope::lineage::keys_of_no_command;
use treering_store::{JournalCommand, Store};

use super::chains::reach;
use super::commit::make;
use super::conflict::{OnConflict, Verdict, judge};
use super::error::CarError;
use super::manifest::{Entry, FORM, Manifest};
use crate::threads::Threads;

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The scope that the file was exported from.
    pub scope: String,
    /// Ids of the threads that were made, renamed ones under their new id.
    pub threads: Vec<String>,
    /// Ids of threads that were here before, as they are in the file.
    pub there: Vec<String>,
    /// Ids of threads that were left out, since another one has their id or key.
    pub skipped: Vec<String>,
    /// (id in the file, id here) of threads that got another id.
    pub renamed: Vec<(String, String)>,
    /// Blocks that the new threads reach.
    pub blocks: u64,
    /// Those that were not here before.
    pub new_blocks: u64,
    /// Their bytes.
    pub new_bytes: u64,
    /// Receipts that came along.
    pub new_receipts: u64,
    /// Receipts that could not: their scope has another name, or their thread another id or none.
    pub receipts_left: u64,
}

/// Makes the threads of the file in `input`.
///
/// The watcher is told how many bytes were read, of twice the file's: it is read through twice. Reads and
/// writes O(file); under 500 bytes of memory for each block (measured), and the largest one whole.
///
/// # Errors
/// `File`, `Block`, `MissingLink`, `Manifest`: the file is refused, nothing is written. `ThreadExists`,
/// `KeyExists`: as `on_conflict` says. Those of a commit.
pub fn import<R: Read + Seek>(
    threads: &Threads,
    input: R,
    on_conflict: OnConflict,
    mut watcher: Watcher<'_>,
) -> Result<Imported, CarError> {
    let (root, mut file) = Index::of(input, &mut watcher)?;
    import_indexed(threads, &root, &mut file, on_conflict, watcher)
}

/// As [`import`], from a file.
///
/// # Errors
/// As for [`import`]; `Io` where it can't be opened.
pub fn import_from(
    threads: &Threads,
    path: &Path,
    on_conflict: OnConflict,
    watcher: Watcher<'_>,
) -> Result<Imported, CarError> {
    let file = open(path)?;
    let named = |error: CarError| error.named(&path.display().to_string());
    import(threads, file, on_conflict, watcher).map_err(named)
}

/// As [`import`], of a file that was read through, whose root 0 is that one.
///
/// # Errors
/// As for [`import`].
pub fn import_indexed<R: Read + Seek>(
    threads: &Threads,
    root: &Cid,
    file: &mut Index<R>,
    on_conflict: OnConflict,
    mut watcher: Watcher<'_>,
) -> Result<Imported, CarError> {
    match form_of(root, &file.need("the manifest", root)?)? {
        FORM => {}
        form => {
            return Err(CarError::manifest(format!(
                "it has form {form}, which is not one of threads alone"
            )));
        }
    }
    let manifest = Manifest::decode(root, |cid| file.need("the manifest", cid))?;
    let store = &**threads.store();
    expect_commands(store, threads.scope(), &manifest.receipts)?;
    let verdicts = judge(store, threads.scope(), &manifest.threads, on_conflict)?;
    let new: Vec<(&Entry, &Verdict)> = manifest
        .threads
        .iter()
        .zip(&verdicts)
        .filter(|(_, verdict)| matches!(verdict, Verdict::New { .. }))
        .collect();
    let order = reach(file, new.iter().map(|(entry, _)| *entry), [])?;
    let mut imported = report(&manifest, &verdicts);
    let receipts = Brought::sort(&manifest, &verdicts, threads.scope())?;
    imported.receipts_left = receipts.left;
    imported.blocks = order.len() as u64;

    let mut loading = Loading::new(store, threads.scope(), Vec::new());
    loading.load(file, &order, &mut watcher)?;
    let size = file.size.saturating_mul(2);
    // The last moment to stop it: what is done is done, whatever the watcher says.
    tell(&mut watcher, size, Some(size))?;
    make(threads, &mut loading, &new, receipts.of)?;
    imported.new_blocks = loading.new_blocks;
    imported.new_bytes = loading.new_bytes;
    imported.new_receipts = loading.new_receipts;
    Ok(imported)
}

/// That receipts are of commands: what says of which scope a scope was forked, and its name to its forks, comes with no
/// file.
///
/// # Errors
/// `Manifest` for one that is not; the store's.
pub fn expect_commands(
    store: &dyn Store,
    scope: &str,
    receipts: &[JournalCommand],
) -> Result<(), CarError> {
    let kept = keys_of_no_command(store, scope)?;
    match receipts.iter().any(|receipt| kept.contains(&receipt.key)) {
        true => Err(CarError::manifest(
            "one of its receipts has a key that no command has: it would say what the scope was forked of",
        )),
        false => Ok(()),
    }
}

fn report(manifest: &Manifest, verdicts: &[Verdict]) -> Imported {
    let mut imported = Imported {
        scope: manifest.scope.clone(),
        ..Imported::default()
    };
    for (entry, verdict) in manifest.threads.iter().zip(verdicts) {
        match verdict {
            Verdict::New { id, .. } => {
                imported.threads.push(id.clone());
                if *id != entry.id {
                    imported.renamed.push((entry.id.clone(), id.clone()));
                }
            }
            Verdict::There { id } => imported.there.push(id.clone()),
            Verdict::Skipped => imported.skipped.push(entry.id.clone()),
        }
    }
    imported
}

/// Receipts, each with the thread that it comes with.
struct Brought<'a> {
    /// By the id of a thread in the file.
    of: HashMap<&'a str, Vec<JournalCommand>>,
    left: u64,
}

impl<'a> Brought<'a> {
    /// A receipt comes along if every thread that it names and the file has keeps its id, and one of them
    /// is new. If none is new, it came with them before.
    fn sort(manifest: &'a Manifest, verdicts: &[Verdict], scope: &str) -> Result<Self, CarError> {
        let mut brought = Self {
            of: HashMap::new(),
            left: 0,
        };
        let by_id: HashMap<&str, (&'a Entry, &Verdict)> = manifest
            .threads
            .iter()
            .zip(verdicts)
            .map(|(entry, verdict)| (entry.id.as_str(), (entry, verdict)))
            .collect();
        for receipt in &manifest.receipts {
            let about = manifest.about(receipt)?;
            let mut names = HashSet::new();
            let mut first_new = None;
            let mut keeps = manifest.scope == scope;
            for one in &about {
                let Some((entry, verdict)) = by_id.get(one.thread.as_str()) else {
                    continue;
                };
                if !names.insert(entry.id.as_str()) {
                    continue;
                }
                keeps = keeps && verdict.id() == Some(entry.id.as_str());
                if let Verdict::New { .. } = verdict {
                    first_new = first_new.or(Some(entry.id.as_str()));
                }
            }
            match (keeps, first_new) {
                (true, Some(id)) => brought.of.entry(id).or_default().push(receipt.clone()),
                (true, None) => {}
                (false, _) => brought.left += 1,
            }
        }
        Ok(brought)
    }
}
