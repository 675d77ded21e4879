//! Finding threads: ids, prefixes, keys, listings, and what is not one.

use treering_store::{Change, Commit, Durability, Expect, RefMove, RefName, Store};
use treering_thread::{Filter, StartArgs, Status, ThreadError, Threads};

use crate::{begun, fresh};

#[test]
fn ids_prefixes_and_keys_find_a_thread() {
    let (_, clock, threads) = fresh();
    let first = threads
        .start(StartArgs {
            key: Some("01AB".into()),
            ..StartArgs::new("w")
        })
        .unwrap()
        .wait()
        .unwrap();
    clock.advance(1 << 40);
    let second = begun(&threads);
    let id = |text: &str| threads.get(text).map(|thread| thread.id().to_owned());
    assert_eq!(id(first.id()).unwrap(), first.id());
    assert_eq!(id(&first.id().to_lowercase()).unwrap(), first.id());
    assert_eq!(id("01AB").unwrap(), first.id(), "a whole key");
    let apart = first
        .id()
        .bytes()
        .zip(second.id().bytes())
        .take_while(|(a, b)| a == b)
        .count();
    assert!(apart < 4, "so four characters tell them apart");
    assert_eq!(id(&second.id()[..4]).unwrap(), second.id());
    assert_eq!(id(&second.id()[..25]).unwrap(), second.id());
    assert!(
        matches!(id(&second.id()[..3]), Err(ThreadError::NotFound { .. })),
        "too short for a prefix"
    );
    let third = begun(&threads);
    match id(&second.id()[..10]) {
        Err(ThreadError::Ambiguous { candidates, .. }) => {
            assert_eq!(candidates, [second.id(), third.id()])
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(threads.by_key("01AB").unwrap().unwrap().id(), first.id());
    assert!(threads.by_key("none").unwrap().is_none());
}

#[test]
fn what_is_no_id_and_no_key_is_told_apart() {
    let (_, _, threads) = fresh();
    for bad in [
        "",
        "  ",
        "a\0b",
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        "a\\b",
    ] {
        assert!(
            matches!(threads.get(bad), Err(ThreadError::Invalid { .. })),
            "{bad:?}"
        );
        assert!(
            matches!(threads.by_key(bad), Err(ThreadError::Invalid { .. })),
            "{bad:?}"
        );
        let start = threads.start(StartArgs {
            key: Some(bad.into()),
            ..StartArgs::new("w")
        });
        assert!(matches!(start, Err(ThreadError::Invalid { .. })), "{bad:?}");
    }
    assert!(matches!(
        threads.get("unknown"),
        Err(ThreadError::NotFound { .. })
    ));
    assert!(matches!(
        threads.get("01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        Err(ThreadError::NotFound { .. })
    ));
    assert!(matches!(
        threads.get(&"k".repeat(600)),
        Err(ThreadError::LimitExceeded { .. })
    ));
    assert!(matches!(
        threads.start(StartArgs::new(" ")),
        Err(ThreadError::Invalid { .. })
    ));
}

#[test]
fn scopes_see_nothing_of_each_other() {
    let (store, _, main) = fresh();
    let other = Threads::new(store.clone(), "other", Durability::Durable).unwrap();
    let thread = main
        .start(StartArgs {
            key: Some("k".into()),
            ..StartArgs::new("w")
        })
        .unwrap()
        .wait()
        .unwrap();
    assert!(matches!(
        other.get(thread.id()),
        Err(ThreadError::NotFound { .. })
    ));
    assert!(matches!(other.get("k"), Err(ThreadError::NotFound { .. })));
    assert!(other.list(&Filter::default()).unwrap().is_empty());
    other
        .start(StartArgs {
            key: Some("k".into()),
            ..StartArgs::new("w")
        })
        .unwrap()
        .wait()
        .unwrap();
    assert!(Threads::new(store, " ", Durability::Durable).is_err());
}

#[test]
fn a_broken_record_is_reported_in_its_place_and_hides_no_other() {
    let (store, _, threads) = fresh();
    let all: Vec<_> = (0..3).map(|_| begun(&threads)).collect();
    let name = RefName::new("main", "thread", [all[1].id()]).unwrap();
    let change = Change::Set {
        target: all[1].head(),
        record: vec![0xff],
    };
    let commit = Commit {
        scope: "main".into(),
        moves: vec![RefMove {
            name,
            expect: Expect::Any,
            change,
        }],
        ..Commit::default()
    };
    store.submit(commit).wait().unwrap();
    for filter in [
        Filter::default(),
        Filter {
            status: Some(Status::Idle),
            ..Filter::default()
        },
    ] {
        let listed = threads.list(&filter).unwrap();
        assert_eq!(
            listed
                .iter()
                .map(|line| line.id.as_str())
                .collect::<Vec<_>>(),
            all.iter().map(|t| t.id()).collect::<Vec<_>>()
        );
        assert_eq!(
            listed
                .iter()
                .map(|line| line.info.is_ok())
                .collect::<Vec<_>>(),
            [true, false, true]
        );
        assert!(matches!(listed[1].info, Err(ThreadError::Corrupt { .. })));
    }
    assert!(matches!(
        threads.get(all[1].id()),
        Err(ThreadError::Corrupt { .. })
    ));
}

#[test]
fn listings_are_by_creation_and_filtered() {
    let (_, clock, threads) = fresh();
    let mut ids = Vec::new();
    for n in 0..1500 {
        clock.advance(i64::from(n % 3 == 0));
        ids.push(
            threads
                .start(StartArgs::new(if n % 2 == 0 { "even" } else { "odd" }))
                .unwrap()
                .wait()
                .unwrap()
                .id()
                .to_owned(),
        );
    }
    let listed: Vec<_> = threads
        .list(&Filter::default())
        .unwrap()
        .into_iter()
        .map(|line| line.id)
        .collect();
    assert_eq!(listed, ids);
    let odd = Filter {
        workflow: Some("odd".into()),
        ..Filter::default()
    };
    assert_eq!(threads.list(&odd).unwrap().len(), 750);
    assert!(matches!(
        threads.list(&Filter {
            day: Some("today".into()),
            ..Filter::default()
        }),
        Err(ThreadError::Invalid { .. })
    ));
}
