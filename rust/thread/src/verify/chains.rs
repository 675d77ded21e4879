//! The state nodes of all threads, each read and judged once.

use std::collections::{HashMap, HashSet};

use treering_block::node::ROLE_END;
use treering_block::{Cid, Node, StateNode, jump_step};
use treering_store::{Check, Finding, Store};

use super::Seen;
use crate::chain::read_node;
use crate::content::broken_block;
use crate::error::ThreadError;

/// A state node that was read.
struct Fact {
    cid: Cid,
    step: u64,
    start: u32,
    /// The node below it: its parent, or over a cut the next one that can be read.
    below: Option<u32>,
    /// Whether `below` is the parent.
    is_parent: bool,
    jump: Option<u32>,
    ended: bool,
}

pub(super) struct Chains<'a> {
    store: &'a dyn Store,
    facts: Vec<Fact>,
    by_cid: HashMap<Cid, u32>,
    starts: Vec<Cid>,
    /// Broken blocks that there is a finding about.
    lost: HashSet<Cid>,
    /// Below a fact, nodes that can't be read: (step, CID).
    cuts: HashMap<u32, Vec<(u64, Cid)>>,
    pub findings: Vec<Finding>,
}

impl<'a> Chains<'a> {
    /// `told`: blocks that there is a finding about already.
    pub fn new(store: &'a dyn Store, told: HashSet<Cid>) -> Self {
        Self {
            store,
            facts: Vec::new(),
            by_cid: HashMap::new(),
            starts: Vec::new(),
            lost: told,
            cuts: HashMap::new(),
            findings: Vec::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.facts.len()
    }

    pub fn step(&self, at: u32) -> u64 {
        self.fact(at).map_or(0, |fact| fact.step)
    }

    pub fn cid(&self, at: u32) -> Option<Cid> {
        self.fact(at).map(|fact| fact.cid)
    }

    pub fn below(&self, at: u32) -> Option<u32> {
        self.fact(at)?.below
    }

    pub fn is_end(&self, at: u32) -> bool {
        self.fact(at).is_some_and(|fact| fact.ended)
    }

    fn fact(&self, at: u32) -> Option<&Fact> {
        self.facts.get(at as usize)
    }

    fn find(&mut self, check: Check, cid: &Cid, detail: impl Into<String>) {
        self.findings.push(Finding {
            check,
            which: cid.to_string(),
            detail: detail.into(),
            threads: Vec::new(),
        });
    }

    /// Reads the chain of thread `id` from its head; `steps` is what its record says.
    pub fn walk(&mut self, id: &str, head: Cid, steps: Option<u64>) -> Seen {
        let mut seen = Seen {
            id: id.to_owned(),
            top: None,
            start: None,
            lost: Vec::new(),
            failed: None,
            record: None,
        };
        // Nodes above the last known one, top first.
        let mut stack: Vec<(Cid, StateNode)> = Vec::new();
        // Ways below a cut: the jumps of nodes above it.
        let mut ways: Vec<(u64, Cid)> = Vec::new();
        let mut lost_here: Vec<(usize, u64, Cid)> = Vec::new();
        let mut next = Some((steps.unwrap_or(0), head));
        let mut joint = None;
        while let Some((step, cid)) = next.take() {
            if let Some(known) = self.by_cid.get(&cid) {
                joint = Some(*known);
                break;
            }
            match self.read(&cid) {
                Ok(Some(node)) => {
                    ways.extend(node.jump.map(|jump| (jump_step(node.step), jump)));
                    next = node
                        .parent
                        .map(|parent| (node.step.saturating_sub(1), parent));
                    stack.push((cid, node));
                }
                Ok(None) => {
                    seen.start = Some(cid);
                    self.check_start(&cid);
                    if !stack.is_empty() {
                        self.find(
                            Check::StepNumber,
                            &cid,
                            "a step has it for its parent, it is a start",
                        );
                    }
                }
                Err(()) => {
                    lost_here.push((stack.len(), step, cid));
                    // The highest way that leads below the cut.
                    ways.retain(|(target, _)| *target < step);
                    ways.sort_unstable_by_key(|(target, _)| *target);
                    next = ways.pop();
                }
            }
        }
        self.settle(&mut seen, stack, joint, &lost_here);
        seen
    }

    /// The state node; None for a start node. Err: it can't be read, which is told.
    fn read(&mut self, cid: &Cid) -> Result<Option<StateNode>, ()> {
        match read_node(self.store, cid) {
            Ok(Node::State(node)) => return Ok(Some(node)),
            Ok(Node::Start(_)) => return Ok(None),
            Ok(Node::Content(_)) => self.lose(
                cid,
                &ThreadError::corrupt("state node", cid, "it is a content node"),
            ),
            Err(error) => self.lose(cid, &error),
        }
        Err(())
    }

    fn lose(&mut self, cid: &Cid, error: &ThreadError) {
        let broken = broken_block(error).unwrap_or(*cid);
        if self.lost.insert(broken) {
            self.find(Check::NodeForm, &broken, error.to_string());
        }
    }

    fn check_start(&mut self, cid: &Cid) -> u32 {
        if let Some(at) = self.starts.iter().rposition(|start| start == cid) {
            return at as u32;
        }
        match read_node(self.store, cid) {
            Ok(Node::Start(_)) => {}
            Ok(other) => {
                let detail = format!(
                    "steps have it for their start, it is a {} node",
                    other.kind()
                );
                self.find(Check::StepNumber, cid, detail);
            }
            Err(error) => self.lose(cid, &error),
        }
        self.starts.push(*cid);
        (self.starts.len() - 1) as u32
    }

    /// Judges the nodes that were read, from below.
    fn settle(
        &mut self,
        seen: &mut Seen,
        mut stack: Vec<(Cid, StateNode)>,
        joint: Option<u32>,
        lost: &[(usize, u64, Cid)],
    ) {
        let mut below = joint;
        loop {
            let cuts: Vec<(u64, Cid)> = lost
                .iter()
                .filter(|(height, ..)| *height == stack.len())
                .map(|(_, step, cid)| (*step, *cid))
                .collect();
            let is_parent = cuts.is_empty();
            let Some((cid, node)) = stack.pop() else {
                seen.lost = cuts;
                break;
            };
            let at = self.judge(cid, &node, below, is_parent);
            if !cuts.is_empty() {
                self.cuts.insert(at, cuts);
            }
            below = Some(at);
        }
        seen.top = below;
        if seen.start.is_none() {
            seen.start = below.and_then(|at| self.start_of(at));
        }
    }

    pub fn start_of(&self, at: u32) -> Option<Cid> {
        self.starts.get(self.fact(at)?.start as usize).copied()
    }

    /// Nodes right below this one that can't be read.
    pub fn cuts(&self, at: u32) -> &[(u64, Cid)] {
        self.cuts.get(&at).map_or(&[], Vec::as_slice)
    }

    fn judge(&mut self, cid: Cid, node: &StateNode, below: Option<u32>, is_parent: bool) -> u32 {
        let start = self.check_start(&node.start);
        let parent = below.filter(|_| is_parent);
        let (parent_step, parent_start) = match parent.and_then(|at| self.fact(at)) {
            Some(fact) => (Some(fact.step), Some(fact.start)),
            None => (None, None),
        };
        if let Some(parent_step) = parent_step
            && node.step != parent_step + 1
        {
            self.find(
                Check::StepNumber,
                &cid,
                format!(
                    "it says step {}, its parent is step {parent_step}",
                    node.step
                ),
            );
        }
        if parent_start.is_some_and(|parent_start| parent_start != start) {
            self.find(
                Check::StepNumber,
                &cid,
                "its start is not that of its parent",
            );
        }
        let jump = node.jump.and_then(|jump| self.by_cid.get(&jump).copied());
        let target = jump_step(node.step);
        if let (Some(link), Some(parent)) = (node.jump, parent)
            && let Some(right) = self.ancestor(parent, target)
            && self.cid(right) != Some(link)
        {
            self.find(
                Check::Jump,
                &cid,
                format!("its jump is not step {target} of its own chain"),
            );
        }
        let at = self.facts.len() as u32;
        self.facts.push(Fact {
            cid,
            step: node.step,
            start,
            below,
            is_parent,
            jump,
            ended: node.role == ROLE_END,
        });
        self.by_cid.insert(cid, at);
        at
    }

    /// Step `target` at or below `from`, by what was judged already; None where a cut is in the way.
    fn ancestor(&self, from: u32, target: u64) -> Option<u32> {
        let mut at = from;
        loop {
            let fact = self.fact(at)?;
            if fact.step <= target {
                return (fact.step == target).then_some(at);
            }
            let by_jump = fact.jump.filter(|_| jump_step(fact.step) >= target);
            at = match by_jump {
                Some(jump) => jump,
                None => fact.below.filter(|_| fact.is_parent)?,
            };
        }
    }
}
