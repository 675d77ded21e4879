//! One collection, step by step: between two steps everybody else may do anything.
//!
//! Snapshot, walk, size, catch up; then expired holds go, and under the write lock the last of what
//! happened is taken in and the rest declared dead, much garbage in several commits from the top down; then
//! rows are deleted in small ones.
//! Promises: stopping between any two steps, for ever, leaves a store that is whole.
//! Must never: change anything before all that was there at the start has been read and is sound.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::bitmap::Bitmap;
use super::ground::{Changes, Figures, Ground, Purged, View};
use super::learned::Learned;
use super::trace::Trace;
use super::{GcOptions, GcReport};
use crate::commit::Durability;
use crate::error::{Result, StoreError};

/// Catch-up goes on outside the lock until a round takes in no more than this …
const LAST_ROUND_MAX: u64 = 256;
/// … or has been done so often: a store that is written faster than it is read.
const ROUNDS_MAX: u32 = 16;
/// Rows that one small transaction deletes at most.
const PURGE_ROWS_MAX: usize = 512;
/// Holds that one small transaction removes at most …
const ENDED_HOLDS_MAX: usize = 256;
/// … and looks at.
const HOLDS_MAX: usize = 2048;

/// What the next step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Next ordinal, position, refs, holds.
    Snapshot,
    /// Marking, from this ordinal downwards.
    Walk(u64),
    /// Adding up garbage, from this ordinal upwards.
    Size(u64),
    /// Taking in what others did meanwhile: the n-th round.
    CatchUp(u32),
    /// Removing holds that have ended.
    DropHolds,
    /// A piece: a last round outside the lock; then, in a step of its own, one under it, and dead written
    /// down. Again while there are more.
    Bury,
    /// Deleting rows and files of the dead, from this ordinal upwards.
    Purge(u64),
    /// Giving the room of what was deleted back to the system, a little at a time.
    Shrink,
    /// Nothing is left to do.
    Done,
}

/// A collection under way. Dropping it gives it up: nothing has to be undone.
pub struct Collection<'g> {
    ground: &'g dyn Ground,
    phase: Phase,
    started: Instant,
    now_ms: i64,
    trace: Trace,
    /// Holds on smaller ordinals that have ended are removed.
    holds_from: u64,
    /// Down to where the next piece goes, once the round before it is done.
    floor: Option<u64>,
    /// What is to be purged.
    doomed: Bitmap,
    /// Where the files are did not answer: it is not asked to remove more.
    away: bool,
    /// What was not removed because of that.
    left_files: u64,
    report: GcReport,
}

/// How the last round under the lock ended.
enum Sealed {
    /// Another collection was first.
    Moved,
    Buried(Box<Buried>),
}

struct Buried {
    trace: Trace,
    piece: Bitmap,
    figures: Figures,
    generation: u64,
    kept: u64,
}

impl<'g> Collection<'g> {
    /// Starts one; nothing is done before the first step.
    pub fn new(ground: &'g dyn Ground, options: &GcOptions) -> Self {
        Self {
            ground,
            phase: Phase::Snapshot,
            started: Instant::now(),
            now_ms: 0,
            trace: Trace::default(),
            holds_from: 0,
            floor: None,
            doomed: Bitmap::default(),
            away: false,
            left_files: 0,
            report: GcReport {
                dry_run: options.dry_run,
                ..GcReport::default()
            },
        }
    }

    /// What the next step does.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Takes all steps that are left.
    pub fn run(mut self) -> Result<GcReport> {
        while self.phase != Phase::Done {
            self.step()?;
        }
        Ok(self.report())
    }

    /// What was done so far; whole once the phase is [`Phase::Done`].
    pub fn report(&self) -> GcReport {
        let mut report = self.report.clone();
        report.duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        report
    }

