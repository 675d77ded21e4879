//! History that is cut off: what is kept is as it was, and the rest is gone.

use treering_actor::stores::Keep;
use treering_actor::stores::chats::ChatKind;
use treering_actor::stores::user_config::UserConfigKind;
use treering_actor::{ActorError, TRIM_EVENTS_MAX};
use treering_block::node::EventNode;

use crate::bench::{Bench, with_id};

/// What of an event does not depend on where its log begins.
pub fn lasting(events: &[(treering_block::Cid, EventNode)]) -> Vec<EventNode> {
    let lasting = |event: &EventNode| EventNode {
        base: 0,
        parent: None,
        jump: None,
        ..event.clone()
    };
    events.iter().map(|(_, event)| lasting(event)).collect()
}

#[test]
fn what_was_before_is_gone_and_the_rest_is_as_it_was() {
    // Around the places where jumps lead far, and where snapshots are.
    for (count, keep_from) in [
        (40_u64, 2_u64),
        (40, 20),
        (40, 33),
        (40, 40),
        (40, 41),
        (3, 2),
        (64, 32),
    ] {
        let bench = Bench::new();
        for number in 1..=count {
            bench.configure(&format!("model {number}"));
        }
        let address = bench.address::<UserConfigKind>(&[]);
        let kept = || {
            bench
                .reader()
                .events::<UserConfigKind>(&address, keep_from, None)
        };
        let before = lasting(&kept().unwrap());
        let verb = bench
            .stores
            .trim::<UserConfigKind>(&[], Keep::From(keep_from))
            .unwrap();
        let receipt = bench.run::<UserConfigKind>(verb).receipt;
        assert_eq!(
            (receipt.version, receipt.changed, receipt.dropped),
            (count, true, keep_from - 1)
        );
        assert_eq!(lasting(&kept().unwrap()), before);
        for bench in [&bench, &bench.cold()] {
            let reader = bench.reader();
            for version in keep_from - 1..=count {
                let was = reader.at::<UserConfigKind>(&address, version).unwrap();
                assert_eq!(was.state.default_model, format!("model {version}"));
                assert_eq!(was.place.version, version);
            }
            if let Some(gone) = keep_from.checked_sub(2) {
                let error = reader.at::<UserConfigKind>(&address, gone).unwrap_err();
                let is_it = matches!(&error, ActorError::HistoryTrimmed { oldest, .. } if *oldest == keep_from - 1);
                assert!(is_it, "{error}");
            }
            let error = reader.events::<UserConfigKind>(&address, keep_from - 1, None);
            if keep_from <= count {
                let is_it = matches!(&error, Err(ActorError::HistoryTrimmed { oldest, .. }) if *oldest == keep_from);
                assert!(is_it, "{error:?}");
            }
            assert_eq!(
                bench.verify::<UserConfigKind>(&[]).unwrap(),
                count + 1 - keep_from
            );
        }
        // Reads like a snapshot with nothing behind it: the newest one is of the new chain.
        let cold = bench.cold();
        let spent = cold.store.counters().blocks_read;
        cold.now::<UserConfigKind>(&[]);
        let spent = cold.store.counters().blocks_read - spent;
        assert!(spent <= 2, "{spent} blocks");
        assert_eq!(bench.entries() as u64, count + 1 + (count + 1 - keep_from));
        bench.gc();
        assert_eq!(bench.entries() as u64, 1 + (count + 1 - keep_from));
        // And it goes on.
        for number in 1..=40 {
            assert_eq!(
                bench.configure(&format!("anew {number}")).receipt.version,
                count + number
            );
        }
        assert_eq!(
            bench.cold().verify::<UserConfigKind>(&[]).unwrap(),
            count + 41 - keep_from
        );
        assert!(bench.store.verify(None).unwrap().findings.is_empty());
    }
}

