"""Any actor of a scope by its kind and parts: `scope.actors()`, `scope.actor(…)`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

from treering._calls import Chunks, Feed, Op, feed, read, stream, verb, waits
from treering._core import OwnCore, StoresCore, actor_kinds, files_list, list_actors
from treering._family import SYNC, Family
from treering._session import Home
from treering.errors import NotFound
from treering.journal import moment_ms
from treering.messages import (
    AgentGroup,
    Connector,
    ConnectorDraft,
    Conversation,
    FileInfo,
    MemoryEntry,
    Participant,
    RetentionPolicy,
    Role,
    RoleDraft,
    Script,
    UserConfig,
    Workflow,
)
from treering.stores._dispatch import DISPATCHER, READER
from treering.stores.catalogs import CONNECTORS, ROLES
from treering.stores.history import ActorEvent
from treering.stores.info import ActorInfo, info_of
from treering.stores.listing import Catalog, Listing, Messages
from treering.stores.receipt import Receipt
from treering.stores.stored import OWN, StoredState, stored, stored_state

_CHUNK: Final = 500


ActorState = (
    UserConfig
    | RetentionPolicy
    | Listing[MemoryEntry]
    | Listing[AgentGroup]
    | dict[str, Listing[Participant]]
    | Messages
    | Listing[Conversation]
    | Listing[Workflow]
    | Listing[Script]
    | StoredState
    | Catalog[Connector, ConnectorDraft]
    | Catalog[Role, RoleDraft]
    | Listing[FileInfo]
)
"""What `ActorHandle.state` answers, by kind; `StoredState` for kinds of somebody's own."""


