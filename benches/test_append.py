"""Appending: what it costs above the disk's own price, and how callers share it."""

import asyncio
import itertools
import statistics
import time
from pathlib import Path

import pytest
from floors import ROUNDS, TEXT, DurableWrites
from pytest_benchmark.fixture import BenchmarkFixture

import treering
import treering.aio


def test_durable_append(benchmark: BenchmarkFixture, store: treering.Store, folder: Path) -> None:
    """One step of 1 KB, durable on return. Target: ≤ 80 µs above writing and syncing its bytes of log."""
    thread = store.threads.start("bench")
    number = itertools.count()

    def append() -> None:
        thread.append("coder", f"{next(number)} {TEXT}")

    def commits_and_log() -> tuple[int, int, int]:
        counters = store.counters()
        return counters["batches"], counters["wal_bytes_written"], counters["commit_syncs"]

    warm = [commits_and_log()]
    for _ in range(200):
        append()
    warm.append(commits_and_log())
    floor = DurableWrites(folder, (warm[1][1] - warm[0][1]) // 200)
    benchmark.pedantic(append, setup=floor.once, rounds=ROUNDS)
    commits, size, syncs = (after - before for before, after in zip(warm[1], commits_and_log(), strict=True))
    floor_us, median = floor.median_us(), statistics.median(benchmark.stats.stats.data) * 1e6
    benchmark.extra_info |= {
        "wal bytes per append": size // commits,
        "fsyncs per append": syncs / commits,
        "floor µs (pwrite + fdatasync)": round(floor_us, 1),
        "above the floor µs": round(median - floor_us, 1),
        "target": "≤ 80 µs above the floor",
    }


def test_relaxed_append(benchmark: BenchmarkFixture, store: treering.Store) -> None:
    """The same, outliving a killed process only."""
    thread = store.scope("main", durability="relaxed").threads.start("bench")
    number = itertools.count()
    benchmark.pedantic(lambda: thread.append("coder", f"{next(number)} {TEXT}"), rounds=ROUNDS, warmup_rounds=200)


@pytest.mark.parametrize("tasks", [1, 64])
def test_asyncio_appends(benchmark: BenchmarkFixture, folder: Path, tasks: int) -> None:
    """Durable appends of asyncio tasks, each on a thread of its own; per append."""
    each = ROUNDS // tasks

    async def run() -> float:
        async with treering.aio.open(folder / "state") as store:
            threads = [await store.threads.start("bench") for _ in range(tasks)]

            async def work(thread: treering.aio.Thread) -> None:
                for number in range(each):
                    await thread.append("coder", f"{number} {TEXT}")

            begun = time.perf_counter()
            await asyncio.gather(*(work(thread) for thread in threads))
            return (time.perf_counter() - begun) / (each * tasks)

    seconds = benchmark.pedantic(lambda: asyncio.run(run()), rounds=1)
    benchmark.extra_info |= {"µs per append": round(seconds * 1e6, 1), "appends/s": round(1 / seconds)}
