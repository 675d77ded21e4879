"""Sealing and expiring the journal, as users do it."""

import asyncio
import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import treering
import treering.aio


def filled(path: Path, steps: int = 30) -> treering.Store:
    store = treering.open(path, durability="relaxed")
    thread = store.threads.start("fix", key="k")
    for number in range(1, steps):
        thread.append("coder", f"{number}")
    return store


def test_sealed_is_read_and_proved(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    before, head = list(store.journal()), store.head()
    report = store.seal_journal(keep=10)
    assert (report.files, report.commits) == (1, 20)
    assert report.bytes == sum(file.stat().st_size for file in (tmp_path / "s" / "journal").iterdir())
    assert list(store.journal()) == before
    assert list(store.journal(after=before[7].cursor)) == before[8:]
    assert store.verify(since=head).ok
    extent = store.journal_extent()
    assert (extent.first, extent.last, extent.commits, extent.sealed_commits) == (1, 30, 30, 20)
    (file,) = extent.sealed
    assert (file.first, file.last, file.cursor) == (1, 20, before[19].cursor)
    assert pickle.loads(pickle.dumps((extent, report))) == (extent, report)


def test_expired_is_gone(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    entries = list(store.journal())
    heads = [store.head()]
    store.seal_journal(keep=10)
    assert store.expire_journal(datetime.now(UTC) - timedelta(days=1)).commits == 0
    assert store.expire_journal(before=entries[18].cursor).commits == 0
    report = store.expire_journal(before=entries[19].cursor)
    assert (report.files, report.commits) == (1, 20)
    assert list(store.journal()) == entries[20:]
    assert next(store.watch()).position == 21
    for gone in ("c1-0-0000000000000000", entries[18].cursor):
        with pytest.raises(treering.CursorExpired) as caught:
            list(store.journal(after=gone))
        assert caught.value.kind == "cursor-expired"
    with pytest.raises(treering.CursorLost):
        list(store.journal(after="c1-25-0000000000000000"))
    assert store.verify(since=heads[0]).ok
    assert store.journal_extent().start == entries[19].cursor
    assert len(store.threads.get("k")) == 29


def test_a_head_from_before_what_is_kept_is_a_finding(tmp_path: Path) -> None:
    store = filled(tmp_path / "s", 5)
    head = store.head()
    thread = store.threads.get("k")
    for _ in range(5):
        thread.append("coder", "more")
    store.seal_journal(keep=1)
    store.expire_journal(store.journal_extent().sealed[-1].cursor)
    report = store.verify(since=head)
    (finding,) = report.findings
    assert (finding.check, report.commits) == ("journal", 1)
    assert "older than what is kept" in finding.detail
    assert store.verify().ok


def test_in_memory(store: treering.Store) -> None:
    thread = store.threads.start("fix")
    for _ in range(5):
        thread.append("a")
    entries = list(store.journal())
    store.expire_journal(before=entries[2].cursor)
    first = store.journal_extent().first
    # In a directory nothing was sealed, so nothing goes.
    assert first == (4 if store.path is None else 1)
    assert [entry.position for entry in store.journal()] == list(range(first, 7))
    assert store.verify().ok


def test_what_is_no_time_is_refused(store: treering.Store) -> None:
    with pytest.raises(treering.Invalid, match="time zone"):
        store.expire_journal(datetime(2026, 1, 1))
    with pytest.raises(treering.Invalid, match="cursor"):
        store.expire_journal("yesterday")


def test_async(tmp_path: Path) -> None:
    filled(tmp_path / "s").close()

    async def main() -> tuple[int, int]:
        async with treering.aio.open(tmp_path / "s") as store:
            await store.seal_journal(keep=10)
            extent = await store.journal_extent()
            report = await store.expire_journal(extent.sealed[0].cursor)
            left = [entry async for entry in store.journal()]
            return report.commits, len(left)

    assert asyncio.run(main()) == (20, 10)


def test_the_reserve_is_a_setting(tmp_path: Path) -> None:
    for name, size in (("none", 0), ("small", 4096)):
        with treering.open(tmp_path / name, reserve_bytes=size) as store:
            again = pickle.loads(pickle.dumps(store))
            assert again == store
        reserve = tmp_path / name / "reserve"
        assert (reserve.stat().st_size if reserve.exists() else 0) == size
    with treering.open(tmp_path / "usual"):
        assert (tmp_path / "usual" / "reserve").stat().st_size == 16 << 20
    with pytest.raises(ValueError):
        treering.open(tmp_path / "wrong", reserve_bytes=-1)
