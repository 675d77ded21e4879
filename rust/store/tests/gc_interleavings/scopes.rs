//! Whole scopes in many orders: forks, erases and uploads beside collections and writers, one call of the store a piece.
//!
//! Asserted before each call of anybody: what `verify` finds (rows, links, refs that point at nothing); all that refs reach
//! is there; a fork is absent or whole, at one moment of its origin; a scope that is erased has all of its refs or none.
//! That it can fail, the last tests show: the same work done in the obvious way is found out.

use std::panic::catch_unwind;
use std::sync::Arc;

use shuttle::Runner;
use shuttle::scheduler::RandomScheduler;
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread;
use treering_block::{Block, Cid};
use treering_store::faults::{Faults, FaultyStore};
use treering_store::gc::Phase;
use treering_store::progress::Progress;
use treering_store::scope::{ForkOptions, fork, refs, unfinished};
use treering_store::{
    Change, Commit, EraseOptions, Expect, GcOptions, MemoryStore, RefMove, RefName, Store,
    StoreError, reachable,
};

use crate::world::node;

const ORIGIN: &str = "origin";
const FORK: &str = "fork";
const OTHER: &str = "other";
/// Refs that the origin has, and never fewer but when it is erased.
const REFS: usize = 7;
const SEED: u64 = 1;
const ORDERS: usize = 400;

#[derive(Clone)]
struct Scopes {
    /// Each call is a place where shuttle may switch, and where all is looked at.
    store: Arc<FaultyStore>,
    inner: Arc<MemoryStore>,
}

fn named(scope: &str, part: &str) -> RefName {
    RefName::new(scope, "pin", [part]).unwrap()
}

fn set(name: RefName, target: Cid, record: &[u8]) -> RefMove {
    RefMove {
        name,
        expect: Expect::Any,
        change: Change::Set {
            target,
            record: record.to_vec(),
        },
    }
}

fn shared() -> [Block; 2] {
    let leaf = Block::raw(b"shared".to_vec());
    let top = node("top", &[leaf.cid]);
    [leaf, top]
}

impl Scopes {
    fn new() -> Self {
        let inner = Arc::new(MemoryStore::default());
        let faults = Faults::default();
        let store = FaultyStore::new(Arc::clone(&inner) as _, faults.clone());
        let scopes = Self {
            store: Arc::new(store),
            inner,
        };
        scopes.fill();
        let (looked, point) = (scopes.inner.clone(), AtomicBool::new(false));
        faults.before_each(move |_| {
            point.load(Ordering::SeqCst);
            check(&looked);
        });
        scopes
    }

    fn fill(&self) {
        let [leaf, top] = shared();
        let moves = (0..REFS).map(|nth| set(named(ORIGIN, &format!("{nth}")), top.cid, b"0"));
        let commit = Commit {
            scope: ORIGIN.into(),
            moves: moves.collect(),
            blocks: vec![leaf, top.clone()],
            ..Commit::default()
        };
        self.inner.submit(commit).wait().unwrap();
        let other = Commit {
            scope: OTHER.into(),
            moves: vec![set(named(OTHER, "keeps"), top.cid, b"")],
            ..Commit::default()
        };
        self.inner.submit(other).wait().unwrap();
    }

    fn commit(
        &self,
        scope: &str,
        moves: Vec<RefMove>,
        blocks: Vec<Block>,
    ) -> Result<(), StoreError> {
        let commit = Commit {
            scope: scope.into(),
            moves,
            blocks,
            ..Commit::default()
        };
        self.store.submit(commit).wait().map(drop)
    }

    fn fork(&self, at_once: usize) -> Result<u64, StoreError> {
        let options = ForkOptions {
            at_once,
            at_a_time: 3,
            ..ForkOptions::default()
        };
        let progress = Progress::default();
        fork(&*self.store, ORIGIN, FORK, &options, &progress).map(|forked| forked.refs)
    }

