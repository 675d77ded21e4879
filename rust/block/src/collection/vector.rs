//! A list in blocks: 32 elements a leaf, 32 children a node, its front may be dropped.
//!
//! Promises: `get`, `set`, `push` and `pop` read and write O(log₃₂ n) small blocks; most pushes write the root
//! and the element alone. Positions in the tree never move: dropping the front only cuts what is before it.
//! Never: a list whose length is not what the root says is believed.
//!
//! Source: the persistent vectors of Clojure (R. Hickey, after P. Bagwell's "Ideal Hash Trees", 2001), with
//! links in place of pointers.

mod list;
mod part;
mod tree;

use crate::cbor::Encoded;
use crate::collection::element::Element;
use crate::collection::{Draft, LENGTH_MAX};
use crate::error::{BlockError, CodecError, LimitKind};
use crate::node::fields::{Fields, Value, write_node};
use crate::{Block, Cid, Codec};

use list::{decode_elements, encode_elements, encode_links};
use part::Part;
use tree::branch;

/// Elements of a leaf, children of a node.
pub const WIDTH: u64 = 32;
const KIND: &str = "vector";

/// One version of a list. Elements are DAG-CBOR values of up to 1 MiB.
///
/// The elements before `start` were dropped; the last leaf stands in the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vector {
    start: u64,
    end: u64,
    tree: Option<Cid>,
    tail: Vec<Element>,
}

impl Vector {
    /// No elements.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How many were dropped from the front.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The root as a block.
    ///
    /// # Errors
    /// None that a vector of these methods has.
    pub fn encode(&self) -> Result<Block, BlockError> {
        let tail = encode_elements(&self.tail)?;
        let mut fields = vec![
            ("start", Value::Uint(self.start)),
            ("end", Value::Uint(self.end)),
        ];
        fields.extend(self.tree.as_ref().map(|cid| ("tree", Value::Link(cid))));
        if !self.tail.is_empty() {
            fields.push(("tail", Value::Encoded(&tail)));
        }
        write_node(KIND, fields)
    }

    /// The vector whose root was read as `cid`; the hash is not checked here.
    ///
    /// # Errors
    /// [`BlockError::Undecodable`] and [`BlockError::IllTyped`], both with the CID.
    pub fn decode(cid: &Cid, bytes: &[u8]) -> Result<Self, BlockError> {
        let mut fields = Fields::read(cid, bytes)?;
        fields.take_kind(KIND)?;
        let mut vector = Self {
            start: fields.uint("start")?,
            end: fields.uint("end")?,
            tree: fields.optional_link("tree")?,
            tail: Vec::new(),
        };
        if let Some(tail) = fields.optional_value("tail")? {
            vector.tail = decode_elements(cid, tail.bytes())?;
        }
        let rule = |field: &str, expected: &str| Err(fields.ill_typed(field, expected));
        if vector.end > LENGTH_MAX {
            return rule("end", "an integer below 2⁶³");
        }
        if vector.start > vector.end {
            return rule("start", "no more than end");
        }
        if vector.tail.len() as u64 != vector.end - vector.tail_start() {
            return rule("tail", "as long as start and end ask for");
        }
        if vector.tree.is_some() != (vector.start < vector.leaves_end()) {
            return rule("tree", "there just where elements stand before the tail");
        }
        if vector.tree.is_some_and(|tree| tree.codec() == Codec::Raw) {
            return rule("tree", "a link to a node");
        }
        fields.finish()?;
        Ok(vector)
    }

    /// Element `index`, from 0; None beyond the end. Reads O(log n) blocks.
    ///
    /// # Errors
    /// Those of reading; [`BlockError::IllTyped`] for a block that is no part of a vector.
    pub fn get<E: From<BlockError>>(
        &self,
        index: u64,
        draft: &Draft<'_, E>,
    ) -> Result<Option<Encoded>, E> {
        let Some(at) = self.position(index) else {
            return Ok(None);
        };
        let element = match at.checked_sub(self.tail_start()) {
            Some(at) => self.tail.get(place(at)).cloned(),
            None => self
                .leaf_with(at, self.tree_root(), draft)?
                .into_iter()
                .next(),
        };
        element.map(|element| element.value(draft)).transpose()
    }

