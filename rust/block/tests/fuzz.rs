//! The block layer's readers on inputs that somebody made to break them.
//!
//! What reads must be written back to the same bytes (the same value where a form has several), the ways
//! to read must agree, and nothing may panic or hold more than 1 MiB and 128 times its input.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod dag_json;

use std::path::Path;

use treering_block::node::ProjectionNode;
use treering_block::{
    AnyCid, Cid, CidPrefix, CodecError, Encoded, Event, Ipld, LimitKind, Node, Reader, Writer,
    cbor, check_node,
};
use treering_fuzz::{Fuzz, Random, allowed_bytes, metered};

/// A vector file's cases, by the name of their field: bytes in hex, or texts.
fn vectors(file: &str, field: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/vectors")
        .join(file);
    let whole: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut found = Vec::new();
    collect(&whole, field, &mut found);
    assert!(!found.is_empty(), "{file} has no {field}");
    found
}

fn collect(value: &serde_json::Value, field: &str, found: &mut Vec<Vec<u8>>) {
    match value {
        serde_json::Value::Array(items) => {
            items.iter().for_each(|item| collect(item, field, found))
        }
        serde_json::Value::Object(map) => {
            if let Some(serde_json::Value::String(text)) = map.get(field) {
                found.push(if field.contains("json") || field == "text" {
                    text.as_bytes().to_vec()
                } else {
                    from_hex(text)
                });
            }
            map.values().for_each(|item| collect(item, field, found));
        }
        _ => {}
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// `item` so often, in one list.
fn list_of(item: &[u8], times: u16) -> Vec<u8> {
    let [high, low] = times.to_be_bytes();
    let mut bytes = vec![0x99, high, low];
    bytes.extend(item.repeat(times.into()));
    bytes
}

/// What takes most memory for its bytes: the smallest item of each sort, many times.
fn dense() -> Vec<Vec<u8>> {
    let link = Encoded::from_ipld(&Ipld::Link(Cid::of_raw(b"x").into())).unwrap();
    let identity = {
        let mut writer = Writer::new();
        let cid = AnyCid::new_v1(0x55, multihash_of_nothing());
        writer.link(&cid).unwrap();
        writer.finish().unwrap()
    };
    let items: [&[u8]; 12] = [
        &[0xf6],
        &[0x00],
        &[0x40],
        &[0x60],
        &[0x80],
        &[0xa0],
        &[0x81, 0x00],
        &[0xa1, 0x60, 0x00],
        &[0xa1, 0x60, 0xa1, 0x60, 0xa0],
        &[0xa2, 0x60, 0x00, 0x61, 0x61, 0x00],
        link.bytes(),
        identity.bytes(),
    ];
    items
        .iter()
        .map(|item| list_of(item, (60_000 / item.len()) as u16))
        .collect()
}

/// The multihash of a link with the shortest digest there is: none.
fn multihash_of_nothing() -> multihash::Multihash<64> {
    multihash::Multihash::wrap(0, &[]).unwrap()
}

#[test]
fn fuzz_dag_cbor() {
    Fuzz::new("fuzz_dag_cbor")
        .seeds(vectors("dag-cbor-valid.json", "hex"))
        .seeds(vectors("dag-cbor-invalid.json", "hex"))
        .seeds(vectors("nodes.json", "bytes"))
        .seeds(dense())
        .cases(15_000)
        .run(
            |input| Encoded::decode_from(input),
            |input, checked| {
                assert_eq!(cbor::links(input).is_ok(), checked.is_ok(), "links");
                assert_eq!(skipped(input), checked.is_ok(), "skipping");
                match checked {
                    Ok(encoded) => {
                        assert_eq!(encoded.bytes(), input);
                        assert_eq!(cbor::links(input).unwrap(), encoded.links());
                        if let Ok(links) = check_node(input) {
                            assert_eq!(links.len(), encoded.links().len());
                        }
                    }
                    Err(_) => assert!(check_node(input).is_err()),
                }
            },
        );
}

fn skipped(input: &[u8]) -> bool {
    let mut reader = Reader::new(input);
    reader.skip_value().is_ok() && reader.finish().is_ok()
}

#[test]
fn fuzz_dag_cbor_values() {
    Fuzz::new("fuzz_dag_cbor_values")
        .seeds(vectors("dag-cbor-valid.json", "hex"))
        .seeds(vectors("dag-cbor-invalid.json", "hex"))
        .seeds(dense())
        .cases(8_000)
        .run(cbor::decode, |input, value| {
            // Where decoding stops for its maps, what follows may be anything.
            assert!(
                value
                    .as_ref()
                    .is_err_and(|error| is_of_too_many_maps(error))
                    || value.is_ok() == skipped(input)
            );
            if let Ok(value) = value {
                assert_eq!(cbor::encode(&value).unwrap(), input);
            }
        });
}

/// What is made of more maps than its length pays for is refused, by reading only.
fn is_of_too_many_maps(error: &CodecError) -> bool {
    matches!(
        error,
        CodecError::Limit {
            what: LimitKind::Maps,
            ..
        }
    )
}

/// The other way: any value that can be built is written, and reads back as itself.
#[test]
fn fuzz_values_to_dag_cbor() {
    Fuzz::new("fuzz_values_to_dag_cbor")
        .seeds((0..32_u64).map(|seed| {
            let mut random = Random::new(seed);
            (0..200).map(|_| random.byte()).collect::<Vec<u8>>()
        }))
        .cases(8_000)
        .run(
            |input| cbor::encode(&built(&mut input.iter().copied(), 0)),
            |input, encoded| {
                let Ok(bytes) = encoded else { return };
                let value = built(&mut input.iter().copied(), 0);
                // As texts, since −0.0 equals 0.0.
                let back = cbor::decode(&bytes);
                if back.as_ref().is_err_and(is_of_too_many_maps) {
                    return;
                }
                let back = back.unwrap();
                assert_eq!(format!("{back:?}"), format!("{value:?}"));
                if let Ok(text) = dag_json::encode(&value) {
                    let back = dag_json::decode(&text).unwrap();
                    assert_eq!(cbor::encode(&back).unwrap(), bytes, "{text}");
                }
            },
        );
}

/// A value that the bytes say how to build; NaN, infinities and integers beyond 64 bits among them.
fn built(from: &mut impl Iterator<Item = u8>, depth: usize) -> Ipld {
    let kind = word(from);
    match kind as u8 % 16 {
        0 => Ipld::Null,
        1 => Ipld::Bool(kind & 256 > 0),
        2 => Ipld::Integer(i128::from(kind >> 8)),
        3 => Ipld::Integer(-1 - i128::from(word(from))),
        4 => Ipld::Integer(i128::from(word(from)) << (kind >> 8 & 7)),
        5 => Ipld::Float(f64::from_bits(word(from))),
        6 => Ipld::Float((kind >> 8) as f64),
        7 => Ipld::String(text(from, kind >> 8 & 31)),
        8 => Ipld::Bytes(from.take((kind >> 8 & 31) as usize).collect()),
        9 => Ipld::Link(Cid::of_raw(&kind.to_le_bytes()).into()),
        10 => Ipld::Link(AnyCid::new_v1(kind >> 8, multihash_of_nothing())),
        _ if depth >= 40 => Ipld::Null,
        11..=13 => Ipld::List((0..kind >> 8 & 7).map(|_| built(from, depth + 1)).collect()),
        _ => Ipld::Map(
            (0..kind >> 8 & 7)
                .map(|_| (text(from, kind >> 16 & 3), built(from, depth + 1)))
                .collect(),
        ),
    }
}

fn word(from: &mut impl Iterator<Item = u8>) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|_| from.next().unwrap_or(0)))
}

