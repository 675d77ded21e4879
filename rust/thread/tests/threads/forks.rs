//! Forks: three forms, one record, no node.

use std::ops::ControlFlow;

use treering_store::{Durability, EraseOptions, GcOptions, Store};
use treering_thread::car::{OnConflict, export, import};
use treering_thread::{
    Filter, ForkArgs, ForkAt, Label, Occurrence, StartArgs, Thread, ThreadError, Threads,
    common_ancestor, diff,
};

use crate::{begun, fresh, grown, read, texts, timeless, written};

fn fork(thread: &Thread, at: ForkAt) -> Result<Thread, ThreadError> {
    thread.fork(at, ForkArgs::default())?.wait()
}

fn before(role: &str, occurrence: Occurrence) -> ForkAt {
    ForkAt::Before {
        role: role.into(),
        occurrence,
    }
}

fn loops() -> (std::sync::Arc<treering_store::MemoryStore>, Thread) {
    let (store, _, threads) = fresh();
    let thread = begun(&threads);
    let steps = ["planner", "coder", "reviewer", "coder", "reviewer"]
        .iter()
        .enumerate();
    thread
        .extend(
            steps
                .map(|(n, role)| timeless(role, &format!("{}", n + 1)))
                .collect(),
            None,
        )
        .unwrap()
        .wait()
        .unwrap();
    (store, thread)
}

#[test]
fn a_fork_writes_one_record_and_no_node() {
    let (store, _, threads) = fresh();
    let thread = grown(&threads, 3000);
    for at in [
        ForkAt::Head,
        ForkAt::Step(0),
        ForkAt::Step(1),
        ForkAt::Step(1500),
        ForkAt::Step(3000),
    ] {
        let (fork, blocks, commits) = written(&*store, || fork(&thread, at.clone()).unwrap());
        assert_eq!((blocks, commits), (0, 1), "{at:?}");
        assert_eq!(
            fork.info().forked_from,
            Some((thread.id().to_owned(), fork.len()))
        );
        assert_eq!(fork.start_cid().unwrap(), thread.start_cid().unwrap());
    }
    assert!(matches!(
        fork(&thread, ForkAt::Step(3001)),
        Err(ThreadError::NoSuchStep {
            asked: 3001,
            len: 3000,
            ..
        })
    ));
    let (_, reads) = read(&*store, || {
        fork(&threads.get(thread.id()).unwrap(), ForkAt::Step(777)).unwrap()
    });
    assert!(reads < 50, "{reads}");
}

#[test]
fn a_fork_goes_its_own_way() {
    let (_, thread) = loops();
    let retry = fork(&thread, ForkAt::Step(1)).unwrap();
    retry
        .append(timeless("coder", "otherwise"))
        .unwrap()
        .wait()
        .unwrap();
    assert_eq!(texts(&retry), ["1", "otherwise"]);
    assert_eq!(texts(&thread), ["1", "2", "3", "4", "5"]);
    let again = fork(&retry, ForkAt::Head).unwrap();
    again
        .append(timeless("coder", "more"))
        .unwrap()
        .wait()
        .unwrap();
    assert_eq!(again.info().forked_from, Some((retry.id().to_owned(), 2)));
    let apart = diff(&thread, &again).unwrap();
    assert_eq!(apart.common, Some((1, thread.at(1).unwrap().cid)));
    assert_eq!((apart.left.len(), apart.right.len()), (4, 2));
    assert_eq!(
        common_ancestor(&retry, &again).unwrap(),
        Some((2, retry.head()))
    );
    let empty = fork(&thread, ForkAt::Step(0)).unwrap();
    assert_eq!(
        common_ancestor(&thread, &empty).unwrap(),
        Some((0, thread.start_cid().unwrap()))
    );
    assert_eq!(
        empty
            .append(timeless("planner", "1"))
            .unwrap()
            .wait()
            .unwrap()
            .cid,
        thread.at(1).unwrap().cid,
        "shared"
    );
}

