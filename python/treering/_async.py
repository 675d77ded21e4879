"""Async classes, derived from the sync ones: the same bodies, driven by an event loop.

A verb becomes a coroutine: its body runs on the loop up to the commit that it queues, then waits for a
future that the core resolves, many at a time by one call into the loop. A read becomes a coroutine that
runs in a thread of our own (`_lanes`), since the loop's default executor may be full of other work; what a
function of the caller's waits for is waited for there. A stream becomes an async iterator that fetches
chunks in such a thread; a pump becomes one whose body runs on the loop, as a verb's does. Everything else,
what touches no disk, stays as it is.

A cancelled await does not undo a commit: it lands or not, and its command id tells. What else was under way ends soon.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from functools import partial, wraps
from inspect import signature
from types import MemberDescriptorType
from typing import Any, Final, TypeVar, cast

from treering import backup, store
from treering._calls import WAITS, Feed, Kind, Look, Op, Pump, Queued, call_of, outer_type
from treering._core import Pending, Waiting, Watch
from treering._family import ASYNC, ASYNC_MODULE
from treering._lanes import in_reader, lanes, run, settled, start
from treering.store import Store

T = TypeVar("T")

_AWAITED_NAMES: Final = {"__enter__": "__aenter__", "__exit__": "__aexit__", "__iter__": "__aiter__"}


async def drive(op: Op[T], owner: object) -> T:
    """Runs a verb's body to its end on the running loop; `owner` is whose verb it is."""
    resume: Callable[[], Queued] = partial(next, op)
    while True:
        ended, value = await _stepped(resume, owner)
        if ended:
            return cast("T", value)
        resume = await _answered(op, value, owner)


async def _answered(steps: Generator[Any, Any, Any], queued: Queued, owner: object) -> Callable[[], Any]:
    """Returns how a body goes on: with the answer to what it queued, or with what that failed with."""
    try:
        answer = await _answer(queued, owner)
    except BaseException as error:
        return partial(steps.throw, error)
    return partial(steps.send, answer)


async def _stepped(resume: Callable[[], Any], owner: object) -> tuple[bool, Any]:
    """Runs a body up to what it yields next, (False, that), or to its end, (True, result); where it may send large
    blocks to a bucket before it queues their commit, not on the loop."""
    if (lane := lanes.of_bucket(owner)) is not None:
        return await run(lane, partial(_step, resume))
    return _step(resume)


def _step(resume: Callable[[], Any]) -> tuple[bool, Any]:
    # A future can't hold StopIteration.
    try:
        return False, resume()
    except StopIteration as stop:
        return True, stop.value


async def _answer(queued: Queued, owner: object) -> Any:
    if isinstance(queued, Look):
        if queued.theirs:
            return await asyncio.to_thread(settled, queued.read)
        return await in_reader(owner, queued.read)
    if isinstance(queued, Pending):
        pending = queued
    elif callable(queued):
        pending = await in_reader(owner, queued)
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


class _Items(AsyncIterator[T]):
    """The items of a stream or a feed. No generator: that would be over after a cancelled await, and say so with an end
    that is none. What was under way then is what the next one gets."""

    __slots__ = ("_asked", "_chunks", "_coming", "_endless", "_owner", "_ready", "_waiting")

    def __init__(self, chunks: Feed[T], owner: object, *, endless: bool) -> None:
        self._chunks = chunks
        self._owner = owner
        self._endless = endless
        self._ready: Iterator[T] = iter(())
        # A chunk, or None for more than there is to see.
        self._coming: asyncio.Future[Any] | None = None
        self._waiting: Waiting | None = None
        self._asked = False

    async def __anext__(self) -> T:
        if self._asked:
            raise RuntimeError("somebody waits for the next item already; one task at a time asks an iterator")
        self._asked = True
        try:
            return await self._next()
        finally:
            self._asked = False

    async def _next(self) -> T:
        while True:
            for item in self._ready:
                return item
            chunk = await self._chunk()
            if chunk is _ENDED:
                await self.aclose()
                raise StopAsyncIteration
            if isinstance(chunk, Watch):
                # Waiting takes no thread.
                loop = asyncio.get_running_loop()
                self._coming = loop.create_future()
                chunk.notify(loop, self._coming)
            elif chunk is not None:
                self._ready = iter(chunk)

    async def _chunk(self) -> Any:
        coming = self._coming
        if coming is None:
            fetch: Callable[[], Any] = partial(next, self._chunks, _ENDED)
            coming, self._waiting = start(lanes.of(self._owner), fetch)
            self._coming = coming
        try:
            chunk = await asyncio.shield(coming)
        except (asyncio.CancelledError, GeneratorExit):
            # What came in this very moment, or is still to come, was given to nobody: the next one gets it.
            if coming.cancelled():
                self._given(coming)
            # A feed is asked again: by whoever looks at a clock between two events.
            if not self._endless:
                self._leave()
            raise
        except BaseException:
            self._given(coming)
            raise
        self._given(coming)
        return chunk

    def _given(self, coming: asyncio.Future[Any]) -> None:
        if self._coming is coming:
            self._coming = None

    def _leave(self) -> None:
        if self._waiting is not None:
            self._waiting.leave()

    async def aclose(self) -> None:
        """Ends it; twice does nothing."""
        self._leave()
        self._ready, self._coming, self._chunks = iter(()), None, iter(())

    def __del__(self) -> None:
        self._leave()


async def _pumped(steps: Pump[T], owner: object) -> AsyncIterator[T]:
    loop = asyncio.get_running_loop()
    go_on: Callable[[], Any] = partial(next, steps)
    resume = go_on
    while True:
        ended, step = await _stepped(resume, owner)
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
            resume = await _answered(steps, step, owner)


def _as_pump(body: Callable[..., Pump[Any]]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        return _pumped(body(*args, **kwargs), args[0])

    return call


def _as_verb(body: Callable[..., Op[Any]]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        return await drive(body(*args, **kwargs), args[0])

    return call


def _as_read(body: Callable[..., Any]) -> Callable[..., Any]:
    waits = hasattr(body, WAITS)

    async def call(*args: Any, **kwargs: Any) -> Any:
        # A function of the module has no owner.
        lane = lanes.of(args[0] if args else None, waits=waits)
        return await run(lane, partial(body, *args, **kwargs))

    return call


def _as_stream(body: Callable[..., Feed[Any]], *, endless: bool = False) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        return _Items(body(*args, **kwargs), args[0], endless=endless)

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
    "feed": partial(_as_stream, endless=True),
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
            self._store = await run(lanes.of(None, waits=True), self._open)
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
