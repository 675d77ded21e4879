//! An import that ends early leaves no half thread, and the next one ends it.

use std::io;
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

#[test]
fn whichever_write_fails() {
    let (there, bytes) = large();
    let mut failed = 0;
    for fails_at in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(EmbeddedStore::open(folder.path(), &OpenOptions::default()).unwrap());
        let here = on(store.clone());
        // The commits of an import, counted by their writes to the log; one of them finds the disk full.
        let writes = AtomicU64::new(0);
        store.on_log_write(move || {
            if writes.fetch_add(1, Ordering::Relaxed) / 40 + 1 == fails_at {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(())
        });
        let answer = imported(&here, &bytes);
        store.on_log_write(|| Ok(()));
        if answer.is_ok() {
            assert_eq!(everything(&here), everything(&there));
            break;
        }
        failed += 1;
        drop(here);
        store.close().unwrap();
        drop(store);
        let store = Arc::new(EmbeddedStore::open(folder.path(), &OpenOptions::default()).unwrap());
        let here = on(store);
        let stats = here.store().stats().unwrap();
        assert_eq!((stats.refs, stats.receipts), (0, 0), "{answer:?}");
        assert_sound(&here);
        assert_eq!(imported(&here, &bytes).unwrap().threads.len(), 2);
        assert_eq!(everything(&here), everything(&there));
        assert_sound(&here);
    }
    assert!(failed >= 5, "only {failed} writes were to fail");
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
