//! A repair or a quarantine that is cut off, by a disk that fails or by a kill, at any write: the store is
//! what it was, or it is done; never half of it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod crash;
mod embedded;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crash::{behind, recorder};
use embedded::{commit, fill, name, node, open, set};
use rusqlite::Connection;
use treering_store::faults::Failure;
use treering_store::{
    EmbeddedStore, Expect, GcOptions, OpenOptions, Store, StoreError, quarantine,
};

const CHILD: &str = "TREERING_TEST_REPAIR_KILLED";
const KILL_AT: &str = "TREERING_TEST_REPAIR_KILL_AT";

fn change(path: &Path, sql: &str) {
    let conn = Connection::open(path.join("store.db")).unwrap();
    assert_eq!(conn.execute(sql, []).unwrap(), 1, "{sql}");
}

/// What is in the tables that a repair here touches.
fn rows(path: &Path) -> Vec<(String, Vec<u8>)> {
    let conn = Connection::open(path.join("store.db")).unwrap();
    let mut found = Vec::new();
    for (table, key) in [
        ("block", "ordinal"),
        ("graph", "ordinal"),
        ("ref", "name"),
        ("receipt", "hex(key)"),
        ("lease", "name"),
        ("journal", "position"),
    ] {
        let check = if table == "journal" {
            "digest || chain"
        } else {
            "chk"
        };
        let mut statement = conn
            .prepare(&format!(
                "SELECT '{table} ' || {key}, {check} FROM {table} NOT INDEXED ORDER BY 1"
            ))
            .unwrap();
        let read = statement
            .query_map([], |row| {
                let check = row.get_ref(1)?.as_bytes().map(<[u8]>::to_vec);
                Ok((row.get(0)?, check.unwrap_or_default()))
            })
            .unwrap();
        found.extend(read.map(Result::unwrap));
    }
    found
}

/// A store with five faults that one round mends; what it was before them, and with them.
fn planted(path: &Path) -> [Vec<(String, Vec<u8>)>; 2] {
    let store = open(path);
    fill(&store);
    store.close().unwrap();
    drop(store);
    let before = rows(path);
    for plant in [
        "UPDATE block SET chk = zeroblob(16) WHERE ordinal = 3",
        "UPDATE ref SET chk = zeroblob(16)",
        "UPDATE receipt SET chk = zeroblob(16)",
        "UPDATE journal SET digest = zeroblob(32) WHERE position = 1",
        "DELETE FROM graph WHERE ordinal = 4",
    ] {
        change(path, plant);
    }
    [before, rows(path)]
}

/// Tries every n until nothing fails any more; returns how many did.
fn for_every(mut live: impl FnMut(u64) -> bool) -> u64 {
    (0..).find(|n| !live(*n)).unwrap()
}

#[test]
fn a_repair_on_a_disk_that_fails() {
    for failure in [Failure::Device, Failure::HalfThenFull] {
        let mut undone = 0;
        let failed = for_every(|n| {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("store");
            let [before, broken] = planted(&path);
            let recorder = recorder(root.path());
            let store = EmbeddedStore::open(&path, &behind(&recorder)).unwrap();
            recorder.fail_once(n, failure);
            let answer = store.repair();
            let failed = recorder.failed() > 0;
            recorder.heal();
            drop(store.close());
            drop(store);
            let now = rows_after_reopening(&path);
            match &answer {
                Ok(report) => {
                    assert_eq!(report.left.findings, []);
                    assert_eq!(now, before);
                }
                Err(StoreError::DiskFull | StoreError::Io { .. }) => {
                    assert_eq!(now, broken, "{failure:?} at {n}: {answer:?}");
                    undone += 1;
                }
                Err(StoreError::CommitUnknown { .. }) => {
                    assert!(now == before || now == broken, "{failure:?} at {n}");
                    undone += 1;
                }
                Err(other) => panic!("{failure:?} at {n}: {other}"),
            }
            // The next one is not hindered by it.
            let report = open(&path).repair().unwrap();
            assert_eq!(report.left.findings, []);
            assert_eq!(rows(&path), before);
            failed
        });
        assert!(
            failed > 2 && undone > 1,
            "{failure:?}: {failed} failed, {undone} undone"
        );
    }
}

/// The log is moved into the database first, so that what a plain SQLite reads is all.
fn rows_after_reopening(path: &Path) -> Vec<(String, Vec<u8>)> {
    drop(EmbeddedStore::open(path, &OpenOptions::default()).unwrap());
    rows(path)
}

