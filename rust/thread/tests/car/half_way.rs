//! An import that ends early leaves no half thread, and the next one ends it.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// A new store whose log takes so many writes and then finds the disk full; the count of them.
fn filling(folder: &Path, room: u64) -> (Arc<EmbeddedStore>, Arc<AtomicU64>) {
    let store = Arc::new(EmbeddedStore::open(folder, &OpenOptions::default()).unwrap());
    let writes = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&writes);
    store.on_log_write(move || {
        if counted.fetch_add(1, Ordering::Relaxed) >= room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    });
    (store, writes)
}

#[test]
fn whichever_write_fails() {
    let (there, bytes) = large();
    let folder = tempfile::tempdir().unwrap();
    let (store, writes) = filling(folder.path(), u64::MAX);
    imported(&on(store), &bytes).unwrap();
    let all = writes.load(Ordering::Relaxed);
    assert!(all > 500, "{all}");
    // In the first commit, in those of blocks, and in the last one, which makes the threads.
    for room in [0, 1, all / 3, all / 2, all - 20, all - 1] {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = filling(folder.path(), room);
        let answer = imported(&on(store.clone()), &bytes);
        assert!(answer.is_err(), "{room} of {all}");
        store.close().unwrap();
        drop(store);
        let store = EmbeddedStore::open(folder.path(), &OpenOptions::default()).unwrap();
        let here = on(Arc::new(store));
        let stats = here.store().stats().unwrap();
        assert_eq!((stats.refs, stats.receipts), (0, 0), "{answer:?}");
        assert_sound(&here);
        assert_eq!(imported(&here, &bytes).unwrap().threads.len(), 2);
        assert_eq!(everything(&here), everything(&there));
        assert_sound(&here);
    }
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
        assert!(matches!(answer, Err(CarError::Stopped)));
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
