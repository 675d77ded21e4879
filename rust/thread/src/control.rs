//! Changes that are about the thread as it is, not as a handle last saw it: cancel, pause, resume, rm.
//!
//! They move no head, so nothing of others' can be lost by them: where a step came in between they are
//! planned anew on it.

use std::sync::Arc;

use crate::command::CommandKey;
use crate::error::{Result, ThreadError};
use crate::head::Head;
use crate::pending::{Outcome, Pending};
use crate::thread::Thread;
use crate::threads::Threads;
use crate::tip::open;
use crate::verbs::{self, Planned, Verb};

/// So often may a step come in between.
const ATTEMPTS_MAX: u32 = 1000;

pub(crate) type Plan = Arc<dyn Fn(&Thread, Head, i64) -> Result<Planned<()>> + Send + Sync>;

/// Makes the change on the thread as it is now; the handle then knows of it.
pub(crate) fn control(
    thread: &Thread,
    command: Option<CommandKey>,
    plan: Plan,
) -> Result<Pending<()>> {
    if let Some(command) = &command
        && command.first(thread.store())?.is_some()
    {
        see(thread);
        return Ok(Pending::done(Ok(())));
    }
    attempt(thread.clone(), command, plan, 0)
}

fn attempt(
    thread: Thread,
    command: Option<CommandKey>,
    plan: Plan,
    count: u32,
) -> Result<Pending<()>> {
    let fresh = match Threads::of(&thread).open(thread.id())? {
        Some(fresh) => fresh,
        None => {
            see(&thread);
            return Err(ThreadError::NotFound {
                id: thread.id().to_owned(),
            });
        }
    };
    let own = plan.clone();
    let verb = Verb {
        command: command.clone(),
        expected_head: None,
        leased: false,
        plan: Box::new(move |thread, head, now_ms| own(thread, head, now_ms)),
        replay: Box::new(|_, _| Ok(())),
    };
    Ok(
        verbs::launch(&fresh, verb)?.then(move |result| match result {
            Err(ThreadError::HeadMoved { .. }) if count < ATTEMPTS_MAX => {
                match attempt(thread, command, plan, count + 1) {
                    Ok(pending) => Outcome::Again(pending),
                    Err(error) => Outcome::Done(Err(error)),
                }
            }
            result => {
                see(&thread);
                Outcome::Done(result)
            }
        }),
    )
}

/// The handle learns what became of the record, or that the thread is gone; never of others' steps.
fn see(thread: &Thread) {
    let mut tip = open(thread.tip());
    tip.settle(&thread.place());
    // A failing read leaves the handle where it was, which is never wrong.
    let _ = tip.adopt(&thread.place(), &[]);
}
