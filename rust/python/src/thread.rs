//! `ThreadCore`, `LeaseCore`, `StepIterator`: one thread, and what is done through its handle.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use treering_block::Cid;
use treering_thread::{ForkArgs, ForkAt, LeaseGuard, Occurrence, Step, Steps, Thread, ThreadInfo};

use crate::buckets::attended_by;
use crate::cid::PyCid;
use crate::convert::{Count, OurCid, Signed, Text, label_object};
use crate::error::{CoreError, Result};
use crate::hearing::heard;
use crate::pending::PyPending;
use crate::step::{NewStep, StepCore, step_args};
use crate::store::Core;

/// One thread of a scope; remembers the head that it last saw.
#[pyclass(frozen, name = "ThreadCore", module = "treering._core")]
pub struct ThreadCore {
    thread: Thread,
}

impl ThreadCore {
    pub fn new(thread: Thread) -> Self {
        Self { thread }
    }

    /// The object of a thread.
    pub fn object(py: Python<'_>, thread: Thread) -> PyResult<Py<PyAny>> {
        Ok(Py::new(py, Self::new(thread))?.into_any())
    }

    pub fn thread(&self) -> &Thread {
        &self.thread
    }
}

#[pymethods]
impl ThreadCore {
    #[getter]
    fn id(&self) -> &str {
        self.thread.id()
    }

    #[getter]
    fn scope(&self) -> &str {
        self.thread.scope()
    }

    /// Looks at the thread as it is now.
    fn refresh(&self, py: Python<'_>) -> Result<()> {
        Ok(py.detach(|| self.thread.refresh())?)
    }

