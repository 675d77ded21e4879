//! Threads on the road: CAR files, written and read.
//!
//! An export holds a manifest (root 0) that says what the threads are, and every block that they reach. It
//! stands on its own: what it links to is in it. Files, sections and blocks are `treering_store::archive`'s; here is
//! what threads are in it, in a manifest of their own (form 1) and in that of a whole scope (`scope.rs`).
//!
//! Promises: an export is the threads at one position of the journal, and the same state gives the same
//! bytes; an import takes all that the manifest says or changes no ref, and what it takes was checked
//! block by block; memory grows with the number of blocks, not with their bytes.
//! Must never: believe a length, a hash or a link that it has not checked, or replace a thread that is there.

mod chains;
mod commit;
mod conflict;
mod error;
mod export;
mod import;
mod manifest;
mod scope;
mod snapshot;

pub use commit::moved;
pub use conflict::OnConflict;
pub use error::CarError;
pub use export::{Exported, export, export_to};
pub use import::{Imported, expect_commands, import, import_from, import_indexed};
pub use scope::{Brings, ScopeThreads, Verdicts, is_made, is_threads, named_by};
pub use treering_store::archive::Watcher;
