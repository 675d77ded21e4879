//! Links as they stand in DAG-CBOR, and the collection of a value's links.
//!
//! Promises: a [`LinkRef`] was checked to hold exactly one CID; a [`LinkSet`] keeps each link once,
//! in the order of first sight. Never: a link is not followed here.

use std::collections::HashSet;
use std::hash::Hash;

use crate::error::CodecError;
use crate::{AnyCid, Cid};

/// From this size on a set is asked instead of the list: most nodes have fewer links.
const SCAN_MAX: usize = 16;

/// The checked bytes of a CID inside an encoded value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkRef<'a>(&'a [u8]);

impl<'a> LinkRef<'a> {
    /// The link of a byte string under tag 42 that stands at `offset`.
    pub(super) fn parse(content: &'a [u8], offset: usize) -> Result<Self, CodecError> {
        let refuse = |reason| CodecError::Link { offset, reason };
        let Some((0, bytes)) = content.split_first().map(|(first, rest)| (*first, rest)) else {
            return Err(refuse("its bytes do not begin with 0x00"));
        };
        // Ours are recognised by four bytes; only foreign ones are taken apart.
        if Cid::from_bytes(bytes).is_ok() {
            return Ok(Self(bytes));
        }
        let Some(foreign) = foreign_cid(bytes) else {
            return Err(refuse(
                "its bytes are not one CID with a digest of at most 64 bytes",
            ));
        };
        // Second spellings (padded varints, bytes after the digest) would make two encodings.
        if foreign.to_bytes() != bytes {
            return Err(refuse("its CID is not in canonical form"));
        }
        Ok(Self(bytes))
    }

    /// The CID's bytes, without the leading zero.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The CID if it is one of ours.
    #[must_use]
    pub fn ours(&self) -> Option<Cid> {
        Cid::from_bytes(self.0).ok()
    }

    /// The CID, ours or not.
    #[must_use]
    pub fn cid(&self) -> AnyCid {
        match self.ours() {
            Some(cid) => cid.into(),
            // Parsed once already when this link was made.
            None => foreign_cid(self.0).unwrap_or_default(),
        }
    }
}

fn foreign_cid(bytes: &[u8]) -> Option<AnyCid> {
    AnyCid::try_from(bytes).ok()
}

/// Links in the order of first sight, each once.
#[derive(Clone, Debug)]
pub struct LinkSet<T = AnyCid> {
    order: Vec<T>,
    seen: HashSet<T>,
}

impl<T> Default for LinkSet<T> {
    fn default() -> Self {
        Self {
            order: Vec::new(),
            seen: HashSet::new(),
        }
    }
}

impl<T: Copy + Eq + Hash> LinkSet<T> {
    /// Adds a link unless it is there. O(1).
    pub fn insert(&mut self, cid: T) {
        let known = if self.seen.is_empty() {
            self.order.contains(&cid)
        } else {
            self.seen.contains(&cid)
        };
        if known {
            return;
        }
        self.order.push(cid);
        if self.seen.is_empty() && self.order.len() > SCAN_MAX {
            self.seen.extend(self.order.iter().copied());
        } else if !self.seen.is_empty() {
            self.seen.insert(cid);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The links in order.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_first_sight_on_both_sides_of_the_scan() {
        let cids: Vec<AnyCid> = (0..60u8).map(|n| Cid::of_raw(&[n]).into()).collect();
        let mut set = LinkSet::default();
        for cid in cids.iter().chain(cids.iter().rev()) {
            set.insert(*cid);
        }
        assert_eq!(set.into_vec(), cids);
    }
}
