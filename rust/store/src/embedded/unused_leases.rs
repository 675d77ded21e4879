//! Leases that nobody has, of refs that are gone: whoever worked on a thread left one when it was removed.
//!
//! Promises: a token of one that was taken away is never granted again.
//! Must never: take away one that somebody has, whatever became of its ref.

use super::EmbeddedStore;
use super::fork;
use super::orphaned_leases;
use super::session::Session;
use crate::commit::Durability;
use crate::error::Result;
use crate::lease::LeaseState;
use crate::name::RefName;

/// Rows that are looked at together, and at most taken away in one transaction.
const PAGE: usize = 256;

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
                Ok(!stored.observed(now_ms, alive).held && session.read_ref_row(name)?.is_none())
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
                            && session.read_ref_row(name)?.is_none()
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
