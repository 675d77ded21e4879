"""History of an actor of one's own that ends by itself: what is kept is whole, and goes on."""

import threading
from pathlib import Path

import pytest
from purses import Add, One, Purse1, Purse3, Sum
from tickets import Note, Open, Ticket

import treering
from treering import HistoryTrimmed, Settings, testing

KEEP = 20


def kept(path: Path) -> treering.Store:
    return testing.open(path, settings=Settings(history_events=KEEP, development=True), durability="relaxed")


def test_history_ends_by_itself(tmp_path: Path) -> None:
    with kept(tmp_path / "s") as store:
        ticket = store.scope("alice").own(Ticket, "T")
        ticket.send(Open("a"))
        oldest = set()
        for number in range(200):
            receipt = ticket.send(Note(f"note {number}", {f"{number % 9}": number}), command_id=f"{number}")
            assert (receipt.version, receipt.value) == (number + 2, ticket.get().state)
            info = ticket.info()
            assert info.version - info.oldest >= min(info.version, KEEP)
            # From snapshot to snapshot, which are 16 events apart.
            assert info.version - info.oldest <= 2 * (KEEP + 16)
            oldest.add(info.oldest)
            if number % 10 == 0:
                store.gc()
        assert len(oldest) > 5
        assert ticket.verify() == ticket.info().version - ticket.info().oldest
        assert list(ticket.get().state.notes) == [f"note {number}" for number in range(200)]
        assert ticket.at(info.oldest).state.count == info.oldest - 1
        with pytest.raises(HistoryTrimmed):
            ticket.at(info.oldest - 1)
        assert (ticket.rebuild(), ticket.get().state.count, store.verify().ok) == (201, 200, True)
    with treering.open(tmp_path / "s") as store:
        ticket = store.scope("alice").own(Ticket, "T")
        assert ticket.get().state.count == 200 == ticket.send(Note("", {})).version - 1
        for _ in range(100):
            ticket.send(Note("x"))
        assert ticket.info().version - ticket.info().oldest > 100


def test_a_state_of_other_rules_is_no_beginning(tmp_path: Path) -> None:
    """What was folded by the rules of before is made anew from events; so they are not cut off behind it."""
    with kept(tmp_path / "s") as store:
        alice = store.scope("alice")
        for number in range(20):
            alice.own(Purse1, "p").send(One.Add(str(number)))
        purse = alice.own(Purse3, "p")
        for number in range(60):
            expected = 100 * sum(range(20)) + number + 1
            assert purse.send(Add(1)).value == Sum(expected)
            assert purse.get().state == Sum(expected)
            info = purse.info()
            base = alice.actor("x.purse", "p").state(info.oldest) if info.oldest else None
            if isinstance(base, treering.stores.StoredState) and base.fields is not None:
                assert set(base.fields) == {"total", "currency"}
        assert purse.info().oldest > 20
        assert purse.verify() == purse.info().events


def test_many_at_once(tmp_path: Path) -> None:
    with kept(tmp_path / "s") as store:
        alice = store.scope("alice")
        alice.own(Ticket, "T").send(Open("a"))

        def work(which: int) -> None:
            for number in range(20):
                alice.own(Ticket, "T").send(Note(f"{which} {number}"))

        threads = [threading.Thread(target=work, args=(which,)) for which in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ticket = alice.own(Ticket, "T")
        assert (ticket.get().version, ticket.get().state.count, len(set(ticket.get().state.notes))) == (161, 160, 160)
        assert ticket.info().oldest > 0
        assert ticket.verify() == ticket.info().events
