//! A repeated command after an import is the command of before.

use super::*;

#[test]
fn a_repeated_command_gives_the_same_step() {
    let there = fresh();
    let start = || StartArgs {
        key: Some("k".into()),
        command_id: Some("begin".into()),
        ..StartArgs::new("w")
    };
    let thread = there.start(start()).unwrap().wait().unwrap();
    let first = thread.append(commanded("c1", "a")).unwrap().wait().unwrap();
    say(&thread, "b", "between");
    let failed = thread.fail("oh", Some("c2")).unwrap().wait().unwrap();
    let (out, bytes) = exported(&there, None);
    assert_eq!(out.receipts, 3);

    let here = fresh();
    let report = imported(&here, &bytes).unwrap();
    assert_eq!((report.new_receipts, report.receipts_left), (3, 0));
    let before = state(&here);
    let same = here.start(start()).unwrap().wait().unwrap();
    assert_eq!(same.id(), thread.id());
    let again = same.append(commanded("c1", "a")).unwrap().wait().unwrap();
    assert_eq!(again, first);
    assert_eq!(same.fail("oh", Some("c2")).unwrap().wait().unwrap(), failed);
    assert_eq!(state(&here), before);
    let other = same
        .append(commanded("c1", "b"))
        .map(|pending| pending.wait());
    assert!(
        matches!(other, Err(_) | Ok(Err(_))),
        "another payload is refused"
    );
    assert_sound(&here);
}

#[test]
fn receipts_go_with_the_threads_that_they_are_about() {
    let there = fresh();
    let (a, b) = (begun(&there, "a"), begun(&there, "b"));
    a.append(commanded("1", "x")).unwrap().wait().unwrap();
    b.append(commanded("1", "x")).unwrap().wait().unwrap();
    let mut both = there.batch();
    for thread in [&a, &b] {
        let draft = both.thread(thread).unwrap();
        both.append(draft, StepArgs::new("c", "both")).unwrap();
    }
    both.commit(Some("turn"), Durability::Durable)
        .unwrap()
        .wait()
        .unwrap();
    let only = |thread: &Thread| exported(&there, Some(&[thread.id().to_owned()]));
    assert_eq!((only(&a).0.receipts, only(&b).0.receipts), (2, 2));
    assert_eq!(exported(&there, None).0.receipts, 3);
    // One after the other: the batch's receipt is there when the second comes.
    let here = fresh();
    assert_eq!(imported(&here, &only(&a).1).unwrap().new_receipts, 2);
    assert_eq!(imported(&here, &only(&b).1).unwrap().new_receipts, 1);
    assert_eq!(everything(&here), everything(&there));
    assert_sound(&here);
}

#[test]
fn what_does_not_fit_is_counted() {
    let there = fresh();
    let thread = begun(&there, "a");
    thread.append(commanded("1", "x")).unwrap().wait().unwrap();
    let (_, bytes) = exported(&there, None);
    // A receipt's key is of its scope.
    let elsewhere = Threads::new(there.store().clone(), "other", Durability::Durable).unwrap();
    let report = imported(&elsewhere, &bytes).unwrap();
    assert_eq!((report.new_receipts, report.receipts_left), (0, 1));
    assert_eq!((report.threads.len(), report.new_blocks), (1, 0));
    assert_eq!(everything(&elsewhere), everything(&there));
    assert_sound(&elsewhere);
    // And of its thread.
    say(&thread, "b", "later");
    let report = imported_with(&there, &bytes, OnConflict::Rename).unwrap();
    assert_eq!((report.threads.len(), report.receipts_left), (1, 1));
    let copy = there.get(&report.threads[0]).unwrap();
    copy.append(commanded("1", "x")).unwrap().wait().unwrap();
    assert_eq!(copy.len(), 2, "another thread, another command");
}

#[test]
fn a_receipt_that_is_here_stays_the_answer() {
    let there = fresh();
    let start = || StartArgs {
        command_id: Some("begin".into()),
        ..StartArgs::new("w")
    };
    there.start(start()).unwrap().wait().unwrap();
    let (_, bytes) = exported(&there, None);
    let here = fresh();
    let mine = here.start(start()).unwrap().wait().unwrap();
    let report = imported(&here, &bytes).unwrap();
    assert_eq!((report.threads.len(), report.new_receipts), (1, 0));
    let again = here.start(start()).unwrap().wait().unwrap();
    assert_eq!(again.id(), mine.id());
    assert_sound(&here);
}
