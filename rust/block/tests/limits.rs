//! Every limit at its edge, and inputs that promise more than they hold.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod dag_json;

use treering_block::cbor::{self, Encoded};
use treering_block::limits::{CODEC_DEPTH_MAX, NODE_BYTES_MAX, NODE_DEPTH_MAX, NODE_LINKS_MAX};
use treering_block::{
    Block, BlockError, Cid, CodecError, Fault, Ipld, LimitKind, Reader, Writer, check_node,
};

/// Lists around an integer; `depth` of them.
fn nested(depth: usize) -> Vec<u8> {
    let mut bytes = vec![0x81; depth];
    bytes.push(0x00);
    bytes
}

fn limit_of(error: BlockError) -> (LimitKind, u64, u64) {
    assert_eq!(error.fault(), Fault::Limit);
    match error {
        BlockError::Codec(CodecError::Limit {
            what,
            limit,
            actual,
        }) => (what, limit, actual),
        other => panic!("not a limit: {other}"),
    }
}

#[test]
fn node_depth() {
    assert!(check_node(&nested(NODE_DEPTH_MAX)).is_ok());
    let over = limit_of(check_node(&nested(NODE_DEPTH_MAX + 1)).unwrap_err());
    assert_eq!(over, (LimitKind::Depth, 128, 129));
    // An empty container counts as a container.
    let mut empty = vec![0x81; NODE_DEPTH_MAX];
    empty.push(0x80);
    assert!(check_node(&empty).is_err());
    assert!(check_node(&empty[1..]).is_ok());
    // The same limit when a value becomes a node.
    assert!(Block::from_encoded(Encoded::decode_from(nested(128)).unwrap()).is_ok());
    assert_eq!(
        limit_of(Block::from_encoded(Encoded::decode_from(nested(129)).unwrap()).unwrap_err()).2,
        129
    );
}

#[test]
fn codec_depth() {
    let mut value = Ipld::Null;
    for _ in 0..CODEC_DEPTH_MAX {
        value = Ipld::List(vec![value]);
    }
    assert_eq!(cbor::decode(&cbor::encode(&value).unwrap()).unwrap(), value);
    assert_eq!(
        dag_json::decode(&dag_json::encode(&value).unwrap()).unwrap(),
        value
    );
    value = Ipld::List(vec![value]);
    assert!(matches!(
        cbor::encode(&value),
        Err(CodecError::Limit {
            what: LimitKind::Depth,
            ..
        })
    ));
    assert!(matches!(
        dag_json::encode(&value),
        Err(CodecError::Limit {
            what: LimitKind::Depth,
            ..
        })
    ));
}

#[test]
fn bytes_stand_at_full_depth_in_dag_json() {
    let mut value = Ipld::Bytes(vec![1]);
    for _ in 0..CODEC_DEPTH_MAX {
        value = Ipld::List(vec![value]);
    }
    assert_eq!(
        dag_json::decode(&dag_json::encode(&value).unwrap()).unwrap(),
        value
    );
    let over = format!("[{}]", dag_json::encode(&value).unwrap());
    assert!(matches!(
        dag_json::decode(&over),
        Err(CodecError::Limit { limit: 1024, .. })
    ));
}

#[test]
fn depth_bombs_end_early() {
    for bomb in [0x81u8, 0xa1, 0x9b, 0xd8, 0x82] {
        assert!(cbor::decode(&vec![bomb; 2_000_000]).is_err());
        assert!(Reader::new(&vec![bomb; 2_000_000]).skip_value().is_err());
    }
    assert!(dag_json::decode(&"[".repeat(2_000_000)).is_err());
    assert!(dag_json::decode(&"{\"\":".repeat(1_000_000)).is_err());
    assert!(dag_json::decode(&"{\"/\":".repeat(1_000_000)).is_err());
}

#[test]
fn node_bytes() {
    let text = |bytes: usize| Encoded::from_text(&"x".repeat(bytes - 5));
    let fits = text(NODE_BYTES_MAX);
    assert_eq!(fits.bytes().len(), NODE_BYTES_MAX);
    assert!(check_node(fits.bytes()).is_ok());
    assert!(Block::from_encoded(fits).is_ok());
    let over = text(NODE_BYTES_MAX + 1);
    assert_eq!(
        limit_of(check_node(over.bytes()).unwrap_err()),
        (LimitKind::Bytes, 1 << 20, (1 << 20) + 1)
    );
    assert!(Block::from_encoded(over).is_err());
}

#[test]
fn the_writer_stops_at_its_limit() {
    let mut limits = treering_block::limits::Limits::NODE;
    limits.bytes_max = 8;
    let write = |text: &str| {
        let mut writer = Writer::with_limits(limits);
        writer.str(text).and_then(|()| writer.finish())
    };
    assert!(write("1234567").is_ok());
    assert!(matches!(
        write("12345678"),
        Err(CodecError::Limit {
            what: LimitKind::Bytes,
            limit: 8,
            actual: 9
        })
    ));
    let mut writer = Writer::with_limits(limits);
    writer.array(1_000_000).unwrap();
    let written = (0..1_000_000).take_while(|_| writer.u64(0).is_ok()).count();
    assert!(written <= 8, "{written}");
}

