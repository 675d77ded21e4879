//! Repair: each class of damage, planted; gc refuses it, repair takes it back to the last byte.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;

use std::fmt::Write;
use std::path::Path;

use embedded::{Filled, bytes, commit, fill, name, open, put, set};
use rusqlite::Connection;
use rusqlite::types::Value;
use treering_block::Block;
use treering_store::{
    Check, Commit, EmbeddedStore, Expect, GcOptions, JournalCommand, OpenOptions, RepairReport,
    Store, StoreError,
};

const TABLES: [&str; 9] = [
    "manifest", "block", "graph", "ref", "journal", "receipt", "hold", "lease", "dead",
];

/// Every row of every table, byte for byte. Of a store that nobody has open.
fn dump(path: &Path) -> String {
    let conn = Connection::open(path.join("store.db")).unwrap();
    let mut out = String::new();
    for table in TABLES {
        // What the last collection noted is no part of what it may not change.
        let rest = if table == "manifest" {
            "WHERE key <> CAST('gc' AS TEXT)"
        } else {
            ""
        };
        let mut statement = conn
            .prepare(&format!(
                "SELECT * FROM {table} NOT INDEXED {rest} ORDER BY 1, 2"
            ))
            .unwrap();
        let width = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let cells: Vec<Value> = (0..width)
                .map(|column| match row.get_ref(column).unwrap() {
                    rusqlite::types::ValueRef::Text(text) => Value::Blob(text.to_vec()),
                    other => other.try_into().unwrap(),
                })
                .collect();
            writeln!(out, "{table} {cells:?}").unwrap();
        }
    }
    out
}

fn change(path: &Path, sql: &str) {
    let conn = Connection::open(path.join("store.db")).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    assert_eq!(conn.execute(sql, []).unwrap(), 1, "{sql}");
}

/// The blob column with its n-th byte changed.
fn flip(table: &str, column: &str, at: usize, row: &str) -> String {
    let (before, after) = (at - 1, at + 1);
    format!(
        "UPDATE {table} SET {column} = CAST(substr({column}, 1, {before}) || \
         CASE WHEN substr({column}, {at}, 1) = x'00' THEN x'01' ELSE x'00' END || substr({column}, {after}) AS BLOB) \
         WHERE {row}"
    )
}

/// What a collection makes of a fault.
#[derive(Clone, Copy, PartialEq)]
enum Gc {
    /// It ends before it changes anything, with an error of this kind that names this row.
    Aborts(&'static str, &'static str),
    /// It does not read what is broken.
    Runs,
}

/// A filled store, closed, and everything that is in it.
fn filled() -> (tempfile::TempDir, Filled, String) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let filled = fill(&store);
    store.close().unwrap();
    drop(store);
    let before = dump(directory.path());
    (directory, filled, before)
}

fn repaired(path: &Path) -> RepairReport {
    let store = open(path);
    let report = store.repair().unwrap();
    store.close().unwrap();
    report
}

/// Plants a fault and asserts: gc does as told and changes nothing, verify finds it, repair takes it back
/// to the last byte, then gc runs and the store takes commits.
fn assert_mended(plant: &str, gc: Gc, check: Check) {
    let (directory, filled, before) = filled();
    let path = directory.path();
    change(path, plant);
    let planted = dump(path);
    assert_ne!(planted, before, "{plant}");
    let store = open(path);
    let collected = store.gc(&GcOptions::default());
    match (gc, collected) {
        (
            Gc::Aborts(what, which),
            Err(StoreError::Corrupt {
                what: told,
                which: row,
                ..
            }),
        ) => {
            assert_eq!(told, what, "{plant}");
            assert!(row.contains(which), "{plant}: {row}");
        }
        (Gc::Runs, Ok(report)) => assert_eq!((report.dead, report.deleted), (0, 0)),
        (_, other) => panic!("{plant}: gc answered {other:?}"),
    }
    store.close().unwrap();
    drop(store);
    assert_eq!(dump(path), planted, "{plant}: gc changed something");

    let report = repaired(path);
    assert_eq!(report.left.findings, [], "{plant}: {:#?}", report.repairs);
    assert!(
        report.repairs.iter().any(|repair| repair.check == check),
        "{plant}: {:#?}",
        report.repairs
    );
    assert_eq!(dump(path), before, "{plant}: {:#?}", report.repairs);

    let store = open(path);
    store.gc(&GcOptions::default()).unwrap();
    let mut on = commit();
    on.moves = vec![set(&name("one"), Expect::Version(2), filled.parent.cid)];
    assert_eq!(store.submit(on).wait().unwrap().versions, [3], "{plant}");
    assert_eq!(store.verify(None).unwrap().findings, [], "{plant}");
}

