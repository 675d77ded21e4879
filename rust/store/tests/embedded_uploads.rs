//! Uploads into a directory: files that no row names yet, and reads of those that one names.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use treering_block::{Block, Cid};
use treering_store::faults::{Among, BadRead, Failure, Recorder};
use treering_store::{
    Change, Commit, Disk, DiskLayer, EmbeddedStore, Expect, FileOp, GcOptions, OpenOptions,
    RefMove, RefName, Store, StoreError, Uploaded, Verdict,
};

const MIB: usize = 1 << 20;

fn bytes(size: usize) -> Vec<u8> {
    (0..size)
        .map(|place| (place % 251) as u8 ^ (place >> 11) as u8)
        .collect()
}

fn open(path: &Path) -> EmbeddedStore {
    EmbeddedStore::open(path, &OpenOptions::default()).unwrap()
}

fn behind(path: &Path, layer: Arc<dyn DiskLayer>) -> EmbeddedStore {
    let options = OpenOptions {
        disk: Disk::behind(layer),
        ..OpenOptions::default()
    };
    EmbeddedStore::open(path, &options).unwrap()
}

fn uploaded(store: &dyn Store, content: &[u8]) -> Arc<Uploaded> {
    let mut upload = store.upload().unwrap();
    for piece in content.chunks(333_333) {
        upload.write(piece).unwrap();
    }
    upload.finish().unwrap()
}

fn kept(upload: Arc<Uploaded>) -> Commit {
    let step = RefMove {
        name: RefName::new("main", "thread", ["one"]).unwrap(),
        expect: Expect::Any,
        change: Change::Set {
            target: upload.cid(),
            record: Vec::new(),
        },
    };
    Commit {
        scope: "main".into(),
        uploads: vec![upload],
        moves: vec![step],
        ..Commit::default()
    }
}

/// Files below `blobs/`.
fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in fs::read_dir(path.join("blobs")).unwrap() {
        let folder = folder.unwrap().path();
        found.extend(
            fs::read_dir(folder)
                .unwrap()
                .map(|file| file.unwrap().path()),
        );
    }
    found.sort();
    found
}

#[test]
fn bytes_are_where_their_names_say() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let mut upload = store.upload().unwrap();
    upload.write(&bytes(MIB)).unwrap();
    assert!(files(home.path()).is_empty(), "it may fit into a row yet");
    upload.write(b"more").unwrap();
    let under_way = files(home.path());
    assert_eq!(under_way.len(), 1);
    assert!(under_way[0].starts_with(home.path().join("blobs/uploads")));
    let upload = upload.finish().unwrap();
    let hex: String = upload
        .cid()
        .digest()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let staged = files(home.path());
    assert_eq!(staged.len(), 2, "{staged:?}");
    let folder = home.path().join("blobs").join(&hex[..2]);
    assert!(staged.iter().all(|file| file.parent() == Some(&folder)));
    assert_eq!(fs::metadata(&staged[0]).unwrap().len(), MIB as u64 + 4);
    assert_eq!(fs::metadata(&staged[1]).unwrap().len(), 8 + 1024 * 64);
    store.submit(kept(upload)).wait().unwrap();
    assert_eq!(files(home.path()), staged);
}

#[test]
fn a_small_one_touches_no_file() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let upload = uploaded(&store, &bytes((256 << 10) - 1));
    store.submit(kept(upload)).wait().unwrap();
    assert!(files(home.path()).is_empty());
    assert_eq!(store.stats().unwrap().blocks, 1);
}

#[test]
fn another_stores_upload_is_refused() {
    let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, other) = (open(home.path()), open(other.path()));
    let upload = uploaded(&other, &bytes(MIB + 1));
    for store in [&store as &dyn Store, &treering_store::MemoryStore::new()] {
        let refused = store.submit(kept(Arc::clone(&upload))).wait();
        assert!(
            matches!(refused, Err(StoreError::Invalid { what: "upload", .. })),
            "{refused:?}"
        );
    }
    // Before it was closed, too: who it was of is gone.
    drop(other);
    let small = uploaded(&store, b"small");
    store.submit(kept(small)).wait().unwrap();
}

#[test]
fn what_is_locked_stays_and_what_is_not_goes() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let uploads = home.path().join("blobs/uploads");
    fs::create_dir_all(&uploads).unwrap();
    let (dead, alive) = (uploads.join("DEAD"), uploads.join("ALIVE"));
    fs::write(&dead, b"of a killed process").unwrap();
    fs::write(&alive, b"of another").unwrap();
    let holder = File::options().write(true).open(&alive).unwrap();
    holder.try_lock().unwrap();
    // Two old files without a row: one is an upload that waits for its commit.
    let folder = home.path().join("blobs/ab");
    fs::create_dir_all(&folder).unwrap();
    let old = |nth: char| {
        let digest = format!("ab{}", "0".repeat(62));
        folder.join(format!("{digest}-01F8MECHZX3TBDSZ7XRADM79X{nth}"))
    };
    let (stray, waiting) = (old('A'), old('B'));
    for path in [&stray, &waiting] {
        fs::write(path, b"old").unwrap();
        fs::write(path.with_extension("obao"), b"tree").unwrap();
    }
    let waits = File::options().write(true).open(&waiting).unwrap();
    waits.try_lock().unwrap();
    store.gc(&GcOptions::default()).unwrap();
    assert!(!dead.exists() && alive.exists());
    assert!(!stray.exists() && waiting.exists());
    drop((holder, waits));
    store.gc(&GcOptions::default()).unwrap();
    assert!(!alive.exists() && !waiting.exists());
}

