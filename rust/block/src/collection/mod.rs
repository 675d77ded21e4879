//! Large collections whose versions share blocks: a change writes the few blocks on the way to it.
//!
//! Promises: equal collections have equal blocks, however they came to be; a version that was written stays
//! readable as long as its root does.
//! Never: no I/O of their own: blocks come through a function of the caller's, new ones are handed back.

mod draft;
mod element;
mod map;
#[cfg(test)]
mod shelf;
mod vector;

pub use draft::{Draft, Read, children_first};
pub use element::INLINE_ELEMENT_BYTES_MAX;
pub use map::{KEY_BYTES_MAX, Map};
pub use vector::{Vector, WIDTH};

/// Elements that ever were in a list, entries of a map: what a length of 64 bits with a sign can say.
pub const LENGTH_MAX: u64 = i64::MAX as u64;