#[test]
fn node_links() {
    let links = |count: usize| {
        let mut writer = Writer::new();
        writer.array(count * 2).unwrap();
        for n in (0..count).chain(0..count) {
            writer.link_ours(&Cid::of_raw(&n.to_be_bytes())).unwrap();
        }
        writer.finish().unwrap()
    };
    // Twice the same link is one link.
    assert_eq!(
        check_node(links(NODE_LINKS_MAX).bytes()).unwrap().len(),
        NODE_LINKS_MAX
    );
    assert_eq!(
        Block::from_encoded(links(NODE_LINKS_MAX))
            .unwrap()
            .links
            .len(),
        NODE_LINKS_MAX
    );
    let over = links(NODE_LINKS_MAX + 1);
    assert_eq!(
        limit_of(check_node(over.bytes()).unwrap_err()),
        (LimitKind::Links, 4096, 4097)
    );
    assert!(Block::from_encoded(over).is_err());
}

#[test]
fn length_bombs_take_no_memory() {
    // A list of 2^60 values, a map of 2^63 entries (twice that overflows), a text of 2^64 − 1 bytes.
    for head in [
        "9b1000000000000000",
        "bb8000000000000000",
        "7bffffffffffffffff",
        "5b7fffffffffffffff",
    ] {
        let mut bytes = data_encoding::HEXLOWER.decode(head.as_bytes()).unwrap();
        bytes.extend([0; 100]);
        assert!(
            matches!(
                cbor::decode(&bytes),
                Err(CodecError::Truncated { offset: 0, .. })
            ),
            "{head}"
        );
    }
    // Each head claims what is left, and the claims together are more than that.
    let mut bytes = Vec::new();
    for _ in 0..500 {
        bytes.extend([0x99, 0x03, 0xe8]);
    }
    bytes.extend([0; 1100]);
    assert!(matches!(
        cbor::decode(&bytes),
        Err(CodecError::Truncated { offset: 3 | 6, .. })
    ));
}

#[test]
fn integers_at_their_ends() {
    let (low, high) = (-(1i128 << 64), (1i128 << 64) - 1);
    for value in [low, low + 1, -1, 0, high - 1, high] {
        let value = Ipld::Integer(value);
        assert_eq!(cbor::decode(&cbor::encode(&value).unwrap()).unwrap(), value);
        assert_eq!(
            dag_json::decode(&dag_json::encode(&value).unwrap()).unwrap(),
            value
        );
    }
    for value in [low - 1, high + 1, i128::MIN, i128::MAX] {
        assert!(matches!(
            cbor::encode(&Ipld::Integer(value)),
            Err(CodecError::IntRange { .. })
        ));
        assert!(matches!(
            dag_json::encode(&Ipld::Integer(value)),
            Err(CodecError::IntRange { .. })
        ));
        assert!(matches!(
            dag_json::decode(&value.to_string()),
            Err(CodecError::IntRange { .. })
        ));
    }
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(matches!(
            cbor::encode(&Ipld::Float(value)),
            Err(CodecError::NotFinite { .. })
        ));
        assert!(matches!(
            dag_json::encode(&Ipld::Float(value)),
            Err(CodecError::NotFinite { .. })
        ));
    }
}

#[test]
fn fast_paths_agree() {
    for value in [
        i64::MIN,
        -4_294_967_297,
        -257,
        -25,
        -24,
        -1,
        0,
        23,
        24,
        65_536,
        i64::MAX,
    ] {
        let write = |fast: bool| {
            let mut writer = Writer::new();
            let written = if fast {
                writer.i64(value)
            } else {
                writer.int(value.into())
            };
            written.and_then(|()| writer.finish()).unwrap()
        };
        assert_eq!(write(true), write(false), "{value}");
    }
}

#[test]
fn the_writer_refuses_what_would_not_be_canonical() {
    let mut writer = Writer::new();
    writer.map(3).unwrap();
    assert!(matches!(writer.u64(1), Err(CodecError::Misuse(_))));
    writer.key("b").unwrap();
    assert!(matches!(writer.key("c"), Err(CodecError::Misuse(_))));
    writer.null().unwrap();
    assert!(matches!(writer.key("a"), Err(CodecError::KeyOrder { .. })));
    assert!(matches!(writer.key("b"), Err(CodecError::KeyTwice { .. })));
    writer.key("aa").unwrap();
    writer.null().unwrap();
    assert!(matches!(writer.finish(), Err(CodecError::Misuse(_))));
    assert!(matches!(Writer::new().finish(), Err(CodecError::Misuse(_))));
    let mut writer = Writer::new();
    writer.null().unwrap();
    assert!(matches!(writer.null(), Err(CodecError::Misuse(_))));
}
