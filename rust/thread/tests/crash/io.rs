//! Operations of the disk that fail: each one of the life, by itself. A caller who repeats what failed, with
//! its command id, ends up where a life without failures does.

use std::sync::Arc;

use treering_store::StoreError;
use treering_store::faults::{BadRead, Cuts, Failure, Image, Loss, Recorder};
use treering_thread::ThreadError;

use crate::checks;
use crate::life::{Act, Home, LIFE, Living};

/// The state after each act of a life in which nothing fails.
fn pictures() -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    let home = Home::behind(root.path(), &Arc::new(Recorder::without_trace()));
    let mut living = home.open().unwrap();
    let mut pictures = vec![checks::picture(&living).unwrap()];
    for act in LIFE {
        if *act == Act::Reopen {
            drop(living);
            living = home.open().unwrap();
        } else {
            living.act(*act).unwrap();
        }
        pictures.push(checks::picture(&living).unwrap());
    }
    pictures
}

/// An error that tells a caller what to do.
fn store_error(error: &ThreadError, when: &str) -> StoreError {
    match error {
        ThreadError::Store(
            error @ (StoreError::DiskFull
            | StoreError::Io { .. }
            | StoreError::CommitUnknown { .. }
            | StoreError::Poisoned { .. }),
        ) => error.clone(),
        other => panic!("{when} answered {other:?}"),
    }
}

/// Opens the store, after a failure once more.
fn open(home: &Home) -> Living {
    home.open().unwrap_or_else(|error| {
        store_error(&error, "open");
        home.open().unwrap()
    })
}

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    /// An operation that is no read.
    Fails(Failure),
    /// A read gives nothing.
    Unread,
}

/// Lives the whole life with the `n`-th operation failing. False: there are not so many.
fn live_with_one_failure(pictures: &[String], n: u64, wrong: Wrong) -> bool {
    let root = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::new(root.path()).unwrap());
    let home = Home::behind(root.path(), &recorder);
    match wrong {
        Wrong::Fails(failure) => recorder.fail_once(n, failure),
        Wrong::Unread => recorder.spoil_reads(n, BadRead::Device, false),
    }
    let mut living = Some(open(&home));
    for (at, act) in LIFE.iter().enumerate() {
        if *act == Act::Reopen {
            living = None;
        }
        let when = format!("{act:?}, {wrong:?} at {n}");
        let mut tries = 0;
        loop {
            let here = living.get_or_insert_with(|| open(&home));
            tries += 1;
            assert!(tries < 4, "{when} never succeeds");
            if *act == Act::Reopen {
                break;
            }
            let Err(error) = here.act(*act) else { break };
            let (from, to) = match store_error(&error, &when) {
                StoreError::CommitUnknown { .. } => (at, at + 1),
                _ => (at, at),
            };
            if matches!(
                store_error(&error, &when),
                StoreError::CommitUnknown { .. } | StoreError::Poisoned { .. }
            ) {
                living = None;
            }
            // Nothing half-done, whatever the answer was.
            let here = living.get_or_insert_with(|| open(&home));
            let allowed: Vec<&str> = pictures[from..=to].iter().map(String::as_str).collect();
            if let Err(why) = checks::is_one_of(here, &allowed) {
                panic!("{when} answered {error}: {why}");
            }
        }
        if tries > 1 {
            let here = living.as_ref().unwrap();
            let done = checks::is_one_of(here, &[&pictures[at + 1]]);
            done.unwrap_or_else(|why| panic!("{when}, repeated: {why}"));
        }
    }
    let failed = recorder.failed() > 0;
    // What comes now is the test's own.
    recorder.heal();
    let backup = checks::backups(pictures, LIFE.len(), LIFE.len());
    checks::backup_is_one_of(&home, &backup)
        .unwrap_or_else(|why| panic!("{wrong:?} at {n}: {why}"));
    let here = living.take().unwrap();
    let end = [pictures[LIFE.len()].as_str()];
    checks::is_one_of(&here, &end)
        .unwrap_or_else(|why| panic!("at the end, {wrong:?} at {n}: {why}"));
    drop(here);
    // And all of it outlives a power failure, the operation that failed notwithstanding.
    let mut cuts = Cuts::new(Image::new(), recorder.trace());
    while cuts.next_cut().is_some() {}
    let after = tempfile::tempdir().unwrap();
    cuts.image().materialise(Loss::All, after.path()).unwrap();
    let home = Home::behind(after.path(), &Arc::new(Recorder::without_trace()));
    let living = home.open().unwrap();
    checks::is_one_of(&living, &end)
        .and_then(|_| checks::backup_is_one_of(&home, &backup))
        .unwrap_or_else(|why| panic!("after a power failure, {wrong:?} at {n}: {why}"));
    failed
}

/// Tries every `stride`-th n until there are no more.
fn for_every(stride: usize, least: u64, mut live: impl FnMut(u64) -> bool) {
    let tried = (0..).step_by(stride).take_while(|n| live(*n)).count();
    let failing = (tried * stride) as u64;
    assert!(failing > least, "only {failing} operations failed");
}

#[test]
fn any_operation_fails_once_with_a_dead_device() {
    let pictures = pictures();
    for_every(1, 200, |n| {
        live_with_one_failure(&pictures, n, Wrong::Fails(Failure::Device))
    });
}

#[test]
fn any_operation_fails_once_with_a_full_disk() {
    let pictures = pictures();
    for_every(1, 100, |n| {
        live_with_one_failure(&pictures, n, Wrong::Fails(Failure::HalfThenFull))
    });
}

/// Appends, collections, backups: whatever reads.
#[test]
fn a_read_fails_once() {
    let pictures = pictures();
    for_every(7, 60, |n| {
        live_with_one_failure(&pictures, n, Wrong::Unread)
    });
}

#[test]
#[ignore = "takes minutes"]
fn any_read_fails_once() {
    let pictures = pictures();
    // One in three: there are many, and neighbours read the same pages.
    for_every(3, 60, |n| {
        live_with_one_failure(&pictures, n, Wrong::Unread)
    });
}
