//! The bell: a file that a writer touches after each commit, so that other processes' watchers wake.
//!
//! The log is never watched: it changes before a commit can be seen. A writer may die between COMMIT and
//! ring, so watchers look every 5 s anyway.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::disk::Disk;
use super::lock::write_at;
use crate::error::Result;

/// Watchers look this often, rung or not.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// And this often where the platform can not notify.
const LOOK_EVERY_WITHOUT_NOTIFICATION: Duration = Duration::from_millis(50);

/// Rings, counted; what watchers of this process wait on.
#[derive(Default)]
struct Rings {
    count: Mutex<u64>,
    rung: Condvar,
}

impl Rings {
    fn ring(&self) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.rung.notify_all();
    }

    fn count(&self) -> u64 {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until more than `seen` were counted, at most so long.
    fn wait(&self, seen: u64, timeout: Duration) {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .rung
            .wait_timeout_while(count, timeout, |count| *count == seen);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// The platform's notification, once somebody watches.
enum Listening {
    NotYet,
    Notified {
        _watcher: RecommendedWatcher,
    },
    /// It can't be had here: watchers poll.
    Polled,
}

pub(super) struct Bell {
    path: PathBuf,
    /// None where the store is read-only.
    file: Option<File>,
    rings: Arc<Rings>,
    listening: Mutex<Listening>,
}

impl Bell {
    pub(super) fn new(path: &Path, writable: bool, disk: &Disk) -> Self {
        let mut how = File::options();
        how.write(true).create(true).truncate(false);
        // Without the file the store works; watchers of other processes are only slower.
        let file = writable
            .then(|| disk.open(path, &how))
            .transpose()
            .inspect_err(|error| tracing::warn!(%error, path = %path.display(), "no bell for other processes"))
            .unwrap_or(None);
        Self {
            path: path.to_owned(),
            file,
            rings: Arc::default(),
            listening: Mutex::new(Listening::NotYet),
        }
    }

    /// After a commit: `position` is the journal's new length.
    pub(super) fn ring(&self, position: u64) {
        self.rings.ring();
        if let Some(file) = &self.file
            && let Err(error) = write_at(file, &position.to_le_bytes())
        {
            tracing::debug!(%error, "cannot ring the bell");
        }
    }

    /// Wakes this process's watchers without a commit: the store is closing.
    pub(super) fn wake(&self) {
        self.rings.ring();
    }

    /// Asks `position` until it says more than `known` or time is up; answers what it said last.
    pub(super) fn watch(
        &self,
        known: u64,
        timeout: Duration,
        position: impl Fn() -> Result<u64>,
    ) -> Result<u64> {
        let look_every = self.listen();
        let started = Instant::now();
        loop {
            // Counted before asking: a ring in between is not missed.
            let seen = self.rings.count();
            let now = position()?;
            let left = timeout.saturating_sub(started.elapsed());
            if now > known || left.is_zero() {
                return Ok(now);
            }
            self.rings.wait(seen, left.min(look_every));
        }
    }

    /// Starts the platform's notification with the first watcher: who never watches pays nothing.
    fn listen(&self) -> Duration {
        let mut listening = self
            .listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if matches!(*listening, Listening::NotYet) {
            *listening = self.start().map_or_else(
                |error| {
                    tracing::warn!(%error, "no file notification; watchers poll");
                    Listening::Polled
                },
                |watcher| Listening::Notified { _watcher: watcher },
            );
        }
        match *listening {
            Listening::Notified { .. } => LOOK_EVERY,
            _ => LOOK_EVERY_WITHOUT_NOTIFICATION,
        }
    }

    fn start(&self) -> notify::Result<RecommendedWatcher> {
        let rings = Arc::clone(&self.rings);
        let mut watcher = notify::recommended_watcher(move |_event| rings.ring())?;
        watcher.watch(&self.path, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use super::*;

    #[test]
    fn another_process_ring_wakes_a_watcher() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bell");
        File::create(&path).unwrap();
        let ours = Bell::new(&path, true, &Disk::system());
        let theirs = Bell::new(&path, true, &Disk::system());
        let position = AtomicU64::new(4);
        std::thread::scope(|scope| {
            let started = Instant::now();
            let watching = scope.spawn(|| {
                ours.watch(4, Duration::from_secs(30), || Ok(position.load(SeqCst)))
                    .unwrap()
            });
            std::thread::sleep(Duration::from_millis(200));
            position.store(5, SeqCst);
            theirs.ring(5);
            assert_eq!(watching.join().unwrap(), 5);
            assert!(
                started.elapsed() < LOOK_EVERY,
                "it was the ring that woke it"
            );
        });
    }

    #[test]
    fn a_watch_ends_in_time() {
        let directory = tempfile::tempdir().unwrap();
        let bell = Bell::new(&directory.path().join("bell"), true, &Disk::system());
        let started = Instant::now();
        assert_eq!(
            bell.watch(3, Duration::from_millis(60), || Ok(3)).unwrap(),
            3
        );
        assert!(started.elapsed() >= Duration::from_millis(60));
        assert_eq!(bell.watch(3, Duration::ZERO, || Ok(7)).unwrap(), 7);
    }
}
