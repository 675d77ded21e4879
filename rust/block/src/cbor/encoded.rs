//! One DAG-CBOR value that is known to be valid and canonical.
//!
//! Promises: its bytes came from the writer or were checked by the reader; links and depth are those
//! of the bytes. That lets a value be spliced into a node without a second pass.
//! Never: it can not be made from bytes that nobody checked.

use super::{Event, LinkSet, Reader, SIMPLE, Writer, value};
use crate::error::{CodecError, LimitKind};
use crate::limits::Limits;
use crate::{AnyCid, Ipld};

/// A valid, canonical value: its bytes, links and depth. Equal values have equal bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Encoded {
    bytes: Vec<u8>,
    links: Vec<AnyCid>,
    depth: usize,
}

impl Encoded {
    /// Only the writer and the reader may say that bytes are proven.
    pub(super) fn proven(bytes: Vec<u8>, links: Vec<AnyCid>, depth: usize) -> Self {
        Self {
            bytes,
            links,
            depth,
        }
    }

    /// The encoded form of a value.
    ///
    /// # Errors
    /// What DAG-CBOR can not hold: NaN, infinities, integers beyond −2⁶⁴ … 2⁶⁴−1, too much depth.
    pub fn from_ipld(value: &Ipld) -> Result<Self, CodecError> {
        let mut writer = Writer::new();
        value::write(&mut writer, value)?;
        writer.finish()
    }

    /// The value of `bytes`, checked.
    ///
    /// # Errors
    /// Anything but one strict DAG-CBOR value.
    pub fn decode_from(bytes: impl Into<Vec<u8>>) -> Result<Self, CodecError> {
        Self::with_limits(bytes, Limits::CODEC)
    }

    /// The value of `bytes`, checked, under `limits`.
    ///
    /// # Errors
    /// As for [`Encoded::decode_from`]; [`CodecError::Limit`].
    pub fn with_limits(bytes: impl Into<Vec<u8>>, limits: Limits) -> Result<Self, CodecError> {
        let bytes = bytes.into();
        let mut reader = Reader::with_limits(&bytes, limits)?;
        let mut links = LinkSet::default();
        reader.value(|event| {
            if let Event::Link(link) = event {
                links.insert(link.cid());
                if links.len() > limits.links_max {
                    return Err(CodecError::Limit {
                        what: LimitKind::Links,
                        limit: limits.links_max as u64,
                        actual: links.len() as u64,
                    });
                }
            }
            Ok(())
        })?;
        let depth = reader.depth();
        reader.finish()?;
        Ok(Self::proven(bytes, links.into_vec(), depth))
    }

    /// The encoded form of a text.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        // A lone text under no limit of size breaks no rule of the writer.
        let mut writer = Writer::new();
        let written = writer.str(text).and_then(|()| writer.finish());
        written.unwrap_or_else(|_| Self::null())
    }

    /// The encoded form of a byte string.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut writer = Writer::new();
        let written = writer.bytes(bytes).and_then(|()| writer.finish());
        written.unwrap_or_else(|_| Self::null())
    }

    /// null
    #[must_use]
    pub fn null() -> Self {
        Self::proven(vec![SIMPLE << 5 | 22], Vec::new(), 0)
    }

    /// A map without entries.
    #[must_use]
    pub fn empty_map() -> Self {
        Self::proven(vec![super::MAP << 5], Vec::new(), 1)
    }

    /// The DAG-CBOR bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The DAG-CBOR bytes, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Every link in it, in order, each once.
    #[must_use]
    pub fn links(&self) -> &[AnyCid] {
        &self.links
    }

    /// Containers around the innermost value; 0 for a scalar.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Whether it is a map.
    #[must_use]
    pub fn is_map(&self) -> bool {
        self.bytes
            .first()
            .is_some_and(|head| head >> 5 == super::MAP)
    }

    /// Whether it is a map without entries.
    #[must_use]
    pub fn is_empty_map(&self) -> bool {
        self.bytes == [super::MAP << 5]
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match Reader::new(&self.bytes).next() {
            Ok(Event::Str(text)) => Some(text),
            _ => None,
        }
    }

    /// The byte string, if it is one.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match Reader::new(&self.bytes).next() {
            Ok(Event::Bytes(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// The value. O(len).
    ///
    /// # Errors
    /// None that can happen: the bytes were checked before.
    pub fn to_ipld(&self) -> Result<Ipld, CodecError> {
        value::decode(&self.bytes)
    }
}

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.to_ipld() {
            Ok(value) => write!(f, "Encoded({value:?})"),
            Err(error) => write!(f, "Encoded({error})"),
        }
    }
}
