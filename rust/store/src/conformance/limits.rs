//! Every limit at its edge: the limit itself is allowed, one more is refused without a trace.

use treering_block::Block;

use super::material::{assert_sound, command, done, fresh, moving, name, put, raw, refusal, set};
use super::{Backend, cases};
use crate::commit::{
    Address, BLOB_BYTES_MIN, COMMAND_ID_BYTES_MAX, COMMIT_BYTES_MAX, COMMIT_MOVES_MAX,
    COMMIT_RECEIPTS_MAX, Change, Commit, Expect, RECEIPT_BYTES_MAX, RECORD_BYTES_MAX, RefMove,
};
use crate::error::StoreError;
use crate::journal::JournalCommand;
use crate::lease::OWNER_BYTES_MAX;
use crate::name::{NAME_BYTES_MAX, RefName, SCOPE_BYTES_MAX};
use crate::store::Store;

cases!("limits":
    bytes_of_a_record,
    bytes_of_a_command_id,
    bytes_of_a_receipt,
    receipts_of_a_commit,
    bytes_of_a_name,
    bytes_of_an_owner,
    moves_of_a_commit,
    bytes_of_a_commit,
);

fn over(store: &dyn Store, commit: Commit, most: usize) {
    match refusal(store, commit) {
        StoreError::LimitExceeded { limit, actual, .. } => {
            assert_eq!((limit, actual), (most as u64, most as u64 + 1));
        }
        other => panic!("{other:?}"),
    }
}

fn bytes_of_a_record(backend: &dyn Backend) {
    let store = fresh(backend);
    done(&*store, put([raw("a")]));
    let with = |size| {
        let change = Change::Set {
            target: raw("a").cid,
            record: vec![1; size],
        };
        moving(RefMove {
            name: name("x"),
            expect: Expect::Any,
            change,
        })
    };
    done(&*store, with(RECORD_BYTES_MAX));
    over(&*store, with(RECORD_BYTES_MAX + 1), RECORD_BYTES_MAX);
}

fn bytes_of_a_command_id(backend: &dyn Backend) {
    let store = fresh(backend);
    let with = |size: usize| Commit {
        command: Some(command(
            Address::Scope("main".into()),
            &"é".repeat(size / 2),
            1,
        )),
        ..put([raw("a")])
    };
    done(&*store, with(COMMAND_ID_BYTES_MAX));
    let mut longer = with(COMMAND_ID_BYTES_MAX);
    longer
        .command
        .iter_mut()
        .for_each(|command| command.id.push('x'));
    over(&*store, longer, COMMAND_ID_BYTES_MAX);
    let error = refusal(&*store, with(0));
    assert!(matches!(error, StoreError::Invalid { .. }), "{error:?}");
}

fn bytes_of_a_receipt(backend: &dyn Backend) {
    let store = fresh(backend);
    let with = |size: usize, id: &str| {
        let mut command = command(Address::Scope("main".into()), id, 1);
        command.receipt = vec![1; size];
        Commit {
            command: Some(command),
            ..put([])
        }
    };
    done(&*store, with(RECEIPT_BYTES_MAX, "1"));
    let replay = done(&*store, with(0, "1")).replay.unwrap();
    assert_eq!(replay.len(), RECEIPT_BYTES_MAX);
    over(&*store, with(RECEIPT_BYTES_MAX + 1, "2"), RECEIPT_BYTES_MAX);
    done(&*store, with(0, "2"));
    assert_eq!(done(&*store, with(9, "2")).replay, Some(vec![]));
    assert_sound(&*store);
}

