//! The contract that every backend keeps; `conformance` proves it.

use std::sync::Arc;
use std::time::Duration;

use treering_block::{Cid, CidPrefix};

use crate::commit::{Address, Commit, RefValue};
use crate::cursor::{Cursor, Head};
use crate::erasure::{EraseOptions, Erased, Erasures};
use crate::error::{Result, StoreError};
use crate::findings::VerifyReport;
use crate::gc::{Collection, GcOptions, GcReport};
use crate::journal::{JournalCommand, JournalEntry};
use crate::lease::{Lease, LeaseState};
use crate::listening::{Listening, Wake};
use crate::name::RefName;
use crate::quarantine::Quarantined;
use crate::repair::RepairReport;
use crate::retention::{ExpireBefore, ExpireReport, JournalExtent, SealReport};
use crate::scope::lineage::Lineage;
use crate::stats::{Counters, StoreStats};
use crate::ticket::Ticket;
use crate::upload::{BlockReader, Buffer, Held, Upload};
use crate::vacuum::Vacuumed;

/// How long a put that nothing links to yet is kept from garbage collection (24 h).
pub const HOLD_MS: i64 = 24 * 60 * 60 * 1000;

/// A block's place and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockInfo {
    /// Grows with every new block of the store; a block's links have smaller ones.
    pub ordinal: u64,
    /// Its name.
    pub cid: Cid,
    /// Bytes of the block.
    pub size: u64,
}

/// A block that is kept without a ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The held block's ordinal.
    pub ordinal: u64,
    /// The held block.
    pub cid: Cid,
    /// When the hold ends, Unix milliseconds by the store's clock. One that has ended keeps nothing; the
    /// next collection removes it.
    pub expires_at_ms: i64,
}

/// A receipt that a scope has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeReceipt {
    /// Its key, and what was left.
    pub command: JournalCommand,
    /// The commit that left or brought it; 0 for one from before this was noted.
    pub position: u64,
}

/// At most this many candidates are named by [`StoreError::Ambiguous`].
pub const CANDIDATES_MAX: usize = 10;

/// Blocks, refs and the journal.
///
/// All methods may be called from any thread. Reads see every commit whose ticket was answered; two reads
/// are two moments. After [`Store::close`] everything answers `Closed`. Besides the errors named below, a
/// backend with files answers `Io`, `Corrupt` (never wrong data) and `ForkedProcess`.
pub trait Store: Send + Sync {
    /// Queues a commit and returns at once (blocks of 256 KiB and more are first written to files of
    /// their own). Requests are answered in order; one that fails is answered alone and leaves no trace;
    /// each sees what those before it did.
    ///
    /// The ticket's errors: those of [`crate::ledger::apply`], of which `LimitExceeded`, `Invalid`,
    /// `CommandMismatch`, `LeaseLost`, `RefMoved` and `LinkMissing` are the caller's; `ReadOnly`,
    /// `DiskFull`, `LockTimeout`, `Poisoned` and `Closed` (nothing was written); `CommitUnknown`.
    fn submit(&self, commit: Commit) -> Ticket;

