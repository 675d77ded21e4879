"""What happened to an actor: its events with their envelopes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from treering._core import Cid


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorEvent:
    """One event of an actor's log."""

    version: int
    """The actor's version after it, from 1."""
    at_ms: int
    """When it happened, Unix milliseconds, by the store's clock."""
    type: str
    """Full name of its message: `treering.v1.UserConfigSaved`."""
    schema: int
    """The message's schema number."""
    message: object
    """The message, one of `treering.messages`; None for a type that this version doesn't know."""
    event_id: str
    """ULID, the same in no other event."""
    command_id: str | None
    """The caller's id of the command that led to it."""
    causation_id: str | None
    """What led to that command, in the caller's words."""
    principal: str | None
    """On whose behalf, in the caller's words."""
    cid: Cid
    """The node that holds it."""

    @property
    def at(self) -> datetime:
        """When it happened, UTC."""
        return datetime.fromtimestamp(self.at_ms / 1000, UTC)


def event(row: Mapping[str, Any]) -> ActorEvent:
    """Returns the event of what the core gives."""
    return ActorEvent(**row)
