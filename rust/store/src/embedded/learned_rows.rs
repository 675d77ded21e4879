//! The row `gc` of the manifest: what the newest collection found, for estimates and statistics.
//!
//! Nothing that is kept or deleted rests on it: a store without it only knows less of itself.

use super::manifest_rows::KEY_CREATED_AT_MS;
use super::row_check::{Table, corrupt};
use super::session::Session;
use crate::error::Result;
use crate::gc::{Figured, Learned};

/// [`Learned`]: its ten numbers in their order, 8 bytes each, little-endian; absent before the first
/// collection that came to its end.
const KEY_LEARNED: &str = "gc";

fn to_bytes(learned: &Learned) -> Vec<u8> {
    let Learned {
        begun_at_ms,
        at_ms,
        next_ordinal,
        position,
        refs,
        kept,
        garbage,
        garbage_bytes,
        deleted,
        freed_bytes,
    } = *learned;
    let counts = [
        next_ordinal,
        position,
        refs,
        kept,
        garbage,
        garbage_bytes,
        deleted,
        freed_bytes,
    ];
    [begun_at_ms, at_ms]
        .into_iter()
        .map(i64::to_le_bytes)
        .chain(counts.into_iter().map(u64::to_le_bytes))
        .flatten()
        .collect()
}

fn from_bytes(bytes: &[u8]) -> Option<Learned> {
    let (numbers, []) = bytes.as_chunks::<8>() else {
        return None;
    };
    let &[
        begun,
        at,
        next,
        position,
        refs,
        kept,
        garbage,
        garbage_bytes,
        deleted,
        freed,
    ] = numbers
    else {
        return None;
    };
    Some(Learned {
        begun_at_ms: i64::from_le_bytes(begun),
        at_ms: i64::from_le_bytes(at),
        next_ordinal: u64::from_le_bytes(next),
        position: u64::from_le_bytes(position),
        refs: u64::from_le_bytes(refs),
        kept: u64::from_le_bytes(kept),
        garbage: u64::from_le_bytes(garbage),
        garbage_bytes: u64::from_le_bytes(garbage_bytes),
        deleted: u64::from_le_bytes(deleted),
        freed_bytes: u64::from_le_bytes(freed),
    })
}

impl Session<'_> {
    /// None before there was a collection. Errors: `Corrupt` when the row is broken.
    pub(super) fn learned(self) -> Result<Option<Learned>> {
        let Some(bytes) = self.read_optional_manifest(KEY_LEARNED)? else {
            return Ok(None);
        };
        let learned = from_bytes(&bytes).ok_or_else(|| {
            corrupt(
                Table::Manifest,
                KEY_LEARNED,
                "it has not the length of ten numbers",
            )
        })?;
        Ok(Some(learned))
    }

    /// Where nothing was collected yet, what is known is when the store was made: its first hour is no turn.
    pub(super) fn learned_or_first(self) -> Result<Learned> {
        if let Some(learned) = self.learned()? {
            return Ok(learned);
        }
        let bytes = self.read_manifest(KEY_CREATED_AT_MS)?;
        let created_at_ms = bytes.try_into().map(i64::from_le_bytes).map_err(|_| {
            corrupt(
                Table::Manifest,
                KEY_CREATED_AT_MS,
                "it has not the length of a number",
            )
        })?;
        Ok(Learned {
            begun_at_ms: created_at_ms,
            ..Learned::default()
        })
    }

    pub(super) fn write_learned(self, learned: &Learned) -> Result<()> {
        self.write_manifest(KEY_LEARNED, &to_bytes(learned))
    }

    /// What the store says of itself without a look at the graph. O(refs + holds), an index scan each.
    pub(super) fn figured(self, now_ms: i64) -> Result<Figured> {
        let totals = self.totals()?;
        Ok(Figured {
            now_ms,
            next_ordinal: totals.next_ordinal,
            position: self.position()?,
            blocks: totals.blocks,
            bytes: totals.block_bytes,
            refs: self.count_refs()?,
            ended_holds: self.count_ended_holds(now_ms)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let learned = Learned {
            begun_at_ms: -1,
            at_ms: 2,
            next_ordinal: 3,
            position: 4,
            refs: 5,
            kept: 6,
            garbage: 7,
            garbage_bytes: 8,
            deleted: 9,
            freed_bytes: u64::MAX,
        };
        let bytes = to_bytes(&learned);
        assert_eq!(bytes.len(), 80);
        assert_eq!(bytes[..9], [255, 255, 255, 255, 255, 255, 255, 255, 2]);
        assert_eq!(from_bytes(&bytes), Some(learned));
        assert_eq!(from_bytes(&bytes[..79]), None);
        assert_eq!(from_bytes(&[0; 88]), None);
    }
}
