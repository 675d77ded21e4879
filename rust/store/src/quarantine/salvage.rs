//! What is left of a ref: which of its blocks are whole with all below them, which can be read and hang in
//! the air, which are gone.
//!
//! Promises: each block is read once, nothing recurses; the three kinds together are everything reached.
//! Must never: call a block whole of which something below can not be read.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use treering_block::{Block, Cid};

use crate::error::Result;

/// A block as it can be had.
pub(crate) enum Found {
    /// As it was written.
    Whole(Content),
    /// Its bytes are right, what the graph says of its links is not: nobody can rest on it where it stands.
    Adrift(Content),
    /// Its bytes are not its own any more; whether they can be read.
    Damaged(bool),
    /// It is not there.
    Missing,
}

/// What its links are found in.
pub(crate) enum Content {
    Bytes(Arc<[u8]>),
    /// A block without links that was read, and checked, piece by piece.
    NoLinks,
}

/// What was found below some roots. More roots may be added; what they share is read once.
#[derive(Default)]
pub(crate) struct Salvage {
    /// Every block reached: whether it is whole with all below it.
    seen: HashMap<Cid, bool>,
    /// Readable, and something below is not; children first.
    pub(crate) hanging: Vec<Cid>,
    /// Whole ones that something hanging links to, and whole roots.
    pub(crate) keep: Vec<Cid>,
    kept: HashSet<Cid>,
    /// Gone or damaged.
    pub(crate) lost: Vec<Cid>,
    /// The damaged whose bytes can be read.
    pub(crate) remains: Vec<Cid>,
}

/// A block whose links are being walked.
struct Open {
    cid: Cid,
    links: Vec<Cid>,
    next: usize,
    adrift: bool,
}

impl Salvage {
    /// Walks what `root` reaches; true if all of it is whole. O(blocks reached), one entry for each.
    ///
    /// Errors: those of `load`.
    pub(crate) fn walk(&mut self, root: Cid, load: &dyn Fn(&Cid) -> Result<Found>) -> Result<bool> {
        let mut open: Vec<Open> = Vec::new();
        if !self.seen.contains_key(&root) {
            self.enter(root, load, &mut open)?;
        }
        while let Some(top) = open.last_mut() {
            if let Some(link) = top.links.get(top.next) {
                let link = *link;
                top.next += 1;
                if !self.seen.contains_key(&link) {
                    self.enter(link, load, &mut open)?;
                }
                continue;
            }
            let Some(done) = open.pop() else { break };
            self.leave(&done);
        }
        let whole = self.is_whole(&root);
        if whole {
            self.keep_one(root);
        }
        Ok(whole)
    }

    /// Whether a block that was walked is whole with all below it.
    pub(crate) fn is_whole(&self, cid: &Cid) -> bool {
        self.seen.get(cid).copied().unwrap_or(false)
    }

    fn keep_one(&mut self, cid: Cid) {
        if self.kept.insert(cid) {
            self.keep.push(cid);
        }
    }

    fn enter(
        &mut self,
        cid: Cid,
        load: &dyn Fn(&Cid) -> Result<Found>,
        open: &mut Vec<Open>,
    ) -> Result<()> {
        let found = load(&cid)?;
        let adrift = matches!(found, Found::Adrift(_));
        let links = match found {
            Found::Whole(Content::NoLinks) | Found::Adrift(Content::NoLinks) => Ok(Vec::new()),
            Found::Whole(Content::Bytes(bytes)) | Found::Adrift(Content::Bytes(bytes)) => {
                Block::stored(cid, bytes)
                    .map(|block| block.links)
                    .map_err(|_| true)
            }
            Found::Damaged(readable) => Err(readable),
            Found::Missing => Err(false),
        };
        match links {
            Ok(links) if links.is_empty() && !adrift => {
                self.seen.insert(cid, true);
            }
            Ok(links) => {
                // Not whole until all below it is: there are no cycles, so nobody asks before.
                self.seen.insert(cid, false);
                open.push(Open {
                    cid,
                    links,
                    next: 0,
                    adrift,
                });
            }
            Err(readable) => {
                self.seen.insert(cid, false);
                self.lost.push(cid);
                self.remains.extend(readable.then_some(cid));
            }
        }
        Ok(())
    }

