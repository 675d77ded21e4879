//! `StatesCore`: what a read gives of an actor, commit by commit.
//!
//! Promises: each state once, in order; looking for the next runs without the GIL. Never: it waits.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use treering_actor::stores::Stores;
use treering_actor::stores::agents::AgentsKind;
use treering_actor::stores::chats::{ChatIndexKind, ChatKind};
use treering_actor::stores::connectors::ConnectorsKind;
use treering_actor::stores::files::FilesKind;
use treering_actor::stores::memory::MemoryKind;
use treering_actor::stores::participants::ParticipantsKind;
use treering_actor::stores::retention::RetentionKind;
use treering_actor::stores::roles::RolesKind;
use treering_actor::stores::sources::{ScriptsKind, WorkflowsKind};
use treering_actor::stores::user_config::{Defaults, UserConfigKind};
use treering_actor::{Address, Following, Kind};

use crate::error::{CoreError, Result};
use crate::reading::steadily;
use crate::views::{self, Found, View};

trait Follow: Send {
    /// What the next commit left, with its version; None if there is none yet.
    fn next(&mut self) -> Result<Option<(Found, u64)>>;
}

struct Viewed<K: Kind> {
    following: Following<K>,
    view: View<K>,
    /// Whether what is known is still to be shown.
    due: bool,
}

impl<K: Kind> Follow for Viewed<K> {
    fn next(&mut self) -> Result<Option<(Found, u64)>> {
        self.due = self.due || self.following.advance()?;
        if !self.due {
            return Ok(None);
        }
        let found = self.following.look(&self.view)?;
        self.due = false;
        Ok(Some((found, self.following.version())))
    }
}

/// See the top of this file.
#[pyclass(frozen, generic, name = "StatesCore", module = "treering._core")]
pub struct StatesCore(Mutex<Box<dyn Follow>>);

impl StatesCore {
    /// From an actor as it is, which is then the first state; or from after a version.
    pub fn of<K: Kind>(
        py: Python<'_>,
        stores: &Stores,
        parts: &[&str],
        after: Option<u64>,
        view: View<K>,
    ) -> Result<Self> {
        Self::of_address(py, stores, stores.address::<K>(parts)?, after, view)
    }

    /// The same, of the kind of that name; `NotFound` for another.
    pub fn of_kind(
        py: Python<'_>,
        stores: &Stores,
        defaults: &Arc<Defaults>,
        kind: &str,
        parts: &[&str],
        after: Option<u64>,
    ) -> Result<Self> {
        match kind {
            UserConfigKind::NAME => Self::of(py, stores, parts, after, views::config(defaults)),
            MemoryKind::NAME => Self::of(py, stores, parts, after, views::memory()),
            AgentsKind::NAME => Self::of(py, stores, parts, after, views::agents()),
            ParticipantsKind::NAME => Self::of(py, stores, parts, after, views::rooms()),
            ChatKind::NAME => Self::of(py, stores, parts, after, views::chat()),
            ChatIndexKind::NAME => Self::of(py, stores, parts, after, views::chat_index()),
            FilesKind::NAME => Self::of(py, stores, parts, after, views::files()),
            WorkflowsKind::NAME => Self::of(py, stores, parts, after, views::workflows()),
            ScriptsKind::NAME => Self::of(py, stores, parts, after, views::scripts()),
            ConnectorsKind::NAME => {
                Self::of(py, stores, parts, after, views::catalog::<ConnectorsKind>())
            }
            RetentionKind::NAME => Self::of(py, stores, parts, after, views::retention()),
            RolesKind::NAME => Self::of(py, stores, parts, after, views::catalog::<RolesKind>()),
            other => Err(CoreError::NotFound {
                what: "kind of actor",
                which: other.to_owned(),
            }),
        }
    }

    /// The same, of an actor by its address.
    pub fn of_address<K: Kind>(
        py: Python<'_>,
        stores: &Stores,
        address: Address,
        after: Option<u64>,
        view: View<K>,
    ) -> Result<Self> {
        let following = steadily(py, || {
            let (reader, address) = (stores.reader(), address.clone());
            Ok(match after {
                None => Following::now(reader, address)?,
                Some(version) => Following::after(reader, address, version)?,
            })
        })?;
        let viewed = Viewed {
            following,
            view,
            due: after.is_none(),
        };
        Ok(Self(Mutex::new(Box::new(viewed))))
    }
}

#[pymethods]
impl StatesCore {
    /// What the next commit left, as the read of it gives it; None if there is none yet.
    fn next(&self, py: Python<'_>) -> Result<Option<Py<PyAny>>> {
        let next = steadily(py, || {
            let mut following = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            following.next()
        })?;
        next.map(|(found, version)| found(py, version)).transpose()
    }
}