#[test]
fn before_redoes_a_role() {
    let (_, thread) = loops();
    let at = |at| fork(&thread, at).map(|fork| fork.len());
    assert_eq!(at(before("coder", Occurrence::Last)).unwrap(), 3);
    assert_eq!(at(before("coder", Occurrence::First)).unwrap(), 1);
    assert_eq!(at(before("coder", Occurrence::Nth(2))).unwrap(), 3);
    assert_eq!(at(before("planner", Occurrence::Last)).unwrap(), 0);
    assert_eq!(at(before("reviewer", Occurrence::Last)).unwrap(), 4);
    match at(before("tester", Occurrence::Last)) {
        Err(ThreadError::UnknownRole { role, roles }) => {
            assert_eq!(role, "tester");
            let mut roles = roles;
            roles.sort();
            assert_eq!(roles, ["coder", "planner", "reviewer"]);
        }
        other => panic!("{other:?}"),
    }
    for nth in [0, 3] {
        assert!(matches!(
            at(before("coder", Occurrence::Nth(nth))),
            Err(ThreadError::Invalid { .. })
        ));
    }
}

#[test]
fn the_end_never_counts() {
    let (store, thread) = loops();
    let last = thread.head();
    thread.finish(0, "done", None).unwrap().wait().unwrap();
    let copy = fork(&thread, ForkAt::Head).unwrap();
    assert_eq!((copy.len(), copy.head()), (5, last));
    let end = fork(&thread, ForkAt::Step(6)).unwrap_err().to_string();
    assert!(end.contains("fork at 5"), "{end}");
    assert!(matches!(
        fork(&thread, ForkAt::Step(7)),
        Err(ThreadError::NoSuchStep {
            asked: 7,
            len: 5,
            ..
        })
    ));
    assert!(matches!(
        fork(&thread, before("__end__", Occurrence::Last)),
        Err(ThreadError::UnknownRole { .. })
    ));
    assert_eq!(
        fork(&thread, before("reviewer", Occurrence::Last))
            .unwrap()
            .len(),
        4
    );
    copy.append(timeless("coder", "6")).unwrap().wait().unwrap();
    assert!(store.verify(None).unwrap().findings.is_empty());
}

#[test]
fn a_fork_has_what_it_is_given() {
    let (_, _, threads) = fresh();
    let args = StartArgs {
        key: Some("a".into()),
        labels: [("trial".to_owned(), Label::Int(1))].into(),
        max_rounds: Some(10),
        ..StartArgs::new("w")
    };
    let thread = threads.start(args).unwrap().wait().unwrap();
    let args = ForkArgs {
        max_rounds: Some(3),
        key: Some("b".into()),
        labels: [("trial".to_owned(), Label::Int(2))].into(),
        command_id: None,
    };
    let fork = thread
        .fork(ForkAt::Head, args.clone())
        .unwrap()
        .wait()
        .unwrap();
    assert_eq!(threads.get("b").unwrap().id(), fork.id());
    assert_eq!(fork.info().labels.get("trial"), Some(&Label::Int(2)));
    assert_eq!(
        (fork.max_rounds().unwrap(), thread.max_rounds().unwrap()),
        (Some(3), Some(10))
    );
    let plain = fork
        .fork(ForkAt::Head, ForkArgs::default())
        .unwrap()
        .wait()
        .unwrap();
    assert_eq!(
        (
            plain.max_rounds().unwrap(),
            plain.key(),
            plain.info().labels.len()
        ),
        (Some(3), None, 0)
    );
    assert!(matches!(
        thread.fork(ForkAt::Head, args).unwrap().wait(),
        Err(ThreadError::AlreadyExists { .. })
    ));
}

#[test]
fn a_shared_prefix_outlives_one_of_its_threads() {
    let (_, thread) = loops();
    let copy = fork(&thread, ForkAt::Step(3)).unwrap();
    thread.rm(false, None).unwrap().wait().unwrap();
    assert_eq!(texts(&copy), ["1", "2", "3"]);
    assert_eq!(
        copy.append(timeless("coder", "4"))
            .unwrap()
            .wait()
            .unwrap()
            .number,
        4
    );
}

/// Forks of what a handle saw: of its head, of a step before, of its start; alone and in a batch, there of a fork too.
fn forks_of(threads: &Threads, thread: &Thread) -> Vec<Result<(), ThreadError>> {
    let mut all = Vec::new();
    for at in [
        ForkAt::Head,
        ForkAt::Step(1),
        ForkAt::Step(0),
        before("coder", Occurrence::Last),
    ] {
        all.push(fork(thread, at.clone()).map(drop));
        let mut batch = threads.batch();
        let old = batch.thread(thread).unwrap();
        let first = batch.fork(old, at, ForkArgs::default()).unwrap();
        let second = batch.fork(first, ForkAt::Head, ForkArgs::default());
        batch
            .append(second.unwrap(), timeless("coder", "on"))
            .unwrap();
        let pending = batch.commit(None, Durability::Durable);
        all.push(pending.and_then(|pending| pending.wait().map(drop)));
    }
    all
}

