//! Collections whose blocks somebody else made: every way to read and to change one, on bytes of all sorts.
//!
//! An input is many blocks, the root first, each behind its length. They link to each other by names that do not
//! depend on their bytes, so that a change of one is met on the way from the root, and even a circle can be made.
//! What must hold: nothing panics, no more than 1 MiB and 128 times the input is held, and who asks for so many
//! elements reads so many blocks at most.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use treering_block::collection::{Draft, Map, Vector};
use treering_block::{Block, BlockError, Cid, Encoded};
use treering_fuzz::Fuzz;

/// Elements that are visited before it is enough.
const VISITED_MAX: u64 = 500;
/// Blocks on the way to an element: the levels of a list of 2⁶³, a leaf, the element; or those of a hash.
const WAY_MAX: u64 = 54;

fn name(number: usize) -> Cid {
    Cid::of_node(&number.to_le_bytes())
}

/// The blocks below a root, as an input.
fn input(root: &Block, blocks: Vec<Block>) -> Vec<u8> {
    let all: Vec<&Block> = std::iter::once(root).chain(&blocks).collect();
    let numbers: HashMap<Cid, usize> = (0..).zip(&all).map(|(at, block)| (block.cid, at)).collect();
    let mut input = Vec::new();
    for block in all {
        let mut bytes = block.bytes.to_vec();
        for link in &block.links {
            let Some(number) = numbers.get(link) else {
                continue;
            };
            let (there, instead) = (link.to_bytes(), name(*number).to_bytes());
            for at in 0..bytes.len().saturating_sub(there.len() - 1) {
                if bytes[at..].starts_with(&there) {
                    bytes[at..at + instead.len()].copy_from_slice(&instead);
                }
            }
        }
        push(&mut input, &bytes);
    }
    input
}

fn push(input: &mut Vec<u8>, bytes: &[u8]) {
    input.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
    input.extend(bytes);
}

/// The blocks of an input by name; whatever is cut off is as short as that makes it.
fn blocks_of(mut input: &[u8]) -> HashMap<Cid, &[u8]> {
    let mut blocks = HashMap::new();
    while let [high, low, rest @ ..] = input {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        blocks.insert(name(blocks.len()), &rest[..length]);
        input = &rest[length..];
    }
    blocks
}

/// Reads by name, and counts.
struct Shelf<'a> {
    blocks: HashMap<Cid, &'a [u8]>,
    reads: Cell<u64>,
}

impl<'a> Shelf<'a> {
    fn new(input: &'a [u8]) -> Self {
        Self {
            blocks: blocks_of(input),
            reads: Cell::new(0),
        }
    }

    fn read(&self, cid: &Cid) -> Result<Arc<[u8]>, BlockError> {
        self.reads.set(self.reads.get() + 1);
        let absent = || BlockError::IllTyped {
            cid: *cid,
            field: "block".into(),
            expected: "there".into(),
        };
        let bytes = self.blocks.get(cid).ok_or_else(absent)?;
        Ok((*bytes).into())
    }

    /// Does something for which `elements` are asked for.
    fn bounded<T>(&self, elements: u64, work: impl FnOnce() -> T) -> T {
        let before = self.reads.get();
        let done = work();
        let reads = self.reads.get() - before;
        let allowed = (elements + 1) * WAY_MAX;
        assert!(reads <= allowed, "{reads} blocks for {elements} elements");
        done
    }
}

fn root(input: &[u8]) -> Vec<u8> {
    let blocks = blocks_of(input);
    blocks
        .get(&name(0))
        .map_or_else(Vec::new, |root| root.to_vec())
}

fn value(number: u64) -> Encoded {
    if number.is_multiple_of(3) {
        Encoded::from_text(&format!("{number} {}", "long ".repeat(15)))
    } else {
        Encoded::from_text(&number.to_string())
    }
}

fn nothing_there(cid: &Cid) -> Result<Arc<[u8]>, BlockError> {
    panic!("{cid} is read, and nothing was stored")
}

fn a_vector(count: u64, dropped: u64) -> Vec<u8> {
    let mut draft = Draft::new(&nothing_there);
    let mut vector = Vector::new();
    for number in 0..count {
        vector.push(value(number), &mut draft).unwrap();
    }
    vector.drop_front(dropped, &mut draft).unwrap();
    let root = vector.encode().unwrap();
    let blocks = draft.into_blocks(&root.links);
    input(&root, blocks)
}

/// A root that says it is longest, over one node that is all of its own children.
fn a_circle() -> Vec<u8> {
    let mut all = Vec::new();
    let link = [&[0xd8, 0x2a, 0x58, 0x25, 0x00][..], &name(1).to_bytes()].concat();
    let long = u64::MAX >> 1;
    let fields: [&[u8]; 10] = [
        &[0xa5, 0x63],
        b"end\x1b",
        &long.to_be_bytes(),
        b"\x64kind\x66vector\x64tail",
        &[0x98, 31],
        &[0x81, 0x00].repeat(31),
        b"\x64tree",
        &link,
        b"\x65start",
        &[0],
    ];
    push(&mut all, &fields.concat());
    push(&mut all, &[&[0x98, 32][..], &link.repeat(32)].concat());
    all
}

#[test]
fn fuzz_vectors() {
    assert!(Vector::decode(&name(0), &root(&a_circle())).is_ok());
    Fuzz::new("fuzz_vectors")
        .seeds(
            [
                (0, 0),
                (1, 0),
                (33, 0),
                (70, 40),
                (70, 66),
                (70, 70),
                (1100, 0),
            ]
            .map(|(count, dropped)| a_vector(count, dropped)),
        )
        .seeds([a_circle()])
        .tokens(&[b"vector", b"start", b"end", b"tail", b"tree"])
        .cases(6_000)
        .run(read_vector, |input, read| {
            if let Ok(vector) = read {
                let again = vector.encode().unwrap();
                assert_eq!(*again.bytes, root(input));
            }
        });
}

