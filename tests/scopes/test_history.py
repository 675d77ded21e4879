"""`scope.history()`: all of a scope, in the order of commits."""

import random
import sqlite3
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

import treering
from treering import Scope, ScopeEvent, Store, aio, testing


def told(scope: Scope) -> list[tuple[str, str]]:
    """What it tells, the oldest first."""
    return [(one.kind, one.change) for one in reversed(list(scope.history()))]


def positions(scope: Scope) -> list[int]:
    return [one.position for one in scope.history() if one.position is not None]


def test_all_kinds_in_the_order_of_commits(store: Store, alice: Scope) -> None:
    # The clock stands: nothing but the commits tells the order.
    alice.memory.add("k", "one")
    thread = alice.threads.start("fix", key="t-1")
    alice.user_config.update(max_tool_rounds=3)
    step = thread.append("coder", "a")
    store.scope("bob").memory.add("k", "not of alice")
    alice.pins.add("kept", thread.head)
    alice.memory.add("k", "two")
    projection = alice.projection("facts", kinds=["user-memory"], start=0)
    projection.catch_up(lambda view, event, commit: view + 1)
    alice.files.put("a.txt", b"text")
    thread.finish()
    alice.pins.rm("kept")
    other = alice.threads.start("fails")
    other.fail("it broke")
    alice.chats.append("c", [treering.messages.Message(role="user", content="hello")])
    alice.chats.delete("c")
    thread.rm()
    projection.delete()
    assert told(alice) == [
        ("user-memory", "event"),
        ("thread", "created"),
        ("thread-key", "created"),
        ("user-config", "event"),
        ("thread", "moved"),
        ("pin", "created"),
        ("user-memory", "event"),
        ("projection", "created"),
        ("files", "event"),
        ("thread", "moved"),
        ("pin", "removed"),
        ("thread", "created"),
        ("thread", "moved"),
        ("thread-failed", "created"),
        ("chat", "deleted"),
        ("thread", "removed"),
        ("thread-key", "removed"),
        ("projection", "removed"),
    ]
    moved = [one for one in alice.history() if one.kind == "thread" and one.parts == (thread.id,)]
    assert [(one.version, one.event) for one in moved] == [(0, None), (3, None), (2, None), (1, None)]
    assert [one.target for one in moved[::2]] == [None, step.cid]
    found = positions(alice)
    assert found == sorted(found, reverse=True)
    times = {entry.position: entry.at_ms for entry in store.journal()}
    assert all(times[one.position] == one.at_ms for one in alice.history() if one.position is not None)


def test_events_of_one_commit_stand_together(alice: Scope) -> None:
    with alice.commit() as commit:
        commit.memory.add("k", "one")
        commit.memory.add("k", "two")
    alice.threads.start("t")
    alice.memory.add("k", "three")
    assert [(one.kind, one.version, one.position) for one in alice.history()] == [
        ("user-memory", 3, 3),
        ("thread", 1, 2),
        ("user-memory", 2, 1),
        ("user-memory", 1, 1),
    ]


def test_a_fork_begins_its_own_and_brings_events(store: Store, alice: Scope, clock: testing.Clock) -> None:
    alice.memory.add("k", "before")
    thread = alice.threads.start("t")
    clock.advance(1_000)
    trial = alice.fork("trial")
    clock.advance(1_000)
    alice.memory.add("k", "not of the fork")
    thread.append("coder", "not of the fork")
    trial.threads.get(thread.id).append("coder", "of the fork")
    trial.memory.add("k", "of the fork")
    assert [(one.kind, one.change, one.version, one.position is None) for one in trial.history()] == [
        ("user-memory", "event", 2, False),
        ("thread", "moved", 2, False),
        ("thread", "created", 1, False),
        ("user-memory", "event", 1, True),
    ]
    assert "trial" not in {one.kind for one in alice.history()}
    assert len(told(alice)) == 4


def test_a_fork_within_the_same_millisecond_brings_all_events(alice: Scope) -> None:
    for number in range(40):
        alice.memory.add("k", f"{number}")
    trial = alice.fork("trial")
    assert [one.version for one in trial.history()] == list(range(40, 0, -1))
    alice.memory.trim(keep=30)
    assert [one.version for one in alice.history()] == list(range(40, 10, -1))


def test_what_was_cut_off_is_not_told(alice: Scope, clock: testing.Clock) -> None:
    for number in range(6):
        alice.memory.add("k", f"{number}")
        alice.pins.add(f"p{number}", alice.blocks.put(b"x"))
        clock.advance(1_000)
    alice.memory.trim(keep=2)
    alice.memory.add("k", "after")
    assert [one.version for one in alice.history() if one.kind == "user-memory"] == [7, 6, 5]
    assert [one.kind for one in islice(alice.history(), 5)] == [
        "user-memory",
        "pin",
        "user-memory",
        "pin",
        "user-memory",
    ]
    assert sum(one.kind == "pin" for one in alice.history()) == 6


