//! DAG-JSON, the form of values for people and for tools that speak JSON.
//!
//! Promises: `encode` writes the one form (no whitespace, keys in the order of their bytes, floats
//! that look like floats, base64 without padding, canonical CIDs); `decode` accepts whitespace and
//! any order of keys, as the specification asks, and refuses whatever would lose or guess something:
//! duplicate keys, lone surrogates, floats beyond range, second spellings of CIDs and base64, the
//! reserved maps. `decode(encode(v)) == v` for every value that has a form.
//! Never: nothing is hashed in this form; blocks are DAG-CBOR.
//!
//! Source: <https://ipld.io/specs/codecs/dag-json/spec/>, RFC 8259. "First key" of a reserved map is
//! read as first in sorted order for both directions: the order in a text must not change what the
//! text means.

mod lexer;
mod reader;
mod writer;

pub use reader::decode;
pub use writer::encode;

use crate::Ipld;
use std::collections::BTreeMap;

/// The key of links and bytes.
const SLASH: &str = "/";
/// The inner key of bytes.
const BYTES: &str = "bytes";

/// What a map whose first key is `/` stands for.
enum Reserved<'a> {
    /// `{"/": text}`
    Link(&'a str),
    /// `{"/": {"bytes": text}}`
    Bytes(&'a str),
    /// One of these with more keys in it: nothing at all. Holds what the `/` leads to.
    Neither(&'static str),
}

/// How DAG-JSON reads a map; None for a map that is just a map.
fn reserved(map: &BTreeMap<String, Ipld>) -> Option<Reserved<'_>> {
    let (key, value) = map.first_key_value()?;
    if key != SLASH {
        return None;
    }
    match value {
        Ipld::String(text) if map.len() == 1 => Some(Reserved::Link(text)),
        Ipld::String(_) => Some(Reserved::Neither("a text")),
        Ipld::Map(inner) => match inner.first_key_value()? {
            (inner_key, Ipld::String(text)) if inner_key == BYTES => {
                let single = map.len() == 1 && inner.len() == 1;
                Some(if single {
                    Reserved::Bytes(text)
                } else {
                    Reserved::Neither("{\"bytes\": text}")
                })
            }
            _ => None,
        },
        _ => None,
    }
}
