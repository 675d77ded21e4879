//! Versions before and after a store has them: what each commit brings, counted.

use std::sync::Arc;

use treering_block::collection::{Map, Vector};
use treering_block::{Block, Cid, Encoded, Ipld};

use super::{Carried, Rooted, Version};
use crate::commit::Commit;
use crate::error::StoreError;
use crate::memory::MemoryStore;
use crate::store::Store;

fn store() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

fn text(number: u64) -> Encoded {
    Encoded::from_text(&format!("{number} {}", "long ".repeat(20)))
}

fn pushed(vector: &Version<Vector>, numbers: std::ops::Range<u64>) -> Version<Vector> {
    vector
        .change(&[], |vector, draft| {
            numbers
                .into_iter()
                .try_for_each(|number| vector.push(text(number), draft))
        })
        .unwrap()
}

fn all(vector: &Version<Vector>) -> Vec<Encoded> {
    let mut found = Vec::new();
    vector
        .look(|vector, draft| {
            vector.each(0, draft, &mut |value| {
                found.push(value);
                Ok(true)
            })
        })
        .unwrap();
    found
}

/// Puts it; how many blocks the commit brought.
fn put(store: &Arc<dyn Store>, rooted: &Rooted) -> usize {
    let (blocks, landing) = Carried(vec![rooted.clone()]).blocks(store).unwrap();
    let count = blocks.len();
    let commit = Commit {
        scope: "main".into(),
        blocks,
        holds: vec![rooted.root.cid],
        ..Commit::default()
    };
    store.submit(commit).wait().unwrap();
    landing.landed();
    count
}

#[test]
fn a_commit_brings_what_is_new_and_no_more() {
    let store = store();
    let empty = Version::<Vector>::new().unwrap();
    let first = pushed(&empty, 0..1000);
    // Elements; leaves but the last; one node above them; the root.
    assert_eq!(put(&store, first.rooted()), 1000 + 31 + 1 + 1);
    assert_eq!(put(&store, first.rooted()), 1, "the root alone");
    let next = pushed(&first, 1000..1001);
    assert_eq!(put(&store, next.rooted()), 2, "an element and the root");
    assert_eq!(all(&first), (0..1000).map(text).collect::<Vec<_>>());
    let stored = Version::<Vector>::load(&store, &next.rooted().root.cid).unwrap();
    assert_eq!(all(&stored), (0..1001).map(text).collect::<Vec<_>>());
    let more = pushed(&stored, 1001..1033);
    // Elements, a leaf, the node above it, the root.
    assert_eq!(put(&store, more.rooted()), 32 + 1 + 1 + 1);
    assert_eq!(all(&empty), []);
}

#[test]
fn another_store_gets_what_it_lacks() {
    let (here, there) = (store(), store());
    let vector = pushed(&Version::new().unwrap(), 0..100);
    put(&here, vector.rooted());
    assert_eq!(put(&there, vector.rooted()), 100 + 3 + 1 + 1);
    // It stays one of the first store, and the second one is asked each time.
    let next = pushed(&vector, 100..101);
    assert_eq!(put(&there, next.rooted()), 2);
    assert_eq!(put(&here, next.rooted()), 2);
    here.close().unwrap();
    let error = vector.look(|vector, draft| vector.get(0, draft));
    assert!(matches!(error, Err(StoreError::Closed)), "{error:?}");
    let moved = Version::<Vector>::load(&there, &next.rooted().root.cid).unwrap();
    assert_eq!(all(&moved).len(), 101);
}

#[test]
fn what_a_store_does_not_have_is_kept() {
    let store = store();
    let vector = pushed(&Version::new().unwrap(), 0..50);
    let (blocks, landing) = Carried(vec![vector.rooted().clone()])
        .blocks(&store)
        .unwrap();
    // Acknowledged, and nothing written: so a repeated command answers.
    landing.landed();
    assert_eq!(all(&vector).len(), 50);
    assert_eq!(put(&store, vector.rooted()), blocks.len());
    assert_eq!(all(&vector).len(), 50);
}

#[test]
fn a_collection_inside_of_another_goes_along() {
    let store = store();
    let inner = pushed(&Version::new().unwrap(), 0..40);
    let link = Encoded::from_ipld(&Ipld::Link(inner.rooted().root.cid.into())).unwrap();
    let outer = Version::<Map>::new()
        .unwrap()
        .change(&[inner.rooted().clone()], |map, draft| {
            map.insert("messages", link.clone(), draft)?;
            Ok(())
        })
        .unwrap();
    put(&store, outer.rooted());
    let found = Version::<Vector>::load(&store, &inner.rooted().root.cid).unwrap();
    assert_eq!(all(&found), all(&inner));
    let error = Version::<Map>::load(&store, &inner.rooted().root.cid).unwrap_err();
    assert!(
        error.to_string().contains("not the root of a map"),
        "{error}"
    );
    let raw = Cid::of_raw(b"nowhere");
    let error = Version::<Map>::load(&store, &raw).unwrap_err();
    assert!(matches!(error, StoreError::BlockNotFound(_)), "{error}");
}

#[test]
fn dropped_versions_are_forgotten_in_time() {
    let mut vector = pushed(&Version::new().unwrap(), 0..40);
    for number in 0..10_000 {
        vector = vector
            .change(&[], |vector, draft| {
                vector.set(3, text(number), draft).map(drop)
            })
            .unwrap();
    }
    let kept = format!("{:?}", vector.rooted().unstored);
    let count: usize = kept["Unstored(".len()..]
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(count < 3000, "{kept}");
    assert_eq!(all(&vector).len(), 40);
}

#[test]
fn blocks_are_all_that_it_takes() {
    let store = store();
    let vector = pushed(&Version::new().unwrap(), 0..100);
    put(&store, vector.rooted());
    let vector = pushed(&vector, 100..200);
    let root = vector.rooted().root.bytes.to_vec();
    let blocks = vector.blocks().unwrap();
    assert_eq!(blocks.len(), 200 + 6 + 1);
    store.close().unwrap();
    let again = Version::<Vector>::from_blocks(root, blocks).unwrap();
    assert_eq!(all(&again), (0..200).map(text).collect::<Vec<_>>());
    let broken = Version::<Vector>::from_blocks(Block::raw(*b"x").bytes.to_vec(), Vec::new());
    assert!(broken.is_err());
}
