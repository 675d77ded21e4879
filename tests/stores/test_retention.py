"""History that ends by itself: `Settings(history_events=…)`, for every store and whatever way a command goes."""

import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from every_verb import said
from test_trim import ACTORS

import treering
from treering import ActorHandle, Gap, HistoryTrimmed, Invalid, Scope, Settings, aio, testing
from treering.testing import Clock

KEEP = 10
SHORT = Settings(history_events=KEEP)
MOST = 32
"""Events that are there at most: twice those between two snapshots."""


@pytest.fixture
def short(clock: Clock) -> Any:
    with testing.memory(clock=clock, settings=SHORT) as store:
        yield store


@pytest.mark.parametrize("wrong", [0, -1, 1001, True, False, 2.0, "5"])
def test_what_can_not_be(wrong: Any) -> None:
    with pytest.raises(Invalid, match=r"history_events .* is not a number from 1 to 1,000"):
        Settings(history_events=wrong)


def test_nothing_goes_unless_it_is_said() -> None:
    assert Settings().history_events is None
    with testing.memory(settings=Settings(history_events=None)) as store:
        alice = store.scope("alice")
        for number in range(100):
            alice.memory.add("k", str(number))
        assert alice.actor("user-memory").info().events == 100


@pytest.mark.parametrize("keep", [1, 1000])
def test_at_its_edges(keep: int) -> None:
    with testing.memory(settings=Settings(history_events=keep)) as store:
        alice = store.scope("alice")
        for first in range(0, 2_100, 20):
            with alice.commit() as c:
                for number in range(first, first + 20):
                    c.agents.add("t", str(number))
        info = alice.actor("agent-registry").info()
        # As commits bring twenty at once, so many more may be there.
        assert keep <= info.events <= 2 * max(keep, 16) + 40
        assert info.oldest > 0
        assert alice.agents.verify() == info.events


def happened(actor: ActorHandle, first: int) -> list[tuple[int, str, int, object]]:
    """What of events does not depend on where their log begins."""
    return [(event.version, event.event_id, event.at_ms, event.message) for event in actor.history(first=first)]


@pytest.mark.parametrize(("kind", "parts", "write"), ACTORS, ids=lambda value: value if isinstance(value, str) else "")
def test_any_actor(
    short: treering.Store, kind: str, parts: tuple[str, ...], write: Callable[[Any, int], object], clock: Clock
) -> None:
    """The lists that others move along, too: what is kept is what it was, what is older is gone."""
    alice = short.scope("alice")
    actor = alice.actor(kind, *parts)
    states, events = [actor.state()], []
    for number in range(90):
        clock.advance(1000)
        write(alice, number)
        states.append(actor.state())
        events += happened(actor, number + 1)
        info = actor.info()
        assert min(number + 1, KEEP) <= info.events < MOST
    short.gc()
    oldest = actor.info().oldest
    assert oldest > 0
    assert [actor.state(version) for version in range(oldest, 91)] == states[oldest:]
    assert happened(actor, oldest + 1) == events[oldest:]
    with pytest.raises(HistoryTrimmed) as caught:
        actor.state(oldest - 1)
    assert caught.value.oldest == oldest  # type: ignore[attr-defined]
    # The times of what is kept, and of what it begins with.
    when = datetime.fromtimestamp(events[oldest - 1][2] / 1000, UTC)
    assert actor.version_at(when) == oldest
    with pytest.raises(HistoryTrimmed):
        actor.version_at(when - timedelta(milliseconds=1))
    assert actor.verify() == 90 - oldest
    assert short.verify().ok


def test_a_conversation_and_the_list_that_it_moves(short: treering.Store) -> None:
    alice = short.scope("alice")
    for number in range(100):
        alice.chats.append("c", said(str(number)))
        alice.chats.append(f"d{number % 3}", said(str(number)))
    for actor in (alice.actor("chat", "c"), alice.actor("chat-index")):
        assert KEEP <= actor.info().events < MOST
    assert [row.id for row in alice.chats.index()] == [row.id for row in alice.chats.index(alice.chats.index().version)]
    assert [message.content for message in alice.chats.messages("c")] == [str(number) for number in range(100)]
    alice.chats.delete("c")
    assert (alice.actor("chat", "c").info().events, alice.actor("chat-index").info().events) == (0, 0)


