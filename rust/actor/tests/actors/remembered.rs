//! What happened to an actor, remembered while it is told, to be compared with what is kept of it.

use treering_actor::messages::{Message, UserConfig};
use treering_actor::stores::{agents, chats, look};
use treering_actor::{ActorError, Kind};
use treering_block::Cid;
use treering_block::node::EventNode;

use crate::bench::Bench;
use crate::trim::lasting;

/// Events between two snapshots.
pub const SPAN: u64 = 16;

/// Events that an actor has at most, while each commit brings one.
pub fn most(keep: u64) -> u64 {
    2 * keep.div_ceil(SPAN) * SPAN
}

/// Events of versions `first` to the newest, all of them.
pub fn events<K: Kind>(bench: &Bench, parts: &[&str], first: u64) -> Vec<(Cid, EventNode)> {
    let address = bench.address::<K>(parts);
    let mut all = Vec::new();
    loop {
        let next = first + all.len() as u64;
        let more = bench.reader().events::<K>(&address, next, None).unwrap();
        if more.is_empty() {
            return all;
        }
        all.extend(more);
    }
}

/// All that happened to an actor, however little of it is kept, and what it was at each version.
pub struct Remembered {
    pub events: Vec<EventNode>,
    pub states: Vec<String>,
}

impl Remembered {
    pub fn new<K: Kind>(
        bench: &Bench,
        parts: &[&str],
        show: impl Fn(&Bench, &K::State) -> String,
    ) -> Self {
        let start = show(bench, &bench.now::<K>(parts).state);
        Self {
            events: Vec::new(),
            states: vec![start],
        }
    }

    pub fn note<K: Kind>(
        &mut self,
        bench: &Bench,
        parts: &[&str],
        show: impl Fn(&Bench, &K::State) -> String,
    ) {
        let new = lasting(&events::<K>(bench, parts, self.events.len() as u64 + 1));
        self.events.extend(new);
        let now = bench.now::<K>(parts);
        assert_eq!(now.place.version, self.events.len() as u64);
        // Of several at once the last alone is seen; the others are not compared.
        self.states.resize(self.events.len(), String::new());
        self.states.push(show(bench, &now.state));
    }

    /// Whoever looks, with or without what was folded before, sees what is kept as it was, and nothing else.
    pub fn compare<K: Kind>(
        &self,
        bench: &Bench,
        parts: &[&str],
        show: impl Fn(&Bench, &K::State) -> String,
    ) -> u64 {
        let (address, newest) = (bench.address::<K>(parts), self.events.len() as u64);
        let base = bench.now::<K>(parts).place.base;
        for bench in [bench, &bench.cold()] {
            let reader = bench.reader();
            assert_eq!(bench.now::<K>(parts).place.base, base);
            let kept = lasting(&events::<K>(bench, parts, base + 1));
            assert_eq!(kept, self.events[usize::try_from(base).unwrap()..]);
            for version in base..=newest {
                let was = reader.at::<K>(&address, version).unwrap();
                let remembered = &self.states[usize::try_from(version).unwrap()];
                if !remembered.is_empty() {
                    assert_eq!(&show(bench, &was.state), remembered, "version {version}");
                }
            }
            if base > 0 {
                let gone = reader.at::<K>(&address, base - 1);
                assert!(
                    matches!(&gone, Err(ActorError::HistoryTrimmed { oldest, .. }) if *oldest == base)
                );
                let then = reader.at_time::<K>(
                    &address,
                    self.events[usize::try_from(base).unwrap() - 1].at_ms,
                );
                assert!(then.is_ok(), "{then:?}");
            }
            assert_eq!(bench.verify::<K>(parts).unwrap(), newest - base);
        }
        newest - base
    }
}

pub fn model(_: &Bench, state: &UserConfig) -> String {
    format!("model {}", state.default_model)
}

pub fn messages(bench: &Bench, state: &chats::Chat) -> String {
    let said = look(&*bench.store, |blocks| state.messages(blocks)).unwrap();
    let content = |(message, _): (Message, Vec<Cid>)| message.content;
    format!("{:?}", said.into_iter().map(content).collect::<Vec<_>>())
}

pub fn rows(bench: &Bench, state: &chats::ChatIndex) -> String {
    let rows = look(&*bench.store, |blocks| state.conversations(blocks)).unwrap();
    format!(
        "{:?}",
        rows.iter()
            .map(|row| (&row.id, row.message_count))
            .collect::<Vec<_>>()
    )
}

pub fn groups(bench: &Bench, state: &agents::Agents) -> String {
    format!(
        "{:?}",
        look(&*bench.store, |blocks| state.groups(blocks)).unwrap()
    )
}
