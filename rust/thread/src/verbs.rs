//! How a change of one thread goes: planned on the handle's head, submitted, judged, planned anew if
//! it was refused for no fault of its own.

use std::sync::Arc;

use treering_block::{Block, Cid};
use treering_store::commit::Address;
use treering_store::{Change, Commit, Committed, Expect, LeaseToken, RefMove, RefName, StoreError};

use crate::chain;
use crate::command::{CommandKey, Payload};
use crate::error::{Result, ThreadError};
use crate::head::Head;
use crate::pending::{Outcome, Pending};
use crate::receipt::{self, Receipt};
use crate::step::Step;
use crate::thread::Thread;
use crate::tip::{Verdict, open};

/// So often is a change planned anew before the store's own error is passed on.
const ATTEMPTS_MAX: u32 = 1000;

type Plan<O> = Box<dyn Fn(&Thread, Head, i64) -> Result<Planned<O>> + Send + Sync>;
type Replay<O> = Box<dyn Fn(&Thread, &Receipt) -> Result<O> + Send + Sync>;

/// A change of one thread.
pub(crate) struct Verb<O> {
    /// The caller's command id.
    pub command: Option<CommandKey>,
    /// The head that the caller insists on.
    pub expected_head: Option<Cid>,
    /// Whether the handle's lease must still be held.
    pub leased: bool,
    /// What to write on this head at this time.
    pub plan: Plan<O>,
    /// The answer of the first command under this id.
    pub replay: Replay<O>,
}

/// What a change writes, and answers.
pub(crate) struct Planned<O> {
    pub blocks: Vec<Block>,
    /// Moves of other refs.
    pub moves: Vec<RefMove>,
    /// What it leaves; None: no thread.
    pub after: Option<Head>,
    pub receipt: Receipt,
    pub output: O,
}

/// The command id of a change that addresses `name`.
pub(crate) fn command(name: &RefName, id: Option<&str>, payload: &Payload) -> Option<CommandKey> {
    let id = id?.to_owned();
    Some(CommandKey {
        address: Address::Ref(name.clone()),
        id,
        payload: payload.finish(),
    })
}

/// Submits the change.
pub(crate) fn launch<O: Send + 'static>(thread: &Thread, verb: Verb<O>) -> Result<Pending<O>> {
    if let Some(command) = &verb.command
        && let Some(bytes) = command.first(thread.store())?
    {
        let _ = open(thread.tip()).adopt(&thread.place(), &bytes);
        return Ok(Pending::done((verb.replay)(
            thread,
            &receipt::decode_one(&bytes)?,
        )));
    }
    submit(thread.clone(), Arc::new(verb), 0)
}

fn submit<O: Send + 'static>(
    thread: Thread,
    verb: Arc<Verb<O>>,
    attempt: u32,
) -> Result<Pending<O>> {
    let store = thread.store();
    // Held until the commit is queued: the order of the calls is the order of the commits.
    let mut tip = open(thread.tip());
    tip.settle(&thread.place());
    let base = tip.pending(&thread.place())?;
    if let Some(expected) = verb.expected_head
        && expected != base.target
    {
        return Err(expected_elsewhere(
            &thread,
            &tip.label(thread.id()),
            &base,
            expected,
        ));
    }
    let planned = (verb.plan)(&thread, base.clone(), store.now_ms())?;
    let commit = Commit {
        scope: thread.scope().to_owned(),
        blocks: planned.blocks,
        moves: moves(thread.name(), &base, planned.after.as_ref(), planned.moves)?,
        leases: lease_token(&thread, verb.leased),
        command: match &verb.command {
            Some(command) => Some(command.with_receipt(receipt::encode(&[planned.receipt])?)),
            None => None,
        },
        durability: thread.durability(),
        ..Commit::default()
    };
    let ticket = store.submit(commit);
    let slot = tip.launch(ticket.clone(), &base, planned.after);
    drop(tip);
    let output = planned.output;
    Ok(Pending::new(ticket, move |answer| {
        open(thread.tip()).settle(&thread.place());
        let verdict = open(&slot).take();
        conclude(thread, verb, attempt, verdict, answer, output)
    }))
}

fn conclude<O: Send + 'static>(
    thread: Thread,
    verb: Arc<Verb<O>>,
    attempt: u32,
    verdict: Option<Verdict>,
    answer: Result<Committed, StoreError>,
    output: O,
) -> Outcome<O> {
    match verdict {
        Some(Verdict::Landed) => Outcome::Done(Ok(output)),
        Some(Verdict::Replayed(bytes)) => Outcome::Done(
            receipt::decode_one(&bytes).and_then(|receipt| (verb.replay)(&thread, &receipt)),
        ),
        Some(Verdict::Again) if attempt < ATTEMPTS_MAX => match submit(thread, verb, attempt + 1) {
            Ok(pending) => Outcome::Again(pending),
            Err(error) => Outcome::Done(Err(error)),
        },
        Some(Verdict::Failed(error)) => Outcome::Done(Err(error)),
        Some(Verdict::Again) | None => Outcome::Done(Err(match answer {
            Err(error) => error.into(),
            Ok(_) => ThreadError::corrupt(
                "thread",
                thread.id(),
                "a commit was answered and not judged",
            ),
        })),
    }
}

/// The move of the thread's own ref first, then the others.
pub(crate) fn moves(
    name: &RefName,
    base: &Head,
    after: Option<&Head>,
    others: Vec<RefMove>,
) -> Result<Vec<RefMove>> {
    let change = match after {
        Some(head) => Change::Set {
            target: head.target,
            record: head.record.encode()?,
        },
        None => Change::Delete,
    };
    let expect = Expect::At {
        version: base.version,
        target: base.target,
    };
    let mut moves = vec![RefMove {
        name: name.clone(),
        expect,
        change,
    }];
    moves.extend(others);
    Ok(moves)
}

pub(crate) fn lease_token(thread: &Thread, leased: bool) -> Vec<LeaseToken> {
    match thread.lease_token() {
        Some(token) if leased => vec![LeaseToken {
            name: thread.name().clone(),
            token,
        }],
        _ => Vec::new(),
    }
}

fn expected_elsewhere(thread: &Thread, label: &str, base: &Head, expected: Cid) -> ThreadError {
    let expected_step = chain::read_step(thread.store(), &expected).map_or(0, |step| step.number);
    ThreadError::HeadMoved {
        thread: label.to_owned(),
        at_step: base.record.steps,
        at: base.target,
        expected_step,
        expected,
    }
}

/// The steps that a receipt tells of, in order.
pub(crate) fn replayed_steps(thread: &Thread, receipt: &Receipt) -> Result<Vec<Step>> {
    let Some(cid) = receipt.cid else {
        return Ok(Vec::new());
    };
    let mut steps = vec![chain::read_step(thread.store(), &cid)?];
    while (steps.len() as u64) < receipt.count {
        let Some(step) = steps
            .last()
            .map(|step| chain::parent(thread.store(), step))
            .transpose()?
            .flatten()
        else {
            break;
        };
        steps.push(step);
    }
    steps.reverse();
    Ok(steps)
}

/// The one step that a receipt tells of.
pub(crate) fn replayed_step(thread: &Thread, receipt: &Receipt) -> Result<Step> {
    let cid = receipt
        .cid
        .ok_or_else(|| ThreadError::corrupt("receipt", thread.id(), "it names no step"))?;
    chain::read_step(thread.store(), &cid)
}
