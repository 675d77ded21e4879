"""Own actors in a scope that is forked, compared, trimmed, erased and asked for by a resolver."""

import asyncio
import contextvars
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from purses import Add, Purse1, Purse3
from tickets import Close, Note, Noted, Open, Ticket, TicketState

import treering
from treering import Invalid, NewerSchema, Scope, Store, aio
from treering.scope_diff import ChangedRef, ScopeRef

TENANT: contextvars.ContextVar[str] = contextvars.ContextVar("tenant")


def lived(scope: Scope, notes: int = 40, name: str = "T-1") -> treering.OwnActor[TicketState, Any, Any]:
    ticket = scope.own(Ticket, name)
    ticket.send(Open(name))
    for number in range(notes):
        ticket.send(Note(f"{scope.name} {number}", {f"{number % 7}": number}))
    return ticket


def test_whichever_scope_it_is(store: Store) -> None:
    ticket = store.scoped(TENANT.get).own(Ticket, "T-1")
    for name in ("alice", "bob"):
        TENANT.set(name)
        assert ticket.send(Open(name)).value.title == name
        assert ticket.send(Note(name), expected_version=1).version == 2
    TENANT.set("alice")
    calls = [ticket.history(), ticket.watch(0)]
    states = ticket.states()
    TENANT.set("bob")
    alice = store.scope("alice").own(Ticket, "T-1")
    first = next(iter(alice.history())).event_id
    assert [next(events).event_id for events in calls] == [first, first]
    assert next(states).state.title == "alice"
    assert (ticket.get().state.title, ticket.at(1).version, ticket.info().version) == ("bob", 1, 2)
    assert (ticket.verify(), ticket.rebuild(), ticket.version_at(datetime(2970, 1, 1, tzinfo=UTC))) == (2, 2, 2)
    assert ticket.trim(keep=0).dropped == 2
    assert ticket.delete().version == 3
    assert (alice.get().version, alice.info().oldest) == (2, 0)
    same = store.scoped(TENANT.get).own(Ticket, "T-1")
    assert (ticket == ticket, ticket == same, ticket == alice, hash(ticket) == hash(alice)) == (
        True,
        False,
        False,
        True,
    )
    with pytest.raises(Invalid, match="only this process can say"):
        ticket.__reduce__()
    with pytest.raises(Invalid):
        store.scoped(TENANT.get).own(TicketState)  # type: ignore[type-var]
    with pytest.raises(Invalid):
        store.scoped(TENANT.get).own(Ticket, " ").get()


def test_the_resolver_is_asked_once_a_call(store: Store) -> None:
    asked: list[None] = []

    def resolver() -> str:
        asked.append(None)
        return "alice"

    ticket = store.scoped(resolver).own(Ticket, "T-1")
    for number, call in enumerate(
        (
            lambda: ticket.send(Open("a")),
            ticket.get,
            lambda: ticket.at(1),
            ticket.info,
            lambda: list(ticket.history()),
            lambda: next(ticket.watch(0)),
            lambda: next(ticket.states()),
            lambda: ticket.version_at(datetime(2970, 1, 1, tzinfo=UTC)),
            ticket.verify,
            ticket.rebuild,
            lambda: ticket.trim(keep=1),
            ticket.delete,
        ),
        start=1,
    ):
        call()
        assert len(asked) == number


def test_whichever_scope_it_is_awaited(tmp_path: Path) -> None:
    async def life() -> None:
        async with aio.open(tmp_path / "s") as store:
            ticket = store.scoped(TENANT.get).own(Ticket, "T-1")

            async def one(name: str) -> str:
                TENANT.set(name)
                await ticket.send(Open(name))
                return (await ticket.get()).state.title + str([event.version async for event in ticket.history()])

            names = [f"user {number}" for number in range(8)]
            assert await asyncio.gather(*map(one, names)) == [f"{name}[1]" for name in names]

    asyncio.run(life())


@pytest.mark.parametrize(("common", "left", "right"), [(1, 0, 1), (5, 3, 0), (40, 7, 60), (33, 1, 1)])
def test_where_they_went_apart(store: Store, common: int, left: int, right: int) -> None:
    alice = store.scope("alice", durability="relaxed")
    lived(alice, common - 1)
    bob = alice.fork("bob")
    assert not alice.diff(bob)
    for scope, count in ((alice, left), (bob, right)):
        for number in range(count):
            scope.own(Ticket, "T-1").send(Note(f"{scope.name} {number}"))
    before = store.counters()["blocks_read"]
    (changed,) = alice.diff(bob).changed
    assert store.counters()["blocks_read"] - before <= 60
    assert changed == ChangedRef(ScopeRef("x.ticket", ("T-1",)), common + left, common + right, common)
    alice.own(Ticket, "T-1").trim(keep=0)
    (changed,) = alice.diff(bob).changed
    assert (changed.left, changed.right, changed.common) == (common + left, common + right, None)


