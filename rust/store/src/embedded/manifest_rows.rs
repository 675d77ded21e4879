//! The table `manifest`: what the store is, and the totals that would be slow to count.

use rusqlite::params;
use ulid::Ulid;

use super::row_check::{RowCheck, Table, corrupt};
use super::schema::FORMAT;
use super::session::Session;
use crate::error::Result;

/// The number of the format, u64 little-endian.
pub(super) const KEY_FORMAT: &str = "format";
/// A ULID's 16 bytes: what tells this store from a copy made by importing it.
const KEY_STORE_ID: &str = STORE_ID;
pub(super) const STORE_ID: &str = "store_id";
/// Unix milliseconds, i64 little-endian.
pub(super) const KEY_CREATED_AT_MS: &str = "created_at_ms";
/// [`Totals`].
pub(super) const KEY_TOTALS: &str = "totals";

/// How many collections have buried blocks, u64 little-endian; absent for none.
pub(super) const KEY_GENERATION: &str = "gc_generation";

/// Every key that a store has.
pub(super) const KEYS: [&str; 4] = [KEY_CREATED_AT_MS, KEY_FORMAT, KEY_STORE_ID, KEY_TOTALS];

/// Kept up to date by each transaction: 6 × u64 little-endian in this order, 5 where the last is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Totals {
    /// What the next new block gets; never given twice, whatever is deleted.
    pub(super) next_ordinal: u64,
    pub(super) blocks: u64,
    pub(super) nodes: u64,
    pub(super) block_bytes: u64,
    pub(super) links: u64,
    /// Sum over all refs of [`ref_sum`](super::ref_rows::ref_sum): other or fewer rows than the commits left have
    /// another one. None in a store that an earlier version wrote last.
    pub(super) refs_sum: Option<u64>,
}

impl Totals {
    const EMPTY: Self = Self {
        next_ordinal: 1,
        blocks: 0,
        nodes: 0,
        block_bytes: 0,
        links: 0,
        refs_sum: Some(0),
    };

    pub(super) fn to_bytes(self) -> Vec<u8> {
        [
            self.next_ordinal,
            self.blocks,
            self.nodes,
            self.block_bytes,
            self.links,
        ]
        .into_iter()
        .chain(self.refs_sum)
        .flat_map(u64::to_le_bytes)
        .collect()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (figures, []) = bytes.as_chunks::<8>() else {
            return None;
        };
        let (&[next_ordinal, blocks, nodes, block_bytes, links], more) =
            figures.split_first_chunk()?;
        let refs_sum = match more {
            [] => None,
            [sum] => Some(u64::from_le_bytes(*sum)),
            _ => return None,
        };
        let [next_ordinal, blocks, nodes, block_bytes, links] =
            [next_ordinal, blocks, nodes, block_bytes, links].map(u64::from_le_bytes);
        Some(Self {
            next_ordinal,
            blocks,
            nodes,
            block_bytes,
            links,
            refs_sum,
        })
    }
}

pub(super) fn check(key: &str, value: &[u8]) -> RowCheck {
    RowCheck::new(Table::Manifest).text(key).bytes(value)
}

impl Session<'_> {
    /// What a new store starts with.
    pub(super) fn write_first_manifest(self, now_ms: i64) -> Result<()> {
        self.write_manifest(KEY_FORMAT, &FORMAT.to_le_bytes())?;
        self.write_manifest(KEY_STORE_ID, &Ulid::generate().to_bytes())?;
        self.write_manifest(KEY_CREATED_AT_MS, &now_ms.to_le_bytes())?;
        self.write_totals(Totals::EMPTY)
    }

    pub(super) fn write_manifest(self, key: &str, value: &[u8]) -> Result<()> {
        self.kept("INSERT OR REPLACE INTO manifest(key, value, chk) VALUES (?1, ?2, ?3)")?
            .execute(params![key, value, check(key, value).finish()])
            .map(drop)
            .map_err(|error| self.unwritten(error))
    }

    /// The checked value. Errors: `Corrupt` when the row is missing or broken.
    pub(super) fn read_manifest(self, key: &str) -> Result<Vec<u8>> {
        self.read_optional_manifest(key)?
            .ok_or_else(|| corrupt(Table::Manifest, key, "the row is missing"))
    }

    /// The checked value, None when there is none. Errors: `Corrupt` when the row is broken.
    pub(super) fn read_optional_manifest(self, key: &str) -> Result<Option<Vec<u8>>> {
        let mut statement = self.prepared("SELECT value, chk FROM manifest WHERE key = ?1")?;
        let mut rows = statement.query([key]).map_err(|error| self.unread(error))?;
        let Some(row) = rows.next().map_err(|error| self.unread(error))? else {
            return Ok(None);
        };
        let (value, stored): (Vec<u8>, Vec<u8>) = row
            .get(0)
            .and_then(|value| Ok((value, row.get(1)?)))
            .map_err(|error| self.unread(error))?;
        check(key, &value).expect(&stored, key)?;
        Ok(Some(value))
    }

    /// How many collections have buried blocks.
    pub(super) fn gc_generation(self) -> Result<u64> {
        let Some(value) = self.read_optional_manifest(KEY_GENERATION)? else {
            return Ok(0);
        };
        let bytes = value.try_into().map_err(|_| {
            corrupt(
                Table::Manifest,
                KEY_GENERATION,
                "it has not the length of a number",
            )
        })?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(super) fn write_gc_generation(self, generation: u64) -> Result<()> {
        self.write_manifest(KEY_GENERATION, &generation.to_le_bytes())
    }

    /// Whether every row is there and whole.
    pub(super) fn check_manifest(self) -> Result<()> {
        KEYS.iter()
            .try_for_each(|key| self.read_manifest(key).map(drop))
    }

    pub(super) fn totals(self) -> Result<Totals> {
        Totals::from_bytes(&self.read_manifest(KEY_TOTALS)?).ok_or_else(|| {
            corrupt(
                Table::Manifest,
                KEY_TOTALS,
                "it has not the length of six numbers",
            )
        })
    }

    pub(super) fn write_totals(self, totals: Totals) -> Result<()> {
        self.write_manifest(KEY_TOTALS, &totals.to_bytes())
    }
}
