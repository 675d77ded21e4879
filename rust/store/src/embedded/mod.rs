//! The store in a directory: SQLite in front, files of their own for large blocks.
//!
//! Promises: all of [`Store`], for several processes at once; every row, file and page of blocks that is
//! read is checked; one fsync for all commits that wait together. `docs/format.md` states every byte.
//! Must never: write to a directory that it refused, touch SQLite in a forked child, run a caller's code
//! under the write lock.

mod automatic;
mod backup;
mod bell;
mod blob;
mod blob_file;
mod block_rows;
mod committer;
mod connections;
mod core;
mod dead_rows;
mod directory;
mod disk;
mod erasing;
mod erasure_rows;
mod evidence;
mod file_system;
mod files_lock;
pub(crate) mod fork;
#[cfg(test)]
mod fuzz;
mod gc;
mod housekeeping_rows;
mod journal_reading;
mod journal_rows;
mod learned_rows;
mod links_codec;
mod lock;
mod manifest_rows;
mod objects;
mod open_blob;
mod options;
mod page_gaps;
mod queue;
mod recent_blocks;
mod ref_rows;
mod registry;
mod repair;
mod reserve;
mod retention;
mod row_check;
mod row_order;
mod schema;
mod sealed_files;
mod sealed_rows;
mod session;
mod shrinking;
mod space;
mod sqlite_error;
mod staging;
mod statements;
mod stray_files;
mod structure;
mod tally;
mod transaction;
mod turn;
mod unread;
mod vfs;
mod writer;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;
use std::{fmt, io};

use treering_block::{Cid, CidPrefix};

use self::block_rows::{BlockRow, Bytes, broken_bytes};
use self::core::{Core, Shared};
use self::evidence::Snapshot;
use self::housekeeping_rows::ReceiptRow;
use self::open_blob::OpenBlob;
use self::queue::{OwedTicket, Reply, Request, Work};
use self::session::Session;
use self::staging::Staging;
use self::unread::Unread;
use crate::clock::Clock;
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
use crate::name::{RefName, check_kind, check_scope, listing_prefix};
use crate::process::is_alive;
use crate::progress::Progress;
use crate::quarantine::Quarantined;
use crate::repair::RepairReport;
use crate::retention::{ExpireBefore, ExpireReport, JournalExtent, SealReport};
use crate::scope::forking::FORKING;
use crate::scope::lineage::{Lineage, find_receipt, read_lineage};
use crate::stats::{Counters, StoreStats};
use crate::store::{BlockInfo, Hold, Store};
use crate::ticket::{Helper, PATIENCE, Ticket};
use crate::upload::{BlockReader, Held, Upload};
use crate::vacuum::Vacuumed;
use crate::verify;
pub use backup::{
    BackupOptions, BackupReport, erased_since, fetch_backup, restore, restore_erased,
};
pub use disk::{Disk, DiskLayer, FileOp, Verdict};
pub use options::OpenOptions;
pub use schema::FORMAT;
pub use staging::StagedFile;

/// A handle on a store in a directory. Handles of one process on one directory share connections and
/// writer; the last one that is closed or dropped ends them, after answering what is queued.
pub struct EmbeddedStore {
    core: Arc<Core>,
    lock_wait: Duration,
    callers_wait: bool,
    closed: AtomicBool,
}

impl EmbeddedStore {
    /// Opens the store in the directory at `path`, or makes one (see [`OpenOptions`]).
    ///
    /// A directory that this process may not write is opened for reading; commits answer `ReadOnly`.
    /// Errors: `NotAStore` (nothing is written then), `NewerFormat`, `Invalid` for a network file system,
    /// `Corrupt`, `DiskFull`, `Io`.
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self> {
        let path = path.as_ref();
        // Before anything is made. Whoever is second all the same finds out below.
        if let Some(bucket) = options.blobs.as_deref()
            && options.create
            && !options.read_only
            && !path.join(directory::DATABASE).exists()
        {
            objects::expect_free(bucket)?;
        }
        let core = registry::open(path, options)?;
        let store = Self {
            core,
            lock_wait: options.lock_wait,
            callers_wait: options.callers_wait,
            closed: AtomicBool::new(false),
        };
        store.claim(options)?;
        if store.may_write() {
            store.finish_left();
        }
        Ok(store)
    }

