"""Own actors in a commit of several, and followed by projections."""

import pickle
import threading
from pathlib import Path

import pytest
from tickets import Close, Note, Noted, Notes, Open, Opened, Ticket, TicketState, elsewhere

import treering
from treering import CommandMismatch, Invalid, Overtaken, Rejected, Scope, Store, VersionConflict
from treering.messages import Message
from treering.source_event import SourceEvent


def test_one_commit_for_all_of_it(store: Store, alice: Scope) -> None:
    thread = alice.threads.start("fix")
    commits = len(list(store.journal()))
    with alice.commit(command_id="turn") as c:
        opened = c.own(Ticket, "T-1").send(Open("a"))
        c.memory.add("k", "v")
        noted = c.own(Ticket, "T-1").send(Notes(("one", "two")))
        other = c.own(Ticket, "T-2").send(Open("b"))
        c.threads[thread].append("coder", "done")
        c.chats.append("c", [Message(content="hello")])
        assert alice.own(Ticket, "T-1").get().version == 0
    assert len(list(store.journal())) == commits + 1
    ticket = alice.own(Ticket, "T-1")
    assert (opened.receipt.version, noted.receipt.version, other.receipt.version) == (1, 3, 1)
    assert opened.receipt.value == ticket.at(1).state
    assert noted.receipt.value == ticket.get().state
    assert [event.command_id for event in ticket.history()] == ["turn"] * 3
    # Again: nothing is written, though they would be rejected now.
    with alice.commit(command_id="turn") as c:
        again = c.own(Ticket, "T-1").send(Open("a"))
        c.memory.add("k", "v")
        c.own(Ticket, "T-1").send(Notes(("one", "two")))
        c.own(Ticket, "T-2").send(Open("b"))
        c.threads[thread].append("coder", "done")
        c.chats.append("c", [Message(content="hello")])
    assert (c.receipt.replayed, again.receipt.replayed, again.receipt.value) == (True, True, ticket.at(1).state)
    with pytest.raises(CommandMismatch), alice.commit(command_id="turn") as c:
        c.own(Ticket, "T-1").send(Open("other"))


def test_all_or_nothing(store: Store, alice: Scope) -> None:
    ticket = alice.own(Ticket, "T-1")
    ticket.send(Open("a"))
    commits = len(list(store.journal()))
    with pytest.raises(Rejected, match="is open") as rejected, alice.commit() as c:  # noqa: PT012
        c.memory.add("k", "v")
        c.own(Ticket, "T-2").send(Open("b"))
        c.own(Ticket, "T-1").send(Open("c"))
    assert rejected.value.attributes == {"status": "open"}
    with pytest.raises(VersionConflict), alice.commit() as c:  # noqa: PT012
        c.memory.add("k", "v")
        c.own(Ticket, "T-1").send(Note("x"), expected_version=3)
    with pytest.raises(RuntimeError), alice.commit() as c:  # noqa: PT012
        c.own(Ticket, "T-1").send(Note("x"))
        raise RuntimeError
    with pytest.raises(Invalid), alice.commit() as c:
        c.own(Ticket, "T-1").send(Note(3))  # type: ignore[arg-type]
    assert (len(list(store.journal())), len(alice.memory.get()), ticket.get().version) == (commits, 0, 1)


def test_a_commit_is_decided_again_when_others_came_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it, on what they left: what is not an own actor's too, and each written once."""
    with treering.open(tmp_path / "s") as store, treering.open(tmp_path / "s") as another:
        alice = store.scope("alice")
        ticket, other = alice.own(Ticket, "T-1"), alice.own(Ticket, "T-2")
        rival = another.scope("alice").own(Ticket, "T-1")
        ticket.send(Open("a"))
        thread = alice.threads.start("fix")
        decide, times, chances = Ticket.decide, [7], set()

        def slow(self: Ticket, state: TicketState, command: object, context: treering.ActorContext) -> object:
            if isinstance(command, Note) and command.text == "mine":
                chances.add(context.random.getrandbits(64))
                if times[0]:
                    times[0] -= 1
                    elsewhere(lambda: rival.send(Note(f"theirs {times[0]}")))
            return decide(self, state, command, context)  # type: ignore[arg-type]

        monkeypatch.setattr(Ticket, "decide", slow)
        commits = len(list(store.journal()))
        with alice.commit(command_id="turn") as c:
            c.own(Ticket, "T-2").send(Open("b"))
            c.memory.add("k", "v")
            step = c.threads[thread].append("coder", "done")
            noted = c.own(Ticket, "T-1").send(Note("mine"))
            c.own(Ticket, "T-1").send(Close())
        assert len(list(store.journal())) == commits + 7 + 1
        assert (noted.receipt.version, noted.receipt.value) == (9, ticket.at(9).state)
        assert (ticket.get().version, ticket.get().state.status, other.get().version) == (10, "closed", 1)
        assert [event.message.text for event in ticket.history(first=2, last=9)] == [  # type: ignore[attr-defined]
            *(f"theirs {number}" for number in range(6, -1, -1)),
            "mine",
        ]
        assert (len(alice.memory.get()), step.step.number) == (1, 1)
        assert len(chances) == 1, "chance is the same each time"
        assert (ticket.verify(), store.verify().ok) == (10, True)
        # The same command id is answered.
        with alice.commit(command_id="turn") as c:
            c.own(Ticket, "T-2").send(Open("b"))
            c.memory.add("k", "v")
            c.threads[thread].append("coder", "done")
            c.own(Ticket, "T-1").send(Note("mine"))
            c.own(Ticket, "T-1").send(Close())
        assert (c.receipt.replayed, ticket.get().version) == (True, 10)


