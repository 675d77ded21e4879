//! Users' own actors: their events and states are maps of fields, and who knows what becomes of them is outside.
//!
//! A state here is what the rules outside need to fold it: the newest snapshot, and the events after it. Whoever has
//! the rules decides on what they were shown, without the lock, and brings a [`Verdict`]; it is written if the actor still
//! is what was shown, else nothing is ([`ActorError::Overtaken`]), and they look again.
//! Promises: what is written was decided on just the events before it; so is a rejection.
//! Must never: run a caller's code, or fold.

use std::sync::{Arc, Mutex, PoisonError};

use treering_block::node::{Entry, SnapshotNode, Typed};
use treering_block::{Block, Cid};
use treering_store::Durability;
use treering_store::name::READ_MODEL;
use treering_thread::command::Payload;

use crate::address::Address;
use crate::dispatch::{Dispatcher, Done, Operation};
use crate::error::{ActorError, Result};
use crate::kind::{Blocks, Event, Happened, Kind, State, Unreadable};
use crate::loaded::Loaded;
use crate::read::Reader;
use crate::source::read_snapshot;
use crate::stores::{Keep, Stores, Verb};
use crate::turn::Turn;

/// What the kind of a user's own actor begins with.
pub const PREFIX: &str = "x.";
/// Bytes of such a kind, the prefix among them.
pub const KIND_BYTES_MAX: usize = 64;
/// Events that a state keeps; who needs more of them reads them by the page.
const NOTED_MAX: usize = 256;

/// Whether it is the name of a user's own kind of actor.
#[must_use]
pub fn is_own(kind: &str) -> bool {
    let Some(name) = kind.strip_prefix(PREFIX) else {
        return false;
    };
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(allowed)
        && kind.len() <= KIND_BYTES_MAX
        && !kind.ends_with(READ_MODEL)
}

/// Any kind of a user's own.
#[derive(Debug)]
pub struct Own;

/// What a state is folded of.
#[derive(Clone, Debug, Default)]
pub struct OwnState {
    start: Option<Arc<SnapshotNode>>,
    since: Vec<Arc<Noted>>,
    /// Events after `start` are not all in `since`, which is empty then.
    more: bool,
}

/// An event of a log.
#[derive(Debug)]
pub struct Noted {
    /// The actor's version after it.
    pub version: u64,
    /// The node that holds it.
    pub cid: Cid,
    /// What happened.
    pub typed: Typed,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnEvent(pub Typed);

impl OwnState {
    /// What it begins with; None for the state before the first event.
    pub fn start(&self) -> Option<&SnapshotNode> {
        self.start.as_deref()
    }

    /// The events after that; None where they are too many: read them by the page.
    pub fn since(&self) -> Option<&[Arc<Noted>]> {
        (!self.more).then_some(&self.since)
    }

    /// A state that was folded, at an entry of the log.
    fn folded(version: u64, entry: &Cid, fold: u64, typed: Typed) -> Self {
        let node = SnapshotNode {
            version,
            entry: entry.to_bytes().to_vec(),
            fold,
            earlier: None,
            typed,
        };
        Self {
            start: Some(Arc::new(node)),
            ..Self::default()
        }
    }
}

/// Whether a state can be stored, whenever a snapshot of it is due. O(state).
///
/// # Errors
/// `LimitExceeded`, for one that no block holds.
pub fn expect_storable(fold: u64, typed: Typed) -> Result<()> {
    let anywhere = Cid::of_node(&[]);
    let node = SnapshotNode {
        version: u64::MAX,
        entry: anywhere.to_bytes().to_vec(),
        fold,
        earlier: Some(anywhere),
        typed,
    };
    node.encode()?;
    Ok(())
}

impl Event for OwnEvent {
    fn encode(&self) -> (String, Vec<u8>) {
        (self.0.type_name.clone(), self.0.message.clone())
    }

    /// None: its schema says how it is read, see [`Event::of`].
    fn decode(_: &str, _: &[u8]) -> Result<Option<Self>, Unreadable> {
        Ok(None)
    }

