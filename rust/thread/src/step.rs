//! A step as read: the state node, its CID and its number.

use std::sync::Arc;

use treering_block::{Cid, ContentNode, StateNode};
use treering_store::Store;

use crate::content::{Content, read_artifact, read_content, read_content_node};
use crate::error::Result;

/// One step of a thread. Its content is read on demand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The state node's name.
    pub cid: Cid,
    /// Counts from 1.
    pub number: u64,
    /// The state node.
    pub node: StateNode,
}

impl Step {
    pub(crate) fn new(cid: Cid, node: StateNode) -> Self {
        Self {
            cid,
            number: node.step,
            node,
        }
    }

    /// Who speaks.
    pub fn role(&self) -> &str {
        &self.node.role
    }

    /// Payload, artifacts and links. One read.
    ///
    /// # Errors
    /// `Store` or `Corrupt`, naming the block.
    pub fn content_node(&self, store: &dyn Store) -> Result<ContentNode> {
        read_content_node(store, &self.node.content)
    }

    /// What is said. At most two reads.
    ///
    /// # Errors
    /// As for [`Step::content_node`].
    pub fn content(&self, store: &dyn Store) -> Result<Content> {
        read_content(store, &self.node.content)
    }

    /// The bytes of an artifact. Two reads.
    ///
    /// # Errors
    /// As for [`Step::content_node`]; `NotFound` when there is none of that name.
    pub fn artifact(&self, store: &dyn Store, name: &str) -> Result<Arc<[u8]>> {
        read_artifact(store, &self.node.content, name)
    }
}
