//! What takes room in the database, by pages: rows of blocks, the journal, receipts, the rest, free pages.
//!
//! O(pages): each page is looked at once.

use super::session::Session;
use crate::error::Result;
use crate::stats::StoreStats;

impl Session<'_> {
    /// The figures of the database, of one moment.
    pub(super) fn measure(self, now_ms: i64) -> Result<StoreStats> {
        self.run("BEGIN", "read")?;
        let measured = self.count_rows().and_then(|mut stats| {
            self.measure_tables(&mut stats)?;
            self.measure_garbage(now_ms, &mut stats)?;
            Ok(stats)
        });
        // Ends a read; if it fails, the connection is not used again.
        drop(self.run("ROLLBACK", "read"));
        measured
    }

    /// Blocks that are files or objects, dead ones too, and their bytes.
    pub(super) fn measure_files(self) -> Result<(u64, u64)> {
        let number = |what: &str| {
            self.number(&format!("SELECT {what} FROM block WHERE file IS NOT NULL"))
                .map(i64::cast_unsigned)
        };
        Ok((number("count(*)")?, number("coalesce(sum(size), 0)")?))
    }

    fn count_rows(self) -> Result<StoreStats> {
        let totals = self.totals()?;
        let count = |table: &str| {
            self.number(&format!("SELECT count(*) FROM {table}"))
                .map(i64::cast_unsigned)
        };
        Ok(StoreStats {
            blocks: totals.blocks,
            nodes: totals.nodes,
            block_bytes: totals.block_bytes,
            links: totals.links,
            refs: self.count_refs()?,
            commits: self.position()?,
            receipts: count("receipt")?,
            holds: count("hold")?,
            ..StoreStats::default()
        })
    }

    /// Fills in the figures of the tables.
    fn measure_tables(self, stats: &mut StoreStats) -> Result<()> {
        let mut statement =
            self.prepared("SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE")?;
        let mut rows = statement.query([]).map_err(|error| self.unread(error))?;
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let (name, bytes): (String, i64) = row
                .get(0)
                .and_then(|name| Ok((name, row.get(1)?)))
                .map_err(|error| self.unread(error))?;
            let sum = match name.as_str() {
                "block" | "block_key8" | "graph" | "dead" => &mut stats.block_row_bytes,
                "journal" => &mut stats.journal_bytes,
                "receipt" => &mut stats.receipt_bytes,
                _ => &mut stats.other_bytes,
            };
            *sum = sum.saturating_add(bytes.cast_unsigned());
        }
        let free = self.number("PRAGMA freelist_count")?;
        let page = self.number("PRAGMA page_size")?;
        stats.free_bytes = free.saturating_mul(page).cast_unsigned();
        Ok(())
    }

    /// Fills in what is known of garbage.
    fn measure_garbage(self, now_ms: i64, stats: &mut StoreStats) -> Result<()> {
        let rows = self.number("SELECT count(*) FROM block")?.cast_unsigned();
        stats.dead_blocks = rows.saturating_sub(stats.blocks);
        stats.gc_generation = self.gc_generation()?;
        let learned = self.learned()?.unwrap_or_default();
        stats.gc_at_ms = u64::try_from(learned.at_ms).unwrap_or(0);
        stats.gc_kept = learned.kept;
        stats.gc_deleted = learned.deleted;
        stats.gc_freed_bytes = learned.freed_bytes;
        stats.garbage_blocks = learned.garbage;
        stats.garbage_bytes = learned.garbage_bytes;
        stats.garbage_estimate = learned.may_be_garbage(&self.figured(now_ms)?);
        Ok(())
    }
}
