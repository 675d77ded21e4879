//! What goes out comes in again, once.

use std::collections::{HashMap, HashSet};

use treering_block::Encoded;
use treering_thread::{ForkArgs, ForkAt, Label};

use super::*;

/// A thread that has all that a thread can have, a fork of it that failed, and a start alone.
pub fn full(threads: &Threads) -> Vec<String> {
    let parameters = Ipld::Map([("x".to_owned(), Ipld::Integer(1))].into());
    let args = StartArgs {
        key: Some("ticket/812".into()),
        prompt: Some("p".repeat(9000).as_str().into()),
        parameters: Encoded::from_ipld(&parameters).unwrap(),
        labels: [("team".to_owned(), Label::Text("blue".into()))].into(),
        max_rounds: Some(7),
        ..StartArgs::new("fix")
    };
    let thread = threads.start(args).unwrap().wait().unwrap();
    say(&thread, "planner", "1. reproduce 2. bisect");
    let with_files = StepArgs {
        artifacts: vec![
            ("small".to_owned(), vec![7; 10]),
            ("large".to_owned(), vec![8; 2_700_000]),
        ],
        at_ms: AtMs::At(5),
        ..StepArgs::new("coder", "x".repeat(5000).as_str())
    };
    thread.append(with_files).unwrap().wait().unwrap();
    let fork = thread
        .fork(ForkAt::Step(1), ForkArgs::default())
        .unwrap()
        .wait()
        .unwrap();
    say(&fork, "coder", "wait for the port");
    fork.fail("no port", None).unwrap().wait().unwrap();
    thread.finish(0, "done", None).unwrap().wait().unwrap();
    let empty = begun(threads, "nothing yet");
    let mut ids: Vec<String> = [&thread, &fork, &empty]
        .iter()
        .map(|thread| thread.id().to_owned())
        .collect();
    ids.sort();
    ids
}

#[test]
fn threads_come_back_walk_for_walk() {
    let there = fresh();
    let ids = full(&there);
    let (out, bytes) = exported(&there, None);
    assert_eq!(out.threads, ids);
    let here = fresh();
    let report = imported(&here, &bytes).unwrap();
    assert_eq!((&report.threads, &report.scope), (&ids, &"main".to_owned()));
    assert_eq!((report.blocks, report.new_blocks), (out.blocks, out.blocks));
    assert_eq!(everything(&here), everything(&there));
    assert_eq!(
        here.by_key("ticket/812").unwrap().unwrap().id(),
        there.by_key("ticket/812").unwrap().unwrap().id()
    );
    assert_sound(&here);
    // And they go on.
    let fork = here.get(&ids[1]).unwrap();
    say(&fork, "coder", "again");
    assert_eq!(fork.len(), 3);
    assert_sound(&here);
}

#[test]
fn the_same_file_again_writes_nothing_and_says_so() {
    let there = fresh();
    let ids = full(&there);
    let (_, bytes) = exported(&there, None);
    let here = fresh();
    imported(&here, &bytes).unwrap();
    let before = state(&here);
    for on_conflict in [OnConflict::Refuse, OnConflict::Rename, OnConflict::Skip] {
        let again = imported_with(&here, &bytes, on_conflict).unwrap();
        assert_eq!((again.threads.len(), again.new_blocks), (0, 0));
        assert_eq!((again.blocks, again.new_receipts), (0, 0));
        assert_eq!(again.there, ids);
        assert_eq!(state(&here), before);
    }
    // Into where it came from, too.
    let before = state(&there);
    assert_eq!(imported(&there, &bytes).unwrap().there, ids);
    assert_eq!(state(&there), before);
}

#[test]
fn a_file_stands_on_its_own_and_says_each_block_once() {
    let there = fresh();
    full(&there);
    let (out, bytes) = exported(&there, None);
    let (roots, sections) = taken_apart(&bytes);
    assert_eq!(roots, [out.root]);
    assert_eq!(sections[0].0, out.root);
    let places: HashMap<Cid, usize> = sections
        .iter()
        .enumerate()
        .map(|(place, (cid, _))| (*cid, place))
        .collect();
    assert_eq!(places.len(), sections.len(), "a block stands there twice");
    let pages: HashSet<Cid> = links_of(&sections[0]).into_iter().collect();
    for (place, section) in sections.iter().enumerate() {
        assert!(section.0.matches(&section.1));
        for link in links_of(section) {
            let at = places[&link];
            // The manifest comes first; of all else what is linked to.
            let is_manifest = place == 0 || pages.contains(&section.0);
            assert!(is_manifest == (at > place), "{link} at {at}, {place}");
        }
    }
    assert_eq!(sections.len() as u64, out.blocks + 1 + pages.len() as u64);
}

