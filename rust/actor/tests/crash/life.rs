//! A scripted life: every store is written to and read, each act ending in a state that can be told from the others.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use treering_actor::messages::{
    CliConnector, Connector, Conversation, MemoryEntry, Message, Role, UserConfigUpdated,
};
use treering_actor::stores::Keep;
use treering_actor::stores::agents::{self, AgentsKind};
use treering_actor::stores::catalog;
use treering_actor::stores::chats::{self, ChatKind};
use treering_actor::stores::connectors::ConnectorsKind;
use treering_actor::stores::files::{self, FilesKind, Incoming};
use treering_actor::stores::memory::{self, MemoryKind};
use treering_actor::stores::participants::{self, ParticipantsKind};
use treering_actor::stores::retention::{self, RetentionKind};
use treering_actor::stores::roles::RolesKind;
use treering_actor::stores::sources::{self, ScriptsKind, WorkflowsKind};
use treering_actor::stores::user_config::{self, UserConfigKind};
use treering_actor::stores::{Options, Stores, Verb};
use treering_actor::{Dispatcher, Envelope, Kind, Mixed, Receipt, Result};
use treering_block::Cid;
use treering_store::faults::Recorder;
use treering_store::{
    Clock, Disk, Durability, EmbeddedStore, GcOptions, OpenOptions, Store, StoreError,
};
use treering_thread::{ContentArg, StartArgs, StepArgs, Threads};

pub const SCOPE: &str = "alice";
const NOW_MS: i64 = 1_700_000_000_000;
/// Small, so that a short life sees several checkpoints.
const CHECKPOINT_LOG_BYTES: u64 = 96 << 10;
const MESSAGES_MAX: u32 = 12;
const ENTRIES_MAX: u32 = 5;
/// Enough for a file of its own.
const FILE_BYTES: usize = 270_000;
/// Of each kind in one commit: so many that a snapshot is due.
const TOGETHER: u64 = 16;

