"""What happened in a scope: `scope.history()`.

The journal says in which order, and what became of each ref; the logs of actors say what happened to them. The journal
is read from its end, a page at a time, and a log only once a commit is met that moved it.

What of an actor's log no commit tells of, since a fork or an import brought it, or since that part of the journal is
not kept, is told by its time. Must never: tell an event twice, or leave out one that is kept.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal

from treering._calls import Chunks
from treering._core import Cid, Core, StoresCore, actor_kinds
from treering._session import Home
from treering.errors import Corrupt, CursorExpired, HistoryTrimmed
from treering.stores._dispatch import READER
from treering.stores.actor import listed
from treering.stores.history import ActorEvent
from treering.stores.info import ActorInfo, info_of, moment

_PAGE: Final = 500
"""Commits that are read at once."""
_EVENTS: Final = 16
"""Events of one actor that are read at once."""
_ONE_COMMIT: Final = 22
"""So many characters are the same in the ids of all events of a commit."""
_FORKING: Final = "forking"
"""The kind of the ref that hides a scope while it is made."""
_OURS: Final = ("-readmodel", _FORKING)
"""How kinds of refs end that say nothing of their own."""

Change = Literal["event", "deleted", "created", "moved", "removed", "expired", "lost"]
"""What happened, see `ScopeEvent.change`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeEvent:
    """What happened to one thing of a scope: to an actor, a thread, a key, a pin, a projection."""

    kind: str
    """An actor's kind, or `thread`, `thread-key`, `thread-failed`, `pin`, `projection`, …; `journal` where a part of
    that is not known any more."""
    parts: tuple[str, ...]
    """What tells it apart from others of its kind: a thread's id, a conversation's."""
    version: int
    """The actor's version after it. Of others how often they were moved since they were created; 0 where removed."""
    at_ms: int
    """When it happened, Unix milliseconds."""
    event: ActorEvent | None
    """The event, of an actor; None where it was deleted, and for all else."""
    change: Change
    """`event`: what happened to an actor; `deleted`: it was. Of all else `created`, `moved` (a thread got steps) or
    `removed`. Of the journal `expired`: commits up to this one are not kept, so only actors are told of before; `lost`:
    what this commit did is not known, it may have been in another scope."""
    position: int | None
    """The commit, as in `store.journal()`; None where the actor's log alone tells of it."""
    target: Cid | None
    """Where a ref pointed from then on: the newest step of a thread (`Step.cid`), what is pinned. A collection may have
    taken it since. None for actors, and where it was removed."""

    @property
    def at(self) -> datetime:
        """When it happened, UTC."""
        return moment(self.at_ms)


class _Log:
    """What is still to be told of one actor's log, the newest first."""

    __slots__ = ("_rest", "next")

    def __init__(self, rest: Iterator[ScopeEvent]) -> None:
        self._rest = rest
        self.next: ScopeEvent | None = next(rest, None)

    def go_on(self) -> None:
        """Leaves the newest behind; it was told."""
        self.next = next(self._rest, None)

    def of_commit(self, at_ms: int, position: int) -> list[ScopeEvent]:
        """Returns what a commit of that time did, the newest first; nothing if the newest is older. An event has the
        time of its commit. One that is newer was written since, or its time is of another store."""
        told: list[ScopeEvent] = []
        while (event := self.next) is not None and event.at_ms >= at_ms:
            if event.at_ms > at_ms:
                told.append(event)
            elif not told or told[-1].at_ms > at_ms or _together(told[-1], event):
                told.append(replace(event, position=position))
            else:
                break
            self.go_on()
        return told


def _together(later: ScopeEvent, earlier: ScopeEvent) -> bool:
    if later.event is None or earlier.event is None:
        return False
    return later.event.event_id[:_ONE_COMMIT] == earlier.event.event_id[:_ONE_COMMIT]


@dataclass(order=True, slots=True)
class _ByTime:
    """A log that is told by its times; the one whose next is the newest comes first."""

    order: tuple[int, tuple[int, ...], str, tuple[str, ...]]
    log: _Log = field(compare=False)


