"""Forks and what leaves the store: exports, copies, backups."""

import io
from pathlib import Path

from others import Start
from whole import fill, shown

import treering
from treering import Store


def test_an_export_of_a_fork_has_its_threads_and_no_lineage(store: Store, tmp_path: Path) -> None:
    """What a lineage says is about this journal: the receipts are those of its own commands."""
    alice = store.scope("alice")
    fill(alice)
    alice.memory.add("preference", "x", command_id="m")
    alice.threads.start("more", command_id="before")
    bob = alice.fork("bob", command_id="f")
    bob.memory.add("preference", "y", command_id="n")
    after = bob.threads.start("more", command_id="after")
    exported = bob.export(tmp_path / "bob.car")
    assert (len(exported.threads), exported.receipts) == (5, 3)
    with treering.memory() as other:
        there = other.scope("bob")
        assert there.import_car(tmp_path / "bob.car").threads == tuple(sorted(one.id for one in bob.threads.list()))
        assert there.lineage() is None
        assert there.threads.start("more", command_id="after").id == after.id
        assert other.verify().ok
    assert bob.at(list(store.journal())[-1].cursor).export(io.BytesIO()).threads == exported.threads


def test_a_copy_has_both_and_no_lineage(store: Store) -> None:
    alice = store.scope("alice")
    fill(alice)
    bob = alice.fork("bob")
    with treering.memory() as other:
        store.copy_to(other, rename={"bob": "carol"})
        assert shown(other.scope("carol")) == shown(bob)
        assert other.scope("carol").lineage() is None
        assert other.verify().ok


def test_a_backup_has_the_lineage_and_what_is_not_finished(tmp_path: Path, start: Start) -> None:
    with treering.open(tmp_path / "s", durability="relaxed", automatic_gc=False) as store:
        alice, block = store.scope("alice"), store.put(b"x")
        alice.memory.add("preference", "x", command_id="m")
        for nth in range(10_000):
            alice.pins.add(str(nth), block)
    other = start(
        """
        import os
        store = treering.open(sys.argv[1])
        def stop(progress):
            if progress.done: os._exit(0)
        store.scope("alice").fork("bob", progress=stop)
        """,
        tmp_path / "s",
    )
    other.join()
    with treering.open(tmp_path / "s") as store:
        if store.scope("bob").lineage() is None:
            (left,) = store.unfinished_forks()
            store.backup(tmp_path / "backup")
            treering.restore(tmp_path / "backup", tmp_path / "restored")
            with treering.open(tmp_path / "restored") as restored:
                assert restored.unfinished_forks() == [left]
                assert restored.scopes() == ["alice", "main"] or restored.scopes() == ["alice"]
                with treering.memory() as copied:
                    # Nobody sees it, so nobody copies it.
                    restored.copy_to(copied)
                    assert "bob" not in copied.scopes()
                    assert copied.unfinished_forks() == []
                restored.scope("alice").fork("bob")
                assert restored.verify().ok
        else:
            store.backup(tmp_path / "backup")
            treering.restore(tmp_path / "backup", tmp_path / "restored")
        with treering.open(tmp_path / "restored") as restored:
            bob = restored.scope("bob")
            assert bob.lineage() is not None
            assert bob.memory.add("preference", "x", command_id="m").replayed
            assert len(bob.pins.list()) == 10_000
