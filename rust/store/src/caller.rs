//! Whether whoever asked still waits.
//!
//! What may take long looks between two pieces, and while it waits for a server, for another process's lock or for a commit:
//! a caller who pressed Ctrl-C, or cancelled, is not worked for.
//! Promises: it is of one thread, from the beginning of [`unless`] to its end, whatever happens in between.
//! Never: it is asked where a commit is made, which may be others' too. What is queued lands, or fails, by itself; only who
//! waits for it goes.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Result, StoreError};

/// Says whether nobody waits any more.
pub type GaveUp = Arc<dyn Fn() -> bool + Send + Sync>;

/// Who waits for something else than a server looks this often.
const LOOK: Duration = Duration::from_millis(10);
/// Where nobody can go: as good as no end.
const FOR_LONG: Duration = Duration::from_secs(3600);

thread_local! {
    static GAVE_UP: RefCell<Option<GaveUp>> = const { RefCell::new(None) };
}

/// Runs `work`. From when `gave_up` is true, what looks for it on this thread ends soon, and answers `Cancelled`. Within
/// another one, either ends it.
pub fn unless<T>(gave_up: GaveUp, work: impl FnOnce() -> T) -> T {
    struct Before(Option<GaveUp>);
    impl Drop for Before {
        fn drop(&mut self) {
            GAVE_UP.set(self.0.take());
        }
    }
    let either = or_here(gave_up);
    let _before = Before(GAVE_UP.replace(Some(either)));
    work()
}

/// The same, or whoever waits for this thread has given up: for a thread that works for this one.
pub fn or_here(gave_up: GaveUp) -> GaveUp {
    match GAVE_UP.with_borrow(Clone::clone) {
        Some(outer) => Arc::new(move || outer() || gave_up()),
        None => gave_up,
    }
}

/// Errors: `Cancelled` if nobody waits for what this thread does.
pub fn still_waits() -> Result<()> {
    let gave_up = GAVE_UP.with_borrow(|gave_up| gave_up.as_ref().is_some_and(|asked| asked()));
    if gave_up {
        Err(StoreError::Cancelled)
    } else {
        Ok(())
    }
}

/// How long a wait goes on before it looks.
pub(crate) fn look_after() -> Duration {
    GAVE_UP.with_borrow(|gave_up| gave_up.as_ref().map_or(FOR_LONG, |_| LOOK))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    use super::*;

    #[test]
    fn one_thread_is_told_while_it_works() {
        let flag = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&flag);
        unless(Arc::new(move || asked.load(SeqCst)), || {
            assert!(still_waits().is_ok());
            flag.store(true, SeqCst);
            assert!(matches!(still_waits(), Err(StoreError::Cancelled)));
            unless(Arc::new(|| false), || assert!(still_waits().is_err()));
            flag.store(false, SeqCst);
            unless(Arc::new(|| true), || assert!(still_waits().is_err()));
            assert!(still_waits().is_ok());
            std::thread::scope(|scope| {
                let other = scope.spawn(|| still_waits().is_ok());
                assert!(other.join().unwrap());
                let told = or_here(Arc::new(|| false));
                let other = scope.spawn(move || unless(told, still_waits).is_err());
                flag.store(true, SeqCst);
                assert!(other.join().unwrap());
                flag.store(false, SeqCst);
            });
        });
        assert!(still_waits().is_ok());
    }
}
