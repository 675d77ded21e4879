//! Where the refs of a scope stood at a moment: what the journal says of it, and what it leaves open.
//!
//! Promises: a ref is told to stand where it stood, or to be forgotten; nothing is guessed over a commit that is lost.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::commit::RefValue;
use crate::cursor::{Cursor, Head};
use crate::error::{Result, StoreError};
use crate::journal::{JournalEntry, JournalMove};
use crate::name::RefName;
use crate::store::Store;

/// Commits read at a time.
const PAGE: usize = 1_024;

/// Which moment is meant.
#[derive(Clone, Debug)]
pub enum Moment {
    /// After all commits up to this time, Unix milliseconds.
    Time(i64),
    /// After the commit that the cursor is of.
    Commit(Cursor),
}

/// Where a ref stood, and the commit that says so.
pub(super) struct Known {
    pub(super) value: RefValue,
    position: u64,
}

/// What the journal says of a moment.
pub(super) struct Past {
    /// The newest commit that counts, and when it was made.
    pub(super) head: Head,
    pub(super) at_ms: i64,
    /// Refs as the newest commit up to the moment left them.
    pub(super) known: BTreeMap<RefName, Known>,
    /// Refs that the newest such commit removed, and which that was.
    removed: BTreeMap<RefName, u64>,
    /// What the first commit after the moment that is known to have moved it made its version.
    next: BTreeMap<RefName, u64>,
    /// The newest commit up to the moment of which nothing is known, and whether there is one after it.
    blank: (u64, bool),
    /// The journal is known from its first commit on.
    from_start: bool,
    /// Refs that were there, or may have been, nobody knows where.
    pub(super) forgotten: BTreeSet<RefName>,
}

impl Past {
    pub(super) fn read(store: &dyn Store, scope: &str, moment: &Moment) -> Result<Self> {
        let start = store.journal_extent()?.start;
        let mut past = Self {
            head: start.head,
            at_ms: start.at_ms,
            known: BTreeMap::new(),
            removed: BTreeMap::new(),
            next: BTreeMap::new(),
            blank: (0, false),
            from_start: start.head.position == 0,
            forgotten: BTreeSet::new(),
        };
        let expired = match moment {
            Moment::Time(at_ms) => !past.from_start && *at_ms < start.at_ms,
            Moment::Commit(cursor) => cursor.position < start.head.position,
        };
        if expired {
            return Err(StoreError::MomentExpired {
                scope: scope.to_owned(),
                oldest_ms: start.at_ms,
            });
        }
        if let Moment::Commit(cursor) = moment {
            // Whether it is of this history.
            store.journal(Some(cursor), 1)?;
        }
        let mut after = (!past.from_start).then(|| start.head.cursor());
        loop {
            let page = match store.journal(after.as_ref(), PAGE) {
                Err(StoreError::CursorExpired(_)) => {
                    // What was its beginning went meanwhile.
                    return Self::read(store, scope, moment);
                }
                page => page?,
            };
            let Some(last) = page.last() else {
                return Ok(past);
            };
            after = Some(last.cursor());
            for entry in page {
                past.take(scope, moment, entry);
            }
        }
    }

    fn take(&mut self, scope: &str, moment: &Moment, entry: JournalEntry) {
        let counts = match moment {
            Moment::Time(at_ms) => entry.at_ms <= *at_ms,
            Moment::Commit(cursor) => entry.position <= cursor.position,
        };
        if counts {
            (self.head, self.at_ms) = (entry.head(), entry.at_ms);
            // The commits of an erased scope moved no ref of any other, and its own are gone.
            if entry.blank && !entry.erased {
                self.blank.0 = entry.position;
            }
        } else if entry.blank && !entry.erased {
            self.blank.1 = true;
        }
        if entry.scope != scope {
            return;
        }
        for moved in entry.moves {
            if counts {
                self.note(moved, entry.position);
            } else if let Entry::Vacant(first) = self.next.entry(moved.name) {
                first.insert(moved.version);
            }
        }
    }

    fn note(&mut self, moved: JournalMove, position: u64) {
        let JournalMove {
            name,
            version,
            target,
            record,
        } = moved;
        match (target, record) {
            (Some(target), Some(record)) => {
                let value = RefValue {
                    version,
                    target,
                    record,
                };
                self.removed.remove(&name);
                self.known.insert(name, Known { value, position });
            }
            _ => {
                self.known.remove(&name);
                self.removed.insert(name, position);
            }
        }
    }

    /// What the journal leaves open is settled by what comes after the moment: the next version of a ref, or the ref as
    /// it is now, if nothing moved it since.
    pub(super) fn judge(&mut self, now: BTreeMap<RefName, RefValue>) {
        let (blank, blank_after) = self.blank;
        let unmoved = |name: &RefName| now.get(name).map(|value| value.version);
        if blank > 0 {
            // It may have moved anything.
            let doubtful: Vec<RefName> = self
                .known
                .iter()
                .filter(|(name, known)| {
                    let version = known.value.version;
                    let went_on = match self.next.get(*name) {
                        // A version that is the next but one has one in between.
                        Some(next) => *next == version.saturating_add(1),
                        None => unmoved(name) == Some(version),
                    };
                    known.position < blank && !went_on
                })
                .map(|(name, _)| name.clone())
                .collect();
            for name in doubtful {
                self.known.remove(&name);
                self.forgotten.insert(name);
            }
        }
        if self.from_start && blank == 0 {
            return;
        }
        // Those that no commit up to the moment tells of, or that one told of before a commit that is lost.
        for (name, version) in &self.next {
            let told = self.known.contains_key(name) || self.is_removed(name);
            // The first version of a ref comes of nothing.
            if !told && *version != 1 {
                self.forgotten.insert(name.clone());
            }
        }
        for (name, value) in now {
            let told = self.known.contains_key(&name) || self.is_removed(&name);
            if told || self.next.contains_key(&name) || self.forgotten.contains(&name) {
                continue;
            }
            if blank_after {
                self.forgotten.insert(name);
            } else {
                let position = 0;
                self.known.insert(name, Known { value, position });
            }
        }
    }

    fn is_removed(&self, name: &RefName) -> bool {
        self.removed
            .get(name)
            .is_some_and(|position| *position > self.blank.0)
    }
}
