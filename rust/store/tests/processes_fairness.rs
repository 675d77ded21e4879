//! Processes that write at the same time: everybody's turn comes, and soon.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod processes;

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use processes::{Other, now_us, report, setting, step, told};
use treering_store::{Durability, EmbeddedStore, OpenOptions, Store, StoreError};

const RUN_MS: &str = "TREERING_TEST_RUN_MS";
const WRITER: &str = "TREERING_TEST_WRITER";
const THREADS: &str = "TREERING_TEST_THREADS";
const RELAXED: &str = "TREERING_TEST_RELAXED";
/// Appends that took longer than this are reported one by one.
const LONG_US: u64 = 100_000;
const WAIT_US_MAX: u64 = 250_000;
/// These tests measure: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// What the other process does; nothing when run as a test.
#[test]
fn other_process() {
    let Some((role, directory)) = processes::role() else {
        return;
    };
    match role.as_str() {
        "append" => append(&directory),
        "hold" => hold(&directory),
        other => panic!("no role {other}"),
    }
}

fn append(directory: &Path) {
    let store = EmbeddedStore::open(directory, &OpenOptions::default()).unwrap();
    report("ready");
    told();
    let before = store.counters().batches;
    let durability = match setting(RELAXED) {
        0 => Durability::Durable,
        _ => Durability::Relaxed,
    };
    let end = Instant::now() + Duration::from_millis(setting(RUN_MS));
    let done: Vec<(u64, u64, u64)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..setting(THREADS))
            .map(|thread| {
                let store = &store;
                scope.spawn(move || {
                    let writer = format!("{} {thread}", setting(WRITER));
                    append_until(store, &writer, durability, end)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let appended: u64 = done.iter().map(|(appended, ..)| appended).sum();
    let worst_us = done.iter().map(|(_, worst_us, _)| worst_us).max().unwrap();
    let worst_gap = done.iter().map(|(.., worst_gap)| worst_gap).max().unwrap();
    let turns = store.counters().batches - before;
    report(&format!("done {appended} {worst_us} {turns} {worst_gap}"));
}

/// Holds the lock inside a commit until it is told to go on.
fn hold(directory: &Path) {
    let store = EmbeddedStore::open(directory, &OpenOptions::default()).unwrap();
    store.on_commit_sync(|| {
        report("inside");
        told();
        Ok(())
    });
    store.submit(step("stopped", 0, 900).0).wait().unwrap();
    report("committed");
}

/// How many appends, how long the longest took, and how many of others came in between at most, but where this
/// process was busy with a checkpoint meanwhile.
fn append_until(
    store: &EmbeddedStore,
    writer: &str,
    durability: Durability,
    end: Instant,
) -> (u64, u64, u64) {
    let (mut appended, mut worst_us) = (0, 0);
    let (mut last, mut worst_gap) = (None, 0);
    while Instant::now() < end {
        let (mut commit, _) = step(writer, appended, 900);
        commit.durability = durability;
        let began = now_us();
        let committed = store.submit(commit).wait().unwrap();
        let ended = now_us();
        let checkpoints = store.counters().checkpoint_syncs;
        match last.replace((committed.position, checkpoints)) {
            Some((before, then)) if then == checkpoints => {
                worst_gap = worst_gap.max(committed.position - before - 1);
            }
            _ => {}
        }
        appended += 1;
        worst_us = worst_us.max(ended - began);
        if ended - began > LONG_US {
            report(&format!("long {began} {ended}"));
        }
    }
    (appended, worst_us, worst_gap)
}

/// When the disk, or the whole machine, did not move: writes and syncs a file of its own beside the store.
fn watch_disk(directory: &Path, stop: &AtomicBool) -> Vec<(u64, u64)> {
    use std::io::{Seek, Write};
    let mut stalls = Vec::new();
    let mut file = File::create(directory.join("probe")).unwrap();
    while !stop.load(SeqCst) {
        let began = now_us();
        file.rewind().unwrap();
        file.write_all(&[0; 4096]).unwrap();
        file.sync_data().unwrap();
        std::thread::sleep(Duration::from_millis(5));
        let ended = now_us();
        if ended - began > 25_000 {
            stalls.push((began, ended));
        }
    }
    stalls
}

struct Writer {
    appended: u64,
    worst_us: u64,
    /// How often it held the lock.
    turns: u64,
    /// Commits of others between two of its own, at most.
    worst_gap: u64,
    long: Vec<(u64, u64)>,
}

/// What came of a run of some writers, each with so many threads, relaxed or not.
struct Run {
    writers: Vec<Writer>,
    stalls: Vec<(u64, u64)>,
}

impl Run {
    fn of(threads: &[(u64, bool)], run: Duration) -> Self {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("store");
        let mut others: Vec<Other> = threads
            .iter()
            .enumerate()
            .map(|(writer, (threads, relaxed))| {
                let settings = [
                    (WRITER, writer.to_string()),
                    (THREADS, threads.to_string()),
                    (RELAXED, u8::from(*relaxed).to_string()),
                    (RUN_MS, run.as_millis().to_string()),
                ];
                Other::start_with("append", &directory, &settings)
            })
            .collect();
        for other in &mut others {
            assert_eq!(other.heard(), "ready");
        }
        let stop = AtomicBool::new(false);
        let run = std::thread::scope(|scope| {
            let watching = scope.spawn(|| watch_disk(root.path(), &stop));
            others.iter_mut().for_each(|other| other.tell("go"));
            let writers = others.into_iter().map(Writer::hear).collect();
            stop.store(true, SeqCst);
            Self {
                writers,
                stalls: watching.join().unwrap(),
            }
        });
        let store = EmbeddedStore::open(&directory, &OpenOptions::default()).unwrap();
        let appended: u64 = run.writers.iter().map(|writer| writer.appended).sum();
        assert_eq!(store.head().unwrap().position, appended);
        assert_eq!(store.verify(None).unwrap().findings, []);
        run
    }

    /// The longest part of a wait that no stall of the disk explains.
    fn worst_us_without_stalls(&self) -> u64 {
        let waits = self.writers.iter().flat_map(|writer| &writer.long);
        waits
            .map(|wait| {
                let stalled = self
                    .stalls
                    .iter()
                    .map(|stall| wait.1.min(stall.1).saturating_sub(wait.0.max(stall.0)));
                (wait.1 - wait.0).saturating_sub(stalled.sum())
            })
            .max()
            .unwrap_or(0)
    }

    /// Prints the figures; the smallest share of turns against the greatest.
    fn fairness(&self, what: &str) -> f64 {
        let column = |of: fn(&Writer) -> u64| self.writers.iter().map(of).collect::<Vec<_>>();
        let (appended, turns) = (
            column(|writer| writer.appended),
            column(|writer| writer.turns),
        );
        let ratio = *turns.iter().min().unwrap() as f64 / *turns.iter().max().unwrap() as f64;
        let stall_us = self.stalls.iter().map(|stall| stall.1 - stall.0).max();
        println!(
            "{what}: appends {appended:?}, turns {turns:?}, slowest/fastest {ratio:.2}; worst wait {:.0} ms, \
             longest stall of the disk {:.0} ms, worst wait without stalls {} ms",
            *column(|writer| writer.worst_us).iter().max().unwrap() as f64 / 1e3,
            stall_us.unwrap_or(0) as f64 / 1e3,
            match self.worst_us_without_stalls() {
                0 => format!("< {}", LONG_US / 1000),
                us => (us / 1000).to_string(),
            },
        );
        ratio
    }
}

impl Writer {
    fn hear(mut other: Other) -> Self {
        let mut long = Vec::new();
        loop {
            let line = other.heard();
            let (word, numbers) = line.split_once(' ').unwrap();
            let numbers: Vec<u64> = numbers
                .split(' ')
                .map(|number| number.parse().unwrap())
                .collect();
            if word == "done" {
                other.join();
                return Self {
                    appended: numbers[0],
                    worst_us: numbers[1],
                    turns: numbers[2],
                    worst_gap: numbers[3],
                    long,
                };
            }
            long.push((numbers[0], numbers[1]));
        }
    }
}

/// A machine that is busy with other things may keep a process from running: what is not so at once may be
/// at the third try.
fn fair(what: &str, writers: &[(u64, bool)], gap_max: u64) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut found = Vec::new();
    for _ in 0..3 {
        let run = Run::of(writers, Duration::from_secs(4));
        let (ratio, worst_us) = (run.fairness(what), run.worst_us_without_stalls());
        let gaps: Vec<u64> = run.writers.iter().map(|writer| writer.worst_gap).collect();
        println!("others' commits between two of one's own, at most: {gaps:?}");
        let worst_gap = *gaps.iter().max().unwrap();
        found.push((ratio, worst_us, worst_gap));
        if ratio >= 0.5 && worst_us < WAIT_US_MAX && worst_gap <= gap_max {
            return;
        }
    }
    panic!("share of turns, longest wait (µs), most commits of others in between: {found:?}");
}

#[test]
fn eight_writers_share_the_lock_fairly() {
    // In the order of arrival it is seven; who is late once waits another round.
    fair("eight writers", &[(1, false); 8], 40);
}

/// A process whose queue is never empty wants the lock again at once; who waits was first.
#[test]
fn a_busy_process_leaves_others_their_turns() {
    let writers = [(32, false), (1, false), (1, false)];
    fair("one busy writer, two single ones", &writers, u64::MAX);
}

/// As before, and it does not wait for the disk: its turns are short.
#[test]
fn a_bulk_load_leaves_others_their_turns() {
    let writers = [(32, true), (1, false), (1, false)];
    fair("one bulk load, two single writers", &writers, u64::MAX);
}

/// A process that is stopped inside its commit keeps the lock: others hear who it is, in their own time,
/// and everything goes on with it.
#[cfg(unix)]
#[test]
fn a_stopped_holder_is_named_and_goes_on() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().unwrap();
    let patient = EmbeddedStore::open(directory.path(), &OpenOptions::default()).unwrap();
    let options = OpenOptions {
        lock_wait: Duration::from_millis(300),
        ..OpenOptions::default()
    };
    let store = EmbeddedStore::open(directory.path(), &options).unwrap();
    store.submit(step("ours", 0, 900).0).wait().unwrap();
    let mut other = Other::start("hold", directory.path());
    assert_eq!(other.heard(), "inside");
    other.signal(libc::SIGSTOP);
    other.tell("go on");

    let waiting = patient.submit(step("patient", 0, 900).0);
    for _ in 0..2 {
        match store.submit(step("ours", 1, 900).0).wait() {
            Err(StoreError::LockTimeout { waited_ms, holder }) => {
                assert!((300..30_000).contains(&waited_ms), "{waited_ms}");
                assert_eq!(holder, format!("process {}", other.child.id()));
            }
            answer => panic!("{answer:?}"),
        }
    }
    assert_eq!(store.head().unwrap().position, 1, "reading needs no lock");
    assert!(waiting.poll().is_none(), "its time is not over");

    other.signal(libc::SIGCONT);
    assert_eq!(other.heard(), "committed");
    other.join();
    waiting.wait().unwrap();
    store.submit(step("ours", 1, 900).0).wait().unwrap();
    assert_eq!(store.head().unwrap().position, 4);
    assert_eq!(store.verify(None).unwrap().findings, []);
}

/// One that is stopped while it waits stops nobody.
#[cfg(unix)]
#[test]
fn a_stopped_waiter_keeps_nobody_waiting() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path(), &OpenOptions::default()).unwrap();
    store.submit(step("ours", 0, 900).0).wait().unwrap();
    let mut holder = Other::start("hold", directory.path());
    assert_eq!(holder.heard(), "inside");
    let settings = [
        (WRITER, "0".to_owned()),
        (THREADS, "1".to_owned()),
        (RELAXED, "0".to_owned()),
        (RUN_MS, "2000".to_owned()),
    ];
    let mut waiter = Other::start_with("append", directory.path(), &settings);
    assert_eq!(waiter.heard(), "ready");
    waiter.tell("go");
    // Until it stands in the queue; others are told by a lock on a byte of the file.
    std::thread::sleep(Duration::from_millis(500));
    waiter.signal(libc::SIGSTOP);
    holder.tell("go on");
    assert_eq!(holder.heard(), "committed");
    holder.join();
    for version in 1..=20 {
        let ours = store.submit(step("ours", version, 900).0);
        ours.wait_for(Duration::from_secs(20)).unwrap().unwrap();
    }
    assert_eq!(store.head().unwrap().position, 22, "the waiter had no turn");
    waiter.signal(libc::SIGCONT);
    waiter.join();
    assert!(store.head().unwrap().position > 22, "and has it now");
    assert_eq!(store.verify(None).unwrap().findings, []);
}
