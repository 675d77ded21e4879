"""Deciders that are not pure: caught in development and in tests, each by what it does; and what is no fault of
theirs."""

import _strptime
import datetime as dt
import io
import logging
import os
import pathlib
import random
import secrets
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, make_dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import treering
from treering import ImpureDecider, Invalid, Rejected, Settings, testing
from treering.testing import given

CALLS: list[int] = []
COUNT = count()


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
    **{
        module.__name__: module
        for module in (io, logging, os, pathlib, random, secrets, socket, threading, time, uuid, treering)
    },
    "dt": dt,
    "CALLS": CALLS,
    "SEEDED": random.Random(3),
    "OPENED": Path(__file__).open(),  # noqa: SIM115 - it stands open while somebody decides
    "HOME": testing.memory().scope("alice"),
}
exec("import time\ndef helper(): return time.time() > 0", helpers := {"__name__": "logging_helpers"})
NAMES["helper"] = helpers["helper"]


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


NAMES["Doer"] = Doer


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
    "random.Random().random() > 2": "random.",
    "SEEDED.random() > 2": "random.random",
    "random.SystemRandom().random() > 2": "urandom",
    "time.strftime('%Y')": "time.strftime",
    "time.ctime()": "time.ctime",
    "time.asctime()": "time.asctime",
    "time.clock_gettime(0) > 0": "time.clock_gettime",
    "time.clock_gettime_ns(0) > 0": "time.clock_gettime_ns",
    "helper()": "time.time",
    "os.getrandom(1) and 1": "os.getrandom",
    "os.close(os.open(os.devnull, 0))": "os.open",
    "os.stat('.').st_uid": "os.stat",
    "len(os.listdir('.')) and 1": "os.listdir",
    "pathlib.Path('.').exists()": "os.stat",
    "pathlib.Path(os.devnull).read_text()": "open",
    "OPENED.read()": "read",
    "os.getpid()": "os.getpid",
    "socket.gethostname()": "socket.gethostname",
    "threading.Thread(target=int).start()": "start_new_thread",
    "len(HOME.memory.get())": "of a store",
    "HOME.own(Doer, 'other').info().version": "of a store",
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
    "random.Random(3).random()",
    "random.Random('a text').choice('abc')",
    "random.Random(context.at_ms).sample(range(9), 3)",
    "str(pathlib.PurePosixPath('/a') / 'b' / '..')",
    "os.path.join(os.path.normpath('a/../b'), 'c')",
    "__import__('colorsys').rgb_to_hls(0, 0, 0)",
    "io.StringIO('a').read()",
    "dt.datetime(2026, 1, 2).strftime('%d.%m.%Y')",
    "dt.datetime.strptime('2026-01-02', '%Y-%m-%d').isoformat()",
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
    # What strptime knows of the language is asked for once, and whenever that is another one.
    _strptime._TimeRE_cache.locale_time.lang = None  # type: ignore[attr-defined]
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


def writes(scope: treering.Scope, path: Path = Path("nowhere")) -> dict[str, Callable[[], object]]:
    def in_a_commit() -> None:
        with scope.commit() as c:
            c.memory.add("k", "v")

    doer, other = scope.own(Doer, "a"), scope.own(Doer, "b")
    store = treering.Store(scope._home.session)
    return {
        "its own": lambda: doer.send(Do("1")),
        "another one": lambda: other.send(Do("1")),
        "trim": lambda: doer.trim(keep=0),
        "rebuild": doer.rebuild,
        "delete": doer.delete,
        "memory": lambda: scope.memory.add("k", "v"),
        "files": lambda: scope.files.put("a", b"b"),
        "a commit": in_a_commit,
        "a thread": lambda: scope.threads.start("t"),
        "a fork": lambda: scope.fork("another"),
        "erase": scope.erase,
        "memory's rebuild": scope.memory.rebuild,
        "a repair": lambda: store.verify(repair=True),
        "a backup": lambda: store.backup(path / "backup"),
        "a copy": lambda: store.copy_to(treering.memory()),
        "a restore": lambda: treering.restore(path / "backup", path / "restored"),
        "another store": lambda: treering.open(path / "new"),
        "an export": lambda: scope.export(path / "file.car"),
        "erasures": lambda: store.export_erasures(path / "erasures"),
        # Who decides has the turn for which it waits.
        "get": lambda: doer.get().version,
        "get another one": lambda: other.get().version,
    }


@pytest.mark.parametrize("method", ["decide", "evolve"])
@pytest.mark.parametrize("what", writes(testing.memory().scope("alice")))
@pytest.mark.parametrize("development", [False, True])
def test_nothing_is_written_by_who_decides(what: str, method: str, development: bool, tmp_path: Path) -> None:
    """Nor is an actor of one's own read: two that read each other would wait for each other."""
    store = treering.memory(settings=Settings(development=development))
    scope = store.scope("alice")
    doer = scope.own(Doer, "a")
    doer.send(Do("1"))
    commits = len(list(store.journal()))
    NAMES["IT"] = writes(scope, tmp_path)[what]
    with pytest.raises(ImpureDecider) as impure:
        doer.send(Do("IT()" if method == "decide" else "evolve: IT()"))
    assert impure.value.attributes == {"actor": "x.doer", "method": method}
    assert len(list(store.journal())) == commits
    assert not list(tmp_path.iterdir())
    # Nothing is left of it: the actor goes on, and this thread writes.
    assert (doer.get().version, doer.send(Do("1")).version) == (1, 2)
    assert scope.memory.add("k", "v").changed


def test_a_default_that_changes() -> None:
    """What an actor begins with is stored nowhere, nor what a field is that an old event lacks."""

    def made(state: type, event: type) -> None:
        class Wrong(treering.Actor[state, Do, event]):  # type: ignore[valid-type]
            kind = "wrong"

            def decide(self, state: Any, command: Do, context: treering.ActorContext) -> None:
                return None

            def evolve(self, state: Any, event: Any) -> Any:
                return state

    for factory in (lambda: uuid.uuid4().hex, lambda: str(next(COUNT)), lambda: str(time.time() > 0)):
        odd = make_dataclass("Odd", [("a", int, 1), ("id", str, field(default_factory=factory))], frozen=True)
        with pytest.raises(Invalid, match=r"begins with something else each time|time\.time"):
            made(odd, Done)
        with pytest.raises(Invalid, match=r"has another default each time|time\.time"):
            made(Kept, odd)
        # A command is made by who sends it.
        treering.Actor[Kept, odd, Done]  # type: ignore[valid-type]
    with pytest.raises(Invalid, match=r"Odd\.id begins with something else each time \(os\.urandom\)"):
        made(make_dataclass("Odd", [("id", str, field(default_factory=lambda: uuid.uuid4().hex))], frozen=True), Done)
