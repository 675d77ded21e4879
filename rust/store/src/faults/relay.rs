//! Answers that come late, in the order of their commits.
//!
//! Promises: no answer overtakes an earlier one; what is on its way when the relay is dropped still comes.
//! Never: it holds up the commit itself, or whoever submits one.

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use crate::ticket::Ticket;

/// A commit whose answer goes round this way.
struct Late {
    real: Ticket,
    given: Ticket,
    wait: Duration,
}

/// A thread that gives answers out one after the other.
pub(super) struct Relay(Sender<Late>);

impl Relay {
    /// Errors: the system's, when there is no thread to be had.
    pub(super) fn start() -> io::Result<Self> {
        let (send, late) = channel::<Late>();
        let run = move || {
            for Late { real, given, wait } in late {
                std::thread::sleep(wait);
                given.answer(real.wait());
            }
        };
        std::thread::Builder::new()
            .name("treering-late".into())
            .spawn(run)?;
        Ok(Self(send))
    }

    /// The ticket that is answered as `real` is, `wait` after all before it were.
    pub(super) fn delay(&self, real: Ticket, wait: Duration) -> Ticket {
        // The commit is not late, only its answer.
        real.announce();
        let given = Ticket::new();
        let late = Late {
            real: real.clone(),
            given: given.clone(),
            wait,
        };
        // The thread ends after this end of the queue; were it gone, nothing is to be delayed any more.
        match self.0.send(late) {
            Ok(()) => given,
            Err(_) => real,
        }
    }
}
