//! A batch on its way: submitted with the tips of all its threads held, judged, planned anew if it was
//! refused only for a changed record.

use std::collections::BTreeSet;
use std::sync::Arc;

use treering_block::Cid;
use treering_store::{
    Commit, Committed, Decide, Durability, LeaseToken, RefMove, RefName, StoreError,
};

use super::{Batch, BatchAnswer, Line};
use crate::command::CommandKey;
use crate::error::{Result, ThreadError};
use crate::head::Head;
use crate::ident::THREAD_KEY;
use crate::pending::{Outcome, Pending};
use crate::receipt::{self, Receipt};
use crate::start::{birth, refused};
use crate::still_there::{Seen, StillThere};
use crate::thread::Thread;
use crate::threads::id_of;
use crate::tip::{Slot, Verdict, open};
use crate::verbs::{lease_token, moves, replayed_steps};

const ATTEMPTS_MAX: u32 = 1000;

pub(super) fn submit(
    batch: Arc<Batch>,
    command: Option<CommandKey>,
    durability: Durability,
    attempt: u32,
) -> Result<Pending<BatchAnswer>> {
    // Tips are held until the commit is queued, taken in the order of their ids: no two batches can
    // wait for each other.
    let mut changed: Vec<(&Line, &Thread)> = batch
        .lines
        .iter()
        .filter(|line| line.is_changed())
        .filter_map(|line| Some((line, line.thread.as_ref()?)))
        .collect();
    changed.sort_by(|a, b| a.0.id.cmp(&b.0.id));
    let mut tips = Vec::with_capacity(changed.len());
    let mut ref_moves: Vec<RefMove> = batch.moves.clone();
    let mut leases: Vec<LeaseToken> = Vec::new();
    for (line, thread) in changed {
        let mut tip = open(thread.tip());
        tip.settle(&thread.place());
        let base = tip.pending(&thread.place())?;
        if base.target != line.base.target {
            return Err(ThreadError::HeadMoved {
                thread: line.label().to_owned(),
                at_step: base.record.steps,
                at: base.target,
                expected_step: line.base.record.steps,
                expected: line.base.target,
            });
        }
        let mut after = line.head.clone();
        after.record = base.record.clone();
        after.version = base.version + 1;
        for edit in &line.edits {
            edit.apply(line.label(), &mut after.record, batch.now_ms)?;
        }
        ref_moves.extend(moves(thread.name(), &base, Some(&after), Vec::new())?);
        leases.extend(lease_token(thread, true));
        tips.push((tip, base, after));
    }
    let mut fresh = Vec::new();
    for line in batch.lines.iter().filter(|line| line.thread.is_none()) {
        let mut head = line.head.clone();
        head.record = line.base.record.clone();
        for edit in &line.edits {
            edit.apply(line.label(), &mut head.record, batch.now_ms)?;
        }
        ref_moves.extend(birth(batch.threads.scope(), &line.id, &head, line.start)?);
        fresh.push((line.id.clone(), head));
    }
    let receipts: Vec<Receipt> = batch.lines.iter().map(Line::receipt).collect();
    let receipt = receipt::encode(&receipts)?;
    let companion = batch.companion.as_ref();
    let then = companion.map(|companion| companion.decide(receipt.clone()));
    let threads = only_forked(&batch);
    let decide: Option<Arc<dyn Decide>> = match threads.is_empty() {
        true => then,
        false => Some(Arc::new(StillThere { threads, then })),
    };
    let ticket = batch.threads.store().submit(Commit {
        scope: batch.threads.scope().to_owned(),
        blocks: batch.blocks.clone(),
        uploads: batch.uploads.clone(),
        moves: ref_moves,
        leases,
        command: command
            .as_ref()
            .map(|command| command.with_receipt(receipt)),
        decide,
        holds: unlinked(&batch),
        durability,
        ..Commit::default()
    });
    let slots: Vec<Slot> = tips
        .into_iter()
        .map(|(mut tip, base, after)| tip.launch(ticket.clone(), &base, Some(after)))
        .collect();
    Ok(Pending::new(ticket, move |answer| {
        conclude(batch, command, durability, attempt, answer, &slots, fresh)
    }))
}

/// The threads that are forked and not changed, as they were seen.
fn only_forked(batch: &Batch) -> Vec<Seen> {
    let new = batch.lines.iter().filter(|line| line.thread.is_none());
    let forked: BTreeSet<&str> = new
        .filter_map(|line| Some(line.base.record.forked_from.as_ref()?.0.as_str()))
        .collect();
    let there = batch.lines.iter().filter(|line| !line.is_changed());
    there
        .filter(|line| forked.contains(line.id.as_str()))
        .filter_map(|line| {
            Some(Seen {
                name: line.thread.as_ref()?.name().clone(),
                head: line.base.target,
                steps: line.base.record.steps,
            })
        })
        .collect()
}

