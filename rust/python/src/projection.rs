//! `ProjectionCore`, `ProjectedCore`, `SearchCore`: projections, as far as they need no function of the caller's.
//!
//! Promises: what reads runs without the GIL. Never: what a projection does with an event is known here.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use treering_actor::{Behind, Page, Past, Projected, Projection, Search, Summary, projections};
use treering_block::limits::Limits;
use treering_store::{Carried, Cursor, RefName};

use crate::cid::PyCid;
use crate::convert::{Count, Text, value_object};
use crate::encode::encode_with;
use crate::error::Result;
use crate::messages::object_by_name;
use crate::stores::StoresCore;

/// (what it is called, scope, kind, parts, seen, version).
type BehindRow = (String, String, String, Vec<String>, u64, u64);
/// (sources that are behind, cursor once they are not, commits that were looked at, whether sources were compared).
type PageRow = (Vec<BehindRow>, Option<String>, u64, bool);
/// (what it is called, scope, kind, parts, seen).
type SourceRow = (String, String, String, Vec<String>, u64);
/// (name, version, events, sources, what is wrong with it).
type ProjectionRow = (String, u64, u64, u64, Option<String>);

/// A projection, and which actors it follows.
#[pyclass(frozen, name = "ProjectionCore", module = "treering._core")]
pub struct ProjectionCore(Projection);

impl ProjectionCore {
    pub fn projection(&self) -> &Projection {
        &self.0
    }
}

/// A view with its collections.
pub fn view(value: &Bound<'_, PyAny>) -> Result<(treering_block::Encoded, Carried)> {
    let (encoded, collections) = encode_with(value, Limits::NODE)?;
    Ok((encoded, Carried(collections)))
}

pub fn cursor(text: Option<Text>) -> Result<Option<Cursor>> {
    Ok(text.map(|text| text.parse::<Cursor>()).transpose()?)
}

#[pymethods]
impl ProjectionCore {
    /// `of`: names of scopes of the same store.
    #[new]
    #[pyo3(signature = (stores, name, of, kinds, start, /))]
    fn py_new(
        stores: &StoresCore,
        name: Text,
        of: Vec<Text>,
        kinds: Vec<Text>,
        start: &Bound<'_, PyAny>,
    ) -> Result<Self> {
        let stores = stores.stores();
        let texts = |texts: Vec<Text>| texts.into_iter().map(|text| text.0).collect::<Vec<_>>();
        let projection = Projection::new(
            stores.reader(),
            stores.scope(),
            &name,
            &texts(of),
            &texts(kinds),
            view(start)?,
        )?;
        Ok(Self(projection))
    }

    /// As it stands.
    fn load(&self, py: Python<'_>) -> Result<ProjectedCore> {
        Ok(ProjectedCore(py.detach(|| self.0.load())?))
    }

    /// A search for sources that are behind; `cursor`: the journal is done with up to there.
    #[pyo3(signature = (cursor))]
    fn search(&self, py: Python<'_>, cursor: Option<Text>) -> Result<SearchCore> {
        let from = self::cursor(cursor)?;
        Ok(SearchCore(Mutex::new(py.detach(|| self.0.search(from))?)))
    }

    /// The next part of a search; None at the end.
    #[pyo3(signature = (search, now))]
    fn next(
        &self,
        py: Python<'_>,
        search: &SearchCore,
        now: &ProjectedCore,
    ) -> Result<Option<PageRow>> {
        let page = py.detach(|| {
            let mut search = search.0.lock().unwrap_or_else(PoisonError::into_inner);
            self.0.next(&mut search, &now.0)
        })?;
        let row = |behind: Behind| {
            let Behind {
                log,
                source,
                seen,
                version,
            } = behind;
            let (scope, kind) = (log.scope().to_owned(), log.kind().to_owned());
            (source, scope, kind, log.parts().to_vec(), seen, version)
        };
        Ok(page.map(|page| {
            let Page {
                behind,
                cursor,
                commits,
                compared,
            } = page;
            let rows = behind.into_iter().map(row).collect();
            (
                rows,
                cursor.map(|cursor| cursor.to_string()),
                commits,
                compared,
            )
        }))
    }

