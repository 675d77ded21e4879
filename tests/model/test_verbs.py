"""That the model plays every public verb, sync and async: a new one is played, or named here with the reason why not.

A scene goes through all rules of the machine once, by one player, and what it calls is noted on the classes themselves.
So a verb counts as played only if a rule of the random test really calls it, and the store is compared after each.
"""

import inspect
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import treering
from treering import aio
from treering._calls import call_of

sys.path.insert(0, str(Path(__file__).parent))

from machine import AWAITED, PLAIN, Embedded, Machine, end_children

CLASSES = [name for name in aio.__all__ if inspect.isclass(getattr(aio, name))]
# No derived classes: `await open(…)`, and an open file, which is one of Python's own where nothing is awaited.
CLASSES = [name for name in CLASSES if name not in ("Opening", "FileReader")]
FUNCTIONS = [name for name in aio.__all__ if not inspect.isclass(getattr(aio, name))]
OPERATORS = {"__enter__", "__exit__", "__iter__", "__reversed__", "__getitem__", "__len__"}
SYNC_NAMES = {"__aenter__": "__enter__", "__aexit__": "__exit__", "__aiter__": "__iter__"}
NOT_PLAYED = {
    "Store.counters": "what this process did, not what the store holds: tests/api/test_store.py counts it exactly",
    "Store.scoped": "another way to the stores: tests/stores plays it",
    "Scope.on_behalf_of": "the stores' own: tests/stores plays it",
    "Scope.with_workspace": "the stores' own: tests/stores/test_mirror.py plays it",
    "Store.unfinished_forks": "whole scopes: tests/scopes plays it",
    "Scope.fork": "whole scopes: tests/scopes plays it, against plain models",
    "Scope.at": "whole scopes: tests/scopes plays it",
    "Scope.diff": "whole scopes: tests/scopes plays it",
    "Scope.verify": "whole scopes: tests/scopes plays it",
    "Scope.lineage": "whole scopes: tests/scopes plays it",
    "Scope.discard_fork": "whole scopes: tests/scopes plays it",
    "Scope.actor": "the stores' own: tests/cli/test_actors.py and tests/upgrade/test_actors.py play it",
    "Scope.actors": "the stores' own: tests/cli/test_actors.py and tests/upgrade/test_actors.py play it",
    "Scope.history": "the stores' own: tests/cli/test_actors.py plays it",
    "Scope.own": "own actors: tests/own_actors plays it, against a plain fold too",
    "Commit.own": "own actors: tests/own_actors/test_commit.py plays it",
    "Scope.projection": "projections: tests/projections plays it, against a plain fold too",
    "Scope.projections": "projections: tests/projections plays it",
    "Scope.erase": "tests/erasure plays it",
    "Scope.trim": "tests/erasure plays it",
    "Store.trim": "tests/erasure plays it",
    "Store.erasures": "tests/erasure plays it",
    "Store.export_erasures": "tests/erasure plays it",
    "Store.vacuum": "tests/erasure plays it",
    "Blocks.vector": "collections: tests/collections plays it",
    "Blocks.map": "collections: tests/collections plays it",
}
CLASSES_NOT_PLAYED = {
    "ActorHandle": "tests/cli/test_actors.py, tests/actors and tests/upgrade/test_actors.py play it",
    "PastScope": "tests/scopes plays it",
    "Map": "tests/collections plays it against a dict",
    "OwnActor": "tests/own_actors plays it against a plain fold",
    "Projection": "tests/projections plays it against a plain fold",
    "Vector": "tests/collections plays it against a list",
    **dict.fromkeys(
        (
            "AgentsStore", "ChatsStore", "ConnectorsStore", "FilesStore", "LlmPreferencesStore", "MemoryStore",
            "ParticipantsStore", "RetentionStore", "RolesStore", "ScriptsStore", "UserConfigStore", "WorkflowsStore",
            "Scoped",
        ),
        "tests/stores plays the stores",
    ),
}  # fmt: skip


def verbs(api: ModuleType) -> dict[str, tuple[Any, str]]:
    """Where each public verb is to be found, by its sync name."""
    found: dict[str, tuple[Any, str]] = {name: (api, name) for name in FUNCTIONS}
    for class_name in CLASSES:
        owner = getattr(api, class_name)
        # What a sync class has of a base of ours, its async form has of its own.
        ours = [base for base in reversed(owner.__mro__) if base.__module__.startswith("treering")]
        for name, member in {name: member for base in ours for name, member in vars(base).items()}.items():
            sync_name = SYNC_NAMES.get(name, name)
            kind, _ = call_of(member) or (None, None)
            if kind == "blocking":  # async objects go without
                continue
            if inspect.isroutine(member) and (sync_name in OPERATORS or not name.startswith("_")):
                found[f"{class_name}.{sync_name}"] = (owner, name)
    return found


def note_calls(owner: Any, name: str, called: Callable[[], None], patch: pytest.MonkeyPatch) -> None:
    member = getattr(owner, name)

    @wraps(member)
    def call(*args: Any, **kwargs: Any) -> Any:
        called()
        return member(*args, **kwargs)

    patch.setattr(owner, name, call)


@pytest.fixture(autouse=True)
def _no_child_is_left() -> Iterator[None]:
    yield
    end_children()


def test_both_worlds_have_the_same_verbs() -> None:
    assert verbs(aio).keys() == verbs(treering).keys()


