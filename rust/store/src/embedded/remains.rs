//! What is left of a scope behind its refs, a page at a time: receipts, holds, and what its commits say.
//!
//! Promises: bounded memory, however much there is; a row that can't be read, and might be the scope's, is an error.
//! Must never: write.

use super::session::Session;
use crate::error::{Result, StoreError};
use crate::journal::{JournalRow, digest_of_body};
use crate::sealed::SealedFile;

/// Receipts and holds that are read at a time.
const PAGE: usize = 256;

/// Some of it, to be taken away before the next page is read, or not.
pub(super) enum Page {
    /// Keys.
    Receipts(Vec<[u8; 32]>),
    /// Ordinals.
    Holds(Vec<u64>),
    /// Positions of its commits in the table.
    Commits(Vec<u64>),
}

/// Where the next page begins. O(journal in the table + receipts of the store) from the first to the last.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// Behind the receipt with that key.
    Receipts(Option<[u8; 32]>),
    /// Behind that ordinal.
    Holds(u64),
    /// Behind that position.
    Commits(u64),
    /// Behind all of it.
    End,
}

impl Place {
    pub(super) const FIRST: Self = Self::Receipts(None);
}

impl Session<'_> {
    /// The page at that place, and the place behind it. `until`: commits behind it are not the scope's. Errors: `Corrupt` for
    /// the first row that can't be read.
    pub(super) fn remains(self, scope: &str, place: Place, until: u64) -> Result<(Page, Place)> {
        match place {
            Place::Receipts(after) => {
                let page = self.receipt_rows_of(scope, after.as_ref(), PAGE)?;
                let keys: Vec<_> = page.into_iter().map(|(key, _)| key).collect();
                let next = match keys.last() {
                    Some(last) => Place::Receipts(Some(*last)),
                    None => Place::Holds(0),
                };
                Ok((Page::Receipts(keys), next))
            }
            Place::Holds(after) => {
                let page = self.holds_of(scope, after, PAGE)?;
                let ordinals: Vec<_> = page.into_iter().map(|(ordinal, _)| ordinal).collect();
                let next = match ordinals.last() {
                    Some(last) => Place::Holds(*last),
                    None => Place::Commits(0),
                };
                Ok((Page::Holds(ordinals), next))
            }
            Place::Commits(after) => {
                let page = self.unsealed_page(after)?;
                let next = match page.last() {
                    Some(last) if last.position < until => Place::Commits(last.position),
                    _ => Place::End,
                };
                let mut positions = Vec::new();
                for row in page.iter().take_while(|row| row.position <= until) {
                    if is_of(row, scope)? {
                        positions.push(row.position);
                    }
                }
                Ok((Page::Commits(positions), next))
            }
            Place::End => Ok((Page::Commits(Vec::new()), Place::End)),
        }
    }

    /// How many of a file's commits are the scope's.
    pub(super) fn count_commits_of(self, scope: &str, file: &SealedFile) -> Result<u64> {
        let mut count = 0;
        for row in self.sealed_commits(file)? {
            count += u64::from(is_of(&row, scope)?);
        }
        Ok(count)
    }
}

/// Whether the commit was about this scope. Errors: `Corrupt` where that can't be told.
pub(super) fn is_of(row: &JournalRow, scope: &str) -> Result<bool> {
    if digest_of_body(row.position, &row.body) != row.body_digest {
        return Err(StoreError::Corrupt {
            what: "journal row",
            which: row.position.to_string(),
            detail: "the body does not hash to its digest, so that nobody knows whose it is".into(),
        });
    }
    let entry = row.entry()?;
    Ok(!entry.blank && entry.scope == scope)
}

/// The commits of a file without what those of the scope said, and how many these are.
pub(super) fn without_scope(rows: Vec<JournalRow>, scope: &str) -> Result<(Vec<JournalRow>, u64)> {
    let mut count = 0;
    let strip = |row: JournalRow| {
        Ok(if is_of(&row, scope)? {
            count += 1;
            row.erased()
        } else {
            row
        })
    };
    let rows = rows.into_iter().map(strip).collect::<Result<_>>()?;
    Ok((rows, count))
}
