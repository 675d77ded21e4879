"""A scope: the unit of isolation and of transaction. Nothing but blocks is shared between scopes."""

from __future__ import annotations

from typing import Any, ClassVar

from treering._family import SYNC, Family
from treering._session import Address, Durability, Home
from treering.blocks import Blocks
from treering.commit import Commit
from treering.pins import Pins
from treering.threads import Threads


class Scope:
    """One scope of a store, made by `store.scope(name)`. Making one writes nothing."""

    __slots__ = ("_home",)

    _family: ClassVar[Family] = SYNC

    def __init__(self, home: Home) -> None:
        self._home = home

    @property
    def name(self) -> str:
        """The scope's name."""
        return self._home.scope

    @property
    def durability(self) -> Durability:
        """What the commits made through this object outlive."""
        return self._home.durability

    @property
    def threads(self) -> Threads:
        """The threads of this scope."""
        return self._family.Threads(self._home)

    @property
    def pins(self) -> Pins:
        """The pins of this scope."""
        return self._family.Pins(self._home)

    @property
    def blocks(self) -> Blocks:
        """The blocks of the store; what is put here is booked on this scope."""
        return self._family.Blocks(self._home.session, self.name, self._home.durability)

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
        return self._family.Commit(self._home, command_id)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        return self._home.same_scope(other._home)

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return reopen_scope, (self._family, self._home.portable("a Scope"))

    def __repr__(self) -> str:
        return f"<Scope {self.name} of {self._home.session.name}>"


def reopen_scope(family: Family, address: Address) -> Scope:
    """Opens a pickled scope."""
    return family.Scope(address.open())


SYNC.Scope = Scope
