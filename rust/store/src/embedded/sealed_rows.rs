//! The rows that name the journal's sealed files, and the commits behind them.
//!
//! A file has a row in `manifest`, its key `journal/` and the file's first position; `journal_start` is the
//! head that the oldest kept commit follows, if any was expired.
//! Promises: a commit is read from a file only through its row; rows and files are checked on every read.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use rusqlite::OptionalExtension;

use super::manifest_rows::check;
use super::row_check::{Table, corrupt};
use super::session::Session;
use super::sqlite_error::io_error;
use crate::cursor::Head;
use crate::error::{Result, StoreError};
use crate::journal::JournalRow;
use crate::ledger::Tip;
use crate::sealed::SealedFile;

/// Before a first position in twenty digits: keys sort as positions do.
const KEY_FILE: &str = "journal/";
/// Behind all of them: `0` follows `/`.
const KEY_FILES_END: &str = "journal0";
/// Position u64, chain, time i64.
const KEY_START: &str = "journal_start";

/// The folder of sealed files, beside the database.
pub(super) const FOLDER: &str = "journal";

pub(super) fn key(first: u64) -> String {
    format!("{KEY_FILE}{first:020}")
}

/// The folder of the store whose database this is.
fn folder_of(database: &Path) -> PathBuf {
    super::disk::parent(database).join(FOLDER)
}

