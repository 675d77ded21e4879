//! One turn under the store's lock: actors are loaded, something is decided, events are put behind their logs.
//!
//! Promises: what a turn loads shows what the turn has done before; all of it is one commit. This file alone writes
//! logs: a store's decider returns events and never sees a block of them.
//! Must never: wait, or run a caller's code.

mod retain;
mod trim;

use std::any::Any;
use std::sync::Arc;

use treering_block::node::{Entry, EventNode, SnapshotNode, TombstoneNode, event_jump};
use treering_block::{Block, Cid, Jumps};
use treering_store::{Change, Decided, Expect, RefMove, RefName, RefValue};
use treering_thread::ident::Ids;

use crate::address::Address;
use crate::cache::Cache;
use crate::error::{ActorError, Result};
use crate::kind::{Blocks, Happened, Kind, State};
use crate::loaded::{Loaded, Place, load, replay};
use crate::source::{Source, read_entry};

pub use retain::HISTORY_EVENTS_MAX;
pub(crate) use trim::cuttable;

/// What a caller says about a command beside what it is to do.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// The caller's id of the command.
    pub command_id: Option<String>,
    /// What led to it, in the caller's words.
    pub causation_id: Option<String>,
    /// On whose behalf, in the caller's words.
    pub principal: Option<String>,
}

/// How refs are read.
pub(crate) type Refs<'r> = dyn Fn(&RefName) -> Result<Option<RefValue>> + 'r;

/// See the top of this file.
pub struct Turn<'t> {
    refs: &'t Refs<'t>,
    blocks: Blocks<'t>,
    cache: &'t Cache,
    envelope: &'t Envelope,
    at_ms: i64,
    /// Of the events of one commit: what follows a log knows by them what came at once.
    ids: Ids,
    touched: Vec<(RefName, Box<dyn Touched>)>,
    changes: u64,
}

impl<'t> Turn<'t> {
    pub(crate) fn new(
        refs: &'t Refs<'t>,
        blocks: Blocks<'t>,
        cache: &'t Cache,
        envelope: &'t Envelope,
        at_ms: i64,
    ) -> Self {
        Self {
            refs,
            blocks,
            cache,
            envelope,
            at_ms,
            ids: Ids::new(at_ms),
            touched: Vec::new(),
            changes: 0,
        }
    }

    /// The commit's time, Unix milliseconds.
    pub fn at_ms(&self) -> i64 {
        self.at_ms
    }

