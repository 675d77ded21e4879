"""asyncio: the same names and promises, shared fsyncs, and cancellation that undoes nothing."""

import asyncio
import gc
import inspect
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import treering
from treering import Step, aio
from treering._calls import call_of

TASKS = 64
CLASSES = [
    "AgentsStore",
    "Blocks",
    "ChatsStore",
    "Commit",
    "CommitThreads",
    "Hold",
    "Lease",
    "LlmPreferencesStore",
    "Map",
    "MemoryStore",
    "ParticipantsStore",
    "Pins",
    "Scope",
    "Scoped",
    "ScriptsStore",
    "Store",
    "Thread",
    "ThreadDraft",
    "Threads",
    "UserConfigStore",
    "Vector",
    "WorkflowsStore",
]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[aio.Store]:
    async with aio.open(tmp_path / "state") as opened:
        yield opened


async def settle() -> None:
    """Lets every task run up to what it waits for."""
    for _ in range(20):
        await asyncio.sleep(0.005)


class Held:
    """Holds the fsync of the first commit inside of the block, counts those of all."""

    def __init__(self, store: aio.Store) -> None:
        self._store = store
        self._core = store._session.core  # type: ignore[attr-defined]

    def __enter__(self) -> "Held":
        self._before = self._store.counters()
        self._core.hold_commit_sync()
        return self

    def __exit__(self, *_: object) -> None:
        self._core.release_commit_sync()

    def counted(self, name: str) -> int:
        return self._store.counters()[name] - self._before[name]


async def test_64_tasks_share_two_fsyncs(store: aio.Store) -> None:
    threads = [await store.threads.start("w") for _ in range(TASKS)]
    with Held(store) as held:
        first = asyncio.create_task(threads[0].append("r", "first"))
        await settle()
        others = [asyncio.create_task(thread.append("r", "other")) for thread in threads[1:]]
        await settle()
        assert not any(task.done() for task in (first, *others))
    steps = await asyncio.gather(first, *others)
    assert [step.number for step in steps] == [1] * TASKS
    assert held.counted("requests") == TASKS
    assert held.counted("batches") == 2
    assert held.counted("commit_syncs") == 2
    assert (await store.verify()).ok


async def test_what_tasks_write_at_once_the_loop_commits_at_once(store: aio.Store) -> None:
    threads = [await store.threads.start("w") for _ in range(TASKS)]
    before = store.counters()
    await asyncio.gather(*(thread.append("r") for thread in threads))
    after = store.counters()
    assert after["requests"] - before["requests"] == TASKS
    assert after["batches"] - before["batches"] == 1


def test_loops_in_threads_complete_their_own_futures(tmp_path: Path) -> None:
    store = treering.open(tmp_path / "state")

    async def write(name: str) -> int:
        async with aio.open(tmp_path / "state") as opened:
            loop = asyncio.get_running_loop()
            thread = await opened.threads.start(name)
            for _ in range(50):
                await asyncio.gather(*(thread.append("r") for _ in range(4)))
                assert asyncio.get_running_loop() is loop
            return len(thread)

    with ThreadPoolExecutor(4) as pool:
        lengths = list(pool.map(lambda name: asyncio.run(write(name)), "abcd"))
    assert lengths == [200] * 4
    assert store.verify().ok


def test_a_loop_that_is_stopped_commits_when_it_runs_again(tmp_path: Path) -> None:
    store = treering.open(tmp_path / "state")
    thread = store.threads.start("w")
    loop = asyncio.new_event_loop()
    opened = loop.run_until_complete(aio.open(tmp_path / "state")._opened())
    same = loop.run_until_complete(opened.threads.get(thread.id))
    task = loop.create_task(same.append("r"))
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert loop.run_until_complete(task).number == 1
    # One that never runs again: what is dropped goes on by itself.
    task = loop.create_task(same.append("r"))
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    del task
    gc.collect()
    # Another loop in the same thread is not kept waiting by what the closed one left.
    assert asyncio.run(appended(tmp_path, thread.id)) >= 2


async def appended(path: Path, thread: str) -> int:
    async with aio.open(path / "state") as opened:
        while True:
            handle = await opened.threads.get(thread)
            try:
                return (await handle.append("r")).number
            except treering.HeadMoved:
                continue


async def test_64_appends_through_one_handle_share_two_fsyncs(store: aio.Store) -> None:
    thread = await store.threads.start("w")
    with Held(store) as held:
        first = asyncio.create_task(thread.append("r", "0"))
        await settle()
        others = [asyncio.create_task(thread.append("r", str(number))) for number in range(1, TASKS)]
        await settle()
    steps = await asyncio.gather(first, *others)
    assert held.counted("commit_syncs") == 2
    assert [step.number for step in steps] == list(range(1, TASKS + 1))
    assert [step.text async for step in thread] == [str(number) for number in range(TASKS)]


