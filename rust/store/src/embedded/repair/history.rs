//! What the journal proves: where each ref stands and which receipts were left, and how a broken row of
//! its own is made whole by the chain.
//!
//! Promises: nothing behind a commit that can not be read is taken for the last word on a ref.
//! Must never: believe a body that its digest and the chain do not prove.

use std::collections::BTreeMap;

use treering_block::Cid;

use super::mends::{Mend, Step};
use super::one_byte::mend_bytes;
use super::raw::{Cell, each_row};
use crate::cursor::Head;
use crate::embedded::block_rows::to_sql;
use crate::embedded::row_check::Table;
use crate::embedded::session::Session;
use crate::error::{Result, StoreError};
use crate::findings::Check;
use crate::journal::{JournalCommand, JournalRow, blank_body, chain, digest_of_body};

/// What the journal says of a ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::embedded) struct Said {
    pub(in crate::embedded) version: u64,
    pub(in crate::embedded) target: Cid,
    pub(in crate::embedded) record: Vec<u8>,
    /// The commit that said so.
    pub(in crate::embedded) position: u64,
}

/// The journal, read.
#[derive(Default)]
pub(super) struct History {
    /// By encoded name.
    pub(super) refs: BTreeMap<String, Said>,
    /// The newest commit that can not be read; 0 for none.
    last_gap: u64,
    /// The journal starts with the first commit.
    from_start: bool,
    /// The newest commit that was read.
    position: u64,
    /// The newest that is known of: it, or one that the totals, a sealed file or a ref tell of.
    pub(super) known_position: u64,
}

impl History {
    /// Whether nothing that can not be read came after.
    pub(super) fn is_last_word(&self, said: &Said) -> bool {
        said.position > self.last_gap
    }

    /// Whether a ref that the journal does not have can not be.
    pub(super) fn is_whole(&self) -> bool {
        self.from_start && self.last_gap == 0
    }
}

/// A row of the journal as it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RawCommit {
    pub(super) position: u64,
    pub(super) at_ms: i64,
    pub(super) digest: Cell,
    pub(super) chain: Cell,
    pub(super) body: Cell,
}

/// So many lost commits get marks: a number alone does not fill a disk.
const LOST_COMMITS_MAX: u64 = 1 << 18;

const COLUMNS: &str = "position, at_ms, digest, chain, body";

fn read_raw(session: Session<'_>, row: &rusqlite::Row<'_>) -> Result<RawCommit> {
    let unread = |error| session.unread(error);
    let blob = |column| {
        row.get::<_, Option<Vec<u8>>>(column)
            .map(|bytes| bytes.map_or(Cell::Null, Cell::Blob))
            .map_err(unread)
    };
    Ok(RawCommit {
        position: row.get::<_, i64>(0).map_err(unread)?.cast_unsigned(),
        at_ms: row.get(1).map_err(unread)?,
        digest: blob(2)?,
        chain: blob(3)?,
        body: blob(4)?,
    })
}

/// The commit at that position, as it stands.
pub(super) fn commit_at(session: Session<'_>, position: u64) -> Result<Option<RawCommit>> {
    let sql = format!("SELECT {COLUMNS} FROM journal WHERE position = ?1");
    let mut statement = session.prepared(&sql)?;
    let mut rows = statement
        .query([to_sql(position)])
        .map_err(|error| session.unread(error))?;
    let row = rows.next().map_err(|error| session.unread(error))?;
    row.map(|row| read_raw(session, row)).transpose()
}

/// A commit that is kept, in the database or in a sealed file; None where there is none, or its file can't be read.
pub(super) fn kept_commit_at(session: Session<'_>, position: u64) -> Result<Option<RawCommit>> {
    if let Some(raw) = commit_at(session, position)? {
        return Ok(Some(raw));
    }
    let Ok(Some(file)) = session.sealed_file_with(position) else {
        return Ok(None);
    };
    let rows = session.sealed_commits(&file).unwrap_or_default();
    let row = rows.into_iter().find(|row| row.position == position);
    Ok(row.map(raw_of))
}

