//! What a commit and a read cost, beside the floor of the same machine. Run by hand:
//! `cargo test --release -p treering-store --test embedded_speed -- --ignored --nocapture`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use embedded::{bytes, command, commit, name, node, open, relaxed, set};
use treering_block::{Block, Cid};
use treering_store::{Commit, EmbeddedStore, Expect, Store};

/// Where to measure: `TREERING_BENCH_DIR`, or the platform's temporary folder.
fn place() -> tempfile::TempDir {
    let root =
        std::env::var_os("TREERING_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    tempfile::tempdir_in(root).unwrap()
}

/// CPU time of this process, all threads: says on a busy machine what wall time hides.
fn cpu() -> Duration {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the clock exists and `now` is writable.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut now) };
    Duration::new(
        now.tv_sec.cast_unsigned(),
        u32::try_from(now.tv_nsec).unwrap(),
    )
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// As an append does: three blocks of about 1 KB, one ref move, one receipt.
fn append(round: u64, parent: Option<Cid>) -> (Commit, Cid) {
    let content = Block::raw(bytes(round * 3, 1000));
    let artifact = Block::raw(bytes(round * 3 + 1, 1000));
    let mut links = vec![content.cid, artifact.cid];
    links.extend(parent);
    let text = "x".repeat(900);
    let step = node(&format!("{round} {text}"), &links);
    let head = step.cid;
    let expect = if round == 0 {
        Expect::Absent
    } else {
        Expect::Version(round)
    };
    let append = Commit {
        blocks: vec![content, artifact, step],
        moves: vec![set(&name("t"), expect, head)],
        command: command(&format!("append {round}"), 1),
        ..commit()
    };
    (append, head)
}

#[test]
#[ignore = "a measurement"]
fn durable_append_over_its_fsync() {
    let directory = place();
    let store = open(directory.path());
    let mut times = Vec::new();
    let mut head = None;
    let rounds = 2000;
    let before = store.counters();
    for round in 0..rounds {
        let (append, next) = append(round, head);
        head = Some(next);
        let started = Instant::now();
        store.submit(append).wait().unwrap();
        times.push(started.elapsed());
    }
    let after = store.counters();
    let log_bytes = (after.wal_bytes_written - before.wal_bytes_written) / rounds;
    // The floor: the same bytes, appended to a file that wraps as the log does.
    let file = File::create(directory.path().join("floor")).unwrap();
    let block = vec![7u8; usize::try_from(log_bytes).unwrap()];
    let mut floor = Vec::new();
    for round in 0..rounds {
        let started = Instant::now();
        file.write_all_at(&block, (round * log_bytes) % (32 << 20))
            .unwrap();
        file.sync_data().unwrap();
        floor.push(started.elapsed());
    }
    let mut relaxed_times = Vec::new();
    let cpu_before = cpu();
    for round in rounds..2 * rounds {
        let (append, next) = append(round, head);
        head = Some(next);
        let started = Instant::now();
        store.submit(relaxed(append)).wait().unwrap();
        relaxed_times.push(started.elapsed());
    }
    println!(
        "relaxed append: {:?} CPU",
        (cpu() - cpu_before) / u32::try_from(rounds).unwrap()
    );
    let (durable, floor) = (median(times), median(floor));
    println!(
        "durable append {durable:?}, pwrite + fdatasync of its {log_bytes} log bytes {floor:?}, over it {:?}; relaxed {:?}; {after:?}",
        durable.saturating_sub(floor),
        median(relaxed_times)
    );
}

#[test]
#[ignore = "a measurement"]
fn relaxed_batches_and_reads_in_a_large_store() {
    let blocks: u64 =
        std::env::var("TREERING_BENCH_BLOCKS").map_or(2_000_000, |text| text.parse().unwrap());
    let directory = place();
    let store = open(directory.path());
    let started = Instant::now();
    let mut window = Instant::now();
    let batch = 1000;
    let mut making = Duration::ZERO;
    let mut making_cpu = Duration::ZERO;
    let mut cpu_window = cpu();
    for first in (0..blocks).step_by(batch) {
        let made = Instant::now();
        let made_cpu = cpu();
        let blocks = (first..first + batch as u64)
            .map(|seed| Block::raw(bytes(seed, 1000)))
            .collect();
        making += made.elapsed();
        making_cpu += cpu() - made_cpu;
        store
            .submit(relaxed(Commit { blocks, ..commit() }))
            .wait()
            .unwrap();
        if (first + batch as u64).is_multiple_of(200_000) {
            let taken = (window.elapsed() - making).as_secs_f64();
            let cpu_each = (cpu() - cpu_window - making_cpu) / 200_000;
            println!(
                "at {:>8} blocks: {:>7.0} blocks/s, {cpu_each:?} CPU each",
                first + batch as u64,
                200_000.0 / taken
            );
            (cpu_window, making_cpu) = (cpu(), Duration::ZERO);
            window = Instant::now();
            making = Duration::ZERO;
        }
    }
    println!(
        "{blocks} blocks in {:?}; {:?}",
        started.elapsed(),
        store.counters()
    );
    println!("{:?}", store.stats().unwrap());
    read(&store, blocks, "anywhere");
    read(&store, 5_000, "in 5,000 blocks");
}

fn read(store: &EmbeddedStore, among: u64, where_: &str) {
    let cids: Vec<Cid> = (0..20_000u64)
        .map(|turn| Cid::of_raw(&bytes(turn * 7919 % among, 1000)))
        .collect();
    for _ in 0..2 {
        let mut times = Vec::new();
        let cpu_before = cpu();
        for cid in &cids {
            let started = Instant::now();
            store.get(cid).unwrap();
            times.push(started.elapsed());
        }
        println!(
            "get {where_}: median {:?}, {:?} CPU",
            median(times),
            (cpu() - cpu_before) / 20_000
        );
    }
    let bytes = bytes(1, 1000);
    let started = Instant::now();
    for _ in 0..20_000 {
        std::hint::black_box(Cid::of_raw(std::hint::black_box(&bytes)));
    }
    println!(
        "  of which hashing 1,000 bytes: {:?}",
        started.elapsed() / 20_000
    );
}
