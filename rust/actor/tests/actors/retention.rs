//! History that ends by itself: what is kept is as it was, and it is enough.

use proptest::prelude::*;
use treering_actor::stores::Keep;
use treering_actor::stores::agents::{self, AgentsKind};
use treering_actor::stores::chats::{self, ChatIndexKind, ChatKind};
use treering_actor::stores::user_config::UserConfigKind;
use treering_actor::{Envelope, Following, Mixed};
use treering_block::node::{BaseNode, Entry, SnapshotNode};
use treering_store::Durability;
use treering_thread::Threads;

use crate::bench::Bench;
use crate::remembered::{Remembered, groups, messages, model, most, rows};

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
            mixed.add(bench.configuration(&format!("{round} {number}")));
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
    assert!((80..300).contains(&seen), "{seen} of 300");
}

/// What a log begins with.
fn beginning(bench: &Bench) -> (BaseNode, SnapshotNode) {
    let address = bench.address::<UserConfigKind>(&[]);
    let mut at = bench.store.read_ref(address.log()).unwrap().unwrap();
    let base = loop {
        match Entry::decode(&at.target, &bench.store.get(&at.target).unwrap()).unwrap() {
            Entry::Event(event) => at.target = event.parent.unwrap(),
            Entry::Base(base) => break base,
            Entry::Tombstone(_) => panic!("it was not deleted"),
        }
    };
    let state = bench.store.get(&base.state).unwrap();
    let state = SnapshotNode::decode(&base.state, &state).unwrap();
    (base, state)
}

/// As it is for one that a trim makes.
#[test]
fn it_begins_with_the_snapshot_that_waited() {
    let bench = Bench::new().keeping(10);
    for number in 1..=47_u64 {
        bench.configure(&format!("{number}"));
    }
    let (base, state) = beginning(&bench);
    assert_eq!((base.version, state.version, state.earlier), (16, 16, None));
    assert!(base.at_ms.is_some());
    assert_eq!(state.entry, base.replaces);
}

/// Neither what it begins with nor what it is keeps what waited before.
#[test]
fn a_trim_lets_nothing_wait() {
    let bench = Bench::new().keeping(100);
    for number in 1..=40_u64 {
        bench.configure(&format!("{number}"));
    }
    let address = bench.address::<UserConfigKind>(&[]);
    let model = || {
        let target = bench
            .store
            .read_ref(address.read_model())
            .unwrap()
            .unwrap()
            .target;
        SnapshotNode::decode(&target, &bench.store.get(&target).unwrap()).unwrap()
    };
    assert!(model().earlier.is_some());
    let verb = bench
        .stores
        .trim::<UserConfigKind>(&[], Keep::Last(2))
        .unwrap();
    assert_eq!(bench.run::<UserConfigKind>(verb).receipt.dropped, 38);
    let (base, state) = beginning(&bench);
    assert_eq!((base.version, state.version, state.earlier), (38, 38, None));
    assert_eq!((model().version, model().earlier), (40, None));
}
