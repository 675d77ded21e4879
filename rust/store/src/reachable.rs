//! What can be reached from some blocks by following links.
//!
//! Promises: each block is read once, nothing recurses, an absent block is reported and never dropped.
//! Must never: answer half a set as if it were whole.

use std::collections::HashSet;

use treering_block::{Cid, Codec, check_node};

use crate::error::{Result, StoreError};
use crate::store::Store;

/// The blocks that some roots reach, and what is missing of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Every present block reached, roots included, in the order in which they were first seen (depth
    /// first, links in their order within the node).
    pub blocks: Vec<Cid>,
    /// Links to blocks that are not there: (the block that holds the link, None for a root; what is absent).
    pub missing: Vec<(Option<Cid>, Cid)>,
}

/// Follows every link from `roots`. O(blocks reached); holds one CID of 33 bytes or so for each in memory.
///
/// Errors: `Corrupt` or `Block` for a block that can not be read: a walk that goes on past it would be
/// incomplete without saying so. What is absent is no error, it is in [`Reached::missing`].
pub fn reachable(store: &dyn Store, roots: &[Cid]) -> Result<Reached> {
    let mut reached = Reached::default();
    let mut seen: HashSet<Cid> = HashSet::new();
    let mut absent: HashSet<Cid> = HashSet::new();
    let mut named: HashSet<&Cid> = HashSet::new();
    let mut to_visit: Vec<(Option<Cid>, Cid)> = roots
        .iter()
        .filter(|root| named.insert(root))
        .map(|root| (None, *root))
        .collect();
    to_visit.reverse();
    while let Some((from, cid)) = to_visit.pop() {
        if absent.contains(&cid) {
            reached.missing.push((from, cid));
            continue;
        }
        if !seen.insert(cid) {
            continue;
        }
        let bytes = match store.get(&cid) {
            Ok(bytes) => bytes,
            Err(StoreError::BlockNotFound(_)) => {
                seen.remove(&cid);
                absent.insert(cid);
                reached.missing.push((from, cid));
                continue;
            }
            Err(other) => return Err(other),
        };
        reached.blocks.push(cid);
        if cid.codec() == Codec::DagCbor {
            let links = check_node(&bytes).map_err(|refused| StoreError::Corrupt {
                what: "block",
                which: cid.to_string(),
                detail: refused.to_string(),
            })?;
            to_visit.extend(links.into_iter().rev().map(|link| (Some(cid), link)));
        }
    }
    Ok(reached)
}
