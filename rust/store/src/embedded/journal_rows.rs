//! The table `journal`: one row per commit. Its check is the chain. What was sealed stands in files, and is
//! read through the same methods.
//!
//! Promises: who reads on by pages has one of them in memory, however large the commits are: a body has megabytes where
//! thousands of refs moved at once.

use rusqlite::{Row, params};

use super::block_rows::{limit_sql, to_sql};
use super::row_order::going_on;
use super::session::Session;
use crate::cursor::Head;
use crate::error::{Result, StoreError};
use crate::journal::{JournalRow, chain};
use crate::ledger::Tip;

/// A page ends with the commit that it has so many bytes of bodies with …
const PAGE_BYTES_MAX: usize = 1 << 20;
/// … or so many commits.
const PAGE_ROWS_MAX: usize = 256;

fn broken(position: i64, detail: &str) -> StoreError {
    StoreError::Corrupt {
        what: "journal row",
        which: position.to_string(),
        detail: detail.to_owned(),
    }
}

/// Reads position, at_ms, digest, chain, body as they stand.
fn read_row(session: Session<'_>, row: &Row<'_>) -> Result<JournalRow> {
    let unread = |error| session.unread(error);
    let position: i64 = row.get(0).map_err(unread)?;
    Ok(JournalRow {
        position: u64::try_from(position)
            .map_err(|_| broken(position, "its position is negative"))?,
        at_ms: row.get(1).map_err(unread)?,
        body_digest: digest(row, 2, position)?,
        chain: digest(row, 3, position)?,
        body: row
            .get(4)
            .map_err(|_| broken(position, "its body is not there"))?,
    })
}

fn digest(row: &Row<'_>, column: usize, position: i64) -> Result<[u8; 32]> {
    row.get::<_, [u8; 32]>(column)
        .map_err(|_| broken(position, "a digest has not 32 bytes"))
}

impl Session<'_> {
    /// The newest commit, its chain checked against the one before. O(1): bodies are not read. Where the table is
    /// empty, the end of what left it: then its newest commits are lost, since the newest of all never leaves.
    pub(super) fn tip_row(self) -> Result<Tip> {
        let mut statement = self.prepared(
            "SELECT position, at_ms, digest, chain FROM journal ORDER BY position DESC LIMIT 2",
        )?;
        let mut rows = statement.query([]).map_err(|error| self.unread(error))?;
        let Some(row) = rows.next().map_err(|error| self.unread(error))? else {
            return self.sealed_end();
        };
        let position: i64 = row.get(0).map_err(|error| self.unread(error))?;
        let at_ms: i64 = row.get(1).map_err(|error| self.unread(error))?;
        let (body_digest, stored) = (digest(row, 2, position)?, digest(row, 3, position)?);
        let number =
            u64::try_from(position).map_err(|_| broken(position, "its position is negative"))?;
        let previous = match rows.next().map_err(|error| self.unread(error))? {
            Some(row) => digest(row, 3, position)?,
            // All before it is sealed, or there is nothing before it.
            None => self
                .chain_at(number.saturating_sub(1))?
                .ok_or_else(|| broken(position, "the commit before it is missing"))?,
        };
        if chain(&previous, number, at_ms, &body_digest) != stored {
            return Err(broken(
                position,
                "the chain does not follow from the previous commit",
            ));
        }
        Ok(Tip {
            head: Head {
                position: number,
                chain: stored,
            },
            at_ms,
        })
    }

    /// Commits after `after`, oldest first, from the oldest that is kept on; those in the table as they
    /// stand: the caller checks them.
    pub(super) fn journal_rows(self, after: u64, limit: usize) -> Result<Vec<JournalRow>> {
        // A commit goes from the table to a file, in one transaction, and never back: asked in this order,
        // each is met in one of the two.
        let rows = self.unsealed_rows(after, limit)?;
        if limit == 0 || rows.first().map(|row| row.position) == after.checked_add(1) {
            return Ok(rows);
        }
        let mut found = self.sealed_rows(after, limit)?;
        let Some(last) = found.last().map(|row| row.position) else {
            return Ok(rows);
        };
        if found.len() < limit {
            found.extend(self.unsealed_rows(last, limit.saturating_sub(found.len()))?);
        }
        Ok(found)
    }

    /// The same for who reads on until there is no more: as many as fit into the memory of a page, one at least.
    pub(super) fn journal_page(self, after: u64) -> Result<Vec<JournalRow>> {
        let rows = self.unsealed_page(after)?;
        if rows.first().map(|row| row.position) == after.checked_add(1) {
            return Ok(rows);
        }
        let sealed = self.next_sealed_rows(after)?;
        Ok(if sealed.is_empty() { rows } else { sealed })
    }

    /// Of those that are not sealed.
    pub(super) fn unsealed_page(self, after: u64) -> Result<Vec<JournalRow>> {
        self.rows_of_table(after, PAGE_ROWS_MAX, PAGE_BYTES_MAX)
    }

    /// Those that are not sealed. All of `limit` are in memory.
    pub(super) fn unsealed_rows(self, after: u64, limit: usize) -> Result<Vec<JournalRow>> {
        self.rows_of_table(after, limit, usize::MAX)
    }

    /// None after those that have so many bytes together.
    fn rows_of_table(self, after: u64, limit: usize, bytes_max: usize) -> Result<Vec<JournalRow>> {
        let mut statement = self.prepared(
            "SELECT position, at_ms, digest, chain, body FROM journal WHERE position > ?1 ORDER BY position LIMIT ?2",
        )?;
        let mut rows = statement
            .query([to_sql(after), limit_sql(limit)])
            .map_err(|error| self.unread(error))?;
        let (mut found, mut bytes) = (Vec::new(), 0usize);
        while bytes < bytes_max
            && let Some(row) = rows.next().map_err(|error| self.unread(error))?
        {
            let row = read_row(self, row)?;
            bytes = bytes.saturating_add(row.body.len());
            found.push(row);
        }
        going_on(
            found,
            |row| row.position > after,
            |one, other| one.position.cmp(&other.position),
            |row| broken(to_sql(row.position), "the table is out of order here"),
        )
    }

    /// The chain after commit `position`; None if there is no such commit, or no more.
    pub(super) fn chain_at(self, position: u64) -> Result<Option<[u8; 32]>> {
        if position == 0 {
            return Ok(Some([0; 32]));
        }
        match self.unsealed_chain_at(position)? {
            Some(chain) => Ok(Some(chain)),
            None => self.sealed_chain_at(position),
        }
    }

    /// The chain after a commit that is in the table.
    pub(super) fn unsealed_chain_at(self, position: u64) -> Result<Option<[u8; 32]>> {
        let mut statement = self.prepared("SELECT chain FROM journal WHERE position = ?1")?;
        let mut rows = statement
            .query([to_sql(position)])
            .map_err(|error| self.unread(error))?;
        match rows.next().map_err(|error| self.unread(error))? {
            Some(row) => digest(row, 0, to_sql(position)).map(Some),
            None => Ok(None),
        }
    }

    /// The number of the newest commit; 0 for none.
    pub(super) fn position(self) -> Result<u64> {
        self.number("SELECT coalesce(max(position), 0) FROM journal")
            .and_then(|position| {
                u64::try_from(position).map_err(|_| broken(position, "its position is negative"))
            })
    }

    pub(super) fn insert_journal_row(self, row: &JournalRow) -> Result<()> {
        self.kept(
            "INSERT INTO journal(position, at_ms, digest, chain, body) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            to_sql(row.position),
            row.at_ms,
            row.body_digest,
            row.chain,
            row.body
        ])
        .map(drop)
        .map_err(|error| self.unwritten(error))
    }

    /// Takes commits out of the table: they are in a file whose name is in this transaction.
    pub(super) fn delete_journal_rows(self, first: u64, last: u64) -> Result<usize> {
        self.prepared("DELETE FROM journal WHERE position BETWEEN ?1 AND ?2")?
            .execute([to_sql(first), to_sql(last)])
            .map_err(|error| self.unwritten(error))
    }
}

