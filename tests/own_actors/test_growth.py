"""What a command and a read cost, counted: blocks and bytes written, blocks and refs read."""

from pathlib import Path

from tickets import Note, Open, Ticket

import treering
from treering import Store


def counted(store: Store) -> dict[str, int]:
    return store.counters()


def blocks(store: Store) -> int:
    return store.stats()["blocks"]


def test_blocks_of_a_command(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s", durability="relaxed", automatic_gc=False) as store:
        ticket = store.scope("alice").own(Ticket, "T-1")
        ticket.send(Open("a"))
        written = []
        for number in range(160):
            before = blocks(store)
            ticket.send(Note(f"note {number}"))
            written.append(blocks(store) - before)
        # An event is one block; with each sixteenth comes the state, and what of its list is new.
        snapshots = written[14::16]
        assert [count for place, count in enumerate(written) if place % 16 != 14] == [1] * 150
        assert max(snapshots) <= 6
        assert sum(written) / len(written) < 1.3
        # A rejection and a command that has nothing to do write nothing at all.
        before, commits = blocks(store), len(list(store.journal()))
        ticket.send(Note(""))
        assert (blocks(store), len(list(store.journal()))) == (before, commits)


def test_reads_of_an_activation(tmp_path: Path) -> None:
    for events in (1, 15, 16, 17, 31, 100, 1000):
        path = tmp_path / str(events)
        with treering.open(path, durability="relaxed", automatic_gc=False) as store:
            ticket = store.scope("alice").own(Ticket, "T-1")
            ticket.send(Open("a"))
            while ticket.get().version < events:
                ticket.send(Note("n"))
        with treering.open(path, automatic_gc=False) as store:
            before = counted(store)
            ticket = store.scope("alice").own(Ticket, "T-1")
            assert ticket.get().version == events
            after = counted(store)
            read = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
            assert read["blocks_read"] <= 20, read
            # Known, it is one look-up.
            before = counted(store)
            ticket.get()
            after = counted(store)
            read = {name: after[name] - before[name] for name in after if after[name] != before[name]}
            assert read == {}
