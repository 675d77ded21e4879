//! Backups of a store whose large blocks are in a bucket, and restoring into one.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod bucket;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bucket::*;
use treering_block::{Block, Cid};
use treering_store::faults::{Mishap, Request, SimulatedBucket};
use treering_store::{
    BackupOptions, Commit, EmbeddedStore, EraseOptions, GcOptions, OpenOptions, Progress, RefName,
    Store, StoreError, restore, restore_erased,
};

fn backup(store: &EmbeddedStore, to: &Path) -> Result<treering_store::BackupReport, StoreError> {
    store.backup(to, &BackupOptions::default(), &Progress::default())
}

fn assert_holds(store: &EmbeddedStore, contents: &[Vec<u8>]) {
    let report = store.verify(None).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    for content in contents {
        let bytes = store.get(&Cid::of_raw(content)).unwrap();
        assert!(*bytes == content[..]);
    }
}

#[test]
fn a_backup_is_whole_without_the_bucket() {
    let home = directory();
    let bucket = SimulatedBucket::new(URL);
    let store = open(&home.path().join("store"), &bucket);
    let mut contents = vec![bytes(1, 300_000), bytes(2, LARGE)];
    for (number, content) in contents.iter().enumerate() {
        send(&store, &number.to_string(), content).unwrap();
    }
    let to = home.path().join("backup");
    // The bucket fails half-way: there is no backup, and the next one is.
    bucket.forget();
    bucket.plan(2, u64::MAX, Mishap::Refused);
    assert!(is_bucket_error(&backup(&store, &to)));
    assert!(EmbeddedStore::open(&to, &OpenOptions::default()).is_err());
    bucket.go_up();
    assert_eq!(backup(&store, &to).unwrap().files, 2);
    assert_holds(
        &EmbeddedStore::open(&to, &OpenOptions::default()).unwrap(),
        &contents,
    );
    // Brought up to date: what is new is read, and nothing else.
    contents.push(bytes(3, 2 << 20));
    send(&store, "2", &contents[2]).unwrap();
    bucket.forget();
    assert_eq!(backup(&store, &to).unwrap().files, 1);
    assert!(bucket.asked().len() <= 4, "{:?}", bucket.asked());
    assert_holds(
        &EmbeddedStore::open(&to, &OpenOptions::default()).unwrap(),
        &contents,
    );
    // Damage is not copied.
    let cid = send(&store, "3", &bytes(4, 2 << 20)).unwrap();
    let name = object_of(&bucket, &cid).remove(0);
    bucket.change(|contents| {
        let mut spoiled = contents.objects[&name].to_vec();
        spoiled[9] ^= 1;
        contents.objects.insert(name, spoiled.into());
    });
    let refused = backup(&store, &to).unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused}");
    drop((store, bucket));
    // Into a directory, with nothing elsewhere.
    let restored = home.path().join("restored");
    let options = OpenOptions::default();
    restore(&to, &restored, &options, &Progress::default()).unwrap();
    let store = EmbeddedStore::open(&restored, &options).unwrap();
    assert_holds(&store, &contents);
    store.submit(put("more", bytes(9, 300_000))).wait().unwrap();
}

#[test]
fn a_store_is_restored_into_a_bucket() {
    let home = directory();
    let contents = [bytes(1, 300_000), bytes(2, LARGE), bytes(3, 9 << 20)];
    let to = home.path().join("backup");
    let store = EmbeddedStore::open(home.path().join("store"), &OpenOptions::default()).unwrap();
    for (number, content) in contents.iter().enumerate() {
        send(&store, &number.to_string(), content).unwrap();
    }
    backup(&store, &to).unwrap();
    let whole = SimulatedBucket::new(URL);
    let path = home.path().join("whole");
    restore(&to, &path, &options(&whole), &Progress::default()).unwrap();
    let requests = whole.asked().len() as u64;
    let restored = open(&path, &whole);
    assert_holds(&restored, &contents);
    assert_eq!(objects(&whole).len(), 3);
    assert_eq!(files(&path, "sending"), [""; 0]);
    assert_eq!(restored.stats().unwrap().blob_files, 3);
    send(&restored, "more", &bytes(9, 300_000)).unwrap();
    drop(restored);
    // Another one there is refused, and nothing is changed.
    let before = whole.contents();
    let refused = restore(
        &to,
        home.path().join("x"),
        &options(&whole),
        &Progress::default(),
    );
    assert!(
        matches!(refused, Err(StoreError::Invalid { what: "blobs", .. })),
        "{refused:?}"
    );
    assert_eq!(whole.contents(), before);
    // Whatever stops it: it is no store yet, and the next one goes on.
    for number in 0..requests {
        let bucket = SimulatedBucket::new(URL);
        let path = home.path().join(number.to_string());
        bucket.plan(number, 1, Mishap::Lost);
        if restore(&to, &path, &options(&bucket), &Progress::default()).is_err() {
            assert!(
                EmbeddedStore::open(&path, &options(&bucket)).is_err(),
                "{number}"
            );
            restore(&to, &path, &options(&bucket), &Progress::default()).unwrap();
        }
        let store = open(&path, &bucket);
        for content in &contents {
            assert!(*store.get(&Cid::of_raw(content)).unwrap() == content[..]);
        }
        store.gc(&GcOptions::default()).unwrap();
        assert_eq!(objects(&bucket).len(), 3, "{number}");
        drop(store);
        fs::remove_dir_all(&path).unwrap();
    }
    drop(Arc::clone(&whole));
}

