//! A store that can only be read: what it answers is [`ReadOnly`]'s, all else is refused here, once for all of them.
//!
//! Promises: it is a [`Store`] like any other to whoever reads. What a new one does not say it has is refused or empty.
//! Must never: pass on what writes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use treering_block::{Cid, CidPrefix};

use crate::commit::{Address, Commit, RefValue};
use crate::cursor::{Cursor, Head};
use crate::erasure::{EraseOptions, Erased, Erasures};
use crate::error::{Result, StoreError};
use crate::findings::VerifyReport;
use crate::gc::{Collection, GcOptions};
use crate::journal::JournalEntry;
use crate::lease::{Lease, LeaseState};
use crate::listening::{Listening, Wake};
use crate::name::{RefName, check_kind, check_scope, listing_from, listing_prefix};
use crate::quarantine::Quarantined;
use crate::repair::RepairReport;
use crate::retention::{ExpireBefore, ExpireReport, JournalExtent, SealReport};
use crate::scope::Lineage;
use crate::stats::{Counters, StoreStats};
use crate::store::{BlockInfo, Hold, ScopeReceipt, Store};
use crate::ticket::Ticket;
use crate::upload::{BlockReader, Held};
use crate::vacuum::Vacuumed;

/// What is asked of a store that has it not, or that would change it.
const REFUSED: StoreError = StoreError::ReadOnly;

/// What a store that can only be read answers itself, method by method as [`Store`] says. What has a default it need not
/// have: a journal, say.
pub trait ReadOnly: Send + Sync {
    /// The refs that it shows.
    fn shown(&self) -> &Shown;
    /// The store that it shows a part of, if it does: what is about the whole (`verify`, `stats`, the clock …) is asked
    /// there.
    fn behind(&self) -> Option<&dyn Store> {
        None
    }
    fn get(&self, cid: &Cid) -> Result<Arc<[u8]>>;
    fn size(&self, cid: &Cid) -> Result<u64>;
    fn reader(&self, cid: &Cid) -> Result<Box<dyn BlockReader>> {
        Ok(Box::new(Held(self.get(cid)?)))
    }
    fn range(&self, cid: &Cid, offset: u64, length: u64) -> Result<Vec<u8>> {
        self.reader(cid)?.read_at(offset, length)
    }
    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>>;
    fn read_ref(&self, name: &RefName) -> Result<Option<RefValue>> {
        Ok(self.shown().refs.get(name).cloned())
    }
    fn lineage(&self, _: &str) -> Result<Option<Lineage>> {
        Ok(None)
    }
    fn receipts(&self, _: &str, _: Option<&[u8; 32]>, _: usize) -> Result<Vec<ScopeReceipt>> {
        Ok(Vec::new())
    }
    fn receipts_unsettled(&self, _: &str) -> Result<u64> {
        Ok(0)
    }
    fn journal(&self, _: Option<&Cursor>, _: usize) -> Result<Vec<JournalEntry>> {
        Ok(Vec::new())
    }
    fn cursor_at(&self, _: u64) -> Result<Option<Cursor>> {
        Ok(None)
    }
    fn journal_extent(&self) -> Result<JournalExtent> {
        Err(REFUSED)
    }
    fn head(&self) -> Result<Head> {
        Ok(Head::default())
    }
    fn watch(&self, _: u64, _: Duration) -> Result<u64> {
        Ok(0)
    }
    fn location(&self) -> String;
}

/// Refs of one scope, which stay as they are.
pub struct Shown {
    pub(crate) scope: String,
    pub(crate) refs: BTreeMap<RefName, RefValue>,
}

fn behind(store: &impl ReadOnly) -> Result<&dyn Store> {
    store.behind().ok_or(REFUSED)
}

/// What is shown stays, but what it is read from may have been closed.
fn expect_open(store: &impl ReadOnly) -> Result<()> {
    store
        .behind()
        .map_or(Ok(()), |behind| behind.head().map(drop))
}

impl<S: ReadOnly> Store for S {
    fn submit(&self, _: Commit) -> Ticket {
        Ticket::answered(Err(REFUSED))
    }

    fn get(&self, cid: &Cid) -> Result<Arc<[u8]>> {
        ReadOnly::get(self, cid)
    }

    fn size(&self, cid: &Cid) -> Result<u64> {
        ReadOnly::size(self, cid)
    }

    fn range(&self, cid: &Cid, offset: u64, length: u64) -> Result<Vec<u8>> {
        ReadOnly::range(self, cid, offset, length)
    }

    fn reader(&self, cid: &Cid) -> Result<Box<dyn BlockReader>> {
        ReadOnly::reader(self, cid)
    }

    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>> {
        ReadOnly::has_many(self, cids)
    }

    fn prefix(&self, prefix: &CidPrefix, limit: usize) -> Result<Vec<Cid>> {
        behind(self)?.prefix(prefix, limit)
    }

    fn blocks(&self, after: u64, limit: usize) -> Result<Vec<BlockInfo>> {
        behind(self)?.blocks(after, limit)
    }

    fn read_ref(&self, name: &RefName) -> Result<Option<RefValue>> {
        expect_open(self)?;
        ReadOnly::read_ref(self, name)
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
        expect_open(self)?;
        let prefix = listing_prefix(scope, kind);
        let from = listing_from(&prefix, after);
        let names = self.shown().refs.range::<str, _>((from, Bound::Unbounded));
        Ok(names
            .take_while(|(name, _)| name.encoded().starts_with(&prefix))
            .take(limit)
            .map(|(name, value)| (name.clone(), Ok(value.clone())))
            .collect())
    }

