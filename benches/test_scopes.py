"""A fork of a whole scope: refs are written, blocks are not. Beside what copies the contents: a plain SQLite file that
is copied, and rows that are copied in it, durable as the fork is."""

import os
import shutil
import sqlite3
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from floors import TEXT
from pytest_benchmark.fixture import BenchmarkFixture

import treering
from treering.messages import Message

MESSAGES = 4
FORKS = 5


def taken_ms(call: Callable[[int], object]) -> float:
    """Returns the median of some calls, which are given their number."""
    times = []
    for number in range(FORKS):
        begun = time.perf_counter_ns()
        call(number)
        times.append((time.perf_counter_ns() - begun) / 1e6)
    return statistics.median(times)


class Rows:
    """The same conversations in a table: WAL, `synchronous=FULL`, as the store's."""

    def __init__(self, folder: Path, chats: int) -> None:
        self.path = folder / "rows.sqlite"
        self.database = sqlite3.connect(self.path, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self.database.execute(f"PRAGMA {pragma}")
        self.database.execute(
            "CREATE TABLE message (scope TEXT, chat TEXT, number INTEGER, role TEXT, content TEXT,"
            " PRIMARY KEY (scope, chat, number)) WITHOUT ROWID"
        )
        with self.database:
            self.database.execute("BEGIN")
            self.database.executemany(
                "INSERT INTO message VALUES ('alice', ?, ?, 'user', ?)",
                (
                    (f"conv-{chat}", number, f"{chat} {number} {TEXT}")
                    for chat in range(chats)
                    for number in range(MESSAGES)
                ),
            )
        self.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def copy_rows(self, number: int) -> None:
        self.database.execute(
            "INSERT INTO message SELECT ?, chat, number, role, content FROM message WHERE scope = 'alice'",
            (f"fork {number}",),
        )

    def copy_file(self, number: int) -> None:
        copy = self.path.with_name(f"copy-{number}.sqlite")
        shutil.copyfile(self.path, copy)
        with copy.open("rb+") as file:
            os.fsync(file.fileno())
        copy.unlink()


@pytest.mark.parametrize("chats", [1_000, 10_000])
def test_fork_of_a_scope(benchmark: BenchmarkFixture, folder: Path, chats: int) -> None:
    """A scope of so many conversations of four messages, forked, durable; counted: refs, blocks, commits, bytes."""
    with treering.open(folder / "state", automatic_gc=False) as store:
        alice = store.scope("alice", durability="relaxed")
        for chat in range(chats):
            alice.chats.append(
                f"conv-{chat}",
                [Message(role="user", content=f"{chat} {number} {TEXT}") for number in range(MESSAGES)],
            )
        alice = store.scope("alice")
        alice.fork("warm")
        before, commits = store.stats(), len(list(store.journal()))
        written = store.counters()["wal_bytes_written"]
        ours = benchmark.pedantic(lambda: taken_ms(lambda number: alice.fork(f"fork {number}")), rounds=1)
        after = store.stats()
        written = store.counters()["wal_bytes_written"] - written
        commits = len(list(store.journal())) - commits
        lineage = store.scope("fork 0").lineage()
        assert lineage is not None
        refs = lineage.refs
    rows = Rows(folder, chats)
    file_ms = taken_ms(rows.copy_file)
    rows_ms = taken_ms(rows.copy_rows)
    rows.database.close()
    benchmark.extra_info |= {
        "ms per fork": round(ours, 1),
        "refs": refs,
        "new blocks per fork": (after["blocks"] - before["blocks"]) / FORKS,
        "commits per fork": commits / FORKS,
        "wal KiB per fork": round(written / FORKS / 1024),
        "SQLite file copied + fsync, ms": round(file_ms, 1),
        "SQLite rows copied, ms": round(rows_ms, 1),
        "rows / fork": round(rows_ms / ours, 1),
    }
