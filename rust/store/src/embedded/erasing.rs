//! Erasing a scope in a directory.
//!
//! *Look*, on a snapshot: everything that is to go can be read, or nothing is changed. *Begin*, one durable commit: the
//! scope's refs and leases are gone, its note and its name stand in `manifest`. *Strip*, in small commits, while nobody
//! copies or removes files: receipts, holds, bodies in the table `journal`, then sealed files, each written anew
//! without what the scope's commits said. *End*, one durable commit: the name is gone.
//! Promises: whatever stops it behind Begin, the scope stays gone, takes no commit, and the next one goes on. A sealed
//! file is on disk before the row that names it, and the old one is removed after. Deletions work on a full disk; a
//! sealed file that is to be written anew needs room.
//! Must never: touch a row or a body of another scope, or keep a fork waiting while it waits for the writer.

use std::time::{Duration, Instant};

use ulid::Ulid;

use super::EmbeddedStore;
use super::directory::FILES_LOCK;
use super::erasure_rows::Erasing;
use super::files_lock::{LongFilesLock, may_remove_files};
use super::gc::Moment;
use super::sealed_files::{remove_sealed, write_sealed};
use super::session::Session;
use super::sqlite_error::io_error;
use super::transaction::Transaction;
use crate::commit::Durability;
use crate::erasure::held::held;
use crate::erasure::{self, EraseOptions, Erased, ErasedFigures, Erasure, digest_of_command};
use crate::error::{Result, StoreError};
use crate::journal::{JournalRow, digest_of_body};
use crate::ledger::Ledger;
use crate::sealed::SealedFile;
use crate::store::Store;

/// A small transaction takes no longer than this, so that no writer waits for it.
const TIME_MAX: Duration = Duration::from_millis(2);
/// Rows of the table that are read at a time.
const PAGE: usize = 256;
/// Who waits for the files looks this often.
const RETRY: Duration = Duration::from_millis(5);

/// What is left of a scope behind its refs.
#[derive(Default)]
pub(super) struct Left {
    pub(super) receipts: Vec<[u8; 32]>,
    pub(super) holds: Vec<u64>,
    /// Its commits in the table …
    pub(super) commits: Vec<u64>,
    /// … and in sealed files: these, and how many.
    pub(super) files: Vec<SealedFile>,
    sealed_commits: u64,
}

impl EmbeddedStore {
    /// See [`crate::store::Store::erase`].
    pub(super) fn erase_scope(&self, scope: &str, options: &EraseOptions) -> Result<Erased> {
        erasure::check(scope, options)?;
        if options.dry_run {
            return self.look_at_scope(scope).map(|looked| Erased {
                figures: looked.0,
                held_by: looked.1,
                ..Erased::default()
            });
        }
        self.writable()?;
        // What was left is finished first: it may be this very command.
        self.finish_erasing(self.lock_wait)?;
        let digest = self.reading(|session| session.digest_of(scope))?;
        let command = options
            .command_id
            .as_deref()
            .map(|id| digest_of_command(&digest, id));
        let (mut figures, held_by) = self.look_at_scope(scope)?;
        // Counted when nobody adds to it any more.
        (figures.receipts, figures.holds, figures.commits) = (0, 0, 0);
        let note = Erasure {
            id: Ulid::generate(),
            position: 0,
            at_ms: 0,
            scope: digest,
            command: command.unwrap_or_default(),
            figures,
        };
        let (name, now_ms) = (scope.to_owned(), self.now_ms());
        let begun = self.in_freeing_transaction(Durability::Durable, move |transaction| {
            let done = transaction.session().erasures()?;
            let same = |done: &&Erasure| done.scope == digest && Some(done.command) == command;
            match done.iter().find(same) {
                Some(done) => Ok(Err(*done)),
                None => transaction.begin_erasing(&name, note, now_ms).map(Ok),
            }
        })?;
        let id = match begun {
            Err(done) => return Ok(done.replayed()),
            Ok(begun) => begun.id,
        };
        self.finish_erasing(self.lock_wait)
            .map_err(|error| match error {
                StoreError::LockTimeout { waited_ms, holder } => StoreError::EraseUnfinished {
                    scope: scope.to_owned(),
                    waited_ms,
                    holder,
                },
                error => error,
            })?;
        let notes = self.reading(|session| session.erasures())?;
        let note = notes.into_iter().find(|note| note.id == id);
        let note = note.ok_or_else(|| StoreError::CommitUnknown {
            why: "the note of the erasure is gone".into(),
        })?;
        Ok(Erased {
            held_by,
            replayed: false,
            ..note.replayed()
        })
    }

