//! A bucket that does not answer: what it is asked all the same, and what needs no answer.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod bucket;

use std::sync::{Arc, Mutex};

use bucket::*;
use treering_store::faults::Request;
use treering_store::{Address, Command, Commit, GcOptions, Store, StoreError};

#[test]
fn a_collection_asks_once_for_the_dead_and_once_for_strays() {
    let (_home, bucket, store) = new();
    // More than goes in one small transaction.
    let parts: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    for (seed, part) in (0..).zip(&parts) {
        store
            .submit(put(part, bytes(seed, 262_144)))
            .wait()
            .unwrap();
    }
    let moves = parts.iter().flat_map(|part| drop_ref(part).moves).collect();
    let commit = Commit {
        moves,
        ..drop_ref("0")
    };
    store.submit(commit).wait().unwrap();
    bucket.forget();
    bucket.go_down();
    let report = store.gc(&GcOptions::default()).unwrap();
    assert_eq!((report.deleted, report.kept_files), (100, 100));
    let why = report.kept_because.unwrap();
    assert!(why.contains("bucket"), "{why}");
    // Each of them is waited for until it is given up.
    assert_eq!(
        (bucket.count(Request::Remove), bucket.asked().len()),
        (1, 2),
        "{:?}",
        bucket.asked()
    );
    assert_eq!(objects(&bucket).len(), 100);
    bucket.go_up();
    let report = store.gc(&GcOptions::default()).unwrap();
    assert_eq!((report.kept_files, report.kept_because), (0, None));
    assert!(objects(&bucket).is_empty());
    assert_sound(&store);
}

#[test]
fn a_command_that_was_answered_is_answered_again_though_its_upload_was_not_sent() {
    let (_home, bucket, store) = new();
    let store = Arc::new(store);
    let command = |payload: u8| Command {
        address: Address::Scope("main".into()),
        id: "once".into(),
        payload: [payload; 32],
        receipt: vec![0xa0],
    };
    let commit = |payload| Commit {
        scope: "main".into(),
        moves: vec![],
        uploads: (1..3)
            .map(|seed| uploaded(&*store, &bytes(seed, MIB)).unwrap())
            .collect(),
        command: Some(command(payload)),
        ..Commit::default()
    };
    let mut first = commit(1);
    let cids: Vec<_> = first.uploads.iter().map(|upload| upload.cid()).collect();
    first.moves = vec![set("a", cids[0]), set("b", cids[1])];
    store.submit(first).wait().unwrap();
    for payload in [1, 2] {
        // Both are there when they come, so that neither is sent. When they are looked for, one is garbage and the other is
        // gone; when the commit is judged, the first is gone, too.
        send(&*store, "a", &bytes(1, MIB)).unwrap();
        send(&*store, "b", &bytes(2, MIB)).unwrap();
        let mut again = commit(payload);
        again.moves = vec![set("a", cids[0]), set("b", cids[1])];
        store.submit(drop_ref("b")).wait().unwrap();
        store.gc(&GcOptions::default()).unwrap();
        store.submit(drop_ref("a")).wait().unwrap();
        let collector = Mutex::new(Some(Arc::clone(&store)));
        let collected = Arc::new(Mutex::new(0));
        let seen = Arc::clone(&collected);
        bucket.before(move |asked| {
            if asked.request == Request::Put
                && let Some(store) = collector.lock().unwrap().take()
            {
                *seen.lock().unwrap() = store.gc(&GcOptions::default()).unwrap().deleted;
            }
        });
        let answer = store.submit(again).wait();
        bucket.before(|_| {});
        assert_eq!(*collected.lock().unwrap(), 1);
        match payload {
            1 => assert_eq!(answer.unwrap().replay, Some(vec![0xa0])),
            _ => assert!(
                matches!(answer, Err(StoreError::CommandMismatch { .. })),
                "{answer:?}"
            ),
        }
    }
    // What was sent for nothing is removed.
    store.close().unwrap();
    assert!(objects(&bucket).is_empty());
}

/// Where no file can be made, whoever asks.
#[cfg(target_os = "linux")]
const NOT_WRITABLE: &str = "/sys/fs";

#[cfg(target_os = "linux")]
#[test]
fn who_may_not_mark_what_he_reads_is_told_that_it_was_collected() {
    let (home, bucket, store) = new();
    if !std::path::Path::new(NOT_WRITABLE).is_dir() {
        return;
    }
    let marks = home.path().join("blobs/reading");
    drop(std::fs::remove_dir_all(&marks));
    std::fs::create_dir_all(home.path().join("blobs")).unwrap();
    std::os::unix::fs::symlink(NOT_WRITABLE, &marks).unwrap();
    for is_collected in [true, false] {
        let cid = send(&store, "a", &bytes(1, LARGE)).unwrap();
        let reader = store.reader(&cid).unwrap();
        reader.read_at(0, 10).unwrap();
        if is_collected {
            store.submit(drop_ref("a")).wait().unwrap();
            store.gc(&GcOptions::default()).unwrap();
        } else {
            let name = object_of(&bucket, &cid).remove(0);
            bucket.change(|contents| drop(contents.objects.remove(&name)));
        }
        assert!(objects(&bucket).is_empty());
        let error = reader.read_at(15 << 20, 10).unwrap_err();
        match error {
            StoreError::Invalid { rule, .. } if is_collected => {
                assert!(rule.contains("run it again"), "{rule}");
            }
            StoreError::Corrupt { .. } if !is_collected => {}
            other => panic!("{other}"),
        }
    }
}
