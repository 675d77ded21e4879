//! DAG-JSON, the form of values for people and for tools that speak JSON.
//!
//! Promises: `encode` writes the one form (no whitespace, keys in the order of their bytes, floats
//! that look like floats, base64 without padding, canonical CIDs); `decode` accepts whitespace and
//! any order of keys, as the specification asks, and refuses whatever would lose or guess something:
//! duplicate keys, lone surrogates, floats beyond range, second spellings of CIDs and base64, the
//! reserved maps. `decode(encode(v)) == v` for every value that has a form. Values come and go as DAG-CBOR
//! ([`crate::Encoded`]); both directions take memory in proportion to their input.
//! Never: nothing is hashed in this form; blocks are DAG-CBOR.
//!
//! Source: <https://ipld.io/specs/codecs/dag-json/spec/>, RFC 8259. "First key" of a reserved map is
//! read as first in sorted order for both directions: the order in a text must not change what the
//! text means.

mod lexer;
mod reader;
mod tree;
mod writer;

pub use reader::decode;
pub use writer::encode;

/// The key of links and bytes.
const SLASH: &str = "/";
/// The inner key of bytes.
const BYTES: &str = "bytes";
