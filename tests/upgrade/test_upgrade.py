"""Stores that older versions wrote open and work; a store of a newer format is refused and left as it is."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import treering
from treering._core import FORMAT

FIXTURE = Path(__file__).parent / "before-dead"
EXPECTED: dict[str, Any] = json.loads((FIXTURE / "expected.json").read_text(encoding="utf-8"))
#: Where SQLite's header has `user_version`, our number of the format.
FORMAT_AT = 60
# The newest that is read: that of a store whose large blocks are in a bucket.
NEWEST = FORMAT + 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(FIXTURE / "store", tmp_path / "state")


@pytest.fixture
def store(folder: Path) -> Iterator[treering.Store]:
    with treering.open(folder) as opened:
        yield opened


def told(thread: treering.Thread) -> dict[str, Any]:
    """A thread in the terms of `expected.json`."""
    return {
        "key": thread.key,
        "status": thread.status,
        "head": str(thread.head),
        "prompt": thread.prompt,
        "labels": dict(thread.labels),
        "error": thread.error,
        "return_code": thread.return_code,
        "forked_from": None if thread.forked_from is None else list(thread.forked_from),
        "steps": [[step.role, step.content, dict(step.meta), sorted(step.artifacts)] for step in thread],
    }


def assert_as_written(store: treering.Store) -> None:
    """All that the fixture's script wrote down is there, and nothing else."""
    assert store.scopes() == sorted(EXPECTED["threads"])
    for name in store.scopes():
        scope = store.scope(name)
        assert {thread.id: told(thread) for thread in scope.threads.list()} == EXPECTED["threads"][name]
        assert {pin: str(cid) for pin, cid in scope.pins.list().items()} == EXPECTED["pins"][name]
    blocks = [line.split() for line in (FIXTURE / "blocks.txt").read_text().splitlines()]
    assert [(str(block.cid), block.size) for block in store.blocks.list()] == [(c, int(size)) for c, size, _ in blocks]
    for block in store.blocks.list():
        assert len(store.blocks.get(block.cid)) == block.size


def bytes_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_fixture_is_from_before_the_table() -> None:
    database = (FIXTURE / "store" / "store.db").read_bytes()
    assert b"CREATE TABLE hold" in database
    assert b"CREATE TABLE dead" not in database


def test_an_old_store_reads_as_it_was_written(store: treering.Store) -> None:
    assert_as_written(store)
    assert store.head() == EXPECTED["head"]
    assert store.cursor() == EXPECTED["cursor"]
    assert [entry.position for entry in store.journal()] == list(range(1, int(EXPECTED["cursor"].split("-")[1]) + 1))
    report = store.verify(since=EXPECTED["head"])
    assert report.findings == ()


def test_an_old_store_is_written_on(store: treering.Store, folder: Path) -> None:
    threads = store.scope("alice").threads
    main = threads.get("ticket-812")
    steps = len(main)
    again = main.append("planner", "1. reproduce", meta={"phases": 2}, command_id="plan")
    assert again.number == 1, "the receipt of then still answers"
    assert main.append("coder", "the new version").number == steps + 1
    fork = main.fork(before="coder", occurrence="first")
    fork.append("coder", "otherwise")
    threads.get("retry").rm()
    store.put(b"new bytes")
    store.close()
    with treering.open(folder) as later:
        assert later.verify(since=EXPECTED["head"]).findings == ()
        assert later.scope("alice").threads.get("ticket-812").at(steps + 1).text == "the new version"
        assert b"CREATE TABLE dead" in (folder / "store.db").read_bytes()


def test_read_only_changes_no_byte(folder: Path) -> None:
    before = bytes_in(folder)
    with treering.open(folder, read_only=True) as store:
        assert_as_written(store)
        assert store.verify(since=EXPECTED["head"]).findings == ()
        with pytest.raises(treering.ReadOnly):
            store.put(b"new bytes")
    after = bytes_in(folder)
    # SQLite's index of the log is made by who reads, and holds no data.
    assert {name: after.get(name) for name in before} == before
    assert after.keys() - before.keys() <= {"store.db-shm"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_directory_is_read(folder: Path) -> None:
    before = bytes_in(folder)
    for path in (*folder.rglob("*"), folder):
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        with treering.open(folder) as store:
            assert_as_written(store)
        assert bytes_in(folder) == before
    finally:
        for path in (folder, *folder.rglob("*")):
            path.chmod(path.stat().st_mode | 0o200)


@pytest.mark.parametrize("newer", [NEWEST + 1, 2**31 - 1])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_format_is_refused_and_nothing_is_touched(folder: Path, newer: int, read_only: bool) -> None:
    database = folder / "store.db"
    data = bytearray(database.read_bytes())
    assert int.from_bytes(data[FORMAT_AT : FORMAT_AT + 4], "big") == FORMAT
    data[FORMAT_AT : FORMAT_AT + 4] = newer.to_bytes(4, "big")
    database.write_bytes(data)
    before = bytes_in(folder)
    with pytest.raises(treering.NewerFormat) as refused:
        treering.open(folder, read_only=read_only)
    assert str(newer) in str(refused.value)
    assert str(NEWEST) in str(refused.value).replace(str(newer), "")
    assert (refused.value.found, refused.value.supported) == (newer, NEWEST)
    assert bytes_in(folder) == before


@pytest.mark.skipif(not hasattr(treering.Store, "gc"), reason="no collections in Python yet")
def test_an_old_store_is_collected(store: treering.Store) -> None:
    blocks = [line.split() for line in (FIXTURE / "blocks.txt").read_text().splitlines()]
    store.gc()
    kept = [cid for cid, _, state in blocks if state == "kept"]
    assert [str(block.cid) for block in store.blocks.list()] == kept
    assert store.verify(since=EXPECTED["head"]).findings == ()
    for name in store.scopes():
        assert {t.id: told(t) for t in store.scope(name).threads.list()} == EXPECTED["threads"][name]
