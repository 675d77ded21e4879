"""Stores whose large blocks lie in a bucket of a real server: files, artifacts, ranges, gc, and what goes wrong."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import treering
from treering import BucketError, Corrupt, Invalid, testing
from treering._core import BucketCore
from treering.cli import run as command_line

sys.path.insert(0, str(Path(__file__).parent))

from proxy import Proxy, Request
from server import Server

MIB = 1 << 20
DAY_MS = 24 * 60 * 60 * 1000


def is_part(request: Request) -> bool:
    return request.part is not None


def blobs(server: Server, place: str) -> list[str]:
    """The objects of large blocks: all but the marker that says whose the place is."""
    return [name for name in server.objects(place) if name != "treering"]


@pytest.fixture
def store(server: Server, proxy: Proxy, place: str, tmp_path: Path) -> treering.Store:
    return treering.open(tmp_path / "state", blobs=server.url(place, proxy.endpoint))


def test_files_artifacts_and_small_things(store: treering.Store, server: Server, place: str, tmp_path: Path) -> None:
    alice = store.scope("alice")
    large, small = os.urandom(3 * MIB + 17), b"small"
    alice.files.put("large.bin", large)
    alice.files.put("small.txt", small)
    thread = alice.threads.start("t")
    thread.append("coder", "see", artifacts={"log": large + b"!"})
    # One object for each large block; what is small stays in the directory.
    assert len(blobs(server, place)) == 2
    assert not [file for file in (tmp_path / "state" / "blobs").rglob("*") if file.is_file() and file.stat().st_size]
    with alice.files.open("large.bin") as file:
        assert file.read() == large
    with alice.files.open("small.txt") as file:
        assert file.read() == small
    # The same bytes again are the same object.
    store.scope("bob").files.put("copy.bin", large)
    assert len(blobs(server, place)) == 2
    assert store.verify().ok


def test_a_store_remembers_its_bucket(store: treering.Store, server: Server, place: str, tmp_path: Path) -> None:
    url = store.blobs
    store.scope("alice").files.put("f", b"x" * MIB)
    store.close()
    with treering.open(tmp_path / "state") as again:
        assert again.blobs == url
        with again.scope("alice").files.open("f") as file:
            assert file.read() == b"x" * MIB
    with treering.open(tmp_path / "state", blobs=url) as again:
        assert again.blobs == url
    with pytest.raises(Invalid, match="open it with that"):
        treering.open(tmp_path / "state", blobs=server.url(place + "-other"))
    plain = treering.open(tmp_path / "plain")
    assert plain.blobs is None
    plain.close()
    with pytest.raises(Invalid, match="keeps its large blocks in its directory"):
        treering.open(tmp_path / "plain", blobs=server.url(place + "-other"))


def test_a_place_is_one_stores(store: treering.Store, server: Server, place: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="a second one may not"):
        treering.open(tmp_path / "second", blobs=server.url(place))
    assert not (tmp_path / "second").exists()
    BucketCore(server.url(f"{place}-used")).put("mine.txt", b"something else")
    with pytest.raises(Invalid, match="other objects lie there"):
        treering.open(tmp_path / "third", blobs=server.url(f"{place}-used"))
    assert not (tmp_path / "third").exists()


def test_a_range_takes_what_it_needs(store: treering.Store, proxy: Proxy) -> None:
    alice = store.scope("alice")
    alice.files.put("big", (bytes([n % 251]) * MIB for n in range(20)))
    assert proxy.count("PUT", is_part) == 3
    with alice.files.open("big") as file, proxy.counting() as requests:
        assert file.range(13 * MIB + 5, 10) == bytes([13]) * 10
    gets = [request for request in requests if request.method == "GET"]
    # The tree of the object, and the one group that the range is in.
    assert len(gets) <= 2
    first, last = gets[-1].range.removeprefix("bytes=").split("-")
    assert int(last) - int(first) + 1 <= MIB


@pytest.mark.parametrize("how", ["cut", "lost", "refuse"])
def test_an_upload_outlives_a_bad_network(store: treering.Store, proxy: Proxy, how: str) -> None:
    data = [os.urandom(MIB) for _ in range(20)]
    fault = proxy.fail(how, is_part, times=2)
    store.scope("alice").files.put("big", iter(data))
    assert fault.happened == 2
    with store.scope("alice").files.open("big") as file:
        assert file.read() == b"".join(data)


@pytest.mark.parametrize("before", ["part", "completion"])
def test_a_server_that_is_killed_in_the_middle_of_an_upload(place: str, tmp_path: Path, before: str) -> None:
    """It has forgotten the upload when it is there again: that is begun anew, and who puts does not notice."""
    data = [bytes([n]) * MIB for n in range(20)]

    def fits(request: Request) -> bool:
        completes = request.method == "POST" and "uploadId" in request.query
        if request.part != 2 if before == "part" else not completes:
            return False
        server.restart()
        return True

    with Server(tmp_path / "served") as server:
        proxy = Proxy(server.port)
        with treering.open(tmp_path / "state", blobs=server.url(place, proxy.endpoint)) as store:
            files = store.scope("alice").files
            killed = proxy.fail("cut", fits)
            files.put("film", iter(data))
            assert killed.happened == 1
            assert proxy.count("POST", lambda request: "uploads" in request.query) == 2
            with files.open("film") as file:
                assert file.read() == b"".join(data)
            # What this server left of the upload that it forgot is its own.
            assert len([name for name in blobs(server, place) if ".rclone_temp" not in name]) == 1
            assert store.verify().ok
        proxy.close()


def test_a_server_that_stays_away(server: Server, proxy: Proxy, place: str, tmp_path: Path) -> None:
    store = treering.open(tmp_path / "state", blobs=server.url(place, proxy.endpoint, give_up=0))
    alice = store.scope("alice")
    alice.files.put("there", b"a" * MIB)
    version = alice.files.list().version
    proxy.fail("refuse", times=10_000)
    with pytest.raises(BucketError, match="503 SlowDown"):
        alice.files.put("not", b"b" * MIB)
    with pytest.raises(BucketError), alice.files.open("there") as file:
        file.read()
    # All that is small goes on, a new opening too.
    alice.files.put("small", b"c")
    store.close()
    store = treering.open(tmp_path / "state")
    alice = store.scope("alice")
    assert [info.path for info in alice.files.list()] == ["small", "there"]
    assert alice.files.list().version == version + 1
    proxy.heal()
    alice.files.put("not", b"b" * MIB)
    with alice.files.open("there") as file:
        assert file.read() == b"a" * MIB
    assert store.verify().ok


def test_a_verify_reads_everything_once(store: treering.Store, proxy: Proxy, server: Server, place: str) -> None:
    files = store.scope("alice").files
    files.put("one", b"1" * MIB)
    files.put("many", (bytes([n]) * MIB for n in range(20)))
    store.scope("bob").files.put("same", b"1" * MIB)
    with proxy.counting() as requests:
        assert store.verify().ok
    ranges = [request.range.removeprefix("bytes=").split("-") for request in requests if request.range is not None]
    read = sum(int(last) - int(first) + 1 for first, last in ranges)
    assert read == sum(server.objects(place)[name].stat().st_size for name in blobs(server, place))
    # Of each its length, then its bytes: of more than 1 MiB what proves them, and 8 MiB at a time.
    assert sorted(request.method for request in requests) == ["GET"] * (1 + 1 + 3) + ["HEAD"] * 2


def test_wrong_bytes_are_no_answer(store: treering.Store, proxy: Proxy, server: Server, place: str) -> None:
    alice = store.scope("alice")
    data = os.urandom(3 * MIB)
    alice.files.put("f", data)
    # Once it was the network's: asked again, it is right.
    flip = proxy.fail("flip", lambda request: request.method == "GET", times=1)
    with alice.files.open("f") as file:
        assert file.read() == data
    assert flip.happened == 1
    proxy.fail("flip", lambda request: request.method == "GET", times=1000)
    with pytest.raises(Corrupt), alice.files.open("f") as file:
        file.read()
    proxy.heal()
    with alice.files.open("f") as file:
        assert file.read() == data
    [name] = blobs(server, place)
    bucket = BucketCore(server.url(place))
    tree = server.objects(place)[name].read_bytes()[len(data) :]
    bucket.put(name, data[:-1] + bytes([data[-1] ^ 1]) + tree)
    with pytest.raises(Corrupt), alice.files.open("f") as file:
        file.read()
    assert not store.verify().ok
    # Brought again, it is whole again.
    bucket.remove(name)
    alice.files.put("again", data)
    with alice.files.open("f") as file:
        assert file.read() == data


KILLED = """
import os, sys, treering
store = treering.open(sys.argv[1])
seed = bytes(range(256)) * 4096
pieces = [bytes([n]) + seed[1:] for n in range(20)]
if sys.argv[2] == "say":
    print("begun", flush=True)
