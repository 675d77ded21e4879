//! Refs that come into a scope from elsewhere: all of them at once, for every reader.
//!
//! Up to [`FORK_AT_ONCE_REFS_MAX`] moves are one commit. More come in several, into a scope that has no ref yet and that
//! nobody sees before the last of them (`forking.rs`). A scope that has refs can't be hidden: what is more than a commit
//! is refused there.
//! Promises: what a crash leaves is seen by nobody; the same refs again go on where it was.
//! Must never: move a ref that does not stand where its move says.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::deciding::Begin;
use super::fork::FORK_AT_ONCE_REFS_MAX;
use super::forking::{self, AT_A_TIME, Making, Source};
use super::refs::{self, difference, step};
use crate::commit::{
    COMMIT_RECEIPTS_MAX, Change, Commit, Durability, Expect, LeaseToken, RefMove, RefValue,
};
use crate::error::{Result, StoreError};
use crate::journal::JournalCommand;
use crate::name::RefName;
use crate::progress::Progress;
use crate::store::Store;

/// How refs come.
#[derive(Clone, Copy, Debug)]
pub struct LandOptions {
    /// So many moves are one commit; [`FORK_AT_ONCE_REFS_MAX`], less in tests.
    pub at_once: usize,
    /// Else so many refs are moved by a commit: far below the limit, so that other writers wait for none.
    pub at_a_time: usize,
}

impl Default for LandOptions {
    fn default() -> Self {
        Self {
            at_once: FORK_AT_ONCE_REFS_MAX,
            at_a_time: AT_A_TIME,
        }
    }
}

/// Refs that are to come into a scope.
pub struct Lands<'s> {
    store: &'s dyn Store,
    scope: &'s str,
    moves: Vec<RefMove>,
    /// There if they come in several commits.
    making: Option<Making<'s>>,
}

impl<'s> Lands<'s> {
    /// Decides how these moves come, before anything is written. `root`: what they come of.
    ///
    /// Errors: `LimitExceeded` for more than a commit takes in a scope that has refs; `LeaseHeld` while somebody else
    /// makes the scope; `BeingForked` where a fork of another one does.
    pub fn plan(
        store: &'s dyn Store,
        scope: &'s str,
        moves: Vec<RefMove>,
        root: &str,
        options: &LandOptions,
    ) -> Result<Self> {
        let hidden = store.read_ref(&forking::marker(scope)?)?;
        if let Some(value) = &hidden
            && forking::source(scope, value)? != Source::Archive(root.to_owned())
        {
            return Err(StoreError::BeingForked {
                scope: scope.to_owned(),
            });
        }
        let mut lands = Self {
            store,
            scope,
            moves,
            making: None,
        };
        if hidden.is_none() && lands.moves.len() <= options.at_once {
            return Ok(lands);
        }
        let is_new = |step: &RefMove| {
            !matches!(step.expect, Expect::At { .. }) && matches!(step.change, Change::Set { .. })
        };
        if !lands.moves.iter().all(is_new) || !store.kinds(scope)?.iter().all(is_marker) {
            return Err(StoreError::LimitExceeded {
                what: "refs that are imported into a scope that has some",
                limit: options.at_once as u64,
                actual: lands.moves.len() as u64,
            });
        }
        lands.making = Some(Making::take(store, scope, "importing", options.at_a_time)?);
        Ok(lands)
    }

    /// What commits to the scope need until then.
    pub fn leases(&self) -> Vec<LeaseToken> {
        self.making.iter().map(Making::token).collect()
    }

    /// Moves the refs. What they reach is there. Returns how many receipts are new.
    ///
    /// Errors: `RefMoved` where somebody moved one meanwhile; those of a commit.
    pub fn land(
        mut self,
        root: &str,
        mut receipts: Vec<JournalCommand>,
        durability: Durability,
    ) -> Result<u64> {
        let mut moves = std::mem::take(&mut self.moves);
        if let Some(making) = &self.making {
            self.hide(making, root, &moves)?;
            let marker = forking::marker(self.scope)?;
            let wanted = moves.into_iter().filter_map(|step| match step.change {
                Change::Set { target, record } => Some((
                    step.name,
                    RefValue {
                        version: 1,
                        target,
                        record,
                    },
                )),
                Change::Delete => None,
            });
            let wanted: BTreeMap<RefName, RefValue> = wanted.collect();
            let mut there = refs::all_hidden(self.store, self.scope)?;
            there.remove(&marker);
            making.move_refs(
                self.scope,
                difference(&wanted, &there),
                &Progress::default(),
            )?;
            moves = vec![step(marker, None)];
        }
        // A receipt without what its command did makes a repeated one fail, which is safe; the other way round it would be
        // done twice. So what is too much for one commit comes before.
        let mut new = 0;
        while receipts.len() > COMMIT_RECEIPTS_MAX {
            let some = receipts.split_off(receipts.len() - COMMIT_RECEIPTS_MAX);
            new += self.commit(Vec::new(), some, Durability::Relaxed)?;
        }
        if moves.is_empty() && receipts.is_empty() {
            return Ok(new);
        }
        Ok(new + self.commit(moves, receipts, durability)?)
    }

    fn commit(
        &self,
        moves: Vec<RefMove>,
        receipts: Vec<JournalCommand>,
        durability: Durability,
    ) -> Result<u64> {
        let ticket = self.store.submit(Commit {
            scope: self.scope.to_owned(),
            moves,
            receipts,
            leases: self.leases(),
            durability,
            ..Commit::default()
        });
        Ok(ticket.wait()?.new_receipts)
    }

    /// Nothing of the scope is seen from here on.
    fn hide(&self, making: &Making<'_>, root: &str, moves: &[RefMove]) -> Result<()> {
        let marker = forking::marker(self.scope)?;
        if self.store.read_ref(&marker)?.is_some() {
            return Ok(());
        }
        let since = self.store.head()?.position;
        if !self.store.kinds(self.scope)?.is_empty() {
            return Err(StoreError::ScopeTaken {
                scope: self.scope.to_owned(),
                why: "it has refs",
            });
        }
        // The marker points at what the scope will keep anyway.
        let target = moves.iter().find_map(|step| match &step.change {
            Change::Set { target, .. } => Some(*target),
            Change::Delete => None,
        });
        let ticket = self.store.submit(Commit {
            scope: self.scope.to_owned(),
            leases: vec![making.token()],
            decide: Some(Arc::new(Begin {
                to: self.scope.to_owned(),
                since,
                step: RefMove {
                    name: marker,
                    expect: Expect::Absent,
                    change: Change::Set {
                        target: target.ok_or(StoreError::Refused)?,
                        record: forking::record(&Source::Archive(root.to_owned()))?,
                    },
                },
            })),
            durability: Durability::Relaxed,
            ..Commit::default()
        });
        match ticket.wait() {
            Err(StoreError::Refused) => Err(StoreError::ScopeTaken {
                scope: self.scope.to_owned(),
                why: "somebody wrote to it meanwhile",
            }),
            answer => answer.map(drop),
        }
    }
}

fn is_marker(kind: &String) -> bool {
    kind == forking::FORKING
}
