"""The ordered record of every commit, as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from treering._core import Cid
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

    @property
    def at(self) -> datetime:
        """When it was, in UTC."""
        return when(self.at_ms)

    def __repr__(self) -> str:
        return f"<JournalEntry {self.position} {', '.join(map(str, self.moves)) or 'blocks only'}>"


def entry(row: dict[str, Any]) -> JournalEntry:
    """Returns a journal entry from the core's terms."""
    moves = tuple(Move(m["scope"], m["kind"], tuple(m["name"]), m["version"], m["target"]) for m in row["moves"])
    return JournalEntry(row["position"], row["at_ms"], moves, row["cursor"])
