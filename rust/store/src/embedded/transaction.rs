//! One batch's transaction, from BEGIN to what is known after COMMIT; as a [`Ledger`] in `transaction/ledger.rs`.
//!
//! Promises: a request that is refused has written nothing; once a write has failed, nothing of the batch
//! may be committed ([`Transaction::fault`]).

mod ledger;

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use treering_block::Cid;

use super::blob::BlobFiles;
use super::connections::Known;
use super::erasure_rows::Erasing;
use super::gc::Moment;
use super::manifest_rows::Totals;
use super::recent_blocks::RecentBlocks;
use super::repair::newest_commit_told;
use super::session::Session;
use crate::commit::RefValue;
use crate::erasure::Erasure;
use crate::error::{Result, StoreError};
use crate::gc::Figures;
use crate::journal::{JournalRow, erased_body};
use crate::ledger::{Ledger, Tip};
use crate::tier::Tier;
use crate::upload::Uploaded;

pub(super) struct Transaction<'c> {
    session: Session<'c>,
    tiers: &'c [Arc<dyn Tier>],
    blobs: &'c BlobFiles,
    totals: Totals,
    totals_at_begin: Totals,
    tip: Tip,
    /// Why the newest commit can not be read: no commit may follow it and nothing may be collected.
    tip_fault: Option<StoreError>,
    recent: RecentBlocks,
    /// Scopes that are being erased.
    erasing: Vec<String>,
    /// Nothing was written here, and what was before is on disk.
    on_disk: bool,
    /// Files of this request's large blocks.
    files: HashMap<Cid, String>,
    /// Refs that this request has read or changed, and what their rows add to the sum of all.
    refs: HashMap<String, (Option<RefValue>, u64)>,
    /// The request has written something.
    wrote: bool,
    /// Blocks and bytes stored.
    added: (u64, u64),
    /// Files written under the lock.
    late_files: Vec<String>,
    /// Uploads whose files rows name, if this transaction is committed.
    taken: Vec<Arc<Uploaded>>,
    fault: Option<StoreError>,
}

impl<'c> Transaction<'c> {
    /// `session` has begun a transaction that may write.
    /// `known`: what the database starts from, if the caller knows it to be true; else it is read.
    pub(super) fn begin(
        session: Session<'c>,
        tiers: &'c [Arc<dyn Tier>],
        blobs: &'c BlobFiles,
        known: Option<Known>,
    ) -> Result<Self> {
        let Known {
            totals,
            tip,
            recent,
            erasing,
            on_disk,
        } = match known {
            Some(known) => known,
            None => Known {
                totals: session.totals()?,
                tip: None,
                recent: RecentBlocks::default(),
                erasing: scopes_of(session.erasing()?),
                on_disk: false,
            },
        };
        let (tip, tip_fault) = match tip {
            Some(tip) => (tip, None),
            None => match session.tip_row() {
                Ok(tip) => (tip, end_fault(session, &totals, &tip)?),
                Err(error @ StoreError::Corrupt { .. }) => (Tip::default(), Some(error)),
                Err(error) => return Err(error),
            },
        };
        Ok(Self {
            session,
            tiers,
            blobs,
            totals,
            totals_at_begin: totals,
            tip,
            tip_fault,
            recent,
            erasing,
            on_disk,
            files: HashMap::new(),
            refs: HashMap::new(),
            wrote: false,
            added: (0, 0),
            late_files: Vec::new(),
            taken: Vec::new(),
            fault: None,
        })
    }

    /// Runs one request. An error after its first write is a fault of the whole transaction: what it
    /// wrote cannot be told apart from the others' any more.
    pub(super) fn request<T>(
        &mut self,
        files: HashMap<Cid, String>,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> (Result<T>, HashMap<Cid, String>) {
        self.files = files;
        self.refs.clear();
        self.wrote = false;
        let answer = work(self);
        if let Err(error) = &answer
            && self.wrote
        {
            self.fault.get_or_insert_with(|| error.clone());
        }
        (answer, std::mem::take(&mut self.files))
    }

    /// Why nothing of this transaction may be committed.
    pub(super) fn fault(&self) -> Option<&StoreError> {
        self.fault.as_ref()
    }

    /// Writes what is written once per batch. To be called before COMMIT.
    pub(super) fn finish(&mut self) -> Result<()> {
        if self.totals.refs_sum.is_none() {
            self.totals.refs_sum = Some(self.session.refs_sum()?);
        }
        // What was told of an end that is lost stays told.
        if self.tip_fault.is_none() {
            self.totals.head = Some(self.tip.head);
        }
        if self.totals == self.totals_at_begin {
            Ok(())
        } else {
            self.session.write_totals(self.totals)
        }
    }

    pub(super) fn position(&self) -> u64 {
        self.tip.head.position
    }

    /// What the next transaction starts from if this one is committed.
    pub(super) fn into_known(self) -> Known {
        Known {
            totals: self.totals,
            tip: self.tip_fault.is_none().then_some(self.tip),
            recent: self.recent,
            erasing: self.erasing,
            on_disk: self.on_disk,
        }
    }

    /// Blocks and bytes that this transaction adds.
    pub(super) fn added(&self) -> (u64, u64) {
        self.added
    }

    /// Files that were written under the lock: without a row unless this transaction is committed.
    pub(super) fn late_files(&self) -> &[String] {
        &self.late_files
    }

    /// Uploads whose files are rows' from now on, if this transaction is committed.
    pub(super) fn taken(&self) -> &[Arc<Uploaded>] {
        &self.taken
    }

    /// The store as this transaction has made it so far.
    pub(super) fn moment(&self) -> Moment<'c> {
        Moment {
            session: self.session,
            tiers: self.tiers,
            next_ordinal: self.totals.next_ordinal,
            blocks: self.totals.blocks,
            refs_sum: self.totals.refs_sum,
        }
    }

