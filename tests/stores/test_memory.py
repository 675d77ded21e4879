"""`memory`: fifty entries, of which the right one goes; categories; saving as a reconciliation."""

import dataclasses
import re

import pytest

from treering import CommandMismatch, HistoryTrimmed, LimitExceeded, NotFound, Scope, Store, testing
from treering.messages import MemoryCleared, MemoryEntry, MemoryEntryAdded, MemoryEntryRemoved, MemorySource

CAP = 50


def fill(scope: Scope, category: str, count: int, clock: testing.Clock) -> list[str]:
    ids = []
    for number in range(count):
        clock.advance(1000)
        added = scope.memory.add(category, f"{category} {number}").value
        assert added is not None
        ids.append(added.id)
    return ids


def ids(scope: Scope) -> list[str]:
    return [entry.id for entry in scope.memory.get()]


def test_none_then_one_then_two(alice: Scope, clock: testing.Clock) -> None:
    assert (list(alice.memory.get()), alice.memory.get().version) == ([], 0)
    one = alice.memory.add("Preference ", "  answers in French\n", source="explicit")
    clock.advance(5)
    two = alice.memory.add("context", "two")
    assert one.value == MemoryEntry(
        id=one.value.id,
        category="preference",
        content="answers in French",
        source=MemorySource.EXPLICIT,
        created_at_ms=testing.clock.START_MS,
        updated_at_ms=testing.clock.START_MS,
    )
    assert re.fullmatch("[0-9a-f]{12}", one.value.id)
    assert two.value is not None
    assert two.value.source == MemorySource.INFERRED
    assert two.value.created_at_ms == testing.clock.START_MS + 5
    assert alice.memory.get() == [one.value, two.value]
    assert alice.memory.get().version == two.version == 2


@pytest.mark.parametrize(
    ("given", "kept"),
    [("", "context"), (" \t", "context"), ("  PreFerence ", "preference"), ("Odd Kind", "odd kind"), ("ÄÖ", "äö")],
)
def test_category(alice: Scope, given: str, kept: str) -> None:
    assert alice.memory.add(given, "x").value.category == kept  # type: ignore[union-attr]


def test_exactly_fifty_evict_none(alice: Scope, clock: testing.Clock) -> None:
    known = fill(alice, "a", CAP - 1, clock)
    last = alice.memory.add("b", "the fiftieth")
    assert (last.dropped, last.dropped_ids) == (0, ())
    assert ids(alice)[:-1] == known


def test_at_fifty_the_oldest_of_the_same_category_goes(alice: Scope, clock: testing.Clock) -> None:
    of_b, of_a = fill(alice, "b", 20, clock), fill(alice, "a", 30, clock)
    receipt = alice.memory.add("A", "one more")
    assert (receipt.dropped, receipt.dropped_ids) == (1, (of_a[0],))
    assert ids(alice) == [*of_b, *of_a[1:], receipt.value.id]  # type: ignore[union-attr]


def test_at_fifty_of_one_category_another_evicts_the_oldest_of_all(alice: Scope, clock: testing.Clock) -> None:
    of_a = fill(alice, "cat-a", CAP, clock)
    receipt = alice.memory.add("cat-b", "new")
    assert receipt.dropped_ids == (of_a[0],)
    # And the next of that kind evicts its only fellow, not the older ones.
    again = alice.memory.add("cat-b", "newer")
    assert again.dropped_ids == (receipt.value.id,)  # type: ignore[union-attr]
    assert len(ids(alice)) == CAP


