//! Reading an archive: of a whole scope, or of threads alone.
//!
//! The file is read once to check and index every block. Then every ref of it is checked, on the file as a store that can
//! only be read; then what is here decides what is to be written; only then the first block is.
//! Promises: as for `mod.rs`; the same file again writes nothing.

use std::collections::{BTreeMap, HashSet};
use std::io::{Read, Seek};
use std::path::Path;
use std::sync::Arc;

use treering_block::{Cid, Codec, check_node};
use treering_store::archive::path::open;
use treering_store::archive::{
    ArchiveError, Index, Loading, ScopeManifest, View, Watcher, form_of, manifest, post_order, tell,
};
use treering_store::scope::{LandOptions, Lands};
use treering_store::{
    Durability, Expect, JournalCommand, RefMove, RefName, RefValue, Store, StoreError,
};
use treering_thread::Threads;
use treering_thread::car::{
    CarError, Imported, OnConflict, ScopeThreads, Verdicts, expect_commands, import_indexed, moved,
};

use super::check::{Sort, check};
use super::named_in;
use super::verdict::{Becomes, judge, set};
use crate::dispatch::Dispatcher;
use crate::error::ActorError;
use crate::read::Reader;

/// At most so many taken refs are named by an error.
const NAMES_MAX: usize = 10;

/// How an archive is imported.
#[derive(Clone, Copy, Debug)]
pub struct ImportOptions {
    /// What is done about threads and pins that are in the way. An actor or projection in the way refuses the file, since
    /// others may speak of it.
    pub on_conflict: OnConflict,
    /// What the answer promises.
    pub durability: Durability,
    /// How its refs come.
    pub land: LandOptions,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeImported {
    /// Threads, blocks and receipts.
    pub all: Imported,
    /// Ids of threads that were here and went on.
    pub advanced: Vec<String>,
    /// Actors that were made or went on.
    pub actors: u64,
    /// Projections that were made or went on.
    pub projections: u64,
    /// Pins that were made.
    pub pins: u64,
    /// Actors, projections and pins that were here as they are in the file.
    pub others_there: u64,
    /// Names of pins that were left out.
    pub pins_skipped: Vec<String>,
}

/// Imports an archive into a scope, whatever it holds: a whole scope, or threads alone.
///
/// The watcher is told how many bytes were read, of twice the file's. Reads and writes O(file), and replays each log;
/// under 500 bytes of memory for each block, all refs and receipts, and the largest node.
///
/// # Errors
/// `File`, `Block`, `MissingLink`, `Manifest`: the file is refused. `ThreadExists`, `KeyExists`, `RefsTaken`: something
/// else is here. `LimitExceeded` for more refs than a commit takes in a scope that has some. Nothing is written then.
/// Those of a commit: blocks may be there, and no ref that is seen.
pub fn import_any<R: Read + Seek + Send + 'static>(
    threads: &Threads,
    here: &Reader,
    input: R,
    options: &ImportOptions,
    mut watcher: Watcher<'_>,
) -> Result<ScopeImported, CarError> {
    let (root, mut file) = Index::of(input, &mut watcher)?;
    match form_of(&root, &file.need("the manifest", &root)?)? {
        manifest::FORM => Importing::read(threads, here, root, file, options)?.run(watcher),
        form if form > manifest::FORM => Err(ArchiveError::manifest(format!(
            "it has form {form}, this version reads up to {}; upgrade treering",
            manifest::FORM
        ))
        .into()),
        _ => Ok(ScopeImported {
            all: import_indexed(threads, &root, &mut file, options.on_conflict, watcher)?,
            ..ScopeImported::default()
        }),
    }
}

/// As [`import_any`], from a file.
///
/// # Errors
/// As for [`import_any`]; `Io` where it can't be opened.
pub fn import_any_from(
    threads: &Threads,
    here: &Reader,
    path: &Path,
    options: &ImportOptions,
    watcher: Watcher<'_>,
) -> Result<ScopeImported, CarError> {
    let file = open(path)?;
    let named = |error: CarError| error.named(&path.display().to_string());
    import_any(threads, here, file, options, watcher).map_err(named)
}

