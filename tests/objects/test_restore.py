"""Restores into a bucket: whole, killed in the middle, tried again, and into a place that is not free."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import treering
from treering import Invalid

sys.path.insert(0, str(Path(__file__).parent))

from proxy import Proxy
from server import Server

MIB = 1 << 20


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A backup of a store with a block that is one object, one that goes in parts, and small ones."""
    with treering.open(tmp_path / "state") as store:
        files = store.scope("alice").files
        files.put("large", (bytes([n]) * MIB for n in range(20)))
        files.put("one", b"x" * MIB)
        files.put("small", b"abc")
        store.backup(tmp_path / "backup")
    return tmp_path / "backup"


def expect_whole(path: Path, url: str) -> None:
    with treering.open(path) as store:
        assert store.blobs == url
        files = store.scope("alice").files
        with files.open("large") as file:
            assert all(piece == bytes([n]) * MIB for n, piece in enumerate(file.chunks()))
        with files.open("one") as file:
            assert file.read() == b"x" * MIB
        assert store.verify().ok
        assert store.stats()["blob_files"] == 2


def test_large_blocks_go_to_the_bucket(backup: Path, server: Server, place: str, tmp_path: Path) -> None:
    url = server.url(place)
    treering.restore(backup, tmp_path / "restored", blobs=url)
    assert len(server.objects(place)) == 3
    held = [file for file in (tmp_path / "restored" / "blobs").rglob("*") if file.is_file()]
    assert held == []
    expect_whole(tmp_path / "restored", url)
    # Its next backup is whole by itself, as any is.
    with treering.open(tmp_path / "restored") as store:
        store.backup(tmp_path / "backup-2")
    treering.restore(tmp_path / "backup-2", tmp_path / "plain")
    with treering.open(tmp_path / "plain") as store:
        assert store.blobs is None
        assert store.verify().ok


KILLED = "import sys, treering; treering.restore(sys.argv[1], sys.argv[2], blobs=sys.argv[3])"


def test_one_that_was_killed_is_tried_again(
    backup: Path, server: Server, proxy: Proxy, place: str, tmp_path: Path
) -> None:
    url = server.url(place, proxy.endpoint)
    held = proxy.fail("slow", lambda request: request.part == 2, seconds=60.0)
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(backup), str(tmp_path / "restored"), url])
    while held.happened == 0:
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    with pytest.raises(Invalid):
        treering.open(tmp_path / "restored")
    proxy.heal()
    with proxy.counting() as requests:
        treering.restore(backup, tmp_path / "restored", blobs=url)
    # What the first had sent is not sent again.
    assert sorted(request.part for request in requests if request.part is not None) == [2, 3]
    expect_whole(tmp_path / "restored", url)
    assert len(server.objects(place)) == 3


def test_one_that_was_refused_goes_elsewhere_and_back(
    backup: Path, server: Server, proxy: Proxy, place: str, tmp_path: Path
) -> None:
    """Each place that was tried is known, not only the first."""
    places = [server.url(f"{place}-{n}", proxy.endpoint, give_up=0) for n in (1, 2)]
    for url in places:
        proxy.fail("refuse", lambda request: request.part is not None, times=1000)
        with pytest.raises(treering.BucketError):
            treering.restore(backup, tmp_path / "restored", blobs=url)
        proxy.heal()
    treering.restore(backup, tmp_path / "restored", blobs=places[1])
    expect_whole(tmp_path / "restored", places[1])


def test_a_place_that_is_not_free(backup: Path, server: Server, place: str, tmp_path: Path) -> None:
    url = server.url(place)
    treering.restore(backup, tmp_path / "first", blobs=url)
    before = server.objects(place)
    with pytest.raises(Invalid, match="a second one may not"):
        treering.restore(backup, tmp_path / "second", blobs=url)
    assert server.objects(place) == before
    # Nothing is made that would keep it from going elsewhere.
    treering.restore(backup, tmp_path / "second", blobs=server.url(f"{place}-b"))
    expect_whole(tmp_path / "second", server.url(f"{place}-b"))