def test_a_fork_writes_no_block_and_both_go_on(store: Store) -> None:
    """What a state's lists and maps share stays shared; what one lets go of, the other keeps."""
    alice = store.scope("alice")
    ticket = lived(alice, 200)
    was = ticket.get().state
    notes, labels = list(was.notes), dict(was.labels)
    blocks = store.stats()["blocks"]
    bob = alice.fork("bob")
    assert store.stats()["blocks"] == blocks
    theirs = bob.own(Ticket, "T-1")
    assert theirs.get().state == was
    theirs.send(Note("bob's", {"bob": 1}))
    ticket.send(Note("alice's"))
    assert (list(theirs.get().state.notes)[-1], list(ticket.get().state.notes)[-1]) == ("bob's", "alice's")
    ticket.trim(keep=0)
    store.gc()
    assert (theirs.verify(), list(theirs.at(201).state.notes)) == (202, notes)
    alice.erase()
    store.gc()
    assert alice.own(Ticket, "T-1").get().version == 0
    assert list(theirs.get().state.notes) == [*notes, "bob's"]
    assert dict(theirs.get().state.labels) == {**labels, "bob": 1}
    assert (theirs.verify(), store.verify().ok, theirs.send(Close()).value.status) == (202, True, "closed")


def test_blocks_of_a_change_in_a_long_list(tmp_path: Path) -> None:
    """A state with a map of 5,000: a command writes its event, and with each sixteenth what is new of the list and the
    map, a path each and not all of it; so does a trim."""
    with treering.open(tmp_path / "s", durability="relaxed", automatic_gc=False) as store:
        ticket = store.scope("alice").own(Ticket, "T-1")
        ticket.send(Open("a"))
        before = store.stats()["blocks"]
        ticket.send(Note("all", {f"{number}": number for number in range(5_000)}))
        ticket.rebuild()
        assert store.stats()["blocks"] - before > 40, "it is a map of many blocks"
        written = []
        for number in range(64):
            before = store.stats()
            ticket.send(Note(f"more {number}", {"5": number}))
            after = store.stats()
            written.append((after["blocks"] - before["blocks"], after["block_bytes"] - before["block_bytes"]))
        plain = [count for count, _ in written if count == 1]
        assert len(plain) == 60, written
        assert max(count for count, _ in written) <= 8, written
        assert sum(count for count, _ in written) / 64 <= 1.5, written
        before = store.stats()["blocks"]
        ticket.trim(keep=8)
        # Eight events behind a new beginning, the beginning, its state, and what is new of the state.
        assert store.stats()["blocks"] - before <= 8 + 2 + 8
        store.gc()
        assert (len(list(ticket.get().state.notes)), ticket.verify()) == (65, 8)
        assert ticket.get().state.labels["5"] == 63


def test_trimmed_with_its_scope(store: Store) -> None:
    alice = store.scope("alice")
    one, two = lived(alice, 40), lived(alice, 5, "T-2")
    alice.memory.add("k", "v")
    was = {version: one.at(version).state for version in range(31, 42)}
    for dry_run in (True, False):
        done = alice.trim(keep=10, dry_run=dry_run)
        assert [(actor.parts, actor.dropped, actor.oldest) for actor in done.actors] == [(("T-1",), 31, 31)]
        assert (done.refused, done.looked_at) == ((), 3)
    store.gc()
    assert {version: one.at(version).state for version in range(31, 42)} == was
    assert (one.verify(), two.verify(), one.info().oldest, store.verify().ok) == (10, 6, 31, True)
    assert alice.trim(keep=10).dropped == 0
    assert one.send(Note("on")).version == 42


def test_a_class_that_was_not_seen_is_named(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s") as store:
        lived(store.scope("alice"))
    with treering.open(tmp_path / "s") as store:
        alice = store.scope("alice")
        (refused,) = alice.trim(keep=0).refused
        assert (refused.kind, refused.dropped, refused.oldest) == ("x.ticket", 0, 0)
        assert "scope.own(…) first" in str(refused.refused)
        # Any actor of the class will do, in any scope: nothing is read or written by it.
        store.scope("bob").own(Ticket)
        done = alice.trim(keep=0)
        assert (done.dropped, done.refused) == (41, ())
        assert len(list(alice.own(Ticket, "T-1").get().state.notes)) == 40


def test_what_a_later_class_wrote_is_not_trimmed(store: Store, alice: Scope) -> None:
    """An older class does not know all that happened: what it folds would be all that is left."""
    purse = alice.own(Purse3, "p")
    for _ in range(20):
        purse.send(Add(5))
    before = purse.get().state
    old = alice.own(Purse1, "p")
    with pytest.raises(NewerSchema):
        old.trim(keep=3)
    assert (purse.get().state, purse.verify()) == (before, 20)
    # Of two classes the store was used with, the one that knows more trims.
    assert alice.trim(keep=3).dropped == 17
    assert (purse.get().state, purse.verify()) == (before, 3)


def test_a_class_that_raises_keeps_no_other_from_it(alice: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    lived(alice)
    for number in range(1, 21):
        alice.user_config.update(max_tool_rounds=number)

    def evolve(self: Ticket, state: TicketState, event: object) -> TicketState:
        if isinstance(event, Noted):
            raise ValueError("no")
        return replace(state, title="?")

    monkeypatch.setattr(Ticket, "evolve", evolve)
    done = alice.trim(keep=1)
    assert [(actor.kind, actor.dropped) for actor in done.actors] == [("user-config", 19), ("x.ticket", 0)]
    assert done.refused[0].refused == "Ticket can't fold it: ValueError: no"
