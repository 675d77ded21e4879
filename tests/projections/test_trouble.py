"""What goes wrong around a projection: sources taken back or damaged, receivers that move, others under its name."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from functions import View, delivering, inbox, say, versions

import treering
from treering import Cid, Commit, Corrupt, Diverged, HeadMoved, Invalid, NotFound, Scope, SourceEvent, Store, aio

CHATS = ("c", "d")


class Damaged:
    """A store in a directory, in which blocks can be lost."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = treering.open(path)

    def lose(self, cid: Cid) -> None:
        self.store.close()
        with closing(sqlite3.connect(self.path / "store.db")) as rows, rows:
            assert rows.execute("DELETE FROM block WHERE digest = ?", (cid.digest,)).rowcount == 1
        self.store = treering.open(self.path)

    def scope(self, name: str) -> Scope:
        return self.store.scope(name)

    def quarantine(self, kind: str, part: str) -> Cid:
        """The entry of an actor's log that is put away, with what comes along."""
        self.store.verify(repair=True)
        (name,) = [ref.name for ref in self.store.refs.list() if ref.name == f"alice/{kind}/{part}"]
        return self.store.refs.quarantine(name).entry

    def seen(self) -> "treering.Projection[View]":
        return self.scope("team").projection("seen", of=self.scope("alice"), kinds=["chat"], start={})


@pytest.fixture
def damaged(tmp_path: Path) -> Iterator[Damaged]:
    made = Damaged(tmp_path / "state")
    yield made
    made.store.close()


def test_a_source_that_was_taken_back_goes_on_after_a_rebuild(damaged: Damaged) -> None:
    for chat in CHATS:
        say(damaged.scope("alice"), chat, *map(str, range(10)))
    assert damaged.seen().catch_up(delivering).events == 20
    ninth = list(damaged.scope("alice").chats.history("c"))[8].cid
    damaged.lose(ninth)
    entry = damaged.quarantine("chat", "c")
    view = damaged.seen().get()
    # As long as it has no log there is nothing to rebuild it of, and nothing is forgotten.
    with pytest.raises(NotFound):
        damaged.seen().rebuild(versions)
    assert damaged.seen().get() == view
    damaged.store.refs.restore(entry, whole=True)
    assert len(list(damaged.scope("alice").chats.history("c"))) == 8

    # The others are not held up.
    say(damaged.scope("alice"), "d", "more")
    for _ in range(2):
        with pytest.raises(Diverged, match="version 10"):
            damaged.seen().catch_up(delivering)
        assert damaged.seen().get().value["alice/chat/d"] == list(range(1, 12))
    assert damaged.seen().rebuild(versions).events == 8 + 11
    assert damaged.seen().get().value["alice/chat/c"] == list(range(1, 9))
    say(damaged.scope("alice"), "c", *map(str, range(4)))
    assert damaged.seen().catch_up(delivering).events == 4
    assert damaged.seen().get().value["alice/chat/c"] == list(range(1, 13))
    # Each was delivered when it was seen, the rebuilt ones not again.
    assert inbox(damaged.scope("team")).count("alice/chat/c 8") == 1
    assert inbox(damaged.scope("team"))[-4:] == [f"alice/chat/c {version}" for version in range(9, 13)]


def test_a_source_that_is_damaged_holds_up_nobody_else(damaged: Damaged) -> None:
    for chat in CHATS:
        say(damaged.scope("alice"), chat, *map(str, range(10)))
    fifth = list(damaged.scope("alice").chats.history("c"))[4].cid
    damaged.lose(fifth)
    for _ in range(2):
        with pytest.raises((Corrupt, NotFound)):
            damaged.seen().catch_up(delivering, refused=lambda view, event, error: view)
        assert damaged.seen().get().value["alice/chat/d"] == list(range(1, 11))
    say(damaged.scope("alice"), "d", "more")
    with pytest.raises((Corrupt, NotFound)):
        damaged.seen().catch_up(delivering)
    assert damaged.seen().get().value == {"alice/chat/d": list(range(1, 12))}


