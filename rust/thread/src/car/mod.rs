//! Threads on the road: CAR files, written and read.
//!
//! An export holds a manifest (root 0) that says what the threads are, and every block that they reach. It
//! stands on its own: what it links to is in it.
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
mod index;
mod manifest;
mod path;
mod scan;
mod snapshot;
mod walk;

pub use conflict::OnConflict;
pub use error::CarError;
pub use export::{Exported, export};
pub use import::{Imported, import};
pub use path::{export_to, import_from};

use std::ops::ControlFlow;

/// Is told now and then how far the work is: what is done, and of how much if that is known; blocks of an
/// export, bytes of an import. Breaking ends the work with [`CarError::Stopped`].
pub type Watcher<'a> = &'a mut dyn FnMut(u64, Option<u64>) -> ControlFlow<()>;

/// Blocks between two calls of the watcher.
const WATCHED_BLOCKS: u64 = 256;

fn tell(watcher: &mut Watcher<'_>, done: u64, total: Option<u64>) -> Result<(), CarError> {
    match watcher(done, total) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(CarError::Stopped),
    }
}
