//! Finish, fail, cancel, pause, resume, rm: statuses, and what each allows.

use treering_store::Store;
use treering_thread::{Content, Filter, ForkArgs, ForkAt, StartArgs, Status, Thread, ThreadError};

use crate::{DAY_MS, begun, fresh, timeless, written};

fn refused<T: std::fmt::Debug>(result: Result<T, ThreadError>, is: Status) {
    match result {
        Err(ThreadError::WrongStatus { status, .. }) => assert_eq!(status, is),
        other => panic!("{other:?}"),
    }
}

fn append(thread: &Thread) -> Result<u64, ThreadError> {
    Ok(thread.append(timeless("coder", "x"))?.wait()?.number)
}

#[test]
fn finish_writes_the_end_and_moves_to_the_history_in_one_commit() {
    let (store, clock, threads) = fresh();
    let thread = begun(&threads);
    append(&thread).unwrap();
    clock.advance(86_400_000);
    let (end, _, commits) = written(&*store, || {
        thread.finish(3, "all done", None).unwrap().wait().unwrap()
    });
    assert_eq!((commits, end.number, end.role()), (1, 2, "__end__"));
    let meta = end.node.meta.to_ipld().unwrap();
    let treering_block::Ipld::Map(meta) = meta else {
        panic!()
    };
    assert_eq!(meta["return_code"], treering_block::Ipld::Integer(3));
    assert_eq!(
        meta["summary"],
        treering_block::Ipld::String("all done".into())
    );
    assert_eq!(
        end.content(&*store).unwrap(),
        Content::Text("all done".into())
    );
    let info = threads.get(thread.id()).unwrap().info();
    assert_eq!(
        (info.status, info.return_code, info.head, info.steps),
        (Status::Completed, Some(3), end.cid, 2)
    );
    assert_eq!(info.completed_at_ms, Some(DAY_MS + 86_400_000));
    let on = |day: &str| {
        threads
            .list(&Filter {
                day: Some(day.into()),
                ..Filter::default()
            })
            .unwrap()
            .len()
    };
    assert_eq!((on("2026-11-22"), on("2026-11-23")), (0, 1));
    let active = |active| {
        threads
            .list(&Filter {
                active: Some(active),
                ..Filter::default()
            })
            .unwrap()
            .len()
    };
    assert_eq!((active(true), active(false)), (0, 1));
    refused(append(&thread), Status::Completed);
    refused(thread.finish(0, "", None).map(|_| ()), Status::Completed);
    refused(thread.fail("x", None).map(|_| ()), Status::Completed);
    refused(thread.cancel("x", None).map(|_| ()), Status::Completed);
    refused(thread.pause(None).map(|_| ()), Status::Completed);
}

#[test]
fn a_thread_without_steps_can_end() {
    let (_, _, threads) = fresh();
    let thread = begun(&threads);
    let end = thread.finish(0, "", None).unwrap().wait().unwrap();
    assert_eq!((end.number, end.node.parent), (1, None));
    let fork = thread
        .fork(ForkAt::Head, ForkArgs::default())
        .unwrap()
        .wait()
        .unwrap();
    assert_eq!((fork.len(), fork.head()), (0, thread.start_cid().unwrap()));
}

#[test]
fn a_failure_stands_beside_the_chain_and_the_thread_can_go_on() {
    let (store, _, threads) = fresh();
    let thread = begun(&threads);
    append(&thread).unwrap();
    let head = thread.head();
    assert_eq!(thread.failure().unwrap(), None);
    let long = "no route to host ".repeat(100);
    let failed = thread.fail(&long, None).unwrap().wait().unwrap();
    assert_eq!(
        (failed.role(), failed.number, failed.node.parent),
        ("__failed__", 2, Some(head))
    );
    assert_eq!(
        failed.content(&*store).unwrap(),
        Content::Text(long.clone())
    );
    let info = threads.get(thread.id()).unwrap().info();
    assert_eq!(
        (info.status, info.head, info.steps),
        (Status::Failed, head, 1)
    );
    assert!(long.starts_with(&info.error.unwrap()));
    assert_eq!(thread.failure().unwrap(), Some(failed.clone()));
    let second = thread.fail("again", None).unwrap().wait().unwrap();
    assert_eq!(thread.failure().unwrap(), Some(second.clone()));
    assert_eq!(append(&thread).unwrap(), 2);
    let info = thread.info();
    assert_eq!((info.status, info.error), (Status::Idle, None));
    assert_eq!(thread.failure().unwrap(), Some(second));
}

#[test]
fn a_cancelled_thread_is_history_with_its_head_unmoved() {
    let (_, _, threads) = fresh();
    let thread = begun(&threads);
    append(&thread).unwrap();
    let head = thread.head();
    thread.cancel("too slow", None).unwrap().wait().unwrap();
    let info = thread.info();
    assert_eq!(
        (info.status, info.head, info.error.as_deref()),
        (Status::Cancelled, head, Some("too slow"))
    );
    assert_eq!(info.completed_at_ms, Some(DAY_MS));
    refused(append(&thread), Status::Cancelled);
    refused(thread.cancel("", None).map(|_| ()), Status::Cancelled);
    assert_eq!(
        thread
            .fork(ForkAt::Head, ForkArgs::default())
            .unwrap()
            .wait()
            .unwrap()
            .head(),
        head
    );
}

#[test]
fn a_pause_holds_the_head_still() {
    let (_, _, threads) = fresh();
    let thread = begun(&threads);
    refused(thread.resume(None).map(|_| ()), Status::Idle);
    thread.pause(None).unwrap().wait().unwrap();
    refused(append(&thread), Status::Paused);
    refused(thread.finish(0, "", None).map(|_| ()), Status::Paused);
    refused(thread.pause(None).map(|_| ()), Status::Paused);
    thread.resume(None).unwrap().wait().unwrap();
    assert_eq!(append(&thread).unwrap(), 1);
    thread.pause(None).unwrap().wait().unwrap();
    thread.cancel("", None).unwrap().wait().unwrap();
}

#[test]
fn rm_removes_thread_key_and_failure_in_one_commit() {
    let (store, _, threads) = fresh();
    let thread = threads
        .start(StartArgs {
            key: Some("k".into()),
            ..StartArgs::new("w")
        })
        .unwrap()
        .wait()
        .unwrap();
    thread.fail("x", None).unwrap().wait().unwrap();
    let refs = || {
        ["thread", "thread-key", "thread-failed"]
            .map(|kind| store.list_refs("main", kind, None, 9).unwrap().len())
    };
    assert_eq!(refs(), [1, 1, 1]);
    let other = threads.get("k").unwrap();
    append(&other).unwrap();
    let (_, blocks, commits) = written(&*store, || thread.rm(false, None).unwrap().wait().unwrap());
    assert_eq!((blocks, commits, refs()), (0, 1, [0, 0, 0]));
    assert!(matches!(
        threads.get("k"),
        Err(ThreadError::NotFound { .. })
    ));
    assert!(matches!(
        threads.get(thread.id()),
        Err(ThreadError::NotFound { .. })
    ));
    assert!(matches!(append(&thread), Err(ThreadError::NotFound { .. })));
    assert!(matches!(
        thread.refresh(),
        Err(ThreadError::NotFound { .. })
    ));
    assert!(
        store.get(&other.head()).is_ok(),
        "nodes are garbage collection's"
    );
}
