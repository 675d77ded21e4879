//! Fuzzing inside of ordinary tests: seeds are mutated, each input runs, and what it takes is counted.
//!
//! A test hands over valid encodings and a function that reads one input. The harness changes them by
//! flips, cuts, splices, repeats and edits of lengths, and fails for a panic, for memory beyond
//! [`allowed_bytes`], and if it never met both an input that reads and one that is refused. What fails is
//! printed in hex with the line that replays it.
//!
//! Promises: without a clock: the same seed tries the same inputs on every machine; no nightly compiler,
//! no instrumentation, no dependency.
//! Must never: be a dependency of anything but tests: it puts a counting allocator in the program.

mod corpus;
mod hex;
mod meter;
mod mutate;
mod random;
mod run;

pub use meter::{Metered, metered};
pub use random::Random;
pub use run::{Fuzz, allowed_bytes};
