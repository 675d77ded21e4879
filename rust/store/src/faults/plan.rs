//! Which calls of a store go wrong, and how: set by a test, asked by [`super::FaultyStore`].
//!
//! Promises: the n-th call is the n-th one since the fault was planned; a fault that has been used up
//! touches nothing any more.
//! Never: a fault that the call could not meet in a real store.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::error::{Result, StoreError};

/// What is asked of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A commit is submitted.
    Commit,
    /// Anything is looked up; waiting for news is not.
    Read,
    /// A lease is taken or given back.
    Lease,
    /// A hold is extended or released.
    Hold,
    /// A collection begins.
    Gc,
}

impl Call {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::Commit, Self::Read, Self::Lease, Self::Hold, Self::Gc];
}

/// What goes wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No room; nothing was written.
    DiskFull,
    /// The device does not answer (EIO); nothing was written.
    Device,
    /// Another process keeps the write lock; nothing was written.
    LockTimeout,
    /// An earlier commit failed half-way: this and every later write is refused.
    Poisoned,
    /// The answer is lost, and every later write is refused as after [`Fault::Poisoned`].
    CommitUnknown {
        /// Whether the commit happened.
        landed: bool,
    },
    /// The leases that the commit shows are lost first, so that the store refuses it. Concerns only commits
    /// that show one.
    LeaseLost,
    /// What is read does not match its check.
    Corrupt,
    /// The answer comes so much later.
    Slow(Duration),
}

impl Fault {
    fn can_meet(self, call: Call) -> bool {
        match self {
            Self::Device | Self::Slow(_) => true,
            Self::Corrupt => call == Call::Read,
            Self::CommitUnknown { .. } | Self::LeaseLost => call == Call::Commit,
            Self::DiskFull | Self::LockTimeout | Self::Poisoned => call != Call::Read,
        }
    }
}

/// A fault that waits for its call.
#[derive(Clone, Copy, Debug)]
struct Rule {
    call: Call,
    fault: Fault,
    /// So many calls are let through first.
    skip: u64,
    /// How often it still happens; None: always.
    left: Option<u64>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    calls: [u64; Call::ALL.len()],
    injected: u64,
    poisoned: Option<String>,
}

/// What to do to one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Injected {
    pub(super) wait: Duration,
    pub(super) failure: Option<Fault>,
}

/// What is done before a call.
type Before = Box<dyn Fn(Call) + Send + Sync>;

#[derive(Default)]
struct Plan {
    state: Mutex<State>,
    before: OnceLock<Before>,
}

/// A plan of faults. Clones share it.
#[derive(Clone, Default)]
pub struct Faults(Arc<Plan>);

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Faults").field(&self.state()).finish()
    }
}

impl Faults {
    /// Lets the `nth` such call from now on (the first is 1) meet `fault`, and those after it, `times` in
    /// all (None: until [`Faults::heal`]). Of two failures of one call the one planned first happens;
    /// delays add up.
    ///
    /// Errors: `Invalid` for a fault that such a call can not meet, and for an `nth` or `times` of 0.
    pub fn plan(&self, call: Call, fault: Fault, nth: u64, times: Option<u64>) -> Result<()> {
        let invalid = |what, value, rule: &str| StoreError::Invalid {
            what,
            value,
            rule: rule.to_owned(),
        };
        if !fault.can_meet(call) {
            return Err(invalid(
                "fault",
                format!("{fault:?} of a {call:?}"),
                "such a call never fails so",
            ));
        }
        let Some(skip) = nth.checked_sub(1) else {
            return Err(invalid("nth", nth.to_string(), "calls count from 1"));
        };
        if times == Some(0) {
            return Err(invalid(
                "times",
                "0".to_owned(),
                "a fault happens once at least",
            ));
        }
        self.state().rules.push(Rule {
            call,
            fault,
            skip,
            left: times,
        });
        Ok(())
    }

    /// Has something done before each call from now on, outside of any lock: a place where a test comes in between. The
    /// first one stays.
    pub fn before_each(&self, work: impl Fn(Call) + Send + Sync + 'static) {
        drop(self.0.before.set(Box::new(work)));
    }

    /// Forgets what is planned. A store that refuses writes takes them again, as if it were opened anew.
    pub fn heal(&self) {
        let mut state = self.state();
        state.rules.clear();
        state.poisoned = None;
    }

    /// How many such calls there were so far; refused ones count, those of a poisoned store do not.
    pub fn calls(&self, call: Call) -> u64 {
        let state = self.state();
        let counted = Call::ALL.iter().position(|known| *known == call);
        counted
            .and_then(|at| state.calls.get(at).copied())
            .unwrap_or(0)
    }