def test_of_two_as_old_the_earlier_in_the_list_goes(alice: Scope) -> None:
    target = [MemoryEntry(id=f"{n:012x}", category="a", content="x", created_at_ms=100 - n // 2) for n in range(CAP)]
    alice.memory.save(target)
    # 48 and 49 are the oldest, and as old as each other.
    assert alice.memory.add("a", "new").dropped_ids == (f"{48:012x}",)
    assert alice.memory.add("b", "new").dropped_ids == (f"{49:012x}",)


def test_the_new_one_stays_however_old_it_is(alice: Scope, clock: testing.Clock) -> None:
    known = fill(alice, "a", CAP, clock)
    kept = list(alice.memory.get())
    ancient = MemoryEntry(id="f" * 12, category="a", content="ancient", created_at_ms=1)
    receipt = alice.memory.save([*kept, ancient])
    assert receipt.dropped_ids == (known[0],)
    assert ids(alice) == [*known[1:], ancient.id]


def test_the_event_carries_the_cap(alice: Scope) -> None:
    alice.memory.add("a", "x")
    (event,) = alice.memory.history()
    assert isinstance(event.message, MemoryEntryAdded)
    assert event.message.cap == CAP


def test_remove_by_id_and_unknown(alice: Scope, clock: testing.Clock) -> None:
    one, two = fill(alice, "a", 2, clock)
    assert alice.memory.remove(one).changed
    assert ids(alice) == [two]
    for id in (one, "", "nothing"):
        assert (alice.memory.remove(id).changed, alice.memory.get().version) == (False, 3)


def test_clear(alice: Scope, clock: testing.Clock) -> None:
    assert alice.memory.clear().changed is False
    fill(alice, "a", 3, clock)
    receipt = alice.memory.clear()
    assert (receipt.version, receipt.changed, receipt.dropped) == (4, True, 3)
    assert (list(alice.memory.get()), len(alice.memory.at(3))) == ([], 3)
    assert isinstance(list(alice.memory.history())[-1].message, MemoryCleared)


def test_save_removes_then_adds_and_sends_nothing_of_those_kept(alice: Scope, clock: testing.Clock) -> None:
    one, two, three = fill(alice, "a", 3, clock)
    kept = alice.memory.get()[1]
    new = [MemoryEntry(id=f"{n:012x}", category=" B ", content=f" new {n} ") for n in (1, 2)]
    altered = dataclasses.replace(kept, content="not taken: it is there")
    receipt = alice.memory.save([new[0], altered, new[1]])
    events = [event.message for event in alice.memory.history(first=4)]
    assert [type(event) for event in events] == [MemoryEntryRemoved] * 2 + [MemoryEntryAdded] * 2
    assert [event.id for event in events if isinstance(event, MemoryEntryRemoved)] == [one, three]
    entries = alice.memory.get()
    assert entries[0] == kept
    assert [(entry.id, entry.category, entry.content) for entry in entries[1:]] == [
        (new[0].id, "b", "new 1"),
        (new[1].id, "b", "new 2"),
    ]
    assert entries[1].created_at_ms == entries[1].updated_at_ms == clock.now_ms
    assert receipt.version == 7
    assert alice.memory.save(alice.memory.get()).changed is False
    assert alice.memory.save([kept]).version == 9
    assert ids(alice) == [two]


def test_save_keeps_times_that_are_given(alice: Scope) -> None:
    alice.memory.save([MemoryEntry(id="0" * 12, content="x", created_at_ms=5, updated_at_ms=9)])
    assert (alice.memory.get()[0].created_at_ms, alice.memory.get()[0].updated_at_ms) == (5, 9)


def test_limits_at_their_edges(alice: Scope) -> None:
    alice.memory.add("c" * 1024, "é" * 4096)
    alice.memory.save([MemoryEntry(id=f"{n:012x}", content="x") for n in range(1000)])
    assert ids(alice) == [f"{n:012x}" for n in range(950, 1000)]
    version = alice.memory.get().version
    for limit, write in (
        (1024, lambda: alice.memory.add("c" * 1025, "x")),
        (8192, lambda: alice.memory.add("c", "x" * 8193)),
        (1000, lambda: alice.memory.save([MemoryEntry(id=f"{n:012x}", content="x") for n in range(1001)])),
    ):
        with pytest.raises(LimitExceeded) as caught:
            write()
        assert (caught.value.limit, caught.value.actual) == (limit, limit + 1)
    assert alice.memory.get().version == version


def test_dropped_ids_are_named_up_to_a_hundred(alice: Scope) -> None:
    receipt = alice.memory.save([MemoryEntry(id=f"{n:012x}", content="x") for n in range(300)])
    assert receipt.dropped == 250
    assert receipt.dropped_ids[:100] == tuple(f"{n:012x}" for n in range(100))


@pytest.mark.parametrize("gone_before", [False, True])
def test_what_is_purged_is_in_no_version(store: Store, alice: Scope, gone_before: bool) -> None:
    secret = alice.memory.add("context", "the code is 4711").value
    alice.memory.add("context", "likes tea")
    if gone_before:
        assert alice.memory.remove(secret.id).version == 3
    told = [event.cid for event in alice.memory.history()]
    receipt = alice.memory.remove(secret.id, purge=True, command_id="forget")
    assert (receipt.changed, receipt.version) == (True, 3)
    assert [entry.content for entry in alice.memory.get()] == ["likes tea"]
    with pytest.raises(HistoryTrimmed):
        alice.memory.at(2)
    assert [entry.content for entry in alice.memory.at(3)] == ["likes tea"]
    store.gc()
    for cid in told:
        with pytest.raises(NotFound):
            store.blocks.get(cid)
    # Nothing is left to be forgotten; and the command is known, for what it was.
    assert not alice.memory.remove(secret.id, purge=True).changed
    assert alice.memory.remove(secret.id, purge=True, command_id="forget").replayed
    with pytest.raises(CommandMismatch):
        alice.memory.remove(secret.id, command_id="forget")
    assert alice.memory.verify() == 0
    assert alice.memory.add("context", "likes coffee").version == 4


def test_clear_purges_too(alice: Scope) -> None:
    assert not alice.memory.clear(purge=True).changed
    alice.memory.add("context", "one")
    assert alice.memory.clear(purge=True).dropped == 1
    with pytest.raises(HistoryTrimmed):
        next(alice.memory.history(first=1))
    with alice.commit() as c:
        c.memory.add("context", "two")
        c.memory.clear(purge=True)
    assert (len(alice.memory.get()), alice.memory.get().version, alice.memory.verify()) == (0, 4, 0)
