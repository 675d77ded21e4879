//! What holds for every value and for every input, valid or not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod dag_json;

use std::collections::BTreeMap;

use proptest::prelude::*;
use treering_block::{
    AnyCid, Block, Cid, Codec, ContentNode, Encoded, Event, Ipld, Node, Reader, StartNode,
    StateNode, Writer, cbor, check_node, jump_step, payload_from_encoded,
};

/// Any float that DAG-CBOR holds, the odd ones often.
fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        Just(-0.0),
        Just(5e-324),
        Just(f64::MAX),
        (-1_000_000i32..1_000_000).prop_map(f64::from),
        (0i32..300).prop_map(|exponent| 10f64.powi(exponent)),
    ]
    .prop_filter("finite", |value| value.is_finite())
}

fn integer() -> impl Strategy<Value = i128> {
    let edges: Vec<i128> = [8u32, 16, 32, 63, 64]
        .into_iter()
        .flat_map(|bits| {
            [
                (1i128 << bits) - 1,
                -(1i128 << bits),
                (1i128 << (bits - 1)),
                -(1i128 << (bits - 1)) - 1,
            ]
        })
        .collect();
    prop_oneof![
        -30i128..300,
        -(1i128 << 64)..(1i128 << 64),
        proptest::sample::select(edges)
    ]
}

fn any_link() -> impl Strategy<Value = AnyCid> {
    let ours = (any::<[u8; 32]>(), any::<bool>()).prop_map(|(digest, node)| {
        Cid::new(if node { Codec::DagCbor } else { Codec::Raw }, digest).into()
    });
    let sha = any::<[u8; 32]>().prop_map(|digest| {
        AnyCid::new_v1(0x70, multihash::Multihash::wrap(0x12, &digest).unwrap())
    });
    let v0 = any::<[u8; 32]>().prop_map(|digest| {
        AnyCid::new_v0(multihash::Multihash::wrap(0x12, &digest).unwrap()).unwrap()
    });
    let identity = proptest::collection::vec(any::<u8>(), 0..=64)
        .prop_map(|bytes| AnyCid::new_v1(0x55, multihash::Multihash::wrap(0, &bytes).unwrap()));
    prop_oneof![4 => ours, 1 => sha, 1 => v0, 1 => identity]
}

fn value() -> impl Strategy<Value = Ipld> {
    let leaf = prop_oneof![
        Just(Ipld::Null),
        any::<bool>().prop_map(Ipld::Bool),
        integer().prop_map(Ipld::Integer),
        float().prop_map(Ipld::Float),
        any::<String>().prop_map(Ipld::String),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Ipld::Bytes),
        any_link().prop_map(Ipld::Link),
    ];
    leaf.prop_recursive(6, 80, 12, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..12).prop_map(Ipld::List),
            proptest::collection::btree_map("[/a-c]{0,3}|bytes|\\PC{0,30}", inner, 0..12)
                .prop_map(Ipld::Map),
        ]
    })
}

/// `==` on floats takes −0.0 and 0.0 for the same.
fn same(a: &Ipld, b: &Ipld) -> bool {
    match (a, b) {
        (Ipld::Float(a), Ipld::Float(b)) => a.to_bits() == b.to_bits(),
        (Ipld::List(a), Ipld::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Ipld::Map(a), Ipld::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && same(a.1, b.1))
        }
        _ => a == b,
    }
}

fn links_in(value: &Ipld, seen: &mut Vec<AnyCid>) {
    match value {
        Ipld::Link(cid) if !seen.contains(cid) => seen.push(*cid),
        Ipld::List(items) => items.iter().for_each(|item| links_in(item, seen)),
        Ipld::Map(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by(|a, b| (a.0.len(), a.0.as_bytes()).cmp(&(b.0.len(), b.0.as_bytes())));
            sorted
                .into_iter()
                .for_each(|(_, item)| links_in(item, seen));
        }
        _ => {}
    }
}

