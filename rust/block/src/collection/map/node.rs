//! The trie below a map's root: one node for each level, its bytes, and what a change makes of them.
//!
//! Never: an entry is believed to stand where it does; its key's hash has to lead there.

use super::KEY_BYTES_MAX;
use super::path::{LEVELS_MAX, Path};
use crate::cbor::{Encoded, Event, Reader, Writer};
use crate::collection::Draft;
use crate::collection::element::{Element, ill_typed, link_of, undecodable};
use crate::error::BlockError;
use crate::limits::Limits;
use crate::{Block, Cid};

/// One level of the trie: what stands at which of the 32 places, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node(pub(super) Vec<(u32, Item)>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Entry(String, Element),
    /// At least two keys share the bits up to here.
    Child(Cid),
}

/// An entry to be put, and where its key's hash leads.
pub(super) type Coming = (Path, String, Element);

impl Node {
    /// A node at this level, which is not the top.
    pub(super) fn load<E: From<BlockError>>(
        cid: &Cid,
        level: usize,
        draft: &Draft<'_, E>,
    ) -> Result<Self, E> {
        if level >= LEVELS_MAX {
            return Err(ill_typed(cid, "no deeper than a hash is long").into());
        }
        let node = Self::decode(cid, &draft.get(cid)?)?;
        match node.0.as_slice() {
            [] | [(_, Item::Entry(..))] => Err(ill_typed(cid, "of at least two entries").into()),
            _ => Ok(node),
        }
    }

