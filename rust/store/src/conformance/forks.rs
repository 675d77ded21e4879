//! Whole scopes under another name: what a fork has, what it shares, and what nobody sees before it is there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::lineage::said;
use super::material::{assert_sound, command, done, fresh, node, put, raw, refusal, version};
use super::{Backend, cases};
use crate::commit::{Address, Change, Commit, Expect, LeaseToken, RefMove, RefValue};
use crate::erasure::{EraseOptions, digest_of_scope};
use crate::error::StoreError;
use crate::faults::{Call, Fault, Faults, FaultyStore};
use crate::name::RefName;
use crate::progress::Progress;
use crate::scope::refs::{all, renamed};
use crate::scope::{FORKING, ForkOptions, Forked, discard, fork, unfinished};
use crate::store::Store;

cases!("forks":
    a_fork_is_one_commit_and_no_block,
    both_go_on_by_themselves,
    a_scope_that_has_anything_is_not_forked_to,
    a_fork_is_repeated_by_its_command_id,
    leases_and_holds_stay_behind,
    a_name_that_is_too_long_is_found_before_anything_is_written,
    nothing_is_seen_of_a_scope_that_is_being_made,
    a_fork_that_was_cut_short_is_finished_by_the_next,
    a_fork_that_was_cut_short_is_cleared_for_another,
    a_fork_that_was_cut_short_is_discarded,
    one_at_a_time_makes_a_scope,
    a_fork_is_of_one_moment_whoever_writes_meanwhile,
    what_is_not_there_is_not_forked,
    a_name_with_receipts_of_a_life_before_is_not_forked_to,
    what_is_in_quarantine_stays_behind,
    a_scope_that_is_being_made_is_not_forked,
);

pub(super) fn name(scope: &str, kind: &str, part: &str) -> RefName {
    RefName::new(scope, kind, [part]).unwrap()
}

pub(super) fn set(name: &RefName, target: treering_block::Cid, record: &str) -> RefMove {
    RefMove {
        name: name.clone(),
        expect: Expect::Any,
        change: Change::Set {
            target,
            record: record.as_bytes().to_vec(),
        },
    }
}

pub(super) fn commit(scope: &str, moves: Vec<RefMove>) -> Commit {
    Commit {
        scope: scope.to_owned(),
        moves,
        ..put([])
    }
}

/// A scope with refs of four kinds.
pub(super) fn alice(store: &dyn Store) {
    let (leaf, top) = (raw("leaf"), node("top", &[raw("leaf").cid]));
    let targets = [leaf.cid, top.cid];
    let mut moves = Vec::new();
    for (nth, kind) in ["thread", "thread-key", "pin", "x.own"].iter().enumerate() {
        for part in ["a", "b/c", "é"] {
            let target = targets[nth % 2];
            moves.push(set(
                &name("alice", kind, part),
                target,
                &format!("{kind} {part}"),
            ));
        }
    }
    moves.push(set(
        &RefName::new("alice", "user-memory", [""; 0]).unwrap(),
        targets[1],
        "",
    ));
    done(
        store,
        Commit {
            blocks: vec![leaf, top],
            ..commit("alice", moves)
        },
    );
}

pub(super) fn refs(store: &dyn Store, scope: &str) -> BTreeMap<RefName, RefValue> {
    all(store, scope).unwrap()
}

/// Targets and records by name, as if they were of scope `x`.
pub(super) fn content(
    store: &dyn Store,
    scope: &str,
) -> Vec<(RefName, treering_block::Cid, Vec<u8>)> {
    let refs = refs(store, scope).into_iter();
    refs.map(|(name, value)| (renamed(&name, "x").unwrap(), value.target, value.record))
        .collect()
}

pub(super) fn at_once() -> ForkOptions {
    ForkOptions::default()
}

pub(super) fn in_steps() -> ForkOptions {
    ForkOptions {
        at_once: 3,
        at_a_time: 4,
        ..at_once()
    }
}

