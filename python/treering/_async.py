"""Async classes, derived from the sync ones: the same bodies, driven by an event loop.

A verb becomes a coroutine: its body runs on the loop up to the commit that it queues, then waits for a
future that the core resolves, many at a time by one call into the loop. A read becomes a coroutine that
runs in one of a few threads of our own, since the loop's default executor may be full of other work; what a
function of the caller's waits for is waited for there. A stream becomes an async iterator that fetches
chunks in such a thread; a pump becomes one whose body runs on the loop, as a verb's does. Everything else,
what touches no disk, stays as it is.

A cancelled await does not undo a commit: it lands or not, and its command id tells.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Generator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial, wraps
from inspect import signature
from types import MemberDescriptorType
from typing import Any, Final, TypeVar, cast

from treering import backup, store
from treering._calls import Feed, Kind, Look, Op, Pump, Queued, call_of, outer_type
from treering._core import Pending, Watch
from treering._family import ASYNC, ASYNC_MODULE
from treering._session import may_wait_for_buckets
from treering.store import Store

T = TypeVar("T")

_THREADS: Final = 4
_AWAITED_NAMES: Final = {"__enter__": "__aenter__", "__exit__": "__aexit__", "__iter__": "__aiter__"}


class _Readers:
    """The threads that read for event loops; a child of fork() gets its own."""

    def __init__(self) -> None:
        self._pid = 0
        self._executor: Executor | None = None

    def executor(self) -> Executor:
        if self._executor is None or self._pid != os.getpid():
            self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="treering-read")
            self._pid = os.getpid()
        return self._executor

    def run(self, function: Callable[[], T]) -> asyncio.Future[T]:
        # A resolver may ask a context variable which scope is meant.
        return asyncio.get_running_loop().run_in_executor(self.executor(), copy_context().run, function)


_readers: Final = _Readers()


async def in_reader(read: Callable[[], T]) -> T:
    """Runs what reads in one of the threads for that."""
    return await _readers.run(read)


async def drive(op: Op[T]) -> T:
    """Runs a verb's body to its end on the running loop."""
    resume: Callable[[], Queued] = partial(next, op)
    while True:
        ended, value = await _stepped(resume)
        if ended:
            return cast("T", value)
        resume = await _answered(op, value)


async def _answered(steps: Generator[Any, Any, Any], queued: Queued) -> Callable[[], Any]:
    """Returns how a body goes on: with the answer to what it queued, or with what that failed with."""
    try:
        answer = await _answer(queued)
    except BaseException as error:
        return partial(steps.throw, error)
    return partial(steps.send, answer)


async def _stepped(resume: Callable[[], Any]) -> tuple[bool, Any]:
    """Runs a body up to what it yields next, (False, that), or to its end, (True, result); where it may send large
    blocks to a bucket before it queues their commit, not on the loop."""
    if may_wait_for_buckets():
        return await _readers.run(partial(_step, resume))
    return _step(resume)


def _step(resume: Callable[[], Any]) -> tuple[bool, Any]:
    # A future can't hold StopIteration.
    try:
        return False, resume()
    except StopIteration as stop:
        return True, stop.value


async def _answer(queued: Queued) -> Any:
    if isinstance(queued, Look):
        return await (asyncio.to_thread(queued.read) if queued.theirs else _readers.run(queued.read))
    if isinstance(queued, Pending):
        pending = queued
    elif callable(queued):
        pending = await _readers.run(queued)
    else:
        return await queued
    loop = asyncio.get_running_loop()
    while True:
        answered = loop.create_future()
        pending.notify(loop, answered)
        await answered
        done, value = pending.resolve()
        if done:
            return value
        # Planned anew on what changed meanwhile, and queued again.
        pending = value


_ENDED: Final = object()


async def _items(chunks: Feed[T], executor: Executor) -> AsyncIterator[T]:
    loop = asyncio.get_running_loop()
    while True:
        chunk: Any = await loop.run_in_executor(executor, next, chunks, _ENDED)
        if chunk is _ENDED:
            return
        if isinstance(chunk, Watch):
            # Waiting takes no thread.
            rung = loop.create_future()
            chunk.notify(loop, rung)
            await rung
            continue
        for item in chunk:
            yield item


async def _pumped(steps: Pump[T]) -> AsyncIterator[T]:
    loop = asyncio.get_running_loop()
    go_on: Callable[[], Any] = partial(next, steps)
    resume = go_on
    while True:
        ended, step = await _stepped(resume)
        if ended:
            return
        resume = go_on
        if isinstance(step, list):
            for item in step:
                yield item
        elif isinstance(step, Watch):
            # Waiting takes no thread.
            rung = loop.create_future()
            step.notify(loop, rung)
            await rung
        else:
            resume = await _answered(steps, step)


