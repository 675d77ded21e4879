//! The layer that a test puts under a store: writes everything down, and fails or spoils what it is told to.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Dice;
use super::trace::{Event, Trace};
use crate::embedded::{DiskLayer, FileOp, Verdict};

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The device does not answer: any operation may fail so.
    Device,
    /// No room: only what takes room fails so (a write, a file or directory that is made).
    Full,
    /// As `Full`, but a write gets half of its bytes in.
    HalfThenFull,
}

impl Failure {
    fn concerns(self, op: &FileOp<'_>) -> bool {
        self == Self::Device
            || matches!(
                op,
                FileOp::Write { .. }
                    | FileOp::MakeDirectory { .. }
                    | FileOp::Open { create: true, .. }
            )
    }

    fn verdict(self) -> Verdict {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        match self {
            Self::Device => Verdict::Fail(io::Error::other("the device does not answer")),
            Self::Full => Verdict::Fail(full()),
            Self::HalfThenFull => Verdict::Half(full()),
        }
    }
}

/// Which operations are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Among {
    /// All but reads.
    All,
    /// Writes of bytes.
    Writes,
    /// Syncs of files and directories.
    Syncs,
    /// Opens of files, of those that are there too.
    Opens,
}

impl Among {
    fn has(self, op: &FileOp<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Writes => matches!(op, FileOp::Write { .. }),
            Self::Syncs => matches!(op, FileOp::Sync { .. } | FileOp::SyncDirectory { .. }),
            Self::Opens => matches!(op, FileOp::Open { .. }),
        }
    }
}

/// What a disk gives for bytes that it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRead {
    /// Nothing: the device does not answer.
    Device,
    /// The bytes, one bit of them the other way; which one follows from the seed.
    Flip(u64),
}

/// Which reads go wrong.
#[derive(Clone, Copy, Debug)]
struct ReadPlan {
    bad: BadRead,
    after: u64,
    lasting: bool,
}

/// How many operations were asked for, those that failed too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    /// All but reads.
    pub changes: u64,
    /// Of them, writes of bytes.
    pub writes: u64,
    /// Of them, syncs.
    pub syncs: u64,
    /// Of them, opens of files.
    pub opens: u64,
    /// Reads.
    pub reads: u64,
}

/// Which operations fail.
#[derive(Clone, Copy, Debug)]
struct Plan {
    failure: Failure,
    among: Among,
    /// So many that could fail are let through first.
    after: u64,
    /// All from then on, not only one.
    lasting: bool,
}

type Rule = Box<dyn Fn(&Path) -> bool + Send + Sync>;

#[derive(Default)]
struct State {
    trace: Trace,
    plan: Option<Plan>,
    reads: Option<ReadPlan>,
    failed: u64,
    asked: Operations,
    /// Paths (relative to the root) whose syncs are left out.
    unsynced: Option<Rule>,
    /// Syncs are answered as done, and count as done, without troubling the disk.
    quick: bool,
    /// Nothing is written down.
    forgetful: bool,
}

/// Records what a store does to its files below one directory.
pub struct Recorder {
    root: PathBuf,
    state: Mutex<State>,
}

impl Recorder {
    /// Records what happens below `root`, an existing directory: the store's own, or one above it.
    /// Errors: the system's, if there is none.
    pub fn new(root: &Path) -> io::Result<Self> {
        Ok(Self {
            root: root.canonicalize()?,
            state: Mutex::default(),
        })
    }

    /// Fails as it is told, and writes nothing down, so that it may stand under a store for long.
    pub fn without_trace() -> Self {
        Self {
            root: PathBuf::new(),
            state: Mutex::new(State {
                forgetful: true,
                ..State::default()
            }),
        }
    }

    /// Syncs that the plan lets through count as done, but the real disk is not asked: the images are as
    /// true, and tests are quick.
    pub fn skip_real_syncs(&self) {
        self.state().quick = true;
    }

    /// From now on the disk forgets: syncs of the paths that `rule` names are answered as done, and
    /// nothing is synced. Paths are relative to the root.
    pub fn forget_syncs(&self, rule: impl Fn(&Path) -> bool + Send + Sync + 'static) {
        self.state().unsynced = Some(Box::new(rule));
    }

