"""A scope as it was before a part of its history was cut off: what is kept is shown, as it was, and nothing else is."""

import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whole import counted

import treering
from treering import HistoryTrimmed, Scope, Store, testing
from treering.messages import Message

DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True)
class Add:
    cents: int


@dataclass(frozen=True)
class Put:
    cents: int


@dataclass(frozen=True)
class Sum:
    total: int = 0


class Purse(treering.Actor[Sum, Add, Put]):
    kind = "purse"
    snapshot_every = 4

    def decide(self, state: Sum, command: Add, context: treering.ActorContext) -> list[Put]:
        # Some commits have several events.
        return [Put(command.cents)] * (1 + command.cents % 3)

    def evolve(self, state: Sum, event: Put) -> Sum:
        return Sum(state.total + event.cents)


def now(clock: testing.Clock) -> datetime:
    return datetime.fromtimestamp(clock.now_ms / 1000, UTC)


def cursor(store: Store) -> str:
    return list(store.journal())[-1].cursor


def collect(store: Store, clock: testing.Clock) -> None:
    clock.advance(2 * DAY_MS)
    store.gc()


ACTORS: dict[str, tuple[tuple[str, ...], Callable[[Scope, int], object], Callable[[Scope], Any]]] = {
    "user-memory": (
        ("user-memory",),
        lambda scope, nth: scope.memory.add("context", f"fact {nth}"),
        lambda scope: [entry.content for entry in scope.memory.get()],
    ),
    "user-config": (
        ("user-config",),
        lambda scope, nth: scope.user_config.update(default_model=f"model {nth}"),
        lambda scope: scope.user_config.get().default_model,
    ),
    "chat": (
        ("chat", "c"),
        lambda scope, nth: scope.chats.append("c", [Message(role="user", content=f"hello {nth}")] * (1 + nth % 2)),
        lambda scope: [message.content for message in scope.chats.messages("c")],
    ),
    "files": (
        ("files",),
        lambda scope, nth: scope.files.put(f"f{nth % 5}", str(nth).encode()),
        lambda scope: [(row.path, row.size) for row in scope.files.list()],
    ),
    "x.purse": (
        ("x.purse", "p"),
        lambda scope, nth: scope.own(Purse, "p").send(Add(nth)),
        lambda scope: scope.own(Purse, "p").get().state.total,
    ),
}


def looked(scope: Scope, actor: str) -> tuple[int, Any]:
    address, _, read = ACTORS[actor]
    return scope.actor(*address).info().version, read(scope)


def trim(scope: Scope, actor: str, **how: Any) -> None:
    if actor == "x.purse":  # only its class can fold its states
        scope.own(Purse, "p").trim(**how)
    else:
        scope.actor(*ACTORS[actor][0]).trim(**how)


@pytest.mark.parametrize("how", ["keep", "before", "scope", "setting"])
@pytest.mark.parametrize("actor", ACTORS)
def test_what_a_trim_kept_is_shown(clock: testing.Clock, actor: str, how: str) -> None:
    setting = treering.Settings(history_events=16) if how == "setting" else None
    with testing.memory(clock=clock, settings=setting) as store:
        alice = store.scope("alice")
        address, write, _ = ACTORS[actor]
        was: list[tuple[datetime, str, tuple[int, Any]]] = []
        for nth in range(150):
            clock.advance(10)
            write(alice, nth)
            was.append((now(clock), cursor(store), looked(alice, actor)))
        clock.advance(10)
        match how:
            case "keep":
                trim(alice, actor, keep=30)
            case "before":
                trim(alice, actor, before=was[100][0])
            case "scope":
                alice.trim(keep=30)
        collect(store, clock)
        oldest = alice.actor(*address).info().oldest
        assert oldest > 0
        shown = 0
        for when, place, expected in was:
            for moment in (when, place):
                past = alice.at(moment)
                names = {one.ref.kind for one in past.gone}
                if expected[0] < oldest:
                    assert actor in names
                    with pytest.raises(HistoryTrimmed):
                        looked(past, actor)
                    continue
                assert actor not in names
                assert looked(past, actor) == expected
                assert past.actor(*address).info().oldest == oldest
                shown += 1
        assert shown >= 2 * 15
        assert store.verify().ok


