//! Brings a backup up to date: what came since, in one transaction of its database.
//!
//! The journal says what that is. Commits are numbered, blocks have ordinals, and neither is ever used
//! twice, so what is new stands behind what is there; moved refs and receipts are named by the new commits.
//! Promises: the backup's history is proved to be the beginning of the store's before a row is written; the
//! result is checked before it is committed.

use std::collections::BTreeSet;

use rusqlite::params;
use rusqlite::types::Value;
use treering_block::Cid;

use super::database::drop_dead;
use super::erasures;
use super::files;
use super::rows::{Copied, copy_rows};
use super::sealed;
use super::target::Target;
use super::{BackupOptions, BackupReport, Moment, first_finding, is_of_another, read_again};
use crate::cursor::Head;
use crate::embedded::block_rows::to_sql;
use crate::embedded::housekeeping_rows::behind_key;
use crate::embedded::manifest_rows::STORE_ID;
use crate::embedded::schema::{APPLICATION_ID, FORMAT};
use crate::embedded::session::Session;
use crate::erasure::names_of;
use crate::error::{Result, StoreError};
use crate::gc::Bitmap;
use crate::journal::JournalRow;
use crate::progress::{Progress, Stage};
use crate::sealed::SealedFile;

/// Rows copied at a time.
const PAGE: usize = 512;

/// Copies what is new. Errors: as [`crate::EmbeddedStore::backup`]; the backup is as it was then.
pub(super) fn bring_up_to_date(
    moment: &Moment<'_>,
    target: &Target,
    options: &BackupOptions,
    progress: &Progress,
) -> Result<BackupReport> {
    let open = target.open_database()?;
    let copy = open.session();
    progress.enter(Stage::Database, 0)?;
    copy.run("BEGIN IMMEDIATE", "write")?;
    let mut update = Update {
        moment,
        copy,
        target,
        progress,
        before: prove_prefix(moment, copy, target)?,
        copied: Copied::default(),
        report: BackupReport {
            incremental: true,
            head: moment.head,
            ..BackupReport::default()
        },
    };
    update.run(options)?;
    let report = update.report;
    copy.run("COMMIT", "write")?;
    target.remove_unnamed_files(copy);
    sealed::remove_unnamed(copy, target);
    // What is committed is in the log and on disk. Moved into the database, it can be read from a read-only
    // disk too; a reader may hold that up until the next backup.
    if let Err(error) = copy.run("PRAGMA wal_checkpoint(TRUNCATE)", "checkpoint") {
        tracing::debug!(%error, "the backup's log stays");
    }
    Ok(report)
}

/// What the backup holds before it is brought up to date.
struct Before {
    head: Head,
    /// The ordinal of its newest block, or of one after that which is gone.
    last_ordinal: u64,
    blocks: u64,
    dead: Bitmap,
}

/// Proves that the backup is of this store, and its history the beginning of this one. Errors: `Diverged`,
/// `NewerFormat`, `Corrupt`.
fn prove_prefix(moment: &Moment<'_>, copy: Session<'_>, target: &Target) -> Result<Before> {
    let diverged = |why: String| StoreError::Diverged {
        path: target.root().display().to_string(),
        why: format!("{why}; nothing was changed there: give another directory"),
    };
    let of_format = copy.number("PRAGMA user_version")?;
    if copy.number("PRAGMA application_id")? != i64::from(APPLICATION_ID) {
        return Err(diverged("its database is not one of treering".into()));
    }
    if of_format != FORMAT.cast_signed() {
        return Err(StoreError::NewerFormat {
            path: target.root().display().to_string(),
            found: of_format.cast_unsigned(),
            supported: FORMAT,
        });
    }
    if copy.read_manifest(STORE_ID)? != moment.session.read_manifest(STORE_ID)? {
        return Err(diverged("it is a backup of another store".into()));
    }
    let (head, totals) = (copy.tip_row()?.head, copy.totals()?);
    let position = head.position;
    if position > moment.head.position || totals.next_ordinal > moment.totals.next_ordinal {
        return Err(diverged(format!(
            "the backup is at commit {position} and the store at {}, as if it had been restored from an older one",
            moment.head.position
        )));
    }
    let start = moment.session.journal_start()?.head.position;
    if position < start {
        return Err(diverged(format!(
            "the store has expired its journal up to commit {start}, so that what came after commit {position}, the backup's last, is not known"
        )));
    }
    if moment.session.chain_at(position)? != Some(head.chain) {
        return Err(diverged(format!(
            "commit {position}, the backup's last, is not the store's: the two went apart before it"
        )));
    }
    Ok(Before {
        head,
        last_ordinal: totals.next_ordinal.saturating_sub(1),
        blocks: totals.blocks,
        dead: copy.dead_ordinals()?,
    })
}

