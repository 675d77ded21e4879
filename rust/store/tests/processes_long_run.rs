//! Four processes write, one reads and one collects garbage without a pause: nothing is lost, nothing
//! fails, and what is not reached does not pile up.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;
mod processes;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use embedded::{bytes, commit, node, open, set};
use processes::{Other, name, report, setting, told};
use rusqlite::Connection;
use treering_block::{Block, Cid};
use treering_store::{
    Change, Commit, Durability, EmbeddedStore, Expect, GcOptions, OpenOptions, RefMove, Store,
    StoreError, reachable,
};

const WRITERS: u64 = 4;
const WRITER: &str = "TREERING_TEST_WRITER";
const RUN_MS: &str = "TREERING_TEST_RUN_MS";
/// How long the test runs, where 15 s are not it: ten minutes in `make test-long`.
const SECONDS: &str = "TREERING_TEST_SECONDS";
const REAL: GcOptions = GcOptions { dry_run: false };

/// What the other process does; nothing when run as a test.
#[test]
fn other_process() {
    let Some((role, directory)) = processes::role() else {
        return;
    };
    match role.as_str() {
        "write" => Writer::new(open(&directory), setting(WRITER)).run(),
        "read" => read(&directory),
        "collect" => collect(&directory),
        other => panic!("no role {other}"),
    }
}

/// A thread of a writer.
struct Line {
    part: String,
    version: u64,
    head: Cid,
    steps: u64,
}

struct Writer {
    store: EmbeddedStore,
    own: u64,
    /// What the next thing depends on; grows with each.
    dice: u64,
    made: u64,
    lines: Vec<Line>,
    /// Blocks that were put and are not linked yet.
    held: Vec<Block>,
    /// Contents of threads that were removed.
    gone: Vec<Block>,
}

impl Writer {
    fn new(store: EmbeddedStore, own: u64) -> Self {
        Self {
            store,
            own,
            dice: 0,
            made: 0,
            lines: Vec::new(),
            held: Vec::new(),
            gone: Vec::new(),
        }
    }

    fn run(mut self) {
        report("ready");
        told();
        let end = Instant::now() + Duration::from_millis(setting(RUN_MS));
        let mut done = 0;
        while Instant::now() < end {
            self.act();
            done += 1;
        }
        for line in &self.lines {
            report(&format!("ref {} {} {}", line.part, line.version, line.head));
        }
        for block in &self.held {
            report(&format!("held {}", block.cid));
        }
        report(&format!("done {done}"));
    }

    /// A number below `limit`.
    fn throw(&mut self, limit: u64) -> u64 {
        self.dice += 1;
        let random = bytes(self.own << 40 | self.dice, 8);
        u64::from_le_bytes(random.try_into().unwrap()) % limit
    }

    fn content(&mut self) -> Block {
        let length = match self.throw(50) {
            0 => 300_000,
            _ => 300 + self.throw(1500),
        };
        self.made += 1;
        let seed = self.own << 40 | 1 << 39 | self.made;
        Block::raw(bytes(seed, usize::try_from(length).unwrap()))
    }

    fn submit(&mut self, mut commit: Commit) {
        if self.throw(4) != 0 {
            commit.durability = Durability::Relaxed;
        }
        self.store.submit(commit).wait().unwrap();
    }

    fn act(&mut self) {
        let count = self.lines.len() as u64;
        match self.throw(100) {
            _ if count < 4 => self.start(None),
            0..10 => {
                let at = self.pick();
                self.start(Some(at));
            }
            10..22 if count > 6 => self.remove(),
            22..30 if self.held.len() < 5 => {
                let block = self.content();
                self.submit(embedded::put(vec![block.clone()]));
                self.held.push(block);
            }
            // What others may be deleting just now is linked anew.
            30..40 if !self.gone.is_empty() => {
                let at = usize::try_from(self.throw(self.gone.len() as u64)).unwrap();
                let block = self.gone.swap_remove(at);
                self.append(vec![block.clone()], &[block.cid]);
            }
            40..48 if !self.held.is_empty() => {
                let block = self.held.swap_remove(0);
                self.append(vec![], &[block.cid]);
                assert!(self.store.release_hold("main", &block.cid).unwrap());
            }
            _ => {
                let block = self.content();
                self.append(vec![block.clone()], &[block.cid]);
            }
        }
    }

