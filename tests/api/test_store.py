"""The store: blocks, journal, watching, heads, verify, life and death."""

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import treering
from treering import BlockInfo, Cid, Store


def test_blocks(store: Store) -> None:
    cid = store.put(b"hello")
    assert cid == Cid.of(b"hello") == store.blocks.put(b"hello")
    assert store.blocks.get(cid) == b"hello"
    assert store.blocks.get(str(cid)) == b"hello"
    assert store.blocks.get(str(cid)[:16]) == b"hello"
    assert store.blocks.has(cid)
    assert not store.blocks.has(Cid.of(b"other"))
    assert not store.blocks.has(str(Cid.of(b"other")))
    assert store.blocks.has_many([cid, Cid.of(b"other")]) == [True, False]
    assert list(store.blocks.list()) == [BlockInfo(cid, 5)]
    assert store.blocks.resolve(str(cid)[:13]) == cid
    assert store.blocks.links(cid) == []


def test_nodes(store: Store) -> None:
    leaf = store.put(b"leaf")
    value = {"a": [1, -1, 2.5, None, True, "é", b"\x00", leaf], "b": {"again": leaf}}
    cid = store.blocks.put_node(value)
    assert cid == Cid.of_node(value)
    assert store.blocks.get_node(cid) == value
    assert store.blocks.links(cid) == [leaf]
    assert store.blocks.get(cid) == treering.codec.encode(value)


def test_large_blocks(store: Store) -> None:
    data = os.urandom(3 << 20)
    cid = store.put(data)
    assert store.blocks.get(cid) == data
    assert store.verify().ok


def test_the_same_bytes_are_stored_once(store: Store) -> None:
    store.put(b"same")
    blocks, commits = store.stats()["blocks"], store.stats()["commits"]
    store.put(b"same")
    assert (store.stats()["blocks"], store.stats()["commits"]) == (blocks, commits)


def test_reachable(store: Store) -> None:
    leaf, other = store.put(b"leaf"), store.put(b"other")
    node = store.blocks.put_node({"x": leaf})
    root = store.blocks.put_node([node, leaf])
    found = store.reachable([root])
    assert set(found.present) == {root, node, leaf}
    assert len(found.present) == 3
    assert found.missing == []
    absent = Cid.of(b"absent")
    found = store.reachable([node, other, absent])
    assert set(found.present) == {node, leaf, other}
    assert found.missing == [absent]


def test_journal(store: Store) -> None:
    assert list(store.journal()) == []
    assert list(store.journal(store.cursor())) == []
    thread = store.scope("alice").threads.start("w", key="k")
    middle = store.cursor()
    step = thread.append("a")
    entries = list(store.journal())
    assert [entry.position for entry in entries] == [1, 2]
    assert entries[0].cursor == middle
    assert list(store.journal(after=middle)) == entries[1:]
    (move,) = entries[1].moves
    assert (move.scope, move.kind, move.name, move.target) == ("alice", "thread", (thread.id,), step.cid)
    assert move.version == 2
    assert {move.kind for move in entries[0].moves} == {"thread", "thread-key"}
    assert entries[1].at.year >= 2024
    thread.rm()
    assert all(move.target is None for move in next(store.journal(entries[1].cursor)).moves)


def test_long_journals_come_whole(store: Store) -> None:
    thread = store.scope("main", durability="relaxed").threads.start("w")
    for _ in range(1_100):
        thread.append("a", at_ms=None)
    assert [entry.position for entry in store.journal()] == list(range(1, 1_102))


def test_watch_waits_for_the_next_commit(store: Store) -> None:
    thread = store.threads.start("w")
    entries = store.watch(after=store.cursor())
    timer = threading.Timer(0.05, thread.append, ["a"])
    timer.start()
    entry = next(entries)
    timer.join()
    assert entry.position == 2
    thread.append("b")
    assert next(entries).position == 3


def test_heads_prove_the_past(store: Store) -> None:
    store.threads.start("w")
    head = store.head()
    store.threads.start("w")
    assert store.head() != head
    report = store.verify(since=head)
    assert report.ok
    assert report
    assert (report.commits, report.threads) == (2, 2)
    with pytest.raises(treering.Invalid):
        store.verify(since="no head")
    with treering.memory() as other:
        other.threads.start("x")
        other_head = other.head()
    assert not store.verify(since=other_head).ok


def test_a_store_is_there_after_reopening(tmp_path: Path) -> None:
    with treering.open(tmp_path / "deep" / "state") as store:
        thread = store.threads.start("w", key="k")
        step = thread.append("a", "text")
    with treering.open(tmp_path / "deep" / "state", create=False) as store:
        assert store.threads.get("k").at(1) == step
        assert store.verify().ok


def test_forgotten_stores_are_closed(tmp_path: Path) -> None:
    store = treering.open(tmp_path / "state")
    core = store._session.core
    store.put(b"x")
    del store
    gc.collect()
    assert core.closed


def test_the_end_of_the_process_closes(tmp_path: Path) -> None:
    code = f"import treering; t = treering.open({str(tmp_path / 's')!r}).threads.start('w'); t.append('a', 'x')"
    subprocess.run([sys.executable, "-c", code], check=True)
    with treering.open(tmp_path / "s") as store:
        assert store.verify().ok
        assert len(store.threads.list()[0]) == 1


def test_relaxed_commits_are_not_synced(tmp_path: Path) -> None:
    with treering.open(tmp_path / "state", durability="relaxed") as store:
        thread = store.threads.start("w")
        before = store.counters()["commit_syncs"]
        for _ in range(10):
            thread.append("a")
        assert store.counters()["commit_syncs"] == before
        store.scope("main", durability="durable").threads.get(thread.id).append("a")
        assert store.counters()["commit_syncs"] == before + 1


def test_arguments_of_open(tmp_path: Path) -> None:
    for path in ("", "a\0b"):
        with pytest.raises(treering.Invalid):
            treering.open(path)
    with pytest.raises(treering.Invalid):
        treering.open(tmp_path / "s", durability="sometimes")  # type: ignore[arg-type]
    with pytest.raises(treering.Invalid):
        treering.open(tmp_path / "s", lock_wait_s=float("nan"))
    assert not (tmp_path / "s").exists()
    store = treering.open(os.fsencode(tmp_path / "s").decode())
    assert store.path == str(tmp_path / "s")
    assert treering.memory().path is None


def test_ctrl_c_stops_waiting_and_undoes_nothing(tmp_path: Path) -> None:
    code = """
import os, signal, sys, threading, time, treering
store = treering.open(sys.argv[1])
thread, other = store.threads.start("w"), store.threads.start("w")
core = store._session.core
core.hold_commit_sync()
held = threading.Thread(target=other.append, args=("a", "x"))
held.start()
while store.counters()["batches"] < 3:
    time.sleep(0.01)
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
began = time.monotonic()
try:
    thread.append("a", "x", command_id="c")
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - began < 5)
core.release_commit_sync()
held.join()
print(thread.append("a", "x", command_id="c").number, len(store.threads.get(thread.id)))
"""
    command = [sys.executable, "-c", code, str(tmp_path / "s")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout.splitlines(), done.stderr) == (["interrupted True", "1 1"], "")
