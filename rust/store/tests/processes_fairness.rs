//! Processes that write at the same time: everybody's turn comes, and soon.
//!
//! What is judged: one run of ten seconds, by what each writer wrote in it, by how often it was passed over, and by
//! its longest wait, without the time in which the disk stood still. A run that is not fair fails the test, unless
//! what was measured beside it says that the machine was not fit to tell: for more than a tenth of the run the disk
//! stood still, a writer stood in line for a CPU, or the host took the CPUs away. Only such a run is made again,
//! twice at most; a third one that is not fair fails whatever the machine did.
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
const RUN: Duration = Duration::from_secs(10);
/// The slowest has at least this part of what the fastest has.
const RATIO_MIN: f64 = 0.5;
/// With eight writers in the order of arrival seven others come in between. Who is late once waits another round; who
/// sees so many has been passed over.
const PASSED_OVER: u64 = 40;
/// Of its own commits; a process that is not run for a while is late by more than a round, and that is not the lock's.
const PASSED_OVER_MAX: f64 = 0.02;
/// The part of a run that the machine may take before it is not fit to tell.
const UNFIT: f64 = 0.1;
const RUNS_MAX: usize = 3;
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
    let done: Vec<Appended> = std::thread::scope(|scope| {
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
    let appended: u64 = done.iter().map(|thread| thread.appended).sum();
    let most = |of: fn(&Appended) -> u64| done.iter().map(of).max().unwrap();
    let worst_us = most(|one| one.worst_us);
    let passed_over: u64 = done.iter().map(|thread| thread.passed_over).sum();
    let in_line_us = most(|one| one.in_line_us).max(others_in_line_us());
    let turns = store.counters().batches - before;
    report(&format!(
        "done {appended} {worst_us} {turns} {passed_over} {in_line_us}"
    ));
}

/// Microseconds that a thread could have run and had no CPU; 0 where the system does not tell.
fn in_line_us(schedstat: &Path) -> u64 {
    let about = std::fs::read_to_string(schedstat).unwrap_or_default();
    let waited_ns: Option<u64> = about.split(' ').nth(1).and_then(|ns| ns.parse().ok());
    waited_ns.unwrap_or(0) / 1000
}

/// The most of all threads of this process that there are: the store's own.
fn others_in_line_us() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    tasks
        .flatten()
        .map(|task| in_line_us(&task.path().join("schedstat")))
        .max()
        .unwrap_or(0)
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

/// What one thread did.
struct Appended {
    appended: u64,
    /// How long the longest took.
    worst_us: u64,
    /// How often so many of others came between two of its own, but where this process was busy with a checkpoint
    /// meanwhile.
    passed_over: u64,
    in_line_us: u64,
}

fn append_until(
    store: &EmbeddedStore,
    writer: &str,
    durability: Durability,
    end: Instant,
) -> Appended {
    let (mut appended, mut worst_us) = (0, 0);
    let (mut last, mut passed_over) = (None, 0);
    while Instant::now() < end {
        let (mut commit, _) = step(writer, appended, 900);
        commit.durability = durability;
        let began = now_us();
        let committed = store.submit(commit).wait().unwrap();
        let ended = now_us();
        let checkpoints = store.counters().checkpoint_syncs;
        match last.replace((committed.position, checkpoints)) {
            Some((before, then)) if then == checkpoints => {
                passed_over += u64::from(committed.position - before > PASSED_OVER);
            }
            _ => {}
        }
        appended += 1;
        worst_us = worst_us.max(ended - began);
        if ended - began > LONG_US {
            report(&format!("long {began} {ended}"));
        }
    }
    Appended {
        appended,
        worst_us,
        passed_over,
        in_line_us: in_line_us(Path::new("/proc/thread-self/schedstat")),
    }
}

/// Of all CPUs' time since the machine began, in ticks: what the host took away, and all.
fn ticks() -> (u64, u64) {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let cpus = stat.lines().next().unwrap_or_default();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user and nice already.
    let ticks: Vec<u64> = cpus
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|ticks| ticks.parse().ok())
        .collect();
    (ticks.get(7).copied().unwrap_or(0), ticks.iter().sum())
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
    /// How often too many commits of others came between two of its own.
    passed_over: u64,
    /// How long a thread of it stood in line for a CPU, at most.
    in_line_us: u64,
    long: Vec<(u64, u64)>,
}

/// What came of a run of some writers, each with so many threads, relaxed or not; and what the machine did meanwhile.
struct Run {
    writers: Vec<Writer>,
    stalls: Vec<(u64, u64)>,
    /// The part of the CPUs' time that the host took away.
    stolen: f64,
}

