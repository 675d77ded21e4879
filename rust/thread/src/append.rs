//! Putting steps behind a thread's head: one, many, or a summary of all before.

use treering_block::Cid;
use treering_store::commit::COMMIT_BYTES_MAX;

use crate::args::StepArgs;
use crate::command::{CommandKey, Payload};
use crate::error::{Result, ThreadError, within};
use crate::head::{Edit, Head};
use crate::limits::EXTEND_STEPS_MAX;
use crate::pending::Pending;
use crate::plan::Prepared;
use crate::receipt::Receipt;
use crate::step::Step;
use crate::thread::Thread;
use crate::verbs::{self, Planned, Verb};

impl Thread {
    /// Appends one step: content, artifacts, node and head in one commit.
    ///
    /// # Errors
    /// `HeadMoved`, `WrongStatus` unless idle or failed, `Invalid` and `LimitExceeded` for what a step
    /// can't hold, `NotFound` when the thread was removed; in the store's words `LeaseLost`,
    /// `LinkMissing`, `CommandMismatch`.
    pub fn append(&self, step: StepArgs) -> Result<Pending<Step>> {
        let prepared = Prepared::step(&step, step.command_id.is_some())?;
        self.append_prepared(
            "append",
            prepared,
            step.expected_head,
            step.command_id.as_deref(),
        )
    }

    /// Appends a step whose content stands for all before it: a context ends there.
    ///
    /// # Errors
    /// As for [`Thread::append`].
    pub fn compact(&self, summary: StepArgs) -> Result<Pending<Step>> {
        let (expected_head, command_id) = (summary.expected_head, summary.command_id.clone());
        let prepared = Prepared::compact(summary, command_id.is_some())?;
        self.append_prepared("compact", prepared, expected_head, command_id.as_deref())
    }

    fn append_prepared(
        &self,
        verb: &str,
        step: Prepared,
        expected_head: Option<Cid>,
        command_id: Option<&str>,
    ) -> Result<Pending<Step>> {
        let command = self.command_of(verb, command_id, std::slice::from_ref(&step))?;
        verbs::launch(
            self,
            Verb {
                command,
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
        let prepared = prepare_all(steps, command_id.is_some())?;
        if prepared.is_empty() {
            return Err(ThreadError::invalid("steps", "", "there is at least one"));
        }
        let command = self.command_of("extend", command_id, &prepared)?;
        verbs::launch(
            self,
            Verb {
                command,
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

    /// The command that appends these steps, if it has an id.
    fn command_of(
        &self,
        verb: &str,
        id: Option<&str>,
        steps: &[Prepared],
    ) -> Result<Option<CommandKey>> {
        if id.is_none() {
            return Ok(None);
        }
        let mut payload = Payload::new(verb);
        for step in steps {
            payload.bytes(step.digest()?);
        }
        Ok(verbs::command(self.name(), id, &payload))
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
}

impl Planned<Vec<Step>> {
    /// The plan of one step.
    pub fn single(mut self) -> Result<Planned<Step>> {
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

/// Prepares steps that go in together; `commanded`: under a command id.
pub(crate) fn prepare_all(steps: Vec<StepArgs>, commanded: bool) -> Result<Vec<Prepared>> {
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
        let step = Prepared::step(step, commanded)?;
        bytes += step.block_bytes();
        // Ends early: the store would refuse the whole of it, after all of it was built.
        within(
            "bytes of blocks in one commit",
            COMMIT_BYTES_MAX as usize,
            bytes,
        )?;
        prepared.push(step);
    }
    Ok(prepared)
}
