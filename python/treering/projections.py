"""Projections: a view of one's own that follows actors, or their delivery into another scope; both are one concept.

An actor's log is durable, ordered and numbered, so it is the outbox too. A projection keeps, in one ref of its scope, a
view and a checkpoint: which version of each source it has seen. These move in one commit with whatever its function
drafts on the stores of the scope. So nothing is counted or delivered twice, and nothing is missed.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, TypeAlias, TypeVar

from treering._calls import Chunks, Op, Pump, pump, read, verb
from treering._core import ProjectedCore, ProjectionCore, StoresCore, list_projections
from treering._family import SYNC, Family
from treering._projecting import Functions, Runner, rebuilt, steadily
from treering._session import Address, Home
from treering._views import of_family, viewed
from treering.commit import Commit
from treering.errors import Closed, Invalid, TreeringError
from treering.own.rules import Actor, rules_of
from treering.source_event import Gap, Source, SourceEvent

View = TypeVar("View")
OwnKind: TypeAlias = type[Actor[Any, Any, Any]]

_CHUNK: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionView(Generic[View]):
    """A projection's view as it stood at one moment."""

    value: View
    """The view; what the projection starts with if it was never written."""
    version: int
    """How often it was written; 0 for never."""
    events: int
    """Events that it has seen, of all sources together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionReport:
    """What a projection has done."""

    events: int
    """Events that its function was given, and that count."""
    commits: int
    """Commits that they made."""
    version: int
    """The projection's version after them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionInfo:
    """Where a projection of a scope stands."""

    name: str
    version: int
    """How often it was written; 0 if it is broken."""
    events: int
    """Events that it has seen."""
    sources: int
    """Actors that it has seen something of."""
    broken: str | None = None
    """What is wrong with it; None for a sound one."""


