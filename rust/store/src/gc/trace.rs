//! What a collection knows so far: which blocks are reached, which look like garbage, and up to where the
//! store's later changes have been taken in.
//!
//! After the walk a block below the snapshot is marked, or garbage, or dead before. From then on garbage
//! is only ever *rescued*: something new reaches it.
//! Promises: memory is a few bits for each ordinal.
//! Must never: look at a store of another generation, where dead and alive are not what they were.

use super::bitmap::Bitmap;
use super::ground::{Figures, View};
use super::mark::{check_links, mark, missing};
use crate::error::{Result, StoreError};

/// Graph rows read at once, between which others may write.
const WALK_ROWS_MAX: usize = 16_384;
/// Blocks sized at once.
const SIZE_ROWS_MAX: usize = 4096;

/// The state of marking.
#[derive(Default)]
pub(super) struct Trace {
    /// Of the snapshot; all else is void if it moved.
    pub(super) generation: u64,
    /// The snapshot's next ordinal: what is stored later is never garbage of this collection.
    below: u64,
    /// Links of the blocks below this ordinal have been taken in.
    seen: u64,
    /// Targets of the commits up to here have been taken in.
    position: u64,
    marked: Bitmap,
    pub(super) garbage: Bitmap,
    /// Garbage that was rescued and whose links are still to be followed.
    pending: Bitmap,
    dead: Bitmap,
    /// Rows that an earlier collection declared dead and did not delete.
    pub(super) leftovers: Bitmap,
    elsewhere: Bitmap,
    pub(super) roots: u64,
    /// Of all garbage, once it is sized.
    pub(super) gone: Figures,
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
            seen: below,
            position: view.position()?,
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
            trace.roots += 1;
            trace.root(ordinal);
        }
        let mut held = Vec::new();
        view.holds(below, &mut |ordinal, expires_at_ms| {
            if expires_at_ms > now_ms {
                held.push(ordinal);
            }
            Ok(())
        })?;
        for ordinal in held {
            trace.roots += 1;
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
                self.gone = self
                    .gone
                    .plus(figures.ok_or_else(|| missing_block(ordinal))?);
            } else {
                // Another process may be deleting it at this moment.
                self.left = self.left.plus(figures.unwrap_or_default());
            }
        }
        Ok(Some(next))
    }

    /// Takes in what happened since: links of every later block, ref targets, holds (`now_ms`: those that
    /// last longer; None: all). Returns how much that was.
    pub(super) fn catch_up(&mut self, view: &mut dyn View, now_ms: Option<i64>) -> Result<u64> {
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
        view.holds(self.below, &mut |ordinal, expires_at_ms| {
            if now_ms.is_none_or(|now_ms| expires_at_ms > now_ms) {
                reached.push(ordinal);
            }
            Ok(())
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
                self.gone = self
                    .gone
                    .minus(figures.ok_or_else(|| missing_block(ordinal))?);
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

fn missing_block(ordinal: u64) -> StoreError {
    StoreError::Corrupt {
        what: "block row",
        which: ordinal.to_string(),
        detail: "the graph has it, its block row is missing".into(),
    }
}
