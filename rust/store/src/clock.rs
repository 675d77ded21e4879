//! The store's clock: the machine's, or one that a test moves.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where a store takes its time from. Clones share one hand.
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands at `now_ms` (Unix milliseconds) until [`Clock::set`] or [`Clock::advance`].
    pub fn manual(now_ms: i64) -> Self {
        Self(Some(Arc::new(AtomicI64::new(now_ms))))
    }

    /// Unix milliseconds. The machine's clock may go back; a store's commits do not.
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Some(hand) => hand.load(Ordering::SeqCst),
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX)),
        }
    }

    /// Whether it is the same: the machine's, or the same hand.
    pub fn is(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// Moves a manual clock there, backwards too. Returns false, and does nothing, on the machine's.
    pub fn set(&self, now_ms: i64) -> bool {
        if let Some(hand) = &self.0 {
            hand.store(now_ms, Ordering::SeqCst);
        }
        self.0.is_some()
    }

    /// Moves a manual clock on by so many milliseconds. Returns false, and does nothing, on the machine's.
    pub fn advance(&self, ms: i64) -> bool {
        if let Some(hand) = &self.0 {
            hand.fetch_add(ms, Ordering::SeqCst);
        }
        self.0.is_some()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(_) => write!(f, "Clock(manual, {})", self.now_ms()),
            None => f.write_str("Clock(system)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(5);
        let shared = clock.clone();
        assert!(shared.advance(10));
        assert_eq!(clock.now_ms(), 15);
        assert!(clock.set(3));
        assert_eq!(shared.now_ms(), 3);
        assert!(clock.is(&shared) && !clock.is(&Clock::manual(3)));
        assert!(Clock::system().is(&Clock::system()) && !clock.is(&Clock::system()));
        assert!(!Clock::system().set(3));
        assert!(Clock::system().now_ms() > 1_600_000_000_000);
    }
}