    /// Takes one step. After an error the collection is over.
    ///
    /// Errors: `Corrupt` naming what is broken; whatever the backend answers to a read or a commit.
    pub fn step(&mut self) -> Result<()> {
        let stepped = match self.phase {
            Phase::Snapshot => self.snapshot(),
            Phase::Walk(below) => self
                .reading(|trace, view| trace.walk(view, below))
                .map(|next| next.map_or(Phase::Size(0), Phase::Walk)),
            Phase::Size(from) => self
                .reading(|trace, view| trace.size(view, from))
                .map(|next| next.map_or(Phase::CatchUp(1), Phase::Size)),
            Phase::CatchUp(round) => self.catch_up(round),
            Phase::DropHolds => self.drop_holds(),
            Phase::Bury => self.bury(),
            Phase::Purge(from) => self.purge(from),
            Phase::Shrink => self.shrink(),
            Phase::Done => Ok(Phase::Done),
        };
        match stepped {
            Ok(next) => {
                self.phase = next;
                Ok(())
            }
            // What another collection took away under this one looks like damage, and is none.
            Err(StoreError::Corrupt { .. }) if self.generation_moved()? => {
                self.phase = Phase::Snapshot;
                Ok(())
            }
            // The journal from its start on was expired: what moved since is not known, so all is looked at anew.
            Err(StoreError::CursorExpired(_)) => {
                self.phase = Phase::Snapshot;
                Ok(())
            }
            Err(error) => {
                self.phase = Phase::Done;
                Err(error)
            }
        }
    }

    fn reading<T>(
        &mut self,
        mut work: impl FnMut(&mut Trace, &mut dyn View) -> Result<T>,
    ) -> Result<T> {
        let trace = &mut self.trace;
        let mut answer = None;
        self.ground.read(&mut |view| {
            answer = Some(work(trace, view)?);
            Ok(())
        })?;
        answer.ok_or(StoreError::Closed)
    }

    fn generation_moved(&mut self) -> Result<bool> {
        if matches!(
            self.phase,
            Phase::Snapshot | Phase::Purge(_) | Phase::Shrink | Phase::Done
        ) {
            return Ok(false);
        }
        self.reading(|trace, view| Ok(view.generation()? != trace.generation))
    }

    fn snapshot(&mut self) -> Result<Phase> {
        let now_ms = self.ground.now_ms();
        self.now_ms = now_ms;
        self.reading(|trace, view| {
            *trace = Trace::begin(view, now_ms)?;
            Ok(())
        })?;
        self.holds_from = 0;
        self.floor = None;
        self.report.roots = self.trace.refs.saturating_add(self.trace.held);
        self.report.held = self.trace.held;
        Ok(Phase::Walk(self.trace.top()))
    }

    fn catch_up(&mut self, round: u32) -> Result<Phase> {
        let now_ms = self.now_ms;
        let (taken, kept) = self.reading(|trace, view| {
            if view.generation()? != trace.generation {
                return Ok((None, 0));
            }
            let taken = trace.catch_up(view, Some(now_ms), 0)?;
            Ok((Some(taken), view.blocks()?))
        })?;
        let Some(taken) = taken else {
            return Ok(Phase::Snapshot);
        };
        if taken > LAST_ROUND_MAX && round < ROUNDS_MAX {
            return Ok(Phase::CatchUp(round + 1));
        }
        self.report.reachable = kept.saturating_sub(self.trace.gone().blocks);
        if !self.report.dry_run {
            return Ok(Phase::DropHolds);
        }
        let (gone, left) = (self.trace.gone(), self.trace.left);
        self.report.generation = self.trace.generation;
        self.count_dead(gone);
        self.report.deleted = gone.blocks.saturating_add(left.blocks);
        self.report.freed_bytes = gone.bytes.saturating_add(left.bytes);
        Ok(Phase::Done)
    }

    fn count_dead(&mut self, gone: Figures) {
        let report = &mut self.report;
        report.dead = report.dead.saturating_add(gone.blocks);
        report.dead_nodes = report.dead_nodes.saturating_add(gone.nodes);
        report.dead_links = report.dead_links.saturating_add(gone.links);
        report.dead_bytes = report.dead_bytes.saturating_add(gone.bytes);
    }

