//! Sealing and expiring the journal while the power or the disk fails: each kept commit is readable, once.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod crash;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crash::life::{Act, Living};
use crash::{ABOVE, Wrong, behind, is_one_of, picture, recorder};
use treering_store::faults::{Event, Failure, Image, Loss, Recorder, Trace};
use treering_store::{Cursor, ExpireBefore, OpenOptions, Result, Store, StoreError};

/// One thing that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Life(Act),
    Seal(u64),
    /// All up to this commit.
    Expire(u64),
}

use Deed::{Expire, Life, Seal};

const DEEDS: &[Deed] = &[
    Life(Act::Step(0)),
    Life(Act::Step(1)),
    Life(Act::Put(1)),
    Seal(1),
    Life(Act::Step(2)),
    Life(Act::RelaxedStep),
    Life(Act::Put(2)),
    Seal(1),
    Expire(2),
    Life(Act::Step(3)),
    Life(Act::Reopen),
    Seal(0),
    Expire(5),
    Life(Act::Step(4)),
];

/// What a life without failures came to.
struct Lived {
    trace: Trace,
    /// Before the n-th deed: number n.
    pictures: Vec<String>,
    /// Behind the n-th commit: number n.
    cursors: Vec<Cursor>,
}

fn at_home(root: &Path) -> PathBuf {
    root.join(ABOVE).join("store")
}

fn live(forget: bool) -> Lived {
    let root = tempfile::tempdir().unwrap();
    let recorder = recorder(root.path());
    if forget {
        recorder.forget_syncs(|path| path.starts_with("deep/store/journal"));
    }
    let (path, options) = (at_home(root.path()), behind(&recorder));
    let mut living = Living::begin(&path, &options).unwrap();
    let mut lived = Lived {
        trace: Trace::default(),
        pictures: vec![picture(living.store()).unwrap()],
        cursors: vec![Cursor::default()],
    };
    for (at, deed) in DEEDS.iter().enumerate() {
        recorder.mark(at as u64 * 2);
        act(&mut living, *deed, &path, &options, &lived.cursors).unwrap();
        recorder.mark(at as u64 * 2 + 1);
        let store = living.store();
        lived.pictures.push(picture(store).unwrap());
        let head = store.head().unwrap();
        if head.position as usize == lived.cursors.len() {
            lived.cursors.push(head.cursor());
        }
    }
    let extent = living.store().journal_extent().unwrap();
    assert_eq!((extent.start.head.position, extent.commits()), (5, 3));
    drop(living);
    lived.trace = recorder.trace();
    lived
}

fn act(
    living: &mut Living,
    deed: Deed,
    path: &Path,
    options: &OpenOptions,
    cursors: &[Cursor],
) -> Result<()> {
    match deed {
        Life(act) => living.act(act, path, options, None),
        Seal(keep) => living.store().seal_journal(keep).map(drop),
        Expire(position) => {
            let before = ExpireBefore::Cursor(cursors[position as usize]);
            living.store().expire_journal(&before).map(drop)
        }
    }
}

fn is_durable(deed: Deed) -> bool {
    match deed {
        Life(act) => act.is_durable(),
        Seal(_) | Expire(_) => true,
    }
}

/// The power fails at every sync and every answer; how often, and what was wrong.
fn fail_everywhere(lived: &Lived) -> (usize, Vec<String>) {
    let (mut image, mut least, mut most) = (Image::new(), 0, 0);
    let (mut crashes, mut faults) = (0, Vec::new());
    let begun = lived
        .trace
        .iter()
        .position(|event| *event == Event::Mark(0));
    for (at, event) in lived.trace.iter().enumerate() {
        image.apply(event);
        if let Event::Mark(mark) = event {
            let deed = (*mark / 2) as usize;
            most = deed + 1;
            if mark % 2 == 1 && is_durable(DEEDS[deed]) {
                least = deed + 1;
            }
        }
        let next = lived.trace.get(at + 1);
        let moment = matches!(event, Event::Mark(_)) || next.is_none_or(Event::is_sync);
        if at < begun.unwrap() || !moment {
            continue;
        }
        let allowed: Vec<&str> = lived.pictures[least..=most]
            .iter()
            .map(String::as_str)
            .collect();
        let seed = at as u64 * 10;
        for loss in [
            Loss::All,
            Loss::Nothing,
            Loss::Random(seed),
            Loss::Torn(seed + 1),
        ] {
            crashes += 1;
            if let Err(why) = crash::crash(&image, loss, &allowed) {
                faults.push(format!("after event {at} ({event:.80?}): {why}"));
            }
        }
    }
    (crashes, faults)
}