#[test]
fn a_disk_that_gives_other_bytes_back_is_found_before_anybody_rests_on_it() {
    let home = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::new(home.path()).unwrap());
    let path = home.path().join("store");
    let store = behind(&path, Arc::clone(&recorder) as _);
    let mut upload = store.upload().unwrap();
    upload.write(&bytes(2 * MIB)).unwrap();
    // The first thing that is read from here on is what was written.
    recorder.spoil_reads(0, BadRead::Flip(7), false);
    let refused = upload.finish();
    assert!(
        matches!(refused, Err(StoreError::Corrupt { what: "upload", .. })),
        "{refused:?}"
    );
    assert!(files(&path).is_empty());
    let whole = uploaded(&store, &bytes(2 * MIB));
    store.submit(kept(whole)).wait().unwrap();
    assert!(store.verify(None).unwrap().findings.is_empty());
}

#[test]
fn a_full_disk_leaves_nothing_of_it() {
    let home = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::new(home.path()).unwrap());
    let path = home.path().join("store");
    let store = behind(&path, Arc::clone(&recorder) as _);
    for after in 0..4 {
        let mut upload = store.upload().unwrap();
        recorder.fail(Among::Writes, after, Failure::Full, true);
        let ended = upload
            .write(&bytes(2 * MIB + 5))
            .and_then(|()| upload.finish());
        recorder.heal();
        assert!(
            matches!(ended, Err(StoreError::DiskFull)),
            "{after}: {ended:?}"
        );
        assert!(files(&path).is_empty(), "{after}");
    }
    let whole = uploaded(&store, &bytes(2 * MIB + 5));
    store.submit(kept(whole)).wait().unwrap();
}

/// Counts what is read of large blocks.
#[derive(Default)]
struct Counting {
    content: AtomicU64,
    nodes: Mutex<Vec<usize>>,
}

impl DiskLayer for Counting {
    fn before(&self, _: &FileOp<'_>) -> Verdict {
        Verdict::Do
    }

    fn after(&self, _: &FileOp<'_>, _: bool) {}

    fn read(&self, path: &Path, _: u64, bytes: &mut [u8]) -> io::Result<()> {
        let path = path.to_string_lossy();
        if path.ends_with(".obao") {
            self.nodes.lock().unwrap().push(bytes.len());
        } else if path.contains("/blobs/") {
            self.content.fetch_add(bytes.len() as u64, SeqCst);
        }
        Ok(())
    }
}

impl Counting {
    /// Bytes of content, and nodes, since it was asked last.
    fn take(&self) -> (u64, usize) {
        let nodes = std::mem::take(&mut *self.nodes.lock().unwrap());
        assert!(nodes.iter().all(|length| *length == 64));
        (self.content.swap(0, SeqCst), nodes.len())
    }
}

#[test]
fn a_range_reads_itself_and_the_way_to_it() {
    let home = tempfile::tempdir().unwrap();
    let counting = Arc::new(Counting::default());
    let store = behind(home.path(), Arc::clone(&counting) as _);
    let content = bytes(40 * MIB);
    let upload = uploaded(&store, &content);
    let cid = upload.cid();
    store.submit(kept(upload)).wait().unwrap();
    counting.content.store(0, SeqCst);
    counting.nodes.lock().unwrap().clear();
    let reader = store.reader(&cid).unwrap();
    assert_eq!(counting.take(), (0, 0), "opening reads nothing");
    let read = |offset: usize, length: usize| {
        let found = reader.read_at(offset as u64, length as u64).unwrap();
        assert_eq!(found, content[offset..offset + length]);
        counting.take()
    };
    // 40,960 chunks: 16 nodes lead to one of them.
    assert_eq!(read(5_000_000, 1), (1024, 16));
    assert_eq!(read(5_000_000, 2000).0, 3 * 1024);
    // A whole group, and two halves.
    assert_eq!(read(7 * MIB, MIB), (MIB as u64, 6));
    let (content_read, nodes) = read(7 * MIB + MIB / 2, MIB);
    assert_eq!(content_read, MIB as u64);
    assert!(nodes <= 12, "{nodes}");
    // All of it, in pieces: once.
    let all: u64 = (0..40).map(|group| read(group * MIB, MIB).0).sum();
    assert_eq!(all, 40 * MIB as u64);
}

#[test]
fn a_closed_store_gives_no_more() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let upload = uploaded(&store, &bytes(MIB + 1));
    let cid = upload.cid();
    store.submit(kept(upload)).wait().unwrap();
    let reader = store.reader(&cid).unwrap();
    let mut under_way = store.upload().unwrap();
    store.close().unwrap();
    drop(store);
    assert!(matches!(reader.read_at(0, 1), Err(StoreError::Closed)));
    let more = under_way.write(&bytes(3 * MIB));
    assert!(matches!(more, Err(StoreError::Closed)), "{more:?}");
    drop(under_way);
    assert_eq!(files(home.path()).len(), 2);
}

#[test]
fn a_block_whose_file_is_gone_takes_the_upload_s() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let content = bytes(MIB + 2);
    store
        .submit(kept(uploaded(&store, &content)))
        .wait()
        .unwrap();
    for file in files(home.path()) {
        fs::remove_file(file).unwrap();
    }
    assert!(store.get(&Cid::of_raw(&content)).is_err());
    let again = store
        .submit(kept(uploaded(&store, &content)))
        .wait()
        .unwrap();
    assert_eq!(again.new_blocks, 0);
    assert_eq!(&*store.get(&Cid::of_raw(&content)).unwrap(), &content[..]);
    assert!(store.verify(None).unwrap().findings.is_empty());
    assert_eq!(Block::raw(content).cid, Cid::of_raw(&bytes(MIB + 2)));
}
