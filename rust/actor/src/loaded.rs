//! An actor as its log makes it: the newest snapshot, and the events after it.
//!
//! Promises: replay from any snapshot is replay from the beginning; a log with a gap or a wrong block is refused with
//! the actor's name, the version and the block. Reads at most [`Kind::SNAPSHOT_EVENTS`] entries, and a snapshot.

use std::sync::Arc;

use treering_block::node::{Entry, EventNode, SnapshotNode};
use treering_block::{Cid, Jumps};
use treering_store::RefName;

use crate::address::Address;
use crate::cache::Cache;
use crate::error::{ActorError, Result};
use crate::kind::{Event, Happened, Kind, State, Unreadable};
use crate::source::{Source, read_entry, read_snapshot};

/// Where a log stands.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The actor's version: of its newest entry, 0 if it was never written.
    pub version: u64,
    /// When it was last changed, its deletion included, Unix milliseconds; None if it was never written, or its log was
    /// cut off to the last event before bases told the time.
    pub at_ms: Option<i64>,
    /// When it was deleted, if nothing happened since.
    pub deleted_at_ms: Option<i64>,
    /// The version that its log begins after.
    pub base: u64,
    /// The greatest schema number that was met.
    pub schema: u64,
    /// The version of its newest snapshot, 0 if there is none that counts.
    pub snapshot: u64,
    /// The snapshot whose collections the state still has: they are there as long as it is the read model.
    pub(crate) basis: Option<Cid>,
    /// What that snapshot has as its `earlier`.
    pub(crate) earlier: Option<Cid>,
    /// Its newest entry, and what is known of the way back; None if it was never written.
    pub(crate) jumps: Option<Jumps>,
}

impl Place {
    /// Its newest entry.
    pub fn head(&self) -> Option<Cid> {
        self.jumps.as_ref().map(Jumps::cid)
    }

    /// The snapshot that its state's collections hang on; None where they hang on the log's own beginning.
    pub fn basis(&self) -> Option<Cid> {
        self.basis
    }
}

/// An actor at one version.
#[derive(Debug)]
pub struct Loaded<K: Kind> {
    /// Where its log stands.
    pub place: Place,
    /// What it is.
    pub state: K::State,
}

impl<K: Kind> Clone for Loaded<K> {
    fn clone(&self) -> Self {
        Self {
            place: self.place.clone(),
            state: self.state.clone(),
        }
    }
}

impl<K: Kind> Default for Loaded<K> {
    fn default() -> Self {
        Self {
            place: Place::default(),
            state: K::State::default(),
        }
    }
}

impl<K: Kind> Loaded<K> {
    /// Whether anything was ever written, and not deleted since.
    pub fn exists(&self) -> bool {
        self.place.version > 0 && self.place.deleted_at_ms.is_none()
    }

    /// After an event that was put behind this log.
    pub(crate) fn append(&mut self, actor: &RefName, cid: Cid, node: &EventNode) -> Result<()> {
        self.apply(actor, cid, node)?;
        let place = &mut self.place;
        place.jumps = Some(match &place.jumps {
            Some(jumps) => jumps.advanced(cid),
            None => Jumps::new(1, cid, None),
        });
        Ok(())
    }

    /// After an event of this log; what is known of the way back is as it was.
    fn apply(&mut self, actor: &RefName, cid: Cid, node: &EventNode) -> Result<()> {
        let place = &mut self.place;
        if node.version != place.version + 1 || node.base != place.base {
            let detail = format!("version {} follows version {}", node.version, place.version);
            return Err(ActorError::corrupt(actor, node.version, Some(cid), detail));
        }
        place.version = node.version;
        place.at_ms = Some(node.at_ms);
        place.deleted_at_ms = None;
        place.schema = place.schema.max(node.typed.schema);
        if let Some(happened) = read_event::<K>(actor, &cid, node)? {
            K::evolve_at(&mut self.state, &happened, node.version, &cid);
        }
        Ok(())
    }
}

