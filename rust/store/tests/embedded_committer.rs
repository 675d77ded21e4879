//! Who commits, on which thread, and what a commit may do to the log's file.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use treering_block::Block;
use treering_store::{
    Commit, Disk, DiskLayer, Durability, EmbeddedStore, FileOp, OpenOptions, Store, Verdict,
};

/// What happened to the files, a letter each: `w`rite to the log, `z`eros to it, `s`ync of it, write to the
/// `d`atabase.
#[derive(Default)]
struct Trace(Mutex<String>);

impl DiskLayer for Trace {
    fn before(&self, op: &FileOp<'_>) -> Verdict {
        let is_log = |path: &Path| path.to_string_lossy().ends_with("-wal");
        let letter = match op {
            FileOp::Write { path, bytes, .. } if is_log(path) => {
                Some(if bytes.iter().all(|byte| *byte == 0) {
                    'z'
                } else {
                    'w'
                })
            }
            FileOp::Write { path, .. } if path.ends_with("store.db") => Some('d'),
            FileOp::Sync { path } if is_log(path) => Some('s'),
            _ => None,
        };
        self.0.lock().unwrap().extend(letter);
        Verdict::Do
    }

    fn after(&self, _op: &FileOp<'_>, _done: bool) {}
}

/// A checkpoint syncs the log too, while other processes may append to it: zeros would go over their frames.
#[test]
fn a_commit_lengthens_the_log_and_a_checkpoint_never_does() {
    for durability in [Durability::Relaxed, Durability::Durable] {
        let directory = tempfile::tempdir().unwrap();
        let trace = Arc::new(Trace::default());
        let options = OpenOptions {
            disk: Disk::behind(Arc::clone(&trace) as Arc<dyn DiskLayer>),
            checkpoint_log_bytes: 64 << 10,
            ..OpenOptions::default()
        };
        let store = EmbeddedStore::open(directory.path().join("s"), &options).unwrap();
        for number in 1..40_u8 {
            let commit = Commit {
                scope: "main".into(),
                blocks: vec![Block::raw(vec![number; 20_000])],
                durability,
                ..Commit::default()
            };
            store.submit(commit).wait().unwrap();
        }
        store.close().unwrap();
        let trace = trace.0.lock().unwrap().clone();
        assert!(trace.contains("sd"), "there were checkpoints: {trace}");
        match durability {
            Durability::Relaxed => assert!(!trace.contains("szd"), "{trace}"),
            Durability::Durable => assert!(trace.contains("sz"), "{trace}"),
        }
    }
}

/// A caller who waits commits on his own thread; a ticket that nobody waits for goes on once it is announced.
#[test]
fn who_waits_commits_and_what_is_announced_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        callers_wait: true,
        ..OpenOptions::default()
    };
    let store = EmbeddedStore::open(directory.path().join("s"), &options).unwrap();
    let threads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&threads);
    store.on_commit_sync(move || {
        seen.lock().unwrap().push(std::thread::current().id());
        Ok(())
    });
    let commit = |byte: u8| Commit {
        scope: "main".into(),
        blocks: vec![Block::raw([byte])],
        ..Commit::default()
    };
    store.submit(commit(1)).wait().unwrap();
    assert_eq!(*threads.lock().unwrap(), [std::thread::current().id()]);
    let called = Arc::new((Mutex::new(false), Condvar::new()));
    let calls = Arc::clone(&called);
    store.submit(commit(2)).on_answer(move || {
        *calls.0.lock().unwrap() = true;
        calls.1.notify_all();
    });
    let waited = called
        .1
        .wait_timeout_while(called.0.lock().unwrap(), Duration::from_secs(5), |is| !*is)
        .unwrap();
    assert!(*waited.0, "asking to be called announces");
    drop(waited);
    let ticket = store.submit(commit(3));
    ticket.announce();
    let started = Instant::now();
    while ticket.poll().is_none() && started.elapsed() < Duration::from_secs(30) {
        std::thread::yield_now();
    }
    assert!(ticket.poll().is_some(), "announced");
    let ran_on = threads.lock().unwrap();
    assert_eq!(ran_on.len(), 3);
    assert!(!ran_on[1..].contains(&std::thread::current().id()));
}
