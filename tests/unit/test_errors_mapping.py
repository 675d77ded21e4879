"""Each error of the core is raised as its class of `treering.errors`, with its attributes, and pickles."""

import pickle
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import treering
from treering import Cid, Store, errors
from treering.codec import decode, encode

ERROR_RS = Path(__file__).parent.parent.parent / "rust" / "python" / "src" / "error.rs"
ABSENT = Cid.of(b"absent")


def test_the_mapping_names_classes_that_exist() -> None:
    named = set(re.findall(r'(?:raised|Raised::new)\(\s*"(\w+)"', ERROR_RS.read_text()))
    assert len(named) > 15
    assert named <= set(errors.__all__)


def head_moved(store: Store) -> None:
    first = store.threads.start("w", key="k")
    second = store.threads.get("k")
    first.append("a", "1")
    second.append("b", "2")


def ambiguous(store: Store) -> None:
    started = [store.threads.start("w") for _ in range(3)]
    store.threads.get(started[0].id[:4])


def taken_key(store: Store) -> None:
    store.threads.start("w", key="k")
    store.threads.start("w", key="k")


def finished(store: Store) -> None:
    thread = store.threads.start("w")
    thread.finish()
    thread.append("a", "late")


def mismatch(store: Store) -> None:
    thread = store.threads.start("w")
    thread.append("a", "1", command_id="c")
    thread.append("a", "2", command_id="c")


def held(store: Store) -> None:
    thread = store.threads.start("w", key="k")
    with thread.lease("one"), store.threads.get("k").lease("two"):
        pass


def too_deep(store: Store) -> None:
    value: Any = 0
    for _ in range(129):
        value = [value]
    store.blocks.put_node(value)


def lost_cursor(store: Store) -> None:
    store.threads.start("w")
    list(store.journal(after="c1-1-0000000000000000"))


CASES: list[tuple[Callable[[Store], object], type[errors.TreeringError], set[str]]] = [
    (lambda s: s.blocks.get(ABSENT), errors.NotFound, {"cid"}),
    (lambda s: s.blocks.resolve("bafkr4iabcdefgh"), errors.NotFound, {"which"}),
    (lambda s: s.threads.get("no such key"), errors.NotFound, {"thread"}),
    (lambda s: s.threads.start("w").at(1), errors.NotFound, {"thread", "asked", "len"}),
    (lambda s: s.threads.start("w").fork(before="coder"), errors.NotFound, {"role", "roles"}),
    (lambda s: s.blocks.put_node([ABSENT]), errors.Invalid, {"source", "link"}),
    (lambda s: s.blocks.put_node([Cid("QmXg9Pp2ytZ14xgmQjYEiHjVjMFXzCVVEcRTWJBmLgR39V")]), errors.Invalid, {"value"}),
    (lambda s: s.blocks.get_node(s.put(b"bytes")), errors.Invalid, {"what"}),
    (lambda s: s.blocks.resolve("bafk"), errors.Invalid, {"value"}),
    (lambda s: s.threads.start(""), errors.Invalid, {"what", "value"}),
    (lambda s: s.threads.start("w", labels={"l": []}), errors.Invalid, {"what"}),
    (lambda s: s.threads.start("w", max_rounds=-1), errors.Invalid, {"what"}),
    (lambda s: s.threads.start("w", prompt="\ud800"), errors.Invalid, {"what"}),
    (lambda s: s.threads.start("w").append("a", {"x": object()}), errors.Invalid, {"path", "type"}),
    (lambda s: s.threads.start("w").append("a", at_ms=2**63), errors.Invalid, {"what"}),
    (lambda s: s.threads.start("w").fork(at=0, before="a"), errors.Invalid, {"what"}),
    (lambda s: s.threads.list(status="sleeping"), errors.Invalid, {"what", "value"}),  # type: ignore[arg-type]
    (lambda s: list(s.journal(after="nonsense")), errors.Invalid, {"what", "value"}),
    (lambda s: s.verify(since="nonsense"), errors.Invalid, {"what"}),
    (lambda s: s.scope("w", durability="never"), errors.Invalid, {"what"}),  # type: ignore[arg-type]
    (lambda _: decode(b"\x18\x01"), errors.Invalid, {"offset"}),
    (lambda _: encode([float("nan")]), errors.Invalid, {"path"}),
    (too_deep, errors.LimitExceeded, {"what", "limit", "actual", "path"}),
    (lambda s: s.threads.start("w" * 5_000), errors.LimitExceeded, {"what", "limit", "actual"}),
    (ambiguous, errors.Ambiguous, {"prefix", "candidates"}),
    (head_moved, errors.HeadMoved, {"thread", "at_step", "at", "expected_step", "expected"}),
    (taken_key, errors.AlreadyExists, {"key", "thread"}),
    (finished, errors.WrongStatus, {"thread", "status", "verb"}),
    (mismatch, errors.CommandMismatch, {"command_id"}),
    (held, errors.LeaseHeld, {"ref", "holder"}),
    (lost_cursor, errors.CursorLost, {"cursor"}),
]


@pytest.mark.parametrize("kind", ["memory", "directory"])
@pytest.mark.parametrize(("fail", "expected", "names"), CASES)
def test_class_attributes_message_pickle(
    kind: str, fail: Callable[[Store], object], expected: type[errors.TreeringError], names: set[str], tmp_path: Path
) -> None:
    with treering.memory() if kind == "memory" else treering.open(tmp_path / "s") as store:
        with pytest.raises(errors.TreeringError) as caught:
            fail(store)
        error = caught.value
        assert type(error) is expected
        assert names <= set(error.attributes)
        assert all(getattr(error, name) == value for name, value in error.attributes.items())
        assert str(error)
        assert "\n" not in str(error)
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.attributes) == (type(error), str(error), error.attributes)
        assert store.verify().ok


def test_head_moved_says_where() -> None:
    store = treering.memory()
    with pytest.raises(errors.HeadMoved) as caught:
        head_moved(store)
    thread = store.threads.get("k")
    error = caught.value
    assert (error.at, error.at_step, error.expected_step) == (thread.head, 1, 0)
    assert error.expected == thread.start.cid


def test_stored_bytes_that_are_wrong_are_corrupt(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s") as store:
        cid = store.blocks.put_node({"some": "node"})
    with closing(sqlite3.connect(tmp_path / "s" / "store.db")) as database:
        (payload,) = database.execute("SELECT payload FROM block").fetchone()
        broken = payload[:-1] + bytes([payload[-1] ^ 1])
        database.execute("UPDATE block SET payload = ?", (broken,))
        database.commit()
    with treering.open(tmp_path / "s") as store:
        for read in (store.blocks.get, store.blocks.get_node):
            with pytest.raises(errors.Corrupt) as caught:
                read(cid)
            assert str(cid) in str(caught.value)
            assert caught.value.attributes["which"] == str(cid)


def test_a_directory_that_is_no_store_names_itself(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(errors.Invalid) as caught:
        treering.open(tmp_path)
    assert caught.value.attributes["path"] == str(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_system_errors_keep_their_number(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(errors.TreeringError) as caught:
        treering.open(tmp_path / "file" / "below")
    error = caught.value
    assert isinstance(error, (errors.Unavailable, errors.Invalid))
    if isinstance(error, errors.Unavailable):
        assert error.errno is not None
