//! A scope is erased and its forks live on: none of them has its name, in any file.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod scan;

use std::path::Path;
use std::sync::Arc;

use scan::find;
use treering_block::Block;
use treering_store::faults::{Call, Fault, Faults, FaultyStore};
use treering_store::progress::Progress;
use treering_store::scope::{FORKING, ForkOptions, discard, fork, unfinished};
use treering_store::{
    Address, BackupOptions, Change, Command, Commit, EmbeddedStore, EraseOptions, Expect,
    GcOptions, LeaseToken, OpenOptions, RefMove, RefName, Store, StoreError,
};

/// Of the scope; in nothing that it says.
const NAME: &str = "WHOSEname";

fn open(path: &Path) -> EmbeddedStore {
    let options = OpenOptions {
        automatic_gc: false,
        reserve_bytes: 0,
        ..OpenOptions::default()
    };
    EmbeddedStore::open(path, &options).unwrap()
}

fn said(store: &dyn Store, scope: &str, id: &str) -> bool {
    let commit = Commit {
        scope: scope.into(),
        command: Some(Command {
            address: Address::Scope(scope.into()),
            id: id.into(),
            payload: [1; 32],
            receipt: b"done".to_vec(),
        }),
        ..Commit::default()
    };
    store.submit(commit).wait().unwrap().replay.is_some()
}

fn fill(store: &dyn Store, scope: &str, refs: u64) {
    for number in 0..refs {
        let block = Block::raw(format!("{number} is said").into_bytes());
        let commit = Commit {
            scope: scope.into(),
            moves: vec![RefMove {
                name: RefName::new(scope, "thread", [number.to_string()]).unwrap(),
                expect: Expect::Any,
                change: Change::Set {
                    target: block.cid,
                    record: b"record".to_vec(),
                },
            }],
            blocks: vec![block],
            ..Commit::default()
        };
        store.submit(commit).wait().unwrap();
    }
}

fn forked(store: &dyn Store, from: &str, to: &str, at_once: usize) {
    let options = ForkOptions {
        command_id: Some(format!("fork to {to}")),
        at_once,
        at_a_time: 7,
        ..ForkOptions::default()
    };
    fork(store, from, to, &options, &Progress::default()).unwrap();
}

/// A fork that was cut short: its third commit finds no room.
fn begun(store: &Arc<EmbeddedStore>, to: &str) {
    let faults = Faults::default();
    let failing = FaultyStore::new(Arc::<EmbeddedStore>::clone(store), faults.clone());
    faults
        .plan(Call::Commit, Fault::DiskFull, 3, Some(1))
        .unwrap();
    let options = ForkOptions {
        at_once: 1,
        at_a_time: 7,
        ..ForkOptions::default()
    };
    assert!(fork(&failing, NAME, to, &options, &Progress::default()).is_err());
    assert_eq!(unfinished(&**store).unwrap()[0].from.as_deref(), Some(NAME));
}

fn clean(store: &dyn Store) {
    store.gc(&GcOptions::default()).unwrap();
    assert!(store.vacuum().unwrap().is_complete());
    assert_eq!(store.verify(None).unwrap().findings, []);
}

