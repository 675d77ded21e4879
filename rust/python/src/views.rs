//! What a read gives of an actor, by kind: looked up without the GIL, then made an object with it.
//!
//! Promises: a read of now, of a version and a subscription show the same. Never: a rule of a store is decided here.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyList;
use treering_actor::messages::{Script, Workflow};
use treering_actor::stores::agents::AgentsKind;
use treering_actor::stores::catalog::{CatalogKind, Item};
use treering_actor::stores::chats::{ChatIndexKind, ChatKind};
use treering_actor::stores::files::FilesKind;
use treering_actor::stores::memory::MemoryKind;
use treering_actor::stores::participants::ParticipantsKind;
use treering_actor::stores::retention::RetentionKind;
use treering_actor::stores::sources::{ScriptsKind, WorkflowsKind};
use treering_actor::stores::user_config::{self, Defaults, UserConfigKind};
use treering_actor::{Blocks, Kind, Loaded};

use crate::error::Result;
use crate::messages::PyMessage;

/// What was looked up; an object of it, as of a version.
pub type Found = Box<dyn FnOnce(Python<'_>, u64) -> Result<Py<PyAny>> + Send>;

/// A look at an actor.
pub type View<K> =
    Box<dyn Fn(&Arc<Loaded<K>>, &Blocks<'_>) -> treering_actor::Result<Found> + Send + Sync>;

fn view<K: Kind>(
    view: impl Fn(&Arc<Loaded<K>>, &Blocks<'_>) -> treering_actor::Result<Found> + Send + Sync + 'static,
) -> View<K> {
    Box::new(view)
}

fn found(object: impl FnOnce(Python<'_>, u64) -> Result<Py<PyAny>> + Send + 'static) -> Found {
    Box::new(object)
}

fn objects<'py, 'm, M: PyMessage + 'm>(
    py: Python<'py>,
    messages: impl IntoIterator<Item = &'m M>,
) -> Result<Bound<'py, PyList>> {
    let objects = messages.into_iter().map(|message| message.object(py, &[]));
    Ok(PyList::new(py, objects.collect::<Result<Vec<_>>>()?)?)
}

/// (messages, version).
fn listed<M: PyMessage + Send + 'static>(messages: Vec<M>) -> Found {
    found(move |py, version| {
        let all = (objects(py, &messages)?, version);
        Ok(all.into_pyobject(py)?.into_any().unbind())
    })
}

/// The configuration; never written, the defaults.
pub fn config(defaults: &Arc<Defaults>) -> View<UserConfigKind> {
    let defaults = Arc::clone(defaults);
    view(move |config: &Arc<Loaded<UserConfigKind>>, _| {
        let (config, defaults) = (Arc::clone(config), Arc::clone(&defaults));
        Ok(found(move |py, version| {
            let object = match config.exists() {
                true => config.state.object_at(py, &[], version)?,
                false => defaults.config().object_at(py, &[], version)?,
            };
            Ok(object.unbind())
        }))
    })
}

/// What of it is about language models.
pub fn preferences() -> View<UserConfigKind> {
    view(|config: &Arc<Loaded<UserConfigKind>>, _| {
        let preferences = user_config::llm_preferences(&config.state);
        Ok(found(move |py, version| {
            Ok(preferences.object_at(py, &[], version)?.unbind())
        }))
    })
}

/// The policy; never set, one that keeps all.
pub fn retention() -> View<RetentionKind> {
    view(|policy: &Arc<Loaded<RetentionKind>>, _| {
        let policy = policy.state;
        Ok(found(move |py, version| {
            Ok(policy.object_at(py, &[], version)?.unbind())
        }))
    })
}

/// (entries, version).
pub fn memory() -> View<MemoryKind> {
    view(|memory: &Arc<Loaded<MemoryKind>>, _| {
        let memory = Arc::clone(memory);
        Ok(found(move |py, version| {
            let all = (
                objects(py, memory.state.entries.iter().map(|entry| &**entry))?,
                version,
            );
            Ok(all.into_pyobject(py)?.into_any().unbind())
        }))
    })
}

/// (groups, version).
pub fn agents() -> View<AgentsKind> {
    view(|registry: &Arc<Loaded<AgentsKind>>, blocks| Ok(listed(registry.state.groups(blocks)?)))
}

/// (participants of a room, version of all rooms).
pub fn room(room_id: String) -> View<ParticipantsKind> {
    view(move |rooms: &Arc<Loaded<ParticipantsKind>>, blocks| {
        Ok(listed(rooms.state.participants(&room_id, blocks)?))
    })
}

/// ([(room, participants)] in the order of the rooms' ids, version).
pub fn rooms() -> View<ParticipantsKind> {
    view(|rooms: &Arc<Loaded<ParticipantsKind>>, blocks| {
        let each = |id: String| {
            let participants = rooms.state.participants(&id, blocks)?;
            Ok((id, participants))
        };
        let ids = rooms.state.ids(blocks)?.into_iter();
        let all: Vec<_> = ids.map(each).collect::<treering_actor::Result<_>>()?;
        Ok(found(move |py, version| {
            let each = |(id, participants)| Ok((id, objects(py, participants)?));
            let rooms = all.iter().map(|(id, participants)| (id, participants));
            let rooms: Vec<_> = rooms.map(each).collect::<Result<_>>()?;
            Ok((rooms, version).into_pyobject(py)?.into_any().unbind())
        }))
    })
}

/// (conversation or None, messages, version).
pub fn chat() -> View<ChatKind> {
    view(|chat: &Arc<Loaded<ChatKind>>, blocks| {
        let conversation = chat.exists().then(|| chat.state.conversation.clone());
        let messages = chat.state.messages(blocks)?;
        Ok(found(move |py, version| {
            let conversation = conversation
                .map(|known| known.object(py, &[]))
                .transpose()?;
            let messages = messages
                .iter()
                .map(|(message, links)| message.object(py, links));
            let messages = messages.collect::<Result<Vec<_>>>()?;
            let all = (conversation, messages, version);
            Ok(all.into_pyobject(py)?.into_any().unbind())
        }))
    })
}

/// (conversations, version of the list).
pub fn chat_index() -> View<ChatIndexKind> {
    view(|list: &Arc<Loaded<ChatIndexKind>>, blocks| Ok(listed(list.state.conversations(blocks)?)))
}

/// (items, version, whether they were ever saved, draft or None).
pub fn catalog<K: CatalogKind>() -> View<K>
where
    K::Item: PyMessage,
    <K::Item as Item>::Draft: PyMessage,
{
    view(|catalog: &Arc<Loaded<K>>, _| {
        let catalog = Arc::clone(catalog);
        Ok(found(move |py, version| {
            let state = &catalog.state;
            let draft = state.draft.as_deref();
            let draft = draft
                .map(|draft| draft.object_at(py, &[], version))
                .transpose()?;
            let all = (objects(py, &*state.items)?, version, state.saved, draft);
            Ok(all.into_pyobject(py)?.into_any().unbind())
        }))
    })
}

/// (files in the order of their paths, version).
pub fn files() -> View<FilesKind> {
    view(|files: &Arc<Loaded<FilesKind>>, blocks| {
        let files = files.state.all("", blocks)?;
        Ok(found(move |py, version| {
            let objects = files
                .iter()
                .map(|file| file.info.object(py, &[file.content]));
            let all = (objects.collect::<Result<Vec<_>>>()?, version);
            Ok(all.into_pyobject(py)?.into_any().unbind())
        }))
    })
}

/// (workflows in the order of their ids, version of all).
pub fn workflows() -> View<WorkflowsKind> {
    view(|all: &Arc<Loaded<WorkflowsKind>>, blocks| {
        let workflows: Vec<Workflow> = all.state.all(blocks)?;
        Ok(listed(workflows))
    })
}

/// (scripts in the order of their ids, version of all).
pub fn scripts() -> View<ScriptsKind> {
    view(|all: &Arc<Loaded<ScriptsKind>>, blocks| {
        let scripts: Vec<Script> = all.state.all(blocks)?;
        Ok(listed(scripts))
    })
}
