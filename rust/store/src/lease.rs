//! Leases: who may work on a ref now. The rules are pure and stand here once, for every backend.
//!
//! Promises: a token is given once and only grows; whoever is alive keeps what he holds; a killed
//! holder's lease can be taken over at once.
//! Must never: take a lease from a process of which it is not known that it is gone, before its time is out.

use std::fmt;

use crate::error::{Result, StoreError};
use crate::name::RefName;
use crate::process::Liveness;

/// A lease whose holder cannot be looked at (another pid namespace or host) ends this long after its last use.
pub const LEASE_MS: i64 = 5 * 60 * 1000;
/// At most this many bytes for the label that says who holds a lease.
pub const OWNER_BYTES_MAX: usize = 256;

/// A process, told apart from any later one with the same pid: boot id + pid namespace + pid + start time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The machine's boot; empty where the platform does not tell.
    pub boot_id: String,
    /// The pid namespace's number; 0 where the platform has none.
    pub pid_namespace: u64,
    /// The process's number in that namespace.
    pub pid: u32,
    /// Platform's own unit; only compared for equality. 0 where the platform does not tell.
    pub start_time: u64,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)
    }
}

/// A lease that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The ref that it is about.
    pub name: RefName,
    /// Grows with every grant on this ref; a released or lost lease's is never given again.
    pub token: u64,
}

/// A lease as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseState {
    /// The newest token that was granted.
    pub token: u64,
    /// The label that the holder gave.
    pub owner: String,
    /// The holder's process.
    pub identity: Identity,
    /// When it ends if the holder can not be looked at; moved on by each commit under the lease.
    pub expires_at_ms: i64,
    /// As stored: not released. As [`crate::Store::lease_state`] answers it: not released, and its holder
    /// is alive (or can't be looked at and has not timed out).
    pub held: bool,
}

impl LeaseState {
    /// This stored state as it is to be answered: `held` says whether somebody has it now.
    pub fn observed(mut self, now_ms: i64, alive: impl FnOnce(&Self) -> Liveness) -> Self {
        self.held = self.held
            && match alive(&self) {
                Liveness::Alive => true,
                Liveness::Dead => false,
                Liveness::Unknown => now_ms < self.expires_at_ms,
            };
        self
    }

    /// This stored state after a commit under the lease at `now_ms`. A clock that went back shortens nothing.
    pub fn touched(mut self, now_ms: i64) -> Self {
        self.expires_at_ms = self.expires_at_ms.max(now_ms.saturating_add(LEASE_MS));
        self
    }

    /// This stored state after the lease with `token` was given back; None when that one is not the
    /// newest or was given back before, so that nothing is to be written.
    pub fn released(&self, token: u64) -> Option<Self> {
        (self.held && self.token == token).then(|| Self {
            held: false,
            ..self.clone()
        })
    }
}

/// What to store when `identity` asks for the lease of `name` and `stored` is what stands. `floor`: no token up to this is
/// given to a name of which nothing stands: it may be one of before an erase.
///
/// Errors: `LeaseHeld` (names the holder) when somebody has it, the same process too: its other threads
/// are others; `LimitExceeded` for an owner over [`OWNER_BYTES_MAX`].
pub fn grant(
    stored: Option<LeaseState>,
    floor: u64,
    name: &RefName,
    owner: &str,
    identity: &Identity,
    now_ms: i64,
    alive: impl FnOnce(&LeaseState) -> Liveness,
) -> Result<LeaseState> {
    if owner.len() > OWNER_BYTES_MAX {
        return Err(StoreError::LimitExceeded {
            what: "bytes of a lease's owner",
            limit: OWNER_BYTES_MAX as u64,
            actual: owner.len() as u64,
        });
    }
    let last_token = match stored.map(|stored| stored.observed(now_ms, alive)) {
        None => floor,
        Some(state) if state.held => {
            let holder = if state.owner.is_empty() {
                state.identity.to_string()
            } else {
                format!("{} ({})", state.owner, state.identity)
            };
            return Err(StoreError::LeaseHeld {
                name: name.clone(),
                holder,
            });
        }
        Some(state) => state.token,
    };
    Ok(LeaseState {
        token: last_token.saturating_add(1),
        owner: owner.to_owned(),
        identity: identity.clone(),
        expires_at_ms: now_ms.saturating_add(LEASE_MS),
        held: true,
    })
}