    fn pick(&mut self) -> usize {
        usize::try_from(self.throw(self.lines.len() as u64)).unwrap()
    }

    /// A new thread, or a fork: a ref and no block.
    fn start(&mut self, fork_of: Option<usize>) {
        self.made += 1;
        let part = format!("{}-{}", self.own, self.made);
        let (blocks, head, steps) = match fork_of.map(|at| &self.lines[at]) {
            Some(line) => (vec![], line.head, line.steps),
            None => {
                let block = node(&format!("start of {part}"), &[]);
                (vec![block.clone()], block.cid, 0)
            }
        };
        self.submit(Commit {
            blocks,
            moves: vec![set(&name(&part), Expect::Absent, head)],
            ..commit()
        });
        self.lines.push(Line {
            part,
            version: 1,
            head,
            steps,
        });
    }

    fn append(&mut self, mut blocks: Vec<Block>, links: &[Cid]) {
        let at = self.pick();
        self.made += 1;
        let line = &mut self.lines[at];
        let step = node(
            &format!("step {} of {}", self.made, self.own),
            &[&[line.head], links].concat(),
        );
        line.head = step.cid;
        line.version += 1;
        line.steps += 1;
        let expect = Expect::Version(line.version - 1);
        let moves = vec![set(&name(&line.part), expect, step.cid)];
        let full = line.steps > 60;
        blocks.push(step);
        self.submit(Commit {
            blocks,
            moves,
            ..commit()
        });
        if full {
            self.remove_at(at);
        }
    }

    fn remove(&mut self) {
        let at = self.pick();
        self.remove_at(at);
    }

    fn remove_at(&mut self, at: usize) {
        let line = self.lines.swap_remove(at);
        self.submit(Commit {
            moves: vec![RefMove {
                name: name(&line.part),
                expect: Expect::Version(line.version),
                change: Change::Delete,
            }],
            ..commit()
        });
        // Some of what it alone led to comes back later.
        if self.gone.len() < 20 {
            let leaf = self.content();
            self.submit(Commit {
                blocks: vec![leaf.clone()],
                ..commit()
            });
            self.gone.push(leaf);
        }
    }
}

