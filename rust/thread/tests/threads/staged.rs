//! A store in memory that holds commits back until it is told to apply them, and whose blocks can be damaged.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use treering_block::{Cid, CidPrefix};
use treering_store::commit::Address;
use treering_store::{
    BlockInfo, Check, Collection, Commit, Counters, Cursor, EraseOptions, Erased, Erasures,
    ExpireBefore, ExpireReport, Finding, GcOptions, Head, Hold, JournalEntry, JournalExtent, Lease,
    LeaseState, Listening, MemoryStore, Quarantined, RefName, RefValue, RepairReport, Result,
    ScopeReceipt, SealReport, Store, StoreError, StoreStats, Ticket, Vacuumed, VerifyReport, Wake,
};

#[derive(Default)]
pub struct Staged {
    inner: MemoryStore,
    held: Mutex<Option<VecDeque<(Commit, Ticket)>>>,
    pub damaged: Mutex<BTreeMap<Cid, Damage>>,
    pub broken_refs: Mutex<Vec<RefName>>,
    /// Removed just before the next lease is granted.
    pub removed_first: Mutex<Option<Commit>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    Corrupt,
    Missing,
}

impl Staged {
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// From now on commits wait.
    pub fn hold(&self) {
        self.held.lock().unwrap().get_or_insert_default();
    }

    /// Applies the first `count` that wait; later ones wait on.
    pub fn apply(&self, count: usize) {
        for _ in 0..count {
            let (commit, ticket) = self
                .held
                .lock()
                .unwrap()
                .as_mut()
                .unwrap()
                .pop_front()
                .unwrap();
            ticket.answer(self.inner.submit(commit).wait());
        }
    }

    /// Applies all that wait, and holds nothing back any more.
    pub fn release(&self) {
        let held = self.held.lock().unwrap().take().unwrap();
        for (commit, ticket) in held {
            ticket.answer(self.inner.submit(commit).wait());
        }
    }

    pub fn waiting(&self) -> usize {
        self.held.lock().unwrap().as_ref().map_or(0, VecDeque::len)
    }

    pub fn damage(&self, cid: Cid, damage: Damage) {
        self.damaged.lock().unwrap().insert(cid, damage);
    }
}

impl Store for Staged {
    fn submit(&self, commit: Commit) -> Ticket {
        match self.held.lock().unwrap().as_mut() {
            Some(held) => {
                let ticket = Ticket::new();
                held.push_back((commit, ticket.clone()));
                ticket
            }
            None => self.inner.submit(commit),
        }
    }

    fn get(&self, cid: &Cid) -> Result<Arc<[u8]>> {
        match self.damaged.lock().unwrap().get(cid) {
            None => self.inner.get(cid),
            Some(Damage::Missing) => Err(StoreError::BlockNotFound(*cid)),
            Some(Damage::Corrupt) => Err(StoreError::Corrupt {
                what: "block",
                which: cid.to_string(),
                detail: "flipped".into(),
            }),
        }
    }

    fn list_refs(
        &self,
        scope: &str,
        kind: &str,
        after: Option<&RefName>,
        limit: usize,
    ) -> Result<Vec<(RefName, Result<RefValue>)>> {
        let mut page = self.inner.list_refs(scope, kind, after, limit)?;
        for (name, value) in &mut page {
            if self.broken_refs.lock().unwrap().contains(name) {
                *value = Err(StoreError::Corrupt {
                    what: "ref",
                    which: name.to_string(),
                    detail: "check".into(),
                });
            }
        }
        Ok(page)
    }

