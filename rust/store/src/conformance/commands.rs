//! Command ids: what makes a retry safe.

use super::material::{
    assert_sound, command, done, fresh, moving, name, node, put, raw, refusal, remove, set, version,
};
use super::{Backend, cases};
use crate::commit::{Address, Commit, Expect, LeaseToken};
use crate::error::StoreError;
use crate::journal::JournalCommand;
use crate::store::ScopeReceipt;

cases!("commands":
    a_repeated_command_writes_nothing,
    another_payload_is_refused,
    addresses_and_ids_are_kept_apart,
    a_receipt_outlives_its_ref,
    a_refused_commit_leaves_no_receipt,
    a_repeat_in_the_same_batch_is_a_repeat,
    a_command_without_effect_is_history,
    receipts_are_listed_by_scope_and_key,
    receipts_of_another_store_count_as_their_own,
    a_receipt_that_is_here_stays,
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

fn receipts_are_listed_by_scope_and_key(backend: &dyn Backend) {
    let store = fresh(backend);
    for number in 0..7 {
        let id = number.to_string();
        let scope = if number < 5 { "main" } else { "other" };
        done(
            &*store,
            Commit {
                scope: scope.into(),
                command: Some(command(Address::Scope(scope.into()), &id, number)),
                ..put([])
            },
        );
    }
    let mut paged: Vec<ScopeReceipt> = Vec::new();
    loop {
        let after = paged.last().map(|last| last.command.key);
        let page = store.receipts("main", after.as_ref(), 2).unwrap();
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, store.receipts("main", None, 100).unwrap());
    assert_eq!(paged.len(), 5);
    assert!(
        paged
            .windows(2)
            .all(|pair| pair[0].command.key < pair[1].command.key)
    );
    // Each says which commit left it.
    for left in &paged {
        let entries = store.journal(None, usize::MAX).unwrap();
        let entry = entries.iter().find(|entry| entry.position == left.position);
        assert_eq!(entry.unwrap().command.as_ref(), Some(&left.command));
    }
    assert_eq!(store.receipts("other", None, 100).unwrap().len(), 2);
    assert!(store.receipts("nobody", None, 100).unwrap().is_empty());
}

/// A receipt as a commit under this command would have left it.
fn brought(address: Address, id: &str, payload: u8) -> JournalCommand {
    let command = command(address, id, payload);
    JournalCommand {
        key: command.key(),
        payload: command.payload,
        receipt: command.receipt,
    }
}

fn bringing(receipts: Vec<JournalCommand>) -> Commit {
    Commit {
        receipts,
        ..put([])
    }
}

fn receipts_of_another_store_count_as_their_own(backend: &dyn Backend) {
    let store = fresh(backend);
    let receipts = vec![brought(at_ref("x"), "1", 1), brought(at_scope(), "2", 2)];
    let answer = done(&*store, bringing(receipts.clone()));
    assert_eq!((answer.position, answer.new_receipts), (1, 2));
    let again = Commit {
        command: Some(command(at_ref("x"), "1", 1)),
        ..put([raw("a")])
    };
    assert_eq!(
        done(&*store, again).replay.as_deref(),
        Some(b"receipt of 1".as_slice())
    );
    assert_eq!(store.stats().unwrap().receipts, 2);
    let journal = store.journal(None, 10).unwrap();
    assert_eq!((journal.len(), &journal[0].receipts), (1, &receipts));
    assert_sound(&*store);
    // All there: nothing to write.
    let answer = done(&*store, bringing(receipts));
    assert_eq!((answer.position, answer.new_receipts), (1, 0));
    assert_eq!(store.head().unwrap().position, 1);
}

fn a_receipt_that_is_here_stays(backend: &dyn Backend) {
    let store = fresh(backend);
    done(
        &*store,
        Commit {
            command: Some(command(at_scope(), "1", 1)),
            ..put([])
        },
    );
    let mut other = brought(at_scope(), "1", 9);
    other.receipt = b"another".to_vec();
    let answer = done(&*store, bringing(vec![other, brought(at_scope(), "2", 2)]));
    assert_eq!(answer.new_receipts, 1);
    assert_eq!(
        store.receipt(&at_scope(), "1").unwrap(),
        Some(([1; 32], b"receipt of 1".to_vec()))
    );
    let journal = store.journal(None, 10).unwrap();
    assert_eq!(journal[1].receipts, vec![brought(at_scope(), "2", 2)]);
    assert_sound(&*store);
}
