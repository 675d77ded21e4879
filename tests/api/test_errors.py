"""Bad input: each kind has its error, and nothing is written."""

import math
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

import treering
from treering import Cid, Store, Thread, errors

Unchanged = Callable[[Store], AbstractContextManager[None]]


# --- the tree itself


@pytest.mark.parametrize("name", errors.__all__)
def test_each_class(name: str) -> None:
    cls = getattr(errors, name)
    assert issubclass(cls, errors.TreeringError)
    assert getattr(treering, name) is cls
    error = cls("what: which; what to do", anything=1)
    assert str(error) == error.message == "what: which; what to do"
    assert error.anything == 1
    assert (cls.__doc__ or "").startswith(("Catch this", "Raise this"))


def test_kinds_are_unique_and_stable() -> None:
    kinds = {name: getattr(errors, name).kind for name in errors.__all__}
    assert kinds == {
        "AlreadyExists": "already-exists",
        "Ambiguous": "ambiguous",
        "BucketError": "bucket",
        "Closed": "closed",
        "CommandMismatch": "command-mismatch",
        "CommitUnknown": "commit-unknown",
        "Conflict": "conflict",
        "Corrupt": "corrupt",
        "CursorExpired": "cursor-expired",
        "CursorLost": "cursor-lost",
        "DiskFull": "disk-full",
        "Diverged": "diverged",
        "EventRefused": "event-refused",
        "Fenced": "fenced",
        "ForkedProcess": "forked-process",
        "HeadMoved": "head-moved",
        "HistoryTrimmed": "history-trimmed",
        "ImpureDecider": "impure-decider",
        "Invalid": "invalid",
        "InvalidCommand": "invalid-command",
        "LeaseHeld": "lease-held",
        "LeaseLost": "lease-lost",
        "LimitExceeded": "limit-exceeded",
        "LockTimeout": "lock-timeout",
        "MissingExtra": "missing-extra",
        "NewerFormat": "newer-format",
        "NewerSchema": "newer-schema",
        "NotFound": "not-found",
        "Overtaken": "overtaken",
        "Poisoned": "poisoned",
        "ReadOnly": "read-only",
        "Rejected": "rejected",
        "TreeringError": "error",
        "Unavailable": "unavailable",
        "VersionConflict": "version-conflict",
        "WrongStatus": "wrong-status",
    }
    assert len(set(kinds.values())) == len(kinds)


def test_builtin_bases() -> None:
    assert issubclass(treering.NotFound, KeyError)
    assert issubclass(treering.Invalid, ValueError)
    assert issubclass(treering.Unavailable, OSError)
    assert issubclass(treering.MissingExtra, ImportError)


# --- ids


@pytest.mark.parametrize("bad", ["", " ", "../../etc/passwd", "a/../b", "/", "a\0b", ".", "..", "\ud800", "x" * 2_000])
def test_path_like_thread_ids(store: Store, unchanged: Unchanged, bad: str) -> None:
    store.threads.start("w", key="k")
    with unchanged(store), pytest.raises((treering.Invalid, treering.NotFound)):
        store.threads.get(bad)


def test_unknown_thread_ids(store: Store) -> None:
    for unknown in ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "no such key"):
        with pytest.raises(treering.NotFound) as caught:
            store.threads.get(unknown)
        assert unknown in str(caught.value)


def test_ambiguous_thread_ids(store: Store) -> None:
    started = {store.threads.start("w").id for _ in range(3)}
    with pytest.raises(treering.Ambiguous) as caught:
        store.threads.get(min(started)[:4])
    assert set(caught.value.candidates) == started
    assert store.threads.get(min(started)).id == min(started)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "x",
        "../../store.db",
        "bafkr4i",
        "bafkr4iab",
        "bafkr4i/../abcdef",
        "BAFKR4IABCDEF",
        "bafkr4i\0abcdef",
        "QmYwAPJz",
    ],
)
def test_path_like_cids(store: Store, unchanged: Unchanged, bad: str) -> None:
    store.put(b"x")
    for ask in (store.blocks.get, store.blocks.get_node, store.blocks.has, store.blocks.resolve, store.blocks.links):
        with unchanged(store), pytest.raises(treering.Invalid):
            ask(bad)
    with pytest.raises(treering.Invalid):
        Cid(bad)