    /// Calls `visit` with the elements from `first` on, in order, until it says false. Reads each block once.
    ///
    /// # Errors
    /// As [`Self::get`]; those of `visit`.
    pub fn each<E: From<BlockError>>(
        &self,
        first: u64,
        draft: &Draft<'_, E>,
        visit: &mut dyn FnMut(Encoded) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut at = self.start.saturating_add(first);
        while at < self.leaves_end() {
            for element in self.leaf_with(at, self.tree_root(), draft)? {
                if !visit(element.value(draft)?)? {
                    return Ok(());
                }
                at = at.saturating_add(1);
            }
        }
        for element in self
            .tail
            .iter()
            .skip(place(at.saturating_sub(self.tail_start())))
        {
            if !visit(element.value(draft)?)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Puts an element behind the last.
    ///
    /// # Errors
    /// Those of reading; [`crate::CodecError::Limit`] for an element that no node holds, and behind
    /// [`LENGTH_MAX`] of them.
    pub fn push<E: From<BlockError>>(
        &mut self,
        value: Encoded,
        draft: &mut Draft<'_, E>,
    ) -> Result<(), E> {
        if self.end >= LENGTH_MAX {
            let limit = CodecError::Limit {
                what: LimitKind::Elements,
                limit: LENGTH_MAX,
                actual: self.end.saturating_add(1),
            };
            return Err(BlockError::from(limit).into());
        }
        let element = Element::new(value, draft)?;
        if self.end.is_multiple_of(WIDTH) && !self.tail.is_empty() {
            let leaf = Part {
                base: self.leaves_end(),
                level: 0,
            };
            let list = draft.put(Block::from_encoded(encode_elements(&self.tail)?)?);
            let (root, tree) = (Part::root_of(leaf.end()), self.tree);
            self.tree = match self.tree_root() {
                // The tree grows by a level, over what of it is left.
                Some(before) if before.level < root.level => {
                    let mut children: Vec<Cid> = tree.into_iter().collect();
                    children.push(branch(root.child(1), list, draft)?);
                    Some(draft.put(encode_links(&children)?))
                }
                _ => Some(self.with_leaf(tree, root, leaf, list, draft)?),
            };
            self.tail.clear();
        }
        self.tail.push(element);
        self.end = self.end.saturating_add(1);
        Ok(())
    }

    /// Takes the last element away; None if there is none.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn pop<E: From<BlockError>>(
        &mut self,
        draft: &mut Draft<'_, E>,
    ) -> Result<Option<Encoded>, E> {
        let Some(last) = self.tail.last() else {
            return Ok(None);
        };
        let value = last.value(draft)?;
        let mut after = self.clone();
        after.tail.pop();
        after.end = after.end.saturating_sub(1);
        if after.tail.is_empty()
            && let Some(tree) = after.tree
        {
            // The last leaf of the tree is the tail now.
            let root = Part::root_of(after.end);
            after.tail = after.leaf_with(after.tail_start(), Some(root), draft)?;
            after.tree = after.without_last_leaf(tree, root, draft)?;
        }
        *self = after;
        Ok(Some(value))
    }

    /// Puts another element in the place of `index`. False beyond the end.
    ///
    /// # Errors
    /// As [`Self::get`] and [`Self::push`].
    pub fn set<E: From<BlockError>>(
        &mut self,
        index: u64,
        value: Encoded,
        draft: &mut Draft<'_, E>,
    ) -> Result<bool, E> {
        let Some(at) = self.position(index) else {
            return Ok(false);
        };
        let element = Element::new(value, draft)?;
        if let Some(at) = at.checked_sub(self.tail_start()) {
            if let Some(place) = self.tail.get_mut(place(at)) {
                *place = element;
            }
        } else if let (Some(tree), Some(root)) = (self.tree, self.tree_root()) {
            self.tree = Some(self.with_element(tree, root, at, element, draft)?);
        }
        Ok(true)
    }

    /// Drops `count` elements from the front, all if there are fewer. Reads and writes O(log n) blocks.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn drop_front<E: From<BlockError>>(
        &mut self,
        count: u64,
        draft: &mut Draft<'_, E>,
    ) -> Result<(), E> {
        let start = self.start.saturating_add(count).min(self.end);
        if start == self.start {
            return Ok(());
        }
        let dropped = start.saturating_sub(self.tail_start());
        if let (Some(tree), Some(root)) = (self.tree, self.tree_root()) {
            self.tree = self.cut(tree, root, start, self.leaves_end(), draft)?;
        }
        self.tail.drain(..place(dropped).min(self.tail.len()));
        self.start = start;
        Ok(())
    }

    // Where things are.

    fn position(&self, index: u64) -> Option<u64> {
        let at = self.start.checked_add(index)?;
        (at < self.end).then_some(at)
    }

    /// The elements before this one stand in the tree, or did.
    fn leaves_end(&self) -> u64 {
        self.end.saturating_sub(1) / WIDTH * WIDTH
    }

    /// The first element of the tail.
    fn tail_start(&self) -> u64 {
        self.start.max(self.leaves_end())
    }

    fn tree_root(&self) -> Option<Part> {
        let end = self.leaves_end();
        (end > 0).then(|| Part::root_of(end))
    }

    /// The first child that holds anything from `start` on.
    fn first_child(part: Part, start: u64) -> u64 {
        part.child_with(start.max(part.base))
    }
}

/// A place in a list of at most 32; what lies beyond it is beyond every list.
fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
