"""Children: what a fork takes along is of no use there, what is pickled opens anew, with any start method."""

import concurrent.futures
import gc
import inspect
import multiprocessing
import os
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from others import Start

import treering
from treering import Cid, ForkedProcess, Store, Thread, aio
from treering._calls import call_of

METHODS = [name for name in ("fork", "spawn", "forkserver") if name in multiprocessing.get_all_start_methods()]
# A child that forked while other threads ran is what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def append_there(thread: Thread, text: str) -> tuple[int, int]:
    """In a child: a pickled thread is one of a store that was opened there."""
    return thread.append("child", text).number, os.getpid()


def use_there(path: str, thread_id: str) -> list[str]:
    with treering.open(path) as store:
        thread = store.threads.get(thread_id)
        thread.append("child", "by its id")
        assert store.verify().ok
        return [step.text for step in thread]


@pytest.mark.parametrize("method", METHODS)
def test_a_child_opens_anew(tmp_path: Path, method: str) -> None:
    context = multiprocessing.get_context(method)
    with treering.open(tmp_path / "s") as store:
        thread = store.threads.start("w")
        thread.append("parent", "before")
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            assert pool.submit(use_there, str(tmp_path / "s"), thread.id).result(60) == ["before", "by its id"]
            thread.refresh()
            number, pid = pool.submit(append_there, thread, "pickled").result(60)
            assert (number, pid != os.getpid()) == (3, True)
            # Again in the same child, whose store is open by now.
            thread.refresh()
            assert pool.submit(append_there, thread, "again").result(60) == (4, pid)
        thread.refresh()
        assert thread.append("parent", "after").number == 5
        assert store.verify().ok


def in_child(work: Callable[[], None]) -> None:
    """Runs `work` in a child of os.fork(); an exception there fails here."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


ARGUMENTS: dict[str, Any] = {
    "data": b"x", "value": 1, "cid": Cid.of_node(1), "cids": [Cid.of(b"x")], "roots": [Cid.of(b"x")],
    "prefix": str(Cid.of(b"x"))[:16], "name": "n", "workflow": "w", "id_or_key": "k", "number": 1, "role": "a",
    "steps": [("a", "b")], "summary": "s", "error": "e", "path": "/nowhere",
    "file": "/nowhere/x.car", "before": datetime(2026, 1, 1, tzinfo=UTC), "position": 1,
}  # fmt: skip
"""What a verb is called with, by the names of its parameters; what has a default is left out."""
GIVEN_TOO = {"get_or_start": {"key": "k"}}
KEEPS_WORKING = {"close", "__exit__"}
"""Leaving a parent's handle alone is no error."""


def verbs_of(handle: object, **own: Any) -> Iterator[tuple[str, Callable[[], object]]]:
    """Every verb of a handle, ready to be called; an iterator's first item."""
    for name, member in vars(type(handle)).items():
        found = call_of(member)
        if found is None or name in KEEPS_WORKING:
            continue
        kind, body = found
        parameters = list(inspect.signature(body).parameters.values())[1:]
        needed = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
        missing = [parameter for parameter in needed if parameter not in own and parameter not in ARGUMENTS]
        assert not missing, f"{type(handle).__name__}.{name}: say in ARGUMENTS what {missing} can be"
        arguments = {parameter: own.get(parameter, ARGUMENTS.get(parameter)) for parameter in needed}
        arguments |= GIVEN_TOO.get(name, {})

        def call(name: str = name, kind: str = kind, arguments: dict[str, Any] = arguments) -> object:
            answer = getattr(handle, name)(**arguments)
            return next(iter(answer)) if kind in ("stream", "feed") else answer

        yield f"{type(handle).__name__}.{name}", call