    /// From here on every hold that is still written down counts, so that one that is renewed at the last
    /// moment does. Which have ended is found out before the lock and looked up again under it.
    fn drop_holds(&mut self) -> Result<Phase> {
        let (until_ms, from) = (self.now_ms, self.holds_from);
        let (first, last) = self.reading(|_, view| {
            let (mut first, mut last) = (None, None);
            let (mut ended, mut seen) = (0, 0);
            view.holds(from..u64::MAX, &mut |ordinal, expires_at_ms| {
                // After the first that has ended only so many are looked at: the next step does so under
                // the lock.
                if ended >= ENDED_HOLDS_MAX || seen >= HOLDS_MAX {
                    return ControlFlow::Break(());
                }
                if expires_at_ms <= until_ms {
                    first = first.or(Some(ordinal));
                    ended += 1;
                }
                seen += usize::from(first.is_some());
                last = Some(ordinal);
                ControlFlow::Continue(())
            })?;
            Ok((first, last))
        })?;
        let (Some(first), Some(last)) = (first, last) else {
            return Ok(self.first_burial());
        };
        let ordinals = first..last.saturating_add(1);
        self.holds_from = ordinals.end;
        self.changing(Durability::Relaxed, move |changes| {
            changes.drop_holds(ordinals, until_ms)
        })?;
        Ok(Phase::DropHolds)
    }

    /// Where to go on once there is nothing but to bury.
    fn first_burial(&mut self) -> Phase {
        if self.trace.has_garbage() {
            Phase::Bury
        } else {
            self.report.generation = self.trace.generation;
            self.all_buried()
        }
    }

    fn all_buried(&mut self) -> Phase {
        self.doomed.union(&self.trace.leftovers);
        Phase::Purge(0)
    }

    fn bury(&mut self) -> Result<Phase> {
        match self.floor.take() {
            Some(floor) => self.bury_from(floor),
            None => self.prepare_piece(),
        }
    }

    /// Nearly all that happened is taken in outside the lock, so that little is left for inside.
    fn prepare_piece(&mut self) -> Result<Phase> {
        let floor = self.reading(|trace, view| {
            if view.generation()? != trace.generation {
                return Ok(None);
            }
            trace.catch_up(view, None, 0)?;
            trace.piece_floor(view).map(Some)
        })?;
        self.floor = floor;
        Ok(match floor {
            None => Phase::Snapshot,
            Some(_) if self.trace.has_garbage() => Phase::Bury,
            Some(_) => self.first_burial(),
        })
    }

    /// Under the lock.
    fn bury_from(&mut self, floor: u64) -> Result<Phase> {
        let mut trace = std::mem::take(&mut self.trace);
        let expected = trace.generation;
        let sealed = self.changing(Durability::Durable, move |changes| {
            let mut kept = None;
            changes.view(&mut |view| {
                if view.generation()? == expected {
                    trace.catch_up(view, None, floor)?;
                    kept = Some(view.blocks()?);
                }
                Ok(())
            })?;
            let Some(blocks) = kept else {
                return Ok(Sealed::Moved);
            };
            let (piece, figures) = trace.take_piece(floor);
            if !piece.is_empty() {
                trace.generation = changes.bury(&piece, figures)?;
            }
            Ok(Sealed::Buried(Box::new(Buried {
                generation: trace.generation,
                kept: blocks.saturating_sub(figures.blocks),
                trace,
                piece,
                figures,
            })))
        });
        // The state went into the lock and stays there on an error.
        self.trace.generation = expected;
        match sealed? {
            Sealed::Moved => Ok(Phase::Snapshot),
            Sealed::Buried(buried) => {
                let Buried {
                    trace,
                    piece,
                    figures,
                    generation,
                    kept,
                } = *buried;
                self.trace = trace;
                self.report.generation = generation;
                self.report.reachable = kept;
                self.count_dead(figures);
                self.doomed.union(&piece);
                Ok(if self.trace.has_garbage() {
                    Phase::Bury
                } else {
                    self.all_buried()
                })
            }
        }
    }

