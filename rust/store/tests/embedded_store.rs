//! The store in a directory: what only it has, beyond the conformance suite.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;

use std::io;
use std::time::{Duration, Instant};

use embedded::{bytes, command, commit, fill, hold_syncs, name, node, open, put, relaxed, set};
use treering_block::{Block, Cid, CidPrefix};
use treering_store::{Clock, Commit, EmbeddedStore, Expect, OpenOptions, Store, StoreError};

#[test]
fn everything_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/state");
    let store = open(&path);
    let filled = fill(&store);
    let (head, stats) = (store.head().unwrap(), store.stats().unwrap());
    store.close().unwrap();
    assert!(matches!(
        store.get(&filled.leaf.cid),
        Err(StoreError::Closed)
    ));
    assert!(matches!(
        store.submit(commit()).wait(),
        Err(StoreError::Closed)
    ));

    let store = open(&path);
    for block in [&filled.leaf, &filled.parent, &filled.large, &filled.child] {
        assert_eq!(store.get(&block.cid).unwrap(), block.bytes);
    }
    assert_eq!(store.head().unwrap(), head);
    let again = store.stats().unwrap();
    assert_eq!(
        (again.blocks, again.nodes, again.block_bytes, again.links),
        (stats.blocks, stats.nodes, stats.block_bytes, stats.links)
    );
    assert_eq!(
        (
            stats.blocks,
            stats.nodes,
            stats.links,
            stats.refs,
            stats.commits
        ),
        (4, 2, 3, 1, 2)
    );
    assert_eq!((stats.receipts, stats.holds, stats.blob_files), (1, 3, 1));
    let value = store.read_ref(&name("one")).unwrap().unwrap();
    assert_eq!((value.version, value.target), (2, filled.child.cid));
    let journal = store.journal(None, 10).unwrap();
    assert_eq!(journal.len(), 2);
    assert_eq!(journal[1].head(), head);
    assert_eq!(store.lease_state(&name("one")).unwrap().unwrap().token, 1);
    let report = store.verify(Some(&head)).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(
        (
            report.blocks,
            report.links,
            report.refs,
            report.commits,
            report.receipts
        ),
        (4, 3, 1, 2, 1)
    );
    // A closed store leaves no log behind that the next one would have to read.
    store.close().unwrap();
    assert_eq!(
        std::fs::metadata(path.join("store.db-wal")).map_or(0, |log| log.len()),
        0
    );
}

#[test]
fn ordinals_are_never_given_twice() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..3u64 {
        let store = open(directory.path());
        store
            .submit(put(vec![Block::raw(bytes(round, 10))]))
            .wait()
            .unwrap();
        let refused = Commit {
            blocks: vec![node("dangling", &[Cid::of_raw(b"nowhere")])],
            ..commit()
        };
        assert!(matches!(
            store.submit(refused).wait(),
            Err(StoreError::LinkMissing { .. })
        ));
    }
    let ordinals: Vec<u64> = open(directory.path())
        .blocks(0, 10)
        .unwrap()
        .iter()
        .map(|info| info.ordinal)
        .collect();
    assert_eq!(ordinals, [1, 2, 3]);
}

#[test]
fn what_waits_together_shares_one_fsync() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store
        .submit(put(vec![Block::raw(bytes(0, 100))]))
        .wait()
        .unwrap();
    let release = hold_syncs(&store);
    let before = store.counters();
    let first = store.submit(put(vec![Block::raw(bytes(1, 100))]));
    // The first is inside its fsync, held, when the others come.
    while store.counters().batches == before.batches {
        std::thread::sleep(Duration::from_millis(1));
    }
    let others: Vec<_> = (2..65)
        .map(|seed| store.submit(put(vec![Block::raw(bytes(seed, 100))])))
        .collect();
    assert!(first.poll().is_none(), "no answer before the fsync");
    assert!(others.iter().all(|ticket| ticket.poll().is_none()));
    release.send(()).unwrap();
    release.send(()).unwrap();
    first.wait().unwrap();
    for ticket in &others {
        assert_eq!(ticket.wait().unwrap().new_blocks, 1);
    }
    let after = store.counters();
    assert_eq!(after.batches - before.batches, 2);
    assert_eq!(after.requests - before.requests, 64);
    assert_eq!(after.commit_syncs - before.commit_syncs, 2);
    assert_eq!(after.header_syncs, before.header_syncs);
    assert_eq!(after.checkpoint_syncs, before.checkpoint_syncs);
    assert_eq!(after.blocks_written - before.blocks_written, 64);
    assert!(after.wal_bytes_written > before.wal_bytes_written);
}

