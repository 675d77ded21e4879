"""CAR files in the Python API: out of one store, into another, and read by another IPLD tool."""

import asyncio
import io
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dag_cbor
import ipld_car
import libipld
import pytest
from blake3 import blake3

import treering
import treering.aio

VECTORS = Path(__file__).parents[1] / "vectors"


@pytest.fixture
def filled(store: treering.Store) -> treering.Scope:
    """A scope with a thread that has an artifact in a file of its own, a failed fork of it, and another thread."""
    scope = store.scope("main")
    thread = scope.threads.start("fix", prompt="Fix it", key="ticket-812", labels={"team": "blue"})
    thread.append("planner", {"steps": ["reproduce", "bisect"]}, meta={"n": 2}, command_id="turn-1")
    thread.append("coder", "x" * 9000, artifacts={"large": bytes(700_000), "small": b"+ sleep(1)"})
    fork = thread.fork(at=1, key="second")
    fork.append("coder", "wait")
    fork.fail("no port")
    thread.finish(0, "done")
    scope.threads.start("hello", key="other")
    return scope


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[treering.Scope]:
    with treering.open(tmp_path / "empty") as opened:
        yield opened.scope("main")


def told(scope: treering.Scope) -> list[Any]:
    """All that can be read of a scope's threads."""
    return [
        (
            (t.id, t.key, t.workflow, t.status, dict(t.labels), t.forked_from, t.created_at_ms, t.updated_at_ms),
            (t.completed_at_ms, t.head, t.error, t.return_code, t.prompt, dict(t.parameters)),
            [(s.number, s.cid, s.role, dict(s.meta), s.content, dict(s.artifacts), s.links, s.at_ms) for s in t],
            t.failure and (t.failure.cid, t.failure.text),
        )
        for t in scope.threads.list()
    ]


def test_out_and_in(filled: treering.Scope, empty: treering.Scope, store: treering.Store, tmp_path: Path) -> None:
    path = tmp_path / "all.car"
    made = filled.export(path)
    assert made.bytes == path.stat().st_size
    did = empty.import_car(str(path))
    assert (did.threads, did.there, did.skipped, dict(did.renamed)) == (made.threads, (), (), {})
    assert (did.scope, did.blocks, did.new_blocks, did.new_receipts) == (
        "main",
        made.blocks,
        made.blocks,
        made.receipts,
    )
    assert told(empty) == told(filled)
    with treering.open(tmp_path / "empty") as opened:
        assert opened.verify()
        head, stats = opened.head(), opened.stats()
        again = empty.import_car(path)
        assert (again.threads, again.there, again.new_blocks, again.new_bytes) == ((), made.threads, 0, 0)
        assert (opened.head(), opened.stats()["blocks"]) == (head, stats["blocks"])
    assert pickle.loads(pickle.dumps((made, did))) == (made, did)
    assert store.verify()


def test_a_repeated_command_after_an_import(filled: treering.Scope, empty: treering.Scope, tmp_path: Path) -> None:
    first = filled.threads.get("ticket-812").at(1)
    filled.export(tmp_path / "all.car")
    empty.import_car(tmp_path / "all.car")
    thread = empty.threads.get("ticket-812")
    again = thread.append("planner", {"steps": ["reproduce", "bisect"]}, meta={"n": 2}, command_id="turn-1")
    assert (again.cid, again.number, len(thread)) == (first.cid, 1, 3)
    with pytest.raises(treering.CommandMismatch):
        thread.append("planner", "other", command_id="turn-1")


def test_what_is_chosen(filled: treering.Scope, tmp_path: Path) -> None:
    fork, other = filled.threads.get("second"), filled.threads.get("other")
    one, two = io.BytesIO(), io.BytesIO()
    assert fork.export(one).threads == (fork.id,)
    assert filled.export(two, [other, "second"]).threads == (fork.id, other.id)
    assert filled.export(io.BytesIO(), []).threads == ()
    fork.export(tmp_path / "fork.car")
    assert (tmp_path / "fork.car").read_bytes() == one.getvalue()
    with pytest.raises(treering.NotFound):
        filled.export(io.BytesIO(), ["nobody"])
    elsewhere = treering.memory().scope("elsewhere").threads.start("w")
    with pytest.raises(treering.Invalid, match="of scope 'elsewhere'"):
        filled.export(io.BytesIO(), [elsewhere])