    fn purge(&mut self, from: u64) -> Result<Phase> {
        let mut ordinals = Vec::with_capacity(PURGE_ROWS_MAX);
        let mut next = from;
        while ordinals.len() < PURGE_ROWS_MAX {
            let Some(ordinal) = self.doomed.lowest_from(next) else {
                break;
            };
            ordinals.push(ordinal);
            next = ordinal.saturating_add(1);
        }
        let Some(first) = ordinals.first().copied() else {
            let kept = self.ground.remove_stray_files()?;
            // If it answered by now, what this one left went with the strays.
            self.report.kept_files = match kept.why {
                Some(_) => kept.files.max(self.left_files),
                None => kept.files,
            };
            self.report.kept_because = kept.why;
            return Ok(Phase::Shrink);
        };
        let given = ordinals.clone();
        // Not synced: a row that comes back after a power failure is still dead.
        let Purged {
            done,
            blocks,
            bytes,
            files,
        } = self.changing(Durability::Relaxed, move |changes| changes.purge(&given))?;
        self.away = self.away || !self.ground.remove_files(&files);
        if self.away {
            self.left_files = self.left_files.saturating_add(files.len() as u64);
        }
        self.report.deleted = self.report.deleted.saturating_add(blocks);
        self.report.freed_bytes = self.report.freed_bytes.saturating_add(bytes);
        let last = done.checked_sub(1).and_then(|index| ordinals.get(index));
        Ok(Phase::Purge(
            last.copied().unwrap_or(first).saturating_add(1),
        ))
    }

    /// What was found is written down last: on a disk that was full there is room for it by then.
    fn shrink(&mut self) -> Result<Phase> {
        if self.ground.shrink()? {
            return Ok(Phase::Shrink);
        }
        self.learn(Figures::default())?;
        Ok(Phase::Done)
    }

    /// Ends a collection that is about to change something: what it found is written down and stays.
    ///
    /// Errors: `Invalid` in another phase than [`Phase::DropHolds`].
    pub fn leave(mut self) -> Result<GcReport> {
        if self.phase != Phase::DropHolds {
            return Err(StoreError::Invalid {
                what: "collection",
                value: format!("{:?}", self.phase),
                rule: "it is left when all is marked and nothing changed".into(),
            });
        }
        self.learn(self.trace.gone())?;
        self.phase = Phase::Done;
        Ok(self.report())
    }

    /// What would go, once it is summed up: what is not reached, and what an interrupted collection left.
    pub fn found(&self) -> Figures {
        self.trace.gone().plus(self.trace.left)
    }

    /// `left`: garbage that stays.
    fn learn(&mut self, left: Figures) -> Result<()> {
        let (trace, report) = (&self.trace, &self.report);
        let learned = Learned {
            begun_at_ms: self.now_ms,
            at_ms: self.now_ms,
            next_ordinal: trace.below,
            position: trace.begun_at,
            refs: trace.refs,
            kept: report.reachable,
            garbage: left.blocks,
            garbage_bytes: left.bytes,
            deleted: report.deleted,
            freed_bytes: report.freed_bytes,
        };
        let work = Box::new(move |changes: &mut dyn Changes| changes.learn(&learned));
        match self.ground.note(Durability::Relaxed, work) {
            // Estimates go on from the collection before; what was collected is collected.
            Err(StoreError::DiskFull) => Ok(()),
            noted => noted,
        }
    }

    fn changing<T: Send + 'static>(
        &self,
        durability: Durability,
        work: impl FnOnce(&mut dyn Changes) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let slot = Arc::new(Mutex::new(None));
        let filled = Arc::clone(&slot);
        self.ground.change(
            durability,
            Box::new(move |changes| {
                let answer = work(changes)?;
                *filled.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
                Ok(())
            }),
        )?;
        let answer = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        answer.ok_or(StoreError::Closed)
    }
}
