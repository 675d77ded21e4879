//! Projections without a function: who may move one, what is found to be behind, and what a source is called.

use std::sync::Arc;

use treering_actor::messages::MemoryEntry;
use treering_actor::stores::memory::{self, MemoryKind};
use treering_actor::stores::{Options, Stores};
use treering_actor::{
    ActorError, Dispatcher, Page, Past, Projected, Projection, Step, projections,
};
use treering_block::{Encoded, Ipld};
use treering_store::{
    Carried, Change, Commit, Committed, Cursor, Durability, EraseOptions, Expect, ExpireBefore,
    MemoryStore, RefMove, RefName, Store, StoreError,
};

const KINDS: [&str; 2] = ["user-config", "user-memory"];

struct Here {
    store: Arc<dyn Store>,
    dispatcher: Dispatcher,
}

impl Here {
    fn new() -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let dispatcher = Dispatcher::new(Arc::clone(&store));
        Self { store, dispatcher }
    }

    fn remember(&self, scope: &str, content: &str) {
        let stores = Stores::new(self.dispatcher.clone(), scope, Durability::Durable).unwrap();
        let entry = MemoryEntry {
            content: content.to_owned(),
            ..MemoryEntry::default()
        };
        let verb = memory::add(&stores, entry, 50).unwrap();
        let pending = stores.submit::<MemoryKind>(verb, Options::default());
        pending.unwrap().wait().unwrap();
    }

    fn projection(&self, of: &[&str], kinds: &[&str]) -> Projection {
        let texts = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        let start = (value(0), Carried::default());
        let reader = self.dispatcher.reader();
        Projection::new(reader, "team", "p", &texts(of), &texts(kinds), start).unwrap()
    }

    fn commit(&self, step: &Step) -> Result<Committed, StoreError> {
        let ticket = self.store.submit(Commit {
            scope: "team".into(),
            blocks: step.blocks.clone(),
            moves: vec![step.step.clone()],
            ..Commit::default()
        });
        ticket.wait()
    }

    fn log(scope: &str) -> RefName {
        RefName::new(scope, "user-memory", [""; 0]).unwrap()
    }
}

fn value(number: i128) -> Encoded {
    Encoded::from_ipld(&Ipld::Integer(number)).unwrap()
}

fn found(projection: &Projection, now: &Projected, from: Option<Cursor>) -> Vec<Page> {
    let mut search = projection.search(from).unwrap();
    std::iter::from_fn(|| projection.next(&mut search, now).unwrap()).collect()
}

/// (what it is called, seen, version) of each that is behind.
fn behind(pages: &[Page]) -> Vec<(&str, u64, u64)> {
    let all = pages.iter().flat_map(|page| &page.behind);
    all.map(|one| (one.source.as_str(), one.seen, one.version))
        .collect()
}

#[test]
fn of_two_who_go_on_from_the_same_state_one_does() {
    let here = Here::new();
    here.remember("alice", "x");
    let projection = here.projection(&["alice"], &KINDS);
    let now = projection.load().unwrap();
    let seen = [("alice/user-memory/".to_owned(), 1)];
    let steps: Vec<Step> = (0..2)
        .map(|number| {
            let view = Some((value(number), Carried::default()));
            projection.advance(&now, view, &seen, None).unwrap()
        })
        .collect();
    here.commit(&steps[0]).unwrap();
    assert!(matches!(
        here.commit(&steps[1]),
        Err(StoreError::RefMoved { .. })
    ));
    let now = projection.load().unwrap();
    assert_eq!((now.version(), now.view(), now.events()), (1, &value(0), 1));
    // The state that the commit was said to make is the one that it made.
    assert_eq!(steps[0].after.cid(), now.cid());
    // Nothing older, and nothing once more.
    for version in [0, 1] {
        let older = [("alice/user-memory/".to_owned(), version)];
        assert!(matches!(
            projection.advance(&now, None, &older, None),
            Err(ActorError::Store(StoreError::Invalid { .. }))
        ));
    }
    // One that was deleted and made again is another one, even at the same version.
    let stale = projection.advance(&now, None, &[], None).unwrap();
    here.store
        .submit(Commit {
            scope: "team".into(),
            moves: vec![projection.deletion()],
            ..Commit::default()
        })
        .wait()
        .unwrap();
    here.commit(&steps[1]).unwrap();
    assert_eq!(projection.load().unwrap().version(), now.version());
    assert!(matches!(
        here.commit(&stale),
        Err(StoreError::RefMoved { .. })
    ));
}

