"""An actor of somebody's own as it is stored, for who does not have its class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from treering._core import OwnCore, OwnLoadedCore, StoresCore
from treering.stores.history import ActorEvent, event

OWN: Final = "x."
"""What the kinds of users' own actors begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredState:
    """What is kept of an actor of somebody's own at one version. What its state is, only its class can tell: it is the
    state that was stored last, and the events after it."""

    version: int
    """The actor's version."""
    fields: Mapping[str, Any] | None
    """The fields of the state that was stored last; None if none was."""
    fields_version: int
    """The version that they are of; 0 for none."""
    events: tuple[ActorEvent, ...]
    """What happened after that, oldest first, `message` the fields of each event."""


def stored_state(core: StoresCore, kind: str, parts: tuple[str, ...], version: int | None) -> StoredState:
    """Returns what is stored of an actor, as it is or as it was at a version."""
    return stored(core, kind, parts, OwnCore(core, kind, parts).load(version))


def stored(core: StoresCore, kind: str, parts: tuple[str, ...], loaded: OwnLoadedCore) -> StoredState:
    """Returns what was loaded of an actor."""
    start = loaded.start
    first = after = loaded.base if start is None else start[0]
    events: list[ActorEvent] = []
    while after < loaded.version and (rows := core.events(kind, parts, after + 1, loaded.version)):
        events += [event(row) for row in rows]
        after = rows[-1]["version"]
    return StoredState(
        version=loaded.version,
        fields=None if start is None else start[4],
        fields_version=0 if start is None else first,
        events=tuple(events),
    )