    /// Sees to it that the place of the large blocks is the one that the store was made with, and its own. A bucket that does
    /// not answer is asked again before it is used: all but large blocks goes on without.
    fn claim(&self, options: &OpenOptions) -> Result<()> {
        let shared = &self.core.shared;
        let owner = self.reading(|session| session.owner())?;
        // Opened before with the place that its row says, so without one it is that.
        if options.blobs.is_some() || options.connect.is_none() {
            objects::expect_same(&self.location(), owner.as_ref(), options.blobs.as_ref())?;
        }
        let Some(objects) = shared.blobs.objects() else {
            return Ok(());
        };
        match objects.claim() {
            Err(error @ StoreError::Bucket { .. }) => {
                tracing::warn!(%error, "large blocks can't be read or written yet");
                return Ok(());
            }
            claimed => claimed?,
        }
        if owner.is_some_and(|owner| !owner.marked) && self.may_write() {
            let marked = objects.marked_owner();
            self.in_transaction(Durability::Relaxed, move |transaction| {
                transaction.writing(|session| session.write_place(Some(&marked)))
            })?;
        }
        Ok(())
    }

    /// Where large blocks are, if not in the store's directory: the URL of a bucket.
    pub fn blobs_url(&self) -> Option<String> {
        let objects = self.core.shared.blobs.objects();
        objects.map(|objects| objects.url().to_owned())
    }

    /// Whether large blocks are in a bucket: a commit that brings some of 256 KiB and more, and the end of an upload, speak to
    /// it on the caller's thread.
    pub fn has_bucket(&self) -> bool {
        self.core.shared.blobs.objects().is_some()
    }

    /// For tests: the disk is taken for slow until a commit was quick, so that nobody waits for it who need not.
    pub fn expect_slow_commits(&self) {
        if let Some(committer) = self.core.committer.upgrade() {
            committer.expect_slow();
        }
    }

    /// Before the first fsync of each commit, on the writer's thread: `hook` may hold it up, and an error
    /// makes the fsync fail. For tests; replaces the one before.
    pub fn on_commit_sync(&self, hook: impl Fn() -> io::Result<()> + Send + Sync + 'static) {
        self.core
            .shared
            .tally
            .set_commit_sync_hook(Some(Arc::new(hook)));
    }

    /// Before each write of a commit to the log: an error makes it fail, `StorageFull` as a full disk
    /// does. For tests; replaces the one before.
    pub fn on_log_write(&self, hook: impl Fn() -> io::Result<()> + Send + Sync + 'static) {
        self.core
            .shared
            .tally
            .set_log_write_hook(Some(Arc::new(hook)));
    }

    /// Whether it stands on this clock and this disk: whoever opened the directory first in this process
    /// decided.
    pub fn stands_on(&self, clock: &Clock, disk: &Disk) -> bool {
        let shared = &self.core.shared;
        shared.clock.is(clock) && shared.disk.is(disk)
    }

    /// Whether commits are taken: false for a handle that only reads.
    pub fn may_write(&self) -> bool {
        self.core.may_write()
    }

    /// What is shared, if this handle may use it.
    fn usable(&self) -> Result<&Core> {
        if self.core.generation != fork::generation() {
            Err(StoreError::ForkedProcess)
        } else if self.closed.load(SeqCst) {
            Err(StoreError::Closed)
        } else {
            Ok(&self.core)
        }
    }

