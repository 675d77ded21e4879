//! What `verify` is shown of a store in a directory: one snapshot of the database, and the files.
//!
//! Tables are read in pages, so that memory stays small. Files without a row are no finding: a crash
//! between a file's fsync and its commit leaves one, and garbage collection takes it.

use std::sync::Arc;

use treering_block::{Cid, Codec};

use super::blob::BlobFiles;
use super::block_rows::{BlockRow, to_sql};
use super::connections::Connections;
use super::manifest_rows::KEYS;
use super::ref_rows::shown;
use super::repair::newest_commit_told;
use super::row_check::Table;
use super::session::Session;
use super::unread::Unread;
use crate::commit::RefValue;
use crate::cursor::Head;
use crate::error::{Result, StoreError};
use crate::findings::{Check, VerifyReport};
use crate::journal::{JournalCommand, JournalRow};
use crate::lease::LeaseState;
use crate::name::RefName;
use crate::progress::Progress;
use crate::scope::lineage::{Receipt, Wanted};
use crate::tier::Tier;
use crate::verify::{self, Broken, HoldRow, Stored, Visit};

/// Rows read at a time.
const PAGE: usize = 256;
/// Findings of SQLite's own check.
const STRUCTURE_FINDINGS_MAX: usize = 100;

pub(super) struct Snapshot<'c> {
    pub(super) session: Session<'c>,
    pub(super) blobs: &'c BlobFiles,
    /// For a second look at what is there now; None where nobody else changes it.
    pub(super) connections: Option<&'c Connections>,
    /// Blocks are shown from behind this ordinal on.
    pub(super) after: u64,
    pub(super) progress: &'c Progress,
    pub(super) tiers: &'c [Arc<dyn Tier>],
    pub(super) unread: Unread,
}

impl Snapshot<'_> {
    fn block(&self, row: BlockRow, visit: Visit<'_, verify::BlockRow>) {
        let mut bytes = self.stored(&row);
        if let (Err(error), Some(_)) = (&bytes, &row.file) {
            if self.is_gone(row.ordinal) {
                // Collected since this snapshot: its file went after its row.
                return;
            }
            // A tree that is not its file's: the bytes are sound all the same.
            if matches!(error, StoreError::Corrupt { .. }) && self.blobs.is_whole(&row) {
                visit(Err(broken(row.cid.to_string(), error.clone())));
                bytes = self.file_bytes(&row);
            }
        }
        let bytes = self.unread.note(bytes);
        let links = self.unread.note(self.session.links(row.ordinal));
        visit(Ok(verify::BlockRow {
            ordinal: row.ordinal,
            cid: row.cid,
            size: row.size,
            bytes: bytes.map_err(|error| error.to_string()),
            links: links.map_err(|error| error.to_string()),
        }));
    }

    /// A block's bytes; a file's only where it is a node's, and may be one's.
    fn stored(&self, row: &BlockRow) -> Result<Stored> {
        if row.file.is_none() {
            let payload = self.session.payload(row.ordinal)?;
            return Ok(Stored::Bytes(payload.unwrap_or_default().into()));
        }
        self.unread.bucket_answers()?;
        self.blobs.open(row)?.check()?;
        self.file_bytes(row)
    }

    /// Of a file that hashes to its block.
    fn file_bytes(&self, row: &BlockRow) -> Result<Stored> {
        match row.cid.codec() {
            Codec::Raw => Ok(Stored::Sound),
            Codec::DagCbor => self.blobs.read(row).map(Stored::Bytes),
        }
    }

    /// Whether the store has lost this row since the snapshot.
    fn is_gone(&self, ordinal: u64) -> bool {
        self.connections.is_some_and(|connections| {
            connections
                .reading(|session| session.cid_of(ordinal))
                .is_ok_and(|found| found.is_none())
        })
    }

    /// The pages of the dead, and what the living number.
    fn check_dead(&self, report: &mut VerifyReport) {
        if let Err(error) = self.unread.note(self.session.gc_generation()) {
            let Broken { which, detail } = error.into();
            report.find(
                Check::Manifest,
                format!("{} {which}", Table::Manifest.row_name()),
                detail,
            );
        }
        if let Err(error) = self.unread.note(self.session.dead_ordinals()) {
            let Broken { which, detail } = error.into();
            report.find(
                Check::BlockRow,
                format!("{} {which}", Table::Dead.row_name()),
                detail,
            );
        }
    }

    /// SQLite's own check of pages, cells and indexes.
    fn check_structure(&self, report: &mut VerifyReport) -> Result<()> {
        let check = format!("PRAGMA integrity_check({STRUCTURE_FINDINGS_MAX})");
        for line in self.session.page_faults(&check)? {
            report.find(Check::Manifest, "database", line);
        }
        Ok(())
    }

    /// The totals against what they total.
    fn check_totals(&self, report: &mut VerifyReport) -> Result<()> {
        let totals = self.session.totals()?;
        // Commits that are lost are told of the journal.
        if let Ok(tip) = self.unread.note(self.session.tip_row())
            && totals
                .head
                .is_some_and(|told| told.position <= tip.head.position)
            && let Some(StoreError::Corrupt { detail, .. }) = totals.head_fault(&tip.head)
        {
            report.find(Check::Manifest, "totals", detail);
        }
        // Without the pages of the dead nothing can be counted; that they are broken is a finding.
        let Ok(counted) = self.unread.note(self.session.count_living()) else {
            return Ok(());
        };
        for (what, total, counted) in [
            ("blocks", totals.blocks, counted.blocks),
            ("nodes", totals.nodes, counted.nodes),
            ("block bytes", totals.block_bytes, counted.bytes),
        ] {
            if total != counted {
                report.find(
                    Check::Manifest,
                    "totals",
                    format!("{what}: {total} are noted, {counted} are there"),
                );
            }
        }
        Ok(())
    }

    fn lonely_graph_rows(&self, visit: Visit<'_, verify::BlockRow>) -> Result<()> {
        let mut statement = self.session.prepared(
            "SELECT ordinal FROM graph WHERE ordinal > ?1
             AND NOT EXISTS (SELECT 1 FROM block WHERE block.ordinal = graph.ordinal)",
        )?;
        let mut rows = statement
            .query([to_sql(self.after)])
            .map_err(|error| self.session.unread(error))?;
        while let Some(row) = rows.next().map_err(|error| self.session.unread(error))? {
            let ordinal: i64 = row.get(0).map_err(|error| self.session.unread(error))?;
            visit(Err(Broken {
                which: format!("ordinal {ordinal}"),
                detail: "the graph has it, its block row is missing".into(),
            }));
        }
        Ok(())
    }
}

