//! Users' own actors: a verdict holds for the head that was shown, and for no other.

use std::sync::Arc;

use treering_actor::own::{self, Left, Own, Ruling, Shown, Slot, Trim, Verdict, is_own};
use treering_actor::stores::{Keep, Options, Verb};
use treering_actor::{ActorError, Address, Answer, Loaded};
use treering_block::node::{EventNode, Typed};
use treering_block::{Block, Encoded, Ipld};
use treering_store::Change;

use crate::bench::Bench;

fn address() -> Address {
    own::address("alice", "x.tally", &["a"]).unwrap()
}

fn typed(name: &str, number: u64) -> Typed {
    let fields = [("by".to_owned(), Ipld::Integer(number.into()))];
    let fields = Encoded::from_ipld(&Ipld::Map(fields.into())).unwrap();
    Typed::of_fields(format!("x.tally.{name}"), 1, fields).unwrap()
}

fn events(numbers: &[u64]) -> Ruling {
    Ruling::Events {
        events: numbers.iter().map(|by| typed("Added", *by)).collect(),
        blocks: Vec::new(),
        snapshot: None,
    }
}

/// A verb with its verdict, and what it will leave.
fn decided(shown: Shown, ruling: Ruling) -> (Verb, Arc<Left>) {
    let left = Arc::new(Left::default());
    let verdict = Verdict {
        shown,
        schema: 1,
        ruling,
        left: Arc::clone(&left),
    };
    let slot = Arc::new(Slot::default());
    slot.decided(verdict);
    (own::send(address(), ("Add", b"\xa0"), slot), left)
}

fn now(bench: &Bench) -> Arc<Loaded<Own>> {
    bench.reader().now::<Own>(&address()).unwrap()
}

fn head(bench: &Bench) -> Shown {
    Shown::Head(now(bench).place.head())
}

fn ask(bench: &Bench, shown: Shown, ruling: Ruling) -> Result<Answer<Own>, ActorError> {
    bench.ask(decided(shown, ruling).0, Options::default())
}

fn by_id(id: &str) -> Options {
    let mut options = Options::default();
    options.envelope.command_id = Some(id.to_owned());
    options
}

fn is_overtaken(answer: Result<Answer<Own>, ActorError>, at: u64) {
    assert!(
        matches!(&answer, Err(ActorError::Overtaken { actor, version }) if actor == "alice/x.tally/a" && *version == at),
        "{answer:?}"
    );
}

#[test]
fn a_verdict_holds_for_the_head_that_was_shown() {
    let bench = Bench::new();
    let first = head(&bench);
    assert_eq!(
        ask(&bench, first.clone(), events(&[1, 2]))
            .unwrap()
            .receipt
            .version,
        2
    );
    let stale = head(&bench);
    ask(&bench, head(&bench), events(&[3])).unwrap();
    for shown in [first, stale] {
        is_overtaken(ask(&bench, shown.clone(), events(&[4])), 3);
        is_overtaken(ask(&bench, shown.clone(), Ruling::Rejected), 3);
        is_overtaken(ask(&bench, shown, events(&[])), 3);
    }
    let rejected = ask(&bench, head(&bench), Ruling::Rejected);
    assert!(
        matches!(rejected, Err(ActorError::Rejected { .. })),
        "{rejected:?}"
    );
    assert!(
        !ask(&bench, head(&bench), events(&[]))
            .unwrap()
            .receipt
            .changed
    );
    assert_eq!(bench.reader().verify::<Own>(&address()).unwrap(), 3);
    let noted: Vec<u64> = now(&bench.cold())
        .state
        .since()
        .unwrap()
        .iter()
        .map(|one| one.version)
        .collect();
    assert_eq!(noted, [1, 2, 3]);
}

