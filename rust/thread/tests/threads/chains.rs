//! Long chains: step k, ancestors, walks, and how many blocks each reads.

use std::collections::BTreeMap;

use proptest::prelude::*;
use treering_block::jump_step;
use treering_thread::{ForkAt, ThreadError, common_ancestor, is_ancestor};

use crate::{begun, cids, fresh, grown, read, timeless, written};

#[test]
fn a_hundred_thousand_steps_are_found_in_a_few_reads() {
    const STEPS: u64 = 100_000;
    let (store, _, threads) = fresh();
    let thread = grown(&threads, STEPS);
    for k in [1, 2, 3, 1000, 49_999, 65_535, 65_536, 99_999, STEPS] {
        let (step, reads) = read(&*store, || thread.at(k).unwrap());
        assert_eq!(step.number, k);
        assert!(reads < 100, "at({k}) read {reads}");
    }
    let fork = |k| {
        thread
            .fork(ForkAt::Step(k), Default::default())
            .unwrap()
            .wait()
            .unwrap()
    };
    let (left, right) = (fork(77_777), fork(88_888));
    for (side, fork) in [("left", &left), ("right", &right)] {
        let more = (0..500).map(|n| timeless(side, &n.to_string())).collect();
        fork.extend(more, None).unwrap().wait().unwrap();
    }
    let (common, reads) = read(&*store, || common_ancestor(&left, &right).unwrap());
    assert_eq!(common.map(|(step, _)| step), Some(77_777));
    assert!(reads < 100, "common ancestor read {reads}");
    let first = thread.at(5).unwrap().cid;
    let (yes, reads) = read(&*store, || {
        is_ancestor(&*store, &first, &thread.head()).unwrap()
    });
    assert!(yes && reads < 100, "is_ancestor read {reads}");
    let (no, reads) = read(&*store, || {
        is_ancestor(&*store, &left.head(), &thread.head()).unwrap()
    });
    assert!(!no && reads < 100, "is_ancestor read {reads}");
    assert!(is_ancestor(&*store, &thread.start_cid().unwrap(), &thread.head()).unwrap());
    assert!(!is_ancestor(&*store, &thread.head(), &first).unwrap());

    // A new handle appends at the end as it does at step 10.
    let short = grown(&threads, 10);
    let mut costs = Vec::new();
    for id in [short.id(), thread.id()] {
        let cold = threads.get(id).unwrap();
        let ((_, blocks, commits), reads) = read(&*store, || {
            written(&*store, || {
                cold.append(timeless("coder", id)).unwrap().wait().unwrap()
            })
        });
        costs.push((reads, blocks, commits));
    }
    assert_eq!(costs[0], costs[1]);
    assert_eq!(costs[1], (2, 2, 1));

    // Walking reads each step about once, either way.
    let (count, reads) = read(&*store, || {
        thread.steps().map(Result::unwrap).count() as u64
    });
    assert_eq!(count, STEPS);
    assert!(reads < STEPS + STEPS / 10, "a walk read {reads}");
    let (context, reads) = read(&*store, || {
        threads.get(thread.id()).unwrap().context(Some(5)).unwrap()
    });
    assert_eq!(
        context
            .steps
            .iter()
            .map(|step| step.number)
            .collect::<Vec<_>>(),
        (99_997..=100_001).collect::<Vec<_>>()
    );
    assert!(reads <= 5 + 1 + 2, "a context of 5 read {reads}");
}

#[test]
fn walks_agree_both_ways_and_in_parts() {
    let (_, _, threads) = fresh();
    let thread = grown(&threads, 1300);
    let forward = cids(&thread);
    let mut back: Vec<_> = thread.back().map(|step| step.unwrap().cid).collect();
    back.reverse();
    assert_eq!(forward, back);
    for (first, last) in [
        (1, 1),
        (1, 512),
        (512, 513),
        (513, 1300),
        (1300, 1300),
        (700, 5000),
    ] {
        let part: Vec<_> = thread
            .walk(first, Some(last))
            .map(|step| step.unwrap().cid)
            .collect();
        assert_eq!(part, forward[first as usize - 1..last.min(1300) as usize]);
    }
    for (first, last) in [(1, 1), (512, 513), (700, 5000), (0, 3)] {
        let mut part: Vec<_> = thread
            .walk_back(first, Some(last))
            .map(|step| step.unwrap().cid)
            .collect();
        part.reverse();
        assert_eq!(
            part,
            forward[(first as usize).max(1) - 1..last.min(1300) as usize]
        );
    }
    assert_eq!(thread.walk_back(5, Some(4)).count(), 0);
    assert_eq!(thread.walk(5, Some(4)).count(), 0);
    assert_eq!(thread.walk(0, Some(2)).count(), 2);
    assert_eq!(thread.walk(1301, None).count(), 0);
    for asked in [0, 1301, u64::MAX] {
        assert!(matches!(
            thread.at(asked),
            Err(ThreadError::NoSuchStep { len: 1300, .. })
        ));
    }
}

