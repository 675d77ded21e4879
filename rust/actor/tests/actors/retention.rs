//! History that ends by itself: what is kept is as it was, it is enough, and it is not too much.

use proptest::prelude::*;
use treering_actor::messages::Message;
use treering_actor::stores::agents::{self, AgentsKind};
use treering_actor::stores::chats::{self, ChatIndexKind, ChatKind};
use treering_actor::stores::user_config::{self, UserConfigKind};
use treering_actor::stores::{Keep, Options, look};
use treering_actor::{
    ActorError, Dispatcher, Envelope, Following, HISTORY_EVENTS_MAX, Kind, Mixed, TRIM_EVENTS_MAX,
};
use treering_block::Cid;
use treering_block::node::{BaseNode, Entry, EventNode, SnapshotNode};
use treering_store::{Durability, MemoryStore};
use treering_thread::Threads;

use crate::bench::{Bench, said, with_id};
use crate::broken::plant;
use crate::trim::lasting;

/// Events between two snapshots.
const SPAN: u64 = 16;

/// Events that an actor has at most, while each commit brings one.
fn most(keep: u64) -> u64 {
    2 * keep.div_ceil(SPAN) * SPAN
}

/// Events of versions `first` to the newest, all of them.
fn events<K: Kind>(bench: &Bench, parts: &[&str], first: u64) -> Vec<(Cid, EventNode)> {
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
struct Remembered {
    events: Vec<EventNode>,
    states: Vec<String>,
}

impl Remembered {
    fn new<K: Kind>(
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

    fn note<K: Kind>(
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
    fn compare<K: Kind>(
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

fn model(_: &Bench, state: &treering_actor::messages::UserConfig) -> String {
    format!("model {}", state.default_model)
}

fn messages(bench: &Bench, state: &chats::Chat) -> String {
    let said = look(&*bench.store, |blocks| state.messages(blocks)).unwrap();
    let content = |(message, _): (Message, Vec<Cid>)| message.content;
    format!("{:?}", said.into_iter().map(content).collect::<Vec<_>>())
}

fn rows(bench: &Bench, state: &chats::ChatIndex) -> String {
    let rows = look(&*bench.store, |blocks| state.conversations(blocks)).unwrap();
    format!(
        "{:?}",
        rows.iter()
            .map(|row| (&row.id, row.message_count))
            .collect::<Vec<_>>()
    )
}

fn groups(bench: &Bench, state: &agents::Agents) -> String {
    format!(
        "{:?}",
        look(&*bench.store, |blocks| state.groups(blocks)).unwrap()
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Whatever is kept and written, and whoever else writes without the setting, trims, deletes and collects.
    #[test]
    fn what_is_kept_is_as_it_was(
        keep in prop_oneof![1_u64..4, 14_u64..18, 20_u64..70],
        acts in prop::collection::vec((0_u8..20, 1_u64..4), 30..220),
    ) {
        let plain = Bench::new();
        let bench = plain.keeping(keep);
        let mut config = Remembered::new::<UserConfigKind>(&bench, &[], model);
        let mut registry = Remembered::new::<AgentsKind>(&bench, &[], groups);
        let mut least = (keep, keep);
        for (number, (act, times)) in acts.iter().enumerate() {
            for time in 0..*times {
                let name = format!("{number} {time}");
                match act {
                    // By somebody who keeps all.
                    0 => drop(plain.configure(&name)),
                    1..=8 => drop(bench.configure(&name)),
                    9 => {
                        let kept = Keep::Last(7 + times);
                        let verb = bench.stores.trim::<UserConfigKind>(&[], kept).unwrap();
                        bench.run::<UserConfigKind>(verb);
                        least.0 = least.0.min(7 + times);
                    }
                    10 => bench.gc(),
                    11 => drop(bench.reader().rebuild::<AgentsKind>(
                        &bench.address::<AgentsKind>(&[]), Durability::Relaxed).unwrap()),
                    12 => bench.stores.reader().rebuild::<UserConfigKind>(
                        &bench.address::<UserConfigKind>(&[]), Durability::Relaxed).map(drop).unwrap(),
                    _ => {
                        let verb = agents::add(&bench.stores, "worker", &name).unwrap();
                        bench.run::<AgentsKind>(verb);
                    }
                }
                config.note::<UserConfigKind>(&bench, &[], model);
                registry.note::<AgentsKind>(&bench, &[], groups);
            }
        }
        bench.gc();
        let kept = config.compare::<UserConfigKind>(&bench, &[], model);
        prop_assert!(kept >= least.0.min(config.events.len() as u64), "{kept} of {}", config.events.len());
        let kept = registry.compare::<AgentsKind>(&bench, &[], groups);
        prop_assert!(kept >= least.1.min(registry.events.len() as u64), "{kept}");
        prop_assert_eq!(&plain.store.verify(None).unwrap().findings, &[]);
    }
}

#[test]
fn at_least_so_many_and_at_most_twice() {
    for keep in [1, 15, 16, 17, 40, 64] {
        let bench = Bench::new().keeping(keep);
        let mut config = Remembered::new::<UserConfigKind>(&bench, &[], model);
        let mut greatest = 0;
        for number in 1..=300_u64 {
            bench.configure(&format!("{number}"));
            config.note::<UserConfigKind>(&bench, &[], model);
            let kept = number - bench.now::<UserConfigKind>(&[]).place.base;
            assert!(kept >= keep.min(number), "{kept} of {number}");
            greatest = greatest.max(kept);
        }
        // The snapshot that cuts off is the one that would be the next to wait.
        assert_eq!(greatest, most(keep) - 1, "keep {keep}");
        bench.gc();
        let kept = config.compare::<UserConfigKind>(&bench, &[], model);
        // What is there beside the events: what the log begins with.
        assert_eq!(bench.entries() as u64, kept + 1);
    }
}

#[test]
fn the_list_of_conversations_is_kept_as_the_conversations_are() {
    let bench = Bench::new().keeping(20);
    let mut chat = Remembered::new::<ChatKind>(&bench, &["c"], messages);
    let mut list = Remembered::new::<ChatIndexKind>(&bench, &[], rows);
    for number in 0..150 {
        bench.say("c", &format!("m{number}"), 30);
        chat.note::<ChatKind>(&bench, &["c"], messages);
        list.note::<ChatIndexKind>(&bench, &[], rows);
        if number % 7 == 0 {
            bench.say(&format!("other {number}"), "x", 30);
            list.note::<ChatIndexKind>(&bench, &[], rows);
        }
    }
    bench.gc();
    for kept in [
        chat.compare::<ChatKind>(&bench, &["c"], messages),
        list.compare::<ChatIndexKind>(&bench, &[], rows),
    ] {
        assert!((20..=most(20)).contains(&kept), "{kept}");
    }
    // A deletion leaves nothing of them, as without the setting.
    bench.run::<ChatKind>(chats::delete(&bench.stores, "c").unwrap());
    assert_eq!(
        bench.now::<ChatIndexKind>(&[]).place.base,
        bench.now::<ChatIndexKind>(&[]).place.version
    );
    bench.gc();
    let listed = bench.store.blocks(0, usize::MAX).unwrap();
    for info in listed {
        let bytes = bench.store.get(&info.cid).unwrap();
        assert!(
            !bytes.windows(3).any(|text| text == b"m14"),
            "a message is still there"
        );
    }
}

#[test]
fn a_long_history_goes_without_being_read() {
    let plain = Bench::new();
    for number in 0..3_000_u64 {
        plain.configure(&format!("{number}"));
    }
    let bench = plain.keeping(100);
    bench.now::<UserConfigKind>(&[]);
    let counters = || bench.store.counters();
    let (mut read, mut worst, mut cut) = (0, 0, None);
    for number in 1..=200_u64 {
        let before = counters().blocks_read;
        bench.configure(&format!("after {number}"));
        let spent = counters().blocks_read - before;
        (read, worst) = (read + spent, worst.max(spent));
        if bench.now::<UserConfigKind>(&[]).place.base > 0 {
            cut.get_or_insert(number);
        }
    }
    // What is kept, what it begins with, and the snapshot; of the 3,000 nothing.
    let cut = cut.unwrap();
    assert!((100..=100 + 2 * SPAN).contains(&cut), "after {cut}");
    assert!(worst <= 100 + 2 * SPAN + 8, "{worst} blocks in one command");
    assert!(read <= worst + 3 * 200, "{read} blocks in all");
    bench.gc();
    assert!(bench.entries() as u64 <= most(100) + 1);
}

#[test]
fn what_it_costs() {
    const COUNT: u64 = 2_000;
    let spent = |bench: &Bench| {
        let before = bench.store.counters();
        for number in 0..COUNT {
            bench.configure(&format!("model {number}"));
        }
        let after = bench.store.counters();
        (
            (after.blocks_written - before.blocks_written) * 100 / COUNT,
            (after.block_bytes_written - before.block_bytes_written) / COUNT,
            (after.blocks_read - before.blocks_read) * 100 / COUNT,
        )
    };
    let whole = spent(&Bench::new());
    let kept = spent(&Bench::new().keeping(200));
    eprintln!(
        "blocks written per 100 commands, bytes per command, blocks read per 100: {whole:?}, with the setting {kept:?}"
    );
    // Each event is written twice in its life, and read once.
    assert!(kept.0 <= whole.0 + 105, "{kept:?} {whole:?}");
    assert!(kept.1 <= whole.1 + 400, "{kept:?} {whole:?}");
    assert!(kept.2 <= whole.2 + 120, "{kept:?} {whole:?}");
}

#[test]
fn the_least_and_the_most_that_can_be_kept() {
    let dispatcher = || Dispatcher::new(std::sync::Arc::new(MemoryStore::new()));
    assert!(matches!(
        dispatcher().keeping(Some(0)),
        Err(ActorError::InvalidCommand {
            field: "history_events",
            ..
        })
    ));
    assert!(matches!(
        dispatcher().keeping(Some(HISTORY_EVENTS_MAX + 1)),
        Err(ActorError::LimitExceeded {
            limit: HISTORY_EVENTS_MAX,
            ..
        })
    ));
    let bench = Bench::new().keeping(HISTORY_EVENTS_MAX);
    for number in 0..2 * HISTORY_EVENTS_MAX + 2 * SPAN {
        bench.configure(&format!("{number}"));
    }
    let place = bench.now::<UserConfigKind>(&[]).place.clone();
    assert!(place.base > 0);
    assert!(
        (HISTORY_EVENTS_MAX..=most(HISTORY_EVENTS_MAX)).contains(&(place.version - place.base))
    );
}

#[test]
fn what_writes_no_event_cuts_off_nothing() {
    let bench = Bench::new();
    for number in 0..70_u64 {
        bench.configure(&format!("{number}"));
    }
    let bench = bench.keeping(1);
    let once = |model: &str| {
        let fields = treering_actor::messages::UserConfigUpdated {
            default_model: Some(model.to_owned()),
            ..Default::default()
        };
        let verb = user_config::update(&bench.stores, &user_config::Defaults::default(), fields);
        bench
            .ask::<UserConfigKind>(verb.unwrap(), with_id("once"))
            .unwrap()
            .receipt
    };
    let base = || bench.now::<UserConfigKind>(&[]).place.base;
    assert!(!bench.configure("69").receipt.changed);
    assert_eq!(base(), 0);
    let first = once("at last");
    // Not yet: a snapshot is not due.
    assert_eq!((first.version, base()), (71, 0));
    for number in 0..40_u64 {
        bench.configure(&format!("more {number}"));
    }
    let cut = base();
    assert!(cut > 71, "{cut}");
    // Its version is not kept any more, and it is not done again.
    let fields = once("at last");
    assert_eq!((fields.version, fields.replayed, base()), (71, true, cut));
    let conflict = bench.ask::<UserConfigKind>(
        bench
            .stores
            .trim::<UserConfigKind>(&[], Keep::Last(0))
            .unwrap(),
        Options {
            expected_version: Some(1),
            ..Options::default()
        },
    );
    assert!(matches!(conflict, Err(ActorError::VersionConflict { .. })));
    assert_eq!(base(), cut);
}

/// Many events of several actors in one commit, more than are kept among them.
#[test]
fn one_commit_of_many() {
    let bench = Bench::new().keeping(10);
    let threads = Threads::new(bench.store.clone(), "alice", Durability::Relaxed).unwrap();
    let mut config = Remembered::new::<UserConfigKind>(&bench, &[], model);
    let mut registry = Remembered::new::<AgentsKind>(&bench, &[], groups);
    for round in 0..8_u64 {
        let mut mixed = Mixed::new(bench.stores.dispatcher().clone());
        for number in 0..50 {
            let fields = treering_actor::messages::UserConfigUpdated {
                default_model: Some(format!("{round} {number}")),
                ..Default::default()
            };
            mixed.add(
                user_config::update(&bench.stores, &user_config::Defaults::default(), fields)
                    .unwrap(),
            );
            mixed.add(agents::add(&bench.stores, "worker", &format!("{round} {number}")).unwrap());
        }
        let pending = mixed.commit(threads.batch(), Envelope::default(), Durability::Relaxed);
        let ran = pending.unwrap().wait().unwrap().ran;
        assert_eq!(ran[99].receipt.version, (round + 1) * 50);
        config.note::<UserConfigKind>(&bench, &[], model);
        registry.note::<AgentsKind>(&bench, &[], groups);
        bench.gc();
    }
    // Each commit leaves one snapshot, and keeps what came behind the one before.
    assert_eq!(config.compare::<UserConfigKind>(&bench, &[], model), 50);
    assert_eq!(registry.compare::<AgentsKind>(&bench, &[], groups), 50);
}

#[test]
fn one_commit_of_more_than_can_be_put_behind_a_beginning() {
    for (events, base) in [(TRIM_EVENTS_MAX, 16), (TRIM_EVENTS_MAX + 1, 0)] {
        let bench = Bench::new().keeping(1);
        for number in 0..16_u64 {
            bench.configure(&format!("{number}"));
        }
        let threads = Threads::new(bench.store.clone(), "alice", Durability::Relaxed).unwrap();
        let mut mixed = Mixed::new(bench.stores.dispatcher().clone());
        for number in 0..events {
            let fields = treering_actor::messages::UserConfigUpdated {
                default_model: Some(format!("together {number}")),
                ..Default::default()
            };
            mixed.add(
                user_config::update(&bench.stores, &user_config::Defaults::default(), fields)
                    .unwrap(),
            );
        }
        let pending = mixed.commit(threads.batch(), Envelope::default(), Durability::Relaxed);
        pending.unwrap().wait().unwrap();
        assert_eq!(
            bench.now::<UserConfigKind>(&[]).place.base,
            base,
            "{events}"
        );
        for number in 0..32_u64 {
            bench.configure(&format!("{number}"));
        }
        let place = bench.now::<UserConfigKind>(&[]).place.clone();
        assert!(place.version - place.base < most(1), "{events}: {place:?}");
    }
}

/// What takes more than a commit has room for stays, the command is done, and a later snapshot is what it begins with.
#[test]
fn what_is_too_much_stays() {
    let bench = Bench::new().keeping(110);
    let message = [said("x")];
    let messages: Vec<_> = message.iter().cycle().take(4_000).cloned().collect();
    for _ in 0..240 {
        let verb = chats::save(&bench.stores, "c", Default::default(), &messages, 4_000).unwrap();
        assert!(bench.run::<ChatKind>(verb).receipt.changed);
    }
    assert_eq!(
        bench.now::<ChatKind>(&["c"]).place.base,
        0,
        "17 MiB for 112 events"
    );
    assert!(bench.now::<ChatIndexKind>(&[]).place.base > 0);
    for number in 0..300_u64 {
        bench.say("c", &format!("{number}"), 5);
    }
    let place = bench.now::<ChatKind>(&["c"]).place.clone();
    assert!(
        (110..=most(110) + SPAN).contains(&(place.version - place.base)),
        "{place:?}"
    );
    assert_eq!(
        bench.cold().verify::<ChatKind>(&["c"]).unwrap(),
        place.version - place.base
    );
}

/// A commit that brings so much itself has no room for more; it would be too large with it.
#[test]
fn a_large_commit_cuts_off_nothing() {
    let bench = Bench::new().keeping(1);
    for number in 0..31_u64 {
        bench.configure(&format!("{number}"));
    }
    let large = |megabytes: usize, model: &str| {
        let threads = Threads::new(bench.store.clone(), "alice", Durability::Relaxed).unwrap();
        let mut batch = threads.batch();
        for number in 0..megabytes * 8 {
            let mut bytes = vec![0_u8; 128 << 10];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            batch.put(&bytes);
        }
        let mut mixed = Mixed::new(bench.stores.dispatcher().clone());
        let fields = treering_actor::messages::UserConfigUpdated {
            default_model: Some(model.to_owned()),
            ..Default::default()
        };
        mixed.add(
            user_config::update(&bench.stores, &user_config::Defaults::default(), fields).unwrap(),
        );
        let pending = mixed.commit(batch, Envelope::default(), Durability::Relaxed);
        pending.unwrap().wait().unwrap();
    };
    large(33, "large");
    assert_eq!(bench.now::<UserConfigKind>(&[]).place.base, 0);
    for number in 0..15_u64 {
        bench.configure(&format!("{number}"));
    }
    // What waited has waited on.
    large(31, "smaller");
    assert_eq!(bench.now::<UserConfigKind>(&[]).place.base, 16);
    assert!(bench.cold().verify::<UserConfigKind>(&[]).is_ok());
}

/// A snapshot that is not of this log, or would keep more alive than itself, is nothing to begin with.
#[test]
fn what_waits_is_looked_at_before_anything_is_cut_off() {
    let read = |bench: &Bench, cid: &Cid| {
        SnapshotNode::decode(cid, &bench.store.get(cid).unwrap()).unwrap()
    };
    let wrong: [fn(&SnapshotNode, Cid) -> SnapshotNode; 4] = [
        |node, _| SnapshotNode {
            fold: node.fold + 1,
            ..node.clone()
        },
        |node, other| SnapshotNode {
            earlier: Some(other),
            ..node.clone()
        },
        |node, other| SnapshotNode {
            entry: other.to_bytes().to_vec(),
            ..node.clone()
        },
        |node, _| SnapshotNode {
            version: node.version + 1,
            ..node.clone()
        },
    ];
    for spoil in wrong {
        let plain = Bench::new();
        let bench = plain.keeping(30);
        for number in 0..47_u64 {
            bench.configure(&format!("{number}"));
        }
        let address = bench.address::<UserConfigKind>(&[]);
        let model = bench
            .store
            .read_ref(address.read_model())
            .unwrap()
            .unwrap()
            .target;
        let newest = read(&bench, &model);
        let waiting = newest.earlier.unwrap();
        let spoilt = spoil(&read(&bench, &waiting), waiting).encode().unwrap();
        // Something that keeps it, so that the read model can link to it.
        plant(
            &bench,
            &treering_store::RefName::new("alice", "x.kept", ["k"]).unwrap(),
            spoilt.clone(),
        );
        let wrong = SnapshotNode {
            earlier: Some(spoilt.cid),
            ..newest
        };
        plant(&bench, address.read_model(), wrong.encode().unwrap());
        let bench = bench.keeping(30);
        bench.configure("47");
        assert_eq!(bench.now::<UserConfigKind>(&[]).place.base, 0);
        // It was left out, and another one waits.
        for number in 48..120_u64 {
            bench.configure(&format!("{number}"));
        }
        assert!(bench.now::<UserConfigKind>(&[]).place.base > 0);
        assert!(bench.cold().verify::<UserConfigKind>(&[]).is_ok());
    }
}

/// One who keeps all cuts off nothing himself, and does not keep others from it.
#[test]
fn two_with_other_settings() {
    let plain = Bench::new();
    let (short, long) = (plain.keeping(20), plain.keeping(50));
    let mut config = Remembered::new::<UserConfigKind>(&plain, &[], model);
    let base = |bench: &Bench| bench.now::<UserConfigKind>(&[]).place.base;
    for number in 0..400_u64 {
        let (bench, before) = (
            [&plain, &short, &long][usize::try_from(number % 3).unwrap()],
            base(&plain),
        );
        bench.configure(&format!("{number}"));
        config.note::<UserConfigKind>(&plain, &[], model);
        let cut = base(&plain);
        assert!(
            cut == before || number % 3 != 0,
            "who keeps all cut off {cut}"
        );
    }
    let kept = config.compare::<UserConfigKind>(&plain, &[], model);
    assert!((20..=most(50)).contains(&kept), "{kept}");
}

/// What an actor is after each commit, for one who looks less often than history is kept.
#[test]
fn a_follower_goes_on_where_the_history_begins() {
    let bench = Bench::new().keeping(10);
    let address = bench.address::<UserConfigKind>(&[]);
    bench.configure("0");
    let mut following = Following::<UserConfigKind>::now(bench.reader(), address).unwrap();
    let (mut seen, mut version) = (0, 1);
    for number in 1..=300_u64 {
        bench.configure(&format!("{number}"));
        if number % 37 == 0 || number == 300 {
            while following.advance().unwrap() {
                assert!(following.version() > version);
                version = following.version();
                let model = following
                    .look(|now, _| Ok(now.state.default_model.clone()))
                    .unwrap();
                assert_eq!(model, (version - 1).to_string());
                seen += 1;
            }
        }
    }
    assert_eq!(version, 301);
    assert!(seen < 300 && seen >= 8 * 10, "{seen} of 300");
}

/// The bytes of a base that was made of a snapshot, as they are for one that a trim makes.
#[test]
fn it_begins_as_after_a_trim() {
    let bench = Bench::new().keeping(10);
    for number in 1..=47_u64 {
        bench.configure(&format!("{number}"));
    }
    let of = |bench: &Bench| -> BaseNode {
        let address = bench.address::<UserConfigKind>(&[]);
        let mut at = bench.store.read_ref(address.log()).unwrap().unwrap().target;
        loop {
            match Entry::decode(&at, &bench.store.get(&at).unwrap()).unwrap() {
                Entry::Event(event) => at = event.parent.unwrap(),
                Entry::Base(base) => return base,
                Entry::Tombstone(_) => panic!("it was not deleted"),
            }
        }
    };
    let base = of(&bench);
    assert_eq!(base.version, 16);
    assert!(base.at_ms.is_some());
    let state = SnapshotNode::decode(&base.state, &bench.store.get(&base.state).unwrap()).unwrap();
    assert_eq!((state.version, state.earlier), (16, None));
    assert_eq!(state.entry, base.replaces);
}
