//! A sync of the log fails in one process while another goes on committing behind what was not written.
//!
//! Two processes, one disk: the other process tells each of its file operations, so that the images hold
//! what both did, in order.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod processes;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use processes::{Other, name, report, step, told};
use treering_store::faults::{Event, Image, Loss, Recorder, Trace};
use treering_store::{
    Disk, DiskLayer, Durability, EmbeddedStore, FileOp, OpenOptions, Store, StoreError, Verdict,
};

const LOG: &str = "store.db-wal";

/// Fails the next sync of the log, once told so.
struct FailingSync {
    recorder: Arc<Recorder>,
    fail: AtomicBool,
}

impl DiskLayer for FailingSync {
    fn before(&self, op: &FileOp<'_>) -> Verdict {
        if matches!(op, FileOp::Sync { path } if path.ends_with(LOG))
            && self.fail.swap(false, SeqCst)
        {
            return Verdict::Fail(std::io::Error::other("the device did not answer"));
        }
        self.recorder.before(op)
    }

    fn after(&self, op: &FileOp<'_>, done: bool) {
        self.recorder.after(op, done);
    }
}

/// In the other process: tells what it does to the files.
struct Telling;

impl DiskLayer for Telling {
    fn before(&self, _op: &FileOp<'_>) -> Verdict {
        Verdict::Do
    }

    fn after(&self, op: &FileOp<'_>, done: bool) {
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let line = match op {
            _ if !done => panic!("{op:?} failed"),
            FileOp::Write {
                path,
                offset,
                bytes,
            } => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("write {} {offset} {hex}", name(path))
            }
            FileOp::SetLength { path, length } => format!("length {} {length}", name(path)),
            FileOp::Sync { path } => format!("sync {}", name(path)),
            // Its names are there before: the test's own process made the store.
            FileOp::Open { .. } | FileOp::SyncDirectory { .. } => return,
            other => panic!("not told: {other:?}"),
        };
        report(&line);
    }
}

fn event(line: &str) -> Event {
    let words: Vec<&str> = line.split(' ').collect();
    let path = Path::new("store").join(words[1]);
    match words[0] {
        "write" => Event::Write {
            path,
            offset: words[2].parse().unwrap(),
            bytes: (0..words[3].len() / 2)
                .map(|at| u8::from_str_radix(&words[3][2 * at..2 * at + 2], 16).unwrap())
                .collect(),
        },
        "length" => Event::SetLength {
            path,
            length: words[2].parse().unwrap(),
        },
        "sync" => Event::Sync(path),
        other => panic!("{other}"),
    }
}

/// What the other process does: a commit for each line that it is told, which it answers `answered`.
#[test]
fn other_process() {
    let Some((role, directory)) = processes::role() else {
        return;
    };
    assert_eq!(role, "commit");
    let options = OpenOptions {
        disk: Disk::behind(Arc::new(Telling)),
        ..OpenOptions::default()
    };
    let store = EmbeddedStore::open(directory, &options).unwrap();
    report("answered");
    let mut version = 0;
    while told().is_some() {
        store.submit(step("theirs", version, 900).0).wait().unwrap();
        version += 1;
        report("answered");
    }
    // Its end is not recorded: it must change nothing.
    std::process::exit(0);
}

/// What the other process did up to its next answer.
fn until_answered(other: &mut Other, trace: &mut Trace) {
    loop {
        match other.heard().as_str() {
            "answered" => return,
            line => trace.push(event(line)),
        }
    }
}

/// Where a failed sync comes from.
#[derive(Clone, Copy, PartialEq)]
enum In {
    Commit,
    Checkpoint,
}

fn a_sync_fails(place: In) {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("store");
    let recorder = Arc::new(Recorder::new(root.path()).unwrap());
    let disk = Arc::new(FailingSync {
        recorder: Arc::clone(&recorder),
        fail: AtomicBool::new(false),
    });
    let options = OpenOptions {
        disk: Disk::behind(Arc::clone(&disk) as _),
        // Small, so that a relaxed commit of 4 × that is checkpointed.
        checkpoint_log_bytes: 64 << 10,
        ..OpenOptions::default()
    };
    let store = EmbeddedStore::open(&directory, &options).unwrap();
    let mut version = 0;
    let mut ours = |durability, bytes| {
        let (mut commit, _) = step("ours", version, bytes);
        commit.durability = durability;
        let answer = store.submit(commit).wait();
        version += u64::from(answer.is_ok());
        answer
    };
    ours(Durability::Durable, 900).unwrap();
    let mut trace = recorder.trace();
    let mut seen = trace.len();
    let mut other = Other::start("commit", &directory);
    until_answered(&mut other, &mut trace);
    other.tell("go");
    until_answered(&mut other, &mut trace);

    // Relaxed: in the log, seen by all, on no disk. Then the sync that would bring it there fails.
    match place {
        In::Commit => {
            ours(Durability::Relaxed, 900).unwrap();
            disk.fail.store(true, SeqCst);
            let unknown = ours(Durability::Durable, 900);
            assert!(
                matches!(unknown, Err(StoreError::CommitUnknown { .. })),
                "{unknown:?}"
            );
        }
        In::Checkpoint => {
            disk.fail.store(true, SeqCst);
            // The checkpoint follows an answer.
            while disk.fail.load(SeqCst) {
                let answer = ours(Durability::Relaxed, 130_000);
                assert!(
                    matches!(answer, Ok(_) | Err(StoreError::Poisoned { .. })),
                    "{answer:?}"
                );
            }
            processes::until("the mark in the lock file", || {
                let marks = std::fs::read(directory.join("lock")).unwrap();
                marks.len() >= 72 && marks[64..72] != [0; 8]
            });
        }
    }
    let all = recorder.trace();
    trace.extend_from_slice(&all[seen..]);
    seen = all.len();
    assert!(trace.contains(&Event::SyncFailed(Path::new("store").join(LOG))));

    // The other process sees what was relaxed, and is told that its own commit behind it is durable.
    let before = trace.len();
    other.tell("go");
    until_answered(&mut other, &mut trace);
    let first = trace[before..].iter().map(|event| match event {
        Event::Write { bytes, .. } => bytes.len(),
        _ => 0,
    });
    let first: usize = first.sum();
    let before = trace.len();
    other.tell("go");
    until_answered(&mut other, &mut trace);
    let second = trace[before..].iter().map(|event| match event {
        Event::Write { bytes, .. } => bytes.len(),
        _ => 0,
    });
    let second: usize = second.sum();
    let answered = store.head().unwrap().position;
    other.kill();
    assert_eq!(
        recorder.trace().len(),
        seen,
        "this process wrote nothing more"
    );

    // The power fails.
    let after = tempfile::tempdir().unwrap();
    Image::new()
        .after(&trace)
        .materialise(Loss::All, after.path())
        .unwrap();
    let left = EmbeddedStore::open(after.path().join("store"), &OpenOptions::default()).unwrap();
    assert_eq!(left.verify(None).unwrap().findings, []);
    let theirs = left.read_ref(&name("theirs")).unwrap().unwrap();
    assert_eq!(theirs.version, 3, "all that was answered as durable");
    assert_eq!(left.head().unwrap().position, answered);
    // The log was written anew once, not by each commit from then on.
    assert!(second < first, "{first} bytes, then {second}");
}

#[test]
fn no_durable_answer_behind_a_failed_sync_of_another_process() {
    a_sync_fails(In::Commit);
}

#[test]
fn nor_behind_a_failed_sync_of_its_checkpoint() {
    a_sync_fails(In::Checkpoint);
}
