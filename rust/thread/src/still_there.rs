//! Threads that are forked, and not written to, are asked for when the fork's turn comes.
//!
//! A handle knows where the nodes of its thread are, and they are there until they are collected, whatever became of the
//! thread. Promises: what was removed or erased does not come back by a fork of what a handle saw before, though a thread of
//! that id came back with an archive, and has as many steps by now.
//! Must never: refuse one of a thread that others only moved on.

use std::cell::RefCell;
use std::sync::Arc;

use treering_block::{Cid, Node};
use treering_store::{Decide, Decided, RefName, StoreError, View};

use crate::chain::{Nodes, find, read_node};
use crate::error::ThreadError;
use crate::step::Step;

/// A thread as it was seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub name: RefName,
    /// Its head, which is step `steps`.
    pub head: Cid,
    pub steps: u64,
}

/// A decision that is made only while what was seen of these threads stands in them.
#[derive(Debug)]
pub(crate) struct StillThere {
    pub threads: Vec<Seen>,
    /// What is decided then; None: nothing more.
    pub then: Option<Arc<dyn Decide>>,
}

impl Decide for StillThere {
    /// O(log n) reads for a thread that others moved on, none for any other. Errors: `RefNotFound` for a thread that is gone;
    /// those of the other decision.
    fn decide(&self, view: &mut dyn View, at_ms: i64) -> Result<Decided, StoreError> {
        for seen in &self.threads {
            let stands = match view.read_ref(&seen.name)? {
                None => false,
                Some(value) if value.target == seen.head => true,
                Some(value) => seen.stands_before(&value.target, &Viewed(RefCell::new(view)))?,
            };
            if !stands {
                return Err(StoreError::RefNotFound(seen.name.clone()));
            }
        }
        match &self.then {
            Some(decision) => decision.decide(view, at_ms),
            None => Ok(Decided::default()),
        }
    }
}

impl Seen {
    fn stands_before(&self, now: &Cid, nodes: &Viewed<'_>) -> Result<bool, StoreError> {
        let there = match read_node(nodes, now).map_err(of_reading)? {
            Node::State(node) => node,
            Node::Start(_) | Node::Content(_) => return Ok(false),
        };
        if self.steps == 0 {
            return Ok(there.start == self.head);
        }
        let found = find(nodes, Step::new(*now, there), self.steps).map_err(of_reading)?;
        Ok(found.is_some_and(|step| step.cid == self.head))
    }
}

/// The store as the decision sees it.
struct Viewed<'a>(RefCell<&'a mut dyn View>);

impl Nodes for Viewed<'_> {
    fn bytes(&self, cid: &Cid) -> Result<Arc<[u8]>, StoreError> {
        self.0.borrow_mut().block(cid)
    }
}

fn of_reading(error: ThreadError) -> StoreError {
    match error {
        ThreadError::Store(error) => error,
        other => StoreError::Corrupt {
            what: "thread",
            which: String::new(),
            detail: other.to_string(),
        },
    }
}
