//! Changes of several threads, and blocks, in one commit: `scope.commit()`.
//!
//! Promises: nothing is written before [`Batch::commit`], and then all or nothing; nodes are made at once,
//! so a step's CID is known when it is drafted. A draft builds on what its handle last saw; whether the
//! thread's status allows it is judged at the commit, after the command id.
//! A step that others appended meanwhile fails the whole batch with `HeadMoved`.

mod landing;

use std::sync::Arc;

use treering_block::{Block, Cid, Encoded};
use treering_store::commit::Address;
use treering_store::{Decide, Durability, RefMove, StoreError, Uploaded};

use crate::append::prepare_all;
use crate::args::{ForkArgs, ForkAt, StartArgs, StepArgs};
use crate::chain::read_step;
use crate::command::{CommandKey, Payload};
use crate::error::{Result, ThreadError};
use crate::fork::{Forked, Source, check_fork, digest_fork, forked};
use crate::head::{Edit, Head};
use crate::info::Status;
use crate::jumps::Position;
use crate::pending::Pending;
use crate::plan::Prepared;
use crate::receipt::Receipt;
use crate::start::{Begun, Starting};
use crate::step::Step;
use crate::thread::Thread;
use crate::threads::Threads;
use crate::tip::open;

/// One thread of a batch, by its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draft(usize);

impl Draft {
    /// Its place, from 0; the same as in [`BatchAnswer::threads`].
    pub fn index(self) -> usize {
        self.0
    }

    /// The draft at that place.
    pub fn from_index(index: usize) -> Self {
        Self(index)
    }
}

/// What goes with a batch in its commit, and is decided there.
pub trait Companion: Send + Sync {
    /// The decision; `receipt`: of the batch's own part, to be kept in the one that it leaves.
    fn decide(&self, receipt: Vec<u8>) -> Arc<dyn Decide>;
    /// The batch's part of a receipt that a decision left; None for one that none of these left.
    fn split(&self, receipt: &[u8]) -> Option<Vec<u8>>;
}

/// What a batch came to.
#[derive(Clone, Debug)]
pub struct BatchAnswer {
    /// It was committed before, under the same command id; nothing was written now.
    pub replayed: bool,
    /// The threads, by draft.
    pub threads: Vec<Thread>,
    /// The appended steps, by draft, then in order.
    pub steps: Vec<Step>,
    /// The commit's place in the journal.
    pub position: u64,
    /// Blocks that were not there before.
    pub new_blocks: u64,
    /// The whole receipt of a batch that was committed before.
    pub receipt: Option<Vec<u8>>,
}

/// A thread as it will be: a chain in the store, and behind it steps of this batch.
struct Line {
    id: String,
    /// The handle, of a thread that is there.
    thread: Option<Thread>,
    /// The head that the edits build on: of `thread`, or new.
    base: Head,
    start: Cid,
    /// The head after all drafts; its record is put together at the commit.
    head: Head,
    /// The last node of its chain that is in the store, and its number.
    stored: (u64, Cid),
    /// The steps behind that one, in order: first those of the draft that it was forked from.
    fresh: Vec<Step>,
    /// How many of them are not its own.
    inherited: usize,
    edits: Vec<Edit>,
    ended: bool,
}

impl Line {
    fn label(&self) -> &str {
        self.base.record.key.as_deref().unwrap_or(&self.id)
    }

    fn is_changed(&self) -> bool {
        self.thread.is_none() || !self.edits.is_empty()
    }

    /// The steps that this batch appends to it.
    fn own(&self) -> &[Step] {
        self.fresh.get(self.inherited..).unwrap_or_default()
    }

    fn receipt(&self) -> Receipt {
        let last = self.own().last();
        Receipt {
            thread: self.id.clone(),
            cid: last.map(|step| step.cid),
            step: last.map_or(0, |step| step.number),
            count: self.own().len() as u64,
            started: self.thread.is_none(),
        }
    }
}

/// See the top of this file.
pub struct Batch {
    threads: Threads,
    lines: Vec<Line>,
    blocks: Vec<Block>,
    holds: Vec<Cid>,
    moves: Vec<RefMove>,
    payload: Payload,
    now_ms: i64,
    companion: Option<Arc<dyn Companion>>,
    /// The digest that earlier versions left with the same command.
    earlier: Option<[u8; 32]>,
    uploads: Vec<Arc<Uploaded>>,
}

