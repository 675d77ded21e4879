//! A scope as it was: what the journal says of each moment, what a collection took, and that nothing is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use treering_block::{Block, Cid};

use super::material::{done, node, put, raw};
use super::{Backend, cases};
use crate::clock::Clock;
use crate::commit::{Address, Change, Command, Commit, Durability, Expect, RefMove, RefValue};
use crate::erasure::EraseOptions;
use crate::error::StoreError;
use crate::gc::GcOptions;
use crate::journal::JournalCommand;
use crate::name::RefName;
use crate::progress::Progress;
use crate::retention::ExpireBefore;
use crate::scope::refs::all;
use crate::scope::{AsOf, ForkOptions, Lost, Moment, fork};
use crate::store::{HOLD_MS, Store};

cases!("past":
    each_moment_is_what_it_was,
    a_moment_is_a_time_or_a_commit,
    another_scope_is_not_seen,
    what_was_collected_is_gone_and_the_rest_is_whole,
    what_is_collected_meanwhile_is_told_by_its_own_error,
    what_the_journal_forgot_is_told,
    nothing_is_written,
    a_fork_is_there_from_its_commit_on,
    an_erase_of_another_scope_forgets_nothing,
    receipts_are_those_of_then,
    what_was_found_elsewhere_is_shown_in_its_place,
);

/// A store on a clock that a case moves.
struct World {
    store: Arc<dyn Store>,
    clock: Clock,
}

fn world(backend: &dyn Backend) -> World {
    let clock = Clock::manual(1_000_000);
    World {
        store: backend.fresh(clock.clone()),
        clock,
    }
}

fn name(scope: &str, part: &str) -> RefName {
    RefName::new(scope, "thread", [part]).unwrap()
}

impl World {
    /// Moves refs of alice in a commit of its own millisecond: to a new block each, or away.
    fn commit(&self, steps: &[(&str, Option<&Block>)]) -> Commit {
        self.clock.advance(1);
        let moves = steps.iter().map(|(part, block)| RefMove {
            name: name("alice", part),
            expect: Expect::Any,
            change: match block {
                Some(block) => Change::Set {
                    target: block.cid,
                    record: format!("{part} {}", block.bytes.len()).into_bytes(),
                },
                None => Change::Delete,
            },
        });
        let blocks = steps.iter().filter_map(|(_, block)| block.cloned());
        Commit {
            moves: moves.collect(),
            scope: "alice".into(),
            ..put(blocks)
        }
    }

    fn moved(&self, steps: &[(&str, Option<&Block>)]) {
        done(&*self.store, self.commit(steps));
    }

    fn at(&self, at_ms: i64) -> Result<AsOf, StoreError> {
        AsOf::new(
            Arc::clone(&self.store),
            "alice",
            &Moment::Time(at_ms),
            |_| false,
        )
    }

    /// Collects all that nothing keeps: holds have ended.
    fn collect(&self) {
        self.clock.advance(HOLD_MS + 1);
        self.store.gc(&GcOptions::default()).unwrap();
    }
}

fn refs(store: &dyn Store) -> BTreeMap<RefName, RefValue> {
    all(store, "alice").unwrap()
}

fn blocks(count: usize) -> Vec<Block> {
    (0..count).map(|nth| raw(format!("block {nth}"))).collect()
}

/// A life of a few refs, and what they were after each commit, by its time.
fn life(world: &World) -> Vec<(i64, BTreeMap<RefName, RefValue>)> {
    let blocks = blocks(40);
    let mut was = vec![(world.clock.now_ms(), BTreeMap::new())];
    let parts = ["a", "b", "c/d", "é"];
    for (nth, block) in blocks.iter().enumerate() {
        let part = parts[nth * 7 % 4];
        let target = (nth % 5 != 4).then_some(block);
        world.moved(&[(part, target)]);
        was.push((world.clock.now_ms(), refs(&*world.store)));
        // Others write meanwhile.
        if nth % 3 == 0 {
            let own = raw(format!("bob {nth}"));
            let step = RefMove {
                name: name("bob", part),
                expect: Expect::Any,
                change: Change::Set {
                    target: own.cid,
                    record: Vec::new(),
                },
            };
            let commit = Commit {
                scope: "bob".into(),
                moves: vec![step],
                ..put([own])
            };
            done(&*world.store, commit);
        }
    }
    was
}

