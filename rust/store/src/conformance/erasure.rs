//! Erasing a whole scope: gone for every reader, its name as good as new, and nothing of any other scope changed.

use std::sync::Arc;

use treering_block::{Block, Cid};

use super::material::{
    assert_sound, command, done, fresh, moving, node, picture, put, raw, refusal, set, version,
};
use super::{Backend, cases};
use crate::commit::{Address, Change, Commit, Expect, LeaseToken, RefMove};
use crate::erasure::{EraseOptions, Erased, ErasedFigures};
use crate::error::StoreError;
use crate::gc::GcOptions;
use crate::lease::Lease;
use crate::name::RefName;
use crate::scope::forking::{FORKING, Source, record};
use crate::scope::lineage::Origin;
use crate::store::Store;

cases!("erasure":
    all_of_a_scope_goes_and_nothing_else,
    the_journal_is_proved_as_before,
    a_dry_run_says_what_would_go,
    the_name_is_as_good_as_new,
    a_repeated_command_erases_nothing,
    what_others_reach_stays_and_is_told,
    an_unknown_scope_leaves_a_note,
    notes_say_no_name,
    bad_input_is_refused,
    a_collection_takes_the_rest,
    scopes_that_look_alike_stay,
    a_watcher_hears_of_it,
    a_token_is_never_given_again,
    a_fork_that_is_made_is_taken_from_who_makes_it,
);

const NAMES: [&str; 3] = ["thread", "chat", "x.own-kind"];

fn of(scope: &str, kind: &str) -> RefName {
    RefName::new(scope, kind, ["one"]).unwrap()
}

/// A commit of one ref with a command, in a scope, with a block of its own.
fn act(store: &dyn Store, scope: &str, kind: &str, block: Block, id: &str) {
    let name = of(scope, kind);
    done(
        store,
        Commit {
            scope: scope.into(),
            moves: vec![set(&name, Expect::Any, block.cid)],
            command: Some(command(Address::Scope(scope.into()), id, 1)),
            ..put([block])
        },
    );
}

/// Three refs, four receipts, a hold, a lease, in five commits.
fn live(store: &dyn Store, scope: &str) {
    for kind in NAMES {
        act(store, scope, kind, raw(format!("{scope} {kind}")), kind);
    }
    let again = node(scope, &[raw(format!("{scope} chat")).cid]);
    act(store, scope, "chat", again, "again");
    let held = raw(format!("held by {scope}"));
    done(
        store,
        Commit {
            scope: scope.into(),
            holds: vec![held.cid],
            ..put([held])
        },
    );
    store
        .lease_acquire(&of(scope, "thread"), "somebody")
        .unwrap();
}

fn begun(backend: &dyn Backend) -> Arc<dyn Store> {
    let store = fresh(backend);
    live(&*store, "alice");
    live(&*store, "bob");
    store
}

fn erase(store: &dyn Store, scope: &str) -> Erased {
    store.erase(scope, &EraseOptions::default()).unwrap()
}

fn with_id(id: &str) -> EraseOptions {
    EraseOptions {
        command_id: Some(id.into()),
        ..EraseOptions::default()
    }
}

const WHAT_LIVES: ErasedFigures = ErasedFigures {
    refs: 3,
    receipts: 4,
    holds: 1,
    leases: 1,
    commits: 5,
    blocks: 5,
    held_blocks: 0,
};

fn is_gone(store: &dyn Store, scope: &str) {
    assert!(!store.scopes().unwrap().iter().any(|one| one == scope));
    assert!(store.kinds(scope).unwrap().is_empty());
    for kind in NAMES {
        assert_eq!(store.read_ref(&of(scope, kind)).unwrap(), None);
        assert!(store.list_refs(scope, kind, None, 9).unwrap().is_empty());
        assert_eq!(store.lease_state(&of(scope, kind)).unwrap(), None);
        let address = Address::Scope(scope.into());
        assert_eq!(store.receipt(&address, kind).unwrap(), None);
    }
    assert!(store.receipts(scope, None, 9).unwrap().is_empty());
    assert!(store.holds(scope, 0, 9).unwrap().is_empty());
    let journal = store.journal(None, usize::MAX).unwrap();
    assert!(journal.iter().all(|entry| entry.scope != scope));
    assert_sound(store);
}