fn raw_of(row: JournalRow) -> RawCommit {
    RawCommit {
        position: row.position,
        at_ms: row.at_ms,
        digest: Cell::Blob(row.body_digest.to_vec()),
        chain: Cell::Blob(row.chain.to_vec()),
        body: Cell::Blob(row.body),
    }
}

/// Visits all commits that are kept, oldest first, as they stand. Those of a sealed file that can't be read
/// are missing: a file is whole or not to be mended.
pub(super) fn each_commit(
    session: Session<'_>,
    visit: &mut dyn FnMut(RawCommit) -> Result<()>,
) -> Result<()> {
    for file in session.sealed_files()? {
        let Ok(rows) = file.and_then(|file| session.sealed_commits(&file)) else {
            continue;
        };
        for row in rows {
            visit(raw_of(row))?;
        }
    }
    let sql = format!("SELECT {COLUMNS} FROM journal ORDER BY position");
    let mut statement = session.prepared(&sql)?;
    let mut rows = statement.query([]).map_err(|error| session.unread(error))?;
    while let Some(row) = rows.next().map_err(|error| session.unread(error))? {
        visit(read_raw(session, row)?)?;
    }
    Ok(())
}

/// Writes a commit's row in the place of the broken one.
pub(super) fn write_commit(session: Session<'_>, row: &JournalRow) -> Result<()> {
    session
        .prepared(
            "UPDATE journal SET at_ms = ?2, digest = ?3, chain = ?4, body = ?5 WHERE position = ?1",
        )?
        .execute(rusqlite::params![
            to_sql(row.position),
            row.at_ms,
            row.body_digest,
            row.chain,
            row.body
        ])
        .map(drop)
        .map_err(|error| session.unwritten(error))
}

/// Reads the whole journal. `command` is shown each receipt that a commit left, with the commit's scope.
pub(super) fn read_history(
    session: Session<'_>,
    mends: &mut Vec<Mend>,
    command: &mut dyn FnMut(u64, &str, JournalCommand) -> Result<()>,
) -> Result<History> {
    let mut history = History::default();
    let mut reading = Reading {
        history: &mut history,
        previous: None,
        mends,
        erasing: session
            .erasing()?
            .into_iter()
            .map(|erasing| erasing.scope)
            .collect(),
    };
    // Each row is judged with the one after it at hand: that one's chain proves this one's.
    let mut waiting: Option<RawCommit> = None;
    each_commit(session, &mut |next| {
        if let Some(row) = waiting.replace(next.clone()) {
            reading.take(row, Some(&next), command)?;
        }
        Ok(())
    })?;
    if let Some(row) = waiting {
        reading.take(row, None, command)?;
    }
    history.known_position = history.position.max(newest_commit_told(session)?);
    // Commits that are gone at the end have none behind them that would tell.
    if history.known_position > history.position {
        history.last_gap = history.known_position;
    }
    Ok(history)
}

/// The newest commit that others speak of: the totals, refs by who moved them, and what left the table by the commit
/// behind it, since the newest never leaves.
pub(in crate::embedded) fn newest_commit_told(session: Session<'_>) -> Result<u64> {
    let sealed = session.sealed_files()?.into_iter().flatten();
    let left = sealed.map(|file| file.last).max().unwrap_or(0);
    // One that can't be read is told of by itself.
    let start = unless_corrupt(session.journal_start())?;
    let left = left.max(start.map_or(0, |start| start.head.position));
    let noted = unless_corrupt(session.totals())?.and_then(|totals| totals.head);
    let mut newest = noted.map_or(0, |head| head.position);
    if left > 0 {
        newest = newest.max(left.saturating_add(1));
    }
    each_row(session, Table::Ref, &mut |row| {
        if row.is_sound() {
            let position = row
                .cell(3)
                .int()
                .and_then(|position| u64::try_from(position).ok());
            newest = newest.max(position.unwrap_or(0));
        }
        Ok(())
    })?;
    Ok(newest)
}

/// None for a row that is broken.
fn unless_corrupt<T>(row: Result<T>) -> Result<Option<T>> {
    match row {
        Err(StoreError::Corrupt { .. }) => Ok(None),
        row => row.map(Some),
    }
}