fn each_moment_is_what_it_was(backend: &dyn Backend) {
    let world = world(backend);
    for (at_ms, was) in life(&world) {
        let past = world.at(at_ms).unwrap();
        assert_eq!(refs(&past), was, "{at_ms}");
        assert!(past.gone().is_empty());
        for (name, value) in &was {
            assert_eq!(past.read_ref(name).unwrap().as_ref(), Some(value));
            assert_eq!(
                past.get(&value.target).unwrap(),
                world.store.get(&value.target).unwrap()
            );
        }
        assert_eq!(past.kinds("alice").unwrap().is_empty(), was.is_empty());
        assert!(past.head().unwrap().position <= world.store.head().unwrap().position);
        // A listing goes on from any name.
        let all: Vec<RefName> = was.keys().cloned().collect();
        for (nth, after) in all.iter().enumerate() {
            let rest = past.list_refs("alice", "thread", Some(after), 2).unwrap();
            let rest: Vec<RefName> = rest.into_iter().map(|(name, _)| name).collect();
            assert_eq!(
                rest,
                all[nth + 1..].iter().take(2).cloned().collect::<Vec<_>>()
            );
        }
    }
}

fn a_moment_is_a_time_or_a_commit(backend: &dyn Backend) {
    let world = world(backend);
    let life = life(&world);
    let entries = world.store.journal(None, usize::MAX).unwrap();
    for entry in &entries {
        let at = Moment::Commit(entry.cursor());
        let past = AsOf::new(Arc::clone(&world.store), "alice", &at, |_| false).unwrap();
        assert_eq!(past.position(), entry.position);
        assert_eq!(past.at_ms(), entry.at_ms);
        let was = life.iter().rev().find(|(at_ms, _)| *at_ms <= entry.at_ms);
        assert_eq!(refs(&past), was.unwrap().1);
        assert_eq!(
            past.journal(None, usize::MAX).unwrap().len() as u64,
            entry.position
        );
    }
    // Long before, and long after.
    assert!(refs(&world.at(0).unwrap()).is_empty());
    assert_eq!(refs(&world.at(i64::MAX).unwrap()), refs(&*world.store));
    let strange = crate::cursor::Cursor {
        position: 3,
        ..entries[7].cursor()
    };
    let lost = AsOf::new(
        Arc::clone(&world.store),
        "alice",
        &Moment::Commit(strange),
        |_| false,
    );
    assert!(matches!(lost, Err(StoreError::CursorLost(_))));
}

fn another_scope_is_not_seen(backend: &dyn Backend) {
    let world = world(backend);
    life(&world);
    let past = world.at(i64::MAX).unwrap();
    assert_eq!(past.scopes().unwrap(), ["alice"]);
    assert_eq!(past.kinds("bob").unwrap(), Vec::<String>::new());
    assert!(
        past.list_refs("bob", "thread", None, 10)
            .unwrap()
            .is_empty()
    );
    let theirs = name("bob", "a");
    assert!(world.store.read_ref(&theirs).unwrap().is_some());
    assert_eq!(past.read_ref(&theirs).unwrap(), None);
    assert!(
        past.all_refs(None, 100)
            .unwrap()
            .iter()
            .all(|(name, _)| name.starts_with("alice/"))
    );
}

fn what_was_collected_is_gone_and_the_rest_is_whole(backend: &dyn Backend) {
    let world = world(backend);
    let leaf = raw("leaf");
    let kept = node("kept", &[leaf.cid]);
    let dropped = raw("dropped");
    let mut commit = world.commit(&[("kept", Some(&kept)), ("dropped", Some(&dropped))]);
    commit.blocks.insert(0, leaf.clone());
    done(&*world.store, commit);
    let then = world.clock.now_ms();
    world.moved(&[
        ("kept", Some(&node("newer", &[kept.cid]))),
        ("dropped", None),
    ]);
    world.collect();
    let past = world.at(then).unwrap();
    let gone: Vec<_> = past.gone().iter().collect();
    assert_eq!(gone, [(&name("alice", "dropped"), &Lost::Collected)]);
    assert_eq!(
        past.list_refs("alice", "thread", None, 10).unwrap().len(),
        1
    );
    let error = past.read_ref(&name("alice", "dropped")).unwrap_err();
    assert!(
        matches!(error, StoreError::CollectedSince { .. }),
        "{error:?}"
    );
    assert_eq!(past.get(&leaf.cid).unwrap(), leaf.bytes);
    // One that nobody misses is not there.
    let optional = |name: &RefName| name.parts() == ["dropped"];
    let at = Moment::Time(then);
    let past = AsOf::new(Arc::clone(&world.store), "alice", &at, optional).unwrap();
    assert!(past.gone().is_empty());
    assert_eq!(past.read_ref(&name("alice", "dropped")).unwrap(), None);
}

fn what_is_collected_meanwhile_is_told_by_its_own_error(backend: &dyn Backend) {
    let world = world(backend);
    let block = raw("here");
    world.moved(&[("a", Some(&block))]);
    let past = world.at(i64::MAX).unwrap();
    assert_eq!(past.get(&block.cid).unwrap(), block.bytes);
    world.moved(&[("a", None)]);
    world.collect();
    for error in [
        past.get(&block.cid).map(drop).unwrap_err(),
        past.size(&block.cid).map(drop).unwrap_err(),
        past.range(&block.cid, 0, 1).map(drop).unwrap_err(),
    ] {
        assert!(
            matches!(error, StoreError::CollectedSince { .. }),
            "{error:?}"
        );
    }
}

