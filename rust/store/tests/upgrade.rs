//! A store from before the table of the dead: it reads as it was written, is collected, and is not touched
//! by who only reads. `tests/upgrade` of the repository has it, with the script that wrote it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use embedded::{open, put};
use treering_block::{Block, Cid};
use treering_store::{EmbeddedStore, GcOptions, OpenOptions, Store, StoreError};

/// A line of the fixture's `blocks.txt`.
struct Line {
    cid: Cid,
    size: u64,
    kept: bool,
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/upgrade/before-dead")
}

fn lines() -> Vec<Line> {
    let text = std::fs::read_to_string(fixture().join("blocks.txt")).unwrap();
    text.lines()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            Line {
                cid: words[0].parse().unwrap(),
                size: words[1].parse().unwrap(),
                kept: words[2] == "kept",
            }
        })
        .collect()
}

fn copied() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    copy(&fixture().join("store"), directory.path());
    directory
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every file below, by its path, but for the log's index, which holds no data.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.to_string_lossy().ends_with("-shm") {
            found.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    found
}

fn assert_there(store: &dyn Store, lines: &[Line]) {
    for line in lines {
        assert_eq!(store.get(&line.cid).unwrap().len() as u64, line.size);
    }
}

#[test]
fn it_reads_as_it_was_written() {
    let directory = copied();
    let store = open(directory.path());
    let lines = lines();
    assert_there(&store, &lines);
    let stats = store.stats().unwrap();
    assert_eq!(stats.blocks, lines.len() as u64);
    assert_eq!(
        stats.block_bytes,
        lines.iter().map(|line| line.size).sum::<u64>()
    );
    assert_eq!(store.verify(None).unwrap().findings, []);
}

#[test]
fn it_is_collected_and_exactly_its_garbage_goes() {
    let directory = copied();
    let (kept, gone): (Vec<Line>, Vec<Line>) = lines().into_iter().partition(|line| line.kept);
    let store = open(directory.path());
    let report = store.gc(&GcOptions::default()).unwrap();
    assert_eq!(gone.len(), 22, "as its script made it");
    assert_eq!((report.dead, report.deleted), (22, 22));
    assert_eq!(
        report.freed_bytes,
        gone.iter().map(|line| line.size).sum::<u64>()
    );
    assert_eq!(
        (report.reachable, report.generation),
        (kept.len() as u64, 1)
    );
    for store in [store, open(directory.path())] {
        assert_there(&store, &kept);
        for line in &gone {
            assert!(
                matches!(store.get(&line.cid), Err(StoreError::BlockNotFound(cid)) if cid == line.cid)
            );
        }
        assert_eq!(store.verify(None).unwrap().findings, []);
        assert_eq!(store.gc(&GcOptions::default()).unwrap().dead, 0);
        store.close().unwrap();
    }
}

/// It notes no newest commit; from the next one on it does.
#[test]
fn commits_go_on_behind_its_journal() {
    let directory = copied();
    let store = open(directory.path());
    let end = store.head().unwrap().position;
    for number in 1..=3 {
        let put = store.submit(put(vec![Block::raw(format!("new {number}").into_bytes())]));
        assert_eq!(put.wait().unwrap().position, end + number);
    }
    assert_eq!(store.verify(None).unwrap().findings, []);
    store.close().unwrap();
    let database = rusqlite::Connection::open(directory.path().join("store.db")).unwrap();
    let lose = format!("DELETE FROM journal WHERE position > {}", end + 2);
    assert_eq!(database.execute(&lose, []).unwrap(), 1);
    drop(database);
    let refused = open(directory.path()).submit(put(vec![Block::raw(&b"x"[..])]));
    assert!(matches!(refused.wait(), Err(StoreError::Corrupt { .. })));
}

/// A process of the old version has the table made by another one under its feet.
#[test]
fn a_reader_that_knew_no_dead_sees_them_once_there_are_some() {
    let directory = copied();
    let reading = OpenOptions {
        read_only: true,
        ..OpenOptions::default()
    };
    let reader = EmbeddedStore::open(directory.path(), &reading).unwrap();
    let lines = lines();
    assert_there(&reader, &lines);
    let writer = open(directory.path());
    assert_eq!(writer.gc(&GcOptions::default()).unwrap().dead, 22);
    for line in &lines {
        assert_eq!(reader.has(&line.cid).unwrap(), line.kept);
    }
}

#[test]
fn who_only_reads_changes_no_byte() {
    let directory = copied();
    let before = files(directory.path());
    let reading = OpenOptions {
        read_only: true,
        ..OpenOptions::default()
    };
    let store = EmbeddedStore::open(directory.path(), &reading).unwrap();
    assert_there(&store, &lines());
    assert_eq!(store.verify(None).unwrap().findings, []);
    assert_eq!(store.gc(&GcOptions { dry_run: true }).unwrap().dead, 22);
    assert!(matches!(
        store.gc(&GcOptions::default()),
        Err(StoreError::ReadOnly)
    ));
    assert!(matches!(
        store.submit(put(vec![Block::raw(&b"x"[..])])).wait(),
        Err(StoreError::ReadOnly)
    ));
    store.close().unwrap();
    assert_eq!(files(directory.path()), before);
}
