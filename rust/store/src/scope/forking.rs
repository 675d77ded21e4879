//! Scopes that are being made: a fork of many refs takes several commits, and nobody sees it before the last.
//!
//! A scope that has a ref of kind [`FORKING`] is being made. Of all its refs only this one is seen, and commits to it
//! are refused but those under its lease. The last commit of a fork takes it away, and all refs are there at once.
//! The same ref hides a scope that is being erased, and is not seen itself then ([`ERASED`]).
//! Promises: what a crash leaves is seen by nobody. The next fork to that name goes on where it was, or clears it away;
//! [`discard`] clears it away for good. Until then it keeps blocks as every ref does.
//! Must never: hide a scope that anybody wrote to.

use treering_block::{Event, Ipld, Reader, cbor};

use super::lineage::Origin;
use super::refs;
use crate::commit::{Change, Commit, Durability, Expect, LeaseToken, RefMove, RefValue};
use crate::erasure::digest_of_scope;
use crate::error::{Result, StoreError};
use crate::lease::Lease;
use crate::ledger::Ledger;
use crate::name::{RefName, listing_prefix};
use crate::progress::Progress;
use crate::store::Store;

/// The kind of the ref that says that its scope is being made.
pub const FORKING: &str = "forking";

/// What stands beside the marker of a scope that is being erased: DAG-CBOR null. Nothing of such a scope is seen, and not
/// the marker either.
pub(crate) const ERASED: &[u8] = &[0xf6];

/// Ref moves in one commit of a fork that takes several.
pub(super) const AT_A_TIME: usize = 2_000;

/// The ref that says that `scope` is being made.
///
/// Errors: `LimitExceeded` for a scope whose name leaves no room for it.
pub(crate) fn marker(scope: &str) -> Result<RefName> {
    RefName::new(scope, FORKING, [""; 0])
}

/// Whether it is the one that hides its scope.
pub(crate) fn is_marker(name: &RefName) -> bool {
    name.kind() == FORKING && name.parts().is_empty()
}

/// The encoded name of the ref that hides this one while it is there; None for that ref itself.
pub(crate) fn hidden_by(name: &RefName) -> Option<String> {
    (!is_marker(name)).then(|| listing_prefix(name.scope(), FORKING))
}

/// Refuses a commit to a scope that is being made, unless it makes it.
///
/// Errors: `BeingForked`; the ledger's.
pub(crate) fn expect_made(commit: &Commit, ledger: &mut dyn Ledger) -> Result<()> {
    // One whose marker's name would be too long is never being made.
    let Ok(marker) = marker(&commit.scope) else {
        return Ok(());
    };
    if ledger.read_ref(&marker)?.is_none() || commit.leases.iter().any(|lease| lease.name == marker)
    {
        return Ok(());
    }
    Err(StoreError::BeingForked {
        scope: commit.scope.clone(),
    })
}

/// Of what a scope is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// It is forked of that scope.
    Scope(Origin),
    /// It is imported of the archive with that root.
    Archive(String),
}

/// What stands beside the marker: of what the scope is made. A fork's is what its origin is told by, an import's a list with
/// the archive's root.
pub(crate) fn record(source: &Source) -> Result<Vec<u8>> {
    let value = match source {
        Source::Scope(origin) => origin.to_ipld(),
        Source::Archive(root) => Ipld::List(vec![Ipld::String(root.clone())]),
    };
    cbor::encode(&value).map_err(|refused| StoreError::Block(refused.into()))
}

/// Of what the scope is made that a marker stands for.
pub(super) fn source(scope: &str, marker: &RefValue) -> Result<Source> {
    read_source(&marker.record).ok_or_else(|| StoreError::Corrupt {
        what: "ref",
        which: format!("{scope}/{FORKING}/"),
        detail: "it does not say of what the scope is made".into(),
    })
}

fn read_source(record: &[u8]) -> Option<Source> {
    let mut input = Reader::new(record);
    let source = match input.next().ok()? {
        Event::Array(1) => match input.next().ok()? {
            Event::Str(root) if !root.is_empty() => Source::Archive(root.to_owned()),
            _ => return None,
        },
        event => Source::Scope(Origin::read(&event)?),
    };
    input.finish().is_ok().then_some(source)
}

/// The right to make a scope: one at a time, a killed holder's is taken over. Given back when it is dropped.
pub(super) struct Making<'s> {
    store: &'s dyn Store,
    lease: Lease,
    /// Ref moves in one commit.
    at_a_time: usize,
}

impl<'s> Making<'s> {
    /// Errors: `LeaseHeld` while somebody alive makes it.
    pub fn take(store: &'s dyn Store, scope: &str, owner: &str, at_a_time: usize) -> Result<Self> {
        let lease = store.lease_acquire(&marker(scope)?, owner)?;
        Ok(Self {
            store,
            lease,
            at_a_time: at_a_time.max(1),
        })
    }

    pub fn token(&self) -> LeaseToken {
        LeaseToken {
            name: self.lease.name.clone(),
            token: self.lease.token,
        }
    }

    /// Moves refs of the hidden scope, a few at a time.
    pub fn move_refs(&self, scope: &str, moves: Vec<RefMove>, progress: &Progress) -> Result<()> {
        for some in moves.chunks(self.at_a_time) {
            self.commit(scope, some.to_vec())?;
            progress.add(some.len() as u64)?;
        }
        Ok(())
    }

