//! One batch's transaction as a [`Ledger`]: reads show what earlier requests of the batch wrote.
//!
//! Promises: a request that is refused has written nothing; once a write has failed, nothing of the batch
//! may be committed ([`Transaction::fault`]).

use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use treering_block::{Block, Cid, Codec};

use super::blob::BlobFiles;
use super::block_rows::Bytes;
use super::connections::Known;
use super::erasure_rows::Erasing;
use super::gc::Moment;
use super::manifest_rows::Totals;
use super::recent_blocks::RecentBlocks;
use super::repair::newest_commit_told;
use super::session::Session;
use crate::commit::{Address, Change, Commit, RefValue};
use crate::erasure::Erasure;
use crate::error::{Result, StoreError};
use crate::gc::Figures;
use crate::journal::{JournalRow, erased_body};
use crate::lease::LeaseState;
use crate::ledger::{Ledger, Tip};
use crate::name::RefName;
use crate::scope::lineage::{Receipt, Wanted};
use crate::tier::Tier;
use crate::upload::{Content, Uploaded};

/// A block that should be in a bucket, and is not yet when its commit has the write lock, stands in its row up to here.
const LATE_BYTES_MAX: usize = 16 << 20;

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

    /// What of a commit can't be stored without sending it first: a collection took it since its caller looked. To be asked
    /// before anything of it is written. Errors: `Bucket`.
    pub(super) fn expect_sent(
        &mut self,
        commit: &Commit,
        files: &HashMap<Cid, String>,
    ) -> Result<()> {
        if self.blobs.objects().is_none() {
            return Ok(());
        }
        let uploads = commit.uploads.iter().filter(
            |upload| matches!(&upload.content, Content::Staged(file) if file.name().is_none()),
        );
        let blocks = commit.blocks.iter().filter(|block| {
            block.bytes.len() > LATE_BYTES_MAX
                && self.blobs.is_apart(block)
                && !files.contains_key(&block.cid)
        });
        let late: Vec<Cid> = uploads
            .map(|upload| upload.cid())
            .chain(blocks.map(|block| block.cid))
            .collect();
        for cid in late {
            if self.ordinal(&cid)?.is_none() {
                return Err(unsent(&cid));
            }
        }
        Ok(())
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

    /// The refs of a scope are gone, which added so much to the sum of all.
    pub(super) fn refs_erased(&mut self, scope: &str, sum: u64) {
        if let Some(all) = &mut self.totals.refs_sum {
            *all = all.wrapping_sub(sum);
        }
        self.refs.clear();
        if !self.erasing.iter().any(|erasing| erasing == scope) {
            self.erasing.push(scope.to_owned());
        }
    }

    /// An erase has ended.
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
        let totals = &mut self.totals;
        totals.blocks = totals.blocks.saturating_sub(gone.blocks);
        totals.nodes = totals.nodes.saturating_sub(gone.nodes);
        totals.block_bytes = totals.block_bytes.saturating_sub(gone.bytes);
        totals.links = totals.links.saturating_sub(gone.links);
    }

    /// The name of a large block's file. The caller found the block present and wrote none; if a collection
    /// took it away since, it is written now, under the lock.
    fn file_of(&mut self, block: &Block) -> Result<Option<String>> {
        if !self.blobs.is_apart(block) {
            return Ok(None);
        }
        // Taken out: a file that is still here after the request belongs to no row.
        match self.files.remove(&block.cid) {
            // Nothing is sent under the lock: the bytes stand in the row.
            None if self.blobs.objects().is_some() => Ok(None),
            None => {
                let name = self.blobs.write(block)?;
                self.late_files.push(name.clone());
                Ok(Some(name))
            }
            file => Ok(file),
        }
    }

    /// Stores a block's rows; its bytes stand there, or in `file`.
    fn insert_row(
        &mut self,
        cid: &Cid,
        (bytes, size): (&[u8], u64),
        file: Option<&str>,
        links: &[u64],
    ) -> Result<u64> {
        let ordinal = self.totals.next_ordinal;
        self.writing(|session| {
            session.insert_block_row(ordinal, cid, (bytes, size), file)?;
            session.insert_links(ordinal, links)
        })?;
        self.recent.note(cid, ordinal);
        let totals = &mut self.totals;
        totals.next_ordinal = ordinal.saturating_add(1);
        totals.blocks += 1;
        totals.nodes += u64::from(cid.codec() == Codec::DagCbor);
        totals.block_bytes += size;
        totals.links += links.len() as u64;
        self.added.0 += 1;
        self.added.1 += size;
        Ok(ordinal)
    }

    /// A ref as it stands, read once in a request, and what its row adds to the sum of all.
    fn ref_and_sum(&mut self, name: &RefName) -> Result<&(Option<RefValue>, u64)> {
        match self.refs.entry(name.encoded().to_owned()) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => {
                let read = self.session.read_ref_and_sum(name)?;
                Ok(unknown.insert(match read {
                    Some((value, sum)) => (Some(value), sum),
                    None => (None, 0),
                }))
            }
        }
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