/// The blocks that were put and that no other block of the commit links to.
fn unlinked(batch: &Batch) -> Vec<Cid> {
    let linked: BTreeSet<&Cid> = batch.blocks.iter().flat_map(|block| &block.links).collect();
    batch
        .holds
        .iter()
        .filter(|cid| !linked.contains(cid))
        .copied()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

fn conclude(
    batch: Arc<Batch>,
    command: Option<CommandKey>,
    durability: Durability,
    attempt: u32,
    answer: Result<Committed, StoreError>,
    slots: &[Slot],
    fresh: Vec<(String, Head)>,
) -> Outcome<BatchAnswer> {
    for thread in batch.lines.iter().filter_map(|line| line.thread.as_ref()) {
        open(thread.tip()).settle(&thread.place());
    }
    let error = match answer {
        Ok(Committed {
            replay: Some(bytes),
            ..
        }) => return Outcome::Done(replayed(&batch, &bytes)),
        Ok(committed) => return Outcome::Done(landed(&batch, &committed, fresh)),
        Err(error) => error,
    };
    // Planned anew it would meet the same: neither is a thread's own ref.
    let along = |moved: &RefName| batch.moves.iter().any(|step| step.name == *moved);
    if matches!(&error, StoreError::RefMoved { name, .. } if name.kind() == THREAD_KEY || along(name))
    {
        return Outcome::Done(Err(refused(error)));
    }
    if let StoreError::RefNotFound(name) = &error
        && let Some(id) = id_of(name)
    {
        return Outcome::Done(Err(ThreadError::NotFound { id: id.to_owned() }));
    }
    let verdicts: Vec<Verdict> = slots.iter().filter_map(|slot| open(slot).take()).collect();
    if let Some(Verdict::Failed(error)) = verdicts
        .iter()
        .find(|verdict| matches!(verdict, Verdict::Failed(_)))
    {
        return Outcome::Done(Err(error.clone()));
    }
    if verdicts.is_empty() || attempt >= ATTEMPTS_MAX {
        return Outcome::Done(Err(refused(error)));
    }
    match submit(batch, command, durability, attempt + 1) {
        Ok(pending) => Outcome::Again(pending),
        Err(error) => Outcome::Done(Err(error)),
    }
}

fn landed(batch: &Batch, committed: &Committed, fresh: Vec<(String, Head)>) -> Result<BatchAnswer> {
    let mut fresh = fresh.into_iter();
    let mut threads = Vec::with_capacity(batch.lines.len());
    for line in &batch.lines {
        threads.push(match (&line.thread, &line.id) {
            (Some(thread), _) => thread.clone(),
            (None, id) => match fresh.next() {
                Some((id, head)) => batch.threads.handle(&id, head, None)?,
                None => {
                    return Err(ThreadError::corrupt(
                        "batch",
                        id,
                        "a started thread has no head",
                    ));
                }
            },
        });
    }
    Ok(BatchAnswer {
        replayed: false,
        threads,
        steps: batch
            .lines
            .iter()
            .flat_map(|line| line.own().iter().cloned())
            .collect(),
        position: committed.position,
        new_blocks: committed.new_blocks,
        receipt: None,
    })
}

pub(super) fn replayed(batch: &Batch, bytes: &[u8]) -> Result<BatchAnswer> {
    let own = batch
        .companion
        .as_ref()
        .and_then(|companion| companion.split(bytes));
    let own_bytes = own.as_deref().unwrap_or(bytes);
    let receipts = receipt::decode(own_bytes)?;
    let mut threads = Vec::with_capacity(receipts.len());
    let mut steps = Vec::new();
    for receipt in &receipts {
        let own = batch
            .lines
            .iter()
            .find(|line| line.id == receipt.thread)
            .and_then(|line| line.thread.clone());
        let thread = match own {
            Some(thread) => {
                let _ = open(thread.tip()).adopt(&thread.place(), own_bytes);
                thread
            }
            None => batch.threads.of_receipt(receipt)?,
        };
        steps.extend(replayed_steps(&thread, receipt)?);
        threads.push(thread);
    }
    let position = batch.threads.store().head()?.position;
    Ok(BatchAnswer {
        replayed: true,
        threads,
        steps,
        position,
        new_blocks: 0,
        receipt: Some(bytes.to_vec()),
    })
}
