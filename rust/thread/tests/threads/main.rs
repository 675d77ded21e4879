//! The thread layer on a store in memory, by theme.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may end so, in the functions that tests share too"
)]

mod appends;
mod batches;
mod chains;
mod commands;
mod contexts;
mod endings;
mod forks;
mod leases;
mod limits;
mod lookups;
mod on_disk;
mod pipeline;
mod staged;
mod verifying;

use std::sync::Arc;

use treering_block::Cid;
use treering_store::{Clock, Durability, MemoryStore, Store};
use treering_thread::{AtMs, StartArgs, StepArgs, Thread, Threads};

/// 2026-11-22T00:00:00Z.
const DAY_MS: i64 = 1_795_305_600_000;

/// An empty store, its clock, and its threads.
fn fresh() -> (Arc<MemoryStore>, Clock, Threads) {
    let clock = Clock::manual(DAY_MS);
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    let threads = Threads::new(store.clone(), "main", Durability::Durable).unwrap();
    (store, clock, threads)
}

fn begun(threads: &Threads) -> Thread {
    threads.start(StartArgs::new("w")).unwrap().wait().unwrap()
}

/// A step without a time, so that its node is the same wherever it is appended.
fn timeless(role: &str, text: &str) -> StepArgs {
    StepArgs {
        at_ms: AtMs::None,
        ..StepArgs::new(role, text)
    }
}

/// A thread of so many short steps.
fn grown(threads: &Threads, steps: u64) -> Thread {
    let thread = begun(threads);
    let mut number = 0;
    while number < steps {
        let until = steps.min(number + 2000);
        let more = (number + 1..=until)
            .map(|n| timeless("coder", &n.to_string()))
            .collect();
        thread.extend(more, None).unwrap().wait().unwrap();
        number = until;
    }
    thread
}

fn texts(thread: &Thread) -> Vec<String> {
    thread
        .steps()
        .map(
            |step| match step.unwrap().content(thread.store()).unwrap() {
                treering_thread::Content::Text(text) => text,
                other => panic!("{other:?}"),
            },
        )
        .collect()
}

/// What a call wrote: (blocks, commits in the journal).
fn written<T>(store: &dyn Store, call: impl FnOnce() -> T) -> (T, u64, u64) {
    let (blocks, commits) = (
        store.counters().blocks_written,
        store.head().unwrap().position,
    );
    let answer = call();
    (
        answer,
        store.counters().blocks_written - blocks,
        store.head().unwrap().position - commits,
    )
}

/// How many blocks a call read.
fn read<T>(store: &dyn Store, call: impl FnOnce() -> T) -> (T, u64) {
    let before = store.counters().blocks_read;
    let answer = call();
    (answer, store.counters().blocks_read - before)
}

fn cids(thread: &Thread) -> Vec<Cid> {
    thread.steps().map(|step| step.unwrap().cid).collect()
}
