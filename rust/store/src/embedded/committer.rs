//! Commits a batch of what waits in one transaction and answers it: on the writer's thread, or on that of a
//! caller who waits for his ticket while nobody else commits. Waking a thread and being woken by it costs a
//! small commit more than its work does.
//!
//! Order of a batch: lock between processes, BEGIN, each request judged and booked, COMMIT (one fsync),
//! unlock, answer, ring. A request that is refused is answered alone.
//! Promises: what is answered as done is committed; what is answered as timed out or refused is not.
//! Never: user code, or waiting for anybody, inside the transaction.

mod answer;
mod checkpointing;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use treering_block::Cid;

use self::answer::Answer;
use super::connections::{Known, MOVED, Writer};
use super::core::Shared;
use super::fork::{self, Inside};
use super::lock::WriteLock;
use super::orphaned_leases;
use super::queue::{Queue, Request, Work};
use super::reply::Reply;
use super::session::Session;
use super::staging::StagedFile;
use super::tally::Phase;
use super::transaction::Transaction;
use crate::commit::{Commit, Durability};
use crate::error::{Result, StoreError};
use crate::lease::{self, Identity, Lease};
use crate::ledger::{self, Ledger};
use crate::name::RefName;
use crate::ticket::Helper;
use crate::upload::{Content, Uploaded};

pub(super) struct Committer {
    pub(super) shared: Arc<Shared>,
    pub(super) queue: Arc<Queue>,
    pub(super) lock: WriteLock,
    /// The generation of processes that may commit.
    generation: u64,
    /// This process's identity, for leases.
    identity: Identity,
    /// How long the log was at the last checkpoint; 0: it has started anew since.
    checkpointed_at: AtomicU64,
    /// How many MiB the log had when the system was asked for its room last.
    room_asked_at: AtomicU64,
    /// Anything was committed here.
    committed: AtomicBool,
    /// The checkpoint that is wanted gives the log's room back …
    cut: AtomicBool,
    /// … and follows a deletion.
    for_deletion: AtomicBool,
    /// How long the last COMMIT took, in microseconds: what a disk is slow in.
    took_us: AtomicU64,
    /// Other processes know that a sync of the log failed here.
    doubt_told: AtomicBool,
}

/// What a committed batch came to.
struct Done {
    position: u64,
    advanced: bool,
    added: (u64, u64),
    late_files: Vec<String>,
    taken: Vec<Arc<Uploaded>>,
}

impl Committer {
    pub(super) fn new(shared: Arc<Shared>, queue: Arc<Queue>, lock: WriteLock) -> Self {
        Self {
            shared,
            queue,
            lock,
            generation: fork::generation(),
            identity: Identity::current(),
            checkpointed_at: AtomicU64::new(0),
            room_asked_at: AtomicU64::new(0),
            committed: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            for_deletion: AtomicBool::new(false),
            took_us: AtomicU64::new(0),
            doubt_told: AtomicBool::new(false),
        }
    }

    /// Takes the disk for slow until a COMMIT was quick.
    pub(super) fn expect_slow(&self) {
        self.took_us.store(u64::MAX, Relaxed);
    }

    pub(super) fn unlock(&self) {
        if let Err(error) = self.lock.unlock() {
            // Does not happen on a valid descriptor; if it did, other processes would wait in vain.
            tracing::error!(%error, "cannot unlock the store");
        }
    }

    pub(super) fn discard_files(&self, request: &Request) {
        for name in request.file_names() {
            self.shared.blobs.remove(&name);
        }
    }

