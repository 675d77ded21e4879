//! Backups and restores that are cut short: at every sync, by every failing operation.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod backups;
mod embedded;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backups::*;
use embedded::{bytes, command, commit, name, node, set};
use treering_block::Block;
use treering_store::faults::{BadRead, Event, Failure, Image, Loss, Recorder};
use treering_store::{
    BackupReport, Clock, Disk, EmbeddedStore, Expect, OpenOptions, Progress, Result, Store,
    StoreError, restore,
};

const NOW_MS: i64 = 1_700_000_000_000;
const PLACES: [&str; 3] = ["store", "backup", "restored"];

fn recorder(root: &Path) -> Arc<Recorder> {
    let recorder = Recorder::new(root).unwrap();
    recorder.skip_real_syncs();
    Arc::new(recorder)
}

fn options(recorder: &Arc<Recorder>) -> OpenOptions {
    OpenOptions {
        clock: Clock::manual(NOW_MS),
        checkpoint_log_bytes: 96 << 10,
        disk: Disk::behind(Arc::clone(recorder) as _),
        ..OpenOptions::default()
    }
}

/// What is done, each act ending in a state that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Write(u64),
    RemoveAndCollect,
    Backup,
    Restore,
}

const LIFE: &[Act] = &[
    Act::Write(0),
    Act::Backup,
    Act::RemoveAndCollect,
    Act::Write(1),
    Act::Backup,
    Act::Backup,
    Act::Write(2),
    Act::Backup,
    Act::Restore,
];

/// The three directories, and what works on them.
struct World {
    _root: Option<tempfile::TempDir>,
    places: [PathBuf; 3],
    recorder: Arc<Recorder>,
    options: OpenOptions,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let world = Self::at(root.path());
        Self {
            _root: Some(root),
            ..world
        }
    }

    fn at(root: &Path) -> Self {
        let recorder = recorder(root);
        Self {
            _root: None,
            places: PLACES.map(|place| root.canonicalize().unwrap().join("deep").join(place)),
            options: options(&recorder),
            recorder,
        }
    }

    fn store(&self) -> EmbeddedStore {
        EmbeddedStore::open(&self.places[0], &self.options).unwrap()
    }

    fn back_up(&self, store: &EmbeddedStore) -> Result<BackupReport> {
        store.backup(&self.places[1], &VERIFIED, &Progress::default())
    }

    fn restore(&self) -> Result<BackupReport> {
        restore(
            &self.places[1],
            &self.places[2],
            &self.options,
            &Progress::default(),
        )
    }

    /// A backup or a restore, as it can be opened: None if it is absent or refused as unfinished.
    fn found(&self, place: usize) -> Option<String> {
        let options = OpenOptions {
            create: false,
            read_only: place == 1,
            ..self.options.clone()
        };
        match EmbeddedStore::open(&self.places[place], &options) {
            Ok(store) => {
                assert_eq!(store.may_write(), place != 1);
                assert_sound(&store);
                Some(picture(&store))
            }
            Err(StoreError::NotAStore { .. }) => None,
            Err(error) => panic!("{}: {error:?}", PLACES[place]),
        }
    }

    fn act(&self, act: Act, store: &EmbeddedStore) -> Result<()> {
        match act {
            Act::Write(number) => {
                small_step(store, number);
                if number < 2 {
                    other(store, "gone", number);
                }
                Ok(())
            }
            Act::RemoveAndCollect => {
                remove(store, "gone");
                collect(store);
                Ok(())
            }
            Act::Backup => self.back_up(store).map(drop),
            Act::Restore => self.restore().map(drop),
        }
    }
}

/// A step of a thread without a large block: those take most of a test's time.
fn small_step(store: &dyn Store, number: u64) {
    let small = Block::raw(bytes(number, 700));
    let before = store.read_ref(&name("life")).unwrap();
    let mut links = vec![small.cid];
    links.extend(before.iter().map(|value| value.target));
    let top = node(&format!("step {number}"), &links);
    let mut step = commit();
    step.command = command("step", 0).map(|mut command| {
        command.id = format!("step {number}");
        command.receipt = command.id.clone().into_bytes();
        command
    });
    step.moves = vec![set(&name("life"), Expect::Any, top.cid)];
    step.blocks = vec![small, top];
    store.submit(step).wait().unwrap();
}

/// What the backup and the restored store may show at a moment.
#[derive(Clone, Default)]
struct Allowed {
    backup: Vec<Option<String>>,
    restored: Vec<Option<String>>,
}

#[test]
fn a_backup_can_end_at_any_moment() {
    let (crashes, unfinished) = end_everywhere(3, |seed| [Loss::All, Loss::Random(seed)].into());
    assert!(crashes > 40, "{crashes}");
    assert!(unfinished > 8, "{unfinished} of {crashes} were refused");
}

