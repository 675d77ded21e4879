//! The content node: what a step or a prompt says, with its artifacts and references.
//!
//! Promises: whatever the payload looks like, it is a value and never read as a node.
//! Never: artifacts stand behind links to raw blocks, never inside.

use std::collections::BTreeMap;

use super::fields::{Fields, Value, check_name, write_node};
use super::payload::Payload;
use crate::error::BlockError;
use crate::limits::ARTIFACT_NAME_BYTES_MAX;
use crate::{Block, Cid, Codec};

/// A payload, artifacts and references.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentNode {
    /// What is said.
    pub payload: Payload,
    /// Named bytes: name to raw block.
    pub artifacts: BTreeMap<String, Cid>,
    /// Blocks that the payload refers to, in the caller's order.
    pub refs: Vec<Cid>,
}

impl ContentNode {
    /// Its kind on the wire.
    pub const KIND: &'static str = "content";

    /// The node as a block. A spilled payload's own block is not part of it.
    ///
    /// # Errors
    /// [`BlockError::Field`] for a field that breaks its rule; limits; foreign links.
    pub fn encode(&self) -> Result<Block, BlockError> {
        self.check()?;
        let mut fields = vec![self.payload.to_field()];
        if !self.artifacts.is_empty() {
            fields.push(("artifacts", Value::LinkMap(&self.artifacts)));
        }
        if !self.refs.is_empty() {
            fields.push(("refs", Value::Links(&self.refs)));
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
            payload: Payload::from_fields(&mut fields)?,
            artifacts: fields.link_map("artifacts")?,
            refs: fields.links("refs")?,
        };
        let cid = fields.cid();
        fields.finish()?;
        node.check().map_err(|error| error.stored_in(cid))?;
        Ok(node)
    }

    fn check(&self) -> Result<(), BlockError> {
        self.payload.check()?;
        for (name, cid) in &self.artifacts {
            check_name(Self::KIND, "artifacts", name, ARTIFACT_NAME_BYTES_MAX)?;
            if cid.codec() != Codec::Raw {
                return Err(BlockError::Field {
                    kind: Self::KIND,
                    field: "artifacts",
                    expected: "a map of names to links to raw blocks",
                });
            }
        }
        Ok(())
    }
}
