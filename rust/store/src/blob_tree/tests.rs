//! Against the reference implementation of Bao, which reads what is made here and makes what is read here.

use std::io::Read;

use super::*;

const SIZES: [usize; 14] = [
    0,
    1,
    1023,
    1024,
    1025,
    2048,
    2049,
    300_000,
    GROUP - 1,
    GROUP,
    GROUP + 1,
    2 * GROUP,
    3 * GROUP + 1025,
    5 * GROUP + 7,
];

fn content(size: usize) -> Vec<u8> {
    (0..size)
        .map(|place| (place % 251) as u8 ^ (place >> 13) as u8)
        .collect()
}

fn groups(bytes: &[u8]) -> Groups {
    let mut groups = Groups::default();
    bytes.chunks(GROUP).for_each(|group| groups.push(group));
    groups
}

fn tree(bytes: &[u8]) -> Vec<u8> {
    let mut stored = Vec::new();
    groups(bytes)
        .tree(
            &mut |at, into| {
                let at = usize::try_from(at).unwrap();
                into.copy_from_slice(&bytes[at..at + into.len()]);
                Ok(())
            },
            &mut |piece| {
                stored.extend_from_slice(piece);
                Ok(())
            },
        )
        .unwrap();
    stored
}

struct Memory<'m> {
    bytes: &'m [u8],
    tree: &'m [u8],
    nodes: usize,
    read: usize,
}

fn fill(from: &[u8], offset: u64, into: &mut [u8]) -> io::Result<()> {
    let at = usize::try_from(offset).unwrap();
    match from.get(at..at + into.len()) {
        Some(found) => {
            into.copy_from_slice(found);
            Ok(())
        }
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

impl Source for Memory<'_> {
    fn content(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.read += into.len();
        fill(self.bytes, offset, into)
    }

    fn tree(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.nodes += 1;
        fill(self.tree, offset, into)
    }
}

fn ranged(
    bytes: &[u8],
    tree: &[u8],
    digest: &[u8; 32],
    size: u64,
    range: (u64, u64),
) -> io::Result<(Vec<u8>, usize, usize)> {
    let mut memory = Memory {
        bytes,
        tree,
        nodes: 0,
        read: 0,
    };
    let found = read_range(&mut memory, digest, size, range.0, range.1)?;
    Ok((found, memory.nodes, memory.read))
}

#[test]
fn trees_and_digests_are_those_of_bao() {
    for size in SIZES {
        let bytes = content(size);
        let (expected, hash) = bao::encode::outboard(&bytes);
        assert_eq!(groups(&bytes).digest(), *hash.as_bytes(), "{size}");
        assert_eq!(tree(&bytes), expected, "{size}");
        assert_eq!(tree_bytes(size as u64), expected.len() as u64, "{size}");
    }
}

#[test]
fn what_is_read_is_what_bao_reads() {
    for size in SIZES {
        let bytes = content(size);
        let (stored, hash) = bao::encode::outboard(&bytes);
        let all = size as u64;
        for range in [
            (0, 1),
            (0, all),
            (all / 2, 1),
            (all / 3, all / 2),
            (1023, 2),
            (GROUP as u64 - 1, 2),
            (GROUP as u64, GROUP as u64),
            (all.saturating_sub(1), 10),
            (all, 5),
            (7, 0),
            (u64::MAX, u64::MAX),
        ] {
            let (found, _, _) = ranged(&bytes, &stored, hash.as_bytes(), all, range).unwrap();
            let from = usize::try_from(range.0.min(all)).unwrap();
            let to = usize::try_from(range.0.saturating_add(range.1).min(all)).unwrap();
            assert_eq!(found, bytes[from..to], "{size} {range:?}");
        }
        let mut whole = Vec::new();
        bao::decode::Decoder::new_outboard(&bytes[..], &tree(&bytes)[..], &hash)
            .read_to_end(&mut whole)
            .unwrap();
        assert_eq!(whole, bytes);
    }
}

#[test]
fn a_range_costs_the_range_and_the_way_to_it() {
    let bytes = content(5 * GROUP + 7);
    let (stored, hash) = bao::encode::outboard(&bytes);
    let cost = |range| {
        let (_, nodes, read) =
            ranged(&bytes, &stored, hash.as_bytes(), bytes.len() as u64, range).unwrap();
        (nodes, read)
    };
    // One byte: one chunk, behind the 13 nodes on the way to it.
    assert_eq!(cost((3_000_000, 1)), (13, 1024));
    // A group: nothing but the nodes above it.
    assert_eq!(cost((GROUP as u64, GROUP as u64)), (3, GROUP));
    // All of it: each group in one go.
    assert_eq!(cost((0, u64::MAX)), (5, bytes.len()));
}

#[test]
fn every_flipped_bit_of_content_or_tree_is_seen_by_who_reads_it() {
    let bytes = content(70_000);
    let (stored, hash) = bao::encode::outboard(&bytes);
    for place in (0..bytes.len()).step_by(611) {
        let mut broken = bytes.clone();
        broken[place] ^= 4;
        let range = (place as u64, 1);
        let read = ranged(&broken, &stored, hash.as_bytes(), 70_000, range);
        assert_eq!(
            read.unwrap_err().kind(),
            io::ErrorKind::InvalidData,
            "{place}"
        );
    }
    // The length before the nodes is not read: the row has it.
    for place in (8..stored.len()).step_by(7) {
        let mut broken = stored.clone();
        broken[place] ^= 1;
        let seen = (0..bytes.len() as u64)
            .step_by(1024)
            .filter(|at| ranged(&bytes, &broken, hash.as_bytes(), 70_000, (*at, 1)).is_err());
        assert!(seen.count() > 0, "{place}");
    }
}

#[test]
fn a_size_that_is_not_the_files_is_seen() {
    let bytes = content(GROUP + 5);
    let (stored, hash) = bao::encode::outboard(&bytes);
    let all = bytes.len() as u64;
    for size in [all - 1, all + 1, all - 5, 2 * all, 1024, 1] {
        let read = ranged(&bytes, &stored, hash.as_bytes(), size, (0, size));
        assert!(read.is_err(), "{size}");
    }
}

#[test]
fn a_tree_is_not_made_of_other_bytes_than_arrived() {
    let bytes = content(3 * GROUP);
    let mut other = bytes.clone();
    other[2 * GROUP + 9] ^= 1;
    let made = groups(&bytes).tree(&mut |at, into| fill(&other, at, into), &mut |_| Ok(()));
    assert_eq!(made.unwrap_err().kind(), io::ErrorKind::InvalidData);
}
