//! `BatchCore`: the operations of one `scope.commit()`, drafted and then committed at once.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use treering_actor::stores::Stores;
use treering_actor::{ActorError, Envelope, Mixed, MixedAnswer, MixedReady, Reader};
use treering_store::{Durability, Landing, Store};
use treering_thread::{Batch, BatchAnswer, Draft, ForkArgs, ForkAt, Pending};

use crate::buckets::attended_by;
use crate::cid::PyCid;
use crate::collection::node;
use crate::convert::{ByteString, Count, Signed, Text};
use crate::error::{CoreError, Result};
use crate::pending::PyPending;
use crate::projection::{self, ProjectedCore, ProjectionCore};
use crate::step::{NewStep, StepCore};
use crate::thread::ThreadCore;
use crate::threads::NewThread;
use crate::verb::{Show, VerbCore};

/// The operations of one commit; nothing is written before `commit`.
#[pyclass(frozen, name = "BatchCore", module = "treering._core")]
pub struct BatchCore {
    drafting: Mutex<Option<Drafting>>,
    /// Once nothing more can be drafted.
    ready: OnceLock<Submitting>,
    store: Arc<dyn Store>,
    durability: Durability,
}

/// A batch, and where the steps of its answer come from.
struct Drafting {
    batch: Batch,
    /// What is decided with it, and how their answers are shown.
    mixed: Mixed,
    shows: Vec<Box<dyn Show>>,
    reader: Reader,
    /// Steps of each draft so far, those that came with its start included.
    steps_of: Vec<usize>,
    /// For each step drafted by a call: its draft, and its place among the steps of that draft.
    calls: Vec<(usize, usize)>,
    landings: Vec<Landing>,
}

/// All of it, and how its answer is shown.
struct Submitting {
    ready: MixedReady,
    shown: Arc<Shown>,
    landing: Landing,
}

struct Shown {
    places: Vec<usize>,
    shows: Vec<Box<dyn Show>>,
    reader: Reader,
}

impl Drafting {
    /// A draft, new or known.
    fn note_draft(&mut self, draft: Draft, steps: usize) -> usize {
        let index = draft.index();
        if index >= self.steps_of.len() {
            self.steps_of.push(steps);
        }
        index
    }

    fn note_step(&mut self, draft: usize) {
        if let Some(count) = self.steps_of.get_mut(draft) {
            self.calls.push((draft, *count));
            *count += 1;
        }
    }

    /// For each call, the place of its step in the answer, whose steps stand by draft.
    fn places(&self) -> Vec<usize> {
        let offset = |draft: usize| -> usize { self.steps_of.iter().take(draft).sum() };
        self.calls
            .iter()
            .map(|(draft, nth)| offset(*draft) + nth)
            .collect()
    }
}

impl BatchCore {
    pub fn new(batch: Batch, stores: &Stores, durability: Durability) -> Self {
        let store = Arc::clone(stores.reader().store());
        Self {
            drafting: Mutex::new(Some(Drafting {
                batch,
                mixed: Mixed::new(stores.dispatcher().clone()),
                shows: Vec::new(),
                reader: stores.reader(),
                steps_of: Vec::new(),
                calls: Vec::new(),
                landings: Vec::new(),
            })),
            ready: OnceLock::new(),
            store,
            durability,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Drafting>> {
        self.drafting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on the drafts without the GIL, since it may read heads.
    fn draft<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Drafting) -> Result<T> + Send,
    ) -> Result<T> {
        py.detach(|| work(self.lock().as_mut().ok_or_else(committed)?))
    }
}

#[pymethods]
impl BatchCore {
    /// What is not committed yet has no home that another process could find.
    fn __reduce__(&self) -> Result<()> {
        Err(CoreError::Invalid {
            what: "pickle of",
            value: "a commit".to_owned(),
            rule: "neither it nor its drafts leave their `with` block: pickle what is committed",
        })
    }

    /// A thread that will be started; its draft.
    #[pyo3(signature = (args))]
    fn start(&self, py: Python<'_>, args: NewThread) -> Result<usize> {
        self.draft(py, |drafting| {
            let steps = args.steps();
            let (args, landing) = args.with_blocks(&self.store)?;
            let draft = drafting.batch.start(args)?;
            drafting.landings.push(landing);
            Ok(drafting.note_draft(draft, steps))
        })
    }

    /// A thread that is there; its draft, the same for the same thread.
    #[pyo3(signature = (thread))]
    fn thread(&self, py: Python<'_>, thread: &ThreadCore) -> Result<usize> {
        let thread = thread.thread();
        self.draft(py, |drafting| {
            let draft = drafting.batch.thread(thread)?;
            Ok(drafting.note_draft(draft, 0))
        })
    }

