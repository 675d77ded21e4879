//! How a read of the stores is made: the actor as it is or as it was, what is looked up in it, and the version of both.
//!
//! Promises: it runs without the GIL, and once more where a trim or a collection came in between.

use std::sync::Arc;

use pyo3::prelude::*;
use treering_actor::stores::look;
use treering_actor::{Blocks, Kind, Loaded};

use crate::convert::Count;
use crate::error::{CoreError, Result};
use crate::hearing::heard;
use crate::messages::PyMessage;
use crate::stores::StoresCore;
use crate::views::View;

type Read<K> = (Arc<Loaded<K>>, u64);

impl StoresCore {
    /// The actor as it is, or as it was at a version, and which that is.
    pub(crate) fn loaded<K: Kind>(
        &self,
        parts: &[&str],
        version: Option<Count>,
    ) -> Result<Read<K>> {
        let address = self.stores().address::<K>(parts)?;
        let reader = self.stores().reader();
        let loaded = match version {
            None => reader.now::<K>(&address)?,
            Some(Count(version)) => reader.at::<K>(&address, version)?,
        };
        let version = loaded.place.version;
        Ok((loaded, version))
    }

    /// What a read gives of an actor, as it is or as it was at a version.
    pub(crate) fn viewed<'py, K: Kind>(
        &self,
        py: Python<'py>,
        parts: &[&str],
        version: Option<Count>,
        view: &View<K>,
    ) -> Result<Bound<'py, PyAny>> {
        let (found, version) = self.found(py, parts, version, view)?;
        Ok(found(py, version)?.into_bound(py))
    }

    /// What is looked up in an actor, and the version that it is of.
    pub(crate) fn found<K: Kind, T: Send>(
        &self,
        py: Python<'_>,
        parts: &[&str],
        version: Option<Count>,
        find: impl Fn(&Arc<Loaded<K>>, &Blocks<'_>) -> treering_actor::Result<T> + Send + Sync,
    ) -> Result<(T, u64)> {
        steadily(py, || {
            let (loaded, version) = self.loaded::<K>(parts, version)?;
            let store = self.stores().reader();
            let found = look(&**store.store(), |blocks| find(&loaded, blocks))?;
            Ok((found, version))
        })
    }

    /// One message that may not be there, and the version.
    pub(crate) fn single<'py, K: Kind, M: PyMessage + Send>(
        &self,
        py: Python<'py>,
        version: Option<Count>,
        find: impl Fn(&K::State, &Blocks<'_>) -> treering_actor::Result<Option<M>> + Send + Sync,
    ) -> Result<(Option<Bound<'py, PyAny>>, u64)> {
        let look = |loaded: &Arc<Loaded<K>>, blocks: &Blocks<'_>| find(&loaded.state, blocks);
        let (found, version) = self.found(py, &[], version, look)?;
        Ok((found.map(|one| one.object(py, &[])).transpose()?, version))
    }
}

/// A read of a few refs and blocks, without the GIL.
pub fn steadily<T: Send>(py: Python<'_>, read: impl Fn() -> Result<T> + Send) -> Result<T> {
    py.detach(move || once_more(read))
}

/// The same of what commits, too, and so may wait for another process.
pub fn steadily_heard<T: Send>(py: Python<'_>, read: impl Fn() -> Result<T> + Send) -> Result<T> {
    heard(py, move || once_more(read))?
}

fn once_more<T>(read: impl Fn() -> Result<T>) -> Result<T> {
    treering_actor::steadily(read, |error| match error {
        CoreError::Actor(error) => Some(error),
        _ => None,
    })
}
