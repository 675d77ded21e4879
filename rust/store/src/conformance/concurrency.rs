//! Many threads on one store.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::material::{
    assert_sound, command, done, fresh, moving, name, node, put, raw, set, version,
};
use super::{Backend, cases};
use crate::commit::{Address, Commit, Durability, Expect};
use crate::cursor::Cursor;
use crate::error::StoreError;

cases!("concurrency":
    of_two_writers_on_one_head_one_wins,
    sixty_four_threads_submit,
    nothing_is_lost_by_losers_who_retry,
    one_command_id_from_many_threads_lands_once,
    a_poller_skips_no_commit,
    a_read_sees_what_was_answered,
);

fn of_two_writers_on_one_head_one_wins(backend: &dyn Backend) {
    let store = fresh(backend);
    let start = raw("start");
    done(
        &*store,
        Commit {
            moves: vec![set(&name("x"), Expect::Absent, start.cid)],
            ..put([start.clone()])
        },
    );
    for round in 1..=50_u64 {
        let together = Barrier::new(2);
        let answers = thread::scope(|scope| {
            let writers = ["left", "right"].map(|side| {
                let (store, together, start) = (&store, &together, &start);
                scope.spawn(move || {
                    let next = node(&format!("{side} {round}"), &[start.cid]);
                    together.wait();
                    let answer = store
                        .submit(Commit {
                            moves: vec![set(&name("x"), Expect::Version(round), next.cid)],
                            ..put([next.clone()])
                        })
                        .wait();
                    (next.cid, answer)
                })
            });
            writers.map(|writer| writer.join().unwrap())
        });
        let value = store.read_ref(&name("x")).unwrap().unwrap();
        assert_eq!(value.version, round + 1);
        let won: Vec<_> = answers
            .iter()
            .filter(|(_, answer)| answer.is_ok())
            .collect();
        assert_eq!(won.len(), 1);
        assert_eq!(value.target, won[0].0);
        for (cid, answer) in &answers {
            if let Err(error) = answer {
                assert!(
                    matches!(error, StoreError::RefMoved { actual: Some(actual), .. } if actual.version == round + 1)
                );
                assert!(!store.has(cid).unwrap(), "the loser left its block");
            }
        }
    }
    assert_sound(&*store);
}

fn sixty_four_threads_submit(backend: &dyn Backend) {
    let store = fresh(backend);
    // Opening may take requests of its own.
    let before = store.counters().requests;
    let together = Barrier::new(64);
    thread::scope(|scope| {
        for writer in 0..64_u8 {
            let (store, together) = (&store, &together);
            scope.spawn(move || {
                together.wait();
                for step in 0..5_u8 {
                    let block = raw([writer, step]);
                    let expect = if step == 0 {
                        Expect::Absent
                    } else {
                        Expect::Version(u64::from(step))
                    };
                    let commit = Commit {
                        moves: vec![set(&name(&writer.to_string()), expect, block.cid)],
                        durability: if step % 2 == 0 {
                            Durability::Durable
                        } else {
                            Durability::Relaxed
                        },
                        ..put([block, raw("shared")])
                    };
                    assert_eq!(
                        store.submit(commit).wait().unwrap().versions,
                        [u64::from(step) + 1]
                    );
                }
            });
        }
    });
    let stats = store.stats().unwrap();
    assert_eq!(
        (stats.blocks, stats.refs, stats.commits),
        (64 * 5 + 1, 64, 64 * 5)
    );
    let counters = store.counters();
    assert_eq!(counters.requests - before, 64 * 5);
    assert!(counters.batches <= counters.requests);
    assert_sound(&*store);
}

fn nothing_is_lost_by_losers_who_retry(backend: &dyn Backend) {
    let store = fresh(backend);
    done(&*store, put([raw("a")]));
    let lost = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    loop {
                        let expect = match version(&*store, &name("x")) {
                            0 => Expect::Absent,
                            version => Expect::Version(version),
                        };
                        match store
                            .submit(moving(set(&name("x"), expect, raw("a").cid)))
                            .wait()
                        {
                            Ok(_) => break,
                            Err(StoreError::RefMoved { .. }) => {
                                lost.fetch_add(1, Ordering::Relaxed)
                            }
                            Err(other) => panic!("{other:?}"),
                        };
                    }
                }
            });
        }
    });
    assert_eq!(version(&*store, &name("x")), 200);
    assert_eq!(store.head().unwrap().position, 201);
}

fn one_command_id_from_many_threads_lands_once(backend: &dyn Backend) {
    let store = fresh(backend);
    done(&*store, put([raw("a")]));
    let together = Barrier::new(16);
    let wrote = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                together.wait();
                let commit = Commit {
                    command: Some(command(Address::Scope("main".into()), "turn-1", 1)),
                    ..moving(set(&name("x"), Expect::Any, raw("a").cid))
                };
                match store.submit(commit).wait().unwrap().replay {
                    None => wrote.fetch_add(1, Ordering::Relaxed),
                    Some(receipt) => {
                        assert_eq!(receipt, b"receipt of turn-1");
                        0
                    }
                };
            });
        }
    });
    assert_eq!((wrote.into_inner(), version(&*store, &name("x"))), (1, 1));
}

/// Follows the journal by cursor while others write: every position comes once, in order.
fn a_poller_skips_no_commit(backend: &dyn Backend) {
    let store = fresh(backend);
    let writing = AtomicBool::new(true);
    let seen = thread::scope(|scope| {
        let poller = scope.spawn(|| {
            let (mut seen, mut after) = (Vec::new(), Cursor::default());
            loop {
                // Asked before the page is read, so that the last page is not missed.
                let last_round = !writing.load(Ordering::SeqCst);
                let page = store.journal(Some(&after), 7).unwrap();
                match page.last() {
                    Some(last) => after = last.cursor(),
                    None if last_round => return seen,
                    None => {
                        store
                            .watch(after.position, Duration::from_millis(5))
                            .unwrap();
                    }
                }
                seen.extend(page.into_iter().map(|entry| entry.position));
            }
        });
        let writers: Vec<_> = (0..8_u8)
            .map(|writer| {
                let store = &store;
                scope.spawn(move || {
                    for step in 0..40_u8 {
                        done(&**store, put([raw([writer, step])]));
                    }
                })
            })
            .collect();
        writers
            .into_iter()
            .for_each(|writer| writer.join().unwrap());
        writing.store(false, Ordering::SeqCst);
        poller.join().unwrap()
    });
    assert_eq!(seen, (1..=320).collect::<Vec<u64>>());
}

fn a_read_sees_what_was_answered(backend: &dyn Backend) {
    let store = fresh(backend);
    thread::scope(|scope| {
        for writer in 0..8_u8 {
            let store = &store;
            scope.spawn(move || {
                for step in 0..20_u8 {
                    let block = raw([writer, step]);
                    let ref_name = name(&format!("{writer} {step}"));
                    let position = done(
                        &**store,
                        Commit {
                            moves: vec![set(&ref_name, Expect::Absent, block.cid)],
                            ..put([block.clone()])
                        },
                    )
                    .position;
                    // From another thread than the one that waited.
                    thread::scope(|inner| {
                        inner.spawn(|| {
                            assert_eq!(store.get(&block.cid).unwrap(), block.bytes);
                            assert_eq!(version(&**store, &ref_name), 1);
                            assert!(store.head().unwrap().position >= position);
                        });
                    });
                }
            });
        }
    });
}
