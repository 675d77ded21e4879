//! The automatic collection: looks now and then whether there is much garbage, and collects it step by step
//! from a thread of its own.
//!
//! A commit that comes when it may be time starts the thread; it ends when it is done, so that a store where
//! nothing happens has none. It takes the turn for an hour by writing down when it began: of all processes
//! the first gets it. Promises: at most one at a time among all processes; a piece under the write lock is
//! short, waits until nobody else does, and is followed by a pause many times as long; closing waits for one
//! step at most.
//! Must never: keep a writer waiting, keep the process alive, report an error to anybody but the log.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::core::Shared;
use super::gc::{TransactionWork, change, freeing};
use super::queue::{Queue, Request, Work};
use super::reply::Reply;
use super::stray_files::settling;
use crate::commit::Durability;
use crate::error::{Result, StoreError};
use crate::gc::{
    Change, Collection, Figured, GcOptions, GcReport, Ground, Kept, Learned, Phase, View, is_much,
};

/// At most so often, by the store's clock …
const HOUR_MS: i64 = 60 * 60 * 1000;
/// … and when there was too little garbage an hour ago, so often is estimated anew.
const ESTIMATE_EVERY_MS: i64 = 5 * 60 * 1000;
/// Never: it is off, or at work.
const NEVER: i64 = i64::MAX;
/// A piece that does not get the write lock in this time is given up, and the collection with it.
const LOCK_WAIT: Duration = Duration::from_secs(1);
/// Before a piece that needs the write lock it waits so long for a moment without other requests …
const QUIET_WAIT: Duration = Duration::from_millis(200);
/// … and looks so often.
const QUIET_LOOK: Duration = Duration::from_millis(2);
/// After such a piece it pauses for so many times as long as that took.
const PAUSE_FACTOR: u32 = 10;

pub(super) struct Automatic {
    /// Not before this, by the store's clock, is anything looked at.
    not_before_ms: AtomicI64,
    state: Mutex<State>,
    stopping: Condvar,
}

#[derive(Default)]
struct State {
    stop: bool,
    /// The newest thread, running or done.
    thread: Option<JoinHandle<()>>,
}

