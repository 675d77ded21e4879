//! Refs: compare-and-swap, versions, listings.

use super::material::{
    assert_sound, done, fresh, moving, name, put, raw, refusal, remove, set, version,
};
use super::{Backend, cases};
use crate::commit::{Change, Commit, Expect, RECORD_BYTES_MAX, RefMove};
use crate::error::StoreError;
use crate::name::RefName;
use crate::store::Store;

cases!("refs":
    versions_grow_by_one,
    expectations_are_kept,
    the_same_version_of_another_history_is_not_it,
    a_removed_ref_starts_again,
    removing_what_is_absent_is_nothing,
    records_come_back,
    a_ref_never_points_at_what_is_absent,
    listings_are_ordered_and_paged,
    kinds_and_scopes_do_not_mix,
    any_name_is_kept_apart,
);

fn begun(backend: &dyn Backend) -> std::sync::Arc<dyn Store> {
    let store = fresh(backend);
    done(&*store, put([raw("a"), raw("b")]));
    store
}

fn versions_grow_by_one(backend: &dyn Backend) {
    let store = begun(backend);
    let name = name("x");
    assert_eq!(store.read_ref(&name).unwrap(), None);
    for (expected, target) in [(1, "a"), (2, "b"), (3, "b"), (4, "a")] {
        let expect = if expected == 1 {
            Expect::Absent
        } else {
            Expect::Version(expected - 1)
        };
        let answer = done(&*store, moving(set(&name, expect, raw(target).cid)));
        assert_eq!(answer.versions, [expected]);
        let value = store.read_ref(&name).unwrap().unwrap();
        assert_eq!(
            (value.version, value.target, value.record),
            (expected, raw(target).cid, b"record".to_vec())
        );
    }
    assert_eq!(
        done(&*store, moving(set(&name, Expect::Any, raw("b").cid))).versions,
        [5]
    );
    assert_sound(&*store);
}

