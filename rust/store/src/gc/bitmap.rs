//! One bit for each ordinal: what marking keeps in memory, and what the dead are written down as.
//!
//! Promises: a bit that was never set reads as clear; memory is one bit for each ordinal up to the greatest.

/// Ordinals in one page: what one row of the dead holds.
pub const PAGE_ORDINALS: u64 = 2048;
/// Bytes of a page.
pub const PAGE_BYTES: usize = (PAGE_ORDINALS / 8) as usize;
const WORD_BITS: u64 = u64::BITS as u64;
const PAGE_WORDS: usize = PAGE_BYTES / size_of::<u64>();

/// A set of ordinals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
}

/// Where an ordinal's bit is: word, and the bit in it alone.
fn place(ordinal: u64) -> (usize, u64) {
    let word = usize::try_from(ordinal / WORD_BITS).unwrap_or(usize::MAX);
    (word, 1 << (ordinal % WORD_BITS))
}

impl Bitmap {
    /// An empty set with room for the ordinals below `limit`.
    pub fn below(limit: u64) -> Self {
        let words = usize::try_from(limit.div_ceil(WORD_BITS)).unwrap_or(usize::MAX);
        Self {
            words: vec![0; words],
        }
    }

    /// Whether it is in the set.
    pub fn contains(&self, ordinal: u64) -> bool {
        let (word, bit) = place(ordinal);
        self.words.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Adds it. True: it was not there.
    pub fn insert(&mut self, ordinal: u64) -> bool {
        let (word, bit) = place(ordinal);
        if word >= self.words.len() {
            self.words.resize(word.saturating_add(1), 0);
        }
        match self.words.get_mut(word) {
            Some(bits) => {
                let new = *bits & bit == 0;
                *bits |= bit;
                new
            }
            None => false,
        }
    }

    /// Takes it out. True: it was there.
    pub fn remove(&mut self, ordinal: u64) -> bool {
        let (word, bit) = place(ordinal);
        match self.words.get_mut(word) {
            Some(bits) => {
                let there = *bits & bit != 0;
                *bits &= !bit;
                there
            }
            None => false,
        }
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.words
            .iter()
            .map(|bits| u64::from(bits.count_ones()))
            .sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|bits| *bits == 0)
    }

    /// The smallest that is not smaller than `from`.
    pub fn lowest_from(&self, from: u64) -> Option<u64> {
        let (first, bit) = place(from);
        let mut number = first;
        let mut bits = self.words.get(first)? & !(bit - 1);
        while bits == 0 {
            number += 1;
            bits = *self.words.get(number)?;
        }
        Some(number as u64 * WORD_BITS + u64::from(bits.trailing_zeros()))
    }

    /// The greatest that is smaller than `below`.
    pub fn highest_below(&self, below: u64) -> Option<u64> {
        let (word, bit) = place(below);
        let whole = word.min(self.words.len());
        let partial = self.words.get(word).map_or(0, |bits| bits & (bit - 1));
        let (number, bits) = if partial != 0 {
            (word, partial)
        } else {
            let number = self
                .words
                .get(..whole)?
                .iter()
                .rposition(|bits| *bits != 0)?;
            (number, *self.words.get(number)?)
        };
        Some(number as u64 * WORD_BITS + u64::from(bits.ilog2()))
    }

    /// Adds all of another set.
    pub fn union(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (bits, more) in self.words.iter_mut().zip(&other.words) {
            *bits |= more;
        }
    }

    /// Takes out all that are not smaller than `from`, as a set of their own.
    pub fn split_off(&mut self, from: u64) -> Self {
        let (first, bit) = place(from);
        let mut upper = Self {
            words: vec![0; self.words.len()],
        };
        let both = self.words.iter_mut().zip(&mut upper.words).skip(first);
        for (index, (lower, upper)) in both.enumerate() {
            let stays = if index == 0 { bit - 1 } else { 0 };
            *upper = *lower & !stays;
            *lower &= stays;
        }
        upper
    }