/// What an event says; None for one of a type that this kind does not know.
pub(crate) fn read_event<K: Kind>(
    actor: &RefName,
    cid: &Cid,
    node: &EventNode,
) -> Result<Option<Happened<K::Event>>> {
    let upcast = K::upcast(&node.typed);
    let typed = upcast.as_ref().unwrap_or(&node.typed);
    let event = K::Event::of(typed).map_err(|Unreadable(why)| {
        ActorError::corrupt(
            actor,
            node.version,
            Some(*cid),
            format!("its message: {why}"),
        )
    })?;
    Ok(event.map(|event| Happened {
        event,
        links: typed.links.clone(),
    }))
}

/// The actor as it is now. `committed`: `source` shows what is committed, and nothing else.
pub(crate) fn load<K: Kind>(
    source: &dyn Source,
    cache: &Cache,
    address: &Address,
    committed: bool,
) -> Result<Arc<Loaded<K>>> {
    let Some(value) = source.read_ref(address.log())? else {
        return Ok(Arc::default());
    };
    if let Some(known) = cache.get(address.log(), &value.target, committed)
        && let Ok(loaded) = known.downcast::<Loaded<K>>()
        && stands(source, address, &loaded)?
    {
        return Ok(loaded);
    }
    // The snapshot first: what others write meanwhile is then behind it, and never before.
    let snapshot = newest_snapshot::<K>(source, address)?;
    let Some(value) = source.read_ref(address.log())? else {
        return Ok(Arc::default());
    };
    let head = value.target;
    let loaded = Arc::new(fold_from::<K>(source, address, &head, snapshot)?);
    let weight = loaded.state.weight();
    cache.put(address.log(), head, loaded.clone(), weight, committed);
    Ok(loaded)
}

/// The actor at an entry of its log: its newest snapshot if that is not younger, and the events after it.
pub(crate) fn fold<K: Kind>(
    source: &dyn Source,
    address: &Address,
    head: &Cid,
) -> Result<Loaded<K>> {
    let snapshot = newest_snapshot::<K>(source, address)?;
    fold_from(source, address, head, snapshot)
}

/// Whether the collections of a state that was folded before are still kept: another read model may have taken the
/// place of the one that they hang on, and a collection what hung on that.
fn stands<K: Kind>(source: &dyn Source, address: &Address, loaded: &Loaded<K>) -> Result<bool> {
    match &loaded.place.basis {
        Some(basis) if K::State::IN_BLOCKS => {
            let model = source.read_ref(address.read_model())?;
            Ok(model.is_some_and(|value| value.target == *basis))
        }
        _ => Ok(true),
    }
}

fn newest_snapshot<K: Kind>(
    source: &dyn Source,
    address: &Address,
) -> Result<Option<(Cid, SnapshotNode)>> {
    let snapshot = match source.read_ref(address.read_model())? {
        Some(value) => Some((
            value.target,
            read_snapshot(source, address.read_model(), &value.target)?,
        )),
        None => None,
    };
    // A state that was folded by other rules is not taken.
    Ok(snapshot.filter(|(_, node)| K::takes(node.fold)))
}

fn fold_from<K: Kind>(
    source: &dyn Source,
    address: &Address,
    head: &Cid,
    snapshot: Option<(Cid, SnapshotNode)>,
) -> Result<Loaded<K>> {
    let node = snapshot.as_ref().map(|(_, node)| node);
    let mut loaded = replay::<K>(source, address.log(), head, node)?;
    // What hangs on the log's own beginning is there as long as the log is.
    if let Some((cid, node)) = &snapshot
        && loaded.place.snapshot == node.version
        && node.version > loaded.place.base
    {
        loaded.place.basis = Some(*cid);
        loaded.place.earlier = node.earlier;
    }
    Ok(loaded)
}

/// The oldest events that a replay keeps in memory until it has come to the beginning; the others are read twice.
const EVENTS_KEPT: usize = 1024;

