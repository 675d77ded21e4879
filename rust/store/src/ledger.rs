//! How a commit is judged and booked: the same for every backend.
//!
//! Promises: [`apply`] evaluates ALL expectations of a commit against the ledger (which already shows the
//! earlier requests of the batch) before it writes anything of it, so a refused commit leaves no trace.
//! Must never: do I/O of its own, read a clock, or answer a caller.
//!
//! Order of the questions: whether the scope is being erased, command id (in the scope, then in those that it was forked
//! of), whether the scope is being made by a fork, leases, what is decided now, refs, presence. So a repeated command is answered from its
//! receipt whatever became of its lease and refs since.

use std::collections::HashMap;
use std::sync::Arc;

use treering_block::{Block, Cid};

use crate::commit::{Address, Change, Command, Commit, Committed, Expect, RefMove, RefValue};
use crate::cursor::Head;
use crate::decide;
use crate::error::{Result, StoreError};
use crate::journal::{JournalCommand, JournalMove, JournalRow, encode_body};
use crate::lease::{self, LeaseState};
use crate::name::RefName;
use crate::scope::forking::expect_made;
use crate::scope::lineage::{Receipt, Wanted, find_receipt};
use crate::store::HOLD_MS;
use crate::upload::{Content, Uploaded};

/// The newest commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tip {
    /// Its position and chain; the default for an empty journal.
    pub head: Head,
    /// Its time in Unix milliseconds; not looked at for an empty journal.
    pub at_ms: i64,
}

/// What a backend offers to [`apply`] inside one transaction.
///
/// Reads show what was written through the same ledger before. The first seven methods write nothing.
/// Any error of a later one means that the transaction must be rolled back as a whole.
pub trait Ledger {
    /// The live ordinal of a block, in whatever tier it is.
    fn ordinal(&mut self, cid: &Cid) -> Result<Option<u64>>;
    /// The ref as it stands.
    fn read_ref(&mut self, name: &RefName) -> Result<Option<RefValue>>;
    /// The lease as stored (`held` = not released).
    fn lease(&mut self, name: &RefName) -> Result<Option<LeaseState>>;
    /// The receipt that is meant.
    fn receipt(&mut self, wanted: Wanted<'_>) -> Result<Option<Receipt>>;
    /// A block's bytes, checked.
    ///
    /// Errors: `BlockNotFound`, `Corrupt`.
    fn block(&mut self, cid: &Cid) -> Result<Arc<[u8]>>;
    /// The newest commit.
    fn tip(&mut self) -> Result<Tip>;
    /// Commits after a position, oldest first, at most `limit`; those that are still at hand.
    fn commits_after(&mut self, position: u64, limit: usize) -> Result<Vec<JournalRow>>;
    /// Errors: `BeingErased` for a scope of which an erase has begun, and not ended.
    fn expect_not_erasing(&mut self, _scope: &str) -> Result<()> {
        Ok(())
    }

    /// Stores a block that is absent and returns its ordinal, which is greater than every one before.
    /// `links` are the ordinals of `block.links`, in that order.
    fn insert_block(&mut self, block: &Block, links: &[u64]) -> Result<u64>;
    /// The commit brings the bytes of a block that is there: where the stored ones are damaged or gone, and that can
    /// be seen cheaply, these take their place.
    fn bring_bytes(&mut self, _ordinal: u64, _block: &Block) -> Result<()> {
        Ok(())
    }
    /// Stores what was uploaded and is absent, which links to nothing; its ordinal. It can be used: that was asked
    /// before ([`Uploaded::expect_unused`]).
    ///
    /// Errors: `Invalid` for one that another store has taken.
    fn insert_upload(&mut self, upload: &Arc<Uploaded>) -> Result<u64> {
        match &upload.content {
            Content::Here(block) => self.insert_block(block, &[]),
            Content::Staged(_) => Err(StoreError::Invalid {
                what: "upload",
                value: upload.cid().to_string(),
                rule: "another store has taken it".into(),
            }),
        }
    }
    /// The same of [`Ledger::bring_bytes`].
    fn bring_upload(&mut self, _ordinal: u64, _upload: &Arc<Uploaded>) -> Result<()> {
        Ok(())
    }
    /// Sets or removes the ref. `version` is the one to store; 0 for a removal.
    fn change_ref(&mut self, name: &RefName, version: u64, change: &Change) -> Result<()>;
    /// Stores the lease's new state.
    fn write_lease(&mut self, name: &RefName, state: &LeaseState) -> Result<()>;
    /// Stores a receipt under [`Command::key`], with the position of the commit, which follows [`Ledger::tip`]. `address`
    /// says what it is gone with.
    fn insert_receipt(
        &mut self,
        key: &[u8; 32],
        address: &Address,
        payload: &[u8; 32],
        receipt: &[u8],
    ) -> Result<()>;
    /// Holds the block for the scope until then at least: the later of two times wins.
    fn insert_hold(&mut self, scope: &str, ordinal: u64, expires_at_ms: i64) -> Result<()>;
    /// Appends the row, which follows [`Ledger::tip`].
    fn append_journal(&mut self, row: &JournalRow) -> Result<()>;
}

/// Judges the commit at `now_ms` by the store's clock and, if nothing speaks against it, books it.
///
/// A commit that stores no block, moves no ref and leaves no receipt writes no journal row; it still renews
/// holds and leases. O(blocks + their links + moves) look-ups.
///
/// Errors: those of [`Commit::check`]; `BeingErased`, `CommandMismatch`, `BeingForked`, `LeaseLost`, those of its decision, `RefMoved`,
/// `LinkMissing`, in this order; nothing is written then. Whatever the ledger itself answers is passed on.
pub fn apply(commit: &Commit, ledger: &mut dyn Ledger, now_ms: i64) -> Result<Committed> {
    commit.check()?;
    ledger.expect_not_erasing(&commit.scope)?;
    let tip = ledger.tip()?;
    let at_ms = if tip.head.position == 0 {
        now_ms
    } else {
        now_ms.max(tip.at_ms)
    };
    if let Some(receipt) = earlier_receipt(commit.command.as_ref(), ledger)? {
        return Ok(Committed {
            position: tip.head.position,
            at_ms,
            replay: Some(receipt),
            ..Committed::default()
        });
    }
    expect_made(commit, ledger)?;
    let leases = judge_leases(commit, ledger, now_ms)?;
    let joined;
    let commit = match &commit.decide {
        Some(decision) => {
            joined = decide::joined(commit, &**decision, ledger, at_ms)?;
            &joined
        }
        None => commit,
    };
    let moves = judge_moves(&commit.moves, ledger)?;
    let presence = Presence::judge(commit, ledger)?;
    book(
        commit,
        ledger,
        &Judged {
            leases,
            moves,
            presence,
        },
        &tip.head,
        at_ms,
    )
}

/// What a commit will do, every question answered.
struct Judged<'a> {
    leases: Vec<(RefName, LeaseState)>,
    moves: Vec<Planned<'a>>,
    presence: Presence<'a>,
}