fn depth_of(value: &Ipld) -> usize {
    match value {
        Ipld::List(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
        Ipld::Map(entries) => 1 + entries.values().map(depth_of).max().unwrap_or(0),
        _ => 0,
    }
}

/// Bytes that are nearly DAG-CBOR: a valid value with some of its bytes changed, cut or repeated.
fn nearly_valid() -> impl Strategy<Value = Vec<u8>> {
    (value(), any::<prop::sample::Index>(), any::<u8>(), 0u8..4).prop_map(
        |(value, at, byte, change)| {
            let mut bytes = cbor::encode(&value).unwrap();
            let at = at.index(bytes.len());
            match change {
                0 => bytes[at] = byte,
                1 => bytes[at] ^= 1 << (byte % 8),
                2 => bytes.truncate(at),
                _ => bytes.insert(at, byte),
            }
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn dag_cbor_round_trips(value in value()) {
        let encoded = Encoded::from_ipld(&value).unwrap();
        let back = cbor::decode(encoded.bytes()).unwrap();
        prop_assert!(same(&back, &value), "{:?} became {:?}", value, back);
        let checked = Encoded::decode_from(encoded.bytes()).unwrap();
        prop_assert_eq!(&checked, &encoded);
        prop_assert_eq!(encoded.depth(), depth_of(&value));
        let mut links = Vec::new();
        links_in(&value, &mut links);
        prop_assert_eq!(encoded.links(), &links[..]);
        prop_assert_eq!(cbor::links(encoded.bytes()).unwrap(), links);
    }

    #[test]
    fn whatever_decodes_has_no_other_encoding(bytes in prop_oneof![
        nearly_valid(),
        proptest::collection::vec(any::<u8>(), 0..64),
    ]) {
        let decoded = cbor::decode(&bytes);
        // The three ways to read must agree on what is valid.
        prop_assert_eq!(Encoded::decode_from(&bytes[..]).is_ok(), decoded.is_ok());
        prop_assert_eq!(cbor::links(&bytes).is_ok(), decoded.is_ok());
        if let Ok(value) = decoded {
            prop_assert_eq!(cbor::encode(&value).unwrap(), bytes);
        }
    }

    #[test]
    fn nodes_never_panic(bytes in nearly_valid()) {
        let cid = Cid::of_node(&bytes);
        if let Ok(node) = Node::decode(&cid, &bytes) {
            prop_assert_eq!(node.encode().unwrap().cid, cid);
        }
        if let Ok(links) = check_node(&bytes) {
            prop_assert_eq!(Block::stored(cid, bytes).unwrap().links, links);
        }
    }

    #[test]
    fn skipping_is_reading(values in proptest::collection::vec(value(), 1..5)) {
        let bytes = cbor::encode(&Ipld::List(values.clone())).unwrap();
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(reader.next().unwrap(), Event::Array(values.len()));
        for value in &values {
            prop_assert_eq!(reader.skip_value().unwrap(), &cbor::encode(value).unwrap()[..]);
        }
        prop_assert!(reader.next().is_err());
        reader.finish().unwrap();
    }

    #[test]
    fn splicing_is_writing(values in proptest::collection::vec(value(), 0..5)) {
        let mut writer = Writer::new();
        writer.array(values.len()).unwrap();
        for value in &values {
            writer.raw(&Encoded::from_ipld(value).unwrap()).unwrap();
        }
        prop_assert_eq!(writer.finish().unwrap(), Encoded::from_ipld(&Ipld::List(values)).unwrap());
    }

    #[test]
    fn dag_json_round_trips(value in value()) {
        // Reserved maps have no form; everything else has.
        if let Ok(text) = dag_json::encode(&value) {
            let back = dag_json::decode(&text).unwrap();
            prop_assert!(same(&back, &value), "{:?} became {} became {:?}", value, text, back);
            prop_assert_eq!(dag_json::encode(&back).unwrap(), text);
        } else {
            prop_assert!(format!("{value:?}").contains("\"/\""), "{:?} has no form", value);
        }
    }

    #[test]
    fn dag_json_agrees_with_a_json_parser(value in value()) {
        if let Ok(text) = dag_json::encode(&value) {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
        }
    }

    #[test]
    fn dag_json_never_panics(text in "[\\[\\]{}\",:/\\\\ubytes0-9.eE+ -]{0,40}|\\PC{0,40}") {
        if let Ok(value) = dag_json::decode(&text) {
            let again = dag_json::encode(&value).unwrap();
            prop_assert!(same(&dag_json::decode(&again).unwrap(), &value));
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
        }
    }
}

fn ours(codec: Codec) -> impl Strategy<Value = Cid> {
    any::<[u8; 32]>().prop_map(move |digest| Cid::new(codec, digest))
}

fn our_map() -> impl Strategy<Value = Encoded> {
    proptest::collection::btree_map("[a-z]{1,8}", integer().prop_map(Ipld::Integer), 0..4)
        .prop_map(|map| Encoded::from_ipld(&Ipld::Map(map)).unwrap())
}

fn state() -> impl Strategy<Value = StateNode> {
    let node = || ours(Codec::DagCbor);
    (
        "[a-z]{1,20}",
        our_map(),
        (node(), node(), node(), node()),
        prop_oneof![1u64..40, 1u64..],
        (proptest::option::of(node()), proptest::option::of(node())),
        proptest::option::of(any::<i64>()),
    )
        .prop_map(
            |(role, meta, (start, content, parent, jump), step, (compact, child_thread), at_ms)| {
                let jump = if jump_step(step) == step - 1 {
                    parent
                } else {
                    jump
                };
                StateNode {
                    role,
                    meta,
                    start,
                    content,
                    parent: (step > 1).then_some(parent),
                    jump: (jump_step(step) > 0).then_some(jump),
                    step,
                    compact,
                    child_thread,
                    at_ms,
                }
            },
        )
}

fn start() -> impl Strategy<Value = StartNode> {
    (
        "\\PC{1,20}",
        proptest::option::of("[0-9a-f]{1,64}"),
        our_map(),
        proptest::option::of(any::<u64>()),
        any::<u64>(),
        (
            proptest::option::of(ours(Codec::DagCbor)),
            proptest::option::of(ours(Codec::DagCbor)),
        ),
    )
        .prop_map(
            |(workflow, workflow_hash, parameters, max_rounds, depth, (prompt, parent_state))| {
                StartNode {
                    workflow,
                    workflow_hash,
                    prompt,
                    parameters,
                    max_rounds,
                    depth,
                    parent_state,
                }
            },
        )
}

fn content() -> impl Strategy<Value = (ContentNode, Option<Block>)> {
    let payload = prop_oneof![
        any::<String>().prop_map(Ipld::String),
        (4000usize..4200).prop_map(|length| Ipld::String("é".repeat(length / 2))),
        (4080usize..4110).prop_map(|length| Ipld::Bytes(vec![7; length])),
        (4080usize..4110).prop_map(|length| Ipld::List(vec![Ipld::Integer(1); length])),
        our_map().prop_map(|map| map.to_ipld().unwrap()),
    ];
    let artifacts = proptest::collection::btree_map("[a-z/.]{1,12}", ours(Codec::Raw), 0..4);
    (
        payload,
        artifacts,
        proptest::collection::vec(ours(Codec::DagCbor), 0..4),
    )
        .prop_map(|(payload, artifacts, refs)| {
            let (payload, block) =
                payload_from_encoded(Encoded::from_ipld(&payload).unwrap()).unwrap();
            (
                ContentNode {
                    payload,
                    artifacts,
                    refs,
                },
                block,
            )
        })
}

proptest! {
    #[test]
    fn every_node_round_trips(node in prop_oneof![
        state().prop_map(Node::State),
        start().prop_map(Node::Start),
        content().prop_map(|(node, _)| Node::Content(node)),
    ]) {
        let block = node.encode().unwrap();
        prop_assert_eq!(Node::decode(&block.cid, &block.bytes).unwrap(), node);
        prop_assert_eq!(check_node(&block.bytes).unwrap(), block.links.clone());
        prop_assert!(block.cid.matches(&block.bytes));
    }

    #[test]
    fn a_missing_or_foreign_field_is_named(node in state(), drop in any::<prop::sample::Index>()) {
        let block = node.encode().unwrap();
        let Ipld::Map(fields) = cbor::decode(&block.bytes).unwrap() else { panic!("not a map") };
        let required = ["kind", "role", "start", "content", "step"];
        let dropped = required[drop.index(required.len())];
        let mut fewer = fields.clone();
        fewer.remove(dropped);
        prop_assert!(decode_error(fewer).contains(dropped));
        let mut more = fields;
        more.insert("colour".into(), Ipld::Null);
        prop_assert!(decode_error(more).contains("colour"));
    }
}

fn decode_error(fields: BTreeMap<String, Ipld>) -> String {
    let bytes = cbor::encode(&Ipld::Map(fields)).unwrap();
    Node::decode(&Cid::of_node(&bytes), &bytes)
        .unwrap_err()
        .to_string()
}
