//! Rows of every table with whatever in them, behind a right check as often as behind a wrong one: the check
//! is right when a broken program wrote the row.
//!
//! Promises: each row is read in every way that the store reads it, nothing panics or takes memory by what
//! a row claims, and a row that reads is the row that the store would write for it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::ops::{Bound, ControlFlow};
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use treering_block::{Cid, Codec};
use treering_fuzz::Fuzz;

use super::block_rows::{Bytes, key8};
use super::disk::Disk;
use super::links_codec;
use super::row_check::{RowCheck, Table};
use super::schema;
use super::session::Session;
use super::statements::Prepared;
use crate::cursor::Head;
use crate::error::StoreError;
use crate::gc::Bitmap;
use crate::journal::chain;
use crate::name::RefName;
use crate::scope::lineage::Wanted;

/// Ordinals that the store has given out.
const ORDINALS: u64 = 5000;

/// What a column holds.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Int,
    Text,
    Blob,
    /// A text or nothing.
    Maybe,
}

use Kind::{Blob, Int, Maybe, Text};

/// A table's columns before its check, in the order of the check, and what comes after it unchecked.
struct Layout {
    table: Option<Table>,
    name: &'static str,
    columns: &'static [(&'static str, Kind)],
    after: &'static [(&'static str, Kind)],
}

const LAYOUTS: [Layout; 9] = [
    layout(
        Some(Table::Manifest),
        "manifest",
        &[("key", Text), ("value", Blob)],
        &[],
    ),
    layout(
        Some(Table::Block),
        "block",
        &[
            ("ordinal", Int),
            ("key8", Int),
            ("codec", Int),
            ("digest", Blob),
            ("size", Int),
            ("file", Maybe),
        ],
        &[("payload", Blob)],
    ),
    layout(
        Some(Table::Graph),
        "graph",
        &[("ordinal", Int), ("links", Blob)],
        &[],
    ),
    layout(
        Some(Table::Ref),
        "ref",
        &[
            ("name", Text),
            ("version", Int),
            ("target", Blob),
            ("position", Int),
            ("record", Blob),
        ],
        &[],
    ),
    layout(
        Some(Table::Receipt),
        "receipt",
        &[
            ("key", Blob),
            ("scope", Text),
            ("payload", Blob),
            ("receipt", Blob),
        ],
        &[],
    ),
    layout(
        Some(Table::Hold),
        "hold",
        &[("ordinal", Int), ("scope", Text), ("expires_at_ms", Int)],
        &[],
    ),
    layout(
        Some(Table::Lease),
        "lease",
        &[
            ("name", Text),
            ("token", Int),
            ("owner", Text),
            ("boot_id", Text),
            ("pid_namespace", Int),
            ("pid", Int),
            ("start_time", Int),
            ("expires_at_ms", Int),
            ("held", Int),
        ],
        &[],
    ),
    layout(
        Some(Table::Dead),
        "dead",
        &[("page", Int), ("bits", Blob)],
        &[],
    ),
    layout(
        None,
        "journal",
        &[
            ("position", Int),
            ("at_ms", Int),
            ("digest", Blob),
            ("chain", Blob),
            ("body", Blob),
        ],
        &[],
    ),
];

const fn layout(
    table: Option<Table>,
    name: &'static str,
    columns: &'static [(&'static str, Kind)],
    after: &'static [(&'static str, Kind)],
) -> Layout {
    Layout {
        table,
        name,
        columns,
        after,
    }
}

/// A row as bytes: which table, whether its check is right, the columns.
fn seed(table: usize, right: bool, columns: &[Value]) -> Vec<u8> {
    let mut out = vec![table as u8, u8::from(right)];
    for column in columns {
        match column {
            Value::Integer(int) => out.extend(int.to_le_bytes()),
            Value::Text(text) => {
                out.extend((text.len() as u16 + 1).to_le_bytes());
                out.extend(text.as_bytes());
            }
            Value::Blob(blob) => {
                out.extend((blob.len() as u16 + 1).to_le_bytes());
                out.extend(blob);
            }
            Value::Null | Value::Real(_) => out.extend([0, 0]),
        }
    }
    out
}

