//! Collects a copy that has no name yet, and no large blocks: what nothing reaches is not copied, and goes to no bucket. One that
//! keeps versions would keep it for good.
//!
//! Must never: collect a copy that anybody else can see.

use super::database::drop_dead;
use crate::embedded::gc::Moment;
use crate::embedded::session::Session;
use crate::error::Result;
use crate::gc::garbage;

/// Deletes the rows of blocks that neither refs nor holds reach; `now_ms`: holds that ended by then are none. Errors: `Corrupt`,
/// those of a commit.
pub(super) fn collect(copy: Session<'_>, now_ms: i64) -> Result<()> {
    let totals = copy.totals()?;
    let mut moment = Moment {
        session: copy,
        tiers: &[],
        next_ordinal: totals.next_ordinal,
        blocks: totals.blocks,
        refs_sum: totals.refs_sum,
    };
    let (dead, gone) = garbage(&mut moment, now_ms)?;
    if dead.is_empty() {
        return Ok(());
    }
    let generation = copy.gc_generation()?.saturating_add(1);
    copy.run("BEGIN IMMEDIATE", "write")?;
    copy.delete_ended_holds(0..totals.next_ordinal, now_ms)?;
    copy.insert_dead(&dead)?;
    copy.write_gc_generation(generation)?;
    drop_dead(copy, &dead)?;
    copy.write_totals(totals.without(gone))?;
    copy.run("COMMIT", "write")
}
