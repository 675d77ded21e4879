//! Start, append, extend: what is written, and what is read back.

use std::sync::Arc;

use treering_block::{Cid, Encoded, Ipld, Payload};
use treering_store::{Durability, StoreError};
use treering_thread::{
    AtMs, Content, ContentArg, Label, StartArgs, Status, StepArgs, ThreadError, Threads,
};

use crate::{DAY_MS, begun, fresh, read, texts, timeless, written};

fn map(pairs: &[(&str, Ipld)]) -> Encoded {
    let map = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect();
    Encoded::from_ipld(&Ipld::Map(map)).unwrap()
}

#[test]
fn a_start_is_prompt_start_node_and_record_in_one_commit() {
    let (store, _, threads) = fresh();
    let args = StartArgs {
        prompt: Some("Fix it".into()),
        key: Some("ticket-812".into()),
        parameters: map(&[("task", Ipld::Integer(7))]),
        labels: [("reward".to_owned(), Label::Float(1.0))].into(),
        max_rounds: Some(9),
        workflow_hash: Some("abc".into()),
        depth: 2,
        ..StartArgs::new("fix")
    };
    let (thread, blocks, commits) =
        written(&*store, || threads.start(args).unwrap().wait().unwrap());
    assert_eq!((blocks, commits), (2, 1));
    assert_eq!(
        (thread.len(), thread.head()),
        (0, thread.start_cid().unwrap())
    );
    assert!(thread.is_empty() && thread.steps().next().is_none() && thread.back().next().is_none());
    assert_eq!(
        thread.prompt().unwrap(),
        Some(Content::Text("Fix it".into()))
    );
    let node = thread.start_node().unwrap();
    assert_eq!(
        (node.workflow.as_str(), node.max_rounds, node.depth),
        ("fix", Some(9), 2)
    );
    assert_eq!(node.workflow_hash.as_deref(), Some("abc"));
    let info = threads.get("ticket-812").unwrap().info();
    assert_eq!(info, thread.info());
    assert_eq!(
        (info.status, info.created_at_ms, info.workflow.as_str()),
        (Status::Idle, DAY_MS, "fix")
    );
    assert_eq!(info.labels.get("reward"), Some(&Label::Int(1)));
}

#[test]
fn an_append_is_content_artifacts_node_and_head_in_one_commit() {
    let (store, clock, threads) = fresh();
    let thread = begun(&threads);
    clock.advance(10);
    let target = thread.head();
    let args = StepArgs {
        meta: map(&[("phases", Ipld::Integer(2))]),
        artifacts: vec![("fix.diff".into(), b"+ sleep(1)".to_vec())],
        links: vec![target, target],
        ..StepArgs::new("coder", "add a sleep")
    };
    let (step, blocks, commits) = written(&*store, || thread.append(args).unwrap().wait().unwrap());
    assert_eq!((blocks, commits), (3, 1));
    assert_eq!(
        (step.number, step.role(), step.node.at_ms),
        (1, "coder", Some(DAY_MS + 10))
    );
    assert_eq!(
        step.content(&*store).unwrap(),
        Content::Text("add a sleep".into())
    );
    assert_eq!(&*step.artifact(&*store, "fix.diff").unwrap(), b"+ sleep(1)");
    assert!(matches!(
        step.artifact(&*store, "other"),
        Err(ThreadError::NotFound { .. })
    ));
    assert_eq!(step.content_node(&*store).unwrap().refs, [target]);
    let seen = threads.get(thread.id()).unwrap();
    assert_eq!((seen.head(), seen.len()), (step.cid, 1));
    assert_eq!(seen.info().updated_at_ms, DAY_MS + 10);
}

#[test]
fn times_are_the_stores_the_callers_or_none() {
    let (_, clock, threads) = fresh();
    let thread = begun(&threads);
    clock.set(123);
    let at = |at_ms| StepArgs {
        at_ms,
        ..StepArgs::new("coder", "x")
    };
    let times: Vec<_> = [AtMs::Now, AtMs::None, AtMs::At(-7)]
        .map(|t| thread.append(at(t)).unwrap().wait().unwrap().node.at_ms)
        .into();
    assert_eq!(times, [Some(123), None, Some(-7)]);
}

