//! Commits: all or nothing, judged one by one, in order.

use std::sync::mpsc;

use super::material::{
    assert_sound, done, fresh, moving, name, node, put, raw, refusal, set, version,
};
use super::{Backend, cases};
use crate::clock::Clock;
use crate::commit::{Commit, Durability, Expect};
use crate::error::StoreError;
use crate::name::RefName;
use crate::store::HOLD_MS;

cases!("commits":
    blocks_and_refs_land_together,
    both_durabilities_are_answered,
    a_failing_request_is_answered_alone,
    a_later_request_sees_the_earlier_ones,
    a_commit_stays_in_its_scope,
    a_ref_is_moved_once_in_a_commit,
    holds_are_booked_and_renewed,
    an_empty_commit_is_nothing,
    time_does_not_go_back,
    an_answer_can_be_called_for,
    nobody_has_to_wait,
);

fn blocks_and_refs_land_together(backend: &dyn Backend) {
    let store = fresh(backend);
    let leaf = raw("leaf");
    let top = node("top", &[leaf.cid]);
    let moves = vec![
        set(&name("a"), Expect::Absent, top.cid),
        set(&name("b"), Expect::Absent, leaf.cid),
    ];
    let answer = done(
        &*store,
        Commit {
            moves,
            ..put([leaf, top.clone()])
        },
    );
    assert_eq!(
        (answer.position, answer.new_blocks, answer.versions),
        (1, 2, vec![1, 1])
    );
    assert_eq!(answer.replay, None);
    assert!((store.now_ms() - answer.at_ms).abs() < 60_000);
    assert_eq!(store.read_ref(&name("a")).unwrap().unwrap().target, top.cid);
    assert_sound(&*store);
}

fn both_durabilities_are_answered(backend: &dyn Backend) {
    let store = fresh(backend);
    for (index, durability) in [
        Durability::Durable,
        Durability::Relaxed,
        Durability::Durable,
    ]
    .into_iter()
    .enumerate()
    {
        let answer = done(
            &*store,
            Commit {
                durability,
                ..put([raw([index as u8])])
            },
        );
        assert_eq!(answer.position, index as u64 + 1);
    }
    assert_sound(&*store);
}

/// Submitted without waiting, so that a backend that groups commits has them in one batch.
fn a_failing_request_is_answered_alone(backend: &dyn Backend) {
    let store = fresh(backend);
    let mut tickets = Vec::new();
    for index in 0..60_u8 {
        let target = raw([index]);
        let mut commit = put([target.clone()]);
        match index % 4 {
            0 => commit.moves = vec![set(&name("shared"), Expect::Absent, target.cid)],
            1 => commit.blocks.push(node("dangling", &[raw("absent").cid])),
            2 => {
                commit.moves = vec![set(
                    &name(&format!("own-{index}")),
                    Expect::Absent,
                    target.cid,
                )]
            }
            _ => commit.moves = vec![set(&name("shared"), Expect::Version(9), target.cid)],
        }
        tickets.push(store.submit(commit));
    }
    for (index, ticket) in tickets.iter().enumerate() {
        let answer = ticket.wait();
        let target = raw([index as u8]).cid;
        match (index, index % 4) {
            (0, _) | (_, 2) => assert_eq!(answer.unwrap().versions, [1]),
            (_, 1) => assert!(matches!(answer, Err(StoreError::LinkMissing { .. }))),
            (_, _) => assert!(matches!(answer, Err(StoreError::RefMoved { .. }))),
        }
        assert_eq!(
            store.has(&target).unwrap(),
            index == 0 || index % 4 == 2,
            "request {index}"
        );
    }
    assert_eq!(store.head().unwrap().position, 16);
    assert_sound(&*store);
}

fn a_later_request_sees_the_earlier_ones(backend: &dyn Backend) {
    let store = fresh(backend);
    let mut parent = raw("start");
    let mut tickets = vec![store.submit(put([parent.clone()]))];
    for step in 0..100 {
        // Links to the block of the request before, and expects the version that it made.
        let next = node(&step.to_string(), &[parent.cid]);
        let expect = if step == 0 {
            Expect::Absent
        } else {
            Expect::Version(step)
        };
        tickets.push(store.submit(Commit {
            moves: vec![set(&name("x"), expect, next.cid)],
            ..put([next.clone()])
        }));
        parent = next;
    }
    let positions: Vec<u64> = tickets
        .iter()
        .map(|ticket| ticket.wait().unwrap().position)
        .collect();
    assert_eq!(positions, (1..=101).collect::<Vec<u64>>());
    assert_eq!(version(&*store, &name("x")), 100);
    assert_sound(&*store);
}

