//! What stands beside a thread's refs and in receipts, on inputs that somebody made to break it: what reads
//! is written back to the same bytes, and takes memory for its own length alone.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use treering_block::Cid;
use treering_fuzz::Fuzz;
use treering_store::RefValue;

use crate::ident::parse_wanted;
use crate::info::Status;
use crate::label::{Label, Labels};
use crate::receipt::{self, Receipt};
use crate::record::Record;
use crate::start::{key_record, thread_of_key};

const ID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// The least record and the fullest.
fn records() -> Vec<Vec<u8>> {
    let least = Record::new("w", None, Labels::new(), 0);
    let labels = Labels::from([
        ("none".into(), Label::Null),
        ("yes".into(), Label::Bool(true)),
        ("size".into(), Label::Int(i64::MIN)),
        ("ratio".into(), Label::Float(-0.0)),
        ("team".into(), Label::Text("é".into())),
    ]);
    let mut full = Record::new("solve", Some("ticket-812".into()), labels, i64::MIN);
    full.status = Status::Completed;
    full.completed_at_ms = Some(i64::MAX);
    full.forked_from = Some((ID.into(), u64::MAX));
    full.max_rounds = Some(7);
    full.steps = u64::MAX;
    full.return_code = Some(-1);
    full.set_error("why");
    vec![least.encode().unwrap(), full.encode().unwrap()]
}

/// As many small maps as a record has room for.
fn dense_record() -> Vec<u8> {
    let mut bytes = vec![0x99, 0x04, 0x00];
    bytes.extend([0xa1, 0x60, 0x00].repeat(1024));
    bytes
}

#[test]
fn fuzz_records() {
    let tokens: Vec<Vec<u8>> = [
        "form",
        "key",
        "steps",
        "error",
        "labels",
        "status",
        "workflow",
        "max_rounds",
        "forked_from",
        "return_code",
        "created_at_ms",
        "updated_at_ms",
        "completed_at_ms",
        "idle",
        "running",
    ]
    .iter()
    .map(|name| [&[0x60 | name.len() as u8], name.as_bytes()].concat())
    .collect();
    let tokens: Vec<&[u8]> = tokens.iter().map(Vec::as_slice).collect();
    Fuzz::new("fuzz_records")
        .seeds(records())
        .seeds([dense_record()])
        .tokens(&tokens)
        .cases(20_000)
        .run(
            |input| Record::decode(ID, input),
            |input, record| {
                if let Ok(record) = record {
                    assert_eq!(record.encode().unwrap(), input);
                    assert_ne!(record.status, Status::Running);
                }
            },
        );
}

#[test]
fn fuzz_receipts() {
    let one = Receipt {
        thread: ID.into(),
        cid: Some(Cid::of_node(b"head")),
        step: 7,
        count: 2,
        started: false,
    };
    let many = vec![one.clone(); 200];
    let seeds = [
        vec![],
        vec![one.clone()],
        vec![one, Receipt::of_thread(ID, true)],
        many,
    ];
    Fuzz::new("fuzz_receipts")
        .seeds(seeds.map(|receipts| receipt::encode(&receipts).unwrap()))
        .seeds([dense_record()])
        .cases(20_000)
        .run(receipt::decode, |input, receipts| {
            if let Ok(receipts) = receipts {
                assert_eq!(receipt::encode(&receipts).unwrap(), input);
            }
        });
}

#[test]
fn fuzz_key_records() {
    Fuzz::new("fuzz_key_records")
        .seeds([key_record(ID).unwrap(), key_record("é").unwrap()])
        .tokens(&[b"\x66thread", b"\x61a\x00"])
        .cases(20_000)
        .run(
            |input| {
                let value = RefValue {
                    version: 1,
                    target: Cid::of_node(b"start"),
                    record: input.to_vec(),
                };
                thread_of_key("ticket-812", &value)
            },
            |input, thread| {
                if let Ok(thread) = thread {
                    assert_eq!(key_record(&thread).unwrap(), input);
                }
            },
        );
}

#[test]
fn fuzz_ids_and_keys() {
    Fuzz::new("fuzz_ids_and_keys")
        .seeds([ID, "01ar", "org/repo#12", "ticket-812"])
        .tokens(&[
            b"/",
            b"..",
            b"\\",
            b"~",
            b" ",
            b"\0",
            "é".as_bytes(),
            b"7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
        ])
        .cases(20_000)
        .run(
            |input| parse_wanted(&String::from_utf8_lossy(input)),
            |input, wanted| {
                if let Ok(wanted) = wanted {
                    let text = String::from_utf8_lossy(input);
                    assert!(wanted.id.is_none_or(|id| id.eq_ignore_ascii_case(&text)));
                    assert!(
                        wanted
                            .prefix
                            .is_none_or(|prefix| prefix.eq_ignore_ascii_case(&text))
                    );
                    assert!(wanted.key.is_none_or(|key| key == text));
                    assert!(!text.split('/').any(|part| part == ".."));
                }
            },
        );
}
