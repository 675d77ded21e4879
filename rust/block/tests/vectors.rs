//! The golden vectors in `tests/vectors/`, which the Python tests read too. They were computed with
//! implementations that share nothing with this crate.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod dag_json;

use serde_json::Value;
use treering_block::node::{Entry, ItemNode, SnapshotNode};
use treering_block::{
    Block, BlockError, Cid, CidPrefix, Codec, Encoded, Node, Payload, Reader, cbor, check_node,
    payload_from_encoded,
};

fn vectors(name: &str) -> Value {
    let path = format!(
        "{}/../../tests/vectors/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn cases(value: &Value) -> &[Value] {
    let cases = value.as_array().unwrap();
    assert!(!cases.is_empty());
    cases
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field]
        .as_str()
        .unwrap_or_else(|| panic!("{case}: no {field}"))
}

fn hex(case: &Value, field: &str) -> Vec<u8> {
    data_encoding::HEXLOWER
        .decode(text(case, field).as_bytes())
        .unwrap()
}

#[test]
fn cids() {
    let all = vectors("cids");
    for case in cases(&all["valid"]) {
        let codec = if text(case, "codec") == "raw" {
            Codec::Raw
        } else {
            Codec::DagCbor
        };
        let cid = Cid::of(codec, &hex(case, "bytes"));
        assert_eq!(cid.to_string(), text(case, "cid"));
        assert_eq!(&cid.digest()[..], &hex(case, "digest")[..]);
        assert_eq!(&cid.to_bytes()[..], &hex(case, "cid_bytes")[..]);
        assert_eq!(cid.short(), text(case, "short"));
        assert_eq!(text(case, "cid").parse::<Cid>().unwrap(), cid);
        assert!(CidPrefix::parse(text(case, "short")).unwrap().matches(&cid));
    }
    for case in cases(&all["invalid"]) {
        assert!(text(case, "text").parse::<Cid>().is_err(), "{case}");
    }
}

#[test]
fn valid_dag_cbor() {
    for case in cases(&vectors("dag-cbor-valid")) {
        let bytes = hex(case, "hex");
        let value = cbor::decode(&bytes).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(cbor::encode(&value).unwrap(), bytes, "{case}");
        assert_eq!(dag_json::encode(&value).unwrap(), text(case, "dag_json"));
        let from_json = dag_json::decode(text(case, "dag_json")).unwrap();
        assert_eq!(cbor::encode(&from_json).unwrap(), bytes, "{case}");
        let links: Vec<String> = cbor::links(&bytes)
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        let expected: Vec<&str> = cases_or_none(&case["links"]);
        assert_eq!(links, expected, "{case}");
        assert_eq!(Cid::of_node(&bytes).to_string(), text(case, "cid"));
    }
}

fn cases_or_none(links: &Value) -> Vec<&str> {
    links
        .as_array()
        .unwrap()
        .iter()
        .map(|link| link.as_str().unwrap())
        .collect()
}

#[test]
fn invalid_dag_cbor() {
    for case in cases(&vectors("dag-cbor-invalid")) {
        let bytes = hex(case, "hex");
        let error = cbor::decode(&bytes).expect_err(&case.to_string());
        assert_eq!(error.kind(), text(case, "error"), "{case}: {error}");
        // Whichever way it is read.
        assert_eq!(Encoded::decode_from(&bytes[..]).unwrap_err(), error);
        assert_eq!(cbor::links(&bytes).unwrap_err(), error);
        let mut reader = Reader::new(&bytes);
        assert_eq!(
            reader
                .skip_value()
                .and_then(|_| reader.finish())
                .unwrap_err(),
            error
        );
        match check_node(&bytes) {
            Err(BlockError::Codec(of_node)) => assert_eq!(of_node, error, "{case}"),
            other => panic!("{case}: {other:?}"),
        }
    }
}

#[test]
fn invalid_dag_json() {
    for case in cases(&vectors("dag-json-invalid")) {
        assert!(dag_json::decode(text(case, "text")).is_err(), "{case}");
    }
}

