//! A store whose calls go wrong as planned: for tests of what is built on a store.
//!
//! It stands before any backend. What it lets through is the backend's own doing; what it refuses, the
//! backend never sees, so that the errors' promises (nothing was written) hold.
//! Promises: with an empty plan it is the store behind it. A write that is lost or refused as poisoned is
//! followed by refusals until the plan is healed or the store is opened anew, as in a real store.
//! Never: an answer overtakes an earlier one, however late that is.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

use treering_block::{Cid, CidPrefix};

use super::plan::{Call, Fault, Faults};
use super::relay::Relay;
use crate::commit::{Address, Commit, RefValue};
use crate::cursor::{Cursor, Head};
use crate::erasure::{EraseOptions, Erased, Erasures};
use crate::error::{Result, StoreError};
use crate::findings::VerifyReport;
use crate::gc::{Collection, GcOptions, GcReport};
use crate::journal::JournalEntry;
use crate::lease::{Lease, LeaseState};
use crate::listening::{Listening, Wake};
use crate::name::RefName;
use crate::quarantine::Quarantined;
use crate::repair::RepairReport;
use crate::retention::{ExpireBefore, ExpireReport, JournalExtent, SealReport};
use crate::scope::lineage::Lineage;
use crate::stats::{Counters, StoreStats};
use crate::store::{BlockInfo, Hold, ScopeReceipt, Store};
use crate::ticket::Ticket;
use crate::upload::{BlockReader, Upload};
use crate::vacuum::Vacuumed;

/// What an injected time-out says it waited.
const WAITED_MS: u64 = 30_000;
const WHY: &str = "a planned fault";

/// A store that fails as planned.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    faults: Faults,
    /// There once an answer was to be late: from then on all go that way, to keep their order.
    relay: Mutex<Option<Relay>>,
}

impl FaultyStore {
    /// `inner`, failing as `faults` says. It takes writes, whatever befell an earlier store with this plan.
    pub fn new(inner: Arc<dyn Store>, faults: Faults) -> Self {
        faults.reopened();
        Self {
            inner,
            faults,
            relay: Mutex::default(),
        }
    }

    /// Waits and fails as planned. `subject`: what a corrupt answer would be about.
    fn meet(&self, call: Call, subject: impl FnOnce() -> (&'static str, String)) -> Result<()> {
        if call != Call::Read {
            self.refuse_if_poisoned()?;
        }
        let injected = self.faults.meet(call, false);
        if !injected.wait.is_zero() {
            thread::sleep(injected.wait);
        }
        match injected.failure {
            None => Ok(()),
            Some(Fault::Corrupt) => {
                let (what, which) = subject();
                Err(StoreError::Corrupt {
                    what,
                    which,
                    detail: WHY.to_owned(),
                })
            }
            Some(fault) => Err(self.error(fault, call)),
        }
    }

    fn read(&self) -> Result<()> {
        self.meet(Call::Read, || ("store", self.inner.location()))
    }

    /// A commit that the caller waits for by calling `work`.
    fn change<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.refuse_if_poisoned()?;
        let injected = self.faults.meet(Call::Commit, false);
        thread::sleep(injected.wait);
        match injected.failure {
            None => work(),
            Some(lost @ Fault::CommitUnknown { landed: true }) => {
                work()?;
                Err(self.error(lost, Call::Commit))
            }
            Some(fault) => Err(self.error(fault, Call::Commit)),
        }
    }

    fn refuse_if_poisoned(&self) -> Result<()> {
        match self.faults.poisoned() {
            Some(why) => Err(StoreError::Poisoned { why }),
            None => Ok(()),
        }
    }

    /// The error that a fault shows as. After some of them nothing is written any more.
    fn error(&self, fault: Fault, call: Call) -> StoreError {
        match fault {
            Fault::DiskFull => StoreError::DiskFull,
            Fault::LockTimeout => StoreError::LockTimeout {
                waited_ms: WAITED_MS,
                holder: format!("another process ({WHY})"),
            },
            Fault::Poisoned => {
                self.faults.poison(WHY);
                StoreError::Poisoned {
                    why: WHY.to_owned(),
                }
            }
            Fault::CommitUnknown { .. } => {
                self.faults.poison(WHY);
                StoreError::CommitUnknown {
                    why: WHY.to_owned(),
                }
            }
            Fault::Device | Fault::Corrupt | Fault::LeaseLost | Fault::Slow(_) => StoreError::Io {
                action: if call == Call::Read { "read" } else { "write" },
                path: self.inner.location(),
                source: Arc::new(io::Error::other(format!(
                    "the device does not answer ({WHY})"
                ))),
            },
        }
    }

