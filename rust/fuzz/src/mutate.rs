//! How an input is made from another one.
//!
//! The changes are those that break decoders: a bit, a byte, a length that says more or less than follows,
//! a part that is missing, that comes again (a thousand times), that belongs to another input.

use crate::random::Random;

/// Bytes of an input at most, but for what the seeds bring.
pub(crate) const INPUT_BYTES_MAX: usize = 1 << 16;

/// Numbers at the edges of their widths: what length fields, counters and heads go wrong on.
const EDGES: [u64; 14] = [
    0,
    1,
    0x17,
    0x18,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 60,
    i64::MAX as u64,
    u64::MAX,
];

/// A changed copy of `input`: one change mostly, sometimes up to eight.
pub(crate) fn mutated(
    random: &mut Random,
    input: &[u8],
    other: &[u8],
    tokens: &[Vec<u8>],
) -> Vec<u8> {
    let mut bytes = input.to_vec();
    let changes = if random.once_in(3) {
        2 + random.below(7)
    } else {
        1
    };
    for _ in 0..changes {
        change(random, &mut bytes, other, tokens);
    }
    bytes.truncate(INPUT_BYTES_MAX.max(input.len()));
    bytes
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8], tokens: &[Vec<u8>]) {
    let at = random.below(bytes.len() + 1);
    let end = at + random.below(bytes.len() + 1 - at);
    match random.below(14) {
        0 | 1 => flip(bytes, at, 1 << random.below(8)),
        2 => flip(bytes, at, random.byte() | 1),
        3 => step(bytes, at, 1),
        4 => step(bytes, at, -1),
        5 => bytes.truncate(at),
        6 => drop(bytes.drain(at..end)),
        7 => bytes.insert(at, random.byte()),
        8 => {
            let part: Vec<u8> = bytes.drain(at..end).collect();
            let to = random.below(bytes.len() + 1);
            put(bytes, to, 0, &part);
        }
        9 => repeat(random, bytes, at, end),
        10 => {
            let from = random.below(other.len() + 1);
            let until = from + random.below(other.len() + 1 - from);
            let part = other.get(from..until).unwrap_or_default();
            let replaced = if random.once_in(2) { end - at } else { 0 };
            put(bytes, at, replaced, part);
        }
        11 => edge(random, bytes, at),
        12 => head(random, bytes, at),
        _ => {
            if let Some(token) = random.pick(tokens) {
                let replaced = if random.once_in(2) { token.len() } else { 0 };
                put(bytes, at, replaced, token);
            }
        }
    }
}

fn flip(bytes: &mut [u8], at: usize, mask: u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= mask;
    }
}

fn step(bytes: &mut [u8], at: usize, by: i8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte = byte.wrapping_add_signed(by);
    }
}

/// Puts `part` at a place instead of the next `replaced` bytes.
fn put(bytes: &mut Vec<u8>, at: usize, replaced: usize, part: &[u8]) {
    let at = at.min(bytes.len());
    let end = at.saturating_add(replaced).min(bytes.len());
    drop(bytes.splice(at..end, part.iter().copied()));
}

/// The same part again and again: what grows faster than its input shows only then.
fn repeat(random: &mut Random, bytes: &mut Vec<u8>, at: usize, end: usize) {
    let Some(part) = bytes.get(at..end).filter(|part| !part.is_empty()) else {
        return;
    };
    let times_max = if random.once_in(8) { 4096 } else { 8 };
    let room = INPUT_BYTES_MAX.saturating_sub(bytes.len()) / part.len();
    let part = part.repeat(random.below(times_max).min(room));
    put(bytes, end, 0, &part);
}

/// A number at the edge of its width, in either order of bytes.
fn edge(random: &mut Random, bytes: &mut Vec<u8>, at: usize) {
    let number = random.pick(&EDGES).copied().unwrap_or(0);
    let width = 1 << random.below(4);
    let little = number.to_le_bytes();
    let big = number.to_be_bytes();
    let part = if random.once_in(2) {
        little.get(..width)
    } else {
        big.get(8 - width..)
    };
    put(bytes, at, width, part.unwrap_or_default());
}

/// A CBOR head (RFC 8949 §3) of any type that announces any number, in any of its lengths, right or wrong.
fn head(random: &mut Random, bytes: &mut Vec<u8>, at: usize) {
    let number = match random.below(3) {
        0 => random.pick(&EDGES).copied().unwrap_or(0),
        1 => random.below(40) as u64,
        _ => bytes.len().saturating_sub(at) as u64,
    };
    let major = random.byte() & 0xe0;
    let big = number.to_be_bytes();
    let (info, width) = match random.below(5) {
        0 => (number.min(23) as u8, 0),
        1 => (24, 1),
        2 => (25, 2),
        3 => (26, 4),
        _ => (27, 8),
    };
    let mut part = vec![major | info];
    part.extend_from_slice(big.get(8 - width..).unwrap_or_default());
    let replaced = random.below(2);
    put(bytes, at, replaced, &part);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn every_sort_of_change_happens_and_none_grows_without_end() {
        let mut random = Random::new(1);
        let (input, other) = (vec![0x61; 100], vec![0x62; 100]);
        let tokens = vec![b"TOKEN".to_vec()];
        let all: Vec<Vec<u8>> = (0..20_000)
            .map(|_| mutated(&mut random, &input, &other, &tokens))
            .collect();
        assert!(all.iter().all(|bytes| bytes.len() <= INPUT_BYTES_MAX));
        let some = |what: &dyn Fn(&[u8]) -> bool| all.iter().any(|bytes| what(bytes));
        assert!(some(&|bytes| bytes.is_empty()), "cut to nothing");
        assert!(some(&|bytes| bytes.len() > 2000), "repeated");
        assert!(some(&|bytes| bytes.windows(5).any(|part| part == b"TOKEN")));
        assert!(some(&|bytes| bytes.windows(9).any(|part| part[0] & 0x1f
            == 27
            && part[1..] == (1_u64 << 60).to_be_bytes())));
        assert!(some(&|bytes| bytes
            .windows(20)
            .any(|part| part == [0x62; 20])));
        let one_bit = |bytes: &[u8]| {
            bytes.len() == 100
                && bytes
                    .iter()
                    .map(|byte| (byte ^ 0x61).count_ones())
                    .sum::<u32>()
                    == 1
        };
        assert!(some(&one_bit));
    }

    #[test]
    fn the_same_seed_makes_the_same_inputs() {
        let make = |seed| {
            let mut random = Random::new(seed);
            (0..100)
                .map(|_| mutated(&mut random, b"an input", b"another", &[]))
                .collect::<Vec<_>>()
        };
        assert_eq!(make(5), make(5));
        assert_ne!(make(5), make(6));
    }
}