    fn of(typed: &Typed) -> Result<Option<Self>, Unreadable> {
        if !typed.is_own() {
            return Err(Unreadable(format!("{} is no own type", typed.type_name)));
        }
        Ok(Some(Self(typed.clone())))
    }

    fn typed(&self, _: u64, _: &[Cid]) -> Typed {
        self.0.clone()
    }
}

impl Kind for Own {
    const NAME: &'static str = PREFIX;
    /// Each class has its own number, and compares it.
    const SCHEMA: u64 = u64::MAX;
    /// That of no snapshot: each class has its own number.
    const FOLD: u64 = 0;
    /// Snapshots come with the events, from who can fold.
    const SNAPSHOT_EVENTS: u64 = u64::MAX;
    type State = OwnState;
    type Event = OwnEvent;

    fn takes(_: u64) -> bool {
        true
    }

    fn evolve(_: &mut OwnState, _: &Happened<OwnEvent>) {}

    fn evolve_at(state: &mut OwnState, event: &Happened<OwnEvent>, version: u64, node: &Cid) {
        if state.more || state.since.len() >= NOTED_MAX {
            state.more = true;
            state.since = Vec::new();
            return;
        }
        state.since.push(Arc::new(Noted {
            version,
            cid: *node,
            typed: event.event.0.clone(),
        }));
    }
}

impl State for OwnState {
    /// Each class has its own; see [`State::of_snapshot`].
    fn type_name() -> String {
        PREFIX.to_owned()
    }

    fn save(&mut self, blocks: &mut Blocks<'_>) -> Result<(Vec<u8>, Vec<Cid>)> {
        let (_, typed) = self.stored(blocks, 0, 0)?;
        Ok((typed.message, typed.links))
    }

    fn load(_: &[u8], _: &[Cid]) -> Result<Self, Unreadable> {
        Err(Unreadable("it says of no version".to_owned()))
    }

    fn stored(&mut self, _: &mut Blocks<'_>, _: u64, _: u64) -> Result<(u64, Typed)> {
        match &self.start {
            Some(start) if self.since.is_empty() && !self.more => {
                Ok((start.fold, start.typed.clone()))
            }
            _ => Err(ActorError::invalid(
                "state",
                "events",
                "only who has the actor's class can fold it: use scope.own(…)",
            )),
        }
    }

    fn may_begin_with(&self, node: &SnapshotNode, _: u64, _: u64) -> bool {
        // That of the same rules: what others made of the events that go, these can't make anew.
        let same =
            |own: &SnapshotNode| (own.fold, own.typed.schema) == (node.fold, node.typed.schema);
        self.start.as_deref().is_some_and(same)
    }

    fn of_snapshot(node: &SnapshotNode) -> Result<Self, Unreadable> {
        if !node.typed.is_own() {
            return Err(Unreadable(format!("it holds a {}", node.typed.type_name)));
        }
        Ok(Self {
            start: Some(Arc::new(node.clone())),
            ..Self::default()
        })
    }

    fn weight(&self) -> usize {
        let start = self.start.iter().map(|start| start.typed.message.len());
        let since = self.since.iter().map(|noted| noted.typed.message.len());
        start.chain(since).map(|bytes| bytes + 256).sum()
    }
}

/// The head that an operation leaves, for those that are decided behind it before it is committed.
#[derive(Debug, Default)]
pub struct Left(Mutex<Option<Cid>>);

impl Left {
    /// None before it was decided, and where it was not written.
    pub fn head(&self) -> Option<Cid> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, head: Option<Cid>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = head;
    }
}

/// What somebody was shown who decided.
#[derive(Clone, Debug)]
pub enum Shown {
    /// The actor with that head; None: it was never written.
    Head(Option<Cid>),
    /// The actor as an operation will leave it.
    After(Arc<Left>),
}

