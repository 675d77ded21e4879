//! Logs that make no sense: refused, with the actor, the version and the block.

use std::sync::Arc;

use treering_actor::stores::user_config::UserConfigKind;
use treering_actor::{ActorError, Address};
use treering_block::node::{EventNode, SnapshotNode, Typed};
use treering_block::{Block, Cid, Encoded};
use treering_store::{Change, Commit, EmbeddedStore, Expect, OpenOptions, RefMove, RefName, Store};

use crate::bench::Bench;

type Read = Result<u64, ActorError>;

/// Puts a block and moves a ref to it, as no actor would.
pub fn plant(bench: &Bench, name: &RefName, block: Block) -> Cid {
    let target = block.cid;
    let commit = Commit {
        scope: "alice".into(),
        blocks: vec![block],
        moves: vec![RefMove {
            name: name.clone(),
            expect: Expect::Any,
            change: Change::Set {
                target,
                record: Vec::new(),
            },
        }],
        ..Commit::default()
    };
    bench.store.submit(commit).wait().unwrap();
    target
}

/// A configuration of so many events, and these.
fn grown(events: u64) -> (Bench, Address, Vec<(Cid, EventNode)>) {
    let bench = Bench::new();
    for number in 1..=events {
        bench.configure(&format!("model {number}"));
    }
    let address = bench.address::<UserConfigKind>(&[]);
    let all = bench
        .reader()
        .events::<UserConfigKind>(&address, 1, None)
        .unwrap();
    (bench, address, all)
}

/// All ways of reading it.
fn reads(bench: &Bench) -> [Read; 2] {
    let address = bench.address::<UserConfigKind>(&[]);
    let cold = bench.cold();
    [
        cold.reader()
            .now::<UserConfigKind>(&address)
            .map(|loaded| loaded.place.version),
        cold.verify::<UserConfigKind>(&[]),
    ]
}

fn assert_corrupt(read: Read, at: u64, broken: Cid) {
    let is_it = matches!(&read, Err(ActorError::Corrupt { actor, version, block, .. })
        if actor.contains("user-config") && *version == at && *block == Some(broken));
    assert!(is_it, "{read:?}, not version {at}, block {broken}");
}

#[test]
fn a_gap() {
    let (bench, address, all) = grown(5);
    // Version 3 stands on version 1.
    let gap = EventNode {
        parent: Some(all[0].0),
        ..all[2].1.clone()
    };
    plant(&bench, address.log(), gap.encode().unwrap());
    for read in reads(&bench) {
        assert_corrupt(read, 2, all[0].0);
    }
    // Nothing is written behind it.
    let fields = treering_actor::messages::UserConfigUpdated::default();
    let defaults = treering_actor::stores::user_config::Defaults::default();
    let verb =
        treering_actor::stores::user_config::update(&bench.stores, &defaults, fields).unwrap();
    let answer = bench.ask::<UserConfigKind>(verb, Default::default());
    assert!(matches!(answer, Err(ActorError::Corrupt { .. })));
}

#[test]
fn a_parent_that_is_no_entry_or_a_later_one() {
    let (bench, address, all) = grown(5);
    let no_entry = Block::from_encoded(Encoded::from_text("no entry")).unwrap();
    let no_entry = plant(
        &bench,
        &RefName::new("alice", "x.other", ["a"]).unwrap(),
        no_entry,
    );
    for parent in [no_entry, all[4].0] {
        let wrong = EventNode {
            parent: Some(parent),
            ..all[2].1.clone()
        };
        plant(&bench, address.log(), wrong.encode().unwrap());
        for read in reads(&bench) {
            assert_corrupt(read, 2, parent);
        }
    }
}

#[test]
fn a_beginning_that_is_not_there() {
    let (bench, address, all) = grown(5);
    // It says that the log begins after version 2, and there is no base.
    let wrong = EventNode {
        base: 2,
        jump: None,
        ..all[2].1.clone()
    };
    let cid = plant(&bench, address.log(), wrong.encode().unwrap());
    for read in reads(&bench) {
        assert_corrupt(read, 3, cid);
    }
}

#[test]
fn a_message_that_is_none() {
    let (bench, address, all) = grown(5);
    let wrong = EventNode {
        typed: Typed {
            message: b"\xff".to_vec(),
            ..all[4].1.typed.clone()
        },
        ..all[4].1.clone()
    };
    let cid = plant(&bench, address.log(), wrong.encode().unwrap());
    for read in reads(&bench) {
        assert_corrupt(read, 5, cid);
    }
}

#[test]
fn a_jump_that_leads_elsewhere() {
    let (bench, address, all) = grown(6);
    // Version 6 jumps to 3; this one to 2.
    let wrong = EventNode {
        jump: Some(all[1].0),
        ..all[5].1.clone()
    };
    let cid = plant(&bench, address.log(), wrong.encode().unwrap());
    assert_corrupt(bench.cold().verify::<UserConfigKind>(&[]), 6, cid);
}

#[test]
fn a_snapshot_that_is_not_what_the_events_make() {
    let (bench, address, all) = grown(20);
    assert_eq!(bench.cold().verify::<UserConfigKind>(&[]).unwrap(), 20);
    let value = bench.store.read_ref(address.read_model()).unwrap().unwrap();
    let node =
        SnapshotNode::decode(&value.target, &bench.store.get(&value.target).unwrap()).unwrap();
    let wrong = SnapshotNode {
        typed: Typed {
            message: Vec::new(),
            ..node.typed
        },
        ..node
    };
    let cid = plant(&bench, address.read_model(), wrong.encode().unwrap());
    assert_corrupt(
        bench.cold().verify::<UserConfigKind>(&[]),
        wrong.version,
        cid,
    );
    // A state can not be stored as an event, nor an event as a state.
    let wrong = SnapshotNode {
        typed: all[0].1.typed.clone(),
        ..wrong
    };
    plant(&bench, address.read_model(), wrong.encode().unwrap());
    let read = &reads(&bench)[0];
    assert!(
        matches!(read, Err(ActorError::Corrupt { version: 16, .. })),
        "{read:?}"
    );
}

#[test]
fn a_flipped_bit_on_disk() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("store");
    let open = || -> Arc<dyn Store> {
        Arc::new(EmbeddedStore::open(&path, &OpenOptions::default()).unwrap())
    };
    let store = open();
    let bench = Bench::over(Arc::clone(&store));
    let secret = "a name that stands nowhere else";
    bench.configure("first");
    bench.configure(secret);
    bench.configure("third");
    let address = bench.address::<UserConfigKind>(&[]);
    let events = bench
        .reader()
        .events::<UserConfigKind>(&address, 2, Some(2));
    let broken = events.unwrap()[0].0;
    store.close().unwrap();
    drop((bench, store));
    let mut flipped = 0;
    for file in std::fs::read_dir(&path).unwrap() {
        let file = file.unwrap().path();
        if !file.is_file() {
            continue;
        }
        let mut bytes = std::fs::read(&file).unwrap();
        let places: Vec<usize> = (0..bytes.len().saturating_sub(secret.len()))
            .filter(|at| bytes[*at..].starts_with(secret.as_bytes()))
            .collect();
        for at in &places {
            bytes[at + 3] ^= 1;
        }
        flipped += places.len();
        if !places.is_empty() {
            std::fs::write(&file, bytes).unwrap();
        }
    }
    assert!(flipped > 0);
    let bench = Bench::over(open());
    for read in reads(&bench) {
        assert_corrupt(read, 2, broken);
    }
}
