//! `treering.testing`'s way down: a clock, a plan of faults, a disk that fails, stores opened on them, and
//! what a power failure leaves.
//!
//! Never: a rule of its own about what may fail; the core's `faults` have it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use treering_store::faults::{
    Among, BadRead, Call, Cuts, Event, Failure, Fault, Faults, FaultyStore, Image, Loss, Recorder,
};
use treering_store::{Clock, Disk, EmbeddedStore, MemoryStore, OpenOptions, Store, StoreError};

use crate::buckets::{self, attended};
use crate::convert::{Count, Signed, Text};
use crate::error::{CoreError, Result};
use crate::store::Core;

fn unknown(what: &'static str, value: &str, rule: &'static str) -> CoreError {
    CoreError::Invalid {
        what,
        value: value.to_owned(),
        rule,
    }
}

/// A clock that stands until it is moved.
#[pyclass(frozen, name = "ClockCore", module = "treering._core")]
pub struct ClockCore(Clock);

#[pymethods]
impl ClockCore {
    #[new]
    #[pyo3(signature = (now_ms, /))]
    fn new(now_ms: Signed) -> Self {
        Self(Clock::manual(now_ms.0))
    }

    fn now_ms(&self) -> i64 {
        self.0.now_ms()
    }

    #[pyo3(signature = (now_ms, /))]
    fn set(&self, now_ms: Signed) {
        self.0.set(now_ms.0);
    }

    #[pyo3(signature = (ms, /))]
    fn advance(&self, ms: Signed) {
        self.0.advance(ms.0);
    }
}

/// Which calls of a store go wrong.
#[pyclass(frozen, name = "FaultsCore", module = "treering._core")]
pub struct FaultsCore(Faults);

const CALLS: [(&str, Call); 5] = [
    ("commit", Call::Commit),
    ("read", Call::Read),
    ("lease", Call::Lease),
    ("hold", Call::Hold),
    ("gc", Call::Gc),
];

fn call_of(name: &str) -> Result<Call> {
    let found = CALLS.iter().find(|(known, _)| *known == name);
    found
        .map(|(_, call)| *call)
        .ok_or_else(|| unknown("call", name, "it is one of commit, read, lease, hold, gc"))
}

#[pymethods]
impl FaultsCore {
    #[new]
    fn new() -> Self {
        Self(Faults::default())
    }

    /// `kind`: that of an error.
    #[pyo3(signature = (call, kind, nth, times, landed))]
    fn fail(
        &self,
        call: Text,
        kind: Text,
        nth: Count,
        times: Option<Count>,
        landed: bool,
    ) -> Result<()> {
        let fault = match &*kind {
            "disk-full" => Fault::DiskFull,
            "unavailable" => Fault::Device,
            "lock-timeout" => Fault::LockTimeout,
            "poisoned" => Fault::Poisoned,
            "commit-unknown" => Fault::CommitUnknown { landed },
            "lease-lost" => Fault::LeaseLost,
            "corrupt" => Fault::Corrupt,
            other => {
                return Err(unknown(
                    "error",
                    other,
                    "what can be planned is DiskFull, Unavailable, LockTimeout, Poisoned, CommitUnknown, LeaseLost \
                     and Corrupt",
                ));
            }
        };
        Ok(self
            .0
            .plan(call_of(&call)?, fault, nth.0, times.map(|times| times.0))?)
    }

    #[pyo3(signature = (call, ms, nth, times))]
    fn delay(&self, call: Text, ms: Count, nth: Count, times: Option<Count>) -> Result<()> {
        let slow = Fault::Slow(Duration::from_millis(ms.0));
        Ok(self
            .0
            .plan(call_of(&call)?, slow, nth.0, times.map(|times| times.0))?)
    }

    fn heal(&self) {
        self.0.heal();
    }

    #[pyo3(signature = (call, /))]
    fn calls(&self, call: Text) -> Result<u64> {
        Ok(self.0.calls(call_of(&call)?))
    }

    fn injected(&self) -> u64 {
        self.0.injected()
    }
}

