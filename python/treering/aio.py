"""treering for asyncio: the same names, arguments and promises, to be awaited.

What touches the disk is awaited, what yields many things is iterated with `async for`, and `async with`
stands where `with` did. Values (`Step`, `Diff`, `Cid`, errors …) are those of `treering`. Many tasks that
write at the same time share fsyncs: the loop commits what they have queued, on its own thread as long as commits take
less than 2 ms, else on another (docs/decisions/0009). A cancelled await does not undo a commit.

    async with treering.aio.open("state") as store:
        thread = await store.threads.start("fix", key="ticket-812")
        await thread.append("planner", "1. reproduce  2. bisect")
        async for step in thread:
            print(step.role, step.text)

Types: `aio.pyi`, generated from the sync classes.
"""

from treering import blocks as _blocks
from treering import commit as _commit
from treering import holds as _holds
from treering import lease as _lease
from treering import map as _map
from treering import past_scope as _past_scope
from treering import pins as _pins
from treering import projections as _projections
from treering import refs as _refs
from treering import scope as _scope
from treering import scoped as _scoped
from treering import store as _store
from treering import thread as _thread
from treering import threads as _threads
from treering import vector as _vector
from treering._async import Opening, derive
from treering._async import memory_store as memory
from treering._async import open_store as open
from treering._async import restore_backup as restore
from treering._async_files import FileReader
from treering._core import MapCore as _MapCore
from treering._core import VectorCore as _VectorCore
from treering._family import ASYNC as _ASYNC
from treering.own import handle as _own
from treering.stores import actor as _actor
from treering.stores import agents as _agents
from treering.stores import chats as _chats
from treering.stores import connectors as _connectors
from treering.stores import files as _files
from treering.stores import memory as _memory
from treering.stores import participants as _participants
from treering.stores import retention as _retention
from treering.stores import roles as _roles
from treering.stores import sources as _sources
from treering.stores import user_config as _user_config

__all__ = [
    "ActorHandle",
    "AgentsStore",
    "Blocks",
    "ChatsStore",
    "Commit",
    "CommitThreads",
    "ConnectorsStore",
    "FileReader",
    "FilesStore",
    "Hold",
    "Lease",
    "LlmPreferencesStore",
    "Map",
    "MemoryStore",
    "Opening",
    "OwnActor",
    "ParticipantsStore",
    "PastScope",
    "Pins",
    "Projection",
    "Refs",
    "RetentionStore",
    "RolesStore",
    "Scope",
    "Scoped",
    "ScriptsStore",
    "Store",
    "Thread",
    "ThreadDraft",
    "Threads",
    "UserConfigStore",
    "Vector",
    "WorkflowsStore",
    "memory",
    "open",
    "restore",
]

Blocks = _ASYNC.Blocks = derive(_blocks.Blocks)
Commit = _ASYNC.Commit = derive(_commit.Commit)
CommitThreads = _ASYNC.CommitThreads = derive(_commit.CommitThreads)
Hold = _ASYNC.Hold = derive(_holds.Hold)
Lease = _ASYNC.Lease = derive(_lease.Lease)
Map = _ASYNC.Map = derive(_map.Map, _MapCore)
OwnActor = _ASYNC.OwnActor = derive(_own.OwnActor)
PastScope = _ASYNC.PastScope = derive(_past_scope.PastScope)
Pins = _ASYNC.Pins = derive(_pins.Pins)
Projection = _ASYNC.Projection = derive(_projections.Projection)
Refs = _ASYNC.Refs = derive(_refs.Refs)
Scope = _ASYNC.Scope = derive(_scope.Scope)
Store = _ASYNC.Store = derive(_store.Store)
Thread = _ASYNC.Thread = derive(_thread.Thread)
ThreadDraft = _ASYNC.ThreadDraft = derive(_commit.ThreadDraft)
Threads = _ASYNC.Threads = derive(_threads.Threads)
ActorHandle = _ASYNC.ActorHandle = derive(_actor.ActorHandle)
AgentsStore = _ASYNC.AgentsStore = derive(_agents.AgentsStore)
ChatsStore = _ASYNC.ChatsStore = derive(_chats.ChatsStore)
ConnectorsStore = _ASYNC.ConnectorsStore = derive(_connectors.ConnectorsStore)
FilesStore = _ASYNC.FilesStore = derive(_files.FilesStore)
LlmPreferencesStore = _ASYNC.LlmPreferencesStore = derive(_user_config.LlmPreferencesStore)
MemoryStore = _ASYNC.MemoryStore = derive(_memory.MemoryStore)
ParticipantsStore = _ASYNC.ParticipantsStore = derive(_participants.ParticipantsStore)
RetentionStore = _ASYNC.RetentionStore = derive(_retention.RetentionStore)
RolesStore = _ASYNC.RolesStore = derive(_roles.RolesStore)
ScriptsStore = _ASYNC.ScriptsStore = derive(_sources.ScriptsStore)
UserConfigStore = _ASYNC.UserConfigStore = derive(_user_config.UserConfigStore)
WorkflowsStore = _ASYNC.WorkflowsStore = derive(_sources.WorkflowsStore)
Scoped = _ASYNC.Scoped = derive(_scoped.Scoped)
Vector = _ASYNC.Vector = derive(_vector.Vector, _VectorCore)
