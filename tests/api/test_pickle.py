"""What pickles: values with what they show, handles as a way back to their store."""

import copy
import pickle
from pathlib import Path

import pytest

import treering
from treering import NOW, Cid, NewStep, Store


def again(value: object) -> object:
    return pickle.loads(pickle.dumps(value))


def test_values(store: Store) -> None:
    thread = store.threads.start("w", prompt="P")
    step = thread.append("a", {"x": [1]}, meta={"m": 1}, artifacts={"f": b"data"}, links=[thread.head])
    values: list[object] = [
        Cid.of(b"x"),
        thread.start,
        step.node,
        thread.diff(thread.fork(at=0)),
        thread.context(),
        thread.common_ancestor(thread),
        thread.fork().forked_from,
        store.verify(),
        *store.journal(),
        *store.blocks.list(),
        store.reachable([step.cid]),
        NewStep("a", "b"),
        NOW,
    ]
    for value in values:
        assert again(value) == value
    assert again(NOW) is NOW


def test_a_step_carries_what_it_shows(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s") as store:
        thread = store.threads.start("w")
        large = "x" * 10_000
        thread.append("a", large, meta={"m": 1}, artifacts={"f": b"data"}, links=[thread.head], at_ms=5)
        data = pickle.dumps(thread.at(1))
        start = thread.head, thread.start.cid
    step = pickle.loads(data)
    assert (step.number, step.role, step.text, step.meta) == (1, "a", large, {"m": 1})
    assert dict(step.artifacts) == {"f": b"data"}
    assert step.links == (start[1],)
    assert (step.at_ms, step.cid) == (5, start[0])
    assert pickle.loads(pickle.dumps(step)) == step
    assert copy.copy(step).text == large


def test_handles_reopen(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s", durability="relaxed") as store:
        scope = store.scope("alice", durability="durable")
        thread = scope.threads.start("w")
        thread.append("a")
        (listed,) = scope.threads.list()
        views = [scope.threads, scope.pins, scope.blocks, store.refs]
        pickled_views = [pickle.dumps(view) for view in views]
        assert [repr(pickle.loads(data)) for data in pickled_views] == list(map(repr, views))
        pickled = [pickle.dumps(value) for value in (store, scope, thread, listed)]
        for data, value in zip(pickled, (store, scope, thread, listed), strict=True):
            assert pickle.loads(data) == value
    reopened, scope, thread, listed = map(pickle.loads, pickled)
    assert reopened.scopes() == ["alice"]
    assert scope.durability == "durable"
    assert thread.append("b").number == 2
    threads, pins, blocks, refs = map(pickle.loads, pickled_views)
    assert [found.id for found in threads.list()] == [thread.id]
    pins.add("tip", blocks.put(b"kept"))
    assert [ref.name for ref in refs.list()] == ["alice/pin/tip", f"alice/thread/{thread.id}"]
    assert len(listed) == 1
    assert type(thread) is treering.Thread


def test_a_store_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s") as store:
        data = pickle.dumps(store)
    (tmp_path / "s").rename(tmp_path / "moved")
    with pytest.raises(treering.TreeringError):
        pickle.loads(data)
    assert not (tmp_path / "s").exists()


def test_memory_stays_in_its_process() -> None:
    store = treering.memory()
    handles = (store, store.scope("a"), store.threads.start("w"))
    for value in (*handles, store.threads, store.scope("a").pins, store.blocks, store.refs):
        with pytest.raises(treering.Invalid, match="in memory"):
            pickle.dumps(value)


def test_what_is_not_committed_does_not_pickle(store: Store) -> None:
    with store.scope("main").commit() as commit:
        for value in (commit, commit.threads, commit.threads.start("w")):
            with pytest.raises(treering.Invalid, match="what is committed"):
                pickle.dumps(value)


def test_errors_keep_their_attributes(store: Store) -> None:
    thread = store.threads.start("w", key="k")
    with pytest.raises(treering.AlreadyExists) as caught:
        store.threads.start("w", key="k")
    error = pickle.loads(pickle.dumps(caught.value))
    assert type(error) is treering.AlreadyExists
    assert (error.thread, error.key, str(error)) == (thread.id, "k", str(caught.value))
