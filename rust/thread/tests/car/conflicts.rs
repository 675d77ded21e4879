//! Threads that are in the way: refused, renamed or left out, and never changed.

use treering_thread::{ForkArgs, ForkAt};

use super::*;

/// A file with a keyed thread and a fork of it, and the store that it is from.
fn two() -> (Threads, Vec<String>, Vec<u8>) {
    let there = fresh();
    let thread = begun(&there, "k");
    say(&thread, "a", "one");
    let fork = thread
        .fork(ForkAt::Head, ForkArgs::default())
        .unwrap()
        .wait()
        .unwrap();
    say(&fork, "b", "two");
    let ids = vec![thread.id().to_owned(), fork.id().to_owned()];
    let (_, bytes) = exported(&there, None);
    (there, ids, bytes)
}

#[test]
fn a_thread_that_went_on_is_in_the_way() {
    let (there, ids, bytes) = two();
    say(&there.get(&ids[0]).unwrap(), "a", "later");
    let (before, told_before) = (state(&there), everything(&there));
    let error = imported(&there, &bytes).unwrap_err();
    assert!(matches!(&error, CarError::ThreadExists { thread } if *thread == ids[0]));
    assert_eq!(state(&there), before);

    let report = imported_with(&there, &bytes, OnConflict::Skip).unwrap();
    assert_eq!(
        (&report.skipped, &report.there),
        (&ids[..1].to_vec(), &ids[1..].to_vec())
    );
    assert_eq!((report.threads.len(), state(&there)), (0, before));

    let report = imported_with(&there, &bytes, OnConflict::Rename).unwrap();
    let [(was, now)] = report.renamed.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!((was, &report.threads), (&ids[0], &vec![now.clone()]));
    let copy = there.get(now).unwrap();
    assert_eq!((copy.len(), copy.key().as_deref()), (1, Some("k-2")));
    assert_eq!(there.by_key("k").unwrap().unwrap().id(), ids[0]);
    for told in told_before {
        assert!(everything(&there).contains(&told), "nothing else changed");
    }
    assert_sound(&there);
    // Again: it is there already, under its other name.
    let before = state(&there);
    let again = imported_with(&there, &bytes, OnConflict::Rename).unwrap();
    assert_eq!(again.threads.len(), 0);
    assert_eq!(again.there, [now.clone(), ids[1].clone()]);
    assert_eq!(state(&there), before);
}

#[test]
fn a_key_that_is_taken_is_in_the_way() {
    let (_, ids, bytes) = two();
    let here = fresh();
    let other = begun(&here, "k");
    let before = state(&here);
    let error = imported(&here, &bytes).unwrap_err();
    assert!(matches!(&error, CarError::KeyExists { key, thread, holder }
        if key == "k" && *thread == ids[0] && holder == other.id()));
    assert_eq!(state(&here), before);

    let report = imported_with(&here, &bytes, OnConflict::Skip).unwrap();
    assert_eq!(
        (&report.skipped, &report.threads),
        (&ids[..1].to_vec(), &ids[1..].to_vec())
    );
    assert!(here.get(&ids[0]).is_err());

    let here = fresh();
    begun(&here, "k");
    begun(&here, "k-2");
    let report = imported_with(&here, &bytes, OnConflict::Rename).unwrap();
    assert_eq!((&report.threads, report.renamed.len()), (&ids, 0));
    assert_eq!(here.get(&ids[0]).unwrap().key().as_deref(), Some("k-3"));
    assert_sound(&here);
    let before = state(&here);
    let again = imported_with(&here, &bytes, OnConflict::Rename).unwrap();
    assert_eq!((&again.there, state(&here)), (&ids, before));
    // Who does not rename finds that it is not the same.
    assert!(matches!(
        imported(&here, &bytes),
        Err(CarError::ThreadExists { .. })
    ));
}

#[test]
fn a_fork_goes_with_its_renamed_parent() {
    let (there, ids, bytes) = two();
    for id in &ids {
        say(&there.get(id).unwrap(), "a", "later");
    }
    let report = imported_with(&there, &bytes, OnConflict::Rename).unwrap();
    assert_eq!(report.renamed.len(), 2);
    let now = |id: &str| {
        let found = report.renamed.iter().find(|(was, _)| was == id);
        found.unwrap().1.clone()
    };
    let fork = there.get(&now(&ids[1])).unwrap();
    assert_eq!(fork.info().forked_from, Some((now(&ids[0]), 1)));
    assert_sound(&there);
}

#[test]
fn a_removed_thread_can_come_back() {
    let (there, ids, bytes) = two();
    let before = everything(&there);
    for id in &ids {
        there
            .get(id)
            .unwrap()
            .rm(false, None)
            .unwrap()
            .wait()
            .unwrap();
    }
    let report = imported(&there, &bytes).unwrap();
    assert_eq!((&report.threads, report.new_blocks), (&ids, 0));
    assert_eq!(everything(&there), before);
    assert_sound(&there);
}
