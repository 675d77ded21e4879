//! Rows as they are, whatever they are: the columns' bytes beside the check that should cover them.
//!
//! Promises: reading never fails because of what a row holds; what is written carries its right check.
//! Must never: take a row for sound that does not match its check.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Row, ToSql, params_from_iter};

use crate::embedded::row_check::{CHECK_BYTES, RowCheck, Table};
use crate::embedded::session::Session;
use crate::error::Result;

/// A column's value. A text may be any bytes.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::embedded) enum Cell {
    Null,
    Int(i64),
    /// Never written; a column of ours that holds one is broken.
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl Cell {
    pub(in crate::embedded) fn text(text: &str) -> Self {
        Self::Text(text.as_bytes().to_vec())
    }

    fn read(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(value) => Self::Int(value),
            ValueRef::Real(value) => Self::Real(value),
            ValueRef::Text(bytes) => Self::Text(bytes.to_vec()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        }
    }

    pub(in crate::embedded) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// A text's or a blob's bytes.
    pub(in crate::embedded) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(bytes) | Self::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(bytes) => ValueRef::Text(bytes),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// The columns that a table's check covers, in its order; the key stands first.
pub(super) const fn columns(table: Table) -> &'static [&'static str] {
    match table {
        Table::Manifest => &["key", "value"],
        Table::Block => &["ordinal", "key8", "codec", "digest", "size", "file"],
        Table::Graph => &["ordinal", "links"],
        Table::Ref => &["name", "version", "target", "position", "record"],
        Table::Receipt => &["key", "scope", "payload", "receipt"],
        Table::Hold => &["ordinal", "scope", "expires_at_ms"],
        Table::Lease => &[
            "name",
            "token",
            "owner",
            "boot_id",
            "pid_namespace",
            "pid",
            "start_time",
            "expires_at_ms",
            "held",
        ],
        Table::Dead => &["page", "bits"],
    }
}

/// How many of the columns are the key.
pub(super) const fn key_columns(table: Table) -> usize {
    match table {
        Table::Hold => 2,
        _ => 1,
    }
}

/// A row as it stands.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::embedded) struct RawRow {
    pub(in crate::embedded) table: Table,
    /// In the order of [`columns`].
    pub(in crate::embedded) cells: Vec<Cell>,
    pub(in crate::embedded) chk: Vec<u8>,
}

impl RawRow {
    /// A row of these columns, with its right check.
    pub(in crate::embedded) fn new(table: Table, cells: Vec<Cell>) -> Self {
        let mut row = Self {
            table,
            cells,
            chk: Vec::new(),
        };
        row.chk = row.computed().to_vec();
        row
    }

    pub(in crate::embedded) fn cell(&self, column: usize) -> &Cell {
        self.cells.get(column).unwrap_or(&Cell::Null)
    }

    pub(super) fn key(&self) -> &[Cell] {
        self.cells
            .get(..key_columns(self.table))
            .unwrap_or_default()
    }

    /// The check of the columns as they are.
    pub(super) fn computed(&self) -> [u8; CHECK_BYTES] {
        let mut check = RowCheck::new(self.table);
        for cell in &self.cells {
            check = match cell {
                Cell::Null => check.optional_text(None),
                Cell::Int(value) => check.int(*value),
                Cell::Real(value) => check.bytes(&value.to_le_bytes()),
                Cell::Text(bytes) | Cell::Blob(bytes) => check.bytes(bytes),
            };
        }
        check.finish()
    }

    /// Whether the row is what was written.
    pub(in crate::embedded) fn is_sound(&self) -> bool {
        self.chk == self.computed()
    }

    /// The row's key, for messages.
    pub(in crate::embedded) fn which(&self) -> String {
        let key: Vec<String> = self
            .key()
            .iter()
            .map(|cell| match cell {
                Cell::Int(value) => value.to_string(),
                Cell::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                Cell::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
                Cell::Null | Cell::Real(_) => "?".to_owned(),
            })
            .collect();
        format!("{} {}", self.table.row_name(), key.join(" of scope "))
    }

