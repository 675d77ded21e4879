"""What the built-in stores promise, of an actor of one's own: receipts, versions, history, time, deletion."""

import copy
import pickle
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tickets import Close, Closed, Note, Noted, Notes, Open, Opened, Person, Ticket, TicketState, Weight

import treering
from treering import (
    CommandMismatch,
    HistoryTrimmed,
    Invalid,
    InvalidCommand,
    NotFound,
    Rejected,
    Scope,
    Store,
    VersionConflict,
    testing,
)


def test_a_life(alice: Scope, clock: testing.Clock) -> None:
    ticket = alice.own(Ticket, "T-1")
    assert (ticket.get(), ticket.info().version) == (treering.StateAt(state=TicketState(), version=0, at_ms=None), 0)
    told = alice.on_behalf_of("bob", causation_id="mail-3").own(Ticket, "T-1")
    opened = told.send(Open("broken", Person("Ada", 36), Weight.HEAVY), command_id="first")
    assert (opened.version, opened.changed, opened.replayed) == (1, True, False)
    assert opened.value is not None
    assert (opened.value.status, opened.value.opened_at_ms, opened.value.weight) == ("open", clock.now_ms, Weight.HEAVY)
    clock.advance(1000)
    noted = ticket.send(Note("looked", {"a": 1, "b": 2}))
    assert noted.value == ticket.get().state
    assert list(ticket.get().state.notes) == ["looked"]
    assert dict(ticket.get().state.labels) == ticket.get().state.last == {"a": 1, "b": 2}
    several = ticket.send(Notes(("one", "two", "three")))
    assert (several.version, ticket.get().version, ticket.get().state.mean) == (5, 5, 4.25)
    unchanged = ticket.send(Note(""))
    assert (unchanged.version, unchanged.changed, unchanged.value) == (5, False, ticket.get().state)
    assert ticket.send(Close("done")).version == 6
    with pytest.raises(Rejected, match="closed"):
        ticket.send(Note("too late"))
    assert ticket.get().version == 6
    first, second, *_, last = ticket.history()
    assert (first.type, first.schema, first.command_id, first.principal, first.causation_id) == (
        "x.ticket.Opened", 1, "first", "bob", "mail-3",
    )  # fmt: skip
    assert first.message == Opened("broken", opened.value.number, clock.now_ms - 1000, Person("Ada", 36), Weight.HEAVY)
    assert (second.message, last.message) == (Noted("looked", {"a": 1, "b": 2}), Closed("done"))
    assert [event.version for event in ticket.history(first=2, last=4)] == [2, 3, 4]
    assert [ticket.at(version).state.count for version in range(7)] == [0, 0, 1, 2, 3, 4, 4]
    assert ticket.at(1).at_ms == clock.now_ms - 1000
    moment = datetime.fromtimestamp((clock.now_ms - 500) / 1000, UTC)
    assert (ticket.version_at(moment), ticket.version_at(moment - timedelta(days=1))) == (1, 0)
    with pytest.raises(NotFound):
        ticket.at(7)
    assert ticket.verify() == 6
    assert repr(ticket) == "<OwnActor x.ticket/T-1 of alice>"


