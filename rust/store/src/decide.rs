//! Commits whose content depends on the store as it stands when their turn comes.
//!
//! Promises: a decision sees what every earlier request of its batch did and is booked before the next one is
//! judged, so callers who change one thing never lose to each other and still share an fsync. It is asked once;
//! a refusal leaves no trace.
//! Must never: run a caller's code, wait, or write: what it wants written it returns.

use std::fmt;
use std::sync::Arc;

use treering_block::{Block, Cid};

use crate::commit::{Commit, RefMove, RefValue};
use crate::error::Result;
use crate::journal::{JournalCommand, JournalEntry, JournalRow};
use crate::ledger::Ledger;
use crate::name::RefName;
use crate::scope::lineage::{Lineage, Wanted, read_lineage};

/// The store as a decision sees it: with all that earlier requests of its batch did.
pub trait View {
    /// The ref as it stands.
    fn read_ref(&mut self, name: &RefName) -> Result<Option<RefValue>>;
    /// A block's bytes, checked.
    ///
    /// Errors: `BlockNotFound`, `Corrupt`.
    fn block(&mut self, cid: &Cid) -> Result<Arc<[u8]>>;
    /// Bytes of the blocks that the commit brings beside what is decided.
    fn brought(&self) -> u64;
    /// Commits after a position; None if they are more than `limit`, or not all known. One whose scope was erased is: it
    /// moved no ref of any other.
    fn commits_since(&mut self, position: u64, limit: usize) -> Result<Option<Vec<JournalEntry>>>;
    /// What a scope was forked of.
    fn lineage(&mut self, scope: &str) -> Result<Option<Lineage>>;
    /// The commit with which the scope of that digest said its name to its forks; None if it did not since it was erased.
    fn name_left(&mut self, digest: &[u8; 32]) -> Result<Option<u64>>;
}

/// What is to be done, beside what the commit itself says.
#[derive(Clone, Debug, Default)]
pub struct Decided {
    /// Blocks to store, children first.
    pub blocks: Vec<Block>,
    /// Refs to move.
    pub moves: Vec<RefMove>,
    /// What the command leaves, in the place of what the commit says.
    pub receipt: Option<Vec<u8>>,
    /// Receipts that it brings along, as [`Commit::receipts`].
    pub receipts: Vec<JournalCommand>,
}

/// A decision that is made under the store's lock, once it is known that its command id is new. It must be quick.
pub trait Decide: fmt::Debug + Send + Sync {
    /// What is to be done at `at_ms`, the commit's time.
    ///
    /// Errors: `Refused` if the answer is no; nothing of the commit is written then.
    fn decide(&self, view: &mut dyn View, at_ms: i64) -> Result<Decided>;
}

/// The commit with what was decided.
pub(crate) fn joined(
    commit: &Commit,
    decision: &dyn Decide,
    ledger: &mut dyn Ledger,
    at_ms: i64,
) -> Result<Commit> {
    let brought = commit.blocks.iter().map(|block| block.bytes.len() as u64);
    let brought = brought.sum();
    let decided = decision.decide(&mut Looking { ledger, brought }, at_ms)?;
    let mut joined = Commit {
        decide: None,
        ..commit.clone()
    };
    joined.blocks.extend(decided.blocks);
    joined.moves.extend(decided.moves);
    joined.receipts.extend(decided.receipts);
    if let (Some(command), Some(receipt)) = (&mut joined.command, decided.receipt) {
        command.receipt = receipt;
    }
    joined.check()?;
    Ok(joined)
}

/// A ledger that is only read.
struct Looking<'l> {
    ledger: &'l mut dyn Ledger,
    brought: u64,
}

impl View for Looking<'_> {
    fn read_ref(&mut self, name: &RefName) -> Result<Option<RefValue>> {
        self.ledger.read_ref(name)
    }

    fn block(&mut self, cid: &Cid) -> Result<Arc<[u8]>> {
        self.ledger.block(cid)
    }

    fn brought(&self) -> u64 {
        self.brought
    }

    fn commits_since(&mut self, position: u64, limit: usize) -> Result<Option<Vec<JournalEntry>>> {
        let newest = self.ledger.tip()?.head.position;
        let count = newest.saturating_sub(position);
        if count > limit as u64 {
            return Ok(None);
        }
        let rows = self.ledger.commits_after(position, limit)?;
        if rows.len() as u64 != count {
            return Ok(None);
        }
        let entries = rows.iter().map(JournalRow::entry);
        let entries: Vec<JournalEntry> = entries.collect::<Result<_>>()?;
        let known = entries.iter().all(|entry| !entry.blank || entry.erased);
        Ok(known.then_some(entries))
    }

    fn lineage(&mut self, scope: &str) -> Result<Option<Lineage>> {
        read_lineage(scope, &mut |wanted| self.ledger.receipt(wanted))
    }

    fn name_left(&mut self, digest: &[u8; 32]) -> Result<Option<u64>> {
        let left = self.ledger.receipt(Wanted::Name(digest))?;
        Ok(left.map(|left| left.position))
    }
}
