//! Long lists and large maps from outside: the golden vectors, and nodes that somebody made to break them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod fuzz;
mod vectors;