def test_versions_and_command_ids(alice: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = alice.own(Ticket, "T-1")
    opened = ticket.send(Open("a"), command_id="c", expected_version=0)
    with pytest.raises(VersionConflict) as conflict:
        ticket.send(Note("x"), expected_version=0)
    assert (conflict.value.expected, conflict.value.actual) == (0, 1)  # type: ignore[attr-defined]
    # Who decides would say no now, and is not asked; what was done is answered all the same.
    with monkeypatch.context() as patch:
        patch.setattr(Ticket, "decide", lambda *_: pytest.fail("it was decided again"))
        again = ticket.send(Open("a"), command_id="c")
    assert (again.replayed, again.version, again.value) == (True, 1, opened.value)
    ticket.send(Note("x"))
    assert ticket.send(Open("a"), command_id="c").value == opened.value
    with pytest.raises(CommandMismatch):
        ticket.send(Open("b"), command_id="c")
    with pytest.raises(CommandMismatch):
        ticket.send(Close(), command_id="c")
    # A command that had nothing to do is done, too; one that was refused is not.
    assert not ticket.send(Note(""), command_id="nothing").changed
    assert ticket.send(Note(""), command_id="nothing").replayed
    ticket.send(Close())
    with pytest.raises(Rejected):
        ticket.send(Note("late"), command_id="late")
    with pytest.raises(Rejected):
        ticket.send(Note("late"), command_id="late")
    assert ticket.verify() == ticket.get().version == 3
    ticket.trim(keep=0)
    assert (ticket.send(Open("a"), command_id="c").value, ticket.get().version) == (None, 3)


def test_what_is_refused_writes_nothing(store: Store, alice: Scope) -> None:
    ticket = alice.own(Ticket, "T-1")
    commits = len(list(store.journal()))
    blocks = store.stats()["blocks"]
    for wrong in (Open(3), Open("a", "Ada"), Note("a", {"b": "c"}), Notes(["a"]), Open("a\ud800")):  # type: ignore[arg-type]
        with pytest.raises(Invalid) as refused:
            ticket.send(wrong)
        assert ticket.get().version == 0
        if wrong.__class__ is not Open or not isinstance(wrong.title, str) or wrong.title == "a":
            assert isinstance(refused.value, InvalidCommand)
    with pytest.raises(InvalidCommand, match="no command of Ticket: give one of Open, Note, Notes, Close"):
        ticket.send("open it")  # type: ignore[arg-type]
    with pytest.raises(InvalidCommand, match="blank") as blank:
        ticket.send(Open(" "))
    assert blank.value.attributes["field"] == "title"
    with pytest.raises(Invalid):
        alice.own(Ticket, " ")
    with pytest.raises(Invalid):
        alice.own(TicketState, "T")  # type: ignore[arg-type]
    assert (len(list(store.journal())), store.stats()["blocks"]) == (commits, blocks)


def test_others_follow(store: Store, alice: Scope) -> None:
    ticket = alice.own(Ticket, "T-1")
    ticket.send(Open("a"))
    events, states = ticket.watch(), ticket.states()
    assert next(states).version == 1
    for number in range(40):
        ticket.send(Notes((f"{number}", "again")))
    assert [next(events).message for _ in range(3)] == [Noted("0"), Noted("again"), Noted("1")]
    # By commit, each as it was.
    seen = [next(states) for _ in range(40)]
    assert [at.version for at in seen] == list(range(3, 83, 2))
    assert [at.state for at in seen] == [ticket.at(at.version).state for at in seen]
    late = ticket.states(after=79)
    assert [next(late).version, next(late)] == [81, ticket.get()] if ticket.get().version == 82 else True
    ticket.delete()
    assert next(states).state == TicketState()


def test_trim_rebuild_and_delete(store: Store, alice: Scope) -> None:
    ticket = alice.own(Ticket, "T-1")
    ticket.send(Open("a"))
    for number in range(50):
        ticket.send(Note(f"{number}", {f"{number % 7}": number}))
    was = {version: ticket.at(version).state for version in range(20, 52)}
    receipt = ticket.trim(before=30)
    assert (receipt.dropped, receipt.version, receipt.changed) == (29, 51, True)
    with pytest.raises(HistoryTrimmed) as trimmed:
        ticket.at(28)
    assert trimmed.value.oldest == 29  # type: ignore[attr-defined]
    with pytest.raises(HistoryTrimmed):
        list(ticket.history(first=29))
    assert not ticket.trim(before=30).changed
    store.gc()
    assert {version: ticket.at(version).state for version in range(29, 52)} == {n: was[n] for n in range(29, 52)}
    assert (ticket.verify(), ticket.rebuild(), ticket.verify()) == (22, 51, 22)
    store.gc()
    assert list(ticket.get().state.notes) == [str(number) for number in range(50)]
    assert dict(ticket.get().state.labels) == {f"{n % 7}": n for n in range(43, 50)}
    # It goes on, and a snapshot is made in time.
    for number in range(50, 70):
        assert ticket.send(Note(f"{number}")).value == ticket.get().state
    assert (ticket.verify(), ticket.get().state.count) == (42, 70)
    ticket.trim(keep=0)
    store.gc()
    assert (ticket.verify(), ticket.get().state.count, ticket.get().version) == (0, 70, 71)
    assert ticket.send(Note("more")).value == replace(ticket.get().state)
    gone = ticket.delete(command_id="gone")
    assert (gone.version, gone.changed, ticket.delete().changed) == (73, True, False)
    assert ticket.delete(command_id="gone").replayed
    assert (ticket.get().state, ticket.get().version, ticket.info().deleted_at_ms is None) == (TicketState(), 73, False)
    store.gc()
    assert ticket.send(Open("again")).version == 74
    assert (ticket.verify(), store.verify().ok) == (1, True)


def test_a_state_outlives_the_snapshot_that_it_was_read_of(store: Store, alice: Scope) -> None:
    """Lists and maps that nobody has read yet hang on a snapshot; with another one, and a collection, they are read
    anew."""
    ticket = alice.own(Ticket, "T-1")
    ticket.send(Open("a"))
    for number in range(100):
        ticket.send(Note("long " * 20 + str(number), {f"key {number}": number}))
        store.gc()
    assert [note.split()[-1] for note in ticket.get().state.notes] == [str(number) for number in range(100)]
    assert len(dict(ticket.get().state.labels)) == 100


def test_pickles(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s") as store:
        ticket = store.scope("alice").own(Ticket, "T-1")
        receipt = ticket.send(Open("a", Person("Ada")))
        ticket.send(Note("n", {"a": 1}))
        for value in (receipt, ticket.get(), *ticket.history()):
            assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == value
        again = pickle.loads(pickle.dumps(ticket))
        assert (again, again.get(), again.actor) == (ticket, ticket.get(), Ticket)
        for error in (Rejected("no", status="open"), treering.Overtaken("so", actor="a", tries=3)):
            copied = pickle.loads(pickle.dumps(error))
            assert (type(copied), str(copied), copied.attributes) == (type(error), str(error), error.attributes)
        code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).get().state.title)"
        run = subprocess.run(
            [sys.executable, "-c", code],
            input=pickle.dumps(ticket),
            capture_output=True,
            check=True,
            env={"PYTHONPATH": str(Path(__file__).parent)},
        )
        assert run.stdout == b"a\n"
    with pytest.raises(Invalid, match="store in memory"):
        pickle.dumps(treering.memory().scope("a").own(Ticket, "T"))


