//! Collecting a store in memory: each step takes the store's lock for itself.

use std::ops::{ControlFlow, Range};

use super::state::State;
use super::{Inner, MemoryStore};
use crate::commit::Durability;
use crate::error::{Result, StoreError};
use crate::gc::{Bitmap, Change, Changes, Figures, GraphPage, Ground, Kept, Learned, Purged, View};
use treering_block::{Cid, Codec};

impl Ground for MemoryStore {
    fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    fn read(&self, work: &mut dyn FnMut(&mut dyn View) -> Result<()>) -> Result<()> {
        let mut inner = self.open()?;
        work(&mut inner.state)
    }

    fn change(&self, _: Durability, work: Change) -> Result<()> {
        let mut inner = self.open()?;
        let Inner { state, .. } = &mut *inner;
        work(state)
    }

    fn remove_files(&self, _: &[String]) -> bool {
        true
    }

    fn remove_stray_files(&self) -> Result<Kept> {
        Ok(Kept::default())
    }
}

impl View for State {
    fn generation(&mut self) -> Result<u64> {
        Ok(self.generation)
    }

    fn next_ordinal(&mut self) -> Result<u64> {
        Ok(self.last_ordinal.saturating_add(1))
    }

    fn blocks(&mut self) -> Result<u64> {
        Ok(self.live().count() as u64)
    }

    fn position(&mut self) -> Result<u64> {
        Ok(self.head().position)
    }

    fn dead(&mut self) -> Result<Bitmap> {
        Ok(self.dead.clone())
    }

    fn refs(&mut self, visit: &mut dyn FnMut(&str, Cid) -> Result<()>) -> Result<()> {
        self.refs
            .iter()
            .try_for_each(|(name, value)| visit(name.encoded(), value.target))
    }

    fn targets_after(
        &mut self,
        position: u64,
        visit: &mut dyn FnMut(u64, Cid) -> Result<()>,
    ) -> Result<()> {
        if position < self.start.head.position {
            return Err(StoreError::CursorExpired(format!(
                "after commit {position}"
            )));
        }
        for row in self.journal_after(position) {
            let entry = row.entry()?;
            for target in entry.moves.iter().filter_map(|moved| moved.target) {
                visit(row.position, target)?;
            }
        }
        Ok(())
    }

    fn holds(
        &mut self,
        ordinals: Range<u64>,
        visit: &mut dyn FnMut(u64, i64) -> ControlFlow<()>,
    ) -> Result<()> {
        let held = (ordinals.start, String::new())..(ordinals.end, String::new());
        for ((ordinal, _), expires_at_ms) in self.holds.range(held) {
            if visit(*ordinal, *expires_at_ms).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn hold_floor(&mut self, below: u64, count: usize) -> Result<u64> {
        let mut held = self.holds.range(..(below, String::new())).rev();
        Ok(held
            .nth(count)
            .map_or(0, |((ordinal, _), _)| ordinal.saturating_add(1)))
    }

    fn ordinal(&mut self, cid: &Cid) -> Result<Option<u64>> {
        Ok(self.ordinals.get(cid).copied())
    }

    fn graph_down(&mut self, below: u64, limit: usize, dead: &Bitmap) -> Result<GraphPage> {
        let mut page = GraphPage::default();
        for (ordinal, stored) in self.blocks.range(..below).rev().take(limit) {
            if dead.contains(*ordinal) {
                page.push_dead(*ordinal);
            } else {
                page.push(*ordinal, &stored.links);
            }
        }
        Ok(page)
    }

    fn graph_from(
        &mut self,
        from: u64,
        visit: &mut dyn FnMut(u64, &[u64]) -> Result<()>,
    ) -> Result<()> {
        self.blocks
            .range(from..)
            .try_for_each(|(ordinal, stored)| visit(*ordinal, &stored.links))
    }

    fn links(&mut self, ordinal: u64) -> Result<Vec<u64>> {
        match self.blocks.get(&ordinal) {
            Some(stored) => Ok(stored.links.clone()),
            None => Err(StoreError::Corrupt {
                what: "graph row",
                which: ordinal.to_string(),
                detail: "the row is missing".into(),
            }),
        }
    }

    fn figures(&mut self, ordinal: u64) -> Result<Option<Figures>> {
        Ok(self.blocks.get(&ordinal).map(|stored| Figures {
            blocks: 1,
            nodes: u64::from(stored.cid.codec() == Codec::DagCbor),
            bytes: stored.bytes.len() as u64,
            links: stored.links.len() as u64,
        }))
    }

    fn elsewhere(&mut self, _: &mut dyn FnMut(u64, &[u64])) -> Result<()> {
        Ok(())
    }
}

impl Changes for State {
    fn view(&mut self, work: &mut dyn FnMut(&mut dyn View) -> Result<()>) -> Result<()> {
        work(self)
    }

    fn bury(&mut self, garbage: &Bitmap, _: Figures) -> Result<u64> {
        let mut from = 0;
        while let Some(ordinal) = garbage.lowest_from(from) {
            from = ordinal.saturating_add(1);
            self.dead.insert(ordinal);
            if let Some(stored) = self.blocks.get(&ordinal)
                && self.ordinals.get(&stored.cid) == Some(&ordinal)
            {
                self.ordinals.remove(&stored.cid);
            }
        }
        self.generation += 1;
        Ok(self.generation)
    }

    fn purge(&mut self, ordinals: &[u64]) -> Result<Purged> {
        let mut purged = Purged::default();
        for ordinal in ordinals {
            purged.done += 1;
            if !self.dead.contains(*ordinal) {
                continue;
            }
            if let Some(stored) = self.blocks.remove(ordinal) {
                purged.blocks += 1;
                purged.bytes += stored.bytes.len() as u64;
            }
        }
        Ok(purged)
    }

    fn drop_holds(&mut self, ordinals: Range<u64>, until_ms: i64) -> Result<()> {
        self.holds.retain(|(ordinal, _), expires_at_ms| {
            !ordinals.contains(ordinal) || *expires_at_ms > until_ms
        });
        Ok(())
    }

    fn learn(&mut self, learned: &Learned) -> Result<()> {
        self.learned = Some(*learned);
        Ok(())
    }
}