const CHILD: &str = "ordinal = (SELECT max(ordinal) FROM block)";

#[test]
fn rows_of_blocks() {
    for (plant, gc) in [
        // gc reads rows of garbage and of targets only.
        (flip("block", "digest", 20, "ordinal = 1"), Gc::Runs),
        (flip("block", "chk", 3, "ordinal = 1"), Gc::Runs),
        (
            "UPDATE block SET size = size + 1 WHERE ordinal = 1".into(),
            Gc::Runs,
        ),
        (
            "UPDATE block SET codec = 0x71 WHERE ordinal = 1".into(),
            Gc::Runs,
        ),
        (
            "UPDATE block SET key8 = key8 + 1 WHERE ordinal = 1".into(),
            Gc::Runs,
        ),
        (
            "UPDATE block SET file = 'ab/cd' WHERE ordinal = 1".into(),
            Gc::Runs,
        ),
        (
            flip("block", "digest", 20, CHILD),
            Gc::Aborts("block row", "4"),
        ),
        (
            flip("block", "chk", 16, CHILD),
            Gc::Aborts("block row", "4"),
        ),
        // The large block, whose bytes are a file.
        (flip("block", "chk", 1, "ordinal = 3"), Gc::Runs),
        (flip("block", "digest", 1, "ordinal = 3"), Gc::Runs),
        (
            "UPDATE block SET file = 'ab/cd' WHERE ordinal = 3".into(),
            Gc::Runs,
        ),
        (
            "UPDATE block SET chk = zeroblob(16) WHERE ordinal = 2".into(),
            Gc::Runs,
        ),
    ] {
        assert_mended(&plant, gc, Check::BlockRow);
    }
}

#[test]
fn bytes_of_blocks() {
    assert_mended(
        &flip("block", "payload", 500, "ordinal = 1"),
        Gc::Runs,
        Check::BlockBytes,
    );
}

#[test]
fn rows_of_the_graph() {
    for (plant, gc) in [
        (flip("graph", "links", 1, CHILD), Gc::Aborts("graph row", "4")),
        (flip("graph", "chk", 1, CHILD), Gc::Aborts("graph row", "4")),
        (
            format!("DELETE FROM graph WHERE {CHILD}"),
            Gc::Aborts("graph row", "4"),
        ),
        (
            "DELETE FROM graph WHERE ordinal = 1".into(),
            Gc::Aborts("graph row", "1"),
        ),
        (
            "UPDATE graph SET links = (SELECT links FROM graph WHERE ordinal = 2) WHERE ordinal = 4"
                .into(),
            Gc::Aborts("graph row", "4"),
        ),
    ] {
        assert_mended(&plant, gc, Check::Links);
    }
}

#[test]
fn rows_of_refs() {
    let aborts = Gc::Aborts("ref row", "main/thread/one");
    for plant in [
        flip("ref", "target", 20, "true"),
        flip("ref", "record", 2, "true"),
        flip("ref", "chk", 2, "true"),
        "UPDATE ref SET version = version + 1".into(),
        "UPDATE ref SET position = position - 1".into(),
        "UPDATE ref SET target = x'00', record = x'', chk = zeroblob(16), version = 99".into(),
    ] {
        assert_mended(&plant, aborts, Check::Ref);
    }
    // The name itself, and one that is no text any more.
    assert_mended(
        "UPDATE ref SET name = 'main/thread/onf'",
        Gc::Aborts("ref row", "main/thread/onf"),
        Check::RefHistory,
    );
    assert_mended(
        "UPDATE ref SET name = CAST(x'6d61696e2f7468726561642f6fee65' AS TEXT)",
        Gc::Aborts("ref row", r"main/thread/o\xeee"),
        Check::RefHistory,
    );
    // One that is gone without a trace: the rest don't add up.
    let sum = Gc::Aborts("table", "ref");
    assert_mended("DELETE FROM ref", sum, Check::RefHistory);
}

