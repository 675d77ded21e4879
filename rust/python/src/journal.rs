//! What the verbs about the journal's retention take and give.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use treering_store::{Cursor, ExpireBefore, JournalExtent};

use crate::convert::Text;
use crate::error::Result;

/// Up to where the journal is given up: Unix milliseconds, or a cursor.
#[derive(FromPyObject)]
pub enum Before {
    Time(i64),
    Cursor(Text),
}

impl Before {
    pub fn parse(&self) -> Result<ExpireBefore> {
        Ok(match self {
            Self::Time(at_ms) => ExpireBefore::Time(*at_ms),
            Self::Cursor(text) => ExpireBefore::Cursor(text.parse::<Cursor>()?),
        })
    }
}

pub fn extent_object<'py>(py: Python<'py>, extent: &JournalExtent) -> PyResult<Bound<'py, PyDict>> {
    let sealed = PyList::empty(py);
    for file in &extent.sealed {
        let object = PyDict::new(py);
        object.set_item("name", file.name())?;
        object.set_item("first", file.first)?;
        object.set_item("last", file.last)?;
        object.set_item("first_at_ms", file.first_at_ms)?;
        object.set_item("last_at_ms", file.last_at_ms)?;
        object.set_item("bytes", file.bytes)?;
        object.set_item("cursor", file.head_after().cursor().to_string())?;
        sealed.append(object)?;
    }
    let object = PyDict::new(py);
    object.set_item("first", extent.start.head.position.saturating_add(1))?;
    object.set_item("last", extent.head.position)?;
    object.set_item("start", extent.start.head.cursor().to_string())?;
    object.set_item("start_at_ms", extent.start.at_ms)?;
    object.set_item("sealed", sealed)?;
    Ok(object)
}
