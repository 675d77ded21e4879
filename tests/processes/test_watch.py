"""Watching from any process, without polling: idle watchers sleep, commits wake them, closing ends them."""

import asyncio
import signal
import threading
import time
from pathlib import Path

import pytest
from others import Start

import treering
from treering import Closed, aio

SYNC = """
    store = treering.open(sys.argv[1])
    cursor = store.cursor()
    say("watching")
    for entry in store.watch(after=cursor):
        say(entry.position)
"""
ASYNC = """
    import asyncio
    from treering import aio
    async def main():
        async with aio.open(sys.argv[1]) as store:
            cursor = await store.cursor()
            say("watching")
            async for entry in store.watch(after=cursor):
                say(entry.position)
    asyncio.run(main())
"""
READ_ONLY = SYNC.replace("sys.argv[1]", "sys.argv[1], read_only=True")


def test_commits_of_another_process_wake_and_idle_watchers_sleep(tmp_path: Path, start: Start) -> None:
    with treering.open(tmp_path / "s") as store:
        thread = store.threads.start("w")
        watchers = [start(code, tmp_path / "s") for code in (SYNC, ASYNC, READ_ONLY)]
        for watcher in watchers:
            assert watcher.hear() == "watching"
        began = time.monotonic()
        for n in range(40):
            position = thread.append("a", str(n)).number + 1
            for watcher in watchers:
                assert watcher.hear() == str(position)
        # By their looks alone, one in 5 s, it would have taken 200 s.
        assert time.monotonic() - began < 100
        # The first look after a commit tells the watchers once more.
        time.sleep(6)
        before, began = [watcher.wake_ups() for watcher in watchers], time.monotonic()
        time.sleep(9.8)
        woken = [watcher.wake_ups() - count for watcher, count in zip(watchers, before, strict=True)]
        print("wake-ups of all threads in 10 s: sync, async, read-only", woken)
        # Where the machine stood still in between, as many looks as fit.
        looks = 2 if time.monotonic() - began <= 10 else (time.monotonic() - began) // 5 + 1
        assert max(woken) <= looks
        thread.append("a", "one more")
        for watcher in watchers:
            assert watcher.hear() == "42"


def test_ctrl_c_ends_a_watch_and_nothing_else(tmp_path: Path, start: Start) -> None:
    code = """
        store = treering.open(sys.argv[1])
        thread = store.threads.start("w")
        entries = store.watch(after=store.cursor())
        say("watching")
        try:
            next(entries)
        except KeyboardInterrupt:
            say("interrupted")
        say(thread.append("a").number, next(store.watch(after=store.cursor())).position)
    """
    other = start(code, tmp_path / "s")
    assert other.hear() == "watching"
    time.sleep(0.5)
    other.send(signal.SIGINT)
    assert other.hear() == "interrupted"
    with treering.open(tmp_path / "s") as store:
        time.sleep(0.5)
        store.threads.start("w")
    assert other.hear() == "1 3"
    other.join()


def test_closing_ends_the_watches_of_a_store_and_no_others(tmp_path: Path) -> None:
    one, two = treering.open(tmp_path / "s"), treering.open(tmp_path / "s")
    thread = one.threads.start("w")
    seen: dict[str, list[int]] = {"one": [], "two": []}

    def follow(name: str, store: treering.Store) -> None:
        seen[name].extend(entry.position for entry in store.watch())

    following = [
        threading.Thread(target=follow, args=("one", one)),
        threading.Thread(target=follow, args=("two", two)),
    ]
    for watcher in following:
        watcher.start()
    thread.append("a")
    time.sleep(0.2)
    one.close()
    following[0].join(30)
    assert not following[0].is_alive()
    assert following[1].is_alive()
    two.threads.start("w")
    time.sleep(0.2)
    two.close()
    following[1].join(30)
    assert not following[1].is_alive()
    assert seen == {"one": [1, 2], "two": [1, 2, 3]}
    with pytest.raises(Closed):
        next(one.watch())


@pytest.mark.parametrize("memory", [True, False])
async def test_closing_ends_an_async_watch(tmp_path: Path, memory: bool) -> None:
    store = await (aio.memory() if memory else aio.open(tmp_path / "s"))
    await store.threads.start("w")

    async def follow() -> list[int]:
        return [entry.position async for entry in store.watch()]

    following = [asyncio.ensure_future(follow()) for _ in range(20)]
    await asyncio.sleep(0.2)
    assert not any(task.done() for task in following)
    await store.close()
    assert await asyncio.wait_for(asyncio.gather(*following), 30) == [[1]] * 20


async def test_a_cancelled_watch_leaves_no_thread_and_no_listener(tmp_path: Path) -> None:
    async with aio.open(tmp_path / "s") as store:
        await store.threads.start("w")
        threads = threading.active_count()
        waiting = [asyncio.ensure_future(anext(store.watch(after=await store.cursor()))) for _ in range(50)]
        await asyncio.sleep(0.2)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert threading.active_count() <= threads + 4  # the readers, shared by all
        await store.threads.start("w")
        assert (await anext(store.watch())).position == 1


def test_a_process_may_end_while_it_watches(tmp_path: Path, start: Start) -> None:
    code = """
        import threading
        store = treering.open(sys.argv[1])
        store.threads.start("w")
        threading.Thread(target=lambda: list(store.watch(after=store.cursor())), daemon=True).start()
        import time; time.sleep(0.3)
        say("ends")
    """
    assert start(code, tmp_path / "s").join() == ["ends"]
