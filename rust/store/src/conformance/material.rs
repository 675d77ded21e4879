//! What the cases are made of: blocks, names, commits.

use std::sync::Arc;

use treering_block::{Block, Cid, Encoded, Ipld};

use super::Backend;
use crate::clock::Clock;
use crate::commit::{
    Address, Change, Command, Commit, Committed, Durability, Expect, RefMove, RefValue,
};
use crate::error::Result;
use crate::name::RefName;
use crate::store::Store;

pub(super) fn fresh(backend: &dyn Backend) -> Arc<dyn Store> {
    backend.fresh(Clock::system())
}

pub(super) fn name(part: &str) -> RefName {
    RefName::new("main", "thread", [part]).unwrap()
}

pub(super) fn raw(bytes: impl AsRef<[u8]>) -> Block {
    Block::raw(bytes.as_ref().to_vec())
}

/// A node that says `label` and links to `links`.
pub(super) fn node(label: &str, links: &[Cid]) -> Block {
    let mut items = vec![Ipld::String(label.to_owned())];
    items.extend(links.iter().map(|cid| Ipld::Link((*cid).into())));
    Block::from_encoded(Encoded::from_ipld(&Ipld::List(items)).unwrap()).unwrap()
}

/// A commit of blocks alone. `relaxed`, as most cases ask nothing of the disk.
pub(super) fn put(blocks: impl IntoIterator<Item = Block>) -> Commit {
    Commit {
        scope: "main".into(),
        blocks: blocks.into_iter().collect(),
        durability: Durability::Relaxed,
        ..Commit::default()
    }
}

pub(super) fn set(name: &RefName, expect: Expect, target: Cid) -> RefMove {
    RefMove {
        name: name.clone(),
        expect,
        change: Change::Set {
            target,
            record: b"record".to_vec(),
        },
    }
}

pub(super) fn remove(name: &RefName, expect: Expect) -> RefMove {
    RefMove {
        name: name.clone(),
        expect,
        change: Change::Delete,
    }
}

/// A commit of one move alone.
pub(super) fn moving(step: RefMove) -> Commit {
    Commit {
        scope: step.name.scope().to_owned(),
        moves: vec![step],
        ..put([])
    }
}

pub(super) fn command(address: Address, id: &str, payload: u8) -> Command {
    Command {
        address,
        id: id.into(),
        payload: [payload; 32],
        receipt: format!("receipt of {id}").into_bytes(),
    }
}

pub(super) fn done(store: &dyn Store, commit: Commit) -> Committed {
    store.submit(commit).wait().unwrap()
}

/// The version of a ref, 0 if it is absent.
pub(super) fn version(store: &dyn Store, name: &RefName) -> u64 {
    store
        .read_ref(name)
        .unwrap()
        .map_or(0, |value: RefValue| value.version)
}

/// All of a store that a refused commit must leave alone.
pub(super) fn picture(store: &dyn Store) -> impl PartialEq + std::fmt::Debug + use<> {
    let stats = store.stats().unwrap();
    let refs: Vec<_> = store
        .scopes()
        .unwrap()
        .iter()
        .flat_map(|scope| store.list_refs(scope, "thread", None, usize::MAX).unwrap())
        .map(|(name, value)| (name, value.unwrap()))
        .collect();
    let blocks = store.blocks(0, usize::MAX).unwrap();
    (
        store.head().unwrap(),
        refs,
        blocks,
        stats.receipts,
        stats.holds,
    )
}

/// The error of a commit that must be refused without a trace.
pub(super) fn refusal(store: &dyn Store, commit: Commit) -> crate::StoreError {
    let before = picture(store);
    let answer: Result<Committed> = store.submit(commit).wait();
    let error = answer.expect_err("the commit had to be refused");
    assert_eq!(picture(store), before, "a refused commit left a trace");
    error
}

/// Nothing is wrong with the store.
pub(super) fn assert_sound(store: &dyn Store) {
    let report = store.verify(None).unwrap();
    assert_eq!(report.findings, []);
    let stats = store.stats().unwrap();
    assert_eq!(
        (
            report.blocks,
            report.bytes,
            report.links,
            report.refs,
            report.commits,
            report.receipts
        ),
        (
            stats.blocks,
            stats.block_bytes,
            stats.links,
            stats.refs,
            stats.commits,
            stats.receipts
        ),
    );
}
