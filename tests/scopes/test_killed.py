"""Forks of many refs, by processes that are killed, or that two are at: nobody ever sees half of one."""

import time
from pathlib import Path

import pytest
from others import Start

import treering
from treering import AlreadyExists, Conflict, LeaseHeld

REFS = 10_001
"""One more than one commit takes."""

FORKING = """
    store = treering.open(sys.argv[1])
    say("begin")
    store.scope("alice").fork("bob")
    say("done")
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("filled") / "s"
    with treering.open(path, durability="relaxed", automatic_gc=False) as store:
        alice, block = store.scope("alice"), store.put(b"x")
        alice.memory.add("preference", "answers in French")
        for nth in range(REFS - 1):
            alice.pins.add(f"{nth}", block)
    return path


@pytest.fixture
def path(filled: Path, tmp_path: Path) -> Path:
    with treering.open(filled) as store:
        store.backup(tmp_path / "backup")
    treering.restore(tmp_path / "backup", tmp_path / "s")
    return tmp_path / "s"


def hidden(store: treering.Store) -> bool:
    """Whether nothing of bob is to be seen."""
    bob = store.scope("bob")
    seen = bob.pins.list(), bob.threads.list(), list(bob.actors()), list(bob.memory.get()), bob.lineage()
    return "bob" not in store.scopes() and seen == ({}, [], [], [], None)


def whole(store: treering.Store) -> bool:
    alice, bob = store.scope("alice"), store.scope("bob")
    return bob.pins.list() == alice.pins.list() and list(bob.memory.get()) == list(alice.memory.get())


def test_ten_thousand_and_one_refs_come_in_steps(path: Path) -> None:
    with treering.open(path) as store:
        alice, before = store.scope("alice"), store.counters()
        commits = store.journal_extent().last
        bob = alice.fork("bob")
        assert store.counters()["blocks_written"] == before["blocks_written"]
        assert store.journal_extent().last - commits > 3
        assert whole(store)
        lineage = bob.lineage()
        assert lineage is not None
        assert lineage.refs == REFS
        assert store.unfinished_forks() == []
        # Ten thousand are one commit, but for that in which a scope leaves its name for its forks.
        bob.pins.rm("0")
        bob.fork("first")
        commits = store.journal_extent().last
        bob.fork("carol")
        assert store.journal_extent().last - commits == 1
        assert store.verify().ok


@pytest.mark.parametrize("delay_ms", [0, 2, 5, 10, 20, 40, 80, 160, 320])
def test_whoever_is_killed_leaves_nothing_or_all(path: Path, start: Start, delay_ms: int) -> None:
    other = start(FORKING, path)
    assert other.hear() == "begin"
    time.sleep(delay_ms / 1000)
    other.kill()
    with treering.open(path, automatic_gc=False) as store:
        if store.scope("bob").lineage() is None:
            assert hidden(store)
            left = store.unfinished_forks()
            assert all((fork.of, fork.holder) == ("alice", None) for fork in left)
            if left:
                with pytest.raises(Conflict, match="being made by a fork"):
                    store.scope("bob").memory.add("preference", "mine")
                assert hidden(store)
                if delay_ms % 20:
                    assert store.scope("bob").discard_fork() == left[0].refs
                    assert store.unfinished_forks() == []
                    store.scope("bob").memory.add("preference", "mine")
                    with pytest.raises(AlreadyExists):
                        store.scope("alice").fork("bob")
                    store.scope("bob").memory.clear()
                    return
            store.scope("alice").fork("bob")
        assert whole(store)
        assert store.unfinished_forks() == []
        assert store.verify().ok


def test_a_reader_sees_all_of_it_or_nothing(path: Path, start: Start) -> None:
    """Two forks at once of one name, while a third process looks: one of the two makes it."""
    reader = start(
        """
        store = treering.open(sys.argv[1], read_only=True)
        bob = store.scope("bob")
        counts = set()
        say("looking")
        while True:
            pins = len(bob.pins.list())
            counts.add(pins)
            if pins: break
        say(*sorted(counts))
        """,
        path,
    )
    assert reader.hear() == "looking"
    other = start(
        """
        store = treering.open(sys.argv[1])
        say("begin")
        try:
            store.scope("alice").fork("bob")
            say("done")
        except (treering.LeaseHeld, treering.AlreadyExists) as error:
            say(error.kind)
        """,
        path,
    )
    assert other.hear() == "begin"
    with treering.open(path) as store:
        try:
            store.scope("alice").fork("bob")
            mine = "done"
        except (LeaseHeld, AlreadyExists) as error:
            mine = error.kind
        theirs = other.hear()
        assert "done" in (mine, theirs), (mine, theirs)
        assert {mine, theirs} - {"done"} <= {"lease-held", "already-exists"}
        assert reader.hear().split() in (["0", str(REFS - 1)], [str(REFS - 1)])
        assert whole(store)
        assert store.verify().ok
