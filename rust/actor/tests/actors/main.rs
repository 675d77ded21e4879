//! Actors beyond what single stores do: trimmed, grown large, broken, of other schemas, many at once.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed expectation is to stop the test, in the functions that tests share too"
)]

mod bench;
mod broken;
mod crowd;
mod follow;
mod full_disk;
mod growth;
mod orders;
mod own;
mod projections;
mod remembered;
mod retention;
mod retention_limits;
mod schemas;
mod trim;
