"""Lists and maps under asyncio: the same values, awaited, and the loop runs meanwhile."""

import asyncio
import pickle
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import treering
from treering import aio
from treering.testing import Faults, open


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[aio.Store]:
    async with aio.open(tmp_path / "state") as opened:
        yield opened


async def test_a_list(store: aio.Store) -> None:
    vector = aio.Vector(f"{number} " + "x" * 100 for number in range(100))
    longer = await vector.append("last")
    thread = await store.threads.start("chat")
    await thread.append("coder", {"history": longer})
    stored = await store.blocks.vector(longer.cid)
    assert type(stored) is type(longer) is aio.Vector
    assert stored == longer == treering.Vector(longer)
    assert len(stored) == 101
    assert await stored[-1] == "last"
    assert await stored[98:] == [f"{number} " + "x" * 100 for number in (98, 99)] + ["last"]
    everything = [value async for value in stored]
    assert everything == [value async for value in reversed(stored)][::-1]
    assert len(everything) == 101
    shorter = await (await stored.drop_front(60)).drop_back(40)
    assert [value async for value in shorter] == everything[60:61]
    assert await (await (await shorter.set(0, "one")).extend(["two"]))[0:2] == ["one", "two"]
    with pytest.raises(IndexError):
        await shorter[1]
    assert not hasattr(stored, "__contains__")
    again = pickle.loads(pickle.dumps(stored))
    assert type(again) is aio.Vector
    assert again == stored


async def test_a_map(store: aio.Store) -> None:
    made = await (await aio.Map({"a": 1}).insert("b", "x" * 100)).update({"c": 3})
    stored = await store.blocks.map(await store.blocks.put_node(made))
    assert type(stored) is aio.Map
    assert {key async for key in stored} == {"a", "b", "c"}
    assert {key: value async for key, value in stored.entries()} == {"a": 1, "b": "x" * 100, "c": 3}
    assert (await stored["a"], await stored.get("z"), await stored.get("z", 0)) == (1, None, 0)
    with pytest.raises(KeyError):
        await (await stored.remove("a"))["a"]
    assert not {"__contains__", "items", "values", "keys"} & set(dir(stored))


async def test_the_loop_runs_while_blocks_are_read(tmp_path: Path) -> None:
    faults = Faults()
    with open(tmp_path / "state", faults=faults) as sync:
        vector = treering.Vector(str(number) + "x" * 100 for number in range(100))
        sync.blocks.put_node(vector)
        faults.delay("read", 0.2)
        reading = asyncio.ensure_future(aio.Vector(vector)[3])
        ticks = 0
        while not reading.done():
            await asyncio.sleep(0.01)
            ticks += 1
        assert await reading == "3" + "x" * 100
        assert ticks >= 5
