"""`treering.testing`: the clock moves what it should, plans fire when they say, power cuts lose what was not synced."""

import asyncio
import doctest
import importlib
import inspect
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import treering
from treering import testing

DAY_MS = 24 * 3600 * 1000


# --- the clock


def test_the_clock_gives_the_time(tmp_path: Path) -> None:
    clock = testing.Clock(1_000_000)
    with testing.memory(clock=clock) as memory, testing.open(tmp_path / "s", clock=clock) as directory:
        for store in (memory, directory):
            clock.set(1_000_000)
            thread = store.threads.start("w")
            clock.advance(500)
            step = thread.append("a")
            assert (thread.created_at_ms, step.at_ms, thread.updated_at_ms) == (1_000_000, 1_000_500, 1_000_500)
            assert [entry.at_ms for entry in store.journal()] == [1_000_000, 1_000_500]
            clock.set(5)
            # A commit never seems older than the one before.
            store.threads.start("w")
            assert [entry.at_ms for entry in store.journal()][-1] >= 1_000_500
    assert clock.now_ms == 5
    assert repr(clock) == "Clock(5)"


def test_history_follows_the_clock() -> None:
    clock = testing.Clock()
    with testing.memory(clock=clock) as store:
        store.threads.start("w").finish()
        clock.advance(DAY_MS)
        late = store.threads.start("w")
        late.finish()
        assert [thread.id for thread in store.threads.history("2027-01-16")] == [late.id]


# --- opening


def test_one_directory_has_one_clock_and_one_disk(tmp_path: Path) -> None:
    clock = testing.Clock()
    with testing.open(tmp_path / "s", clock=clock) as store:
        with testing.open(tmp_path / "s", clock=clock) as again:
            assert again == store
        others: list[Callable[[], treering.Store]] = [
            lambda: testing.open(tmp_path / "s"),
            lambda: testing.open(tmp_path / "s", clock=testing.Clock()),
            lambda: testing.open(tmp_path / "s", clock=clock, disk=testing.Disk()),
        ]
        for other in others:
            with pytest.raises(treering.Invalid) as caught:
                other()
            assert "another clock or disk" in str(caught.value)
    with testing.open(tmp_path / "s", disk=testing.Disk()) as store:
        assert store.verify().ok


def test_arguments_are_those_of_open(tmp_path: Path) -> None:
    with pytest.raises(treering.TreeringError):
        testing.open(tmp_path / "absent", create=False)
    assert not (tmp_path / "absent").exists()
    testing.open(tmp_path / "s").close()
    with testing.open(tmp_path / "s", read_only=True) as store, pytest.raises(treering.ReadOnly):
        store.put(b"x")
    with pytest.raises(treering.Invalid):
        testing.open(tmp_path / "s", lock_wait_s=-1)


def test_a_pickle_opens_the_plain_store(tmp_path: Path) -> None:
    faults = testing.Faults()
    with testing.open(tmp_path / "s", faults=faults) as store:
        faults.fail("commit", treering.DiskFull, times=None)
        plain: treering.Store = pickle.loads(pickle.dumps(store))
        with plain:
            plain.put(b"x")
        with pytest.raises(treering.DiskFull):
            store.put(b"x")


def test_it_is_not_loaded_unless_it_is_asked_for() -> None:
    code = "import sys, treering; sys.exit('treering.testing' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- faults


def test_the_nth_call_so_often() -> None:
    faults = testing.Faults()
    with testing.memory(faults=faults) as store:
        faults.fail("commit", treering.DiskFull, nth=3, times=2)
        seen = []
        for _ in range(6):
            try:
                store.put(b"x")
                seen.append("ok")
            except treering.DiskFull:
                seen.append("full")
        assert seen == ["ok", "ok", "full", "full", "ok", "ok"]
        assert (faults.calls("commit"), faults.injected) == (6, 2)
        assert repr(faults) == "<Faults injected=2>"


@pytest.mark.parametrize(
    "plan",
    [
        lambda f: f.fail("read", treering.DiskFull),
        lambda f: f.fail("commit", treering.Corrupt),
        lambda f: f.fail("gc", treering.LeaseLost),
        lambda f: f.fail("commit", treering.HeadMoved),
        lambda f: f.fail("commit", ValueError),
        lambda f: f.fail("commit", treering.DiskFull("x")),
        lambda f: f.fail("nothing", treering.DiskFull),
        lambda f: f.fail("commit", treering.DiskFull, nth=0),
        lambda f: f.fail("commit", treering.DiskFull, times=0),
        lambda f: f.delay("commit", -1),
        lambda f: f.delay("commit", float("nan")),
    ],
)
def test_plans_that_can_not_be(plan: Callable[[testing.Faults], None]) -> None:
    faults = testing.Faults()
    with pytest.raises(treering.Invalid):
        plan(faults)
    with testing.memory(faults=faults) as store:
        store.put(b"x")
    assert faults.injected == 0


@pytest.mark.parametrize(
    "plan",
    [
        lambda d: d.fail("read", treering.DiskFull),
        lambda d: d.fail("sync", treering.DiskFull),
        lambda d: d.fail("write", treering.LockTimeout),
        lambda d: d.fail("nothing"),
        lambda d: d.fail("write", nth=0),
        lambda d: d.flip(nth=0),
    ],
)
def test_plans_of_a_disk_that_can_not_be(plan: Callable[[testing.Disk], None]) -> None:
    disk = testing.Disk()
    with pytest.raises(treering.Invalid):
        plan(disk)
    assert disk.failed == 0


