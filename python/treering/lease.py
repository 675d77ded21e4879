"""The right to work on a thread that one holder has at a time, for the length of a `with` block."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from treering._calls import read, waits
from treering._core import LeaseCore, ThreadCore
from treering._family import SYNC, Family


class Lease:
    """A lease, made by `Thread.lease`: taken on entering, given back on leaving.

    Every write through the thread's handle expects its token, so a holder that was taken over
    writes nothing: it gets `LeaseLost`. Handles without a lease are not kept from writing: what they write moves
    the head, and the holder's next write gets `HeadMoved`. Who wants only holders to write takes a lease for each.
    """

    __slots__ = ("_core", "_open", "_owner")

    _family: ClassVar[Family] = SYNC

    def __init__(self, open_thread: Callable[[], ThreadCore], owner: str | None) -> None:
        self._open = open_thread
        self._owner = owner
        self._core: LeaseCore | None = None

    @property
    def owner(self) -> str | None:
        """The label that others see."""
        return self._owner

    @property
    def token(self) -> int | None:
        """Grows with each holder of the thread's lease; None outside of the `with` block."""
        return self._core.token if self._core is not None else None

    @read
    @waits
    def __enter__(self) -> Lease:
        self._core = self._open().lease(self._owner or "")
        return self

    @read
    @waits
    def __exit__(self, *_: object) -> None:
        core, self._core = self._core, None
        if core is not None:
            core.release()

    def __repr__(self) -> str:
        return f"<Lease {self._owner or ''} {'free' if self._core is None else f'token {self.token}'}>"


SYNC.Lease = Lease
