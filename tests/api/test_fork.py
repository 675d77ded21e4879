"""Forks: they share every step and write no block; diffs and ancestors between them."""

import pytest

import treering
from treering import StepRef, Store, Thread, Threads


@pytest.fixture
def thread(threads: Threads) -> Thread:
    thread = threads.start("w", prompt="P", key="origin", max_rounds=9)
    thread.extend([("planner", "p1"), ("coder", "c1"), ("reviewer", "r1"), ("coder", "c2"), ("reviewer", "r2")])
    return thread


def texts(thread: Thread) -> list[str]:
    return [step.text for step in thread]


def test_a_fork_writes_no_block(store: Store, thread: Thread) -> None:
    blocks = store.stats()["blocks"]
    written = store.counters()["blocks_written"]
    fork = thread.fork(at=3)
    assert (store.stats()["blocks"], store.counters()["blocks_written"]) == (blocks, written)
    assert fork != thread
    assert fork.start == thread.start
    assert fork.forked_from == (thread.id, 3)
    assert [step.cid for step in fork] == [step.cid for step in thread][:3]


def test_where_forks_begin(thread: Thread) -> None:
    assert texts(thread.fork()) == ["p1", "c1", "r1", "c2", "r2"]
    assert texts(thread.fork(at=2)) == ["p1", "c1"]
    assert texts(thread.fork(at=0)) == []
    assert thread.fork(at=0).head == thread.start.cid
    assert texts(thread.fork(before="coder")) == ["p1", "c1", "r1"]
    assert texts(thread.fork(before="coder", occurrence="first")) == ["p1"]
    assert texts(thread.fork(before="coder", occurrence=1)) == ["p1"]
    assert texts(thread.fork(before="coder", occurrence=2)) == ["p1", "c1", "r1"]
    assert texts(thread.fork(before="planner")) == []


def test_forks_of_forks_and_of_finished_threads(thread: Thread) -> None:
    thread.finish()
    assert texts(thread.fork())[-1] == "r2"
    with pytest.raises(treering.TreeringError):
        thread.fork(at=6)
    fork = thread.fork(at=2)
    deeper = fork.fork(at=1)
    deeper.append("coder", "other")
    assert texts(deeper) == ["p1", "other"]
    assert deeper.forked_from == (fork.id, 1)
    assert texts(fork) == ["p1", "c1"]
    assert deeper.status == "idle"


def test_what_a_fork_may_have_of_its_own(thread: Thread) -> None:
    fork = thread.fork(key="retry", labels={"n": 2}, max_rounds=3)
    assert (fork.key, fork.labels, fork.overrides) == ("retry", {"n": 2}, {"max_rounds": 3})
    assert thread.overrides == {}
    with pytest.raises(treering.AlreadyExists):
        thread.fork(key="origin")


def test_unknown_places_are_named(thread: Thread) -> None:
    with pytest.raises(treering.NotFound, match="planner, coder, reviewer"):
        thread.fork(before="tester")
    with pytest.raises(treering.NotFound):
        thread.fork(at=6)
    with pytest.raises(treering.Invalid, match="spoken 1 times"):
        thread.fork(before="planner", occurrence=2)
    with pytest.raises(treering.Invalid, match="not both"):
        thread.fork(at=1, before="coder")


def test_diff(thread: Thread) -> None:
    fork = thread.fork(at=3)
    fork.append("coder", "other")
    diff = thread.diff(fork)
    assert diff.common == StepRef(3, thread.at(3).cid)
    assert [step.text for step in diff.left] == ["c2", "r2"]
    assert [step.text for step in diff.right] == ["other"]
    assert str(diff) == "common: step 3; then 2 steps here, 1 there"
    fork.append("reviewer", "fine")
    assert str(thread.diff(fork)) == "common: step 3; then 2 steps each"
    assert str(thread.diff(thread.fork(at=0))) == "common: the start; then 5 steps here, 0 there"
    assert str(thread.diff(thread.fork())) == "common: step 5; then no more"


def test_strangers(threads: Threads, thread: Thread) -> None:
    stranger = threads.start("other")
    stranger.append("planner", "p1")
    assert thread.common_ancestor(stranger) is None
    assert str(thread.diff(stranger)) == "nothing in common; then 5 steps here, 1 there"
    assert not thread.is_ancestor_of(stranger)


def test_ancestors(thread: Thread) -> None:
    fork = thread.fork(at=2)
    assert thread.common_ancestor(fork) == (2, thread.at(2).cid)
    assert fork.is_ancestor_of(thread)
    assert not thread.is_ancestor_of(fork)
    assert thread.is_ancestor_of(thread)
    fork.append("x")
    assert not fork.is_ancestor_of(thread)
    assert thread.common_ancestor(thread.fork(at=0)) == (0, thread.start.cid)
