//! A list in blocks: 32 elements a leaf, 32 children a node, its front may be dropped.
//!
//! Promises: `get`, `set`, `push` and `pop` read and write O(log₃₂ n) small blocks; most pushes write the root
//! and the element alone. Positions in the tree never move: dropping the front only cuts what is before it.
//! Never: a list whose length is not what the root says is believed.
//!
//! Source: the persistent vectors of Clojure (R. Hickey, after P. Bagwell's "Ideal Hash Trees", 2001), with
//! links in place of pointers.

use crate::cbor::{Encoded, Event, Reader, Writer};
use crate::collection::Draft;
use crate::collection::element::{Element, ill_typed, link_of};
use crate::error::BlockError;
use crate::limits::Limits;
use crate::node::fields::{Fields, Value, write_node};
use crate::{Block, Cid, Codec};

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

/// A part of the tree: the elements from `base` on that a node of this level can hold.
#[derive(Clone, Copy)]
struct Part {
    base: u64,
    /// 0: a leaf.
    level: u32,
}

impl Part {
    /// The root of a tree for the elements before `end`.
    fn root_of(end: u64) -> Self {
        let mut root = Self { base: 0, level: 0 };
        while root.end() < end {
            root.level = root.level.saturating_add(1);
        }
        root
    }

    fn span(self) -> u64 {
        WIDTH.saturating_pow(self.level.saturating_add(1))
    }

    fn end(self) -> u64 {
        self.base.saturating_add(self.span())
    }

    fn child(self, number: u64) -> Self {
        let level = self.level.saturating_sub(1);
        let below = Self { base: 0, level }.span();
        Self {
            base: self.base.saturating_add(number.saturating_mul(below)),
            level,
        }
    }

