//! Backups in a bucket: what is sent, what is there after whatever ends one, and what is refused.
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

use bucket::{MIB, URL, assert_sound, bytes, directory, drop_ref, is_bucket_error, put, send};
use treering_block::Cid;
use treering_store::bucket::Bucket;
use treering_store::faults::{Asked, Contents, Mishap, Request, SimulatedBucket};
use treering_store::{
    BackupOptions, BackupReport, Clock, EmbeddedStore, GcOptions, OpenOptions, Progress, Result,
    Store, StoreError, fetch_backup, restore,
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Two pieces.
const LARGE: usize = 9 * MIB;

fn store(path: &Path) -> EmbeddedStore {
    EmbeddedStore::open(path, &OpenOptions::default()).unwrap()
}

/// A store whose clock stands until it is advanced.
fn clocked() -> (tempfile::TempDir, Clock, EmbeddedStore) {
    let home = directory();
    let clock = Clock::manual(Clock::system().now_ms());
    let options = OpenOptions {
        clock: clock.clone(),
        ..OpenOptions::default()
    };
    let store = EmbeddedStore::open(home.path().join("store"), &options).unwrap();
    (home, clock, store)
}

fn back_up(
    store: &EmbeddedStore,
    bucket: &SimulatedBucket,
    staging: &Path,
) -> Result<BackupReport> {
    let options = BackupOptions::default();
    store.backup_to_bucket(bucket, staging, &options, &Progress::default())
}

/// Fetches and restores, and returns the store.
fn restored(bucket: &SimulatedBucket, home: &Path) -> Result<EmbeddedStore> {
    let (fetched, to) = (home.join("fetched"), home.join("restored"));
    drop(fs::remove_dir_all(&fetched));
    drop(fs::remove_dir_all(&to));
    fetch_backup(bucket, &fetched, &Progress::default())?;
    restore(&fetched, &to, &OpenOptions::default(), &Progress::default())?;
    Ok(store(&to))
}

/// Lets a ref's block be collected.
fn give_up(store: &EmbeddedStore, name: &str, clock: &Clock) {
    store.submit(drop_ref(name)).wait().unwrap();
    clock.advance(DAY_MS + 60_000);
    store.gc(&GcOptions::default()).unwrap();
}

fn holds(store: &EmbeddedStore, content: &[u8]) -> bool {
    store
        .get(&Cid::of_raw(content))
        .is_ok_and(|found| *found == *content)
}

fn names(bucket: &SimulatedBucket) -> Vec<String> {
    bucket.contents().objects.into_keys().collect()
}

#[test]
fn what_is_new_is_sent_and_all_of_it_comes_back() {
    let (home, clock, source) = clocked();
    let (large, second) = (bytes(1, LARGE), bytes(2, MIB));
    send(&source, "large", &large).unwrap();
    source.submit(put("small", bytes(3, 100))).wait().unwrap();
    let bucket = SimulatedBucket::new(URL);
    let staging = home.path().join("staging");
    let first = back_up(&source, &bucket, &staging).unwrap();
    assert!(first.sent_bytes > large.len() as u64 && !first.incremental);
    assert!(holds(&restored(&bucket, home.path()).unwrap(), &large));

    // Of the second one the large block's pieces stay where they are.
    send(&source, "second", &second).unwrap();
    bucket.forget();
    let report = back_up(&source, &bucket, &staging).unwrap();
    assert!(
        report.incremental && report.sent_bytes < 3 * MIB as u64,
        "{report:?}"
    );
    // The file, its tree if it has one, and the database.
    assert!(bucket.count(Request::Put) <= 3);
    // The same without a staging directory that is kept.
    source.submit(put("third", bytes(4, 100))).wait().unwrap();
    let report = back_up(&source, &bucket, &home.path().join("another")).unwrap();
    assert!(
        !report.incremental && report.sent_bytes < 2 * MIB as u64,
        "{report:?}"
    );

    // Nothing new: nothing is sent and no manifest made.
    bucket.forget();
    let before = bucket.contents();
    let report = back_up(&source, &bucket, &home.path().join("another")).unwrap();
    assert_eq!((report.sent_bytes, report.objects_left), (0, 0));
    assert_eq!(
        (bucket.count(Request::Put), bucket.count(Request::Create)),
        (0, 0)
    );
    assert!(before == bucket.contents());

    // What the store gave up goes from the bucket, too.
    give_up(&source, "large", &clock);
    back_up(&source, &bucket, &home.path().join("another")).unwrap();
    let stored: usize = bucket
        .contents()
        .objects
        .values()
        .map(|object| object.len())
        .sum();
    assert!(stored < 4 * MIB, "{stored}");
    let manifests = names(&bucket)
        .iter()
        .filter(|name| name.starts_with("manifests/"))
        .count();
    assert_eq!(manifests, 1);
    let again = restored(&bucket, home.path()).unwrap();
    assert_sound(&again);
    assert!(holds(&again, &second) && !holds(&again, &large));
    // The restored store goes on with the same backups.
    again.submit(put("fourth", bytes(5, 100))).wait().unwrap();
    back_up(&again, &bucket, &home.path().join("elsewhere")).unwrap();
}

/// A store whose first state is in the bucket, and whose second one is to go there.
struct Scene {
    home: tempfile::TempDir,
    source: EmbeddedStore,
    first: Contents,
}

fn scene() -> Scene {
    let home = directory();
    let source = store(&home.path().join("store"));
    send(&source, "a", &bytes(1, MIB)).unwrap();
    send(&source, "b", &bytes(2, MIB)).unwrap();
    let bucket = SimulatedBucket::new(URL);
    back_up(&source, &bucket, &home.path().join("staging")).unwrap();
    send(&source, "c", &bytes(3, MIB)).unwrap();
    Scene {
        first: bucket.contents(),
        home,
        source,
    }
}

/// The old state or the new one; whether the new one.
fn check_whole(bucket: &SimulatedBucket, home: &Path) -> bool {
    let found = restored(bucket, home).unwrap();
    assert_sound(&found);
    assert!(holds(&found, &bytes(1, MIB)) && holds(&found, &bytes(2, MIB)));
    holds(&found, &bytes(3, MIB))
}

#[test]
fn every_request_fails_once_and_it_is_killed_before_and_after_each() {
    let Scene {
        home,
        source,
        first,
    } = scene();
    let staging = home.path().join("staging");
    let bucket = SimulatedBucket::with(URL, first.clone());
    let left: Arc<Mutex<Vec<(Contents, Asked)>>> = Arc::default();
    let watch = || {
        let (left, seen) = (Arc::clone(&left), Arc::downgrade(&bucket));
        move |asked: &Asked| {
            let contents = seen.upgrade().unwrap().contents();
            left.lock().unwrap().push((contents, asked.clone()));
        }
    };
    bucket.before(watch());
    bucket.after(watch());
    back_up(&source, &bucket, &staging).unwrap();
    bucket.before(|_| {});
    bucket.after(|_| {});
    let asked = bucket.asked();
    for request in [
        Request::Put,
        Request::Create,
        Request::Read,
        Request::List,
        Request::Remove,
    ] {
        assert!(
            asked.iter().any(|asked| asked.request == request),
            "{request:?}"
        );
    }
    let whole = names(&bucket);

    // Killed: the old state or the new one, and the next backup leaves nothing behind.
    let mut states = Vec::new();
    for (contents, asked) in std::mem::take(&mut *left.lock().unwrap()) {
        let bucket = SimulatedBucket::with(URL, contents);
        let new = check_whole(&bucket, home.path());
        states.push(new);
        bucket.forget();
        back_up(&source, &bucket, &staging).unwrap();
        assert_eq!(names(&bucket), whole, "{asked:?}");
    }
    assert!(states.is_sorted() && !states[0] && states[states.len() - 1]);

    // Failing once.
    for one in &asked {
        let ways: &[Mishap] = match one.request {
            Request::Read => &[Mishap::Refused, Mishap::Wrong, Mishap::Short],
            _ => &[Mishap::Refused, Mishap::Lost],
        };
        for mishap in ways {
            let bucket = SimulatedBucket::with(URL, first.clone());
            bucket.plan(one.number, 1, *mishap);
            let answer = back_up(&source, &bucket, &staging);
            let what = format!("{one:?} {mishap:?}: {answer:?}");
            let new = check_whole(&bucket, home.path());
            assert!(new || is_bucket_error(&answer), "{what}");
            // A removal that failed is told; it is no error.
            if let Ok(report) = &answer {
                let left = bucket.contents().objects.len() - whole.len();
                assert!(report.objects_left > 0 || left == 0, "{what}: {left}");
            }
            bucket.forget();
            back_up(&source, &bucket, &staging).unwrap();
            assert_eq!(names(&bucket), whole, "{what}");
        }
    }
}

#[test]
fn what_an_interrupted_one_sent_is_not_sent_again() {
    let Scene {
        home,
        source,
        first,
    } = scene();
    let bucket = SimulatedBucket::with(URL, first);
    let asked_before_manifest = {
        let trial = SimulatedBucket::with(URL, bucket.contents());
        back_up(&source, &trial, &home.path().join("staging")).unwrap();
        trial
            .asked()
            .iter()
            .position(|asked| asked.request == Request::Create)
            .unwrap()
    };
    bucket.plan(asked_before_manifest as u64, 1, Mishap::Refused);
    assert!(is_bucket_error(&back_up(
        &source,
        &bucket,
        &home.path().join("staging")
    )));
    bucket.forget();
    let report = back_up(&source, &bucket, &home.path().join("staging")).unwrap();
    assert_eq!((report.sent_bytes, bucket.count(Request::Put)), (0, 0));
    assert!(check_whole(&bucket, home.path()));
}

#[test]
fn what_an_interrupted_one_sent_by_half_is_sent_again() {
    let scene = scene();
    let staging = scene.home.path().join("staging");
    let bucket = SimulatedBucket::with(URL, scene.first.clone());
    bucket.plan(first_of(&scene, Request::Create), 1, Mishap::Refused);
    assert!(is_bucket_error(&back_up(&scene.source, &bucket, &staging)));
    let name = names(&bucket)
        .into_iter()
        .find(|name| !scene.first.objects.contains_key(name))
        .unwrap();
    bucket.change(|contents| {
        let half = contents.objects[&name].len() / 2;
        let half = contents.objects[&name][..half].into();
        contents.objects.insert(name.clone(), half);
    });
    bucket.forget();
    back_up(&scene.source, &bucket, &staging).unwrap();
    assert_eq!(bucket.count(Request::Put), 1);
    assert!(check_whole(&bucket, scene.home.path()));
}

#[test]
fn of_two_at_once_one_is_told() {
    let Scene {
        home,
        source,
        first,
    } = scene();
    let bucket = SimulatedBucket::with(URL, first);
    // While one is about to make its manifest, another one is made whole, once or twice.
    for times in [1, 2] {
        let source = Arc::new(store(&home.path().join("store")));
        source
            .submit(put("again", bytes(10 + times, 100)))
            .wait()
            .unwrap();
        let once = Mutex::new(true);
        let (other, path) = (Arc::clone(&source), home.path().to_owned());
        let seen = Arc::downgrade(&bucket);
        bucket.before(move |asked| {
            if asked.request == Request::Create && std::mem::take(&mut *once.lock().unwrap()) {
                for number in 0..times {
                    let commit = put("between", bytes(20 + number, 100));
                    other.submit(commit).wait().unwrap();
                    let bucket = seen.upgrade().unwrap();
                    back_up(&other, &bucket, &path.join("second")).unwrap();
                }
            }
        });
        let answer = back_up(&source, &bucket, &home.path().join("staging"));
        let Err(StoreError::Invalid { rule, .. }) = &answer else {
            panic!("{answer:?}");
        };
        assert!(rule.contains("another one was made there"), "{rule}");
        assert!(check_whole(&bucket, home.path()));
    }
    bucket.before(|_| {});
    drop(source);
    let source = store(&home.path().join("store"));
    back_up(&source, &bucket, &home.path().join("staging")).unwrap();
    assert!(check_whole(&bucket, home.path()));
}

#[test]
fn who_finds_that_a_newer_one_took_its_place_is_told() {
    let Scene {
        home,
        source,
        first,
    } = scene();
    let source = Arc::new(source);
    let bucket = SimulatedBucket::with(URL, first);
    let fetched = home.path().join("fetched");
    // Between the listing and the manifest another one is made, and the manifest goes.
    for ask in ["fetch", "back up"] {
        source.submit(put(ask, bytes(9, 100))).wait().unwrap();
        let once = Mutex::new(true);
        let (other, path, seen) = (
            Arc::clone(&source),
            home.path().join("second"),
            Arc::downgrade(&bucket),
        );
        bucket.before(move |asked| {
            if asked.request == Request::Read && std::mem::take(&mut *once.lock().unwrap()) {
                back_up(&other, &seen.upgrade().unwrap(), &path).unwrap();
            }
        });
        let answer = match ask {
            "fetch" => fetch_backup(&*bucket, &fetched, &Progress::default()).map(drop),
            _ => back_up(&source, &bucket, &home.path().join("staging")).map(drop),
        };
        let Err(StoreError::Invalid { rule, .. }) = &answer else {
            panic!("{ask}: {answer:?}");
        };
        assert!(rule.contains("took its place"), "{rule}");
    }
    bucket.before(|_| {});
    assert!(check_whole(&bucket, home.path()));
}

#[test]
fn a_slow_removal_meets_nothing_that_came_later() {
    let (home, clock, source) = clocked();
    let source = Arc::new(source);
    let content = bytes(1, MIB);
    send(&*source, "a", &content).unwrap();
    let bucket = SimulatedBucket::new(URL);
    let staging = home.path().join("staging");
    back_up(&source, &bucket, &staging).unwrap();
    give_up(&source, "a", &clock);
    // The bytes come back, and are in a later backup, before the removal of the former ones goes on.
    let once = Mutex::new(true);
    let (other, path, again) = (
        Arc::clone(&source),
        home.path().join("second"),
        content.clone(),
    );
    let seen = Arc::downgrade(&bucket);
    bucket.before(move |asked| {
        if asked.request == Request::Remove && std::mem::take(&mut *once.lock().unwrap()) {
            send(&*other, "a", &again).unwrap();
            back_up(&other, &seen.upgrade().unwrap(), &path).unwrap();
        }
    });
    back_up(&source, &bucket, &staging).unwrap();
    bucket.before(|_| {});
    assert!(holds(&restored(&bucket, home.path()).unwrap(), &content));
}

#[test]
fn wrong_bytes_are_asked_for_again_and_then_named() {
    let Scene {
        home,
        source,
        first,
    } = scene();
    drop(source);
    let bucket = SimulatedBucket::with(URL, first);
    restored(&bucket, home.path()).unwrap();
    let reads = bucket.asked();
    for one in reads.iter().filter(|asked| asked.request == Request::Read) {
        for mishap in [Mishap::Wrong, Mishap::Short] {
            bucket.forget();
            bucket.plan(one.number, 1, mishap);
            assert!(!check_whole(&bucket, home.path()));
            bucket.forget();
            bucket.plan(one.number, 2, mishap);
            match restored(&bucket, home.path()) {
                Err(StoreError::Corrupt { which, .. }) => {
                    assert_eq!(which, format!("{} in {URL}", one.name));
                }
                other => panic!("{other:?}"),
            }
            assert!(!home.path().join("restored").exists());
        }
    }
    let piece = names(&bucket)
        .into_iter()
        .find(|name| name.starts_with("pieces/"))
        .unwrap();
    bucket.change(|contents| drop(contents.objects.remove(&piece)));
    let answer = restored(&bucket, home.path());
    assert!(
        matches!(&answer, Err(StoreError::Corrupt { detail, .. }) if detail.contains("gone")),
        "{answer:?}"
    );
    // The next backup sends it again.
    back_up(
        &store(&home.path().join("store")),
        &bucket,
        &home.path().join("staging"),
    )
    .unwrap();
    assert!(check_whole(&bucket, home.path()));
}

#[test]
fn what_is_no_place_for_it_is_refused_and_left() {
    let Scene {
        home,
        source,
        first,
    } = scene();
    let staging = home.path().join("new");
    for foreign in ["treering", "mine.txt", "pieces/mine", "manifests/1"] {
        let bucket = SimulatedBucket::new(URL);
        bucket.put(foreign, b"mine").unwrap();
        let before = bucket.contents();
        let answer = back_up(&source, &bucket, &staging);
        assert!(
            matches!(&answer, Err(StoreError::Invalid { .. })),
            "{answer:?}"
        );
        assert!(fetch_backup(&*bucket, &staging, &Progress::default()).is_err());
        assert!(bucket.contents() == before && !staging.exists());
    }
    // Another store's, and one that the store does not continue.
    let other = store(&home.path().join("other"));
    other.submit(put("x", bytes(9, 10))).wait().unwrap();
    let older = SimulatedBucket::with(URL, first.clone());
    let fork = restored(&older, home.path()).unwrap();
    fork.submit(put("x", bytes(9, 10))).wait().unwrap();
    back_up(&source, &older, &staging).unwrap();
    for store in [&other, &fork] {
        let before = older.contents();
        let answer = back_up(store, &older, &home.path().join("new2"));
        assert!(
            matches!(&answer, Err(StoreError::Diverged { .. })),
            "{answer:?}"
        );
        assert!(older.contents() == before && !home.path().join("new2").exists());
    }
    let empty = SimulatedBucket::new(URL);
    let answer = fetch_backup(&*empty, home.path().join("new3"), &Progress::default());
    assert!(matches!(answer, Err(StoreError::NotAStore { .. })));
    // A staging directory that this process has open.
    let open = store(&staging);
    let answer = back_up(&source, &older, &staging);
    assert!(
        matches!(&answer, Err(StoreError::Invalid { rule, .. }) if rule.contains("has it open"))
    );
    drop(open);
    back_up(&source, &older, &staging).unwrap();
}

/// Which request is the first of that kind when the scene's second backup is made.
fn first_of(scene: &Scene, request: Request) -> u64 {
    let trial = SimulatedBucket::with(URL, scene.first.clone());
    back_up(&scene.source, &trial, &scene.home.path().join("staging")).unwrap();
    let asked = trial.asked();
    let found = asked.iter().find(|asked| asked.request == request);
    found.unwrap().number
}

#[test]
fn a_manifest_that_stays_lacks_no_piece_and_a_bucket_that_is_away_is_asked_once() {
    let scene = scene();
    let number = first_of(&scene, Request::Remove);
    let staging = scene.home.path().join("staging");
    let trial = SimulatedBucket::with(URL, scene.first.clone());
    back_up(&scene.source, &trial, &staging).unwrap();
    let removed = trial.count(Request::Remove) as u64;
    assert!(removed > 1);
    // The manifest alone can't be removed; then nothing can.
    for times in [1, u64::MAX] {
        let bucket = SimulatedBucket::with(URL, scene.first.clone());
        bucket.plan(number, times, Mishap::Refused);
        let report = back_up(&scene.source, &bucket, &staging).unwrap();
        assert_eq!(report.objects_left, removed);
        assert_eq!(bucket.count(Request::Remove), 1);
        let left = bucket.contents().objects;
        assert!(
            scene
                .first
                .objects
                .keys()
                .all(|name| left.contains_key(name))
        );
        bucket.go_up();
        let report = back_up(&scene.source, &bucket, &staging).unwrap();
        assert_eq!(report.objects_left, 0);
        assert_eq!(names(&bucket), names(&trial));
    }
}

#[test]
fn what_no_row_names_is_not_sent() {
    let Scene { home, source, .. } = scene();
    let staging = home.path().join("staging");
    // Somebody restores from there, so nothing is removed.
    let lock = fs::File::open(staging.join("blobs.lock")).unwrap();
    lock.lock_shared().unwrap();
    let name = format!("{}-01ARZ3NDEKTSV4RRFFQ69G5FAV", "ab".repeat(32));
    let erased = bytes(77, MIB);
    fs::create_dir_all(staging.join("blobs/ab")).unwrap();
    fs::write(staging.join("blobs/ab").join(&name), &erased).unwrap();
    fs::create_dir_all(staging.join("journal")).unwrap();
    fs::write(staging.join("journal").join("old"), b"erased").unwrap();
    let bucket = SimulatedBucket::new(URL);
    back_up(&source, &bucket, &staging).unwrap();
    assert!(staging.join("blobs/ab").join(&name).exists());
    let piece = blake3::hash(&erased).to_hex().to_string();
    assert!(!names(&bucket).iter().any(|sent| sent.contains(&piece)));
    assert!(check_whole(&bucket, home.path()));
    let fetched = home.path().join("fetched");
    assert!(!fetched.join("blobs/ab").join(&name).exists());
    assert!(!fetched.join("journal/old").exists());
}