class Projection(Generic[View]):
    """A projection of a scope, made by `scope.projection(name, …)`. Making one writes nothing.

    Its function is called as `apply(view, event, commit)` and returns the next view: any value that a node can hold,
    with links, `Map`s and `Vector`s. `commit` is what `scope.commit()` gives: what is drafted on it is done in the
    commit that moves the view, once, whatever fails. So the function may be called again for an event that did not
    count; nothing but what it returns and drafts should come of it. Events of one source come in their order; between
    sources no order is promised.
    """

    __slots__ = ("_classes", "_core", "_home", "_kinds", "_of", "_start", "name")

    _family: ClassVar[Family] = SYNC

    def __init__(
        self, home: Home, name: str, of: tuple[str, ...], kinds: tuple[str | OwnKind, ...], start: View
    ) -> None:
        self._home = home
        self._of = of
        self._kinds = kinds
        classes = {rules_of(kind).kind: kind for kind in kinds if not isinstance(kind, str)}
        self._classes: dict[str, OwnKind] = classes
        names = tuple(kind if isinstance(kind, str) else rules_of(kind).kind for kind in kinds)
        self._start: View = of_family(self._family, copy.deepcopy(start))
        self._core = ProjectionCore(home.stores, name, of, names, start)
        self.name: str = name
        """Its name, one of a kind in its scope."""

    @read
    def get(self) -> ProjectionView[View]:
        """Returns the view with its version, both of one moment; version 0 and what it starts with if it was never
        written. One look-up, and one for each collection in it.

        Errors:
            Corrupt (`corrupt`): it can't be read.
        """
        return steadily(self._core, self._viewed)

    @read
    def checkpoint(self) -> dict[Source, int]:
        """Returns which version of each source was seen. O(sources).

        Errors:
            Corrupt (`corrupt`): it can't be read.
        """
        return steadily(self._core, self._checkpoint)

    @verb
    def catch_up(
        self,
        apply: Callable[[View, SourceEvent, Commit], View | Awaitable[View]],
        *,
        trimmed: Callable[[View, Gap, Commit], View | Awaitable[View]] | None = None,
        refused: Callable[[View, SourceEvent, TreeringError], View | Awaitable[View]] | None = None,
    ) -> Op[ProjectionReport]:
        """Returns what was done with all events that were there when it was called; up to 100 of them share a commit.

        Several processes may do this at once: who comes second sees what the first did and goes on behind it.

        Where history was cut off that was not seen yet, `trimmed(view, gap, commit)` returns the view to go on with.
        Where what the function made of an event can't be done and never will, all before it is done, and
        `refused(view, event, error)` returns the view to go on with; nothing of what was drafted for that event is
        written then. In `treering.aio` they may be coroutine functions.

        Errors:
            EventRefused (`event-refused`): of an event; `source`, `version`, `refusal`. All before it is done.
            HistoryTrimmed (`history-trimmed`): `actor`, `asked`, `oldest`, and no `trimmed` to tell how to go on.
            Diverged (`diverged`): a source is older than what was seen of it, since it was taken back: `rebuild`.
            Corrupt (`corrupt`), NewerSchema (`newer-schema`): of a source, once the others are done; of a receiver.
            HeadMoved (`head-moved`): of a thread that is written to, after 32 tries.
            Invalid (`invalid`): it has no scopes or kinds to follow.
            What the function raises, with a note of the event; all before it is done.
        """
        self._check()
        runner: Runner[View] = Runner(self, Functions(apply, trimmed, refused))
        events, commits = yield from runner.catch_up()
        return ProjectionReport(events=events, commits=commits, version=runner.now.version)

    @pump
    def follow(
        self,
        apply: Callable[[View, SourceEvent, Commit], View | Awaitable[View]],
        *,
        trimmed: Callable[[View, Gap, Commit], View | Awaitable[View]] | None = None,
        refused: Callable[[View, SourceEvent, TreeringError], View | Awaitable[View]] | None = None,
    ) -> Pump[ProjectionReport]:
        """Returns what was done, again and again: with all that is there, then with whatever comes, from any process;
        an iterator without an end. Nothing runs while nothing is committed. It ends when the store is closed.

        Errors:
            As `catch_up`.
        """
        self._check()
        watch = self._home.session.core.watch()
        runner: Runner[View] = Runner(self, Functions(apply, trimmed, refused))
        while True:
            try:
                events, commits = yield from runner.catch_up()
            except Closed:
                return
            if events:
                yield [ProjectionReport(events=events, commits=commits, version=runner.now.version)]
            else:
                yield watch

    @verb
    def rebuild(
        self,
        apply: Callable[[View, SourceEvent, Commit], View | Awaitable[View]],
        *,
        trimmed: Callable[[View, Gap, Commit], View | Awaitable[View]] | None = None,
    ) -> Op[ProjectionReport]:
        """Returns what was done to make the view anew, from the events that the checkpoint says were seen; the
        checkpoint stays, but for sources that were taken back: of these it is what there is. O(events).

        What the function drafts is not written: it was, when the event was seen. The old view is there until the new
        one takes its place, in one commit. To have everything delivered anew, `delete` it instead. What `refused` put
        into the view is not there afterwards.

        Errors:
            As `catch_up`, but for refusals; the view is as it was then.
            NotFound (`not-found`): a source that was seen has no log now.
            Invalid (`invalid`): this handle does not follow a source that was seen.
        """
        self._check()
        events, now = yield from rebuilt(self, Functions(apply, trimmed, None))
        return ProjectionReport(events=events, commits=int(now.version > 0), version=now.version)

    @verb
    def delete(self) -> Op[None]:
        """Returns nothing; view and checkpoint are gone. Who runs it after that begins with the first event again."""
        batch = self._home.stores.batch(self._home.threads)
        batch.drop_projection(self._core)
        yield batch.commit(None, self._home.principal, self._home.causation_id)

    def _viewed(self, now: ProjectedCore) -> ProjectionView[View]:
        return ProjectionView(value=self._view(now), version=now.version, events=now.events)

    def _checkpoint(self, now: ProjectedCore) -> dict[Source, int]:
        after, found = None, {}
        while rows := self._core.checkpoint(now, after, _CHUNK):
            for _, scope, kind, parts, seen in rows:
                found[Source(scope, kind, tuple(parts))] = seen
            after = rows[-1][0]
        return found

    def _check(self) -> None:
        if not self._kinds or not self._of:
            raise Invalid(
                f"projection {self.name!r} follows nothing: name scopes and kinds of actors, kinds=['chat', …]"
            )

    def _view(self, now: ProjectedCore) -> View:
        if now.version == 0:
            return self._start_again()
        value: View = viewed(self._home.session, self._family, now)
        return value

    def _start_again(self) -> View:
        start: View = copy.deepcopy(self._start)
        return start

    def __reduce__(self) -> tuple[Any, ...]:
        address = self._home.portable("a Projection")
        return reopen_projection, (self._family, address, self.name, self._of, self._kinds, self._start)

    def __repr__(self) -> str:
        return f"<Projection {self.name} of {self._home.scope}>"


def listed(core: StoresCore) -> Chunks[ProjectionInfo]:
    """Yields where each projection of a scope stands."""
    after = None
    while rows := list_projections(core, after, _CHUNK):
        yield [
            ProjectionInfo(name=name, version=version, events=events, sources=sources, broken=broken)
            for name, version, events, sources, broken in rows
        ]
        after = rows[-1][0]


def reopen_projection(
    family: Family, address: Address, name: str, of: tuple[str, ...], kinds: tuple[str | OwnKind, ...], start: View
) -> Projection[View]:
    """Opens a pickled projection."""
    made: Projection[View] = family.Projection(address.open(), name, of, kinds, start)
    return made


SYNC.Projection = Projection
