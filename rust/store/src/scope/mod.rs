//! Whole scopes: all refs of one under another name, what a scope was forked of, and what it was at a moment.
//!
//! Promises: everything here goes through the contract alone, so every backend has it. A fork writes no block.
//! Must never: know what a thread or an actor is. A ref is a name, a target and a record.

pub mod as_of;
mod deciding;
pub mod diff;
pub mod fork;
pub mod forking;
pub mod landing;
mod left_by;
pub mod lineage;
mod past;
pub mod refs;
pub mod verify;

pub use as_of::{AsOf, Lost};
pub use diff::{Differing, ScopeDiff, diff_scopes};
pub use fork::{FORK_AT_ONCE_REFS_MAX, ForkOptions, Forked, fork};
pub use forking::{FORKING, Unfinished, discard, unfinished};
pub use landing::{LandOptions, Lands};
pub use lineage::{ANCESTORS_MAX, Ancestor, Lineage};
pub use past::Moment;
pub use verify::verify_scope;
