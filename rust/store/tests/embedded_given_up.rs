//! Commits whose bodies are lost: what stops there, giving them up, and what goes on behind them.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;

use std::path::Path;

use embedded::{commit, name, open, set};
use rusqlite::Connection;
use treering_block::Block;
use treering_store::{
    BackupOptions, Commit, Cursor, EmbeddedStore, Expect, ExpireBefore, GcOptions, JournalEntry,
    Progress, Store, StoreError,
};

const LOST: u64 = 4;

fn step(store: &EmbeddedStore, number: u64) {
    let block = Block::raw(format!("block {number}").into_bytes());
    let moves = vec![set(
        &name(&format!("t{}", number % 3)),
        Expect::Any,
        block.cid,
    )];
    let commit = Commit {
        moves,
        blocks: vec![block],
        ..commit()
    };
    store.submit(commit).wait().unwrap();
}

fn damage(path: &Path, sql: &str) {
    let conn = Connection::open(path.join("store.db")).unwrap();
    assert_eq!(conn.execute(sql, []).unwrap(), 1, "{sql}");
}

/// Makes the body of the fourth commit zeros.
const ROT: &str = "UPDATE journal SET body = zeroblob(length(body)) WHERE position = 4";

/// A store of nine commits, the fourth rotten.
fn hurt(path: &Path) -> EmbeddedStore {
    let store = open(path);
    (1..=9).for_each(|number| step(&store, number));
    store.close().unwrap();
    damage(path, ROT);
    open(path)
}

fn findings(store: &EmbeddedStore) -> Vec<String> {
    let report = store.verify(None).unwrap();
    let texts = report.findings.iter();
    texts
        .map(|found| format!("{}: {}", found.which, found.detail))
        .collect()
}

fn backup(store: &EmbeddedStore, path: &Path) -> Result<u64, StoreError> {
    store
        .backup(path, &BackupOptions::default(), &Progress::default())
        .map(|report| report.commits)
}

fn rule(refused: Result<(), StoreError>) -> String {
    match refused {
        Err(StoreError::Invalid { rule, .. }) => rule,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_stops_at_a_lost_body_goes_on_once_it_is_given_up() {
    let home = tempfile::tempdir().unwrap();
    let store = hurt(&home.path().join("store"));
    let head = store.head().unwrap();
    // What is before it is read; then it is in the way of all.
    let read = store.journal(None, 100).unwrap();
    assert!(read.iter().map(|entry| entry.position).eq(1..LOST));
    let behind: Option<Cursor> = read.last().map(JournalEntry::cursor);
    assert!(matches!(
        store.journal(behind.as_ref(), 100),
        Err(StoreError::Corrupt { .. })
    ));
    let left = store.repair().unwrap().left.findings;
    assert!(!left.is_empty() && left.iter().all(|found| found.which == "commit 4"));
    assert!(backup(&store, &home.path().join("no backup")).is_err());
    assert!(store.seal_journal(1).is_err());

    store.give_up_commit(LOST).unwrap();
    assert_eq!(store.head().unwrap(), head);
    let report = store.verify(Some(&head)).unwrap();
    assert_eq!((report.findings, report.blank_commits), (vec![], 1));
    let entries = store.journal(None, 100).unwrap();
    assert!(entries.iter().map(|entry| entry.position).eq(1..=9));
    for entry in &entries {
        assert_eq!(entry.blank, entry.position == LOST);
        assert_eq!(entry.moves.is_empty(), entry.blank);
    }
    assert_eq!(backup(&store, &home.path().join("backup")).unwrap(), 9);
    assert_eq!(store.gc(&GcOptions { dry_run: false }).unwrap().dead, 6);
    assert_eq!(store.seal_journal(1).unwrap().commits, 8);
    assert_eq!(store.journal(None, 100).unwrap(), entries);
    let report = store.verify(Some(&head)).unwrap();
    assert_eq!((report.findings, report.blank_commits), (vec![], 1));
    let until = ExpireBefore::Cursor(entries[7].cursor());
    assert_eq!(store.expire_journal(&until).unwrap().commits, 8);
    assert_eq!(findings(&store), [""; 0]);
}

#[test]
fn only_a_body_that_is_lost_and_nothing_else_is_given_up() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store");
    let store = hurt(&path);
    assert!(rule(store.give_up_commit(3)).contains("can be read"));
    assert!(rule(store.give_up_commit(10)).contains("no such commit"));
    assert!(rule(store.give_up_commit(0)).contains("no such commit"));
    store.close().unwrap();
    // A byte that the digest brings back.
    damage(
        &path,
        "UPDATE journal SET body = CAST(substr(body, 1, 20) || x'00' || substr(body, 22) AS BLOB) WHERE position = 6",
    );
    damage(
        &path,
        "UPDATE journal SET digest = zeroblob(32) WHERE position = 4",
    );
    let store = open(&path);
    assert!(rule(store.give_up_commit(6)).contains("--repair"));
    assert!(rule(store.give_up_commit(LOST)).contains("prove nothing"));
    assert_eq!(store.journal(None, 100).unwrap().len(), 3);
    store.close().unwrap();

    let other = home.path().join("sealed");
    let store = hurt(&other);
    store.give_up_commit(LOST).unwrap();
    assert!(rule(store.give_up_commit(LOST)).contains("can be read"));
    store.seal_journal(1).unwrap();
    assert!(rule(store.give_up_commit(LOST)).contains("sealed"));
}

#[test]
fn what_stands_in_its_place_is_checked_like_a_body() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store");
    let store = hurt(&path);
    store.give_up_commit(LOST).unwrap();
    store.close().unwrap();
    let mark = "SELECT body FROM journal WHERE position = 4";
    let body: Vec<u8> = Connection::open(path.join("store.db"))
        .unwrap()
        .query_row(mark, [], |row| row.get(0))
        .unwrap();
    assert_eq!((body.len(), body[0]), (49, 0xff));
    for place in [0, 20, 48] {
        let mut other = body.clone();
        other[place] ^= 1;
        let conn = Connection::open(path.join("store.db")).unwrap();
        let write = "UPDATE journal SET body = ?1 WHERE position = 4";
        conn.execute(write, [&other]).unwrap();
        drop(conn);
        let store = open(&path);
        assert!(
            findings(&store)[0].starts_with("commit 4: "),
            "byte {place}"
        );
        // A byte of it comes back like one of a body.
        assert_eq!(store.repair().unwrap().left.findings, []);
        store.close().unwrap();
    }
    // Nor is another commit's mark taken for its own.
    damage(
        &path,
        "UPDATE journal SET body = (SELECT body FROM journal WHERE position = 4) WHERE position = 5",
    );
    assert!(findings(&open(&path))[0].starts_with("commit 5: "));
}

