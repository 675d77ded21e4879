//! Whole scopes: `fork_scope`, what a scope was forked of, forks that are not finished, `scope_at`, `diff_scopes`.
//!
//! Promises: work that may take long runs on a thread of its own. Never: a rule of what a fork has.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use treering_actor::{Apart, as_of, side_by_side};
use treering_store::scope::{
    ForkOptions, Lineage, Lost, Moment, Unfinished, discard, fork, unfinished,
};
use treering_store::{RefName, Store, VerifyReport, scope};
use treering_thread::verify_threads_of;

use crate::buckets::attended;
use crate::convert::{Signed, Text};
use crate::error::Result;
use crate::hearing::heard;
use crate::reports::report_object;
use crate::store::Core;
use crate::stores::StoresCore;
use crate::work::{Answer, PyWork};

/// Forks the scope as another one.
#[pyfunction]
#[pyo3(signature = (stores, name, command_id))]
pub fn fork_scope(stores: &StoresCore, name: Text, command_id: Option<Text>) -> Result<PyWork> {
    let stores = stores.stores();
    let store = stores.reader().store().clone();
    let from = stores.scope().to_owned();
    let options = ForkOptions {
        command_id: command_id.map(|Text(id)| id),
        durability: stores.durability(),
        ..ForkOptions::default()
    };
    PyWork::start(move |progress| fork(&*store, &from, &name, &options, progress).map(Answer::Fork))
}

/// What the scope was forked of: (ancestors as (scope or None, position), time, refs).
#[pyfunction]
#[pyo3(signature = (stores))]
pub fn scope_lineage<'py>(
    py: Python<'py>,
    stores: &StoresCore,
) -> Result<Option<Bound<'py, PyDict>>> {
    let stores = stores.stores();
    let lineage = py.detach(|| stores.reader().store().lineage(stores.scope()))?;
    lineage
        .map(|lineage| lineage_object(py, lineage))
        .transpose()
}

fn lineage_object(py: Python<'_>, lineage: Lineage) -> Result<Bound<'_, PyDict>> {
    let object = PyDict::new(py);
    let ancestors = lineage.ancestors.into_iter();
    let ancestors: Vec<(Option<String>, u64)> =
        ancestors.map(|one| (one.scope, one.until)).collect();
    object.set_item("ancestors", ancestors)?;
    object.set_item("at_ms", lineage.at_ms)?;
    object.set_item("refs", lineage.refs)?;
    Ok(object)
}

/// Forks of the store that are not finished.
#[pyfunction]
#[pyo3(signature = (stores))]
pub fn unfinished_forks<'py>(py: Python<'py>, stores: &StoresCore) -> Result<Bound<'py, PyList>> {
    let found = py.detach(|| unfinished(&**stores.stores().reader().store()))?;
    let list = PyList::empty(py);
    for Unfinished {
        scope,
        from,
        archive,
        holder,
        refs,
    } in found
    {
        let object = PyDict::new(py);
        object.set_item("scope", scope)?;
        object.set_item("of", from)?;
        object.set_item("archive", archive)?;
        object.set_item("holder", holder)?;
        object.set_item("refs", refs)?;
        list.append(object)?;
    }
    Ok(list)
}

/// Takes away what a fork that was cut short left of the scope; how many refs.
#[pyfunction]
#[pyo3(signature = (stores))]
pub fn discard_fork(py: Python<'_>, stores: &StoresCore) -> Result<u64> {
    let stores = stores.stores();
    Ok(heard(py, || {
        discard(&**stores.reader().store(), stores.scope())
    })??)
}

/// (kind, parts).
type Named = (String, Vec<String>);

fn named(name: &RefName) -> Named {
    (name.kind().to_owned(), name.parts().to_vec())
}

/// The store as it was at a moment (Unix milliseconds, or a cursor), of that scope alone: (a handle that reads, position,
/// time, what is gone as (kind, parts, whether it was collected)).
#[pyfunction]
#[pyo3(signature = (core, scope, at_ms, cursor))]
#[expect(clippy::type_complexity, reason = "a tuple of four for Python")]
pub fn scope_at(
    py: Python<'_>,
    core: &Core,
    scope: Text,
    at_ms: Option<Signed>,
    cursor: Option<Text>,
) -> Result<(Core, u64, i64, Vec<(String, Vec<String>, bool)>)> {
    let moment = match cursor {
        Some(cursor) => Moment::Commit(cursor.parse()?),
        None => Moment::Time(at_ms.map_or(i64::MAX, |Signed(at_ms)| at_ms)),
    };
    let inner = Arc::clone(core.store());
    let past = py.detach(|| as_of(inner, &scope, &moment))?;
    let gone = past.gone().iter().map(|(name, lost)| {
        let (kind, parts) = named(name);
        (kind, parts, *lost == Lost::Collected)
    });
    let gone = gone.collect();
    let (position, at_ms) = (past.position(), past.at_ms());
    let past: Arc<dyn Store> = Arc::new(past);
    Ok((Core::of(past, None), position, at_ms, gone))
}

/// What tells two scopes apart: (only in the first, only in the second, changed as (kind, parts, (left, right, common)),
/// how many are the same).
#[pyfunction]
#[pyo3(signature = (left, right))]
#[expect(clippy::type_complexity, reason = "a tuple of four for Python")]
pub fn diff_scopes(
    py: Python<'_>,
    left: &StoresCore,
    right: &StoresCore,
) -> Result<(
    Vec<Named>,
    Vec<Named>,
    Vec<(String, Vec<String>, Option<(u64, u64, Option<u64>)>)>,
    u64,
)> {
    let (left, right) = (left.stores(), right.stores());
    let found = py.detach(|| {
        let (one, other) = (left.reader(), right.reader());
        let one: (&dyn Store, _) = (&**one.store(), left.scope());
        side_by_side(one, (&**other.store(), right.scope()))
    })?;
    let names = |names: Vec<RefName>| names.iter().map(named).collect();
    let changed = found.changed.iter().map(|changed| {
        let (kind, parts) = named(&changed.name);
        let apart = changed.apart.map(
            |Apart {
                 left,
                 right,
                 common,
             }| (left, right, common),
        );
        (kind, parts, apart)
    });
    let changed = changed.collect();
    Ok((names(found.left), names(found.right), changed, found.same))
}

/// Checks the refs of a scope, all that they reach, and its threads: as `Core.verify`.
#[pyfunction]
#[pyo3(signature = (stores))]
pub fn verify_scope<'py>(py: Python<'py>, stores: &StoresCore) -> Result<Bound<'py, PyDict>> {
    let stores = stores.stores();
    let report = attended(py, || {
        let reader = stores.reader();
        let (store, mut report) = (reader.store(), VerifyReport::default());
        scope::verify_scope(&**store, stores.scope(), &mut report);
        verify_threads_of(&**store, stores.scope(), &mut report);
        report
    })?;
    Ok(report_object(py, &report)?)
}
