//! The one way to change actors: commands, decided when their commit's turn comes.
//!
//! Promises: callers who change one actor never lose to each other and share fsyncs; a refused command leaves no
//! trace; a repeated command id is answered from its receipt, whatever has become of the actor.
//! Must never: run a caller's code in a commit.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use treering_block::Cid;
use treering_store::commit::COMMIT_BYTES_MAX;
use treering_store::{
    Commit, Committed, Decide, Decided, Durability, RefName, Store, StoreError, Uploaded, View,
    commit,
};
use treering_thread::command::CommandKey;
use treering_thread::{Outcome, Pending};

use crate::address::Address;
use crate::cache::Cache;
use crate::error::{ActorError, Result};
use crate::kind::{Blocks, Kind};
use crate::loaded::{Loaded, load};
use crate::mixed::Ran;
use crate::read::Reader;
use crate::receipt::{self, Receipt};
use crate::source;
use crate::turn::{Envelope, HISTORY_EVENTS_MAX, Turn};

/// What a decider says of what it did, beside its events.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// Id of what the command was about.
    pub value: Option<String>,
    /// How much was trimmed or evicted.
    pub dropped: u64,
    /// Their ids, where they have ids.
    pub dropped_ids: Vec<String>,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

type Act = Box<dyn Fn(&mut Turn<'_>) -> Result<Done> + Send + Sync>;
type State = Arc<dyn Any + Send + Sync>;
type Look = fn(&mut Turn<'_>, &Address) -> Result<(u64, State)>;

/// One command, and the actor that it addresses.
pub struct Operation {
    address: Address,
    expected_version: Option<u64>,
    frees: bool,
    uploads: Vec<Arc<Uploaded>>,
    act: Act,
    look: Look,
    warm: fn(&dyn Store, &Cache, &Address) -> Result<()>,
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Operation on {}", self.address.log())
    }
}

impl Operation {
    /// `act` on an actor.
    pub fn new<K: Kind>(
        address: Address,
        act: impl Fn(&mut Turn<'_>, &Address) -> Result<Done> + Send + Sync + 'static,
    ) -> Self {
        let at = address.clone();
        Self {
            address,
            expected_version: None,
            frees: false,
            uploads: Vec::new(),
            act: Box::new(move |turn| act(turn, &at)),
            look: |turn, address| {
                let loaded = turn.load::<K>(address)?;
                Ok((loaded.place.version, loaded))
            },
            warm: |store, cache, address| {
                load::<K>(&source::Committed(store), cache, address, true).map(drop)
            },
        }
    }

    /// The same, on an actor at that version.
    #[must_use]
    pub fn expecting(mut self, version: Option<u64>) -> Self {
        self.expected_version = version;
        self
    }

    /// The same, refused where something else does not hold when its turn comes.
    #[must_use]
    pub(crate) fn provided(
        mut self,
        holds: impl Fn(&mut Turn<'_>) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        let act = self.act;
        self.act = Box::new(move |turn| {
            holds(turn)?;
            act(turn)
        });
        self
    }

    /// The same, of one that deletes, and takes little room for it: it goes on on a full disk.
    #[must_use]
    pub(crate) fn freeing(mut self) -> Self {
        self.frees = true;
        self
    }

    /// The same, with bytes that its events may link to.
    #[must_use]
    pub(crate) fn bringing(mut self, upload: Arc<Uploaded>) -> Self {
        self.uploads.push(upload);
        self
    }

    /// Bytes that its events may link to.
    pub(crate) fn uploads(&self) -> &[Arc<Uploaded>] {
        &self.uploads
    }

    /// The version that the actor must be at, if that matters.
    pub fn expected_version(&self) -> Option<u64> {
        self.expected_version
    }

    /// The actor that it addresses.
    pub fn address(&self) -> &Address {
        &self.address
    }

    fn run(&self, turn: &mut Turn<'_>) -> Result<(Receipt, State)> {
        let (before, _) = (self.look)(turn, &self.address)?;
        if let Some(expected) = self.expected_version.filter(|expected| *expected != before) {
            return Err(ActorError::VersionConflict {
                actor: self.address.log().encoded().to_owned(),
                expected,
                actual: before,
            });
        }
        let changes = turn.changes();
        let Done {
            value,
            dropped,
            dropped_ids,
            warnings,
        } = (self.act)(turn)?;
        let (version, state) = (self.look)(turn, &self.address)?;
        let receipt = Receipt {
            version,
            changed: version != before || turn.changes() != changes,
            value,
            dropped,
            dropped_ids,
            warnings,
            replayed: false,
        };
        Ok((receipt, state))
    }
}

/// Operations that are decided together.
pub(crate) struct Decision {
    operations: Arc<Vec<Operation>>,
    cache: Arc<Cache>,
    envelope: Envelope,
    history_events: Option<u64>,
    /// The receipt of what goes with them in one commit.
    beside: Option<Vec<u8>>,
    outcome: Mutex<Option<Result<Vec<Ran>>>>,
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.operations.iter()).finish()
    }
}

impl Decision {
    pub(crate) fn outcome(&self) -> Option<Result<Vec<Ran>>> {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        outcome.take()
    }

    fn run(&self, view: &mut dyn View, at_ms: i64) -> Result<(Vec<Ran>, Decided)> {
        let (ran, decided) = self.run_keeping(self.history_events, view, at_ms)?;
        let bytes: u64 = decided
            .blocks
            .iter()
            .map(|block| block.bytes.len() as u64)
            .sum();
        if self.history_events.is_some() && view.brought().saturating_add(bytes) > COMMIT_BYTES_MAX
        {
            // It may be what goes that makes it too large.
            return self.run_keeping(None, view, at_ms);
        }
        Ok((ran, decided))
    }

    fn run_keeping(
        &self,
        history_events: Option<u64>,
        view: &mut dyn View,
        at_ms: i64,
    ) -> Result<(Vec<Ran>, Decided)> {
        let view = RefCell::new(view);
        let read_ref = |name: &RefName| Ok(view.borrow_mut().read_ref(name)?);
        let read = |cid: &Cid| Ok(view.borrow_mut().block(cid)?);
        let blocks = Blocks::new(&read);
        let mut turn = Turn::new(&read_ref, blocks, &self.cache, &self.envelope, at_ms);
        let mut ran = Vec::with_capacity(self.operations.len());
        for operation in self.operations.iter() {
            let (receipt, state) = operation.run(&mut turn)?;
            ran.push(Ran {
                receipt,
                after: Some(state),
            });
        }
        turn.retain(history_events)?;
        Ok((ran, turn.finish()?))
    }
}

impl Decision {
    /// The same, to be decided beside what leaves that receipt.
    pub(crate) fn beside(&self, receipt: Vec<u8>) -> Self {
        Self {
            operations: Arc::clone(&self.operations),
            cache: Arc::clone(&self.cache),
            envelope: self.envelope.clone(),
            history_events: self.history_events,
            beside: Some(receipt),
            outcome: Mutex::default(),
        }
    }
}

impl Decide for Decision {
    fn decide(&self, view: &mut dyn View, at_ms: i64) -> Result<Decided, StoreError> {
        let decided = self.run(view, at_ms).and_then(|(ran, mut decided)| {
            if self.envelope.command_id.is_some() {
                let receipts: Vec<Receipt> = ran.iter().map(|one| one.receipt.clone()).collect();
                let own = receipt::encode(&receipts)?;
                decided.receipt = Some(match &self.beside {
                    Some(beside) => receipt::join(beside, &own)?,
                    None => own,
                });
            }
            Ok((ran, decided))
        });
        let (outcome, answer) = match decided {
            Ok((ran, decided)) => (Ok(ran), Ok(decided)),
            Err(ActorError::Store(error)) => (Err(error.clone().into()), Err(error)),
            Err(error) => (Err(error), Err(StoreError::Refused)),
        };
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        answer
    }
}

/// What a command came to.
#[derive(Debug)]
pub struct Answer<K: Kind> {
    /// What it did.
    pub receipt: Receipt,
    /// The actor after it; None for a repeated command whose version is not kept any more.
    pub after: Option<Arc<Loaded<K>>>,
}

/// What a command is to do, and to which actor.
pub struct Command {
    /// On which actor, and how.
    pub operation: Operation,
    /// Digest of what the caller gave.
    pub payload: [u8; 32],
    /// What the caller says about it.
    pub envelope: Envelope,
}

/// See the top of this file. Cheap to clone; clones share what was folded.
#[derive(Clone)]
pub struct Dispatcher {
    store: Arc<dyn Store>,
    cache: Arc<Cache>,
    history_events: Option<u64>,
}

impl Dispatcher {
    /// Of a store. History is kept whole.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            cache: Arc::default(),
            history_events: None,
        }
    }

    /// The same, whose commands let go of events that are older than so many newest ones of an actor that they change;
    /// None keeps all.
    ///
    /// # Errors
    /// `LimitExceeded` for more than [`HISTORY_EVENTS_MAX`], `InvalidCommand` for 0.
    pub fn keeping(mut self, history_events: Option<u64>) -> Result<Self> {
        if let Some(events) = history_events {
            check_history_events(events)?;
        }
        self.history_events = history_events;
        Ok(self)
    }

    /// The same store, read.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.store), Arc::clone(&self.cache))
    }

    /// Queues a command.
    ///
    /// # Errors
    /// Of the answer: `VersionConflict`, `InvalidCommand`, `LimitExceeded`, `NewerSchema`, `Corrupt`; the store's,
    /// `CommandMismatch` among them.
    pub fn dispatch<K: Kind>(
        &self,
        command: Command,
        durability: Durability,
    ) -> Result<Pending<Answer<K>, ActorError>> {
        let Command {
            operation,
            payload,
            envelope,
        } = command;
        let address = operation.address.clone();
        let key = envelope.command_id.as_ref().map(|id| CommandKey {
            address: commit::Address::Ref(address.log().clone()),
            id: id.clone(),
            payload,
        });
        let frees = operation.frees;
        let uploads = operation.uploads.clone();
        let decision = self.decision(vec![operation], envelope)?;
        let ticket = self.store.submit(Commit {
            scope: address.scope().to_owned(),
            uploads,
            frees,
            command: key.map(|key| key.with_receipt(Vec::new())),
            decide: Some(decision.clone()),
            durability,
            ..Commit::default()
        });
        let reader = self.reader();
        Ok(Pending::new(ticket, move |answer| {
            Outcome::Done(answered(answer, &decision, &reader, &address))
        }))
    }

    /// The operation that cuts off what happened to an actor before version `keep_from`: its events are gone after a
    /// collection, the later ones keep their versions. Reads what is kept, so that little has to be read in the commit.
    ///
    /// # Errors
    /// `NoSuchVersion` for one that is not even the next; `LimitExceeded` where more than
    /// [`crate::TRIM_EVENTS_MAX`] events are to be kept; as for [`Reader::now`].
    pub fn trim<K: Kind>(&self, address: Address, keep_from: u64) -> Result<Operation> {
        let known = self.reader().tail::<K>(&address, keep_from)?;
        Ok(Operation::new::<K>(address, move |turn, address| {
            Ok(Done {
                dropped: turn.trim::<K>(address, keep_from, known.as_ref())?,
                ..Done::default()
            })
        }))
    }

    /// Operations to be decided together, their actors read already as far as they are now.
    pub(crate) fn decision(
        &self,
        operations: Vec<Operation>,
        envelope: Envelope,
    ) -> Result<Arc<Decision>> {
        for operation in &operations {
            // Under the lock others wait.
            if !self.cache.knows(operation.address.log()) {
                (operation.warm)(&*self.store, &self.cache, &operation.address)?;
            }
        }
        Ok(Arc::new(Decision {
            operations: Arc::new(operations),
            cache: Arc::clone(&self.cache),
            envelope,
            history_events: self.history_events,
            beside: None,
            outcome: Mutex::default(),
        }))
    }
}

