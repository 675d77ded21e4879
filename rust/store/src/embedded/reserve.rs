//! Room that is kept for what gives room back: a file of some megabytes that nothing reads.
//!
//! On a full disk every write fails, a deletion's too: it is written to the log first. So a file takes room
//! while there is some, and is cut to nothing when a *deletion* (rm, unpin, a collection's commit, an ended
//! hold or lease, an expiry) or the checkpoint behind it finds none; SQLite's write is then done again and
//! succeeds. The file is made again once there is room for it twice; until then, which its being there and
//! empty says to every process, whatever is no deletion is refused: it would take the room from those.
//!
//! How the log is kept from growing over it: with little room left the log goes into the database every
//! [`EARLY_LOG_BYTES`] instead of every 32 MiB, and its own room is given back then; a commit of more than
//! 8 MiB is refused unless there is room for it in both. So what the log still has to bring into a database
//! that can not grow is less than the reserve. Once that is given up, the log goes into the database at once.
//! Promises: nobody but a deletion gives it up, or uses the room that it left; a disk that never had room for it
//! twice works without it, but for deletions when it is full.
//! Must never: fail whoever opens or writes, or be looked at by a read.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use super::disk::Disk;

/// Its name in the store's directory.
pub(super) const RESERVE: &str = "reserve";
/// With little room left, the log goes into the database when it is longer than this.
pub(super) const EARLY_LOG_BYTES: u64 = 4 << 20;
/// So little: what several processes may write before each of them looks again.
const LOW_BYTES: u64 = 64 << 20;

pub(super) struct Reserve {
    root: PathBuf,
    path: PathBuf,
    /// 0: none is made.
    bytes: u64,
    disk: Disk,
    /// A deletion is under way.
    for_deletion: AtomicBool,
    /// It was given up, or there was no room for it.
    missing: AtomicBool,
    /// It was given up and is not there again: its room is for deletions.
    owed: AtomicBool,
    /// It was given up, and nobody has made use of it yet.
    given_up: AtomicBool,
}

impl Reserve {
    pub(super) fn new(root: &Path, bytes: u64, disk: &Disk) -> Self {
        Self {
            root: root.to_owned(),
            path: root.join(RESERVE),
            bytes,
            disk: disk.clone(),
            for_deletion: AtomicBool::new(false),
            missing: AtomicBool::new(true),
            owed: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
        }
    }

    /// Makes it where it is absent or cut short, if there is room for it twice.
    pub(super) fn make(&self) {
        if self.bytes == 0 {
            return;
        }
        let about = fs::metadata(&self.path);
        let there = about.as_ref().map_or(0, std::fs::Metadata::len);
        if there >= self.bytes {
            self.missing.store(false, Relaxed);
            self.owed.store(false, Relaxed);
            return;
        }
        let given_up = about.is_ok();
        let mut made = false;
        if self.free_bytes().saturating_add(there) >= self.bytes.saturating_mul(2) {
            made = self
                .write()
                .inspect_err(|error| {
                    // Half of it would pass for room that a deletion can have.
                    let cleared = if given_up {
                        self.disk.empty(&self.path)
                    } else {
                        self.disk.remove(&self.path)
                    };
                    drop(cleared);
                    tracing::debug!(%error, path = %self.path.display(), "no room is reserved");
                })
                .is_ok();
        }
        self.missing.store(!made, Relaxed);
        self.owed.store(!made && given_up, Relaxed);
    }

    /// Makes it again, if it was given up and there is room.
    pub(super) fn make_again(&self) {
        if self.missing.load(Relaxed) {
            self.make();
        }
    }

    /// Whether all the room that is left is for deletions.
    pub(super) fn is_owed(&self) -> bool {
        if self.owed.load(Relaxed) {
            self.make();
        }
        self.owed.load(Relaxed)
    }

    fn write(&self) -> io::Result<()> {
        let mut how = File::options();
        how.write(true).create(true).truncate(false);
        // Nothing rests on what is in it, nor on its being there after a power failure: no sync.
        let file = self.disk.open(&self.path, &how)?;
        take_room(&file, self.bytes)
    }

    /// From now on until told otherwise, what is written is a deletion, or not.
    pub(super) fn allow(&self, for_deletion: bool) {
        self.for_deletion.store(for_deletion, SeqCst);
    }

