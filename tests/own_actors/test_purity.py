"""Deciders that are not pure: caught in development and in tests, each by what it does; and what is no fault of
theirs."""

import datetime as dt
import logging
import os
import random
import secrets
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

import treering
from treering import ImpureDecider, Invalid, Rejected, Settings, testing
from treering.testing import given

CALLS: list[int] = []


@dataclass(frozen=True)
class Do:
    how: str
    labels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    what: str
    how: str = ""


@dataclass(frozen=True)
class Kept:
    count: int = 0
    what: str = ""


NAMES: dict[str, Any] = {
    **{module.__name__: module for module in (logging, os, random, secrets, time, uuid, treering)},
    "dt": dt,
    "CALLS": CALLS,
}


class Doer(treering.Actor[Kept, Do, Done]):
    """Does what a command says, in `decide`; what an event says, in `evolve`."""

    kind = "doer"

    def decide(self, state: Kept, command: Do, context: treering.ActorContext) -> Done:
        if command.how.startswith("evolve: "):
            return Done("", command.how.removeprefix("evolve: "))
        return Done(str(eval(command.how, NAMES, {"state": state, "command": command, "context": context})))

    def evolve(self, state: Kept, event: Done) -> Kept:
        what = str(eval(event.how, NAMES, {"state": state, "event": event})) if event.how else event.what
        return Kept(state.count + 1, what)


IMPURE = {
    "time.time()": "time.time",
    "time.time_ns()": "time.time_ns",
    "time.monotonic()": "time.monotonic",
    "time.gmtime()": "time.gmtime",
    "dt.datetime.now()": "datetime.now",
    "dt.datetime.now(dt.UTC).year": "datetime.now",
    "dt.date.today().year": "date.today",
    "random.random() > 2": "random.random",
    "random.randint(1, 1)": "random.",
    "random.Random(3).random()": "random.",
    "uuid.uuid4().version": "urandom",
    "len(os.urandom(3))": "urandom",
    "len(secrets.token_hex())": "urandom",
    "open(os.devnull).close()": "open",
    "CALLS.append(1) or len(CALLS)": "for the same again",
}
FINE = [
    "1 + 1",
    "context.random.random()",
    "context.random.choice('abc')",
    "context.new_id()",
    "context.at_ms",
    "dt.datetime.fromtimestamp(context.at_ms / 1000, dt.UTC).isoformat()",
    "logging.getLogger('x').debug('said')",
    "sorted({'a', 'b'})",
]


@pytest.mark.parametrize(("how", "says"), IMPURE.items())
def test_a_decider_that_is_not_pure(how: str, says: str) -> None:
    with pytest.raises(ImpureDecider) as impure:
        given(Doer).when(Do(how))
    assert says in str(impure.value)
    assert impure.value.attributes == {"actor": "x.doer", "method": "decide"}
    store = testing.memory()
    with pytest.raises(ImpureDecider, match=r"Doer\.decide is not pure"):
        store.scope("alice").own(Doer, "a").send(Do(how))
    assert (list(store.scope("alice").actors()), store.scope("alice").own(Doer, "a").get().version) == ([], 0)
    # Without development mode it is the user's own affair.
    treering.memory().scope("alice").own(Doer, "a").send(Do(how))


@pytest.mark.parametrize("how", IMPURE)
def test_an_evolver_that_is_not_pure(how: str) -> None:
    store = testing.memory()
    doer = store.scope("alice").own(Doer, "a")
    with pytest.raises(ImpureDecider, match=r"Doer\.evolve is not pure"):
        doer.send(Do(f"evolve: {how}"))
    with pytest.raises(ImpureDecider) as impure:
        given(Doer, Done("", how))
    assert impure.value.method == "evolve"
    assert doer.get().version == 0


@pytest.mark.parametrize("how", FINE)
def test_what_is_pure_is_left_alone(how: str) -> None:
    first, again = (given(Doer).when(Do(how)) for _ in range(2))
    assert first.events == again.events
    assert first.error is None
    assert testing.memory().scope("alice").own(Doer, "a").send(Do(how)).version == 1