/// All that a scope shows.
fn shown(store: &dyn Store, scope: &str) -> String {
    let refs: Vec<_> = NAMES
        .iter()
        .map(|kind| store.list_refs(scope, kind, None, 9).unwrap())
        .map(|page| format!("{page:?}"))
        .collect();
    let journal: Vec<_> = store.journal(None, usize::MAX).unwrap();
    let own: Vec<_> = journal
        .iter()
        .filter(|entry| entry.scope == scope)
        .collect();
    format!(
        "{refs:?} {:?} {:?} {:?} {own:?}",
        store.receipts(scope, None, 99).unwrap(),
        store.holds(scope, 0, 99).unwrap(),
        store
            .lease_state(&of(scope, "thread"))
            .unwrap()
            .map(|state| state.token),
    )
}

fn all_of_a_scope_goes_and_nothing_else(backend: &dyn Backend) {
    let store = begun(backend);
    let before = shown(&*store, "bob");
    let erased = erase(&*store, "alice");
    assert_eq!(erased.figures, WHAT_LIVES);
    assert!(erased.held_by.is_empty() && !erased.replayed);
    assert_eq!(erased.position, 11);
    is_gone(&*store, "alice");
    assert_eq!(shown(&*store, "bob"), before);
    let stats = store.stats().unwrap();
    assert_eq!((stats.refs, stats.receipts, stats.holds), (3, 4, 1));
}

fn the_journal_is_proved_as_before(backend: &dyn Backend) {
    let store = begun(backend);
    let noted = store.head().unwrap();
    let cursors: Vec<_> = store.journal(None, 99).unwrap();
    let erased = erase(&*store, "alice");
    let report = store.verify(Some(&noted)).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!((report.erased_commits, report.blank_commits), (6, 0));
    let journal = store.journal(None, 99).unwrap();
    assert_eq!(journal.len(), 11);
    for (before, after) in cursors.iter().zip(&journal) {
        assert_eq!(
            (
                before.position,
                before.at_ms,
                before.body_digest,
                before.chain
            ),
            (after.position, after.at_ms, after.body_digest, after.chain)
        );
        assert_eq!(after.erased, before.scope == "alice");
        // A reader who stood there goes on.
        let next = store.journal(Some(&before.cursor()), 1).unwrap();
        assert_eq!(next[0].position, before.position + 1);
    }
    let note = store.erasures().unwrap().notes[0];
    let last = journal.last().unwrap();
    assert!(last.erased && last.position == erased.position);
    assert_eq!(last.body_digest, note.body_digest());
}

fn a_dry_run_says_what_would_go(backend: &dyn Backend) {
    let store = begun(backend);
    let before = (picture(&*store), shown(&*store, "alice"));
    let options = EraseOptions {
        dry_run: true,
        ..EraseOptions::default()
    };
    let plan = store.erase("alice", &options).unwrap();
    assert_eq!((plan.figures, plan.position), (WHAT_LIVES, 0));
    assert_eq!((picture(&*store), shown(&*store, "alice")), before);
    assert!(store.erasures().unwrap().notes.is_empty());
    assert_eq!(erase(&*store, "alice").figures, plan.figures);
}

fn the_name_is_as_good_as_new(backend: &dyn Backend) {
    let store = begun(backend);
    erase(&*store, "alice");
    store.gc(&GcOptions::default()).unwrap();
    // Old command ids are new, versions count from 1, the lease is free.
    live(&*store, "alice");
    assert_eq!(version(&*store, &of("alice", "chat")), 2);
    let id = |id| Some(command(Address::Scope("alice".into()), id, 1));
    let again = Commit {
        scope: "alice".into(),
        command: id("thread"),
        ..put([])
    };
    assert!(done(&*store, again).replay.is_some());
    assert_sound(&*store);
    let second = erase(&*store, "alice");
    assert_eq!(second.figures, WHAT_LIVES);
    is_gone(&*store, "alice");
    assert_eq!(store.erasures().unwrap().notes.len(), 2);
}

