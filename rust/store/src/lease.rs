//! Leases: who may work on a ref now.

use crate::name::RefName;

/// A lease whose holder cannot be looked at (another pid namespace or host) ends this long after its last use.
pub const LEASE_MS: i64 = 5 * 60 * 1000;

/// A process, told apart from any later one with the same pid: boot id + pid namespace + pid + start time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub boot_id: String,
    pub pid_namespace: u64,
    pub pid: u32,
    /// Platform's own unit; only compared for equality.
    pub start_time: u64,
}

/// A lease that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub name: RefName,
    /// Grows with every grant on this ref.
    pub token: u64,
}

/// A lease as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseState {
    pub token: u64,
    pub owner: String,
    pub identity: Identity,
    pub expires_at_ms: i64,
    /// Not released, and its holder is alive (or can't be looked at and has not timed out).
    pub held: bool,
}
