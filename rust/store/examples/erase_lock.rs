//! How long writers wait while an erase takes a scope away, by the number of its refs:
//! `cargo run --example erase_lock -p treering-store -- 100000 1000000`.
//!
//! Another thread commits to another scope all the while. What it waits is the lock, and now and then the log's way into
//! the database, which is as long as the log is; the lock alone is told by a counter.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a script: what fails is to stop it"
)]

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use treering_block::Block;
use treering_store::{
    Change, Commit, Durability, EmbeddedStore, EraseOptions, Expect, OpenOptions, RefMove, RefName,
    Store,
};

const AT_A_TIME: usize = 10_000;

fn point(scope: &str, parts: impl Iterator<Item = usize>) -> Commit {
    let block = Block::raw(b"what all of them point at".to_vec());
    let moves = parts.map(|part| RefMove {
        name: RefName::new(scope, "thread", [format!("conversation {part:08}")]).unwrap(),
        expect: Expect::Any,
        change: Change::Set {
            target: block.cid,
            record: vec![7; 100],
        },
    });
    Commit {
        scope: scope.into(),
        moves: moves.collect(),
        blocks: vec![block.clone()],
        durability: Durability::Relaxed,
        ..Commit::default()
    }
}

fn measure(refs: usize) {
    let home = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        automatic_gc: false,
        ..OpenOptions::default()
    };
    let store = EmbeddedStore::open(home.path(), &options).unwrap();
    for first in (0..refs).step_by(AT_A_TIME) {
        let parts = first..refs.min(first + AT_A_TIME);
        store.submit(point("victim", parts)).wait().unwrap();
    }
    let done = AtomicBool::new(false);
    let (took, longest, commits) = std::thread::scope(|threads| {
        let (store, done) = (&store, &done);
        let writer = threads.spawn(move || {
            let (mut longest, mut commits) = (Duration::ZERO, 0u64);
            while !done.load(Relaxed) {
                let started = Instant::now();
                let part = commits as usize % 100;
                store
                    .submit(point("other", std::iter::once(part)))
                    .wait()
                    .unwrap();
                longest = longest.max(started.elapsed());
                commits += 1;
            }
            (longest, commits)
        });
        std::thread::sleep(Duration::from_millis(100));
        let started = Instant::now();
        let erased = store.erase("victim", &EraseOptions::default()).unwrap();
        let took = started.elapsed();
        assert_eq!(erased.figures.refs, refs as u64);
        done.store(true, Relaxed);
        let (longest, commits) = writer.join().unwrap();
        (took, longest, commits)
    });
    let log = std::fs::metadata(home.path().join("store.db-wal")).map_or(0, |about| about.len());
    println!(
        "{refs} refs: erased in {took:.2?}; another writer waited {longest:.2?} at most, in {commits} commits; the lock was held for {:.2?} at most; the log has {} MiB",
        Duration::from_micros(store.counters().housekeeping_lock_us_max),
        log >> 20
    );
}

fn main() {
    for refs in std::env::args().skip(1) {
        measure(refs.parse().unwrap());
    }
}
