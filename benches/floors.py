"""What the figures are held against: one text, one number of rounds, and the disk's own price of a durable write."""

import os
import statistics
import time
from pathlib import Path

#: 1,000 bytes of text, none of it repeated between steps once a number is put in front.
TEXT = ("The quick agent reads the ticket, checks the booking and answers in one sentence. " * 13)[:1000]

ROUNDS = 2000


class DurableWrites:
    """What the disk asks for a durable write, measured between the calls that are held against it, so that
    both see the same disk: pwrite + fdatasync of `size` bytes into a file that is already that long."""

    def __init__(self, folder: Path, size: int) -> None:
        self.path = folder / "floor"
        self.file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        self.room = max(4 << 20, 4 * size)
        os.pwrite(self.file, b"\0" * self.room, 0)
        os.fsync(self.file)
        self.data, self.offset = os.urandom(size), 0
        self.times: list[int] = []

    def once(self) -> None:
        begun = time.perf_counter_ns()
        os.pwrite(self.file, self.data, self.offset)
        os.fdatasync(self.file)
        self.times.append(time.perf_counter_ns() - begun)
        self.offset = (self.offset + len(self.data)) % (self.room - len(self.data))

    def median_us(self) -> float:
        os.close(self.file)
        self.path.unlink()
        return statistics.median(self.times) / 1000
