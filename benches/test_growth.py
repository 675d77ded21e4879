"""What a command on a large actor costs beside the same on a young one: the slowest of a hundred, relaxed.

The two are measured in turns, so that both see the same machine.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from floors import ROUNDS, TEXT
from pytest_benchmark.fixture import BenchmarkFixture

import treering
from treering.messages import Message

Command = Callable[[str], object]


@pytest.fixture
def relaxed(folder: Path) -> Iterator[treering.Store]:
    with treering.open(folder / "state", durability="relaxed") as store:
        yield store


def turns(old: Command, young: Command) -> tuple[list[float], list[float]]:
    """Returns the times of both, in µs."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(ROUNDS):
        for command, taken in zip((old, young), times, strict=True):
            begun = time.perf_counter_ns()
            command(str(number))
            taken.append((time.perf_counter_ns() - begun) / 1000)
    return times


def tell(benchmark: BenchmarkFixture, old: Command, young: Command, target: str) -> None:
    slow, quick = benchmark.pedantic(lambda: turns(old, young), rounds=1)
    slowest = [statistics.quantiles(times, n=100)[98] for times in (slow, quick)]
    benchmark.extra_info |= {
        "old, median µs": round(statistics.median(slow), 1),
        "young, median µs": round(statistics.median(quick), 1),
        "old, p99 µs": round(slowest[0], 1),
        "young, p99 µs": round(slowest[1], 1),
        "p99, old / young": round(slowest[0] / slowest[1], 2),
        "target": target,
    }


def test_chat_of_10_000(benchmark: BenchmarkFixture, relaxed: treering.Store) -> None:
    """10,000 appends to one chat before. Target: p99 ≤ 1.5x."""
    chats = relaxed.scope("alice").chats

    def say(chat: str) -> Command:
        return lambda text: chats.append(chat, [Message(role="user", content=text + TEXT)])

    old = say("old")
    for number in range(10_000):
        old(str(number))
    tell(benchmark, old, say("young"), "≤ 1.5")


def test_registry_of_100_000(benchmark: BenchmarkFixture, relaxed: treering.Store) -> None:
    """100,000 ids in one registry before. Target: p99 ≤ 3x."""
    old, young = (relaxed.scope(name).agents for name in ("old", "young"))
    for number in range(100_000):
        old.add("planner", f"agent {number}")
    tell(benchmark, lambda id: old.add("coder", id), lambda id: young.add("coder", id), "≤ 3")


def test_actor_of_1_000_000(benchmark: BenchmarkFixture, relaxed: treering.Store) -> None:
    """1,000,000 events on one actor before. Target: p99 ≤ 1.5x."""
    scope = relaxed.scope("old")
    for thousand in range(1000):
        with scope.commit() as commit:
            for number in range(1000):
                commit.user_config.update(default_model=f"model {thousand} {number}")
    old, young = scope.user_config, relaxed.scope("young").user_config
    tell(benchmark, lambda name: old.update(default_model=name), lambda name: young.update(default_model=name), "≤ 1.5")
    assert old.get().version == 1_000_000 + ROUNDS