    /// What was last seen, by name. Reads nothing.
    fn info<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        let info = py.detach(|| self.thread.info());
        Ok(info_object(py, &info)?)
    }

    /// The start node's name. At most two reads, once.
    fn start(&self, py: Python<'_>) -> Result<PyCid> {
        Ok(PyCid::ours(py.detach(|| self.thread.start_cid())?))
    }

    #[pyo3(signature = (step, expected_head, command_id))]
    fn append(
        &self,
        py: Python<'_>,
        step: NewStep,
        expected_head: Option<OurCid>,
        command_id: Option<Text>,
    ) -> Result<PyPending> {
        let (pending, landing) = attended_by(py, self.thread.store(), || {
            let (mut step, landing) = step.with_blocks(&self.thread.shared_store())?;
            step.expected_head = expected_head.map(|OurCid(cid)| cid);
            step.command_id = command_id.map(|Text(id)| id);
            Ok::<_, CoreError>((self.thread.append(step)?, landing))
        })??;
        Ok(PyPending::of(pending, StepCore::object).carrying(landing))
    }

    #[pyo3(signature = (steps, command_id))]
    fn extend(
        &self,
        py: Python<'_>,
        steps: Vec<NewStep>,
        command_id: Option<Text>,
    ) -> Result<PyPending> {
        let (mut steps, carried) = step_args(steps);
        let (pending, landing) = attended_by(py, self.thread.store(), || {
            let (blocks, landing) = carried.blocks(&self.thread.shared_store())?;
            if let Some(first) = steps.first_mut() {
                first.blocks = blocks;
            }
            let pending = self.thread.extend(steps, command_id.as_deref())?;
            Ok::<_, CoreError>((pending, landing))
        })??;
        let pending = PyPending::of(pending, |py, steps| {
            Ok(StepCore::objects(py, steps)?.into_pyobject(py)?.unbind())
        });
        Ok(pending.carrying(landing))
    }

    #[pyo3(signature = (return_code, summary, command_id))]
    fn finish(
        &self,
        py: Python<'_>,
        return_code: Signed,
        summary: Text,
        command_id: Option<Text>,
    ) -> Result<PyPending> {
        let pending = py.detach(|| {
            self.thread
                .finish(return_code.0, &summary, command_id.as_deref())
        })?;
        Ok(PyPending::of(pending, StepCore::object))
    }

    #[pyo3(signature = (error, command_id))]
    fn fail(&self, py: Python<'_>, error: Text, command_id: Option<Text>) -> Result<PyPending> {
        let pending = py.detach(|| self.thread.fail(&error, command_id.as_deref()))?;
        Ok(PyPending::of(pending, StepCore::object))
    }

    #[pyo3(signature = (reason, command_id))]
    fn cancel(&self, py: Python<'_>, reason: Text, command_id: Option<Text>) -> Result<PyPending> {
        let pending = py.detach(|| self.thread.cancel(&reason, command_id.as_deref()))?;
        Ok(PyPending::of_nothing(pending))
    }

    #[pyo3(signature = (summary, role, command_id))]
    fn compact(
        &self,
        py: Python<'_>,
        summary: &Bound<'_, PyAny>,
        role: Text,
        command_id: Option<Text>,
    ) -> Result<PyPending> {
        let summary = NewStep::summary(role, summary)?;
        let (pending, landing) = attended_by(py, self.thread.store(), || {
            let (mut summary, landing) = summary.with_blocks(&self.thread.shared_store())?;
            summary.command_id = command_id.map(|Text(id)| id);
            Ok::<_, CoreError>((self.thread.compact(summary)?, landing))
        })??;
        Ok(PyPending::of(pending, StepCore::object).carrying(landing))
    }

    #[pyo3(signature = (at, before, occurrence, key, labels, max_rounds, command_id))]
    #[expect(
        clippy::too_many_arguments,
        reason = "the arguments of the verb, once, as Python gives them"
    )]
    fn fork(
        &self,
        py: Python<'_>,
        at: Option<Count>,
        before: Option<Text>,
        occurrence: &Bound<'_, PyAny>,
        key: Option<Text>,
        labels: Option<Bound<'_, PyAny>>,
        max_rounds: Option<Count>,
        command_id: Option<Text>,
    ) -> Result<PyPending> {
        let place = fork_place(at, before, occurrence)?;
        let args = ForkArgs {
            max_rounds: max_rounds.map(|Count(rounds)| rounds),
            key: key.map(|Text(key)| key),
            labels: crate::convert::labels(labels.as_ref())?,
            command_id: command_id.map(|Text(id)| id),
        };
        let pending = py.detach(|| self.thread.fork(place, args))?;
        Ok(PyPending::of(pending, Self::object))
    }

    #[pyo3(signature = (force, command_id))]
    fn rm(&self, py: Python<'_>, force: bool, command_id: Option<Text>) -> Result<PyPending> {
        let pending = py.detach(|| self.thread.rm(force, command_id.as_deref()))?;
        Ok(PyPending::of_nothing(pending))
    }

    /// The step that the last failure wrote beside the chain.
    fn failure(&self, py: Python<'_>) -> Result<Option<Py<PyAny>>> {
        let failed = py.detach(|| self.thread.failure())?;
        Ok(failed.map(|step| StepCore::object(py, step)).transpose()?)
    }

    #[pyo3(signature = (number))]
    fn at(&self, py: Python<'_>, number: Count) -> Result<Py<PyAny>> {
        let step = py.detach(|| self.thread.at(number.0))?;
        Ok(StepCore::object(py, step)?)
    }

    /// Steps `first` to `last`, both included, None for the newest.
    #[pyo3(signature = (first, last, reverse))]
    fn walk(
        &self,
        py: Python<'_>,
        first: Count,
        last: Option<Count>,
        reverse: bool,
    ) -> StepIterator {
        let (first, last) = (first.0.max(1), last.map(|Count(last)| last));
        // Even what was last seen is behind a lock that an append may hold.
        let walk = py.detach(|| match reverse {
            true => {
                let newest = self.thread.len();
                Walk::Back {
                    thread: self.thread.clone(),
                    first,
                    next: last.map_or(newest, |last| last.min(newest)),
                    chunk: Vec::new(),
                }
            }
            false => Walk::Forth(self.thread.walk(first, last)),
        });
        StepIterator(Mutex::new(walk))
    }

    /// (start, steps in order, content node that stands for what was before them).
    #[pyo3(signature = (last))]
    fn context(
        &self,
        py: Python<'_>,
        last: Option<Count>,
    ) -> Result<(PyCid, Vec<Py<StepCore>>, Option<PyCid>)> {
        let context = py.detach(|| self.thread.context(last.map(|Count(last)| last)))?;
        let steps = StepCore::objects(py, context.steps)?;
        Ok((
            PyCid::ours(context.start),
            steps,
            context.compact.map(PyCid::ours),
        ))
    }

    #[pyo3(signature = (owner))]
    fn lease(&self, py: Python<'_>, owner: Text) -> Result<LeaseCore> {
        let guard = heard(py, || self.thread.lease(&owner))??;
        Ok(LeaseCore {
            token: guard.token(),
            guard: Mutex::new(Some(guard)),
        })
    }

    fn __repr__(&self) -> String {
        format!("<ThreadCore {}>", self.thread.id())
    }
}