    /// Where a decider looks things up in collections.
    pub fn blocks(&self) -> &Blocks<'t> {
        &self.blocks
    }

    /// A block that an event will link to; stored if one does.
    pub fn put(&mut self, block: Block) -> Cid {
        self.blocks.put(block)
    }

    /// The actor as this turn has left it so far.
    ///
    /// # Errors
    /// `Corrupt`, naming the actor; the store's.
    pub fn load<K: Kind>(&mut self, address: &Address) -> Result<Arc<Loaded<K>>> {
        if let Some(actor) = self.touched::<K>(address) {
            return Ok(Arc::clone(&actor.loaded));
        }
        load(&*self, self.cache, address, false)
    }

    /// Puts events behind an actor's log.
    ///
    /// # Errors
    /// As for [`Turn::load`]; `NewerSchema`; what no node holds.
    pub fn append<K: Kind>(
        &mut self,
        address: &Address,
        events: impl IntoIterator<Item = Happened<K::Event>>,
    ) -> Result<()> {
        let mut events = events.into_iter().peekable();
        if events.peek().is_none() {
            return Ok(());
        }
        let mut loaded = (*self.load::<K>(address)?).clone();
        expect_known_schema::<K>(address, &loaded)?;
        for happened in events {
            let node = self.next_event(address, &mut loaded, &happened)?;
            let block = node.encode()?;
            loaded.append(address.log(), block.cid, &node)?;
            self.blocks.put(block);
        }
        self.note(address, loaded)
    }

    fn next_event<K: Kind>(
        &mut self,
        address: &Address,
        loaded: &mut Loaded<K>,
        happened: &Happened<K::Event>,
    ) -> Result<EventNode> {
        let (version, base) = (loaded.place.version + 1, loaded.place.base);
        let (parent, jump) = self.links_of_next(address, &mut loaded.place, version)?;
        Ok(EventNode {
            version,
            base,
            parent,
            jump,
            event_id: self.ids.draw(),
            at_ms: self.at_ms,
            command_id: self.envelope.command_id.clone(),
            causation_id: self.envelope.causation_id.clone(),
            principal: self.envelope.principal.clone(),
            typed: happened.typed(K::SCHEMA),
        })
    }

    /// Parent and jump of the event of `version`, the next one at `place`.
    fn links_of_next(
        &self,
        address: &Address,
        place: &mut Place,
        version: u64,
    ) -> Result<(Option<Cid>, Option<Cid>)> {
        let base = place.base;
        let (mut parent, mut jump) = (None, None);
        if let Some(jumps) = &mut place.jumps {
            parent = Some(jumps.cid());
            jump = jumps.next_jump(|step, cid| {
                let entry = read_entry(self, address.log(), cid, base.checked_add(step))?;
                Ok::<_, ActorError>(match entry {
                    Entry::Event(event) => event.jump,
                    _ => None,
                })
            })?;
        }
        if jump.is_none() && event_jump(version, base).is_some() {
            let detail = format!("no jump leads to version {:?}", event_jump(version, base));
            return Err(ActorError::corrupt(
                address.log(),
                version - 1,
                parent,
                detail,
            ));
        }
        Ok((parent, jump))
    }

    /// Deletes an actor: its version stays, and goes on if it is written again. Nothing happens if it does not exist.
    ///
    /// # Errors
    /// As for [`Turn::append`].
    pub fn delete<K: Kind>(&mut self, address: &Address) -> Result<()> {
        let before = self.load::<K>(address)?;
        if !before.exists() {
            return Ok(());
        }
        expect_known_schema::<K>(address, &before)?;
        let node = TombstoneNode {
            version: before.place.version + 1,
            deleted_at_ms: self.at_ms,
        };
        let cid = self.blocks.put(node.encode()?);
        let mut loaded = Loaded::<K>::default();
        loaded.place.version = node.version;
        loaded.place.base = node.version;
        loaded.place.at_ms = Some(self.at_ms);
        loaded.place.deleted_at_ms = Some(self.at_ms);
        loaded.place.jumps = Some(Jumps::new(0, cid, None));
        self.note(address, loaded)?;
        // Whatever follows in this turn: no snapshot may keep anything of what was.
        self.set_model::<K>(address, Model::Dropped);
        Ok(())
    }

    /// Takes a state for what an actor's events came to: a snapshot is made of it.
    pub(crate) fn settle<K: Kind>(&mut self, address: &Address, state: K::State) -> Result<()> {
        let mut loaded = (*self.load::<K>(address)?).clone();
        loaded.state = state;
        self.note(address, loaded)?;
        self.set_model::<K>(address, Model::Brought);
        Ok(())
    }

    /// Reads an actor's log again as this turn leaves it, and leaves it without a snapshot: for a kind whose state says
    /// which events there were.
    pub(crate) fn read_anew<K: Kind>(&mut self, address: &Address) -> Result<()> {
        if let Some(head) = self.load::<K>(address)?.place.head() {
            let loaded = replay::<K>(&*self, address.log(), &head, None)?;
            self.note(address, loaded)?;
            self.set_model::<K>(address, Model::Dropped);
        }
        Ok(())
    }

    fn set_model<K: Kind>(&mut self, address: &Address, model: Model) {
        if let Some(actor) = self.touched::<K>(address) {
            actor.model = model;
        }
    }

    fn touched<K: Kind>(&mut self, address: &Address) -> Option<&mut Actor<K>> {
        let mut touched = self.touched.iter_mut();
        let (_, actor) = touched.find(|(name, _)| name == address.log())?;
        actor.as_any().downcast_mut()
    }

    fn note<K: Kind>(&mut self, address: &Address, loaded: Loaded<K>) -> Result<()> {
        self.changes += 1;
        let loaded = Arc::new(loaded);
        if let Some(actor) = self.touched::<K>(address) {
            actor.loaded = loaded;
            return Ok(());
        }
        let actor = Actor::<K> {
            address: address.clone(),
            before: self.read_ref(address.log())?,
            loaded,
            model: Model::AsDue,
            earlier: None,
        };
        self.touched.push((address.log().clone(), Box::new(actor)));
        Ok(())
    }

    /// How often something was done so far.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// All that is to be written, snapshots that are due among it.
    pub(crate) fn finish(self) -> Result<Decided> {
        let Self {
            mut blocks,
            cache,
            mut touched,
            ..
        } = self;
        let mut moves = Vec::with_capacity(touched.len());
        for (_, actor) in &mut touched {
            actor.finish(&mut blocks, cache, &mut moves)?;
        }
        let roots: Vec<Cid> = moves
            .iter()
            .filter_map(|step: &RefMove| match &step.change {
                Change::Set { target, .. } => Some(*target),
                Change::Delete => None,
            })
            .collect();
        Ok(Decided {
            blocks: blocks.into_blocks(&roots),
            moves,
            ..Decided::default()
        })
    }
}