#[test]
fn nodes() {
    for case in cases(&vectors("nodes")["valid"]) {
        let (name, bytes) = (text(case, "name"), hex(case, "bytes"));
        let cid: Cid = text(case, "cid").parse().unwrap();
        let node = Node::decode(&cid, &bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(node.kind(), text(case, "kind"));
        let block = node.encode().unwrap();
        assert_eq!((block.cid, &block.bytes[..]), (cid, &bytes[..]), "{name}");
        let links: Vec<String> = block.links.iter().map(ToString::to_string).collect();
        assert_eq!(links, cases_or_none(&case["links"]), "{name}");
        assert_eq!(Block::stored(cid, bytes.clone()).unwrap(), block);
        let value = cbor::decode(&bytes).unwrap();
        assert_eq!(
            dag_json::encode(&value).unwrap(),
            text(case, "dag_json"),
            "{name}"
        );
        if let Node::Content(content) = &node {
            check_payload(case, &content.payload);
        }
    }
}

/// The payload is what its value alone would have become.
fn check_payload(case: &Value, payload: &Payload) {
    match payload {
        Payload::Inline(value) => {
            assert_eq!(
                payload_from_encoded(value.clone()).unwrap(),
                (payload.clone(), None)
            );
        }
        Payload::Spilled {
            as_kind,
            block,
            size,
        } => {
            let times = usize::try_from(case["spilled"]["times"].as_u64().unwrap()).unwrap();
            let bytes = hex(&case["spilled"], "unit").repeat(times);
            assert!(block.matches(&bytes));
            assert_eq!(*size, bytes.len() as u64);
            let value = as_kind.decode(block, &bytes).unwrap();
            let (again, spilled) = payload_from_encoded(value).unwrap();
            assert_eq!(&again, payload);
            assert_eq!(&spilled.unwrap().bytes[..], &bytes[..]);
        }
    }
}

#[test]
fn ill_typed_nodes() {
    for case in cases(&vectors("nodes")["invalid"]) {
        let (name, bytes) = (text(case, "name"), hex(case, "bytes"));
        let cid: Cid = text(case, "cid").parse().unwrap();
        match Node::decode(&cid, &bytes) {
            Err(BlockError::IllTyped {
                cid: named, field, ..
            }) => {
                assert_eq!(
                    (named, field.as_str()),
                    (cid, text(case, "field")),
                    "{name}"
                );
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// The block that a node of an actor is written as, once it was read.
fn of_an_actor(cid: &Cid, bytes: &[u8], kind: &str) -> Result<Block, BlockError> {
    match kind {
        "snapshot" => SnapshotNode::decode(cid, bytes)?.encode(),
        "item" => ItemNode::decode(cid, bytes)?.encode(),
        _ => match Entry::decode(cid, bytes)? {
            Entry::Event(node) => node.encode(),
            Entry::Base(node) => node.encode(),
            Entry::Tombstone(node) => node.encode(),
        },
    }
}

#[test]
fn nodes_of_actors() {
    for case in cases(&vectors("actors")["valid"]) {
        let (name, bytes) = (text(case, "name"), hex(case, "bytes"));
        let cid: Cid = text(case, "cid").parse().unwrap();
        let block = of_an_actor(&cid, &bytes, text(case, "kind"))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((block.cid, &block.bytes[..]), (cid, &bytes[..]), "{name}");
        let links: Vec<String> = block.links.iter().map(ToString::to_string).collect();
        assert_eq!(links, cases_or_none(&case["links"]), "{name}");
        let value = cbor::decode(&bytes).unwrap();
        assert_eq!(
            dag_json::encode(&value).unwrap(),
            text(case, "dag_json"),
            "{name}"
        );
        // No node of a thread.
        let refused = Node::decode(&cid, &bytes).unwrap_err();
        assert!(
            matches!(&refused, BlockError::IllTyped { field, .. } if field == "kind"),
            "{name}: {refused}"
        );
    }
}

#[test]
fn ill_typed_nodes_of_actors() {
    for case in cases(&vectors("actors")["invalid"]) {
        let (name, bytes) = (text(case, "name"), hex(case, "bytes"));
        let cid: Cid = text(case, "cid").parse().unwrap();
        let value = cbor::decode(&bytes).unwrap();
        let value: Value = serde_json::from_str(&dag_json::encode(&value).unwrap()).unwrap();
        match of_an_actor(&cid, &bytes, text(&value, "kind")) {
            Err(BlockError::IllTyped {
                cid: named, field, ..
            }) => {
                assert_eq!(
                    (named, field.as_str()),
                    (cid, text(case, "field")),
                    "{name}"
                );
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}