/// A disk that fails as told, and may write down what happened on it.
#[pyclass(frozen, name = "DiskCore", module = "treering._core")]
pub struct DiskCore(Arc<Recorder>);

#[pymethods]
impl DiskCore {
    /// `records`: the directory below which everything is written down; None: nothing is. `syncs`: whether the
    /// real disk is asked to sync, or a sync only counts as done.
    #[new]
    #[pyo3(signature = (records, syncs))]
    fn new(records: Option<PathBuf>, syncs: bool) -> Result<Self> {
        let recorder = match records {
            None => Recorder::without_trace(),
            Some(root) => Recorder::new(&root).map_err(|error| StoreError::Io {
                action: "open",
                path: root.display().to_string(),
                source: Arc::new(error),
            })?,
        };
        if !syncs {
            recorder.skip_real_syncs();
        }
        Ok(Self(Arc::new(recorder)))
    }

    /// `failure`: device, or full (the first half of a write gets in).
    #[pyo3(signature = (among, failure, after, lasting))]
    fn fail(&self, among: Text, failure: Text, after: Count, lasting: bool) -> Result<()> {
        let failure = match &*failure {
            "device" => Failure::Device,
            "full" => Failure::HalfThenFull,
            other => return Err(unknown("failure", other, "it is one of device, full")),
        };
        let among = match &*among {
            "change" => Among::All,
            "open" => Among::Opens,
            "write" => Among::Writes,
            "sync" if failure == Failure::Device => Among::Syncs,
            "sync" => {
                return Err(unknown(
                    "failure",
                    "full",
                    "a sync takes no room; it fails with Unavailable",
                ));
            }
            "read" if failure == Failure::Device => {
                self.0.spoil_reads(after.0, BadRead::Device, lasting);
                return Ok(());
            }
            "read" => {
                return Err(unknown(
                    "failure",
                    "full",
                    "a read takes no room; it fails with Unavailable",
                ));
            }
            other => {
                return Err(unknown(
                    "operation",
                    other,
                    "it is one of change, open, write, sync, read",
                ));
            }
        };
        self.0.fail(among, after.0, failure, lasting);
        Ok(())
    }

    #[pyo3(signature = (seed, after, lasting))]
    fn flip(&self, seed: Count, after: Count, lasting: bool) {
        self.0.spoil_reads(after.0, BadRead::Flip(seed.0), lasting);
    }

    fn heal(&self) {
        self.0.heal();
    }

    fn failed(&self) -> u64 {
        self.0.failed()
    }

    fn operations<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        let asked = self.0.operations();
        let object = PyDict::new(py);
        for (name, count) in [
            ("change", asked.changes),
            ("open", asked.opens),
            ("write", asked.writes),
            ("sync", asked.syncs),
            ("read", asked.reads),
        ] {
            object.set_item(name, count)?;
        }
        Ok(object)
    }

    #[pyo3(signature = (mark, /))]
    fn mark(&self, mark: Count) {
        self.0.mark(mark.0);
    }

    /// The moments of what was written down so far.
    fn cuts(&self) -> CutsCore {
        CutsCore(Mutex::new(Cuts::new(Image::new(), self.0.trace())))
    }
}

/// Goes from moment to moment of what was written down.
#[pyclass(frozen, name = "CutsCore", module = "treering._core")]
pub struct CutsCore(Mutex<Cuts>);

impl CutsCore {
    fn cuts(&self) -> MutexGuard<'_, Cuts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl CutsCore {
    /// (events that had happened, the last one in words, marks so far, changes that can be lost); None at
    /// the end.
    fn next(&self) -> Option<(usize, String, Vec<u64>, usize)> {
        let mut cuts = self.cuts();
        let cut = cuts.next_cut()?;
        Some((
            cut.after,
            in_words(cut.event),
            cut.marks.to_vec(),
            cut.image.losable(),
        ))
    }