def test_whatever_way_a_command_goes(tmp_path: Path) -> None:
    """Settings go with a handle: through a commit, a pickle, a resolver, on somebody's behalf."""
    with treering.open(tmp_path / "s", settings=SHORT, automatic_gc=False) as store:
        scope = pickle.loads(pickle.dumps(store.scope("alice")))
        told, scoped = store.scope("alice").on_behalf_of("bob"), store.scoped(lambda: "alice")
        actor = store.scope("alice").actor("user-memory")
        for written in (
            lambda n: scope.memory.add("k", n),
            lambda n: told.memory.add("k", n),
            lambda n: scoped.memory.add("k", n),
            lambda n: committed(store.scope("alice"), n),
        ):
            before = actor.info()
            for number in range(60):
                written(str(number))
            after = actor.info()
            assert after.oldest > before.version - MOST
            assert KEEP <= after.events < MOST + 16
        assert actor.verify() == actor.info().events
        assert store.verify().ok
    with treering.open(tmp_path / "s") as store:
        # Who keeps all keeps what there is.
        alice, oldest = store.scope("alice"), store.scope("alice").actor("user-memory").info().oldest
        for number in range(60):
            alice.memory.add("k", str(number))
        assert alice.actor("user-memory").info().oldest == oldest


def committed(scope: Scope, text: str) -> None:
    with scope.commit() as c:
        c.threads.start("fix").append("coder", text)
        c.memory.add("k", text)


def test_a_long_history_that_it_meets(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s", automatic_gc=False) as store:
        for number in range(300):
            store.scope("alice").memory.add("k", str(number))
    with treering.open(tmp_path / "s", settings=SHORT, automatic_gc=False) as store:
        alice = store.scope("alice")
        assert alice.memory.get().version == 300
        assert alice.actor("user-memory").info().events == 300
        for number in range(40):
            alice.memory.add("k", str(number))
        assert alice.actor("user-memory").info().events < MOST
        before = store.stats()["blocks"]
        store.gc()
        assert store.stats()["blocks"] < before - 250


def test_repeated_commands_and_those_that_do_nothing(short: treering.Store) -> None:
    alice = short.scope("alice")
    first = alice.memory.add("k", "forgotten", command_id="a")
    for number in range(100):
        alice.memory.add("k", str(number), command_id=str(number), expected_version=number + 1)
    head = short.head()
    again = alice.memory.add("k", "forgotten", command_id="a")
    assert (again.version, again.changed, again.replayed, again.value) == (first.version, True, True, None)
    newest = alice.memory.add("k", "99", command_id="99", expected_version=100)
    assert (newest.replayed, newest.value) == (True, alice.memory.get()[-1])
    assert alice.memory.remove("0123456789ab").changed is False
    assert short.head() == head


def test_a_purge_and_a_trim_leave_nothing_of_before(short: treering.Store) -> None:
    """Nothing that waits to be the next beginning keeps what they took away."""
    alice = short.scope("alice")
    alice.memory.add("k", "a secret that is to go")
    for number in range(20):
        alice.memory.add("k", str(number))
    alice.memory.clear()
    for number in range(5):
        alice.memory.add("k", str(number))
    alice.memory.trim(keep=2)
    short.gc()
    assert not any(b"a secret" in bytes(short.blocks.get(block.cid)) for block in short.blocks.list())
    alice.memory.add("k", "another secret")
    for number in range(20):
        alice.memory.add("k", str(number))
    alice.memory.clear(purge=True)
    short.gc()
    assert not any(b"secret" in bytes(short.blocks.get(block.cid)) for block in short.blocks.list())


def test_what_follows_too_slowly(short: treering.Store) -> None:
    alice = short.scope("alice")
    projection = alice.projection("seen", kinds=["user-memory"], start=0)
    alice.memory.add("k", "first")
    watching, states = alice.memory.watch(after=1), alice.memory.states(after=1)
    assert projection.catch_up(lambda view, event, commit: view + 1).events == 1
    for number in range(100):
        alice.memory.add("k", str(number))
    info = alice.actor("user-memory").info()
    with pytest.raises(HistoryTrimmed):
        next(watching)
    assert next(states).version == info.oldest
    with pytest.raises(HistoryTrimmed):
        projection.catch_up(lambda view, event, commit: view + 1)
    gaps: list[Gap] = []

    def trimmed(view: int, gap: Gap, commit: Any) -> int:
        gaps.append(gap)
        return view

    done = projection.catch_up(lambda view, event, commit: view + 1, trimmed=trimmed)
    assert (gaps[0].seen, gaps[0].version, gaps[0].state) == (1, info.oldest, alice.memory.at(info.oldest))
    assert (done.events, projection.get().value) == (info.events + 1, 1 + info.events)


async def test_under_asyncio(tmp_path: Path) -> None:
    async with aio.open(tmp_path / "s", settings=SHORT) as store:
        alice = store.scope("alice")
        for number in range(60):
            await alice.memory.add("k", str(number))
        info = await alice.actor("user-memory").info()
        assert KEEP <= info.events < MOST
        assert await alice.memory.verify() == info.events