#[test]
fn what_is_decided_behind_another_lands_with_it_or_not_at_all() {
    let bench = Bench::new();
    let (first, left) = decided(head(&bench), events(&[1]));
    let (second, after) = decided(Shown::After(Arc::clone(&left)), events(&[2, 3]));
    // Before the first one is decided it leaves nothing.
    is_overtaken(ask(&bench, Shown::After(Arc::default()), events(&[9])), 0);
    bench.ask::<Own>(first, by_id("one")).unwrap();
    assert_eq!(left.head(), now(&bench).place.head());
    bench.ask::<Own>(second, by_id("two")).unwrap();
    assert_eq!(after.head(), now(&bench).place.head());
    // The same command again writes nothing and leaves nothing: what was decided behind it does not hold.
    let (again, none) = decided(head(&bench), events(&[1]));
    let answer: Answer<Own> = bench.ask(again, by_id("one")).unwrap();
    assert!(answer.receipt.replayed);
    assert_eq!((answer.receipt.version, none.head()), (1, None));
    is_overtaken(ask(&bench, Shown::After(none), events(&[4])), 3);
    // A rejected one, too.
    let (no, nothing) = decided(head(&bench), Ruling::Rejected);
    assert!(bench.ask::<Own>(no, by_id("no")).is_err());
    is_overtaken(ask(&bench, Shown::After(nothing), events(&[4])), 3);
    // Though it would be rejected now, what was done is answered.
    let (no, _) = decided(head(&bench), Ruling::Rejected);
    assert!(bench.ask::<Own>(no, by_id("two")).unwrap().receipt.replayed);
}

#[test]
fn who_knows_less_writes_nothing() {
    let bench = Bench::new();
    let mut newer = typed("Added", 1);
    newer.schema = 2;
    let ruling = |typed| Ruling::Events {
        events: vec![typed],
        blocks: Vec::new(),
        snapshot: None,
    };
    ask(&bench, head(&bench), ruling(newer)).unwrap();
    for refused in [ruling(typed("Added", 2)), Ruling::Rejected] {
        let answer = ask(&bench, head(&bench), refused);
        assert!(
            matches!(
                answer,
                Err(ActorError::NewerSchema {
                    found: 2,
                    supported: 1,
                    ..
                })
            ),
            "{answer:?}"
        );
    }
    assert_eq!(now(&bench).place.version, 1);
}

#[test]
fn a_state_that_was_brought_is_the_snapshot() {
    let bench = Bench::new();
    ask(&bench, head(&bench), events(&[1])).unwrap();
    let kept = Block::raw(*b"kept");
    let fields = Encoded::from_ipld(&Ipld::Map(
        [("file".to_owned(), Ipld::Link(kept.cid.into()))].into(),
    ))
    .unwrap();
    let state = Typed::of_fields("x.tally.State".into(), 1, fields).unwrap();
    let ruling = Ruling::Events {
        events: vec![typed("Added", 2)],
        blocks: vec![kept.clone(), Block::raw(*b"not wanted")],
        snapshot: Some((7, state.clone())),
    };
    ask(&bench, head(&bench), ruling).unwrap();
    ask(&bench, head(&bench), events(&[3])).unwrap();
    bench.gc();
    for bench in [&bench, &bench.cold()] {
        let loaded = now(bench);
        let start = loaded.state.start().unwrap();
        assert_eq!((start.version, start.fold, &start.typed), (2, 7, &state));
        assert_eq!(loaded.state.since().unwrap().len(), 1);
    }
    assert!(bench.store.get(&kept.cid).is_ok());
    assert!(bench.store.get(&Block::raw(*b"not wanted").cid).is_err());
    assert_eq!(bench.reader().verify::<Own>(&address()).unwrap(), 3);
    // Nobody here can fold: what Rust makes by itself is refused.
    let rebuilt = bench
        .reader()
        .rebuild::<Own>(&address(), treering_store::Durability::Relaxed);
    assert!(
        matches!(rebuilt, Err(ActorError::InvalidCommand { .. })),
        "{rebuilt:?}"
    );
}

#[test]
fn many_events_are_read_by_the_page() {
    let bench = Bench::new();
    ask(&bench, head(&bench), events(&[1; 256])).unwrap();
    assert_eq!(now(&bench.cold()).state.since().unwrap().len(), 256);
    ask(&bench, head(&bench), events(&[1])).unwrap();
    for bench in [&bench, &bench.cold()] {
        assert!(now(bench).state.since().is_none());
        assert_eq!(now(bench).place.version, 257);
    }
    let page = bench.reader().events::<Own>(&address(), 250, None).unwrap();
    assert_eq!(page.len(), 8);
}

