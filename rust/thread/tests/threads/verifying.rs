//! Each check of `verify` is proved by a planted fault that it names.

use std::sync::Arc;

use treering_block::{Cid, Ipld, Node, Payload, StateNode, cbor};
use treering_store::{
    Change, Check, Commit, Durability, Expect, RefMove, RefName, Store, VerifyReport,
};
use treering_thread::{ForkAt, StartArgs, StepArgs, Thread, Threads, verify_threads};

use crate::staged::{Damage, Staged};
use crate::timeless;

fn staged() -> (Arc<Staged>, Threads, Thread) {
    let store = Staged::new();
    let threads = Threads::new(store.clone(), "main", Durability::Durable).unwrap();
    let args = StartArgs {
        prompt: Some("the prompt".into()),
        ..StartArgs::new("w")
    };
    let thread = threads.start(args).unwrap().wait().unwrap();
    for n in 1..=40 {
        let step = StepArgs {
            artifacts: vec![("a".into(), format!("artifact {n}").into_bytes())],
            ..timeless(
                "coder",
                &format!("{n:04}").repeat(if n == 5 { 2000 } else { 1 }),
            )
        };
        thread.append(step).unwrap().wait().unwrap();
    }
    (store, threads, thread)
}

fn verify(store: &Staged) -> VerifyReport {
    let mut report = store.verify(None).unwrap();
    verify_threads(store, &mut report);
    report
}

fn hurt(report: &VerifyReport, cid: Cid) -> Vec<(String, u64)> {
    let mut all: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.which == cid.to_string())
        .flat_map(|finding| finding.threads.clone())
        .collect();
    all.sort();
    all.dedup();
    all
}

/// Points a thread's ref elsewhere, or gives it another record, as no verb would.
fn force(
    store: &Staged,
    thread: &Thread,
    target: Cid,
    edit: impl FnOnce(&mut std::collections::BTreeMap<String, Ipld>),
) {
    let name = RefName::new("main", "thread", [thread.id()]).unwrap();
    let record = store.read_ref(&name).unwrap().unwrap().record;
    let Ipld::Map(mut map) = cbor::decode(&record).unwrap() else {
        panic!()
    };
    edit(&mut map);
    let change = Change::Set {
        target,
        record: cbor::encode(&Ipld::Map(map)).unwrap(),
    };
    let moves = vec![RefMove {
        name,
        expect: Expect::Any,
        change,
    }];
    store
        .submit(Commit {
            scope: "main".into(),
            moves,
            ..Commit::default()
        })
        .wait()
        .unwrap();
}

/// Stores a state node as no append would.
fn forge(store: &Staged, thread: &Thread, node: StateNode) -> Cid {
    let block = node.encode().unwrap();
    let cid = block.cid;
    store
        .submit(Commit {
            scope: "main".into(),
            blocks: vec![block],
            holds: vec![cid],
            ..Commit::default()
        })
        .wait()
        .unwrap();
    let step = node.step;
    force(store, thread, cid, |map| {
        drop(map.insert("steps".into(), Ipld::Integer(i128::from(step))))
    });
    cid
}

fn has(report: &VerifyReport, check: Check, which: &str) -> bool {
    report
        .findings
        .iter()
        .any(|finding| finding.check == check && finding.which == which)
}

#[test]
fn a_sound_store_has_no_findings() {
    let (store, _, thread) = staged();
    let fork = thread
        .fork(ForkAt::Step(20), Default::default())
        .unwrap()
        .wait()
        .unwrap();
    fork.append(timeless("coder", "else"))
        .unwrap()
        .wait()
        .unwrap();
    fork.fail("x", None).unwrap().wait().unwrap();
    thread.finish(0, "", None).unwrap().wait().unwrap();
    let report = verify(&store);
    assert_eq!(report.findings, []);
    assert_eq!(
        (report.threads, report.steps),
        (2, 42),
        "shared steps are read once"
    );
}