def test_it_can_be_compared_and_written_into_a_file(store: Store, clock: testing.Clock, tmp_path: Path) -> None:
    alice = store.scope("alice")
    for nth in range(40):
        clock.advance(1)
        alice.memory.add("context", f"fact {nth}", command_id=f"c{nth}")
    then = cursor(store)
    clock.advance(1)
    alice.memory.add("context", "more", command_id="more")
    alice.trim(keep=5)
    collect(store, clock)
    past = alice.at(then)
    assert past.gone == ()
    assert past.memory.verify() == 4
    assert [event.version for event in past.memory.history()] == [37, 38, 39, 40]
    assert [event.version for event in past.history() if event.event] == [40, 39, 38, 37]
    # Both stand in one log: what differs is told.
    assert [(one.left, one.right, one.common) for one in past.diff(alice).changed] == [(40, 41, 40)]
    past.export(tmp_path / "then.car")
    with treering.memory() as other:
        there = other.scope("alice")
        assert there.import_car(tmp_path / "then.car").new_receipts == 40
        assert [entry.content for entry in there.memory.get()] == [f"fact {nth}" for nth in range(40)]
        assert there.memory.add("context", "fact 3", command_id="c3").replayed
        assert not there.memory.add("context", "more", command_id="more").replayed
        assert there.verify()


def test_what_a_deletion_took_stays_gone(store: Store, clock: testing.Clock) -> None:
    """A list of conversations begins anew with each deletion, since it had the title; what was purged is purged."""
    alice = store.scope("alice")
    for nth in range(5):
        alice.chats.append(f"c{nth}", [Message(role="user", content=str(nth))])
        alice.memory.add("context", f"fact {nth}")
    alice.projection("kinds", kinds=["user-memory"], start={}).catch_up(counted)
    then = cursor(store)
    clock.advance(1)
    alice.chats.delete("c0")
    alice.memory.remove(alice.memory.get()[0].id, purge=True)
    alice.memory.add("context", "after")
    alice.projection("kinds", kinds=["user-memory"], start={}).catch_up(counted, trimmed=lambda view, gap, commit: view)
    collect(store, clock)
    past = alice.at(then)
    assert {str(one) for one in past.gone} == {
        "chat/c0: collected",
        "chat-index: collected",
        "user-memory: collected",
        "projection/kinds: collected",
    }
    assert [message.content for message in past.chats.messages("c3")] == ["3"]


def test_a_rule_that_is_carried_out_each_night(store: Store, clock: testing.Clock) -> None:
    """Also of moments between a trim and the next write, after later trims."""
    alice = store.scope("alice")
    was: list[tuple[datetime, list[str]]] = []
    for night in range(12):
        for nth in range(10):
            clock.advance(1000)
            alice.memory.add("context", f"{night} {nth}")
        clock.advance(1000)
        alice.trim(keep=35)
        clock.advance(1000)
        was.append((now(clock), [entry.content for entry in alice.memory.get()]))
        clock.advance(1000)
    collect(store, clock)
    assert alice.memory.info().oldest == 85
    for night, (when, expected) in enumerate(was):
        past = alice.at(when)
        if night < 8:  # version 80 and before
            assert [str(one) for one in past.gone] == ["user-memory: collected"]
        else:
            assert past.gone == ()
            assert [entry.content for entry in past.memory.get()] == expected


def test_within_a_millisecond_nothing_is_guessed(store: Store, clock: testing.Clock) -> None:
    alice = store.scope("alice")
    cursors = []
    for nth in range(4):
        alice.memory.add("context", str(nth))
        cursors.append(cursor(store))
    when = now(clock)
    clock.advance(1)
    alice.memory.add("context", "4")
    alice.actor("user-memory").trim(keep=4)
    collect(store, clock)
    # All of that millisecond are before the moment, or none of them.
    assert len(alice.at(when).memory.get()) == len(alice.at(cursors[3]).memory.get()) == 4
    for place in cursors[:3]:
        assert [str(one) for one in alice.at(place).gone] == ["user-memory: collected"]


