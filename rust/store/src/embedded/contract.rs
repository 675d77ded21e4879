//! The contract, method by method: [`Store`] for a store in a directory. What is more than a look at rows stands in a file of
//! its own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use treering_block::{Cid, CidPrefix};

use super::evidence::Snapshot;
use super::housekeeping_rows::ReceiptRow;
use super::queue::Work;
use super::ref_rows::Seen;
use super::staging::Staging;
use super::unread::Unread;
use super::{
    EmbeddedStore, blob, directory, fork, orphaned_leases, ref_rows, registry, sqlite_error,
};
use crate::commit::{Address, Commit, Durability, RefValue};
use crate::cursor::{Cursor, Head};
use crate::erasure::{EraseOptions, Erased, Erasures};
use crate::error::{Result, StoreError};
use crate::findings::VerifyReport;
use crate::gc::{Collection, GcOptions};
use crate::journal::{JournalCommand, JournalEntry};
use crate::lease::{Lease, LeaseState};
use crate::ledger::Ledger;
use crate::listening::{Listening, Wake};
use crate::name::{RefName, check_kind, check_scope, listing_from, listing_prefix};
use crate::progress::Progress;
use crate::quarantine::Quarantined;
use crate::repair::RepairReport;
use crate::retention::{ExpireBefore, ExpireReport, JournalExtent, SealReport};
use crate::scope::forking::FORKING;
use crate::scope::lineage::{Lineage, find_receipt, read_lineage};
use crate::stats::{Counters, StoreStats};
use crate::store::{BlockInfo, Hold, ScopeReceipt, Store};
use crate::ticket::Ticket;
use crate::upload::{BlockReader, Upload};
use crate::vacuum::Vacuumed;
use crate::verify;

impl Store for EmbeddedStore {
    fn submit(&self, commit: Commit) -> Ticket {
        self.queue_commit(commit)
            .unwrap_or_else(|error| Ticket::answered(Err(error)))
    }

    fn get(&self, cid: &Cid) -> Result<Arc<[u8]>> {
        self.load(cid)
    }

    fn size(&self, cid: &Cid) -> Result<u64> {
        match self.reading(|session| session.find_block(cid))? {
            Some(row) => Ok(row.size),
            None => Ok(self.get(cid)?.len() as u64),
        }
    }

    fn reader(&self, cid: &Cid) -> Result<Box<dyn BlockReader>> {
        self.open_block(cid)
    }

    fn upload(&self) -> Result<Box<dyn Upload>> {
        let core = self.writable()?;
        core.shared.keep_room_for_deletions()?;
        Ok(Box::new(Staging::begin(&core.shared)))
    }

    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>> {
        let tiers = &self.usable()?.shared.tiers;
        self.reading(|session| {
            cids.iter()
                .map(|cid| {
                    let mut present = session.find_block(cid)?.is_some();
                    for tier in tiers {
                        present = present || tier.ordinal(cid)?.is_some();
                    }
                    Ok(present)
                })
                .collect()
        })
    }

    fn prefix(&self, prefix: &CidPrefix, limit: usize) -> Result<Vec<Cid>> {
        let mut found = self.reading(|session| session.blocks_by_prefix(prefix, limit))?;
        for tier in &self.core.shared.tiers {
            found.extend(tier.prefix(prefix, limit)?);
        }
        found.sort_unstable();
        found.dedup();
        found.truncate(limit);
        Ok(found)
    }

    fn blocks(&self, after: u64, limit: usize) -> Result<Vec<BlockInfo>> {
        let rows = self.reading(|session| session.blocks_after(after, limit))?;
        let mut found = rows
            .into_iter()
            .map(|(_, row)| row.map(|row| BlockInfo::from(&row)))
            .collect::<Result<Vec<_>>>()?;
        for tier in &self.core.shared.tiers {
            found.extend(tier.blocks(after, limit)?);
        }
        found.sort_unstable_by_key(|info| info.ordinal);
        found.truncate(limit);
        Ok(found)
    }