async def test_one_lost_append_of_many_loses_no_other(store: aio.Store) -> None:
    thread = await store.threads.start("w")
    other = await store.threads.get(thread.id)
    await other.append("r", "theirs")
    results = await asyncio.gather(*(thread.append("r", str(n)) for n in range(8)), return_exceptions=True)
    assert all(isinstance(result, treering.HeadMoved) for result in results)
    await thread.refresh()
    results = await asyncio.gather(*(thread.append("r", str(n)) for n in range(8)))
    assert [step.text async for step in thread] == ["theirs", *map(str, range(8))]


async def test_a_cancelled_await_does_not_undo(store: aio.Store) -> None:
    thread = await store.threads.start("w")
    with Held(store):
        task = asyncio.create_task(thread.append("r", "x", command_id="c"))
        await settle()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    step = await thread.append("r", "x", command_id="c")
    again = await store.threads.get(thread.id)
    assert len(again) == 1
    assert again.head == step.cid


async def test_the_loop_runs_while_commits_wait(store: aio.Store) -> None:
    thread = await store.threads.start("w")
    with Held(store):
        task = asyncio.create_task(thread.append("r"))
        ticks = 0
        for _ in range(20):
            await asyncio.sleep(0.001)
            ticks += 1
        assert ticks == 20
        assert not task.done()
    assert (await task).number == 1


async def test_the_tour(store: aio.Store) -> None:
    scope = store.scope("alice")
    thread = await scope.threads.start("fix", prompt="Fix it", key="k", labels={"n": 1})
    await thread.append("planner", "1. reproduce", meta={"n": 2})
    await thread.append("coder", "sleep", artifacts={"fix.diff": b"+"})
    retry = await thread.fork(at=1)
    assert type(retry) is aio.Thread
    await retry.append("coder", "wait")
    assert str(await thread.diff(retry)) == "common: step 1; then 1 step each"
    assert await thread.common_ancestor(retry) == (1, (await thread.at(1)).cid)
    assert not await thread.is_ancestor_of(retry)
    assert [step.role async for step in thread] == ["planner", "coder"]
    assert [step.role async for step in thread.steps(2)] == ["coder"]
    assert [step.role async for step in thread.steps(reverse=True)] == ["coder", "planner"]
    assert (await thread.context(last=1)).steps[0].text == "sleep"
    assert thread.prompt == "Fix it"
    assert (await scope.threads.get("k")) == thread
    (listed, _) = await scope.threads.list()
    assert type(listed) is aio.Thread
    assert listed.labels == {"n": 1}
    await listed.append("reviewer")
    with pytest.raises(treering.HeadMoved):
        await thread.append("reviewer")
    await thread.refresh()
    async with thread.lease(owner="me") as lease:
        assert lease.token
        await thread.append("reviewer", "fine")
    assert lease.token is None
    await thread.finish()
    assert await scope.threads.history() == [thread]
    cid = await store.put(b"x" * 300_000)
    assert await store.blocks.get(cid) == b"x" * 300_000
    assert cid in [block.cid async for block in store.blocks.list()]
    assert [entry.position async for entry in store.journal()] == list(range(1, (await store.stats())["commits"] + 1))
    assert (await store.reachable([thread.head])).missing == []
    assert await store.scopes() == ["alice"]
    await retry.rm()
    with pytest.raises(treering.NotFound):
        await scope.threads.get(retry.id)


