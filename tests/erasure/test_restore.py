"""A backup of before an erasure does not bring a scope back unless it is asked to."""

import shutil
import sys
from pathlib import Path

import pytest

import treering

sys.path.insert(0, str(Path(__file__).parent))

from scanner import found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A backup with alice and bob, and the store in which alice was erased since."""
    with treering.open(tmp_path / "state") as store:
        for name in ("alice", "bob"):
            store.scope(name).memory.add("preference", f"{name} answers in French")
            store.scope(name).files.put("large", f"{name} wrote ".encode() * 50_000)
        store.backup(tmp_path / "backup")
        store.scope("alice").erase()
        store.export_erasures(tmp_path / "notes")
    return tmp_path


def restored(home: Path, to: str = "restored", **options: object) -> tuple[list[str], int]:
    report = treering.restore(home / "backup", home / to, **options)  # type: ignore[arg-type]
    with treering.open(home / to) as store:
        assert store.verify().ok
        return store.scopes(), report.erased_scopes


def test_the_store_that_is_there_is_asked(home: Path) -> None:
    texts = ["alice answers", "alice wrote"]
    assert len(found(home / "backup", texts)) > 1
    treering.restore(home / "backup", home / "restored")
    assert found(home / "restored", texts) == []
    with treering.open(home / "restored") as store:
        assert store.scopes() == ["bob"]
        (note,) = store.erasures("alice")
        assert note.position == 0


def test_where_the_store_is_gone_nobody_knows(home: Path) -> None:
    shutil.rmtree(home / "state")
    with pytest.raises(treering.Invalid, match="nobody says which scopes were erased since") as refused:
        restored(home)
    assert "as_it_is=True" in str(refused.value)
    assert not (home / "restored" / "store.db").exists()
    assert restored(home, erasures=home / "notes") == (["bob"], 1)
    assert restored(home, "as it was", as_it_is=True) == (["alice", "bob"], 0)
    # A store that was restored with the notes can say as well.
    assert restored(home, "third", erasures=home / "restored") == (["bob"], 1)


def test_a_store_that_took_its_place_is_not_asked(home: Path) -> None:
    shutil.rmtree(home / "state")
    treering.open(home / "state").close()
    with pytest.raises(treering.Invalid, match="nobody says"):
        restored(home)
    with pytest.raises(treering.Diverged):
        restored(home, erasures=home / "state")


def test_a_moved_store_is_named(home: Path) -> None:
    (home / "state").rename(home / "moved")
    with pytest.raises(treering.Invalid):
        restored(home)
    assert restored(home, erasures=home / "moved") == (["bob"], 1)


@pytest.mark.parametrize("what", ["nothing", "half", "other"])
def test_notes_that_are_none(home: Path, what: str) -> None:
    notes = home / "bad"
    if what == "half":
        notes.write_bytes((home / "notes").read_bytes()[:-1])
    elif what == "other":
        notes.write_text("alice")
    with pytest.raises(treering.Invalid, match="notes of erasures"):
        restored(home, erasures=notes)
    assert not (home / "restored" / "store.db").exists()


def test_a_backup_of_after_needs_nobody_to_say_more(home: Path) -> None:
    with treering.open(home / "state") as store:
        assert store.backup(home / "backup").erased_scopes == 1
        assert store.backup(home / "backup").erased_scopes == 0
    assert restored(home) == (["bob"], 0)
