"""The proof: after erase, gc and vacuum, no text of the scope is in any file of the store's directory.

The scanner is proved on a hit that is planted in each place first.
"""

import sqlite3
import sys
import zlib
from pathlib import Path

import pytest

import treering

sys.path.insert(0, str(Path(__file__).parent))

from life import MARKS, SCOPE, live
from scanner import found

MIB = 1 << 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state"


def opened(path: Path) -> treering.Store:
    return treering.open(path, automatic_gc=False, reserve_bytes=MIB)


def lived(path: Path) -> treering.Store:
    """Two scopes whose rows lie side by side, a part of the journal sealed; what they mirror lies beside the store."""
    store = opened(path)
    for number in range(3):
        live(store, number=number, workspace=path.parent / "workspace")
        live(store, "bob", swap="stay", number=number, workspace=path.parent / "bob")
        store.seal_journal(keep=20)
    return store


def test_every_mark_is_there_before_and_none_after(path: Path) -> None:
    store = lived(path)
    noted = store.head()
    before = found(path, MARKS)
    missing = {mark for mark in MARKS if not any(hit.startswith(f"{mark} ") for hit in before)}
    # The names of commands are kept as digests only; the text of events and steps stands in blocks.
    # What an upload that broke off brought stands nowhere.
    assert missing <= {"COMMANDMARK", "WORKERMARK", "UPLOADMARK"}
    for place in ("store.db", "store.db-wal", "journal/", "blobs/"):
        assert any(f" in {place}" in hit for hit in before), place
    workspace, drafts = path.parent / "workspace", ["CONNECTORDRAFTMARK", "ROLEDRAFTMARK"]
    assert {hit.split(" in ")[0] for hit in found(workspace, MARKS)} >= set(drafts)
    erased = store.scope(SCOPE).with_workspace(treering.LocalWorkspace(workspace)).erase()
    assert found(workspace, MARKS) == []
    assert erased.refs > 20
    # A word that both happen to have said is bob's, too: it has no mark.
    assert erased.held_by == ("bob",)
    assert 0 < erased.held_blocks < 10
    store.gc()
    assert store.vacuum().complete
    assert found(path, MARKS) == []
    stays = [mark.replace("MARK", "stay") for mark in MARKS if mark != SCOPE and mark not in missing]
    kept = found(path, stays)
    assert {hit.split(" in ")[0] for hit in kept} == set(stays)
    bob = [mark.replace("MARK", "stay") for mark in drafts]
    assert {hit.split(" in ")[0] for hit in found(path.parent / "bob", bob)} == set(bob)
    assert store.verify(since=noted).ok
    store.close()
    assert found(path, MARKS) == []
    with opened(path) as store:
        assert store.verify(since=noted).ok
        assert store.scopes() == ["bob"]
        live(store)
        assert store.scope(SCOPE).memory.get().version > 0


def test_the_scanner_finds_what_is_planted_in_each_place(path: Path) -> None:
    with lived(path) as store:
        store.scope(SCOPE).erase()
        store.gc()
        store.vacuum()
    files = [file for file in sorted(path.rglob("*")) if file.is_file()]
    names = {str(file.relative_to(path)) for file in files}
    assert {"store.db", "store.db-wal", "reserve", "bell", "lock", "blobs.lock"} <= names
    assert any(name.endswith(".obao") for name in names)
    assert found(path, ["PLANTED"]) == []
    for file in files:
        whole = file.read_bytes()
        name = str(file.relative_to(path))
        for planted in (b"PLANTED", "PLANTED".encode("utf-16-le"), b"PLANTED".hex().encode()):
            file.write_bytes(whole + b" " + planted)
            if name.startswith("journal/"):
                packed = zlib.compressobj(wbits=-15)
                rows = packed.compress(zlib.decompress(whole[100:-32], wbits=-15) + planted) + packed.flush()
                assert planted not in rows
                file.write_bytes(whole[:100] + rows + whole[-32:])
            assert found(path, ["PLANTED"]) == [f"PLANTED in {name}"]
        file.write_bytes(whole)
    (path / "PLANTED").touch()
    assert found(path, ["PLANTED"]) == ["PLANTED in PLANTED"]
    (path / "PLANTED").unlink()
    database = sqlite3.connect(path / "store.db", isolation_level=None)
    database.executescript(
        "PRAGMA secure_delete = OFF; CREATE TABLE plant(x TEXT); INSERT INTO plant VALUES ('a PLANTED row')"
    )
    assert found(path, ["PLANTED"]) != [], "a row, in the log"
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert found(path, ["PLANTED"]) == ["PLANTED in store.db"], "a row"
    database.executescript("DROP TABLE plant; PRAGMA wal_checkpoint(TRUNCATE)")
    assert found(path, ["PLANTED"]) == ["PLANTED in store.db"], "a free page"
    database.close()


def test_what_was_copied_into_a_backup_goes_when_it_is_brought_up_to_date(path: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    with lived(path) as store:
        store.backup(backup)
        assert found(backup, MARKS)
        store.scope(SCOPE).erase()
        store.gc()
        assert store.backup(backup).erased_scopes == 1
    assert found(backup, MARKS) == []