class ActorHandle:
    """One actor of a scope, made by `scope.actor(kind, *parts)`: what any of them can be asked. It writes nothing, but
    for `trim`."""

    __slots__ = ("_home", "kind", "parts")

    _family: ClassVar[Family] = SYNC

    def __init__(self, home: Home, kind: str, parts: tuple[str, ...]) -> None:
        self._home = home
        self.kind: str = kind
        """Its kind: `user-memory`, `chat`, …"""
        self.parts: tuple[str, ...] = parts
        """What tells it apart from others of its kind."""

    @read
    def info(self) -> ActorInfo:
        """Returns where it stands; version 0 if it was never written.

        Errors:
            NotFound (`not-found`): there is no such kind.
            Corrupt (`corrupt`): its log can't be read.
        """
        return info_of(self._home.stores, self.kind, self.parts)

    @read
    def state(self, version: int | None = None) -> ActorState:
        """Returns its state, as it is or as it was at a version: what the read of its store gives; of `participants`
        all rooms by their ids; of a kind of somebody's own what is stored of it (`scope.own` has the state).

        Errors:
            NotFound (`not-found`): there is no such kind, or no such version yet.
            HistoryTrimmed (`history-trimmed`): that version is not kept any more.
        """
        return state_of(self._home.stores, self.kind, self.parts, version)

    @stream
    def history(self, *, first: int | None = None, last: int | None = None) -> Chunks[ActorEvent]:
        """Returns what happened, version by version from `first` (None: the oldest that is kept) to `last` (None: the
        newest), both included; an iterator, the oldest first. `info().oldest` says after which version that begins, 0
        if nothing was cut off. O(events given).

        Errors:
            HistoryTrimmed (`history-trimmed`): `first` is from before what is kept; `oldest`.
        """
        yield from READER.events(self._home.stores, self.kind, self.parts, first, last)

    @feed
    def watch(self, after: int | None = None) -> Feed[ActorEvent]:
        """Returns what happens after version `after` (None: from now on), each event as it comes, of any process, in
        order and without a gap; no end. After an erase of the scope it goes on with what comes then, from version 1.

        Errors:
            HistoryTrimmed (`history-trimmed`): what came after `after` is not kept any more.
        """
        return READER.changes(self._home, self.kind, self.parts, after)

    @feed
    def states(self, after: int | None = None) -> Feed[ActorState]:
        """Returns its state as it is, then after each commit that changed it, of any process, in order and none left
        out; no end. After version `after`, if that is given: without the first.

        What one commit did is seen whole. What is not kept any more is left out: a deletion and a trim are seen, not
        what they cut off. It ends when the store is closed.

        Errors:
            NotFound (`not-found`): there is no such kind, or no version `after` yet.
        """
        if self.kind.startswith(OWN):
            return READER.states(
                self._home,
                lambda core: OwnCore(core, self.kind, self.parts).states(after),
                lambda loaded: stored(self._home.stores, self.kind, self.parts, loaded),
            )
        return READER.states(
            self._home,
            lambda core: core.states(self.kind, self.parts, after),
            lambda found: _shown(self.kind, found),
        )

    @read
    def version_at(self, moment: datetime) -> int:
        """Returns the newest version that is not later than a moment (with its zone), 0 for before the first. O(log
        events) reads.

        Errors:
            HistoryTrimmed (`history-trimmed`): that version is not kept any more.
            Invalid (`invalid`): a time without a zone.
        """
        return self._home.stores.version_at(self.kind, self.parts, moment_ms(moment))

    @read
    @waits
    def verify(self) -> int:
        """Returns how many events there are, after each was checked against its CID, its place and its jump, and the
        snapshot against what the events make. O(events).

        Errors:
            Corrupt (`corrupt`): something is wrong; `which`, `version`, `block`.
        """
        return self._home.stores.verify_actor(self.kind, self.parts)

    @verb
    def trim(
        self,
        *,
        before: int | datetime | None = None,
        keep: int | None = None,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Op[Receipt[None]]:
        """Returns the receipt; what happened to it before what is kept is gone: as `MemoryStore.trim`.

        Errors:
            As there; NotFound (`not-found`): there is no such kind.
            Invalid (`invalid`): it is of somebody's own kind, and only its class can fold it: `scope.own(…).trim`.
        """
        return (
            yield from DISPATCHER.trim(self._home, self.kind, self.parts, before, keep, expected_version, command_id)
        )

    def __repr__(self) -> str:
        return f"<ActorHandle {'/'.join((self.kind, *self.parts))} of {self._home.scope}>"


def listed(core: StoresCore) -> Chunks[ActorInfo]:
    """Yields where each actor of a scope stands, kind by kind."""
    for kind in actor_kinds(core):
        after: Sequence[str] | None = None
        while rows := list_actors(core, kind, after, _CHUNK):
            yield [
                ActorInfo(
                    kind=kind,
                    parts=tuple(parts),
                    version=version or 0,
                    oldest=base or 0,
                    at_ms=at_ms,
                    deleted_at_ms=deleted_at_ms,
                    head=head,
                    broken=broken,
                )
                for parts, version, base, at_ms, deleted_at_ms, head, broken in rows
            ]
            after = rows[-1][0]


def state_of(core: StoresCore, kind: str, parts: tuple[str, ...], version: int | None) -> ActorState:
    """Returns what an actor is, or was at a version."""
    match kind, parts:
        case "user-config", ():
            found: Any = core.user_config(version)
        case "retention", ():
            found = core.retention(version)
        case "user-memory", ():
            found = core.memory(version)
        case "agent-registry", ():
            found = core.agents(version)
        case "participants", ():
            found = core.all_participants(version)
        case "chat", (conversation_id,):
            found = core.chat(conversation_id, version)
        case "chat-index", ():
            found = core.chat_index(version)
        case "workflow-storage", ():
            found = core.workflows(version)
        case "script-storage", ():
            found = core.scripts(version)
        case CONNECTORS.kind, ():
            return CONNECTORS.read(core, version)
        case ROLES.kind, ():
            return ROLES.read(core, version)
        case _ if kind.startswith(OWN):
            return stored_state(core, kind, parts, version)
        case "files", ():
            at = core.actor(kind, parts)["version"] if version is None else version
            found = files_list(core, "", at)
        case _:
            raise NotFound(f"no actor {'/'.join((kind, *parts))}: the kind is unknown, or has other parts")
    return _shown(kind, found)


def _shown(kind: str, found: Any) -> ActorState:
    match kind:
        case "user-config":
            config: UserConfig = found
            return config
        case "retention":
            policy: RetentionPolicy = found
            return policy
        case "participants":
            rooms, version = found
            return {room_id: Listing(participants, version) for room_id, participants in rooms}
        case "chat":
            conversation, messages, version = found
            return Messages(messages, version, conversation)
        case CONNECTORS.kind | ROLES.kind:
            return Catalog(*found)
        case _:
            return Listing(*found)


SYNC.ActorHandle = ActorHandle
