//! A disk that is full: reads and deletions go on, writes are refused whole, and what is freed can be used.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use embedded::{bytes, command, commit, name, put, set};
use treering_block::{Block, Cid};
use treering_store::faults::SmallDisk;
use treering_store::{
    Change, Disk, EmbeddedStore, Expect, ExpireBefore, GcOptions, OpenOptions, RefMove, Result,
    Store, StoreError,
};
use ulid::Ulid;

const MIB: u64 = 1 << 20;
/// Names the directory in which [`on_a_real_disk`] works.
const DIRECTORY: &str = "TREERING_TEST_SMALL_DISK";

/// A store that is written until nothing more fits.
struct Full {
    path: PathBuf,
    options: OpenOptions,
    store: EmbeddedStore,
    /// What was acknowledged, by the number of its ref.
    kept: Vec<(u64, Cid, Vec<u8>)>,
    next: u64,
}

impl Full {
    fn new(path: PathBuf, options: OpenOptions) -> Self {
        Self {
            store: EmbeddedStore::open(&path, &options).unwrap(),
            path,
            options,
            kept: Vec::new(),
            next: 0,
        }
    }

    fn append(&mut self, length: usize) -> Result<()> {
        let number = self.next;
        self.next += 1;
        let content = bytes(number, length);
        let block = Block::raw(content.clone());
        let cid = block.cid;
        let mut step = commit();
        step.moves = vec![set(&name(&format!("n{number}")), Expect::Absent, cid)];
        step.blocks = vec![block];
        step.command = command(&format!("c{number}"), 1);
        self.store.submit(step).wait()?;
        self.kept.push((number, cid, content));
        Ok(())
    }

    /// Ever smaller commits, until the smallest is refused again and again.
    fn fill(&mut self) {
        for length in [300_000, 200_000, 20_000, 1000, 10] {
            let mut refused = 0;
            while refused < 4 {
                match self.append(length) {
                    Ok(()) => refused = 0,
                    Err(StoreError::DiskFull) => refused += 1,
                    Err(error) => panic!("{length} bytes: {error}"),
                }
            }
        }
    }

    fn assert_reads(&self) {
        for (number, cid, content) in &self.kept {
            assert_eq!(*self.store.get(cid).unwrap(), **content);
            let value = self.store.read_ref(&name(&format!("n{number}"))).unwrap();
            assert_eq!(value.map(|value| value.target), Some(*cid));
        }
        assert_eq!(self.store.verify(None).unwrap().findings, []);
    }

    fn reopen(self) -> Self {
        let Self {
            path,
            options,
            store,
            kept,
            next,
        } = self;
        drop(store);
        let store = EmbeddedStore::open(&path, &options).unwrap();
        Self {
            path,
            options,
            store,
            kept,
            next,
        }
    }

    fn rm(&mut self, at: usize) {
        let (number, ..) = self.kept.remove(at);
        let mut step = commit();
        step.moves = vec![RefMove {
            name: name(&format!("n{number}")),
            expect: Expect::Version(1),
            change: Change::Delete,
        }];
        step.command = command(&format!("rm{number}"), 1);
        self.store.submit(step).wait().unwrap();
    }

    /// What is no deletion finds no room, until the log has given back so much of its own that the reserve is there
    /// again: it does so whenever it gets to it.
    fn assert_refused_until_reserved<T: std::fmt::Debug>(&self, answer: Result<T>) {
        match answer {
            Err(StoreError::DiskFull) => {}
            Ok(done) => assert!(self.has_reserve(), "{done:?} took the reserve's room"),
            Err(error) => panic!("{error}"),
        }
    }

    fn has_reserve(&self) -> bool {
        std::fs::metadata(self.path.join("reserve")).is_ok_and(|about| about.len() > 0)
    }
}

