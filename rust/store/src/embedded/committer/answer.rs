//! What a request is answered, kept until its transaction has ended: only then is it known.

use crate::commit::Committed;
use crate::embedded::queue::{OwedTicket, Request, Work};
use crate::embedded::reply::Reply;
use crate::error::{Result, StoreError};
use crate::lease::Lease;

/// A request's answer, kept until the transaction has ended.
pub(super) enum Answer {
    Commit(OwedTicket, Result<Committed>),
    Acquire(Reply<Lease>, Result<Lease>),
    /// Of a lease given back, or housekeeping.
    Done(Reply<()>, Result<()>),
}

impl Answer {
    /// The lease that it grants, if the transaction ends well.
    pub(super) fn granted(&self) -> Option<&Lease> {
        match self {
            Self::Acquire(_, Ok(lease)) => Some(lease),
            _ => None,
        }
    }

    /// The lease that it grants to somebody who has gone, if it does.
    pub(super) fn give(self) -> Option<Lease> {
        match self {
            Self::Commit(ticket, answer) => ticket.0.answer(answer),
            Self::Acquire(reply, answer) => {
                let lease = answer.as_ref().ok().cloned();
                let is_taken = reply.answer(answer);
                return lease.filter(|_| !is_taken);
            }
            Self::Done(reply, answer) => {
                let _ = reply.answer(answer);
            }
        }
        None
    }

    /// The transaction failed: whatever was judged in it does not count.
    pub(super) fn failed(self, error: &StoreError) -> Self {
        match self {
            Self::Commit(ticket, _) => Self::Commit(ticket, Err(error.clone())),
            Self::Acquire(reply, _) => Self::Acquire(reply, Err(error.clone())),
            Self::Done(reply, _) => Self::Done(reply, Err(error.clone())),
        }
    }

    /// Of a request that was never judged; the batch's failure takes its place.
    pub(super) fn unjudged(request: Request) -> Self {
        let error = || StoreError::Closed;
        match request.work {
            Work::Commit { ticket, .. } => Self::Commit(ticket, Err(error())),
            Work::Acquire { reply, .. } => Self::Acquire(reply, Err(error())),
            Work::Release { reply, .. } | Work::Change { reply, .. } => {
                Self::Done(reply, Err(error()))
            }
        }
    }
}
