"""Ctrl-C while a server does not answer: heard in the middle of a request, and nothing is lost by it."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import treering
from treering import testing
from treering._core import BucketCore

sys.path.insert(0, str(Path(__file__).parent))

from proxy import Fault, Proxy, Request
from server import Server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there SIGINT can't be sent to oneself")

MIB = 1 << 20
# Long: who does not hear the signal waits so long, and is found out by it.
SECONDS = 30.0
PIECES = [bytes([n]) * MIB for n in range(20)]


@contextmanager
def interrupted(proxy: Proxy, fits: Callable[[Request], bool]) -> Iterator[Fault]:
    """Sends this process a signal as soon as a request that fits is on its way, whose answer does not come."""
    held = proxy.fail("slow", fits, times=1000, seconds=SECONDS)

    def interrupt() -> None:
        while held.happened == 0:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        yield held
    thread.join()
    assert not held.came_by_itself
    proxy.heal()


@pytest.fixture
def store(server: Server, proxy: Proxy, place: str, tmp_path: Path) -> treering.Store:
    return treering.open(tmp_path / "state", blobs=server.url(place, proxy.endpoint))


def test_put(store: treering.Store, proxy: Proxy) -> None:
    files = store.scope("alice").files
    with interrupted(proxy, lambda request: request.part == 2) as held:
        files.put("big", iter(PIECES))
    assert held.happened == 1
    assert len(files.list()) == 0
    # What arrived is not sent again.
    with proxy.counting() as requests:
        files.put("big", iter(PIECES))
    assert sorted(request.part for request in requests if request.part is not None) == [2, 3]
    with files.open("big") as file:
        assert file.read() == b"".join(PIECES)


def test_between_two_tries(store: treering.Store, proxy: Proxy) -> None:
    storm = proxy.fail("refuse", lambda request: request.method == "PUT", times=100_000)

    def interrupt() -> None:
        while storm.happened < 3:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        store.scope("alice").files.put("f", b"x" * MIB)
    proxy.heal()
    store.scope("alice").files.put("f", b"x" * MIB)


def test_open(store: treering.Store, proxy: Proxy, tmp_path: Path) -> None:
    store.close()
    with interrupted(proxy, lambda request: request.method == "GET"):
        treering.open(tmp_path / "state")
    with treering.open(tmp_path / "state") as again:
        assert again.blobs is not None


def test_reads(store: treering.Store, proxy: Proxy) -> None:
    alice = store.scope("alice")
    alice.files.put("f.txt", b"x" * MIB)
    thread = alice.threads.start("t")
    step = thread.append("coder", "see", artifacts={"log": b"l" * MIB})
    with alice.files.open("f.txt") as file, interrupted(proxy, lambda request: request.method == "GET"):
        file.read()
    with interrupted(proxy, lambda request: request.method == "GET"):
        _ = step.artifacts["log"]
    with interrupted(proxy, lambda request: request.method == "GET"):
        list(alice.files.grep("y"))
    with interrupted(proxy, lambda request: request.method == "HEAD"):
        store.verify()
    with interrupted(proxy, lambda request: request.method == "HEAD"):
        store.verify(repair=True)
    with interrupted(proxy, lambda request: request.method == "GET"):
        alice.verify()
    with alice.files.open("f.txt") as file:
        assert file.read() == b"x" * MIB
    assert store.verify().ok


def test_what_was_said(store: treering.Store, proxy: Proxy) -> None:
    alice = store.scope("alice")
    thread = alice.threads.start("t", prompt="p" * MIB)
    step = thread.append("coder", "s" * MIB)
    thread.compact("c" * MIB)
    past = alice.at(list(store.journal())[-1].cursor).threads.get(thread.id)
    reads: list[Callable[[], object]] = [
        lambda: step.text,
        lambda: step.content,
        lambda: thread.prompt,
        thread.context,
        lambda: [step.text for step in thread],
        lambda: past.at(1).text,
    ]
    for read in reads:
        with interrupted(proxy, lambda request: request.method == "GET"):
            read()
    assert step.text == "s" * MIB
    assert thread.prompt == "p" * MIB


def test_commits(store: treering.Store, proxy: Proxy) -> None:
    thread = store.threads.start("t")
    with interrupted(proxy, lambda request: request.method == "PUT"):
        thread.append("coder", "see", artifacts={"log": b"1" * MIB})
    with interrupted(proxy, lambda request: request.method == "PUT"):
        store.put(b"2" * MIB)
    with interrupted(proxy, lambda request: request.method == "PUT"), store.scope("bob").commit() as commit:
        commit.put(b"3" * MIB)
    # Nothing of it was queued.
    assert len(thread) == 0
    thread.append("coder", "see", artifacts={"log": b"1" * MIB})
    assert store.verify().ok


def test_gc(server: Server, proxy: Proxy, place: str, tmp_path: Path) -> None:
    clock = testing.Clock()
    store = testing.open(tmp_path / "state", clock=clock, blobs=server.url(place, proxy.endpoint))
    store.scope("alice").files.put("f", b"x" * MIB)
    with interrupted(proxy, lambda request: "list-type" in request.query):
        store.gc()
    store.gc()
    assert store.verify().ok


def test_archives(store: treering.Store, server: Server, proxy: Proxy, place: str, tmp_path: Path) -> None:
    alice = store.scope("alice")
    for n in range(4):
        alice.files.put(str(n), bytes([n]) * MIB)
    with interrupted(proxy, lambda request: request.method == "GET") as held:
        alice.export(tmp_path / "all.car")
    assert held.happened == 1
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    alice.export(tmp_path / "all.car")
    other = treering.open(tmp_path / "other", blobs=server.url(f"{place}-other", proxy.endpoint))
    bob = other.scope("bob")
    with interrupted(proxy, lambda request: request.method == "PUT") as held:
        bob.import_car(tmp_path / "all.car")
    assert held.happened == 1
    assert len(bob.files.list()) == 0
    bob.import_car(tmp_path / "all.car")
    assert len(bob.files.list()) == 4
    assert other.verify().ok


@pytest.mark.long
def test_backups(store: treering.Store, server: Server, proxy: Proxy, place: str, tmp_path: Path) -> None:
    store.scope("alice").files.put("big", iter(PIECES))
    # The large blocks are fetched.
    with interrupted(proxy, lambda request: request.range is not None):
        store.backup(tmp_path / "backup")
    store.backup(tmp_path / "backup")
    # And sent: into a bucket as a backup, into a bucket as large blocks of a restored store.
    url = server.url(f"{place}-backups", proxy.endpoint)
    with interrupted(proxy, lambda request: request.method == "PUT"):
        store.backup(url)
    store.backup(url)
    with interrupted(proxy, lambda request: request.method == "GET" and "pieces" in request.name):
        treering.restore(url, tmp_path / "restored")
    new = server.url(f"{place}-new", proxy.endpoint)
    with interrupted(proxy, lambda request: request.part == 2):
        treering.restore(tmp_path / "backup", tmp_path / "restored", blobs=new)
    treering.restore(tmp_path / "backup", tmp_path / "restored", blobs=new)
    with treering.open(tmp_path / "restored") as restored:
        assert restored.verify().ok


def test_a_bucket_by_itself(server: Server, proxy: Proxy, place: str) -> None:
    bucket = BucketCore(server.url(place, proxy.endpoint))
    with interrupted(proxy, lambda request: request.method == "HEAD"):
        bucket.size("x")
    assert bucket.size("x") is None
