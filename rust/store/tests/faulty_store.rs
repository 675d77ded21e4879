//! A store that fails as planned: it keeps the contract while nothing is planned, and what it fails is left
//! as the error says, on both backends.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;

use std::sync::Arc;
use std::time::{Duration, Instant};

use embedded::{commit, name, open, put};
use treering_block::Block;
use treering_store::conformance::Backend;
use treering_store::faults::{Call, Fault, Faults, FaultyStore};
use treering_store::{
    Change, Clock, Commit, Expect, GcOptions, LeaseToken, MemoryStore, RefMove, Store, StoreError,
};

struct Unplanned;

impl Backend for Unplanned {
    fn fresh(&self, clock: Clock) -> Arc<dyn Store> {
        let inner = Arc::new(MemoryStore::with_clock(clock));
        Arc::new(FaultyStore::new(inner, Faults::default()))
    }
}

treering_store::conformance!(Unplanned);

/// A block under a ref.
fn write(text: &str, expect: Expect) -> Commit {
    let block = Block::raw(text.as_bytes().to_vec());
    Commit {
        moves: vec![RefMove {
            name: name("one"),
            expect,
            change: Change::Set {
                target: block.cid,
                record: Vec::new(),
            },
        }],
        ..put(vec![block])
    }
}

/// Runs `test` over a store of each kind.
fn on_both(test: impl Fn(Arc<dyn Store>)) {
    test(Arc::new(MemoryStore::new()));
    let root = tempfile::tempdir().unwrap();
    test(Arc::new(open(&root.path().join("store"))));
}

fn faulty(inner: &Arc<dyn Store>) -> (FaultyStore, Faults) {
    let faults = Faults::default();
    (FaultyStore::new(Arc::clone(inner), faults.clone()), faults)
}

fn version(store: &dyn Store) -> u64 {
    store
        .read_ref(&name("one"))
        .unwrap()
        .map_or(0, |value| value.version)
}

#[test]
fn a_refused_commit_leaves_no_trace_and_the_next_one_lands() {
    on_both(|inner| {
        let (store, faults) = faulty(&inner);
        for fault in [Fault::DiskFull, Fault::Device, Fault::LockTimeout] {
            let (before, head) = (version(&*inner), inner.head().unwrap());
            faults.plan(Call::Commit, fault, 1, Some(1)).unwrap();
            let error = store
                .submit(write("x", Expect::Any))
                .wait()
                .expect_err("it was to fail");
            let fits = match fault {
                Fault::DiskFull => matches!(error, StoreError::DiskFull),
                Fault::Device => matches!(error, StoreError::Io { .. }),
                _ => matches!(error, StoreError::LockTimeout { .. }),
            };
            assert!(fits, "{fault:?} gave {error}");
            assert_eq!((version(&*inner), inner.head().unwrap()), (before, head));
            store.submit(write("x", Expect::Any)).wait().unwrap();
            assert_eq!(version(&*inner), before + 1);
        }
    });
}

#[test]
fn a_lost_answer_is_of_a_commit_that_landed_or_did_not() {
    on_both(|inner| {
        for landed in [false, true] {
            let (store, faults) = faulty(&inner);
            let before = version(&*inner);
            faults
                .plan(Call::Commit, Fault::CommitUnknown { landed }, 2, Some(1))
                .unwrap();
            store.submit(write("first", Expect::Any)).wait().unwrap();
            let lost = store.submit(write("lost", Expect::Any)).wait();
            assert!(matches!(lost, Err(StoreError::CommitUnknown { .. })));
            assert_eq!(version(&*inner), before + 1 + u64::from(landed));
            // As after any unknown end: no more writes, until it is opened anew or healed.
            let refused = store.submit(write("no", Expect::Any)).wait();
            assert!(matches!(refused, Err(StoreError::Poisoned { .. })));
            assert!(matches!(
                store.lease_acquire(&name("one"), "me"),
                Err(StoreError::Poisoned { .. })
            ));
            assert!(store.read_ref(&name("one")).is_ok());
            let again = FaultyStore::new(Arc::clone(&inner), faults.clone());
            again.submit(write("yes", Expect::Any)).wait().unwrap();
            faults
                .plan(Call::Commit, Fault::Poisoned, 1, Some(1))
                .unwrap();
            assert!(again.submit(commit()).wait().is_err());
            faults.heal();
            again.submit(commit()).wait().unwrap();
        }
    });
}

