//! What the tests of stores with a bucket share.
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)] // Each test binary uses its part.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use treering_block::{Block, Cid};
use treering_store::faults::SimulatedBucket;
use treering_store::{
    Change, Clock, Commit, EmbeddedStore, Expect, OpenOptions, RefMove, RefName, Result, Store,
    StoreError, Uploaded,
};

pub const URL: &str = "sim://bucket/prefix";
pub const MIB: usize = 1 << 20;
/// More than one part.
pub const LARGE: usize = 20 * MIB + 77;
pub const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// In memory where there is such a file system: nothing here is about fsync.
pub fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut out);
    out
}

pub fn options(bucket: &Arc<SimulatedBucket>) -> OpenOptions {
    OpenOptions {
        blobs: Some(Arc::clone(bucket) as _),
        ..OpenOptions::default()
    }
}

pub fn open(path: &Path, bucket: &Arc<SimulatedBucket>) -> EmbeddedStore {
    EmbeddedStore::open(path, &options(bucket)).unwrap()
}

pub fn at(path: &Path, bucket: &Arc<SimulatedBucket>, clock: &Clock) -> Result<EmbeddedStore> {
    let options = OpenOptions {
        clock: clock.clone(),
        ..options(bucket)
    };
    EmbeddedStore::open(path, &options)
}

pub fn name(part: &str) -> RefName {
    RefName::new("main", "thread", [part]).unwrap()
}

pub fn set(part: &str, target: Cid) -> RefMove {
    RefMove {
        name: name(part),
        expect: Expect::Any,
        change: Change::Set {
            target,
            record: Vec::new(),
        },
    }
}

pub fn drop_ref(part: &str) -> Commit {
    let moves = vec![RefMove {
        name: name(part),
        expect: Expect::Any,
        change: Change::Delete,
    }];
    Commit {
        scope: "main".into(),
        moves,
        ..Commit::default()
    }
}

/// A commit that brings a block, and a ref to it.
pub fn put(part: &str, content: Vec<u8>) -> Commit {
    let block = Block::raw(content);
    Commit {
        scope: "main".into(),
        moves: vec![set(part, block.cid)],
        blocks: vec![block],
        ..Commit::default()
    }
}

pub fn uploaded(store: &dyn Store, content: &[u8]) -> Result<Arc<Uploaded>> {
    let mut upload = store.upload()?;
    for piece in content.chunks(1_333_333) {
        upload.write(piece)?;
    }
    upload.finish()
}

pub fn kept(part: &str, upload: Arc<Uploaded>) -> Commit {
    Commit {
        scope: "main".into(),
        moves: vec![set(part, upload.cid())],
        uploads: vec![upload],
        ..Commit::default()
    }
}

/// Uploads and commits.
pub fn send(store: &dyn Store, part: &str, content: &[u8]) -> Result<Cid> {
    let upload = uploaded(store, content)?;
    let cid = upload.cid();
    store.submit(kept(part, upload)).wait()?;
    Ok(cid)
}

/// Objects that are blocks.
pub fn objects(bucket: &SimulatedBucket) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = bucket.contents().objects.into_keys().collect();
    names.remove("treering");
    names
}

pub fn object_of(bucket: &SimulatedBucket, cid: &Cid) -> Vec<String> {
    let hex = blake3::Hash::from_bytes(*cid.digest()).to_hex().to_string();
    let names = objects(bucket);
    names
        .into_iter()
        .filter(|name| name.contains(&hex))
        .collect()
}

/// Files below a folder of `blobs/`.
pub fn files(path: &Path, folder: &str) -> Vec<String> {
    match fs::read_dir(path.join("blobs").join(folder)) {
        Ok(found) => found
            .map(|file| file.unwrap().file_name().to_string_lossy().into_owned())
            .collect(),
        Err(_) => Vec::new(),
    }
}

/// The directory as a killed process leaves it.
pub fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_directory(&path, &target);
        } else if !path.to_string_lossy().ends_with("-shm") {
            fs::copy(&path, &target).unwrap();
        }
    }
}

pub fn is_bucket_error<T>(answer: &Result<T>) -> bool {
    matches!(answer, Err(StoreError::Bucket { .. }))
}

/// A new store; making it is not counted.
pub fn new() -> (tempfile::TempDir, Arc<SimulatedBucket>, EmbeddedStore) {
    let home = directory();
    let bucket = SimulatedBucket::new(URL);
    let store = open(home.path(), &bucket);
    bucket.forget();
    (home, bucket, store)
}

pub fn assert_sound(store: &EmbeddedStore) {
    let report = store.verify(None).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}
