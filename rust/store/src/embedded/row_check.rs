//! The check that every row carries: SQLite's pages have none, so a flipped bit would go unseen.
//!
//! A check is the first 16 bytes of BLAKE3 in derive_key mode, context `treering v1 row <table>`, over
//! all other columns in their declared order: an integer as 8 bytes (two's complement, little-endian), a
//! blob or text as its length (8 bytes, little-endian) and its bytes, NULL as 8 bytes of ones.
//! Never: a read that skips it (`docs/format.md` names the two columns that something else covers).

use std::fmt::Display;
use std::sync::OnceLock;

use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};

use crate::error::{Result, StoreError};

/// Bytes of a row's check.
pub(super) const CHECK_BYTES: usize = 16;

/// A table with checked rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Manifest,
    Block,
    Graph,
    Ref,
    Receipt,
    Hold,
    Lease,
    Dead,
}

impl Table {
    /// Its name in the database and in messages.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Block => "block",
            Self::Graph => "graph",
            Self::Ref => "ref",
            Self::Receipt => "receipt",
            Self::Hold => "hold",
            Self::Lease => "lease",
            Self::Dead => "dead",
        }
    }

    /// What a message calls a row of it.
    pub(super) const fn row_name(self) -> &'static str {
        match self {
            Self::Manifest => "manifest row",
            Self::Block => "block row",
            Self::Graph => "graph row",
            Self::Ref => "ref row",
            Self::Receipt => "receipt row",
            Self::Hold => "hold row",
            Self::Lease => "lease row",
            Self::Dead => "dead row",
        }
    }

    /// Compares all columns of a row, encoded one behind the other, with the stored check.
    /// Errors: `Corrupt` naming table and row.
    pub(super) fn expect(self, columns: &[u8], stored: &[u8], which: impl Display) -> Result<()> {
        let mut hasher = blake3::Hasher::new_from_context_key(self.key());
        hasher.update(columns);
        if hasher.finalize().as_bytes().starts_with(stored) && stored.len() == CHECK_BYTES {
            Ok(())
        } else {
            Err(corrupt(self, which, "the row does not match its check"))
        }
    }

    fn key(self) -> &'static ContextKey {
        // Deriving the key costs two hashes; once per table and process is enough.
        static KEYS: [OnceLock<ContextKey>; 8] = [const { OnceLock::new() }; 8];
        let slot = match self {
            Self::Manifest => &KEYS[0],
            Self::Block => &KEYS[1],
            Self::Graph => &KEYS[2],
            Self::Ref => &KEYS[3],
            Self::Receipt => &KEYS[4],
            Self::Hold => &KEYS[5],
            Self::Lease => &KEYS[6],
            Self::Dead => &KEYS[7],
        };
        slot.get_or_init(|| hash_derive_key_context(&format!("treering v1 row {}", self.name())))
    }
}

/// The columns of one row, fed in order. Gathered first: the state of a hasher is 2 KB, too much to hand on
/// from column to column.
pub(super) struct RowCheck {
    table: Table,
    columns: Vec<u8>,
}

/// Room for the columns of a block's row.
const COLUMNS_BYTES: usize = 128;

impl RowCheck {
    pub(super) fn new(table: Table) -> Self {
        Self {
            table,
            columns: Vec::with_capacity(COLUMNS_BYTES),
        }
    }

    pub(super) fn int(mut self, value: i64) -> Self {
        self.columns.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn bytes(mut self, value: &[u8]) -> Self {
        let length = value.len() as u64;
        self.columns.extend_from_slice(&length.to_le_bytes());
        self.columns.extend_from_slice(value);
        self
    }

    pub(super) fn text(self, value: &str) -> Self {
        self.bytes(value.as_bytes())
    }

    pub(super) fn optional_text(mut self, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(value),
            None => {
                self.columns.extend_from_slice(&u64::MAX.to_le_bytes());
                self
            }
        }
    }

    /// The check to store.
    pub(super) fn finish(self) -> [u8; CHECK_BYTES] {
        let mut hasher = blake3::Hasher::new_from_context_key(self.table.key());
        hasher.update(&self.columns);
        let mut check = [0; CHECK_BYTES];
        for (to, from) in check.iter_mut().zip(hasher.finalize().as_bytes()) {
            *to = *from;
        }
        check
    }

    /// Compares with the stored check. Errors: `Corrupt` naming table and row.
    pub(super) fn expect(self, stored: &[u8], which: impl Display) -> Result<()> {
        let table = self.table;
        if self.finish() == stored {
            Ok(())
        } else {
            Err(corrupt(table, which, "the row does not match its check"))
        }
    }
}

/// `Corrupt`: the rows of the table do not stand in the order of their keys.
pub(super) fn out_of_order(table: Table, which: impl Display) -> StoreError {
    corrupt(table, which, "the table is out of order here")
}

/// `Corrupt`, naming table and row.
pub(super) fn corrupt(table: Table, which: impl Display, detail: impl Into<String>) -> StoreError {
    StoreError::Corrupt {
        what: table.row_name(),
        which: which.to_string(),
        detail: detail.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_what_the_format_says() {
        let mut encoded = Vec::new();
        encoded.extend(7i64.to_le_bytes());
        encoded.extend(2u64.to_le_bytes());
        encoded.extend(b"ab");
        encoded.extend([0xff; 8]);
        let expected = blake3::derive_key("treering v1 row ref", &encoded);
        let check = RowCheck::new(Table::Ref)
            .int(7)
            .bytes(b"ab")
            .optional_text(None)
            .finish();
        assert_eq!(check, expected[..16]);
        assert!(
            RowCheck::new(Table::Ref)
                .int(7)
                .bytes(b"ab")
                .optional_text(None)
                .expect(&check, "x")
                .is_ok()
        );
        let other = RowCheck::new(Table::Hold)
            .int(7)
            .bytes(b"ab")
            .optional_text(None);
        assert!(matches!(
            other.expect(&check, "x"),
            Err(StoreError::Corrupt {
                what: "hold row",
                ..
            })
        ));
    }

    #[test]
    fn columns_do_not_run_into_each_other() {
        let one = RowCheck::new(Table::Ref).text("ab").text("c").finish();
        let two = RowCheck::new(Table::Ref).text("a").text("bc").finish();
        assert_ne!(one, two);
        assert_ne!(
            RowCheck::new(Table::Ref).optional_text(Some("")).finish(),
            RowCheck::new(Table::Ref).optional_text(None).finish()
        );
    }
}
