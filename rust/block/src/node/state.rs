//! The state node: one step of a thread.
//!
//! Promises: its number says whether it has a parent and a jump, and both are checked whenever a
//! node is written or read; that the links lead to nodes of the right numbers is for whoever can
//! read those. Never: no thread id; no clock unless the caller gave a time.

use super::fields::{Fields, Value, check_map, check_name, check_node_link, write_node};
use crate::cbor::Encoded;
use crate::error::BlockError;
use crate::jump::jump_step;
use crate::limits::ROLE_BYTES_MAX;
use crate::{Block, Cid};

/// The role of the start in a context; no node has it.
pub const ROLE_START: &str = "__start__";
/// The role of the step that ends a thread.
pub const ROLE_END: &str = "__end__";
/// The role of a step that failed.
pub const ROLE_FAILED: &str = "__failed__";

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateNode {
    /// Who took the step; not empty, not `__start__`.
    pub role: String,
    /// A map of what the role says about the step.
    pub meta: Encoded,
    /// The start node of the chain.
    pub start: Cid,
    /// The content node.
    pub content: Cid,
    /// The step before; None for step 1.
    pub parent: Option<Cid>,
    /// The step [`jump_step`] of this one's number; None where that is 0.
    pub jump: Option<Cid>,
    /// The step's number, from 1.
    pub step: u64,
    /// A content node that sums up all steps before this one.
    pub compact: Option<Cid>,
    /// A node of the thread that this step ran as its own.
    pub child_thread: Option<Cid>,
    /// Milliseconds since 1970 (UTC); None if nobody gave a time.
    pub at_ms: Option<i64>,
}

impl StateNode {
    /// Its kind on the wire.
    pub const KIND: &'static str = "state";

    /// The node as a block.
    ///
    /// # Errors
    /// [`BlockError::Field`] for a field that breaks its rule; limits; foreign links.
    pub fn encode(&self) -> Result<Block, BlockError> {
        self.check()?;
        let mut fields = vec![
            ("role", Value::Text(&self.role)),
            ("start", Value::Link(&self.start)),
            ("content", Value::Link(&self.content)),
            ("step", Value::Uint(self.step)),
        ];
        for (field, link) in [
            ("parent", &self.parent),
            ("jump", &self.jump),
            ("compact", &self.compact),
            ("child_thread", &self.child_thread),
        ] {
            fields.extend(link.as_ref().map(|cid| (field, Value::Link(cid))));
        }
        fields.extend(self.at_ms.map(|at_ms| ("at_ms", Value::Int(at_ms))));
        if !self.meta.is_empty_map() {
            fields.push(("meta", Value::Encoded(&self.meta)));
        }
        write_node(Self::KIND, fields)
    }

    /// The node of `bytes`, which were read as `cid`; the hash is not checked here.
    ///
    /// # Errors
    /// [`BlockError::Undecodable`] and [`BlockError::IllTyped`], both with the CID.
    pub fn decode(cid: &Cid, bytes: &[u8]) -> Result<Self, BlockError> {
        Self::from_fields(Fields::read(cid, bytes)?)
    }

    pub(super) fn from_fields(mut fields: Fields<'_>) -> Result<Self, BlockError> {
        fields.take_kind(Self::KIND)?;
        let node = Self {
            role: fields.text("role")?,
            meta: fields.map_or_empty("meta")?,
            start: fields.link("start")?,
            content: fields.link("content")?,
            parent: fields.optional_link("parent")?,
            jump: fields.optional_link("jump")?,
            step: fields.uint("step")?,
            compact: fields.optional_link("compact")?,
            child_thread: fields.optional_link("child_thread")?,
            at_ms: fields.optional_int("at_ms")?,
        };
        let cid = fields.cid();
        fields.finish()?;
        node.check().map_err(|error| error.stored_in(cid))?;
        Ok(node)
    }

    fn check(&self) -> Result<(), BlockError> {
        check_name(Self::KIND, "role", &self.role, ROLE_BYTES_MAX)?;
        if self.role == ROLE_START {
            return Err(rule("role", "another than __start__, which no step has"));
        }
        check_map(Self::KIND, "meta", &self.meta)?;
        for (field, link) in [
            ("start", Some(&self.start)),
            ("content", Some(&self.content)),
            ("parent", self.parent.as_ref()),
            ("jump", self.jump.as_ref()),
            ("compact", self.compact.as_ref()),
            ("child_thread", self.child_thread.as_ref()),
        ] {
            check_node_link(Self::KIND, field, link)?;
        }
        self.check_chain()
    }

    /// What the number alone says about parent and jump.
    fn check_chain(&self) -> Result<(), BlockError> {
        let Some(before) = self.step.checked_sub(1) else {
            return Err(rule("step", "at least 1"));
        };
        if self.parent.is_some() != (before > 0) {
            return Err(rule("parent", "absent at step 1 and present after it"));
        }
        let jump = jump_step(self.step);
        if self.jump.is_some() != (jump > 0) {
            return Err(rule(
                "jump",
                "absent where it would lead to step 0, else present",
            ));
        }
        // Nodes of different steps differ, so these are the same link just where they are one step.
        if jump > 0 && (self.jump == self.parent) != (jump == before) {
            return Err(rule(
                "jump",
                "the parent just where it leads to the step before",
            ));
        }
        Ok(())
    }
}

fn rule(field: &'static str, expected: &'static str) -> BlockError {
    BlockError::Field {
        kind: StateNode::KIND,
        field,
        expected,
    }
}
