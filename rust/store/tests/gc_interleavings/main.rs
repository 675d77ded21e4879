//! Collections and commits in many orders, chosen by shuttle: the production code over the store in memory,
//! each commit in one piece, and each look and each change of a collection, as snapshots and the write lock make it.
//!
//! After every piece all invariants are asserted; see `world`. That they can fail, `planted` shows. `scopes` does the same
//! for what is done with a whole scope.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod ground;
mod orders;
mod planted;
mod scopes;
mod world;
mod writers;
