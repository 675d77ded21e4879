"""A ticket desk: an actor of its own, files, a projection, and one commit over all that belongs together.

    python examples/ticket_desk.py [DIRECTORY]

Run it twice with the same directory: each command has an id, so the second run changes nothing and prints the same.
"""

import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import treering
from treering import Map, Scope, SourceEvent, Vector


@dataclass(frozen=True)
class Open:
    title: str


@dataclass(frozen=True)
class Note:
    text: str


@dataclass(frozen=True)
class Attach:
    path: str


@dataclass(frozen=True)
class Close:
    reason: str


@dataclass(frozen=True)
class Opened:
    title: str
    at_ms: int


@dataclass(frozen=True)
class Noted:
    text: str


@dataclass(frozen=True)
class Attached:
    path: str


@dataclass(frozen=True)
class Closed:
    reason: str


@dataclass(frozen=True)
class TicketState:
    title: str = ""
    status: Literal["new", "open", "closed"] = "new"
    opened_at_ms: int = 0
    notes: Vector[str] = field(default_factory=Vector)
    files: tuple[str, ...] = ()


class Ticket(treering.Actor[TicketState, Open | Note | Attach | Close, Opened | Noted | Attached | Closed]):
    """What may happen to a ticket. Pure: the time comes with the command, and stands in the event."""

    kind = "ticket"

    def decide(
        self, state: TicketState, command: Open | Note | Attach | Close, context: treering.ActorContext
    ) -> Opened | Noted | Attached | Closed | None:
        if isinstance(command, Open):
            if state.status != "new":
                raise treering.Rejected(f"the ticket is {state.status}")
            return Opened(command.title, context.at_ms)
        if state.status != "open":
            raise treering.Rejected(f"the ticket is {state.status}")
        match command:
            case Note(text):
                return Noted(text)
            case Attach(path):
                return None if path in state.files else Attached(path)
            case Close(reason):
                return Closed(reason)

    def evolve(self, state: TicketState, event: Opened | Noted | Attached | Closed) -> TicketState:
        match event:
            case Opened(title, at_ms):
                return replace(state, title=title, status="open", opened_at_ms=at_ms)
            case Noted(text):
                return replace(state, notes=state.notes.append(text))
            case Attached(path):
                return replace(state, files=(*state.files, path))
            case Closed():
                return replace(state, status="closed")


def board(view: Map[str], event: SourceEvent, commit: object) -> Map[str]:
    """The projection: which tickets are open, by their number."""
    number = event.source.parts[0]
    match event.message:
        case Opened(title, _):
            return view.insert(number, title)
        case Closed():
            return view.remove(number) if number in view else view
    return view


def take(desk: Scope, number: str, title: str, log: bytes) -> None:
    """A new ticket with its log file: the file, the ticket and what it says of the file are one commit."""
    path = f"tickets/{number}/log.txt"
    with desk.commit(command_id=f"take {number}") as c:
        c.files.put(path, log)
        c.own(Ticket, number).send(Open(title))
        c.own(Ticket, number).send(Attach(path))


def main(directory: Path) -> None:
    with treering.open(directory) as store:
        desk = store.scope("desk")
        take(desk, "T-1", "the printer is on fire", b"10:01 paper\n10:02 smoke\n10:03 ERROR fire\n")
        take(desk, "T-2", "no coffee", b"07:59 ERROR beans\n")

        printer, coffee = desk.own(Ticket, "T-1"), desk.own(Ticket, "T-2")
        printer.send(Note("it is only smoke"), command_id="note 1")
        coffee.send(Close("bought some"), command_id="close 2")
        try:
            coffee.send(Note("and milk?"), command_id="note 2")
        except treering.Rejected as error:
            print("refused:", error)

        tickets: treering.Projection[Map[str]] = desk.projection("board", kinds=[Ticket], start=Map())
        tickets.catch_up(board)
        print("open:", dict(tickets.get().value))
        for match in desk.files.grep("error", "tickets/**"):
            print(f"{match.path}:{match.line}: {match.text}")
        state = printer.get().state
        print(f"{state.title}: {state.status}, {list(state.notes)}, {state.files}")
        print("as it was taken:", printer.at(1).state.status, list(printer.at(1).state.notes))
        print("events:", *(event.type.removeprefix("x.ticket.") for event in printer.history()))
        print("sound:", desk.verify().ok)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder) / "state")