def test_an_expired_journal_is_told_and_hides_no_actor(store: Store, alice: Scope, clock: testing.Clock) -> None:
    alice.memory.add("k", "old")
    alice.user_config.update(max_tool_rounds=1)
    alice.threads.start("old")
    cursor = list(store.journal())[-1].cursor
    clock.advance(1_000)
    alice.memory.add("k", "new")
    alice.pins.add("new", alice.blocks.put(b"x"))
    whole = list(alice.history())
    store.seal_journal(store.journal_extent().last - 3)
    assert list(alice.history()) == whole
    assert store.expire_journal(cursor).commits == 3
    now = list(alice.history())
    assert [(one.kind, one.change) for one in now] == [
        ("pin", "created"),
        ("user-memory", "event"),
        ("journal", "expired"),
        ("user-config", "event"),
        ("user-memory", "event"),
    ]
    assert now[2].position == store.journal_extent().first - 1
    # All in one go, and begun before.
    assert {one.event.event_id for one in now if one.event} == {one.event.event_id for one in whole if one.event}


def test_expired_while_it_is_told(store: Store, alice: Scope) -> None:
    for number in range(1_100):
        alice.pins.add(f"p{number}", alice.blocks.put(b"x"))
    history = alice.history()
    first = [next(history) for _ in range(10)]
    store.seal_journal(1)
    store.expire_journal(list(store.journal())[-2].cursor)
    rest = list(history)
    assert [one.version for one in first] == [1] * 10
    # The page that was read, then that there is no more.
    assert (rest[-1].kind, rest[-1].change) == ("journal", "expired")
    assert 0 < len(rest) <= 500


