//! Command ids: a repeated one answers what the first did and writes nothing, whatever came between.

use treering_store::StoreError;
use treering_thread::{AtMs, ForkArgs, ForkAt, StartArgs, Status, StepArgs, ThreadError};

use crate::{begun, fresh, timeless, written};

fn step(id: &str, text: &str) -> StepArgs {
    StepArgs {
        command_id: Some(id.into()),
        ..StepArgs::new("coder", text)
    }
}

#[test]
fn a_repeated_append_is_the_first_step() {
    let (store, clock, threads) = fresh();
    let thread = begun(&threads);
    let stale = threads.get(thread.id()).unwrap();
    let first = thread.append(step("c1", "a")).unwrap().wait().unwrap();
    clock.advance(1000);
    for handle in [&thread, &stale, &threads.get(thread.id()).unwrap()] {
        let (again, blocks, commits) = written(&*store, || {
            handle.append(step("c1", "a")).unwrap().wait().unwrap()
        });
        assert_eq!((&again, blocks, commits), (&first, 0, 0));
    }
    // The stale handle has seen that step now, and goes on.
    assert_eq!(
        stale
            .append(timeless("coder", "b"))
            .unwrap()
            .wait()
            .unwrap()
            .number,
        2
    );
    thread.refresh().unwrap();
    thread.finish(0, "", None).unwrap().wait().unwrap();
    let (again, blocks, commits) = written(&*store, || {
        thread.append(step("c1", "a")).unwrap().wait().unwrap()
    });
    assert_eq!(
        (again, blocks, commits),
        (first.clone(), 0, 0),
        "also when the thread is over"
    );
    thread.rm(false, None).unwrap().wait().unwrap();
    assert_eq!(
        thread.append(step("c1", "a")).unwrap().wait().unwrap(),
        first,
        "and when it is gone"
    );
}

#[test]
fn a_replay_shows_no_steps_of_others() {
    let (_, _, threads) = fresh();
    let thread = begun(&threads);
    let stale = threads.get(thread.id()).unwrap();
    let first = thread.append(step("c1", "a")).unwrap().wait().unwrap();
    thread
        .append(timeless("coder", "b"))
        .unwrap()
        .wait()
        .unwrap();
    assert_eq!(
        stale.append(step("c1", "a")).unwrap().wait().unwrap(),
        first
    );
    assert_eq!(stale.len(), 0, "b was not seen through this handle");
    assert!(matches!(
        stale.append(timeless("coder", "c")).unwrap().wait(),
        Err(ThreadError::HeadMoved {
            at_step: 2,
            expected_step: 0,
            ..
        })
    ));
}

#[test]
fn another_payload_under_a_used_id_is_refused() {
    let (store, _, threads) = fresh();
    let thread = begun(&threads);
    thread.append(step("c1", "a")).unwrap().wait().unwrap();
    let variants = [
        step("c1", "b"),
        StepArgs {
            role: "planner".into(),
            ..step("c1", "a")
        },
        StepArgs {
            at_ms: AtMs::At(5),
            ..step("c1", "a")
        },
        StepArgs {
            artifacts: vec![("x".into(), b"y".to_vec())],
            ..step("c1", "a")
        },
        StepArgs {
            links: vec![thread.head()],
            ..step("c1", "a")
        },
    ];
    for variant in variants {
        let (result, blocks, commits) = written(&*store, || {
            thread.append(variant).and_then(|pending| pending.wait())
        });
        assert!(
            matches!(
                result,
                Err(ThreadError::Store(StoreError::CommandMismatch { .. }))
            ),
            "{result:?}"
        );
        assert_eq!((blocks, commits), (0, 0));
    }
    let other_verb = thread
        .compact(summing_up("coder", "a", "c1"))
        .and_then(|pending| pending.wait());
    assert!(matches!(
        other_verb,
        Err(ThreadError::Store(StoreError::CommandMismatch { .. }))
    ));
    // Ids are per thread.
    assert_eq!(
        begun(&threads)
            .append(step("c1", "b"))
            .unwrap()
            .wait()
            .unwrap()
            .number,
        1
    );
}