/// Whether a commit may go on under `token`: it does while nobody took the lease over and it was not
/// given back. Time alone does not lose a lease, only another's grant does.
///
/// Errors: `LeaseLost`, saying what became of it.
pub fn expect(stored: Option<&LeaseState>, name: &RefName, token: u64) -> Result<()> {
    let now = match stored {
        Some(state) if state.token == token && state.held => return Ok(()),
        Some(state) if state.token == token => "it was released".to_owned(),
        Some(state) if state.token > token => format!("lease {} was granted since", state.token),
        Some(_) => "it was never granted".to_owned(),
        None => "it was never granted, or its scope was erased".to_owned(),
    };
    Err(StoreError::LeaseLost {
        name: name.clone(),
        token,
        now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> RefName {
        RefName::new("main", "thread", ["x"]).unwrap()
    }

    fn process(pid: u32) -> Identity {
        Identity {
            boot_id: "b".into(),
            pid_namespace: 1,
            pid,
            start_time: 9,
        }
    }

    fn ask(
        stored: Option<&LeaseState>,
        pid: u32,
        now_ms: i64,
        liveness: Liveness,
    ) -> Result<LeaseState> {
        grant(
            stored.cloned(),
            0,
            &name(),
            "me",
            &process(pid),
            now_ms,
            |_| liveness,
        )
    }

    #[test]
    fn tokens_grow_through_every_kind_of_grant() {
        let first = ask(None, 1, 0, Liveness::Alive).unwrap();
        assert_eq!(
            (first.token, first.held, first.expires_at_ms),
            (1, true, LEASE_MS)
        );
        let freed = first.released(1).unwrap();
        let second = ask(Some(&freed), 1, 5, Liveness::Alive).unwrap();
        assert_eq!(second.token, 2);
        let taken = ask(Some(&second), 2, 6, Liveness::Dead).unwrap();
        assert_eq!((taken.token, taken.identity.pid), (3, 2));
    }

    #[test]
    fn a_name_whose_lease_was_erased_begins_above_the_floor() {
        let first = grant(None, 7, &name(), "me", &process(1), 0, |_| Liveness::Alive);
        assert_eq!(first.unwrap().token, 8);
    }

    #[test]
    fn the_living_keep_theirs_whatever_the_time() {
        let first = ask(None, 1, 0, Liveness::Alive).unwrap();
        for pid in [1, 2] {
            let refused = ask(Some(&first), pid, i64::MAX, Liveness::Alive).unwrap_err();
            assert!(
                matches!(&refused, StoreError::LeaseHeld { holder, .. } if holder == "me (process 1)"),
                "{refused}"
            );
        }
    }

    #[test]
    fn who_can_not_be_looked_at_has_until_the_time_is_out() {
        let first = ask(None, 1, 0, Liveness::Alive).unwrap().touched(1000);
        assert!(ask(Some(&first), 2, 1000 + LEASE_MS - 1, Liveness::Unknown).is_err());
        assert_eq!(
            ask(Some(&first), 2, 1000 + LEASE_MS, Liveness::Unknown)
                .unwrap()
                .token,
            2
        );
        assert_eq!(first.clone().touched(-5).expires_at_ms, first.expires_at_ms);
    }

    #[test]
    fn a_commit_goes_on_under_the_newest_unreleased_token_only() {
        let lost = |stored: Option<&LeaseState>, token| match expect(stored, &name(), token) {
            Err(StoreError::LeaseLost { now, .. }) => now,
            other => panic!("{other:?}"),
        };
        let first = ask(None, 1, 0, Liveness::Alive).unwrap();
        assert!(expect(Some(&first), &name(), 1).is_ok());
        let second = ask(Some(&first), 2, 0, Liveness::Dead).unwrap();
        assert!(lost(Some(&second), 1).contains("lease 2"));
        assert!(lost(second.released(2).as_ref(), 2).contains("released"));
        assert!(lost(None, 1).contains("never"));
        assert!(lost(Some(&first), 2).contains("never"));
        assert!(
            second.released(1).is_none(),
            "an old token releases nothing"
        );
        assert!(second.released(2).unwrap().released(2).is_none());
    }

    #[test]
    fn the_owner_is_limited() {
        let long = "x".repeat(OWNER_BYTES_MAX + 1);
        assert!(
            grant(None, 0, &name(), &long[1..], &process(1), 0, |_| {
                Liveness::Alive
            })
            .is_ok()
        );
        let refused = grant(None, 0, &name(), &long, &process(1), 0, |_| Liveness::Alive);
        assert!(matches!(
            refused,
            Err(StoreError::LimitExceeded { actual: 257, .. })
        ));
    }
}
