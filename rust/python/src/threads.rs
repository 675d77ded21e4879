//! `ThreadsCore`: the threads of one scope, and its pins.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use treering_store::{Carried, Landing, Store};
use treering_thread::{Filter, StartArgs, Status, Thread, Threads, pins};

use crate::buckets::attended_by;
use crate::cid::PyCid;
use crate::convert::{Count, OurCid, Text, content, dict, labels, map, named};
use crate::error::{CoreError, Result};
use crate::pending::PyPending;
use crate::step::{NewStep, step_args};
use crate::thread::{ThreadCore, info_object};

/// The threads of one scope.
#[pyclass(frozen, name = "ThreadsCore", module = "treering._core")]
pub struct ThreadsCore(Threads);

impl ThreadsCore {
    pub fn new(threads: Threads) -> Self {
        Self(threads)
    }

    pub fn threads(&self) -> &Threads {
        &self.0
    }
}

#[pymethods]
impl ThreadsCore {
    #[getter]
    fn scope(&self) -> &str {
        self.0.scope()
    }

    #[pyo3(signature = (args))]
    fn start(&self, py: Python<'_>, args: NewThread) -> Result<PyPending> {
        let (pending, landing) = attended_by(py, &**self.0.store(), || {
            let (args, landing) = args.with_blocks(self.0.store())?;
            Ok::<_, CoreError>((self.0.start(args)?, landing))
        })??;
        Ok(PyPending::of(pending, ThreadCore::object).carrying(landing))
    }

    /// (thread, whether it was started now).
    #[pyo3(signature = (args))]
    fn get_or_start(&self, py: Python<'_>, args: NewThread) -> Result<PyPending> {
        let (pending, landing) = attended_by(py, &**self.0.store(), || {
            let (args, landing) = args.with_blocks(self.0.store())?;
            Ok::<_, CoreError>((self.0.get_or_start(args)?, landing))
        })??;
        let pending = PyPending::of(pending, |py, (thread, started): (Thread, bool)| {
            let found = (ThreadCore::object(py, thread)?, started);
            Ok(found.into_pyobject(py)?.into_any().unbind())
        });
        Ok(pending.carrying(landing))
    }

    #[pyo3(signature = (id_or_key))]
    fn get(&self, py: Python<'_>, id_or_key: Text) -> Result<ThreadCore> {
        Ok(ThreadCore::new(py.detach(|| self.0.get(&id_or_key))?))
    }

    /// Each thread as `info` has it; one whose record is broken as id, status `corrupt` and error.
    #[pyo3(signature = (status, workflow, day, labels, active))]
    fn list<'py>(
        &self,
        py: Python<'py>,
        status: Option<Text>,
        workflow: Option<Text>,
        day: Option<Text>,
        labels: Option<Bound<'py, PyAny>>,
        active: Option<bool>,
    ) -> Result<Vec<Bound<'py, PyDict>>> {
        // Corrupt is reported, never stored: the core lists such threads whatever is asked for.
        let only_corrupt = status.as_deref() == Some(CORRUPT);
        let filter = Filter {
            status: match status.as_deref() {
                Some(name) if !only_corrupt => Some(Status::parse(name)?),
                _ => None,
            },
            workflow: workflow.map(|Text(name)| name),
            day: day.map(|Text(day)| day),
            labels: crate::convert::labels(labels.as_ref())?
                .into_iter()
                .collect(),
            active,
        };
        let listed = py.detach(|| self.0.list(&filter))?;
        let mut rows = Vec::new();
        for line in &listed {
            match &line.info {
                Ok(info) if !only_corrupt => rows.push(info_object(py, info)?),
                Ok(_) => {}
                Err(error) => {
                    let row = PyDict::new(py);
                    row.set_item("id", &line.id)?;
                    row.set_item("status", CORRUPT)?;
                    row.set_item("error", error.to_string())?;
                    rows.push(row);
                }
            }
        }
        Ok(rows)
    }

    #[pyo3(signature = (name, cid))]
    fn pin_add(&self, py: Python<'_>, name: Text, cid: OurCid) -> Result<PyPending> {
        let threads = &self.0;
        let pending = py.detach(|| {
            pins::add(
                threads.store(),
                threads.scope(),
                &name,
                cid.0,
                threads.durability(),
            )
        })?;
        Ok(PyPending::of_nothing(pending))
    }

    /// (name, CID) in name order; a broken pin is an error.
    fn pin_list(&self, py: Python<'_>) -> Result<Vec<(String, PyCid)>> {
        let threads = &self.0;
        let pins = py.detach(|| pins::list(&**threads.store(), threads.scope()))?;
        pins.into_iter()
            .map(|(name, cid)| Ok((name, PyCid::ours(cid?))))
            .collect()
    }

    #[pyo3(signature = (name))]
    fn pin_rm(&self, py: Python<'_>, name: Text) -> Result<PyPending> {
        let threads = &self.0;
        let pending = py.detach(|| {
            pins::rm(
                threads.store(),
                threads.scope(),
                &name,
                threads.durability(),
            )
        })?;
        Ok(PyPending::of_nothing(pending))
    }

    fn __repr__(&self) -> String {
        format!("<ThreadsCore {}>", self.0.scope())
    }
}