impl Run {
    fn of(threads: &[(u64, bool)]) -> Self {
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
                    (RUN_MS, RUN.as_millis().to_string()),
                ];
                Other::start_with("append", &directory, &settings)
            })
            .collect();
        for other in &mut others {
            assert_eq!(other.heard(), "ready");
        }
        let stop = AtomicBool::new(false);
        let before = ticks();
        let run = std::thread::scope(|scope| {
            let watching = scope.spawn(|| watch_disk(root.path(), &stop));
            others.iter_mut().for_each(|other| other.tell("go"));
            let writers = others.into_iter().map(Writer::hear).collect();
            stop.store(true, SeqCst);
            let after = ticks();
            Self {
                writers,
                stalls: watching.join().unwrap(),
                stolen: (after.0 - before.0) as f64 / (after.1 - before.1).max(1) as f64,
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

    fn column(&self, of: fn(&Writer) -> u64) -> Vec<u64> {
        self.writers.iter().map(of).collect()
    }

    /// What is not fair about it; and prints the figures. Writers that are alike are compared by what they wrote, others
    /// by how often they had the lock, for each time of which some write more.
    fn complaints(&self, what: &str, alike: bool) -> Vec<String> {
        let (appended, turns) = (
            self.column(|writer| writer.appended),
            self.column(|writer| writer.turns),
        );
        let counted = if alike { &appended } else { &turns };
        let ratio = *counted.iter().min().unwrap() as f64 / *counted.iter().max().unwrap() as f64;
        let worst_us = self.worst_us_without_stalls();
        let passed_over = self.column(|writer| writer.passed_over);
        println!(
            "{what}: appends {appended:?}, turns {turns:?}, slowest/fastest {ratio:.2}; worst wait {:.0} ms, \
             without stalls of the disk {} ms; passed over {}",
            *self.column(|writer| writer.worst_us).iter().max().unwrap() as f64 / 1e3,
            match worst_us {
                0 => format!("< {}", LONG_US / 1000),
                us => (us / 1000).to_string(),
            },
            if alike {
                format!("{passed_over:?}")
            } else {
                "not counted".to_owned()
            },
        );
        let mut complaints = Vec::new();
        // Also for one that has nothing: 0 of 0 is no number, and not enough.
        if !ratio.ge(&RATIO_MIN) {
            complaints.push(format!(
                "the slowest has {ratio:.2} of what the fastest has"
            ));
        }
        if worst_us >= WAIT_US_MAX {
            complaints.push(format!("one waited {worst_us} µs, and not for the disk"));
        }
        for (times, of) in passed_over.iter().zip(&appended).filter(|_| alike) {
            if *times as f64 > *of as f64 * PASSED_OVER_MAX {
                complaints.push(format!("one was passed over {times} times in {of} commits"));
            }
        }
        complaints
    }

    /// Why the machine was not fit to tell who is fair, if it was not; and prints what was measured beside.
    fn unfit(&self) -> Option<String> {
        let run_us = RUN.as_micros() as f64;
        let stalls = self.stalls.iter().map(|stall| stall.1 - stall.0);
        let disk = stalls.sum::<u64>() as f64 / run_us;
        let in_line = self.column(|writer| writer.in_line_us);
        let cpu = *in_line.iter().max().unwrap() as f64 / run_us;
        let stolen = self.stolen;
        println!(
            "parts of the run: disk stood still {disk:.2}, a writer in line for a CPU {cpu:.2}, CPUs taken away {stolen:.2}"
        );
        [
            ("the disk stood still", disk),
            ("a writer stood in line for a CPU", cpu),
            ("the host took the CPUs away", stolen),
        ]
        .into_iter()
        .find(|(_, part)| *part > UNFIT)
        .map(|(why, part)| format!("{why} for {part:.2} of the run"))
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
                    passed_over: numbers[3],
                    in_line_us: numbers[4],
                    long,
                };
            }
            long.push((numbers[0], numbers[1]));
        }
    }
}

/// Fails for a run that is not fair; one on a machine that is not fit to tell is made again, see the top.
fn fair(what: &str, writers: &[(u64, bool)]) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let alike = writers.iter().all(|writer| *writer == writers[0]);
    let mut found = Vec::new();
    for _ in 0..RUNS_MAX {
        let run = Run::of(writers);
        let (complaints, unfit) = (run.complaints(what, alike), run.unfit());
        if complaints.is_empty() {
            return;
        }
        let excused = unfit.is_some();
        found.push((complaints, unfit));
        if !excused {
            break;
        }
    }
    panic!("{what}: not fair, and why it was tried again: {found:#?}");
}

#[test]
fn eight_writers_share_the_lock_fairly() {
    fair("eight writers", &[(1, false); 8]);
}

/// A process whose queue is never empty wants the lock again at once; who waits was first.
#[test]
fn a_busy_process_leaves_others_their_turns() {
    let writers = [(32, false), (1, false), (1, false)];
    fair("one busy writer, two single ones", &writers);
}

/// As before, and it does not wait for the disk: its turns are short.
#[test]
fn a_bulk_load_leaves_others_their_turns() {
    let writers = [(32, true), (1, false), (1, false)];
    fair("one bulk load, two single writers", &writers);
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
