//! Many threads on one actor, on disk: none loses to another, and they share fsyncs.

use std::sync::Arc;

use treering_actor::Dispatcher;
use treering_actor::stores::agents::{self, AgentsKind};
use treering_actor::stores::{Options, Stores, look};
use treering_store::{Durability, EmbeddedStore, OpenOptions, Store};

use crate::bench::Bench;

const THREADS: u64 = 64;
const EACH: u64 = 10;

#[test]
fn versions_have_no_gap_and_fsyncs_are_few() {
    let root = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> =
        Arc::new(EmbeddedStore::open(root.path().join("store"), &OpenOptions::default()).unwrap());
    // Every other thread has what it knows from another instance, which does not see what the first has folded.
    let instances: Vec<Stores> = (0..2)
        .map(|_| Dispatcher::new(Arc::clone(&store)))
        .map(|dispatcher| Stores::new(dispatcher, "alice", Durability::Durable).unwrap())
        .collect();
    let before = store.counters();
    let add = &|thread: u64| -> Vec<u64> {
        let stores = &instances[usize::try_from(thread % 2).unwrap()];
        let one = |number: u64| {
            let id = format!("id {}", thread * EACH + number);
            let verb = agents::add(stores, "worker", &id).unwrap();
            let pending = stores.submit::<AgentsKind>(verb, Options::default());
            pending.unwrap().wait().unwrap().receipt.version
        };
        (0..EACH).map(one).collect()
    };
    let mut versions: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || add(thread)))
            .collect();
        let versions = threads.into_iter().map(|thread| thread.join().unwrap());
        versions.flatten().collect()
    });
    let after = store.counters();
    let (commands, syncs) = (THREADS * EACH, after.commit_syncs - before.commit_syncs);
    eprintln!("{commands} commands, {syncs} fsyncs");
    versions.sort_unstable();
    assert_eq!(versions, (1..=commands).collect::<Vec<_>>());
    assert!((1..=commands / 4).contains(&syncs), "{syncs} fsyncs");
    let bench = Bench::over(store);
    assert_eq!(bench.verify::<AgentsKind>(&[]).unwrap(), commands);
    let registry = bench.now::<AgentsKind>(&[]);
    let groups = look(&*bench.store, |blocks| registry.state.groups(blocks)).unwrap();
    assert_eq!(groups[0].actor_ids.len() as u64, commands);
}
