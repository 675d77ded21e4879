//! SQLite's own check of a table's pages, for whoever must not miss a row.
//!
//! A row's check says nothing of a row that is not found: one bit of a page's header is enough for its last
//! row to be passed over. SQLite accounts for every byte of a page, and sees that some belong to nobody.

use super::row_check::{Table, corrupt};
use super::session::Session;
use crate::error::Result;

impl Session<'_> {
    /// Errors: `Corrupt`, if the table's pages are not whole. O(pages of the table).
    pub(super) fn expect_whole(self, table: Table) -> Result<()> {
        let mut statement = self.prepared(&format!("PRAGMA quick_check('{}')", table.name()))?;
        let mut rows = statement.query([]).map_err(|error| self.unread(error))?;
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let line: String = row.get(0).map_err(|error| self.unread(error))?;
            if line != "ok" {
                let detail = format!("a page of the table is damaged: {}", line.trim());
                return Err(corrupt(table, "of some name", detail));
            }
        }
        Ok(())
    }
}