/// What a backup can't go on over.
fn given_up(position: u64) -> StoreError {
    StoreError::Invalid {
        what: "backup",
        value: format!("commit {position}"),
        rule: "what it did was given up since this backup was made: keep that, and make the next into a new directory"
            .into(),
    }
}

/// What a backup may be the last to have.
fn only_here(cid: &Cid) -> StoreError {
    StoreError::Invalid {
        what: "backup",
        value: cid.to_string(),
        rule: "the store has lost this block since the backup was made, which still has it: put it back from there, and make the next into a new directory"
            .into(),
    }
}

struct Update<'m> {
    moment: &'m Moment<'m>,
    copy: Session<'m>,
    target: &'m Target,
    progress: &'m Progress,
    before: Before,
    copied: Copied,
    report: BackupReport,
}

impl Update<'_> {
    fn run(&mut self, options: &BackupOptions) -> Result<()> {
        let erased = erasures::new_in(self.moment.session, self.copy)?;
        self.report.erased_scopes = erasures::apply(self.copy, self.target, &erased)?;
        let came = self.blocks()?;
        let dropped = self.bury()?;
        if self.before.blocks + came > self.moment.totals.blocks + dropped {
            return Err(self.what_was_lost()?);
        }
        let files = files::copy_new(
            self.moment,
            self.copy,
            self.target,
            self.before.last_ordinal,
            self.progress,
        )?;
        let there = self.copy.sealed_files()?.into_iter().flatten();
        let there: Vec<_> = there.collect();
        let sealed = sealed::copy(self.moment, self.target, &there, self.progress)?;
        self.expect_no_new_blank(&there)?;
        sealed::name(self.moment, self.copy)?;
        let touched = self.commits()?;
        self.erasing_refs()?;
        self.holds()?;
        self.copy.delete_all_erasing()?;
        // Where the store keeps its large blocks is not the backup's, which has them itself.
        self.rows("manifest", "WHERE key NOT IN ('bucket', 'format')", &[])?;
        self.report.files = files.files;
        self.report.copied_bytes = self.copied.bytes + files.bytes + sealed;
        self.check(options, &touched)
    }

    /// A commit whose body the backup has, and the store has given up since, stays: perhaps it is the only copy.
    /// In the table it does; a sealed file would take its place.
    fn expect_no_new_blank(&self, there: &[SealedFile]) -> Result<()> {
        let session = self.moment.session;
        for file in session.sealed_files()? {
            let file = file?;
            if file.first > self.before.head.position || there.contains(&file) {
                continue;
            }
            for row in session.sealed_commits(&file)? {
                let entry = row.entry()?;
                if !entry.blank || entry.erased {
                    continue;
                }
                let before = row.position.saturating_sub(1);
                let kept = self.copy.unsealed_rows(before, 1)?;
                let has_it =
                    |kept: &JournalRow| kept.position == row.position && kept.body != row.body;
                if kept.iter().any(has_it) {
                    return Err(given_up(row.position));
                }
            }
        }
        Ok(())
    }

    fn rows(&mut self, table: &str, condition: &str, parameters: &[Value]) -> Result<u64> {
        let copied = copy_rows(self.moment.session, self.copy, table, condition, parameters)?;
        self.copied.add(copied);
        self.progress.at(self.copied.bytes)?;
        Ok(copied.rows)
    }

    /// A block that went from the store without being collected was lost, and repaired around. Ends the transaction,
    /// to look at the backup as it was.
    fn what_was_lost(&self) -> Result<StoreError> {
        self.copy.run("ROLLBACK", "read")?;
        let dead = self.moment.session.dead_ordinals()?;
        let mut after = 0;
        loop {
            let page = self.copy.ordinals_after(after, PAGE)?;
            let Some(last) = page.last().copied() else {
                return Ok(self.not_updated("it has more blocks than its own rows tell"));
            };
            for ordinal in page {
                if !dead.contains(ordinal)
                    && self.moment.session.cid_of(ordinal)?.is_none()
                    && let Some(cid) = self.copy.cid_of(ordinal)?
                {
                    return Ok(only_here(&cid));
                }
            }
            after = last;
        }
    }

    fn not_updated(&self, why: &str) -> StoreError {
        StoreError::Corrupt {
            what: "backup",
            which: self.target.root().display().to_string(),
            detail: format!(
                "{why}; it was not brought up to date: if `treering verify` finds the store sound, back up into another directory"
            ),
        }
    }

    /// Every block behind the newest that is there, with what it links to. Returns how many.
    fn blocks(&mut self) -> Result<u64> {
        let mut came = 0;
        let mut after = self.before.last_ordinal;
        loop {
            // The graph has one row for each block.
            let page = self.moment.session.ordinals_after(after, PAGE)?;
            let Some(last) = page.last().copied() else {
                return Ok(came);
            };
            let range = [to_sql(after).into(), to_sql(last).into()];
            let these = "WHERE ordinal > ?1 AND ordinal <= ?2";
            came += self.rows("block", these, &range)?;
            self.rows("graph", these, &range)?;
            self.report.blocks += page.len() as u64;
            after = last;
        }
    }

    /// What was declared dead since; its rows go. Returns how many.
    fn bury(&mut self) -> Result<u64> {
        let dead = self.moment.session.dead_ordinals()?;
        if dead == self.before.dead {
            return Ok(0);
        }
        let mut new = Bitmap::default();
        for (number, page) in dead.pages() {
            let first = number.saturating_mul(crate::gc::PAGE_ORDINALS);
            let is_new = |ordinal| !self.before.dead.contains(ordinal);
            let last = first.saturating_add(crate::gc::PAGE_ORDINALS);
            if (first..last).any(|ordinal| dead.contains(ordinal) && is_new(ordinal)) {
                new.insert_page(number, &page);
                self.rows("dead", "WHERE page = ?1", &[to_sql(number).into()])?;
            }
        }
        let dropped = drop_dead(self.copy, &new)?;
        // Some of them may have come only now.
        let came = self
            .report
            .blocks
            .saturating_sub(self.copy.count_behind(self.before.last_ordinal)?);
        self.report.blocks -= came;
        self.report.removed_blocks = dropped.saturating_sub(came);
        Ok(dropped)
    }

    /// New commits, and what they moved or left. Returns the names of the refs.
    fn commits(&mut self) -> Result<BTreeSet<String>> {
        let mut previous = self.before.head;
        let mut moved = BTreeSet::new();
        loop {
            let page = self.moment.session.journal_page(previous.position)?;
            let Some(last) = page.last() else { break };
            let last = last.head();
            let range = [
                to_sql(previous.position).into(),
                to_sql(last.position).into(),
            ];
            self.rows("journal", "WHERE position > ?1 AND position <= ?2", &range)?;
            self.report.commits += page.len() as u64;
            for row in self.copy.journal_rows(previous.position, page.len())? {
                if let Some(fault) = row.faults(&previous).into_iter().next() {
                    return Err(StoreError::Corrupt {
                        what: "journal row",
                        which: row.position.to_string(),
                        detail: fault,
                    });
                }
                previous = row.head();
                let entry = row.entry()?;
                if entry.blank && !entry.erased {
                    return Err(given_up(row.position));
                }
                moved.extend(
                    entry
                        .moves
                        .iter()
                        .map(|step| step.name.encoded().to_owned()),
                );
                for left in entry.command.iter().chain(&entry.receipts) {
                    let keys = [left.key.to_vec().into(), behind_key(&left.key).into()];
                    self.rows("receipt", "WHERE key >= ?1 AND key < ?2", &keys)?;
                }
            }
        }
        for name in &moved {
            let found = self.rows("ref", "WHERE name = ?1", &[name.clone().into()])?;
            if found == 0 {
                self.copy
                    .prepared("DELETE FROM ref WHERE name = ?1")?
                    .execute([name])
                    .map_err(|error| self.copy.unwritten(error))?;
            }
        }
        Ok(moved)
    }

    /// What erases under way have not come to yet, with the marks that hide it: no commit tells of those.
    fn erasing_refs(&mut self) -> Result<()> {
        for erasing in self.moment.session.erasing()? {
            let (first, end) = names_of(&erasing.scope);
            let range = [first.into(), end.into()];
            self.rows("ref", "WHERE name >= ?1 AND name < ?2", &range)?;
        }
        Ok(())
    }

    /// Holds come and go without a commit of the journal, so all are compared.
    fn holds(&mut self) -> Result<()> {
        let mut after = (0, String::new());
        loop {
            let page = self.moment.session.hold_rows((after.0, &after.1), PAGE)?;
            let Some((ordinal, scope, _)) = page.last() else {
                break;
            };
            after = (*ordinal, scope.clone());
            for (ordinal, scope, end) in page {
                let end = end?;
                if self.copy.hold_end(ordinal, &scope)? != Some(end) {
                    self.rows(
                        "hold",
                        "WHERE ordinal = ?1 AND scope = ?2",
                        &[to_sql(ordinal).into(), scope.into()],
                    )?;
                }
            }
        }
        let mut after = (0, String::new());
        loop {
            let page = self.copy.hold_rows((after.0, &after.1), PAGE)?;
            let Some((ordinal, scope, _)) = page.last() else {
                return Ok(());
            };
            after = (*ordinal, scope.clone());
            for (ordinal, scope, _) in page {
                if self.moment.session.hold_end(ordinal, &scope)?.is_none() {
                    self.copy.delete_hold(ordinal, &scope)?;
                }
            }
        }
    }

    /// Reads what was written, or all of the backup, before it is committed. Errors: `Corrupt`.
    fn check(&mut self, options: &BackupOptions, touched: &BTreeSet<String>) -> Result<()> {
        let total = if options.verify {
            self.moment.totals.blocks
        } else {
            self.report.blocks
        };
        self.progress.enter(Stage::Check, total)?;
        let checked = read_again(
            self.copy,
            self.target,
            self.before.last_ordinal,
            options.verify,
            self.progress,
        )?;
        self.report.checked_blocks = checked.blocks;
        for name in touched {
            self.check_ref(name)?;
        }
        let why = match first_finding(&checked) {
            Some(why) => Some(why),
            None => is_of_another(self.copy, self.moment)?.map(str::to_owned),
        };
        why.map_or(Ok(()), |why| Err(self.not_updated(&why)))
    }

    fn check_ref(&self, name: &str) -> Result<()> {
        let value = self
            .copy
            .read_ref_row(&crate::name::RefName::parse(name)?)?;
        match value {
            Some(value) if self.copy.find_block(&value.target)?.is_none() => {
                Err(StoreError::Corrupt {
                    what: "ref",
                    which: name.to_owned(),
                    detail: format!("its target {} is missing", value.target),
                })
            }
            _ => Ok(()),
        }
    }
}

impl Session<'_> {
    /// Ordinals of rows behind that one, growing, at most `limit`; of dead blocks too.
    fn ordinals_after(self, after: u64, limit: usize) -> Result<Vec<u64>> {
        self.prepared("SELECT ordinal FROM graph WHERE ordinal > ?1 ORDER BY ordinal LIMIT ?2")?
            .query_map(
                params![to_sql(after), i64::try_from(limit).unwrap_or(i64::MAX)],
                |row| row.get::<_, i64>(0).map(i64::cast_unsigned),
            )
            .and_then(Iterator::collect)
            .map_err(|error| self.unread(error))
    }

    /// How many blocks have rows behind that ordinal.
    fn count_behind(self, ordinal: u64) -> Result<u64> {
        self.prepared("SELECT count(*) FROM graph WHERE ordinal > ?1")?
            .query_row([to_sql(ordinal)], |row| row.get::<_, i64>(0))
            .map(i64::cast_unsigned)
            .map_err(|error| self.unread(error))
    }
}
