"""What every benchmark shares: a store on the disk that the checkout is on.

Each figure is printed beside the floor or the peer that was measured in the same run (`extra_info`). Nothing here
asserts a time: targets are shown, not enforced, since machines differ.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

import treering

TURNS = 5_000_000


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Says how fast the processor is now: the nanoseconds of one turn of an empty loop."""
    begun = time.perf_counter_ns()
    for _ in range(TURNS):
        pass
    machine_info["calibration_ns"] = round((time.perf_counter_ns() - begun) / TURNS, 1)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder on the disk that the checkout is on: /tmp may be memory."""
    with TemporaryDirectory(dir=Path(__file__).parent, prefix=".bench-") as name:
        yield Path(name)


@pytest.fixture
def store(folder: Path) -> Iterator[treering.Store]:
    with treering.open(folder / "state") as store:
        yield store
