//! Commits and reads of the embedded store, on the disk of the checkout, beside the disk's own price.

use std::fs::{File, OpenOptions as FileOptions};
use std::hint::black_box;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use treering_block::{Block, Cid};
use treering_store::{Commit, Durability, EmbeddedStore, OpenOptions, Store};

/// Blocks of 1,000 bytes that no other call gives.
struct Fresh(u64);

impl Fresh {
    fn block(&mut self) -> Block {
        self.0 += 1;
        let mut bytes = vec![b'x'; 1000];
        bytes[..8].copy_from_slice(&self.0.to_le_bytes());
        Block::raw(bytes)
    }

    fn commit(&mut self, blocks: usize, durability: Durability) -> Commit {
        Commit {
            scope: "main".into(),
            blocks: (0..blocks).map(|_| self.block()).collect(),
            durability,
            ..Commit::default()
        }
    }
}

/// A folder on the checkout's disk: the system's own temporary folder may be memory.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("the checkout can be written")
}

fn open(path: &Path) -> EmbeddedStore {
    EmbeddedStore::open(path, &OpenOptions::default()).expect("a new store opens")
}

fn commits(bench: &mut Criterion) {
    let folder = folder();
    let store = open(&folder.path().join("state"));
    let mut fresh = Fresh(0);
    let mut group = bench.benchmark_group("commit");
    for (name, durability) in [
        ("durable", Durability::Durable),
        ("relaxed", Durability::Relaxed),
    ] {
        group.bench_function(format!("{name}, 2 blocks"), |bench| {
            bench.iter_batched(
                || fresh.commit(2, durability),
                |commit| store.submit(commit).wait().expect("committed"),
                BatchSize::PerIteration,
            );
        });
    }
    group.throughput(Throughput::Elements(1000));
    group.sample_size(20);
    group.bench_function("relaxed, 1,000 blocks", |bench| {
        bench.iter_batched(
            || fresh.commit(1000, Durability::Relaxed),
            |commit| store.submit(commit).wait().expect("committed"),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// What the disk takes for 32 KiB, about what a commit of two blocks writes to the log.
fn floor(bench: &mut Criterion) {
    let folder = folder();
    let path = folder.path().join("floor");
    let mut file: File = FileOptions::new()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(path)
        .expect("a new file");
    file.write_all(&vec![0; 4 << 20]).expect("room");
    file.sync_all().expect("synced");
    let data = vec![5; 32 << 10];
    bench.bench_function("floor: write and fdatasync of 32 KiB", |bench| {
        bench.iter(|| {
            file.seek(SeekFrom::Start(0)).expect("seek");
            file.write_all(black_box(&data)).expect("write");
            file.sync_data().expect("sync");
        });
    });
}

fn reads(bench: &mut Criterion) {
    let folder = folder();
    let store = open(&folder.path().join("state"));
    let mut fresh = Fresh(0);
    let mut cids: Vec<Cid> = Vec::new();
    for _ in 0..10 {
        let commit = fresh.commit(1000, Durability::Relaxed);
        cids.extend(commit.blocks.iter().map(|block| block.cid));
        store.submit(commit).wait().expect("committed");
    }
    let mut next = cids.iter().cycle();
    bench.bench_function(
        "get of 1,000 bytes out of 10,000 blocks, hash checked",
        |bench| {
            bench.iter(|| {
                store
                    .get(next.next().expect("a cycle has no end"))
                    .expect("present")
            });
        },
    );
}

criterion_group!(benches, commits, floor, reads);
criterion_main!(benches);
