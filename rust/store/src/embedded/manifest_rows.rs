//! The table `manifest`: what the store is, and the totals that would be slow to count.

use rusqlite::params;
use ulid::Ulid;

use super::objects::Owner;
use super::row_check::{RowCheck, Table, corrupt};
use super::schema::{FORMAT, FORMAT_BUCKET};
use super::session::Session;
use crate::cursor::Head;
use crate::error::{Result, StoreError};
use crate::gc::Figures;

/// The number of the format, u64 little-endian.
pub(super) const KEY_FORMAT: &str = "format";
/// A ULID's 16 bytes: what tells this store from a copy made by importing it.
const KEY_STORE_ID: &str = STORE_ID;
pub(super) const STORE_ID: &str = "store_id";
/// Unix milliseconds, i64 little-endian.
pub(super) const KEY_CREATED_AT_MS: &str = "created_at_ms";
/// [`Totals`].
pub(super) const KEY_TOTALS: &str = "totals";

/// Where the large blocks are, if not in the directory: see [`Owner`].
pub(super) const KEY_BUCKET: &str = "bucket";

/// How many collections have buried blocks, u64 little-endian; absent for none.
pub(super) const KEY_GENERATION: &str = "gc_generation";

/// The greatest token of the leases that went with a scope, u64 little-endian; absent for none.
const KEY_LEASE_FLOOR: &str = "lease_floor";

/// Every key that a store has.
pub(super) const KEYS: [&str; 4] = [KEY_CREATED_AT_MS, KEY_FORMAT, KEY_STORE_ID, KEY_TOTALS];

/// Kept up to date by each transaction: 6 × u64 little-endian in this order, then position (u64) and chain of the
/// newest commit. An earlier version wrote 5 or 6 numbers.
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
    /// The newest commit: where the journal ends, unless it lost something. None in a store that an earlier version
    /// wrote last.
    pub(super) head: Option<Head>,
}

impl Totals {
    const EMPTY: Self = Self {
        next_ordinal: 1,
        blocks: 0,
        nodes: 0,
        block_bytes: 0,
        links: 0,
        refs_sum: Some(0),
        head: Some(Head {
            position: 0,
            chain: [0; 32],
        }),
    };

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let figures = [
            self.next_ordinal,
            self.blocks,
            self.nodes,
            self.block_bytes,
            self.links,
        ];
        let mut bytes = Vec::with_capacity(88);
        for figure in figures.into_iter().chain(self.refs_sum) {
            bytes.extend_from_slice(&figure.to_le_bytes());
        }
        // Its place is behind the sum's.
        if let (Some(_), Some(head)) = (self.refs_sum, self.head) {
            bytes.extend_from_slice(&head.position.to_le_bytes());
            bytes.extend_from_slice(&head.chain);
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (figures, []) = bytes.as_chunks::<8>() else {
            return None;
        };
        let (&[next_ordinal, blocks, nodes, block_bytes, links], more) =
            figures.split_first_chunk()?;
        let (refs_sum, head) = match more {
            [] => (None, None),
            [sum] => (Some(sum), None),
            [sum, position, chain @ ..] => (
                Some(sum),
                Some(Head {
                    position: u64::from_le_bytes(*position),
                    chain: chain.as_flattened().try_into().ok()?,
                }),
            ),
        };
        let refs_sum = refs_sum.map(|sum| u64::from_le_bytes(*sum));
        let [next_ordinal, blocks, nodes, block_bytes, links] =
            [next_ordinal, blocks, nodes, block_bytes, links].map(u64::from_le_bytes);
        Some(Self {
            next_ordinal,
            blocks,
            nodes,
            block_bytes,
            links,
            refs_sum,
            head,
        })
    }
}

impl Totals {
    /// Without blocks that went.
    pub(super) fn without(self, gone: Figures) -> Self {
        Self {
            blocks: self.blocks.saturating_sub(gone.blocks),
            nodes: self.nodes.saturating_sub(gone.nodes),
            block_bytes: self.block_bytes.saturating_sub(gone.bytes),
            links: self.links.saturating_sub(gone.links),
            ..self
        }
    }

    /// Why these totals are not of a journal that ends with `head`, unless that lost its end; None if they are.
    pub(super) fn head_fault(&self, head: &Head) -> Option<StoreError> {
        let told = self.head.filter(|told| told != head)?;
        let detail = if told.position == head.position {
            format!("they were noted with another commit {}", told.position)
        } else {
            format!(
                "they were noted with commit {}, the journal ends at {}",
                told.position, head.position
            )
        };
        Some(corrupt(Table::Manifest, KEY_TOTALS, &detail))
    }
}