/// Reads every ref's graph again and again: what a ref leads to is there as long as the ref says so.
fn read(directory: &Path) {
    let options = OpenOptions {
        read_only: true,
        ..OpenOptions::default()
    };
    let store = EmbeddedStore::open(directory, &options).unwrap();
    report("ready");
    told();
    let end = Instant::now() + Duration::from_millis(setting(RUN_MS));
    let (mut graphs, mut blocks, mut verified) = (0u64, 0usize, 0u64);
    while Instant::now() < end {
        for (name, value) in store.list_refs("main", "thread", None, usize::MAX).unwrap() {
            let value = value.unwrap();
            match reachable(&store, &[value.target]) {
                Ok(found) if found.missing.is_empty() => {
                    graphs += 1;
                    blocks += found.blocks.len();
                    // Reading hashes.
                    let last = found.blocks.last().unwrap();
                    match store.get(last) {
                        Ok(_) => {}
                        Err(StoreError::BlockNotFound(_)) => assert_moved(&store, &name, &value),
                        Err(error) => panic!("{error}"),
                    }
                }
                // It was removed and collected under us.
                Ok(_) | Err(StoreError::BlockNotFound(_)) => assert_moved(&store, &name, &value),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(store.verify(None).unwrap().findings, []);
        verified += 1;
    }
    report(&format!("done {graphs} {blocks} {verified}"));
}

fn assert_moved(
    store: &EmbeddedStore,
    name: &treering_store::RefName,
    value: &treering_store::RefValue,
) {
    let now = store.read_ref(name).unwrap();
    assert_ne!(
        now.as_ref(),
        Some(value),
        "{name} leads to what is not there"
    );
}

fn collect(directory: &Path) {
    let store = open(directory);
    report("ready");
    told();
    let end = Instant::now() + Duration::from_millis(setting(RUN_MS));
    let (mut rounds, mut dead, mut freed) = (0u64, 0u64, 0u64);
    let mut round = || {
        let found = store.gc(&REAL).unwrap();
        rounds += 1;
        dead += found.dead;
        freed += found.freed_bytes;
    };
    while Instant::now() < end {
        round();
    }
    report("stopped");
    told();
    // The round after the writers' end.
    round();
    report(&format!("done {rounds} {dead} {freed}"));
}

fn numbers(line: &str) -> Vec<u64> {
    let words = line.split(' ').skip(1);
    words.map(|word| word.parse().unwrap()).collect()
}

fn run(seconds: u64) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let start = |role: &str, writer: u64| {
        let run_ms = (seconds * 1000).to_string();
        let settings = [(WRITER, writer.to_string()), (RUN_MS, run_ms)];
        let mut other = Other::start_with(role, directory.path(), &settings);
        assert_eq!(other.heard(), "ready");
        other
    };
    let mut writers: Vec<Other> = (1..=WRITERS).map(|writer| start("write", writer)).collect();
    let (mut reader, mut collector) = (start("read", 0), start("collect", 0));
    for other in writers.iter_mut().chain([&mut reader, &mut collector]) {
        other.tell("go");
    }

    let (mut expected, mut held, mut acts) = (BTreeMap::new(), Vec::new(), 0);
    for mut writer in writers {
        loop {
            let line = writer.heard();
            let words: Vec<&str> = line.split(' ').collect();
            match words[0] {
                "ref" => {
                    let stands: (u64, Cid) = (words[2].parse().unwrap(), words[3].parse().unwrap());
                    expected.insert(name(words[1]), stands);
                }
                "held" => held.push(words[1].parse::<Cid>().unwrap()),
                _ => break acts += numbers(&line)[0],
            }
        }
        writer.join();
    }
    let read = numbers(&reader.heard());
    reader.join();
    assert_eq!(collector.heard(), "stopped");
    let before = store.stats().unwrap();
    collector.tell("once more");
    let collected = numbers(&collector.heard());
    collector.join();

    // Nothing is lost.
    let refs = store.list_refs("main", "thread", None, usize::MAX).unwrap();
    let found: BTreeMap<_, _> = refs
        .into_iter()
        .map(|(name, value)| (name, value.unwrap()))
        .map(|(name, value)| (name, (value.version, value.target)))
        .collect();
    assert_eq!(found, expected);
    let roots: Vec<Cid> = found.values().map(|(_, cid)| *cid).chain(held).collect();
    let reached = reachable(&store, &roots).unwrap();
    assert_eq!(reached.missing, []);
    assert_eq!(store.verify(None).unwrap().findings, []);
    // Nothing is left over.
    let sizes: BTreeMap<Cid, u64> = store
        .blocks(0, usize::MAX)
        .unwrap()
        .into_iter()
        .map(|info| (info.cid, info.size))
        .collect();
    let reached_bytes: u64 = reached.blocks.iter().map(|cid| sizes[cid]).sum();
    let stats = store.stats().unwrap();
    assert_eq!(stats.blocks, reached.blocks.len() as u64);
    assert_eq!(store.gc(&GcOptions { dry_run: true }).unwrap().dead, 0);
    assert!(store.close().is_ok());

    let rows = Rows::of(&directory.path().join("store.db"));
    let hot = rows.bytes(&["block", "graph", "block_key8", "dead"]);
    let kept = hot + stats.blob_bytes;
    println!(
        "{seconds} s: {acts} acts of {WRITERS} writers; {} graphs of {} blocks read, {} times verified; {} \
         collections, {} blocks and {} KiB freed",
        read[0],
        read[1],
        read[2],
        collected[0],
        collected[1],
        collected[2] >> 10
    );
    println!(
        "reachable: {} blocks, {} KiB; kept for them: {} KiB of hot rows and {} KiB of files, {:.2} times; when \
         the writers ended {:.2} times; apart: journal {} KiB, receipts {} KiB, log {} KiB, free pages {} KiB",
        reached.blocks.len(),
        reached_bytes >> 10,
        hot >> 10,
        stats.blob_bytes >> 10,
        kept as f64 / reached_bytes as f64,
        before.block_bytes as f64 / reached_bytes as f64,
        rows.bytes(&["journal"]) >> 10,
        rows.bytes(&["receipt"]) >> 10,
        before.wal_bytes >> 10,
        rows.free_bytes >> 10,
    );
    assert!(acts > 200 && read[0] > 10 && collected[0] > 5 && collected[1] > 100);
    assert!(kept as f64 <= 1.5 * reached_bytes as f64, "{kept}");
}

/// What the database's tables take.
struct Rows {
    by_table: BTreeMap<String, u64>,
    free_bytes: u64,
}

impl Rows {
    fn of(database: &Path) -> Self {
        let conn = Connection::open(database).unwrap();
        let mut rows = conn
            .prepare("SELECT name, sum(payload) FROM dbstat GROUP BY name")
            .unwrap();
        let by_table = rows
            .query_map([], |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
            })
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let pages = |pragma: &str| -> i64 {
            conn.pragma_query_value(None, pragma, |row| row.get(0))
                .unwrap()
        };
        let free_bytes = (pages("freelist_count") * pages("page_size")).cast_unsigned();
        Self {
            by_table,
            free_bytes,
        }
    }

    fn bytes(&self, tables: &[&str]) -> u64 {
        tables
            .iter()
            .map(|table| self.by_table.get(*table).copied().unwrap_or(0))
            .sum()
    }
}

