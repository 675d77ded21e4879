//! Sealing and expiring the journal of a store in a directory.
//!
//! Sealing a file, in this order: its bytes and its name are on disk; then one durable transaction writes
//! the row that names it and deletes the rows that it holds. Expiring: one durable transaction writes where
//! the journal starts and deletes the rows that name the files; then the files are removed.
//! Promises: whatever stops it, at any point, each kept commit can be read, from one place. A file that no
//! row names is what a crash leaves; it is removed a day later.
//! Must never: write over a file, use a name twice, or bring back what an erase took from the rows meanwhile.

use std::fs;
use std::io;
use std::path::Path;

use ulid::Ulid;

use super::EmbeddedStore;
use super::core::{Core, Shared};
use super::disk::Disk;
use super::sealed_rows::FOLDER;
use super::session::Session;
use super::sqlite_error::io_error;
use super::transaction::Transaction;
use crate::clock::Clock;
use crate::commit::Durability;
use crate::cursor::Head;
use crate::error::{Result, StoreError};
use crate::journal::JournalRow;
use crate::ledger::Tip;
use crate::retention::{ExpireBefore, ExpireReport, JournalExtent, SealReport};
use crate::sealed::{SEALED_BYTES_MAX, SEALED_COMMITS_MAX, SealedFile};
use crate::store::HOLD_MS;

/// The newest commit is never sealed: the next one is chained to its row.
const KEEP_MIN: u64 = 1;

/// Rows that the next file holds, and the head before them.
struct Piece {
    before: Head,
    rows: Vec<JournalRow>,
    /// Another one now: a scope was erased since, or blocks were collected.
    generation: u64,
}

impl EmbeddedStore {
    pub(super) fn seal_old(&self, keep: u64) -> Result<SealReport> {
        let core = self.writable()?;
        let keep = keep.max(KEEP_MIN);
        self.finish_erasing(self.lock_wait)?;
        let mut report = SealReport::default();
        loop {
            let piece = core.shared.connections.reading(|session| {
                session.run("BEGIN", "read")?;
                let piece = next_piece(session, keep);
                // Ends a read; if it fails, the connection is not used again.
                drop(session.run("ROLLBACK", "read"));
                piece
            })?;
            let Some((file, bytes)) = SealedFile::seal(&piece.before, &piece.rows)? else {
                break;
            };
            core.shared.keep_room_for_deletions()?;
            write_sealed(&core.shared.root, &core.shared.disk, &file, &bytes)?;
            let (row, generation) = (file.clone(), piece.generation);
            let sealed = self.in_transaction(Durability::Durable, move |transaction| {
                replace_rows(transaction, &row, generation)
            });
            match sealed {
                Ok(true) => {
                    report.files += 1;
                    report.commits += file.commits();
                    report.bytes += file.bytes;
                }
                // Somebody else sealed them meanwhile, or they may not be what they were.
                Ok(false) => {
                    remove_sealed(core, &file);
                    self.finish_erasing(self.lock_wait)?;
                }
                Err(StoreError::CommitUnknown { why }) => {
                    return Err(StoreError::CommitUnknown { why });
                }
                Err(error) => {
                    remove_sealed(core, &file);
                    return Err(error);
                }
            }
        }
        core.shared.remove_stray_sealed_files()?;
        Ok(report)
    }

    pub(super) fn expire_old(&self, before: &ExpireBefore) -> Result<ExpireReport> {
        let core = self.writable()?;
        let before = *before;
        let expired = self.in_freeing_transaction(Durability::Durable, move |transaction| {
            expire_rows(transaction, &before)
        })?;
        let mut report = ExpireReport::default();
        // Where somebody copies them they stay, until they are a day old and without a row.
        let alone = core.shared.may_remove_files();
        for file in &expired {
            if alone.is_some() {
                remove_sealed(core, file);
            }
            report.files += 1;
            report.commits += file.commits();
            report.bytes += file.bytes;
        }
        drop(alone);
        core.shared.remove_stray_sealed_files()?;
        Ok(report)
    }

    pub(super) fn extent(&self) -> Result<JournalExtent> {
        let shared = &self.usable()?.shared;
        shared.connections.reading(|session| {
            session.run("BEGIN", "read")?;
            let read = (|| {
                Ok(JournalExtent {
                    start: session.journal_start()?,
                    sealed: session.sealed_files()?.into_iter().collect::<Result<_>>()?,
                    head: session.tip_row()?.head,
                })
            })();
            // Ends a read; if it fails, the connection is not used again.
            drop(session.run("ROLLBACK", "read"));
            read
        })
    }
}

