"""One actor of one's own: `scope.own(Ticket, "T-1")`, and the same in a commit of several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic

from treering._calls import Chunks, Feed, Op, feed, read, stream, verb, waits, writes
from treering._deciding import expect_none
from treering._family import SYNC, Family
from treering._session import Address, Home
from treering.errors import Corrupt, HistoryTrimmed, Invalid, NotFound
from treering.journal import moment_ms
from treering.own.folding import Folder, Known
from treering.own.lanes import Place, place_of
from treering.own.rules import Actor, Command, Event, State, rules_of
from treering.own.sending import send
from treering.own.trimming import trim
from treering.stores._dispatch import DISPATCHER, READER, ScopeResolver
from treering.stores.history import ActorEvent
from treering.stores.info import ActorInfo, info_of
from treering.stores.receipt import Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class StateAt(Generic[State]):
    """An actor of one's own as it was at one version."""

    state: State
    """Its state; the one before the first event if it was never written, or deleted."""
    version: int
    """Its version; 0 if it was never written."""
    at_ms: int | None
    """When it came to that, Unix milliseconds; None if that is not kept, or it was never written."""

    @property
    def at(self) -> datetime | None:
        """When it came to that, UTC."""
        return None if self.at_ms is None else datetime.fromtimestamp(self.at_ms / 1000, UTC)


