//! Commands, trims, readers and collections in many orders, chosen by shuttle, over the store in memory.
//!
//! After every piece of work: blocks are there with what they link to and match their CIDs (I1, I2, I6), refs lead
//! somewhere (I3), what was answered is there (I4) and so is all that it reaches (I5), and each actor is what its events
//! make (I7).

use std::sync::Arc;

use shuttle::sync::Mutex as Lock;
use shuttle::thread;
use treering_actor::ActorError;
use treering_actor::stores;
use treering_actor::stores::Keep;
use treering_actor::stores::chats::{self, ChatIndexKind, ChatKind};
use treering_actor::stores::user_config::UserConfigKind;
use treering_store::gc::Phase;
use treering_store::{GcOptions, MemoryStore, Store, reachable};

use crate::bench::Bench;

#[derive(Default)]
struct Answered {
    /// Of the configuration: what each version is, by the command that made it.
    configs: Vec<(u64, String)>,
    chat_version: u64,
    /// The greatest version that a trim was asked to keep.
    kept_from: u64,
}

#[derive(Clone)]
struct World {
    store: Arc<dyn Store>,
    answered: Arc<Lock<Answered>>,
    /// What everybody has set.
    history_events: Option<u64>,
}

impl World {
    fn new() -> Self {
        Self {
            store: Arc::new(MemoryStore::new()),
            answered: Arc::default(),
            history_events: None,
        }
    }

    /// Somebody who has folded nothing yet, and then sees what others do through the store alone.
    fn instance(&self) -> Bench {
        let bench = Bench::over(Arc::clone(&self.store));
        match self.history_events {
            Some(events) => bench.keeping(events),
            None => bench,
        }
    }

    /// Work that nobody else comes into, and a look at all that must hold after it.
    fn piece<T>(&self, work: impl FnOnce(&mut Answered) -> T) -> T {
        let mut answered = self.answered.lock().unwrap();
        let done = work(&mut answered);
        self.check(&answered);
        done
    }

    fn check(&self, answered: &Answered) {
        let bench = self.instance();
        assert_eq!(bench.store.verify(None).unwrap().findings, []);
        let mut roots = Vec::new();
        for entry in bench.store.journal(None, usize::MAX).unwrap() {
            for change in entry.moves {
                let value = bench.store.read_ref(&change.name).unwrap();
                roots.extend(value.map(|value| value.target));
            }
        }
        assert_eq!(reachable(&*bench.store, &roots).unwrap().missing, []);
        bench.verify::<UserConfigKind>(&[]).unwrap();
        bench.verify::<ChatKind>(&["c"]).unwrap();
        bench.verify::<ChatIndexKind>(&[]).unwrap();
        let address = bench.address::<UserConfigKind>(&[]);
        for (version, model) in &answered.configs {
            match bench.reader().at::<UserConfigKind>(&address, *version) {
                Ok(was) => assert_eq!(was.state.default_model, *model),
                Err(ActorError::HistoryTrimmed { .. }) => {
                    assert!(version + 1 < answered.kept_from);
                }
                Err(error) => panic!("version {version} was answered: {error}"),
            }
        }
        let chat = bench.now::<ChatKind>(&["c"]);
        assert_eq!(chat.place.version, answered.chat_version);
        let index = bench.now::<ChatIndexKind>(&[]);
        let rows = stores::look(&*bench.store, |blocks| index.state.conversations(blocks)).unwrap();
        assert_eq!(rows.len(), usize::from(chat.exists()));
    }

    fn configure(&self, who: u64, times: u64) {
        let bench = self.instance();
        for number in 0..times {
            let model = format!("{who} {number}");
            self.piece(|answered| {
                let receipt = bench.configure(&model).receipt;
                answered.configs.push((receipt.version, model));
            });
        }
    }

    fn talk(&self) {
        let bench = self.instance();
        for number in 0..8 {
            self.piece(|answered| {
                let receipt = match number {
                    4 => bench.run::<ChatKind>(chats::delete(&bench.stores, "c").unwrap()),
                    _ => bench.say("c", &format!("m{number}"), 3),
                };
                answered.chat_version = receipt.receipt.version;
            });
        }
    }

