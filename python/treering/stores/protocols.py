"""What an application needs of a store, as protocols: written on these it runs on whatever has the verbs.

Each protocol has the verbs of one store that say what the application does; history, watching and the like are extras
of the stores themselves, but for `Subscribable`: a store that is followed. What goes in and out are plain values
(`treering.messages`, `Listing`, `Receipt`), so a fake is a small class over a dict or a JSON file. `Stores` is all of
them together: a `Scope` is one, and `store.scoped(…)` too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Protocol, TypeVar

from treering.messages import (
    Admission,
    AgentGroup,
    AgentOperation,
    Connector,
    ConnectorDraft,
    Conversation,
    FileInfo,
    LlmPreferences,
    MemoryEntry,
    MemorySource,
    Message,
    Participant,
    Role,
    RoleDraft,
    Script,
    UserConfig,
    Workflow,
)
from treering.own.handle import StateAt
from treering.own.rules import State
from treering.stores.files import FileData, GrepMatch
from treering.stores.listing import Catalog, Listing, Messages
from treering.stores.receipt import Receipt

__all__ = [
    "Agents",
    "Chats",
    "Commandable",
    "Connectors",
    "Files",
    "Memories",
    "Participants",
    "Preferences",
    "Roles",
    "Scripts",
    "Stores",
    "Subscribable",
    "UserConfigs",
    "Workflows",
]


T_co = TypeVar("T_co", covariant=True)
C_contra = TypeVar("C_contra", contravariant=True)


class Subscribable(Protocol[T_co]):
    """A store whose read is subscribed to: `Subscribable[UserConfig]` is `scope.user_config`, and so on."""

    def states(self, after: int | None = None) -> Iterator[T_co]:
        """Returns what is, then what is after each commit that changed it; no end. After a version: without the
        first."""
        ...


class Commandable(Protocol[State, C_contra]):
    """An actor of one's own that is asked and read: `Commandable[TicketState, Open | Close]` is `scope.own(Ticket,
    "1")`."""

    def send(
        self, command: C_contra, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Receipt[State]:
        """Returns the receipt with the state after the command."""
        ...

    def get(self) -> StateAt[State]:
        """Returns the state as it is, with its version."""
        ...


class UserConfigs(Protocol):
    """How a user wants their agents to run: as `UserConfigStore`."""

    def get(self) -> UserConfig:
        """Returns the configuration; its defaults, with version 0, if it was never written."""
        ...

    def save(
        self, config: UserConfig, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Receipt[UserConfig]:
        """Returns the receipt; all fields are replaced."""
        ...

    def update(
        self,
        *,
        default_model: str | None = None,
        preferred_llm_route: str | None = None,
        runtime_mode: str | None = None,
        local_runtime_base_url: str | None = None,
        remote_runtime_base_url: str | None = None,
        max_tool_rounds: int | None = None,
        github_username: str | None = None,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Receipt[UserConfig]:
        """Returns the receipt; the fields that are given are replaced."""
        ...


class Preferences(Protocol):
    """What of a configuration is about language models: as `LlmPreferencesStore`."""

    def get(self) -> LlmPreferences:
        """Returns the preferences."""
        ...


class Memories(Protocol):
    """What is remembered about a user: as `MemoryStore`."""

    def get(self) -> Listing[MemoryEntry]:
        """Returns all entries in the order in which they were added."""
        ...

    def add(
        self,
        category: str,
        content: str,
        source: MemorySource | str = MemorySource.INFERRED,
        *,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Receipt[MemoryEntry]:
        """Returns the receipt with the new entry."""
        ...

    def remove(self, id: str, *, expected_version: int | None = None, command_id: str | None = None) -> Receipt[None]:
        """Returns the receipt; the entry is gone."""
        ...

    def save(
        self, entries: Iterable[MemoryEntry], *, expected_version: int | None = None, command_id: str | None = None
    ) -> Receipt[None]:
        """Returns the receipt; there are these entries now, by their ids."""
        ...

    def clear(self, *, expected_version: int | None = None, command_id: str | None = None) -> Receipt[None]:
        """Returns the receipt; all entries are gone."""
        ...

    def prompt_section(self, max_chars: int = 2000) -> str:
        """Returns the entries as a section of a prompt."""
        ...


class Agents(Protocol):
    """Which actors of which type there are: as `AgentsStore`."""

    def list(self) -> Listing[AgentGroup]:
        """Returns all groups."""
        ...

    def add(
        self, agent_type: str, actor_id: str, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Receipt[None]:
        """Returns the receipt; the actor is listed under the type."""
        ...

    def remove(
        self, agent_type: str, actor_id: str, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Receipt[None]:
        """Returns the receipt; the actor is not listed under the type any more."""
        ...

    def authorize(self, agent_type: str, actor_id: str, operation: AgentOperation | str) -> Admission:
        """Returns whether an operation on an actor of that type is allowed."""
        ...


class Participants(Protocol):
    """Who takes part in which room: as `ParticipantsStore`."""

    def list(self, room_id: str) -> Listing[Participant]:
        """Returns those in a room in the order in which they came."""
        ...

    def add(
        self,
        room_id: str,
        agent_id: str,
        display_name: str = "",
        *,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Receipt[Participant]:
        """Returns the receipt with the participant, who comes last now."""
        ...

    def remove(
        self, room_id: str, agent_id: str, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Receipt[None]:
        """Returns the receipt; the agent is not in the room any more."""
        ...

    def remove_room(
        self, room_id: str, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Receipt[None]:
        """Returns the receipt; the room is gone."""
        ...


class Chats(Protocol):
    """Conversations and the list of them: as `ChatsStore`."""

    def index(self) -> Listing[Conversation]:
        """Returns the conversations, the one that was changed last first."""
        ...

    def messages(self, conversation_id: str) -> Messages:
        """Returns the messages of a conversation, oldest first."""
        ...

    def save(
        self,
        conversation_id: str,
        meta: Conversation,
        messages: Iterable[Message],
        *,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Receipt[Conversation]:
        """Returns the receipt; what was known of the conversation and all its messages are replaced."""
        ...

    def append(
        self,
        conversation_id: str,
        messages: Iterable[Message],
        *,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Receipt[Conversation]:
        """Returns the receipt; the messages stand behind the last."""
        ...

    def delete(
        self, conversation_id: str, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Receipt[Conversation]:
        """Returns the receipt; the conversation is gone."""
        ...


class Workflows(Protocol):
    """The sources of workflows: as `WorkflowsStore`."""

    def get(self, id: str) -> Workflow | None:
        """Returns a workflow, None if there is none of that id."""
        ...

    def list(self) -> Listing[Workflow]:
        """Returns all workflows in the order of their ids."""
        ...

    def upload(
        self, id: str, name: str, yaml: str, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Receipt[Workflow]:
        """Returns the receipt with the workflow."""
        ...


class Files(Protocol):
    """Files by path: as `FilesStore`."""

    def put(
        self,
        path: str,
        data: FileData,
        content_type: str | None = None,
        *,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Receipt[FileInfo]:
        """Returns the receipt with the file."""
        ...

    def open(self, path: str) -> BinaryIO:
        """Returns a file, open for reading."""
        ...

    def stat(self, path: str) -> FileInfo | None:
        """Returns what is known of a file, None if there is none."""
        ...

    def list(self, prefix: str = "") -> Listing[FileInfo]:
        """Returns the files whose paths begin so, in the order of their paths."""
        ...

    def delete(self, path: str, *, expected_version: int | None = None, command_id: str | None = None) -> Receipt[None]:
        """Returns the receipt; there is no such file any more."""
        ...

    def grep(self, pattern: str, glob: str = "**", max_results: int = 50) -> Listing[GrepMatch]:
        """Returns lines that a pattern is found in."""
        ...


class Scripts(Protocol):
    """The sources of scripts: as `ScriptsStore`."""

    def get(self, id: str) -> Script | None:
        """Returns a script, None if there is none of that id."""
        ...

    def list(self) -> Listing[Script]:
        """Returns all scripts in the order of their ids."""
        ...

    def upload(
        self, id: str, source: str, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Receipt[Script]:
        """Returns the receipt with the script."""
        ...


class Connectors(Protocol):
    """What agents may call: as `ConnectorsStore`."""

    def get(self) -> Catalog[Connector, ConnectorDraft]:
        """Returns the connectors as they were saved, and their draft."""
        ...

    def save(
        self, items: Iterable[Connector], *, expected_version: int | None = None, command_id: str | None = None
    ) -> Receipt[None]:
        """Returns the receipt; these are all connectors now."""
        ...

    def draft(self) -> ConnectorDraft | None:
        """Returns the draft, None if there is none."""
        ...

    def save_draft(
        self, item: Connector | None, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Receipt[ConnectorDraft]:
        """Returns the receipt with the draft, which may be unfinished."""
        ...

    def delete_draft(self, *, expected_version: int | None = None, command_id: str | None = None) -> Receipt[None]:
        """Returns the receipt; there is no draft."""
        ...

    def import_local(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Receipt[None]:
        """Returns the receipt; all connectors are now those of a file."""
        ...


class Roles(Protocol):
    """Who agents can be: as `RolesStore`."""

    def get(self) -> Catalog[Role, RoleDraft]:
        """Returns the roles as they were saved, and their draft."""
        ...

    def save(
        self, items: Iterable[Role], *, expected_version: int | None = None, command_id: str | None = None
    ) -> Receipt[None]:
        """Returns the receipt; these are all roles now."""
        ...

    def draft(self) -> RoleDraft | None:
        """Returns the draft, None if there is none."""
        ...

    def save_draft(
        self, item: Role | None, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Receipt[RoleDraft]:
        """Returns the receipt with the draft, which may be unfinished."""
        ...

    def delete_draft(self, *, expected_version: int | None = None, command_id: str | None = None) -> Receipt[None]:
        """Returns the receipt; there is no draft."""
        ...

    def import_local(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Receipt[None]:
        """Returns the receipt; all roles are now those of a file."""
        ...


class Stores(Protocol):
    """All stores of somebody: as `Scope`, and as what `store.scoped(resolver)` returns."""

    @property
    def user_config(self) -> UserConfigs:
        """How they want their agents to run."""
        ...

    @property
    def llm_preferences(self) -> Preferences:
        """What of that is about language models."""
        ...

    @property
    def memory(self) -> Memories:
        """What is remembered about them."""
        ...

    @property
    def agents(self) -> Agents:
        """Which actors of which type they have."""
        ...

    @property
    def participants(self) -> Participants:
        """Who takes part in which room."""
        ...

    @property
    def chats(self) -> Chats:
        """Their conversations."""
        ...

    @property
    def workflows(self) -> Workflows:
        """Their workflows."""
        ...

    @property
    def scripts(self) -> Scripts:
        """Their scripts."""
        ...

    @property
    def connectors(self) -> Connectors:
        """What their agents may call."""
        ...

    @property
    def roles(self) -> Roles:
        """Who their agents can be."""
        ...

    @property
    def files(self) -> Files:
        """Their files."""
        ...
