//! `tests/vectors/collections.json`, computed by another implementation from whole lists and dicts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use treering_block::collection::{Draft, Map, Vector};
use treering_block::{Block, BlockError, Cid, Encoded, Ipld, cbor, dag_json};

type Blocks = BTreeMap<Cid, Arc<[u8]>>;

fn cases(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/collections.json");
    let mut all: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = all[name].take().as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap()
}

fn bytes(case: &Value) -> Vec<u8> {
    data_encoding::HEXLOWER
        .decode(text(case, "bytes").as_bytes())
        .unwrap()
}

fn blocks(case: &Value) -> Blocks {
    let blocks = case["blocks"].as_array().unwrap().iter();
    blocks
        .map(|block| {
            let cid: Cid = text(block, "cid").parse().unwrap();
            (cid, bytes(block).into())
        })
        .collect()
}

/// The items of a list, or the values of a map in the order of its keys, each encoded.
fn ipld(case: &Value, field: &str) -> Ipld {
    cbor::decode(dag_json::decode(text(case, field)).unwrap().bytes()).unwrap()
}

fn encoded(value: &Ipld) -> Encoded {
    Encoded::from_ipld(value).unwrap()
}

fn nothing_there(cid: &Cid) -> Result<Arc<[u8]>, BlockError> {
    panic!("{cid} is read, and nothing was stored")
}

/// Exactly the blocks of the case, each with the bytes that it has there.
fn assert_blocks(case: &Value, root: Block, draft: Draft<'_, BlockError>) {
    let name = text(case, "name");
    assert_eq!(root.cid.to_string(), text(case, "root"), "{name}");
    let mut made: Blocks = draft
        .into_blocks(&root.links)
        .into_iter()
        .map(|block| (block.cid, block.bytes))
        .collect();
    made.insert(root.cid, root.bytes);
    assert_eq!(made, blocks(case), "{name}");
}

#[test]
fn vectors() {
    for case in cases("vectors") {
        let Ipld::List(elements) = ipld(&case, "elements") else {
            panic!("{case}");
        };
        let elements: Vec<Encoded> = elements.iter().map(encoded).collect();
        let start = case["start"].as_u64().unwrap();
        let mut draft = Draft::new(&nothing_there);
        let mut vector = Vector::new();
        for _ in 0..start {
            vector.push(Encoded::null(), &mut draft).unwrap();
        }
        for element in &elements {
            vector.push(element.clone(), &mut draft).unwrap();
        }
        vector.drop_front(start, &mut draft).unwrap();
        assert_blocks(&case, vector.encode().unwrap(), draft);

        let stored = blocks(&case);
        let read = |cid: &Cid| Ok::<_, BlockError>(stored[cid].clone());
        let root: Cid = text(&case, "root").parse().unwrap();
        let vector = Vector::decode(&root, &stored[&root]).unwrap();
        let mut found = Vec::new();
        vector
            .each(0, &Draft::new(&read), &mut |value| {
                found.push(value);
                Ok(true)
            })
            .unwrap();
        assert_eq!((vector.start(), found), (start, elements), "{case}");
    }
}

#[test]
fn maps() {
    for case in cases("maps") {
        let Ipld::Map(entries) = ipld(&case, "entries") else {
            panic!("{case}");
        };
        let entries: BTreeMap<String, Encoded> = entries
            .iter()
            .map(|(key, value)| (key.clone(), encoded(value)))
            .collect();
        let removed: Vec<&str> = match &case["removed"] {
            Value::Array(keys) => keys.iter().map(|key| key.as_str().unwrap()).collect(),
            _ => Vec::new(),
        };
        let mut draft = Draft::new(&nothing_there);
        let mut map = Map::new();
        for (key, value) in &entries {
            map.insert(key, value.clone(), &mut draft).unwrap();
        }
        for key in &removed {
            map.insert(key, Encoded::null(), &mut draft).unwrap();
        }
        for key in &removed {
            assert!(map.remove(key, &mut draft).unwrap());
        }
        assert_blocks(&case, map.encode().unwrap(), draft);

        let stored = blocks(&case);
        let read = |cid: &Cid| Ok::<_, BlockError>(stored[cid].clone());
        let root: Cid = text(&case, "root").parse().unwrap();
        let map = Map::decode(&root, &stored[&root]).unwrap();
        let mut found = BTreeMap::new();
        map.each(&Draft::new(&read), &mut |key, value| {
            found.insert(key.to_owned(), value);
            Ok(true)
        })
        .unwrap();
        assert_eq!(
            (map.len(), found),
            (entries.len() as u64, entries),
            "{case}"
        );
    }
}

#[test]
fn roots_that_are_none() {
    for case in cases("invalid") {
        let bytes = bytes(&case);
        let cid: Cid = text(&case, "cid").parse().unwrap();
        let error = match text(&case, "kind") {
            "vector" => Vector::decode(&cid, &bytes).map(drop),
            _ => Map::decode(&cid, &bytes).map(drop),
        };
        match error {
            Err(BlockError::IllTyped {
                cid: named, field, ..
            }) => assert_eq!((named, &*field), (cid, text(&case, "field")), "{case}"),
            other => panic!("{case}: {other:?}"),
        }
    }
}