    fn read_ref(&self, name: &RefName) -> Result<Option<RefValue>> {
        self.reading(|session| session.read_seen_ref_row(name))
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
        let from = listing_from(&prefix, after);
        let rows = if kind == FORKING {
            self.in_one_read(|session| {
                let mut rows = session.ref_rows(&prefix, None, from, limit)?;
                let seen = session.seen(scope)?;
                rows.retain(|(name, _)| match seen {
                    Seen::All => true,
                    Seen::Marker => *name == prefix,
                    Seen::Nothing => false,
                });
                Ok(rows)
            })?
        } else {
            let marker = listing_prefix(scope, FORKING);
            self.reading(|session| session.ref_rows(&prefix, Some(&marker), from, limit))?
        };
        let named = rows
            .into_iter()
            .filter_map(|(name, value)| match RefName::parse(&name) {
                Ok(name) => Some((name, value)),
                Err(error) => {
                    // Its name is what is broken, so no place in the list is its own; verify reports it.
                    tracing::warn!(%error, name, "a ref's name can not be read");
                    None
                }
            });
        Ok(named.collect())
    }

    fn kinds(&self, scope: &str) -> Result<Vec<String>> {
        check_scope(scope)?;
        // Several statements: of one moment, or half of a scope that is erased meanwhile would be told.
        self.in_one_read(|session| {
            let kinds = session.kinds_of(scope)?;
            if !kinds.iter().any(|kind| kind == FORKING) {
                return Ok(kinds);
            }
            Ok(match session.seen(scope)? {
                Seen::All => kinds,
                Seen::Marker => vec![FORKING.to_owned()],
                Seen::Nothing => Vec::new(),
            })
        })
    }

    fn scopes(&self) -> Result<Vec<String>> {
        let mut scopes = self.in_one_read(|session| {
            let mut scopes = Vec::new();
            let mut from = String::new();
            // From scope to scope through the index: `0` is what follows `/`.
            while let Some(name) = session.first_ref_from(&from)? {
                let escaped = name.split('/').next().unwrap_or_default();
                from = format!("{escaped}0");
                if let Ok(name) = RefName::parse(&name)
                    && session.seen(name.scope())? == Seen::All
                {
                    scopes.push(name.scope().to_owned());
                }
            }
            Ok(scopes)
        })?;
        scopes.sort_unstable();
        scopes.dedup();
        Ok(scopes)
    }

    fn receipt(&self, address: &Address, command_id: &str) -> Result<Option<([u8; 32], Vec<u8>)>> {
        let left = self.reading(|session| {
            let left = find_receipt(address, command_id, &mut |wanted| {
                session.receipt_row(wanted)
            })?;
            match left {
                Some(_) if session.is_erasing(address.scope())? => Ok(None),
                left => Ok(left),
            }
        })?;
        Ok(left.map(|left| (left.payload, left.receipt)))
    }

    fn lineage(&self, scope: &str) -> Result<Option<Lineage>> {
        check_scope(scope)?;
        self.in_one_read(|session| {
            if session.is_erasing(scope)? {
                return Ok(None);
            }
            read_lineage(scope, &mut |wanted| session.receipt_row(wanted))
        })
    }

    fn receipts(
        &self,
        scope: &str,
        after: Option<&[u8; 32]>,
        limit: usize,
    ) -> Result<Vec<ScopeReceipt>> {
        check_scope(scope)?;
        let rows = self.in_one_read(|session| {
            if session.is_erasing(scope)? {
                return Ok(Vec::new());
            }
            session.receipt_rows_of(scope, after, limit)
        })?;
        let receipt = |(key, left): ReceiptRow| ScopeReceipt {
            command: JournalCommand {
                key,
                payload: left.payload,
                receipt: left.receipt,
            },
            position: left.position,
        };
        Ok(rows.into_iter().map(receipt).collect())
    }

    fn journal(&self, after: Option<&Cursor>, limit: usize) -> Result<Vec<JournalEntry>> {
        self.read_journal(after, limit)
    }

    fn cursor_at(&self, position: u64) -> Result<Option<Cursor>> {
        self.read_cursor_at(position)
    }

    fn seal_journal(&self, keep: u64) -> Result<SealReport> {
        self.seal_old(keep)
    }

    fn expire_journal(&self, before: &ExpireBefore) -> Result<ExpireReport> {
        self.expire_old(before)
    }

    fn give_up_commit(&self, position: u64) -> Result<()> {
        self.give_up_body(position)
    }

    fn erase(&self, scope: &str, options: &EraseOptions) -> Result<Erased> {
        self.erase_scope(scope, options)
    }