def test_a_commit_that_is_lost(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s") as store:
        alice = store.scope("alice")
        alice.memory.add("k", "one")
        alice.pins.add("a", alice.blocks.put(b"x"))
        alice.memory.add("k", "two")
        lost = list(store.journal())[-1].position
        alice.pins.add("b", alice.blocks.put(b"x"))
        alice.memory.add("k", "three")
    database = sqlite3.connect(tmp_path / "s" / "store.db")
    database.execute("UPDATE journal SET body = x'00' WHERE position = ?", (lost,))
    database.commit()
    database.close()
    with treering.open(tmp_path / "s") as store:
        alice = store.scope("alice")
        # What came after it is told first.
        history = alice.history()
        newest = [(one.kind, one.change, one.version) for one in islice(history, 2)]
        assert newest == [("user-memory", "event", 3), ("pin", "created", 1)]
        with pytest.raises(treering.Corrupt, match=f"journal row {lost}"):
            next(history)
        store.give_up_commit(lost)
        found = [(one.kind, one.change, one.version) for one in alice.history()]
        # Its event is told by its time.
        assert [one for one in found if one[0] == "user-memory"] == [("user-memory", "event", n) for n in (3, 2, 1)]
        assert [one for one in found if one[0] == "pin"] == [("pin", "created", 1)] * 2
        assert [(one.change, one.position) for one in alice.history() if one.kind == "journal"] == [("lost", lost)]


def test_a_scope_as_it_was(store: Store, alice: Scope) -> None:
    alice.memory.add("k", "one")
    thread = alice.threads.start("t")
    cursor = list(store.journal())[-1].cursor
    alice.memory.add("k", "two")
    thread.append("coder", "later")
    assert [(one.kind, one.change, one.version) for one in alice.at(cursor).history()] == [
        ("thread", "created", 1),
        ("user-memory", "event", 1),
    ]


def test_what_was_collected_since_hides_nothing(store: Store, alice: Scope) -> None:
    alice.chats.append("c", [treering.messages.Message(role="user", content="hello")])
    alice.threads.start("t")
    cursor = list(store.journal())[-1].cursor
    alice.chats.delete("c")
    store.gc()
    past = alice.at(cursor)
    assert [str(gone.ref) for gone in past.gone] == ["chat-index", "chat/c"]
    # That they were written is told, and nothing of what.
    assert [(one.kind, one.change, one.event) for one in past.history()] == [
        ("thread", "created", None),
        ("chat-index", "created", None),
        ("chat", "created", None),
    ]


def test_an_import_stands_at_its_times(alice: Scope, clock: testing.Clock, tmp_path: Path) -> None:
    clock.advance(1_000)
    with testing.memory(clock=clock) as elsewhere:
        alice.pins.add("before", alice.blocks.put(b"x"))
        clock.advance(1_000)
        origin = elsewhere.scope("origin")
        origin.memory.add("k", "from elsewhere")
        origin.export(tmp_path / "origin.car")
        clock.advance(1_000)
        alice.pins.add("between", alice.blocks.put(b"x"))
        clock.advance(1_000)
        alice.import_car(tmp_path / "origin.car")
        clock.advance(1_000)
        alice.memory.add("k", "here")
    assert [(one.kind, one.parts, one.version, one.position is None) for one in alice.history()] == [
        ("user-memory", (), 2, False),
        ("pin", ("between",), 1, False),
        ("user-memory", (), 1, True),
        ("pin", ("before",), 1, False),
    ]


def test_an_erased_scope_begins_anew(store: Store, alice: Scope) -> None:
    alice.memory.add("k", "one")
    alice.threads.start("t")
    alice.erase()
    assert list(alice.history()) == []
    alice.pins.add("p", alice.blocks.put(b"x"))
    assert told(alice) == [("pin", "created")]


def test_a_page_reads_no_more_than_it_tells(store: Store, alice: Scope) -> None:
    for number in range(100):
        alice.chats.append(f"c{number}", [treering.messages.Message(role="user", content="hello")])
    for number in range(60):
        alice.pins.add(f"p{number}", alice.blocks.put(b"x"))
    before = store.counters()["blocks_read"]
    assert [one.kind for one in islice(alice.history(), 50)] == ["pin"] * 50
    assert store.counters()["blocks_read"] == before
    assert [one.kind for one in islice(alice.history(), 70)][60:] == ["chat-index", "chat"] * 5
    # The head, and up to 16 events, of the list and of five conversations.
    assert store.counters()["blocks_read"] - before <= 120


def test_the_same_awaited(tmp_path: Path) -> None:
    import asyncio

    async def main() -> list[str]:
        async with aio.memory() as store:
            alice = store.scope("alice")
            await alice.memory.add("k", "one")
            await alice.threads.start("t")
            return [one.change async for one in alice.history()]

    assert asyncio.run(main()) == ["created", "event"]


@pytest.mark.parametrize("seed", range(8))
def test_what_was_done_is_told(store: Store, seed: int) -> None:
    rng = random.Random(seed)
    scopes = [store.scope("alice"), store.scope("bob")]
    done: dict[str, list[tuple[str, tuple[str, ...], str]]] = {scope.name: [] for scope in scopes}
    threads: dict[str, list[treering.Thread]] = {scope.name: [] for scope in scopes}
    pins: dict[str, list[str]] = {scope.name: [] for scope in scopes}

    def start(scope: Scope) -> None:
        thread = scope.threads.start("t")
        threads[scope.name].append(thread)
        done[scope.name].append(("thread", (thread.id,), "created"))

    def append(scope: Scope) -> None:
        if threads[scope.name]:
            thread = rng.choice(threads[scope.name])
            thread.append("coder", rng.random())
            done[scope.name].append(("thread", (thread.id,), "moved"))

    def remove(scope: Scope) -> None:
        if threads[scope.name]:
            thread = threads[scope.name].pop()
            thread.rm()
            done[scope.name].append(("thread", (thread.id,), "removed"))

    def remember(scope: Scope) -> None:
        scope.memory.add("k", f"{rng.random()}")
        done[scope.name].append(("user-memory", (), "event"))

    def config(scope: Scope) -> None:
        scope.user_config.update(default_model=f"{rng.random()}")
        done[scope.name].append(("user-config", (), "event"))

    def pin(scope: Scope) -> None:
        name = f"p{len(done[scope.name])}"
        scope.pins.add(name, scope.blocks.put(b"x"))
        pins[scope.name].append(name)
        done[scope.name].append(("pin", (name,), "created"))

    def unpin(scope: Scope) -> None:
        if pins[scope.name]:
            name = pins[scope.name].pop()
            scope.pins.rm(name)
            done[scope.name].append(("pin", (name,), "removed"))

    verbs: list[Callable[[Scope], None]] = [start, append, remove, remember, config, pin, unpin]
    for _ in range(120):
        rng.choice(verbs)(rng.choice(scopes))
        if rng.random() < 0.02:
            store.seal_journal(rng.randrange(1, 30))
    for scope in scopes:
        history: list[ScopeEvent] = list(scope.history())
        assert [(one.kind, one.parts, one.change) for one in reversed(history)] == done[scope.name]
        assert all(one.position is not None for one in history)