/// Does it until the disk is full. What the log takes already, small writes may still use.
fn until_refused<T: std::fmt::Debug>(mut write: impl FnMut() -> Result<T>) {
    for _ in 0..10_000 {
        match write() {
            Ok(_) => {}
            Err(StoreError::DiskFull) => return,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the disk is never full");
}

/// The whole story. `stuff` takes what room the store left; `used`: bytes that are taken on the disk.
fn story(path: PathBuf, options: OpenOptions, stuff: impl Fn(), used: impl Fn() -> u64) {
    let mut full = Full::new(path, options);
    assert!(full.has_reserve());
    for _ in 0..4 {
        full.append(2000).unwrap();
    }
    // Held, leased and sealed while there was room.
    let held = Block::raw(b"held".to_vec());
    full.store.submit(put(vec![held.clone()])).wait().unwrap();
    let lease = full.store.lease_acquire(&name("n1"), "tester").unwrap();
    full.store.seal_journal(2).unwrap();
    let end = full.store.journal_extent().unwrap().sealed[0].head_after();
    full.fill();
    stuff();
    assert!(full.has_reserve(), "writes never take it");

    // Every sort of write is refused, and leaves nothing.
    for length in [300_000, 10_000, 1] {
        until_refused(|| full.append(length));
    }
    let cid = full.kept[3].1;
    let (mut version, mut leases) = (0, 0);
    until_refused(|| {
        version += 1;
        let mut step = commit();
        let expect = if version == 1 {
            Expect::Absent
        } else {
            Expect::Version(version - 1)
        };
        step.moves = vec![set(&name("moved"), expect, cid)];
        full.store.submit(step).wait()
    });
    until_refused(|| {
        leases += 1;
        full.store
            .lease_acquire(&name(&format!("leased {leases}")), "tester")
    });
    until_refused(|| {
        full.store
            .extend_hold("main", &held.cid, i64::MAX / 2 + leases)
    });
    let files = || full.store.stats().unwrap().blob_files;
    let (before, journal) = (files(), full.store.head().unwrap());
    let large = Block::raw(bytes(1 << 40, 300_000));
    let answer = full.store.submit(put(vec![large.clone()])).wait();
    assert!(matches!(answer, Err(StoreError::DiskFull)), "{answer:?}");
    assert!(!full.store.has(&large.cid).unwrap());
    stuff();
    let answer = full.store.seal_journal(1);
    assert!(matches!(answer, Err(StoreError::DiskFull)), "{answer:?}");
    assert_eq!((files(), full.store.head().unwrap()), (before, journal));
    full.assert_reads();
    assert!(full.has_reserve());

    stuff();
    // The store can be opened there, to write and to read.
    full = full.reopen();
    full.assert_reads();
    let reading = OpenOptions {
        read_only: true,
        ..full.options.clone()
    };
    let reader = EmbeddedStore::open(&full.path, &reading).unwrap();
    assert_eq!(*reader.get(&held.cid).unwrap(), *b"held");
    drop(reader);

    // A collection that has nothing to give back does not take what is reserved.
    stuff();
    let idle = full.store.gc(&GcOptions::default()).unwrap();
    assert_eq!((idle.dead, idle.deleted), (0, 0));
    assert!(full.has_reserve());

    // What gives room back works, and nothing else takes the room that was reserved for it: neither this
    // process nor, opened anew, another one.
    let taken = used();
    while full.has_reserve() && full.kept.len() > 30 {
        full.rm(4);
    }
    for round in 0..2 {
        for length in [300_000, 10_000, 1] {
            for _ in 0..20 {
                let answer = full.append(length);
                full.assert_refused_until_reserved(answer);
            }
        }
        let late = name(&format!("late {round}"));
        let answer = full.store.lease_acquire(&late, "tester");
        full.assert_refused_until_reserved(answer);
        let answer = full.store.seal_journal(1);
        full.assert_refused_until_reserved(answer);
        full = full.reopen();
    }
    while full.kept.len() > 4 {
        full.rm(4);
    }
    assert!(full.store.release_hold("main", &held.cid).unwrap());
    full.store.lease_release(&lease).unwrap();
    let state = full.store.lease_state(&name("n1")).unwrap().unwrap();
    assert!(!state.held);
    let expired = full
        .store
        .expire_journal(&ExpireBefore::Cursor(end.cursor()));
    assert_eq!(expired.unwrap().files, 1);
    let report = full.store.gc(&GcOptions::default()).unwrap();
    assert!(report.freed_bytes > 10 * MIB, "{report:?}");
    assert!(!full.store.has(&held.cid).unwrap());
    full.assert_reads();
    // Bytes come back to the system, and the reserve is there again.
    assert!(full.has_reserve());
    let left = used();
    assert!(
        taken - left > report.freed_bytes * 9 / 10,
        "{taken} bytes before, {left} after {} were freed",
        report.freed_bytes
    );
    for length in [10, 200_000, 300_000] {
        full.append(length).unwrap();
    }
    full.store.lease_acquire(&name("n2"), "tester").unwrap();
    full = full.reopen();
    full.assert_reads();
    // And all over again.
    full.fill();
    full.assert_reads();
}

/// Another program takes the rest. A write that was refused gives the log's room back, in which a smaller one
/// would fit.
fn stuff_to(disk: &SmallDisk, root: &Path) {
    let rest = usize::try_from(disk.free()).unwrap();
    std::fs::write(root.join(Ulid::generate().to_string()), vec![1; rest]).unwrap();
    assert_eq!(disk.free(), 0);
}

fn stuff_real(root: &Path) {
    use std::io::{ErrorKind, Write};
    let mut how = std::fs::File::options();
    how.create(true).append(true);
    let mut ballast = how.open(root.join("ballast")).unwrap();
    for length in [100_000, 4096, 1] {
        loop {
            match ballast
                .write_all(&vec![1; length])
                .and_then(|()| ballast.sync_all())
            {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn behind(disk: &Arc<SmallDisk>, reserve_bytes: u64) -> OpenOptions {
    OpenOptions {
        reserve_bytes,
        disk: Disk::behind(Arc::clone(disk) as _),
        ..OpenOptions::default()
    }
}

#[test]
fn a_small_disk_is_filled_and_emptied() {
    let root = tempfile::tempdir().unwrap();
    let disk = Arc::new(SmallDisk::new(root.path(), 48 * MIB, 16 * MIB).unwrap());
    let options = behind(&disk, 16 * MIB);
    let stuff = || stuff_to(&disk, root.path());
    story(root.path().join("store"), options, stuff, || disk.used());
}

/// Without the reserve a full disk can not be emptied: this is what it is for.
#[test]
fn without_a_reserve_nothing_can_be_deleted() {
    let root = tempfile::tempdir().unwrap();
    let disk = Arc::new(SmallDisk::new(root.path(), 16 * MIB, 0).unwrap());
    let mut full = Full::new(root.path().join("store"), behind(&disk, 0));
    full.fill();
    stuff_to(&disk, root.path());
    full.assert_reads();
    let refused = full.kept.iter().find_map(|(number, ..)| {
        let mut step = commit();
        step.moves = vec![RefMove {
            name: name(&format!("n{number}")),
            expect: Expect::Version(1),
            change: Change::Delete,
        }];
        full.store.submit(step).wait().err()
    });
    assert!(matches!(refused, Some(StoreError::DiskFull)), "{refused:?}");
}

#[test]
fn a_commit_that_would_not_fit_twice_is_refused_before_it_is_written() {
    let root = tempfile::tempdir().unwrap();
    let disk = Arc::new(SmallDisk::new(root.path(), u64::MAX, 0).unwrap());
    let store = EmbeddedStore::open(root.path().join("store"), &behind(&disk, 0)).unwrap();
    let blocks: Vec<Block> = (0..50)
        .map(|seed| Block::raw(bytes(seed, 200_000)))
        .collect();
    // There is room here: it goes through.
    store.submit(put(blocks)).wait().unwrap();
    assert_eq!(store.stats().unwrap().blocks, 50);
}

/// Run by the test below, on a file system of its own.
#[test]
#[ignore = "needs a small file system, which a_real_file_system_is_filled_and_emptied mounts"]
fn on_a_real_disk() {
    let root = PathBuf::from(env::var(DIRECTORY).unwrap());
    let stuff = || stuff_real(&root);
    story(root.join("store"), OpenOptions::default(), stuff, || {
        let about = rustix::fs::statvfs(&root).unwrap();
        (about.f_blocks - about.f_bfree) * about.f_frsize
    });
}

fn on(kind: &str, prepare: &str) {
    let root = tempfile::tempdir().unwrap();
    let script = format!(
        "set -e; mkdir {root}/disk; {prepare}; exec {test} --ignored --exact on_a_real_disk --nocapture",
        root = root.path().display(),
        prepare = prepare.replace("ROOT", &root.path().display().to_string()),
        test = env::current_exe().unwrap().display(),
    );
    let ran = Command::new("unshare")
        .args(["-m", "sh", "-c", &script])
        .env(DIRECTORY, root.path().join("disk"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let complained = String::from_utf8_lossy(&ran.stderr);
    assert!(
        ran.status.success() && said.contains("1 passed"),
        "{kind}: {said}\n{complained}"
    );
}

/// Whether this process may mount; where it must be able to (CI as root), it fails instead.
fn may_mount() -> bool {
    let tried = Command::new("unshare")
        .args(["-m", "sh", "-c", "mount -t tmpfs none /mnt"])
        .output();
    let may = tried.as_ref().is_ok_and(|tried| tried.status.success());
    if !may {
        let must = env::var("CI").is_ok_and(|ci| ci == "true") && rustix_is_root();
        assert!(!must, "CI as root, and nothing can be mounted: {tried:?}");
        eprintln!("skipped: no file system can be mounted here (it takes root): {tried:?}");
    }
    may
}

fn rustix_is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|about| {
        use std::os::unix::fs::MetadataExt;
        about.uid() == 0
    })
}

#[test]
fn a_real_file_system_is_filled_and_emptied() {
    if !may_mount() {
        return;
    }
    on("tmpfs", "mount -t tmpfs -o size=48m none ROOT/disk");
    let made = Command::new("mkfs.ext4").arg("-V").output().is_ok();
    let looped = Path::new("/dev/loop-control").exists();
    if made && looped {
        on(
            "ext4",
            "truncate -s 64M ROOT/image; mkfs.ext4 -q -m 0 ROOT/image; mount -o loop ROOT/image ROOT/disk",
        );
    } else {
        eprintln!("skipped: ext4 needs mkfs.ext4 and /dev/loop-control");
    }
}