#[test]
fn a_broken_block_names_the_threads_and_steps_that_it_hurts() {
    let (store, _, thread) = staged();
    let early = thread
        .fork(ForkAt::Step(3), Default::default())
        .unwrap()
        .wait()
        .unwrap();
    let late = thread
        .fork(ForkAt::Step(30), Default::default())
        .unwrap()
        .wait()
        .unwrap();
    let node = |n| thread.at(n).unwrap();
    let content = |n| node(n).content_node(&*store).unwrap();
    let spilled = match content(5).payload {
        Payload::Spilled { block, .. } => block,
        Payload::Inline(_) => panic!("step 5 is long"),
    };
    let prompt = thread.start_node().unwrap().prompt.unwrap();
    let id = |thread: &Thread| thread.id().to_owned();
    let both = |n| {
        let mut both = vec![(id(&thread), n), (id(&late), n)];
        both.sort();
        both
    };
    let all = |n| {
        let mut all = vec![(id(&thread), n), (id(&late), n), (id(&early), n)];
        all.sort();
        all
    };
    let cases = [
        ("content", node(7).node.content, both(7)),
        ("artifact", content(9).artifacts["a"], both(9)),
        ("spilled payload", spilled, both(5)),
        ("prompt", prompt, all(0)),
        ("start", thread.start_cid().unwrap(), all(0)),
        ("step", node(12).cid, both(12)),
        ("shared step", node(2).cid, all(2)),
        ("step of one", node(35).cid, vec![(id(&thread), 35)]),
        ("head of one", node(30).cid, both(30)),
        ("head", node(40).cid, vec![(id(&thread), 40)]),
    ];
    for damage in [Damage::Corrupt, Damage::Missing] {
        for (what, cid, expected) in &cases {
            store.damage(*cid, damage);
            let report = verify(&store);
            assert_eq!(hurt(&report, *cid), *expected, "{what}");
            assert_eq!(report.findings.len(), 1, "{what}: {:?}", report.findings);
            store.damaged.lock().unwrap().clear();
        }
    }
}

#[test]
fn a_cut_chain_is_followed_below_the_cut() {
    let (store, _, thread) = staged();
    let step = |n| thread.at(n).unwrap();
    let (cut, below) = (step(33).cid, step(10).node.content);
    let nearby = step(20).cid;
    store.damage(cut, Damage::Corrupt);
    store.damage(below, Damage::Corrupt);
    store.damage(nearby, Damage::Missing);
    let report = verify(&store);
    assert_eq!(hurt(&report, cut), [(thread.id().to_owned(), 33)]);
    assert_eq!(hurt(&report, below), [(thread.id().to_owned(), 10)]);
    assert_eq!(hurt(&report, nearby), [(thread.id().to_owned(), 20)]);
    assert!(report.steps >= 36, "{}", report.steps);
}

#[test]
fn a_broken_failure_is_named() {
    let (store, _, thread) = staged();
    let failed = thread.fail("why", None).unwrap().wait().unwrap();
    store.damage(failed.node.content, Damage::Corrupt);
    assert_eq!(
        hurt(&verify(&store), failed.node.content),
        [(thread.id().to_owned(), 41)]
    );
}

#[test]
fn a_wrong_step_number_is_named() {
    let (store, _, thread) = staged();
    let head = thread.at(40).unwrap();
    // A later number behind step 40: the node itself is well formed, its place is not.
    let number = (42..)
        .find(|n| !matches!(n - treering_block::jump_step(*n), 1 | 0))
        .unwrap();
    assert_ne!(treering_block::jump_step(number), 0);
    let node = StateNode {
        parent: Some(head.cid),
        step: number,
        jump: Some(thread.at(38).unwrap().cid),
        ..head.node
    };
    let cid = forge(&store, &thread, node);
    let report = verify(&store);
    assert!(
        has(&report, Check::StepNumber, &cid.to_string()),
        "{:?}",
        report.findings
    );
    assert_eq!(hurt(&report, cid), [(thread.id().to_owned(), number)]);
}

#[test]
fn a_wrong_jump_is_named() {
    let (store, _, thread) = staged();
    let head = thread.at(40).unwrap();
    let target = treering_block::jump_step(41);
    assert_ne!(
        target, 40,
        "or any jump but the parent would be refused by the node itself"
    );
    let wrong = thread.at(target - 1).unwrap().cid;
    let node = StateNode {
        parent: Some(head.cid),
        step: 41,
        jump: Some(wrong),
        ..head.node
    };
    let cid = forge(&store, &thread, node);
    let report = verify(&store);
    assert!(
        has(&report, Check::Jump, &cid.to_string()),
        "{:?}",
        report.findings
    );
    assert_eq!(report.findings.len(), 1);
}