/// Marks for the commits that the journal lost at its end. What is left of it has to be proved, and its last commit is
/// what they follow.
pub(super) fn mend_end(session: Session<'_>, mends: &mut Vec<Mend>) -> Result<()> {
    let Ok(tip) = session.tip_row() else {
        return Ok(());
    };
    let (end, newest) = (tip.head, newest_commit_told(session)?);
    let lost = newest.saturating_sub(end.position);
    if lost == 0 || lost > LOST_COMMITS_MAX {
        return Ok(());
    }
    let first = end.position.saturating_add(1);
    mends.push(Mend {
        check: Check::Journal,
        which: if first == newest {
            format!("commit {newest}")
        } else {
            format!("commits {first} to {newest}")
        },
        detail: "lost for good, and marked so: commits go on behind".into(),
        steps: vec![Step::MarkLost { end, newest }],
    });
    Ok(())
}

struct Reading<'a> {
    history: &'a mut History,
    /// The head before the row that comes, if it is proved; None before the first row.
    previous: Option<Option<Head>>,
    mends: &'a mut Vec<Mend>,
    /// Scopes that are being erased: nothing of them comes back.
    erasing: Vec<String>,
}

impl Reading<'_> {
    fn take(
        &mut self,
        raw: RawCommit,
        next: Option<&RawCommit>,
        command: &mut dyn FnMut(u64, &str, JournalCommand) -> Result<()>,
    ) -> Result<()> {
        let previous = match self.previous {
            Some(previous) => previous,
            None => {
                self.history.from_start = raw.position == 1;
                self.history.from_start.then(Head::default)
            }
        };
        // A gap in the numbers is commits that are gone.
        let previous = previous.filter(|head| head.position.checked_add(1) == Some(raw.position));
        if previous.is_none() && self.previous.is_some() {
            self.history.last_gap = raw.position.saturating_sub(1);
        }
        self.history.position = raw.position;
        let row = match proved(&raw, previous, next) {
            Some((row, None)) => row,
            Some((row, Some(how))) => {
                self.mends.push(Mend {
                    check: Check::Journal,
                    which: format!("commit {}", raw.position),
                    detail: how.to_owned(),
                    steps: vec![Step::Commit {
                        before: raw.clone(),
                        after: row.clone(),
                    }],
                });
                row
            }
            None => {
                self.history.last_gap = raw.position;
                // The stored chain still is what the next one rests on.
                self.previous = Some(digest_of(&raw.chain).map(|chain| Head {
                    position: raw.position,
                    chain,
                }));
                return Ok(());
            }
        };
        self.previous = Some(Some(row.head()));
        let Ok(entry) = row.entry() else {
            self.history.last_gap = row.position;
            return Ok(());
        };
        if entry.blank && !entry.erased {
            self.history.last_gap = row.position;
        }
        // What an erase that is not finished has not come to yet.
        if self.erasing.contains(&entry.scope) {
            return Ok(());
        }
        for moved in entry.moves {
            match (moved.target, moved.record) {
                (Some(target), Some(record)) => {
                    let said = Said {
                        version: moved.version,
                        target,
                        record,
                        position: row.position,
                    };
                    self.history
                        .refs
                        .insert(moved.name.encoded().to_owned(), said);
                }
                _ => {
                    self.history.refs.remove(moved.name.encoded());
                }
            }
        }
        let left = entry.command.into_iter().chain(entry.receipts);
        for left in left {
            command(row.position, &entry.scope, left)?;
        }
        Ok(())
    }
}