def test_a_commit_that_others_always_come_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with treering.open(tmp_path / "s") as store, treering.open(tmp_path / "s") as another:
        alice = store.scope("alice")
        ticket, rival = alice.own(Ticket, "T-1"), another.scope("alice").own(Ticket, "T-1")
        ticket.send(Open("a"))
        monkeypatch.setattr("treering.own.sending._PAUSE_S", 0.0)
        decide, tries = Ticket.decide, [0]

        def slow(self: Ticket, state: TicketState, command: object, context: treering.ActorContext) -> object:
            if isinstance(command, Close):
                tries[0] += 1
                elsewhere(lambda: rival.send(Note("theirs")))
            return decide(self, state, command, context)  # type: ignore[arg-type]

        monkeypatch.setattr(Ticket, "decide", slow)
        with pytest.raises(Overtaken, match="each of the 100 times") as error, alice.commit() as c:  # noqa: PT012
            c.memory.add("k", "v")
            c.own(Ticket, "T-1").send(Close())
        assert error.value.attributes == {"actor": "alice/x.ticket/T-1", "tries": 100}
        assert (tries[0], ticket.get().version, len(alice.memory.get())) == (100, 101, 0)
        # A version that was expected is not there any more: said at once, and not tried a hundred times.
        with pytest.raises(VersionConflict), alice.commit() as c:
            c.own(Ticket, "T-1").send(Close(), expected_version=101)
        assert (tries[0], ticket.get().version) == (101, 102)


