"""Many steps at once, into a store that is already large."""

import itertools
import statistics
import time
from pathlib import Path

from floors import TEXT
from pytest_benchmark.fixture import BenchmarkFixture

import treering

STEPS = 1_000_000
BATCH = 2_000


def test_relaxed_extend_at_a_million_steps(benchmark: BenchmarkFixture, folder: Path) -> None:
    """`extend` of 2,000 steps of 1 KB, relaxed, on a thread that grows to 1M steps. Target: ≥ 15,000 steps/s."""
    with treering.open(folder / "state") as store:
        thread = store.scope("main", durability="relaxed").threads.start("bench")
        number = itertools.count()

        def batch() -> list[tuple[str, str]]:
            return [("coder", f"{next(number)} {TEXT}") for _ in range(BATCH)]

        begun, seconds = time.perf_counter(), []
        while len(thread) < STEPS:
            steps = batch()
            start = time.perf_counter()
            thread.extend(steps)
            seconds.append(time.perf_counter() - start)
        built = time.perf_counter() - begun
        benchmark.pedantic(thread.extend, setup=lambda: ((batch(),), {}), rounds=20)
        median = statistics.median(benchmark.stats.stats.data)
        first, last = seconds[:25], seconds[-25:]
        benchmark.extra_info |= {
            "steps/s at 1M (median batch)": round(BATCH / median),
            "steps/s of the first 50,000": round(BATCH * len(first) / sum(first)),
            "steps/s of the last 50,000 (mean, checkpoints included)": round(BATCH * len(last) / sum(last)),
            "steps/s over the whole build": round(len(thread) / built),
            "store bytes per step": round(
                sum(f.stat().st_size for f in (folder / "state").rglob("*") if f.is_file()) / len(thread)
            ),
            "target": "≥ 15,000 steps/s",
        }