@pytest.mark.parametrize("sync", [True, False])
def test_a_disk_counts(tmp_path: Path, sync: bool) -> None:
    disk = testing.Disk(sync=sync)
    with testing.open(tmp_path / "s", disk=disk) as store:
        before = disk.operations()
        store.put(b"x")
        after = disk.operations()
    grown = {name: after[name] - before[name] for name in after}
    assert grown["write"] >= 1
    assert grown["sync"] >= 1
    assert grown["change"] >= grown["write"] + grown["sync"] + grown["open"]
    assert repr(disk) == "<Disk failed=0>"


def test_an_open_that_fails(tmp_path: Path) -> None:
    disk = testing.Disk()
    with testing.open(tmp_path / "s", disk=disk) as store:
        cid = store.put(b"x" * 300_000)
        before = disk.operations()["open"]
        disk.fail("open")
        with pytest.raises(treering.Unavailable):
            store.blocks.get(cid)
        assert store.blocks.get(cid) == b"x" * 300_000
        assert (disk.operations()["open"] - before, disk.failed) == (2, 1)


def test_a_late_answer(tmp_path: Path) -> None:
    faults = testing.Faults()
    with testing.open(tmp_path / "s", faults=faults) as store, treering.open(tmp_path / "s") as plain:
        thread = store.threads.start("w")
        faults.delay("commit", 0.5, times=1)
        began = time.monotonic()
        threading.Thread(target=thread.append, args=("a", "first")).start()
        while not len(plain.threads.get(thread.id)):
            time.sleep(0.01)
        assert time.monotonic() - began < 0.5, "the commit itself is not late"
        assert store.threads.get(thread.id).append("a", "second").number == 2
        assert time.monotonic() - began >= 0.5, "no answer overtakes an earlier one"


async def test_a_cancelled_wait_undoes_nothing(tmp_path: Path) -> None:
    faults = testing.Faults()
    async with testing.as_async(testing.open(tmp_path / "s", faults=faults)) as store:
        thread = await store.threads.start("w")
        faults.delay("commit", 0.3, times=1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(thread.append("a", "x", command_id="c"), 0.05)
        again = await store.threads.get(thread.id)
        assert (await again.append("a", "x", command_id="c")).number == 1
        assert [step.text async for step in await store.threads.get(thread.id)] == ["x"]


# --- power


def life(store: treering.Store, mark: Callable[[str], None]) -> None:
    thread = store.threads.start("w", key="k")
    mark("start")
    for number in range(1, 4):
        thread.append("a", f"{number}", artifacts={"x": bytes([number]) * 300_000} if number == 2 else None)
        mark(f"step {number}")
    thread.finish()
    mark("finish")


MARKS = ("start", "step 1", "step 2", "step 3", "finish")


def test_what_was_promised_outlives_a_power_failure() -> None:
    seen = set()
    lost = 0
    for cut in testing.power_cuts(life):
        assert cut.marks == MARKS[: len(cut.marks)]
        with testing.open(cut.path, disk=testing.Disk(sync=False)) as store:
            assert store.verify().ok
            threads = store.threads.list()
            steps = [step.text for step in threads[0]] if threads else []
            promised = sum(mark.startswith("step") for mark in cut.marks)
            texts = ["1", "2", "3", ""]
            assert steps in (texts[:promised], texts[: promised + 1])
            assert threads or not cut.marks
            if "finish" in cut.marks:
                assert threads[0].status == "completed"
            lost += len(steps) == promised and cut.marks != MARKS
            seen.add((cut.loss, len(cut.marks)))
    assert {count for _, count in seen} == set(range(6)), "a moment after each mark"
    assert {loss for loss, _ in seen} == {"all", "nothing", "random", "torn"}
    assert lost > 0, "what was not promised yet can be lost"


def test_relaxed_commits_can_be_lost() -> None:
    """A promise that was never made is found out: the suite can fail."""

    def relaxed(store: treering.Store, mark: Callable[[str], None]) -> None:
        thread = store.scope("main", durability="relaxed").threads.start("w", key="k")
        thread.append("a", "x")
        mark("appended")

    lost = 0
    for cut in testing.power_cuts(relaxed, losses=["all"]):
        with treering.open(cut.path) as store:
            assert store.verify().ok
            lost += "appended" in cut.marks and not store.threads.list()
    assert lost > 0


def test_power_cuts_are_of_the_loss_that_is_asked_for(tmp_path: Path) -> None:
    assert {cut.loss for cut in testing.power_cuts(life, losses=["random"], seed=7)} == {"random"}
    for losses in ([], ["some"]):
        with pytest.raises(treering.Invalid):
            testing.power_cuts(life, losses=losses)  # type: ignore[arg-type]


def test_a_life_that_raises_is_heard() -> None:
    def broken(store: treering.Store, mark: Callable[[str], None]) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        next(testing.power_cuts(broken))


def test_nothing_is_left_behind() -> None:
    cuts = testing.power_cuts(life, losses=["all"])
    first, second = next(cuts).path, next(cuts).path
    assert not first.exists()
    cuts.close()  # type: ignore[attr-defined]
    assert not second.exists()
    assert not second.parents[1].exists()


@pytest.mark.parametrize("name", testing.__all__)
def test_every_name_is_documented(name: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference.md").read_text(encoding="utf-8")
    assert f"testing.{name}" in page
    value = getattr(testing, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value)
        for member_name, member in vars(value).items():
            if not member_name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                assert inspect.getdoc(member), f"{name}.{member_name}"


@pytest.mark.parametrize("module", ["treering.testing", "treering.testing.power"])
def test_examples_run(module: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS)
    assert failed == 0
    assert tried > 0
