"""An older program and a newer one at the same actors: what the newer one's events did is never lost to the older one,
whatever it writes, folds, stores or cuts off."""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from orders import Older, Order, Order2, Ordered, Orders, Orders2, Price, Refund, later

import treering
from treering import Corrupt, NewerSchema, Settings, testing

KEEP = 4


def opened(path: Path, keep: int | None = None) -> treering.Store:
    return testing.open(path, settings=Settings(history_events=keep, development=True), durability="relaxed")


def the(store: treering.Store, actor: Any) -> Any:
    return store.scope("alice").own(actor, "1")


@pytest.mark.parametrize("keep", [0, 1, 2, 3])
@pytest.mark.parametrize("fold", [1, 2])
def test_who_has_a_smaller_schema_cuts_nothing_off(tmp_path: Path, keep: int, fold: int) -> None:
    newer = later(2, fold)
    with opened(tmp_path / "s") as store:
        the(store, Older).send(Order("a"))
        the(store, newer).send(Order2("b", 100))
        the(store, newer).send(Refund(20))
        for _ in range(2):
            with pytest.raises(NewerSchema) as refused:
                the(store, Older).trim(keep=keep)
            assert (refused.value.attributes["found"], refused.value.attributes["supported"]) == (2, 1)
            # In a store that was used with the older class alone; the newer one may.
            again = opened(tmp_path / "s")
            the(again, Older).get()
            (trimmed,) = again.scope("alice").trim(keep=keep).actors or (None,)
            assert trimmed is None or (keep == 3 and trimmed.dropped == 0) or "schema 2" in str(trimmed.refused)
            again.close()
        assert (the(store, newer).info().oldest, the(store, newer).get().state) == (0, Orders2(2, 80))
        the(store, newer).trim(keep=keep)
        assert the(store, newer).get().state == Orders2(2, 80)
        with pytest.raises(NewerSchema):
            the(store, Older).trim(keep=0)


@pytest.mark.parametrize("keep", [KEEP, None])
@pytest.mark.parametrize(("fold", "first"), list(product([1, 2], [1, 15, 16, 17, 40])))
def test_an_older_program_goes_on_beside_a_newer_one(tmp_path: Path, fold: int, first: int, keep: int | None) -> None:
    """With the schema number that it has, it may write; what it does not know stays."""
    newer, path = later(1, fold), tmp_path / "s"
    with opened(path, keep) as store:
        for number in range(first):
            the(store, newer).send(Order2("x", 100) if number else Refund(7))
        expected = the(store, newer).get().state
    for _ in range(2):
        with opened(path, keep) as store:
            older = the(store, Older)
            for number in range(20):
                older.send(Order("y"))
                if number % 7 == 0:
                    store.gc()
            with pytest.raises(NewerSchema, match=r"Older does not know|fold 2, Older has 1"):
                older.trim(keep=0)
            with pytest.raises(NewerSchema, match="Older does not know"):
                older.rebuild()
            assert older.verify() == older.info().events
            assert older.get().state.count == expected.count + 20
        expected = Orders2(expected.count + 20, expected.total)
        with opened(path, keep) as store:
            there = the(store, newer)
            assert there.get().state == expected
            assert there.verify() == there.info().events
            assert there.at(there.get().version).state == expected
            expected = Orders2(expected.count + 1, expected.total + 1)
            assert there.send(Order2("z", 1)).value == expected
    # Whoever knows all may cut off, and store.
    with opened(path, keep) as store:
        the(store, newer).rebuild()
        the(store, newer).trim(keep=1)
        assert (the(store, newer).get().state, the(store, newer).verify()) == (expected, 1)
        assert the(store, Older).get().state == Orders(expected.count)


def test_what_begins_with_a_state_of_a_newer_program(tmp_path: Path) -> None:
    """It holds a field that the older one does not know, though none of the events behind it does."""
    with opened(tmp_path / "s", KEEP) as store:
        newer, older = the(store, later()), the(store, Older)
        newer.send(Order2("x", 100))
        newer.trim(keep=0)
        for _ in range(40):
            older.send(Order("y"))
        with pytest.raises(NewerSchema, match=r"does not know State\.total"):
            older.trim(keep=0)
        assert older.info().oldest == 1
        assert newer.get().state == Orders2(41, 100)


def test_a_newer_fold_alone_is_not_written_over(tmp_path: Path) -> None:
    """The newer program makes more of the same events: nothing is unknown, yet its beginning would lack it."""

    @dataclass(frozen=True)
    class Longest:
        count: int = 0
        longest: str = ""

    class Another(treering.Actor[Longest, Order, Ordered]):
        kind = "orders"
        fold = 2

        def decide(self, state: Longest, command: Order, context: treering.ActorContext) -> Ordered:
            return Ordered(command.item)

        def evolve(self, state: Longest, event: Ordered) -> Longest:
            return Longest(state.count + 1, max(state.longest, event.item, key=len))

    with opened(tmp_path / "s", KEEP) as store:
        for number in range(16):
            the(store, Another).send(Order("long" if number == 3 else "x"))
        snapshot = store.scope("alice").actor("x.orders", "1").state()
        for _ in range(40):
            the(store, Older).send(Order("y"))
        with pytest.raises(NewerSchema, match="rebuild") as refused:
            the(store, Older).trim(keep=0)
        assert (refused.value.attributes["found"], refused.value.attributes["supported"]) == (2, 1)
        after = store.scope("alice").actor("x.orders", "1").state()
        assert (after.fields_version, after.fields) == (snapshot.fields_version, snapshot.fields)  # type: ignore[union-attr]
        assert (the(store, Another).get().state, the(store, Another).info().oldest) == (Longest(56, "long"), 0)
        # Where the older one is to stay, somebody says so; then it stores and cuts off again.
        the(store, Older).rebuild()
        for _ in range(40):
            the(store, Older).send(Order("y"))
        assert the(store, Older).info().oldest > 0
        the(store, Older).trim(keep=2)
        assert (the(store, Older).get().state, the(store, Older).verify()) == (Orders(96), 2)


