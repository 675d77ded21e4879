//! The built-in stores: for each its state, its rules, and its verbs.
//!
//! Promises: rules are pure; clock, chance and limits come in with the command and stand in the event.
//! Must never: touch a log. What a decider wants to happen it hands to its [`crate::Turn`] as events.

pub mod agents;
pub mod catalog;
pub mod chats;
pub mod connectors;
pub mod files;
pub mod memory;
pub mod participants;
pub mod retention;
pub mod roles;
pub mod secrets;
mod shelf;
pub mod sources;
pub mod user_config;

use std::sync::Arc;

use treering_store::{Durability, Store, Uploaded};
use treering_thread::Pending;
use treering_thread::command::Payload;

use crate::address::Address;
use crate::dispatch::{Answer, Command, Dispatcher, Done, Operation};
use crate::error::{ActorError, Result, within};
use crate::kind::Kind;
use crate::read::Reader;
use crate::turn::{Envelope, Turn};

/// UTF-8 bytes of an id: of an actor, a room, an agent, a conversation, a source.
pub const ID_BYTES_MAX: usize = 512;
/// UTF-8 bytes of a name, a title, a category.
pub const NAME_BYTES_MAX: usize = 1024;

/// Every kind of actor that this version knows.
pub const KINDS: [&str; 12] = [
    agents::AgentsKind::NAME,
    chats::ChatKind::NAME,
    chats::ChatIndexKind::NAME,
    connectors::ConnectorsKind::NAME,
    files::FilesKind::NAME,
    participants::ParticipantsKind::NAME,
    retention::RetentionKind::NAME,
    roles::RolesKind::NAME,
    sources::ScriptsKind::NAME,
    user_config::UserConfigKind::NAME,
    memory::MemoryKind::NAME,
    sources::WorkflowsKind::NAME,
];

/// Whether it is the name of a kind: of one that this version knows, or of a user's own.
#[must_use]
pub fn is_kind(name: &str) -> bool {
    KINDS.contains(&name) || crate::own::is_own(name)
}

/// What a caller may say with every command.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The version that the actor must be at.
    pub expected_version: Option<u64>,
    /// What makes a retry safe, what led to the command, on whose behalf.
    pub envelope: Envelope,
}

/// What of an actor's history is to be kept.
#[derive(Clone, Copy, Debug)]
pub enum Keep {
    /// The events from this version on.
    From(u64),
    /// So many of the newest events.
    Last(u64),
    /// What the actor was at a moment, Unix milliseconds, and the events after it.
    Since(i64),
}

/// The stores of one scope.
#[derive(Clone)]
pub struct Stores {
    dispatcher: Dispatcher,
    scope: String,
    durability: Durability,
}

impl Stores {
    /// Of a scope.
    ///
    /// # Errors
    /// `Invalid` for a blank scope.
    pub fn new(dispatcher: Dispatcher, scope: &str, durability: Durability) -> Result<Self> {
        treering_store::name::check_scope(scope)?;
        Ok(Self {
            dispatcher,
            scope: scope.to_owned(),
            durability,
        })
    }

    /// The scope.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// How durable its commits are.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// How it is read.
    pub fn reader(&self) -> Reader {
        self.dispatcher.reader()
    }

    /// What commits it.
    pub fn dispatcher(&self) -> &Dispatcher {
        &self.dispatcher
    }

    /// The actor of a kind.
    ///
    /// # Errors
    /// `Invalid` for blank parts, `LimitExceeded` for long ones.
    pub fn address<K: Kind>(&self, parts: &[&str]) -> Result<Address> {
        Address::new(&self.scope, K::NAME, parts)
    }

    /// Cuts off what happened to an actor before what is to be kept of it. What is to be kept is settled now: what
    /// happens before the command's turn comes is kept too.
    ///
    /// # Errors
    /// As for [`Dispatcher::trim`]; `Invalid` for blank parts.
    pub fn trim<K: Kind>(&self, parts: &[&str], keep: Keep) -> Result<Verb> {
        let address = self.address::<K>(parts)?;
        let (payload, keep_from) = self.kept::<K>(&address, keep)?;
        Ok(Verb {
            operation: self.dispatcher.trim::<K>(address, keep_from)?,
            payload,
        })
    }

    /// The version from which on events are kept, and what the caller gave.
    pub(crate) fn kept<K: Kind>(&self, address: &Address, keep: Keep) -> Result<(Payload, u64)> {
        let reader = self.reader();
        let mut payload = Payload::new("trim");
        // The digest is of what the caller gave, so that a repeated command is known as such.
        let keep_from = match keep {
            Keep::From(version) => {
                payload.number(version);
                version
            }
            Keep::Last(count) => {
                payload.text("last").number(count);
                let version = reader.now::<K>(address)?.place.version;
                version.saturating_sub(count) + 1
            }
            Keep::Since(at_ms) => {
                payload.text("since").bytes(&at_ms.to_be_bytes());
                match reader.at_time::<K>(address, at_ms) {
                    Ok(then) => then.place.version + 1,
                    // Cut off already.
                    Err(ActorError::HistoryTrimmed { .. }) => 0,
                    Err(error) => return Err(error),
                }
            }
        };
        Ok((payload, keep_from))
    }

    /// Queues one verb of a store.
    ///
    /// # Errors
    /// As for [`Dispatcher::dispatch`].
    pub fn submit<K: Kind>(
        &self,
        verb: Verb,
        options: Options,
    ) -> Result<Pending<Answer<K>, ActorError>> {
        let Verb { operation, payload } = verb.expecting(options.expected_version);
        let command = Command {
            operation,
            payload: payload.finish(),
            envelope: options.envelope,
        };
        self.dispatcher.dispatch(command, self.durability)
    }
}

/// A verb of a store with its arguments, checked as far as they say by themselves.
pub struct Verb {
    /// What it does, and to which actor.
    pub operation: Operation,
    /// What the caller gave.
    pub payload: Payload,
}

impl Verb {
    fn new<K: Kind>(
        address: Address,
        payload: Payload,
        act: impl Fn(&mut Turn<'_>, &Address) -> Result<Done> + Send + Sync + 'static,
    ) -> Self {
        Self {
            operation: Operation::new::<K>(address, act),
            payload,
        }
    }

    /// The same, on an actor at that version.
    #[must_use]
    pub fn expecting(mut self, version: Option<u64>) -> Self {
        self.operation = self.operation.expecting(version);
        self
    }

    /// The same, with bytes that it may link to.
    fn bringing(mut self, upload: Arc<Uploaded>) -> Self {
        self.operation = self.operation.bringing(upload);
        self
    }

    /// The same, of one that deletes: it goes on on a full disk.
    fn freeing(mut self) -> Self {
        self.operation = self.operation.freeing();
        self
    }
}

/// A text that is something, and not too long.
fn check_text<'t>(field: &'static str, text: &'t str, bytes_max: usize) -> Result<&'t str> {
    if text.trim().is_empty() {
        return Err(ActorError::invalid(field, text, "it is blank"));
    }
    check_length(field, text, bytes_max)
}

/// A text that may be empty.
fn check_length<'t>(field: &'static str, text: &'t str, bytes_max: usize) -> Result<&'t str> {
    within(field, bytes_max, text.len())?;
    Ok(text)
}

/// Blocks of a store, for looking things up in an actor's collections.
pub fn look<T>(
    store: &dyn Store,
    look: impl FnOnce(&crate::kind::Blocks<'_>) -> Result<T>,
) -> Result<T> {
    let read = |cid: &treering_block::Cid| store.get(cid).map_err(ActorError::from);
    look(&crate::kind::Blocks::new(&read))
}