fn what_the_journal_forgot_is_told(backend: &dyn Backend) {
    let world = world(backend);
    let life = life(&world);
    // The oldest commits go; how many, the backend says: a directory gives up whole files.
    world.store.seal_journal(1).unwrap();
    let entries = world.store.journal(None, usize::MAX).unwrap();
    let before = ExpireBefore::Cursor(entries[entries.len() / 2].cursor());
    world.store.expire_journal(&before).unwrap();
    let start = world.store.journal_extent().unwrap().start;
    for (at_ms, was) in &life {
        let past = match world.at(*at_ms) {
            Err(StoreError::MomentExpired { oldest_ms, .. }) => {
                assert!(*at_ms < start.at_ms, "{at_ms} of {oldest_ms}");
                assert_eq!(oldest_ms, start.at_ms);
                continue;
            }
            past => past.unwrap(),
        };
        assert!(start.head.position == 0 || *at_ms >= start.at_ms);
        // What is shown is true, and what is not shown is told.
        for (name, value) in refs(&past) {
            assert_eq!(was.get(&name), Some(&value));
        }
        for name in was.keys() {
            let shown = matches!(past.read_ref(name), Ok(Some(_)));
            assert!(shown != past.gone().contains_key(name), "{name} at {at_ms}");
        }
        assert!(past.gone().values().all(|lost| *lost == Lost::Forgotten));
    }
    assert_eq!(refs(&world.at(i64::MAX).unwrap()), refs(&*world.store));
}

fn nothing_is_written(backend: &dyn Backend) {
    let world = world(backend);
    let block = raw("here");
    world.moved(&[("a", Some(&block))]);
    let head = world.store.head().unwrap();
    let past = world.at(i64::MAX).unwrap();
    let thread = name("alice", "a");
    let lease = crate::lease::Lease {
        name: thread.clone(),
        token: 1,
    };
    let address = Address::Scope("alice".into());
    let refused = [
        past.submit(put([raw("new")])).wait().map(drop),
        past.receipt(&address, "1").map(drop),
        past.lease_acquire(&thread, "me").map(drop),
        past.lease_release(&lease),
        past.extend_hold("alice", &block.cid, i64::MAX).map(drop),
        past.release_hold("alice", &block.cid).map(drop),
        past.gc(&GcOptions::default()).map(drop),
        past.repair().map(drop),
        past.quarantine(&["alice/thread/a".into()]).map(drop),
        past.seal_journal(1).map(drop),
        past.expire_journal(&ExpireBefore::Time(i64::MAX)).map(drop),
        past.give_up_commit(1),
        fork(
            &past,
            "alice",
            "bob",
            &ForkOptions::default(),
            &Progress::default(),
        )
        .map(drop),
    ];
    for (nth, answer) in refused.into_iter().enumerate() {
        assert!(
            matches!(answer, Err(StoreError::ReadOnly)),
            "{nth}: {answer:?}"
        );
    }
    past.close().unwrap();
    assert_eq!(world.store.head().unwrap(), head);
    assert!(world.store.get(&block.cid).is_ok());
    let position = past.head().unwrap().position;
    let waited = past
        .watch(position, std::time::Duration::from_millis(1))
        .unwrap();
    assert_eq!(waited, position);
}

fn a_fork_is_there_from_its_commit_on(backend: &dyn Backend) {
    let world = world(backend);
    life(&world);
    let options = ForkOptions {
        durability: Durability::Relaxed,
        at_once: 1,
        ..ForkOptions::default()
    };
    world.clock.advance(1);
    let done = fork(
        &*world.store,
        "alice",
        "carol",
        &options,
        &Progress::default(),
    )
    .unwrap();
    let entries = world.store.journal(None, usize::MAX).unwrap();
    for entry in entries {
        let at = Moment::Commit(entry.cursor());
        let past = AsOf::new(Arc::clone(&world.store), "carol", &at, |_| false).unwrap();
        let there = entry.position >= done.position;
        let targets = |store: &dyn Store, scope: &str| -> Vec<Cid> {
            let refs = all(store, scope).unwrap().into_values();
            refs.map(|value| value.target).collect()
        };
        assert_eq!(past.lineage("carol").unwrap().is_some(), there);
        if there {
            assert_eq!(targets(&past, "carol"), targets(&*world.store, "alice"));
        } else {
            assert_eq!(past.kinds("carol").unwrap(), Vec::<String>::new());
        }
    }
}