    fn reading<T>(&self, work: impl Fn(Session<'_>) -> Result<T>) -> Result<T> {
        self.usable()?.shared.connections.reading(work)
    }

    /// Reads a block's file. Between its row and its file a collection may have taken both, and somebody
    /// may have put the block again since: then there is another row, or none.
    fn read_file<T>(
        &self,
        cid: &Cid,
        row: BlockRow,
        read: impl Fn(&BlockRow) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut row = row;
        loop {
            let error = match read(&row) {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(error) => error,
            };
            match self.reading(|session| session.find_block(cid))? {
                Some(now) if now.ordinal > row.ordinal && now.file.is_some() => row = now,
                Some(_) => return Err(self.core.shared.connections.explain(error)),
                None => return Ok(None),
            }
        }
    }

    /// What may write, if it may.
    fn writable(&self) -> Result<&Core> {
        let core = self.usable()?;
        if !core.may_write() {
            return Err(StoreError::ReadOnly);
        }
        match core.shared.poisoned() {
            Some(why) => Err(StoreError::Poisoned { why }),
            None => Ok(core),
        }
    }

    fn queue_commit(&self, commit: Commit) -> Result<Ticket> {
        let core = self.writable()?;
        commit.check()?;
        core.shared.expect_own_uploads(&commit)?;
        core.shared.refuse_without_room(&commit)?;
        staging::send_uploads(&core.shared, &commit)?;
        let files = self.write_files(core, &commit)?;
        let ticket = Ticket::helped_by(core.committer.clone());
        let work = Work::Commit {
            commit: Box::new(commit),
            files,
            ticket: OwedTicket(ticket.clone()),
        };
        if let Err(request) = core
            .queue
            .push(Request::new(work, self.lock_wait), !self.callers_wait)
        {
            remove_files(core, request.file_names());
            request.refuse(StoreError::Closed);
        }
        core.collect_if_due();
        Ok(ticket)
    }

    /// Writes the large blocks of a commit that are not there yet, on the caller's thread: the writer
    /// must not wait for them.
    fn write_files(&self, core: &Core, commit: &Commit) -> Result<HashMap<Cid, String>> {
        let mut files = HashMap::new();
        for block in commit
            .blocks
            .iter()
            .filter(|block| core.shared.blobs.is_apart(block))
        {
            let written = if files.contains_key(&block.cid) {
                continue;
            } else {
                self.is_whole(core, &block.cid).and_then(|whole| {
                    // Only a hint: asked again under the lock; a file too many is removed then.
                    if whole {
                        Ok(None)
                    } else {
                        core.shared.blobs.write(block).map(Some)
                    }
                })
            };
            match written {
                Ok(Some(name)) => {
                    files.insert(block.cid, name);
                }
                Ok(None) => {}
                Err(error) => {
                    remove_files(core, files.into_values());
                    return Err(error);
                }
            }
        }
        Ok(files)
    }

    /// Whether a large block is there, its file as long as it has to be.
    fn is_whole(&self, core: &Core, cid: &Cid) -> Result<bool> {
        match self.reading(|session| session.find_block(cid))? {
            Some(row) => Ok(row.file.is_none() || core.shared.blobs.has_length_of(&row)),
            None => self.has(cid),
        }
    }

    /// Queues work on leases and waits for it.
    fn ask_writer<T>(&self, work: impl FnOnce(Reply<T>) -> Work) -> Result<T> {
        let core = self.writable()?;
        let (reply, answer) = Reply::new();
        if core
            .queue
            .push(Request::new(work(reply), self.lock_wait), false)
            .is_err()
        {
            return Err(StoreError::Closed);
        }
        match core.committer.upgrade() {
            Some(committer) => committer.help(PATIENCE),
            None => core.queue.announce(),
        }
        // The writer answers everything that it took; gone without an answer, it panicked.
        answer.recv().unwrap_or_else(|_| {
            Err(StoreError::CommitUnknown {
                why: "the writer stopped".into(),
            })
        })
    }
}

/// A large block that is read in pieces.
struct FileReader {
    file: OpenBlob,
    shared: Arc<Shared>,
    generation: u64,
}

impl BlockReader for FileReader {
    fn size(&self) -> u64 {
        self.file.size()
    }

    fn read_at(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        if self.generation != fork::generation() {
            return Err(StoreError::ForkedProcess);
        }
        if self.shared.closed.load(SeqCst) {
            return Err(StoreError::Closed);
        }
        self.file.read(offset, length)
    }
}

fn remove_files(core: &Core, names: impl IntoIterator<Item = String>) {
    for name in names {
        core.shared.blobs.remove(&name);
    }
}

impl Store for EmbeddedStore {
    fn submit(&self, commit: Commit) -> Ticket {
        self.queue_commit(commit)
            .unwrap_or_else(|error| Ticket::answered(Err(error)))
    }

    fn get(&self, cid: &Cid) -> Result<Arc<[u8]>> {
        let shared = &self.usable()?.shared;
        let found = match shared
            .connections
            .reading(|session| session.load_block(cid))?
        {
            Some(Bytes::Here(bytes)) => Some(bytes),
            Some(Bytes::File(row)) => self.read_file(cid, row, |row| shared.blobs.read(row))?,
            None => None,
        };
        let mut tiers = shared.tiers.iter();
        let bytes = match found {
            Some(bytes) => bytes,
            None => loop {
                let Some(tier) = tiers.next() else {
                    return Err(StoreError::BlockNotFound(*cid));
                };
                if let Some(bytes) = tier.get(cid)? {
                    if !cid.matches(&bytes) {
                        return Err(broken_bytes(cid, "a colder tier gave other bytes"));
                    }
                    break bytes;
                }
            },
        };
        shared.tally.blocks_read.fetch_add(1, Relaxed);
        Ok(bytes)
    }

    fn size(&self, cid: &Cid) -> Result<u64> {
        match self.reading(|session| session.find_block(cid))? {
            Some(row) => Ok(row.size),
            None => Ok(self.get(cid)?.len() as u64),
        }
    }

