"""Repair and quarantine through the Python API: what was broken comes back, or goes out of the way whole."""

import asyncio
import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

import treering
import treering.aio

Damage = Callable[..., None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with two threads, of which the first failed once; closed."""
    path = tmp_path / "state"
    with treering.open(path) as store:
        thread = store.threads.start("fix", key="one", prompt="Fix it")
        thread.extend([("coder", "a"), ("coder", "b")])
        thread.append("coder", "c")
        thread.fail("no luck")
        store.threads.start("other", key="two").append("coder", "d")
    return path


@pytest.fixture
def damage(path: Path) -> Damage:
    def change(sql: str, *values: object) -> None:
        database = sqlite3.connect(path / "store.db")
        with database:
            assert database.execute(sql, values).rowcount == 1
        database.close()

    return change


def ref_of(path: Path, key: str) -> str:
    with treering.open(path) as store:
        return f"main/thread/{store.threads.get(key).id}"


def test_a_broken_ref_is_mended_from_the_journal(path: Path, damage: Damage) -> None:
    ref = ref_of(path, "one")
    damage("UPDATE ref SET target = zeroblob(36), chk = zeroblob(16) WHERE name = ?", ref)
    with treering.open(path) as store:
        assert [row.name for row in store.refs.list() if row.broken] == [ref]
        report = store.verify()
        assert not report.ok
        assert report.repairs == ()
        report = store.verify(repair=True)
        assert report.ok
        assert [(repair.check, repair.which) for repair in report.repairs] == [("ref", f"ref row {ref}")]
        assert report.threads == 2
        assert [step.text for step in store.threads.get("one")] == ["a", "b", "c"]
        assert pickle.loads(pickle.dumps(report)) == report
        assert store.verify(repair=True).repairs == ()


def test_repair_and_proof_of_the_past_go_together(path: Path, damage: Damage) -> None:
    with treering.open(path) as store:
        head = store.head()
    damage("UPDATE journal SET digest = zeroblob(32) WHERE position = 1")
    with treering.open(path) as store:
        report = store.verify(since=head, repair=True)
        assert report.ok
        assert len(report.repairs) == 1
        assert not store.verify(since=head[:-4] + "0000", repair=True).ok


def test_what_can_not_be_mended_says_what_to_do(path: Path, damage: Damage) -> None:
    with treering.open(path) as store:
        cid = store.threads.get("one").at(2).cid
    damage("DELETE FROM block WHERE digest = ?", cid.digest)
    with treering.open(path) as store:
        report = store.verify(repair=True)
        assert not report.ok
        assert all(finding.advice for finding in report.findings)
        assert any("quarantine" in finding.advice for finding in report.findings)


def test_a_thread_takes_its_key_and_its_failure_along_and_comes_back(path: Path, damage: Damage) -> None:
    ref = ref_of(path, "one")
    with treering.open(path) as store:
        thread = store.threads.get("one")
        lost, kept = thread.head, thread.at(2).cid
    damage("DELETE FROM block WHERE digest = ?", lost.digest)
    with treering.open(path) as store:
        entry = store.refs.quarantine(ref)
        assert {one.name.split("/")[1] for one in entry.refs} == {"thread", "thread-key", "thread-failed"}
        first = entry.refs[0]
        assert (first.name, first.target, first.whole_target) == (ref, lost, kept)
        assert entry.lost == (lost,)
        assert store.refs.quarantined() == (entry,)
        assert store.verify().ok
        assert [thread.key for thread in store.threads.list()] == ["two"]
        with pytest.raises(treering.Invalid, match="put it first"):
            store.refs.restore(entry.entry)
        assert set(store.refs.restore(entry.entry, whole=True)) >= {ref}
        assert [step.text for step in store.threads.get("one")] == ["a", "b"]
        with pytest.raises(treering.VersionConflict):
            store.refs.restore(entry.entry, whole=True)
        store.refs.discard(entry.entry)
        assert store.refs.quarantined() == ()
        with pytest.raises(treering.NotFound):
            store.refs.discard(entry.entry)


def test_what_is_sound_is_not_moved(path: Path) -> None:
    ref = ref_of(path, "two")
    for store in (treering.open(path), treering.memory()):
        with store:
            with pytest.raises(treering.NotFound):
                store.refs.quarantine("main/thread/none")
            with pytest.raises(treering.Invalid):
                store.refs.quarantine("none")
    with treering.open(path) as store, pytest.raises(treering.Invalid, match="nothing is wrong"):
        store.refs.quarantine(ref)
    with treering.memory() as store:
        store.threads.start("x")
        assert store.verify(repair=True).ok
        (row,) = store.refs.list()
        assert (row.kind, row.scope, row.version, row.broken) == ("thread", "main", 1, None)


def test_a_store_that_does_not_open(path: Path, damage: Damage) -> None:
    damage("UPDATE manifest SET value = zeroblob(40), chk = zeroblob(16) WHERE key = 'totals'")
    with pytest.raises(treering.Corrupt):
        treering.open(path)
    with treering.open(path, repair=True) as store:
        assert store.verify().ok
    with treering.open(path) as store:
        assert len(store.threads.get("one")) == 3


def test_async(path: Path, damage: Damage) -> None:
    ref = ref_of(path, "one")
    with treering.open(path) as store:
        lost = store.threads.get("one").head
    damage("DELETE FROM block WHERE digest = ?", lost.digest)

    async def live() -> None:
        async with treering.aio.open(path) as store:
            assert not (await store.verify(repair=True)).ok
            entry = await store.refs.quarantine(ref)
            assert (await store.refs.quarantined()) == (entry,)
            await store.refs.restore(entry.entry, whole=True)
            names = [row.name async for row in store.refs.list()]
            assert ref in names
            assert entry.entry in names

    asyncio.run(live())