#[test]
fn relaxed_commits_do_not_sync_and_a_durable_one_syncs_for_all() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store
        .submit(put(vec![Block::raw(bytes(0, 100))]))
        .wait()
        .unwrap();
    let before = store.counters();
    for seed in 1..20 {
        store
            .submit(relaxed(put(vec![Block::raw(bytes(seed, 100))])))
            .wait()
            .unwrap();
    }
    assert_eq!(store.counters().commit_syncs, before.commit_syncs);
    store
        .submit(put(vec![Block::raw(bytes(20, 100))]))
        .wait()
        .unwrap();
    assert_eq!(store.counters().commit_syncs, before.commit_syncs + 1);
    // One that writes nothing has nothing to sync: a replayed command.
    let mut once = put(vec![Block::raw(bytes(21, 100))]);
    once.command = command("id", 7);
    store.submit(once.clone()).wait().unwrap();
    let (synced, head) = (store.counters().commit_syncs, store.head().unwrap());
    let replayed = store.submit(once).wait().unwrap();
    assert_eq!(replayed.replay, Some(vec![7]));
    assert_eq!(
        (store.counters().commit_syncs, store.head().unwrap()),
        (synced, head)
    );
}

#[test]
fn a_failed_fsync_poisons_until_reopened() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let kept = Block::raw(bytes(0, 100));
    store.submit(put(vec![kept.clone()])).wait().unwrap();
    store.on_commit_sync(|| Err(io::Error::other("the disk is gone")));
    let unknown = store.submit(put(vec![Block::raw(bytes(1, 100))])).wait();
    assert!(
        matches!(unknown, Err(StoreError::CommitUnknown { .. })),
        "{unknown:?}"
    );
    store.on_commit_sync(|| Ok(()));
    let refused = store.submit(put(vec![Block::raw(bytes(2, 100))])).wait();
    assert!(
        matches!(refused, Err(StoreError::Poisoned { .. })),
        "{refused:?}"
    );
    assert!(matches!(
        store.lease_acquire(&name("x"), ""),
        Err(StoreError::Poisoned { .. })
    ));
    assert_eq!(store.get(&kept.cid).unwrap(), kept.bytes, "reading goes on");
    // Opening anew is the way out, also beside the poisoned handle.
    let fresh = open(directory.path());
    fresh
        .submit(put(vec![Block::raw(bytes(3, 100))]))
        .wait()
        .unwrap();
    assert_eq!(fresh.verify(None).unwrap().findings, []);
}

#[test]
fn a_full_disk_refuses_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store
        .submit(put(vec![Block::raw(bytes(0, 100))]))
        .wait()
        .unwrap();
    let head = store.head().unwrap();
    store.on_log_write(|| Err(io::ErrorKind::StorageFull.into()));
    let (small, large) = (Block::raw(bytes(1, 100)), Block::raw(bytes(2, 300_000)));
    let refused = store.submit(put(vec![small.clone(), large])).wait();
    assert!(matches!(refused, Err(StoreError::DiskFull)), "{refused:?}");
    assert_eq!(store.head().unwrap(), head);
    assert!(!store.has(&small.cid).unwrap());
    assert_eq!(
        store.stats().unwrap().blob_files,
        0,
        "its file is gone again"
    );
    store.on_log_write(|| Ok(()));
    store.submit(put(vec![small.clone()])).wait().unwrap();
    assert_eq!(store.get(&small.cid).unwrap(), small.bytes);
    assert_eq!(store.verify(None).unwrap().findings, []);
}