    fn reader(&self, cid: &Cid) -> Result<Box<dyn BlockReader>> {
        let shared = &self.usable()?.shared;
        let found = self.reading(|session| session.find_block(cid))?;
        if let Some(row) = found.filter(|row| row.file.is_some()) {
            let opened = self.read_file(cid, row, |row| {
                let opened = shared.blobs.open(row)?;
                // What is marked is not removed any more, if its row was there after it was marked.
                if matches!(opened, OpenBlob::Object(_))
                    && self.reading(|session| session.find_block(cid))?.as_ref() != Some(row)
                {
                    return Err(broken_bytes(cid, "it was collected"));
                }
                Ok(opened)
            })?;
            let file = opened.ok_or(StoreError::BlockNotFound(*cid))?;
            shared.tally.blocks_read.fetch_add(1, Relaxed);
            return Ok(Box::new(FileReader {
                file,
                shared: Arc::clone(shared),
                generation: fork::generation(),
            }));
        }
        Ok(Box::new(Held(self.get(cid)?)))
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
        // A place outside the listing stands before or behind all of it.
        let (from, exclusive) = match after {
            Some(after) if after.encoded() >= prefix.as_str() => (after.encoded(), true),
            _ => (prefix.as_str(), false),
        };
        let marker = (kind != FORKING).then(|| listing_prefix(scope, FORKING));
        let rows = self.reading(|session| {
            session.ref_rows(&prefix, marker.as_deref(), from, exclusive, limit)
        })?;
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
        self.reading(|session| {
            let kinds = session.kinds_of(scope)?;
            let hidden = kinds.iter().any(|kind| kind == FORKING) && session.is_hidden(scope)?;
            Ok(if hidden {
                vec![FORKING.to_owned()]
            } else {
                kinds
            })
        })
    }

    fn scopes(&self) -> Result<Vec<String>> {
        let mut scopes = self.reading(|session| {
            let mut scopes = Vec::new();
            let mut from = String::new();
            // From scope to scope through the index: `0` is what follows `/`.
            while let Some(name) = session.first_ref_from(&from)? {
                let escaped = name.split('/').next().unwrap_or_default();
                from = format!("{escaped}0");
                if let Ok(name) = RefName::parse(&name)
                    && !session.is_hidden(name.scope())?
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
            find_receipt(address, command_id, &mut |wanted| {
                session.receipt_row(wanted)
            })
        })?;
        Ok(left.map(|left| (left.payload, left.receipt)))
    }

    fn lineage(&self, scope: &str) -> Result<Option<Lineage>> {
        check_scope(scope)?;
        self.reading(|session| read_lineage(scope, &mut |wanted| session.receipt_row(wanted)))
    }

    fn receipts(
        &self,
        scope: &str,
        after: Option<&[u8; 32]>,
        limit: usize,
    ) -> Result<Vec<JournalCommand>> {
        check_scope(scope)?;
        let rows = self.reading(|session| session.receipt_rows_of(scope, after, limit))?;
        let command = |(key, left): ReceiptRow| JournalCommand {
            key,
            payload: left.payload,
            receipt: left.receipt,
        };
        Ok(rows.into_iter().map(command).collect())
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
        self.ask_writer(|reply| Work::Acquire { name, owner, reply })
    }

    fn lease_release(&self, lease: &Lease) -> Result<()> {
        let release = |alone| {
            let lease = lease.clone();
            self.ask_writer(move |reply| Work::Release {
                lease,
                alone,
                reply,
            })
        };
        match release(false) {
            // Together with what takes room, perhaps.
            Err(StoreError::DiskFull) => release(true),
            released => released,
        }
    }

    fn lease_state(&self, name: &RefName) -> Result<Option<LeaseState>> {
        let stored = self.reading(|session| session.lease_row(name))?;
        Ok(stored.map(|state| state.observed(self.now_ms(), is_alive)))
    }

    fn holds(&self, scope: &str, after: u64, limit: usize) -> Result<Vec<Hold>> {
        check_scope(scope)?;
        let tiers = &self.usable()?.shared.tiers;
        self.reading(|session| {
            let mut holds = Vec::new();
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
            Ok((report, sound))
        })
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
        let rows = self.reading(|session| session.all_ref_rows(&after, limit))?;
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

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        // In a forked child the core belongs to the parent; the registry keeps it from being dropped.
        drop(self.close());
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmbeddedStore({})", self.core.shared.root.display())
    }
}
