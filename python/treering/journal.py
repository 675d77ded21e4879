"""The ordered record of every commit, as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from treering._core import Cid
from treering.errors import Invalid
from treering.step import when


@dataclass(frozen=True, slots=True)
class Move:
    """One ref that a commit moved."""

    scope: str
    kind: str
    """What the ref is for: `thread`, `thread-key`, `thread-failed`, `pin`."""
    name: tuple[str, ...]
    """The rest of its name: for a thread its id."""
    version: int
    """Its version after the commit, from 1; 0 where it was deleted."""
    target: Cid | None
    """Where it points now; None where it was deleted."""

    def __str__(self) -> str:
        name = "/".join((self.scope, self.kind, *self.name))
        return f"{name} → {self.target.short() if self.target is not None else 'deleted'}"


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One commit."""

    position: int
    """Counts from 1, without gaps."""
    at_ms: int
    """The store's clock at the commit, Unix milliseconds."""
    moves: tuple[Move, ...]
    """The refs that it moved, in the commit's order; none for one that only put blocks."""
    cursor: str
    """Where to go on from: `store.journal(after=entry.cursor)`. Opaque."""
    blank: bool = False
    """What it did was lost and given up (`store.give_up_commit`), or erased: `moves` is empty."""
    erased: bool = False
    """It was about a scope that was erased, or erased it."""

    @property
    def at(self) -> datetime:
        """When it was, in UTC."""
        return when(self.at_ms)

    def __repr__(self) -> str:
        moves = (
            "erased" if self.erased else "given up" if self.blank else ", ".join(map(str, self.moves)) or "blocks only"
        )
        return f"<JournalEntry {self.position} {moves}>"


@dataclass(frozen=True, slots=True)
class SealedFile:
    """An immutable file with a part of the journal."""

    name: str
    """Below `journal/` in the store's directory."""
    first: int
    """Position of its first commit."""
    last: int
    """Position of its last commit."""
    first_at_ms: int
    """Time of the first commit, Unix milliseconds."""
    last_at_ms: int
    """Time of the last commit."""
    bytes: int
    """What it takes on disk."""
    cursor: str
    """The place behind its last commit: `store.expire_journal(before=file.cursor)` gives up all to here."""


@dataclass(frozen=True, slots=True)
class JournalExtent:
    """What of the journal is kept, and where."""

    first: int
    """Position of the oldest commit that is kept; 1 where none was expired."""
    last: int
    """Position of the newest commit; one less than `first` where there is none."""
    start: str
    """The cursor before the oldest; any earlier one raises `CursorExpired`."""
    sealed: tuple[SealedFile, ...]
    """Sealed files, the oldest first; later commits are rows of the database."""

    @property
    def commits(self) -> int:
        """How many commits can be read."""
        return self.last - self.first + 1

    @property
    def sealed_commits(self) -> int:
        """How many of them stand in sealed files."""
        return sum(file.last - file.first + 1 for file in self.sealed)


@dataclass(frozen=True, slots=True)
class SealReport:
    """What `seal_journal` wrote."""

    files: int
    commits: int
    bytes: int
    """Bytes of the files."""


@dataclass(frozen=True, slots=True)
class ExpireReport:
    """What `expire_journal` deleted."""

    files: int
    commits: int
    bytes: int
    """Bytes of the files."""


def extent(row: dict[str, Any]) -> JournalExtent:
    """Returns what is kept from the core's terms."""
    sealed = tuple(SealedFile(**file) for file in row["sealed"])
    return JournalExtent(row["first"], row["last"], row["start"], sealed)


def moment(before: datetime | str) -> int | str:
    """Returns Unix milliseconds for a time, a cursor as it is; a time without a zone is refused."""
    if not isinstance(before, str | datetime):
        raise Invalid(f"{before!r} is no moment; it is a datetime with a time zone, or a cursor of the journal")
    return before if isinstance(before, str) else moment_ms(before)


def moment_ms(moment: datetime) -> int:
    """Returns Unix milliseconds for a time; one without a zone is refused."""
    if not isinstance(moment, datetime):  # a caller without a type checker
        raise Invalid(f"{moment!r:.64} is no moment: give a datetime with its zone, datetime.now(UTC)")
    if moment.tzinfo is None:
        raise Invalid(f"{moment!r} has no time zone; use datetime.now(UTC)")
    return round(moment.timestamp() * 1000)


def entry(row: dict[str, Any]) -> JournalEntry:
    """Returns a journal entry from the core's terms."""
    moves = tuple(Move(m["scope"], m["kind"], tuple(m["name"]), m["version"], m["target"]) for m in row["moves"])
    return JournalEntry(row["position"], row["at_ms"], moves, row["cursor"], row["blank"], row["erased"])
