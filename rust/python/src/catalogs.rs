//! Catalogs with drafts, by the name of their kind: functions of a scope's stores.
//!
//! Never: a rule of a catalog is decided here.

use pyo3::prelude::*;
use pyo3::types::PyString;
use treering_actor::stores::catalog::{self, CatalogKind, Item};
use treering_actor::stores::connectors::ConnectorsKind;
use treering_actor::stores::roles::RolesKind;
use treering_actor::stores::secrets;
use treering_actor::{Kind, Loaded, Reader, Receipt};

use crate::convert::{Count, Text};
use crate::error::{CoreError, Result};
use crate::messages::PyMessage;
use crate::stores::StoresCore;
use crate::taking::taken;
use crate::values::no_value;
use crate::verb::VerbCore;
use crate::views;

/// Calls a function for the catalog of that kind.
macro_rules! by_catalog {
    ($kind:expr, $run:ident($($argument:expr),*)) => {
        match &*$kind {
            ConnectorsKind::NAME => $run::<ConnectorsKind>($($argument),*),
            RolesKind::NAME => $run::<RolesKind>($($argument),*),
            other => Err(CoreError::NotFound {
                what: "kind of catalog",
                which: other.to_owned(),
            }),
        }
    };
}

/// (items, version, whether they were ever saved, draft or None).
#[pyfunction]
#[pyo3(signature = (stores, kind, version, /))]
pub fn catalog_read<'py>(
    py: Python<'py>,
    stores: &StoresCore,
    kind: Text,
    version: Option<Count>,
) -> Result<Bound<'py, PyAny>> {
    by_catalog!(kind, read(py, stores, version))
}

/// Replaces all items.
#[pyfunction]
#[pyo3(signature = (stores, kind, items, /))]
pub fn catalog_save(
    stores: &StoresCore,
    kind: Text,
    items: Vec<Bound<'_, PyAny>>,
) -> Result<VerbCore> {
    by_catalog!(kind, save(stores, &items))
}

/// Replaces the draft.
#[pyfunction]
#[pyo3(signature = (stores, kind, item, /))]
pub fn catalog_save_draft(
    stores: &StoresCore,
    kind: Text,
    item: Option<Bound<'_, PyAny>>,
) -> Result<VerbCore> {
    by_catalog!(kind, save_draft(stores, item.as_ref()))
}

/// Deletes the draft.
#[pyfunction]
#[pyo3(signature = (stores, kind, /))]
pub fn catalog_delete_draft(stores: &StoresCore, kind: Text) -> Result<VerbCore> {
    by_catalog!(kind, delete_draft(stores))
}

/// Refuses what is no reference to a secret, without showing it.
#[pyfunction]
#[pyo3(signature = (field, reference, /))]
pub fn check_secret_reference(field: Text, reference: &Bound<'_, PyString>) -> Result<()> {
    // Not as a `Text`: its error would show it.
    Ok(secrets::check_reference(
        &field,
        &reference.to_string_lossy(),
    )?)
}

/// Refuses a value in clear under a name that tells that it is a secret.
#[pyfunction]
#[pyo3(signature = (field, name, /))]
pub fn check_clear_value(field: Text, name: &Bound<'_, PyString>) -> Result<()> {
    Ok(secrets::check_clear(&field, &name.to_string_lossy())?)
}

/// Whether what goes by that name is a secret.
#[pyfunction]
#[pyo3(signature = (name, /))]
pub fn is_secret_name(name: &Bound<'_, PyString>) -> bool {
    secrets::is_secret_name(&name.to_string_lossy())
}

fn read<'py, K: CatalogKind>(
    py: Python<'py>,
    stores: &StoresCore,
    version: Option<Count>,
) -> Result<Bound<'py, PyAny>>
where
    K::Item: PyMessage,
    <K::Item as Item>::Draft: PyMessage,
{
    stores.viewed(py, &[], version, &views::catalog::<K>())
}

fn item<M: PyMessage>(object: &Bound<'_, PyAny>, path: &'static str) -> Result<M> {
    taken(M::from_object(object, path, &mut Vec::new()))
}

fn save<K: CatalogKind>(stores: &StoresCore, items: &[Bound<'_, PyAny>]) -> Result<VerbCore>
where
    K::Item: PyMessage,
{
    let items = items.iter().map(|one| item(one, K::Item::ITEMS));
    let verb = catalog::save::<K>(stores.stores(), items.collect::<Result<_>>()?)?;
    Ok(VerbCore::new::<K>(verb, no_value, Vec::new()))
}

fn save_draft<K: CatalogKind>(
    stores: &StoresCore,
    draft: Option<&Bound<'_, PyAny>>,
) -> Result<VerbCore>
where
    K::Item: PyMessage,
    <K::Item as Item>::Draft: PyMessage,
{
    let draft = draft.map(|draft| item(draft, "draft")).transpose()?;
    let verb = catalog::save_draft::<K>(stores.stores(), draft)?;
    Ok(VerbCore::new::<K>(verb, draft_value::<K>, Vec::new()))
}

fn delete_draft<K: CatalogKind>(stores: &StoresCore) -> Result<VerbCore> {
    let verb = catalog::delete_draft::<K>(stores.stores())?;
    Ok(VerbCore::new::<K>(verb, no_value, Vec::new()))
}

fn draft_value<K: CatalogKind>(
    py: Python<'_>,
    _: &Reader,
    receipt: &Receipt,
    after: &std::sync::Arc<Loaded<K>>,
    _: &[String],
) -> Result<Option<Py<PyAny>>>
where
    <K::Item as Item>::Draft: PyMessage,
{
    let draft = after.state.draft.as_ref();
    draft
        .map(|draft| Ok(draft.object_at(py, &[], receipt.version)?.unbind()))
        .transpose()
}
