"""The classes that make each other, as a family: once for sync callers, once for async ones.

A method that returns a `Thread` asks its own family for the class, so one body makes the right kind in both
worlds. `treering.store` fills the sync family, `treering._async` derives the async one from it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from treering.blocks import Blocks
    from treering.commit import Commit, CommitThreads, ThreadDraft
    from treering.holds import Hold
    from treering.lease import Lease
    from treering.map import Map
    from treering.own.handle import OwnActor
    from treering.past_scope import PastScope
    from treering.pins import Pins
    from treering.projections import Projection
    from treering.refs import Refs
    from treering.scope import Scope
    from treering.scoped import Scoped
    from treering.store import Store
    from treering.stores.actor import ActorHandle
    from treering.stores.agents import AgentsStore
    from treering.stores.chats import ChatsStore
    from treering.stores.connectors import ConnectorsStore
    from treering.stores.files import FilesStore
    from treering.stores.memory import MemoryStore
    from treering.stores.participants import ParticipantsStore
    from treering.stores.reading import FileReader
    from treering.stores.retention import RetentionStore
    from treering.stores.roles import RolesStore
    from treering.stores.sources import ScriptsStore, WorkflowsStore
    from treering.stores.user_config import LlmPreferencesStore, UserConfigStore
    from treering.thread import Thread
    from treering.threads import Threads
    from treering.vector import Vector


class Family:
    """One class of each kind."""

    ActorHandle: type[ActorHandle]
    AgentsStore: type[AgentsStore]
    Blocks: type[Blocks]
    ChatsStore: type[ChatsStore]
    Commit: type[Commit]
    CommitThreads: type[CommitThreads]
    ConnectorsStore: type[ConnectorsStore]
    FileReader: type[FileReader]
    FilesStore: type[FilesStore]
    Hold: type[Hold]
    Lease: type[Lease]
    LlmPreferencesStore: type[LlmPreferencesStore]
    Map: type[Map[Any]]
    MemoryStore: type[MemoryStore]
    OwnActor: type[OwnActor[Any, Any, Any]]
    ParticipantsStore: type[ParticipantsStore]
    PastScope: type[PastScope]
    Pins: type[Pins]
    Projection: type[Projection[Any]]
    Refs: type[Refs]
    RetentionStore: type[RetentionStore]
    RolesStore: type[RolesStore]
    Scope: type[Scope]
    Scoped: type[Scoped]
    ScriptsStore: type[ScriptsStore]
    Store: type[Store]
    Thread: type[Thread]
    ThreadDraft: type[ThreadDraft]
    Threads: type[Threads]
    UserConfigStore: type[UserConfigStore]
    Vector: type[Vector[Any]]
    WorkflowsStore: type[WorkflowsStore]

    def __init__(self, module: str) -> None:
        self._module = module

    def __reduce__(self) -> tuple[Any, ...]:
        return _family_of, (self._module,)


def _family_of(module: str) -> Family:
    """Returns the family of a pickled handle, which comes back in the world that it was of."""
    import_module(module)
    return ASYNC if module == ASYNC_MODULE else SYNC


ASYNC_MODULE: Final = "treering.aio"
SYNC: Final = Family("treering")
ASYNC: Final = Family(ASYNC_MODULE)
