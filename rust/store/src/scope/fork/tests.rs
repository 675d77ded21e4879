//! Erases that come between what a fork reads and what it writes.

use treering_block::Block;

use super::*;
use crate::erasure::EraseOptions;
use crate::memory::MemoryStore;

const FROM: &str = "alice";

fn write(store: &dyn Store, scope: &str, parts: &[&str]) {
    let block = Block::raw(scope.as_bytes().to_vec());
    let moves = parts.iter().map(|part| RefMove {
        name: RefName::new(scope, "thread", [*part]).unwrap(),
        expect: Expect::Any,
        change: Change::Set {
            target: block.cid,
            record: Vec::new(),
        },
    });
    let commit = Commit {
        scope: scope.to_owned(),
        moves: moves.collect(),
        blocks: vec![block.clone()],
        ..Commit::default()
    };
    store.submit(commit).wait().unwrap();
}

fn erase(store: &dyn Store, scope: &str) {
    store.erase(scope, &EraseOptions::default()).unwrap();
}

/// A fork of [`FROM`] as it is under way, in one commit and in several.
fn under_way(work: impl Fn(&Fork<'_>, bool)) {
    for in_steps in [false, true] {
        let store = MemoryStore::new();
        write(&store, FROM, &["a", "b", "c"]);
        write(&store, "bob", &["x"]);
        let options = ForkOptions {
            at_once: if in_steps { 1 } else { 10 },
            ..ForkOptions::default()
        };
        let forking = Fork {
            store: &store,
            from: FROM,
            digest: digest_of_scope(&store.store_id().unwrap(), FROM),
            to: "trial",
            options: &options,
            progress: &Progress::default(),
            command: None,
        };
        work(&forking, in_steps);
    }
}

impl Fork<'_> {
    /// The fork, with something that others do once its origin is read.
    fn with_others(&self, in_steps: bool, others: impl FnOnce(&dyn Store)) -> Result<Forked> {
        let making = in_steps.then(|| Making::take(self.store, self.to, "forking", 10).unwrap());
        if let Some(making) = &making {
            self.begin(making)?;
        }
        let since = self.store.head()?.cursor();
        let refs = self.origin()?;
        if let Some(making) = &making {
            making.move_refs(self.to, difference(&refs, &BTreeMap::new()), self.progress)?;
        }
        others(self.store);
        self.finish(refs, since, making.as_ref())
    }

    fn again(&self) -> Result<Forked> {
        fork(self.store, self.from, self.to, self.options, self.progress)
    }

    fn parts(&self) -> Vec<String> {
        let refs = refs::all(self.store, self.to).unwrap().into_keys();
        refs.map(|name| name.parts().join("/")).collect()
    }

    /// Nothing says that the origin was ever there.
    fn expect_no_trace(&self) {
        assert_eq!(self.store.receipts(self.from, None, 10).unwrap(), []);
        let entries = self.store.journal(None, 1_000).unwrap();
        assert!(entries.iter().all(|entry| entry.scope != self.from));
    }
}

fn is_refused(answer: Result<Forked>) {
    assert!(matches!(answer, Err(StoreError::Refused)), "{answer:?}");
}

#[test]
fn an_origin_that_was_erased_meanwhile_says_no_name() {
    under_way(|forking, in_steps| {
        is_refused(forking.with_others(in_steps, |store| erase(store, FROM)));
        forking.expect_no_trace();
        let answer = forking.again();
        assert!(
            matches!(answer, Err(StoreError::ScopeNotFound { .. })),
            "{answer:?}"
        );
        forking.expect_no_trace();
        assert_eq!(forking.store.scopes().unwrap(), ["bob"]);
        assert_eq!(forking::unfinished(forking.store).unwrap(), []);
        // So the name is free.
        fork(
            forking.store,
            "bob",
            FROM,
            forking.options,
            forking.progress,
        )
        .unwrap();
    });
}

#[test]
fn nothing_of_an_erased_life_comes_into_a_fork_of_a_later_one() {
    for said in [false, true] {
        under_way(|forking, in_steps| {
            if said {
                forking.leave_name().unwrap();
            }
            let answer = forking.with_others(in_steps, |store| {
                erase(store, FROM);
                write(store, FROM, &["new"]);
            });
            is_refused(answer);
            assert_eq!(forking.again().unwrap().refs, 1);
            assert_eq!(forking.parts(), ["new"]);
        });
    }
}

#[test]
fn the_last_commit_is_of_the_life_that_said_its_name() {
    under_way(|forking, in_steps| {
        let made = Finish {
            from: FROM.to_owned(),
            digest: forking.digest,
            to: forking.to.to_owned(),
            name: forking.leave_name().unwrap(),
            since: forking.store.head().unwrap().position,
            refs: forking.origin().unwrap(),
            copied: false,
            outcome: Mutex::default(),
        };
        erase(forking.store, FROM);
        if in_steps {
            // Somebody forks the later life, and that has said its name, too.
            write(forking.store, FROM, &["new"]);
            fork(
                forking.store,
                FROM,
                "other",
                forking.options,
                forking.progress,
            )
            .unwrap();
        }
        let ticket = forking.store.submit(Commit {
            scope: forking.to.to_owned(),
            decide: Some(Arc::new(made)),
            ..Commit::default()
        });
        let answer = ticket.wait();
        assert!(matches!(answer, Err(StoreError::Refused)), "{answer:?}");
        assert_eq!(forking.parts(), [""; 0]);
    });
}

#[test]
fn erases_of_others_are_no_reason_to_begin_anew() {
    // Few are met by the last commit, many before it.
    for erases in [3, LATE_COMMITS_MAX / 4] {
        under_way(|forking, in_steps| {
            // As others did before, or its own first try: the erase does not tell which scope it was, the name does.
            forking.leave_name().unwrap();
            let answer = forking.with_others(in_steps, |store| {
                write(store, FROM, &["d"]);
                for nth in 0..erases {
                    write(store, "carol", &[&nth.to_string()]);
                    erase(store, "carol");
                }
                write(store, FROM, &["e"]);
            });
            assert_eq!(answer.unwrap().refs, 5);
            assert_eq!(forking.parts(), ["a", "b", "c", "d", "e"]);
        });
    }
}