    /// Commits a batch and answers it. The caller has the turn and the lock between processes, which is
    /// given back.
    pub(super) fn commit(&self, batch: Vec<Request>) {
        if batch.is_empty() {
            self.unlock();
            return;
        }
        let begun = Instant::now();
        let tally = &self.shared.tally;
        tally.batches.fetch_add(1, Relaxed);
        tally.requests.fetch_add(batch.len() as u64, Relaxed);
        let all_relaxed = batch
            .iter()
            .all(|request| request.durability() == Durability::Relaxed);
        let durability = if all_relaxed {
            Durability::Relaxed
        } else {
            Durability::Durable
        };
        let deletes = batch.iter().all(|request| request.frees() != Some(false));
        self.shared.reserve.allow(deletes);
        let all_files: Vec<String> = batch.iter().flat_map(Request::file_names).collect();
        let housekeeping = batch.iter().any(Request::is_housekeeping);
        let mut answers = Vec::with_capacity(batch.len());
        let mut unused_files = Vec::new();

        let mut in_doubt = false;
        let inside = fork::enter();
        let ended = match self.shared.poisoned() {
            Some(why) => {
                answers.extend(batch.into_iter().map(Answer::unjudged));
                Err(StoreError::Poisoned { why })
            }
            None if self.lock.is_elsewhere() => {
                let why = MOVED;
                self.shared.poison(why);
                answers.extend(batch.into_iter().map(Answer::unjudged));
                Err(StoreError::Poisoned { why: why.into() })
            }
            None if !deletes && self.shared.reserve.is_owed() => {
                answers.extend(batch.into_iter().map(Answer::unjudged));
                Err(StoreError::DiskFull)
            }
            None => match self.shared.mend_log(&self.lock, &inside) {
                Ok(()) => {
                    self.transact(&inside, durability, batch, &mut answers, &mut unused_files)
                }
                Err(error) => {
                    in_doubt = true;
                    answers.extend(batch.into_iter().map(Answer::unjudged));
                    Err(error)
                }
            },
        };
        self.tell_of_doubt();
        self.shared.reserve.allow(false);
        self.unlock();
        if housekeeping {
            tally.held_for_housekeeping(begun.elapsed());
        }
        if matches!(ended, Err(StoreError::DiskFull)) || self.shared.reserve.take_given_up() {
            self.shared.checkpoint_due.store(true, Relaxed);
        }
        // A log that could not be written anew stays where it is.
        if !in_doubt && self.log_is_long(durability, deletes) {
            self.queue.want_checkpoint();
        }
        // Before the answers: who is refused finds no trace. After an unknown end a row may name any file.
        match &ended {
            Ok(_) => {}
            Err(StoreError::CommitUnknown { .. }) => unused_files.clear(),
            Err(_) => unused_files.extend(all_files.iter().cloned()),
        }
        for name in unused_files {
            self.shared.blobs.remove(&name);
        }
        if ended.is_ok() {
            // What was unused is not held any more.
            all_files
                .iter()
                .for_each(|name| self.shared.blobs.settle(name));
        }
        match ended {
            Ok(done) => {
                self.committed.fetch_or(done.advanced, Relaxed);
                tally.blocks_written.fetch_add(done.added.0, Relaxed);
                tally.block_bytes_written.fetch_add(done.added.1, Relaxed);
                for answer in answers {
                    if let Some(lease) = answer.granted() {
                        orphaned_leases::granted(&inside, &self.shared, &lease.name);
                    }
                    if let Some(lease) = answer.give() {
                        self.take_back(&inside, lease);
                    }
                }
                if done.advanced {
                    self.shared.bell.ring(done.position);
                }
            }
            Err(error) => {
                for answer in answers {
                    if let Some(lease) = answer.granted() {
                        orphaned_leases::note(&inside, &self.shared, lease.clone());
                    }
                    drop(answer.failed(&error).give());
                }
            }
        }
    }

    /// A lease that was granted just when who asked for it went.
    fn take_back(&self, inside: &Inside, lease: Lease) {
        orphaned_leases::note(inside, &self.shared, lease.clone());
        let release = Work::Release {
            lease,
            alone: false,
            reply: Reply::new().0,
        };
        // Of a store that is being closed the process's own note has to do.
        drop(self.queue.push(Request::new(release, Duration::MAX), true));
    }

    /// Once a sync of ours failed, others must not commit behind what it left out: they are told before
    /// the lock is theirs.
    fn tell_of_doubt(&self) {
        if self.shared.poisoned().is_some() && !self.doubt_told.swap(true, Relaxed) {
            self.lock.doubt_log();
        }
    }

