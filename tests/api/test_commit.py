"""Several changes in one commit: all or nothing, safe to repeat."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

import treering
from treering import Store, Threads

Unchanged = Callable[[Store], AbstractContextManager[None]]


def test_one_commit_for_all(store: Store) -> None:
    scope = store.scope("alice")
    thread = scope.threads.start("w")
    commits = len(list(store.journal()))
    with scope.commit() as c:
        first = c.threads[thread].append("coder", "done", artifacts={"a": b"1"})
        second = c.threads[thread].append("reviewer", "approved")
        draft = c.threads.start("follow-up", prompt="next", key="f", steps=[("planner", "plan")])
        draft.append("coder", "go")
        draft.finish(0, "over")
        cid = c.put(b"loose bytes")
        node = c.put_node({"bytes": cid})
        assert len(list(store.journal())) == commits
        assert not store.blocks.has(cid)
    assert len(list(store.journal())) == commits + 1
    assert not c.receipt.replayed
    assert c.receipt.new_blocks > 0
    assert c.receipt.position == commits + 1
    assert [(step.number, step.text) for step in scope.threads.get(thread.id)] == [(1, "done"), (2, "approved")]
    assert first.step.artifacts["a"] == b"1"
    assert (first.number, second.number) == (1, 2)
    assert (first.cid, second.cid) == (first.step.cid, second.step.cid)
    started = draft.thread
    assert isinstance(started, treering.Thread)
    assert started == scope.threads.get("f")
    assert started.status == "completed"
    assert [step.text for step in started] == ["plan", "go", "over"]
    assert store.blocks.get_node(node) == {"bytes": cid}


def test_forks_in_a_commit(store: Store) -> None:
    scope = store.scope("main")
    thread = scope.threads.start("w")
    thread.extend([("a", "1"), ("a", "2")])
    with scope.commit() as c:
        fork = c.threads[thread].fork(at=1, key="retry")
        fork.append("a", "other")
    assert [step.text for step in fork.thread] == ["1", "other"]
    assert [step.text for step in thread] == ["1", "2"]
    assert fork.thread.forked_from == (thread.id, 1)


def test_an_exception_writes_nothing(store: Store, unchanged: Unchanged) -> None:
    scope = store.scope("main")
    thread = scope.threads.start("w")
    c = scope.commit(command_id="c")

    def broken() -> None:
        with c:
            c.threads[thread].append("a", "x")
            c.put(b"y")
            raise ZeroDivisionError

    with unchanged(store), pytest.raises(ZeroDivisionError):
        broken()
    assert thread.append("a", "still at the start").number == 1
    with pytest.raises(treering.Invalid):
        _ = c.receipt


def test_one_conflict_refuses_all(store: Store, unchanged: Unchanged) -> None:
    scope = store.scope("main")
    one, other = scope.threads.start("w"), scope.threads.start("w")
    stale = scope.threads.get(one.id)
    one.append("a", "first")
    one.fork(key="taken")

    def with_a_stale_handle() -> None:
        with scope.commit() as c:
            c.threads[other].append("a", "x")
            c.threads[stale].append("a", "y")

    def with_a_taken_key() -> None:
        with scope.commit() as c:
            c.threads[other].append("a", "x")
            c.threads.start("w", key="taken")

    with unchanged(store), pytest.raises(treering.HeadMoved):
        with_a_stale_handle()
    with unchanged(store), pytest.raises(treering.AlreadyExists):
        with_a_taken_key()
    assert other.append("a", "as if nothing had been").number == 1


def test_a_repeated_commit_answers_as_the_first(store: Store, unchanged: Unchanged) -> None:
    scope = store.scope("main")
    thread = scope.threads.start("w")

    def turn(text: str) -> tuple[treering.CommitReceipt, treering.Step, treering.Thread]:
        handle = scope.threads.get(thread.id)
        with scope.commit(command_id="turn-17") as c:
            step = c.threads[handle].append("reviewer", text)
            started = c.threads.start("next", prompt="go")
        return c.receipt, step.step, started.thread

    first, step, started = turn("approved")
    with unchanged(store):
        again, same_step, same_thread = turn("approved")
    assert not first.replayed
    assert again.replayed
    assert again.new_blocks == 0
    assert (same_step, same_thread) == (step, started)
    assert same_step.text == "approved"
    with unchanged(store), pytest.raises(treering.CommandMismatch):
        turn("refused")


def test_an_empty_commit_writes_nothing(store: Store, unchanged: Unchanged) -> None:
    with unchanged(store), store.scope("main").commit() as c:
        pass
    assert c.receipt.new_blocks == 0


def test_used_out_of_order(threads: Threads, store: Store) -> None:
    c = store.scope("main").commit()
    with pytest.raises(treering.Invalid):
        c.put(b"x")
    with c:
        draft = c.threads.start("w")
        with pytest.raises(treering.Invalid):
            _ = draft.thread
        with pytest.raises(treering.Invalid):
            _ = c.receipt
    with pytest.raises(treering.Invalid):
        draft.append("a")
    with pytest.raises(treering.Invalid), c:
        pass
    assert len(threads.list()) == 1