#[test]
fn a_cursor_is_good_for_the_sources_that_it_was_found_out_of() {
    let here = Here::new();
    here.remember("alice", "x");
    let projection = here.projection(&["alice"], &KINDS);
    let pages = found(&projection, &projection.load().unwrap(), None);
    assert_eq!(behind(&pages), [("alice/user-memory/", 0, 1)]);
    assert!(pages.iter().all(|page| page.compared));
    let cursor = pages.last().unwrap().cursor;
    let seen = [("alice/user-memory/".to_owned(), 1)];
    let step = projection.advance(&projection.load().unwrap(), None, &seen, cursor);
    here.commit(&step.unwrap()).unwrap();
    here.remember("alice", "y");
    here.remember("bob", "z");
    let now = projection.load().unwrap();
    assert_eq!(now.cursor(), cursor);
    let pages = found(&projection, &now, now.cursor());
    assert_eq!(behind(&pages), [("alice/user-memory/", 1, 2)]);
    // Its own commit and the two that came.
    assert_eq!(pages.iter().map(|page| page.commits).sum::<u64>(), 3);
    assert!(!pages.iter().any(|page| page.compared));
    // The same in another order is the same; more is not.
    let same = here.projection(&["alice", "alice"], &["user-memory", "user-config"]);
    assert_eq!(same.load().unwrap().cursor(), cursor);
    let more = here.projection(&["alice", "bob"], &KINDS);
    let now = more.load().unwrap();
    assert_eq!((now.cursor(), now.events()), (None, 1));
    assert_eq!(
        behind(&found(&more, &now, now.cursor())),
        [("alice/user-memory/", 1, 2), ("bob/user-memory/", 0, 1)]
    );
}

#[test]
fn a_cursor_that_leads_nowhere_means_comparing() {
    let here = Here::new();
    for number in 0..4 {
        here.remember("alice", &number.to_string());
    }
    let projection = here.projection(&["alice"], &KINDS);
    let now = projection.load().unwrap();
    let head = here.store.head().unwrap();
    let at = |position: u64, chain8: [u8; 8]| Cursor { position, chain8 };
    let lost = [
        at(2, [7; 8]),
        at(head.position, [7; 8]),
        at(head.position + 1, head.cursor().chain8),
    ];
    for cursor in lost {
        let pages = found(&projection, &now, Some(cursor));
        assert_eq!(behind(&pages), [("alice/user-memory/", 0, 4)], "{cursor}");
        assert_eq!(pages.last().unwrap().cursor, Some(head.cursor()));
    }
    assert_eq!(found(&projection, &now, Some(head.cursor())), []);
    let expired = here.store.journal(None, 1).unwrap()[0].cursor();
    let before = ExpireBefore::Cursor(here.store.journal(None, 3).unwrap()[2].cursor());
    here.store.expire_journal(&before).unwrap();
    let pages = found(&projection, &now, Some(expired));
    assert_eq!(behind(&pages), [("alice/user-memory/", 0, 4)]);
}

#[test]
fn a_source_that_was_taken_back_is_told() {
    let here = Here::new();
    let log = Here::log("alice");
    here.remember("alice", "x");
    let earlier = here.store.read_ref(&log).unwrap().unwrap().target;
    here.remember("alice", "y");
    let projection = here.projection(&["alice"], &KINDS);
    let seen = [("alice/user-memory/".to_owned(), 2)];
    let step = projection.advance(&projection.load().unwrap(), None, &seen, None);
    here.commit(&step.unwrap()).unwrap();
    here.store
        .submit(Commit {
            scope: "alice".into(),
            moves: vec![RefMove {
                name: log,
                expect: Expect::Any,
                change: Change::Set {
                    target: earlier,
                    record: Vec::new(),
                },
            }],
            ..Commit::default()
        })
        .wait()
        .unwrap();
    let now = projection.load().unwrap();
    let mut search = projection.search(None).unwrap();
    // At the end, once all others are found; and the journal is not done with.
    let page = projection.next(&mut search, &now).unwrap().unwrap();
    assert_eq!((page.behind, page.cursor), (vec![], None));
    let error = projection.next(&mut search, &now).unwrap_err();
    assert!(
        matches!(&error, ActorError::Store(StoreError::Diverged { path, .. }) if path == "alice/user-memory/"),
        "{error}"
    );
}