fn a_repeated_command_erases_nothing(backend: &dyn Backend) {
    let store = begun(backend);
    let first = store.erase("alice", &with_id("gdpr-7")).unwrap();
    live(&*store, "alice");
    let before = shown(&*store, "alice");
    let again = store.erase("alice", &with_id("gdpr-7")).unwrap();
    assert_eq!(
        (again.figures, again.position, again.at_ms, again.replayed),
        (first.figures, first.position, first.at_ms, true)
    );
    assert_eq!(shown(&*store, "alice"), before);
    // Of another scope, or with another id, it is another command.
    assert!(!store.erase("bob", &with_id("gdpr-7")).unwrap().replayed);
    assert!(!store.erase("alice", &with_id("gdpr-8")).unwrap().replayed);
    is_gone(&*store, "alice");
    is_gone(&*store, "bob");
}

fn what_others_reach_stays_and_is_told(backend: &dyn Backend) {
    let store = begun(backend);
    // By a ref on a block that leads there, by a ref on the block itself, by a hold.
    let shared = raw("alice thread").cid;
    let above = node("above", &[node("between", &[shared]).cid]);
    act(&*store, "carol", "thread", node("between", &[shared]), "1");
    act(&*store, "carol", "thread", above, "2");
    done(
        &*store,
        moving(set(&of("dave", "chat"), Expect::Absent, shared)),
    );
    let chat = raw("alice chat").cid;
    store.extend_hold("erin", &chat, i64::MAX).unwrap();
    let erased = erase(&*store, "alice");
    assert_eq!(erased.held_by, ["carol", "dave", "erin"]);
    assert_eq!((erased.figures.blocks, erased.figures.held_blocks), (5, 2));
    store.gc(&GcOptions::default()).unwrap();
    let there = |cid: Cid| store.has(&cid).unwrap();
    assert!(there(shared) && there(chat));
    assert!(!there(raw("alice x.own-kind").cid) && !there(raw("held by alice").cid));
    assert_sound(&*store);
}

fn an_unknown_scope_leaves_a_note(backend: &dyn Backend) {
    let store = begun(backend);
    let erased = erase(&*store, "nobody");
    assert_eq!(erased.figures, ErasedFigures::default());
    assert_eq!(store.erasures().unwrap().notes.len(), 1);
    assert_sound(&*store);
    // Also in a store without a commit.
    let empty = fresh(backend);
    assert_eq!(erase(&*empty, "nobody").position, 1);
    assert_sound(&*empty);
}

fn notes_say_no_name(backend: &dyn Backend) {
    let store = begun(backend);
    store.erase("alice", &with_id("gdpr-7")).unwrap();
    let note = store.erasures().unwrap().notes[0];
    let all = store.erasures().unwrap();
    assert_eq!(all.of("alice").collect::<Vec<_>>(), [&note]);
    assert_eq!(all.of("Alice").count(), 0);
    assert_eq!(note.figures, WHAT_LIVES);
    // The same name in another store is another digest.
    let other = begun(backend);
    other.erase("alice", &with_id("gdpr-7")).unwrap();
    let there = other.erasures().unwrap();
    assert_ne!(there.store_id, all.store_id);
    assert_ne!(there.notes[0].scope, note.scope);
    assert_ne!(there.notes[0].command, note.command);
}

fn bad_input_is_refused(backend: &dyn Backend) {
    let store = begun(backend);
    let before = picture(&*store);
    let refused = |scope: &str, options: &EraseOptions| store.erase(scope, options).unwrap_err();
    for scope in ["", " \t"] {
        let error = refused(scope, &EraseOptions::default());
        assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
    }
    let error = refused(&"x".repeat(2000), &EraseOptions::default());
    assert!(matches!(error, StoreError::LimitExceeded { .. }), "{error}");
    assert!(matches!(
        refused("alice", &with_id("")),
        StoreError::Invalid { .. }
    ));
    let long = with_id(&"x".repeat(257));
    assert!(matches!(
        refused("alice", &long),
        StoreError::LimitExceeded { .. }
    ));
    assert!(store.erase("nobody", &with_id(&"x".repeat(256))).is_ok());
    assert_ne!(picture(&*store), before, "that one was done");
}