#[test]
fn no_file_has_the_name_of_an_erased_origin() {
    let home = tempfile::tempdir().unwrap();
    let (path, backup) = (home.path().join("store"), home.path().join("backup"));
    let store = Arc::new(open(&path));
    fill(&*store, NAME, 600);
    assert!(!said(&*store, NAME, "before"));
    forked(&*store, NAME, "bob", 1_000);
    forked(&*store, NAME, "carol", 10);
    forked(&*store, "bob", "dora", 10);
    begun(&store, "eve");
    assert!(!said(&*store, "bob", "own"));
    assert!(said(&*store, "dora", "before"));
    store.seal_journal(20).unwrap();
    let quick = BackupOptions { verify: false };
    store.backup(&backup, &quick, &Progress::default()).unwrap();
    for place in ["store.db", "journal/"] {
        let found = find(&path, NAME);
        assert!(found.iter().any(|one| one.starts_with(place)), "{found:?}");
    }

    store.erase(NAME, &EraseOptions::default()).unwrap();
    clean(&*store);
    assert_eq!(find(&path, NAME), Vec::<String>::new());
    // What is the forks' own is there, and is answered.
    for fork in ["bob", "carol", "dora"] {
        assert_eq!(store.kinds(fork).unwrap(), ["thread"]);
    }
    assert!(said(&*store, "bob", "own"));
    assert!(!said(&*store, "carol", "before"), "it went with the origin");
    let names = store.lineage("dora").unwrap().unwrap().ancestors;
    let names: Vec<_> = names.iter().map(|one| one.scope.as_deref()).collect();
    assert_eq!(names, [Some("bob"), None]);
    // What was cut short is still told, and can be cleared away.
    assert_eq!(unfinished(&*store).unwrap()[0].from, None);
    discard(&*store, "eve").unwrap();
    // A backup that is brought up to date has it as little.
    store.backup(&backup, &quick, &Progress::default()).unwrap();
    let found = find(&backup, NAME);
    assert!(
        !found.iter().any(|one| one.starts_with("journal/")),
        "{found:?}"
    );

    // The search finds what is there: a name that somebody writes into a fork's record.
    let step = RefMove {
        name: RefName::new("bob", "thread", ["0"]).unwrap(),
        expect: Expect::Any,
        change: Change::Set {
            target: Block::raw(b"0 is said".to_vec()).cid,
            record: NAME.into(),
        },
    };
    let planted = Commit {
        scope: "bob".into(),
        moves: vec![step],
        ..Commit::default()
    };
    store.submit(planted).wait().unwrap();
    assert_ne!(find(&path, NAME), Vec::<String>::new());
}

/// As forks in steps were written before: marker and lineage say the name, and are finished by what says a digest.
#[test]
fn a_fork_that_an_earlier_version_left_unfinished_is_finished() {
    let home = tempfile::tempdir().unwrap();
    let store = open(&home.path().join("store"));
    fill(&store, "alice", 20);
    let marker = RefName::new("bob", FORKING, [""; 0]).unwrap();
    let lease = store.lease_acquire(&marker, "forking alice").unwrap();
    let commit = Commit {
        scope: "bob".into(),
        moves: vec![RefMove {
            name: marker.clone(),
            expect: Expect::Absent,
            change: Change::Set {
                target: Block::raw(b"0 is said".to_vec()).cid,
                // The text "alice", DAG-CBOR.
                record: b"\x65alice".to_vec(),
            },
        }],
        leases: vec![LeaseToken {
            name: marker,
            token: lease.token,
        }],
        ..Commit::default()
    };
    store.submit(commit).wait().unwrap();
    store.lease_release(&lease).unwrap();
    assert_eq!(
        unfinished(&store).unwrap()[0].from.as_deref(),
        Some("alice")
    );
    forked(&store, "alice", "bob", 10);
    assert!(unfinished(&store).unwrap().is_empty());
    assert_eq!(
        store.list_refs("bob", "thread", None, 100).unwrap().len(),
        20
    );
    clean(&store);
}

#[test]
fn a_fork_that_is_being_erased_has_no_lineage_and_is_in_the_way_as_such() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state");
    let store = open(&path);
    fill(&store, NAME, 3);
    let store: Arc<dyn Store> = Arc::new(store);
    forked(&*store, NAME, "fork", 100);
    drop(store);
    let options = OpenOptions {
        lock_wait: std::time::Duration::from_millis(30),
        automatic_gc: false,
        reserve_bytes: 0,
        ..OpenOptions::default()
    };
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(&path, &options).unwrap());
    assert!(store.lineage("fork").unwrap().is_some());
    // Somebody is at another erase, so that this one begins and does not end.
    let other = std::fs::File::create(path.join("erase.lock")).unwrap();
    other.lock().unwrap();
    for _ in 0..2 {
        let unfinished = store.erase("fork", &EraseOptions::default()).unwrap_err();
        let told = unfinished.to_string();
        assert!(
            matches!(unfinished, StoreError::EraseUnfinished { .. }),
            "{told}"
        );
        assert!(told.contains("is erased and gone"), "{told}");
        assert!(!told.contains("write lock"), "{told}");
    }
    assert_eq!(store.lineage("fork").unwrap(), None);
    let fork_there = || {
        fork(
            &*store,
            NAME,
            "fork",
            &ForkOptions::default(),
            &Progress::default(),
        )
    };
    let refused = fork_there().unwrap_err();
    assert!(
        matches!(refused, StoreError::BeingErased { .. }),
        "{refused}"
    );
    other.unlock().unwrap();
    store.vacuum().unwrap();
    assert!(!fork_there().unwrap().replayed);
}