fn expectations_are_kept(backend: &dyn Backend) {
    let store = begun(backend);
    let (here, absent) = (name("here"), name("absent"));
    done(&*store, moving(set(&here, Expect::Any, raw("a").cid)));
    done(&*store, moving(set(&here, Expect::Any, raw("a").cid)));
    let wrong = [
        (&here, Expect::Absent),
        (&here, Expect::Version(1)),
        (&here, Expect::Version(3)),
        (&absent, Expect::Version(1)),
        (&absent, Expect::Version(0)),
    ];
    for (which, expect) in wrong {
        for step in [
            set(which, expect.clone(), raw("b").cid),
            remove(which, expect.clone()),
        ] {
            // The other half of the commit is fine and must not land.
            let mut both = moving(step);
            both.moves
                .insert(0, set(&name("other"), Expect::Absent, raw("a").cid));
            both.blocks = vec![raw("new")];
            match refusal(&*store, both) {
                StoreError::RefMoved {
                    name,
                    expected,
                    actual,
                } => {
                    assert_eq!((&name, expected), (which, expect.clone()));
                    assert_eq!(actual, store.read_ref(which).unwrap());
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_sound(&*store);
}

/// Versions start again when a ref is made again, so a number alone may be met by somebody else's change.
fn the_same_version_of_another_history_is_not_it(backend: &dyn Backend) {
    let store = begun(backend);
    let name = name("x");
    let at = |version, target: &str| Expect::At {
        version,
        target: raw(target).cid,
    };
    let refused = |expect: Expect| {
        for step in [
            set(&name, expect.clone(), raw("b").cid),
            remove(&name, expect.clone()),
        ] {
            match refusal(&*store, moving(step)) {
                StoreError::RefMoved {
                    expected, actual, ..
                } => {
                    assert_eq!(expected, expect);
                    assert_eq!(actual, store.read_ref(&name).unwrap());
                }
                other => panic!("{other:?}"),
            }
        }
    };
    refused(at(0, "a"));
    refused(at(1, "a"));
    done(&*store, moving(set(&name, Expect::Absent, raw("a").cid)));
    refused(at(1, "b"));
    refused(at(2, "a"));
    refused(at(0, "a"));
    let moved = done(&*store, moving(set(&name, at(1, "a"), raw("b").cid)));
    assert_eq!(moved.versions, [2]);
    // The same target at a later version is not it, either.
    done(&*store, moving(set(&name, at(2, "b"), raw("a").cid)));
    refused(at(1, "a"));
    done(&*store, moving(remove(&name, at(3, "a"))));
    assert_eq!(store.read_ref(&name).unwrap(), None);
    done(&*store, moving(set(&name, Expect::Absent, raw("b").cid)));
    refused(at(1, "a"));
    done(&*store, moving(set(&name, at(1, "b"), raw("a").cid)));
    assert_sound(&*store);
}

fn a_removed_ref_starts_again(backend: &dyn Backend) {
    let store = begun(backend);
    let name = name("x");
    for _ in 0..2 {
        done(&*store, moving(set(&name, Expect::Absent, raw("a").cid)));
        assert_eq!(
            done(
                &*store,
                moving(set(&name, Expect::Version(1), raw("b").cid))
            )
            .versions,
            [2]
        );
        assert_eq!(
            done(&*store, moving(remove(&name, Expect::Version(2)))).versions,
            [0]
        );
        assert_eq!(store.read_ref(&name).unwrap(), None);
    }
    assert!(
        store
            .list_refs("main", "thread", None, 9)
            .unwrap()
            .is_empty()
    );
    assert_sound(&*store);
}

fn removing_what_is_absent_is_nothing(backend: &dyn Backend) {
    let store = begun(backend);
    let head = store.head().unwrap();
    for expect in [Expect::Any, Expect::Absent] {
        assert_eq!(
            done(&*store, moving(remove(&name("x"), expect))).versions,
            [0]
        );
    }
    assert_eq!(store.head().unwrap(), head);
}

fn records_come_back(backend: &dyn Backend) {
    let store = begun(backend);
    for record in [vec![], vec![0], vec![0xff; RECORD_BYTES_MAX]] {
        let change = Change::Set {
            target: raw("a").cid,
            record: record.clone(),
        };
        done(
            &*store,
            moving(RefMove {
                name: name("x"),
                expect: Expect::Any,
                change,
            }),
        );
        assert_eq!(store.read_ref(&name("x")).unwrap().unwrap().record, record);
        let listed = store
            .list_refs("main", "thread", None, 1)
            .unwrap()
            .remove(0)
            .1
            .unwrap();
        assert_eq!(listed.record, record);
    }
    assert_sound(&*store);
}

fn a_ref_never_points_at_what_is_absent(backend: &dyn Backend) {
    let store = begun(backend);
    let absent = raw("absent").cid;
    let error = refusal(&*store, moving(set(&name("x"), Expect::Absent, absent)));
    assert!(matches!(error, StoreError::LinkMissing { link, .. } if link == absent));
    // New in the same commit is present.
    let with_block = Commit {
        blocks: vec![raw("absent")],
        ..moving(set(&name("x"), Expect::Absent, absent))
    };
    assert_eq!(done(&*store, with_block).versions, [1]);
}

fn listings_are_ordered_and_paged(backend: &dyn Backend) {
    let store = begun(backend);
    let mut names: Vec<RefName> = ["b", "a", "ab", "a b", "B", "é", "0", "~", "a/b"]
        .map(name)
        .to_vec();
    names.push(RefName::new("main", "thread", [""; 0]).unwrap());
    names.push(RefName::new("main", "thread", ["a", "b"]).unwrap());
    let moves = names
        .iter()
        .map(|name| set(name, Expect::Absent, raw("a").cid))
        .collect();
    done(&*store, Commit { moves, ..put([]) });
    names.sort_by(|a, b| a.encoded().cmp(b.encoded()));
    let list = |after: Option<&RefName>, limit| -> Vec<RefName> {
        let refs = store.list_refs("main", "thread", after, limit).unwrap();
        refs.into_iter()
            .map(|(name, value)| {
                assert_eq!(value.unwrap(), store.read_ref(&name).unwrap().unwrap());
                name
            })
            .collect()
    };
    assert_eq!(list(None, usize::MAX), names);
    for limit in 1..4 {
        let mut paged = list(None, limit);
        while let Some(last) = paged.last().cloned() {
            let page = list(Some(&last), limit);
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged, names);
    }
    // A place between refs is as good as one of them.
    let after: Vec<RefName> = names
        .iter()
        .filter(|other| **other > name("aa"))
        .cloned()
        .collect();
    assert_eq!(list(Some(&name("aa")), usize::MAX), after);
    assert!(list(None, 0).is_empty());
    // Names of another kind or scope stand before or behind all.
    assert_eq!(
        list(
            Some(&RefName::new("main", "pin", ["z"]).unwrap()),
            usize::MAX
        ),
        names
    );
    assert!(
        list(
            Some(&RefName::new("zoo", "thread", ["a"]).unwrap()),
            usize::MAX
        )
        .is_empty()
    );
}

fn kinds_and_scopes_do_not_mix(backend: &dyn Backend) {
    let store = begun(backend);
    let names = [
        ("main", "thread"),
        ("main", "thread-key"),
        ("main", "thread.x"),
        ("main", "thread0"),
        ("main2", "thread"),
        ("main/thread", "thread"),
        ("Main", "thread"),
    ]
    .map(|(scope, kind)| RefName::new(scope, kind, ["x"]).unwrap());
    for name in &names {
        done(&*store, moving(set(name, Expect::Absent, raw("a").cid)));
    }
    for name in &names {
        let listed = store.list_refs(name.scope(), name.kind(), None, 9).unwrap();
        assert_eq!(
            listed.into_iter().map(|(name, _)| name).collect::<Vec<_>>(),
            std::slice::from_ref(name)
        );
    }
    assert!(
        store
            .list_refs("nobody", "thread", None, 9)
            .unwrap()
            .is_empty()
    );
    for (scope, kind) in [
        ("", "thread"),
        (" ", "thread"),
        ("main", ""),
        ("main", "a/b"),
        ("main", "Thread"),
    ] {
        assert!(
            matches!(
                store.list_refs(scope, kind, None, 9),
                Err(StoreError::Invalid { .. })
            ),
            "{scope:?} {kind:?}"
        );
    }
    assert_eq!(
        store.scopes().unwrap(),
        ["Main", "main", "main/thread", "main2"]
    );
    assert_eq!(
        store.kinds("main").unwrap(),
        ["thread", "thread-key", "thread.x", "thread0"]
    );
    assert_eq!(store.kinds("main/thread").unwrap(), ["thread"]);
    assert!(store.kinds("mai").unwrap().is_empty());
    assert!(matches!(store.kinds(" "), Err(StoreError::Invalid { .. })));
    let last = RefName::new("main2", "thread", ["x"]).unwrap();
    done(&*store, moving(remove(&last, Expect::Any)));
    assert_eq!(
        store.scopes().unwrap(),
        ["Main", "main", "main/thread"],
        "a scope without refs is none"
    );
    assert!(fresh(backend).scopes().unwrap().is_empty());
}

fn any_name_is_kept_apart(backend: &dyn Backend) {
    let store = begun(backend);
    let parts = [
        "..",
        "/",
        "//",
        "%2F",
        "%",
        "\0",
        "a\0",
        "e\u{301}",
        "é",
        "É",
        "'; DROP TABLE ref; --",
        "*",
        "_",
        "\u{10ffff}",
    ];
    for part in parts {
        let answer = done(
            &*store,
            moving(set(&name(part), Expect::Absent, raw("a").cid)),
        );
        assert_eq!(answer.versions, [1], "{part:?}");
    }
    for part in parts {
        assert_eq!(version(&*store, &name(part)), 1, "{part:?}");
    }
    let listed = store.list_refs("main", "thread", None, usize::MAX).unwrap();
    assert_eq!(listed.len(), parts.len());
    assert!(
        parts
            .iter()
            .all(|part| listed.iter().any(|(name, _)| name.parts() == [*part]))
    );
    assert_sound(&*store);
}