pub(super) fn check(key: &str, value: &[u8]) -> RowCheck {
    RowCheck::new(Table::Manifest).text(key).bytes(value)
}

impl Session<'_> {
    /// What a new store starts with.
    pub(super) fn write_first_manifest(self, now_ms: i64, owner: Option<&Owner>) -> Result<()> {
        self.write_place(owner)?;
        self.write_manifest(KEY_STORE_ID, &Ulid::generate().to_bytes())?;
        self.write_manifest(KEY_CREATED_AT_MS, &now_ms.to_le_bytes())?;
        self.write_totals(Totals::EMPTY)
    }

    /// Where the large blocks are; the format follows from it.
    pub(super) fn write_place(self, owner: Option<&Owner>) -> Result<()> {
        let format = match owner {
            Some(owner) => {
                self.write_manifest(KEY_BUCKET, &owner.to_bytes())?;
                FORMAT_BUCKET
            }
            None => {
                self.run("DELETE FROM manifest WHERE key = 'bucket'", "write")?;
                FORMAT
            }
        };
        self.write_manifest(KEY_FORMAT, &format.to_le_bytes())
    }

    /// Where the large blocks are; None for in the directory. Errors: `Corrupt`.
    pub(super) fn owner(self) -> Result<Option<Owner>> {
        let found = self.read_optional_manifest(KEY_BUCKET)?;
        let owner = found.as_deref().map(Owner::from_bytes);
        match (owner, self.number("PRAGMA user_version")?.cast_unsigned()) {
            (None, FORMAT) => Ok(None),
            (Some(Some(owner)), FORMAT_BUCKET) => Ok(Some(owner)),
            (None, _) => Err(corrupt(Table::Manifest, KEY_BUCKET, "the row is missing")),
            (Some(None), _) => Err(corrupt(Table::Manifest, KEY_BUCKET, "it names no place")),
            (Some(Some(_)), _) => Err(corrupt(
                Table::Manifest,
                KEY_BUCKET,
                "it is there, and the database's header is that of a store without one",
            )),
        }
    }

    pub(super) fn store_id_text(self) -> Result<String> {
        let bytes: [u8; 16] = self.read_manifest(KEY_STORE_ID)?.try_into().map_err(|_| {
            corrupt(
                Table::Manifest,
                KEY_STORE_ID,
                "it has not the length of an id",
            )
        })?;
        Ok(Ulid::from_bytes(bytes).to_string())
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
        self.optional_number(KEY_GENERATION)
    }

    /// 0 for none.
    fn optional_number(self, key: &str) -> Result<u64> {
        let Some(value) = self.read_optional_manifest(key)? else {
            return Ok(0);
        };
        let bytes = value
            .try_into()
            .map_err(|_| corrupt(Table::Manifest, key, "it has not the length of a number"))?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// No token up to this is given to a name that has no lease.
    pub(super) fn lease_floor(self) -> Result<u64> {
        self.optional_number(KEY_LEASE_FLOOR)
    }

    pub(super) fn write_lease_floor(self, token: u64) -> Result<()> {
        self.write_manifest(KEY_LEASE_FLOOR, &token.to_le_bytes())
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
                "it has not the length that it should have",
            )
        })
    }

    pub(super) fn write_totals(self, totals: Totals) -> Result<()> {
        self.write_manifest(KEY_TOTALS, &totals.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_read_in_each_length_that_was_written() {
        let whole = Totals {
            next_ordinal: 1,
            blocks: 2,
            nodes: 3,
            block_bytes: 4,
            links: 5,
            refs_sum: Some(6),
            head: Some(Head {
                position: 7,
                chain: [8; 32],
            }),
        };
        let bytes = whole.to_bytes();
        assert_eq!(bytes.len(), 88);
        let sum = Totals {
            head: None,
            ..whole
        };
        let first = Totals {
            refs_sum: None,
            ..sum
        };
        for length in 0..=96 {
            let mut some = bytes.clone();
            some.resize(length, 0);
            let expected = match length {
                40 => Some(first),
                48 => Some(sum),
                88 => Some(whole),
                _ => None,
            };
            assert_eq!(Totals::from_bytes(&some), expected, "{length}");
            if let Some(totals) = expected {
                assert_eq!(totals.to_bytes(), some);
            }
        }
    }
}
