//! The conformance suite can fail: for each theme a store with one fault, which that theme must find.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use treering_block::{Cid, CidPrefix};
use treering_store::conformance::{Backend, run, theme};
use treering_store::{
    Address, BlockInfo, Change, Clock, Collection, Commit, Counters, Cursor, EraseOptions, Erased,
    Erasures, Expect, ExpireBefore, ExpireReport, GcOptions, Head, Hold, JournalEntry,
    JournalExtent, Lease, LeaseState, Listening, MemoryStore, Quarantined, RefName, RefValue,
    RepairReport, Result, ScopeReceipt, SealReport, Store, StoreStats, Ticket, Vacuumed,
    VerifyReport, Wake,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    GivesOtherBytes,
    PrefixStopsEarly,
    ListsBackwards,
    KeepsBlocksOfRefusedCommits,
    IgnoresVersions,
    IgnoresTargets,
    ForgetsReceipts,
    SkipsACommit,
    MisplacesCommits,
    NeverWaits,
    RepeatsTokens,
    CutsRecords,
    ForgetsHolds,
    ComesBackEmpty,
    NeverCloses,
}

struct Faulty(MemoryStore, Fault);

impl Faulty {
    fn has(&self, fault: Fault) -> bool {
        self.1 == fault
    }
}

impl Store for Faulty {
    fn submit(&self, mut commit: Commit) -> Ticket {
        for step in &mut commit.moves {
            if self.has(Fault::IgnoresVersions) && matches!(step.expect, Expect::Version(_)) {
                step.expect = Expect::Any;
            }
            if let (true, Expect::At { version, .. }) =
                (self.has(Fault::IgnoresTargets), &step.expect)
            {
                step.expect = Expect::Version(*version);
            }
            if let Change::Set { record, .. } = &mut step.change
                && self.has(Fault::CutsRecords)
            {
                record.truncate(4096);
            }
        }
        if self.has(Fault::ForgetsHolds) {
            commit.holds.clear();
        }
        if self.has(Fault::ForgetsReceipts) {
            commit.command = None;
        }
        let blocks = commit.blocks.clone();
        let ticket = self.0.submit(commit);
        if self.has(Fault::KeepsBlocksOfRefusedCommits) && matches!(ticket.poll(), Some(Err(_))) {
            for block in blocks.into_iter().filter(|block| block.links.is_empty()) {
                let blocks = vec![block];
                self.0.submit(Commit {
                    scope: "main".into(),
                    blocks,
                    ..Commit::default()
                });
            }
        }
        ticket
    }
    fn get(&self, cid: &Cid) -> Result<Arc<[u8]>> {
        let bytes = self.0.get(cid)?;
        Ok(if self.has(Fault::GivesOtherBytes) {
            Arc::from([1])
        } else {
            bytes
        })
    }
    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>> {
        self.0.has_many(cids)
    }
    fn prefix(&self, prefix: &CidPrefix, limit: usize) -> Result<Vec<Cid>> {
        let limit = if self.has(Fault::PrefixStopsEarly) {
            limit.min(1)
        } else {
            limit
        };
        self.0.prefix(prefix, limit)
    }
    fn blocks(&self, after: u64, limit: usize) -> Result<Vec<BlockInfo>> {
        self.0.blocks(after, limit)
    }
    fn read_ref(&self, name: &RefName) -> Result<Option<RefValue>> {
        self.0.read_ref(name)
    }
    fn list_refs(
        &self,
        scope: &str,
        kind: &str,
        after: Option<&RefName>,
        limit: usize,
    ) -> Result<Vec<(RefName, Result<RefValue>)>> {
        let mut refs = self.0.list_refs(scope, kind, after, limit)?;
        if self.has(Fault::ListsBackwards) {
            refs.reverse();
        }
        Ok(refs)
    }
    fn kinds(&self, scope: &str) -> Result<Vec<String>> {
        self.0.kinds(scope)
    }
    fn scopes(&self) -> Result<Vec<String>> {
        self.0.scopes()
    }
    fn receipt(&self, address: &Address, command_id: &str) -> Result<Option<([u8; 32], Vec<u8>)>> {
        self.0.receipt(address, command_id)
    }
    fn lineage(&self, scope: &str) -> Result<Option<treering_store::scope::Lineage>> {
        self.0.lineage(scope)
    }
    fn receipts(
        &self,
        scope: &str,
        after: Option<&[u8; 32]>,
        limit: usize,
    ) -> Result<Vec<ScopeReceipt>> {
        self.0.receipts(scope, after, limit)
    }
    fn journal(&self, after: Option<&Cursor>, limit: usize) -> Result<Vec<JournalEntry>> {
        let mut entries = self.0.journal(after, limit)?;
        entries.retain(|entry| !self.has(Fault::SkipsACommit) || entry.position != 3);
        Ok(entries)
    }
    fn cursor_at(&self, position: u64) -> Result<Option<Cursor>> {
        let behind = u64::from(self.has(Fault::MisplacesCommits));
        self.0.cursor_at(position.saturating_add(behind))
    }
    fn seal_journal(&self, keep: u64) -> Result<SealReport> {
        self.0.seal_journal(keep)
    }
    fn give_up_commit(&self, position: u64) -> Result<()> {
        self.0.give_up_commit(position)
    }
    fn expire_journal(&self, before: &ExpireBefore) -> Result<ExpireReport> {
        self.0.expire_journal(before)
    }
    fn erase(&self, scope: &str, options: &EraseOptions) -> Result<Erased> {
        self.0.erase(scope, options)
    }

