//! Watching, sharing and reading a store beside a process that writes.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod processes;

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use processes::{Other, name, report, setting, step, told};
use treering_store::{EmbeddedStore, OpenOptions, Store, StoreError};

/// After this a watcher looks by itself; a busy machine is late.
const LOOK_MAX: Duration = Duration::from_secs(10);
const VERSION: &str = "TREERING_TEST_VERSION";

/// What the other process does; nothing when run as a test.
#[test]
fn other_process() {
    let Some((role, directory)) = processes::role() else {
        return;
    };
    let store = EmbeddedStore::open(directory, &OpenOptions::default()).unwrap();
    assert_eq!(role, "commit");
    let mut version = setting(VERSION);
    report("ready");
    while let Some(how) = told() {
        let ticket = store.submit(step("t", version, 900).0);
        if how == "and die" {
            // The answer is given before the bell is rung, by the thread that would ring it.
            ticket.on_answer(|| std::process::abort());
            std::thread::sleep(Duration::from_secs(60));
        }
        ticket.wait().unwrap();
        version += 1;
        report("done");
    }
}

fn start(directory: &std::path::Path, version: u64) -> Other {
    let mut other = Other::start_with("commit", directory, &[(VERSION, version.to_string())]);
    assert_eq!(other.heard(), "ready");
    other
}

#[test]
fn a_commit_whose_process_died_before_the_bell_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path(), &OpenOptions::default()).unwrap();
    // Once by who waits, once by who listens.
    let mut other = start(directory.path(), 0);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| store.watch(0, Duration::from_secs(60)).unwrap());
        std::thread::sleep(Duration::from_millis(100));
        other.tell("and die");
        assert!(!other.child.wait().unwrap().success());
        let died = Instant::now();
        assert_eq!(watching.join().unwrap(), 1);
        assert!(died.elapsed() < LOOK_MAX);
    });
    let mut other = start(directory.path(), 1);
    let (called, calls) = channel();
    let wake = move || {
        let _ = called.send(());
    };
    let listening = store.listen(Arc::new(wake)).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    calls.try_iter().for_each(drop);
    assert_eq!(store.head().unwrap().position, 1);
    other.tell("and die");
    assert!(!other.child.wait().unwrap().success());
    calls.recv_timeout(LOOK_MAX).unwrap();
    assert_eq!(store.head().unwrap().position, 2);
    drop(listening);
}

#[test]
fn read_only_beside_a_writer() {
    let directory = tempfile::tempdir().unwrap();
    let mut other = start(directory.path(), 0);
    let options = OpenOptions {
        read_only: true,
        ..OpenOptions::default()
    };
    let store = EmbeddedStore::open(directory.path(), &options).unwrap();
    assert!(!store.may_write());
    for version in 1..=20 {
        other.tell("commit");
        assert_eq!(
            store.watch(version - 1, Duration::from_secs(60)).unwrap(),
            version
        );
        let value = store.read_ref(&name("t")).unwrap().unwrap();
        assert_eq!(value.version, version);
        let (_, block) = step("t", version - 1, 900);
        assert_eq!(store.get(&value.target).unwrap(), block.bytes);
        assert_eq!(other.heard(), "done");
    }
    let refused = store.submit(step("t", 20, 900).0).wait();
    assert!(matches!(refused, Err(StoreError::ReadOnly)), "{refused:?}");
    assert_eq!(store.verify(None).unwrap().findings, []);
    other.kill();
    assert_eq!(store.read_ref(&name("t")).unwrap().unwrap().version, 20);
    assert_eq!(store.verify(None).unwrap().findings, []);
    // One that writes may stand beside it in the same process.
    let writing = EmbeddedStore::open(directory.path(), &OpenOptions::default()).unwrap();
    writing.submit(step("t", 20, 900).0).wait().unwrap();
    assert_eq!(store.read_ref(&name("t")).unwrap().unwrap().version, 21);
}

/// Whatever the path, it is one store in a process: one writer, one count of what it did.
#[cfg(unix)]
#[test]
fn one_directory_is_one_store_by_any_path() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("store");
    let link = root.path().join("link");
    std::os::unix::fs::symlink(&directory, &link).unwrap();
    let first = EmbeddedStore::open(&directory, &OpenOptions::default()).unwrap();
    let others = [
        link,
        root.path().join(".").join("store").join("..").join("store"),
        std::path::absolute(&directory).unwrap(),
    ];
    for (version, path) in (0..).zip(&others) {
        let same = EmbeddedStore::open(path, &OpenOptions::default()).unwrap();
        same.submit(step("t", version, 900).0).wait().unwrap();
        assert_eq!(first.counters(), same.counters(), "{}", path.display());
        assert_eq!(first.counters().requests, version + 1);
        same.close().unwrap();
        assert_eq!(
            first.head().unwrap().position,
            version + 1,
            "it is still open"
        );
    }
}
