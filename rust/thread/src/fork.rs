//! Forking and removing: a fork is one record on a node that is there already.

use std::collections::BTreeSet;
use std::sync::Arc;

use treering_block::Cid;
use treering_block::node::ROLE_END;
use treering_store::commit::Address;
use treering_store::{Change, Commit, Expect, RefMove, Store, StoreError};

use crate::args::{ForkArgs, ForkAt, Occurrence};
use crate::chain::{find, parent, read_step};
use crate::command::{CommandKey, Payload};
use crate::control::control;
use crate::error::{Result, ThreadError};
use crate::head::Head;
use crate::ident::{check_key, failed_ref, new_id};
use crate::info::Status;
use crate::label::check_labels;
use crate::pending::{Outcome, Pending};
use crate::receipt::{self, Receipt};
use crate::record::Record;
use crate::start::{birth, digest_labels, refused};
use crate::step::Step;
use crate::still_there::{Seen, StillThere};
use crate::thread::Thread;
use crate::threads::Threads;
use crate::verbs::Planned;

/// The end of a chain that is forked: its head in the store, and steps behind it that are not yet there.
pub(crate) struct Source<'a> {
    pub store: &'a dyn Store,
    pub label: &'a str,
    pub head: Cid,
    pub start: Cid,
    /// Steps of `head`.
    pub stored: u64,
    pub fresh: &'a [Step],
    /// The last step is `__end__`, which never counts.
    pub ended: bool,
}

impl Source<'_> {
    /// The number and node that a fork at `at` stands on.
    pub fn resolve(&self, at: &ForkAt) -> Result<(u64, Cid)> {
        let len = self.stored + self.fresh.len() as u64 - u64::from(self.ended);
        match at {
            ForkAt::Head => self.node(len),
            ForkAt::Step(step) if *step <= len => self.node(*step),
            ForkAt::Step(step) if self.ended && *step == len + 1 => Err(ThreadError::invalid(
                "at",
                &step.to_string(),
                format!("it is the thread's end, behind which nothing goes on: fork at {len}"),
            )),
            ForkAt::Step(step) => Err(ThreadError::NoSuchStep {
                thread: self.label.to_owned(),
                asked: *step,
                len,
            }),
            ForkAt::Before { role, occurrence } => {
                self.node(self.spoken(role, *occurrence)?.saturating_sub(1))
            }
        }
    }

    fn node(&self, number: u64) -> Result<(u64, Cid)> {
        if number == 0 {
            return Ok((0, self.start));
        }
        if let Some(step) = self.fresh.iter().find(|step| step.number == number) {
            return Ok((number, step.cid));
        }
        if number == self.stored {
            return Ok((number, self.head));
        }
        let found = find(self.store, read_step(self.store, &self.head)?, number)?;
        let step = found.ok_or_else(|| {
            ThreadError::corrupt("thread head", self.head, format!("it has no step {number}"))
        })?;
        Ok((number, step.cid))
    }

    /// The number of the step in which `role` spoke. O(n) reads, for the last one as many as lie behind it.
    fn spoken(&self, role: &str, occurrence: Occurrence) -> Result<u64> {
        let mut numbers = Vec::new();
        let mut roles: Vec<String> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut look = |step: &Step| {
            if step.node.role == role && role != ROLE_END {
                numbers.push(step.number);
            }
            if step.node.role != ROLE_END && seen.insert(step.node.role.clone()) {
                roles.push(step.node.role.clone());
            }
            occurrence == Occurrence::Last && !numbers.is_empty()
        };
        let mut done = self.fresh.iter().rev().any(&mut look);
        let mut at = if done || self.stored == 0 {
            None
        } else {
            Some(read_step(self.store, &self.head)?)
        };
        while let Some(step) = at {
            done = look(&step);
            at = if done {
                None
            } else {
                parent(self.store, &step)?
            };
        }
        // Collected from the end.
        numbers.reverse();
        roles.reverse();
        let found = match occurrence {
            Occurrence::First => numbers.first(),
            Occurrence::Last => numbers.last(),
            Occurrence::Nth(nth) => usize::try_from(nth)
                .ok()
                .and_then(|nth| numbers.get(nth.checked_sub(1)?)),
        };
        match (found, occurrence) {
            (Some(number), _) => Ok(*number),
            (None, Occurrence::Nth(nth)) if !numbers.is_empty() => Err(ThreadError::invalid(
                "occurrence",
                &nth.to_string(),
                format!(
                    "{role} has spoken {} times; they count from 1",
                    numbers.len()
                ),
            )),
            (None, _) => Err(ThreadError::UnknownRole {
                role: role.to_owned(),
                roles,
            }),
        }
    }
}

