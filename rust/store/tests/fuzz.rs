//! The store's texts and bodies on inputs that somebody made to break them: what reads is written back as it
//! was, and takes memory for its own length alone. Rows of the database: `src/embedded/fuzz.rs`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use treering_block::Cid;
use treering_fuzz::Fuzz;
use treering_store::journal::encode_body;
use treering_store::{Cursor, Head, JournalCommand, JournalMove, JournalRow, RefName};

/// Bodies of one of each sort of move, with and without a command; one of many moves.
fn bodies() -> Vec<Vec<u8>> {
    let name = |part: &str| RefName::new("a/b", "thread", [part]).unwrap();
    let set = |part: &str, record: &[u8]| JournalMove {
        name: name(part),
        version: 7,
        target: Some(Cid::of_node(part.as_bytes())),
        record: Some(record.to_vec()),
    };
    let gone = JournalMove {
        name: name("gone"),
        version: 0,
        target: None,
        record: None,
    };
    let command = JournalCommand {
        key: [1; 32],
        payload: [2; 32],
        receipt: vec![3; 40],
    };
    let many: Vec<JournalMove> = (0..300).map(|n| set(&n.to_string(), b"")).collect();
    vec![
        encode_body("main", &[], None, &[]).unwrap(),
        encode_body(
            "a/b",
            &[set("x", b"record"), gone.clone()],
            Some(&command),
            &[],
        )
        .unwrap(),
        encode_body("é", &[gone], Some(&command), &[]).unwrap(),
        encode_body("a/b", &many, None, &[]).unwrap(),
        encode_body("a/b", &[], None, &[command.clone(), command]).unwrap(),
    ]
}

#[test]
fn fuzz_journal_bodies() {
    Fuzz::new("fuzz_journal_bodies")
        .seeds(bodies())
        .tokens(&[
            b"\x65moves",
            b"\x65scope",
            b"\x67command",
            b"\x81\x67main/a/",
        ])
        .cases(15_000)
        .run(
            |input| JournalRow::after(&Head::default(), 1, input.to_vec()).entry(),
            |input, entry| {
                if let Ok(entry) = entry {
                    let again = encode_body(
                        &entry.scope,
                        &entry.moves,
                        entry.command.as_ref(),
                        &entry.receipts,
                    );
                    assert_eq!(again.unwrap(), input);
                }
            },
        );
}

#[test]
fn fuzz_cursors() {
    Fuzz::new("fuzz_cursors")
        .seeds(["c1-0-0000000000000000", "c1-42-00010203040506ff"])
        .seeds(["c1-18446744073709551615-ffffffffffffffff"])
        .tokens(&[b"c1-", b"-", b"+", b"18446744073709551616"])
        .cases(15_000)
        .run(
            |input| String::from_utf8_lossy(input).parse(),
            |input, cursor: Result<Cursor, _>| {
                if let Ok(cursor) = cursor {
                    assert_eq!(cursor.to_string().as_bytes(), input);
                }
            },
        );
}

#[test]
fn fuzz_ref_names() {
    Fuzz::new("fuzz_ref_names")
        .seeds([
            "main/thread/01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "a%2Fb/pin/",
            "%C3%A9/thread-key/a/b/%00",
        ])
        .tokens(&[
            b"%",
            b"%2F",
            b"%2f",
            b"/",
            b"%C3%A9",
            b"\xc3\xa9",
            b"..",
            b"%FF",
        ])
        .cases(15_000)
        .run(
            |input| RefName::parse(&String::from_utf8_lossy(input)),
            |input, name| {
                if let Ok(name) = name {
                    assert_eq!(name.encoded().as_bytes(), input);
                    let parts = name.parts().to_vec();
                    assert_eq!(
                        RefName::new(name.scope(), name.kind(), parts).unwrap(),
                        name
                    );
                }
            },
        );
}

/// The other way: whatever a caller names, its text is that name's and no other's.
#[test]
fn fuzz_parts_of_ref_names() {
    Fuzz::new("fuzz_parts_of_ref_names")
        .seeds([
            "main\nthread\n01ARZ",
            "a/b\npin\n",
            "é\nthread-key\na\n/\n%\n\0",
        ])
        .tokens(&[b"\n", b"/", b"%2F", b" ", b"\0"])
        .cases(15_000)
        .run(
            |input| {
                let text = String::from_utf8_lossy(input);
                let mut lines = text.split('\n');
                let (scope, kind) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
                RefName::new(scope, kind, lines)
            },
            |_, name| {
                if let Ok(name) = name {
                    let back = RefName::parse(name.encoded()).unwrap();
                    assert_eq!(back, name);
                    assert_eq!((back.scope(), back.parts()), (name.scope(), name.parts()));
                }
            },
        );
}
