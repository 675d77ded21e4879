//! `StoresCore`: the stores of one scope.
//!
//! Promises: what reads or commits runs without the GIL; objects are made when it is there again.
//! Never: a rule of a store is decided here.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use treering_actor::messages::{
    AgentOperation, Conversation, MemoryEntry, Script, UserConfig, UserConfigUpdated, Workflow,
};
use treering_actor::stores::agents::{self, AgentsKind};
use treering_actor::stores::chats::{self, ChatIndexKind, ChatKind};
use treering_actor::stores::connectors::ConnectorsKind;
use treering_actor::stores::files::FilesKind;
use treering_actor::stores::memory::{self, MemoryKind};
use treering_actor::stores::participants::{self, ParticipantsKind};
use treering_actor::stores::retention::{self, RetentionKind};
use treering_actor::stores::roles::RolesKind;
use treering_actor::stores::sources::{self, ScriptsKind, WorkflowsKind};
use treering_actor::stores::user_config::{self, Defaults, UserConfigKind};
use treering_actor::stores::{Options, Stores};
use treering_actor::{Envelope, Kind, Loaded};

use crate::batch::BatchCore;
use crate::buckets::attended_by;
use crate::convert::{Count, Signed, Text};
use crate::error::{CoreError, Result};
use crate::kinds::{self, by_kind};
use crate::messages::{PyEnum, PyMessage};
use crate::pending::PyPending;
use crate::reading::{steadily, steadily_heard};
use crate::states::StatesCore;
use crate::taking::{kept, messages_of, needs_no_class, taken};
use crate::threads::ThreadsCore;
use crate::values::{
    config_value, conversation_value, entry_value, no_value, participant_value, policy_value,
    script_value, workflow_value,
};
use crate::verb::VerbCore;
use crate::views;

/// The stores of one scope.
#[pyclass(frozen, name = "StoresCore", module = "treering._core")]
pub struct StoresCore {
    stores: Stores,
    settings: Settings,
}

/// What an application has set. Each goes into the events that come of it, where it matters.
pub struct Settings {
    pub defaults: Arc<Defaults>,
    /// Entries of a memory that are kept.
    pub memory_entries: u32,
    /// Messages of a conversation that are kept.
    pub chat_messages: u32,
}

impl Settings {
    fn urls(&self) -> Vec<String> {
        let Defaults {
            local_runtime_base_url: local,
            remote_runtime_base_url: remote,
        } = &*self.defaults;
        vec![local.clone(), remote.clone()]
    }
}

impl StoresCore {
    pub fn new(stores: Stores, settings: Settings) -> Self {
        Self { stores, settings }
    }

    pub fn stores(&self) -> &Stores {
        &self.stores
    }
}

#[pymethods]
impl StoresCore {
    #[getter]
    fn scope(&self) -> &str {
        self.stores.scope()
    }

    /// The newest erasure of the scope, None if there was none: versions of before it count for nothing after it.
    fn life<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyBytes>>> {
        let life = py.detach(|| self.stores.reader().life(self.stores.scope()))?;
        Ok(life.map(|id| PyBytes::new(py, &id)))
    }

    /// Queues a verb: (version, changed, value, dropped, dropped ids, warnings, replayed) once it is done.
    #[pyo3(signature = (verb, expected_version, command_id, principal, causation_id))]
    fn submit(
        &self,
        py: Python<'_>,
        verb: &VerbCore,
        expected_version: Option<Count>,
        command_id: Option<Text>,
        principal: Option<Text>,
        causation_id: Option<Text>,
    ) -> Result<PyPending> {
        let verb = verb.take()?;
        let options = Options {
            expected_version: expected_version.map(|Count(version)| version),
            envelope: Envelope {
                command_id: command_id.map(|Text(id)| id),
                causation_id: causation_id.map(|Text(id)| id),
                principal: principal.map(|Text(name)| name),
            },
        };
        let reader = self.stores.reader();
        attended_by(py, &**reader.store(), || verb.submit(&self.stores, options))?
    }

    /// What the store's clock says, Unix milliseconds.
    fn now_ms(&self, py: Python<'_>) -> i64 {
        py.detach(|| self.stores.reader().store().now_ms())
    }

    /// A commit of several changes, of threads and stores of this scope, to be drafted.
    fn batch(&self, py: Python<'_>, threads: &ThreadsCore) -> BatchCore {
        let threads = threads.threads();
        let batch = py.detach(|| threads.batch());
        BatchCore::new(batch, &self.stores, threads.durability())
    }

