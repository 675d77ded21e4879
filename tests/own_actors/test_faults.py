"""Power cuts at every moment, and calls that fail: what was answered is there, what was not is whole or not there."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tickets import Close, Note, Notes, Open, Ticket

import treering
from treering import CommitUnknown, DiskFull, Rejected, Store, testing
from treering.source_event import SourceEvent

OwnTicket = treering.OwnActor[Any, Any, Any]


def life(store: Store, mark: Callable[[str], None]) -> None:
    alice = store.scope("alice")
    ticket = alice.own(Ticket, "T-1")
    ticket.send(Open("a"), command_id="open")
    mark("1")
    for number in range(8):
        ticket.send(Notes((f"{number} a", f"{number} b", f"{number} c")), command_id=f"note {number}")
        mark(str(3 * number + 4))
    ticket.trim(keep=5)
    mark("25")
    with alice.commit(command_id="both") as c:
        c.own(Ticket, "T-1").send(Note("with another"))
        c.own(Ticket, "T-2").send(Open("b"))
        c.memory.add("k", "v")
    mark("26")
    ticket.rebuild()
    ticket.send(Close("done"), command_id="close")
    mark("27")


def test_wherever_the_power_fails() -> None:
    cuts = 0
    for cut in testing.power_cuts(life, losses=["all", "nothing", "random"]):
        cuts += 1
        with testing.open(cut.path) as store:
            assert store.verify().ok
            alice = store.scope("alice")
            ticket = alice.own(Ticket, "T-1")
            now = ticket.get()
            assert now.version >= max(map(int, cut.marks), default=0)
            assert now.state.count == min(max(now.version - 1, 0), 25)
            assert ticket.verify() == now.version - ticket.info().oldest
            assert (alice.own(Ticket, "T-2").get().version, len(alice.memory.get())) == (
                (1, 1) if now.version > 25 else (0, 0)
            )
            folder = ticket._at().folder
            assert folder.from_events(folder.core.load(None)).state == now.state
            # And it goes on, to where it would have come; what was done is not done again.
            life(store, lambda _: None)
            assert (ticket.get().version, ticket.get().state.count, ticket.get().state.status) == (27, 25, "closed")
            assert len(alice.memory.get()) == 1
            assert [event.version for event in ticket.history()][-1] == 27
    assert cuts > 60


@pytest.mark.parametrize("landed", [True, False])
def test_a_lost_answer(tmp_path: Path, landed: bool) -> None:
    faults = testing.Faults()
    with testing.open(tmp_path / "s", faults=faults) as store:
        ticket = store.scope("alice").own(Ticket, "T-1")
        ticket.send(Open("a"))
        faults.fail("commit", CommitUnknown, landed=landed)
        with pytest.raises(CommitUnknown):
            ticket.send(Note("x"), command_id="x")
        faults.heal()
        assert ticket.get().version == (2 if landed else 1)
        again = ticket.send(Note("x"), command_id="x")
        assert (again.version, again.replayed, ticket.get().state.count) == (2, landed, 1)
        assert ticket.send(Note("y")).version == 3
        assert ticket.verify() == 3


def test_a_full_disk_takes_nothing_half(tmp_path: Path) -> None:
    faults = testing.Faults()
    with testing.open(tmp_path / "s", faults=faults) as store:
        ticket = store.scope("alice").own(Ticket, "T-1")
        ticket.send(Open("a"))
        for number in range(40):
            faults.fail("commit", DiskFull)
            with pytest.raises(DiskFull):
                ticket.send(Note(f"{number}", {f"{number}": number}))
            receipt = ticket.send(Note(f"{number}", {f"{number}": number}))
            assert (receipt.version, receipt.value) == (number + 2, ticket.get().state)
        assert ticket.verify() == 41
        faults.fail("read", treering.Corrupt, times=None)
        with pytest.raises(treering.Corrupt):
            store.scope("alice").own(Ticket, "T-1").at(1)
        faults.heal()
        assert store.scope("alice").own(Ticket, "T-1").at(1).version == 1


def test_a_rejection_of_something_that_never_came_to_be(tmp_path: Path) -> None:
    """Decided on what is on its way, and that fails: it is decided again on what there is."""
    faults = testing.Faults()
    with testing.open(tmp_path / "s", faults=faults) as store:
        alice = store.scope("alice")
        outcomes: list[object] = []
        for attempt in range(20):
            ticket = alice.own(Ticket, f"T-{attempt}")
            faults.fail("commit", DiskFull)
            barrier = threading.Barrier(8)

            def work(ticket: OwnTicket = ticket, barrier: threading.Barrier = barrier) -> None:
                barrier.wait()
                try:
                    outcomes.append(ticket.send(Open("a")).version)
                except (DiskFull, Rejected) as error:
                    outcomes.append(type(error))

            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            # One failed, one opened it, and only then all others were rejected.
            assert sorted(map(str, outcomes)) == sorted(map(str, [1, DiskFull, *[Rejected] * 6])), attempt
            assert (ticket.get().version, ticket.verify()) == (1, 1)
            outcomes.clear()


def test_a_read_only_store(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s") as store:
        store.scope("alice").own(Ticket, "T-1").send(Open("a"))
    with treering.open(tmp_path / "s", read_only=True) as store:
        ticket = store.scope("alice").own(Ticket, "T-1")
        assert (ticket.get().version, ticket.verify()) == (1, 1)
        with pytest.raises(treering.ReadOnly):
            ticket.send(Note("x"))
    with pytest.raises(treering.Closed):
        ticket.get()


def test_a_projection_over_power_cuts() -> None:
    def copied(view: int, event: SourceEvent, commit: treering.Commit) -> int:
        commit.own(Ticket, "copy").send(Notes((f"{event.version}",)))
        return view + 1

    def following(store: Store, mark: Callable[[str], None]) -> None:
        alice = store.scope("alice")
        for number in range(4):
            alice.own(Ticket, "T-1").send(Note(f"{number}"), command_id=f"{number}")
            projected(store).catch_up(copied)
            mark(str(number + 1))

    def projected(store: Store) -> "treering.Projection[int]":
        return store.scope("team").projection("copies", of=store.scope("alice"), kinds=[Ticket], start=0)

    for cut in testing.power_cuts(following, losses=["all", "random"]):
        with testing.open(cut.path) as store:
            copy = store.scope("team").own(Ticket, "copy")
            assert copy.get().state.count == projected(store).get().value >= max(map(int, cut.marks), default=0)
            projected(store).catch_up(copied)
            notes = list(copy.get().state.notes)
            assert notes == [str(number + 1) for number in range(store.scope("alice").own(Ticket, "T-1").get().version)]
