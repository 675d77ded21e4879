"""The core's handles: what they answer where the Python API relies on an order, a bound or on nothing being read."""

import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from treering import Closed, Invalid, NotFound, ReadOnly
from treering._core import (
    FORMAT,
    VERSION,
    BatchCore,
    Cid,
    Core,
    ThreadCore,
    diff_scopes,
    fork_scope,
    scope_at,
    scope_lineage,
    unfinished_forks,
)


@pytest.fixture(params=["memory", "directory"])
def core(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Core]:
    opened = (
        Core.memory()
        if request.param == "memory"
        else Core.open(str(tmp_path / "s"), True, False, 30_000, False, False, 0, None)
    )
    yield opened
    opened.close()


def step(role: str, content: object = "") -> Any:
    return (role, content, None, None, (), "now", None)


def started(core: Core, steps: int = 0) -> ThreadCore:
    threads = core.threads("main", "relaxed")
    return threads.start({"workflow": "w", "steps": [step("a", str(n)) for n in range(1, steps + 1)]}).wait()


def test_version_and_format() -> None:
    assert VERSION.count(".") == 2
    assert FORMAT == 1


@pytest.mark.parametrize(
    ("first", "last"),
    [(1, None), (1, 700), (1, 256), (1, 257), (2, 600), (300, 300), (699, None), (701, None), (5, 4), (0, 3)],
)
def test_a_walk_back_is_a_walk_reversed(core: Core, first: int, last: int | None) -> None:
    thread = started(core, 700)
    forth = [s.number for s in thread.walk(first, last, False)]
    back = [s.number for s in thread.walk(first, last, True)]
    assert forth == list(range(max(first, 1), (700 if last is None else last) + 1))
    assert back == forth[::-1]
    taken: list[int] = []
    walk = thread.walk(first, last, True)
    while some := walk.take(100):
        taken += [s.number for s in some]
    assert taken == back


def test_steps_of_a_batch_answer_in_the_order_of_the_calls(core: Core) -> None:
    threads, stores = core.threads("main", "durable"), core.stores("main", "durable", 50, 500, "", "", None)
    old = started(core, 2)

    def draft() -> tuple[BatchCore, list[Cid]]:
        batch = stores.batch(threads)
        a = batch.start({"workflow": "w", "key": "k", "steps": [step("import", "1"), step("import", "2")]})
        b = batch.thread(old)
        assert batch.thread(old) == b
        drafted = [
            batch.append(b, step("one")),
            batch.append(a, step("two")),
            batch.append(b, step("three")),
        ]
        c = batch.fork(b, None, None, None)
        drafted += [batch.append(c, step("four")), batch.append(a, step("five")), batch.finish(b, 0, "six")]
        return batch, [one.cid for one in drafted]

    batch, cids = draft()
    answer = batch.commit("turn", None, None).wait()
    assert [one.cid for one in answer["steps"]] == cids
    assert [one.role for one in answer["steps"]] == ["one", "two", "three", "four", "five", "__end__"]
    assert [one.number for one in answer["steps"]] == [3, 3, 4, 5, 4, 5]
    assert not answer["replayed"]
    with pytest.raises(Invalid):
        batch.commit("turn", None, None)
    before = core.stats()
    again, _ = draft()
    replay = again.commit("turn", None, None).wait()
    assert replay["replayed"]
    assert [one.cid for one in replay["steps"]] == cids
    assert [t.id for t in replay["threads"]] == [t.id for t in answer["threads"]]
    assert core.stats() == before


def test_info_reads_nothing(core: Core) -> None:
    made = started(core, 3)
    found = core.threads("main", "durable").get(made.id)
    before = core.counters()["blocks_read"]
    assert found.info()["steps"] == 3
    assert core.counters()["blocks_read"] == before
    core.close()
    assert found.info()["id"] == made.id
    with pytest.raises(Closed):
        found.refresh()


