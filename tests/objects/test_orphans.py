"""After whatever went wrong, nothing is in the bucket but what rows name: counted on the server, after a collection."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import treering
from treering import BucketError, CommandMismatch, testing
from treering._core import BucketCore

sys.path.insert(0, str(Path(__file__).parent))

from proxy import How, Proxy, Request
from server import Server

MIB = 1 << 20
DAY_MS = 24 * 60 * 60 * 1000
BIG = [bytes([n]) * MIB for n in range(20)]


def begins(request: Request) -> bool:
    return request.method == "POST" and "uploads" in request.query


def completes(request: Request) -> bool:
    return request.method == "POST" and "uploadId" in request.query


def is_part(request: Request) -> bool:
    return request.part is not None


def is_second_part(request: Request) -> bool:
    return request.part == 2


def puts_whole(request: Request) -> bool:
    return request.method == "PUT" and request.is_object


def expect_no_orphan(store: treering.Store, clock: testing.Clock, server: Server, proxy: Proxy, place: str) -> None:
    """Objects and uploads on the server are those of the store's rows, after a day and a collection."""
    clock.advance(3 * DAY_MS)
    store.gc()
    store.gc()
    there = [name for name in server.objects(place) if name != "treering"]
    assert len(there) == store.stats()["blob_files"]
    bucket = BucketCore(server.url(place))
    asked = {request.name.split("/", 2)[2] for request in proxy.seen.requests if request.name.count("/") >= 2}
    assert [name for name in asked if bucket.uploads(name)] == []
    assert store.verify().ok


@pytest.fixture
def clock() -> testing.Clock:
    return testing.Clock()


@pytest.fixture
def url(server: Server, proxy: Proxy, place: str) -> str:
    return server.url(place, proxy.endpoint, give_up=0)


@pytest.fixture
def store(clock: testing.Clock, url: str, tmp_path: Path) -> treering.Store:
    store = testing.open(tmp_path / "state", clock=clock, blobs=url)
    store.scope("alice").files.put("kept", b"k" * MIB)
    return store


