//! A projection in another scope: it counts what happened to the actors of the life, in a map, and delivers a message about
//! each into a chat of its own scope. View, checkpoint and chat move together, so after any failure they agree.

use std::sync::Arc;

use treering_actor::messages::Message;
use treering_actor::stores::chats::{self, ChatKind};
use treering_actor::stores::{Stores, look};
use treering_actor::{Envelope, Mixed, Past, Projected, Projection, Result};
use treering_block::collection::Map;
use treering_block::{Cid, Encoded, Ipld};
use treering_store::{Carried, Durability, RefName, Version};
use treering_thread::Threads;

use crate::life::{Living, SCOPE};

/// Where the projection is.
pub const TEAM: &str = "team";
const INBOX: &str = "inbox";
/// More than the life has events.
const MESSAGES_MAX: u32 = 4_000;
const FOLLOWED: [&str; 4] = ["agent-registry", "chat", "user-config", "user-memory"];

fn number(number: u64) -> Encoded {
    Encoded::from_ipld(&Ipld::Integer(i128::from(number))).unwrap()
}

fn count(value: &Encoded) -> u64 {
    match value.to_ipld().unwrap() {
        Ipld::Integer(count) => u64::try_from(count).unwrap(),
        other => panic!("{other:?} is no count"),
    }
}

/// A view that is a map.
fn viewed(map: &Version<Map>) -> (Encoded, Carried) {
    let root = map.rooted();
    let view = Encoded::from_ipld(&Ipld::Link(root.root.cid.into())).unwrap();
    (view, Carried(vec![root.clone()]))
}

/// What is said of something that happened.
fn told(log: &RefName, past: &Past) -> String {
    let what = match past {
        Past::Event(_, event) => &event.typed.type_name,
        Past::Deleted { .. } => "deleted",
        Past::Trimmed { .. } => "trimmed",
    };
    format!("{} {} {what}", log.encoded(), past.version())
}

impl Living {
    pub fn team(&self) -> Stores {
        let dispatcher = self.stores.dispatcher().clone();
        Stores::new(dispatcher, TEAM, Durability::Durable).unwrap()
    }

    fn projection(&self) -> Result<Projection> {
        let start = viewed(&Version::new()?);
        let kinds = FOLLOWED.map(str::to_owned);
        let reader = self.stores.reader();
        Projection::new(reader, TEAM, "digest", &[SCOPE.to_owned()], &kinds, start)
    }

    fn counts(&self, now: &Projected) -> Result<Version<Map>> {
        Ok(match now.collections().first() {
            Some(root) => Version::load(&self.store, root)?,
            None => Version::new()?,
        })
    }

    /// Goes on, in one commit, until so many things that happened were seen, or all of them; a second time it does nothing.
    pub fn project(&self, until: u64) -> Result<()> {
        let projection = self.projection()?;
        let now = projection.load()?;
        let most = until.saturating_sub(now.events());
        let mut search = projection.search(now.cursor())?;
        let mut happened = Vec::new();
        let mut cursor = now.cursor();
        while let Some(page) = projection.next(&mut search, &now)? {
            let mut whole = true;
            for behind in page.behind {
                let room = most - happened.len() as u64;
                let past = match room {
                    0 => Vec::new(),
                    room => projection.past(&behind.log, behind.seen, behind.version, room)?,
                };
                whole &= past.last().map(Past::version) == Some(behind.version);
                let one = |past| (behind.log.clone(), behind.source.clone(), past);
                happened.extend(past.into_iter().map(one));
            }
            if !whole {
                break;
            }
            cursor = page.cursor.or(cursor);
        }
        if happened.is_empty() {
            return Ok(());
        }
        let mut counts = self.counts(&now)?;
        let mut mixed = Mixed::new(self.stores.dispatcher().clone());
        for (log, source, past) in &happened {
            let before = counts.look(|map, draft| map.get(source, draft))?;
            let after = number(before.as_ref().map_or(0, count) + 1);
            counts = counts.change(&[], |map, draft| map.insert(source, after, draft).map(drop))?;
            let message = Message {
                content: told(log, past),
                ..Message::default()
            };
            let messages = [(message, Vec::new())];
            mixed.add(chats::append(&self.team(), INBOX, &messages, MESSAGES_MAX)?);
        }
        let seen: Vec<(String, u64)> = happened
            .iter()
            .map(|(_, source, past)| (source.clone(), past.version()))
            .collect();
        let step = projection.advance(&now, Some(viewed(&counts)), &seen, cursor)?;
        let threads = Threads::new(Arc::clone(&self.store), TEAM, Durability::Durable).unwrap();
        let mut batch = threads.batch();
        batch.carry(step.blocks);
        batch.move_along(step.step);
        let pending = mixed.commit(batch, Envelope::default(), Durability::Durable)?;
        pending.wait()?;
        step.landing.landed();
        Ok(())
    }

