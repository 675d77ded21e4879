"""Large maps: persistent, read lazily, their versions share blocks."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from typing import Any, Final, TypeVar, overload

from treering._calls import Chunks, blocking, read, stream
from treering._core import Cid, MapCore
from treering._family import SYNC
from treering._session import Session

V = TypeVar("V")
D = TypeVar("D")

_PART: Final = 256
"""Entries that are read at once, where they are short."""


class Map(MapCore[V], Mapping[str, V]):
    """A map from str to values that never changes: each change returns another one, which shares most blocks.

    `Map(items)` makes one of a mapping or of pairs, in memory. It is stored with the value that it stands in, as
    a `Vector` is, and the commit writes what is new: four or five blocks for an entry among 100,000, and the
    value's own if that is over 64 bytes. `store.blocks.map(cid)` gives it back; a key reads O(log₃₂ n) blocks.

    Keys have at most 1,024 bytes as UTF-8. Values are those of a `Vector`. Entries come in the order of their
    keys' hashes: the same for the same map, however it was made, and no order to rely on otherwise.

    Two maps are equal if their CIDs are, so if they have the same entries. A map is never equal to a dict.

    Errors:
        As `Vector`, too. A key that is not there is a KeyError; a block that is not there is NotFound, also for
        `in` and `get`, which never take the one for the other.

    Example:
        >>> import treering
        >>> store = treering.memory()
        >>> one = treering.Map({"ticket-812": {"open": True}})
        >>> two = one.insert("ticket-813", {"open": False})
        >>> len(one), two["ticket-813"], "ticket-813" in one
        (1, {'open': False}, False)
        >>> cid = store.blocks.put_node(two)
        >>> store.blocks.map(cid) == two
        True
    """

    __slots__ = ("_session",)

    _session: Session | None

    def __init__(self, items: Mapping[str, V] | Iterable[tuple[str, V]] | MapCore[V] = (), /) -> None:
        # The core has taken the items already. What was opened in a store keeps that open, as a step does.
        self._session = getattr(items, "_session", None)

    @property
    def cid(self) -> Cid:
        """The CID of its root: what stands for it in a node. It says nothing of whether it is stored. O(1)."""
        return self._root

    @read
    def __getitem__(self, key: str) -> V:
        """Returns the value of a key. O(log n).

        Errors:
            KeyError: there is no such key.
        """
        found = self._find(key)
        if found is None:
            raise KeyError(key)
        return found[0]

    @overload
    def get(self, key: str, default: None = None) -> V | None: ...
    @overload
    def get(self, key: str, default: V) -> V: ...
    @overload
    def get(self, key: str, default: D) -> V | D: ...
    @read
    def get(self, key: str, default: Any = None) -> Any:
        """Returns the value of a key, `default` if there is no such key. O(log n)."""
        found = self._find(key)
        return default if found is None else found[0]

    @blocking
    def __contains__(self, key: object) -> bool:
        return self._find(key) is not None

    @stream
    def __iter__(self) -> Chunks[str]:
        """Returns the keys; an iterator that reads some hundred entries at a time."""
        for part in self._parts():
            yield [key for key, _ in part]

    @stream
    def entries(self) -> Chunks[tuple[str, V]]:
        """Returns (key, value) of each entry; an iterator that reads some hundred at a time, each block once or so."""
        yield from self._parts()

    @blocking
    def items(self) -> ItemsView[str, V]:
        """Returns a view of the entries, read as `entries` does."""
        return _Items(self)

    @blocking
    def values(self) -> ValuesView[V]:
        """Returns a view of the values, read as `entries` does."""
        return _Values(self)

    @read
    def insert(self, key: str, value: V) -> Map[V]:
        """Returns it with a value for a key, in the place of the one that it had. Reads and makes O(log n) blocks.

        Errors:
            LimitExceeded (`limit-exceeded`): a key over 1,024 bytes, or a value that no node can hold.
            Invalid (`invalid`): a value without a DAG-CBOR form.
        """
        return self._of(self._updated(((key, value),)))

    @read
    def update(self, items: Mapping[str, V] | Iterable[tuple[str, V]]) -> Map[V]:
        """Returns it with the entries of a mapping, or of pairs.

        Errors:
            As `insert`.
        """
        return self._of(self._updated(items))

    @read
    def remove(self, key: str) -> Map[V]:
        """Returns it without a key. Reads and makes O(log n) blocks.

        Errors:
            KeyError: there is no such key.
        """
        changed = self._without(key)
        if changed is None:
            raise KeyError(key)
        return self._of(changed)

    def _of(self, core: MapCore[V]) -> Map[V]:
        changed = type(self)(core)
        changed._session = self._session
        return changed

    def _parts(self) -> Iterator[list[tuple[str, V]]]:
        after = None
        while part := self._part(after, _PART):
            yield part
            after = part[-1][0]

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), *self._state())

    def __repr__(self) -> str:
        return f"<Map of {len(self)} {self.cid.short()}>"


class _Items(ItemsView[str, V]):
    """Of one walk, where the one of `collections.abc` looks each key up."""

    _mapping: Map[V]

    def __iter__(self) -> Iterator[tuple[str, V]]:
        return self._mapping.entries()


class _Values(ValuesView[V]):
    _mapping: Map[V]

    def __iter__(self) -> Iterator[V]:
        return (value for _, value in self._mapping.entries())


def _reopen(kind: type[Map[V]], root: bytes, blocks: list[bytes]) -> Map[V]:
    """Makes a map of its pickle."""
    return kind(MapCore._of_state(root, blocks))


SYNC.Map = Map
