"""Backups in a bucket of a real server: sync, aio, the command line, and what is refused."""

import asyncio
import sys
from pathlib import Path

import pytest

import treering
from treering import Corrupt, Invalid, aio
from treering.cli import run as command_line

sys.path.insert(0, str(Path(__file__).parent))

from server import Server

MIB = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> treering.Store:
    store = treering.open(tmp_path / "state")
    store.scope("alice").files.put("large.bin", bytes(range(256)) * (9 * MIB // 256))
    return store


def large(path: Path) -> int:
    with treering.open(path) as store, store.scope("alice").files.open("large.bin") as file:
        return len(file.read())


def test_there_and_back(store: treering.Store, server: Server, place: str, tmp_path: Path) -> None:
    url = server.url(place)
    report = store.backup(url, staging=tmp_path / "staging")
    assert not report.incremental
    assert report.sent_bytes > 9 * MIB
    assert report.objects_left == 0
    store.threads.start("hello")
    report = store.backup(url, staging=str(tmp_path / "staging"))
    assert report.incremental
    assert report.sent_bytes < MIB
    treering.restore(url, tmp_path / "restored")
    assert large(tmp_path / "restored") == 9 * MIB
    with treering.open(tmp_path / "restored") as restored:
        assert restored.head() == store.head()
    # Without a staging directory, awaited.
    assert asyncio.run(_again(store, url, tmp_path / "awaited")) == (0, False)
    assert large(tmp_path / "awaited") == 9 * MIB
    # Nothing of ours is left beside them.
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


async def _again(store: treering.Store, url: str, to: Path) -> tuple[int, bool]:
    async with await aio.open(store.path) as same:
        report = await same.backup(url)
    await aio.restore(url, to)
    return report.sent_bytes // MIB, report.incremental


def test_the_command_line(
    store: treering.Store, server: Server, place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.close()
    url = server.url(place)
    assert command_line(["--store", str(tmp_path / "state"), "backup", url, "--staging", str(tmp_path / "kept")]) == 0
    assert "sent" in capsys.readouterr().out
    assert command_line(["restore", url, str(tmp_path / "restored")]) == 0
    assert "restored:" in capsys.readouterr().out
    assert large(tmp_path / "restored") == 9 * MIB


def test_what_is_refused(store: treering.Store, server: Server, place: str, tmp_path: Path) -> None:
    url = server.url(place)
    with pytest.raises(Invalid, match="no backup below this prefix"):
        treering.restore(url, tmp_path / "restored")
    for other in ("file:///x", "https://host/x"):
        with pytest.raises(Invalid, match="is a URL"):
            store.backup(other)
        with pytest.raises(Invalid, match="is a URL"):
            treering.restore(other, tmp_path / "restored")
    with pytest.raises(Invalid, match="no user"):
        store.backup("s3://key:hunter2@data/x")
    with pytest.raises(Invalid, match="`staging` goes with"):
        store.backup(tmp_path / "backup", staging=tmp_path / "staging")
    with pytest.raises(Invalid, match="in memory"):
        treering.memory().backup(url)
    # The large blocks of a store are no place for a backup, nor the other way round.
    treering.open(tmp_path / "remote", blobs=url).close()
    with pytest.raises(Invalid, match="other objects lie there"):
        store.backup(url)
    backups = server.url(place + "-backups")
    store.backup(backups)
    with pytest.raises(Invalid, match="other objects lie there"):
        treering.open(tmp_path / "remote2", blobs=backups)
    moved = tmp_path / "moved"
    (tmp_path / "state").rename(moved)
    with pytest.raises(Invalid, match="nobody says which scopes were erased") as nobody:
        treering.restore(backups, tmp_path / "restored")
    assert backups.partition("?")[0] in str(nobody.value)
    assert "fetched" not in f"{nobody.value} {nobody.value.attributes}"
    moved.rename(tmp_path / "state")
    piece = next(name for name in server.objects(place + "-backups") if name.startswith("pieces/"))
    treering._core.BucketCore(backups).put(piece, b"rotten")
    with pytest.raises(Corrupt, match="others than were sent"):
        treering.restore(backups, tmp_path / "restored")
    assert not (tmp_path / "restored").exists()
