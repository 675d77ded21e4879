//! A store that was restored of a backup from which scopes were erased, before it was made or since: what only they reached is
//! collected, and the room of all that went is given back. Till then their text would be in its files, and nobody would know
//! that it is to be collected.
//!
//! Promises: it is done before `restore` answers, or `restore` says how much is left; whatever stops it, the next one that opens
//! the store for writing goes on, until nothing of it is left in any file or object.
//! Must never: collect in a store that nothing was erased from.

use std::fs;
use std::io;

use super::target::Target;
use crate::clock::Clock;
use crate::embedded::EmbeddedStore;
use crate::embedded::directory::RESTORE;
use crate::embedded::sqlite_error::io_error;
use crate::embedded::stray_files::settling;
use crate::error::{Result, StoreError};
use crate::gc::GcOptions;
use crate::store::Store;

/// Stands in the marker of a restore that left something out, before the moment when all its files were written
/// (milliseconds of the machine's clock).
const LEFT_OUT: &str = "left out, of before ";

impl Target {
    /// Once all files are there, and before the database has its name: none is anybody else's.
    pub(super) fn note_left_out(&self) -> Result<()> {
        self.note(&format!("{LEFT_OUT}{}", Clock::system().now_ms()))
    }
}

impl EmbeddedStore {
    /// When the store is opened for writing: what a restore that was cut short has left.
    pub(in crate::embedded) fn clear_left(&self) {
        match self.clear_restored() {
            Ok(0) => {}
            Ok(left) => {
                tracing::warn!(
                    left,
                    "what a restore left out is not removed yet; the next opening goes on"
                );
            }
            Err(error) => {
                tracing::warn!(%error, "what a restore left out is not cleared yet; the next opening goes on");
            }
        }
    }

    /// Clears what the restore of this store left out, if it did and that is not done. How many files and objects of it may be
    /// left, 1 where that is not known: the next opening goes on then. Errors: those of an erase, a collection and a vacuum.
    pub(super) fn clear_restored(&self) -> Result<u64> {
        let shared = &self.writable()?.shared;
        let marker = shared.root.join(RESTORE);
        let text = match fs::read_to_string(&marker) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            text => text.map_err(|error| io_error("read", &marker, error))?,
        };
        let moment_ms = text
            .lines()
            .find_map(|line| line.strip_prefix(LEFT_OUT)?.parse().ok());
        let Some(moment_ms) = moment_ms else {
            return Ok(0);
        };
        // An erase that was under way when the backup was made: what it takes away is collected, too.
        let stuck = self.finish_erasing(self.lock_wait)?;
        let is_damage = |error: &StoreError| matches!(error, StoreError::Corrupt { .. });
        if let Some(stuck) = stuck.into_iter().find(|stuck| !is_damage(&stuck.error)) {
            return Err(stuck.error);
        }
        self.gc(&GcOptions::default())?;
        // Of a block whose row went before the power failed.
        shared.remove_stray_files_from_before(moment_ms, &|| self.ask_writer(settling))?;
        let vacuumed = match self.vacuum() {
            // It counts objects, and the store is whole without them.
            Err(StoreError::Bucket { .. }) => return Ok(1),
            vacuumed => vacuumed?,
        };
        // Of the database there may be something as long as anybody reads from the log, or writes.
        let in_files =
            vacuumed.dead_blocks > 0 || vacuumed.free_bytes > 0 || vacuumed.log_bytes > 0;
        if in_files || vacuumed.files_left > 0 {
            return Ok(vacuumed.files_left.max(1));
        }
        match shared.disk.remove(&marker) {
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            removed => removed,
        }
        .and_then(|()| shared.disk.sync_directory(&shared.root))
        .map_err(|error| io_error("remove", &marker, error))?;
        Ok(0)
    }
}
