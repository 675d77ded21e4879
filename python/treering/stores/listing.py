"""What a read of many things answers: a sequence that knows its version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar, overload

from treering.messages import Conversation, Message

T_co = TypeVar("T_co", covariant=True)
Draft_co = TypeVar("Draft_co", covariant=True)


class Listing(Sequence[T_co]):
    """Items in order, as they were at one version of their actor. It does not change."""

    __slots__ = ("_items", "version")

    def __init__(self, items: Sequence[T_co], version: int) -> None:
        self._items = tuple(items)
        self.version: int = version
        """The actor's version, 0 if it was never written."""

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T_co]: ...
    def __getitem__(self, index: int | slice) -> T_co | Sequence[T_co]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T_co]:
        return iter(self._items)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Listing):
            return self._items == other._items
        if isinstance(other, list | tuple):
            return self._items == tuple(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._items)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._items)} at version {self.version}>"


class Messages(Listing[Message]):
    """The messages of a conversation, oldest first."""

    __slots__ = ("conversation",)

    def __init__(self, items: Sequence[Message], version: int, conversation: Conversation | None) -> None:
        super().__init__(items, version)
        self.conversation: Conversation | None = conversation
        """What is known of it beside its messages; None if there is no such conversation."""


class Catalog(Listing[T_co], Generic[T_co, Draft_co]):
    """The items of a catalog as they were saved, with its draft at the same version."""

    __slots__ = ("draft", "exists")

    def __init__(self, items: Sequence[T_co], version: int, exists: bool = True, draft: Draft_co | None = None) -> None:
        super().__init__(items, version)
        self.exists: bool = exists
        """Whether it was ever saved; an empty one was, if this says so."""
        self.draft: Draft_co | None = draft
        """The draft; None if there is none."""
