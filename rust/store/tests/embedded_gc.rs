//! Collecting a store in a directory: damage stops it, a stop anywhere harms nothing, files go with rows.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use embedded::{bytes, commit, name, node, open, put, relaxed, set};
use rusqlite::Connection;
use treering_block::{Block, Cid};
use treering_store::gc::Phase;
use treering_store::{
    Check, Commit, EmbeddedStore, Expect, GcOptions, OpenOptions, Store, StoreError, reachable,
};

const REAL: GcOptions = GcOptions { dry_run: false };
const DRY: GcOptions = GcOptions { dry_run: true };

/// A ref over two blocks and a large one, and three blocks and a large one that nothing reaches.
struct Filled {
    top: Block,
    orphans: Vec<Block>,
}

fn bare(blocks: &[Block]) -> Commit {
    Commit {
        blocks: blocks.to_vec(),
        ..commit()
    }
}

fn fill(store: &dyn Store) -> Filled {
    let leaf = Block::raw(bytes(1, 5000));
    let large = Block::raw(bytes(2, 300_000));
    let top = node("top", &[leaf.cid, large.cid]);
    let mut kept = bare(&[leaf, large, top.clone()]);
    kept.moves = vec![set(&name("kept"), Expect::Absent, top.cid)];
    store.submit(kept).wait().unwrap();
    let leaf = Block::raw(bytes(3, 5000));
    let large = Block::raw(bytes(4, 300_000));
    let middle = node("middle", &[leaf.cid, large.cid]);
    let orphan = node("orphan", &[middle.cid]);
    let orphans = vec![leaf, large, middle, orphan];
    store.submit(bare(&orphans)).wait().unwrap();
    Filled { top, orphans }
}

fn assert_sound(store: &dyn Store) {
    assert_eq!(store.verify(None).unwrap().findings, []);
}

fn assert_whole(store: &dyn Store, root: &Block) {
    assert_eq!(reachable(store, &[root.cid]).unwrap().missing, []);
}

/// Names below `blobs/`, without trees.
fn blob_files(path: &Path) -> usize {
    std::fs::read_dir(path.join("blobs"))
        .unwrap()
        .flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap())
        .filter(|file| {
            let name = file.as_ref().unwrap().file_name();
            !name.to_string_lossy().ends_with(".obao")
        })
        .count()
}

/// What a killed process leaves: the files as they are at this moment.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if !entry.file_name().to_string_lossy().ends_with("-shm") {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_store_that_is_killed_between_any_two_steps_is_whole_and_is_collected_later() {
    for steps in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let killed = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        let filled = fill(&store);
        let mut collection = store.collection(&REAL).unwrap();
        for _ in 0..steps {
            collection.step().unwrap();
        }
        let phase = collection.phase();
        let before = collection.report();
        copy(directory.path(), killed.path());
        drop(collection);

        let store = open(killed.path());
        assert_sound(&store);
        assert_whole(&store, &filled.top);
        let cids: Vec<Cid> = filled.orphans.iter().map(|block| block.cid).collect();
        let buried = matches!(phase, Phase::Purge(_) | Phase::Shrink | Phase::Done);
        assert_eq!(store.has_many(&cids).unwrap(), [!buried; 4], "at {phase:?}");
        if buried {
            // Put again while old rows of the same digests may still lie there.
            store.submit(put(filled.orphans.clone())).wait().unwrap();
        }
        let report = store.gc(&REAL).unwrap();
        let bytes: u64 = filled
            .orphans
            .iter()
            .map(|block| block.bytes.len() as u64)
            .sum();
        assert_eq!(before.deleted + report.deleted, 4, "at {phase:?}");
        assert_eq!(before.freed_bytes + report.freed_bytes, bytes);
        assert_eq!(store.has_many(&cids).unwrap(), [buried; 4]);
        assert_eq!(blob_files(killed.path()), if buried { 2 } else { 1 });
        assert_sound(&store);
        assert_whole(&store, &filled.top);
        store.close().unwrap();
        assert_sound(&open(killed.path()));
        if phase == Phase::Done {
            return;
        }
    }
}

