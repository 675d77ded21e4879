//! The node that a projection's ref points at: a view, and what of its sources the view has seen.
//!
//! Promises: view and checkpoint are one node, so they can't disagree. One projection has one encoding.
//! Never: its name or scope; the view is the caller's, and nothing here looks into it but for its links.

use std::collections::BTreeSet;

use super::fields::{Fields, Value, check_node_link, write_node};
use crate::cbor::Encoded;
use crate::error::BlockError;
use crate::{Block, Cid};

/// Bytes of what says which sources are followed.
const FOLLOWING_BYTES: usize = 32;

/// A view with its checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct ProjectionNode {
    /// What was made of the events so far.
    pub view: Encoded,
    /// Those of the view's links that are roots of lists and maps, to be read as such; in ascending order.
    pub collections: Vec<Cid>,
    /// Root of a map: source → the newest version that was seen of it.
    pub seen: Cid,
    /// Events that were seen, of all sources together.
    pub events: u64,
    /// What the cursor stands for: a digest of the scopes and kinds that were followed.
    pub following: [u8; 32],
    /// Nothing that is followed was moved by a commit up to this one of the journal, but what `seen` has.
    pub cursor: Option<String>,
}

impl ProjectionNode {
    /// Its kind on the wire.
    pub const KIND: &'static str = "projection";

    /// The node as a block.
    ///
    /// # Errors
    /// [`BlockError::Field`] for a field that breaks its rule; limits; foreign links.
    pub fn encode(&self) -> Result<Block, BlockError> {
        self.check()?;
        let mut fields = vec![
            ("view", Value::Encoded(&self.view)),
            ("seen", Value::Link(&self.seen)),
            ("events", Value::Uint(self.events)),
            ("following", Value::Bytes(&self.following)),
        ];
        if !self.collections.is_empty() {
            fields.push(("collections", Value::Links(&self.collections)));
        }
        fields.extend(self.cursor.as_ref().map(|at| ("cursor", Value::Text(at))));
        write_node(Self::KIND, fields)
    }

    /// The node of `bytes`, which were read as `cid`; the hash is not checked here.
    ///
    /// # Errors
    /// [`BlockError::Undecodable`] and [`BlockError::IllTyped`], both with the CID.
    pub fn decode(cid: &Cid, bytes: &[u8]) -> Result<Self, BlockError> {
        let mut fields = Fields::read(cid, bytes)?;
        fields.take_kind(Self::KIND)?;
        let view = fields.optional_value("view")?;
        let following = fields.bytes("following")?;
        let node = Self {
            view: view.ok_or_else(|| fields.ill_typed("view", "a value"))?,
            collections: fields.links("collections")?,
            seen: fields.link("seen")?,
            events: fields.uint("events")?,
            following: <[u8; FOLLOWING_BYTES]>::try_from(following)
                .map_err(|_| fields.ill_typed("following", "32 bytes"))?,
            cursor: fields.optional_text("cursor")?,
        };
        fields.finish()?;
        node.check().map_err(|error| error.stored_in(*cid))?;
        Ok(node)
    }

    fn check(&self) -> Result<(), BlockError> {
        check_node_link(Self::KIND, "seen", Some(&self.seen))?;
        let ascending = self.collections.iter().is_sorted_by(|one, next| one < next);
        let links = self.view.links().iter();
        let links: BTreeSet<Cid> = links.filter_map(|link| Cid::try_from(link).ok()).collect();
        if ascending && self.collections.iter().all(|cid| links.contains(cid)) {
            return Ok(());
        }
        Err(BlockError::Field {
            kind: Self::KIND,
            field: "collections",
            expected: "links of the view, each once, in ascending order",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cbor::Writer;

    fn view(links: &[Cid]) -> Encoded {
        let mut writer = Writer::new();
        writer.array(links.len()).unwrap();
        for link in links {
            writer.link_ours(link).unwrap();
        }
        writer.finish().unwrap()
    }

    fn node() -> ProjectionNode {
        let mut roots = [Cid::of_node(b"one"), Cid::of_node(b"two")];
        roots.sort_unstable();
        ProjectionNode {
            view: view(&[roots[0], roots[1], Cid::of_node(b"three")]),
            collections: roots.to_vec(),
            seen: Cid::of_node(b"seen"),
            events: 7,
            following: [3; 32],
            cursor: Some("c1-7-0000000000000000".into()),
        }
    }

    #[test]
    fn round_trips() {
        let least = ProjectionNode {
            collections: Vec::new(),
            cursor: None,
            ..node()
        };
        for node in [node(), least] {
            let block = node.encode().unwrap();
            assert_eq!(
                ProjectionNode::decode(&block.cid, &block.bytes).unwrap(),
                node
            );
        }
    }

    #[test]
    fn collections_are_the_view_s_and_in_order() {
        let whole = node();
        let mut reversed = whole.collections.clone();
        reversed.reverse();
        let twice = vec![whole.collections[0]; 2];
        for collections in [reversed, twice, vec![Cid::of_node(b"elsewhere")]] {
            let broken = ProjectionNode {
                collections,
                ..whole.clone()
            };
            assert!(matches!(
                broken.encode(),
                Err(BlockError::Field {
                    field: "collections",
                    ..
                })
            ));
        }
    }
}
