//! Blocks: immutable bytes named by their CID, the DAG-CBOR codec, the node kinds and their links.
//!
//! Promises: one value has one encoding, whatever is read was checked to the letter of the DAG-CBOR
//! specification, and no input can take more memory or stack than its own length justifies.
//! Never: no I/O, no clock, no randomness, no knowledge of stores, refs or threads.
//!
//! `docs/format.md` states every byte with the reason for it.

pub mod base32;
mod block;
pub mod car;
pub mod cbor;
mod cid;
mod cid_prefix;
pub mod collection;
pub mod dag_json;
mod error;
mod jump;
pub mod limits;
pub mod node;

pub use crate::block::{Block, check_node};
pub use crate::cbor::{Encoded, Event, LinkRef, Reader, Writer, canonical_key_order};
pub use crate::cid::{Cid, Codec};
pub use crate::cid_prefix::CidPrefix;
pub use crate::error::{BlockError, CidError, CodecError, Fault, LimitKind};
pub use crate::jump::{Jumps, jump_step};
pub use crate::node::{
    ContentNode, Node, Payload, SpilledAs, StartNode, StateNode, payload_from_bytes,
    payload_from_encoded, payload_from_text,
};
pub use ::cid::Cid as AnyCid;
pub use ipld_core::ipld::Ipld;
