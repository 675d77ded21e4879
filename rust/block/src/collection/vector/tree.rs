//! The tree below a vector's root: the way to a leaf, and what a change makes of it.
//!
//! Never: a list of another length than start and end ask for is believed.

use super::list::{decode_elements, decode_links, encode_elements, encode_links};
use super::{Part, Vector, place};
use crate::collection::Draft;
use crate::collection::element::{Element, ill_typed};
use crate::error::BlockError;
use crate::{Block, Cid};

impl Vector {
    // Reading.

    /// The elements of a leaf from element `at` on.
    pub(super) fn leaf_with<E: From<BlockError>>(
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

    pub(super) fn links<E: From<BlockError>>(
        &self,
        cid: &Cid,
        draft: &Draft<'_, E>,
    ) -> Result<Vec<Cid>, E> {
        Ok(decode_links(cid, &draft.get(cid)?)?)
    }

    // Writing.

    /// The tree with another leaf behind its last.
    pub(super) fn with_leaf<E: From<BlockError>>(
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
    pub(super) fn with_element<E: From<BlockError>>(
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

    /// The tree, whose root was `root`, without the leaf that is the tail now.
    pub(super) fn without_last_leaf<E: From<BlockError>>(
        &self,
        tree: Cid,
        root: Part,
        draft: &mut Draft<'_, E>,
    ) -> Result<Option<Cid>, E> {
        let leaf = self.leaves_end();
        let mut tree = self.cut(tree, root, self.start, leaf, draft)?;
        for _ in Part::root_of(leaf).level..root.level {
            // Of a root that is too high one child is left, or none.
            let Some(high) = tree else {
                break;
            };
            tree = self
                .links(&high, draft)?
                .into_iter()
                .next()
                .filter(|_| self.start < leaf);
        }
        Ok(tree)
    }

    /// What is left of the tree between two elements; None for nothing. `end` is a leaf's.
    pub(super) fn cut<E: From<BlockError>>(
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
pub(super) fn branch<E: From<BlockError>>(
    part: Part,
    list: Cid,
    draft: &mut Draft<'_, E>,
) -> Result<Cid, E> {
    (0..part.level).try_fold(list, |child, _| Ok(draft.put(encode_links(&[child])?)))
}
