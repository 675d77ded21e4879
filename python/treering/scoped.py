"""The stores of a scope that is found anew for each call."""

from __future__ import annotations

from collections.abc import Callable

from treering._family import SYNC
from treering._session import Durability, Home, Session, home
from treering.own.handle import OwnActor
from treering.own.rules import Actor, Command, Event, State
from treering.stores.of_scope import ScopeStores


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


class Scoped(ScopeStores):
    """The stores of whichever scope it is, made by `store.scoped(resolver)`. No workspace mirrors the drafts of its
    catalogs."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Resolving) -> None:
        self._scope = scope

    @property
    def _whose(self) -> Resolving:
        return self._scope

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
