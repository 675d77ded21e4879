//! What a store in memory holds, as the ledger that commits are judged against.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use treering_block::{Block, Cid, Codec};
use ulid::Ulid;

use crate::commit::{Address, Change, RefValue};
use crate::cursor::{Cursor, Head};
use crate::erasure::{Erasure, digest_of_scope};
use crate::error::{Result, StoreError};
use crate::gc::{Bitmap, Figured, Learned};
use crate::journal::{JournalCommand, JournalRow};
use crate::lease::LeaseState;
use crate::ledger::{Ledger, Tip};
use crate::name::{RefName, listing_prefix};
use crate::process::is_alive;
use crate::scope::forking::FORKING;
use crate::scope::lineage::{Receipt, Wanted};
use crate::stats::StoreStats;

/// A block and what it links to.
pub(super) struct Stored {
    pub(super) cid: Cid,
    pub(super) bytes: Arc<[u8]>,
    pub(super) links: Vec<u64>,
}

/// The tables.
#[derive(Default)]
pub(super) struct State {
    /// Of the living, in CID order, which is what a look-up by prefix walks.
    pub(super) ordinals: BTreeMap<Cid, u64>,
    /// The dead too, until they are purged.
    pub(super) blocks: BTreeMap<u64, Stored>,
    pub(super) dead: Bitmap,
    /// How many collections have buried blocks.
    pub(super) generation: u64,
    /// By the newest collection.
    pub(super) learned: Option<Learned>,
    pub(super) last_ordinal: u64,
    pub(super) refs: BTreeMap<RefName, RefValue>,
    /// The commit before the oldest that is kept.
    pub(super) start: Tip,
    /// Those after it, without a gap.
    pub(super) journal: VecDeque<JournalRow>,
    /// By key and scope, each with the commit that left it.
    pub(super) receipts: BTreeMap<([u8; 32], String), (JournalCommand, u64)>,
    /// (held ordinal, scope) → end.
    pub(super) holds: BTreeMap<(u64, String), i64>,
    pub(super) leases: HashMap<RefName, LeaseState>,
    /// The greatest token of those that are gone.
    pub(super) lease_floor: u64,
    /// Notes of scopes that are gone.
    pub(super) erasures: Vec<Erasure>,
    /// Tells its scopes from those of other stores; made with the first note.
    pub(super) store_id: Option<Ulid>,
}

impl State {
    pub(super) fn block(&self, cid: &Cid) -> Option<&Stored> {
        self.blocks.get(self.ordinals.get(cid)?)
    }

    /// A token of what goes is never granted again.
    pub(super) fn retain_leases(&mut self, mut stays: impl FnMut(&RefName, &LeaseState) -> bool) {
        let floor = &mut self.lease_floor;
        self.leases.retain(|name, state| {
            let stays = stays(name, state);
            if !stays {
                *floor = state.token.max(*floor);
            }
            stays
        });
    }

    /// Takes away what nobody has, of refs that are gone.
    pub(super) fn drop_unused_leases(&mut self, now_ms: i64) {
        let refs = std::mem::take(&mut self.refs);
        self.retain_leases(|name, state| {
            let state = state
                .clone()
                .observed(now_ms, |state| is_alive(&state.identity));
            state.held || refs.contains_key(name)
        });
        self.refs = refs;
    }

    /// Blocks that are there.
    pub(super) fn live(&self) -> impl Iterator<Item = (&u64, &Stored)> {
        self.live_after(0)
    }

    /// Those with a greater ordinal.
    pub(super) fn live_after(&self, after: u64) -> impl Iterator<Item = (&u64, &Stored)> {
        self.blocks
            .range((Bound::Excluded(after), Bound::Unbounded))
            .filter(|(ordinal, _)| !self.dead.contains(**ordinal))
    }

    /// Whether a block with this ordinal is there.
    pub(super) fn has_ordinal(&self, ordinal: u64) -> bool {
        self.blocks.contains_key(&ordinal) && !self.dead.contains(ordinal)
    }

    /// The receipt that is meant.
    pub(super) fn left(&self, wanted: Wanted<'_>) -> Result<Option<Receipt>> {
        let key = wanted.key();
        let from = (key, String::new());
        let there = self.receipts.range(from..);
        for ((_, scope), (command, position)) in there.take_while(|((one, _), _)| *one == key) {
            // Without an id it has no forks that would ask for a name.
            let digest = |scope: &str| {
                let id = self.store_id.map_or([0; 16], |id| id.to_bytes());
                Ok(digest_of_scope(&id, scope))
            };
            if wanted.is_of(scope, digest)? {
                return Ok(Some(Self::receipt_of(scope, command, *position)));
            }
        }
        Ok(None)
    }

    fn receipt_of(scope: &str, command: &JournalCommand, position: u64) -> Receipt {
        Receipt {
            scope: scope.to_owned(),
            payload: command.payload,
            receipt: command.receipt.clone(),
            position,
        }
    }

    /// Whether nothing of the scope is seen but the ref that says so.
    pub(super) fn is_hidden(&self, scope: &str) -> bool {
        let marker = listing_prefix(scope, FORKING);
        self.refs.contains_key(marker.as_str())
    }

    pub(super) fn head(&self) -> Head {
        self.journal
            .back()
            .map_or(self.start.head, JournalRow::head)
    }

    /// The commits after `position`, from the oldest that is kept on.
    pub(super) fn journal_after(&self, position: u64) -> impl Iterator<Item = &JournalRow> {
        let before = position.saturating_sub(self.start.head.position);
        self.journal
            .iter()
            .skip(usize::try_from(before).unwrap_or(usize::MAX))
    }

