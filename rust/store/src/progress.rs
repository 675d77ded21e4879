//! How far a long piece of work is, for whoever watches it from another thread; and whether to go on.
//!
//! Promises: reading it waits for nobody. The work looks at it between two pieces, each a small part of a
//! second.
//! Must never: call anybody. Work that stands inside the store must not wait for its caller.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};

use crate::caller;
use crate::error::{Result, StoreError};

/// What a long piece of work is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Nothing yet: opening, waiting for a lock.
    #[default]
    Start = 0,
    /// Copying the database: its pages, or its new rows.
    Database = 1,
    /// Copying large blocks.
    Files = 2,
    /// Reading the copy again.
    Check = 3,
    /// Finding out what has to be copied.
    Search = 4,
    /// Copying blocks.
    Blocks = 5,
    /// Moving refs.
    Refs = 6,
    /// Sending a backup to a bucket.
    Send = 7,
    /// Fetching a backup from a bucket.
    Fetch = 8,
}

impl Stage {
    const ALL: [Self; 9] = [
        Self::Start,
        Self::Database,
        Self::Files,
        Self::Check,
        Self::Search,
        Self::Blocks,
        Self::Refs,
        Self::Send,
        Self::Fetch,
    ];

    /// A stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Database => "database",
            Self::Files => "files",
            Self::Check => "check",
            Self::Search => "search",
            Self::Blocks => "blocks",
            Self::Refs => "refs",
            Self::Send => "send",
            Self::Fetch => "fetch",
        }
    }
}

/// Shared by who works and who watches.
#[derive(Debug, Default)]
pub struct Progress {
    stage: AtomicU8,
    done: AtomicU64,
    total: AtomicU64,
    cancelled: AtomicBool,
}

impl Progress {
    /// The stage, how much of it is done, and of how much (0: not known).
    pub fn now(&self) -> (Stage, u64, u64) {
        let stage = usize::from(self.stage.load(Relaxed));
        (
            Stage::ALL.get(stage).copied().unwrap_or_default(),
            self.done.load(Relaxed),
            self.total.load(Relaxed),
        )
    }

    /// Asks the work to end; it answers `Cancelled` soon.
    pub fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
    }

    /// Whether it was asked to end.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }

    /// A new stage begins. Errors: `Cancelled`.
    pub(crate) fn enter(&self, stage: Stage, total: u64) -> Result<()> {
        self.done.store(0, Relaxed);
        self.total.store(total, Relaxed);
        self.stage.store(stage as u8, Relaxed);
        self.go_on()
    }

    /// So much of the stage is done, of so much. Errors: `Cancelled`.
    pub(crate) fn of(&self, done: u64, total: u64) -> Result<()> {
        self.total.store(total, Relaxed);
        self.at(done)
    }

    /// So much of the stage is done. Errors: `Cancelled`.
    pub(crate) fn at(&self, done: u64) -> Result<()> {
        self.done.store(done, Relaxed);
        self.go_on()
    }

    /// So much more of the stage is done. Errors: `Cancelled`.
    pub(crate) fn add(&self, more: u64) -> Result<()> {
        self.done.fetch_add(more, Relaxed);
        self.go_on()
    }

    /// Errors: `Cancelled`.
    pub(crate) fn go_on(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        caller::still_waits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_reads_back() {
        let progress = Progress::default();
        for stage in Stage::ALL {
            progress.enter(stage, 7).unwrap();
            progress.add(2).unwrap();
            assert_eq!(progress.now(), (stage, 2, 7));
        }
        progress.cancel();
        assert!(matches!(progress.at(1), Err(StoreError::Cancelled)));
    }
}