#[test]
fn the_same_bytes_are_stored_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let (small, large) = (Block::raw(bytes(1, 100)), Block::raw(bytes(2, 300_000)));
    let both = || put(vec![small.clone(), large.clone()]);
    assert_eq!(store.submit(both()).wait().unwrap().new_blocks, 2);
    let synced = store.counters().blob_syncs;
    assert_eq!(store.submit(both()).wait().unwrap().new_blocks, 0);
    assert_eq!(
        store.counters().blob_syncs,
        synced,
        "a present large block is not written again"
    );
    assert_eq!(
        (
            store.stats().unwrap().blob_files,
            store.stats().unwrap().blocks
        ),
        (1, 2)
    );
    // Two at once: both write a file, one of them is taken back.
    let twin = Block::raw(bytes(3, 300_000));
    let release = hold_syncs(&store);
    let first = store.submit(put(vec![twin.clone()]));
    let second = store.submit(put(vec![twin.clone()]));
    drop(release);
    assert_eq!(
        first.wait().unwrap().new_blocks + second.wait().unwrap().new_blocks,
        1
    );
    store.close().unwrap();
    let store = open(directory.path());
    assert_eq!(store.stats().unwrap().blob_files, 2);
    assert_eq!(store.get(&twin.cid).unwrap(), twin.bytes);
    assert_eq!(store.verify(None).unwrap().findings, []);
}

#[test]
fn a_refused_commit_takes_its_files_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let large = Block::raw(bytes(2, 300_000));
    let mut refused = put(vec![large.clone()]);
    refused.moves = vec![set(&name("x"), Expect::Version(9), large.cid)];
    assert!(matches!(
        store.submit(refused).wait(),
        Err(StoreError::RefMoved { .. })
    ));
    assert_eq!(store.stats().unwrap().blob_files, 0);
}

#[test]
fn ranges_of_large_and_small_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let (small, large) = (Block::raw(bytes(1, 100)), Block::raw(bytes(2, 1_000_000)));
    store
        .submit(put(vec![small.clone(), large.clone()]))
        .wait()
        .unwrap();
    assert_eq!(
        store.range(&large.cid, 500_000, 100).unwrap(),
        &large.bytes[500_000..500_100]
    );
    assert_eq!(
        store.range(&large.cid, 999_990, 100).unwrap(),
        &large.bytes[999_990..]
    );
    assert_eq!(
        store.range(&small.cid, 90, 100).unwrap(),
        &small.bytes[90..]
    );
    assert!(store.range(&small.cid, 200, 1).unwrap().is_empty());
    let absent = store.range(&Cid::of_raw(b"absent"), 0, 1);
    assert!(matches!(absent, Err(StoreError::BlockNotFound(_))));
}

#[test]
fn prefixes_find_what_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut cids = Vec::new();
    for seed in 0..300u64 {
        let block = Block::raw(seed.to_le_bytes().to_vec());
        cids.push(block.cid);
        store.submit(relaxed(put(vec![block]))).wait().unwrap();
    }
    cids.sort();
    for cid in &cids {
        let prefix = CidPrefix::parse(&cid.to_string()[..13]).unwrap();
        let expected: Vec<Cid> = cids
            .iter()
            .filter(|other| prefix.matches(other))
            .copied()
            .collect();
        assert_eq!(store.prefix(&prefix, 10).unwrap(), expected);
        assert_eq!(
            store
                .prefix(&CidPrefix::parse(&cid.to_string()).unwrap(), 10)
                .unwrap(),
            [*cid]
        );
    }
}

#[test]
fn a_directory_with_other_files_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("thesis.txt"), "mine").unwrap();
    let refused = EmbeddedStore::open(directory.path(), &OpenOptions::default()).unwrap_err();
    assert!(
        matches!(&refused, StoreError::NotAStore { why, .. } if why.contains("thesis.txt")),
        "{refused}"
    );
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    let file = EmbeddedStore::open(directory.path().join("thesis.txt"), &OpenOptions::default());
    assert!(matches!(file, Err(StoreError::NotAStore { .. })));

    // Somebody else's database under our name.
    let other = tempfile::tempdir().unwrap();
    let foreign = rusqlite::Connection::open(other.path().join("store.db")).unwrap();
    foreign
        .execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES (1)")
        .unwrap();
    drop(foreign);
    let refused = EmbeddedStore::open(other.path(), &OpenOptions::default());
    assert!(matches!(refused, Err(StoreError::NotAStore { .. })));
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 1);
}

