"""`treering.aio` under the sync names: whatever is to be awaited is, on a loop of its own.

So what plays the sync API plays the async one too, and there is one body for each verb. Promises: nothing sync stands
in for something async; every object that comes out of `treering.aio` is wrapped, what goes in is unwrapped.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import treering
from treering import aio, testing

MODULE = "treering.aio"


class Awaited:
    """The ways in, as `treering.aio` has them."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()

    def open(self, path: str, read_only: bool = False) -> Any:
        return self.done(aio.open(path, read_only=read_only))

    def memory(self) -> Any:
        return self.done(aio.memory())

    def restore(self, backup: str, path: str) -> Any:
        return self.done(aio.restore(backup, path))

    def of(self, store: treering.Store) -> Any:
        """The same store, as this side sees it."""
        return self.wrapped(testing.as_async(store))

    def close(self) -> None:
        self.loop.close()

    def done(self, found: Any) -> Any:
        """What a call came to: awaited, iterated step by step, or as it is."""
        if inspect.isawaitable(found):
            return self.wrapped(self.loop.run_until_complete(_awaited(found)))
        if isinstance(found, AsyncIterator):
            return self.iterated(found)
        return self.wrapped(found)

    def iterated(self, items: Any) -> Iterator[Any]:
        try:
            while True:
                try:
                    item = self.loop.run_until_complete(anext(items))
                except StopAsyncIteration:
                    return
                yield self.wrapped(item)
        finally:
            self.loop.run_until_complete(items.aclose())

    def wrapped(self, found: Any) -> Any:
        if isinstance(found, list):
            return [self.wrapped(one) for one in found]
        return _Object(self, found) if type(found).__module__ == MODULE else found


async def _awaited(found: Any) -> Any:
    return await found


def _unwrapped(given: Any) -> Any:
    if isinstance(given, list):
        return [_unwrapped(one) for one in given]
    return given._it if isinstance(given, _Object) else given


class _Object:
    """An object of `treering.aio`; its methods are sync from outside."""

    def __init__(self, api: Awaited, it: Any) -> None:
        self._api = api
        self._it = it

    def _called(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            given = {name: _unwrapped(value) for name, value in kwargs.items()}
            return self._api.done(method(*map(_unwrapped, args), **given))

        return call

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._it, name)
        return self._called(found) if inspect.isroutine(found) else self._api.wrapped(found)

    def __enter__(self) -> Any:
        return self._called(self._it.__aenter__)()

    def __exit__(self, *error: Any) -> Any:
        return self._called(self._it.__aexit__)(*error)

    def __iter__(self) -> Any:
        return self._api.done(aiter(self._it))

    def __reversed__(self) -> Any:
        return self._api.done(self._it.__reversed__())

    def __getitem__(self, key: Any) -> Any:
        return self._api.done(self._it[_unwrapped(key)])

    def __len__(self) -> int:
        return len(self._it)