def test_unknown_cids(store: Store) -> None:
    absent = Cid.of(b"absent")
    for ask in (store.blocks.get, store.blocks.links, store.blocks.resolve):
        with pytest.raises(treering.NotFound) as caught:
            ask(str(absent))
        assert str(absent)[:12] in str(caught.value)
    with pytest.raises(treering.NotFound) as caught:
        store.blocks.get_node(Cid.of_node("absent"))
    assert caught.value.cid == Cid.of_node("absent")


def test_ambiguous_cids(store: Store) -> None:
    # Two byte strings whose CIDs share 13 characters: found by looking, as anybody's collection would.
    seen: dict[str, bytes] = {}
    for number in range(1_000_000):
        data = number.to_bytes(4, "big")
        prefix = str(Cid.of(data))[:13]
        if prefix in seen:
            break
        seen[prefix] = data
    else:
        pytest.fail("no two CIDs that begin alike")
    both = {store.put(seen[prefix]), store.put(data)}
    with pytest.raises(treering.Ambiguous) as caught:
        store.blocks.get(prefix)
    assert set(caught.value.candidates) == both


# --- values


def nested(depth: int) -> object:
    value: object = 0
    for _ in range(depth):
        value = [value]
    return value


def a_cycle() -> object:
    value: list[object] = []
    value.append(value)
    return value


INVALID: dict[str, object] = {
    "nan": math.nan,
    "inf": {"x": [math.inf]},
    "int above": 2**64,
    "int below": -(2**64) - 1,
    "set": {1, 2},
    "object": object(),
    "complex": 1j,
    "int key": {1: 2},
    "surrogate": "\ud800",
    "surrogate key": {"\ud800": 1},
    "foreign cid": None,
}
LIMITS: dict[str, object] = {
    "depth": nested(200),
    "depth bomb": nested(200_000),
    "cycle": a_cycle(),
    "size": "x" * (1 << 20),
    "links": None,
}


@pytest.fixture
def bad_values(store: Store) -> dict[str, object]:
    """The values that need a store, or more time than an import should take."""
    foreign = Cid.from_bytes(bytes.fromhex("01711220") + bytes(32))
    with store.scope("other").commit() as c:
        links = [c.put(number.to_bytes(2, "big")) for number in range(4_097)]
    return INVALID | LIMITS | {"foreign cid": foreign, "links": links}


@pytest.mark.parametrize("name", [*INVALID, *LIMITS])
def test_values_that_can_not_be_nodes(
    store: Store, unchanged: Unchanged, bad_values: dict[str, object], name: str
) -> None:
    error = treering.LimitExceeded if name in LIMITS else treering.Invalid
    with unchanged(store), pytest.raises(error) as caught:
        store.blocks.put_node(bad_values[name])
    if error is treering.LimitExceeded:
        assert caught.value.actual > caught.value.limit


@pytest.mark.parametrize("name", [name for name in INVALID if name != "foreign cid"] + ["depth", "depth bomb", "cycle"])
def test_values_that_can_not_be_steps(
    store: Store, unchanged: Unchanged, bad_values: dict[str, object], name: str
) -> None:
    thread = store.threads.start("w")
    value = bad_values[name]
    with unchanged(store):
        with pytest.raises(treering.Invalid):
            thread.append("r", value)
        with pytest.raises(treering.Invalid):
            thread.append("r", meta={"x": value})
        with pytest.raises(treering.Invalid):
            thread.extend([("r", "fine"), ("r", value)])
        with pytest.raises(treering.Invalid):
            store.threads.start("w", prompt=value)
        with pytest.raises(treering.Invalid):
            store.threads.start("w", parameters={"x": value})
    assert thread.append("r", "fine").number == 1


def test_the_error_says_where(store: Store) -> None:
    with pytest.raises(treering.Invalid) as caught:
        store.blocks.put_node({"a": [0, {"b": math.nan}]})
    assert "a[1].b" in str(caught.value)


