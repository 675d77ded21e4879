//! What a backend shows to `verify`: its tables as they are.
//!
//! Promises: a broken row is handed over as [`Broken`] and hides no other row.
//! Must never: judge; the checks stand in the modules beside.

use std::sync::Arc;

use treering_block::Cid;

use crate::commit::RefValue;
use crate::cursor::Head;
use crate::erasure::Erasure;
use crate::error::{Result, StoreError};
use crate::findings::VerifyReport;
use crate::journal::{JournalCommand, JournalRow};
use crate::lease::LeaseState;
use crate::name::RefName;
use crate::scope::lineage::Receipt;

/// A row that can not be read as what was written: which one, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The row, by what names it best: a CID, a ref, `ordinal 17`.
    pub which: String,
    /// What is wrong.
    pub detail: String,
}

/// Takes the rows of a table one after the other.
pub type Visit<'a, T> = &'a mut dyn FnMut(Result<T, Broken>);

/// A block with what the backend keeps about it.
#[derive(Clone, Debug)]
pub struct BlockRow {
    /// Its ordinal.
    pub ordinal: u64,
    /// Its name, as the row says.
    pub cid: Cid,
    /// Its size, as the row says.
    pub size: u64,
    /// What is stored; Err says why it can't be had, or that it is not the block's.
    pub bytes: Result<Stored, String>,
    /// What the graph table says that it links to; Err says why that can't be had.
    pub links: Result<Vec<u64>, String>,
}

/// A block's bytes.
#[derive(Clone, Debug)]
pub enum Stored {
    /// As they stand, not yet checked against the CID.
    Bytes(Arc<[u8]>),
    /// No node's, and checked where they are: they are too many for memory.
    Sound,
}

/// A hold as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRow {
    /// On whose behalf.
    pub scope: String,
    /// The held block.
    pub ordinal: u64,
    /// When it ends.
    pub expires_at_ms: i64,
}

/// What a backend shows to [`verify`]: its tables as they are, in one snapshot.
///
/// A method that visits rows hands each broken row over as [`Broken`] and goes on; its own `Err` means that
/// the table can not be read any further, which is a finding too and ends that table only.
pub trait Evidence {
    /// Checks what only this backend has (page structure, manifest rows, files without a row …) and adds
    /// its findings.
    fn own_checks(&self, report: &mut VerifyReport) -> Result<()>;
    /// Every block, by growing ordinal. A graph row without its block is a [`Broken`], too.
    fn blocks(&self, visit: Visit<'_, BlockRow>) -> Result<()>;
    /// The ordinal that a look-up of this CID gives.
    fn ordinal(&self, cid: &Cid) -> Result<Option<u64>>;
    /// Whether a block row with this ordinal is there.
    fn has_ordinal(&self, ordinal: u64) -> Result<bool>;
    /// The ordinal that the next new block gets.
    fn next_ordinal(&self) -> Result<u64>;
    /// The head that the oldest kept commit follows; the default where all commits are kept.
    fn journal_start(&self) -> Result<Head>;
    /// Every commit that is kept, by growing position.
    fn journal(&self, visit: Visit<'_, JournalRow>) -> Result<()>;
    /// The newest commit that anything but the journal's rows speaks of; 0 where nothing does.
    fn newest_commit_told(&self) -> Result<u64> {
        Ok(0)
    }
    /// Scopes of which an erase has begun, and not ended.
    fn erasing(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
    /// Notes of erasures.
    fn erasures(&self) -> Result<Vec<Erasure>> {
        Ok(Vec::new())
    }
    /// Every ref, in any order: name, version, target, record.
    fn refs(&self, visit: Visit<'_, (RefName, RefValue)>) -> Result<()>;
    /// Whether the refs are all those that the commits left, and none older, as far as the backend notes that.
    fn refs_are_all(&self) -> Result<bool> {
        Ok(true)
    }
    /// Every receipt, in any order.
    fn receipts(&self, visit: Visit<'_, JournalCommand>) -> Result<()>;
    /// The receipt of a scope under a key.
    fn receipt(&self, scope: &str, key: &[u8; 32]) -> Result<Option<Receipt>>;
    /// Every hold, in any order.
    fn holds(&self, visit: Visit<'_, HoldRow>) -> Result<()>;
    /// Every lease, as stored, in any order.
    fn leases(&self, visit: Visit<'_, (RefName, LeaseState)>) -> Result<()>;
}

/// How an error of one row reads in a finding, for backends that build [`Broken`] from [`StoreError`].
impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt { which, detail, .. } => Self { which, detail },
            other => Self {
                which: String::new(),
                detail: other.to_string(),
            },
        }
    }
}