class _Telling:
    """One history while it is told."""

    def __init__(self, home: Home) -> None:
        self._stores: StoresCore = home.stores
        self._scope = home.scope
        self._kinds = frozenset(actor_kinds(home.stores))
        self._by_commit: dict[tuple[str, tuple[str, ...]], _Log | None] = {}
        """Logs that were met, and that the journal leads; None: told by time, or by what the journal says alone."""
        self._absent: set[tuple[str, tuple[str, ...]]] = set()
        self._by_time: list[_ByTime] = []

    def commit(self, entry: dict[str, Any]) -> Chunks[ScopeEvent]:
        """Yields what a commit did, after what is told by its time and came later."""
        moves = [moved for moved in reversed(entry["moves"]) if moved["scope"] == self._scope]
        lost = entry["blank"] and not entry["erased"]
        if not (moves or lost):
            return
        yield from self.later(entry["at_ms"])
        if lost:
            yield [_journal("lost", entry["position"], entry["at_ms"])]
            # Nobody knows which logs it moved.
            self.all_by_time()
        for moved in moves:
            if not moved["kind"].endswith(_OURS):
                yield self._moved(entry, moved)

    def _moved(self, entry: dict[str, Any], moved: dict[str, Any]) -> list[ScopeEvent]:
        key = (moved["kind"], tuple(moved["name"]))
        if key[0] not in self._kinds:
            return [_ref(entry, moved)]
        if key not in self._by_commit:
            self._open(key)
        if key in self._absent:
            return [_ref(entry, moved)]
        log = self._by_commit[key]
        if log is None:
            return []
        told = log.of_commit(entry["at_ms"], entry["position"])
        if not told or moved["version"] == 1:
            # What is left came from elsewhere, or was written anew when a part was cut off.
            self._by_commit[key] = None
            self._push(log)
        return told

    def _open(self, key: tuple[str, tuple[str, ...]]) -> None:
        try:
            info = info_of(self._stores, *key)
            log = None if info.version == 0 else _Log(_backwards(self._stores, info))
        except HistoryTrimmed:
            # Of a scope as it was: collected since.
            log = None
        self._by_commit[key] = log
        if log is None:
            self._absent.add(key)

    def later(self, at_ms: int | None) -> Chunks[ScopeEvent]:
        """Yields what is told by its time and came after that one; with None all of it."""
        while self._by_time and (at_ms is None or -self._by_time[0].order[0] > at_ms):
            log = heapq.heappop(self._by_time).log
            if log.next is not None:
                yield [log.next]
            log.go_on()
            self._push(log)

    def all_by_time(self) -> None:
        """From now on all actors are told by their times."""
        for key, log in self._by_commit.items():
            if log is not None:
                self._by_commit[key] = None
                self._push(log)
        for chunk in listed(self._stores):
            for info in chunk:
                key = (info.kind, info.parts)
                if key not in self._by_commit:
                    self._by_commit[key] = None
                    self._push(_Log(_backwards(self._stores, info)))

    def _push(self, log: _Log) -> None:
        if (event := log.next) is not None:
            # Ids of one process grow, within a millisecond too.
            backwards = () if event.event is None else tuple(-ord(sign) for sign in event.event.event_id)
            heapq.heappush(self._by_time, _ByTime((-event.at_ms, backwards, event.kind, event.parts), log))


def newest_first(home: Home) -> Chunks[ScopeEvent]:
    """Yields what happened in a scope, the newest first."""
    telling = _Telling(home)
    core = home.session.core
    position: int = core.journal_extent()["last"]
    if home.scope not in core.scopes() and _is_being_made(core, home.scope, position):
        return
    for entry in _commits(core, position):
        yield from telling.commit(entry)
        position = entry["position"] - 1
    if position > 0:
        at_ms: int = core.journal_extent()["start_at_ms"]
        yield from telling.later(at_ms)
        yield [_journal("expired", position, at_ms)]
        telling.all_by_time()
    yield from telling.later(None)


def _is_being_made(core: Core, scope: str, position: int) -> bool:
    for entry in _commits(core, position):
        for moved in reversed(entry["moves"]):
            if (moved["scope"], moved["kind"]) == (scope, _FORKING):
                return moved["target"] is not None
    return False


def _commits(core: Core, position: int) -> Iterator[dict[str, Any]]:
    while page := _page_up_to(core, position):
        yield from reversed(page)
        position = page[0]["position"] - 1


def _page_up_to(core: Core, position: int) -> list[dict[str, Any]]:
    """Returns the newest commits up to that one, the oldest first; none if no such is kept."""
    first = 0
    # Once more where it was expired meanwhile: there is less.
    while first != (first := core.journal_extent()["first"]) and first <= position:
        before = max(first - 1, position - _PAGE)
        try:
            rows = _between(core, before, position)
        except CursorExpired:
            rows = []
        if rows:
            return rows
    return []


def _between(core: Core, before: int, position: int) -> list[dict[str, Any]]:
    """Returns the commits after `before` up to `position`: those behind the newest that is broken, which is told of
    once they are told."""
    rows: list[dict[str, Any]] = []
    after = core.cursor_at(before)
    while after is not None and before < position:
        try:
            more = core.journal(after, position - before)
        except Corrupt:
            # It ends a page, so this is of the next one alone.
            if before + 1 == position:
                raise
            rows, before = [], before + 1
            after = core.cursor_at(before)
            continue
        if not more:
            break
        rows += more
        before, after = more[-1]["position"], more[-1]["cursor"]
    return rows


def _backwards(core: StoresCore, info: ActorInfo) -> Iterator[ScopeEvent]:
    kind, parts, last = info.kind, info.parts, info.version
    if info.broken is not None:
        # Says what is wrong, in its own words.
        core.actor(kind, parts)
    if info.deleted_at_ms is not None:
        yield _of_actor(info, last, info.deleted_at_ms, None)
    oldest = info.oldest
    while last > oldest:
        first = max(oldest + 1, last - _EVENTS + 1)
        try:
            events = [event for chunk in READER.events(core, kind, parts, first, last) for event in chunk]
        except HistoryTrimmed:
            # Cut off since it was looked at.
            oldest = core.actor(kind, parts)["oldest"]
            continue
        for event in reversed(events):
            yield _of_actor(info, event.version, event.at_ms, event)
        last = first - 1


def _of_actor(info: ActorInfo, version: int, at_ms: int, event: ActorEvent | None) -> ScopeEvent:
    return ScopeEvent(
        kind=info.kind,
        parts=info.parts,
        version=version,
        at_ms=at_ms,
        event=event,
        change="deleted" if event is None else "event",
        position=None,
        target=None,
    )


def _ref(entry: dict[str, Any], moved: dict[str, Any]) -> ScopeEvent:
    version: int = moved["version"]
    return ScopeEvent(
        kind=moved["kind"],
        parts=tuple(moved["name"]),
        version=version,
        at_ms=entry["at_ms"],
        event=None,
        change="removed" if moved["target"] is None else "created" if version == 1 else "moved",
        position=entry["position"],
        target=moved["target"],
    )


def _journal(change: Change, position: int, at_ms: int) -> ScopeEvent:
    return ScopeEvent(
        kind="journal",
        parts=(),
        version=0,
        at_ms=at_ms,
        event=None,
        change=change,
        position=position,
        target=None,
    )