/// A fork that was checked.
pub(crate) struct Forked {
    pub id: String,
    pub head: Head,
    pub start: Cid,
}

/// The record of a fork of `from` at (`step`, `cid`).
pub(crate) fn forked(
    from: (&str, &Record),
    step: u64,
    cid: Cid,
    start: Cid,
    args: &ForkArgs,
    now_ms: i64,
) -> Result<Forked> {
    let (source, parent) = from;
    let mut record = Record::new(
        &parent.workflow,
        args.key.clone(),
        args.labels.clone(),
        now_ms,
    );
    record.forked_from = Some((source.to_owned(), step));
    record.max_rounds = args.max_rounds.or(parent.max_rounds);
    record.steps = step;
    Ok(Forked {
        id: new_id(now_ms),
        head: Head::new(1, cid, record),
        start,
    })
}

/// Refuses what a fork can't have.
pub(crate) fn check_fork(args: &ForkArgs) -> Result<()> {
    if let Some(key) = &args.key {
        check_key(key)?;
    }
    check_labels(&args.labels)
}

pub(crate) fn digest_fork(payload: &mut Payload, at: &ForkAt, args: &ForkArgs) {
    match at {
        ForkAt::Head => payload.number(0),
        ForkAt::Step(step) => payload.number(1).number(*step),
        ForkAt::Before { role, occurrence } => {
            payload.number(2).text(role);
            match occurrence {
                Occurrence::First => payload.number(0),
                Occurrence::Last => payload.number(1),
                Occurrence::Nth(nth) => payload.number(2).number(*nth),
            }
        }
    };
    payload.maybe(args.max_rounds, |payload, rounds| {
        payload.number(rounds);
    });
    payload.maybe(args.key.as_ref(), |payload, key| {
        payload.text(key);
    });
    digest_labels(payload, &args.labels);
}

/// The move that leaves a failed node beside its thread.
pub(crate) fn failed_move(scope: &str, id: &str, node: Cid) -> Result<RefMove> {
    let change = Change::Set {
        target: node,
        record: Vec::new(),
    };
    Ok(RefMove {
        name: failed_ref(scope, id)?,
        expect: Expect::Any,
        change,
    })
}