def test_another_ipld_tool_reads_all_blocks(filled: treering.Scope) -> None:
    file = io.BytesIO()
    made = filled.export(file)
    (root,), blocks = ipld_car.decode(file.getvalue())
    assert bytes(root) == bytes(made.root)
    read = {cid.encode("base32"): bytes(data) for cid, data in blocks}
    assert len(read) == len(blocks)
    # Nodes, an artifact in a file of its own, a small one, a long content.
    assert sorted(len(data) for cid, data in read.items() if treering.Cid(cid).codec == "raw") == [10, 9000, 700_000]
    reached = reachable(filled, [root for thread in filled.threads.list() for root in roots(thread)])
    assert {str(cid) for cid in reached} < set(read)
    for cid, data in blocks:
        assert cid.raw_digest == blake3(data).digest()
        if cid.codec.name == "dag-cbor":
            assert dag_cbor.encode(dag_cbor.decode(data)) == data
    assert all(read[str(cid)] == filled.blocks.get(cid) for cid in reached)


def roots(thread: treering.Thread) -> list[treering.Cid]:
    return [thread.head, *([thread.failure.cid] if thread.failure else [])]


def test_another_ipld_tool_reads_it(store: treering.Store) -> None:
    # libipld reads nodes only, so no artifacts here.
    scope = store.scope("main")
    thread = scope.threads.start("fix", prompt="Fix it", key="ticket-812")
    thread.extend([("coder", f"step {number}") for number in range(100)], command_id="many")
    fork = thread.fork(at=50)
    fork.fail("no port")
    file = io.BytesIO()
    made = scope.export(file, [thread, fork])

    header, blocks = libipld.decode_car(file.getvalue())
    assert header == {"roots": [bytes(made.root)], "version": 1}
    manifest = blocks[bytes(made.root)]
    assert (manifest["kind"], manifest["scope"], manifest["threads"], manifest["receipts"]) == ("export", "main", 2, 1)
    pages = [blocks[page] for page in manifest["pages"]]
    entries = {entry["id"]: entry for page in pages for entry in page.get("threads", [])}
    assert {name: entry["head"] for name, entry in entries.items()} == {t.id: bytes(t.head) for t in (thread, fork)}
    assert entries[fork.id]["record"]["forked_from"] == [thread.id, 50]
    assert fork.failure is not None
    assert entries[fork.id]["failed"] == bytes(fork.failure.cid)
    # Every block that the threads reach is there, with the value that we read, and nothing else is.
    reached = reachable(scope, [thread.head, fork.head, fork.failure.cid])
    assert set(blocks) == {bytes(cid) for cid in reached} | {bytes(made.root), *manifest["pages"]}
    assert made.blocks == len(reached)
    for cid in reached:
        assert blocks[bytes(cid)] == plain(scope.blocks.get_node(cid))


def test_another_ipld_tool_reads_a_whole_scope(store: treering.Store) -> None:
    scope = store.scope("main")
    scope.memory.add("preference", "tea", command_id="m")
    thread = scope.threads.start("fix", key="ticket-812")
    scope.pins.add("start", thread.head)
    file = io.BytesIO()
    made = scope.export(file)
    header, blocks = libipld.decode_car(file.getvalue())
    assert header == {"roots": [bytes(made.root)], "version": 1}
    manifest = blocks[bytes(made.root)]
    told = {name: manifest[name] for name in ("kind", "form", "scope", "refs", "receipts")}
    assert told == {"kind": "export", "form": 2, "scope": "main", "refs": 3, "receipts": 1}
    pages = [blocks[page] for page in manifest["pages"]]
    refs = [ref for page in pages for ref in page.get("refs", [])]
    assert [(ref["kind"], ref["parts"]) for ref in refs] == [
        ("pin", ["start"]),
        ("thread", [thread.id]),
        ("user-memory", []),
    ]
    assert [ref["target"] for ref in refs[:2]] == [bytes(thread.head)] * 2
    assert made.blocks == len(blocks) - 1 - len(pages)


