//! What waits to be committed: requests in order, whose turn it is, and the grant of the lock between
//! processes.
//!
//! Promises: one thread has the turn at a time, and only it commits or checkpoints; every request is
//! answered, whatever becomes of the writer.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use treering_block::Cid;

use crate::commit::{BLOB_BYTES_MIN, Change, Commit, Durability};
use crate::error::{Result, StoreError};
use crate::lease::Lease;
use crate::name::RefName;
use crate::ticket::Ticket;

use super::gc::TransactionWork;
use super::reply::Reply;

/// At most so many requests in one transaction …
const BATCH_REQUESTS_MAX: usize = 1024;
/// … and so many bytes of blocks and records; a larger request goes alone.
pub(super) const BATCH_BYTES_MAX: u64 = 8 << 20;

/// A caller commits no more than so many bytes itself: he waits, and waiting can be interrupted.
const QUICK_BYTES_MAX: u64 = 1 << 20;

/// Who waits for the lock without an end looks this often; a grant wakes him at once.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// What is to be done.
pub(super) enum Work {
    Commit {
        commit: Box<Commit>,
        /// Large blocks of it that have their file.
        files: HashMap<Cid, String>,
        ticket: OwedTicket,
    },
    Acquire {
        name: RefName,
        owner: String,
        reply: Reply<Lease>,
    },
    Release {
        lease: Lease,
        /// In no batch with what takes room: it found none there.
        alone: bool,
        reply: Reply<()>,
    },
    /// Housekeeping of the store's own: never a caller's code.
    Change {
        work: TransactionWork,
        durability: Durability,
        /// It gives room back, so that it may use what is reserved for that.
        frees: bool,
        reply: Reply<()>,
    },
}

pub(super) struct Request {
    pub(super) work: Work,
    bytes: u64,
    queued: Instant,
    by: ThreadId,
    lock_wait: Duration,
}

/// A ticket that is answered in any case.
pub(super) struct OwedTicket(pub(super) Ticket);

impl Drop for OwedTicket {
    fn drop(&mut self) {
        // Only the first answer counts: this one, if the writer died.
        if self.0.poll().is_none() {
            self.0.answer(Err(StoreError::CommitUnknown {
                why: "the writer stopped".into(),
            }));
        }
    }
}

impl Request {
    pub(super) fn new(work: Work, lock_wait: Duration) -> Self {
        let bytes = match &work {
            Work::Commit { commit, .. } => {
                let blocks = commit.blocks.iter().map(|block| block.bytes.len());
                let blocks: usize = blocks.filter(|size| *size < BLOB_BYTES_MIN).sum();
                // Written twice: to the refs and to the journal.
                let records = commit.moves.iter().map(|step| match &step.change {
                    Change::Set { record, .. } => 2 * (record.len() + step.name.encoded().len()),
                    Change::Delete => 0,
                });
                (blocks + records.sum::<usize>()) as u64
            }
            Work::Acquire { .. } | Work::Release { .. } | Work::Change { .. } => 0,
        };
        Self {
            work,
            bytes,
            queued: Instant::now(),
            by: std::thread::current().id(),
            lock_wait,
        }
    }

    /// Leases are of this boot: they need not outlive a power failure.
    pub(super) fn durability(&self) -> Durability {
        match &self.work {
            Work::Commit { commit, .. } => commit.durability,
            Work::Change { durability, .. } => *durability,
            Work::Acquire { .. } | Work::Release { .. } => Durability::Relaxed,
        }
    }

    /// Whether it is work of the store's own, a piece of a collection above all.
    pub(super) fn is_housekeeping(&self) -> bool {
        matches!(self.work, Work::Change { .. })
    }

    /// When its time is over; None: never.
    fn deadline(&self) -> Option<Instant> {
        self.queued.checked_add(self.lock_wait)
    }

    pub(super) fn waited(&self) -> Duration {
        self.queued.elapsed()
    }

