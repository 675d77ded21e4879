//! A scope that comes into a store whole (by a fork, by an import), cut off wherever it can be: by power failures, and by a
//! disk that fails. Nothing of it is seen, or all; and the same again finishes it.

use std::fmt::{Debug, Display};
use std::path::Path;

use treering_block::{Block, Cid};
use treering_store::faults::{Among, Event, Failure, Image, Loss, Trace};
use treering_store::scope::{FORKING, discard, refs, unfinished};
use treering_store::{
    Change, Commit, EmbeddedStore, Expect, Lease, RefMove, RefName, Store, StoreError,
};

use super::{ABOVE, behind, recorder};

/// It is asked for, and was answered.
const BEGUN: u64 = 1;
const ANSWERED: u64 = 2;
/// Refs of the scope.
pub const REFS: usize = 23;
/// What comes does so under this name.
pub const SCOPE: &str = "bob";

/// How a scope comes into a store.
pub trait Arriving: Debug {
    type Error: Debug + Display;
    /// What is there before.
    fn fill(&self, store: &dyn Store);
    fn arrive(&self, store: &dyn Store) -> Result<(), Self::Error>;
    /// Whether all of it is there. Errors: what is wrong, if it is neither all nor nothing.
    fn is_whole(&self, store: &EmbeddedStore) -> Result<bool, String>;
    fn of_store(error: &Self::Error) -> Option<&StoreError>;
}

/// Refs of several kinds, which point at these blocks by turns.
pub fn commit_of_refs(scope: &str, blocks: Vec<Block>) -> Commit {
    let moves = (0..REFS).map(|nth| RefMove {
        name: RefName::new(scope, ["chat", "pin", "thread"][nth % 3], [nth.to_string()]).unwrap(),
        expect: Expect::Absent,
        change: Change::Set {
            target: blocks[nth % blocks.len()].cid,
            record: vec![nth as u8],
        },
    });
    Commit {
        scope: scope.into(),
        moves: moves.collect(),
        blocks,
        ..Commit::default()
    }
}

/// Kind, parts, target and record of each ref of a scope that is seen.
pub fn content(store: &dyn Store, scope: &str) -> Vec<(String, Cid, Vec<u8>)> {
    let all = refs::all(store, scope).unwrap().into_iter();
    all.filter(|(name, _)| name.kind() != FORKING)
        .map(|(name, value)| (name.unscoped().to_owned(), value.target, value.record))
        .collect()
}

/// At every moment of it the power fails, and what is not on disk is lost in each of the ways that there are.
pub fn whole_at_every_moment(coming: &impl Arriving) {
    let trace = live(coming);
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
            match check(coming, &directory, answered, at % 2 == 0) {
                Ok(true) => all += 1,
                Ok(false) => nothing += 1,
                Err(why) => faults.push(format!("after event {at}, {loss:?}: {why}")),
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{coming:?}: {}: {:#?}",
        faults.len(),
        &faults[..faults.len().min(5)]
    );
    assert!(nothing > 5 && all > 2, "{coming:?}: {nothing} and {all}");
}

/// Each operation of the disk fails in turn, alone or with all that follow; the failures are met by turns.
pub fn whole_whatever_fails<A: Arriving>(coming: &A, failures: &[Failure]) {
    let mut failed = 0;
    for n in 0.. {
        assert!(n < 600, "{coming:?}: it does not end");
        let failure = failures[n % failures.len()];
        let lasting = (n / failures.len()).is_multiple_of(2);
        let root = tempfile::tempdir().unwrap();
        let recorder = recorder(root.path());
        let path = root.path().join(ABOVE).join("store");
        let store = EmbeddedStore::open(&path, &behind(&recorder)).unwrap();
        coming.fill(&store);
        recorder.fail(Among::All, n as u64, failure, lasting);
        let answer = coming.arrive(&store);
        let met = recorder.failed() > 0;
        recorder.heal();
        if let Err(error) = &answer {
            assert!(
                matches!(
                    A::of_store(error),
                    Some(
                        StoreError::Io { .. }
                            | StoreError::DiskFull
                            | StoreError::CommitUnknown { .. }
                            | StoreError::Poisoned { .. }
                    )
                ),
                "{n}: {error:?}"
            );
            failed += 1;
        }
        drop(store);
        check(coming, &path, answer.is_ok(), n % 3 != 0)
            .unwrap_or_else(|why| panic!("{coming:?}, {failure:?} {n}: {why}"));
        if !met {
            assert!(failed > 0, "{coming:?}");
            return;
        }
    }
}

fn live(coming: &impl Arriving) -> Trace {
    let root = tempfile::tempdir().unwrap();
    let recorder = recorder(root.path());
    let path = root.path().join(ABOVE).join("store");
    let store = EmbeddedStore::open(&path, &behind(&recorder)).unwrap();
    coming.fill(&store);
    recorder.mark(BEGUN);
    coming.arrive(&store).unwrap();
    recorder.mark(ANSWERED);
    drop(store);
    recorder.trace()
}

/// What is left: nothing of it, or all; all if it was answered. Then it is finished, or discarded and done anew. Whether all
/// of it was left.
fn check(
    coming: &impl Arriving,
    directory: &Path,
    answered: bool,
    finish: bool,
) -> Result<bool, String> {
    let options = behind(&recorder(directory.parent().unwrap()));
    let store = EmbeddedStore::open(directory, &options).map_err(|error| error.to_string())?;
    sound(&store)?;
    let whole = coming.is_whole(&store)?;
    if answered && !whole {
        return Err("it was answered, and is not there".into());
    }
    let left = unfinished(&store).map_err(|error| error.to_string())?;
    if whole && !left.is_empty() {
        return Err("it is there, and not finished".into());
    }
    // Who held it died with the machine; here it is this very process.
    let name = RefName::new(SCOPE, FORKING, [""; 0]).unwrap();
    if let Some(state) = store.lease_state(&name).unwrap() {
        let token = state.token;
        store.lease_release(&Lease { name, token }).unwrap();
    }
    if !finish && !left.is_empty() {
        discard(&store, SCOPE).map_err(|error| format!("discard: {error}"))?;
        sound(&store)?;
        let there = store.all_refs(None, 1_000).unwrap();
        if there
            .iter()
            .any(|(name, _)| name.starts_with(&format!("{SCOPE}/")))
        {
            return Err("something was not discarded".into());
        }
    }
    for again in ["again", "once more"] {
        coming
            .arrive(&store)
            .map_err(|error| format!("{again}: {error}"))?;
        if !coming.is_whole(&store)? || !unfinished(&store).unwrap().is_empty() {
            return Err(format!("{again}: it is not whole"));
        }
        sound(&store)?;
    }
    Ok(whole)
}

fn sound(store: &dyn Store) -> Result<(), String> {
    let report = store.verify(None).map_err(|error| error.to_string())?;
    match report.findings.as_slice() {
        [] => Ok(()),
        findings => Err(format!("verify: {findings:#?}")),
    }
}
