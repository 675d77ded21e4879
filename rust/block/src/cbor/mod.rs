//! DAG-CBOR: the specification to the letter, strict both ways.
//!
//! Promises: what is read is the one encoding of its value (shortest heads, keys in order and once
//! each, 64-bit floats, tag 42 alone, nothing after the value), so reading and writing again gives
//! the same bytes. No announced length takes memory before the bytes for it are there.
//! Never: nothing here knows our node profile except through [`crate::limits::Limits`]; links to
//! CIDs that are not ours are legal here.
//!
//! Source: <https://ipld.io/specs/codecs/dag-cbor/spec/>, RFC 8949 §4.2.3 for the key order.

mod encoded;
mod link;
mod reader;
mod value;
mod writer;

use std::cmp::Ordering;

pub use encoded::Encoded;
pub use link::{LinkRef, LinkSet};
pub use reader::{Event, Reader};
pub use value::{decode, encode, links};
pub use writer::Writer;

/// Major types of RFC 8949 §3.1, the upper three bits of a head.
const UINT: u8 = 0;
const NINT: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const SIMPLE: u8 = 7;

/// The only tag: a link, its CID as bytes behind a zero byte.
const LINK_TAG: u64 = 42;

/// The order of map keys: the shorter first, then by bytes.
///
/// That is the bytewise order of the encoded keys, since the head holds the length.
#[must_use]
#[inline]
pub fn canonical_key_order(a: &str, b: &str) -> Ordering {
    canonical_byte_order(a.as_bytes(), b.as_bytes())
}

/// The same, of the keys' UTF-8.
#[inline]
fn canonical_byte_order(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}
