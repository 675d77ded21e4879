//! Living through `fork()`.
//!
//! SQLite keeps its locks in process-wide tables that a child inherits without the locks themselves; a
//! child that then opened the same file would believe to hold what it does not. So before a fork nothing
//! of ours is inside SQLite and all our connections are closed (the parent reopens them when next used);
//! in the child the old handles answer `ForkedProcess`, our lock files are closed without unlocking, and
//! the store can be opened again.
//!
//! Promises: between `prepare` and the end of the fork no thread holds a mutex that is taken inside.
//! Never: I/O in the child's handler other than close(2).

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

static GENERATION: AtomicU64 = AtomicU64::new(0);
static FORKING: AtomicBool = AtomicBool::new(false);
static INSIDE: AtomicUsize = AtomicUsize::new(0);

/// Descriptors of lock files that a child must close; -1 = free. More stores than places: a child keeps
/// the surplus open, which only matters if the parent is killed inside a commit.
static LOCK_FILES: [AtomicI32; 256] = [const { AtomicI32::new(-1) }; 256];

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// How many forks lie between this process and the one that started: a handle of another generation
/// belongs to a parent.
pub(crate) fn generation() -> u64 {
    GENERATION.load(SeqCst)
}

/// Proof that no fork happens meanwhile. Held around everything that touches SQLite, never while
/// waiting for another process.
pub(super) struct Inside(());

/// Waits for a fork under way, then keeps the next one waiting. May be nested.
pub(super) fn enter() -> Inside {
    let depth = DEPTH.get();
    DEPTH.set(depth + 1);
    if depth == 0 {
        loop {
            INSIDE.fetch_add(1, SeqCst);
            if !FORKING.load(SeqCst) {
                break;
            }
            INSIDE.fetch_sub(1, SeqCst);
            while FORKING.load(SeqCst) {
                std::thread::sleep(Duration::from_micros(50));
            }
        }
    }
    Inside(())
}

impl Drop for Inside {
    fn drop(&mut self) {
        let depth = DEPTH.get().saturating_sub(1);
        DEPTH.set(depth);
        if depth == 0 {
            INSIDE.fetch_sub(1, SeqCst);
        }
    }
}

/// A lock file's place on the list of what a child closes.
pub(super) struct LockFilePlace(Option<usize>);

pub(super) fn register_lock_file(descriptor: i32) -> LockFilePlace {
    let free = LOCK_FILES.iter().position(|place| {
        place
            .compare_exchange(-1, descriptor, SeqCst, SeqCst)
            .is_ok()
    });
    LockFilePlace(free)
}

impl Drop for LockFilePlace {
    fn drop(&mut self) {
        if let Some(place) = self.0.and_then(|place| LOCK_FILES.get(place)) {
            place.store(-1, SeqCst);
        }
    }
}

#[cfg(unix)]
pub(crate) fn install() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // SAFETY: the three handlers are `extern "C"` functions that live as long as the process and do
        // not unwind; a failure to register (out of memory) leaves fork as it is without us.
        unsafe { libc::pthread_atfork(Some(prepare), Some(in_parent), Some(in_child)) };
    });
}

#[cfg(not(unix))]
pub(crate) fn install() {}

#[cfg(unix)]
unsafe extern "C" fn prepare() {
    // Inside already: the fork comes from a hook under our own locks. Waiting for ourselves would never
    // end; the connections stay, and the child must not open the store.
    if DEPTH.get() > 0 {
        return;
    }
    while FORKING.swap(true, SeqCst) {
        std::thread::sleep(Duration::from_micros(50));
    }
    while INSIDE.load(SeqCst) > 0 {
        std::thread::sleep(Duration::from_micros(50));
    }
    super::registry::close_connections();
}

#[cfg(unix)]
unsafe extern "C" fn in_parent() {
    if DEPTH.get() == 0 {
        FORKING.store(false, SeqCst);
    }
}

#[cfg(unix)]
unsafe extern "C" fn in_child() {
    GENERATION.fetch_add(1, SeqCst);
    for place in &LOCK_FILES {
        let descriptor = place.swap(-1, SeqCst);
        if descriptor >= 0 {
            // SAFETY: close(2) is async-signal-safe. The descriptor belongs to a lock file of a handle
            // that this child will never drop (handles of another generation are forgotten), so that
            // nobody closes it twice. Closing does not unlock: the parent's description stays open.
            unsafe { libc::close(descriptor) };
        }
    }
    INSIDE.store(0, SeqCst);
    FORKING.store(false, SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_nests_and_ends() {
        let outer = enter();
        let inner = enter();
        drop(inner);
        assert_eq!(DEPTH.get(), 1);
        assert!(INSIDE.load(SeqCst) >= 1);
        drop(outer);
        assert_eq!(DEPTH.get(), 0);
    }
}
