//! What a fork has of the scopes that it comes of: answers to the commands of before, and, while they are there, their
//! names.

use super::forks::{alice, at_once, commit, content, cut_short, forked, in_steps, name, refs, set};
use super::material::{assert_sound, command, done, fresh, refusal};
use super::{Backend, cases};
use crate::commit::{Address, Commit, receipt_key};
use crate::erasure::{EraseOptions, digest_of_scope};
use crate::error::StoreError;
use crate::journal::JournalCommand;
use crate::scope::lineage::{lineage_key, name_key};
use crate::scope::{Ancestor, unfinished};
use crate::store::Store;

cases!("lineage":
    commands_from_before_the_fork_are_answered_in_it,
    a_fork_of_a_fork_knows_both,
    a_fork_outlives_its_origin_and_does_not_say_its_name,
    a_lineage_that_says_a_name_is_read,
    what_another_scope_brought_is_none_of_a_scopes_own,
);

pub(super) fn said(store: &dyn Store, address: Address, id: &str, payload: u8) -> Option<Vec<u8>> {
    let scope = address.scope().to_owned();
    let committed = done(
        store,
        Commit {
            command: Some(command(address, id, payload)),
            ..commit(&scope, Vec::new())
        },
    );
    committed.replay
}

fn commands_from_before_the_fork_are_answered_in_it(backend: &dyn Backend) {
    let store = fresh(backend);
    alice(&*store);
    let at_ref = |scope: &str| Address::Ref(name(scope, "thread", "a"));
    let at_scope = |scope: &str| Address::Scope(scope.to_owned());
    for address in [at_ref("alice"), at_scope("alice")] {
        assert_eq!(said(&*store, address, "before", 1), None);
    }
    forked(&*store, "alice", "bob", &at_once());
    assert_eq!(said(&*store, at_ref("alice"), "after", 1), None);
    let before = Some(b"receipt of before".to_vec());
    for address in [at_ref("bob"), at_scope("bob")] {
        let head = store.head().unwrap();
        assert_eq!(said(&*store, address.clone(), "before", 1), before);
        let read = store.receipt(&address, "before").unwrap();
        assert_eq!(read, Some(([1; 32], b"receipt of before".to_vec())));
        assert_eq!(store.head().unwrap(), head);
        let other = Commit {
            command: Some(command(address, "before", 2)),
            ..commit("bob", Vec::new())
        };
        let error = refusal(&*store, other);
        assert!(
            matches!(error, StoreError::CommandMismatch { .. }),
            "{error:?}"
        );
    }
    // What the origin does since is nothing to the fork, and the other way round.
    assert_eq!(store.receipt(&at_ref("bob"), "after").unwrap(), None);
    assert_eq!(said(&*store, at_ref("bob"), "after", 2), None);
    assert_eq!(
        said(&*store, at_ref("bob"), "after", 2),
        Some(b"receipt of after".to_vec())
    );
    assert_eq!(said(&*store, at_ref("bob"), "own", 3), None);
    assert_eq!(store.receipt(&at_ref("alice"), "own").unwrap(), None);
    // Another ref's ids are others, there as here.
    let other = Address::Ref(name("bob", "thread", "b"));
    assert_eq!(store.receipt(&other, "before").unwrap(), None);
    assert_sound(&*store);
}

fn a_fork_of_a_fork_knows_both(backend: &dyn Backend) {
    let store = fresh(backend);
    alice(&*store);
    let at = |scope: &str| Address::Scope(scope.to_owned());
    said(&*store, at("alice"), "1", 1);
    forked(&*store, "alice", "bob", &at_once());
    said(&*store, at("alice"), "2", 1);
    said(&*store, at("bob"), "3", 1);
    forked(&*store, "bob", "carol", &in_steps());
    said(&*store, at("bob"), "4", 1);
    said(&*store, at("carol"), "5", 1);
    let known = |scope: &str| -> Vec<&str> {
        let ids = ["1", "2", "3", "4", "5"].into_iter();
        ids.filter(|id| store.receipt(&at(scope), id).unwrap().is_some())
            .collect()
    };
    assert_eq!(known("alice"), ["1", "2"]);
    assert_eq!(known("bob"), ["1", "3", "4"]);
    assert_eq!(known("carol"), ["1", "3", "5"]);
    let ancestors = store.lineage("carol").unwrap().unwrap().ancestors;
    assert_eq!(names(&ancestors), [Some("bob"), Some("alice")]);
    assert!(ancestors[0].until > ancestors[1].until);
    // What the one in the middle left goes with it; what is older stays.
    erase(&*store, "bob");
    assert_eq!(known("carol"), ["1", "5"]);
    let ancestors = store.lineage("carol").unwrap().unwrap().ancestors;
    assert_eq!(names(&ancestors), [None, Some("alice")]);
    assert_sound(&*store);
}