    /// Not synced: the last commit of a fork is, and that syncs what it rests on.
    fn commit(&self, scope: &str, moves: Vec<RefMove>) -> Result<()> {
        let ticket = self.store.submit(Commit {
            scope: scope.to_owned(),
            moves,
            leases: vec![self.token()],
            durability: Durability::Relaxed,
            ..Commit::default()
        });
        ticket.wait().map(drop)
    }

    /// Takes away what is there of a scope that is being made; the marker last.
    pub fn clear(&self, scope: &str) -> Result<u64> {
        let marker = marker(scope)?;
        let mut names: Vec<RefName> = refs::all_hidden(self.store, scope)?.into_keys().collect();
        names.retain(|name| *name != marker);
        let count = names.len() as u64;
        let deletion = |name| RefMove {
            name,
            expect: Expect::Any,
            change: Change::Delete,
        };
        let moves = names.into_iter().map(deletion).collect();
        self.move_refs(scope, moves, &Progress::default())?;
        self.commit(scope, vec![deletion(marker)])?;
        Ok(count)
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        // What can't be given back is taken over: of a dead holder at once.
        drop(self.store.lease_release(&self.lease));
    }
}

/// A fork, or an import of many refs, that is not finished: it is under way, or was cut short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The scope that it is to be.
    pub scope: String,
    /// The scope that it is of; None for an import, and if that scope has no refs any more.
    pub from: Option<String>,
    /// The root of the archive that is imported; None for a fork.
    pub archive: Option<String>,
    /// Who makes it now; None if nobody does.
    pub holder: Option<String>,
    /// Refs that are there already.
    pub refs: u64,
}

/// Forks that are not finished, by name. O(refs of the store).
///
/// Errors: `Corrupt` for one whose marker can't be read; the store's.
pub fn unfinished(store: &dyn Store) -> Result<Vec<Unfinished>> {
    const PAGE: usize = 1024;
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.all_refs(after.as_deref(), PAGE)?;
        let Some((last, _)) = page.last() else {
            return Ok(found);
        };
        after = Some(last.clone());
        for (name, value) in page {
            let Ok(name) = RefName::parse(&name) else {
                continue;
            };
            if !is_marker(&name) {
                continue;
            }
            let lease = store.lease_state(&name)?;
            let scope = name.scope().to_owned();
            let (from, archive) = match source(&scope, &value?)? {
                Source::Scope(origin) => (known_as(store, origin)?, None),
                Source::Archive(root) => (None, Some(root)),
            };
            found.push(Unfinished {
                from,
                archive,
                holder: lease.filter(|lease| lease.held).map(|lease| lease.owner),
                refs: (refs::all_hidden(store, &scope)?.len() as u64).saturating_sub(1),
                scope,
            });
        }
    }
}

/// The name of a scope that has refs.
fn known_as(store: &dyn Store, origin: Origin) -> Result<Option<String>> {
    let digest = match origin {
        Origin::Name(name) => return Ok(Some(name)),
        Origin::Digest(digest) => digest,
    };
    let store_id = store.store_id()?;
    let mut scopes = store.scopes()?.into_iter();
    Ok(scopes.find(|scope| digest_of_scope(&store_id, scope) == digest))
}

/// Takes away what a fork that was cut short left; how many refs. O(refs of the store's that are there).
///
/// Errors: `Invalid` if the scope is not being made; `LeaseHeld` while somebody alive makes it; those of a commit: what
/// is left then is hidden still.
pub fn discard(store: &dyn Store, scope: &str) -> Result<u64> {
    let refused = || StoreError::Invalid {
        what: "fork to discard",
        value: scope.to_owned(),
        rule: "no fork of that name is unfinished".into(),
    };
    if store.read_ref(&marker(scope)?)?.is_none() {
        return Err(refused());
    }
    let making = Making::take(store, scope, "discarding a fork", AT_A_TIME)?;
    // Finished by somebody meanwhile: then it is a scope like others.
    if store.read_ref(&marker(scope)?)?.is_none() {
        return Err(refused());
    }
    making.clear(scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_says_of_what() {
        let value = |record| RefValue {
            version: 1,
            target: treering_block::Cid::of_raw(b"x"),
            record,
        };
        for of in [
            Source::Scope(Origin::Digest([7; 32])),
            Source::Archive("bafy".into()),
        ] {
            let made = value(record(&of).unwrap());
            assert_eq!(source("x", &made).unwrap(), of);
        }
        // As it was before.
        let made = value(b"\x63a/b".to_vec());
        let named = Source::Scope(Origin::Name("a/b".into()));
        assert_eq!(source("x", &made).unwrap(), named);
        for broken in [
            vec![],
            vec![0x60],
            vec![0],
            [&made.record[..], &[0]].concat(),
        ] {
            assert!(source("x", &value(broken)).is_err());
        }
    }

    #[test]
    fn a_ref_is_hidden_by_the_marker_of_its_own_scope() {
        let name = |scope: &str, kind: &str| RefName::new(scope, kind, ["x"]).unwrap();
        let marker = marker("a b").unwrap();
        assert_eq!(
            hidden_by(&name("a b", "thread")).as_deref(),
            Some(marker.encoded())
        );
        assert_eq!(hidden_by(&marker), None);
        // It is the one name of its kind that is.
        assert_eq!(
            hidden_by(&name("a b", FORKING)).as_deref(),
            Some(marker.encoded())
        );
    }
}