def test_dangling_links(store: Store, unchanged: Unchanged) -> None:
    absent = Cid.of(b"absent")
    thread = store.threads.start("w")
    with unchanged(store):
        for attempt in (
            lambda: store.blocks.put_node({"x": absent}),
            lambda: thread.append("r", links=[absent]),
            lambda: thread.append("r", {"x": absent}),
            lambda: thread.append("r", meta={"x": absent}),
            lambda: store.threads.start("w", parameters={"x": absent}),
            lambda: store.threads.start("w", parent_state=Cid.of_node("absent")),
        ):
            with pytest.raises(treering.Invalid, match="which is not in this store"):
                attempt()
        with pytest.raises(treering.Invalid, match=str(absent)):
            store.blocks.put_node({"x": absent})
    assert thread.append("r").number == 1


@pytest.mark.parametrize("role", ["", "__start__", "__end__", "r" * 257, "a\ud800"])
def test_roles_that_can_not_be(store: Store, unchanged: Unchanged, role: str) -> None:
    thread = store.threads.start("w")
    with unchanged(store), pytest.raises(treering.Invalid):
        thread.append(role, "x")


def test_arguments_that_can_not_be(store: Store, unchanged: Unchanged) -> None:
    thread = store.threads.start("w")
    with unchanged(store):
        for attempt in (
            lambda: store.threads.start(""),
            lambda: store.threads.start("w", key=""),
            lambda: store.threads.start("w", key="k" * 2_000),
            lambda: store.threads.start("w", labels={"x": [1]}),
            lambda: store.threads.start("w", labels={"x": math.nan}),
            lambda: store.threads.start("w", labels={str(n): n for n in range(1_000)}),
            lambda: store.threads.start("w", max_rounds=-1),
            lambda: thread.append("r", artifacts={"": b"x"}),
            lambda: thread.append("r", command_id="c" * 300),
            lambda: thread.extend([("a", "b", "c")]),  # type: ignore[list-item]
            lambda: thread.extend(["ab"]),  # type: ignore[list-item]
            lambda: store.scope(""),
            lambda: thread.append("r", command_id=""),
            lambda: thread.append("r", at_ms=2**63),
            lambda: thread.at(-1),
            lambda: thread.context(-1),
        ):
            with pytest.raises(treering.Invalid):
                attempt()


def test_what_a_step_does_not_have(store: Store) -> None:
    thread = store.threads.start("w")
    thread.append("r", artifacts={"a.txt": b"x"})
    with pytest.raises(treering.NotFound, match="no step 2"):
        thread.at(2)
    with pytest.raises(treering.NotFound, match=r"a\.txt"):
        thread.at(1).artifacts["b.txt"]
    assert thread.at(1).artifacts.get("b.txt") is None


def test_cursors(store: Store) -> None:
    store.threads.start("w")
    with pytest.raises(treering.Invalid):
        list(store.journal("no cursor"))
    with treering.memory() as other:
        other.threads.start("x")
        other.threads.start("x")
        foreign = other.cursor()
    with pytest.raises(treering.CursorLost):
        list(store.journal(foreign))


# --- broken stores


@pytest.fixture
def closed_store(tmp_path: Path) -> tuple[Path, Thread]:
    """The directory of a store with one thread of three steps."""
    path = tmp_path / "state"
    with treering.open(path) as store:
        thread = store.threads.start("w", key="k", prompt="the prompt")
        thread.extend([("a", "content one"), ("b", "content two"), ("c", "content three")])
    return path, thread


def change(path: Path, statement: str, *values: object) -> int:
    """Changes the closed store's database behind its back; returns the number of rows."""
    with closing(sqlite3.connect(path / "store.db")) as connection, connection:
        return connection.execute(statement, values).rowcount


@pytest.mark.parametrize("fault", ["flipped", "truncated", "lengthened", "emptied"])
def test_broken_blocks_are_named_and_never_returned(closed_store: tuple[Path, Thread], fault: str) -> None:
    path, _ = closed_store
    with treering.open(path) as store:
        step = store.threads.get("k").at(2)
        cid, good = step.node.content, store.blocks.get(step.node.content)
    bad = {
        "flipped": good[:-1] + bytes([good[-1] ^ 1]),
        "truncated": good[:-1],
        "lengthened": good + b"\0",
        "emptied": b"",
    }[fault]
    assert change(path, "UPDATE block SET payload = ? WHERE digest = ?", bad, cid.digest) == 1
    with treering.open(path) as store:
        for ask in (store.blocks.get, store.blocks.get_node):
            with pytest.raises(treering.Corrupt) as caught:
                ask(cid)
            assert str(cid) in str(caught.value)
        thread = store.threads.get("k")
        with pytest.raises(treering.Corrupt):
            _ = thread.at(2).content
        assert thread.at(1).text == "content one"
        report = store.verify()
        assert not report.ok
        hurt = [place for finding in report.findings if finding.which == str(cid) for place in finding.threads]
        assert (thread.id, 2) in hurt