    /// The commit happens or is refused as it may be, but who waits for a good answer does not get it.
    fn lose_answer(&self, commit: Commit) -> Ticket {
        let real = self.inner.submit(commit);
        let given = Ticket::new();
        let (asked, waiting, faults) = (real.clone(), given.clone(), self.faults.clone());
        real.on_answer(move || match asked.wait() {
            Err(error) => waiting.answer(Err(error)),
            Ok(_) => {
                faults.poison(WHY);
                waiting.answer(Err(StoreError::CommitUnknown {
                    why: WHY.to_owned(),
                }));
            }
        });
        given
    }

    /// The leases that the commit shows are given back first; the store then refuses it by its own rule.
    fn lose_leases(&self, commit: Commit) -> Ticket {
        for shown in &commit.leases {
            let lease = Lease {
                name: shown.name.clone(),
                token: shown.token,
            };
            if let Err(error) = self.inner.lease_release(&lease) {
                return Ticket::answered(Err(error));
            }
        }
        self.inner.submit(commit)
    }

    fn in_order(&self, ticket: Ticket, wait: Duration) -> Ticket {
        let mut relay = self.relay.lock().unwrap_or_else(PoisonError::into_inner);
        if relay.is_none() && !wait.is_zero() {
            match Relay::start() {
                Ok(started) => *relay = Some(started),
                Err(error) => {
                    tracing::warn!(%error, "no thread for late answers: it comes at once")
                }
            }
        }
        match &*relay {
            Some(relay) => relay.delay(ticket, wait),
            None => ticket,
        }
    }
}

impl Store for FaultyStore {
    fn submit(&self, commit: Commit) -> Ticket {
        if let Err(refused) = self.refuse_if_poisoned() {
            return self.in_order(Ticket::answered(Err(refused)), Duration::ZERO);
        }
        let injected = self.faults.meet(Call::Commit, !commit.leases.is_empty());
        let ticket = match injected.failure {
            None => self.inner.submit(commit),
            Some(Fault::CommitUnknown { landed: true }) => self.lose_answer(commit),
            Some(Fault::LeaseLost) => self.lose_leases(commit),
            Some(fault) => Ticket::answered(Err(self.error(fault, Call::Commit))),
        };
        self.in_order(ticket, injected.wait)
    }

    fn get(&self, cid: &Cid) -> Result<Arc<[u8]>> {
        self.meet(Call::Read, || ("block", cid.to_string()))?;
        self.inner.get(cid)
    }

    fn size(&self, cid: &Cid) -> Result<u64> {
        self.meet(Call::Read, || ("block", cid.to_string()))?;
        self.inner.size(cid)
    }

    fn range(&self, cid: &Cid, offset: u64, length: u64) -> Result<Vec<u8>> {
        self.meet(Call::Read, || ("block", cid.to_string()))?;
        self.inner.range(cid, offset, length)
    }

    fn reader(&self, cid: &Cid) -> Result<Box<dyn BlockReader>> {
        self.meet(Call::Read, || ("block", cid.to_string()))?;
        self.inner.reader(cid)
    }

    fn upload(&self) -> Result<Box<dyn Upload>> {
        self.refuse_if_poisoned()?;
        self.inner.upload()
    }

    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>> {
        self.read()?;
        self.inner.has_many(cids)
    }

    fn prefix(&self, prefix: &CidPrefix, limit: usize) -> Result<Vec<Cid>> {
        self.read()?;
        self.inner.prefix(prefix, limit)
    }

    fn blocks(&self, after: u64, limit: usize) -> Result<Vec<BlockInfo>> {
        self.read()?;
        self.inner.blocks(after, limit)
    }

    fn read_ref(&self, name: &RefName) -> Result<Option<RefValue>> {
        self.meet(Call::Read, || ("ref", name.to_string()))?;
        self.inner.read_ref(name)
    }

    fn list_refs(
        &self,
        scope: &str,
        kind: &str,
        after: Option<&RefName>,
        limit: usize,
    ) -> Result<Vec<(RefName, Result<RefValue>)>> {
        self.read()?;
        self.inner.list_refs(scope, kind, after, limit)
    }

    fn scopes(&self) -> Result<Vec<String>> {
        self.read()?;
        self.inner.scopes()
    }

    fn kinds(&self, scope: &str) -> Result<Vec<String>> {
        self.read()?;
        self.inner.kinds(scope)
    }

