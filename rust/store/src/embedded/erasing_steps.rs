//! The transactions of an erase: Begin, the small ones that take rows away, and End.
//!
//! Promises: a small one takes at most [`ERASE_ROWS_MAX`] rows, fewer of long ones, and no more once [`PIECE_TIME_MAX`] is
//! up; what went is counted in the note by the transaction with which it went. One that comes after End takes nothing: the name may be in use
//! again by then.
//! Must never: leave a ref of the scope behind without the mark that hides it.

use std::time::{Duration, Instant};

use ulid::Ulid;

use super::EmbeddedStore;
use super::erasure_rows::Erasing;
use super::remains::is_of;
use super::session::Session;
use super::transaction::Transaction;
use crate::commit::Durability;
use crate::erasure::{ERASE_ROWS_MAX, ErasedFigures, Erasure};
use crate::error::Result;
use crate::ledger::Ledger;
use crate::scope::lineage::name_key;
use crate::sealed::SealedFile;

/// A small transaction takes no longer than this, so that no writer waits for it.
const PIECE_TIME_MAX: Duration = Duration::from_millis(2);
/// Rows that stand side by side are deleted so many at a time.
const AT_A_TIME: usize = 16;
/// So many bytes of a long row are as much as another row.
const ROW_BYTES: usize = 1024;

/// What is left of the room of a small transaction.
struct Room {
    rows: usize,
    /// Something was taken: from then on time counts.
    begun: bool,
    started: Instant,
}

impl Room {
    fn new(rows: usize) -> Self {
        Self {
            rows: rows.clamp(1, ERASE_ROWS_MAX),
            begun: false,
            started: Instant::now(),
        }
    }

    /// Rows that may be taken away together now; 0 for a transaction that is full.
    fn next(&self) -> usize {
        if self.begun && self.started.elapsed() >= PIECE_TIME_MAX {
            0
        } else {
            self.rows.min(AT_A_TIME)
        }
    }

    fn take(&mut self, rows: usize) {
        self.rows = self.rows.saturating_sub(rows);
        self.begun |= rows > 0;
    }
}

/// What an erase does with one row: how many rows' room that takes.
type Each<T> = fn(Session<'_>, &str, &T, &mut ErasedFigures) -> Result<usize>;

impl EmbeddedStore {
    /// Refs, leases, and the mark that hid them.
    pub(super) fn take_refs(&self, erasing: &Erasing, rows: usize) -> Result<()> {
        loop {
            let scope = erasing.scope.clone();
            let more = self.in_piece(erasing.id, rows, move |transaction, figures, room| {
                transaction.take_some_refs(&scope, figures, room)
            })?;
            if more != Some(true) {
                return Ok(());
            }
        }
    }

    /// A small transaction of an erase that has begun; `work` adds to the figures what went. None: somebody else has ended
    /// it, and the name may be in use again. Not synced: End is.
    fn in_piece<T: Send + 'static>(
        &self,
        id: Ulid,
        rows: usize,
        work: impl FnOnce(&mut Transaction<'_>, &mut ErasedFigures, Room) -> Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        self.in_freeing_transaction(Durability::Relaxed, move |transaction| {
            if !transaction.session().has_erasing(id)? {
                return Ok(None);
            }
            let note = transaction.session().erasure(id)?;
            let mut figures = note.map_or_else(ErasedFigures::default, |note| note.figures);
            let done = work(transaction, &mut figures, Room::new(rows))?;
            if let Some(note) = note.filter(|note| note.figures != figures) {
                transaction
                    .writing(|session| session.write_erasure(&Erasure { figures, ..note }))?;
            }
            Ok(Some(done))
        })
    }

    /// Does something small to each, as many in one transaction as it has room for.
    pub(super) fn in_pieces<T: Send + 'static>(
        &self,
        erasing: &Erasing,
        rows: usize,
        mut left: Vec<T>,
        each: Each<T>,
    ) -> Result<()> {
        left.reverse();
        while !left.is_empty() {
            let scope = erasing.scope.clone();
            let mut rest = std::mem::take(&mut left);
            let piece =
                self.in_piece(erasing.id, rows, move |transaction, figures, mut room| {
                    transaction.writing(|session| {
                        while room.next() > 0
                            && let Some(one) = rest.pop()
                        {
                            room.take(each(session, &scope, &one, figures)?);
                        }
                        Ok(())
                    })?;
                    Ok(rest)
                })?;
            left = piece.unwrap_or_default();
        }
        Ok(())
    }
}

