"""Every error of a store that can't serve, brought about: what it promises holds, and its message says what to do.

Nothing half-done: after a refusal the store holds what it held before; after `CommitUnknown` all of the commit
or nothing, and repeating it with its command id ends in the same state. Each error pickles.
"""

import os
import pickle
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

import treering
from treering import testing

Unchanged = Callable[[treering.Store], AbstractContextManager[None]]


@pytest.fixture
def faults() -> testing.Faults:
    return testing.Faults()


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path, faults: testing.Faults) -> Iterator[treering.Store]:
    is_memory = request.param == "memory"
    with testing.memory(faults=faults) if is_memory else testing.open(tmp_path / "s", faults=faults) as opened:
        yield opened


@pytest.fixture
def disk() -> testing.Disk:
    return testing.Disk()


@pytest.fixture
def on_disk(tmp_path: Path, disk: testing.Disk) -> Iterator[treering.Store]:
    with testing.open(tmp_path / "s", disk=disk) as opened:
        yield opened


@contextmanager
def raises(
    error: type[treering.TreeringError], what_to_do: str
) -> Iterator[pytest.ExceptionInfo[treering.TreeringError]]:
    """The block raises exactly this, in one line that says what to do; the error pickles whole."""
    with pytest.raises(error) as caught:
        yield caught
    assert type(caught.value) is error
    assert what_to_do in str(caught.value)
    assert "\n" not in str(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is error
    assert (str(again), again.kind, again.attributes) == (str(caught.value), error.kind, caught.value.attributes)


WRITES: dict[str, Callable[[treering.Thread], object]] = {
    "append": lambda thread: thread.append("a", "new"),
    "extend": lambda thread: thread.extend([("a", "new"), ("b", "newer")]),
    "fork": lambda thread: thread.fork(at=1),
    "finish": lambda thread: thread.finish(),
    "fail": lambda thread: thread.fail("no way"),
    "cancel": lambda thread: thread.cancel(),
    "rm": lambda thread: thread.rm(),
}


@pytest.mark.parametrize("verb", WRITES)
@pytest.mark.parametrize(
    ("error", "what_to_do"),
    [
        (treering.DiskFull, "make room"),
        (treering.LockTimeout, "repeat it later"),
        (treering.Unavailable, "the device does not answer"),
    ],
)
def test_a_refused_verb_changes_nothing_and_can_be_repeated(
    store: treering.Store,
    faults: testing.Faults,
    unchanged: Unchanged,
    verb: str,
    error: type[treering.TreeringError],
    what_to_do: str,
) -> None:
    thread = store.threads.start("w")
    thread.append("a", "first")
    faults.fail("commit", error)
    with unchanged(store), raises(error, what_to_do):
        WRITES[verb](thread)
    assert faults.injected == 1
    WRITES[verb](thread)
    assert store.verify().ok


# --- a full disk, for real


@pytest.mark.parametrize("size", [100, 300_000], ids=["row", "file"])
def test_a_full_disk(on_disk: treering.Store, disk: testing.Disk, unchanged: Unchanged, size: int) -> None:
    thread = on_disk.threads.start("w")
    disk.fail("write", treering.DiskFull, lasting=True)
    with unchanged(on_disk), raises(treering.DiskFull, "make room"):
        thread.append("a", artifacts={"x": os.urandom(size)})
    assert disk.failed >= 1
    assert list(thread) == []
    disk.heal()
    assert thread.append("a", artifacts={"x": os.urandom(size)}).number == 1
    assert on_disk.verify().ok


def test_every_write_on_a_full_disk_is_all_or_nothing(tmp_path: Path) -> None:
    """The n-th write of an append with a large artifact has no room, for every n."""
    tried = 0
    while True:
        disk = testing.Disk(sync=False)
        with testing.open(tmp_path / str(tried), disk=disk) as store:
            thread = store.threads.start("w")
            disk.fail("write", treering.DiskFull, nth=tried + 1)
            try:
                thread.append("a", artifacts={"x": bytes(300_000)}, command_id="c")
            except treering.DiskFull:
                assert len(list(store.threads.get(thread.id))) == 0
                thread.append("a", artifacts={"x": bytes(300_000)}, command_id="c")
            assert [step.number for step in store.threads.get(thread.id)] == [1]
            assert store.verify().ok
            failed = disk.failed
        if not failed:
            break
        tried += 1
    assert tried >= 3, "the file, its tree, the log"


# --- an answer that is lost


@pytest.mark.parametrize("landed", [False, True])
def test_a_lost_answer(store: treering.Store, faults: testing.Faults, landed: bool) -> None:
    thread = store.threads.start("w")
    faults.fail("commit", treering.CommitUnknown, landed=landed)
    with raises(treering.CommitUnknown, "repeat it with its command id"):
        thread.append("a", "once", command_id="c")
    with raises(treering.Poisoned, "reopen it"):
        thread.append("a", "never")
    # Reading goes on; what is there is all of it or nothing.
    assert [step.text for step in store.threads.get(thread.id)] == (["once"] if landed else [])
    faults.heal()
    again = store.threads.get(thread.id)
    assert again.append("a", "once", command_id="c").number == 1
    assert [step.text for step in store.threads.get(thread.id)] == ["once"]
    assert store.verify().ok


def test_a_sync_that_fails(tmp_path: Path) -> None:
    """Whether the commit of a failed fsync is there is known only after reopening; its command id tells."""
    disk = testing.Disk()
    with testing.open(tmp_path / "s", disk=disk) as store:
        thread = store.threads.start("w")
        disk.fail("sync")
        with raises(treering.CommitUnknown, "reopen the store"):
            thread.append("a", "once", command_id="c")
        assert disk.failed == 1
        for write in (lambda: thread.append("a"), lambda: store.put(b"x"), lambda: store.threads.start("w")):
            with raises(treering.Poisoned, "reopen it"):
                write()
        assert store.threads.get(thread.id).id == thread.id
    with treering.open(tmp_path / "s") as store:
        again = store.threads.get(thread.id)
        assert again.append("a", "once", command_id="c").number == 1
        assert again.append("a", "twice").number == 2
        assert store.verify().ok


def test_every_sync_that_fails(tmp_path: Path) -> None:
    """The n-th fsync of a short life fails, for every n: with command ids the end is always the same."""
    ends = []
    tried = 0
    errors = set()
    while True:
        disk = testing.Disk(sync=False)
        disk.fail("sync", nth=tried + 1)
        path = tmp_path / str(tried)
        for _ in range(3):
            try:
                with testing.open(path, disk=disk) as store:
                    thread = store.threads.get_or_start("w", key="k", command_id="start")
                    thread.append("a", "one", artifacts={"x": bytes(300_000)}, command_id="one")
                    thread.append("a", "two", command_id="two")
                    assert store.verify().ok
                    ends.append([step.text for step in thread])
                break
            except treering.Unavailable as error:
                errors.add(type(error))
        if not disk.failed:
            break
        tried += 1
    assert tried >= 5
    assert ends == [["one", "two"]] * (tried + 1)
    assert errors == {treering.CommitUnknown, treering.Unavailable}


# --- a lock that another process keeps

HOLDER = """
import sys, threading, time
from treering._core import Core
core = Core.open(sys.argv[1], True, False, 30_000, False, False, 0)
core.put(b"first", "main", "durable").wait()
before = core.counters()["wal_bytes_written"]
core.hold_commit_sync()
held = threading.Thread(target=core.put(b"held", "main", "durable").wait)
held.start()
while core.counters()["wal_bytes_written"] == before:
    time.sleep(0.01)
print("waiting", flush=True)
sys.stdin.readline()
core.release_commit_sync()
held.join()
core.close()
"""


def test_a_lock_that_another_process_keeps(tmp_path: Path, unchanged: Unchanged) -> None:
    command = [sys.executable, "-c", textwrap.dedent(HOLDER), str(tmp_path / "s")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "waiting\n"
            with treering.open(tmp_path / "s", lock_wait_s=0.2) as store:
                with unchanged(store), raises(treering.LockTimeout, f"held by process {holder.pid}") as caught:
                    store.put(b"mine")
                assert caught.value.attributes["waited_ms"] >= 200
                assert holder.stdin is not None
                holder.stdin.write("\n")
                holder.stdin.close()
                assert holder.wait(60) == 0
                assert store.blocks.get(store.put(b"mine")) == b"mine"
        finally:
            if holder.poll() is None:
                holder.send_signal(signal.SIGKILL)


# --- a lease that is lost


def test_a_lost_lease(store: treering.Store, faults: testing.Faults, unchanged: Unchanged) -> None:
    thread = store.threads.start("w")
    other = store.threads.get(thread.id)
    with thread.lease("first") as lease:
        thread.append("a", "mine")
        faults.fail("commit", treering.LeaseLost)
        token = lease.token
        with unchanged(store), raises(treering.LeaseLost, "take a new lease") as caught:
            thread.append("a", "too late")
        assert caught.value.attributes["token"] == token
        # Not one of its writes gets through any more; whoever takes it over has the thread.
        with other.lease("second"):
            with raises(treering.LeaseLost, "granted since"):
                thread.finish()
            other.refresh()
            other.append("a", "theirs")
    with store.threads.get(thread.id).lease():
        pass
    assert [step.text for step in store.threads.get(thread.id)] == ["mine", "theirs"]
    assert store.verify().ok


# --- reads


def test_a_bit_that_flips_on_its_way(tmp_path: Path) -> None:
    disk = testing.Disk()
    with treering.open(tmp_path / "s") as store:
        cids = [store.put(os.urandom(300_000)) for _ in range(3)]
    with testing.open(tmp_path / "s", disk=disk) as store:
        right = [store.blocks.get(cid) for cid in cids]
        disk.flip(lasting=True)
        for cid in cids:
            with raises(treering.Corrupt, "run `treering verify`") as caught:
                store.blocks.get(cid)
            assert str(cid) in str(caught.value)
        disk.heal()
        assert [store.blocks.get(cid) for cid in cids] == right
        assert store.verify().ok


def test_a_read_that_fails(tmp_path: Path) -> None:
    disk = testing.Disk()
    with treering.open(tmp_path / "s") as store:
        cid = store.put(bytes(300_000))
    with testing.open(tmp_path / "s", disk=disk) as store:
        disk.fail("read", lasting=True)
        with raises(treering.Unavailable, "disk I/O error"):
            store.blocks.get(cid)
        disk.heal()
        assert store.blocks.get(cid) == bytes(300_000)


def test_a_corrupt_answer(store: treering.Store, faults: testing.Faults) -> None:
    thread = store.threads.start("w")
    step = thread.append("a", "text")
    faults.fail("read", treering.Corrupt)
    with raises(treering.Corrupt, "run `treering verify`"):
        store.blocks.get(step.cid)
    assert store.threads.get(thread.id).at(1).text == "text"


# --- the same, awaited


async def test_awaited_verbs_raise_the_same(tmp_path: Path, faults: testing.Faults) -> None:
    async with testing.as_async(testing.open(tmp_path / "s", faults=faults)) as store:
        thread = await store.threads.start("w")
        faults.fail("commit", treering.DiskFull)
        with raises(treering.DiskFull, "make room"):
            await thread.append("a", "x")
        faults.fail("commit", treering.CommitUnknown, landed=True)
        with raises(treering.CommitUnknown, "command id"):
            await thread.append("a", "x", command_id="c")
        with raises(treering.Poisoned, "reopen"):
            await thread.append("a", "y")
        faults.heal()
        thread = await store.threads.get(thread.id)
        step = await thread.append("a", "x", command_id="c")
        assert step.number == len(thread) == 1