#[test]
fn what_must_not_be_made_is_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("absent");
    for options in [
        OpenOptions {
            create: false,
            ..OpenOptions::default()
        },
        OpenOptions {
            read_only: true,
            ..OpenOptions::default()
        },
    ] {
        assert!(matches!(
            EmbeddedStore::open(&path, &options),
            Err(StoreError::NotAStore { .. })
        ));
        assert!(matches!(
            EmbeddedStore::open(directory.path(), &options),
            Err(StoreError::NotAStore { .. })
        ));
    }
    assert!(!path.exists());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_store_made_half_way_is_made_again() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("lock"), "").unwrap();
    std::fs::write(directory.path().join("store.db.new"), "half a header").unwrap();
    let store = open(directory.path());
    fill(&store);
    assert!(!directory.path().join("store.db.new").exists());
}

#[test]
fn a_newer_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).close().unwrap();
    let conn = rusqlite::Connection::open(directory.path().join("store.db")).unwrap();
    conn.pragma_update(None, "user_version", 3).unwrap();
    conn.pragma_update(None, "wal_checkpoint", "TRUNCATE")
        .unwrap();
    drop(conn);
    let refused = EmbeddedStore::open(directory.path(), &OpenOptions::default()).unwrap_err();
    assert!(
        matches!(
            refused,
            StoreError::NewerFormat {
                found: 3,
                supported: 2,
                ..
            }
        ),
        "{refused}"
    );
}

#[test]
fn reading_only_refuses_writes() {
    let directory = tempfile::tempdir().unwrap();
    let writer = open(directory.path());
    let filled = fill(&writer);
    let reader = EmbeddedStore::open(
        directory.path(),
        &OpenOptions {
            read_only: true,
            ..OpenOptions::default()
        },
    )
    .unwrap();
    assert!(!reader.may_write());
    assert_eq!(reader.get(&filled.large.cid).unwrap(), filled.large.bytes);
    assert!(matches!(
        reader.submit(put(vec![])).wait(),
        Err(StoreError::ReadOnly)
    ));
    assert!(matches!(
        reader.lease_acquire(&name("x"), ""),
        Err(StoreError::ReadOnly)
    ));
    // It sees what the writer does meanwhile.
    let later = Block::raw(bytes(9, 50));
    writer.submit(put(vec![later.clone()])).wait().unwrap();
    assert_eq!(reader.get(&later.cid).unwrap(), later.bytes);
    writer.close().unwrap();
    assert_eq!(reader.get(&later.cid).unwrap(), later.bytes);
    assert_eq!(reader.verify(None).unwrap().findings, []);
}

#[test]
fn handles_of_one_directory_share_a_core() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (open(directory.path()), open(directory.path()));
    let block = Block::raw(bytes(1, 100));
    one.submit(put(vec![block.clone()])).wait().unwrap();
    assert_eq!(two.counters().blocks_written, 1, "one core, one count");
    one.close().unwrap();
    one.close().unwrap();
    assert!(matches!(one.get(&block.cid), Err(StoreError::Closed)));
    assert_eq!(two.get(&block.cid).unwrap(), block.bytes);
    two.submit(put(vec![Block::raw(bytes(2, 100))]))
        .wait()
        .unwrap();
}

#[test]
fn closing_answers_what_is_queued() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let tickets: Vec<_> = (0..200)
        .map(|seed| store.submit(put(vec![Block::raw(bytes(seed, 100))])))
        .collect();
    store.close().unwrap();
    for ticket in tickets {
        assert!(ticket.poll().unwrap().is_ok());
    }
    assert_eq!(open(directory.path()).stats().unwrap().blocks, 200);
}

