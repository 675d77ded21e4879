//! The notes of erasures, and the rows that an erase takes away.
//!
//! In `manifest`: `erased/` and a ULID for each erasure that was begun, `erasing/` and the same ULID while it is not
//! finished: the scope's name, which nothing else says in the end. As long as that scope has refs, a mark among them hides them all.

use std::ops::Bound;

use rusqlite::{OptionalExtension, params};
use treering_block::Cid;
use ulid::Ulid;

use super::block_rows::{limit_sql, to_sql};
use super::housekeeping_rows::behind_key;
use super::manifest_rows::{STORE_ID, check};
use super::ref_rows::{ref_sum, shown};
use super::row_check::{Table, corrupt, out_of_order};
use super::session::Session;
use crate::erasure::{Erasure, Erasures, digest_of_scope, id_of, names_of};
use crate::error::Result;
use crate::journal::JournalRow;
use crate::name::{RefName, listing_prefix};
use crate::scope::forking::{ERASED, FORKING};

/// Before the id of an erasure.
const KEY_ERASED: &str = "erased/";
const KEY_ERASED_END: &str = "erased0";
/// Before the id of one that is not finished.
const KEY_ERASING: &str = "erasing/";
const KEY_ERASING_END: &str = "erasing0";

/// Before the name of a scope whose refs go after Begin. It begins no UTF-8 text, so a version that takes them all away in
/// Begin, and would leave these, refuses such a store's commits and strips nothing.
const HAS_REFS: u8 = 0xff;

/// An erase that is not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Erasing {
    pub(super) id: Ulid,
    pub(super) scope: String,
}

/// What the mark over a scope changes.
pub(super) struct Hidden {
    /// What it adds to the sum of all refs.
    pub(super) added: u64,
    /// That of a fork that was not finished stood in its place.
    pub(super) was_marked: bool,
}

/// Scopes that are being erased, by the bounds of the names of their refs.
#[derive(Default)]
pub(super) struct Going(Vec<(String, String)>);

impl Going {
    /// Whether the encoded name is one of theirs.
    pub(super) fn has(&self, name: &[u8]) -> bool {
        self.end_of(name).is_some()
    }

    /// Behind all names of the scope that this is one of; None if it is of none of them.
    pub(super) fn end_of(&self, name: &[u8]) -> Option<&[u8]> {
        let of =
            |(first, end): &&(String, String)| first.as_bytes() <= name && name < end.as_bytes();
        self.0.iter().find(of).map(|(_, end)| end.as_bytes())
    }
}

/// Rows that were read are those that were deleted, unless the table's order is broken: whoever went on then would never end.
fn expect_gone(table: Table, read: usize, deleted: usize, last: &[u8]) -> Result<()> {
    if read == deleted {
        return Ok(());
    }
    Err(out_of_order(table, shown(last)))
}

fn read_note(key: &str, value: &[u8]) -> Result<Erasure> {
    Erasure::from_record(value)
        .filter(|note| key == format!("{KEY_ERASED}{}", note.id))
        .ok_or_else(|| corrupt(Table::Manifest, key, "it is no note of an erasure"))
}

