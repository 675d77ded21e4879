//! Large maps of messages in states: the tree as it was stored, and what was put and taken away since.
//!
//! Promises: a change reads nothing; the tree is read where something is looked up, and written when a snapshot is made.

use std::collections::BTreeMap;
use std::sync::Arc;

use treering_block::collection::Map;
use treering_block::node::Typed;
use treering_block::{BlockError, Cid, Encoded};

use crate::error::{ActorError, Result};
use crate::kind::Blocks;
use crate::messages::Encoding;

/// A stored map; None where there is none yet.
pub(super) fn open(root: Option<&Cid>, blocks: &Blocks<'_>) -> Result<Map> {
    match root {
        None => Ok(Map::new()),
        Some(cid) => Ok(Map::decode(cid, &blocks.get(cid)?)?),
    }
}

/// Puts a map's root.
pub(super) fn close(map: &Map, blocks: &mut Blocks<'_>) -> Result<Cid> {
    Ok(blocks.put(map.encode()?))
}

/// A message as it stands in a map.
pub(super) fn value<M: Encoding>(message: &M) -> Encoded {
    Encoded::from_bytes(&message.encode_to_vec())
}

/// The message of a map's value.
pub(super) fn message<M: Encoding + Default>(value: &Encoded) -> Result<M> {
    let bytes = value.as_bytes().ok_or_else(|| broken("no byte string"))?;
    M::decode(bytes).map_err(|error| broken(&error.to_string()))
}

/// A link as it stands in a map.
pub(super) fn link(cid: &Cid) -> Result<Encoded> {
    Ok(Encoded::from_ipld(&treering_block::Ipld::Link(
        (*cid).into(),
    ))?)
}

/// The link of a collection's value.
pub(super) fn linked(value: &Encoded) -> Result<Cid> {
    match value.links() {
        [link] => Cid::try_from(link).map_err(|error| broken(&error.to_string())),
        _ => Err(broken("no link")),
    }
}

/// The message of a node of its own.
pub(super) fn of_item<M: Encoding + Default>(typed: &Typed) -> Result<M> {
    M::decode(&*typed.message).map_err(|error| broken(&error.to_string()))
}

fn broken(detail: &str) -> ActorError {
    BlockError::IllTyped {
        cid: Cid::of_node(&[]),
        field: "value of a collection".into(),
        expected: detail.into(),
    }
    .into()
}

/// A map of messages by key.
#[derive(Clone, Debug)]
pub(super) struct Shelf<M> {
    root: Option<Cid>,
    changes: BTreeMap<String, Option<Arc<M>>>,
}

impl<M> Default for Shelf<M> {
    fn default() -> Self {
        Self::stored(None)
    }
}

/// How a message stands in the tree.
pub(super) trait Shelved: Clone {
    fn put(&self) -> Result<Encoded>;
    fn read(value: &Encoded) -> Result<Self>;
    fn weight(&self) -> usize;
}

impl<M: Encoding + Default + Clone> Shelved for M {
    fn put(&self) -> Result<Encoded> {
        Ok(value(self))
    }

    fn read(value: &Encoded) -> Result<Self> {
        message(value)
    }

    fn weight(&self) -> usize {
        self.encoded_len()
    }
}

impl<M> Shelf<M> {
    pub(super) fn stored(root: Option<Cid>) -> Self {
        Self {
            root,
            changes: BTreeMap::new(),
        }
    }

    pub(super) fn put(&mut self, key: &str, message: M) {
        self.changes.insert(key.to_owned(), Some(Arc::new(message)));
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.changes.insert(key.to_owned(), None);
    }
}

impl<M: Shelved> Shelf<M> {
    pub(super) fn get(&self, key: &str, blocks: &Blocks<'_>) -> Result<Option<M>> {
        if let Some(change) = self.changes.get(key) {
            return Ok(change.as_deref().cloned());
        }
        let found = open(self.root.as_ref(), blocks)?.get(key, blocks)?;
        found.as_ref().map(M::read).transpose()
    }

    /// All of them, in the order of their keys.
    pub(super) fn all(&self, blocks: &Blocks<'_>) -> Result<BTreeMap<String, M>> {
        let mut all = BTreeMap::new();
        open(self.root.as_ref(), blocks)?.each(blocks, &mut |key: &str, value: Encoded| {
            all.insert(key.to_owned(), M::read(&value)?);
            Ok(true)
        })?;
        for (key, change) in &self.changes {
            match change {
                Some(message) => all.insert(key.clone(), (**message).clone()),
                None => all.remove(key),
            };
        }
        Ok(all)
    }

    /// Stores what was changed; the root.
    pub(super) fn save(&mut self, blocks: &mut Blocks<'_>) -> Result<Cid> {
        let mut map = open(self.root.as_ref(), blocks)?;
        for (key, change) in std::mem::take(&mut self.changes) {
            match change {
                Some(message) => drop(map.insert(&key, message.put()?, blocks)?),
                None => drop(map.remove(&key, blocks)?),
            }
        }
        let root = close(&map, blocks)?;
        self.root = Some(root);
        Ok(root)
    }

    pub(super) fn weight(&self) -> usize {
        let bytes = |(key, change): (&String, &Option<Arc<M>>)| {
            key.len() + 64 + change.as_ref().map_or(0, |message| message.weight())
        };
        self.changes.iter().map(bytes).sum()
    }
}
