"""What every implementation of threads must do, one named test for each rule."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import treering
from treering import Cid, Store, Threads


def test_01_links_of_a_state(store: Store) -> None:
    thread = store.threads.start("w")
    first = thread.append("a", "1", meta={"m": 1})
    second = thread.append("b", "2")
    assert set(store.blocks.links(first.cid)) == {first.node.content, thread.start.cid}
    assert set(store.blocks.links(second.cid)) == {second.node.content, thread.start.cid, first.cid}
    assert second.node.compact is None
    summary = thread.compact("so far")
    assert summary.node.compact is not None
    assert summary.node.compact in store.blocks.links(summary.cid)
    third = thread.append("a", "3")
    assert third.node.compact is None
    payload = [{"x": third.cid}, third.cid, {"y": [first.cid]}]
    assert treering.codec.collect_links(payload) == [third.cid, first.cid]


def test_02_reachability(store: Store) -> None:
    thread = store.threads.start("w", prompt="P")
    left = thread.fork()
    left_step = left.append("a", "left", artifacts={"f": b"1"})
    right_step = thread.append("a", "right")
    from_left = set(store.reachable([left_step.cid]).present)
    from_right = set(store.reachable([right_step.cid]).present)
    assert {left_step.cid, left_step.node.content, thread.start.cid, thread.start.prompt} <= from_left
    assert Cid.of(b"1") in from_left
    assert right_step.cid not in from_left
    assert set(store.reachable([left_step.cid, right_step.cid]).present) == from_left | from_right
    assert store.reachable([Cid.of(b"gone")]) == ([], [Cid.of(b"gone")])


def test_03_a_workflow_without_steps(store: Store) -> None:
    thread = store.threads.start("empty", prompt="P", parameters={"a": 1}, max_rounds=3, workflow_hash="h")
    start = thread.start
    assert (start.workflow, start.workflow_hash, start.parameters) == ("empty", "h", {"a": 1})
    assert (start.max_rounds, start.depth, start.parent_state) == (3, 0, None)
    assert thread.prompt == "P"
    thread.finish()
    assert store.threads.history() == [thread]


def test_04_steps_chain_and_are_seen_by_other_processes(tmp_path: Path) -> None:
    code = """
import json, sys, treering
with treering.open(sys.argv[1], read_only=len(sys.argv) > 3) as store:
    thread = store.threads.get(sys.argv[2])
    print(json.dumps([[step.number, str(step.cid), str(step.node.parent), str(step.node.start)] for step in thread]))
