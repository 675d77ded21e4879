//! A fork of a whole scope, in one commit and in several, cut off wherever it can be: by power failures, and by a disk
//! that fails. Nothing of it is seen, or all of it; and the same fork again finishes it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod crash;

use std::path::Path;
use std::sync::Arc;

use crash::{ABOVE, behind, recorder};
use treering_block::{Block, Cid};
use treering_store::faults::{Among, Event, Failure, Image, Loss, Recorder, Trace};
use treering_store::scope::{FORKING, ForkOptions, discard, fork, refs, unfinished};
use treering_store::{
    Change, Commit, EmbeddedStore, Expect, Lease, Progress, RefMove, RefName, Result, Store,
    StoreError,
};

/// The fork is asked for, and was answered.
const BEGUN: u64 = 1;
const ANSWERED: u64 = 2;
const REFS: usize = 23;

fn options(in_steps: bool) -> ForkOptions {
    ForkOptions {
        command_id: Some("fork".into()),
        at_once: if in_steps { 1 } else { 100 },
        at_a_time: 4,
        ..ForkOptions::default()
    }
}

fn forked(store: &dyn Store, in_steps: bool) -> Result<u64> {
    let progress = Progress::default();
    fork(store, "alice", "bob", &options(in_steps), &progress).map(|forked| forked.refs)
}

fn fill(store: &dyn Store) {
    let leaf = Block::raw(b"leaf".to_vec());
    let moves = (0..REFS).map(|nth| RefMove {
        name: RefName::new(
            "alice",
            ["chat", "pin", "thread"][nth % 3],
            [nth.to_string()],
        )
        .unwrap(),
        expect: Expect::Absent,
        change: Change::Set {
            target: leaf.cid,
            record: vec![nth as u8],
        },
    });
    let commit = Commit {
        scope: "alice".into(),
        moves: moves.collect(),
        blocks: vec![leaf.clone()],
        ..Commit::default()
    };
    store.submit(commit).wait().unwrap();
}

/// Kind, parts, target and record of each ref of a scope that is seen.
fn content(store: &dyn Store, scope: &str) -> Vec<(String, Cid, Vec<u8>)> {
    let all = refs::all(store, scope).unwrap().into_iter();
    all.filter(|(name, _)| name.kind() != FORKING)
        .map(|(name, value)| (name.unscoped().to_owned(), value.target, value.record))
        .collect()
}

fn sound(store: &dyn Store) -> Result<(), String> {
    let report = store.verify(None).map_err(|error| error.to_string())?;
    match report.findings.as_slice() {
        [] => Ok(()),
        findings => Err(format!("verify: {findings:#?}")),
    }
}

/// What is left: nothing of the fork, or all; all if it was answered. Then it is finished, or discarded.
fn check(directory: &Path, answered: bool, in_steps: bool, finish: bool) -> Result<bool, String> {
    let options = behind(&recorder(directory.parent().unwrap()));
    let store = EmbeddedStore::open(directory, &options).map_err(|error| error.to_string())?;
    sound(&store)?;
    let (alice, bob) = (content(&store, "alice"), content(&store, "bob"));
    let seen = store.scopes().unwrap().contains(&"bob".to_owned());
    let lineage = store.lineage("bob").unwrap().is_some();
    let whole = bob == alice && !alice.is_empty();
    if !(whole || bob.is_empty()) || seen != whole || lineage != whole {
        return Err(format!(
            "{} refs of it are there, seen {seen}, lineage {lineage}",
            bob.len()
        ));
    }
    if answered && !whole {
        return Err("it was answered, and is not there".into());
    }
    let left = unfinished(&store).map_err(|error| error.to_string())?;
    if whole && !left.is_empty() {
        return Err("it is there, and not finished".into());
    }
    if alice.len() < REFS {
        // The power failed before there was anything to fork.
        return Ok(whole);
    }
    // Who held it died with the machine; here it is this very process.
    let name = RefName::new("bob", FORKING, [""; 0]).unwrap();
    if let Some(state) = store.lease_state(&name).unwrap() {
        let token = state.token;
        store.lease_release(&Lease { name, token }).unwrap();
    }
    if !finish && !left.is_empty() {
        discard(&store, "bob").map_err(|error| format!("discard: {error}"))?;
        sound(&store)?;
        let there = store.all_refs(None, 1_000).unwrap();
        if there.iter().any(|(name, _)| name.starts_with("bob/")) {
            return Err("something was not discarded".into());
        }
    }
    let refs = forked(&store, in_steps).map_err(|error| format!("again: {error}"))?;
    if refs != REFS as u64 || content(&store, "bob") != alice {
        return Err(format!("again: {refs} refs"));
    }
    if !unfinished(&store).unwrap().is_empty() {
        return Err("it is not finished".into());
    }
    sound(&store)?;
    Ok(whole)
}

