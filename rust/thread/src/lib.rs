//! Threads: forkable chains of steps over a [`treering_store::Store`].
//!
//! What it promises: every change is one commit; a step is appended to the head that its handle has
//! seen or not at all; a repeated command id answers what the first one did and writes nothing; a fork
//! writes one record and no node; step k of a thread is found in O(log n) reads.
//! What it must never do: know how blocks are kept, run a workflow, or write the caller's clock into
//! a node that asked for none.

mod append;
pub mod args;
pub mod batch;
pub mod car;
pub mod chain;
pub mod command;
pub mod content;
pub mod context;
mod control;
pub mod diff;
mod ending;
pub mod error;
pub mod fork;
#[cfg(test)]
mod fuzz;
mod head;
pub mod ident;
pub mod info;
mod jumps;
pub mod label;
pub mod lease;
pub mod limits;
pub mod pending;
pub mod pins;
mod plan;
pub mod quarantine;
mod receipt;
mod record;
mod start;
pub mod step;
mod still_there;
pub mod thread;
pub mod threads;
mod tip;
mod verbs;
pub mod verify;
pub mod walk;

pub use args::{AtMs, ContentArg, ForkArgs, ForkAt, Occurrence, StartArgs, StepArgs};
pub use batch::{Batch, BatchAnswer, Companion, Draft, Ready};
pub use chain::is_ancestor;
pub use content::Content;
pub use context::Context;
pub use diff::{Diff, common_ancestor, diff};
pub use error::{Result, ThreadError};
pub use info::{Filter, Listed, Status, ThreadInfo};
pub use label::Label;
pub use lease::LeaseGuard;
pub use pending::{Outcome, Pending};
pub use step::Step;
pub use thread::Thread;
pub use threads::Threads;
pub use verify::{verify_threads, verify_threads_of};
pub use walk::{Back, Steps};
