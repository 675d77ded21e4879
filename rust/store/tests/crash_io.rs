//! Operations of the disk that fail: each one of a scripted life, once and for good.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod crash;

use std::path::PathBuf;
use std::sync::Arc;

use crash::life::{Act, LIFE, Living};
use crash::{ABOVE, Wrong, behind, is_one_of, picture, recorder};
use treering_store::faults::{Failure, Image, Loss, Recorder};
use treering_store::{OpenOptions, StoreError};

/// The states of a life in which nothing fails; the first: nothing done yet.
fn pictures() -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    let recorder = recorder(root.path());
    let (path, options) = (root.path().join(ABOVE).join("store"), behind(&recorder));
    let mut living = Living::begin(&path, &options).unwrap();
    let mut pictures = vec![picture(living.store()).unwrap()];
    for act in LIFE {
        living.act(*act, &path, &options, None).unwrap();
        pictures.push(picture(living.store()).unwrap());
    }
    pictures
}

/// A life on a disk that fails.
struct Trial<'p> {
    _root: tempfile::TempDir,
    path: PathBuf,
    recorder: Arc<Recorder>,
    options: OpenOptions,
    pictures: &'p [String],
    living: Option<Living>,
    /// The state that was answered as durable last.
    durable: usize,
}

impl<'p> Trial<'p> {
    fn new(pictures: &'p [String]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let recorder = recorder(root.path());
        Self {
            path: root.path().join(ABOVE).join("store"),
            options: behind(&recorder),
            _root: root,
            recorder,
            pictures,
            living: None,
            durable: 0,
        }
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        self.living = None;
        self.living = Some(Living::begin(&self.path, &self.options)?);
        Ok(())
    }

    /// Opens the store, after failures once more; whatever fails does so with a fitting error.
    fn reopen(&mut self) {
        if let Err(error) = self.begin() {
            assert_fits(&error, "open");
            self.begin().unwrap();
        }
    }

    /// Asserts that the store is in one of these states; which one.
    fn assert_state(&self, from: usize, to: usize, when: &str) -> usize {
        let allowed: Vec<&str> = self.pictures[from..=to]
            .iter()
            .map(String::as_str)
            .collect();
        let store = self.living.as_ref().unwrap().store();
        from + is_one_of(store, &allowed).unwrap_or_else(|why| panic!("{when}: {why}"))
    }

    /// Does an act that may fail, again if it did; asserts after each failure that nothing is half-done.
    fn act(&mut self, at: usize, act: Act) {
        let mut tries = 0;
        loop {
            tries += 1;
            assert!(tries < 4, "{act:?} never succeeds");
            let Some(living) = &mut self.living else {
                self.reopen();
                continue;
            };
            let Err(error) = living.act(act, &self.path, &self.options, None) else {
                break;
            };
            assert_fits(&error, &format!("{act:?}"));
            let when = format!("{act:?} answered {error}");
            match error {
                _ if act == Act::Reopen => self.reopen(),
                // A sync of the log failed in the checkpoint after the last act.
                StoreError::Poisoned { .. } => {
                    self.reopen();
                    self.assert_state(at, at, &when);
                }
                StoreError::CommitUnknown { .. } => {
                    let again = living.act(Act::Put(77), &self.path, &self.options, None);
                    assert!(
                        matches!(again, Err(StoreError::Poisoned { .. })),
                        "{when}, then {again:?}"
                    );
                    self.reopen();
                    // A lease that was given back is nobody's in this process, whether that is stored or not.
                    if self.assert_state(at, at + 1, &when) == at + 1 && act != Act::Release {
                        break;
                    }
                }
                _ => {
                    self.assert_state(at, at + usize::from(act == Act::Release), &when);
                }
            }
        }
        if tries > 1 {
            self.assert_state(at + 1, at + 1, &format!("{act:?} done at last"));
        }
        if act.is_durable() {
            self.durable = at + 1;
        }
    }

    /// Lets the power fail, and asserts that the states from the last durable one to `most` are what
    /// can be left.
    fn assert_after_power_failure(&self, most: usize, when: &str) {
        let image = Image::new().after(&self.recorder.trace());
        let allowed: Vec<&str> = self.pictures[self.durable..=most]
            .iter()
            .map(String::as_str)
            .collect();
        for loss in [Loss::All, Loss::Nothing, Loss::Random(1)] {
            if let Err(why) = crash::crash(&image, loss, &allowed) {
                panic!("{when}, then the power failed: {why}");
            }
        }
    }
}