/// Of a scope that was erased since the backup was made, and of one that was erased before and not collected.
#[test]
fn what_is_left_out_never_goes_to_the_bucket() {
    for before in [false, true] {
        let home = directory();
        let to = home.path().join("backup");
        let store =
            EmbeddedStore::open(home.path().join("store"), &OpenOptions::default()).unwrap();
        let (gone, kept) = (bytes(1, 300_000), bytes(2, 300_000));
        send(&store, "0", &gone).unwrap();
        let mut other = put("1", kept.clone());
        other.scope = "other".into();
        other.moves[0].name = RefName::new("other", "thread", ["1"]).unwrap();
        store.submit(other).wait().unwrap();
        if !before {
            backup(&store, &to).unwrap();
        }
        store.erase("main", &EraseOptions::default()).unwrap();
        if before {
            backup(&store, &to).unwrap();
        }
        let notes = store.erasures().unwrap();
        let bucket = SimulatedBucket::new(URL);
        let path = home.path().join("restored");
        let options = options(&bucket);
        let report =
            restore_erased(&to, &path, &options, Some(&notes), &Progress::default()).unwrap();
        assert_eq!(report.erased_scopes, u64::from(!before));
        assert_eq!(
            (report.blocks, report.files, report.objects_left),
            (1, 1, 0)
        );
        let hex = |content: &[u8]| blake3::hash(content).to_hex().to_string();
        let asked = |content: &[u8]| {
            let hex = hex(content);
            let asked = bucket.asked();
            asked.iter().any(|asked| asked.name.contains(&hex))
        };
        assert!(asked(&kept) && !asked(&gone), "{before}");
        assert_holds(&open(&path, &bucket), &[kept]);
        assert!(!path.join("treering-restore").exists());
    }
}

#[test]
fn what_was_being_erased_when_the_backup_was_made_never_goes_to_the_bucket() {
    let home = directory();
    let path = home.path().join("restored");
    let to = home.path().join("backup");
    let at_once = OpenOptions {
        lock_wait: Duration::ZERO,
        ..OpenOptions::default()
    };
    let store = EmbeddedStore::open(home.path().join("store"), &at_once).unwrap();
    send(&store, "0", &bytes(1, 300_000)).unwrap();
    let other = fs::File::create(home.path().join("store/erase.lock")).unwrap();
    other.lock().unwrap();
    let begun = store.erase("main", &EraseOptions::default());
    assert!(
        matches!(begun, Err(StoreError::EraseUnfinished { .. })),
        "{begun:?}"
    );
    backup(&store, &to).unwrap();
    let notes = store.erasures().unwrap();
    // The backup's own notes say so, too.
    for notes in [None, Some(&notes)] {
        let _ = fs::remove_dir_all(&path);
        let bucket = SimulatedBucket::new(URL);
        let report =
            restore_erased(&to, &path, &options(&bucket), notes, &Progress::default()).unwrap();
        assert_eq!((report.erased_scopes, report.objects_left), (1, 0));
        let hex = blake3::hash(&bytes(1, 300_000)).to_hex().to_string();
        assert!(!bucket.asked().iter().any(|asked| asked.name.contains(&hex)));
        assert!(!path.join("treering-restore").exists());
        let restored = open(&path, &bucket);
        assert!(restored.scopes().unwrap().is_empty());
        assert_holds(&restored, &[]);
        assert_eq!(restored.vacuum().unwrap().unfinished_erases, 0);
    }
}

/// As a restore leaves it that dies in the middle of its clearing; the bucket removes nothing for a while.
#[test]
fn what_can_not_be_removed_goes_with_a_later_opening() {
    let home = directory();
    let path = home.path().join("restored");
    let marker = path.join("treering-restore");
    let bucket = SimulatedBucket::new(URL);
    let options = OpenOptions {
        create: true,
        ..options(&bucket)
    };
    let store = EmbeddedStore::open(&path, &options).unwrap();
    send(&store, "0", &bytes(1, 300_000)).unwrap();
    bucket.fail(Request::Remove, Mishap::Refused);
    store.erase("main", &EraseOptions::default()).unwrap();
    drop(store);
    fs::write(&marker, "left out, of before 1\n").unwrap();
    let blocks = |bucket: &Arc<SimulatedBucket>| {
        let found = bucket.contents().objects.into_values();
        found.filter(|bytes| bytes.len() == 300_000).count()
    };
    assert_eq!(blocks(&bucket), 1);
    drop(EmbeddedStore::open(&path, &options).unwrap());
    assert!(marker.exists());
    bucket.fail(Request::List, Mishap::Refused);
    drop(EmbeddedStore::open(&path, &options).unwrap());
    assert!(marker.exists());
    bucket.go_up();
    drop(EmbeddedStore::open(&path, &options).unwrap());
    assert_eq!(blocks(&bucket), 0);
    assert!(!marker.exists());
}

