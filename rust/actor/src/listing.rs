//! Which actors a scope has, and where the log of each stands.
//!
//! Promises: one block is read for each actor, whatever its state; a broken one hides no other.
//! Must never: fold a state.

use treering_block::Cid;
use treering_block::node::Entry;
use treering_store::RefName;

use crate::error::Result;
use crate::read::Reader;
use crate::source::{Committed, read_entry};
use crate::stores::is_kind;

/// Where a log stands, as its newest entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The actor's version.
    pub version: u64,
    /// The version that its log begins after: that of what was cut off, or of its deletion.
    pub base: u64,
    /// When it was last changed, its deletion included, Unix milliseconds; None for a base that does not say.
    pub at_ms: Option<i64>,
    /// When it was deleted, if nothing happened since.
    pub deleted_at_ms: Option<i64>,
    /// Its newest entry.
    pub head: Cid,
}

/// An actor with where it stands, or what is wrong with it.
pub type Listed = (RefName, Result<Standing>);

impl Reader {
    /// Kinds of the actors that a scope has, in order; only those that this version knows, and users' own.
    ///
    /// # Errors
    /// Those of reading; `Invalid` for a blank scope.
    pub fn actor_kinds(&self, scope: &str) -> Result<Vec<String>> {
        let mut kinds = self.store().kinds(scope)?;
        kinds.retain(|kind| is_kind(kind));
        Ok(kinds)
    }

    /// Actors of one kind of a scope in the order of their names, those after `after` (None: from the first), at most
    /// `limit`.
    ///
    /// # Errors
    /// As for [`Reader::actor_kinds`].
    pub fn actors(
        &self,
        scope: &str,
        kind: &str,
        after: Option<&RefName>,
        limit: usize,
    ) -> Result<Vec<Listed>> {
        let rows = self.store().list_refs(scope, kind, after, limit)?;
        let standing = |(name, value): (RefName, treering_store::Result<_>)| {
            let standing = value
                .map_err(Into::into)
                .and_then(|value: treering_store::RefValue| self.standing(&name, value.target));
            (name, standing)
        };
        Ok(rows.into_iter().map(standing).collect())
    }

    pub(crate) fn standing(&self, actor: &RefName, head: Cid) -> Result<Standing> {
        let source = Committed(&**self.store());
        let entry = read_entry(&source, actor, &head, None)?;
        Ok(Standing {
            version: entry.version(),
            base: entry.base(),
            at_ms: entry.at_ms(),
            deleted_at_ms: match &entry {
                Entry::Tombstone(node) => Some(node.deleted_at_ms),
                _ => None,
            },
            head,
        })
    }
}