impl Source for Turn<'_> {
    fn read_ref(&self, name: &RefName) -> Result<Option<RefValue>> {
        (self.refs)(name)
    }

    fn block(&self, cid: &Cid) -> Result<Arc<[u8]>> {
        self.blocks.get(cid)
    }
}

/// An actor that the turn changes.
struct Actor<K: Kind> {
    address: Address,
    before: Option<RefValue>,
    loaded: Arc<Loaded<K>>,
    model: Model,
    /// What a snapshot that is due will have as its `earlier`.
    earlier: Option<Cid>,
}

/// What becomes of an actor's newest snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Model {
    /// Another one is made if enough has happened since.
    AsDue,
    /// Another one came with the events.
    Brought,
    /// Its log's entries are other ones now, so it is made anew.
    Anew,
    /// None may keep anything of what was cut off, and none is needed.
    Dropped,
}

impl<K: Kind> Actor<K> {
    /// Whether so much happened since its newest snapshot that there is to be another.
    fn is_due(&self) -> bool {
        let place = &self.loaded.place;
        match self.model {
            Model::AsDue => place.version.saturating_sub(place.snapshot) >= K::SNAPSHOT_EVENTS,
            Model::Brought => true,
            Model::Anew | Model::Dropped => false,
        }
    }
}

trait Touched {
    fn as_any(&mut self) -> &mut dyn Any;
    /// What keeps its history within bounds, where a snapshot is due.
    fn retaining(&self) -> Option<(Address, retain::Retain)>;
    fn finish(
        &mut self,
        blocks: &mut Blocks<'_>,
        cache: &Cache,
        moves: &mut Vec<RefMove>,
    ) -> Result<()>;
}

impl<K: Kind> Touched for Actor<K> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn retaining(&self) -> Option<(Address, retain::Retain)> {
        let retain = retain::one::<K> as retain::Retain;
        self.is_due().then(|| (self.address.clone(), retain))
    }

    fn finish(
        &mut self,
        blocks: &mut Blocks<'_>,
        cache: &Cache,
        moves: &mut Vec<RefMove>,
    ) -> Result<()> {
        let place = &self.loaded.place;
        let Some(head) = place.head() else {
            return Ok(());
        };
        let read_model = |change| RefMove {
            name: self.address.read_model().clone(),
            // It may have been dropped, or made anew, at any time.
            expect: Expect::Any,
            change,
        };
        let set = |target| Change::Set {
            target,
            record: Vec::new(),
        };
        if self.model == Model::Dropped {
            moves.push(read_model(Change::Delete));
        } else if self.model == Model::Anew || self.is_due() {
            let loaded = Arc::make_mut(&mut self.loaded);
            loaded.place.earlier = self.earlier;
            let made = snapshot(blocks, loaded, &head, K::SCHEMA)?;
            loaded.place.basis = Some(made);
            moves.push(read_model(set(made)));
        }
        moves.push(RefMove {
            name: self.address.log().clone(),
            expect: match &self.before {
                Some(value) => Expect::Version(value.version),
                None => Expect::Absent,
            },
            change: set(head),
        });
        let weight = self.loaded.state.weight();
        cache.put(self.address.log(), head, self.loaded.clone(), weight, false);
        Ok(())
    }
}

/// Makes a snapshot of an actor that is at `head`, by who knows the events of that schema; its collections are then as in the snapshot.
pub(crate) fn snapshot<K: Kind>(
    blocks: &mut Blocks<'_>,
    loaded: &mut Loaded<K>,
    head: &Cid,
    schema: u64,
) -> Result<Cid> {
    let (fold, typed) = loaded.state.stored(blocks, schema, K::FOLD)?;
    let node = SnapshotNode {
        version: loaded.place.version,
        entry: head.to_bytes().to_vec(),
        fold,
        earlier: loaded.place.earlier,
        typed,
    };
    loaded.place.snapshot = node.version;
    Ok(blocks.put(node.encode()?))
}

pub(crate) fn expect_known_schema<K: Kind>(address: &Address, loaded: &Loaded<K>) -> Result<()> {
    if loaded.place.schema <= K::SCHEMA {
        return Ok(());
    }
    Err(ActorError::NewerSchema {
        actor: address.log().encoded().to_owned(),
        found: loaded.place.schema,
        supported: K::SCHEMA,
    })
}
