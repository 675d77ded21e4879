"""Whole scopes under another name: what a scope was forked of, and forks that are not finished."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from treering import _core
from treering._core import StoresCore


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A scope that another one comes of."""

    scope: str | None
    """Its name; None if it was erased since."""
    position: int
    """The fork has what commits up to this one left there, and nothing of later ones."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a scope was forked of, and when."""

    ancestors: tuple[Ancestor, ...]
    """The scopes that it comes of, the nearest first; at least one."""
    at_ms: int
    """When it was forked, Unix milliseconds by the store's clock."""
    refs: int
    """How many refs it began with."""

    @property
    def at(self) -> datetime:
        """When it was forked, in UTC."""
        return datetime.fromtimestamp(self.at_ms / 1000, UTC)


@dataclass(frozen=True, slots=True)
class UnfinishedFork:
    """A fork of many refs, or an import of them, that is under way, or was cut short. Nobody sees the scope."""

    scope: str
    """The scope that it is to be."""
    of: str | None
    """The scope that it is of; None for an import, and if that has nothing any more."""
    holder: str | None
    """What the one says who makes it just now; None if nobody does."""
    refs: int
    """Refs that are there already."""
    archive: str | None = None
    """Root 0 of the file that it is imported of; None for a fork."""


def lineage_of(core: StoresCore) -> Lineage | None:
    """Returns what a scope was forked of, None if it was not."""
    found = _core.scope_lineage(core)
    if found is None:
        return None
    ancestors = tuple(Ancestor(*one) for one in found["ancestors"])
    return Lineage(ancestors, found["at_ms"], found["refs"])


def unfinished(core: StoresCore) -> list[UnfinishedFork]:
    """Returns the forks of a store that are not finished."""
    return [UnfinishedFork(**found) for found in _core.unfinished_forks(core)]
