"""Blocks: immutable bytes named by their CID, shared by all scopes of a store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from treering._calls import Chunks, Op, read, stream, verb
from treering._core import Cid, collect_links
from treering._family import SYNC, Family
from treering._session import Address, Durability, Session
from treering.map import Map
from treering.vector import Vector

_CHUNK: Final = 1_000
_CID_CHARS: Final = 59


@dataclass(frozen=True, slots=True)
class BlockInfo:
    """A block that is there, and its size in bytes."""

    cid: Cid
    size: int


class Blocks:
    """The blocks of a store, `store.blocks`.

    Wherever a CID is asked for, a text will do: a whole CID, or a beginning of ≥ 12 characters (≥ 6 after
    `bafyr4i` or `bafkr4i`) that only one block has.
    """

    __slots__ = ("_durability", "_scope", "_session")

    _family: ClassVar[Family] = SYNC

    def __init__(self, session: Session, scope: str, durability: Durability) -> None:
        self._session = session
        self._scope = scope
        self._durability = durability

    @verb
    def put(self, data: bytes) -> Op[Cid]:
        """Returns the CID of these bytes, durable. The same bytes are stored once.

        Example:
            >>> import treering
            >>> store = treering.memory()
            >>> cid = store.blocks.put(b"hello")
            >>> store.blocks.get(cid)
            b'hello'
        """
        cid: Cid = yield lambda: self._session.core.put(data, self._scope, self._durability)
        return cid

    @verb
    def put_node(self, value: object) -> Op[Cid]:
        """Returns the CID of a value stored as a node, durable. A `Cid` in it is a link.

        A `Vector` or `Map` in it is a link too, and is stored with it in one commit; as the value itself it is the
        node, so that the answer is its own `cid`.

        Errors:
            Invalid (`invalid`): it links to a block that is not here, or DAG-CBOR can't hold it (NaN,
            a set, a foreign CID …); nothing was written.
            LimitExceeded (`limit-exceeded`): depth > 128, > 1 MiB or > 4096 links.
        """
        cid: Cid = yield lambda: self._session.core.put_node(value, self._scope, self._durability)
        return cid

    @read
    def get(self, cid: Cid | str) -> bytes:
        """Returns the bytes of a block, checked against its CID.

        Errors:
            NotFound (`not-found`): it is not here; the error names it.
            Corrupt (`corrupt`): the stored bytes are not those that were put.
            Ambiguous (`ambiguous`), Invalid (`invalid`): a text that names no single block.
        """
        return self._session.core.get(self._cid(cid))

    @read
    def get_node(self, cid: Cid | str) -> Any:
        """Returns the value of a node: dict, list, str, int, float, bool, bytes, None, `Cid`.

        `treering.nodes.parse` makes a typed node of it.

        Errors:
            As `get`; Invalid (`invalid`): the block holds bytes, not a node.
        """
        return self._session.core.get_node(self._cid(cid))

    @read
    def vector(self, cid: Cid | str) -> Vector[Any]:
        """Returns the list whose root this is; its elements are read when they are asked for.

        Errors:
            As `get`; Invalid (`invalid`): the block is no vector's root.
        """
        vector = self._family.Vector(self._session.core.vector(self._cid(cid)))
        vector._session = self._session
        return vector

    @read
    def map(self, cid: Cid | str) -> Map[Any]:
        """Returns the map whose root this is; its entries are read when they are asked for.

        Errors:
            As `get`; Invalid (`invalid`): the block is no map's root.
        """
        found = self._family.Map(self._session.core.map(self._cid(cid)))
        found._session = self._session
        return found

    @read
    def has(self, cid: Cid | str) -> bool:
        """Returns whether the block is here.

        Errors:
            Ambiguous (`ambiguous`), Invalid (`invalid`): a text that is no CID and names no single block.
        """
        # The whole text of a CID is a question, the beginning of one is a search.
        if isinstance(cid, str) and len(cid) >= _CID_CHARS:
            cid = Cid(cid)
        return self._session.core.has_many([self._cid(cid)])[0]

    @read
    def has_many(self, cids: Iterable[Cid]) -> list[bool]:
        """Returns which of these blocks are here, in their order; one look-up for all."""
        return self._session.core.has_many(list(cids))

    @read
    def links(self, cid: Cid | str) -> list[Cid]:
        """Returns the links of a node in order, each once; none for a block of bytes.

        Errors:
            As `get`.
        """
        found = self._cid(cid)
        return [] if found.codec == "raw" else collect_links(self._session.core.get_node(found))

    @read
    def resolve(self, prefix: str) -> Cid:
        """Returns the CID of the one block whose CID begins so.

        Errors:
            NotFound (`not-found`), Ambiguous (`ambiguous`; `candidates`): there is none, or several.
            Invalid (`invalid`): too short, or not the beginning of a CID.
        """
        return self._session.core.resolve(prefix)

    @stream
    def list(self) -> Chunks[BlockInfo]:
        """Returns all blocks in the order in which they were put; an iterator. O(blocks)."""
        after = 0
        while rows := self._session.core.blocks(after, _CHUNK):
            yield [BlockInfo(cid, size) for _, cid, size in rows]
            after = rows[-1][0]

    def _cid(self, cid: Cid | str) -> Cid:
        return self._session.core.resolve(cid) if isinstance(cid, str) else cid

    def __reduce__(self) -> tuple[Any, ...]:
        address = Address(self._session.portable("Blocks"), self._scope, self._durability)
        return reopen_blocks, (self._family, address)

    def __repr__(self) -> str:
        return f"<Blocks of {self._session.name}>"


def reopen_blocks(family: Family, address: Address) -> Blocks:
    """Opens pickled blocks."""
    home = address.open()
    return family.Blocks(home.session, home.scope, home.durability)


SYNC.Blocks = Blocks