#[test]
fn a_scope_that_was_erased_and_used_again_is_seen_from_its_first_event_on() {
    for (scope, source) in [("alice", "alice/user-memory/"), ("team", "/user-memory/")] {
        let here = Here::new();
        let log = Here::log(scope);
        let projection = here.projection(&[scope], &KINDS);
        let advance = |version, cursor| {
            let now = projection.load().unwrap();
            let step = projection.advance(&now, None, &[(source.to_owned(), version)], cursor);
            step.and_then(|step| here.commit(&step).map_err(Into::into))
        };
        for _ in 0..3 {
            here.remember(scope, "old");
        }
        advance(3, Some(here.store.head().unwrap().cursor())).unwrap();
        let before = projection.load().unwrap();
        here.store.erase(scope, &EraseOptions::default()).unwrap();
        here.remember(scope, "new");
        let own = scope == "team";
        // Its life is shorter than what was seen, and then longer.
        for version in 1..=5 {
            let now = projection.load().unwrap();
            for from in [None, before.cursor()] {
                let pages = found(&projection, &now, from);
                assert_eq!(behind(&pages), [(source, version - 1, version)], "{scope}");
            }
            let past = projection.past(&log, version - 1, version, 9).unwrap();
            assert_eq!(past.len(), 1);
            // Who read what was before does not say that it saw what is now.
            let late = projection.advance(&before, None, &[(source.to_owned(), 4)], None);
            assert!(
                matches!(late, Err(ActorError::Store(StoreError::RefMoved { .. }))),
                "{scope}"
            );
            advance(version, None).unwrap();
            let now = projection.load().unwrap();
            let checkpoint = now.checkpoint(None, 9).unwrap();
            assert_eq!(checkpoint, [(source.to_owned(), version)]);
            assert_eq!(now.sources(), 1);
            assert_eq!(now.events(), if own { version } else { version + 1 });
            here.remember(scope, "new");
        }
    }
}

#[test]
fn sources_of_the_own_scope_go_without_its_name() {
    let here = Here::new();
    let projection = here.projection(&["team", "a/b", "te"], &KINDS);
    for (scope, source) in [
        ("team", "/user-memory/"),
        ("a/b", "a%2Fb/user-memory/"),
        ("te", "te/user-memory/"),
    ] {
        let log = Here::log(scope);
        assert_eq!(projection.source(&log), source);
        assert_eq!(projection.log(source).unwrap(), log);
        assert!(projection.follows(scope, "user-memory"));
        assert!(!projection.follows(scope, "chat"));
    }
    assert!(projection.log("nonsense").is_err());
}

#[test]
fn the_past_is_told_a_few_things_at_a_time() {
    let here = Here::new();
    for number in 0..20 {
        here.remember("alice", &number.to_string());
    }
    let projection = here.projection(&["alice"], &KINDS);
    let log = Here::log("alice");
    let told = |seen: u64, upto: u64, limit: u64| -> Vec<u64> {
        let past = projection.past(&log, seen, upto, limit).unwrap();
        past.iter().map(Past::version).collect()
    };
    assert_eq!(told(0, 20, 7), (1..=7).collect::<Vec<_>>());
    assert_eq!(told(7, 20, 100), (8..=20).collect::<Vec<_>>());
    assert_eq!(told(7, 9, 100), [8, 9]);
    assert_eq!(told(20, 20, 1), []);
    assert_eq!(told(19, 99, 1), [20]);
    assert_eq!(projection.past(&Here::log("bob"), 0, 9, 9).unwrap(), []);
}

#[test]
fn a_broken_projection_hides_no_other() {
    let here = Here::new();
    here.remember("alice", "x");
    let projection = here.projection(&["alice"], &KINDS);
    let now = projection.load().unwrap();
    here.commit(&projection.advance(&now, None, &[], None).unwrap())
        .unwrap();
    // An event where a projection should be.
    let event = here.store.read_ref(&Here::log("alice")).unwrap().unwrap();
    here.store
        .submit(Commit {
            scope: "team".into(),
            moves: vec![RefMove {
                name: RefName::new("team", "projection", ["a"]).unwrap(),
                expect: Expect::Absent,
                change: Change::Set {
                    target: event.target,
                    record: Vec::new(),
                },
            }],
            ..Commit::default()
        })
        .wait()
        .unwrap();
    let listed = projections(&here.dispatcher.reader(), "team", None, 9).unwrap();
    assert_eq!(listed.len(), 2);
    assert!(
        matches!(&listed[0].1, Err(ActorError::Corrupt { actor, .. }) if actor == "team/projection/a")
    );
    assert_eq!(listed[1].1.as_ref().unwrap().version, 1);
}
