//! Several processes on one directory. The test binary starts itself again as the other process.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use embedded::{bytes, name, open, put, set};
use treering_block::Block;
use treering_store::{Commit, EmbeddedStore, Expect, OpenOptions, Store, StoreError};

const ROLE: &str = "TREERING_TEST_ROLE";
const DIRECTORY: &str = "TREERING_TEST_DIRECTORY";

/// Starts this binary again, to run only [`other_process`] in that role.
fn start(role: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "other_process", "--nocapture"])
        .env(ROLE, role)
        .env(DIRECTORY, directory);
    command.stdout(Stdio::null());
    command
}

fn wait(mut child: Child) {
    assert!(child.wait().unwrap().success());
}

/// What the other process does; nothing when run as a test.
#[test]
fn other_process() {
    let (Ok(role), Some(directory)) = (std::env::var(ROLE), std::env::var_os(DIRECTORY)) else {
        return;
    };
    let directory = Path::new(&directory);
    match role.as_str() {
        "count" => count_up(&open(directory), 100, |_| true),
        "count in turns" => count_up(&open(directory), u64::MAX, |version| version % 2 == 1),
        "one" => {
            std::thread::sleep(Duration::from_millis(300));
            open(directory)
                .submit(put(vec![Block::raw(b"from afar".to_vec())]))
                .wait()
                .unwrap();
        }
        "hold lock" => {
            let store = open(directory);
            store.on_commit_sync(|| {
                std::thread::sleep(Duration::from_secs(60));
                Ok(())
            });
            drop(store.submit(put(vec![Block::raw(b"never seen".to_vec())])));
            std::thread::sleep(Duration::from_secs(60));
        }
        "lease" => {
            open(directory)
                .lease_acquire(&name("t"), "the other")
                .unwrap();
            std::thread::sleep(Duration::from_secs(60));
        }
        "read" => {
            let store = open(directory);
            assert!(!store.may_write());
            assert_eq!(
                &*store.get(&Block::raw(b"kept".to_vec()).cid).unwrap(),
                b"kept"
            );
            assert!(matches!(
                store.submit(put(vec![])).wait(),
                Err(StoreError::ReadOnly)
            ));
            assert_eq!(store.verify(None).unwrap().findings, []);
        }
        other => panic!("no role {other}"),
    }
}

