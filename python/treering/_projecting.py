"""How a projection goes on: finds what its sources have that it has not seen, has its function make a view of it, and
moves view and checkpoint in one commit with whatever the function drafted.

Promises: a batch of events counts as a whole or not at all; one that is refused is split until the event stands alone
that it is refused for. Who lost against another process looks again, and does nothing twice.
Never: a view that did not count is gone on with: each batch begins with the stored one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from treering._calls import Look, Queued
from treering._core import Cid, ProjectedCore, ProjectionCore
from treering._past import Behind, Happened, Past
from treering._session import home
from treering._views import has_collections
from treering.errors import (
    AlreadyExists,
    Conflict,
    Corrupt,
    EventRefused,
    HistoryTrimmed,
    Invalid,
    NotFound,
    TreeringError,
    Unavailable,
    VersionConflict,
    WrongStatus,
)
from treering.source_event import Gap, Source, SourceEvent

if TYPE_CHECKING:
    from treering.commit import Commit
    from treering.projections import Projection

V = TypeVar("V")
T = TypeVar("T")

SCANNED_MAX: Final = 1_000
"""Commits of others after which a cursor is worth a commit of its own."""
PARKED_EVENTS: Final = 1_000
"""Events after which a rebuilt view's collections are put into the store, so that one commit need not hold them all."""
CONFLICTS_MAX: Final = 32
"""Times that the function is called again for an event because what it writes to was moved meanwhile."""
REFUSALS: Final = (Invalid, NotFound, AlreadyExists, VersionConflict, WrongStatus)
"""What is the event's fault, or the function's: another time will be no better."""

Steps = Generator[Queued, Any, T]


@dataclass(frozen=True, slots=True)
class Functions(Generic[V]):
    """What the caller gives."""

    apply: Callable[[V, SourceEvent, Commit], V | Awaitable[V]]
    trimmed: Callable[[V, Gap, Commit], V | Awaitable[V]] | None
    refused: Callable[[V, SourceEvent, TreeringError], V | Awaitable[V]] | None


class Overtaken(Exception):
    """Another process moved the projection."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """A batch that does not count: at the n-th of it the function raised, or its commit was refused (None)."""

    at: int | None
    error: Exception
    view: bool = False
    """Whether it is the view that can't be stored."""