/// A file that was checked.
struct Importing<'i, R> {
    threads: &'i Threads,
    here: &'i Reader,
    root: Cid,
    view: Arc<View<R>>,
    file: Reader,
    from: String,
    receipts: Vec<JournalCommand>,
    of_threads: ScopeThreads,
    sorts: BTreeMap<RefName, Sort>,
    /// Every block that its refs reach.
    order: Vec<Cid>,
    options: &'i ImportOptions,
}

impl<'i, R: Read + Seek + Send + 'static> Importing<'i, R> {
    fn read(
        threads: &'i Threads,
        here: &'i Reader,
        root: Cid,
        mut file: Index<R>,
        options: &'i ImportOptions,
    ) -> Result<Self, CarError> {
        let scope = threads.scope();
        let manifest = ScopeManifest::decode(&root, scope, |cid| file.need("the manifest", cid))?;
        let of_threads = ScopeThreads::of(&manifest.refs)?;
        let targets: Vec<Cid> = manifest.refs.values().map(|value| value.target).collect();
        // Whatever a ref reaches is there, and each thread's chain is sound.
        let order = of_threads.check(&mut file, targets)?;
        let view = Arc::new(View::new(file, scope, manifest.refs));
        let file = Dispatcher::new(Arc::clone(&view) as Arc<dyn Store>).reader();
        let mut sorts = BTreeMap::new();
        for (name, value) in view.refs() {
            sorts.insert(name.clone(), check(&file, name, value)?);
        }
        Ok(Self {
            threads,
            here,
            root,
            view,
            file,
            from: manifest.scope,
            receipts: manifest.receipts,
            of_threads,
            sorts,
            order,
            options,
        })
    }

    fn run(self, mut watcher: Watcher<'_>) -> Result<ScopeImported, CarError> {
        let (store, scope) = (&**self.here.store(), self.threads.scope());
        let on_conflict = self.options.on_conflict;
        let verdicts = self
            .of_threads
            .judge(&*self.view, store, scope, on_conflict)?;
        let in_file = Threads::new(
            Arc::clone(self.file.store()),
            scope,
            self.options.durability,
        )?;
        let brings = self.of_threads.brings(&verdicts, &in_file, scope)?;
        let mut done = ScopeImported {
            all: Imported {
                scope: self.from.clone(),
                threads: brings.new,
                there: brings.there,
                skipped: brings.skipped,
                renamed: brings.renamed,
                ..Imported::default()
            },
            advanced: brings.ahead,
            ..ScopeImported::default()
        };
        let mut moves = brings.moves;
        let mut roots: HashSet<Cid> = brings.roots.into_iter().collect();
        let others = self.others(&mut done)?;
        roots.extend(others.iter().filter_map(target));
        moves.extend(others);
        expect_commands(store, scope, &self.receipts)?;
        let receipts = self.good_receipts(&verdicts, &mut done)?;

        let order = self.ordered(&roots)?;
        done.all.blocks = order.len() as u64;
        let root = self.root.to_string();
        let lands = Lands::plan(store, scope, moves, &root, &self.options.land)?;
        let mut loading = Loading::new(store, scope, lands.leases());
        let size = {
            let mut file = self.view.lock();
            loading.load(&mut file, &order, &mut watcher)?;
            file.size.saturating_mul(2)
        };
        // The last moment to stop it: what is done is done, whatever the watcher says.
        tell(&mut watcher, size, Some(size))?;
        let new_receipts = lands
            .land(&root, receipts, self.options.durability)
            .map_err(moved)?;
        done.all.new_blocks = loading.new_blocks;
        done.all.new_bytes = loading.new_bytes;
        done.all.new_receipts = new_receipts;
        Ok(done)
    }

    /// What becomes of the refs that are no threads'.
    fn others(&self, done: &mut ScopeImported) -> Result<Vec<RefMove>, CarError> {
        let mut moves = Vec::new();
        let mut taken = Vec::new();
        let mut on: HashSet<&RefName> = HashSet::new();
        for (name, value) in self.view.refs() {
            let Some(sort) = self.sorts.get(name) else {
                continue;
            };
            let count = match sort {
                Sort::Thread | Sort::Model { .. } => continue,
                Sort::Log => &mut done.actors,
                Sort::Projection => &mut done.projections,
                Sort::Pin => &mut done.pins,
            };
            let judged = judge(&self.file, self.here, name, value, sort);
            match judged.map_err(of_actors)? {
                Becomes::There => done.others_there += 1,
                Becomes::Moves(step) => {
                    *count += 1;
                    on.insert(name);
                    moves.push(step);
                }
                Becomes::Taken => match (sort, self.options.on_conflict) {
                    (Sort::Pin, OnConflict::Skip) => {
                        done.pins_skipped.push(name.parts().join("/"));
                    }
                    (Sort::Pin, OnConflict::Rename) => match self.other_pin(name, value)? {
                        Some(step) => {
                            *count += 1;
                            moves.push(step);
                        }
                        None => done.others_there += 1,
                    },
                    _ => taken.push(name.clone()),
                },
            }
        }
        if !taken.is_empty() {
            return Err(StoreError::RefsTaken {
                count: taken.len() as u64,
                names: taken
                    .iter()
                    .take(NAMES_MAX)
                    .map(ToString::to_string)
                    .collect(),
            }
            .into());
        }
        // A read model comes with its log.
        for (name, value) in self.view.refs() {
            if let Some(Sort::Model { log, proved: true }) = self.sorts.get(name)
                && on.contains(log)
            {
                moves.push(set(name, value, Expect::Any));
            }
        }
        Ok(moves)
    }

    /// A pin under another name: `name-2`, `name-3` …. None if one of them is that pin.
    fn other_pin(&self, name: &RefName, value: &RefValue) -> Result<Option<RefMove>, CarError> {
        let mut number: u32 = 2;
        loop {
            let other = format!("{}-{number}", name.parts().join("/"));
            let other = RefName::new(name.scope(), name.kind(), [other])?;
            match self.here.store().read_ref(&other)? {
                None if !self.view.refs().contains_key(&other) => {
                    return Ok(Some(set(&other, value, Expect::Absent)));
                }
                Some(there) if there.target == value.target => return Ok(None),
                _ => number = number.saturating_add(1),
            }
        }
    }

    /// Receipts that are good here: the scope's name stands in their keys, and a thread's id too.
    fn good_receipts(
        &self,
        verdicts: &Verdicts,
        done: &mut ScopeImported,
    ) -> Result<Vec<JournalCommand>, CarError> {
        let mut good = Vec::new();
        for command in &self.receipts {
            let named = named_in(&command.receipt).ok_or_else(no_receipt)?;
            if self.from == self.threads.scope() && self.of_threads.keep(verdicts, &named) {
                good.push(command.clone());
            } else {
                done.all.receipts_left += 1;
            }
        }
        Ok(good)
    }

    /// The blocks that these reach, each behind what it links to.
    fn ordered(&self, roots: &HashSet<Cid>) -> Result<Vec<Cid>, CarError> {
        let refs = self.view.refs();
        if refs.values().all(|value| roots.contains(&value.target)) {
            return Ok(self.order.clone());
        }
        let wanted = self.order.iter().filter(|cid| roots.contains(*cid));
        let wanted: Vec<Cid> = wanted.copied().collect();
        let mut order = Vec::new();
        let mut file = self.view.lock();
        post_order(
            wanted,
            |_, cid| {
                if cid.codec() == Codec::Raw {
                    return Ok((Vec::new(), ()));
                }
                let bytes = file.need("the file", cid)?;
                Ok((check_node(&bytes).map_err(StoreError::from)?, ()))
            },
            |cid, ()| {
                order.push(cid);
                Ok::<_, ArchiveError>(())
            },
        )?;
        Ok(order)
    }
}

fn target(step: &RefMove) -> Option<Cid> {
    match &step.change {
        treering_store::Change::Set { target, .. } => Some(*target),
        treering_store::Change::Delete => None,
    }
}

fn no_receipt() -> CarError {
    ArchiveError::manifest("a receipt in it does not read").into()
}

fn of_actors(error: ActorError) -> CarError {
    match error {
        ActorError::Store(error) => error.into(),
        ActorError::Thread(error) => error.into(),
        other => ArchiveError::manifest(other.to_string()).into(),
    }
}
