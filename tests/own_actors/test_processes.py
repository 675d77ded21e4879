"""Several threads and processes at one actor: no event twice, none lost, and each decided on all before it."""

import threading
from collections import Counter
from pathlib import Path

import pytest
from others import Start
from tickets import Note, Noted, Notes, Open, Ticket, elsewhere

import treering
from treering import Overtaken, Store

MANY = 60

SENDS = """
store = treering.open(sys.argv[1])
ticket = store.scope("alice").own(Ticket, "T-1")
name, many = sys.argv[2], int(sys.argv[3])
say("ready")
sys.stdin.readline()
for number in range(many):
    receipt = ticket.send(Note(f"{name} {number}", {name: number}), command_id=f"{name} {number}")
    assert receipt.value.last == {name: number} and receipt.value.count + 1 == receipt.version
say("done")
"""


def texts(ticket: treering.OwnActor) -> list[str]:  # type: ignore[type-arg]
    return [event.message.text for event in ticket.history(first=2)]  # type: ignore[attr-defined]


def assert_whole(ticket: treering.OwnActor, expected: Counter[str]) -> None:  # type: ignore[type-arg]
    events = list(ticket.history())
    assert [event.version for event in events] == list(range(1, len(events) + 1))
    assert len({event.event_id for event in events}) == len(events)
    assert Counter(texts(ticket)) == expected
    assert list(ticket.get().state.notes) == texts(ticket)
    assert ticket.verify() == len(events)


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_on_one_actor(tmp_path: Path, start: Start, processes: int) -> None:
    with treering.open(tmp_path / "s") as store:
        ticket = store.scope("alice").own(Ticket, "T-1")
        ticket.send(Open("a"))
        names = [f"process {number}" for number in range(processes)]
        others = [start(SENDS, tmp_path / "s", name, str(MANY)) for name in names]
        for other in others:
            assert other.hear() == "ready"
        for other in others:
            other.tell()
        seen = 0
        while seen < processes * MANY and any(other.process.poll() is None for other in others):
            now = ticket.get()
            assert now.state.count + 1 == now.version > seen
            seen = now.state.count
        for other in others:
            assert other.join() == ["done"]
        assert_whole(ticket, Counter(f"{name} {number}" for name in names for number in range(MANY)))
        for name in names:
            assert [text for text in texts(ticket) if text.startswith(name)] == [f"{name} {n}" for n in range(MANY)]
        # What they did under the same ids is done once, whoever asks again.
        again = ticket.send(Note("process 1 7", {"process 1": 7}), command_id="process 1 7")
        assert (again.replayed, ticket.get().version) == (True, processes * MANY + 1)
        assert again.value == ticket.at(again.version).state
        assert store.verify().ok


def test_64_threads_on_one_actor(store: Store) -> None:
    alice = store.scope("alice")
    alice.own(Ticket, "T-1").send(Open("a"))
    barrier = threading.Barrier(64)
    versions: list[list[int]] = [[] for _ in range(64)]

    def work(which: int) -> None:
        ticket = alice.own(Ticket, "T-1")
        barrier.wait()
        for number in range(5):
            receipt = ticket.send(
                Notes((f"{which} {number}", f"{which} {number} again")), command_id=f"{which} {number}"
            )
            versions[which].append(receipt.version)
            assert receipt.value is not None
            assert receipt.value.count + 1 == receipt.version

    threads = [threading.Thread(target=work, args=(which,)) for which in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(version for each in versions for version in each) == list(range(3, 2 * 64 * 5 + 2, 2))
    expected = Counter(
        f"{which} {number}{more}" for which in range(64) for number in range(5) for more in ("", " again")
    )
    assert_whole(alice.own(Ticket, "T-1"), expected)


def test_a_killed_writer(tmp_path: Path, start: Start) -> None:
    """What was answered is there, what was not is there whole or not at all; the same ids again complete it."""
    with treering.open(tmp_path / "s") as store:
        ticket = store.scope("alice").own(Ticket, "T-1")
        ticket.send(Open("a"))
        done = 0
        for kill in range(4):
            other = start(SENDS.replace("say(\"done\")", "").replace("    assert", "    say(number)\n    assert"),
                          tmp_path / "s", "p", str(MANY))  # fmt: skip
            assert other.hear() == "ready"
            other.tell()
            answered = -1
            for _ in range(10 + 10 * kill):
                answered = int(other.hear())
            other.kill()
            state = ticket.get().state
            assert state.count >= max(answered + 1, done)
            done = state.count
            assert texts(ticket) == [f"p {number}" for number in range(done)]
            assert ticket.verify() == done + 1
        for number in range(MANY):
            ticket.send(Note(f"p {number}", {"p": number}), command_id=f"p {number}")
        assert_whole(ticket, Counter(f"p {number}" for number in range(MANY)))
        assert store.verify().ok


def test_others_are_always_first(tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever never finds the actor as it was shown gives up in the end, says so, and has written nothing."""
    with treering.open(tmp_path / "s") as store, treering.open(tmp_path / "s") as another:
        ticket = store.scope("alice").own(Ticket, "T-1")
        ticket.send(Open("a"))
        rival = another.scope("alice").own(Ticket, "T-1")
        monkeypatch.setattr("treering.own.sending._PAUSE_S", 0.0)
        decide, always, tries = Ticket.decide, [True], [0]

        def overtaken(self: Ticket, state: object, command: object, context: object) -> object:
            if isinstance(command, Note) and command.text == "mine" and always[0]:
                tries[0] += 1
                elsewhere(lambda: rival.send(Note("theirs")))
            return decide(self, state, command, context)  # type: ignore[arg-type]

        monkeypatch.setattr(Ticket, "decide", overtaken)
        with pytest.raises(Overtaken, match="each of the 100 times") as error:
            ticket.send(Note("mine"), command_id="mine")
        assert error.value.attributes == {"actor": "alice/x.ticket/T-1", "tries": 100}
        assert tries[0] == 100
        assert_whole(ticket, Counter({"theirs": 100}))
        always[0] = False
        assert ticket.send(Note("mine"), command_id="mine").version == 102
        assert next(ticket.history(first=102)).message == Noted("mine")
