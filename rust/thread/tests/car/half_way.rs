//! An import that ends early leaves no half thread, and the next one ends it.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use treering_store::{EmbeddedStore, OpenOptions};

use super::*;

/// Some 9,000 small blocks in two threads: several commits of blocks.
fn large() -> (Threads, Vec<u8>) {
    let there = fresh();
    for key in ["a", "b"] {
        let thread = begun(&there, key);
        let step = |number: u64| StepArgs::new("coder", format!("{key} {number}").as_str());
        thread
            .extend((0..2200).map(step).collect(), Some("many"))
            .unwrap()
            .wait()
            .unwrap();
    }
    let (_, bytes) = exported(&there, None);
    (there, bytes)
}

/// A new store whose log takes no write any more once `full` says so of how many it took.
fn filling(
    folder: &Path,
    full: impl Fn(u64) -> bool + Send + Sync + 'static,
) -> (Arc<EmbeddedStore>, Arc<AtomicU64>) {
    let store = Arc::new(EmbeddedStore::open(folder, &OpenOptions::default()).unwrap());
    let writes = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&writes);
    store.on_log_write(move || {
        if full(counted.fetch_add(1, Ordering::Relaxed)) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    });
    (store, writes)
}

/// An import that ended with an error has left no thread; the same file again makes all of them.
fn ends_it(folder: &Path, store: Arc<EmbeddedStore>, there: &Threads, bytes: &[u8]) -> u64 {
    store.close().unwrap();
    drop(store);
    let store = EmbeddedStore::open(folder, &OpenOptions::default()).unwrap();
    let here = on(Arc::new(store));
    let stats = here.store().stats().unwrap();
    assert_eq!((stats.refs, stats.receipts), (0, 0));
    assert_sound(&here);
    assert_eq!(imported(&here, bytes).unwrap().threads.len(), 2);
    assert_eq!(everything(&here), everything(there));
    assert_sound(&here);
    stats.blocks
}

#[test]
fn whichever_write_fails() {
    let (there, bytes) = large();
    let folder = tempfile::tempdir().unwrap();
    let (store, writes) = filling(folder.path(), |_| false);
    let all = imported(&on(store), &bytes).unwrap().blocks;
    let most = writes.load(Ordering::Relaxed);
    assert!(most > 500, "{most}");
    let mut left = Vec::new();
    for room in [0, 1, most / 4, most / 2] {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = filling(folder.path(), move |taken| taken >= room);
        let answer = imported(&on(store.clone()), &bytes);
        assert!(answer.is_err(), "{room} of {most}");
        left.push(ends_it(folder.path(), store, &there, &bytes));
    }
    assert_eq!(left[0], 0);
    assert!(left[3] > 0 && left[3] < all, "{left:?} of {all}");

    // And in the last commit, when all blocks are there.
    let folder = tempfile::tempdir().unwrap();
    let closing = Arc::new(AtomicBool::new(false));
    let is_full = Arc::clone(&closing);
    let (store, _) = filling(folder.path(), move |_| is_full.load(Ordering::Relaxed));
    let blocks = store.clone();
    let mut watcher = |done: u64, total: Option<u64>| {
        // The end of the blocks, of which no call tells: wait for those that were submitted.
        if done * 100 > total.unwrap() * 97 {
            while blocks.stats().unwrap().blocks < all * 8 / 10 {
                std::thread::yield_now();
            }
            closing.store(true, Ordering::Relaxed);
        }
        ControlFlow::Continue(())
    };
    let here = on(store.clone());
    let answer = import(
        &here,
        Cursor::new(&bytes[..]),
        OnConflict::Refuse,
        &mut watcher,
    );
    assert!(answer.is_err());
    drop((here, blocks));
    let left = ends_it(folder.path(), store, &there, &bytes);
    assert!(left >= all * 8 / 10, "{left} of {all}");
}

#[test]
fn stopped_by_its_watcher() {
    let (there, bytes) = large();
    let calls = |stops_at: u64, threads: &Threads| {
        let mut told = 0;
        let mut watcher = |done: u64, total: Option<u64>| {
            assert!(done <= total.unwrap());
            told += 1;
            if told == stops_at {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let answer = import(
            threads,
            Cursor::new(&bytes[..]),
            OnConflict::Refuse,
            &mut watcher,
        );
        (answer, told)
    };
    let (_, all) = calls(u64::MAX, &fresh());
    assert!(all > 50, "{all}");
    let here = fresh();
    for stops_at in (1..all).step_by(7) {
        let (answer, _) = calls(stops_at, &here);
        assert!(matches!(
            answer,
            Err(CarError::Archive(ArchiveError::Stopped))
        ));
        let stats = here.store().stats().unwrap();
        assert_eq!((stats.refs, stats.receipts), (0, 0));
        assert_sound(&here);
    }
    // What is held is what nothing links to yet, not each block.
    let stats = here.store().stats().unwrap();
    assert!(stats.blocks > 4000 && stats.holds < 50, "{stats:?}");
    assert_eq!(imported(&here, &bytes).unwrap().threads.len(), 2);
    assert_eq!(everything(&here), everything(&there));
}

#[test]
fn a_collection_that_runs_meanwhile_takes_nothing() {
    let (there, bytes) = large();
    let here = fresh();
    // Garbage too, and among it what the file has: it is put again while it dies.
    imported(&here, &bytes).unwrap();
    for line in here.list(&Default::default()).unwrap() {
        let thread = here.get(&line.id).unwrap();
        thread.rm(false, None).unwrap().wait().unwrap();
    }
    for hold in here.store().holds("main", 0, 10_000).unwrap() {
        here.store().release_hold("main", &hold.cid).unwrap();
    }
    let mut collected = 0;
    let mut watcher = |_: u64, _: Option<u64>| {
        let report = here.store().gc(&Default::default()).unwrap();
        collected += report.dead;
        ControlFlow::Continue(())
    };
    let report = import(
        &here,
        Cursor::new(&bytes[..]),
        OnConflict::Refuse,
        &mut watcher,
    )
    .unwrap();
    assert!(collected >= report.blocks, "{collected}");
    assert_eq!(report.new_blocks, report.blocks);
    assert_eq!(everything(&here), everything(&there));
    assert_sound(&here);
}
