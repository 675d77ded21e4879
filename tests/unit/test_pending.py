"""Waiting for commits: interruptible, given out once; loops are told in batches, across fork and exit."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from treering import Invalid
from treering._core import Core, Pending, ThreadCore


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    opened = Core.open(str(tmp_path / "state"), True, False, 30_000, False, False, 0, None)
    yield opened
    opened.close()


def started(core: Core) -> ThreadCore:
    return core.threads("main", "durable").start({"workflow": "w"}).wait()


def append(thread: ThreadCore, text: str) -> Pending[Any]:
    return thread.append(("a", text, None, None, (), "now", None), None, None)


def test_the_answer_is_given_once(core: Core) -> None:
    pending = append(started(core), "x")
    assert pending.wait().number == 1
    for again in (pending.wait, pending.resolve):
        with pytest.raises(Invalid, match="once"):
            again()


def test_a_dropped_commit_lands(core: Core) -> None:
    thread = started(core)
    del [append(thread, "x")][0]
    assert append(thread, "y").wait().number == 2


@pytest.mark.skipif(sys.platform == "win32", reason="timers by signal")
def test_ctrl_c_interrupts_the_wait_and_not_the_commit(core: Core) -> None:
    # Somebody else's commit is under way and hangs: this one waits for its turn.
    other, thread = started(core), started(core)
    core.hold_commit_sync()
    hanging = threading.Thread(target=append(other, "x").wait)
    hanging.start()
    until(lambda: core.counters()["batches"] == 3)
    pending = append(thread, "x")
    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            pending.wait()
        assert time.monotonic() - began < 5
    finally:
        signal.signal(signal.SIGALRM, handler)
        core.release_commit_sync()
        hanging.join()
    assert pending.wait().number == 1
    assert thread.at(1).role == "a"


def test_other_threads_run_while_one_waits(core: Core) -> None:
    thread = started(core)
    core.hold_commit_sync()
    pending = append(thread, "x")
    releaser = threading.Timer(0.1, core.release_commit_sync)
    releaser.start()
    # It never would be released if waiting kept the GIL.
    assert pending.wait().number == 1
    releaser.join()


class Future:
    def __init__(self) -> None:
        self.results: list[object] = []
        self.is_done = False

    def done(self) -> bool:
        return self.is_done

    def set_result(self, result: object) -> None:
        self.is_done = True
        self.results.append(result)


class Loop:
    def __init__(self) -> None:
        self.calls: list[int] = []
        self.closed = False
        self.soon: list[Any] = []

    def call_soon(self, call: Any) -> None:
        self.soon.append(call)

    def turn(self) -> None:
        """Runs what was to run soon."""
        calls, self.soon = self.soon, []
        for call in calls:
            call()

    def call_soon_threadsafe(self, complete: Any, futures: list[Future]) -> None:
        if self.closed:
            raise RuntimeError("Event loop is closed")
        self.calls.append(len(futures))
        complete(futures)

    def is_closed(self) -> bool:
        return self.closed


def until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_all_that_is_answered_meanwhile_is_one_call(core: Core) -> None:
    thread = started(core)
    loop, futures = Loop(), [Future() for _ in range(64)]
    core.hold_commit_sync()
    pendings = [append(thread, str(n)) for n in range(64)]
    for pending, future in zip(pendings, futures, strict=True):
        pending.notify(loop, future)
    assert len(loop.soon) == 1
    # The disk is slow: the loop leaves the commit to the writer.
    loop.turn()
    interval, before = sys.getswitchinterval(), core.counters()["requests"]
    # This thread keeps the GIL: the writer answers without it, and the notifier has to wait for it.
    sys.setswitchinterval(1_000)
    try:
        core.release_commit_sync()
        deadline = time.monotonic() + 20
        while core.counters()["requests"] < before + 63 and time.monotonic() < deadline:
            pass
        answered = time.monotonic() + 0.2
        while time.monotonic() < answered:
            pass
    finally:
        sys.setswitchinterval(interval)
    until(lambda: all(future.is_done for future in futures))
    assert loop.calls == [64]
    answers: list[Any] = [pending.resolve()[1] for pending in pendings]
    assert [step.number for step in answers] == list(range(1, 65))


def test_a_loop_completes_what_it_committed_itself(core: Core) -> None:
    # Whatever the disk is: without a sync a commit is quick, most of the time.
    thread = core.threads("main", "relaxed").start({"workflow": "w"}).wait()
    itself = 0
    for number in range(200):
        loop, futures = Loop(), [Future() for _ in range(8)]
        pendings = [append(thread, str(n)) for n in range(8)]
        for pending, future in zip(pendings, futures, strict=True):
            pending.notify(loop, future)
        before = core.counters()["batches"]
        assert not any(future.is_done for future in futures)
        loop.turn()
        # Where another thread committed, that one calls the loop: before it is looked at here, or after.
        if all(future.is_done for future in futures) and not loop.calls:
            itself += 1
            assert core.counters()["batches"] - before == 1
        answers: list[Any] = [pending.resolve()[1] for pending in pendings]
        assert [step.number for step in answers] == list(range(8 * number + 1, 8 * number + 9))
    assert itself > 0


def test_each_loop_gets_its_own_futures_and_done_ones_are_left(core: Core) -> None:
    thread = started(core)
    loops = [Loop(), Loop(), Loop()]
    loops[1].closed = True
    core.hold_commit_sync()
    futures = [Future() for _ in range(9)]
    futures[0].is_done = True
    pendings = [append(thread, str(n)) for n in range(9)]
    for n, pending in enumerate(pendings):
        pending.notify(loops[n % 3], futures[n])
    for loop in loops:
        loop.turn()
    core.release_commit_sync()
    until(lambda: all(futures[n].is_done for n in range(9) if n % 3 != 1))
    assert (sum(loops[0].calls), sum(loops[2].calls), loops[1].calls) == (3, 3, [])
    assert futures[0].results == []
    assert not any(futures[n].is_done for n in (1, 4, 7))
    assert pendings[4].resolve()[0]


def test_an_answer_that_is_there_is_told_too(core: Core) -> None:
    pending = append(started(core), "x")
    append(started(core), "y").wait()

    async def tell() -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        pending.notify(loop, future)
        assert await asyncio.wait_for(future, 30) is None

    asyncio.run(tell())
    assert pending.resolve()[0]


def run(script: str, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(script), *args],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_of_fork(tmp_path: Path) -> None:
    out = run(
        """
        import asyncio, gc, os, sys
        import treering, treering.aio
        from treering import ForkedProcess

        async def work(path):
            async with treering.aio.open(path) as store:
                thread = await store.threads.start("w")
                await asyncio.gather(*(thread.append("a", str(n)) for n in range(20)))
                return len(thread)

        assert asyncio.run(work(sys.argv[1])) == 20       # the parent's notifier runs
        store = treering.open(sys.argv[1])
        thread = store.threads.start("w")
        thread.append("a", "before")
        core, threads = store._session.core, store.threads
        child = os.fork()
        if child == 0:
            for call in (
                lambda: thread.append("a", "x"), thread.refresh, lambda: thread.at(1), lambda: list(thread),
                lambda: threads.list(), lambda: threads.start("w"), lambda: threads.get(thread.id),
                lambda: store.put(b"x"), lambda: store.blocks.has(treering.Cid.of(b"x")), store.head, store.verify,
                store.stats, store.scopes, lambda: list(store.journal()), core.watch,
                lambda: store.blocks.get(thread.head), lambda: thread.lease().__enter__(),
            ):
                try:
                    call()
                except ForkedProcess:
                    continue
                os._exit(3)
            del store, thread, threads, core, call          # touches nothing of the parent's
            gc.collect()
            assert asyncio.run(work(sys.argv[1])) == 20     # a notifier of its own
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        thread.append("a", "still here")
        assert len(store.threads.list()) == 3 and store.verify().ok
        print("ok")
        """,
        str(tmp_path / "state"),
    )
    assert out == "ok\n"


def test_the_process_may_end_while_commits_are_on_their_way(tmp_path: Path) -> None:
    out = run(
        """
        import sys
        from treering._core import Core

        class Loop:
            def call_soon(self, call): pass
            def call_soon_threadsafe(self, complete, futures): pass
            def is_closed(self): return False

        core = Core.open(sys.argv[1], True, False, 30_000, False, False, 0, None)
        thread = core.threads("main", "durable").start({"workflow": "w"}).wait()
        for n in range(200):
            thread.append(("a", str(n), None, None, (), "now", None), None, None).notify(Loop(), object())
        print("ok")
        """,
        str(tmp_path / "state"),
    )
    assert out == "ok\n"
