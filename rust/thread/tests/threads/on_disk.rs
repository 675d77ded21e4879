//! The same threads on the embedded store: shared fsyncs, reopening, a flipped byte.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use treering_store::{Durability, EmbeddedStore, OpenOptions, Store};
use treering_thread::{StartArgs, StepArgs, Threads, verify_threads};

use crate::{begun, texts, timeless};

fn open(path: &Path) -> Arc<EmbeddedStore> {
    Arc::new(
        EmbeddedStore::open(
            path,
            &OpenOptions {
                create: true,
                ..OpenOptions::default()
            },
        )
        .unwrap(),
    )
}

fn threads(store: &Arc<EmbeddedStore>) -> Threads {
    Threads::new(store.clone(), "main", Durability::Durable).unwrap()
}

#[test]
fn sixty_four_appends_through_one_handle_take_two_fsyncs() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let thread = begun(&threads(&store));
    // The first commit's fsync is held until the other 63 have queued up behind it.
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let (hold, first) = (gate.clone(), AtomicBool::new(true));
    store.on_commit_sync(move || {
        if first.swap(false, Ordering::SeqCst) {
            let (open, opened) = &*hold;
            drop(
                opened
                    .wait_while(open.lock().unwrap(), |open| !*open)
                    .unwrap(),
            );
        }
        Ok(())
    });
    let before = store.counters();
    let first = thread.append(timeless("coder", "1")).unwrap();
    while store.counters().wal_bytes_written == before.wal_bytes_written {
        // The writer has taken the first one once it has written its pages.
        std::thread::yield_now();
    }
    let rest: Vec<_> = (2..=64)
        .map(|n| thread.append(timeless("coder", &n.to_string())).unwrap())
        .collect();
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    assert_eq!(first.wait().unwrap().number, 1);
    let numbers: Vec<u64> = rest
        .into_iter()
        .map(|pending| pending.wait().unwrap().number)
        .collect();
    assert_eq!(numbers, (2..=64).collect::<Vec<_>>());
    let after = store.counters();
    assert_eq!(
        (
            after.batches - before.batches,
            after.commit_syncs - before.commit_syncs
        ),
        (2, 2)
    );
    assert_eq!(
        texts(&thread),
        (1..=64).map(|n| n.to_string()).collect::<Vec<_>>()
    );
}

#[test]
fn threads_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let args = StartArgs {
        key: Some("k".into()),
        prompt: Some("p".into()),
        ..StartArgs::new("w")
    };
    let thread = threads(&store).start(args).unwrap().wait().unwrap();
    thread
        .extend(
            (1..=600)
                .map(|n| timeless("coder", &n.to_string()))
                .collect(),
            None,
        )
        .unwrap()
        .wait()
        .unwrap();
    let command = || StepArgs {
        command_id: Some("last".into()),
        ..StepArgs::new("coder", "last")
    };
    let last = thread.append(command()).unwrap().wait().unwrap();
    let info = thread.info();
    drop(thread);
    store.close().unwrap();
    drop(store);

    let store = open(folder.path());
    let thread = threads(&store).get("k").unwrap();
    assert_eq!(thread.info(), info);
    assert_eq!(thread.append(command()).unwrap().wait().unwrap(), last);
    assert_eq!(
        thread
            .append(timeless("coder", "on"))
            .unwrap()
            .wait()
            .unwrap()
            .number,
        602
    );
    let mut report = store.verify(None).unwrap();
    verify_threads(&*store, &mut report);
    assert_eq!(report.findings, []);
    assert_eq!((report.threads, report.steps), (1, 602));
}

#[test]
fn a_flipped_byte_names_thread_and_step() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let thread = begun(&threads(&store));
    thread
        .append(timeless("coder", "1"))
        .unwrap()
        .wait()
        .unwrap();
    let artifact = vec![("image.png".to_owned(), vec![7; 300_000])];
    let step = thread
        .append(StepArgs {
            artifacts: artifact,
            ..timeless("coder", "2")
        })
        .unwrap()
        .wait()
        .unwrap();
    let cid = step.content_node(&*store).unwrap().artifacts["image.png"];
    let file = files(&folder.path().join("blobs"))
        .into_iter()
        .find(|file| file.metadata().unwrap().len() == 300_000)
        .unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[150_000] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let mut report = store.verify(None).unwrap();
    verify_threads(&*store, &mut report);
    let about: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.which == cid.to_string())
        .collect();
    assert!(!about.is_empty(), "{:?}", report.findings);
    assert!(
        about
            .iter()
            .all(|finding| finding.threads == [(thread.id().to_owned(), 2)]),
        "{about:?}"
    );
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path))
        } else {
            all.push(path)
        }
    }
    all
}
