"""The stores of a scope: configuration, memory, agents, participants, chats, sources, catalogs, files.

Each is an actor, or one for each conversation: every write is a command that is decided on the state as it is and kept
as an event. Reads answer the state with its `version`, writes a `Receipt`. All writes take `expected_version` (nothing
happens if the actor is at another one) and `command_id` (the same again answers as the first did).
"""

from treering.stores._dispatch import ScopeResolver
from treering.stores.actor import ActorHandle, ActorState
from treering.stores.agents import AgentsStore
from treering.stores.chats import ChatsStore
from treering.stores.connectors import ConnectorsStore
from treering.stores.drafts import ReceiptDraft
from treering.stores.files import FileData, FilesStore, GrepMatch
from treering.stores.history import ActorEvent
from treering.stores.info import ActorInfo
from treering.stores.listing import Catalog, Listing, Messages
from treering.stores.memory import MemoryStore
from treering.stores.participants import ParticipantsStore
from treering.stores.reading import FileReader
from treering.stores.receipt import Receipt
from treering.stores.retention import RetentionStore
from treering.stores.roles import RolesStore
from treering.stores.sources import ScriptsStore, WorkflowsStore
from treering.stores.stored import StoredState
from treering.stores.user_config import LlmPreferencesStore, UserConfigStore

__all__ = [
    "ActorEvent",
    "ActorHandle",
    "ActorInfo",
    "ActorState",
    "AgentsStore",
    "Catalog",
    "ChatsStore",
    "ConnectorsStore",
    "FileData",
    "FileReader",
    "FilesStore",
    "GrepMatch",
    "Listing",
    "LlmPreferencesStore",
    "MemoryStore",
    "Messages",
    "ParticipantsStore",
    "Receipt",
    "ReceiptDraft",
    "RetentionStore",
    "RolesStore",
    "ScopeResolver",
    "ScriptsStore",
    "StoredState",
    "UserConfigStore",
    "WorkflowsStore",
]
