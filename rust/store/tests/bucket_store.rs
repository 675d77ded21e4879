//! A store whose large blocks are in a bucket: whose it is, what it costs, and what it does when the bucket fails.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod bucket;

use std::fs;
use std::sync::Arc;

use bucket::*;
use treering_block::{Block, Cid};
use treering_store::faults::{Mishap, Request, SimulatedBucket};
use treering_store::{
    Commit, Decide, Decided, EmbeddedStore, GcOptions, OpenOptions, Store, StoreError, View,
};

fn refusal(path: &std::path::Path, options: &OpenOptions) -> String {
    match EmbeddedStore::open(path, options) {
        Err(error @ StoreError::Invalid { what: "blobs", .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

// Whose place it is.

#[test]
fn it_is_opened_where_it_was_made() {
    let (home, bucket, store) = new();
    store.submit(put("one", bytes(1, 300_000))).wait().unwrap();
    let second = open(home.path(), &bucket);
    drop((store, second));
    let refused = refusal(home.path(), &OpenOptions::default());
    assert!(refused.contains(URL), "{refused}");
    let other = SimulatedBucket::new("sim://other");
    let refused = refusal(home.path(), &options(&other));
    assert!(
        refused.contains(URL) && refused.contains("sim://other"),
        "{refused}"
    );
    assert_eq!(other.asked(), [], "nothing is asked of it");
    let reading = OpenOptions {
        read_only: true,
        ..OpenOptions::default()
    };
    refusal(home.path(), &reading);
    // While it is open with the right one, too.
    let _store = open(home.path(), &bucket);
    refusal(home.path(), &OpenOptions::default());
    refusal(home.path(), &options(&other));
    let reading = OpenOptions {
        read_only: true,
        ..options(&bucket)
    };
    let reader = EmbeddedStore::open(home.path(), &reading).unwrap();
    assert_eq!(
        &*reader.get(&Cid::of_raw(&bytes(1, 300_000))).unwrap(),
        &bytes(1, 300_000)[..]
    );
}

#[test]
fn one_without_a_bucket_takes_none() {
    let home = directory();
    drop(EmbeddedStore::open(home.path(), &OpenOptions::default()).unwrap());
    let bucket = SimulatedBucket::new(URL);
    let refused = refusal(home.path(), &options(&bucket));
    assert!(refused.contains("in its directory"), "{refused}");
    assert_eq!(bucket.contents().objects.len(), 0);
}

#[test]
fn the_header_tells_older_versions() {
    let format = |path: &std::path::Path| {
        let header = fs::read(path.join("store.db")).unwrap();
        u32::from_be_bytes(header[60..64].try_into().unwrap())
    };
    let (home, _bucket, store) = new();
    drop(store);
    assert_eq!(format(home.path()), 2);
    let plain = directory();
    drop(EmbeddedStore::open(plain.path(), &OpenOptions::default()).unwrap());
    assert_eq!(format(plain.path()), 1);
}

#[test]
fn a_second_store_on_the_place_is_refused() {
    let (home, bucket, store) = new();
    store.submit(put("one", bytes(1, 300_000))).wait().unwrap();
    let before = bucket.contents();
    let other = directory();
    let path = other.path().join("other");
    let refused = refusal(&path, &options(&bucket));
    assert!(
        refused.contains("keeps its large blocks there"),
        "{refused}"
    );
    assert!(!path.exists(), "nothing is made");
    // Made before the marker was there, as two at once might be.
    let empty = SimulatedBucket::new(URL);
    drop(open(&path, &empty));
    refusal(&path, &options(&bucket));
    assert_eq!(bucket.contents(), before);
    drop(store);
    assert_sound(&open(home.path(), &bucket));
}

#[test]
fn a_place_with_other_objects_is_refused() {
    let home = directory();
    let bucket = SimulatedBucket::new(URL);
    bucket.change(|contents| {
        contents
            .objects
            .insert("holiday.jpg".into(), Arc::from(&b"sea"[..]));
    });
    let refused = refusal(&home.path().join("store"), &options(&bucket));
    assert!(refused.contains("holiday.jpg"), "{refused}");
    assert!(!home.path().join("store").exists());
    assert_eq!(bucket.contents().objects.len(), 1);
}

#[test]
fn whatever_stops_the_making_it_goes_on() {
    // Requests: is it free (2), whose is it, is it empty, create.
    for number in 0..7 {
        for mishap in [Mishap::Refused, Mishap::Lost] {
            let home = directory();
            let bucket = SimulatedBucket::new(URL);
            bucket.plan(number, 1, mishap);
            if let Ok(store) = EmbeddedStore::open(home.path(), &options(&bucket)) {
                let put = store.submit(put("one", bytes(1, 300_000))).wait();
                assert!(put.is_ok() || number > 2, "{number} {mishap:?}");
            }
            bucket.forget();
            let store = open(home.path(), &bucket);
            store.submit(put("two", bytes(2, 300_000))).wait().unwrap();
            assert_sound(&store);
        }
    }
}

#[test]
fn a_marker_that_is_gone_is_told_of() {
    let (home, bucket, store) = new();
    drop(store);
    let marker = bucket.contents().objects["treering"].clone();
    bucket.change(|contents| contents.objects.clear());
    let error = EmbeddedStore::open(home.path(), &options(&bucket)).unwrap_err();
    assert!(
        matches!(&error, StoreError::Corrupt { what: "bucket", which, .. } if which == URL),
        "{error}"
    );
    let quoted = format!("{:?}", String::from_utf8_lossy(&marker));
    assert!(error.to_string().contains(&quoted), "{error}");
    bucket.change(|contents| {
        contents.objects.insert("treering".into(), marker);
    });
    assert_sound(&open(home.path(), &bucket));
}

// What it costs.

#[test]
fn only_large_blocks_without_links_are_sent() {
    let (home, bucket, store) = new();
    store
        .submit(put("small", bytes(1, 262_143)))
        .wait()
        .unwrap();
    let mut out = treering_block::Writer::new();
    out.bytes(&bytes(2, 500_000)).unwrap();
    let node = Block::from_encoded(out.finish().unwrap()).unwrap();
    let commit = Commit {
        scope: "main".into(),
        moves: vec![set("node", node.cid)],
        blocks: vec![node.clone()],
        ..Commit::default()
    };
    store.submit(commit).wait().unwrap();
    assert_eq!(&*store.get(&node.cid).unwrap(), &node.bytes[..]);
    assert_eq!(bucket.asked(), [], "rows cost no request");
    store
        .submit(put("large", bytes(1, 262_144)))
        .wait()
        .unwrap();
    assert_eq!(bucket.asked().len(), 1);
    assert_eq!(bucket.count(Request::Put), 1);
    assert_eq!(objects(&bucket).len(), 1);
    for folder in ["uploads", "sending", "reading"] {
        assert_eq!(files(home.path(), folder), [""; 0], "{folder}");
    }
    assert_sound(&store);
}

/// Stores a block when it is asked.
#[derive(Debug)]
struct Late(Block);

impl Decide for Late {
    fn decide(&self, _: &mut dyn View, _: i64) -> treering_store::Result<Decided> {
        Ok(Decided {
            blocks: vec![self.0.clone()],
            moves: vec![set("late", self.0.cid)],
            ..Decided::default()
        })
    }
}

#[test]
fn what_is_decided_under_the_lock_stands_in_its_row() {
    let (_home, bucket, store) = new();
    let block = Block::raw(bytes(1, 500_000));
    let commit = Commit {
        scope: "main".into(),
        decide: Some(Arc::new(Late(block.clone()))),
        ..Commit::default()
    };
    store.submit(commit).wait().unwrap();
    assert_eq!(&*store.get(&block.cid).unwrap(), &block.bytes[..]);
    // There is no second copy of it.
    send(&store, "again", &block.bytes).unwrap();
    store
        .submit(put("again", block.bytes.to_vec()))
        .wait()
        .unwrap();
    assert_eq!(bucket.asked(), []);
    assert_eq!(
        store.reader(&block.cid).unwrap().read_at(5, 5).unwrap(),
        block.bytes[5..10]
    );
    assert_sound(&store);
    store.submit(drop_ref("late")).wait().unwrap();
    store.submit(drop_ref("again")).wait().unwrap();
    store.gc(&GcOptions::default()).unwrap();
    assert_eq!(store.stats().unwrap().blocks, 0);
}

#[test]
fn an_object_is_its_bytes_and_what_proves_them() {
    let (_home, bucket, store) = new();
    for (size, more) in [
        (MIB, 0),
        (MIB + 1, 64),
        (8 * MIB - 256, 256),
        (8 * MIB, 256),
        (LARGE, 21 * 32),
    ] {
        let content = bytes(size as u64, size);
        let cid = send(&store, &size.to_string(), &content).unwrap();
        let names = object_of(&bucket, &cid);
        assert_eq!(names.len(), 1);
        let object = bucket.contents().objects[&names[0]].clone();
        assert_eq!(object.len(), size + more, "{size}");
        assert_eq!(object[..size], content[..]);
        assert_eq!(&*store.get(&cid).unwrap(), &content[..]);
    }
    // One request up to 8 MiB, all told; parts above.
    assert_eq!(bucket.count(Request::Put), 3);
    assert_eq!(bucket.count(Request::Begin), 2);
    assert_eq!(bucket.count(Request::PutPart), 2 + 3);
    assert_sound(&store);
}

#[test]
fn a_range_costs_two_requests() {
    let (_home, bucket, store) = new();
    let content = bytes(1, LARGE);
    let large = send(&store, "one", &content).unwrap();
    let single = send(&store, "two", &content[..MIB]).unwrap();
    for (cid, offset, length, requests) in [
        (large, 3 * MIB + 5, 10, 2),
        (large, 3 * MIB - 5, 10, 2),
        (large, LARGE - 3, 10, 2),
        (large, 5, 7 * MIB, 2),
        (large, 0, 9 * MIB, 3),
        (single, 1000, 10, 1),
        (single, 1000, 0, 0),
    ] {
        bucket.forget();
        let reader = store.reader(&cid).unwrap();
        let end = (offset + length).min(LARGE);
        let read = reader.read_at(offset as u64, length as u64).unwrap();
        assert_eq!(read, content[offset..end]);
        assert_eq!(
            bucket.asked().len(),
            requests,
            "{offset} {length}: {:?}",
            bucket.asked()
        );
        // What is in memory costs nothing.
        reader.read_at(offset as u64, length.min(1) as u64).unwrap();
        if length < 8 * MIB {
            assert_eq!(bucket.asked().len(), requests);
        }
    }
}

#[test]
fn reading_on_costs_a_request_for_8_mib() {
    let (_home, bucket, store) = new();
    let content = bytes(1, LARGE);
    let cid = send(&store, "one", &content).unwrap();
    bucket.forget();
    let reader = store.reader(&cid).unwrap();
    let mut read = Vec::new();
    while read.len() < LARGE {
        read.extend(reader.read_at(read.len() as u64, 100_000).unwrap());
    }
    assert!(read == content);
    // The values, 1 MiB, and 8 MiB three times.
    assert_eq!(bucket.asked().len(), 5, "{:?}", bucket.asked());
    assert!(bucket.asked().iter().all(|asked| asked.bytes <= 8 << 20));
    bucket.forget();
    store.get(&cid).unwrap();
    assert_eq!(bucket.asked().len(), 4);
}

// What it does when the bucket fails.

#[test]
fn wrong_bytes_are_read_again_and_never_given() {
    let (_home, bucket, store) = new();
    let content = bytes(1, 3 * MIB);
    let cid = send(&store, "one", &content).unwrap();
    let name = object_of(&bucket, &cid).remove(0);
    for mishap in [Mishap::Wrong, Mishap::Short] {
        // The values, the piece; each once, each twice.
        for (number, count, whole) in [(0, 1, true), (1, 1, true), (0, 2, false), (1, 2, false)] {
            bucket.forget();
            bucket.plan(number, count, mishap);
            let read = store.reader(&cid).unwrap().read_at(5, 10);
            if whole {
                assert_eq!(read.unwrap(), content[5..15]);
                assert_eq!(bucket.asked().len(), 3);
                continue;
            }
            let error = read.unwrap_err();
            assert!(
                matches!(error, StoreError::Corrupt { what: "block", .. }),
                "{error}"
            );
            let text = error.to_string();
            assert!(text.contains(&name) && text.contains(URL), "{text}");
        }
    }
    bucket.forget();
    // For good: verify finds it, all the rest is read.
    bucket.change(|contents| {
        let mut spoiled = contents.objects[&name].to_vec();
        spoiled[2 * MIB + 9] ^= 4;
        contents.objects.insert(name.clone(), spoiled.into());
    });
    let reader = store.reader(&cid).unwrap();
    assert_eq!(reader.read_at(0, 2 << 20).unwrap(), content[..2 * MIB]);
    assert!(matches!(
        reader.read_at(2 << 20, 1),
        Err(StoreError::Corrupt { .. })
    ));
    assert!(matches!(store.get(&cid), Err(StoreError::Corrupt { .. })));
    let report = store.verify(None).unwrap();
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
}

#[test]
fn a_bucket_that_does_not_answer_is_no_damage() {
    let (_home, bucket, store) = new();
    for number in 0..5 {
        send(&store, &format!("{number}"), &bytes(number, MIB)).unwrap();
    }
    bucket.forget();
    store.verify(None).unwrap();
    let (whole, sound) = (bucket.asked().len(), store.verify(None).unwrap());
    assert_eq!(sound.findings, []);
    for ask in [
        |store: &dyn Store| store.verify(None).map(drop),
        |store: &dyn Store| store.repair().map(drop),
    ] {
        bucket.forget();
        bucket.go_down();
        let away = ask(&store).unwrap_err();
        assert!(matches!(away, StoreError::Bucket { .. }), "{away}");
        // One block is looked for, and not the four others.
        assert!(bucket.asked().len() <= 2, "{:?}", bucket.asked());
        bucket.go_up();
    }
    bucket.forget();
    assert_eq!(store.verify(None).unwrap(), sound);
    assert_eq!(bucket.asked().len(), whole);
}

#[test]
fn an_object_that_is_gone_is_corruption_and_putting_it_again_mends_it() {
    for upload in [false, true] {
        let (_home, bucket, store) = new();
        let content = bytes(1, 3 * MIB);
        let cid = send(&store, "one", &content).unwrap();
        let name = object_of(&bucket, &cid).remove(0);
        for damage in ["gone", "short"] {
            bucket.change(|contents| {
                let before = contents.objects.remove(&name);
                if let (Some(before), "short") = (before, damage) {
                    contents.objects.insert(name.clone(), before[..100].into());
                }
            });
            let error = store.get(&cid).unwrap_err();
            assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
            assert!(!store.verify(None).unwrap().findings.is_empty());
        }
        if upload {
            send(&store, "two", &content).unwrap();
        } else {
            store.submit(put("two", content.clone())).wait().unwrap();
        }
        assert_eq!(&*store.get(&cid).unwrap(), &content[..]);
        assert_sound(&store);
        store.gc(&GcOptions::default()).unwrap();
        assert_eq!(objects(&bucket).len(), 1);
    }
}

#[test]
fn what_proves_ranges_is_made_anew_of_sound_bytes() {
    let (_home, bucket, store) = new();
    let content = bytes(1, LARGE);
    let cid = send(&store, "one", &content).unwrap();
    let name = object_of(&bucket, &cid).remove(0);
    bucket.change(|contents| {
        let mut spoiled = contents.objects[&name].to_vec();
        *spoiled.last_mut().unwrap() ^= 4;
        contents.objects.insert(name.clone(), spoiled.into());
    });
    assert_eq!(store.verify(None).unwrap().findings.len(), 1);
    let report = store.repair().unwrap();
    assert_eq!(report.repairs.len(), 1, "{report:?}");
    assert_sound(&store);
    assert_eq!(
        store.reader(&cid).unwrap().read_at(9 << 20, 9).unwrap(),
        content[9 * MIB..][..9]
    );
    store.gc(&GcOptions::default()).unwrap();
    assert_eq!(objects(&bucket).len(), 1);
    assert!(!objects(&bucket).contains(&name));
}

#[test]
fn a_bucket_that_is_down_stops_large_blocks_alone() {
    let (home, bucket, store) = new();
    let content = bytes(1, 300_000);
    let cid = send(&store, "one", &content).unwrap();
    bucket.go_down();
    store.submit(put("small", bytes(2, 1000))).wait().unwrap();
    store.get(&Cid::of_raw(&bytes(2, 1000))).unwrap();
    assert!(is_bucket_error(&store.get(&cid)));
    assert!(is_bucket_error(&store.reader(&cid).unwrap().read_at(0, 1)));
    assert!(is_bucket_error(
        &store.submit(put("large", bytes(3, 300_000))).wait()
    ));
    assert!(is_bucket_error(&send(&store, "large", &bytes(3, 20 * MIB))));
    assert_eq!(store.read_ref(&name("large")).unwrap(), None);
    // A block that is there is there.
    store.submit(put("again", content.clone())).wait().unwrap();
    store.submit(drop_ref("small")).wait().unwrap();
    store.gc(&GcOptions::default()).unwrap();
    drop(store);
    // Opened all the same.
    let store = open(home.path(), &bucket);
    store.submit(put("small", bytes(2, 1000))).wait().unwrap();
    assert!(is_bucket_error(&store.get(&cid)));
    bucket.go_up();
    assert_eq!(&*store.get(&cid).unwrap(), &content[..]);
    send(&store, "large", &bytes(3, 20 * MIB)).unwrap();
    assert_sound(&store);
    store.gc(&GcOptions::default()).unwrap();
    assert_eq!(objects(&bucket).len(), 2);
    assert!(bucket.contents().uploads.is_empty());
}

#[test]
fn a_place_that_is_not_ours_is_found_before_it_is_used() {
    let (home, bucket, store) = new();
    drop(store);
    bucket.go_down();
    let store = open(home.path(), &bucket);
    bucket.change(|contents| {
        contents
            .objects
            .insert("treering".into(), Arc::from(&b"store X\nowner 0\n"[..]));
    });
    bucket.go_up();
    let before = bucket.contents();
    let refused = store
        .submit(put("one", bytes(1, 300_000)))
        .wait()
        .unwrap_err();
    assert!(
        matches!(refused, StoreError::Invalid { what: "blobs", .. }),
        "{refused}"
    );
    assert_eq!(bucket.contents(), before);
}

#[test]
fn bytes_that_are_put_again_and_can_not_be_sent_stand_in_the_row() {
    let (home, bucket, store) = new();
    let content = bytes(1, 300_000);
    let block = Block::raw(content.clone());
    let cid = block.cid;
    store.submit(put("one", content.clone())).wait().unwrap();
    let name = object_of(&bucket, &cid)[0].clone();
    bucket.change(|contents| drop(contents.objects.remove(&name)));
    // One finds out that the object is gone, and can't send another.
    bucket.fail(Request::Put, Mishap::Refused);
    let refused = store.submit(put("two", content.clone())).wait();
    assert!(is_bucket_error(&refused));
    // And one brings the bytes under the lock, where nothing is sent.
    let commit = Commit {
        scope: "main".into(),
        decide: Some(Arc::new(Late(block))),
        ..Commit::default()
    };
    store.submit(commit).wait().unwrap();
    bucket.go_up();
    assert_eq!(&*store.get(&cid).unwrap(), content);
    assert_sound(&store);
    drop(store);
    let store = open(home.path(), &bucket);
    assert_eq!(&*store.get(&cid).unwrap(), content);
    assert_sound(&store);
}
