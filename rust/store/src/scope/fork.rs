//! A whole scope under another name: every ref with its record, and no block.
//!
//! Up to [`FORK_AT_ONCE_REFS_MAX`] refs are one commit. More are copied in several to a scope that nobody sees yet
//! (`forking.rs`), while others write: what moved in the origin meanwhile is in the journal, and follows. The last commit
//! copies what is left, and the scope is there. Either way the fork is the origin as it was at ONE moment, that of its
//! last commit, which is decided when its turn comes: with what the origin is then.
//! What says of which scope it is says so by a digest; the name is said by a receipt of the origin (`lineage.rs`), which its
//! first fork leaves there in a commit before.
//! Promises: a crash leaves nothing that is seen; versions of refs count anew; leases and holds stay behind, receipts
//! are found through the lineage, what is in quarantine is the origin's alone. Must never: write to a scope that has refs,
//! or the origin's name into what is the fork's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use super::deciding::{Begin, Finish, LATE_COMMITS_MAX, Outcome, SayName, Taken, goes_along};
use super::forking::{self, AT_A_TIME, Making, Source};
use super::lineage::{Origin, name_receipt};
use super::refs::{self, difference, renamed, step};
use crate::commit::{Address, Change, Command, Commit, Durability, Expect, RefMove, RefValue};
use crate::cursor::Cursor;
use crate::erasure::digest_of_scope;
use crate::error::{Result, StoreError};
use crate::name::{RefName, check_scope, check_written_scope};
use crate::progress::{Progress, Stage};
use crate::store::Store;

/// A scope of at most so many refs is forked in one commit.
pub const FORK_AT_ONCE_REFS_MAX: usize = 10_000;
/// Commits of the journal that are read at a time.
const PAGE: usize = 1_024;
/// Times that a fork begins anew because what it read is gone, or the journal does not say what moved.
const TRIES: u32 = 16;

/// How a scope is forked.
#[derive(Clone, Debug)]
pub struct ForkOptions {
    /// What makes a retry safe, in the scope that is made.
    pub command_id: Option<String>,
    /// What the answer promises.
    pub durability: Durability,
    /// Scopes of at most so many refs are forked in one commit; [`FORK_AT_ONCE_REFS_MAX`], less in tests.
    pub at_once: usize,
    /// Else so many refs are copied by a commit: far below the limit, so that other writers wait for none.
    pub at_a_time: usize,
}

impl Default for ForkOptions {
    fn default() -> Self {
        Self {
            command_id: None,
            durability: Durability::Durable,
            at_once: FORK_AT_ONCE_REFS_MAX,
            at_a_time: AT_A_TIME,
        }
    }
}

/// What a fork did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forked {
    /// Refs that the new scope began with.
    pub refs: u64,
    /// The commit with which it was there.
    pub position: u64,
    /// It was done before, under the same command id: nothing was written now.
    pub replayed: bool,
}

/// Forks `from` as `to`. O(refs), and one look through the receipts of the store; no block is written or read.
///
/// Errors: `ScopeNotFound` if `from` has no ref, as one that is erased; `BeingForked` if it is being made itself;
/// `BeingErased` if an erase of it begins meanwhile; `ScopeTaken` if `to` has refs, was forked of something before, or has receipts of a life before that were not erased;
/// `Invalid` for names that can't be, or are the same; `LimitExceeded` for a ref whose name is too long there, or a fork of too many forks; `LeaseHeld` while
/// somebody else makes `to`; `CommandMismatch`; `Corrupt` for a broken ref of the origin; `Cancelled`, and those of a
/// commit: what was written until then is hidden, and the next fork of `from` to `to` goes on from there.
pub fn fork(
    store: &dyn Store,
    from: &str,
    to: &str,
    options: &ForkOptions,
    progress: &Progress,
) -> Result<Forked> {
    check_scope(from)?;
    check_written_scope(to)?;
    if from == to {
        return Err(StoreError::Invalid {
            what: "scope to fork to",
            value: to.to_owned(),
            rule: "it is the one that is forked".into(),
        });
    }
    if store.read_ref(&forking::marker(from)?)?.is_some() {
        return Err(StoreError::BeingForked {
            scope: from.to_owned(),
        });
    }
    let forking = Fork {
        store,
        from,
        digest: digest_of_scope(&store.store_id()?, from),
        to,
        options,
        progress,
        command: command(from, to, options.command_id.as_deref()),
    };
    if forking.was_done()? {
        return forking.replayed();
    }
    let began_ms = store.now_ms();
    for _ in 0..TRIES {
        match forking.once() {
            // What was read of the origin is gone since, or what came meanwhile is too much, or not known.
            Err(
                StoreError::Refused | StoreError::LinkMissing { .. } | StoreError::CursorExpired(_),
            ) => {}
            answer => return answer,
        }
    }
    Err(StoreError::LockTimeout {
        waited_ms: u64::try_from(store.now_ms().saturating_sub(began_ms)).unwrap_or(0),
        holder: format!("writers of scope {from:?}, who left no pause"),
    })
}