#[test]
fn every_verb_takes_one() {
    let (store, clock, threads) = fresh();
    let args = || StartArgs {
        command_id: Some("start".into()),
        prompt: Some("p".into()),
        ..StartArgs::new("w")
    };
    let thread = threads.start(args()).unwrap().wait().unwrap();
    let many = || vec![StepArgs::new("a", "1"), StepArgs::new("b", "2")];
    let steps = thread.extend(many(), Some("many")).unwrap().wait().unwrap();
    let failed = thread.fail("broken", Some("fail")).unwrap().wait().unwrap();
    let summary = thread
        .compact(summing_up("system", "so far", "compact"))
        .unwrap()
        .wait()
        .unwrap();
    thread.pause(Some("pause")).unwrap().wait().unwrap();
    thread.resume(Some("resume")).unwrap().wait().unwrap();
    let fork_args = || ForkArgs {
        command_id: Some("fork".into()),
        key: Some("copy".into()),
        ..ForkArgs::default()
    };
    let fork = thread
        .fork(ForkAt::Step(1), fork_args())
        .unwrap()
        .wait()
        .unwrap();
    fork.cancel("no", Some("cancel")).unwrap().wait().unwrap();
    let end = thread
        .finish(0, "done", Some("finish"))
        .unwrap()
        .wait()
        .unwrap();

    clock.advance(5000);
    let (_, blocks, commits) = written(&*store, || {
        assert_eq!(
            threads.start(args()).unwrap().wait().unwrap().id(),
            thread.id()
        );
        assert_eq!(
            thread.extend(many(), Some("many")).unwrap().wait().unwrap(),
            steps
        );
        assert_eq!(
            thread.fail("broken", Some("fail")).unwrap().wait().unwrap(),
            failed
        );
        assert_eq!(
            thread
                .compact(summing_up("system", "so far", "compact"))
                .unwrap()
                .wait()
                .unwrap(),
            summary
        );
        thread.pause(Some("pause")).unwrap().wait().unwrap();
        thread.resume(Some("resume")).unwrap().wait().unwrap();
        assert_eq!(
            thread
                .fork(ForkAt::Step(1), fork_args())
                .unwrap()
                .wait()
                .unwrap()
                .id(),
            fork.id()
        );
        fork.cancel("no", Some("cancel")).unwrap().wait().unwrap();
        assert_eq!(
            thread
                .finish(0, "done", Some("finish"))
                .unwrap()
                .wait()
                .unwrap(),
            end
        );
    });
    assert_eq!((blocks, commits), (0, 0));
    assert_eq!(thread.info().status, Status::Completed);
}

#[test]
fn rm_can_be_repeated_when_the_thread_is_no_more() {
    let (store, _, threads) = fresh();
    let thread = threads
        .start(StartArgs {
            key: Some("k".into()),
            ..StartArgs::new("w")
        })
        .unwrap()
        .wait()
        .unwrap();
    thread.rm(false, Some("gone")).unwrap().wait().unwrap();
    let (_, _, commits) = written(&*store, || {
        thread.rm(false, Some("gone")).unwrap().wait().unwrap();
        threads
            .rm(thread.id(), false, Some("gone"))
            .unwrap()
            .wait()
            .unwrap();
    });
    assert_eq!(commits, 0);
    let other = begun(&threads);
    assert!(matches!(
        other
            .rm(false, Some("gone"))
            .and_then(|pending| pending.wait()),
        Err(ThreadError::Store(StoreError::CommandMismatch { .. }))
    ));
    assert!(matches!(
        thread.rm(false, None),
        Err(ThreadError::NotFound { .. })
    ));
    assert!(matches!(
        threads.rm(thread.id(), false, Some("other")),
        Err(ThreadError::NotFound { .. })
    ));
}

#[test]
fn a_start_that_was_removed_is_told_as_gone() {
    let (_, _, threads) = fresh();
    let args = || StartArgs {
        command_id: Some("s".into()),
        ..StartArgs::new("w")
    };
    let thread = threads.start(args()).unwrap().wait().unwrap();
    thread.rm(false, None).unwrap().wait().unwrap();
    assert!(matches!(
        threads.start(args()).unwrap().wait(),
        Err(ThreadError::NotFound { .. })
    ));
}

#[test]
fn get_or_start_keeps_its_answer() {
    let (store, _, threads) = fresh();
    let args = |key: &str, id: &str| StartArgs {
        key: Some(key.into()),
        command_id: Some(id.into()),
        ..StartArgs::new("w")
    };
    let (thread, started) = threads
        .get_or_start(args("k", "one"))
        .unwrap()
        .wait()
        .unwrap();
    assert!(started);
    let (_, blocks, commits) = written(&*store, || {
        let (again, started) = threads
            .get_or_start(args("k", "one"))
            .unwrap()
            .wait()
            .unwrap();
        assert_eq!(
            (again.id(), started),
            (thread.id(), true),
            "as the first time"
        );
    });
    assert_eq!((blocks, commits), (0, 0));
    let (found, started) = threads
        .get_or_start(args("k", "two"))
        .unwrap()
        .wait()
        .unwrap();
    assert_eq!((found.id(), started), (thread.id(), false));
    let (found, started) = threads
        .get_or_start(args("k", "two"))
        .unwrap()
        .wait()
        .unwrap();
    assert_eq!((found.id(), started), (thread.id(), false));
    assert!(matches!(
        threads
            .get_or_start(args("other", "two"))
            .and_then(|pending| pending.wait()),
        Err(ThreadError::Store(StoreError::CommandMismatch { .. }))
    ));
}

fn summing_up(role: &str, text: &str, command_id: &str) -> StepArgs {
    StepArgs {
        command_id: Some(command_id.to_owned()),
        ..StepArgs::new(role, text)
    }
}
