"""Nobody of an event loop waits because another does: for another process's lock, for a feed, for what raised
StopIteration. A feed whose await was cancelled goes on where it was."""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import treering
from treering import aio
from treering._async import _Items
from treering._session import session_of
from treering.messages import Role


async def test_who_waits_for_another_process_keeps_no_reader_waiting(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    async with aio.open(tmp_path / "s", lock_wait_s=60) as store:
        alice = store.scope("alice")
        await alice.memory.add("context", "x")
        with (tmp_path / "s" / "lock").open("r+") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            waiting = [
                asyncio.ensure_future(call)
                for call in (
                    store.gc(),
                    store.vacuum(),
                    store.seal_journal(),
                    alice.memory.rebuild(),
                    *(store.scope(f"s{n}").erase() for n in range(4)),
                )
            ]
            await asyncio.sleep(0.1)
            assert len(await asyncio.wait_for(alice.memory.get(), 30)) == 1
            async for event in alice.memory.history():
                assert event.version == 1
            # More than the threads that readers have.
            assert sum(not call.done() for call in waiting) > 4
        await asyncio.gather(*waiting)


def stop(*_: object) -> Any:
    raise StopIteration


class Stopping:
    """A workspace, a file and an iterable that stop at once."""

    read = create = replace = remove = write = __next__ = stop

    def __iter__(self) -> Iterator[bytes]:
        return self  # type: ignore[return-value]


async def test_stop_iteration_of_a_callers_code_is_an_error(tmp_path: Path) -> None:
    async with aio.open(tmp_path / "s") as store:
        alice = store.scope("alice")
        await alice.roles.save_draft(Role(id="coder"))
        of_nobody = store.scoped(stop)
        calls: list[Callable[[], Awaitable[Any]]] = [
            of_nobody.memory.get,
            lambda: of_nobody.memory.add("context", "x"),
            of_nobody.files.list,
            alice.with_workspace(Stopping()).roles.import_local,
            lambda: alice.export(Stopping()),
        ]
        for call in calls:
            with pytest.raises(RuntimeError, match="StopIteration"):
                await asyncio.wait_for(call(), 30)


async def test_a_feed_is_asked_again_after_a_timeout(tmp_path: Path) -> None:
    async with aio.open(tmp_path / "s") as store:
        memory = store.scope("alice").memory
        watch, states, journal = memory.watch(), memory.states(), store.watch()
        assert (await anext(states)).version == 0
        for version in range(1, 4):
            for feed in (watch, states, journal):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(anext(feed), 0.02)
            await memory.add("context", str(version))
            assert (await asyncio.wait_for(anext(watch), 30)).version == version
            assert (await asyncio.wait_for(anext(states), 30)).version == version
            await asyncio.wait_for(anext(journal), 30)
        await watch.aclose()  # type: ignore[attr-defined]
        with pytest.raises(StopAsyncIteration):
            await anext(watch)


@pytest.mark.skipif(sys.platform == "win32", reason="there SIGINT can't be sent to oneself")
def test_a_feed_is_asked_again_after_ctrl_c(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s") as store:
        memory = store.scope("alice").memory
        watch = memory.watch()
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            next(watch)
        memory.add("context", "x")
        assert next(watch).version == 1


@pytest.mark.parametrize("endless", [False, True])
async def test_what_was_on_its_way_when_an_await_was_cancelled_comes_next(endless: bool) -> None:
    begun, go = threading.Event(), threading.Event()

    def chunks() -> Iterator[list[int]]:
        begun.set()
        go.wait()
        yield [1, 2]
        yield [3]

    items = _Items(chunks(), None, endless=endless)
    first = asyncio.ensure_future(anext(items))
    await asyncio.to_thread(begun.wait)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    go.set()
    assert [item async for item in items] == [1, 2, 3]
    with pytest.raises(StopAsyncIteration):
        await anext(items)


@pytest.mark.parametrize("endless", [False, True])
@pytest.mark.parametrize("fails", [False, True])
async def test_what_came_in_the_moment_of_a_cancellation_comes_next(endless: bool, fails: bool) -> None:
    items: _Items[int] = _Items(iter([[3]]), None, endless=endless)
    coming = asyncio.get_running_loop().create_future()
    items._coming = coming
    first = asyncio.ensure_future(anext(items))
    await asyncio.sleep(0)

    def both() -> None:
        if fails:
            coming.set_exception(treering.Unavailable("away"))
        else:
            coming.set_result([1, 2])
        # Once the shield has heard of it, and before the task goes on.
        asyncio.get_running_loop().call_soon(first.cancel)

    asyncio.get_running_loop().call_soon(both)
    with pytest.raises(asyncio.CancelledError):
        await first
    if fails:
        with pytest.raises(treering.Unavailable, match="away"):
            await anext(items)
        assert [item async for item in items] == [3]
    else:
        assert [item async for item in items] == [1, 2, 3]


@pytest.mark.parametrize("endless", [False, True])
async def test_an_await_that_is_closed_by_hand_leaves_what_is_coming_to_the_next(endless: bool) -> None:
    may_go_on = threading.Event()

    def chunks() -> Iterator[list[int]]:
        may_go_on.wait(30)
        yield [1, 2]
        yield [3]

    items = _Items(chunks(), object(), endless=endless)
    first: Any = items.__anext__()
    first.send(None)
    first.close()
    may_go_on.set()
    assert [item async for item in items] == [1, 2, 3]


async def test_a_feed_that_is_given_up_again_and_again_misses_nothing(tmp_path: Path) -> None:
    async with aio.open(tmp_path / "state", durability="relaxed") as store:
        memory = store.scope("alice").memory
        feed = memory.watch(after=0)
        writer = asyncio.ensure_future(_remember(memory, 200))
        got: list[int] = []
        while got[-1:] != [200]:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.002):
                    got.append((await anext(feed)).version)
        await writer
        assert got == list(range(1, 201))


async def _remember(memory: Any, count: int) -> None:
    for number in range(count):
        await memory.add("context", str(number))
        if number % 5 == 0:
            # The loop has other work.
            time.sleep(number % 7 / 1000)  # noqa: ASYNC251


async def test_one_task_at_a_time_asks_a_feed(tmp_path: Path) -> None:
    async with aio.open(tmp_path / "state") as store:
        memory = store.scope("alice").memory
        feed = memory.watch(after=0)
        first = asyncio.ensure_future(anext(feed))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="already"):
            await anext(feed)
        await memory.add("context", "one")
        assert (await first).version == 1


async def test_each_object_says_which_opening_it_is_of(tmp_path: Path) -> None:
    async with aio.open(tmp_path / "s") as store:
        alice = store.scope("alice")
        thread = await alice.threads.start("t", key="k")
        await alice.memory.add("context", "x")
        cid = await store.blocks.put_node(treering.Map({"a": 1}))
        scoped = store.scoped(lambda: "alice")
        then = await alice.at(await store.cursor())
        async with alice.commit() as commit:
            draft = commit.threads.start("u")
            objects = [store, store.blocks, store.refs, alice, alice.threads, alice.pins, thread, commit, draft, then]
            objects += [commit.threads, scoped, scoped.memory, then.memory, await store.blocks.map(cid), alice.files]
            objects += [alice.chats, alice.roles, alice.retention, alice.workflows, alice.actor("user-memory")]
            objects += [alice.projection("p", kinds=["user-memory"], start=0), await alice.hold(cid)]
            for each in objects:
                assert session_of(each) is store._session, each