fn an_erase_of_another_scope_forgets_nothing(backend: &dyn Backend) {
    let world = world(backend);
    let one = raw("one");
    done(&*world.store, world.commit(&[("kept", Some(&one))]));
    let of_bob = Commit {
        scope: "bob".into(),
        holds: vec![one.cid],
        ..put([raw("of bob")])
    };
    done(&*world.store, of_bob);
    let between = Moment::Commit(world.store.head().unwrap().cursor());
    done(&*world.store, world.commit(&[("kept", None)]));
    let look =
        |scope: &str| AsOf::new(Arc::clone(&world.store), scope, &between, |_| false).unwrap();
    let erase = |scope: &str| {
        let erased = world.store.erase(scope, &EraseOptions::default());
        erased.unwrap()
    };
    assert_eq!(erase("bob").figures.commits, 1);
    let past = look("alice");
    assert_eq!(past.gone(), &BTreeMap::new());
    assert!(past.read_ref(&name("alice", "kept")).unwrap().is_some());
    // Its own is gone with it, then and now, and a new life is not seen before it began.
    erase("alice");
    done(&*world.store, world.commit(&[("kept", Some(&one))]));
    let past = look("alice");
    assert_eq!(past.gone(), &BTreeMap::new());
    assert_eq!(past.read_ref(&name("alice", "kept")).unwrap(), None);
}

fn receipts_are_those_of_then(backend: &dyn Backend) {
    let world = world(backend);
    let store = &world.store;
    let listed = |store: &dyn Store, scope: &str| -> Vec<JournalCommand> {
        let mut listed: Vec<JournalCommand> = Vec::new();
        loop {
            let after = listed.last().map(|last| last.key);
            let page = store.receipts(scope, after.as_ref(), 3).unwrap();
            assert!(page.len() <= 3);
            assert_eq!(store.receipts_unsettled(scope).unwrap(), 0);
            let Some(_) = page.last() else { return listed };
            listed.extend(page.into_iter().map(|left| left.command));
        }
    };
    let mut was = Vec::new();
    for nth in 0..20_u8 {
        world.clock.advance(i64::from(nth % 2));
        let scope = if nth % 4 == 3 { "bob" } else { "alice" };
        let brought = JournalCommand {
            key: [nth; 32],
            payload: [1; 32],
            receipt: vec![nth],
        };
        let commit = Commit {
            scope: scope.into(),
            command: Some(Command {
                address: Address::Scope(scope.into()),
                id: format!("{nth}"),
                payload: [nth; 32],
                receipt: vec![nth],
            }),
            // Now and then an import brings another.
            receipts: Some(brought).filter(|_| nth % 5 == 0).into_iter().collect(),
            ..put([raw(format!("block {nth}"))])
        };
        done(&**store, commit);
        let cursor = store.head().unwrap().cursor();
        was.push((cursor, listed(&**store, "alice")));
    }
    assert_eq!(was.last().unwrap().1.len(), 18);
    let check = || {
        let start = store.journal_extent().unwrap().start.head.position;
        let kept = was.iter().filter(|(cursor, _)| cursor.position >= start);
        for (cursor, receipts) in kept {
            let at = Moment::Commit(*cursor);
            let past = AsOf::new(Arc::clone(store), "alice", &at, |_| false).unwrap();
            assert_eq!(&listed(&past, "alice"), receipts);
            assert_eq!(listed(&past, "bob"), []);
        }
    };
    check();
    // What the journal says of them is not needed.
    store.seal_journal(1).unwrap();
    store
        .expire_journal(&ExpireBefore::Cursor(was[12].0))
        .unwrap();
    check();
    // They go with their scope.
    store.erase("alice", &EraseOptions::default()).unwrap();
    let at = Moment::Commit(was[15].0);
    let past = AsOf::new(Arc::clone(store), "alice", &at, |_| false).unwrap();
    assert_eq!(listed(&past, "alice"), []);
}

fn what_was_found_elsewhere_is_shown_in_its_place(backend: &dyn Backend) {
    let world = world(backend);
    let (one, other) = (raw("one"), raw("other"));
    world.moved(&[("a", Some(&one))]);
    let then = world.clock.now_ms();
    world.moved(&[("a", Some(&other))]);
    world.collect();
    let mut past = world.at(then).unwrap();
    let a = name("alice", "a");
    let stood = past.collected().get(&a).cloned().unwrap();
    assert_eq!((stood.version, stood.target), (1, one.cid));
    // Only what is gone can be found.
    past.found(&name("alice", "b"), other.cid);
    assert_eq!(past.kinds("alice").unwrap(), Vec::<String>::new());
    past.found(&a, other.cid);
    assert_eq!(past.gone(), &BTreeMap::new());
    let shown = past.read_ref(&a).unwrap().unwrap();
    assert_eq!((shown.version, shown.target), (1, other.cid));
    assert_eq!(shown.record, stood.record);
    assert_eq!(past.collected(), &BTreeMap::new());
}
