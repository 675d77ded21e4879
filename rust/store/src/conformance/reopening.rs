//! What a store says after it was closed and opened again. Skipped, by name, where nothing outlives a handle.

use std::sync::Arc;

use super::material::{
    assert_sound, command, done, fresh, moving, name, node, picture, put, raw, remove, set, version,
};
use super::{Backend, cases};
use crate::clock::Clock;
use crate::commit::{Address, BLOB_BYTES_MIN, Commit, Durability, Expect};
use crate::error::StoreError;
use crate::store::Store;

cases!("reopening":
    everything_is_as_it_was,
    work_goes_on,
    leases_go_on,
    time_does_not_go_back_over_a_reopening,
);

fn reopened(backend: &dyn Backend, store: Arc<dyn Store>, clock: Clock) -> Option<Arc<dyn Store>> {
    store.close().unwrap();
    let again = backend.reopen(&*store, clock);
    if again.is_none() {
        println!("skipped: {} does not outlive its handle", store.location());
    }
    again
}

fn everything_is_as_it_was(backend: &dyn Backend) {
    let store = fresh(backend);
    let (leaf, large) = (raw("leaf"), raw(vec![3; BLOB_BYTES_MIN + 5]));
    let top = node("top", &[leaf.cid, large.cid]);
    let all = [leaf.clone(), large, top.clone()];
    let kinds = [
        Commit {
            holds: vec![leaf.cid],
            ..put(all.clone())
        },
        Commit {
            durability: Durability::Durable,
            ..moving(set(&name("x"), Expect::Absent, top.cid))
        },
        Commit {
            command: Some(command(Address::Ref(name("x")), "1", 1)),
            ..put([])
        },
        moving(set(&name("y"), Expect::Absent, leaf.cid)),
        moving(remove(&name("y"), Expect::Version(1))),
    ];
    let mut store = store;
    for commit in kinds {
        done(&*store, commit);
        let (before, journal) = (picture(&*store), store.journal(None, 99).unwrap());
        let Some(again) = reopened(backend, store, Clock::system()) else {
            return;
        };
        assert_eq!(picture(&*again), before);
        assert_eq!(again.journal(None, 99).unwrap(), journal);
        assert_sound(&*again);
        store = again;
    }
    for block in &all {
        assert_eq!(store.get(&block.cid).unwrap(), block.bytes);
    }
    assert_eq!(
        store
            .receipt(&Address::Ref(name("x")), "1")
            .unwrap()
            .unwrap()
            .1,
        b"receipt of 1"
    );
}

fn work_goes_on(backend: &dyn Backend) {
    let store = fresh(backend);
    let first = Commit {
        command: Some(command(Address::Scope("main".into()), "1", 1)),
        ..put([raw("a")])
    };
    done(&*store, first.clone());
    done(
        &*store,
        moving(set(&name("x"), Expect::Absent, raw("a").cid)),
    );
    let (head, last) = (
        store.head().unwrap(),
        store.blocks(0, 9).unwrap().last().unwrap().ordinal,
    );
    let Some(store) = reopened(backend, store, Clock::system()) else {
        return;
    };
    assert!(done(&*store, first).replay.is_some());
    assert_eq!(done(&*store, put([raw("a")])).new_blocks, 0);
    let parent = raw("a").cid;
    done(
        &*store,
        Commit {
            moves: vec![set(&name("x"), Expect::Version(1), parent)],
            ..put([node("b", &[parent])])
        },
    );
    assert_eq!(version(&*store, &name("x")), 2);
    assert_eq!(
        store.journal(Some(&head.cursor()), 9).unwrap()[0].position,
        head.position + 1
    );
    assert!(store.blocks(last, 9).unwrap()[0].ordinal > last);
    assert_eq!(store.verify(Some(&head)).unwrap().findings, []);
}

fn leases_go_on(backend: &dyn Backend) {
    let store = fresh(backend);
    let first = store.lease_acquire(&name("x"), "me").unwrap();
    let Some(store) = reopened(backend, store, Clock::system()) else {
        return;
    };
    // The process is the same, and alive.
    assert!(matches!(
        store.lease_acquire(&name("x"), "me"),
        Err(StoreError::LeaseHeld { .. })
    ));
    store.lease_release(&first).unwrap();
    let Some(store) = reopened(backend, store, Clock::system()) else {
        return;
    };
    assert_eq!(
        store.lease_acquire(&name("x"), "me").unwrap().token,
        first.token + 1
    );
}

fn time_does_not_go_back_over_a_reopening(backend: &dyn Backend) {
    let store = backend.fresh(Clock::manual(9000));
    done(&*store, put([raw("a")]));
    let Some(store) = reopened(backend, store, Clock::manual(10)) else {
        return;
    };
    assert_eq!(
        (store.now_ms(), done(&*store, put([raw("b")])).at_ms),
        (10, 9000)
    );
    assert_sound(&*store);
}
