//! Against plain maps, with every block written and read counted.

use std::collections::BTreeMap;

use ipld_core::ipld::Ipld;
use proptest::prelude::*;

use super::*;
use crate::collection::shelf::Shelf;

fn change<T>(
    shelf: &mut Shelf,
    map: &mut Map,
    change: impl FnOnce(&mut Map, &mut Draft<'_, BlockError>) -> Result<T, BlockError>,
) -> T {
    let (answer, root) = shelf.change(map, Map::encode, change);
    assert_eq!(Map::decode(&root, &shelf.blocks[&root]).unwrap(), *map);
    answer
}

fn all(shelf: &Shelf, map: &Map) -> BTreeMap<String, Encoded> {
    let mut found = BTreeMap::new();
    let mut take = |key: &str, value| {
        assert!(found.insert(key.to_owned(), value).is_none(), "{key} twice");
        Ok(true)
    };
    shelf.look(|draft| map.each(draft, &mut take)).unwrap();
    found
}

/// Read some entries at a time, each time from behind the last one.
fn in_parts(shelf: &Shelf, map: &Map, count: usize) -> BTreeMap<String, Encoded> {
    let mut found = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        let mut part: Vec<(String, Encoded)> = Vec::new();
        let mut take = |key: &str, value| {
            part.push((key.to_owned(), value));
            Ok(part.len() < count)
        };
        shelf
            .look(|draft| match &after {
                Some(key) => map.each_after(key, draft, &mut take),
                None => map.each(draft, &mut take),
            })
            .unwrap();
        after = match part.last() {
            Some((key, _)) => Some(key.clone()),
            None => return found,
        };
        for (key, value) in part {
            assert!(found.insert(key.clone(), value).is_none(), "{key} twice");
        }
    }
}

fn value(number: u64) -> Encoded {
    if number.is_multiple_of(3) {
        Encoded::from_text(&format!("{number} {}", "long ".repeat(20)))
    } else {
        Encoded::from_ipld(&Ipld::Integer(i128::from(number))).unwrap()
    }
}

fn build(shelf: &mut Shelf, entries: &BTreeMap<String, Encoded>) -> Map {
    let mut map = Map::new();
    change(shelf, &mut map, |map, draft| {
        // In another order than they came in.
        entries
            .iter()
            .rev()
            .try_for_each(|(key, value)| map.insert(key, value.clone(), draft).map(drop))
    });
    map
}

/// The map with these entries too, each of which comes twice.
fn at_once(shelf: &mut Shelf, map: &Map, entries: &BTreeMap<String, Encoded>) -> Map {
    let mut map = map.clone();
    let before = map.len();
    let wrong = entries.keys().map(|key| (key.clone(), value(0)));
    let right = entries.clone().into_iter().rev();
    let new = change(shelf, &mut map, |map, draft| {
        map.extend(wrong.chain(right), draft)
    });
    assert_eq!(map.len(), before + new);
    map
}

#[test]
fn what_comes_at_once_reads_and_writes_each_node_once() {
    let entries = |numbers: std::ops::Range<u64>| -> BTreeMap<String, Encoded> {
        let short = |number| Encoded::from_ipld(&Ipld::Integer(i128::from(number))).unwrap();
        numbers.map(|n| (format!("key {n}"), short(n))).collect()
    };
    let mut shelf = Shelf::default();
    let first = at_once(&mut shelf, &Map::new(), &entries(0..10_000));
    let (nodes, root) = (shelf.writes, 1);
    assert!((300..3_000).contains(&nodes), "{nodes} nodes");
    assert_eq!(shelf.reads.get(), 0);
    let second = at_once(&mut shelf, &first, &entries(0..15_000));
    // The top stands in the root.
    assert_eq!(shelf.reads.get(), nodes - root, "each node of the first");
    assert_eq!(second.len(), 15_000);
    assert_eq!(
        second,
        at_once(&mut shelf, &Map::new(), &entries(0..15_000))
    );
    assert_eq!(all(&shelf, &second), entries(0..15_000));
}

