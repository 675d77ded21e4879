//! Put and collect at once, over one bucket: each runs whole between any two requests of the other, from every state that a
//! killed process leaves, and removals that fail may happen later. What was acknowledged is there in the end.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod bucket;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use bucket::*;
use treering_block::Cid;
use treering_store::faults::{Asked, Contents, Mishap, Request, SimulatedBucket};
use treering_store::{EmbeddedStore, GcOptions, Store};

/// Two parts.
const SIZE: usize = 9 * MIB;
const SEED: u64 = 7;

/// What a process left that was killed.
#[derive(Clone, Copy, Debug)]
enum Left {
    Nothing,
    /// Before the last part.
    Half,
    /// Between the object and its row.
    Whole,
    /// Between the row and the removal of the note; the row is garbage since.
    Named,
    /// The same, and the row's block is dead already.
    Kept,
}

/// A store in that state: its directory and what its bucket holds.
struct State {
    home: tempfile::TempDir,
    contents: Contents,
}

/// The directory and the bucket as they are right after the first request of that kind, seen from a put.
fn after(request: Request) -> State {
    let (home, bucket, store) = new();
    let copy = directory();
    let (from, to) = (home.path().to_owned(), copy.path().to_owned());
    let (seen, taken) = (
        Arc::downgrade(&bucket),
        Arc::new(std::sync::Mutex::new(None)),
    );
    let into = Arc::clone(&taken);
    bucket.after(move |asked| {
        let mut taken = into.lock().unwrap();
        if asked.request == request && taken.is_none() {
            copy_directory(&from, &to);
            *taken = Some(seen.upgrade().unwrap().contents());
        }
    });
    send(&store, "film", &bytes(SEED, SIZE)).unwrap();
    drop(store);
    let contents = taken.lock().unwrap().take().unwrap();
    State {
        home: copy,
        contents,
    }
}

fn state(left: Left) -> State {
    match left {
        Left::Nothing => {
            let (home, bucket, _) = new();
            let contents = bucket.contents();
            State { home, contents }
        }
        Left::Half => after(Request::PutPart),
        Left::Whole => after(Request::Complete),
        Left::Named | Left::Kept => {
            let State { home, contents } = after(Request::Complete);
            let bucket = SimulatedBucket::with(URL, contents);
            let note = home.path().join("blobs/sending").join(note(home.path()));
            let text = fs::read(&note).unwrap();
            let store = open(home.path(), &bucket);
            send(&store, "film", &bytes(SEED, SIZE)).unwrap();
            assert_eq!(objects(&bucket).len(), 1, "it was gone on with");
            assert!(!note.exists());
            if matches!(left, Left::Named) {
                store.submit(drop_ref("film")).wait().unwrap();
            }
            drop(store);
            fs::write(&note, text).unwrap();
            let contents = bucket.contents();
            State { home, contents }
        }
    }
}

fn note(path: &Path) -> String {
    let notes = files(path, "sending");
    assert_eq!(notes.len(), 1, "{notes:?}");
    notes[0].clone()
}

/// A store of its own on a copy of the state.
fn living(state: &State) -> (tempfile::TempDir, Arc<SimulatedBucket>, EmbeddedStore) {
    let home = directory();
    copy_directory(state.home.path(), home.path());
    let bucket = SimulatedBucket::with(URL, state.contents.clone());
    let store = open(home.path(), &bucket);
    bucket.forget();
    (home, bucket, store)
}

fn put_again(store: &EmbeddedStore) {
    send(store, "film", &bytes(SEED, SIZE)).unwrap();
}

fn assert_there(store: &EmbeddedStore, bucket: &SimulatedBucket, what: &str) {
    bucket.arrive();
    let cid = Cid::of_raw(&bytes(SEED, SIZE));
    match store.get(&cid) {
        Ok(found) => assert!(*found == bytes(SEED, SIZE), "{what}"),
        Err(error) => panic!("{what}: {error}"),
    }
    assert_sound(store);
    store.gc(&GcOptions::default()).unwrap();
    assert!(*store.get(&cid).unwrap() == bytes(SEED, SIZE), "{what}");
}

/// How many requests a removal lets pass that failed, and happens all the same; 1000: all of them.
const LATER: [u64; 5] = [1, 2, 3, 5, 1000];

const ALL: [Left; 5] = [
    Left::Nothing,
    Left::Half,
    Left::Whole,
    Left::Named,
    Left::Kept,
];

type Work = fn(&EmbeddedStore);

/// Runs `inner` whole before, or behind, each request of `outer`.
fn interleave(outer: Work, inner: Work) {
    for left in ALL {
        let state = state(left);
        let mut number = 0;
        loop {
            let mut ended = false;
            for behind in [false, true] {
                let (_home, bucket, store) = living(&state);
                let store = Arc::new(store);
                let ran = Arc::new(AtomicBool::new(false));
                let asked = Arc::new(AtomicU64::new(0));
                let (within, once) = (Arc::clone(&store), Arc::clone(&ran));
                let hook = move |_: &Asked| {
                    // Only requests of the outer one count.
                    if !once.load(SeqCst) && asked.fetch_add(1, SeqCst) == number {
                        once.store(true, SeqCst);
                        inner(&within);
                    }
                };
                if behind {
                    bucket.after(hook);
                } else {
                    bucket.before(hook);
                }
                outer(&store);
                bucket.before(|_| {});
                bucket.after(|_| {});
                ended = !ran.load(SeqCst);
                let what = format!("{left:?}, request {number}, behind: {behind}");
                if ended {
                    inner(&store);
                }
                assert_there(&store, &bucket, &what);
            }
            if ended {
                break;
            }
            number += 1;
        }
        assert!(matches!(left, Left::Kept) || number > 0, "{left:?}");
    }
}

fn collect(store: &EmbeddedStore) {
    store.gc(&GcOptions::default()).unwrap();
}

#[test]
fn a_put_runs_within_a_collection() {
    interleave(collect, put_again);
}

#[test]
fn a_collection_runs_within_a_put() {
    interleave(put_again, collect);
}

#[test]
fn a_removal_that_failed_comes_later_than_the_next_put() {
    for left in ALL {
        let state = state(left);
        for later in LATER {
            let (_home, bucket, store) = living(&state);
            let removals = Arc::new(AtomicU64::new(0));
            bucket.fail(Request::Remove, Mishap::Late(later));
            let seen = Arc::clone(&removals);
            bucket.after(move |asked| {
                seen.fetch_add(u64::from(asked.request == Request::Remove), SeqCst);
            });
            collect(&store);
            put_again(&store);
            let removed = removals.load(SeqCst) > 0;
            assert_eq!(
                removed,
                matches!(left, Left::Whole | Left::Named),
                "{left:?}"
            );
            bucket.go_up();
            assert_there(&store, &bucket, &format!("{left:?}, {later} later"));
        }
    }
}

#[test]
fn what_a_refused_commit_had_sent_is_put_again_while_its_removal_is_under_way() {
    for later in LATER {
        let (home, bucket, store) = new();
        bucket.fail(Request::Remove, Mishap::Late(later));
        drop(uploaded(&store, &bytes(SEED, SIZE)).unwrap());
        // Closing waits for the removal.
        drop(store);
        assert_eq!(bucket.count(Request::Remove), 1);
        let store = open(home.path(), &bucket);
        put_again(&store);
        bucket.go_up();
        assert_there(&store, &bucket, &format!("{later} later"));
    }
}