    /// What happened to a source behind `seen`, up to `upto`, at most `limit` things: events as `StoresCore.events` gives
    /// them, and {"version", "cid", "at_ms"} for a deletion, {"version", "cid"} for what was cut off.
    #[pyo3(signature = (source, seen, upto, limit))]
    fn past<'py>(
        &self,
        py: Python<'py>,
        source: Text,
        seen: Count,
        upto: Count,
        limit: Count,
    ) -> Result<Bound<'py, PyList>> {
        let past = py.detach(|| {
            let log = self.0.log(&source)?;
            self.0.past(&log, seen.0, upto.0, limit.0)
        })?;
        let list = PyList::empty(py);
        for one in past {
            list.append(past_object(py, &one)?)?;
        }
        Ok(list)
    }

    /// Whether it follows actors of that scope and kind.
    #[pyo3(signature = (scope, kind))]
    fn follows(&self, scope: Text, kind: Text) -> bool {
        self.0.follows(&scope, &kind)
    }

    /// Sources with what was seen of each, behind `after`, at most `limit`.
    #[pyo3(signature = (now, after, limit))]
    fn checkpoint(
        &self,
        py: Python<'_>,
        now: &ProjectedCore,
        after: Option<Text>,
        limit: usize,
    ) -> Result<Vec<SourceRow>> {
        py.detach(|| {
            let after = after.as_ref().map(|Text(after)| after.as_str());
            let rows = now.0.checkpoint(after, limit)?;
            let row = |(source, seen): (String, u64)| {
                let log = self.0.log(&source)?;
                let (scope, kind) = (log.scope().to_owned(), log.kind().to_owned());
                Ok((source, scope, kind, log.parts().to_vec(), seen))
            };
            rows.into_iter().map(row).collect()
        })
    }
}

fn past_object<'py>(py: Python<'py>, past: &Past) -> Result<Bound<'py, PyDict>> {
    let object = PyDict::new(py);
    object.set_item("version", past.version())?;
    match past {
        Past::Event(cid, event) => {
            let typed = &event.typed;
            object.set_item("at_ms", event.at_ms)?;
            object.set_item("type", &typed.type_name)?;
            object.set_item("schema", typed.schema)?;
            object.set_item("event_id", &event.event_id)?;
            object.set_item("command_id", &event.command_id)?;
            object.set_item("causation_id", &event.causation_id)?;
            object.set_item("principal", &event.principal)?;
            object.set_item("cid", PyCid::ours(*cid))?;
            let message = object_by_name(py, &typed.type_name, &typed.message, &typed.links)?;
            object.set_item("message", message)?;
        }
        Past::Deleted { at_ms, cid, .. } => {
            object.set_item("at_ms", at_ms)?;
            object.set_item("cid", PyCid::ours(*cid))?;
        }
        Past::Trimmed { cid, .. } => object.set_item("cid", PyCid::ours(*cid))?,
    }
    Ok(object)
}

/// A projection as it stood at one moment.
#[pyclass(frozen, name = "ProjectedCore", module = "treering._core")]
pub struct ProjectedCore(Projected);

impl ProjectedCore {
    pub fn new(projected: Projected) -> Self {
        Self(projected)
    }

    pub fn projected(&self) -> &Projected {
        &self.0
    }
}

#[pymethods]
impl ProjectedCore {
    /// 0 if it was never written.
    #[getter]
    fn version(&self) -> u64 {
        self.0.version()
    }

    #[getter]
    fn cid(&self) -> Option<PyCid> {
        self.0.cid().map(PyCid::ours)
    }

    #[getter]
    fn events(&self) -> u64 {
        self.0.events()
    }

    #[getter]
    fn cursor(&self) -> Option<String> {
        self.0.cursor().map(|cursor| cursor.to_string())
    }

    /// Links of the view that are roots of collections.
    #[getter]
    fn collections(&self) -> Vec<PyCid> {
        self.0
            .collections()
            .iter()
            .copied()
            .map(PyCid::ours)
            .collect()
    }

    /// Whether it stands where the other one does, and what was seen counts for the same sources.
    #[pyo3(signature = (other, /))]
    fn is_same(&self, other: &Self) -> bool {
        self.0.is_same(&other.0)
    }

    /// The view, made anew.
    fn view<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        value_object(py, self.0.view())
    }
}

/// A search for sources that are behind, as far as it has come.
#[pyclass(frozen, name = "SearchCore", module = "treering._core")]
pub struct SearchCore(Mutex<Search>);

/// Projections of a scope behind that name, None for the first.
#[pyfunction]
#[pyo3(signature = (stores, after, limit, /))]
pub fn list_projections(
    py: Python<'_>,
    stores: &StoresCore,
    after: Option<Text>,
    limit: usize,
) -> Result<Vec<ProjectionRow>> {
    let stores = stores.stores();
    let rows = py.detach(|| {
        let after = after
            .map(|Text(name)| RefName::new(stores.scope(), treering_actor::PROJECTION, [name]))
            .transpose()?;
        projections(&stores.reader(), stores.scope(), after.as_ref(), limit)
    })?;
    let row = |(name, summary): (RefName, treering_actor::Result<Summary>)| {
        let name = name.parts().join("/");
        match summary {
            Ok(at) => (name, at.version, at.events, at.sources, None),
            Err(error) => (name, 0, 0, 0, Some(error.to_string())),
        }
    };
    Ok(rows.into_iter().map(row).collect())
}
