"""Two scopes side by side: what only one has, where they went apart, and what it costs to know."""

from datetime import UTC, datetime

import pytest
from whole import fill

import treering
from treering import ChangedRef, Invalid, ScopeRef, Store
from treering.messages import Message


def said(content: str) -> list[Message]:
    return [Message(role="user", content=content)]


def test_a_fork_differs_in_nothing(store: Store) -> None:
    alice = store.scope("alice")
    fill(alice)
    bob = alice.fork("bob")
    before = store.counters()["blocks_read"]
    diff = alice.diff(bob)
    assert store.counters()["blocks_read"] == before
    assert not diff
    refs = sum(1 for _ in alice.actors())
    assert diff.same > refs
    assert str(diff) == f"{diff.same} the same"


def test_what_only_one_has(store: Store) -> None:
    alice = store.scope("alice")
    alice.memory.add("preference", "x")
    bob = alice.fork("bob")
    alice.pins.add("mine", store.put(b"x"))
    thread = bob.threads.start("review", key="theirs")
    diff = alice.diff(bob)
    assert diff.left == (ScopeRef("pin", ("mine",)),)
    assert diff.right == (ScopeRef("thread", (thread.id,)), ScopeRef("thread-key", ("theirs",)))
    assert (diff.changed, diff.same) == ((), 1)
    turned = bob.diff(alice)
    assert (turned.left, turned.right) == (diff.right, diff.left)


@pytest.mark.parametrize(("common", "left", "right"), [(1, 0, 1), (5, 3, 0), (40, 7, 100), (2, 90, 90), (33, 1, 1)])
def test_where_they_went_apart(store: Store, common: int, left: int, right: int) -> None:
    alice = store.scope("alice", durability="relaxed")
    thread = alice.threads.start("review", key="k")
    for nth in range(common):
        thread.append("coder", str(nth))
        alice.memory.add("preference", str(nth))
    bob = alice.fork("bob")
    for scope, count in ((alice, left), (bob, right)):
        for nth in range(count):
            scope.threads.get("k").append("coder", f"{scope.name} {nth}")
            scope.memory.add("preference", f"{scope.name} {nth}")
    before = store.counters()["blocks_read"]
    diff = alice.diff(bob)
    assert store.counters()["blocks_read"] - before <= 60
    apart = (common + left, common + right, common)
    expected = [
        ChangedRef(ScopeRef("thread", (thread.id,)), *apart),
        ChangedRef(ScopeRef("user-memory", ()), *apart),
    ]
    assert [*diff.changed] == expected
    assert diff.changed[1].common == common
    assert str(expected[1]) == f"user-memory: {apart[0]} here, {apart[1]} there; common: {common}"


def test_what_was_cut_off_has_nothing_in_common(store: Store) -> None:
    alice = store.scope("alice")
    for nth in range(6):
        alice.memory.add("preference", str(nth))
        alice.chats.append("chat", said(str(nth)))
    bob = alice.fork("bob")
    alice.memory.trim(keep=2)
    bob.chats.delete("chat")
    changed = {change.ref.kind: change for change in alice.diff(bob).changed}
    assert set(changed) == {"user-memory", "chat", "chat-index"}
    assert (changed["user-memory"].left, changed["user-memory"].right) == (6, 6)
    assert changed["user-memory"].common is None
    assert (changed["chat"].left, changed["chat"].right, changed["chat"].common) == (6, 7, None)


def test_others_have_neither_steps_nor_versions(store: Store) -> None:
    alice = store.scope("alice")
    alice.pins.add("p", store.put(b"x"))
    bob = alice.fork("bob")
    bob.pins.add("p", store.put(b"y"))
    (changed,) = alice.diff(bob).changed
    assert changed == ChangedRef(ScopeRef("pin", ("p",)), None, None, None)
    assert str(changed) == "pin/p: another one there"


def test_two_that_began_apart(store: Store) -> None:
    alice, bob = store.scope("alice"), store.scope("bob")
    for scope in (alice, bob):
        scope.memory.add("preference", scope.name)
    (changed,) = alice.diff(bob).changed
    assert (changed.left, changed.right, changed.common) == (1, 1, None)
    assert alice.diff(store.scope("nobody")).left == (ScopeRef("user-memory", ()),)


def test_with_what_was(store: Store) -> None:
    alice = store.scope("alice")
    alice.memory.add("preference", "1")
    cursor = list(store.journal())[-1].cursor
    alice.memory.add("preference", "2")
    diff = alice.diff(alice.at(cursor))
    assert str(diff) == "~ user-memory: 2 here, 1 there; common: 1\n0 the same"
    assert not alice.diff(alice.at(datetime(2970, 1, 1, tzinfo=UTC)))


def test_refusals(store: Store) -> None:
    alice = store.scope("alice")
    with treering.memory() as other, pytest.raises(Invalid, match="of another store"):
        alice.diff(other.scope("alice"))
    with pytest.raises(TypeError):
        alice.diff("bob")  # type: ignore[arg-type]
