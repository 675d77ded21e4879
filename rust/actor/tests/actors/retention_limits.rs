//! History that ends by itself: what it costs, how much can be kept, and what is left as it is.

use treering_actor::messages::{ChatReplaced, Conversation, Encoding, Link, Message, Name};
use treering_actor::stores::chats::{self, ChatEvent, ChatIndexKind, ChatKind};
use treering_actor::stores::user_config::UserConfigKind;
use treering_actor::stores::{Keep, Options, Verb};
use treering_actor::{
    ActorError, Dispatcher, Done, Envelope, HISTORY_EVENTS_MAX, Happened, Mixed, Operation,
};
use treering_block::Cid;
use treering_block::node::{ItemNode, SnapshotNode, Typed};
use treering_store::{Durability, MemoryStore};
use treering_thread::Threads;
use treering_thread::command::Payload;

use crate::bench::{Bench, said, with_id};
use crate::broken::plant;
use crate::remembered::{SPAN, most};

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
        )
    };
    let whole = spent(&Bench::new());
    let kept = spent(&Bench::new().keeping(200));
    eprintln!("blocks per 100 commands, bytes per command: {whole:?}, with the setting {kept:?}");
    // Each event is written twice in its life.
    assert!(kept.0 <= whole.0 + 100, "{kept:?} {whole:?}");
    assert!(kept.1 <= whole.1 * 2, "{kept:?} {whole:?}");
}

#[test]
fn the_least_and_the_most_that_can_be_kept() {
    let dispatcher = || Dispatcher::new(std::sync::Arc::new(MemoryStore::new()));
    assert!(matches!(
        dispatcher().keeping(Some(0)),
        Err(ActorError::InvalidCommand { field, .. }) if field == "history_events"
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
        let verb = bench.configuration(model);
        bench
            .ask::<UserConfigKind>(verb, with_id("once"))
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

/// Events that one commit puts behind new beginnings, of all its actors.
const TOGETHER: u64 = 2_000;

#[test]
fn one_commit_of_more_than_can_be_put_behind_a_beginning() {
    for (events, base) in [(TOGETHER, 16), (TOGETHER + 1, 0)] {
        let bench = Bench::new().keeping(1);
        for number in 0..16_u64 {
            bench.configure(&format!("{number}"));
        }
        let threads = Threads::new(bench.store.clone(), "alice", Durability::Relaxed).unwrap();
        let mut mixed = Mixed::new(bench.stores.dispatcher().clone());
        for number in 0..events {
            mixed.add(bench.configuration(&format!("together {number}")));
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

/// Those for which a commit had no room wait for the next snapshot, and not for as many events again: or the same ones would
/// find none each time.
#[test]
fn many_actors_of_one_commit_take_turns() {
    const KEEP: u64 = 300;
    let bench = Bench::new().keeping(KEEP);
    let names: Vec<String> = (0..20).map(|number| format!("c{number}")).collect();
    let mut cut_at_once = 0;
    for number in 0..KEEP + 10 * SPAN {
        let before = bases(&bench, &names);
        let threads = Threads::new(bench.store.clone(), "alice", Durability::Relaxed).unwrap();
        let mut mixed = Mixed::new(bench.stores.dispatcher().clone());
        for name in &names {
            let message = [said(&format!("{number}"))];
            mixed.add(chats::append(&bench.stores, name, &message, 5).unwrap());
        }
        let pending = mixed.commit(threads.batch(), Envelope::default(), Durability::Relaxed);
        pending.unwrap().wait().unwrap();
        let after = bases(&bench, &names);
        let cut = before
            .iter()
            .zip(&after)
            .filter(|(was, is)| was != is)
            .count();
        cut_at_once = cut_at_once.max(cut);
    }
    assert!((1..=6).contains(&cut_at_once), "{cut_at_once} at once");
    for name in &names {
        let place = bench.now::<ChatKind>(&[name]).place.clone();
        assert!(place.base > 0, "{name}: {place:?}");
        assert!(place.version - place.base >= KEEP, "{name}: {place:?}");
    }
}

fn bases(bench: &Bench, names: &[String]) -> Vec<u64> {
    let base = |name: &String| bench.now::<ChatKind>(&[name]).place.base;
    names.iter().map(base).collect()
}

/// In another place of a log an event may have a link more. One that has no room for it stays where it is, and the
/// actor is written to.
#[test]
fn an_event_that_can_be_put_nowhere_else_stays() {
    let bench = Bench::new().keeping(16);
    for number in 0..25_u64 {
        bench.say("c", &format!("{number}"), 10_000);
    }
    // Where parent and jump are one entry it has as many links as a node can have; elsewhere one more. No command of ours
    // brings so many.
    let full = Operation::new::<ChatKind>(bench.address::<ChatKind>(&["c"]), |turn, address| {
        let links = (0..4_095)
            .map(|number| {
                let message = said(&format!("full {number}")).0;
                let typed = Typed {
                    type_name: Message::full_name(),
                    schema: 1,
                    message: message.encode_to_vec(),
                    links: Vec::new(),
                };
                turn.put(ItemNode { typed }.encode().unwrap())
            })
            .collect();
        let places = (0..4_095).map(|index| Link { index }).collect();
        let event = ChatEvent::ChatReplaced(ChatReplaced {
            conversation: Some(Conversation::default()),
            messages: places,
        });
        turn.append::<ChatKind>(address, [Happened { event, links }])?;
        Ok(Done::default())
    });
    let full = Verb {
        operation: full,
        payload: Payload::new("full"),
    };
    assert!(bench.run::<ChatKind>(full).receipt.changed);
    for number in 0..100_u64 {
        bench.say("c", &format!("more {number}"), 10_000);
    }
    assert!(bench.cold().verify::<ChatKind>(&["c"]).is_ok());
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

/// A commit that would be too large with what is put behind a beginning does without.
#[test]
fn a_large_commit_cuts_off_nothing() {
    let bench = Bench::new().keeping(1);
    for number in 0..31_u64 {
        bench.configure(&format!("{number}"));
    }
    let large = |less: usize, model: &str| {
        let threads = Threads::new(bench.store.clone(), "alice", Durability::Relaxed).unwrap();
        let mut batch = threads.batch();
        for number in 0..512_u64 {
            let size = (128 << 10) - if number == 0 { less } else { 0 };
            let mut bytes = vec![0_u8; size];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            batch.put(&bytes);
        }
        let mut mixed = Mixed::new(bench.stores.dispatcher().clone());
        mixed.add(bench.configuration(model));
        let pending = mixed.commit(batch, Envelope::default(), Durability::Relaxed);
        pending.unwrap().wait().unwrap();
    };
    large(2 << 10, "large");
    assert_eq!(bench.now::<UserConfigKind>(&[]).place.base, 0);
    for number in 0..15_u64 {
        bench.configure(&format!("{number}"));
    }
    large(64 << 10, "smaller");
    assert_eq!(bench.now::<UserConfigKind>(&[]).place.base, 32);
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
