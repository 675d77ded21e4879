//! The table `ref`: where each ref stands.

use std::ops::Bound;

use rusqlite::{OptionalExtension, Row, params};
use treering_block::Cid;

use super::block_rows::{limit_sql, to_sql};
use super::row_check::{RowCheck, Table, corrupt, out_of_order};
use super::row_order::going_on;
use super::session::Session;
use crate::commit::RefValue;
use crate::error::Result;
use crate::name::{RefName, check_kind, listing_prefix};
use crate::scope::forking::{ERASED, FORKING, hidden_by, is_marker};

fn check(name: &str, version: i64, target: &[u8], position: i64, record: &[u8]) -> RowCheck {
    RowCheck::new(Table::Ref)
        .text(name)
        .int(version)
        .bytes(target)
        .int(position)
        .bytes(record)
}

/// What a row adds to the sum of all refs: the first 8 bytes of its check, as it is stored, little-endian.
pub(super) fn ref_sum(check: &[u8]) -> u64 {
    check
        .first_chunk()
        .map_or(0, |first| u64::from_le_bytes(*first))
}

/// Reads version, target, position, chk, record from column 1 on.
fn read_row(session: Session<'_>, name: &str, row: &Row<'_>) -> Result<RefValue> {
    let unread = |error| session.unread(error);
    let version: i64 = row.get(1).map_err(unread)?;
    let target: Vec<u8> = row.get(2).map_err(unread)?;
    let position: i64 = row.get(3).map_err(unread)?;
    let stored: Vec<u8> = row.get(4).map_err(unread)?;
    let record: Vec<u8> = row.get(5).map_err(unread)?;
    check(name, version, &target, position, &record).expect(&stored, name)?;
    let target =
        Cid::from_bytes(&target).map_err(|error| corrupt(Table::Ref, name, error.to_string()))?;
    let version =
        u64::try_from(version).map_err(|_| corrupt(Table::Ref, name, "its version is negative"))?;
    Ok(RefValue {
        version,
        target,
        record,
    })
}

/// A name as stored, as a text: bytes that no encoded name has stand as `\xNN`, so that different names
/// stay different and can be typed.
pub(super) fn shown(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name {
        if byte.is_ascii_graphic() && *byte != b'\\' {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// The name that [`shown`] gave this text for; None if it gave it for none.
pub(super) fn unshown(text: &str) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            name.push(*first);
            continue;
        }
        let (code, after) = rest.split_at_checked(3)?;
        let code = std::str::from_utf8(code).ok()?.strip_prefix('x')?;
        name.push(u8::from_str_radix(code, 16).ok()?);
        rest = after;
    }
    (shown(&name) == text).then_some(name)
}

/// The name in column 0, as stored and as [`shown`]. Err: it is no text.
fn read_name(session: Session<'_>, row: &Row<'_>) -> Result<(Vec<u8>, Result<String>)> {
    let stored = row.get_ref(0).map_err(|error| session.unread(error))?;
    let bytes = stored
        .as_bytes()
        .map_err(|_| corrupt(Table::Ref, "?", "its name is not text"))?
        .to_vec();
    let text = match String::from_utf8(bytes.clone()) {
        Ok(text) => Ok(text),
        Err(_) => Err(corrupt(Table::Ref, shown(&bytes), "its name is not text")),
    };
    Ok((bytes, text))
}

/// What is seen of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// What is there.
    All,
    /// The ref alone that says that it is being made.
    Marker,
    /// It is being erased.
    Nothing,
}

