//! Copies rows from one database to another as they stand, checks included, and counts their bytes.
//!
//! Must never: interpret a column. Whoever copies reads the copy again through the functions that check.

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Row, Statement};

use crate::embedded::session::Session;
use crate::error::Result;

/// How much was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Copied {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl Copied {
    pub(super) fn add(&mut self, more: Self) {
        self.rows += more.rows;
        self.bytes += more.bytes;
    }
}

/// Copies the rows of `table` that `condition` (what follows the table's name in a SELECT) names, over those
/// with the same key.
pub(super) fn copy_rows(
    from: Session<'_>,
    to: Session<'_>,
    table: &str,
    condition: &str,
    parameters: &[Value],
) -> Result<Copied> {
    let mut select = from.prepared(&format!("SELECT * FROM {table} {condition}"))?;
    let columns = select.column_names().collect::<Vec<_>>().join(", ");
    let places = vec!["?"; select.column_count()].join(", ");
    let mut insert = to.prepared(&format!(
        "INSERT OR REPLACE INTO main.{table}({columns}) VALUES ({places})"
    ))?;
    let mut rows = select
        .query(rusqlite::params_from_iter(parameters))
        .map_err(|error| from.unread(error))?;
    let mut copied = Copied::default();
    while let Some(row) = rows.next().map_err(|error| from.unread(error))? {
        copied.rows += 1;
        copied.bytes += bind(row, &mut insert).map_err(|error| to.unwritten(error))?;
        insert.raw_execute().map_err(|error| to.unwritten(error))?;
    }
    Ok(copied)
}

fn bind(row: &Row<'_>, insert: &mut Statement<'_>) -> rusqlite::Result<u64> {
    let mut bytes = 0;
    for column in 0..insert.parameter_count() {
        let value = row.get_ref(column)?;
        bytes += match value {
            ValueRef::Null => 0,
            ValueRef::Integer(_) | ValueRef::Real(_) => 8,
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len() as u64,
        };
        insert.raw_bind_parameter(column + 1, ToSqlOutput::Borrowed(value))?;
    }
    Ok(bytes)
}
