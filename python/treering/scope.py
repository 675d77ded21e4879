"""A scope: the unit of isolation and of transaction. Nothing but blocks is shared between scopes."""

from __future__ import annotations

from typing import Any, ClassVar

from treering._core import ThreadsCore
from treering._family import SYNC, Family
from treering._session import Durability, Location, Session, open_session
from treering.blocks import Blocks
from treering.commit import Commit
from treering.pins import Pins
from treering.threads import Threads


class Scope:
    """One scope of a store, made by `store.scope(name)`. Making one writes nothing."""

    __slots__ = ("_core", "_durability", "_session")

    _family: ClassVar[Family] = SYNC

    def __init__(self, session: Session, core: ThreadsCore, durability: Durability) -> None:
        self._session = session
        self._core = core
        self._durability = durability

    @property
    def name(self) -> str:
        """The scope's name."""
        return self._core.scope

    @property
    def durability(self) -> Durability:
        """What the commits made through this object outlive."""
        return self._durability

    @property
    def threads(self) -> Threads:
        """The threads of this scope."""
        return self._family.Threads(self._session, self._core)

    @property
    def pins(self) -> Pins:
        """The pins of this scope."""
        return self._family.Pins(self._session, self._core)

    @property
    def blocks(self) -> Blocks:
        """The blocks of the store; what is put here is booked on this scope."""
        return self._family.Blocks(self._session, self.name, self._durability)

    def commit(self, command_id: str | None = None) -> Commit:
        """Returns a context manager: what is done through it is written in one commit, or not at all.

        With a `command_id` the whole is safe to repeat: the second time writes nothing and answers as
        the first did. An exception inside the block writes nothing.

        Errors:
            On leaving the block, those of what was done in it, and CommandMismatch
            (`command-mismatch`): the command id came before, with something else.

        Example:
            >>> import treering
            >>> scope = treering.memory().scope("alice")
            >>> thread = scope.threads.start("review")
            >>> with scope.commit(command_id="turn-1") as c:
            ...     _ = c.threads[thread].append("coder", "done")
            ...     _ = c.threads.start("follow-up", key="next")
            >>> c.receipt.replayed
            False
        """
        return self._family.Commit(self._session, self._core, command_id)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        return self.name == other.name and self._session.same_store(other._session)

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        location = self._session.portable("a Scope")
        return reopen_scope, (self._family, location, self.name, self._durability)

    def __repr__(self) -> str:
        return f"<Scope {self.name} of {self._session.name}>"


def reopen_scope(family: Family, location: Location, name: str, durability: Durability) -> Scope:
    """Opens a pickled scope."""
    session = open_session(location, create=False)
    return family.Scope(session, session.core.threads(name, durability), durability)


SYNC.Scope = Scope