def test_events_of_another_clock_are_not_taken_for_what_was_done_here(tmp_path: Path) -> None:
    clock, ahead = testing.Clock(), testing.Clock()
    with testing.memory(clock=clock) as store, testing.memory(clock=ahead) as other:
        alice, twin = store.scope("alice"), other.scope("alice")
        alice.memory.add("context", "here")
        alice.export(tmp_path / "there.car")
        twin.import_car(tmp_path / "there.car")
        for step in (1, 0, 1):
            ahead.advance(step)
            twin.memory.add("context", "elsewhere")
        twin.export(tmp_path / "back.car")
        assert alice.import_car(tmp_path / "back.car").actors == 1
        then = cursor(store)
        clock.advance(2)  # the millisecond of the newest event
        alice.actor("user-memory").trim(keep=1)
        collect(store, clock)
        assert [str(one) for one in alice.at(then).gone] == ["user-memory: collected"]


def test_events_that_came_later_were_not_there(tmp_path: Path) -> None:
    """Though their times are those of then."""
    clock, elsewhere = testing.Clock(), testing.Clock()
    with testing.memory(clock=clock) as store, testing.memory(clock=elsewhere) as other:
        alice, twin = store.scope("alice"), other.scope("alice")
        alice.memory.add("context", "here")
        then = cursor(store)
        alice.export(tmp_path / "there.car")
        twin.import_car(tmp_path / "there.car")
        twin.memory.add("context", "elsewhere")
        twin.export(tmp_path / "back.car")
        clock.advance(5)
        assert alice.import_car(tmp_path / "back.car").actors == 1
        clock.advance(5)
        alice.actor("user-memory").trim(keep=1)
        collect(store, clock)
        assert [str(one) for one in alice.at(then).gone] == ["user-memory: collected"]


class Each(Purse):
    kind = "each"
    snapshot_every = 1


@pytest.mark.parametrize("actor", [Purse, Each])
def test_with_no_snapshot_and_with_one_of_each_event(store: Store, clock: testing.Clock, actor: type[Purse]) -> None:
    alice = store.scope("alice")
    purse = alice.own(actor, "p")
    was = []
    for _ in range(3):
        clock.advance(1)
        purse.send(Add(3))
        was.append((now(clock), purse.get().state))
    clock.advance(1)
    purse.trim(keep=1)
    collect(store, clock)
    assert [one.ref.parts for one in alice.at(was[0][0]).gone] == [("p",)]
    for when, state in was[1:]:
        assert alice.at(when).gone == ()
        assert alice.at(when).own(actor, "p").get().state == state


def test_a_fork_that_was_cut_off(store: Store, clock: testing.Clock) -> None:
    alice = store.scope("alice")
    for nth in range(10):
        clock.advance(1)
        alice.memory.add("context", str(nth))
    clock.advance(1)
    bob = alice.fork("bob")
    at_once = now(clock)
    clock.advance(1)
    for nth in range(10):
        clock.advance(1)
        bob.memory.add("context", f"of bob {nth}")
    then = now(clock)
    clock.advance(1)
    bob.memory.add("context", "more")
    for scope in (alice, bob):
        scope.trim(keep=15)
    assert bob.at(at_once).gone == ()
    collect(store, clock)
    assert len(bob.at(then).memory.get()) == 20
    # As alice still has it.
    assert len(bob.at(at_once).memory.get()) == 10
    alice.trim(keep=0)
    collect(store, clock)
    assert [str(one) for one in bob.at(at_once).gone] == ["user-memory: collected"]
    assert len(bob.at(then).memory.get()) == 20


def test_a_commit_in_between_that_is_lost(tmp_path: Path) -> None:
    clock = testing.Clock()
    cursors = []
    with testing.open(tmp_path / "s", clock=clock) as store:
        alice = store.scope("alice")
        for nth in range(20):
            clock.advance(1)
            alice.memory.add("context", str(nth))
            cursors.append(cursor(store))
        clock.advance(1)
        alice.trim(keep=10)
        collect(store, clock)
        assert alice.at(cursors[14]).gone == ()
    database = sqlite3.connect(next((tmp_path / "s").glob("*.db*")))
    database.execute("UPDATE journal SET body = x'00' WHERE position = 17")
    database.commit()
    database.close()
    with testing.open(tmp_path / "s", clock=clock) as store:
        store.give_up_commit(17)
        alice = store.scope("alice")
        for nth in range(11, 20):
            past = alice.at(cursors[nth])
            if nth + 1 < 18:
                assert [one.ref.kind for one in past.gone] == ["user-memory"]
            else:
                assert len(past.memory.get()) == nth + 1


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(["user-memory", "user-config", "x.purse"]), st.integers(0, 9)),
        st.tuples(st.just("both"), st.just(""), st.integers(1, 3)),
        st.tuples(st.just("trim"), st.sampled_from(["user-memory", "user-config", "x.purse"]), st.integers(0, 4)),
        st.tuples(st.just("trim all"), st.just(""), st.integers(0, 4)),
        st.tuples(st.just("purge"), st.just(""), st.just(0)),
        st.tuples(st.just("tick"), st.just(""), st.integers(1, 3)),
        st.tuples(st.just("elsewhere"), st.sampled_from(["user-memory", "x.purse"]), st.integers(0, 2)),
        st.tuples(st.just("collect"), st.just(""), st.just(0)),
    ),
    min_size=5,
    max_size=25,
)


