//! Where a handle believes its thread to be: the acknowledged head, and the commits still in flight.
//!
//! A change builds on the head that the one before it will leave and is submitted at once, so that many
//! changes through one handle share an fsync, in the order of their calls. Every one names the version and
//! the target that it builds on, so none can land on anything else; when one in flight fails:
//! - it failed for itself (a dangling link, a lost lease): those behind it are planned anew;
//! - only the record was changed by others (labels, status): it and those behind it are planned anew;
//! - others moved the head, or removed the thread: it and those behind it fail, and so does every later
//!   one until the handle is refreshed;
//! - it was a repeated command: it is answered, and those behind it are planned anew.
//!
//! Planned anew is only what is known not to have been written: its commit was refused. So nothing is
//! written twice, and nothing that was answered is lost. In the order of the calls is what the happy path
//! promises; a change that is planned anew comes behind those that were submitted meanwhile.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use treering_block::Cid;
use treering_store::{Committed, RefName, RefValue, Store, StoreError, Ticket};

use crate::chain;
use crate::error::{Result, ThreadError};
use crate::head::Head;
use crate::receipt;

/// What became of a commit in flight.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// It is written.
    Landed,
    /// Its command was, before: the receipt.
    Replayed(Vec<u8>),
    /// It was refused for no fault of its own.
    Again,
    /// It was refused.
    Failed(ThreadError),
}

/// Where the verdict is left for whoever waits.
pub(crate) type Slot = Arc<Mutex<Option<Verdict>>>;

/// What will become of a flight if it is refused.
#[derive(Clone, Debug)]
enum Fate {
    /// It is judged by what the store says.
    Live,
    /// What it builds on never came to be, by no fault of the head.
    Replan,
    /// What it builds on never came to be, because of this.
    Fail(Box<ThreadError>),
}

struct Flight {
    ticket: Ticket,
    /// The head that it builds on, and its step.
    base: (u64, Cid),
    /// What it will leave; None: no thread.
    after: Option<Head>,
    fate: Fate,
    slot: Slot,
}

/// Names and store of the thread that a tip is of.
pub(crate) struct Place<'a> {
    pub store: &'a dyn Store,
    pub id: &'a str,
    pub name: &'a RefName,
}

/// See the top of this file.
pub(crate) struct Tip {
    acked: Head,
    gone: bool,
    flights: VecDeque<Flight>,
    pub lease_owner: Option<String>,
}

impl Tip {
    pub fn new(head: Head, lease_owner: Option<String>) -> Self {
        Self {
            acked: head,
            gone: false,
            flights: VecDeque::new(),
            lease_owner,
        }
    }

    /// The last head that was acknowledged.
    pub fn acked(&mut self) -> &mut Head {
        &mut self.acked
    }

    /// What errors call the thread.
    pub fn label(&self, id: &str) -> String {
        self.acked
            .record
            .key
            .clone()
            .unwrap_or_else(|| id.to_owned())
    }

    /// The head to build on.
    pub fn pending(&mut self, place: &Place<'_>) -> Result<Head> {
        let gone = || ThreadError::NotFound {
            id: place.id.to_owned(),
        };
        if let Some(flight) = self
            .flights
            .iter()
            .rfind(|flight| matches!(flight.fate, Fate::Live))
        {
            return flight.after.clone().ok_or_else(gone);
        }
        if self.gone {
            return Err(gone());
        }
        self.acked.position(place.store)?;
        Ok(self.acked.clone())
    }

    /// Takes a submitted change along; its verdict will be in the slot.
    pub fn launch(&mut self, ticket: Ticket, base: &Head, after: Option<Head>) -> Slot {
        let slot = Slot::default();
        let base = (base.record.steps, base.target);
        self.flights.push_back(Flight {
            ticket,
            base,
            after,
            fate: Fate::Live,
            slot: slot.clone(),
        });
        slot
    }

