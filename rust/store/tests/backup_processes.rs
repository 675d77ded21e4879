//! Backups while other processes write and collect. The test binary starts itself again as those.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod backups;
mod embedded;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use backups::*;
use embedded::{bytes, commit, name, node, open, set};
use treering_block::Block;
use treering_store::{BackupReport, Expect, Store};

const ROLE: &str = "TREERING_TEST_ROLE";
const DIRECTORY: &str = "TREERING_TEST_DIRECTORY";
const BACKUPS: usize = 6;

fn start(role: &str, directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "other_process", "--nocapture"])
        .env(ROLE, role)
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What the other process does, until it is killed; nothing when run as a test.
#[test]
fn other_process() {
    let (Ok(role), Some(directory)) = (std::env::var(ROLE), std::env::var_os(DIRECTORY)) else {
        return;
    };
    let store = open(Path::new(&directory));
    for number in 0.. {
        if role == "collector" {
            collect(&store);
        } else {
            write(&store, &role, number);
            println!("done {number}");
        }
    }
}

/// Adds a step to the writer's thread; each third one has a large block, each fifth drops a large one.
fn write(store: &dyn Store, role: &str, number: u64) {
    let thread = name(role);
    let before = store.read_ref(&thread).unwrap();
    let seed = number * 10 + u64::from(role.as_bytes()[0]);
    let mut blocks = vec![Block::raw(bytes(seed, 400))];
    if number.is_multiple_of(3) {
        blocks.push(Block::raw(bytes(seed + 1, 263_000)));
    }
    let mut links: Vec<_> = blocks.iter().map(|block| block.cid).collect();
    links.extend(before.iter().map(|value| value.target));
    let top = node(&format!("{role} {number}"), &links);
    let mut step = commit();
    let expect = before.map_or(Expect::Absent, |value| Expect::Version(value.version));
    step.moves = vec![set(&thread, expect, top.cid)];
    if number.is_multiple_of(5) {
        // The one of before is garbage now.
        let dropped = Block::raw(bytes(seed + 2, 264_000));
        step.moves.push(set(
            &name(&format!("{role}-last")),
            Expect::Any,
            dropped.cid,
        ));
        blocks.push(dropped);
    }
    blocks.push(top);
    step.blocks = blocks;
    store.submit(step).wait().unwrap();
}

/// The newest step that a writer was told is durable.
fn listen(child: &mut Child) -> Arc<Mutex<Option<u64>>> {
    let newest = Arc::new(Mutex::new(None));
    let heard = Arc::clone(&newest);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    std::thread::spawn(move || {
        for line in lines.map_while(std::result::Result::ok) {
            if let Some(number) = line.strip_prefix("done ") {
                *heard.lock().unwrap() = Some(number.parse().unwrap());
            }
        }
    });
    newest
}

fn wait_until_beyond(newest: &Mutex<Option<u64>>, number: Option<u64>) {
    while *newest.lock().unwrap() <= number {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn what_was_acknowledged_before_a_backup_is_in_it_whoever_writes_and_collects() {
    let home = tempfile::tempdir().unwrap();
    let (path, backup) = (home.path().join("store"), home.path().join("backup"));
    let store = open(&path);
    let mut children: Vec<(&str, Child)> = ["a", "b", "collector"]
        .map(|role| (role, start(role, &path)))
        .into();
    let writers: Vec<_> = children
        .iter_mut()
        .filter(|(role, _)| *role != "collector")
        .map(|(role, child)| (*role, listen(child)))
        .collect();
    let mut reports: Vec<BackupReport> = vec![];
    let mut seen = vec![None; writers.len()];
    for _ in 0..BACKUPS {
        for ((_, newest), seen) in writers.iter().zip(&mut seen) {
            wait_until_beyond(newest, *seen);
            *seen = *newest.lock().unwrap();
        }
        let report = back_up(&store, &backup);
        let copy = open_read_only(&backup).unwrap();
        assert_sound(&copy);
        assert_eq!(copy.head().unwrap(), report.head);
        for ((role, _), seen) in writers.iter().zip(&seen) {
            // Steps count from 0, versions from 1.
            let version = copy.read_ref(&name(role)).unwrap().unwrap().version;
            assert!(version > seen.unwrap(), "{role}: {version}, {seen:?}");
        }
        // The store's history goes on from there.
        assert_eq!(
            store
                .journal(Some(&report.head.cursor()), 1)
                .err()
                .map(|e| e.to_string()),
            None
        );
        reports.push(report);
    }
    for (_, child) in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(reports.iter().skip(1).all(|report| report.incremental));
    assert!(
        reports.iter().any(|report| report.removed_blocks > 0),
        "{reports:?}"
    );
    back_up(&store, &backup);
    assert_is(&backup, &picture(&store));
}