impl Automatic {
    /// `on`: false where it is switched off or nothing may be written.
    pub(super) fn new(shared: &Shared, on: bool) -> Self {
        let not_before_ms = if on {
            let now_ms = shared.clock.now_ms();
            // What can't be read is reported by who needs it.
            let learned = shared
                .connections
                .reading(|session| session.learned_or_first());
            turn_ends(
                learned.map_or(now_ms, |learned| learned.begun_at_ms),
                now_ms,
            )
        } else {
            NEVER
        };
        Self {
            not_before_ms: AtomicI64::new(not_before_ms),
            state: Mutex::default(),
            stopping: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread if it may be time. Called after each commit of this process.
    pub(super) fn start_if_due(this: &Arc<Self>, shared: &Arc<Shared>, queue: &Arc<Queue>) {
        let due_ms = this.not_before_ms.load(Relaxed);
        if due_ms == NEVER || shared.clock.now_ms() < due_ms {
            return;
        }
        let ours = this
            .not_before_ms
            .compare_exchange(due_ms, NEVER, Relaxed, Relaxed);
        if ours.is_err() {
            return;
        }
        let collector = Collector {
            automatic: Arc::clone(this),
            shared: Arc::clone(shared),
            queue: Arc::clone(queue),
            network_ns: AtomicU64::new(0),
        };
        let mut state = this.state();
        if state.stop {
            return;
        }
        let started = std::thread::Builder::new()
            .name("treering-gc".into())
            .spawn(move || collector.run());
        match started {
            Ok(thread) => state.thread = Some(thread),
            Err(error) => {
                tracing::warn!(%error, "no thread for the automatic collection; tried again in an hour");
                let next_ms = shared.clock.now_ms().saturating_add(HOUR_MS);
                this.not_before_ms.store(next_ms, Relaxed);
            }
        }
    }

    /// Gives up what is under way, and starts nothing any more.
    pub(super) fn stop(&self, wait: bool) {
        let thread = {
            let mut state = self.state();
            state.stop = true;
            state.thread.take()
        };
        self.stopping.notify_all();
        if let Some(thread) = thread.filter(|_| wait)
            && thread.join().is_err()
        {
            tracing::error!("the automatic collection panicked");
        }
    }

    /// Waits, but not beyond [`Automatic::stop`]. Errors: `Closed` then.
    fn pause(&self, time: Duration) -> Result<()> {
        let state = self.state();
        let (state, _) = self
            .stopping
            .wait_timeout_while(state, time, |state| !state.stop)
            .unwrap_or_else(PoisonError::into_inner);
        if state.stop {
            Err(StoreError::Closed)
        } else {
            Ok(())
        }
    }
}

/// Until when another process has the turn, if one has. Begun in the future: the clock was put back, and
/// this process has waited for an hour since.
fn others_turn(learned: &Learned, now_ms: i64) -> Option<i64> {
    let ends_ms = learned.begun_at_ms.saturating_add(HOUR_MS);
    (learned.begun_at_ms <= now_ms && now_ms < ends_ms).then_some(ends_ms)
}

/// When the turn of a collection that began then is over. A time in the future is a clock that was put back.
fn turn_ends(begun_at_ms: i64, now_ms: i64) -> i64 {
    begun_at_ms.min(now_ms).saturating_add(HOUR_MS)
}

/// One turn, on its own thread.
struct Collector {
    automatic: Arc<Automatic>,
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    /// How long a bucket was waited for so far: nobody else waited meanwhile.
    network_ns: AtomicU64,
}

/// How long a step is followed by nothing. `locks`: it had the write lock, but not while it waited for the network.
fn pause_after(took: Duration, network: Duration, locks: bool) -> Duration {
    let factor = if locks { PAUSE_FACTOR } else { 1 };
    took.saturating_sub(network) * factor
}

impl Collector {
    fn run(self) {
        let next_ms = self.turn().unwrap_or_else(|error| {
            if !matches!(error, StoreError::Closed) {
                tracing::warn!(%error, "the automatic collection was given up; tried again in an hour");
            }
            self.now_ms().saturating_add(HOUR_MS)
        });
        self.automatic.not_before_ms.store(next_ms, Relaxed);
    }

    /// Estimates, and collects if there may be much. Returns when to look again.
    fn turn(&self) -> Result<i64> {
        let tally = &self.shared.tally;
        let now_ms = self.now_ms();
        let (learned, figured) = self
            .shared
            .connections
            .reading(|session| Ok((session.learned_or_first()?, session.figured(now_ms)?)))?;
        if let Some(later_ms) = others_turn(&learned, now_ms) {
            return Ok(later_ms);
        }
        tally.automatic_gc_checks.fetch_add(1, Relaxed);
        if !learned.is_due(&figured) {
            return Ok(now_ms.saturating_add(ESTIMATE_EVERY_MS));
        }
        if let Some(later_ms) = self.take_turn(now_ms)? {
            return Ok(later_ms);
        }
        tally.automatic_gc_marks.fetch_add(1, Relaxed);
        if let Some(report) = self.collect(&figured)? {
            tally.automatic_gc_collections.fetch_add(1, Relaxed);
            tracing::info!(?report, "collected");
        }
        Ok(now_ms.saturating_add(HOUR_MS))
    }

    /// Takes the turn, under the write lock. Some: another process was first, and has it until then.
    fn take_turn(&self, now_ms: i64) -> Result<Option<i64>> {
        let slot = Arc::new(Mutex::new(None));
        let taken = Arc::clone(&slot);
        let work: TransactionWork = Box::new(move |transaction| {
            let mut learned = transaction.session().learned_or_first()?;
            let others = others_turn(&learned, now_ms);
            *taken.lock().unwrap_or_else(PoisonError::into_inner) = others;
            if others.is_some() {
                return Ok(());
            }
            learned.begun_at_ms = now_ms;
            transaction.writing(|session| session.write_learned(&learned))
        });
        self.ask_writer(|reply| Work::Change {
            work,
            durability: Durability::Relaxed,
            // Perhaps nothing is worth collecting: what is reserved is for what does give room back.
            frees: false,
            reply,
        })?;
        let later_ms = *slot.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(later_ms)
    }

    /// Queues work and waits for it.
    fn ask_writer(&self, work: impl FnOnce(Reply<()>) -> Work) -> Result<()> {
        let (reply, answer) = Reply::new();
        let request = Request::new(work(reply), LOCK_WAIT);
        if self.queue.push(request, true).is_err() {
            return Err(StoreError::Closed);
        }
        answer.wait().unwrap_or(Err(StoreError::Closed))
    }

    /// None: there was not much, and nothing was changed.
    fn collect(&self, figured: &Figured) -> Result<Option<GcReport>> {
        let mut collection = Collection::new(self, &GcOptions::default());
        let tally = &self.shared.tally;
        let mut worth_it = false;
        let (mut deleted, mut freed_bytes) = (0, 0);
        while collection.phase() != Phase::Done {
            let phase = collection.phase();
            if phase == Phase::DropHolds && !worth_it {
                let (found, report) = (collection.found(), collection.report());
                let all = found.blocks.saturating_add(report.reachable);
                worth_it = is_much(found.blocks, all) || is_much(found.bytes, figured.bytes);
                if !worth_it {
                    collection.leave()?;
                    return Ok(None);
                }
            }
            let locks = matches!(
                phase,
                Phase::DropHolds | Phase::Bury | Phase::Purge(_) | Phase::Shrink
            );
            if locks {
                self.wait_for_quiet()?;
            }
            let (started, network) = (Instant::now(), self.network_ns.load(Relaxed));
            collection.step()?;
            let report = collection.report();
            tally
                .automatic_gc_deleted
                .fetch_add(report.deleted.saturating_sub(deleted), Relaxed);
            tally
                .automatic_gc_freed_bytes
                .fetch_add(report.freed_bytes.saturating_sub(freed_bytes), Relaxed);
            (deleted, freed_bytes) = (report.deleted, report.freed_bytes);
            let network = self.network_ns.load(Relaxed).saturating_sub(network);
            let network = Duration::from_nanos(network);
            self.automatic
                .pause(pause_after(started.elapsed(), network, locks))?;
        }
        Ok(Some(collection.report()))
    }

    /// Does what may wait for a bucket.
    fn over_network<T>(&self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = work();
        if self.shared.blobs.objects().is_some() {
            let took = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.network_ns.fetch_add(took, Relaxed);
        }
        done
    }

    /// Waits for a moment in which nobody waits for the writer; a store that is always busy is collected
    /// all the same.
    fn wait_for_quiet(&self) -> Result<()> {
        let started = Instant::now();
        while !self.queue.is_idle() && started.elapsed() < QUIET_WAIT {
            self.automatic.pause(QUIET_LOOK)?;
        }
        Ok(())
    }
}

impl Ground for Collector {
    fn now_ms(&self) -> i64 {
        self.shared.clock.now_ms()
    }

    fn read(&self, work: &mut dyn FnMut(&mut dyn View) -> Result<()>) -> Result<()> {
        self.shared.read_moment(work)
    }

    fn change(&self, durability: Durability, work: Change) -> Result<()> {
        self.ask_writer(|reply| change(durability, true, work, reply))
    }

    fn note(&self, durability: Durability, work: Change) -> Result<()> {
        self.ask_writer(|reply| change(durability, false, work, reply))
    }

    fn remove_files(&self, names: &[String]) -> bool {
        self.over_network(|| self.shared.remove_files(names))
    }

    fn remove_stray_files(&self) -> Result<Kept> {
        let settle = || self.ask_writer(settling);
        self.over_network(|| self.shared.remove_stray_files(&settle))
    }

    fn shrink(&self) -> Result<bool> {
        self.shared
            .shrink_a_little(|work| self.ask_writer(|reply| freeing(work, reply)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_spared_what_nobody_waited_for() {
        let ms = Duration::from_millis;
        assert_eq!(pause_after(ms(2), ms(0), true), ms(20));
        assert_eq!(pause_after(ms(120_002), ms(120_000), true), ms(20));
        assert_eq!(pause_after(ms(3), ms(0), false), ms(3));
        assert_eq!(pause_after(ms(3), ms(4), true), ms(0));
    }

    #[test]
    fn a_turn_lasts_an_hour_and_one_of_the_future_does_not_count() {
        let begun = |begun_at_ms| Learned {
            begun_at_ms,
            ..Learned::default()
        };
        assert_eq!(others_turn(&begun(1_000), 1_000), Some(1_000 + HOUR_MS));
        assert_eq!(
            others_turn(&begun(1_000), 999 + HOUR_MS),
            Some(1_000 + HOUR_MS)
        );
        assert_eq!(others_turn(&begun(1_000), 1_000 + HOUR_MS), None);
        assert_eq!(others_turn(&begun(2_000), 1_000), None);
        assert_eq!(turn_ends(1_000, 5_000), 1_000 + HOUR_MS);
        assert_eq!(turn_ends(9_000, 5_000), 5_000 + HOUR_MS);
    }
}
