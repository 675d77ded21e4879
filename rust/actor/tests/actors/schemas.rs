//! Logs of other versions of a kind: older events, newer ones, other rules.

use treering_actor::stores::Keep;
use treering_actor::stores::Options;
use treering_actor::{
    ActorError, Address, Answer, Blocks, Command, Done, Event, Happened, Kind, Loaded, Operation,
    Result, State, Unreadable,
};
use treering_block::Cid;
use treering_block::node::Typed;
use treering_store::Durability;

use crate::bench::Bench;

/// A sum. Schema 1 has `test.Added`, which schema 2 reads as its own `test.Changed`; with the rules 2 all counts twice.
#[derive(Debug)]
struct Tally<const SCHEMA: u64, const FOLD: u64>;

type Old = Tally<1, 1>;
type New = Tally<2, 1>;
type Twice = Tally<1, 2>;

#[derive(Clone, Debug, Default, PartialEq)]
struct Sum(i64);

#[derive(Clone, Debug)]
struct By<const SCHEMA: u64>(i64);

fn number(bytes: &[u8]) -> Result<i64, Unreadable> {
    let text = std::str::from_utf8(bytes).map_err(|error| Unreadable(error.to_string()))?;
    text.parse()
        .map_err(|_| Unreadable(format!("{text:?} is no number")))
}

impl<const SCHEMA: u64> Event for By<SCHEMA> {
    fn encode(&self) -> (String, Vec<u8>) {
        let name = if SCHEMA == 1 {
            "test.Added"
        } else {
            "test.Changed"
        };
        (name.into(), self.0.to_string().into())
    }

    fn decode(type_name: &str, message: &[u8]) -> Result<Option<Self>, Unreadable> {
        let known = if SCHEMA == 1 {
            "test.Added"
        } else {
            "test.Changed"
        };
        (type_name == known)
            .then(|| number(message).map(Self))
            .transpose()
    }
}

impl State for Sum {
    fn type_name() -> String {
        "test.Sum".into()
    }

    fn save(&mut self, _: &mut Blocks<'_>) -> Result<(Vec<u8>, Vec<Cid>)> {
        Ok((self.0.to_string().into(), Vec::new()))
    }

    fn load(message: &[u8], _: &[Cid]) -> Result<Self, Unreadable> {
        number(message).map(Self)
    }

    fn weight(&self) -> usize {
        8
    }
}

impl<const SCHEMA_: u64, const FOLD_: u64> Kind for Tally<SCHEMA_, FOLD_> {
    const NAME: &'static str = "x.tally";
    const SCHEMA: u64 = SCHEMA_;
    const FOLD: u64 = FOLD_;
    type State = Sum;
    type Event = By<SCHEMA_>;

    fn upcast(typed: &Typed) -> Option<Typed> {
        let is_old = SCHEMA_ == 2 && typed.schema == 1 && typed.type_name == "test.Added";
        is_old.then(|| Typed {
            type_name: "test.Changed".into(),
            ..typed.clone()
        })
    }

    fn evolve(state: &mut Sum, event: &Happened<By<SCHEMA_>>) {
        let times = i64::try_from(FOLD_).unwrap();
        state.0 += event.event.0 * times;
    }
}

fn address(bench: &Bench) -> Address {
    bench.address::<Old>(&[])
}

fn ask<const SCHEMA: u64, const FOLD: u64>(
    bench: &Bench,
    by: i64,
) -> Result<Answer<Tally<SCHEMA, FOLD>>> {
    let operation = Operation::new::<Tally<SCHEMA, FOLD>>(address(bench), move |turn, address| {
        turn.append::<Tally<SCHEMA, FOLD>>(address, [By::<SCHEMA>(by).into()])?;
        Ok(Done::default())
    });
    let command = Command {
        operation,
        payload: [0; 32],
        envelope: Options::default().envelope,
    };
    let dispatcher = bench.stores.dispatcher();
    dispatcher.dispatch(command, Durability::Relaxed)?.wait()
}

/// Adds 1 so many times.
fn count<const SCHEMA: u64, const FOLD: u64>(bench: &Bench, times: u64) {
    for _ in 0..times {
        ask::<SCHEMA, FOLD>(bench, 1).unwrap();
    }
}

fn now<K: Kind<State = Sum>>(bench: &Bench) -> (u64, i64) {
    let loaded: std::sync::Arc<Loaded<K>> = bench.now::<K>(&[]);
    (loaded.place.version, loaded.state.0)
}

