//! Many threads and blocks in one commit.

use treering_block::{Encoded, Ipld};
use treering_store::{Durability, Store, StoreError};
use treering_thread::{ForkArgs, ForkAt, StartArgs, Status, Thread, ThreadError, Threads};

use crate::staged::Staged;
use crate::{begun, fresh, texts, timeless, written};

fn turn(
    threads: &Threads,
    thread: &Thread,
    id: Option<&str>,
) -> Result<treering_thread::BatchAnswer, ThreadError> {
    let mut batch = threads.batch();
    let old = batch.thread(thread)?;
    let new = batch.start(StartArgs {
        key: Some("new".into()),
        prompt: Some("p".into()),
        ..StartArgs::new("w")
    })?;
    batch.append(old, timeless("a", "one"))?;
    batch.extend(new, vec![timeless("b", "two"), timeless("b", "three")])?;
    let fork = batch.fork(new, ForkAt::Step(1), ForkArgs::default())?;
    batch.append(fork, timeless("c", "four"))?;
    batch.finish(old, 0, "done")?;
    let cid = batch.put(b"bytes");
    batch.put_node(Encoded::from_ipld(&Ipld::List(vec![Ipld::Link(cid.into())])).unwrap())?;
    batch.commit(id, Durability::Durable)?.wait()
}

#[test]
fn a_batch_is_one_commit() {
    let (store, _, threads) = fresh();
    let thread = begun(&threads);
    let (answer, _, commits) = written(&*store, || turn(&threads, &thread, None).unwrap());
    assert_eq!((commits, answer.replayed), (1, false));
    assert_eq!(answer.steps.len(), 5);
    let [old, new, fork] = answer.threads.as_slice() else {
        panic!()
    };
    assert_eq!(
        (old.id(), texts(old)),
        (thread.id(), vec!["one".to_owned(), "done".to_owned()])
    );
    assert_eq!(thread.info().status, Status::Completed);
    assert_eq!(texts(new), ["two", "three"]);
    assert_eq!(texts(fork), ["two", "four"]);
    assert_eq!(fork.info().forked_from, Some((new.id().to_owned(), 1)));
    assert_eq!(threads.get("new").unwrap().id(), new.id());
    // The handles that come back go on at once.
    assert_eq!(
        new.append(timeless("b", "five"))
            .unwrap()
            .wait()
            .unwrap()
            .number,
        3
    );
    assert_eq!(threads.get(new.id()).unwrap().info(), new.info());
    let mut report = store.verify(None).unwrap();
    treering_thread::verify_threads(&*store, &mut report);
    assert_eq!(report.findings, []);
}

#[test]
fn drafts_fork_drafts() {
    let (store, _, threads) = fresh();
    let thread = crate::grown(&threads, 40);
    let mut batch = threads.batch();
    let old = batch.thread(&thread).unwrap();
    batch
        .extend(
            old,
            (41..=60)
                .map(|n| timeless("coder", &n.to_string()))
                .collect(),
        )
        .unwrap();
    let mut forks = vec![old];
    for at in [
        ForkAt::Step(50),
        ForkAt::Head,
        ForkAt::Step(45),
        ForkAt::Step(30),
        ForkAt::Step(0),
        ForkAt::Head,
    ] {
        let fork = batch
            .fork(*forks.last().unwrap(), at, ForkArgs::default())
            .unwrap();
        batch
            .extend(
                fork,
                (0..5)
                    .map(|n| timeless("coder", &format!("{}-{n}", fork.index())))
                    .collect(),
            )
            .unwrap();
        forks.push(fork);
    }
    assert!(matches!(
        batch.fork(forks[4], ForkAt::Step(36), ForkArgs::default()),
        Err(ThreadError::NoSuchStep { len: 35, .. })
    ));
    let answer = batch
        .commit(None, Durability::Durable)
        .unwrap()
        .wait()
        .unwrap();
    let lengths: Vec<u64> = answer.threads.iter().map(Thread::len).collect();
    assert_eq!(lengths, [60, 55, 60, 50, 35, 5, 10]);
    assert_eq!(
        texts(&answer.threads[3])[44..],
        ["45", "3-0", "3-1", "3-2", "3-3", "3-4"]
    );
    for thread in &answer.threads {
        thread
            .append(timeless("coder", "on"))
            .unwrap()
            .wait()
            .unwrap();
    }
    let mut report = store.verify(None).unwrap();
    treering_thread::verify_threads(&*store, &mut report);
    assert_eq!(report.findings, [], "every jump is right");
}

#[test]
fn a_repeated_batch_answers_the_first() {
    let (store, clock, threads) = fresh();
    let thread = begun(&threads);
    let first = turn(&threads, &thread, Some("turn-17")).unwrap();
    clock.advance(1000);
    for handle in [thread.clone(), threads.get(thread.id()).unwrap()] {
        let (again, blocks, commits) = written(&*store, || {
            turn(&threads, &handle, Some("turn-17")).unwrap()
        });
        assert!(again.replayed);
        assert_eq!((blocks, commits), (0, 0));
        assert_eq!(
            again.threads.iter().map(Thread::id).collect::<Vec<_>>(),
            first.threads.iter().map(Thread::id).collect::<Vec<_>>()
        );
        assert_eq!(again.steps, first.steps);
    }
    let mut other = threads.batch();
    other.put(b"else");
    assert!(matches!(
        other.commit(Some("turn-17"), Durability::Durable),
        Err(ThreadError::Store(StoreError::CommandMismatch { .. }))
    ));
}

