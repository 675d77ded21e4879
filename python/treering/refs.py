"""Refs as rows, and the quarantine: where broken ones go, with all that is left of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final

from treering._calls import Chunks, read, stream, waits
from treering._core import Cid, all_refs, discard_refs, quarantine, quarantined, restore_refs
from treering._family import SYNC, Family
from treering._session import Location, Session, open_session
from treering.step import when

_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class RefState:
    """A ref as it stands."""

    name: str
    """Scope, kind and parts, each escaped: `main/thread/01J…`. Bytes that no name has stand as `\\xNN`."""
    version: int | None
    """Counts from 1; None if the row is broken."""
    target: Cid | None
    """The block that it points at; None if the row is broken."""
    broken: str | None
    """What is wrong with the row; None for a sound one."""

    @property
    def kind(self) -> str:
        """What sort of ref it is: `thread`, `pin`, `quarantine` …; empty if the name can't be read."""
        segments = self.name.split("/", 2)
        return segments[1] if len(segments) == 3 else ""

    @property
    def scope(self) -> str:
        """The scope's name as it stands in the ref's, escaped."""
        return self.name.split("/", 1)[0]


@dataclass(frozen=True, slots=True)
class QuarantinedRef:
    """A ref in quarantine."""

    name: str
    """As it was."""
    why: str
    """What was wrong; empty for one that came along (a thread's key)."""
    version: int | None
    """Where it stood; None if neither its row nor the journal says."""
    target: Cid | None
    whole_version: int | None
    """The newest earlier version whose blocks are all there; None if the last one's are, or none is."""
    whole_target: Cid | None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Refs that were put into quarantine together."""

    entry: str
    """The name of the ref that keeps them: for `restore` and `discard`."""
    at_ms: int
    """When, Unix milliseconds."""
    refs: tuple[QuarantinedRef, ...]
    lost: tuple[Cid, ...]
    """Blocks that they reach and that are gone or damaged; the first thousand."""
    broken: str | None = None
    """What is wrong with the entry itself; None for a sound one."""

    @property
    def at(self) -> datetime:
        """When, UTC."""
        return when(self.at_ms)


class Refs:
    """The refs of a store, `store.refs`: threads, pins and all others, of every scope."""

    __slots__ = ("_session",)

    _family: ClassVar[Family] = SYNC

    def __init__(self, session: Session) -> None:
        self._session = session

    @stream
    def list(self) -> Chunks[RefState]:
        """Returns every ref in the order of their names, broken ones too; an iterator that ends."""
        after = ""
        while rows := all_refs(self._session.core, after, _CHUNK):
            yield [RefState(*row) for row in rows]
            after = rows[-1][0]

    @read
    def quarantine(self, name: str) -> Quarantined:
        """Returns the entry that keeps a broken ref from now on; the ref is gone, in one durable commit.

        It keeps all that is left: blocks that are whole stay what they are; those that can be read while
        something below them is gone are kept as bytes. A thread takes its key and its failure along. Nothing
        but `quarantined`, `restore` and `discard` reads it. O(blocks that the ref reaches).

        Errors:
            NotFound (`not-found`): there is no such ref.
            Invalid (`invalid`): nothing is wrong with it.
        """
        return _quarantined(quarantine(self._session.core, name))

    @read
    def quarantined(self) -> tuple[Quarantined, ...]:
        """Returns what is in quarantine, scope by scope, the oldest first."""
        core = self._session.core
        return tuple(_quarantined(entry) for scope in core.scopes() for entry in quarantined(core, scope))

    @read
    @waits
    def restore(self, entry: str, *, whole: bool = False) -> tuple[str, ...]:
        """Returns the names of the refs of an entry, which are back where they stood, in one durable commit.

        Everything that they reach has to be there again: put what was lost (from a backup) first. `whole` takes
        each back to its newest version that is whole instead, those that have one; the entry stays then, with the
        others and with what came after. What came along (a thread's key) goes back with what was asked for, or not
        at all. Each ref's version counts from 1 again. Blocks that were kept as bytes are stored again, after a
        collection has taken away their old rows.

        Errors:
            NotFound (`not-found`): there is no such entry.
            Invalid (`invalid`): a block is still missing, nothing says where a ref stood, or it was never whole.
            VersionConflict (`version-conflict`): there is a ref of that name again.
        """
        return tuple(restore_refs(self._session.core, entry, whole))

    @read
    @waits
    def discard(self, entry: str) -> None:
        """Returns nothing; the entry is gone, and what only it kept goes with the next collection.

        Errors:
            NotFound (`not-found`): there is no such entry.
        """
        discard_refs(self._session.core, entry)

    def __reduce__(self) -> tuple[Any, ...]:
        return reopen_refs, (self._family, self._session.portable("Refs"))

    def __repr__(self) -> str:
        return f"<Refs of {self._session.name}>"


def _quarantined(entry: dict[str, Any]) -> Quarantined:
    return Quarantined(
        entry["entry"],
        entry["at_ms"],
        tuple(_ref(one) for one in entry["refs"]),
        tuple(entry["lost"]),
        entry["broken"],
    )


def _ref(one: dict[str, Any]) -> QuarantinedRef:
    return QuarantinedRef(one["name"], one["why"], *(one["stood"] or (None, None)), *(one["whole"] or (None, None)))


def reopen_refs(family: Family, location: Location) -> Refs:
    """Opens pickled refs."""
    return family.Refs(open_session(location, create=False))


SYNC.Refs = Refs