/// The actor at an entry of its log, from a snapshot if it is one of this log's. Memory: 48 bytes an event, and
/// [`EVENTS_KEPT`] events.
pub(crate) fn replay<K: Kind>(
    source: &dyn Source,
    actor: &RefName,
    head: &Cid,
    snapshot: Option<&SnapshotNode>,
) -> Result<Loaded<K>> {
    let mut events: Vec<(Cid, Option<Box<EventNode>>)> = Vec::new();
    let mut jumps = None;
    let mut next = Some((*head, None));
    let mut loaded = Loaded::<K>::default();
    while let Some((cid, version)) = next {
        if let (Some(node), Some((_, Some(first)))) = (snapshot, events.last())
            && node.version + 1 == first.version
            && node.version >= first.base
            && node.entry == cid.to_bytes()
        {
            loaded = from_snapshot(actor, node)?;
            loaded.place.base = first.base;
            break;
        }
        match read_entry(source, actor, &cid, version)? {
            Entry::Event(event) => {
                if let Some(node) = snapshot
                    && events.is_empty()
                    && node.version == event.version
                    && node.entry == cid.to_bytes()
                {
                    loaded = from_snapshot(actor, node)?;
                    loaded.place.base = event.base;
                    loaded.place.at_ms = Some(event.at_ms);
                    loaded.place.schema = loaded.place.schema.max(event.typed.schema);
                    loaded.place.jumps = Some(jumps_at(&event, cid));
                    return Ok(loaded);
                }
                next = event
                    .parent
                    .map(|parent| (parent, event.version.checked_sub(1)));
                // The way back is known from the newest event alone.
                jumps.get_or_insert_with(|| jumps_at(&event, cid));
                let newer = events.len().checked_sub(EVENTS_KEPT);
                if let Some((_, kept)) = newer.and_then(|newer| events.get_mut(newer)) {
                    *kept = None;
                }
                events.push((cid, Some(event)));
            }
            Entry::Base(base) => {
                let node = read_snapshot(source, actor, &base.state)?;
                loaded = from_snapshot(actor, &node)?;
                loaded.place.version = base.version;
                loaded.place.base = base.version;
                loaded.place.at_ms = base.at_ms;
                loaded.place.jumps = Some(Jumps::new(0, cid, None));
                break;
            }
            Entry::Tombstone(tombstone) => {
                let place = &mut loaded.place;
                place.version = tombstone.version;
                place.base = tombstone.version;
                place.at_ms = Some(tombstone.deleted_at_ms);
                place.deleted_at_ms = place.at_ms;
                place.jumps = Some(Jumps::new(0, cid, None));
                break;
            }
        }
    }
    for (cid, kept) in events.into_iter().rev() {
        let event = match kept {
            Some(event) => event,
            None => read_event_again(source, actor, &cid, loaded.place.version + 1)?,
        };
        loaded.apply(actor, cid, &event)?;
    }
    if jumps.is_some() {
        loaded.place.jumps = jumps;
    }
    Ok(loaded)
}

fn read_event_again(
    source: &dyn Source,
    actor: &RefName,
    cid: &Cid,
    version: u64,
) -> Result<Box<EventNode>> {
    match read_entry(source, actor, cid, Some(version))? {
        Entry::Event(event) => Ok(event),
        Entry::Base(_) | Entry::Tombstone(_) => {
            let detail = "an event was read there before";
            Err(ActorError::corrupt(actor, version, Some(*cid), detail))
        }
    }
}

fn jumps_at(event: &EventNode, cid: Cid) -> Jumps {
    Jumps::new(event.version.saturating_sub(event.base), cid, event.jump)
}

pub(crate) fn from_snapshot<K: Kind>(actor: &RefName, node: &SnapshotNode) -> Result<Loaded<K>> {
    let state = K::State::of_snapshot(node).map_err(|Unreadable(why)| {
        ActorError::corrupt(actor, node.version, None, format!("its snapshot: {why}"))
    })?;
    Ok(Loaded {
        place: Place {
            version: node.version,
            schema: node.typed.schema,
            snapshot: node.version,
            ..Place::default()
        },
        state,
    })
}