    /// Books every answer that has come, in the order of the flights.
    ///
    /// The store answers in that order, too. So the last one is asked first: where it has its answer, all
    /// before it have theirs, and none is judged before what it builds on.
    pub fn settle(&mut self, place: &Place<'_>) {
        let mut answers: Vec<Option<Result<Committed, StoreError>>> = self
            .flights
            .iter()
            .rev()
            .map(|flight| flight.ticket.poll())
            .collect();
        let mut index = 0;
        while let Some(answer) = answers.pop() {
            match answer.and_then(|answer| Some((answer, self.flights.remove(index)?))) {
                None => index += 1,
                Some((answer, flight)) => {
                    let verdict = self.judge(place, &flight, answer, index);
                    *open(&flight.slot) = Some(verdict);
                }
            }
        }
    }

    fn judge(
        &mut self,
        place: &Place<'_>,
        flight: &Flight,
        answer: Result<Committed, StoreError>,
        behind: usize,
    ) -> Verdict {
        match answer {
            Ok(Committed {
                replay: Some(receipt),
                ..
            }) => {
                self.doom(behind, &Fate::Replan);
                // If this can't be read now, the handle stays where it was, which is never wrong.
                let _ = self.adopt(place, &receipt);
                Verdict::Replayed(receipt)
            }
            Ok(_) => {
                match &flight.after {
                    Some(head) if head.version >= self.acked.version => self.acked = head.clone(),
                    Some(_) => {}
                    None => self.gone = true,
                }
                Verdict::Landed
            }
            Err(StoreError::RefMoved { name, actual, .. }) if name == *place.name => {
                match &flight.fate {
                    Fate::Replan => Verdict::Again,
                    Fate::Fail(error) => Verdict::Failed((**error).clone()),
                    Fate::Live => self.judge_moved(place, flight, actual, behind),
                }
            }
            // Some other ref, that the plan had read: read it anew.
            Err(StoreError::RefMoved { .. }) => {
                self.doom(behind, &Fate::Replan);
                Verdict::Again
            }
            Err(StoreError::LinkMissing { link, .. })
                if link == flight.base.1 && !matches!(flight.fate, Fate::Live) =>
            {
                match &flight.fate {
                    Fate::Fail(error) => Verdict::Failed((**error).clone()),
                    Fate::Live | Fate::Replan => Verdict::Again,
                }
            }
            Err(error) => {
                self.doom(behind, &Fate::Replan);
                Verdict::Failed(error.into())
            }
        }
    }

    /// The ref is not what the flight builds on, and what that built on did come to be.
    fn judge_moved(
        &mut self,
        place: &Place<'_>,
        flight: &Flight,
        actual: Option<RefValue>,
        behind: usize,
    ) -> Verdict {
        let error = match actual {
            None => {
                self.gone = true;
                ThreadError::NotFound {
                    id: place.id.to_owned(),
                }
            }
            Some(value) if value.target == flight.base.1 => match self.take(place, &value) {
                Ok(()) => {
                    self.doom(behind, &Fate::Replan);
                    return Verdict::Again;
                }
                Err(error) => error,
            },
            Some(value) => self.head_moved(place.id, &value, flight.base),
        };
        self.doom(behind, &Fate::Fail(Box::new(error.clone())));
        Verdict::Failed(error)
    }

    fn head_moved(
        &self,
        id: &str,
        value: &RefValue,
        (expected_step, expected): (u64, Cid),
    ) -> ThreadError {
        let at_step = Head::read(id, value).map_or(0, |head| head.record.steps);
        ThreadError::HeadMoved {
            thread: self.label(id),
            at_step,
            at: value.target,
            expected_step,
            expected,
        }
    }

    /// Those behind a refused flight can only be refused, too: this is then why.
    fn doom(&mut self, behind: usize, fate: &Fate) {
        for flight in self.flights.iter_mut().skip(behind) {
            if matches!(flight.fate, Fate::Live) {
                flight.fate = fate.clone();
            }
        }
    }

    fn take(&mut self, place: &Place<'_>, value: &RefValue) -> Result<()> {
        let mut head = Head::read(place.id, value)?;
        head.keep_position_of(&self.acked);
        if head.version > self.acked.version {
            self.acked = head;
        }
        Ok(())
    }

