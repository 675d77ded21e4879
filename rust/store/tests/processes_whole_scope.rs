//! Whole scopes and several processes: who erases together erases once, what others do meanwhile is done or refused in words,
//! and a lock that somebody else has leaves nothing half.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod processes;

use std::path::Path;
use std::time::Duration;

use processes::{Other, report, told, until};
use treering_block::Block;
use treering_store::progress::Progress;
use treering_store::scope::{ForkOptions, discard, fork, refs, unfinished};
use treering_store::{
    Address, BackupOptions, Change, Command, Commit, EmbeddedStore, EraseOptions, Expect,
    GcOptions, OpenOptions, RefMove, RefName, Store, StoreError,
};

const VICTIM: &str = "victim";
const REFS: u64 = 300;

fn open(directory: &Path) -> EmbeddedStore {
    let options = OpenOptions {
        automatic_gc: false,
        reserve_bytes: 0,
        ..OpenOptions::default()
    };
    EmbeddedStore::open(directory.join("store"), &options).unwrap()
}

/// A pair of refs that always say the same.
fn write(store: &dyn Store, scope: &str, number: u64) -> Result<(), StoreError> {
    let block = Block::raw(format!("{scope} says {number}").into_bytes());
    let both = ["one", "two"].map(|side| RefMove {
        name: RefName::new(scope, "pin", [format!("{side} {}", number % (REFS / 2))]).unwrap(),
        expect: Expect::Any,
        change: Change::Set {
            target: block.cid,
            record: number.to_le_bytes().to_vec(),
        },
    });
    let commit = Commit {
        scope: scope.into(),
        moves: both.to_vec(),
        blocks: vec![block],
        command: Some(Command {
            address: Address::Scope(scope.into()),
            id: number.to_string(),
            payload: [1; 32],
            receipt: b"done".to_vec(),
        }),
        ..Commit::default()
    };
    store.submit(commit).wait().map(drop)
}

fn fill(store: &dyn Store) {
    for number in 0..REFS / 2 {
        write(store, VICTIM, number).unwrap();
        write(store, "other", number).unwrap();
    }
}

fn erase(store: &dyn Store) -> Result<treering_store::Erased, StoreError> {
    let options = EraseOptions {
        command_id: Some("once".into()),
        // So that others come in between many times.
        rows_at_a_time: 10,
        ..EraseOptions::default()
    };
    store.erase(VICTIM, &options)
}

fn forked(store: &dyn Store, to: &str, at_once: usize) -> Result<u64, StoreError> {
    let options = ForkOptions {
        command_id: Some(to.to_owned()),
        at_once,
        at_a_time: 20,
        ..ForkOptions::default()
    };
    fork(store, VICTIM, to, &options, &Progress::default()).map(|forked| forked.refs)
}

/// Both sides of each pair, and nothing of two moments.
fn whole(store: &dyn Store, scope: &str) -> u64 {
    let all = refs::all(store, scope).unwrap();
    let said = |side: &str| -> Vec<Vec<u8>> {
        let of = all
            .iter()
            .filter(|(name, _)| name.parts()[0].starts_with(side));
        of.map(|(_, value)| value.record.clone()).collect()
    };
    assert_eq!(said("one"), said("two"), "{scope}");
    all.len() as u64
}

/// What the other process does until it is told to stop; nothing when run as a test.
#[test]
fn other_process() {
    let Some((role, directory)) = processes::role() else {
        return;
    };
    let store = open(&directory);
    report("ready");
    let (sender, stop) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        while let Some(line) = told() {
            drop(sender.send(line));
        }
    });
    if role == "erase" {
        stop.recv().unwrap();
        let erased = erase(&store).unwrap();
        report(&format!("{} {}", erased.figures.refs, erased.replayed));
        return;
    }
    if role == "hold the lock" {
        store.on_commit_sync(|| {
            report("held");
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        });
        drop(write(&store, "other", 1));
        return;
    }
    let (mut done, mut refused) = (0, 0);
    while stop.try_recv().is_err() {
        let answer = match role.as_str() {
            "write" => write(&store, VICTIM, 1_000 + done),
            "fork" => forked(
                &store,
                &format!("fork {done}"),
                [1, 1_000][done as usize % 2],
            )
            .map(drop),
            "back up" => {
                let path = directory.join("backup");
                let quick = BackupOptions { verify: false };
                store.backup(path, &quick, &Progress::default()).map(drop)
            }
            "collect" => store.gc(&GcOptions::default()).map(drop),
            _ => {
                // Of one look: the pages of a list are several.
                let name = |side: &str| RefName::new(VICTIM, "pin", [format!("{side} 7")]).unwrap();
                let one = store.read_ref(&name("one")).unwrap();
                if one.is_none() {
                    assert!(
                        store
                            .read_ref(&name("two"))
                            .unwrap()
                            .is_none_or(|two| two.version == 1)
                    );
                }
                store
                    .verify(None)
                    .map(|report| assert_eq!(report.findings, []))
            }
        };
        match answer {
            Ok(()) => done += 1,
            Err(
                StoreError::BeingErased { .. }
                | StoreError::ScopeNotFound { .. }
                | StoreError::LockTimeout { .. }
                | StoreError::EraseUnfinished { .. },
            ) => refused += 1,
            Err(other) => panic!("{role}: {other:?}"),
        }
    }
    report(&format!("{done} {refused}"));
}

