"""The mirror of a draft in a workspace: it follows the commit, and fails without it; no scope takes another's."""

import json
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from catalog_shapes import CLI, HTTP, ROLE, SHAPES, items_of

import treering
from treering import Invalid, LocalWorkspace, Scope, Store, Unavailable, Workspace, aio
from treering.messages import Connector, Role
from treering.testing import Clock

FILE = "connectors_draft.json"


class Spy:
    """A workspace in memory that notes what is asked of it, and does what a test says before it does that."""

    def __init__(self, **before: Callable[[], object]) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.before = before

    def _asked(self, what: str, name: str) -> None:
        self.asked.append(f"{what} {name}")
        self.before.get(what, lambda: None)()

    def read(self, name: str) -> bytes | None:
        self._asked("read", name)
        return self.files.get(name)

    def create(self, name: str, data: bytes) -> bool:
        self._asked("create", name)
        return self.files.setdefault(name, data) is data

    def replace(self, name: str, data: bytes) -> None:
        self._asked("replace", name)
        self.files[name] = data

    def remove(self, name: str) -> None:
        self._asked("remove", name)
        self.files.pop(name, None)

    def shown(self, name: str = FILE) -> Any:
        return json.loads(self.files[name])


@pytest.fixture
def spy() -> Spy:
    return Spy()


@pytest.fixture
def mirrored(alice: Scope, spy: Spy) -> Scope:
    return alice.with_workspace(spy)


def failing() -> object:
    raise OSError(28, "No space left on device")


