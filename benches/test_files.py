"""Files of a scope: put, get, a range, a search. Beside a plain file (write + fsync, read, pread) and a blob in SQLite
(WAL, `synchronous=FULL`), with the same bytes on the same disk in the same run, in turns. Reads come from the page
cache.
"""

import itertools
import os
import random
import re
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from floors import TEXT
from pytest_benchmark.fixture import BenchmarkFixture

import treering

MIB = 1 << 20
PIECE = MIB
FILES = 1_000


def seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


class Pieces:
    """Random bytes in pieces; another text each time, so that nothing is there already."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.piece = os.urandom(PIECE)
        self.numbers = itertools.count()

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self.size // PIECE):
            yield next(self.numbers).to_bytes(8, "big") + self.piece[8:]


class Blobs:
    """Blobs in a table of SQLite, written and read in pieces."""

    def __init__(self, folder: Path) -> None:
        self.database = sqlite3.connect(folder / "blobs.sqlite", isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self.database.execute(f"PRAGMA {pragma}")
        self.database.execute("CREATE TABLE file (path TEXT PRIMARY KEY, bytes BLOB)")

    def put(self, path: str, pieces: Pieces) -> None:
        self.database.execute("BEGIN IMMEDIATE")
        self.database.execute("INSERT OR REPLACE INTO file VALUES (?, zeroblob(?))", (path, pieces.size))
        with self.open(path, readonly=False) as blob:
            for piece in pieces:
                blob.write(piece)
        self.database.execute("COMMIT")

    def open(self, path: str, *, readonly: bool = True) -> sqlite3.Blob:
        (row,) = self.database.execute("SELECT rowid FROM file WHERE path = ?", (path,)).fetchone()
        return self.database.blobopen("file", "bytes", row, readonly=readonly)

    def get(self, path: str) -> None:
        with self.open(path) as blob:
            while blob.read(PIECE):
                pass


def put_plain(path: Path, pieces: Pieces) -> None:
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def get_plain(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        while file.read(PIECE):
            pass


def get_ours(files: treering.FilesStore, path: str) -> None:
    with files.open(path) as file:
        for _ in file.chunks(PIECE):
            pass


@pytest.fixture
def files(folder: Path) -> Iterator[treering.FilesStore]:
    settings = treering.Settings(file_bytes=1 << 30)
    with treering.open(folder / "state", settings=settings, automatic_gc=False) as store:
        yield store.scope("alice").files


@pytest.mark.parametrize(("mib", "rounds"), [(1, 50), (64, 5), (512, 2)])
def test_file_in_and_out(
    benchmark: BenchmarkFixture, folder: Path, files: treering.FilesStore, mib: int, rounds: int
) -> None:
    """Streamed in, durable, and out again, each byte checked against its hash on the way."""
    pieces, blobs, plain = Pieces(mib * MIB), Blobs(folder), folder / "plain"
    calls: dict[str, Callable[[], object]] = {
        "put": lambda: files.put("data.bin", iter(pieces)),
        "plain file write + fsync": lambda: put_plain(plain, pieces),
        "SQLite blob put": lambda: blobs.put("data.bin", pieces),
        "get": lambda: get_ours(files, "data.bin"),
        "plain file read": lambda: get_plain(plain),
        "SQLite blob get": lambda: blobs.get("data.bin"),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}

    def turns() -> None:
        for _ in range(rounds):
            for name, call in calls.items():
                times[name].append(seconds(call))

    benchmark.pedantic(turns, rounds=1)
    blobs.database.close()
    benchmark.extra_info |= {
        f"{name}, MiB/s": round(mib / statistics.median(taken), 1) for name, taken in times.items()
    }


def test_range_of_a_large_file(benchmark: BenchmarkFixture, folder: Path, files: treering.FilesStore) -> None:
    """4 KiB at random places of 512 MiB, checked against the tree of hashes; the file is open."""
    size, length, count = 512 * MIB, 4096, 2_000
    pieces, blobs, plain = Pieces(size), Blobs(folder), folder / "plain"
    files.put("data.bin", iter(pieces))
    put_plain(plain, pieces)
    blobs.put("data.bin", pieces)
    places = [random.Random(number).randrange(size - length) for number in range(count)]
    with files.open("data.bin") as file, plain.open("rb") as raw, blobs.open("data.bin") as blob:
        calls: dict[str, Callable[[int], bytes]] = {
            "range": lambda place: file.range(place, length),
            "pread": lambda place: os.pread(raw.fileno(), length, place),
            "SQLite blob": lambda place: blob[place : place + length],
        }
        times: dict[str, list[float]] = {name: [] for name in calls}

        def turns() -> None:
            for place in places:
                for name, call in calls.items():
                    begun = time.perf_counter_ns()
                    call(place)
                    times[name].append((time.perf_counter_ns() - begun) / 1000)

        benchmark.pedantic(turns, rounds=1)
    blobs.database.close()
    benchmark.extra_info |= {f"{name} µs": round(statistics.median(taken), 1) for name, taken in times.items()}


def test_grep(benchmark: BenchmarkFixture, folder: Path, files: treering.FilesStore) -> None:
    """1,000 notes of 16 KiB, one line of which is found; beside Python's `re` over the same as plain files."""
    plain = folder / "notes"
    plain.mkdir()
    for number in range(FILES):
        note = "".join(f"{line} {number} {TEXT[:100]}\n" for line in range(150))
        note += "the needle\n" if number == FILES // 2 else ""
        files.put(f"notes/{number}.txt", note.encode())
        (plain / f"{number}.txt").write_text(note)

    def by_re() -> list[str]:
        pattern = re.compile("NEEDLE", re.IGNORECASE)
        return [line for path in plain.iterdir() for line in path.read_text().splitlines() if pattern.search(line)]

    found = benchmark.pedantic(lambda: files.grep("NEEDLE", "notes/**"), rounds=10)
    assert len(found) == len(by_re()) == 1
    theirs = statistics.median(seconds(by_re) for _ in range(5))
    ours = statistics.median(benchmark.stats.stats.data)
    benchmark.extra_info |= {
        "ms": round(ours * 1000, 1),
        "files": FILES,
        "MiB": round(sum(path.stat().st_size for path in plain.iterdir()) / MIB, 1),
        "re over plain files ms": round(theirs * 1000, 1),
    }