    fn read(table: Table, row: &Row<'_>) -> rusqlite::Result<Self> {
        let width = columns(table).len();
        let mut cells = Vec::with_capacity(width);
        for column in 0..width {
            cells.push(Cell::read(row.get_ref(column)?));
        }
        let chk = Cell::read(row.get_ref(width)?);
        Ok(Self {
            table,
            cells,
            chk: chk.bytes().unwrap_or_default().to_vec(),
        })
    }
}

fn list(names: &[&str], join: &str, with: impl Fn(usize, &str) -> String) -> String {
    let parts: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(index, name)| with(index, name))
        .collect();
    parts.join(join)
}

fn key_is(table: Table, first: usize) -> String {
    let keys = columns(table).get(..key_columns(table)).unwrap_or_default();
    list(keys, " AND ", |index, name| {
        format!("{name} = ?{}", first + index)
    })
}

/// Visits every row of a table, in the order of its key.
pub(in crate::embedded) fn each_row(
    session: Session<'_>,
    table: Table,
    visit: &mut dyn FnMut(RawRow) -> Result<()>,
) -> Result<()> {
    let names = list(columns(table), ", ", |_, name| name.to_owned());
    let keys = columns(table).get(..key_columns(table)).unwrap_or_default();
    let order = list(keys, ", ", |_, name| name.to_owned());
    let sql = format!(
        "SELECT {names}, chk FROM {} NOT INDEXED ORDER BY {order}",
        table.name()
    );
    let mut statement = session.prepared(&sql)?;
    let mut rows = statement.query([]).map_err(|error| session.unread(error))?;
    while let Some(row) = rows.next().map_err(|error| session.unread(error))? {
        visit(RawRow::read(table, row).map_err(|error| session.unread(error))?)?;
    }
    Ok(())
}

/// The row with this key.
pub(in crate::embedded) fn row_at(
    session: Session<'_>,
    table: Table,
    key: &[Cell],
) -> Result<Option<RawRow>> {
    let names = list(columns(table), ", ", |_, name| name.to_owned());
    let sql = format!(
        "SELECT {names}, chk FROM {} WHERE {}",
        table.name(),
        key_is(table, 1)
    );
    let mut statement = session.prepared(&sql)?;
    let mut rows = statement
        .query(params_from_iter(key))
        .map_err(|error| session.unread(error))?;
    match rows.next().map_err(|error| session.unread(error))? {
        Some(row) => RawRow::read(table, row)
            .map(Some)
            .map_err(|error| session.unread(error)),
        None => Ok(None),
    }
}

/// Writes `after` in the place of `before`, or as a new row. A block's payload is left as it is.
pub(super) fn write_row(
    session: Session<'_>,
    before: Option<&RawRow>,
    after: &RawRow,
) -> Result<()> {
    let names = columns(after.table);
    let width = names.len();
    let mut values: Vec<Cell> = after.cells.clone();
    values.push(Cell::Blob(after.chk.clone()));
    let table = after.table.name();
    let sql = match before {
        Some(before) => {
            values.extend_from_slice(before.key());
            let set = list(names, ", ", |index, name| {
                format!("{name} = ?{}", index + 1)
            });
            format!(
                "UPDATE {table} SET {set}, chk = ?{} WHERE {}",
                width + 1,
                key_is(after.table, width + 2)
            )
        }
        None => {
            let list_of_names = list(names, ", ", |_, name| name.to_owned());
            let places = list(names, ", ", |index, _| format!("?{}", index + 1));
            format!(
                "INSERT INTO {table}({list_of_names}, chk) VALUES ({places}, ?{})",
                width + 1
            )
        }
    };
    session
        .prepared(&sql)?
        .execute(params_from_iter(values.iter()))
        .map(drop)
        .map_err(|error| session.unwritten(error))
}

pub(in crate::embedded) fn delete_row(session: Session<'_>, row: &RawRow) -> Result<()> {
    let sql = format!(
        "DELETE FROM {} WHERE {}",
        row.table.name(),
        key_is(row.table, 1)
    );
    session
        .prepared(&sql)?
        .execute(params_from_iter(row.key()))
        .map(drop)
        .map_err(|error| session.unwritten(error))
}
