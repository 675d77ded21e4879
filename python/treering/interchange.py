"""Whole scopes, and threads, in CAR files: what an export holds, what an import did, how the core is asked for both.

A CAR file (content-addressable archive, version 1) holds blocks under their CIDs; other IPLD tools read it.
Ours begins with a manifest, which says what the refs are, or what the threads are.

Source: https://ipld.io/specs/transport/car/carv1/
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from treering._core import Cid, export_car, export_scope, import_car
from treering._session import Home
from treering.errors import HistoryTrimmed, Invalid

OnConflict: TypeAlias = Literal["refuse", "rename", "skip"]
"""What an import does about a thread whose id or key another thread has here, and about a pin of that name."""

Watcher: TypeAlias = Callable[[int, int | None], object]
"""Is called now and then with what is done, and of how much (None: not known yet); it may raise to stop."""


class Writable(Protocol):
    """A file that is open for writing bytes."""

    def write(self, data: bytes, /) -> int | None: ...


class Named(Protocol):
    """A thread, sync or async: all that an export asks of one."""

    @property
    def id(self) -> str: ...
    @property
    def scope(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What a CAR file holds."""

    root: Cid
    """Its root 0, the manifest: it stands for the whole of the export."""
    threads: tuple[str, ...]
    """Ids of the threads, growing."""
    actors: int
    """Actors, deleted ones too: every store that was ever written is one, every conversation, every one of your own."""
    projections: int
    """Projections, with their views and what they have seen."""
    pins: int
    """Pins."""
    receipts: int
    """Receipts of commands."""
    receipts_left: int
    """Receipts that are not in it, since nobody can say whether they were there at the moment that is exported. 0 but
    for a scope as it was, of a store of early days, where a later commit is lost."""
    blocks: int
    """Blocks that all of it reaches; those of the manifest are not counted."""
    bytes: int
    """Bytes of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did."""

    scope: str
    """The scope that the file was exported from."""
    threads: tuple[str, ...]
    """Ids of the threads that were made; renamed ones under their new id."""
    there: tuple[str, ...]
    """Ids of threads that were here before, as they are in the file."""
    skipped: tuple[str, ...]
    """Ids of threads that were left out, since another thread has their id or key."""
    renamed: Mapping[str, str]
    """Id in the file to id here, of threads that got another id."""
    advanced: tuple[str, ...]
    """Ids of threads that were here, and went on as the file has them."""
    actors: int
    """Actors that were made, or went on as the file has them."""
    projections: int
    """Projections that were made, or went on as the file has them."""
    pins: int
    """Pins that were made."""
    others_there: int
    """Actors, projections and pins that were here before, as they are in the file."""
    pins_skipped: tuple[str, ...]
    """Pins that were left out, since another block has their name here."""
    blocks: int
    """Blocks that what is new reaches."""
    new_blocks: int
    """Those that were not here before."""
    new_bytes: int
    """Their bytes."""
    new_receipts: int
    """Receipts of commands that came along: a repeated command id finds its step."""
    receipts_left: int
    """Receipts that could not come: the scope has another name here, or the thread another id or none."""

    @property
    def changed(self) -> bool:
        """Whether anything is here that was not before."""
        made = self.threads or self.advanced or self.actors or self.projections or self.pins
        return bool(made or self.new_receipts)


def export_threads(
    home: Home,
    threads: Iterable[Named | str] | None,
    file: str | os.PathLike[str] | Writable,
    progress: Watcher | None,
) -> Exported:
    """Returns what was written; None for `threads` means the whole scope."""
    target = os.fspath(file) if isinstance(file, str | os.PathLike) else file
    if threads is None:
        if gone := home.session.gone:
            raise HistoryTrimmed(
                f"scope {home.scope!r} can't be exported as it was: {len(gone)} refs are gone, {gone[0]} among them; "
                "name the threads that are wanted"
            )
        made = export_scope(home.stores, target, progress)
    else:
        made = export_car(home.threads, [_id(home, thread) for thread in threads], target, progress)
    return Exported(**_with_tuples(made))


def import_archive(
    home: Home, path: str | os.PathLike[str], on_conflict: OnConflict, progress: Watcher | None
) -> Imported:
    """Returns what was made of a file."""
    did = import_car(home.stores, os.fspath(path), on_conflict, progress)
    return Imported(**_with_tuples(did) | {"renamed": dict(did["renamed"])})


def _id(home: Home, thread: Named | str) -> str:
    if isinstance(thread, str):
        return home.threads.get(thread).id
    if thread.scope != home.scope:
        raise Invalid(
            f"thread {thread.id} is of scope {thread.scope!r}: export it from there, a file is of one scope",
            what="thread",
            value=thread.id,
        )
    return thread.id


def _with_tuples(made: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in made.items()}
