//! Lists and maps of `treering_block::collection` over stores: versions that know where their blocks are.
//!
//! Promises: a version is immutable, and may be made, changed and read before any store has it; a commit that
//! takes it along writes the blocks that are new and no other.
//! Never: a commit of its own; who submits one asks for the blocks that belong into it.

mod carried;
#[cfg(test)]
mod tests;
mod unstored;
mod version;

pub use carried::{Carried, Landing};
pub use unstored::Unstored;
pub use version::{Large, Rooted, Version};
