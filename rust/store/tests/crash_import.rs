//! The refs of an archive that come into a scope, in one commit and in several, cut off wherever it can be: by power
//! failures, and by a disk that fails. Nothing of them is seen, or all; and the same import again finishes it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod crash;

use std::io::Cursor;
use std::ops::ControlFlow;
use std::path::Path;

use crash::{ABOVE, behind, recorder};
use treering_block::{Block, Cid};
use treering_store::archive::{
    ArchiveError, Index, Loading, ScopeManifest, post_order, snapshot, writing,
};
use treering_store::faults::{Among, Event, Failure, Image, Loss, Trace};
use treering_store::scope::{FORKING, LandOptions, Lands, discard, refs, unfinished};
use treering_store::{
    Change, Commit, Durability, EmbeddedStore, Expect, JournalCommand, Lease, MemoryStore, RefMove,
    RefName, Store, StoreError,
};

/// The import is asked for, and was answered.
const BEGUN: u64 = 1;
const ANSWERED: u64 = 2;
const REFS: usize = 23;

type Content = Vec<(String, Cid, Vec<u8>)>;

/// A file with refs of several kinds, blocks below and above the size of files of their own, and a receipt.
fn file() -> Vec<u8> {
    let store = MemoryStore::new();
    let leaves: Vec<Block> = [b"leaf".to_vec(), vec![7; 300 << 10]]
        .map(Block::raw)
        .into();
    let moves = (0..REFS).map(|nth| RefMove {
        name: RefName::new(
            "alice",
            ["chat", "pin", "thread"][nth % 3],
            [nth.to_string()],
        )
        .unwrap(),
        expect: Expect::Absent,
        change: Change::Set {
            target: leaves[nth % 2].cid,
            record: vec![nth as u8],
        },
    });
    let commit = Commit {
        scope: "alice".into(),
        moves: moves.collect(),
        blocks: leaves.clone(),
        receipts: vec![JournalCommand {
            key: [1; 32],
            payload: [2; 32],
            receipt: vec![0x80],
        }],
        ..Commit::default()
    };
    store.submit(commit).wait().unwrap();
    let taken = snapshot(&store, "alice", None, |_| true).unwrap();
    let manifest = ScopeManifest {
        scope: "alice".into(),
        refs: taken.refs,
        receipts: taken.receipts.into_values().collect(),
    };
    let mut bytes = Vec::new();
    let roots = manifest.refs.values().map(|value| value.target);
    let blocks = manifest.encode().unwrap();
    let mut go_on = |_: u64, _: Option<u64>| ControlFlow::Continue(());
    writing::write(&store, &blocks, roots, &mut bytes, &mut go_on).unwrap();
    bytes
}

/// What a layer above does that has nothing to check.
fn import(store: &dyn Store, file: &[u8], in_steps: bool) -> Result<(), ArchiveError> {
    let mut go_on = |_: u64, _: Option<u64>| ControlFlow::Continue(());
    let mut watcher: treering_store::archive::Watcher<'_> = &mut go_on;
    let (root, mut file) = Index::of(Cursor::new(file), &mut watcher)?;
    let manifest = ScopeManifest::decode(&root, "bob", |cid| file.need("it", cid))?;
    let mut order = Vec::new();
    post_order(
        manifest.refs.values().map(|value| value.target),
        |_, _| Ok::<_, ArchiveError>((Vec::new(), ())),
        |cid, ()| {
            order.push(cid);
            Ok(())
        },
    )?;
    let new = manifest.refs.into_iter().map(|(name, value)| RefMove {
        name,
        expect: Expect::Absent,
        change: Change::Set {
            target: value.target,
            record: value.record,
        },
    });
    let options = LandOptions {
        at_once: if in_steps { 1 } else { 100 },
        at_a_time: 4,
    };
    let root = root.to_string();
    let moves = if refs::all(store, "bob")?.len() == REFS {
        Vec::new()
    } else {
        new.collect()
    };
    let lands = Lands::plan(store, "bob", moves, &root, &options)?;
    let mut loading = Loading::new(store, "bob", lands.leases());
    loading.load(&mut file, &order, &mut watcher)?;
    lands.land(&root, manifest.receipts, Durability::Durable)?;
    Ok(())
}