    /// One transaction. On an error nothing of it is committed, but for `CommitUnknown`.
    fn transact(
        &self,
        inside: &Inside,
        durability: Durability,
        batch: Vec<Request>,
        answers: &mut Vec<Answer>,
        unused_files: &mut Vec<String>,
    ) -> Result<Done> {
        let shared = &self.shared;
        let writer = match shared.connections.writer(inside, durability) {
            Ok(writer) => writer,
            Err(error) => {
                answers.extend(batch.into_iter().map(Answer::unjudged));
                return Err(error);
            }
        };
        let session = shared.connections.session(&writer.conn);
        shared.tally.enter(Phase::Commit);
        let booked = self.book(inside, &writer, session, batch, answers, unused_files);
        let ended = match booked {
            Ok((done, known)) => match self.timed(|| session.run_prepared("COMMIT", "commit to")) {
                Ok(()) => {
                    each_file(&done.taken, StagedFile::settle);
                    self.settle(&writer, durability, known).map(|()| done)
                }
                Err(error) => {
                    // A full disk shows in a write, which comes before the fsync: the commit's last frame
                    // is not whole, so the log does not hold the commit.
                    if matches!(error, StoreError::DiskFull) && !shared.tally.sync_reached() {
                        unused_files.extend(done.late_files);
                        each_file(&done.taken, StagedFile::give_back);
                        Err(error)
                    } else {
                        Err(StoreError::CommitUnknown {
                            why: error.to_string(),
                        })
                    }
                }
            },
            Err(error) => Err(error),
        };
        // Closing the connection rolls back, too.
        let stuck = ended.is_err()
            && !session.conn.is_autocommit()
            && session.conn.execute_batch("ROLLBACK").is_err();
        shared.tally.enter(Phase::Other);
        let unknown = match &ended {
            Err(StoreError::CommitUnknown { why }) => Some(why),
            _ => None,
        };
        if let Some(why) = unknown {
            shared.poison(why);
        }
        if stuck || unknown.is_some() {
            writer.discard();
        }
        ended
    }

    fn timed<T>(&self, commit: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let answer = commit();
        let took_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.took_us.store(took_us, Relaxed);
        answer
    }

    /// After COMMIT: SQLite syncs what it wrote. A durable request that wrote nothing, because what it
    /// asks for is there, may rest on relaxed commits, another process's too: those are synced now.
    fn settle(&self, writer: &Writer, durability: Durability, mut known: Known) -> Result<()> {
        let shared = &self.shared;
        known.on_disk |= shared.tally.sync_reached();
        if durability == Durability::Durable && !known.on_disk {
            shared
                .sync_log()
                .map_err(|error| StoreError::CommitUnknown {
                    why: format!("what it rests on may not be on disk: {error}"),
                })?;
            known.on_disk = true;
        }
        writer.keep(known);
        Ok(())
    }

    /// BEGIN and every request, up to COMMIT.
    fn book(
        &self,
        inside: &Inside,
        writer: &Writer,
        session: Session<'_>,
        batch: Vec<Request>,
        answers: &mut Vec<Answer>,
        unused_files: &mut Vec<String>,
    ) -> Result<(Done, Known)> {
        let mut rest = batch.into_iter();
        let begun = session
            .run_prepared("BEGIN IMMEDIATE", "begin a commit to")
            .and_then(|()| {
                Transaction::begin(
                    session,
                    &self.shared.tiers,
                    &self.shared.blobs,
                    writer.known(),
                )
            });
        let ended = begun.and_then(|mut transaction| {
            let now_ms = self.shared.clock.now_ms();
            let before = transaction.position();
            for request in rest.by_ref() {
                answers.push(self.judge(inside, &mut transaction, request, now_ms, unused_files));
                if let Some(fault) = transaction.fault() {
                    unused_files.extend_from_slice(transaction.late_files());
                    each_file(transaction.taken(), StagedFile::give_back);
                    return Err(fault.clone());
                }
            }
            if let Err(error) = transaction.finish() {
                unused_files.extend_from_slice(transaction.late_files());
                each_file(transaction.taken(), StagedFile::give_back);
                return Err(error);
            }
            let position = transaction.position();
            let done = Done {
                position,
                advanced: position > before,
                added: transaction.added(),
                late_files: transaction.late_files().to_vec(),
                taken: transaction.taken().to_vec(),
            };
            Ok((done, transaction.into_known()))
        });
        answers.extend(rest.map(Answer::unjudged));
        ended
    }

