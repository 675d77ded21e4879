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

use embedded::{bytes, commit, name, open, put, relaxed};
use treering_block::{Block, Cid};
use treering_store::{Change, Commit, Expect, RefMove, Store};

/// What a killed process leaves: the files as they are, without the log's index, which is in memory.
fn killed(from: &Path, to: &Path) {
    for file in ["store.db", "store.db-wal"] {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
    std::fs::create_dir_all(to.join("blobs")).unwrap();
}

/// A commit of as many and as fat refs as there may be; their names fall anywhere in the table.
fn wide(seed: u64, target: Cid) -> Commit {
    let mut commit = relaxed(commit());
    for number in seed * 20_000..(seed + 1) * 20_000 {
        commit.moves.push(RefMove {
            name: name(&blake3::hash(&number.to_le_bytes()).to_string()),
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
    let first = store.submit(put(vec![target.clone()]));
    // The writer waits here until all that follows is queued: they become one transaction.
    let (queued, go_on) = channel::<()>();
    first.on_answer(move || drop(go_on.recv()));
    let tickets: Vec<_> = (0..2)
        .map(|seed| store.submit(wide(seed, target.cid)))
        .collect();
    // Killed right after the answer: on the writer's thread, before a checkpoint reads the log again.
    let (from, to) = (alive.path().to_owned(), dead.path().to_owned());
    let (copied, copy) = channel();
    tickets[0].on_answer(move || {
        killed(&from, &to);
        copied.send(()).unwrap();
    });
    queued.send(()).unwrap();
    copy.recv().unwrap();
    assert_eq!(tickets[1].wait().unwrap().position, 3);
    let left = open(dead.path());
    assert_eq!(left.head().unwrap(), store.head().unwrap());
    assert_eq!(left.verify(None).unwrap().findings, []);
}