@pytest.mark.parametrize("tried_again", [False, pytest.param(True, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("how", "fits"),
    [
        ("refuse", begins),
        ("lost", begins),
        ("refuse", is_second_part),
        ("lost", is_second_part),
        ("cut", is_second_part),
        ("refuse", completes),
        ("lost", completes),
        ("refuse", puts_whole),
        ("lost", puts_whole),
        ("cut", puts_whole),
    ],
)
def test_an_upload_that_failed(
    store: treering.Store,
    clock: testing.Clock,
    server: Server,
    proxy: Proxy,
    place: str,
    how: How,
    fits: Callable[[Request], bool],
    tried_again: bool,
) -> None:
    files = store.scope("alice").files
    fault = proxy.fail(how, fits, times=1)
    data = [b"w" * MIB] if fits is puts_whole else BIG
    # A completion that happened is found, whatever became of its answer.
    if (how, fits) == ("lost", completes):
        files.put("f", iter(data))
    else:
        with pytest.raises(BucketError):
            files.put("f", iter(data))
        assert files.stat("f") is None
    assert fault.happened == 1
    if tried_again:
        files.put("f", iter(data))
        with files.open("f") as file:
            assert file.read() == b"".join(data)
    expect_no_orphan(store, clock, server, proxy, place)


@pytest.mark.parametrize("fits", [begins, is_part, completes, puts_whole])
def test_what_happens_twice(
    store: treering.Store,
    clock: testing.Clock,
    server: Server,
    proxy: Proxy,
    place: str,
    fits: Callable[[Request], bool],
) -> None:
    """A request that something on the way repeats. Of an upload that began twice the second is known; the first, whose
    answer nobody saw, is the server's to end."""
    fault = proxy.fail("twice", fits, times=1)
    files = store.scope("alice").files
    data = [b"w" * MIB] if fits is puts_whole else BIG
    files.put("f", iter(data))
    assert fault.happened == 1
    with files.open("f") as file:
        assert file.read() == b"".join(data)
    if fits is not begins:
        expect_no_orphan(store, clock, server, proxy, place)


def test_a_storm(
    store: treering.Store, clock: testing.Clock, server: Server, proxy: Proxy, place: str, tmp_path: Path
) -> None:
    """Every third request is refused, from writing to collecting."""
    count = iter(range(1_000_000))
    proxy.fail("refuse", lambda _: next(count) % 3 == 0, times=1_000_000)
    patient = server.url(place, proxy.endpoint, give_up=60)
    store.close()
    store = testing.open(tmp_path / "state", clock=clock, blobs=patient)
    files = store.scope("alice").files
    files.put("big", iter(BIG))
    files.put("gone", b"g" * MIB)
    files.delete("gone")
    files.trim(keep=0)
    clock.advance(3 * DAY_MS)
    store.gc()
    assert store.verify().ok
    proxy.heal()
    expect_no_orphan(store, clock, server, proxy, place)
    assert store.stats()["blob_files"] == 2


def test_a_removal_that_failed_is_made_up_for(
    store: treering.Store, clock: testing.Clock, server: Server, proxy: Proxy, place: str
) -> None:
    files = store.scope("alice").files
    files.put("gone", b"g" * MIB)
    files.delete("gone")
    files.trim(keep=0)
    refused = proxy.fail("refuse", lambda request: request.method == "DELETE", times=1)
    clock.advance(3 * DAY_MS)
    store.gc()
    assert refused.happened == 1
    expect_no_orphan(store, clock, server, proxy, place)
    assert store.stats()["blob_files"] == 1


def test_closing_does_not_wait_for_a_server_that_is_away(
    store: treering.Store, clock: testing.Clock, server: Server, proxy: Proxy, place: str, tmp_path: Path
) -> None:
    files = store.scope("alice").files
    files.put("f", b"1" * MIB, command_id="c")
    held = proxy.fail("slow", lambda request: request.method == "DELETE", seconds=30.0)
    with pytest.raises(CommandMismatch):
        files.put("f", b"2" * MIB, command_id="c")
    while held.happened == 0:
        pass
    store.close()
    assert not held.came_by_itself
    assert held.passed == 0
    proxy.heal()
    store = testing.open(tmp_path / "state", clock=clock)
    expect_no_orphan(store, clock, server, proxy, place)
    assert store.stats()["blob_files"] == 2


def test_a_name_is_used_once(
    store: treering.Store, clock: testing.Clock, server: Server, proxy: Proxy, place: str
) -> None:
    """The same bytes, put, collected and put again, are another object each time: a late removal meets nothing new."""
    files = store.scope("alice").files
    for _ in range(3):
        files.put("again", b"a" * MIB)
        files.delete("again")
        files.trim(keep=0)
        clock.advance(3 * DAY_MS)
        store.gc()
    sent = [request.name for request in proxy.seen.requests if puts_whole(request)]
    removed = [request.name for request in proxy.seen.requests if request.method == "DELETE"]
    # Not what told that the store was being made.
    removed = [name for name in removed if "making/" not in name]
    assert len(set(sent)) == len(sent)
    assert len(set(removed)) == len(removed) == 3


KILLED = """
import sys, treering
store = treering.open(sys.argv[1])
store.scope("alice").files.put("f", (bytes([n]) * (1 << 20) for n in range(int(sys.argv[2]))))
"""


@pytest.mark.long
@pytest.mark.parametrize(("mib", "fits"), [(20, begins), (20, is_second_part), (20, completes), (1, puts_whole)])
def test_a_process_that_was_killed(
    store: treering.Store,
    clock: testing.Clock,
    server: Server,
    proxy: Proxy,
    place: str,
    tmp_path: Path,
    mib: int,
    fits: Callable[[Request], bool],
) -> None:
    """The request that it died in happens later."""
    held = proxy.fail("slow", fits, seconds=60.0)
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "state"), str(mib)])
    while held.happened == 0:
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    proxy.heal()
    expect_no_orphan(store, clock, server, proxy, place)
    assert store.stats()["blob_files"] == 1
