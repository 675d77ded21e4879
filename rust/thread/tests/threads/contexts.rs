//! What a role is shown.

use treering_thread::{Content, StartArgs};

use crate::{begun, fresh, timeless};

#[test]
fn a_context_is_the_start_and_the_steps_without_the_end() {
    let (_, _, threads) = fresh();
    let thread = threads
        .start(StartArgs {
            prompt: Some("do it".into()),
            ..StartArgs::new("w")
        })
        .unwrap()
        .wait()
        .unwrap();
    assert!(
        thread.context(None).unwrap().steps.is_empty(),
        "at the start there are none"
    );
    for n in 1..=4 {
        thread
            .append(timeless("coder", &n.to_string()))
            .unwrap()
            .wait()
            .unwrap();
    }
    thread.finish(0, "done", None).unwrap().wait().unwrap();
    let numbers = |last| {
        thread
            .context(last)
            .unwrap()
            .steps
            .iter()
            .map(|step| step.number)
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(None), [1, 2, 3, 4]);
    assert_eq!(numbers(Some(2)), [3, 4]);
    assert_eq!(numbers(Some(0)), [0u64; 0]);
    assert_eq!(numbers(Some(99)), [1, 2, 3, 4]);
    let context = thread.context(None).unwrap();
    assert_eq!(
        (context.start, context.compact),
        (thread.start_cid().unwrap(), None)
    );
    assert_eq!(context.prompt, thread.start_node().unwrap().prompt);
}

#[test]
fn a_context_stops_at_the_newest_summary() {
    let (store, _, threads) = fresh();
    let thread = begun(&threads);
    let append = |text: &str| {
        thread
            .append(timeless("coder", text))
            .unwrap()
            .wait()
            .unwrap()
    };
    append("1");
    thread
        .compact(treering_thread::StepArgs::new("system", "one"))
        .unwrap()
        .wait()
        .unwrap();
    append("3");
    let summary = thread
        .compact(treering_thread::StepArgs::new("system", "one to three"))
        .unwrap()
        .wait()
        .unwrap();
    append("5");
    let context = thread.context(None).unwrap();
    assert_eq!(
        context
            .steps
            .iter()
            .map(|step| step.number)
            .collect::<Vec<_>>(),
        [4, 5]
    );
    assert_eq!(context.compact, Some(summary.node.content));
    assert_eq!(summary.node.compact, Some(summary.node.content));
    assert_eq!(
        summary.content(&*store).unwrap(),
        Content::Text("one to three".into())
    );
    assert_eq!(
        thread.context(Some(1)).unwrap().compact,
        None,
        "it was not reached"
    );
    assert_eq!(thread.len(), 5, "and nothing is lost");
}