@pytest.mark.parametrize("size", [0, 1, (256 << 10) - 1, 256 << 10, 3 << 20])
def test_bytes_of_every_size(core: Core, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    cid = Cid.of(data)
    for given in (data, bytearray(data), memoryview(data)):
        assert core.put(given, "main", "durable").wait() == cid
    assert core.get(cid) == data
    assert core.has_many([cid, Cid.of(data + b"x")]) == [True, False]
    assert core.resolve(str(cid)) == cid
    assert core.blocks(0, 10) == [(core.blocks(0, 1)[0][0], cid, size)]


def test_resolve_looks(core: Core) -> None:
    absent = str(Cid.of(b"absent"))
    for text in (absent, absent[:20]):
        with pytest.raises(NotFound):
            core.resolve(text)


def test_two_handles_on_a_directory_close_apart(tmp_path: Path) -> None:
    one, two = (Core.open(str(tmp_path / "s"), True, False, 30_000, False, False, 0, None) for _ in range(2))
    thread = started(one)
    one.close()
    one.close()
    assert one.closed
    with pytest.raises(Closed):
        thread.refresh()
    assert two.threads("main", "durable").get(thread.id).info()["steps"] == 0
    two.close()


def test_a_watch_waits_for_what_comes_after_the_last_wait(core: Core) -> None:
    watch = core.watch()
    thread = started(core)
    # Rung already, by one commit or by its echo from the file.
    watch.wait()
    cursor = core.cursor()
    timer = threading.Timer(0.1, lambda: thread.append(step("b"), None, None).wait())
    timer.start()
    while not core.journal(cursor, 1):
        watch.wait()
    timer.join()
    core.close()
    watch.wait()
    with pytest.raises(Closed):
        core.watch()


@pytest.mark.skipif(sys.platform == "win32", reason="timers by signal")
def test_a_watch_can_be_interrupted(core: Core) -> None:
    watch = core.watch()

    def wait_for_ever() -> None:
        while True:
            watch.wait()

    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            wait_for_ever()
    finally:
        signal.signal(signal.SIGALRM, handler)
    thread = started(core)
    thread.append(step("b"), None, None).wait()
    watch.wait()


def test_a_held_fsync_does_not_outlive_the_handle(tmp_path: Path) -> None:
    core = Core.open(str(tmp_path / "s"), True, False, 30_000, False, False, 0, None)
    thread = started(core)
    core.hold_commit_sync()
    pending = thread.append(step("a"), None, None)
    core.close()
    assert pending.wait().number == 1
    with pytest.raises(Invalid, match="no fsync"):
        Core.memory().hold_commit_sync()


def test_content_of_every_kind(core: Core) -> None:
    thread = started(core)
    link = core.put(b"linked", "main", "durable").wait()
    for said in ("text", "x" * 10_000, b"bytes", b"x" * 10_000, None, 1, {"a": [link, 1.5]}, {"a": ["x" * 100] * 100}):
        written = thread.append(("a", said, {"m": 1}, {"f": b"1", "g": "é"}, [link], 7, None), None, None).wait()
        found = core.content(written.content)
        assert found["payload"] == said
        assert type(found["payload"]) is type(said)
        assert {name: core.get(cid) for name, cid in found["artifacts"].items()} == {"f": b"1", "g": "é".encode()}
        assert (found["refs"], written.meta, written.at_ms) == ([link], {"m": 1}, 7)


def test_a_scope_as_it_was_is_a_core_of_its_own(core: Core) -> None:
    stores = core.stores("alice", "relaxed", 50, 500, "", "", None)
    core.threads("alice", "relaxed").pin_add("p", core.put(b"x", "alice", "relaxed").wait()).wait()
    past, position, at_ms, gone = scope_at(core, "alice", None, None)
    assert (position, gone) == (2, [])
    assert at_ms > 0
    then = past.stores("alice", "relaxed", 50, 500, "", "", None)
    assert diff_scopes(stores, then) == ([], [], [], 1)
    with pytest.raises(ReadOnly):
        past.put(b"y", "alice", "relaxed").wait()
    # Closing it closes nothing.
    past.close()
    assert core.scopes() == ["alice"]
    assert scope_at(core, "alice", 0, None)[1:] == (0, 0, [])


def test_work_is_waited_for_in_slices(core: Core) -> None:
    stores = core.stores("alice", "relaxed", 50, 500, "", "", None)
    core.threads("alice", "relaxed").pin_add("p", core.put(b"x", "alice", "relaxed").wait()).wait()
    work = fork_scope(stores, "bob", None)
    while (done := work.wait(50)) is None:
        pass
    assert done == {"refs": 1, "position": 4, "replayed": False}
    lineage = scope_lineage(core.stores("bob", "relaxed", 50, 500, "", "", None))
    assert lineage is not None
    assert (lineage["ancestors"], lineage["refs"]) == ([("alice", 4)], 1)
    assert scope_lineage(stores) is None
    assert unfinished_forks(stores) == []
