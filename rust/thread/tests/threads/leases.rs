//! Leases: one worker at a time, and none that lost it goes on.

use treering_store::{Change, Commit, Durability, Expect, RefMove, RefName, Store, StoreError};
use treering_thread::{Filter, Status, ThreadError, Threads};

use crate::staged::Staged;
use crate::{begun, fresh, timeless};

#[test]
fn a_lease_makes_a_thread_run() {
    let (_, _, threads) = fresh();
    let thread = begun(&threads);
    let lease = thread.lease("worker-1").unwrap();
    assert!(lease.token() > 0);
    let seen = threads.get(thread.id()).unwrap();
    assert_eq!(
        (thread.info().status, seen.info().status),
        (Status::Running, Status::Running)
    );
    assert_eq!(seen.info().lease_owner.as_deref(), Some("worker-1"));
    let running = |status| {
        threads
            .list(&Filter {
                status: Some(status),
                ..Filter::default()
            })
            .unwrap()
            .len()
    };
    assert_eq!((running(Status::Running), running(Status::Idle)), (1, 0));
    match seen.lease("worker-2") {
        Err(ThreadError::Store(StoreError::LeaseHeld { holder, .. })) => {
            assert!(holder.contains("worker-1"))
        }
        other => panic!("{other:?}"),
    }
    thread
        .append(timeless("coder", "x"))
        .unwrap()
        .wait()
        .unwrap();
    match seen.rm(false, None) {
        Err(ThreadError::WrongStatus {
            status: Status::Running,
            verb: "rm",
            ..
        }) => {}
        other => panic!("{:?}", other.map(|_| ())),
    }
    lease.release().unwrap();
    assert_eq!(thread.info().status, Status::Idle);
    let next = seen.lease("worker-2").unwrap();
    drop(next);
    assert_eq!(
        threads.get(thread.id()).unwrap().info().status,
        Status::Idle,
        "dropping gives it back"
    );
}

#[test]
fn a_leased_thread_that_failed_shows_as_failed_and_can_be_removed() {
    let (_, _, threads) = fresh();
    let thread = begun(&threads);
    let _lease = thread.lease("worker-1").unwrap();
    thread.fail("out of budget", None).unwrap().wait().unwrap();
    let seen = threads.get(thread.id()).unwrap();
    assert_eq!(seen.info().status, Status::Failed);
    seen.rm(false, None).unwrap().wait().unwrap();
    assert!(matches!(
        threads.get(thread.id()),
        Err(ThreadError::NotFound { .. })
    ));
}

#[test]
fn a_lost_lease_can_not_append() {
    let (store, _, threads) = fresh();
    let thread = begun(&threads);
    let lease = thread.lease("worker-1").unwrap();
    let name = treering_store::RefName::new("main", "thread", [thread.id()]).unwrap();
    // What a take-over leaves: the token given back and granted anew.
    store
        .lease_release(&treering_store::Lease {
            name: name.clone(),
            token: lease.token(),
        })
        .unwrap();
    let taken = store.lease_acquire(&name, "worker-2").unwrap();
    assert!(taken.token > lease.token());
    let lost = |result: Result<(), ThreadError>| {
        assert!(
            matches!(
                result,
                Err(ThreadError::Store(StoreError::LeaseLost { .. }))
            ),
            "{result:?}"
        );
    };
    lost(
        thread
            .append(timeless("coder", "x"))
            .unwrap()
            .wait()
            .map(|_| ()),
    );
    lost(thread.finish(0, "", None).unwrap().wait().map(|_| ()));
    lost(thread.fail("x", None).unwrap().wait().map(|_| ()));
    assert_eq!(threads.get(thread.id()).unwrap().len(), 0);
    lease.release().unwrap();
    assert!(
        store.lease_state(&name).unwrap().unwrap().held,
        "the new holder keeps it"
    );
}

#[test]
fn force_removes_a_running_thread_and_others_may_cancel_it() {
    let (_, _, threads) = fresh();
    let thread = begun(&threads);
    let lease = thread.lease("worker-1").unwrap();
    threads
        .get(thread.id())
        .unwrap()
        .cancel("stop", None)
        .unwrap()
        .wait()
        .unwrap();
    assert!(matches!(
        thread
            .append(timeless("coder", "x"))
            .and_then(|pending| pending.wait()),
        Err(ThreadError::WrongStatus {
            status: Status::Cancelled,
            ..
        })
    ));
    threads
        .get(thread.id())
        .unwrap()
        .rm(true, None)
        .unwrap()
        .wait()
        .unwrap();
    assert!(matches!(
        thread.lease("again"),
        Err(ThreadError::NotFound { .. })
    ));
    lease.release().unwrap();
}

#[test]
fn a_thread_that_goes_just_before_its_lease_is_granted_leaves_none() {
    let store = Staged::new();
    let threads = Threads::new(store.clone(), "main", Durability::Durable).unwrap();
    let thread = begun(&threads);
    let name = RefName::new("main", "thread", [thread.id()]).unwrap();
    let value = store.read_ref(&name).unwrap().unwrap();
    *store.removed_first.lock().unwrap() = Some(Commit {
        scope: "main".into(),
        moves: vec![RefMove {
            name: name.clone(),
            expect: Expect::Version(value.version),
            change: Change::Delete,
        }],
        ..Commit::default()
    });
    let refused = thread.lease("worker-1");
    assert!(matches!(refused, Err(ThreadError::NotFound { .. })));
    assert!(!store.lease_state(&name).unwrap().unwrap().held);
    store.vacuum().unwrap();
    assert_eq!(store.lease_state(&name).unwrap(), None);
}
