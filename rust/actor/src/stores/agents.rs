//! Which actors of which type a scope has: `agent-registry`.
//!
//! Three maps hang on its snapshots: where an actor stands (by id), who stands where (by number), and how many each
//! type has. So an addition or removal costs one path in each, however many there are.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use treering_block::Cid;
use treering_block::collection::Map;
use treering_store::RefName;
use treering_store::name::READ_MODEL;
use treering_thread::command::Payload;

use super::shelf::{close, message, open, value};
use super::{ID_BYTES_MAX, KINDS, Stores, Verb, check_text};
use crate::dispatch::Done;
use crate::error::{ActorError, Result, within};
use crate::kind::{Blocks, Happened, Kind, State, Unreadable, events};
use crate::messages::{
    Admission, AgentAdded, AgentGroup, AgentListed, AgentOperation, AgentPlace, AgentPlaces,
    AgentRemoved, AgentType, AgentsState, Encoding, Link, Name,
};

/// Types that one actor may be listed under.
pub const TYPES_MAX: usize = 1000;

events! {
    /// What happens to it.
    AgentsEvent: AgentAdded, AgentRemoved
}

/// See the top of this file.
#[derive(Debug)]
pub struct AgentsKind;

/// The registry as it was stored, and what happened since.
#[derive(Clone, Debug, Default)]
pub struct Agents {
    next_number: u64,
    places: Option<Cid>,
    order: Option<Cid>,
    types: Option<Cid>,
    since: Vec<Arc<Change>>,
}

#[derive(Debug)]
struct Change {
    agent_type: String,
    actor_id: String,
    /// None: it was removed.
    number: Option<u64>,
}

impl Agents {
    /// The types that an actor is listed under, with its places.
    ///
    /// # Errors
    /// Those of reading.
    pub fn places(&self, actor_id: &str, blocks: &Blocks<'_>) -> Result<Vec<AgentPlace>> {
        let stored = open(self.places.as_ref(), blocks)?.get(actor_id, blocks)?;
        let mut places = match stored {
            Some(stored) => message::<AgentPlaces>(&stored)?.places,
            None => Vec::new(),
        };
        for change in self
            .since
            .iter()
            .filter(|change| change.actor_id == actor_id)
        {
            put_place(&mut places, change);
        }
        Ok(places)
    }

    /// All of them by type, both in the order in which they were added. O(actors).
    ///
    /// # Errors
    /// Those of reading.
    pub fn groups(&self, blocks: &Blocks<'_>) -> Result<Vec<AgentGroup>> {
        let mut listed: BTreeMap<u64, (String, String)> = BTreeMap::new();
        open(self.order.as_ref(), blocks)?.each(blocks, &mut |number: &str, stored| {
            let who: AgentListed = message(&stored)?;
            // A key that is no number would be no map of ours: it stands before all.
            listed.insert(number.parse().unwrap_or(0), (who.agent_type, who.actor_id));
            Ok(true)
        })?;
        let mut types: HashMap<String, AgentType> = HashMap::new();
        open(self.types.as_ref(), blocks)?.each(blocks, &mut |agent_type: &str, stored| {
            types.insert(agent_type.to_owned(), message(&stored)?);
            Ok(true)
        })?;
        for change in &self.since {
            if let Some(number) = change.number {
                listed.insert(number, (change.agent_type.clone(), change.actor_id.clone()));
            } else {
                listed.retain(|_, (agent_type, actor_id)| {
                    *agent_type != change.agent_type || *actor_id != change.actor_id
                });
            }
            count(&mut types, change);
        }
        let mut groups: Vec<AgentGroup> = Vec::with_capacity(types.len());
        let mut at: HashMap<String, usize> = HashMap::with_capacity(types.len());
        let mut ordered: Vec<(String, u64)> = types
            .into_iter()
            .map(|(name, its)| (name, its.number))
            .collect();
        ordered.sort_by_key(|(_, number)| *number);
        for (agent_type, _) in ordered {
            at.insert(agent_type.clone(), groups.len());
            groups.push(AgentGroup {
                agent_type,
                actor_ids: Vec::new(),
            });
        }
        for (agent_type, actor_id) in listed.into_values() {
            if let Some(group) = at.get(&agent_type).and_then(|place| groups.get_mut(*place)) {
                group.actor_ids.push(actor_id);
            }
        }
        Ok(groups)
    }
}