    /// After a repeated command: if the thread stands just where that command left it, behind the head that
    /// this handle saw, then the handle has seen it now. Otherwise others have moved it on: not seen yet.
    pub fn adopt(&mut self, place: &Place<'_>, receipt: &[u8]) -> Result<()> {
        let Some(value) = place.store.read_ref(place.name)? else {
            self.gone = true;
            return Ok(());
        };
        if value.target == self.acked.target {
            return self.take(place, &value);
        }
        let mut own = receipt::decode(receipt)?;
        own.retain(|receipt| receipt.thread == place.id && receipt.cid == Some(value.target));
        let Some(receipt) = own.pop() else {
            return Ok(());
        };
        let seen = self.acked.record.steps;
        if receipt.step.checked_sub(receipt.count) != Some(seen) {
            return Ok(());
        }
        let before = match chain::find(
            place.store,
            chain::read_step(place.store, &value.target)?,
            seen,
        )? {
            Some(step) => step.cid,
            None => self.acked.position(place.store)?.start,
        };
        if before == self.acked.target {
            self.take(place, &value)
        } else {
            Ok(())
        }
    }

    /// Sees the thread as it is now. What is in flight and no longer fits will fail.
    pub fn refresh(&mut self, place: &Place<'_>) -> Result<()> {
        self.settle(place);
        let lease = place.store.lease_state(place.name)?;
        let Some(value) = place.store.read_ref(place.name)? else {
            self.gone = true;
            return Err(ThreadError::NotFound {
                id: place.id.to_owned(),
            });
        };
        self.gone = false;
        let known = |head: &Head| (head.version, head.target) == (value.version, value.target);
        let on_its_way = self
            .flights
            .iter()
            .filter_map(|flight| flight.after.as_ref())
            .any(known);
        let moved = self.head_moved(
            place.id,
            &value,
            (self.acked.record.steps, self.acked.target),
        );
        let was = (self.acked.version, self.acked.target);
        self.take(place, &value)?;
        if !on_its_way && was != (value.version, value.target) {
            let fate = if was.1 == value.target {
                Fate::Replan
            } else {
                Fate::Fail(Box::new(moved))
            };
            self.doom(0, &fate);
        }
        self.lease_owner = lease.filter(|lease| lease.held).map(|lease| lease.owner);
        Ok(())
    }
}

pub(crate) fn open<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(|broken| broken.into_inner())
}

#[cfg(test)]
mod tests {
    use treering_block::Block;
    use treering_store::{Clock, MemoryStore};

    use super::*;
    use crate::record::Record;

    /// The answers come from another thread, at any moment between two looks.
    #[test]
    fn no_flight_is_judged_before_what_it_builds_on() {
        let store = MemoryStore::with_clock(Clock::manual(0));
        let name = RefName::new("main", "thread", ["x"]).unwrap();
        let place = Place {
            store: &store,
            id: "x",
            name: &name,
        };
        let head = |version, text: &str| {
            Head::new(
                version,
                Block::raw(text.as_bytes()).cid,
                Record::new("w", None, Default::default(), 0),
            )
        };
        let stands = RefValue {
            version: 1,
            target: head(1, "base").target,
            record: head(1, "base").record.encode().unwrap(),
        };
        for round in 0..300 {
            let mut tip = Tip::new(head(1, "base"), None);
            let (first, second) = (Ticket::new(), Ticket::new());
            let failed = tip.launch(first.clone(), &head(1, "base"), Some(head(2, "first")));
            let behind = tip.launch(second.clone(), &head(2, "first"), Some(head(3, "second")));
            let (expected, actual) = (treering_store::Expect::Any, Some(stands.clone()));
            let moved = StoreError::RefMoved {
                name: name.clone(),
                expected,
                actual,
            };
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    first.answer(Err(StoreError::DiskFull));
                    second.answer(Err(moved));
                });
                while !tip.flights.is_empty() {
                    tip.settle(&place);
                }
            });
            assert!(matches!(&*open(&failed), Some(Verdict::Failed(_))));
            let verdict = open(&behind).take();
            assert!(
                matches!(verdict, Some(Verdict::Again)),
                "round {round}: {verdict:?}"
            );
        }
    }
}