#[test]
fn the_last_handle_may_be_dropped_by_a_callback() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let (done, is_done) = std::sync::mpsc::channel();
    let ticket = store.submit(put(vec![Block::raw(bytes(1, 100))]));
    ticket.on_answer(move || {
        drop(store);
        done.send(()).unwrap();
    });
    is_done.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(open(directory.path()).stats().unwrap().blocks, 1);
}

#[test]
fn watchers_wake_on_a_commit_and_on_close() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| store.watch(0, Duration::from_secs(30)));
        std::thread::sleep(Duration::from_millis(50));
        store
            .submit(put(vec![Block::raw(bytes(1, 100))]))
            .wait()
            .unwrap();
        assert_eq!(watching.join().unwrap().unwrap(), 1);
        let started = Instant::now();
        let watching = scope.spawn(|| store.watch(1, Duration::from_secs(30)));
        std::thread::sleep(Duration::from_millis(50));
        store.close().unwrap();
        assert!(matches!(watching.join().unwrap(), Err(StoreError::Closed)));
        assert!(started.elapsed() < Duration::from_secs(4));
    });
}

#[test]
fn the_lock_of_another_is_waited_for_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        lock_wait: Duration::from_millis(150),
        ..OpenOptions::default()
    };
    let store = EmbeddedStore::open(directory.path(), &options).unwrap();
    let other = std::fs::File::options()
        .read(true)
        .write(true)
        .open(directory.path().join("lock"))
        .unwrap();
    other.lock().unwrap();
    let block = Block::raw(bytes(1, 100));
    let started = Instant::now();
    let refused = store.submit(put(vec![block.clone()])).wait();
    assert!(
        matches!(&refused, Err(StoreError::LockTimeout { waited_ms, .. }) if *waited_ms >= 150),
        "{refused:?}"
    );
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(!store.has(&block.cid).unwrap());
    // Once it is free, what waits goes on; what timed out stays out.
    let waiting = store.submit(put(vec![Block::raw(bytes(2, 100))]));
    other.unlock().unwrap();
    waiting.wait().unwrap();
    assert!(!store.has(&block.cid).unwrap());
    // And the lock is given back when nobody wants it any more.
    store.close().unwrap();
    other.try_lock().unwrap();
}

#[test]
fn time_never_goes_back_in_the_journal() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Clock::manual(5_000);
    let options = OpenOptions {
        clock: clock.clone(),
        ..OpenOptions::default()
    };
    let store = EmbeddedStore::open(directory.path(), &options).unwrap();
    store
        .submit(put(vec![Block::raw(bytes(1, 10))]))
        .wait()
        .unwrap();
    clock.set(1_000);
    assert_eq!(
        store
            .submit(put(vec![Block::raw(bytes(2, 10))]))
            .wait()
            .unwrap()
            .at_ms,
        5_000
    );
    assert_eq!(store.now_ms(), 1_000);
}

#[test]
fn a_long_log_is_moved_into_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for round in 0..10u64 {
        let blocks = (0..40)
            .map(|seed| Block::raw(bytes(round * 100 + seed, 150_000)))
            .collect();
        store
            .submit(relaxed(Commit { blocks, ..commit() }))
            .wait()
            .unwrap();
    }
    store
        .submit(put(vec![Block::raw(bytes(1, 10))]))
        .wait()
        .unwrap();
    // It comes after the answer.
    let started = Instant::now();
    while store.counters().checkpoint_syncs < 2 {
        assert!(started.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(5));
    }
    let moved = store.counters();
    // The next commit starts the log anew: a header with an fsync of its own, then the commit's.
    store
        .submit(put(vec![Block::raw(bytes(2, 10))]))
        .wait()
        .unwrap();
    let after = store.counters();
    assert_eq!(after.header_syncs, moved.header_syncs + 1);
    assert_eq!(after.commit_syncs, moved.commit_syncs + 1);
    assert_eq!(after.checkpoint_syncs, moved.checkpoint_syncs);
    assert_eq!(store.verify(None).unwrap().findings, []);
}
