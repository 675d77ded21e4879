//! Many changes in flight through one handle: order, and what happens when one of them fails.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use treering_block::Cid;
use treering_store::{Durability, StoreError};
use treering_thread::{Outcome, Pending, Status, Step, StepArgs, Thread, ThreadError, Threads};

use crate::staged::Staged;
use crate::{begun, texts, timeless};

fn staged() -> (Arc<Staged>, Threads, Thread) {
    let store = Staged::new();
    let threads = Threads::new(store.clone(), "main", Durability::Durable).unwrap();
    let thread = begun(&threads);
    (store, threads, thread)
}

fn append(thread: &Thread, text: &str) -> Pending<Step> {
    thread.append(timeless("coder", text)).unwrap()
}

#[test]
fn changes_are_submitted_at_once_and_land_in_the_order_of_their_calls() {
    let (store, _, thread) = staged();
    store.hold();
    let pending: Vec<_> = (1..=64).map(|n| append(&thread, &n.to_string())).collect();
    assert_eq!(store.waiting(), 64, "nobody waits for the one before");
    assert_eq!(thread.len(), 0, "nothing is acknowledged yet");
    store.release();
    let numbers: Vec<u64> = pending
        .into_iter()
        .map(|pending| pending.wait().unwrap().number)
        .collect();
    assert_eq!(numbers, (1..=64).collect::<Vec<_>>());
    assert_eq!(
        texts(&thread),
        (1..=64).map(|n| n.to_string()).collect::<Vec<_>>()
    );
}

#[test]
fn the_order_of_waiting_does_not_matter() {
    let (store, _, thread) = staged();
    store.hold();
    let mut pending: Vec<_> = (1..=8).map(|n| append(&thread, &n.to_string())).collect();
    store.release();
    pending.reverse();
    let numbers: Vec<u64> = pending
        .into_iter()
        .map(|pending| pending.wait().unwrap().number)
        .collect();
    assert_eq!(numbers, (1..=8).rev().collect::<Vec<_>>());
}

#[test]
fn a_dropped_answer_undoes_nothing() {
    let (store, _, thread) = staged();
    store.hold();
    drop(append(&thread, "a"));
    let second = append(&thread, "b");
    store.release();
    assert_eq!(second.wait().unwrap().number, 2);
    drop(append(&thread, "c"));
    assert_eq!(append(&thread, "d").wait().unwrap().number, 4);
    assert_eq!(texts(&thread), ["a", "b", "c", "d"]);
}

#[test]
fn a_change_that_fails_for_itself_takes_no_other_along() {
    let (store, _, thread) = staged();
    store.hold();
    let first = append(&thread, "first");
    let dangling = StepArgs {
        links: vec![Cid::of_raw(b"nowhere")],
        ..timeless("coder", "dangling")
    };
    let bad = thread.append(dangling).unwrap();
    let third = append(&thread, "third");
    let fourth = append(&thread, "fourth");
    store.release();
    assert_eq!(first.wait().unwrap().number, 1);
    assert!(matches!(
        bad.wait(),
        Err(ThreadError::Store(StoreError::LinkMissing { .. }))
    ));
    assert_eq!(third.wait().unwrap().number, 2);
    assert_eq!(fourth.wait().unwrap().number, 3);
    assert_eq!(texts(&thread), ["first", "third", "fourth"]);
}

#[test]
fn a_head_that_others_moved_fails_all_in_flight_and_loses_nothing() {
    let (store, threads, thread) = staged();
    let other = threads.get(thread.id()).unwrap();
    store.hold();
    let theirs = append(&other, "theirs");
    let mine: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|text| append(&thread, text))
        .collect();
    store.release();
    let start = thread.head();
    let theirs = theirs.wait().unwrap();
    for pending in mine {
        match pending.wait() {
            Err(ThreadError::HeadMoved {
                at_step: 1,
                at,
                expected_step: 0,
                expected,
                ..
            }) => {
                assert_eq!((at, expected), (theirs.cid, start));
            }
            other => panic!("{other:?}"),
        }
    }
    // Still so until the handle is refreshed; then it goes on.
    assert!(matches!(
        append(&thread, "d").wait(),
        Err(ThreadError::HeadMoved { .. })
    ));
    thread.refresh().unwrap();
    assert_eq!(append(&thread, "e").wait().unwrap().number, 2);
    assert_eq!(texts(&thread), ["theirs", "e"]);
}