fn live(in_steps: bool) -> Trace {
    let root = tempfile::tempdir().unwrap();
    let recorder: Arc<Recorder> = recorder(root.path());
    let path = root.path().join(ABOVE).join("store");
    let store = EmbeddedStore::open(&path, &behind(&recorder)).unwrap();
    fill(&store);
    recorder.mark(BEGUN);
    forked(&store, in_steps).unwrap();
    recorder.mark(ANSWERED);
    drop(store);
    recorder.trace()
}

#[test]
fn at_every_moment_nothing_or_all_of_it_is_there() {
    for in_steps in [false, true] {
        let trace = live(in_steps);
        let (mut image, mut begun, mut answered) = (Image::new(), false, false);
        let (mut nothing, mut all, mut faults) = (0, 0, Vec::new());
        for (at, event) in trace.iter().enumerate() {
            image.apply(event);
            begun |= *event == Event::Mark(BEGUN);
            answered |= *event == Event::Mark(ANSWERED);
            if !begun {
                continue;
            }
            let seed = at as u64 * 100;
            for loss in [
                Loss::All,
                Loss::Nothing,
                Loss::Random(seed),
                Loss::Torn(seed + 1),
            ] {
                let into = tempfile::tempdir().unwrap();
                image.materialise(loss, into.path()).unwrap();
                let directory = into.path().join(ABOVE).join("store");
                match check(&directory, answered, in_steps, at % 2 == 0) {
                    Ok(true) => all += 1,
                    Ok(false) => nothing += 1,
                    Err(why) => faults.push(format!("after event {at}, {loss:?}: {why}")),
                }
            }
        }
        assert!(
            faults.is_empty(),
            "{}: {:#?}",
            faults.len(),
            &faults[..faults.len().min(5)]
        );
        assert!(
            nothing > 5 && all > 3,
            "in steps {in_steps}: {nothing} and {all}"
        );
    }
}

#[test]
fn whatever_the_disk_refuses_nothing_or_all_of_it_is_there() {
    for in_steps in [false, true] {
        for failure in [Failure::Device, Failure::Full] {
            let (mut failed, mut went_well) = (0, false);
            for n in 0..400 {
                let root = tempfile::tempdir().unwrap();
                let recorder = recorder(root.path());
                let path = root.path().join(ABOVE).join("store");
                let store = EmbeddedStore::open(&path, &behind(&recorder)).unwrap();
                fill(&store);
                recorder.fail(Among::All, n, failure, n % 2 == 0);
                let answer = forked(&store, in_steps);
                let met = recorder.failed() > 0;
                recorder.heal();
                if let Err(error) = &answer {
                    assert!(
                        matches!(
                            error,
                            StoreError::Io { .. }
                                | StoreError::DiskFull
                                | StoreError::CommitUnknown { .. }
                                | StoreError::Poisoned { .. }
                        ),
                        "{n}: {error:?}"
                    );
                    failed += 1;
                }
                drop(store);
                check(&path, answer.is_ok(), in_steps, n % 3 != 0)
                    .unwrap_or_else(|why| panic!("{failure:?} {n}: {why}"));
                if !met {
                    went_well = true;
                    break;
                }
            }
            assert!(went_well && failed > 0, "in steps {in_steps}: {failed}");
        }
    }
}