    /// Writes what the disk holds after a power failure at this moment into an empty directory.
    #[pyo3(signature = (loss, seed, into))]
    fn materialise(&self, py: Python<'_>, loss: Text, seed: Count, into: PathBuf) -> Result<()> {
        let loss = match &*loss {
            "all" => Loss::All,
            "nothing" => Loss::Nothing,
            "random" => Loss::Random(seed.0),
            "torn" => Loss::Torn(seed.0),
            other => {
                return Err(unknown(
                    "loss",
                    other,
                    "it is one of all, nothing, random, torn",
                ));
            }
        };
        let written = py.detach(|| self.cuts().image().materialise(loss, &into));
        Ok(written.map_err(|error| StoreError::Io {
            action: "write",
            path: into.display().to_string(),
            source: Arc::new(error),
        })?)
    }
}

fn in_words(event: &Event) -> String {
    match event {
        Event::Open(path) => format!("open {}", path.display()),
        Event::Write {
            path,
            offset,
            bytes,
        } => format!(
            "write {} bytes at {offset} of {}",
            bytes.len(),
            path.display()
        ),
        Event::SetLength { path, length } => format!("cut {} to {length}", path.display()),
        Event::Sync(path) => format!("sync {}", path.display()),
        Event::SyncFailed(path) => format!("failed sync of {}", path.display()),
        Event::SyncDirectory(path) => format!("sync directory {}", path.display()),
        Event::MakeDirectory(path) => format!("make directory {}", path.display()),
        Event::Rename { from, to } => format!("rename {} to {}", from.display(), to.display()),
        Event::Remove(path) => format!("remove {}", path.display()),
        Event::Mark(_) => "mark".to_owned(),
    }
}

fn behind(store: Arc<dyn Store>, faults: Option<PyRef<'_, FaultsCore>>) -> Arc<dyn Store> {
    match faults {
        Some(faults) => Arc::new(FaultyStore::new(store, faults.0.clone())),
        None => store,
    }
}

fn clock_of(clock: Option<PyRef<'_, ClockCore>>) -> Clock {
    clock.map_or_else(Clock::system, |clock| clock.0.clone())
}

/// As `Core.open`, on a clock, a disk and a plan of faults of the caller's.
#[pyfunction]
#[pyo3(signature = (path, create, read_only, lock_wait_ms, automatic_gc, clock, disk, faults, blobs))]
#[allow(clippy::too_many_arguments, reason = "they have names in Python")]
pub fn open_for_test(
    py: Python<'_>,
    path: Text,
    create: bool,
    read_only: bool,
    lock_wait_ms: Count,
    automatic_gc: bool,
    clock: Option<PyRef<'_, ClockCore>>,
    disk: Option<PyRef<'_, DiskCore>>,
    faults: Option<PyRef<'_, FaultsCore>>,
    blobs: Option<Text>,
) -> Result<Core> {
    let options = OpenOptions {
        create,
        read_only,
        lock_wait: Duration::from_millis(lock_wait_ms.0),
        callers_wait: true,
        automatic_gc,
        clock: clock_of(clock),
        disk: disk.map_or_else(Disk::system, |disk| {
            Disk::behind(Arc::clone(&disk.0) as Arc<_>)
        }),
        blobs: buckets::given(blobs.as_deref())?,
        connect: Some(buckets::open),
        ..OpenOptions::default()
    };
    let store = Arc::new(attended(py, || EmbeddedStore::open(&*path, &options))??);
    if !store.stands_on(&options.clock, &options.disk) {
        return Err(unknown(
            "store",
            &store.location(),
            "it is open in this process on another clock or disk; close that first",
        ));
    }
    let front = behind(Arc::clone(&store) as Arc<dyn Store>, faults);
    Ok(Core::of(front, Some(store)))
}

/// As `Core.memory`, on a clock and a plan of faults of the caller's.
#[pyfunction]
#[pyo3(signature = (clock, faults))]
pub fn memory_for_test(
    clock: Option<PyRef<'_, ClockCore>>,
    faults: Option<PyRef<'_, FaultsCore>>,
) -> Core {
    let store = Arc::new(MemoryStore::with_clock(clock_of(clock)));
    Core::of(behind(store, faults), None)
}