impl Transaction<'_> {
    /// Begin. O(1). Errors: `BeingErased`; `Corrupt` for a first ref of the scope that is broken: nothing is written then.
    pub(super) fn begin_erasing(&mut self, scope: &str, note: Erasure, now_ms: i64) -> Result<()> {
        self.expect_not_erasing(scope)?;
        let generation = self.session().gc_generation()?.saturating_add(1);
        let target = self.session().first_target_of(scope)?;
        let mut note = note;
        self.append_erasure(&mut note, now_ms)?;
        let mut added = 0;
        self.writing(|session| {
            if let Some(target) = target {
                let hidden = session.hide(scope, &target, note.position)?;
                added = hidden.added;
                // In its place stands the mark now, which is none.
                note.figures.refs = u64::from(hidden.was_marked);
            }
            // The forks of the scope have no name of it from here on.
            let name = name_key(&note.scope);
            note.figures.receipts = session.delete_receipt_row(&name, scope)?;
            session.write_erasure(&note)?;
            session.write_erasing(note.id, scope)?;
            // What a repair or a seal has read before this is not what it writes any more.
            session.write_gc_generation(generation)
        })?;
        self.add_to_refs(added);
        self.read_erasing()
    }

    /// Whether there are more.
    fn take_some_refs(
        &mut self,
        scope: &str,
        figures: &mut ErasedFigures,
        mut room: Room,
    ) -> Result<bool> {
        let mut gone = 0u64;
        let mut more = true;
        self.writing(|session| {
            loop {
                let limit = room.next();
                if limit == 0 {
                    return Ok(());
                }
                let (refs, sum) = session.delete_some_refs(scope, limit)?;
                gone = gone.wrapping_add(sum);
                figures.refs += refs as u64;
                room.take(refs);
                if refs > 0 {
                    continue;
                }
                let leases = session.delete_some_leases(scope, limit)?;
                figures.leases += leases as u64;
                room.take(leases);
                if leases == 0 {
                    gone = gone.wrapping_add(session.unhide(scope)?);
                    more = false;
                    return Ok(());
                }
            }
        })?;
        self.add_to_refs(gone.wrapping_neg());
        Ok(more)
    }

    /// Another file takes the place of one. False: that one is not named any more, or the erase has ended.
    pub(super) fn replace_stripped(
        &mut self,
        id: Ulid,
        before: &SealedFile,
        after: &SealedFile,
        commits: u64,
    ) -> Result<bool> {
        let session = self.session();
        if !session.has_erasing(id)?
            || session.sealed_file_with(before.first)?.as_ref() != Some(before)
        {
            return Ok(false);
        }
        let generation = session.gc_generation()?.saturating_add(1);
        let note = session.erasure(id)?;
        self.writing(|session| {
            session.write_sealed_file(after)?;
            if let Some(mut note) = note {
                note.figures.commits += commits;
                session.write_erasure(&note)?;
            }
            // Who read that row wants a file that is gone soon.
            session.write_gc_generation(generation)
        })?;
        Ok(true)
    }

    pub(super) fn end_erasing(&mut self, id: Ulid) -> Result<()> {
        let generation = self.session().gc_generation()?.saturating_add(1);
        self.writing(|session| {
            session.delete_erasing(id)?;
            // Nor is what they have read since: it may be from before a row was stripped.
            session.write_gc_generation(generation)
        })?;
        self.read_erasing()
    }
}