fn start(role: &str, directory: &Path) -> Other {
    let mut other = Other::start(role, directory);
    assert_eq!(other.heard(), "ready");
    other
}

fn sound(store: &dyn Store) {
    assert_eq!(store.verify(None).unwrap().findings, []);
}

#[test]
fn two_processes_that_erase_together_erase_once() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    fill(&store);
    let mut both = [start("erase", home.path()), start("erase", home.path())];
    for other in &mut both {
        other.tell("go");
    }
    let mut said = both.each_mut().map(Other::heard);
    both.into_iter().for_each(Other::join);
    said.sort();
    assert_eq!(said, [format!("{REFS} false"), format!("{REFS} true")]);
    assert_eq!(store.erasures().unwrap().notes.len(), 1);
    assert_eq!(store.scopes().unwrap(), ["other"]);
    assert_eq!(store.receipts(VICTIM, None, 1_000).unwrap().len(), 0);
    assert!(erase(&store).unwrap().replayed);
    sound(&store);
}

#[test]
fn others_write_fork_read_collect_and_back_up_while_one_erases() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    fill(&store);
    let roles = ["write", "fork", "read", "collect", "back up"];
    let mut others = roles.map(|role| start(role, home.path()));
    let somebody_forked = || {
        store
            .scopes()
            .unwrap()
            .iter()
            .any(|scope| scope.starts_with("fork"))
    };
    until("somebody forked", somebody_forked);
    let erased = erase(&store).unwrap();
    assert!(erased.figures.refs >= REFS && !erased.replayed);
    for other in &mut others {
        other.tell("stop");
    }
    for (role, other) in roles.iter().zip(&mut others) {
        let said = other.heard();
        assert!(!said.starts_with("0 "), "{role} did nothing: {said}");
    }
    others.into_iter().for_each(Other::join);
    sound(&store);
    // Whole forks alone, of before the erase, or of what was written after it.
    for scope in store.scopes().unwrap() {
        whole(&store, &scope);
    }
    assert!(unfinished(&store).unwrap().is_empty());
    assert!(erase(&store).unwrap().replayed);
    // What was written since is a new life.
    let new = EraseOptions::default();
    store.erase(VICTIM, &new).unwrap();
    assert!(!store.scopes().unwrap().contains(&VICTIM.to_owned()));
    store.gc(&GcOptions::default()).unwrap();
    assert!(store.vacuum().unwrap().is_complete());
    sound(&store);
}

#[test]
fn a_lock_that_another_process_has_leaves_nothing_half() {
    let home = tempfile::tempdir().unwrap();
    fill(&open(home.path()));
    let mut other = start("hold the lock", home.path());
    assert_eq!(other.heard(), "held");
    let options = OpenOptions {
        automatic_gc: false,
        lock_wait: Duration::from_millis(300),
        ..OpenOptions::default()
    };
    let store = EmbeddedStore::open(home.path().join("store"), &options).unwrap();
    let holder = other.child.id().to_string();
    let refused = |error: StoreError| {
        assert!(
            matches!(&error, StoreError::LockTimeout { holder: named, .. } if named.contains(&holder)),
            "{error:?}"
        );
    };
    for at_once in [1, 1_000] {
        refused(forked(&store, "fork", at_once).unwrap_err());
    }
    refused(erase(&store).unwrap_err());
    assert_eq!(whole(&store, VICTIM), REFS);
    assert!(store.lineage("fork").unwrap().is_none());
    assert!(store.erasures().unwrap().notes.is_empty());
    other.kill();
    // Nothing is left in the way of the same once more.
    assert!(unfinished(&store).unwrap().is_empty());
    assert_eq!(forked(&store, "fork", 1).unwrap(), REFS);
    assert_eq!(erase(&store).unwrap().figures.refs, REFS);
    assert_eq!(whole(&store, "fork"), REFS);
    assert!(matches!(
        discard(&store, "fork"),
        Err(StoreError::Invalid { .. })
    ));
    sound(&store);
}
