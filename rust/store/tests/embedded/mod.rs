//! What the tests of the store in a directory share.
#![allow(dead_code, missing_docs, clippy::unwrap_used)] // Each test binary uses its part.

use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use treering_block::{Block, Cid, Encoded};
use treering_store::{
    Address, Change, Command, Commit, Durability, EmbeddedStore, Expect, OpenOptions, RefMove,
    RefName, Store,
};

pub fn open(path: &Path) -> EmbeddedStore {
    EmbeddedStore::open(path, &OpenOptions::default()).unwrap()
}

pub fn name(part: &str) -> RefName {
    RefName::new("main", "thread", [part]).unwrap()
}

pub fn commit() -> Commit {
    Commit {
        scope: "main".into(),
        ..Commit::default()
    }
}

/// A commit that puts these blocks.
pub fn put(blocks: Vec<Block>) -> Commit {
    let holds = blocks.iter().map(|block| block.cid).collect();
    Commit {
        blocks,
        holds,
        ..commit()
    }
}

pub fn relaxed(commit: Commit) -> Commit {
    Commit {
        durability: Durability::Relaxed,
        ..commit
    }
}

/// A node that holds these links.
pub fn node(text: &str, links: &[Cid]) -> Block {
    use treering_block::Writer;
    let mut out = Writer::new();
    out.array(links.len() + 1).unwrap();
    out.str(text).unwrap();
    for link in links {
        out.link(&(*link).into()).unwrap();
    }
    let encoded: Encoded = out.finish().unwrap();
    Block::from_encoded(encoded).unwrap()
}

pub fn set(name: &RefName, expect: Expect, target: Cid) -> RefMove {
    RefMove {
        name: name.clone(),
        expect,
        change: Change::Set {
            target,
            record: b"record".to_vec(),
        },
    }
}

pub fn command(id: &str, payload: u8) -> Option<Command> {
    Some(Command {
        address: Address::Scope("main".into()),
        id: id.into(),
        payload: [payload; 32],
        receipt: vec![payload],
    })
}

/// Bytes that look random and are the same each time.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut out);
    out
}

/// Holds each commit's first fsync until the returned sender sends.
pub fn hold_syncs(store: &EmbeddedStore) -> Sender<()> {
    let (release, held) = channel::<()>();
    let held = Arc::new(Mutex::new(held));
    store.on_commit_sync(move || {
        // Once the test is over nobody holds anything.
        let _ = held.lock().unwrap().recv();
        Ok(())
    });
    release
}

/// One of everything: blocks with links, a large block, refs, a receipt, a hold, a lease.
pub fn fill(store: &dyn Store) -> Filled {
    let leaf = Block::raw(bytes(1, 1000));
    let parent = node("parent", &[leaf.cid]);
    let large = Block::raw(bytes(2, 300_000));
    let mut first = put(vec![leaf.clone(), parent.clone(), large.clone()]);
    first.command = command("first", 1);
    first.moves = vec![set(&name("one"), Expect::Absent, parent.cid)];
    store.submit(first).wait().unwrap();
    let child = node("child", &[parent.cid, leaf.cid]);
    let mut second = commit();
    second.blocks = vec![child.clone()];
    second.moves = vec![set(&name("one"), Expect::Version(1), child.cid)];
    store.submit(second).wait().unwrap();
    store.lease_acquire(&name("one"), "tester").unwrap();
    Filled {
        leaf,
        parent,
        large,
        child,
    }
}

pub struct Filled {
    pub leaf: Block,
    pub parent: Block,
    pub large: Block,
    pub child: Block,
}
