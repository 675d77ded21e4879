"""An event loop never waits for a bucket: it is the loop that lets each answer come, so it would wait for ever."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from treering import aio
from treering.commit import Commit
from treering.projections import SourceEvent

sys.path.insert(0, str(Path(__file__).parent))

from proxy import Proxy, Request
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
