//! What goes to a bucket and comes back from it: uploads that are gone on with, who waits for them, what is collected.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod bucket;

use std::fs;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bucket::*;
use treering_block::Cid;
use treering_store::faults::{Mishap, Request, SimulatedBucket};
use treering_store::{Clock, EraseOptions, GcOptions, Store, StoreError};

// Uploads that are gone on with.

#[test]
fn what_arrived_is_not_sent_again() {
    let content = bytes(1, LARGE);
    for mishap in [Mishap::Refused, Mishap::Lost, Mishap::Short] {
        // Begin is the first request; then three parts, and complete.
        for number in 1..=4 {
            let (home, bucket, store) = new();
            bucket.plan(number, 2, mishap);
            let sent = send(&store, "one", &content);
            let completed = number == 4 && mishap == Mishap::Lost;
            assert!(is_bucket_error(&sent), "{number} {mishap:?}");
            assert_eq!(files(home.path(), "sending").len(), 1);
            bucket.forget();
            let cid = send(&store, "one", &content).unwrap();
            let missing = if number == 4 { 0 } else { 4 - number };
            assert_eq!(bucket.count(Request::PutPart) as u64, missing, "{number}");
            assert_eq!(bucket.count(Request::Begin), 0);
            assert_eq!(bucket.count(Request::Complete), usize::from(!completed));
            assert_eq!(files(home.path(), "sending").len(), 0);
            assert_eq!(&*store.get(&cid).unwrap(), &content[..]);
            store.gc(&GcOptions::default()).unwrap();
            assert_eq!(objects(&bucket).len(), 1);
            assert!(bucket.contents().uploads.is_empty());
        }
    }
}

/// What a process that is killed before request `number` leaves: its directory, and the bucket.
fn killed_at(number: u64, content: &[u8]) -> (tempfile::TempDir, Arc<SimulatedBucket>) {
    let (home, bucket, store) = new();
    let left = directory();
    let (from, to) = (home.path().to_owned(), left.path().to_owned());
    let contents = Arc::new(Mutex::new(None));
    let (seen, kept) = (Arc::downgrade(&bucket), Arc::clone(&contents));
    bucket.before(move |asked| {
        if asked.number == number {
            copy_directory(&from, &to);
            *kept.lock().unwrap() = Some(seen.upgrade().unwrap().contents());
        }
    });
    send(&store, "one", content).unwrap();
    let contents = contents.lock().unwrap().take().unwrap();
    (left, SimulatedBucket::with(URL, contents))
}

#[test]
fn what_a_killed_process_sent_is_not_sent_again() {
    let content = bytes(1, LARGE);
    for number in 2..=4 {
        let (home, bucket) = killed_at(number, &content);
        let store = open(home.path(), &bucket);
        assert_eq!(files(home.path(), "uploads").len(), 1);
        bucket.forget();
        let cid = send(&store, "one", &content).unwrap();
        assert_eq!(bucket.count(Request::PutPart) as u64, 4 - number);
        assert_eq!(bucket.count(Request::Begin), 0);
        assert_eq!(&*store.get(&cid).unwrap(), &content[..]);
        store.gc(&GcOptions::default()).unwrap();
        assert_eq!(files(home.path(), "uploads"), [""; 0]);
        assert_sound(&store);
    }
}

#[test]
fn an_upload_that_the_server_forgot_is_begun_anew() {
    let content = bytes(1, LARGE);
    for number in [3, 4] {
        let (home, bucket) = killed_at(number, &content);
        bucket.change(|contents| contents.uploads.clear());
        let store = open(home.path(), &bucket);
        bucket.forget();
        let cid = send(&store, "one", &content).unwrap();
        assert_eq!(
            (
                bucket.count(Request::Begin),
                files(home.path(), "sending").len()
            ),
            (1, 0)
        );
        assert_eq!(&*store.get(&cid).unwrap(), &content[..]);
    }
}

/// Lets the server forget all uploads before so many requests of a kind.
fn forgetting(bucket: &Arc<SimulatedBucket>, before: Request, numbers: &'static [usize]) {
    let (server, seen) = (Arc::downgrade(bucket), Mutex::new(0));
    bucket.before(move |asked| {
        if asked.request == before {
            let mut seen = seen.lock().unwrap();
            *seen += 1;
            if numbers.contains(&seen) {
                let server = server.upgrade().unwrap();
                server.change(|contents| contents.uploads.clear());
            }
        }
    });
}

#[test]
fn an_upload_that_the_server_forgets_in_the_middle_is_begun_anew() {
    let content = bytes(1, LARGE);
    // Before the first part, the last one, and the completion.
    for (before, number, parts) in [
        (Request::PutPart, &[1][..], 4),
        (Request::PutPart, &[3], 6),
        (Request::Complete, &[1], 6),
    ] {
        let (home, bucket, store) = new();
        forgetting(&bucket, before, number);
        let cid = send(&store, "one", &content).unwrap();
        let asked = (bucket.count(Request::Begin), bucket.count(Request::PutPart));
        assert_eq!(asked, (2, parts), "{before:?} {number:?}");
        assert_eq!(&*store.get(&cid).unwrap(), &content[..]);
        assert_eq!(files(home.path(), "sending").len(), 0);
        assert_eq!(objects(&bucket).len(), 1);
        assert_sound(&store);
    }
}

