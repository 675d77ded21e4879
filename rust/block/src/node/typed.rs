//! A typed message with what it links to: what events, snapshots and items of shared collections hold.
//!
//! Two forms, told apart by the type's name: a message of ours is bytes with places in `links`, a user's own (`x.…`) is
//! a map that stands in the node as it is, with its links in it.
//!
//! Promises: a CID never stands inside message bytes; the message names places in `links`, so that whoever walks
//! the graph needs to know no message.
//! Never: message bytes are not looked into here.

use super::fields::{Fields, NO_SUCH_FIELD, OwnFields, Value, check_name, write_node};
use crate::cbor::Encoded;
use crate::error::BlockError;
use crate::limits::TYPE_BYTES_MAX;
use crate::{Block, Cid};

/// What the names of a user's own types begin with.
const OWN: &str = "x.";

/// Whether a type's name is that of a user's own.
#[must_use]
pub fn is_own(type_name: &str) -> bool {
    type_name.starts_with(OWN)
}

/// A message as its type's encoding has it: Protobuf for the built-in types, a DAG-CBOR map for a user's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// Full name of the message's type: `treering.v1.UserConfigSaved`, `x.ticket.Opened`.
    pub type_name: String,
    /// The type's schema number, from 1: who knows a smaller one reads the message and writes nothing after it.
    pub schema: u64,
    /// The message's bytes; of a user's own type the map's.
    pub message: Vec<u8>,
    /// What it links to, in the order in which its `Link` fields count; of a user's own type the links in the map.
    pub links: Vec<Cid>,
}

impl Typed {
    /// A message of a user's own type.
    ///
    /// # Errors
    /// [`BlockError::Field`] for a type that is ours, or a value that is no map; foreign links.
    pub fn of_fields(type_name: String, schema: u64, fields: Encoded) -> Result<Self, BlockError> {
        let rule = |field, expected| BlockError::Field {
            kind: "typed",
            field,
            expected,
        };
        if !is_own(&type_name) {
            return Err(rule("type", "one that begins with x."));
        }
        if !fields.is_map() {
            return Err(rule("fields", "a map"));
        }
        let links = fields.links().iter().map(|link| Ok(Cid::try_from(link)?));
        Ok(Self {
            type_name,
            schema,
            links: links.collect::<Result<_, BlockError>>()?,
            message: fields.into_bytes(),
        })
    }

    /// Whether it is of a user's own type, so that its message is a map of its fields.
    #[must_use]
    pub fn is_own(&self) -> bool {
        is_own(&self.type_name)
    }

    pub(super) fn write<'a>(&'a self, fields: &mut Vec<(&'static str, Value<'a>)>) {
        fields.push(("type", Value::Text(&self.type_name)));
        fields.push(("schema", Value::Uint(self.schema)));
        if self.is_own() {
            fields.push(("fields", Value::Stored(&self.message)));
            return;
        }
        fields.push(("message", Value::Bytes(&self.message)));
        if !self.links.is_empty() {
            fields.push(("links", Value::Links(&self.links)));
        }
    }

    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, BlockError> {
        let stood = Stood {
            type_name: fields.text("type")?,
            schema: fields.uint("schema")?,
            message: fields.optional_bytes("message")?,
            links: fields.links("links")?,
            fields: fields.optional_own("fields")?,
        };
        stood
            .typed()
            .map_err(|(field, expected)| fields.ill_typed(field, expected))
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

/// The fields of a typed message as they stood in a node.
pub(super) struct Stood {
    pub type_name: String,
    pub schema: u64,
    pub message: Option<Vec<u8>>,
    pub links: Vec<Cid>,
    pub fields: Option<OwnFields>,
}

impl Stood {
    /// The message; or which field is not what its form asks for.
    pub fn typed(self) -> Result<Typed, (&'static str, &'static str)> {
        let own = is_own(&self.type_name);
        let (message, links) = match (self.message, self.fields) {
            (Some(_), _) if own => return Err(("message", NO_SUCH_FIELD)),
            (_, Some(_)) if !own => return Err(("fields", NO_SUCH_FIELD)),
            (None, Some(_)) if !self.links.is_empty() => return Err(("links", NO_SUCH_FIELD)),
            (None, Some(fields)) => fields,
            (Some(message), _) => (message, self.links),
            (None, None) if own => return Err(("fields", super::fields::MAP)),
            (None, None) => return Err(("message", super::fields::BYTES)),
        };
        Ok(Typed {
            type_name: self.type_name,
            schema: self.schema,
            message,
            links,
        })
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
