//! A handle on one thread: cheap to clone, remembers the head that it last saw.

use std::sync::{Arc, Mutex};

use treering_block::{Cid, StartNode};
use treering_store::{Durability, RefName, Store};

use crate::args::{ContentArg, StepArgs};
use crate::chain;
use crate::command::Payload;
use crate::content::{Content, read_content};
use crate::control::control;
use crate::error::{Result, ThreadError, within};
use crate::head::{Edit, Head};
use crate::ident::{failed_ref, thread_ref};
use crate::info::ThreadInfo;
use crate::limits::EXTEND_STEPS_MAX;
use crate::pending::Pending;
use crate::plan::Prepared;
use crate::receipt::Receipt;
use crate::step::Step;
use crate::tip::{Place, Tip, open};
use crate::verbs::{self, Planned, Verb};
use crate::walk::{Back, Steps};

/// A thread. Clones are one handle: they share what was last seen, and the lease.
///
/// Changes through one handle are made in the order of their calls, each on the head that the one before
/// leaves, and share fsyncs while they are in flight. A handle never moves to what others wrote by itself:
/// its changes then fail with `HeadMoved` until [`Thread::refresh`].
#[derive(Clone)]
pub struct Thread(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    scope: String,
    id: String,
    name: RefName,
    durability: Durability,
    tip: Mutex<Tip>,
    lease: Mutex<Option<u64>>,
}

impl std::fmt::Debug for Thread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Thread({} in {})", self.0.id, self.0.scope)
    }
}

