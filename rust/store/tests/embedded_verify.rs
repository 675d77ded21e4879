//! Each check that verify and the reads promise, proved by a planted fault that they must name.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;

use std::path::Path;

use embedded::{Filled, bytes, commit, fill, name, open, put, set};
use rusqlite::Connection;
use treering_block::Block;
use treering_store::{Check, Expect, Head, Store, StoreError, VerifyReport};

/// A filled store, closed; `plant` changes its database; then it is opened and verified.
fn planted(plant: impl FnOnce(&Connection, &Filled)) -> (tempfile::TempDir, Filled, VerifyReport) {
    planted_in(|path, filled| {
        let conn = Connection::open(path.join("store.db")).unwrap();
        plant(&conn, filled);
    })
}

fn planted_in(plant: impl FnOnce(&Path, &Filled)) -> (tempfile::TempDir, Filled, VerifyReport) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let filled = fill(&store);
    assert_eq!(store.verify(None).unwrap().findings, []);
    store.close().unwrap();
    plant(directory.path(), &filled);
    let report = open(directory.path()).verify(None).unwrap();
    (directory, filled, report)
}

#[track_caller]
fn assert_found(report: &VerifyReport, check: Check, which: &str) {
    let found = report
        .findings
        .iter()
        .any(|finding| finding.check == check && finding.which.contains(which));
    assert!(found, "no {check:?} for {which} in {:#?}", report.findings);
}

fn changes(conn: &Connection, sql: &str) {
    assert_eq!(conn.execute(sql, []).unwrap(), 1, "{sql}");
}

/// The blob column with its n-th byte flipped.
fn flipped(column: &str, at: usize) -> String {
    let (before, after) = (at - 1, at + 1);
    format!(
        "CAST(substr({column}, 1, {before}) || \
         CASE WHEN substr({column}, {at}, 1) = x'00' THEN x'01' ELSE x'00' END || substr({column}, {after}) AS BLOB)"
    )
}

fn flip(table: &str, column: &str, at: usize, row: &str) -> String {
    format!(
        "UPDATE {table} SET {column} = {} WHERE {row}",
        flipped(column, at)
    )
}

#[test]
fn a_flipped_byte_of_a_payload() {
    let (directory, filled, report) =
        planted(|conn, _| changes(conn, &flip("block", "payload", 500, "ordinal = 1")));
    assert_found(&report, Check::BlockBytes, &filled.leaf.cid.to_string());
    assert_eq!(report.findings.len(), 1, "{:#?}", report.findings);
    let store = open(directory.path());
    assert!(matches!(
        store.get(&filled.leaf.cid),
        Err(StoreError::Corrupt { .. })
    ));
    assert_eq!(store.get(&filled.child.cid).unwrap(), filled.child.bytes);
}

#[test]
fn every_column_of_a_block() {
    for plant in [
        flip("block", "digest", 20, "ordinal = 1"),
        flip("block", "chk", 3, "ordinal = 1"),
        "UPDATE block SET size = size + 1 WHERE ordinal = 1".into(),
        "UPDATE block SET codec = 0x71 WHERE ordinal = 1".into(),
        "UPDATE block SET key8 = key8 + 1 WHERE ordinal = 1".into(),
        "UPDATE block SET file = 'ab/cd' WHERE ordinal = 1".into(),
    ] {
        let (directory, filled, report) = planted(|conn, _| changes(conn, &plant));
        assert_found(&report, Check::BlockRow, "ordinal 1");
        let got = open(directory.path()).get(&filled.leaf.cid);
        let key_is_wrong = plant.contains("key8 +");
        match got {
            Err(StoreError::Corrupt { which, .. }) => assert_eq!(which, "1", "{plant}"),
            Err(StoreError::BlockNotFound(_)) if key_is_wrong => {}
            other => panic!("{plant}: {other:?}"),
        }
    }
}

#[test]
fn a_missing_block_row() {
    let (_directory, filled, report) =
        planted(|conn, _| changes(conn, "DELETE FROM block WHERE ordinal = 1"));
    assert_found(&report, Check::BlockRow, "ordinal 1");
    assert_found(&report, Check::Links, &filled.parent.cid.to_string());
    assert_found(&report, Check::Links, &filled.child.cid.to_string());
    assert_found(&report, Check::Manifest, "totals");
    assert_found(&report, Check::Hold, "ordinal 1");
}

#[test]
fn the_target_of_a_ref_is_missing() {
    let (_directory, _filled, report) = planted(|conn, filled| {
        let gone = conn
            .execute(
                "DELETE FROM block WHERE digest = ?1",
                [filled.child.cid.digest()],
            )
            .unwrap();
        assert_eq!(gone, 1);
    });
    assert_found(&report, Check::Ref, "main/thread/one");
}

