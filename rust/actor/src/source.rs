//! Where refs and blocks are read: the store, or the store as a decision under its lock sees it.

use std::sync::Arc;

use treering_block::Cid;
use treering_block::node::{Entry, SnapshotNode};
use treering_store::{RefName, RefValue, Store, StoreError};

use crate::error::{ActorError, Result};

/// Refs and blocks.
pub(crate) trait Source {
    fn read_ref(&self, name: &RefName) -> Result<Option<RefValue>>;
    fn block(&self, cid: &Cid) -> Result<Arc<[u8]>>;
}

/// What is committed.
pub(crate) struct Committed<'s>(pub &'s dyn Store);

impl Source for Committed<'_> {
    fn read_ref(&self, name: &RefName) -> Result<Option<RefValue>> {
        Ok(self.0.read_ref(name)?)
    }

    fn block(&self, cid: &Cid) -> Result<Arc<[u8]>> {
        Ok(self.0.get(cid)?)
    }
}

/// Reads an entry of the log of `actor`, which must be of `version` if that is known.
pub(crate) fn read_entry(
    source: &dyn Source,
    actor: &RefName,
    cid: &Cid,
    version: Option<u64>,
) -> Result<Entry> {
    read_sized_entry(source, actor, cid, version).map(|(entry, _)| entry)
}

/// The same, and how many bytes it takes.
pub(crate) fn read_sized_entry(
    source: &dyn Source,
    actor: &RefName,
    cid: &Cid,
    version: Option<u64>,
) -> Result<(Entry, usize)> {
    let bytes = log_block(source, actor, version.unwrap_or(0), cid)?;
    let entry = Entry::decode(cid, &bytes).map_err(|error| {
        ActorError::corrupt(actor, version.unwrap_or(0), Some(*cid), error.to_string())
    })?;
    match version {
        Some(version) if entry.version() != version => Err(ActorError::corrupt(
            actor,
            version,
            Some(*cid),
            format!("it is of version {}", entry.version()),
        )),
        _ => Ok((entry, bytes.len())),
    }
}

/// Reads a snapshot.
pub(crate) fn read_snapshot(
    source: &dyn Source,
    actor: &RefName,
    cid: &Cid,
) -> Result<SnapshotNode> {
    SnapshotNode::decode(cid, &log_block(source, actor, 0, cid)?)
        .map_err(|error| ActorError::corrupt(actor, 0, Some(*cid), error.to_string()))
}

/// A block of an actor: what is wrong with it is said of the actor.
fn log_block(source: &dyn Source, actor: &RefName, version: u64, cid: &Cid) -> Result<Arc<[u8]>> {
    source.block(cid).map_err(|error| match error {
        ActorError::Store(broken @ (StoreError::Corrupt { .. } | StoreError::BlockNotFound(_))) => {
            ActorError::corrupt(actor, version, Some(*cid), broken.to_string())
        }
        other => other,
    })
}
