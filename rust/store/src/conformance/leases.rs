//! Leases, as far as one process sees them.

use super::material::{
    assert_sound, command, done, fresh, moving, name, put, raw, refusal, remove, set,
};
use super::{Backend, cases};
use crate::clock::Clock;
use crate::commit::{Address, Commit, Expect, LeaseToken};
use crate::error::StoreError;
use crate::lease::{Identity, LEASE_MS, Lease};

cases!("leases":
    one_holder_at_a_time,
    a_living_holder_keeps_it_beyond_its_time,
    refs_are_leased_one_by_one,
    only_the_newest_token_releases,
    a_lost_lease_can_not_commit,
    a_commit_under_a_lease_moves_its_end,
    leases_are_no_history,
    a_vacuum_takes_away_what_nobody_needs,
);

fn token(lease: &Lease) -> LeaseToken {
    LeaseToken {
        name: lease.name.clone(),
        token: lease.token,
    }
}

fn one_holder_at_a_time(backend: &dyn Backend) {
    let store = fresh(backend);
    // The ref need not be there.
    let first = store.lease_acquire(&name("x"), "planner").unwrap();
    assert_eq!((&first.name, first.token), (&name("x"), 1));
    match store.lease_acquire(&name("x"), "coder") {
        Err(StoreError::LeaseHeld {
            name: which,
            holder,
        }) => {
            assert_eq!(which, name("x"));
            assert!(
                holder.contains("planner") && holder.contains(&std::process::id().to_string()),
                "{holder}"
            );
        }
        other => panic!("{other:?}"),
    }
    let state = store.lease_state(&name("x")).unwrap().unwrap();
    assert_eq!(
        (state.token, state.owner.as_str(), state.held),
        (1, "planner", true)
    );
    assert_eq!(state.identity, Identity::current());
    store.lease_release(&first).unwrap();
    assert!(!store.lease_state(&name("x")).unwrap().unwrap().held);
    let second = store.lease_acquire(&name("x"), "coder").unwrap();
    assert_eq!(second.token, 2, "tokens grow");
    assert_eq!(
        store.lease_state(&name("x")).unwrap().unwrap().owner,
        "coder"
    );
}

fn a_living_holder_keeps_it_beyond_its_time(backend: &dyn Backend) {
    let clock = Clock::manual(1_000_000);
    let store = backend.fresh(clock.clone());
    store.lease_acquire(&name("x"), "").unwrap();
    clock.advance(3 * LEASE_MS);
    // Only where a process can be looked at; elsewhere time is all there is.
    if cfg!(target_os = "linux") {
        assert!(store.lease_state(&name("x")).unwrap().unwrap().held);
        assert!(matches!(
            store.lease_acquire(&name("x"), ""),
            Err(StoreError::LeaseHeld { .. })
        ));
    }
}

fn refs_are_leased_one_by_one(backend: &dyn Backend) {
    let store = fresh(backend);
    assert_eq!(store.lease_state(&name("y")).unwrap(), None);
    store.lease_acquire(&name("x"), "").unwrap();
    assert_eq!(store.lease_acquire(&name("y"), "").unwrap().token, 1);
}

fn only_the_newest_token_releases(backend: &dyn Backend) {
    let store = fresh(backend);
    let first = store.lease_acquire(&name("x"), "").unwrap();
    store.lease_release(&first).unwrap();
    store.lease_release(&first).unwrap();
    let second = store.lease_acquire(&name("x"), "").unwrap();
    store.lease_release(&first).unwrap();
    store
        .lease_release(&Lease {
            name: name("never"),
            token: 1,
        })
        .unwrap();
    assert!(
        store.lease_state(&name("x")).unwrap().unwrap().held,
        "an old token took a new lease away"
    );
    store.lease_release(&second).unwrap();
    assert!(!store.lease_state(&name("x")).unwrap().unwrap().held);
}