pub(super) fn forked(store: &dyn Store, from: &str, to: &str, options: &ForkOptions) -> Forked {
    fork(store, from, to, options, &Progress::default()).unwrap()
}

fn refused(store: &dyn Store, from: &str, to: &str, options: &ForkOptions) -> StoreError {
    let head = store.head().unwrap();
    let error = fork(store, from, to, options, &Progress::default()).unwrap_err();
    assert_eq!(store.head().unwrap(), head, "a refused fork left a trace");
    error
}

fn a_fork_is_one_commit_and_no_block(backend: &dyn Backend) {
    let store = fresh(backend);
    alice(&*store);
    let before = (
        refs(&*store, "alice"),
        store.counters(),
        store.stats().unwrap(),
    );
    let done = forked(&*store, "alice", "b o/b", &at_once());
    let counters = store.counters();
    assert_eq!(counters.blocks_written, before.1.blocks_written);
    assert_eq!(counters.blocks_read, before.1.blocks_read);
    assert_eq!(store.stats().unwrap().blocks, before.2.blocks);
    // The first fork of a scope has it leave its name, in a commit before.
    assert_eq!(store.head().unwrap().position, before.2.commits + 2);
    assert_eq!(
        done,
        Forked {
            refs: 13,
            position: before.2.commits + 2,
            replayed: false
        }
    );
    assert_eq!(refs(&*store, "alice"), before.0);
    assert_eq!(content(&*store, "b o/b"), content(&*store, "alice"));
    assert!(
        refs(&*store, "b o/b")
            .values()
            .all(|value| value.version == 1)
    );
    assert_eq!(store.scopes().unwrap(), ["alice", "b o/b"]);
    let lineage = store.lineage("b o/b").unwrap().unwrap();
    assert_eq!((lineage.refs, lineage.ancestors.len()), (13, 1));
    assert_eq!(lineage.ancestors[0].scope.as_deref(), Some("alice"));
    assert_eq!(lineage.ancestors[0].until, done.position);
    assert_eq!(store.lineage("alice").unwrap(), None);
    let second = forked(&*store, "alice", "carol", &at_once());
    assert_eq!(second.position, done.position + 1);
    assert_sound(&*store);
}

fn both_go_on_by_themselves(backend: &dyn Backend) {
    let store = fresh(backend);
    alice(&*store);
    forked(&*store, "alice", "bob", &at_once());
    let (kept, target) = (content(&*store, "alice"), raw("leaf").cid);
    let thread = |scope: &str| name(scope, "thread", "a");
    done(
        &*store,
        commit("bob", vec![set(&thread("bob"), target, "on")]),
    );
    assert_eq!(content(&*store, "alice"), kept);
    let kept = content(&*store, "bob");
    let deletion = RefMove {
        change: Change::Delete,
        ..set(&thread("alice"), target, "")
    };
    done(&*store, commit("alice", vec![deletion]));
    assert_eq!(content(&*store, "bob"), kept);
    assert_eq!(version(&*store, &thread("bob")), 2);
    assert_eq!(version(&*store, &thread("alice")), 0);
    assert_sound(&*store);
}

fn a_scope_that_has_anything_is_not_forked_to(backend: &dyn Backend) {
    let store = fresh(backend);
    alice(&*store);
    let taken = |to: &str| {
        for options in [at_once(), in_steps()] {
            let error = refused_but_the_lease(&*store, "alice", to, &options);
            let StoreError::ScopeTaken { scope, .. } = error else {
                panic!("{error:?}");
            };
            assert_eq!(scope, to);
        }
    };
    let pin = name("bob", "pin", "x");
    done(&*store, commit("bob", vec![set(&pin, raw("leaf").cid, "")]));
    taken("bob");
    // One that was forked once has receipts by its lineage, though all its refs are gone.
    forked(&*store, "bob", "carol", &at_once());
    let deletion = RefMove {
        change: Change::Delete,
        ..set(&name("carol", "pin", "x"), raw("leaf").cid, "")
    };
    done(&*store, commit("carol", vec![deletion]));
    taken("carol");
    for to in ["alice", "", " "] {
        let error = refused(&*store, "alice", to, &at_once());
        assert!(matches!(error, StoreError::Invalid { .. }), "{error:?}");
    }
}