#[cfg(test)]
mod tests {
    use treering_block::Block;

    use crate::commit::{Change, Commit, Expect, RefMove};
    use crate::embedded::remains::{Page, Place};
    use crate::embedded::{EmbeddedStore, OpenOptions};
    use crate::journal::JournalRow;
    use crate::name::RefName;
    use crate::store::Store;

    /// A commit whose body has some 400 kB.
    fn move_many(store: &EmbeddedStore, number: u64) {
        let block = Block::raw(number.to_le_bytes().to_vec());
        let long = "n".repeat(900);
        let moves = (0..450).map(|part| RefMove {
            name: RefName::new("main", "thread", [format!("{part}{long}")]).unwrap(),
            expect: Expect::Any,
            change: Change::Set {
                target: block.cid,
                record: Vec::new(),
            },
        });
        let commit = Commit {
            scope: "main".into(),
            moves: moves.collect(),
            blocks: vec![block.clone()],
            ..Commit::default()
        };
        store.submit(commit).wait().unwrap();
    }

    #[test]
    fn a_page_has_no_more_bytes_than_it_may_and_one_commit() {
        let home = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(home.path(), &OpenOptions::default()).unwrap();
        (0..24).for_each(|number| move_many(&store, number));
        let pages = |store: &EmbeddedStore| {
            store
                .reading(|session| {
                    let mut pages = Vec::new();
                    let mut after = 0;
                    loop {
                        let page = session.journal_page(after)?;
                        let Some(last) = page.last() else {
                            return Ok(pages);
                        };
                        after = last.position;
                        pages.push(page);
                    }
                })
                .unwrap()
        };
        let positions = |pages: &[Vec<JournalRow>]| -> Vec<u64> {
            pages.iter().flatten().map(|row| row.position).collect()
        };
        let read = pages(&store);
        assert_eq!(positions(&read), Vec::from_iter(1..=24));
        let body = read[0][0].body.len();
        assert!(body > 300_000 && body < 512 << 10, "{body}");
        assert!(read.iter().all(|page| page.len() == 3), "{read:?}");
        // What an erase reads of them, and what goes into a sealed file.
        let (page, place) = store
            .reading(|session| session.remains("main", Place::Commits(3), u64::MAX))
            .unwrap();
        assert!(matches!(page, Page::Commits(positions) if positions == [4, 5, 6]));
        assert!(matches!(place, Place::Commits(6)));
        let sealed = store.seal_journal(4).unwrap();
        assert_eq!((sealed.files, sealed.commits), (3, 20));
        let read = pages(&store);
        assert_eq!(positions(&read), Vec::from_iter(1..=24));
        assert_eq!(Vec::from_iter(read.iter().map(Vec::len)), [9, 9, 2, 3, 1]);
    }
}
