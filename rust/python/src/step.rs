//! `StepCore`: one step as read, and the arguments of one to be written.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyString;
use treering_block::Cid;
use treering_store::{Carried, Landing, Store};
use treering_thread::{AtMs, Step, StepArgs};

use crate::cid::PyCid;
use crate::convert::{
    ByteString, OurCid, Signed, Text, content, dict, map, named, our_cids, value_object,
};
use crate::error::{CoreError, Result};

/// One step as read: the state node's fields; content is read on demand.
#[pyclass(frozen, name = "StepCore", module = "treering._core")]
pub struct StepCore(Step);

impl StepCore {
    pub fn new(step: Step) -> Self {
        Self(step)
    }

    /// The object of a step.
    pub fn object(py: Python<'_>, step: Step) -> PyResult<Py<PyAny>> {
        Ok(Py::new(py, Self(step))?.into_any())
    }

    /// The objects of steps, in order.
    pub fn objects(py: Python<'_>, steps: Vec<Step>) -> PyResult<Vec<Py<Self>>> {
        steps
            .into_iter()
            .map(|step| Py::new(py, Self(step)))
            .collect()
    }
}

fn optional(cid: Option<Cid>) -> Option<PyCid> {
    cid.map(PyCid::ours)
}

#[pymethods]
impl StepCore {
    #[getter]
    fn number(&self) -> u64 {
        self.0.number
    }

    #[getter]
    fn cid(&self) -> PyCid {
        PyCid::ours(self.0.cid)
    }

    #[getter]
    fn role(&self) -> &str {
        &self.0.node.role
    }

    /// Decoded anew each time.
    #[getter]
    fn meta<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        value_object(py, &self.0.node.meta)
    }

    #[getter]
    fn start(&self) -> PyCid {
        PyCid::ours(self.0.node.start)
    }

    #[getter]
    fn content(&self) -> PyCid {
        PyCid::ours(self.0.node.content)
    }

    #[getter]
    fn parent(&self) -> Option<PyCid> {
        optional(self.0.node.parent)
    }

    #[getter]
    fn jump(&self) -> Option<PyCid> {
        optional(self.0.node.jump)
    }

    #[getter]
    fn compact(&self) -> Option<PyCid> {
        optional(self.0.node.compact)
    }

    #[getter]
    fn child_thread(&self) -> Option<PyCid> {
        optional(self.0.node.child_thread)
    }

    #[getter]
    fn at_ms(&self) -> Option<i64> {
        self.0.node.at_ms
    }

    fn __repr__(&self) -> String {
        format!(
            "<StepCore {} {} {}>",
            self.0.number,
            self.0.node.role,
            self.0.cid.short()
        )
    }
}

/// A step to append, from the tuple (role, content, meta, artifacts, links, at_ms, child_thread).
pub struct NewStep {
    args: StepArgs,
    carried: Carried,
}

impl NewStep {
    /// The step, with the blocks of its collections that `store` lacks. Reads where they are in another store.
    pub fn with_blocks(self, store: &Arc<dyn Store>) -> Result<(StepArgs, Landing)> {
        let Self { mut args, carried } = self;
        let (blocks, landing) = carried.blocks(store)?;
        args.blocks = blocks;
        Ok((args, landing))
    }

    /// A step that stands for all before it.
    pub fn summary(role: Text, content: &Bound<'_, PyAny>) -> Result<Self> {
        let mut carried = Carried::default();
        let content = crate::convert::content(content, &mut carried)?;
        let args = StepArgs::new(role.0, content);
        Ok(Self { args, carried })
    }
}

type Fields<'py> = (
    Bound<'py, PyAny>,
    Bound<'py, PyAny>,
    Option<Bound<'py, PyAny>>,
    Option<Bound<'py, PyAny>>,
    Bound<'py, PyAny>,
    Bound<'py, PyAny>,
    Option<OurCid>,
);

impl<'a, 'py> FromPyObject<'a, 'py> for NewStep {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let py = object.py();
        let (role, said, meta, artifacts, links, at_ms, child_thread) =
            object.extract::<Fields<'py>>()?;
        let artifacts = artifact_bytes(artifacts.as_ref());
        let mut carried = Carried::default();
        let args = StepArgs {
            role: named(py, "role", role.extract::<Text>())?.0,
            content: content(&said, &mut carried)?,
            meta: named(py, "meta", map(meta.as_ref(), &mut carried))?,
            artifacts: named(py, "artifacts", artifacts)?,
            links: our_cids(named(py, "links", links.extract())?),
            at_ms: named(py, "at_ms", time(&at_ms))?,
            child_thread: child_thread.map(|OurCid(cid)| cid),
            blocks: Vec::new(),
            expected_head: None,
            command_id: None,
        };
        Ok(Self { args, carried })
    }
}

/// The arguments of several steps, and the collections that they link to.
pub fn step_args(steps: Vec<NewStep>) -> (Vec<StepArgs>, Carried) {
    let mut all = Carried::default();
    let args = steps.into_iter().map(|NewStep { args, carried }| {
        all.0.extend(carried.0);
        args
    });
    (args.collect(), all)
}

/// None for no time, `"now"` for the store's clock, an int for that time.
fn time(value: &Bound<'_, PyAny>) -> Result<AtMs> {
    if value.is_none() {
        return Ok(AtMs::None);
    }
    match value.extract::<Text>() {
        Ok(text) if &*text == "now" => Ok(AtMs::Now),
        Ok(text) => Err(CoreError::Invalid {
            what: "at_ms",
            value: text.0,
            rule: "it is Unix milliseconds, None or NOW",
        }),
        Err(_) => Ok(AtMs::At(value.extract::<Signed>()?.0)),
    }
}

/// Named bytes; a str is stored as UTF-8.
fn artifact_bytes(value: Option<&Bound<'_, PyAny>>) -> Result<Vec<(String, Vec<u8>)>> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let mut artifacts = Vec::new();
    for (name, bytes) in dict(value)?.iter() {
        let bytes = if bytes.is_instance_of::<PyString>() {
            bytes.extract::<Text>()?.0.into_bytes()
        } else {
            bytes.extract::<ByteString>()?.to_vec()
        };
        artifacts.push((name.extract::<Text>()?.0, bytes));
    }
    Ok(artifacts)
}
