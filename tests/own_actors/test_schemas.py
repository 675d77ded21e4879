"""Classes that changed since: other fields, other names, other rules; and bytes of before, kept in this file."""

import shutil
from pathlib import Path

import pytest
from purses import Add, One, Purse1, Purse3, Put, Renamed, Sum, Twice
from tickets import Closed, Note, Noted, Open, Opened, Ticket, TicketState

import treering
from treering import Corrupt, NewerSchema, Scope, Store


def filled(scope: Scope, events: int) -> None:
    for number in range(events):
        scope.own(Purse1, "p").send(One.Add(str(number)))


def total(events: int) -> int:
    return 100 * sum(range(events))


@pytest.mark.parametrize("events", [0, 1, 15, 16, 17, 40])
def test_old_events_are_lifted_number_by_number(store: Store, alice: Scope, events: int) -> None:
    filled(alice, events)
    purse = alice.own(Purse3, "p")
    assert (purse.get().state, purse.get().version) == (Sum(total(events)), events)
    assert [event.message for event in purse.history()] == [Put(100 * number) for number in range(events)]
    assert [event.schema for event in purse.history()] == [1] * events
    assert [purse.at(version).state.total for version in range(events + 1)] == [total(n) for n in range(events + 1)]
    assert purse.send(Add(5)).value == Sum(total(events) + 5) == purse.get().state
    assert purse.verify() == events + 1
    # Who knows less reads what it can, and writes nothing.
    old = alice.own(Purse1, "p")
    with pytest.raises(NewerSchema) as newer:
        old.send(One.Add("1"))
    assert (newer.value.attributes["found"], newer.value.attributes["supported"]) == (3, 1)
    with pytest.raises(NewerSchema):
        old.rebuild()
    assert old.get().version == events + 1
    assert (old.get().state, old.verify()) == (One.Sum(str(total(events) // 100)), events + 1)
    assert [event.message for event in old.history(first=events + 1)] == [{"cents": 5, "currency": "EUR"}]
    for _ in range(20):
        purse.send(Add(0))
    assert alice.own(Purse3, "p").get().state == Sum(total(events) + 5)
    assert alice.own(Purse1, "p").get().state == One.Sum(str(total(events) // 100))
    assert store.verify().ok


def test_a_state_that_history_was_cut_off_before_is_lifted_too(store: Store, alice: Scope) -> None:
    filled(alice, 30)
    alice.own(Purse1, "p").trim(keep=3)
    store.gc()
    purse = alice.own(Purse3, "p")
    assert (purse.get().state, purse.at(27).state) == (Sum(total(30)), Sum(total(27)))
    assert purse.send(Add(1)).value == Sum(total(30) + 1)
    purse.trim(keep=0)
    assert (purse.get().state, purse.verify()) == (Sum(total(30) + 1), 0)
    with pytest.raises(NewerSchema):
        alice.own(Purse1, "p").send(One.Add("1"))


def test_other_rules_make_snapshots_anew(store: Store, alice: Scope) -> None:
    filled(alice, 40)
    once, twice = alice.own(Purse3, "p"), alice.own(Twice, "p")
    assert (once.get().state.total, twice.get().state.total) == (total(40), 2 * total(40))
    assert twice.send(Add(1)).value == Sum(2 * total(40) + 2)
    snapshot = alice.actor("x.purse", "p").state()
    assert isinstance(snapshot, treering.stores.StoredState)
    assert (snapshot.fields_version, snapshot.fields) == (41, {"total": 2 * total(40) + 2, "currency": "EUR"})
    assert (once.get().state.total, twice.get().state.total) == (total(40) + 1, 2 * total(40) + 2)
    assert (once.verify(), twice.verify(), once.rebuild(), once.verify(), twice.verify()) == (41, 41, 41, 41, 41)
    assert (once.get().state.total, twice.get().state.total) == (total(40) + 1, 2 * total(40) + 2)


def test_rules_that_changed_under_the_same_number_are_found(alice: Scope) -> None:
    class Otherwise(Purse3):
        factor = 3

    purse = alice.own(Purse3, "p")
    for _ in range(16):
        purse.send(Add(1))
    changed = alice.own(Otherwise, "p")
    with pytest.raises(Corrupt, match=r"Otherwise\.fold up") as corrupt:
        changed.verify()
    assert corrupt.value.attributes["version"] == 16
    assert (changed.rebuild(), changed.verify(), changed.get().state.total) == (16, 16, 48)


def test_other_rules_take_the_place_of_a_snapshot_that_is_still_used(store: Store, alice: Scope) -> None:
    """The lists of a remembered state hang on a snapshot that others may replace, and a collection deletes then."""

    class Shouting(Ticket):
        fold = 2

        def evolve(self, state: TicketState, event: Opened | Noted | Closed) -> TicketState:
            return super().evolve(state, Noted(event.text.upper()) if isinstance(event, Noted) else event)

    ticket, shouting = alice.own(Ticket, "T"), alice.own(Shouting, "T")
    ticket.send(Open("a"))
    for number in range(60):
        ticket.send(Note(f"note {number} " * 10))
    assert len(ticket.get().state.notes) == 60
    for turn in range(4):
        shouting.rebuild()
        store.gc()
        assert ticket.get().state.notes[3] == "note 3 " * 10
        assert ticket.send(Note("more")).value == ticket.get().state
        assert shouting.get().state.notes[3] == "NOTE 3 " * 10
        ticket.rebuild()
        store.gc()
        assert shouting.send(Note("more")).value == shouting.get().state
        assert [note.lower() for note in shouting.get().state.notes] == list(ticket.get().state.notes)
        assert len(ticket.get().state.notes) == 62 + 2 * turn
    assert (ticket.verify(), shouting.verify(), store.verify().ok) == (69, 69, True)


def test_what_is_remembered_counts_for_just_its_log(alice: Scope) -> None:
    filled(alice, 20)
    for _ in range(20):
        alice.own(Purse1, "other").send(One.Add("1"))
    folder, other = alice.own(Purse1, "p")._at().folder, alice.own(Purse1, "other")._at().folder
    for version in (17, 18, 20):
        known = other.at(version)
        assert folder.folded(folder.core.load(None), known).state == One.Sum(str(sum(range(20))))
        mine = folder.at(version)
        assert folder.folded(folder.core.load(None), mine).state == One.Sum(str(sum(range(20))))


def test_an_event_of_another_name(alice: Scope) -> None:
    filled(alice, 20)
    purse = alice.own(Renamed, "p")
    assert purse.get().state == Sum(total(20))
    assert purse.send(Add(3)).value == Sum(total(20) + 3)
    assert next(purse.history(first=21)).type == "x.purse.Gained"
    # A type that a class does not know leaves its state as it is.
    assert alice.own(Purse3, "p").get().state == Sum(total(20))


def test_an_old_event_without_a_way_is_refused_by_name(alice: Scope) -> None:
    class Lost(treering.Actor[Sum, Add, Put]):
        kind = "purse"
        schema = 2

        def decide(self, state: Sum, command: Add, context: treering.ActorContext) -> None:
            return None

        def evolve(self, state: Sum, event: Put) -> Sum:
            return state

    filled(alice, 3)
    with pytest.raises(Corrupt, match=r"Put\.cents is missing and has no default; stored with schema 1, Lost has 2"):
        alice.own(Lost, "p").get()
    with pytest.raises(Corrupt):
        alice.own(Lost, "p").send(Add(1))


OLD_EVENTS = [
    # {"fields": {"amount": "7"}, "schema": 1, "type": "x.purse.Put"}, as the first version wrote them.
    (1, "x.purse.Put", {"amount": "7"}),
    (2, "x.purse.Put", {"cents": "50"}),
    (3, "x.purse.Put", {"cents": 5, "currency": "CHF"}),
    (3, "x.purse.Put", {"cents": 1, "currency": "EUR", "later": True}),
    (1, "x.purse.Forgotten", {"a": [1]}),
]


def test_stored_fields_of_each_schema() -> None:
    """What stands in old logs, by its bytes: the fields are read, whatever wrote them."""
    rules = treering.own.rules.rules_of(Purse3)
    read = [rules.read_event(name, schema, dict(fields), None) for schema, name, fields in OLD_EVENTS]
    assert read == [Put(700), Put(50), Put(5, "CHF"), Put(1), None]
    assert rules.read_state(1, {"total": "3"}, None) == Sum(300)
    assert rules.read_event("x.purse.Put", 4, {"franken": 1}, None) is None


def test_a_store_of_before(tmp_path: Path) -> None:
    """Bytes that the first version wrote: read at every version, verified, answered, and written on."""
    folder = shutil.copytree(Path(__file__).parent / "old", tmp_path / "state")
    (folder / "blobs").mkdir()
    with treering.open(folder, automatic_gc=False) as store:
        alice = store.scope("alice")
        assert {info.parts: (info.version, info.oldest, info.broken) for info in alice.actors()} == {
            ("cut",): (40, 37, None), ("gone",): (2, 2, None), ("long",): (40, 0, None),
        }  # fmt: skip
        for old, new in ((alice.own(Purse1, "long"), alice.own(Purse3, "long")),):
            assert (old.verify(), new.verify()) == (40, 40)
            assert [int(old.at(version).state.total) for version in range(41)] == [sum(range(n)) for n in range(41)]
            assert [new.at(version).state.total for version in range(41)] == [total(n) for n in range(41)]
            stored = alice.actor("x.purse", "long").state()
            assert isinstance(stored, treering.stores.StoredState)
            assert (stored.fields_version, stored.fields) == (32, {"total": "496"})
            answer = old.send(One.Add("7"), command_id="add 7")
            assert (answer.replayed, answer.version, answer.value) == (True, 8, One.Sum("28"))
            event = next(old.history(first=8))
            assert (event.message, event.at_ms, event.principal) == (One.Put("7"), 1_760_011_208_000, "bob")
        cut = alice.own(Purse3, "cut")
        assert (cut.get().state, cut.at(37).state, cut.verify()) == (Sum(total(40)), Sum(total(37)), 3)
        assert alice.own(Purse3, "gone").get().state == Sum()
        for name in ("long", "cut", "gone"):
            purse = alice.own(Purse3, name)
            before = purse.get().state.total
            assert purse.send(Add(1)).value == Sum(before + 1)
            purse.rebuild()
            store.gc()
            assert (purse.get().state.total, purse.verify() > 0) == (before + 1, True)
        assert store.verify().ok