def plain(value: Any) -> Any:
    """A node's value as libipld gives it: links as bytes."""
    match value:
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case treering.Cid():
            return bytes(value)
        case _:
            return value


def reachable(scope: treering.Scope, roots: list[treering.Cid]) -> set[treering.Cid]:
    """What the roots reach, by following links one block at a time."""
    seen: set[treering.Cid] = set()
    todo = list(roots)
    while todo:
        cid = todo.pop()
        if cid not in seen:
            seen.add(cid)
            todo += scope.blocks.links(cid) if cid.codec == "dag-cbor" else []
    return seen


@pytest.mark.parametrize("name", ["export.car", "export-reversed.car"])
def test_a_file_that_another_tool_wrote(name: str, empty: treering.Scope) -> None:
    about = json.loads((VECTORS / "export.json").read_text(encoding="utf-8"))
    did = empty.import_car(VECTORS / name)
    assert (list(did.threads), did.new_receipts) == ([thread["id"] for thread in about["threads"]], 1)
    for expected in about["threads"]:
        thread = empty.threads.get(expected["id"])
        steps = [{"number": s.number, "cid": str(s.cid), "role": s.role, "text": s.text} for s in thread]
        assert (thread.key, thread.status, steps) == (expected["key"], expected["status"], expected["steps"])
        assert (thread.failure.text if thread.failure else None) == expected["failure"]
    command = about["command"]
    assert empty.threads.get(command["thread"]).cancel(command["reason"], command_id=command["id"]) is None
    again = io.BytesIO()
    assert str(empty.export(again, list(did.threads)).root) == about["root"]
    assert again.getvalue() == (VECTORS / "export.car").read_bytes()


def test_in_the_way(filled: treering.Scope, tmp_path: Path) -> None:
    path = tmp_path / "all.car"
    made = filled.export(path)
    other = filled.threads.get("other")
    other.append("a", "later")
    before = told(filled)
    with pytest.raises(treering.AlreadyExists) as caught:
        filled.import_car(path)
    assert (caught.value.thread, caught.value.key) == (other.id, None)
    assert filled.import_car(path, on_conflict="skip").skipped == (other.id,)
    assert told(filled) == before
    did = filled.import_car(path, on_conflict="rename")
    assert list(did.renamed) == [other.id]
    copy = filled.threads.get(did.renamed[other.id])
    assert (copy.key, len(copy), len(filled.threads.list())) == ("other-2", 0, len(made.threads) + 1)
    with pytest.raises(treering.Invalid, match="refuse, rename, skip"):
        filled.import_car(path, on_conflict="replace")  # type: ignore[arg-type]


def test_a_taken_key_is_told(filled: treering.Scope, empty: treering.Scope, tmp_path: Path) -> None:
    path = tmp_path / "all.car"
    filled.export(path)
    holder = empty.threads.start("w", key="ticket-812")
    with pytest.raises(treering.AlreadyExists) as caught:
        empty.import_car(path)
    assert (caught.value.key, caught.value.thread) == ("ticket-812", holder.id)
    assert len(empty.threads.list()) == 1


def test_files_that_are_refused(filled: treering.Scope, empty: treering.Scope, tmp_path: Path) -> None:
    good = io.BytesIO()
    filled.export(good)
    path = tmp_path / "bad.car"
    head = empty.export(io.BytesIO()).root
    for content, words, about in [
        (b"", "empty", {"offset"}),
        (b"\x0a\xa1gversion\x02", "version 2", {"offset"}),
        (good.getvalue()[:-1], "truncated", {"offset"}),
        (good.getvalue() + b"\x00", "padding", {"offset"}),
        (good.getvalue()[:-10] + b"0123456789", "do not hash", {"cid", "offset"}),
        (without_last_block(good.getvalue()), "not whole", {"source", "link"}),
        (b"\x11\xa2eroots\x80gversion\x01", "no root", set()),
    ]:
        path.write_bytes(content)
        with pytest.raises(treering.Invalid, match=words) as caught:
            empty.import_car(path)
        assert "\n" not in str(caught.value)
        assert caught.value.attributes.keys() == about
        assert pickle.loads(pickle.dumps(caught.value)).attributes == caught.value.attributes
    assert empty.export(io.BytesIO()).root == head
    with pytest.raises(treering.Unavailable) as missing:
        empty.import_car(tmp_path / "absent.car")
    assert "absent.car" in str(missing.value)


