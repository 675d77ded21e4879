"""The stores inside of `with scope.commit() as c`: the same verbs, drafted and written together when it is left."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from treering._core import StoresCore, VerbCore, files_begin, files_delete, files_put
from treering.errors import LimitExceeded
from treering.messages import (
    Connector,
    ConnectorDraft,
    Conversation,
    FileInfo,
    MemoryEntry,
    MemorySource,
    Message,
    Participant,
    RetentionPolicy,
    Role,
    RoleDraft,
    Script,
    UserConfig,
    UserConfigUpdated,
    Workflow,
)
from treering.stores.catalogs import CONNECTORS, ROLES, CatalogKind, Draft, Item
from treering.stores.receipt import Receipt
from treering.stores.retention import set_arguments

T_co = TypeVar("T_co", covariant=True)


class Drafting(Protocol):
    """The commit that drafts belong to."""

    def _verb(self, verb: VerbCore, expected_version: int | None) -> int: ...
    def _decide_later(self, drafted: Any) -> None: ...
    def _receipt(self, index: int) -> Receipt[Any]: ...
    def _mirror(self, index: int, kind: CatalogKind) -> None: ...
    @property
    def _stores(self) -> StoresCore: ...


class ReceiptDraft(Generic[T_co]):
    """What a verb of the commit will answer."""

    __slots__ = ("_commit", "_index")

    def __init__(self, commit: Drafting, index: int) -> None:
        self._commit = commit
        self._index = index

    @property
    def receipt(self) -> Receipt[T_co]:
        """The receipt; there once the block is left.

        Errors:
            Invalid (`invalid`): nothing is written yet.
        """
        return self._commit._receipt(self._index)

    def __repr__(self) -> str:
        return f"<ReceiptDraft {self._index}>"


class StoreDraft:
    """A store of the scope, as the commit will leave it."""

    __slots__ = ("_commit",)

    def __init__(self, commit: Drafting) -> None:
        self._commit = commit

    @property
    def _core(self) -> StoresCore:
        return self._commit._stores

    def _draft(self, verb: VerbCore, expected_version: int | None) -> ReceiptDraft[Any]:
        return ReceiptDraft(self._commit, self._commit._verb(verb, expected_version))


class UserConfigDraft(StoreDraft):
    """`c.user_config`."""

    __slots__ = ()

    def save(self, config: UserConfig, *, expected_version: int | None = None) -> ReceiptDraft[UserConfig]:
        """Returns the draft of `UserConfigStore.save`."""
        return self._draft(self._core.user_config_save(config), expected_version)

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
    ) -> ReceiptDraft[UserConfig]:
        """Returns the draft of `UserConfigStore.update`."""
        fields = UserConfigUpdated(
            default_model=default_model,
            preferred_llm_route=preferred_llm_route,
            runtime_mode=runtime_mode,
            local_runtime_base_url=local_runtime_base_url,
            remote_runtime_base_url=remote_runtime_base_url,
            max_tool_rounds=max_tool_rounds,
            github_username=github_username,
        )
        return self._draft(self._core.user_config_update(fields), expected_version)


class RetentionDraft(StoreDraft):
    """`c.retention`."""

    __slots__ = ()

    def set(
        self, *, keep: int | None = None, younger_than: timedelta | None = None, expected_version: int | None = None
    ) -> ReceiptDraft[RetentionPolicy]:
        """Returns the draft of `RetentionStore.set`."""
        return self._draft(self._core.retention_set(*set_arguments(keep, younger_than)), expected_version)


class MemoryDraft(StoreDraft):
    """`c.memory`."""

    __slots__ = ()

    def add(
        self,
        category: str,
        content: str,
        source: MemorySource | str = MemorySource.INFERRED,
        *,
        expected_version: int | None = None,
    ) -> ReceiptDraft[MemoryEntry]:
        """Returns the draft of `MemoryStore.add`."""
        entry = MemoryEntry(category=category, content=content, source=source)  # type: ignore[arg-type]
        return self._draft(self._core.memory_add(entry), expected_version)

    def remove(self, id: str, *, purge: bool = False, expected_version: int | None = None) -> ReceiptDraft[None]:
        """Returns the draft of `MemoryStore.remove`."""
        return self._draft(self._core.memory_remove(id, purge), expected_version)

    def save(self, entries: Iterable[MemoryEntry], *, expected_version: int | None = None) -> ReceiptDraft[None]:
        """Returns the draft of `MemoryStore.save`."""
        return self._draft(self._core.memory_save(list(entries)), expected_version)

    def clear(self, *, purge: bool = False, expected_version: int | None = None) -> ReceiptDraft[None]:
        """Returns the draft of `MemoryStore.clear`."""
        return self._draft(self._core.memory_clear(purge), expected_version)


class AgentsDraft(StoreDraft):
    """`c.agents`."""

    __slots__ = ()

    def add(self, agent_type: str, actor_id: str, *, expected_version: int | None = None) -> ReceiptDraft[None]:
        """Returns the draft of `AgentsStore.add`."""
        return self._draft(self._core.agents_add(agent_type, actor_id), expected_version)

    def remove(self, agent_type: str, actor_id: str, *, expected_version: int | None = None) -> ReceiptDraft[None]:
        """Returns the draft of `AgentsStore.remove`."""
        return self._draft(self._core.agents_remove(agent_type, actor_id), expected_version)


class ParticipantsDraft(StoreDraft):
    """`c.participants`."""

    __slots__ = ()

    def add(
        self, room_id: str, agent_id: str, display_name: str = "", *, expected_version: int | None = None
    ) -> ReceiptDraft[Participant]:
        """Returns the draft of `ParticipantsStore.add`."""
        return self._draft(self._core.participants_add(room_id, agent_id, display_name), expected_version)

    def remove(self, room_id: str, agent_id: str, *, expected_version: int | None = None) -> ReceiptDraft[None]:
        """Returns the draft of `ParticipantsStore.remove`."""
        return self._draft(self._core.participants_remove(room_id, agent_id), expected_version)

    def remove_room(self, room_id: str, *, expected_version: int | None = None) -> ReceiptDraft[None]:
        """Returns the draft of `ParticipantsStore.remove_room`."""
        return self._draft(self._core.participants_remove_room(room_id), expected_version)


class ChatsDraft(StoreDraft):
    """`c.chats`."""

    __slots__ = ()

    def save(
        self,
        conversation_id: str,
        meta: Conversation,
        messages: Iterable[Message],
        *,
        expected_version: int | None = None,
    ) -> ReceiptDraft[Conversation]:
        """Returns the draft of `ChatsStore.save`."""
        verb = self._core.chats_save(conversation_id, meta, list(messages))
        return self._draft(verb, expected_version)

    def append(
        self, conversation_id: str, messages: Iterable[Message], *, expected_version: int | None = None
    ) -> ReceiptDraft[Conversation]:
        """Returns the draft of `ChatsStore.append`."""
        return self._draft(self._core.chats_append(conversation_id, list(messages)), expected_version)

    def delete(self, conversation_id: str, *, expected_version: int | None = None) -> ReceiptDraft[Conversation]:
        """Returns the draft of `ChatsStore.delete`."""
        return self._draft(self._core.chats_delete(conversation_id), expected_version)


FILE_BYTES: Final = (256 << 10) - 1
"""Bytes of a file in a commit of several: more lies in a file of its own, which takes a disk to wait for."""


class FilesDraft(StoreDraft):
    """`c.files`."""

    __slots__ = ()

    def put(
        self,
        path: str,
        data: bytes | bytearray | memoryview,
        content_type: str | None = None,
        *,
        expected_version: int | None = None,
    ) -> ReceiptDraft[FileInfo]:
        """Returns the draft of `FilesStore.put`, of at most 262,143 bytes: `LimitExceeded` (`limit-exceeded`) for more.
        Put those by themselves."""
        if (size := memoryview(data).nbytes) > FILE_BYTES:
            what = "bytes of a file in a commit of several"
            raise LimitExceeded(
                f"{what}: {size} exceeds the limit of {FILE_BYTES}; put a larger one by itself: scope.files.put",
                what=what,
                limit=FILE_BYTES,
                actual=size,
            )
        incoming = files_begin(self._core, path, content_type, FILE_BYTES)
        incoming.write(data)
        verb = files_put(self._core, path, incoming.finish(), content_type)
        return self._draft(verb, expected_version)

    def delete(self, path: str, *, expected_version: int | None = None) -> ReceiptDraft[None]:
        """Returns the draft of `FilesStore.delete`."""
        return self._draft(files_delete(self._core, path), expected_version)


class WorkflowsDraft(StoreDraft):
    """`c.workflows`."""

    __slots__ = ()

    def upload(self, id: str, name: str, yaml: str, *, expected_version: int | None = None) -> ReceiptDraft[Workflow]:
        """Returns the draft of `WorkflowsStore.upload`."""
        return self._draft(self._core.workflows_upload(id, name, yaml), expected_version)


class ScriptsDraft(StoreDraft):
    """`c.scripts`."""

    __slots__ = ()

    def upload(self, id: str, source: str, *, expected_version: int | None = None) -> ReceiptDraft[Script]:
        """Returns the draft of `ScriptsStore.upload`."""
        return self._draft(self._core.scripts_upload(id, source), expected_version)


class CatalogDraft(StoreDraft, Generic[Item, Draft]):
    """What the two catalogs share."""

    __slots__ = ()

    _catalog: ClassVar[CatalogKind]

    def save(self, items: Iterable[Item], *, expected_version: int | None = None) -> ReceiptDraft[None]:
        """Returns the draft of `save` of the store."""
        return self._draft(self._catalog.saving(self._core, items), expected_version)

    def save_draft(self, item: Item | None, *, expected_version: int | None = None) -> ReceiptDraft[Draft]:
        """Returns the draft of `save_draft` of the store."""
        return self._on_draft(self._catalog.saving_draft(self._core, item), expected_version)

    def delete_draft(self, *, expected_version: int | None = None) -> ReceiptDraft[None]:
        """Returns the draft of `delete_draft` of the store."""
        return self._on_draft(self._catalog.deleting_draft(self._core), expected_version)

    def _on_draft(self, verb: VerbCore, expected_version: int | None) -> ReceiptDraft[Any]:
        index = self._commit._verb(verb, expected_version)
        self._commit._mirror(index, self._catalog)
        return ReceiptDraft(self._commit, index)


class ConnectorsDraft(CatalogDraft[Connector, ConnectorDraft]):
    """`c.connectors`: drafts of `ConnectorsStore`."""

    __slots__ = ()

    _catalog = CONNECTORS


class RolesDraft(CatalogDraft[Role, RoleDraft]):
    """`c.roles`: drafts of `RolesStore`."""

    __slots__ = ()

    _catalog = ROLES
