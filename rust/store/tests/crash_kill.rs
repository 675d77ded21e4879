//! Processes that are killed: in a child two threads write, two read and one collects garbage; it reports what
//! was answered, and ends at any moment. Every other time the parent reads and collects beside it, so that a
//! killed process leaves its locks and half-done work to one that lives.
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
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crash::life::{bytes, moved, node};
use crash::{name, options};
use treering_block::Block;
use treering_store::{
    Commit, Disk, Durability, EmbeddedStore, Expect, GcOptions, OpenOptions, Store, reachable,
};

const DIRECTORY: &str = "TREERING_TEST_KILLED";
const KILLS: &str = "TREERING_TEST_KILLS";
const WRITERS: [&str; 2] = ["a", "b"];
/// Before what the child reports, to tell it from what the test harness prints.
const ANSWERED: &str = "answered ";
const FAULT: &str = "fault ";
const DELETED: &str = "deleted ";
const REAL: GcOptions = GcOptions { dry_run: false };

/// A step of a writer: a node over the one before, and content, some of it in a file of its own.
struct Step {
    content: Block,
    node: Block,
}

/// What a writer has written, writes and will write: the same in every process.
struct Chain {
    writer: &'static str,
    steps: Vec<Step>,
}

impl Chain {
    fn new(writer: &'static str) -> Self {
        let steps = Vec::new();
        Self { writer, steps }
    }

    fn step(&mut self, number: u64) -> &Step {
        let number = usize::try_from(number).unwrap();
        while self.steps.len() <= number {
            let at = self.steps.len();
            let length = if at % 9 == 4 { 262_144 } else { 900 };
            let text = format!("{} {at} ", self.writer);
            let content =
                Block::raw([text.clone().into_bytes(), bytes(at as u64, length)].concat());
            let mut links = vec![content.cid];
            links.extend(self.steps.last().map(|before| before.node.cid));
            let node = node(&text, &links);
            self.steps.push(Step { content, node });
        }
        &self.steps[number]
    }
}

/// Bytes that nothing links to and nobody holds: garbage as soon as they are there.
fn stray(writer: &str, number: u64) -> Block {
    Block::raw(format!("stray {writer} {number}").into_bytes())
}

fn open(directory: &Path) -> EmbeddedStore {
    EmbeddedStore::open(directory, &options(Disk::system())).unwrap()
}

/// As the child does it: its writers commit on their own threads, or the store's does.
fn open_to_write(directory: &Path) -> EmbeddedStore {
    let options = OpenOptions {
        callers_wait: std::process::id().is_multiple_of(2),
        ..options(Disk::system())
    };
    EmbeddedStore::open(directory, &options).unwrap()
}

