"""Trimming a whole scope: the histories of all its actors by one rule.

A commit for each actor that has something to cut off, as `trim` of the actor makes it; nothing is held between two. So
one that ends half-way has trimmed the first ones, and the same call again goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from treering._calls import Look, Op
from treering._session import Home
from treering.errors import Corrupt, HistoryTrimmed, Invalid, LimitExceeded, NewerSchema, Overtaken, TreeringError
from treering.journal import moment_ms
from treering.own.classes import class_of
from treering.own.folding import folder_of
from treering.own.trimming import trim as trim_own
from treering.stores._dispatch import DISPATCHER
from treering.stores.actor import listed
from treering.stores.info import ActorInfo
from treering.stores.stored import OWN


@dataclass(frozen=True, slots=True, kw_only=True)
class TrimmedActor:
    """What was cut off of one actor, or would be."""

    kind: str
    parts: tuple[str, ...]
    version: int
    """Its version, which stays."""
    dropped: int
    """Versions that went."""
    oldest: int
    """The version that its history begins after now."""
    refused: str | None = None
    """Why nothing was cut off of it: it is broken, a later version wrote it, more is to be kept than a trim can; or it
    is an actor of your own, and this store was not used with its class (`scope.own(Ticket)` is enough), or that can't
    fold it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeTrimmed:
    """What `Scope.trim` did, or would do."""

    actors: tuple[TrimmedActor, ...]
    """Those of which something was cut off, or which were refused, by kind and parts."""
    looked_at: int
    """How many actors the scope has; deleted ones have no history and don't count."""

    @property
    def dropped(self) -> int:
        """Versions that went, of all actors together."""
        return sum(actor.dropped for actor in self.actors)

    @property
    def refused(self) -> tuple[TrimmedActor, ...]:
        """Actors that were left as they are, with the reason."""
        return tuple(actor for actor in self.actors if actor.refused is not None)


def trim(home: Home, keep: int | None, before: datetime | None, dry_run: bool) -> Op[ScopeTrimmed]:
    """The body of `Scope.trim`."""
    if (keep is None) == (before is None):
        raise Invalid("trim: say what is kept, one of keep and before; without a rule all is kept")
    if isinstance(keep, bool) or (keep is not None and keep < 0):
        raise Invalid(f"trim: keep is a number of events, 0 or more, not {keep!r}")
    if before is not None and not isinstance(before, datetime):  # a caller without a type checker
        raise Invalid(f"trim: before is a moment, not {before!r}; versions are each actor's own: use its trim")
    since_ms = None if before is None else moment_ms(before)
    chunks = listed(home.stores)
    trimmed: list[TrimmedActor] = []
    looked_at = 0
    while (chunk := (yield Look(lambda: next(chunks, None)))) is not None:
        for info in chunk:
            if info.deleted_at_ms is not None:
                continue
            looked_at += 1
            done = yield from _one(home, info, keep, since_ms, before, dry_run)
            if done.dropped or done.refused is not None:
                trimmed.append(done)
    return ScopeTrimmed(actors=tuple(trimmed), looked_at=looked_at)


def _one(
    home: Home, info: ActorInfo, keep: int | None, since_ms: int | None, before: datetime | None, dry_run: bool
) -> Op[TrimmedActor]:
    def result(dropped: int = 0, refused: str | None = None) -> TrimmedActor:
        return TrimmedActor(
            kind=info.kind,
            parts=info.parts,
            version=info.version,
            dropped=dropped,
            oldest=info.oldest + dropped,
            refused=refused,
        )

    if info.broken is not None:
        return result(refused=info.broken)
    own = class_of(home.session, info.kind)
    try:
        begin = yield Look(lambda: _begin(home, info, keep, since_ms))
        due = max(0, begin - info.oldest)
        if due and own is None and info.kind.startswith(OWN):
            # A new beginning is a state, which only the class can fold.
            return result(
                refused="only its class can fold it, and this store was not used with it yet: scope.own(…) first"
            )
        if dry_run or not due:
            return result(due)
        if own is None:
            receipt = yield from DISPATCHER.trim(home, info.kind, info.parts, before, keep, None, None)
        else:
            receipt = yield from trim_own(folder_of(home, own, info.parts), before, keep, None, None)
    except (Corrupt, NewerSchema, LimitExceeded, Invalid, Overtaken) as error:
        return result(refused=str(error))
    except TreeringError:
        raise
    except Exception as error:
        # A class of somebody's own raises what it likes.
        if own is None:
            raise
        return result(refused=f"{own.__name__} can't fold it: {type(error).__name__}: {error}")
    return result(receipt.dropped)


def _begin(home: Home, info: ActorInfo, keep: int | None, since_ms: int | None) -> int:
    """The version that the history begins after, by the rule."""
    if since_ms is None:
        return info.version - (keep or 0)
    try:
        return int(home.stores.version_at(info.kind, info.parts, since_ms))
    except HistoryTrimmed:
        return 0