async def test_commits(store: aio.Store) -> None:
    scope = store.scope("main")
    thread = await scope.threads.start("w")
    async with scope.commit(command_id="c") as c:
        step = c.threads[thread].append("a", "x")
        draft = c.threads.start("next")
        draft.append("b", "y")
    assert step.step.text == "x"
    assert type(draft.thread) is aio.Thread
    assert [step.text async for step in draft.thread] == ["y"]
    assert not c.receipt.replayed

    async def broken() -> None:
        async with scope.commit() as c:
            c.threads[draft.thread].append("a", "x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await broken()
    assert len(await scope.threads.get(draft.thread.id)) == 1


async def test_watching(store: aio.Store) -> None:
    thread = await store.threads.start("w")
    entries = store.watch(after=await store.cursor())
    next_entry = asyncio.ensure_future(anext(entries))
    await settle()
    assert not next_entry.done()
    await thread.append("a")
    assert (await asyncio.wait_for(next_entry, 5)).position == 2
    waiting = asyncio.ensure_future(anext(entries))
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_many_watchers_do_not_starve_readers(store: aio.Store) -> None:
    thread = await store.threads.start("w")
    cursor = await store.cursor()
    waiting = [asyncio.ensure_future(anext(store.watch(after=cursor))) for _ in range(16)]
    await settle()
    assert await asyncio.wait_for(store.threads.get(thread.id), 1) == thread
    await thread.append("a")
    assert {entry.position for entry in await asyncio.wait_for(asyncio.gather(*waiting), 5)} == {2}


async def test_opening(tmp_path: Path) -> None:
    store = await aio.open(tmp_path / "s")
    assert repr(store) == f"<Store {tmp_path / 's'}>"
    await store.threads.start("w", key="k")
    await store.close()
    assert store.closed
    with pytest.raises(treering.Closed):
        await store.threads.start("w")
    with pytest.raises(treering.TreeringError):
        await aio.open(tmp_path / "absent", create=False)
    async with aio.memory() as memory:
        assert memory.path is None
        assert await memory.put(b"x") == treering.Cid.of(b"x")
    async with await aio.open(tmp_path / "s") as store:
        assert (await store.threads.get("k")).workflow == "w"


def test_each_loop_may_use_a_store(tmp_path: Path) -> None:
    store = treering.open(tmp_path / "s")
    thread = store.threads.start("w")

    async def one(number: int) -> Step:
        async with aio.open(tmp_path / "s") as own:
            return await (await own.threads.get(thread.id)).append("a", str(number))

    assert [asyncio.run(one(number)).number for number in range(1, 4)] == [1, 2, 3]


def test_a_loop_that_ends_early_breaks_nothing(tmp_path: Path) -> None:
    code = """
import asyncio, sys
from treering import aio
async def main():
    store = await aio.open(sys.argv[1])
    thread = await store.threads.start("w")
    tasks = [asyncio.create_task(thread.append("a", "x")) for _ in range(50)]
    await asyncio.sleep(0)
asyncio.run(main())
"""
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "s")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    with treering.open(tmp_path / "s") as store:
        assert store.verify().ok
        assert len(store.threads.list()[0]) <= 50


async def test_handles_pickle_into_their_own_world(store: aio.Store, tmp_path: Path) -> None:
    thread = await store.threads.start("w")
    again = pickle.loads(pickle.dumps(thread))
    assert type(again) is aio.Thread
    assert again == thread
    data = tmp_path / "pickle"
    data.write_bytes(pickle.dumps(store.scope("main")))
    code = "import pickle, sys; print(type(pickle.load(open(sys.argv[1], 'rb'))).__module__)"
    command = [sys.executable, "-c", code, str(data)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    assert done.stdout == "treering.aio\n"


# --- both worlds have the same names, signatures and docstrings

AWAITED = {"__enter__": "__aenter__", "__exit__": "__aexit__", "__iter__": "__aiter__"}


def own(cls: type) -> dict[str, object]:
    """What a class has of treering's own: its members, and those of its bases."""
    bases = [base for base in reversed(cls.__mro__) if base.__module__.startswith("treering.")]
    return {name: member for base in bases if "Core" not in base.__name__ for name, member in vars(base).items()}


def members() -> Iterator[tuple[str, str]]:
    for class_name in CLASSES:
        for name, member in own(getattr(treering, class_name)).items():
            if name.startswith("_") and name not in AWAITED:
                continue
            # What Python can't await has no place there.
            if (call_of(member) or ("",))[0] != "blocking":
                yield class_name, name


@pytest.mark.parametrize(("class_name", "name"), list(members()))
def test_members_are_the_same(class_name: str, name: str) -> None:
    sync_member = own(getattr(treering, class_name))[name]
    async_member = vars(getattr(aio, class_name))[AWAITED.get(name, name)]
    if inspect.isfunction(sync_member):
        of_sync, of_async = inspect.signature(sync_member), inspect.signature(async_member)
        assert of_sync.parameters == of_async.parameters
        assert of_sync.return_annotation == of_async.return_annotation.replace("AsyncIterator", "Iterator")
        assert async_member.__module__ == (
            "treering.aio" if async_member is not sync_member else sync_member.__module__
        )
    assert sync_member.__doc__ == async_member.__doc__


def test_classes_have_no_other_members() -> None:
    for class_name in CLASSES:
        names = {AWAITED.get(name, name) for name in own(getattr(treering, class_name))}
        assert set(vars(getattr(aio, class_name))) - {"__dict__", "__weakref__", "__module__"} <= names | {"_family"}
        assert not issubclass(getattr(aio, class_name), getattr(treering, class_name))


def test_openers_are_the_same() -> None:
    for name in ("open", "memory"):
        of_sync, of_async = inspect.signature(getattr(treering, name)), inspect.signature(getattr(aio, name))
        assert of_sync.parameters == of_async.parameters
        assert getattr(treering, name).__doc__ == getattr(aio, name).__doc__


def test_the_types_are_generated() -> None:
    tool = Path(__file__).parents[2] / "tools" / "gen_aio.py"
    done = subprocess.run([sys.executable, str(tool), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
