//! Whether an actor is what its log says: every entry, every jump, every message, and the snapshot.
//!
//! Promises: what is wrong is named with the actor, the version and the block. Must never: change anything.

use treering_block::Cid;
use treering_block::node::{Entry, event_jump};

use crate::address::Address;
use crate::error::{ActorError, Result};
use crate::kind::Kind;
use crate::loaded::{read_event, replay};
use crate::read::Reader;
use crate::source::{Source, read_entry, read_snapshot};

impl Reader {
    /// Reads an actor's whole log, and says how many events it has: each entry is checked against its CID, its place, its
    /// jump and its type; the snapshot against what the events make. O(events).
    ///
    /// # Errors
    /// `Corrupt`, naming actor, version and block; the store's.
    pub fn verify<K: Kind>(&self, address: &Address) -> Result<u64> {
        let source = &self.committed();
        let actor = address.log();
        // First: what is written meanwhile is then behind it.
        let model = source.read_ref(address.read_model())?;
        let Some(head) = source.read_ref(actor)? else {
            return Ok(0);
        };
        let mut chain: Vec<(u64, Cid, Option<Cid>, u64)> = Vec::new();
        let mut next = Some((head.target, None));
        while let Some((cid, version)) = next {
            let entry = read_entry(source, actor, &cid, version)?;
            if let Some((version, cid, _, base)) = chain.last()
                && *base != entry.base()
            {
                let detail = format!("its log does not begin after version {base}");
                return Err(ActorError::corrupt(actor, *version, Some(*cid), detail));
            }
            let Entry::Event(event) = entry else {
                // What it begins with can be read.
                replay::<K>(source, actor, &cid, None)?;
                break;
            };
            read_event::<K>(actor, &cid, &event)?;
            chain.push((event.version, cid, event.jump, event.base));
            next = event.parent.map(|parent| (parent, Some(event.version - 1)));
        }
        for (version, cid, jump, base) in &chain {
            let (Some(number), Some(jump)) = (event_jump(*version, *base), jump) else {
                continue;
            };
            let newest = chain.first().map_or(0, |(newest, ..)| *newest);
            let there = usize::try_from(newest.saturating_sub(number)).unwrap_or(usize::MAX);
            if chain.get(there).is_none_or(|(_, there, ..)| there != jump) {
                let detail = format!("its jump does not lead to version {number}");
                return Err(ActorError::corrupt(actor, *version, Some(*cid), detail));
            }
        }
        if let Some(value) = model {
            self.verify_snapshot::<K>(address, &head.target, &value.target)?;
        }
        Ok(chain.len() as u64)
    }

    fn verify_snapshot<K: Kind>(&self, address: &Address, head: &Cid, cid: &Cid) -> Result<()> {
        let source = &self.committed();
        let node = read_snapshot(source, address.read_model(), cid)?;
        // What other rules made, or who knows later events, is not what these rules make.
        if node.fold != K::FOLD || node.typed.schema > K::SCHEMA {
            return Ok(());
        }
        let wrong = |detail: &str| {
            let actor = address.read_model();
            Err(ActorError::corrupt(actor, node.version, Some(*cid), detail))
        };
        let Some((entry, _)) = self.find(address.log(), head, node.version)? else {
            return wrong("its log has no such version");
        };
        let mut folded = replay::<K>(source, address.log(), &entry, None)?;
        folded.place.earlier = node.earlier;
        let (made, _) = self.make_snapshot(folded, &entry, node.typed.schema)?;
        if made != *cid && entry.to_bytes().as_slice() == node.entry.as_slice() {
            return wrong("it is not what the events make");
        }
        match &node.earlier {
            Some(earlier) => self.verify_earlier::<K>(address, head, node.version, earlier),
            None => Ok(()),
        }
    }

    /// What a log may begin with next is a snapshot as any other, and keeps no older one.
    fn verify_earlier<K: Kind>(
        &self,
        address: &Address,
        head: &Cid,
        of: u64,
        cid: &Cid,
    ) -> Result<()> {
        let actor = address.read_model();
        let node = read_snapshot(&self.committed(), actor, cid)?;
        if node.version >= of || node.earlier.is_some() {
            let detail = "no snapshot can have it as its earlier one";
            return Err(ActorError::corrupt(actor, node.version, Some(*cid), detail));
        }
        self.verify_snapshot::<K>(address, head, cid)
    }
}
