//! Where a chain stands, and what of its jumps is known: all that an append needs.

use treering_block::{Cid, Jumps, Node, jump_step};
use treering_store::Store;

use crate::chain::{read_node, read_step};
use crate::error::{Result, ThreadError};
use crate::step::Step;

/// The end of a thread's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub cid: Cid,
    pub step: u64,
    pub start: Cid,
    jumps: Jumps,
}

impl Position {
    /// The chain that has no step yet.
    pub fn at_start(start: Cid) -> Self {
        Self::of(start, Jumps::new(0, start, None))
    }

    fn of(start: Cid, jumps: Jumps) -> Self {
        Self {
            cid: jumps.cid(),
            step: jumps.step(),
            start,
            jumps,
        }
    }

    /// The chain that ends at `head`: reads it and the step that it jumps to, two blocks at any length.
    pub fn load(store: &dyn Store, head: &Cid) -> Result<Self> {
        let node = match read_node(store, head)? {
            Node::Start(_) => return Ok(Self::at_start(*head)),
            Node::State(node) => node,
            Node::Content(_) => {
                return Err(ThreadError::corrupt(
                    "thread head",
                    head,
                    "it is a content node",
                ));
            }
        };
        let mut position = Self::of(node.start, Jumps::new(node.step, *head, node.jump));
        if let Some(jump) = node.jump {
            let number = jump_step(node.step);
            if let Some(next) = jump_of(store, &node.start, number, &jump)? {
                position.jumps.push(jump_step(number), next);
            }
        }
        Ok(position)
    }

    /// The chain that ends with the last of `fresh`, contiguous steps that may not be in the store;
    /// without any, the one that has no step. What lies before them is read when it is needed.
    pub fn of_fresh(start: Cid, fresh: &[Step]) -> Self {
        let Some(last) = fresh.last() else {
            return Self::at_start(start);
        };
        let mut jumps = Jumps::new(last.number, last.cid, last.node.jump);
        let first = fresh.first().map_or(last.number, |step| step.number);
        let before = |step: &Step| {
            let index = jump_step(step.number).checked_sub(first)?;
            fresh.get(usize::try_from(index).ok()?)
        };
        let mut at = before(last);
        while let Some((step, jump)) = at.and_then(|step| Some((step, step.node.jump?))) {
            jumps.push(jump_step(step.number), jump);
            at = before(step);
        }
        Self::of(start, jumps)
    }

    /// The jump link of the next step.
    pub fn next_jump(&mut self, store: &dyn Store) -> Result<Option<Cid>> {
        let target = jump_step(self.step + 1);
        let start = &self.start;
        let jump = self
            .jumps
            .next_jump(|number, cid| jump_of(store, start, number, cid))?;
        if jump.is_none() && target > 0 {
            return Err(ThreadError::corrupt(
                "state node",
                self.cid,
                format!("no jump leads to step {target}"),
            ));
        }
        Ok(jump)
    }

    /// After `cid` was put behind it, whose jump [`Position::next_jump`] gave.
    pub fn advanced(&self, cid: Cid) -> Self {
        Self::of(self.start, self.jumps.advanced(cid))
    }
}

/// The jump of the step `cid`, which must be this one of the thread.
fn jump_of(store: &dyn Store, start: &Cid, number: u64, cid: &Cid) -> Result<Option<Cid>> {
    let step = read_step(store, cid)?;
    if step.number != number || step.node.start != *start {
        return Err(ThreadError::corrupt(
            "state node",
            cid,
            format!("it should be step {number} of its thread"),
        ));
    }
    Ok(step.node.jump)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_grown_from_its_start_knows_every_jump() {
        let name = |step: u64| Cid::of_node(&step.to_le_bytes());
        let store = treering_store::MemoryStore::new();
        let mut position = Position::at_start(name(0));
        for step in 1..=5000 {
            // An empty store: any read would fail.
            let jump = position.next_jump(&store).unwrap();
            let target = jump_step(step);
            assert_eq!(jump, (target > 0).then(|| name(target)), "step {step}");
            position = position.advanced(name(step));
        }
    }
}
