//! Whole scopes in files, as somebody may have made them: what is refused, and that nothing was written then.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may end so, in the functions that tests share too"
)]

mod fuzz;
#[path = "../../../thread/tests/car/mend.rs"]
mod mend;
mod refusals;

use std::io::Cursor;
use std::ops::ControlFlow;
use std::sync::Arc;

use treering_actor::archive::{
    ImportOptions, ScopeExported, ScopeImported, export_scope, import_any,
};
use treering_actor::messages::{MemoryEntry, Message};
use treering_actor::stores::memory::{self, MemoryKind};
use treering_actor::stores::{Options, Stores, chats};
use treering_actor::{Dispatcher, Reader, Receipt};
use treering_block::Cid;
use treering_store::archive::{Index, ScopeManifest, writing};
use treering_store::scope::LandOptions;
use treering_store::{
    Change, Commit, Durability, Expect, JournalCommand, MemoryStore, RefMove, RefName, RefValue,
    Store,
};
use treering_thread::car::{CarError, OnConflict};
use treering_thread::{StartArgs, StepArgs, Threads};

fn fresh() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

fn reader(store: &Arc<dyn Store>) -> Reader {
    Dispatcher::new(Arc::clone(store)).reader()
}

fn go_on(_: u64, _: Option<u64>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn remember(stores: &Stores, content: &str) {
    let entry = MemoryEntry {
        id: memory::new_id(),
        content: content.to_owned(),
        ..Default::default()
    };
    let verb = memory::add(stores, entry, 50).unwrap();
    let answer = stores.submit::<MemoryKind>(verb, Options::default());
    let _: Receipt = answer.unwrap().wait().unwrap().receipt;
}

fn stores(store: &Arc<dyn Store>, scope: &str) -> Stores {
    let dispatcher = Dispatcher::new(Arc::clone(store));
    Stores::new(dispatcher, scope, Durability::Relaxed).unwrap()
}

/// Threads with a key, a fork and a failure, a memory with a read model, a conversation, a pin.
fn small() -> Arc<dyn Store> {
    let store = fresh();
    let home = stores(&store, "alice");
    for nth in 0..18 {
        remember(&home, &format!("fact {nth}"));
    }
    let said = Message {
        role: "user".into(),
        content: "hello".into(),
        ..Default::default()
    };
    let verb = chats::append(&home, "c", &[(said, Vec::new())], 1_000).unwrap();
    let answer = home.submit::<chats::ChatKind>(verb, Options::default());
    answer.unwrap().wait().unwrap();
    let threads = Threads::new(Arc::clone(&store), "alice", Durability::Relaxed).unwrap();
    let args = StartArgs {
        key: Some("k".into()),
        command_id: Some("start".into()),
        ..StartArgs::new("w")
    };
    let thread = threads.start(args).unwrap().wait().unwrap();
    let step = StepArgs::new("coder", "yes");
    thread.append(step).unwrap().wait().unwrap();
    thread.fail("it broke", None).unwrap().wait().unwrap();
    let pin = RefMove {
        name: RefName::new("alice", "pin", ["p"]).unwrap(),
        expect: Expect::Absent,
        change: Change::Set {
            target: thread.head(),
            record: Vec::new(),
        },
    };
    let commit = Commit {
        scope: "alice".into(),
        moves: vec![pin],
        ..Commit::default()
    };
    store.submit(commit).wait().unwrap();
    store
}

fn exported(store: &Arc<dyn Store>) -> (ScopeExported, Vec<u8>) {
    let mut bytes = Vec::new();
    let made = export_scope(&**store, "alice", &mut bytes, &mut go_on).unwrap();
    (made, bytes)
}

fn imported(store: &Arc<dyn Store>, scope: &str, file: &[u8]) -> Result<ScopeImported, CarError> {
    let threads = Threads::new(Arc::clone(store), scope, Durability::Relaxed).unwrap();
    let options = ImportOptions {
        on_conflict: OnConflict::Refuse,
        durability: Durability::Relaxed,
        land: LandOptions::default(),
    };
    let input = Cursor::new(file.to_vec());
    import_any(&threads, &reader(store), input, &options, &mut go_on)
}

/// The file with its manifest changed, everything else as it is; blocks of `more` are there as well.
fn forged(
    file: &[u8],
    more: &[Cid],
    store: &dyn Store,
    change: impl FnOnce(&mut ScopeManifest),
) -> Vec<u8> {
    let mut manifest = manifest_of(file);
    let mut roots: Vec<Cid> = manifest.refs.values().map(|value| value.target).collect();
    roots.extend(more);
    change(&mut manifest);
    let mut bytes = Vec::new();
    let blocks = manifest.encode().unwrap();
    writing::write(store, &blocks, roots, &mut bytes, &mut go_on).unwrap();
    bytes
}

fn manifest_of(file: &[u8]) -> ScopeManifest {
    let mut told = go_on;
    let mut watcher: treering_store::archive::Watcher<'_> = &mut told;
    let (root, mut index) = Index::of(Cursor::new(file), &mut watcher).unwrap();
    ScopeManifest::decode(&root, "alice", |cid| index.need("it", cid)).unwrap()
}

/// What an import could change.
fn state(store: &Arc<dyn Store>) -> (u64, u64, u64, u64, u64) {
    let stats = store.stats().unwrap();
    let head = store.head().unwrap().position;
    (stats.blocks, stats.refs, stats.receipts, stats.holds, head)
}

fn assert_sound(store: &Arc<dyn Store>, scope: &str) {
    let mut report = store.verify(None).unwrap();
    treering_thread::verify_threads(&**store, &mut report);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    let reader = reader(store);
    for kind in reader.actor_kinds(scope).unwrap() {
        for (name, standing) in reader.actors(scope, &kind, None, 1_000).unwrap() {
            standing.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}
