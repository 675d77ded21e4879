//! An element of a collection: short ones stand where they are listed, longer ones are blocks of their own.
//!
//! Promises: one value has one form, by its length alone.
//! Never: a link in a list is taken for an element's value; it is where the value is.

use crate::cbor::{Encoded, Event, Reader, Writer};
use crate::collection::Draft;
use crate::error::{BlockError, CodecError};
use crate::limits::Limits;
use crate::{Block, Cid, Codec};

/// Encoded bytes of an element that stands where it is listed; a longer one is a block of its own.
pub const INLINE_ELEMENT_BYTES_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Here(Encoded),
    There(Cid),
}

impl Element {
    /// Errors: `Limit` for a value that no node holds.
    pub(super) fn new<E: From<BlockError>>(
        value: Encoded,
        draft: &mut Draft<'_, E>,
    ) -> Result<Self, E> {
        if value.bytes().len() <= INLINE_ELEMENT_BYTES_MAX {
            return Ok(Self::Here(value));
        }
        Ok(Self::There(draft.put(Block::from_encoded(value)?)))
    }

    pub(super) fn value<E: From<BlockError>>(&self, draft: &Draft<'_, E>) -> Result<Encoded, E> {
        match self {
            Self::Here(value) => Ok(value.clone()),
            Self::There(cid) => {
                let bytes = draft.get(cid)?;
                let value = Encoded::with_limits(&*bytes, Limits::NODE);
                Ok(value.map_err(|source| undecodable(cid, source))?)
            }
        }
    }

    /// A short one stands in a list of its own, so that a link is always that of a long one.
    pub(super) fn write(&self, writer: &mut Writer) -> Result<(), CodecError> {
        match self {
            Self::Here(value) => {
                writer.array(1)?;
                writer.raw(value)
            }
            Self::There(cid) => writer.link_ours(cid),
        }
    }

    /// The one of `item`, which stands in the node `cid`.
    pub(super) fn read(cid: &Cid, item: &[u8]) -> Result<Self, BlockError> {
        const EXPECTED: &str = "of elements: links, and short values each in a list of its own";
        if let Some(link) = link_of(cid, item)? {
            return Ok(Self::There(link));
        }
        let failed = |source| undecodable(cid, source);
        let mut reader = Reader::new(item);
        if reader.next().map_err(failed)? != Event::Array(1) {
            return Err(ill_typed(cid, EXPECTED));
        }
        let value = Encoded::decode_from(reader.skip_value().map_err(failed)?).map_err(failed)?;
        if value.bytes().len() > INLINE_ELEMENT_BYTES_MAX {
            return Err(ill_typed(cid, EXPECTED));
        }
        Ok(Self::Here(value))
    }
}

/// The link that `item` is; None if it is none. Errors: `IllTyped` for one that leads to no node of ours.
pub(super) fn link_of(cid: &Cid, item: &[u8]) -> Result<Option<Cid>, BlockError> {
    let event = Reader::new(item).next();
    match event.map_err(|source| undecodable(cid, source))? {
        Event::Link(link) => match link.ours() {
            Some(link) if link.codec() == Codec::DagCbor => Ok(Some(link)),
            _ => Err(ill_typed(cid, "of links to nodes")),
        },
        _ => Ok(None),
    }
}

pub(super) fn ill_typed(cid: &Cid, expected: &str) -> BlockError {
    BlockError::IllTyped {
        cid: *cid,
        field: "list".into(),
        expected: expected.into(),
    }
}

pub(super) fn undecodable(cid: &Cid, source: CodecError) -> BlockError {
    BlockError::Undecodable { cid: *cid, source }
}
