//! What is left of a store in a directory when its process or its machine stops.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;

use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use embedded::{bytes, command, commit, hold_syncs, name, open, put, relaxed};
use treering_block::{Block, Cid};
use treering_store::{Change, Commit, Expect, RefMove, Store, StoreError};

/// What a killed process leaves: the files as they are, without the log's index, which is in memory.
fn killed(from: &Path, to: &Path) {
    for file in ["store.db", "store.db-wal"] {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
    std::fs::create_dir_all(to.join("blobs")).unwrap();
}

/// A commit of as many and as fat refs as there may be; their names fall anywhere in the table.
fn wide(target: Cid) -> Commit {
    let mut commit = relaxed(commit());
    for number in 0..20_000u64 {
        let long = blake3::hash(&number.to_le_bytes()).to_string().repeat(15);
        commit.moves.push(RefMove {
            name: name(&long),
            expect: Expect::Absent,
            change: Change::Set {
                target,
                record: bytes(number, 4096),
            },
        });
    }
    commit
}

/// So large that the writer's cache does not hold it: SQLite writes pages before COMMIT, some of them
/// twice, and then the checksums of their frames anew, the commit's own frame last.
#[test]
fn a_killed_process_keeps_a_relaxed_commit_that_outgrew_the_cache() {
    let (alive, dead) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(alive.path());
    let target = Block::raw(b"target".to_vec());
    store.submit(put(vec![target.clone()])).wait().unwrap();
    let ticket = store.submit(wide(target.cid));
    // Killed right after the answer: on the writer's thread, before a checkpoint reads the log again.
    let (from, to) = (alive.path().to_owned(), dead.path().to_owned());
    let (copied, copy) = channel();
    ticket.on_answer(move || {
        killed(&from, &to);
        copied.send(()).unwrap();
    });
    copy.recv().unwrap();
    assert_eq!(ticket.wait().unwrap().position, 2);
    let left = open(dead.path());
    assert_eq!(left.head().unwrap(), store.head().unwrap());
    assert_eq!(left.verify(None).unwrap().findings, []);
}

/// What was answered as durable outlives the machine, also where nothing was left to write.
#[test]
fn a_durable_command_that_was_relaxed_before_is_synced() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store
        .submit(put(vec![Block::raw(bytes(0, 100))]))
        .wait()
        .unwrap();
    let mut once = put(vec![Block::raw(bytes(1, 100))]);
    once.command = command("id", 7);
    store.submit(relaxed(once.clone())).wait().unwrap();
    let before = store.counters();
    let again = store.submit(relaxed(once.clone())).wait().unwrap();
    assert_eq!(again.replay, Some(vec![7]));
    assert_eq!(
        store.counters().commit_syncs,
        before.commit_syncs,
        "relaxed"
    );
    store.submit(once.clone()).wait().unwrap();
    assert_eq!(store.counters().commit_syncs, before.commit_syncs + 1);
    store.submit(once).wait().unwrap();
    assert_eq!(
        store.counters().commit_syncs,
        before.commit_syncs + 1,
        "once is enough"
    );
    assert_eq!(store.counters().wal_bytes_written, before.wal_bytes_written);
}

/// The sync that makes it true may fail: then it is not true.
#[test]
fn a_durable_answer_without_its_sync_is_not_given() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut once = put(vec![Block::raw(bytes(1, 100))]);
    once.command = command("id", 7);
    store.submit(relaxed(once.clone())).wait().unwrap();
    store.on_commit_sync(|| Err(std::io::Error::other("the disk is gone")));
    let unknown = store.submit(once.clone()).wait();
    assert!(
        matches!(unknown, Err(StoreError::CommitUnknown { .. })),
        "{unknown:?}"
    );
    let refused = store.submit(once).wait();
    assert!(
        matches!(refused, Err(StoreError::Poisoned { .. })),
        "{refused:?}"
    );
}

/// Another process may be reading for minutes: nobody waits for it to end.
#[test]
fn closing_does_not_wait_for_who_reads() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store
        .submit(put(vec![Block::raw(bytes(0, 100))]))
        .wait()
        .unwrap();
    let reader = rusqlite::Connection::open(directory.path().join("store.db")).unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM block;")
        .unwrap();
    store
        .submit(put(vec![Block::raw(bytes(1, 100))]))
        .wait()
        .unwrap();
    let started = Instant::now();
    store.close().unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    drop(reader);
    assert_eq!(open(directory.path()).verify(None).unwrap().findings, []);
}

/// A panic of one caller is not the others' loss.
#[test]
fn a_callback_that_panics_stops_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let first = store.submit(put(vec![Block::raw(bytes(0, 100))]));
    first.on_answer(|| std::thread::sleep(Duration::from_millis(200)));
    let second = store.submit(put(vec![Block::raw(bytes(1, 100))]));
    second.on_answer(|| panic!("as planned"));
    second.wait().unwrap();
    store
        .submit(put(vec![Block::raw(bytes(2, 100))]))
        .wait()
        .unwrap();
}

/// SQLite's lock on the database keeps other programs from removing the log. POSIX drops it when any
/// descriptor of the file is closed, so opening again must not look into the file while a store closes.
#[cfg(target_os = "linux")]
#[test]
fn opening_while_closing_drops_no_lock() {
    use std::os::unix::fs::MetadataExt;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store
        .submit(put(vec![Block::raw(bytes(0, 100))]))
        .wait()
        .unwrap();
    let inode = std::fs::metadata(directory.path().join("store.db"))
        .unwrap()
        .ino();
    let locked = || {
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        let place = format!(":{inode} ");
        locks
            .lines()
            .any(|line| line.contains("POSIX") && line.contains(&place))
    };
    assert!(locked(), "or this test can not tell");
    let release = hold_syncs(&store);
    let waiting = store.submit(put(vec![Block::raw(bytes(1, 100))]));
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| store.close().unwrap());
        // The last handle is gone, the writer is still inside its fsync.
        while !matches!(store.head(), Err(StoreError::Closed)) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(50));
        let again = open(directory.path());
        let locked_while_closing = locked();
        release.send(()).unwrap();
        closing.join().unwrap();
        assert!(locked_while_closing && locked());
        waiting.wait().unwrap();
        assert_eq!(again.head().unwrap().position, 2);
        again
            .submit(put(vec![Block::raw(bytes(2, 100))]))
            .wait()
            .unwrap();
    });
}
