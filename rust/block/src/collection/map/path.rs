//! Where a key's hash leads: five bits at each level.

/// Bits of a hash that one level tells apart.
pub(super) const BITS: usize = 5;
/// After so many levels all 256 bits are used up.
pub(super) const LEVELS_MAX: usize = 256_usize.div_ceil(BITS);

/// The hash of a key, five bits at a time; in the order in which a trie has its entries.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path([u8; 32]);

impl Path {
    pub(super) fn of(key: &str) -> Self {
        Self(blake3::hash(key.as_bytes()).into())
    }

    /// The place at a level: bits 5·level … 5·level + 4, the first bit being the highest of byte 0.
    pub(super) fn place(&self, level: usize) -> u32 {
        let (byte, bit) = (level * BITS / 8, level * BITS % 8);
        let at = |byte: usize| u32::from(self.0.get(byte).copied().unwrap_or(0));
        (at(byte) << 8 | at(byte + 1)) >> (16 - BITS - bit) & ((1 << BITS) - 1)
    }

    /// Whether both lead to the same node of this level.
    pub(super) fn leads_along(&self, other: &Self, level: usize) -> bool {
        (0..level).all(|above| self.place(above) == other.place(above))
    }
}
