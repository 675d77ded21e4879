"""What every benchmark shares: a store on the disk that the checkout is on.

Each figure is printed beside the floor or the peer that was measured in the same run (`extra_info`). Nothing here
asserts a time: targets are shown, not enforced, since machines differ.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import treering

TURNS = 1_000_000


def calibration() -> float:
    """Says how fast the processor is now: the nanoseconds of one turn of an empty loop."""
    begun = time.perf_counter_ns()
    for _ in range(TURNS):
        pass
    return (time.perf_counter_ns() - begun) / TURNS


@pytest.fixture(autouse=True)
def calibrated(benchmark: BenchmarkFixture) -> Iterator[None]:
    """Puts the processor's speed before and after a benchmark beside its figure."""
    before = calibration()
    yield
    benchmark.extra_info["calibration ns"] = f"{before:.0f}, {calibration():.0f}"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder on the disk that the checkout is on: /tmp may be memory."""
    with TemporaryDirectory(dir=Path(__file__).parent, prefix=".bench-") as name:
        yield Path(name)


@pytest.fixture
def store(folder: Path) -> Iterator[treering.Store]:
    with treering.open(folder / "state") as store:
        yield store
