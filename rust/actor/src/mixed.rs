//! Threads and actors in one commit: `scope.commit()`.
//!
//! Promises: all of it is written, or nothing; operations are decided in their order, each on what those before it did.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use treering_store::{Decide, Durability, StoreError};
use treering_thread::command::Payload;
use treering_thread::{Batch, BatchAnswer, Companion, Outcome, Pending, Ready, ThreadError};

use crate::dispatch::{Decision, Dispatcher, Operation};
use crate::error::{ActorError, Result};
use crate::receipt::{self, Receipt};
use crate::stores::Verb;
use crate::turn::Envelope;

/// What became of one operation.
#[derive(Clone)]
pub struct Ran {
    /// What it did.
    pub receipt: Receipt,
    /// The actor after it, a [`crate::Loaded`] of its kind; None for a repeated command.
    pub after: Option<Arc<dyn Any + Send + Sync>>,
}

/// What a commit of threads and actors came to.
pub struct MixedAnswer {
    /// The threads.
    pub batch: BatchAnswer,
    /// The operations, in their order.
    pub ran: Vec<Ran>,
}

/// Operations that will go with a batch of threads.
pub struct Mixed {
    dispatcher: Dispatcher,
    operations: Vec<Operation>,
    payload: Payload,
    /// As versions before forks of scopes made it: with the scope's name.
    earlier: Payload,
}

impl Mixed {
    /// Nothing yet.
    pub fn new(dispatcher: Dispatcher) -> Self {
        Self {
            dispatcher,
            operations: Vec::new(),
            payload: Payload::new("operations"),
            earlier: Payload::new("operations"),
        }
    }

    /// Another operation, behind the others.
    pub fn add(&mut self, verb: Verb) {
        let Verb { operation, payload } = verb;
        let log = operation.address().log();
        // Without the scope: in a fork of it the same command is the same.
        for (whole, name) in [
            (&mut self.payload, log.unscoped()),
            (&mut self.earlier, log.encoded()),
        ] {
            whole.text(name);
            whole.maybe(operation.expected_version(), |payload, version| {
                payload.number(version);
            });
            whole.bytes(&payload.finish());
        }
        self.operations.push(operation);
    }

    /// Submits all of it.
    ///
    /// # Errors
    /// Those of [`Ready::submit`], and of [`Dispatcher::dispatch`].
    pub fn commit(
        self,
        batch: Batch,
        envelope: Envelope,
        durability: Durability,
    ) -> Result<Pending<MixedAnswer, ActorError>> {
        self.ready(batch, envelope, durability)?.submit()
    }

    /// All of it, to be submitted.
    ///
    /// # Errors
    /// As for [`Dispatcher::dispatch`].
    pub fn ready(
        self,
        mut batch: Batch,
        envelope: Envelope,
        durability: Durability,
    ) -> Result<MixedReady> {
        let command_id = envelope.command_id.clone();
        let mut deciding = None;
        if !self.operations.is_empty() {
            let count = self.operations.len();
            let uploads = self.operations.iter().flat_map(Operation::uploads);
            batch.bring(uploads.cloned());
            let decides = Arc::new(Deciding {
                decision: self.dispatcher.decision(self.operations, envelope)?,
                newest: Mutex::default(),
                count,
            });
            batch.accompany(
                decides.clone(),
                &self.payload.finish(),
                &self.earlier.finish(),
            );
            deciding = Some(decides);
        }
        Ok(MixedReady {
            batch: batch.ready(command_id.as_deref(), durability),
            deciding,
        })
    }
}

/// A commit that is drafted. What was refused wrote nothing, and may be submitted again: all of it is decided anew.
pub struct MixedReady {
    batch: Ready,
    deciding: Option<Arc<Deciding>>,
}

impl MixedReady {
    /// Submits it; not while an earlier submission of it has no answer yet.
    ///
    /// # Errors
    /// Those of [`Ready::submit`].
    pub fn submit(&self) -> Result<Pending<MixedAnswer, ActorError>> {
        Ok(self.answered(self.batch.submit()?))
    }

    /// What the first commit under its command id did; None if there was none, or it has no command id.
    ///
    /// # Errors
    /// Those of [`Ready::first`].
    pub fn first(&self) -> Result<Option<Pending<MixedAnswer, ActorError>>> {
        Ok(self.batch.first()?.map(|pending| self.answered(pending)))
    }

    fn answered(&self, pending: Pending<BatchAnswer>) -> Pending<MixedAnswer, ActorError> {
        let deciding = self.deciding.clone();
        pending.then(move |answer| {
            Outcome::Done(match deciding {
                Some(deciding) => deciding.answered(answer),
                None => answer.map_err(ActorError::from).map(|batch| MixedAnswer {
                    batch,
                    ran: Vec::new(),
                }),
            })
        })
    }
}

/// The decision of a batch's commit; a batch that is planned anew is decided anew.
struct Deciding {
    decision: Arc<Decision>,
    newest: Mutex<Option<Arc<Decision>>>,
    /// How many operations it is about.
    count: usize,
}

impl Companion for Deciding {
    fn decide(&self, receipt: Vec<u8>) -> Arc<dyn Decide> {
        let decision = Arc::new(self.decision.beside(receipt));
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(decision.clone());
        decision
    }

    fn split(&self, receipt: &[u8]) -> Option<Vec<u8>> {
        receipt::split(receipt).map(|(threads, _)| threads)
    }
}

impl Deciding {
    fn outcome(&self) -> Option<Result<Vec<Ran>>> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.as_ref().and_then(|decision| decision.outcome())
    }

    fn answered(&self, answer: Result<BatchAnswer, ThreadError>) -> Result<MixedAnswer> {
        let batch = match answer {
            Ok(batch) => batch,
            Err(ThreadError::Store(StoreError::Refused)) => {
                return Err(match self.outcome() {
                    Some(Err(error)) => error,
                    _ => StoreError::Refused.into(),
                });
            }
            Err(error) => return Err(error.into()),
        };
        let ran = match &batch.receipt {
            Some(receipt) => repeated(receipt, self.count)?,
            None => self.outcome().transpose()?.unwrap_or_default(),
        };
        Ok(MixedAnswer { batch, ran })
    }
}

fn repeated(receipt: &[u8], count: usize) -> Result<Vec<Ran>> {
    let receipts = receipt::split(receipt).and_then(|(_, actors)| receipt::decode(&actors));
    match receipts {
        Some(receipts) if receipts.len() == count => Ok(receipts
            .into_iter()
            .map(|receipt| Ran {
                receipt,
                after: None,
            })
            .collect()),
        _ => Err(ThreadError::Corrupt {
            what: "receipt",
            which: "of a command".to_owned(),
            detail: "it is not one of as many operations".to_owned(),
        }
        .into()),
    }
}