impl Batch {
    pub(crate) fn new(threads: Threads) -> Self {
        let now_ms = threads.store().now_ms();
        Self {
            threads,
            lines: Vec::new(),
            blocks: Vec::new(),
            holds: Vec::new(),
            moves: Vec::new(),
            payload: Payload::new("batch"),
            now_ms,
            companion: None,
            earlier: None,
            uploads: Vec::new(),
        }
    }

    /// A thread that is to be started. Its own command id must be absent.
    ///
    /// # Errors
    /// As for [`Threads::start`]; a taken key is told at the commit.
    pub fn start(&mut self, args: StartArgs) -> Result<Draft> {
        if args.command_id.is_some() {
            return Err(ThreadError::invalid(
                "command_id",
                "",
                "a batch has one for all",
            ));
        }
        let starting = Starting::prepare(args)?;
        self.payload.text("start").bytes(&starting.digest);
        let Begun {
            id,
            blocks,
            head,
            steps,
        } = starting.begin(&**self.threads.store(), self.now_ms)?;
        self.blocks.extend(blocks);
        let start = starting.start();
        debug_assert_eq!(starting.key(), head.record.key.as_deref());
        self.lines.push(Line {
            id,
            thread: None,
            base: head.clone(),
            start,
            head,
            stored: (0, start),
            fresh: steps,
            inherited: 0,
            edits: Vec::new(),
            ended: false,
        });
        Ok(Draft(self.lines.len() - 1))
    }

    /// A thread that is there; the same thread again is the same draft.
    ///
    /// # Errors
    /// `Invalid` for a thread of another scope; `NotFound`, `Store` or `Corrupt` when its head can't be read.
    pub fn thread(&mut self, thread: &Thread) -> Result<Draft> {
        if thread.scope() != self.threads.scope()
            || !Arc::ptr_eq(&thread.shared_store(), self.threads.store())
        {
            return Err(ThreadError::invalid(
                "thread",
                thread.id(),
                "a commit is of one scope of one store",
            ));
        }
        if let Some(index) = self.lines.iter().position(|line| line.id == thread.id()) {
            return Ok(Draft(index));
        }
        self.payload.text("thread").text(thread.id());
        let (base, start) = {
            let mut tip = open(thread.tip());
            tip.settle(&thread.place());
            let head = tip.acked();
            let start = head.position(thread.store())?.start;
            (head.clone(), start)
        };
        self.lines.push(Line {
            id: thread.id().to_owned(),
            thread: Some(thread.clone()),
            start,
            ended: base.record.status == Status::Completed,
            head: base.clone(),
            stored: (base.record.steps, base.target),
            base,
            fresh: Vec::new(),
            inherited: 0,
            edits: Vec::new(),
        });
        Ok(Draft(self.lines.len() - 1))
    }

    /// Appends a step to a draft. Its own command id must be absent.
    ///
    /// # Errors
    /// `Invalid` and `LimitExceeded` for what a step can't hold; the thread's status is judged at the commit.
    pub fn append(&mut self, draft: Draft, step: StepArgs) -> Result<Step> {
        let mut steps = self.extend(draft, vec![step])?;
        steps
            .pop()
            .ok_or_else(|| ThreadError::invalid("steps", "", "there is at least one"))
    }

    /// Appends steps to a draft.
    ///
    /// # Errors
    /// As for [`Batch::append`].
    pub fn extend(&mut self, draft: Draft, steps: Vec<StepArgs>) -> Result<Vec<Step>> {
        if let Some(expected) = steps.first().and_then(|step| step.expected_head) {
            let line = self.line(draft)?;
            if line.head.target != expected {
                let store = self.threads.store();
                return Err(ThreadError::HeadMoved {
                    thread: line.label().to_owned(),
                    at_step: line.head.record.steps,
                    at: line.head.target,
                    expected_step: read_step(&**store, &expected).map_or(0, |step| step.number),
                    expected,
                });
            }
        }
        let prepared = prepare_all(steps, true)?;
        let count = prepared.len() as u64;
        self.put_steps(draft, "append", &prepared, Edit::Append { steps: count })
    }