#[test]
fn a_server_that_forgets_each_upload_is_told_of() {
    let content = bytes(1, LARGE);
    let (home, bucket, store) = new();
    forgetting(&bucket, Request::PutPart, &[2, 4]);
    let error = send(&store, "one", &content).unwrap_err();
    assert!(matches!(error, StoreError::Bucket { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("forgot the upload") && text.contains("nothing is lost"),
        "{text}"
    );
    assert_eq!(bucket.count(Request::Begin), 2);
    assert_eq!(files(home.path(), "sending").len(), 0);
    let cid = send(&store, "one", &content).unwrap();
    assert_eq!(&*store.get(&cid).unwrap(), &content[..]);
}

#[test]
fn what_nobody_goes_on_with_is_given_up_after_a_day() {
    for number in 0..=4 {
        let (home, bucket) = killed_at(number, &bytes(1, LARGE));
        if number == 1 {
            // Begun, and killed before the answer was noted.
            bucket.change(|contents| contents.uploads.clear());
            let note = files(home.path(), "sending").remove(0);
            let name = format!("{}/{note}", &note[..2]);
            let note = home.path().join("blobs/sending").join(note);
            let text = fs::read_to_string(&note).unwrap();
            let first = text.split_inclusive('\n').next().unwrap();
            fs::write(&note, first).unwrap();
            treering_store::Bucket::begin(&*bucket, &name).unwrap();
        }
        let now_ms = Clock::system().now_ms();
        let clock = Clock::manual(now_ms);
        let store = at(home.path(), &bucket, &clock).unwrap();
        clock.advance(DAY_MS - 60_000);
        store.gc(&GcOptions::default()).unwrap();
        assert_eq!(bucket.contents().uploads.len(), usize::from(number > 0));
        assert_eq!(files(home.path(), "sending").len(), 1);
        clock.advance(2 * 60_000);
        store.gc(&GcOptions::default()).unwrap();
        assert_eq!(bucket.contents().uploads.len(), 0, "{number}");
        assert_eq!(files(home.path(), "sending"), [""; 0]);
        assert_eq!(objects(&bucket).len(), 0);
    }
}

// Who waits for it.

#[test]
fn nobody_waits_for_the_network_of_others() {
    let (_home, bucket, store) = new();
    let store = &store;
    for (seed, slow) in [
        (7, Request::Put),
        (8, Request::PutPart),
        (9, Request::Complete),
    ] {
        let (arrived, at_it) = channel();
        let (go_on, held) = channel::<()>();
        let (arrived, held) = (Mutex::new(arrived), Mutex::new(held));
        bucket.before(move |asked| {
            if asked.request == slow {
                arrived.lock().unwrap().send(()).unwrap();
                let _ = held.lock().unwrap().recv();
            }
        });
        std::thread::scope(|scope| {
            let sending = scope.spawn(move || match slow {
                Request::Put => store
                    .submit(put("large", bytes(seed, 300_000)))
                    .wait()
                    .map(drop),
                _ => send(store, "large", &bytes(seed, 9 * MIB)).map(drop),
            });
            at_it.recv_timeout(Duration::from_secs(60)).unwrap();
            let commit = put(&format!("{slow:?}"), bytes(3, 100));
            store.submit(commit).wait().unwrap();
            drop(go_on);
            sending.join().unwrap().unwrap();
        });
        bucket.before(|_| {});
    }
    assert_sound(store);
}

#[test]
fn nor_for_a_removal() {
    let (home, bucket, store) = new();
    let (go_on, held) = channel::<()>();
    let held = Mutex::new(held);
    bucket.before(move |asked| {
        if asked.request == Request::Remove {
            let _ = held.lock().unwrap().recv();
        }
    });
    // Refused, given up, there already: nobody needs the object.
    let upload = uploaded(&store, &bytes(1, 300_000)).unwrap();
    let mut refused = kept("one", upload);
    refused.moves[0].expect = treering_store::Expect::Version(7);
    store.submit(refused).wait().unwrap_err();
    drop(uploaded(&store, &bytes(2, 300_000)).unwrap());
    let mut refused = put("two", bytes(3, 300_000));
    refused.moves[0].expect = treering_store::Expect::Version(7);
    store.submit(refused).wait().unwrap_err();
    store.submit(put("small", bytes(4, 100))).wait().unwrap();
    assert_eq!(objects(&bucket).len(), 3);
    drop(go_on);
    drop(store);
    assert_eq!(objects(&bucket).len(), 0, "closing waits for them");
    assert_eq!(files(home.path(), "sending"), [""; 0]);
}

#[test]
fn the_same_bytes_are_sent_once() {
    let (home, bucket, store) = new();
    let content = bytes(1, 3 * MIB);
    send(&store, "one", &content).unwrap();
    bucket.forget();
    let second = uploaded(&store, &content).unwrap();
    assert_eq!(bucket.count(Request::Size), 1);
    assert_eq!(bucket.asked().len(), 1, "it is only looked for");
    // Gone between the look and the commit: sent now.
    store.submit(drop_ref("one")).wait().unwrap();
    store.gc(&GcOptions::default()).unwrap();
    assert_eq!(objects(&bucket).len(), 0);
    let cid = second.cid();
    store.submit(kept("two", second)).wait().unwrap();
    assert_eq!(&*store.get(&cid).unwrap(), &content[..]);
    assert_eq!(objects(&bucket).len(), 1);
    assert_eq!(files(home.path(), "uploads"), [""; 0]);
    assert_sound(&store);
}

// What is collected.

#[test]
fn what_no_row_names_goes() {
    let (home, bucket, store) = new();
    let (one, two) = (bytes(1, 300_000), bytes(2, LARGE));
    send(&store, "one", &one).unwrap();
    send(&store, "two", &two).unwrap();
    store
        .submit(put("three", bytes(3, 300_000)))
        .wait()
        .unwrap();
    for part in ["one", "two"] {
        store.submit(drop_ref(part)).wait().unwrap();
    }
    bucket.forget();
    // What can't be removed goes with the next one.
    bucket.plan(0, u64::MAX, Mishap::Refused);
    store.gc(&GcOptions::default()).unwrap();
    assert_eq!(objects(&bucket).len(), 3);
    assert_eq!(
        store.vacuum().map(|vacuumed| vacuumed.files_left).ok(),
        None
    );
    bucket.go_up();
    assert_eq!(store.vacuum().unwrap().files_left, 2);
    store.gc(&GcOptions::default()).unwrap();
    assert_eq!(objects(&bucket).len(), 1);
    assert_eq!(store.vacuum().unwrap().files_left, 0);
    // The same bytes once more have another object.
    send(&store, "one", &one).unwrap();
    assert_eq!(objects(&bucket).len(), 2);
    assert_sound(&store);
    assert_eq!(files(home.path(), "sending"), [""; 0]);
}

#[test]
fn what_is_read_stays_until_it_is_closed() {
    let (home, bucket, store) = new();
    let content = bytes(1, LARGE);
    let cid = send(&store, "one", &content).unwrap();
    let reader = store.reader(&cid).unwrap();
    let second = store.reader(&cid).unwrap();
    assert_eq!(reader.read_at(0, 10).unwrap(), content[..10]);
    store.submit(drop_ref("one")).wait().unwrap();
    store.gc(&GcOptions::default()).unwrap();
    assert!(!store.has(&cid).unwrap());
    assert!(matches!(
        store.reader(&cid),
        Err(StoreError::BlockNotFound(_))
    ));
    assert_eq!(
        reader.read_at(15 << 20, 10).unwrap(),
        content[15 * MIB..][..10]
    );
    drop(reader);
    store.gc(&GcOptions::default()).unwrap();
    assert_eq!(
        second.read_at(12 << 20, 10).unwrap(),
        content[12 * MIB..][..10]
    );
    assert_eq!(files(home.path(), "reading").len(), 1);
    drop(second);
    assert_eq!(files(home.path(), "reading"), [""; 0]);
    store.gc(&GcOptions::default()).unwrap();
    assert_eq!(objects(&bucket).len(), 0);
}

#[test]
fn what_waits_for_its_commit_stays() {
    let home = directory();
    let bucket = SimulatedBucket::new(URL);
    let clock = Clock::manual(Clock::system().now_ms());
    let store = at(home.path(), &bucket, &clock).unwrap();
    let small = uploaded(&store, &bytes(1, 300_000)).unwrap();
    let large = uploaded(&store, &bytes(2, LARGE)).unwrap();
    store.gc(&GcOptions::default()).unwrap();
    assert_eq!(objects(&bucket).len(), 2);
    // However long that takes.
    clock.advance(3 * DAY_MS);
    store.gc(&GcOptions::default()).unwrap();
    assert_eq!(objects(&bucket).len(), 2);
    store.submit(kept("one", small)).wait().unwrap();
    store.submit(kept("two", large)).wait().unwrap();
    assert_sound(&store);
}

#[test]
fn an_erased_scope_leaves_no_object() {
    let (_home, bucket, store) = new();
    let mut commit = put("one", bytes(1, 300_000));
    commit.scope = "alice".into();
    commit.moves[0].name = treering_store::RefName::new("alice", "thread", ["one"]).unwrap();
    store.submit(commit).wait().unwrap();
    store.submit(put("two", bytes(2, 300_000))).wait().unwrap();
    store.erase("alice", &EraseOptions::default()).unwrap();
    store.gc(&GcOptions::default()).unwrap();
    assert_eq!(store.vacuum().unwrap().files_left, 0);
    let left = objects(&bucket);
    assert_eq!(
        left.into_iter().collect::<Vec<_>>(),
        object_of(&bucket, &Cid::of_raw(&bytes(2, 300_000)))
    );
}