#[test]
fn what_is_gone_is_forked_by_no_handle_that_saw_it() {
    for erased in [false, true] {
        let (store, thread) = loops();
        let threads = Threads::new(store.clone(), "main", Durability::Durable).unwrap();
        let other = threads.get(thread.id()).unwrap();
        if erased {
            store.erase("main", &EraseOptions::default()).unwrap();
        } else {
            other.rm(false, None).unwrap().wait().unwrap();
        }
        // The nodes are there until they are collected, and what was seen says where.
        assert_eq!(texts(&thread).len(), 5);
        for answer in forks_of(&threads, &thread) {
            match answer {
                Err(ThreadError::NotFound { id }) => assert_eq!(id, thread.id()),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(store.scopes().unwrap(), [""; 0]);
        // Nor when they are collected.
        store.gc(&GcOptions::default()).unwrap();
        for at in [ForkAt::Head, ForkAt::Step(1)] {
            let answer = fork(&threads.get(thread.id()).unwrap_or(thread.clone()), at);
            assert!(
                matches!(answer, Err(ThreadError::NotFound { .. })),
                "{answer:?}"
            );
        }
    }
}

#[test]
fn a_later_life_of_a_thread_is_not_forked_as_an_earlier_one_was_seen() {
    let (store, thread) = loops();
    let threads = Threads::new(store.clone(), "main", Durability::Durable).unwrap();
    let mut older = Vec::new();
    export(&threads, None, &mut older, &mut |_, _| {
        ControlFlow::Continue(())
    })
    .unwrap();
    thread
        .append(timeless("coder", "what is to go"))
        .unwrap()
        .wait()
        .unwrap();
    store.erase("main", &EraseOptions::default()).unwrap();
    let file = std::io::Cursor::new(older);
    import(&threads, file, OnConflict::Refuse, &mut |_, _| {
        ControlFlow::Continue(())
    })
    .unwrap();
    for answer in forks_of(&threads, &thread) {
        assert!(
            matches!(answer, Err(ThreadError::NotFound { .. })),
            "{answer:?}"
        );
    }
    let later = threads.get(thread.id()).unwrap();
    for answer in forks_of(&threads, &later) {
        answer.unwrap();
    }
    // However far the later one goes: as many steps, as many versions, and more.
    for number in 0..20 {
        let text = format!("of the later life, {number}");
        let step = later.append(timeless("coder", &text)).unwrap();
        step.wait().unwrap();
        for answer in forks_of(&threads, &thread) {
            assert!(
                matches!(answer, Err(ThreadError::NotFound { .. })),
                "{number}: {answer:?}"
            );
        }
    }
    // One that saw no more than what came back forks it.
    let start = threads.get(thread.id()).unwrap();
    for answer in forks_of(&threads, &start) {
        answer.unwrap();
    }
}

#[test]
fn a_thread_that_others_moved_on_is_forked_as_it_was_seen() {
    let (store, thread) = loops();
    let threads = Threads::new(store.clone(), "main", Durability::Durable).unwrap();
    let other = threads.get(thread.id()).unwrap();
    other
        .append(timeless("coder", "6"))
        .unwrap()
        .wait()
        .unwrap();
    for answer in forks_of(&threads, &thread) {
        answer.unwrap();
    }
}

#[test]
fn a_batch_that_forks_what_is_gone_writes_nothing_and_those_behind_it_go_on() {
    let (store, thread) = loops();
    let threads = Threads::new(store.clone(), "main", Durability::Durable).unwrap();
    let kept = begun(&threads);
    thread.rm(false, None).unwrap().wait().unwrap();
    let mut batch = threads.batch();
    let old = batch.thread(&thread).unwrap();
    batch.fork(old, ForkAt::Head, ForkArgs::default()).unwrap();
    let draft = batch.thread(&kept).unwrap();
    batch.append(draft, timeless("coder", "no")).unwrap();
    let refused = batch.commit(Some("c"), Durability::Durable).unwrap();
    let behind = kept.append(timeless("coder", "yes")).unwrap();
    let answer = refused.wait();
    assert!(
        matches!(answer, Err(ThreadError::NotFound { .. })),
        "{answer:?}"
    );
    behind.wait().unwrap();
    assert_eq!(texts(&kept), ["yes"]);
    assert_eq!(threads.list(&Filter::default()).unwrap().len(), 1);
}
