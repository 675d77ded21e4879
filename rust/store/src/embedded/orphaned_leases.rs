//! Leases that this process has by what is stored, and that nobody in it holds: a disk that failed kept the answer to who
//! asked, or the end from who gave one back. The process lives, so nobody else may take them; it takes them itself.
//!
//! Promises: what is noted here was granted to nobody who knows of it, or given back by who had it. The next grant of the
//! same lease ends the note.
//! Must never: be touched outside (see [`fork::enter`]), so that it is free at a fork.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::core::Shared;
use super::directory::Identity as Database;
use super::fork::Inside;
use crate::lease::{Identity, Lease, LeaseState};
use crate::name::RefName;
use crate::process::{Liveness, is_alive};

/// Its path, too: a copy may have the place on disk that the original had.
struct Orphaned {
    root: PathBuf,
    database: Database,
    lease: Lease,
}

impl Orphaned {
    fn is_of(&self, store: &Shared, name: &RefName) -> bool {
        self.database == store.database && self.root == store.root && self.lease.name == *name
    }
}

static ORPHANED: Mutex<Vec<Orphaned>> = Mutex::new(Vec::new());

fn orphaned(_: &Inside) -> MutexGuard<'static, Vec<Orphaned>> {
    ORPHANED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nobody here holds it, whatever is stored.
pub(super) fn note(inside: &Inside, store: &Shared, lease: Lease) {
    orphaned(inside).push(Orphaned {
        root: store.root.clone(),
        database: store.database,
        lease,
    });
}

/// It is granted and known to its holder.
pub(super) fn granted(inside: &Inside, store: &Shared, name: &RefName) {
    orphaned(inside).retain(|orphaned| !orphaned.is_of(store, name));
}

/// Whether the holder of the lease of `name` as it is stored is there, and knows that it has it.
pub(super) fn holder_is_alive(
    inside: &Inside,
    store: &Shared,
    name: &RefName,
    stored: &LeaseState,
) -> Liveness {
    let alive = is_alive(&stored.identity);
    let is_it =
        |orphaned: &Orphaned| orphaned.is_of(store, name) && orphaned.lease.token == stored.token;
    if alive == Liveness::Alive
        && stored.identity == Identity::current()
        && orphaned(inside).iter().any(is_it)
    {
        Liveness::Dead
    } else {
        alive
    }
}
