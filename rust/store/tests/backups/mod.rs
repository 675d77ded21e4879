//! What the tests of backups share: a store that changes, and a picture to compare two stores by.
#![allow(
    dead_code, // Each test binary uses its part.
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::fmt::Write;
use std::path::Path;

use treering_block::Block;
use treering_store::{
    Address, BackupOptions, BackupReport, Change, Commit, EmbeddedStore, Expect, GcOptions,
    OpenOptions, Progress, RefMove, Result, Store,
};

use super::embedded::{bytes, command, commit, name, node, put, set};

pub const VERIFIED: BackupOptions = BackupOptions { verify: true };
pub const QUICK: BackupOptions = BackupOptions { verify: false };

pub fn back_up(store: &EmbeddedStore, path: &Path) -> BackupReport {
    store.backup(path, &VERIFIED, &Progress::default()).unwrap()
}

pub fn open_read_only(path: &Path) -> Result<EmbeddedStore> {
    let options = OpenOptions {
        create: false,
        read_only: true,
        ..OpenOptions::default()
    };
    EmbeddedStore::open(path, &options)
}

/// Everything that belongs to a store's history, as text. Leases do not.
pub fn picture(store: &dyn Store) -> String {
    let mut out = String::new();
    for entry in store.journal(None, usize::MAX).unwrap() {
        writeln!(out, "journal {entry:?}").unwrap();
        if let Some(command) = entry.command {
            let id = String::from_utf8(command.receipt).unwrap();
            let found = store.receipt(&Address::Scope("main".into()), &id).unwrap();
            writeln!(out, "receipt {found:?}").unwrap();
        }
    }
    for scope in store.scopes().unwrap() {
        for kind in store.kinds(&scope).unwrap() {
            for (name, value) in store.list_refs(&scope, &kind, None, usize::MAX).unwrap() {
                writeln!(out, "ref {name} {:?}", value.unwrap()).unwrap();
            }
        }
    }
    for info in store.blocks(0, usize::MAX).unwrap() {
        // Reading hashes: the bytes are those of the CID, or it is an error.
        let bytes = store.get(&info.cid).unwrap();
        writeln!(out, "block {} {} {}", info.ordinal, info.cid, bytes.len()).unwrap();
    }
    for hold in store.holds("main", 0, usize::MAX).unwrap() {
        writeln!(out, "hold {hold:?}").unwrap();
    }
    let stats = store.stats().unwrap();
    writeln!(
        out,
        "nodes {} bytes {} links {} receipts {}",
        stats.nodes, stats.block_bytes, stats.links, stats.receipts
    )
    .unwrap();
    out
}

pub fn assert_sound(store: &dyn Store) {
    assert_eq!(store.verify(None).unwrap().findings, []);
}

/// Asserts that the backup at `path` is whole and shows what `expected` shows.
pub fn assert_is(path: &Path, expected: &str) {
    let backup = open_read_only(path).unwrap();
    assert!(!backup.may_write());
    assert_sound(&backup);
    assert_eq!(picture(&backup), expected);
}

/// A thread's step: a large and a small block, a node over both and the step before, a receipt.
pub fn step(store: &dyn Store, number: u64) {
    let small = Block::raw(bytes(1000 + number, 700));
    let large = Block::raw(bytes(2000 + number, 300_000));
    let before = store.read_ref(&name("life")).unwrap();
    let mut links = vec![small.cid, large.cid];
    links.extend(before.iter().map(|value| value.target));
    let top = node(&format!("step {number}"), &links);
    let expect = before.map_or(Expect::Absent, |value| Expect::Version(value.version));
    let mut step = commit();
    step.command = command("step", 0).map(|mut command| {
        command.id = format!("step {number}");
        command.receipt = command.id.clone().into_bytes();
        command
    });
    step.moves = vec![set(&name("life"), expect, top.cid)];
    step.blocks = vec![small, large, top];
    store.submit(step).wait().unwrap();
}

/// Something that no ref reaches: held, and in a file.
pub fn loose(store: &dyn Store, number: u64) -> Block {
    let block = Block::raw(bytes(3000 + number, 270_000));
    store.submit(put(vec![block.clone()])).wait().unwrap();
    block
}

/// A second thread over its own large block.
pub fn other(store: &dyn Store, part: &str, number: u64) -> Block {
    let block = Block::raw(bytes(4000 + number, 280_000));
    let mut other = commit();
    other.moves = vec![set(&name(part), Expect::Any, block.cid)];
    other.blocks = vec![block.clone()];
    store.submit(other).wait().unwrap();
    block
}

pub fn remove(store: &dyn Store, part: &str) {
    let gone = Commit {
        moves: vec![RefMove {
            name: name(part),
            expect: Expect::Any,
            change: Change::Delete,
        }],
        ..commit()
    };
    store.submit(gone).wait().unwrap();
}

pub fn collect(store: &dyn Store) {
    store.gc(&GcOptions { dry_run: false }).unwrap();
}

/// Files below `blobs/`, trees too.
pub fn files(path: &Path) -> Vec<std::path::PathBuf> {
    let Ok(folders) = std::fs::read_dir(path.join("blobs")) else {
        return vec![];
    };
    let mut found: Vec<_> = folders
        .flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    found.sort();
    found
}