#[track_caller]
fn aborts(plant: &str, named: &str) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    fill(&store);
    // Something that would go first of all, if anything went.
    let ended = Block::raw(bytes(9, 100));
    store.submit(put(vec![ended.clone()])).wait().unwrap();
    store.extend_hold("main", &ended.cid, i64::MAX).unwrap();
    store.close().unwrap();
    let conn = Connection::open(directory.path().join("store.db")).unwrap();
    assert_eq!(conn.execute(plant, []).unwrap(), 1, "{plant}");
    let counts = |conn: &Connection| -> Vec<i64> {
        ["block", "graph", "dead", "hold", "ref", "manifest"]
            .map(|table| {
                conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
                    row.get(0)
                })
                .unwrap()
            })
            .to_vec()
    };
    let before = counts(&conn);
    drop(conn);
    let store = open(directory.path());
    for options in [DRY, REAL] {
        match store.gc(&options) {
            Err(StoreError::Corrupt {
                what,
                which,
                detail,
            }) => {
                let text = format!("{what} {which}: {detail}");
                assert!(text.contains(named), "{text} does not name {named}");
            }
            other => panic!("{plant}: {other:?}"),
        }
    }
    store.close().unwrap();
    let conn = Connection::open(directory.path().join("store.db")).unwrap();
    assert_eq!(counts(&conn), before, "{plant}: nothing was deleted");
    assert_eq!(blob_files(directory.path()), 2);
}

/// Ordinals: 1 leaf, 2 large, 3 top (kept); 4 leaf, 5 large, 6 middle, 7 orphan; 8 held.
#[test]
fn anything_broken_stops_a_collection_before_its_first_change() {
    aborts("UPDATE ref SET record = x'00'", "ref row main/thread/kept");
    aborts("UPDATE ref SET target = x'00'", "ref row main/thread/kept");
    aborts(
        "UPDATE graph SET links = x'' WHERE ordinal = 3",
        "graph row 3",
    );
    aborts(
        "UPDATE graph SET chk = x'00' WHERE ordinal = 6",
        "graph row 6",
    );
    aborts("DELETE FROM graph WHERE ordinal = 1", "graph row 1");
    aborts("DELETE FROM block WHERE ordinal = 3", "main/thread/kept");
    aborts("DELETE FROM block WHERE ordinal = 4", "block row 4");
    aborts("UPDATE block SET size = 1 WHERE ordinal = 6", "block row 6");
    aborts("UPDATE hold SET ordinal = -8", "hold row -8 of scope main");
    aborts(
        "UPDATE hold SET expires_at_ms = 0",
        "hold row 8 of scope main",
    );
    aborts(
        "INSERT INTO dead VALUES (0, zeroblob(256), zeroblob(16))",
        "dead row 0",
    );
    aborts(
        "INSERT INTO manifest VALUES ('gc_generation', zeroblob(8), zeroblob(16))",
        "manifest row gc_generation",
    );
}

/// A page that was written and lost leaves rows that are whole, and older; so does one that was cut off.
#[test]
fn refs_that_are_gone_or_older_stop_a_collection() {
    for lost in ["the row", "its last change"] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        let filled = fill(&store);
        store.close().unwrap();
        let conn = Connection::open(directory.path().join("store.db")).unwrap();
        conn.execute_batch("CREATE TEMP TABLE before AS SELECT * FROM ref")
            .unwrap();
        let store = open(directory.path());
        let newer = node("newer", &[filled.top.cid]);
        let mut on = bare(std::slice::from_ref(&newer));
        on.moves = vec![set(&name("kept"), Expect::Version(1), newer.cid)];
        store.submit(on).wait().unwrap();
        store.close().unwrap();
        conn.execute("DELETE FROM ref", []).unwrap();
        if lost == "its last change" {
            conn.execute("INSERT INTO ref SELECT * FROM before", [])
                .unwrap();
        }
        drop(conn);
        let store = open(directory.path());
        for options in [DRY, REAL] {
            let answer = store.gc(&options);
            assert!(
                matches!(answer, Err(StoreError::Corrupt { what: "table", .. })),
                "{lost}: {answer:?}"
            );
        }
        assert!(!store.verify(None).unwrap().findings.is_empty());
        // The journal knows better, and nothing of what it names is gone.
        assert_eq!(store.repair().unwrap().left.findings, []);
        store.gc(&REAL).unwrap();
        assert_whole(&store, &newer);
        assert_sound(&store);
    }
}

#[test]
fn verify_names_a_broken_page_of_the_dead_and_no_read_goes_past_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let filled = fill(&store);
    store.gc(&REAL).unwrap();
    store.close().unwrap();
    let conn = Connection::open(directory.path().join("store.db")).unwrap();
    conn.execute("UPDATE dead SET bits = zeroblob(256)", [])
        .unwrap();
    drop(conn);
    let store = open(directory.path());
    let found = store.verify(None).unwrap().findings;
    assert!(
        found
            .iter()
            .any(|finding| finding.check == Check::BlockRow && finding.which == "dead row 0"),
        "{found:#?}"
    );
    assert!(matches!(
        store.get(&filled.top.cid),
        Err(StoreError::Corrupt { .. })
    ));
    assert!(store.gc(&REAL).is_err());
}