/// As [`refused`]; leases are no history.
fn refused_but_the_lease(
    store: &dyn Store,
    from: &str,
    to: &str,
    options: &ForkOptions,
) -> StoreError {
    let before = content(store, to);
    let error = refused(store, from, to, options);
    assert_eq!(content(store, to), before);
    error
}

fn a_fork_is_repeated_by_its_command_id(backend: &dyn Backend) {
    for options in [at_once(), in_steps()] {
        let store = fresh(backend);
        alice(&*store);
        let options = ForkOptions {
            command_id: Some("nightly".into()),
            ..options
        };
        let first = forked(&*store, "alice", "bob", &options);
        let head = store.head().unwrap();
        let again = forked(&*store, "alice", "bob", &options);
        assert_eq!(
            again,
            Forked {
                replayed: true,
                ..first
            }
        );
        assert_eq!(store.head().unwrap(), head);
        // The id is one of the new scope: another scope may use it, another origin may not.
        let error = refused(&*store, "carol", "bob", &options);
        assert!(
            matches!(error, StoreError::CommandMismatch { .. }),
            "{error:?}"
        );
        assert!(!forked(&*store, "alice", "dave", &options).replayed);
        assert_sound(&*store);
    }
}

fn leases_and_holds_stay_behind(backend: &dyn Backend) {
    let store = fresh(backend);
    alice(&*store);
    let leased = name("alice", "thread", "a");
    store.lease_acquire(&leased, "worker").unwrap();
    let held = Commit {
        blocks: vec![raw("held")],
        holds: vec![raw("held").cid],
        ..commit("alice", Vec::new())
    };
    done(&*store, held);
    for (to, options) in [("bob", at_once()), ("carol", in_steps())] {
        forked(&*store, "alice", to, &options);
        let copy = renamed(&leased, to).unwrap();
        assert_eq!(store.lease_state(&copy).unwrap(), None);
        store.lease_acquire(&copy, "another").unwrap();
        assert_eq!(store.holds(to, 0, 10).unwrap(), []);
    }
    assert_eq!(store.holds("alice", 0, 10).unwrap().len(), 1);
}

fn a_name_that_is_too_long_is_found_before_anything_is_written(backend: &dyn Backend) {
    let store = fresh(backend);
    let long = name("alice", "thread", &"x".repeat(1_000));
    let block = raw("leaf");
    done(
        &*store,
        Commit {
            blocks: vec![block.clone()],
            ..commit("alice", vec![set(&long, block.cid, "")])
        },
    );
    let error = refused(&*store, "alice", &"b".repeat(20), &at_once());
    assert!(
        matches!(error, StoreError::LimitExceeded { .. }),
        "{error:?}"
    );
    forked(&*store, "alice", "bob", &at_once());
}

/// What a process leaves that is killed while it makes `to`: the marker, some refs, and one that the origin lost since.
pub(super) fn cut_short(store: &dyn Store, from: &str, to: &str, kept: usize) {
    let marker = RefName::new(to, FORKING, [""; 0]).unwrap();
    let target = raw("leaf").cid;
    let lease = store.lease_acquire(&marker, "killed").unwrap();
    let mut moves = vec![RefMove {
        name: marker.clone(),
        expect: Expect::Absent,
        change: Change::Set {
            target,
            record: crate::scope::forking::record(&crate::scope::forking::Source::Scope(
                crate::scope::lineage::Origin::Digest(digest_of_scope(
                    &store.erasures().unwrap().store_id,
                    from,
                )),
            ))
            .unwrap(),
        },
    }];
    for (name, value) in refs(store, from).iter().take(kept) {
        let name = renamed(name, to).unwrap();
        moves.push(RefMove {
            name,
            expect: Expect::Absent,
            change: Change::Set {
                target: value.target,
                record: value.record.clone(),
            },
        });
    }
    moves.push(set(&name(to, "thread", "stale"), target, ""));
    done(
        store,
        Commit {
            leases: vec![LeaseToken {
                name: marker,
                token: lease.token,
            }],
            ..commit(to, moves)
        },
    );
    store.lease_release(&lease).unwrap();
}