class Runner(Generic[V]):
    """One caller's way through what there is to see."""

    def __init__(self, projection: Projection[V], functions: Functions[V]) -> None:
        self._projection = projection
        self._functions = functions
        self._core: ProjectionCore = projection._core
        self._cursor: str | None = None
        self._scanned = 0
        self._events = self._commits = 0
        self.now: ProjectedCore

    def catch_up(self) -> Steps[tuple[int, int]]:
        """Does all that is there now; how many events, in how many commits."""
        self._events = self._commits = 0
        while True:
            try:
                yield from self._look()
                yield from self._search()
            except Overtaken:
                continue
            except (NotFound, Corrupt):
                # Blocks of a view that is not the newest any more may be gone.
                if self.now.is_same((yield Look(self._core.load))):
                    raise
                continue
            return self._events, self._commits

    def _look(self) -> Steps[None]:
        now: ProjectedCore = yield Look(self._core.load)
        # What was found out since then is only good for what it was found out of.
        if not (hasattr(self, "now") and self.now.is_same(now)):
            self.now, self._cursor, self._scanned = now, now.cursor, 0

    def _search(self) -> Steps[None]:
        search = yield Look(partial(self._core.search, self._cursor))
        broken: TreeringError | None = None
        while True:
            page = yield Look(lambda: self._core.next(search, self.now))
            if page is None:
                break
            rows, cursor, commits, compared = page
            # What it took to find out is not to be done again.
            self._scanned += SCANNED_MAX if compared else commits
            behind = [Behind(key, Source(scope, kind, tuple(parts)), *at) for key, scope, kind, parts, *at in rows]
            past = Past(self._projection, behind, gaps=self._functions.trimmed is not None)
            while happened := (yield Look(past.take)):
                yield from self._written(happened, cursor if past.done and broken is past.broken is None else None)
            broken = broken or past.broken
            if cursor is not None and broken is None:
                self._cursor = cursor
        if broken is not None:
            raise broken
        # A cursor that says nothing to this one is somebody else's, who follows other sources under the same name: were
        # each to note its own, both would without an end.
        if self._scanned >= SCANNED_MAX and self.now.cursor is not None and self._cursor is not None:
            yield from self._noted(self._cursor)

    def _written(self, happened: list[Happened], cursor: str | None) -> Steps[None]:
        at, size, tries = 0, len(happened), CONFLICTS_MAX
        while at < len(happened):
            part = happened[at : at + size]
            # Done with the journal up to there, once the last of them counts.
            behind = cursor if at + len(part) == len(happened) else None
            stopped = yield from self._commit(part, behind)
            if stopped is None:
                at, tries = at + len(part), CONFLICTS_MAX
            elif stopped.at is None and len(part) > 1:
                size = 1
            elif stopped.at:
                size = stopped.at
            elif isinstance(stopped.error, Conflict) and tries:
                tries -= 1
            else:
                yield from self._refused(part[0], stopped, behind)
                at, tries = at + 1, CONFLICTS_MAX

    def _commit(self, part: Sequence[Happened], cursor: str | None) -> Steps[Stopped | None]:
        """One commit for these, or why not."""
        draft = drafted(self._projection)
        view: V = yield Look(lambda: self._projection._view(self.now))
        for index, happened in enumerate(part):
            try:
                view = yield from given(self._functions, view, happened, draft)
            except Exception as error:
                return Stopped(index, error)
        return (yield from self._land(draft, (view,), part, cursor))

    def _land(
        self,
        draft: Commit,
        view: tuple[V] | None,
        part: Sequence[Happened],
        cursor: str | None,
        remade: Sequence[tuple[str, int]] | None = None,
    ) -> Steps[Stopped | None]:
        seen = remade if remade is not None else [(happened.key, happened.what.version) for happened in part]
        batch = draft._close()
        after: ProjectedCore | None = None
        try:
            after = yield Look(partial(batch.project, self._core, self.now, view, seen, cursor, remade is not None))
            draft._answer = yield from draft._committed(batch)
        except Unavailable:
            raise
        except Exception as error:  # A decider of the caller's own raises what it likes.
            # Whatever it says: somebody else's move comes first.
            if not self.now.is_same((yield Look(self._core.load))):
                raise Overtaken from None
            return Stopped(None, error, view=after is None)
        self.now = after
        if cursor is not None:
            self._scanned = 0
        self._events += len(part)
        self._commits += 1
        return None

    def _refused(self, happened: Happened, stopped: Stopped, cursor: str | None) -> Steps[None]:
        """Goes on behind an event for which nothing can be done, if the caller says how."""
        what, error = happened.what, stopped.error
        if not self.now.is_same((yield Look(self._core.load))):
            raise Overtaken
        note = f"projection {self._projection.name}, {happened.which}"
        if isinstance(what, Gap) or stopped.view or not isinstance(error, REFUSALS):
            error.add_note(note)
            raise error
        wrapped = EventRefused(
            f"{happened.which} was refused by projection {self._projection.name}: {error}; all before it is done: "
            "mend the function or what it writes to, or give refused=",
            source=what.source,
            version=what.version,
            event_id=what.event_id,
            refusal=error,
        )
        if self._functions.refused is None:
            raise wrapped from error
        view: V = yield Look(lambda: self._projection._view(self.now))
        after = self._functions.refused(view, what, error)
        view = cast("V", (yield after) if isawaitable(after) else after)
        if (again := (yield from self._land(drafted(self._projection), (view,), (happened,), cursor))) is not None:
            again.error.add_note(note)
            raise again.error

    def _noted(self, cursor: str) -> Steps[None]:
        try:
            stopped = yield from self._land(drafted(self._projection), None, (), cursor)
        except Unavailable:
            return  # Nothing was to be done, and nothing is lost by it.
        if stopped is not None:
            raise stopped.error


def rebuilt(projection: Projection[V], functions: Functions[V]) -> Steps[tuple[int, ProjectedCore]]:
    """Makes the view anew from what was seen; how many events, and the projection then."""
    runner = Runner(projection, functions)
    fold: _Fold[V] = _Fold(projection, functions)
    while True:
        yield from runner._look()
        if runner.now.version == 0:
            return 0, runner.now
        yield from fold.up_to(runner.now)
        try:
            remade = fold.remade
            stopped = yield from runner._land(drafted(projection), (fold.view,), (), None, remade)
        except Overtaken:
            continue
        if stopped is not None:
            raise stopped.error
        yield Look(fold.release)
        return fold.events, runner.now


