//! Leases that a disk which failed left with nobody: the process that asked for one, or gave it back, can have it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;

use std::path::Path;
use std::sync::Arc;

use embedded::name;
use treering_block::Block;
use treering_store::faults::{Among, Failure, Recorder};
use treering_store::{Commit, Disk, EmbeddedStore, Lease, OpenOptions, Store, StoreError, caller};

fn open(root: &Path, recorder: &Arc<Recorder>) -> EmbeddedStore {
    let options = OpenOptions {
        disk: Disk::behind(Arc::clone(recorder) as _),
        ..OpenOptions::default()
    };
    EmbeddedStore::open(root.join("store"), &options).unwrap()
}

/// Does it, on a disk of which an operation fails, until it is done; opens the store anew where that is the way out.
/// Whatever fails says so: nobody is said to have the lease.
fn until_done<T>(
    store: &mut EmbeddedStore,
    reopen: impl Fn() -> EmbeddedStore,
    work: impl Fn(&EmbeddedStore) -> Result<T, StoreError>,
    when: &str,
) -> T {
    for _ in 0..3 {
        match work(store) {
            Ok(done) => return done,
            Err(StoreError::Io { .. } | StoreError::DiskFull) => {}
            Err(StoreError::CommitUnknown { .. } | StoreError::Poisoned { .. }) => {
                *store = reopen()
            }
            Err(other) => panic!("{when}: {other:?}"),
        }
    }
    panic!("{when}: never done");
}

/// False: so many operations there are not.
fn live(n: u64, among: Among, failure: Failure) -> bool {
    let root = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::new(root.path()).unwrap());
    let mut store = open(root.path(), &recorder);
    let reopen = || open(root.path(), &recorder);
    let when = format!("{failure:?} at {n}");
    recorder.fail(among, n, failure, false);
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let take = |store: &EmbeddedStore| store.lease_acquire(&name("x"), "me");
        let lease: Lease = until_done(&mut store, reopen, take, &when);
        // Who has it is not passed over.
        assert!(
            store.lease_state(&name("x")).unwrap().unwrap().held,
            "{when}"
        );
        tokens.push(lease.token);
        // Given back once, whatever is answered.
        match store.lease_release(&lease) {
            Ok(()) => {}
            Err(StoreError::Io { .. } | StoreError::DiskFull) => {}
            Err(StoreError::CommitUnknown { .. } | StoreError::Poisoned { .. }) => store = reopen(),
            Err(other) => panic!("{when}: {other:?}"),
        }
        assert!(
            !store.lease_state(&name("x")).unwrap().unwrap().held,
            "{when}"
        );
    }
    assert!(
        tokens.is_sorted_by(|one, next| one < next),
        "{when}: {tokens:?}"
    );
    recorder.failed() > 0
}

#[test]
fn any_write_or_sync_may_fail() {
    for (among, failure) in [
        (Among::All, Failure::Device),
        (Among::Writes, Failure::HalfThenFull),
        (Among::Syncs, Failure::Device),
    ] {
        let failed = (0..).take_while(|n| live(*n, among, failure)).count();
        assert!(failed > 0, "{among:?}");
    }
}

/// Holds the lock between processes, as another one does.
fn held_lock(root: &Path) -> std::fs::File {
    let path = root.join("store").join("lock");
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.lock().unwrap();
    file
}

#[test]
fn who_went_while_he_waited_has_none_and_lost_none() {
    let root = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::without_trace());
    let store = open(root.path(), &recorder);
    let had = store.lease_acquire(&name("x"), "me").unwrap();
    let other = held_lock(root.path());
    let gone = Arc::new(|| true);
    let left = caller::unless(gone.clone(), || store.lease_acquire(&name("y"), "me"));
    assert!(matches!(left, Err(StoreError::Cancelled)));
    let left = caller::unless(gone.clone(), || store.lease_release(&had));
    assert!(matches!(left, Err(StoreError::Cancelled)));
    let ticket = store.submit(Commit {
        scope: "main".into(),
        blocks: vec![Block::raw(b"x".as_slice())],
        ..Commit::default()
    });
    let left = caller::unless(gone, || ticket.wait());
    assert!(matches!(left, Err(StoreError::Cancelled)));
    drop(other);
    // What was queued is done in its order: the one was never granted, the other was given back, the commit landed.
    ticket.wait().unwrap();
    assert!(store.lease_state(&name("y")).unwrap().is_none());
    assert!(!store.lease_state(&name("x")).unwrap().unwrap().held);
    store.lease_acquire(&name("x"), "me").unwrap();
}

#[test]
fn who_has_a_lease_keeps_it_when_the_store_is_opened_anew() {
    let root = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::without_trace());
    let store = open(root.path(), &recorder);
    let lease = store.lease_acquire(&name("x"), "me").unwrap();
    store.lease_release(&lease).unwrap();
    let lease = store.lease_acquire(&name("x"), "me").unwrap();
    drop(store);
    let store = open(root.path(), &recorder);
    let refused = store.lease_acquire(&name("x"), "me");
    assert!(matches!(refused, Err(StoreError::LeaseHeld { .. })));
    // One that was given back late is not the one that is held.
    store.lease_release(&lease).unwrap();
    store.lease_acquire(&name("x"), "me").unwrap();
    store.lease_release(&lease).unwrap();
    assert!(store.lease_state(&name("x")).unwrap().unwrap().held);
}