fn nothing_is_seen_of_a_scope_that_is_being_made(backend: &dyn Backend) {
    let store = fresh(backend);
    alice(&*store);
    cut_short(&*store, "alice", "bob", 5);
    for there in refs(&*store, "alice").keys() {
        let there = renamed(there, "bob").unwrap();
        assert_eq!(store.read_ref(&there).unwrap(), None);
        let listed = store.list_refs("bob", there.kind(), None, 100).unwrap();
        assert!(listed.is_empty(), "{listed:?}");
    }
    assert_eq!(store.kinds("bob").unwrap(), [FORKING]);
    assert_eq!(store.list_refs("bob", FORKING, None, 10).unwrap().len(), 1);
    assert_eq!(store.scopes().unwrap(), ["alice"]);
    assert_eq!(store.lineage("bob").unwrap(), None);
    // Those who look at everything see it.
    let all = store.all_refs(None, 100).unwrap();
    assert_eq!(
        all.iter()
            .filter(|(name, _)| name.starts_with("bob/"))
            .count(),
        7
    );
    let own = set(&name("bob", "thread", "mine"), raw("leaf").cid, "");
    for commit in [
        commit("bob", vec![own]),
        Commit {
            command: Some(command(Address::Scope("bob".into()), "1", 1)),
            ..commit("bob", Vec::new())
        },
    ] {
        let error = refusal(&*store, commit);
        assert!(matches!(error, StoreError::BeingForked { .. }), "{error:?}");
    }
    // What it has is not collected.
    store.gc(&crate::GcOptions::default()).unwrap();
    assert_sound(&*store);
    let found = unfinished(&*store).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].scope.as_str(), found[0].from.as_deref()),
        ("bob", Some("alice"))
    );
    assert_eq!((found[0].refs, found[0].holder.as_deref()), (6, None));
}

fn a_fork_that_was_cut_short_is_finished_by_the_next(backend: &dyn Backend) {
    let store = fresh(backend);
    alice(&*store);
    for (to, kept) in [("bob", 0), ("carol", 5), ("dave", 13)] {
        cut_short(&*store, "alice", to, kept);
        let before = store.head().unwrap().position;
        let done = forked(&*store, "alice", to, &in_steps());
        assert_eq!(content(&*store, to), content(&*store, "alice"));
        assert_eq!(done.refs, 13);
        assert_eq!(store.list_refs(to, FORKING, None, 10).unwrap().len(), 0);
        // What was copied is not copied again.
        let entries = store.journal(None, usize::MAX).unwrap();
        let moved = entries.iter().filter(|entry| entry.position > before);
        let moved: usize = moved.map(|entry| entry.moves.len()).sum();
        assert_eq!(
            moved,
            13 - kept + 2,
            "{to}: the rest, the stale one, the marker"
        );
    }
    assert_eq!(unfinished(&*store).unwrap(), []);
    assert_sound(&*store);
}

fn a_fork_that_was_cut_short_is_cleared_for_another(backend: &dyn Backend) {
    let store = fresh(backend);
    alice(&*store);
    let pin = name("eve", "pin", "x");
    done(&*store, commit("eve", vec![set(&pin, raw("leaf").cid, "")]));
    cut_short(&*store, "alice", "bob", 5);
    assert_eq!(forked(&*store, "eve", "bob", &at_once()).refs, 1);
    assert_eq!(content(&*store, "bob"), content(&*store, "eve"));
    assert_sound(&*store);
}