#[test]
#[ignore = "takes minutes"]
fn a_backup_can_end_at_any_moment_at_every_one() {
    let (crashes, unfinished) = end_everywhere(1, |seed| {
        let random = (0..4).map(|dice| Loss::Random(10 * seed + dice));
        [Loss::All, Loss::Nothing, Loss::Torn(seed)]
            .into_iter()
            .chain(random)
            .collect()
    });
    assert!(crashes > 400, "{crashes}");
    assert!(unfinished > 60, "{unfinished} of {crashes} were refused");
}

/// Lets the power fail at each `stride`-th moment of the backups and the restore of the life; how often, and
/// after how many the backup was refused as unfinished.
fn end_everywhere(stride: usize, losses: impl Fn(u64) -> Vec<Loss>) -> (u64, u64) {
    let world = World::new();
    let store = world.store();
    let mut states = vec![];
    let (mut backup, mut restored) = (None, None);
    for (number, act) in (0..).zip(LIFE) {
        world.recorder.mark(2 * number);
        let before = (backup.clone(), restored.clone());
        world.act(*act, &store).unwrap();
        match act {
            Act::Backup => backup = Some(picture(&store)),
            Act::Restore => restored.clone_from(&backup),
            _ => {}
        }
        let during = Allowed {
            backup: vec![before.0, backup.clone()],
            restored: vec![before.1, restored.clone()],
        };
        let after = Allowed {
            backup: vec![backup.clone()],
            restored: vec![restored.clone()],
        };
        states.extend([during, after]);
        world.recorder.mark(2 * number + 1);
    }
    drop(store);
    let trace = world.recorder.trace();
    let mut image = Image::new();
    let mut now: Option<(usize, Act)> = None;
    let (mut moment, mut crashes, mut unfinished) = (0, 0, 0);
    for (at, event) in trace.iter().enumerate() {
        image.apply(event);
        if let Event::Mark(mark) = event {
            let mark = usize::try_from(*mark).unwrap();
            now = Some((mark, LIFE[mark / 2]));
        }
        let Some((state, Act::Backup | Act::Restore)) = now else {
            continue;
        };
        let next = trace.get(at + 1);
        if !(next.is_none_or(Event::is_sync) || matches!(event, Event::Mark(_))) {
            continue;
        }
        moment += 1;
        if moment % stride != 0 {
            continue;
        }
        for loss in losses(at as u64) {
            crashes += 1;
            unfinished += u64::from(check_after_crash(&image, loss, &states[state]));
        }
    }
    (crashes, unfinished)
}

/// True: the backup was unfinished.
fn check_after_crash(image: &Image, loss: Loss, allowed: &Allowed) -> bool {
    let into = tempfile::tempdir().unwrap();
    image.materialise(loss, into.path()).unwrap();
    let world = World::at(into.path());
    let (backup, restored) = (world.found(1), world.found(2));
    assert!(allowed.backup.contains(&backup), "{loss:?}: {backup:#?}");
    assert!(
        allowed.restored.contains(&restored),
        "{loss:?}: {restored:#?}"
    );
    // And on.
    let store = world.store();
    assert_sound(&store);
    small_step(&store, 9);
    world
        .back_up(&store)
        .unwrap_or_else(|error| panic!("{loss:?}: {error}"));
    assert_eq!(world.found(1), Some(picture(&store)), "{loss:?}");
    if restored.is_none() {
        world
            .restore()
            .unwrap_or_else(|error| panic!("{loss:?}: {error}"));
        assert_eq!(world.found(2), Some(picture(&store)));
    }
    let blocks = store.blocks(0, usize::MAX).unwrap();
    let rows = blocks.iter().filter(|info| info.size >= 256 << 10).count();
    assert_eq!(
        files(&world.places[1]).len(),
        2 * rows,
        "no file stays behind"
    );
    backup.is_none()
}

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    Once(Failure),
    /// From then on, until the disk is another one.
    From(Failure),
    /// A read: nothing comes, once or from then on.
    Read {
        lasting: bool,
    },
}

impl World {
    fn spoil(&self, n: u64, wrong: Wrong) {
        match wrong {
            Wrong::Once(failure) => self.recorder.fail_once(n, failure),
            Wrong::From(failure) => self.recorder.fail_from(n, failure),
            Wrong::Read { lasting } => self.recorder.spoil_reads(n, BadRead::Device, lasting),
        }
    }

    /// Asserts that an error says what to do, and where: a disk that does not answer is no damage. Which place
    /// it names.
    fn place_of(&self, error: &StoreError) -> Option<usize> {
        match error {
            StoreError::DiskFull => None,
            StoreError::Io { path, .. } => {
                let named = |place: &PathBuf| Path::new(path).starts_with(place);
                let place = self.places.iter().position(named);
                // Above them is what has to be made for a first backup.
                assert!(
                    place.is_some() || self.places[0].starts_with(path),
                    "{error:?}"
                );
                place
            }
            error => panic!("{error:?}"),
        }
    }
}