#[test]
fn the_journal() {
    // Each collection reads the newest commit and the chain that it rests on.
    let aborts = Gc::Aborts("journal row", "2");
    for (plant, gc) in [
        (flip("journal", "body", 10, "position = 1"), Gc::Runs),
        (flip("journal", "digest", 10, "position = 1"), Gc::Runs),
        (flip("journal", "chain", 10, "position = 1"), aborts),
        (
            "UPDATE journal SET at_ms = at_ms + 1 WHERE position = 1".into(),
            Gc::Runs,
        ),
        (flip("journal", "body", 10, "position = 2"), Gc::Runs),
        (flip("journal", "digest", 10, "position = 2"), aborts),
        (flip("journal", "chain", 10, "position = 2"), aborts),
        (
            "UPDATE journal SET at_ms = at_ms + 1 WHERE position = 2".into(),
            aborts,
        ),
    ] {
        assert_mended(&plant, gc, Check::Journal);
    }
}

#[test]
fn receipts_holds_and_leases() {
    for plant in [
        flip("receipt", "payload", 4, "true"),
        flip("receipt", "receipt", 1, "true"),
        flip("receipt", "chk", 1, "true"),
        flip("receipt", "key", 9, "true"),
        "UPDATE receipt SET scope = 'other'".into(),
        "DELETE FROM receipt".into(),
    ] {
        assert_mended(&plant, Gc::Runs, Check::Receipt);
    }
    let holds = Gc::Aborts("hold row", "1 of scope main");
    for plant in [
        flip("hold", "chk", 5, "ordinal = 1"),
        "UPDATE hold SET expires_at_ms = expires_at_ms + 256 * 77 - (expires_at_ms / 256 % 256) * 256 WHERE ordinal = 1".into(),
    ] {
        assert_mended(&plant, holds, Check::Hold);
    }
    for plant in [
        flip("lease", "chk", 5, "true"),
        "UPDATE lease SET token = 9".into(),
        "UPDATE lease SET held = 0".into(),
    ] {
        assert_mended(&plant, Gc::Runs, Check::Lease);
    }
}

#[test]
fn a_receipt_that_was_brought_along_comes_back_and_goes_with_backups() {
    let home = tempfile::tempdir().unwrap();
    let (path, backup) = (home.path().join("store"), home.path().join("backup"));
    let store = open(&path);
    let back_up = |store: &EmbeddedStore| {
        let options = treering_store::BackupOptions::default();
        store.backup(&backup, &options, &treering_store::Progress::default())
    };
    back_up(&store).unwrap();
    let brought = JournalCommand {
        key: [7; 32],
        payload: [8; 32],
        receipt: b"answered elsewhere".to_vec(),
    };
    let bring = Commit {
        receipts: vec![brought],
        ..commit()
    };
    assert_eq!(store.submit(bring).wait().unwrap().new_receipts, 1);
    // Into the backup of before: it is sound with it.
    assert_eq!(back_up(&store).unwrap().commits, 1);
    store.close().unwrap();
    let before = dump(&path);
    change(&path, &flip("receipt", "receipt", 3, "true"));
    let report = repaired(&path);
    assert_eq!(report.left.findings, []);
    assert_eq!(dump(&path), before);
}