/// A move that was allowed. `version` is the one after it; None for a removal of what is absent.
struct Planned<'a> {
    step: &'a RefMove,
    version: Option<u64>,
}

/// What a command was answered, if it was. Errors: `CommandMismatch`; the ledger's.
pub(crate) fn earlier_receipt(
    command: Option<&Command>,
    ledger: &mut dyn Ledger,
) -> Result<Option<Vec<u8>>> {
    let Some(command) = command else {
        return Ok(None);
    };
    let left = find_receipt(&command.address, &command.id, &mut |wanted| {
        ledger.receipt(wanted)
    })?;
    match left {
        Some(left) if left.payload == command.payload => Ok(Some(left.receipt)),
        Some(_) => Err(StoreError::CommandMismatch {
            id: command.id.clone(),
        }),
        None => Ok(None),
    }
}

fn judge_leases(
    commit: &Commit,
    ledger: &mut dyn Ledger,
    now_ms: i64,
) -> Result<Vec<(RefName, LeaseState)>> {
    let mut touched = Vec::with_capacity(commit.leases.len());
    for wanted in &commit.leases {
        let stored = ledger.lease(&wanted.name)?;
        lease::expect(stored.as_ref(), &wanted.name, wanted.token)?;
        touched.extend(stored.map(|state| (wanted.name.clone(), state.touched(now_ms))));
    }
    Ok(touched)
}