def test_an_older_class_takes_no_snapshot_of_what_it_does_not_know(tmp_path: Path) -> None:
    """Not in one process either, where a state is remembered; nor in a commit of several."""
    with opened(tmp_path / "s") as store:
        newer, older = the(store, later()), the(store, Older)
        newer.send(Order2("x", 100))
        for _ in range(10):
            older.send(Order("y"))
            with store.scope("alice").commit() as c:
                for _ in range(4):
                    c.own(Older, "1").send(Order("y"))
        stored = store.scope("alice").actor("x.orders", "1").state()
        assert isinstance(stored, treering.stores.StoredState)
        assert (stored.fields, stored.fields_version) == (None, 0)
        assert newer.get().state == Orders2(51, 100)
        # What an older class knew all of is one, for the newer one too: what it lacks has its default.
        for _ in range(16):
            store.scope("alice").own(Older, "2").send(Order("y"))
        second = store.scope("alice").own(later(), "2")
        assert (second.get().state, second.verify(), second.at(16).state) == (Orders2(16, 0), 16, Orders2(16, 0))
        assert second.send(Order2("x", 5)).value == Orders2(17, 5)


def test_a_fork_keeps_what_a_newer_program_did(tmp_path: Path) -> None:
    newer = later()
    with opened(tmp_path / "s", KEEP) as store:
        for number in range(20):
            the(store, newer).send(Order2("x", number))
        store.scope("alice").fork("bob")
        for _ in range(40):
            store.scope("bob").own(Older, "1").send(Order("y"))
        with pytest.raises(NewerSchema):
            store.scope("bob").own(Older, "1").trim(keep=1)
        assert store.scope("bob").own(newer, "1").get().state == Orders2(60, sum(range(20)))
        assert the(store, newer).get().state == Orders2(20, sum(range(20)))


def test_what_is_left_out_on_purpose_counts_up(tmp_path: Path) -> None:
    """Of a smaller schema a class knows as much as it wants to; of its own it knows all."""

    def without(of_schema: int) -> Any:
        class Without(Older):
            schema = of_schema

        return Without

    with opened(tmp_path / "s") as store:
        for number in range(20):
            the(store, later()).send(Order2("x", number) if number else Refund(1))
        with pytest.raises(NewerSchema, match=r"count Without\.schema up"):
            the(store, without(1)).trim(keep=1)
        for _ in range(20):
            the(store, without(2)).send(Order("y"))
        the(store, without(2)).trim(keep=1)
        assert (the(store, without(2)).get().state, the(store, without(2)).verify()) == (Orders(39), 1)


@pytest.mark.parametrize(
    ("stored", "unknown"),
    [
        ({"item": "x"}, None),
        ({"item": "x", "cents": 1, "more": {"a": {"cents": 1}}}, None),
        ({"item": "x", "colour": 1}, "Ordered.colour"),
        ({"item": "x", "more": {"a": {}, "b": {"vat": 1}}}, "Ordered.more['b'].vat"),
        ({"item": "x", "more": 3}, None),
    ],
)
def test_what_of_a_stored_event_is_not_known(stored: dict[str, Any], unknown: str | None) -> None:
    rules = treering.own.rules.rules_of(later(2))
    assert rules.unknown_event("x.orders.Ordered", 2, stored) == unknown
    assert rules.unknown_event("x.orders.Ordered", 1, stored) is None
    assert rules.unknown_event("x.orders.Sent", 2, {}) == "the event Sent"


def test_unknown_fields_are_found_however_deep() -> None:
    @dataclass(frozen=True)
    class Leaf:
        inner: "Leaf | None" = None
        all: "tuple[Leaf, ...]" = ()
        pair: "tuple[int, Price]" = (1, Price())

    globals()["Leaf"] = Leaf
    known = treering.own.fields.record(Leaf)
    assert known.unknown({"inner": {"inner": {"inner": None, "x": 1}}}) == "Leaf.inner.inner.x"
    assert known.unknown({"all": [{}, {"all": [{"y": 1}]}]}) == "Leaf.all[1].all[0].y"
    assert known.unknown({"pair": [1, {"z": 1}]}) == "Leaf.pair[1].z"
    assert known.unknown({"pair": [1, {"cents": 1}], "inner": None, "all": [{}]}) is None


def test_a_damaged_snapshot_is_still_found(tmp_path: Path) -> None:
    class Otherwise(Older):
        def evolve(self, state: Orders, event: Any) -> Orders:
            return Orders(state.count + 2)

    with opened(tmp_path / "s") as store:
        for _ in range(16):
            the(store, Older).send(Order("x"))
        with pytest.raises(Corrupt, match=r"Otherwise\.fold up"):
            the(store, Otherwise).verify()
