//! Threads that are forked, and not written to, are asked for when the fork's turn comes.
//!
//! A handle knows where the nodes of its thread are, and they are there until they are collected, whatever became of the
//! thread. Promises: what was removed or erased does not come back by a fork of what a handle saw before.
//! Must never: refuse one of a thread that others only moved on.

use std::sync::Arc;

use treering_store::{Decide, Decided, RefName, StoreError, View};

/// A decision that is made only while these threads are there.
#[derive(Debug)]
pub(crate) struct StillThere {
    /// Their refs, each with the version that was seen.
    pub threads: Vec<(RefName, u64)>,
    /// What is decided then; None: nothing more.
    pub then: Option<Arc<dyn Decide>>,
}

impl Decide for StillThere {
    /// Errors: `RefNotFound` for a thread that is gone; those of the other decision.
    fn decide(&self, view: &mut dyn View, at_ms: i64) -> Result<Decided, StoreError> {
        for (name, seen) in &self.threads {
            // Versions grow. A smaller one is of a thread that came back with less, of an archive.
            if view
                .read_ref(name)?
                .is_none_or(|value| value.version < *seen)
            {
                return Err(StoreError::RefNotFound(name.clone()));
            }
        }
        match &self.then {
            Some(decision) => decision.decide(view, at_ms),
            None => Ok(Decided::default()),
        }
    }
}