fn check_history_events(events: u64) -> Result<()> {
    if events == 0 {
        return Err(ActorError::invalid(
            "history_events",
            "0",
            "it is at least 1",
        ));
    }
    if events > HISTORY_EVENTS_MAX {
        return Err(ActorError::LimitExceeded {
            what: "history_events",
            limit: HISTORY_EVENTS_MAX,
            actual: events,
        });
    }
    Ok(())
}

fn answered<K: Kind>(
    answer: Result<Committed, StoreError>,
    decision: &Decision,
    reader: &Reader,
    address: &Address,
) -> Result<Answer<K>> {
    match answer {
        Ok(Committed {
            replay: Some(bytes),
            ..
        }) => reader.answer_again(&bytes, address),
        Ok(_) => {
            let ran = decision
                .outcome()
                .transpose()?
                .and_then(|mut all| all.pop());
            let Some(Ran { receipt, after }) = ran else {
                return Err(ActorError::corrupt(
                    address.log(),
                    0,
                    None,
                    "nothing was decided",
                ));
            };
            Ok(Answer {
                receipt,
                after: after.and_then(|state| state.downcast().ok()),
            })
        }
        Err(StoreError::Refused) => Err(match decision.outcome() {
            Some(Err(error)) => error,
            _ => StoreError::Refused.into(),
        }),
        Err(error) => Err(error.into()),
    }
}