fn names(ancestors: &[Ancestor]) -> Vec<Option<&str>> {
    ancestors.iter().map(|one| one.scope.as_deref()).collect()
}

fn erase(store: &dyn Store, scope: &str) {
    store.erase(scope, &EraseOptions::default()).unwrap();
}

fn a_fork_outlives_its_origin_and_does_not_say_its_name(backend: &dyn Backend) {
    let store = fresh(backend);
    alice(&*store);
    let at = |scope: &str| Address::Scope(scope.to_owned());
    said(&*store, at("alice"), "before", 1);
    forked(&*store, "alice", "bob", &at_once());
    forked(&*store, "alice", "carol", &in_steps());
    cut_short(&*store, "alice", "dora", 3);
    assert_eq!(said(&*store, at("bob"), "own", 2), None);
    let content_before = content(&*store, "bob");
    erase(&*store, "alice");
    assert_eq!(content(&*store, "bob"), content_before);
    for fork in ["bob", "carol"] {
        let lineage = store.lineage(fork).unwrap().unwrap();
        assert_eq!((lineage.refs, names(&lineage.ancestors)), (13, vec![None]));
    }
    assert_eq!(unfinished(&*store).unwrap()[0].from, None);
    // Its own are answered; the origin's went with it.
    assert!(said(&*store, at("bob"), "own", 2).is_some());
    assert_eq!(store.receipt(&at("bob"), "before").unwrap(), None);
    assert!(!everything(&*store).contains("alice"));
    // Whoever has the name later is somebody else.
    alice(&*store);
    said(&*store, at("alice"), "before", 7);
    forked(&*store, "alice", "eve", &at_once());
    assert_eq!(store.receipt(&at("bob"), "before").unwrap(), None);
    let lineage = store.lineage("bob").unwrap().unwrap();
    assert_eq!(names(&lineage.ancestors), [None]);
    let lineage = store.lineage("eve").unwrap().unwrap();
    assert_eq!(names(&lineage.ancestors), [Some("alice")]);
    assert!(everything(&*store).contains("alice"));
    assert_sound(&*store);
}

