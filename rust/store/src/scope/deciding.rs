//! What is decided when a commit's turn comes: the first one of a scope that is being made hides it, if it still is nobody's;
//! the one with which an origin says its name says none that is gone; the last one of a fork makes it what the origin is then.
//!
//! Promises: what others did since it was looked at is met in the journal; where that does not tell, the commit is refused.
//! An erase takes the name: as long as it is there, none of the origin came since. So what erases of others left is passed over.
//! Must never: look at more than [`LATE_COMMITS_MAX`] commits, since all others wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::forking::{self, FORKING};
use super::lineage::Lineage;
use super::refs::{renamed, step};
use crate::commit::{COMMIT_MOVES_MAX, RefMove, RefValue};
use crate::decide::{Decide, Decided, View};
use crate::error::{Result, StoreError};
use crate::journal::JournalCommand;
use crate::name::RefName;
use crate::quarantine::QUARANTINE;

/// Commits that the last one of a fork looks at, under the lock: those that came since the origin was read.
pub(super) const LATE_COMMITS_MAX: usize = 1_024;

/// What is in quarantine goes back to the names that it had, which are those of the origin: it stays there.
pub(super) fn goes_along(name: &RefName) -> bool {
    name.kind() != QUARANTINE && name.kind() != FORKING
}

/// What commits did of late to the two scopes of a fork.
#[derive(Default)]
struct Late {
    /// Refs of the origin that they moved.
    origin: BTreeSet<RefName>,
    /// Refs of the scope that is made.
    own: BTreeSet<RefName>,
    /// They left receipts there.
    own_receipts: bool,
    /// The first of them whose scope is erased, whichever that was.
    erased: Option<u64>,
}

/// What commits after `since` did to the two scopes.
///
/// Errors: `Refused` where there are too many, or they are not all known.
fn late(view: &mut dyn View, since: u64, from: &str, to: &str) -> Result<Late> {
    let mut late = Late::default();
    let entries = view.commits_since(since, LATE_COMMITS_MAX)?;
    for entry in entries.ok_or(StoreError::Refused)? {
        if entry.erased {
            late.erased = late.erased.or(Some(entry.position));
            continue;
        }
        let names = entry.moves.into_iter().map(|step| step.name);
        if entry.scope == from {
            late.origin.extend(names.filter(goes_along));
        } else if entry.scope == to {
            late.own.extend(names);
            late.own_receipts |= entry.command.is_some() || !entry.receipts.is_empty();
        }
    }
    Ok(late)
}

/// The marker is set if the scope still is nobody's.
#[derive(Debug)]
pub(super) struct Begin {
    pub to: String,
    /// Commits up to there were looked at.
    pub since: u64,
    pub step: RefMove,
}

impl Decide for Begin {
    fn decide(&self, view: &mut dyn View, _: i64) -> Result<Decided> {
        let late = late(view, self.since, "", &self.to)?;
        if late.own_receipts {
            return Err(StoreError::Refused);
        }
        for name in late.own {
            if view.read_ref(&name)?.is_some() {
                return Err(StoreError::Refused);
            }
        }
        Ok(Decided {
            moves: vec![self.step.clone()],
            ..Decided::default()
        })
    }
}

/// The origin says its name to its forks, if it is there still: an erase that came meanwhile would not find it any more.
#[derive(Debug)]
pub(super) struct SayName {
    pub digest: [u8; 32],
    /// Refs that it has, of every kind one.
    pub refs: Vec<RefName>,
    pub receipt: JournalCommand,
    /// The commit with which it did before.
    pub said: Mutex<Option<u64>>,
}

impl SayName {
    pub fn said(&self) -> Option<u64> {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Decide for SayName {
    fn decide(&self, view: &mut dyn View, _: i64) -> Result<Decided> {
        let said = view.name_left(&self.digest)?;
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = said;
        if said.is_some() {
            return Ok(Decided::default());
        }
        for name in &self.refs {
            if view.read_ref(name)?.is_some() {
                return Ok(Decided {
                    receipts: vec![self.receipt.clone()],
                    ..Decided::default()
                });
            }
        }
        Err(StoreError::Refused)
    }
}

/// Why a scope is not forked to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Taken {
    HasRefs,
    WasForked,
    HasReceipts,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Done { refs: u64 },
    Taken(Taken),
}

/// The fork is there, with what the origin is now.
#[derive(Debug)]
pub(super) struct Finish {
    pub from: String,
    pub digest: [u8; 32],
    pub to: String,
    /// The commit with which the origin said its name.
    pub name: u64,
    /// Commits up to there are in `refs`.
    pub since: u64,
    /// By the names in the fork.
    pub refs: BTreeMap<RefName, RefValue>,
    /// They are in the hidden scope; else they are to be copied now.
    pub copied: bool,
    pub outcome: Mutex<Option<Outcome>>,
}

impl Finish {
    pub fn outcome(&self) -> Option<Outcome> {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end<T>(&self, outcome: Outcome, answer: Result<T>) -> Result<T> {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        answer
    }

    fn taken<T>(&self, why: Taken) -> Result<T> {
        self.end(Outcome::Taken(why), Err(StoreError::Refused))
    }
}

impl Decide for Finish {
    fn decide(&self, view: &mut dyn View, at_ms: i64) -> Result<Decided> {
        if view.lineage(&self.to)?.is_some() {
            return self.taken(Taken::WasForked);
        }
        if view.read_ref(&forking::marker(&self.from)?)?.is_some() {
            return Err(StoreError::Refused);
        }
        // It was erased since, or may have been before it said its name, when its refs were read.
        if view.name_left(&self.digest)? != Some(self.name) {
            return Err(StoreError::Refused);
        }
        let late = late(view, self.since, &self.from, &self.to)?;
        if late.erased.is_some_and(|position| position <= self.name) {
            return Err(StoreError::Refused);
        }
        if late.own_receipts && !self.copied {
            return self.taken(Taken::HasReceipts);
        }
        for name in late.own {
            if !self.copied && view.read_ref(&name)?.is_some() {
                return self.taken(Taken::HasRefs);
            }
        }
        let mut changed = BTreeMap::new();
        for name in late.origin {
            changed.insert(renamed(&name, &self.to)?, view.read_ref(&name)?);
        }
        let mut count = self.refs.len() as u64;
        for (name, value) in &changed {
            match (self.refs.contains_key(name), value.is_some()) {
                (true, false) => count = count.saturating_sub(1),
                (false, true) => count = count.saturating_add(1),
                _ => {}
            }
        }
        let mut moves = Vec::new();
        if self.copied {
            let all = changed.into_iter();
            moves.extend(all.map(|(name, value)| step(name, value.as_ref())));
            moves.push(step(forking::marker(&self.to)?, None));
        } else {
            let same = self.refs.iter();
            let same = same.filter(|(name, _)| !changed.contains_key(*name));
            moves.extend(same.map(|(name, value)| step(name.clone(), Some(value))));
            let new = changed
                .iter()
                .filter_map(|(name, value)| Some((name, value.as_ref()?)));
            moves.extend(new.map(|(name, value)| step(name.clone(), Some(value))));
        }
        if moves.len() > COMMIT_MOVES_MAX {
            return Err(StoreError::Refused);
        }
        let before = view.lineage(&self.from)?;
        let lineage = Lineage::of_fork(self.digest, before, at_ms, count)?;
        self.end(
            Outcome::Done { refs: count },
            Ok(Decided {
                moves,
                receipts: vec![lineage.receipt(&self.to)],
                ..Decided::default()
            }),
        )
    }
}