impl Thread {
    /// A new thread that goes on from one of this one's steps, as last seen: one record and no node,
    /// whatever the length. `__end__` never counts, so a finished thread is forked at its last step.
    ///
    /// # Errors
    /// `NotFound` when it was removed; `NoSuchStep`, `UnknownRole`, `AlreadyExists` for a taken key, `Invalid`,
    /// `LimitExceeded`.
    pub fn fork(&self, at: ForkAt, args: ForkArgs) -> Result<Pending<Thread>> {
        check_fork(&args)?;
        let mut payload = Payload::new("fork");
        payload.text(self.id());
        digest_fork(&mut payload, &at, &args);
        let threads = Threads::of(self);
        let command = args.command_id.clone().map(|id| CommandKey {
            address: Address::Scope(self.scope().to_owned()),
            id,
            payload: payload.finish(),
        });
        if let Some(receipt) = command
            .as_ref()
            .map(|command| command.first(self.store()))
            .transpose()?
            .flatten()
        {
            return Ok(Pending::done(threads.replayed(&receipt)));
        }
        let start = self.start_cid().map_err(|error| self.or_gone(error))?;
        let (head, record) = self.seen(|head| (head.target, head.record.clone()));
        let seen = Seen {
            name: self.name().clone(),
            head,
            steps: record.steps,
        };
        let label = self.label();
        let source = Source {
            store: self.store(),
            label: &label,
            head,
            start,
            stored: record.steps,
            fresh: &[],
            ended: record.status == Status::Completed,
        };
        let (step, cid) = source.resolve(&at).map_err(|error| self.or_gone(error))?;
        let Forked { id, head, start } = forked(
            (self.id(), &record),
            step,
            cid,
            start,
            &args,
            self.store().now_ms(),
        )?;
        let receipt = receipt::encode(&[Receipt::of_thread(&id, true)])?;
        let ticket = self.store().submit(Commit {
            scope: self.scope().to_owned(),
            moves: birth(self.scope(), &id, &head, start)?,
            command: command.map(|command| command.with_receipt(receipt)),
            decide: Some(Arc::new(StillThere {
                threads: vec![seen],
                then: None,
            })),
            durability: self.durability(),
            ..Commit::default()
        });
        let source = self.clone();
        Ok(Pending::new(ticket, move |answer| {
            Outcome::Done(match answer {
                Ok(committed) => match committed.replay {
                    Some(receipt) => threads.replayed(&receipt),
                    None => threads.handle(&id, head, None),
                },
                Err(StoreError::RefNotFound(name)) if name == *source.name() => {
                    Err(source.not_found())
                }
                Err(error) => Err(refused(error)),
            })
        }))
    }

    fn not_found(&self) -> ThreadError {
        ThreadError::NotFound {
            id: self.id().to_owned(),
        }
    }

    /// What can't be read since it was collected: so the thread was removed before.
    fn or_gone(&self, error: ThreadError) -> ThreadError {
        match error {
            ThreadError::Store(StoreError::BlockNotFound(_))
                if matches!(self.store().read_ref(self.name()), Ok(None)) =>
            {
                self.not_found()
            }
            error => error,
        }
    }

    /// Removes the thread, its key and its failure in one commit; its nodes stay until garbage
    /// collection finds nothing that keeps them.
    ///
    /// # Errors
    /// `WrongStatus` while it is running, unless `force`; `NotFound` when it was removed before.
    pub fn rm(&self, force: bool, command_id: Option<&str>) -> Result<Pending<()>> {
        let payload = rm_payload(self.id(), force);
        // Under the scope, so that a repeated command finds its receipt when the thread is no more.
        let command = command_id.map(|id| CommandKey {
            address: Address::Scope(self.scope().to_owned()),
            id: id.to_owned(),
            payload,
        });
        control(
            self,
            command,
            Arc::new(move |thread, head, _| thread.plan_rm(&head, force)),
        )
    }

    fn plan_rm(&self, head: &Head, force: bool) -> Result<Planned<()>> {
        let label = head
            .record
            .key
            .clone()
            .unwrap_or_else(|| self.id().to_owned());
        // Running is who shows as running: a lease on a failed or finished thread keeps nobody from it.
        let idle = head.record.status == Status::Idle;
        if !force && idle && self.lease_state()?.is_some_and(|lease| lease.held) {
            return Err(ThreadError::WrongStatus {
                thread: label,
                status: Status::Running,
                verb: "rm",
            });
        }
        let mut moves = Vec::new();
        let mut receipt = Receipt::of_thread(self.id(), false);
        receipt.step = head.record.steps;
        let key = head
            .record
            .key
            .as_ref()
            .map(|key| crate::ident::key_ref(self.scope(), key))
            .transpose()?;
        for name in key
            .into_iter()
            .chain([failed_ref(self.scope(), self.id())?])
        {
            if let Some(value) = self.store().read_ref(&name)? {
                moves.push(RefMove {
                    name,
                    expect: Expect::Version(value.version),
                    change: Change::Delete,
                });
            }
        }
        Ok(Planned {
            blocks: Vec::new(),
            moves,
            after: None,
            receipt,
            output: (),
        })
    }
}

pub(crate) fn rm_payload(id: &str, force: bool) -> [u8; 32] {
    Payload::new("rm")
        .text(id)
        .number(u64::from(force))
        .finish()
}