    /// What would go, and who else reaches it. Errors: `Corrupt` for what can't be read, and might be the scope's.
    fn look_at_scope(&self, scope: &str) -> Result<(ErasedFigures, Vec<String>)> {
        let shared = &self.usable()?.shared;
        let look = |session: Session<'_>| {
            let left = find_left(session, scope, u64::MAX)?;
            let mut holds = Vec::new();
            let mut after = (0, String::new());
            loop {
                let page = session.hold_rows((after.0, &after.1), PAGE)?;
                let Some((ordinal, of, _)) = page.last() else {
                    break;
                };
                after = (*ordinal, of.clone());
                for (ordinal, of, end) in page {
                    end?;
                    holds.push((ordinal, of));
                }
            }
            let totals = session.totals()?;
            let mut moment = Moment {
                session,
                tiers: &shared.tiers,
                next_ordinal: totals.next_ordinal,
                blocks: totals.blocks,
                refs_sum: totals.refs_sum,
            };
            let held = held(&mut moment, scope, holds)?;
            let figures = ErasedFigures {
                refs: session.count_refs_of(scope)?,
                leases: session.count_leases_of(scope)?,
                blocks: held.blocks,
                held_blocks: held.held_blocks,
                ..left.figures()
            };
            Ok((figures, held.held_by))
        };
        self.unless_files_went_meanwhile(|session| {
            session.run("BEGIN", "read")?;
            let looked = look(session);
            // Ends a read; if it fails, the connection is not used again.
            drop(session.run("ROLLBACK", "read"));
            let sound = !matches!(looked, Err(StoreError::Corrupt { .. }));
            Ok((looked, sound))
        })?
    }

    /// Strips what erases have begun, this handle's or others'. Errors: `LockTimeout` while somebody copies files;
    /// those of a commit. What is left then is not seen by anybody, and the next one goes on.
    pub(super) fn finish_erasing(&self, wait: Duration) -> Result<()> {
        if self.reading(|session| session.erasing())?.is_empty() {
            return Ok(());
        }
        let alone = self.alone_with_files(wait)?;
        for erasing in self.reading(|session| session.erasing())? {
            self.strip(&erasing, &alone)?;
        }
        Ok(())
    }

    /// When the store is opened: what a process that died has left, unless somebody is at it.
    pub(super) fn finish_left(&self) {
        let finished = match self.reading(|session| session.erasing()) {
            Ok(left) if left.is_empty() => return,
            Ok(_) => self.finish_erasing(Duration::ZERO),
            Err(error) => Err(error),
        };
        match finished {
            Ok(()) | Err(StoreError::LockTimeout { .. }) => {}
            Err(error) => {
                tracing::warn!(%error, "an erased scope is not stripped yet; erase or vacuum goes on");
            }
        }
    }

    /// Nobody copies files, or removes them. Errors: `LockTimeout`, `Io`.
    fn alone_with_files(&self, wait: Duration) -> Result<LongFilesLock> {
        let shared = &self.writable()?.shared;
        let path = shared.root.join(FILES_LOCK);
        let started = Instant::now();
        loop {
            let alone = may_remove_files(&path, &shared.disk);
            if let Some(alone) = alone.map_err(|error| io_error("lock", &path, error))? {
                return Ok(alone.for_long());
            }
            if started.elapsed() >= wait {
                return Err(StoreError::LockTimeout {
                    waited_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                    holder: "a backup that copies the store's files, or another erase".into(),
                });
            }
            std::thread::sleep(RETRY);
        }
    }

    fn strip(&self, erasing: &Erasing, alone: &LongFilesLock) -> Result<()> {
        let (id, scope) = (erasing.id, erasing.scope.as_str());
        let left = self.in_one_read(|session| {
            let notes = session.erasures()?;
            let note = notes.into_iter().find(|note| note.id == id);
            // Without its note nothing says where the scope's new life would begin; it has none as long as this is here.
            let until = note.map_or(u64::MAX, |note| note.position);
            find_left(session, scope, until)
        })?;
        let counted = left.figures();
        self.in_freeing_transaction(Durability::Relaxed, move |transaction| {
            transaction.note_stripped(id, counted)
        })?;
        self.in_pieces(left.receipts, scope, |session, scope, key| {
            session.delete_receipt_row(key, scope)
        })?;
        self.in_pieces(left.holds, scope, |session, scope, ordinal| {
            session.delete_hold(*ordinal, scope).map(drop)
        })?;
        self.in_pieces(left.commits, scope, |session, scope, position| {
            let before = position.saturating_sub(1);
            match session.unsealed_rows(before, 1)?.pop() {
                Some(row) if row.position == *position && is_of(&row, scope)? => {
                    session.write_body(&row.erased())
                }
                _ => Ok(()),
            }
        })?;
        for file in left.files {
            self.strip_sealed(scope, &file)?;
        }
        self.remove_replaced(alone)?;
        self.in_freeing_transaction(Durability::Durable, move |transaction| {
            transaction.end_erasing(id)
        })
    }

    pub(super) fn in_one_read<T>(&self, work: impl FnOnce(Session<'_>) -> Result<T>) -> Result<T> {
        let reader = self.usable()?.shared.connections.read()?;
        let session = reader.session();
        session.run("BEGIN", "read")?;
        let read = work(session);
        // Ends a read; if it fails, the connection is not used again.
        drop(session.run("ROLLBACK", "read"));
        read
    }

    /// Does something small to each, as many in one transaction as a moment has room for. Not synced: End is.
    fn in_pieces<T: Send + 'static>(
        &self,
        mut left: Vec<T>,
        scope: &str,
        each: fn(Session<'_>, &str, &T) -> Result<()>,
    ) -> Result<()> {
        left.reverse();
        while !left.is_empty() {
            let scope = scope.to_owned();
            let mut rest = std::mem::take(&mut left);
            left = self.in_freeing_transaction(Durability::Relaxed, move |transaction| {
                let started = Instant::now();
                transaction.writing(|session| {
                    while let Some(one) = rest.pop() {
                        each(session, &scope, &one)?;
                        if started.elapsed() >= TIME_MAX {
                            break;
                        }
                    }
                    Ok(())
                })?;
                Ok(rest)
            })?;
        }
        Ok(())
    }

    /// Writes a sealed file anew without what the scope's commits said, and removes the old one.
    fn strip_sealed(&self, scope: &str, file: &SealedFile) -> Result<()> {
        let core = self.writable()?;
        let rows = self.reading(|session| session.sealed_commits(file))?;
        let rows = without_scope(rows, scope)?;
        let Some((new, bytes)) = SealedFile::seal(&file.head_before(), &rows)? else {
            return Ok(());
        };
        let held = write_sealed(&core.shared.root, &core.shared.disk, &new, &bytes)?;
        let (before, after) = (file.clone(), new.clone());
        let replaced = self.in_freeing_transaction(Durability::Durable, move |transaction| {
            let still = transaction.session().sealed_file_with(before.first)? == Some(before);
            if still {
                let generation = transaction.session().gc_generation()?.saturating_add(1);
                transaction.writing(|session| {
                    session.write_sealed_file(&after)?;
                    // Who read that row wants a file that is gone soon.
                    session.write_gc_generation(generation)
                })?;
            }
            Ok(still)
        });
        drop(held);
        match replaced {
            Ok(true) => remove_sealed(core, file),
            // Expired meanwhile.
            Ok(false) => remove_sealed(core, &new),
            Err(StoreError::CommitUnknown { why }) => {
                return Err(StoreError::CommitUnknown { why });
            }
            Err(error) => {
                remove_sealed(core, &new);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Removes sealed files that no row names: in whose place there is another one, or none any more, or that somebody left
    /// who was killed. One that is being sealed now is of somebody who finds that he came second.
    fn remove_replaced(&self, _alone: &LongFilesLock) -> Result<()> {
        let shared = &self.writable()?.shared;
        shared.remove_dead_sealed_files(&shared.unnamed_sealed_files()?)
    }
}

impl Left {
    fn figures(&self) -> ErasedFigures {
        ErasedFigures {
            receipts: self.receipts.len() as u64,
            holds: self.holds.len() as u64,
            commits: (self.commits.len() as u64).saturating_add(self.sealed_commits),
            ..ErasedFigures::default()
        }
    }
}

/// What is left of a scope up to that commit, but for refs and leases. O(journal + receipts of the store). Errors:
/// `Corrupt` for the first row that can't be read.
pub(super) fn find_left(session: Session<'_>, scope: &str, until: u64) -> Result<Left> {
    let mut left = Left::default();
    let mut after = None;
    loop {
        let page = session.receipt_rows_of(scope, after.as_ref(), PAGE)?;
        let Some((last, ..)) = page.last() else { break };
        after = Some(*last);
        left.receipts.extend(page.into_iter().map(|(key, ..)| key));
    }
    let mut after = 0;
    loop {
        let page = session.holds_of(scope, after, PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        left.holds
            .extend(page.into_iter().map(|(ordinal, _)| ordinal));
    }
    for file in session.sealed_files()? {
        let file = file?;
        let mut count = 0;
        for row in session.sealed_commits(&file)? {
            count += u64::from(is_of(&row, scope)?);
        }
        if count > 0 {
            left.sealed_commits += count;
            left.files.push(file);
        }
    }
    let mut after = 0;
    loop {
        let page = session.unsealed_rows(after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.position;
        for row in page.iter().take_while(|row| row.position <= until) {
            if is_of(row, scope)? {
                left.commits.push(row.position);
            }
        }
        if after > until {
            break;
        }
    }
    Ok(left)
}

/// Whether the commit was about this scope. Errors: `Corrupt` where that can't be told.
pub(super) fn is_of(row: &JournalRow, scope: &str) -> Result<bool> {
    if digest_of_body(row.position, &row.body) != row.body_digest {
        return Err(StoreError::Corrupt {
            what: "journal row",
            which: row.position.to_string(),
            detail: "the body does not hash to its digest, so that nobody knows whose it is".into(),
        });
    }
    let entry = row.entry()?;
    Ok(!entry.blank && entry.scope == scope)
}

/// The commits of a file without what those of the scope said.
pub(super) fn without_scope(rows: Vec<JournalRow>, scope: &str) -> Result<Vec<JournalRow>> {
    let strip = |row: JournalRow| {
        Ok(if is_of(&row, scope)? {
            row.erased()
        } else {
            row
        })
    };
    rows.into_iter().map(strip).collect()
}

impl Transaction<'_> {
    /// Begin. Errors: `BeingErased`; `Corrupt` for a ref of the scope that is broken: nothing is written then.
    fn begin_erasing(&mut self, scope: &str, note: Erasure, now_ms: i64) -> Result<Erasure> {
        self.expect_not_erasing(scope)?;
        let session = self.session();
        let mut note = note;
        note.figures.refs = session.count_refs_of(scope)?;
        note.figures.leases = session.count_leases_of(scope)?;
        let sum = session.refs_sum_of(scope)?;
        let generation = session.gc_generation()?.saturating_add(1);
        self.append_erasure(&mut note, now_ms)?;
        self.writing(|session| {
            session.delete_refs_of(scope)?;
            session.write_erasure(&note)?;
            session.write_erasing(note.id, scope)?;
            // What a repair or a seal has read before this is not what it writes any more.
            session.write_gc_generation(generation)
        })?;
        self.refs_erased(scope, sum);
        Ok(note)
    }

    /// What was counted, the first time.
    fn note_stripped(&mut self, id: Ulid, counted: ErasedFigures) -> Result<()> {
        let notes = self.session().erasures()?;
        let Some(mut note) = notes.into_iter().find(|note| note.id == id) else {
            return Ok(());
        };
        let figures = &mut note.figures;
        if (figures.receipts, figures.holds, figures.commits) == (0, 0, 0) {
            figures.receipts = counted.receipts;
            figures.holds = counted.holds;
            figures.commits = counted.commits;
        }
        self.writing(|session| session.write_erasure(&note))
    }

    fn end_erasing(&mut self, id: Ulid) -> Result<()> {
        let generation = self.session().gc_generation()?.saturating_add(1);
        self.writing(|session| {
            session.delete_erasing(id)?;
            // Nor is what they have read since: it may be from before a row was stripped.
            session.write_gc_generation(generation)
        })?;
        self.read_erasing()
    }
}