impl Session<'_> {
    /// What a commit in the table said goes, if it is the scope's: how many, 0 or 1, and how many rows' room it took.
    pub(super) fn strip_body(self, position: u64, scope: &str) -> Result<(u64, usize)> {
        match self.unsealed_rows(position.saturating_sub(1), 1)?.pop() {
            Some(row) if row.position == position && is_of(&row, scope)? => {
                let room = row.body.len().div_ceil(ROW_BYTES).max(1);
                Ok((self.write_body(&row.erased())?, room))
            }
            _ => Ok((0, 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use treering_block::Block;

    use super::*;
    use crate::commit::{Change, Commit, Expect, RefMove};
    use crate::embedded::OpenOptions;
    use crate::name::RefName;
    use crate::store::Store;

    fn filled(path: &std::path::Path, refs: usize, leases: usize) -> EmbeddedStore {
        let options = OpenOptions {
            lock_wait: Duration::from_millis(1),
            ..OpenOptions::default()
        };
        let store = EmbeddedStore::open(path, &options).unwrap();
        let block = Block::raw(b"x".to_vec());
        let name = |number: usize| RefName::new("alice", "pin", [number.to_string()]).unwrap();
        let moves = (0..refs).map(|number| RefMove {
            name: name(number),
            expect: Expect::Any,
            change: Change::Set {
                target: block.cid,
                record: vec![],
            },
        });
        let commit = Commit {
            scope: "alice".into(),
            moves: moves.collect(),
            blocks: vec![block],
            ..Commit::default()
        };
        store.submit(commit).wait().unwrap();
        for number in 0..leases {
            store.lease_acquire(&name(number), "me").unwrap();
        }
        store
    }

    /// Begins an erase, and takes what so many pieces take for which time does not matter. What each took, and whether it
    /// said that there is more.
    fn pieces(refs: usize, leases: usize) -> Vec<(u64, u64, bool)> {
        let home = tempfile::tempdir().unwrap();
        let store = filled(home.path(), refs, leases);
        let id = Ulid::generate();
        let note = Erasure {
            id,
            position: 0,
            at_ms: 0,
            scope: [1; 32],
            command: [0; 32],
            figures: ErasedFigures::default(),
        };
        store
            .in_transaction(Durability::Durable, move |transaction| {
                transaction.begin_erasing("alice", note, 1)
            })
            .unwrap();
        let mut pieces = Vec::new();
        loop {
            let piece = store.in_piece(id, ERASE_ROWS_MAX, |transaction, figures, mut room| {
                room.started = Instant::now() + Duration::from_secs(3_600);
                let before = *figures;
                let more = transaction.take_some_refs("alice", figures, room)?;
                let (refs, leases) = (figures.refs - before.refs, figures.leases - before.leases);
                Ok((refs, leases, more))
            });
            let piece = piece.unwrap().unwrap();
            assert!(store.scopes().unwrap().is_empty());
            assert_eq!(store.verify(None).unwrap().findings, []);
            pieces.push(piece);
            if !piece.2 {
                break;
            }
        }
        let note = store.erasures().unwrap().notes[0];
        assert_eq!(
            (note.figures.refs, note.figures.leases),
            (refs as u64, leases as u64)
        );
        assert_eq!(
            store.reading(|session| session.refs_sum()).unwrap(),
            0,
            "the mark is gone"
        );
        store
            .in_transaction(Durability::Durable, move |transaction| {
                transaction.end_erasing(id)
            })
            .unwrap();
        // Whoever comes late takes nothing of the name's next life.
        let late = store.in_piece(id, 9, |_, _, _| Ok(()));
        assert_eq!(late.unwrap(), None);
        pieces
    }

    #[test]
    fn a_piece_takes_so_many_rows_and_no_more() {
        let max = ERASE_ROWS_MAX as u64;
        assert_eq!(pieces(255, 0), [(255, 0, false)]);
        assert_eq!(pieces(256, 0), [(max, 0, true), (0, 0, false)]);
        assert_eq!(pieces(257, 0), [(max, 0, true), (1, 0, false)]);
        assert_eq!(pieces(250, 7), [(250, 6, true), (0, 1, false)]);
        assert_eq!(pieces(0, 3), [(0, 3, false)]);
    }

    /// As a version wrote it that took all refs away in Begin, and what that reads of what this one writes.
    #[test]
    fn an_earlier_versions_word_is_read_and_it_reads_none_of_this_ones() {
        let home = tempfile::tempdir().unwrap();
        let store = filled(home.path(), 1, 0);
        let id = Ulid::generate();
        let told = store.in_transaction(Durability::Durable, move |transaction| {
            let key = format!("erasing/{id}");
            let mut told = Vec::new();
            transaction.writing(|session| {
                session.write_manifest(&key, b"bob")?;
                told.extend(session.erasing()?);
                session.write_erasing(id, "bob")?;
                told.extend(session.erasing()?);
                assert!(String::from_utf8(session.read_manifest(&key)?).is_err());
                session.delete_erasing(id)
            })?;
            Ok(told)
        });
        let bob = Erasing {
            id,
            scope: "bob".into(),
        };
        assert_eq!(told.unwrap(), [bob.clone(), bob]);
    }

    #[test]
    fn a_piece_ends_when_its_time_is_up() {
        let mut room = Room::new(9);
        assert_eq!(room.next(), 9);
        room.take(4);
        assert_eq!(room.next(), 5);
        room.started = Instant::now() - PIECE_TIME_MAX;
        assert_eq!(room.next(), 0);
        // However slow it is, it takes something.
        let mut slow = Room::new(9);
        slow.started = Instant::now() - PIECE_TIME_MAX;
        assert_eq!(slow.next(), 9);
        // At least one row, or it would never end.
        assert_eq!(Room::new(0).next(), 1);
        assert_eq!(Room::new(usize::MAX).rows, ERASE_ROWS_MAX);
    }
}