#[test]
fn content_is_what_was_given() {
    let (store, _, threads) = fresh();
    let thread = begun(&threads);
    let looks_like_a_node = format!(
        "{{\"kind\":\"state\",\"start\":{{\"/\":\"{}\"}}}}",
        thread.head()
    );
    let value = map(&[
        ("link", Ipld::Link(thread.head().into())),
        ("kind", Ipld::String("state".into())),
    ]);
    let long_value = Encoded::from_ipld(&Ipld::List(vec![
        Ipld::Link(thread.head().into()),
        Ipld::Bytes(vec![7; 5000]),
    ]))
    .unwrap();
    let cases = [
        (
            ContentArg::Text(looks_like_a_node.clone()),
            Content::Text(looks_like_a_node),
        ),
        (
            ContentArg::Text("é".repeat(4000)),
            Content::Text("é".repeat(4000)),
        ),
        (
            ContentArg::Text(String::new()),
            Content::Text(String::new()),
        ),
        (
            ContentArg::Bytes(vec![0, 255]),
            Content::Bytes(vec![0, 255]),
        ),
        (
            ContentArg::Bytes(vec![9; 300_000]),
            Content::Bytes(vec![9; 300_000]),
        ),
        (ContentArg::Value(value.clone()), Content::Value(value)),
        (
            ContentArg::Value(long_value.clone()),
            Content::Value(long_value),
        ),
        (
            ContentArg::Value(Encoded::null()),
            Content::Value(Encoded::null()),
        ),
    ];
    for (given, expected) in cases {
        let step = thread
            .append(StepArgs::new("coder", given))
            .unwrap()
            .wait()
            .unwrap();
        assert_eq!(step.content(&*store).unwrap(), expected);
    }
    let spilled = thread.at(7).unwrap().content_node(&*store).unwrap();
    assert!(matches!(spilled.payload, Payload::Spilled { .. }));
    let report = store.verify_all();
    assert_eq!(report.findings, []);
}

trait VerifyAll {
    fn verify_all(&self) -> treering_store::VerifyReport;
}

impl VerifyAll for Arc<treering_store::MemoryStore> {
    fn verify_all(&self) -> treering_store::VerifyReport {
        use treering_store::Store;
        let mut report = self.verify(None).unwrap();
        treering_thread::verify_threads(&**self, &mut report);
        report
    }
}

#[test]
fn what_a_step_can_not_be_is_refused_and_nothing_is_written() {
    let (store, _, threads) = fresh();
    let thread = begun(&threads);
    let twice = vec![("a".to_owned(), vec![1]), ("a".to_owned(), vec![2])];
    let cases = [
        StepArgs::new("__end__", "x"),
        StepArgs::new("__failed__", "x"),
        StepArgs::new("__start__", "x"),
        StepArgs::new("", "x"),
        StepArgs {
            artifacts: twice,
            ..StepArgs::new("coder", "x")
        },
        StepArgs {
            meta: Encoded::null(),
            ..StepArgs::new("coder", "x")
        },
        StepArgs {
            links: vec![Cid::of_raw(b"nowhere")],
            ..StepArgs::new("coder", "x")
        },
    ];
    for case in cases {
        let role = case.role.clone();
        let (result, blocks, commits) = written(&*store, || {
            thread.append(case).and_then(|pending| pending.wait())
        });
        assert!(result.is_err(), "{role}");
        assert_eq!((blocks, commits), (0, 0), "{role}");
    }
    assert_eq!(
        thread
            .append(timeless("coder", "fine"))
            .unwrap()
            .wait()
            .unwrap()
            .number,
        1
    );
}

#[test]
fn extend_is_all_or_nothing() {
    let (store, _, threads) = fresh();
    let thread = begun(&threads);
    let (steps, _, commits) = written(&*store, || {
        thread
            .extend(
                (1..=5).map(|n| timeless("a", &n.to_string())).collect(),
                None,
            )
            .unwrap()
            .wait()
            .unwrap()
    });
    assert_eq!((steps.len(), commits, thread.len()), (5, 1, 5));
    assert_eq!(texts(&thread), ["1", "2", "3", "4", "5"]);
    let dangling = StepArgs {
        links: vec![Cid::of_raw(b"nowhere")],
        ..timeless("a", "7")
    };
    let (result, blocks, commits) = written(&*store, || {
        thread
            .extend(vec![timeless("a", "6"), dangling], None)
            .unwrap()
            .wait()
    });
    assert!(matches!(
        result,
        Err(ThreadError::Store(StoreError::LinkMissing { .. }))
    ));
    assert_eq!((blocks, commits), (0, 0));
    assert!(matches!(
        thread.extend(Vec::new(), None),
        Err(ThreadError::Invalid { .. })
    ));
    let own_id = StepArgs {
        command_id: Some("c".into()),
        ..timeless("a", "6")
    };
    assert!(matches!(
        thread.extend(vec![own_id], None),
        Err(ThreadError::Invalid { .. })
    ));
    assert_eq!(thread.len(), 5);
}