#[test]
fn a_trim_takes_the_state_that_was_folded_for_it_alone() {
    let bench = Bench::new();
    ask(&bench, head(&bench), events(&[1, 2, 3, 4, 5])).unwrap();
    let folded = |number| {
        let mut state = typed("State", number);
        state.type_name = "x.tally.State".into();
        (1, state, Vec::new())
    };
    let trim = || Trim::new(&bench.stores, address(), Keep::Last(2)).unwrap();
    assert_eq!(trim().start().unwrap().place.version, 3);
    // Without it nothing is cut off.
    is_overtaken(bench.ask(trim().verb(None), Options::default()), 5);
    let late = trim();
    bench
        .ask::<Own>(own::delete(address()), Options::default())
        .unwrap();
    ask(&bench, head(&bench), events(&[7, 8, 9])).unwrap();
    let gone = bench
        .ask::<Own>(late.verb(Some(folded(6))), Options::default())
        .unwrap();
    assert_eq!((gone.receipt.dropped, gone.receipt.changed), (0, false));
    let answer: Answer<Own> = bench
        .ask(trim().verb(Some(folded(7))), Options::default())
        .unwrap();
    assert_eq!((answer.receipt.dropped, answer.receipt.version), (1, 9));
    for bench in [&bench, &bench.cold()] {
        let loaded = now(bench);
        assert_eq!(loaded.state.start().unwrap().version, 7);
        let since = loaded.state.since().unwrap();
        assert_eq!(
            since.iter().map(|one| one.version).collect::<Vec<_>>(),
            [8, 9]
        );
        assert_eq!(since.last().unwrap().cid, loaded.place.head().unwrap());
    }
    let read = bench
        .reader()
        .own_beginning(&address(), &now(&bench))
        .unwrap();
    assert_eq!(read.unwrap().version, 7);
    assert_eq!(bench.reader().verify::<Own>(&address()).unwrap(), 2);
    // Of another history: what was folded for it is not what is there.
    let stale = trim();
    assert!(stale.start().is_none());
}

#[test]
fn a_read_model_of_the_past_takes_nobodys_place() {
    let bench = Bench::new();
    ask(&bench, head(&bench), events(&[1, 2])).unwrap();
    let old = now(&bench).place.head().unwrap();
    ask(&bench, head(&bench), events(&[3])).unwrap();
    let dispatcher = bench.stores.dispatcher();
    let put = |head, version| {
        let state = typed("State", 3);
        let durability = treering_store::Durability::Relaxed;
        dispatcher.put_own_model(
            &address(),
            &head,
            version,
            (1, state, Vec::new()),
            durability,
        )
    };
    assert!(!put(old, 2).unwrap());
    assert!(now(&bench.cold()).state.start().is_none());
    assert!(put(now(&bench).place.head().unwrap(), 3).unwrap());
    assert_eq!(now(&bench.cold()).state.start().unwrap().version, 3);
}

#[test]
fn an_event_that_is_not_a_users_own_is_damage() {
    let bench = Bench::new();
    let wrong = EventNode {
        version: 1,
        base: 0,
        parent: None,
        jump: None,
        event_id: "e".into(),
        at_ms: 1,
        command_id: None,
        causation_id: None,
        principal: None,
        typed: Typed {
            type_name: "treering.v1.MemoryCleared".into(),
            schema: 1,
            message: Vec::new(),
            links: Vec::new(),
        },
    };
    let block = wrong.encode().unwrap();
    let commit = treering_store::Commit {
        scope: "alice".into(),
        blocks: vec![block.clone()],
        moves: vec![treering_store::RefMove {
            name: address().log().clone(),
            expect: treering_store::Expect::Absent,
            change: Change::Set {
                target: block.cid,
                record: Vec::new(),
            },
        }],
        ..treering_store::Commit::default()
    };
    bench.store.submit(commit).wait().unwrap();
    let read = bench.reader().now::<Own>(&address());
    assert!(
        matches!(&read, Err(ActorError::Corrupt { version: 1, detail, .. }) if detail.contains("no own type")),
        "{read:?}"
    );
}

#[test]
fn names_of_kinds() {
    let longest = format!("x.{}", "a".repeat(62));
    for kind in ["x.a", "x.ticket-2", longest.as_str()] {
        assert!(is_own(kind), "{kind}");
    }
    let over = format!("{longest}a");
    for kind in [
        "x.",
        "x",
        "ticket",
        "y.ticket",
        "x.Ticket",
        "x.2",
        "x.-a",
        "x.a.b",
        "x.a b",
        "x.é",
        "x.ticket-readmodel",
        over.as_str(),
    ] {
        assert!(!is_own(kind), "{kind}");
        assert!(own::address("alice", kind, &[]).is_err(), "{kind}");
    }
}
