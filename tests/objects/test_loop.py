"""An event loop never waits for a bucket: it is the loop that lets each answer come, so it would wait for ever."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from treering import aio
from treering._lanes import _WAITING
from treering.commit import Commit
from treering.projections import SourceEvent

sys.path.insert(0, str(Path(__file__).parent))

from proxy import Fault, Proxy, Request
from server import Server

MIB = 1 << 20


def puts(request: Request) -> bool:
    return request.method == "PUT"


def gets(request: Request) -> bool:
    return request.method == "GET"


async def let_through(proxy: Proxy, fits: Callable[[Request], bool], call: Awaitable[Any]) -> Any:
    """Awaits a call whose request is answered only when the loop says so."""
    held = proxy.fail("slow", fits, times=1000, seconds=20.0)
    task = asyncio.ensure_future(call)
    while held.happened == 0:
        assert not task.done()
        await asyncio.sleep(0.001)
    assert not task.done()
    proxy.heal()
    result = await task
    assert not held.came_by_itself
    return result


async def test_writes_and_reads(server: Server, proxy: Proxy, place: str, tmp_path: Path) -> None:
    url = server.url(place, proxy.endpoint)
    opening = aio.open(tmp_path / "state", blobs=url)
    store = await let_through(proxy, puts, _opened(opening))
    alice = store.scope("alice")
    await let_through(proxy, puts, store.put(b"0" * MIB))
    thread = await let_through(proxy, puts, alice.threads.start("t", prompt="t" * 300_000))
    step = await let_through(proxy, puts, thread.append("coder", "see", artifacts={"log": b"1" * MIB}))
    await let_through(proxy, puts, thread.extend([("coder", "2" * MIB)]))
    await let_through(proxy, puts, alice.files.put("f", b"3" * MIB))
    await let_through(proxy, puts, _commit(store))
    assert await let_through(proxy, gets, _file(alice)) == b"3" * MIB
    assert await let_through(proxy, gets, _log(step)) == b"1" * MIB
    assert (await let_through(proxy, gets, store.verify())).ok
    await store.close()


async def _opened(opening: Any) -> Any:
    return await opening


async def _commit(store: Any) -> None:
    async with store.scope("bob").commit() as commit:
        commit.put(b"4" * MIB)


async def _file(alice: Any) -> bytes:
    async with await alice.files.open("f") as file:
        return await file.read()


async def _log(step: Any) -> bytes:
    # Where nothing can be awaited, the caller chooses the thread.
    return await asyncio.to_thread(step.artifacts.__getitem__, "log")


def draft(view: int, event: SourceEvent, commit: Commit) -> int:
    commit.put(bytes([view + 65]) * MIB)
    return view + 1


async def test_what_a_projection_writes(server: Server, proxy: Proxy, place: str, tmp_path: Path) -> None:
    async with aio.open(tmp_path / "state", blobs=server.url(place, proxy.endpoint)) as store:
        alice = store.scope("alice")
        projection = alice.projection("seen", kinds=["user-memory"], start=0)
        await alice.memory.add("fact", "one")
        await let_through(proxy, puts, projection.catch_up(draft))
        await alice.memory.add("fact", "two")
        following = projection.follow(draft)
        report = await let_through(proxy, puts, anext(following))
        assert report.events == 1
        await following.aclose()


async def until(held: Fault, count: int) -> None:
    while held.happened < count:  # noqa: ASYNC110
        await asyncio.sleep(0.001)


async def test_who_waits_for_a_bucket_keeps_nobody_else_waiting(
    server: Server, proxy: Proxy, place: str, tmp_path: Path
) -> None:
    store = await aio.open(tmp_path / "state", blobs=server.url(place, proxy.endpoint))
    plain = await aio.open(tmp_path / "plain")
    cid = await store.put(b"x" * MIB)
    held = proxy.fail("slow", gets, times=1000, seconds=60.0)
    waiting = [asyncio.ensure_future(store.blocks.get(cid)) for _ in range(8)]
    await until(held, 8)
    for each in (store, plain):
        alice = each.scope("alice")
        await alice.memory.add("context", "x")
        assert len(await alice.memory.get()) == 1
        await alice.threads.start("t")
    async with aio.open(tmp_path / "third") as third:
        await third.scope("alice").memory.add("context", "x")
    await plain.close()
    assert not any(call.done() for call in waiting)
    proxy.heal()
    assert await asyncio.gather(*waiting) == [b"x" * MIB] * 8
    assert not held.came_by_itself
    await store.close()


async def test_a_cancelled_await_gives_its_thread_back(
    server: Server, proxy: Proxy, place: str, tmp_path: Path
) -> None:
    store = await aio.open(tmp_path / "state", blobs=server.url(place, proxy.endpoint))
    memory = store.scope("alice").memory
    cid = await store.put(b"x" * MIB)
    held = proxy.fail("slow", gets, times=1000, seconds=60.0)
    # All threads that an opening has.
    waiting = [asyncio.ensure_future(store.blocks.get(cid)) for _ in range(_WAITING)]
    await until(held, _WAITING)
    behind = asyncio.ensure_future(memory.get())
    await asyncio.sleep(0.1)
    assert not behind.done()
    for call in waiting:
        call.cancel()
    assert len(await behind) == 0
    assert not held.came_by_itself
    proxy.heal()
    assert await store.blocks.get(cid) == b"x" * MIB
    await store.close()


async def test_what_is_read_at_first_use(server: Server, proxy: Proxy, place: str, tmp_path: Path) -> None:
    async with aio.open(tmp_path / "state", blobs=server.url(place, proxy.endpoint)) as store:
        thread = await store.threads.start("t", prompt="p" * MIB)
        await thread.append("coder", "t" * MIB)
        step = await thread.at(1)
        assert await let_through(proxy, gets, asyncio.to_thread(lambda: step.text)) == "t" * MIB
        assert await let_through(proxy, gets, asyncio.to_thread(lambda: thread.prompt)) == "p" * MIB
        # Kept.
        proxy.fail("slow", gets, times=1000, seconds=60.0)
        assert step.text == "t" * MIB
        proxy.heal()


INTERRUPTED = """
import asyncio, sys
from treering import aio

async def main():
    store = await aio.open(sys.argv[1])
    print("go", flush=True)
    await store.blocks.get(sys.argv[2])

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there SIGINT can't be sent to another process alone")
async def test_a_program_that_is_interrupted_ends(server: Server, proxy: Proxy, place: str, tmp_path: Path) -> None:
    async with aio.open(tmp_path / "state", blobs=server.url(place, proxy.endpoint)) as store:
        cid = await store.put(b"x" * MIB)
    held = proxy.fail("slow", lambda request: request.method == "GET" and "treering" not in request.name, seconds=60.0)
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", INTERRUPTED, tmp_path / "state", str(cid), stderr=subprocess.PIPE
    )
    await until(held, 1)
    program.send_signal(signal.SIGINT)
    _, said = await program.communicate()
    assert said.rstrip().endswith(b"KeyboardInterrupt")
    assert not held.came_by_itself