impl Session<'_> {
    /// The commits of a sealed file, checked. Errors: `Corrupt` also for a file that is missing; `Io`.
    pub(super) fn sealed_commits(self, file: &SealedFile) -> Result<Vec<JournalRow>> {
        file.open(&self.sealed_bytes(file)?)
    }

    /// A sealed file's bytes as they are.
    pub(super) fn sealed_bytes(self, file: &SealedFile) -> Result<Vec<u8>> {
        let path = folder_of(self.path()).join(file.name());
        // The row's length bounds what is read.
        let mut bytes = Vec::new();
        let limit = file.bytes.saturating_add(1);
        let opened = self.disk().open_to_read(&path);
        match opened.and_then(|open| open.take(limit).read_to_end(&mut bytes)) {
            Ok(_) => Ok(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(file.corrupt("it is missing")),
            Err(error) => Err(io_error("read", &path, error)),
        }
    }

    /// The head before the oldest commit that is kept, and its time. Errors: `Corrupt`.
    pub(super) fn journal_start(self) -> Result<Tip> {
        let Some(value) = self.read_optional_manifest(KEY_START)? else {
            return Ok(Tip::default());
        };
        let parsed = value.split_at_checked(8).and_then(|(position, rest)| {
            let (chain, at_ms) = rest.split_at_checked(32)?;
            Some(Tip {
                head: Head {
                    position: u64::from_le_bytes(position.try_into().ok()?),
                    chain: chain.try_into().ok()?,
                },
                at_ms: i64::from_le_bytes(at_ms.try_into().ok()?),
            })
        });
        parsed.ok_or_else(|| {
            corrupt(
                Table::Manifest,
                KEY_START,
                "it has not the length of a head",
            )
        })
    }

    pub(super) fn write_journal_start(self, start: &Tip) -> Result<()> {
        let mut value = Vec::with_capacity(48);
        value.extend(start.head.position.to_le_bytes());
        value.extend(start.head.chain);
        value.extend(start.at_ms.to_le_bytes());
        self.write_manifest(KEY_START, &value)
    }

    pub(super) fn write_sealed_file(self, file: &SealedFile) -> Result<()> {
        self.write_manifest(&key(file.first), &file.to_record())
    }

    /// The rows of all files that begin before this commit, of all for None; broken ones among them, too.
    pub(super) fn delete_sealed_files(self, before: Option<u64>) -> Result<()> {
        let end = before.map_or_else(|| KEY_FILES_END.to_owned(), key);
        self.prepared("DELETE FROM manifest WHERE key >= ?1 AND key < ?2")?
            .execute([KEY_FILE, &end])
            .map(drop)
            .map_err(|error| self.unwritten(error))
    }

    /// Rows that describe no file; their keys, for who reports them. The commits of each have to be in another place.
    pub(super) fn delete_broken_sealed_rows(self) -> Result<Vec<String>> {
        let mut deleted = Vec::new();
        for (key, file) in self.sealed_file_rows()? {
            if file.is_err() {
                self.prepared("DELETE FROM manifest WHERE key = ?1")?
                    .execute([&key])
                    .map_err(|error| self.unwritten(error))?;
                deleted.push(key);
            }
        }
        Ok(deleted)
    }

    /// Every sealed file, the oldest first; a broken row in its place.
    pub(super) fn sealed_files(self) -> Result<Vec<Result<SealedFile>>> {
        let rows = self.sealed_file_rows()?.into_iter();
        Ok(rows.map(|(_, file)| file).collect())
    }

    /// The same, each with the key that its row has.
    fn sealed_file_rows(self) -> Result<Vec<(String, Result<SealedFile>)>> {
        let mut statement = self.prepared(
            "SELECT key, value, chk FROM manifest WHERE key >= ?1 AND key < ?2 ORDER BY key",
        )?;
        let mut rows = statement
            .query([KEY_FILE, KEY_FILES_END])
            .map_err(|error| self.unread(error))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let (key, value, chk) = row
                .get(0)
                .and_then(|key: String| Ok((key, row.get(1)?, row.get(2)?)))
                .map_err(|error| self.unread(error))?;
            found.push((key.clone(), file_of((key, value, chk))));
        }
        Ok(found)
    }

    /// The newest commit that left the table.
    pub(super) fn sealed_end(self) -> Result<Tip> {
        match self.newest_sealed_file(KEY_FILES_END)? {
            Some(file) => Ok(Tip {
                head: file.head_after(),
                at_ms: file.last_at_ms,
            }),
            None => self.journal_start(),
        }
    }

    /// The sealed file with this commit in it.
    pub(super) fn sealed_file_with(self, position: u64) -> Result<Option<SealedFile>> {
        let file = self.newest_sealed_file(&key(position))?;
        Ok(file.filter(|file| file.last >= position))
    }

    /// Of those with a key up to this one.
    fn newest_sealed_file(self, until: &str) -> Result<Option<SealedFile>> {
        let mut statement = self.prepared(
            "SELECT key, value, chk FROM manifest WHERE key >= ?1 AND key <= ?2 ORDER BY key DESC LIMIT 1",
        )?;
        let row = statement
            .query_row([KEY_FILE, until], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()
            .map_err(|error| self.unread(error))?;
        row.map(file_of).transpose()
    }

    /// Sealed commits after `after`, from the oldest that is kept on, at most `limit`.
    pub(super) fn sealed_rows(self, after: u64, limit: usize) -> Result<Vec<JournalRow>> {
        let mut found = Vec::new();
        let mut after = after.max(self.journal_start()?.head.position);
        while found.len() < limit {
            let Some(file) = self.sealed_file_with(after.saturating_add(1))? else {
                break;
            };
            let rows = self.sealed_commits(&file)?;
            let rest = limit.saturating_sub(found.len());
            let later = rows.into_iter().filter(|row| row.position > after);
            found.extend(later.take(rest));
            after = file.last;
        }
        Ok(found)
    }

    /// The same of the next file alone, which is in memory as a whole when it is read.
    pub(super) fn next_sealed_rows(self, after: u64) -> Result<Vec<JournalRow>> {
        let after = after.max(self.journal_start()?.head.position);
        let Some(file) = self.sealed_file_with(after.saturating_add(1))? else {
            return Ok(Vec::new());
        };
        let mut rows = self.sealed_commits(&file)?;
        rows.retain(|row| row.position > after);
        Ok(rows)
    }

    /// The chain after a sealed commit, or after the newest that was expired.
    pub(super) fn sealed_chain_at(self, position: u64) -> Result<Option<[u8; 32]>> {
        if let Some(file) = self.sealed_file_with(position)? {
            if file.last == position {
                return Ok(Some(file.after));
            }
            let rows = self.sealed_commits(&file)?;
            let row = rows.into_iter().find(|row| row.position == position);
            return Ok(row.map(|row| row.chain));
        }
        let start = self.journal_start()?.head;
        Ok((start.position == position).then_some(start.chain))
    }

    /// Whether a file of this name has a row.
    pub(super) fn names_sealed_file(self, name: &str) -> Result<bool> {
        let first = name.get(..20).and_then(|first| first.parse().ok());
        let Some(first) = first else {
            return Ok(false);
        };
        Ok(self
            .sealed_file_with(first)?
            .is_some_and(|file| file.name() == name))
    }
}

/// A row of `manifest` that names a file: key, value, check.
fn file_of((stored_key, value, chk): (String, Vec<u8>, Vec<u8>)) -> Result<SealedFile> {
    check(&stored_key, &value).expect(&chk, &stored_key)?;
    SealedFile::from_record(&value)
        .filter(|file| key(file.first) == stored_key)
        .ok_or_else(|| -> StoreError {
            corrupt(
                Table::Manifest,
                &stored_key,
                "it does not describe a sealed file",
            )
        })
}
