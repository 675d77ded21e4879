//! A thread of a million steps and the collection of its two million blocks: times, reads, memory, and how
//! long a piece of it keeps the write lock.
//!
//! `cargo bench --package treering-bench --bench gc -- 1000000` (steps; that is the default) prints the rows
//! of docs/performance.md. Page cache warm: the store has just been written.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use treering_store::gc::Phase;
use treering_store::{Collection, Durability, EmbeddedStore, GcOptions, OpenOptions, Store};
use treering_thread::{ForkArgs, ForkAt, StartArgs, StepArgs, Thread, Threads, common_ancestor};

const STEPS: usize = 1_000_000;
/// Steps of one commit.
const CHUNK: usize = 5_000;

fn main() {
    let steps = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(STEPS);
    // On the checkout's disk: the system's own temporary folder may be memory.
    let folder =
        tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("the checkout can be written");
    let path = folder.path().join("state");
    let (id, built) = build(&path, steps);
    println!(
        "| a thread of {steps} steps, relaxed, {CHUNK} a commit | {:.1} s |",
        built.as_secs_f64()
    );
    let store = open(&path);
    let thread = threads(&store).get(&id).expect("it is there");
    long_thread(&store, &thread, steps as u64);
    for turn in ["first", "warm"] {
        dry_run(&store, turn);
    }
    let fork = thread
        .fork(ForkAt::Step(steps as u64 / 2), ForkArgs::default())
        .and_then(|fork| fork.wait())
        .expect("forked");
    thread
        .rm(false, None)
        .and_then(|rm| rm.wait())
        .expect("removed");
    real(&store);
    measure_stats(&store);
    assert_eq!(fork.steps().count(), steps / 2, "the fork is whole");
}

fn open(path: &Path) -> Arc<EmbeddedStore> {
    Arc::new(EmbeddedStore::open(path, &OpenOptions::default()).expect("it opens"))
}

fn threads(store: &Arc<EmbeddedStore>) -> Threads {
    let store = Arc::clone(store) as Arc<dyn Store>;
    Threads::new(store, "main", Durability::Relaxed).expect("a scope")
}

fn build(path: &Path, steps: usize) -> (String, Duration) {
    let store = open(path);
    let started = Instant::now();
    let thread = threads(&store)
        .start(StartArgs::new("long"))
        .and_then(|thread| thread.wait())
        .expect("started");
    for from in (0..steps).step_by(CHUNK) {
        let chunk = (from..steps.min(from + CHUNK))
            .map(|step| StepArgs::new("counter", format!("step {step}").as_str()))
            .collect();
        thread
            .extend(chunk, None)
            .and_then(|steps| steps.wait())
            .expect("extended");
    }
    (thread.id().to_owned(), started.elapsed())
}

fn long_thread(store: &Arc<EmbeddedStore>, thread: &Thread, steps: u64) {
    let spent = |what: &str, work: &dyn Fn()| {
        let mut times = Vec::new();
        let before = store.counters().blocks_read;
        for _ in 0..100 {
            let started = Instant::now();
            work();
            times.push(started.elapsed());
        }
        times.sort();
        let reads = (store.counters().blocks_read - before) / 100;
        println!(
            "| {what} | {:.1} µs, {reads} blocks read |",
            micros(times[50])
        );
    };
    spent("step n/3 of it", &|| {
        assert_eq!(thread.at(steps / 3).expect("there").number, steps / 3);
    });
    spent("its last 20 steps", &|| {
        assert_eq!(thread.walk_back(steps - 19, None).count(), 20);
    });
    spent("an append (relaxed)", &|| {
        let step = StepArgs::new("counter", "more");
        thread
            .append(step)
            .and_then(|step| step.wait())
            .expect("appended");
    });
    let fork = thread
        .fork(ForkAt::Step(steps / 2), ForkArgs::default())
        .and_then(|fork| fork.wait())
        .expect("forked");
    let own = StepArgs::new("counter", "of the fork");
    fork.append(own)
        .and_then(|step| step.wait())
        .expect("appended");
    spent("the common ancestor with a fork at n/2", &|| {
        let common = common_ancestor(thread, &fork)
            .expect("read")
            .expect("there");
        assert_eq!(common.0, steps / 2);
    });
    fork.rm(false, None)
        .and_then(|rm| rm.wait())
        .expect("removed");
}

/// Takes the steps of a phase; returns how long they took together and the longest of them.
fn phase(collection: &mut Collection<'_>, is_it: fn(Phase) -> bool) -> (Duration, Duration, u64) {
    let (mut total, mut longest, mut count) = (Duration::ZERO, Duration::ZERO, 0);
    while is_it(collection.phase()) {
        let started = Instant::now();
        collection.step().expect("a step");
        let took = started.elapsed();
        total += took;
        longest = longest.max(took);
        count += 1;
    }
    (total, longest, count)
}

fn dry_run(store: &EmbeddedStore, turn: &str) {
    let blocks = store.stats().expect("stats").blocks;
    let before = resident();
    let mut collection = store
        .collection(&GcOptions { dry_run: true })
        .expect("open");
    let (snapshot, ..) = phase(&mut collection, |phase| phase == Phase::Snapshot);
    let on_cpu = cpu_time();
    let (walk, longest, count) = phase(&mut collection, |phase| matches!(phase, Phase::Walk(_)));
    let on_cpu = cpu_time().saturating_sub(on_cpu);
    let grown = resident().saturating_sub(before);
    println!(
        "| mark of {blocks} blocks, {turn} | {:.3} s, {:.3} s of it on a processor ({:.0} ns a block; {count} steps, the longest {:.1} ms; snapshot {:.1} ms) |",
        walk.as_secs_f64(),
        on_cpu.as_secs_f64(),
        walk.as_nanos() as f64 / blocks as f64,
        millis(longest),
        millis(snapshot),
    );
    println!(
        "| resident memory that it added, {turn} | {:.1} MiB ({:.1} bytes a block) |",
        grown as f64 / f64::from(1 << 20),
        grown as f64 / blocks as f64
    );
}

fn real(store: &EmbeddedStore) {
    let mut collection = store.collection(&GcOptions::default()).expect("open");
    let mut row = |name: &str, is_it: fn(Phase) -> bool| {
        let (total, longest, count) = phase(&mut collection, is_it);
        println!(
            "| {name} | {:.2} s in {count} steps, the longest {:.2} ms |",
            total.as_secs_f64(),
            millis(longest)
        );
    };
    row("collection: snapshot", |phase| phase == Phase::Snapshot);
    row("collection: mark", |phase| matches!(phase, Phase::Walk(_)));
    row("collection: size", |phase| matches!(phase, Phase::Size(_)));
    row("collection: catch up", |phase| {
        matches!(phase, Phase::CatchUp(_) | Phase::DropHolds)
    });
    row("collection: bury", |phase| phase == Phase::Bury);
    row("collection: purge", |phase| {
        matches!(phase, Phase::Purge(_))
    });
    let report = collection.report();
    println!(
        "| blocks deleted | {} of {} bytes |",
        report.deleted, report.freed_bytes
    );
    println!(
        "| longest time under the write lock | {:.2} ms |",
        millis(Duration::from_micros(
            store.counters().housekeeping_lock_us_max
        ))
    );
}

fn measure_stats(store: &EmbeddedStore) {
    let started = Instant::now();
    let stats = store.stats().expect("stats");
    println!(
        "| stats of {} blocks, {} bytes on disk | {:.1} ms |",
        stats.blocks,
        stats.database_bytes,
        millis(started.elapsed())
    );
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Time that this thread has run, as Linux counts it; zero elsewhere.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}