    fn erasures(&self) -> Result<Erasures> {
        self.in_one_read(|session| session.all_erasures())
    }

    fn store_id(&self) -> Result<[u8; 16]> {
        self.reading(|session| session.store_id())
    }

    fn vacuum(&self) -> Result<Vacuumed> {
        self.give_all_back()
    }

    fn journal_extent(&self) -> Result<JournalExtent> {
        self.extent()
    }

    fn head(&self) -> Result<Head> {
        self.reading(|session| session.tip_row().map(|tip| tip.head))
    }

    fn watch(&self, position: u64, timeout: Duration) -> Result<u64> {
        let shared = &self.usable()?.shared;
        shared.bell.watch(position, timeout, || {
            self.reading(|session| session.position())
        })
    }

    fn listen(&self, wake: Wake) -> Result<Listening> {
        let core = self.usable()?;
        let _inside = fork::enter();
        let shared = Arc::downgrade(&core.shared);
        let position = move || {
            // Outlives `shared`, which may be the last of it.
            let _inside = fork::enter();
            let shared = shared.upgrade()?;
            if shared.closed.load(SeqCst) {
                return None;
            }
            let position = shared.connections.reading(|session| session.position());
            // What can't be read is for the listeners to find out.
            Some(position.unwrap_or(u64::MAX))
        };
        let bell = &core.shared.bell;
        bell.listen(wake, position)
            .map_err(|error| sqlite_error::io_error("listen to", &core.shared.root, error))
    }

    fn lease_acquire(&self, name: &RefName, owner: &str) -> Result<Lease> {
        let (name, owner) = (name.clone(), owner.to_owned());
        self.ask_for_lease(|reply| Work::Acquire { name, owner, reply })
    }

    fn lease_release(&self, lease: &Lease) -> Result<()> {
        let release = |alone| {
            let lease = lease.clone();
            self.ask_for_lease(move |reply| Work::Release {
                lease,
                alone,
                reply,
            })
        };
        let released = match release(false) {
            // Together with what takes room, perhaps.
            Err(StoreError::DiskFull) => release(true),
            released => released,
        };
        if released.is_err() {
            orphaned_leases::note(&fork::enter(), &self.core.shared, lease.clone());
        }
        released
    }

    fn lease_state(&self, name: &RefName) -> Result<Option<LeaseState>> {
        let stored = self.in_one_read(|session| {
            let stored = session.lease_row(name)?;
            Ok(match stored {
                Some(_) if session.is_erasing(name.scope())? => None,
                stored => stored,
            })
        })?;
        let shared = &self.usable()?.shared;
        let holder = |state: &LeaseState| {
            orphaned_leases::holder_is_alive(&fork::enter(), shared, name, state)
        };
        Ok(stored.map(|state| state.observed(self.now_ms(), holder)))
    }

    fn holds(&self, scope: &str, after: u64, limit: usize) -> Result<Vec<Hold>> {
        check_scope(scope)?;
        let tiers = &self.usable()?.shared.tiers;
        self.reading(|session| {
            let mut holds = Vec::new();
            if session.is_erasing(scope)? {
                return Ok(holds);
            }
            for (ordinal, expires_at_ms) in session.holds_of(scope, after, limit)? {
                let mut cid = session.cid_of(ordinal)?;
                for tier in tiers {
                    if cid.is_none() {
                        let first = tier
                            .blocks(ordinal.saturating_sub(1), 1)?
                            .into_iter()
                            .next();
                        cid = first
                            .filter(|info| info.ordinal == ordinal)
                            .map(|info| info.cid);
                    }
                }
                holds.extend(cid.map(|cid| Hold {
                    ordinal,
                    cid,
                    expires_at_ms,
                }));
            }
            Ok(holds)
        })
    }

    fn extend_hold(&self, scope: &str, cid: &Cid, until_ms: i64) -> Result<i64> {
        check_scope(scope)?;
        let (scope, cid) = (scope.to_owned(), *cid);
        self.in_transaction(Durability::Durable, move |transaction| {
            transaction.expect_not_erasing(&scope)?;
            let ordinal =
                Ledger::ordinal(transaction, &cid)?.ok_or(StoreError::BlockNotFound(cid))?;
            transaction.insert_hold(&scope, ordinal, until_ms)?;
            let end = transaction.session().hold_end(ordinal, &scope)?;
            Ok(end.unwrap_or(until_ms))
        })
    }

