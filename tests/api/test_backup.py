"""Backups, restores and copies as users call them; what they hold byte for byte is tested in the core."""

import pickle
import signal
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

import treering
from treering import Diverged, Invalid, Progress, ReadOnly, Store, aio, backup

SEEN = {"start", "database", "files", "check", "search", "blocks", "refs"}


def fill(store: Store) -> None:
    thread = store.threads.start("review", prompt="Look", key="k", labels={"n": 1}, command_id="start")
    thread.append("coder", "one", artifacts={"log": b"x" * 300_000})
    thread.append("coder", "two", command_id="two")
    fork = thread.fork(at=1)
    fork.append("coder", "else")
    alice = store.scope("alice")
    alice.threads.start("other").fail("why")
    alice.pins.add("keep", store.put(b"pinned"))


def shown(store: Store) -> list[object]:
    return [
        (
            scope,
            thread.id,
            thread.key,
            thread.labels,
            thread.forked_from,
            thread.status,
            [(s.cid, s.text) for s in thread],
        )
        for scope in store.scopes()
        for thread in store.scope(scope).threads.list()
    ] + [(scope, store.scope(scope).pins.list()) for scope in store.scopes()]


def test_a_backup_is_restored_with_threads_pins_and_command_ids(tmp_path: Path) -> None:
    with treering.open(tmp_path / "state") as store:
        fill(store)
        report = store.backup(tmp_path / "backup")
        assert (report.incremental, report.head, report.files) == (False, store.head(), 1)
        assert report.checked_blocks == report.blocks == store.stats()["blocks"]
        expected = shown(store)
    restored = treering.restore(tmp_path / "backup", str(tmp_path / "restored"))
    assert asdict(restored) | {"duration_ms": 0} == asdict(report) | {"duration_ms": 0}
    with treering.open(tmp_path / "restored") as store:
        assert shown(store) == expected
        assert store.verify(since=report.head)
        before = store.head()
        again = store.threads.get("k").append("coder", "two", command_id="two")
        assert (again.number, store.head()) == (2, before)
        store.threads.get("k").append("coder", "three")
        report = store.backup(tmp_path / "backup")
        assert (report.incremental, report.commits, report.blocks) == (True, 1, 2)
        assert report.copied_bytes < 5_000


def test_a_backup_can_be_read_and_not_written(tmp_path: Path) -> None:
    with treering.open(tmp_path / "state") as store:
        fill(store)
        store.backup(tmp_path / "backup")
        with treering.open(tmp_path / "backup") as copy:
            assert shown(copy) == shown(store)
            with pytest.raises(ReadOnly):
                copy.threads.start("no")


def test_what_is_somewhere_else_is_refused_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with treering.open(tmp_path / "state") as store, treering.open(tmp_path / "other") as other:
        fill(store)
        for path in ("mine", "other", "state", "state/in/it"):
            with pytest.raises(Invalid):
                store.backup(tmp_path / path)
        for path in ("", "a\0b"):
            with pytest.raises(Invalid):
                store.backup(path)
        store.backup(tmp_path / "backup")
        with pytest.raises(Diverged, match="another store") as caught:
            other.backup(tmp_path / "backup")
        assert caught.value.path == str(tmp_path / "backup")
        copied = pickle.loads(pickle.dumps(caught.value))
        assert (str(copied), copied.attributes) == (str(caught.value), caught.value.attributes)
        with pytest.raises(Invalid):
            treering.restore(tmp_path / "nothing", tmp_path / "new")
        assert not (tmp_path / "new").exists()
    with pytest.raises(Invalid, match="copy_to"):
        treering.memory().backup(tmp_path / "memory")


def test_copy_to_brings_all_refs_and_says_what_stays(tmp_path: Path) -> None:
    source = treering.memory()
    fill(source)
    with treering.open(tmp_path / "state") as target:
        report = source.copy_to(target)
        assert (report.scopes, report.refs_new, report.receipts_left) == (2, 6, 2)
        assert shown(target) == shown(source)
        assert target.verify()
        source.threads.get("k").append("coder", "three")
        report = source.copy_to(target)
        assert (report.refs_moved, report.refs_there, report.blocks) == (1, 5, 2)
        target.threads.get("k").append("coder", "here")
        source.threads.get("k").append("coder", "there")
        head = target.head()
        with pytest.raises(Diverged) as caught:
            source.copy_to(target)
        assert [ref.split("/")[1] for ref in caught.value.refs] == ["thread"]
        assert target.head() == head
        assert source.copy_to(target, rename={"main": "theirs"}).refs_new == 3
        assert target.scope("theirs").threads.get("k").at(4).text == "there"
        assert target.verify()
        with pytest.raises(Invalid, match="no such scope"):
            source.copy_to(target, rename={"nobody": "x"})


@pytest.mark.parametrize("what", ["backup", "restore", "copy"])
def test_progress_is_shown_and_stops_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr(backup, "_SLICE_MS", 0)
    store = treering.open(tmp_path / "state")
    for number in range(40):
        store.put(bytes([number]) * 300_000)
        store.scope("main").pins.add(f"{number}", store.put(bytes([number]) * 300_000))
    if what == "restore":
        store.backup(tmp_path / "backup")
    count = 0

    def run(progress: Callable[[Progress], None]) -> object:
        nonlocal count
        count += 1
        target = tmp_path / f"{what}-{count}"
        match what:
            case "backup":
                return store.backup(target, progress=progress)
            case "restore":
                return treering.restore(tmp_path / "backup", target, progress=progress)
            case _:
                with treering.open(target) as other:
                    return store.copy_to(other, progress=progress)

    seen: list[Progress] = []
    run(seen.append)
    assert seen
    assert {progress.stage for progress in seen} <= SEEN
    assert all(progress.total is None or 0 <= progress.done <= progress.total for progress in seen)

    class Enough(Exception):
        pass

    def enough(_: Progress) -> None:
        raise Enough

    def interrupt(_: Progress) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(Enough):
        run(enough)
    with pytest.raises(KeyboardInterrupt):
        run(interrupt)
    if what != "copy":
        # Nothing goes on behind, and nothing half is opened.
        for number in (2, 3):
            with pytest.raises(Invalid, match="not finished"):
                treering.open(tmp_path / f"{what}-{number}")
    store.put(b"goes on")


async def test_async(tmp_path: Path) -> None:
    async with aio.open(tmp_path / "state") as store:
        thread = await store.threads.start("w", key="k")
        await thread.append("a", "one")
        assert (await store.backup(tmp_path / "backup")).commits == 2
        assert (await aio.restore(tmp_path / "backup", tmp_path / "restored")).commits == 2
        async with aio.open(tmp_path / "restored") as restored:
            assert (await (await restored.threads.get("k")).at(1)).text == "one"
        async with aio.memory() as other:
            assert (await store.copy_to(other)).refs_new == 2
