//! What a role is shown: how the thread began and what was said since.

use treering_block::node::ROLE_END;
use treering_block::{Cid, Encoded};

use crate::error::Result;
use crate::step::Step;
use crate::thread::Thread;

/// The context at a thread's head.
#[derive(Clone, Debug)]
pub struct Context {
    /// The start node; its role in a context is `__start__`.
    pub start: Cid,
    /// Content node of the prompt.
    pub prompt: Option<Cid>,
    /// The start node's parameters, a map.
    pub parameters: Encoded,
    /// Steps in order, `__end__` left out. The first one is the summary if `compact` is there.
    pub steps: Vec<Step>,
    /// The content node that stands for all before the first step here.
    pub compact: Option<Cid>,
}

impl Thread {
    /// The context at the head as last seen: the last `last` steps (None: all), from the newest summary
    /// on if there is one among them. Reads the start node and as many nodes as it gives, and `__end__`.
    ///
    /// # Errors
    /// Strict: a missing or ill-typed node is an error that names it.
    pub fn context(&self, last: Option<u64>) -> Result<Context> {
        let node = self.start_node()?;
        let mut steps: Vec<Step> = Vec::new();
        let mut compact = None;
        let mut back = self.back();
        while last.is_none_or(|last| (steps.len() as u64) < last) && compact.is_none() {
            let Some(step) = back.next().transpose()? else {
                break;
            };
            if step.node.role == ROLE_END {
                continue;
            }
            compact = step.node.compact;
            steps.push(step);
        }
        steps.reverse();
        Ok(Context {
            start: self.start_cid()?,
            prompt: node.prompt,
            parameters: node.parameters,
            steps,
            compact,
        })
    }
}