    /// Lets `after` operations pass that could fail so, then fails one.
    pub fn fail_once(&self, after: u64, failure: Failure) {
        self.fail(Among::All, after, failure, false);
    }

    /// Lets `after` operations pass that could fail so, then fails all until [`Recorder::heal`].
    pub fn fail_from(&self, after: u64, failure: Failure) {
        self.fail(Among::All, after, failure, true);
    }

    /// Lets `after` operations of that kind pass that could fail so, then fails one, or (`lasting`) all
    /// until [`Recorder::heal`]. One plan at a time: the newest counts.
    pub fn fail(&self, among: Among, after: u64, failure: Failure, lasting: bool) {
        self.state().plan = Some(Plan {
            failure,
            among,
            after,
            lasting,
        });
    }

    /// Lets `after` reads pass, then spoils one, or (`lasting`) all until [`Recorder::heal`].
    pub fn spoil_reads(&self, after: u64, bad: BadRead, lasting: bool) {
        self.state().reads = Some(ReadPlan {
            bad,
            after,
            lasting,
        });
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        let mut state = self.state();
        (state.plan, state.reads) = (None, None);
    }

    /// How many operations were made to fail, and reads spoilt, so far.
    pub fn failed(&self) -> u64 {
        self.state().failed
    }

    /// How many operations the store has asked for so far.
    pub fn operations(&self) -> Operations {
        self.state().asked
    }

    /// Notes in the trace that something happened outside: a commit was submitted, or answered.
    pub fn mark(&self, mark: u64) {
        self.state().trace.push(Event::Mark(mark));
    }

    /// What happened so far.
    pub fn trace(&self) -> Trace {
        self.state().trace.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DiskLayer for Recorder {
    fn before(&self, op: &FileOp<'_>) -> Verdict {
        let mut state = self.state();
        state.asked.changes += 1;
        state.asked.writes += u64::from(Among::Writes.has(op));
        state.asked.syncs += u64::from(Among::Syncs.has(op));
        state.asked.opens += u64::from(Among::Opens.has(op));
        if let Some(plan) = &mut state.plan
            && plan.failure.concerns(op)
            && plan.among.has(op)
        {
            if plan.after > 0 {
                plan.after -= 1;
            } else {
                let verdict = plan.failure.verdict();
                if !plan.lasting {
                    state.plan = None;
                }
                state.failed += 1;
                return verdict;
            }
        }
        let (FileOp::Sync { path } | FileOp::SyncDirectory { path }) = op else {
            return Verdict::Do;
        };
        let inside = path.strip_prefix(&self.root).unwrap_or(path);
        if state.unsynced.as_ref().is_some_and(|rule| rule(inside)) {
            return Verdict::Pretend;
        }
        if state.quick {
            if !state.forgetful {
                state.trace.extend(Event::of(op, true, &self.root));
            }
            return Verdict::Pretend;
        }
        Verdict::Do
    }

    fn after(&self, op: &FileOp<'_>, done: bool) {
        let mut state = self.state();
        if !state.forgetful {
            state.trace.extend(Event::of(op, done, &self.root));
        }
    }

    fn read(&self, _path: &Path, _offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut state = self.state();
        state.asked.reads += 1;
        let Some(plan) = &mut state.reads else {
            return Ok(());
        };
        if plan.after > 0 {
            plan.after -= 1;
            return Ok(());
        }
        let bad = plan.bad;
        if !plan.lasting {
            state.reads = None;
        }
        state.failed += 1;
        match bad {
            BadRead::Device => Err(io::Error::other("the device does not answer")),
            BadRead::Flip(seed) => {
                // Another bit each time, and the same ones for the same seed.
                let mut dice = Dice(seed.wrapping_add(state.failed));
                let place = usize::try_from(dice.below(bytes.len() as u64)).unwrap_or(0);
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= 1 << dice.below(8);
                }
                Ok(())
            }
        }
    }
}
