"""An actor of one's own: its `decide` and `evolve` are Python, and run outside of the commit. Beside the disk's own
price, built-in stores and an event-sourcing library (`peer.py`), on the same disk in the same run."""

import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from floors import ROUNDS, DurableWrites
from peer import Peer, timed
from pytest_benchmark.fixture import BenchmarkFixture

import treering


@dataclass(frozen=True)
class Update:
    default_model: str


@dataclass(frozen=True)
class ConfigState:
    default_model: str = ""


class Config(treering.Actor[ConfigState, Update, Update]):
    """The peer's aggregate."""

    kind = "config"

    def decide(self, state: ConfigState, command: Update, context: treering.ActorContext) -> Update:
        return command

    def evolve(self, state: ConfigState, event: Update) -> ConfigState:
        return replace(state, default_model=event.default_model)


@dataclass(frozen=True)
class NotesState:
    notes: treering.Vector[str] = field(default_factory=treering.Vector)


class Notes(treering.Actor[NotesState, Update, Update]):
    """What grows."""

    kind = "notes"

    def decide(self, state: NotesState, command: Update, context: treering.ActorContext) -> Update:
        return command

    def evolve(self, state: NotesState, event: Update) -> NotesState:
        return NotesState(state.notes.append(event.default_model))


def test_durable_own_command(benchmark: BenchmarkFixture, folder: Path) -> None:
    """One durable command of an own actor, in turns with `memory.add`, `user_config.update` and the floor."""
    with treering.open(folder / "state") as store:
        alice = store.scope("alice")
        own = alice.own(Config)
        calls: dict[str, Callable[[str], object]] = {
            "own": lambda text: own.send(Update(text)),
            "user_config.update": lambda text: alice.user_config.update(default_model=text),
            "memory.add": lambda text: alice.memory.add("context", text),
        }
        sizes = {}
        for name, call in calls.items():
            for number in range(200):
                call(f"warm {number}")
            before = store.counters()["wal_bytes_written"]
            for number in range(200):
                call(f"size {number}")
            sizes[name] = (store.counters()["wal_bytes_written"] - before) // 200
        floor = DurableWrites(folder, sizes["own"])
        times: dict[str, list[float]] = {name: [] for name in calls}

        def turns() -> None:
            for number in range(ROUNDS):
                floor.once()
                for name, call in calls.items():
                    begun = time.perf_counter_ns()
                    call(f"model {number}")
                    times[name].append((time.perf_counter_ns() - begun) / 1000)

        benchmark.pedantic(turns, rounds=1)
        medians = {name: statistics.median(taken) for name, taken in times.items()}
        floor_us = floor.median_us()
        events = own.get().version
    peer = Peer(folder)
    numbers = itertools.count()
    theirs = timed(lambda: peer.update(f"model {next(numbers)}"), 100)
    benchmark.extra_info |= {
        **{f"{name} µs": round(median, 1) for name, median in medians.items()},
        **{f"{name} wal bytes": size for name, size in sizes.items()},
        "floor µs (pwrite + fdatasync)": round(floor_us, 1),
        "own above the floor µs": round(medians["own"] - floor_us, 1),
        "own / user_config.update": round(medians["own"] / medians["user_config.update"], 2),
        "events of the own actor": events,
        "eventsourcing µs, of 1 … 100 events": round(theirs, 1),
        "eventsourcing / own": round(theirs / medians["own"], 1),
    }


@pytest.mark.parametrize("kind", ["plain", "list"])
def test_relaxed_own_command(benchmark: BenchmarkFixture, folder: Path, kind: str) -> None:
    """One relaxed command: what is left where the disk is not waited for. `list` appends to one of 10,000."""
    with treering.open(folder / "state", durability="relaxed") as store:
        alice = store.scope("alice")
        numbers = itertools.count()
        if kind == "plain":
            config = alice.own(Config)
            send: Callable[[], object] = lambda: config.send(Update(f"model {next(numbers)}"))  # noqa: E731
        else:
            notes = alice.own(Notes)
            send = lambda: notes.send(Update(f"note {next(numbers)}"))  # noqa: E731
            for _ in range(10_000):
                send()
        benchmark.pedantic(send, rounds=ROUNDS, warmup_rounds=200)
        theirs = [timed(lambda: alice.user_config.update(default_model=f"{next(numbers)}"), ROUNDS)]
        benchmark.extra_info |= {"user_config.update µs": round(theirs[0], 1)}


def test_own_get(benchmark: BenchmarkFixture, store: treering.Store) -> None:
    """What was read before, asked for again."""
    own = store.scope("alice").own(Config)
    own.send(Update("large"))
    benchmark.pedantic(own.get, rounds=ROUNDS, warmup_rounds=200)
