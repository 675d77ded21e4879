//! The refs of an archive that come into a scope, in one commit and in several, cut off wherever it can be: by power
//! failures, and by a disk that fails. Nothing of them is seen, or all; and the same import again finishes it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod crash;

use std::fmt;
use std::io::Cursor;
use std::ops::ControlFlow;

use crash::arriving::{
    Arriving, REFS, SCOPE, commit_of_refs, content, whole_at_every_moment, whole_whatever_fails,
};
use treering_block::Block;
use treering_store::archive::{
    ArchiveError, Index, Loading, ScopeManifest, Watcher, post_order, snapshot, writing,
};
use treering_store::faults::Failure;
use treering_store::scope::{LandOptions, Lands, refs, unfinished};
use treering_store::{
    Change, Commit, Durability, EmbeddedStore, Expect, JournalCommand, MemoryStore, RefMove, Store,
    StoreError,
};

/// A file with refs of several kinds, blocks below and above the size of files of their own, and a receipt.
fn file() -> Vec<u8> {
    let store = MemoryStore::new();
    let leaves = [b"leaf".to_vec(), vec![7; 300 << 10]].map(Block::raw);
    let commit = Commit {
        receipts: vec![JournalCommand {
            key: [1; 32],
            payload: [2; 32],
            receipt: vec![0x80],
        }],
        ..commit_of_refs("alice", leaves.into())
    };
    store.submit(commit).wait().unwrap();
    let taken = snapshot(&store, "alice", None, |_| true).unwrap();
    let manifest = ScopeManifest {
        scope: "alice".into(),
        refs: taken.refs,
        receipts: taken.receipts.into_values().collect(),
    };
    let mut bytes = Vec::new();
    let roots = manifest.refs.values().map(|value| value.target);
    let blocks = manifest.encode().unwrap();
    let mut go_on = |_: u64, _: Option<u64>| ControlFlow::Continue(());
    writing::write(&store, &blocks, roots, &mut bytes, &mut go_on).unwrap();
    bytes
}

struct Import {
    file: Vec<u8>,
    in_steps: bool,
}

impl Import {
    fn new(in_steps: bool) -> Self {
        let file = file();
        Self { file, in_steps }
    }
}

impl fmt::Debug for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Import {{ in_steps: {} }}", self.in_steps)
    }
}

impl Arriving for Import {
    type Error = ArchiveError;

    fn fill(&self, _: &dyn Store) {}

    /// What a layer above does that has nothing to check.
    fn arrive(&self, store: &dyn Store) -> Result<(), ArchiveError> {
        let mut go_on = |_: u64, _: Option<u64>| ControlFlow::Continue(());
        let mut watcher: Watcher<'_> = &mut go_on;
        let (root, mut file) = Index::of(Cursor::new(&*self.file), &mut watcher)?;
        let manifest = ScopeManifest::decode(&root, SCOPE, |cid| file.need("it", cid))?;
        let mut order = Vec::new();
        post_order(
            manifest.refs.values().map(|value| value.target),
            |_, _| Ok::<_, ArchiveError>((Vec::new(), ())),
            |cid, ()| {
                order.push(cid);
                Ok(())
            },
        )?;
        let new = manifest.refs.into_iter().map(|(name, value)| RefMove {
            name,
            expect: Expect::Absent,
            change: Change::Set {
                target: value.target,
                record: value.record,
            },
        });
        let options = LandOptions {
            at_once: if self.in_steps { 1 } else { 100 },
            at_a_time: 4,
        };
        let root = root.to_string();
        let moves = if refs::all(store, SCOPE)?.len() == REFS {
            Vec::new()
        } else {
            new.collect()
        };
        let lands = Lands::plan(store, SCOPE, moves, &root, &options)?;
        let mut loading = Loading::new(store, SCOPE, lands.leases());
        loading.load(&mut file, &order, &mut watcher)?;
        lands.land(&root, manifest.receipts, Durability::Durable)?;
        Ok(())
    }

    fn is_whole(&self, store: &EmbeddedStore) -> Result<bool, String> {
        let seen = content(store, SCOPE).len();
        let receipts = store.receipts(SCOPE, None, 10).unwrap().len();
        let whole = seen == REFS;
        if !(whole || seen == 0) || (whole && receipts != 1) {
            return Err(format!("{seen} refs of it are there, {receipts} receipts"));
        }
        match unfinished(store).unwrap().first() {
            Some(left) if left.archive.is_none() => Err(format!("{left:?} is no import")),
            _ => Ok(whole),
        }
    }

    fn of_store(error: &ArchiveError) -> Option<&StoreError> {
        match error {
            ArchiveError::Store(error) => Some(error),
            _ => None,
        }
    }
}

#[test]
fn at_every_moment_nothing_or_all_of_it_is_there() {
    for in_steps in [false, true] {
        whole_at_every_moment(&Import::new(in_steps));
    }
}

#[test]
fn whatever_the_disk_refuses_nothing_or_all_of_it_is_there() {
    for in_steps in [false, true] {
        whole_whatever_fails(&Import::new(in_steps), &[Failure::Device, Failure::Full]);
    }
}