    /// The step that will follow.
    #[pyo3(signature = (draft, step))]
    fn append(&self, py: Python<'_>, draft: usize, step: NewStep) -> Result<StepCore> {
        self.draft(py, |drafting| {
            let (step, landing) = step.with_blocks(&self.store)?;
            let step = drafting.batch.append(Draft::from_index(draft), step)?;
            drafting.landings.push(landing);
            drafting.note_step(draft);
            Ok(StepCore::new(step))
        })
    }

    #[pyo3(signature = (draft, return_code, summary))]
    fn finish(
        &self,
        py: Python<'_>,
        draft: usize,
        return_code: Signed,
        summary: Text,
    ) -> Result<StepCore> {
        self.draft(py, |drafting| {
            let step = drafting
                .batch
                .finish(Draft::from_index(draft), return_code.0, &summary)?;
            drafting.note_step(draft);
            Ok(StepCore::new(step))
        })
    }

    /// A fork of a draft as it is now; its draft.
    #[pyo3(signature = (draft, at, key, labels))]
    fn fork(
        &self,
        py: Python<'_>,
        draft: usize,
        at: Option<Count>,
        key: Option<Text>,
        labels: Option<Bound<'_, PyAny>>,
    ) -> Result<usize> {
        let args = ForkArgs {
            key: key.map(|Text(key)| key),
            labels: crate::convert::labels(labels.as_ref())?,
            ..ForkArgs::default()
        };
        let place = at.map_or(ForkAt::Head, |Count(step)| ForkAt::Step(step));
        self.draft(py, |drafting| {
            let draft = drafting.batch.fork(Draft::from_index(draft), place, args)?;
            Ok(drafting.note_draft(draft, 0))
        })
    }

    /// A verb of a store, behind those drafted before; its place among them.
    #[pyo3(signature = (verb, expected_version))]
    fn add(
        &self,
        py: Python<'_>,
        verb: &VerbCore,
        expected_version: Option<Count>,
    ) -> Result<usize> {
        let verb = verb.take()?;
        self.draft(py, |drafting| {
            let (verb, show) = verb.draft();
            let expected = expected_version.map(|Count(version)| version);
            drafting.mixed.add(verb.expecting(expected));
            drafting.shows.push(show);
            Ok(drafting.shows.len() - 1)
        })
    }

    #[pyo3(signature = (data))]
    fn put(&self, py: Python<'_>, data: ByteString) -> Result<PyCid> {
        let bytes: &[u8] = &data;
        self.draft(py, |drafting| Ok(PyCid::ours(drafting.batch.put(bytes))))
    }

