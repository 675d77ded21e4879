"""What all stores share: whose scope, the one way to send a command, the one way to read.

A store's own file says what its verbs are called and what they take; it never touches a log, nor keeps state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, Protocol, TypeVar

from treering._calls import Chunks, Feed, Op, feed, read, stream, verb, waits, writes
from treering._core import Pending, StatesCore, StoresCore, VerbCore, Watch
from treering._family import SYNC, Family
from treering._session import Address, Home
from treering.errors import Closed, HistoryTrimmed, Invalid
from treering.journal import moment_ms
from treering.messages import RetentionPolicy
from treering.stores.history import ActorEvent, event
from treering.stores.info import ActorInfo, info_of
from treering.stores.receipt import Receipt

T = TypeVar("T")
View = TypeVar("View")


class ScopeResolver(Protocol):
    """Says whose stores a call is about: always the same scope, or the one that a web request is for."""

    def resolve(self) -> Home:
        """Returns the scope."""
        ...


class CommandDispatcher:
    """Sends a command to the actor that decides it, and makes a receipt of the answer."""

    __slots__ = ()

    def dispatch(
        self, home: Home, verb: VerbCore, expected_version: int | None, command_id: str | None
    ) -> Op[Receipt[Any]]:
        answer = yield self.queue(home, verb, expected_version, command_id)
        return Receipt(*answer)

    def queue(self, home: Home, verb: VerbCore, expected_version: int | None, command_id: str | None) -> Pending[Any]:
        return home.stores.submit(verb, expected_version, command_id, home.principal, home.causation_id)

    def trim(
        self,
        home: Home,
        kind: str,
        parts: Sequence[str],
        before: int | datetime | None,
        keep: int | None,
        expected_version: int | None,
        command_id: str | None,
        *,
        under_policy: RetentionPolicy | None = None,
    ) -> Op[Receipt[None]]:
        if isinstance(keep, bool) or isinstance(before, bool):
            raise Invalid("trim: keep and before are numbers, not True or False; what is cut off is gone for good")
        core = home.stores
        since_ms, before = (moment_ms(before), None) if isinstance(before, datetime) else (None, before)

        def read() -> Pending[Any]:
            verb = core.trim(kind, parts, before, since_ms, keep)
            if under_policy is not None:
                verb.under_policy(core, under_policy.version, under_policy.keep, under_policy.younger_than_ms)
            return self.queue(home, verb, expected_version, command_id)

        # What is kept is read first, which may take long.
        answer = yield read
        return Receipt(*answer)


class SnapshotReader:
    """Reads an actor's read model, and what happened to the actor: never by way of its writer."""

    __slots__ = ()

    def core(self, scope: ScopeResolver) -> StoresCore:
        return scope.resolve().stores

    def events(
        self, core: StoresCore, kind: str, parts: Sequence[str], first: int | None, last: int | None
    ) -> Chunks[ActorEvent]:
        at, rows = self._beginning(core, kind, parts, last) if first is None else (first, None)
        while rows := core.events(kind, parts, at, last) if rows is None else rows:
            yield [event(row) for row in rows]
            # What is cut off from here on would be a gap, and raises.
            at, rows = rows[-1]["version"] + 1, None

    def _beginning(
        self, core: StoresCore, kind: str, parts: Sequence[str], last: int | None
    ) -> tuple[int, list[dict[str, Any]]]:
        """Where what is kept begins, and the first events of it."""
        while True:
            at = core.actor(kind, parts)["oldest"] + 1
            try:
                return at, core.events(kind, parts, at, last)
            except HistoryTrimmed:
                # Cut off since; it begins later now.
                continue

    def changes(self, home: Home, kind: str, parts: Sequence[str], after: int | None) -> Feed[ActorEvent]:
        # Not a generator: "from now on" is from the call.
        core = home.stores
        # Before the actor is read, so that no change falls between the two.
        watch = home.session.core.watch()
        life = core.life()
        if after is None:
            after = core.actor(kind, parts)["version"]
        elif after < 0:
            raise Invalid(f"after {after}: versions begin with 0, which is before the first event")
        return self._behind(core, watch, kind, parts, after, life)

    def _behind(
        self, core: StoresCore, watch: Watch, kind: str, parts: Sequence[str], after: int, life: bytes | None
    ) -> Feed[ActorEvent]:
        while True:
            rows, trimmed = [], None
            try:
                try:
                    rows = core.events(kind, parts, after + 1, None)
                except HistoryTrimmed as error:
                    trimmed = error
                # What was read is of no other life than this: an erase takes the refs away when it leaves its note.
                before, life = life, core.life()
            except Closed:
                return
            if life != before:
                after = 0
            elif trimmed is not None:
                raise trimmed
            elif rows:
                after = rows[-1]["version"]
                yield [event(row) for row in rows]
            else:
                yield watch

    def states(
        self, home: Home, states: Callable[[StoresCore], StatesCore[T]], view: Callable[[T], View]
    ) -> Feed[View]:
        # Before the actor is read, so that no change falls between the two.
        watch = home.session.core.watch()
        following = states(home.stores)
        while True:
            try:
                found = following.next()
            except Closed:
                return
            if found is None:
                yield watch
            else:
                yield [view(found)]