#[test]
fn writers_a_reader_and_a_collector() {
    run(std::env::var(SECONDS).map_or(15, |seconds| seconds.parse().unwrap()));
}

/// What another process collects is exactly what nothing reaches, to the byte.
#[test]
fn another_process_frees_what_was_left_exactly() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let shared = node("shared", &[]);
    let line = |seed: u64| {
        let (small, large) = (
            Block::raw(bytes(seed, 1000)),
            Block::raw(bytes(seed + 1, 262_144)),
        );
        let head = node(&format!("head {seed}"), &[shared.cid, small.cid, large.cid]);
        vec![small, large, head]
    };
    let (kept, removed) = (line(1), line(11));
    for (part, blocks) in [("kept", &kept), ("removed", &removed)] {
        let head = blocks.last().unwrap().cid;
        let commit = Commit {
            blocks: [std::slice::from_ref(&shared), blocks].concat(),
            moves: vec![set(&name(part), Expect::Absent, head)],
            ..commit()
        };
        store.submit(commit).wait().unwrap();
    }
    let unlinked = Block::raw(bytes(21, 500));
    store
        .submit(embedded::put(vec![unlinked.clone()]))
        .wait()
        .unwrap();
    let removal = Commit {
        moves: vec![RefMove {
            name: name("removed"),
            expect: Expect::Version(1),
            change: Change::Delete,
        }],
        ..commit()
    };
    store.submit(removal).wait().unwrap();
    let before = store.stats().unwrap();
    let expected: u64 = removed.iter().map(|block| block.bytes.len() as u64).sum();

    let mut other = Other::start_with("collect", directory.path(), &[(RUN_MS, "0".to_owned())]);
    assert_eq!(other.heard(), "ready");
    other.tell("go");
    assert_eq!(other.heard(), "stopped");
    other.tell("now");
    assert_eq!(other.heard(), format!("done 1 3 {expected}"));
    other.join();

    let after = store.stats().unwrap();
    assert_eq!(
        (
            before.blocks - after.blocks,
            before.block_bytes - after.block_bytes
        ),
        (3, expected)
    );
    assert_eq!((before.blob_files, after.blob_files), (2, 1));
    for block in kept.iter().chain([&shared, &unlinked]) {
        assert_eq!(store.get(&block.cid).unwrap(), block.bytes);
    }
    for block in &removed {
        assert!(!store.has(&block.cid).unwrap());
    }
    assert_eq!(store.verify(None).unwrap().findings, []);
}
