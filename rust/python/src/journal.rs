//! What the verbs about the journal take and give.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use treering_store::{Cursor, ExpireBefore, Head, JournalEntry, JournalExtent};

use crate::cid::PyCid;
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

pub fn entry_object<'py>(py: Python<'py>, entry: &JournalEntry) -> PyResult<Bound<'py, PyDict>> {
    let moves = PyList::empty(py);
    for change in &entry.moves {
        let object = PyDict::new(py);
        object.set_item("scope", change.name.scope())?;
        object.set_item("kind", change.name.kind())?;
        object.set_item("name", change.name.parts())?;
        object.set_item("version", change.version)?;
        object.set_item("target", change.target.map(PyCid::ours))?;
        moves.append(object)?;
    }
    let place = Head {
        position: entry.position,
        chain: entry.chain,
    };
    let object = PyDict::new(py);
    object.set_item("position", entry.position)?;
    object.set_item("at_ms", entry.at_ms)?;
    object.set_item("moves", moves)?;
    object.set_item("blank", entry.blank)?;
    object.set_item("erased", entry.erased)?;
    object.set_item("cursor", place.cursor().to_string())?;
    Ok(object)
}