/// Moves the ref `t` on, each time from where it stands if that is a version of ours, until this process has
/// done so `times` times.
fn count_up(store: &EmbeddedStore, times: u64, is_ours: impl Fn(u64) -> bool) {
    let mut done = 0;
    while done < times {
        let stands = store.read_ref(&name("t")).unwrap();
        let version = stands.as_ref().map_or(0, |value| value.version);
        if !is_ours(version) {
            std::thread::yield_now();
            continue;
        }
        let block = Block::raw(version.to_le_bytes().to_vec());
        let expect = if version == 0 {
            Expect::Absent
        } else {
            Expect::Version(version)
        };
        let mut step = Commit {
            moves: vec![set(&name("t"), expect, block.cid)],
            ..put(vec![block])
        };
        step.holds.clear();
        match store.submit(step).wait() {
            Ok(_) => done += 1,
            Err(StoreError::RefMoved { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn two_processes_count_without_losing_one() {
    let directory = tempfile::tempdir().unwrap();
    let other = start("count", directory.path()).spawn().unwrap();
    let store = open(directory.path());
    count_up(&store, 100, |_| true);
    wait(other);
    assert_eq!(store.read_ref(&name("t")).unwrap().unwrap().version, 200);
    let journal = store.journal(None, 1000).unwrap();
    assert!(journal.iter().map(|entry| entry.position).eq(1..=200));
    assert_eq!(store.verify(None).unwrap().findings, []);
}

#[test]
fn processes_that_take_turns_find_the_room_that_the_other_made_in_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let mut other = start("count in turns", directory.path()).spawn().unwrap();
    let store = open(directory.path());
    count_up(&store, 50, |version| version % 2 == 0);
    let log = std::fs::metadata(directory.path().join("store.db-wal")).unwrap();
    other.kill().unwrap();
    other.wait().unwrap();
    // Theirs are as long as ours.
    let written = 2 * store.counters().wal_bytes_written;
    assert!(
        (written / 2..=2 * written + (1 << 20)).contains(&log.len()),
        "{} bytes for {written} written",
        log.len()
    );
}

#[test]
fn a_watcher_wakes_on_another_processes_commit() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let other = start("one", directory.path()).spawn().unwrap();
    assert_eq!(store.watch(0, Duration::from_secs(60)).unwrap(), 1);
    assert!(store.has(&Block::raw(b"from afar".to_vec()).cid).unwrap());
    wait(other);
}

#[test]
fn a_killed_holder_of_the_lock_holds_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        lock_wait: Duration::from_millis(500),
        ..OpenOptions::default()
    };
    let store = EmbeddedStore::open(directory.path(), &options).unwrap();
    let mut other = start("hold lock", directory.path()).spawn().unwrap();
    // Until it is inside its commit: then ours times out and names it.
    let started = Instant::now();
    let mut seed = 0;
    let holder = loop {
        assert!(started.elapsed() < Duration::from_secs(60));
        seed += 1;
        match store.submit(put(vec![Block::raw(bytes(seed, 10))])).wait() {
            Err(StoreError::LockTimeout { holder, .. }) => break holder,
            answer => drop(answer.unwrap()),
        }
    };
    assert!(holder.contains(&other.id().to_string()), "{holder}");
    other.kill().unwrap();
    other.wait().unwrap();
    store
        .submit(put(vec![Block::raw(bytes(0, 10))]))
        .wait()
        .unwrap();
    assert_eq!(store.verify(None).unwrap().findings, []);
}

#[test]
fn a_killed_processes_lease_can_be_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut other = start("lease", directory.path()).spawn().unwrap();
    let started = Instant::now();
    while store
        .lease_state(&name("t"))
        .unwrap()
        .is_none_or(|state| !state.held)
    {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    let refused = store.lease_acquire(&name("t"), "me");
    assert!(
        matches!(&refused, Err(StoreError::LeaseHeld { holder, .. }) if holder.contains("the other")),
        "{refused:?}"
    );
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(store.lease_acquire(&name("t"), "me").unwrap().token, 2);
}

/// A directory that may not be written, seen by a user who is not root: with no log, and with one.
#[cfg(target_os = "linux")]
#[test]
fn a_read_only_directory_is_read() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;

    fn set_modes(directory: &Path, directories: u32, files: u32) {
        std::fs::set_permissions(directory, PermissionsExt::from_mode(directories)).unwrap();
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            if entry.file_type().unwrap().is_file() {
                std::fs::set_permissions(entry.path(), PermissionsExt::from_mode(files)).unwrap();
            }
        }
    }

    // SAFETY: asks who we are.
    let root = unsafe { libc::geteuid() } == 0;
    let outer = tempfile::tempdir().unwrap();
    std::fs::set_permissions(outer.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let directory = outer.path().join("state");
    // The other user must be able to run this binary, wherever it was built.
    let binary = outer.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    let read = || {
        let mut command = Command::new(&binary);
        command
            .args(["--exact", "other_process", "--nocapture"])
            .env(ROLE, "read")
            .env(DIRECTORY, &directory);
        if root {
            command.uid(NOBODY).gid(NOBODY);
        }
        let output = command.current_dir(outer.path()).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let store = open(&directory);
    store
        .submit(put(vec![Block::raw(b"kept".to_vec())]))
        .wait()
        .unwrap();
    set_modes(&directory, 0o555, 0o444);
    read(); // The log's index is there and may be read.
    store.close().unwrap();
    read(); // The log is empty.
    for rest in ["store.db-wal", "store.db-shm"] {
        set_modes(&directory, 0o755, 0o644);
        drop(std::fs::remove_file(directory.join(rest)));
        set_modes(&directory, 0o555, 0o444);
        read(); // As after copying the database alone, or from a read-only medium.
    }
    set_modes(&directory, 0o755, 0o644);
}