    fn holds(&self, scope: &str, after: u64, limit: usize) -> Result<Vec<Hold>> {
        self.inner.holds(scope, after, limit)
    }
    fn extend_hold(&self, scope: &str, cid: &Cid, until_ms: i64) -> Result<i64> {
        self.inner.extend_hold(scope, cid, until_ms)
    }
    fn release_hold(&self, scope: &str, cid: &Cid) -> Result<bool> {
        self.inner.release_hold(scope, cid)
    }
    fn collection(&self, options: &GcOptions) -> Result<Collection<'_>> {
        self.inner.collection(options)
    }

    fn verify(&self, since: Option<&Head>) -> Result<VerifyReport> {
        let mut report = self.inner.verify(since)?;
        for (cid, damage) in self.damaged.lock().unwrap().iter() {
            let check = if *damage == Damage::Corrupt {
                Check::BlockBytes
            } else {
                Check::Links
            };
            report.findings.push(Finding {
                check,
                which: cid.to_string(),
                detail: "damaged".into(),
                threads: Vec::new(),
            });
        }
        Ok(report)
    }

    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>> {
        self.inner.has_many(cids)
    }
    fn prefix(&self, prefix: &CidPrefix, limit: usize) -> Result<Vec<Cid>> {
        self.inner.prefix(prefix, limit)
    }
    fn blocks(&self, after: u64, limit: usize) -> Result<Vec<BlockInfo>> {
        self.inner.blocks(after, limit)
    }
    fn read_ref(&self, name: &RefName) -> Result<Option<RefValue>> {
        self.inner.read_ref(name)
    }
    fn kinds(&self, scope: &str) -> Result<Vec<String>> {
        self.inner.kinds(scope)
    }
    fn scopes(&self) -> Result<Vec<String>> {
        self.inner.scopes()
    }
    fn receipt(&self, address: &Address, command_id: &str) -> Result<Option<([u8; 32], Vec<u8>)>> {
        self.inner.receipt(address, command_id)
    }
    fn lineage(&self, scope: &str) -> Result<Option<treering_store::scope::Lineage>> {
        self.inner.lineage(scope)
    }
    fn receipts(
        &self,
        scope: &str,
        after: Option<&[u8; 32]>,
        limit: usize,
    ) -> Result<Vec<ScopeReceipt>> {
        self.inner.receipts(scope, after, limit)
    }
    fn journal(&self, after: Option<&Cursor>, limit: usize) -> Result<Vec<JournalEntry>> {
        self.inner.journal(after, limit)
    }
    fn cursor_at(&self, position: u64) -> Result<Option<Cursor>> {
        self.inner.cursor_at(position)
    }
    fn seal_journal(&self, keep: u64) -> Result<SealReport> {
        self.inner.seal_journal(keep)
    }
    fn give_up_commit(&self, position: u64) -> Result<()> {
        self.inner.give_up_commit(position)
    }
    fn expire_journal(&self, before: &ExpireBefore) -> Result<ExpireReport> {
        self.inner.expire_journal(before)
    }
    fn erase(&self, scope: &str, options: &EraseOptions) -> Result<Erased> {
        self.inner.erase(scope, options)
    }

    fn erasures(&self) -> Result<Erasures> {
        self.inner.erasures()
    }

    fn vacuum(&self) -> Result<Vacuumed> {
        self.inner.vacuum()
    }

    fn journal_extent(&self) -> Result<JournalExtent> {
        self.inner.journal_extent()
    }
    fn head(&self) -> Result<Head> {
        self.inner.head()
    }
    fn watch(&self, position: u64, timeout: Duration) -> Result<u64> {
        self.inner.watch(position, timeout)
    }
    fn listen(&self, wake: Wake) -> Result<Listening> {
        self.inner.listen(wake)
    }
    fn lease_acquire(&self, name: &RefName, owner: &str) -> Result<Lease> {
        if let Some(removal) = self.removed_first.lock().unwrap().take() {
            self.inner.submit(removal).wait()?;
        }
        self.inner.lease_acquire(name, owner)
    }
    fn lease_release(&self, lease: &Lease) -> Result<()> {
        self.inner.lease_release(lease)
    }
    fn lease_state(&self, name: &RefName) -> Result<Option<LeaseState>> {
        self.inner.lease_state(name)
    }
    fn repair(&self) -> Result<RepairReport> {
        self.inner.repair()
    }
    fn all_refs(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Result<RefValue>)>> {
        self.inner.all_refs(after, limit)
    }
    fn quarantine(&self, names: &[String]) -> Result<Quarantined> {
        self.inner.quarantine(names)
    }
    fn stats(&self) -> Result<StoreStats> {
        self.inner.stats()
    }
    fn counters(&self) -> Counters {
        self.inner.counters()
    }
    fn now_ms(&self) -> i64 {
        self.inner.now_ms()
    }
    fn location(&self) -> String {
        self.inner.location()
    }
    fn close(&self) -> Result<()> {
        self.inner.close()
    }
}
