//! Threads on a disk that loses, fails and fills up: a scripted life of all verbs, cut off at every moment.
//!
//! What was answered is there, nothing is half-done, `verify` is clean, and a repeated command changes nothing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may end so, in the functions that tests share too"
)]

mod checks;
mod io;
mod life;
mod power;