#[test]
fn a_backup_that_has_the_body_keeps_it_and_one_that_has_not_can_not_go_on() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store");
    let (old, new) = (home.path().join("old"), home.path().join("new"));
    let store = open(&path);
    (1..=3).for_each(|number| step(&store, number));
    backup(&store, &old).unwrap();
    step(&store, 4);
    backup(&store, &new).unwrap();
    (5..=9).for_each(|number| step(&store, number));
    store.close().unwrap();
    damage(&path, ROT);
    let store = open(&path);
    store.give_up_commit(LOST).unwrap();
    assert_eq!(backup(&store, &new).unwrap(), 5);
    let refused = backup(&store, &old).unwrap_err().to_string();
    assert!(refused.contains("new directory"), "{refused}");
}

#[test]
fn a_backup_that_has_the_only_copy_is_not_written_over_by_a_sealed_file() {
    let home = tempfile::tempdir().unwrap();
    let kept = home.path().join("kept");
    let path = home.path().join("store");
    let store = open(&path);
    (1..=9).for_each(|number| step(&store, number));
    backup(&store, &kept).unwrap();
    store.close().unwrap();
    damage(&path, ROT);
    let store = open(&path);
    store.give_up_commit(LOST).unwrap();
    store.seal_journal(1).unwrap();
    let refused = backup(&store, &kept).unwrap_err().to_string();
    assert!(refused.contains("new directory"), "{refused}");
    assert_eq!(backup(&store, &home.path().join("new")).unwrap(), 9);
    step(&store, 10);
    assert_eq!(backup(&store, &home.path().join("new")).unwrap(), 1);
    let body: Vec<u8> = Connection::open(kept.join("store.db"))
        .unwrap()
        .query_row("SELECT body FROM journal WHERE position = 4", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_ne!(body[0], 0xff);
}

#[test]
fn what_moved_after_it_is_still_compared_with_the_journal() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store");
    let store = hurt(&path);
    store.give_up_commit(LOST).unwrap();
    step(&store, 10);
    store.close().unwrap();
    let conn = Connection::open(path.join("store.db")).unwrap();
    let row =
        "SELECT version, target, position, record, chk FROM ref WHERE name = 'main/thread/t2'";
    let columns = |row: &rusqlite::Row<'_>| {
        (0..5)
            .map(|column| row.get(column))
            .collect::<Result<Vec<rusqlite::types::Value>, _>>()
    };
    let before = conn.query_row(row, [], columns).unwrap();
    drop(conn);
    let store = open(&path);
    step(&store, 11);
    store.close().unwrap();
    assert_eq!(findings(&open(&path)), [""; 0]);
    let conn = Connection::open(path.join("store.db")).unwrap();
    let write = "UPDATE ref SET version = ?1, target = ?2, position = ?3, record = ?4, chk = ?5 WHERE name = 'main/thread/t2'";
    assert_eq!(
        conn.execute(write, rusqlite::params_from_iter(before))
            .unwrap(),
        1
    );
    drop(conn);
    let found = findings(&open(&path));
    assert!(
        found
            .iter()
            .any(|found| found.contains("it stands at version 3")),
        "{found:?}"
    );
}
