"""What a projection's function is given: an event with where it happened, or a gap in a source's history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from treering._core import Cid
from treering.stores.actor import ActorState


class Source(NamedTuple):
    """An actor that a projection follows."""

    scope: str
    kind: str
    """`user-memory`, `chat`, …"""
    parts: tuple[str, ...]
    """What tells it apart from the others of its kind: the conversation's id; () where there is one in each scope."""

    def __str__(self) -> str:
        return "/".join((self.scope, self.kind, *self.parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceEvent:
    """What a projection's function is given: an event of a source, or that the source was deleted."""

    source: Source
    version: int
    """The source's version after it. With `source` it stands for this event and no other."""
    at_ms: int
    """When it happened, Unix milliseconds, by the store's clock."""
    type: str
    """Full name of its message: `treering.v1.ChatAppended`; empty for a deletion."""
    message: Any
    """The message, one of `treering.messages`; None for a deletion, and for a type that this version doesn't know."""
    event_id: str
    """ULID, the same in no other event; empty for a deletion."""
    cid: Cid
    """The node that holds it."""
    schema: int = 0
    """The message's schema number."""
    command_id: str | None = None
    """The caller's id of the command that led to it."""
    causation_id: str | None = None
    """What led to that command, in the caller's words."""
    principal: str | None = None
    """On whose behalf, in the caller's words."""
    deleted: bool = False
    """The source was deleted: all that it was is gone. Its version goes on if it is written again."""
    unseen: int = 0
    """Events before a deletion that went with it before this projection had seen them."""

    @property
    def at(self) -> datetime:
        """When it happened, UTC."""
        return datetime.fromtimestamp(self.at_ms / 1000, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Events that were cut off from a source's history before the projection had seen them."""

    source: Source
    seen: int
    """The newest version that the projection has seen, 0 for none."""
    version: int
    """The version that is left to begin with: those from `seen` + 1 to here can't be read any more."""
    state: ActorState
    """What the source was at `version`, as `scope.actor(…).at(version)` answers."""