DISPATCHER: Final = CommandDispatcher()
READER: Final = SnapshotReader()


class ScopeStore:
    """A store of one scope, or of whichever scope a resolver says."""

    __slots__ = ("_scope",)

    _family: ClassVar[Family] = SYNC

    def __init__(self, scope: ScopeResolver) -> None:
        self._scope = scope

    def _send(
        self, verb: Callable[[StoresCore], VerbCore], expected_version: int | None, command_id: str | None
    ) -> Op[Receipt[Any]]:
        # Asked once: the verb and what submits it are of one scope.
        home = self._scope.resolve()
        return DISPATCHER.dispatch(home, verb(home.stores), expected_version, command_id)

    @property
    def _core(self) -> StoresCore:
        return READER.core(self._scope)

    def __reduce__(self) -> tuple[Any, ...]:
        name = type(self).__name__
        if not isinstance(self._scope, Home):
            raise Invalid(f"{name} of a resolver can't be pickled: which scope is meant, only this process can say")
        return reopen_store, (self._family, name, self._scope.portable(name))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._scope!r}>"


def reopen_store(family: Family, name: str, address: Address) -> ScopeStore:
    """Opens a pickled store of a scope."""
    made: ScopeStore = getattr(family, name)(address.open())
    return made


class ActorView(ScopeStore):
    """What reads one actor of each scope."""

    __slots__ = ()

    _kind: ClassVar[str]

    @read
    def info(self) -> ActorInfo:
        """Returns where the actor stands: its version, where its history begins, when it was changed last; version 0
        if it was never written.

        Errors:
            Corrupt (`corrupt`): its log can't be read.
        """
        return info_of(self._core, self._kind, ())

    @stream
    def history(self, *, first: int | None = None, last: int | None = None) -> Chunks[ActorEvent]:
        """Returns what happened, version by version from `first` (None: the oldest that is kept) to `last` (None: the
        newest), both included; an iterator, the oldest first. `info().oldest` says after which version that begins, 0
        if nothing was cut off. O(events given).

        Errors:
            HistoryTrimmed (`history-trimmed`): `first` is from before what is kept; `oldest`.
        """
        # Not a generator: whose history it is, is settled by the call.
        return READER.events(self._core, self._kind, (), first, last)

    @feed
    def watch(self, after: int | None = None) -> Feed[ActorEvent]:
        """Returns what happens after version `after` (None: from now on), each event as it comes, of any process, in
        order and without a gap; no end. What was read at `.version` and this together miss nothing. `states` gives what
        becomes of it.

        After an erase of the scope it goes on with what comes then, from version 1. It ends when the store is closed.

        Errors:
            HistoryTrimmed (`history-trimmed`): what came after `after` is not kept any more.
        """
        return READER.changes(self._scope.resolve(), self._kind, (), after)

    def _states(self, after: int | None, view: Callable[[Any], View]) -> Feed[View]:
        return READER.states(self._scope.resolve(), lambda core: core.states(self._kind, (), after), view)

    @read
    def version_at(self, moment: datetime) -> int:
        """Returns the newest version that is not later than a moment (with its zone), 0 for before the first; for
        `at`. O(log events) reads.

        Errors:
            HistoryTrimmed (`history-trimmed`): that version is not kept any more.
            Invalid (`invalid`): a time without a zone.
        """
        return self._core.version_at(self._kind, (), moment_ms(moment))

    @read
    @waits
    def verify(self) -> int:
        """Returns how many events there are, after each was checked against its CID, its place and its jump, and the
        snapshot against what the events make. O(events).

        Errors:
            Corrupt (`corrupt`): something is wrong; `which`, `version`, `block`.
        """
        return self._core.verify_actor(self._kind, ())

    @read
    @writes
    def rebuild(self) -> int:
        """Returns the version that the read model is of, after it was made anew from the events alone. O(events).

        Reads answer the same before and after; where `verify` says otherwise, this mends it.

        Errors:
            Corrupt (`corrupt`): an event can't be read; `which`, `version`, `block`.
        """
        return self._core.rebuild(self._kind, ())


class ActorStore(ActorView):
    """A store with one actor in each scope."""

    __slots__ = ()

    @verb
    def trim(
        self,
        *,
        before: int | datetime | None = None,
        keep: int | None = None,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Op[Receipt[None]]:
        """Returns the receipt, whose `dropped` says how many versions went. What the actor is stays, and so do the
        events that are kept, with their versions, ids and times; `at`, `history` and `watch` of before raise
        `HistoryTrimmed`. The next collection deletes the blocks. For good: there is no way back.

        Say what is kept: `keep` the newest so many events (0: only what is), or `before` a version, from which on
        events are kept; or before a moment (with its zone): what was then can still be asked, as can what came after.
        More than there is to cut off is no error, and unchanged.

        Errors:
            Invalid (`invalid`): not exactly one of `before` and `keep`, or a time without a zone.
            NotFound (`not-found`): `before` is beyond the next version.
            LimitExceeded (`limit-exceeded`): over 10,000 events are to be kept.
            VersionConflict (`version-conflict`), CommandMismatch (`command-mismatch`): as everywhere.
        """
        return (
            yield from DISPATCHER.trim(
                self._scope.resolve(), self._kind, (), before, keep, expected_version, command_id
            )
        )