fn a_fork_that_was_cut_short_is_discarded(backend: &dyn Backend) {
    let store = fresh(backend);
    alice(&*store);
    cut_short(&*store, "alice", "bob", 5);
    assert_eq!(discard(&*store, "bob").unwrap(), 6);
    assert_eq!(store.kinds("bob").unwrap(), Vec::<String>::new());
    let own = set(&name("bob", "thread", "mine"), raw("leaf").cid, "");
    done(&*store, commit("bob", vec![own]));
    for none in ["bob", "alice", "nobody"] {
        let error = discard(&*store, none).unwrap_err();
        assert!(matches!(error, StoreError::Invalid { .. }), "{error:?}");
    }
    assert_sound(&*store);
}

fn one_at_a_time_makes_a_scope(backend: &dyn Backend) {
    let store = fresh(backend);
    alice(&*store);
    cut_short(&*store, "alice", "bob", 5);
    let marker = RefName::new("bob", FORKING, [""; 0]).unwrap();
    let lease = store.lease_acquire(&marker, "somebody").unwrap();
    let error = refused(&*store, "alice", "bob", &in_steps());
    assert!(matches!(error, StoreError::LeaseHeld { .. }), "{error:?}");
    let error = discard(&*store, "bob").unwrap_err();
    assert!(matches!(error, StoreError::LeaseHeld { .. }), "{error:?}");
    assert_eq!(
        unfinished(&*store).unwrap()[0].holder.as_deref(),
        Some("somebody")
    );
    store.lease_release(&lease).unwrap();
    forked(&*store, "alice", "bob", &in_steps());
}

fn a_fork_is_of_one_moment_whoever_writes_meanwhile(backend: &dyn Backend) {
    let store = fresh(backend);
    alice(&*store);
    let faults = Faults::default();
    let pause = Fault::Slow(Duration::from_millis(1));
    faults.plan(Call::Read, pause, 1, None).unwrap();
    let slow = FaultyStore::new(Arc::clone(&store), faults);
    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        for writer in 0..2 {
            let (store, stop) = (&store, &stop);
            threads.spawn(move || {
                let target = raw("leaf").cid;
                let mut nth = 0;
                while !stop.load(Relaxed) {
                    nth += 1;
                    // Two refs that always move together, some that come, some that go.
                    let both = ["one", "two"].map(|part| {
                        let name = name("alice", "thread", &format!("{part}-{writer}"));
                        set(&name, target, &nth.to_string())
                    });
                    let comes = name("alice", "pin", &format!("{writer}-{}", nth % 7));
                    let mut moves = both.to_vec();
                    moves.push(RefMove {
                        change: if nth % 3 == 0 {
                            Change::Delete
                        } else {
                            set(&comes, target, "").change
                        },
                        ..set(&comes, target, "")
                    });
                    done(&**store, commit("alice", moves));
                    // Some commits for each of his looks, and not as many as he gives up for.
                    std::thread::sleep(Duration::from_micros(300));
                }
            });
        }
        for nth in 0..12 {
            let options = if nth % 2 == 0 { at_once() } else { in_steps() };
            // Whoever forks is slow: at each look of his they have written on.
            forked(&slow, "alice", &format!("fork {nth}"), &options);
        }
        stop.store(true, Relaxed);
    });
    // The journal says what the origin was at each fork.
    let (mut origin, mut forks) = (BTreeMap::new(), 0);
    for entry in store.journal(None, usize::MAX).unwrap() {
        for step in &entry.moves {
            if entry.scope == "alice" {
                let name = renamed(&step.name, "x").unwrap();
                match (step.target, step.record.clone()) {
                    (Some(target), Some(record)) => origin.insert(name, (target, record)),
                    _ => origin.remove(&name),
                };
            }
        }
        // Its lineage comes with the commit that makes it seen; what the origin leaves is its name.
        if !entry.receipts.is_empty() && entry.scope != "alice" {
            let fork = content(&*store, &entry.scope).into_iter();
            let fork: BTreeMap<_, _> = fork
                .map(|(name, target, record)| (name, (target, record)))
                .collect();
            assert_eq!(fork, origin, "{}", entry.scope);
            let lineage = store.lineage(&entry.scope).unwrap().unwrap();
            assert_eq!(lineage.refs, fork.len() as u64);
            assert_eq!(lineage.ancestors[0].until, entry.position);
            forks += 1;
        }
    }
    assert_eq!(forks, 12);
    assert_sound(&*store);
}