    /// Ends a draft's thread.
    ///
    /// # Errors
    /// As for [`Batch::append`].
    pub fn finish(&mut self, draft: Draft, return_code: i64, summary: &str) -> Result<Step> {
        let prepared = Prepared::end(return_code, summary)?;
        let mut steps =
            self.put_steps(draft, "finish", &[prepared], Edit::Finish { return_code })?;
        if let Some(line) = self.lines.get_mut(draft.0) {
            line.ended = true;
        }
        self.payload.bytes(&return_code.to_le_bytes()).text(summary);
        steps
            .pop()
            .ok_or_else(|| ThreadError::invalid("steps", "", "there is at least one"))
    }

    fn put_steps(
        &mut self,
        draft: Draft,
        verb: &str,
        steps: &[Prepared],
        edit: Edit,
    ) -> Result<Vec<Step>> {
        let store = self.threads.store().clone();
        let now_ms = self.now_ms;
        let line = self.lines.get_mut(draft.0).ok_or_else(|| no_draft(draft))?;
        let mut position = line.head.position(&*store)?.clone();
        let mut blocks = Vec::new();
        let mut placed = Vec::with_capacity(steps.len());
        for step in steps {
            placed.push(step.place(&mut position, &*store, now_ms, &mut blocks)?);
        }
        let mut record = line.head.record.clone();
        record.steps = position.step;
        line.head = Head::at(line.head.version, position, record);
        line.fresh.extend(placed.iter().cloned());
        line.edits.push(edit);
        self.blocks.extend(blocks);
        self.payload
            .text(verb)
            .number(draft.0 as u64)
            .number(steps.len() as u64);
        for step in steps {
            self.payload.bytes(step.digest()?);
        }
        Ok(placed)
    }

    /// Forks a draft's thread as it is at this point of the batch. The fork's own command id must be absent.
    ///
    /// # Errors
    /// As for [`Thread::fork`]; a taken key is told at the commit.
    pub fn fork(&mut self, draft: Draft, at: ForkAt, args: ForkArgs) -> Result<Draft> {
        check_fork(&args)?;
        if args.command_id.is_some() {
            return Err(ThreadError::invalid(
                "command_id",
                "",
                "a batch has one for all",
            ));
        }
        let line = self.line(draft)?;
        let (stored, stored_head) = line.stored;
        let source = Source {
            store: &**self.threads.store(),
            label: line.label(),
            head: stored_head,
            start: line.start,
            stored,
            fresh: &line.fresh,
            ended: line.ended,
        };
        let (step, cid) = source.resolve(&at)?;
        let from = (line.id.as_str(), &line.base.record);
        let Forked {
            id,
            mut head,
            start,
        } = forked(from, step, cid, line.start, &args, self.now_ms)?;
        let mut fresh = line.fresh.clone();
        fresh.truncate(usize::try_from(step.saturating_sub(stored)).unwrap_or(usize::MAX));
        let stored = if fresh.is_empty() {
            (step, cid)
        } else {
            line.stored
        };
        if fresh.last().is_some() || step == 0 {
            // Nothing of it is in the store yet: it can't be read from there.
            head = Head::at(head.version, Position::of_fresh(start, &fresh), head.record);
        }
        self.payload.text("fork").number(draft.0 as u64);
        digest_fork(&mut self.payload, &at, &args);
        let inherited = fresh.len();
        self.lines.push(Line {
            id,
            thread: None,
            base: head.clone(),
            start,
            head,
            stored,
            fresh,
            inherited,
            edits: Vec::new(),
            ended: false,
        });
        Ok(Draft(self.lines.len() - 1))
    }

    /// Stores bytes; held for a day if nothing of this commit links to them.
    pub fn put(&mut self, bytes: &[u8]) -> Cid {
        self.put_block(Block::raw(bytes))
    }

    /// Stores a node; its links must be present, or put before.
    ///
    /// # Errors
    /// The block layer's, for a value that is no node.
    pub fn put_node(&mut self, value: Encoded) -> Result<Cid> {
        Ok(self.put_block(Block::from_encoded(value)?))
    }

