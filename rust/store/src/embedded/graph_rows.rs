//! The table `graph`: the ordinals that each block links to. A collection reads all of it.
//!
//! Must never: answer from a row that does not match its check.

use std::panic::resume_unwind;
use std::sync::mpsc::sync_channel;

use rusqlite::{Row, params};

use super::block_rows::{limit_sql, to_sql};
use super::links_codec;
use super::row_check::{RowCheck, Table, corrupt, out_of_order};
use super::session::Session;
use super::sqlite_error::io_error;
use crate::error::{Result, StoreError};
use crate::gc::{Bitmap, GraphPage};

impl Session<'_> {
    /// Stores what a block links to; every block has its row, so that a missing one is noticed.
    pub(super) fn insert_links(self, ordinal: u64, links: &[u64]) -> Result<()> {
        let encoded = links_codec::encode(ordinal, links)?;
        let ordinal = to_sql(ordinal);
        self.kept("INSERT INTO graph(ordinal, links, chk) VALUES (?1, ?2, ?3)")?
            .execute(params![
                ordinal,
                encoded,
                links_check(ordinal, &encoded).finish()
            ])
            .map(drop)
            .map_err(|error| self.unwritten(error))
    }

    /// The ordinals that a block links to. Errors: `Corrupt` when the row is missing or broken.
    pub(super) fn links(self, ordinal: u64) -> Result<Vec<u64>> {
        let mut statement = self.prepared("SELECT links, chk FROM graph WHERE ordinal = ?1")?;
        let mut rows = statement
            .query([to_sql(ordinal)])
            .map_err(|error| self.unread(error))?;
        let Some(row) = rows.next().map_err(|error| self.unread(error))? else {
            return Err(corrupt(Table::Graph, ordinal, "the row is missing"));
        };
        let (encoded, stored): (Vec<u8>, Vec<u8>) = row
            .get(0)
            .and_then(|links| Ok((links, row.get(1)?)))
            .map_err(|error| self.unread(error))?;
        read_links(ordinal, &encoded, &stored)
    }

    /// Graph rows below `below`, falling, at most `limit`; those that `dead` has are not decoded.
    ///
    /// Many are read here while another thread checks and decodes those before them, which takes as long.
    pub(super) fn graph_rows_down(
        self,
        below: u64,
        limit: usize,
        dead: &Bitmap,
    ) -> Result<GraphPage> {
        if limit <= CHECKED_APART {
            let mut page = GraphPage::default();
            self.raw_graph_rows_down((below, limit), dead, &mut |rows| {
                rows.check(dead, &mut page)
            })?;
            return Ok(page);
        }
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel::<RawGraphRows>(2);
            let check = move || -> Result<GraphPage> {
                let mut page = GraphPage::default();
                for rows in receiver {
                    rows.check(dead, &mut page)?;
                }
                Ok(page)
            };
            let checking = std::thread::Builder::new()
                .name("treering-mark".into())
                .spawn_scoped(scope, check)
                .map_err(|error| io_error("start a thread to mark", self.path(), error))?;
            // Whoever checks says why, if nobody takes them any more.
            let read = self.raw_graph_rows_down((below, limit), dead, &mut |rows| {
                sender.send(rows).map_err(|_| StoreError::Closed)
            });
            drop(sender);
            let page = checking
                .join()
                .unwrap_or_else(|panic| resume_unwind(panic))?;
            read.map(|()| page)
        })
    }

    /// The same rows as they stand, some at a time.
    fn raw_graph_rows_down(
        self,
        (below, limit): (u64, usize),
        dead: &Bitmap,
        take: &mut dyn FnMut(RawGraphRows) -> Result<()>,
    ) -> Result<()> {
        let mut above = below;
        let mut read = RawGraphRows::default();
        let mut statement = self.prepared(
            "SELECT ordinal, links, chk FROM graph WHERE ordinal < ?1 ORDER BY ordinal DESC LIMIT ?2",
        )?;
        let mut rows = statement
            .query([to_sql(below), limit_sql(limit)])
            .map_err(|error| self.unread(error))?;
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let ordinal = self.graph_ordinal(row)?;
            // The row of a dead block is not looked into, so its ordinal is not checked below.
            if ordinal >= above {
                return Err(out_of_order(Table::Graph, ordinal));
            }
            above = ordinal;
            let (links, stored) = if dead.contains(ordinal) {
                Default::default()
            } else {
                self.graph_columns(row, ordinal)?
            };
            read.push(ordinal, links, stored);
            if read.rows.len() == CHECKED_APART {
                take(std::mem::take(&mut read))?;
            }
        }
        take(read)
    }

    /// Every graph row from `from` on, growing.
    pub(super) fn graph_rows_from(
        self,
        from: u64,
        visit: &mut dyn FnMut(u64, &[u64]) -> Result<()>,
    ) -> Result<()> {
        let mut statement = self.prepared(
            "SELECT ordinal, links, chk FROM graph WHERE ordinal >= ?1 ORDER BY ordinal",
        )?;
        let mut rows = statement
            .query([to_sql(from)])
            .map_err(|error| self.unread(error))?;
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let ordinal = self.graph_ordinal(row)?;
            visit(ordinal, &self.graph_links(row, ordinal)?)?;
        }
        Ok(())
    }

    fn graph_ordinal(self, row: &Row<'_>) -> Result<u64> {
        let ordinal: i64 = row.get(0).map_err(|error| self.unread(error))?;
        u64::try_from(ordinal)
            .map_err(|_| corrupt(Table::Graph, ordinal, "its ordinal is negative"))
    }

    fn graph_links(self, row: &Row<'_>, ordinal: u64) -> Result<Vec<u64>> {
        let (encoded, stored) = self.graph_columns(row, ordinal)?;
        read_links(ordinal, encoded, stored)
    }

    /// Links and check of a row, as they stand.
    fn graph_columns<'r>(self, row: &'r Row<'_>, ordinal: u64) -> Result<(&'r [u8], &'r [u8])> {
        let blob = |column| {
            row.get_ref(column)
                .map_err(|error| self.unread(error))?
                .as_blob()
                .map_err(|_| corrupt(Table::Graph, ordinal, "a column is not bytes"))
        };
        Ok((blob(1)?, blob(2)?))
    }
}

