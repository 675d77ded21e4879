//! Where a chain stands, and what of its jumps is known: all that an append needs.

use treering_block::{Cid, Node, jump_step};
use treering_store::Store;

use crate::chain::{read_node, read_step};
use crate::error::{Result, ThreadError};
use crate::step::Step;

/// The end of a chain.
///
/// `jumps` are the steps that jumping leads to from here, nearest first, as far as they are known.
/// The next step's jump is this step or one of the first two of them, so a handle that appends
/// reads at most one block a step, and mostly none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub cid: Cid,
    pub step: u64,
    pub start: Cid,
    jumps: Vec<(u64, Cid)>,
}

impl Position {
    /// The chain that has no step yet.
    pub fn at_start(start: Cid) -> Self {
        Self {
            cid: start,
            step: 0,
            start,
            jumps: Vec::new(),
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
        let mut position = Self {
            cid: *head,
            step: node.step,
            start: node.start,
            jumps: Vec::new(),
        };
        if let Some(jump) = node.jump {
            position.jumps.push((jump_step(node.step), jump));
            position.learn(store)?;
        }
        Ok(position)
    }

    /// The chain that ends with the last of `fresh`, contiguous steps that may not be in the store;
    /// without any, the one that has no step. What lies before them is read when it is needed.
    pub fn of_fresh(start: Cid, fresh: &[Step]) -> Self {
        let Some(last) = fresh.last() else {
            return Self::at_start(start);
        };
        let mut position = Self {
            cid: last.cid,
            step: last.number,
            start,
            jumps: Vec::new(),
        };
        let first = fresh.first().map_or(last.number, |step| step.number);
        let mut at = Some(last);
        while let Some((step, jump)) = at.and_then(|step| Some((step, step.node.jump?))) {
            let target = jump_step(step.number);
            position.jumps.push((target, jump));
            at = target
                .checked_sub(first)
                .and_then(|index| fresh.get(usize::try_from(index).ok()?));
        }
        position
    }

    /// Reads one jump more.
    fn learn(&mut self, store: &dyn Store) -> Result<()> {
        let Some((number, cid)) = self.jumps.last().copied() else {
            return Ok(());
        };
        let step = read_step(store, &cid)?;
        if step.number != number || step.node.start != self.start {
            return Err(ThreadError::corrupt(
                "state node",
                cid,
                format!("it should be step {number} of its thread"),
            ));
        }
        if let Some(jump) = step.node.jump {
            self.jumps.push((jump_step(number), jump));
        }
        Ok(())
    }

    /// The jump link of the next step.
    pub fn next_jump(&mut self, store: &dyn Store) -> Result<Option<Cid>> {
        let target = jump_step(self.step + 1);
        if target == 0 {
            return Ok(None);
        }
        if target == self.step {
            return Ok(Some(self.cid));
        }
        loop {
            if let Some((_, cid)) = self.jumps.iter().find(|(number, _)| *number == target) {
                return Ok(Some(*cid));
            }
            let known = self.jumps.len();
            self.learn(store)?;
            if self.jumps.len() == known {
                return Err(ThreadError::corrupt(
                    "state node",
                    self.cid,
                    format!("no jump leads to step {target}"),
                ));
            }
        }
    }

    /// After `cid` was put behind it, whose jump [`Position::next_jump`] gave.
    pub fn advanced(&self, cid: Cid) -> Self {
        let target = jump_step(self.step + 1);
        let mut jumps = Vec::with_capacity(self.jumps.len() + 1);
        if target != 0 && target == self.step {
            jumps.push((self.step, self.cid));
        }
        if target != 0 {
            jumps.extend(self.jumps.iter().filter(|(number, _)| *number <= target));
        }
        Self {
            cid,
            step: self.step + 1,
            start: self.start,
            jumps,
        }
    }
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
