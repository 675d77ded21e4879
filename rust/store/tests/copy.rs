//! Copies from store to store: what arrives, what is left out, what is refused.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use embedded::{bytes, command, node, open};
use treering_block::{Block, Cid};
use treering_store::{
    Change, Commit, CopyOptions, CopyReport, Expect, GcOptions, MemoryStore, Progress, RefMove,
    RefName, Store, StoreError, copy, reachable,
};

fn copied(from: &dyn Store, to: &dyn Store) -> CopyReport {
    copy(from, to, &CopyOptions::default(), &Progress::default()).unwrap()
}

fn renaming(from: &str, to: &str) -> CopyOptions {
    CopyOptions {
        rename: BTreeMap::from([(from.to_owned(), to.to_owned())]),
    }
}

fn name(scope: &str, kind: &str, part: &str) -> RefName {
    RefName::new(scope, kind, [part]).unwrap()
}

fn set(name: &RefName, expect: Expect, target: Cid, record: &[u8]) -> RefMove {
    RefMove {
        name: name.clone(),
        expect,
        change: Change::Set {
            target,
            record: record.to_vec(),
        },
    }
}

fn commit(store: &dyn Store, scope: &str, blocks: Vec<Block>, moves: Vec<RefMove>) {
    let commit = Commit {
        scope: scope.into(),
        blocks,
        moves,
        ..Commit::default()
    };
    store.submit(commit).wait().unwrap();
}

/// Moves a ref to a new node over where it stood, and a large block.
fn step(store: &dyn Store, name: &RefName, text: &str) {
    let stands = store.read_ref(name).unwrap();
    let large = Block::raw(bytes(text.len() as u64, 260_000));
    let mut links = vec![large.cid];
    links.extend(stands.iter().map(|value| value.target));
    let top = node(text, &links);
    let target = top.cid;
    let moved = set(name, Expect::Any, target, text.as_bytes());
    commit(store, name.scope(), vec![large, top], vec![moved]);
}

/// Three refs in two scopes, two of them over a shared block; a receipt; a loose block.
fn fill(store: &dyn Store) -> [RefName; 3] {
    let names = [
        name("main", "thread", "one"),
        name("main", "pin", "a pin"),
        name("alice/b", "thread", "two"),
    ];
    for text in ["a", "bb", "ccc"] {
        step(store, &names[0], text);
    }
    let pinned = store.read_ref(&names[0]).unwrap().unwrap().target;
    commit(
        store,
        "main",
        vec![],
        vec![set(&names[1], Expect::Absent, pinned, b"")],
    );
    step(store, &names[2], "a");
    let loose = Commit {
        scope: "main".into(),
        blocks: vec![Block::raw(b"loose".to_vec())],
        command: command("receipt", 1),
        ..Commit::default()
    };
    store.submit(loose).wait().unwrap();
    names
}

/// A log and its read model; the log was cut short in the source, and its read model with it.
#[test]
fn a_read_model_goes_where_the_source_let_go_of_it() {
    let (source, target) = (MemoryStore::new(), MemoryStore::new());
    let log = name("alice", "chat", "c");
    let model = name("alice", "chat-readmodel", "c");
    let pin = name("alice", "pin", "p");
    for one in [&log, &model, &pin] {
        step(&source, one, "secret");
    }
    copied(&source, &target);
    // What has no log in the source is not the source's: it stays.
    let own = name("alice", "chat-readmodel", "own");
    step(&target, &own, "own");
    let delete = |name: &RefName| RefMove {
        name: name.clone(),
        expect: Expect::Any,
        change: Change::Delete,
    };
    commit(&source, "alice", vec![], vec![delete(&model), delete(&pin)]);
    step(&source, &log, "after");
    copied(&source, &target);
    assert_eq!(stands(&target, &log), stands(&source, &log));
    assert_eq!(stands(&target, &model), None);
    assert!(stands(&target, &own).is_some() && stands(&target, &pin).is_some());
    assert_sound(&target);
}

