"""A kind of actor for the tests: a ticket, with a list and a map in its state."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Literal

import treering


class Weight(Enum):
    LIGHT = "light"
    HEAVY = "heavy"


@dataclass(frozen=True)
class Person:
    name: str
    age: int | None = None


@dataclass(frozen=True)
class Open:
    title: str
    by: Person = Person("nobody")
    weight: Weight = Weight.LIGHT


@dataclass(frozen=True)
class Note:
    text: str
    labels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Notes:
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Close:
    reason: str = ""


@dataclass(frozen=True)
class Opened:
    title: str
    number: str
    opened_at_ms: int
    by: Person = Person("nobody")
    weight: Weight = Weight.LIGHT


@dataclass(frozen=True)
class Noted:
    text: str
    labels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Closed:
    reason: str = ""


@dataclass(frozen=True)
class TicketState:
    title: str = ""
    number: str = ""
    status: Literal["new", "open", "closed"] = "new"
    by: Person = Person("nobody")
    weight: Weight = Weight.LIGHT
    opened_at_ms: int = 0
    count: int = 0
    mean: float = 0.0
    notes: treering.Vector[str] = field(default_factory=treering.Vector)
    labels: treering.Map[int] = field(default_factory=treering.Map)
    last: Mapping[str, int] = field(default_factory=dict)


class Ticket(treering.Actor[TicketState, Open | Note | Notes | Close, Opened | Noted | Closed]):
    kind = "ticket"

    def decide(
        self, state: TicketState, command: Open | Note | Notes | Close, context: treering.ActorContext
    ) -> Iterator[Opened | Noted | Closed]:
        match command:
            case Open(title=title, by=by, weight=weight):
                if state.status != "new":
                    raise treering.Rejected(f"ticket {context.parts[0]} is {state.status}", status=state.status)
                if not title.strip():
                    raise treering.InvalidCommand(
                        "title '' is blank", field="title", value=title, rule="it is not blank"
                    )
                yield Opened(title, context.new_id(), context.at_ms, by, weight)
            case Note(text=text, labels=labels):
                if state.status == "closed":
                    raise treering.Rejected("the ticket is closed")
                if text:
                    yield Noted(text, labels)
            case Notes(texts=texts):
                for text in texts:
                    yield Noted(text)
            case Close(reason=reason):
                if state.status == "open":
                    yield Closed(reason)

    def evolve(self, state: TicketState, event: Opened | Noted | Closed) -> TicketState:
        match event:
            case Opened():
                return replace(
                    state,
                    title=event.title,
                    number=event.number,
                    status="open",
                    by=event.by,
                    weight=event.weight,
                    opened_at_ms=event.opened_at_ms,
                )
            case Noted(text=text, labels=labels):
                count = state.count + 1
                return replace(
                    state,
                    count=count,
                    mean=(state.mean * state.count + len(text)) / count,
                    notes=state.notes.append(text),
                    labels=state.labels.update(labels),
                    last=labels,
                )
            case Closed():
                return replace(state, status="closed")


def elsewhere(call: Callable[[], object]) -> None:
    """Does something on another thread, and waits for it: what somebody else does while this one decides."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
