//! Large collections whose versions share blocks: a change writes the few blocks on the way to it.
//!
//! Promises: equal collections have equal blocks, however they came to be; a version that was written stays
//! readable as long as its root does.
//! Never: no I/O of their own: blocks come through a function of the caller's, new ones are handed back.

mod draft;
mod vector;

pub use draft::{Draft, Read};
pub use vector::{INLINE_ELEMENT_BYTES_MAX, Vector, WIDTH};
