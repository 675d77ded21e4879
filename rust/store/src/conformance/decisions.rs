//! What is decided when a commit's turn comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use treering_block::{Block, Cid};

use super::material::{
    assert_sound, command, done, fresh, name, node, put, raw, refusal, set, version,
};
use super::{Backend, cases};
use crate::commit::{Address, Commit, Expect};
use crate::decide::{Decide, Decided, View};
use crate::error::{Result, StoreError};

cases!("decisions":
    callers_who_change_one_thing_do_not_lose_to_each_other,
    a_decision_reads_what_was_committed,
    a_refusal_leaves_no_trace,
    a_repeated_command_is_not_decided_again,
    what_is_decided_is_judged_like_the_rest,
    a_decision_to_do_nothing_writes_nothing,
);

/// Counts at a ref: each time one link longer, up to a limit.
#[derive(Debug, Default)]
struct Count {
    limit: u64,
    asked: AtomicU64,
}

impl Decide for Count {
    fn decide(&self, view: &mut dyn View, at_ms: i64) -> Result<Decided> {
        self.asked.fetch_add(1, Relaxed);
        assert!(at_ms > 0);
        let at = name("count");
        let before = view.read_ref(&at)?;
        let (expect, links, counted) = match before {
            None => (Expect::Absent, Vec::new(), 0),
            Some(value) => {
                assert!(!view.block(&value.target)?.is_empty());
                let counted = value.version;
                (Expect::Version(counted), vec![value.target], counted)
            }
        };
        if counted >= self.limit {
            return Err(StoreError::Refused);
        }
        let block = node(&format!("{counted}"), &links);
        Ok(Decided {
            moves: vec![set(&at, expect, block.cid)],
            blocks: vec![block],
            receipt: Some(format!("counted {}", counted + 1).into_bytes()),
            ..Decided::default()
        })
    }
}

fn counting(limit: u64) -> (Arc<Count>, Commit) {
    let count = Arc::new(Count {
        limit,
        ..Count::default()
    });
    let commit = Commit {
        decide: Some(count.clone()),
        ..put([])
    };
    (count, commit)
}

fn callers_who_change_one_thing_do_not_lose_to_each_other(backend: &dyn Backend) {
    let store = fresh(backend);
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                let sent: Vec<_> = (0..16)
                    .map(|_| store.submit(counting(u64::MAX).1))
                    .collect();
                for ticket in sent {
                    ticket.wait().unwrap();
                }
            });
        }
    });
    assert_eq!(version(&*store, &name("count")), 64);
    assert_eq!(store.head().unwrap().position, 64);
    assert_sound(&*store);
}

fn a_decision_reads_what_was_committed(backend: &dyn Backend) {
    let store = fresh(backend);
    // A block that is a file of its own where there are files.
    let large = Block::raw(vec![7; 300 << 10]);
    let cid = large.cid;
    done(
        &*store,
        Commit {
            blocks: vec![large],
            holds: vec![cid],
            ..put([])
        },
    );
    #[derive(Debug)]
    struct Look(Cid, Cid);
    impl Decide for Look {
        fn decide(&self, view: &mut dyn View, _: i64) -> Result<Decided> {
            assert_eq!(&*view.block(&self.0)?, [7; 300 << 10]);
            assert!(
                matches!(view.block(&self.1), Err(StoreError::BlockNotFound(cid)) if cid == self.1)
            );
            assert_eq!(view.read_ref(&name("absent"))?, None);
            Ok(Decided::default())
        }
    }
    done(
        &*store,
        Commit {
            decide: Some(Arc::new(Look(cid, raw("absent").cid))),
            ..put([])
        },
    );
}

fn a_refusal_leaves_no_trace(backend: &dyn Backend) {
    let store = fresh(backend);
    let head = store.head().unwrap();
    let refused = Commit {
        blocks: vec![raw("a")],
        command: Some(command(Address::Scope("main".into()), "1", 1)),
        ..counting(0).1
    };
    assert!(matches!(refusal(&*store, refused), StoreError::Refused));
    assert_eq!(store.head().unwrap(), head);
    assert!(!store.has(&raw("a").cid).unwrap());
    let scope = Address::Scope("main".into());
    assert_eq!(store.receipt(&scope, "1").unwrap(), None);
}

fn a_repeated_command_is_not_decided_again(backend: &dyn Backend) {
    let store = fresh(backend);
    let (count, commit) = counting(9);
    let commit = Commit {
        command: Some(command(Address::Scope("main".into()), "1", 1)),
        ..commit
    };
    let tickets = [store.submit(commit.clone()), store.submit(commit.clone())];
    let [first, second] = tickets.map(|ticket| ticket.wait().unwrap());
    assert_eq!((first.replay, first.versions), (None, vec![1]));
    assert_eq!(second.replay.as_deref(), Some(b"counted 1".as_slice()));
    assert_eq!(count.asked.load(Relaxed), 1);
}

fn what_is_decided_is_judged_like_the_rest(backend: &dyn Backend) {
    #[derive(Debug)]
    struct Dangle;
    impl Decide for Dangle {
        fn decide(&self, _: &mut dyn View, _: i64) -> Result<Decided> {
            Ok(Decided {
                moves: vec![set(&name("x"), Expect::Any, raw("absent").cid)],
                ..Decided::default()
            })
        }
    }
    let store = fresh(backend);
    let dangling = Commit {
        decide: Some(Arc::new(Dangle)),
        ..put([])
    };
    assert!(matches!(
        refusal(&*store, dangling),
        StoreError::LinkMissing { .. }
    ));
    // Twice one ref, once by the commit and once by its decision.
    let block = raw("a");
    let twice = Commit {
        moves: vec![set(&name("count"), Expect::Absent, block.cid)],
        blocks: vec![block],
        ..counting(9).1
    };
    assert!(matches!(
        refusal(&*store, twice),
        StoreError::Invalid { .. }
    ));
    assert_eq!(store.head().unwrap().position, 0);
}

fn a_decision_to_do_nothing_writes_nothing(backend: &dyn Backend) {
    #[derive(Debug)]
    struct Nothing;
    impl Decide for Nothing {
        fn decide(&self, _: &mut dyn View, _: i64) -> Result<Decided> {
            Ok(Decided::default())
        }
    }
    let store = fresh(backend);
    let nothing = Commit {
        decide: Some(Arc::new(Nothing)),
        ..put([])
    };
    assert_eq!(done(&*store, nothing).position, 0);
    assert_eq!(store.head().unwrap().position, 0);
}
