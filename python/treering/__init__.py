"""treering: durable, forkable, verifiable state for agents and workflows.

    >>> import treering
    >>> store = treering.memory()                   # or treering.open("state"), a directory
    >>> thread = store.threads.start("fix", prompt="Fix the flaky test", key="ticket-812")
    >>> _ = thread.append("planner", "1. reproduce  2. bisect")
    >>> _ = thread.append("coder", "add a sleep")
    >>> retry = thread.fork(at=1)
    >>> _ = retry.append("coder", "wait for the port instead")
    >>> print(thread.diff(retry))
    common: step 1; then 1 step each

`treering.aio` has the same names for asyncio. Errors are in `treering.errors`, and here.
"""

from treering import codec, errors, secrets
from treering._core import VERSION as __version__  # noqa: N811 - Python's name for it
from treering._core import Cid
from treering._session import Durability
from treering.backup import BackupReport, CopyReport, Progress, restore
from treering.blocks import BlockInfo, Blocks
from treering.commit import Commit, CommitReceipt, CommitThreads, StepDraft, ThreadDraft
from treering.context import END_ROLE, START_ROLE, Context
from treering.diff import Diff
from treering.erasure import Erased, Erasure, Vacuumed
from treering.errors import (
    AlreadyExists,
    Ambiguous,
    BucketError,
    Closed,
    CommandMismatch,
    CommitUnknown,
    Conflict,
    Corrupt,
    CursorExpired,
    CursorLost,
    DiskFull,
    Diverged,
    EventRefused,
    Fenced,
    ForkedProcess,
    HeadMoved,
    HistoryTrimmed,
    ImpureDecider,
    Invalid,
    InvalidCommand,
    LeaseHeld,
    LeaseLost,
    LimitExceeded,
    LockTimeout,
    MissingExtra,
    NewerFormat,
    NewerSchema,
    NotFound,
    Overtaken,
    Poisoned,
    ReadOnly,
    Rejected,
    TreeringError,
    Unavailable,
    VersionConflict,
    WrongStatus,
)
from treering.forks import Ancestor, Lineage, UnfinishedFork
from treering.gc import GcReport
from treering.holds import Hold
from treering.interchange import Exported, Imported, OnConflict
from treering.journal import ExpireReport, JournalEntry, JournalExtent, Move, SealedFile, SealReport
from treering.lease import Lease
from treering.map import Map
from treering.nodes import ContentNode, StartNode, StateNode
from treering.own import Actor, ActorContext, OwnActor, StateAt, upcast
from treering.past_scope import GoneRef, PastScope
from treering.pins import Pins
from treering.projections import Projection, ProjectionInfo, ProjectionReport, ProjectionView
from treering.refs import Quarantined, QuarantinedRef, Refs, RefState
from treering.scope import Scope
from treering.scope_diff import ChangedRef, ScopeDiff, ScopeRef
from treering.scope_history import ScopeEvent
from treering.scope_verify import ScopeVerifyReport
from treering.scoped import Scoped
from treering.secrets import Secret
from treering.settings import Settings
from treering.source_event import Gap, Source, SourceEvent
from treering.step import NOW, NewStep, Step, StepLike, StepPlace, StepRef
from treering.store import Reachable, Store, memory, open
from treering.stores import (
    ActorEvent,
    ActorHandle,
    ActorInfo,
    AgentsStore,
    Catalog,
    ChatsStore,
    ConnectorsStore,
    FileReader,
    FilesStore,
    GrepMatch,
    Listing,
    LlmPreferencesStore,
    MemoryStore,
    ParticipantsStore,
    Receipt,
    RetentionStore,
    RolesStore,
    ScriptsStore,
    UserConfigStore,
    WorkflowsStore,
)
from treering.stores.trimming import ScopeTrimmed, TrimmedActor
from treering.thread import Status, Thread
from treering.threads import Threads
from treering.vector import Vector
from treering.verify import Finding, Repair, VerifyReport
from treering.workspace import LocalWorkspace, Workspace

__all__ = [
    "END_ROLE",
    "NOW",
    "START_ROLE",
    "Actor",
    "ActorContext",
    "ActorEvent",
    "ActorHandle",
    "ActorInfo",
    "AgentsStore",
    "AlreadyExists",
    "Ambiguous",
    "Ancestor",
    "BackupReport",
    "BlockInfo",
    "Blocks",
    "BucketError",
    "Catalog",
    "ChangedRef",
    "ChatsStore",
    "Cid",
    "Closed",
    "CommandMismatch",
    "Commit",
    "CommitReceipt",
    "CommitThreads",
    "CommitUnknown",
    "Conflict",
    "ConnectorsStore",
    "ContentNode",
    "Context",
    "CopyReport",
    "Corrupt",
    "CursorExpired",
    "CursorLost",
    "Diff",
    "DiskFull",
    "Diverged",
    "Durability",
    "Erased",
    "Erasure",
    "EventRefused",
    "ExpireReport",
    "Exported",
    "Fenced",
    "FileReader",
    "FilesStore",
    "Finding",
    "ForkedProcess",
    "Gap",
    "GcReport",
    "GoneRef",
    "GrepMatch",
    "HeadMoved",
    "HistoryTrimmed",
    "Hold",
    "Imported",
    "ImpureDecider",
    "Invalid",
    "InvalidCommand",
    "JournalEntry",
    "JournalExtent",
    "Lease",
    "LeaseHeld",
    "LeaseLost",
    "LimitExceeded",
    "Lineage",
    "Listing",
    "LlmPreferencesStore",
    "LocalWorkspace",
    "LockTimeout",
    "Map",
    "MemoryStore",
    "MissingExtra",
    "Move",
    "NewStep",
    "NewerFormat",
    "NewerSchema",
    "NotFound",
    "OnConflict",
    "Overtaken",
    "OwnActor",
    "ParticipantsStore",
    "PastScope",
    "Pins",
    "Poisoned",
    "Progress",
    "Projection",
    "ProjectionInfo",
    "ProjectionReport",
    "ProjectionView",
    "Quarantined",
    "QuarantinedRef",
    "Reachable",
    "ReadOnly",
    "Receipt",
    "RefState",
    "Refs",
    "Rejected",
    "Repair",
    "RetentionStore",
    "RolesStore",
    "Scope",
    "ScopeDiff",
    "ScopeEvent",
    "ScopeRef",
    "ScopeTrimmed",
    "ScopeVerifyReport",
    "Scoped",
    "ScriptsStore",
    "SealReport",
    "SealedFile",
    "Secret",
    "Settings",
    "Source",
    "SourceEvent",
    "StartNode",
    "StateAt",
    "StateNode",
    "Status",
    "Step",
    "StepDraft",
    "StepLike",
    "StepPlace",
    "StepRef",
    "Store",
    "Thread",
    "ThreadDraft",
    "Threads",
    "TreeringError",
    "TrimmedActor",
    "Unavailable",
    "UnfinishedFork",
    "UserConfigStore",
    "Vacuumed",
    "Vector",
    "VerifyReport",
    "VersionConflict",
    "WorkflowsStore",
    "Workspace",
    "WrongStatus",
    "__version__",
    "codec",
    "errors",
    "memory",
    "open",
    "restore",
    "secrets",
    "upcast",
]