/// Notes of what is on its way below a store's `blobs/`: how many there are, and how many of them are locked.
fn notes(path: &Path) -> (usize, usize) {
    let found = files(path, "sending");
    let is_locked = |name: &&String| {
        let opened = fs::File::open(path.join("blobs/sending").join(name));
        opened.is_ok_and(|file| file.try_lock().is_err())
    };
    (found.len(), found.iter().filter(is_locked).count())
}

#[test]
fn restoring_keeps_no_file_open_for_each_block_and_sends_parts_once() {
    let home = directory();
    let small: Vec<Vec<u8>> = (0..40).map(|seed| bytes(seed, 262_144)).collect();
    let large: Vec<Vec<u8>> = (50..53).map(|seed| bytes(seed, 9 << 20)).collect();
    let to = home.path().join("backup");
    let store = EmbeddedStore::open(home.path().join("store"), &OpenOptions::default()).unwrap();
    for (number, content) in large.iter().chain(&small).enumerate() {
        send(&store, &number.to_string(), content).unwrap();
    }
    backup(&store, &to).unwrap();
    let bucket = SimulatedBucket::new(URL);
    let path = home.path().join("restored");
    let most = Arc::new(Mutex::new((0, 0)));
    let (seen, at) = (Arc::clone(&most), path.clone());
    bucket.before(move |_| {
        let (here, locked) = notes(&at);
        let mut most = seen.lock().unwrap();
        *most = (most.0.max(here), most.1.max(locked));
    });
    // The first try is stopped after all that goes in parts.
    bucket.plan(60, u64::MAX, Mishap::Refused);
    let answer = restore(&to, &path, &options(&bucket), &Progress::default());
    assert!(answer.is_err());
    assert_eq!(bucket.count(Request::Complete), 3);
    assert_eq!(notes(&path), (3, 0), "what was sent in parts is noted");
    bucket.go_up();
    bucket.forget();
    restore(&to, &path, &options(&bucket), &Progress::default()).unwrap();
    assert_eq!(
        (bucket.count(Request::Begin), bucket.count(Request::PutPart)),
        (0, 0)
    );
    assert_eq!(*most.lock().unwrap(), (4, 1));
    assert_eq!(notes(&path), (0, 0));
    bucket.before(|_| {});
    assert_eq!(objects(&bucket).len(), 43);
    let store = open(&path, &bucket);
    assert_holds(&store, &large);
    assert_holds(&store, &small);
}

#[test]
fn nodes_are_restored_into_rows() {
    let home = directory();
    let to = home.path().join("backup");
    let store = EmbeddedStore::open(home.path().join("store"), &OpenOptions::default()).unwrap();
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
    send(&store, "file", &bytes(1, 300_000)).unwrap();
    assert_eq!(store.stats().unwrap().blob_files, 2);
    backup(&store, &to).unwrap();
    let bucket = SimulatedBucket::new(URL);
    let path = home.path().join("restored");
    restore(&to, &path, &options(&bucket), &Progress::default()).unwrap();
    assert_eq!(objects(&bucket).len(), 1);
    let store = open(&path, &bucket);
    bucket.forget();
    assert_eq!(&*store.get(&node.cid).unwrap(), &node.bytes[..]);
    assert_eq!(bucket.asked(), []);
    assert_eq!(store.stats().unwrap().blob_files, 1);
    assert_holds(&store, &[bytes(1, 300_000)]);
    // What is damaged is not taken over.
    for file in fs::read_dir(to.join("blobs")).unwrap() {
        for file in fs::read_dir(file.unwrap().path()).unwrap() {
            let file = file.unwrap().path();
            if fs::metadata(&file).unwrap().len() > 500_000 {
                let mut spoiled = fs::read(&file).unwrap();
                spoiled[9] ^= 1;
                fs::write(&file, spoiled).unwrap();
            }
        }
    }
    let other = SimulatedBucket::new(URL);
    let path = home.path().join("spoiled");
    let answer = restore(&to, &path, &options(&other), &Progress::default());
    assert!(
        matches!(answer, Err(StoreError::Corrupt { .. })),
        "{answer:?}"
    );
}