fn command(from: &str, to: &str, id: Option<&str>) -> Option<Command> {
    let mut payload = blake3::Hasher::new_derive_key("treering v1 command payload");
    for text in ["fork scope", from] {
        payload.update(&(text.len() as u64).to_le_bytes());
        payload.update(text.as_bytes());
    }
    Some(Command {
        address: Address::Scope(to.to_owned()),
        id: id?.to_owned(),
        payload: *payload.finalize().as_bytes(),
        // An empty list: the lineage says the rest.
        receipt: vec![0x80],
    })
}

struct Fork<'f> {
    store: &'f dyn Store,
    from: &'f str,
    /// What stands for `from` in what is the fork's.
    digest: [u8; 32],
    to: &'f str,
    options: &'f ForkOptions,
    progress: &'f Progress,
    command: Option<Command>,
}

impl Fork<'_> {
    fn was_done(&self) -> Result<bool> {
        let Some(command) = &self.command else {
            return Ok(false);
        };
        match self.store.receipt(&command.address, &command.id)? {
            Some((payload, _)) if payload == command.payload => Ok(true),
            Some(_) => Err(StoreError::CommandMismatch {
                id: command.id.clone(),
            }),
            None => Ok(false),
        }
    }

    fn replayed(&self) -> Result<Forked> {
        let lineage = self.store.lineage(self.to)?;
        let nearest = lineage
            .as_ref()
            .and_then(|lineage| lineage.ancestors.first());
        Ok(Forked {
            refs: lineage.as_ref().map_or(0, |lineage| lineage.refs),
            position: nearest.map_or(0, |nearest| nearest.until),
            replayed: true,
        })
    }

    fn once(&self) -> Result<Forked> {
        self.progress.enter(Stage::Search, 0)?;
        if self.store.read_ref(&forking::marker(self.to)?)?.is_some() {
            return self.in_steps();
        }
        // What comes after this moment is met in the journal.
        let since = self.store.head()?.cursor();
        self.expect_free()?;
        let refs = self.origin()?;
        if refs.len() > self.options.at_once {
            return self.in_steps();
        }
        self.progress.enter(Stage::Refs, refs.len() as u64)?;
        self.finish(refs, since, None)
    }

    /// Errors: `ScopeTaken`.
    fn expect_free(&self) -> Result<()> {
        if !self.store.kinds(self.to)?.is_empty() {
            return Err(self.taken(Taken::HasRefs));
        }
        if self.store.lineage(self.to)?.is_some() {
            return Err(self.taken(Taken::WasForked));
        }
        // The fork would answer commands of before with them, and not with what its origin did.
        if !self.store.receipts(self.to, None, 1)?.is_empty() {
            return Err(self.taken(Taken::HasReceipts));
        }
        Ok(())
    }

    fn taken(&self, why: Taken) -> StoreError {
        StoreError::ScopeTaken {
            scope: self.to.to_owned(),
            why: match why {
                Taken::HasRefs => "it has refs",
                Taken::WasForked => "it was forked of another scope before",
                Taken::HasReceipts => {
                    "it has no refs any more, but receipts of what was done there; erase it first"
                }
            },
        }
    }

    /// The origin's refs by the name that they get. One that is too long is found before anything is written.
    ///
    /// Errors: `ScopeNotFound` where it has none.
    fn origin(&self) -> Result<BTreeMap<RefName, RefValue>> {
        let (mut found, mut is_there) = (BTreeMap::new(), false);
        refs::each_ref(self.store, self.from, &mut |name, value| {
            self.progress.go_on()?;
            is_there = true;
            if goes_along(&name) {
                found.insert(renamed(&name, self.to)?, value);
            }
            Ok(())
        })?;
        if !is_there {
            return Err(StoreError::ScopeNotFound {
                scope: self.from.to_owned(),
            });
        }
        Ok(found)
    }

    /// More than one commit takes.
    fn in_steps(&self) -> Result<Forked> {
        // The row of a lease outlives it: no name.
        let making = Making::take(self.store, self.to, "forking", self.options.at_a_time)?;
        self.begin(&making)?;
        let since = self.store.head()?.cursor();
        let refs = match self.origin() {
            // It is gone since it was begun: no fork of it can be finished.
            Err(gone @ StoreError::ScopeNotFound { .. }) => {
                making.clear(self.to)?;
                return Err(gone);
            }
            origin => origin?,
        };
        let mut there = refs::all_hidden(self.store, self.to)?;
        there.remove(&forking::marker(self.to)?);
        self.progress.enter(Stage::Refs, refs.len() as u64)?;
        self.progress.add(there.len().min(refs.len()) as u64)?;
        making.move_refs(self.to, difference(&refs, &there), self.progress)?;
        self.finish(refs, since, Some(&making))
    }

    /// Sees to it that the scope is hidden, and that what it has is of this origin.
    fn begin(&self, making: &Making<'_>) -> Result<()> {
        let marker = forking::marker(self.to)?;
        if let Some(value) = self.store.read_ref(&marker)? {
            let same = match forking::source(self.to, &value)? {
                Source::Scope(Origin::Digest(digest)) => digest == self.digest,
                Source::Scope(Origin::Name(name)) => name == self.from,
                Source::Archive(_) => false,
            };
            if same {
                return Ok(());
            }
            making.clear(self.to)?;
        }
        let since = self.store.head()?.position;
        self.expect_free()?;
        // The marker points at what the scope will keep anyway.
        let first = self.firsts()?.into_iter().next();
        let (_, first) = first.ok_or(StoreError::Refused)?;
        let ticket = self.store.submit(Commit {
            scope: self.to.to_owned(),
            leases: vec![making.token()],
            decide: Some(Arc::new(Begin {
                to: self.to.to_owned(),
                since,
                step: RefMove {
                    name: marker,
                    expect: Expect::Absent,
                    change: Change::Set {
                        target: first?.target,
                        record: forking::record(&Source::Scope(Origin::Digest(self.digest)))?,
                    },
                },
            })),
            durability: Durability::Relaxed,
            ..Commit::default()
        });
        ticket.wait().map(drop)
    }

    /// Follows the origin until little comes, and then makes the commit with which the fork is there. `refs`: what it
    /// was at `since`, by the names in the fork. `making`: they are copied already.
    fn finish(
        &self,
        mut refs: BTreeMap<RefName, RefValue>,
        mut since: Cursor,
        making: Option<&Making<'_>>,
    ) -> Result<Forked> {
        let name = self.leave_name()?;
        // Writers who are faster than these rounds are met by the last commit, which is refused then.
        for _ in 0..TRIES {
            let late = self.store.head()?.position.saturating_sub(since.position);
            if late <= LATE_COMMITS_MAX as u64 / 4 {
                break;
            }
            let mut steps = Vec::new();
            for moved in self.moved_since(&mut since, name)? {
                let value = self.store.read_ref(&moved)?;
                let step = adjusted(renamed(&moved, self.to)?, value, &mut refs);
                steps.extend(step);
            }
            if let Some(making) = making {
                making.move_refs(self.to, steps, self.progress)?;
            }
        }
        let finish = Arc::new(Finish {
            from: self.from.to_owned(),
            digest: self.digest,
            to: self.to.to_owned(),
            name,
            since: since.position,
            refs,
            copied: making.is_some(),
            outcome: Mutex::default(),
        });
        let ticket = self.store.submit(Commit {
            scope: self.to.to_owned(),
            leases: making.map(Making::token).into_iter().collect(),
            command: self.command.clone(),
            decide: Some(finish.clone()),
            durability: self.options.durability,
            ..Commit::default()
        });
        let committed = match ticket.wait() {
            Err(StoreError::Refused) => {
                return Err(match finish.outcome() {
                    Some(Outcome::Taken(why)) => self.taken(why),
                    _ => StoreError::Refused,
                });
            }
            answer => answer?,
        };
        if committed.replay.is_some() {
            return self.replayed();
        }
        let refs = match finish.outcome() {
            Some(Outcome::Done { refs }) => refs,
            _ => 0,
        };
        if making.is_none() {
            // Done is done, whoever does not want it any more.
            drop(self.progress.add(refs));
        }
        Ok(Forked {
            refs,
            position: committed.position,
            replayed: false,
        })
    }

    /// Sees to it that the origin says its name to its forks: once, in a commit of its own, that goes with it. Which one that
    /// was. An erase that comes between this and the last commit is met there: it takes the name.
    ///
    /// Errors: `Refused` if the origin is gone since it was read.
    fn leave_name(&self) -> Result<u64> {
        let firsts = self.firsts()?.into_iter();
        let say = Arc::new(SayName {
            digest: self.digest,
            refs: firsts.map(|(name, _)| name).collect(),
            receipt: name_receipt(&self.digest, self.from)?,
            said: Mutex::default(),
        });
        let ticket = self.store.submit(Commit {
            scope: self.from.to_owned(),
            decide: Some(say.clone()),
            // The last commit is synced, and that syncs what it rests on.
            durability: Durability::Relaxed,
            ..Commit::default()
        });
        let committed = ticket.wait()?;
        Ok(say.said().unwrap_or(committed.position))
    }

    /// The origin's first ref of every kind.
    fn firsts(&self) -> Result<Vec<(RefName, Result<RefValue>)>> {
        let mut firsts = Vec::new();
        for kind in self.store.kinds(self.from)? {
            firsts.extend(self.store.list_refs(self.from, &kind, None, 1)?);
        }
        Ok(firsts)
    }

    /// Refs of the origin that later commits moved; `since` is where the journal ends then. `name`: the commit with which
    /// the origin said its name.
    ///
    /// Errors: `Refused` where not all commits are known, or the origin may have been erased before it said its name.
    fn moved_since(&self, since: &mut Cursor, name: u64) -> Result<BTreeSet<RefName>> {
        let mut moved = BTreeSet::new();
        loop {
            let page = self.store.journal(Some(since), PAGE)?;
            let Some(last) = page.last() else {
                return Ok(moved);
            };
            *since = last.cursor();
            for entry in page {
                if entry.blank && !(entry.erased && entry.position > name) {
                    return Err(StoreError::Refused);
                }
                if entry.scope == self.from {
                    let names = entry.moves.into_iter().map(|step| step.name);
                    moved.extend(names.filter(goes_along));
                }
            }
        }
    }
}

/// Notes what a ref became, and the move that makes it so; None if it is so.
fn adjusted(
    name: RefName,
    value: Option<RefValue>,
    refs: &mut BTreeMap<RefName, RefValue>,
) -> Option<RefMove> {
    let step = step(name.clone(), value.as_ref());
    let before = match value.clone() {
        Some(value) => refs.insert(name, value),
        None => refs.remove(&name),
    };
    let same = match (before, value) {
        (Some(before), Some(value)) => before.is_like(&value),
        (None, None) => true,
        _ => false,
    };
    (!same).then_some(step)
}

#[cfg(test)]
mod tests;
