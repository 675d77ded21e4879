//! The layer that a test puts under a store: writes everything down, and fails what it is told to fail.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

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

/// Which operations fail.
#[derive(Clone, Copy, Debug)]
struct Plan {
    failure: Failure,
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
    failed: u64,
    /// Paths (relative to the root) whose syncs are left out.
    unsynced: Option<Rule>,
    /// Syncs are answered as done, and count as done, without troubling the disk.
    quick: bool,
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
        self.plan(after, failure, false);
    }

    /// Lets `after` operations pass that could fail so, then fails all until [`Recorder::heal`].
    pub fn fail_from(&self, after: u64, failure: Failure) {
        self.plan(after, failure, true);
    }

    fn plan(&self, after: u64, failure: Failure, lasting: bool) {
        self.state().plan = Some(Plan {
            failure,
            after,
            lasting,
        });
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.state().plan = None;
    }

    /// How many operations were made to fail so far.
    pub fn failed(&self) -> u64 {
        self.state().failed
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
        if let Some(plan) = &mut state.plan
            && plan.failure.concerns(op)
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
            let event = Event::of(op, true, &self.root);
            state.trace.extend(event);
            return Verdict::Pretend;
        }
        Verdict::Do
    }

    fn after(&self, op: &FileOp<'_>, done: bool) {
        let event = Event::of(op, done, &self.root);
        self.state().trace.extend(event);
    }
}