#[test]
fn the_same_state_gives_the_same_bytes() {
    let there = fresh();
    let ids = full(&there);
    let (_, first) = exported(&there, None);
    assert!(exported(&there, None).1 == first);
    let backwards: Vec<String> = ids.iter().rev().cloned().collect();
    assert!(exported(&there, Some(&backwards)).1 == first);
    // What is imported and exported again has the same blocks in the same order; versions begin anew.
    let here = fresh();
    imported(&here, &first).unwrap();
    let (_, second) = exported(&here, None);
    let blocks = |bytes: &[u8]| taken_apart(bytes).1.split_off(2);
    assert!(blocks(&second) == blocks(&first));
    let third = fresh();
    imported(&third, &second).unwrap();
    assert!(exported(&third, None).1 == second);
}

#[test]
fn some_threads_bring_only_what_they_reach() {
    let there = fresh();
    let ids = full(&there);
    let (out, bytes) = exported(&there, Some(&ids[1..2]));
    assert_eq!(out.threads, ids[1..2]);
    let (_, all) = exported(&there, None);
    assert!(bytes.len() < all.len() - 2_700_000);
    let here = fresh();
    imported(&here, &bytes).unwrap();
    assert_eq!(everything(&here), [told(&there, &ids[1])]);
    assert_eq!(here.store().stats().unwrap().blocks, out.blocks);
    // The rest joins it, and what is there is not written again.
    let rest = imported(&here, &all).unwrap();
    assert_eq!((rest.threads.len(), rest.there.len()), (2, 1));
    assert!(rest.new_blocks < rest.blocks);
    assert_eq!(everything(&here), everything(&there));
    assert_sound(&here);
}

#[test]
fn nothing_travels_as_well() {
    let (out, bytes) = exported(&fresh(), None);
    assert_eq!((out.threads.len(), out.blocks), (0, 0));
    let here = fresh();
    assert_eq!(imported(&here, &bytes).unwrap().threads.len(), 0);
    assert_eq!(state(&here), (0, 0, 0, 0, 0));
    let error = export(&here, Some(&["nobody".into()]), &mut Vec::new(), &mut go_on).unwrap_err();
    assert!(error.to_string().contains("nobody"), "{error}");
}

#[test]
fn any_order_of_blocks_will_do() {
    let there = fresh();
    full(&there);
    let (_, bytes) = exported(&there, None);
    let (roots, sections) = taken_apart(&bytes);
    let mut backwards = sections.clone();
    backwards.reverse();
    let mut by_cid = sections.clone();
    by_cid.sort();
    let mut twice = sections.clone();
    twice.extend(sections);
    for sections in [backwards, by_cid, twice] {
        let here = fresh();
        imported(&here, &put_together(&roots, &sections)).unwrap();
        assert_eq!(everything(&here), everything(&there));
        assert_sound(&here);
    }
}

#[test]
fn more_threads_than_a_commit_takes() {
    let there = fresh();
    for number in 0..1203 {
        let args = StartArgs {
            key: Some(format!("k{number}")),
            command_id: Some(format!("start {number}")),
            ..StartArgs::new("w")
        };
        there.start(args).unwrap().wait().unwrap();
    }
    let (out, bytes) = exported(&there, None);
    assert_eq!((out.threads.len(), out.receipts), (1203, 1203));
    let here = fresh();
    let report = imported(&here, &bytes).unwrap();
    assert_eq!((report.threads.len(), report.new_receipts), (1203, 1203));
    // One commit of blocks, and one for every 500 threads.
    assert_eq!(here.store().head().unwrap().position, 4);
    assert_eq!(everything(&here), everything(&there));
}
