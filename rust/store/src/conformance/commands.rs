//! Command ids: what makes a retry safe.

use super::material::{
    assert_sound, command, done, fresh, moving, name, node, put, raw, refusal, remove, set, version,
};
use super::{Backend, cases};
use crate::commit::{Address, Commit, Expect, LeaseToken};
use crate::error::StoreError;

cases!("commands":
    a_repeated_command_writes_nothing,
    another_payload_is_refused,
    addresses_and_ids_are_kept_apart,
    a_receipt_outlives_its_ref,
    a_refused_commit_leaves_no_receipt,
    a_repeat_in_the_same_batch_is_a_repeat,
    a_command_without_effect_is_history,
);

fn at_ref(part: &str) -> Address {
    Address::Ref(name(part))
}

fn at_scope() -> Address {
    Address::Scope("main".into())
}

fn a_repeated_command_writes_nothing(backend: &dyn Backend) {
    let store = fresh(backend);
    let first = Commit {
        blocks: vec![raw("a")],
        command: Some(command(at_ref("x"), "1", 1)),
        ..moving(set(&name("x"), Expect::Absent, raw("a").cid))
    };
    assert_eq!(done(&*store, first.clone()).replay, None);
    assert_eq!(
        store.receipt(&at_ref("x"), "1").unwrap(),
        Some(([1; 32], b"receipt of 1".to_vec()))
    );
    let head = store.head().unwrap();
    // As it was, and as a retry may look: other blocks, a stale expectation, a lease that is gone,
    // a link to nowhere, another receipt.
    let absent = raw("absent").cid;
    let mut other = Commit {
        blocks: vec![raw("b"), node("dangling", &[absent])],
        leases: vec![LeaseToken {
            name: name("x"),
            token: 77,
        }],
        holds: vec![absent],
        ..first.clone()
    };
    if let Some(command) = &mut other.command {
        command.receipt = b"another".to_vec();
    }
    for again in [first, other] {
        let answer = done(&*store, again);
        assert_eq!(answer.replay.as_deref(), Some(b"receipt of 1".as_slice()));
        assert_eq!(
            (answer.position, answer.new_blocks, answer.new_bytes),
            (1, 0, 0)
        );
    }
    assert_eq!(
        (store.head().unwrap(), version(&*store, &name("x"))),
        (head, 1)
    );
    assert_eq!(store.stats().unwrap().holds, 0);
    assert!(!store.has(&raw("b").cid).unwrap());
    assert_sound(&*store);
}

fn another_payload_is_refused(backend: &dyn Backend) {
    let store = fresh(backend);
    done(
        &*store,
        Commit {
            command: Some(command(at_scope(), "1", 1)),
            ..put([raw("a")])
        },
    );
    let error = refusal(
        &*store,
        Commit {
            command: Some(command(at_scope(), "1", 2)),
            ..put([raw("b")])
        },
    );
    assert!(matches!(error, StoreError::CommandMismatch { id } if id == "1"));
}

fn addresses_and_ids_are_kept_apart(backend: &dyn Backend) {
    let store = fresh(backend);
    let other_scope = Address::Scope("other".into());
    let cases = [
        ("main", at_scope(), "1"),
        ("main", at_scope(), "2"),
        ("main", at_scope(), "1 "),
        ("main", at_ref("x"), "1"),
        ("main", at_ref("y"), "1"),
        ("other", other_scope, "1"),
    ];
    for (index, (scope, address, id)) in cases.iter().enumerate() {
        assert_eq!(store.receipt(address, id).unwrap(), None);
        let commit = Commit {
            scope: (*scope).into(),
            command: Some(command(address.clone(), id, index as u8)),
            ..put([])
        };
        assert_eq!(done(&*store, commit).replay, None, "{address:?} {id:?}");
    }
    for (index, (_, address, id)) in cases.iter().enumerate() {
        assert_eq!(
            store.receipt(address, id).unwrap().unwrap().0,
            [index as u8; 32]
        );
    }
    assert_eq!(store.stats().unwrap().receipts, 6);
    assert_sound(&*store);
}

fn a_receipt_outlives_its_ref(backend: &dyn Backend) {
    let store = fresh(backend);
    let start = Commit {
        blocks: vec![raw("a")],
        command: Some(command(at_ref("x"), "1", 1)),
        ..moving(set(&name("x"), Expect::Absent, raw("a").cid))
    };
    done(&*store, start.clone());
    done(&*store, moving(remove(&name("x"), Expect::Any)));
    assert!(done(&*store, start).replay.is_some());
    assert_eq!(
        version(&*store, &name("x")),
        0,
        "an old command does not resurrect"
    );
    assert_sound(&*store);
}

fn a_refused_commit_leaves_no_receipt(backend: &dyn Backend) {
    let store = fresh(backend);
    let wrong = Commit {
        command: Some(command(at_ref("x"), "1", 1)),
        ..moving(set(&name("x"), Expect::Absent, raw("a").cid))
    };
    assert!(matches!(
        refusal(&*store, wrong.clone()),
        StoreError::LinkMissing { .. }
    ));
    assert_eq!(store.receipt(&at_ref("x"), "1").unwrap(), None);
    assert_eq!(
        done(
            &*store,
            Commit {
                blocks: vec![raw("a")],
                ..wrong
            }
        )
        .replay,
        None
    );
}

fn a_repeat_in_the_same_batch_is_a_repeat(backend: &dyn Backend) {
    let store = fresh(backend);
    let commit = |payload| Commit {
        command: Some(command(at_scope(), "1", payload)),
        ..put([raw([payload])])
    };
    let tickets = [1, 1, 2].map(|payload| store.submit(commit(payload)));
    let [first, second, third] = tickets.map(|ticket| ticket.wait());
    assert_eq!(first.unwrap().replay, None);
    assert!(second.unwrap().replay.is_some());
    assert!(matches!(third, Err(StoreError::CommandMismatch { .. })));
    assert_eq!(store.stats().unwrap().blocks, 1);
}

fn a_command_without_effect_is_history(backend: &dyn Backend) {
    let store = fresh(backend);
    let answer = done(
        &*store,
        Commit {
            command: Some(command(at_scope(), "1", 1)),
            ..put([])
        },
    );
    assert_eq!(answer.position, 1);
    let entry = store.journal(None, 9).unwrap().remove(0);
    assert!(entry.moves.is_empty());
    assert_eq!(entry.command.unwrap().receipt, b"receipt of 1");
    assert_sound(&*store);
}