impl Session<'_> {
    pub(super) fn read_ref_row(self, name: &RefName) -> Result<Option<RefValue>> {
        Ok(self.read_ref_and_sum(name)?.map(|(value, _)| value))
    }

    /// The same; None too if its scope is being made, or erased. One statement, so of one moment.
    pub(super) fn read_seen_ref_row(self, name: &RefName) -> Result<Option<RefValue>> {
        let mut statement = self.kept(
            "SELECT name, version, target, position, chk, record FROM ref
             WHERE name = ?1 AND NOT EXISTS (SELECT 1 FROM ref WHERE name = ?2)",
        )?;
        let mut rows = statement
            .query(params![name.encoded(), hidden_by(name)])
            .map_err(|error| self.unread(error))?;
        match rows.next().map_err(|error| self.unread(error))? {
            Some(row) => {
                let value = read_row(self, name.encoded(), row)?;
                Ok(Some(value).filter(|value| !(is_marker(name) && value.record == ERASED)))
            }
            None => Ok(None),
        }
    }

    /// What is seen of a scope.
    pub(super) fn seen(self, scope: &str) -> Result<Seen> {
        let record: Option<Vec<u8>> = self
            .kept("SELECT record FROM ref WHERE name = ?1")?
            .query_row([listing_prefix(scope, FORKING)], |row| row.get(0))
            .optional()
            .map_err(|error| self.unread(error))?;
        Ok(match record.as_deref() {
            None => Seen::All,
            Some(ERASED) => Seen::Nothing,
            Some(_) => Seen::Marker,
        })
    }

    /// With what its row adds to the sum of all refs.
    pub(super) fn read_ref_and_sum(self, name: &RefName) -> Result<Option<(RefValue, u64)>> {
        let mut statement = self
            .kept("SELECT name, version, target, position, chk, record FROM ref WHERE name = ?1")?;
        let mut rows = statement
            .query([name.encoded()])
            .map_err(|error| self.unread(error))?;
        match rows.next().map_err(|error| self.unread(error))? {
            Some(row) => {
                let value = read_row(self, name.encoded(), row)?;
                Ok(Some((value, self.sum_of(row, 4)?)))
            }
            None => Ok(None),
        }
    }

    fn sum_of(self, row: &Row<'_>, check: usize) -> Result<u64> {
        let check = row.get_ref(check).map_err(|error| self.unread(error))?;
        Ok(ref_sum(check.as_blob().unwrap_or_default()))
    }

    /// What all rows add up to.
    pub(super) fn refs_sum(self) -> Result<u64> {
        let mut statement = self.prepared("SELECT chk FROM ref")?;
        let mut rows = statement.query([]).map_err(|error| self.unread(error))?;
        let mut sum = 0u64;
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            sum = sum.wrapping_add(self.sum_of(row, 0)?);
        }
        Ok(sum)
    }

    /// `position`: of the commit that moves it. Returns what the row adds to the sum of all refs.
    pub(super) fn write_ref_row(
        self,
        name: &RefName,
        version: u64,
        target: &Cid,
        position: u64,
        record: &[u8],
    ) -> Result<u64> {
        self.write_named_row(name.encoded(), version, target, position, record)
    }

    /// The same; the name is encoded, and may be one that is too long for a ref.
    pub(super) fn write_named_row(
        self,
        name: &str,
        version: u64,
        target: &Cid,
        position: u64,
        record: &[u8],
    ) -> Result<u64> {
        let (version, position, target) = (to_sql(version), to_sql(position), target.to_bytes());
        let check = check(name, version, &target, position, record).finish();
        self.kept(
            "INSERT INTO ref(name, version, target, position, chk, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT(name) DO UPDATE SET version = ?2, target = ?3, position = ?4, chk = ?5, record = ?6",
        )?
        .execute(params![name, version, target, position, check, record])
        .map(|_| ref_sum(&check))
        .map_err(|error| self.unwritten(error))
    }

    pub(super) fn delete_ref_row(self, name: &RefName) -> Result<()> {
        self.prepared("DELETE FROM ref WHERE name = ?1")?
            .execute([name.encoded()])
            .map(drop)
            .map_err(|error| self.unwritten(error))
    }

    /// Rows from `from` on whose name starts with `prefix`, in name order: each name
    /// as stored, each value on its own. None while there is a ref of the name `hidden_by`.
    pub(super) fn ref_rows(
        self,
        prefix: &str,
        hidden_by: Option<&str>,
        from: Bound<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Result<RefValue>)>> {
        let (from, exclusive) = match from {
            Bound::Included(from) => (from, false),
            Bound::Excluded(from) => (from, true),
            Bound::Unbounded => ("", false),
        };
        let mut statement = self.prepared(
            "SELECT name, version, target, position, chk, record FROM ref
             WHERE name >= ?1 AND (?2 = 0 OR name > ?1)
             AND NOT EXISTS (SELECT 1 FROM ref WHERE name = ?4) ORDER BY name LIMIT ?3",
        )?;
        let mut rows = statement
            .query(params![from, exclusive, limit_sql(limit), hidden_by])
            .map_err(|error| self.unread(error))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let (bytes, name) = read_name(self, row)?;
            if !bytes.starts_with(prefix.as_bytes()) {
                break;
            }
            found.push(match name {
                Ok(name) => {
                    let value = read_row(self, &name, row);
                    (name, value)
                }
                Err(error) => (shown(&bytes), Err(error)),
            });
        }
        going_on(
            found,
            |(name, _)| name.as_str() > from || (!exclusive && name == from),
            |(one, _), (other, _)| one.cmp(other),
            |(name, _)| out_of_order(Table::Ref, name),
        )
    }

    /// Rows after that name (as stored) of all scopes and kinds, in the order of their names' bytes.
    pub(super) fn all_ref_rows(
        self,
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Result<RefValue>)>> {
        let mut statement = self.prepared(
            "SELECT name, version, target, position, chk, record FROM ref
             WHERE name > CAST(?1 AS TEXT) ORDER BY name LIMIT ?2",
        )?;
        let mut rows = statement
            .query(params![after, limit_sql(limit)])
            .map_err(|error| self.unread(error))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let (bytes, name) = read_name(self, row)?;
            let value = name.and_then(|name| read_row(self, &name, row));
            found.push((bytes, value));
        }
        going_on(
            found,
            |(name, _)| name.as_slice() > after,
            |(one, _), (other, _)| one.cmp(other),
            |(name, _)| out_of_order(Table::Ref, shown(name)),
        )
    }

    /// Every ref's name as stored and target; returns what all rows add up to. Errors: `Corrupt` for the first row
    /// that is broken.
    pub(super) fn each_ref(self, visit: &mut dyn FnMut(&str, Cid) -> Result<()>) -> Result<u64> {
        let mut statement =
            self.prepared("SELECT name, version, target, position, chk, record FROM ref")?;
        let mut rows = statement.query([]).map_err(|error| self.unread(error))?;
        let mut sum = 0u64;
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let name = read_name(self, row)?.1?;
            visit(&name, read_row(self, &name, row)?.target)?;
            sum = sum.wrapping_add(self.sum_of(row, 4)?);
        }
        Ok(sum)
    }

    /// Kinds of a scope's refs, in order: from kind to kind through the index.
    pub(super) fn kinds_of(self, scope: &str) -> Result<Vec<String>> {
        // `-` is the first character that a kind may have.
        let first = listing_prefix(scope, "-");
        let scope = first.strip_suffix("-/").unwrap_or_default();
        let mut kinds = Vec::new();
        let mut from = scope.to_owned();
        while let Some(name) = self.first_ref_from(&from)? {
            let Some(kind) = name
                .strip_prefix(scope)
                .and_then(|rest| rest.split('/').next())
            else {
                break;
            };
            // `0` is what follows `/`.
            from = format!("{scope}{kind}0");
            if check_kind(kind).is_ok() {
                kinds.push(kind.to_owned());
            }
        }
        // By the index `a-b/` comes before `a/`.
        kinds.sort_unstable();
        kinds.dedup();
        Ok(kinds)
    }

    /// The first name that is not smaller.
    pub(super) fn first_ref_from(self, from: &str) -> Result<Option<String>> {
        self.prepared("SELECT name FROM ref WHERE name >= ?1 ORDER BY name LIMIT 1")?
            .query_row([from], |row| row.get(0))
            .optional()
            .map_err(|error| self.unread(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_shown_as_one_text_and_found_by_it() {
        let plain = b"main/thread/a%20b".as_slice();
        assert_eq!(shown(plain), "main/thread/a%20b");
        for name in [
            plain,
            b"",
            b"a\\b",
            b"a b",
            &[0xff, 0, b'x'],
            "é".as_bytes(),
        ] {
            assert_eq!(unshown(&shown(name)).as_deref(), Some(name));
        }
        for text in ["\\", "\\x4", "\\xFF", "\\x61", "a b", "é", "\\n00"] {
            assert_eq!(unshown(text), None, "{text}");
        }
    }
}