    fn collect(&self) {
        let mut collection = self.store.collection(&GcOptions::default()).unwrap();
        while collection.phase() != Phase::Done {
            // A call that changes nothing: a place to switch.
            self.store.head().unwrap();
            collection.step().unwrap();
        }
    }

    fn erase(&self, scope: &str) {
        self.store.erase(scope, &EraseOptions::default()).unwrap();
    }

    /// Moves two refs of the origin that are always alike, each time to a new block.
    fn write_both(&self) {
        for nth in 1..4u8 {
            let block = node(&format!("new {nth}"), &[shared()[0].cid]);
            let both = ["0", "6"].map(|part| set(named(ORIGIN, part), block.cid, &[nth]));
            let blocks = shared().into_iter().take(1).chain([block]).collect();
            self.commit(ORIGIN, both.to_vec(), blocks).unwrap();
        }
    }

    /// Lets go of what another scope shares, and takes it again.
    fn let_go_and_take(&self) {
        let gone = RefMove {
            change: Change::Delete,
            ..set(named(OTHER, "keeps"), shared()[1].cid, b"")
        };
        self.commit(OTHER, vec![gone], Vec::new()).unwrap();
        let again = set(named(OTHER, "keeps"), shared()[1].cid, b"");
        self.commit(OTHER, vec![again], shared().to_vec()).unwrap();
    }

    fn upload(&self) {
        let mut upload = self.store.upload().unwrap();
        upload.write(&vec![7; 300_000]).unwrap();
        self.store.head().unwrap();
        let uploaded = upload.finish().unwrap();
        self.store.head().unwrap();
        let commit = Commit {
            scope: OTHER.into(),
            moves: vec![set(named(OTHER, "large"), uploaded.cid(), b"")],
            uploads: vec![uploaded],
            ..Commit::default()
        };
        self.store.submit(commit).wait().unwrap();
    }
}

fn seen(store: &MemoryStore, scope: &str) -> Vec<(String, Cid, Vec<u8>)> {
    let all = refs::all(store, scope).unwrap().into_iter();
    all.map(|(name, value)| (name.unscoped().to_owned(), value.target, value.record))
        .collect()
}

fn check(store: &MemoryStore) {
    assert_eq!(store.verify(None).unwrap().findings, []);
    let all = store.all_refs(None, usize::MAX).unwrap();
    let targets: Vec<Cid> = all
        .into_iter()
        .map(|(_, value)| value.unwrap().target)
        .collect();
    assert_eq!(reachable(store, &targets).unwrap().missing, []);
    let origin = seen(store, ORIGIN);
    assert!(
        origin.is_empty() || origin.len() == REFS,
        "half erased: {origin:?}"
    );
    if store.scopes().unwrap().contains(&FORK.to_owned()) {
        let fork = seen(store, FORK);
        assert_eq!(fork.len(), REFS, "half of a fork: {fork:?}");
        assert_eq!(fork[0].1, fork[6].1, "of two moments: {fork:?}");
        if let Some(lineage) = store.lineage(FORK).unwrap() {
            assert_eq!(lineage.refs, REFS as u64);
        }
    }
}

type Work = fn(&Scopes);

/// All at the same time, then a last look, and a collection that nobody disturbs.
fn run(works: &[Work]) {
    let scopes = Scopes::new();
    let mut threads = Vec::new();
    for work in works.iter().copied() {
        let scopes = scopes.clone();
        threads.push(thread::spawn(move || work(&scopes)));
    }
    for thread in threads {
        thread.join().unwrap();
    }
    check(&scopes.inner);
    scopes.inner.gc(&GcOptions::default()).unwrap();
    check(&scopes.inner);
    assert!(unfinished(&*scopes.inner).unwrap().is_empty());
}

/// Whether none of so many orders shows anything; the same ones each time.
fn holds(works: &[Work]) -> bool {
    let works = works.to_vec();
    catch_unwind(move || {
        let orders = RandomScheduler::new_from_seed(SEED, ORDERS);
        let search = Runner::new(orders, shuttle::Config::default());
        search.run(move || run(&works));
    })
    .is_ok()
}

