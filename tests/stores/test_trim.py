"""History that is cut off: what is kept is as it was, what is gone says so, and what an actor is does not change."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from every_verb import said

from treering import (
    CommandMismatch,
    HistoryTrimmed,
    Invalid,
    LimitExceeded,
    NotFound,
    Scope,
    Store,
    VersionConflict,
    testing,
)
from treering.messages import Connector, Role
from treering.testing import Clock

COUNT = 40


def config(scope: Scope, count: int = COUNT) -> None:
    for number in range(1, count + 1):
        scope.user_config.update(max_tool_rounds=number)


def kept(scope: Scope) -> list[int]:
    return [event.version for event in scope.user_config.history()]


# Around snapshots and places where jumps lead far; all but everything, everything, more than there is.
@pytest.mark.parametrize("keep", [0, 1, 7, 8, 16, 24, 39, 40, 41, 2**63])
def test_the_newest_are_kept(store: Store, alice: Scope, keep: int) -> None:
    config(alice)
    before = {event.version: (event.event_id, event.at_ms, event.message) for event in alice.user_config.history()}
    state = alice.user_config.get()
    receipt = alice.user_config.trim(keep=keep)
    gone = max(0, COUNT - keep)
    assert (receipt.version, receipt.dropped, receipt.changed, receipt.value) == (COUNT, gone, gone > 0, None)
    assert (alice.user_config.get(), alice.user_config.get().version) == (state, COUNT)
    assert kept(alice) == list(range(gone + 1, COUNT + 1))
    for event in alice.user_config.history(first=gone + 1):
        assert (event.event_id, event.at_ms, event.message) == before[event.version]
    for version in range(gone, COUNT + 1):
        assert alice.user_config.at(version).max_tool_rounds == version
    for version in range(gone):
        with pytest.raises(HistoryTrimmed) as caught:
            alice.user_config.at(version)
        assert caught.value.oldest == gone  # type: ignore[attr-defined]
        with pytest.raises(HistoryTrimmed):
            next(alice.user_config.watch(after=version - 1) if version else alice.user_config.history(first=1))
    assert alice.user_config.verify() == min(keep, COUNT)
    assert alice.user_config.rebuild() == COUNT
    assert alice.user_config.verify() == min(keep, COUNT)
    store.gc()
    assert alice.user_config.at(gone).max_tool_rounds == gone
    assert store.verify().ok
    assert alice.user_config.update(max_tool_rounds=99).version == COUNT + 1
    info = alice.actor("user-config").info()
    assert (info.oldest, info.events) == (gone, min(keep, COUNT) + 1)


def test_from_a_version_on(alice: Scope) -> None:
    config(alice)
    assert alice.user_config.trim(before=0).changed is alice.user_config.trim(before=1).changed is False
    assert alice.user_config.trim(before=11).dropped == 10
    assert kept(alice) == list(range(11, COUNT + 1))
    assert alice.user_config.at(10).max_tool_rounds == 10
    # What was cut off already is nothing to cut off.
    assert alice.user_config.trim(before=5).changed is False
    assert alice.user_config.trim(before=COUNT + 1).dropped == COUNT - 10
    with pytest.raises(NotFound, match=f"has no version {COUNT + 1}"):
        alice.user_config.trim(before=COUNT + 2)


def test_since_a_moment(alice: Scope, clock: Clock) -> None:
    start = datetime.fromtimestamp(clock.now_ms / 1000, UTC)
    for number in range(1, 11):
        clock.advance(60_000)
        alice.user_config.update(max_tool_rounds=number)
    minute = timedelta(minutes=1)
    assert alice.user_config.trim(before=start).changed is False
    then = start + 4.5 * minute
    assert alice.user_config.trim(before=then).dropped == 4
    # What was at that moment can still be asked; what was before can't.
    assert alice.user_config.at(4).max_tool_rounds == 4
    assert kept(alice) == list(range(5, 11))
    assert alice.user_config.trim(before=then).changed is False
    assert alice.user_config.trim(before=start).changed is False
    assert alice.user_config.trim(before=start + 7 * minute).dropped == 3
    assert alice.user_config.trim(before=start + 99 * minute).dropped == 3
    assert kept(alice) == []
    with pytest.raises(Invalid, match="zone"):
        alice.user_config.trim(before=datetime(2026, 1, 1))


def test_what_it_begins_with_has_the_time_of_what_it_stands_for(store: Store, alice: Scope, clock: Clock) -> None:
    start = datetime.fromtimestamp(clock.now_ms / 1000, UTC)
    minute = timedelta(minutes=1)
    for number in range(1, 11):
        clock.advance(60_000)
        alice.user_config.update(max_tool_rounds=number)
    actor, times = alice.actor("user-config"), {number: start + number * minute for number in range(1, 11)}
    for base in (4, 10):
        clock.advance(60_000)
        alice.user_config.trim(before=base + 1)
        store.gc()
        info, listed = actor.info(), next(iter(alice.actors()))
        assert info == listed
        assert (info.at, info.deleted_at, info.oldest) == (times[10], None, base)
        # From its own time on it is what there was; before it nobody knows.
        for moment in (times[base], times[base] + minute / 2):
            assert alice.user_config.version_at(moment) == base
        with pytest.raises(HistoryTrimmed) as caught:
            alice.user_config.version_at(times[base] - timedelta(milliseconds=1))
        assert caught.value.oldest == base  # type: ignore[attr-defined]
        assert alice.user_config.trim(before=times[base]).changed is False
    # What happened since is told from it.
    clock.advance(60_000)
    alice.user_config.update(max_tool_rounds=11)
    assert alice.user_config.version_at(times[10] + minute) == 10
    assert alice.user_config.trim(before=times[10] + minute).changed is False
    assert [(event.version, event.kind) for event in alice.history()] == [(11, "user-config")]


def test_a_list_that_a_deletion_cut_off_has_its_time(alice: Scope, clock: Clock) -> None:
    alice.chats.append("c", said("x"))
    clock.advance(1000)
    alice.chats.delete("c")
    deleted = clock.now_ms
    clock.advance(1000)
    index = alice.actor("chat-index")
    assert (index.info().events, index.info().at_ms, index.info().deleted_at_ms) == (0, deleted, None)
    assert index.version_at(datetime.fromtimestamp(clock.now_ms / 1000, UTC)) == 2
    with pytest.raises(HistoryTrimmed):
        index.version_at(datetime.fromtimestamp((deleted - 1) / 1000, UTC))
    chat = alice.actor("chat", "c")
    assert (chat.info().at_ms, chat.info().deleted_at_ms) == (deleted, deleted)
    with pytest.raises(HistoryTrimmed):
        chat.version_at(datetime.fromtimestamp((deleted - 1) / 1000, UTC))


def test_the_beginning_of_time_is_a_time() -> None:
    with testing.memory(clock=Clock(0)) as store:
        alice = store.scope("alice")
        assert alice.actor("user-memory").info().at_ms is None
        alice.memory.add("k", "x")
        assert alice.actor("user-memory").info().at_ms == 0
        alice.memory.trim(keep=0)
        assert alice.actor("user-memory").info().at_ms == 0
        alice.chats.append("c", said("x"))
        alice.chats.delete("c")
        assert (alice.actor("chat", "c").info().at_ms, alice.actor("chat", "c").info().deleted_at_ms) == (0, 0)


def test_what_is_kept_is_said_once(store: Store, alice: Scope) -> None:
    config(alice, 3)
    head = store.head()
    for options in ({}, {"before": 2, "keep": 1}, {"before": datetime.now(UTC), "keep": 1}):
        with pytest.raises(Invalid, match="one of them"):
            alice.user_config.trim(**options)  # type: ignore[arg-type]
    with pytest.raises(Invalid):
        alice.user_config.trim(keep=-1)
    assert store.head() == head


def test_as_any_write(alice: Scope) -> None:
    config(alice, 10)
    with pytest.raises(VersionConflict):
        alice.user_config.trim(keep=1, expected_version=9)
    first = alice.user_config.trim(keep=3, command_id="once", expected_version=10)
    alice.user_config.update(max_tool_rounds=11)
    again = alice.user_config.trim(keep=3, command_id="once")
    assert (first.dropped, again.dropped, again.replayed, again.version) == (7, 7, True, 10)
    assert kept(alice) == [8, 9, 10, 11]
    with pytest.raises(CommandMismatch):
        alice.user_config.trim(keep=2, command_id="once")
    with pytest.raises(CommandMismatch):
        alice.user_config.trim(before=3, command_id="once")


def test_receipts_of_commands_that_were_cut_off_still_answer(alice: Scope) -> None:
    first = alice.memory.add("k", "forgotten", command_id="a")
    alice.memory.clear()
    for number in range(20):
        alice.memory.add("k", str(number), command_id=str(number))
    alice.memory.trim(keep=2)
    again = alice.memory.add("k", "forgotten", command_id="a")
    # No value: what it was is not known any more. And nothing is done twice.
    assert (again.version, again.changed, again.replayed, again.value) == (first.version, True, True, None)
    kept = alice.memory.add("k", "19", command_id="19")
    assert (kept.replayed, kept.value) == (True, alice.memory.get()[-1])
    assert alice.memory.get().version == 22
    with pytest.raises(CommandMismatch):
        alice.memory.add("k", "other", command_id="a")


ACTORS: list[tuple[str, tuple[str, ...], Callable[[Any, int], object]]] = [
    ("user-config", (), lambda s, n: s.user_config.update(max_tool_rounds=n + 1)),
    ("user-memory", (), lambda s, n: s.memory.add("k", f"{n}")),
    ("agent-registry", (), lambda s, n: s.agents.add("t", f"{n}")),
    ("participants", (), lambda s, n: s.participants.add(f"r{n % 3}", f"{n}")),
    ("chat", ("c",), lambda s, n: s.chats.append("c", said(f"{n}"))),
    ("chat-index", (), lambda s, n: s.chats.append(f"c{n}", said("x"))),
    ("workflow-storage", (), lambda s, n: s.workflows.upload(f"{n}", "n", "y")),
    ("script-storage", (), lambda s, n: s.scripts.upload(f"{n}", "y")),
    ("connector-catalog", (), lambda s, n: s.connectors.save_draft(Connector(name=f"{n}"))),
    ("role-catalog", (), lambda s, n: s.roles.save([Role(id=f"{n}")])),
    ("files", (), lambda s, n: s.files.put(f"{n}", b"y")),
]


@pytest.mark.parametrize(("kind", "parts", "write"), ACTORS, ids=lambda value: value if isinstance(value, str) else "")
def test_any_actor(
    store: Store, alice: Scope, kind: str, parts: tuple[str, ...], write: Callable[[Any, int], object]
) -> None:
    """The lists that others move along, too."""
    for number in range(COUNT):
        write(alice, number)
    actor = alice.actor(kind, *parts)
    states = [actor.state(version) for version in (20, 21, COUNT)]
    assert actor.trim(keep=20).dropped == 20
    store.gc()
    assert [actor.state(version) for version in (20, 21, COUNT)] == states
    assert actor.state() == states[-1]
    assert actor.verify() == 20
    assert actor.trim(keep=0).dropped == 20
    store.gc()
    assert (actor.state(), actor.info().oldest, list(actor.history(first=COUNT + 1))) == (states[-1], COUNT, [])
    write(alice, COUNT)
    assert actor.info().version == COUNT + 1
    assert (actor.verify(), store.verify().ok) == (1, True)


def test_what_was_never_written_or_is_deleted(alice: Scope) -> None:
    assert (alice.memory.trim(keep=3).changed, alice.memory.trim(keep=0).version) == (False, 0)
    with pytest.raises(NotFound):
        alice.memory.trim(before=2)
    alice.chats.append("c", said("x"))
    alice.chats.delete("c")
    receipt = alice.chats.trim("c", keep=0)
    assert (receipt.changed, receipt.version) == (False, 2)
    with pytest.raises(NotFound):
        alice.actor("nosuch").trim(keep=1)


def test_text_that_was_cut_off_is_in_no_block_any_more(store: Store, alice: Scope) -> None:
    alice.memory.add("k", "a secret that is to go")
    alice.memory.clear()
    alice.memory.trim(keep=0)
    store.gc()
    blocks = [store.blocks.get(block.cid) for block in store.blocks.list()]
    assert blocks
    assert not any(b"a secret that is to go" in bytes(data) for data in blocks)


def test_what_is_cut_off_while_a_scope_is_told(alice: Scope) -> None:
    config(alice, 60)
    told = alice.history()
    versions = [next(told).version for _ in range(5)]
    alice.user_config.trim(keep=40)
    versions += [next(told).version for _ in range(20)]
    alice.user_config.trim(keep=0)
    versions += [event.version for event in told]
    # What it had read already, and no more.
    assert versions == list(range(60, 60 - len(versions), -1))
    assert 25 <= len(versions) <= 32


def test_a_conversation_alone(alice: Scope) -> None:
    for number in range(5):
        alice.chats.append("c", said(f"{number}"))
        alice.chats.append("d", said(f"{number}"))
    assert alice.chats.trim("c", keep=1).dropped == 4
    assert [message.content for message in alice.chats.messages("c")] == ["0", "1", "2", "3", "4"]
    with pytest.raises(HistoryTrimmed):
        alice.chats.at("c", 3)
    assert len(alice.chats.at("d", 3)) == 3
    assert len(alice.chats.index(3)) == 2


def test_what_reads_a_store_only_trims_nothing(alice: Scope) -> None:
    assert not hasattr(alice.llm_preferences, "trim")


def test_at_most_so_many_are_kept() -> None:
    with testing.memory() as store:
        alice = store.scope("alice")
        for first in range(0, 11_000, 1000):
            with alice.commit() as c:
                for number in range(first, first + 1000):
                    c.agents.add("t", str(number))
        head = store.head()
        with pytest.raises(LimitExceeded, match="events that are kept: 10001 exceeds the limit of 10000"):
            alice.agents.trim(keep=10_001)
        assert store.head() == head
        assert alice.agents.trim(keep=10_000).dropped == 1000


@pytest.mark.parametrize("kept", [{"keep": True}, {"before": True}, {"keep": False}])
def test_a_truth_is_no_number(alice: Scope, kept: dict[str, bool]) -> None:
    config(alice, 3)
    with pytest.raises(Invalid, match="True or False"):
        alice.user_config.trim(**kept)
    assert len(list(alice.user_config.history())) == 3