#[test]
fn links_in_the_graph() {
    let child = "(SELECT max(ordinal) FROM block)";
    for plant in [
        flip("graph", "links", 1, &format!("ordinal = {child}")),
        flip("graph", "chk", 1, &format!("ordinal = {child}")),
        format!("DELETE FROM graph WHERE ordinal = {child}"),
    ] {
        let (_directory, filled, report) = planted(|conn, _| changes(conn, &plant));
        assert_found(&report, Check::Links, &filled.child.cid.to_string());
    }
}

#[test]
fn a_graph_row_that_is_whole_and_wrong() {
    // The row of another block, with its ordinal changed: the check covers the ordinal too.
    let (_directory, filled, report) = planted(|conn, _| {
        changes(
            conn,
            "UPDATE graph SET links = (SELECT links FROM graph WHERE ordinal = 2), \
                       chk = (SELECT chk FROM graph WHERE ordinal = 2) WHERE ordinal = 4",
        );
    });
    assert_found(&report, Check::Links, &filled.child.cid.to_string());
}

#[test]
fn every_column_of_a_ref() {
    for plant in [
        flip("ref", "target", 20, "true"),
        flip("ref", "record", 2, "true"),
        flip("ref", "chk", 2, "true"),
        "UPDATE ref SET version = version + 1".into(),
        "UPDATE ref SET position = position - 1".into(),
    ] {
        let (directory, _filled, report) = planted(|conn, _| changes(conn, &plant));
        assert_found(&report, Check::Ref, "main/thread/one");
        let store = open(directory.path());
        assert!(matches!(
            store.read_ref(&name("one")),
            Err(StoreError::Corrupt {
                what: "ref row",
                ..
            })
        ));
        let listed = store.list_refs("main", "thread", None, 10).unwrap();
        assert_eq!(listed[0].0, name("one"));
        assert!(listed[0].1.is_err());
    }
}

#[test]
fn a_broken_ref_hides_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let block = Block::raw(bytes(1, 10));
    let mut all = put(vec![block.clone()]);
    all.moves = ["a", "b", "c"]
        .iter()
        .map(|part| set(&name(part), Expect::Absent, block.cid))
        .collect();
    store.submit(all).wait().unwrap();
    store.close().unwrap();
    let conn = Connection::open(directory.path().join("store.db")).unwrap();
    changes(
        &conn,
        "UPDATE ref SET version = 7 WHERE name = 'main/thread/b'",
    );
    drop(conn);
    let store = open(directory.path());
    let listed = store.list_refs("main", "thread", None, 10).unwrap();
    assert_eq!(
        listed
            .iter()
            .map(|(_, value)| value.is_ok())
            .collect::<Vec<_>>(),
        [true, false, true]
    );
    // Writing over it is refused like reading it; the others can be moved.
    let mut over = commit();
    over.moves = vec![set(&name("b"), Expect::Any, block.cid)];
    assert!(matches!(
        store.submit(over).wait(),
        Err(StoreError::Corrupt { .. })
    ));
    let mut beside = commit();
    beside.moves = vec![set(&name("c"), Expect::Version(1), block.cid)];
    assert_eq!(store.submit(beside).wait().unwrap().versions, [2]);
}

#[test]
fn a_ref_moved_behind_the_journals_back() {
    let (_directory, _filled, report) = planted(|conn, _| changes(conn, "DELETE FROM ref"));
    assert_found(&report, Check::RefHistory, "main/thread/one");
}

#[test]
fn the_journal() {
    for (plant, read_fails) in [
        (flip("journal", "body", 10, "position = 1"), true),
        (flip("journal", "digest", 10, "position = 1"), true),
        (flip("journal", "chain", 10, "position = 1"), true),
        (
            "UPDATE journal SET at_ms = at_ms + 1 WHERE position = 1".into(),
            true,
        ),
        ("DELETE FROM journal WHERE position = 1".into(), true),
    ] {
        let (directory, _filled, report) = planted(|conn, _| changes(conn, &plant));
        assert_found(&report, Check::Journal, "commit");
        assert_eq!(
            open(directory.path()).journal(None, 10).is_err(),
            read_fails,
            "{plant}"
        );
    }
    // A tail that is cut off is whole by itself; a head that was written down shows it.
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    fill(&store);
    let head = store.head().unwrap();
    let cursor = head.cursor();
    store.close().unwrap();
    let conn = Connection::open(directory.path().join("store.db")).unwrap();
    changes(&conn, "DELETE FROM journal WHERE position = 2");
    drop(conn);
    let store = open(directory.path());
    assert_found(
        &store.verify(Some(&head)).unwrap(),
        Check::Journal,
        "commit 2",
    );
    assert!(matches!(
        store.journal(Some(&cursor), 1),
        Err(StoreError::CursorLost(_))
    ));
    let forged = Head {
        position: 1,
        chain: [7; 32],
    };
    assert_found(
        &store.verify(Some(&forged)).unwrap(),
        Check::Journal,
        "commit 1",
    );
}

