//! An archive as a store that can be read: its refs under the names that they are to have, and its blocks.
//!
//! Promises: whatever is written against [`Store`] checks a file before a byte of it is taken; what the file does not have
//! is absent, whatever the store has that it is imported into.
//! Must never: be written, or be asked for what a file has not (journal, leases, clock).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use treering_block::{Cid, CidPrefix};

use super::error::ArchiveError;
use super::index::Index;
use super::scan::shrunk;
use crate::commit::{Address, Commit, RefValue};
use crate::cursor::{Cursor, Head};
use crate::erasure::{EraseOptions, Erased, Erasures};
use crate::error::{Result, StoreError};
use crate::findings::VerifyReport;
use crate::gc::{Collection, GcOptions};
use crate::journal::JournalEntry;
use crate::lease::{Lease, LeaseState};
use crate::listening::{Listening, Wake};
use crate::name::{RefName, check_kind, check_scope, listing_prefix};
use crate::quarantine::Quarantined;
use crate::repair::RepairReport;
use crate::retention::{ExpireBefore, ExpireReport, JournalExtent, SealReport};
use crate::scope::Lineage;
use crate::stats::{Counters, StoreStats};
use crate::store::{BlockInfo, Hold, ScopeReceipt, Store};
use crate::ticket::Ticket;
use crate::vacuum::Vacuumed;

/// See the top of this file.
pub struct View<R> {
    file: Mutex<Index<R>>,
    scope: String,
    refs: BTreeMap<RefName, RefValue>,
}

impl<R: Read + Seek> View<R> {
    /// A file whose blocks were checked, with these refs of one scope.
    pub fn new(file: Index<R>, scope: &str, refs: BTreeMap<RefName, RefValue>) -> Self {
        Self {
            file: Mutex::new(file),
            scope: scope.to_owned(),
            refs,
        }
    }

    /// Its refs, by name.
    pub fn refs(&self) -> &BTreeMap<RefName, RefValue> {
        &self.refs
    }

    /// The file. Nothing can be read of the view while it is held.
    pub fn lock(&self) -> MutexGuard<'_, Index<R>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What everything answers that a file has not.
const UNASKED: StoreError = StoreError::ReadOnly;

fn told(error: ArchiveError) -> StoreError {
    match error {
        ArchiveError::Store(error) => error,
        other => StoreError::Corrupt {
            what: "file",
            which: "that is imported".into(),
            detail: other.to_string(),
        },
    }
}

impl<R: Read + Seek + Send> Store for View<R> {
    fn submit(&self, _: Commit) -> Ticket {
        Ticket::answered(Err(UNASKED))
    }

    fn get(&self, cid: &Cid) -> Result<Arc<[u8]>> {
        match self.lock().read(cid) {
            Ok(Some(bytes)) if cid.matches(&bytes) => Ok(bytes.into()),
            Ok(Some(_)) => Err(told(shrunk())),
            Ok(None) => Err(StoreError::BlockNotFound(*cid)),
            Err(error) => Err(told(error)),
        }
    }

    fn size(&self, cid: &Cid) -> Result<u64> {
        let size = self.lock().size_of(cid);
        size.ok_or(StoreError::BlockNotFound(*cid))
    }

    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>> {
        let file = self.lock();
        Ok(cids.iter().map(|cid| file.has(cid)).collect())
    }

    fn prefix(&self, _: &CidPrefix, _: usize) -> Result<Vec<Cid>> {
        Err(UNASKED)
    }

    fn blocks(&self, _: u64, _: usize) -> Result<Vec<BlockInfo>> {
        Err(UNASKED)
    }

    fn read_ref(&self, name: &RefName) -> Result<Option<RefValue>> {
        Ok(self.refs.get(name).cloned())
    }

    fn list_refs(
        &self,
        scope: &str,
        kind: &str,
        after: Option<&RefName>,
        limit: usize,
    ) -> Result<Vec<(RefName, Result<RefValue>)>> {
        check_scope(scope)?;
        check_kind(kind)?;
        let prefix = listing_prefix(scope, kind);
        let first = match after {
            Some(name) if name.encoded() >= prefix.as_str() => Bound::Excluded(name.encoded()),
            _ => Bound::Included(prefix.as_str()),
        };
        let names = self.refs.range::<str, _>((first, Bound::Unbounded));
        Ok(names
            .take_while(|(name, _)| name.encoded().starts_with(&prefix))
            .take(limit)
            .map(|(name, value)| (name.clone(), Ok(value.clone())))
            .collect())
    }

