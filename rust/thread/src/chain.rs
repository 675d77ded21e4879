//! Chains of state nodes: step k, ancestors, what two chains share.
//!
//! Promises: each in O(log n) reads by the jumps, whose step numbers are a function of the step's own
//! (Myers 1983), so two chains jump alike; a node that is not what its place asks for is named.

use std::sync::Arc;

use treering_block::{Cid, Node, StartNode, jump_step};
use treering_store::{Store, StoreError};

use crate::error::{Result, ThreadError};
use crate::step::Step;

/// Where nodes are read.
pub trait Nodes {
    /// A node's bytes, checked.
    ///
    /// # Errors
    /// Those of reading a block.
    fn bytes(&self, cid: &Cid) -> Result<Arc<[u8]>, StoreError>;
}

impl<S: Store + ?Sized> Nodes for S {
    fn bytes(&self, cid: &Cid) -> Result<Arc<[u8]>, StoreError> {
        self.get(cid)
    }
}

/// Reads a node of any kind.
///
/// # Errors
/// `Store` when it is missing, corrupt or no node of ours.
pub fn read_node<N: Nodes + ?Sized>(store: &N, cid: &Cid) -> Result<Node> {
    let bytes = store.bytes(cid)?;
    Ok(Node::decode(cid, &bytes)?)
}

/// Reads a start node.
///
/// # Errors
/// As for [`read_node`]; `Corrupt` when it is another node.
pub fn read_start(store: &dyn Store, cid: &Cid) -> Result<StartNode> {
    match read_node(store, cid)? {
        Node::Start(node) => Ok(node),
        other => Err(ThreadError::corrupt(
            "start node",
            cid,
            format!("it is a {} node", other.kind()),
        )),
    }
}

/// Reads a step.
///
/// # Errors
/// As for [`read_node`]; `Corrupt` when it is another node.
pub fn read_step<N: Nodes + ?Sized>(store: &N, cid: &Cid) -> Result<Step> {
    match read_node(store, cid)? {
        Node::State(node) => Ok(Step::new(*cid, node)),
        other => Err(ThreadError::corrupt(
            "state node",
            cid,
            format!("it is a {} node", other.kind()),
        )),
    }
}

/// Reads the step that `link` of `from` leads to, which must be number `number` of the same thread.
fn follow<N: Nodes + ?Sized>(
    store: &N,
    from: &Step,
    link: Option<Cid>,
    number: u64,
) -> Result<Step> {
    let Some(cid) = link else {
        return Err(ThreadError::corrupt(
            "state node",
            from.cid,
            format!("it has no link to step {number}"),
        ));
    };
    let step = read_step(store, &cid)?;
    if step.number != number || step.node.start != from.node.start {
        let detail = format!(
            "its link to step {number} leads to step {} of {}",
            step.number,
            step.node.start.short()
        );
        return Err(ThreadError::corrupt("state node", from.cid, detail));
    }
    Ok(step)
}

/// The step before; None before step 1.
///
/// # Errors
/// As for [`read_step`]; `Corrupt` when the chain makes no sense there.
pub fn parent<N: Nodes + ?Sized>(store: &N, step: &Step) -> Result<Option<Step>> {
    match step.node.parent {
        None => Ok(None),
        parent => follow(store, step, parent, step.number.saturating_sub(1)).map(Some),
    }
}

fn jump<N: Nodes + ?Sized>(store: &N, step: &Step) -> Result<Option<Step>> {
    match step.node.jump {
        None => Ok(None),
        jump => follow(store, step, jump, jump_step(step.number)).map(Some),
    }
}

/// Step `number` (≥ 1) of the chain that ends at `from`; None if it is beyond. O(log n) reads.
///
/// # Errors
/// As for [`parent`].
pub fn find<N: Nodes + ?Sized>(store: &N, from: Step, number: u64) -> Result<Option<Step>> {
    if number == 0 || number > from.number {
        return Ok(None);
    }
    let mut at = from;
    while at.number > number {
        let next = if jump_step(at.number) >= number {
            jump(store, &at)?
        } else {
            parent(store, &at)?
        };
        at =
            next.ok_or_else(|| ThreadError::corrupt("state node", at.cid, "its chain ends early"))?;
    }
    Ok(Some(at))
}

/// Whether the node `a` (a step or a start) is `b` or stands before it. O(log n) reads.
///
/// # Errors
/// As for [`read_node`]; `Corrupt` when one is neither step nor start.
pub fn is_ancestor(store: &dyn Store, a: &Cid, b: &Cid) -> Result<bool> {
    Ok(match (read_node(store, a)?, read_node(store, b)?) {
        (Node::Start(_), Node::State(later)) => later.start == *a,
        (Node::Start(_), Node::Start(_)) => a == b,
        (Node::State(earlier), Node::State(later)) => {
            let same_start = earlier.start == later.start;
            same_start
                && find(store, Step::new(*b, later), earlier.step)?
                    .is_some_and(|step| step.cid == *a)
        }
        (Node::State(_), Node::Start(_)) => false,
        (Node::Content(_), _) => return Err(no_place(a)),
        (_, Node::Content(_)) => return Err(no_place(b)),
    })
}

/// The last node that the chains of `a` and `b` (steps or starts) share: (step number, CID), 0 for the
/// start; None if they have different starts. O(log n) reads.
///
/// # Errors
/// As for [`is_ancestor`].
pub fn common_ancestor_of(store: &dyn Store, a: &Cid, b: &Cid) -> Result<Option<(u64, Cid)>> {
    let (a, b) = match (place(store, a)?, place(store, b)?) {
        ((start, Some(a)), (other, Some(b))) if start == other => (a, b),
        ((start, _), (other, _)) => return Ok((start == other).then_some((0, start))),
    };
    let start = a.node.start;
    let shorter = a.number.min(b.number);
    let (Some(mut a), Some(mut b)) = (find(store, a, shorter)?, find(store, b, shorter)?) else {
        return Ok(Some((0, start)));
    };
    while a.cid != b.cid {
        // At equal numbers both jump equally far. Where the jumps meet, the last shared step is at
        // the jump or after it, so only a parent may be taken.
        let (next_a, next_b) = if a.node.jump == b.node.jump {
            (parent(store, &a)?, parent(store, &b)?)
        } else {
            (jump(store, &a)?, jump(store, &b)?)
        };
        let (Some(next_a), Some(next_b)) = (next_a, next_b) else {
            return Ok(Some((0, start)));
        };
        (a, b) = (next_a, next_b);
    }
    Ok(Some((a.number, a.cid)))
}

/// The number of a step, 0 for a start.
///
/// # Errors
/// As for [`is_ancestor`].
pub fn number_of(store: &dyn Store, cid: &Cid) -> Result<u64> {
    Ok(place(store, cid)?.1.map_or(0, |step| step.number))
}

/// The start of a node's chain, and the step if it is one.
fn place(store: &dyn Store, cid: &Cid) -> Result<(Cid, Option<Step>)> {
    match read_node(store, cid)? {
        Node::Start(_) => Ok((*cid, None)),
        Node::State(node) => Ok((node.start, Some(Step::new(*cid, node)))),
        Node::Content(_) => Err(no_place(cid)),
    }
}

fn no_place(cid: &Cid) -> ThreadError {
    ThreadError::corrupt("chain", cid, "a content node has no place in it")
}