/// Names, records, receipts, leases: all that is said beside blocks.
fn everything(store: &dyn Store) -> String {
    let mut all = Vec::new();
    for (name, value) in store.all_refs(None, usize::MAX).unwrap() {
        all.extend(name.into_bytes());
        all.extend(value.unwrap().record);
    }
    for entry in store.journal(None, usize::MAX).unwrap() {
        all.extend(format!("{:?}", (&entry.scope, &entry.moves)).into_bytes());
        for moved in entry.moves {
            all.extend(moved.record.unwrap_or_default());
            let lease = store.lease_state(&moved.name).unwrap();
            all.extend(format!("{lease:?}").into_bytes());
        }
        for left in entry.receipts.into_iter().chain(entry.command) {
            all.extend(left.receipt);
        }
    }
    for scope in ["alice", "bob", "carol", "dora", "eve"] {
        for left in store.receipts(scope, None, usize::MAX).unwrap() {
            all.extend(left.command.receipt);
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// As forks were written before lineages said digests.
fn a_lineage_that_says_a_name_is_read(backend: &dyn Backend) {
    let store = fresh(backend);
    alice(&*store);
    let at = |scope: &str| Address::Scope(scope.to_owned());
    said(&*store, at("alice"), "before", 1);
    // [7, 1, [["alice"]]]
    let old = b"\x83\x07\x01\x81\x81\x65alice".to_vec();
    let of_alice = refs(&*store, "alice").into_values().next().unwrap();
    done(
        &*store,
        Commit {
            receipts: vec![JournalCommand {
                key: lineage_key("bob"),
                payload: *blake3::hash(&old).as_bytes(),
                receipt: old,
            }],
            ..commit(
                "bob",
                vec![set(&name("bob", "thread", "a"), of_alice.target, "")],
            )
        },
    );
    said(&*store, at("alice"), "after", 1);
    let lineage = store.lineage("bob").unwrap().unwrap();
    assert_eq!(names(&lineage.ancestors), [Some("alice")]);
    assert!(store.receipt(&at("bob"), "before").unwrap().is_some());
    assert_eq!(store.receipt(&at("bob"), "after").unwrap(), None);
    forked(&*store, "bob", "carol", &at_once());
    let lineage = store.lineage("carol").unwrap().unwrap();
    assert_eq!(names(&lineage.ancestors), [Some("bob"), Some("alice")]);
    assert!(store.receipt(&at("carol"), "before").unwrap().is_some());
    assert_sound(&*store);
}

/// A file that is imported may say any key: that of another scope's command, lineage or name too.
fn what_another_scope_brought_is_none_of_a_scopes_own(backend: &dyn Backend) {
    let store = fresh(backend);
    alice(&*store);
    let at = |scope: &str| Address::Scope(scope.to_owned());
    let id = store.erasures().unwrap().store_id;
    let keys = [
        receipt_key(&at("alice"), "next"),
        receipt_key(&at("bob"), "next"),
        lineage_key("alice"),
        lineage_key("bob"),
        name_key(&digest_of_scope(&id, "alice")),
    ];
    // A text: it is no lineage, and it is a name.
    let receipt = b"\x67mallory".to_vec();
    let brought = keys.map(|key| JournalCommand {
        key,
        payload: [9; 32],
        receipt: receipt.clone(),
    });
    let planted = Commit {
        receipts: brought.to_vec(),
        ..commit("mallory", Vec::new())
    };
    assert_eq!(done(&*store, planted.clone()).new_receipts, 5);
    assert_eq!(done(&*store, planted).new_receipts, 0);
    // All is as if it were not there.
    assert_eq!(store.receipt(&at("alice"), "next").unwrap(), None);
    assert_eq!(store.lineage("alice").unwrap(), None);
    assert_eq!(said(&*store, at("alice"), "next", 1), None);
    let own = Some(b"receipt of next".to_vec());
    assert_eq!(said(&*store, at("alice"), "next", 1), own);
    forked(&*store, "alice", "bob", &at_once());
    let lineage = store.lineage("bob").unwrap().unwrap();
    assert_eq!(names(&lineage.ancestors), [Some("alice")]);
    assert_eq!(said(&*store, at("bob"), "next", 1), own);
    assert_sound(&*store);
    // Each scope's are listed as its own, to the last.
    for (scope, count) in [("mallory", 5), ("alice", 2), ("bob", 1)] {
        let mut listed = Vec::new();
        while let Some(next) = store
            .receipts(scope, listed.last(), 1)
            .unwrap()
            .into_iter()
            .next()
        {
            assert_eq!(next.command.receipt == receipt, scope == "mallory");
            listed.push(next.command.key);
            assert!(listed.len() <= count, "{scope}");
        }
        assert_eq!(listed.len(), count, "{scope}");
    }
    // They go with their scope, and no other's do.
    let erase = |scope: &str| store.erase(scope, &EraseOptions::default()).unwrap();
    assert_eq!(erase("mallory").figures.receipts, 5);
    assert_sound(&*store);
    assert_eq!(said(&*store, at("alice"), "next", 1), own);
    assert_eq!(erase("alice").figures.receipts, 2);
    assert_eq!(store.receipt(&at("alice"), "next").unwrap(), None);
    assert!(store.lineage("bob").unwrap().is_some());
    assert_sound(&*store);
}
