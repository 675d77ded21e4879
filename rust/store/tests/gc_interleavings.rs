//! Collections and commits in many orders, chosen by shuttle: the production code over the store in memory,
//! each commit and each step of a collection in one piece, as the write lock makes it.
//!
//! After every piece the store is verified: links present and downwards, refs on what is there.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::sync::Arc;

use shuttle::sync::Mutex;
use shuttle::thread;
use treering_block::{Block, Cid, Encoded, Writer};
use treering_store::gc::Phase;
use treering_store::{
    Change, Commit, Expect, GcOptions, MemoryStore, RefMove, RefName, Store, StoreError, reachable,
};

const REAL: GcOptions = GcOptions { dry_run: false };

fn node(text: &str, links: &[Cid]) -> Block {
    let mut out = Writer::new();
    out.array(links.len() + 1).unwrap();
    out.str(text).unwrap();
    for link in links {
        out.link(&(*link).into()).unwrap();
    }
    let encoded: Encoded = out.finish().unwrap();
    Block::from_encoded(encoded).unwrap()
}

fn name(part: &str) -> RefName {
    RefName::new("main", "thread", [part]).unwrap()
}

fn put(blocks: &[Block]) -> Commit {
    Commit {
        scope: "main".into(),
        blocks: blocks.to_vec(),
        ..Commit::default()
    }
}

fn moving(part: &str, target: Option<Cid>) -> RefMove {
    RefMove {
        name: name(part),
        expect: Expect::Any,
        change: match target {
            Some(target) => Change::Set {
                target,
                record: Vec::new(),
            },
            None => Change::Delete,
        },
    }
}

/// The store behind a lock that shuttle knows: every piece of work is a place where it may switch.
#[derive(Clone)]
struct World(Arc<(Mutex<()>, MemoryStore)>);

impl World {
    fn piece<T>(&self, work: impl FnOnce(&MemoryStore) -> T) -> T {
        let _turn = self.0.0.lock().unwrap();
        let answer = work(&self.0.1);
        assert_eq!(self.0.1.verify(None).unwrap().findings, []);
        answer
    }

    fn submit(&self, commit: Commit) -> Result<u64, StoreError> {
        self.piece(|store| store.submit(commit).wait().map(|done| done.new_blocks))
    }

    /// Commits `top` over what is assumed to be there; if it is not, puts that again.
    fn submit_with(&self, below: &[Block], commit: Commit) {
        match self.submit(commit.clone()) {
            Ok(_) => {}
            Err(StoreError::LinkMissing { .. }) => {
                let mut whole = commit;
                whole.blocks.splice(0..0, below.iter().cloned());
                self.submit(whole).unwrap();
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn collect(&self) {
        let mut collection = self.0.1.collection(&REAL).unwrap();
        while collection.phase() != Phase::Done {
            self.piece(|_| collection.step().unwrap());
        }
    }
}

/// Old garbage: leaf ← middle ← top; a thread with a fork; a held block.
fn scenario() {
    let leaf = Block::raw(b"leaf".to_vec());
    let middle = node("middle", &[leaf.cid]);
    let top = node("top", &[middle.cid]);
    let start = Block::raw(b"start".to_vec());
    let step = node("step", &[start.cid]);
    let world = World(Arc::new((Mutex::new(()), MemoryStore::new())));
    let garbage = [leaf.clone(), middle.clone(), top.clone()];
    world.submit(put(&garbage)).unwrap();
    let mut thread_ = put(&[start.clone(), step.clone()]);
    thread_.moves = vec![moving("one", Some(step.cid))];
    world.submit(thread_).unwrap();

    let mut threads = Vec::new();
    let spawn = |work: fn(&World, &[Block; 3], &Block)| {
        let (world, garbage, step) = (world.clone(), garbage.clone(), step.clone());
        thread::spawn(move || work(&world, &garbage, &step))
    };
    threads.push(spawn(|world, _, _| world.collect()));
    threads.push(spawn(|world, _, _| world.collect()));
    // Links to an old unreachable block.
    threads.push(spawn(|world, [leaf, middle, _], _| {
        let child = node("child", &[middle.cid]);
        let mut commit = put(std::slice::from_ref(&child));
        commit.moves = vec![moving("child", Some(child.cid))];
        world.submit_with(&[leaf.clone(), middle.clone()], commit);
        world.piece(|store| {
            assert_eq!(reachable(store, &[child.cid]).unwrap().missing, []);
        });
    }));
    // Puts garbage again, holds it, then links to it in a later commit.
    threads.push(spawn(|world, garbage, _| {
        let mut again = put(garbage);
        again.holds = vec![garbage[2].cid];
        world.submit(again).unwrap();
        let next = node("next", &[garbage[2].cid]);
        let mut commit = put(std::slice::from_ref(&next));
        commit.moves = vec![moving("next", Some(next.cid))];
        world.submit(commit).unwrap();
        world.piece(|store| store.release_hold("main", &garbage[2].cid).unwrap());
        world.piece(|store| {
            assert_eq!(reachable(store, &[next.cid]).unwrap().missing, []);
        });
    }));
    // Forks a thread and removes the first.
    threads.push(spawn(|world, _, step| {
        let mut fork = put(&[]);
        fork.moves = vec![moving("two", Some(step.cid))];
        world.submit(fork).unwrap();
        let mut remove = put(&[]);
        remove.moves = vec![moving("one", None)];
        world.submit(remove).unwrap();
    }));
    for thread in threads {
        thread.join().unwrap();
    }
    world.collect();
    let store = &world.0.1;
    let heads: Vec<Cid> = ["child", "next", "two"]
        .iter()
        .map(|part| store.read_ref(&name(part)).unwrap().unwrap().target)
        .collect();
    let reached = reachable(store, &heads).unwrap();
    assert_eq!(reached.missing, []);
    assert_eq!(
        store.stats().unwrap().blocks,
        reached.blocks.len() as u64,
        "all that is reached, and nothing else, is left"
    );
}

#[test]
fn random_orders_keep_the_store_whole() {
    shuttle::check_random(scenario, 3000);
}

#[test]
fn orders_with_few_switches_keep_the_store_whole() {
    shuttle::check_pct(scenario, 2000, 3);
}

/// One collection against one writer that links to garbage: every order there is.
#[test]
fn every_order_of_one_collection_and_one_writer() {
    let two = || {
        let leaf = Block::raw(b"leaf".to_vec());
        let middle = node("middle", &[leaf.cid]);
        let world = World(Arc::new((Mutex::new(()), MemoryStore::new())));
        world.submit(put(&[leaf.clone(), middle.clone()])).unwrap();
        let collector = {
            let world = world.clone();
            thread::spawn(move || world.collect())
        };
        let child = node("child", &[middle.cid]);
        let mut commit = put(std::slice::from_ref(&child));
        commit.holds = vec![child.cid];
        world.submit_with(&[leaf, middle], commit);
        let mut over = put(&[]);
        over.moves = vec![moving("child", Some(child.cid))];
        world.submit(over).unwrap();
        collector.join().unwrap();
        let store = &world.0.1;
        assert_eq!(reachable(store, &[child.cid]).unwrap().missing, []);
    };
    shuttle::check_dfs(two, None);
}