/// One thing that is done; numbers are what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Config(u64),
    Agent(u64),
    Unagent(u64),
    Join(u64),
    Leave(u64),
    Remember(u64),
    Forget(u64),
    Workflow(u64),
    Script(u64),
    /// All connectors are so many now; none at 0.
    Connectors(u64),
    DraftConnector(u64),
    UndraftConnector,
    Roles(u64),
    /// None at 0.
    DraftRole(u64),
    /// In a file of its own, which comes in pieces before the command.
    File(u64),
    Unfile(u64),
    Say(&'static str, u64),
    SaveChat(&'static str, u64),
    DeleteChat(&'static str),
    TrimConfig(u64),
    TrimAgents(u64),
    TrimChat(&'static str, u64),
    /// The scope keeps so many events.
    Retain(i64),
    /// Of the workflows, by what is kept.
    TrimByPolicy,
    /// A thread's start, or of 8 a step of the first, and many commands on actors, in one commit.
    Together(u64),
    /// A projection of another scope goes on until it has seen so many events, or all there are.
    Project(u64),
    Gc,
    Reopen,
}

pub const LIFE: &[Act] = &[
    Act::Config(1),
    Act::Agent(1),
    Act::Join(1),
    Act::Remember(1),
    Act::Workflow(1),
    Act::Script(1),
    Act::Connectors(3),
    Act::DraftRole(1),
    Act::File(1),
    Act::Say("a", 1),
    Act::Say("b", 2),
    Act::SaveChat("c", 3),
    Act::Project(5),
    Act::Together(4),
    Act::Project(25),
    Act::Reopen,
    Act::Project(45),
    Act::DraftConnector(2),
    Act::Roles(2),
    Act::Unagent(1),
    Act::Leave(1),
    Act::Forget(1),
    Act::Say("a", 7),
    Act::DeleteChat("b"),
    Act::UndraftConnector,
    Act::DraftRole(0),
    Act::Unfile(1),
    Act::Project(75),
    Act::Gc,
    Act::TrimConfig(10),
    Act::TrimAgents(17),
    Act::Gc,
    Act::Together(8),
    Act::Project(175),
    Act::Retain(7),
    Act::TrimByPolicy,
    // Valid, and nothing to do: a receipt alone.
    Act::Agent(800),
    Act::UndraftConnector,
    Act::Reopen,
    Act::Connectors(0),
    Act::Say("b", 9),
    Act::TrimChat("c", 20),
    Act::DeleteChat("a"),
    Act::Gc,
    Act::Project(275),
    Act::Config(10),
    // The bytes are there.
    Act::File(1),
    Act::Reopen,
    Act::File(2),
    Act::Say("c", 11),
    Act::Script(1),
    // The rest.
    Act::Project(10_000),
];

impl Act {
    /// What makes it safe to repeat; None for what is no command.
    pub fn command_id(self, at: usize) -> Option<String> {
        (!matches!(self, Act::Gc | Act::Reopen | Act::Project(_))).then(|| format!("{at} {self:?}"))
    }
}

/// What is set in a life in which history ends by itself: so few that it does, of every kind of actor.
pub const HISTORY_EVENTS: Option<u64> = Some(6);

pub struct Home {
    path: PathBuf,
    options: OpenOptions,
    history_events: Option<u64>,
}

impl Home {
    pub fn behind(root: &Path, recorder: &Arc<Recorder>, history_events: Option<u64>) -> Self {
        recorder.skip_real_syncs();
        Self {
            history_events,
            path: root.join("store"),
            options: OpenOptions {
                callers_wait: true,
                clock: Clock::manual(NOW_MS),
                checkpoint_log_bytes: CHECKPOINT_LOG_BYTES,
                disk: Disk::behind(Arc::clone(recorder) as _),
                ..OpenOptions::default()
            },
        }
    }

    /// How the store is opened.
    pub fn options(self) -> OpenOptions {
        self.options
    }

    pub fn open(&self) -> Result<Living, StoreError> {
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(&self.path, &self.options)?);
        let dispatcher = Dispatcher::new(Arc::clone(&store));
        let dispatcher = dispatcher.keeping(self.history_events).unwrap();
        let stores = Stores::new(dispatcher, SCOPE, Durability::Durable).unwrap();
        Ok(Living { store, stores })
    }
}

/// A store that somebody lives in.
pub struct Living {
    pub store: Arc<dyn Store>,
    pub stores: Stores,
}

fn options(command_id: Option<String>) -> Options {
    Options {
        expected_version: None,
        envelope: envelope(command_id),
    }
}

fn envelope(command_id: Option<String>) -> Envelope {
    Envelope {
        command_id,
        ..Envelope::default()
    }
}

fn said(number: u64) -> (Message, Vec<Cid>) {
    let message = Message {
        content: format!("said {number}"),
        ..Message::default()
    };
    (message, Vec::new())
}

fn connector(number: u64) -> Connector {
    Connector {
        name: format!("connector {number}"),
        r#type: "cli".to_owned(),
        cli: Some(Box::new(CliConnector {
            command: format!("command {number}"),
            ..CliConnector::default()
        })),
        ..Connector::default()
    }
}

fn role(number: u64) -> Role {
    Role {
        id: format!("role {number}"),
        ..Role::default()
    }
}

fn entry_id(number: u64) -> String {
    format!("{number:012x}")
}

impl Living {
    pub fn threads(&self) -> Threads {
        Threads::new(Arc::clone(&self.store), SCOPE, Durability::Durable).unwrap()
    }

    fn run<K: Kind>(&self, verb: Verb, command_id: Option<String>) -> Result<Vec<Receipt>> {
        let answer = self.stores.submit::<K>(verb, options(command_id))?;
        Ok(vec![answer.wait()?.receipt])
    }

    fn config(&self, number: u64) -> Result<Verb> {
        let fields = UserConfigUpdated {
            default_model: Some(format!("model {number}")),
            ..UserConfigUpdated::default()
        };
        user_config::update(&self.stores, &user_config::Defaults::default(), fields)
    }

    fn agent(&self, number: u64) -> Result<Verb> {
        agents::add(&self.stores, "worker", &format!("id {number}"))
    }

    fn join(&self, number: u64) -> Result<Verb> {
        participants::add(&self.stores, "room", &format!("agent {number}"), "")
    }

    fn remember(&self, number: u64) -> Result<Verb> {
        let entry = MemoryEntry {
            id: entry_id(number),
            content: format!("content {number}"),
            ..MemoryEntry::default()
        };
        memory::add(&self.stores, entry, ENTRIES_MAX)
    }

    fn workflow(&self, number: u64) -> Result<Verb> {
        let (id, yaml) = (format!("id {}", number % 3), format!("yaml {number}"));
        sources::upload_workflow(&self.stores, &id, "", &yaml, NOW_MS)
    }

    fn script(&self, number: u64) -> Result<Verb> {
        let (id, source) = (format!("id {}", number % 3), format!("source {number}"));
        sources::upload_script(&self.stores, &id, &source, NOW_MS)
    }

    fn connectors(&self, count: u64) -> Result<Verb> {
        let all = (0..count).map(connector).collect();
        catalog::save::<ConnectorsKind>(&self.stores, all)
    }

    fn draft_connector(&self, number: u64) -> Result<Verb> {
        catalog::save_draft::<ConnectorsKind>(&self.stores, Some(connector(number)))
    }

    fn roles(&self, count: u64) -> Result<Verb> {
        let all = (0..count).map(role).collect();
        catalog::save::<RolesKind>(&self.stores, all)
    }

    fn draft_role(&self, number: u64) -> Result<Verb> {
        let draft = (number > 0).then(|| role(number));
        catalog::save_draft::<RolesKind>(&self.stores, draft)
    }

    fn file(&self, number: u64) -> Result<Verb> {
        let content = number.to_le_bytes().repeat(FILE_BYTES / 8);
        let mut incoming = Incoming::begin(&*self.store, content.len() as u64)?;
        for piece in content.chunks(100_000) {
            incoming.write(piece)?;
        }
        files::put(
            &self.stores,
            &format!("f{number}"),
            incoming.finish()?,
            None,
        )
    }

    fn say(&self, chat: &str, number: u64) -> Result<Verb> {
        chats::append(&self.stores, chat, &[said(number)], MESSAGES_MAX)
    }

    fn together(&self, number: u64, command_id: Option<String>) -> Result<Vec<Receipt>> {
        let mut batch = self.threads().batch();
        // What a caller who repeats it gives is the same, whatever became of it.
        let thread = match number {
            8 => batch.thread(&self.threads().get("t4")?)?,
            _ => batch.start(StartArgs {
                key: Some(format!("t{number}")),
                ..StartArgs::new("w")
            })?,
        };
        let content = ContentArg::Text(format!("step {number}"));
        batch.append(thread, StepArgs::new("worker", content))?;
        let mut mixed = Mixed::new(self.stores.dispatcher().clone());
        for number in number * 100..number * 100 + TOGETHER {
            mixed.add(self.config(number)?);
            mixed.add(self.agent(number)?);
            mixed.add(self.join(number)?);
            mixed.add(self.remember(number)?);
            mixed.add(self.workflow(number)?);
            mixed.add(self.script(number)?);
            mixed.add(self.connectors(number % 4)?);
            mixed.add(self.draft_role(number)?);
            mixed.add(self.say("c", number)?);
        }
        let pending = mixed.commit(batch, envelope(command_id), Durability::Durable)?;
        let ran = pending.wait()?.ran;
        Ok(ran.into_iter().map(|one| one.receipt).collect())
    }

    /// Does the act at that place of the life, but for [`Act::Reopen`]; a second time it changes nothing.
    pub fn act(&self, at: usize, act: Act) -> Result<Vec<Receipt>> {
        let id = act.command_id(at);
        let stores = &self.stores;
        match act {
            Act::Config(number) => self.run::<UserConfigKind>(self.config(number)?, id),
            Act::Agent(number) => self.run::<AgentsKind>(self.agent(number)?, id),
            Act::Unagent(number) => {
                let verb = agents::remove(stores, "worker", &format!("id {number}"))?;
                self.run::<AgentsKind>(verb, id)
            }
            Act::Join(number) => self.run::<ParticipantsKind>(self.join(number)?, id),
            Act::Leave(number) => {
                let verb = participants::remove(stores, "room", &format!("agent {number}"))?;
                self.run::<ParticipantsKind>(verb, id)
            }
            Act::Remember(number) => self.run::<MemoryKind>(self.remember(number)?, id),
            Act::Forget(number) => {
                let purge = number.is_multiple_of(2);
                self.run::<MemoryKind>(memory::remove(stores, &entry_id(number), purge)?, id)
            }
            Act::Workflow(number) => self.run::<WorkflowsKind>(self.workflow(number)?, id),
            Act::Script(number) => self.run::<ScriptsKind>(self.script(number)?, id),
            Act::Connectors(count) => self.run::<ConnectorsKind>(self.connectors(count)?, id),
            Act::DraftConnector(number) => {
                self.run::<ConnectorsKind>(self.draft_connector(number)?, id)
            }
            Act::UndraftConnector => {
                self.run::<ConnectorsKind>(catalog::delete_draft::<ConnectorsKind>(stores)?, id)
            }
            Act::Roles(count) => self.run::<RolesKind>(self.roles(count)?, id),
            Act::DraftRole(number) => self.run::<RolesKind>(self.draft_role(number)?, id),
            Act::File(number) => self.run::<FilesKind>(self.file(number)?, id),
            Act::Unfile(number) => {
                self.run::<FilesKind>(files::delete(stores, &format!("f{number}"))?, id)
            }
            Act::Say(chat, number) => self.run::<ChatKind>(self.say(chat, number)?, id),
            Act::SaveChat(chat, number) => {
                let meta = Conversation {
                    title: format!("title {number}"),
                    ..Conversation::default()
                };
                let messages: Vec<_> = (number..number + 20).map(said).collect();
                let verb = chats::save(stores, chat, meta, &messages, MESSAGES_MAX)?;
                self.run::<ChatKind>(verb, id)
            }
            Act::DeleteChat(chat) => self.run::<ChatKind>(chats::delete(stores, chat)?, id),
            Act::TrimConfig(keep_from) => self.run::<UserConfigKind>(
                stores.trim::<UserConfigKind>(&[], Keep::From(keep_from))?,
                id,
            ),
            Act::TrimAgents(keep_from) => {
                self.run::<AgentsKind>(stores.trim::<AgentsKind>(&[], Keep::From(keep_from))?, id)
            }
            Act::TrimChat(chat, keep_from) => {
                self.run::<ChatKind>(stores.trim::<ChatKind>(&[chat], Keep::From(keep_from))?, id)
            }
            Act::Retain(keep) => {
                self.run::<RetentionKind>(retention::set(stores, Some(keep), None)?, id)
            }
            Act::TrimByPolicy => {
                let policy = retention::in_force(stores)?;
                let keep = Keep::Last(policy.state.keep.unwrap_or(u64::MAX));
                let verb = stores.trim::<WorkflowsKind>(&[], keep)?;
                let verb = verb.under_policy(stores, policy.place.version, policy.state)?;
                self.run::<WorkflowsKind>(verb, id)
            }
            Act::Together(number) => self.together(number, id),
            Act::Project(until) => {
                self.project(until)?;
                Ok(Vec::new())
            }
            Act::Gc => {
                self.store.gc(&GcOptions { dry_run: false })?;
                Ok(Vec::new())
            }
            Act::Reopen => panic!("whoever holds the store opens it"),
        }
    }
}