def test_commits_and_commands_of_one_process_all_land(alice: Scope) -> None:
    """They are decided behind each other, whichever way they come, and no two wait for each other."""
    for name in ("T-1", "T-2"):
        alice.own(Ticket, name).send(Open(name))
    barrier = threading.Barrier(8)

    def work(which: int) -> None:
        barrier.wait()
        for number in range(20):
            # In either order: no two wait for each other.
            names = ("T-1", "T-2") if which % 2 else ("T-2", "T-1")
            if which < 6:
                with alice.commit() as c:
                    for name in names:
                        c.own(Ticket, name).send(Note(f"{which} {number}"))
            else:
                for name in names:
                    alice.own(Ticket, name).send(Note(f"{which} {number}"))

    threads = [threading.Thread(target=work, args=(which,)) for which in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in ("T-1", "T-2"):
        ticket = alice.own(Ticket, name)
        assert (ticket.get().version, ticket.verify()) == (161, 161)
        assert sorted(ticket.get().state.notes) == sorted(
            f"{which} {number}" for which in range(8) for number in range(20)
        )


def test_two_classes_for_one_actor(alice: Scope) -> None:
    class Other(Ticket):
        kind = "ticket"

    with pytest.raises(Invalid, match="Ticket and Other are for the same actor"), alice.commit() as c:  # noqa: PT012
        c.own(Ticket, "T-1").send(Open("a"))
        c.own(Other, "T-1").send(Note("b"))
    assert alice.own(Ticket, "T-1").get().version == 0


def test_a_snapshot_that_is_due_in_a_commit_of_several(store: Store, alice: Scope) -> None:
    ticket = alice.own(Ticket, "T-1")
    ticket.send(Open("a"))
    for turn in range(30):
        with alice.commit() as c:
            for number in range(3):
                c.own(Ticket, "T-1").send(Notes((f"{turn}", f"{number}", "x" * 100)))
        store.gc()
    assert (ticket.get().version, ticket.verify(), ticket.get().state.count) == (271, 271, 270)
    stored = alice.actor("x.ticket", "T-1").state()
    assert isinstance(stored, treering.stores.StoredState)
    assert len(stored.events) < 17


def test_a_projection_follows(store: Store, alice: Scope, tmp_path: Path) -> None:
    ticket = alice.own(Ticket, "T-1")
    ticket.send(Open("a"))
    ticket.send(Notes(("one", "two")))
    alice.memory.add("k", "v")

    def count(view: dict[str, int], event: SourceEvent, commit: treering.Commit) -> dict[str, int]:
        kind = type(event.message).__name__
        return {**view, kind: view.get(kind, 0) + 1}

    by_class = alice.projection("by-class", kinds=[Ticket, "user-memory"], start={})
    assert by_class.catch_up(count).events == 4
    assert by_class.get().value == {"Opened": 1, "Noted": 2, "MemoryEntryAdded": 1}
    plain = alice.projection("plain", kinds=["x.ticket"], start={})
    plain.catch_up(lambda view, event, commit: {**view, event.type: event.message})
    assert plain.get().value["x.ticket.Noted"] == {"text": "two", "labels": {}}
    assert plain.rebuild(lambda view, event, commit: {**view, event.type: event.message}).events == 3
    # The other way round: what follows from an event is a command to an own actor.
    team = store.scope("team")

    def copied(view: int, event: SourceEvent, commit: treering.Commit) -> int:
        match event.message:
            case Opened(title=title):
                commit.own(Ticket, *event.source.parts).send(Open(f"copy of {title}"))
            case Noted(text=text):
                commit.own(Ticket, *event.source.parts).send(Note(text, {event.source.scope: event.version}))
        return view + 1

    copies = team.projection("copies", of=alice, kinds=[Ticket], start=0)
    copies.catch_up(copied)
    ticket.send(Note("three"))
    assert (copies.catch_up(copied).events, copies.catch_up(copied).events) == (1, 0)
    state = team.own(Ticket, "T-1").get().state
    assert (state.title, list(state.notes), dict(state.labels)) == ("copy of a", ["one", "two", "three"], {"alice": 4})
    ticket.trim(keep=0)
    gaps = []
    late = alice.projection("late", kinds=[Ticket], start=0)
    late.catch_up(lambda view, event, commit: view, trimmed=lambda view, gap, commit: gaps.append(gap) or 1)
    assert [gap.state for gap in gaps] == [ticket.get().state]
    raw = alice.projection("raw", kinds=["x.ticket"], start=0)
    raw.catch_up(lambda view, event, commit: view, trimmed=lambda view, gap, commit: gaps.append(gap) or 1)
    assert isinstance(gaps[1].state, treering.stores.StoredState)
    for name in ("x.", "x.Ticket", "y.ticket", "x.ticket-readmodel"):
        with pytest.raises(Invalid):
            alice.projection("p", kinds=[name], start=0)
    with treering.open(tmp_path / "other") as opened:
        made = opened.scope("a").projection("p", kinds=[Ticket], start=0)
        assert pickle.loads(pickle.dumps(made)).name == "p"


def test_what_a_projection_delivers_and_raises(store: Store, alice: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that is not treering's: all before it is done, and it says of which event it is."""
    ticket = alice.own(Ticket, "T-1")
    ticket.send(Open("a"))
    ticket.send(Notes(("one", "two", "three")))
    decide = Ticket.decide

    def raising(self: Ticket, state: TicketState, command: object, context: treering.ActorContext) -> object:
        if isinstance(command, Note) and command.text == "two":
            raise ZeroDivisionError("two")
        return decide(self, state, command, context)  # type: ignore[arg-type]

    def copied(view: int, event: SourceEvent, commit: treering.Commit) -> int:
        if isinstance(event.message, Noted):
            commit.own(Ticket, "copy").send(Note(event.message.text))
        return view + 1

    monkeypatch.setattr(Ticket, "decide", raising)
    copies = store.scope("team").projection("copies", of=alice, kinds=[Ticket], start=0)
    with pytest.raises(ZeroDivisionError, match="two") as raised:
        copies.catch_up(copied)
    assert raised.value.__notes__ == ["projection copies, version 3 of alice/x.ticket/T-1"]
    assert (copies.get().value, list(store.scope("team").own(Ticket, "copy").get().state.notes)) == (2, ["one"])
    monkeypatch.undo()
    copies.catch_up(copied)
    assert list(store.scope("team").own(Ticket, "copy").get().state.notes) == ["one", "two", "three"]


def test_what_a_projection_delivers_and_is_rejected(store: Store, alice: Scope) -> None:
    ticket = alice.own(Ticket, "T-1")
    ticket.send(Open("a"))
    ticket.send(Note("one"))

    def twice(view: int, event: SourceEvent, commit: treering.Commit) -> int:
        commit.own(Ticket, "copy").send(Open("again"))
        return view + 1

    copies = store.scope("team").projection("copies", of=alice, kinds=[Ticket], start=0)
    with pytest.raises(treering.EventRefused) as refused:
        copies.catch_up(twice)
    assert isinstance(refused.value.refusal, Rejected)
    assert (refused.value.version, copies.get().value, store.scope("team").own(Ticket, "copy").get().version) == (
        2,
        1,
        1,
    )
    assert copies.catch_up(twice, refused=lambda view, event, error: view + 10).events == 1
    assert copies.get().value == 11