    fn leave(&mut self, done: &Open) {
        if !done.adrift && done.links.iter().all(|link| self.is_whole(link)) {
            self.seen.insert(done.cid, true);
            return;
        }
        self.hanging.push(done.cid);
        for link in &done.links {
            if self.is_whole(link) {
                self.keep_one(*link);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use treering_block::{Encoded, Ipld};

    use super::*;

    fn node(text: &str, links: &[&Block]) -> Block {
        let links = links.iter().map(|block| Ipld::Link(block.cid.into()));
        let mut items = vec![Ipld::String(text.into())];
        items.extend(links);
        Block::from_encoded(Encoded::from_ipld(&Ipld::List(items)).unwrap()).unwrap()
    }

    fn whole(bytes: &Arc<[u8]>) -> Found {
        Found::Whole(Content::Bytes(Arc::clone(bytes)))
    }

    #[test]
    fn a_hole_in_the_middle() {
        let leaf = Block::raw(b"leaf".to_vec());
        let one = node("1", &[&leaf]);
        let two = node("2", &[&one]);
        let three = node("3", &[&two, &leaf]);
        let side = node("side", &[]);
        let four = node("4", &[&three, &side]);
        let all = [&leaf, &one, &two, &three, &side, &four];
        let load = |gone: Cid| {
            let blocks: HashMap<Cid, Arc<[u8]>> = all
                .iter()
                .filter(|block| block.cid != gone)
                .map(|block| (block.cid, Arc::clone(&block.bytes)))
                .collect();
            move |cid: &Cid| Ok(blocks.get(cid).map_or(Found::Missing, |bytes| whole(bytes)))
        };
        let mut found = Salvage::default();
        let nothing = Cid::of_raw(b"nothing");
        assert!(found.walk(four.cid, &load(nothing)).unwrap());
        assert_eq!(found.keep, [four.cid]);
        assert!(found.hanging.is_empty() && found.lost.is_empty());

        let mut found = Salvage::default();
        let broken = load(two.cid);
        assert!(!found.walk(four.cid, &broken).unwrap());
        assert_eq!(found.hanging, [three.cid, four.cid], "children first");
        assert_eq!(found.keep, [leaf.cid, side.cid]);
        assert_eq!(found.lost, [two.cid]);
        // An earlier head is whole, and shares what was read.
        assert!(found.walk(one.cid, &broken).unwrap());
        assert_eq!(found.keep, [leaf.cid, side.cid, one.cid]);
        assert!(!found.walk(three.cid, &broken).unwrap());
        assert!(!found.walk(two.cid, &broken).unwrap());
        assert_eq!(
            (found.hanging.len(), found.lost.len()),
            (2, 1),
            "no block twice"
        );
    }

    #[test]
    fn what_stands_in_no_right_place_is_copied_though_all_below_is_whole() {
        let leaf = Block::raw(b"leaf".to_vec());
        let head = node("head", &[&leaf]);
        let load = |cid: &Cid| {
            Ok(if *cid == head.cid {
                Found::Adrift(Content::Bytes(Arc::clone(&head.bytes)))
            } else {
                whole(&leaf.bytes)
            })
        };
        let mut found = Salvage::default();
        assert!(!found.walk(head.cid, &load).unwrap());
        assert_eq!(found.hanging, [head.cid]);
        assert_eq!(found.keep, [leaf.cid]);
        assert!(found.lost.is_empty());
    }

    #[test]
    fn damaged_bytes_remain() {
        let leaf = Block::raw(b"leaf".to_vec());
        let head = node("head", &[&leaf]);
        let load = |cid: &Cid| {
            Ok(if *cid == head.cid {
                whole(&head.bytes)
            } else {
                Found::Damaged(true)
            })
        };
        let mut found = Salvage::default();
        assert!(!found.walk(head.cid, &load).unwrap());
        assert_eq!(found.lost, [leaf.cid]);
        assert_eq!(found.remains, [leaf.cid]);
        assert_eq!(found.hanging, [head.cid]);
    }
}