    /// Cuts off half of what there is; what it reads first may be out of date when it does.
    fn trim(&self) {
        let bench = self.instance();
        for _ in 0..2 {
            let (keep_from, verb) = self.piece(|_| {
                let now = bench.now::<UserConfigKind>(&[]);
                let keep_from = now.place.version / 2 + 1;
                let verb = bench
                    .stores
                    .trim::<UserConfigKind>(&[], Keep::From(keep_from));
                (keep_from, verb.unwrap())
            });
            self.piece(|answered| {
                answered.kept_from = answered.kept_from.max(keep_from);
                bench.run::<UserConfigKind>(verb);
            });
        }
    }

    fn collect(&self) {
        let mut collection = self
            .piece(|_| self.store.collection(&GcOptions { dry_run: false }))
            .unwrap();
        while collection.phase() != Phase::Done {
            self.piece(|_| collection.step()).unwrap();
        }
    }

    /// Reads what it has seen, while others change it.
    fn look(&self) {
        let bench = self.instance();
        let address = bench.address::<UserConfigKind>(&[]);
        for _ in 0..4 {
            let seen = self.piece(|_| bench.now::<UserConfigKind>(&[]));
            self.piece(|_| {
                match bench
                    .reader()
                    .at::<UserConfigKind>(&address, seen.place.version)
                {
                    Ok(was) => assert_eq!(was.state.default_model, seen.state.default_model),
                    Err(error) => assert!(matches!(error, ActorError::HistoryTrimmed { .. })),
                }
            });
        }
    }
}

fn all_at_once() {
    let world = World::new();
    // A snapshot is near.
    world.configure(0, 14);
    let work: [fn(&World); 7] = [
        |world| world.configure(1, 4),
        |world| world.configure(2, 4),
        World::talk,
        World::trim,
        World::collect,
        World::collect,
        World::look,
    ];
    let threads = work.map(|work| {
        let world = world.clone();
        thread::spawn(move || work(&world))
    });
    for thread in threads {
        thread.join().unwrap();
    }
    world.collect();
    world.piece(|answered| {
        let versions: Vec<u64> = answered
            .configs
            .iter()
            .map(|(version, _)| *version)
            .collect();
        assert_eq!(versions, (1..=22).collect::<Vec<_>>(), "no gap, none twice");
    });
    let bench = world.instance();
    let base = bench.now::<UserConfigKind>(&[]).place.base;
    assert!(base > 0, "it was trimmed");
}

/// A commit of one of them cuts off what is older than the snapshot of version 16, while the others read, write and
/// collect what that frees.
fn history_ends_meanwhile() {
    let world = World {
        history_events: Some(8),
        ..World::new()
    };
    world.configure(0, 29);
    world.piece(|answered| answered.kept_from = 17);
    let work: [fn(&World); 6] = [
        |world| world.configure(1, 3),
        |world| world.configure(2, 3),
        World::talk,
        World::collect,
        World::collect,
        World::look,
    ];
    let threads = work.map(|work| {
        let world = world.clone();
        thread::spawn(move || work(&world))
    });
    for thread in threads {
        thread.join().unwrap();
    }
    world.collect();
    world.piece(|answered| assert_eq!(answered.configs.len(), 35));
    let bench = world.instance();
    assert_eq!(bench.now::<UserConfigKind>(&[]).place.base, 16);
    assert_eq!(bench.verify::<UserConfigKind>(&[]).unwrap(), 19);
}

#[test]
fn random_orders_of_an_ending_history_keep_every_actor_whole() {
    shuttle::check_random(history_ends_meanwhile, 60);
}

#[test]
fn random_orders_keep_every_actor_whole() {
    shuttle::check_random(all_at_once, 60);
}

#[test]
fn orders_with_few_switches_keep_every_actor_whole() {
    shuttle::check_pct(all_at_once, 40, 3);
}