    /// Gives up the oldest commits while `old` says so, but never the newest of all. How many.
    pub(super) fn expire(&mut self, old: impl Fn(&JournalRow) -> bool) -> u64 {
        let mut count = 0;
        while self.journal.len() > 1
            && self.journal.front().is_some_and(&old)
            && let Some(row) = self.journal.pop_front()
        {
            self.start = Tip {
                head: row.head(),
                at_ms: row.at_ms,
            };
            count += 1;
        }
        count
    }

    /// Whether the cursor is of this history, as far as it is kept.
    pub(super) fn knows(&self, cursor: &Cursor) -> bool {
        let start = self.start.head;
        let there = if cursor.position == start.position {
            Some(start)
        } else {
            cursor
                .position
                .checked_sub(1)
                .and_then(|before| self.journal_after(before).next())
                .map(JournalRow::head)
        };
        there.is_some_and(|there| there.cursor() == *cursor)
    }

    pub(super) fn stats(&self, now_ms: i64) -> StoreStats {
        let learned = self.learned.unwrap_or_default();
        let mut stats = StoreStats {
            blocks: self.live().count() as u64,
            nodes: self
                .ordinals
                .keys()
                .filter(|cid| cid.codec() == Codec::DagCbor)
                .count() as u64,
            block_bytes: self
                .live()
                .map(|(_, stored)| stored.bytes.len() as u64)
                .sum(),
            links: self
                .live()
                .map(|(_, stored)| stored.links.len() as u64)
                .sum(),
            refs: self.refs.len() as u64,
            commits: self.head().position,
            receipts: self.receipts.len() as u64,
            holds: self.holds.len() as u64,
            gc_generation: self.generation,
            gc_at_ms: u64::try_from(learned.at_ms).unwrap_or(0),
            gc_kept: learned.kept,
            gc_deleted: learned.deleted,
            gc_freed_bytes: learned.freed_bytes,
            garbage_blocks: learned.garbage,
            garbage_bytes: learned.garbage_bytes,
            ..StoreStats::default()
        };
        stats.dead_blocks = (self.blocks.len() as u64).saturating_sub(stats.blocks);
        stats.garbage_estimate = learned.may_be_garbage(&Figured {
            now_ms,
            next_ordinal: self.last_ordinal.saturating_add(1),
            position: stats.commits,
            blocks: stats.blocks,
            bytes: stats.block_bytes,
            refs: stats.refs,
            ended_holds: self.holds.values().filter(|end| **end <= now_ms).count() as u64,
        });
        stats
    }
}

impl Ledger for State {
    fn ordinal(&mut self, cid: &Cid) -> Result<Option<u64>> {
        Ok(self.ordinals.get(cid).copied())
    }

    fn read_ref(&mut self, name: &RefName) -> Result<Option<RefValue>> {
        Ok(self.refs.get(name).cloned())
    }

    fn lease(&mut self, name: &RefName) -> Result<Option<LeaseState>> {
        Ok(self.leases.get(name).cloned())
    }

    fn receipt(&mut self, wanted: Wanted<'_>) -> Result<Option<Receipt>> {
        self.left(wanted)
    }

    fn block(&mut self, cid: &Cid) -> Result<Arc<[u8]>> {
        let stored = State::block(self, cid).ok_or(StoreError::BlockNotFound(*cid))?;
        Ok(Arc::clone(&stored.bytes))
    }

    fn tip(&mut self) -> Result<Tip> {
        Ok(self.journal.back().map_or(self.start, |row| Tip {
            head: row.head(),
            at_ms: row.at_ms,
        }))
    }

    fn commits_after(&mut self, position: u64, limit: usize) -> Result<Vec<JournalRow>> {
        if position < self.start.head.position {
            return Ok(Vec::new());
        }
        Ok(self.journal_after(position).take(limit).cloned().collect())
    }

    fn insert_block(&mut self, block: &Block, links: &[u64]) -> Result<u64> {
        self.last_ordinal += 1;
        let ordinal = self.last_ordinal;
        self.ordinals.insert(block.cid, ordinal);
        let stored = Stored {
            cid: block.cid,
            bytes: Arc::clone(&block.bytes),
            links: links.to_vec(),
        };
        self.blocks.insert(ordinal, stored);
        Ok(ordinal)
    }

    fn change_ref(&mut self, name: &RefName, version: u64, change: &Change) -> Result<()> {
        match change {
            Change::Set { target, record } => {
                let value = RefValue {
                    version,
                    target: *target,
                    record: record.clone(),
                };
                self.refs.insert(name.clone(), value);
            }
            Change::Delete => {
                self.refs.remove(name);
            }
        }
        Ok(())
    }

    fn write_lease(&mut self, name: &RefName, state: &LeaseState) -> Result<()> {
        self.leases.insert(name.clone(), state.clone());
        Ok(())
    }

    fn insert_receipt(
        &mut self,
        key: &[u8; 32],
        address: &Address,
        payload: &[u8; 32],
        receipt: &[u8],
    ) -> Result<()> {
        let command = JournalCommand {
            key: *key,
            payload: *payload,
            receipt: receipt.to_vec(),
        };
        let position = self.head().position.saturating_add(1);
        self.receipts
            .insert((*key, address.scope().to_owned()), (command, position));
        Ok(())
    }

    fn insert_hold(&mut self, scope: &str, ordinal: u64, expires_at_ms: i64) -> Result<()> {
        let end = self
            .holds
            .entry((ordinal, scope.to_owned()))
            .or_insert(expires_at_ms);
        *end = expires_at_ms.max(*end);
        Ok(())
    }

    fn append_journal(&mut self, row: &JournalRow) -> Result<()> {
        self.journal.push_back(row.clone());
        Ok(())
    }
}