#[test]
fn a_second_start_is_named() {
    let (store, threads, thread) = staged();
    let other = threads
        .start(StartArgs::new("other"))
        .unwrap()
        .wait()
        .unwrap();
    let head = thread.at(40).unwrap();
    let jump = thread.at(treering_block::jump_step(41)).unwrap().cid;
    let node = StateNode {
        start: other.head(),
        parent: Some(head.cid),
        step: 41,
        jump: Some(jump),
        ..head.node
    };
    let cid = forge(&store, &thread, node);
    assert!(has(&verify(&store), Check::StepNumber, &cid.to_string()));
}

#[test]
fn a_start_in_a_chain_and_content_at_a_head_are_named() {
    let (store, _, thread) = staged();
    let content = thread.at(1).unwrap().node.content;
    force(&store, &thread, content, |_| {});
    let report = verify(&store);
    assert!(
        has(&report, Check::NodeForm, &content.to_string()),
        "{:?}",
        report.findings
    );
    assert!(matches!(
        store
            .get(&content)
            .map(|bytes| Node::decode(&content, &bytes)),
        Ok(Ok(Node::Content(_)))
    ));
    assert_eq!(hurt(&report, content), [(thread.id().to_owned(), 40)]);
}

#[test]
fn a_record_that_does_not_fit_its_chain_is_named() {
    let name = |thread: &Thread| format!("main/thread/{}", thread.id());
    let (store, _, thread) = staged();
    force(&store, &thread, thread.head(), |map| {
        drop(map.insert("steps".into(), Ipld::Integer(39)))
    });
    let report = verify(&store);
    assert!(
        has(&report, Check::Record, &name(&thread)),
        "{:?}",
        report.findings
    );

    let (store, _, thread) = staged();
    force(&store, &thread, thread.head(), |map| {
        drop(map.insert("status".into(), Ipld::String("completed".into())))
    });
    assert!(has(&verify(&store), Check::Record, &name(&thread)));

    let (store, _, thread) = staged();
    force(&store, &thread, thread.head(), |map| {
        drop(map.remove("workflow"))
    });
    let report = verify(&store);
    assert!(has(&report, Check::Record, &name(&thread)));
    assert_eq!(
        (report.threads, report.steps),
        (1, 40),
        "its chain is checked all the same"
    );

    let (store, threads, thread) = staged();
    let sound = threads.start(StartArgs::new("w")).unwrap().wait().unwrap();
    store
        .broken_refs
        .lock()
        .unwrap()
        .push(RefName::new("main", "thread", [thread.id()]).unwrap());
    let report = verify(&store);
    assert_eq!(report.threads, 2);
    assert!(has(&report, Check::Ref, &name(&thread)));
    assert!(
        !report
            .findings
            .iter()
            .any(|finding| finding.which.contains(sound.id()))
    );
}

#[test]
fn a_key_that_names_no_thread_and_a_thread_without_its_key_are_named() {
    let (store, threads, thread) = staged();
    let keyed = |key: &str| {
        let args = StartArgs {
            key: Some(key.into()),
            ..StartArgs::new("w")
        };
        threads.start(args).unwrap().wait().unwrap()
    };
    let (a, b) = (keyed("a"), keyed("b"));
    assert_eq!(verify(&store).findings, []);
    let key = |key: &str| RefName::new("main", "thread-key", [key]).unwrap();
    let change = |name: RefName, change| {
        let moves = vec![RefMove {
            name,
            expect: Expect::Any,
            change,
        }];
        store
            .submit(Commit {
                scope: "main".into(),
                moves,
                ..Commit::default()
            })
            .wait()
            .unwrap();
    };
    change(key("a"), Change::Delete);
    let record = store.read_ref(&key("b")).unwrap().unwrap().record;
    change(
        key("c"),
        Change::Set {
            target: thread.head(),
            record,
        },
    );
    change(
        key("d"),
        Change::Set {
            target: thread.head(),
            record: vec![0],
        },
    );
    let report = verify(&store);
    let found: Vec<_> = report
        .findings
        .iter()
        .map(|finding| (finding.which.as_str(), finding.threads.clone()))
        .collect();
    let of_a = format!("main/thread/{}", a.id());
    assert_eq!(
        found,
        [
            ("main/thread-key/c", vec![(b.id().to_owned(), 0)]),
            ("main/thread-key/d", vec![]),
            (of_a.as_str(), vec![(a.id().to_owned(), 0)]),
        ]
    );
}