fn receipts_of_a_commit(backend: &dyn Backend) {
    let store = fresh(backend);
    let with = |count: u64, size: usize| Commit {
        receipts: (0..count)
            .map(|number| {
                let mut key = [0; 32];
                key[..8].copy_from_slice(&number.to_le_bytes());
                JournalCommand {
                    key,
                    payload: [1; 32],
                    receipt: vec![1; size],
                }
            })
            .collect(),
        ..put([])
    };
    let most = COMMIT_RECEIPTS_MAX as u64;
    over(&*store, with(most + 1, 1), COMMIT_RECEIPTS_MAX);
    over(&*store, with(1, RECEIPT_BYTES_MAX + 1), RECEIPT_BYTES_MAX);
    assert_eq!(done(&*store, with(1, RECEIPT_BYTES_MAX)).new_receipts, 1);
    assert_eq!(done(&*store, with(most, 1)).new_receipts, most - 1);
    assert_sound(&*store);
}

fn bytes_of_a_name(backend: &dyn Backend) {
    let store = fresh(backend);
    done(&*store, put([raw("a")]));
    let room = NAME_BYTES_MAX - "main/thread/".len();
    let longest = RefName::new("main", "thread", ["x".repeat(room)]).unwrap();
    done(&*store, moving(set(&longest, Expect::Absent, raw("a").cid)));
    assert_eq!(
        store.list_refs("main", "thread", None, 9).unwrap()[0].0,
        longest
    );
    assert!(matches!(
        RefName::new("main", "thread", ["x".repeat(room + 1)]),
        Err(StoreError::LimitExceeded {
            limit: 1024,
            actual: 1025,
            ..
        })
    ));
    let within = |scope: String| Commit {
        scope,
        ..put([raw("b")])
    };
    done(&*store, within("x".repeat(SCOPE_BYTES_MAX)));
    for scope in ["é".repeat(NAME_BYTES_MAX), "x".repeat(SCOPE_BYTES_MAX + 1)] {
        let error = refusal(&*store, within(scope));
        assert!(
            matches!(error, StoreError::LimitExceeded { limit: 896, .. }),
            "{error:?}"
        );
    }
}

fn bytes_of_an_owner(backend: &dyn Backend) {
    let store = fresh(backend);
    let error = store
        .lease_acquire(&name("x"), &"x".repeat(OWNER_BYTES_MAX + 1))
        .unwrap_err();
    assert!(
        matches!(error, StoreError::LimitExceeded { .. }),
        "{error:?}"
    );
    assert_eq!(store.lease_state(&name("x")).unwrap(), None);
    store
        .lease_acquire(&name("x"), &"x".repeat(OWNER_BYTES_MAX))
        .unwrap();
}

fn moves_of_a_commit(backend: &dyn Backend) {
    let store = fresh(backend);
    let moves = |count: usize| -> Vec<RefMove> {
        (0..count)
            .map(|index| set(&name(&index.to_string()), Expect::Absent, raw("a").cid))
            .collect()
    };
    let with = |count| Commit {
        moves: moves(count),
        ..put([raw("a")])
    };
    over(&*store, with(COMMIT_MOVES_MAX + 1), COMMIT_MOVES_MAX);
    assert_eq!(
        done(&*store, with(COMMIT_MOVES_MAX)).versions.len(),
        COMMIT_MOVES_MAX
    );
    assert_eq!(
        store.journal(None, 1).unwrap()[0].moves.len(),
        COMMIT_MOVES_MAX
    );
}

fn bytes_of_a_commit(backend: &dyn Backend) {
    let store = fresh(backend);
    let half = (BLOB_BYTES_MIN / 2) as u64;
    let mut blocks: Vec<Block> = (0..COMMIT_BYTES_MAX / half)
        .map(|index| {
            let mut bytes = vec![0; half as usize];
            bytes[..8].copy_from_slice(&index.to_le_bytes());
            raw(bytes)
        })
        .collect();
    // A block that may be a file of its own does not count.
    blocks.push(raw(vec![7; BLOB_BYTES_MIN]));
    let mut more = blocks.clone();
    more.push(raw([1]));
    over(&*store, put(more), COMMIT_BYTES_MAX as usize);
    let answer = done(&*store, put(blocks));
    assert_eq!(answer.new_bytes, COMMIT_BYTES_MAX + BLOB_BYTES_MIN as u64);
}