    fn release_hold(&self, scope: &str, cid: &Cid) -> Result<bool> {
        check_scope(scope)?;
        let (scope, cid) = (scope.to_owned(), *cid);
        self.in_freeing_transaction(Durability::Durable, move |transaction| {
            let Some(ordinal) = Ledger::ordinal(transaction, &cid)? else {
                return Ok(false);
            };
            let mut released = false;
            transaction.writing(|session| {
                released = session.delete_hold(ordinal, &scope)?;
                Ok(())
            })?;
            Ok(released)
        })
    }

    fn collection(&self, options: &GcOptions) -> Result<Collection<'_>> {
        if options.dry_run {
            self.usable()?;
        } else {
            self.writable()?;
        }
        Ok(Collection::new(self, options))
    }

    /// In one snapshot; a fork in another thread waits until it ends.
    fn verify(&self, since: Option<&Head>) -> Result<VerifyReport> {
        let shared = &self.usable()?.shared;
        self.unless_files_went_meanwhile(|session| {
            session.run("BEGIN", "read")?;
            let snapshot = Snapshot {
                session,
                blobs: &shared.blobs,
                connections: Some(&shared.connections),
                after: 0,
                progress: &Progress::default(),
                tiers: &shared.tiers,
                unread: Unread::default(),
            };
            let report = verify::verify(&snapshot, since);
            // Ends a read; if it fails, the connection is not used again.
            drop(session.run("ROLLBACK", "read"));
            let sound = report.findings.is_empty();
            Ok((snapshot.unread.bucket_answers().map(|()| report), sound))
        })?
    }

    fn repair(&self) -> Result<RepairReport> {
        self.mend_all()
    }

    fn all_refs(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Result<RefValue>)>> {
        let after = ref_rows::unshown(after.unwrap_or_default());
        let after = after.unwrap_or_default();
        let rows = self.in_one_read(|session| {
            let going = session.going()?;
            let (mut rows, mut after) = (Vec::new(), after.clone());
            while rows.len() < limit {
                let page = session.all_ref_rows(&after, limit.saturating_sub(rows.len()))?;
                let Some((last, _)) = page.last() else { break };
                // Refs of a scope stand side by side: behind one that is being erased it goes on at once.
                after = going.end_of(last).unwrap_or(last).to_vec();
                rows.extend(page.into_iter().filter(|(name, _)| !going.has(name)));
            }
            Ok(rows)
        })?;
        let named = rows.into_iter();
        Ok(named
            .map(|(name, value)| (ref_rows::shown(&name), value))
            .collect())
    }

    fn quarantine(&self, names: &[String]) -> Result<Quarantined> {
        self.put_into_quarantine(names)
    }

    fn stats(&self) -> Result<StoreStats> {
        let shared = &self.usable()?.shared;
        let bytes_of = |path: &Path| std::fs::metadata(path).map_or(0, |about| about.len());
        let now_ms = self.now_ms();
        let mut stats = self.reading(|session| session.measure(now_ms))?;
        stats.database_bytes = bytes_of(shared.connections.database());
        stats.wal_bytes = bytes_of(&shared.root.join(directory::LOG));
        if shared.blobs.objects().is_some() {
            // As the rows say: a bucket is listed when it is collected.
            (stats.blob_files, stats.blob_bytes) =
                self.reading(|session| session.measure_files())?;
            return Ok(stats);
        }
        for (name, bytes) in shared.blobs.list()? {
            stats.blob_files += u64::from(blob::without_tree_suffix(&name) == name);
            stats.blob_bytes += bytes;
        }
        Ok(stats)
    }

    fn counters(&self) -> Counters {
        self.core.shared.tally.counters()
    }

    fn now_ms(&self) -> i64 {
        self.core.shared.clock.now_ms()
    }

    fn asks_a_server(&self) -> bool {
        self.core.shared.blobs.objects().is_some()
    }

    fn location(&self) -> String {
        self.core.shared.root.display().to_string()
    }

    fn close(&self) -> Result<()> {
        if self.core.generation != fork::generation() {
            return Err(StoreError::ForkedProcess);
        }
        if !self.closed.swap(true, SeqCst) {
            registry::release(&self.core);
            // This handle's watchers; those of others look and wait on.
            self.core.shared.bell.wake();
        }
        Ok(())
    }
}
