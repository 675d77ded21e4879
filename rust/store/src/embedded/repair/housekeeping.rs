//! Receipts, from the commits that left them; holds, leases and the pages of the dead, which are no history:
//! where nothing proves what they were, they become what does no harm.

use std::collections::HashSet;

use super::mends::Mend;
use super::one_byte::mend_row;
use super::raw::{Cell, RawRow, each_row, row_at};
use super::totals::ONE_BYTE;
use crate::embedded::housekeeping_rows::{payload_column, second_key};
use crate::embedded::row_check::Table;
use crate::embedded::session::Session;
use crate::error::Result;
use crate::findings::Check;
use crate::journal::JournalCommand;
use crate::store::HOLD_MS;

/// The mend of a receipt that is not what its commit left; None if it is.
pub(super) fn receipt(
    session: Session<'_>,
    position: u64,
    scope: &str,
    left: &JournalCommand,
) -> Result<Option<Mend>> {
    let first = row_at(session, Table::Receipt, &[Cell::Blob(left.key.to_vec())])?;
    let of_another = |row: &RawRow| row.is_sound() && *row.cell(1) != Cell::text(scope);
    // It may be the second still where the first is gone: with its scope, or by damage.
    let second = second_key(&left.key, scope);
    let there = row_at(session, Table::Receipt, &[Cell::Blob(second.clone())])?;
    let key = if there.is_some() || first.as_ref().is_some_and(of_another) {
        second
    } else {
        left.key.to_vec()
    };
    let row = |payload: Vec<u8>| {
        RawRow::new(
            Table::Receipt,
            vec![
                Cell::Blob(key.clone()),
                Cell::text(scope),
                Cell::Blob(payload),
                Cell::Blob(left.receipt.clone()),
            ],
        )
    };
    let after = row(payload_column(&left.payload, position));
    let before = row_at(session, Table::Receipt, after.key())?;
    // Earlier versions did not note the position.
    let earlier = row(left.payload.to_vec());
    if before.as_ref() == Some(&after) || before.as_ref() == Some(&earlier) {
        return Ok(None);
    }
    Ok(Some(Mend::row(
        Check::Receipt,
        before,
        after,
        "written anew from the commit that left it",
    )))
}

/// Receipts that no commit left. `keys`: those that commits left; the journal is whole. A sound one stays.
pub(super) fn mend_receipts(
    session: Session<'_>,
    keys: &HashSet<[u8; 32]>,
    mends: &mut Vec<Mend>,
) -> Result<()> {
    each_row(session, Table::Receipt, &mut |row| {
        let known = row
            .cell(0)
            .bytes()
            .and_then(|key| key.first_chunk::<32>())
            .is_some_and(|key| keys.contains(key));
        if !known && !row.is_sound() {
            mends.push(Mend::delete(
                Check::Receipt,
                row,
                "it does not match its check, and every receipt that a commit left is there without it",
            ));
        }
        Ok(())
    })
}

/// Holds that are broken, and those whose block is gone for good.
pub(super) fn mend_holds(session: Session<'_>, now_ms: i64, mends: &mut Vec<Mend>) -> Result<()> {
    let lonely: HashSet<u64> = session.lonely_graph_ordinals()?.into_iter().collect();
    each_row(session, Table::Hold, &mut |row| {
        let ordinal = row.cell(0).int().unwrap_or(0).cast_unsigned();
        let there = session.cid_of(ordinal);
        if matches!(there, Ok(None)) && !lonely.contains(&ordinal) {
            mends.push(Mend::delete(
                Check::Hold,
                row,
                "its block is gone, so that it holds nothing",
            ));
        } else if !row.is_sound() {
            let (after, detail) = match mend_row(&row) {
                Some(sound) => (sound, ONE_BYTE.to_owned()),
                None => {
                    let mut cells = row.cells.clone();
                    if let Some(end) = cells.get_mut(2) {
                        *end = Cell::Int(now_ms.saturating_add(HOLD_MS));
                    }
                    (
                        RawRow::new(Table::Hold, cells),
                        "when it ends is lost; it holds for 24 hours from now".to_owned(),
                    )
                }
            };
            mends.push(Mend::row(Check::Hold, Some(row), after, detail));
        }
        Ok(())
    })
}

/// Leases that are broken. One that nothing proves is given back, with a token that nobody was granted:
/// whoever held it finds it lost, which is what a lease promises.
pub(super) fn mend_leases(session: Session<'_>, now_ms: i64, mends: &mut Vec<Mend>) -> Result<()> {
    each_row(session, Table::Lease, &mut |row| {
        if row.is_sound() {
            return Ok(());
        }
        let (after, detail) = match mend_row(&row) {
            Some(sound) => (sound, ONE_BYTE),
            None => {
                let mut cells = row.cells.clone();
                // Granted once a millisecond since 1970, a token would not have come as far.
                let token = row.cell(1).int().unwrap_or(0).max(now_ms).saturating_add(1);
                for (column, cell) in [(1, Cell::Int(token)), (8, Cell::Int(0))] {
                    if let Some(place) = cells.get_mut(column) {
                        *place = cell;
                    }
                }
                (
                    RawRow::new(Table::Lease, cells),
                    "given back, with a token that nobody was granted",
                )
            }
        };
        mends.push(Mend::row(Check::Lease, Some(row), after, detail));
        Ok(())
    })
}

/// Pages of the dead that are broken.
pub(super) fn mend_dead(session: Session<'_>, mends: &mut Vec<Mend>) -> Result<()> {
    each_row(session, Table::Dead, &mut |row| {
        if !row.is_sound()
            && let Some(sound) = mend_row(&row)
        {
            mends.push(Mend::row(Check::BlockRow, Some(row), sound, ONE_BYTE));
        }
        Ok(())
    })
}
