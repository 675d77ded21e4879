"""A thread of 100,000 steps: what a place, an append, a fork and a whole walk cost, counted."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import treering

STEPS = 100_000
READS_MAX = 100


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("long") / "state"


@pytest.fixture(scope="module")
def store(folder: Path) -> Iterator[treering.Store]:
    with treering.open(folder, durability="relaxed") as store:
        yield store


@pytest.fixture(scope="module")
def thread(store: treering.Store) -> treering.Thread:
    thread = store.threads.start("long", prompt="Count to a hundred thousand.", key="long")
    for base in range(1, STEPS + 1, 5_000):
        thread.extend([("counter", f"step {number}") for number in range(base, base + 5_000)])
    assert len(thread) == STEPS
    return thread


def spent(store: treering.Store, what: str, action: Callable[[], Any]) -> tuple[Any, int]:
    """What the action returned, and by how much it moved a counter."""
    before = store.counters()[what]
    result = action()
    return result, store.counters()[what] - before


@pytest.mark.parametrize("number", [1, 2, 3, 12, 4_095, 50_000, 65_535, 99_998, STEPS])
def test_any_step_is_found_in_few_reads(store: treering.Store, thread: treering.Thread, number: int) -> None:
    step, reads = spent(store, "blocks_read", lambda: thread.at(number))
    assert (step.number, step.text) == (number, f"step {number}")
    assert reads < READS_MAX


@pytest.mark.parametrize(("left", "right"), [(1, STEPS), (50_000, 90_000), (99_999, STEPS), (777, 778)])
def test_two_forks_find_their_common_step_in_few_reads(
    store: treering.Store, thread: treering.Thread, left: int, right: int
) -> None:
    a, b = thread.fork(at=left), thread.fork(at=right)
    a.append("counter", "left")
    b.append("counter", "right")
    common, reads = spent(store, "blocks_read", lambda: a.common_ancestor(b))
    assert common is not None
    assert common.number == left
    assert reads < READS_MAX


def test_ancestry_takes_few_reads(store: treering.Store, thread: treering.Thread) -> None:
    early = thread.fork(at=123)
    strayed = thread.fork(at=50_000)
    strayed.append("counter", "astray")
    answer, reads = spent(store, "blocks_read", lambda: early.is_ancestor_of(thread))
    assert answer
    assert reads < READS_MAX
    answer, reads = spent(store, "blocks_read", lambda: strayed.is_ancestor_of(thread))
    assert not answer
    assert reads < READS_MAX


@pytest.mark.parametrize("number", [0, 1, 31_337, STEPS])
def test_a_fork_anywhere_writes_no_block(store: treering.Store, thread: treering.Thread, number: int) -> None:
    fork, written = spent(store, "blocks_written", lambda: thread.fork(at=number))
    assert len(fork) == number
    assert written == 0


def cost_of_an_append(store: treering.Store, thread: treering.Thread, text: str) -> dict[str, int]:
    """Blocks read and written by an append through a handle that has just been opened."""
    handle = store.threads.get(thread.id)
    before = store.counters()
    handle.append("counter", text)
    after = store.counters()
    counted = ("blocks_read", "blocks_written", "commit_syncs", "block_bytes_written", "wal_bytes_written")
    return {what: after[what] - before[what] for what in counted}


def test_an_append_costs_the_same_at_the_end_as_at_step_10(store: treering.Store, thread: treering.Thread) -> None:
    short, long = thread.fork(at=9), thread.fork()
    at_ten = cost_of_an_append(store, short, "one text")
    at_the_end = cost_of_an_append(store, long, "another")
    # Numbers and one more link make a later node longer; the log takes whole pages.
    for what, more in (("block_bytes_written", 64), ("wal_bytes_written", 12 * 4120)):
        assert abs(at_the_end.pop(what) - at_ten.pop(what)) <= more, what
    assert at_ten == at_the_end
    assert at_the_end["blocks_written"] == 2
    assert at_the_end["blocks_read"] <= 3


WALK = """
import sys, treering

def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

with treering.open(sys.argv[1], read_only=True) as store:
    thread = store.threads.get("long")
    for step in thread.steps(1, 100):
        step.text
    before = most = resident()
    for count, step in enumerate(thread, 1):
        assert step.number == count and step.text == f"step {count}"
        if count % 1000 == 0:
            most = max(most, resident())
    print(count, most - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_whole_walk_keeps_little_in_memory(folder: Path, thread: treering.Thread) -> None:
    """Resident memory grows by at most 16 MiB while all steps and their contents pass by."""
    assert len(thread) == STEPS
    run = subprocess.run([sys.executable, "-c", WALK, str(folder)], check=True, capture_output=True, text=True)
    count, grown = map(int, run.stdout.split())
    assert count == STEPS
    assert grown <= 16 << 20
