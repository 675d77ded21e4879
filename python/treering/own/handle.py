"""One actor of one's own: `scope.own(Ticket, "T-1")`, and the same in a commit of several."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic

from treering._calls import Chunks, Feed, Look, Op, feed, read, stream, verb
from treering._core import OwnCommandCore, StatesCore, VerbCore
from treering._family import SYNC, Family
from treering._session import Address, Home
from treering.errors import Corrupt, HistoryTrimmed, Invalid, NotFound, Overtaken
from treering.journal import moment_ms
from treering.own.folding import Folder, Known, folder_of
from treering.own.lanes import Lane, lanes_of
from treering.own.rules import Actor, Command, Event, State, rules_of
from treering.own.sending import TRIES, Decision, decide, send
from treering.stores._dispatch import DISPATCHER, READER
from treering.stores.actor import ActorInfo
from treering.stores.drafts import Drafting, ReceiptDraft
from treering.stores.history import ActorEvent
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

    __slots__ = ("_folder", "_home", "_lane", "actor", "kind", "parts")

    _family: ClassVar[Family] = SYNC

    def __init__(self, home: Home, actor: type[Actor[State, Command, Event]], parts: tuple[str, ...]) -> None:
        rules = rules_of(actor)
        if rules.actor is None:
            raise Invalid(f"{rules.name} can't be used: it has no decide, or no evolve")
        self._home = home
        self._folder = folder_of(home, actor, parts)
        self._lane: Lane = lanes_of(home.session).of((actor, home.scope, parts))
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
            ImpureDecider (`impure-decider`): in development mode, `Settings(development=True)`.
            NewerSchema (`newer-schema`): the log holds what a later version of the class wrote.
            Invalid (`invalid`), LimitExceeded (`limit-exceeded`): `decide` or `evolve` answered what can't be stored.
        """
        return (yield from send(self._folder, self._lane, command, expected_version, command_id))

    @read
    def get(self) -> StateAt[State]:
        """Returns the state as it is, with its version. One look-up if it was read before, else a snapshot and at
        most 16 events.

        Errors:
            Corrupt (`corrupt`): its log can't be read, or not as this class has it.
        """
        known = self._folder.now(self._lane.settled)
        with self._lane.turn:
            self._lane.remember(known)
        return _state_at(known)

    @read
    def at(self, version: int) -> StateAt[State]:
        """Returns the state as it was at a version; 0 is before anything was written. O(events).

        Errors:
            NotFound (`not-found`): there is no such version yet.
            HistoryTrimmed (`history-trimmed`): it is not kept any more.
        """
        return _state_at(self._folder.at(version))

    @read
    def info(self) -> ActorInfo:
        """Returns where it stands; version 0 if it was never written.

        Errors:
            Corrupt (`corrupt`): its log can't be read.
        """
        loaded = self._folder.core.load(None)
        return ActorInfo(
            kind=self.kind,
            parts=self.parts,
            version=loaded.version,
            oldest=loaded.base,
            at_ms=loaded.at_ms,
            deleted_at_ms=loaded.deleted_at_ms,
            head=loaded.head,
        )

    @stream
    def history(self, *, first: int = 1, last: int | None = None) -> Chunks[ActorEvent]:
        """Returns what happened, version by version from `first` to `last` (both included, None: the newest); an
        iterator, the oldest first. `message` is the event as this class has it, lifted to its schema; of an event that
        it does not know the stored fields. O(events given).

        Errors:
            HistoryTrimmed (`history-trimmed`): `first` is from before what is kept; `oldest`.
            Corrupt (`corrupt`): an event can't be read as this class has it.
        """
        for chunk in READER.events(self._home.stores, self.kind, self.parts, first, last):
            yield [self._shown(event) for event in chunk]

    @feed
    def watch(self, after: int | None = None) -> Feed[ActorEvent]:
        """Returns what happens after version `after` (None: from now on), each event as it comes, of any process, in
        order and without a gap; no end. `message` as in `history`. It ends when the store is closed.

        Errors:
            HistoryTrimmed (`history-trimmed`): what came after `after` is not kept any more.
        """
        changes = READER.changes(self._home, self.kind, self.parts, after)
        return self._each_shown(changes)

    def _each_shown(self, changes: Feed[ActorEvent]) -> Feed[ActorEvent]:
        for chunk in changes:
            yield [self._shown(event) for event in chunk] if isinstance(chunk, list) else chunk

    def _shown(self, event: ActorEvent) -> ActorEvent:
        return replace(event, message=self._folder.shown(event.type, event.schema, event.message))

    @feed
    def states(self, after: int | None = None) -> Feed[StateAt[State]]:
        """Returns the state as it is, then after each commit that changed it, of any process, in order and none left
        out; no end. After version `after`, if that is given: without the first.

        What one commit did is seen whole. What is not kept any more is left out: a deletion and a trim are seen, not
        what they cut off. It ends when the store is closed.

        Errors:
            NotFound (`not-found`): there is no version `after` yet.
        """
        following = _Following(self._folder)
        states: Feed[StateAt[State]] = READER.states(self._home, lambda _: self._states(after), following.next)
        return states

    def _states(self, after: int | None) -> StatesCore[Any]:
        return self._folder.core.states(after)

    @read
    def version_at(self, moment: datetime) -> int:
        """Returns the newest version that is not later than a moment (with its zone), 0 for before the first; for
        `at`. O(log events) reads.

        Errors:
            HistoryTrimmed (`history-trimmed`): that version is not kept any more.
            Invalid (`invalid`): a time without a zone.
        """
        return self._home.stores.version_at(self.kind, self.parts, moment_ms(moment))

    @read
    def verify(self) -> int:
        """Returns how many events there are, after each was checked against its CID, its place and its jump, read as
        this class has it and folded, and the snapshot compared with what that makes. O(events).

        Errors:
            Corrupt (`corrupt`): something is wrong; `which`.
        """
        count = self._home.stores.verify_actor(self.kind, self.parts)
        self._folder.verify_snapshot()
        return count

    @read
    def rebuild(self) -> int:
        """Returns the version that the newest snapshot is of, after it was made anew from the events alone. O(events).

        Reads answer the same before and after, but for an `evolve` that was changed without another `fold`: where
        `verify` says so, this mends it.

        Errors:
            Corrupt (`corrupt`): an event can't be read.
            NewerSchema (`newer-schema`): the log holds what a later version of the class wrote.
        """
        return self._folder.rebuild()

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
        """
        if isinstance(keep, bool) or isinstance(before, bool):
            raise Invalid("trim: keep and before are numbers, not True or False; what is cut off is gone for good")
        since_ms, version = (moment_ms(before), None) if isinstance(before, datetime) else (None, before)

        def folded() -> VerbCore:
            trim = self._folder.core.trim(version, since_ms, keep)
            return trim.verb(self._folder.at_start(trim.start))

        for left in reversed(range(TRIES)):
            verb = yield Look(folded)
            try:
                return (yield from DISPATCHER.dispatch(self._home, verb, expected_version, command_id))
            except Overtaken:
                if not left:
                    raise
        raise AssertionError

    @verb
    def delete(self, *, expected_version: int | None = None, command_id: str | None = None) -> Op[Receipt[None]]:
        """Returns the receipt; the actor is gone, with its history, whatever `decide` would say; unchanged if it was
        not there. Its version goes on if it is written again. The blocks go with the next collection.

        Errors:
            VersionConflict (`version-conflict`), CommandMismatch (`command-mismatch`): as everywhere.
        """
        return (yield from DISPATCHER.dispatch(self._home, self._folder.core.delete(), expected_version, command_id))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        same = (self.actor, self.parts) == (other.actor, other.parts)
        return same and self._home.same_scope(other._home)

    def __hash__(self) -> int:
        return hash((self.kind, self.parts))

    def __reduce__(self) -> tuple[Any, ...]:
        return reopen_own, (self._family, self.actor, self.parts, self._home.portable("an actor"))

    def __repr__(self) -> str:
        return f"<OwnActor {'/'.join((self.kind, *self.parts))} of {self._home.scope}>"


def reopen_own(
    family: Family, actor: type[Actor[Any, Any, Any]], parts: tuple[str, ...], address: Address
) -> OwnActor[Any, Any, Any]:
    """Opens a pickled actor."""
    return family.OwnActor(address.open(), actor, parts)


class OwnDraft(Generic[State, Command, Event]):
    """An actor of one's own, as a commit will leave it: `c.own(Ticket, "T-1")`."""

    __slots__ = ("_commit", "_folder")

    def __init__(
        self, commit: Drafting, home: Home, actor: type[Actor[State, Command, Event]], parts: tuple[str, ...]
    ) -> None:
        self._commit = commit
        self._folder = folder_of(home, actor, parts)

    def send(self, command: Command, *, expected_version: int | None = None) -> ReceiptDraft[State]:
        """Returns the draft of `OwnActor.send`. It is decided when the block is left, on the actor as it is then and as
        what was drafted on it before leaves it; what `decide` raises is raised there, and nothing is written.

        Errors:
            On leaving the block, Overtaken (`overtaken`): others changed the actor just then; do the block again.
        """
        name, given = self._folder.rules.given(command)
        core = self._folder.core.command(name, given)
        index = self._commit._verb(core.verb(), expected_version)
        self._commit._decide_later(Drafted(self._folder, command, core, index))
        return ReceiptDraft(self._commit, index)

    def __repr__(self) -> str:
        return f"<OwnDraft {'/'.join((self._folder.rules.kind, *self._folder.parts))}>"


@dataclass(frozen=True, slots=True)
class Drafted:
    """A command that a commit will decide."""

    folder: Folder
    command: Any
    core: OwnCommandCore
    index: int
    """Its place among the verbs of the commit."""


def decide_all(drafted: list[Drafted]) -> Op[list[Decision]]:
    """Decides what a commit was left to decide, each on what the ones before it do."""
    newest: dict[tuple[str, tuple[str, ...]], Known[Any]] = {}
    last = {(one.folder.rules.kind, one.folder.parts): one.index for one in drafted}
    decisions = []
    for one in drafted:
        key = (one.folder.rules.kind, one.folder.parts)
        known = newest.get(key)
        if known is None:
            known = yield Look(one.folder.now)
        decision = decide(one.folder, one.command, one.core, known, os.urandom(16), snapshots=last[key] == one.index)
        newest[key] = decision.after
        decisions.append(decision)
    return decisions


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


def _state_at(known: Known[State]) -> StateAt[State]:
    return StateAt(state=known.state, version=known.version, at_ms=known.at_ms)


SYNC.OwnActor = OwnActor
