"""`Scope.trim`: one rule for the histories of all actors of a scope."""

import asyncio
import sqlite3
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import treering
from treering import aio, testing
from treering.messages import Message

sys.path.insert(0, str(Path(__file__).parent))

from life import live


def lived(scope: treering.Scope, count: int = 40) -> None:
    for number in range(count):
        scope.memory.add("context", f"fact {number}")
        scope.chats.append(f"c{number % 2}", [Message(role="user", content=f"message {number}")])
    scope.agents.add("type", "one")


def states(scope: treering.Scope) -> Any:
    chats = [[message.content for message in scope.chats.messages(f"c{n}")] for n in range(2)]
    return [entry.content for entry in scope.memory.get()], chats, scope.chats.index()[0].title


@pytest.fixture
def store() -> treering.Store:
    return treering.memory()


def test_keep(store: treering.Store) -> None:
    alice, bob = store.scope("alice"), store.scope("bob")
    lived(alice)
    lived(bob)
    alice.chats.delete("c1")
    before = [entry.content for entry in alice.memory.get()]
    plan = alice.trim(keep=5, dry_run=True)
    assert alice.actor("user-memory").info().oldest == 0
    done = alice.trim(keep=5)
    assert [(one.kind, one.parts, one.dropped) for one in done.actors] == [
        (one.kind, one.parts, one.dropped) for one in plan.actors
    ]
    assert {one.kind: one.dropped for one in done.actors if one.kind != "chat-index"} == {"user-memory": 35, "chat": 15}
    assert done.looked_at == 4
    assert done.dropped == sum(one.dropped for one in done.actors)
    for info in alice.actors():
        assert info.events <= 5
    assert [entry.content for entry in alice.memory.get()] == before
    with pytest.raises(treering.HistoryTrimmed):
        alice.memory.at(3)
    assert bob.actor("user-memory").info().oldest == 0
    again = alice.trim(keep=5)
    assert (again.actors, again.dropped) == ((), 0)
    assert alice.trim(keep=0).dropped > 0
    assert store.verify().ok


def test_before_a_moment(tmp_path: Path) -> None:
    clock = testing.Clock()
    with testing.open(tmp_path / "state", clock=clock) as store:
        alice = store.scope("alice")
        for number in range(10):
            alice.memory.add("context", f"fact {number}")
            clock.advance(3_600_000)
        moment = datetime.fromtimestamp((list(alice.memory.history())[3].at_ms + 1) / 1000).astimezone()
        version = alice.memory.version_at(moment)
        then = [entry.content for entry in alice.memory.at(version)]
        assert alice.trim(before=moment, dry_run=True).dropped == alice.trim(before=moment).dropped > 0
        assert [entry.content for entry in alice.memory.at(version)] == then
        assert alice.trim(before=moment).actors == ()


WRONG: list[dict[str, Any]] = [
    {"keep": 1, "before": datetime.now().astimezone()},
    {"keep": 1, "younger_than": timedelta(days=1)},
    {"younger_than": timedelta(0)},
    {"younger_than": timedelta(days=-1)},
    {"younger_than": 90},
    {"keep": -1},
    {"keep": True},
    {"before": 3},
    {"before": datetime(2026, 1, 1)},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_bad_input(store: treering.Store, wrong: dict[str, Any]) -> None:
    lived(store.scope("alice"), 3)
    with pytest.raises(treering.Invalid):
        store.scope("alice").trim(**wrong)
    assert all(info.oldest == 0 for info in store.scope("alice").actors())


def test_threads_keep_their_steps(store: treering.Store) -> None:
    live(store, "alice")
    alice = store.scope("alice")
    steps = {thread.id: len(thread) for thread in alice.threads.list()}
    alice.trim(keep=0)
    assert {thread.id: len(thread) for thread in alice.threads.list()} == steps
    assert store.verify().ok


def test_one_that_is_broken_keeps_no_other_from_it(tmp_path: Path) -> None:
    path = tmp_path / "state"
    with treering.open(path) as store:
        lived(store.scope("alice"))
        head = store.scope("alice").actor("user-memory").info().head
        assert head is not None
    with sqlite3.connect(path / "store.db") as database:
        changed = database.execute("UPDATE block SET payload = x'00' WHERE digest = ?", (bytes(head)[-32:],))
        assert changed.rowcount == 1
    database.close()
    with treering.open(path) as store:
        done = store.scope("alice").trim(keep=2)
        (refused,) = done.refused
        assert refused.kind == "user-memory"
        assert done.dropped > 0


def test_cut_short_it_goes_on(tmp_path: Path) -> None:
    disk = testing.Disk()
    with testing.open(tmp_path / "state", disk=disk) as store:
        alice = store.scope("alice")
        lived(alice)
        disk.fail("sync", nth=3)
        with pytest.raises(treering.Unavailable):
            alice.trim(keep=1)
    with treering.open(tmp_path / "state") as store:
        alice = store.scope("alice")
        begun = [info.events <= 1 for info in alice.actors()]
        assert any(begun)
        assert not all(begun)
        alice.trim(keep=1)
        assert all(info.events <= 1 for info in alice.actors())
        assert store.verify().ok


def test_awaited(tmp_path: Path) -> None:
    async def trimmed() -> None:
        async with aio.open(tmp_path / "state") as store:
            alice = store.scope("alice")
            for number in range(9):
                await alice.memory.add("context", f"fact {number}")
            assert (await alice.trim(keep=2)).dropped == 7

    asyncio.run(trimmed())


@dataclass(frozen=True)
class Added:
    number: int


@dataclass(frozen=True)
class Total:
    total: int = 0


class Counter(treering.Actor[Total, Added, Added]):
    kind = "counter"

    def decide(self, state: Total, command: Added, context: treering.ActorContext) -> Added:
        return command

    def evolve(self, state: Total, event: Added) -> Total:
        return Total(state.total + event.number)


def test_an_actor_of_ones_own_goes_by_the_same_rule(store: treering.Store) -> None:
    alice = store.scope("alice")
    lived(alice)
    counter = alice.own(Counter)
    for number in range(20):
        counter.send(Added(number))
    for dry_run in (True, False):
        done = alice.trim(keep=10, dry_run=dry_run)
        assert [actor.dropped for actor in done.actors if actor.kind == "x.counter"] == [10]
        assert done.refused == ()
        assert done.dropped > 10
    assert (counter.get().state.total, counter.info().oldest, len(list(counter.history()))) == (190, 10, 10)
    assert alice.trim(keep=10).actors == ()
