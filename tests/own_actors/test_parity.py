"""That an actor of one's own is read, followed and cut off as a built-in one is: the same life, asked the same way."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tickets import Note, Open, Ticket

from treering import HistoryTrimmed, NotFound, Scope, Store, testing
from treering.messages import Message

COUNT = 40


@dataclass(frozen=True)
class Asked:
    """One actor, by whatever its verbs are called."""

    verbs: Any
    write: Callable[[int], Any]
    count: Callable[[Any], int]
    """How much of what was written a state has."""
    of: tuple[str, ...] = ()
    """What each verb is told before anything else."""
    at_: str = "at"

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **kwargs: getattr(self.verbs, name)(*self.of, *args, **kwargs)

    def state_at(self, version: int) -> int:
        found = getattr(self.verbs, self.at_)(*self.of, version)
        return self.count(found)


def own(scope: Scope) -> Asked:
    ticket = scope.own(Ticket, "T-1")

    def write(number: int) -> None:
        ticket.send(Note(f"{number}") if number > 1 else Open("first"))

    def count(at: Any) -> int:
        return int(at.state.status != "new") + len(at.state.notes)

    return Asked(ticket, write, count)


def user_config(scope: Scope) -> Asked:
    store = scope.user_config
    return Asked(store, lambda number: store.update(max_tool_rounds=number), lambda config: config.max_tool_rounds)


def memory(scope: Scope) -> Asked:
    store = scope.memory
    return Asked(store, lambda number: store.add("context", f"fact {number}"), len)


def chat(scope: Scope) -> Asked:
    store = scope.chats
    return Asked(store, lambda number: store.append("c", [Message(content=str(number))]), len, ("c",))


def scripts(scope: Scope) -> Asked:
    store = scope.scripts
    return Asked(store, lambda number: store.upload(f"{number:03}", "x"), len, at_="list")


KINDS = [own, user_config, memory, chat, scripts]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keep", [COUNT, 17, 1, 0])
def test_a_life(store: Store, clock: testing.Clock, kind: Callable[[Scope], Asked], keep: int) -> None:
    start = datetime.fromtimestamp(clock.now_ms / 1000, UTC)
    actor = kind(store.scope("alice"))
    assert (actor.info().version, list(actor.history()), actor.info().at_ms) == (0, [], None)
    states: Iterator[Any] = actor.states()
    assert actor.count(next(states)) == 0
    events: Iterator[Any] = actor.watch()
    for number in range(1, COUNT + 1):
        clock.advance(60_000)
        actor.write(number)
    # Each commit, in order, and none left out.
    assert [actor.count(next(states)) for _ in range(COUNT)] == list(range(1, COUNT + 1))
    assert [next(events).version for _ in range(COUNT)] == list(range(1, COUNT + 1))
    assert actor.count(next(actor.states(after=COUNT - 1))) == COUNT
    seen = list(actor.history())
    assert [event.version for event in seen] == list(range(1, COUNT + 1))
    assert [event.version for event in actor.history(first=7, last=9)] == [7, 8, 9]
    assert [event.version for event in actor.history(last=2)] == [1, 2]
    info = actor.info()
    assert (info.version, info.oldest, info.events, info.deleted_at_ms) == (COUNT, 0, COUNT, None)
    assert info.at_ms == seen[-1].at_ms
    for version in range(COUNT + 1):
        assert actor.state_at(version) == version
        assert actor.version_at(start + version * timedelta(minutes=1)) == version
    with pytest.raises(NotFound):
        actor.state_at(COUNT + 1)
    with pytest.raises(NotFound):
        actor.states(after=COUNT + 1).__next__()
    assert (actor.verify(), actor.rebuild(), actor.verify()) == (COUNT, COUNT, COUNT)

    # Cut off: it begins with what is kept, without a word where nobody asked for more.
    oldest = COUNT - keep
    assert actor.trim(keep=keep).dropped == oldest
    store.gc()
    kept = list(actor.history())
    assert [(event.version, event.event_id, event.message) for event in kept] == [
        (event.version, event.event_id, event.message) for event in seen[oldest:]
    ]
    assert (actor.info().oldest, actor.info().events) == (oldest, keep)
    assert [event.version for event in actor.history(last=COUNT - 1)] == list(range(oldest + 1, COUNT))
    assert actor.state_at(oldest) == oldest
    if oldest:
        # The oldest event that is kept, or the oldest state.
        for call, first in (
            (lambda: list(actor.history(first=oldest)), oldest + 1),
            (lambda: next(actor.watch(oldest - 1)), oldest + 1),
            (lambda: actor.state_at(oldest - 1), oldest),
            (lambda: actor.version_at(start), oldest),
        ):
            with pytest.raises(HistoryTrimmed) as trimmed:
                call()
            assert trimmed.value.oldest == first  # type: ignore[attr-defined]
    assert actor.verify() == keep
    # What goes on goes on, for those who follow too.
    actor.write(COUNT + 1)
    assert actor.count(next(states)) == COUNT + 1
    assert next(events).version == COUNT + 1
    assert next(reversed(list(actor.history()))).version == COUNT + 1


@pytest.mark.parametrize("kind", KINDS)
def test_cut_off_while_it_is_read(store: Store, kind: Callable[[Scope], Asked]) -> None:
    """A gap in the middle is never passed over: who has begun to read is told."""
    actor = kind(store.scope("alice"))
    for number in range(1, 400):
        actor.write(number)
    reading = actor.history()
    assert next(reading).version == 1
    actor.trim(keep=0)
    store.gc()
    versions = [1]
    with pytest.raises(HistoryTrimmed):
        versions += [event.version for event in reading]
    assert list(actor.history()) == []