/// One write, so that a kill cuts no line in two that another thread goes on with.
fn say(line: &str) {
    let line = format!("{line}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// What the child does; nothing when run as a test.
#[test]
fn killed_child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let store = open_to_write(Path::new(&directory));
    let alive = AtomicBool::new(true);
    std::thread::scope(|scope| {
        for writer in WRITERS {
            let (store, alive) = (&store, &alive);
            scope.spawn(move || write_until_killed(store, writer));
            scope.spawn(move || read_while(store, writer, alive, |fault| say(&fault)));
        }
        let (store, alive) = (&store, &alive);
        scope.spawn(move || collect_while(store, alive, |line| say(&line)));
    });
}

fn write_until_killed(store: &EmbeddedStore, writer: &'static str) {
    let name = name("main", writer);
    let mut chain = Chain::new(writer);
    let stands = store.read_ref(&name).unwrap();
    for number in stands.map_or(0, |value| value.version).. {
        let expect = if number == 0 {
            Expect::Absent
        } else {
            Expect::Version(number)
        };
        let Step { content, node } = chain.step(number);
        let commit = Commit {
            scope: "main".into(),
            moves: vec![moved(&name, expect, node.cid)],
            blocks: vec![content.clone(), stray(writer, number), node.clone()],
            durability: if number.is_multiple_of(3) {
                Durability::Relaxed
            } else {
                Durability::Durable
            },
            ..Commit::default()
        };
        if let Err(error) = store.submit(commit).wait() {
            return say(&format!("{FAULT}write {writer} {number}: {error}"));
        }
        say(&format!("{ANSWERED}{writer} {number}"));
    }
}

/// Reads the newest step and an old one, again and again: whatever a ref points at is whole.
fn read_while(
    store: &EmbeddedStore,
    writer: &'static str,
    alive: &AtomicBool,
    report: impl Fn(String),
) {
    let name = name("main", writer);
    let mut chain = Chain::new(writer);
    let mut turn = 0_u64;
    while alive.load(Ordering::Relaxed) {
        turn += 1;
        let read = store.read_ref(&name).and_then(|stands| {
            let Some(stands) = stands else { return Ok(()) };
            let newest = stands.version - 1;
            if chain.step(newest).node.cid != stands.target {
                report(format!("{FAULT}ref {writer} at {newest} points elsewhere"));
            }
            for number in [newest, turn % stands.version] {
                let Step { content, node } = chain.step(number);
                for block in [content, node] {
                    if store.get(&block.cid)? != block.bytes {
                        report(format!("{FAULT}{writer} {number} has other bytes"));
                    }
                }
            }
            Ok(())
        });
        if let Err(error) = read {
            report(format!("{FAULT}read {writer}: {error}"));
        }
    }
}

fn collect_while(store: &EmbeddedStore, alive: &AtomicBool, report: impl Fn(String)) {
    while alive.load(Ordering::Relaxed) {
        match store.gc(&REAL) {
            Ok(done) if done.deleted > 0 => report(format!("{DELETED}{}", done.deleted)),
            Ok(_) => std::thread::yield_now(),
            Err(error) => report(format!("{FAULT}gc: {error}")),
        }
    }
}

/// What children and the parent beside them have reported.
#[derive(Debug, Default)]
struct Reported {
    /// The newest step of each writer.
    answered: [Option<u64>; 2],
    faults: Vec<String>,
    /// Garbage of which it was said that it was deleted.
    deleted: u64,
}

impl Reported {
    fn note(&mut self, line: &str) {
        if let Some((_, report)) = line.split_once(ANSWERED) {
            // The last line may be cut short by the kill: a number cut short is one that was answered
            // before, so it only weakens the check.
            if let Some((writer, number)) = report.split_once(' ')
                && let Some(at) = WRITERS.iter().position(|known| *known == writer)
                && let Ok(number) = number.parse::<u64>()
            {
                self.answered[at] = self.answered[at].max(Some(number));
            }
        } else if let Some((_, count)) = line.split_once(DELETED) {
            self.deleted += count.parse().unwrap_or(0);
        } else if line.contains(FAULT) {
            self.faults.push(line.to_owned());
        }
    }
}

/// When a child is killed, and what happens meanwhile.
struct Life {
    /// Counted from its first answer, or from its start.
    length: Duration,
    from_start: bool,
    /// This process reads and collects beside it.
    beside: bool,
}

/// How long a child may take to its first answer, on however busy a machine.
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(120);

/// Starts a child, kills it, and notes what it had reported. True: it got to write.
fn kill_after(directory: &Path, life: &Life, reported: &mut Reported) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed_child", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let before = reported.answered;
    let alive = AtomicBool::new(true);
    let (send, said) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let of_child = send.clone();
        scope.spawn(move || {
            for line in lines.map_while(Result::ok) {
                of_child.send(line).unwrap();
            }
        });
        if life.beside {
            let alive = &alive;
            scope.spawn(move || {
                let store = open(directory);
                std::thread::scope(|scope| {
                    let (store, said) = (&store, send.clone());
                    scope.spawn(move || {
                        read_while(store, WRITERS[0], alive, |fault| said.send(fault).unwrap());
                    });
                    collect_while(store, alive, |line| send.send(line).unwrap());
                });
            });
        } else {
            drop(send);
        }
        while !life.from_start && reported.answered == before && reported.faults.is_empty() {
            reported.note(&said.recv_timeout(FIRST_ANSWER_MAX).unwrap());
        }
        std::thread::sleep(life.length);
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert_eq!(signal_of(status), Some(9), "it ended by itself: {status}");
        alive.store(false, Ordering::Relaxed);
        for line in said {
            reported.note(&line);
        }
    });
    reported.answered != before
}