/// Links as long as those of all but a few blocks.
const SHORT_LINKS: usize = 48;

/// Compares a graph row with its check; a short one in one go, since a collection does so for every block.
fn expect_links(ordinal: u64, encoded: &[u8], stored: &[u8]) -> Result<()> {
    let mut row = [0; 16 + SHORT_LINKS];
    let (numbers, links) = row.split_at_mut(16);
    let (first, second) = numbers.split_at_mut(8);
    let Some(place) = links.get_mut(..encoded.len()) else {
        return links_check(to_sql(ordinal), encoded).expect(stored, ordinal);
    };
    first.copy_from_slice(&to_sql(ordinal).to_le_bytes());
    second.copy_from_slice(&(encoded.len() as u64).to_le_bytes());
    place.copy_from_slice(encoded);
    match row.get(..16 + encoded.len()) {
        Some(columns) => Table::Graph.expect(columns, stored, ordinal),
        None => links_check(to_sql(ordinal), encoded).expect(stored, ordinal),
    }
}

fn links_check(ordinal: i64, links: &[u8]) -> RowCheck {
    RowCheck::new(Table::Graph).int(ordinal).bytes(links)
}

/// So many graph rows go to whoever checks them at once; fewer are checked on the spot.
const CHECKED_APART: usize = 1024;

/// Graph rows as they stand.
#[derive(Default)]
struct RawGraphRows {
    /// Ordinal; where the row's links end in `bytes`, and its check.
    rows: Vec<(u64, usize, usize)>,
    bytes: Vec<u8>,
}

impl RawGraphRows {
    fn push(&mut self, ordinal: u64, links: &[u8], stored: &[u8]) {
        self.bytes.extend_from_slice(links);
        let links_end = self.bytes.len();
        self.bytes.extend_from_slice(stored);
        self.rows.push((ordinal, links_end, self.bytes.len()));
    }

    /// Adds them to the page, each compared with its check. Errors: `Corrupt`.
    fn check(self, dead: &Bitmap, page: &mut GraphPage) -> Result<()> {
        let mut start = 0;
        for (ordinal, links_end, end) in self.rows {
            let links = self.bytes.get(start..links_end).unwrap_or_default();
            let stored = self.bytes.get(links_end..end).unwrap_or_default();
            start = end;
            if dead.contains(ordinal) {
                page.push_dead(ordinal);
                continue;
            }
            expect_links(ordinal, links, stored)?;
            page.push_read(ordinal, |out| {
                links_codec::decode_into(ordinal, links, out)
                    .map_err(|detail| corrupt(Table::Graph, ordinal, detail))
            })?;
        }
        Ok(())
    }
}

/// Decodes and checks the columns links, chk of a row.
fn read_links(ordinal: u64, encoded: &[u8], stored: &[u8]) -> Result<Vec<u64>> {
    expect_links(ordinal, encoded, stored)?;
    links_codec::decode(ordinal, encoded).map_err(|detail| corrupt(Table::Graph, ordinal, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_graph_row_is_checked_as_a_long_one_is() {
        for length in 0..2 * SHORT_LINKS {
            let encoded = vec![7; length];
            let check = links_check(9, &encoded).finish();
            assert!(expect_links(9, &encoded, &check).is_ok(), "{length}");
            assert!(expect_links(8, &encoded, &check).is_err());
            let mut other = check;
            other[15] ^= 1;
            assert!(expect_links(9, &encoded, &other).is_err());
            assert!(expect_links(9, &encoded, &check[..15]).is_err());
        }
    }
}
