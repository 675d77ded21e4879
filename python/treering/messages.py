"""The messages of the stores: what their reads answer, what their writes take, and what their history shows.

Plain dataclasses: frozen, with slots, keyword-only. They compare by their fields, hash and pickle, and know no
Protobuf, which is only how the store writes them down. A field in milliseconds, `created_at_ms`, has a property,
`created_at`, that is a `datetime` in UTC; a span of time, `younger_than_ms`, one that is a `timedelta`. Where a store
takes a member of an enum, it takes its value too: "explicit".

Written from the .proto files by `make gen`; edit those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from treering._core import Cid
from treering.secrets import NO_VALUES, Secret, checked_secret, checked_values

__all__ = [
    "Admission",
    "AgentAdded",
    "AgentGroup",
    "AgentOperation",
    "AgentRemoved",
    "ChatAppended",
    "ChatIndexed",
    "ChatReplaced",
    "ChatUnindexed",
    "CliConnector",
    "Connector",
    "ConnectorAuth",
    "ConnectorDraft",
    "ConnectorDraftDeleted",
    "ConnectorDraftSaved",
    "ConnectorsSaved",
    "Conversation",
    "FileDeleted",
    "FileInfo",
    "FilePut",
    "HttpConnector",
    "LlmPreferences",
    "McpConnector",
    "MemoryCleared",
    "MemoryEntry",
    "MemoryEntryAdded",
    "MemoryEntryRemoved",
    "MemorySource",
    "Message",
    "Participant",
    "ParticipantAdded",
    "ParticipantRemoved",
    "RetentionPolicy",
    "RetentionPolicySet",
    "Role",
    "RoleDraft",
    "RoleDraftDeleted",
    "RoleDraftSaved",
    "RolesSaved",
    "RoomRemoved",
    "Script",
    "ScriptUploaded",
    "UserConfig",
    "UserConfigSaved",
    "UserConfigUpdated",
    "Workflow",
    "WorkflowUploaded",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _moment(at_ms: int) -> datetime:
    try:
        return _EPOCH + timedelta(milliseconds=at_ms)
    except OverflowError:
        return (datetime.max if at_ms > 0 else datetime.min).replace(tzinfo=UTC)


def _span(ms: int | None) -> timedelta | None:
    try:
        return None if ms is None else timedelta(milliseconds=ms)
    except OverflowError:
        return timedelta.max


class AgentOperation(StrEnum):
    """What somebody wants to do with an actor."""

    UNKNOWN = "unknown"
    """None that is known: denied."""
    USE = "use"
    """Run it."""
    DELETE = "delete"
    """Delete it."""
    CHAT = "chat"
    """Talk to it."""
    STREAM = "stream"
    """Read what it says while it says it."""
    APPROVE = "approve"
    """Approve what it asks for."""
    JOIN = "join"
    """Take part in its room."""
    LIST_PARTICIPANTS = "list_participants"
    """See who takes part in its room."""
    DRAFT_RUN_REUSE = "draft_run_reuse"
    """Go on with a run of a draft."""


class Admission(StrEnum):
    """What the registry says of it."""

    NOT_FOUND = "not_found"
    """The actor is not listed, or there is no registry."""
    ALLOWED = "allowed"
    """The actor is listed under that type."""
    DENIED = "denied"
    """It is listed under another type only, or the operation is unknown."""
    SCOPE_MISMATCH = "scope_mismatch"
    """The address names another scope, which was not looked at."""


class MemorySource(StrEnum):
    """Where a memory came from."""

    INFERRED = "inferred"
    """Somebody concluded it."""
    EXPLICIT = "explicit"
    """The user said it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentGroup:
    """The actors of one type."""

    agent_type: str = ""
    """The type."""
    actor_ids: tuple[str, ...] = ()
    """In the order in which they were added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentAdded:
    """An actor was listed under a type, behind the others."""

    agent_type: str = ""
    """The type."""
    actor_id: str = ""
    """The actor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRemoved:
    """An actor is not listed under a type any more."""

    agent_type: str = ""
    """The type."""
    actor_id: str = ""
    """The actor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What is known about a conversation beside its messages."""

    id: str = ""
    """The conversation's id."""
    title: str = ""
    """"" for none."""
    service_id: str = ""
    """The service that it is held with; "" for none."""
    service_kind: str = ""
    """Its sort."""
    created_at_ms: int = 0
    """When it began, Unix milliseconds."""
    updated_at_ms: int = 0
    """When it was last changed, Unix milliseconds."""
    message_count: int = 0
    """Messages that are kept."""
    llm_route: str = ""
    """Path of the route to language models; "" lets the gateway choose."""
    llm_model: str = ""
    """The model; "" for the user's default."""

    @property
    def created_at(self) -> datetime:
        """`created_at_ms` as a `datetime` in UTC; the first or last that there is for a time beyond it."""
        return _moment(self.created_at_ms)

    @property
    def updated_at(self) -> datetime:
        """`updated_at_ms` as a `datetime` in UTC; the first or last that there is for a time beyond it."""
        return _moment(self.updated_at_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a conversation."""

    id: str = ""
    """The sender's own id of it; "" for none."""
    role: str = ""
    """user, assistant, system, tool, or any other."""
    content: str = ""
    """What is said."""
    at_ms: int = 0
    """When it was said, Unix milliseconds; 0 where nobody told."""
    status: str = ""
    """How far it got, in the sender's words; "" for none."""
    error: str = ""
    """What went wrong; "" for nothing."""
    thinking: str = ""
    """What was thought before it was said."""
    attachments: tuple[Cid, ...] = ()
    """Raw blocks that come with it."""

    @property
    def timestamp(self) -> datetime:
        """`at_ms` as a `datetime` in UTC; the first or last that there is for a time beyond it."""
        return _moment(self.at_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatReplaced:
    """All messages were replaced."""

    conversation: Conversation
    """As it is then."""
    messages: tuple[Cid, ...] = ()
    """Those that are kept, nodes of Message each, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatAppended:
    """Messages were put behind the last."""

    conversation: Conversation
    """As it is then."""
    messages: tuple[Cid, ...] = ()
    """Those that are new and kept, nodes of Message each, oldest first."""
    dropped: int = 0
    """So many of those before them were dropped, the oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatIndexed:
    """A conversation's row is new, or another than before."""

    conversation: Conversation
    """As it is then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatUnindexed:
    """A conversation was removed from the list."""

    id: str = ""
    """Its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorAuth:
    """How a connector gets a token for what it calls."""

    type: str = ""
    """"client_credentials", or "" for none."""
    token_url: str = ""
    """Absolute URL that gives tokens."""
    client_id: str = ""
    """Who asks."""
    client_secret: Secret | None = None
    """Where that one's secret is found; None for none."""
    scope: str = ""
    """What is asked for; "" leaves it to the server."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "client_secret", checked_secret("client_secret", self.client_secret))


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConnector:
    """A service that is called by HTTP."""

    base_url: str = ""
    """Absolute URL that paths are put behind."""
    allowed_methods: tuple[str, ...] = ()
    """Upper-case methods that may be used."""
    allowed_paths: tuple[str, ...] = ()
    """Paths that may be called."""
    allowed_input_keys: tuple[str, ...] = ()
    """Names that an input may have."""
    default_headers: Mapping[str, str | Secret] = NO_VALUES
    """Headers of every call, by name."""
    auth: ConnectorAuth | None = None
    """How a token is got; None for no token."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "default_headers", checked_values("default_headers", self.default_headers))


@dataclass(frozen=True, slots=True, kw_only=True)
class CliConnector:
    """A command that is run."""

    command: str = ""
    """The program, by name or path."""
    fixed_arguments: tuple[str, ...] = ()
    """What comes first of its arguments, in order."""
    allowed_operations: tuple[str, ...] = ()
    """Operations that may be asked for."""
    allowed_input_keys: tuple[str, ...] = ()
    """Names that an input may have."""
    working_directory: str = ""
    """Where it runs; "" leaves it to the caller."""
    environment: Mapping[str, str | Secret] = NO_VALUES
    """Variables of its environment, by name."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "environment", checked_values("environment", self.environment))


@dataclass(frozen=True, slots=True, kw_only=True)
class McpConnector:
    """A tool server, a command or at a URL."""

    server_name: str = ""
    """The name that it goes by."""
    command: str = ""
    """The program that is the server; "" where there is a URL."""
    url: str = ""
    """Absolute URL of the server; "" where there is a command."""
    arguments: tuple[str, ...] = ()
    """The command's arguments, in order."""
    environment: Mapping[str, str | Secret] = NO_VALUES
    """Variables of the command's environment, by name."""
    additional_headers: Mapping[str, str | Secret] = NO_VALUES
    """Headers of every call of the URL, by name."""
    auth: ConnectorAuth | None = None
    """How a token for the URL is got; None for no token."""
    default_tool: str = ""
    """The tool that is called where none is named; "" for none."""
    allowed_tools: tuple[str, ...] = ()
    """Tools that may be called."""
    allowed_input_keys: tuple[str, ...] = ()
    """Names that an input may have."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "environment", checked_values("environment", self.environment))
        object.__setattr__(self, "additional_headers", checked_values("additional_headers", self.additional_headers))


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """Something that agents may call."""

    name: str = ""
    """What it is called; no two of a catalog have the same, whatever their case."""
    type: str = ""
    """"http", "cli" or "mcp": which of the parts below says how it is called."""
    enabled: bool = True
    """Whether it may be used."""
    timeout_ms: int = 0
    """How long a call may take, milliseconds: 100 to 300,000; 0 or less becomes 30,000."""
    retry: int = 0
    """How often a failed call is tried again: 0 to 5."""
    http: HttpConnector | None = None
    """How it is called by HTTP; None where it is not."""
    cli: CliConnector | None = None
    """How it is run; None where it is not."""
    mcp: McpConnector | None = None
    """How its tool server is called; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorDraft:
    """A connector that somebody is still writing."""

    item: Connector | None = None
    """As it is so far; None where there is only the time."""
    updated_at_ms: int = 0
    """When it was saved, Unix milliseconds."""
    version: int = field(default=0, compare=False)
    """The version of the actor that this was read at; 0 where nothing was ever written. It makes no two unequal."""

    @property
    def updated_at(self) -> datetime:
        """`updated_at_ms` as a `datetime` in UTC; the first or last that there is for a time beyond it."""
        return _moment(self.updated_at_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorsSaved:
    """All connectors were replaced, as they stand here."""

    connectors: tuple[Connector, ...] = ()
    """Normalised; none for a catalog that is there and empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorDraftSaved:
    """The draft was replaced."""

    draft: ConnectorDraft
    """Normalised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorDraftDeleted:
    """The draft was deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """What is kept under a path."""

    path: str = ""
    """Segments between slashes, each as `urllib.parse.quote` writes it."""
    content: Cid
    """The bytes, a raw block. Of a file in a view the CID that its bytes would have: they stand in the source's
    node.
    """
    size: int = 0
    """How many bytes."""
    content_type: str = ""
    """Its media type: `text/markdown`."""
    updated_at_ms: int = 0
    """When it was put there, Unix milliseconds."""

    @property
    def updated_at(self) -> datetime:
        """`updated_at_ms` as a `datetime` in UTC; the first or last that there is for a time beyond it."""
        return _moment(self.updated_at_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePut:
    """A file was put, in the place of what had its path."""

    file: FileInfo
    """As it is then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDeleted:
    """A file was deleted."""

    path: str = ""
    """Its path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEntry:
    """One thing that is remembered about a user."""

    id: str = ""
    """Twelve lower-case hexadecimal digits."""
    category: str = ""
    """Lower-case: preference, instruction, context, or any other."""
    content: str = ""
    """Not blank."""
    source: MemorySource = MemorySource.INFERRED
    """Who brought it up."""
    created_at_ms: int = 0
    """When it was added, Unix milliseconds."""
    updated_at_ms: int = 0
    """When it was last changed, Unix milliseconds."""

    @property
    def created_at(self) -> datetime:
        """`created_at_ms` as a `datetime` in UTC; the first or last that there is for a time beyond it."""
        return _moment(self.created_at_ms)

    @property
    def updated_at(self) -> datetime:
        """`updated_at_ms` as a `datetime` in UTC; the first or last that there is for a time beyond it."""
        return _moment(self.updated_at_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEntryAdded:
    """An entry was added; where there were more than `cap` then, others were evicted."""

    entry: MemoryEntry
    """Behind the others."""
    cap: int = 0
    """Entries that may be kept, as it was then: another cap later on changes nothing here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEntryRemoved:
    """An entry was removed."""

    id: str = ""
    """Its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCleared:
    """All entries were removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """An agent in a room."""

    agent_id: str = ""
    """The agent."""
    display_name: str = ""
    """What it is called there; its id, if nobody said otherwise."""
    joined_at_ms: int = 0
    """When it came, Unix milliseconds."""

    @property
    def joined_at(self) -> datetime:
        """`joined_at_ms` as a `datetime` in UTC; the first or last that there is for a time beyond it."""
        return _moment(self.joined_at_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantAdded:
    """An agent joined a room, behind the others; it left its old place, if it had one."""

    room_id: str = ""
    """The room."""
    participant: Participant
    """Who."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantRemoved:
    """An agent left a room; the last one's room is gone."""

    room_id: str = ""
    """The room."""
    agent_id: str = ""
    """Who."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomRemoved:
    """A room was removed with all who took part."""

    room_id: str = ""
    """The room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """How much history of its actors a scope keeps when it is trimmed: all of it where neither is given."""

    keep: int | None = None
    """Newest events of each actor that are kept; None if age decides, or nothing."""
    younger_than_ms: int | None = None
    """Events are kept as long as they are younger; None if number decides, or nothing."""
    version: int = field(default=0, compare=False)
    """The version of the actor that this was read at; 0 where nothing was ever written. It makes no two unequal."""

    @property
    def younger_than(self) -> timedelta | None:
        """`younger_than_ms` as a `timedelta`; the longest that there is for one beyond it."""
        return _span(self.younger_than_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicySet:
    """The policy was replaced."""

    keep: int | None = None
    """Newest events of each actor that are kept; None if age decides, or nothing."""
    younger_than_ms: int | None = None
    """Events are kept as long as they are younger; None if number decides, or nothing."""

    @property
    def younger_than(self) -> timedelta | None:
        """`younger_than_ms` as a `timedelta`; the longest that there is for one beyond it."""
        return _span(self.younger_than_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """Something that an agent can be."""

    id: str = ""
    """Its id; no two of a catalog have the same, whatever their case."""
    name: str = ""
    """What it is called; its id, if nobody said otherwise."""
    system_prompt: str = ""
    """What the agent is told to be."""
    provider: str = ""
    """Who provides the model; "" leaves it open."""
    model: str = ""
    """The model; "" leaves it open."""
    connectors: tuple[str, ...] = ()
    """Names of the connectors that it may use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleDraft:
    """A role that somebody is still writing."""

    item: Role | None = None
    """As it is so far; None where there is only the time."""
    updated_at_ms: int = 0
    """When it was saved, Unix milliseconds."""
    version: int = field(default=0, compare=False)
    """The version of the actor that this was read at; 0 where nothing was ever written. It makes no two unequal."""

    @property
    def updated_at(self) -> datetime:
        """`updated_at_ms` as a `datetime` in UTC; the first or last that there is for a time beyond it."""
        return _moment(self.updated_at_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolesSaved:
    """All roles were replaced, as they stand here."""

    roles: tuple[Role, ...] = ()
    """Normalised; none for a catalog that is there and empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleDraftSaved:
    """The draft was replaced."""

    draft: RoleDraft
    """Normalised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleDraftDeleted:
    """The draft was deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserConfig:
    """How a user wants their agents to run."""

    default_model: str = ""
    """The model that is used where nobody asks for another; "" for none."""
    preferred_llm_route: str = ""
    """Path of the route to language models, "/api/v1/proxy/s/…"; "" lets the gateway choose."""
    runtime_mode: str = "local"
    """"local" or "remote"."""
    local_runtime_base_url: str = ""
    """Base URL of the local runtime, without a slash at its end; "" for the store's default."""
    remote_runtime_base_url: str = ""
    """Base URL of the remote runtime, without a slash at its end; "" for the store's default."""
    max_tool_rounds: int = 0
    """Rounds of tool calls that an agent may take; 0 leaves it to the agent."""
    github_username: str = ""
    """"" for none."""
    version: int = field(default=0, compare=False)
    """The version of the actor that this was read at; 0 where nothing was ever written. It makes no two unequal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserConfigSaved:
    """All fields were replaced, as they stand here."""

    config: UserConfig
    """Normalised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserConfigUpdated:
    """Some fields were replaced."""

    default_model: str | None = None
    """None: as before."""
    preferred_llm_route: str | None = None
    """None: as before."""
    runtime_mode: str | None = None
    """None: as before."""
    local_runtime_base_url: str | None = None
    """None: as before."""
    remote_runtime_base_url: str | None = None
    """None: as before."""
    max_tool_rounds: int | None = None
    """None: as before."""
    github_username: str | None = None
    """None: as before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmPreferences:
    """What of a user's configuration is about language models."""

    default_model: str = ""
    """The model that is used where nobody asks for another; "" for none."""
    preferred_route: str = ""
    """Path of the route to language models; "" lets the gateway choose."""
    max_tool_rounds: int = 0
    """Rounds of tool calls that an agent may take; 0 leaves it to the agent."""
    version: int = field(default=0, compare=False)
    """The version of the actor that this was read at; 0 where nothing was ever written. It makes no two unequal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """The source of a workflow."""

    id: str = ""
    """Its id."""
    name: str = ""
    """What it is called; its id, if nobody said otherwise."""
    yaml: str = ""
    """The source."""
    uploaded_at_ms: int = 0
    """When it was uploaded, Unix milliseconds."""

    @property
    def uploaded_at(self) -> datetime:
        """`uploaded_at_ms` as a `datetime` in UTC; the first or last that there is for a time beyond it."""
        return _moment(self.uploaded_at_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowUploaded:
    """A workflow was uploaded, new or in the place of what had its id."""

    id: str = ""
    """Its id."""
    workflow: Cid
    """A node of Workflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The source of a script."""

    id: str = ""
    """Its id."""
    source: str = ""
    """The source."""
    uploaded_at_ms: int = 0
    """When it was uploaded, Unix milliseconds."""

    @property
    def uploaded_at(self) -> datetime:
        """`uploaded_at_ms` as a `datetime` in UTC; the first or last that there is for a time beyond it."""
        return _moment(self.uploaded_at_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptUploaded:
    """A script was uploaded, new or in the place of what had its id."""

    id: str = ""
    """Its id."""
    script: Cid
    """A node of Script."""