    fn judge(
        &self,
        inside: &Inside,
        transaction: &mut Transaction<'_>,
        request: Request,
        now_ms: i64,
        unused_files: &mut Vec<String>,
    ) -> Answer {
        match request.work {
            Work::Commit {
                commit,
                files,
                ticket,
            } => {
                let commit: &Commit = &commit;
                if let Err(error) = transaction.expect_sent(commit, &files) {
                    unused_files.extend(files.into_values());
                    return Answer::Commit(ticket, Err(error));
                }
                let (answer, unused) =
                    transaction.request(files, |ledger| ledger::apply(commit, ledger, now_ms));
                unused_files.extend(unused.into_values());
                Answer::Commit(ticket, answer)
            }
            Work::Acquire { reply, .. } if reply.is_left() => {
                Answer::Acquire(reply, Err(StoreError::Cancelled))
            }
            Work::Acquire { name, owner, reply } => {
                let acquire = |ledger: &mut Transaction<'_>| {
                    self.acquire(inside, ledger, name, &owner, now_ms)
                };
                Answer::Acquire(reply, transaction.request(no_files(), acquire).0)
            }
            Work::Release { lease, reply, .. } => {
                let release = |ledger: &mut Transaction<'_>| release(ledger, &lease);
                Answer::Done(reply, transaction.request(no_files(), release).0)
            }
            Work::Change { work, reply, .. } => {
                transaction.forget_blocks();
                Answer::Done(reply, transaction.request(no_files(), work).0)
            }
        }
    }

    fn acquire(
        &self,
        inside: &Inside,
        ledger: &mut Transaction<'_>,
        name: RefName,
        owner: &str,
        now_ms: i64,
    ) -> Result<Lease> {
        ledger.expect_not_erasing(name.scope())?;
        let stored = ledger.lease(&name)?;
        let floor = match stored {
            None => ledger.session().lease_floor()?,
            Some(_) => 0,
        };
        let state = lease::grant(
            stored,
            floor,
            &name,
            owner,
            &self.identity,
            now_ms,
            |state| orphaned_leases::holder_is_alive(inside, &self.shared, &name, state),
        )?;
        ledger.write_lease(&name, &state)?;
        Ok(Lease {
            name,
            token: state.token,
        })
    }
}

impl Helper for Committer {
    /// Commits what is queued on this thread, unless somebody does so already, another process holds the
    /// lock, or it may take long: then the writer's thread does it, and the caller waits.
    fn help(&self, patience: Duration) {
        if self.generation != fork::generation() {
            return;
        }
        let turn = if u128::from(self.took_us.load(Relaxed)) > patience.as_micros() {
            None
        } else {
            self.queue.try_turn()
        };
        let Some(_turn) = turn else {
            return self.queue.announce();
        };
        let _poisons = PoisonOnPanic(&self.shared);
        if matches!(self.lock.try_lock_in_turn(), Ok(true)) {
            self.commit(self.queue.take_batch());
        }
        // What is left is announced with the end of the turn.
    }

    fn announce(&self) {
        self.queue.announce();
    }
}

/// A commit that panicked half-way has left connection and counts in any state.
pub(super) struct PoisonOnPanic<'c>(pub(super) &'c Shared);

impl Drop for PoisonOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison("the writer stopped");
        }
    }
}

fn release(ledger: &mut Transaction<'_>, lease: &Lease) -> Result<()> {
    match ledger
        .lease(&lease.name)?
        .and_then(|stored| stored.released(lease.token))
    {
        Some(state) => ledger.write_lease(&lease.name, &state),
        None => Ok(()),
    }
}

/// Of uploads that a transaction took.
fn each_file(taken: &[Arc<Uploaded>], act: impl Fn(&StagedFile)) {
    for upload in taken {
        if let Content::Staged(file) = &upload.content {
            act(file);
        }
    }
}

fn no_files() -> HashMap<Cid, String> {
    HashMap::new()
}