    fn scopes(&self) -> Result<Vec<String>> {
        let scope = (!self.refs.is_empty()).then(|| self.scope.clone());
        Ok(scope.into_iter().collect())
    }

    fn kinds(&self, scope: &str) -> Result<Vec<String>> {
        check_scope(scope)?;
        let own = self.refs.keys().filter(|name| name.scope() == scope);
        let kinds: BTreeSet<&str> = own.map(RefName::kind).collect();
        Ok(kinds.into_iter().map(str::to_owned).collect())
    }

    fn receipt(&self, _: &Address, _: &str) -> Result<Option<([u8; 32], Vec<u8>)>> {
        Err(UNASKED)
    }

    fn lineage(&self, _: &str) -> Result<Option<Lineage>> {
        Ok(None)
    }

    fn receipts(&self, scope: &str, _: Option<&[u8; 32]>, _: usize) -> Result<Vec<ScopeReceipt>> {
        check_scope(scope)?;
        Ok(Vec::new())
    }

    fn journal(&self, _: Option<&Cursor>, _: usize) -> Result<Vec<JournalEntry>> {
        Ok(Vec::new())
    }

    fn cursor_at(&self, _: u64) -> Result<Option<Cursor>> {
        Ok(None)
    }

    fn seal_journal(&self, _: u64) -> Result<SealReport> {
        Err(UNASKED)
    }

    fn expire_journal(&self, _: &ExpireBefore) -> Result<ExpireReport> {
        Err(UNASKED)
    }

    fn give_up_commit(&self, _: u64) -> Result<()> {
        Err(UNASKED)
    }

    fn erase(&self, _: &str, _: &EraseOptions) -> Result<Erased> {
        Err(UNASKED)
    }

    /// A file knows of none: what is in it was seen in the only life that it has.
    fn erasures(&self) -> Result<Erasures> {
        Ok(Erasures::default())
    }

    fn vacuum(&self) -> Result<Vacuumed> {
        Err(UNASKED)
    }

    fn journal_extent(&self) -> Result<JournalExtent> {
        Err(UNASKED)
    }

    fn head(&self) -> Result<Head> {
        Ok(Head::default())
    }

    fn watch(&self, _: u64, _: Duration) -> Result<u64> {
        Ok(0)
    }

    fn listen(&self, _: Wake) -> Result<Listening> {
        Err(UNASKED)
    }

    fn lease_acquire(&self, _: &RefName, _: &str) -> Result<Lease> {
        Err(UNASKED)
    }

    fn lease_release(&self, _: &Lease) -> Result<()> {
        Err(UNASKED)
    }

    fn lease_state(&self, _: &RefName) -> Result<Option<LeaseState>> {
        Ok(None)
    }

    fn holds(&self, scope: &str, _: u64, _: usize) -> Result<Vec<Hold>> {
        check_scope(scope)?;
        Ok(Vec::new())
    }

    fn extend_hold(&self, _: &str, _: &Cid, _: i64) -> Result<i64> {
        Err(UNASKED)
    }

    fn release_hold(&self, _: &str, _: &Cid) -> Result<bool> {
        Err(UNASKED)
    }

    fn collection(&self, _: &GcOptions) -> Result<Collection<'_>> {
        Err(UNASKED)
    }

    fn verify(&self, _: Option<&Head>) -> Result<VerifyReport> {
        Err(UNASKED)
    }

    fn repair(&self) -> Result<RepairReport> {
        Err(UNASKED)
    }

    fn all_refs(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Result<RefValue>)>> {
        let names = self.refs.iter();
        Ok(names
            .filter(|(name, _)| after.is_none_or(|after| name.encoded() > after))
            .take(limit)
            .map(|(name, value)| (name.encoded().to_owned(), Ok(value.clone())))
            .collect())
    }

    fn quarantine(&self, _: &[String]) -> Result<Quarantined> {
        Err(UNASKED)
    }

    fn stats(&self) -> Result<StoreStats> {
        Err(UNASKED)
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }

    fn now_ms(&self) -> i64 {
        0
    }

    fn location(&self) -> String {
        "the file".to_owned()
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }
}