impl Shared {
    /// What a crash left between a file and its row, or between a row's deletion and its file's. By the
    /// machine's clock, since the files' names are.
    pub(super) fn remove_stray_sealed_files(&self) -> Result<()> {
        let folder = self.root.join(FOLDER);
        let listed = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            listed => listed.map_err(|error| io_error("list", &folder, error))?,
        };
        let Some(_alone) = self.may_remove_files() else {
            return Ok(());
        };
        let now_ms = Clock::system().now_ms();
        for entry in listed {
            let entry = entry.map_err(|error| io_error("list", &folder, error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(written_ms) = written_at_ms(&name) else {
                continue;
            };
            if now_ms.saturating_sub(written_ms) > HOLD_MS
                && !self
                    .connections
                    .reading(|session| session.names_sealed_file(&name))?
                && let Err(error) = self.disk.remove(&entry.path())
            {
                tracing::warn!(%error, name, "a sealed file without a row stays behind");
            }
        }
        Ok(())
    }
}

/// The oldest rows of the table, as many as one file takes, but not the newest `keep`; in one snapshot, so that
/// the head before them is of the same moment.
fn next_piece(session: Session<'_>, keep: u64) -> Result<Piece> {
    let generation = session.gc_generation()?;
    let newest = session.position()?.saturating_sub(keep);
    let mut rows = Vec::new();
    let (mut bytes, mut after) = (0, 0);
    // One commit may be large: few are read at a time.
    'full: while rows.len() < SEALED_COMMITS_MAX {
        let page = session.unsealed_rows(after, 256)?;
        if page.is_empty() {
            break;
        }
        for row in page {
            bytes += row.body.len();
            if row.position > newest
                || rows.len() >= SEALED_COMMITS_MAX
                || (bytes > SEALED_BYTES_MAX && !rows.is_empty())
            {
                break 'full;
            }
            after = row.position;
            rows.push(row);
        }
    }
    let before = rows.first().map_or(0, |row| row.position.saturating_sub(1));
    let chain = session.chain_at(before)?.unwrap_or_default();
    let before = Head {
        position: before,
        chain,
    };
    Ok(Piece {
        before,
        rows,
        generation,
    })
}

/// Under the write lock. False: the rows are not the oldest of the table any more.
fn replace_rows(
    transaction: &mut Transaction<'_>,
    file: &SealedFile,
    generation: u64,
) -> Result<bool> {
    let session = transaction.session();
    let oldest = session.unsealed_rows(0, 1)?.into_iter().next();
    // An erase that began or ended since the rows were read, or is under way, may have changed them.
    let same = session.gc_generation()? == generation && session.erasing()?.is_empty();
    let still = same
        && oldest.is_some_and(|row| row.position == file.first)
        && session.unsealed_chain_at(file.last)? == Some(file.after)
        && session.position()? > file.last;
    if !still {
        return Ok(false);
    }
    transaction.writing(|session| {
        session.write_sealed_file(file)?;
        let deleted = session.delete_journal_rows(file.first, file.last)?;
        if deleted as u64 == file.commits() {
            Ok(())
        } else {
            Err(file.corrupt("the table has not as many rows as it"))
        }
    })?;
    Ok(true)
}

/// Under the write lock: the files that are given up, whose rows are gone then.
fn expire_rows(
    transaction: &mut Transaction<'_>,
    before: &ExpireBefore,
) -> Result<Vec<SealedFile>> {
    let session = transaction.session();
    let mut start = session.journal_start()?;
    if let ExpireBefore::Cursor(cursor) = before {
        let known = cursor.position < start.head.position
            || session.chain_at(cursor.position)?.is_some_and(|chain| {
                let position = cursor.position;
                Head { position, chain }.cursor() == *cursor
            });
        if !known {
            return Err(StoreError::CursorLost(cursor.to_string()));
        }
    }
    let mut expired = Vec::new();
    for file in session.sealed_files()? {
        let file = file?;
        let old = match before {
            ExpireBefore::Time(at_ms) => file.last_at_ms < *at_ms,
            ExpireBefore::Cursor(cursor) => file.last <= cursor.position,
        };
        if !old {
            break;
        }
        if file.head_before() != start.head {
            return Err(file.corrupt("it does not begin where the one before it ends"));
        }
        start = Tip {
            head: file.head_after(),
            at_ms: file.last_at_ms,
        };
        expired.push(file);
    }
    if !expired.is_empty() {
        transaction.writing(|session| {
            session.write_journal_start(&start)?;
            expired
                .iter()
                .try_for_each(|file| session.delete_sealed_file(file))
        })?;
    }
    Ok(expired)
}

