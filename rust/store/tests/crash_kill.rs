//! Processes that are killed: two threads of a child write, report what was answered, and end at any moment.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod crash;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crash::life::{bytes, moved};
use crash::{name, options};
use treering_block::Block;
use treering_store::{Commit, Disk, Durability, EmbeddedStore, Expect, Store};

const DIRECTORY: &str = "TREERING_TEST_KILLED";
const KILLS: &str = "TREERING_TEST_KILLS";
const WRITERS: [&str; 2] = ["a", "b"];
/// Before what the child reports, to tell it from what the test harness prints.
const ANSWERED: &str = "answered ";

/// The block of a writer's step: every fifth one a file of its own.
fn step(writer: &str, number: u64) -> Block {
    let length = if number % 5 == 4 { 262_144 } else { 900 };
    Block::raw(
        [
            format!("{writer} {number} ").into_bytes(),
            bytes(number, length),
        ]
        .concat(),
    )
}

/// What the child does; nothing when run as a test.
#[test]
fn killed_child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let store = EmbeddedStore::open(directory, &options(Disk::system())).unwrap();
    std::thread::scope(|scope| {
        for writer in WRITERS {
            let store = &store;
            scope.spawn(move || write_until_killed(store, writer));
        }
    });
}

fn write_until_killed(store: &EmbeddedStore, writer: &str) {
    let name = name("main", writer);
    let stands = store.read_ref(&name).unwrap();
    for number in stands.map_or(0, |value| value.version).. {
        let block = step(writer, number);
        let expect = if number == 0 {
            Expect::Absent
        } else {
            Expect::Version(number)
        };
        let commit = Commit {
            scope: "main".into(),
            moves: vec![moved(&name, expect, block.cid)],
            blocks: vec![block],
            durability: if number % 3 == 0 {
                Durability::Relaxed
            } else {
                Durability::Durable
            },
            ..Commit::default()
        };
        store.submit(commit).wait().unwrap();
        // One write, so that a kill cuts no line in two that the other thread goes on with.
        let line = format!("{ANSWERED}{writer} {number}\n");
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    }
}

/// Starts a child, kills it after `life`, and returns what it had reported: the newest of each writer.
fn kill_after(directory: &Path, life: Duration) -> [Option<u64>; 2] {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed_child", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reader = std::thread::spawn(move || {
        let mut newest = [None; 2];
        for line in lines.map_while(Result::ok) {
            let Some((_, report)) = line.split_once(ANSWERED) else {
                continue;
            };
            // The last line may be cut short by the kill: a number cut short is one that was answered
            // before, so it only weakens the check.
            if let Some((writer, number)) = report.split_once(' ')
                && let Some(at) = WRITERS.iter().position(|known| *known == writer)
                && let Ok(number) = number.parse::<u64>()
            {
                newest[at] = newest[at].max(Some(number));
            }
        }
        newest
    });
    std::thread::sleep(life);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

/// Everything that was answered is there, and nothing is broken.
fn check(directory: &Path, answered: &[Option<u64>; 2]) -> u64 {
    let store = EmbeddedStore::open(directory, &options(Disk::system())).unwrap();
    let report = store.verify(None).unwrap();
    assert_eq!(report.findings, []);
    for (writer, answered) in WRITERS.iter().zip(answered) {
        let stands = store.read_ref(&name("main", writer)).unwrap();
        let version = stands.as_ref().map_or(0, |value| value.version);
        let least = answered.map_or(0, |number| number + 1);
        assert!(
            version >= least,
            "{writer}: {least} answered, {version} there"
        );
        if let Some(value) = stands {
            let newest = step(writer, version - 1);
            assert_eq!(value.target, newest.cid);
            assert_eq!(store.get(&newest.cid).unwrap(), newest.bytes);
        }
        let cids: Vec<_> = (0..version)
            .map(|number| step(writer, number).cid)
            .collect();
        assert!(
            store
                .has_many(&cids)
                .unwrap()
                .into_iter()
                .all(|there| there)
        );
    }
    store.head().unwrap().position
}

fn kill_often(kills: u64) {
    let directory = tempfile::tempdir().unwrap();
    let mut answered = [None; 2];
    let mut alive = 0;
    for kill in 0..kills {
        // Children live for between nothing and a quarter of a second: from before the store is made,
        // through recovery, to the middle of commits and checkpoints.
        let life_ms = u64::from(bytes(kill, 1)[0]);
        let now = kill_after(directory.path(), Duration::from_millis(life_ms));
        alive += u64::from(now != [None; 2]);
        for (all, now) in answered.iter_mut().zip(now) {
            *all = now.max(*all);
        }
        check(directory.path(), &answered);
    }
    assert!(
        alive * 3 > kills,
        "only {alive} of {kills} children got to write"
    );
}

/// 25 times, or as often as the environment says.
#[test]
fn nothing_answered_is_lost_to_a_kill() {
    let kills = std::env::var(KILLS).map_or(25, |kills| kills.parse().unwrap());
    kill_often(kills);
}

/// Takes minutes; each round starts a store of its own, so that checking does not outgrow writing.
#[test]
#[ignore = "takes minutes"]
fn nothing_answered_is_lost_to_a_thousand_kills() {
    for _ in 0..40 {
        kill_often(25);
    }
}
