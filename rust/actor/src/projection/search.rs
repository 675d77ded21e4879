//! Which sources of a projection are behind: by what the journal says has moved, or by comparing all of them.
//!
//! Promises: a search ends; it finds every source that had more, when the search began, than the projection has seen.
//! The journal only makes it quicker: a cursor that is lost, expired or of another history, a commit that was given up,
//! and a scope that was hidden while a fork made it, mean comparing.

use std::collections::HashSet;

use treering_store::scope::FORKING;
use treering_store::{Cursor, JournalEntry, RefName, StoreError};

use super::{Projected, Projection};
use crate::error::{ActorError, Result};
use crate::read::steadily;

/// Commits of the journal that are looked at together.
const COMMITS: usize = 1_024;
/// Actors that are behind in one part of a search that compares, about so many.
const ACTORS: usize = 256;
/// Actors that are looked at for it.
const LOOKED: usize = 4_096;

/// A source that has more than the projection has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Its log.
    pub log: RefName,
    /// What it is called in the checkpoint.
    pub source: String,
    /// The newest version that was seen, 0 for none.
    pub seen: u64,
    /// Its version.
    pub version: u64,
}

/// Some of what a search finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Sources with more to see.
    pub behind: Vec<Behind>,
    /// Up to where the journal is done with, once these sources are.
    pub cursor: Option<Cursor>,
    /// Commits that were looked at.
    pub commits: u64,
    /// The journal was of no use: sources were compared.
    pub compared: bool,
}

/// How far a search has come.
#[derive(Debug)]
pub struct Search {
    place: Place,
    /// Position of the newest commit when it began, and the cursor behind that.
    until: (u64, Cursor),
    /// What is wrong with the first source that can't be read: told at the end, when the others are done.
    broken: Option<ActorError>,
}

#[derive(Debug)]
enum Place {
    Journal(Cursor),
    /// The n-th pair of scope and kind, behind that actor.
    Compare(usize, Option<RefName>),
    Done,
}

impl Projection {
    /// A search for what is behind. `from`: the journal is done with up to there; None for not at all.
    ///
    /// # Errors
    /// The store's.
    pub fn search(&self, from: Option<Cursor>) -> Result<Search> {
        let head = self.reader.store().head()?;
        Ok(Search {
            place: from.map_or(Place::Compare(0, None), Place::Journal),
            until: (head.position, head.cursor()),
            broken: None,
        })
    }

    /// The next part; None at the end. `now`: the projection with all that was found before.
    ///
    /// # Errors
    /// At the end `Diverged` for a source that is older than what was seen of it, or `Corrupt`, naming a source; the
    /// store's.
    pub fn next(&self, search: &mut Search, now: &Projected) -> Result<Option<Page>> {
        match self.part(search, now)? {
            Some(page) if search.broken.is_some() => Ok(Some(Page {
                cursor: None,
                ..page
            })),
            None => search.broken.take().map_or(Ok(None), Err),
            page => Ok(page),
        }
    }

    fn part(&self, search: &mut Search, now: &Projected) -> Result<Option<Page>> {
        if let Place::Journal(cursor) = search.place {
            let (until, _) = search.until;
            if cursor.position < until {
                if let Some(entries) = self.commits(&cursor, until)?
                    && !self.appeared(&entries)
                {
                    return self.moved(search, &entries, now).map(Some);
                }
                search.place = Place::Compare(0, None);
            } else if cursor == search.until.1 {
                search.place = Place::Done;
            } else {
                // Of another history, or of an end that was lost.
                search.place = Place::Compare(0, None);
            }
        }
        match std::mem::replace(&mut search.place, Place::Done) {
            Place::Compare(pair, after) => self.compared(search, pair, after, now).map(Some),
            _ => Ok(None),
        }
    }