const CORRUPT: &str = "corrupt";

/// A thread to start, from a mapping; what is absent or None is left out.
pub struct NewThread {
    args: StartArgs,
    carried: Carried,
}

impl NewThread {
    /// How many steps it starts with.
    pub fn steps(&self) -> usize {
        self.args.steps.len()
    }

    /// The thread, with the blocks of its collections that `store` lacks. Reads where they are in another store.
    pub fn with_blocks(self, store: &Arc<dyn Store>) -> Result<(StartArgs, Landing)> {
        let Self { mut args, carried } = self;
        let (blocks, landing) = carried.blocks(store)?;
        args.blocks = blocks;
        Ok((args, landing))
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for NewThread {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let py = object.py();
        let args = Fields(dict(&object)?);
        let Some(Text(workflow)) = args.get("workflow")? else {
            return Err(CoreError::Invalid {
                what: "workflow",
                value: "None".to_owned(),
                rule: "a thread has a workflow",
            }
            .into());
        };
        let parameters = args.object("parameters")?;
        let label_map = args.object("labels")?;
        let (steps, mut carried) =
            step_args(args.get::<Vec<NewStep>>("steps")?.unwrap_or_default());
        let args = StartArgs {
            workflow,
            prompt: args
                .object("prompt")?
                .map(|prompt| content(&prompt, &mut carried))
                .transpose()?,
            key: args.get("key")?.map(|Text(key)| key),
            parameters: named(py, "parameters", map(parameters.as_ref(), &mut carried))?,
            labels: named(py, "labels", labels(label_map.as_ref()))?,
            max_rounds: args.get("max_rounds")?.map(|Count(rounds)| rounds),
            workflow_hash: args.get("workflow_hash")?.map(|Text(hash)| hash),
            parent_state: args.get("parent_state")?.map(|OurCid(cid)| cid),
            depth: args.get("depth")?.map_or(0, |Count(depth)| depth),
            command_id: args.get("command_id")?.map(|Text(id)| id),
            steps,
            blocks: Vec::new(),
        };
        Ok(Self { args, carried })
    }
}

struct Fields<'py>(Bound<'py, PyDict>);

impl<'py> Fields<'py> {
    fn object(&self, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.0.get_item(name)?.filter(|value| !value.is_none()))
    }

    fn get<T>(&self, name: &str) -> PyResult<Option<T>>
    where
        T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
    {
        let read = self.object(name)?.map(|value| value.extract()).transpose();
        named(self.0.py(), name, read)
    }
}