store.scope("alice").files.put("big", iter(pieces))
print("put", flush=True)
"""


def test_an_upload_of_a_killed_process_is_gone_on_with(
    server: Server, proxy: Proxy, place: str, tmp_path: Path
) -> None:
    treering.open(tmp_path / "state", blobs=server.url(place, proxy.endpoint)).close()
    held = proxy.fail("slow", lambda request: request.part == 2, seconds=60.0)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "state")]
    process = subprocess.Popen([*command, "say"])
    while held.happened == 0:
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    proxy.heal()
    with proxy.counting() as requests:
        done = subprocess.run([*command, "quiet"], capture_output=True, text=True, check=False)
        assert done.stdout == "put\n", done.stderr
    # One of the parts was there.
    assert sorted(request.part for request in requests if request.part is not None) == [2, 3]
    with treering.open(tmp_path / "state") as store:
        assert store.verify().ok
        assert len(blobs(server, place)) == 1


def test_what_a_killed_process_left_goes_with_gc(server: Server, proxy: Proxy, place: str, tmp_path: Path) -> None:
    clock = testing.Clock()
    store = testing.open(tmp_path / "state", clock=clock, blobs=server.url(place, proxy.endpoint))
    store.scope("alice").files.put("kept", b"k" * MIB)
    store.close()
    held = proxy.fail("slow", lambda request: request.part == 2, seconds=60.0)
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "state"), "quiet"])
    while held.happened == 0:
        assert process.poll() is None
    process.kill()
    process.wait()
    proxy.heal()
    store = testing.open(tmp_path / "state", clock=clock)
    clock.advance(3 * DAY_MS)
    store.gc()
    store.gc()
    assert len(blobs(server, place)) == 1
    bucket = BucketCore(store.blobs or "")
    assert all(not bucket.uploads(name) for name in blobs(server, place))
    # Of nothing but the file that is kept is there an upload or an object.
    begun = {request.name.split("/", 2)[2] for request in proxy.seen.requests if request.part is not None}
    assert [name for name in begun if bucket.uploads(name) or bucket.size(name) is not None] == []
    assert store.verify().ok


def test_gc_takes_objects(server: Server, place: str, tmp_path: Path) -> None:
    clock = testing.Clock()
    store = testing.open(tmp_path / "state", clock=clock, blobs=server.url(place))
    alice = store.scope("alice")
    for name in ("a", "b"):
        alice.files.put(name, name.encode() * MIB)
    assert len(blobs(server, place)) == 2
    alice.files.delete("a")
    alice.files.trim(keep=0)
    clock.advance(3 * DAY_MS)
    store.gc()
    assert len(blobs(server, place)) == 1
    with alice.files.open("b") as file:
        assert file.read() == b"b" * MIB


def test_a_lost_marker_stops_everything(store: treering.Store, server: Server, place: str, tmp_path: Path) -> None:
    store.scope("alice").files.put("f", b"x" * MIB)
    store.close()
    BucketCore(server.url(place)).remove("treering")
    with pytest.raises(Corrupt, match="put the object back"):
        treering.open(tmp_path / "state")


def test_a_backup_of_it_is_whole(store: treering.Store, tmp_path: Path) -> None:
    data = os.urandom(2 * MIB)
    store.scope("alice").files.put("f", data)
    store.backup(tmp_path / "backup")
    treering.restore(tmp_path / "backup", tmp_path / "restored")
    with treering.open(tmp_path / "restored") as restored:
        assert restored.blobs is None
        with restored.scope("alice").files.open("f") as file:
            assert file.read() == data


def test_the_command_line_makes_one(
    server: Server, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.bin").write_bytes(b"z" * MIB)
    assert command_line(["--blobs", server.url(place), "files", "put", "f.bin", "f.bin"]) == 0
    assert len(blobs(server, place)) == 1
    assert command_line(["files", "get", "f.bin", "out.bin"]) == 0
    assert (tmp_path / "out.bin").read_bytes() == b"z" * MIB
    capfd.readouterr()
    assert command_line(["stats"]) == 0
    assert server.url(place) in capfd.readouterr().out.replace("\n", "")
    monkeypatch.setenv("TREERING_BLOBS", server.url(place + "-other"))
    assert command_line(["stats"]) != 0
    assert "open it with that" in capfd.readouterr().err.replace("\n", " ")


def test_a_place_inside_of_another_is_refused_by_name(server: Server, place: str, tmp_path: Path) -> None:
    with treering.open(tmp_path / "outer", blobs=server.url(place)) as outer:
        outer.scope("a").files.put("x", b"a" * 400_000)
        with pytest.raises(Invalid, match="a store keeps its large blocks"):
            treering.open(tmp_path / "inner", blobs=server.url(f"{place}/deep/inside"))
        assert not (tmp_path / "inner").exists()
        with pytest.raises(Invalid, match="a store keeps its large blocks"):
            outer.backup(server.url(f"{place}/backup"), staging=tmp_path / "staging")
        # Not inside: it only begins alike.
        beside = server.url(f"{place}-backup")
        outer.backup(beside, staging=tmp_path / "staging")
        with pytest.raises(Invalid, match="a backup lies"):
            treering.open(tmp_path / "inner", blobs=server.url(f"{place}-backup/b"))
        outer.scope("a").files.put("y", b"b" * 400_000)
        outer.backup(beside, staging=tmp_path / "staging")


def test_of_two_stores_that_are_made_at_once_one_is_refused(
    server: Server, proxy: Proxy, place: str, tmp_path: Path
) -> None:
    """The server takes conditions or not: who is second sees that somebody is at it."""
    slow = proxy.fail(
        "slow", lambda request: request.method == "PUT" and request.name.endswith("/treering"), times=1, seconds=2
    )
    with ThreadPoolExecutor() as threads:
        first = threads.submit(treering.open, tmp_path / "one", blobs=server.url(place, proxy.endpoint))
        while not slow.happened:
            time.sleep(0.01)
        with pytest.raises(Invalid, match="another store is being made there"):
            treering.open(tmp_path / "two", blobs=server.url(place, proxy.endpoint))
        with first.result() as one:
            one.scope("a").files.put("x", b"a" * 400_000)
            one.gc()
            assert one.verify().ok
    assert len(blobs(server, place)) == 1


def test_a_removal_that_comes_late_takes_nothing_that_was_put_again(
    server: Server, proxy: Proxy, place: str, tmp_path: Path
) -> None:
    """DELETE is not answered in time, the server does it later; meanwhile the same bytes are put and acknowledged."""
    film = os.urandom(9 * MIB)
    url = server.url(place, proxy.endpoint, timeout=1, give_up=0)
    with treering.open(tmp_path / "state", blobs=url) as store:
        thread = store.scope("alice").threads.start("t")
        other = store.scope("alice").threads.get(thread.id)
        thread.append("coder", "one")
        slow = proxy.fail("slow", lambda request: request.method == "DELETE", times=1, seconds=4)
        with pytest.raises(treering.HeadMoved):
            other.append("coder", "two", artifacts={"film": film})
        while not slow.happened:
            time.sleep(0.01)
        time.sleep(1.5)
        files = store.scope("alice").files
        files.put("film.bin", film)
        deadline = time.monotonic() + 30
        while len(blobs(server, place)) > 1 and time.monotonic() < deadline:
            time.sleep(0.1)
        with files.open("film.bin") as file:
            assert file.read() == film
        assert store.verify().ok