fn a_collection_takes_the_rest(backend: &dyn Backend) {
    let store = begun(backend);
    let blocks = store.stats().unwrap().blocks;
    erase(&*store, "alice");
    let report = store.gc(&GcOptions::default()).unwrap();
    assert_eq!(report.deleted, 5);
    assert_eq!(store.stats().unwrap().blocks, blocks - 5);
    store.vacuum().unwrap();
    assert_sound(&*store);
    // What is left of it can not be named.
    let name = of("alice", "thread");
    let lost = refusal(
        &*store,
        moving(set(&name, Expect::Absent, raw("alice thread").cid)),
    );
    assert!(matches!(lost, StoreError::LinkMissing { .. }), "{lost}");
}

fn scopes_that_look_alike_stay(backend: &dyn Backend) {
    let store = fresh(backend);
    let alike = [
        "a", "a-", "a.", "a/", "a0", "a b", "A", "a%2F", "á", "a/thread", "0a",
    ];
    for scope in alike {
        live(&*store, scope);
    }
    let before: Vec<_> = alike.iter().map(|scope| shown(&*store, scope)).collect();
    erase(&*store, "a");
    is_gone(&*store, "a");
    for (scope, before) in alike.iter().zip(before).skip(1) {
        assert_eq!(shown(&*store, scope), before, "{scope}");
    }
}

fn a_watcher_hears_of_it(backend: &dyn Backend) {
    let store = begun(backend);
    let head = store.head().unwrap();
    let erased = erase(&*store, "alice");
    let heard = store
        .watch(head.position, std::time::Duration::ZERO)
        .unwrap();
    assert_eq!(heard, erased.position);
    let told = store.journal(Some(&head.cursor()), 9).unwrap();
    assert_eq!(told.len(), 1);
    assert!(told[0].erased && told[0].moves.is_empty());
}

fn a_token_is_never_given_again(backend: &dyn Backend) {
    let store = begun(backend);
    let name = of("alice", "chat");
    let mut lease = store.lease_acquire(&name, "one").unwrap();
    for _ in 0..3 {
        store.lease_release(&lease).unwrap();
        lease = store.lease_acquire(&name, "one").unwrap();
    }
    assert_eq!(lease.token, 4);
    erase(&*store, "alice");
    // Whoever had it finds it lost, before and after somebody else has one.
    let under = |lease: &Lease| Commit {
        scope: "alice".into(),
        leases: vec![LeaseToken {
            name: name.clone(),
            token: lease.token,
        }],
        ..put([raw("late")])
    };
    let lost = |lease: &Lease| {
        let error = refusal(&*store, under(lease));
        assert!(matches!(error, StoreError::LeaseLost { .. }), "{error}");
    };
    lost(&lease);
    let mut next = store.lease_acquire(&name, "other").unwrap();
    for _ in 0..6 {
        assert!(next.token > lease.token, "{} was given before", next.token);
        lost(&lease);
        store.lease_release(&lease).unwrap();
        done(&*store, under(&next));
        store.lease_release(&next).unwrap();
        next = store.lease_acquire(&name, "other").unwrap();
    }
    assert_eq!(store.erasures().unwrap().notes.len(), 1);
    assert_sound(&*store);
}

/// A process that makes a fork, whose scope is erased meanwhile, does not write into what comes after.
fn a_fork_that_is_made_is_taken_from_who_makes_it(backend: &dyn Backend) {
    let store = begun(backend);
    let marker = RefName::new("trial", FORKING, [""; 0]).unwrap();
    let making = store.lease_acquire(&marker, "forking").unwrap();
    let target = raw("alice chat");
    let under = |kind: &str| {
        let name = RefName::new("trial", kind, [""; 0]).unwrap();
        Commit {
            scope: "trial".into(),
            moves: vec![RefMove {
                name,
                expect: Expect::Any,
                change: Change::Set {
                    target: target.cid,
                    record: record(&Source::Scope(Origin::Digest([1; 32]))).unwrap(),
                },
            }],
            leases: vec![LeaseToken {
                name: marker.clone(),
                token: making.token,
            }],
            ..Commit::default()
        }
    };
    done(&*store, under(FORKING));
    assert_eq!(erase(&*store, "trial").figures.refs, 1);
    let other = store.lease_acquire(&marker, "forking").unwrap();
    assert_ne!(other.token, making.token);
    let error = refusal(&*store, under("thread"));
    assert!(matches!(error, StoreError::LeaseLost { .. }), "{error}");
    store.lease_release(&making).unwrap();
    assert!(store.lease_state(&marker).unwrap().unwrap().held);
}
