//! What SQLite leaves in a page of its tables where no row is.
//!
//! `secure_delete` puts zeros where a row was deleted. But when rows move to a neighbouring page, the page that they leave
//! is built anew from its end, and what stood in front of that stays: copies of rows, which no later deletion finds.
//! So each page is cleaned on its way into the database file: zeros between its list of cells and the first of them.
//! SQLite never reads there.
//!
//! Promises: a byte that belongs to a row, a list or a header is never changed; what is not surely a page of a table or
//! index is left as it is. Never: allocates, unless there is something to clean.

/// Bytes of a page; `docs/format.md`.
const PAGE: usize = 4096;
/// The database's own header, in front of the first page's.
const FILE_HEADER: usize = 100;
/// A page that lists where other pages hang: the second one, and from there on one before each group of so many.
const MAP_GROUP: u64 = 820;
/// The page with the bytes that SQLite locks: never used, and a map that would be there is the next one.
const LOCK_PAGE: u64 = (1 << 30) / PAGE as u64 + 1;
/// In a longer database a page's number may begin with the byte that marks a page of a table, and a page that begins
/// with the number of another one can't be told by that byte any more.
pub(super) use crate::vacuum::CLEAN_DATABASE_BYTES_MAX as DATABASE_BYTES_MAX;

/// The page with zeros where no row is; None if it is so, or is no page of a table. `offset`: where in the database.
pub(super) fn cleaned(bytes: &[u8], offset: u64) -> Option<Vec<u8>> {
    let number = page_number(bytes, offset)?;
    let (start, end) = gap(bytes, number)?;
    if bytes.get(start..end)?.iter().all(|byte| *byte == 0) {
        return None;
    }
    let mut page = bytes.to_vec();
    page.get_mut(start..end)?.fill(0);
    Some(page)
}

fn page_number(bytes: &[u8], offset: u64) -> Option<u64> {
    let number = offset / PAGE as u64 + 1;
    let whole = bytes.len() == PAGE && offset.is_multiple_of(PAGE as u64);
    (whole && !is_map(number)).then_some(number)
}

fn is_map(number: u64) -> bool {
    let Some(behind) = number.checked_sub(2) else {
        return false;
    };
    let first = behind - behind % MAP_GROUP + 2;
    number == first || number == LOCK_PAGE || (first == LOCK_PAGE && number == first + 1)
}

/// Where no row of this page can be: from the end of its list of cells to the first cell. None for a page whose
/// header is not one of a table or index, to the letter.
fn gap(bytes: &[u8], number: u64) -> Option<(usize, usize)> {
    let header = if number == 1 { FILE_HEADER } else { 0 };
    let two = |at: usize| {
        let pair = bytes.get(at..at.checked_add(2)?)?;
        Some(usize::from(u16::from_be_bytes(pair.try_into().ok()?)))
    };
    let length = match bytes.get(header)? {
        2 | 5 => 12,
        10 | 13 => 8,
        _ => return None,
    };
    let list = header + length;
    let start = list + 2 * two(header + 3)?;
    let end = two(header + 5)?;
    let first_free = two(header + 1)?;
    let fits = start <= end && end <= PAGE && (first_free == 0 || first_free >= end);
    let mut cells = (list..start).step_by(2);
    (fits && cells.all(|at| two(at).is_some_and(|cell| cell >= end && cell < PAGE)))
        .then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A leaf of a table with two cells, and something between.
    fn leaf() -> Vec<u8> {
        let mut page = vec![0; PAGE];
        page[0] = 13;
        page[3..5].copy_from_slice(&2u16.to_be_bytes());
        page[5..7].copy_from_slice(&4000u16.to_be_bytes());
        page[8..10].copy_from_slice(&4000u16.to_be_bytes());
        page[10..12].copy_from_slice(&4050u16.to_be_bytes());
        page[12..4000].fill(7);
        page[4000..].fill(9);
        page
    }

    const THIRD: u64 = 2 * PAGE as u64;

    #[test]
    fn only_what_no_row_has_is_cleaned() {
        let page = cleaned(&leaf(), THIRD).unwrap();
        assert_eq!(page[..12], leaf()[..12]);
        assert!(page[12..4000].iter().all(|byte| *byte == 0));
        assert_eq!(page[4000..], leaf()[4000..]);
        assert_eq!(cleaned(&page, THIRD), None, "it is clean");
    }

    #[test]
    fn what_is_not_surely_a_page_of_a_table_stays() {
        let left = |page: &[u8], offset| assert_eq!(cleaned(page, offset), None);
        left(&leaf()[1..], THIRD);
        left(&leaf(), THIRD + 1);
        // Pages 2, 822, 1642: which page hangs where.
        for number in [2, 822, 1642, LOCK_PAGE] {
            left(&leaf(), (number - 1) * PAGE as u64);
        }
        let with = |at: usize, value: &[u8]| {
            let mut page = leaf();
            page[at..at + value.len()].copy_from_slice(value);
            page
        };
        left(&with(0, &[0]), THIRD);
        left(&with(0, &[1]), THIRD);
        // A cell in front of the first, or behind the page; more cells than there is room for; a hole in front.
        left(&with(8, &[0, 100]), THIRD);
        left(&with(10, &[16, 0]), THIRD);
        left(&with(3, &[255, 255]), THIRD);
        left(&with(1, &[0, 50]), THIRD);
        left(&with(5, &[255, 255]), THIRD);
    }

    #[test]
    fn the_first_page_has_the_file_s_header_in_front() {
        let mut page = leaf();
        page.copy_within(0..12, FILE_HEADER);
        page[..FILE_HEADER].fill(13);
        let cleaned = cleaned(&page, 0).unwrap();
        assert_eq!(cleaned[..FILE_HEADER + 12], page[..FILE_HEADER + 12]);
        assert!(
            cleaned[FILE_HEADER + 12..4000]
                .iter()
                .all(|byte| *byte == 0)
        );
    }

    #[test]
    fn maps_stand_where_sqlite_puts_them() {
        // 4096 / 5 + 1 = 820 pages from one to the next.
        let maps: Vec<u64> = (1..2000).filter(|number| is_map(*number)).collect();
        assert_eq!(maps, [2, 822, 1642]);
        assert!(is_map(LOCK_PAGE));
        assert_ne!(
            (LOCK_PAGE - 2) % MAP_GROUP,
            0,
            "else the next one would be the map"
        );
    }
}