fn stands(store: &dyn Store, name: &RefName) -> Option<(Cid, Vec<u8>)> {
    let value = store.read_ref(name).unwrap()?;
    Some((value.target, value.record))
}

fn assert_sound(store: &dyn Store) {
    assert_eq!(store.verify(None).unwrap().findings, []);
}

#[test]
fn every_ref_and_what_it_reaches_arrives_and_a_second_copy_does_nothing() {
    let home = tempfile::tempdir().unwrap();
    let memory = || Box::new(MemoryStore::new()) as Box<dyn Store>;
    let directory = |part: &str| Box::new(open(&home.path().join(part))) as Box<dyn Store>;
    for (from, to) in [
        (memory(), memory()),
        (memory(), directory("a")),
        (directory("b"), directory("c")),
        (directory("d"), memory()),
    ] {
        let names = fill(&*from);
        let report = copied(&*from, &*to);
        // Three nodes, three large blocks: one of each is shared, the loose one is not reached.
        assert_eq!(report.blocks, 6);
        assert!(report.bytes > 3 * 260_000);
        assert_eq!((report.scopes, report.refs_new), (2, 3));
        assert_eq!(report.receipts_left, 1);
        for name in &names {
            assert!(stands(&*to, name).is_some());
            assert_eq!(stands(&*to, name), stands(&*from, name));
            let root = stands(&*to, name).unwrap().0;
            assert_eq!(reachable(&*to, &[root]).unwrap().missing, []);
        }
        assert_sound(&*to);
        let head = to.head().unwrap();
        let again = copied(&*from, &*to);
        assert_eq!(
            (
                again.refs_new,
                again.refs_moved,
                again.refs_there,
                again.blocks,
                again.bytes
            ),
            (0, 0, 3, 0, 0)
        );
        assert_eq!(to.head().unwrap(), head, "not even a commit");
    }
}

#[test]
fn a_ref_that_moved_on_in_the_source_is_moved_on_in_the_target() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    let names = fill(&from);
    copied(&from, &to);
    step(&from, &names[0], "dddd");
    step(&from, &names[0], "eeeee");
    let report = copied(&from, &to);
    assert_eq!((report.refs_moved, report.refs_there), (1, 2));
    assert_eq!(report.blocks, 4);
    assert_eq!(stands(&to, &names[0]), stands(&from, &names[0]));
    assert_eq!(to.read_ref(&names[0]).unwrap().unwrap().version, 2);
    assert_sound(&to);
}