"""
    with treering.open(tmp_path / "s") as store:
        thread = store.threads.start("w")
        for _ in range(3):
            thread.append("a")
            command = [sys.executable, "-c", code, str(tmp_path / "s"), thread.id]
            seen = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            assert [number for number, *_ in seen] == list(range(1, len(thread) + 1))
            assert seen[-1][1] == str(thread.head)
            assert [parent for _, _, parent, _ in seen] == ["None", *[cid for _, cid, _, _ in seen[:-1]]]
            assert {start for *_, start in seen} == {str(thread.start.cid)}


def test_05_completion(threads: Threads) -> None:
    thread = threads.start("w")
    thread.append("a", "x")
    end = thread.finish(0, "all done")
    assert threads.list(active=True) == []
    assert threads.history() == [thread]
    assert thread.head == end.cid
    assert (end.role, end.meta) == ("__end__", {"return_code": 0, "summary": "all done"})


def test_06_no_logs_beside_the_store(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s") as store:
        store.threads.start("w").append("a", "x")
        assert {path.suffix for path in (tmp_path / "s").rglob("*")} <= {"", ".db", ".db-wal", ".db-shm", ".lock"}
    assert not list(tmp_path.rglob("*.jsonl"))


def test_08_contexts(threads: Threads) -> None:
    thread = threads.start("w", prompt="P", parameters={"x": 1}, max_rounds=5)
    empty = thread.context()
    assert (empty.role, empty.steps, empty.prompt, empty.summary) == ("__start__", (), "P", None)
    assert (empty.start.depth, empty.start.max_rounds, empty.parameters) == (0, 5, {"x": 1})
    link = thread.head
    thread.append("a", "1", meta={"n": 1}, links=[link], at_ms=1_000)
    thread.append("b", "2", at_ms=2_000)
    thread.append("a", "3", at_ms=3_000)
    thread.finish(0, "end")
    steps = thread.context().steps
    assert [(step.role, step.text, step.at_ms) for step in steps] == [
        ("a", "1", 1_000),
        ("b", "2", 2_000),
        ("a", "3", 3_000),
    ]
    assert (steps[0].meta, steps[0].links) == ({"n": 1}, (link,))
    assert [step.text for step in thread.context(last=2).steps] == ["2", "3"]
    assert thread.context(last=0).steps == ()
    assert len(thread.context(last=99).steps) == 3


def test_08_a_context_of_the_last_k_reads_k(store: Store) -> None:
    thread = store.threads.start("w")
    thread.extend([("a", str(number)) for number in range(500)])
    handle = store.threads.get(thread.id)
    before = store.counters()["blocks_read"]
    assert len(handle.context(last=10).steps) == 10
    assert store.counters()["blocks_read"] - before < 20


def test_09_a_fork_goes_on_from_where_it_was_forked(threads: Threads) -> None:
    thread = threads.start("solve")
    thread.extend([("planner", "p"), ("coder", "c"), ("reviewer", "r")])
    fork = thread.fork(at=1)
    assert [step.role for step in fork.context().steps] == ["planner"]
    assert fork.start.cid == thread.start.cid
    assert fork.append("coder", "again").number == 2
    assert [step.text for step in thread] == ["p", "c", "r"]


def test_10_a_fork_before_the_last_role_redoes_it(threads: Threads) -> None:
    thread = threads.start("solve")
    thread.extend([("planner", "p"), ("coder", "c1"), ("reviewer", "r1"), ("coder", "c2"), ("reviewer", "r2")])
    thread.finish()
    fork = thread.fork(before="reviewer")
    assert [step.text for step in fork] == ["p", "c1", "r1", "c2"]
    assert fork.append("reviewer", "r2 again").number == 5


def test_11_a_shared_prefix_survives_the_removal_of_one_fork(store: Store) -> None:
    thread = store.threads.start("w")
    thread.extend([("a", "1"), ("a", "2")])
    fork = thread.fork(at=1)
    fork.append("a", "other")
    thread.rm()
    assert [step.text for step in fork] == ["1", "other"]
    assert store.verify().ok


def test_a_repeated_start_or_fork_survives_a_crash_between(tmp_path: Path) -> None:
    code = """
import os, sys, treering
store = treering.open(sys.argv[1])
thread = store.threads.start("w", command_id="start")
thread.append("a", "1", command_id="1")
thread.fork(command_id="fork")
os._exit(9)
"""
    for _ in range(2):
        assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "s")], check=False).returncode == 9
    with treering.open(tmp_path / "s") as store:
        assert [len(thread) for thread in store.threads.list()] == [1, 1]
        assert store.verify().ok


def test_a_killed_holder_s_lease_is_taken_over(tmp_path: Path) -> None:
    code = """
import os, sys, treering
thread = treering.open(sys.argv[1]).threads.get(sys.argv[2])
with thread.lease(owner="will be killed"):
    os._exit(9)
"""
    with treering.open(tmp_path / "s") as store:
        thread = store.threads.start("w")
        command = [sys.executable, "-c", code, str(tmp_path / "s"), thread.id]
        assert subprocess.run(command, check=False).returncode == 9
        assert store.threads.get(thread.id).status == "idle"
        with thread.lease():
            assert thread.append("a").number == 1


@pytest.mark.parametrize("look", ["kind", "cid"])
def test_text_that_looks_like_a_node(threads: Threads, look: str) -> None:
    thread = threads.start("w")
    text = '{"kind":"state","parent":{"/":"bafyr4i"}}' if look == "kind" else str(thread.head)
    step = thread.append("a", text)
    assert step.content == text
    assert step.links == ()
