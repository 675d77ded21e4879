//! Two scopes side by side: which refs only one has, and where threads and actors went apart.
//!
//! Promises: refs that are the same cost no block; of those that differ the newest entries are read, and O(log n) more to
//! where they went apart. Read models are left out: they are made of the logs.

use treering_block::Cid;
use treering_block::node::{Entry, EventNode, event_jump};
use treering_store::scope::{Differing, diff_scopes};
use treering_store::{RefName, Store};
use treering_thread::chain::common_ancestor_of;
use treering_thread::ident::THREAD;

use crate::address::is_read_model;
use crate::error::{ActorError, Result};
use crate::own::is_own;
use crate::source::{Committed, read_entry};
use crate::stores::KINDS;

/// How far something is in both scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Apart {
    /// Its steps or its version in the first.
    pub left: u64,
    /// In the second.
    pub right: u64,
    /// The newest step or version that both have; None if they have nothing in common that is kept.
    pub common: Option<u64>,
}

/// What is there under one name in both scopes, and not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The ref in the first scope.
    pub name: RefName,
    /// Where it went apart, if it is a thread or an actor that this version knows.
    pub apart: Option<Apart>,
}

/// What tells two scopes apart.
#[derive(Clone, Debug, Default)]
pub struct SideBySide {
    /// Refs that only the first has.
    pub left: Vec<RefName>,
    /// Refs that only the second has.
    pub right: Vec<RefName>,
    /// Refs that differ.
    pub changed: Vec<Changed>,
    /// How many are the same.
    pub same: u64,
}

/// Compares two scopes of one store; each may be as it was at a moment.
///
/// # Errors
/// `Corrupt`, naming the first ref or block that can't be read; the store's.
pub fn side_by_side(left: (&dyn Store, &str), right: (&dyn Store, &str)) -> Result<SideBySide> {
    let diff = diff_scopes(left, right, |name| !is_read_model(name))?;
    let stores = (left.0, right.0);
    let changed = diff.differing.into_iter().map(|differing| {
        Ok(Changed {
            apart: apart(stores, &differing)?,
            name: differing.name,
        })
    });
    Ok(SideBySide {
        changed: changed.collect::<Result<_>>()?,
        left: diff.left,
        right: diff.right,
        same: diff.same,
    })
}

fn apart(stores: (&dyn Store, &dyn Store), differing: &Differing) -> Result<Option<Apart>> {
    let (left, right) = (differing.left.target, differing.right.target);
    if differing.name.kind() == THREAD {
        let steps = |store, cid: &Cid| treering_thread::chain::number_of(store, cid);
        return Ok(Some(Apart {
            left: steps(stores.0, &left)?,
            right: steps(stores.1, &right)?,
            common: common_ancestor_of(stores.0, &left, &right)?.map(|(step, _)| step),
        }));
    }
    let kind = differing.name.kind();
    if !KINDS.contains(&kind) && !is_own(kind) {
        return Ok(None);
    }
    let log = Log {
        store: stores.0,
        actor: &differing.name,
    };
    let (left, right) = (log.read(left, None)?, log.read(right, None)?);
    Ok(Some(Apart {
        left: left.1.version(),
        right: right.1.version(),
        common: log.common(left, right)?,
    }))
}

/// An entry with its block.
type At = (Cid, Entry);

/// What walks two logs of one actor's name back to where they meet.
struct Log<'l> {
    store: &'l dyn Store,
    actor: &'l RefName,
}

impl Log<'_> {
    fn read(&self, cid: Cid, version: Option<u64>) -> Result<At> {
        let entry = read_entry(&Committed(self.store), self.actor, &cid, version)?;
        Ok((cid, entry))
    }

    /// The newest version that both have. As for threads: a log's jumps stand at the same versions in every copy of it.
    fn common(&self, mut left: At, mut right: At) -> Result<Option<u64>> {
        let shorter = left.1.version().min(right.1.version());
        left = match self.back_to(left, shorter)? {
            Some(at) => at,
            None => return Ok(None),
        };
        right = match self.back_to(right, shorter)? {
            Some(at) => at,
            None => return Ok(None),
        };
        loop {
            if left.0 == right.0 {
                return Ok(Some(left.1.version()));
            }
            let (Entry::Event(one), Entry::Event(other)) = (&left.1, &right.1) else {
                return Ok(None);
            };
            // One was cut off, or deleted and written again: what is kept was written anew.
            if one.base != other.base {
                return Ok(None);
            }
            let meet = one.jump == other.jump;
            let (next, next_other) = (self.next(one, meet), self.next(other, meet));
            let (Some(one), Some(other)) = (next, next_other) else {
                return Ok(None);
            };
            left = self.read(one.0, Some(one.1))?;
            right = self.read(other.0, Some(other.1))?;
        }
    }

    /// Where an event leads: to the one before, or as far as its jump.
    fn next(&self, event: &EventNode, parent: bool) -> Option<(Cid, u64)> {
        let before = event.version.checked_sub(1)?;
        if parent {
            return Some((event.parent?, before));
        }
        Some((event.jump?, event_jump(event.version, event.base)?))
    }

    fn back_to(&self, mut at: At, version: u64) -> Result<Option<At>> {
        while at.1.version() > version {
            let Entry::Event(event) = &at.1 else {
                return Ok(None);
            };
            let far = event_jump(event.version, event.base).is_some_and(|jump| jump >= version);
            let Some((cid, next)) = self.next(event, !far) else {
                return Ok(None);
            };
            if next >= at.1.version() {
                let detail = "its way back leads nowhere";
                return Err(ActorError::corrupt(self.actor, next, Some(cid), detail));
            }
            at = self.read(cid, Some(next))?;
        }
        Ok(Some(at))
    }
}
