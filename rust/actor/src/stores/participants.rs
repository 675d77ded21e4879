//! Who takes part in which room: `participants`.

use std::collections::{BTreeMap, BTreeSet};

use treering_block::Cid;
use treering_thread::command::Payload;

use super::shelf::Shelf;
use super::{ID_BYTES_MAX, NAME_BYTES_MAX, Stores, Verb, check_length, check_text};
use crate::dispatch::Done;
use crate::error::{Result, within};
use crate::kind::{Blocks, Happened, Kind, State, Unreadable, events};
use crate::messages::{
    Encoding, Link, Name, Participant, ParticipantAdded, ParticipantRemoved, ParticipantsState,
    Room, RoomRemoved,
};

/// Participants of one room.
pub const PARTICIPANTS_MAX: usize = 500;

events! {
    /// What happens to it.
    ParticipantsEvent: ParticipantAdded, ParticipantRemoved, RoomRemoved
}

/// See the top of this file.
#[derive(Debug)]
pub struct ParticipantsKind;

/// The rooms as they were stored, and what happened in them since.
#[derive(Clone, Debug, Default)]
pub struct Rooms {
    rooms: Shelf<Room>,
    /// By room, in order.
    since: BTreeMap<String, Vec<ParticipantsEvent>>,
}

impl Rooms {
    /// Those in a room, in the order in which they came; none in one that there is not.
    ///
    /// # Errors
    /// Those of reading.
    pub fn participants(&self, room_id: &str, blocks: &Blocks<'_>) -> Result<Vec<Participant>> {
        let room = self.rooms.get(room_id, blocks)?.unwrap_or_default();
        let mut participants = room.participants;
        for event in self.since.get(room_id).into_iter().flatten() {
            change(&mut participants, event);
        }
        Ok(participants)
    }

    /// Ids of the rooms that there are, in order. O(rooms).
    ///
    /// # Errors
    /// Those of reading.
    pub fn ids(&self, blocks: &Blocks<'_>) -> Result<Vec<String>> {
        let mut ids: BTreeSet<String> = self.rooms.all(blocks)?.into_keys().collect();
        for room_id in self.since.keys() {
            if self.participants(room_id, blocks)?.is_empty() {
                ids.remove(room_id);
            } else {
                ids.insert(room_id.clone());
            }
        }
        Ok(ids.into_iter().collect())
    }
}

fn change(participants: &mut Vec<Participant>, event: &ParticipantsEvent) {
    match event {
        ParticipantsEvent::ParticipantAdded(added) => {
            if let Some(new) = &added.participant {
                participants.retain(|there| there.agent_id != new.agent_id);
                participants.push(new.clone());
            }
        }
        ParticipantsEvent::ParticipantRemoved(removed) => {
            participants.retain(|there| there.agent_id != removed.agent_id);
        }
        ParticipantsEvent::RoomRemoved(_) => participants.clear(),
    }
}

impl Kind for ParticipantsKind {
    const NAME: &'static str = "participants";
    type State = Rooms;
    type Event = ParticipantsEvent;

    fn evolve(state: &mut Rooms, happened: &Happened<ParticipantsEvent>) {
        let room = match &happened.event {
            ParticipantsEvent::ParticipantAdded(added) => &added.room_id,
            ParticipantsEvent::ParticipantRemoved(removed) => &removed.room_id,
            ParticipantsEvent::RoomRemoved(removed) => &removed.room_id,
        };
        let since = state.since.entry(room.clone()).or_default();
        since.push(happened.event.clone());
    }
}

impl State for Rooms {
    fn type_name() -> String {
        ParticipantsState::full_name()
    }

    fn save(&mut self, blocks: &mut Blocks<'_>) -> Result<(Vec<u8>, Vec<Cid>)> {
        for (room_id, _) in self.since.clone() {
            let participants = self.participants(&room_id, blocks)?;
            if participants.is_empty() {
                self.rooms.remove(&room_id);
            } else {
                self.rooms.put(&room_id, Room { participants });
            }
        }
        self.since.clear();
        let root = self.rooms.save(blocks)?;
        let state = ParticipantsState {
            rooms: Some(Link { index: 0 }),
        };
        Ok((state.encode_to_vec(), vec![root]))
    }

