//! What a step or prompt says, out of its content node.

use std::sync::Arc;

use treering_block::{Cid, ContentNode, Encoded, Node, Payload};
use treering_store::{Store, StoreError};

use crate::chain::read_node;
use crate::error::{Result, ThreadError};

/// What is said.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Any other value.
    Value(Encoded),
}

impl Content {
    fn from_encoded(value: Encoded) -> Self {
        if let Some(text) = value.as_text() {
            return Self::Text(text.to_owned());
        }
        match value.as_bytes() {
            Some(bytes) => Self::Bytes(bytes.to_vec()),
            None => Self::Value(value),
        }
    }
}

/// Reads a content node.
///
/// # Errors
/// `Store` when the block is missing or corrupt; `Corrupt`, with the CID, when it is another node.
pub fn read_content_node(store: &dyn Store, cid: &Cid) -> Result<ContentNode> {
    match read_node(store, cid)? {
        Node::Content(node) => Ok(node),
        other => Err(ThreadError::corrupt(
            "content node",
            cid,
            format!("it is a {} node", other.kind()),
        )),
    }
}

/// What a content node says; one more read if it spilled.
///
/// # Errors
/// As for [`read_content_node`].
pub fn read_payload(store: &dyn Store, payload: &Payload) -> Result<Content> {
    let value = match payload {
        Payload::Inline(value) => value.clone(),
        Payload::Spilled {
            as_kind,
            block,
            size,
        } => {
            let bytes = store.get(block)?;
            if bytes.len() as u64 != *size {
                return Err(ThreadError::corrupt(
                    "spilled payload",
                    block,
                    format!("it has {} bytes, not {size}", bytes.len()),
                ));
            }
            as_kind.decode(block, &bytes)?
        }
    };
    Ok(Content::from_encoded(value))
}

/// What the content node `cid` says. At most two reads.
///
/// # Errors
/// As for [`read_content_node`].
pub fn read_content(store: &dyn Store, cid: &Cid) -> Result<Content> {
    read_payload(store, &read_content_node(store, cid)?.payload)
}

/// The bytes of an artifact of the content node `cid`.
///
/// # Errors
/// As for [`read_content_node`]; `NotFound` when it has no artifact of that name.
pub fn read_artifact(store: &dyn Store, cid: &Cid, name: &str) -> Result<Arc<[u8]>, ThreadError> {
    let node = read_content_node(store, cid)?;
    match node.artifacts.get(name) {
        Some(artifact) => Ok(store.get(artifact)?),
        None => Err(ThreadError::NotFound {
            id: format!("artifact {name}"),
        }),
    }
}

/// Whether an error says that one block is missing or broken, and which.
pub(crate) fn broken_block(error: &ThreadError) -> Option<Cid> {
    use treering_block::BlockError;
    match error {
        ThreadError::Store(StoreError::BlockNotFound(cid)) => Some(*cid),
        ThreadError::Store(StoreError::Block(
            BlockError::Mismatch { cid, .. }
            | BlockError::Undecodable { cid, .. }
            | BlockError::IllTyped { cid, .. },
        )) => Some(*cid),
        ThreadError::Store(StoreError::Corrupt { which, .. })
        | ThreadError::Corrupt { which, .. } => which.parse().ok(),
        _ => None,
    }
}
