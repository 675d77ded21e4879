//! What a collection knows so far: which blocks are reached, which look like garbage, and up to where the
//! store's later changes have been taken in.
//!
//! After the walk a block below the snapshot is marked, or garbage, or dead before. From then on garbage
//! is only ever *rescued*: something new reaches it.
//! Promises: memory is a few bits for each ordinal.
//! Must never: look at a store of another generation, where dead and alive are not what they were.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::bitmap::{Bitmap, PAGE_ORDINALS, page_of};
use super::ground::{Figures, View};
use super::mark::{check_links, mark, missing};
use crate::error::{Result, StoreError};

/// Graph rows read at once, between which others may write.
const WALK_ROWS_MAX: usize = 16_384;
/// Blocks sized at once.
const SIZE_ROWS_MAX: usize = 4096;
/// Pages of the dead that are written in one piece …
const PIECE_PAGES_MAX: usize = 64;
/// … and holds that are looked through for it, under the write lock.
const PIECE_HOLDS_MAX: usize = 2048;

/// The state of marking.
#[derive(Default)]
pub(super) struct Trace {
    /// Of the snapshot; all else is void if it moved.
    pub(super) generation: u64,
    /// The snapshot's next ordinal: what is stored later is never garbage of this collection.
    pub(super) below: u64,
    /// What was garbage from here on is dead.
    settled: u64,
    /// Links of the blocks below this ordinal have been taken in.
    seen: u64,
    /// Targets of the commits up to here have been taken in.
    position: u64,
    /// The newest commit of the snapshot.
    pub(super) begun_at: u64,
    marked: Bitmap,
    garbage: Bitmap,
    /// Garbage that was rescued and whose links are still to be followed.
    pending: Bitmap,
    dead: Bitmap,
    /// Rows that an earlier collection declared dead and did not delete.
    pub(super) leftovers: Bitmap,
    elsewhere: Bitmap,
    pub(super) refs: u64,
    pub(super) held: u64,
    /// Of the garbage, by page, once it is sized.
    sizes: BTreeMap<u64, Figures>,
    /// Of all leftovers, once they are sized.
    pub(super) left: Figures,
    sized: bool,
}

impl Trace {
    /// Takes the snapshot: next ordinal, position, refs, holds that last longer than `now_ms`.
    ///
    /// Errors: `Corrupt` for a row that can not be read and for a ref whose target is absent.
    pub(super) fn begin(view: &mut dyn View, now_ms: i64) -> Result<Self> {
        let below = view.next_ordinal()?;
        let mut trace = Self {
            generation: view.generation()?,
            below,
            settled: below,
            seen: below,
            position: view.position()?,
            begun_at: view.position()?,
            marked: Bitmap::below(below),
            garbage: Bitmap::below(below),
            pending: Bitmap::below(below),
            dead: view.dead()?,
            ..Self::default()
        };
        let mut targets = Vec::new();
        view.refs(&mut |name, target| {
            targets.push((name.to_owned(), target));
            Ok(())
        })?;
        for (name, target) in targets {
            let ordinal = view.ordinal(&target)?.ok_or_else(|| StoreError::Corrupt {
                what: "ref",
                which: name,
                detail: format!("it points at {target}, which is missing"),
            })?;
            trace.refs += 1;
            trace.root(ordinal);
        }
        let mut held = Vec::new();
        view.holds(0..below, &mut |ordinal, expires_at_ms| {
            if expires_at_ms > now_ms {
                held.push(ordinal);
            }
            ControlFlow::Continue(())
        })?;
        for ordinal in held {
            trace.held += 1;
            trace.root(ordinal);
        }
        view.elsewhere(&mut |ordinal, links| {
            trace.elsewhere.insert(ordinal);
            links.iter().for_each(|link| trace.root(*link));
        })?;
        Ok(trace)
    }

    fn root(&mut self, ordinal: u64) {
        // What is above is no concern of the walk; that it is there was just looked up.
        if ordinal < self.below {
            self.marked.insert(ordinal);
        }
    }

    /// Where the walk starts.
    pub(super) fn top(&self) -> u64 {
        self.below
    }

    /// One stretch of the walk down from `below`; returns where the next one starts, None at the bottom.
    pub(super) fn walk(&mut self, view: &mut dyn View, below: u64) -> Result<Option<u64>> {
        let page = view.graph_down(below, WALK_ROWS_MAX, &self.dead)?;
        let floor = page.lowest.unwrap_or(0);
        for ordinal in &page.dead {
            self.leftovers.insert(*ordinal);
        }
        let garbage = &mut self.garbage;
        mark(
            &mut self.marked,
            &self.elsewhere,
            (floor, below),
            page.rows(),
            |ordinal| {
                garbage.insert(ordinal);
            },
        )?;
        Ok(page.lowest)
    }

    /// Sums up garbage and leftovers from ordinal `from` on; returns where to go on, None at the end.
    pub(super) fn size(&mut self, view: &mut dyn View, from: u64) -> Result<Option<u64>> {
        let mut next = from;
        for _ in 0..SIZE_ROWS_MAX {
            let found = [&self.garbage, &self.leftovers].map(|bits| bits.lowest_from(next));
            let Some(ordinal) = found.into_iter().flatten().min() else {
                self.sized = true;
                return Ok(None);
            };
            next = ordinal.saturating_add(1);
            let figures = view.figures(ordinal)?;
            if self.garbage.contains(ordinal) {
                let figures = figures.ok_or_else(|| missing_block(ordinal))?;
                let size = self.size_of(ordinal);
                *size = size.plus(figures);
            } else {
                // Another process may be deleting it at this moment.
                self.left = self.left.plus(figures.unwrap_or_default());
            }
        }
        Ok(Some(next))
    }