fn a_commit_stays_in_its_scope(backend: &dyn Backend) {
    let store = fresh(backend);
    done(&*store, put([raw("a")]));
    let other = RefName::new("other", "thread", ["x"]).unwrap();
    let step = set(&other, Expect::Absent, raw("a").cid);
    let error = refusal(
        &*store,
        Commit {
            moves: vec![step.clone()],
            ..put([])
        },
    );
    assert!(matches!(error, StoreError::Invalid { .. }), "{error:?}");
    let error = refusal(
        &*store,
        Commit {
            scope: String::new(),
            ..put([raw("b")])
        },
    );
    assert!(matches!(error, StoreError::Invalid { .. }), "{error:?}");
    // Blocks are the whole store's.
    assert_eq!(done(&*store, moving(step)).versions, [1]);
}

fn a_ref_is_moved_once_in_a_commit(backend: &dyn Backend) {
    let store = fresh(backend);
    let block = raw("a");
    let twice = vec![
        set(&name("x"), Expect::Any, block.cid),
        set(&name("x"), Expect::Any, block.cid),
    ];
    let error = refusal(
        &*store,
        Commit {
            moves: twice,
            ..put([block])
        },
    );
    assert!(matches!(error, StoreError::Invalid { .. }), "{error:?}");
}

fn holds_are_booked_and_renewed(backend: &dyn Backend) {
    let clock = Clock::manual(1_000_000);
    let store = backend.fresh(clock.clone());
    let (a, b) = (raw("a"), raw("b"));
    let held = |blocks: Vec<_>, holds: Vec<_>| Commit {
        holds,
        ..put(blocks)
    };
    done(
        &*store,
        held(vec![a.clone(), b.clone()], vec![a.cid, b.cid, a.cid]),
    );
    assert_eq!(store.stats().unwrap().holds, 2);
    let head = store.head().unwrap();
    clock.advance(HOLD_MS / 2);
    done(&*store, held(vec![a.clone()], vec![a.cid]));
    done(&*store, held(vec![], vec![b.cid]));
    assert_eq!(
        (store.stats().unwrap().holds, store.head().unwrap()),
        (2, head),
        "renewed, and no history"
    );
    done(
        &*store,
        Commit {
            scope: "other".into(),
            ..held(vec![a.clone()], vec![a.cid])
        },
    );
    assert_eq!(
        store.stats().unwrap().holds,
        3,
        "each scope holds for itself"
    );
    let error = refusal(&*store, held(vec![raw("new")], vec![raw("absent").cid]));
    assert!(matches!(error, StoreError::LinkMissing { link, .. } if link == raw("absent").cid));
    assert_sound(&*store);
}

fn an_empty_commit_is_nothing(backend: &dyn Backend) {
    let store = fresh(backend);
    assert_eq!(done(&*store, put([])).position, 0);
    done(&*store, put([raw("a")]));
    let answer = done(&*store, put([]));
    assert_eq!(
        (answer.position, answer.new_blocks, answer.versions.len()),
        (1, 0, 0)
    );
}

fn time_does_not_go_back(backend: &dyn Backend) {
    let clock = Clock::manual(5000);
    let store = backend.fresh(clock.clone());
    let mut times = Vec::new();
    for (index, now_ms) in [5000, 4000, 6000, -1, 6001].into_iter().enumerate() {
        clock.set(now_ms);
        assert_eq!(store.now_ms(), now_ms);
        times.push(done(&*store, put([raw([index as u8])])).at_ms);
    }
    assert_eq!(times, [5000, 5000, 6000, 6000, 6001]);
    let journal: Vec<i64> = store
        .journal(None, 9)
        .unwrap()
        .iter()
        .map(|entry| entry.at_ms)
        .collect();
    assert_eq!(journal, times);
    assert_sound(&*store);
}

fn an_answer_can_be_called_for(backend: &dyn Backend) {
    let store = fresh(backend);
    let (sender, receiver) = mpsc::channel();
    for index in 0..20_u8 {
        let ticket = store.submit(put([raw([index])]));
        let (sender, answered) = (sender.clone(), ticket.clone());
        ticket.on_answer(move || {
            sender
                .send(answered.poll().unwrap().unwrap().position)
                .unwrap()
        });
    }
    let mut positions: Vec<u64> = receiver.iter().take(20).collect();
    positions.sort_unstable();
    assert_eq!(positions, (1..=20).collect::<Vec<u64>>());
}

fn nobody_has_to_wait(backend: &dyn Backend) {
    let store = fresh(backend);
    drop(store.submit(put([raw("dropped")])));
    done(&*store, put([raw("next")]));
    assert!(
        store.has(&raw("dropped").cid).unwrap(),
        "a dropped ticket takes nothing back"
    );
}
