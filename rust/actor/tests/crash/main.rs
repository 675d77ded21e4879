//! Actors on a disk that loses, fails and fills up: a scripted life of every store, cut off at every moment.
//!
//! What was answered is there, with its events, its read model, its row and its receipt; nothing is half-done; a
//! repeated command changes nothing; a projection and what it delivered into another scope agree. And of
//! whole scopes: forked, backed up, erased.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed expectation is to stop the test, in the functions that tests share too"
)]

mod checks;
mod io;
mod life;
mod power;
mod projecting;
#[path = "../../../store/tests/scan/mod.rs"]
mod scan;
mod whole;
mod whole_checks;