/// Everything that can be done to a list. What it answers is what reading all of it came to.
fn read_vector(input: &[u8]) -> Result<Vector, BlockError> {
    let shelf = Shelf::new(input);
    let read = |cid: &Cid| shelf.read(cid);
    let stored = Draft::new(&read);
    let vector = Vector::decode(&name(0), &shelf.read(&name(0))?)?;
    let mut left = VISITED_MAX;
    let all = shelf.bounded(VISITED_MAX, || {
        vector.each(0, &stored, &mut |_| {
            left -= 1;
            Ok(left > 0)
        })
    });
    let length = vector.len();
    for index in [0, 31, 32, length / 2, length.saturating_sub(1), length] {
        let found = shelf.bounded(1, || vector.get(index, &stored));
        assert!(matches!(found, Err(_) | Ok(Some(_))) || index >= length);
    }
    for act in 0..5 {
        let (mut changed, mut draft) = (vector.clone(), Draft::new(&read));
        // Four at most: each may read a way of its own.
        let done = shelf.bounded(4, || match act {
            0 => (0..2).try_for_each(|_| changed.push(value(0), &mut draft)),
            1 => (0..2).try_for_each(|_| changed.pop(&mut draft).map(drop)),
            2 => changed.set(length / 2, value(1), &mut draft).map(drop),
            3 => changed.drop_front(1, &mut draft),
            _ => changed.drop_front(length / 2 + 1, &mut draft),
        });
        assert_consistent(done, &vector, &changed);
    }
    all.map(|()| vector)
}

/// What a change made is a list again; a refused one of a single step changed nothing.
fn assert_consistent(done: Result<(), BlockError>, before: &Vector, after: &Vector) {
    let block = after.encode().unwrap();
    let again = Vector::decode(&block.cid, &block.bytes);
    assert_eq!(again.as_ref(), Ok(after), "{before:?}");
    if done.is_ok() {
        assert!(after.start() >= before.start());
    }
}

fn a_map(keys: impl Iterator<Item = String>) -> Vec<u8> {
    let mut draft = Draft::new(&nothing_there);
    let mut map = Map::new();
    for (number, key) in (0..).zip(keys) {
        map.insert(&key, value(number), &mut draft).unwrap();
    }
    let root = map.encode().unwrap();
    let blocks = draft.into_blocks(&root.links);
    input(&root, blocks)
}

/// Trie nodes without an entry anywhere: one that is all of its own children.
fn a_maze() -> Vec<u8> {
    let mut all = Vec::new();
    let link = [&[0xd8, 0x2a, 0x58, 0x25, 0x00][..], &name(1).to_bytes()].concat();
    let node = [
        &[0x98, 33, 0x1a, 0xff, 0xff, 0xff, 0xff][..],
        &link.repeat(32),
    ]
    .concat();
    let root = [&b"\xa3\x63top"[..], &node, b"\x64kind\x63map\x65count\x02"].concat();
    push(&mut all, &root);
    push(&mut all, &node);
    all
}

#[test]
fn fuzz_maps() {
    assert!(Map::decode(&name(0), &root(&a_maze())).is_ok());
    let keys = |count: u64| (0..count).map(|number| format!("key {number}"));
    Fuzz::new("fuzz_maps")
        .seeds([0, 1, 3, 40, 300].map(|count| a_map(keys(count))))
        .seeds([a_maze()])
        .tokens(&[b"map", b"count", b"top", b"key 1", b"key 2"])
        .cases(6_000)
        .run(read_map, |input, read| {
            if let Ok(map) = read {
                let again = map.encode().unwrap();
                assert_eq!(*again.bytes, root(input));
            }
        });
}

/// Everything that can be done to a map. What it answers is what reading all of it came to.
fn read_map(input: &[u8]) -> Result<Map, BlockError> {
    let shelf = Shelf::new(input);
    let read = |cid: &Cid| shelf.read(cid);
    let stored = Draft::new(&read);
    let map = Map::decode(&name(0), &shelf.read(&name(0))?)?;
    let mut left = VISITED_MAX;
    let mut some = |_: &str, _: Encoded| {
        left = left.saturating_sub(1);
        Ok(left > 0)
    };
    let all = shelf.bounded(VISITED_MAX, || map.each(&stored, &mut some));
    for key in ["key 0", "key 17", "nowhere", ""] {
        let rest = shelf.bounded(VISITED_MAX, || map.each_after(key, &stored, &mut some));
        let found = shelf.bounded(1, || map.get(key, &stored));
        let (mut grown, mut shrunk) = (map.clone(), map.clone());
        let mut draft = Draft::new(&read);
        let inserted = shelf.bounded(1, || grown.insert(key, value(1), &mut draft));
        if inserted.is_ok() {
            assert_eq!(grown.get(key, &draft), Ok(Some(value(1))));
        }
        let mut draft = Draft::new(&read);
        let removed = shelf.bounded(1, || shrunk.remove(key, &mut draft));
        if let (Ok(found), Ok(removed)) = (found, &removed) {
            assert_eq!(found.is_some(), *removed);
        }
        if removed == Ok(true) {
            assert_eq!(shrunk.len(), map.len().saturating_sub(1));
        }
        drop(rest);
    }
    all.map(|()| map)
}
