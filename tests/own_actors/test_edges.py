"""What a decider or an evolver may do that nobody expects: each is said by name, and nothing is lost of it."""

import asyncio
import copy
import pickle
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import treering
from treering import Invalid, LimitExceeded, NotFound, Scope, aio, testing
from treering.own.context import context_of
from treering.own.rules import EVENTS_MAX
from treering.testing import given


@dataclass(frozen=True)
class Do:
    what: str
    count: int = 0


@dataclass(frozen=True)
class Done:
    what: str = ""


@dataclass(frozen=True)
class Count:
    count: int = 0


NOTHING: Iterator[Any] = iter(())


class Doer(treering.Actor[Count, Do, Done]):
    kind = "edge"
    given = 0

    def decide(self, state: Count, command: Do, context: treering.ActorContext) -> Any:
        match command.what:
            case "next":
                return next(NOTHING)
            case "generator":
                return self._endless(command.count)
            case "list":
                return [Done()] * command.count
        return Done(command.what)

    def _endless(self, count: int) -> Iterator[Done]:
        Doer.given = 0
        while Doer.given < count or count < 0:
            Doer.given += 1
            yield Done()

    def evolve(self, state: Count, event: Done) -> Count:
        return next(NOTHING) if event.what == "evolve" else Count(state.count + 1)


@pytest.mark.parametrize(("what", "method"), [("next", "decide"), ("evolve", "evolve")])
def test_a_next_with_nothing_to_give(store: treering.Store, alice: Scope, what: str, method: str) -> None:
    doer = alice.own(Doer, "1")
    with pytest.raises(Invalid, match=rf"Doer\.{method} raised StopIteration"):
        doer.send(Do(what))
    with pytest.raises(Invalid, match="StopIteration"), alice.commit() as c:
        c.own(Doer, "1").send(Do(what))

    async def awaited() -> None:
        with pytest.raises(Invalid, match="StopIteration"):
            await testing.as_async(store).scope("alice").own(Doer, "1").send(Do(what))

    asyncio.run(awaited())
    if what == "next":
        given(Doer).when(Do(what)).then_rejected(Invalid, "StopIteration")
    assert (doer.get().version, doer.send(Do("x")).version) == (0, 1)


def test_a_next_with_nothing_to_give_in_an_upcast(alice: Scope) -> None:
    alice.own(Doer, "1").send(Do("x"))

    class Newer(Doer):
        kind = "edge"
        schema = 2

        @treering.upcast(1)
        def _lift(self, type: str, fields: dict[str, Any]) -> Any:
            return next(NOTHING)

    with pytest.raises(Invalid, match=r"Newer\._lift raised StopIteration"):
        alice.own(Newer, "1").get()


@pytest.mark.parametrize("what", ["list", "generator"])
def test_events_of_one_command_have_a_limit(what: str) -> None:
    doer = treering.memory().scope("alice").own(Doer, "1")
    assert doer.send(Do(what, EVENTS_MAX)).version == EVENTS_MAX == 10_000
    for count in (EVENTS_MAX + 1, *([-1] if what == "generator" else [])):
        with pytest.raises(LimitExceeded, match="10,000 events") as refused:
            doer.send(Do(what, count))
        assert (refused.value.limit, refused.value.actual) == (EVENTS_MAX, EVENTS_MAX + 1)
    # One that has no end is asked for one more than it may give.
    assert what == "list" or Doer.given == EVENTS_MAX + 1
    assert (doer.get().version, doer.send(Do("x")).version) == (EVENTS_MAX, EVENTS_MAX + 1)
    # What happened before is none of one command.
    assert given(Doer, *[Done()] * 3).when(Do(what, 3)).then(Done(), Done(), Done()).state == Count(6)


def test_what_is_no_moment(alice: Scope) -> None:
    doer = alice.own(Doer, "1")
    doer.send(Do("x"))
    wrong: Any
    for wrong in (5, None, "2026-01-02", 1.5, datetime(2026, 1, 2).date(), datetime(2026, 1, 2)):
        for of in (doer, alice.memory, alice.actor("x.edge", "1")):
            with pytest.raises(Invalid, match="datetime"):
                of.version_at(wrong)
    assert doer.version_at(datetime(2999, 1, 1, tzinfo=UTC)) == 1
    with pytest.raises(NotFound):
        doer.at(2)


def test_an_awaited_file_is_read_to_its_end(tmp_path: Path) -> None:
    """As Python's own: by None, by a negative number, and by what is left out."""

    async def life() -> None:
        async with aio.open(tmp_path / "s") as store:
            files = store.scope("alice").files
            await files.put("a", data := bytes(range(256)) * 3000)
            for size in ((), (None,), (-1,), (10**20,)):
                async with await files.open("a") as file:
                    assert (await file.read(3), await file.read(*size)) == (data[:3], data[3:])
                    assert await file.read(*size) == b""

    asyncio.run(life())


def test_chance_is_seeded_when_it_is_asked_for() -> None:
    """And is the same as if it had been seeded at once, for whoever asks in whichever way."""
    made = [context_of(7, ("1",), 3, "bob", b"seed") for _ in range(5)]
    given_at_once = treering.ActorContext(
        at_ms=7, parts=("1",), version=3, principal="bob", random=random.Random(b"seed")
    )
    expected = given_at_once.random.random()
    assert made[0].random.random() == expected
    assert replace(made[1], version=4).random.random() == expected
    assert copy.copy(made[2]).random.random() == expected
    assert pickle.loads(pickle.dumps(made[3])).random.random() == expected
    assert made[4].random is made[4].random
    assert "random=<random.Random" in repr(made[4])
    with pytest.raises(AttributeError):
        made[0].clock  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(given_at_once, "clock")


@dataclass(frozen=True)
class Kept:
    whole: tuple[str, ...] = ()
    last: float = 0.0


class Keeper(treering.Actor[Kept, Do, Done]):
    """Keeps all that it is told; an `x` for each byte."""

    kind = "keeper"

    def decide(self, state: Kept, command: Do, context: treering.ActorContext) -> Done:
        return Done(command.what)

    def evolve(self, state: Kept, event: Done) -> Kept:
        if event.what == "forget":
            return Kept()
        if event.what == "nan":
            return replace(state, last=float("nan"))
        return replace(state, whole=(*state.whole, event.what))


@pytest.mark.parametrize("development", [True, False])
def test_a_state_that_can_not_be_stored_is_refused_with_the_command_that_would_lead_to_it(development: bool) -> None:
    with treering.memory(settings=treering.Settings(development=development)) as store:
        scope = store.scope("alice")
        keeper = scope.own(Keeper, "1")
        for _ in range(5):
            keeper.send(Do("x" * 200_000))
        with pytest.raises(LimitExceeded):
            keeper.send(Do("x" * 200_000))
        with pytest.raises(LimitExceeded), scope.commit() as commit:
            commit.own(Keeper, "1").send(Do("x" * 200_000))
        with pytest.raises(treering.TreeringError):
            keeper.send(Do("nan"))
        assert keeper.get().version == 5
        # As full as it can be: a snapshot of it is taken whenever one is due.
        for size in (40_000, 4_000, 400, 40, 1):
            for _ in range(100):
                try:
                    keeper.send(Do("y" * size))
                except LimitExceeded:
                    break
        full = keeper.get()
        assert full.version > 16
        assert keeper.rebuild() == full.version
        assert keeper.trim(keep=2).changed
        assert keeper.get().state == full.state
        keeper.send(Do("forget"))
        assert keeper.get().state == Kept()