fn fork_at_once(scopes: &Scopes) {
    assert_eq!(scopes.fork(100).unwrap(), REFS as u64);
}

fn fork_in_steps(scopes: &Scopes) {
    assert_eq!(scopes.fork(1).unwrap(), REFS as u64);
}

/// Of a scope that may be erased meanwhile: then the fork is whole, or there is none.
fn fork_or_nothing(scopes: &Scopes, at_once: usize) {
    let refs = match scopes.fork(at_once) {
        Ok(refs) => {
            assert_eq!(refs, REFS as u64);
            refs
        }
        Err(StoreError::ScopeNotFound { .. }) => 0,
        Err(other) => panic!("{other}"),
    };
    assert_eq!(seen(&scopes.inner, FORK).len() as u64, refs);
}

fn erase_origin(scopes: &Scopes) {
    scopes.erase(ORIGIN);
}

#[test]
fn a_fork_beside_a_collection_and_a_writer() {
    for fork in [fork_at_once as Work, fork_in_steps] {
        assert!(holds(&[fork, Scopes::collect, Scopes::write_both]));
    }
}

#[test]
fn an_erase_beside_a_collection_and_a_writer_who_shares_blocks() {
    assert!(holds(&[
        erase_origin,
        Scopes::collect,
        Scopes::let_go_and_take
    ]));
}

#[test]
fn an_erase_beside_a_fork_of_the_same_scope() {
    assert!(holds(&[erase_origin, |scopes| fork_or_nothing(
        scopes, 100
    )]));
    assert!(holds(&[
        erase_origin,
        |scopes| fork_or_nothing(scopes, 1),
        Scopes::collect
    ]));
}

#[test]
fn an_erase_of_what_is_being_made() {
    assert!(holds(&[
        |scopes| scopes.erase(FORK),
        |scopes| match scopes.fork(1) {
            Ok(refs) => assert_eq!(refs, REFS as u64),
            // It was taken away under its hands.
            Err(StoreError::LeaseLost { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    ]));
}

#[test]
fn an_upload_beside_a_collection() {
    assert!(holds(&[
        Scopes::upload,
        Scopes::collect,
        Scopes::let_go_and_take,
        Scopes::collect
    ]));
}

/// Copies what it has seen, in commits that everybody sees.
fn fork_in_the_open(scopes: &Scopes) {
    for (name, value) in refs::all(&*scopes.store, ORIGIN).unwrap() {
        let name = RefName::new(FORK, name.kind(), name.parts().to_vec()).unwrap();
        let step = set(name, value.target, &value.record);
        scopes.commit(FORK, vec![step], Vec::new()).unwrap();
    }
}

/// In one commit, of what it has seen bit by bit.
fn fork_of_several_moments(scopes: &Scopes) {
    let mut moves = Vec::new();
    for nth in 0..REFS {
        let name = named(ORIGIN, &format!("{nth}"));
        let value = scopes.store.read_ref(&name).unwrap().unwrap();
        moves.push(set(
            named(FORK, &format!("{nth}")),
            value.target,
            &value.record,
        ));
    }
    scopes.commit(FORK, moves, shared().to_vec()).unwrap();
}

fn erase_bit_by_bit(scopes: &Scopes) {
    for nth in 0..REFS {
        let gone = RefMove {
            change: Change::Delete,
            ..set(named(ORIGIN, &format!("{nth}")), shared()[0].cid, b"")
        };
        scopes.commit(ORIGIN, vec![gone], Vec::new()).unwrap();
    }
}

#[test]
fn the_obvious_ways_are_found_out() {
    assert!(!holds(&[fork_in_the_open, Scopes::collect]));
    assert!(!holds(&[fork_of_several_moments, Scopes::write_both]));
    assert!(!holds(&[erase_bit_by_bit, Scopes::collect]));
}
