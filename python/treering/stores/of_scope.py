"""The stores of a scope by their names, whichever way the scope is found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from treering._family import SYNC, Family
from treering.stores._dispatch import ScopeResolver
from treering.stores.agents import AgentsStore
from treering.stores.chats import ChatsStore
from treering.stores.connectors import ConnectorsStore
from treering.stores.files import FilesStore
from treering.stores.memory import MemoryStore
from treering.stores.participants import ParticipantsStore
from treering.stores.retention import RetentionStore
from treering.stores.roles import RolesStore
from treering.stores.sources import ScriptsStore, WorkflowsStore
from treering.stores.user_config import LlmPreferencesStore, UserConfigStore


class ScopeStores(ABC):
    """What has the stores of a scope."""

    __slots__ = ()

    _family: ClassVar[Family] = SYNC

    @property
    @abstractmethod
    def _whose(self) -> ScopeResolver:
        """Says which scope it is, at each call."""

    @property
    def user_config(self) -> UserConfigStore:
        """How the scope's user wants their agents to run."""
        return self._family.UserConfigStore(self._whose)

    @property
    def llm_preferences(self) -> LlmPreferencesStore:
        """What of that is about language models."""
        return self._family.LlmPreferencesStore(self._whose)

    @property
    def retention(self) -> RetentionStore:
        """The scope's retention policy: what `trim` keeps where it is not told."""
        return self._family.RetentionStore(self._whose)

    @property
    def memory(self) -> MemoryStore:
        """What is remembered about the scope's user."""
        return self._family.MemoryStore(self._whose)

    @property
    def agents(self) -> AgentsStore:
        """Which actors of which type the scope has."""
        return self._family.AgentsStore(self._whose)

    @property
    def participants(self) -> ParticipantsStore:
        """Who takes part in which room."""
        return self._family.ParticipantsStore(self._whose)

    @property
    def chats(self) -> ChatsStore:
        """The conversations of the scope."""
        return self._family.ChatsStore(self._whose)

    @property
    def workflows(self) -> WorkflowsStore:
        """The sources of workflows."""
        return self._family.WorkflowsStore(self._whose)

    @property
    def scripts(self) -> ScriptsStore:
        """The sources of scripts."""
        return self._family.ScriptsStore(self._whose)

    @property
    def connectors(self) -> ConnectorsStore:
        """What agents may call."""
        return self._family.ConnectorsStore(self._whose)

    @property
    def roles(self) -> RolesStore:
        """Who agents can be."""
        return self._family.RolesStore(self._whose)

    @property
    def files(self) -> FilesStore:
        """Files by path, streamed in and out; with views of workflows and scripts."""
        return self._family.FilesStore(self._whose)