def _as_pump(body: Callable[..., Pump[Any]]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        return _pumped(body(*args, **kwargs))

    return call


def _as_verb(body: Callable[..., Op[Any]]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        return await drive(body(*args, **kwargs))

    return call


def _as_read(body: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        return await _readers.run(partial(body, *args, **kwargs))

    return call


def _as_stream(body: Callable[..., Feed[Any]]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        return _items(body(*args, **kwargs), _readers.executor())

    return call


def _as_immediate(body: Callable[..., Any]) -> Callable[..., Any]:
    # `async with` of something whose entering touches no disk.
    async def call(*args: Any, **kwargs: Any) -> Any:
        return body(*args, **kwargs)

    return call


# What is @blocking has no async form.
_FORMS: Final[dict[Kind, Callable[[Callable[..., Any]], Callable[..., Any]]]] = {
    "verb": _as_verb,
    "read": _as_read,
    "looks": _as_verb,
    "stream": _as_stream,
    "feed": _as_stream,
    "pump": _as_pump,
}


def derive(sync_class: type[T], *bases: type) -> type[T]:
    """Returns the async class of a sync one; the two share bodies and docstrings, not a type.

    `bases`: what of the core both are.
    """
    members: dict[str, Any] = {}
    slots: list[str] = []
    # What it has from its bases, too: the async class has none but the core's.
    for ancestor in reversed(sync_class.__mro__):
        if not ancestor.__module__.startswith("treering.") or ancestor in bases:
            continue
        for name, member in vars(ancestor).items():
            if isinstance(member, MemberDescriptorType) or name in ("__dict__", "__weakref__"):
                continue  # made anew from __slots__
            if name in _OF_BASES or _is_blocking(member):
                continue
            members[_AWAITED_NAMES.get(name, name)] = _async_member(name, member)
        slots += vars(ancestor).get("__slots__", ())
    members |= {"__module__": ASYNC_MODULE, "_family": ASYNC, "__slots__": tuple(slots), "__doc__": sync_class.__doc__}
    return cast("type[T]", type(sync_class.__name__, bases, members))


# What the metaclass of abstract bases and typing leave in a class.
_OF_BASES: Final = {"__abstractmethods__", "_abc_impl", "__orig_bases__", "__parameters__"}


def _is_blocking(member: Any) -> bool:
    found = call_of(member)
    return found is not None and found[0] == "blocking"


def _async_member(name: str, member: Any) -> Any:
    if (found := call_of(member)) is not None:
        kind, body = found
        call = _FORMS[kind](body)
        returns = outer_type(str(body.__annotations__["return"]), kind).replace("Iterator[", "AsyncIterator[")
    elif name in _AWAITED_NAMES:
        body = member
        call = _as_immediate(body)
        returns = str(body.__annotations__["return"])
    else:
        return member
    call.__name__ = _AWAITED_NAMES.get(name, name)
    call.__qualname__ = body.__qualname__.replace(name, call.__name__)
    call.__module__ = ASYNC_MODULE
    call.__doc__ = body.__doc__
    call.__annotations__ = {**body.__annotations__, "return": returns}
    setattr(call, "__signature__", signature(body).replace(return_annotation=returns))  # noqa: B010
    return call


class Opening:
    """A store that is being opened: `await` it, or use it with `async with`."""

    __slots__ = ("_open", "_store")

    def __init__(self, open_store: Callable[[], Any]) -> None:
        self._open = open_store
        self._store: Any = None

    def __await__(self) -> Generator[Any, None, Any]:
        return self._opened().__await__()

    async def __aenter__(self) -> Any:
        return await self._opened()

    async def __aexit__(self, *_: object) -> None:
        if self._store is not None:
            await self._store.close()

    async def _opened(self) -> Any:
        if self._store is None:
            self._store = await _readers.run(self._open)
        return self._store


def _awaited(sync_open: Callable[..., Store]) -> Callable[..., Opening]:
    @wraps(sync_open)
    def call(*args: Any, **kwargs: Any) -> Opening:
        # The sync object is only a way to the session, which the async one takes over.
        return Opening(lambda: ASYNC.Store(sync_open(*args, **kwargs)._session))

    call.__module__ = ASYNC_MODULE
    call.__annotations__ = {**sync_open.__annotations__, "return": "Opening"}
    setattr(call, "__signature__", signature(sync_open).replace(return_annotation="Opening"))  # noqa: B010
    return call


restore_backup: Final = _async_member("restore", backup.restore)
open_store: Final = _awaited(store.open)
memory_store: Final = _awaited(store.memory)