    #[pyo3(signature = (value))]
    fn put_node(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> Result<PyCid> {
        let (encoded, carried) = node(value)?;
        self.draft(py, |drafting| {
            let (blocks, landing) = carried.blocks(&self.store)?;
            drafting.batch.carry(blocks);
            drafting.landings.push(landing);
            Ok(PyCid::ours(drafting.batch.put_node(encoded)?))
        })
    }

    /// Moves a projection along: from where it stood, by what was seen (source, version). `view`: the view then, in a
    /// tuple; None if it stays. `remade`: it was made anew, and `seen` are sources that were taken back. The projection as
    /// it will be.
    #[pyo3(signature = (projection, now, view, seen, cursor, remade))]
    #[allow(clippy::too_many_arguments)]
    fn project(
        &self,
        py: Python<'_>,
        projection: &ProjectionCore,
        now: &ProjectedCore,
        view: Option<(Bound<'_, PyAny>,)>,
        seen: Vec<(Text, Count)>,
        cursor: Option<Text>,
        remade: bool,
    ) -> Result<ProjectedCore> {
        let view = view.map(|(view,)| projection::view(&view)).transpose()?;
        let cursor = projection::cursor(cursor)?;
        let seen: Vec<(String, u64)> = seen.into_iter().map(|(key, at)| (key.0, at.0)).collect();
        self.draft(py, |drafting| {
            let projection = projection.projection();
            let now = now.projected();
            let step = match view {
                Some(view) if remade => projection.remake(now, view, &seen)?,
                view => projection.advance(now, view, &seen, cursor)?,
            };
            drafting.batch.carry(step.blocks);
            drafting.batch.move_along(step.step);
            drafting.landings.push(step.landing);
            Ok(ProjectedCore::new(step.after))
        })
    }

    /// Deletes a projection; nothing happens if it was never written.
    #[pyo3(signature = (projection))]
    fn drop_projection(&self, py: Python<'_>, projection: &ProjectionCore) -> Result<()> {
        self.draft(py, |drafting| {
            drafting
                .batch
                .move_along(projection.projection().deletion());
            Ok(())
        })
    }

    /// All of it, to be submitted; nothing more can be drafted.
    #[pyo3(signature = (command_id, principal, causation_id))]
    fn seal(
        &self,
        py: Python<'_>,
        command_id: Option<Text>,
        principal: Option<Text>,
        causation_id: Option<Text>,
    ) -> Result<()> {
        let envelope = Envelope {
            command_id: command_id.map(|Text(id)| id),
            causation_id: causation_id.map(|Text(id)| id),
            principal: principal.map(|Text(name)| name),
        };
        let submitting = py.detach(|| {
            let drafting = self.lock().take().ok_or_else(committed)?;
            let places = drafting.places();
            let Drafting {
                batch,
                mixed,
                shows,
                reader,
                landings,
                ..
            } = drafting;
            Ok::<_, CoreError>(Submitting {
                ready: mixed.ready(batch, envelope, self.durability)?,
                shown: Arc::new(Shown {
                    places,
                    shows,
                    reader,
                }),
                landing: landings.into_iter().collect(),
            })
        })?;
        self.ready.get_or_init(|| submitting);
        Ok(())
    }

    /// What the first commit under its command id did, as `submit`; None if there was none.
    fn first(&self, py: Python<'_>) -> Result<Option<PyPending>> {
        let sealed = self.sealed()?;
        let first = attended_by(py, sealed.store(), || sealed.ready.first())??;
        Ok(first.map(|pending| sealed.shown(pending)))
    }

    /// Submits what was sealed; once more, after it was refused: nothing was written. Answers {"replayed", "threads" (by
    /// draft), "steps" (by call), "receipts" (by verb), "position", "new_blocks"}.
    fn submit(&self, py: Python<'_>) -> Result<PyPending> {
        let sealed = self.sealed()?;
        let pending = attended_by(py, sealed.store(), || sealed.ready.submit())??;
        Ok(sealed.shown(pending))
    }

    /// Seals and submits it.
    #[pyo3(signature = (command_id, principal, causation_id))]
    fn commit(
        &self,
        py: Python<'_>,
        command_id: Option<Text>,
        principal: Option<Text>,
        causation_id: Option<Text>,
    ) -> Result<PyPending> {
        self.seal(py, command_id, principal, causation_id)?;
        self.submit(py)
    }
}

impl BatchCore {
    fn sealed(&self) -> Result<&Submitting> {
        self.ready.get().ok_or_else(drafted)
    }
}

impl Submitting {
    fn store(&self) -> &dyn Store {
        &**self.shown.reader.store()
    }

    fn shown(&self, pending: Pending<MixedAnswer, ActorError>) -> PyPending {
        let shown = Arc::clone(&self.shown);
        let pending = PyPending::of(pending, move |py, answer: MixedAnswer| {
            let object = answer_object(py, answer.batch, &shown.places)?;
            let receipts = shown.shows.iter().zip(&answer.ran);
            let receipts = receipts
                .map(|(show, ran)| show.show(py, &shown.reader, ran))
                .collect::<Result<Vec<_>>>()?;
            object.set_item("receipts", receipts)?;
            Ok(object.into_any().unbind())
        });
        pending.carrying(self.landing.clone())
    }
}

fn drafted() -> CoreError {
    CoreError::Invalid {
        what: "batch",
        value: "drafted".to_owned(),
        rule: "what is submitted is sealed before",
    }
}

fn committed() -> CoreError {
    CoreError::Invalid {
        what: "batch",
        value: "committed".to_owned(),
        rule: "a batch is committed once",
    }
}

fn answer_object<'py>(
    py: Python<'py>,
    answer: BatchAnswer,
    places: &[usize],
) -> PyResult<Bound<'py, PyDict>> {
    let BatchAnswer {
        replayed,
        threads,
        steps,
        position,
        new_blocks,
        receipt: _,
    } = answer;
    let threads = threads
        .into_iter()
        .map(|thread| ThreadCore::object(py, thread))
        .collect::<PyResult<Vec<_>>>()?;
    let steps = places
        .iter()
        .filter_map(|place| steps.get(*place))
        .map(|step| StepCore::object(py, step.clone()))
        .collect::<PyResult<Vec<_>>>()?;
    let object = PyDict::new(py);
    object.set_item("replayed", replayed)?;
    object.set_item("threads", PyList::new(py, threads)?)?;
    object.set_item("steps", PyList::new(py, steps)?)?;
    object.set_item("position", position)?;
    object.set_item("new_blocks", new_blocks)?;
    Ok(object)
}
