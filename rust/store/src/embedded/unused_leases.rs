//! Leases that nobody has, of refs that are gone: whoever worked on a thread left one when it was removed.
//!
//! Promises: a token of one that was taken away is never granted again.
//! Must never: take away one that somebody has, whatever became of its ref.

use super::EmbeddedStore;
use super::fork;
use super::orphaned_leases;
use super::session::Session;
use crate::commit::Durability;
use crate::error::{Result, StoreError};
use crate::lease::LeaseState;
use crate::name::RefName;

/// Rows that are looked at together, and at most taken away in one transaction.
const PAGE: usize = 256;

/// A ref that is broken is there: that is for `verify` to tell.
fn is_gone(session: Session<'_>, name: &RefName) -> Result<bool> {
    match session.read_ref_row(name) {
        Err(StoreError::Corrupt { .. }) => Ok(false),
        row => Ok(row?.is_none()),
    }
}

impl EmbeddedStore {
    /// O(leases), read aside from the transactions that take them away.
    pub(super) fn remove_unused_leases(&self) -> Result<()> {
        let shared = &self.usable()?.shared;
        let now_ms = shared.clock.now_ms();
        let is_unused =
            |session: Session<'_>, name: &RefName, stored: LeaseState| -> Result<bool> {
                let alive = |state: &LeaseState| {
                    orphaned_leases::holder_is_alive(&fork::enter(), shared, name, state)
                };
                Ok(!stored.observed(now_ms, alive).held && is_gone(session, name)?)
            };
        let mut after = String::new();
        loop {
            let (last, unused) = self.in_one_read(|session| {
                let mut unused = Vec::new();
                let page = session.lease_rows(&after, PAGE)?;
                let last = page.last().map(|(name, _)| name.clone());
                for (name, stored) in page {
                    // What can't be read is for `verify` to tell.
                    if let (Ok(name), Ok(stored)) = (RefName::parse(&name), stored)
                        && is_unused(session, &name, stored.clone())?
                    {
                        unused.push((name, stored));
                    }
                }
                Ok((last, unused))
            })?;
            let Some(last) = last else {
                return Ok(());
            };
            after = last;
            if unused.is_empty() {
                continue;
            }
            self.in_freeing_transaction(Durability::Relaxed, move |transaction| {
                transaction.writing(|session| {
                    for (name, stored) in &unused {
                        // As it was judged: whoever took it since, or made the ref, has it.
                        if session.lease_row(name)?.as_ref() == Some(stored)
                            && is_gone(session, name)?
                        {
                            session.delete_lease_row(name, stored.token)?;
                        }
                    }
                    Ok(())
                })
            })?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::OpenOptions;
    use crate::embedded::retention::tests::act;
    use crate::store::Store;

    #[test]
    fn a_broken_ref_keeps_its_lease_and_keeps_no_vacuum_from_its_work() {
        let home = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(home.path(), &OpenOptions::default()).unwrap();
        act(&store, "main", 1);
        let names = ["x", "gone"].map(|of| RefName::new("main", "thread", [of]).unwrap());
        for name in &names {
            let lease = store.lease_acquire(name, "").unwrap();
            store.lease_release(&lease).unwrap();
        }
        let conn = rusqlite::Connection::open(home.path().join("store.db")).unwrap();
        assert_eq!(
            conn.execute("UPDATE ref SET version = version + 7", [])
                .unwrap(),
            1
        );
        store.read_ref(&names[0]).unwrap_err();
        store.vacuum().unwrap();
        let left = names.map(|name| store.lease_state(&name).unwrap().is_some());
        assert_eq!(left, [true, false]);
    }
}
