//! Waiting for commits.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::material::{done, fresh, moving, name, put, raw, refusal, set};
use super::{Backend, cases};
use crate::commit::Expect;
use crate::error::StoreError;
use crate::listening::Listening;
use crate::store::Store;

cases!("watching":
    what_happened_already_is_answered_at_once,
    time_runs_out,
    a_commit_wakes_every_watcher,
    a_refused_commit_wakes_nobody,
    closing_wakes_watchers,
    listeners_are_called_after_commits_and_on_close,
);

const LONG: Duration = Duration::from_secs(60);

fn what_happened_already_is_answered_at_once(backend: &dyn Backend) {
    let store = fresh(backend);
    done(&*store, put([raw("a")]));
    done(&*store, put([raw("b")]));
    let begin = Instant::now();
    assert_eq!(store.watch(0, LONG).unwrap(), 2);
    assert_eq!(store.watch(1, LONG).unwrap(), 2);
    assert!(begin.elapsed() < LONG / 2);
}

fn time_runs_out(backend: &dyn Backend) {
    let store = fresh(backend);
    done(&*store, put([raw("a")]));
    let begin = Instant::now();
    assert_eq!(store.watch(1, Duration::from_millis(50)).unwrap(), 1);
    assert_eq!(store.watch(u64::MAX, Duration::ZERO).unwrap(), 1);
    let waited = begin.elapsed();
    assert!(
        waited >= Duration::from_millis(50) && waited < LONG / 2,
        "{waited:?}"
    );
}

fn a_commit_wakes_every_watcher(backend: &dyn Backend) {
    let store = fresh(backend);
    thread::scope(|scope| {
        let watchers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let begin = Instant::now();
                    (store.watch(0, LONG).unwrap(), begin.elapsed())
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(50));
        done(&*store, put([raw("a")]));
        for watcher in watchers {
            let (position, waited) = watcher.join().unwrap();
            assert_eq!(position, 1);
            // Far below the five seconds after which a watcher looks by itself.
            assert!(waited < Duration::from_secs(3), "{waited:?}");
        }
    });
}

fn a_refused_commit_wakes_nobody(backend: &dyn Backend) {
    let store = fresh(backend);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| store.watch(0, Duration::from_millis(200)).unwrap());
        refusal(
            &*store,
            moving(set(&name("x"), Expect::Absent, raw("absent").cid)),
        );
        assert_eq!(watcher.join().unwrap(), 0);
    });
}

fn closing_wakes_watchers(backend: &dyn Backend) {
    let store = fresh(backend);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let begin = Instant::now();
            (store.watch(0, LONG), begin.elapsed())
        });
        thread::sleep(Duration::from_millis(50));
        store.close().unwrap();
        let (answer, waited) = watcher.join().unwrap();
        assert!(matches!(answer, Err(StoreError::Closed)), "{answer:?}");
        assert!(waited < LONG / 2, "{waited:?}");
    });
}

fn listen(store: &dyn Store) -> (Listening, Receiver<()>) {
    let (called, calls) = channel();
    let called = Mutex::new(called);
    // A listener that ended hears nothing.
    let wake = move || {
        let _ = called.lock().unwrap().send(());
    };
    (store.listen(Arc::new(wake)).unwrap(), calls)
}

fn listeners_are_called_after_commits_and_on_close(backend: &dyn Backend) {
    let store = fresh(backend);
    let (first, calls) = listen(&*store);
    let (second, other_calls) = listen(&*store);
    done(&*store, put([raw("a")]));
    calls.recv_timeout(LONG).unwrap();
    other_calls.recv_timeout(LONG).unwrap();
    assert_eq!(
        store.watch(0, Duration::ZERO).unwrap(),
        1,
        "the commit is there when it is told"
    );
    drop(first);
    // A call may be under way still; the channel ends with the last of them.
    assert!(
        calls.iter().take(100).count() < 100,
        "what was dropped is not kept"
    );
    // Calls may come twice, and late: those of the first commit are let pass.
    thread::sleep(Duration::from_millis(50));
    other_calls.try_iter().for_each(drop);
    done(&*store, put([raw("b")]));
    other_calls.recv_timeout(LONG).unwrap();
    thread::sleep(Duration::from_millis(50));
    other_calls.try_iter().for_each(drop);
    store.close().unwrap();
    other_calls.recv_timeout(LONG).unwrap();
    assert!(matches!(
        store.listen(Arc::new(|| ())),
        Err(StoreError::Closed)
    ));
    drop(second);
}