#[test]
fn a_ref_that_stands_elsewhere_is_refused_before_anything_is_written() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    let names = fill(&from);
    step(&to, &names[0], "mine");
    let head = to.head().unwrap();
    let refused = copy(&from, &to, &CopyOptions::default(), &Progress::default());
    match refused {
        Err(StoreError::RefsTaken {
            count: 1,
            names: taken,
        }) => {
            assert_eq!(taken, [names[0].to_string()]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(to.head().unwrap(), head);
    // The same target beside another record is another thing.
    let elsewhere = MemoryStore::new();
    copied(&from, &elsewhere);
    let (target, _) = stands(&from, &names[0]).unwrap();
    commit(
        &elsewhere,
        "main",
        vec![],
        vec![set(&names[0], Expect::Any, target, b"other")],
    );
    let refused = copy(
        &from,
        &elsewhere,
        &CopyOptions::default(),
        &Progress::default(),
    );
    assert!(matches!(refused, Err(StoreError::RefsTaken { .. })));

    let report = copy(
        &from,
        &to,
        &renaming("main", "from/afar"),
        &Progress::default(),
    )
    .unwrap();
    assert_eq!(report.refs_new, 3);
    let renamed = name("from/afar", "thread", "one");
    assert_eq!(stands(&to, &renamed), stands(&from, &names[0]));
    assert_eq!(stands(&to, &names[0]).unwrap().1, b"mine");
    assert_eq!(stands(&to, &names[2]), stands(&from, &names[2]));
    assert_sound(&to);
    let again = copy(
        &from,
        &to,
        &renaming("main", "from/afar"),
        &Progress::default(),
    )
    .unwrap();
    assert_eq!((again.refs_there, again.blocks), (3, 0));
}

#[test]
fn names_that_can_not_be_are_refused() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    fill(&from);
    for (old, new, why) in [
        ("nobody", "x", "no such scope"),
        ("main", "alice/b", "two scopes"),
        ("main", " ", "blank"),
    ] {
        let error = copy(&from, &to, &renaming(old, new), &Progress::default()).unwrap_err();
        assert!(matches!(error, StoreError::Invalid { .. }), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
    }
    assert_eq!(to.head().unwrap().position, 0);
}

#[test]
fn a_copy_that_was_cut_short_is_finished_by_the_next_one() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    let thread = name("main", "thread", "long");
    // More than one commit holds.
    let mut links = vec![];
    let blocks: Vec<Block> = (0..3000)
        .map(|number| {
            let block = node(&format!("{number}"), &links);
            links = vec![block.cid];
            block
        })
        .collect();
    let top = blocks.last().unwrap().cid;
    commit(
        &from,
        "main",
        blocks.clone(),
        vec![set(&thread, Expect::Absent, top, b"")],
    );
    // What the first commits of a copy leave.
    let half = Commit {
        scope: "main".into(),
        blocks: blocks[..1024].to_vec(),
        holds: vec![blocks[1023].cid],
        ..Commit::default()
    };
    to.submit(half).wait().unwrap();
    // A collection meanwhile takes nothing of it.
    to.gc(&GcOptions { dry_run: false }).unwrap();
    let report = copied(&from, &to);
    assert_eq!((report.blocks, report.refs_new), (3000 - 1024, 1));
    assert_eq!(to.stats().unwrap().holds, 3, "one for each commit");
    assert_sound(&to);
}

#[test]
fn collections_of_the_target_take_nothing_that_is_being_copied() {
    let (from, to) = (MemoryStore::new(), Arc::new(MemoryStore::new()));
    let names: Vec<RefName> = (0..40)
        .map(|number| name("main", "thread", &number.to_string()))
        .collect();
    for name in &names {
        let mut links = vec![];
        let blocks: Vec<Block> = (0..200)
            .map(|number| {
                let block = node(&format!("{name} {number}"), &links);
                links = vec![block.cid];
                block
            })
            .collect();
        let top = blocks.last().unwrap().cid;
        commit(
            &from,
            "main",
            blocks,
            vec![set(name, Expect::Absent, top, b"")],
        );
    }
    let over = Arc::new(AtomicBool::new(false));
    let (store, ends) = (Arc::clone(&to), Arc::clone(&over));
    let collecting = std::thread::spawn(move || {
        while !ends.load(SeqCst) {
            store.gc(&GcOptions { dry_run: false }).unwrap();
        }
    });
    let report = copied(&from, &*to);
    over.store(true, SeqCst);
    collecting.join().unwrap();
    assert_eq!((report.refs_new, report.blocks), (40, 8000));
    assert_sound(&*to);
}

#[test]
fn cancelled_and_broken_are_said() {
    let home = tempfile::tempdir().unwrap();
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    fill(&from);
    let progress = Progress::default();
    progress.cancel();
    let cancelled = copy(&from, &to, &CopyOptions::default(), &progress);
    assert!(matches!(cancelled, Err(StoreError::Cancelled)));
    assert_eq!(to.head().unwrap().position, 0);

    let broken = open(&home.path().join("broken"));
    fill(&broken);
    drop(broken);
    let path = home.path().join("broken/store.db");
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.execute(
        "UPDATE ref SET record = x'00' WHERE name LIKE 'main/pin/%'",
        [],
    )
    .unwrap();
    drop(conn);
    let broken: Arc<dyn Store> = Arc::new(open(&home.path().join("broken")));
    let error = copy(&*broken, &to, &CopyOptions::default(), &Progress::default());
    assert!(
        matches!(error, Err(StoreError::Corrupt { .. })),
        "{error:?}"
    );
    assert_eq!(to.head().unwrap().position, 0);
}
