//! Sealing and expiring the journal of a store in a directory.
//!
//! Sealing a file, in this order: its bytes and its name are on disk; then one durable transaction writes
//! the row that names it and deletes the rows that it holds. Expiring: one durable transaction writes where
//! the journal starts and deletes the rows that name the files; then the files are removed.
//! Promises: whatever stops it, at any point, each kept commit can be read, from one place. A file that no row names is
//! what a crash leaves; `sealed_files.rs` has the files.
//! Must never: write over a file, use a name twice, or bring back what an erase took from the rows meanwhile.

use super::EmbeddedStore;
use super::sealed_files::remove_sealed;
use super::session::Session;
use super::transaction::Transaction;
use crate::commit::Durability;
use crate::cursor::Head;
use crate::error::{Result, StoreError};
use crate::journal::JournalRow;
use crate::ledger::Tip;
use crate::retention::{ExpireBefore, ExpireReport, JournalExtent, SealReport};
use crate::sealed::{SEALED_BYTES_MAX, SEALED_COMMITS_MAX, SealedFile};

/// The newest commit is never sealed: the next one is chained to its row.
const KEEP_MIN: u64 = 1;

/// Rows that the next file holds, and the head before them.
pub(super) struct Piece {
    pub(super) before: Head,
    pub(super) rows: Vec<JournalRow>,
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
            // From here until the row is committed no erase strips what the file would have as it was.
            let alone = self.alone_with_erases(self.lock_wait)?;
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
            let held = self.hold_sealed(&file)?;
            held.write(&bytes)?;
            let (row, generation) = (file.clone(), piece.generation);
            let sealed = self.in_transaction(Durability::Durable, move |transaction| {
                replace_rows(transaction, &row, generation)
            });
            drop(held);
            match sealed {
                Ok(true) => {
                    report.files += 1;
                    report.commits += file.commits();
                    report.bytes += file.bytes;
                }
                // Somebody else sealed them meanwhile, or they may not be what they were.
                Ok(false) => {
                    remove_sealed(core, &file);
                    drop(alone);
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
        self.remove_stray_sealed_files()?;
        Ok(report)
    }

    pub(super) fn expire_old(&self, before: &ExpireBefore) -> Result<ExpireReport> {
        let core = self.writable()?;
        let before = *before;
        let expired = self.in_freeing_transaction(Durability::Durable, move |transaction| {
            expire_rows(transaction, &before)
        })?;
        let mut report = ExpireReport::default();
        // Where somebody copies them they stay until the next collection.
        let alone = core.shared.may_remove_files();
        for file in &expired.files {
            if alone.is_some() {
                remove_sealed(core, file);
            }
            report.files += 1;
            report.commits += file.commits();
            report.bytes += file.bytes;
        }
        drop(alone);
        report.commits += expired.rows;
        self.remove_stray_sealed_files()?;
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

/// The oldest rows of the table, as many as one file takes, but not the newest `keep`; in one snapshot, so that
/// the head before them is of the same moment.
pub(super) fn next_piece(session: Session<'_>, keep: u64) -> Result<Piece> {
    let generation = session.gc_generation()?;
    let newest = session.position()?.saturating_sub(keep);
    let mut rows = Vec::new();
    let (mut bytes, mut after) = (0, 0);
    'full: while rows.len() < SEALED_COMMITS_MAX {
        let page = session.unsealed_page(after)?;
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
    // An erase that began or ended since the rows were read may have changed them.
    let same = session.gc_generation()? == generation;
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

/// What an expiry gives up, whose rows are gone then.
#[derive(Default)]
pub(super) struct Expired {
    pub(super) files: Vec<SealedFile>,
    /// Commits of the table.
    rows: u64,
}

/// Under the write lock. Rows of files that are broken are given up with the first sound one behind them.
pub(super) fn expire_rows(
    transaction: &mut Transaction<'_>,
    before: &ExpireBefore,
) -> Result<Expired> {
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
    let is_old = |last: u64, at_ms: i64| match before {
        ExpireBefore::Time(before_ms) => at_ms < *before_ms,
        ExpireBefore::Cursor(cursor) => last <= cursor.position,
    };
    let mut expired = Expired::default();
    let mut gives_up_all_files = true;
    for file in session.sealed_files()?.into_iter().flatten() {
        if !is_old(file.last, file.last_at_ms) {
            gives_up_all_files = false;
            break;
        }
        // Commits that are gone are given up with those behind them.
        let is_behind_a_gap = file.head_before().position > start.head.position;
        if file.head_before() != start.head && !is_behind_a_gap {
            return Err(file.corrupt("it does not begin where the one before it ends"));
        }
        start = Tip {
            head: file.head_after(),
            at_ms: file.last_at_ms,
        };
        expired.files.push(file);
    }
    // What a gap before the table had can be given up with the commit behind it alone: that says where the chain goes on.
    let mut oldest = match session.unsealed_rows(start.head.position, 2) {
        Err(StoreError::Corrupt { .. }) => Vec::new(),
        rows => rows?,
    }
    .into_iter();
    if gives_up_all_files
        && let (Some(row), Some(_)) = (oldest.next(), oldest.next())
        && row.position > start.head.position.saturating_add(1)
        && is_old(row.position, row.at_ms)
    {
        expired.rows = 1;
        start = Tip {
            head: row.head(),
            at_ms: row.at_ms,
        };
    }
    if !expired.files.is_empty() || expired.rows > 0 {
        let last = start.head.position;
        transaction.writing(|session| {
            session.write_journal_start(&start)?;
            session.delete_sealed_files(Some(last.saturating_add(1)))?;
            if expired.rows > 0 {
                session.delete_journal_rows(last, last)?;
            }
            Ok(())
        })?;
    }
    Ok(expired)
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs::File;
    use std::time::Duration;

    use super::*;
    use crate::commit::{Change, Commit, Expect, RefMove};
    use crate::embedded::OpenOptions;
    use crate::embedded::sealed_files::write_sealed;
    use crate::erasure::EraseOptions;
    use crate::name::RefName;
    use crate::store::Store;
    use treering_block::Block;

    pub(in crate::embedded) fn act(store: &EmbeddedStore, scope: &str, number: u64) {
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
        // Whoever is at another one stops the erase between its beginning and its first strip.
        let other = File::create(path.join(super::super::directory::ERASE_LOCK)).unwrap();
        other.lock().unwrap();
        assert!(store.erase("alice", &EraseOptions::default()).is_err());
        let piece = store.reading(|session| next_piece(session, 1)).unwrap();
        other.unlock().unwrap();
        store.finish_erasing(Duration::from_secs(60)).unwrap();
        let (file, bytes) = SealedFile::seal(&piece.before, &piece.rows)
            .unwrap()
            .unwrap();
        let shared = &store.core.shared;
        let _held = write_sealed(&shared.root, &shared.disk, &file, &bytes).unwrap();
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