#[test]
fn what_is_housekeeping_becomes_what_does_no_harm() {
    // A hold whose end nobody knows holds for a day.
    let (directory, filled, _) = filled();
    change(
        directory.path(),
        "UPDATE hold SET expires_at_ms = 0, chk = zeroblob(16) WHERE ordinal = 1",
    );
    let report = repaired(directory.path());
    assert_eq!(report.left.findings, []);
    let store = open(directory.path());
    let held = store.holds("main", 0, 10).unwrap();
    assert_eq!(held.len(), 3);
    assert_eq!(held[0].cid, filled.leaf.cid);
    assert!(held[0].expires_at_ms > store.now_ms() + 23 * 3_600_000);
    store.close().unwrap();
    drop(store);

    // A lease of which nothing is known was nobody's; its next one is newer than any before.
    change(
        directory.path(),
        "UPDATE lease SET token = 3, owner = 'x', chk = zeroblob(16)",
    );
    assert_eq!(repaired(directory.path()).left.findings, []);
    let store = open(directory.path());
    let state = store.lease_state(&name("one")).unwrap().unwrap();
    assert!(!state.held && state.token > 1_000_000_000_000);
    assert!(store.lease_acquire(&name("one"), "next").unwrap().token > state.token);
}

#[test]
fn a_hold_on_what_is_gone_holds_nothing() {
    let (directory, _, _) = filled();
    change(directory.path(), "DELETE FROM block WHERE ordinal = 3");
    change(directory.path(), "DELETE FROM graph WHERE ordinal = 3");
    for entry in std::fs::read_dir(directory.path().join("blobs")).unwrap() {
        std::fs::remove_dir_all(entry.unwrap().path()).unwrap();
    }
    let refused = open(directory.path()).gc(&GcOptions::default());
    assert!(
        matches!(&refused, Err(StoreError::Corrupt { what: "graph row", which, .. }) if which == "3"),
        "{refused:?}"
    );
    let report = repaired(directory.path());
    assert_eq!(report.left.findings, [], "{:#?}", report.repairs);
    let store = open(directory.path());
    assert_eq!(store.holds("main", 0, 10).unwrap().len(), 2);
    store.gc(&GcOptions::default()).unwrap();
}