def test_a_missing_block_is_named(closed_store: tuple[Path, Thread]) -> None:
    path, _ = closed_store
    with treering.open(path) as store:
        cid = store.threads.get("k").at(2).cid
    assert change(path, "DELETE FROM block WHERE digest = ?", cid.digest) == 1
    with treering.open(path) as store:
        with pytest.raises(treering.NotFound) as caught:
            store.blocks.get(cid)
        assert str(cid) in str(caught.value)
        assert not store.verify().ok


def test_a_broken_record_hides_no_other(closed_store: tuple[Path, Thread]) -> None:
    path, thread = closed_store
    with treering.open(path) as store:
        other = store.threads.start("w")
    assert change(path, "UPDATE ref SET record = x'00' WHERE name LIKE ?", f"%thread/{thread.id}%") >= 1
    with treering.open(path) as store:
        by_status = {listed.id: listed.status for listed in store.threads.list()}
        assert by_status == {thread.id: "corrupt", other.id: "idle"}
        broken = next(listed for listed in store.threads.list() if listed.id == thread.id)
        assert "corrupt" in repr(broken)
        assert broken.error
        for ask in (lambda: broken.workflow, lambda: len(broken), lambda: list(broken), lambda: broken.append("a")):
            with pytest.raises(treering.Corrupt):
                ask()
        assert not store.verify().ok


def test_a_directory_that_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(treering.Invalid) as caught:
        treering.open(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]
    file = tmp_path / "precious.txt"
    with pytest.raises((treering.Invalid, treering.Unavailable)):
        treering.open(file)
    assert file.read_text() == "mine"


def test_a_newer_format(closed_store: tuple[Path, Thread]) -> None:
    path, _ = closed_store
    change(path, "PRAGMA user_version = 99")
    before = sorted((entry.name, entry.stat().st_size) for entry in path.iterdir())
    for read_only in (False, True):
        with pytest.raises(treering.NewerFormat) as caught:
            treering.open(path, read_only=read_only)
        assert caught.value.attributes["found"] == 99
        assert "upgrade" in str(caught.value)
    assert sorted((entry.name, entry.stat().st_size) for entry in path.iterdir()) == before


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(treering.Invalid) as caught:
        treering.open(tmp_path / "absent", create=False)
    assert "absent" in str(caught.value)
    with pytest.raises(treering.Invalid):
        treering.open(tmp_path / "absent", read_only=True)
    assert not (tmp_path / "absent").exists()


def test_read_only(closed_store: tuple[Path, Thread]) -> None:
    path, _ = closed_store
    with treering.open(path, read_only=True) as store:
        thread = store.threads.get("k")
        assert thread.at(1).text == "content one"
        for write in (lambda: thread.append("a"), lambda: store.put(b"x"), lambda: store.threads.start("w")):
            with pytest.raises(treering.ReadOnly):
                write()
        assert store.verify().ok


