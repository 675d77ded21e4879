//! The bell: a file that a writer touches after each commit, so that other processes' watchers wake.
//!
//! The log is never watched: it changes before a commit can be seen. A writer may die between COMMIT and
//! ring, so watchers look every 5 s anyway: one that waits on its own thread by itself, and for all that
//! listen one thread, which is started with the first of them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::disk::Disk;
use super::fork;
use super::lock::write_at;
use crate::error::Result;
use crate::listening::{Listeners, Listening, Wake};

/// Watchers look this often, rung or not.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// And this often where the platform can not notify.
const LOOK_EVERY_WITHOUT_NOTIFICATION: Duration = Duration::from_millis(50);

/// Rings, counted; what watchers of this process wait on.
#[derive(Default)]
struct Rings {
    counted: Mutex<Counted>,
    rung: Condvar,
    listeners: Listeners,
}

#[derive(Default)]
struct Counted {
    rings: u64,
    /// Threads that sleep until the next one. Waking nobody would be a system call, too.
    sleepers: usize,
}

impl Rings {
    fn ring(&self) {
        let sleepers = {
            let mut counted = self.counted();
            counted.rings += 1;
            counted.sleepers
        };
        if sleepers > 0 {
            self.rung.notify_all();
        }
        self.listeners.wake_all();
    }

    fn count(&self) -> u64 {
        self.counted().rings
    }

    /// Waits until more than `seen` were counted, at most so long.
    fn wait(&self, seen: u64, timeout: Duration) {
        let mut counted = self.counted();
        counted.sleepers += 1;
        let waited = self
            .rung
            .wait_timeout_while(counted, timeout, |counted| counted.rings == seen);
        let (mut counted, _) = waited.unwrap_or_else(PoisonError::into_inner);
        counted.sleepers -= 1;
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The platform's notification, once somebody watches.
enum Notification {
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
    notification: Mutex<Notification>,
    /// Who looks for those that listen, once somebody does.
    looker: Mutex<Option<Thread>>,
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
            notification: Mutex::new(Notification::NotYet),
            looker: Mutex::default(),
        }
    }

    /// After a commit: `position` is the journal's new length.
    pub(super) fn ring(&self, position: u64) {
        self.rings.ring();
        if let Some(file) = &self.file
            && let Err(error) = write_at(file, &position.to_le_bytes(), 0)
        {
            tracing::debug!(%error, "cannot ring the bell");
        }
    }

    /// Wakes this process's watchers without a commit: the store is closing.
    pub(super) fn wake(&self) {
        self.rings.ring();
        let looker = self.looker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(looker) = &*looker {
            looker.unpark();
        }
    }

    /// Calls `wake` on each ring. `position` is asked every few seconds, for what was committed and not
    /// rung; None, once the store is closed, ends that.
    pub(super) fn listen(
        &self,
        wake: Wake,
        position: impl Fn() -> Option<u64> + Send + 'static,
    ) -> io::Result<Listening> {
        let look_every = self.start_notification();
        let id = self.rings.listeners.add(wake);
        let (rings, generation) = (Arc::clone(&self.rings), fork::generation());
        let listening = Listening::new(move || {
            // In a child of fork() it is the parent's, who may have had its mutex just then.
            if generation == fork::generation() {
                let _inside = fork::enter();
                rings.listeners.remove(id);
            }
        });
        let mut looker = self.looker.lock().unwrap_or_else(PoisonError::into_inner);
        match &*looker {
            Some(looker) => looker.unpark(),
            None => {
                let rings = Arc::clone(&self.rings);
                // Here and not on its thread: what is committed once we return counts as new.
                let known = position();
                let thread = std::thread::Builder::new()
                    .name("treering-bell".into())
                    .spawn(move || look_until_closed(&rings, look_every, known, &position))?;
                *looker = Some(thread.thread().clone());
            }
        }
        Ok(listening)
    }

    /// Asks `position` until it says more than `known` or time is up; answers what it said last.
    pub(super) fn watch(
        &self,
        known: u64,
        timeout: Duration,
        position: impl Fn() -> Result<u64>,
    ) -> Result<u64> {
        let look_every = self.start_notification();
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
    fn start_notification(&self) -> Duration {
        let mut notification = self
            .notification
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if matches!(*notification, Notification::NotYet) {
            *notification = self.start().map_or_else(
                |error| {
                    tracing::warn!(%error, "no file notification; watchers poll");
                    Notification::Polled
                },
                |watcher| Notification::Notified { _watcher: watcher },
            );
        }
        match *notification {
            Notification::Notified { .. } => LOOK_EVERY,
            _ => LOOK_EVERY_WITHOUT_NOTIFICATION,
        }
    }

    fn start(&self) -> notify::Result<RecommendedWatcher> {
        let rings = Arc::clone(&self.rings);
        let mut watcher = notify::recommended_watcher(move |_event| {
            let _inside = fork::enter();
            rings.ring();
        })?;
        watcher.watch(&self.path, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    }
}

/// Rings for those that listen when something was committed and nobody rang. Without a listener it sleeps.
fn look_until_closed(
    rings: &Rings,
    look_every: Duration,
    mut known: Option<u64>,
    position: &dyn Fn() -> Option<u64>,
) {
    while let Some(now) = position() {
        let inside = fork::enter();
        if known.replace(now).is_some_and(|known| known != now) {
            rings.ring();
        }
        let listened = !rings.listeners.is_empty();
        drop(inside);
        if listened {
            std::thread::park_timeout(look_every);
        } else {
            std::thread::park();
        }
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

    #[test]
    fn who_listens_is_called_for_what_nobody_rang() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bell");
        let bell = Bell::new(&path, true, &Disk::system());
        let position = Arc::new(AtomicU64::new(4));
        let (called, calls) = std::sync::mpsc::channel();
        let wake = move || {
            let _ = called.send(());
        };
        let asked = Arc::clone(&position);
        let look = move || Some(asked.load(SeqCst)).filter(|position| *position < 9);
        let listening = bell.listen(Arc::new(wake), look).unwrap();
        position.store(5, SeqCst);
        calls.recv_timeout(3 * LOOK_EVERY).unwrap();
        drop(listening);
        assert!(calls.recv().is_err(), "it is forgotten");
        // The store is closed: the thread ends, and with it what it asks.
        position.store(9, SeqCst);
        bell.wake();
        while Arc::strong_count(&position) > 1 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