fn put_place(places: &mut Vec<AgentPlace>, change: &Change) {
    places.retain(|place| place.agent_type != change.agent_type);
    if let Some(number) = change.number {
        places.push(AgentPlace {
            agent_type: change.agent_type.clone(),
            number,
        });
    }
}

fn count(types: &mut HashMap<String, AgentType>, change: &Change) {
    let new = AgentType {
        number: change.number.unwrap_or(0),
        count: 0,
    };
    let its = types.entry(change.agent_type.clone()).or_insert(new);
    match change.number {
        Some(_) => its.count += 1,
        None => its.count = its.count.saturating_sub(1),
    }
    if its.count == 0 {
        types.remove(&change.agent_type);
    }
}

impl Kind for AgentsKind {
    const NAME: &'static str = "agent-registry";
    /// With its three maps an activation reads no more than twenty blocks.
    const SNAPSHOT_EVENTS: u64 = 15;
    type State = Agents;
    type Event = AgentsEvent;

    fn evolve(state: &mut Agents, happened: &Happened<AgentsEvent>) {
        let (agent_type, actor_id, number) = match &happened.event {
            AgentsEvent::AgentAdded(added) => {
                state.next_number += 1;
                (&added.agent_type, &added.actor_id, Some(state.next_number))
            }
            AgentsEvent::AgentRemoved(removed) => (&removed.agent_type, &removed.actor_id, None),
        };
        state.since.push(Arc::new(Change {
            agent_type: agent_type.clone(),
            actor_id: actor_id.clone(),
            number,
        }));
    }
}

impl State for Agents {
    fn type_name() -> String {
        AgentsState::full_name()
    }

    fn save(&mut self, blocks: &mut Blocks<'_>) -> Result<(Vec<u8>, Vec<Cid>)> {
        let mut places = open(self.places.as_ref(), blocks)?;
        let mut order = open(self.order.as_ref(), blocks)?;
        let mut types = open(self.types.as_ref(), blocks)?;
        for change in std::mem::take(&mut self.since) {
            let mut there = stored::<AgentPlaces>(&places, &change.actor_id, blocks)?
                .unwrap_or_default()
                .places;
            let before = there
                .iter()
                .find(|place| place.agent_type == change.agent_type);
            if let Some(before) = before {
                order.remove(&before.number.to_string(), blocks)?;
            }
            put_place(&mut there, &change);
            if there.is_empty() {
                places.remove(&change.actor_id, blocks)?;
            } else {
                places.insert(
                    &change.actor_id,
                    value(&AgentPlaces { places: there }),
                    blocks,
                )?;
            }
            if let Some(number) = change.number {
                let listed = AgentListed {
                    agent_type: change.agent_type.clone(),
                    actor_id: change.actor_id.clone(),
                };
                order.insert(&number.to_string(), value(&listed), blocks)?;
            }
            let its = stored::<AgentType>(&types, &change.agent_type, blocks)?;
            let mut counted: HashMap<String, AgentType> = its
                .map(|its| (change.agent_type.clone(), its))
                .into_iter()
                .collect();
            count(&mut counted, &change);
            match counted.get(&change.agent_type) {
                Some(its) => drop(types.insert(&change.agent_type, value(its), blocks)?),
                None => drop(types.remove(&change.agent_type, blocks)?),
            }
        }
        let links = vec![
            close(&places, blocks)?,
            close(&order, blocks)?,
            close(&types, blocks)?,
        ];
        (self.places, self.order, self.types) = (
            links.first().copied(),
            links.get(1).copied(),
            links.get(2).copied(),
        );
        let at = |index| Some(Link { index });
        let state = AgentsState {
            next_number: self.next_number,
            places: at(0),
            order: at(1),
            types: at(2),
        };
        Ok((state.encode_to_vec(), links))
    }

    fn load(message: &[u8], links: &[Cid]) -> Result<Self, Unreadable> {
        let state = AgentsState::decode(message)?;
        let link = |at: Option<Link>| at.and_then(|at| links.get(at.index as usize).copied());
        Ok(Self {
            next_number: state.next_number,
            places: link(state.places),
            order: link(state.order),
            types: link(state.types),
            since: Vec::new(),
        })
    }

    fn weight(&self) -> usize {
        self.since.len() * 256
    }
}

fn stored<M: Encoding + Default>(map: &Map, key: &str, blocks: &Blocks<'_>) -> Result<Option<M>> {
    map.get(key, blocks)?.as_ref().map(message).transpose()
}

