"""Holds: blocks that are kept for a time without a ref."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from treering._calls import read, writes
from treering._core import Cid
from treering._family import SYNC, Family
from treering._session import Location, Session, open_session
from treering.errors import Invalid

_CHUNK: Final = 1_000
_HOUR_MS: Final = 3_600_000
_HOURS_MAX: Final = 100 * 365 * 24
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Hold:
    """A block that a scope holds, made by `store.hold`, `scope.hold` and `holds()`.

    It keeps the block, and all that it links to, from garbage collection until `expires_at_ms` by the store's
    clock. A put holds what it stores for 24 hours by itself.
    """

    __slots__ = ("_cid", "_expires_at_ms", "_scope", "_session")

    _family: ClassVar[Family] = SYNC

    def __init__(self, session: Session, scope: str, cid: Cid, expires_at_ms: int) -> None:
        self._session = session
        self._scope = scope
        self._cid = cid
        self._expires_at_ms = expires_at_ms

    @property
    def cid(self) -> Cid:
        """The held block."""
        return self._cid

    @property
    def scope(self) -> str:
        """The scope that holds it. Several may hold one block, each for its own time."""
        return self._scope

    @property
    def expires_at_ms(self) -> int:
        """When it ends, Unix milliseconds by the store's clock, as last seen."""
        return self._expires_at_ms

    @property
    def expires_at(self) -> datetime:
        """The same as a `datetime` in UTC; the last one that there is for a later time."""
        try:
            return _EPOCH + timedelta(milliseconds=self._expires_at_ms)
        except OverflowError:
            return _LAST

    @read
    @writes
    def extend(self, hours: float = 24.0) -> int:
        """Returns when it now ends, durable: `hours` from now, or when it ended before if that is later.

        Also a hold that was released or has ended is made again, as long as the block is there.

        Errors:
            NotFound (`not-found`): the block was collected.
            Invalid (`invalid`): `hours` is not within 0 … 100 years.
        """
        ms = milliseconds(hours)
        self._expires_at_ms = self._session.core.extend_hold(self._scope, self._cid, ms)
        return self._expires_at_ms

    @read
    @writes
    def release(self) -> bool:
        """Returns whether there was a hold; there is none now, durable. The next collection takes the block
        if nothing else keeps it.

        Example:
            >>> import treering
            >>> store = treering.memory()
            >>> cid = store.put(b"only for now")
            >>> store.hold(cid).release()
            True
            >>> store.gc().freed_bytes
            12
        """
        return self._session.core.release_hold(self._scope, self._cid)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        mine, theirs = (self._scope, self._cid), (other._scope, other._cid)
        return mine == theirs and self._session.same_store(other._session)

    def __hash__(self) -> int:
        return hash((self._scope, self._cid))

    def __reduce__(self) -> tuple[Any, ...]:
        location = self._session.portable("a Hold")
        return reopen_hold, (self._family, location, self._scope, self._cid, self._expires_at_ms)

    def __repr__(self) -> str:
        return f"<Hold on {self._cid.short()} in {self._scope} of {self._session.name}>"


def take(family: Family, session: Session, scope: str, cid: Cid | str, hours: float) -> Hold:
    """Returns a hold that lasts so long at least."""
    found = session.core.resolve(cid) if isinstance(cid, str) else cid
    return family.Hold(session, scope, found, session.core.extend_hold(scope, found, milliseconds(hours)))


def held(family: Family, session: Session, scope: str) -> Iterator[list[Hold]]:
    """Returns the holds of a scope, a few at a time."""
    after = 0
    while rows := session.core.holds(scope, after, _CHUNK):
        yield [family.Hold(session, scope, cid, expires_at_ms) for _, cid, expires_at_ms in rows]
        after = rows[-1][0]


def milliseconds(hours: float) -> int:
    """Returns a checked length of time."""
    if not 0 <= hours <= _HOURS_MAX:
        raise Invalid(f"hours {hours!r} is not within 0 … {_HOURS_MAX} (100 years)")
    return round(hours * _HOUR_MS)


def reopen_hold(family: Family, location: Location, scope: str, cid: Cid, expires_at_ms: int) -> Hold:
    """Opens a pickled hold."""
    return family.Hold(open_session(location, create=False), scope, cid, expires_at_ms)


SYNC.Hold = Hold