    pub(super) fn session(&self) -> Session<'c> {
        self.session
    }

    /// Blocks may become absent from here on: what was found is looked up again.
    pub(super) fn forget_blocks(&mut self) {
        self.recent.clear();
    }

    /// What the store numbers is counted anew.
    pub(super) fn set_totals(&mut self, counted: Totals) {
        self.totals = counted;
        self.read_tip();
    }

    /// Rows of refs were changed by other ways than commits: what they add up to is counted anew.
    pub(super) fn recount_refs(&mut self) {
        self.totals.refs_sum = None;
        self.refs.clear();
    }

    /// Rows of refs were changed by other ways than commits, which add so much more to the sum of all.
    pub(super) fn add_to_refs(&mut self, sum: u64) {
        if let Some(all) = &mut self.totals.refs_sum {
            *all = all.wrapping_add(sum);
        }
        self.refs.clear();
    }

    /// An erase has begun, or ended.
    pub(super) fn read_erasing(&mut self) -> Result<()> {
        self.erasing = scopes_of(self.session.erasing()?);
        Ok(())
    }

    /// The commit of an erasure: says nothing but the digest of its note, which gets place and time.
    pub(super) fn append_erasure(&mut self, note: &mut Erasure, now_ms: i64) -> Result<()> {
        let tip = Ledger::tip(self)?;
        note.position = tip.head.position.saturating_add(1);
        note.at_ms = if tip.head.position == 0 {
            now_ms
        } else {
            now_ms.max(tip.at_ms)
        };
        let body = erased_body(note.position, &note.body_digest());
        self.append_journal(&JournalRow::after(&tip.head, note.at_ms, body))
    }

    /// A row of the journal was written anew, or what is told of its end.
    pub(super) fn read_tip(&mut self) {
        let read = self
            .session
            .tip_row()
            .and_then(|tip| Ok((tip, end_fault(self.session, &self.totals, &tip)?)));
        match read {
            Ok(read) => (self.tip, self.tip_fault) = read,
            Err(error) => self.tip_fault = Some(error),
        }
    }

    /// Commits that the journal lost at its end get marks, up to `newest`: whatever is committed next has a number
    /// that no other had.
    pub(super) fn mark_lost(&mut self, newest: u64, now_ms: i64) -> Result<()> {
        let mut tip = self.session.tip_row()?;
        tip.at_ms = if tip.head.position == 0 {
            now_ms
        } else {
            now_ms.max(tip.at_ms)
        };
        while tip.head.position < newest {
            let row = JournalRow::lost(&tip.head, tip.at_ms);
            self.writing(|session| session.insert_journal_row(&row))?;
            tip.head = row.head();
        }
        self.totals.head = Some(tip.head);
        (self.tip, self.tip_fault) = (tip, None);
        Ok(())
    }

    /// Errors: `Corrupt` while the newest commit can not be read, or is lost: only repairs may go on then.
    pub(super) fn expect_tip(&self) -> Result<()> {
        self.tip_fault.clone().map_or(Ok(()), Err)
    }

    /// Blocks have become absent.
    pub(super) fn subtract(&mut self, gone: Figures) {
        self.totals = self.totals.without(gone);
    }

    fn is_erasing(&self, scope: &str) -> bool {
        self.erasing.iter().any(|erasing| erasing == scope)
    }

    pub(super) fn writing(&mut self, write: impl FnOnce(Session<'c>) -> Result<()>) -> Result<()> {
        self.wrote = true;
        self.on_disk = false;
        write(self.session)
    }
}

/// Why the journal that ends with `tip` is not the one that was written; None if it is.
fn end_fault(session: Session<'_>, totals: &Totals, tip: &Tip) -> Result<Option<StoreError>> {
    let end = tip.head.position;
    let Some(told) = totals.head else {
        // An earlier version wrote last.
        let told = newest_commit_told(session)?;
        return Ok((told > end).then(|| lost_end(end, told)));
    };
    Ok(match told.position.cmp(&end) {
        Ordering::Greater => Some(lost_end(end, told.position)),
        _ => totals.head_fault(&tip.head),
    })
}

fn lost_end(end: u64, told: u64) -> StoreError {
    StoreError::Corrupt {
        what: "journal",
        which: format!("commit {told}"),
        detail: format!(
            "the journal ends at {end}: what came after it is missing, and the next commit would take its number"
        ),
    }
}

fn scopes_of(erasing: Vec<Erasing>) -> Vec<String> {
    erasing.into_iter().map(|erasing| erasing.scope).collect()
}