/// Lists an actor under a type, behind the others; nothing happens if it is listed there.
///
/// # Errors
/// `InvalidCommand` for a blank type or id, and for an id that is an address in another scope, which no scope can allow;
/// `LimitExceeded` for long ones, or more than [`TYPES_MAX`] types.
pub fn add(stores: &Stores, agent_type: &str, actor_id: &str) -> Result<Verb> {
    let mut payload = Payload::new("agents add");
    payload.text(agent_type).text(actor_id);
    let (agent_type, actor_id) = names(agent_type, actor_id)?;
    if is_elsewhere(stores, &actor_id) {
        let rule = "it is the address of an actor in another scope";
        return Err(ActorError::invalid("actor_id", &actor_id, rule));
    }
    let address = stores.address::<AgentsKind>(&[])?;
    Ok(Verb::new::<AgentsKind>(
        address,
        payload,
        move |turn, address| {
            let before = turn.load::<AgentsKind>(address)?;
            let places = before.state.places(&actor_id, turn.blocks())?;
            if places.iter().all(|place| place.agent_type != agent_type) {
                within("types of one actor", TYPES_MAX, places.len() + 1)?;
                let added = AgentAdded {
                    agent_type: agent_type.clone(),
                    actor_id: actor_id.clone(),
                };
                turn.append::<AgentsKind>(address, [added.into()])?;
            }
            Ok(Done::default())
        },
    ))
}

/// Takes an actor out of a type, if it is listed there.
///
/// # Errors
/// `InvalidCommand` for a blank type or id; `LimitExceeded` for long ones.
pub fn remove(stores: &Stores, agent_type: &str, actor_id: &str) -> Result<Verb> {
    let mut payload = Payload::new("agents remove");
    payload.text(agent_type).text(actor_id);
    let (agent_type, actor_id) = names(agent_type, actor_id)?;
    let address = stores.address::<AgentsKind>(&[])?;
    Ok(Verb::new::<AgentsKind>(
        address,
        payload,
        move |turn, address| {
            let before = turn.load::<AgentsKind>(address)?;
            let places = before.state.places(&actor_id, turn.blocks())?;
            if places.iter().any(|place| place.agent_type == agent_type) {
                let removed = AgentRemoved {
                    agent_type: agent_type.clone(),
                    actor_id: actor_id.clone(),
                };
                turn.append::<AgentsKind>(address, [removed.into()])?;
            }
            Ok(Done::default())
        },
    ))
}

fn names(agent_type: &str, actor_id: &str) -> Result<(String, String)> {
    Ok((
        check_text("agent_type", agent_type, ID_BYTES_MAX)?.to_owned(),
        check_text("actor_id", actor_id, ID_BYTES_MAX)?.to_owned(),
    ))
}

/// Whether an id is the address of an actor in another scope. `a/b/c` is none: there are no actors of kind `b`.
fn is_elsewhere(stores: &Stores, actor_id: &str) -> bool {
    let is_actors = |kind: &str| {
        let kind = kind.strip_suffix(READ_MODEL).unwrap_or(kind);
        KINDS.contains(&kind) || kind.starts_with("x.")
    };
    RefName::parse(actor_id)
        .is_ok_and(|name| is_actors(name.kind()) && name.scope() != stores.scope())
}

/// Whether an operation on an actor of that type is allowed. Asks what is committed; writes nothing.
///
/// `actor_id` may be the address of an actor as [`RefName::encoded`] gives it: one in another scope is a mismatch, and
/// nothing of that scope is looked at.
///
/// # Errors
/// Those of reading.
pub fn authorize(
    stores: &Stores,
    agent_type: &str,
    actor_id: &str,
    operation: AgentOperation,
) -> Result<Admission> {
    if is_elsewhere(stores, actor_id) {
        return Ok(Admission::ScopeMismatch);
    }
    let reader = stores.reader();
    let registry = reader.now::<AgentsKind>(&stores.address::<AgentsKind>(&[])?)?;
    let places = super::look(&**reader.store(), |blocks| {
        registry.state.places(actor_id, blocks)
    })?;
    Ok(match operation {
        _ if places.is_empty() => Admission::NotFound,
        AgentOperation::Unknown => Admission::Denied,
        _ if places.iter().any(|place| place.agent_type == agent_type) => Admission::Allowed,
        _ => Admission::Denied,
    })
}
