//! The notes of erasures, and the rows that an erase takes away.
//!
//! In `manifest`: `erased/` and a ULID for each erasure that was begun, `erasing/` and the same ULID while it is not
//! finished: the scope's name, which nothing else says by then.

use rusqlite::params;
use ulid::Ulid;

use super::housekeeping_rows::behind_key;
use super::manifest_rows::{STORE_ID, check};
use super::row_check::{Table, corrupt};
use super::session::Session;
use crate::erasure::{Erasure, Erasures, digest_of_scope, names_of};
use crate::error::Result;
use crate::journal::JournalRow;
use crate::name::RefName;

/// Before the id of an erasure.
const KEY_ERASED: &str = "erased/";
const KEY_ERASED_END: &str = "erased0";
/// Before the id of one that is not finished.
const KEY_ERASING: &str = "erasing/";
const KEY_ERASING_END: &str = "erasing0";

/// An erase that is not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Erasing {
    pub(super) id: Ulid,
    pub(super) scope: String,
}

impl Session<'_> {
    /// What tells this store's scopes from those of others.
    pub(super) fn digest_of(self, scope: &str) -> Result<[u8; 32]> {
        Ok(digest_of_scope(&self.read_manifest(STORE_ID)?, scope))
    }

    /// The store's id and all notes.
    pub(super) fn all_erasures(self) -> Result<Erasures> {
        let store_id = self.read_manifest(STORE_ID)?;
        Ok(Erasures {
            store_id: store_id
                .try_into()
                .map_err(|_| corrupt(Table::Manifest, STORE_ID, "it has not 16 bytes"))?,
            notes: self.erasures()?,
        })
    }

    /// All notes, the oldest first. Errors: `Corrupt` for one that is broken.
    pub(super) fn erasures(self) -> Result<Vec<Erasure>> {
        let rows = self.manifest_between(KEY_ERASED, KEY_ERASED_END)?;
        let read = rows.into_iter().map(|(key, value)| {
            Erasure::from_record(&value)
                .filter(|note| key == format!("{KEY_ERASED}{}", note.id))
                .ok_or_else(|| corrupt(Table::Manifest, &key, "it is no note of an erasure"))
        });
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
            match (id, String::from_utf8(value)) {
                (Some(id), Ok(scope)) => Ok(Erasing { id, scope }),
                _ => Err(corrupt(Table::Manifest, &key, "it names no scope")),
            }
        });
        read.collect()
    }

    pub(super) fn write_erasing(self, id: Ulid, scope: &str) -> Result<()> {
        self.write_manifest(&format!("{KEY_ERASING}{id}"), scope.as_bytes())
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
        let mut from = first;
        let mut count = 0;
        loop {
            let page = self.ref_rows("", None, &from, count > 0, 1024)?;
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
                from = name;
            }
        }
    }

    /// Takes away all refs of a scope, and its leases: what was granted under its names is never granted again. O(refs of
    /// the scope): they stand side by side.
    pub(super) fn delete_refs_of(self, scope: &str) -> Result<()> {
        let (first, end) = names_of(scope);
        let newest: Option<i64> = self
            .prepared("SELECT max(token) FROM lease WHERE name >= ?1 AND name < ?2")?
            .query_row([&first, &end], |row| row.get(0))
            .map_err(|error| self.unread(error))?;
        let newest = newest.map_or(0, i64::cast_unsigned);
        if newest > self.lease_floor()? {
            self.write_lease_floor(newest)?;
        }
        for sql in [
            "DELETE FROM ref WHERE name >= ?1 AND name < ?2",
            "DELETE FROM lease WHERE name >= ?1 AND name < ?2",
        ] {
            self.prepared(sql)?
                .execute([&first, &end])
                .map_err(|error| self.unwritten(error))?;
        }
        Ok(())
    }

    /// What the refs of a scope add to the sum of all.
    pub(super) fn refs_sum_of(self, scope: &str) -> Result<u64> {
        let (first, end) = names_of(scope);
        let mut statement = self.prepared("SELECT chk FROM ref WHERE name >= ?1 AND name < ?2")?;
        let mut rows = statement
            .query([&first, &end])
            .map_err(|error| self.unread(error))?;
        let mut sum = 0u64;
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let check: Vec<u8> = row.get(0).map_err(|error| self.unread(error))?;
            sum = sum.wrapping_add(super::ref_rows::ref_sum(&check));
        }
        Ok(sum)
    }

    pub(super) fn count_leases_of(self, scope: &str) -> Result<u64> {
        let (first, end) = names_of(scope);
        self.prepared("SELECT count(*) FROM lease WHERE name >= ?1 AND name < ?2")?
            .query_row([&first, &end], |row| row.get::<_, i64>(0))
            .map(i64::cast_unsigned)
            .map_err(|error| self.unread(error))
    }

    pub(super) fn delete_receipt_row(self, key: &[u8; 32], scope: &str) -> Result<()> {
        self.prepared("DELETE FROM receipt WHERE key >= ?1 AND key < ?2 AND scope = ?3")?
            .execute(params![key, behind_key(key), scope])
            .map(drop)
            .map_err(|error| self.unwritten(error))
    }

    /// Writes what stands in the place of a commit's body. Nothing happens if it is not in the table any more.
    pub(super) fn write_body(self, row: &JournalRow) -> Result<()> {
        self.prepared("UPDATE journal SET body = ?2 WHERE position = ?1")?
            .execute(params![super::block_rows::to_sql(row.position), row.body])
            .map(drop)
            .map_err(|error| self.unwritten(error))
    }
}