/// A scope is made by use: a name that nobody wrote to is a mistake.
fn what_is_not_there_is_not_forked(backend: &dyn Backend) {
    let store = fresh(backend);
    alice(&*store);
    let absent = |from: &str, options: &ForkOptions| {
        let error = refused(&*store, from, "bob", options);
        let StoreError::ScopeNotFound { scope } = &error else {
            panic!("{from}: {error}");
        };
        assert_eq!(scope, from);
        assert!(error.to_string().contains("check the name"), "{error}");
    };
    for options in [at_once(), in_steps()] {
        absent("nobody", &options);
        absent("alic", &options);
    }
    // One that has receipts and no ref is none either.
    assert_eq!(said(&*store, Address::Scope("carol".into()), "1", 1), None);
    absent("carol", &at_once());
    // Nor is one that all refs were removed from.
    let removed = |name: RefName| RefMove {
        change: Change::Delete,
        ..set(&name, raw("leaf").cid, "")
    };
    let all = refs(&*store, "alice").into_keys().map(removed).collect();
    done(&*store, commit("alice", all));
    absent("alice", &at_once());
    assert_eq!(store.scopes().unwrap(), Vec::<String>::new());
    assert_sound(&*store);
}

/// What was done there in a life before would be answered in the fork, in the place of what its origin did.
fn a_name_with_receipts_of_a_life_before_is_not_forked_to(backend: &dyn Backend) {
    let store = fresh(backend);
    alice(&*store);
    let at = |scope: &str| Address::Scope(scope.into());
    assert_eq!(said(&*store, at("alice"), "1", 1), None);
    // Another command of the same id.
    assert_eq!(said(&*store, at("bob"), "1", 2), None);
    assert!(store.kinds("bob").unwrap().is_empty());
    for options in [at_once(), in_steps()] {
        let error = refused(&*store, "alice", "bob", &options);
        assert!(matches!(error, StoreError::ScopeTaken { .. }), "{error}");
        assert!(error.to_string().contains("erase it first"), "{error}");
    }
    store.erase("bob", &EraseOptions::default()).unwrap();
    forked(&*store, "alice", "bob", &at_once());
    // Answered as in the origin.
    assert!(said(&*store, at("bob"), "1", 1).is_some());
    assert_sound(&*store);
}

fn what_is_in_quarantine_stays_behind(backend: &dyn Backend) {
    let store = fresh(backend);
    alice(&*store);
    let entry = name("alice", crate::quarantine::QUARANTINE, "7");
    done(
        &*store,
        commit("alice", vec![set(&entry, raw("leaf").cid, "")]),
    );
    for (to, options) in [("bob", at_once()), ("carol", in_steps())] {
        assert_eq!(forked(&*store, "alice", to, &options).refs, 13);
        assert_eq!(version(&*store, &renamed(&entry, to).unwrap()), 0);
    }
}

fn a_scope_that_is_being_made_is_not_forked(backend: &dyn Backend) {
    let store = fresh(backend);
    alice(&*store);
    cut_short(&*store, "alice", "bob", 5);
    for options in [at_once(), in_steps()] {
        let error = refused(&*store, "bob", "carol", &options);
        assert!(matches!(error, StoreError::BeingForked { .. }), "{error:?}");
    }
    assert_eq!(store.scopes().unwrap(), ["alice"]);
}
