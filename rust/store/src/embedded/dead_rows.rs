//! The table `dead`: ordinals that a collection declared absent, a bit each, in pages of 2048.
//!
//! Looking a block up joins its page, so that one statement sees the row and whether it is dead.
//! Promises: a bit that is set stays set.
//! Must never: let a row be taken for alive whose page can not be read.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::block_rows::to_sql;
use super::row_check::{RowCheck, Table, corrupt};
use super::session::Session;
use crate::error::{Result, StoreError};
use crate::gc::{Bitmap, PAGE_BYTES, page_contains};

/// Makes the table in a store that was made before there was one.
pub(super) const CREATE: &str = "
CREATE TABLE IF NOT EXISTS dead(
  page INTEGER PRIMARY KEY, bits BLOB NOT NULL, chk BLOB NOT NULL
) STRICT;
";
/// Stands in for it on a connection that may not make it: nothing is dead yet.
pub(super) const CREATE_NONE: &str =
    "CREATE TEMP TABLE dead(page INTEGER PRIMARY KEY, bits BLOB NOT NULL, chk BLOB NOT NULL)";

/// Whether the store has the table.
pub(super) fn exist(conn: &Connection) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = 'dead'")?
        .exists([])
}

fn check(page: i64, bits: &[u8]) -> RowCheck {
    RowCheck::new(Table::Dead).int(page).bytes(bits)
}

fn read_page(page: i64, bits: &[u8], stored: &[u8]) -> Result<[u8; PAGE_BYTES]> {
    check(page, bits).expect(stored, page)?;
    bits.try_into()
        .map_err(|_| corrupt(Table::Dead, page, "it has not the length of a page"))
}

/// The page's number for a bit of this ordinal.
fn page_number(ordinal: u64) -> i64 {
    to_sql(crate::gc::page_of(ordinal))
}

impl Session<'_> {
    /// Whether the block of a row is dead; `first` and the next column are `bits` and `chk` of the page
    /// that was joined to it, NULL where there is none.
    pub(super) fn is_dead(self, row: &Row<'_>, first: usize, ordinal: u64) -> Result<bool> {
        let page = page_number(ordinal);
        let blob = |column| {
            row.get_ref(column)
                .map_err(|error| self.unread(error))?
                .as_blob_or_null()
                .map_err(|_| corrupt(Table::Dead, page, "a column is not bytes"))
        };
        match (blob(first)?, blob(first + 1)?) {
            (Some(bits), Some(stored)) => {
                Ok(page_contains(&read_page(page, bits, stored)?, ordinal))
            }
            _ => Ok(false),
        }
    }

    /// All pages together.
    pub(super) fn dead_ordinals(self) -> Result<Bitmap> {
        let mut dead = Bitmap::default();
        // A page takes memory for all before it, so its number is not taken on its check's word alone, but
        // where a repair has nothing better.
        let newest = match self.totals() {
            Ok(totals) => crate::gc::page_of(totals.next_ordinal),
            Err(StoreError::Corrupt { .. }) => u64::MAX / crate::gc::PAGE_ORDINALS,
            Err(error) => return Err(error),
        };
        let mut statement = self.prepared("SELECT page, bits, chk FROM dead ORDER BY page")?;
        let mut rows = statement.query([]).map_err(|error| self.unread(error))?;
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let (page, bits, stored): (i64, Vec<u8>, Vec<u8>) = row
                .get(0)
                .and_then(|page| Ok((page, row.get(1)?, row.get(2)?)))
                .map_err(|error| self.unread(error))?;
            let bits = read_page(page, &bits, &stored)?;
            let number = u64::try_from(page)
                .ok()
                .filter(|number| *number <= newest)
                .ok_or_else(|| corrupt(Table::Dead, page, "no ordinal of it was ever given"))?;
            dead.insert_page(number, &bits);
        }
        Ok(dead)
    }

    /// Adds these to the dead.
    pub(super) fn insert_dead(self, ordinals: &Bitmap) -> Result<()> {
        for (number, new) in ordinals.pages() {
            let number = to_sql(number);
            let before = self
                .prepared("SELECT bits, chk FROM dead WHERE page = ?1")?
                .query_row([number], |row| {
                    Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?))
                })
                .optional()
                .map_err(|error| self.unread(error))?;
            let mut bits = match before {
                Some((bits, stored)) => read_page(number, &bits, &stored)?,
                None => [0; PAGE_BYTES],
            };
            for (bits, new) in bits.iter_mut().zip(new) {
                *bits |= new;
            }
            self.prepared("INSERT OR REPLACE INTO dead(page, bits, chk) VALUES (?1, ?2, ?3)")?
                .execute(params![number, bits, check(number, &bits).finish()])
                .map_err(|error| self.unwritten(error))?;
        }
        Ok(())
    }
}
