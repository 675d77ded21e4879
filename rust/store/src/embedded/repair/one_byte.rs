//! The proof that needs no other row: a hash that one changed byte satisfies.
//!
//! A check has 16 bytes, a digest 32. That a wrong guess among the few hundred thousand rows that differ
//! from a broken one in a single byte matches its check has a probability below 2⁻¹⁰⁰; so does a computed
//! check that differs from the stored one in one byte only although the columns are wrong.
//! Promises: bounded work; what is returned satisfies the hash.

use super::raw::{Cell, RawRow, key_columns};
use crate::embedded::row_check::CHECK_BYTES;

/// Rows and bodies up to this long are searched byte by byte.
const BYTES_SEARCHED_MAX: usize = 1024;
/// Longer ones, up to this, only bit by bit.
const BITS_SEARCHED_MAX: usize = 8192;

/// Whether they differ in one byte at most.
pub(super) fn is_near(stored: &[u8], computed: &[u8; CHECK_BYTES]) -> bool {
    stored.len() == CHECK_BYTES
        && stored
            .iter()
            .zip(computed)
            .filter(|(left, right)| left != right)
            .count()
            <= 1
}

/// The one row that differs from this broken one in a byte (of a column or of the check) and is sound.
/// Keys stay what they are: a row is looked for where it stands.
pub(super) fn mend_row(row: &RawRow) -> Option<RawRow> {
    let computed = row.computed();
    if is_near(&row.chk, &computed) {
        let mut sound = row.clone();
        sound.chk = computed.to_vec();
        return Some(sound);
    }
    let length: usize = row.cells.iter().map(length_of).sum();
    if length > BYTES_SEARCHED_MAX {
        return None;
    }
    let mut trial = row.clone();
    for column in key_columns(row.table)..row.cells.len() {
        for at in 0..length_of(row.cell(column)) {
            for other in 1..=u8::MAX {
                change(trial.cells.get_mut(column)?, at, other);
                if trial.is_sound() {
                    return Some(trial);
                }
                change(trial.cells.get_mut(column)?, at, other);
            }
        }
    }
    None
}

/// The bytes that differ from these in one byte (longer ones: in one bit) and satisfy `fits`.
pub(super) fn mend_bytes(bytes: &[u8], fits: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let masks: Vec<u8> = if bytes.len() <= BYTES_SEARCHED_MAX {
        (1..=u8::MAX).collect()
    } else if bytes.len() <= BITS_SEARCHED_MAX {
        (0..8).map(|bit| 1 << bit).collect()
    } else {
        return None;
    };
    let mut trial = bytes.to_vec();
    for at in 0..bytes.len() {
        for mask in &masks {
            flip(&mut trial, at, *mask);
            if fits(&trial) {
                return Some(trial);
            }
            flip(&mut trial, at, *mask);
        }
    }
    None
}

fn length_of(cell: &Cell) -> usize {
    match cell {
        Cell::Int(_) => size_of::<i64>(),
        Cell::Text(bytes) | Cell::Blob(bytes) => bytes.len(),
        Cell::Null | Cell::Real(_) => 0,
    }
}

/// Changes one byte; done twice it is undone.
fn change(cell: &mut Cell, at: usize, mask: u8) {
    match cell {
        Cell::Int(value) => *value ^= i64::from(mask) << (8 * at),
        Cell::Text(bytes) | Cell::Blob(bytes) => flip(bytes, at, mask),
        Cell::Null | Cell::Real(_) => {}
    }
}

fn flip(bytes: &mut [u8], at: usize, mask: u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::row_check::Table;

    fn hold() -> RawRow {
        let cells = vec![Cell::Int(17), Cell::text("main"), Cell::Int(1_700_000)];
        RawRow::new(Table::Hold, cells)
    }

    #[test]
    fn any_one_byte_of_a_row_is_found_and_two_are_not() {
        let sound = hold();
        for at in 0..CHECK_BYTES {
            let mut broken = sound.clone();
            flip(&mut broken.chk, at, 0x41);
            assert!(!broken.is_sound());
            assert_eq!(mend_row(&broken), Some(sound.clone()));
        }
        for at in 0..8 {
            let mut broken = sound.clone();
            change(&mut broken.cells[2], at, 0x80);
            assert_eq!(mend_row(&broken), Some(sound.clone()));
        }
        let mut twice = sound;
        change(&mut twice.cells[2], 0, 1);
        change(&mut twice.cells[2], 5, 1);
        assert_eq!(mend_row(&twice), None);
        let mut key = hold();
        change(&mut key.cells[0], 0, 1);
        assert_eq!(mend_row(&key), None, "a key is not guessed");
    }

    #[test]
    fn a_byte_of_a_text_and_a_bit_of_a_longer_one() {
        let short: Vec<u8> = (0..200).collect();
        let long = vec![7; 5000];
        for (bytes, mask, found) in [
            (&short, 0x55, true),
            (&long, 0x10, true),
            (&long, 0x11, false),
        ] {
            let digest = blake3::hash(bytes);
            let mut broken = bytes.clone();
            flip(&mut broken, 150, mask);
            let mended = mend_bytes(&broken, |trial| blake3::hash(trial) == digest);
            assert_eq!(mended.is_some(), found);
            assert!(mended.is_none_or(|mended| mended == *bytes));
        }
    }
}