/// What was decided.
#[derive(Debug)]
pub enum Ruling {
    /// No. Nothing is written, and it is said only if the actor is what was shown.
    Rejected,
    /// This happened; no event: there was nothing to do.
    Events {
        /// What, oldest first.
        events: Vec<Typed>,
        /// Blocks that they and the state link to, children first.
        blocks: Vec<Block>,
        /// Rules and state after them, where a snapshot is due.
        snapshot: Option<(u64, Typed)>,
    },
}

/// What was decided, on what, and by whom.
#[derive(Debug)]
pub struct Verdict {
    /// What was shown.
    pub shown: Shown,
    /// The greatest schema number that who decided knows.
    pub schema: u64,
    /// What it came to.
    pub ruling: Ruling,
    /// Told the head that it leaves.
    pub left: Arc<Left>,
}

/// Where the newest verdict stands: a commit of several is drafted before anything is decided, and decided again where
/// what was shown has changed.
#[derive(Debug, Default)]
pub struct Slot(Mutex<Option<Arc<Verdict>>>);

impl Slot {
    /// Says what was decided, in the place of what was decided before.
    pub fn decided(&self, verdict: Verdict) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(verdict));
    }

    fn verdict(&self) -> Option<Arc<Verdict>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The address of a user's own actor.
///
/// # Errors
/// `Invalid` for a kind that is none of a user's own, and as for [`Address::new`].
pub fn address(scope: &str, kind: &str, parts: &[&str]) -> Result<Address> {
    if is_own(kind) {
        return Address::new(scope, kind, parts);
    }
    Err(treering_store::StoreError::Invalid {
        what: "kind of an own actor",
        value: kind.to_owned(),
        rule: format!(
            "it is x. and a name of a-z, 0-9 and -, beginning with a letter, not ending with {READ_MODEL}, at most {KIND_BYTES_MAX} bytes"
        ),
    }
    .into())
}

/// The verb that does what a verdict says. `given`: of what the caller gave, the command's type and its fields' bytes.
pub fn send(address: Address, given: (&str, &[u8]), slot: Arc<Slot>) -> Verb {
    let mut payload = Payload::new("send");
    payload.text(given.0).bytes(given.1);
    Verb {
        operation: Operation::new::<Own>(address, move |turn, address| {
            let verdict = slot.verdict().ok_or_else(|| {
                ActorError::invalid("command", "drafted", "nothing was decided about it")
            })?;
            carry_out(turn, address, &verdict)
        }),
        payload,
    }
}

/// The verb that deletes an actor.
pub fn delete(address: Address) -> Verb {
    Verb {
        operation: Operation::new::<Own>(address, |turn, address| {
            turn.delete::<Own>(address)?;
            Ok(Done::default())
        })
        .freeing(),
        payload: Payload::new("delete"),
    }
}

fn carry_out(turn: &mut Turn<'_>, address: &Address, verdict: &Verdict) -> Result<Done> {
    let loaded = turn.load::<Own>(address)?;
    let place = &loaded.place;
    let (head, version) = (place.head(), place.version);
    let shown = match &verdict.shown {
        Shown::Head(shown) => *shown == head,
        Shown::After(left) => head.is_some() && left.head() == head,
    };
    if !shown {
        return Err(overtaken(address, version));
    }
    if place.schema > verdict.schema {
        return Err(ActorError::NewerSchema {
            actor: address.log().encoded().to_owned(),
            found: place.schema,
            supported: verdict.schema,
        });
    }
    let Ruling::Events {
        events,
        blocks,
        snapshot,
    } = &verdict.ruling
    else {
        return Err(ActorError::Rejected {
            actor: address.log().encoded().to_owned(),
        });
    };
    for block in blocks {
        turn.put(block.clone());
    }
    let happened = events.iter().map(|typed| OwnEvent(typed.clone()).into());
    turn.append::<Own>(address, happened)?;
    let after = turn.load::<Own>(address)?;
    let head = after.place.head();
    if let (Some((fold, typed)), Some(head)) = (snapshot, &head) {
        let version = after.place.version;
        let state = OwnState::folded(version, head, *fold, typed.clone());
        turn.settle::<Own>(address, state)?;
    }
    verdict.left.set(head);
    Ok(Done::default())
}