class _Fold(Generic[V]):
    """A view that is made anew, as far as it has come."""

    def __init__(self, projection: Projection[V], functions: Functions[V]) -> None:
        self._projection = projection
        self._functions = functions
        self._parked: Cid | None = None
        self._begin()

    def _begin(self) -> None:
        self._done: dict[str, int] = {}
        self.remade: list[tuple[str, int]] = []
        """Sources of which there is less than was seen, and how much: they were taken back."""
        self.events = 0
        self.view: V = self._projection._start_again()

    def up_to(self, now: ProjectedCore) -> Steps[None]:
        """Makes of it what `now` has seen."""
        core: ProjectionCore = self._projection._core
        after = None
        self.remade = []
        while rows := (yield Look(partial(core.checkpoint, now, after, 256))):
            behind = []
            for key, scope, kind, parts, seen in rows:
                done = self._done.get(key, 0)
                if done > seen:
                    # It was deleted meanwhile, and begun anew.
                    self._begin()
                    yield from self.up_to(now)
                    return
                source = Source(scope, kind, tuple(parts))
                if not core.follows(scope, kind):
                    raise Invalid(
                        f"projection {self._projection.name} has seen {source}, which is not followed here: name all "
                        "that it follows in of= and kinds=, or delete it to begin anew"
                    )
                if seen > done:
                    behind.append(Behind(key, source, done, seen))
            past = Past(self._projection, behind, gaps=self._functions.trimmed is not None)
            yield from self._through(past)
            if past.broken is not None:
                raise past.broken
            for key, scope, kind, parts, seen in rows:
                there = self._done.get(key, 0)
                if there == 0:
                    yield Look(partial(self._expect_log, Source(scope, kind, tuple(parts))))
                elif there < seen:
                    self.remade.append((key, there))
            after = rows[-1][0]

    def _expect_log(self, source: Source) -> None:
        at = self._projection._home
        if home(at.session, source.scope, at.durability).stores.actor(source.kind, source.parts)["version"] == 0:
            raise NotFound(
                f"{source} was seen by projection {self._projection.name} and has no log now: restore it first, "
                "or delete the projection to begin anew"
            )

    def _through(self, past: Past) -> Steps[None]:
        while happened := (yield Look(past.take)):
            draft = drafted(self._projection)
            for one in happened:
                try:
                    self.view = yield from given(self._functions, self.view, one, draft)
                except Exception as error:
                    error.add_note(f"projection {self._projection.name}, rebuilt: {one.which}")
                    raise
                self._done[one.key] = one.what.version
                self.events += 1
                if self.events % PARKED_EVENTS == 0 and has_collections(self.view):
                    yield from self._park()

    def _park(self) -> Steps[None]:
        home = self._projection._home
        before, core = self._parked, home.session.core
        self._parked = yield lambda: core.put_node([self.view], home.scope, home.durability)
        if before is not None and before != self._parked:
            yield Look(partial(core.release_hold, home.scope, before))

    def release(self) -> None:
        """Ends the hold of what was put into the store on the way."""
        if self._parked is not None:
            self._projection._home.session.core.release_hold(self._projection._home.scope, self._parked)


def drafted(projection: Projection[Any]) -> Commit:
    """Returns an open commit of the projection's scope."""
    draft = projection._family.Commit(projection._home, None)
    draft._begin()
    return draft


def given(functions: Functions[V], view: V, happened: Happened, draft: Commit) -> Steps[V]:
    """Has the caller's function make the next view."""
    what = happened.what
    if isinstance(what, SourceEvent):
        after = functions.apply(view, what, draft)
    elif functions.trimmed is not None:
        after = functions.trimmed(view, what, draft)
    else:
        raise HistoryTrimmed(
            f"{what.source} keeps its history from version {what.version + 1} on, and version {what.seen + 1} was not "
            "seen yet; give trimmed= to say how to go on",
            actor=str(what.source),
            asked=what.seen + 1,
            oldest=what.version + 1,
        )
    if isawaitable(after):
        after = yield after
    return cast("V", after)


def steadily(core: ProjectionCore, look: Callable[[ProjectedCore], T]) -> T:
    """Returns what is read of a projection as it stands; again, if it was moved and what it was collected meanwhile."""
    now = core.load()
    while True:
        try:
            return look(now)
        except (NotFound, Corrupt):
            before, now = now, core.load()
            if before.is_same(now):
                raise
