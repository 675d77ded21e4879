//! The node kinds: start, state and content of threads; events, snapshots and items of actors; projections.
//!
//! Promises: one node has one encoding (absent fields are left out, empty maps and lists too), and
//! decoding accepts that encoding alone: unknown, missing and ill-typed fields are refused by name.
//! Kind names are append-only; a changed shape gets a new name.
//! Never: a node does not hold a thread's id, so forks share nodes; nothing here follows a link.

mod content;
mod entry;
mod event;
pub(crate) mod fields;
mod payload;
mod projection;
mod start;
mod state;
mod typed;

pub use content::ContentNode;
pub use entry::Entry;
pub use event::{BaseNode, EventNode, SnapshotNode, TombstoneNode, event_jump};
pub use payload::{
    Payload, SpilledAs, payload_from_bytes, payload_from_encoded, payload_from_text,
};
pub use projection::ProjectionNode;
pub use start::StartNode;
pub use state::{ROLE_END, ROLE_FAILED, ROLE_START, StateNode};
pub use typed::{ItemNode, Typed, is_own};

use crate::error::BlockError;
use crate::{Block, Cid};
use fields::Fields;

/// A node of a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// How a thread began.
    Start(StartNode),
    /// One step.
    State(StateNode),
    /// What a step (or a prompt) says.
    Content(ContentNode),
}

impl Node {
    /// The node of `bytes`, which were read as `cid`; the hash is not checked here.
    ///
    /// # Errors
    /// [`BlockError::Undecodable`] and [`BlockError::IllTyped`], both with the CID.
    pub fn decode(cid: &Cid, bytes: &[u8]) -> Result<Self, BlockError> {
        let fields = Fields::read(cid, bytes)?;
        match fields.kind()? {
            StartNode::KIND => StartNode::from_fields(fields).map(Self::Start),
            StateNode::KIND => StateNode::from_fields(fields).map(Self::State),
            ContentNode::KIND => ContentNode::from_fields(fields).map(Self::Content),
            _ => Err(fields.ill_typed("kind", "one of start, state, content")),
        }
    }

    /// The node as a block.
    ///
    /// # Errors
    /// As for the kind's own `encode`.
    pub fn encode(&self) -> Result<Block, BlockError> {
        match self {
            Self::Start(node) => node.encode(),
            Self::State(node) => node.encode(),
            Self::Content(node) => node.encode(),
        }
    }

    /// The kind's name on the wire.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Start(_) => StartNode::KIND,
            Self::State(_) => StateNode::KIND,
            Self::Content(_) => ContentNode::KIND,
        }
    }
}
