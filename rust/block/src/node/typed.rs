//! A typed message with what it links to: what events, snapshots and items of shared collections hold.
//!
//! Promises: a CID never stands inside message bytes; the message names places in `links`, so that whoever walks
//! the graph needs to know no message.
//! Never: message bytes are not looked into here.

use super::fields::{Fields, Value, check_name, write_node};
use crate::error::BlockError;
use crate::limits::TYPE_BYTES_MAX;
use crate::{Block, Cid};

/// A message as its type's encoding has it (Protobuf for the built-in types).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// Full name of the message's type: `treering.v1.UserConfigSaved`.
    pub type_name: String,
    /// The type's schema number, from 1: who knows a smaller one reads the message and writes nothing after it.
    pub schema: u64,
    /// The message's bytes.
    pub message: Vec<u8>,
    /// What it links to, in the order in which its `Link` fields count.
    pub links: Vec<Cid>,
}

impl Typed {
    pub(super) fn write<'a>(&'a self, fields: &mut Vec<(&'static str, Value<'a>)>) {
        fields.push(("type", Value::Text(&self.type_name)));
        fields.push(("schema", Value::Uint(self.schema)));
        fields.push(("message", Value::Bytes(&self.message)));
        if !self.links.is_empty() {
            fields.push(("links", Value::Links(&self.links)));
        }
    }

    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, BlockError> {
        Ok(Self {
            type_name: fields.text("type")?,
            schema: fields.uint("schema")?,
            message: fields.bytes("message")?,
            links: fields.links("links")?,
        })
    }

    pub(super) fn check(&self, kind: &'static str) -> Result<(), BlockError> {
        check_name(kind, "type", &self.type_name, TYPE_BYTES_MAX)?;
        if self.schema == 0 {
            return Err(BlockError::Field {
                kind,
                field: "schema",
                expected: "at least 1",
            });
        }
        Ok(())
    }
}

/// A message that stands by itself, so that many may link to it: a chat's message, a workflow's source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemNode {
    /// The message.
    pub typed: Typed,
}

impl ItemNode {
    /// Its kind on the wire.
    pub const KIND: &'static str = "item";

    /// The node as a block.
    ///
    /// # Errors
    /// [`BlockError::Field`] for a field that breaks its rule; limits; foreign links.
    pub fn encode(&self) -> Result<Block, BlockError> {
        self.typed.check(Self::KIND)?;
        let mut fields = Vec::with_capacity(5);
        self.typed.write(&mut fields);
        write_node(Self::KIND, fields)
    }

    /// The node of `bytes`, which were read as `cid`; the hash is not checked here.
    ///
    /// # Errors
    /// [`BlockError::Undecodable`] and [`BlockError::IllTyped`], both with the CID.
    pub fn decode(cid: &Cid, bytes: &[u8]) -> Result<Self, BlockError> {
        let mut fields = Fields::read(cid, bytes)?;
        fields.take_kind(Self::KIND)?;
        let typed = Typed::read(&mut fields)?;
        fields.finish()?;
        typed
            .check(Self::KIND)
            .map_err(|error| error.stored_in(*cid))?;
        Ok(Self { typed })
    }
}
