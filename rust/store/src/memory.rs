//! The store in memory: the contract without a disk, for tests and for work that need not outlive a process.
//!
//! Promises: all of [`Store`], by the same rules as on disk. One lock; a commit is applied inline, so a
//! ticket is answered before `submit` returns.
//! Must never: call out (a ticket's callback, a waiting watcher) while it holds its lock.

mod erasing;
mod evidence;
mod gc;
mod state;
#[cfg(test)]
mod tests;

use std::ops::Bound;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use treering_block::{Cid, CidPrefix};

use crate::clock::Clock;
use crate::commit::{Address, Commit, Committed, RefValue};
use crate::cursor::{Cursor, Head};
use crate::embedded::fork;
use crate::erasure::{self, EraseOptions, Erased, Erasures};
use crate::error::{Result, StoreError};
use crate::findings::VerifyReport;
use crate::gc::{Collection, GcOptions};
use crate::journal::{JournalEntry, JournalRow};
use crate::lease::{self, Identity, Lease, LeaseState};
use crate::ledger;
use crate::listening::{Listeners, Listening, Wake};
use crate::name::{RefName, check_kind, check_scope, listing_from, listing_prefix};
use crate::process::is_alive;
use crate::quarantine::{self, Quarantined};
use crate::repair::RepairReport;
use crate::retention::{ExpireBefore, ExpireReport, JournalExtent, SealReport};
use crate::scope::forking::{FORKING, hidden_by, is_marker};
use crate::scope::lineage::{Lineage, find_receipt, read_lineage};
use crate::stats::{Counters, StoreStats};
use crate::store::{BlockInfo, Hold, ScopeReceipt, Store};
use crate::ticket::Ticket;
use crate::vacuum::Vacuumed;
use crate::verify;
use state::State;

/// A store that lives as long as this value. Everything is lost on drop.
pub struct MemoryStore {
    clock: Clock,
    /// The process that made it. In a child of its a lock may be held by a thread that is not there.
    generation: u64,
    inner: Mutex<Inner>,
    /// Rung after each commit and on close.
    bell: Condvar,
    listeners: Arc<Listeners>,
}

#[derive(Default)]
struct Inner {
    state: State,
    counters: Counters,
    closed: bool,
}

impl MemoryStore {
    /// An empty store on the machine's clock.
    pub fn new() -> Self {
        Self::with_clock(Clock::system())
    }

    /// An empty store on that clock.
    pub fn with_clock(clock: Clock) -> Self {
        fork::install();
        Self {
            clock,
            generation: fork::generation(),
            inner: Mutex::new(Inner::default()),
            bell: Condvar::new(),
            listeners: Arc::default(),
        }
    }

    fn ring(&self) {
        self.bell.notify_all();
        self.listeners.wake_all();
    }