/// Takes from the front; what is missing is zero or empty.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take(&mut self, length: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }

    fn number(&mut self) -> i64 {
        let mut bytes = self.take(8);
        bytes.resize(8, 0);
        i64::from_le_bytes(bytes.try_into().unwrap())
    }

    fn column(&mut self, kind: Kind) -> Value {
        if kind == Int {
            return Value::Integer(self.number());
        }
        let mut length = self.take(2);
        length.resize(2, 0);
        let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
        let bytes = self.take(length.saturating_sub(1));
        match kind {
            Maybe if length == 0 => Value::Null,
            Text | Maybe => Value::Text(String::from_utf8_lossy(&bytes).into_owned()),
            Blob | Int => Value::Blob(bytes),
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let int = Value::Integer;
    let text = |text: &str| Value::Text(text.into());
    let blob = |bytes: &[u8]| Value::Blob(bytes.to_vec());
    let payload = b"the bytes of a block".to_vec();
    let cid = Cid::of_raw(&payload);
    let mut totals = Vec::new();
    for figure in [ORDINALS, 3, 1, 900, 2] {
        totals.extend(figure.to_le_bytes());
    }
    let noted = [totals.as_slice(), &[7; 8], &[1; 8], &[2; 32]].concat();
    let block = |file: Value| {
        let key = int(key8(cid.digest()));
        let (codec, size) = (int(0x55), int(payload.len() as i64));
        vec![
            int(7),
            key,
            codec,
            blob(cid.digest()),
            size,
            file,
            blob(&payload),
        ]
    };
    let body = crate::journal::encode_body("main", &[], None, &[]).unwrap();
    let digest = *blake3::hash(&body).as_bytes();
    let rows: Vec<(usize, Vec<Value>)> = vec![
        (0, vec![text("totals"), blob(&totals)]),
        (0, vec![text("totals"), blob(&noted)]),
        (0, vec![text("gc_generation"), blob(&7_u64.to_le_bytes())]),
        (1, block(Value::Null)),
        (1, block(text("ab/abcd-01ARZ3NDEKTSV4RRFFQ69G5FAV"))),
        (
            2,
            vec![int(9), blob(&links_codec::encode(9, &[8, 1, 5]).unwrap())],
        ),
        (2, vec![int(1), blob(&[])]),
        (
            3,
            vec![
                text("main/pin/x"),
                int(3),
                blob(&cid.to_bytes()),
                int(1),
                blob(b"record"),
            ],
        ),
        (
            4,
            vec![
                blob(&[1; 32]),
                text("main"),
                blob(&[2; 40]),
                blob(b"receipt"),
            ],
        ),
        (5, vec![int(9), text("main"), int(1_700_000_000_000)]),
        (
            6,
            vec![
                text("main/thread/x"),
                int(4),
                text("owner"),
                text("boot"),
                int(-1),
                int(77),
                int(123),
                int(1_700_000_000_000),
                int(1),
            ],
        ),
        (7, vec![int(1), blob(&[0x55; 256])]),
        (
            8,
            vec![
                int(1),
                int(5),
                blob(&digest),
                blob(&chain(&[0; 32], 1, 5, &digest)),
                blob(&body),
            ],
        ),
    ];
    rows.iter()
        .flat_map(|(table, columns)| [true, false].map(|right| seed(*table, right, columns)))
        .collect()
}

/// A database with our tables, empty but for the totals.
fn database(folder: &Path) -> Prepared {
    let conn = Prepared::new(Connection::open(folder.join("rows.db")).unwrap());
    schema::create(&conn, schema::FORMAT, || Ok(())).unwrap();
    let disk = Disk::system();
    let session = Session::new(&conn, folder, &disk);
    session.write_first_manifest(0, None).unwrap();
    let mut totals = session.totals().unwrap();
    totals.next_ordinal = ORDINALS;
    session.write_totals(totals).unwrap();
    conn
}

/// Puts the row that the input says into its table. None: the table does not take it.
fn insert(conn: &Connection, input: &[u8]) -> Option<(&'static Layout, Vec<Value>)> {
    let mut input = Input(input);
    let head = input.take(2);
    let layout = &LAYOUTS[usize::from(*head.first()?) % LAYOUTS.len()];
    let right = head.get(1)? & 1 > 0;
    let mut row: Vec<Value> = layout
        .columns
        .iter()
        .map(|(_, kind)| input.column(*kind))
        .collect();
    let after: Vec<Value> = layout
        .after
        .iter()
        .map(|(_, kind)| input.column(*kind))
        .collect();
    let mut names: Vec<&str> = layout.columns.iter().map(|(name, _)| *name).collect();
    if let Some(table) = layout.table {
        let wrong = input.take(16);
        row.push(Value::Blob(if right { check(table, &row) } else { wrong }));
        names.push("chk");
    }
    row.extend(after);
    names.extend(layout.after.iter().map(|(name, _)| *name));
    let marks = vec!["?"; names.len()].join(", ");
    let sql = format!(
        "INSERT OR REPLACE INTO {}({}) VALUES ({marks})",
        layout.name,
        names.join(", ")
    );
    conn.prepare_cached(&sql)
        .unwrap()
        .execute(params_from_iter(&row))
        .ok()?;
    Some((layout, row))
}

fn check(table: Table, columns: &[Value]) -> Vec<u8> {
    let fed = columns
        .iter()
        .fold(RowCheck::new(table), |check, column| match column {
            Value::Integer(int) => check.int(*int),
            Value::Text(text) => check.text(text),
            Value::Blob(blob) => check.bytes(blob),
            Value::Null | Value::Real(_) => check.optional_text(None),
        });
    fed.finish().to_vec()
}

fn rows(conn: &Connection, table: &str) -> Vec<Vec<Value>> {
    let mut statement = conn
        .prepare_cached(&format!("SELECT * FROM {table} ORDER BY 1, 2"))
        .unwrap();
    let columns = statement.column_count();
    let read = statement.query_map([], |row| {
        (0..columns).map(|column| row.get(column)).collect()
    });
    read.unwrap().map(Result::unwrap).collect()
}

/// Reads the row in every way there is; what reads is written again, and must be the same row then.
fn read(session: Session<'_>, layout: &Layout, row: &[Value]) -> Result<(), StoreError> {
    let int = |at: usize| match &row[at] {
        Value::Integer(int) => *int,
        _ => 0,
    };
    let text = |at: usize| match &row[at] {
        Value::Text(text) => text.clone(),
        _ => String::new(),
    };
    let bytes = |at: usize| match &row[at] {
        Value::Blob(blob) => blob.clone(),
        _ => Vec::new(),
    };
    match layout.name {
        "manifest" => {
            session.check_manifest()?;
            session.write_totals(session.totals()?)?;
            session.write_gc_generation(session.gc_generation()?)?;
        }
        "block" => read_block(session, int(0), &bytes(3))?,
        "graph" => {
            let ordinal = int(0).cast_unsigned();
            let page = session
                .graph_rows_down(u64::MAX, 10, &Bitmap::default())
                .map(drop);
            let up = session.graph_rows_from(0, &mut |_, links| {
                assert!(links.iter().all(|link| *link < ordinal));
                Ok(())
            });
            let links = session.links(ordinal)?;
            page.and(up)?;
            session.conn.execute("DELETE FROM graph", []).unwrap();
            session.insert_links(ordinal, &links)?;
        }
        "ref" => {
            let (_, value) = session
                .ref_rows("", None, Bound::Unbounded, 10)?
                .pop()
                .ok_or_else(missing)?;
            assert_eq!(session.each_ref(&mut |_, _| Ok(())).is_ok(), value.is_ok());
            let value = value?;
            let Ok(name) = RefName::parse(&text(0)) else {
                return Ok(());
            };
            assert_eq!(session.read_ref_row(&name)?, Some(value.clone()));
            let position = u64::try_from(int(3));
            let Ok(position) = position else {
                return Ok(());
            };
            session.write_ref_row(&name, value.version, &value.target, position, &value.record)?;
        }
        "receipt" => {
            let (_, listed) = session.receipt_rows(None, 10)?.pop().ok_or_else(missing)?;
            let (key, left) = listed?;
            assert_eq!(
                session.receipt_row(Wanted::Of(&text(1), &key))?,
                Some(left.clone())
            );
            session.conn.execute("DELETE FROM receipt", []).unwrap();
            session.insert_receipt_row(&key, &left)?;
        }
        "hold" => {
            let (ordinal, scope, end) =
                session.hold_rows((0, ""), 10)?.pop().ok_or_else(missing)?;
            let each = session.each_hold(0..u64::MAX, &mut |_, _| ControlFlow::Continue(()));
            let end = end?;
            each?;
            assert_eq!(session.hold_end(ordinal, &scope)?, Some(end));
            session.write_hold_row(ordinal, &scope, end)?;
        }
        "lease" => {
            let (name, state) = session.lease_rows("", 10)?.pop().ok_or_else(missing)?;
            let state = state?;
            let Ok(name) = RefName::parse(&name) else {
                return Ok(());
            };
            assert_eq!(session.lease_row(&name)?, Some(state.clone()));
            session.write_lease_row(&name, &state)?;
        }
        "dead" => {
            let dead = session.dead_ordinals()?;
            session.conn.execute("DELETE FROM dead", []).unwrap();
            session.insert_dead(&dead)?;
        }
        _ => {
            let read = session.journal_rows(0, 10)?;
            session.tip_row()?;
            let row = read.first().ok_or_else(missing)?;
            session.chain_at(row.position)?;
            if !row.faults(&Head::default()).is_empty() {
                return Err(missing());
            }
            row.entry()?;
            session.conn.execute("DELETE FROM journal", []).unwrap();
            session.insert_journal_row(row)?;
        }
    }
    Ok(())
}

fn read_block(session: Session<'_>, ordinal: i64, digest: &[u8]) -> Result<(), StoreError> {
    let ordinal = ordinal.cast_unsigned();
    session.count_living()?;
    let (row, _) = session.row_and_death(ordinal)?.ok_or_else(missing)?;
    let row = row?;
    assert_eq!((row.ordinal, &row.cid.digest()[..]), (ordinal, digest));
    assert_eq!(session.cid_of(ordinal)?, Some(row.cid));
    assert_eq!(session.find_block(&row.cid)?, Some(row.clone()));
    for (_, listed) in session.blocks_after(0, 10)? {
        assert_eq!(listed?, row);
    }
    let other = Cid::new(
        if row.cid.codec() == Codec::Raw {
            Codec::DagCbor
        } else {
            Codec::Raw
        },
        *row.cid.digest(),
    );
    assert!(
        session.load_block(&other)?.is_none(),
        "another codec is another block"
    );
    match session.load_block(&row.cid)?.ok_or_else(missing)? {
        Bytes::Here(bytes) => {
            assert!(row.cid.matches(&bytes));
            // A size that is not that of the bytes is verify's to find.
            if bytes.len() as u64 == row.size {
                session.conn.execute("DELETE FROM block", []).unwrap();
                session.insert_block_row(ordinal, &row.cid, (&bytes, bytes.len() as u64), None)?;
            }
        }
        Bytes::File(found) => assert_eq!(found, row),
    }
    Ok(())
}

fn missing() -> StoreError {
    StoreError::Invalid {
        what: "row",
        value: String::new(),
        rule: "it reads as none".into(),
    }
}

#[test]
fn fuzz_rows() {
    let folder = tempfile::tempdir().unwrap();
    let conn = database(folder.path());
    let disk = Disk::system();
    let session = Session::new(&conn, folder.path(), &disk);
    let tokens: Vec<&[u8]> = vec![
        b"main/thread/x",
        b"totals",
        b"store_id",
        b"gc_generation",
        &[0xff; 8],
        &[0; 8],
    ];
    Fuzz::new("fuzz_rows")
        .seeds(seeds())
        .tokens(&tokens)
        .cases(6_000)
        .run(
            |input| {
                conn.execute_batch("BEGIN").unwrap();
                let Some((layout, row)) = insert(&conn, input) else {
                    conn.execute_batch("ROLLBACK").unwrap();
                    return Err("the table does not take it".to_owned());
                };
                let before = rows(&conn, layout.name);
                let done =
                    read(session, layout, &row).map_err(|error| format!("{} {error}", layout.name));
                let after = rows(&conn, layout.name);
                conn.execute_batch("ROLLBACK").unwrap();
                done.map(|()| (before, after))
            },
            |_, done| {
                if let Ok((before, after)) = done {
                    // The generation has a row only once there is one.
                    let grown = usize::from(after.len() > before.len());
                    assert_eq!(before.len() + grown, after.len());
                    assert!(
                        before.iter().all(|row| after.contains(row)),
                        "{before:?} became {after:?}"
                    );
                }
            },
        );
}

#[test]
fn fuzz_links() {
    let seed = |ordinal: u64, links: &[u64]| {
        let mut out = ordinal.to_le_bytes().to_vec();
        out.extend(links_codec::encode(ordinal, links).unwrap());
        out
    };
    let many: Vec<u64> = (1..4096).collect();
    Fuzz::new("fuzz_links")
        .seeds([
            seed(9, &[8, 1, 5]),
            seed(u64::MAX, &[1]),
            seed(1 << 40, &many),
            seed(2, &[]),
        ])
        .cases(15_000)
        .run(
            |input| {
                let (ordinal, bytes) = input.split_first_chunk().ok_or("no ordinal")?;
                links_codec::decode(u64::from_le_bytes(*ordinal), bytes)
            },
            |input, links| {
                if let Ok(links) = links {
                    let (ordinal, bytes) = input.split_first_chunk().unwrap();
                    let ordinal = u64::from_le_bytes(*ordinal);
                    assert!(links.iter().all(|link| *link < ordinal && *link > 0));
                    assert_eq!(links_codec::encode(ordinal, &links).unwrap(), bytes);
                }
            },
        );
}