def test_nothing_is_put_aside_for_a_damaged_receiver(damaged: Damaged) -> None:
    say(damaged.scope("alice"), "c", *map(str, range(5)))
    damaged.seen().catch_up(delivering)
    damaged.lose(list(damaged.scope("team").chats.history("inbox"))[-1].cid)
    say(damaged.scope("alice"), "c", *map(str, range(5)))
    with pytest.raises((Corrupt, NotFound)):
        damaged.seen().catch_up(delivering, refused=lambda view, event, error: pytest.fail("put aside"))
    assert damaged.seen().get().value == {"alice/chat/c": [1, 2, 3, 4, 5]}


@pytest.mark.parametrize("moves", [1, 31, 10_000])
def test_a_receiver_that_moves_is_tried_again(store: Store, moves: int) -> None:
    alice, team = store.scope("alice"), store.scope("team")
    team.threads.start("log", key="log")
    say(alice, "c", *map(str, range(3)))
    left = moves

    def into_thread(view: View, event: SourceEvent, commit: Commit) -> View:
        nonlocal left
        commit.threads[team.threads.get("log")].append("note", str(event.version))
        if event.version == 2 and left:
            left -= 1
            team.threads.get("log").append("other", "in between")
        return versions(view, event, commit)

    seen = team.projection("seen", of=alice, kinds=["chat"], start={})

    def catch_up() -> int:
        return seen.catch_up(into_thread, refused=lambda view, event, error: pytest.fail("put aside")).events

    if moves < 10_000:
        assert catch_up() == 3
    else:
        with pytest.raises(HeadMoved):
            catch_up()
        assert seen.get().value == {"alice/chat/c": [1]}
        left = 0
        assert catch_up() == 2
    notes = [step.text for step in team.threads.get("log") if step.role == "note"]
    assert notes == ["1", "2", "3"]


def test_two_who_follow_others_under_one_name_leave_each_other_alone(store: Store) -> None:
    alice, team = store.scope("alice"), store.scope("team")
    say(alice, "c", "one")
    alice.memory.add("context", "one")
    for number in range(40):
        alice.user_config.update(max_tool_rounds=number)
    both: list[treering.Projection[View]] = [
        team.projection("seen", of=alice, kinds=kinds, start={}) for kinds in (["chat"], ["chat", "user-memory"])
    ]
    for projection in both:
        projection.catch_up(versions)
    head = store.head()
    for _ in range(3):
        for projection in both:
            assert projection.catch_up(versions).events == 0
    assert store.head() == head
    assert both[0].get().value == {"alice/chat/c": [1], "alice/user-memory": [1]}
    # Who does not follow all that was seen can't make the view anew.
    with pytest.raises(Invalid, match="alice/user-memory, which is not followed here"):
        both[0].rebuild(versions)
    assert both[1].rebuild(versions).events == 2


def test_what_can_not_be_followed(store: Store) -> None:
    alice = store.scope("alice")
    wrong: Any = "alice"
    with pytest.raises(TypeError, match="of takes scopes"):
        alice.projection("p", of=wrong, kinds=["chat"])
    with pytest.raises(Invalid, match=r"kinds=\['chat'\]"):
        alice.projection("p", kinds="chat")
    with pytest.raises(Invalid, match="follows nothing"):
        alice.projection("p", of=[], kinds=["chat"]).catch_up(versions)


async def test_a_start_with_sync_collections_is_an_async_one() -> None:
    async with aio.memory() as store:
        alice = store.scope("alice")
        for number in range(2):
            await alice.memory.add("context", str(number))
            counted: Any = alice.projection("counted", kinds=["user-memory"], start={"by": treering.Map()})

            async def count(view: Any, event: SourceEvent, commit: Any) -> Any:
                before = await view["by"].get("n", 0)
                return {"by": await view["by"].insert("n", before + 1)}

            assert (await counted.catch_up(count)).events == 1
        assert await (await counted.get()).value["by"].get("n") == 2
