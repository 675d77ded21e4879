//! The automatic collection: when it looks, when it collects, what it leaves alone. Counted, by a clock that
//! only the tests move; waiting is for the thread, never for the time.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use embedded::{bytes, commit, name, node, set};
use treering_block::Block;
use treering_store::{
    Change, Clock, Commit, Counters, EmbeddedStore, Expect, GcOptions, OpenOptions, RefMove, Store,
    StoreError, reachable,
};

const HOUR_MS: i64 = 3_600_000;
const FIVE_MINUTES_MS: i64 = 300_000;
const REAL: GcOptions = GcOptions { dry_run: false };

fn open_with(path: &Path, clock: &Clock, automatic_gc: bool) -> EmbeddedStore {
    let options = OpenOptions {
        clock: clock.clone(),
        automatic_gc,
        ..OpenOptions::default()
    };
    EmbeddedStore::open(path, &options).unwrap()
}

/// A clock that stands where the machine's does: a new store says when it was made by that one.
fn clock() -> Clock {
    Clock::manual(Clock::system().now_ms())
}

fn raw(seed: u64) -> Block {
    Block::raw(bytes(seed, 200))
}

/// Stores blocks that nothing reaches or holds.
fn orphans(store: &dyn Store, seeds: std::ops::Range<u64>) {
    let blocks = seeds.map(raw).collect();
    let put = Commit { blocks, ..commit() };
    store.submit(put).wait().unwrap();
}

/// Stores blocks behind a ref of that name.
fn kept(store: &dyn Store, part: &str, seeds: std::ops::Range<u64>) -> Block {
    let mut blocks: Vec<Block> = seeds.map(raw).collect();
    let links: Vec<_> = blocks.iter().map(|block| block.cid).collect();
    let top = node(part, &links);
    blocks.push(top.clone());
    let put = Commit {
        blocks,
        moves: vec![set(&name(part), Expect::Absent, top.cid)],
        ..commit()
    };
    store.submit(put).wait().unwrap();
    top
}

fn remove(store: &dyn Store, part: &str) {
    let gone = RefMove {
        name: name(part),
        expect: Expect::Any,
        change: Change::Delete,
    };
    let moves = vec![gone];
    store.submit(Commit { moves, ..commit() }).wait().unwrap();
}

/// A commit that changes nothing, only to be one.
fn nudge(store: &dyn Store) {
    store.submit(commit()).wait().unwrap();
}

/// (checks, marks, collections, blocks deleted)
fn counts(counters: Counters) -> [u64; 4] {
    [
        counters.automatic_gc_checks,
        counters.automatic_gc_marks,
        counters.automatic_gc_collections,
        counters.automatic_gc_deleted,
    ]
}

/// Waits until the counts are these; says what they are if they don't come.
#[track_caller]
fn expect(store: &dyn Store, wanted: [u64; 4]) {
    let started = Instant::now();
    while counts(store.counters()) != wanted && started.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(counts(store.counters()), wanted);
}

/// Waits until the thread of a turn has noted when to look again, which is the last that it does. A nudge
/// before would be taken for one that came too early.
fn expect_then_settle(store: &dyn Store, wanted: [u64; 4]) {
    expect(store, wanted);
    std::thread::sleep(Duration::from_millis(50));
}

fn assert_sound(store: &dyn Store) {
    assert_eq!(store.verify(None).unwrap().findings, []);
}

#[test]
fn much_garbage_goes_an_hour_after_the_store_was_made_and_not_before() {
    let directory = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = open_with(directory.path(), &clock, true);
    let top = kept(&store, "kept", 0..9);
    orphans(&store, 10..20);
    clock.advance(HOUR_MS - 1);
    nudge(&store);
    assert_eq!(counts(store.counters()), [0; 4], "no thread was started");
    clock.advance(2 * 1_000);
    let head = store.head().unwrap();
    nudge(&store);
    expect_then_settle(&store, [1, 1, 1, 10]);
    assert_eq!(store.counters().automatic_gc_freed_bytes, 2_000);
    assert_eq!(store.head().unwrap(), head, "housekeeping is no history");
    let stats = store.stats().unwrap();
    assert_eq!(
        (stats.blocks, stats.gc_kept, stats.gc_deleted),
        (10, 10, 10)
    );
    assert_eq!(i64::try_from(stats.gc_at_ms).unwrap(), clock.now_ms());
    assert_eq!(reachable(&store, &[top.cid]).unwrap().missing, []);
    assert_sound(&store);

    // However much comes now: not within the hour.
    orphans(&store, 20..90);
    clock.advance(HOUR_MS - 1);
    nudge(&store);
    assert_eq!(counts(store.counters()), [1, 1, 1, 10]);
    clock.advance(1);
    nudge(&store);
    expect(&store, [2, 2, 2, 80]);
    assert_sound(&store);
}

