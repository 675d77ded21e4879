"""The stores of a scope that is found anew for each call."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from treering._family import SYNC, Family
from treering._session import Durability, Home, Session, home
from treering.own.handle import OwnActor
from treering.own.rules import Actor, Command, Event, State
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


class Resolving:
    """A scope by a function that names it."""

    __slots__ = ("_durability", "_resolver", "_session")

    def __init__(self, session: Session, resolver: Callable[[], str], durability: Durability) -> None:
        self._session = session
        self._resolver = resolver
        self._durability = durability

    def resolve(self) -> Home:
        return home(self._session, self._resolver(), self._durability)

    def __repr__(self) -> str:
        return f"whichever scope it is in {self._session.name}"


class Scoped:
    """The stores of whichever scope it is, made by `store.scoped(resolver)`."""

    __slots__ = ("_scope",)

    _family: ClassVar[Family] = SYNC

    def __init__(self, scope: Resolving) -> None:
        self._scope = scope

    @property
    def user_config(self) -> UserConfigStore:
        """How the scope's user wants their agents to run."""
        return self._family.UserConfigStore(self._scope)

    @property
    def llm_preferences(self) -> LlmPreferencesStore:
        """What of that is about language models."""
        return self._family.LlmPreferencesStore(self._scope)

    @property
    def retention(self) -> RetentionStore:
        """The scope's retention policy."""
        return self._family.RetentionStore(self._scope)

    @property
    def memory(self) -> MemoryStore:
        """What is remembered about the scope's user."""
        return self._family.MemoryStore(self._scope)

    @property
    def agents(self) -> AgentsStore:
        """Which actors of which type the scope has."""
        return self._family.AgentsStore(self._scope)

    @property
    def participants(self) -> ParticipantsStore:
        """Who takes part in which room."""
        return self._family.ParticipantsStore(self._scope)

    @property
    def chats(self) -> ChatsStore:
        """The conversations of the scope."""
        return self._family.ChatsStore(self._scope)

    @property
    def workflows(self) -> WorkflowsStore:
        """The sources of workflows."""
        return self._family.WorkflowsStore(self._scope)

    @property
    def scripts(self) -> ScriptsStore:
        """The sources of scripts."""
        return self._family.ScriptsStore(self._scope)

    @property
    def connectors(self) -> ConnectorsStore:
        """What agents may call; no workspace mirrors their drafts."""
        return self._family.ConnectorsStore(self._scope)

    @property
    def roles(self) -> RolesStore:
        """Who agents can be; no workspace mirrors their drafts."""
        return self._family.RolesStore(self._scope)

    @property
    def files(self) -> FilesStore:
        """The files of the scope, by path."""
        return self._family.FilesStore(self._scope)

    def own(self, actor: type[Actor[State, Command, Event]], *parts: str) -> OwnActor[State, Command, Event]:
        """Returns an actor of your own of whichever scope it is, there or not: as `Scope.own`. That a part is blank or
        too long is said by the first call.

        Errors:
            Invalid (`invalid`): the class is none.
        """
        made: OwnActor[State, Command, Event] = self._family.OwnActor(self._scope, actor, parts)
        return made

    def __repr__(self) -> str:
        return f"<Scoped, {self._scope!r}>"


SYNC.Scoped = Scoped
