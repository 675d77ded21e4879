//! The start node: how a thread began.
//!
//! Promises: two threads begun alike share it. Never: no thread id, no key, no clock.

use super::fields::{Fields, Value, check_map, check_name, check_node_link, write_node};
use crate::cbor::Encoded;
use crate::error::BlockError;
use crate::limits::{WORKFLOW_BYTES_MAX, WORKFLOW_HASH_BYTES_MAX};
use crate::{Block, Cid};

/// The first node of a chain, step 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartNode {
    /// The workflow's name, not empty.
    pub workflow: String,
    /// The caller's own mark of the workflow's version; None if it has none.
    pub workflow_hash: Option<String>,
    /// The content node of the prompt.
    pub prompt: Option<Cid>,
    /// A map of whatever the workflow is started with.
    pub parameters: Encoded,
    /// Steps after which a run ends; None for no end.
    pub max_rounds: Option<u64>,
    /// Workflows around this one; 0 outside of all.
    pub depth: u64,
    /// The state node of the workflow around this one from which it was started.
    pub parent_state: Option<Cid>,
}

impl StartNode {
    /// Its kind on the wire.
    pub const KIND: &'static str = "start";

    /// The node as a block.
    ///
    /// # Errors
    /// [`BlockError::Field`] for a field that breaks its rule; limits; foreign links.
    pub fn encode(&self) -> Result<Block, BlockError> {
        self.check()?;
        let mut fields = vec![
            ("workflow", Value::Text(&self.workflow)),
            ("depth", Value::Uint(self.depth)),
        ];
        fields.extend(
            self.workflow_hash
                .as_deref()
                .map(|hash| ("workflow_hash", Value::Text(hash))),
        );
        fields.extend(self.prompt.as_ref().map(|cid| ("prompt", Value::Link(cid))));
        fields.extend(
            self.max_rounds
                .map(|rounds| ("max_rounds", Value::Uint(rounds))),
        );
        fields.extend(
            self.parent_state
                .as_ref()
                .map(|cid| ("parent_state", Value::Link(cid))),
        );
        if !self.parameters.is_empty_map() {
            fields.push(("parameters", Value::Encoded(&self.parameters)));
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
            workflow: fields.text("workflow")?,
            workflow_hash: fields.optional_text("workflow_hash")?,
            prompt: fields.optional_link("prompt")?,
            parameters: fields.map_or_empty("parameters")?,
            max_rounds: fields.optional_uint("max_rounds")?,
            depth: fields.uint("depth")?,
            parent_state: fields.optional_link("parent_state")?,
        };
        let cid = fields.cid();
        fields.finish()?;
        node.check().map_err(|error| error.stored_in(cid))?;
        Ok(node)
    }

    fn check(&self) -> Result<(), BlockError> {
        check_name(Self::KIND, "workflow", &self.workflow, WORKFLOW_BYTES_MAX)?;
        if let Some(hash) = &self.workflow_hash {
            check_name(Self::KIND, "workflow_hash", hash, WORKFLOW_HASH_BYTES_MAX)?;
        }
        check_map(Self::KIND, "parameters", &self.parameters)?;
        check_node_link(Self::KIND, "prompt", self.prompt.as_ref())?;
        check_node_link(Self::KIND, "parent_state", self.parent_state.as_ref())
    }
}