    fn receipt(&self, address: &Address, command_id: &str) -> Result<Option<([u8; 32], Vec<u8>)>> {
        self.read()?;
        self.inner.receipt(address, command_id)
    }

    fn lineage(&self, scope: &str) -> Result<Option<Lineage>> {
        self.read()?;
        self.inner.lineage(scope)
    }

    fn receipts(
        &self,
        scope: &str,
        after: Option<&[u8; 32]>,
        limit: usize,
    ) -> Result<Vec<ScopeReceipt>> {
        self.read()?;
        self.inner.receipts(scope, after, limit)
    }

    fn receipts_unsettled(&self, scope: &str) -> Result<u64> {
        self.read()?;
        self.inner.receipts_unsettled(scope)
    }

    fn journal(&self, after: Option<&Cursor>, limit: usize) -> Result<Vec<JournalEntry>> {
        self.read()?;
        self.inner.journal(after, limit)
    }

    fn cursor_at(&self, position: u64) -> Result<Option<Cursor>> {
        self.read()?;
        self.inner.cursor_at(position)
    }

    fn seal_journal(&self, keep: u64) -> Result<SealReport> {
        self.inner.seal_journal(keep)
    }

    fn expire_journal(&self, before: &ExpireBefore) -> Result<ExpireReport> {
        self.inner.expire_journal(before)
    }

    fn give_up_commit(&self, position: u64) -> Result<()> {
        self.inner.give_up_commit(position)
    }

    fn erase(&self, scope: &str, options: &EraseOptions) -> Result<Erased> {
        self.change(|| self.inner.erase(scope, options))
    }

    fn erasures(&self) -> Result<Erasures> {
        self.read()?;
        self.inner.erasures()
    }

    fn store_id(&self) -> Result<[u8; 16]> {
        self.read()?;
        self.inner.store_id()
    }

    fn vacuum(&self) -> Result<Vacuumed> {
        self.change(|| self.inner.vacuum())
    }

    fn journal_extent(&self) -> Result<JournalExtent> {
        self.read()?;
        self.inner.journal_extent()
    }

    fn head(&self) -> Result<Head> {
        self.read()?;
        self.inner.head()
    }

    fn watch(&self, position: u64, timeout: Duration) -> Result<u64> {
        self.inner.watch(position, timeout)
    }

    fn listen(&self, wake: Wake) -> Result<Listening> {
        self.inner.listen(wake)
    }

    fn lease_acquire(&self, name: &RefName, owner: &str) -> Result<Lease> {
        self.meet(Call::Lease, || ("lease", name.to_string()))?;
        self.inner.lease_acquire(name, owner)
    }

    fn lease_release(&self, lease: &Lease) -> Result<()> {
        self.meet(Call::Lease, || ("lease", lease.name.to_string()))?;
        self.inner.lease_release(lease)
    }

    fn lease_state(&self, name: &RefName) -> Result<Option<LeaseState>> {
        self.meet(Call::Read, || ("lease", name.to_string()))?;
        self.inner.lease_state(name)
    }

    fn holds(&self, scope: &str, after: u64, limit: usize) -> Result<Vec<Hold>> {
        self.read()?;
        self.inner.holds(scope, after, limit)
    }

    fn extend_hold(&self, scope: &str, cid: &Cid, until_ms: i64) -> Result<i64> {
        self.meet(Call::Hold, || ("hold", cid.to_string()))?;
        self.inner.extend_hold(scope, cid, until_ms)
    }

    fn release_hold(&self, scope: &str, cid: &Cid) -> Result<bool> {
        self.meet(Call::Hold, || ("hold", cid.to_string()))?;
        self.inner.release_hold(scope, cid)
    }

    fn gc(&self, options: &GcOptions) -> Result<GcReport> {
        self.meet(Call::Gc, || ("store", self.inner.location()))?;
        self.inner.gc(options)
    }

    fn collection(&self, options: &GcOptions) -> Result<Collection<'_>> {
        self.meet(Call::Gc, || ("store", self.inner.location()))?;
        self.inner.collection(options)
    }

    fn verify(&self, since: Option<&Head>) -> Result<VerifyReport> {
        self.read()?;
        self.inner.verify(since)
    }

    fn repair(&self) -> Result<RepairReport> {
        self.change(|| self.inner.repair())
    }

    fn all_refs(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Result<RefValue>)>> {
        self.read()?;
        self.inner.all_refs(after, limit)
    }

    fn quarantine(&self, names: &[String]) -> Result<Quarantined> {
        self.change(|| self.inner.quarantine(names))
    }

    fn stats(&self) -> Result<StoreStats> {
        self.read()?;
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