fn content(store: &dyn Store) -> Content {
    let all = refs::all(store, "bob").unwrap().into_iter();
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

/// What is left: nothing of it, or all; all if it was answered. Then it is finished, or discarded and done anew.
fn check(
    directory: &Path,
    file: &[u8],
    answered: bool,
    in_steps: bool,
    finish: bool,
) -> Result<bool, String> {
    let options = behind(&recorder(directory.parent().unwrap()));
    let store = EmbeddedStore::open(directory, &options).map_err(|error| error.to_string())?;
    sound(&store)?;
    let seen = content(&store).len();
    let receipts = store.receipts("bob", None, 10).unwrap().len();
    let whole = seen == REFS;
    if !(whole || seen == 0) || (whole && receipts != 1) {
        return Err(format!("{seen} refs of it are there, {receipts} receipts"));
    }
    if answered && !whole {
        return Err("it was answered, and is not there".into());
    }
    let left = unfinished(&store).map_err(|error| error.to_string())?;
    if whole && !left.is_empty() {
        return Err("it is there, and not finished".into());
    }
    if let Some(left) = left.first()
        && left.archive.is_none()
    {
        return Err(format!("{left:?} is no import"));
    }
    // Who held it died with the machine; here it is this very process.
    let name = RefName::new("bob", FORKING, [""; 0]).unwrap();
    if let Some(state) = store.lease_state(&name).unwrap() {
        let token = state.token;
        store.lease_release(&Lease { name, token }).unwrap();
    }
    if !finish && !left.is_empty() {
        discard(&store, "bob").map_err(|error| format!("discard: {error}"))?;
    }
    for again in ["again", "once more"] {
        import(&store, file, in_steps).map_err(|error| format!("{again}: {error}"))?;
        if content(&store).len() != REFS || !unfinished(&store).unwrap().is_empty() {
            return Err(format!("{again}: it is not whole"));
        }
        sound(&store)?;
    }
    Ok(whole)
}

fn live(file: &[u8], in_steps: bool) -> Trace {
    let root = tempfile::tempdir().unwrap();
    let recorder = recorder(root.path());
    let path = root.path().join(ABOVE).join("store");
    let store = EmbeddedStore::open(&path, &behind(&recorder)).unwrap();
    store.submit(Commit::default()).wait().ok();
    recorder.mark(BEGUN);
    import(&store, file, in_steps).unwrap();
    recorder.mark(ANSWERED);
    drop(store);
    recorder.trace()
}

#[test]
fn at_every_moment_nothing_or_all_of_it_is_there() {
    let file = file();
    for in_steps in [false, true] {
        let trace = live(&file, in_steps);
        let (mut image, mut begun, mut answered) = (Image::new(), false, false);
        let (mut nothing, mut all, mut faults) = (0, 0, Vec::new());
        for (at, event) in trace.iter().enumerate() {
            image.apply(event);
            begun |= *event == Event::Mark(BEGUN);
            answered |= *event == Event::Mark(ANSWERED);
            if !begun {
                continue;
            }
            for loss in [Loss::All, Loss::Nothing, Loss::Torn(at as u64)] {
                let into = tempfile::tempdir().unwrap();
                image.materialise(loss, into.path()).unwrap();
                let directory = into.path().join(ABOVE).join("store");
                match check(&directory, &file, answered, in_steps, at % 2 == 0) {
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
            nothing > 5 && all > 2,
            "in steps {in_steps}: {nothing} and {all}"
        );
    }
}

#[test]
fn whatever_the_disk_refuses_nothing_or_all_of_it_is_there() {
    let file = file();
    for in_steps in [false, true] {
        let (mut failed, mut went_well) = (0, false);
        for n in 0..600 {
            let root = tempfile::tempdir().unwrap();
            let recorder = recorder(root.path());
            let path = root.path().join(ABOVE).join("store");
            let store = EmbeddedStore::open(&path, &behind(&recorder)).unwrap();
            let failure = [Failure::Device, Failure::Full][n as usize % 2];
            recorder.fail(Among::All, n, failure, n % 4 < 2);
            let answer = import(&store, &file, in_steps);
            let met = recorder.failed() > 0;
            recorder.heal();
            if let Err(error) = &answer {
                assert!(
                    matches!(
                        error,
                        ArchiveError::Store(
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
            check(&path, &file, answer.is_ok(), in_steps, n % 3 != 0)
                .unwrap_or_else(|why| panic!("{failure:?} {n}: {why}"));
            if !met {
                went_well = true;
                break;
            }
        }
        assert!(went_well && failed > 0, "in steps {in_steps}: {failed}");
    }
}
