"""The threads that work for event loops: who waits for a server or another process keeps nobody else waiting.

What only reads a directory or memory has a few threads. What may wait for others (a collection, a backup, what takes
the write lock and is awaited in a thread) has more, and so has each opening of a store with a bucket, for all it does.
Promises: a call whose await was cancelled is told so (`Waiting`), and gives its thread back soon. StopIteration of a
caller's code is an error like any other. A child of fork() gets threads of its own.
Never: a store without a bucket waits for a thread that a bucket has.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Final, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from treering._core import Waiting
from treering._session import Session, any_bucket, session_of

T = TypeVar("T")

Lane: TypeAlias = ThreadPoolExecutor

_READING: Final = 4
_WAITING: Final = 64


class _Lanes:
    """The lanes of a process."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._reading = ThreadPoolExecutor(_READING, thread_name_prefix="treering-read")
        self._waiting = ThreadPoolExecutor(_WAITING, thread_name_prefix="treering-wait")
        # Of whom it is not known which opening he belongs to.
        self._buckets = ThreadPoolExecutor(_WAITING, thread_name_prefix="treering-bucket")
        # A lane's threads end with the opening.
        self._of: WeakKeyDictionary[Session, Lane] = WeakKeyDictionary()

    def of(self, owner: object, *, waits: bool = False) -> Lane:
        """Returns the lane of what an object does."""
        lane = self.of_bucket(owner)
        if waits and (lane is None or lane is self._buckets):
            return self._waiting
        return self._reading if lane is None else lane

    def of_bucket(self, owner: object) -> Lane | None:
        """Returns the lane of an object's store, None if that has no bucket."""
        if self._pid != os.getpid():
            self._begin()
        if not any_bucket():
            return None
        session = session_of(owner)
        if session is None:
            return self._buckets
        if not session.has_bucket:
            return None
        lane = self._of.get(session)
        if lane is None:
            made = ThreadPoolExecutor(_WAITING, thread_name_prefix="treering-bucket")
            lane = self._of.setdefault(session, made)
        return lane


lanes: Final = _Lanes()


def start(lane: Lane, function: Callable[[], T]) -> tuple[asyncio.Future[T], Waiting]:
    """Has a thread of a lane run something for this loop; `leave` tells it that nobody waits any more."""
    waiting = Waiting()
    # A resolver may ask a context variable which scope is meant.
    work = copy_context().run
    return asyncio.get_running_loop().run_in_executor(lane, work, waiting.run, lambda: settled(function)), waiting


async def run(lane: Lane, function: Callable[[], T]) -> T:
    """Runs something in a thread of a lane."""
    future, waiting = start(lane, function)
    try:
        return await future
    except asyncio.CancelledError:
        waiting.leave()
        raise


async def in_reader(owner: object, read: Callable[[], T]) -> T:
    """Runs what reads for an object."""
    return await run(lanes.of(owner), read)


def settled(function: Callable[[], T]) -> T:
    """Calls it. A future can't hold StopIteration, and refuses it without a word to who waits."""
    try:
        return function()
    except StopIteration as stop:
        raise RuntimeError("a function that was called in a thread raised StopIteration") from stop