/// Few keys, so that they meet again, or many.
fn keys() -> impl Strategy<Value = Vec<(u64, bool)>> {
    prop_oneof![
        prop::collection::vec((0..40u64, any::<bool>()), 1..120),
        prop::collection::vec((0..5000u64, prop::bool::weighted(0.2)), 1..1500),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn it_is_a_map(acts in keys()) {
        let (mut shelf, mut map, mut model) = (Shelf::default(), Map::new(), BTreeMap::new());
        let mut versions = Vec::new();
        for (number, (key, removes)) in (0..).zip(acts) {
            let key = format!("key {key}");
            if removes {
                let gone = change(&mut shelf, &mut map, |map, draft| map.remove(&key, draft));
                prop_assert_eq!(gone, model.remove(&key).is_some());
            } else {
                let new = change(&mut shelf, &mut map, |map, draft| {
                    map.insert(&key, value(number), draft)
                });
                prop_assert_eq!(new, model.insert(key.clone(), value(number)).is_none());
            }
            prop_assert_eq!(map.len(), model.len() as u64);
            let found = shelf.look(|draft| map.get(&key, draft)).unwrap();
            prop_assert_eq!(found.as_ref(), model.get(&key));
            if number % 100 == 0 {
                versions.push((map.clone(), model.clone()));
            }
        }
        prop_assert_eq!(all(&shelf, &map), model.clone());
        prop_assert_eq!(in_parts(&shelf, &map, 7), model.clone());
        // However it came to be, it is the same.
        prop_assert_eq!(build(&mut shelf, &model), map.clone());
        prop_assert_eq!(at_once(&mut shelf, &Map::new(), &model), map.clone());
        for (map, model) in versions {
            prop_assert_eq!(all(&shelf, &map), model);
        }
        for key in model.keys() {
            change(&mut shelf, &mut map, |map, draft| map.remove(key, draft));
        }
        prop_assert_eq!(map, Map::new());
    }
}

#[test]
fn a_registry_of_100_000_ids_writes_a_path() {
    let mut shelf = Shelf::default();
    let id = |number: u64| format!("01J9ZK3QW8{number:016}");
    let mut map = Map::new();
    change(&mut shelf, &mut map, |map, draft| {
        (0..100_000)
            .try_for_each(|number| map.insert(&id(number), Encoded::null(), draft).map(drop))
    });
    let (mut most_bytes, mut most_blocks) = (0, 0);
    for number in 100_000..100_500 {
        let (writes, bytes, reads) = (shelf.writes, shelf.bytes, shelf.reads.get());
        change(&mut shelf, &mut map, |map, draft| {
            map.insert(&id(number), Encoded::null(), draft)
        });
        most_blocks = most_blocks.max(shelf.writes - writes);
        most_bytes = most_bytes.max(shelf.bytes - bytes);
        assert!(shelf.reads.get() - reads <= 4);
    }
    // A level each, and one or two more where two keys part late.
    assert!(most_blocks <= 6, "{most_blocks} blocks");
    assert!(most_bytes <= 6000, "{most_bytes} bytes");
    let reads = shelf.reads.get();
    let found = shelf.look(|draft| map.get(&id(77), draft)).unwrap();
    assert_eq!(found, Some(Encoded::null()));
    assert!(shelf.reads.get() - reads <= 4);
}

#[test]
fn the_edges() {
    let mut shelf = Shelf::default();
    let mut map = Map::new();
    let longest = "k".repeat(KEY_BYTES_MAX);
    change(&mut shelf, &mut map, |map, draft| {
        map.insert(&longest, Encoded::null(), draft)?;
        map.insert("", value(3), draft)
    });
    let before = map.clone();
    let refused = |key: &str, value: Encoded| {
        let mut map = before.clone();
        let error = shelf.look(|draft| {
            let read = |cid: &Cid| draft.get(cid);
            map.insert(key, value, &mut Draft::new(&read)).unwrap_err()
        });
        assert_eq!(map, before);
        assert!(
            matches!(error, BlockError::Codec(CodecError::Limit { .. })),
            "{error}"
        );
    };
    refused(&format!("{longest}k"), Encoded::null());
    refused("key", Encoded::from_bytes(&vec![0; 1 << 20]));
    assert_eq!(all(&shelf, &map).len(), 2);
}

#[test]
fn keys_that_share_bits_stand_deep_and_come_back_up() {
    // Two keys whose hashes agree in 20 bits or more, found by trying.
    let mut seen: BTreeMap<[u32; 4], String> = BTreeMap::new();
    let (one, other) = (0u64..)
        .find_map(|number| {
            let key = number.to_string();
            let path = Path::of(&key);
            let places = [0, 1, 2, 3].map(|level| path.place(level));
            seen.insert(places, key.clone()).map(|before| (before, key))
        })
        .unwrap();
    let mut shelf = Shelf::default();
    let mut map = Map::new();
    change(&mut shelf, &mut map, |map, draft| {
        map.insert(&one, value(1), draft)?;
        map.insert(&other, value(2), draft)
    });
    let writes = shelf.writes;
    assert!(writes >= 5, "{writes}");
    for (key, number) in [(&one, 1), (&other, 2)] {
        let found = shelf.look(|draft| map.get(key, draft)).unwrap();
        assert_eq!(found, Some(value(number)));
    }
    change(&mut shelf, &mut map, |map, draft| map.remove(&other, draft));
    assert_eq!(map.top.0.len(), 1);
    assert!(matches!(map.top.0[0].1, Item::Entry(..)));
}

#[test]
fn nodes_that_no_map_has_are_refused() {
    let mut shelf = Shelf::default();
    let entries: BTreeMap<String, Encoded> = (0..100)
        .map(|n| (format!("{n}"), Encoded::null()))
        .collect();
    let good = build(&mut shelf, &entries);
    let (at, child) = good
        .top
        .0
        .iter()
        .enumerate()
        .find_map(|(at, (_, item))| match item {
            Item::Child(cid) => Some((at, *cid)),
            Item::Entry(..) => None,
        })
        .unwrap();
    let node = Node::decode(&child, &shelf.blocks[&child]).unwrap();
    let mut lonely = node.clone();
    lonely.0.truncate(1);
    let mut moved = good.top.clone();
    moved.0.swap(0, 1);
    let places: Vec<u32> = good.top.0.iter().map(|(place, _)| *place).collect();
    for (slot, place) in moved.0.iter_mut().zip(places) {
        slot.0 = place;
    }
    let mut deep = Item::Child(child);
    for _ in 0..60 {
        let block = Block::from_encoded(Node(vec![(0, deep)]).encode().unwrap()).unwrap();
        deep = Item::Child(block.cid);
        shelf.blocks.insert(block.cid, block.bytes);
    }
    for bad in [
        lonely.encode().unwrap(),
        Encoded::null(),
        Encoded::from_ipld(&Ipld::List(vec![3.into(), Ipld::Null])).unwrap(),
        Encoded::from_ipld(&Ipld::List(vec![1.into(), Ipld::Null])).unwrap(),
        Encoded::from_ipld(&Ipld::List(vec![(1i128 << 32).into(), Ipld::Null])).unwrap(),
        Node(vec![(0, deep)]).encode().unwrap(),
    ] {
        let block = Block::from_encoded(bad).unwrap();
        let mut map = good.clone();
        map.top.0[at].1 = Item::Child(block.cid);
        shelf.blocks.insert(block.cid, block.bytes);
        let error = shelf.look(|draft| map.each(draft, &mut |_, _| Ok(true)));
        assert!(
            matches!(error, Err(BlockError::IllTyped { .. })),
            "{error:?}"
        );
    }
    let map = Map {
        count: 100,
        top: moved,
    };
    let error = shelf.look(|draft| map.each(draft, &mut |_, _| Ok(true)));
    assert!(
        matches!(error, Err(BlockError::IllTyped { .. })),
        "an entry in another's place: {error:?}"
    );
    for (count, top) in [(0, good.top.clone()), (1, Node::default())] {
        let block = Map { count, top }.encode().unwrap();
        let error = Map::decode(&block.cid, &block.bytes);
        assert!(matches!(error, Err(BlockError::IllTyped { .. })));
    }
}

#[test]
fn a_count_that_is_not_so_is_told_behind_the_last_entry() {
    let mut shelf = Shelf::default();
    let entries: BTreeMap<String, Encoded> =
        (0..40).map(|n| (format!("{n}"), Encoded::null())).collect();
    let mut map = build(&mut shelf, &entries);
    map.count += 1;
    let error = shelf.look(|draft| map.each(draft, &mut |_, _| Ok(true)));
    assert!(
        matches!(error, Err(BlockError::IllTyped { .. })),
        "{error:?}"
    );
    let mut left = 39;
    let some = shelf.look(|draft| {
        map.each(draft, &mut |_, _| {
            left -= 1;
            Ok(left > 0)
        })
    });
    assert_eq!(some, Ok(()), "who stops before the end has counted nothing");
}

#[test]
fn a_key_in_anothers_place_parts_from_none() {
    // Nodes along the whole way of one key, and at its end a key that shares the last bits alone.
    let mut shelf = Shelf::default();
    let path = Path::of("messages");
    let last = LEVELS_MAX - 1;
    let stray = (0u64..)
        .map(|number| number.to_string())
        .find(|key| Path::of(key).place(last) == path.place(last))
        .unwrap();
    let item = Item::Entry(stray, Element::Here(Encoded::null()));
    let mut node = Node(vec![(path.place(last), item.clone()), (31, item)]);
    for level in (0..last).rev() {
        let block = Block::from_encoded(node.encode().unwrap()).unwrap();
        node = Node(vec![(path.place(level), Item::Child(block.cid))]);
        shelf.blocks.insert(block.cid, block.bytes);
    }
    let mut map = Map {
        count: 2,
        top: node,
    };
    let error = shelf.look(|draft| {
        let read = |cid: &Cid| draft.get(cid);
        map.insert("messages", Encoded::null(), &mut Draft::new(&read))
    });
    assert!(
        matches!(error, Err(BlockError::IllTyped { .. })),
        "{error:?}"
    );
}
