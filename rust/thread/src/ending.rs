//! How a thread ends, stops and goes on: finish, fail, cancel, pause, resume.

use std::sync::Arc;

use crate::chain;
use crate::command::Payload;
use crate::control::control;
use crate::error::Result;
use crate::head::{Edit, Head};
use crate::ident::failed_ref;
use crate::pending::Pending;
use crate::plan::Prepared;
use crate::receipt::Receipt;
use crate::step::Step;
use crate::thread::Thread;
use crate::verbs::{self, Planned, Verb};

impl Thread {
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
