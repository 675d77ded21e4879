//! Archives: refs and all that they reach, in one CAR file that needs nothing else.
//!
//! Here is what holds for every archive: how sections are written and read, which block stands where, in which order
//! blocks come, how they are brought into a store, and the manifest of a whole scope (`manifest.rs`), which knows refs and
//! receipts and nothing else. What a ref of some kind means, and whether its blocks are what they say, the layers above
//! judge; they see the file as a store that can only be read (`view.rs`).
//!
//! Promises: an export is the state at one position of the journal, and the same state gives the same bytes; every block
//! of a file is hashed before anything is believed of it; memory grows with the number of blocks, not with their bytes.
//! Must never: believe a length, a hash or a link that was not checked, or know what a thread or an actor is.

pub mod error;
pub mod fields;
pub mod index;
pub mod loading;
pub mod manifest;
pub mod path;
pub mod scan;
pub mod snapshot;
pub mod view;
pub mod walk;
pub mod writing;

pub use error::ArchiveError;
pub use fields::Fields;
pub use index::Index;
pub use loading::Loading;
pub use manifest::{ScopeManifest, form_of};
pub use snapshot::{Snapshot, snapshot};
pub use view::View;
pub use walk::post_order;
pub use writing::Output;

use std::ops::ControlFlow;

use crate::caller;

/// Is told now and then how far the work is: what is done, and of how much if that is known; blocks of an
/// export, bytes of an import. Breaking ends the work with [`ArchiveError::Stopped`].
pub type Watcher<'a> = &'a mut dyn FnMut(u64, Option<u64>) -> ControlFlow<()>;

/// Blocks between two calls of the watcher …
const WATCHED_BLOCKS: u64 = 256;
/// … or their bytes, whichever come first.
const WATCHED_BYTES: u64 = 4 << 20;

/// When the watcher is told.
#[derive(Default)]
struct Pace {
    blocks: u64,
    bytes: u64,
}

impl Pace {
    /// A block of that size is done. Whether it is time to tell. Errors: `Cancelled`.
    fn block(&mut self, bytes: u64) -> Result<bool, ArchiveError> {
        caller::still_waits()?;
        self.blocks += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        let is_due = self.blocks >= WATCHED_BLOCKS || self.bytes >= WATCHED_BYTES;
        if is_due {
            *self = Self::default();
        }
        Ok(is_due)
    }
}

/// Tells the watcher.
///
/// Errors: `Stopped` if it wants no more.
pub fn tell(watcher: &mut Watcher<'_>, done: u64, total: Option<u64>) -> Result<(), ArchiveError> {
    match watcher(done, total) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(ArchiveError::Stopped),
    }
}