/// What a crash leaves beside the rows goes a day later; nothing else does.
#[test]
fn files_without_a_row_go_when_they_are_old() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let filled = fill(&store);
    let folder = directory.path().join("blobs/ab");
    std::fs::create_dir_all(&folder).unwrap();
    let hex = "ab".repeat(32);
    let young = ulid::Ulid::generate();
    let old = ulid::Ulid::from_parts(1_000_000, 7);
    let stray = |name: String| folder.join(name);
    let goes = [
        stray(format!("{hex}-{old}")),
        stray(format!("{hex}-{old}.obao")),
    ];
    let stays = [
        stray(format!("{hex}-{young}")),
        stray(format!("{hex}-{young}.obao")),
        stray("notes.txt".into()),
        stray(format!("{}-{old}", "cd".repeat(32))),
    ];
    for path in goes.iter().chain(&stays) {
        std::fs::write(path, "x").unwrap();
    }
    store.gc(&DRY).unwrap();
    assert!(goes.iter().all(|path| path.exists()));
    store.gc(&REAL).unwrap();
    assert!(!goes.iter().any(|path| path.exists()));
    assert!(stays.iter().all(|path| path.exists()));
    assert_whole(&store, &filled.top);
}

/// A file goes with its row while others erase, vacuum or collect; not while the files of a snapshot are copied.
#[test]
fn files_go_with_their_rows_whoever_else_removes_files() {
    for (exclusive, left) in [(true, 0), (false, 1)] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        fill(&store);
        let lock = directory.path().join("blobs.lock");
        let mut how = std::fs::File::options();
        let other = how.write(true).create(true).truncate(false).open(lock);
        let other = other.unwrap();
        if exclusive {
            other.lock().unwrap();
        } else {
            other.lock_shared().unwrap();
        }
        assert_eq!(store.gc(&REAL).unwrap().deleted, 4);
        drop(other);
        assert_eq!(blob_files(directory.path()), 1 + left, "{exclusive}");
        assert_eq!(store.vacuum().unwrap().files_left, left as u64);
    }
}

/// A live row beside a dead one of the same digest keeps its own file.
#[test]
fn a_duplicate_digest_keeps_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let filled = fill(&store);
    let large = &filled.orphans[1];
    let mut collection = store.collection(&REAL).unwrap();
    while !matches!(collection.phase(), Phase::Purge(_)) {
        collection.step().unwrap();
    }
    let mut again = put(vec![large.clone()]);
    again.moves = vec![set(&name("large"), Expect::Absent, large.cid)];
    store.submit(again).wait().unwrap();
    assert_eq!(blob_files(directory.path()), 3, "each row has its own");
    let report = collection.run().unwrap();
    assert_eq!(report.deleted, 4);
    assert_eq!(blob_files(directory.path()), 2);
    assert_eq!(store.get(&large.cid).unwrap(), large.bytes);
    assert_sound(&store);
}

/// The caller of a commit finds its large block present and writes no file; before the commit's turn comes
/// a collection takes the block away.
#[test]
fn a_presence_hint_that_a_collection_made_false_is_made_good_under_the_lock() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(directory.path()));
    let filled = fill(&*store);
    let large = filled.orphans[1].clone();
    let mut collection = store.collection(&REAL).unwrap();
    while collection.phase() != Phase::Bury {
        collection.step().unwrap();
    }
    // The round before the lock; the next step is the one under it.
    collection.step().unwrap();
    assert_eq!(collection.phase(), Phase::Bury);
    // A commit is held in its fsync; the collection queues behind it, then the put.
    let release = embedded::hold_syncs(&store);
    let first = store.submit(bare(&[Block::raw(bytes(77, 10))]));
    let late = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| collection.step());
        std::thread::sleep(Duration::from_millis(200));
        let late = store.submit(put(vec![large.clone()]));
        drop(release);
        first.wait().unwrap();
        waiting.join().unwrap().unwrap();
        late
    });
    let answer = late.wait().unwrap();
    assert_eq!(answer.new_blocks, 1, "it was judged after the burial");
    collection.run().unwrap();
    assert_eq!(store.get(&large.cid).unwrap(), large.bytes);
    assert_eq!(blob_files(directory.path()), 2, "it has a file of its own");
    assert_sound(&*store);
}