fn broken(which: impl Into<String>, error: crate::error::StoreError) -> Broken {
    Broken {
        which: which.into(),
        detail: Broken::from(error).detail,
    }
}

/// The tables, as [`Evidence`] describes them.
impl Snapshot<'_> {
    pub(super) fn own_checks(&self, report: &mut VerifyReport) -> Result<()> {
        let structure = self.check_structure(report);
        let optional = [
            self.session.gc_generation().map(drop),
            self.session.learned().map(drop),
            self.session.lease_floor().map(drop),
        ];
        let rows = KEYS.map(|key| self.session.read_manifest(key).map(drop));
        for row in rows.into_iter().chain(optional) {
            if let Err(error) = self.unread.note(row) {
                let Broken { which, detail } = error.into();
                report.find(
                    Check::Manifest,
                    format!("{} {which}", Table::Manifest.row_name()),
                    detail,
                );
            }
        }
        self.check_dead(report);
        if self.unread.note(self.session.totals()).is_ok() {
            self.check_totals(report)?;
        }
        structure
    }

    pub(super) fn blocks(&self, visit: Visit<'_, verify::BlockRow>) -> Result<()> {
        let mut after = self.after;
        loop {
            let page = self.session.blocks_after(after, PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            self.progress.add(page.len() as u64)?;
            for (ordinal, row) in page {
                match row {
                    Ok(row) => self.block(row, visit),
                    Err(error) => visit(Err(broken(format!("ordinal {ordinal}"), error))),
                }
            }
        }
        self.lonely_graph_rows(visit)
    }

    pub(super) fn ordinal(&self, cid: &Cid) -> Result<Option<u64>> {
        if let Some(row) = self.session.find_block(cid)? {
            return Ok(Some(row.ordinal));
        }
        for tier in self.tiers {
            if let Some(ordinal) = tier.ordinal(cid)? {
                return Ok(Some(ordinal));
            }
        }
        Ok(None)
    }

    pub(super) fn has_ordinal(&self, ordinal: u64) -> Result<bool> {
        if self.session.cid_of(ordinal)?.is_some() {
            return Ok(true);
        }
        for tier in self.tiers {
            if tier.links(ordinal)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn next_ordinal(&self) -> Result<u64> {
        self.session.totals().map(|totals| totals.next_ordinal)
    }

    pub(super) fn journal_start(&self) -> Result<Head> {
        Ok(self.session.journal_start()?.head)
    }

    pub(super) fn journal(&self, visit: Visit<'_, JournalRow>) -> Result<()> {
        let mut after = 0;
        for file in self.session.sealed_files()? {
            // A file that can not be read hides no other.
            match file.and_then(|file| Ok((self.session.sealed_commits(&file)?, file))) {
                Ok((rows, file)) => {
                    after = file.last;
                    rows.into_iter().for_each(|row| visit(Ok(row)));
                }
                Err(error) => visit(Err(self.unread.noted(error).into())),
            }
        }
        loop {
            let page = self.session.unsealed_page(after)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.position;
            page.into_iter().for_each(|row| visit(Ok(row)));
        }
    }

    pub(super) fn newest_commit_told(&self) -> Result<u64> {
        newest_commit_told(self.session)
    }

    pub(super) fn refs(&self, visit: Visit<'_, (RefName, RefValue)>) -> Result<()> {
        // What an erase has begun on is gone. That its name can't be read is found elsewhere.
        let going = self.session.going().unwrap_or_default();
        let mut after = Vec::new();
        loop {
            let page = self.session.all_ref_rows(&after, PAGE)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = going.end_of(last).unwrap_or(last).to_vec();
            for (name, value) in page {
                if going.has(&name) {
                    continue;
                }
                let name = shown(&name);
                visit(match (RefName::parse(&name), value) {
                    (Ok(name), Ok(value)) => Ok((name, value)),
                    (_, Err(error)) => Err(broken(name, error)),
                    (Err(error), Ok(_)) => Err(Broken {
                        which: name,
                        detail: error.to_string(),
                    }),
                });
            }
        }
    }

    pub(super) fn refs_are_all(&self) -> Result<bool> {
        let totals = self.unread.note(self.session.totals());
        let Ok(Some(noted)) = totals.map(|totals| totals.refs_sum) else {
            return Ok(true);
        };
        Ok(self.session.refs_sum()? == noted)
    }

    pub(super) fn receipts(&self, visit: Visit<'_, JournalCommand>) -> Result<()> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.session.receipt_rows(after.as_deref(), PAGE)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            for (_, row) in page {
                visit(
                    row.map(|(key, left)| JournalCommand {
                        key,
                        payload: left.payload,
                        receipt: left.receipt,
                    })
                    .map_err(Broken::from),
                );
            }
        }
    }

    pub(super) fn receipt(&self, scope: &str, key: &[u8; 32]) -> Result<Option<Receipt>> {
        self.session.receipt_row(Wanted::Of(scope, key))
    }

    pub(super) fn holds(&self, visit: Visit<'_, HoldRow>) -> Result<()> {
        let mut after = (0, String::new());
        loop {
            let page = self.session.hold_rows((after.0, &after.1), PAGE)?;
            let Some((ordinal, scope, _)) = page.last() else {
                return Ok(());
            };
            after = (*ordinal, scope.clone());
            for (ordinal, scope, expires) in page {
                visit(
                    expires
                        .map(|expires_at_ms| HoldRow {
                            scope,
                            ordinal,
                            expires_at_ms,
                        })
                        .map_err(Broken::from),
                );
            }
        }
    }

    pub(super) fn leases(&self, visit: Visit<'_, (RefName, LeaseState)>) -> Result<()> {
        let mut after = String::new();
        loop {
            let page = self.session.lease_rows(&after, PAGE)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after.clone_from(last);
            for (name, state) in page {
                visit(match (RefName::parse(&name), state) {
                    (Ok(name), Ok(state)) => Ok((name, state)),
                    (_, Err(error)) => Err(broken(name, error)),
                    (Err(error), Ok(_)) => Err(Broken {
                        which: name,
                        detail: error.to_string(),
                    }),
                });
            }
        }
    }
}