#[test]
fn a_record_that_others_changed_is_no_reason_to_fail() {
    let (store, threads, thread) = staged();
    let other = threads.get(thread.id()).unwrap();
    store.hold();
    let failure = other.fail("flaky network", None).unwrap();
    let mine: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|text| append(&thread, text))
        .collect();
    store.apply(4);
    failure.wait().unwrap();
    store.release();
    let numbers: Vec<u64> = mine
        .into_iter()
        .map(|pending| pending.wait().unwrap().number)
        .collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(texts(&thread), ["a", "b", "c"]);
    assert_eq!(thread.info().status, Status::Idle);
}

#[test]
fn a_record_that_others_closed_is() {
    let (store, threads, thread) = staged();
    let other = threads.get(thread.id()).unwrap();
    store.hold();
    let cancelled = other.cancel("enough", None).unwrap();
    let mine: Vec<_> = ["a", "b"]
        .iter()
        .map(|text| append(&thread, text))
        .collect();
    store.apply(3);
    cancelled.wait().unwrap();
    store.release();
    for pending in mine {
        match pending.wait() {
            Err(ThreadError::WrongStatus {
                status: Status::Cancelled,
                verb: "append",
                ..
            }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(threads.get(thread.id()).unwrap().len(), 0);
}

#[test]
fn a_removed_thread_fails_all_in_flight() {
    let (store, threads, thread) = staged();
    let other = threads.get(thread.id()).unwrap();
    store.hold();
    let removed = other.rm(false, None).unwrap();
    let mine: Vec<_> = ["a", "b"]
        .iter()
        .map(|text| append(&thread, text))
        .collect();
    store.release();
    removed.wait().unwrap();
    for pending in mine {
        assert!(matches!(pending.wait(), Err(ThreadError::NotFound { .. })));
    }
    assert!(matches!(
        thread.append(timeless("coder", "c")),
        Err(ThreadError::NotFound { .. })
    ));
}

#[test]
fn a_repeated_command_in_flight_is_answered_and_those_behind_it_go_on() {
    let (store, threads, thread) = staged();
    let other = threads.get(thread.id()).unwrap();
    let command = |id: &str| StepArgs {
        command_id: Some(id.into()),
        ..timeless("coder", id)
    };
    store.hold();
    let first = other.append(command("one")).unwrap();
    let repeated = thread.append(command("one")).unwrap();
    let behind = append(&thread, "behind");
    let last = thread.append(command("two")).unwrap();
    store.apply(4);
    let first = first.wait().unwrap();
    store.release();
    assert_eq!(repeated.wait().unwrap(), first);
    assert_eq!(behind.wait().unwrap().number, 2);
    assert_eq!(last.wait().unwrap().number, 3);
    assert_eq!(texts(&thread), ["one", "behind", "two"]);
}

#[test]
fn the_same_command_twice_in_flight_is_one_step() {
    let (store, _, thread) = staged();
    let command = || StepArgs {
        command_id: Some("c".into()),
        ..StepArgs::new("coder", "once")
    };
    store.hold();
    let first = thread.append(command()).unwrap();
    let second = thread.append(command()).unwrap();
    let third = append(&thread, "more");
    store.release();
    let first = first.wait().unwrap();
    assert_eq!(second.wait().unwrap(), first);
    assert_eq!(third.wait().unwrap().number, 2);
    assert_eq!(texts(&thread), ["once", "more"]);
}

#[test]
fn an_equal_step_of_others_is_theirs_alone() {
    // Both write the same node at the same place: the second is refused, not taken for the first.
    let (store, threads, thread) = staged();
    let other = threads.get(thread.id()).unwrap();
    store.hold();
    let theirs = append(&other, "same");
    let mine = append(&thread, "same");
    let behind = append(&thread, "behind");
    store.release();
    theirs.wait().unwrap();
    assert!(matches!(mine.wait(), Err(ThreadError::HeadMoved { .. })));
    // It names the node that now stands there, whoever wrote it: it may land, and then only once.
    let landed = behind.wait().is_ok();
    let now = texts(&threads.get(thread.id()).unwrap());
    assert_eq!(now.len(), 1 + usize::from(landed), "{now:?}");
}

#[test]
fn a_change_of_the_record_between_two_in_flight_is_not_overwritten() {
    // The first is refused since somebody paused the thread; the version that the second expects is then
    // there, with another target: it must not land either, even when its parent node exists elsewhere.
    let (store, threads, thread) = staged();
    let twin = thread
        .fork(Default::default(), Default::default())
        .unwrap()
        .wait()
        .unwrap();
    append(&twin, "a").wait().unwrap();
    let other = threads.get(thread.id()).unwrap();
    store.hold();
    let paused = other.pause(None).unwrap();
    let a = append(&thread, "a");
    let b = append(&thread, "b");
    store.release();
    paused.wait().unwrap();
    assert!(matches!(
        a.wait(),
        Err(ThreadError::WrongStatus {
            status: Status::Paused,
            ..
        })
    ));
    assert!(matches!(
        b.wait(),
        Err(ThreadError::WrongStatus {
            status: Status::Paused,
            ..
        })
    ));
    assert_eq!(
        threads.get(thread.id()).unwrap().info().status,
        Status::Paused
    );
}

#[test]
fn a_refresh_in_flight_knows_its_own_changes_from_others() {
    let (store, threads, thread) = staged();
    store.hold();
    let a = append(&thread, "a");
    let b = append(&thread, "b");
    // Committed, and not answered yet: what an embedded store may show.
    thread.refresh().unwrap();
    store.release();
    a.wait().unwrap();
    b.wait().unwrap();
    let other = threads.get(thread.id()).unwrap();
    append(&other, "c").wait().unwrap();
    store.hold();
    let stale = append(&thread, "d");
    thread.refresh().unwrap();
    let fresh = append(&thread, "e");
    store.release();
    assert!(
        matches!(stale.wait(), Err(ThreadError::HeadMoved { .. })),
        "it was built on what was seen then"
    );
    assert_eq!(fresh.wait().unwrap().number, 4);
    assert_eq!(texts(&thread), ["a", "b", "c", "e"]);
}

#[test]
fn cancelling_waits_for_no_refresh() {
    let (_, threads, thread) = staged();
    let other = threads.get(thread.id()).unwrap();
    append(&other, "theirs").wait().unwrap();
    thread.cancel("enough", None).unwrap().wait().unwrap();
    assert_eq!(
        threads.get(thread.id()).unwrap().info().status,
        Status::Cancelled
    );
    // The stale handle has not seen the step, and does not pretend to.
    assert_eq!(thread.len(), 0);
}

#[test]
fn threads_of_the_machine_share_a_handle() {
    let (_, _, thread) = staged();
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let thread = &thread;
            scope.spawn(move || {
                for n in 0..25 {
                    append(thread, &format!("{worker}-{n}")).wait().unwrap();
                }
            });
        }
    });
    let mut all = texts(&thread);
    assert_eq!(all.len(), 200);
    for worker in 0..8 {
        let own: Vec<_> = all
            .iter()
            .filter(|text| text.starts_with(&format!("{worker}-")))
            .cloned()
            .collect();
        assert_eq!(
            own,
            (0..25).map(|n| format!("{worker}-{n}")).collect::<Vec<_>>()
        );
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 200);
}

