//! A map in blocks: a trie over the hashes of its keys, 32 ways at each level.
//!
//! Promises: `get`, `insert` and `remove` read and write one node for each level, O(log₃₂ n) of them; the
//! smallest trie that tells all keys apart is the only one there is.
//! Never: the order of keys; `each` goes in that of their hashes.
//!
//! Source: P. Bagwell, "Ideal Hash Trees" (2001); M. Steindorfer and J. Vinju, "Optimizing Hash-Array Mapped
//! Tries" (2015) for the one form; IPLD's HashMap specification for tries in blocks.

mod node;
mod path;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::cbor::Encoded;
use crate::collection::element::{Element, ill_typed};
use crate::collection::{Draft, LENGTH_MAX};
use crate::error::{BlockError, CodecError, LimitKind};
use crate::node::fields::{Fields, Value, write_node};
use crate::{Block, Cid};

use node::{Item, Node};
use path::{LEVELS_MAX, Path};

/// UTF-8 bytes of a key.
pub const KEY_BYTES_MAX: usize = 1024;

const KIND: &str = "map";

/// One version of a map of texts to DAG-CBOR values of up to 1 MiB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map {
    count: u64,
    top: Node,
}

impl Map {
    /// No entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The root as a block.
    ///
    /// # Errors
    /// None that a map of these methods has.
    pub fn encode(&self) -> Result<Block, BlockError> {
        let top = self.top.encode()?;
        let mut fields = vec![("count", Value::Uint(self.count))];
        if !self.top.0.is_empty() {
            fields.push(("top", Value::Encoded(&top)));
        }
        write_node(KIND, fields)
    }

    /// The map whose root was read as `cid`; the hash is not checked here.
    ///
    /// # Errors
    /// [`BlockError::Undecodable`] and [`BlockError::IllTyped`], both with the CID.
    pub fn decode(cid: &Cid, bytes: &[u8]) -> Result<Self, BlockError> {
        let mut fields = Fields::read(cid, bytes)?;
        fields.take_kind(KIND)?;
        let count = fields.uint("count")?;
        let top = match fields.optional_value("top")? {
            Some(top) => Node::decode(cid, top.bytes())?,
            None => Node::default(),
        };
        if (count == 0) != top.0.is_empty() {
            return Err(fields.ill_typed("top", "there just where there are entries"));
        }
        if count > LENGTH_MAX {
            return Err(fields.ill_typed("count", "an integer below 2⁶³"));
        }
        fields.finish()?;
        Ok(Self { count, top })
    }

    /// The value of a key. Reads O(log n) blocks.
    ///
    /// # Errors
    /// Those of reading; [`BlockError::IllTyped`] for a block that is no part of a map.
    pub fn get<E: From<BlockError>>(
        &self,
        key: &str,
        draft: &Draft<'_, E>,
    ) -> Result<Option<Encoded>, E> {
        let path = Path::of(key);
        let mut at = self.top.find(path.place(0)).cloned();
        for level in 1..=LEVELS_MAX {
            match at {
                Some(Item::Child(cid)) => {
                    at = Node::load(&cid, level, draft)?
                        .find(path.place(level))
                        .cloned();
                }
                Some(Item::Entry(found, element)) if found == key => {
                    return element.value(draft).map(Some);
                }
                _ => break,
            }
        }
        Ok(None)
    }

    /// Calls `visit` with every entry, in the order of the keys' hashes, until it says false. Reads each block once.
    ///
    /// # Errors
    /// As [`Self::get`], also for an entry that stands where its key does not lead, and, behind the last, where
    /// there were not as many as the root says; those of `visit`.
    pub fn each<E: From<BlockError>>(
        &self,
        draft: &Draft<'_, E>,
        visit: &mut dyn FnMut(&str, Encoded) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut count = 0u64;
        let mut counted = |key: &str, value| {
            count = count.saturating_add(1);
            visit(key, value)
        };
        let whole = self.top.each(&mut Vec::new(), None, draft, &mut counted)?;
        if whole && count != self.count {
            let cid = self.encode()?.cid;
            return Err(ill_typed(&cid, "of as many entries as it says").into());
        }
        Ok(())
    }

    /// As [`Self::each`], from the entry behind `after` on, whether that key is there or not; counts nothing.
    ///
    /// # Errors
    /// As [`Self::each`].
    pub fn each_after<E: From<BlockError>>(
        &self,
        after: &str,
        draft: &Draft<'_, E>,
        visit: &mut dyn FnMut(&str, Encoded) -> Result<bool, E>,
    ) -> Result<(), E> {
        let after = Path::of(after);
        let mut way = Vec::new();
        self.top.each(&mut way, Some(&after), draft, visit)?;
        Ok(())
    }

    /// Gives a key a value. False: it had one before.
    ///
    /// # Errors
    /// As [`Self::get`]; [`CodecError::Limit`] for a key over [`KEY_BYTES_MAX`] or a value that no node holds.
    pub fn insert<E: From<BlockError>>(
        &mut self,
        key: &str,
        value: Encoded,
        draft: &mut Draft<'_, E>,
    ) -> Result<bool, E> {
        let new = self.extend([(key.to_owned(), value)], draft)?;
        Ok(new > 0)
    }

    /// Gives keys their values, the last one to a key that comes twice; each node on the way is read and written once.
    /// Returns how many keys are new.
    ///
    /// # Errors
    /// As [`Self::insert`]; nothing is changed then.
    pub fn extend<E: From<BlockError>>(
        &mut self,
        entries: impl IntoIterator<Item = (String, Encoded)>,
        draft: &mut Draft<'_, E>,
    ) -> Result<u64, E> {
        let mut coming = BTreeMap::new();
        for (key, value) in entries {
            if key.len() > KEY_BYTES_MAX {
                let limit = CodecError::Limit {
                    what: LimitKind::Name,
                    limit: KEY_BYTES_MAX as u64,
                    actual: key.len() as u64,
                };
                return Err(BlockError::from(limit).into());
            }
            let element = Element::new(value, draft)?;
            coming.insert(Path::of(&key), (key, element));
        }
        let coming = coming.into_iter();
        let coming = coming.map(|(path, (key, element))| (path, key, element));
        let mut top = self.top.clone();
        let new = top.insert(0, coming.collect(), draft)?;
        self.top = top;
        self.count = self.count.saturating_add(new);
        Ok(new)
    }

    /// Takes a key away. False: it was not there.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn remove<E: From<BlockError>>(
        &mut self,
        key: &str,
        draft: &mut Draft<'_, E>,
    ) -> Result<bool, E> {
        let mut top = self.top.clone();
        let gone = top.remove(0, key, &Path::of(key), draft)?;
        self.top = top;
        self.count = self.count.saturating_sub(u64::from(gone));
        Ok(gone)
    }
}