/// A chain whose newest node is gone.
fn without_its_head(path: &Path) {
    let store = open(path);
    let filled = fill(&store);
    let next = node("next", &[filled.child.cid, filled.large.cid]);
    let mut third = commit();
    third.blocks = vec![next.clone()];
    third.moves = vec![set(&name("one"), Expect::Version(2), next.cid)];
    store.submit(third).wait().unwrap();
    for cid in [filled.leaf.cid, filled.parent.cid, filled.large.cid] {
        assert!(store.release_hold("main", &cid).unwrap());
    }
    store.close().unwrap();
    drop(store);
    change(path, "DELETE FROM block WHERE ordinal = 5");
}

#[test]
fn a_quarantine_on_a_disk_that_fails() {
    for failure in [Failure::Device, Failure::HalfThenFull] {
        let mut undone = 0;
        let failed = for_every(|n| {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("store");
            without_its_head(&path);
            let recorder = recorder(root.path());
            let store = EmbeddedStore::open(&path, &behind(&recorder)).unwrap();
            recorder.fail_once(n, failure);
            let one = name("one");
            let answer = store.quarantine(&[one.encoded().to_owned()]);
            let failed = recorder.failed() > 0;
            recorder.heal();
            drop(store.close());
            drop(store);
            let store = open(&path);
            let stands = store.read_ref(&one).unwrap().is_some();
            let entries = quarantine::list(&store, "main").unwrap().len();
            assert_eq!(
                usize::from(stands) + entries,
                1,
                "{failure:?} at {n}: {answer:?}"
            );
            match &answer {
                Ok(_) => assert!(!stands),
                Err(StoreError::CommitUnknown { .. }) => undone += 1,
                Err(StoreError::DiskFull | StoreError::Io { .. } | StoreError::Poisoned { .. }) => {
                    assert!(stands, "{failure:?} at {n}: {answer:?}");
                    undone += 1;
                }
                Err(other) => panic!("{failure:?} at {n}: {other}"),
            }
            // Nothing that was left is gone, whichever it was.
            assert_eq!(store.stats().unwrap().blocks - entry_blocks(&store), 4);
            if stands {
                store.quarantine(&[one.encoded().to_owned()]).unwrap();
            }
            store.repair().unwrap();
            store.gc(&GcOptions::default()).unwrap();
            assert_eq!(store.verify(None).unwrap().findings, []);
            let (entry, _) = quarantine::list(&store, "main").unwrap().remove(0);
            quarantine::restore(&store, &entry, quarantine::To::Whole).unwrap();
            assert_eq!(store.read_ref(&one).unwrap().unwrap().version, 1);
            failed
        });
        assert!(
            failed > 4 && undone > 1,
            "{failure:?}: {failed} failed, {undone} undone"
        );
    }
}

/// Nodes that a quarantine has written, and the row of the lost one that some counts include.
fn entry_blocks(store: &dyn Store) -> u64 {
    let mut ours = 0;
    for info in store.blocks(0, usize::MAX).unwrap() {
        let bytes = store.get(&info.cid).unwrap();
        ours += u64::from(bytes.windows(10).any(|part| part == b"quarantine"));
    }
    let rows = store.blocks(0, usize::MAX).unwrap().len() as u64;
    ours + (store.stats().unwrap().blocks - rows)
}

/// What the child does; nothing when run as a test.
#[test]
fn killed_child() {
    let Some(path) = std::env::var_os(CHILD) else {
        return;
    };
    let at: u64 = std::env::var(KILL_AT).unwrap().parse().unwrap();
    let store = open(Path::new(&path));
    let writes = Arc::new(AtomicU64::new(0));
    let (counted, synced) = (Arc::clone(&writes), Arc::clone(&writes));
    store.on_log_write(move || {
        if counted.fetch_add(1, SeqCst) == at {
            std::process::abort();
        }
        Ok(())
    });
    store.on_commit_sync(move || {
        if synced.fetch_add(1, SeqCst) == at {
            std::process::abort();
        }
        Ok(())
    });
    store.repair().unwrap();
}

#[test]
fn a_repair_that_is_killed_at_any_write() {
    let (mut kept, mut done) = (0, 0);
    let writes = for_every(|n| {
        let root = tempfile::tempdir().unwrap();
        let [before, broken] = planted(root.path());
        let killed = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed_child"])
            .env(CHILD, root.path())
            .env(KILL_AT, n.to_string())
            .output()
            .unwrap();
        let now = rows_after_reopening(root.path());
        assert!(now == before || now == broken, "killed at write {n}");
        let report = open(root.path()).repair().unwrap();
        assert_eq!(report.left.findings, []);
        assert_eq!(rows(root.path()), before);
        if now == broken {
            kept += 1;
        } else {
            done += 1;
        }
        !killed.status.success()
    });
    assert!(
        writes > 3 && kept > 1 && done > 0,
        "{writes} writes, {kept}, {done}"
    );
}