#[test]
fn events_of_an_older_schema_are_read_as_those_of_this_one() {
    // With and without snapshots of the older one.
    for times in [5, 40] {
        let bench = Bench::new();
        count::<1, 1>(&bench, times);
        let bench = bench.cold();
        assert_eq!(bench.verify::<New>(&[]).unwrap(), times);
        assert_eq!(now::<New>(&bench), (times, times as i64));
        count::<2, 1>(&bench, 40);
        let bench = bench.cold();
        assert_eq!(now::<New>(&bench), (times + 40, times as i64 + 40));
        assert_eq!(bench.verify::<New>(&[]).unwrap(), times + 40);
        bench
            .reader()
            .rebuild::<New>(&address(&bench), Durability::Relaxed)
            .unwrap();
        assert_eq!(now::<New>(&bench.cold()), (times + 40, times as i64 + 40));
        let was = bench.reader().at::<New>(&address(&bench), 3).unwrap();
        assert_eq!(was.state, Sum(3));
    }
}

fn is_newer<T: std::fmt::Debug>(answer: Result<T>) {
    let is_it = matches!(&answer, Err(ActorError::NewerSchema { found: 2, supported: 1, actor }) if actor.contains("x.tally"));
    assert!(is_it, "{answer:?}");
}

#[test]
fn a_log_of_a_newer_schema_is_read_and_verified_and_not_written_to() {
    // The newer events alone, or with a snapshot that the newer version made.
    for newer in [3, 40] {
        let bench = Bench::new();
        count::<1, 1>(&bench, 5);
        count::<2, 1>(&bench, newer);
        let bench = bench.cold();
        let position = bench.store.head().unwrap().position;
        let (version, sum) = now::<Old>(&bench);
        assert_eq!(version, 5 + newer);
        if newer < 16 {
            // What it does not know changes nothing but the version.
            assert_eq!(sum, 5);
        }
        assert_eq!(bench.verify::<Old>(&[]).unwrap(), 5 + newer);
        let events = bench.reader().events::<Old>(&address(&bench), 1, None);
        assert_eq!(events.unwrap().len() as u64, 5 + newer);
        is_newer(ask::<1, 1>(&bench, 1));
        let trim = bench.stores.trim::<Old>(&[], Keep::From(3)).unwrap();
        is_newer(
            bench
                .ask::<Old>(trim, Options::default())
                .map(|answer| answer.receipt),
        );
        is_newer(
            bench
                .reader()
                .rebuild::<Old>(&address(&bench), Durability::Relaxed),
        );
        assert_eq!(bench.store.head().unwrap().position, position);
        // Who knows it goes on.
        count::<2, 1>(&bench, 1);
        assert_eq!(now::<New>(&bench.cold()), (6 + newer, 6 + newer as i64));
    }
}

#[test]
fn snapshots_that_other_rules_made_are_made_anew() {
    let bench = Bench::new();
    count::<1, 1>(&bench, 40);
    let bench = bench.cold();
    let reads = |bench: &Bench| bench.store.counters().blocks_read;
    let before = reads(&bench);
    assert_eq!(now::<Twice>(&bench), (40, 80));
    assert!(reads(&bench) - before >= 40, "all events are read");
    assert_eq!(bench.verify::<Twice>(&[]).unwrap(), 40);
    ask::<1, 2>(&bench, 1).unwrap();
    let bench = bench.cold();
    let before = reads(&bench);
    assert_eq!(now::<Twice>(&bench), (41, 82));
    assert!(
        reads(&bench) - before <= 2,
        "the snapshot is of these rules"
    );
    assert_eq!(now::<Old>(&bench.cold()), (41, 41));
}

#[test]
fn an_instance_that_has_fallen_behind_catches_up() {
    let (first, second) = {
        let bench = Bench::new();
        (bench.cold(), bench)
    };
    count::<1, 1>(&first, 5);
    assert_eq!(now::<Old>(&second), (5, 5));
    count::<1, 1>(&first, 30);
    let trim = first.stores.trim::<Old>(&[], Keep::From(20)).unwrap();
    first.run::<Old>(trim);
    // What the second knows is not the log any more.
    let answer = ask::<1, 1>(&second, 1).unwrap();
    assert_eq!(answer.receipt.version, 36);
    assert_eq!(answer.after.unwrap().state, Sum(36));
    assert_eq!(now::<Old>(&first), (36, 36));
    assert_eq!(first.verify::<Old>(&[]).unwrap(), 17);
}
