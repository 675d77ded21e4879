//! What the verbs of stores answer beside their receipt: what they were about, as an object.
//!
//! Promises: a command that landed is answered, even if what it was about was cut off or collected meanwhile.
//! Never: a value is made up; where there is nothing to give, it is None.

use std::sync::Arc;

use pyo3::prelude::*;
use treering_actor::messages::{Participant, Script, Workflow};
use treering_actor::stores::chats::ChatKind;
use treering_actor::stores::look;
use treering_actor::stores::memory::MemoryKind;
use treering_actor::stores::participants::ParticipantsKind;
use treering_actor::stores::retention::RetentionKind;
use treering_actor::stores::sources::{ScriptsKind, WorkflowsKind};
use treering_actor::stores::user_config::{Defaults, UserConfigKind};
use treering_actor::{ActorError, Blocks, Kind, Loaded, Reader, Receipt};
use treering_store::{Store, StoreError};

use crate::error::Result;
use crate::messages::PyMessage;

pub fn no_value<K: Kind>(
    _: Python<'_>,
    _: &Reader,
    _: &Receipt,
    _: &Arc<Loaded<K>>,
    _: &[String],
) -> Result<Option<Py<PyAny>>> {
    Ok(None)
}

pub fn config_value(
    py: Python<'_>,
    _: &Reader,
    receipt: &Receipt,
    after: &Arc<Loaded<UserConfigKind>>,
    keys: &[String],
) -> Result<Option<Py<PyAny>>> {
    let config = match (after.exists(), keys) {
        (true, _) => after.state.clone(),
        // Who wrote what the defaults are anyway, is told the defaults.
        (false, [local, remote]) => Defaults {
            local_runtime_base_url: local.clone(),
            remote_runtime_base_url: remote.clone(),
        }
        .config(),
        (false, _) => return Ok(None),
    };
    Ok(Some(config.object_at(py, &[], receipt.version)?.unbind()))
}

pub fn policy_value(
    py: Python<'_>,
    _: &Reader,
    receipt: &Receipt,
    after: &Arc<Loaded<RetentionKind>>,
    _: &[String],
) -> Result<Option<Py<PyAny>>> {
    let policy = after.state.object_at(py, &[], receipt.version)?;
    Ok(Some(policy.unbind()))
}

pub fn entry_value(
    py: Python<'_>,
    _: &Reader,
    receipt: &Receipt,
    after: &Arc<Loaded<MemoryKind>>,
    _: &[String],
) -> Result<Option<Py<PyAny>>> {
    let entry = receipt.value.as_ref().and_then(|id| after.state.entry(id));
    entry
        .map(|entry| Ok(entry.object(py, &[])?.unbind()))
        .transpose()
}

pub fn participant_value(
    py: Python<'_>,
    reader: &Reader,
    _: &Receipt,
    after: &Arc<Loaded<ParticipantsKind>>,
    keys: &[String],
) -> Result<Option<Py<PyAny>>> {
    let [room, agent] = keys else {
        return Ok(None);
    };
    let there = found(py, reader, |blocks| after.state.participants(room, blocks))?;
    let one = there
        .into_iter()
        .find(|one: &Participant| one.agent_id == *agent);
    one.map(|one| Ok(one.object(py, &[])?.unbind())).transpose()
}

pub fn conversation_value(
    py: Python<'_>,
    _: &Reader,
    _: &Receipt,
    after: &Arc<Loaded<ChatKind>>,
    _: &[String],
) -> Result<Option<Py<PyAny>>> {
    if !after.exists() {
        return Ok(None);
    }
    Ok(Some(after.state.conversation.object(py, &[])?.unbind()))
}

pub fn workflow_value(
    py: Python<'_>,
    reader: &Reader,
    _: &Receipt,
    after: &Arc<Loaded<WorkflowsKind>>,
    keys: &[String],
) -> Result<Option<Py<PyAny>>> {
    let [id] = keys else {
        return Ok(None);
    };
    let one = found(py, reader, |blocks| after.state.get::<Workflow>(id, blocks))?;
    one.map(|one| Ok(one.object(py, &[])?.unbind())).transpose()
}

pub fn script_value(
    py: Python<'_>,
    reader: &Reader,
    _: &Receipt,
    after: &Arc<Loaded<ScriptsKind>>,
    keys: &[String],
) -> Result<Option<Py<PyAny>>> {
    let [id] = keys else {
        return Ok(None);
    };
    let one = found(py, reader, |blocks| after.state.get::<Script>(id, blocks))?;
    one.map(|one| Ok(one.object(py, &[])?.unbind())).transpose()
}

/// What a landed command was about; nothing where others have cut that off, and it was collected, meanwhile.
pub fn found<T: Send + Default>(
    py: Python<'_>,
    reader: &Reader,
    find: impl FnOnce(&Blocks<'_>) -> treering_actor::Result<T> + Send,
) -> Result<T> {
    let store: &Arc<dyn Store> = reader.store();
    py.detach(|| match look(&**store, find) {
        Err(ActorError::Store(StoreError::BlockNotFound(_))) => Ok(T::default()),
        answer => Ok(answer?),
    })
}