    /// Pages that are not empty, by growing number. Bit `n % 8` of byte `n / 8` stands for the page's n-th
    /// ordinal.
    pub fn pages(&self) -> impl Iterator<Item = (u64, [u8; PAGE_BYTES])> + '_ {
        (0u64..)
            .zip(self.words.chunks(PAGE_WORDS))
            .filter(|(_, words)| words.iter().any(|bits| *bits != 0))
            .map(|(number, words)| {
                let mut page = [0; PAGE_BYTES];
                let (slots, _) = page.as_chunks_mut::<8>();
                for (slot, bits) in slots.iter_mut().zip(words) {
                    *slot = bits.to_le_bytes();
                }
                (number, page)
            })
    }

    /// Adds all of a page.
    pub fn insert_page(&mut self, number: u64, page: &[u8; PAGE_BYTES]) {
        let first = usize::try_from(number)
            .unwrap_or(usize::MAX)
            .saturating_mul(PAGE_WORDS);
        let end = first.saturating_add(PAGE_WORDS);
        if self.words.len() < end {
            self.words.resize(end, 0);
        }
        let (chunks, _) = page.as_chunks::<8>();
        for (bits, chunk) in self.words.iter_mut().skip(first).zip(chunks) {
            *bits |= u64::from_le_bytes(*chunk);
        }
    }
}

/// The page of an ordinal.
pub fn page_of(ordinal: u64) -> u64 {
    ordinal / PAGE_ORDINALS
}

/// Whether an ordinal's bit is set in its page.
pub fn page_contains(page: &[u8; PAGE_BYTES], ordinal: u64) -> bool {
    let place = ordinal % PAGE_ORDINALS;
    usize::try_from(place / 8)
        .ok()
        .and_then(|byte| page.get(byte))
        .is_some_and(|bits| bits & (1 << (place % 8)) != 0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_bitmap_is_a_set(
            steps in prop::collection::vec((any::<bool>(), 0u64..9000), 0..300),
            probe in 0u64..9100,
        ) {
            let (mut bits, mut set) = (Bitmap::default(), BTreeSet::new());
            for (add, ordinal) in steps {
                if add {
                    prop_assert_eq!(bits.insert(ordinal), set.insert(ordinal));
                } else {
                    prop_assert_eq!(bits.remove(ordinal), set.remove(&ordinal));
                }
            }
            prop_assert_eq!(bits.len(), set.len() as u64);
            prop_assert_eq!(bits.is_empty(), set.is_empty());
            prop_assert_eq!(bits.contains(probe), set.contains(&probe));
            prop_assert_eq!(bits.lowest_from(probe), set.range(probe..).next().copied());
            prop_assert_eq!(bits.highest_below(probe), set.range(..probe).next_back().copied());
            let mut lower = bits.clone();
            let upper = lower.split_off(probe);
            prop_assert_eq!((lower.len(), upper.len()),
                (set.range(..probe).count() as u64, set.range(probe..).count() as u64));
            prop_assert_eq!(lower.highest_below(u64::MAX), set.range(..probe).next_back().copied());
            prop_assert_eq!(upper.lowest_from(0), set.range(probe..).next().copied());
            lower.union(&upper);
            prop_assert!(lower == bits);
            let mut back = Bitmap::default();
            for (number, page) in bits.pages() {
                prop_assert_eq!(page_contains(&page, probe) && page_of(probe) == number,
                    set.contains(&probe) && page_of(probe) == number);
                back.insert_page(number, &page);
            }
            let (mut left, mut right) = (Vec::new(), Vec::new());
            for (bits, all) in [(&bits, &mut left), (&back, &mut right)] {
                let mut from = 0;
                while let Some(next) = bits.lowest_from(from) {
                    all.push(next);
                    from = next + 1;
                }
            }
            prop_assert_eq!(&left, &set.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(left, right);
        }
    }
}