    pub(super) fn place(&self, place: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&place, |(place, _)| *place)
    }

    pub(super) fn find(&self, place: u32) -> Option<&Item> {
        let at = self.place(place).ok()?;
        self.0.get(at).map(|(_, item)| item)
    }

    pub(super) fn put<E: From<BlockError>>(&self, draft: &mut Draft<'_, E>) -> Result<Item, E> {
        Ok(Item::Child(draft.put(Block::from_encoded(self.encode()?)?)))
    }

    /// Puts what comes, in the order of its paths and each key once. Returns how many keys are new.
    pub(super) fn insert<E: From<BlockError>>(
        &mut self,
        level: usize,
        coming: Vec<Coming>,
        draft: &mut Draft<'_, E>,
    ) -> Result<u64, E> {
        let mut new = 0;
        let mut coming = coming.into_iter().peekable();
        while let Some(first) = coming.next() {
            let place = first.0.place(level);
            let mut group = vec![first];
            while let Some(next) = coming.next_if(|(path, ..)| path.place(level) == place) {
                group.push(next);
            }
            let at = self.place(place);
            let there = at.ok().and_then(|at| self.0.get(at));
            let there = there.map(|(_, item)| item.clone());
            let (item, more) = self.joined(level, there, group, draft)?;
            new += more;
            match at {
                Ok(at) => {
                    if let Some((_, there)) = self.0.get_mut(at) {
                        *there = item;
                    }
                }
                Err(at) => self.0.insert(at, (place, item)),
            }
        }
        Ok(new)
    }

    /// What stands at a place of this level once a group has come there, and how many of its keys are new.
    fn joined<E: From<BlockError>>(
        &self,
        level: usize,
        there: Option<Item>,
        mut group: Vec<Coming>,
        draft: &mut Draft<'_, E>,
    ) -> Result<(Item, u64), E> {
        let mut new = group.len() as u64;
        let mut below = Self::default();
        match there {
            None => {}
            Some(Item::Child(cid)) => {
                below = Self::load(&cid, level + 1, draft)?;
                let new = below.insert(level + 1, group, draft)?;
                return Ok((below.put(draft)?, new));
            }
            Some(Item::Entry(key, element)) => {
                let path = Path::of(&key);
                if !group
                    .iter()
                    .all(|(of, ..)| of.leads_along(&path, level + 1))
                {
                    return Err(self.misplaced()?.into());
                }
                match group.binary_search_by(|(of, ..)| of.cmp(&path)) {
                    Ok(_) => new -= 1,
                    Err(at) => group.insert(at, (path, key, element)),
                }
            }
        }
        match <[Coming; 1]>::try_from(group) {
            Ok([(_, key, element)]) => Ok((Item::Entry(key, element), new)),
            Err(group) => {
                below.insert(level + 1, group, draft)?;
                Ok((below.put(draft)?, new))
            }
        }
    }

    /// What is wrong with an entry whose key's hash leads elsewhere.
    pub(super) fn misplaced(&self) -> Result<BlockError, BlockError> {
        let cid = Block::from_encoded(self.encode()?)?.cid;
        Ok(ill_typed(&cid, "of keys whose hashes lead to it"))
    }

    /// False: the key was not there, and nothing is changed.
    pub(super) fn remove<E: From<BlockError>>(
        &mut self,
        level: usize,
        key: &str,
        path: &Path,
        draft: &mut Draft<'_, E>,
    ) -> Result<bool, E> {
        let Ok(at) = self.place(path.place(level)) else {
            return Ok(false);
        };
        let below = match self.0.get_mut(at) {
            Some((_, Item::Entry(there, _))) if there == key => {
                self.0.remove(at);
                return Ok(true);
            }
            Some((_, item @ Item::Child(_))) => item,
            _ => return Ok(false),
        };
        let Item::Child(cid) = below else {
            return Ok(false);
        };
        let mut node = Self::load(cid, level + 1, draft)?;
        if !node.remove(level + 1, key, path, draft)? {
            return Ok(false);
        }
        *below = match node.0.as_mut_slice() {
            // One key is left, which needs no level of its own.
            [(_, last @ Item::Entry(..))] => last.clone(),
            _ => node.put(draft)?,
        };
        Ok(true)
    }

    /// False: enough. `way`: the places that lead here. `after`: entries up to that one are passed over.
    pub(super) fn each<E: From<BlockError>>(
        &self,
        way: &mut Vec<u32>,
        after: Option<&Path>,
        draft: &Draft<'_, E>,
        visit: &mut dyn FnMut(&str, Encoded) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let first = after.map_or(0, |path| path.place(way.len()));
        for (place, item) in self.0.iter().filter(|(place, _)| *place >= first) {
            let after = after.filter(|_| *place == first);
            way.push(*place);
            let go_on = match item {
                Item::Child(cid) => {
                    Self::load(cid, way.len(), draft)?.each(way, after, draft, visit)?
                }
                Item::Entry(key, element) => {
                    let path = Path::of(key);
                    let mut levels = (0..).zip(way.iter());
                    if !levels.all(|(level, at)| path.place(level) == *at) {
                        return Err(self.misplaced()?.into());
                    }
                    let wanted = after.is_none_or(|after| path > *after);
                    !wanted || visit(key, element.value(draft)?)?
                }
            };
            way.pop();
            if !go_on {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// `[places, item, …]`: a bit for each place that is taken, from the lowest; an item for each bit.
    pub(super) fn encode(&self) -> Result<Encoded, BlockError> {
        let mut writer = Writer::with_limits(Limits::NODE);
        writer.array(self.0.len() + 1)?;
        let taken = self
            .0
            .iter()
            .fold(0u64, |taken, (place, _)| taken | 1 << place);
        writer.u64(taken)?;
        for (_, item) in &self.0 {
            match item {
                Item::Child(cid) => writer.link_ours(cid)?,
                Item::Entry(key, element) => {
                    writer.array(2)?;
                    writer.str(key)?;
                    element.write(&mut writer)?;
                }
            }
        }
        Ok(writer.finish()?)
    }

    pub(super) fn decode(cid: &Cid, bytes: &[u8]) -> Result<Self, BlockError> {
        let failed = |source| undecodable(cid, source);
        let wrong = || ill_typed(cid, "of places and as many links and entries");
        let mut reader = Reader::with_limits(bytes, Limits::NODE).map_err(failed)?;
        let Event::Array(length) = reader.next().map_err(failed)? else {
            return Err(wrong());
        };
        let taken = match (length, reader.next().map_err(failed)?) {
            (1.., Event::Uint(taken)) => u32::try_from(taken).map_err(|_| wrong())?,
            _ => return Err(wrong()),
        };
        if taken.count_ones() as usize + 1 != length {
            return Err(wrong());
        }
        let mut items = Vec::with_capacity(length);
        for place in (0..u32::BITS).filter(|place| taken >> place & 1 == 1) {
            let item = reader.skip_value().map_err(failed)?;
            items.push((place, Item::read(cid, item)?));
        }
        reader.finish().map_err(failed)?;
        Ok(Self(items))
    }
}

impl Item {
    pub(super) fn read(cid: &Cid, item: &[u8]) -> Result<Self, BlockError> {
        if let Some(child) = link_of(cid, item)? {
            return Ok(Self::Child(child));
        }
        let failed = |source| undecodable(cid, source);
        let wrong = || ill_typed(cid, "of links, and entries of a key and an element");
        let mut reader = Reader::new(item);
        if reader.next().map_err(failed)? != Event::Array(2) {
            return Err(wrong());
        }
        match reader.next().map_err(failed)? {
            Event::Str(key) if key.len() <= KEY_BYTES_MAX => {
                let element = reader.skip_value().map_err(failed)?;
                Ok(Self::Entry(key.to_owned(), Element::read(cid, element)?))
            }
            _ => Err(wrong()),
        }
    }
}
