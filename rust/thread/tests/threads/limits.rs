//! Every limit at its edge: the limit itself goes in, one more is refused and writes nothing.

use treering_block::limits::ROLE_BYTES_MAX;
use treering_store::{Durability, Store, StoreError};
use treering_thread::limits::{
    DEPTH_MAX, EXTEND_STEPS_MAX, KEY_BYTES_MAX, LABELS_MAX, PIN_BYTES_MAX,
};
use treering_thread::{ContentArg, ForkArgs, Label, StartArgs, StepArgs, ThreadError, pins};

use crate::{begun, fresh, timeless, written};

#[test]
fn limits_hold_at_their_edges() {
    let (store, _, threads) = fresh();
    let thread = begun(&threads);
    let labels = |count: usize| (0..count).map(|n| (n.to_string(), Label::Int(1))).collect();
    let start = |args: StartArgs| {
        threads
            .start(args)
            .and_then(|pending| pending.wait())
            .map(|_| ())
    };
    let keyed = |bytes| {
        start(StartArgs {
            key: Some("k".repeat(bytes)),
            ..StartArgs::new("w")
        })
    };
    let labelled = |count| {
        start(StartArgs {
            labels: labels(count),
            ..StartArgs::new("w")
        })
    };
    let deep = |depth| {
        start(StartArgs {
            depth,
            ..StartArgs::new("w")
        })
    };
    let role = |bytes| {
        thread
            .append(StepArgs::new("r".repeat(bytes), "x"))
            .and_then(|pending| pending.wait())
            .map(|_| ())
    };
    let fork = |count| {
        let args = ForkArgs {
            labels: labels(count),
            ..ForkArgs::default()
        };
        thread
            .fork(Default::default(), args)
            .and_then(|pending| pending.wait())
            .map(|_| ())
    };
    let extend = |count| {
        let steps = (0..count).map(|_| timeless("a", "x")).collect();
        thread
            .extend(steps, None)
            .and_then(|pending| pending.wait())
            .map(|_| ())
    };
    type Case<'a> = (&'a str, &'a dyn Fn(usize) -> Result<(), ThreadError>, usize);
    let cases: [Case<'_>; 6] = [
        ("key", &keyed, KEY_BYTES_MAX),
        ("labels", &labelled, LABELS_MAX),
        ("labels of a fork", &fork, LABELS_MAX),
        ("role", &role, ROLE_BYTES_MAX),
        ("steps", &extend, EXTEND_STEPS_MAX),
        ("depth", &|depth| deep(depth as u64), DEPTH_MAX as usize),
    ];
    for (what, call, limit) in cases {
        let (result, blocks, commits) = written(&*store, || call(limit + 1));
        assert!(result.is_err(), "{what}");
        assert_eq!((blocks, commits), (0, 0), "{what}");
        call(limit).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

#[test]
fn a_commit_that_would_be_too_large_writes_nothing() {
    let (store, _, threads) = fresh();
    let thread = begun(&threads);
    // Spilled texts below the size of files of their own: each counts.
    let text = |n: usize| ContentArg::Text(format!("{n:08}").repeat(25_000));
    let steps = |count: usize| (0..count).map(|n| StepArgs::new("a", text(n))).collect();
    let (result, blocks, commits) = written(&*store, || {
        thread
            .extend(steps(340), None)
            .and_then(|pending| pending.wait())
    });
    assert!(
        matches!(result, Err(ThreadError::LimitExceeded { .. })),
        "{:?}",
        result.map(|steps| steps.len())
    );
    assert_eq!((blocks, commits), (0, 0));
    assert_eq!(
        thread
            .extend(steps(300), None)
            .unwrap()
            .wait()
            .unwrap()
            .len(),
        300
    );
}

#[test]
fn labels_filter_by_value() {
    let (_, _, threads) = fresh();
    let with = |labels: &[(&str, Label)]| {
        let labels = labels
            .iter()
            .map(|(name, label)| ((*name).to_owned(), label.clone()))
            .collect();
        threads
            .start(StartArgs {
                labels,
                ..StartArgs::new("w")
            })
            .unwrap()
            .wait()
            .unwrap()
    };
    with(&[("reward", Label::Float(1.0)), ("task", Label::Int(1))]);
    with(&[("reward", Label::Int(1)), ("task", Label::Int(2))]);
    with(&[("reward", Label::Int(0))]);
    let count = |labels: &[(&str, Label)]| {
        let labels = labels
            .iter()
            .map(|(name, label)| ((*name).to_owned(), label.clone()))
            .collect();
        threads
            .list(&treering_thread::Filter {
                labels,
                ..Default::default()
            })
            .unwrap()
            .len()
    };
    assert_eq!(count(&[("reward", Label::Int(1))]), 2);
    assert_eq!(
        count(&[("reward", Label::Float(1.0)), ("task", Label::Int(2))]),
        1
    );
    assert_eq!(count(&[("reward", Label::Bool(true))]), 0);
    assert_eq!(count(&[("absent", Label::Null)]), 0);
}

#[test]
fn pins_are_refs_of_their_own() {
    let (store, _, threads) = fresh();
    let thread = begun(&threads);
    let shared: std::sync::Arc<dyn Store> = store.clone();
    let add = |name: &str, cid| {
        pins::add(&shared, "main", name, cid, Durability::Durable)
            .and_then(|pending| pending.wait())
    };
    add("release/1", thread.head()).unwrap();
    add("release/1", thread.head()).unwrap();
    let names: Vec<_> = pins::list(&*store, "main")
        .unwrap()
        .into_iter()
        .map(|(name, cid)| (name, cid.unwrap()))
        .collect();
    assert_eq!(names, [("release/1".to_owned(), thread.head())]);
    assert!(pins::list(&*store, "other").unwrap().is_empty());
    assert!(add("nowhere", treering_block::Cid::of_raw(b"?")).is_err());
    assert!(add(&"p".repeat(PIN_BYTES_MAX), thread.head()).is_ok());
    assert!(matches!(
        add(&"p".repeat(PIN_BYTES_MAX + 1), thread.head()),
        Err(ThreadError::LimitExceeded { .. })
    ));
    assert!(matches!(
        add("../x", thread.head()),
        Err(ThreadError::Invalid { .. })
    ));
    let rm = |name: &str| {
        pins::rm(&shared, "main", name, Durability::Durable).and_then(|pending| pending.wait())
    };
    rm("release/1").unwrap();
    assert!(matches!(
        rm("release/1"),
        Err(ThreadError::Store(StoreError::RefNotFound(_)))
    ));
}