    fn load(message: &[u8], links: &[Cid]) -> Result<Self, Unreadable> {
        ParticipantsState::decode(message)?;
        Ok(Self {
            rooms: Shelf::stored(links.first().copied()),
            since: BTreeMap::new(),
        })
    }

    fn weight(&self) -> usize {
        let events: usize = self.since.values().map(Vec::len).sum();
        self.rooms.weight() + events * 256
    }
}

/// Puts an agent behind the others of a room, under that name and from now on.
///
/// # Errors
/// `InvalidCommand` for a blank id; `LimitExceeded` over [`PARTICIPANTS_MAX`], and for what is too long.
pub fn add(stores: &Stores, room_id: &str, agent_id: &str, display_name: &str) -> Result<Verb> {
    let mut payload = Payload::new("participants add");
    payload.text(room_id).text(agent_id).text(display_name);
    let room_id = check_text("room_id", room_id, ID_BYTES_MAX)?.to_owned();
    let agent_id = check_text("agent_id", agent_id, ID_BYTES_MAX)?.to_owned();
    let name = match check_length("bytes of display_name", display_name, NAME_BYTES_MAX)?.trim() {
        "" => agent_id.clone(),
        _ => display_name.to_owned(),
    };
    let address = stores.address::<ParticipantsKind>(&[])?;
    Ok(Verb::new::<ParticipantsKind>(
        address,
        payload,
        move |turn, address| {
            let before = turn.load::<ParticipantsKind>(address)?;
            let there = before.state.participants(&room_id, turn.blocks())?;
            let others = there
                .iter()
                .filter(|other| other.agent_id != agent_id)
                .count();
            within("participants of one room", PARTICIPANTS_MAX, others + 1)?;
            let participant = Participant {
                agent_id: agent_id.clone(),
                display_name: name.clone(),
                joined_at_ms: turn.at_ms(),
            };
            let added = ParticipantAdded {
                room_id: room_id.clone(),
                participant: Some(participant),
            };
            turn.append::<ParticipantsKind>(address, [added.into()])?;
            Ok(Done::default())
        },
    ))
}

/// Takes an agent out of a room, if it is there.
///
/// # Errors
/// `InvalidCommand` for a blank id.
pub fn remove(stores: &Stores, room_id: &str, agent_id: &str) -> Result<Verb> {
    let mut payload = Payload::new("participants remove");
    payload.text(room_id).text(agent_id);
    let room_id = check_text("room_id", room_id, ID_BYTES_MAX)?.to_owned();
    let agent_id = check_text("agent_id", agent_id, ID_BYTES_MAX)?.to_owned();
    let address = stores.address::<ParticipantsKind>(&[])?;
    Ok(Verb::new::<ParticipantsKind>(
        address,
        payload,
        move |turn, address| {
            let before = turn.load::<ParticipantsKind>(address)?;
            let there = before.state.participants(&room_id, turn.blocks())?;
            if there.iter().any(|other| other.agent_id == agent_id) {
                let removed = ParticipantRemoved {
                    room_id: room_id.clone(),
                    agent_id: agent_id.clone(),
                };
                turn.append::<ParticipantsKind>(address, [removed.into()])?;
            }
            Ok(Done::default())
        },
    ))
}

/// Removes a room with all who take part, if there is one.
///
/// # Errors
/// `InvalidCommand` for a blank id.
pub fn remove_room(stores: &Stores, room_id: &str) -> Result<Verb> {
    let mut payload = Payload::new("participants remove_room");
    payload.text(room_id);
    let room_id = check_text("room_id", room_id, ID_BYTES_MAX)?.to_owned();
    let address = stores.address::<ParticipantsKind>(&[])?;
    Ok(Verb::new::<ParticipantsKind>(
        address,
        payload,
        move |turn, address| {
            let before = turn.load::<ParticipantsKind>(address)?;
            let there = before.state.participants(&room_id, turn.blocks())?;
            if !there.is_empty() {
                let removed = RoomRemoved {
                    room_id: room_id.clone(),
                };
                turn.append::<ParticipantsKind>(address, [removed.into()])?;
            }
            Ok(Done {
                dropped: there.len() as u64,
                ..Done::default()
            })
        },
    ))
}