#[test]
fn totals_are_counted() {
    let (directory, _, before) = filled();
    let path = directory.path();
    // A row that is sound and wrong: written as the store writes it, with other numbers.
    let conn = Connection::open(path.join("store.db")).unwrap();
    let value: Vec<u8> = conn
        .query_row(
            "SELECT value FROM manifest WHERE key = 'totals'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let mut wrong = value;
    wrong[8] += 3;
    let mut hasher = blake3::Hasher::new_derive_key("treering v1 row manifest");
    for part in [b"totals".as_slice(), &wrong] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut check = [0; 16];
    hasher.finalize_xof().fill(&mut check);
    conn.execute(
        "UPDATE manifest SET value = ?1, chk = ?2 WHERE key = 'totals'",
        rusqlite::params![wrong, check],
    )
    .unwrap();
    drop(conn);
    let report = repaired(path);
    assert_eq!(report.repairs.len(), 1);
    assert_eq!(report.repairs[0].check, Check::Manifest);
    assert_eq!(report.left.findings, []);
    assert_eq!(dump(path), before);
}

#[test]
fn a_store_that_does_not_open_is_opened_to_be_mended() {
    for plant in [
        flip("manifest", "value", 9, "key = 'totals'"),
        "UPDATE manifest SET value = zeroblob(40), chk = zeroblob(16) WHERE key = 'totals'".into(),
        "DELETE FROM manifest WHERE key = 'totals'".into(),
        flip("manifest", "value", 2, "key = 'format'"),
        "DELETE FROM manifest WHERE key = 'format'".into(),
        flip("manifest", "value", 2, "key = 'store_id'"),
        flip("manifest", "chk", 2, "key = 'created_at_ms'"),
    ] {
        let (directory, _, before) = filled();
        let path = directory.path();
        change(path, &plant);
        let open_with = |mend| {
            let options = OpenOptions {
                mend,
                ..OpenOptions::default()
            };
            EmbeddedStore::open(path, &options)
        };
        assert!(
            matches!(
                &open_with(false),
                Err(StoreError::Corrupt {
                    what: "manifest row",
                    ..
                })
            ),
            "{plant}"
        );
        let store = open_with(true).unwrap_or_else(|error| panic!("{plant}: {error}"));
        assert_eq!(store.verify(None).unwrap().findings, [], "{plant}");
        store.close().unwrap();
        drop(store);
        assert_eq!(dump(path), before, "{plant}");
    }
}

/// What nothing proves and nothing rests on is given anew, so that all the rest can be read.
#[test]
fn a_store_that_lost_its_id_or_its_age_gets_another() {
    for key in ["store_id", "created_at_ms"] {
        let (directory, _, before) = filled();
        let path = directory.path();
        let line = |dump: &str| {
            let of_key = format!("manifest [Blob({:?})", key.as_bytes());
            let mut lines: Vec<String> = dump.lines().map(str::to_owned).collect();
            lines.retain(|line| !line.starts_with(&of_key));
            lines
        };
        change(path, &format!("DELETE FROM manifest WHERE key = '{key}'"));
        assert!(EmbeddedStore::open(path, &OpenOptions::default()).is_err());
        let options = OpenOptions {
            mend: true,
            ..OpenOptions::default()
        };
        let store = EmbeddedStore::open(path, &options).unwrap();
        assert_eq!(store.verify(None).unwrap().findings, [], "{key}");
        // Whoever repairs next says what opening it took.
        let told = |report: &RepairReport| report.repairs.len();
        assert_eq!(told(&store.repair().unwrap()), 1, "{key}");
        assert_eq!(told(&store.repair().unwrap()), 0, "{key}");
        store.gc(&GcOptions::default()).unwrap();
        store.close().unwrap();
        drop(store);
        let after = dump(path);
        assert_ne!(after, before, "{key}");
        assert_eq!(line(&after), line(&before), "{key}: nothing else changed");
        EmbeddedStore::open(path, &OpenOptions::default()).unwrap();
    }
}

#[test]
fn several_faults_at_once() {
    let (directory, _, before) = filled();
    let path = directory.path();
    for plant in [
        flip("block", "digest", 20, CHILD),
        flip("block", "chk", 3, "ordinal = 1"),
        format!("DELETE FROM graph WHERE {CHILD}"),
        flip("graph", "links", 1, "ordinal = 2"),
        flip("ref", "target", 20, "true"),
        flip("journal", "digest", 10, "position = 1"),
        "DELETE FROM receipt".into(),
        flip("hold", "chk", 5, "ordinal = 2"),
        "UPDATE lease SET token = 9".into(),
    ] {
        change(path, &plant);
    }
    let report = repaired(path);
    assert_eq!(report.left.findings, [], "{:#?}", report.repairs);
    assert_eq!(report.repairs.len(), 9, "{:#?}", report.repairs);
    assert_eq!(dump(path), before);
}

#[test]
fn several_repairs_at_once_and_a_writer_beside_them() {
    // What one has proved another may have made meanwhile: it is looked at again under the lock.
    for _ in 0..5 {
        let (directory, filled, before) = filled();
        let path = directory.path();
        change(path, "DELETE FROM receipt");
        change(path, "DELETE FROM ref");
        change(path, "DELETE FROM graph WHERE ordinal = 1");
        let store = open(path);
        let start = std::sync::Barrier::new(5);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    assert_eq!(store.repair().unwrap().left.findings, []);
                });
            }
            scope.spawn(|| {
                start.wait();
                for number in 0..20 {
                    let mut beside = commit();
                    let beside_it = name(&format!("beside {number}"));
                    beside.moves = vec![set(&beside_it, Expect::Absent, filled.large.cid)];
                    store.submit(beside).wait().unwrap();
                }
            });
        });
        assert_eq!(store.verify(None).unwrap().findings, []);
        store.close().unwrap();
        drop(store);
        let now = dump(path);
        for line in before.lines().filter(|line| !line.starts_with("manifest")) {
            assert!(now.contains(line), "{line}");
        }
    }
}

#[test]
fn a_sound_store_is_left_alone() {
    let (directory, _, before) = filled();
    let report = repaired(directory.path());
    assert_eq!(report.repairs, []);
    assert_eq!(report.left.findings, []);
    assert_eq!(dump(directory.path()), before);
    let memory = treering_store::MemoryStore::new();
    fill(&memory);
    let report = memory.repair().unwrap();
    assert_eq!((report.repairs.len(), report.left.findings.len()), (0, 0));
    assert_eq!(report.left.blocks, 4);
}

