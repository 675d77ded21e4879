//! What a commit is judged against and booked in: the open transaction, which has what earlier requests of the batch did.
//!
//! Must never: send anything to a bucket, or read a sealed file: the write lock is held.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use treering_block::{Block, Cid, Codec};

use super::Transaction;
use crate::commit::{Address, Change, Commit, RefValue};
use crate::embedded::block_rows::Bytes;
use crate::error::{Result, StoreError};
use crate::journal::JournalRow;
use crate::lease::LeaseState;
use crate::ledger::{Ledger, Tip, earlier_receipt};
use crate::name::RefName;
use crate::scope::lineage::{Receipt, Wanted};
use crate::upload::{Content, Uploaded};

/// A block that should be in a bucket, and is not yet when its commit has the write lock, stands in its row up to here.
const LATE_BYTES_MAX: usize = 16 << 20;

impl Transaction<'_> {
    /// What of a commit can't be stored without sending it first: a collection took it since its caller looked. To be asked
    /// before anything of it is written. A command that was answered needs nothing. Errors: `Bucket`.
    pub(in crate::embedded) fn expect_sent(
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
                // Who judges the commit says that it was answered, or that it is another one.
                return match earlier_receipt(commit.command.as_ref(), self) {
                    Ok(None) => Err(unsent(&cid)),
                    Ok(Some(_)) | Err(StoreError::CommandMismatch { .. }) => Ok(()),
                    Err(error) => Err(error),
                };
            }
        }
        Ok(())
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

impl Ledger for Transaction<'_> {
    fn expect_not_erasing(&mut self, scope: &str) -> Result<()> {
        if self.is_erasing(scope) {
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
        // Of another scope than the commit's, which is refused.
        if self.is_erasing(name.scope()) {
            return Ok(None);
        }
        Ok(self.ref_and_sum(name)?.0.clone())
    }

    fn lease(&mut self, name: &RefName) -> Result<Option<LeaseState>> {
        if self.is_erasing(name.scope()) {
            return Ok(None);
        }
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