/// The row that gives a commit's body up: what is lost is its body alone. Errors: `Invalid` when it is not lost, or
/// more is.
pub(super) fn given_up(session: Session<'_>, position: u64) -> Result<JournalRow> {
    let refused = |rule: &str| StoreError::Invalid {
        what: "commit to give up",
        value: position.to_string(),
        rule: rule.to_owned(),
    };
    let Some(raw) = commit_at(session, position)? else {
        return Err(match session.sealed_chain_at(position)? {
            Some(_) if position > 0 => {
                refused("it is in a sealed file, which is whole or expired as a whole")
            }
            _ => refused("there is no such commit"),
        });
    };
    let previous = session
        .chain_at(position.saturating_sub(1))?
        .map(|chain| Head {
            position: position.saturating_sub(1),
            chain,
        });
    let next = commit_at(session, position.saturating_add(1))?;
    match proved(&raw, previous, next.as_ref()) {
        Some((_, None)) => return Err(refused("it can be read")),
        Some(_) => return Err(refused("`treering verify --repair` brings it back")),
        None => {}
    }
    let (Some(previous), Some(body_digest), Some(stored)) =
        (previous, digest_of(&raw.digest), digest_of(&raw.chain))
    else {
        return Err(refused("its digest and chain are lost, too"));
    };
    if chain(&previous.chain, position, raw.at_ms, &body_digest) != stored {
        return Err(refused("its digest and chain prove nothing"));
    }
    Ok(JournalRow {
        position,
        at_ms: raw.at_ms,
        body: blank_body(position, &body_digest),
        body_digest,
        chain: stored,
    })
}

fn digest_of(cell: &Cell) -> Option<[u8; 32]> {
    cell.bytes()?.try_into().ok()
}

/// The row, if digest and chain prove it, and what had to be changed for that.
fn proved(
    raw: &RawCommit,
    previous: Option<Head>,
    next: Option<&RawCommit>,
) -> Option<(JournalRow, Option<&'static str>)> {
    let body = raw.body.bytes()?;
    let row = |at_ms: i64, body: &[u8], body_digest, chain| JournalRow {
        position: raw.position,
        at_ms,
        body: body.to_vec(),
        body_digest,
        chain,
    };
    let (digest, stored) = (digest_of(&raw.digest), digest_of(&raw.chain));
    let hashed = digest_of_body(raw.position, body);
    let Some(previous) = previous else {
        // Nothing to chain from: only the body can be proved, by its digest.
        return (digest == Some(hashed))
            .then(|| stored.map(|chain| (row(raw.at_ms, body, hashed, chain), None)))
            .flatten();
    };
    let chained =
        |at_ms: i64, digest: &[u8; 32]| chain(&previous.chain, raw.position, at_ms, digest);
    if let Some(stored) = stored {
        if let Some(digest) = digest
            && chained(raw.at_ms, &digest) == stored
        {
            if digest == hashed {
                return Some((row(raw.at_ms, body, digest, stored), None));
            }
            let mended = mend_bytes(body, |trial| digest_of_body(raw.position, trial) == digest)?;
            return Some((
                row(raw.at_ms, &mended, digest, stored),
                Some("a byte of its body was changed back; its digest proves it"),
            ));
        }
        if chained(raw.at_ms, &hashed) == stored {
            return Some((
                row(raw.at_ms, body, hashed, stored),
                Some("its digest was written anew; body and chain prove it"),
            ));
        }
        let at_ms = mend_bytes(&raw.at_ms.to_le_bytes(), |trial| {
            <[u8; 8]>::try_from(trial)
                .is_ok_and(|trial| chained(i64::from_le_bytes(trial), &hashed) == stored)
        });
        if let Some(Ok(at_ms)) = at_ms.map(<[u8; 8]>::try_from) {
            return Some((
                row(i64::from_le_bytes(at_ms), body, hashed, stored),
                Some("its time was written anew; the chain proves it"),
            ));
        }
    }
    // The chain itself: the commit after it proves it, or that it differs in one byte only.
    let computed = chained(raw.at_ms, &hashed);
    let follows = next.is_some_and(|next| {
        digest_of(&next.digest).is_some_and(|digest| {
            digest_of(&next.chain) == Some(chain(&computed, next.position, next.at_ms, &digest))
        })
    });
    let near = stored
        .is_some_and(|stored| stored.iter().zip(&computed).filter(|(a, b)| a != b).count() <= 1);
    (digest == Some(hashed) && (follows || near)).then(|| {
        (
            row(raw.at_ms, body, hashed, computed),
            Some("its chain was computed anew; the commits before and after it prove it"),
        )
    })
}
