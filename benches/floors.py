"""What the figures are held against: one text, one number of rounds, and the disk's own price of a durable write."""

import os
import statistics
import time
from pathlib import Path

#: 1,000 bytes of text, none of it repeated between steps once a number is put in front.
TEXT = ("The quick agent reads the ticket, checks the booking and answers in one sentence. " * 13)[:1000]

ROUNDS = 2000


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