#[test]
fn there_may_be_nothing_to_cut() {
    let bench = Bench::new();
    let trim = |keep_from| {
        let verb = bench
            .stores
            .trim::<UserConfigKind>(&[], Keep::From(keep_from))?;
        bench.ask::<UserConfigKind>(verb, with_id(&format!("trim {keep_from}")))
    };
    let unchanged = |keep_from| {
        let head = bench.store.head().unwrap().position;
        let receipt = trim(keep_from).unwrap().receipt;
        assert_eq!((receipt.changed, receipt.dropped), (false, 0));
        let moved = bench.store.journal(None, usize::MAX).unwrap();
        let after: Vec<_> = moved.iter().filter(|entry| entry.position > head).collect();
        assert!(after.iter().all(|entry| entry.moves.is_empty()));
    };
    unchanged(0);
    unchanged(1);
    assert!(matches!(
        trim(2),
        Err(ActorError::NoSuchVersion {
            asked: 1,
            version: 0,
            ..
        })
    ));
    for _ in 0..20 {
        bench.configure("m");
        bench.configure("n");
    }
    assert_eq!(trim(10).unwrap().receipt.dropped, 9);
    for keep_from in [5, 9] {
        unchanged(keep_from);
    }
    // The same command again does nothing, and says what it did.
    let receipt = trim(10).unwrap().receipt;
    assert_eq!((receipt.dropped, receipt.replayed), (9, true));
    assert_eq!(trim(20).unwrap().receipt.dropped, 10);
    assert_eq!(bench.cold().verify::<UserConfigKind>(&[]).unwrap(), 21);
}

#[test]
fn events_that_come_in_between_are_kept_and_so_is_another_cut() {
    let bench = Bench::new();
    for number in 1..=30 {
        bench.configure(&format!("model {number}"));
    }
    let trim = |keep_from| {
        bench
            .stores
            .trim::<UserConfigKind>(&[], Keep::From(keep_from))
            .unwrap()
    };
    // Read when there were thirty, done when there are fifty.
    let (first, second, third) = (trim(10), trim(20), trim(5));
    for number in 31..=50 {
        bench.configure(&format!("model {number}"));
    }
    assert_eq!(bench.run::<UserConfigKind>(first).receipt.dropped, 9);
    // What these read is not the log any more.
    assert_eq!(bench.run::<UserConfigKind>(second).receipt.dropped, 10);
    assert_eq!(bench.run::<UserConfigKind>(third).receipt.dropped, 0);
    let cold = bench.cold();
    assert_eq!(cold.verify::<UserConfigKind>(&[]).unwrap(), 31);
    for version in 19..=50 {
        let address = cold.address::<UserConfigKind>(&[]);
        let was = cold
            .reader()
            .at::<UserConfigKind>(&address, version)
            .unwrap();
        assert_eq!(was.state.default_model, format!("model {version}"));
    }
}

#[test]
fn a_conversation_keeps_the_messages_that_it_had() {
    let bench = Bench::new();
    for number in 0..100 {
        bench.say("c", &format!("m{number}"), 30);
    }
    assert_eq!(bench.cold().verify::<ChatKind>(&["c"]).unwrap(), 100);
    let verb = bench
        .stores
        .trim::<ChatKind>(&["c"], Keep::From(91))
        .unwrap();
    assert_eq!(bench.run::<ChatKind>(verb).receipt.dropped, 90);
    bench.gc();
    let cold = bench.cold();
    for version in 90..=100_u64 {
        let address = cold.address::<ChatKind>(&["c"]);
        let was = cold.reader().at::<ChatKind>(&address, version).unwrap();
        let wanted: Vec<String> = (version - 30..version).map(|n| format!("m{n}")).collect();
        assert_eq!(cold.texts(&was), wanted);
    }
    assert_eq!(cold.verify::<ChatKind>(&["c"]).unwrap(), 10);
}

#[test]
fn one_commit_keeps_so_many_events_and_no_more() {
    let bench = Bench::new();
    let more = TRIM_EVENTS_MAX + 5;
    for number in 1..=more {
        bench.configure(&format!("model {number}"));
    }
    for keep_from in [2, 5] {
        let error = bench
            .stores
            .trim::<UserConfigKind>(&[], Keep::From(keep_from))
            .err();
        let is_it = matches!(
            &error,
            Some(ActorError::LimitExceeded { limit: TRIM_EVENTS_MAX, actual, .. })
                if *actual == more + 1 - keep_from
        );
        assert!(is_it, "{error:?}");
    }
    let verb = bench
        .stores
        .trim::<UserConfigKind>(&[], Keep::From(6))
        .unwrap();
    assert_eq!(bench.run::<UserConfigKind>(verb).receipt.dropped, 5);
    let kept = bench.cold().verify::<UserConfigKind>(&[]).unwrap();
    assert_eq!(kept, TRIM_EVENTS_MAX);
}
