"""Long lists: persistent, read lazily, their versions share blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import index as operator_index
from typing import Any, Final, SupportsIndex, TypeVar, overload

from treering._calls import Chunks, read, stream
from treering._core import Cid, VectorCore
from treering._family import SYNC
from treering._session import Session

T = TypeVar("T")

_PART: Final = 256
"""Elements that are read at once, where they are short."""


class Vector(VectorCore[T], Sequence[T]):
    """A list that never changes: each change returns another one, and the two share all but a few blocks.

    `Vector(items)` makes one of any iterable, in memory. It is stored with the value that it stands in: a node,
    a step's content or meta, another collection. There it is a link to its root, `cid`, and the commit writes
    the blocks that the store does not have: for an append the root and, if it is over 64 bytes, the element.
    `store.blocks.vector(cid)` gives it back; only the blocks on the way to an element are read, O(log₃₂ n).

    Elements are what a node can hold (None, bool, int, float, str, bytes, `Cid`, lists and dicts of them, up to
    1 MiB) and come back as such: a tuple as a list, a `Vector` or `Map` as the `Cid` of its root.

    Two vectors are equal if their CIDs are: same elements and same `start`. A vector is never equal to a list.
    What was put is kept as any block is: as long as a ref or a hold reaches it. Elements that are still in memory
    only are lost with the last vector that has them. A pickle carries all elements, O(n).

    Errors:
        NotFound (`not-found`; `cid`): a block of it is not in the store any more.
        Corrupt (`corrupt`): a block is no part of a vector, or damaged.
        Invalid (`invalid`), LimitExceeded (`limit-exceeded`): an element that no node can hold.

    Example:
        >>> import treering
        >>> store = treering.memory()
        >>> short = treering.Vector(["hello", "how are you?"])
        >>> long = short.append("fine")
        >>> len(short), long[-1], long[:2]
        (2, 'fine', ['hello', 'how are you?'])
        >>> cid = store.blocks.put_node({"messages": long})
        >>> stored = store.blocks.vector(store.blocks.get_node(cid)["messages"])
        >>> stored == long
        True
    """

    __slots__ = ("_session",)

    _session: Session | None

    def __init__(self, items: Iterable[T] | VectorCore[T] = (), /) -> None:
        # The core has taken the items already. What was opened in a store keeps that open, as a step does.
        self._session = getattr(items, "_session", None)

    @property
    def cid(self) -> Cid:
        """The CID of its root: what stands for it in a node. It says nothing of whether it is stored. O(1)."""
        return self._root

    @property
    def start(self) -> int:
        """How many elements were dropped from the front. `v[0]` is the first one that is left."""
        return self._start

    @overload
    def __getitem__(self, index: SupportsIndex) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    @read
    def __getitem__(self, index: SupportsIndex | slice) -> T | list[T]:
        """Returns an element, O(log n), or a list of those of a slice, each leaf read once.

        A slice with a step other than 1 reads each of its elements by itself.

        Errors:
            IndexError: there is no element at that index.
        """
        if not isinstance(index, slice):
            place = self._place(index)
            return self._part(place, 1)[0]
        places = range(*index.indices(len(self)))
        if places.step == 1:
            return [value for part in self._parts(places.start, places.stop) for value in part]
        return [self._part(place, 1)[0] for place in places]

    @stream
    def __iter__(self) -> Chunks[T]:
        """Returns the elements in order; an iterator that reads some hundred at a time."""
        yield from self._parts(0, len(self))

    @stream
    def __reversed__(self) -> Chunks[T]:
        """Returns the elements, the last one first; an iterator that reads some hundred at a time."""
        stop = len(self)
        while stop > 0:
            first = max(0, stop - _PART)
            found = [value for part in self._parts(first, stop) for value in part]
            yield found[::-1]
            stop = first

    @read
    def append(self, value: T) -> Vector[T]:
        """Returns it with one more element at the end. Reads up to O(log n) blocks, each 32nd time.

        Errors:
            Invalid (`invalid`), LimitExceeded (`limit-exceeded`): no node can hold the value.
        """
        return self._of(self._extended((value,)))

    @read
    def extend(self, values: Iterable[T]) -> Vector[T]:
        """Returns it with more elements at the end, in their order.

        Errors:
            As `append`.
        """
        return self._of(self._extended(values))

    @read
    def set(self, index: SupportsIndex, value: T) -> Vector[T]:
        """Returns it with another element in the place of one. Reads and makes O(log n) blocks.

        Errors:
            IndexError: there is no element at that index.
            As `append`.
        """
        changed = self._with(self._place(index), value)
        if changed is None:
            raise AssertionError("the place is within the vector")
        return self._of(changed)

    @read
    def drop_front(self, count: int) -> Vector[T]:
        """Returns it without its first `count` elements, empty if there are fewer. O(log n) blocks.

        The positions of the others move in Python only: `start` counts what was dropped, so that no block of the
        rest is written anew.

        Errors:
            Invalid (`invalid`): `count` is below 0.
        """
        return self._of(self._without(count, 0))

    @read
    def drop_back(self, count: int) -> Vector[T]:
        """Returns it without its last `count` elements, empty if there are fewer. O(count).

        Errors:
            Invalid (`invalid`): `count` is below 0.
        """
        return self._of(self._without(0, count))

    def _of(self, core: VectorCore[T]) -> Vector[T]:
        changed = type(self)(core)
        changed._session = self._session
        return changed

    def _place(self, index: SupportsIndex) -> int:
        place = operator_index(index)
        length = len(self)
        if not -length <= place < length:
            raise IndexError(f"no element {place} in a vector of {length}")
        return place % length

    def _parts(self, first: int, stop: int) -> Iterator[list[T]]:
        while first < stop:
            part = self._part(first, min(stop - first, _PART))
            yield part
            first += len(part)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), *self._state())

    def __repr__(self) -> str:
        return f"<Vector of {len(self)} {self.cid.short()}>"


def _reopen(kind: type[Vector[T]], root: bytes, blocks: list[bytes]) -> Vector[T]:
    """Makes a vector of its pickle."""
    return kind(VectorCore._of_state(root, blocks))


SYNC.Vector = Vector
