//! SQLite's own check of pages, for whoever must not miss a row.
//!
//! A row's check says nothing of a row that is not found: one bit of a page's header is enough for its last
//! row to be passed over. SQLite accounts for every byte of a page, and sees that some belong to nobody.
//! Must never: take for damage what the disk did not give.

use std::sync::Arc;

use super::row_check::{Table, corrupt};
use super::session::Session;
use super::unread::failed_reads;
use crate::error::{Result, StoreError};

impl Session<'_> {
    /// Errors: `Corrupt`, if the table's pages are not whole; `Io`. O(pages of the table).
    pub(super) fn expect_whole(self, table: Table) -> Result<()> {
        let faults = self.page_faults(&format!("PRAGMA quick_check('{}')", table.name()))?;
        match faults.first() {
            None => Ok(()),
            Some(line) => {
                let detail = format!("a page of the table is damaged: {}", line.trim());
                Err(corrupt(table, "of some name", detail))
            }
        }
    }

    /// What one of SQLite's checks finds wrong. Errors: `Io` also where SQLite answers all the same: it passes over
    /// a page that it can't read, and takes it for a damaged one.
    pub(super) fn page_faults(self, check: &str) -> Result<Vec<String>> {
        let failed = failed_reads();
        let mut statement = self.prepared(check)?;
        let mut rows = statement.query([]).map_err(|error| self.unread(error))?;
        let mut faults = Vec::new();
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let line: String = row.get(0).map_err(|error| self.unread(error))?;
            if line != "ok" {
                faults.push(line);
            }
        }
        match faults.first() {
            Some(first) if failed_reads() != failed => Err(StoreError::Io {
                action: "check",
                path: self.path().display().to_string(),
                source: Arc::new(std::io::Error::other(first.clone())),
            }),
            _ => Ok(faults),
        }
    }
}