#[test]
fn every_jump_is_the_step_that_its_number_asks_for() {
    let (store, _, threads) = fresh();
    let thread = grown(&threads, 300);
    // Handles that know nothing of what was before must find the same jumps as one that grew the chain.
    for _ in 0..300 {
        let cold = threads.get(thread.id()).unwrap();
        cold.append(timeless("coder", "cold"))
            .unwrap()
            .wait()
            .unwrap();
    }
    thread.refresh().unwrap();
    let steps: BTreeMap<u64, _> = thread
        .steps()
        .map(|step| step.unwrap())
        .map(|step| (step.number, step))
        .collect();
    for (number, step) in &steps {
        let target = jump_step(*number);
        assert_eq!(
            step.node.jump,
            steps.get(&target).map(|step| step.cid),
            "step {number}"
        );
    }
    let _ = store;
}

#[test]
fn threads_that_began_apart_share_nothing() {
    let (store, clock, threads) = fresh();
    let a = begun(&threads);
    a.append(timeless("x", "1")).unwrap().wait().unwrap();
    clock.advance(1);
    let b = threads
        .start(treering_thread::StartArgs::new("other"))
        .unwrap()
        .wait()
        .unwrap();
    b.append(timeless("x", "1")).unwrap().wait().unwrap();
    assert_eq!(common_ancestor(&a, &b).unwrap(), None);
    assert!(!is_ancestor(&*store, &a.start_cid().unwrap(), &b.head()).unwrap());
    let content = a.at(1).unwrap().node.content;
    assert!(matches!(
        is_ancestor(&*store, &content, &b.head()),
        Err(ThreadError::Corrupt { .. })
    ));
    assert!(matches!(a.step(&content), Err(ThreadError::Corrupt { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Against lists: forks of forks at any step, their ancestors by comparing prefixes.
    #[test]
    fn ancestors_are_those_of_the_lists(
        trunk in 0u64..80,
        branches in prop::collection::vec((0usize..5, 0u64..100, 0u64..60), 1..6),
    ) {
        let (store, _, threads) = fresh();
        let mut all = vec![grown(&threads, trunk)];
        for (n, (from, at, more)) in branches.into_iter().enumerate() {
            let source = &all[from % all.len()];
            let at = at % (source.len() + 1);
            let fork = source.fork(ForkAt::Step(at), Default::default()).unwrap().wait().unwrap();
            if more > 0 {
                let steps = (0..more).map(|m| timeless(&format!("b{}", n % 3), &m.to_string())).collect();
                fork.extend(steps, None).unwrap().wait().unwrap();
            }
            all.push(fork);
        }
        let lists: Vec<_> = all.iter().map(cids).collect();
        for (a, left) in all.iter().zip(&lists) {
            for (b, right) in all.iter().zip(&lists) {
                let shared = left.iter().zip(right).take_while(|(x, y)| x == y).count();
                let common = common_ancestor(a, b).unwrap().unwrap();
                prop_assert_eq!(common.0, shared as u64);
                prop_assert_eq!(common.1, if shared == 0 { a.start_cid().unwrap() } else { left[shared - 1] });
                let is = is_ancestor(&*store, &a.head(), &b.head()).unwrap();
                prop_assert_eq!(is, shared == left.len());
            }
            for (index, cid) in left.iter().enumerate() {
                prop_assert_eq!(a.at(index as u64 + 1).unwrap().cid, *cid);
            }
        }
    }
}