fn a_lost_lease_can_not_commit(backend: &dyn Backend) {
    let store = fresh(backend);
    done(&*store, put([raw("a")]));
    let first = store.lease_acquire(&name("x"), "").unwrap();
    let under = |lease: LeaseToken, id: &str| Commit {
        leases: vec![lease],
        command: Some(command(Address::Ref(name("x")), id, 1)),
        blocks: vec![raw(id)],
        ..moving(set(&name("x"), Expect::Any, raw("a").cid))
    };
    assert_eq!(done(&*store, under(token(&first), "1")).versions, [1]);
    store.lease_release(&first).unwrap();
    let lost = |lease: LeaseToken| {
        let shown = lease.token;
        let error = refusal(&*store, under(lease, "2"));
        assert!(
            matches!(&error, StoreError::LeaseLost { token, .. } if *token == shown),
            "{error:?}"
        );
    };
    lost(token(&first));
    let second = store.lease_acquire(&name("x"), "").unwrap();
    lost(token(&first));
    lost(LeaseToken {
        name: name("x"),
        token: 3,
    });
    lost(LeaseToken {
        name: name("x"),
        token: 0,
    });
    // Another ref's token says nothing about this one, but each is looked at.
    lost(LeaseToken {
        name: name("y"),
        token: 1,
    });
    assert_eq!(done(&*store, under(token(&second), "3")).versions, [2]);
    // Removing the ref does not give the lease back.
    done(&*store, moving(remove(&name("x"), Expect::Any)));
    assert!(store.lease_state(&name("x")).unwrap().unwrap().held);
    assert_sound(&*store);
}

fn a_commit_under_a_lease_moves_its_end(backend: &dyn Backend) {
    let clock = Clock::manual(1_000_000);
    let store = backend.fresh(clock.clone());
    let lease = store.lease_acquire(&name("x"), "").unwrap();
    let end = || {
        store
            .lease_state(&name("x"))
            .unwrap()
            .unwrap()
            .expires_at_ms
    };
    assert_eq!(end(), 1_000_000 + LEASE_MS);
    clock.advance(500);
    done(
        &*store,
        Commit {
            leases: vec![token(&lease)],
            ..put([raw("a")])
        },
    );
    assert_eq!(end(), 1_000_500 + LEASE_MS);
    clock.advance(500);
    done(&*store, put([raw("b")]));
    assert_eq!(
        end(),
        1_000_500 + LEASE_MS,
        "a commit that does not rest on it"
    );
}

fn leases_are_no_history(backend: &dyn Backend) {
    let store = fresh(backend);
    let lease = store.lease_acquire(&name("x"), "").unwrap();
    done(
        &*store,
        Commit {
            leases: vec![token(&lease)],
            ..put([])
        },
    );
    store.lease_release(&lease).unwrap();
    assert_eq!(store.head().unwrap().position, 0);
    assert!(store.scopes().unwrap().is_empty(), "a lease makes no ref");
    assert_sound(&*store);
}

fn a_vacuum_takes_away_what_nobody_needs(backend: &dyn Backend) {
    let store = fresh(backend);
    let block = raw("x");
    let live = set(&name("live"), Expect::Absent, block.cid);
    let mut commit = moving(live);
    commit.blocks = vec![block];
    done(&*store, commit);
    let take = |of: &str| store.lease_acquire(&name(of), "").unwrap();
    let state = |of: &str| store.lease_state(&name(of)).unwrap();
    store.lease_release(&take("live")).unwrap();
    let held = take("held");
    let mut old = take("gone");
    for _ in 0..3 {
        store.lease_release(&old).unwrap();
        old = take("gone");
    }
    store.lease_release(&old).unwrap();
    // More than are looked at together, on both sides of those that stay.
    for number in 0..600 {
        store
            .lease_release(&take(&format!("{number} gone")))
            .unwrap();
        store.lease_release(&take(&format!("z{number}"))).unwrap();
    }
    store.vacuum().unwrap();
    assert!(state("live").is_some_and(|state| !state.held));
    assert!(state("held").is_some_and(|state| state.held && state.token == held.token));
    assert_eq!(state("gone"), None);
    for number in 0..600 {
        assert_eq!(state(&format!("{number} gone")), None);
        assert_eq!(state(&format!("z{number}")), None);
    }
    // Whoever had one finds it lost, before and after it is granted again.
    let under = |lease: &Lease| Commit {
        leases: vec![token(lease)],
        ..put([])
    };
    let lost = || {
        let error = refusal(&*store, under(&old));
        assert!(matches!(error, StoreError::LeaseLost { .. }), "{error}");
    };
    lost();
    let next = take("gone");
    assert!(next.token > old.token, "{} was given before", next.token);
    lost();
    done(&*store, under(&next));
    // A ref that goes takes its lease along with the next vacuum.
    let version = store.read_ref(&name("live")).unwrap().unwrap().version;
    done(
        &*store,
        moving(remove(&name("live"), Expect::Version(version))),
    );
    assert!(state("live").is_some());
    store.vacuum().unwrap();
    assert_eq!(state("live"), None);
    assert_sound(&*store);
}
