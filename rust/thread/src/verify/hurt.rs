//! Whom a broken block hurts: which steps of which threads it belongs to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use treering_block::{Cid, Node, Payload};
use treering_store::{Store, VerifyReport};

use super::chains::Chains;
use super::{Seen, about_blocks};
use crate::chain::read_node;

/// Writes threads and steps into every finding about a block.
pub(super) fn name(
    store: &dyn Store,
    chains: &Chains<'_>,
    threads: &[Seen],
    report: &mut VerifyReport,
) {
    let about = about_blocks(report);
    if about.is_empty() {
        return;
    }
    let mut parts = Parts {
        store,
        broken: &about,
        of: HashMap::new(),
    };
    let mut hurt: BTreeMap<Cid, BTreeSet<(String, u64)>> = BTreeMap::new();
    for thread in threads {
        let mut mark = |cid: Cid, step: u64| {
            hurt.entry(cid)
                .or_default()
                .insert((thread.id.clone(), step));
        };
        thread.lost.iter().for_each(|(step, cid)| mark(*cid, *step));
        let mut at = thread.top;
        while let Some(here) = at {
            if let Some(cid) = chains.cid(here) {
                parts
                    .broken_in(cid)
                    .iter()
                    .for_each(|part| mark(*part, chains.step(here)));
            }
            chains
                .cuts(here)
                .iter()
                .for_each(|(step, cid)| mark(*cid, *step));
            at = chains.below(here);
        }
        if let Some(start) = thread.start {
            parts
                .broken_in(start)
                .iter()
                .for_each(|part| mark(*part, 0));
        }
        if let Some(failed) = thread.failed {
            let step = thread.top.map_or(0, |top| chains.step(top)) + 1;
            parts
                .broken_in(failed)
                .iter()
                .for_each(|part| mark(*part, step));
        }
    }
    for (cid, hurt) in hurt {
        for index in about.get(&cid).into_iter().flatten() {
            if let Some(finding) = report.findings.get_mut(*index) {
                let known: BTreeSet<_> = finding
                    .threads
                    .drain(..)
                    .chain(hurt.iter().cloned())
                    .collect();
                finding.threads = known.into_iter().collect();
            }
        }
    }
}

/// The broken blocks that a node is made of, each node looked at once.
struct Parts<'a> {
    store: &'a dyn Store,
    broken: &'a BTreeMap<Cid, Vec<usize>>,
    of: HashMap<Cid, Vec<Cid>>,
}

impl Parts<'_> {
    fn broken_in(&mut self, cid: Cid) -> &[Cid] {
        if !self.of.contains_key(&cid) {
            let mut found = Vec::new();
            self.look(cid, &mut found);
            self.of.insert(cid, found);
        }
        self.of.get(&cid).map_or(&[], Vec::as_slice)
    }

    /// The node itself, what it says and what that is made of; not its neighbours in the chain.
    fn look(&self, cid: Cid, found: &mut Vec<Cid>) {
        if self.broken.contains_key(&cid) {
            found.push(cid);
        }
        // What can't be read has no parts to look at.
        let Ok(node) = read_node(self.store, &cid) else {
            return;
        };
        match node {
            Node::Start(node) => node
                .prompt
                .into_iter()
                .for_each(|prompt| self.look(prompt, found)),
            Node::State(node) => {
                self.look(node.content, found);
                let summary = node.compact.filter(|compact| *compact != node.content);
                summary
                    .into_iter()
                    .for_each(|compact| self.look(compact, found));
            }
            Node::Content(node) => {
                let spilled = match node.payload {
                    Payload::Spilled { block, .. } => Some(block),
                    Payload::Inline(_) => None,
                };
                let parts = spilled
                    .into_iter()
                    .chain(node.artifacts.into_values())
                    .chain(node.refs);
                found.extend(parts.filter(|part| self.broken.contains_key(part)));
            }
        }
    }
}