def without_last_block(file: bytes) -> bytes:
    """The file, cut where its last section begins."""
    at = last = 0
    while at < len(file):
        last, length, shift = at, 0, 0
        while True:
            byte = file[at]
            at, length, shift = at + 1, length | (byte & 127) << shift, shift + 7
            if byte < 128:
                break
        at += length
    return file[:last]


def test_a_path_must_be_new(filled: treering.Scope, tmp_path: Path) -> None:
    path = tmp_path / "mine.car"
    path.write_text("mine")
    with pytest.raises(treering.Unavailable, match=r"mine\.car"):
        filled.export(path)
    assert path.read_text() == "mine"
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.suffix == ".partial") == []


class Boom(Exception):
    pass


def test_exceptions_of_the_caller_come_through(filled: treering.Scope, empty: treering.Scope, tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def write(self, data: Any, /) -> int:
            raise Boom

    class Slow(io.BytesIO):
        """Takes a part of what it is given, as an unbuffered file may."""

        def write(self, data: Any, /) -> int:
            return super().write(data[:1000])

    def stop(done: int, total: int | None) -> None:
        raise Boom

    with pytest.raises(Boom):
        filled.export(Broken())
    whole, slow = io.BytesIO(), Slow()
    filled.export(whole)
    filled.export(slow)
    assert slow.getvalue() == whole.getvalue()
    with pytest.raises(Boom):
        filled.export(tmp_path / "stopped.car", progress=stop)
    assert not list(tmp_path.glob("stopped*"))
    with pytest.raises(AttributeError):
        filled.export(object())  # type: ignore[arg-type]


def test_progress(empty: treering.Scope, tmp_path: Path) -> None:
    scope = treering.memory().scope("main")
    scope.threads.start("w", steps=[("a", str(n)) for n in range(1000)])
    out: list[tuple[int, int | None]] = []
    made = scope.export(tmp_path / "all.car", progress=lambda done, total: out.append((done, total)))
    assert len(out) > 5
    assert out[-1] == (made.blocks, made.blocks)
    into: list[tuple[int, int | None]] = []
    empty.import_car(tmp_path / "all.car", progress=lambda done, total: into.append((done, total)))
    assert [done for done, _ in into] == sorted(done for done, _ in into)
    assert into[-1] == (2 * made.bytes, 2 * made.bytes)


def test_progress_by_bytes(empty: treering.Scope, tmp_path: Path) -> None:
    scope = treering.memory().scope("main")
    for n in range(4):
        scope.files.put(str(n), bytes([n]) * (4 << 20))
    out: list[int] = []
    made = scope.export(tmp_path / "all.car", progress=lambda done, total: out.append(done))
    assert made.blocks < 256
    # After each file, and at the end.
    assert len(out) == 5
    into: list[int] = []
    empty.import_car(tmp_path / "all.car", progress=lambda done, total: into.append(done))
    assert len(into) == 9


def test_what_is_raised_at_the_last_call_ends_an_import(empty: treering.Scope, tmp_path: Path) -> None:
    there = treering.memory().scope("main")
    there.threads.start("w", key="k")

    def stop(done: int, total: int | None) -> None:
        if done == total:
            raise Boom

    for number, exported in enumerate([there.export, there.threads.get("k").export]):
        file = tmp_path / f"{number}.car"
        exported(file)
        with pytest.raises(Boom):
            empty.import_car(file, progress=stop)
        assert not empty.threads.list()


async def test_the_same_awaited(tmp_path: Path) -> None:
    async with treering.aio.open(tmp_path / "a") as there, treering.aio.open(tmp_path / "b") as here:
        thread = await there.threads.start("w", key="k")
        await asyncio.gather(*(other.append("a", "1") for other in [thread]))
        made = await thread.export(tmp_path / "one.car")
        assert (await there.scope("main").export(io.BytesIO(), [thread, "k"])).root == made.root
        did = await here.scope("main").import_car(tmp_path / "one.car")
        assert did.threads == (thread.id,)
        assert len(await here.threads.get("k")) == 1