#[test]
fn a_row_of_an_index_twice_or_not_at_all() {
    let (directory, _, before) = filled();
    let path = directory.path();
    let conn = Connection::open(path.join("store.db")).unwrap();
    // The index is taken for a table of its own, and an entry is added and one is lost.
    conn.execute_batch("PRAGMA writable_schema = ON").unwrap();
    let root: i64 = conn
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'block_key8'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    conn.execute(
        "UPDATE sqlite_schema SET sql = 'CREATE INDEX block_key8 ON block(key8) WHERE ordinal > 2' WHERE rootpage = ?1",
        [root],
    )
    .unwrap();
    drop(conn);
    let conn = Connection::open(path.join("store.db")).unwrap();
    conn.execute_batch("REINDEX; PRAGMA writable_schema = ON")
        .unwrap();
    conn.execute(
        "UPDATE sqlite_schema SET sql = 'CREATE INDEX block_key8 ON block(key8)' WHERE rootpage = ?1",
        [root],
    )
    .unwrap();
    drop(conn);
    let store = open(path);
    assert!(!store.verify(None).unwrap().findings.is_empty());
    store.close().unwrap();
    drop(store);
    let report = repaired(path);
    assert_eq!(report.left.findings, [], "{:#?}", report.repairs);
    assert_eq!(report.repairs[0].which, "database");
    assert_eq!(dump(path), before);
}

#[test]
fn a_file_or_its_tree() {
    let files = |path: &Path, tree: bool| -> Vec<std::path::PathBuf> {
        let mut found = Vec::new();
        for folder in std::fs::read_dir(path.join("blobs")).unwrap() {
            for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
                let file = file.unwrap().path();
                if file.to_string_lossy().ends_with(".obao") == tree {
                    found.push(file);
                }
            }
        }
        found
    };
    // The tree is wrong or gone: both are written anew under another name.
    for gone in [false, true] {
        let (directory, filled, _) = filled();
        let path = directory.path();
        let tree = files(path, true).remove(0);
        if gone {
            std::fs::remove_file(&tree).unwrap();
        } else {
            let mut content = std::fs::read(&tree).unwrap();
            content[4321] ^= 1;
            std::fs::write(&tree, content).unwrap();
        }
        let report = repaired(path);
        assert_eq!(report.left.findings, [], "{:#?}", report.repairs);
        let store = open(path);
        assert_eq!(store.get(&filled.large.cid).unwrap(), filled.large.bytes);
        assert_eq!(
            store.range(&filled.large.cid, 290_000, 20_000).unwrap(),
            filled.large.bytes[290_000..]
        );
        assert_eq!((files(path, false).len(), files(path, true).len()), (1, 1));
        assert_ne!(files(path, true)[0], tree, "a name is never used twice");
    }
    // The row is gone, the file is not: the graph of who links to it has its place.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let store = open(path);
    let large = Block::raw(bytes(5, 300_000));
    let above = embedded::node("above", &[large.cid]);
    let mut first = put(vec![large.clone(), above.clone()]);
    first.moves = vec![set(&name("one"), Expect::Absent, above.cid)];
    store.submit(first).wait().unwrap();
    store.close().unwrap();
    drop(store);
    let before = dump(path);
    change(path, "DELETE FROM block WHERE ordinal = 1");
    let report = repaired(path);
    assert_eq!(report.left.findings, [], "{:#?}", report.repairs);
    assert_eq!(dump(path), before);
    assert_eq!(open(path).get(&large.cid).unwrap(), large.bytes);
}

#[test]
fn a_block_twice_becomes_one() {
    let (directory, filled, _) = filled();
    let path = directory.path();
    // A second row of the leaf, sound, with a hold and a link from the child, as a bulk import leaves it.
    let conn = Connection::open(path.join("store.db")).unwrap();
    let payload: Vec<u8> = conn
        .query_row("SELECT payload FROM block WHERE ordinal = 1", [], |row| {
            row.get(0)
        })
        .unwrap();
    drop(conn);
    assert_eq!(payload, *filled.leaf.bytes);
    plant_duplicate(path, &filled.leaf);
    let store = open(path);
    assert!(!store.verify(None).unwrap().findings.is_empty());
    let report = store.repair().unwrap();
    assert_eq!(report.left.findings, [], "{:#?}", report.repairs);
    assert_eq!(store.get(&filled.leaf.cid).unwrap(), filled.leaf.bytes);
    assert_eq!(store.stats().unwrap().blocks, 4);
    assert_eq!(store.gc(&GcOptions::default()).unwrap().deleted, 1);
    assert_eq!(store.verify(None).unwrap().findings, []);
}

