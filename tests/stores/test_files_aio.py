"""`files` in an event loop: the same, awaited; sources may be awaited too."""

import asyncio
import io
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import treering
from treering import Invalid, LimitExceeded, NotFound, aio
from treering.messages import FilePut

MIB = 1 << 20
CONTENT = bytes(range(256)) * (2 * MIB // 256 + 3)


class Source:
    """Read as a file is, by awaiting it."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)
        self.largest = 0

    async def read(self, size: int) -> bytes:
        await asyncio.sleep(0)
        self.largest = max(self.largest, size)
        return self._file.read(size)


async def pieces(size: int = 300_000) -> AsyncIterator[bytes]:
    for at in range(0, len(CONTENT), size):
        await asyncio.sleep(0)
        yield b""
        yield CONTENT[at : at + size]


async def test_every_source(tmp_path: Path) -> None:
    async with aio.open(tmp_path / "state") as store:
        files = store.scope("alice").files
        source = Source(CONTENT)
        for path, data in {"a": CONTENT, "b": io.BytesIO(CONTENT), "c": source, "d": pieces(), "e": [CONTENT]}.items():
            info = (await files.put(path, data)).value
            assert info is not None
            assert info.size == len(CONTENT)
            async with await files.open(path) as file:
                assert await file.read() == CONTENT
        assert source.largest == MIB, "a piece at a time"
        assert [file.path for file in await files.list()] == list("abcde")
        assert len([event async for event in files.history("c")]) == 1


async def test_reading_in_pieces(tmp_path: Path) -> None:
    async with aio.open(tmp_path / "state") as store:
        files = store.scope("alice").files
        await files.put("a", CONTENT)
        async with await files.open("a") as file:
            assert file.info == await files.stat("a")
            assert await file.read(5) == CONTENT[:5]
            assert (file.seek(-5, io.SEEK_END), await file.read(), await file.read()) == (
                len(CONTENT) - 5,
                CONTENT[-5:],
                b"",
            )
            assert await file.range(MIB, 3) == CONTENT[MIB : MIB + 3]
            file.seek(0)
            assert b"".join([piece async for piece in file.chunks(700_000)]) == CONTENT
            assert file.tell() == len(CONTENT)
            assert (file.seek(1000, io.SEEK_CUR), await file.read(4)) == (len(CONTENT) + 1000, b"")
        with pytest.raises(ValueError, match="closed"):
            await file.read()
        with pytest.raises(NotFound):
            await files.open("b")


async def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield CONTENT
        raise RuntimeError("the network is gone")

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield CONTENT

    settings = treering.Settings(file_bytes=3 * MIB)
    async with aio.open(tmp_path / "state", settings=settings) as store:
        files = store.scope("alice").files
        with pytest.raises(RuntimeError, match="network"):
            await files.put("a", breaks())
        with pytest.raises(LimitExceeded):
            await files.put("a", endless())
        hanging = asyncio.create_task(files.put("a", _waits()))
        await asyncio.sleep(0.05)
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        assert (await files.list()).version == 0
    assert [file for file in (tmp_path / "state/blobs").rglob("*") if file.is_file()] == []


async def _waits() -> AsyncIterator[bytes]:
    yield CONTENT
    await asyncio.sleep(3600)


def test_what_is_awaited_needs_a_loop() -> None:
    with treering.memory() as store, pytest.raises(TypeError, match="event loop"):
        store.scope("alice").files.put("a", Source(CONTENT))


async def test_many_at_once(tmp_path: Path) -> None:
    async with aio.open(tmp_path / "state") as store:
        files = store.scope("alice").files
        receipts = await asyncio.gather(*(files.put(f"{number}", [bytes([number]) * MIB]) for number in range(8)))
        assert sorted(receipt.version for receipt in receipts) == list(range(1, 9))
        found = [file.size for file in await files.list()]
        assert found == [MIB] * 8
        watch = files.watch(after=7)
        event = await anext(watch)
        assert isinstance(event.message, FilePut)


async def test_an_open_file_is_not_pickled(tmp_path: Path) -> None:
    import pickle

    async with aio.open(tmp_path / "state") as store:
        files = store.scope("alice").files
        await files.put("a", b"x")
        with pytest.raises(Invalid, match="pickle"):
            pickle.dumps(await files.open("a"))


async def test_slow_sources_keep_no_read_waiting(tmp_path: Path) -> None:
    """More of them than there are threads that read: each waits until a read of the store was answered."""
    answered = threading.Event()

    class Slow:
        def __init__(self) -> None:
            self._left = [b"x", b""]

        def read(self, _: int) -> bytes:
            assert answered.wait(30), "no read was answered before"
            return self._left.pop(0)

    async with aio.open(tmp_path / "state") as store:
        bob = store.scope("bob")
        await bob.memory.add("context", "x")
        sources = [*(Slow() for _ in range(4)), (Slow().read(1) for _ in range(3))]
        files = store.scope("alice").files
        puts = asyncio.gather(*(files.put(f"{number}", source) for number, source in enumerate(sources)))
        await asyncio.sleep(0.2)
        assert len(await asyncio.wait_for(bob.memory.get(), 20)) == 1
        answered.set()
        await puts
        assert len(await files.list()) == 5