    /// The figures of an ordinal's page.
    fn size_of(&mut self, ordinal: u64) -> &mut Figures {
        self.sizes.entry(page_of(ordinal)).or_default()
    }

    /// Of all garbage that is not dead yet, once it is sized.
    pub(super) fn gone(&self) -> Figures {
        self.sizes
            .values()
            .fold(Figures::default(), |sum, size| sum.plus(*size))
    }

    /// Whether there is anything to bury.
    pub(super) fn has_garbage(&self) -> bool {
        !self.garbage.is_empty()
    }

    /// Down to where the next piece goes, so that it takes little time under the write lock.
    ///
    /// Pieces go from the top down: what links to a block has a greater ordinal, so it is never alive when
    /// the block is dead.
    pub(super) fn piece_floor(&self, view: &mut dyn View) -> Result<u64> {
        let mut floor = self.settled;
        for _ in 0..PIECE_PAGES_MAX {
            let Some(ordinal) = self.garbage.highest_below(floor) else {
                floor = 0;
                break;
            };
            floor = page_of(ordinal).saturating_mul(PAGE_ORDINALS);
        }
        let start_of = |ordinal| page_of(ordinal).saturating_mul(PAGE_ORDINALS);
        let few_holds = view.hold_floor(self.settled, PIECE_HOLDS_MAX)?;
        let next_page = start_of(few_holds.saturating_add(PAGE_ORDINALS - 1));
        // At least one page, however many hold its blocks.
        let last_page = start_of(self.settled.saturating_sub(1));
        Ok(floor.max(next_page).min(last_page))
    }

    /// Takes out the garbage from `floor`, the start of a page, on: it is being buried.
    pub(super) fn take_piece(&mut self, floor: u64) -> (Bitmap, Figures) {
        let sizes = self.sizes.split_off(&page_of(floor));
        let figures = sizes
            .values()
            .fold(Figures::default(), |sum, size| sum.plus(*size));
        self.settled = floor;
        (self.garbage.split_off(floor), figures)
    }

    /// Takes in what happened since: links of every later block, ref targets, and holds on ordinals from
    /// `holds_from` on that are not settled (`now_ms`: those that last longer; None: all). Returns how much
    /// that was.
    pub(super) fn catch_up(
        &mut self,
        view: &mut dyn View,
        now_ms: Option<i64>,
        holds_from: u64,
    ) -> Result<u64> {
        let (next, position) = (view.next_ordinal()?, view.position()?);
        let mut reached = Vec::new();
        let mut taken = next.saturating_sub(self.seen);
        view.graph_from(self.seen, &mut |ordinal, links| {
            check_links(ordinal, links)?;
            reached.extend_from_slice(links);
            Ok(())
        })?;
        let mut targets = Vec::new();
        view.targets_after(self.position, &mut |at, target| {
            targets.push((at, target));
            Ok(())
        })?;
        taken = taken.saturating_add(targets.len() as u64);
        for (at, target) in targets {
            // Nothing has died since, so what a commit found present is there.
            let ordinal = view.ordinal(&target)?.ok_or_else(|| StoreError::Corrupt {
                what: "journal row",
                which: at.to_string(),
                detail: format!("it moved a ref to {target}, which is missing"),
            })?;
            reached.push(ordinal);
        }
        view.holds(holds_from..self.settled, &mut |ordinal, expires_at_ms| {
            if now_ms.is_none_or(|now_ms| expires_at_ms > now_ms) {
                reached.push(ordinal);
            }
            ControlFlow::Continue(())
        })?;
        for ordinal in reached {
            self.rescue(view, ordinal)?;
        }
        taken = taken.saturating_add(self.follow(view)?);
        (self.seen, self.position) = (next, position);
        Ok(taken)
    }

    /// Something new reaches this ordinal.
    fn rescue(&mut self, view: &mut dyn View, ordinal: u64) -> Result<()> {
        if ordinal >= self.below || self.elsewhere.contains(ordinal) {
            return Ok(());
        }
        if self.garbage.remove(ordinal) {
            if self.sized {
                let figures = view.figures(ordinal)?;
                let figures = figures.ok_or_else(|| missing_block(ordinal))?;
                let size = self.size_of(ordinal);
                *size = size.minus(figures);
            }
            self.marked.insert(ordinal);
            self.pending.insert(ordinal);
            return Ok(());
        }
        if self.marked.contains(ordinal) {
            Ok(())
        } else {
            Err(missing(ordinal))
        }
    }

    /// Follows the links of all that was rescued, downwards. Returns how many.
    fn follow(&mut self, view: &mut dyn View) -> Result<u64> {
        let mut followed = 0;
        let mut below = self.below;
        while let Some(ordinal) = self.pending.highest_below(below) {
            self.pending.remove(ordinal);
            below = ordinal;
            followed += 1;
            let links = view.links(ordinal)?;
            check_links(ordinal, &links)?;
            for link in links {
                self.rescue(view, link)?;
            }
        }
        Ok(followed)
    }
}

/// What nothing reaches in a store that nobody else reads or writes, and the figures of that. Holds that last longer than
/// `now_ms` count. Errors: `Corrupt`, those of reads.
pub fn garbage(view: &mut dyn View, now_ms: i64) -> Result<(Bitmap, Figures)> {
    let mut trace = Trace::begin(view, now_ms)?;
    let mut next = Some(trace.top());
    while let Some(below) = next {
        next = trace.walk(view, below)?;
    }
    let mut next = Some(0);
    while let Some(from) = next {
        next = trace.size(view, from)?;
    }
    Ok(trace.take_piece(0))
}

fn missing_block(ordinal: u64) -> StoreError {
    StoreError::Corrupt {
        what: "block row",
        which: ordinal.to_string(),
        detail: "the graph has it, its block row is missing".into(),
    }
}
