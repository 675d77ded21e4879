//! Against plain lists, with every block written and read counted.

use ipld_core::ipld::Ipld;
use proptest::prelude::*;

use super::list::decode_links;
use super::*;
use crate::collection::INLINE_ELEMENT_BYTES_MAX;
use crate::collection::shelf::Shelf;
use crate::error::BlockError;

/// Makes a change; the new version is read back from its root.
fn change<T>(
    shelf: &mut Shelf,
    vector: &mut Vector,
    change: impl FnOnce(&mut Vector, &mut Draft<'_, BlockError>) -> Result<T, BlockError>,
) -> T {
    let (answer, root) = shelf.change(vector, Vector::encode, change);
    let stored = Vector::decode(&root, &shelf.blocks[&root]).unwrap();
    assert_eq!(stored, *vector);
    answer
}

fn all(shelf: &Shelf, vector: &Vector, first: u64) -> Vec<Encoded> {
    let mut found = Vec::new();
    let mut take = |value| {
        found.push(value);
        Ok(true)
    };
    shelf
        .look(|draft| vector.each(first, draft, &mut take))
        .unwrap();
    found
}

fn short(number: u64) -> Encoded {
    Encoded::from_ipld(&Ipld::Integer(i128::from(number))).unwrap()
}

/// Every third one is a block of its own.
fn element(number: u64) -> Encoded {
    if number.is_multiple_of(3) {
        Encoded::from_text(&format!("{number} {}", "long ".repeat(20)))
    } else {
        short(number)
    }
}

fn build(shelf: &mut Shelf, start: u64, elements: &[Encoded]) -> Vector {
    let mut vector = Vector::new();
    change(shelf, &mut vector, |vector, draft| {
        (0..start).try_for_each(|_| vector.push(Encoded::null(), draft))?;
        let mut elements = elements.iter().cloned();
        elements.try_for_each(|element| vector.push(element, draft))?;
        vector.drop_front(start, draft)
    });
    vector
}

#[derive(Clone, Debug)]
enum Act {
    Push(u64),
    Pop(u64),
    Set(u64),
    DropFront(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    // Around the edges of leaves and of levels, and far beyond.
    let count = || {
        prop_oneof![
            1..4u64,
            30..35u64,
            Just(1000),
            Just(1024),
            Just(1056),
            1..2500u64
        ]
    };
    let act = prop_oneof![
        3 => count().prop_map(Act::Push),
        2 => count().prop_map(Act::Pop),
        1 => any::<u64>().prop_map(Act::Set),
        2 => count().prop_map(Act::DropFront),
    ];
    prop::collection::vec(act, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn it_is_a_list(acts in acts()) {
        let (mut shelf, mut vector) = (Shelf::default(), Vector::new());
        let (mut model, mut dropped, mut numbers) = (Vec::new(), 0u64, 0u64);
        let mut versions = Vec::new();
        for act in acts {
            match act {
                Act::Push(count) => {
                    let new: Vec<Encoded> = (numbers..numbers + count).map(element).collect();
                    numbers += count;
                    model.extend(new.iter().cloned());
                    change(&mut shelf, &mut vector, |vector, draft| {
                        new.into_iter().try_for_each(|value| vector.push(value, draft))
                    });
                }
                Act::Pop(count) => {
                    for _ in 0..count.min(70) {
                        let popped = change(&mut shelf, &mut vector, Vector::pop);
                        prop_assert_eq!(popped, model.pop());
                    }
                    change(&mut shelf, &mut vector, |vector, draft| {
                        (70..count).try_for_each(|_| vector.pop(draft).map(drop))
                    });
                    model.truncate(model.len().saturating_sub(count.saturating_sub(70) as usize));
                }
                Act::Set(seed) => {
                    let index = seed % (model.len() as u64 + 1);
                    numbers += 1;
                    let new = element(numbers);
                    let set = change(&mut shelf, &mut vector, |vector, draft| {
                        vector.set(index, new.clone(), draft)
                    });
                    prop_assert_eq!(set, index < model.len() as u64);
                    if let Some(place) = model.get_mut(index as usize) {
                        *place = new;
                    }
                }
                Act::DropFront(count) => {
                    change(&mut shelf, &mut vector, |vector, draft| vector.drop_front(count, draft));
                    let count = (count as usize).min(model.len());
                    model.drain(..count);
                    dropped += count as u64;
                }
            }
            prop_assert_eq!((vector.len(), vector.start()), (model.len() as u64, dropped));
            prop_assert_eq!(all(&shelf, &vector, 0), model.clone());
            versions.push((vector.clone(), model.clone()));
        }
        for index in [0, 1, 31, 32, 33, model.len() / 2, model.len().saturating_sub(1), model.len()] {
            let found = shelf.look(|draft| vector.get(index as u64, draft)).unwrap();
            prop_assert_eq!(found.as_ref(), model.get(index));
            let rest = model.get(index..).unwrap_or_default();
            prop_assert_eq!(all(&shelf, &vector, index as u64), rest);
        }
        // However it came to be, it is the same.
        prop_assert_eq!(build(&mut shelf, dropped, &model), vector);
        // And every version before is what it was.
        for (vector, model) in versions {
            prop_assert_eq!(all(&shelf, &vector, 0), model);
        }
    }
}

#[test]
fn a_push_writes_two_blocks_and_now_and_then_a_path() {
    let (mut shelf, mut vector) = (Shelf::default(), Vector::new());
    let message = |number: u64| Encoded::from_text(&format!("{number:05} {}", "x".repeat(2000)));
    let mut most = 0;
    for number in 0..10_000 {
        let (writes, reads) = (shelf.writes, shelf.reads.get());
        change(&mut shelf, &mut vector, |vector, draft| {
            vector.push(message(number), draft)
        });
        most = most.max(shelf.writes - writes);
        assert!(shelf.reads.get() - reads <= 2, "{number}");
    }
    // Element and root; every 32nd time a leaf and two nodes above it.
    assert_eq!(most, 5);
    let messages = 10_000 * (2006 + 3);
    assert_eq!(shelf.writes, 20_000 + 312 + 311 + 280);
    assert!(
        shelf.bytes - messages < 10_000 * 1000,
        "{} bytes beside the messages",
        shelf.bytes - messages
    );
    let reads = shelf.reads.get();
    let found = shelf.look(|draft| vector.get(4_999, draft)).unwrap();
    assert_eq!(found, Some(message(4_999)));
    assert_eq!(
        shelf.reads.get() - reads,
        4,
        "two nodes, a leaf, the element"
    );
}

#[test]
fn what_is_dropped_is_reached_no_more() {
    let mut shelf = Shelf::default();
    let elements: Vec<Encoded> = (0..5000).map(element).collect();
    let mut vector = build(&mut shelf, 0, &elements);
    change(&mut shelf, &mut vector, |vector, draft| {
        vector.drop_front(4_900, draft)
    });
    let mut reached = 0;
    let mut way = vec![vector.encode().unwrap()];
    while let Some(block) = way.pop() {
        reached += 1;
        for link in block.links {
            way.push(Block::stored(link, shelf.blocks[&link].clone()).unwrap());
        }
    }
    // The root, a path of two nodes, four leaves (one in the root), and the long ones of 100 elements.
    assert_eq!(reached, 1 + 2 + 3 + 33);
}

#[test]
fn the_edge_of_what_stands_in_a_leaf() {
    let mut shelf = Shelf::default();
    for (length, blocks) in [
        (INLINE_ELEMENT_BYTES_MAX - 2, 1),
        (INLINE_ELEMENT_BYTES_MAX - 1, 2),
    ] {
        let value = Encoded::from_text(&"x".repeat(length));
        let writes = shelf.writes;
        let mut vector = Vector::new();
        change(&mut shelf, &mut vector, |vector, draft| {
            vector.push(value.clone(), draft)
        });
        assert_eq!(shelf.writes - writes, blocks, "{length}");
        assert_eq!(all(&shelf, &vector, 0), [value]);
    }
    // A link is an element like any other.
    let linked = Block::raw(*b"x");
    let link = Ipld::Link(linked.cid.into());
    shelf.blocks.insert(linked.cid, linked.bytes);
    let link = Encoded::from_ipld(&link).unwrap();
    let vector = build(&mut shelf, 0, std::slice::from_ref(&link));
    assert_eq!(all(&shelf, &vector, 0), [link]);
}

#[test]
fn an_element_that_no_node_holds_changes_nothing() {
    let mut shelf = Shelf::default();
    let elements: Vec<Encoded> = (0..32).map(short).collect();
    let mut vector = build(&mut shelf, 0, &elements);
    let before = vector.clone();
    let value = Encoded::from_bytes(&vec![0; 1 << 20]);
    let error = shelf.look(|draft| {
        let read = |cid: &Cid| draft.get(cid);
        vector.push(value, &mut Draft::new(&read))
    });
    assert!(matches!(error, Err(BlockError::Codec(_))), "{error:?}");
    assert_eq!(vector, before);
}

#[test]
fn a_root_that_does_not_fit_is_refused() {
    let mut shelf = Shelf::default();
    let elements: Vec<Encoded> = (0..70).map(short).collect();
    let good = build(&mut shelf, 0, &elements);
    let refused = |change: &dyn Fn(&mut Vector)| {
        let mut bad = good.clone();
        change(&mut bad);
        let block = bad.encode().unwrap();
        let error = Vector::decode(&block.cid, &block.bytes).unwrap_err();
        assert!(matches!(error, BlockError::IllTyped { .. }), "{error}");
    };
    refused(&|vector| vector.start = 71);
    refused(&|vector| vector.end = 71);
    refused(&|vector| vector.tree = None);
    refused(&|vector| vector.tree = Some(Cid::of_raw(b"x")));
    refused(&|vector| vector.tail.clear());
    refused(&|vector| vector.start = 64);
    refused(&|vector| vector.end = LENGTH_MAX + 1);
}

#[test]
fn a_list_of_another_length_is_refused() {
    let mut shelf = Shelf::default();
    let elements: Vec<Encoded> = (0..200).map(short).collect();
    let good = build(&mut shelf, 0, &elements);
    let tree = good.tree.unwrap();
    let links = decode_links(&tree, &shelf.blocks[&tree]).unwrap();
    let leaf = decode_elements(&links[1], &shelf.blocks[&links[1]]).unwrap();
    for bad in [
        encode_links(&links[..1]).unwrap(),
        encode_links(&[links[0], tree]).unwrap(),
        {
            let short = Block::from_encoded(encode_elements(&leaf[..31]).unwrap()).unwrap();
            shelf.blocks.insert(short.cid, short.bytes.clone());
            encode_links(&[links[0], short.cid]).unwrap()
        },
        Block::from_encoded(Encoded::null()).unwrap(),
    ] {
        let mut vector = good.clone();
        vector.tree = Some(bad.cid);
        shelf.blocks.insert(bad.cid, bad.bytes);
        let error = shelf.look(|draft| vector.get(40, draft)).unwrap_err();
        assert!(matches!(error, BlockError::IllTyped { .. }), "{error}");
    }
}

#[test]
fn the_longest_list_takes_no_more() {
    let shelf = Shelf::default();
    // All but the last leaf was dropped; nobody could have pushed them.
    let tail = vec![Element::Here(Encoded::null()); 31];
    let mut vector = Vector {
        start: LENGTH_MAX - 31,
        end: LENGTH_MAX,
        tree: None,
        tail,
    };
    let block = vector.encode().unwrap();
    assert_eq!(Vector::decode(&block.cid, &block.bytes).unwrap(), vector);
    let error = shelf.look(|draft| {
        let read = |cid: &Cid| draft.get(cid);
        vector.push(Encoded::null(), &mut Draft::new(&read))
    });
    let limit = CodecError::Limit {
        what: LimitKind::Elements,
        limit: LENGTH_MAX,
        actual: LENGTH_MAX + 1,
    };
    assert_eq!(error, Err(BlockError::Codec(limit)));
    let error = shelf.look(|draft| {
        let read = |cid: &Cid| draft.get(cid);
        let mut draft = Draft::new(&read);
        vector.set(30, short(1), &mut draft)?;
        vector.drop_front(31, &mut draft)?;
        Ok::<_, BlockError>(vector.is_empty())
    });
    assert_eq!(error, Ok(true));
}

#[test]
fn a_change_that_can_not_be_read_changes_nothing() {
    let mut shelf = Shelf::default();
    let elements: Vec<Encoded> = (0..33).map(short).collect();
    let good = build(&mut shelf, 0, &elements);
    shelf.blocks.clear();
    for change in [
        |vector: &mut Vector, draft: &mut Draft<'_, BlockError>| vector.pop(draft).map(drop),
        |vector: &mut Vector, draft: &mut Draft<'_, BlockError>| vector.drop_front(1, draft),
        |vector: &mut Vector, draft: &mut Draft<'_, BlockError>| {
            vector.set(0, short(0), draft).map(drop)
        },
    ] {
        let mut vector = good.clone();
        let error = shelf.look(|draft| {
            let read = |cid: &Cid| draft.get(cid);
            change(&mut vector, &mut Draft::new(&read))
        });
        assert!(error.is_err());
        assert_eq!(vector, good);
    }
}