    fn delivered(&self) -> Result<Vec<String>> {
        let reader = self.stores.reader();
        let address = self.team().address::<ChatKind>(&[INBOX])?;
        reader.verify::<ChatKind>(&address)?;
        let inbox = reader.now::<ChatKind>(&address)?;
        let said = look(&*self.store, |blocks| inbox.state.messages(blocks))?;
        let content = |(message, _): (Message, Vec<Cid>)| message.content;
        Ok(said.into_iter().map(content).collect())
    }

    /// View, checkpoint and what was delivered.
    pub fn projected(&self) -> Result<String> {
        let now = self.projection()?.load()?;
        let mut counts = Vec::new();
        self.counts(&now)?.look(|map, draft| {
            map.each(draft, &mut |source, value| {
                counts.push((source.to_owned(), count(&value)));
                Ok(true)
            })
        })?;
        Ok(format!(
            "projection {} {} {counts:?} {:?}\ndelivered {:?}",
            now.version(),
            now.events(),
            now.checkpoint(None, usize::MAX)?,
            self.delivered()?
        ))
    }

    /// That view, checkpoint and what was delivered agree, and that nothing is seen that did not happen.
    pub fn view_is_what_was_seen(&self) -> Result<(), String> {
        let said = |error: treering_actor::ActorError| error.to_string();
        let projection = self.projection().map_err(said)?;
        let now = projection.load().map_err(said)?;
        let delivered = self.delivered().map_err(said)?;
        let counts = self.counts(&now).map_err(said)?;
        for (source, seen) in now.checkpoint(None, usize::MAX).map_err(said)? {
            let about: Vec<u64> = delivered
                .iter()
                .filter_map(|text| text.strip_prefix(&format!("{source} ")))
                .filter_map(|text| text.split(' ').next()?.parse().ok())
                .collect();
            let counted = counts.look(|map, draft| map.get(&source, draft));
            let counted = counted.map_err(|error| error.to_string())?;
            let counted = counted.as_ref().map_or(0, count);
            if !about.is_sorted_by(|one, next| one < next)
                || about.last() != Some(&seen)
                || about.len() as u64 != counted
            {
                return Err(format!(
                    "{source} was seen up to {seen}, counted {counted} times, and delivered {about:?}"
                ));
            }
            let log = projection.log(&source).map_err(said)?;
            let value = self
                .store
                .read_ref(&log)
                .map_err(|error| error.to_string())?;
            if value.is_none() {
                return Err(format!("{source} was seen and is not there"));
            }
        }
        if now.events() != delivered.len() as u64 {
            return Err(format!(
                "{} events, {} deliveries",
                now.events(),
                delivered.len()
            ));
        }
        Ok(())
    }

    /// That the checkpoint has all that happened.
    pub fn everything_is_seen(&self) -> Result<(), String> {
        let said = |error: treering_actor::ActorError| error.to_string();
        let projection = self.projection().map_err(said)?;
        let now = projection.load().map_err(said)?;
        let reader = self.stores.reader();
        for kind in FOLLOWED {
            for (log, standing) in reader.actors(SCOPE, kind, None, usize::MAX).map_err(said)? {
                let version = standing.map_err(said)?.version;
                let seen = now.seen(&projection.source(&log)).map_err(said)?;
                if seen != version {
                    return Err(format!("{log} is at version {version}, {seen} was seen"));
                }
            }
        }
        Ok(())
    }
}