#[test]
fn the_room_of_what_it_deletes_is_the_systems_again() {
    let directory = tempfile::tempdir().unwrap();
    let clock = clock();
    let options = OpenOptions {
        clock: clock.clone(),
        automatic_gc: true,
        checkpoint_log_bytes: 1 << 20,
        ..OpenOptions::default()
    };
    let store = EmbeddedStore::open(directory.path(), &options).unwrap();
    kept(&store, "kept", 0..9);
    for seed in 0..100 {
        let blocks = vec![Block::raw(bytes(seed, 100_000))];
        store.submit(Commit { blocks, ..commit() }).wait().unwrap();
    }
    // Whatever is in the log goes into the database before the next commit.
    let before = store.stats().unwrap().database_bytes;
    assert!(before > 8_000_000, "{before}");
    clock.advance(HOUR_MS + 1_000);
    nudge(&store);
    expect(&store, [1, 1, 1, 100]);
    let stats = store.stats().unwrap();
    assert!(
        stats.database_bytes < 2_000_000 && stats.free_bytes <= 1 << 20,
        "{} bytes, {} of them free",
        stats.database_bytes,
        stats.free_bytes
    );
    assert_sound(&store);
}

#[test]
fn it_is_off_where_it_is_switched_off_or_nothing_may_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = open_with(directory.path(), &clock, false);
    orphans(&store, 0..10);
    clock.advance(100 * HOUR_MS);
    nudge(&store);
    let reading = OpenOptions {
        clock: clock.clone(),
        automatic_gc: true,
        read_only: true,
        ..OpenOptions::default()
    };
    let reading = EmbeddedStore::open(directory.path(), &reading).unwrap();
    assert!(matches!(
        reading.submit(commit()).wait(),
        Err(StoreError::ReadOnly)
    ));
    for store in [&store, &reading] {
        store.close().unwrap();
        assert_eq!(counts(store.counters()), [0; 4]);
    }
    assert_eq!(
        open_with(directory.path(), &clock, false)
            .stats()
            .unwrap()
            .blocks,
        10
    );
}

#[test]
fn little_garbage_is_marked_and_left_until_there_may_be_much() {
    let directory = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = open_with(directory.path(), &clock, true);
    kept(&store, "one", 0..44);
    kept(&store, "two", 100..144);
    orphans(&store, 200..210);
    clock.advance(HOUR_MS + 1_000);
    nudge(&store);
    // All is new, so all may be garbage; a mark tells that 10 of 100 are.
    expect_then_settle(&store, [1, 1, 0, 0]);
    let stats = store.stats().unwrap();
    assert_eq!(
        (stats.blocks, stats.garbage_blocks, stats.gc_kept),
        (100, 10, 90)
    );
    assert_eq!(stats.garbage_bytes, 2_000);

    // 10 left and 10 new of 110: no mark. The estimate is made anew every five minutes.
    orphans(&store, 210..220);
    clock.advance(HOUR_MS);
    nudge(&store);
    expect_then_settle(&store, [2, 1, 0, 0]);
    clock.advance(FIVE_MINUTES_MS - 1);
    nudge(&store);
    assert_eq!(counts(store.counters()), [2, 1, 0, 0]);

    // One ref of two less: 45 blocks more may be garbage, and are.
    remove(&store, "two");
    clock.advance(1);
    nudge(&store);
    expect(&store, [3, 2, 1, 65]);
    assert_eq!(store.stats().unwrap().blocks, 45);
    assert_sound(&store);
}

#[test]
fn what_an_estimate_can_not_see_is_looked_for_after_a_day() {
    let directory = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = open_with(directory.path(), &clock, true);
    let top = kept(&store, "kept", 0..90);
    let other = kept(&store, "other", 100..108);
    clock.advance(HOUR_MS + 1_000);
    nudge(&store);
    expect_then_settle(&store, [1, 1, 0, 0]);
    // A move from a long past to a short one: no ref less, no block more.
    let moves = vec![set(&name("kept"), Expect::Any, other.cid)];
    store.submit(Commit { moves, ..commit() }).wait().unwrap();
    clock.advance(23 * HOUR_MS);
    nudge(&store);
    expect_then_settle(&store, [2, 1, 0, 0]);
    clock.advance(HOUR_MS);
    nudge(&store);
    expect(&store, [3, 2, 1, 91]);
    assert!(!store.has(&top.cid).unwrap());
    assert_sound(&store);
}

#[test]
fn a_collection_by_hand_counts_as_a_turn() {
    let directory = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = open_with(directory.path(), &clock, true);
    orphans(&store, 0..10);
    clock.advance(HOUR_MS + 1_000);
    assert_eq!(store.gc(&REAL).unwrap().deleted, 10);
    orphans(&store, 10..20);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(counts(store.counters()), [0; 4]);
    clock.advance(HOUR_MS);
    nudge(&store);
    expect(&store, [1, 1, 1, 10]);
}