    /// Commits behind a cursor, up to a position; None where they are not all known.
    fn commits(&self, after: &Cursor, until: u64) -> Result<Option<Vec<JournalEntry>>> {
        let mut entries = match self.reader.store().journal(Some(after), COMMITS) {
            Ok(entries) => entries,
            Err(
                StoreError::CursorLost(_)
                | StoreError::CursorExpired(_)
                | StoreError::Corrupt { .. },
            ) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        entries.retain(|entry| entry.position <= until);
        let known = !entries.is_empty()
            && entries.iter().all(|entry| {
                // What an erase wrote over moved nothing that is still there.
                !entry.blank || entry.erased
            });
        Ok(known.then_some(entries))
    }

    /// Whether a scope that is followed was hidden until one of these commits: what moved in it before was not seen.
    fn appeared(&self, entries: &[JournalEntry]) -> bool {
        let mut moves = entries.iter().flat_map(|entry| &entry.moves);
        moves.any(|step| {
            let name = &step.name;
            let followed = |(scope, _): &(String, String)| scope == name.scope();
            name.kind() == FORKING && step.target.is_none() && self.sources.iter().any(followed)
        })
    }

    fn moved(
        &self,
        search: &mut Search,
        entries: &[JournalEntry],
        now: &Projected,
    ) -> Result<Page> {
        let mut met = HashSet::new();
        let mut page = Page {
            commits: entries.len() as u64,
            ..Page::default()
        };
        for step in entries.iter().flat_map(|entry| &entry.moves) {
            let name = &step.name;
            if self.follows(name.scope(), name.kind()) && met.insert(name) {
                self.note(search, &mut page, name, now)?;
            }
        }
        page.cursor = entries.last().map(JournalEntry::cursor);
        if let Some(cursor) = page.cursor {
            search.place = Place::Journal(cursor);
        }
        Ok(page)
    }

    /// Goes through the sources until enough of them are behind, or enough were looked at.
    fn compared(
        &self,
        search: &mut Search,
        mut pair: usize,
        mut after: Option<RefName>,
        now: &Projected,
    ) -> Result<Page> {
        let store = self.reader.store();
        let mut page = Page {
            compared: true,
            ..Page::default()
        };
        let mut looked = 0;
        while looked < LOOKED && page.behind.len() < ACTORS {
            let Some((scope, kind)) = self.sources.get(pair) else {
                // All of them were looked at after the journal's end was noted.
                page.cursor = Some(search.until.1);
                return Ok(page);
            };
            let rows = store.list_refs(scope, kind, after.as_ref(), ACTORS)?;
            looked += rows.len();
            for (name, value) in &rows {
                match value {
                    Ok(_) => self.note(search, &mut page, name, now)?,
                    Err(error) => drop(search.broken.get_or_insert(error.clone().into())),
                }
            }
            after = rows.into_iter().next_back().map(|(last, _)| last);
            pair += usize::from(after.is_none());
        }
        search.place = Place::Compare(pair, after);
        Ok(page)
    }

    /// Puts a source on the page if it has more than was seen.
    fn note(
        &self,
        search: &mut Search,
        page: &mut Page,
        log: &RefName,
        now: &Projected,
    ) -> Result<()> {
        match self.behind(log, now) {
            Err(
                error @ (ActorError::Corrupt { .. }
                | ActorError::Store(
                    StoreError::Corrupt { .. } | StoreError::Diverged { .. },
                )),
            ) => drop(search.broken.get_or_insert(error)),
            behind => page.behind.extend(behind?),
        }
        Ok(())
    }

    /// The source, if it has more than was seen.
    fn behind(&self, log: &RefName, now: &Projected) -> Result<Option<Behind>> {
        let standing = steadily(
            || {
                let value = self.reader.store().read_ref(log)?;
                value
                    .map(|value| self.reader.standing(log, value.target))
                    .transpose()
            },
            |error| Some(error),
        )?;
        let Some(standing) = standing else {
            return Ok(None);
        };
        let source = self.source(log);
        let (seen, version) = (now.seen(&source)?, standing.version);
        if version < seen {
            return Err(ActorError::Store(StoreError::Diverged {
                path: log.encoded().to_owned(),
                why: format!(
                    "it is at version {version}, and projection {} has seen version {seen} of it; rebuild that, or restore the actor",
                    self.name.parts().join("/")
                ),
            }));
        }
        Ok((version > seen).then(|| Behind {
            log: log.clone(),
            source,
            seen,
            version,
        }))
    }
}
