"""Erasing a whole scope: what went, the note that stays of it, and giving back what deletions left.

Never: a name of a scope that was erased; a note tells it by a digest.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from treering import _core
from treering._core import Core
from treering._session import Home
from treering.errors import Unavailable
from treering.step import when
from treering.stores.catalogs import CONNECTORS, ROLES


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What `Scope.erase` took away; of a dry run: what it would."""

    refs: int
    """Threads, keys, pins, actors, read models, projections: whatever the scope named."""
    receipts: int
    """Command ids that are new again."""
    holds: int
    leases: int
    commits: int
    """Commits of the journal that say nothing any more; that they were, and when, stays."""
    blocks: int
    """Blocks that the scope reached. Those that nobody else does go with the next collection."""
    held_blocks: int
    """Of them, those that other scopes reach as well: they stay."""
    held_by: tuple[str, ...]
    """These scopes, in order; empty for a repeated command."""
    position: int
    """The commit with which the scope was gone; 0 for a dry run."""
    at_ms: int
    """Its time by the store's clock, Unix milliseconds."""
    replayed: bool
    """The same command id was here before: this is what it did, and nothing was done now."""
    warnings: tuple[str, ...] = ()
    """Which mirrors of its drafts are in the workspace yet, and why; that there was nothing of a scope of that name."""

    def __str__(self) -> str:
        held = f"; {self.held_blocks} of {self.blocks} blocks stay, held by {len(self.held_by)} scopes"
        kept = held if self.held_blocks else ""
        return f"{self.refs} refs, {self.receipts} receipts, {self.commits} commits{kept}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """The note that stays of an erasure."""

    id: str
    """Tells it from all others; a ULID."""
    at_ms: int
    """When the scope was gone, Unix milliseconds."""
    position: int
    """The commit with which it was; 0 where it went from a store that was restored."""
    scope: bytes
    """Stands for the scope's name: 32 bytes, of this store alone. `Store.erasures(name)` asks for a name."""
    refs: int
    receipts: int
    holds: int
    leases: int
    commits: int
    blocks: int
    held_blocks: int

    @property
    def at(self) -> datetime:
        """When the scope was gone, in UTC."""
        return when(self.at_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vacuumed:
    """What `Store.vacuum` did; true if it is complete."""

    freed_bytes: int
    """Bytes that the database and its log were cut by."""
    database_bytes: int
    """Bytes of the database's file now."""
    free_bytes: int
    """Bytes of free pages that are left in it: others wrote meanwhile."""
    log_bytes: int
    """Bytes of the log that are left: somebody reads from it, or wrote meanwhile. Again, when they have ended."""
    files_left: int
    """Files of large blocks and of the journal that no row names: what is being sealed now, or could not be removed.
    A collection removes them, those of blocks when they are a day old."""
    dead_blocks: int
    """Collected blocks whose rows are there yet, because a collection was stopped: collect again."""
    unfinished_erases: int
    """Erases that can't end: something that may be the scope's can't be read (`verify(repair=True)` first), a file
    can't be written anew, or somebody copies files."""
    complete: bool
    """Nothing that was deleted before is left in the store's files."""

    def __bool__(self) -> bool:
        return self.complete


def erase(home: Home, command_id: str | None, dry_run: bool) -> Erased:
    """Erases a scope, and the mirrors of its drafts; from the core's terms."""
    row = _core.erase_scope(home.session.core, home.scope, command_id, dry_run)
    told = [] if dry_run else [why for one in (CONNECTORS, ROLES) if (why := one.forgotten(home)) is not None]
    if not row["replayed"] and not any(row[name] for name in ("refs", "receipts", "holds", "leases", "commits")):
        told.append(f"there was nothing of a scope {home.scope!r}: is this its name, to the letter?")
    return Erased(**{**row, "held_by": tuple(row["held_by"])}, warnings=tuple(told))


def notes(core: Core, scope: str | None) -> tuple[Erasure, ...]:
    """Returns the notes of erasures, from the core's terms."""
    return tuple(Erasure(**row) for row in _core.erasures(core, scope))


def write_notes(core: Core, path: str | os.PathLike[str]) -> None:
    """Writes all notes to a file, which appears whole or not at all."""
    target = Path(path)
    new = target.with_name(f"{target.name}.new")
    content = _core.erasures_file(core)
    try:
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(target)
    except OSError as error:
        raise Unavailable(f"the notes can't be written to {target}: {error}") from error


def vacuumed(core: Core) -> Vacuumed:
    """Gives back what deletions left, from the core's terms."""
    row: dict[str, Any] = _core.vacuum(core)
    return Vacuumed(**row)
