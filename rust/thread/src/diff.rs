//! What two threads share, and what each has of its own.

use treering_block::Cid;
use treering_store::StoreError;

use crate::chain::common_ancestor_of;
use crate::error::{Result, ThreadError};
use crate::step::Step;
use crate::thread::Thread;

/// Two threads side by side.
#[derive(Clone, Debug)]
pub struct Diff {
    /// The last node that both have: (step number, CID), 0 for the start; None when they began apart.
    pub common: Option<(u64, Cid)>,
    /// Steps of the first thread since then, in order.
    pub left: Vec<Step>,
    /// Steps of the second.
    pub right: Vec<Step>,
}

/// The steps of `a` and `b` since their last common node, as last seen. O(log n) reads and one a step
/// that is given.
///
/// # Errors
/// `Invalid` for threads of different stores; `Store` or `Corrupt`, naming the node.
pub fn diff(a: &Thread, b: &Thread) -> Result<Diff> {
    let common = common_ancestor(a, b)?;
    let since = common.map_or(0, |(step, _)| step) + 1;
    Ok(Diff {
        common,
        left: a.walk(since, None).collect::<Result<_>>()?,
        right: b.walk(since, None).collect::<Result<_>>()?,
    })
}

/// The last node that both threads have, as last seen: (step number, CID), 0 for the start; None when
/// they have different starts. O(log n) reads.
///
/// # Errors
/// As for [`diff`].
pub fn common_ancestor(a: &Thread, b: &Thread) -> Result<Option<(u64, Cid)>> {
    let found = common_ancestor_of(a.store(), &a.head(), &b.head());
    match found {
        Err(ThreadError::Store(StoreError::BlockNotFound(cid)))
            if a.store().location() != b.store().location() =>
        {
            Err(ThreadError::invalid(
                "thread",
                &cid.to_string(),
                "both threads are of one store",
            ))
        }
        found => found,
    }
}