/// What came of one backup or restore.
enum Came {
    /// It has not so many operations.
    Nothing,
    /// It was done all the same.
    Done,
    /// It failed, naming a file of this place.
    Failed(Option<usize>),
}

/// Spoils the `n`-th operation of one backup or restore; everything before and after goes well.
fn fail_one(which: usize, n: u64, wrong: Wrong) -> Came {
    let world = World::new();
    let store = world.store();
    let (mut backup, mut restored) = (None, None);
    let mut came = Came::Done;
    for (number, act) in LIFE.iter().enumerate() {
        if number != which {
            world.act(*act, &store).unwrap();
        } else {
            world.spoil(n, wrong);
            let answer = world.act(*act, &store);
            world.recorder.heal();
            if world.recorder.failed() == 0 {
                answer.unwrap();
                return Came::Nothing;
            }
            let done = match act {
                Act::Backup => (Some(picture(&store)), None),
                _ => (backup.clone(), backup.clone()),
            };
            let found = (world.found(1), world.found(2));
            match &answer {
                // What could not be tidied up is no reason to fail.
                Ok(()) => assert_eq!(found, done, "{act:?} {n}"),
                Err(error) => {
                    came = Came::Failed(world.place_of(error));
                    let before = (backup.clone(), restored.clone());
                    assert!(
                        found == before || found == done,
                        "{act:?} {n} {wrong:?}: {error}"
                    );
                }
            }
            // The power fails right after the answer.
            let least = if answer.is_ok() {
                &done
            } else {
                &(backup.clone(), restored.clone())
            };
            let allowed = Allowed {
                backup: vec![least.0.clone(), done.0.clone()],
                restored: vec![least.1.clone(), done.1.clone()],
            };
            let image = Image::new().after(&world.recorder.trace());
            for loss in [Loss::All, Loss::Random(n)] {
                check_after_crash(&image, loss, &allowed);
            }
            if answer.is_err() && found.1.is_none() {
                world.act(*act, &store).unwrap();
            }
        }
        match act {
            Act::Backup => backup = Some(picture(&store)),
            Act::Restore => restored.clone_from(&backup),
            _ => {}
        }
        assert_eq!(
            (world.found(1), world.found(2)),
            (backup.clone(), restored.clone())
        );
    }
    drop(store);
    let image = Image::new().after(&world.recorder.trace());
    let allowed = Allowed {
        backup: vec![backup],
        restored: vec![restored],
    };
    check_after_crash(&image, Loss::All, &allowed);
    came
}

/// Spoils each `stride`-th operation of backups and the restore of the life: the first, one that removes
/// blocks, the restore. How many failed naming the store, the backup, the restored store.
fn fail_every(stride: u64, wrong: Wrong, least: u64) -> [u64; 3] {
    let mut named = [0; 3];
    for which in [1, 4, 8] {
        let mut count = which as u64 % stride;
        loop {
            match fail_one(which, count, wrong) {
                Came::Nothing => break,
                Came::Failed(Some(place)) => named[place] += 1,
                Came::Done | Came::Failed(None) => {}
            }
            count += stride;
        }
        assert!(
            count >= least,
            "{:?}: only {count} operations failed",
            LIFE[which]
        );
    }
    named
}

#[test]
fn an_operation_of_a_backup_fails() {
    fail_every(5, Wrong::Once(Failure::Device), 20);
    fail_every(5, Wrong::Once(Failure::HalfThenFull), 8);
}

#[test]
#[ignore = "takes minutes"]
fn an_operation_of_a_backup_fails_at_every_one() {
    fail_every(1, Wrong::Once(Failure::Device), 20);
    fail_every(1, Wrong::Once(Failure::HalfThenFull), 8);
    fail_every(1, Wrong::From(Failure::Device), 20);
}

/// Each names the place whose disk it is, whether the copying reads or the reading back.
#[test]
fn a_read_of_a_backup_fails() {
    let named = fail_every(7, Wrong::Read { lasting: false }, 20);
    assert!(named.iter().all(|count| *count > 0), "{named:?}");
}

#[test]
#[ignore = "takes minutes"]
fn a_read_of_a_backup_fails_at_every_one() {
    for lasting in [false, true] {
        let named = fail_every(1, Wrong::Read { lasting }, 20);
        assert!(named.iter().all(|count| *count > 2), "{named:?}");
    }
}

#[test]
fn a_disk_that_forgets_is_found_out() {
    let world = World::new();
    world
        .recorder
        .forget_syncs(|path| path.starts_with("deep/backup"));
    let store = world.store();
    step(&store, 0);
    world.back_up(&store).unwrap();
    let image = Image::new().after(&world.recorder.trace());
    let into = tempfile::tempdir().unwrap();
    image.materialise(Loss::All, into.path()).unwrap();
    assert_eq!(World::at(into.path()).found(1), None);
}
