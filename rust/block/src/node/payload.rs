//! A content node's payload, and where it stands: inside, or in a block of its own.
//!
//! Promises: the value alone decides; up to [`INLINE_BYTES_MAX`] encoded bytes it stands inside,
//! above them it spills, so that equal contents have equal nodes. Texts and byte strings spill into
//! raw blocks; all other values into a node, where their links stay visible.
//! Never: nothing but payloads (and artifacts, always) leaves its node.

use super::fields::{Fields, Value};
use crate::cbor::Encoded;
use crate::error::BlockError;
use crate::limits::{INLINE_BYTES_MAX, NODE_BYTES_MAX};
use crate::{Block, Cid, Codec};

/// What is said: a text, bytes or any other value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The value itself.
    Inline(Encoded),
    /// The value, in a block of its own.
    Spilled {
        /// What the block's bytes are.
        as_kind: SpilledAs,
        /// The block.
        block: Cid,
        /// Its bytes, so that a reader may choose not to fetch it.
        size: u64,
    },
}

/// How a spilled payload's block is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpilledAs {
    /// A raw block, a text in UTF-8.
    Text,
    /// A raw block, a byte string.
    Bytes,
    /// A dag-cbor block, the value.
    Node,
}

impl SpilledAs {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Node => "node",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Text, Self::Bytes, Self::Node]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    const fn codec(self) -> Codec {
        match self {
            Self::Text | Self::Bytes => Codec::Raw,
            Self::Node => Codec::DagCbor,
        }
    }

    /// The value of a spilled block's bytes, which were read as `cid`.
    ///
    /// # Errors
    /// [`BlockError::IllTyped`] for a text that is not UTF-8, [`BlockError::Undecodable`] for a node
    /// that is none.
    pub fn decode(self, cid: &Cid, bytes: &[u8]) -> Result<Encoded, BlockError> {
        match self {
            Self::Text => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Encoded::from_text(text)),
                Err(_) => Err(BlockError::IllTyped {
                    cid: *cid,
                    field: "payload".into(),
                    expected: "a text in UTF-8".into(),
                }),
            },
            Self::Bytes => Ok(Encoded::from_bytes(bytes)),
            Self::Node => Encoded::decode_from(bytes)
                .map_err(|source| BlockError::Undecodable { cid: *cid, source }),
        }
    }
}

/// The payload of a text, with the block that it spills into if it is too long to stand inside.
#[must_use]
pub fn payload_from_text(text: &str) -> (Payload, Option<Block>) {
    if string_encoded_bytes(text.len() as u64) <= INLINE_BYTES_MAX as u64 {
        return (Payload::Inline(Encoded::from_text(text)), None);
    }
    spilled(SpilledAs::Text, Block::raw(text.as_bytes()))
}

/// The payload of a byte string, with the block that it spills into.
#[must_use]
pub fn payload_from_bytes(bytes: &[u8]) -> (Payload, Option<Block>) {
    if string_encoded_bytes(bytes.len() as u64) <= INLINE_BYTES_MAX as u64 {
        return (Payload::Inline(Encoded::from_bytes(bytes)), None);
    }
    spilled(SpilledAs::Bytes, Block::raw(bytes))
}

/// The payload of any value, with the block that it spills into.
///
/// # Errors
/// A value that has to spill and is no node by our profile: limits, foreign links.
pub fn payload_from_encoded(value: Encoded) -> Result<(Payload, Option<Block>), BlockError> {
    if value.bytes().len() <= INLINE_BYTES_MAX {
        return Ok((Payload::Inline(value), None));
    }
    if let Some(text) = value.as_text() {
        return Ok(payload_from_text(text));
    }
    if let Some(bytes) = value.as_bytes() {
        return Ok(payload_from_bytes(bytes));
    }
    Block::from_encoded(value).map(|block| spilled(SpilledAs::Node, block))
}

fn spilled(as_kind: SpilledAs, block: Block) -> (Payload, Option<Block>) {
    let size = block.bytes.len() as u64;
    (
        Payload::Spilled {
            as_kind,
            block: block.cid,
            size,
        },
        Some(block),
    )
}

/// Bytes of a text or byte string with its head.
const fn string_encoded_bytes(length: u64) -> u64 {
    let head = match length {
        0..=23 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    };
    length.saturating_add(head)
}

impl Payload {
    pub(super) fn to_field(&self) -> (&'static str, Value<'_>) {
        match self {
            Self::Inline(value) => ("payload", Value::Encoded(value)),
            Self::Spilled {
                as_kind,
                block,
                size,
            } => (
                "spilled",
                Value::Fields(vec![
                    ("as", Value::Text(as_kind.name())),
                    ("size", Value::Uint(*size)),
                    ("block", Value::Link(block)),
                ]),
            ),
        }
    }

    pub(super) fn from_fields(fields: &mut Fields<'_>) -> Result<Self, BlockError> {
        let inline = fields.optional_value("payload")?;
        let spilled = fields.optional_fields("spilled")?;
        match (inline, spilled) {
            (Some(value), None) => Ok(Self::Inline(value)),
            (None, Some(mut spilled)) => {
                let name = spilled.text("as")?;
                let payload = Self::Spilled {
                    as_kind: SpilledAs::from_name(&name).ok_or_else(|| {
                        spilled.ill_typed("spilled.as", "one of text, bytes, node")
                    })?,
                    block: spilled.link("block")?,
                    size: spilled.uint("size")?,
                };
                spilled.finish()?;
                Ok(payload)
            }
            _ => Err(fields.ill_typed("payload", "there, or spilled in its place, and not both")),
        }
    }

    /// The rules that give each content one node.
    pub(super) fn check(&self) -> Result<(), BlockError> {
        let rule = |field, expected| {
            Err(BlockError::Field {
                kind: super::ContentNode::KIND,
                field,
                expected,
            })
        };
        let inline_max = INLINE_BYTES_MAX as u64;
        match self {
            Self::Inline(value) if value.bytes().len() > INLINE_BYTES_MAX => {
                rule("payload", "spilled: it is over 4096 encoded bytes")
            }
            Self::Inline(_) => Ok(()),
            Self::Spilled { as_kind, block, .. } if block.codec() != as_kind.codec() => {
                rule("spilled.block", "raw for text and bytes, a node for node")
            }
            Self::Spilled {
                as_kind: SpilledAs::Node,
                size,
                ..
            } => {
                if *size > inline_max && *size <= NODE_BYTES_MAX as u64 {
                    Ok(())
                } else {
                    rule(
                        "spilled.size",
                        "more than stands inside and at most a node's bytes",
                    )
                }
            }
            Self::Spilled { size, .. } if string_encoded_bytes(*size) <= inline_max => {
                rule("spilled.size", "more than stands inside")
            }
            Self::Spilled { .. } => Ok(()),
        }
    }
}
