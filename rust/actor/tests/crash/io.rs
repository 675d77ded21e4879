//! Operations of the disk that fail: each one of the life, by itself. A caller who repeats what failed, with its
//! command id, ends up where a life without failures does.

use std::sync::Arc;

use treering_actor::ActorError;
use treering_store::StoreError;
use treering_store::faults::{Among, BadRead, Cuts, Failure, Image, Loss, Recorder};
use treering_thread::ThreadError;

use crate::checks;
use crate::life::{Act, HISTORY_EVENTS, Home, LIFE, Living};

/// The state after each act of a life in which nothing fails.
fn pictures(history_events: Option<u64>) -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::without_trace());
    let home = Home::behind(root.path(), &recorder, history_events);
    let mut living = home.open().unwrap();
    let mut pictures = vec![checks::picture(&living).unwrap()];
    for (at, act) in LIFE.iter().enumerate() {
        if *act == Act::Reopen {
            drop(living);
            living = home.open().unwrap();
        } else {
            living.act(at, *act).unwrap();
        }
        pictures.push(checks::picture(&living).unwrap());
    }
    pictures
}

/// An error that tells a caller what to do.
pub fn store_error(error: &ActorError, when: &str) -> StoreError {
    match error {
        ActorError::Store(error) | ActorError::Thread(ThreadError::Store(error))
            if matches!(
                error,
                StoreError::DiskFull
                    | StoreError::Io { .. }
                    | StoreError::CommitUnknown { .. }
                    | StoreError::Poisoned { .. }
                    | StoreError::EraseUnfinished { .. }
            ) =>
        {
            error.clone()
        }
        other => panic!("{when} answered {other:?}"),
    }
}

/// Opens the store, after a failure once more.
fn open(home: &Home) -> Living {
    home.open().unwrap_or_else(|error| {
        store_error(&error.into(), "open");
        home.open().unwrap()
    })
}

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum Wrong {
    /// An operation that is no read.
    Fails(Among, Failure),
    /// A read gives nothing.
    Unread,
}

/// Lives the whole life with the `n`-th operation failing. False: there are not so many.
fn live_with_one_failure(
    pictures: &[String],
    history_events: Option<u64>,
    n: u64,
    wrong: Wrong,
) -> bool {
    let root = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::new(root.path()).unwrap());
    let home = Home::behind(root.path(), &recorder, history_events);
    match wrong {
        Wrong::Fails(among, failure) => recorder.fail(among, n, failure, false),
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
            let Err(error) = here.act(at, *act) else {
                break;
            };
            let unknown = matches!(
                store_error(&error, &when),
                StoreError::CommitUnknown { .. } | StoreError::Poisoned { .. }
            );
            if unknown {
                living = None;
            }
            // Nothing half-done, whatever the answer was.
            let here = living.get_or_insert_with(|| open(&home));
            let allowed = &pictures[at..=at + usize::from(unknown)];
            let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
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
    let end = [pictures[LIFE.len()].as_str()];
    checks::is_one_of(&living.take().unwrap(), &end)
        .unwrap_or_else(|why| panic!("at the end, {wrong:?} at {n}: {why}"));
    // And all of it outlives a power failure, the operation that failed notwithstanding.
    let mut cuts = Cuts::new(Image::new(), recorder.trace());
    while cuts.next_cut().is_some() {}
    let after = tempfile::tempdir().unwrap();
    cuts.image().materialise(Loss::All, after.path()).unwrap();
    let recorder = Arc::new(Recorder::without_trace());
    let home = Home::behind(after.path(), &recorder, history_events);
    checks::is_one_of(&home.open().unwrap(), &end)
        .unwrap_or_else(|why| panic!("after a power failure, {wrong:?} at {n}: {why}"));
    failed
}

/// Tries every `stride`-th n until there are no more.
fn for_every(stride: usize, least: u64, wrong: Wrong) {
    in_each(None, stride, least, wrong);
}

fn in_each(history_events: Option<u64>, stride: usize, least: u64, wrong: Wrong) {
    let pictures = pictures(history_events);
    let live = |n: &u64| live_with_one_failure(&pictures, history_events, *n, wrong);
    let tried = (0..).step_by(stride).take_while(live).count();
    let failing = (tried * stride) as u64;
    eprintln!("{wrong:?}: {tried} of about {failing} operations failed");
    assert!(failing > least, "only {failing} operations failed");
}

pub const DEAD: Failure = Failure::Device;

#[test]
fn a_write_fails_once() {
    for_every(23, 100, Wrong::Fails(Among::Writes, Failure::HalfThenFull));
}

#[test]
fn a_sync_fails_once() {
    for_every(5, 30, Wrong::Fails(Among::Syncs, DEAD));
}

#[test]
fn an_open_fails_once() {
    for_every(5, 10, Wrong::Fails(Among::Opens, DEAD));
}

#[test]
fn a_read_fails_once() {
    for_every(29, 60, Wrong::Unread);
}

#[test]
fn a_write_or_a_read_fails_once_while_history_ends() {
    in_each(
        HISTORY_EVENTS,
        37,
        100,
        Wrong::Fails(Among::Writes, Failure::HalfThenFull),
    );
    in_each(HISTORY_EVENTS, 31, 60, Wrong::Unread);
}

/// Every one, or where there is less time only some of them: `TREERING_TEST_STRIDE`.
pub fn each() -> usize {
    let said = std::env::var("TREERING_TEST_STRIDE");
    said.map_or(1, |stride| stride.parse().unwrap())
}

#[test]
#[ignore = "takes minutes"]
fn any_read_fails_once_while_history_ends() {
    in_each(HISTORY_EVENTS, each(), 60, Wrong::Unread);
}

#[test]
#[ignore = "takes minutes"]
fn any_operation_fails_once() {
    for_every(each(), 200, Wrong::Fails(Among::All, DEAD));
}

#[test]
#[ignore = "takes minutes"]
fn any_write_meets_a_full_disk() {
    for_every(
        each(),
        100,
        Wrong::Fails(Among::Writes, Failure::HalfThenFull),
    );
}

#[test]
#[ignore = "takes minutes"]
fn any_read_fails_once() {
    for_every(each(), 60, Wrong::Unread);
}