/// A store of before: without the table, opened for reading and for writing, collected, read on.
#[test]
fn a_store_without_the_table_of_the_dead_opens_and_is_collected() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let filled = fill(&store);
    store.close().unwrap();
    let conn = Connection::open(directory.path().join("store.db")).unwrap();
    conn.execute_batch("DROP TABLE dead").unwrap();
    drop(conn);
    let reading = OpenOptions {
        read_only: true,
        ..OpenOptions::default()
    };
    let reader = EmbeddedStore::open(directory.path(), &reading).unwrap();
    assert_sound(&reader);
    let orphan = filled.orphans[0].cid;
    assert!(reader.has(&orphan).unwrap());
    assert_eq!(reader.gc(&DRY).unwrap().dead, 4, "a dry run reads only");
    assert!(matches!(reader.gc(&REAL), Err(StoreError::ReadOnly)));
    let store = open(directory.path());
    assert!(store.has(&orphan).unwrap());
    let mut collection = store.collection(&REAL).unwrap();
    while !matches!(collection.phase(), Phase::Purge(_)) {
        collection.step().unwrap();
    }
    for store in [&reader, &store] {
        assert!(!store.has(&orphan).unwrap(), "both see the table now");
        assert_sound(store);
    }
    assert_eq!(collection.run().unwrap().deleted, 4);
    assert_sound(&reader);
}

/// Readers and a verify meet rows whose files go under them: absent, never damaged.
#[test]
fn readers_and_verify_beside_collections_see_blocks_or_none() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let filled = fill(&store);
    let large = filled.orphans[1].clone();
    let (stop, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(SeqCst) {
                match store.get(&large.cid) {
                    Ok(bytes) => assert_eq!(bytes, large.bytes),
                    Err(StoreError::BlockNotFound(_)) => {}
                    Err(other) => panic!("{other}"),
                }
                reads.fetch_add(1, SeqCst);
            }
        });
        scope.spawn(|| {
            while !stop.load(SeqCst) {
                assert_sound(&store);
            }
        });
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(1500) {
            store
                .submit(relaxed(bare(std::slice::from_ref(&large))))
                .wait()
                .unwrap();
            store.gc(&REAL).unwrap();
        }
        stop.store(true, SeqCst);
    });
    assert!(reads.load(SeqCst) > 10);
    assert_whole(&store, &filled.top);
}

/// Two handles on one directory, as two processes have them, writing while a third collects.
#[test]
fn writers_lose_nothing_beside_collections() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let stop = AtomicBool::new(false);
    let mut tops = Vec::new();
    std::thread::scope(|scope| {
        let collector = scope.spawn(|| {
            let mut deleted = 0;
            while !stop.load(SeqCst) {
                deleted += store.gc(&REAL).unwrap().deleted;
            }
            deleted
        });
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let store = &store;
                scope.spawn(move || {
                    let mut below: Option<Cid> = None;
                    let thread = name(&format!("writer {writer}"));
                    for step in 0..150u64 {
                        let text = Block::raw(bytes(writer * 1000 + step, 300));
                        // Held first and linked in a later commit, as a caller does it.
                        store
                            .submit(relaxed(put(vec![text.clone()])))
                            .wait()
                            .unwrap();
                        let links: Vec<Cid> = below.into_iter().chain([text.cid]).collect();
                        let next = node(&format!("{writer}/{step}"), &links);
                        let mut commit = bare(&[next.clone(), Block::raw(bytes(step, 200))]);
                        commit.moves = vec![set(&thread, Expect::Any, next.cid)];
                        store.submit(relaxed(commit)).wait().unwrap();
                        store.release_hold("main", &text.cid).unwrap();
                        below = Some(next.cid);
                    }
                    below.unwrap()
                })
            })
            .collect();
        for writer in writers {
            tops.push(writer.join().unwrap());
        }
        stop.store(true, SeqCst);
        assert!(
            collector.join().unwrap() > 0,
            "something was collected meanwhile"
        );
    });
    assert_sound(&store);
    let reached = reachable(&store, &tops).unwrap();
    assert_eq!(
        (reached.missing.len(), reached.blocks.len()),
        (0, 3 * 150 * 2)
    );
    store.gc(&REAL).unwrap();
    assert_eq!(store.stats().unwrap().blocks, 900);
}
