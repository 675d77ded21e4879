//! Somebody removed the folder of large blocks: collections go on, and who reads or verifies what was in it is told.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;

use std::fs;
use std::path::Path;

use embedded::bytes;
use treering_block::Block;
use treering_store::{
    Change, Commit, EmbeddedStore, Expect, GcOptions, OpenOptions, RefMove, RefName, Store,
    StoreError,
};

fn open(path: &Path) -> EmbeddedStore {
    let options = OpenOptions {
        automatic_gc: false,
        reserve_bytes: 0,
        ..OpenOptions::default()
    };
    EmbeddedStore::open(path, &options).unwrap()
}

fn point(store: &dyn Store, part: &str, block: &Block) -> Result<(), StoreError> {
    let commit = Commit {
        scope: "main".into(),
        moves: vec![RefMove {
            name: RefName::new("main", "pin", [part]).unwrap(),
            expect: Expect::Any,
            change: Change::Set {
                target: block.cid,
                record: Vec::new(),
            },
        }],
        blocks: vec![block.clone()],
        ..Commit::default()
    };
    store.submit(commit).wait().map(drop)
}

#[test]
fn a_collection_goes_on_and_a_verify_tells() {
    let home = tempfile::tempdir().unwrap();
    let large = |seed| Block::raw(bytes(seed, 300_000));
    let store = open(home.path());
    point(&store, "kept", &large(1)).unwrap();
    point(&store, "moved", &Block::raw(bytes(2, 100))).unwrap();
    point(&store, "moved", &Block::raw(bytes(3, 100))).unwrap();
    drop(store);
    fs::remove_dir_all(home.path().join("blobs")).unwrap();

    let store = open(home.path());
    assert_eq!(store.gc(&GcOptions::default()).unwrap().deleted, 1);
    store.vacuum().unwrap();
    assert_eq!(store.stats().unwrap().blob_files, 0);
    // It is not silently fine.
    assert!(matches!(
        store.get(&large(1).cid),
        Err(StoreError::Corrupt { .. })
    ));
    let findings = store.verify(None).unwrap().findings;
    let told = format!("{findings:?}");
    assert!(told.contains(&large(1).cid.to_string()), "{told}");
    // New ones have a place, and bring back what is missing.
    point(&store, "new", &large(4)).unwrap();
    point(&store, "kept", &large(1)).unwrap();
    assert_eq!(&*store.get(&large(1).cid).unwrap(), &*large(1).bytes);
    assert_eq!(store.verify(None).unwrap().findings, []);
    assert_eq!(store.gc(&GcOptions::default()).unwrap().deleted, 0);
}

#[test]
fn without_large_blocks_nothing_is_missing() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    point(&store, "small", &Block::raw(bytes(2, 100))).unwrap();
    drop(store);
    fs::remove_dir_all(home.path().join("blobs")).unwrap();
    let store = open(home.path());
    store.gc(&GcOptions::default()).unwrap();
    assert_eq!(store.verify(None).unwrap().findings, []);
}