    /// The child with element `index`.
    fn child_with(self, index: u64) -> u64 {
        index.saturating_sub(self.base) / self.child(0).span()
    }
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
    /// Those of reading; [`crate::CodecError::Limit`] for an element that no node holds.
    pub fn push<E: From<BlockError>>(
        &mut self,
        value: Encoded,
        draft: &mut Draft<'_, E>,
    ) -> Result<(), E> {
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
        self.tail.pop();
        self.end = self.end.saturating_sub(1);
        if self.tail.is_empty() && self.tree.is_some() {
            // The last leaf of the tree is the tail now.
            let leaf = self.leaves_end();
            let (before, after) = (Part::root_of(self.end), Part::root_of(leaf));
            self.tail = self.leaf_with(self.tail_start(), Some(before), draft)?;
            let mut tree = match self.tree {
                Some(tree) => self.cut(tree, before, self.start, leaf, draft)?,
                None => None,
            };
            let mut level = before.level;
            while level > after.level
                && let Some(root) = tree
            {
                // One child is left, or none.
                tree = self
                    .links(&root, draft)?
                    .into_iter()
                    .next()
                    .filter(|_| self.start < leaf);
                level = level.saturating_sub(1);
            }
            self.tree = tree;
        }
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

    // Reading.

    /// The elements of a leaf from element `at` on.
    fn leaf_with<E: From<BlockError>>(
        &self,
        at: u64,
        root: Option<Part>,
        draft: &Draft<'_, E>,
    ) -> Result<Vec<Element>, E> {
        let (Some(mut cid), Some(mut part)) = (self.tree, root) else {
            return Ok(Vec::new());
        };
        while part.level > 0 {
            let number = part.child_with(at);
            let child = number.checked_sub(Self::first_child(part, self.start));
            let links = self.links(&cid, draft)?;
            cid = child
                .and_then(|child| links.get(place(child)).copied())
                .ok_or_else(|| ill_typed(&cid, "as long as the vector's root asks for"))?;
            part = part.child(number);
        }
        let mut elements = decode_elements(&cid, &draft.get(&cid)?)?;
        let first = self.start.max(part.base);
        if elements.len() as u64 != part.end().saturating_sub(first) {
            return Err(ill_typed(&cid, "as long as the vector's root asks for").into());
        }
        elements.drain(..place(at.saturating_sub(first)).min(elements.len()));
        Ok(elements)
    }

    fn links<E: From<BlockError>>(&self, cid: &Cid, draft: &Draft<'_, E>) -> Result<Vec<Cid>, E> {
        Ok(decode_links(cid, &draft.get(cid)?)?)
    }

    // Writing.

    /// The tree with another leaf behind its last.
    fn with_leaf<E: From<BlockError>>(
        &self,
        tree: Option<Cid>,
        part: Part,
        leaf: Part,
        list: Cid,
        draft: &mut Draft<'_, E>,
    ) -> Result<Cid, E> {
        let Some(tree) = tree.filter(|_| part.level > 0) else {
            return branch(part, list, draft);
        };
        let mut links = self.links(&tree, draft)?;
        let number = part.child_with(leaf.base);
        let after = number.saturating_sub(Self::first_child(part, self.start));
        let last = links.get(place(after)).copied();
        let child = self.with_leaf(last, part.child(number), leaf, list, draft)?;
        links.truncate(place(after));
        links.push(child);
        Ok(draft.put(encode_links(&links)?))
    }

    /// The tree with another element at `at`.
    fn with_element<E: From<BlockError>>(
        &self,
        tree: Cid,
        part: Part,
        at: u64,
        element: Element,
        draft: &mut Draft<'_, E>,
    ) -> Result<Cid, E> {
        let short = || ill_typed(&tree, "as long as the vector's root asks for");
        if part.level == 0 {
            let mut elements = decode_elements(&tree, &draft.get(&tree)?)?;
            let number = at.saturating_sub(self.start.max(part.base));
            *elements.get_mut(place(number)).ok_or_else(short)? = element;
            return Ok(draft.put(Block::from_encoded(encode_elements(&elements)?)?));
        }
        let mut links = self.links(&tree, draft)?;
        let number = part.child_with(at);
        let place = place(number.saturating_sub(Self::first_child(part, self.start)));
        let link = links.get_mut(place).ok_or_else(short)?;
        *link = self.with_element(*link, part.child(number), at, element, draft)?;
        Ok(draft.put(encode_links(&links)?))
    }

    /// What is left of the tree between two elements; None for nothing. `end` is a leaf's.
    fn cut<E: From<BlockError>>(
        &self,
        tree: Cid,
        part: Part,
        start: u64,
        end: u64,
        draft: &mut Draft<'_, E>,
    ) -> Result<Option<Cid>, E> {
        if start >= end || part.end() <= start || part.base >= end {
            return Ok(None);
        }
        if part.level == 0 {
            let mut elements = decode_elements(&tree, &draft.get(&tree)?)?;
            let dropped = start.saturating_sub(self.start.max(part.base));
            if dropped == 0 {
                return Ok(Some(tree));
            }
            elements.drain(..place(dropped).min(elements.len()));
            return Ok(Some(
                draft.put(Block::from_encoded(encode_elements(&elements)?)?),
            ));
        }
        let links = self.links(&tree, draft)?;
        let first = Self::first_child(part, self.start);
        let mut kept = Vec::with_capacity(links.len());
        for (number, link) in (first..).zip(&links) {
            let child = part.child(number);
            let whole = start <= self.start.max(child.base) && child.end() <= end;
            kept.extend(if whole {
                Some(*link)
            } else {
                self.cut(*link, child, start, end, draft)?
            });
        }
        if kept == links {
            return Ok(Some(tree));
        }
        Ok(Some(draft.put(encode_links(&kept)?)))
    }
}

/// `list` as the only leaf below `part`.
fn branch<E: From<BlockError>>(part: Part, list: Cid, draft: &mut Draft<'_, E>) -> Result<Cid, E> {
    (0..part.level).try_fold(list, |child, _| Ok(draft.put(encode_links(&[child])?)))
}

/// A place in a list of at most 32; what lies beyond it is beyond every list.
fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn encode_links(links: &[Cid]) -> Result<Block, BlockError> {
    let mut writer = Writer::with_limits(Limits::NODE);
    writer.array(links.len())?;
    links.iter().try_for_each(|link| writer.link_ours(link))?;
    Block::from_encoded(writer.finish()?)
}

fn encode_elements(elements: &[Element]) -> Result<Encoded, BlockError> {
    let mut writer = Writer::with_limits(Limits::NODE);
    writer.array(elements.len())?;
    elements
        .iter()
        .try_for_each(|element| element.write(&mut writer))?;
    Ok(writer.finish()?)
}

/// The items of a list of at least one and at most 32, each as its bytes.
fn items<'b>(cid: &Cid, bytes: &'b [u8]) -> Result<Vec<&'b [u8]>, BlockError> {
    let undecodable = |source| BlockError::Undecodable { cid: *cid, source };
    let mut reader = Reader::with_limits(bytes, Limits::NODE).map_err(undecodable)?;
    let length = match reader.next().map_err(undecodable)? {
        Event::Array(length) if (1..=WIDTH as usize).contains(&length) => length,
        _ => return Err(ill_typed(cid, "a list of 1 to 32")),
    };
    let mut found = Vec::with_capacity(length);
    for _ in 0..length {
        found.push(reader.skip_value().map_err(undecodable)?);
    }
    reader.finish().map_err(undecodable)?;
    Ok(found)
}

fn decode_links(cid: &Cid, bytes: &[u8]) -> Result<Vec<Cid>, BlockError> {
    items(cid, bytes)?
        .into_iter()
        .map(|item| link_of(cid, item)?.ok_or_else(|| ill_typed(cid, "a list of links")))
        .collect()
}

fn decode_elements(cid: &Cid, bytes: &[u8]) -> Result<Vec<Element>, BlockError> {
    let items = items(cid, bytes)?.into_iter();
    items.map(|item| Element::read(cid, item)).collect()
}

#[cfg(test)]
mod tests;