fn judge_moves<'a>(moves: &'a [RefMove], ledger: &mut dyn Ledger) -> Result<Vec<Planned<'a>>> {
    let mut planned = Vec::with_capacity(moves.len());
    for step in moves {
        let actual = ledger.read_ref(&step.name)?;
        let fits = match (&step.expect, &actual) {
            (Expect::Any, _) | (Expect::Absent, None) => true,
            (Expect::Version(version), Some(value)) => *version == value.version,
            (Expect::At { version, target }, Some(value)) => {
                *version == value.version && *target == value.target
            }
            (Expect::Absent, Some(_)) | (Expect::Version(_) | Expect::At { .. }, None) => false,
        };
        if !fits {
            return Err(StoreError::RefMoved {
                name: step.name.clone(),
                expected: step.expect.clone(),
                actual,
            });
        }
        let version = match (&step.change, &actual) {
            (Change::Set { .. }, None) => Some(1),
            (Change::Set { .. }, Some(value)) => Some(value.version.saturating_add(1)),
            (Change::Delete, Some(_)) => Some(0),
            (Change::Delete, None) => None,
        };
        planned.push(Planned { step, version });
    }
    Ok(planned)
}

/// Where a block that this commit names is.
#[derive(Clone, Copy)]
enum Place {
    /// In the store, under this ordinal.
    Here(u64),
    /// New: the n-th of [`Presence::new`].
    New(usize),
}

/// Which blocks are new, and where everything is that they, moves and holds point at.
struct Presence<'a> {
    new: Vec<New<'a>>,
    /// Blocks of the commit that were there, under this ordinal.
    there: Vec<(u64, New<'a>)>,
    places: HashMap<Cid, Place>,
    /// Stored if they are asked for.
    offered: HashMap<Cid, &'a Arc<Uploaded>>,
}