fn overtaken(address: &Address, version: u64) -> ActorError {
    ActorError::Overtaken {
        actor: address.log().encoded().to_owned(),
        version,
    }
}

/// A trim that is to be made: what the actor was where its history will begin is to be said by who can fold.
pub struct Trim {
    address: Address,
    payload: Payload,
    keep_from: u64,
    tail: Option<crate::tail::Tail<Own>>,
}

impl Trim {
    /// Of an actor.
    ///
    /// # Errors
    /// As for [`Dispatcher::trim`].
    pub fn new(stores: &Stores, address: Address, keep: Keep) -> Result<Self> {
        let (payload, keep_from) = stores.kept::<Own>(&address, keep)?;
        Ok(Self {
            tail: stores.reader().tail::<Own>(&address, keep_from)?,
            address,
            payload,
            keep_from,
        })
    }

    /// The actor as it was where its history will begin; None if there is nothing to cut off.
    pub fn start(&self) -> Option<&Loaded<Own>> {
        self.tail.as_ref().map(|tail| &tail.start)
    }

    /// The verb. `folded`: rules, state, and the blocks that it links to, of where the history will begin.
    pub fn verb(self, folded: Option<(u64, Typed, Vec<Block>)>) -> Verb {
        let Self {
            address,
            payload,
            keep_from,
            mut tail,
        } = self;
        let mut carried = Vec::new();
        if let (Some(tail), Some((fold, typed, blocks))) = (&mut tail, folded) {
            let version = tail.start.place.version;
            tail.start.state = OwnState::folded(version, &tail.replaced, fold, typed);
            carried = blocks;
        }
        Verb {
            operation: Operation::new::<Own>(address, move |turn, address| {
                let now = turn.load::<Own>(address)?.place.version;
                for block in &carried {
                    turn.put(block.clone());
                }
                let dropped = match turn.trim::<Own>(address, keep_from, tail.as_ref()) {
                    // Its log does not lead any more to what was folded.
                    Err(ActorError::InvalidCommand { .. }) => Err(overtaken(address, now)),
                    dropped => dropped,
                }?;
                if dropped > 0 {
                    // What its newest snapshot says of its log is not so any more, and nobody folds here.
                    turn.read_anew::<Own>(address)?;
                }
                Ok(Done {
                    dropped,
                    ..Done::default()
                })
            }),
            payload,
        }
    }
}

impl Dispatcher {
    /// Makes the read model of an actor whose log ends with `head`. False: something happened since.
    ///
    /// # Errors
    /// Those of a commit.
    pub fn put_own_model(
        &self,
        address: &Address,
        head: &Cid,
        version: u64,
        folded: (u64, Typed, Vec<Block>),
        durability: Durability,
    ) -> Result<bool> {
        let reader = self.reader();
        let (fold, typed, mut blocks) = folded;
        let stands = reader.store().read_ref(address.log())?;
        let Some(stands) = stands.filter(|value| value.target == *head) else {
            return Ok(false);
        };
        let node = SnapshotNode {
            version,
            entry: head.to_bytes().to_vec(),
            fold,
            earlier: None,
            typed,
        }
        .encode()?;
        let target = node.cid;
        blocks.push(node);
        reader.put_model(address, stands, target, blocks, durability)
    }
}

impl Reader {
    /// What an actor was where its history begins; None if that is the state before the first event. O(log n) reads.
    ///
    /// # Errors
    /// `Corrupt`, naming actor, version and block; the store's.
    pub fn own_beginning(
        &self,
        address: &Address,
        loaded: &Loaded<Own>,
    ) -> Result<Option<SnapshotNode>> {
        let (place, actor) = (&loaded.place, address.log());
        let Some(head) = place.head().filter(|_| place.base > 0) else {
            return Ok(None);
        };
        match self.find(actor, &head, place.base)? {
            Some((_, Entry::Base(base))) => {
                read_snapshot(&self.committed(), actor, &base.state).map(Some)
            }
            _ => Ok(None),
        }
    }
}