impl Thread {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        scope: &str,
        id: &str,
        durability: Durability,
        head: Head,
        lease_owner: Option<String>,
    ) -> Result<Self> {
        Ok(Self(Arc::new(Inner {
            store,
            scope: scope.to_owned(),
            id: id.to_owned(),
            name: thread_ref(scope, id)?,
            durability,
            tip: Mutex::new(Tip::new(head, lease_owner)),
            lease: Mutex::new(None),
        })))
    }

    /// ULID.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The caller's own name for it.
    pub fn key(&self) -> Option<String> {
        self.seen(|head| head.record.key.clone())
    }

    /// The scope that it belongs to.
    pub fn scope(&self) -> &str {
        &self.0.scope
    }

    /// The store that it lives in.
    pub fn store(&self) -> &dyn Store {
        &*self.0.store
    }

    pub(crate) fn shared_store(&self) -> Arc<dyn Store> {
        self.0.store.clone()
    }

    /// How durable its changes are when they are answered.
    pub fn durability(&self) -> Durability {
        self.0.durability
    }

    pub(crate) fn name(&self) -> &RefName {
        &self.0.name
    }

    pub(crate) fn tip(&self) -> &Mutex<Tip> {
        &self.0.tip
    }

    pub(crate) fn place(&self) -> Place<'_> {
        Place {
            store: self.store(),
            id: &self.0.id,
            name: &self.0.name,
        }
    }

    pub(crate) fn lease_token(&self) -> Option<u64> {
        *open(&self.0.lease)
    }

    pub(crate) fn set_lease(&self, token: Option<u64>, owner: Option<String>) {
        *open(&self.0.lease) = token;
        open(&self.0.tip).lease_owner = owner;
    }

    /// Reads from the head as last acknowledged.
    pub(crate) fn seen<T>(&self, read: impl FnOnce(&Head) -> T) -> T {
        let mut tip = open(&self.0.tip);
        tip.settle(&self.place());
        read(tip.acked())
    }

    /// What errors call it: the key, or the id.
    pub(crate) fn label(&self) -> String {
        open(&self.0.tip).label(&self.0.id)
    }

    /// The record as last seen. No I/O.
    pub fn info(&self) -> ThreadInfo {
        let mut tip = open(&self.0.tip);
        tip.settle(&self.place());
        let owner = tip.lease_owner.clone();
        let head = tip.acked();
        head.record.info(&self.0.id, head.target, owner)
    }

    /// Sees the thread as it is now.
    ///
    /// # Errors
    /// `NotFound` when it was removed, `Corrupt` when its record can't be read.
    pub fn refresh(&self) -> Result<()> {
        open(&self.0.tip).refresh(&self.place())
    }

    /// The last node, as last seen: a step, or the start.
    pub fn head(&self) -> Cid {
        self.seen(|head| head.target)
    }

    /// Number of the last step as last seen, `__end__` counted; 0 at the start.
    pub fn len(&self) -> u64 {
        self.seen(|head| head.record.steps)
    }

    /// No step yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The start node's name. At most two reads, once.
    ///
    /// # Errors
    /// `Store` or `Corrupt`, naming the node.
    pub fn start_cid(&self) -> Result<Cid> {
        let mut tip = open(&self.0.tip);
        tip.settle(&self.place());
        Ok(tip.acked().position(self.store())?.start)
    }

    /// How the thread began.
    ///
    /// # Errors
    /// As for [`Thread::start_cid`].
    pub fn start_node(&self) -> Result<StartNode> {
        chain::read_start(self.store(), &self.start_cid()?)
    }

    /// What it was asked.
    ///
    /// # Errors
    /// As for [`Thread::start_cid`].
    pub fn prompt(&self) -> Result<Option<Content>> {
        self.start_node()?
            .prompt
            .map(|prompt| read_content(self.store(), &prompt))
            .transpose()
    }

    /// The steps that may be appended in a run: the fork's own, or the start node's.
    ///
    /// # Errors
    /// As for [`Thread::start_cid`].
    pub fn max_rounds(&self) -> Result<Option<u64>> {
        match self.seen(|head| head.record.max_rounds) {
            Some(rounds) => Ok(Some(rounds)),
            None => Ok(self.start_node()?.max_rounds),
        }
    }

    /// Appends one step: content, artifacts, node and head in one commit.
    ///
    /// # Errors
    /// `HeadMoved`, `WrongStatus` unless idle or failed, `Invalid` and `LimitExceeded` for what a step
    /// can't hold, `NotFound` when the thread was removed; in the store's words `LeaseLost`,
    /// `LinkMissing`, `CommandMismatch`.
    pub fn append(&self, step: StepArgs) -> Result<Pending<Step>> {
        let prepared = Prepared::step(&step)?;
        self.append_prepared(
            "append",
            prepared,
            step.expected_head,
            step.command_id.as_deref(),
        )
    }

    /// Appends a step that stands for all before it: a context ends there.
    ///
    /// # Errors
    /// As for [`Thread::append`].
    pub fn compact(
        &self,
        summary: ContentArg,
        role: &str,
        command_id: Option<&str>,
    ) -> Result<Pending<Step>> {
        self.append_prepared(
            "compact",
            Prepared::compact(&summary, role)?,
            None,
            command_id,
        )
    }

    fn append_prepared(
        &self,
        verb: &str,
        step: Prepared,
        expected_head: Option<Cid>,
        command_id: Option<&str>,
    ) -> Result<Pending<Step>> {
        let mut payload = Payload::new(verb);
        payload.bytes(step.digest());
        verbs::launch(
            self,
            Verb {
                command: verbs::command(self.name(), command_id, &payload),
                expected_head,
                leased: true,
                plan: Box::new(move |thread, head, now_ms| {
                    let planned = thread.plan_steps(
                        head,
                        std::slice::from_ref(&step),
                        &Edit::Append { steps: 1 },
                        now_ms,
                    )?;
                    planned.single()
                }),
                replay: Box::new(verbs::replayed_step),
            },
        )
    }

    /// Appends many steps in one commit: all or none. Their own command ids and expected heads must be
    /// absent, except for the first one's expected head.
    ///
    /// # Errors
    /// As for [`Thread::append`]; `LimitExceeded` over [`EXTEND_STEPS_MAX`] steps or what one commit
    /// holds (64 MiB of blocks); `Invalid` for none.
    pub fn extend(
        &self,
        steps: Vec<StepArgs>,
        command_id: Option<&str>,
    ) -> Result<Pending<Vec<Step>>> {
        let expected_head = steps.first().and_then(|step| step.expected_head);
        let prepared = prepare_all(steps)?;
        if prepared.is_empty() {
            return Err(ThreadError::invalid("steps", "", "there is at least one"));
        }
        let mut payload = Payload::new("extend");
        for step in &prepared {
            payload.bytes(step.digest());
        }
        verbs::launch(
            self,
            Verb {
                command: verbs::command(self.name(), command_id, &payload),
                expected_head,
                leased: true,
                plan: Box::new(move |thread, head, now_ms| {
                    let edit = Edit::Append {
                        steps: prepared.len() as u64,
                    };
                    thread.plan_steps(head, &prepared, &edit, now_ms)
                }),
                replay: Box::new(verbs::replayed_steps),
            },
        )
    }

    /// Ends the thread: writes `__end__` and moves it to the history, in one commit.
    ///
    /// # Errors
    /// As for [`Thread::append`].
    pub fn finish(
        &self,
        return_code: i64,
        summary: &str,
        command_id: Option<&str>,
    ) -> Result<Pending<Step>> {
        let mut payload = Payload::new("finish");
        payload.bytes(&return_code.to_le_bytes()).text(summary);
        let step = Prepared::end(return_code, summary)?;
        verbs::launch(
            self,
            Verb {
                command: verbs::command(self.name(), command_id, &payload),
                expected_head: None,
                leased: true,
                plan: Box::new(move |thread, head, now_ms| {
                    thread
                        .plan_steps(
                            head,
                            std::slice::from_ref(&step),
                            &Edit::Finish { return_code },
                            now_ms,
                        )?
                        .single()
                }),
                replay: Box::new(verbs::replayed_step),
            },
        )
    }

    /// Says that a step failed: a node with the error beside the chain, the head unmoved. The thread can
    /// go on from there.
    ///
    /// # Errors
    /// As for [`Thread::append`]; `WrongStatus` when it is over.
    pub fn fail(&self, error: &str, command_id: Option<&str>) -> Result<Pending<Step>> {
        let mut payload = Payload::new("fail");
        payload.text(error);
        let step = Prepared::failed(error)?;
        let edit = Edit::Fail {
            error: error.to_owned(),
        };
        verbs::launch(
            self,
            Verb {
                command: verbs::command(self.name(), command_id, &payload),
                expected_head: None,
                leased: true,
                plan: Box::new(move |thread, head, now_ms| {
                    thread.plan_failure(head, &step, &edit, now_ms)
                }),
                replay: Box::new(verbs::replayed_step),
            },
        )
    }

    /// The node of the last failure, if there was one; it stays when the thread goes on.
    ///
    /// # Errors
    /// `Store` or `Corrupt`, naming the node.
    pub fn failure(&self) -> Result<Option<Step>> {
        match self
            .store()
            .read_ref(&failed_ref(self.scope(), self.id())?)?
        {
            Some(value) => chain::read_step(self.store(), &value.target).map(Some),
            None => Ok(None),
        }
    }

    /// Gives the thread up: to the history, its head unmoved. Needs no lease.
    ///
    /// # Errors
    /// `WrongStatus` when it is over already; else as for [`Thread::append`].
    pub fn cancel(&self, reason: &str, command_id: Option<&str>) -> Result<Pending<()>> {
        let mut payload = Payload::new("cancel");
        payload.text(reason);
        self.edit_record(
            Edit::Cancel {
                reason: reason.to_owned(),
            },
            command_id,
            &payload,
        )
    }

    /// Holds the head still until it is resumed. Needs no lease.
    ///
    /// # Errors
    /// `WrongStatus` unless idle, running or failed.
    pub fn pause(&self, command_id: Option<&str>) -> Result<Pending<()>> {
        self.edit_record(Edit::Pause, command_id, &Payload::new("pause"))
    }

    /// Lets a paused thread go on.
    ///
    /// # Errors
    /// `WrongStatus` unless paused.
    pub fn resume(&self, command_id: Option<&str>) -> Result<Pending<()>> {
        self.edit_record(Edit::Resume, command_id, &Payload::new("resume"))
    }

    fn edit_record(
        &self,
        edit: Edit,
        command_id: Option<&str>,
        payload: &Payload,
    ) -> Result<Pending<()>> {
        let command = verbs::command(self.name(), command_id, payload);
        control(
            self,
            command,
            Arc::new(move |thread, mut head, now_ms| {
                let label = head
                    .record
                    .key
                    .clone()
                    .unwrap_or_else(|| thread.id().to_owned());
                edit.apply(&label, &mut head.record, now_ms)?;
                head.version += 1;
                let receipt = Receipt::of_thread(thread.id(), false);
                Ok(Planned {
                    blocks: Vec::new(),
                    moves: Vec::new(),
                    after: Some(head),
                    receipt,
                    output: (),
                })
            }),
        )
    }

    /// Step `number`, from 1 to the head as last seen. O(log n) reads.
    ///
    /// # Errors
    /// `NoSuchStep`; `Store` or `Corrupt`, naming the node.
    pub fn at(&self, number: u64) -> Result<Step> {
        let (head, len) = self.seen(|head| (head.target, head.record.steps));
        let none = || ThreadError::NoSuchStep {
            thread: self.label(),
            asked: number,
            len,
        };
        if number == 0 || number > len {
            return Err(none());
        }
        chain::find(self.store(), chain::read_step(self.store(), &head)?, number)?.ok_or_else(none)
    }

    /// The step of that name, of whichever thread.
    ///
    /// # Errors
    /// `Store` when it is missing, `Corrupt` when it is no step.
    pub fn step(&self, cid: &Cid) -> Result<Step> {
        chain::read_step(self.store(), cid)
    }

    /// All steps in order, as last seen.
    pub fn steps(&self) -> Steps {
        self.walk(1, None)
    }

    /// Steps `first` to `last` (both included; None: the head as last seen) in order. Reads each step
    /// about once and holds at most one chunk of them.
    pub fn walk(&self, first: u64, last: Option<u64>) -> Steps {
        let (head, len) = self.seen(|head| (head.target, head.record.steps));
        Steps::new(
            self.shared_store(),
            head,
            first.max(1),
            last.map_or(len, |last| last.min(len)),
        )
    }

    /// All steps from the head as last seen back to step 1. Reads each once.
    pub fn back(&self) -> Back {
        self.walk_back(1, None)
    }

    /// Steps `last` (None: the head as last seen) back to `first`, both included. O(log n) reads to the
    /// first one that is given, then one a step.
    pub fn walk_back(&self, first: u64, last: Option<u64>) -> Back {
        let (head, len) = self.seen(|head| (head.target, head.record.steps));
        Back::new(
            self.shared_store(),
            head,
            first.max(1),
            last.map_or(len, |last| last.min(len)),
        )
    }

    pub(crate) fn plan_steps(
        &self,
        mut head: Head,
        steps: &[Prepared],
        edit: &Edit,
        now_ms: i64,
    ) -> Result<Planned<Vec<Step>>> {
        let label = head
            .record
            .key
            .clone()
            .unwrap_or_else(|| self.id().to_owned());
        let mut record = head.record.clone();
        edit.apply(&label, &mut record, now_ms)?;
        let mut position = head.position(self.store())?.clone();
        let mut blocks = Vec::new();
        let mut output = Vec::with_capacity(steps.len());
        for step in steps {
            output.push(step.place(&mut position, self.store(), now_ms, &mut blocks)?);
        }
        let receipt = Receipt {
            thread: self.id().to_owned(),
            cid: Some(position.cid),
            step: position.step,
            count: output.len() as u64,
            started: false,
        };
        let after = Head::at(head.version + 1, position, record);
        Ok(Planned {
            blocks,
            moves: Vec::new(),
            after: Some(after),
            receipt,
            output,
        })
    }

    fn plan_failure(
        &self,
        mut head: Head,
        step: &Prepared,
        edit: &Edit,
        now_ms: i64,
    ) -> Result<Planned<Step>> {
        let label = head
            .record
            .key
            .clone()
            .unwrap_or_else(|| self.id().to_owned());
        edit.apply(&label, &mut head.record, now_ms)?;
        let mut beside = head.position(self.store())?.clone();
        let mut blocks = Vec::new();
        let output = step.place(&mut beside, self.store(), now_ms, &mut blocks)?;
        let receipt = Receipt {
            thread: self.id().to_owned(),
            cid: Some(output.cid),
            step: output.number,
            count: 1,
            started: false,
        };
        let moves = vec![crate::fork::failed_move(
            self.scope(),
            self.id(),
            output.cid,
        )?];
        head.version += 1;
        Ok(Planned {
            blocks,
            moves,
            after: Some(head),
            receipt,
            output,
        })
    }
}