#[test]
fn a_clock_that_is_put_back_delays_it_by_an_hour_only() {
    let directory = tempfile::tempdir().unwrap();
    let clock = clock();
    clock.advance(1_000 * HOUR_MS);
    let store = open_with(directory.path(), &clock, true);
    // The very first commit asks at once, perhaps before it is there itself.
    nudge(&store);
    expect_then_settle(&store, [1, 0, 0, 0]);
    orphans(&store, 0..10);
    clock.advance(FIVE_MINUTES_MS);
    nudge(&store);
    expect_then_settle(&store, [2, 1, 1, 10]);
    store.close().unwrap();
    clock.advance(-900 * HOUR_MS);
    let store = open_with(directory.path(), &clock, true);
    orphans(&store, 10..20);
    assert_eq!(counts(store.counters()), [0; 4]);
    clock.advance(HOUR_MS);
    nudge(&store);
    expect(&store, [1, 1, 1, 10]);
}

/// Closing gives it up wherever it is; what was dead stays dead, and a later collection ends the work.
#[test]
fn closing_stops_it_and_the_next_one_goes_on() {
    for wait_ms in [0, 1, 8, 64, 256] {
        let directory = tempfile::tempdir().unwrap();
        let clock = clock();
        let store = open_with(directory.path(), &clock, true);
        let top = kept(&store, "kept", 0..100);
        orphans(&store, 1_000..5_000);
        clock.advance(HOUR_MS + 1_000);
        nudge(&store);
        std::thread::sleep(Duration::from_millis(wait_ms));
        store.close().unwrap();
        let [.., collections, deleted] = counts(store.counters());
        // The first handle's thread has ended: nothing moves any more.
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(counts(store.counters())[3], deleted);
        // Between the last deletion and its end it gives room back.
        assert!(
            collections == 0 || deleted == 4_000,
            "{deleted} after {wait_ms} ms"
        );

        let store = open_with(directory.path(), &clock, false);
        assert_sound(&store);
        let report = store.gc(&REAL).unwrap();
        assert_eq!(deleted + report.deleted, 4_000, "after {wait_ms} ms");
        assert_eq!(store.stats().unwrap().dead_blocks, 0);
        assert_eq!(reachable(&store, &[top.cid]).unwrap().missing, []);
        assert_sound(&store);
    }
}

#[test]
fn writers_go_on_while_it_works() {
    let directory = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = open_with(directory.path(), &clock, true);
    orphans(&store, 0..3_000);
    clock.advance(HOUR_MS + 1_000);
    let mut tops = Vec::new();
    let mut seed = 1_000_000;
    while store.counters().automatic_gc_collections == 0 {
        tops.push(kept(&store, &format!("t{seed}"), seed..seed + 3).cid);
        seed += 10;
        // What is garbage now is put again and linked to, before or after it dies.
        let again = raw(seed % 3_000);
        let top = node("again", &[again.cid]);
        let put = Commit {
            blocks: vec![again, top.clone()],
            moves: vec![set(&name("again"), Expect::Any, top.cid)],
            ..commit()
        };
        store.submit(put).wait().unwrap();
        assert_eq!(reachable(&store, &[top.cid]).unwrap().missing, []);
    }
    assert_eq!(reachable(&store, &tops).unwrap().missing, []);
    assert_sound(&store);
    assert_eq!(store.stats().unwrap().refs, tops.len() as u64 + 1);
    assert!(store.counters().automatic_gc_deleted >= 2_500);
}

const DIRECTORY: &str = "TREERING_TEST_DIRECTORY";
const NOW_MS: &str = "TREERING_TEST_NOW_MS";

/// One of several processes that all find that it is time; exits with how often it marked.
#[test]
fn other_process() {
    let (Some(directory), Ok(now_ms)) = (std::env::var_os(DIRECTORY), std::env::var(NOW_MS)) else {
        return;
    };
    let clock = Clock::manual(now_ms.parse().unwrap());
    let store = open_with(Path::new(&directory), &clock, true);
    nudge(&store);
    let started = Instant::now();
    while store.stats().unwrap().gc_at_ms == 0 {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "nobody collects"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let marks = i32::try_from(store.counters().automatic_gc_marks).unwrap();
    store.close().unwrap();
    std::process::exit(100 + marks);
}

#[test]
fn of_several_processes_one_collects() {
    let directory = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = open_with(directory.path(), &clock, false);
    orphans(&store, 0..3_000);
    let now_ms = clock.now_ms() + HOUR_MS + 1_000;
    let children: Vec<_> = (0..4)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "other_process", "--nocapture"])
                .env(DIRECTORY, directory.path())
                .env(NOW_MS, now_ms.to_string())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    let marks: Vec<i32> = children
        .into_iter()
        .map(|mut child| child.wait().unwrap().code().unwrap() - 100)
        .collect();
    assert_eq!(marks.iter().sum::<i32>(), 1, "{marks:?}");
    assert_eq!(store.stats().unwrap().blocks, 0);
    assert_sound(&store);
}