    /// Brings blocks along that later nodes of this batch link to, children first; not held for themselves, and no
    /// part of what a command id stands for, since those nodes are.
    pub fn carry(&mut self, blocks: Vec<Block>) {
        self.blocks.extend(blocks);
    }

    /// Moves another ref along, of no thread and no actor; no part of what a command id stands for. If it is not as
    /// expected, the commit fails with the store's `RefMoved`.
    pub fn move_along(&mut self, step: RefMove) {
        self.moves.push(step);
    }

    fn put_block(&mut self, block: Block) -> Cid {
        let cid = block.cid;
        self.payload.text("put").cid(&cid);
        self.blocks.push(block);
        self.holds.push(cid);
        cid
    }

    /// What else is decided in the same commit; `payload` is the digest of what the caller gave for it, `earlier` the one
    /// that earlier versions made of the same.
    pub fn accompany(
        &mut self,
        companion: Arc<dyn Companion>,
        payload: &[u8; 32],
        earlier: &[u8; 32],
    ) {
        let mut before = self.payload.clone();
        before.text("with").bytes(earlier);
        self.earlier = Some(before.finish());
        self.payload.text("with").bytes(payload);
        self.companion = Some(companion);
    }

    /// What the first commit under that command id left.
    fn first(&self, command: &CommandKey) -> Result<Option<Vec<u8>>> {
        let store = &**self.threads.store();
        match (command.first(store), self.earlier) {
            (Err(StoreError::CommandMismatch { .. }), Some(payload)) => {
                let earlier = CommandKey {
                    payload,
                    ..command.clone()
                };
                Ok(earlier.first(store)?)
            }
            (first, _) => Ok(first?),
        }
    }

    /// Bytes that what is decided with it may link to.
    pub fn bring(&mut self, uploads: impl IntoIterator<Item = Arc<Uploaded>>) {
        self.uploads.extend(uploads);
    }

    fn line(&self, draft: Draft) -> Result<&Line> {
        self.lines.get(draft.0).ok_or_else(|| no_draft(draft))
    }

    /// Submits all of it.
    ///
    /// # Errors
    /// Those of [`Ready::submit`].
    pub fn commit(
        self,
        command_id: Option<&str>,
        durability: Durability,
    ) -> Result<Pending<BatchAnswer>> {
        self.ready(command_id, durability).submit()
    }

    /// All of it, to be submitted; nothing more can be drafted.
    pub fn ready(self, command_id: Option<&str>, durability: Durability) -> Ready {
        let command = command_id.map(|id| CommandKey {
            address: Address::Scope(self.threads.scope().to_owned()),
            id: id.to_owned(),
            payload: self.payload.finish(),
        });
        Ready {
            batch: Arc::new(self),
            command,
            durability,
        }
    }
}

/// A batch that is drafted. What was refused wrote nothing, and may be submitted again.
pub struct Ready {
    batch: Arc<Batch>,
    command: Option<CommandKey>,
    durability: Durability,
}

impl Ready {
    /// Submits it.
    ///
    /// # Errors
    /// `HeadMoved`, `WrongStatus`, `NotFound`, `AlreadyExists` for whichever thread it is, `LimitExceeded` over what one
    /// commit holds (64 MiB of blocks, 20,000 moves; with a command id, a receipt of about 45 threads);
    /// in the store's words `LeaseLost`, `LinkMissing`, `CommandMismatch`.
    pub fn submit(&self) -> Result<Pending<BatchAnswer>> {
        if let Some(first) = self.first()? {
            return Ok(first);
        }
        let batch = Arc::clone(&self.batch);
        landing::submit(batch, self.command.clone(), self.durability, 0)
    }

    /// What the first commit under its command id did; None if there was none, or it has no command id.
    ///
    /// # Errors
    /// In the store's words `CommandMismatch`; those of reading.
    pub fn first(&self) -> Result<Option<Pending<BatchAnswer>>> {
        let Some(command) = &self.command else {
            return Ok(None);
        };
        let receipt = self.batch.first(command)?;
        Ok(receipt.map(|bytes| Pending::done(landing::replayed(&self.batch, &bytes))))
    }
}

fn no_draft(draft: Draft) -> ThreadError {
    ThreadError::invalid("draft", &draft.0.to_string(), "it is none of this batch")
}