impl Planned<Vec<Step>> {
    /// The plan of one step.
    fn single(mut self) -> Result<Planned<Step>> {
        let output = self
            .output
            .pop()
            .ok_or_else(|| ThreadError::corrupt("plan", &self.receipt.thread, "it has no step"))?;
        Ok(Planned {
            blocks: self.blocks,
            moves: self.moves,
            after: self.after,
            receipt: self.receipt,
            output,
        })
    }
}

/// Prepares steps that go in together.
pub(crate) fn prepare_all(steps: Vec<StepArgs>) -> Result<Vec<Prepared>> {
    within("steps of one commit", EXTEND_STEPS_MAX, steps.len())?;
    let mut bytes = 0;
    let mut prepared = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        if step.command_id.is_some() || (index > 0 && step.expected_head.is_some()) {
            return Err(ThreadError::invalid(
                "step",
                &step.role,
                "the steps of one commit share one command id and one expected head",
            ));
        }
        let step = Prepared::step(step)?;
        bytes += step.block_bytes();
        // Ends early: the store would refuse the whole of it, after all of it was built.
        within(
            "bytes of blocks in one commit",
            treering_store::commit::COMMIT_BYTES_MAX as usize,
            bytes,
        )?;
        prepared.push(step);
    }
    Ok(prepared)
}