/// What the store itself refuses is no mystery, even if the answer was to be lost.
#[test]
fn a_refusal_is_never_unknown() {
    on_both(|inner| {
        let (store, faults) = faulty(&inner);
        let fault = Fault::CommitUnknown { landed: true };
        faults.plan(Call::Commit, fault, 1, Some(1)).unwrap();
        let refused = store.submit(write("x", Expect::Version(9))).wait();
        assert!(matches!(refused, Err(StoreError::RefMoved { .. })));
        store.submit(write("x", Expect::Absent)).wait().unwrap();
    });
}

#[test]
fn a_lost_lease_is_refused_by_the_stores_own_rule_and_can_be_taken_anew() {
    on_both(|inner| {
        let (store, faults) = faulty(&inner);
        store.submit(write("x", Expect::Absent)).wait().unwrap();
        let lease = store.lease_acquire(&name("one"), "me").unwrap();
        let under = |token| Commit {
            leases: vec![LeaseToken {
                name: name("one"),
                token,
            }],
            ..write("y", Expect::Any)
        };
        store.submit(under(lease.token)).wait().unwrap();
        faults
            .plan(Call::Commit, Fault::LeaseLost, 1, Some(1))
            .unwrap();
        store.submit(write("z", Expect::Any)).wait().unwrap();
        for _ in 0..2 {
            let lost = store.submit(under(lease.token)).wait();
            assert!(
                matches!(lost, Err(StoreError::LeaseLost { .. })),
                "{lost:?}"
            );
        }
        assert_eq!(version(&*inner), 3);
        let next = store.lease_acquire(&name("one"), "me again").unwrap();
        assert_eq!(next.token, lease.token + 1);
        store.submit(under(next.token)).wait().unwrap();
    });
}

#[test]
fn reads_fail_by_name_and_only_as_planned() {
    on_both(|inner| {
        let (store, faults) = faulty(&inner);
        let block = Block::raw(b"x".to_vec());
        store.submit(put(vec![block.clone()])).wait().unwrap();
        faults.plan(Call::Read, Fault::Corrupt, 2, Some(1)).unwrap();
        assert_eq!(store.get(&block.cid).unwrap(), block.bytes);
        match store.get(&block.cid) {
            Err(StoreError::Corrupt { which, .. }) => assert_eq!(which, block.cid.to_string()),
            other => panic!("{other:?}"),
        }
        assert_eq!(store.get(&block.cid).unwrap(), block.bytes);
        assert_eq!((faults.calls(Call::Read), faults.injected()), (3, 1));
    });
}

#[test]
fn a_collection_that_fails_collects_nothing() {
    on_both(|inner| {
        let (store, faults) = faulty(&inner);
        let garbage = Commit {
            blocks: vec![Block::raw(b"garbage".to_vec())],
            ..commit()
        };
        store.submit(garbage).wait().unwrap();
        faults.plan(Call::Gc, Fault::Device, 1, Some(1)).unwrap();
        let real = GcOptions { dry_run: false };
        assert!(matches!(store.gc(&real), Err(StoreError::Io { .. })));
        assert_eq!(inner.stats().unwrap().blocks, 1);
        assert_eq!(store.gc(&real).unwrap().deleted, 1);
    });
}

/// A late answer is late; the commit is not, and no later answer overtakes it.
#[test]
fn late_answers_keep_their_order() {
    on_both(|inner| {
        let (store, faults) = faulty(&inner);
        let late = Duration::from_millis(300);
        faults
            .plan(Call::Commit, Fault::Slow(late), 1, Some(1))
            .unwrap();
        let began = Instant::now();
        let first = store.submit(write("first", Expect::Absent));
        let second = store.submit(write("second", Expect::Version(1)));
        assert!(first.poll().is_none(), "it is answered only by and by");
        let second = second.wait().unwrap();
        let first = first.poll().expect("answered before the second").unwrap();
        assert!(began.elapsed() >= late);
        assert_eq!(second.position, first.position + 1);
        drop(store);
    });
}