class OwnActor(Generic[State, Command, Event]):
    """One actor of a kind of your own, made by `scope.own(Ticket, *parts)`. Making one reads and writes nothing."""

    __slots__ = ("_place", "_scope", "actor", "kind", "parts")

    _family: ClassVar[Family] = SYNC

    def __init__(self, scope: ScopeResolver, actor: type[Actor[State, Command, Event]], parts: tuple[str, ...]) -> None:
        rules = rules_of(actor)
        if rules.actor is None:
            raise Invalid(f"{rules.name} can't be used: it has no decide, or no evolve")
        self._scope = scope
        # Of whichever scope it is, it is found anew with each call.
        self._place = place_of(scope, actor, parts) if isinstance(scope, Home) else None
        self.actor: type[Actor[State, Command, Event]] = actor
        """Its class."""
        self.kind: str = rules.kind
        """Its kind: `x.ticket`."""
        self.parts: tuple[str, ...] = parts
        """What tells it apart from others of its kind."""

    @verb
    def send(
        self, command: Command, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Op[Receipt[State]]:
        """Returns the receipt with the state after the command, durable: `decide` answered events, which are written,
        or nothing to do.

        It is decided on the actor as it is, outside of the commit, and written only if the actor still is that; else it
        is decided again. Commands of one process follow each other without a loss, whichever thread or task they come
        from, and share an fsync.

        Errors:
            Rejected (`rejected`), or whatever `decide` raises: it said no; nothing is written.
            InvalidCommand (`invalid-command`): it is no command of this actor, or a field is not what it says; `field`.
            VersionConflict (`version-conflict`), CommandMismatch (`command-mismatch`): as everywhere.
            Overtaken (`overtaken`): other processes changed the actor each of the 100 times that it was decided.
            ImpureDecider (`impure-decider`): `decide` or `evolve` writes to a store, or, in development mode,
                `Settings(development=True)`, is not pure otherwise.
            NewerSchema (`newer-schema`): the log holds what a later version of the class wrote.
            Invalid (`invalid`), LimitExceeded (`limit-exceeded`): `decide` or `evolve` answered what can't be stored.
        """
        at = self._at()
        return (yield from send(at.folder, at.lane, command, expected_version, command_id))

    @read
    def get(self) -> StateAt[State]:
        """Returns the state as it is, with its version. One look-up if it was read before, else a snapshot and at
        most 16 events.

        Errors:
            Corrupt (`corrupt`): its log can't be read, or not as this class has it.
            ImpureDecider (`impure-decider`): it is a `decide` or an `evolve` that asks.
        """
        # Whoever decides has the actor's turn, for which this waits.
        expect_none("OwnActor.get")
        at = self._at()
        known = at.folder.now(at.lane.settled)
        at.lane.note(known)
        return _state_at(known)

    @read
    def at(self, version: int) -> StateAt[State]:
        """Returns the state as it was at a version; 0 is before anything was written. O(events).

        Errors:
            NotFound (`not-found`): there is no such version yet.
            HistoryTrimmed (`history-trimmed`): it is not kept any more.
        """
        return _state_at(self._at().folder.at(version))

    @read
    def info(self) -> ActorInfo:
        """Returns where it stands; version 0 if it was never written.

        Errors:
            Corrupt (`corrupt`): its log can't be read.
        """
        return info_of(self._at().home.stores, self.kind, self.parts)

    @stream
    def history(self, *, first: int | None = None, last: int | None = None) -> Chunks[ActorEvent]:
        """Returns what happened, version by version from `first` (None: the oldest that is kept) to `last` (None: the
        newest), both included; an iterator, the oldest first. `info().oldest` says after which version that begins, 0
        if nothing was cut off. `message` is the event as this class has it, lifted to its schema; of an event that
        it does not know the stored fields. O(events given).

        Errors:
            HistoryTrimmed (`history-trimmed`): `first` is from before what is kept; `oldest`.
            Corrupt (`corrupt`): an event can't be read as this class has it.
        """
        # Not a generator: whose history it is, is settled by the call.
        at = self._at()
        return self._each_shown(at.folder, READER.events(at.home.stores, self.kind, self.parts, first, last))

    @feed
    def watch(self, after: int | None = None) -> Feed[ActorEvent]:
        """Returns what happens after version `after` (None: from now on), each event as it comes, of any process, in
        order and without a gap; no end. `message` as in `history`. After an erase of the scope it goes on with what
        comes then, from version 1. It ends when the store is closed.

        Errors:
            HistoryTrimmed (`history-trimmed`): what came after `after` is not kept any more.
        """
        at = self._at()
        return self._each_shown(at.folder, READER.changes(at.home, self.kind, self.parts, after))

    def _each_shown(self, folder: Folder, chunks: Iterator[Any]) -> Iterator[Any]:
        for chunk in chunks:
            yield [_shown(folder, event) for event in chunk] if isinstance(chunk, list) else chunk

    @feed
    def states(self, after: int | None = None) -> Feed[StateAt[State]]:
        """Returns the state as it is, then after each commit that changed it, of any process, in order and none left
        out; no end. After version `after`, if that is given: without the first.

        What one commit did is seen whole. What is not kept any more is left out: a deletion and a trim are seen, not
        what they cut off. It ends when the store is closed.

        Errors:
            NotFound (`not-found`): there is no version `after` yet.
        """
        at = self._at()
        states: Feed[StateAt[State]] = READER.states(
            at.home, lambda _: at.folder.core.states(after), _Following(at.folder).next
        )
        return states

    @read
    def version_at(self, moment: datetime) -> int:
        """Returns the newest version that is not later than a moment (with its zone), 0 for before the first; for
        `at`. O(log events) reads.

        Errors:
            HistoryTrimmed (`history-trimmed`): that version is not kept any more.
            Invalid (`invalid`): a time without a zone.
        """
        return self._at().home.stores.version_at(self.kind, self.parts, moment_ms(moment))

    @read
    @waits
    def verify(self) -> int:
        """Returns how many events there are, after each was checked against its CID, its place and its jump, read as
        this class has it and folded, and the snapshot compared with what that makes. O(events).

        Errors:
            Corrupt (`corrupt`): something is wrong; `which`.
        """
        at = self._at()
        count = at.home.stores.verify_actor(self.kind, self.parts)
        at.folder.verify_snapshot()
        return count

    @read
    @writes
    def rebuild(self) -> int:
        """Returns the version that the newest snapshot is of, after it was made anew from the events alone. O(events).

        Reads answer the same before and after, but for an `evolve` that was changed without another `fold`: where
        `verify` says so, this mends it.

        Errors:
            Corrupt (`corrupt`): an event can't be read.
            NewerSchema (`newer-schema`): the log holds what a later version of the class wrote, which this one does not
                know all of.
            ImpureDecider (`impure-decider`): it is a `decide` or an `evolve` that asks.
        """
        return self._at().folder.rebuild()

    @verb
    def trim(
        self,
        *,
        before: int | datetime | None = None,
        keep: int | None = None,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Op[Receipt[None]]:
        """Returns the receipt; what happened to it before what is kept is gone: as `MemoryStore.trim`. What it was
        where its history begins now is folded by this class, and stored as such.

        Errors:
            As there.
            NewerSchema (`newer-schema`): a later version of the class wrote what would go, or is used beside this one:
                what this one does not fold would be lost.
        """
        return (yield from trim(self._at().folder, before, keep, expected_version, command_id))

    @verb
    def delete(self, *, expected_version: int | None = None, command_id: str | None = None) -> Op[Receipt[None]]:
        """Returns the receipt; the actor is gone, with its history, whatever `decide` would say; unchanged if it was
        not there. Its version goes on if it is written again. The blocks go with the next collection.

        Errors:
            VersionConflict (`version-conflict`), CommandMismatch (`command-mismatch`): as everywhere.
        """
        at = self._at()
        return (yield from DISPATCHER.dispatch(at.home, at.folder.core.delete(), expected_version, command_id))

    def _at(self) -> Place:
        return self._place or place_of(self._scope.resolve(), self.actor, self.parts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        if (self.actor, self.parts) != (other.actor, other.parts):
            return False
        if isinstance(self._scope, Home) and isinstance(other._scope, Home):
            return self._scope.same_scope(other._scope)
        return self._scope is other._scope

    def __hash__(self) -> int:
        return hash((self.kind, self.parts))

    def __reduce__(self) -> tuple[Any, ...]:
        if not isinstance(self._scope, Home):
            raise Invalid("an actor of a resolver can't be pickled: which scope is meant, only this process can say")
        return reopen_own, (self._family, self.actor, self.parts, self._scope.portable("an actor"))

    def __repr__(self) -> str:
        where = self._scope.scope if isinstance(self._scope, Home) else self._scope
        return f"<OwnActor {'/'.join((self.kind, *self.parts))} of {where}>"


def reopen_own(
    family: Family, actor: type[Actor[Any, Any, Any]], parts: tuple[str, ...], address: Address
) -> OwnActor[Any, Any, Any]:
    """Opens a pickled actor."""
    return family.OwnActor(address.open(), actor, parts)


class _Following:
    """States that follow each other: each is folded of the one before."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._known: Known[Any] | None = None

    def next(self, loaded: Any) -> StateAt[Any]:
        try:
            self._known = self._folder.folded(loaded, self._known)
        except (NotFound, Corrupt, HistoryTrimmed):
            # What it hangs on was collected meanwhile: what there is now is read.
            self._known = self._folder.now()
        return _state_at(self._known)


def _shown(folder: Folder, event: ActorEvent) -> ActorEvent:
    return replace(event, message=folder.shown(event.type, event.schema, event.message))


def _state_at(known: Known[State]) -> StateAt[State]:
    return StateAt(state=known.state, version=known.version, at_ms=known.at_ms)


SYNC.OwnActor = OwnActor