    /// Whether it gives room back; None for what may go with either sort. Only a batch in which nothing takes
    /// room may use what is reserved on a full disk.
    pub(super) fn frees(&self) -> Option<bool> {
        match &self.work {
            Work::Commit { commit, .. } => Some(commit.is_deletion()),
            Work::Change { frees, .. } => Some(*frees),
            Work::Acquire { .. } => Some(false),
            Work::Release { alone, .. } => alone.then_some(true),
        }
    }

    /// Answers without having done anything.
    pub(super) fn refuse(self, error: StoreError) {
        match self.work {
            Work::Commit { ticket, .. } => ticket.0.answer(Err(error)),
            Work::Acquire { reply, .. } => {
                let _ = reply.answer(Err(error));
            }
            Work::Release { reply, .. } | Work::Change { reply, .. } => {
                let _ = reply.answer(Err(error));
            }
        }
    }

    /// Names of the files that were written for it.
    pub(super) fn file_names(&self) -> Vec<String> {
        match &self.work {
            Work::Commit { files, .. } => files.values().cloned().collect(),
            Work::Acquire { .. } | Work::Release { .. } | Work::Change { .. } => Vec::new(),
        }
    }
}

#[derive(Default)]
struct State {
    requests: VecDeque<Request>,
    /// No more requests.
    closing: bool,
    /// Nobody takes requests or grants any more.
    writer_gone: bool,
    /// Who has the turn.
    turn: Option<ThreadId>,
    /// The log is long: nothing is committed before a checkpoint.
    checkpoint_wanted: bool,
    /// A thread waits for the lock between processes.
    lock_awaited: bool,
    /// What it reports.
    granted: Option<io::Result<()>>,
}

impl State {
    fn take_grant(&mut self) -> Option<io::Result<()>> {
        let granted = self.granted.take();
        self.lock_awaited &= granted.is_none();
        granted
    }
}

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

/// The right to commit what is queued; given up when dropped.
pub(super) struct Turn<'q>(&'q Queue);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.turn = None;
        if !state.requests.is_empty() || state.checkpoint_wanted || state.closing {
            self.0.changed.notify_all();
        }
    }
}