#[test]
fn an_import_is_one_commit_and_repeating_it_writes_nothing() {
    let (store, _, threads) = fresh();
    let args = || StartArgs {
        key: Some("record-1".into()),
        prompt: Some("system".into()),
        steps: vec![timeless("user", "hello"), timeless("assistant", "hi")],
        ..StartArgs::new("chat")
    };
    let ((thread, started), _, commits) = written(&*store, || {
        threads.get_or_start(args()).unwrap().wait().unwrap()
    });
    assert!(started);
    assert_eq!((commits, thread.len()), (1, 2));
    assert_eq!(texts(&thread), ["hello", "hi"]);
    assert_eq!(
        thread
            .append(timeless("user", "more"))
            .unwrap()
            .wait()
            .unwrap()
            .number,
        3
    );
    let ((_, started), blocks, commits) = written(&*store, || {
        threads.get_or_start(args()).unwrap().wait().unwrap()
    });
    assert_eq!((started, blocks, commits), (false, 0, 0));
}

#[test]
fn an_expected_head_is_the_one_that_is_built_on() {
    let (_, _, threads) = fresh();
    let thread = begun(&threads);
    let start = thread.head();
    let on = |head| StepArgs {
        expected_head: Some(head),
        ..timeless("coder", "x")
    };
    let first = thread.append(on(start)).unwrap().wait().unwrap();
    match thread.append(on(start)) {
        Err(ThreadError::HeadMoved {
            at_step: 1,
            at,
            expected_step: 0,
            expected,
            ..
        }) => {
            assert_eq!((at, expected), (first.cid, start));
        }
        other => panic!("{:?}", other.map(|_| ())),
    }
    assert_eq!(
        thread.append(on(first.cid)).unwrap().wait().unwrap().number,
        2
    );
}

#[test]
fn a_taken_key_is_told_with_its_thread() {
    let (store, _, threads) = fresh();
    let args = || StartArgs {
        key: Some("k".into()),
        prompt: Some("new text".into()),
        ..StartArgs::new("w")
    };
    let thread = threads
        .start(StartArgs {
            prompt: None,
            ..args()
        })
        .unwrap()
        .wait()
        .unwrap();
    let (result, blocks, commits) = written(&*store, || threads.start(args()).unwrap().wait());
    match result {
        Err(ThreadError::AlreadyExists {
            key,
            thread: taken_by,
        }) => assert_eq!((key.as_str(), taken_by.as_str()), ("k", thread.id())),
        other => panic!("{other:?}"),
    }
    assert_eq!((blocks, commits), (0, 0));
    thread.rm(false, None).unwrap().wait().unwrap();
    assert_ne!(
        threads.start(args()).unwrap().wait().unwrap().id(),
        thread.id(),
        "a removed thread's key is free"
    );
}

#[test]
fn of_many_that_get_or_start_one_key_one_starts_it() {
    let (_, _, threads) = fresh();
    let started: Vec<(String, bool)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|_| {
                let threads = threads.clone();
                scope.spawn(move || {
                    let args = StartArgs {
                        key: Some("k".into()),
                        ..StartArgs::new("w")
                    };
                    let (thread, started) = threads.get_or_start(args).unwrap().wait().unwrap();
                    (thread.id().to_owned(), started)
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .collect()
    });
    assert_eq!(started.iter().filter(|(_, started)| *started).count(), 1);
    assert!(started.iter().all(|(id, _)| *id == started[0].0));
}

#[test]
fn a_warm_handle_reads_nothing_to_append() {
    let (store, _, threads) = fresh();
    let thread = begun(&threads);
    let (_, reads) = read(&*store, || {
        for n in 0..200 {
            thread
                .append(timeless("coder", &n.to_string()))
                .unwrap()
                .wait()
                .unwrap();
        }
    });
    assert_eq!(reads, 0);
}

#[test]
fn relaxed_threads_work_alike() {
    let (store, _, _) = fresh();
    let threads = Threads::new(store, "main", Durability::Relaxed).unwrap();
    let thread = begun(&threads);
    assert_eq!(thread.durability(), Durability::Relaxed);
    assert_eq!(
        thread
            .append(timeless("coder", "x"))
            .unwrap()
            .wait()
            .unwrap()
            .number,
        1
    );
}
