//! Whose turn it is to take the write lock: a courtesy between processes, on which no promise rests.
//!
//! The kernel keeps who waits for a lock in order of arrival, but does not hand it over: when it is given up
//! the first is woken, those behind stay asleep, and whoever asks before the first gets to run has it. On a
//! busy machine that is the last holder, again and again. So who waits says so (a shared lock on a byte of
//! the file, which the kernel drops with its process), and who comes while others wait lets one of them go
//! first: it joins the kernel's queue once one of them has the lock, or had it.
//!
//! Nobody waits for each other in vain: who came when nobody waited is in the kernel's queue at once, and
//! when its turn comes all that came meanwhile go on.
//!
//! Promises: nobody is let go first for longer than [`COURTESY_MAX`]; a process that waits and does not come
//! (it is stopped) costs that once in [`IGNORED`].
//! Never: it decides who has the lock.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::places::{HELD, WAITING};
use super::lock::{read_at, write_at};

/// Much longer than a process takes to run once it is woken, also where many want to.
const COURTESY_MAX: Duration = Duration::from_millis(100);
/// Nobody came: from then on nobody is waited for, so long, or until another process has a turn after all.
const IGNORED: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_micros(100);
/// Where the count of turns stands in the lock file, u64.
const TURNS_AT: u64 = 80;

#[derive(Default)]
pub(super) struct Turns {
    ignored: Mutex<Option<Ignored>>,
    /// This process has the lock by waiting for it, and says so.
    held: AtomicBool,
}

/// Who waits is not waited for: until then, and while the count stands there.
struct Ignored {
    until: Instant,
    turn: u64,
}

impl Turns {
    /// Whether another process waits, so that the lock is not to be taken before it.
    pub(super) fn others_wait(&self, file: &File) -> bool {
        let is_over =
            |ignored: &Ignored| ignored.until <= Instant::now() || ignored.turn != count(file);
        self.ignored().as_ref().is_none_or(is_over) && places::taken_by_others(file, WAITING)
    }

    /// Says that this process waits, for as long as `wait` takes, after one of those who waited before.
    pub(super) fn in_turn<E>(
        &self,
        file: &File,
        wait: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let turn = count(file);
        let others_wait = self.others_wait(file);
        places::share(file, WAITING);
        if others_wait {
            self.let_one_go_first(file, turn);
        }
        let waited = wait();
        if waited.is_ok() {
            self.held.store(places::take(file, HELD), SeqCst);
            let next = count(file).wrapping_add(1);
            if let Err(error) = write_at(file, &next.to_le_bytes(), TURNS_AT) {
                tracing::debug!(%error, "cannot count a turn");
            }
            // A turn of our own tells nothing of who waits.
            if let Some(ignored) = &mut *self.ignored()
                && ignored.turn.wrapping_add(1) == next
            {
                ignored.turn = next;
            }
        }
        places::leave(file, WAITING);
        waited
    }

    /// Before the lock is given up.
    pub(super) fn ends(&self, file: &File) {
        if self.held.swap(false, SeqCst) {
            places::leave(file, HELD);
        }
    }