#[test]
fn two_writers_on_two_handles_lose_nothing() {
    let (_, threads, thread) = staged();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let own = threads.get(thread.id()).unwrap();
            scope.spawn(move || {
                for n in 0..25 {
                    loop {
                        match append(&own, &format!("{worker}-{n}")).wait() {
                            Ok(_) => break,
                            Err(ThreadError::HeadMoved { .. }) => own.refresh().unwrap(),
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            });
        }
    });
    thread.refresh().unwrap();
    let mut all = texts(&thread);
    assert_eq!(all.len(), 100);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 100);
}

#[test]
fn an_answer_can_be_asked_for_waited_for_and_called_back() {
    let (store, threads, thread) = staged();
    let other = threads.get(thread.id()).unwrap();
    store.hold();
    let failure = other.fail("meanwhile", None).unwrap();
    let pending = append(&thread, "a");
    let pending = match pending.wait_for(Duration::from_millis(5)) {
        Err(pending) => pending,
        Ok(answer) => panic!("nothing was applied: {answer:?}"),
    };
    let (called, calls) = channel();
    let again = called.clone();
    pending
        .ticket()
        .on_answer(move || called.send("first").unwrap());
    assert!(calls.try_recv().is_err());
    store.apply(2);
    failure.wait().unwrap();
    assert_eq!(calls.recv().unwrap(), "first");
    // The record had changed meanwhile: a second commit is on its way.
    let pending = match pending.resolve() {
        Outcome::Again(pending) => pending,
        Outcome::Done(answer) => panic!("{answer:?}"),
    };
    pending
        .ticket()
        .on_answer(move || again.send("second").unwrap());
    store.apply(1);
    assert_eq!(calls.recv().unwrap(), "second");
    match pending.resolve() {
        Outcome::Done(step) => assert_eq!(step.unwrap().number, 1),
        Outcome::Again(_) => panic!("nothing has changed since"),
    }
    store.release();
    let answer = append(&thread, "b")
        .map(|step| Ok(step.number))
        .wait_for(Duration::from_secs(5));
    assert_eq!(answer.ok().map(Result::unwrap), Some(2));
}