/// Bytes that a commit brings.
#[derive(Clone, Copy)]
enum New<'a> {
    Block(&'a Block),
    Upload(&'a Arc<Uploaded>),
}

impl<'a> Presence<'a> {
    fn judge(commit: &'a Commit, ledger: &mut dyn Ledger) -> Result<Self> {
        let named = commit.blocks.iter().map(|block| 1 + block.links.len());
        let mut presence = Self {
            new: Vec::new(),
            there: Vec::new(),
            places: HashMap::with_capacity(named.sum()),
            offered: commit
                .uploads
                .iter()
                .map(|upload| (upload.cid(), upload))
                .collect(),
        };
        for block in &commit.blocks {
            if presence.find(&block.cid, ledger)? {
                if let Some(Place::Here(ordinal)) = presence.places.get(&block.cid) {
                    presence.there.push((*ordinal, New::Block(block)));
                }
                continue;
            }
            for link in &block.links {
                presence.demand(link, ledger, || format!("block {}", block.cid))?;
            }
            presence.add(block.cid, New::Block(block));
        }
        for step in &commit.moves {
            if let Change::Set { target, .. } = &step.change {
                presence.demand(target, ledger, || format!("ref {}", step.name))?;
            }
        }
        for cid in &commit.holds {
            presence.demand(cid, ledger, || format!("a hold of scope {}", commit.scope))?;
        }
        Ok(presence)
    }

    /// Whether the block is there: known already, or in the store.
    fn find(&mut self, cid: &Cid, ledger: &mut dyn Ledger) -> Result<bool> {
        if self.places.contains_key(cid) {
            return Ok(true);
        }
        let ordinal = ledger.ordinal(cid)?;
        if let Some(ordinal) = ordinal {
            self.places.insert(*cid, Place::Here(ordinal));
        }
        Ok(ordinal.is_some())
    }

    fn add(&mut self, cid: Cid, new: New<'a>) {
        self.places.insert(cid, Place::New(self.new.len()));
        self.new.push(new);
    }

    fn demand(
        &mut self,
        cid: &Cid,
        ledger: &mut dyn Ledger,
        from: impl FnOnce() -> String,
    ) -> Result<()> {
        let there = self.find(cid, ledger)?;
        // Asked for once: whoever asks again finds it in its place.
        match self.offered.remove(cid) {
            Some(upload) if there => {
                if let Some(Place::Here(ordinal)) = self.places.get(cid) {
                    self.there.push((*ordinal, New::Upload(upload)));
                }
                Ok(())
            }
            Some(upload) => {
                upload.expect_unused()?;
                self.add(*cid, New::Upload(upload));
                Ok(())
            }
            None if there => Ok(()),
            None => Err(StoreError::LinkMissing {
                from: from(),
                link: *cid,
            }),
        }
    }

    /// The ordinal of a block that [`Self::judge`] found; `given` are those of the new ones so far.
    fn ordinal(&self, cid: &Cid, given: &[u64]) -> Result<u64> {
        let ordinal = match self.places.get(cid) {
            Some(Place::Here(ordinal)) => Some(*ordinal),
            Some(Place::New(index)) => given.get(*index).copied(),
            None => None,
        };
        ordinal.ok_or_else(|| StoreError::Corrupt {
            what: "commit",
            which: cid.to_string(),
            detail: "a block was judged present and has no ordinal".into(),
        })
    }
}

fn book(
    commit: &Commit,
    ledger: &mut dyn Ledger,
    judged: &Judged<'_>,
    head: &Head,
    at_ms: i64,
) -> Result<Committed> {
    let Judged {
        leases,
        moves,
        presence,
    } = judged;
    let mut ordinals = Vec::with_capacity(presence.new.len());
    let mut links = Vec::new();
    let mut new_bytes = 0;
    for new in &presence.new {
        match new {
            New::Block(block) => {
                links.clear();
                for link in &block.links {
                    links.push(presence.ordinal(link, &ordinals)?);
                }
                ordinals.push(ledger.insert_block(block, &links)?);
                new_bytes += block.bytes.len() as u64;
            }
            New::Upload(upload) => {
                ordinals.push(ledger.insert_upload(upload)?);
                new_bytes += upload.size();
            }
        }
    }
    for (ordinal, brought) in &presence.there {
        match brought {
            New::Block(block) => ledger.bring_bytes(*ordinal, block)?,
            New::Upload(upload) => ledger.bring_upload(*ordinal, upload)?,
        }
    }
    let mut journal_moves = Vec::with_capacity(moves.len());
    for Planned { step, version } in moves {
        let Some(version) = *version else { continue };
        ledger.change_ref(&step.name, version, &step.change)?;
        let (target, record) = match &step.change {
            Change::Set { target, record } => (Some(*target), Some(record.clone())),
            Change::Delete => (None, None),
        };
        journal_moves.push(JournalMove {
            name: step.name.clone(),
            version,
            target,
            record,
        });
    }
    let command = book_receipt(commit, ledger)?;
    let receipts = book_brought(commit, ledger)?;
    for cid in &commit.holds {
        let ordinal = presence.ordinal(cid, &ordinals)?;
        ledger.insert_hold(&commit.scope, ordinal, at_ms.saturating_add(HOLD_MS))?;
    }
    for (name, state) in leases {
        ledger.write_lease(name, state)?;
    }
    let mut position = head.position;
    if !(ordinals.is_empty()
        && journal_moves.is_empty()
        && command.is_none()
        && receipts.is_empty())
    {
        let row = JournalRow::after(
            head,
            at_ms,
            encode_body(&commit.scope, &journal_moves, command.as_ref(), &receipts)?,
        );
        ledger.append_journal(&row)?;
        position = row.position;
    }
    Ok(Committed {
        position,
        at_ms,
        new_blocks: ordinals.len() as u64,
        new_bytes,
        versions: moves
            .iter()
            .map(|planned| planned.version.unwrap_or(0))
            .collect(),
        new_receipts: receipts.len() as u64,
        replay: None,
    })
}

fn book_receipt(commit: &Commit, ledger: &mut dyn Ledger) -> Result<Option<JournalCommand>> {
    let Some(command) = &commit.command else {
        return Ok(None);
    };
    let key = command.key();
    ledger.insert_receipt(&key, &command.address, &command.payload, &command.receipt)?;
    Ok(Some(JournalCommand {
        key,
        payload: command.payload,
        receipt: command.receipt.clone(),
    }))
}

/// Stores the receipts of another store whose keys have none in this scope, and returns those.
fn book_brought(commit: &Commit, ledger: &mut dyn Ledger) -> Result<Vec<JournalCommand>> {
    let mut new = Vec::new();
    let address = Address::Scope(commit.scope.clone());
    for brought in &commit.receipts {
        let there = ledger.receipt(Wanted::Of(&commit.scope, &brought.key))?;
        if there.is_none() {
            ledger.insert_receipt(&brought.key, &address, &brought.payload, &brought.receipt)?;
            new.push(brought.clone());
        }
    }
    Ok(new)
}

#[cfg(test)]
mod tests;
