"""What happened to a projection's sources since it looked, a few things at a time.

Promises: of each source in the order of its versions, and none left out without a word; one that can't be read keeps
nobody from the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from treering._core import ProjectionCore
from treering._session import Session, home
from treering.errors import Corrupt, HistoryTrimmed, NewerSchema, NotFound, TreeringError
from treering.own.folding import Folder, folder_of
from treering.source_event import Gap, Source, SourceEvent
from treering.stores.actor import state_of

if TYPE_CHECKING:
    from treering.projections import Projection

EVENTS_MAX: Final = 100
"""Events that share a commit."""
_TRIES: Final = 8


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that happened to a source, and what the source is called in the checkpoint."""

    key: str
    what: SourceEvent | Gap

    @property
    def which(self) -> str:
        return f"version {self.what.version} of {self.what.source}"


@dataclass(frozen=True, slots=True)
class Behind:
    """A source with more to see: what it is called, which it is, what was seen, and up to where."""

    key: str
    source: Source
    seen: int
    version: int


class Past:
    """What happened to some sources, a few at a time. One that can't be read keeps the others from nothing."""

    def __init__(self, projection: Projection[Any], behind: Sequence[Behind], *, gaps: bool) -> None:
        self.broken: TreeringError | None = None
        """What is wrong with the first that can't be read."""
        self._core: ProjectionCore = projection._core
        self._classes = projection._classes
        self._session: Session = projection._home.session
        self._durability = projection._home.durability
        self._behind = list(reversed(behind))
        self._gaps = gaps

    @property
    def done(self) -> bool:
        return not self._behind

    def take(self) -> list[Happened]:
        """Returns up to as many as share a commit; none at the end."""
        found: list[Happened] = []
        while self._behind and len(found) < EVENTS_MAX:
            behind = self._behind.pop()
            try:
                some = self._some(behind, EVENTS_MAX - len(found))
            except (Corrupt, NewerSchema, NotFound) as error:
                # Blocks that are not there are damage, too.
                self.broken = self.broken or error
                continue
            found += some
            # Where there is nothing, the actor itself is gone.
            if some and some[-1].what.version < behind.version:
                last = some[-1].what.version
                self._behind.append(Behind(behind.key, behind.source, last, behind.version))
        return found

    def _some(self, behind: Behind, limit: int) -> list[Happened]:
        for left in reversed(range(_TRIES)):
            rows = self._core.past(behind.key, behind.seen, behind.version, limit)
            try:
                return [Happened(behind.key, self._what(behind, row)) for row in rows]
            except HistoryTrimmed:
                # Cut off once more since the rows were read.
                if not left:
                    raise
        raise AssertionError

    def _what(self, behind: Behind, row: dict[str, Any]) -> SourceEvent | Gap:
        source = behind.source
        own = self._own(source)
        if "type" in row:
            if own is not None:
                row["message"] = own.shown(row["type"], row["schema"], row["message"])
            return SourceEvent(source=source, **row)
        if "at_ms" in row:
            unseen = row["version"] - behind.seen - 1
            return SourceEvent(source=source, type="", message=None, event_id="", deleted=True, unseen=unseen, **row)
        state: Any = None
        if self._gaps and own is not None:
            state = own.at(row["version"]).state
        elif self._gaps:
            there = home(self._session, source.scope, self._durability)
            state = state_of(there.stores, source.kind, source.parts, row["version"])
        return Gap(source=source, seen=behind.seen, version=row["version"], state=state)

    def _own(self, source: Source) -> Folder | None:
        actor = self._classes.get(source.kind)
        if actor is None:
            return None
        return folder_of(home(self._session, source.scope, self._durability), actor, source.parts)