/// On disk, with its name. Errors: `DiskFull`, `Io`; nothing is left behind then.
pub(super) fn write_sealed(
    root: &Path,
    disk: &Disk,
    file: &SealedFile,
    bytes: &[u8],
) -> Result<()> {
    let folder = root.join(FOLDER);
    let path = folder.join(file.name());
    let written = disk
        .make_directory(&folder)
        // That it is there tells nothing of its name being on disk.
        .and_then(|()| disk.sync_directory(root))
        .and_then(|()| disk.write_new(&path, bytes))
        .and_then(|()| disk.sync_directory(&folder));
    written.map_err(|error| {
        if path.exists()
            && let Err(error) = disk.remove(&path)
        {
            tracing::warn!(%error, path = %path.display(), "a file without a row stays behind");
        }
        io_error("write", &path, error)
    })
}

pub(super) fn remove_sealed(core: &Core, file: &SealedFile) {
    let path = core.shared.root.join(FOLDER).join(file.name());
    if let Err(error) = core.shared.disk.remove(&path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %path.display(), "a file without a row stays behind");
    }
}

/// What a sealed file's name says of when it was written; None for a name that is not one.
fn written_at_ms(name: &str) -> Option<i64> {
    let mut parts = name.split('-');
    let (first, last, id) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |part: &str| part.len() == 20 && part.bytes().all(|byte| byte.is_ascii_digit());
    let ours = digits(first) && digits(last) && parts.next().is_none();
    let id: Ulid = id.parse().ok()?;
    ours.then(|| i64::try_from(id.timestamp_ms()).ok())?
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use super::*;
    use crate::commit::{Change, Commit, Expect, RefMove};
    use crate::embedded::OpenOptions;
    use crate::erasure::EraseOptions;
    use crate::name::RefName;
    use crate::store::Store;
    use treering_block::Block;

    fn act(store: &EmbeddedStore, scope: &str, number: u64) {
        let block = Block::raw(number.to_le_bytes().to_vec());
        let commit = Commit {
            scope: scope.into(),
            moves: vec![RefMove {
                name: RefName::new(scope, "thread", ["x"]).unwrap(),
                expect: Expect::Any,
                change: Change::Set {
                    target: block.cid,
                    record: vec![],
                },
            }],
            blocks: vec![block],
            ..Commit::default()
        };
        store.submit(commit).wait().unwrap();
    }

    #[test]
    fn rows_that_were_read_before_an_erase_stripped_them_are_not_sealed() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state");
        let options = OpenOptions {
            lock_wait: Duration::from_millis(1),
            ..OpenOptions::default()
        };
        let store = EmbeddedStore::open(&path, &options).unwrap();
        for number in 0..10 {
            act(
                &store,
                if number % 2 == 0 { "alice" } else { "bob" },
                number,
            );
        }
        // Whoever copies files stops the erase between its beginning and its first strip.
        let copying = File::open(path.join(super::super::directory::FILES_LOCK)).unwrap();
        copying.lock_shared().unwrap();
        assert!(store.erase("alice", &EraseOptions::default()).is_err());
        let piece = store.reading(|session| next_piece(session, 1)).unwrap();
        copying.unlock().unwrap();
        store.finish_erasing(Duration::from_secs(60)).unwrap();
        let (file, bytes) = SealedFile::seal(&piece.before, &piece.rows)
            .unwrap()
            .unwrap();
        let shared = &store.core.shared;
        write_sealed(&shared.root, &shared.disk, &file, &bytes).unwrap();
        let sealed = store.in_transaction(Durability::Durable, move |transaction| {
            replace_rows(transaction, &file, piece.generation)
        });
        assert!(!sealed.unwrap(), "what was erased is in the journal again");
        store.seal_journal(1).unwrap();
        let entries = store.journal(None, usize::MAX).unwrap();
        assert!(entries.iter().all(|entry| entry.scope != "alice"));
        assert_eq!(store.verify(None).unwrap().findings, []);
    }
}
