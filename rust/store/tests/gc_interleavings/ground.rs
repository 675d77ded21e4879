//! The store in memory as a collection sees it, in bites of as many rows as are asked for, so that writers get
//! in between. A plant makes it lie where a careless collector would not look.

use std::ops::{ControlFlow, Range};

use treering_block::Cid;
use treering_store::gc::{
    Bitmap, Change, Changes, Figures, GraphPage, Ground, Kept, Learned, Purged, View,
};
use treering_store::{Durability, Result};

use crate::world::World;

/// A mistake in the collection's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    None,
    /// Under the write lock, blocks stored since the last round are not looked at.
    LastRoundForgetsBlocks,
    /// Under the write lock, refs moved since are not.
    LastRoundForgetsMoves,
    /// Under the write lock, holds are not.
    LastRoundForgetsHolds,
    /// Refs that move after the snapshot are never looked at.
    NoMoveAfterTheSnapshot,
    /// What another collection has buried meanwhile is taken for what it was.
    IgnoresTheGeneration,
    /// A hold that had ended when it was looked at is removed, whatever it is by then.
    RemovesRenewedHolds,
}

/// Each look and each change is a piece of its own: in between anybody may do anything.
pub struct Bites<'w> {
    pub world: &'w World,
    pub plant: Plant,
    /// Rows that are walked, or purged, at once.
    pub rows: usize,
}

impl Ground for Bites<'_> {
    fn now_ms(&self) -> i64 {
        Ground::now_ms(self.world.store())
    }

    fn read(&self, work: &mut dyn FnMut(&mut dyn View) -> Result<()>) -> Result<()> {
        self.world.piece(|store, _| {
            store.read(&mut |view| {
                work(&mut Seen {
                    view,
                    plant: self.plant,
                    rows: self.rows,
                    last: false,
                })
            })
        })
    }

    fn change(&self, durability: Durability, work: Change) -> Result<()> {
        let (plant, rows) = (self.plant, self.rows);
        let change = move |changes: &mut dyn Changes| {
            work(&mut Locked {
                changes,
                plant,
                rows,
            })
        };
        self.world
            .piece(|store, _| store.change(durability, Box::new(change)))
    }

    fn remove_files(&self, names: &[String]) -> bool {
        self.world.store().remove_files(names)
    }

    fn remove_stray_files(&self) -> Result<Kept> {
        self.world.store().remove_stray_files()
    }
}

struct Locked<'c> {
    changes: &'c mut dyn Changes,
    plant: Plant,
    rows: usize,
}

impl Changes for Locked<'_> {
    fn view(&mut self, work: &mut dyn FnMut(&mut dyn View) -> Result<()>) -> Result<()> {
        let (plant, rows) = (self.plant, self.rows);
        self.changes.view(&mut |view| {
            work(&mut Seen {
                view,
                plant,
                rows,
                last: true,
            })
        })
    }

    fn bury(&mut self, garbage: &Bitmap, gone: Figures) -> Result<u64> {
        self.changes.bury(garbage, gone)
    }

    fn purge(&mut self, ordinals: &[u64]) -> Result<Purged> {
        self.changes
            .purge(&ordinals[..self.rows.min(ordinals.len())])
    }

    fn drop_holds(&mut self, ordinals: Range<u64>, until_ms: i64) -> Result<()> {
        let until_ms = match self.plant {
            Plant::RemovesRenewedHolds => i64::MAX,
            _ => until_ms,
        };
        self.changes.drop_holds(ordinals, until_ms)
    }

    fn learn(&mut self, learned: &Learned) -> Result<()> {
        self.changes.learn(learned)
    }
}

struct Seen<'v> {
    view: &'v mut dyn View,
    plant: Plant,
    rows: usize,
    /// Under the write lock.
    last: bool,
}

impl Seen<'_> {
    fn lies(&self, plant: Plant) -> bool {
        self.last && self.plant == plant
    }
}

impl View for Seen<'_> {
    fn generation(&mut self) -> Result<u64> {
        if self.plant == Plant::IgnoresTheGeneration {
            return Ok(0);
        }
        self.view.generation()
    }

    fn next_ordinal(&mut self) -> Result<u64> {
        self.view.next_ordinal()
    }

    fn blocks(&mut self) -> Result<u64> {
        self.view.blocks()
    }

    fn position(&mut self) -> Result<u64> {
        self.view.position()
    }

    fn dead(&mut self) -> Result<Bitmap> {
        self.view.dead()
    }

    fn refs(&mut self, visit: &mut dyn FnMut(&str, Cid) -> Result<()>) -> Result<()> {
        self.view.refs(visit)
    }

    fn targets_after(
        &mut self,
        position: u64,
        visit: &mut dyn FnMut(u64, Cid) -> Result<()>,
    ) -> Result<()> {
        if self.lies(Plant::LastRoundForgetsMoves) || self.plant == Plant::NoMoveAfterTheSnapshot {
            return Ok(());
        }
        self.view.targets_after(position, visit)
    }

    fn holds(
        &mut self,
        ordinals: Range<u64>,
        visit: &mut dyn FnMut(u64, i64) -> ControlFlow<()>,
    ) -> Result<()> {
        if self.lies(Plant::LastRoundForgetsHolds) {
            return Ok(());
        }
        self.view.holds(ordinals, visit)
    }

    fn hold_floor(&mut self, below: u64, count: usize) -> Result<u64> {
        self.view.hold_floor(below, count)
    }

    fn ordinal(&mut self, cid: &Cid) -> Result<Option<u64>> {
        self.view.ordinal(cid)
    }

    fn graph_down(&mut self, below: u64, limit: usize, dead: &Bitmap) -> Result<GraphPage> {
        self.view.graph_down(below, limit.min(self.rows), dead)
    }

    fn graph_from(
        &mut self,
        from: u64,
        visit: &mut dyn FnMut(u64, &[u64]) -> Result<()>,
    ) -> Result<()> {
        if self.lies(Plant::LastRoundForgetsBlocks) {
            return Ok(());
        }
        self.view.graph_from(from, visit)
    }

    fn links(&mut self, ordinal: u64) -> Result<Vec<u64>> {
        self.view.links(ordinal)
    }

    fn figures(&mut self, ordinal: u64) -> Result<Option<Figures>> {
        self.view.figures(ordinal)
    }

    fn elsewhere(&mut self, visit: &mut dyn FnMut(u64, &[u64])) -> Result<()> {
        self.view.elsewhere(visit)
    }
}
