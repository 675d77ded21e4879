//! A map in blocks: a trie over the hashes of its keys, 32 ways at each level.
//!
//! Promises: `get`, `insert` and `remove` read and write one node for each level, O(log₃₂ n) of them; the
//! smallest trie that tells all keys apart is the only one there is.
//! Never: the order of keys; `each` goes in that of their hashes.
//!
//! Source: P. Bagwell, "Ideal Hash Trees" (2001); M. Steindorfer and J. Vinju, "Optimizing Hash-Array Mapped
//! Tries" (2015) for the one form; IPLD's HashMap specification for tries in blocks.

use crate::cbor::{Encoded, Event, Reader, Writer};
use crate::collection::element::{Element, ill_typed, link_of, undecodable};
use crate::collection::{Draft, LENGTH_MAX};
use crate::error::{BlockError, CodecError, LimitKind};
use crate::limits::Limits;
use crate::node::fields::{Fields, Value, write_node};
use crate::{Block, Cid};

/// UTF-8 bytes of a key.
pub const KEY_BYTES_MAX: usize = 1024;

const KIND: &str = "map";
/// Bits of a hash that one level tells apart.
const BITS: usize = 5;
/// After so many levels all 256 bits are used up.
const LEVELS_MAX: usize = 256_usize.div_ceil(BITS);

/// One version of a map of texts to DAG-CBOR values of up to 1 MiB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map {
    count: u64,
    top: Node,
}

/// One level of the trie: what stands at which of the 32 places, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node(Vec<(u32, Item)>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Entry(String, Element),
    /// At least two keys share the bits up to here.
    Child(Cid),
}

/// The hash of a key, five bits at a time.
struct Path(blake3::Hash);

impl Path {
    fn of(key: &str) -> Self {
        Self(blake3::hash(key.as_bytes()))
    }

    /// The place at a level: bits 5·level … 5·level + 4, the first bit being the highest of byte 0.
    fn place(&self, level: usize) -> u32 {
        let bits = (level * BITS..(level + 1) * BITS).map(|bit| {
            let byte = self.0.as_bytes().get(bit / 8).copied().unwrap_or(0);
            u32::from(byte >> (7 - bit % 8) & 1)
        });
        bits.fold(0, |place, bit| place << 1 | bit)
    }

    /// Whether both lead to the same node of this level.
    fn leads_along(&self, other: &Self, level: usize) -> bool {
        (0..level).all(|above| self.place(above) == other.place(above))
    }

    fn is_behind(&self, other: &Self) -> bool {
        self.0.as_bytes() > other.0.as_bytes()
    }
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
        if key.len() > KEY_BYTES_MAX {
            let limit = CodecError::Limit {
                what: LimitKind::Name,
                limit: KEY_BYTES_MAX as u64,
                actual: key.len() as u64,
            };
            return Err(BlockError::from(limit).into());
        }
        let entry = Item::Entry(key.to_owned(), Element::new(value, draft)?);
        let mut top = self.top.clone();
        let new = top.insert(0, key, &Path::of(key), entry, draft)?;
        self.top = top;
        self.count = self.count.saturating_add(u64::from(new));
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

impl Node {
    /// A node at this level, which is not the top.
    fn load<E: From<BlockError>>(cid: &Cid, level: usize, draft: &Draft<'_, E>) -> Result<Self, E> {
        if level >= LEVELS_MAX {
            return Err(ill_typed(cid, "no deeper than a hash is long").into());
        }
        let node = Self::decode(cid, &draft.get(cid)?)?;
        match node.0.as_slice() {
            [] | [(_, Item::Entry(..))] => Err(ill_typed(cid, "of at least two entries").into()),
            _ => Ok(node),
        }
    }

    fn place(&self, place: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&place, |(place, _)| *place)
    }

    fn find(&self, place: u32) -> Option<&Item> {
        let at = self.place(place).ok()?;
        self.0.get(at).map(|(_, item)| item)
    }

    fn put<E: From<BlockError>>(&self, draft: &mut Draft<'_, E>) -> Result<Item, E> {
        Ok(Item::Child(draft.put(Block::from_encoded(self.encode()?)?)))
    }

    /// False: the key was there.
    fn insert<E: From<BlockError>>(
        &mut self,
        level: usize,
        key: &str,
        path: &Path,
        entry: Item,
        draft: &mut Draft<'_, E>,
    ) -> Result<bool, E> {
        let place = path.place(level);
        let at = match self.place(place) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (place, entry));
                return Ok(true);
            }
        };
        let (child, new) = match self.0.get(at).map(|(_, item)| item) {
            None => return Ok(false),
            Some(Item::Entry(there, _)) if there == key => (entry, false),
            Some(item @ Item::Entry(there, _)) => {
                let path_there = Path::of(there);
                if !path.leads_along(&path_there, level + 1) {
                    return Err(self.misplaced()?.into());
                }
                let both = [(&path_there, item.clone()), (path, entry)];
                (Self::of_two(level + 1, both, draft)?, true)
            }
            Some(Item::Child(cid)) => {
                let mut below = Self::load(cid, level + 1, draft)?;
                let new = below.insert(level + 1, key, path, entry, draft)?;
                (below.put(draft)?, new)
            }
        };
        if let Some((_, item)) = self.0.get_mut(at) {
            *item = child;
        }
        Ok(new)
    }

    /// The nodes from this level on that tell two entries apart.
    fn of_two<E: From<BlockError>>(
        level: usize,
        [one, other]: [(&Path, Item); 2],
        draft: &mut Draft<'_, E>,
    ) -> Result<Item, E> {
        let (place, place_other) = (one.0.place(level), other.0.place(level));
        let mut node = if place != place_other {
            Self(vec![(place, one.1), (place_other, other.1)])
        } else if level < LEVELS_MAX {
            Self(vec![(place, Self::of_two(level + 1, [one, other], draft)?)])
        } else {
            // Two keys of one hash: no other level would tell them apart.
            return Err(Self(vec![(place, one.1)]).misplaced()?.into());
        };
        node.0.sort_unstable_by_key(|(place, _)| *place);
        node.put(draft)
    }

    /// What is wrong with an entry whose key's hash leads elsewhere.
    fn misplaced(&self) -> Result<BlockError, BlockError> {
        let cid = Block::from_encoded(self.encode()?)?.cid;
        Ok(ill_typed(&cid, "of keys whose hashes lead to it"))
    }

    /// False: the key was not there, and nothing is changed.
    fn remove<E: From<BlockError>>(
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
    fn each<E: From<BlockError>>(
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
                    let wanted = after.is_none_or(|after| path.is_behind(after));
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
    fn encode(&self) -> Result<Encoded, BlockError> {
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

    fn decode(cid: &Cid, bytes: &[u8]) -> Result<Self, BlockError> {
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
    fn read(cid: &Cid, item: &[u8]) -> Result<Self, BlockError> {
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

#[cfg(test)]
mod tests;