def test_nothing_is_mirrored_unless_somebody_says_where(
    alice: Scope, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TREERING_HOME", str(tmp_path))
    assert alice.connectors.save_draft(HTTP).warnings == ()
    assert list(tmp_path.glob("*.json")) == []
    with pytest.raises(Invalid, match="with_workspace"):
        alice.connectors.mirror()


def test_a_draft_is_mirrored_overwritten_and_removed(mirrored: Scope, spy: Spy, clock: Clock) -> None:
    assert mirrored.connectors.save_draft(HTTP).warnings == ()
    first = spy.shown()
    assert (first["scope"], first["updatedAtMs"], first["draft"]["name"]) == ("alice", clock.now_ms, "search")
    clock.advance(3)
    mirrored.connectors.save_draft(None)
    assert (spy.shown()["draft"], spy.shown()["updatedAtMs"]) == (None, clock.now_ms)
    mirrored.connectors.save([HTTP])
    assert spy.shown()["updatedAtMs"] == clock.now_ms
    mirrored.connectors.delete_draft()
    assert spy.files == {}
    mirrored.connectors.delete_draft()
    mirrored.roles.save_draft(ROLE)
    assert list(spy.files) == ["roles_draft.json"]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_what_is_mirrored_is_read_back(mirrored: Scope, spy: Spy, shape: Connector) -> None:
    mirrored.connectors.save_draft(shape)
    data = json.dumps([spy.shown()["draft"]]).encode()
    assert items_of(data, Connector, plural="connectors", key="name", source="x") == ([shape], [])


def test_a_save_of_the_catalog_asks_nothing_of_the_workspace(mirrored: Scope, spy: Spy) -> None:
    mirrored.connectors.save([HTTP])
    mirrored.roles.save([])
    assert spy.asked == []


def test_the_mirror_follows_the_commit(alice: Scope) -> None:
    """When it is asked for, the draft can be read by anybody."""
    seen: list[Any] = []
    alice.with_workspace(Spy(read=lambda: seen.append(alice.connectors.draft()))).connectors.save_draft(HTTP)
    assert [draft.item for draft in seen] == [HTTP, HTTP]


def test_a_refused_command_is_not_mirrored(mirrored: Scope, spy: Spy) -> None:
    with pytest.raises(treering.VersionConflict):
        mirrored.connectors.save_draft(HTTP, expected_version=7)
    assert spy.asked == []


@pytest.mark.parametrize("call", ["read", "create"])
def test_a_mirror_that_fails_is_in_the_receipt_and_the_commit_stands(alice: Scope, call: str) -> None:
    spy = Spy(**{call: failing})
    mirrored = alice.with_workspace(spy)
    receipt = mirrored.connectors.save_draft(HTTP, command_id="turn")
    (warning,) = receipt.warnings
    assert FILE in warning
    assert "No space left on device" in warning
    assert (receipt.changed, receipt.version) == (True, 1)
    draft = alice.connectors.draft()
    assert draft is not None
    assert draft.item == HTTP
    with pytest.raises(Unavailable, match="No space left"):
        mirrored.connectors.mirror()
    # The workspace is well again: the same command, once more, brings the mirror.
    spy.before = {}
    again = mirrored.connectors.save_draft(HTTP, command_id="turn")
    assert (again.replayed, again.warnings, again.version) == (True, (), 1)
    assert spy.shown()["draft"]["name"] == "search"


@pytest.mark.parametrize("call", ["replace", "remove"])
def test_one_that_fails_later(alice: Scope, call: str) -> None:
    spy = Spy()
    mirrored = alice.with_workspace(spy)
    mirrored.roles.save_draft(ROLE)
    spy.before = {call: failing}
    receipt = mirrored.roles.delete_draft() if call == "remove" else mirrored.roles.save_draft(None)
    assert len(receipt.warnings) == 1
    assert spy.shown("roles_draft.json")["draft"]["id"] == "coder"
    spy.before = {}
    mirrored.roles.mirror()
    assert ("roles_draft.json" in spy.files) is (call == "replace")
    assert call == "remove" or spy.shown("roles_draft.json")["draft"] is None


def test_in_a_commit_with_others(alice: Scope) -> None:
    spy = Spy()
    mirrored = alice.with_workspace(spy)
    with mirrored.commit() as c:
        c.connectors.save_draft(HTTP)
        last = c.connectors.save_draft(CLI)
        other = c.roles.save([ROLE])
        assert spy.asked == []
    assert (last.receipt.warnings, other.receipt.warnings) == ((), ())
    assert spy.shown()["draft"]["name"] == "git"
    assert not [what for what in spy.asked if "roles" in what]
    spy.before = {"read": failing}
    with mirrored.commit() as c:
        gone = c.connectors.delete_draft()
        kept = c.roles.save([])
    assert (len(gone.receipt.warnings), kept.receipt.warnings, alice.connectors.draft()) == (1, (), None)


def test_another_scope_does_not_overwrite_it(store: Store, spy: Spy) -> None:
    alice, bob = (store.scope(name).with_workspace(spy) for name in ("alice", "bob"))
    alice.connectors.save_draft(HTTP)
    before = dict(spy.files)
    for receipt in (bob.connectors.save_draft(CLI), bob.connectors.delete_draft()):
        (warning,) = receipt.warnings
        assert "'scope': 'alice'" in warning
        assert receipt.changed
    assert spy.files == before
    # Deleted, it is anybody's.
    alice.connectors.delete_draft()
    assert bob.connectors.save_draft(CLI).warnings == ()
    assert spy.shown()["scope"] == "bob"


def test_nor_does_the_same_scope_of_another_store(tmp_path: Path, spy: Spy) -> None:
    with treering.open(tmp_path / "a") as one, treering.open(tmp_path / "b") as other:
        one.scope("alice").with_workspace(spy).roles.save_draft(ROLE)
        (warning,) = other.scope("alice").with_workspace(spy).roles.save_draft(None).warnings
        assert str(tmp_path / "a") in warning
    (tmp_path / "c").symlink_to(tmp_path / "a")
    with treering.open(tmp_path / "c") as same:
        assert same.scope("alice").with_workspace(spy).roles.save_draft(None).warnings == ()


@pytest.mark.parametrize("found", [b"", b"mine", b"[]", b"{}", b'{"store": 1}', b"\xff", b"[" * 100_000])
def test_a_file_that_is_none_of_ours_is_left_as_it_is(mirrored: Scope, spy: Spy, found: bytes) -> None:
    spy.files[FILE] = found
    (warning,) = mirrored.connectors.save_draft(HTTP).warnings
    assert "somebody else" in warning
    assert spy.files[FILE] == found


def test_two_scopes_that_are_first_at_once(store: Store) -> None:
    """Both see no file; one makes it, the other is told."""
    bob = store.scope("bob")
    spy = Spy()

    def bob_comes_between() -> None:
        spy.before = {}
        assert bob.with_workspace(spy).connectors.save_draft(CLI).warnings == ()

    spy.before = {"create": bob_comes_between}
    (warning,) = store.scope("alice").with_workspace(spy).connectors.save_draft(HTTP).warnings
    assert "'scope': 'bob'" in warning
    assert spy.shown()["draft"]["name"] == "git"


@pytest.mark.parametrize("call", ["read", "create", "replace"])
def test_nothing_older_stays_over_what_is_newer(alice: Scope, call: str) -> None:
    """Another writer commits and mirrors while this one is about to write what it has read."""
    spy = Spy()
    other = alice.with_workspace(spy)
    if call == "replace":
        other.connectors.save_draft(None)

    def other_comes_between() -> None:
        spy.before = {}
        other.connectors.save_draft(CLI)

    spy.before = {call: other_comes_between}
    assert alice.with_workspace(spy).connectors.save_draft(HTTP).warnings == ()
    draft = alice.connectors.draft()
    assert draft is not None
    assert draft.item == CLI
    assert spy.shown()["draft"]["name"] == "git"


def test_who_never_comes_to_an_end_is_told(alice: Scope) -> None:
    spy = Spy()
    numbers = iter(range(1000))
    spy.before = {"read": lambda: alice.connectors.save_draft(Connector(name=f"{next(numbers)}"))}
    (warning,) = alice.with_workspace(spy).connectors.save_draft(HTTP).warnings
    assert "others kept changing it" in warning


async def test_under_aio(tmp_path: Path) -> None:
    spy = Spy()
    async with aio.open(tmp_path / "s") as store:
        alice = store.scope("alice").with_workspace(spy)
        await alice.connectors.save_draft(HTTP)
        assert spy.shown()["draft"]["name"] == "search"
        spy.before = {"read": failing}
        async with alice.commit() as c:
            draft = c.connectors.save_draft(None)
        assert len(draft.receipt.warnings) == 1
        spy.before = {}
        await alice.connectors.mirror()
        assert spy.shown()["draft"] is None


def test_it_goes_with_a_pickled_scope(tmp_path: Path) -> None:
    workspace = LocalWorkspace(tmp_path / "w")
    with treering.open(tmp_path / "s") as store:
        alice = store.scope("alice").with_workspace(workspace).on_behalf_of("ann")
        for handle in (alice.roles, alice):
            again = pickle.loads(pickle.dumps(handle))
            (again if handle is alice.roles else getattr(again, "roles", again)).save_draft(ROLE)
            assert (tmp_path / "w/roles_draft.json").exists()
            (tmp_path / "w/roles_draft.json").unlink()
        alice.with_workspace(None).roles.save_draft(None)
        assert not (tmp_path / "w/roles_draft.json").exists()


KILLED = """
import os, sys, treering
from treering.messages import Connector
class Killed(treering.LocalWorkspace):
    def {call}(self, *arguments):
        os._exit(9)
with treering.open(sys.argv[1]) as store:
    alice = store.scope("alice").with_workspace(Killed(sys.argv[2]))
    alice.connectors.save_draft(Connector(name="new"), command_id="turn")
"""


@pytest.mark.parametrize("call", ["read", "create", "replace"])
def test_killed_between_commit_and_mirror(tmp_path: Path, call: str) -> None:
    """The draft is there and the mirror as it was before; the command again, or `mirror`, brings it."""
    path, folder = tmp_path / "s", tmp_path / "w"
    with treering.open(path) as store:
        alice = store.scope("alice").with_workspace(LocalWorkspace(folder))
        if call == "replace":
            alice.connectors.save_draft(Connector(name="old"))
    done = subprocess.run([sys.executable, "-c", KILLED.format(call=call), path, folder], check=False)
    assert done.returncode == 9
    shown = json.loads((folder / FILE).read_text())["draft"]["name"] if call == "replace" else None
    assert (shown, (folder / FILE).exists()) == ("old" if call == "replace" else None, call == "replace")
    with treering.open(path) as store:
        alice = store.scope("alice").with_workspace(LocalWorkspace(folder))
        draft = alice.connectors.draft()
        assert draft is not None
        assert draft.item is not None
        assert draft.item.name == "new"
        if call == "read":
            alice.connectors.mirror()
        else:
            again = alice.connectors.save_draft(Connector(name="new"), command_id="turn")
            assert (again.replayed, again.warnings) == (True, ())
        assert json.loads((folder / FILE).read_text())["draft"]["name"] == "new"


REMOVED = KILLED.replace('save_draft(Connector(name="new")', "delete_draft(")
REMOVED = REMOVED.replace("delete_draft(, ", "delete_draft(")


@pytest.mark.parametrize("call", ["read", "remove"])
@pytest.mark.parametrize("by", ["the command", "mirror", "the next draft"])
def test_killed_between_the_removal_of_a_draft_and_its_mirror(tmp_path: Path, call: str, by: str) -> None:
    """The draft is gone and its mirror still there; the command again, `mirror` or the next draft mends that."""
    path, folder = tmp_path / "s", tmp_path / "w"
    with treering.open(path) as store:
        store.scope("alice").with_workspace(LocalWorkspace(folder)).connectors.save_draft(Connector(name="old"))
    done = subprocess.run([sys.executable, "-c", REMOVED.format(call=call), path, folder], check=False)
    assert done.returncode == 9
    assert json.loads((folder / FILE).read_text())["draft"]["name"] == "old"
    with treering.open(path) as store:
        alice = store.scope("alice").with_workspace(LocalWorkspace(folder))
        assert (alice.connectors.draft(), alice.connectors.get().version) == (None, 2)
        if by == "the command":
            again = alice.connectors.delete_draft(command_id="turn")
            assert (again.replayed, again.warnings) == (True, ())
        elif by == "mirror":
            alice.connectors.mirror()
        if by == "the next draft":
            assert alice.connectors.save_draft(Connector(name="next")).warnings == ()
            assert json.loads((folder / FILE).read_text())["draft"]["name"] == "next"
        else:
            assert list(folder.iterdir()) == []


# The local folder


@pytest.fixture
def local(tmp_path: Path) -> LocalWorkspace:
    return LocalWorkspace(tmp_path / "a" / "b")


def test_it_is_a_workspace(local: LocalWorkspace) -> None:
    assert isinstance(local, Workspace)
    assert isinstance(Spy(), Workspace)
    assert local.read("x") is None
    assert not local.path.exists(), "reading makes nothing"
    local.remove("x")
    assert local.create("x", b"1")
    assert not local.create("x", b"2")
    assert local.read("x") == b"1"
    local.replace("x", b"3")
    local.replace("y", b"4")
    assert (local.read("x"), local.read("y")) == (b"3", b"4")
    local.remove("x")
    assert [file.name for file in local.path.iterdir()] == ["y"]
    assert (local.path.stat().st_mode & 0o777, (local.path / "y").stat().st_mode & 0o777) == (0o700, 0o600)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc/passwd", "a\0"])
def test_a_name_leads_to_no_other_folder(local: LocalWorkspace, name: str) -> None:
    for call in (local.read, local.remove, lambda name: local.create(name, b""), lambda name: local.replace(name, b"")):
        with pytest.raises(ValueError, match="is no name of a file"):
            call(name)


def test_home_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TREERING_HOME", str(tmp_path / "x"))
    assert LocalWorkspace().path == tmp_path / "x"
    assert repr(LocalWorkspace()) == f"<LocalWorkspace {tmp_path / 'x'}>"
    monkeypatch.setenv("HOME", str(tmp_path))
    for unset in (lambda: monkeypatch.setenv("TREERING_HOME", " "), lambda: monkeypatch.delenv("TREERING_HOME")):
        unset()
        assert LocalWorkspace().path == tmp_path / ".treering"
    assert LocalWorkspace(tmp_path) == LocalWorkspace(str(tmp_path))


@pytest.fixture
def operations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done on the disk, in order."""
    done: list[str] = []

    def noting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any, **more: Any) -> Any:
            done.append(name)
            return call(*arguments, **more)

        return noted

    for name in ("fsync", "replace", "link"):
        monkeypatch.setattr(os, name, noting(name, getattr(os, name)))
    return done


def test_it_is_synced_before_and_after_it_is_put_in_place(local: LocalWorkspace, operations: list[str]) -> None:
    local.create("x", b"1")
    assert operations == ["fsync", "link", "fsync"]
    operations.clear()
    local.replace("x", b"2")
    assert operations == ["fsync", "replace", "fsync"]
    operations.clear()
    local.remove("x")
    assert operations == ["fsync"]


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_what_fails_leaves_what_was(local: LocalWorkspace, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    local.create("x", b"old")
    monkeypatch.setattr(os, broken, lambda *_: failing())
    with pytest.raises(OSError, match="No space left"):
        local.replace("x", b"new")
    monkeypatch.undo()
    assert local.read("x") == b"old"
    assert [file.name for file in local.path.iterdir()] == ["x"]


def write_often(path: Path, letter: bytes) -> None:
    workspace = LocalWorkspace(path)
    for _ in range(100):
        workspace.replace("x", letter * 100_000)


def test_a_reader_sees_a_file_whole(local: LocalWorkspace) -> None:
    local.create("x", b"a" * 100_000)
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_often, args=(local.path, letter)) for letter in (b"b", b"c")]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        data = local.read("x")
        assert data is not None
        seen.add((len(data), len(set(data))))
    assert seen == {(100_000, 1)}
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert [file.name for file in local.path.iterdir()] == ["x"]


def test_a_role_is_mirrored_as_one(tmp_path: Path, alice: Scope) -> None:
    alice.with_workspace(LocalWorkspace(tmp_path)).roles.save_draft(ROLE)
    draft = json.loads((tmp_path / "roles_draft.json").read_text())["draft"]
    assert items_of(json.dumps([draft]).encode(), Role, plural="roles", key="id", source="x") == ([ROLE], [])


@pytest.mark.parametrize("read_only", [False, True])
def test_what_is_to_be_read_alone_mirrors_nothing(tmp_path: Path, spy: Spy, read_only: bool) -> None:
    with treering.open(tmp_path / "state") as store:
        alice = store.scope("alice").with_workspace(spy)
        alice.roles.save_draft(Role(id="old"))
        then = list(store.journal())[-1].cursor
        alice.roles.save_draft(Role(id="new"))
        past = alice.at(then)
    spy.asked.clear()
    with treering.open(tmp_path / "state", read_only=read_only) as store:
        scope = store.scope("alice") if read_only else store.scope("alice").at(then)
        assert past.name == scope.name
        with pytest.raises(treering.ReadOnly, match="not mirrored"):
            scope.with_workspace(spy).roles.mirror()
    assert spy.asked == []
    assert spy.shown("roles_draft.json")["draft"]["id"] == "new"


def test_no_workspace_at_all(alice: Scope) -> None:
    with pytest.raises(Invalid, match="LocalWorkspace"):
        alice.with_workspace("folder")  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_a_pipe_in_the_place_of_a_file_keeps_nobody_waiting(alice: Scope, tmp_path: Path) -> None:
    for name in ("roles_draft.json", "roles.json"):
        os.mkfifo(tmp_path / name)
    there = alice.with_workspace(LocalWorkspace(tmp_path))
    (warning,) = there.roles.save_draft(ROLE).warnings
    assert "no regular file" in warning
    with pytest.raises(Unavailable, match="no regular file"):
        there.roles.import_local()
    draft = there.roles.draft()
    assert draft is not None
    assert draft.item == ROLE


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only Linux lists what is open")
def test_a_folder_in_the_place_of_a_file_is_told_by_its_name_and_left_closed(tmp_path: Path) -> None:
    (tmp_path / "roles.json").mkdir()
    open_now = Path("/proc/self/fd")
    before = len(list(open_now.iterdir()))
    for _ in range(50):
        with pytest.raises(OSError, match=r"roles\.json"):
            LocalWorkspace(tmp_path).read("roles.json")
    assert len(list(open_now.iterdir())) < before + 50


def test_of_a_large_file_no_more_is_read_than_anybody_takes(tmp_path: Path) -> None:
    with (tmp_path / "roles.json").open("wb") as file:
        file.truncate(600 << 20)
    found = LocalWorkspace(tmp_path).read("roles.json")
    assert found is not None
    assert len(found) == (4 << 20) + 1


def test_an_erased_scope_takes_its_mirrors_along(alice: Scope, spy: Spy) -> None:
    mirrored = alice.with_workspace(spy)
    mirrored.connectors.save_draft(HTTP)
    mirrored.roles.save_draft(ROLE)
    assert mirrored.erase(dry_run=True).warnings == ()
    assert sorted(spy.files) == ["connectors_draft.json", "roles_draft.json"]
    assert mirrored.erase(command_id="e").warnings == ()
    assert spy.files == {}
    # The name is in use again when the command is repeated.
    mirrored.roles.save_draft(ROLE)
    assert mirrored.erase(command_id="e").replayed
    assert spy.shown("roles_draft.json")["draft"]["id"] == ROLE.id


def test_an_erased_scope_leaves_what_others_mirror(store: Store, alice: Scope, spy: Spy) -> None:
    store.scope("bob").with_workspace(spy).roles.save_draft(ROLE)
    spy.files["connectors_draft.json"] = b"somebody's own"
    before = dict(spy.files)
    alice.roles.save_draft(ROLE)
    assert alice.with_workspace(spy).erase().warnings == ()
    assert spy.files == before


@pytest.mark.parametrize("call", ["read", "remove"])
def test_a_mirror_that_outlives_its_scope_is_told(alice: Scope, spy: Spy, call: str) -> None:
    mirrored = alice.with_workspace(spy)
    mirrored.roles.save_draft(ROLE)
    spy.before = {call: failing}
    warnings = mirrored.erase().warnings
    assert any("roles_draft.json" in why and "No space" in why for why in warnings)
    assert alice.roles.draft() is None


def test_stores_in_memory_have_mirrors_of_their_own(spy: Spy) -> None:
    one, two = (treering.memory().scope("alice").with_workspace(spy) for _ in range(2))
    assert one.connectors.save_draft(HTTP).warnings == ()
    (warning,) = two.connectors.save_draft(CLI).warnings
    assert "was left as it is" in warning
    (warning,) = two.erase().warnings
    assert "was left as it is" in warning
    assert spy.shown()["draft"]["name"] == HTTP.name
    assert one.erase().warnings == ()
    assert spy.files == {}


def test_a_store_that_was_moved_says_that_its_mirror_stays(tmp_path: Path, spy: Spy) -> None:
    with treering.open(tmp_path / "before") as store:
        store.scope("alice").with_workspace(spy).connectors.save_draft(HTTP)
        store.scope("bob").with_workspace(spy).memory.add("context", "x")
    (tmp_path / "before").rename(tmp_path / "after")
    with treering.open(tmp_path / "after") as store:
        assert store.scope("bob").with_workspace(spy).erase().warnings == ()
        (warning,) = store.scope("alice").with_workspace(spy).erase().warnings
        assert str(tmp_path / "before") in warning
        assert "remove it" in warning
