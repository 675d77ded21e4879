"""Where an actor stands: its version, and the part of its history that is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from treering._core import Cid, StoresCore


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorInfo:
    """Where an actor stands."""

    kind: str
    """`user-memory`, `chat`, …"""
    parts: tuple[str, ...]
    """What tells it apart from the others of its kind: the conversation's id; () where there is one in each scope."""
    version: int
    """Its version: how often it was changed, deletions included; 0 if it was never written, or is broken."""
    oldest: int
    """The version that its history begins after: 0, or that of its deletion, or of what was cut off."""
    at_ms: int | None
    """When it was last changed, Unix milliseconds; None if it was never written, is broken, or was cut off whole by an
    early version, which noted no time."""
    deleted_at_ms: int | None
    """When it was deleted, Unix milliseconds; None if it is there."""
    head: Cid | None
    """The newest entry of its log; it stands for its whole history. None if it was never written, or is broken."""
    broken: str | None = None
    """What is wrong with it; None for a sound one."""

    @property
    def events(self) -> int:
        """How many events there are to read."""
        return self.version - self.oldest

    @property
    def at(self) -> datetime | None:
        """When it was last changed, UTC."""
        return None if self.at_ms is None else moment(self.at_ms)

    @property
    def deleted_at(self) -> datetime | None:
        """When it was deleted, UTC."""
        return None if self.deleted_at_ms is None else moment(self.deleted_at_ms)


def info_of(core: StoresCore, kind: str, parts: Sequence[str]) -> ActorInfo:
    """Returns where an actor stands; version 0 if it was never written."""
    place = core.actor(kind, parts)
    return ActorInfo(
        kind=kind,
        parts=tuple(parts),
        version=place["version"],
        oldest=place["oldest"],
        at_ms=place["at_ms"],
        deleted_at_ms=place["deleted_at_ms"],
        head=place["head"],
    )


def moment(at_ms: int) -> datetime:
    """Returns Unix milliseconds as a moment, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)