/// Why the writer wakes.
pub(super) enum Wake<'q> {
    Work(Turn<'q>),
    Checkpoint(Turn<'q>),
    /// The lock came without anybody asking for it any more.
    Grant(io::Result<()>),
    Closed(Turn<'q>),
}

/// How waiting for the lock ended.
pub(super) enum LockWait {
    Granted(io::Result<()>),
    /// These have waited too long.
    Expired(Vec<Request>),
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics between two changes of the state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `announce`: wakes the writer; otherwise the caller helps, or announces it later. Gives the request
    /// back when the store is closing.
    pub(super) fn push(&self, request: Request, announce: bool) -> Result<(), Box<Request>> {
        let mut state = self.lock();
        if state.closing {
            return Err(Box::new(request));
        }
        // What another thread left here unannounced has waited long enough; one that leaves several helps with all.
        let last = state.requests.back();
        let announce = announce || last.is_some_and(|last| last.by != request.by);
        state.requests.push_back(request);
        // Who has the turn looks again at its end, and who waits for the lock between processes has to
        // know of every deadline.
        if (announce && state.turn.is_none()) || state.lock_awaited {
            drop(state);
            self.changed.notify_all();
        }
        Ok(())
    }

    /// Wakes the writer for what is queued.
    pub(super) fn announce(&self) {
        self.changed.notify_all();
    }

    /// No more requests; those that are queued are still done.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    pub(super) fn wait_for_work(&self) -> Wake<'_> {
        let mut state = self.lock();
        loop {
            if state.turn.is_none() {
                if state.checkpoint_wanted {
                    state.checkpoint_wanted = false;
                    return Wake::Checkpoint(self.take_turn(&mut state));
                }
                if !state.requests.is_empty() {
                    return Wake::Work(self.take_turn(&mut state));
                }
                if let Some(granted) = state.take_grant() {
                    return Wake::Grant(granted);
                }
                if state.closing {
                    return Wake::Closed(self.take_turn(&mut state));
                }
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn take_turn(&self, state: &mut State) -> Turn<'_> {
        state.turn = Some(std::thread::current().id());
        Turn(self)
    }

    /// The turn for a caller, if nobody has it and there is nothing in the way of a quick commit.
    pub(super) fn try_turn(&self) -> Option<Turn<'_>> {
        let mut state = self.lock();
        let bytes = || state.requests.iter().map(|request| request.bytes);
        let free = state.turn.is_none()
            && !state.writer_gone
            && !state.lock_awaited
            && !state.checkpoint_wanted
            && !state.requests.is_empty()
            && bytes().fold(0, u64::saturating_add) <= QUICK_BYTES_MAX;
        free.then(|| self.take_turn(&mut state))
    }

    /// Whether the calling thread has the turn: it must not wait for whoever waits for it.
    pub(super) fn has_turn(&self) -> bool {
        self.lock().turn == Some(std::thread::current().id())
    }

    /// The log is long: who has the turn says so before he gives it up.
    pub(super) fn want_checkpoint(&self) {
        self.lock().checkpoint_wanted = true;
    }

    /// A thread waits for the lock between processes; it will report it.
    pub(super) fn await_lock(&self) {
        self.lock().lock_awaited = true;
    }

    pub(super) fn is_lock_awaited(&self) -> bool {
        self.lock().lock_awaited
    }

    /// Reports the lock, from the thread that waited for it. False: nobody wants it any more.
    pub(super) fn grant(&self, granted: io::Result<()>) -> bool {
        let mut state = self.lock();
        if state.writer_gone {
            return false;
        }
        state.granted = Some(granted);
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Waits for the lock until it comes or a request's time is over. Never with an empty queue.
    pub(super) fn wait_for_grant(&self) -> LockWait {
        let mut state = self.lock();
        loop {
            if let Some(granted) = state.take_grant() {
                return LockWait::Granted(granted);
            }
            let now = Instant::now();
            let (expired, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut state.requests)
                .into_iter()
                .partition(|request| request.deadline().is_some_and(|end| end <= now));
            state.requests = waiting.into();
            if state.requests.is_empty() || !expired.is_empty() {
                return LockWait::Expired(expired);
            }
            let next = state.requests.iter().filter_map(Request::deadline).min();
            let wait = next.map_or(LOOK_AGAIN, |next| next.saturating_duration_since(now));
            let waited = self.changed.wait_timeout(state, wait);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The next batch: in order, within its limits, of one sort ([`Request::frees`]), at least one request if
    /// there is any.
    pub(super) fn take_batch(&self) -> Vec<Request> {
        let mut state = self.lock();
        let mut batch = Vec::new();
        let mut bytes = 0u64;
        let mut sort = None;
        while let Some(next) = state.requests.front() {
            bytes = bytes.saturating_add(next.bytes);
            if batch.len() >= BATCH_REQUESTS_MAX || (bytes > BATCH_BYTES_MAX && !batch.is_empty()) {
                break;
            }
            let frees = next.frees();
            if sort.is_some() && frees.is_some() && sort != frees {
                break;
            }
            sort = sort.or(frees);
            batch.extend(state.requests.pop_front());
        }
        batch
    }

    /// Whether nobody waits for the writer.
    pub(super) fn is_idle(&self) -> bool {
        self.lock().requests.is_empty()
    }

    /// Everything that is queued.
    pub(super) fn take_all(&self) -> Vec<Request> {
        self.lock().requests.drain(..).collect()
    }

    /// The writer ends: what still comes is given back.
    pub(super) fn abandon(&self) -> Vec<Request> {
        let mut state = self.lock();
        state.closing = true;
        state.writer_gone = true;
        state.requests.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use treering_block::Block;

    use super::*;

    fn request(bytes: usize, lock_wait: Duration) -> (Request, Ticket) {
        let ticket = Ticket::new();
        let commit = Commit {
            blocks: vec![Block::raw(vec![0; bytes])],
            ..Commit::default()
        };
        let work = Work::Commit {
            commit: Box::new(commit),
            files: HashMap::new(),
            ticket: OwedTicket(ticket.clone()),
        };
        (Request::new(work, lock_wait), ticket)
    }

    #[test]
    fn batches_keep_their_limits() {
        let queue = Queue::default();
        for _ in 0..BATCH_REQUESTS_MAX + 1 {
            assert!(queue.push(request(1, Duration::MAX / 4).0, true).is_ok());
        }
        assert_eq!(queue.take_batch().len(), BATCH_REQUESTS_MAX);
        assert_eq!(queue.take_batch().len(), 1);
        assert!(queue.take_batch().is_empty());
        // 40 × 200 KiB is just under 8 MiB.
        for _ in 0..41 {
            assert!(
                queue
                    .push(request(200 << 10, Duration::ZERO).0, true)
                    .is_ok()
            );
        }
        assert_eq!(queue.take_batch().len(), 40);
        assert_eq!(queue.take_batch().len(), 1);
    }

    #[test]
    fn what_frees_is_in_no_batch_with_what_takes_room() {
        let queue = Queue::default();
        let rm = || {
            let commit = Commit {
                moves: vec![crate::commit::RefMove {
                    name: RefName::new("main", "thread", ["x"]).unwrap(),
                    expect: crate::commit::Expect::Any,
                    change: Change::Delete,
                }],
                ..Commit::default()
            };
            let work = Work::Commit {
                commit: Box::new(commit),
                files: HashMap::new(),
                ticket: OwedTicket(Ticket::new()),
            };
            Request::new(work, Duration::MAX)
        };
        let release = |alone| {
            let lease = Lease {
                name: RefName::new("main", "thread", ["x"]).unwrap(),
                token: 1,
            };
            let reply = Reply::new().0;
            Request::new(
                Work::Release {
                    lease,
                    alone,
                    reply,
                },
                Duration::MAX,
            )
        };
        let put = || request(1, Duration::MAX).0;
        for next in [
            put(),
            release(false),
            put(),
            rm(),
            release(false),
            rm(),
            put(),
            release(true),
        ] {
            assert!(queue.push(next, true).is_ok());
        }
        let sizes: Vec<_> = (0..4).map(|_| queue.take_batch().len()).collect();
        assert_eq!(sizes, [3, 3, 1, 1]);
    }

    #[test]
    fn who_waits_without_an_end_gets_the_lock() {
        let queue = Queue::default();
        assert!(queue.push(request(1, Duration::MAX).0, true).is_ok());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.wait_for_grant());
            std::thread::sleep(Duration::from_millis(20));
            assert!(queue.grant(Ok(())));
            assert!(matches!(waiting.join().unwrap(), LockWait::Granted(Ok(()))));
        });
    }

    #[test]
    fn a_request_expires_in_its_own_time_and_is_answered() {
        let queue = Queue::default();
        let (short, short_ticket) = request(1, Duration::from_millis(20));
        let (long, _long_ticket) = request(1, Duration::from_secs(60));
        assert!(queue.push(long, true).is_ok());
        assert!(queue.push(short, true).is_ok());
        match queue.wait_for_grant() {
            LockWait::Expired(expired) => assert_eq!(expired.len(), 1),
            LockWait::Granted(_) => panic!("nobody granted"),
        }
        assert!(
            matches!(
                short_ticket.poll(),
                Some(Err(StoreError::CommitUnknown { .. }))
            ),
            "dropped without an answer"
        );
        assert!(queue.grant(Ok(())));
        assert!(matches!(queue.wait_for_grant(), LockWait::Granted(Ok(()))));
        assert_eq!(queue.take_batch().len(), 1);
        queue.close();
        assert!(queue.push(request(1, Duration::ZERO).0, true).is_err());
        assert!(matches!(queue.wait_for_work(), Wake::Closed(_)));
        drop(queue.abandon());
        assert!(!queue.grant(Ok(())), "the lock goes back");
    }
}