    fn let_one_go_first(&self, file: &File, turn: u64) {
        let started = Instant::now();
        while count(file) == turn && !places::taken_by_others(file, HELD) {
            if started.elapsed() > COURTESY_MAX {
                let until = Instant::now().checked_add(IGNORED);
                *self.ignored() = until.map(|until| Ignored { until, turn });
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn ignored(&self) -> MutexGuard<'_, Option<Ignored>> {
        self.ignored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(file: &File) -> u64 {
    let mut turns = [0; 8];
    // What is not there yet is zero.
    read_at(file, &mut turns, TURNS_AT).unwrap_or(0);
    u64::from_le_bytes(turns)
}

/// Locks on single bytes far behind the file's end. They belong to the open file, are no business of
/// `flock`'s, end with their process, and a process does not see its own.
#[cfg(target_os = "linux")]
mod places {
    use std::fs::File;
    use std::os::fd::AsRawFd;

    /// Shared by all that wait.
    pub(super) const WAITING: libc::off_t = 1 << 40;
    /// Of the one that waited and has the lock.
    pub(super) const HELD: libc::off_t = WAITING + 1;

    pub(super) fn share(file: &File, place: libc::off_t) {
        lock(file, place, libc::F_OFD_SETLK, libc::F_RDLCK);
    }

    pub(super) fn take(file: &File, place: libc::off_t) -> bool {
        lock(file, place, libc::F_OFD_SETLK, libc::F_WRLCK).is_some()
    }

    pub(super) fn leave(file: &File, place: libc::off_t) {
        lock(file, place, libc::F_OFD_SETLK, libc::F_UNLCK);
    }

    pub(super) fn taken_by_others(file: &File, place: libc::off_t) -> bool {
        lock(file, place, libc::F_OFD_GETLK, libc::F_WRLCK)
            .is_some_and(|found| found != libc::F_UNLCK)
    }

    /// What fcntl(2) leaves as the kind of lock; None where it fails: then nobody is known to be there.
    fn lock(
        file: &File,
        place: libc::off_t,
        command: libc::c_int,
        kind: libc::c_int,
    ) -> Option<libc::c_int> {
        // SAFETY: a plain struct of integers, for which zero is a value.
        let mut about: libc::flock = unsafe { std::mem::zeroed() };
        about.l_type = libc::c_short::try_from(kind).ok()?;
        about.l_whence = libc::c_short::try_from(libc::SEEK_SET).ok()?;
        about.l_start = place;
        about.l_len = 1;
        // SAFETY: the descriptor is open as long as `file`; the struct outlives the call.
        let answer = unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut about) };
        (answer == 0).then(|| libc::c_int::from(about.l_type))
    }
}

/// Elsewhere nobody is known to wait: the system's own order has to do.
#[cfg(not(target_os = "linux"))]
mod places {
    use std::fs::File;

    pub(super) const WAITING: i64 = 0;
    pub(super) const HELD: i64 = 1;

    pub(super) fn share(_file: &File, _place: i64) {}

    pub(super) fn take(_file: &File, _place: i64) -> bool {
        false
    }

    pub(super) fn leave(_file: &File, _place: i64) {}

    pub(super) fn taken_by_others(_file: &File, _place: i64) -> bool {
        false
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io;
    use std::path::Path;
    use std::sync::mpsc::channel;

    use super::*;

    /// As another process has it.
    fn open(directory: &Path) -> File {
        let mut how = File::options();
        how.read(true).write(true).create(true).truncate(false);
        how.open(directory.join("lock")).unwrap()
    }

    #[test]
    fn who_comes_later_goes_later() {
        let directory = tempfile::tempdir().unwrap();
        let (ours, theirs) = (open(directory.path()), open(directory.path()));
        let (our_turns, their_turns) = (Turns::default(), Turns::default());
        assert!(!our_turns.others_wait(&ours));
        std::thread::scope(|scope| {
            let (inside, waits) = channel();
            let (grant, granted) = channel::<()>();
            let (their_turns, theirs) = (&their_turns, &theirs);
            scope.spawn(move || {
                let wait = move || {
                    inside.send(()).unwrap();
                    granted.recv()
                };
                their_turns.in_turn(theirs, wait).unwrap();
            });
            waits.recv().unwrap();
            assert!(our_turns.others_wait(&ours));
            // For another open file: their own is not another's.
            assert!(!their_turns.others_wait(theirs));
            let (came, coming) = channel();
            let ours = &ours;
            let our_turns = &our_turns;
            scope.spawn(move || {
                let wait = || {
                    came.send(count(ours)).unwrap();
                    Ok::<_, io::Error>(())
                };
                our_turns.in_turn(ours, wait).unwrap();
            });
            grant.send(()).unwrap();
            let seen = coming.recv().unwrap();
            assert!(
                seen == 1 || places::taken_by_others(ours, HELD),
                "theirs came first"
            );
        });
        assert_eq!(count(&ours), 2);
        assert!(!our_turns.others_wait(&ours));
        let failed = our_turns.in_turn(&ours, || Err(io::Error::other("no lock")));
        assert!(failed.is_err());
        assert_eq!(count(&ours), 2, "no turn came");
    }

    #[test]
    fn who_holds_the_lock_after_waiting_is_no_reason_to_wait_outside_of_the_queue() {
        let directory = tempfile::tempdir().unwrap();
        let (ours, theirs) = (open(directory.path()), open(directory.path()));
        let (our_turns, their_turns) = (Turns::default(), Turns::default());
        their_turns
            .in_turn(&theirs, || Ok::<_, io::Error>(()))
            .unwrap();
        assert!(places::taken_by_others(&ours, HELD));
        our_turns.let_one_go_first(&ours, count(&ours));
        assert!(our_turns.ignored().is_none(), "it came to an end by itself");
        their_turns.ends(&theirs);
        assert!(!places::taken_by_others(&ours, HELD));
    }

    #[test]
    fn one_that_waits_and_never_comes_is_ignored_for_a_while() {
        let directory = tempfile::tempdir().unwrap();
        let (ours, theirs) = (open(directory.path()), open(directory.path()));
        places::share(&theirs, WAITING);
        let turns = Turns::default();
        turns.in_turn(&ours, || Ok::<_, io::Error>(())).unwrap();
        assert!(turns.ignored().is_some(), "patience has an end");
        assert!(!turns.others_wait(&ours));
        turns.in_turn(&ours, || Ok::<_, io::Error>(())).unwrap();
        assert!(!turns.others_wait(&ours), "our own turns tell nothing");
        let next = count(&ours) + 1;
        write_at(&theirs, &next.to_le_bytes(), TURNS_AT).unwrap();
        assert!(turns.others_wait(&ours), "somebody came after all");
        // Its process ends.
        drop(theirs);
        assert!(!turns.others_wait(&ours));
    }
}