/// Where a fork begins, from the three ways to say it.
pub fn fork_place(
    at: Option<Count>,
    before: Option<Text>,
    occurrence: &Bound<'_, PyAny>,
) -> Result<ForkAt> {
    match (at, before) {
        (Some(_), Some(role)) => Err(CoreError::Invalid {
            what: "before",
            value: role.0,
            rule: "a fork is given `at` or `before`, not both",
        }),
        (Some(Count(step)), None) => Ok(ForkAt::Step(step)),
        (None, None) => Ok(ForkAt::Head),
        (None, Some(Text(role))) => Ok(ForkAt::Before {
            role,
            occurrence: which(occurrence)?,
        }),
    }
}

fn which(occurrence: &Bound<'_, PyAny>) -> Result<Occurrence> {
    if !occurrence.is_instance_of::<PyString>() {
        return Ok(Occurrence::Nth(occurrence.extract::<Count>()?.0));
    }
    match &*occurrence.extract::<Text>()? {
        "first" => Ok(Occurrence::First),
        "last" => Ok(Occurrence::Last),
        other => Err(CoreError::Invalid {
            what: "occurrence",
            value: other.to_owned(),
            rule: "it is first, last or a number from 1",
        }),
    }
}

/// What is known about a thread, by name.
pub fn info_object<'py>(py: Python<'py>, info: &ThreadInfo) -> PyResult<Bound<'py, PyDict>> {
    let ThreadInfo {
        id,
        key,
        workflow,
        status,
        created_at_ms,
        updated_at_ms,
        completed_at_ms,
        forked_from,
        max_rounds,
        labels,
        head,
        steps,
        return_code,
        error,
        lease_owner,
    } = info;
    let label_objects = PyDict::new(py);
    for (name, label) in labels {
        label_objects.set_item(name, label_object(py, label)?)?;
    }
    let seen = PyDict::new(py);
    seen.set_item("id", id)?;
    seen.set_item("key", key)?;
    seen.set_item("workflow", workflow)?;
    seen.set_item("status", status.as_str())?;
    seen.set_item("labels", label_objects)?;
    seen.set_item("created_at_ms", created_at_ms)?;
    seen.set_item("updated_at_ms", updated_at_ms)?;
    seen.set_item("completed_at_ms", completed_at_ms)?;
    seen.set_item(
        "forked_from",
        forked_from.as_ref().map(|(thread, step)| (thread, step)),
    )?;
    seen.set_item("max_rounds", max_rounds)?;
    seen.set_item("head", PyCid::ours(*head))?;
    seen.set_item("steps", steps)?;
    seen.set_item("return_code", return_code)?;
    seen.set_item("error", error)?;
    seen.set_item("lease_owner", lease_owner)?;
    Ok(seen)
}

/// A lease that is held until it is released.
#[pyclass(frozen, name = "LeaseCore", module = "treering._core")]
pub struct LeaseCore {
    #[pyo3(get)]
    token: u64,
    guard: Mutex<Option<LeaseGuard>>,
}

#[pymethods]
impl LeaseCore {
    /// Gives it back; nothing happens if it was lost or given back before.
    fn release(&self, py: Python<'_>) -> Result<()> {
        let guard = self
            .guard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        Ok(heard(py, || guard.map_or(Ok(()), LeaseGuard::release))??)
    }
}