#[test]
fn receipts_holds_leases_and_manifest() {
    for (plant, check, which) in [
        (flip("receipt", "payload", 4, "true"), Check::Receipt, ""),
        (flip("receipt", "receipt", 1, "true"), Check::Receipt, ""),
        ("DELETE FROM receipt".into(), Check::Receipt, "commit 1"),
        (
            "UPDATE hold SET expires_at_ms = 0 WHERE ordinal = 1".into(),
            Check::Hold,
            "1 of scope main",
        ),
        (
            "UPDATE lease SET token = 9".into(),
            Check::Lease,
            "main/thread/one",
        ),
        (
            "UPDATE lease SET held = 0".into(),
            Check::Lease,
            "main/thread/one",
        ),
        (
            "UPDATE lease SET pid = 1".into(),
            Check::Lease,
            "main/thread/one",
        ),
    ] {
        let (_directory, _filled, report) = planted(|conn, _| changes(conn, &plant));
        assert_found(&report, check, which);
    }
    // A broken manifest is met at once.
    for key in ["totals", "format", "store_id", "created_at_ms"] {
        let directory = tempfile::tempdir().unwrap();
        fill(&open(directory.path()));
        let conn = Connection::open(directory.path().join("store.db")).unwrap();
        changes(
            &conn,
            &flip("manifest", "value", 2, &format!("key = '{key}'")),
        );
        drop(conn);
        let refused = treering_store::EmbeddedStore::open(
            directory.path(),
            &treering_store::OpenOptions::default(),
        );
        assert!(
            matches!(
                refused,
                Err(StoreError::Corrupt {
                    what: "manifest row",
                    ..
                })
            ),
            "{refused:?}"
        );
    }
}

#[test]
fn a_manifest_row_that_breaks_while_open() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    fill(&store);
    let conn = Connection::open(directory.path().join("store.db")).unwrap();
    changes(&conn, &flip("manifest", "value", 2, "key = 'store_id'"));
    assert_found(&store.verify(None).unwrap(), Check::Manifest, "store_id");
    // The connection is left open: closing it would drop the locks that this process has on the file.
    std::mem::forget(conn);
}

#[test]
fn files_of_large_blocks() {
    fn file(path: &Path, tree: bool) -> std::path::PathBuf {
        let folder = std::fs::read_dir(path.join("blobs"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.to_string_lossy().ends_with(".obao") == tree)
            .unwrap()
    }
    let flip_file = |path: std::path::PathBuf| {
        let mut content = std::fs::read(&path).unwrap();
        content[4321] ^= 1;
        std::fs::write(&path, content).unwrap();
    };
    let (directory, filled, report) = planted_in(|path, _| flip_file(file(path, false)));
    assert_found(&report, Check::BlockBytes, &filled.large.cid.to_string());
    assert!(matches!(
        open(directory.path()).get(&filled.large.cid),
        Err(StoreError::Corrupt { .. })
    ));

    let (_directory, filled, report) = planted_in(|path, _| flip_file(file(path, true)));
    assert_found(&report, Check::BlockRow, &filled.large.cid.to_string());

    let (_directory, filled, report) =
        planted_in(|path, _| std::fs::remove_file(file(path, false)).unwrap());
    assert_found(&report, Check::BlockBytes, &filled.large.cid.to_string());

    // A file without a row is what a crash leaves: no fault.
    let (_directory, _filled, report) = planted_in(|path, _| {
        std::fs::create_dir_all(path.join("blobs/00")).unwrap();
        std::fs::write(path.join("blobs/00/left-behind"), "x").unwrap();
    });
    assert_eq!(report.findings, []);
}

#[test]
fn broken_pages_are_findings_not_crashes() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for seed in 0..200 {
        let mut one = put(vec![Block::raw(bytes(seed, 900))]);
        one.moves = vec![set(
            &name(&seed.to_string()),
            Expect::Absent,
            one.blocks[0].cid,
        )];
        store.submit(one).wait().unwrap();
    }
    store.close().unwrap();
    let database = directory.path().join("store.db");
    let whole = std::fs::read(&database).unwrap();
    let pages = whole.len() / 4096;
    for page in 1..pages {
        let mut broken = whole.clone();
        for (place, byte) in broken[page * 4096..(page + 1) * 4096]
            .iter_mut()
            .enumerate()
        {
            *byte ^= (place % 255) as u8 + 1;
        }
        let copy = tempfile::tempdir().unwrap();
        std::fs::create_dir(copy.path().join("blobs")).unwrap();
        std::fs::write(copy.path().join("store.db"), broken).unwrap();
        // The manifest's page and the schema's make it unreadable at once; every other is found.
        match treering_store::EmbeddedStore::open(
            copy.path(),
            &treering_store::OpenOptions::default(),
        ) {
            Ok(store) => assert!(
                !store.verify(None).unwrap().findings.is_empty(),
                "page {page} of {pages}"
            ),
            Err(StoreError::Corrupt { .. } | StoreError::Io { .. }) => {}
            Err(other) => panic!("page {page}: {other}"),
        }
    }
}