    fn scopes(&self) -> Result<Vec<String>> {
        let Shown { scope, refs } = self.shown();
        let scope = (!refs.is_empty()).then(|| scope.clone());
        Ok(scope.into_iter().collect())
    }

    fn kinds(&self, scope: &str) -> Result<Vec<String>> {
        check_scope(scope)?;
        expect_open(self)?;
        let own = self.shown().refs.keys();
        let own = own.filter(|name| name.scope() == scope);
        let kinds: BTreeSet<&str> = own.map(RefName::kind).collect();
        Ok(kinds.into_iter().map(str::to_owned).collect())
    }

    /// Who asks is about to write.
    fn receipt(&self, _: &Address, _: &str) -> Result<Option<([u8; 32], Vec<u8>)>> {
        Err(REFUSED)
    }

    fn lineage(&self, scope: &str) -> Result<Option<Lineage>> {
        ReadOnly::lineage(self, scope)
    }

    fn receipts(
        &self,
        scope: &str,
        after: Option<&[u8; 32]>,
        limit: usize,
    ) -> Result<Vec<ScopeReceipt>> {
        check_scope(scope)?;
        ReadOnly::receipts(self, scope, after, limit)
    }

    fn receipts_unsettled(&self, scope: &str) -> Result<u64> {
        check_scope(scope)?;
        ReadOnly::receipts_unsettled(self, scope)
    }

    fn journal(&self, after: Option<&Cursor>, limit: usize) -> Result<Vec<JournalEntry>> {
        ReadOnly::journal(self, after, limit)
    }

    fn cursor_at(&self, position: u64) -> Result<Option<Cursor>> {
        ReadOnly::cursor_at(self, position)
    }

    fn seal_journal(&self, _: u64) -> Result<SealReport> {
        Err(REFUSED)
    }

    fn expire_journal(&self, _: &ExpireBefore) -> Result<ExpireReport> {
        Err(REFUSED)
    }

    fn give_up_commit(&self, _: u64) -> Result<()> {
        Err(REFUSED)
    }

    fn erase(&self, _: &str, _: &EraseOptions) -> Result<Erased> {
        Err(REFUSED)
    }

    fn asks_a_server(&self) -> bool {
        self.behind().is_some_and(Store::asks_a_server)
    }

    fn store_id(&self) -> Result<[u8; 16]> {
        self.behind()
            .map_or_else(|| Ok([0; 16]), |behind| behind.store_id())
    }

    fn erasures(&self) -> Result<Erasures> {
        self.behind()
            .map_or_else(|| Ok(Erasures::default()), |behind| behind.erasures())
    }

    fn vacuum(&self) -> Result<Vacuumed> {
        Err(REFUSED)
    }

    fn journal_extent(&self) -> Result<JournalExtent> {
        ReadOnly::journal_extent(self)
    }

    fn head(&self) -> Result<Head> {
        ReadOnly::head(self)
    }

    fn watch(&self, position: u64, timeout: Duration) -> Result<u64> {
        ReadOnly::watch(self, position, timeout)
    }

    fn listen(&self, wake: Wake) -> Result<Listening> {
        behind(self)?.listen(wake)
    }

    fn lease_acquire(&self, _: &RefName, _: &str) -> Result<Lease> {
        Err(REFUSED)
    }

    fn lease_release(&self, _: &Lease) -> Result<()> {
        Err(REFUSED)
    }

    /// Leases are no history.
    fn lease_state(&self, _: &RefName) -> Result<Option<LeaseState>> {
        Ok(None)
    }

    /// Nor are holds.
    fn holds(&self, scope: &str, _: u64, _: usize) -> Result<Vec<Hold>> {
        check_scope(scope)?;
        Ok(Vec::new())
    }

    fn extend_hold(&self, _: &str, _: &Cid, _: i64) -> Result<i64> {
        Err(REFUSED)
    }

    fn release_hold(&self, _: &str, _: &Cid) -> Result<bool> {
        Err(REFUSED)
    }

    fn collection(&self, _: &GcOptions) -> Result<Collection<'_>> {
        Err(REFUSED)
    }

    fn verify(&self, since: Option<&Head>) -> Result<VerifyReport> {
        behind(self)?.verify(since)
    }

    fn repair(&self) -> Result<RepairReport> {
        Err(REFUSED)
    }

    fn all_refs(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Result<RefValue>)>> {
        let names = self.shown().refs.iter();
        Ok(names
            .filter(|(name, _)| after.is_none_or(|after| name.encoded() > after))
            .take(limit)
            .map(|(name, value)| (name.encoded().to_owned(), Ok(value.clone())))
            .collect())
    }

    fn quarantine(&self, _: &[String]) -> Result<Quarantined> {
        Err(REFUSED)
    }

    fn stats(&self) -> Result<StoreStats> {
        behind(self)?.stats()
    }

    fn counters(&self) -> Counters {
        self.behind()
            .map_or_else(Counters::default, |behind| behind.counters())
    }

    fn now_ms(&self) -> i64 {
        self.behind().map_or(0, |behind| behind.now_ms())
    }

    fn location(&self) -> String {
        ReadOnly::location(self)
    }

    /// What it reads of is its owner's to close.
    fn close(&self) -> Result<()> {
        Ok(())
    }
}