    /// A write found no room. True: there is some now, if somebody else has not taken it yet.
    pub(super) fn give_up(&self) -> bool {
        let there = fs::metadata(&self.path).map_or(0, |about| about.len());
        if !self.for_deletion.load(SeqCst) || there == 0 || self.disk.empty(&self.path).is_err() {
            return false;
        }
        self.missing.store(true, Relaxed);
        self.owed.store(true, Relaxed);
        self.given_up.store(true, Relaxed);
        tracing::warn!(path = %self.path.display(), "the disk is full: what was reserved for deletions is given up");
        // Some file systems give room back with their next sync only.
        drop(self.disk.sync_file(&self.path));
        true
    }

    /// Whether it was given up since this was asked last.
    pub(super) fn take_given_up(&self) -> bool {
        self.given_up.swap(false, Relaxed)
    }

    /// Whether so little room is left that the log must stay short.
    pub(super) fn is_low(&self, log_bytes: u64) -> bool {
        let low = self.free_bytes() < LOW_BYTES.saturating_add(log_bytes);
        if low {
            // Another process may have given it up.
            self.make();
        }
        low
    }

    /// Whether the file system has so much room left.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.free_bytes() >= bytes
    }

    /// What the file system has left for this process; no end where it does not say.
    #[cfg(unix)]
    fn free_bytes(&self) -> u64 {
        rustix::fs::statvfs(&self.root).map_or(u64::MAX, |about| {
            about.f_bavail.saturating_mul(about.f_frsize)
        })
    }

    #[cfg(not(unix))]
    fn free_bytes(&self) -> u64 {
        u64::MAX
    }
}

/// Makes a file take so much room on the disk.
fn take_room(file: &File, bytes: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::FallocateFlags;
        match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
            done => return done.map_err(Into::into),
        }
    }
    // Bytes that no file system makes smaller.
    let mut source = blake3::Hasher::new().finalize_xof();
    let mut piece = vec![0; 1 << 20];
    let mut left = bytes;
    let mut file = file;
    while left > 0 {
        source.fill(&mut piece);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        io::Write::write_all(&mut file, piece.get(..length).unwrap_or_default())?;
        left = left.saturating_sub(length as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserve(root: &Path, bytes: u64) -> Reserve {
        Reserve::new(root, bytes, &Disk::system())
    }

    #[test]
    fn it_takes_its_room_and_only_a_deletion_gives_it_up() {
        use std::os::unix::fs::MetadataExt;
        let root = tempfile::tempdir().unwrap();
        let ours = reserve(root.path(), 1 << 20);
        ours.make();
        let about = fs::metadata(root.path().join(RESERVE)).unwrap();
        assert_eq!(about.len(), 1 << 20);
        assert!(
            about.blocks() * 512 >= 1 << 20,
            "it takes room, not only a length"
        );
        assert!(!ours.give_up());
        ours.allow(true);
        assert!(ours.give_up());
        assert!(!ours.give_up(), "it is gone");
        assert_eq!(fs::metadata(root.path().join(RESERVE)).unwrap().len(), 0);
        ours.make_again();
        assert_eq!(
            fs::metadata(root.path().join(RESERVE)).unwrap().len(),
            1 << 20
        );
        assert!(!ours.is_owed());
    }

    #[test]
    fn one_that_was_given_up_is_owed_and_one_that_never_was_is_not() {
        let root = tempfile::tempdir().unwrap();
        let large = reserve(root.path(), u64::MAX / 2);
        large.make();
        assert!(!large.is_owed());
        fs::write(root.path().join(RESERVE), b"").unwrap();
        large.make();
        assert!(large.is_owed());
        let small = reserve(root.path(), 4096);
        small.make();
        assert!(!small.is_owed(), "there is room for it again");
    }

    #[test]
    fn what_was_cut_short_is_made_whole_and_none_is_none() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(RESERVE);
        fs::write(&path, b"short").unwrap();
        reserve(root.path(), 0).make();
        assert_eq!(fs::metadata(&path).unwrap().len(), 5);
        reserve(root.path(), 4096).make();
        assert_eq!(fs::metadata(&path).unwrap().len(), 4096);
        // Room for it twice is nowhere.
        fs::remove_file(&path).unwrap();
        reserve(root.path(), u64::MAX / 2).make();
        assert!(!path.exists());
    }
}
