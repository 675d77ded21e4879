"""The same, awaited: many tasks at one actor, and what a loop may do meanwhile."""

import asyncio
from pathlib import Path

import pytest
from tickets import Note, Noted, Notes, Open, Ticket, TicketState

import treering
from treering import Rejected, aio, testing


def test_a_life(store: treering.Store) -> None:
    async def life() -> None:
        alice = testing.as_async(store).scope("alice")
        ticket = alice.own(Ticket, "T-1")
        assert (await ticket.get()).state == TicketState()
        opened = await ticket.send(Open("a"), command_id="open")
        states, events = ticket.states(), ticket.watch(after=0)
        assert (await anext(states)).version == 1
        assert (await ticket.send(Open("a"), command_id="open")).value == opened.value
        with pytest.raises(Rejected):
            await ticket.send(Open("b"))
        await asyncio.gather(*(ticket.send(Notes((f"{n}", "again"))) for n in range(100)))
        assert (await ticket.get()).version == 201 == await ticket.verify()
        assert [(await anext(states)).version for _ in range(100)] == list(range(3, 202, 2))
        assert [type((await anext(events)).message).__name__ for _ in range(3)] == ["Opened", "Noted", "Noted"]
        seen = [event.message async for event in ticket.history(first=201)]
        assert [type(event) for event in seen] == [Noted]
        async with alice.commit() as c:
            draft = c.own(Ticket, "T-1").send(Note("in a commit"))
            c.memory.add("k", "v")
        assert draft.receipt.version == 202
        assert (await ticket.at(1)).state.title == "a"
        assert ((await ticket.trim(keep=1)).dropped, await ticket.rebuild(), (await ticket.info()).oldest) == (
            201,
            202,
            201,
        )
        counted = alice.projection("p", kinds=[Ticket], start=0)
        report = await counted.catch_up(
            lambda view, event, commit: view + 1, trimmed=lambda view, gap, commit: view + 100
        )
        assert (report.events, (await counted.get()).value) == (2, 101)
        assert (await ticket.delete()).version == 203

    asyncio.run(life())


def test_tasks_share_fsyncs(tmp_path: Path) -> None:
    """64 tasks at one actor: each is decided behind the others, before those are committed."""

    async def life() -> None:
        async with aio.open(tmp_path / "s") as store:
            ticket = store.scope("alice").own(Ticket, "T-1")
            await ticket.send(Open("a"))
            before = store.counters()["commit_syncs"]
            receipts = await asyncio.gather(*(ticket.send(Note(f"{n}")) for n in range(64)))
            assert sorted(receipt.version for receipt in receipts) == list(range(2, 66))
            assert store.counters()["commit_syncs"] - before <= 32
            assert await ticket.verify() == 65

    asyncio.run(life())


def test_a_cancelled_command_lands_or_not(tmp_path: Path) -> None:
    async def life() -> None:
        async with aio.open(tmp_path / "s") as store:
            ticket = store.scope("alice").own(Ticket, "T-1")
            await ticket.send(Open("a"))
            for number in range(20):
                task = asyncio.ensure_future(ticket.send(Note(f"{number}"), command_id=f"{number}"))
                for _ in range(number % 5):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                receipt = await ticket.send(Note(f"{number}"), command_id=f"{number}")
                assert receipt.value is not None
                assert (receipt.version, receipt.value.count) == (number + 2, number + 1)
            assert await ticket.verify() == 21

    asyncio.run(life())
