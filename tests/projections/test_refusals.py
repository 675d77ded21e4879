"""What can't be done: a refused command, a function that raises, a view that is no node. All before it is done."""

import pickle
from typing import Any

import pytest
from functions import View, delivering, inbox, notes, say, versions

import treering
from treering import (
    Commit,
    EventRefused,
    Invalid,
    InvalidCommand,
    LimitExceeded,
    Projection,
    Scope,
    Source,
    SourceEvent,
    Store,
    TreeringError,
    VersionConflict,
)
from treering.testing import Faults


@pytest.fixture
def alice(store: Store) -> Scope:
    scope = store.scope("alice")
    say(scope, "c", *map(str, range(10)))
    return scope


@pytest.fixture
def seen(store: Store, alice: Scope) -> "Projection[View]":
    return store.scope("team").projection("seen", of=alice, kinds=["chat"], start={})


def refusing(at: int) -> Any:
    """Delivers each, and for one of them expects what is not so."""

    def apply(view: View, event: SourceEvent, commit: Commit) -> View:
        view = delivering(view, event, commit)
        if event.version == at:
            commit.memory.add("k", "x", expected_version=99)
        return view

    return apply


@pytest.mark.parametrize("at", [1, 2, 7, 10])
def test_a_refused_command(store: Store, seen: "Projection[View]", at: int) -> None:
    team = store.scope("team")
    for _ in range(2):
        with pytest.raises(EventRefused) as caught:
            seen.catch_up(refusing(at))
        error = caught.value
        assert (error.source, error.version) == (Source("alice", "chat", ("c",)), at)
        assert error.event_id == list(store.scope("alice").chats.history("c"))[at - 1].event_id
        assert isinstance(error.refusal, VersionConflict)
        assert error.__cause__ is error.refusal
        assert f"version {at} of alice/chat/c" in str(error)
        # All before it is done, and none of it twice.
        assert inbox(team) == [f"alice/chat/c {version}" for version in range(1, at)]
        assert seen.get().value == ({"alice/chat/c": list(range(1, at))} if at > 1 else {})
        assert len(team.memory.get()) == 0
    copied = pickle.loads(pickle.dumps(error))
    assert (copied.source, copied.version, str(copied.refusal)) == (error.source, at, str(error.refusal))
    # What was wrong is mended: it goes on.
    assert seen.catch_up(delivering).events == 11 - at
    assert inbox(team) == [f"alice/chat/c {version}" for version in range(1, 11)]


def test_going_on_without_what_was_refused(store: Store, seen: "Projection[View]") -> None:
    refused: list[tuple[int, TreeringError]] = []

    def without(view: View, event: SourceEvent, error: TreeringError) -> View:
        refused.append((event.version, error))
        return {**view, "refused": [*view.get("refused", []), event.version]}

    assert seen.catch_up(refusing(4), refused=without).events == 10
    assert [(version, type(error)) for version, error in refused] == [(4, VersionConflict)]
    assert seen.get().value == {"alice/chat/c": [1, 2, 3, 5, 6, 7, 8, 9, 10], "refused": [4]}
    assert inbox(store.scope("team")) == [f"alice/chat/c {version}" for version in range(1, 11) if version != 4]


def test_what_is_wrong_by_itself_is_refused_where_it_is_drafted(store: Store, seen: "Projection[View]") -> None:
    def blank(view: View, event: SourceEvent, commit: Commit) -> View:
        commit.memory.add("k", "  " if event.version == 3 else "fact")
        return versions(view, event, commit)

    with pytest.raises(EventRefused) as caught:
        seen.catch_up(blank)
    assert (caught.value.version, type(caught.value.refusal)) == (3, InvalidCommand)
    assert len(store.scope("team").memory.get()) == 2

    def caught_inside(view: View, event: SourceEvent, commit: Commit) -> View:
        try:
            return blank(view, event, commit)
        except InvalidCommand:
            return view

    assert seen.catch_up(caught_inside).events == 8
    assert seen.get().value == {"alice/chat/c": [1, 2, 4, 5, 6, 7, 8, 9, 10]}


def test_a_view_that_no_node_can_hold(seen: "Projection[View]") -> None:
    def grown(view: Any, event: SourceEvent, commit: Commit) -> Any:
        return "x" * (1 << 20) if event.version >= 4 else event.version

    # Not the event's fault: it is not put aside.
    with pytest.raises(LimitExceeded) as caught:
        seen.catch_up(grown, refused=lambda view, event, error: view)
    assert notes(caught.value) == ["projection seen, version 4 of alice/chat/c"]
    assert seen.get().value == 3  # type: ignore[comparison-overlap]

    def no_value(view: Any, event: SourceEvent, commit: Commit) -> Any:
        return {1, 2}

    with pytest.raises(Invalid):
        seen.catch_up(no_value, refused=lambda view, event, error: view)
    assert seen.get().version == 3


