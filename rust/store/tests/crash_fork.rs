//! A fork of a whole scope, in one commit and in several, cut off wherever it can be: by power failures, and by a disk
//! that fails. Nothing of it is seen, or all of it; and the same fork again finishes it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod crash;

use crash::arriving::{
    Arriving, REFS, SCOPE, commit_of_refs, content, whole_at_every_moment, whole_whatever_fails,
};
use treering_block::Block;
use treering_store::faults::Failure;
use treering_store::scope::{ForkOptions, fork};
use treering_store::{EmbeddedStore, Progress, Result, Store, StoreError};

#[derive(Debug)]
struct Fork {
    in_steps: bool,
}

impl Arriving for Fork {
    type Error = StoreError;

    fn fill(&self, store: &dyn Store) {
        let leaf = Block::raw(b"leaf".to_vec());
        let commit = commit_of_refs("alice", vec![leaf]);
        store.submit(commit).wait().unwrap();
    }

    fn arrive(&self, store: &dyn Store) -> Result<()> {
        let options = ForkOptions {
            command_id: Some("fork".into()),
            at_once: if self.in_steps { 1 } else { 100 },
            at_a_time: 4,
            ..ForkOptions::default()
        };
        let forked = fork(store, "alice", SCOPE, &options, &Progress::default())?;
        assert_eq!(forked.refs, REFS as u64);
        Ok(())
    }

    fn is_whole(&self, store: &EmbeddedStore) -> Result<bool, String> {
        let (alice, bob) = (content(store, "alice"), content(store, SCOPE));
        let seen = store.scopes().unwrap().contains(&SCOPE.to_owned());
        let lineage = store.lineage(SCOPE).unwrap().is_some();
        let whole = bob == alice;
        if alice.len() != REFS || !(whole || bob.is_empty()) || seen != whole || lineage != whole {
            return Err(format!(
                "{} refs of {} are there, seen {seen}, lineage {lineage}",
                bob.len(),
                alice.len()
            ));
        }
        Ok(whole)
    }

    fn of_store(error: &StoreError) -> Option<&StoreError> {
        Some(error)
    }
}

#[test]
fn at_every_moment_nothing_or_all_of_it_is_there() {
    for in_steps in [false, true] {
        whole_at_every_moment(&Fork { in_steps });
    }
}

#[test]
fn whatever_the_disk_refuses_nothing_or_all_of_it_is_there() {
    for in_steps in [false, true] {
        for failure in [Failure::Device, Failure::Full] {
            whole_whatever_fails(&Fork { in_steps }, &[failure]);
        }
    }
}