@pytest.mark.parametrize(
    "how",
    [
        "object.__setattr__(state, 'count', 5)",
        "object.__setattr__(command, 'how', '1')",
        "dict.update(command.labels, a=2)",
    ],
)
def test_what_changes_what_it_was_given(how: str) -> None:
    with pytest.raises(ImpureDecider, match="it changed the state or the command"):
        testing.memory().scope("alice").own(Doer, "a").send(Do(how, {"a": 1}))
    with pytest.raises(ImpureDecider, match="it changed the state"):
        given(Doer).when(Do("evolve: object.__setattr__(state, 'count', 5)"))


def test_chance_is_another_one_for_each_command_and_the_same_for_each_try() -> None:
    doer = testing.memory().scope("alice").own(Doer, "a")
    drawn = {doer.send(Do("context.random.random()")).value for _ in range(20)}
    assert len(drawn) == 20
    ids = [doer.send(Do("context.new_id()")).value.what for _ in range(20)]  # type: ignore[union-attr]
    assert len(set(ids)) == 20
    assert all(len(one) == 26 for one in ids)


def test_what_watches_leaves_no_trace() -> None:
    seen: list[str] = []

    def profile(frame: Any, event: str, argument: Any) -> None:
        seen.append(event)

    sys.setprofile(profile)
    try:
        given(Doer).when(Do("1")).then(Done("1"))
        assert sys.getprofile() is profile
    finally:
        sys.setprofile(None)
    # Another thread's clock is nobody's business.
    stop = threading.Event()
    other = threading.Thread(target=lambda: [time.time() for _ in iter(stop.is_set, True)])
    other.start()
    try:
        for _ in range(50):
            given(Doer).when(Do("1")).then(Done("1"))
    finally:
        stop.set()
        other.join()


def test_given_when_then() -> None:
    assert given(Doer).state == Kept()
    after = given(Doer, Done("a"), Done("b"))
    assert after.state == Kept(2, "b")
    decided = after.when(Do("context.version"))
    assert (decided.events, decided.state, decided.error) == ([Done("2")], Kept(3, "2"), None)
    assert decided.then(Done("2")).when(Do("context.parts[0]")).then(Done("1")).state == Kept(4, "1")
    assert (
        given(Doer, parts=("T-9",))
        .when(Do("context.parts[0] + context.principal"), principal="bob")
        .then(Done("T-9bob"))
    )
    assert given(Doer).when(Do("context.at_ms"), at_ms=7).events == [Done("7")]
    with pytest.raises(AssertionError, match="what happened"):
        decided.then(Done("3"))
    with pytest.raises(AssertionError, match="what happened"):
        decided.then()
    with pytest.raises(AssertionError, match="was not rejected"):
        decided.then_rejected(Rejected)
    refused = after.when(Do("(_ for _ in ()).throw(treering.Rejected('no'))"))
    refused.then_rejected(Rejected, "no")
    refused.then_rejected(Invalid)
    assert (refused.state, refused.events) == (after.state, [])
    with pytest.raises(AssertionError, match="rejected"):
        refused.then(Done("2"))
    for wrong in (lambda: refused.then_rejected(Rejected, "yes"), lambda: refused.then_rejected(KeyError)):
        with pytest.raises(AssertionError, match="rejected with"):
            wrong()
    with pytest.raises(Invalid):
        given(Doer, Kept())  # type: ignore[arg-type]
    with pytest.raises(Invalid, match="how"):
        given(Doer).when(Do(3))  # type: ignore[arg-type]


def test_development_is_a_setting() -> None:
    assert not Settings().development
    with pytest.raises(Invalid):
        Settings(development=1)  # type: ignore[arg-type]
    store = treering.memory(settings=Settings(development=True))
    with pytest.raises(ImpureDecider):
        store.scope("a").own(Doer).send(Do("time.time()"))
    testing.memory(settings=Settings()).scope("a").own(Doer).send(Do("time.time()"))


def test_a_decider_that_sends() -> None:
    store = treering.memory()
    with pytest.raises(ImpureDecider, match="answer events instead"):  # noqa: PT012
        NAMES["Do"], NAMES["HERE"] = Do, store.scope("alice").own(Doer, "a")
        store.scope("alice").own(Doer, "a").send(Do("HERE.send(Do('1'))"))
    assert store.scope("alice").own(Doer, "a").get().version == 0