#[test]
fn the_power_fails_anywhere() {
    let (crashes, faults) = fail_everywhere(&live(false));
    assert!(
        faults.is_empty(),
        "{} of {crashes}: {}",
        faults.len(),
        faults[0]
    );
    assert!(crashes > 200, "{crashes}");
}

#[test]
fn a_disk_that_forgets_sealed_files_is_found_out() {
    let (crashes, faults) = fail_everywhere(&live(true));
    assert!(!faults.is_empty(), "{crashes} crashes lost nothing");
}

/// Lives on a disk whose `n`-th operation fails. False: there are not so many.
fn live_with_failure(lived: &Lived, n: u64, wrong: Wrong) -> bool {
    let root = tempfile::tempdir().unwrap();
    let recorder = recorder(root.path());
    let (path, options) = (at_home(root.path()), behind(&recorder));
    let mut living = Living::begin(&path, &options).unwrap();
    wrong.plan(&recorder, n, false);
    for (at, deed) in DEEDS.iter().enumerate() {
        let mut tries = 0;
        while let Err(error) = act(&mut living, *deed, &path, &options, &lived.cursors) {
            tries += 1;
            assert!(tries < 4, "{deed:?} never succeeds: {error}");
            let when = format!("{deed:?} answered {error}, {wrong:?} at {n}");
            let fits = matches!(
                error,
                StoreError::DiskFull
                    | StoreError::Io { .. }
                    | StoreError::CommitUnknown { .. }
                    | StoreError::Poisoned { .. }
            );
            assert!(fits, "{when}");
            if living.store.is_none()
                || matches!(
                    error,
                    StoreError::CommitUnknown { .. } | StoreError::Poisoned { .. }
                )
            {
                living = reopened(living, &path, &options);
            }
            if check(&living, lived, at, at + 1, &when) == at + 1 && deed_is_commit(*deed) {
                break;
            }
        }
        if tries > 0 {
            check(
                &living,
                lived,
                at + 1,
                at + 1,
                &format!("{deed:?} at last, {wrong:?} at {n}"),
            );
        }
    }
    let failed = recorder.failed() > 0;
    drop(living);
    after_power_failure(&recorder, lived, n, wrong);
    failed
}

/// Done a second time these are another commit; the others may be repeated.
fn deed_is_commit(deed: Deed) -> bool {
    matches!(deed, Life(act) if act != Act::Reopen)
}

fn reopened(living: Living, path: &Path, options: &OpenOptions) -> Living {
    drop(living);
    Living::begin(path, options)
        .or_else(|_| Living::begin(path, options))
        .unwrap()
}

/// Asserts that the store is in one of these states; which one.
fn check(living: &Living, lived: &Lived, from: usize, to: usize, when: &str) -> usize {
    let allowed: Vec<&str> = lived.pictures[from..=to]
        .iter()
        .map(String::as_str)
        .collect();
    from + is_one_of(living.store(), &allowed).unwrap_or_else(|why| panic!("{when}: {why}"))
}

fn after_power_failure(recorder: &Arc<Recorder>, lived: &Lived, n: u64, wrong: Wrong) {
    let image = Image::new().after(&recorder.trace());
    let last = lived.pictures.last().map(String::as_str);
    for loss in [Loss::All, Loss::Random(1)] {
        if let Err(why) = crash::crash(&image, loss, &[last.unwrap()]) {
            panic!("{wrong:?} at {n}, then the power failed: {why}");
        }
    }
}

#[test]
fn any_operation_fails_once() {
    let lived = live(false);
    for failure in [Failure::Device, Failure::HalfThenFull] {
        let mut count = 0;
        while live_with_failure(&lived, count, Wrong::Fails(failure)) {
            count += 1;
        }
        assert!(count > 40, "only {count} operations failed");
    }
}

#[test]
fn any_read_fails_once() {
    let lived = live(false);
    let mut count = 0;
    while live_with_failure(&lived, count, Wrong::Unread) {
        count += 1;
    }
    assert!(count > 10, "only {count} reads failed");
}
