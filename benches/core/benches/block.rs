//! Hashing, encoding and checking of blocks, without a store.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use treering_block::{Block, Cid, Encoded, Ipld, check_node};

/// A map of about `bytes` bytes, like a step's meta.
fn value(bytes: usize) -> Ipld {
    let mut map = BTreeMap::new();
    for number in 0..bytes / 64 {
        map.insert(
            format!("field-{number:06}"),
            Ipld::String("a sentence of forty-two characters here".into()),
        );
    }
    map.insert("step".into(), Ipld::Integer(12));
    map.insert("content".into(), Ipld::Link(Cid::of_raw(b"content").into()));
    Ipld::Map(map)
}

fn hash(bench: &mut Criterion) {
    let mut group = bench.benchmark_group("hash");
    for size in [256, 1024, 16 * 1024] {
        let bytes = vec![7; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::from_parameter(size), &bytes, |bench, bytes| {
            bench.iter(|| Cid::of_raw(black_box(bytes)));
        });
    }
}

fn codec(bench: &mut Criterion) {
    let mut group = bench.benchmark_group("codec");
    for size in [256, 1024, 16 * 1024] {
        let value = value(size);
        let encoded = Encoded::from_ipld(&value).expect("a value of the data model");
        let bytes = encoded.bytes().to_vec();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new("encode", size), |bench| {
            bench.iter(|| Encoded::from_ipld(black_box(&value)));
        });
        group.bench_function(BenchmarkId::new("check", size), |bench| {
            bench.iter(|| check_node(black_box(&bytes)))
        });
        group.bench_function(BenchmarkId::new("decode", size), |bench| {
            bench.iter(|| black_box(&encoded).to_ipld())
        });
        group.bench_function(BenchmarkId::new("block", size), |bench| {
            bench.iter(|| Block::node(black_box(bytes.as_slice())));
        });
    }
}

criterion_group!(benches, hash, codec);
criterion_main!(benches);
