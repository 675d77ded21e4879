"""What every benchmark shares: a store on the disk of the checkout, 1 KB of text, and the floor of a durable write.

Each figure is printed beside the floor or the peer that was measured in the same run (`extra_info`), with what
bounds it. Nothing here asserts a time: targets are shown, not enforced, since machines differ.
"""

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import treering

#: 1,000 bytes of text, none of it repeated between steps once a number is put in front.
TEXT = ("The quick agent reads the ticket, checks the booking and answers in one sentence. " * 13)[:1000]

ROUNDS = 2000


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder on the disk that the checkout is on: /tmp may be memory."""
    with TemporaryDirectory(dir=Path(__file__).parent, prefix=".bench-") as name:
        yield Path(name)


@pytest.fixture
def store(folder: Path) -> Iterator[treering.Store]:
    with treering.open(folder / "state") as store:
        yield store


def durable_write_us(folder: Path, size: int, rounds: int = ROUNDS) -> float:
    """The median, in µs, of pwrite + fdatasync of `size` bytes into a file that is already that long."""
    path = folder / "floor"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        room = max(4 << 20, 4 * size)
        os.pwrite(descriptor, b"\0" * room, 0)
        os.fsync(descriptor)
        data, offset, times = os.urandom(size), 0, []
        for _ in range(rounds):
            begun = time.perf_counter_ns()
            os.pwrite(descriptor, data, offset)
            os.fdatasync(descriptor)
            times.append(time.perf_counter_ns() - begun)
            offset = (offset + size) % (room - size)
        return statistics.median(times) / 1000
    finally:
        os.close(descriptor)
        path.unlink()