@pytest.mark.parametrize("at", [1, 6])
def test_a_function_that_raises(store: Store, seen: "Projection[View]", at: int) -> None:
    def broken(view: View, event: SourceEvent, commit: Commit) -> View:
        view = delivering(view, event, commit)
        if event.version == at:
            raise ZeroDivisionError("by chance")
        return view

    with pytest.raises(ZeroDivisionError) as caught:
        seen.catch_up(broken, refused=lambda view, event, error: view)
    assert notes(caught.value) == [f"projection seen, version {at} of alice/chat/c"]
    assert inbox(store.scope("team")) == [f"alice/chat/c {version}" for version in range(1, at)]
    seen.catch_up(versions)
    with pytest.raises(ZeroDivisionError):
        seen.rebuild(lambda view, event, commit: 1 // 0)  # type: ignore[arg-type]


def test_a_function_that_is_interrupted(seen: "Projection[View]") -> None:
    def interrupted(view: View, event: SourceEvent, commit: Commit) -> View:
        if event.version == 6:
            raise KeyboardInterrupt
        return versions(view, event, commit)

    with pytest.raises(KeyboardInterrupt):
        seen.catch_up(interrupted)
    assert seen.get().version == 0
    assert seen.catch_up(versions).events == 10


def test_what_is_no_refusal_is_not_split() -> None:
    """A disk that fails is nobody's event: it is told as it is, and the same is done later."""
    faults = Faults()
    with treering.testing.memory(faults=faults) as store:
        alice, team = store.scope("alice"), store.scope("team")
        say(alice, "c", *map(str, range(10)))
        seen = team.projection("seen", of=alice, kinds=["chat"], start={})
        before = faults.calls("commit")
        faults.fail("commit", treering.DiskFull)
        with pytest.raises(treering.DiskFull):
            seen.catch_up(delivering, refused=lambda view, event, error: view)
        assert faults.calls("commit") - before == 1
        assert (seen.get().version, inbox(team)) == (0, [])
        assert seen.catch_up(delivering).events == 10
        assert len(inbox(team)) == 10


def test_a_commit_that_landed_unseen() -> None:
    """The answer was lost: the checkpoint tells, and nothing is delivered again."""
    faults = Faults()
    with treering.testing.memory(faults=faults) as store:
        alice, team = store.scope("alice"), store.scope("team")
        say(alice, "c", *map(str, range(10)))
        seen = team.projection("seen", of=alice, kinds=["chat"], start={})
        faults.fail("commit", treering.CommitUnknown, landed=True)
        with pytest.raises(treering.CommitUnknown):
            seen.catch_up(delivering)
        assert seen.catch_up(delivering).events == 0
        assert inbox(team) == [f"alice/chat/c {version}" for version in range(1, 11)]


def test_overtaken_in_the_middle(store: Store, seen: "Projection[View]") -> None:
    """Another one does the same events meanwhile: nothing of this commit is written, threads neither, and nothing is
    tried again that can't come about."""
    team = store.scope("team")
    thread = team.threads.start("log", key="log")
    others = iter([True])
    before = store.counters()["requests"]

    def apply(view: View, event: SourceEvent, commit: Commit) -> View:
        if next(others, False):
            assert seen.catch_up(delivering).events == 10
        commit.threads[thread].append("projection", f"{event.version}")
        return delivering(view, event, commit)

    assert seen.catch_up(apply).events == 0
    assert store.counters()["requests"] - before == 2
    thread.refresh()
    assert len(thread) == 0
    assert inbox(team) == [f"alice/chat/c {version}" for version in range(1, 11)]
    say(store.scope("alice"), "c", "a", "b")
    assert seen.catch_up(apply).events == 2
    assert [step.text for step in team.threads.get("log")] == ["11", "12"]


def test_overtaken_where_it_would_be_refused(store: Store, seen: "Projection[View]") -> None:
    """Who is refused for what somebody else has done already is not refused."""
    others = iter([True])

    def apply(view: View, event: SourceEvent, commit: Commit) -> View:
        if next(others, False):
            assert seen.catch_up(delivering).events == 10
        return refusing(3)(view, event, commit)

    assert seen.catch_up(apply).events == 0
    assert inbox(store.scope("team")) == [f"alice/chat/c {version}" for version in range(1, 11)]


@pytest.mark.parametrize("error", [ZeroDivisionError(), InvalidCommand("no")])
def test_overtaken_where_it_raises(seen: "Projection[View]", error: Exception) -> None:
    """Nor is it told what its function made of an event that is done."""
    others = iter([True])

    def apply(view: View, event: SourceEvent, commit: Commit) -> View:
        if next(others, False):
            assert seen.catch_up(versions).events == 10
        raise error

    assert seen.catch_up(apply).events == 0
    assert seen.get().value == {"alice/chat/c": list(range(1, 11))}