/// An error that tells a caller what to do.
fn assert_fits(error: &StoreError, when: &str) {
    let fits = matches!(
        error,
        StoreError::DiskFull
            | StoreError::Io { .. }
            | StoreError::CommitUnknown { .. }
            | StoreError::Poisoned { .. }
    );
    assert!(fits, "{when} answered {error:?}");
}

/// Lives the whole life with the `n`-th operation failing. False: there are not so many.
fn live_with_one_failure(pictures: &[String], n: u64, wrong: Wrong) -> bool {
    let mut trial = Trial::new(pictures);
    wrong.plan(&trial.recorder, n, false);
    trial.reopen();
    for (at, act) in LIFE.iter().enumerate() {
        trial.act(at, *act);
    }
    let failed = trial.recorder.failed() > 0;
    // What comes now is the test's own.
    trial.recorder.heal();
    trial.assert_state(LIFE.len(), LIFE.len(), &format!("{wrong:?} at {n}"));
    trial.living = None;
    trial.assert_after_power_failure(LIFE.len(), &format!("{wrong:?} at {n}"));
    failed
}

/// Lives until the disk fails for good at the `n`-th operation, ends, and goes on with another disk.
fn live_until_failure(pictures: &[String], n: u64, wrong: Wrong) -> bool {
    let mut trial = Trial::new(pictures);
    wrong.plan(&trial.recorder, n, true);
    let when = format!("{wrong:?} from {n} on");
    let mut done = 0;
    if let Err(error) = trial.begin() {
        assert_fits(&error, "open");
    } else {
        for act in LIFE {
            let living = trial.living.as_mut().unwrap();
            match living.act(*act, &trial.path, &trial.options, None) {
                Ok(()) => done += 1,
                Err(error) => {
                    assert_fits(&error, &format!("{act:?}, {when}"));
                    break;
                }
            }
            if act.is_durable() {
                trial.durable = done;
            }
        }
    }
    let failed = trial.recorder.failed() > 0;
    if done > 0
        && !matches!(wrong, Wrong::Fails(Failure::Device) | Wrong::Unread)
        && trial
            .living
            .as_ref()
            .is_some_and(|living| living.store.is_some())
    {
        // A full disk can be read. A lease that was given back is nobody's in this process.
        let given_back = usize::from(LIFE.get(done) == Some(&Act::Release));
        trial.assert_state(done, done + given_back, &when);
    }
    trial.living = None;
    let most = (done + 1).min(LIFE.len());
    trial.assert_after_power_failure(most, &when);
    trial.recorder.heal();
    trial.begin().unwrap();
    trial.assert_state(done, most, &format!("{when}, healed"));
    trial.living = None;
    trial.assert_after_power_failure(most, &format!("{when}, healed"));
    failed
}

/// Tries every n until there are no more; in a quick run only each `stride`-th.
fn for_every(stride: usize, least: u64, mut live: impl FnMut(u64) -> bool) {
    let mut count = 0;
    for n in (0..).step_by(stride) {
        if !live(n) {
            break;
        }
        count = n + 1;
    }
    assert!(count > least, "only {count} operations failed");
}

#[test]
fn any_operation_fails_once_with_a_dead_device() {
    let pictures = pictures();
    for_every(1, 150, |n| {
        live_with_one_failure(&pictures, n, Wrong::Fails(Failure::Device))
    });
}

#[test]
fn any_operation_fails_once_with_a_full_disk() {
    let pictures = pictures();
    for_every(1, 80, |n| {
        live_with_one_failure(&pictures, n, Wrong::Fails(Failure::HalfThenFull))
    });
}

#[test]
fn the_device_dies_for_good_at_any_operation() {
    let pictures = pictures();
    for_every(1, 150, |n| {
        live_until_failure(&pictures, n, Wrong::Fails(Failure::Device))
    });
}

#[test]
fn the_disk_stays_full_from_any_operation_on() {
    let pictures = pictures();
    for_every(1, 80, |n| {
        live_until_failure(&pictures, n, Wrong::Fails(Failure::Full))
    });
}

#[test]
fn a_read_fails_once() {
    let pictures = pictures();
    for_every(9, 60, |n| {
        live_with_one_failure(&pictures, n, Wrong::Unread)
    });
}

#[test]
fn nothing_can_be_read_from_a_read_on() {
    let pictures = pictures();
    for_every(9, 60, |n| live_until_failure(&pictures, n, Wrong::Unread));
}

#[test]
#[ignore = "takes minutes"]
fn any_read_fails_once_or_for_good() {
    let pictures = pictures();
    // One in three: there are many, and neighbours read the same pages.
    for_every(3, 60, |n| {
        live_with_one_failure(&pictures, n, Wrong::Unread)
    });
    for_every(3, 60, |n| live_until_failure(&pictures, n, Wrong::Unread));
}
