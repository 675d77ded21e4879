//! Pages of rows in a table whose order a flipped bit has broken: without this a reader goes round for ever.
//!
//! Whoever reads a table page by page goes on behind the last row of the one before. SQLite finds that place
//! by the keys, and trusts them to grow; where one does not, it gives out rows that were there before.
//! Promises: the last row of a page stands behind the place that the page was read from, so that every walk ends; no
//! row is left out or brought into another order where the table is sound.

use std::cmp::Ordering;

use crate::error::{Result, StoreError};

/// A page that can be gone on from: its last row `is_behind` where it began. If the last is not, the greatest
/// of the page takes its place.
///
/// Errors: what `broken` says, if no row of the page is behind.
pub(super) fn going_on<R>(
    mut page: Vec<R>,
    is_behind: impl Fn(&R) -> bool,
    order: impl Fn(&R, &R) -> Ordering,
    broken: impl FnOnce(&R) -> StoreError,
) -> Result<Vec<R>> {
    if page.last().is_none_or(&is_behind) {
        return Ok(page);
    }
    let greatest = page
        .iter()
        .enumerate()
        .max_by(|(_, one), (_, other)| order(one, other))
        .map_or(0, |(place, _)| place);
    let end = page.len().saturating_sub(1);
    page.swap(greatest, end);
    match page.last() {
        Some(last) if !is_behind(last) => Err(broken(last)),
        _ => Ok(page),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(rows: &[u64], after: u64) -> Result<Vec<u64>> {
        let broken = |row: &u64| StoreError::Corrupt {
            what: "row",
            which: row.to_string(),
            detail: "out of order".into(),
        };
        going_on(rows.to_vec(), |row| *row > after, u64::cmp, broken)
    }

    #[test]
    fn the_last_row_is_behind_or_there_is_none() {
        assert_eq!(page(&[], 5).unwrap(), []);
        assert_eq!(page(&[6, 7, 9], 5).unwrap(), [6, 7, 9]);
        assert_eq!(
            page(&[6, 70, 9], 5).unwrap(),
            [6, 70, 9],
            "no row is moved without need"
        );
        assert_eq!(page(&[6, 9, 7, 3], 5).unwrap(), [6, 3, 7, 9]);
        assert!(page(&[3, 5, 1], 5).is_err());
    }
}
