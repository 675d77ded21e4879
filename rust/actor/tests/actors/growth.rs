//! What commands cost when there is much: bytes of blocks written for each, blocks read to know an actor.

use treering_actor::stores;
use treering_actor::stores::agents::{self, AgentsKind};
use treering_actor::stores::chats::ChatKind;
use treering_actor::stores::user_config::UserConfigKind;
use treering_actor::{Envelope, Kind, Loaded, Mixed};
use treering_store::Durability;
use treering_thread::Threads;

use crate::bench::Bench;

/// What is known about an actor is read in so many blocks.
const ACTIVATION_BLOCKS_MAX: u64 = 20;

/// Bytes that were written for each of the commands.
fn bytes_each(bench: &Bench, commands: std::ops::Range<u64>, run: impl FnMut(u64)) -> u64 {
    let count = commands.end - commands.start;
    let before = bench.store.counters().block_bytes_written;
    commands.for_each(run);
    (bench.store.counters().block_bytes_written - before) / count
}

/// Blocks that are read until the actor is known to somebody who knew nothing, and something was looked up in it.
fn activation<K: Kind>(bench: &Bench, parts: &[&str], look: impl Fn(&Loaded<K>)) -> u64 {
    let cold = bench.cold();
    let before = cold.store.counters().blocks_read;
    look(&cold.now::<K>(parts));
    cold.store.counters().blocks_read - before
}

#[test]
fn a_message_costs_the_message_however_long_the_conversation() {
    let bench = Bench::new();
    let text = "word ".repeat(40);
    let mut worst = 0;
    let mut say = |number: u64| {
        bench.say("c", &format!("{number} {text}"), 500);
        if number.is_multiple_of(97) {
            worst = worst.max(activation::<ChatKind>(&bench, &["c"], |_| ()));
        }
    };
    let start = bytes_each(&bench, 0..500, &mut say);
    bytes_each(&bench, 500..9_500, &mut say);
    let end = bytes_each(&bench, 9_500..10_000, &mut say);
    eprintln!("chat: {start} bytes each at first, {end} at 10,000; {worst} blocks to know it");
    assert!(end <= start * 5 / 4, "{start} bytes, then {end}");
    assert!(end <= 2_500, "{end} bytes for a message of 200");
    assert!(worst <= ACTIVATION_BLOCKS_MAX, "{worst} blocks");
    let chat = bench.cold().now::<ChatKind>(&["c"]);
    let texts = bench.texts(&chat);
    assert_eq!(texts.len(), 500);
    assert!(texts[0].starts_with("9500 ") && texts[499].starts_with("9999 "));
}

/// Ids that are like those of users.
fn add(bench: &Bench, number: u64) -> treering_actor::stores::Verb {
    agents::add(&bench.stores, "worker", &format!("agent-{number:08}")).unwrap()
}

/// Adds many in each commit, so that it does not take long.
fn fill(bench: &Bench, numbers: std::ops::Range<u64>) {
    let threads = Threads::new(bench.store.clone(), "alice", Durability::Relaxed).unwrap();
    for first in numbers.clone().step_by(500) {
        let mut mixed = Mixed::new(bench.stores.dispatcher().clone());
        (first..numbers.end.min(first + 500)).for_each(|number| mixed.add(add(bench, number)));
        let pending = mixed.commit(threads.batch(), Envelope::default(), Durability::Relaxed);
        pending.unwrap().wait().unwrap();
    }
}

fn register(ids: u64, bytes_max: u64) {
    let bench = Bench::new();
    let mut run = |number| {
        bench.run::<AgentsKind>(add(&bench, number));
    };
    let start = bytes_each(&bench, 0..1_000, &mut run);
    fill(&bench, 1_000..ids - 1_000);
    let mut worst = 0;
    let end = bytes_each(&bench, ids - 1_000..ids, |number| {
        run(number);
        if number.is_multiple_of(7) {
            let found = activation::<AgentsKind>(&bench, &[], |registry| {
                let places = stores::look(&*bench.store, |blocks| {
                    registry.state.places("agent-00000500", blocks)
                });
                assert_eq!(places.unwrap().len(), 1);
            });
            worst = worst.max(found);
        }
    });
    eprintln!("registry: {start} bytes each at first, {end} at {ids}; {worst} blocks to know it");
    assert!(end <= bytes_max, "{end} bytes");
    assert!(worst <= ACTIVATION_BLOCKS_MAX, "{worst} blocks");
    let registry = bench.cold().now::<AgentsKind>(&[]);
    assert_eq!(registry.place.version, ids);
}

#[test]
fn one_more_of_many_thousands_costs_a_few_kilobytes() {
    register(10_000, 3_600);
}

#[test]
#[ignore = "takes half a minute"]
fn one_more_of_a_hundred_thousand_costs_a_few_kilobytes() {
    register(100_000, 6 << 10);
}

fn live_long(events: u64) {
    let bench = Bench::new();
    let mut run = |number| {
        bench.configure(&format!("model {number}"));
    };
    let start = bytes_each(&bench, 0..1_000, &mut run);
    bytes_each(&bench, 1_000..events - 1_000, &mut run);
    let mut worst = 0;
    let end = bytes_each(&bench, events - 1_000..events, |number| {
        run(number);
        worst = worst.max(activation::<UserConfigKind>(&bench, &[], |_| ()));
    });
    eprintln!(
        "{events} events: {start} bytes each at first, {end} at last; {worst} blocks to know it"
    );
    assert!(worst <= ACTIVATION_BLOCKS_MAX, "{worst} blocks");
    assert!(end <= start + 64, "{start} bytes, then {end}");
    // What it was at any time is found in few blocks too.
    let cold = bench.cold();
    let before = cold.store.counters().blocks_read;
    let address = cold.address::<UserConfigKind>(&[]);
    let found = cold.reader().events::<UserConfigKind>(&address, 7, Some(7));
    assert_eq!(found.unwrap()[0].1.version, 7);
    let spent = cold.store.counters().blocks_read - before;
    eprintln!("its seventh event is found in {spent} blocks");
    assert!(spent <= 80, "{spent} blocks");
    // All that happened is folded in little memory: most events are read twice for it.
    let before = cold.store.counters().blocks_read;
    let version = cold
        .reader()
        .rebuild::<UserConfigKind>(&address, Durability::Relaxed);
    assert_eq!(version.unwrap(), events);
    let spent = cold.store.counters().blocks_read - before;
    assert!((events..2 * events).contains(&spent), "{spent} blocks");
    assert_eq!(
        cold.now::<UserConfigKind>(&[]).state.default_model,
        format!("model {}", events - 1)
    );
}

#[test]
fn an_actor_is_known_as_quickly_after_many_events() {
    live_long(20_000);
}

#[test]
#[ignore = "takes a minute"]
fn an_actor_is_known_as_quickly_after_a_million_events() {
    live_long(1_000_000);
}