impl Drop for LeaseCore {
    /// What nobody gave back is, and that may wait for another process: nobody else in this one does.
    fn drop(&mut self) {
        let guard = self
            .guard
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if guard.is_some() {
            Python::try_attach(|py| py.detach(|| drop(guard)));
        }
    }
}

/// A walk under way.
enum Walk {
    Forth(Steps),
    /// The chunks of a forward walk, from the newest to the oldest.
    Back {
        thread: Thread,
        first: u64,
        /// The newest step that is not in `chunk` nor given out; below `first` at the end.
        next: u64,
        /// In order, so that the next one to give out is the last.
        chunk: Vec<Step>,
    },
}

/// Steps read backwards at once.
const CHUNK_STEPS: u64 = 256;

impl Walk {
    fn step(&mut self) -> Result<Option<Step>> {
        match self {
            Self::Forth(steps) => Ok(steps.next().transpose()?),
            Self::Back {
                thread,
                first,
                next,
                chunk,
            } => {
                if chunk.is_empty() && *next >= *first {
                    let from = next.saturating_sub(CHUNK_STEPS - 1).max(*first);
                    *chunk = thread.walk(from, Some(*next)).collect::<Result<_, _>>()?;
                    *next = from - 1;
                }
                Ok(chunk.pop())
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        while steps.len() < count {
            match self.step()? {
                Some(step) => steps.push(step),
                None => break,
            }
        }
        Ok(steps)
    }
}

/// Steps one by one, or a few at a time.
#[pyclass(frozen, name = "StepIterator", module = "treering._core")]
pub struct StepIterator(Mutex<Walk>);

impl StepIterator {
    /// Called without the GIL: the lock is held while blocks are read.
    fn walk(&self) -> MutexGuard<'_, Walk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl StepIterator {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> Result<Option<StepCore>> {
        Ok(py.detach(|| self.walk().step())?.map(StepCore::new))
    }

    /// The next steps, at most `count`; none at the end.
    #[pyo3(signature = (count, /))]
    fn take(&self, py: Python<'_>, count: usize) -> Result<Vec<Py<StepCore>>> {
        let steps = py.detach(|| self.walk().take(count))?;
        Ok(StepCore::objects(py, steps)?)
    }
}

/// The last node that both threads have: (step number, CID), 0 for the start.
#[pyfunction]
#[pyo3(signature = (a, b, /))]
pub fn common_ancestor(
    py: Python<'_>,
    a: &ThreadCore,
    b: &ThreadCore,
) -> Result<Option<(u64, PyCid)>> {
    let (a, b) = (a.thread(), b.thread());
    Ok(py
        .detach(|| treering_thread::common_ancestor(a, b))?
        .map(place))
}

/// Whether the chain that ends in `b` goes through `a`.
#[pyfunction]
#[pyo3(signature = (core, a, b, /))]
pub fn is_ancestor(py: Python<'_>, core: &Core, a: OurCid, b: OurCid) -> Result<bool> {
    let store = core.store();
    Ok(py.detach(|| treering_thread::is_ancestor(&**store, &a.0, &b.0))?)
}

/// (last common node, steps of `a` since, steps of `b` since).
#[pyfunction]
#[pyo3(signature = (a, b, /))]
#[expect(clippy::type_complexity, reason = "a tuple of three for Python")]
pub fn diff(
    py: Python<'_>,
    a: &ThreadCore,
    b: &ThreadCore,
) -> Result<(Option<(u64, PyCid)>, Vec<Py<StepCore>>, Vec<Py<StepCore>>)> {
    let (a, b) = (a.thread(), b.thread());
    let diff = py.detach(|| treering_thread::diff(a, b))?;
    Ok((
        diff.common.map(place),
        StepCore::objects(py, diff.left)?,
        StepCore::objects(py, diff.right)?,
    ))
}

fn place((step, cid): (u64, Cid)) -> (u64, PyCid) {
    (step, PyCid::ours(cid))
}