@pytest.mark.parametrize("in_memory", [False, True])
def test_every_verb_of_a_parents_handle_says_so(tmp_path: Path, in_memory: bool) -> None:
    with treering.memory() if in_memory else treering.open(tmp_path / "s") as store:
        scope = store.scope("alice")
        thread = scope.threads.start("w")
        thread.append("a", "x")
        watching = store.watch()
        assert [next(watching).position, next(watching).position] == [1, 2]
        commit = scope.commit()
        handles = [store, scope.threads, thread, scope.blocks, scope.pins, thread.lease()]

        def work() -> None:
            nonlocal handles, watching, commit
            calls = [found for handle in handles for found in verbs_of(handle, other=thread, target=store)]
            assert len(calls) > 40
            for name, call in calls:
                if in_memory and name == "Store.backup":  # never had a directory
                    continue
                try:
                    call()
                except ForkedProcess:
                    continue
                raise AssertionError(f"{name} did not raise ForkedProcess")
            with pytest.raises(ForkedProcess):
                next(watching)
            with pytest.raises(ForkedProcess), commit as c:
                c.threads.start("w")
            assert repr(store)
            store.close()
            del handles, watching, commit
            gc.collect()

        in_child(work)
        # Nothing of it reached the parent.
        assert thread.append("a", "y").number == 2
        assert next(watching).position == 3
        assert store.verify().ok


def test_a_fork_while_others_write_to_a_store_in_memory() -> None:
    """Whatever mutex they hold just then, the child hears at once that the store is its parent's."""
    import threading

    store = treering.memory()
    thread = store.threads.start("w")
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            store.put(os.urandom(2000))

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()

    def work() -> None:
        with pytest.raises(ForkedProcess):
            store.put(b"x")
        with pytest.raises(ForkedProcess):
            thread.append("a", "x")
        store.close()

    try:
        for _ in range(10):
            in_child(work)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert store.verify().ok


def test_async_handles_of_a_parent_say_so(tmp_path: Path, start: Start) -> None:
    code = """
        import asyncio, os
        from treering import ForkedProcess, aio
        async def parent():
            store = await aio.open(sys.argv[1])
            return store, await store.threads.start("w")
        store, thread = asyncio.run(parent())
        child = os.fork()
        if child == 0:
            async def work():
                for call in (lambda: thread.append("a", "x"), store.head, lambda: anext(store.watch()), thread.refresh):
                    try:
                        await call()
                    except ForkedProcess:
                        continue
                    os._exit(3)
                async with aio.open(sys.argv[1]) as own:
                    await (await own.threads.get(thread.id)).append("a", "by the child")
            asyncio.run(work())
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        async def after():
            await thread.refresh()
            return (await thread.append("a", "x")).number
        say(asyncio.run(after()))
    """
    assert start(textwrap.dedent(code), tmp_path / "s").join() == ["2"]


def test_a_fork_while_others_watch_and_write(tmp_path: Path) -> None:
    """Whatever mutex they hold just then, the child can open the store and drop what it inherited."""
    import threading

    with treering.open(tmp_path / "s", durability="relaxed") as store:
        thread = store.threads.start("w")
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                thread.append("a", "x")

        def watch() -> None:
            for _ in store.watch():
                pass

        threads = [threading.Thread(target=write), *(threading.Thread(target=watch) for _ in range(3))]
        for running in threads:
            running.start()
        inherited: list[Any] = [store.watch(), thread, store]
        next(inherited[0])

        def work() -> None:
            inherited.clear()
            gc.collect()
            with treering.open(tmp_path / "s") as own:
                own.threads.start("w")

        try:
            for _ in range(8):
                in_child(work)
        finally:
            stop.set()
        threads[0].join()
        assert len(store.threads.list()) == 9
        store.close()
        for running in threads:
            running.join(30)
            assert not running.is_alive()


def test_a_pickled_store_is_the_same_by_any_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One directory is one core in a process, whatever it is called."""
    (tmp_path / "s").mkdir()
    (tmp_path / "link").symlink_to("s")
    monkeypatch.chdir(tmp_path)
    stores: list[Store] = [treering.open(path) for path in (tmp_path / "s", tmp_path / "link", "s", "./link/../s")]
    for count, store in enumerate(stores, 1):
        store.threads.start("w")
        assert [other.counters()["requests"] for other in stores] == [count] * len(stores)
    for store in stores:
        store.close()
    assert isinstance(aio.memory(), aio.Opening)
