//! Which actors a scope has: functions of its stores.
//!
//! Never: a state is folded here.

use pyo3::prelude::*;
use treering_store::RefName;

use crate::cid::PyCid;
use crate::convert::Text;
use crate::error::Result;
use crate::stores::StoresCore;

/// (parts, version, base, when it was last changed, when it was deleted, head, what is wrong with it).
type ActorRow = (
    Vec<String>,
    Option<u64>,
    Option<u64>,
    Option<i64>,
    Option<i64>,
    Option<PyCid>,
    Option<String>,
);

/// Kinds of the actors of the scope, in order.
#[pyfunction]
#[pyo3(signature = (stores, /))]
pub fn actor_kinds(py: Python<'_>, stores: &StoresCore) -> Result<Vec<String>> {
    let stores = stores.stores();
    Ok(py.detach(|| stores.reader().actor_kinds(stores.scope()))?)
}

/// Actors of one kind after those parts, None for the first; version and the like are None where it is broken.
#[pyfunction]
#[pyo3(signature = (stores, kind, after, limit, /))]
pub fn list_actors(
    py: Python<'_>,
    stores: &StoresCore,
    kind: Text,
    after: Option<Vec<Text>>,
    limit: usize,
) -> Result<Vec<ActorRow>> {
    let stores = stores.stores();
    let rows = py.detach(|| {
        let after = after
            .map(|parts| RefName::new(stores.scope(), &kind, parts.into_iter().map(|part| part.0)))
            .transpose()?;
        let reader = stores.reader();
        reader.actors(stores.scope(), &kind, after.as_ref(), limit)
    })?;
    let row = |(name, standing): treering_actor::Listed| {
        let parts = name.parts().to_vec();
        match standing {
            Ok(at) => (
                parts,
                Some(at.version),
                Some(at.base),
                at.at_ms,
                at.deleted_at_ms,
                Some(PyCid::ours(at.head)),
                None,
            ),
            Err(error) => (parts, None, None, None, None, None, Some(error.to_string())),
        }
    };
    Ok(rows.into_iter().map(row).collect())
}
