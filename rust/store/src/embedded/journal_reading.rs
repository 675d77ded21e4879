//! Reading the journal while others seal, expire and erase it.

use super::EmbeddedStore;
use super::session::Session;
use crate::cursor::{Cursor, Head};
use crate::error::{Result, StoreError};
use crate::journal::{JournalEntry, JournalRow};

impl EmbeddedStore {
    /// See [`crate::Store::journal`].
    pub(super) fn read_journal(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<JournalEntry>> {
        self.unless_files_went_meanwhile(|session| {
            let read = entries(session, after, limit);
            match read {
                Err(StoreError::Corrupt { .. } | StoreError::CursorLost(_)) => Ok((read, false)),
                read => Ok((read, true)),
            }
        })?
        .map_err(|error| self.core.shared.connections.explain(error))
    }

    /// See [`crate::Store::cursor_at`].
    pub(super) fn read_cursor_at(&self, position: u64) -> Result<Option<Cursor>> {
        self.unless_files_went_meanwhile(|session| {
            let read = cursor_at(session, position);
            let sound = !matches!(read, Err(StoreError::Corrupt { .. }));
            Ok((read, sound))
        })?
        .map_err(|error| self.core.shared.connections.explain(error))
    }

    /// Reads until no file of the journal went meanwhile, or what was read is sound all the same: the second answer
    /// of `work`. A file that goes while it is wanted looks like damage, and is none: its commits are expired, or an
    /// erase wrote it anew under another name.
    pub(super) fn unless_files_went_meanwhile<T>(
        &self,
        work: impl Fn(Session<'_>) -> Result<(T, bool)>,
    ) -> Result<T> {
        // An erase counts the generation up with each file; so does a collection, which costs a look in vain.
        let mark = || {
            let mark =
                self.reading(|session| Ok((session.journal_start()?, session.gc_generation()?)));
            mark.ok()
        };
        loop {
            let before = mark();
            let (answer, sound) = self.reading(&work)?;
            if sound || mark() == before {
                return Ok(answer);
            }
        }
    }
}

fn cursor_at(session: Session<'_>, position: u64) -> Result<Option<Cursor>> {
    if position < session.journal_start()?.head.position {
        return Ok(None);
    }
    let chain = session.chain_at(position)?;
    Ok(chain.map(|chain| Head { position, chain }.cursor()))
}

fn entries(
    session: Session<'_>,
    after: Option<&Cursor>,
    limit: usize,
) -> Result<Vec<JournalEntry>> {
    let start = session.journal_start()?.head;
    let mut previous = match after {
        None => start,
        Some(after) if after.position < start.position => {
            return Err(StoreError::CursorExpired(after.to_string()));
        }
        Some(after) => {
            let lost = || StoreError::CursorLost(after.to_string());
            let position = after.position;
            let chain = session.chain_at(position)?.ok_or_else(lost)?;
            let there = Head { position, chain };
            if there.cursor() != *after {
                return Err(lost());
            }
            there
        }
    };
    // What an erase has begun on is gone for every reader, stripped or not.
    let erasing = session.erasing()?;
    let mut entries = Vec::new();
    for row in readable_rows(session, previous.position, limit)? {
        let read = match row.faults(&previous).into_iter().next() {
            None => row.entry().and_then(|entry| {
                let gone = erasing.iter().any(|erasing| erasing.scope == entry.scope);
                if gone {
                    row.clone().erased().entry()
                } else {
                    Ok(entry)
                }
            }),
            Some(fault) => Err(StoreError::Corrupt {
                what: "journal row",
                which: row.position.to_string(),
                detail: fault,
            }),
        };
        match read {
            Ok(entry) => entries.push(entry),
            // What is before it is given; who goes on from there gets the error.
            Err(_) if !entries.is_empty() => break,
            Err(error) => return Err(error),
        }
        previous = row.head();
    }
    Ok(entries)
}

/// Commits after `after`, up to one that can't even be read. Errors: of that one, if it is the first.
fn readable_rows(session: Session<'_>, after: u64, limit: usize) -> Result<Vec<JournalRow>> {
    let page = session.journal_rows(after, limit);
    if !matches!(page, Err(StoreError::Corrupt { .. })) {
        return page;
    }
    let mut rows: Vec<JournalRow> = Vec::new();
    // So many at a time, and half as many after each failure.
    let mut step = limit.min(4096);
    while rows.len() < limit {
        let after = rows.last().map_or(after, |row| row.position);
        match session.journal_rows(after, step.min(limit.saturating_sub(rows.len()))) {
            Ok(next) if next.is_empty() => break,
            Ok(next) => rows.extend(next),
            Err(_) if step > 1 => step /= 2,
            Err(_) if !rows.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(rows)
}
