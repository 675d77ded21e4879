//! What the disk, or a bucket, did not give while a store was looked at: noted beside the findings, since it says nothing
//! of what is there.
//!
//! Promises: every error of theirs that becomes a finding is noted here first.

use std::cell::{Cell, OnceCell};

use treering_block::Cid;

use super::evidence::Snapshot;
use crate::commit::RefValue;
use crate::cursor::Head;
use crate::erasure::Erasure;
use crate::error::{Result, StoreError};
use crate::findings::VerifyReport;
use crate::journal::{JournalCommand, JournalRow};
use crate::lease::LeaseState;
use crate::name::RefName;
use crate::scope::lineage::Receipt;
use crate::verify::{BlockRow, Evidence, HoldRow, Visit};

thread_local! {
    static FAILED_READS: Cell<u64> = const { Cell::new(0) };
}

/// A read of SQLite's fails, on this thread.
pub(super) fn read_fails() {
    FAILED_READS.set(FAILED_READS.get().wrapping_add(1));
}

/// Counts them, for who asks SQLite something that it answers all the same.
pub(super) fn failed_reads() -> u64 {
    FAILED_READS.get()
}

/// The first error of the disk, or of the bucket.
#[derive(Default)]
pub(super) struct Unread(OnceCell<StoreError>);

impl Unread {
    /// Passes an answer on.
    pub(super) fn note<T>(&self, answer: Result<T>) -> Result<T> {
        answer.map_err(|error| self.noted(error))
    }

    /// Passes an error on.
    pub(super) fn noted(&self, error: StoreError) -> StoreError {
        if matches!(error, StoreError::Io { .. } | StoreError::Bucket { .. }) {
            // The first one stays.
            drop(self.0.set(error.clone()));
        }
        error
    }

    /// Errors: the bucket's, if it did not answer. It is not asked for the next block then, nor is anything said of those
    /// that it has.
    pub(super) fn bucket_answers(&self) -> Result<()> {
        match self.0.get() {
            Some(error @ StoreError::Bucket { .. }) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Errors: the one that was noted.
    pub(super) fn end(self) -> Result<()> {
        self.0.into_inner().map_or(Ok(()), Err)
    }
}

impl Evidence for Snapshot<'_> {
    fn own_checks(&self, report: &mut VerifyReport) -> Result<()> {
        self.unread.note(Self::own_checks(self, report))
    }

    fn blocks(&self, visit: Visit<'_, BlockRow>) -> Result<()> {
        self.unread.note(Self::blocks(self, visit))
    }

    fn ordinal(&self, cid: &Cid) -> Result<Option<u64>> {
        self.unread.note(Self::ordinal(self, cid))
    }

    fn has_ordinal(&self, ordinal: u64) -> Result<bool> {
        self.unread.note(Self::has_ordinal(self, ordinal))
    }

    fn next_ordinal(&self) -> Result<u64> {
        self.unread.note(Self::next_ordinal(self))
    }

    fn journal_start(&self) -> Result<Head> {
        self.unread.note(Self::journal_start(self))
    }

    fn journal(&self, visit: Visit<'_, JournalRow>) -> Result<()> {
        self.unread.note(Self::journal(self, visit))
    }

    fn newest_commit_told(&self) -> Result<u64> {
        self.unread.note(Self::newest_commit_told(self))
    }

    fn erasing(&self) -> Result<Vec<String>> {
        let erasing = self.unread.note(self.session.erasing())?;
        Ok(erasing.into_iter().map(|erasing| erasing.scope).collect())
    }

    fn erasures(&self) -> Result<Vec<Erasure>> {
        self.unread.note(self.session.erasures())
    }

    fn refs(&self, visit: Visit<'_, (RefName, RefValue)>) -> Result<()> {
        self.unread.note(Self::refs(self, visit))
    }

    fn refs_are_all(&self) -> Result<bool> {
        self.unread.note(Self::refs_are_all(self))
    }

    fn receipts(&self, visit: Visit<'_, JournalCommand>) -> Result<()> {
        self.unread.note(Self::receipts(self, visit))
    }

    fn receipt(&self, scope: &str, key: &[u8; 32]) -> Result<Option<Receipt>> {
        self.unread.note(Self::receipt(self, scope, key))
    }

    fn holds(&self, visit: Visit<'_, HoldRow>) -> Result<()> {
        self.unread.note(Self::holds(self, visit))
    }

    fn leases(&self, visit: Visit<'_, (RefName, LeaseState)>) -> Result<()> {
        self.unread.note(Self::leases(self, visit))
    }
}
