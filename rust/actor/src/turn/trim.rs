//! History that is cut off: what is kept is put behind a new beginning.
//!
//! Promises: versions, ids, times and messages of what is kept stay; nothing keeps what was cut off, the newest snapshot
//! neither.

use treering_block::node::{BaseNode, EventNode};
use treering_block::{Cid, Jumps};
use treering_store::commit::COMMIT_BYTES_MAX;

use super::{Model, Turn, expect_known_schema, snapshot};
use crate::address::Address;
use crate::error::{ActorError, Result};
use crate::kind::Kind;
use crate::loaded::Loaded;
use crate::tail::{TRIM_EVENTS_MAX, Tail};

impl Turn<'_> {
    /// Cuts off an actor's history: only what it is now is kept.
    ///
    /// # Errors
    /// As for [`Turn::append`].
    pub fn rebase<K: Kind>(&mut self, address: &Address) -> Result<()> {
        let before = self.load::<K>(address)?;
        self.trim::<K>(address, before.place.version + 1, None)
            .map(drop)
    }

    /// Cuts off what happened to an actor before version `keep_from`: what it was then, and the events from there on, are
    /// kept under their versions. How many events were cut off; nothing happens if there are none. `known`: what was
    /// read of it before.
    ///
    /// # Errors
    /// `NoSuchVersion` where not even the event before that is there; `LimitExceeded` if more than [`TRIM_EVENTS_MAX`]
    /// are to be kept; as for [`Turn::append`].
    pub(crate) fn trim<K: Kind>(
        &mut self,
        address: &Address,
        keep_from: u64,
        known: Option<&Tail<K>>,
    ) -> Result<u64> {
        let now = self.load::<K>(address)?;
        let base = keep_from.saturating_sub(1);
        let Some(head) = cuttable(address, &now, base)? else {
            return Ok(0);
        };
        expect_known_schema::<K>(address, &now)?;
        let Tail {
            replaced,
            mut start,
            events,
            ..
        } = Tail::read(&*self, address, &head, base, known, COMMIT_BYTES_MAX)?;
        // Its snapshot is of this version alone.
        start.place.earlier = None;
        let node = BaseNode {
            version: base,
            at_ms: start.place.at_ms,
            state: snapshot(&mut self.blocks, &mut start, &replaced, K::SCHEMA)?,
            replaces: replaced.to_bytes().to_vec(),
        };
        let cut = base - now.place.base;
        if events.is_empty() {
            // What the log begins with is all that the actor is.
            start.place.base = base;
            // As it is read from the log: its collections hang on the base.
            start.place.basis = None;
            start.place.jumps = Some(Jumps::new(0, self.blocks.put(node.encode()?), None));
            self.note(address, start)?;
            self.set_model::<K>(address, Model::Dropped);
            return Ok(cut);
        }
        self.begin_with(address, &now, &node, events)?;
        Ok(cut)
    }

    /// Puts the newest events of a log behind a base.
    pub(super) fn begin_with<K: Kind>(
        &mut self,
        address: &Address,
        now: &Loaded<K>,
        base: &BaseNode,
        events: Vec<EventNode>,
    ) -> Result<()> {
        let mut loaded = now.clone();
        loaded.place.base = base.version;
        loaded.place.jumps = Some(Jumps::new(0, self.blocks.put(base.encode()?), None));
        for event in events {
            let (parent, jump) = self.links_of_next(address, &mut loaded.place, event.version)?;
            let node = EventNode {
                base: base.version,
                parent,
                jump,
                ..event
            };
            let block = node.encode()?;
            let jumps = loaded.place.jumps.take();
            loaded.place.jumps = jumps.map(|jumps| jumps.advanced(block.cid));
            self.blocks.put(block);
        }
        self.note(address, loaded)?;
        self.set_model::<K>(address, Model::Anew);
        Ok(())
    }
}

/// The head of a log that has events up to version `base`; None if there is nothing to cut off.
pub(crate) fn cuttable<K: Kind>(
    address: &Address,
    now: &Loaded<K>,
    base: u64,
) -> Result<Option<Cid>> {
    let place = &now.place;
    if base > place.version {
        return Err(ActorError::NoSuchVersion {
            actor: address.log().encoded().to_owned(),
            asked: base,
            version: place.version,
        });
    }
    if base <= place.base || !now.exists() {
        return Ok(None);
    }
    let kept = place.version - base;
    if kept > TRIM_EVENTS_MAX {
        return Err(ActorError::LimitExceeded {
            what: "events that are kept",
            limit: TRIM_EVENTS_MAX,
            actual: kept,
        });
    }
    Ok(place.head())
}
