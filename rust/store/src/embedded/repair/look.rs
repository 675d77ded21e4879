//! Look-ups that only a repair makes: rows by more than one way, whatever they are.

use treering_block::Cid;

use crate::embedded::block_rows::{BlockRow, key8};
use crate::embedded::session::Session;
use crate::error::Result;

impl Session<'_> {
    fn numbers(self, sql: &str, bound: &[i64]) -> Result<Vec<u64>> {
        let mut statement = self.prepared(sql)?;
        let mut rows = statement
            .query(rusqlite::params_from_iter(bound))
            .map_err(|error| self.unread(error))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let number: i64 = row.get(0).map_err(|error| self.unread(error))?;
            found.push(number.cast_unsigned());
        }
        Ok(found)
    }

    /// Ordinals of all rows that begin as the block does, broken and dead ones too.
    pub(in crate::embedded) fn ordinals_of(self, cid: &Cid) -> Result<Vec<u64>> {
        self.numbers(
            "SELECT ordinal FROM block WHERE key8 = ?1 ORDER BY ordinal",
            &[key8(cid.digest())],
        )
    }

    /// Sound rows of the block that are alive: one, unless it was stored twice.
    pub(in crate::embedded) fn block_rows_of(self, cid: &Cid) -> Result<Vec<BlockRow>> {
        let mut found = Vec::new();
        for ordinal in self.ordinals_of(cid)? {
            if let Some((Ok(row), false)) = self.row_and_death(ordinal)?
                && row.cid == *cid
            {
                found.push(row);
            }
        }
        Ok(found)
    }

    /// Rows of the graph whose block has no row.
    pub(in crate::embedded) fn lonely_graph_ordinals(self) -> Result<Vec<u64>> {
        self.numbers(
            "SELECT ordinal FROM graph WHERE NOT EXISTS \
             (SELECT 1 FROM block WHERE block.ordinal = graph.ordinal) ORDER BY ordinal",
            &[],
        )
    }
}