fn text(from: &mut impl Iterator<Item = u8>, length: u64) -> String {
    let bytes: Vec<u8> = from.take(length as usize).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn fuzz_dag_json() {
    let tokens: [&[u8]; 12] = [
        b"{\"/\":",
        b"\"bytes\":",
        b"{}",
        b"[]",
        b"\\u0000",
        b"\\ud83d\\ude00",
        b"\\udc00",
        b"1e400",
        b"-0",
        b"0.1",
        b"18446744073709551616",
        b"\"\":",
    ];
    let dense = [
        "0",
        "[]",
        "{}",
        "\"\"",
        "[0]",
        "{\"\":0}",
        "{\"a\":{\"\":{}}}",
    ]
    .map(|item| format!("[{}]", vec![item; 60_000 / (item.len() + 1)].join(",")));
    Fuzz::new("fuzz_dag_json")
        .seeds(vectors("dag-cbor-valid.json", "dag_json"))
        .seeds(vectors("dag-json-invalid.json", "text"))
        .seeds(dense)
        .tokens(&tokens)
        .cases(12_000)
        .run(
            |input| match std::str::from_utf8(input) {
                Ok(text) => dag_json::decode(text).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            },
            |_, value| {
                if let Ok(value) = value {
                    let text = dag_json::encode(&value).unwrap();
                    assert_eq!(dag_json::decode(&text).unwrap(), value, "{text}");
                }
            },
        );
}

#[test]
fn fuzz_nodes() {
    Fuzz::new("fuzz_nodes")
        .seeds(vectors("nodes.json", "bytes"))
        .cases(15_000)
        .run(
            |input| Node::decode(&Cid::of_node(input), input),
            |input, node| {
                if let Ok(node) = node {
                    let block = node.encode().unwrap();
                    assert_eq!((block.cid, &*block.bytes), (Cid::of_node(input), input));
                    assert_eq!(check_node(input).unwrap(), block.links);
                }
            },
        );
}

#[test]
fn fuzz_projections() {
    let root = Cid::of_node(b"root");
    let view = Ipld::List(vec![Ipld::Link(root.into()), Ipld::Integer(7)]);
    let whole = ProjectionNode {
        view: Encoded::from_ipld(&view).unwrap(),
        collections: vec![root],
        seen: Cid::of_node(b"seen"),
        events: 300,
        following: [7; 32],
        cursor: Some("c1-42-0001020304050607".into()),
    };
    let least = ProjectionNode {
        view: Encoded::null(),
        collections: Vec::new(),
        events: 0,
        cursor: None,
        ..whole.clone()
    };
    let seeds = [whole, least].map(|node| node.encode().unwrap().bytes.to_vec());
    Fuzz::new("fuzz_projections")
        .seeds(seeds)
        .cases(15_000)
        .run(
            |input| ProjectionNode::decode(&Cid::of_node(input), input),
            |input, node| {
                if let Ok(node) = node {
                    let block = node.encode().unwrap();
                    assert_eq!((block.cid, &*block.bytes), (Cid::of_node(input), input));
                    assert_eq!(check_node(input).unwrap(), block.links);
                }
            },
        );
}

#[test]
fn fuzz_cids() {
    let cid = Cid::of_raw(b"block");
    Fuzz::new("fuzz_cids")
        .seeds([cid.to_string()])
        .seeds([cid.to_bytes()])
        .tokens(&[b"bafyr4i", b"bafkr4i"])
        .cases(15_000)
        .run(
            |input| match Cid::from_bytes(input) {
                Ok(cid) => Ok((cid, true)),
                Err(_) => String::from_utf8_lossy(input)
                    .parse()
                    .map(|cid| (cid, false)),
            },
            |input, cid: Result<(Cid, bool), _>| match cid {
                Ok((cid, true)) => assert_eq!(cid.to_bytes(), *input),
                Ok((cid, false)) => assert_eq!(cid.to_string().as_bytes(), input),
                Err(_) => {}
            },
        );
}

#[test]
fn fuzz_cid_prefixes() {
    let text = Cid::of_node(b"block").to_string();
    Fuzz::new("fuzz_cid_prefixes")
        .seeds([&text, &text[..14], "bafyr4ia7stf7…"])
        .tokens(&[b"bafyr4i", b"bafkr4i", "…".as_bytes()])
        .cases(15_000)
        .run(
            |input| CidPrefix::parse(&String::from_utf8_lossy(input)),
            |input, prefix| {
                if let Ok(prefix) = prefix {
                    assert!(prefix.low() <= prefix.high());
                    let lowest = Cid::new(prefix.codec(), prefix.low());
                    assert!(prefix.matches(&lowest));
                    let text = String::from_utf8_lossy(input);
                    assert!(
                        lowest.to_string().starts_with(text.trim_end_matches('…')),
                        "{text}"
                    );
                }
            },
        );
}

/// The allowance at its edge: dense inputs of every size, not only those that chance makes.
#[test]
fn memory_grows_with_the_input_alone() {
    for input in dense() {
        for read in [
            |bytes: &[u8]| drop(cbor::decode(bytes)),
            |bytes: &[u8]| drop(Encoded::decode_from(bytes)),
            |bytes: &[u8]| drop(cbor::links(bytes)),
        ] {
            let taken = metered(|| read(&input)).most_bytes;
            assert!(
                taken <= allowed_bytes(input.len()),
                "{:02x?}…: {taken} bytes for {}",
                &input[..9],
                input.len()
            );
        }
    }
}

#[test]
fn events_hold_nothing() {
    let input = list_of(&[0xa1, 0x60, 0x00], 20_000);
    let taken = metered(|| {
        let mut reader = Reader::new(&input);
        let mut keys = 0;
        reader
            .value(|event| {
                keys += usize::from(matches!(event, Event::Key(_)));
                Ok::<(), CodecError>(())
            })
            .unwrap();
        keys
    });
    assert_eq!(taken.result, 20_000);
    assert!(taken.most_bytes < 4096, "{}", taken.most_bytes);
}