def test_a_mapping_of_a_state_stays_as_it_is(alice: Scope) -> None:
    labels = {"a": 1}
    ticket = alice.own(Ticket, "T-1")
    ticket.send(Open("a"))
    state = ticket.send(Note("n", labels)).value
    assert state is not None
    labels["b"] = 2
    for change in (lambda: state.last.update(b=2), lambda: state.last.__setitem__("b", 2), state.last.clear):  # type: ignore[attr-defined]
        with pytest.raises(TypeError, match="make another one"):
            change()
    assert ticket.get().state.last == {"a": 1} == copy.deepcopy(state.last)
    assert hash(state.last) == hash(copy.copy(ticket.get().state.last))


def test_any_actor_without_its_class(alice: Scope) -> None:
    ticket = alice.own(Ticket, "T-1")
    ticket.send(Open("a"))
    for number in range(20):
        ticket.send(Note(f"{number}"))
    (info,) = alice.actors()
    assert (info, info.kind, info.parts) == (ticket.info(), "x.ticket", ("T-1",))
    handle = alice.actor("x.ticket", "T-1")
    assert (handle.info(), handle.verify(), handle.version_at(datetime.now(UTC) + timedelta(days=9999))) == (
        info,
        21,
        21,
    )
    assert [event.message for event in handle.history(first=3, last=4)] == [
        {"text": "1", "labels": {}}, {"text": "2", "labels": {}},
    ]  # fmt: skip
    stored = handle.state()
    assert isinstance(stored, treering.stores.StoredState)
    assert stored.fields is not None
    assert (stored.version, stored.fields_version, stored.fields["count"]) == (21, 16, 15)
    assert [event.version for event in stored.events] == [17, 18, 19, 20, 21]
    early = handle.state(3)
    assert isinstance(early, treering.stores.StoredState)
    assert (early.fields, early.fields_version, len(early.events)) == (None, 0, 3)
    assert [happened.version for happened in alice.history()] == list(range(21, 0, -1))
    following = handle.states(after=20)
    assert next(following).version == 21  # type: ignore[union-attr]
    for refused in (lambda: handle.trim(keep=1), lambda: alice.actor("x.ticket", "T-1").trim(before=3)):
        with pytest.raises(Invalid, match=r"scope\.own"):
            refused()
    for name in ("x.", "x.Ticket", "x.-a", "x.ticket-readmodel", "x.a b", "x." + "a" * 63):
        with pytest.raises((NotFound, Invalid)):
            alice.actor(name, "T-1").info()


def test_two_scopes_two_actors(store: Store) -> None:
    for scope in ("alice", "bob"):
        for parts in (("a", "b"), ("a/b",), ("a",), ()):
            store.scope(scope).own(Ticket, *parts).send(Open(f"{scope} {parts}"))
    for scope in ("alice", "bob"):
        for parts in (("a", "b"), ("a/b",), ("a",), ()):
            assert store.scope(scope).own(Ticket, *parts).get().state.title == f"{scope} {parts}"
    assert len(list(store.scope("bob").actors())) == 4