@pytest.mark.parametrize(("player", "api"), [(PLAIN, treering), (AWAITED, aio)], ids=["sync", "async"])
def test_every_verb_is_played(player: int, api: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    played: set[str] = set()
    rules: set[str] = set()
    for verb, (owner, name) in verbs(api).items():
        note_calls(owner, name, lambda verb=verb: played.add(verb), monkeypatch)  # type: ignore[misc]
    machine = Embedded()
    try:
        names = {rule.function.__name__ for rule in machine.rules}
        for name in names:
            note_calls(machine, name, lambda name=name: rules.add(name), monkeypatch)  # type: ignore[misc]
        played.clear()
        scene(machine, player)
        machine.check_all()
    finally:
        machine.end()
    assert rules == names, "the scene leaves rules out"
    assert CLASSES_NOT_PLAYED.keys() <= set(CLASSES), "a class that is not there any more"
    others = {verb for verb in verbs(api) if verb.split(".")[0] not in CLASSES_NOT_PLAYED}
    assert others - played == set(NOT_PLAYED)


def scene(m: Machine, me: int) -> None:
    """Every rule, by one player, each followed by what the random test looks at after it."""
    for act in (growing, reading, leasing, committing, blocks, elsewhere, breaking, quarantine, ending):
        for step in act(m, me):
            assert step is None
            m.compare(me)


def mine(m: Machine, me: int) -> int:
    """The newest handle of the player."""
    return max(number for number, handle in enumerate(m.handles) if handle.player == me)


def growing(m: Machine, me: int) -> Iterator[None]:
    yield m.start(me, 0, "k1", {"team": "a"}, "Do it", [("coder", "one")])
    yield m.get_or_start(me, 0, "k2", "Or this")
    yield m.another_handle(me, mine(m, me), True)
    yield m.append(mine(m, me), "planner", "two", {"a.txt": b"x"})
    yield m.insist(mine(m, me), 0)
    yield m.extend(mine(m, me), [("coder", "three"), ("reviewer", b"four")])
    yield m.compact(mine(m, me), "so far")
    yield m.fail(mine(m, me), "no luck")
    yield m.repeat(1, me, False, True)
    yield m.fork(mine(m, me), 0, 0, "coder", 1, None)


def reading(m: Machine, me: int) -> Iterator[None]:
    yield m.refresh(mine(m, me))
    yield m.at(mine(m, me), 1)
    yield m.some_steps(mine(m, me), 0, None, True)
    yield m.two(mine(m, me), 0)
    yield m.labelled(me, 0, {"team": "a"})


def leasing(m: Machine, me: int) -> Iterator[None]:
    yield m.lease(mine(m, me))
    yield m.release(0)


def committing(m: Machine, me: int) -> Iterator[None]:
    yield m.start(me, 1, None, {}, "Elsewhere", [])
    picks = [(0, "coder", "by a commit", False), (0, "coder", "by a commit", True)]
    yield m.commit(me, 1, picks, None, False, True, True, b"data")
    yield m.commit(me, 1, picks, None, True, False, False, b"data")


def blocks(m: Machine, me: int) -> Iterator[None]:
    yield m.put(me, 0, b"bytes", True)
    yield m.put(me, 1, b"bytes", False)
    yield m.put_node(me, 0, 0)
    for number in range(len(m.held)):
        yield m.about(me, number)
    for number in range(2):
        yield m.hold_longer(me, number, 0, 30)
        yield m.hold_longer(me, number, 1, 30)
    yield m.unhold(me, 0)
    yield m.pin(me, 0, "x", 0)
    yield m.unpin(me, 0, "x")
    yield m.time_passes(1)
    yield m.collect(me, True)
    yield m.collect(me, False)


def elsewhere(m: Machine, me: int) -> Iterator[None]:
    yield m.follow(me)
    yield m.append(mine(m, me), "coder", "news", {})
    yield m.follow(me)
    yield m.prove(me)
    yield m.prove(me)
    yield m.backup(me)
    yield m.restore(me)
    yield m.copy(me)
    yield m.travel(mine(m, me))
    yield m.move_out(me, 0)
    yield m.seal(me, 4)
    yield m.expire(me, True)


def breaking(m: Machine, me: int) -> Iterator[None]:
    yield m.repair(me)
    yield m.append(mine(m, me), "coder", "before the damage", {})
    yield m.mend_a_ref(me, m.there().index(m.handles[mine(m, me)].thread))
    yield m.mend_a_byte(me, 0, 0, 3)
    yield m.give_up_a_commit(me, 0)
    assert m.blanks
    yield m.blank_commits(me)


def quarantine(m: Machine, me: int) -> Iterator[None]:
    yield m.quarantine_nothing(me, mine(m, me))
    yield m.start(me, 0, None, {}, "To be lost", [])
    for text in ("one", "two", "three"):
        yield m.append(mine(m, me), "coder", text, {})
    thread = m.handles[mine(m, me)].thread
    yield m.lose_a_block(me, m.there().index(thread), 0, True)
    assert thread.removed
    yield m.give_back(me, 0, True)
    assert not thread.removed
    yield m.lose_a_block(me, m.there().index(thread), 0, True)
    yield m.give_back_whole(me, 0)
    yield m.discard(me, 0)


def ending(m: Machine, me: int) -> Iterator[None]:
    yield m.start(me, 0, None, {}, "To its end", [])
    yield m.finish(mine(m, me), 0, "done", True)
    yield m.history(me, 0, None)
    yield m.history(me, 0, 0)
    yield m.start(me, 0, None, {}, "Not to its end", [])
    yield m.cancel(mine(m, me), "enough", True)
    yield m.rm(mine(m, me), False)
    yield m.reopen(me)
    yield m.kill()