/// Of bytes that have to be sent first. The next try does so, before it takes the lock.
fn unsent(cid: &Cid) -> StoreError {
    StoreError::Bucket {
        action: "send",
        object: cid.to_string(),
        bucket: "the store's bucket".into(),
        why: "a collection took the block while it was put again; nothing was written: repeat the commit".into(),
    }
}

fn scopes_of(erasing: Vec<Erasing>) -> Vec<String> {
    erasing.into_iter().map(|erasing| erasing.scope).collect()
}

impl Ledger for Transaction<'_> {
    fn expect_not_erasing(&mut self, scope: &str) -> Result<()> {
        if self.erasing.iter().any(|erasing| erasing == scope) {
            return Err(StoreError::BeingErased {
                scope: scope.to_owned(),
            });
        }
        Ok(())
    }

    fn ordinal(&mut self, cid: &Cid) -> Result<Option<u64>> {
        if let Some(ordinal) = self.recent.ordinal(cid) {
            return Ok(Some(ordinal));
        }
        if let Some(row) = self.session.find_block(cid)? {
            self.recent.note(cid, row.ordinal);
            return Ok(Some(row.ordinal));
        }
        for tier in self.tiers {
            if let Some(ordinal) = tier.ordinal(cid)? {
                return Ok(Some(ordinal));
            }
        }
        Ok(None)
    }

    fn read_ref(&mut self, name: &RefName) -> Result<Option<RefValue>> {
        Ok(self.ref_and_sum(name)?.0.clone())
    }

    fn lease(&mut self, name: &RefName) -> Result<Option<LeaseState>> {
        self.session.lease_row(name)
    }

    fn receipt(&mut self, wanted: Wanted<'_>) -> Result<Option<Receipt>> {
        self.session.receipt_row(wanted)
    }

    fn block(&mut self, cid: &Cid) -> Result<Arc<[u8]>> {
        match self.session.load_block(cid)? {
            Some(Bytes::Here(bytes)) => return Ok(bytes),
            Some(Bytes::File(row)) => return self.blobs.read(&row),
            None => {}
        }
        for tier in self.tiers {
            if let Some(bytes) = tier.get(cid)? {
                return Ok(bytes);
            }
        }
        Err(StoreError::BlockNotFound(*cid))
    }

    fn tip(&mut self) -> Result<Tip> {
        self.expect_tip()?;
        Ok(self.tip)
    }

    fn commits_after(&mut self, position: u64, limit: usize) -> Result<Vec<JournalRow>> {
        // What is sealed meanwhile is not at hand: under the lock no file is read.
        self.session.unsealed_rows(position, limit)
    }

    fn insert_block(&mut self, block: &Block, links: &[u64]) -> Result<u64> {
        let file = self.file_of(block)?;
        let size = block.bytes.len() as u64;
        self.insert_row(&block.cid, (&block.bytes, size), file.as_deref(), links)
    }

    fn bring_bytes(&mut self, ordinal: u64, block: &Block) -> Result<()> {
        // None: it is in another tier.
        let Some(row) = self.session.find_block(&block.cid)? else {
            return Ok(());
        };
        if row.file.is_none() {
            if self.session.payload(ordinal)?.as_deref() == Some(&*block.bytes) {
                return Ok(());
            }
            tracing::warn!(cid = %block.cid, "stored bytes were damaged: written anew");
            return self.writing(|session| session.replace_payload(ordinal, &block.bytes));
        }
        if self.blobs.had_length_of(&row) {
            return Ok(());
        }
        tracing::warn!(cid = %block.cid, "a block's file was damaged or gone: written anew");
        let file = self.file_of(block)?;
        self.writing(|session| match &file {
            Some(file) => session.replace_file(&row, file),
            // What is found out under the lock stands in the row, as a new block's would.
            None => session.replace_file_by_payload(&row, &block.bytes),
        })
    }

    fn insert_upload(&mut self, upload: &Arc<Uploaded>) -> Result<u64> {
        let file = match &upload.content {
            Content::Here(block) => return self.insert_block(block, &[]),
            Content::Staged(file) => file,
        };
        let name = file.name().ok_or_else(|| unsent(&upload.cid()))?;
        file.keep();
        self.taken.push(Arc::clone(upload));
        self.insert_row(&upload.cid(), (&[], upload.size()), Some(&name), &[])
    }

    fn bring_upload(&mut self, ordinal: u64, upload: &Arc<Uploaded>) -> Result<()> {
        let file = match &upload.content {
            Content::Here(block) => return self.bring_bytes(ordinal, block),
            Content::Staged(file) => file,
        };
        let Some(row) = self.session.find_block(&upload.cid())? else {
            return Ok(());
        };
        if row.file.is_none() || file.is_kept() || self.blobs.had_length_of(&row) {
            return Ok(());
        }
        let Some(name) = file.name() else {
            return Ok(());
        };
        tracing::warn!(cid = %upload.cid(), "a block's file was damaged or gone: the new one takes its place");
        file.keep();
        self.taken.push(Arc::clone(upload));
        self.writing(|session| session.replace_file(&row, &name))
    }

    fn change_ref(&mut self, name: &RefName, version: u64, change: &Change) -> Result<()> {
        // The journal's row follows in the same request.
        let position = self.tip.head.position.saturating_add(1);
        let before = self.ref_and_sum(name)?.1;
        let mut after = 0;
        self.writing(|session| {
            match change {
                Change::Set { target, record } => {
                    after = session.write_ref_row(name, version, target, position, record)?;
                }
                Change::Delete => session.delete_ref_row(name)?,
            }
            Ok(())
        })?;
        if let Some(sum) = &mut self.totals.refs_sum {
            *sum = sum.wrapping_sub(before).wrapping_add(after);
        }
        let value = match change {
            Change::Set { target, record } => Some(RefValue {
                version,
                target: *target,
                record: record.clone(),
            }),
            Change::Delete => None,
        };
        self.refs.insert(name.encoded().to_owned(), (value, after));
        Ok(())
    }

    fn write_lease(&mut self, name: &RefName, state: &LeaseState) -> Result<()> {
        self.writing(|session| session.write_lease_row(name, state))
    }

    fn insert_receipt(
        &mut self,
        key: &[u8; 32],
        address: &Address,
        payload: &[u8; 32],
        receipt: &[u8],
    ) -> Result<()> {
        let left = Receipt {
            scope: address.scope().to_owned(),
            payload: *payload,
            receipt: receipt.to_vec(),
            // As for a ref: the journal's row follows.
            position: self.tip.head.position.saturating_add(1),
        };
        self.writing(|session| session.insert_receipt_row(key, &left))
    }

    fn insert_hold(&mut self, scope: &str, ordinal: u64, expires_at_ms: i64) -> Result<()> {
        self.writing(|session| session.write_hold_row(ordinal, scope, expires_at_ms))
    }

    fn append_journal(&mut self, row: &JournalRow) -> Result<()> {
        self.writing(|session| session.insert_journal_row(row))?;
        self.tip = Tip {
            head: row.head(),
            at_ms: row.at_ms,
        };
        Ok(())
    }
}