    /// How many calls were made to fail or wait so far.
    pub fn injected(&self) -> u64 {
        self.state().injected
    }

    /// Counts a call, and says what is to be done to it. `leased`: it is a commit that shows a lease.
    pub(super) fn meet(&self, call: Call, leased: bool) -> Injected {
        if let Some(before) = self.0.before.get() {
            before(call);
        }
        let mut state = self.state();
        let counted = Call::ALL.iter().position(|known| *known == call);
        if let Some(count) = counted.and_then(|at| state.calls.get_mut(at)) {
            *count += 1;
        }
        let mut injected = Injected::default();
        for rule in &mut state.rules {
            if rule.call != call || (rule.fault == Fault::LeaseLost && !leased) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            match rule.fault {
                Fault::Slow(more) => injected.wait = injected.wait.saturating_add(more),
                _ if injected.failure.is_some() => continue,
                failure => injected.failure = Some(failure),
            }
            rule.left = rule.left.map(|left| left.saturating_sub(1));
        }
        state.rules.retain(|rule| rule.left != Some(0));
        if injected != Injected::default() {
            state.injected += 1;
        }
        injected
    }

    /// Why writes are refused; None if they are not.
    pub(super) fn poisoned(&self) -> Option<String> {
        self.state().poisoned.clone()
    }

    pub(super) fn poison(&self, why: &str) {
        self.state().poisoned.get_or_insert_with(|| why.to_owned());
    }

    /// A store was opened anew.
    pub(super) fn reopened(&self) {
        self.state().poisoned = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(faults: &Faults, call: Call, calls: usize) -> Vec<Option<Fault>> {
        (0..calls)
            .map(|_| faults.meet(call, false).failure)
            .collect()
    }

    #[test]
    fn the_nth_call_fails_so_often_and_no_other() {
        let faults = Faults::default();
        faults
            .plan(Call::Commit, Fault::DiskFull, 2, Some(2))
            .unwrap();
        assert_eq!(failures(&faults, Call::Read, 3), [None; 3]);
        let full = Some(Fault::DiskFull);
        assert_eq!(
            failures(&faults, Call::Commit, 5),
            [None, full, full, None, None]
        );
        assert_eq!((faults.calls(Call::Commit), faults.injected()), (5, 2));
    }

    #[test]
    fn without_a_number_it_lasts_until_it_is_healed() {
        let faults = Faults::default();
        faults.plan(Call::Read, Fault::Device, 1, None).unwrap();
        assert_eq!(failures(&faults, Call::Read, 9), [Some(Fault::Device); 9]);
        faults.heal();
        assert_eq!(failures(&faults, Call::Read, 2), [None; 2]);
    }

    #[test]
    fn of_two_failures_the_first_happens_and_the_other_waits() {
        let faults = Faults::default();
        let second = Duration::from_secs(1);
        for fault in [
            Fault::Device,
            Fault::DiskFull,
            Fault::Slow(second),
            Fault::Slow(second),
        ] {
            faults.plan(Call::Commit, fault, 1, Some(1)).unwrap();
        }
        let first = faults.meet(Call::Commit, false);
        assert_eq!(first.failure, Some(Fault::Device));
        assert_eq!(first.wait, 2 * second);
        let next = faults.meet(Call::Commit, false);
        assert_eq!(
            (next.failure, next.wait),
            (Some(Fault::DiskFull), Duration::ZERO)
        );
        assert_eq!(faults.meet(Call::Commit, false), Injected::default());
    }

    #[test]
    fn a_lost_lease_waits_for_a_commit_that_shows_one() {
        let faults = Faults::default();
        faults
            .plan(Call::Commit, Fault::LeaseLost, 1, Some(1))
            .unwrap();
        assert_eq!(faults.meet(Call::Commit, false).failure, None);
        assert_eq!(
            faults.meet(Call::Commit, true).failure,
            Some(Fault::LeaseLost)
        );
    }

    #[test]
    fn what_can_not_be_is_refused() {
        let faults = Faults::default();
        for (call, fault) in [
            (Call::Read, Fault::DiskFull),
            (Call::Read, Fault::CommitUnknown { landed: true }),
            (Call::Gc, Fault::LeaseLost),
            (Call::Commit, Fault::Corrupt),
        ] {
            assert!(faults.plan(call, fault, 1, None).is_err(), "{fault:?}");
        }
        assert!(faults.plan(Call::Read, Fault::Device, 0, None).is_err());
        assert!(faults.plan(Call::Read, Fault::Device, 1, Some(0)).is_err());
    }
}