    // user_config

    #[pyo3(signature = (version=None))]
    fn user_config<'py>(
        &self,
        py: Python<'py>,
        version: Option<Count>,
    ) -> Result<Bound<'py, PyAny>> {
        self.viewed(py, &[], version, &views::config(&self.settings.defaults))
    }

    #[pyo3(signature = (version=None))]
    fn llm_preferences<'py>(
        &self,
        py: Python<'py>,
        version: Option<Count>,
    ) -> Result<Bound<'py, PyAny>> {
        self.viewed(py, &[], version, &views::preferences())
    }

    #[pyo3(signature = (config))]
    fn user_config_save(&self, config: &Bound<'_, PyAny>) -> Result<VerbCore> {
        let config = taken(UserConfig::from_object(config, "config", &mut Vec::new()))?;
        let verb = user_config::save(&self.stores, &self.settings.defaults, config)?;
        Ok(VerbCore::new::<UserConfigKind>(
            verb,
            config_value,
            self.settings.urls(),
        ))
    }

    /// Fields that are not given stay as they are.
    #[pyo3(signature = (fields))]
    fn user_config_update(&self, fields: &Bound<'_, PyAny>) -> Result<VerbCore> {
        let fields = taken(UserConfigUpdated::from_object(
            fields,
            "fields",
            &mut Vec::new(),
        ))?;
        let verb = user_config::update(&self.stores, &self.settings.defaults, fields)?;
        Ok(VerbCore::new::<UserConfigKind>(
            verb,
            config_value,
            self.settings.urls(),
        ))
    }

    // retention

    #[pyo3(signature = (version=None))]
    fn retention<'py>(&self, py: Python<'py>, version: Option<Count>) -> Result<Bound<'py, PyAny>> {
        self.viewed(py, &[], version, &views::retention())
    }

    /// The policy that a trim goes by: `NewerSchema` where this version does not know all of it.
    fn retention_in_force<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        let policy = steadily(py, || Ok(retention::in_force(&self.stores)?))?;
        policy.state.object_at(py, &[], policy.place.version)
    }

    #[pyo3(signature = (keep, younger_than_ms))]
    fn retention_set(
        &self,
        keep: Option<Signed>,
        younger_than_ms: Option<Signed>,
    ) -> Result<VerbCore> {
        let number = |value: Option<Signed>| value.map(|Signed(value)| value);
        let verb = retention::set(&self.stores, number(keep), number(younger_than_ms))?;
        Ok(VerbCore::new::<RetentionKind>(
            verb,
            policy_value,
            Vec::new(),
        ))
    }

    // memory

    /// (entries, version).
    #[pyo3(signature = (version=None))]
    fn memory<'py>(&self, py: Python<'py>, version: Option<Count>) -> Result<Bound<'py, PyAny>> {
        self.viewed(py, &[], version, &views::memory())
    }

    #[pyo3(signature = (max_chars))]
    fn memory_prompt_section(&self, py: Python<'_>, max_chars: Count) -> Result<String> {
        let max_chars = usize::try_from(max_chars.0).unwrap_or(usize::MAX);
        steadily(py, || {
            let (loaded, _) = self.loaded::<MemoryKind>(&[], None)?;
            Ok(memory::prompt_section(&loaded.state, max_chars))
        })
    }

    #[pyo3(signature = (entry))]
    fn memory_add(&self, entry: &Bound<'_, PyAny>) -> Result<VerbCore> {
        let mut entry = taken(MemoryEntry::from_object(entry, "entry", &mut Vec::new()))?;
        entry.id = memory::new_id();
        let verb = memory::add(&self.stores, entry, self.settings.memory_entries)?;
        Ok(VerbCore::new::<MemoryKind>(verb, entry_value, Vec::new()))
    }

    #[pyo3(signature = (id, purge))]
    fn memory_remove(&self, id: Text, purge: bool) -> Result<VerbCore> {
        let verb = memory::remove(&self.stores, &id, purge)?;
        Ok(VerbCore::new::<MemoryKind>(verb, no_value, Vec::new()))
    }

    #[pyo3(signature = (entries))]
    fn memory_save(&self, entries: Vec<Bound<'_, PyAny>>) -> Result<VerbCore> {
        let entries = entries
            .iter()
            .map(|entry| taken(MemoryEntry::from_object(entry, "entries", &mut Vec::new())))
            .collect::<Result<Vec<_>>>()?;
        let verb = memory::save(&self.stores, entries, self.settings.memory_entries)?;
        Ok(VerbCore::new::<MemoryKind>(verb, no_value, Vec::new()))
    }

    #[pyo3(signature = (purge))]
    fn memory_clear(&self, purge: bool) -> Result<VerbCore> {
        let verb = memory::clear(&self.stores, purge)?;
        Ok(VerbCore::new::<MemoryKind>(verb, no_value, Vec::new()))
    }

    // agents

    /// (groups, version).
    #[pyo3(signature = (version=None))]
    fn agents<'py>(&self, py: Python<'py>, version: Option<Count>) -> Result<Bound<'py, PyAny>> {
        self.viewed(py, &[], version, &views::agents())
    }

    #[pyo3(signature = (agent_type, actor_id))]
    fn agents_add(&self, agent_type: Text, actor_id: Text) -> Result<VerbCore> {
        let verb = agents::add(&self.stores, &agent_type, &actor_id)?;
        Ok(VerbCore::new::<AgentsKind>(verb, no_value, Vec::new()))
    }

    #[pyo3(signature = (agent_type, actor_id))]
    fn agents_remove(&self, agent_type: Text, actor_id: Text) -> Result<VerbCore> {
        let verb = agents::remove(&self.stores, &agent_type, &actor_id)?;
        Ok(VerbCore::new::<AgentsKind>(verb, no_value, Vec::new()))
    }

    /// An `Admission`; an operation that is none of `AgentOperation` counts as unknown.
    #[pyo3(signature = (agent_type, actor_id, operation))]
    fn agents_authorize<'py>(
        &self,
        py: Python<'py>,
        agent_type: Text,
        actor_id: Text,
        operation: &Bound<'py, PyString>,
    ) -> Result<Bound<'py, PyAny>> {
        let number = AgentOperation::class().number(operation.as_any(), "operation");
        let operation = number
            .ok()
            .and_then(|number| AgentOperation::try_from(number).ok())
            .unwrap_or(AgentOperation::Unknown);
        let admission = steadily(py, || {
            Ok(agents::authorize(
                &self.stores,
                &agent_type,
                &actor_id,
                operation,
            )?)
        })?;
        treering_actor::messages::Admission::class().member(py, admission.into(), "admission")
    }

    // participants

    /// (participants of a room, version of all rooms).
    #[pyo3(signature = (room_id, version=None))]
    fn participants<'py>(
        &self,
        py: Python<'py>,
        room_id: Text,
        version: Option<Count>,
    ) -> Result<Bound<'py, PyAny>> {
        self.viewed(py, &[], version, &views::room(room_id.0))
    }

    /// ([(room, participants)] in the order of the rooms' ids, version of all rooms).
    #[pyo3(signature = (version=None))]
    fn all_participants<'py>(
        &self,
        py: Python<'py>,
        version: Option<Count>,
    ) -> Result<Bound<'py, PyAny>> {
        self.viewed(py, &[], version, &views::rooms())
    }

    /// (ids of the rooms, in order, version of all rooms).
    #[pyo3(signature = (version=None))]
    fn rooms(&self, py: Python<'_>, version: Option<Count>) -> Result<(Vec<String>, u64)> {
        self.found(
            py,
            &[],
            version,
            |rooms: &Arc<Loaded<ParticipantsKind>>, blocks| rooms.state.ids(blocks),
        )
    }

    #[pyo3(signature = (room_id, agent_id, display_name))]
    fn participants_add(
        &self,
        room_id: Text,
        agent_id: Text,
        display_name: Text,
    ) -> Result<VerbCore> {
        let verb = participants::add(&self.stores, &room_id, &agent_id, &display_name)?;
        Ok(VerbCore::new::<ParticipantsKind>(
            verb,
            participant_value,
            vec![room_id.0, agent_id.0],
        ))
    }

    #[pyo3(signature = (room_id, agent_id))]
    fn participants_remove(&self, room_id: Text, agent_id: Text) -> Result<VerbCore> {
        let verb = participants::remove(&self.stores, &room_id, &agent_id)?;
        Ok(VerbCore::new::<ParticipantsKind>(
            verb,
            no_value,
            Vec::new(),
        ))
    }

    #[pyo3(signature = (room_id))]
    fn participants_remove_room(&self, room_id: Text) -> Result<VerbCore> {
        let verb = participants::remove_room(&self.stores, &room_id)?;
        Ok(VerbCore::new::<ParticipantsKind>(
            verb,
            no_value,
            Vec::new(),
        ))
    }

    // chats

    /// (conversations, version of the list).
    #[pyo3(signature = (version=None))]
    fn chat_index<'py>(
        &self,
        py: Python<'py>,
        version: Option<Count>,
    ) -> Result<Bound<'py, PyAny>> {
        self.viewed(py, &[], version, &views::chat_index())
    }

    /// (conversation or None, messages, version).
    #[pyo3(signature = (conversation_id, version=None))]
    fn chat<'py>(
        &self,
        py: Python<'py>,
        conversation_id: Text,
        version: Option<Count>,
    ) -> Result<Bound<'py, PyAny>> {
        self.viewed(py, &[&conversation_id], version, &views::chat())
    }

    #[pyo3(signature = (conversation_id, meta, messages))]
    fn chats_save(
        &self,
        conversation_id: Text,
        meta: &Bound<'_, PyAny>,
        messages: Vec<Bound<'_, PyAny>>,
    ) -> Result<VerbCore> {
        let meta = taken(Conversation::from_object(meta, "meta", &mut Vec::new()))?;
        let messages = messages_of(&messages)?;
        let cap = self.settings.chat_messages;
        let verb = chats::save(&self.stores, &conversation_id, meta, &messages, cap)?;
        Ok(VerbCore::new::<ChatKind>(
            verb,
            conversation_value,
            Vec::new(),
        ))
    }

    #[pyo3(signature = (conversation_id, messages))]
    fn chats_append(
        &self,
        conversation_id: Text,
        messages: Vec<Bound<'_, PyAny>>,
    ) -> Result<VerbCore> {
        let messages = messages_of(&messages)?;
        let cap = self.settings.chat_messages;
        let verb = chats::append(&self.stores, &conversation_id, &messages, cap)?;
        Ok(VerbCore::new::<ChatKind>(
            verb,
            conversation_value,
            Vec::new(),
        ))
    }

    #[pyo3(signature = (conversation_id))]
    fn chats_delete(&self, conversation_id: Text) -> Result<VerbCore> {
        let verb = chats::delete(&self.stores, &conversation_id)?;
        Ok(VerbCore::new::<ChatKind>(verb, no_value, Vec::new()))
    }

    // workflows and scripts

    /// (workflow or None, version of all).
    #[pyo3(signature = (id, version=None))]
    fn workflow<'py>(
        &self,
        py: Python<'py>,
        id: Text,
        version: Option<Count>,
    ) -> Result<(Option<Bound<'py, PyAny>>, u64)> {
        self.single::<WorkflowsKind, Workflow>(py, version, |all, blocks| all.get(&id, blocks))
    }

    /// (workflows in the order of their ids, version of all).
    #[pyo3(signature = (version=None))]
    fn workflows<'py>(&self, py: Python<'py>, version: Option<Count>) -> Result<Bound<'py, PyAny>> {
        self.viewed(py, &[], version, &views::workflows())
    }

    #[pyo3(signature = (id, name, yaml))]
    fn workflows_upload(&self, id: Text, name: Text, yaml: Text) -> Result<VerbCore> {
        let now_ms = self.stores.reader().store().now_ms();
        let verb = sources::upload_workflow(&self.stores, &id, &name, &yaml, now_ms)?;
        Ok(VerbCore::new::<WorkflowsKind>(
            verb,
            workflow_value,
            vec![id.0],
        ))
    }

    /// (script or None, version of all).
    #[pyo3(signature = (id, version=None))]
    fn script<'py>(
        &self,
        py: Python<'py>,
        id: Text,
        version: Option<Count>,
    ) -> Result<(Option<Bound<'py, PyAny>>, u64)> {
        self.single::<ScriptsKind, Script>(py, version, |all, blocks| all.get(&id, blocks))
    }

    /// (scripts in the order of their ids, version of all).
    #[pyo3(signature = (version=None))]
    fn scripts<'py>(&self, py: Python<'py>, version: Option<Count>) -> Result<Bound<'py, PyAny>> {
        self.viewed(py, &[], version, &views::scripts())
    }

    #[pyo3(signature = (id, source))]
    fn scripts_upload(&self, id: Text, source: Text) -> Result<VerbCore> {
        let now_ms = self.stores.reader().store().now_ms();
        let verb = sources::upload_script(&self.stores, &id, &source, now_ms)?;
        Ok(VerbCore::new::<ScriptsKind>(verb, script_value, vec![id.0]))
    }

    // any actor, by its kind

    /// Where an actor stands: `version`, `at_ms`, `deleted_at_ms`, `oldest`, `snapshot`, `schema`, `head`.
    #[pyo3(signature = (kind, parts))]
    fn actor<'py>(
        &self,
        py: Python<'py>,
        kind: Text,
        parts: Vec<Text>,
    ) -> Result<Bound<'py, PyDict>> {
        let place = steadily(py, || {
            by_kind!(&*kind, kinds::place(&self.stores, &kind, &parts))
        })?;
        kinds::place_object(py, &place)
    }

    /// What the read of an actor gives, commit by commit: from now on, with what it is now, or after a version.
    #[pyo3(signature = (kind, parts, after))]
    fn states(
        &self,
        py: Python<'_>,
        kind: Text,
        parts: Vec<Text>,
        after: Option<Count>,
    ) -> Result<StatesCore> {
        let parts: Vec<&str> = parts.iter().map(|Text(part)| part.as_str()).collect();
        let after = after.map(|Count(version)| version);
        let defaults = &self.settings.defaults;
        StatesCore::of_kind(py, &self.stores, defaults, &kind, &parts, after)
    }

    /// The same of what of the configuration is about language models.
    #[pyo3(signature = (after))]
    fn llm_preferences_states(&self, py: Python<'_>, after: Option<Count>) -> Result<StatesCore> {
        let after = after.map(|Count(version)| version);
        StatesCore::of(py, &self.stores, &[], after, views::preferences())
    }

    /// The same of one room.
    #[pyo3(signature = (room_id, after))]
    fn participants_states(
        &self,
        py: Python<'_>,
        room_id: Text,
        after: Option<Count>,
    ) -> Result<StatesCore> {
        let after = after.map(|Count(version)| version);
        StatesCore::of(py, &self.stores, &[], after, views::room(room_id.0))
    }

    /// Events of versions `first` to `last` (both included; None: the newest), oldest first, some of them: ask again
    /// from where they end.
    #[pyo3(signature = (kind, parts, first, last))]
    fn events<'py>(
        &self,
        py: Python<'py>,
        kind: Text,
        parts: Vec<Text>,
        first: Count,
        last: Option<Count>,
    ) -> Result<Bound<'py, PyList>> {
        let last = last.map(|Count(last)| last);
        let events = steadily(py, || {
            by_kind!(
                &*kind,
                kinds::events(&self.stores, &kind, &parts, first.0, last)
            )
        })?;
        kinds::events_list(py, &events)
    }

    /// Reads an actor's whole log and checks it: how many events it has.
    #[pyo3(signature = (kind, parts))]
    fn verify_actor(&self, py: Python<'_>, kind: Text, parts: Vec<Text>) -> Result<u64> {
        steadily(py, || {
            by_kind!(&*kind, kinds::verify(&self.stores, &kind, &parts))
        })
    }

    /// Makes an actor's read model anew from its events: the version that it is of.
    #[pyo3(signature = (kind, parts))]
    fn rebuild(&self, py: Python<'_>, kind: Text, parts: Vec<Text>) -> Result<u64> {
        needs_no_class(&kind)?;
        steadily_heard(py, || {
            by_kind!(&*kind, kinds::rebuild(&self.stores, &kind, &parts))
        })
    }

    /// Cuts off an actor's history: exactly one says what is kept of it.
    #[pyo3(signature = (kind, parts, before, since_ms, last))]
    fn trim(
        &self,
        py: Python<'_>,
        kind: Text,
        parts: Vec<Text>,
        before: Option<Count>,
        since_ms: Option<Signed>,
        last: Option<Count>,
    ) -> Result<VerbCore> {
        let keep = kept(before, since_ms, last)?;
        needs_no_class(&kind)?;
        steadily(py, || {
            by_kind!(&*kind, kinds::trim(&self.stores, &parts, keep))
        })
    }

    /// The newest version that is not later than a moment, Unix milliseconds.
    #[pyo3(signature = (kind, parts, at_ms))]
    fn version_at(
        &self,
        py: Python<'_>,
        kind: Text,
        parts: Vec<Text>,
        at_ms: Signed,
    ) -> Result<u64> {
        steadily(py, || {
            by_kind!(
                &*kind,
                kinds::version_at(&self.stores, &kind, &parts, at_ms.0)
            )
        })
    }
}
