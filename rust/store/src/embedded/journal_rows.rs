//! The table `journal`: one row per commit. Its check is the chain. What was sealed stands in files, and is
//! read through the same methods.

use rusqlite::{Row, params};

use super::block_rows::{limit_sql, to_sql};
use super::row_order::going_on;
use super::session::Session;
use crate::cursor::Head;
use crate::error::{Result, StoreError};
use crate::journal::{JournalRow, chain};
use crate::ledger::Tip;

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

    /// Those that are not sealed.
    pub(super) fn unsealed_rows(self, after: u64, limit: usize) -> Result<Vec<JournalRow>> {
        let mut statement = self.prepared(
            "SELECT position, at_ms, digest, chain, body FROM journal WHERE position > ?1 ORDER BY position LIMIT ?2",
        )?;
        let mut rows = statement
            .query([to_sql(after), limit_sql(limit)])
            .map_err(|error| self.unread(error))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            found.push(read_row(self, row)?);
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