#[test]
fn a_batch_that_fails_writes_nothing() {
    let (store, _, threads) = fresh();
    let (a, b) = (begun(&threads), begun(&threads));
    let stale = threads.get(b.id()).unwrap();
    b.append(timeless("x", "moved on")).unwrap().wait().unwrap();
    let mut batch = threads.batch();
    for thread in [&a, &stale] {
        let draft = batch.thread(thread).unwrap();
        batch.append(draft, timeless("x", "both")).unwrap();
    }
    let (result, blocks, commits) = written(&*store, || {
        batch
            .commit(None, Durability::Durable)
            .and_then(|pending| pending.wait())
    });
    match result {
        Err(ThreadError::HeadMoved { thread, .. }) => assert_eq!(thread, b.id()),
        other => panic!("{other:?}"),
    }
    assert_eq!((blocks, commits, a.len()), (0, 0, 0));
    assert_eq!(
        a.append(timeless("x", "goes on"))
            .unwrap()
            .wait()
            .unwrap()
            .number,
        1,
        "the other thread is free"
    );

    a.finish(0, "", None).unwrap().wait().unwrap();
    let mut batch = threads.batch();
    let draft = batch.thread(&a).unwrap();
    batch.append(draft, timeless("x", "late")).unwrap();
    assert!(matches!(
        batch.commit(None, Durability::Durable),
        Err(ThreadError::WrongStatus {
            status: Status::Completed,
            ..
        })
    ));

    begun(&threads);
    threads
        .start(StartArgs {
            key: Some("k".into()),
            ..StartArgs::new("w")
        })
        .unwrap()
        .wait()
        .unwrap();
    let mut batch = threads.batch();
    let draft = batch.thread(&b).unwrap();
    batch
        .append(draft, timeless("x", "with a taken key"))
        .unwrap();
    batch
        .start(StartArgs {
            key: Some("k".into()),
            ..StartArgs::new("w")
        })
        .unwrap();
    let result = batch.commit(None, Durability::Durable).unwrap().wait();
    assert!(
        matches!(result, Err(ThreadError::AlreadyExists { .. })),
        "{result:?}"
    );
    assert_eq!(
        b.append(timeless("x", "after"))
            .unwrap()
            .wait()
            .unwrap()
            .number,
        2
    );
}

#[test]
fn changes_in_flight_behind_a_refused_batch_go_on() {
    let store = Staged::new();
    let threads = Threads::new(store.clone(), "main", Durability::Durable).unwrap();
    let thread = begun(&threads);
    let foreign = threads.get(begun(&threads).id()).unwrap();
    let stale = threads.get(foreign.id()).unwrap();
    store.hold();
    drop(foreign.append(timeless("x", "first")).unwrap());
    let mut batch = threads.batch();
    for thread in [&thread, &stale] {
        let draft = batch.thread(thread).unwrap();
        batch.append(draft, timeless("x", "batch")).unwrap();
    }
    let refused = batch.commit(None, Durability::Durable).unwrap();
    let behind = thread.append(timeless("x", "behind")).unwrap();
    store.apply(3);
    store.release();
    assert!(matches!(refused.wait(), Err(ThreadError::HeadMoved { .. })));
    assert_eq!(behind.wait().unwrap().number, 1);
    assert_eq!(texts(&thread), ["behind"]);
}

#[test]
fn a_batch_is_planned_anew_on_a_changed_record() {
    let store = Staged::new();
    let threads = Threads::new(store.clone(), "main", Durability::Durable).unwrap();
    let (a, b) = (begun(&threads), begun(&threads));
    let other = threads.get(b.id()).unwrap();
    let mut batch = threads.batch();
    for thread in [&a, &b] {
        let draft = batch.thread(thread).unwrap();
        batch.append(draft, timeless("x", "both")).unwrap();
    }
    store.hold();
    let failed = other.fail("meanwhile", None).unwrap();
    let pending = batch.commit(None, Durability::Durable).unwrap();
    store.release();
    failed.wait().unwrap();
    pending.wait().unwrap();
    assert_eq!(
        (texts(&a), texts(&b)),
        (vec!["both".to_owned()], vec!["both".to_owned()])
    );
    assert_eq!(b.info().status, Status::Idle);
}

#[test]
fn a_batch_is_of_one_scope() {
    let (store, _, threads) = fresh();
    let other = Threads::new(store, "other", Durability::Durable).unwrap();
    let mut batch = threads.batch();
    assert!(matches!(
        batch.thread(&begun(&other)),
        Err(ThreadError::Invalid { .. })
    ));
    let command = StartArgs {
        command_id: Some("c".into()),
        ..StartArgs::new("w")
    };
    assert!(matches!(
        batch.start(command),
        Err(ThreadError::Invalid { .. })
    ));
    assert!(
        batch
            .commit(None, Durability::Durable)
            .unwrap()
            .wait()
            .unwrap()
            .threads
            .is_empty()
    );
}
