//! Refs as rows, repair and quarantine: functions of an open store.
//!
//! Never: a rule of its own; what may be mended or moved away, the store says.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use treering_store::quarantine::{Entry, EntryRef, To};
use treering_store::repair::advice;
use treering_store::{RefName, RefValue, Repair, Result as StoreResult};
use treering_thread::verify_threads;

use crate::cid::PyCid;
use crate::collect::interruptible;
use crate::convert::Text;
use crate::error::Result;
use crate::head::check_name;
use crate::hearing::heard;
use crate::reports::report_object;
use crate::store::Core;

/// (name, version, target, what is wrong with the row): version and target are None where it is broken.
type RefRow = (String, Option<u64>, Option<PyCid>, Option<String>);

/// Mends what can be proved; what `verify` says since, with `repairs` and, for each finding, `advice`.
#[pyfunction]
#[pyo3(signature = (core, /))]
pub fn repair<'py>(py: Python<'py>, core: &Core) -> Result<Bound<'py, PyDict>> {
    let store = Arc::clone(core.store());
    let (repairs, report) = interruptible(py, move |_| {
        let mut report = store.repair()?;
        verify_threads(&*store, &mut report.left);
        Ok((report.repairs, report.left))
    })?;
    let object = report_object(py, &report)?;
    for (finding, found) in report.findings.iter().zip(
        object
            .get_item("findings")?
            .iter()
            .flat_map(|list| list.try_iter().into_iter().flatten()),
    ) {
        found?.set_item("advice", advice(finding.check))?;
    }
    let list = PyList::empty(py);
    for Repair {
        check,
        which,
        detail,
    } in &repairs
    {
        list.append((check_name(*check), which, detail))?;
    }
    object.set_item("repairs", list)?;
    Ok(object)
}

/// Every ref after a name, "" for the first, whatever its scope.
#[pyfunction]
#[pyo3(signature = (core, after, limit, /))]
pub fn all_refs(py: Python<'_>, core: &Core, after: Text, limit: usize) -> Result<Vec<RefRow>> {
    let after = Some(&*after).filter(|after| !after.is_empty());
    let rows = py.detach(|| core.store().all_refs(after, limit))?;
    let row = |(name, value): (String, StoreResult<RefValue>)| match value {
        Ok(value) => (
            name,
            Some(value.version),
            Some(PyCid::ours(value.target)),
            None,
        ),
        Err(error) => (name, None, None, Some(error.to_string())),
    };
    Ok(rows.into_iter().map(row).collect())
}

/// Moves a broken ref out of the way; the entry.
#[pyfunction]
#[pyo3(signature = (core, name, /))]
pub fn quarantine<'py>(py: Python<'py>, core: &Core, name: Text) -> Result<Bound<'py, PyDict>> {
    let moved = heard(py, || {
        treering_thread::quarantine::quarantine(&**core.store(), &name)
    })??;
    Ok(entry_object(py, &moved.name, Ok(moved.entry))?)
}

/// The entries of a scope, oldest first.
#[pyfunction]
#[pyo3(signature = (core, scope, /))]
pub fn quarantined<'py>(
    py: Python<'py>,
    core: &Core,
    scope: Text,
) -> Result<Vec<Bound<'py, PyDict>>> {
    let entries = py.detach(|| treering_store::quarantine::list(&**core.store(), &scope))?;
    Ok(entries
        .into_iter()
        .map(|(name, entry)| entry_object(py, &name, entry))
        .collect::<PyResult<_>>()?)
}

/// Puts the refs of an entry back; their names.
#[pyfunction]
#[pyo3(signature = (core, entry, whole, /))]
pub fn restore_refs(py: Python<'_>, core: &Core, entry: Text, whole: bool) -> Result<Vec<String>> {
    let to = if whole { To::Whole } else { To::Last };
    let names = heard(py, || {
        let name = RefName::parse(&entry)?;
        treering_store::quarantine::restore(&**core.store(), &name, to)
    })??;
    Ok(names
        .into_iter()
        .map(|name| name.encoded().to_owned())
        .collect())
}

/// Gives an entry up.
#[pyfunction]
#[pyo3(signature = (core, entry, /))]
pub fn discard_refs(py: Python<'_>, core: &Core, entry: Text) -> Result<()> {
    heard(py, || {
        let name = RefName::parse(&entry)?;
        treering_store::quarantine::discard(&**core.store(), &name)
    })??;
    Ok(())
}

fn entry_object<'py>(
    py: Python<'py>,
    name: &RefName,
    entry: StoreResult<Entry>,
) -> PyResult<Bound<'py, PyDict>> {
    let object = PyDict::new(py);
    object.set_item("entry", name.encoded())?;
    let broken = entry.as_ref().err().map(ToString::to_string);
    object.set_item("broken", broken)?;
    let entry = entry.unwrap_or_default();
    object.set_item("at_ms", entry.at_ms)?;
    let lost = PyList::new(py, entry.lost.iter().copied().map(PyCid::ours))?;
    object.set_item("lost", lost)?;
    let refs = PyList::empty(py);
    for EntryRef {
        name,
        why,
        stood,
        whole,
        row: _,
    } in &entry.refs
    {
        let one = PyDict::new(py);
        one.set_item("name", name)?;
        one.set_item("why", why)?;
        for (key, value) in [("stood", stood), ("whole", whole)] {
            let place = value
                .as_ref()
                .map(|value| (value.version, PyCid::ours(value.target)));
            one.set_item(key, place)?;
        }
        refs.append(one)?;
    }
    object.set_item("refs", refs)?;
    Ok(object)
}
