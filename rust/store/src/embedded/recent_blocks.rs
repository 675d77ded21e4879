//! Ordinals of blocks that the last commits stored or linked to: the next one links to them, too.
//!
//! Each step of a thread links to its start and to the steps before it, so most look-ups of a commit ask for
//! what one of the last commits wrote.
//! Promises: what it says was true in the newest transaction of this connection.
//! Must never: be carried over somebody else's commit, or over anything that may make a block absent.

use treering_block::Cid;

/// So many places; a block has one of them, by its digest, and takes it from who was there.
const PLACES: usize = 256;

#[derive(Default)]
pub(super) struct RecentBlocks {
    /// Empty until something is noted.
    places: Vec<Option<(Cid, u64)>>,
}

impl RecentBlocks {
    /// The ordinal of a block that is present; None if it is not known here.
    pub(super) fn ordinal(&self, cid: &Cid) -> Option<u64> {
        let (noted, ordinal) = self.places.get(place(cid)).copied().flatten()?;
        (noted == *cid).then_some(ordinal)
    }

    pub(super) fn note(&mut self, cid: &Cid, ordinal: u64) {
        if self.places.is_empty() {
            self.places.resize(PLACES, None);
        }
        if let Some(place) = self.places.get_mut(place(cid)) {
            *place = Some((*cid, ordinal));
        }
    }

    /// Blocks may have become absent.
    pub(super) fn clear(&mut self) {
        self.places.clear();
    }
}

fn place(cid: &Cid) -> usize {
    // Any byte of a digest is as good as a hash of it.
    usize::from(cid.digest()[31]) % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_it_was_told_last_or_nothing() {
        let cids: Vec<Cid> = (0u32..1000)
            .map(|n| Cid::of_raw(&n.to_le_bytes()))
            .collect();
        let mut recent = RecentBlocks::default();
        for (cid, ordinal) in cids.iter().zip(1..) {
            assert_eq!(recent.ordinal(cid), None);
            recent.note(cid, ordinal);
            assert_eq!(recent.ordinal(cid), Some(ordinal));
        }
        let known = cids.iter().zip(1u64..);
        let known = known.filter(|(cid, ordinal)| recent.ordinal(cid) == Some(*ordinal));
        assert!((1..=PLACES).contains(&known.count()));
        recent.clear();
        assert!(cids.iter().all(|cid| recent.ordinal(cid).is_none()));
    }
}