#[cfg(unix)]
fn signal_of(status: std::process::ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal_of(_status: std::process::ExitStatus) -> Option<i32> {
    Some(9)
}

/// Everything that was answered is there, and nothing is broken.
fn check(directory: &Path, chains: &mut [Chain; 2], answered: &[Option<u64>; 2]) {
    let store = open(directory);
    let report = store.verify(None).unwrap();
    assert_eq!(report.findings, []);
    for (chain, answered) in chains.iter_mut().zip(answered) {
        let stands = store.read_ref(&name("main", chain.writer)).unwrap();
        let version = stands.as_ref().map_or(0, |value| value.version);
        let least = answered.map_or(0, |number| number + 1);
        assert!(
            version >= least,
            "{}: {least} answered, {version} there",
            chain.writer
        );
        let Some(value) = stands else { continue };
        assert_eq!(value.target, chain.step(version - 1).node.cid);
        let length = usize::try_from(version).unwrap();
        let cids: Vec<_> = chain.steps[..length]
            .iter()
            .flat_map(|step| [step.content.cid, step.node.cid])
            .collect();
        let there = store.has_many(&cids).unwrap();
        assert_eq!(there.iter().filter(|there| !**there).count(), 0);
    }
}

fn kill_often(kills: u64, seed: u64) {
    let directory = tempfile::tempdir().unwrap();
    let mut reported = Reported::default();
    let mut chains = WRITERS.map(Chain::new);
    let mut wrote = 0;
    for kill in 0..kills {
        // Children live for up to a quarter of a second: from before the store is made, through recovery,
        // to the middle of commits, collections and checkpoints.
        let life = Life {
            length: Duration::from_millis(u64::from(bytes(seed + kill, 1)[0])),
            from_start: kill.is_multiple_of(3),
            beside: kill % 2 == 1,
        };
        wrote += u64::from(kill_after(directory.path(), &life, &mut reported));
        assert_eq!(reported.faults, Vec::<String>::new());
        check(directory.path(), &mut chains, &reported.answered);
    }
    assert!(
        wrote * 2 > kills,
        "only {wrote} of {kills} children got to write"
    );
    assert!(reported.deleted > 0, "nothing was ever collected");
    // Whatever the dead left half-done: one collection, and only what is reached is left.
    let store = open(directory.path());
    store.gc(&REAL).unwrap();
    let heads: Vec<_> = WRITERS
        .iter()
        .filter_map(|writer| store.read_ref(&name("main", writer)).unwrap())
        .map(|value| value.target)
        .collect();
    let reached = reachable(&store, &heads).unwrap();
    assert_eq!(reached.missing, []);
    assert_eq!(
        store.stats().unwrap().blocks,
        reached.blocks.len() as u64,
        "all that is reached, and nothing else, is left"
    );
    assert_eq!(store.verify(None).unwrap().findings, []);
}

/// 25 times, or as often as the environment says.
#[test]
fn nothing_answered_is_lost_to_a_kill() {
    let kills = std::env::var(KILLS).map_or(25, |kills| kills.parse().unwrap());
    kill_often(kills, 0);
}

/// Takes minutes; each round starts a store of its own, so that checking does not outgrow writing.
#[test]
#[ignore = "takes minutes"]
fn nothing_answered_is_lost_to_a_thousand_kills() {
    for round in 0..40 {
        kill_often(25, 1000 + round * 25);
    }
}