@settings(max_examples=30, deadline=None)
@given(STEPS, st.booleans())
def test_nothing_is_shown_that_was_not_so(steps: list[tuple[str, str, int]], ticking: bool) -> None:
    """Whatever was written, cut off, brought from elsewhere and collected, in one millisecond or in several."""
    actors = ["user-memory", "user-config", "x.purse"]
    clock, elsewhere = testing.Clock(), testing.Clock()
    with testing.memory(clock=clock) as store, testing.memory(clock=elsewhere) as other:
        alice, twin = store.scope("alice"), other.scope("alice")
        was: list[tuple[str, datetime, dict[str, tuple[int, Any]]]] = []
        brought = False
        for nth, (verb, actor, number) in enumerate(steps):
            if ticking:
                clock.advance(1)
            match verb:
                case "write":
                    ACTORS[actor][1](alice, number + 10 * nth)
                case "both":
                    with alice.commit() as c:
                        for _ in range(number):
                            c.memory.add("context", f"both {nth}")
                            c.user_config.update(default_model=f"both {nth}")
                case "trim" if alice.actor(*ACTORS[actor][0]).info().version:
                    trim(alice, actor, keep=number)
                case "trim all":
                    alice.trim(keep=number)
                case "purge" if alice.memory.get():
                    alice.memory.remove(alice.memory.get()[0].id, purge=True)
                case "tick":
                    clock.advance(number)
                case "elsewhere":
                    brought |= travelled(alice, twin, actor, number, clock, elsewhere)
                case "collect":
                    collect(store, clock)
            if store.head() != "0":
                kept = {actor: looked(alice, actor) for actor in actors}
                entries = list(store.journal())
                if entries:
                    was.append((entries[-1].cursor, now(clock), kept))
        collect(store, clock)
        oldest = {actor: alice.actor(*ACTORS[actor][0]).info().oldest for actor in actors}
        for nth, (place, when, kept) in enumerate(was):
            moments: list[str | datetime] = [place]
            if nth + 1 == len(was) or was[nth + 1][1] > when:
                moments.append(when)
            for moment in moments:
                past = alice.at(moment)
                gone = {one.ref.kind for one in past.gone}
                for actor, expected in kept.items():
                    if actor not in gone:
                        assert looked(past, actor) == expected
                    elif expected[0] >= oldest[actor]:
                        # It is kept: where times and commits tell all, it is found.
                        # A cut of an own actor shows by its snapshot, if it has one.
                        assert brought or not ticking or actor == "x.purse"
        assert store.verify().ok


def travelled(
    alice: Scope, twin: Scope, actor: str, number: int, clock: testing.Clock, elsewhere: testing.Clock
) -> bool:
    """Whether another store, whose clock is behind or ahead, wrote something more that was brought back.

    Never in the very millisecond of a commit here: what was there is told by times, and two that coincide tell a wrong
    one.
    """
    elsewhere.advance(clock.now_ms - elsewhere.now_ms + (number - 1) * 3_600_000 + 1_800_000)
    with tempfile.TemporaryDirectory() as folder:
        alice.export(f"{folder}/there.car")
        try:
            twin.import_car(f"{folder}/there.car")
        except treering.TreeringError:
            return False  # it was there before, and went its own way
        for nth in range(number + 1):
            ACTORS[actor][1](twin, nth)
            elsewhere.advance(nth)
        twin.export(f"{folder}/back.car")
        alice.import_car(f"{folder}/back.car")
    return True