    fn erasures(&self) -> Result<Erasures> {
        self.0.erasures()
    }

    fn vacuum(&self) -> Result<Vacuumed> {
        self.0.vacuum()
    }

    fn journal_extent(&self) -> Result<JournalExtent> {
        self.0.journal_extent()
    }
    fn head(&self) -> Result<Head> {
        self.0.head()
    }
    fn watch(&self, position: u64, timeout: Duration) -> Result<u64> {
        self.0.watch(
            position,
            if self.has(Fault::NeverWaits) {
                Duration::ZERO
            } else {
                timeout
            },
        )
    }
    fn listen(&self, wake: Wake) -> Result<Listening> {
        self.0.listen(wake)
    }
    fn lease_acquire(&self, name: &RefName, owner: &str) -> Result<Lease> {
        let mut lease = self.0.lease_acquire(name, owner)?;
        if self.has(Fault::RepeatsTokens) {
            lease.token = 1;
        }
        Ok(lease)
    }
    fn lease_release(&self, lease: &Lease) -> Result<()> {
        self.0.lease_release(lease)
    }
    fn lease_state(&self, name: &RefName) -> Result<Option<LeaseState>> {
        self.0.lease_state(name)
    }
    fn holds(&self, scope: &str, after: u64, limit: usize) -> Result<Vec<Hold>> {
        self.0.holds(scope, after, limit)
    }
    fn extend_hold(&self, scope: &str, cid: &Cid, until_ms: i64) -> Result<i64> {
        self.0.extend_hold(scope, cid, until_ms)
    }
    fn release_hold(&self, scope: &str, cid: &Cid) -> Result<bool> {
        self.0.release_hold(scope, cid)
    }
    fn collection(&self, options: &GcOptions) -> Result<Collection<'_>> {
        self.0.collection(options)
    }
    fn verify(&self, since: Option<&Head>) -> Result<VerifyReport> {
        self.0.verify(since)
    }
    fn repair(&self) -> Result<RepairReport> {
        self.0.repair()
    }
    fn all_refs(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Result<RefValue>)>> {
        self.0.all_refs(after, limit)
    }
    fn quarantine(&self, names: &[String]) -> Result<Quarantined> {
        self.0.quarantine(names)
    }
    fn stats(&self) -> Result<StoreStats> {
        self.0.stats()
    }
    fn counters(&self) -> Counters {
        self.0.counters()
    }
    fn now_ms(&self) -> i64 {
        self.0.now_ms()
    }
    fn location(&self) -> String {
        self.0.location()
    }
    fn close(&self) -> Result<()> {
        if self.has(Fault::NeverCloses) {
            Ok(())
        } else {
            self.0.close()
        }
    }
}

impl Backend for Fault {
    fn fresh(&self, clock: Clock) -> Arc<dyn Store> {
        Arc::new(Faulty(MemoryStore::with_clock(clock), *self))
    }
    fn reopen(&self, _: &dyn Store, clock: Clock) -> Option<Arc<dyn Store>> {
        (*self == Fault::ComesBackEmpty).then(|| self.fresh(clock))
    }
}

#[test]
fn each_theme_finds_its_fault_and_nothing_else() {
    for (fault, name) in [
        (Fault::GivesOtherBytes, "blocks"),
        (Fault::PrefixStopsEarly, "prefixes"),
        (Fault::ListsBackwards, "refs"),
        (Fault::IgnoresTargets, "refs"),
        (Fault::KeepsBlocksOfRefusedCommits, "commits"),
        (Fault::IgnoresVersions, "concurrency"),
        (Fault::ForgetsReceipts, "commands"),
        (Fault::SkipsACommit, "journal"),
        (Fault::MisplacesCommits, "journal"),
        (Fault::NeverWaits, "watching"),
        (Fault::RepeatsTokens, "leases"),
        (Fault::CutsRecords, "limits"),
        (Fault::ForgetsHolds, "gc"),
        (Fault::ComesBackEmpty, "reopening"),
        (Fault::NeverCloses, "closing"),
    ] {
        let passes =
            |fault: Fault| catch_unwind(AssertUnwindSafe(|| run(theme(name), &fault))).is_ok();
        assert!(!passes(fault), "{name} did not find a store that {fault:?}");
        assert!(
            passes(Fault::None),
            "{name} finds fault with a store that has none"
        );
    }
}