    /// The block's bytes, checked against `cid` when they come from a file. O(log n + size).
    ///
    /// Errors: `BlockNotFound`; `Corrupt` when the bytes are not those any more.
    fn get(&self, cid: &Cid) -> Result<Arc<[u8]>>;
    /// How many bytes the block has. Backends that keep sizes read no block for it.
    ///
    /// Errors: as for [`Store::get`].
    fn size(&self, cid: &Cid) -> Result<u64> {
        Ok(self.get(cid)?.len() as u64)
    }
    /// Bytes `offset .. offset + length` of a block as far as there are, checked. Backends with files of their own
    /// for large blocks read that range alone.
    ///
    /// Errors: as for [`Store::get`].
    fn range(&self, cid: &Cid, offset: u64, length: u64) -> Result<Vec<u8>> {
        self.reader(cid)?.read_at(offset, length)
    }
    /// A block to be read in pieces, for as long as the caller keeps it.
    ///
    /// Errors: as for [`Store::get`].
    fn reader(&self, cid: &Cid) -> Result<Box<dyn BlockReader>> {
        Ok(Box::new(Held(self.get(cid)?)))
    }
    /// Begins to take bytes of any length, to be brought by a commit ([`Commit::uploads`]) once all are here. What
    /// is dropped before that leaves nothing; what a killed process leaves the next collection removes.
    ///
    /// Errors: `ReadOnly`, `DiskFull`, `Poisoned`, `Closed`.
    fn upload(&self) -> Result<Box<dyn Upload>> {
        Ok(Box::<Buffer>::default())
    }
    /// Which of `cids` are present, in their order. Present means that their row is there; bytes are not read.
    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>>;
    /// Whether the block is present.
    fn has(&self, cid: &Cid) -> Result<bool> {
        Ok(self.has_many(std::slice::from_ref(cid))?.contains(&true))
    }
    /// Present CIDs that start so, in CID order, at most `limit`.
    fn prefix(&self, prefix: &CidPrefix, limit: usize) -> Result<Vec<Cid>>;
    /// The one present CID that starts so; None if there is none.
    ///
    /// Errors: `Ambiguous`, with the first [`CANDIDATES_MAX`] of them, if there are more.
    fn find(&self, prefix: &CidPrefix) -> Result<Option<Cid>> {
        let candidates = self.prefix(prefix, CANDIDATES_MAX)?;
        match candidates.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(*one)),
            _ => Err(StoreError::Ambiguous {
                prefix: prefix.text().to_owned(),
                candidates,
            }),
        }
    }
    /// Blocks with a greater ordinal than `after` (0: from the first), in ordinal order, at most `limit`.
    fn blocks(&self, after: u64, limit: usize) -> Result<Vec<BlockInfo>>;

    /// The ref as it stands; None if it is absent. O(log n). Of a scope that is being made by a fork nothing is seen,
    /// here and in the four that follow, but the ref that says so ([`crate::scope::forking`]).
    fn read_ref(&self, name: &RefName) -> Result<Option<RefValue>>;
    /// Refs of one kind of a scope in the order of their encoded names, those after `after` (None: from
    /// the first), at most `limit`. A broken row is an `Err` in its place and hides no other.
    ///
    /// Errors: `Invalid` for a scope or kind that no ref can have.
    fn list_refs(
        &self,
        scope: &str,
        kind: &str,
        after: Option<&RefName>,
        limit: usize,
    ) -> Result<Vec<(RefName, Result<RefValue>)>>;
    /// Scopes that have refs, in the order of their UTF-8 bytes. O(refs) at worst.
    fn scopes(&self) -> Result<Vec<String>>;

    /// Kinds of a scope's refs, in order. O(refs of the scope) at worst.
    ///
    /// Errors: `Invalid` for a scope that no ref can have.
    fn kinds(&self, scope: &str) -> Result<Vec<String>>;

    /// The receipt stored under a command id: (payload digest, receipt); that of a scope that this one was forked of, if
    /// it was left before the fork ([`crate::scope::lineage`]). O(log n), for each of these scopes.
    fn receipt(&self, address: &Address, command_id: &str) -> Result<Option<([u8; 32], Vec<u8>)>>;

    /// What the scope was forked of; None if it was not. O(log n).
    ///
    /// Errors: `Invalid` for a scope that can't be; `Corrupt`.
    fn lineage(&self, scope: &str) -> Result<Option<Lineage>>;

    /// Receipts of a scope in the order of their keys, those after `after` (None: from the first), at most
    /// `limit`. O(receipts of the store) to get through all of them.
    ///
    /// Errors: `Corrupt` at the first row that is broken: a list without it would look whole.
    fn receipts(
        &self,
        scope: &str,
        after: Option<&[u8; 32]>,
        limit: usize,
    ) -> Result<Vec<ScopeReceipt>>;

    /// How many receipts the scope has of which nobody can say whether they were there at the moment that is shown, so that
    /// [`Store::receipts`] has none of them. Always 0 but for a scope as it was, of a store from before positions were
    /// noted, where a later commit is lost.
    ///
    /// Errors: as for [`Store::receipts`].
    fn receipts_unsettled(&self, _scope: &str) -> Result<u64> {
        Ok(0)
    }

    /// Commits after `after` (None: from the first kept), oldest first, at most `limit`.
    ///
    /// Errors: `CursorLost` for a cursor that is not of this history (another store's, or behind a tail
    /// that a power failure took); `CursorExpired` for one older than what is kept.
    fn journal(&self, after: Option<&Cursor>, limit: usize) -> Result<Vec<JournalEntry>>;
    /// The place behind commit `position`, so that the journal can be read from its end; None where there is no such
    /// commit, or it is older than what is kept. O(1), or O(a sealed file).
    fn cursor_at(&self, position: u64) -> Result<Option<Cursor>>;
    /// Moves all but the newest `keep` commits (at least one stays) out of the tables into immutable, checked,
    /// compressed files. Nothing is lost: they are read and proved as before. In memory nothing happens.
    /// O(commits that are sealed); the write lock is held for a file of them at a time.
    ///
    /// Errors: `Corrupt` naming a commit that does not follow from the one before it; `DiskFull`.
    fn seal_journal(&self, keep: u64) -> Result<SealReport>;
    /// Deletes sealed files, the oldest first, as long as all commits of a file are from before `before`; in
    /// memory the commits. A reader with a cursor from there is answered `CursorExpired`. What refs,
    /// receipts and blocks say stays; what they said before can't be proved any more.
    ///
    /// Errors: `CursorLost` for a cursor that is not of this history.
    fn expire_journal(&self, before: &ExpireBefore) -> Result<ExpireReport>;
    /// Gives up the body of a commit that is lost: what it did is not known any more, its digest stands in its
    /// place and the chain goes on. Durable. What stops at damage (sealing, backups, readers) goes on behind it.
    ///
    /// Errors: `Invalid` for a commit that can be read or mended, is sealed or absent, or whose digest the chain
    /// does not prove.
    fn give_up_commit(&self, position: u64) -> Result<()>;
    /// Erases a whole scope: its refs, leases, holds, the receipts of its commands, and what its commits say in the
    /// journal; digest and chain of each stay. A read sees the scope whole or not at all, one that is paged by page; commits to it are refused
    /// (`BeingErased`) until all is gone, and may begin it anew then, with old command ids as new ones. Blocks go with the
    /// next collection, but for those that others hold. A note of it stays (see [`crate::erasure`]). Durable; the write
    /// lock is held for small pieces, however many refs there are (in memory once, for all). O(journal + blocks + links).
    ///
    /// Errors: `Invalid` for a scope that no ref can have, or an empty command id; `Corrupt` for a ref, receipt, hold,
    /// commit or link that can't be read, or a sealed file without its row: nothing was changed then, or it was damaged after
    /// the erase began, which the next one ends when it is mended. Those of a commit. `BeingErased` where another one of the scope
    /// began at the same moment. `LockTimeout` while a backup copies files, another erase or a seal is at work,
    /// and what another erase has left is to be finished first, `DiskFull` and `Io`: nothing was written; `EraseUnfinished` where
    /// that happens to this one: the scope is gone, and the next erase of any scope, vacuum, or opening finishes it.
    fn erase(&self, scope: &str, options: &EraseOptions) -> Result<Erased>;
    /// The notes of all erasures, the oldest first. O(notes).
    fn erasures(&self) -> Result<Erasures>;
    /// What tells this store's scopes from those of others (see [`crate::erasure::digest_of_scope`]).
    fn store_id(&self) -> Result<[u8; 16]> {
        Ok(self.erasures()?.store_id)
    }
    /// Gives all free pages back to the system, empties the log, and finishes what erases have left. What was deleted and
    /// collected before is in no file of the store then, if the report says that it is complete. The write lock is held
    /// for small pieces. Leases that nobody has, of refs that are gone, are taken away: their tokens are never granted
    /// again. In memory nothing else happens.
    ///
    /// Errors: those of a commit; what could not be done because of others is in the report.
    fn vacuum(&self) -> Result<Vacuumed>;
    /// What of the journal is kept, and where.
    fn journal_extent(&self) -> Result<JournalExtent>;
    /// The end of the journal: write it down elsewhere to prove later that all up to it is unmodified.
    fn head(&self) -> Result<Head>;
    /// Waits until the journal is longer than `position` or time is up; returns its length. Commits of
    /// other processes wake it too.
    ///
    /// Errors: `Closed`, also when the store is closed meanwhile.
    fn watch(&self, position: u64, timeout: Duration) -> Result<u64>;
    /// Calls `wake` whenever the journal may have grown, by a commit of any process, or the store was
    /// closed, until what is returned is dropped. Too often, never too rarely: whoever listens first and
    /// looks then misses nothing.
    ///
    /// Errors: `Closed`.
    fn listen(&self, wake: Wake) -> Result<Listening>;

    /// Takes the lease of a ref (which need not exist) that nobody alive holds; a killed holder's is taken
    /// over. `owner` is a label for messages.
    ///
    /// Errors: those of [`crate::lease::grant`]: `LeaseHeld`, `LimitExceeded`.
    fn lease_acquire(&self, name: &RefName, owner: &str) -> Result<Lease>;
    /// Gives it back; nothing happens if it was lost meanwhile.
    fn lease_release(&self, lease: &Lease) -> Result<()>;
    /// The newest lease of the ref, whoever has or had it; None if there never was one.
    fn lease_state(&self, name: &RefName) -> Result<Option<LeaseState>>;

    /// Holds of a scope on blocks with a greater ordinal than `after` (0: from the first), by growing
    /// ordinal, at most `limit`.
    fn holds(&self, scope: &str, after: u64, limit: usize) -> Result<Vec<Hold>>;
    /// Holds a block that is there until `until_ms` at least, whether it was held or not: the later of two
    /// ends wins. Returns the end.
    ///
    /// Errors: `BlockNotFound`.
    fn extend_hold(&self, scope: &str, cid: &Cid, until_ms: i64) -> Result<i64>;
    /// Ends the scope's hold of a block now. False: there was none.
    fn release_hold(&self, scope: &str, cid: &Cid) -> Result<bool>;

    /// Makes every block absent that no ref and no hold reaches, then deletes it. Writers go on meanwhile;
    /// what they put, link to, hold or move refs to before its one short moment under the write lock stays.
    /// Several may run at once. O(blocks + links), a few bits of memory for each ordinal.
    ///
    /// Errors: `Corrupt` naming the row or ref that is broken; nothing was collected then.
    fn gc(&self, options: &GcOptions) -> Result<GcReport> {
        self.collection(options)?.run()
    }
    /// The same, to be taken step by step by the caller: spread over time, or given up half-way.
    fn collection(&self, options: &GcOptions) -> Result<Collection<'_>>;

    /// Re-hashes every block and checks links, ordinals, rows, refs, receipts and the journal chain; see
    /// [`crate::verify::verify`]. `since`: also proves that the journal up to there is what it was.
    /// What is wrong is in the report; an error only says that nothing could be looked at.
    fn verify(&self, since: Option<&Head>) -> Result<VerifyReport>;

    /// Mends what `verify` finds, as far as the journal, other rows and hashes prove what it was; says what
    /// it did, and what is left. Each round of repairs is one durable transaction, in which everything is
    /// looked at again before it is changed. Writes nothing if nothing is wrong. O(store).
    ///
    /// Errors: those of a commit; what was mended in earlier rounds stays.
    fn repair(&self) -> Result<RepairReport>;
    /// Every ref of every scope, those that are being made too, after `after` (None: from the first), in the order of the names as stored, at
    /// most `limit`. A broken row is an `Err` in its place; bytes that no name has stand as `\xNN`.
    fn all_refs(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Result<RefValue>)>>;
    /// Moves refs of one scope, at least one of which is broken, out of the way in one commit, with all that
    /// is left of them: see [`crate::quarantine`]. Names as [`Store::all_refs`] gives them. O(what they
    /// reach); O(blocks) if a target itself is gone.
    ///
    /// Errors: `RefNotFound`; `Invalid` when nothing is wrong with any of them, when they are of several
    /// scopes, or when one was changed meanwhile; those of a commit.
    fn quarantine(&self, names: &[String]) -> Result<Quarantined>;

    /// What is in the store. O(blocks) at worst.
    fn stats(&self) -> Result<StoreStats>;
    /// What this handle has read and written so far; also of a closed store.
    fn counters(&self) -> Counters;
    /// The store's clock, Unix milliseconds; also of a closed store.
    fn now_ms(&self) -> i64;
    /// A short name for messages: the path, or `memory`; also of a closed store.
    fn location(&self) -> String;
    /// Whether large blocks lie in a bucket, so that a call may wait for a server.
    fn asks_a_server(&self) -> bool {
        false
    }
    /// Answers what is queued, then refuses everything with `Closed`. A second close does nothing.
    fn close(&self) -> Result<()>;
}
