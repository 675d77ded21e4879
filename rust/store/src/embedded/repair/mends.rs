//! A repair before it is made: what is broken, what it becomes, and what it was when that was proved.
//!
//! Proving reads a snapshot, outside the write lock; making it happens under the lock, and first looks
//! whether everything that is about to change is still what the proof saw.
//! Promises: all steps of a mend or none.

use std::collections::HashSet;

use super::history::{self, RawCommit};
use super::raw::{RawRow, delete_row, row_at, write_row};
use super::totals;
use crate::cursor::Head;
use crate::embedded::row_check::Table;
use crate::embedded::session::Session;
use crate::embedded::transaction::Transaction;
use crate::error::Result;
use crate::findings::Check;
use crate::gc::Bitmap;
use crate::journal::JournalRow;
use crate::repair::Repair;

/// One change.
pub(super) enum Step {
    /// A row becomes another one, or comes back.
    Row {
        before: Option<RawRow>,
        after: RawRow,
    },
    /// A row that says nothing any more goes.
    Delete(RawRow),
    /// A block's bytes.
    Payload {
        ordinal: u64,
        before: Vec<u8>,
        after: Vec<u8>,
    },
    /// A commit of the journal.
    Commit {
        before: RawCommit,
        after: JournalRow,
    },
    /// A ref's row that the journal contradicts: kept in quarantine before it is written over.
    SetAside(RawRow),
    /// These ordinals are absent from now on: another row has the same block.
    Bury(u64),
    /// The indexes of the database.
    Reindex,
    /// What the store numbers.
    Totals,
    /// The journal ends there, and commits up to `newest` are gone.
    MarkLost { end: Head, newest: u64 },
}

impl Step {
    fn touches_refs(&self) -> bool {
        match self {
            Self::Row { after: row, .. } | Self::Delete(row) => row.table == Table::Ref,
            _ => false,
        }
    }
}

/// What is to be mended, and what proved it.
pub(super) struct Mend {
    pub(super) check: Check,
    pub(super) which: String,
    pub(super) detail: String,
    pub(super) steps: Vec<Step>,
}

impl Mend {
    pub(super) fn row(
        check: Check,
        before: Option<RawRow>,
        after: RawRow,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            check,
            which: after.which(),
            detail: detail.into(),
            steps: vec![Step::Row { before, after }],
        }
    }

    pub(super) fn delete(check: Check, row: RawRow, detail: impl Into<String>) -> Self {
        Self {
            check,
            which: row.which(),
            detail: detail.into(),
            steps: vec![Step::Delete(row)],
        }
    }

    /// Whether everything is still what the proof saw. `moved`: refs that were moved since.
    fn still_holds(&self, session: Session<'_>, moved: &HashSet<String>) -> Result<bool> {
        for step in &self.steps {
            let holds = match step {
                Step::Row { before, after } => {
                    let key = before.as_ref().map_or(after.key(), RawRow::key);
                    row_at(session, after.table, key)? == *before
                        && !after
                            .cell(0)
                            .bytes()
                            .and_then(|name| std::str::from_utf8(name).ok())
                            .is_some_and(|name| moved.contains(name))
                }
                Step::Delete(row) | Step::SetAside(row) => {
                    row_at(session, row.table, row.key())?.as_ref() == Some(row)
                }
                Step::Payload {
                    ordinal, before, ..
                } => session.payload(*ordinal)?.as_ref() == Some(before),
                Step::Commit { before, .. } => {
                    history::commit_at(session, before.position)?.as_ref() == Some(before)
                }
                Step::Bury(ordinal) => session.cid_of(*ordinal)?.is_some(),
                Step::MarkLost { end, .. } => session.tip_row()?.head == *end,
                Step::Reindex | Step::Totals => true,
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes the mend. None: something changed since it was proved; it is looked at anew next time.
    pub(super) fn make(
        self,
        transaction: &mut Transaction<'_>,
        moved: &HashSet<String>,
        now_ms: i64,
    ) -> Result<Option<Repair>> {
        if !self.still_holds(transaction.session(), moved)? {
            return Ok(None);
        }
        for step in self.steps {
            if step.touches_refs() {
                transaction.recount_refs();
            }
            match step {
                Step::Row { before, after } => {
                    transaction.writing(|session| write_row(session, before.as_ref(), &after))?
                }
                Step::Delete(row) => transaction.writing(|session| delete_row(session, &row))?,
                Step::Payload { ordinal, after, .. } => {
                    transaction.writing(|session| session.replace_payload(ordinal, &after))?
                }
                Step::Commit { after, .. } => {
                    transaction.writing(|session| history::write_commit(session, &after))?;
                    transaction.read_tip();
                }
                Step::SetAside(row) => {
                    super::quarantine::set_aside(transaction, &row, now_ms)?;
                }
                Step::Bury(ordinal) => {
                    let mut one = Bitmap::default();
                    one.insert(ordinal);
                    let generation = transaction.session().gc_generation()?.saturating_add(1);
                    transaction.writing(|session| {
                        session.insert_dead(&one)?;
                        session.write_gc_generation(generation)
                    })?;
                }
                Step::Reindex => {
                    transaction.writing(|session| session.run("REINDEX", "mend"))?;
                }
                Step::Totals => {
                    let counted = totals::count(transaction.session())?;
                    transaction.set_totals(counted);
                }
                Step::MarkLost { newest, .. } => transaction.mark_lost(newest, now_ms)?,
            }
        }
        Ok(Some(Repair {
            check: self.check,
            which: self.which,
            detail: self.detail,
        }))
    }
}
