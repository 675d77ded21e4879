"""Random commands against a plain fold: the same now, at every version, from every beginning, and after everything that
may be done to what is only remembered."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tickets import Close, Note, Notes, Open, Ticket, TicketState

import treering
from treering import HistoryTrimmed, Rejected, testing

TEXTS = st.text(st.characters(codec="utf-8"), max_size=4)
LABELS = st.dictionaries(st.sampled_from(["a", "b", "é", ""]), st.integers(-(2**63), 2**63 - 1), max_size=2)
COMMANDS = st.one_of(
    st.builds(Open, st.sampled_from(["t", "u"])),
    st.builds(Note, TEXTS, LABELS),
    st.builds(Notes, st.lists(TEXTS, max_size=20).map(tuple)),
    st.just(Close()),
)
MEANWHILE = st.sampled_from(["nothing", "nothing", "reopen", "gc", "rebuild", "trim", "delete"])


@dataclass
class Plain:
    """A ticket as a list and a dict have it."""

    status: str = "new"
    title: str = ""
    notes: list[str] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)

    def of(self, state: TicketState) -> bool:
        return (state.status, state.title, list(state.notes), dict(state.labels), state.count) == (
            self.status,
            self.title,
            self.notes,
            self.labels,
            len(self.notes),
        )

    def after(self, command: Any) -> "list[Plain] | None":
        """The states that its events lead through; None: it is rejected."""
        match command:
            case Open(title=title):
                return None if self.status != "new" else [Plain("open", title, self.notes, self.labels)]
            case Note(text=text, labels=labels):
                if self.status == "closed":
                    return None
                new = Plain(self.status, self.title, [*self.notes, text], {**self.labels, **labels})
                return [new] if text else []
            case Notes(texts=texts):
                lists = ([*self.notes, *texts[: count + 1]] for count in range(len(texts)))
                return [Plain(self.status, self.title, notes, self.labels) for notes in lists]
        return [Plain("closed", self.title, self.notes, self.labels)] if self.status == "open" else []


def play(commands: list[tuple[Any, str]], open_store: Callable[[], treering.Store], close: bool) -> None:
    store = open_store()
    states, oldest = [Plain()], 0
    for command, meanwhile in commands:
        ticket = store.scope("alice").own(Ticket, "T")
        expected = states[-1].after(command)
        if expected is None:
            with pytest.raises(Rejected):
                ticket.send(command)
        else:
            states += expected
            receipt = ticket.send(command)
            assert (receipt.version, receipt.changed) == (len(states) - 1, bool(expected))
            assert receipt.value is not None
            assert states[-1].of(receipt.value)
        match meanwhile:
            case "reopen" if close:
                store.close()
                store = open_store()
            case "gc":
                store.gc()
            case "rebuild":
                ticket.rebuild()
            case "trim" if len(states) > 8:
                ticket.trim(keep=5)
                oldest = max(oldest, len(states) - 6)
            case "delete" if len(states) > 30:
                if ticket.delete().changed:
                    states.append(Plain())
                    oldest = len(states) - 1
        ticket = store.scope("alice").own(Ticket, "T")
        assert states[-1].of(ticket.get().state)
    ticket = store.scope("alice").own(Ticket, "T")
    assert ticket.verify() == len(states) - 1 - oldest
    for version, plain in enumerate(states):
        if version < oldest:
            with pytest.raises(HistoryTrimmed):
                ticket.at(version)
        else:
            assert plain.of(ticket.at(version).state), version
    # From zero, from the snapshot, and what is remembered.
    folder = ticket._at().folder
    zero, live = folder.from_events(folder.core.load(None)), ticket.get().state
    assert folder.folded(folder.core.load(None), None).state == zero.state == live
    store.close()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(COMMANDS, MEANWHILE), min_size=10, max_size=40), st.booleans())
def test_it_is_the_fold(commands: list[tuple[Any, str]], on_disk: bool) -> None:
    with ExitStack() as stack:
        if on_disk:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "s"
            play(commands, lambda: testing.open(path, durability="relaxed"), True)
        else:
            play(commands, testing.memory, False)