    /// Errors: `ForkedProcess` in a child of the process that made it.
    fn lock(&self) -> Result<MutexGuard<'_, Inner>> {
        if self.generation != fork::generation() {
            return Err(StoreError::ForkedProcess);
        }
        // Nothing that runs under the lock panics half-way through a change.
        let inner = self.inner.lock();
        Ok(inner.unwrap_or_else(|broken| broken.into_inner()))
    }

    /// The inside, if the store is open.
    fn open(&self) -> Result<MutexGuard<'_, Inner>> {
        let inner = self.lock()?;
        if inner.closed {
            Err(StoreError::Closed)
        } else {
            Ok(inner)
        }
    }

    fn apply(&self, commit: &Commit) -> Result<Committed> {
        let mut inner = self.open()?;
        inner.counters.requests += 1;
        inner.counters.batches += 1;
        let committed = ledger::apply(commit, &mut inner.state, self.clock.now_ms())?;
        inner.counters.blocks_written += committed.new_blocks;
        inner.counters.block_bytes_written += committed.new_bytes;
        Ok(committed)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    fn submit(&self, commit: Commit) -> Ticket {
        let answer = self.apply(&commit);
        // Nothing to be heard of one that was refused; in a child the listeners' lock may be held for ever.
        if answer.is_ok() {
            self.ring();
        }
        Ticket::answered(answer)
    }

    fn get(&self, cid: &Cid) -> Result<Arc<[u8]>> {
        let mut inner = self.open()?;
        let bytes = inner
            .state
            .block(cid)
            .map(|stored| Arc::clone(&stored.bytes));
        let bytes = bytes.ok_or(StoreError::BlockNotFound(*cid))?;
        inner.counters.blocks_read += 1;
        Ok(bytes)
    }

    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>> {
        let inner = self.open()?;
        Ok(cids
            .iter()
            .map(|cid| inner.state.ordinals.contains_key(cid))
            .collect())
    }

    fn prefix(&self, prefix: &CidPrefix, limit: usize) -> Result<Vec<Cid>> {
        let inner = self.open()?;
        let low = Cid::new(prefix.codec(), prefix.low());
        let high = Cid::new(prefix.codec(), prefix.high());
        Ok(inner
            .state
            .ordinals
            .range(low..=high)
            .map(|(cid, _)| *cid)
            .take(limit)
            .collect())
    }

    fn blocks(&self, after: u64, limit: usize) -> Result<Vec<BlockInfo>> {
        let inner = self.open()?;
        Ok(inner
            .state
            .live_after(after)
            .take(limit)
            .map(|(ordinal, stored)| BlockInfo {
                ordinal: *ordinal,
                cid: stored.cid,
                size: stored.bytes.len() as u64,
            })
            .collect())
    }

    fn read_ref(&self, name: &RefName) -> Result<Option<RefValue>> {
        let state = &self.open()?.state;
        let hidden = hidden_by(name).is_some_and(|by| state.refs.contains_key(by.as_str()));
        Ok(state.refs.get(name).filter(|_| !hidden).cloned())
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
        let inner = self.open()?;
        let hidden = inner.state.is_hidden(scope);
        if kind != FORKING && hidden {
            return Ok(Vec::new());
        }
        let prefix = listing_prefix(scope, kind);
        let from = listing_from(&prefix, after);
        let refs = inner.state.refs.range::<str, _>((from, Bound::Unbounded));
        Ok(refs
            .take_while(|(name, _)| name.encoded().starts_with(&prefix))
            .filter(|(name, _)| !hidden || is_marker(name))
            .take(limit)
            .map(|(name, value)| (name.clone(), Ok(value.clone())))
            .collect())
    }

    fn kinds(&self, scope: &str) -> Result<Vec<String>> {
        check_scope(scope)?;
        let inner = self.open()?;
        if inner.state.is_hidden(scope) {
            return Ok(vec![FORKING.to_owned()]);
        }
        let mut kinds: Vec<String> = inner
            .state
            .refs
            .keys()
            .filter(|name| name.scope() == scope)
            .map(|name| name.kind().to_owned())
            .collect();
        kinds.sort();
        kinds.dedup();
        Ok(kinds)
    }

    fn scopes(&self) -> Result<Vec<String>> {
        let inner = self.open()?;
        let mut scopes: Vec<String> = inner
            .state
            .refs
            .keys()
            .map(|name| name.scope().to_owned())
            .collect();
        scopes.sort();
        scopes.dedup();
        scopes.retain(|scope| !inner.state.is_hidden(scope));
        Ok(scopes)
    }

    fn receipt(&self, address: &Address, command_id: &str) -> Result<Option<([u8; 32], Vec<u8>)>> {
        let state = &self.open()?.state;
        let left = find_receipt(address, command_id, &mut |wanted| state.left(wanted))?;
        Ok(left.map(|left| (left.payload, left.receipt)))
    }

    fn lineage(&self, scope: &str) -> Result<Option<Lineage>> {
        check_scope(scope)?;
        let state = &self.open()?.state;
        read_lineage(scope, &mut |wanted| state.left(wanted))
    }

    fn receipts(
        &self,
        scope: &str,
        after: Option<&[u8; 32]>,
        limit: usize,
    ) -> Result<Vec<ScopeReceipt>> {
        check_scope(scope)?;
        let inner = self.open()?;
        let from = after.map(|key| (*key, scope.to_owned()));
        let from = from.map_or(Bound::Unbounded, Bound::Excluded);
        let found = inner.state.receipts.range((from, Bound::Unbounded));
        Ok(found
            .filter(|((_, of), _)| of == scope)
            .take(limit)
            .map(|(_, (command, position))| ScopeReceipt {
                command: command.clone(),
                position: *position,
            })
            .collect())
    }

    fn journal(&self, after: Option<&Cursor>, limit: usize) -> Result<Vec<JournalEntry>> {
        let inner = self.open()?;
        let state = &inner.state;
        let start = state.start.head.position;
        let after = match after {
            None => start,
            Some(cursor) if cursor.position < start => {
                return Err(StoreError::CursorExpired(cursor.to_string()));
            }
            Some(cursor) if state.knows(cursor) => cursor.position,
            Some(cursor) => return Err(StoreError::CursorLost(cursor.to_string())),
        };
        let later = state.journal_after(after).take(limit);
        later.map(JournalRow::entry).collect()
    }

    fn cursor_at(&self, position: u64) -> Result<Option<Cursor>> {
        let inner = self.open()?;
        let state = &inner.state;
        let start = state.start.head;
        if position == start.position {
            return Ok(Some(start.cursor()));
        }
        let before = position.checked_sub(1);
        let row = before.filter(|before| *before >= start.position);
        let row = row.and_then(|before| state.journal_after(before).next());
        Ok(row.map(|row| row.head().cursor()))
    }

    fn seal_journal(&self, _: u64) -> Result<SealReport> {
        drop(self.open()?);
        Ok(SealReport::default())
    }

    fn expire_journal(&self, before: &ExpireBefore) -> Result<ExpireReport> {
        let state = &mut self.open()?.state;
        let commits = match before {
            ExpireBefore::Time(at_ms) => state.expire(|row| row.at_ms < *at_ms),
            ExpireBefore::Cursor(cursor) => {
                if cursor.position >= state.start.head.position && !state.knows(cursor) {
                    return Err(StoreError::CursorLost(cursor.to_string()));
                }
                state.expire(|row| row.position <= cursor.position)
            }
        };
        Ok(ExpireReport {
            commits,
            ..ExpireReport::default()
        })
    }

    fn erase(&self, scope: &str, options: &EraseOptions) -> Result<Erased> {
        erasure::check(scope, options)?;
        let erased = self
            .open()?
            .state
            .erase(scope, options, self.clock.now_ms())?;
        if !(options.dry_run || erased.replayed) {
            self.ring();
        }
        Ok(erased)
    }

    fn store_id(&self) -> Result<[u8; 16]> {
        Ok(self.open()?.state.id())
    }

    fn erasures(&self) -> Result<Erasures> {
        let state = &mut self.open()?.state;
        Ok(Erasures {
            store_id: state.id(),
            notes: state.erasures.clone(),
        })
    }

    fn vacuum(&self) -> Result<Vacuumed> {
        let mut inner = self.open()?;
        inner.state.drop_unused_leases(self.clock.now_ms());
        Ok(Vacuumed::default())
    }

    fn give_up_commit(&self, position: u64) -> Result<()> {
        drop(self.open()?);
        Err(StoreError::Invalid {
            what: "commit to give up",
            value: position.to_string(),
            rule: "in memory nothing is lost".into(),
        })
    }

    fn journal_extent(&self) -> Result<JournalExtent> {
        let inner = self.open()?;
        Ok(JournalExtent {
            start: inner.state.start,
            sealed: Vec::new(),
            head: inner.state.head(),
        })
    }

    fn head(&self) -> Result<Head> {
        Ok(self.open()?.state.head())
    }

    fn watch(&self, position: u64, timeout: Duration) -> Result<u64> {
        let inner = self.lock()?;
        let still = |inner: &mut Inner| !inner.closed && inner.state.head().position <= position;
        let (inner, _) = self
            .bell
            .wait_timeout_while(inner, timeout, still)
            .unwrap_or_else(|broken| broken.into_inner());
        if inner.closed {
            Err(StoreError::Closed)
        } else {
            Ok(inner.state.head().position)
        }
    }

    fn listen(&self, wake: Wake) -> Result<Listening> {
        drop(self.open()?);
        let id = self.listeners.add(wake);
        let listeners = Arc::clone(&self.listeners);
        let generation = self.generation;
        // A child that drops what it inherited leaves the list, and its lock, alone.
        Ok(Listening::new(move || {
            if generation == fork::generation() {
                listeners.remove(id);
            }
        }))
    }

    fn lease_acquire(&self, name: &RefName, owner: &str) -> Result<Lease> {
        let mut inner = self.open()?;
        let stored = inner.state.leases.get(name).cloned();
        let granted = lease::grant(
            stored,
            inner.state.lease_floor,
            name,
            owner,
            &Identity::current(),
            self.clock.now_ms(),
            |stored| is_alive(&stored.identity),
        )?;
        let token = granted.token;
        inner.state.leases.insert(name.clone(), granted);
        Ok(Lease {
            name: name.clone(),
            token,
        })
    }

    fn lease_release(&self, lease: &Lease) -> Result<()> {
        let mut inner = self.open()?;
        if let Some(released) = inner
            .state
            .leases
            .get(&lease.name)
            .and_then(|state| state.released(lease.token))
        {
            inner.state.leases.insert(lease.name.clone(), released);
        }
        Ok(())
    }

    fn lease_state(&self, name: &RefName) -> Result<Option<LeaseState>> {
        let stored = self.open()?.state.leases.get(name).cloned();
        Ok(stored
            .map(|state| state.observed(self.clock.now_ms(), |stored| is_alive(&stored.identity))))
    }

    fn holds(&self, scope: &str, after: u64, limit: usize) -> Result<Vec<Hold>> {
        check_scope(scope)?;
        let inner = self.open()?;
        let later = inner
            .state
            .holds
            .range((after.saturating_add(1), String::new())..);
        Ok(later
            .filter(|((_, of), _)| of == scope)
            .filter_map(|((ordinal, _), expires_at_ms)| {
                Some(Hold {
                    ordinal: *ordinal,
                    cid: inner.state.blocks.get(ordinal)?.cid,
                    expires_at_ms: *expires_at_ms,
                })
            })
            .take(limit)
            .collect())
    }

    fn extend_hold(&self, scope: &str, cid: &Cid, until_ms: i64) -> Result<i64> {
        check_scope(scope)?;
        let mut inner = self.open()?;
        let ordinal = *inner
            .state
            .ordinals
            .get(cid)
            .ok_or(StoreError::BlockNotFound(*cid))?;
        let held = inner
            .state
            .holds
            .entry((ordinal, scope.to_owned()))
            .or_insert(until_ms);
        *held = until_ms.max(*held);
        Ok(*held)
    }

    fn release_hold(&self, scope: &str, cid: &Cid) -> Result<bool> {
        check_scope(scope)?;
        let mut inner = self.open()?;
        let state = &mut inner.state;
        let Some(ordinal) = state.ordinals.get(cid).copied() else {
            return Ok(false);
        };
        Ok(state.holds.remove(&(ordinal, scope.to_owned())).is_some())
    }

    fn collection(&self, options: &GcOptions) -> Result<Collection<'_>> {
        drop(self.open()?);
        Ok(Collection::new(self, options))
    }

    fn verify(&self, since: Option<&Head>) -> Result<VerifyReport> {
        let inner = self.open()?;
        Ok(verify::verify(&inner.state, since))
    }

    /// There are no rows that could be broken by themselves: nothing is mended.
    fn repair(&self) -> Result<RepairReport> {
        Ok(RepairReport {
            repairs: Vec::new(),
            left: self.verify(None)?,
        })
    }

    fn all_refs(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Result<RefValue>)>> {
        let inner = self.open()?;
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let refs = inner.state.refs.range::<str, _>((after, Bound::Unbounded));
        Ok(refs
            .take(limit)
            .map(|(name, value)| (name.encoded().to_owned(), Ok(value.clone())))
            .collect())
    }

    /// A ref in memory is sound as long as the process is.
    fn quarantine(&self, names: &[String]) -> Result<Quarantined> {
        for name in names {
            let name = RefName::parse(name)?;
            if self.read_ref(&name)?.is_none() {
                return Err(StoreError::RefNotFound(name));
            }
        }
        Err(StoreError::Invalid {
            what: "quarantine",
            value: names.join(", "),
            rule: quarantine::NOTHING_WRONG.into(),
        })
    }

    fn stats(&self) -> Result<StoreStats> {
        Ok(self.open()?.state.stats(self.clock.now_ms()))
    }

    fn counters(&self) -> Counters {
        self.lock()
            .map_or_else(|_| Counters::default(), |inner| inner.counters)
    }

    fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn close(&self) -> Result<()> {
        // A child leaves its parent's store alone.
        if let Ok(mut inner) = self.lock() {
            inner.closed = true;
            drop(inner);
            self.ring();
        }
        Ok(())
    }
}
