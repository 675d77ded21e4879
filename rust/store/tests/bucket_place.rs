//! Whose a place in a bucket is: two that take it at once, one inside of another, and one that is not ours any more.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod bucket;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use bucket::*;
use treering_block::Cid;
use treering_store::faults::{Asked, Request, SimulatedBucket};
use treering_store::{EmbeddedStore, GcOptions, OpenOptions, Store, StoreError};

fn refusal(path: &Path, options: &OpenOptions) -> String {
    match EmbeddedStore::open(path, options) {
        Err(error @ StoreError::Invalid { what: "blobs", .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

/// Makes two stores on the bucket: the second one whole before, or behind, request `number` of the first.
fn make_two(bucket: &Arc<SimulatedBucket>, number: u64, behind: bool) -> (Made, Made, bool) {
    let homes = (directory(), directory());
    let second = Arc::new(Mutex::new(None));
    let (path, made) = (homes.1.path().to_owned(), Arc::clone(&second));
    let to = Arc::downgrade(bucket);
    let asked = AtomicU64::new(0);
    let hook = move |_: &Asked| {
        let mine = asked.fetch_add(1, SeqCst);
        if mine == number {
            let bucket = to.upgrade().unwrap();
            let store = EmbeddedStore::open(&path, &options(&bucket));
            if let Ok(store) = &store {
                send(store, "film", &bytes(2, 300_000)).unwrap();
            }
            *made.lock().unwrap() = Some(store);
        }
    };
    if behind {
        bucket.after(hook);
    } else {
        bucket.before(hook);
    }
    let first = EmbeddedStore::open(homes.0.path(), &options(bucket));
    bucket.before(|_| {});
    bucket.after(|_| {});
    let second = second.lock().unwrap().take();
    let ran = second.is_some();
    let second = second.unwrap_or_else(|| EmbeddedStore::open(homes.1.path(), &options(bucket)));
    ((homes.0, first), (homes.1, second), ran)
}

/// Who was refused finds out how to go on, whatever he tries, and can.
fn expect_a_way_out(bucket: &Arc<SimulatedBucket>, path: &Path) {
    let other = SimulatedBucket::new("s3://other/place");
    if path.join("store.db").exists() {
        for bucket in [&other, bucket] {
            match EmbeddedStore::open(path, &options(bucket)) {
                // Both were refused, and nobody has the place.
                Ok(_) => return,
                Err(error) => assert!(
                    error.to_string().contains("remove the store's directory"),
                    "{error}"
                ),
            }
        }
        std::fs::remove_dir_all(path).unwrap();
    }
    EmbeddedStore::open(path, &options(&other)).unwrap();
}

type Made = (tempfile::TempDir, Result<EmbeddedStore, StoreError>);

#[test]
fn of_two_that_are_made_at_once_one_has_the_place_whatever_the_server_can() {
    for conditional in [true, false] {
        let mut number = 0;
        loop {
            let mut ended = false;
            for behind in [false, true] {
                let bucket = match conditional {
                    true => SimulatedBucket::new(URL),
                    false => SimulatedBucket::unconditional(URL),
                };
                let what = format!("conditional: {conditional}, {number}, behind: {behind}");
                let (first, second, ran) = make_two(&bucket, number, behind);
                ended = !ran;
                let had = first.1.is_ok();
                assert!(!(had && second.1.is_ok()), "{what}: both have it");
                for (path, made) in [&first, &second] {
                    match made {
                        Ok(store) => {
                            send(store, "one", &bytes(3, 300_000)).unwrap();
                            store.gc(&GcOptions::default()).unwrap();
                            drop(uploaded(store, &bytes(4, 300_000)).unwrap());
                            assert_sound(store);
                        }
                        Err(StoreError::Invalid { what: "blobs", .. }) => {}
                        Err(error) => panic!("{what}: {error} at {}", path.path().display()),
                    }
                }
                let refused = [first, second].into_iter();
                for (path, made) in refused.filter(|(_, made)| made.is_err()) {
                    drop(made);
                    expect_a_way_out(&bucket, path.path());
                }
                // It can be taken by who was refused, or by nobody; nothing is left of the making.
                let left: Vec<String> = objects(&bucket)
                    .into_iter()
                    .filter(|name| name.starts_with("making/"))
                    .collect();
                assert_eq!(left, [""; 0], "{what}");
            }
            if ended {
                break;
            }
            number += 1;
        }
        assert!(number > 5, "{number}");
    }
}

#[test]
fn nothing_is_collected_in_a_place_that_is_not_ours_any_more() {
    for marker in [Some("owner 0123"), None] {
        let (_home, bucket, store) = new();
        send(&store, "film", &bytes(1, 300_000)).unwrap();
        let name = object_of(&bucket, &Cid::of_raw(&bytes(1, 300_000)))[0].clone();
        let stray = name.replace(&name[70..], &name[70..].chars().rev().collect::<String>());
        assert_ne!(name, stray);
        bucket.change(|contents| {
            let bytes = contents.objects[&name].clone();
            contents.objects.insert(stray.clone(), bytes);
            match marker {
                Some(text) => contents
                    .objects
                    .insert("treering".into(), text.as_bytes().into()),
                None => contents.objects.remove("treering"),
            };
        });
        bucket.forget();
        let refused = store.gc(&GcOptions::default()).unwrap_err();
        assert!(
            matches!(
                refused,
                StoreError::Invalid { .. } | StoreError::Corrupt { .. }
            ),
            "{refused}"
        );
        assert!(refused.to_string().contains(URL), "{refused}");
        assert_eq!(bucket.count(Request::Remove), 0);
        assert!(bucket.contents().objects.contains_key(&stray));
        // What it has stored itself can be read.
        assert_eq!(
            &*store.get(&Cid::of_raw(&bytes(1, 300_000))).unwrap(),
            bytes(1, 300_000)
        );
    }
}

#[test]
fn a_place_inside_of_another_is_refused_by_name() {
    let top = SimulatedBucket::new("sim://bucket");
    let outer = SimulatedBucket::below(&top, "agents");
    let inner = SimulatedBucket::below(&SimulatedBucket::below(&outer, "a"), "b");
    let beside = SimulatedBucket::below(&top, "beside");
    let home = directory();
    let store = open(home.path(), &outer);
    let path = directory();
    let refused = refusal(path.path(), &options(&inner));
    assert!(
        refused.contains("in sim://bucket/agents, ") && refused.contains("store"),
        "{refused}"
    );
    assert!(!path.path().join("store.db").exists(), "nothing was made");
    let backup = home.path().join("staging");
    let refused = store
        .backup_to_bucket(&*inner, &backup, &Default::default(), &Default::default())
        .unwrap_err();
    assert!(
        refused.to_string().contains("in sim://bucket/agents, "),
        "{refused}"
    );
    assert_eq!(objects(&inner).len(), 0);
    let elsewhere = directory();
    drop(open(elsewhere.path(), &beside));
    // Nor in a backup.
    let outer = SimulatedBucket::below(&top, "bak");
    let staging = directory();
    let made = store.backup_to_bucket(
        &*outer,
        staging.path(),
        &Default::default(),
        &Default::default(),
    );
    made.unwrap();
    let inner = SimulatedBucket::below(&outer, "b");
    let refused = refusal(path.path(), &options(&inner));
    assert!(
        refused.contains("in sim://bucket/bak, ") && refused.contains("backup"),
        "{refused}"
    );
    // Credentials that may not look above say nothing against it.
    outer.go_down();
    drop(open(path.path(), &inner));
}
