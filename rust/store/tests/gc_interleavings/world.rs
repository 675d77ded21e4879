//! The store behind a lock that shuttle knows, and what must hold of it after every piece of work: every piece
//! is a place where shuttle may switch.
//!
//! Asserted each time: **I1** links are present and **I2** go downwards, **I3** refs point at what is there
//! (`verify`, which re-hashes); **I4** every ref and hold stands as it was answered; **I5** all that they reach
//! is there, to the last byte. And of dead rows and live ones with the same digest only one is ever alive.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use shuttle::sync::Mutex as Lock;
use shuttle::sync::atomic::{AtomicBool, Ordering};
use treering_block::{Block, Cid, Encoded, Writer};
use treering_store::gc::Phase;
use treering_store::{
    Change, Clock, Collection, Commit, Expect, GcOptions, MemoryStore, RefMove, RefName, Store,
    StoreError, reachable,
};

use crate::ground::{Bites, Plant};

pub fn node(text: &str, links: &[Cid]) -> Block {
    let mut out = Writer::new();
    out.array(links.len() + 1).unwrap();
    out.str(text).unwrap();
    for link in links {
        out.link(&(*link).into()).unwrap();
    }
    let encoded: Encoded = out.finish().unwrap();
    Block::from_encoded(encoded).unwrap()
}

pub fn name(part: &str) -> RefName {
    RefName::new("main", "thread", [part]).unwrap()
}

pub fn put(blocks: &[Block]) -> Commit {
    Commit {
        scope: "main".into(),
        blocks: blocks.to_vec(),
        ..Commit::default()
    }
}

pub fn moving(part: &str, target: Option<Cid>) -> RefMove {
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

/// What was answered so far.
#[derive(Default)]
pub struct Answered {
    refs: BTreeMap<RefName, Cid>,
    /// And until when.
    held: BTreeMap<Cid, i64>,
    stored: u64,
    deleted: u64,
}

/// How a piece of work is kept to itself.
pub enum Turns {
    /// By a lock that stands for the store's file lock: shuttle may switch before it, and while it is held.
    Locked(Lock<()>),
    /// By there being no place to switch but before each piece: far fewer orders that differ in nothing.
    Points(AtomicBool),
}

/// How long a put holds.
const HOLD_MS: i64 = 24 * 60 * 60 * 1000;

impl Answered {
    /// What must be there, with all that it leads to.
    fn roots(&self) -> Vec<Cid> {
        self.refs
            .values()
            .chain(self.held.keys())
            .copied()
            .collect()
    }
}

impl Turns {
    pub fn locked() -> Self {
        Self::Locked(Lock::new(()))
    }

    pub fn points() -> Self {
        Self::Points(AtomicBool::new(false))
    }
}

struct Inside {
    turns: Turns,
    answered: Mutex<Answered>,
    store: MemoryStore,
    clock: Clock,
    plant: Plant,
    rows: usize,
}

#[derive(Clone)]
pub struct World(Arc<Inside>);

impl World {
    /// `rows`: how many a collection walks, or purges, in one piece.
    pub fn new(plant: Plant, rows: usize, turns: Turns) -> Self {
        let clock = Clock::manual(1_700_000_000_000);
        Self(Arc::new(Inside {
            turns,
            answered: Mutex::default(),
            store: MemoryStore::with_clock(clock.clone()),
            clock,
            plant,
            rows,
        }))
    }

    /// For what is no piece: asking it changes nothing.
    pub fn store(&self) -> &MemoryStore {
        &self.0.store
    }

    /// Work that nobody else comes into, and a look at all that must hold after it.
    pub fn piece<T>(&self, work: impl FnOnce(&MemoryStore, &mut Answered) -> T) -> T {
        let _turn = match &self.0.turns {
            Turns::Locked(lock) => Some(lock.lock().unwrap()),
            Turns::Points(point) => {
                point.load(Ordering::SeqCst);
                None
            }
        };
        let mut answered = self.0.answered.lock().unwrap();
        let answer = work(&self.0.store, &mut answered);
        self.check(&answered);
        answer
    }

    fn check(&self, answered: &Answered) {
        let store = &self.0.store;
        assert_eq!(store.verify(None).unwrap().findings, []);
        let listed = store.blocks(0, usize::MAX).unwrap();
        let digests: BTreeSet<Cid> = listed.iter().map(|info| info.cid).collect();
        assert_eq!(digests.len(), listed.len(), "a digest has one live ordinal");
        for (name, target) in &answered.refs {
            let stands = store.read_ref(name).unwrap().map(|value| value.target);
            assert_eq!(stands, Some(*target), "{name} was answered");
        }
        let reached = reachable(store, &answered.roots()).unwrap();
        assert_eq!(reached.missing, [], "reachable or held, and gone");
        for cid in &reached.blocks {
            assert!(cid.matches(&store.get(cid).unwrap()));
        }
    }

    pub fn submit(&self, commit: Commit) -> Result<u64, StoreError> {
        self.piece(|store, answered| {
            let done = store.submit(commit.clone()).wait()?;
            answered.stored += done.new_blocks;
            let until_ms = self.0.clock.now_ms() + HOLD_MS;
            let held = commit.holds.into_iter().map(|cid| (cid, until_ms));
            answered.held.extend(held);
            for moved in commit.moves {
                match moved.change {
                    Change::Set { target, .. } => answered.refs.insert(moved.name, target),
                    Change::Delete => answered.refs.remove(&moved.name),
                };
            }
            Ok(done.new_blocks)
        })
    }

    /// Commits over what is assumed to be there; if it is not, puts that again.
    pub fn submit_with(&self, below: &[Block], commit: Commit) {
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

    /// Holds a block that may be there, for so long. False: it is not.
    pub fn hold(&self, cid: &Cid, ms: i64) -> bool {
        let until_ms = self.0.clock.now_ms().saturating_add(ms);
        self.piece(
            |store, answered| match store.extend_hold("main", cid, until_ms) {
                Ok(_) => {
                    answered.held.insert(*cid, until_ms);
                    true
                }
                Err(StoreError::BlockNotFound(_)) => false,
                Err(other) => panic!("{other}"),
            },
        )
    }

    /// Time goes by, and holds end with it.
    pub fn pass(&self, ms: i64) {
        self.piece(|_, answered| {
            assert!(self.0.clock.advance(ms));
            let now_ms = self.0.clock.now_ms();
            answered.held.retain(|_, until_ms| *until_ms > now_ms);
        });
    }

    pub fn release(&self, cid: &Cid) {
        self.piece(|store, answered| {
            assert!(store.release_hold("main", cid).unwrap(), "it was held");
            answered.held.remove(cid);
        });
    }

    pub fn collect(&self) {
        let ground = Bites {
            world: self,
            plant: self.0.plant,
            rows: self.0.rows,
        };
        let mut collection = Collection::new(&ground, &GcOptions { dry_run: false });
        while collection.phase() != Phase::Done {
            collection.step().unwrap();
        }
        self.0.answered.lock().unwrap().deleted += collection.report().deleted;
    }

    /// At the end, after a collection that nobody disturbed: what is reached is there and nothing else is, and
    /// the collections have said exactly how much they took.
    pub fn assert_clean(&self) {
        self.collect();
        self.piece(|store, answered| {
            let reached = reachable(store, &answered.roots()).unwrap().blocks.len() as u64;
            let left = store.stats().unwrap().blocks;
            assert_eq!(
                left, reached,
                "all that is reached, and nothing else, is left"
            );
            assert_eq!(
                answered.stored - answered.deleted,
                left,
                "stored, deleted, left"
            );
        });
    }
}