/// A sound row of the block at the next ordinal, and the counter behind it.
fn plant_duplicate(path: &Path, block: &Block) {
    let conn = Connection::open(path.join("store.db")).unwrap();
    let digest = block.cid.digest();
    let key8 = (u64::from_be_bytes(digest[..8].try_into().unwrap()) ^ (1 << 63)).cast_signed();
    let ordinal = 5i64;
    let row_check = |table: &str, parts: &[&[u8]]| {
        let mut hasher = blake3::Hasher::new_derive_key(&format!("treering v1 row {table}"));
        parts.iter().for_each(|part| {
            hasher.update(part);
        });
        let mut check = [0; 16];
        hasher.finalize_xof().fill(&mut check);
        check.to_vec()
    };
    let int = |value: i64| value.to_le_bytes().to_vec();
    let length = |bytes: &[u8]| (bytes.len() as u64).to_le_bytes().to_vec();
    let size = block.bytes.len() as i64;
    let check = row_check(
        "block",
        &[
            &int(ordinal),
            &int(key8),
            &int(0x55),
            &length(digest),
            digest,
            &int(size),
            &[0xff; 8],
        ],
    );
    conn.execute(
        "INSERT INTO block(ordinal, key8, codec, digest, size, file, chk, payload) VALUES (?1, ?2, 0x55, ?3, ?4, NULL, ?5, ?6)",
        rusqlite::params![ordinal, key8, digest, size, check, block.bytes.as_ref()],
    )
    .unwrap();
    let check = row_check("graph", &[&int(ordinal), &length(&[])]);
    conn.execute(
        "INSERT INTO graph(ordinal, links, chk) VALUES (?1, x'', ?2)",
        rusqlite::params![ordinal, check],
    )
    .unwrap();
    let mut totals: Vec<u8> = conn
        .query_row(
            "SELECT value FROM manifest WHERE key = 'totals'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    totals[0] = 6;
    let check = row_check(
        "manifest",
        &[&length(b"totals"), b"totals", &length(&totals), &totals],
    );
    conn.execute(
        "UPDATE manifest SET value = ?1, chk = ?2 WHERE key = 'totals'",
        rusqlite::params![totals, check],
    )
    .unwrap();
}

/// Who brings the bytes again is not told that they are there when they are not.
#[test]
fn a_put_of_damaged_bytes_stores_them() {
    let (directory, filled, _) = filled();
    let path = directory.path();
    change(
        path,
        "UPDATE block SET payload = zeroblob(1000) WHERE ordinal = 1",
    );
    let file = || {
        let mut open = vec![path.join("blobs")];
        let mut found = Vec::new();
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                if entry.path().is_dir() {
                    open.push(entry.path());
                } else if entry.metadata().unwrap().len() == 300_000 {
                    found.push(entry.path());
                }
            }
        }
        found
    };
    for damage in ["gone", "short"] {
        let store = open(path);
        for file in file() {
            match damage {
                "gone" => std::fs::remove_file(file).unwrap(),
                _ => std::fs::write(file, b"short").unwrap(),
            }
        }
        assert!(store.get(&filled.large.cid).is_err(), "{damage}");
        let again = put(vec![filled.leaf.clone(), filled.large.clone()]);
        let done = store.submit(again).wait().unwrap();
        assert_eq!(done.new_blocks, 0);
        for block in [&filled.leaf, &filled.large] {
            assert_eq!(*store.get(&block.cid).unwrap(), *block.bytes, "{damage}");
        }
        assert_eq!(store.verify(None).unwrap().findings, [], "{damage}");
        store.close().unwrap();
    }
}