impl Session<'_> {
    /// What tells this store's scopes from those of others.
    pub(super) fn digest_of(self, scope: &str) -> Result<[u8; 32]> {
        Ok(digest_of_scope(&self.read_manifest(STORE_ID)?, scope))
    }

    /// Errors: `Corrupt`.
    pub(super) fn store_id(self) -> Result<[u8; 16]> {
        let store_id = self.read_manifest(STORE_ID)?;
        store_id
            .try_into()
            .map_err(|_| corrupt(Table::Manifest, STORE_ID, "it has not 16 bytes"))
    }

    /// The store's id and all notes.
    pub(super) fn all_erasures(self) -> Result<Erasures> {
        Ok(Erasures {
            store_id: self.store_id()?,
            notes: self.erasures()?,
        })
    }

    /// The note with that id; None if there is none. One look-up. Errors: `Corrupt` for one that is broken.
    pub(super) fn erasure(self, id: Ulid) -> Result<Option<Erasure>> {
        let key = format!("{KEY_ERASED}{id}");
        let value = self.read_optional_manifest(&key)?;
        value.map(|value| read_note(&key, &value)).transpose()
    }

    /// The note of the erase with that command: by its id, or, as earlier versions gave it any, among all of them. O(notes) if
    /// there is none. Errors: `Corrupt` for one that is broken: it may be this one.
    pub(super) fn erasure_by(
        self,
        scope: &[u8; 32],
        command: &[u8; 32],
    ) -> Result<Option<Erasure>> {
        if let Some(note) = self.erasure(id_of(command))? {
            return Ok(Some(note));
        }
        let is_it = |note: &Erasure| note.scope == *scope && note.command == *command;
        Ok(self.erasures()?.into_iter().find(is_it))
    }

    /// All notes, the oldest first. Errors: `Corrupt` for one that is broken.
    pub(super) fn erasures(self) -> Result<Vec<Erasure>> {
        let rows = self.manifest_between(KEY_ERASED, KEY_ERASED_END)?;
        let read = rows.iter().map(|(key, value)| read_note(key, value));
        let mut notes: Vec<Erasure> = read.collect::<Result<_>>()?;
        notes.sort_by_key(|note| (note.at_ms, note.id));
        Ok(notes)
    }

    pub(super) fn write_erasure(self, note: &Erasure) -> Result<()> {
        self.write_manifest(&format!("{KEY_ERASED}{}", note.id), &note.to_record())
    }

    /// Erases that are not finished. Errors: `Corrupt`.
    pub(super) fn erasing(self) -> Result<Vec<Erasing>> {
        let rows = self.manifest_between(KEY_ERASING, KEY_ERASING_END)?;
        let read = rows.into_iter().map(|(key, value)| {
            let id = key.strip_prefix(KEY_ERASING).and_then(|id| id.parse().ok());
            // One that an earlier version began has no refs any more, and no sign.
            let scope = value.strip_prefix(&[HAS_REFS]).unwrap_or(&value);
            match (id, String::from_utf8(scope.to_vec())) {
                (Some(id), Ok(scope)) => Ok(Erasing { id, scope }),
                _ => Err(corrupt(Table::Manifest, &key, "it names no scope")),
            }
        });
        read.collect()
    }

    /// Whether that erase has begun and not ended. One look-up.
    pub(super) fn has_erasing(self, id: Ulid) -> Result<bool> {
        let found = self.read_optional_manifest(&format!("{KEY_ERASING}{id}"))?;
        Ok(found.is_some())
    }

    /// Whether an erase of that scope has begun and not ended.
    pub(super) fn is_erasing(self, scope: &str) -> Result<bool> {
        Ok(self.erasing()?.iter().any(|erasing| erasing.scope == scope))
    }

    /// Whose refs nobody sees any more.
    pub(super) fn going(self) -> Result<Going> {
        let erasing = self.erasing()?.into_iter();
        Ok(Going(
            erasing.map(|erasing| names_of(&erasing.scope)).collect(),
        ))
    }

    pub(super) fn write_erasing(self, id: Ulid, scope: &str) -> Result<()> {
        let value = [&[HAS_REFS], scope.as_bytes()].concat();
        self.write_manifest(&format!("{KEY_ERASING}{id}"), &value)
    }

    pub(super) fn delete_erasing(self, id: Ulid) -> Result<()> {
        self.delete_manifest(
            &format!("{KEY_ERASING}{id}"),
            &format!("{KEY_ERASING}{id}0"),
        )
    }

    /// For a copy, which gets those of the store anew.
    pub(super) fn delete_all_erasing(self) -> Result<()> {
        self.delete_manifest(KEY_ERASING, KEY_ERASING_END)
    }

    fn delete_manifest(self, from: &str, before: &str) -> Result<()> {
        self.prepared("DELETE FROM manifest WHERE key >= ?1 AND key < ?2")?
            .execute([from, before])
            .map(drop)
            .map_err(|error| self.unwritten(error))
    }

    /// Checked rows: key, value.
    fn manifest_between(self, from: &str, before: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let mut statement = self.prepared(
            "SELECT key, value, chk FROM manifest WHERE key >= ?1 AND key < ?2 ORDER BY key",
        )?;
        let mut rows = statement
            .query([from, before])
            .map_err(|error| self.unread(error))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let (key, value, stored): (String, Vec<u8>, Vec<u8>) = row
                .get(0)
                .and_then(|key| Ok((key, row.get(1)?, row.get(2)?)))
                .map_err(|error| self.unread(error))?;
            check(&key, &value).expect(&stored, &key)?;
            found.push((key, value));
        }
        Ok(found)
    }

    /// How many refs the scope has. Errors: `Corrupt` for the first that is broken.
    pub(super) fn count_refs_of(self, scope: &str) -> Result<u64> {
        let (first, end) = names_of(scope);
        let mut last = None;
        let mut count = 0;
        loop {
            let from = last
                .as_deref()
                .map_or(Bound::Included(first.as_str()), Bound::Excluded);
            let page = self.ref_rows("", None, from, 1024)?;
            if page.is_empty() {
                return Ok(count);
            }
            for (name, value) in page {
                if name >= end {
                    return Ok(count);
                }
                value?;
                RefName::parse(&name)?;
                count += 1;
                last = Some(name);
            }
        }
    }

    /// How many refs are seen, or are of scopes that are being made. O(refs), an index scan.
    pub(super) fn count_refs(self) -> Result<u64> {
        let mut count = self.number("SELECT count(*) FROM ref")?;
        for (first, end) in self.going()?.0 {
            let gone: i64 = self
                .prepared("SELECT count(*) FROM ref WHERE name >= ?1 AND name < ?2")?
                .query_row([first, end], |row| row.get(0))
                .map_err(|error| self.unread(error))?;
            count = count.saturating_sub(gone);
        }
        Ok(count.cast_unsigned())
    }

    /// What the first ref of a scope points at; None for a scope without refs. O(1). Errors: `Corrupt` for a broken one.
    pub(super) fn first_target_of(self, scope: &str) -> Result<Option<Cid>> {
        let (first, end) = names_of(scope);
        let page = self.ref_rows("", None, Bound::Included(&first), 1)?;
        let own = page.into_iter().find(|(name, _)| *name < end);
        own.map(|(_, value)| Ok(value?.target)).transpose()
    }

    /// Puts the mark over a scope that hides all of it, in the commit of that number. O(1).
    pub(super) fn hide(self, scope: &str, target: &Cid, position: u64) -> Result<Hidden> {
        let mark = listing_prefix(scope, FORKING);
        let before = self.sum_of_ref(&mark)?;
        let after = self.write_named_row(&mark, 1, target, position, ERASED)?;
        Ok(Hidden {
            added: after.wrapping_sub(before.unwrap_or(0)),
            was_marked: before.is_some(),
        })
    }

    /// Takes the mark away, if there is one: what it added to the sum of all refs.
    pub(super) fn unhide(self, scope: &str) -> Result<u64> {
        let mark = listing_prefix(scope, FORKING);
        let Some(sum) = self.sum_of_ref(&mark)? else {
            return Ok(0);
        };
        self.prepared("DELETE FROM ref WHERE name = ?1")?
            .execute([mark])
            .map_err(|error| self.unwritten(error))?;
        Ok(sum)
    }

    fn sum_of_ref(self, encoded: &str) -> Result<Option<u64>> {
        self.prepared("SELECT chk FROM ref WHERE name = ?1")?
            .query_row([encoded], |row| row.get(0))
            .optional()
            .map(|check: Option<Vec<u8>>| check.map(|check| ref_sum(&check)))
            .map_err(|error| self.unread(error))
    }

    /// Takes away some refs of a scope, but for the mark: how many, and what they added to the sum of all.
    pub(super) fn delete_some_refs(self, scope: &str, limit: usize) -> Result<(usize, u64)> {
        let (first, end) = names_of(scope);
        let mark = listing_prefix(scope, FORKING);
        let mut statement = self.kept(
            "SELECT name, chk FROM ref WHERE name >= ?1 AND name < ?2 AND name <> ?3 ORDER BY name LIMIT ?4",
        )?;
        let mut rows = statement
            .query(params![first, end, mark, limit_sql(limit)])
            .map_err(|error| self.unread(error))?;
        let (mut last, mut count, mut sum) = (Vec::new(), 0, 0u64);
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let bytes = |column| -> Result<&[u8]> {
                let value = row.get_ref(column).map_err(|error| self.unread(error))?;
                Ok(value.as_bytes().unwrap_or_default())
            };
            last = bytes(0)?.to_vec();
            sum = sum.wrapping_add(ref_sum(bytes(1)?));
            count += 1;
        }
        let deleted = self
            .kept("DELETE FROM ref WHERE name >= ?1 AND name <= CAST(?2 AS TEXT) AND name <> ?3")?
            .execute(params![first, last, mark])
            .map_err(|error| self.unwritten(error))?;
        expect_gone(Table::Ref, count, deleted, &last)?;
        Ok((count, sum))
    }

    /// Takes away some leases of a scope: how many. What was granted under their names is never granted again.
    pub(super) fn delete_some_leases(self, scope: &str, limit: usize) -> Result<usize> {
        let (first, end) = names_of(scope);
        let mut statement = self.kept(
            "SELECT name, token FROM lease WHERE name >= ?1 AND name < ?2 ORDER BY name LIMIT ?3",
        )?;
        let mut rows = statement
            .query(params![first, end, limit_sql(limit)])
            .map_err(|error| self.unread(error))?;
        let (mut last, mut count, mut newest) = (Vec::new(), 0, 0);
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let name = row.get_ref(0).map_err(|error| self.unread(error))?;
            last = name.as_bytes().unwrap_or_default().to_vec();
            let token: i64 = row.get(1).map_err(|error| self.unread(error))?;
            newest = token.cast_unsigned().max(newest);
            count += 1;
        }
        self.raise_lease_floor(newest)?;
        let deleted = self
            .kept("DELETE FROM lease WHERE name >= ?1 AND name <= CAST(?2 AS TEXT)")?
            .execute(params![first, last])
            .map_err(|error| self.unwritten(error))?;
        expect_gone(Table::Lease, count, deleted, &last)?;
        Ok(count)
    }

    /// Takes one away; neither its token nor an earlier one is granted again.
    pub(super) fn delete_lease_row(self, name: &RefName, token: u64) -> Result<()> {
        self.raise_lease_floor(token)?;
        self.kept("DELETE FROM lease WHERE name = ?1")?
            .execute([name.encoded()])
            .map(drop)
            .map_err(|error| self.unwritten(error))
    }

    fn raise_lease_floor(self, token: u64) -> Result<()> {
        if token > self.lease_floor()? {
            self.write_lease_floor(token)?;
        }
        Ok(())
    }

    pub(super) fn count_leases_of(self, scope: &str) -> Result<u64> {
        let (first, end) = names_of(scope);
        self.prepared("SELECT count(*) FROM lease WHERE name >= ?1 AND name < ?2")?
            .query_row([&first, &end], |row| row.get::<_, i64>(0))
            .map(i64::cast_unsigned)
            .map_err(|error| self.unread(error))
    }

    /// How many went: 0 or 1.
    pub(super) fn delete_receipt_row(self, key: &[u8; 32], scope: &str) -> Result<u64> {
        self.prepared("DELETE FROM receipt WHERE key >= ?1 AND key < ?2 AND scope = ?3")?
            .execute(params![key, behind_key(key), scope])
            .map(|deleted| deleted as u64)
            .map_err(|error| self.unwritten(error))
    }

    /// Writes what stands in the place of a commit's body: how many, 0 if it is not in the table any more.
    pub(super) fn write_body(self, row: &JournalRow) -> Result<u64> {
        self.prepared("UPDATE journal SET body = ?2 WHERE position = ?1")?
            .execute(params![to_sql(row.position), row.body])
            .map(|written| written as u64)
            .map_err(|error| self.unwritten(error))
    }
}