def run(code: str, *arguments: object) -> str:
    """Runs Python in a process of its own; returns what it prints."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_read_only_directory(tmp_path: Path) -> None:
    path = Path("/tmp") / f"treering-test-{os.getpid()}"  # a place that any user can reach
    try:
        with treering.open(path) as store:
            store.threads.start("w", key="k").append("a", "text")
        for entry in [*path.rglob("*"), path]:
            entry.chmod(0o555 if entry.is_dir() else 0o444)
        before = sorted(entry.name for entry in path.iterdir())
        said = run(
            """
            import os, sys
            import treering
            treering.Store, treering.memory().close()   # all is imported before the rights are gone
            if os.geteuid() == 0:
                os.setgroups([]); os.setgid(65534); os.setuid(65534)
            try:
                store = treering.open(sys.argv[1])
                store.put(b"x")
            except (treering.ReadOnly, treering.Unavailable) as error:
                print(type(error).__name__)
            with treering.open(sys.argv[1], read_only=True) as store:
                print(store.threads.get("k").at(1).text)
            """,
            path,
        )
        assert said.splitlines() == ["ReadOnly", "text"]
        assert sorted(entry.name for entry in path.iterdir()) == before
    finally:
        path.chmod(0o755)
        shutil.rmtree(path)


# --- closed, forked


def test_a_closed_store(tmp_path: Path) -> None:
    store = treering.open(tmp_path / "s")
    scope = store.scope("main")
    thread = scope.threads.start("w")
    thread.append("a", "x")
    step = thread.at(1)
    (listed,) = scope.threads.list()
    store.close()
    store.close()
    for ask in (
        lambda: store.put(b"x"),
        lambda: store.blocks.put_node(1),
        lambda: store.blocks.get(step.cid),
        lambda: store.blocks.has(step.cid),
        lambda: list(store.blocks.list()),
        lambda: list(store.journal()),
        lambda: next(store.watch()),
        store.head,
        store.cursor,
        store.verify,
        store.stats,
        store.scopes,
        lambda: store.scope("x").threads.start("w"),
        lambda: scope.threads.start("w"),
        lambda: scope.threads.get(thread.id),
        scope.threads.list,
        lambda: thread.append("a"),
        lambda: thread.extend([("a", "b")]),
        thread.fork,
        thread.finish,
        thread.cancel,
        thread.rm,
        thread.refresh,
        thread.context,
        lambda: list(thread),
        lambda: thread.at(1),
        lambda: step.content,
        lambda: listed.append("a"),
    ):
        with pytest.raises(treering.Closed):
            ask()
    assert len(thread) == 1
    assert step.role == "a"


def test_use_after_fork(tmp_path: Path) -> None:
    said = run(
        """
        import os, sys
        import treering
        store = treering.open(sys.argv[1])
        thread = store.threads.start("w")
        thread.append("a", "parent's first")
        child = os.fork()
        if child == 0:
            for name, ask in {
                "append": lambda: thread.append("a", "child's"),
                "read": lambda: list(thread),
                "put": lambda: store.put(b"x"),
                "list": lambda: store.threads.list(),
                "get": lambda: store.blocks.get(thread.head),
            }.items():
                try:
                    ask()
                except treering.ForkedProcess:
                    print(name, "refused", flush=True)
            repr((store, thread))
            own = treering.open(sys.argv[1])
            own.threads.get(thread.id).append("a", "child's own")
            print(len(own.threads.get(thread.id)), "steps", flush=True)
            sys.exit()
        assert os.waitpid(child, 0)[1] == 0
        thread.refresh()
        thread.append("a", "parent's second")
        print([step.text for step in thread], store.verify().ok)
        """,
        tmp_path / "s",
    )
    assert said.splitlines() == [
        "append refused",
        "read refused",
        "put refused",
        "list refused",
        "get refused",
        "2 steps",
        """["parent's first", "child's own", "parent's second"] True""",
    ]


def test_a_store_on_another_machine_is_not_a_directory_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("s3://bucket/prefix", "postgres://localhost/db"):
        with pytest.raises(treering.Invalid, match="URL"):
            treering.open(url)
    assert list(tmp_path.iterdir()) == []


def test_a_removed_directory_acknowledges_nothing(tmp_path: Path) -> None:
    store = treering.open(tmp_path / "s")
    thread = store.threads.start("w")
    shutil.rmtree(tmp_path / "s")
    with pytest.raises(treering.TreeringError, match="directory, or its lock file, was removed"):
        thread.append("a", "x")
    store.close()


@pytest.mark.skipif(sys.platform == "win32", reason="an open directory can't be renamed there")
def test_a_renamed_directory_is_another_store(tmp_path: Path) -> None:
    """What was open goes nowhere else; each path is opened as what is there now."""
    old, new = tmp_path / "old", tmp_path / "new"
    with treering.open(old) as store:
        thread = store.threads.start("w")
        thread.append("a", b"x" * 300_000)
        old.rename(new)
        with treering.open(new) as moved:
            assert moved.threads.get(thread.id).append("a", b"y" * 300_000).number == 2
            with treering.open(old) as other:
                other.put(b"z" * 300_000)
                with pytest.raises(treering.Poisoned, match="removed or renamed"):
                    thread.append("a", b"lost" * 100_000)
                assert moved.threads.get(thread.id).append("a", b"three" * 100_000).number == 3
                assert other.verify().ok
                assert other.threads.list() == []
            assert moved.verify().ok
    with treering.open(new) as again:
        assert [len(step.content) for step in again.threads.get(thread.id)] == [300_000, 300_000, 500_000]
        assert again.verify().ok


@pytest.mark.skipif(sys.platform == "win32", reason="an open directory can't be renamed there")
@pytest.mark.parametrize("read_only", [False, True])
def test_a_renamed_directory_is_not_read_through_its_old_name(tmp_path: Path, read_only: bool) -> None:
    old = tmp_path / "old"
    with treering.open(old) as store:
        ours = store.threads.start("ours")
        ours.append("a", b"x" * 300_000)
        payload = next(block.cid for block in store.blocks.list() if block.size >= 300_000)
    store = treering.open(old, read_only=read_only)
    assert len(store.threads.list()) == 1
    old.rename(tmp_path / "new")
    with treering.open(old) as other, ThreadPoolExecutor(6) as pool:
        other.threads.start("theirs")
        other.threads.start("theirs")

        def look(_: int) -> list[str] | None:
            try:
                return [thread.id for thread in store.threads.list()]
            except treering.Poisoned:
                return None

        seen = list(pool.map(look, range(300)))
        assert all(found in ([ours.id], None) for found in seen)
        with pytest.raises(treering.Poisoned, match="removed or renamed"):
            store.blocks.get(payload)
    store.close()


@pytest.mark.skipif(sys.platform == "win32", reason="an open directory can't be renamed there")
@pytest.mark.parametrize("instead", ["file", "link to itself", "nothing"])
def test_whatever_stands_in_the_place_of_a_directory(tmp_path: Path, instead: str) -> None:
    old = tmp_path / "old"
    store = treering.open(old)
    thread = store.threads.start("w")
    old.rename(tmp_path / "new")
    if instead == "file":
        old.write_text("x")
    elif instead == "link to itself":
        old.symlink_to(old)
    with pytest.raises(treering.Poisoned, match="removed or renamed"):
        thread.append("a", "lost")
    store.close()


def test_opening_waits_no_longer_than_it_may(tmp_path: Path) -> None:
    """Somebody who was stopped while he made the store has the lock."""
    fcntl = pytest.importorskip("fcntl")
    (tmp_path / "s").mkdir()
    with (tmp_path / "s" / "lock").open("w+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(treering.LockTimeout):
            treering.open(tmp_path / "s", lock_wait_s=0.2)
    treering.open(tmp_path / "s", lock_wait_s=0.2).close()


def test_a_time_that_no_calendar_has(store: treering.Store) -> None:
    thread = store.threads.start("w")
    for at_ms in (253_402_300_800_000, -62_135_596_800_001, 1 << 62):
        with pytest.raises(treering.Invalid, match="milliseconds"):
            thread.append("a", "x", at_ms=at_ms)
        with pytest.raises(treering.Invalid, match="milliseconds"):
            thread.extend([treering.NewStep("a", "x", at_ms=at_ms)])
    first, last = (thread.append("a", "x", at_ms=at_ms).at for at_ms in (-62_135_596_800_000, 253_402_300_799_999))
    assert first is not None
    assert last is not None
    assert (first.year, last.year) == (1, 9999)


def test_a_pin_that_is_not_there(store: treering.Store) -> None:
    with pytest.raises(treering.NotFound, match="pin/nope"):
        store.scope("main").pins.rm("nope")


def test_a_removed_thread_is_not_forked(store: treering.Store) -> None:
    thread = store.threads.start("w")
    thread.append("a", "only here")
    store.threads.get(thread.id).rm()
    store.gc()
    with pytest.raises(treering.NotFound, match=thread.id):
        thread.fork()
