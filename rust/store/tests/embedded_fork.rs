//! fork(): the child's old handle answers `ForkedProcess`, the store can be opened again there, and the
//! parent goes on. A binary of its own with one test: a fork takes only the forking thread along.
#![cfg(unix)]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;

use std::time::Duration;

use embedded::{bytes, name, open, put};
use treering_block::Block;
use treering_store::{EmbeddedStore, EraseOptions, Store, StoreError};

/// Runs `work` in a forked child and returns what it returned; 99 if it panicked.
fn in_child(work: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child only runs `work` and ends by _exit; what it uses of the parent's state is what
    // this test is about.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(99);
        // SAFETY: ends the child without the parent's exit handlers.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: waits for the child just made.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert!(libc::WIFEXITED(status), "the child was killed: {status}");
    libc::WEXITSTATUS(status)
}

fn forked<T>(answer: Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::ForkedProcess))
}

fn child_uses_the_old_handle(store: EmbeddedStore, block: &Block) -> i32 {
    let refused = [
        forked(store.get(&block.cid)),
        forked(store.submit(put(vec![])).wait()),
        forked(store.head()),
        forked(store.lease_acquire(&name("x"), "")),
        forked(store.verify(None)),
        forked(store.watch(0, Duration::ZERO)),
        forked(store.close()),
    ];
    drop(store);
    i32::from(refused != [true; 7])
}

fn child_opens_anew(path: &std::path::Path, block: &Block, own: &Block) -> i32 {
    let store = open(path);
    assert_eq!(store.get(&block.cid).unwrap(), block.bytes);
    store.submit(put(vec![own.clone()])).wait().unwrap();
    assert_eq!(store.verify(None).unwrap().findings, []);
    store.close().unwrap();
    0
}

#[test]
fn both_sides_of_a_fork() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let block = Block::raw(bytes(1, 100));
    store.submit(put(vec![block.clone()])).wait().unwrap();

    // Twice, so that the second child is of a parent that reopened its connections.
    for round in 0..2 {
        let ours = &block;
        // The child takes the handle itself: dropping it there must do nothing to the parent.
        let handle = open(directory.path());
        assert_eq!(in_child(move || child_uses_the_old_handle(handle, ours)), 0);
        let own = Block::raw(bytes(10 + round, 100));
        assert_eq!(
            in_child(|| child_opens_anew(directory.path(), ours, &own)),
            0
        );
        assert_eq!(
            store.get(&own.cid).unwrap(),
            own.bytes,
            "the parent sees the child's commit"
        );
        let after = Block::raw(bytes(20 + round, 100));
        store.submit(put(vec![after.clone()])).wait().unwrap();
        assert_eq!(store.get(&after.cid).unwrap(), after.bytes);
    }

    // A fork while other threads commit and read.
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut count = 0;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                store
                    .submit(put(vec![Block::raw(bytes(1000 + count, 100))]))
                    .wait()
                    .unwrap();
                store.get(&block.cid).unwrap();
                count += 1;
            }
            count
        });
        for round in 0..10 {
            let own = Block::raw(bytes(100 + round, 100));
            assert_eq!(
                in_child(|| child_opens_anew(directory.path(), &block, &own)),
                0
            );
        }
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        let count = writing.join().unwrap();
        assert!(count > 0);
        assert_eq!(store.stats().unwrap().blocks, 1 + 4 + 10 + count);
    });

    // A fork while another thread erases, and waits for the writer's thread with the files to itself.
    store.expect_slow_commits();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let erasing = scope.spawn(|| {
            let mut count = 0;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                for number in 0..20 {
                    let mut commit = put(vec![Block::raw(bytes(5000 + number, 100))]);
                    commit.scope = "erased".into();
                    store.submit(commit).wait().unwrap();
                }
                store.expect_slow_commits();
                store.erase("erased", &EraseOptions::default()).unwrap();
                count += 1;
            }
            count
        });
        let files = directory.path().join("blobs.lock").canonicalize().unwrap();
        for _ in 0..40 {
            let files = &files;
            let kept = in_child(|| {
                let open_files = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
                let is_lock = |file: std::path::PathBuf| file == *files;
                let mut open_files = open_files.flatten();
                i32::from(
                    open_files.any(|entry| std::fs::read_link(entry.path()).is_ok_and(is_lock)),
                )
            });
            assert_eq!(kept, 0, "the child keeps the files' lock");
        }
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(erasing.join().unwrap() > 0);
    });

    // A child that keeps its copy of the lock file open would hold the lock for ever if the parent died.
    let lock = directory.path().join("lock").canonicalize().unwrap();
    let lock_is_open = || {
        let open_files = std::fs::read_dir("/proc/self/fd").unwrap();
        open_files
            .flatten()
            .any(|entry| std::fs::read_link(entry.path()).is_ok_and(|file| file == lock))
    };
    if cfg!(target_os = "linux") {
        assert!(lock_is_open(), "or the next line proves nothing");
        assert_eq!(in_child(|| i32::from(lock_is_open())), 0);
    }
    assert_eq!(store.verify(None).unwrap().findings, []);
}
